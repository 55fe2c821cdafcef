/* output.h -- what the job emits, and the formats of its sinks.
 *
 * Profiles and fragments are printed where their state is (print.h), so a record on the way to a
 * sink is a key and its text; the format has only to hand them over. Dead letters come from the
 * engine and get their JSON here:
 *
 *      {"topic":…,"partition":…,"offset":…,"reason":…,"size":…,"raw":"<base64>"}
 *
 * Thread: any. */
#ifndef USERPROFILE_OUTPUT_H
#define USERPROFILE_OUTPUT_H

#include <weir/weir.h>

struct output {
    weir_str yid;
    weir_str json; /* NULL: a tombstone */
};
WEIR_TYPE(output, WEIR_FIELD(1, output, yid), WEIR_FIELD(2, output, json));

struct weir_format output_format(void);      /* of struct output: key yid, value json */
struct weir_format dead_letter_format(void); /* of struct weir_dead_letter: null key */

#endif

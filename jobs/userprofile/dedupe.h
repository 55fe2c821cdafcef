/* dedupe.h -- drops events that were seen before: keyed by event_id, one byte of state each.
 *
 * The first to arrive wins. An id is remembered until the watermark is `ttl_ms` past both the
 * event's ts and the watermark at its arrival: that is what a value with a time to live in event
 * time does, stamped with the larger of the two when it is written, and a duplicate does not write.
 * The watermark follows the source's splits and never passes the wall clock, so an event from the
 * far future forgets nothing.
 *
 * Only valid events come here: a bad one that is sent again is a dead letter again.
 *
 * Owner: the job, or a test; immutable after init and as long-lived as what uses it. Thread: any.
 * */
#ifndef USERPROFILE_DEDUPE_H
#define USERPROFILE_DEDUPE_H

#include "jobs/userprofile/event.h"

enum { DEDUPE_VALID, DEDUPE_DROPPED, DEDUPE_COUNTER_COUNT };

struct dedupe {
    struct weir_operator operator_;
    struct weir_state states[1];
};

void dedupe_init(struct dedupe *dedupe, int64_t ttl_ms);

#endif

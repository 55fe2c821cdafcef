/* part_name.h -- the names of a file sink's files, made and read.
 *
 *      part-0000000012-003.ndjson                        published: prefix, checkpoint, subtask, suffix
 *      .part-0011223344556677-5-3-8.ndjson               hidden: prefix, owner, attempt, subtask,
 *                                                        sequence, suffix
 *
 * The checkpoint has at least ten digits and the subtask at least three, so that sorting by name is
 * sorting by time. The owner is a number made of the job's instance and the sink's uid: several sinks
 * of several jobs may write into one directory, and each knows its own hidden files.
 *
 * Thread: any, pure. */
#ifndef WEIR_CONNECTORS_PART_NAME_H
#define WEIR_CONNECTORS_PART_NAME_H

#include <stdbool.h>
#include <stdint.h>

#define PART_AFFIX_SIZE_MAX 64 /* of a prefix or suffix, bytes */

/* Thread: immutable after init. */
struct part_name {
    const char *prefix, *suffix;
    uint64_t owner;
};
/* Whether it may be a prefix or suffix: short, not empty, no slash, no dot in front. */
bool part_name_is_affix(const char *text);

/* To be freed with mem_free. */
char *part_name_published(const struct part_name *name, uint64_t checkpoint, uint32_t subtask);
char *part_name_hidden(const struct part_name *name, uint64_t attempt, uint32_t subtask,
    uint64_t sequence);
/* Reads the numbers of a name; false: it is not one of these. */
bool part_name_is_published(const struct part_name *name, const char *file_name,
    uint64_t *checkpoint);
bool part_name_is_hidden(const struct part_name *name, const char *file_name, uint64_t *attempt,
    uint32_t *subtask);

#endif

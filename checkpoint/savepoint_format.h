/* savepoint_format.h -- what a savepoint says of itself, as MessagePack that any program can read.
 *
 * Behind a header (base/sealed.h, "WEIRSAV1") stands a stream of pairs, [kind, {field id: value}], one for each
 * thing, and each belongs to the nearest one above it that it can belong to:
 *
 *      1 savepoint     job, checkpoint, max_parallelism, when, instance, version of Weir
 *      2   operator    uid, subtask, parallelism, key groups; one for each operator of each subtask
 *      3     key       a field of its key
 *      4     state     name, kind, TTL, type
 *      5       field   id, name, kind
 *      6     entries   the file with its keyed state (savepoint_entry.h)
 *      7     staged    a file of its connector, as it was
 *      8     item      position of a source, progress of a sink, as it was
 *      9     counter
 *
 * The fields are those of the structs at the top of savepoint_format.c. Files are listed with length and
 * checksum and lie beside the metadata under plain names, so a savepoint may be moved, and copied by anything.
 *
 * In memory a savepoint is a checkpoint_metadata whose operators keep their state in SAVEPOINT_BACKEND: what
 * looks at one can look at the other.
 *
 * Thread: any. Limit: SAVEPOINT_METADATA_MAX bytes. Prefixes: savepoint_ */
#ifndef WEIR_CHECKPOINT_SAVEPOINT_FORMAT_H
#define WEIR_CHECKPOINT_SAVEPOINT_FORMAT_H

#include "checkpoint/format.h"
#include "types/state_schema.h"

#define SAVEPOINT_MAGIC        "WEIRSAV1"
#define SAVEPOINT_BACKEND      "savepoint"
#define SAVEPOINT_METADATA_MAX ((size_t)256 << 20)

/* Appends the bytes; too many: weir_buffer_overflowed. Every operator with keyed state has `states`. */
void savepoint_encode(const struct checkpoint_metadata *metadata, weir_buffer *out);
/* As checkpoint_decode. */
weir_error *savepoint_decode(weir_str bytes, const char *what, struct checkpoint_metadata *metadata)
    WEIR_MUST_USE;

#endif

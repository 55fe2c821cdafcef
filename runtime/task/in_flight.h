/* in_flight.h -- records that a barrier has overtaken: on their way to an operator when its snapshot was taken, and a part
 * of it. A restore hands them to the operator before anything else.
 *
 *      task thread, at the barrier       in_flight_add ...                  elements as they lie in segments, copied
 *      worker                            in_flight_store                    the staged file IN_FLIGHT_NAME (format.h)
 *      task thread, after a restore      in_flight_open, in_flight_next ... rows again
 *
 * The file outlives the binary, so records are MessagePack by field id, as in a savepoint: integers are little-endian, nothing
 * is aligned.
 *
 *      head     "WEIRFLY1" · u32 version 1 · u32 size of the type · the type (schema_put)
 *      record   u32 size · u32 1: has the hash of its key, 0: any subtask may have it · i64 event time in ms ·
 *               u64 hash · `size` bytes (msgpack_encode)
 *
 * With another parallelism records of a key go to whoever owns the key group, others to subtask `old % parallelism`; so
 * each is handed over once. Their order within a channel stays. A type that has changed is read as a savepoint's is,
 * or WEIR_E_STATE. A file has as much as the channels of the task could hold.
 *
 * Thread: its holder's. Prefixes: in_flight_ */
#ifndef WEIR_TASK_IN_FLIGHT_H
#define WEIR_TASK_IN_FLIGHT_H

#include "checkpoint/restore.h"
#include "runtime/exchange/segment.h"
#include <weir/operator.h>

#define IN_FLIGHT_ROWS_MAX 256u

weir_buffer *in_flight_new(void);
/* Whole elements, all of them records. */
void in_flight_add(weir_buffer *in_flight, bool is_keyed, const struct element *first, size_t size);
/* Stores the file, synced, and makes it one of the operator's staged files. */
weir_error *in_flight_store(const weir_buffer *in_flight, const struct weir_type *type,
    const char *checkpoint_dir, uint64_t attempt, struct arena *arena, struct operator_snapshot *op)
    WEIR_MUST_USE;

/* Who reads. Thread: immutable after init. */
struct in_flight_owner {
    uint32_t subtask, parallelism, max_parallelism;
};
/* One file. Thread: its holder. */
struct in_flight_reader {
    const struct weir_type *type; /* borrowed */
    struct in_flight_owner owner;
    struct group_range groups;
    bool is_mine;     /* what has no key */
    const char *path; /* for errors; the caller's */
    char *bytes;      /* NULL: not open */
    size_t size, at;
    char *records; /* of the last rows; their strings are in `bytes` */
};
/* Of subtask `old`, the whole file at once. */
weir_error *in_flight_open(struct in_flight_reader *reader, const char *path,
    const struct weir_type *type, uint32_t old, const struct in_flight_owner *owner) WEIR_MUST_USE;
/* The next rows that the owner has to handle, at most `row_max` (1..IN_FLIGHT_ROWS_MAX); none: the file is over. They are
 * valid until the next call. */
weir_error *in_flight_next(struct in_flight_reader *reader, struct weir_row *rows, uint32_t row_max,
    uint32_t *row_count) WEIR_MUST_USE;
void in_flight_close(struct in_flight_reader *reader);

#endif

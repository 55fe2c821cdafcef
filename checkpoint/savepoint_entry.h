/* savepoint_entry.h -- the keyed state of one subtask in a savepoint: a file of entries, written and read
 * as a stream, in memory that does not grow with it.
 *
 * The file is MessagePack all through, pairs [head, value]:
 *
 *      head    { 1: state number, 2: key, 3: entry, 4: expires_ms }
 *      value   { field id: value }, of the state's type
 *
 *      entry   of a map its key; of a list the place of the element, u64 big-endian; else nil
 *      expires_ms   the time in ms after which it is gone, of a state with a TTL; else 0
 *
 * The states are numbered as the metadata lists them. Two things are no records of a state:
 *
 *      entry "" of a list           value { 1: the place that the next element gets }
 *      state number 255, a timer    entry nil, value { 1: event time?, 2: due at, in ms }
 *
 * Order means nothing. Keys are bytes (types/key.h); their group is computed again when they are read, so
 * another maximum parallelism is possible. The file's length and checksum are in the metadata.
 *
 * Thread: its owner. Limit: SAVEPOINT_PAIR_MAX bytes a pair. Prefixes: entry_ */
#ifndef WEIR_CHECKPOINT_SAVEPOINT_ENTRY_H
#define WEIR_CHECKPOINT_SAVEPOINT_ENTRY_H

#include "state/state_file.h"
#include <weir/connector.h>

#define SAVEPOINT_PAIR_MAX ((size_t)16 << 20)

/* Thread: its stack's owner. */
struct savepoint_entry {
    uint32_t state;
    weir_str key, entry;
    int64_t expires_ms;
};
WEIR_TYPE(savepoint_entry, WEIR_FIELD(1, savepoint_entry, state),
    WEIR_FIELD(2, savepoint_entry, key), WEIR_FIELD(3, savepoint_entry, entry),
    WEIR_FIELD(4, savepoint_entry, expires_ms));

/* Thread: its stack's owner. */
struct list_end {
    uint64_t next;
};
WEIR_TYPE(list_end, WEIR_FIELD(1, list_end, next));

/* Thread: its stack's owner. */
struct timer_value {
    bool is_event_time;
    int64_t at_ms;
};
WEIR_TYPE(timer_value, WEIR_FIELD(1, timer_value, is_event_time),
    WEIR_FIELD(2, timer_value, at_ms));

struct entry_writer; /* Thread: its owner */
weir_error *entry_writer_open(const char *path, struct entry_writer **writer) WEIR_MUST_USE;
weir_error *entry_writer_add(struct entry_writer *writer, const struct savepoint_entry *entry,
    const struct weir_type *type, const void *record) WEIR_MUST_USE;
/* Writes and syncs what is left; then length and checksum of `file` are known. */
weir_error *entry_writer_finish(struct entry_writer *writer, struct state_file *file) WEIR_MUST_USE;
void entry_writer_free(struct entry_writer *writer); /* closes; NULL is fine */

struct entry_reader; /* Thread: its owner */
weir_error *entry_reader_open(const char *path, struct entry_reader **reader) WEIR_MUST_USE;
/* `entry` and `value`, the encoded one, are valid until the next call. *found false: the end. */
weir_error *entry_reader_next(struct entry_reader *reader, struct savepoint_entry *entry,
    weir_str *value, bool *found) WEIR_MUST_USE;
void entry_reader_free(struct entry_reader *reader); /* NULL is fine */

#endif

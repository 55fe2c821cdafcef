/* keyed.h -- typed state of the current key: what weir_state_*, weir_map_*, weir_list_* do.
 *
 * A keyed belongs to one operator of one subtask. keyed_select makes a key current; reads and edits
 * then work on it; keyed_commit, at the end of each callback, writes edited records back:
 *
 *      select(key) -> read / edit / each ... -> commit -> select(next key) ...
 *
 * An edit of a type without strings works in place when the backend can; otherwise on a decoded copy
 * in a scratch arena that commit encodes (layout.h) and puts. Editing the same entry twice in one
 * callback gives the same pointer; a read after an edit sees it; each sees edits.
 *
 * Each record is stored alone (stored.h). A list's entries are named by u64 big-endian sequence
 * numbers; its empty entry holds the next one, u64 little-endian behind the same header as an element
 * has, and expires no earlier than any of them.
 *
 * Errors are sticky: after the first one reads give NULL, edits a zeroed scratch record, and commit
 * returns it; then every later commit fails. Selecting another key without a commit commits, too: it
 * ends the life of all pointers, as commit does. Thread: task.
 * Limits: 256 MiB of copies per callback, map keys of 2 MiB. */
#ifndef WEIR_STATE_KEYED_H
#define WEIR_STATE_KEYED_H

#include "state/backend.h"
#include <weir/connector.h>

struct keyed; /* Thread: task */

/* `states` outlive it; the backend is owned by it from here on. */
struct keyed *keyed_new(struct backend *backend, const struct weir_state *states,
    uint32_t state_count, uint32_t max_parallelism);
void keyed_free(struct keyed *keyed); /* closes the backend */
struct backend *keyed_backend(struct keyed *keyed);

void keyed_select(struct keyed *keyed, weir_str key, uint64_t hash); /* copies */
/* A key that will be selected. Thread: task. */
struct keyed_next {
    weir_str key; /* data NULL: only the hash is known */
    uint64_t hash;
};
/* Hint: these keys, at most KEYED_PREFETCH_MAX, will be selected next. Borrowed. Pointers end. */
#define KEYED_PREFETCH_MAX BACKEND_PREFETCH_MAX
void keyed_prefetch(struct keyed *keyed, const struct keyed_next *next, uint32_t count);
void keyed_unselect(struct keyed *keyed);
weir_str keyed_key(const struct keyed *keyed);
uint64_t keyed_hash(const struct keyed *keyed);
/* What TTL and stamps count with; timestamp may be WEIR_NO_TIMESTAMP. */
void keyed_set_time(struct keyed *keyed, int64_t now_ms, int64_t watermark_ms);
void keyed_set_timestamp(struct keyed *keyed, int64_t timestamp_ms);
weir_error *keyed_commit(struct keyed *keyed) WEIR_MUST_USE;
/* How often a read or an edit has met an entry that had expired, and how many of them the backend has
 * dropped, compacting or sweeping: both since it was opened. */
struct keyed_expired {
    uint64_t met, dropped;
};
struct keyed_expired keyed_expired(const struct keyed *keyed);

const void *keyed_read(struct keyed *keyed, uint32_t state, weir_str entry);
void *keyed_edit(struct keyed *keyed, uint32_t state, weir_str entry);
void keyed_remove(struct keyed *keyed, uint32_t state, weir_str entry);
void keyed_clear(struct keyed *keyed, uint32_t state);
typedef bool keyed_each_fn(void *arg, weir_str entry, const void *value);
void keyed_each(struct keyed *keyed, uint32_t state, weir_str prefix, keyed_each_fn *each,
    void *arg);
void keyed_list_add(struct keyed *keyed, uint32_t state, const void *record);
void keyed_list_each(struct keyed *keyed, uint32_t state, keyed_each_fn *each, void *arg);
void keyed_reducing_add(struct keyed *keyed, uint32_t state, const void *record);

/* A number equal for two operators whose states have the same names, kinds and types, and the same
 * structs in memory (size, offsets), because state is stored as the struct's bytes. */
uint64_t keyed_schema(const struct weir_state *states, uint32_t state_count);
/* The same for people, kept in the checkpoint so that a refused restore can print both; a line a state:
 * "value profile: profile { 1 user_id u64, 2 visits i64 }, 16 bytes". */
void keyed_schema_text(const struct weir_state *states, uint32_t state_count, weir_buffer *out);

#endif

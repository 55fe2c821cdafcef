/* backend.h -- where keyed state lives: one table of verbs, several stores behind it.
 *
 * A backend belongs to one keyed operator of one subtask. It stores bytes:
 *
 *      row   = (state number, key group, key bytes)       one per key and state, or per key (placement.h)
 *      entry = (row, entry bytes) -> value bytes           one per value, list element, map entry
 *
 * A value or reducing state uses the empty entry name; a map's entries are its map keys, marked where maps share a
 * row (placement.h); each entry is read and written alone, never the whole row. Typed access, TTL and read/edit are in keyed.h.
 *
 *      hashmap   heap only, for small state and tests         snapshot copies everything
 *      rocksdb   RocksDB below, WAL off                       snapshot is incremental
 *      cache     rows in memory in front of RocksDB           the same snapshots
 *
 * Snapshot, in two parts. backend_snapshot runs on the task thread at the barrier and freezes the
 * state; snapshot_write runs on a worker thread: it stores the files that no earlier checkpoint has
 * into the checkpoint directory and lists them all. backend_confirm says that the checkpoint is
 * complete, so that later ones may refer to its files.
 *
 * Errors: I/O and corruption only. A borrowed view is valid until the next call on the backend; what a
 * callback gets is valid until it returns. A backend with `edit` keeps its entries in memory and
 * promises more: a view or pointer of an entry stays valid until that entry is put, removed or
 * cleared, or until expire, prefetch or snapshot is called.
 *
 * Callbacks of each may call the backend, but must not write to the entries of the row that begin with the prefix they
 * are called for; those of scan must not call it at all.
 *
 * Thread: task, but snapshot_write and snapshot_free (worker). */
#ifndef WEIR_STATE_BACKEND_H
#define WEIR_STATE_BACKEND_H

#include "state/state_file.h"
#include "types/key_group.h"
#include <weir/type.h>

#define STATE_NUMBER_TIMERS 255 /* state numbers 0..63 are the operator's own */

/* Thread: task. */
struct row_key {
    weir_str key;
    uint64_t hash; /* hash_bytes of the key: not stored, computed again at a restore */
    uint32_t group;
    uint32_t state;
};

/* Memory that all backends of a process share: what one does not need others may have. Thread: any. */
struct backend_pool {
    _Atomic uint64_t used;
    uint64_t size;
};

/* Where a backend keeps its files, and where it came from. Thread: immutable after init. */
struct backend_options {
    const char *directory; /* the backend's own; empty or missing at open; may be NULL (hashmap) */
    const char *checkpoint_dir; /* the job's: files are stored in <checkpoint_dir>/shared */
    uint64_t attempt;           /* part of stored files' names */
    struct group_range groups;
    uint64_t memory_size; /* bytes for memtables and cached rows, this backend's share */
    struct backend_pool
        *pool; /* of which it is a share; outlives the backend. NULL: it is all there is */
    int64_t checkpoint_interval_ms; /* 0: not known, or only on request */
    struct workers
        *workers; /* for what may wait; outlive the backend. NULL: a snapshot's writer does it */
};

/* One old subtask's snapshot to restore from. Thread: immutable after init. */
struct backend_source {
    struct group_range groups;
    const struct state_file *files;
    uint32_t file_count;
};

/* What may be forgotten. Every value of the states in these sets (bit = state number) starts with an
 * i64, little-endian: the time in ms after which nobody will read it. Thread: its holder. */
struct backend_expiry {
    uint64_t processing_states, event_states;
    int64_t now_ms, watermark_ms;
};

struct arena;
struct changes;
struct workers;
struct backend;          /* Thread: task */
struct backend_snapshot; /* Thread: task makes it, then worker */
struct backend_iterator; /* Thread: any, one at a time */

/* false stops. */
typedef bool backend_entry_fn(void *arg, weir_str entry, weir_str value);
typedef bool backend_row_fn(void *arg, const struct row_key *row, weir_str entry, weir_str value);
typedef bool backend_value_fn(void *arg, const struct row_key *row, weir_str value);

#define BACKEND_PREFETCH_MAX 256u

struct backend_class {
    const char *name;
    const char *format; /* kept in the checkpoint: a restore needs the same */
    /* Restores every entry of `groups` from the sources (0: empty). One source with exactly the same
     * groups opens in place. */
    weir_error *(*open)(const struct backend_options *options, const struct backend_source *sources,
        uint32_t source_count, struct backend **backend);
    /* And removes its directory. Every snapshot has been freed. */
    void (*close)(struct backend *backend);

    weir_error *(*get)(struct backend *backend, const struct row_key *row, weir_str entry,
        weir_str *value); /* value->data NULL: none */
    weir_error *(
        *put)(struct backend *backend, const struct row_key *row, weir_str entry, weir_str value);
    weir_error *(*remove)(struct backend *backend, const struct row_key *row, weir_str entry);
    weir_error *(*clear)(struct backend *backend, const struct row_key *row);
    /* The row's entries starting with prefix, in byte order. The callback must not write to those. */
    weir_error *(*each)(struct backend *backend, const struct row_key *row, weir_str prefix,
        backend_entry_fn *each, void *arg);
    /* A pointer, aligned to 8 bytes, to the `size` bytes of an existing or new (zeroed) entry, which
     * may be changed as long as it is valid (above). The entry's size must be `size`. NULL: this
     * backend cannot, use get and put. */
    weir_error *(*edit)(struct backend *backend, const struct row_key *row, weir_str entry,
        size_t size, void **bytes, bool *is_new);
    /* Every entry of a state, all groups, row by row, in no particular order of rows. */
    weir_error *(*scan)(struct backend *backend, uint32_t state, backend_row_fn *each, void *arg);
    /* Hint: these rows of one state, at most BACKEND_PREFETCH_MAX, will be used next: what is not in memory may be read. Data
     * of a key may be NULL: not known. May be NULL. */
    void (*prefetch)(struct backend *backend, const struct row_key *rows, uint32_t row_count);
    /* Whether prefetch would look at rows of this state now. NULL where that is. */
    bool (*is_fetching)(const struct backend *backend, uint32_t state);
    /* Writes what a cache in front has collected, sorted; a later list is newer. After an error anything
     * may have been written. Thread: any, one at a time, and neither with another write nor with a snapshot.
     * NULL: nothing can be in front of this backend. */
    weir_error *(*write_changes)(struct backend *backend, const struct changes *const *lists,
        uint32_t list_count);
    /* What is written from now on nobody will read: write_changes and snapshot_write may end with WEIR_E_CANCELLED,
     * also one that another thread is in. The next verbs are snapshot_free and close. NULL as write_changes. */
    void (*stop_writing)(struct backend *backend);
    /* Gives the empty entry of each of these rows, at most BACKEND_PREFETCH_MAX, in any order, of equal ones once;
     * data NULL: there is none. Cheaper than a get for each. NULL as write_changes. */
    weir_error *(*get_values)(struct backend *backend, const struct row_key *rows,
        uint32_t row_count, backend_value_fn *each, void *arg);
    /* About how many rows there are; and every entry, row by row, as they are now. NULL as write_changes. Thread: any. */
    uint64_t (*row_count)(struct backend *backend);
    struct backend_iterator *(*iterator_new)(struct backend *backend);
    /* Gives entries until `each` refuses one: that is the first of the next call. *is_over: there was none left. */
    weir_error *(*iterator_give)(struct backend_iterator *iterator, backend_row_fn *each, void *arg,
        bool *is_over);
    void (*iterator_free)(struct backend_iterator *iterator); /* NULL is fine; before close */
    /* Once a batch, with no pointer held: memory is brought back to its limit, and what is past its
     * expiry may be dropped, a little at a time or whenever the store rewrites itself. Readers check the
     * expiry themselves. May be NULL. */
    void (*expire)(struct backend *backend, const struct backend_expiry *expiry);

    /* An error of these two that is retriable says: not before the backend is opened again. */
    weir_error *(*snapshot)(struct backend *backend, uint64_t checkpoint,
        struct backend_snapshot **snapshot);
    /* Stores what is new, fsynced, directory too; files in `arena`. It may be called again, after an
     * error or for a later checkpoint. */
    weir_error *(*snapshot_write)(struct backend_snapshot *snapshot, struct arena *arena,
        struct state_file **files, uint32_t *file_count);
    void (*snapshot_free)(struct backend_snapshot *snapshot);
    void (*confirm)(struct backend *backend, uint64_t checkpoint); /* complete */

    uint64_t (*expired)(
        struct backend *backend);              /* entries that `expire` let it drop, since open */
    uint64_t (*size)(struct backend *backend); /* bytes on the heap and on disk, about */
};

/* First member of every backend. Thread: task. */
struct backend {
    const struct backend_class *backend_class;
    const struct rows *rows; /* its table in memory; NULL: it has none */
};

extern const struct backend_class backend_hashmap;
extern const struct backend_class backend_rocksdb; /* "rocksdb-uncached" */
extern const struct backend_class backend_cache;   /* "rocksdb": a cache in front of it */
/* By name; NULL: unknown. */
const struct backend_class *backend_find(const char *name);
/* The plainest one that reads and writes this format; NULL: unknown. */
const struct backend_class *backend_of_format(weir_str format);

/* Verifies all files of all sources, as many at once as there are cores, before a backend opens them: the list of each
 * source is then a copy in the arena, marked, so that no file is read again for its checksum. */
weir_error *backend_verify_sources(const struct backend_options *options,
    struct backend_source *sources, uint32_t source_count, struct arena *arena) WEIR_MUST_USE;
/* For `open`: WEIR_E_STATE unless every wanted group is in exactly one source (or there is none):
 * a group in no source would be lost silently, one in two would be restored twice. */
weir_error *backend_check_sources(struct group_range groups, const struct backend_source *sources,
    uint32_t source_count) WEIR_MUST_USE;

#endif

/* backend.h -- where keyed state lives: one table of verbs, several stores behind it.
 *
 * A backend belongs to one keyed operator of one subtask. It stores bytes:
 *
 *      row   = (state number, key group, key bytes)       one per key and state
 *      entry = (row, entry bytes) -> value bytes           one per value, list element, map entry
 *
 * A value or reducing state uses the empty entry name; a map's entries are its map keys; each entry
 * is read and written alone, never the whole row. Typed access, TTL and read/edit are in keyed.h.
 *
 *      hashmap   heap only, for small state and tests         snapshot copies everything
 *      rocksdb   RocksDB below, WAL off                       snapshot is incremental
 *      (a cache is a backend in front of another one)
 *
 * Snapshot, in two parts. backend_snapshot runs on the task thread at the barrier and freezes the
 * state; snapshot_write runs on a worker thread: it stores the files that no earlier checkpoint has
 * into the checkpoint directory and lists them all. backend_confirm says that the checkpoint is
 * complete, so that later ones may refer to its files.
 *
 * Errors: I/O and corruption only. A borrowed view is valid until the next call on the backend.
 * Thread: task, but snapshot_write and snapshot_free (worker). */
#ifndef WEIR_STATE_BACKEND_H
#define WEIR_STATE_BACKEND_H

#include "state/key_group.h"
#include <weir/type.h>

#define STATE_NUMBER_TIMERS 255 /* state numbers 0..63 are the operator's own */

/* Thread: task. */
struct row_key {
    weir_str key;
    uint64_t hash;
    uint32_t group;
    uint32_t state;
};

/* A file of a snapshot. Thread: immutable after init; memory belongs to the snapshot's arena. */
struct state_file {
    const char *name;  /* in the backend's own directory, "000012.sst" */
    const char *path;  /* where it is stored, relative to the job's checkpoint directory */
    uint64_t length;   /* bytes */
    uint64_t checksum; /* hash.h */
};

/* Where a backend keeps its files, and where it came from. Thread: immutable after init. */
struct backend_options {
    const char *directory;      /* the backend's own; empty or missing at open; may be NULL (hashmap) */
    const char *checkpoint_dir; /* the job's: files are stored in <checkpoint_dir>/shared */
    uint64_t attempt;           /* part of stored files' names */
    struct group_range groups;
    uint64_t memory_size;       /* bytes for memtables, this backend's share */
};

/* One old subtask's snapshot to restore from. Thread: immutable after init. */
struct backend_source {
    struct group_range groups;
    const struct state_file *files;
    uint32_t file_count;
};

struct arena;
struct backend;          /* Thread: task */
struct backend_snapshot; /* Thread: task makes it, then worker */

/* false stops. */
typedef bool backend_entry_fn(void *arg, weir_str entry, weir_str value);
typedef bool backend_row_fn(void *arg, const struct row_key *row, weir_str entry, weir_str value);

struct backend_class {
    const char *name; /* kept in the checkpoint: a restore needs the same */
    /* Restores every entry of `groups` from the sources (0: empty). One source with exactly the same
     * groups opens in place. */
    weir_error *(*open)(const struct backend_options *options, const struct backend_source *sources,
        uint32_t source_count, struct backend **backend);
    void (*close)(struct backend *backend); /* and removes its directory */

    weir_error *(*get)(struct backend *backend, const struct row_key *row, weir_str entry,
        weir_str *value); /* value->data NULL: none */
    weir_error *(*put)(struct backend *backend, const struct row_key *row, weir_str entry,
        weir_str value);
    weir_error *(*remove)(struct backend *backend, const struct row_key *row, weir_str entry);
    weir_error *(*clear)(struct backend *backend, const struct row_key *row);
    /* The row's entries starting with prefix, in byte order. The callback must not write to it. */
    weir_error *(*each)(struct backend *backend, const struct row_key *row, weir_str prefix,
        backend_entry_fn *each, void *arg);
    /* A pointer to the `size` bytes of an existing or new (zeroed) entry that may be changed until the
     * next call; NULL in *bytes: this backend cannot, use get and put. May be NULL. */
    weir_error *(*edit)(struct backend *backend, const struct row_key *row, weir_str entry,
        size_t size, void **bytes, bool *is_new);
    /* Every entry of a state, all groups, in no particular order between rows. */
    weir_error *(*scan)(struct backend *backend, uint32_t state, backend_row_fn *each, void *arg);
    /* Hint: these rows will be used next. May be NULL. */
    void (*prefetch)(struct backend *backend, const struct row_key *rows, uint32_t row_count);

    weir_error *(*snapshot)(struct backend *backend, uint64_t checkpoint,
        struct backend_snapshot **snapshot);
    /* Stores what is new, fsynced, directory too; files in `arena`. */
    weir_error *(*snapshot_write)(struct backend_snapshot *snapshot, struct arena *arena,
        struct state_file **files, uint32_t *file_count);
    void (*snapshot_free)(struct backend_snapshot *snapshot);
    void (*confirm)(struct backend *backend, uint64_t checkpoint); /* complete */

    uint64_t (*size)(struct backend *backend); /* bytes on the heap and on disk, about */
};

/* First member of every backend. Thread: task. */
struct backend {
    const struct backend_class *backend_class;
};

extern const struct backend_class backend_hashmap;
extern const struct backend_class backend_rocksdb;
/* By name; NULL: unknown. */
const struct backend_class *backend_find(const char *name);

/* Copies (or hard-links) a finished file into <checkpoint_dir>/shared under a name made of its
 * checksum, length and attempt, synced; a file of that name that is already there is kept. */
weir_error *state_file_store(const char *from, const char *checkpoint_dir, uint64_t attempt,
    const char *name, struct arena *arena, struct state_file *file) WEIR_MUST_USE;
/* Length and checksum of a stored file as listed, or WEIR_E_CORRUPT naming it. */
weir_error *state_file_verify(const char *checkpoint_dir, const struct state_file *file)
    WEIR_MUST_USE;

#endif

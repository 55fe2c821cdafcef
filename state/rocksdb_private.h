/* rocksdb_private.h -- inside of the RocksDB backend: its parts and the layout of its keys.
 *
 *      <directory>/db           the database
 *      <directory>/chk-<n>      hard links to its files, frozen at the barrier of checkpoint n
 *      <directory>/restore-<i>  an old subtask's files while their entries are copied
 *      <directory>/sorted-...   sorted files on their way into the database
 *
 * A key in the database, so that byte order is: group, state, row, entry.
 *
 *      OFFSET SIZE  MEANING
 *           0    2  key group, big-endian
 *           2    1  state number
 *           3    4  length k of the key, big-endian
 *           7    k  key
 *       7 + k    n  entry
 *
 * Group first, because another parallelism then takes whole ranges; the length before the key, because
 * then no row is a prefix of another one, and all entries of a row are neighbours in their own order.
 * The value is the value, nothing added.
 *
 * Private to state/rocksdb*. Thread: task, unless a comment says otherwise. Prefixes: rocks_. */
#ifndef WEIR_STATE_ROCKSDB_PRIVATE_H
#define WEIR_STATE_ROCKSDB_PRIVATE_H

#include "base/memory.h"
#include "state/backend.h"
#include "state/changes.h"

#include <rocksdb/c.h>

#include <pthread.h>
#include <stdatomic.h>

#define ROCKS_KEY_HEADER 7u

/* What compactions may drop. Thread: task writes, RocksDB's threads read and count. */
struct rocks_expiry {
    _Atomic uint64_t processing_states, event_states;
    _Atomic int64_t now_ms, watermark_ms;
    _Atomic uint32_t filter_count; /* of compactions under way */
    _Atomic uint64_t dropped;      /* entries, by compactions that are over */
};

/* The .sst files of the last snapshot that was written, sorted by name: what the next one need not
 * store again. One list is enough, because a file that is live at two snapshots is live at all those
 * in between. Thread: any, under the lock. */
struct rocks_stored {
    pthread_mutex_t lock;
    struct arena arena;
    struct state_file *files;
    uint32_t file_count;
};

/* Thread: task. */
struct rocks {
    struct backend backend;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *entries; /* all of them: the default family */
    rocksdb_checkpoint_t *checkpoint;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_pinnableslice_t *pinned; /* what the last get gave; NULL: nothing */
    rocksdb_readoptions_t *read_row; /* for an iterator over a row */
    rocksdb_readoptions_t *read_all; /* for one over all rows */
    rocksdb_iterator_t *kept;        /* the last one; NULL: none */
    uint64_t kept_count;             /* write_count when it was made */
    _Atomic uint64_t write_count;    /* writes that are over */
    char *key;                       /* room for building a key */
    size_t key_capacity;
    struct group_range groups;
    uint64_t attempt;
    char *directory, *database, *checkpoint_dir;
    struct workers *workers; /* who may help a restore; NULL: nobody */
    struct rocks_expiry expiry;
    struct rocks_stored stored;
    _Atomic uint32_t snapshot_count; /* made and not freed yet */
    atomic_bool is_writing_stopped;
};

/* Something has been written, or may have been. Thread: any. */
static inline void rocks_note_write(struct rocks *rocks)
{
    atomic_fetch_add_explicit(&rocks->write_count, 1, memory_order_release);
}

/* Takes RocksDB's message; NULL when that is NULL. "cannot <what>: ..." */
weir_error *rocks_error(char *message, const char *what, const char *path) WEIR_MUST_USE;

/* -- keys ----------------------------------------------------------------------------------- */

/* Writes the header; returns behind it. */
char *rocks_put_header(char *to, uint32_t group, uint32_t state, uint32_t key_size);
/* The smallest key behind all keys that start with these bytes, in place; the new size. */
size_t rocks_successor(char *key, size_t size);
/* Takes a key apart; false: these bytes are no key. `row->hash` is computed. */
bool rocks_parse_key(const char *bytes, size_t size, struct row_key *row, weir_str *entry);

/* Room in the backend for keys, until the next verb. */
char *rocks_key_room(struct rocks *rocks, size_t size);

/* Deletes what the database has of a row. Thread: any. */
weir_error *rocks_clear(struct rocks *rocks, const struct row_key *row) WEIR_MUST_USE;

/* -- sorted files, rocksdb_sorted.c --------------------------------------------------------------- */

#define SORTED_FILE_SIZE (UINT64_C(32) << 20) /* as target_file_size_base */

/* Writes entries, given in key order, into files that the database can take in. Zeroed but for `rocks`
 * it is empty. Not two of one number at a time. Thread: its owner. */
struct rocks_sorter {
    struct rocks *rocks;
    uint32_t number;
    rocksdb_envoptions_t *env;
    rocksdb_sstfilewriter_t *writer; /* NULL: no file is open */
    uint32_t group;                  /* of the last entry */
    char **paths;                    /* finished ones, and the open one */
    size_t path_count, path_capacity;
};

/* NULL value: the entry is gone. */
weir_error *rocks_sorter_add(struct rocks_sorter *sorter, uint32_t group, weir_str key,
    weir_str value) WEIR_MUST_USE;
weir_error *rocks_sorter_finish(struct rocks_sorter *sorter) WEIR_MUST_USE;
weir_error *rocks_sorter_ingest(struct rocks_sorter *sorter) WEIR_MUST_USE;
/* Takes over the finished files of another one. */
void rocks_sorter_join(struct rocks_sorter *sorter, struct rocks_sorter *other);
void rocks_sorter_release(struct rocks_sorter *sorter);

/* -- many changes at once, rocksdb_bulk.c ---------------------------------------------------------- */

/* Writes a cache's changes, in lists of which a later one is newer. Thread: any, one at a time, while the
 * task reads. */
weir_error *rocks_write_changes(struct backend *backend, const struct changes *const *lists,
    uint32_t list_count) WEIR_MUST_USE;
void rocks_stop_writing(struct backend *backend);
/* WEIR_E_CANCELLED: writing has been stopped. Thread: any. */
weir_error *rocks_check_open(const struct rocks *rocks) WEIR_MUST_USE;

/* -- many values at once, rocksdb_values.c --------------------------------------------------------- */

weir_error *rocks_get_values(struct backend *backend, const struct row_key *rows,
    uint32_t row_count, backend_value_fn *each, void *arg) WEIR_MUST_USE;

/* -- options, rocksdb_options.c ------------------------------------------------------------------ */

/* Free with rocksdb_options_destroy. */
weir_error *rocks_options_new(uint64_t memory_size, rocksdb_options_t **options) WEIR_MUST_USE;

/* -- snapshots, rocksdb_snapshot.c --------------------------------------------------------------- */

weir_error *rocks_snapshot(struct backend *backend, uint64_t checkpoint,
    struct backend_snapshot **snapshot);
weir_error *rocks_snapshot_write(struct backend_snapshot *snapshot, struct arena *arena,
    struct state_file **files, uint32_t *file_count);
void rocks_snapshot_free(struct backend_snapshot *snapshot);
/* Remembers which files need not be stored again. The list is copied. */
void rocks_stored_set(struct rocks_stored *stored, const struct state_file *files,
    uint32_t file_count);
bool rocks_is_sst(const char *name);

/* -- restore, rocksdb_restore.c ------------------------------------------------------------------ */

/* Opens rocks->db in rocks->database with the wanted groups of the sources. */
weir_error *rocks_restore(struct rocks *rocks, const struct backend_source *sources,
    uint32_t source_count) WEIR_MUST_USE;
/* Verifies the files of a source's database and brings them into a directory. Thread: any. */
weir_error *rocks_fetch(const struct rocks *rocks, const struct backend_source *source,
    const char *directory) WEIR_MUST_USE;
/* The groups of a source that are wanted; it has some. */
struct group_range rocks_wanted_groups(const struct rocks *rocks,
    const struct backend_source *source);
/* About how many bytes of the files of a source are of wanted groups. */
uint64_t rocks_wanted_size(const struct rocks *rocks, const struct backend_source *source);

/* -- copying, rocksdb_copy.c --------------------------------------------------------------------- */

/* Brings the wanted groups of the sources into the open database, which has nothing of them. */
weir_error *rocks_copy(struct rocks *rocks, const struct backend_source *sources,
    uint32_t source_count) WEIR_MUST_USE;

#endif

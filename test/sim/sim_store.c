/* sim_store.c -- the simulator's backend_rocksdb: what the write-back cache writes to and reads from.
 *
 * RocksDB cannot be simulated, but the protocol in front of it can, if it has something behind it. This is a
 * hashmap (state/hashmap.c), whose snapshots go through the simulated disk, with what a cache asks of its store and a
 * hashmap lacks. It is in no archive, but linked into the simulator's programs, where it takes the place of
 * state/rocksdb*.c: who says backend_rocksdb there means this.
 *
 * It behaves as badly as RocksDB may. Each verb starts with a call that the simulator counts (sim_os_call), so a
 * process can die, freeze or see an error in it. After a write that failed any part of it is there, none in the order
 * of the lists; and half of the stores take no more from then on, as RocksDB does until it is opened anew. A snapshot
 * that failed is retriable, and the values of get_values come in another order than they were asked for.
 *
 * Nothing of it outlives its process but what snapshots have stored, as with RocksDB, whose directory is the
 * attempt's own.
 *
 * Thread: one. Prefixes: none, but for the two symbols that it stands in for. */
#include "base/assert.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "state/changes.h"
#include "state/hashmap.h"
#include "state/rocksdb.h"
#include "test/sim/sim_cache.h"
#include "test/sim/sim_os.h"
#include "test/support/random.h"

#include <string.h>

#define ROW_WRITTEN 1u /* of a row: the cache has had it in memory */

/* Thread: one. */
struct sim_store {
    struct backend backend;
    struct hashmap *map;
    struct random random;
    bool
        has_batches; /* before the first one a cache replays, and knows nothing of what it writes */
    bool is_stopped, is_refusing;
};

static struct sim_store *store_of(struct backend *backend)
{
    ASSERT(backend->backend_class == &backend_rocksdb);
    return (struct sim_store *)(void *)backend;
}

static weir_error *reach(const char *what)
{
    int error = sim_os_call('S', what);
    return error == 0 ? NULL
                      : weir_errorf(WEIR_E_IO, "cannot %s the store: %s", what, strerror(error));
}

/* -- reading -------------------------------------------------------------------------------------- */

/* A value that the cache asks for has left its memory, if it ever was there. */
static void note_return(const struct sim_store *store, const struct row_key *key)
{
    struct row *row = hashmap_slot(store->map, key, false)->row;
    sim_cache_counts.returned += (row->flags & ROW_WRITTEN) != 0;
    row->flags &= (uint8_t)~ROW_WRITTEN;
}

static weir_error *find(const struct sim_store *store, const struct row_key *key, weir_str entry,
    weir_str *value)
{
    WEIR_TRY(backend_hashmap.get(&store->map->backend, key, entry, value));
    if (value->data != NULL)
        note_return(store, key);
    return NULL;
}

static weir_error *get(struct backend *backend, const struct row_key *row, weir_str entry,
    weir_str *value)
{
    *value = (weir_str){ 0 };
    WEIR_TRY(reach("read from"));
    return find(store_of(backend), row, entry, value);
}

static weir_error *each_entry(struct backend *backend, const struct row_key *row, weir_str prefix,
    backend_entry_fn *each, void *arg)
{
    WEIR_TRY(reach("read from"));
    return backend_hashmap.each(&store_of(backend)->map->backend, row, prefix, each, arg);
}

static weir_error *scan(struct backend *backend, uint32_t state, backend_row_fn *each, void *arg)
{
    WEIR_TRY(reach("read from"));
    return backend_hashmap.scan(&store_of(backend)->map->backend, state, each, arg);
}

static bool is_among(const struct row_key *rows, uint32_t count, const struct row_key *row)
{
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].hash == row->hash && rows[i].state == row->state &&
            weir_str_equal(rows[i].key, row->key))
            return true;
    return false;
}

/* From anywhere on, and around. */
static weir_error *get_values(struct backend *backend, const struct row_key *rows,
    uint32_t row_count, backend_value_fn *each, void *arg)
{
    struct sim_store *store = store_of(backend);
    uint32_t start = row_count == 0 ? 0 : random_below(&store->random, row_count);
    WEIR_TRY(reach("read from"));
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t index = (start + i) % row_count;
        weir_str value;
        if (is_among(rows, index, &rows[index]))
            continue;
        WEIR_TRY(find(store, &rows[index], WEIR_STR(""), &value));
        if (!each(arg, &rows[index], value))
            return NULL;
    }
    return NULL;
}

/* A copy of everything, for it must not change while it is read. Thread: any, one at a time. */
struct backend_iterator {
    struct changes copy;
    const struct change_row *row; /* the one that is given; NULL: none yet */
    struct row_key key;
    struct change_cells cells;
    weir_str entry, value;
    bool has_entry; /* that is to be given */
};

static bool copy_cell(void *arg, weir_str entry, weir_str value)
{
    changes_add(arg, entry, value);
    return true;
}

static struct backend_iterator *iterator_new(struct backend *backend)
{
    const struct rows *rows = &store_of(backend)->map->rows;
    struct backend_iterator *it = mem_alloc(sizeof(*it));
    for (uint64_t i = 0; i < rows->slot_count; i++) {
        const struct row *row = rows->slots[i].row;
        if (row == NULL)
            continue;
        struct row_key key = row_key_of(&rows->slots[i]);
        changes_begin(&it->copy, &key, false);
        if (row->value_size != ROW_VALUE_NONE)
            changes_add(&it->copy, WEIR_STR(""), row_value(row));
        if (row->entries != NULL)
            entries_each(row->entries, WEIR_STR(""), copy_cell, &it->copy);
        changes_end(&it->copy);
    }
    return it;
}

static void iterator_free(struct backend_iterator *it)
{
    if (it == NULL)
        return;
    changes_release(&it->copy);
    mem_free(it);
}

/* False: there is no entry left. */
static bool advance(struct backend_iterator *it)
{
    while (!change_cells_next(&it->cells, &it->entry, &it->value)) {
        const struct change_row *row = changes_next(&it->copy, it->row);
        if (row == NULL)
            return false;
        it->row = row;
        it->key = change_row_key(row);
        it->key.hash = hash_bytes(it->key.key.data, it->key.key.size);
        it->cells = change_cells(row);
    }
    return true;
}

static weir_error *iterator_give(struct backend_iterator *it, backend_row_fn *each, void *arg,
    bool *is_over)
{
    *is_over = false;
    WEIR_TRY(reach("read from"));
    while (it->has_entry || advance(it)) {
        it->has_entry = !each(arg, &it->key, it->entry, it->value);
        if (it->has_entry)
            return NULL;
    }
    *is_over = true;
    return NULL;
}

static uint64_t row_count(struct backend *backend)
{
    return store_of(backend)->map->rows.row_count;
}

/* -- writing -------------------------------------------------------------------------------------- */

static weir_error *write_cells(struct backend *map, const struct row_key *key,
    const struct change_row *row)
{
    weir_str name, value;
    struct change_cells cells = change_cells(row);
    while (change_cells_next(&cells, &name, &value))
        WEIR_TRY(value.data == NULL ? backend_hashmap.remove(map, key, name)
                                    : backend_hashmap.put(map, key, name, value));
    return NULL;
}

static weir_error *write_row(const struct sim_store *store, const struct change_row *row)
{
    struct row_key key = change_row_key(row);
    key.hash = hash_bytes(key.key.data, key.key.size);
    if (row->is_cleared)
        WEIR_TRY(backend_hashmap.clear(&store->map->backend, &key));
    WEIR_TRY(write_cells(&store->map->backend, &key, row));
    struct slot *slot = hashmap_slot(store->map, &key, false);
    if (slot != NULL && store->has_batches)
        slot->row->flags |= ROW_WRITTEN;
    sim_cache_counts.written++;
    return NULL;
}

/* All of it, or when it is to fail, any part. */
static weir_error *write_lists(struct sim_store *store, const struct changes *const *lists,
    uint32_t list_count, bool is_part)
{
    for (uint32_t i = 0; i < list_count; i++) {
        const struct change_row *row = NULL;
        while ((row = changes_next(lists[i], row)) != NULL)
            if (!is_part || random_one_in(&store->random, 2))
                WEIR_TRY(write_row(store, row));
    }
    return NULL;
}

static weir_error *fail(struct sim_store *store, weir_error *error)
{
    store->is_refusing = store->is_refusing || random_one_in(&store->random, 2);
    sim_cache_counts.failed++;
    return error;
}

static weir_error *write_changes(struct backend *backend, const struct changes *const *lists,
    uint32_t list_count)
{
    struct sim_store *store = store_of(backend);
    if (store->is_stopped)
        return weir_errorf(WEIR_E_CANCELLED, "the store is being closed");
    if (store->is_refusing)
        return fail(store, weir_errorf(WEIR_E_IO, "the store takes no writes since one failed"));
    weir_error *error = reach("write to");
    weir_error *unwritten = write_lists(store, lists, list_count, error != NULL);
    ASSERT(unwritten == NULL);
    return error == NULL ? NULL : fail(store, error);
}

static void stop_writing(struct backend *backend)
{
    store_of(backend)->is_stopped = true;
}

/* -- snapshots ------------------------------------------------------------------------------------ */

static weir_error *snapshot(struct backend *backend, uint64_t checkpoint,
    struct backend_snapshot **snapshot)
{
    struct sim_store *store = store_of(backend);
    *snapshot = NULL;
    weir_error *error = FAULT_STEP(DATABASE_FREEZE, reach("freeze"));
    if (error != NULL)
        return weir_error_retriable(error);
    sim_cache_counts.bases++;
    return backend_hashmap.snapshot(&store->map->backend, checkpoint, snapshot);
}

static void confirm(struct backend *backend, uint64_t checkpoint)
{
    (void)backend;
    (void)checkpoint;
}

/* -- the rest ------------------------------------------------------------------------------------- */

static void expire(struct backend *backend, const struct backend_expiry *expiry)
{
    struct sim_store *store = store_of(backend);
    store->has_batches = true;
    backend_hashmap.expire(&store->map->backend, expiry);
}

static uint64_t expired(struct backend *backend)
{
    return backend_hashmap.expired(&store_of(backend)->map->backend);
}

static uint64_t size(struct backend *backend)
{
    return backend_hashmap.size(&store_of(backend)->map->backend);
}

/* With its directory: the cache's segments are in there, too. */
static void close(struct backend *backend)
{
    struct sim_store *store = store_of(backend);
    backend_hashmap.close(&store->map->backend);
    mem_free(store);
}

static weir_error *open(const struct backend_options *options, const struct backend_source *sources,
    uint32_t source_count, struct backend **backend)
{
    struct backend *map;
    *backend = NULL;
    WEIR_TRY(FAULT_STEP(DATABASE_OPEN, os_make_dirs(options->directory)));
    WEIR_TRY(backend_hashmap.open(options, sources, source_count, &map));
    struct sim_store *store = mem_alloc(sizeof(*store));
    *store = (struct sim_store){ .backend = { .backend_class = &backend_rocksdb },
        .map = (struct hashmap *)(void *)map,
        .random = { .state = os_random() } };
    *backend = &store->backend;
    return NULL;
}

/* The cache writes with write_changes only. */
const struct backend_class backend_rocksdb = { .name = "rocksdb-uncached",
    .format = "rocksdb",
    .open = open,
    .close = close,
    .get = get,
    .each = each_entry,
    .scan = scan,
    .write_changes = write_changes,
    .stop_writing = stop_writing,
    .get_values = get_values,
    .row_count = row_count,
    .iterator_new = iterator_new,
    .iterator_give = iterator_give,
    .iterator_free = iterator_free,
    .expire = expire,
    .snapshot = snapshot,
    .snapshot_write = hashmap_snapshot_write,
    .snapshot_free = hashmap_snapshot_free,
    .confirm = confirm,
    .expired = expired,
    .size = size };

void rocksdb_set_cache_size(uint64_t size_max)
{
    (void)size_max;
}

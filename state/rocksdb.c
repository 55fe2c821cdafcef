/* rocksdb.c -- the backend that keeps state in RocksDB: the verbs on entries.
 *
 * One database a backend, WAL off: nothing is durable between barriers, and after a failure the
 * database is thrown away and made again from a checkpoint. Every verb is one or two calls into the
 * library; there is no buffer of writes in front of it, because the write-back cache will be that.
 *
 *      get 3-6 us    put 4 us    miss 1 us    each 20 us and 0.3-0.5 us an entry (libraries.md)
 *
 * A put may wait while RocksDB writes out memtables: backpressure, like a full channel.
 *
 * What get returns is pinned in the block cache (or copied from a memtable) until the next get. An
 * iterator sees the state as it was when it was made, so each and scan make one for every call.
 *
 * See rocksdb_private.h for the key layout, rocksdb_options.c, _snapshot.c and _restore.c for the
 * rest. Prefixes: rocks_ */
#include "state/rocksdb.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/os.h"
#include "state/rocksdb_private.h"

#include <endian.h>
#include <stdlib.h>

/* A row with at most this many entries is cleared one by one, a larger one by one range tombstone,
 * which every later read has to look at until it is compacted away. */
#define CLEAR_ENTRIES_MAX 256u
#define EXPIRY_STATES_MAX 64u

static struct rocks *rocks_of(struct backend *backend)
{
    DEBUG_ASSERT(backend->backend_class == &backend_rocksdb);
    return (struct rocks *)(void *)backend;
}

/* -- errors --------------------------------------------------------------------------------- */

weir_error *rocks_error(char *message, const char *what, const char *path)
{
    if (__builtin_expect(message == NULL, 1))
        return NULL;
    enum weir_code code = WEIR_E_IO;
    if (strstr(message, "No space left") != NULL)
        code = WEIR_E_DISK_FULL;
    else if (strncmp(message, "Corruption", 10) == 0)
        code = WEIR_E_CORRUPT;
    weir_error *error = weir_errorf(code, "cannot %s '%s': RocksDB says: %s%s", what, path, message,
        code == WEIR_E_DISK_FULL ? "; free space on that disk or point the job at another one"
                                 : "");
    rocksdb_free(message);
    return error;
}

static weir_error *failed(const struct rocks *rocks, char *message, const char *what)
{
    return rocks_error(message, what, rocks->database);
}

/* -- keys ----------------------------------------------------------------------------------- */

char *rocks_put_header(char *to, uint32_t group, uint32_t state, uint32_t key_size)
{
    DEBUG_ASSERT(group <= MAX_PARALLELISM_LIMIT && state <= UINT8_MAX);
    uint16_t group_bytes = htobe16((uint16_t)group);
    uint32_t size_bytes = htobe32(key_size);
    memcpy(to, &group_bytes, 2);
    to[2] = (char)state;
    memcpy(to + 3, &size_bytes, 4);
    return to + ROCKS_KEY_HEADER;
}

size_t rocks_successor(char *key, size_t size)
{
    /* It ends at the latest in the group number, which never has all its bits set. */
    while (size > 0 && (unsigned char)key[size - 1] == 0xff)
        size--;
    ASSERT(size > 0);
    key[size - 1] = (char)((unsigned char)key[size - 1] + 1);
    return size;
}

bool rocks_parse_key(const char *bytes, size_t size, struct row_key *row, weir_str *entry)
{
    if (size < ROCKS_KEY_HEADER)
        return false;
    uint16_t group;
    uint32_t key_size;
    memcpy(&group, bytes, 2);
    memcpy(&key_size, bytes + 3, 4);
    key_size = be32toh(key_size);
    if (key_size > size - ROCKS_KEY_HEADER)
        return false;
    const char *key = bytes + ROCKS_KEY_HEADER;
    *row = (struct row_key){ .key = { .data = key, .size = key_size },
        .hash = hash_bytes(key, key_size),
        .group = be16toh(group),
        .state = (unsigned char)bytes[2] };
    *entry = (weir_str){ .data = key + key_size, .size = size - ROCKS_KEY_HEADER - key_size };
    return true;
}

static size_t key_size_of(const struct row_key *row, weir_str entry)
{
    return ROCKS_KEY_HEADER + row->key.size + entry.size;
}

static void write_key(char *to, const struct row_key *row, weir_str entry)
{
    to = rocks_put_header(to, row->group, row->state, (uint32_t)row->key.size);
    if (row->key.size > 0)
        to = (char *)memcpy(to, row->key.data, row->key.size) + row->key.size;
    if (entry.size > 0)
        memcpy(to, entry.data, entry.size);
}

char *rocks_key_room(struct rocks *rocks, size_t size)
{
    if (__builtin_expect(size > rocks->key_capacity, 0)) {
        rocks->key = mem_realloc(rocks->key, size * 2);
        rocks->key_capacity = size * 2;
    }
    return rocks->key;
}

/* In the backend's own room: valid until the next call. */
static weir_str make_key(struct rocks *rocks, const struct row_key *row, weir_str entry)
{
    ASSERT(row->key.size <= UINT32_MAX / 2 && entry.size <= UINT32_MAX / 2);
    DEBUG_ASSERT(group_range_has(rocks->groups, row->group));
    size_t size = key_size_of(row, entry);
    char *key = rocks_key_room(rocks, size);
    write_key(key, row, entry);
    return (weir_str){ .data = key, .size = size };
}

/* -- one entry ------------------------------------------------------------------------------ */

static void unpin(struct rocks *rocks)
{
    if (rocks->pinned != NULL)
        rocksdb_pinnableslice_destroy(rocks->pinned);
    rocks->pinned = NULL;
}

static weir_error *get(struct backend *backend, const struct row_key *row, weir_str entry,
    weir_str *value)
{
    struct rocks *rocks = rocks_of(backend);
    unpin(rocks);
    *value = (weir_str){ 0 };
    weir_str key = make_key(rocks, row, entry);
    char *message = NULL;
    rocks->pinned = rocksdb_get_pinned(rocks->db, rocks->read, key.data, key.size, &message);
    if (message != NULL)
        return failed(rocks, message, "read from");
    if (rocks->pinned == NULL)
        return NULL;
    size_t size;
    const char *bytes = rocksdb_pinnableslice_value(rocks->pinned, &size);
    *value = (weir_str){ .data = size == 0 ? "" : bytes, .size = size };
    return NULL;
}

static weir_error *put(struct backend *backend, const struct row_key *row, weir_str entry,
    weir_str value)
{
    struct rocks *rocks = rocks_of(backend);
    ASSERT(value.data != NULL || value.size == 0);
    weir_str key = make_key(rocks, row, entry);
    char *message = NULL;
    rocksdb_put(rocks->db, rocks->write, key.data, key.size, value.data, value.size, &message);
    rocks_note_write(rocks);
    return failed(rocks, message, "write to");
}

static weir_error *remove_entry(struct backend *backend, const struct row_key *row, weir_str entry)
{
    struct rocks *rocks = rocks_of(backend);
    weir_str key = make_key(rocks, row, entry);
    char *message = NULL;
    rocksdb_delete(rocks->db, rocks->write, key.data, key.size, &message);
    rocks_note_write(rocks);
    return failed(rocks, message, "delete from");
}

/* -- one row -------------------------------------------------------------------------------- */

static weir_str iterator_value(const rocksdb_iterator_t *iterator)
{
    size_t size;
    const char *bytes = rocksdb_iter_value(iterator, &size);
    return (weir_str){ .data = size == 0 ? "" : bytes, .size = size };
}

/* To make an iterator costs more than to search with it: an object, some memory and a lookup for each file. So the last one is
 * kept for the next row, as long as nothing is written, and not beyond the batch: what it has seen, memtables and files,
 * it keeps from being given up. A callback of each_entry may call the backend: then there is none to take. */
static void drop_kept(struct rocks *rocks)
{
    if (rocks->kept != NULL)
        rocksdb_iter_destroy(rocks->kept);
    rocks->kept = NULL;
}

/* `write_count`: of what it sees, at least. */
static rocksdb_iterator_t *take_kept(struct rocks *rocks, uint64_t *write_count)
{
    *write_count = atomic_load_explicit(&rocks->write_count, memory_order_acquire);
    if (rocks->kept_count != *write_count)
        drop_kept(rocks);
    rocksdb_iterator_t *iterator = rocks->kept;
    rocks->kept = NULL;
    return iterator != NULL ? iterator : rocksdb_create_iterator(rocks->db, rocks->read_row);
}

static void keep(struct rocks *rocks, rocksdb_iterator_t *iterator, uint64_t write_count)
{
    drop_kept(rocks);
    rocks->kept = iterator;
    rocks->kept_count = write_count;
}

static weir_error *each_entry(struct backend *backend, const struct row_key *row, weir_str prefix,
    backend_entry_fn *each, void *arg)
{
    struct rocks *rocks = rocks_of(backend);
    size_t skip = ROCKS_KEY_HEADER + row->key.size, size = key_size_of(row, prefix);
    char *lower = mem_alloc(size); /* each may call the backend */
    uint64_t write_count;
    rocksdb_iterator_t *iterator = take_kept(rocks, &write_count);
    write_key(lower, row, prefix);
    rocksdb_iter_seek(iterator, lower, size);
    for (; rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        size_t key_size;
        const char *key = rocksdb_iter_key(iterator, &key_size);
        if (key_size < size || memcmp(key, lower, size) != 0)
            break;
        weir_str entry = { .data = key + skip, .size = key_size - skip };
        if (!each(arg, entry, iterator_value(iterator)))
            break;
    }
    char *message = NULL;
    rocksdb_iter_get_error(iterator, &message);
    keep(rocks, iterator, write_count);
    if (message != NULL)
        drop_kept(rocks);
    mem_free(lower);
    return failed(rocks, message, "read from");
}

/* -- clearing ------------------------------------------------------------------------------- */

weir_error *rocks_clear(struct rocks *rocks, const struct row_key *row)
{
    size_t size = key_size_of(row, WEIR_STR(""));
    char *lower = mem_alloc(2 * size),
         *upper = lower + size; /* not the backend's room: any thread */
    write_key(lower, row, WEIR_STR(""));
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(rocks->db, rocks->read_row);
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    uint32_t count = 0;
    rocksdb_iter_seek(iterator, lower, size);
    for (; rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        if (++count > CLEAR_ENTRIES_MAX) {
            memcpy(upper, lower, size);
            rocksdb_writebatch_clear(batch);
            rocksdb_writebatch_delete_range(batch, lower, size, upper,
                rocks_successor(upper, size));
            break;
        }
        size_t key_size;
        const char *key = rocksdb_iter_key(iterator, &key_size);
        rocksdb_writebatch_delete(batch, key, key_size);
    }
    char *unread = NULL, *message = NULL;
    rocksdb_iter_get_error(iterator, &unread);
    if (count > 0)
        rocksdb_write(rocks->db, rocks->write, batch, &message);
    rocks_note_write(rocks);
    rocksdb_writebatch_destroy(batch);
    rocksdb_iter_destroy(iterator);
    mem_free(lower);
    return weir_error_join(failed(rocks, message, "delete from"),
        failed(rocks, unread, "read from"));
}

static weir_error *clear(struct backend *backend, const struct row_key *row)
{
    return rocks_clear(rocks_of(backend), row);
}

/* -- scan ----------------------------------------------------------------------------------- */

/* Moves to the first key of the state in this group or a later one. */
static void seek_group(rocksdb_iterator_t *iterator, uint32_t group, uint32_t state)
{
    ASSERT(group <= MAX_PARALLELISM_LIMIT && state <= UINT8_MAX);
    char header[ROCKS_KEY_HEADER];
    rocks_put_header(header, group, state, 0);
    rocksdb_iter_seek(iterator, header, sizeof(header));
}

/* The keys of a state lie together within each group, with other states before and behind: at a key
 * of another state it jumps to where the wanted one must start. */
static weir_error *scan_keys(const struct rocks *rocks, rocksdb_iterator_t *iterator,
    uint32_t state, backend_row_fn *each, void *arg)
{
    seek_group(iterator, rocks->groups.first, state);
    while (rocksdb_iter_valid(iterator)) {
        size_t size;
        struct row_key row;
        weir_str entry;
        const char *key = rocksdb_iter_key(iterator, &size);
        if (!rocks_parse_key(key, size, &row, &entry))
            return weir_errorf(WEIR_E_CORRUPT,
                "a key of %zu bytes in '%s' is none of ours: restore a checkpoint", size,
                rocks->database);
        if (row.group > rocks->groups.last)
            return NULL;
        if (row.state != state) {
            seek_group(iterator, row.state < state ? row.group : row.group + 1, state);
            continue;
        }
        if (!each(arg, &row, entry, iterator_value(iterator)))
            return NULL;
        rocksdb_iter_next(iterator);
    }
    return NULL;
}

static weir_error *scan(struct backend *backend, uint32_t state, backend_row_fn *each, void *arg)
{
    struct rocks *rocks = rocks_of(backend);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(rocks->db, rocks->read_all);
    weir_error *error = scan_keys(rocks, iterator, state, each, arg);
    char *message = NULL;
    rocksdb_iter_get_error(iterator, &message);
    rocksdb_iter_destroy(iterator);
    return weir_error_join(error, failed(rocks, message, "read from"));
}

/* -- iterators ------------------------------------------------------------------------------ */

/* Thread: any, one at a time. */
struct backend_iterator {
    const struct rocks *rocks;
    rocksdb_iterator_t *iterator;
    char *last; /* the row of the last key, with its header */
    size_t last_size, last_capacity;
    struct row_key row; /* that row; its key is where the last one was */
};

static struct backend_iterator *iterator_new(struct backend *backend)
{
    struct backend_iterator *it = mem_alloc(sizeof(*it));
    it->rocks = rocks_of(backend);
    it->iterator = rocksdb_create_iterator(it->rocks->db, it->rocks->read_all);
    rocksdb_iter_seek_to_first(it->iterator);
    return it;
}

static void iterator_free(struct backend_iterator *it)
{
    if (it == NULL)
        return;
    rocksdb_iter_destroy(it->iterator);
    mem_free(it->last);
    mem_free(it);
}

/* Most keys are of the row of the one before: its hash is known. */
static bool parse_next(struct backend_iterator *it, weir_str *entry)
{
    size_t size;
    const char *key = rocksdb_iter_key(it->iterator, &size);
    if (it->last_size > 0 && size >= it->last_size && memcmp(key, it->last, it->last_size) == 0) {
        it->row.key.data = key + ROCKS_KEY_HEADER;
        *entry = (weir_str){ .data = key + it->last_size, .size = size - it->last_size };
        return true;
    }
    if (!rocks_parse_key(key, size, &it->row, entry))
        return false;
    it->last_size = size - entry->size;
    if (it->last_size > it->last_capacity) {
        it->last_capacity = 2 * it->last_size;
        it->last = mem_realloc(it->last, it->last_capacity);
    }
    memcpy(it->last, key, it->last_size);
    return true;
}

static weir_error *iterator_give(struct backend_iterator *it, backend_row_fn *each, void *arg,
    bool *is_over)
{
    *is_over = false;
    for (; rocksdb_iter_valid(it->iterator); rocksdb_iter_next(it->iterator)) {
        weir_str entry;
        if (!parse_next(it, &entry))
            return weir_errorf(WEIR_E_CORRUPT,
                "a key in '%s' is none of ours: restore a checkpoint", it->rocks->database);
        if (!each(arg, &it->row, entry, iterator_value(it->iterator)))
            return NULL;
    }
    char *message = NULL;
    *is_over = true;
    rocksdb_iter_get_error(it->iterator, &message);
    return failed(it->rocks, message, "read from");
}

/* -- expiry --------------------------------------------------------------------------------- */

static void expire(struct backend *backend, const struct backend_expiry *now)
{
    drop_kept(rocks_of(backend));
    struct rocks_expiry *expiry = &rocks_of(backend)->expiry;
    atomic_store_explicit(&expiry->now_ms, now->now_ms, memory_order_relaxed);
    atomic_store_explicit(&expiry->watermark_ms, now->watermark_ms, memory_order_relaxed);
    atomic_store_explicit(&expiry->processing_states, now->processing_states, memory_order_relaxed);
    atomic_store_explicit(&expiry->event_states, now->event_states, memory_order_relaxed);
}

/* What one compaction compares with, from its start to its end. Thread: RocksDB's. */
struct filter {
    struct rocks_expiry *expiry;
    struct backend_expiry at;
    uint64_t dropped;
};

/* Is asked for every entry that the compaction rewrites; true: drop it. Thread: RocksDB's. */
static unsigned char filter_entry(void *arg, int level, const char *key, size_t key_size,
    const char *value, size_t value_size, char **new_value, size_t *new_value_size,
    unsigned char *value_changed)
{
    (void)level, (void)new_value, (void)new_value_size, (void)value_changed;
    struct filter *filter = arg;
    const struct backend_expiry *at = &filter->at;
    uint64_t stored;
    if (key_size < ROCKS_KEY_HEADER || value_size < sizeof(stored))
        return 0;
    uint32_t state = (unsigned char)key[2];
    uint64_t bit = state < EXPIRY_STATES_MAX ? UINT64_C(1) << state : 0;
    if (((at->processing_states | at->event_states) & bit) == 0)
        return 0;
    memcpy(&stored, value, sizeof(stored));
    int64_t time_ms = (at->processing_states & bit) != 0 ? at->now_ms : at->watermark_ms;
    bool is_expired = (int64_t)le64toh(stored) < time_ms;
    filter->dropped += is_expired;
    return is_expired;
}

static const char *filter_name(void *arg)
{
    (void)arg;
    return "weir.expiry";
}

static void filter_free(void *arg)
{
    const struct filter *filter = arg;
    struct rocks_expiry *expiry = filter->expiry;
    ASSERT(atomic_load(&expiry->filter_count) > 0);
    atomic_fetch_add(&expiry->dropped, filter->dropped);
    mem_free(arg);
    atomic_fetch_sub(&expiry->filter_count, 1);
}

/* Called when a compaction starts; NULL: it needs no filter. The count tells `close` that no thread of
 * RocksDB looks at the expiry any more, and orders what they did before its free. */
static rocksdb_compactionfilter_t *filter_new(void *arg, rocksdb_compactionfiltercontext_t *context)
{
    (void)context;
    struct rocks_expiry *expiry = arg;
    atomic_fetch_add(&expiry->filter_count, 1);
    struct backend_expiry at = { .processing_states = atomic_load(&expiry->processing_states),
        .event_states = atomic_load(&expiry->event_states),
        .now_ms = atomic_load(&expiry->now_ms),
        .watermark_ms = atomic_load(&expiry->watermark_ms) };
    if ((at.processing_states | at.event_states) == 0) {
        atomic_fetch_sub(&expiry->filter_count, 1);
        return NULL;
    }
    struct filter *filter = mem_alloc(sizeof(*filter));
    *filter = (struct filter){ .expiry = expiry, .at = at };
    return rocksdb_compactionfilter_create(filter, filter_free, filter_entry, filter_name);
}

static void factory_freed(void *arg)
{
    (void)arg; /* part of struct rocks */
}

/* -- life ----------------------------------------------------------------------------------- */

static void free_parts(struct rocks *rocks)
{
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_readoptions_destroy(rocks->read_row);
    rocksdb_readoptions_destroy(rocks->read_all);
    if (rocks->options != NULL)
        rocksdb_options_destroy(rocks->options);
    pthread_mutex_destroy(&rocks->stored.lock);
    arena_release(&rocks->stored.arena);
    mem_free(rocks->key);
    mem_free(rocks->directory);
    mem_free(rocks->database);
    mem_free(rocks->checkpoint_dir);
    mem_free(rocks);
}

static void close(struct backend *backend)
{
    struct rocks *rocks = rocks_of(backend);
    ASSERT(atomic_load(&rocks->snapshot_count) == 0);
    unpin(rocks);
    drop_kept(rocks);
    if (rocks->checkpoint != NULL)
        rocksdb_checkpoint_object_destroy(rocks->checkpoint);
    if (rocks->db != NULL) {
        rocksdb_column_family_handle_destroy(rocks->entries);
        rocksdb_close(rocks->db);
    }
    ASSERT(atomic_load(&rocks->expiry.filter_count) == 0);
    weir_error_free(os_remove_tree(rocks->directory)); /* rubbish at worst, in a work directory */
    free_parts(rocks);
}

static struct rocks *new_rocks(const struct backend_options *options)
{
    ASSERT(options->directory != NULL);
    struct rocks *rocks = mem_alloc(sizeof(*rocks));
    rocks->backend.backend_class = &backend_rocksdb;
    rocks->groups = options->groups;
    rocks->attempt = options->attempt;
    rocks->workers = options->workers;
    rocks->directory = mem_strdup(options->directory);
    rocks->database = mem_printf("%s/db", options->directory);
    rocks->checkpoint_dir = mem_strdup(options->checkpoint_dir);
    rocks->read = rocksdb_readoptions_create();
    rocks->read_row = rocksdb_readoptions_create();
    rocksdb_readoptions_set_prefix_same_as_start(rocks->read_row, 1);
    rocks->read_all = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(rocks->read_all,
        0); /* once: must not push out what is hot */
    rocksdb_readoptions_set_total_order_seek(rocks->read_all, 1); /* not by the filters of rows */
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(rocks->write, 1);
    ASSERT(pthread_mutex_init(&rocks->stored.lock, NULL) == 0);
    return rocks;
}

static weir_error *open_database(struct rocks *rocks, const struct backend_options *options,
    const struct backend_source *sources, uint32_t source_count)
{
    WEIR_TRY(rocks_options_new(options->memory_size, &rocks->options));
    rocksdb_options_set_compaction_filter_factory(rocks->options,
        rocksdb_compactionfilterfactory_create(&rocks->expiry, factory_freed, filter_new,
            filter_name));
    WEIR_TRY(os_remove_tree(rocks->directory)); /* what an unclean end of ours has left */
    WEIR_TRY(os_make_dirs(rocks->directory));
    WEIR_TRY(rocks_restore(rocks, sources, source_count));
    ASSERT(rocks->db != NULL);
    char *message = NULL;
    rocks->checkpoint = rocksdb_checkpoint_object_create(rocks->db, &message);
    return failed(rocks, message, "prepare checkpoints of");
}

static weir_error *open(const struct backend_options *options, const struct backend_source *sources,
    uint32_t source_count, struct backend **backend)
{
    *backend = NULL;
    WEIR_TRY(backend_check_sources(options->groups, sources, source_count));
    struct rocks *rocks = new_rocks(options);
    weir_error *error = open_database(rocks, options, sources, source_count);
    if (error != NULL) {
        close(&rocks->backend);
        return error;
    }
    *backend = &rocks->backend;
    return NULL;
}

/* Nothing to learn: a snapshot looks for itself which stored files still exist. */
static void confirm(struct backend *backend, uint64_t checkpoint)
{
    (void)backend;
    (void)checkpoint;
}

static uint64_t property(const struct rocks *rocks, const char *name)
{
    uint64_t value = 0;
    return rocksdb_property_int(rocks->db, name, &value) == 0 ? value : 0;
}

/* Entries in files, as their own properties have them: of files that were there when it was opened the database's own
 * estimate, "rocksdb.estimate-num-keys", knows nothing (skip_stats_update_on_db_open). */
static uint64_t count_in_files(const struct rocks *rocks)
{
    static const char name[] = "# entries=";
    char *text = rocksdb_property_value(rocks->db, "rocksdb.aggregated-table-properties");
    const char *found = text == NULL ? NULL : strstr(text, name);
    uint64_t count = found == NULL ? 0 : strtoull(found + strlen(name), NULL, 10);
    rocksdb_free(text);
    return count;
}

static uint64_t row_count(struct backend *backend)
{
    const struct rocks *rocks = rocks_of(backend);
    return count_in_files(rocks) + property(rocks, "rocksdb.num-entries-active-mem-table") +
           property(rocks, "rocksdb.num-entries-imm-mem-tables");
}

static uint64_t expired(struct backend *backend)
{
    return atomic_load_explicit(&rocks_of(backend)->expiry.dropped, memory_order_relaxed);
}

static uint64_t size(struct backend *backend)
{
    const struct rocks *rocks = rocks_of(backend);
    return property(rocks, "rocksdb.cur-size-all-mem-tables") +
           property(rocks, "rocksdb.total-sst-files-size");
}

const struct backend_class backend_rocksdb = { .name = "rocksdb-uncached",
    .format = "rocksdb",
    .open = open,
    .close = close,
    .get = get,
    .put = put,
    .remove = remove_entry,
    .clear = clear,
    .each = each_entry,
    .scan = scan,
    .write_changes = rocks_write_changes,
    .stop_writing = rocks_stop_writing,
    .get_values = rocks_get_values,
    .row_count = row_count,
    .iterator_new = iterator_new,
    .iterator_give = iterator_give,
    .iterator_free = iterator_free,
    .expire = expire,
    .snapshot = rocks_snapshot,
    .snapshot_write = rocks_snapshot_write,
    .snapshot_free = rocks_snapshot_free,
    .confirm = confirm,
    .expired = expired,
    .size = size };

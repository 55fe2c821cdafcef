/* cache_restore.c -- a checkpoint's segments, taken into the cache, and into its store what it has no room for.
 *
 * What the last segments have is what was used last. Written into the store it cost a job that comes back 220 ms of
 * 650 for 50 MB, and was read again from there with the first records; put into the table it is in
 * memory where it is wanted, and dirty: the next barrier freezes it like everything else.
 *
 * Of a log that is longer than half of the cache the older part goes to the store, many lists at a time, sorted:
 * through the cache each byte of it was frozen, logged and then written by evictions, 13.6 s of CPU for 1 GB in place
 * of 7.6.
 *
 * Prefixes: cache_ */
#include "state/cache.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

/* The sources without their segments. Thread: task. */
struct bare {
    struct backend_source *sources;
    struct state_file *files; /* of all of them */
};

static uint32_t strip(const struct backend_source *source, struct state_file *files)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->file_count; i++)
        if (!segment_is_name(source->files[i].name))
            files[count++] = source->files[i];
    return count;
}

static void strip_all(struct bare *bare, const struct backend_source *sources,
    uint32_t source_count)
{
    uint64_t count = 0, first = 0;
    for (uint32_t i = 0; i < source_count; i++)
        count += sources[i].file_count;
    bare->sources = mem_alloc_array(source_count + 1, sizeof(*bare->sources));
    bare->files = mem_alloc_array(count + 1, sizeof(*bare->files));
    for (uint32_t i = 0; i < source_count; i++) {
        struct state_file *files = &bare->files[first];
        bare->sources[i] = (struct backend_source){ .groups = sources[i].groups,
            .files = files,
            .file_count = strip(&sources[i], files) };
        first += bare->sources[i].file_count;
    }
}

weir_error *cache_open_store(const struct backend_options *options,
    const struct backend_source *sources, uint32_t source_count, struct backend **store)
{
    struct bare bare;
    strip_all(&bare, sources, source_count);
    weir_error *error = backend_rocksdb.open(options, bare.sources, source_count, store);
    mem_free(bare.sources);
    mem_free(bare.files);
    return error;
}

/* -- into the store -------------------------------------------------------------------------- */

#define LISTS_MAX         64u
#define LISTS_SIZE(cache) ((cache)->share / 8)

/* Thread: task. */
struct replay {
    struct cache *cache;
    uint64_t left;                   /* bytes of segments, from this list on */
    struct changes lists[LISTS_MAX]; /* copies of what goes to the store next */
    uint32_t list_count;
    uint64_t lists_size;
};

static void drop_lists(struct replay *replay)
{
    while (replay->list_count > 0)
        changes_release(&replay->lists[--replay->list_count]);
    replay->lists_size = 0;
}

static weir_error *write_lists(struct replay *replay)
{
    struct cache *cache = replay->cache;
    const struct changes *lists[LISTS_MAX];
    if (replay->list_count == 0)
        return NULL;
    for (uint32_t i = 0; i < replay->list_count; i++)
        lists[i] = &replay->lists[i];
    WEIR_TRY(cache->verbs->write_changes(cache->store, lists, replay->list_count));
    drop_lists(replay);
    return NULL;
}

/* A large one is not copied, for there may be no memory for it a second time. */
static weir_error *add_list(struct replay *replay, const struct changes *changes)
{
    struct cache *cache = replay->cache;
    if (changes->size >= LISTS_SIZE(cache)) {
        WEIR_TRY(write_lists(replay));
        return cache->verbs->write_changes(cache->store, &changes, 1);
    }
    struct changes *copy = &replay->lists[replay->list_count++];
    *copy = *changes;
    copy->bytes = memcpy(mem_alloc(changes->size), changes->bytes, changes->size);
    copy->capacity = changes->size;
    replay->lists_size += changes->size;
    bool is_full = replay->list_count == LISTS_MAX || replay->lists_size >= LISTS_SIZE(cache);
    return is_full ? write_lists(replay) : NULL;
}

/* -- into the cache -------------------------------------------------------------------------- */

static weir_error *apply_row(struct cache *cache, const struct change_row *row,
    const struct row_key *key)
{
    const struct backend_class *verbs = cache->backend.backend_class;
    weir_str name, value;
    struct change_cells cells = change_cells(row);
    if (row->is_cleared)
        WEIR_TRY(verbs->clear(&cache->backend, key));
    while (change_cells_next(&cells, &name, &value))
        WEIR_TRY(value.data == NULL ? verbs->remove(&cache->backend, key, name)
                                    : verbs->put(&cache->backend, key, name, value));
    return NULL;
}

uint32_t cache_next_rows(const struct cache *cache, const struct changes *changes,
    const struct change_row **last, const struct change_row **found, struct row_key *keys)
{
    const struct change_row *row;
    uint32_t count = 0;
    while (count < CACHE_ROWS_TOGETHER && (row = changes_next(changes, *last)) != NULL) {
        found[count] = *last = row;
        keys[count] = change_row_key(row);
        keys[count].hash = hash_bytes(keys[count].key.data, keys[count].key.size);
        count++;
    }
    rows_prefetch(&cache->rows, keys, count);
    return count;
}

static weir_error *apply_rows(struct cache *cache, const struct changes *changes)
{
    const struct change_row *last = NULL, *found[CACHE_ROWS_TOGETHER];
    struct row_key keys[CACHE_ROWS_TOGETHER];
    uint32_t count;
    do {
        count = cache_next_rows(cache, changes, &last, found, keys);
        for (uint32_t i = 0; i < count; i++)
            WEIR_TRY(apply_row(cache, found[i], &keys[i]));
    } while (count == CACHE_ROWS_TOGETHER);
    return NULL;
}

/* The store has all lists before those that the cache has. */
static weir_error *apply_list(void *arg, const struct changes *changes)
{
    struct replay *replay = arg;
    struct cache *cache = replay->cache;
    bool is_old = replay->left > LOG_IN_CACHE(cache->budget);
    replay->left -= changes->size < replay->left ? changes->size : replay->left;
    if (is_old)
        return add_list(replay, changes);
    WEIR_TRY(write_lists(replay));
    WEIR_TRY(apply_rows(cache, changes));
    cache->logged_before += changes->size; /* it will be logged again, but is not new */
    if (cache_look_at_pool(cache) > cache->budget)
        cache_evict(cache);
    return NULL;
}

/* Of all sources together: they have no group in common, so it does not matter whose end the cache gets. */
static uint64_t log_size(const struct backend_options *options,
    const struct backend_source *sources, uint32_t source_count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < source_count; i++) {
        if (!group_range_overlaps(sources[i].groups, options->groups))
            continue;
        for (uint32_t f = 0; f < sources[i].file_count; f++)
            if (segment_is_name(sources[i].files[f].name))
                size += sources[i].files[f].length;
    }
    return size;
}

weir_error *cache_replay(struct cache *cache, const struct backend_options *options,
    const struct backend_source *sources, uint32_t source_count)
{
    struct segment_home home = { .directory = options->directory,
        .checkpoint_dir = options->checkpoint_dir,
        .groups = options->groups };
    struct replay replay = { .cache = cache, .left = log_size(options, sources, source_count) };
    weir_error *error = NULL;
    cache_look_at_pool(cache);
    for (uint32_t i = 0; i < source_count && error == NULL; i++)
        if (group_range_overlaps(sources[i].groups, options->groups))
            error = segment_restore(&home, &sources[i], apply_list, &replay);
    if (error == NULL)
        error = write_lists(&replay);
    drop_lists(&replay);
    return error == NULL ? NULL : weir_error_wrap(error, "cannot restore keyed state");
}

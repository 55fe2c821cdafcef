/* cache_restore.c -- a checkpoint's segments, taken into the cache instead of its store.
 *
 * What the last segments have is what was used last. Written into the store it cost a job that comes back 220 ms of
 * 650 for 50 MB, and was read again from there with the first records; put into the table it is in
 * memory where it is wanted, and dirty: the next barrier freezes it like everything else.
 *
 * A log that is larger than the budget is evicted as it comes, list by list.
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

/* -- replay --------------------------------------------------------------------------------- */

static weir_error *apply_row(struct cache *cache, const struct change_row *row)
{
    const struct backend_class *verbs = cache->backend.backend_class;
    struct row_key key = change_row_key(row);
    weir_str name, value;
    struct change_cells cells = change_cells(row);
    key.hash = hash_bytes(key.key.data, key.key.size);
    if (row->is_cleared)
        WEIR_TRY(verbs->clear(&cache->backend, &key));
    while (change_cells_next(&cells, &name, &value))
        WEIR_TRY(value.data == NULL ? verbs->remove(&cache->backend, &key, name)
                                    : verbs->put(&cache->backend, &key, name, value));
    return NULL;
}

static weir_error *apply_list(void *arg, const struct changes *changes)
{
    struct cache *cache = arg;
    const struct change_row *row = NULL;
    while ((row = changes_next(changes, row)) != NULL)
        WEIR_TRY(apply_row(cache, row));
    if (cache_size(cache) > cache->budget)
        cache_evict(cache);
    return NULL;
}

weir_error *cache_replay(struct cache *cache, const struct backend_options *options,
    const struct backend_source *sources, uint32_t source_count)
{
    struct segment_home home = { .directory = options->directory,
        .checkpoint_dir = options->checkpoint_dir,
        .groups = options->groups };
    for (uint32_t i = 0; i < source_count; i++) {
        if (!group_range_overlaps(sources[i].groups, options->groups))
            continue;
        weir_error *error = segment_restore(&home, &sources[i], apply_list, cache);
        if (error != NULL)
            return weir_error_wrap(error, "cannot restore keyed state");
    }
    return NULL;
}

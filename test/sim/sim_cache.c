/* sim_cache.c -- see sim_cache.h. */
#include "test/sim/sim_cache.h"

#include "base/hash.h"
#include "state/cache.h"

#define MEMORY_MIN   (UINT64_C(24) << 10)
#define MEMORY_SIZES 5u /* each twice the one before */

struct sim_cache_counts sim_cache_counts;

void sim_cache_start(void)
{
    sim_cache_counts = (struct sim_cache_counts){ 0 };
}

static uint64_t count_segments(const struct backend_options *options,
    const struct backend_source *sources, uint32_t source_count)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < source_count; i++)
        for (uint32_t f = 0; f < sources[i].file_count; f++)
            count += group_range_overlaps(sources[i].groups, options->groups) &&
                     segment_is_name(sources[i].files[f].name);
    return count;
}

static weir_error *open(const struct backend_options *options, const struct backend_source *sources,
    uint32_t source_count, struct backend **backend)
{
    struct backend_options own = *options;
    uint64_t luck = hash_mix(options->attempt * MAX_PARALLELISM_LIMIT + options->groups.first);
    own.memory_size = MEMORY_MIN << luck % MEMORY_SIZES;
    own.pool = NULL;
    WEIR_TRY(backend_cache.open(&own, sources, source_count, backend));
    sim_cache_counts.opened++;
    sim_cache_counts.segments += count_segments(options, sources, source_count);
    return NULL;
}

const struct backend_class sim_cache = { .name = "rocksdb",
    .format = "rocksdb",
    .open = open,
    .snapshot_write = cache_snapshot_write,
    .snapshot_free = cache_snapshot_free };

/* backend.c -- the list of backends, and what all of them check before a restore.
 *
 * A new backend is one row in the table below and one declaration in backend.h. */
#include "state/backend.h"

#include "base/assert.h"

#include <string.h>

static const struct backend_class *const classes[] = { &backend_hashmap, &backend_rocksdb };

const struct backend_class *backend_find(const char *name)
{
    ASSERT(name != NULL);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    return NULL;
}

/* The number of sources that have this group. */
static uint32_t count_sources(
    const struct backend_source *sources, uint32_t source_count, uint32_t group)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < source_count; i++)
        count += group_range_has(sources[i].groups, group);
    return count;
}

weir_error *backend_check_sources(
    const struct group_range groups, const struct backend_source *sources, uint32_t source_count)
{
    ASSERT(groups.first <= groups.last && groups.last < MAX_PARALLELISM_LIMIT);
    if (source_count == 0)
        return NULL;
    /* Only where a source starts, or just behind its end, can the number of sources change. */
    for (uint32_t i = 0; i <= source_count; i++) {
        uint32_t first = i < source_count ? sources[i].groups.first : groups.first;
        uint32_t behind = i < source_count ? sources[i].groups.last + 1 : groups.first;
        for (uint32_t end = 0; end < 2; end++) {
            uint32_t group = end == 0 ? first : behind;
            if (!group_range_has(groups, group))
                continue;
            uint32_t count = count_sources(sources, source_count, group);
            if (count != 1)
                return weir_errorf(WEIR_E_STATE,
                    "key group %u is in %u of the %u snapshots to restore from instead of in one: "
                    "restore another checkpoint",
                    group, count, source_count);
        }
    }
    return NULL;
}

/* backend.c -- the list of backends, and what all of them check before a restore.
 *
 * A new backend is one row in the table below and one declaration in backend.h. */
#include "state/backend.h"

#include "base/assert.h"
#include "base/memory.h"
#include "state/state_file.h"

#include <string.h>

static const struct backend_class *const classes[] = { &backend_hashmap, &backend_cache,
    &backend_rocksdb };

const struct backend_class *backend_find(const char *name)
{
    ASSERT(name != NULL);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    return NULL;
}

/* The plainest ones stand behind those that add something to them. */
const struct backend_class *backend_of_format(weir_str format)
{
    for (size_t i = sizeof(classes) / sizeof(classes[0]); i > 0; i--)
        if (weir_str_equal(weir_str_of(classes[i - 1]->format), format))
            return classes[i - 1];
    return NULL;
}

static weir_error *bad_sources(uint32_t group, const char *how, uint32_t source_count)
{
    return weir_errorf(WEIR_E_STATE,
        "key group %u is in %s of the %u snapshots to restore from, and must be in one: restore "
        "another checkpoint",
        group, how, source_count);
}

/* Counts group by group; stops at the first group seen twice, so it never costs more than a step for
 * each wanted group and each source. */
static weir_error *count_groups(struct group_range groups, const struct backend_source *sources,
    uint32_t source_count, bool *is_seen)
{
    for (uint32_t i = 0; i < source_count; i++) {
        struct group_range range = sources[i].groups;
        uint32_t first = range.first > groups.first ? range.first : groups.first;
        uint32_t last = range.last < groups.last ? range.last : groups.last;
        for (uint32_t group = first; group <= last; group++) {
            if (is_seen[group - groups.first])
                return bad_sources(group, "more than one", source_count);
            is_seen[group - groups.first] = true;
        }
    }
    for (uint32_t group = groups.first; group <= groups.last; group++)
        if (!is_seen[group - groups.first])
            return bad_sources(group, "none", source_count);
    return NULL;
}

weir_error *backend_check_sources(struct group_range groups, const struct backend_source *sources,
    uint32_t source_count)
{
    ASSERT(groups.first <= groups.last && groups.last < MAX_PARALLELISM_LIMIT);
    if (source_count == 0)
        return NULL;
    bool *is_seen = mem_alloc_array(groups.last - groups.first + 1, sizeof(*is_seen));
    weir_error *error = count_groups(groups, sources, source_count, is_seen);
    mem_free(is_seen);
    return error;
}

weir_error *backend_verify_sources(const struct backend_options *options,
    struct backend_source *sources, uint32_t source_count, struct arena *arena)
{
    uint64_t count = 0, at = 0;
    for (uint32_t i = 0; i < source_count; i++)
        count += sources[i].file_count;
    struct state_file *copies = arena_alloc(arena, (count + 1) * sizeof(*copies)),
                      **list = mem_alloc_array(count + 1, sizeof(*list));
    for (uint32_t i = 0; i < source_count; i++) {
        const struct state_file *files = sources[i].files;
        sources[i].files = &copies[at];
        for (uint32_t f = 0; f < sources[i].file_count; f++, at++) {
            copies[at] = files[f];
            list[at] = &copies[at];
        }
    }
    weir_error *error = state_files_verify(options->checkpoint_dir, options->workers, list, count);
    mem_free(list);
    return error == NULL ? NULL : weir_error_wrap(error, "cannot restore keyed state");
}

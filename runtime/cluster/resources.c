/* resources.c -- see resources.h: a list, short enough to walk. */
#include "runtime/cluster/resources.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "runtime/cluster/conf.h"

#include <string.h>

struct resources {
    struct task_manager **list;
    uint32_t count;
    uint64_t changes;
};

struct resources *resources_new(void)
{
    return mem_alloc(sizeof(struct resources));
}

static void free_one(struct task_manager *it)
{
    mem_free(it->id);
    mem_free(it->host);
    mem_free(it);
}

void resources_free(struct resources *resources)
{
    if (resources == NULL)
        return;
    for (uint32_t i = 0; i < resources->count; i++)
        free_one(resources->list[i]);
    mem_free(resources->list);
    mem_free(resources);
}

struct task_manager *resources_find(const struct resources *resources, const char *id)
{
    for (uint32_t i = 0; i < resources->count; i++) {
        if (strcmp(resources->list[i]->id, id) == 0)
            return resources->list[i];
    }
    return NULL;
}

struct task_manager *resources_add(struct resources *resources, const char *id, const char *host,
    uint32_t slot_count, uint64_t memory_size)
{
    ASSERT(resources_find(resources, id) == NULL);
    ASSERT(slot_count >= 1 && slot_count <= CONF_SLOTS_MAX);
    if (resources->count == RESOURCES_MAX)
        return NULL;
    resources->list =
        mem_realloc(resources->list, (resources->count + 1) * sizeof(*resources->list));
    struct task_manager *it = mem_alloc(sizeof(*it));
    *it = (struct task_manager){ .id = mem_strdup(id),
        .host = mem_strdup(host),
        .slot_count = slot_count,
        .free_count = slot_count,
        .memory_size = memory_size,
        .since_ms = os_wall_ms() };
    resources->list[resources->count++] = it;
    resources->changes++;
    return it;
}

void resources_lost(struct resources *resources, struct task_manager *it)
{
    uint32_t i = 0;
    while (i < resources->count && resources->list[i] != it)
        i++;
    ASSERT(i < resources->count);
    resources->list[i] = resources->list[--resources->count];
    resources->changes++;
    free_one(it);
}

void resources_leave(struct resources *resources, struct task_manager *it)
{
    it->is_leaving = true;
    resources->changes++;
}

uint64_t resources_changes(const struct resources *resources)
{
    return resources->changes;
}

uint32_t resources_count(const struct resources *resources)
{
    return resources->count;
}

struct task_manager *resources_at(const struct resources *resources, uint32_t index)
{
    ASSERT(index < resources->count);
    return resources->list[index];
}

uint32_t resources_slots_free_of(const struct task_manager *it)
{
    return it->is_leaving ? 0 : it->free_count;
}

uint32_t resources_slots_total(const struct resources *resources)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < resources->count; i++)
        total += resources->list[i]->is_leaving ? 0 : resources->list[i]->slot_count;
    return total;
}

uint32_t resources_slots_free(const struct resources *resources)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < resources->count; i++)
        total += resources_slots_free_of(resources->list[i]);
    return total;
}

/* The one that fits best: all of `wanted` with the least left over; if none has that many, the one with the
 * most. */
static struct task_manager *choose(const struct resources *resources, uint32_t wanted)
{
    struct task_manager *best = NULL;
    for (uint32_t i = 0; i < resources->count; i++) {
        struct task_manager *it = resources->list[i];
        if (resources_slots_free_of(it) == 0)
            continue;
        bool fits = it->free_count >= wanted,
             best_fits = best != NULL && best->free_count >= wanted;
        if (best == NULL || (fits && !best_fits) ||
            (fits == best_fits &&
                (fits ? it->free_count < best->free_count : it->free_count > best->free_count)))
            best = it;
    }
    return best;
}

bool resources_take(struct resources *resources, uint32_t wanted, struct grant *given,
    uint32_t *given_count)
{
    ASSERT(wanted > 0);
    *given_count = 0;
    if (resources_slots_free(resources) < wanted)
        return false;
    while (wanted > 0) {
        struct task_manager *from = choose(resources, wanted);
        ASSERT(from != NULL);
        uint32_t count = from->free_count < wanted ? from->free_count : wanted;
        from->free_count -= count;
        wanted -= count;
        given[(*given_count)++] = (struct grant){ .from = from, .slot_count = count };
    }
    return true;
}

void resources_give_back(struct resources *resources, const struct grant *grant)
{
    resources->changes++;
    grant->from->free_count += grant->slot_count;
    ASSERT(grant->from->free_count <= grant->from->slot_count);
}

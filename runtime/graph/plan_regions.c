/* plan_regions.c -- the regions of a plan (plan.h): connected components, by union-find over subtasks. Prefixes:
 * plan_
 *
 * `regions` is the forest: a subtask points to itself or to a lower one of its region. The lowest of a region is its
 * root, so a pass in rising order makes every subtask point to it. */
#include "base/assert.h"
#include "base/memory.h"
#include "runtime/graph/plan.h"

static uint32_t root_of(uint32_t *regions, uint32_t subtask)
{
    while (regions[subtask] != subtask)
        subtask = regions[subtask] = regions[regions[subtask]];
    return subtask;
}

static void join(uint32_t *regions, uint32_t a, uint32_t b)
{
    uint32_t one = root_of(regions, a), other = root_of(regions, b);
    if (one < other)
        regions[other] = one;
    else
        regions[one] = other;
}

static void flatten(uint32_t *regions, uint32_t subtask_count)
{
    for (uint32_t i = 0; i < subtask_count; i++) {
        ASSERT(regions[i] <= i);
        regions[i] = regions[regions[i]];
    }
}

static void join_edge(uint32_t *regions, const struct plan *plan, const struct plan_edge *edge)
{
    const struct plan_vertex *from = &plan->vertices[edge->from_vertex];
    const struct plan_vertex *to = &plan->vertices[edge->to_vertex];
    bool is_forward = edge->partitioner == PARTITIONER_FORWARD;
    ASSERT(!is_forward || from->parallelism == to->parallelism);
    for (uint32_t i = 0; i < to->parallelism; i++)
        join(regions, from->first_subtask + (is_forward ? i : 0), to->first_subtask + i);
    for (uint32_t i = 0; i < from->parallelism && !is_forward; i++)
        join(regions, from->first_subtask + i, to->first_subtask);
}

void plan_regions(const struct plan *plan, uint32_t *regions)
{
    for (uint32_t i = 0; i < plan->subtask_count; i++)
        regions[i] = i;
    for (uint32_t e = 0; e < plan->edge_count; e++)
        join_edge(regions, plan, &plan->edges[e]);
    flatten(regions, plan->subtask_count);
}

void plan_regions_join(uint32_t *regions, uint32_t subtask_count, const uint32_t *groups)
{
    uint32_t group_count = 0;
    for (uint32_t i = 0; i < subtask_count; i++)
        group_count = groups[i] >= group_count ? groups[i] + 1 : group_count;
    uint32_t *firsts =
        mem_alloc_array(group_count, sizeof(*firsts)); /* a subtask + 1; 0: none yet */
    for (uint32_t i = 0; i < subtask_count; i++) {
        if (firsts[groups[i]] == 0)
            firsts[groups[i]] = i + 1;
        join(regions, firsts[groups[i]] - 1, i);
    }
    flatten(regions, subtask_count);
    mem_free(firsts);
}

uint32_t plan_region_count(const struct plan *plan)
{
    uint32_t *regions = mem_alloc_array(plan->subtask_count, sizeof(*regions)), count = 0;
    plan_regions(plan, regions);
    for (uint32_t i = 0; i < plan->subtask_count; i++)
        count += regions[i] == i;
    mem_free(regions);
    return count;
}

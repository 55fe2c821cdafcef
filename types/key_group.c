/* key_group.c -- the inverse of key_group_subtask: the groups that one subtask owns. */
#include "types/key_group.h"

#include "base/assert.h"

/* The smallest group g with g * parallelism / max_parallelism >= subtask. */
static uint32_t first_group(uint32_t subtask, uint32_t parallelism, uint32_t max_parallelism)
{
    uint64_t product = (uint64_t)subtask * max_parallelism;
    return (uint32_t)((product + parallelism - 1) / parallelism);
}

struct group_range key_group_range(uint32_t subtask, uint32_t parallelism, uint32_t max_parallelism)
{
    ASSERT(max_parallelism >= 1 && max_parallelism <= MAX_PARALLELISM_LIMIT);
    ASSERT(parallelism >= 1 && parallelism <= max_parallelism);
    ASSERT(subtask < parallelism);
    struct group_range range = {
        .first = first_group(subtask, parallelism, max_parallelism),
        .last = first_group(subtask + 1, parallelism, max_parallelism) - 1,
    };
    ASSERT(range.first <= range.last && range.last < max_parallelism);
    return range;
}

bool group_range_overlaps(struct group_range a, struct group_range b)
{
    return a.first <= b.last && b.first <= a.last;
}

bool group_range_has(struct group_range range, uint32_t group)
{
    return range.first <= group && group <= range.last;
}

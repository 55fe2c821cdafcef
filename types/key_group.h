/* key_group.h -- which subtask owns which keys, and how that moves when the parallelism changes.
 *
 * A key belongs to the group murmur(hash(key)) % max_parallelism for ever; a subtask owns the
 * contiguous groups g with g * parallelism / max_parallelism == subtask. State is stored by
 * group, so another parallelism moves whole groups and never looks at keys. (Flink's scheme.)
 *
 * Limits: max_parallelism 1 .. 32,768, fixed at a job's fresh start. Thread: any, pure.
 * Prefixes: key_group_, group_range_ */
#ifndef WEIR_TYPES_KEY_GROUP_H
#define WEIR_TYPES_KEY_GROUP_H

#include "base/hash.h"
#include <stdbool.h>
#include <stdint.h>

#define MAX_PARALLELISM_DEFAULT 128
#define MAX_PARALLELISM_LIMIT   32768

/* Thread: immutable after init. Both ends belong to it. */
struct group_range {
    uint32_t first, last;
};

/* A power of two, as by default, spares a division, of which each record has three. */
static inline uint32_t key_group_of(uint64_t key_hash, uint32_t max_parallelism)
{
    uint64_t mixed = hash_mix(key_hash);
    bool is_power_of_two = (max_parallelism & (max_parallelism - 1)) == 0;
    return (uint32_t)(is_power_of_two ? mixed & (max_parallelism - 1) : mixed % max_parallelism);
}
static inline uint32_t key_group_subtask(uint32_t group, uint32_t parallelism,
    uint32_t max_parallelism)
{
    return (uint32_t)((uint64_t)group * parallelism / max_parallelism);
}
struct group_range key_group_range(uint32_t subtask, uint32_t parallelism,
    uint32_t max_parallelism);
bool group_range_overlaps(struct group_range a, struct group_range b);
bool group_range_has(struct group_range range, uint32_t group);

#endif

/* partitioner.h -- which consumer a record goes to: the rule of an edge, without its memory.
 *
 *      forward     subtask i -> i          rebalance  round robin, a segment's worth at a time
 *      broadcast   every channel           key group  key_group_subtask(key_group_of(hash))
 *
 * Only the last needs more than a name. Its answer is looked up: a table of max_parallelism
 * entries, filled from types/key_group.h, turns a hash into a channel with one mask (or a
 * remainder, when max_parallelism is no power of two) and one load.
 *
 * Thread: immutable after init. */
#ifndef WEIR_EXCHANGE_PARTITIONER_H
#define WEIR_EXCHANGE_PARTITIONER_H

#include "base/hash.h"
#include "types/partitioning.h"
#include <stdint.h>

/* Thread: immutable after init. */
struct partitioner {
    uint16_t *channels; /* by key group */
    uint32_t channel_count;
    uint32_t max_parallelism;
    uint32_t mask; /* max_parallelism - 1 if that is a power of two, else 0 */
};
void partitioner_init(struct partitioner *partitioner, uint32_t channel_count,
    uint32_t max_parallelism);
void partitioner_release(struct partitioner *partitioner);

static inline uint32_t partitioner_channel(const struct partitioner *partitioner, uint64_t key_hash)
{
    if (partitioner->channel_count == 1)
        return 0;
    uint64_t mixed = hash_mix(key_hash);
    uint64_t group =
        partitioner->mask != 0 ? mixed & partitioner->mask : mixed % partitioner->max_parallelism;
    return partitioner->channels[group];
}

#endif

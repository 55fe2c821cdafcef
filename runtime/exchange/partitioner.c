/* partitioner.c -- names, and the table from key group to channel. */
#include "runtime/exchange/partitioner.h"

#include "base/assert.h"
#include "base/memory.h"
#include "types/key_group.h"

#include <stddef.h>

_Static_assert(MAX_PARALLELISM_LIMIT - 1 <= UINT16_MAX, "a channel number fits the table");

void partitioner_init(struct partitioner *partitioner, uint32_t channel_count,
    uint32_t max_parallelism)
{
    ASSERT(max_parallelism >= 1 && max_parallelism <= MAX_PARALLELISM_LIMIT);
    ASSERT(channel_count >= 1 && channel_count <= max_parallelism);
    *partitioner = (struct partitioner){
        .channels = mem_alloc_array(max_parallelism, sizeof(partitioner->channels[0])),
        .channel_count = channel_count,
        .max_parallelism = max_parallelism,
        .mask = (max_parallelism & (max_parallelism - 1)) == 0 ? max_parallelism - 1 : 0,
    };
    for (uint32_t group = 0; group < max_parallelism; group++)
        partitioner->channels[group] =
            (uint16_t)key_group_subtask(group, channel_count, max_parallelism);
}

void partitioner_release(struct partitioner *partitioner)
{
    mem_free(partitioner->channels);
    *partitioner = (struct partitioner){ 0 };
}

/* hop.h -- one edge between tasks, without the tasks: a partition, its channels, a gate behind each.
 *
 * Every channel has a gate of its own, as if each belonged to another consumer. */
#ifndef WEIR_TEST_HOP_H
#define WEIR_TEST_HOP_H

#include "runtime/exchange/gate.h"
#include "runtime/exchange/partition.h"
#include "test/support/sample.h"

#define HOP_CHANNELS_MAX 128

struct hop {
    struct segment_pool *pool;
    struct channel *channels[HOP_CHANNELS_MAX];
    struct gate *gates[HOP_CHANNELS_MAX];
    uint32_t channel_count;
    struct partition *partition;
};

/* Options whose zero is a sensible default. */
struct hop_options {
    enum partitioner_kind kind;
    uint32_t channel_count;   /* 0: 1 */
    uint32_t max_parallelism; /* 0: 128 */
    uint32_t credits;         /* 0: CHANNEL_CREDITS_DEFAULT */
    uint32_t subtask;
    uint32_t batch_max; /* 0: GATE_BATCH_MAX */
    size_t pool_size;   /* 0: 64 MiB */
};
void hop_init(struct hop *hop, const struct hop_options *options);
void hop_release(struct hop *hop); /* checks that every segment has come back */

/* The row of sample `index`: its timestamp and hash follow from the seed and index, too. */
struct weir_row hop_row(const struct sample *sample, uint64_t seed);
/* Emits one sample; fails the test on an error. */
void hop_emit(struct hop *hop, const struct sample *sample, uint64_t seed);
void hop_event(struct hop *hop, enum element_kind kind, int64_t value);

#endif

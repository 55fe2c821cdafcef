/* hop.c -- one edge between tasks, without the tasks. */
#include "test/support/hop.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void hop_init(struct hop *hop, const struct hop_options *options)
{
    *hop = (struct hop){ .channel_count = options->channel_count ? options->channel_count : 1 };
    ASSERT(hop->channel_count <= HOP_CHANNELS_MAX);
    hop->pool = segment_pool_new(options->pool_size ? options->pool_size : 64u << 20);
    uint32_t batch_max = options->batch_max ? options->batch_max : GATE_BATCH_MAX;
    for (uint32_t i = 0; i < hop->channel_count; i++) {
        hop->channels[i] =
            channel_new(options->credits ? options->credits : CHANNEL_CREDITS_DEFAULT);
        hop->gates[i] = gate_new(&hop->channels[i], 1, &sample_type, batch_max);
    }
    struct partition_options partition = { .kind = options->kind,
        .type = &sample_type,
        .key = WEIR_KEY(sample, key),
        .max_parallelism = options->max_parallelism ? options->max_parallelism : 128,
        .subtask = options->subtask,
        .pool = hop->pool };
    hop->partition = partition_new(&partition, hop->channels, hop->channel_count);
}

void hop_release(struct hop *hop)
{
    partition_free(hop->partition);
    for (uint32_t i = 0; i < hop->channel_count; i++) {
        gate_free(hop->gates[i]);
        channel_free(hop->channels[i]);
    }
    ASSERT(segment_pool_used(hop->pool) == 0);
    segment_pool_free(hop->pool);
}

struct weir_row hop_row(const struct sample *sample, uint64_t seed)
{
    return (struct weir_row){ .record = sample,
        .timestamp_ms = (int64_t)sample_random(seed + 2, sample->index),
        .key_hash = sample_random(seed + 3, sample->index) };
}

void hop_emit(struct hop *hop, const struct sample *sample, uint64_t seed)
{
    struct weir_row row = hop_row(sample, seed);
    weir_error *error = partition_emit(hop->partition, &row, 1);
    assert_null(error);
}

void hop_event(struct hop *hop, enum element_kind kind, int64_t value)
{
    weir_error *error = partition_event(hop->partition, kind, value);
    assert_null(error);
}

/* sim_event.c -- see sim_event.h. */
#include "test/sim/sim_event.h"

#include "base/hash.h"

#define START_MS INT64_C(1700000000000) /* of event time: long before the simulated now */
#define WIDE_MAX 60000u

static char letters[WIDE_MAX + 64];

/* Another number for each seed, index and use. */
static uint64_t dice(const struct sim_shape *shape, uint64_t index, uint64_t use)
{
    return hash_mix(hash_mix(shape->seed * 8 + use) + index);
}

static weir_str text_of(const struct sim_shape *shape, uint64_t index)
{
    uint64_t number = dice(shape, index, 1);
    uint64_t size = number / 64 % (shape->text_max + 1);
    if (letters[0] == '\0')
        for (size_t i = 0; i < sizeof(letters); i++)
            letters[i] = (char)('a' + i * 7 % 26);
    if (number % 8 == 0)
        return (weir_str){ .data = NULL };
    if (shape->wide_one_in > 0 && dice(shape, index, 2) % shape->wide_one_in == 0)
        size = number / 64 % WIDE_MAX;
    return (weir_str){ .data = letters + number % 64, .size = size };
}

void sim_event_fill(const struct sim_shape *shape, uint64_t index, struct sim_event *event)
{
    uint64_t number = dice(shape, index, 3);
    bool is_hot = number % 100 < shape->hot_percent;
    uint64_t early_ms =
        shape->disorder_ms == 0 ? 0 : dice(shape, index, 4) % (uint64_t)(shape->disorder_ms + 1);
    *event = (struct sim_event){ .index = index,
        .key = is_hot ? 0 : number / 100 % shape->key_count,
        .at_ms = START_MS + (int64_t)(index * 3) - (int64_t)early_ms,
        .amount = (int64_t)(number >> 40) % 1000 - 300,
        .text = text_of(shape, index) };
}

bool sim_event_is_dropped(const struct sim_shape *shape, uint64_t index)
{
    return shape->drop_one_in > 0 && dice(shape, index, 5) % shape->drop_one_in == 0;
}

bool sim_event_is_bad(const struct sim_shape *shape, uint64_t index)
{
    return shape->bad_one_in > 0 && dice(shape, index, 6) % shape->bad_one_in == 0;
}

int64_t sim_event_window(const struct sim_shape *shape, int64_t at_ms)
{
    return at_ms - at_ms % shape->window_ms;
}

uint64_t sim_text_hash(weir_str text)
{
    return text.data == NULL ? 0 : hash_bytes(text.data, text.size);
}

static uint64_t checksum_of(const struct sim_row *row)
{
    return hash_bytes(row, offsetof(struct sim_row, checksum));
}

void sim_row_fill(struct sim_row *row, const struct sim_outcome *outcome)
{
    *row = (struct sim_row){ .kind = outcome->kind,
        .key = outcome->key,
        .index = outcome->index,
        .count = outcome->count,
        .sum = outcome->sum,
        .text_hash = sim_text_hash(outcome->text) };
    row->checksum = checksum_of(row);
}

bool sim_row_is_whole(const struct sim_row *row)
{
    return row->checksum == checksum_of(row);
}

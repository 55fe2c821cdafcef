/* partition_test.c -- every record arrives once, whole, in order, where its partitioner says. */
#include "runtime/exchange/partition.h"

#include "base/memory.h"
#include "test/support/hop.h"
#include "types/key.h"
#include "types/key_group.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

/* What has been taken from a hop, to be compared with what the seed says. */
struct arrivals {
    struct hop *hop;
    uint64_t seed;
    uint64_t next[HOP_CHANNELS_MAX]; /* no smaller index may follow on the channel */
    uint64_t counts[HOP_CHANNELS_MAX];
};

static uint64_t expected_hash(const struct hop *hop, enum partitioner_kind kind,
    const struct sample *sample, uint64_t seed)
{
    if (kind != PARTITIONER_KEY_GROUP)
        return hop_row(sample, seed).key_hash;
    char scratch[64];
    struct weir_key key = WEIR_KEY(sample, key);
    return key_hash(key_encode(&key, sample, scratch, sizeof(scratch)));
}

static void check_row(struct arrivals *arrivals, enum partitioner_kind kind, uint32_t channel,
    uint32_t max_parallelism, const struct weir_row *row)
{
    const struct sample *got = row->record;
    struct sample sent;
    sample_fill(&sent, arrivals->seed, got->index);
    assert_true(sample_equal(got, &sent));
    assert_int_equal(row->timestamp_ms, hop_row(&sent, arrivals->seed).timestamp_ms);
    uint64_t hash = expected_hash(arrivals->hop, kind, &sent, arrivals->seed);
    assert_int_equal(row->key_hash, hash);
    if (kind == PARTITIONER_KEY_GROUP)
        assert_int_equal(channel, key_group_subtask(key_group_of(hash, max_parallelism),
                                      arrivals->hop->channel_count, max_parallelism));
    assert_true(got->index >= arrivals->next[channel]);
    if (kind == PARTITIONER_FORWARD || kind == PARTITIONER_BROADCAST)
        assert_int_equal(got->index, arrivals->next[channel]);
    arrivals->next[channel] = got->index + 1;
    arrivals->counts[channel]++;
}

static void take_all(struct arrivals *arrivals, enum partitioner_kind kind,
    uint32_t max_parallelism)
{
    for (uint32_t i = 0; i < arrivals->hop->channel_count; i++) {
        struct gate_input input;
        for (gate_next(arrivals->hop->gates[i], &input); input.kind != GATE_EMPTY;
             gate_next(arrivals->hop->gates[i], &input)) {
            assert_int_equal(input.kind, GATE_ROWS);
            for (uint32_t r = 0; r < input.row_count; r++)
                check_row(arrivals, kind, i, max_parallelism, &input.rows[r]);
        }
    }
}

/* Batches of random length, flushes and takes at random times; returns how many records. */
static uint64_t emit_many(struct arrivals *arrivals, enum partitioner_kind kind,
    uint32_t max_parallelism, uint64_t least)
{
    static struct sample samples[64];
    struct weir_row rows[64];
    uint64_t index = 0;
    for (uint64_t step = 0; index < least; step++) {
        uint64_t random = sample_random(arrivals->seed + 9, step);
        uint32_t count = 1 + random % COUNT(rows);
        for (uint32_t i = 0; i < count; i++) {
            sample_fill(&samples[i], arrivals->seed, index++);
            rows[i] = hop_row(&samples[i], arrivals->seed);
        }
        weir_error *error = partition_emit(arrivals->hop->partition, rows, count);
        assert_null(error);
        if (random >> 32 & 1)
            partition_flush(arrivals->hop->partition);
        if ((random >> 33 & 7) == 0)
            take_all(arrivals, kind, max_parallelism);
    }
    partition_flush(arrivals->hop->partition);
    while (!partition_flushed(arrivals->hop->partition))
        take_all(arrivals, kind, max_parallelism);
    take_all(arrivals, kind, max_parallelism);
    return index;
}

static void check_property(enum partitioner_kind kind, uint32_t channel_count,
    uint32_t max_parallelism, uint64_t seed)
{
    struct hop hop;
    hop_init(&hop, &(struct hop_options){ .kind = kind,
                       .channel_count = channel_count,
                       .max_parallelism = max_parallelism,
                       .batch_max = 1 + (uint32_t)(seed * 37 % GATE_BATCH_MAX),
                       .pool_size = 256u << 20 });
    struct arrivals arrivals = { .hop = &hop, .seed = seed };
    uint64_t emitted = emit_many(&arrivals, kind, max_parallelism, 3000), received = 0;
    for (uint32_t i = 0; i < channel_count; i++)
        received += arrivals.counts[i];
    assert_int_equal(received, emitted * (kind == PARTITIONER_BROADCAST ? channel_count : 1));
    assert_false(partition_has_open(hop.partition));
    hop_release(&hop);
}

static void every_record_arrives_once_and_whole_where_it_belongs(void **state)
{
    static const struct {
        enum partitioner_kind kind;
        uint32_t channel_count, max_parallelism;
    } rows[] = {
        { PARTITIONER_FORWARD, 1, 128 },
        { PARTITIONER_REBALANCE, 1, 128 },
        { PARTITIONER_REBALANCE, 7, 128 },
        { PARTITIONER_BROADCAST, 1, 128 },
        { PARTITIONER_BROADCAST, 5, 128 },
        { PARTITIONER_KEY_GROUP, 1, 1 },
        { PARTITIONER_KEY_GROUP, 2, 128 },
        { PARTITIONER_KEY_GROUP, 7, 1000 },
        { PARTITIONER_KEY_GROUP, 128, 128 },
        { PARTITIONER_KEY_GROUP, 100, 32768 },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_property(rows[i].kind, rows[i].channel_count, rows[i].max_parallelism, i);
}

static void rebalancing_gives_each_channel_its_turn(void **state)
{
    enum { CHANNELS = 4, RECORDS = 40000 };
    struct hop hop;
    hop_init(&hop, &(struct hop_options){ .kind = PARTITIONER_REBALANCE,
                       .channel_count = CHANNELS,
                       .credits = 1000,
                       .subtask = 6 });
    struct sample sample;
    for (uint64_t i = 0; i < RECORDS; i++) {
        sample_fill_small(&sample, 1, i);
        hop_emit(&hop, &sample, 1);
    }
    /* A slow stream is spread by its flushes. */
    partition_flush(hop.partition);
    uint32_t before[CHANNELS], after[CHANNELS];
    for (uint32_t c = 0; c < CHANNELS; c++)
        before[c] = 1000 - channel_room(hop.channels[c]);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        hop_emit(&hop, &sample, 1);
        assert_true(partition_has_open(hop.partition));
        partition_flush(hop.partition);
    }
    for (uint32_t c = 0; c < CHANNELS; c++) {
        after[c] = 1000 - channel_room(hop.channels[c]);
        assert_int_equal(after[c], before[c] + 1);
        assert_in_range(before[c], before[0] - 1, before[0] + 1);
        assert_true(before[c] > 10);
    }
    hop_release(&hop);
}

static void an_event_follows_the_records_before_it_on_every_channel(void **state)
{
    enum { CHANNELS = 3 };
    struct hop hop;
    hop_init(&hop,
        &(struct hop_options){ .kind = PARTITIONER_BROADCAST, .channel_count = CHANNELS });
    struct sample sample;
    for (uint64_t i = 0; i < 10; i++) {
        sample_fill_small(&sample, 1, i);
        hop_emit(&hop, &sample, 1);
        hop_event(&hop, ELEMENT_WATERMARK, (int64_t)i);
        if (i % 3 == 0)
            hop_event(&hop, ELEMENT_IDLE, 0);
    }
    hop_event(&hop, ELEMENT_END, 0);
    hop_event(&hop, ELEMENT_BARRIER, 77);
    int64_t seen[CHANNELS] = { 0 };
    while (!partition_flushed(hop.partition) || gate_has_input(hop.gates[0]))
        for (uint32_t c = 0; c < CHANNELS; c++) {
            struct gate_input input;
            gate_next(hop.gates[c], &input);
            if (input.kind == GATE_EMPTY)
                continue;
            if (input.kind == GATE_ROWS) {
                assert_int_equal(input.row_count, 1);
                seen[c]++;
            } else if (input.event == ELEMENT_WATERMARK) {
                assert_int_equal(input.value, seen[c] - 1);
            } else if (input.event == ELEMENT_BARRIER) {
                assert_true(seen[c] == 10 && input.value == 77);
            }
        }
    hop_release(&hop);
}

/* One record, of every size around that of a segment: behind some of them is no room for the event. */
static void an_event_that_finds_a_full_segment_follows_its_record(void **state)
{
    static char text[SEGMENT_CAPACITY];
    uint32_t full_count = 0;
    for (size_t size = SEGMENT_CAPACITY - 200; size < SEGMENT_CAPACITY; size += 8) {
        struct hop hop;
        hop_init(&hop, &(struct hop_options){ .kind = PARTITIONER_FORWARD, .credits = 100 });
        struct sample sample = { .index = 1, .text = { .data = text, .size = size } };
        hop_emit(&hop, &sample, 1);
        hop_event(&hop, ELEMENT_BARRIER, 5);
        full_count += channel_room(hop.channels[0]) == 98;
        struct gate_input input;
        gate_next(hop.gates[0], &input);
        assert_int_equal(input.kind, GATE_ROWS);
        assert_int_equal(((const struct sample *)input.rows[0].record)->text.size, size);
        gate_next(hop.gates[0], &input);
        assert_int_equal(input.kind, GATE_EVENT);
        assert_int_equal(input.value, 5);
        gate_next(hop.gates[0], &input);
        assert_int_equal(input.kind, GATE_EMPTY);
        hop_release(&hop);
    }
    assert_true(full_count > 0);
}

static void a_barrier_is_delivered_without_a_credit(void **state)
{
    struct hop hop;
    hop_init(&hop, &(struct hop_options){ .kind = PARTITIONER_FORWARD, .credits = 1 });
    struct sample sample;
    uint64_t emitted = 0;
    /* Far beyond the credit, into the overflow, as one long step might. */
    while (channel_flushed(hop.channels[0])) {
        sample_fill_small(&sample, 3, emitted++);
        hop_emit(&hop, &sample, 3);
    }
    assert_false(partition_has_room(hop.partition));
    hop_event(&hop, ELEMENT_BARRIER, 9);
    sample_fill_small(&sample, 3, emitted);
    hop_emit(&hop, &sample, 3);
    partition_flush(hop.partition);

    struct gate_input input = { 0 };
    uint64_t received = 0;
    while (input.kind != GATE_EVENT) {
        gate_next(hop.gates[0], &input);
        (void)partition_has_room(hop.partition); /* what a woken producer does */
        received += input.kind == GATE_ROWS ? input.row_count : 0;
    }
    assert_int_equal(input.event, ELEMENT_BARRIER);
    assert_int_equal(input.value, 9);
    assert_int_equal(received, emitted);
    gate_next(hop.gates[0], &input);
    assert_int_equal(input.row_count, 1);
    hop_release(&hop);
}

/* The channel behind the full one has a barrier in its overflow: asking for room must move it. */
static void asking_for_room_moves_the_overflow_of_every_channel(void **state)
{
    struct hop hop;
    hop_init(&hop,
        &(struct hop_options){ .kind = PARTITIONER_BROADCAST, .channel_count = 2, .credits = 1 });
    for (int i = 0; i < 1 + CHANNEL_RESERVE; i++)
        hop_event(&hop, ELEMENT_WATERMARK, i);
    hop_event(&hop, ELEMENT_BARRIER, 5);
    struct gate_input input;
    for (int i = 0; i < 1 + CHANNEL_RESERVE; i++)
        gate_next(hop.gates[1], &input);
    gate_next(hop.gates[1], &input);
    assert_int_equal(input.kind, GATE_EMPTY);
    assert_false(partition_has_room(hop.partition)); /* because of channel 0 */
    gate_next(hop.gates[1], &input);
    assert_int_equal(input.event, ELEMENT_BARRIER);
    hop_release(&hop);
}

static void check_refused(struct hop *hop, const struct sample *sample, const char *words)
{
    struct weir_row row = { .record = sample };
    weir_error *error = partition_emit(hop->partition, &row, 1);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_LIMIT);
    assert_non_null(strstr(weir_error_message(error), words));
    assert_non_null(strstr(weir_error_message(error), "'sample'"));
    weir_error_free(error);
}

static void what_is_too_large_is_refused(void **state)
{
    static char bytes[WEIR_RECORD_SIZE_MAX + 1];
    static const struct {
        uint64_t key_size, text_size;
        const char *words; /* NULL: accepted */
    } rows[] = {
        { KEY_SIZE_MAX, 0, NULL },
        { KEY_SIZE_MAX + 1, 0, "key" },
        { 1, WEIR_RECORD_SIZE_MAX - sizeof(struct sample) - 1, NULL },
        { 1, WEIR_RECORD_SIZE_MAX - sizeof(struct sample), "bytes" },
        { 1, UINT64_MAX - 100, "bytes" },
        { 1, UINT64_MAX, "bytes" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hop hop;
        hop_init(&hop, &(struct hop_options){ .kind = PARTITIONER_KEY_GROUP, .channel_count = 2 });
        struct sample sample = { .key = { .data = bytes, .size = rows[i].key_size },
            .text = { .data = bytes, .size = rows[i].text_size } };
        if (rows[i].words == NULL)
            hop_emit(&hop, &sample, 1);
        else
            check_refused(&hop, &sample, rows[i].words);
        hop_release(&hop);
    }
}

static void running_out_of_memory_is_an_error(void **state)
{
    struct hop hop;
    hop_init(&hop, &(struct hop_options){ .kind = PARTITIONER_FORWARD,
                       .credits = 100,
                       .pool_size = 300u << 10 });
    static char bytes[200u << 10];
    struct sample sample = { .text = { .data = bytes, .size = sizeof(bytes) } };
    hop_emit(&hop, &sample, 1);
    check_refused(&hop, &sample, "memory");
    hop_release(&hop);
}

static void emitting_allocates_nothing_once_the_pool_is_warm(void **state)
{
    struct hop hop;
    hop_init(&hop, &(struct hop_options){ .kind = PARTITIONER_KEY_GROUP, .channel_count = 4 });
    uint64_t allocations = 0, received = 0;
    struct sample sample;
    for (uint64_t i = 0; i < 50000; i++) {
        if (i == 25000) {
            allocations = mem_count();
            received = 0;
        }
        sample_fill_small(&sample, 1, i);
        hop_emit(&hop, &sample, 1);
        if (i % 200 == 0)
            hop_event(&hop, ELEMENT_WATERMARK, (int64_t)i);
        struct gate_input input;
        for (uint32_t c = 0; c < 4; c++) {
            gate_next(hop.gates[c], &input);
            received += input.kind == GATE_ROWS ? input.row_count : 0;
        }
    }
    assert_int_equal(mem_count(), allocations);
    assert_true(received > 20000);
    hop_release(&hop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_arrives_once_and_whole_where_it_belongs),
        cmocka_unit_test(rebalancing_gives_each_channel_its_turn),
        cmocka_unit_test(an_event_follows_the_records_before_it_on_every_channel),
        cmocka_unit_test(an_event_that_finds_a_full_segment_follows_its_record),
        cmocka_unit_test(a_barrier_is_delivered_without_a_credit),
        cmocka_unit_test(asking_for_room_moves_the_overflow_of_every_channel),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(emitting_allocates_nothing_once_the_pool_is_warm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* gate_test.c -- several channels into one gate: turns, batches, blocking, giving back. */
#include "runtime/exchange/gate.h"

#include "runtime/exchange/partition.h"
#include "test/support/hop.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PRODUCERS 3

/* Three producers, one consumer. */
struct fixture {
    struct segment_pool *pool;
    struct channel *channels[PRODUCERS];
    struct partition *partitions[PRODUCERS];
    struct gate *gate;
    uint64_t emitted[PRODUCERS];
};

static void fixture_init(struct fixture *fixture, uint32_t batch_max)
{
    *fixture = (struct fixture){ .pool = segment_pool_new(64u << 20) };
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        fixture->channels[i] = channel_new(100);
        struct partition_options options = { .kind = PARTITIONER_FORWARD,
            .type = &sample_type,
            .subtask = i,
            .pool = fixture->pool };
        fixture->partitions[i] = partition_new(&options, &fixture->channels[i], 1);
    }
    fixture->gate = gate_new(fixture->channels, PRODUCERS, &sample_type, batch_max);
}

static void fixture_release(struct fixture *fixture)
{
    gate_free(fixture->gate);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        partition_free(fixture->partitions[i]);
        channel_free(fixture->channels[i]);
    }
    assert_int_equal(segment_pool_used(fixture->pool), 0);
    segment_pool_free(fixture->pool);
}

static void emit(struct fixture *fixture, uint32_t producer, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct sample sample;
        sample_fill_small(&sample, producer, fixture->emitted[producer]++);
        struct weir_row row = hop_row(&sample, producer);
        weir_error *error = partition_emit(fixture->partitions[producer], &row, 1);
        assert_null(error);
    }
    partition_flush(fixture->partitions[producer]);
}

static void event(struct fixture *fixture, uint32_t producer, enum element_kind kind, int64_t value)
{
    weir_error *error = partition_event(fixture->partitions[producer], kind, value);
    assert_null(error);
}

static struct gate_input next(struct fixture *fixture)
{
    struct gate_input input;
    gate_next(fixture->gate, &input);
    return input;
}

static void an_empty_gate_has_no_input(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, 10);
    assert_int_equal(gate_channel_count(fixture.gate), PRODUCERS);
    assert_false(gate_has_input(fixture.gate));
    assert_int_equal(next(&fixture).kind, GATE_EMPTY);
    emit(&fixture, 1, 1);
    assert_true(gate_has_input(fixture.gate));
    assert_int_equal(next(&fixture).kind, GATE_ROWS);
    assert_false(gate_has_input(fixture.gate));
    assert_int_equal(next(&fixture).kind, GATE_EMPTY);
    fixture_release(&fixture);
}

static void batches_are_of_one_channel_and_within_the_limit(void **state)
{
    static const uint32_t limits[] = { 1, 7, GATE_BATCH_MAX };
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        struct fixture fixture;
        fixture_init(&fixture, limits[l]);
        for (uint32_t i = 0; i < PRODUCERS; i++)
            emit(&fixture, i, 2000);
        uint64_t received[PRODUCERS] = { 0 };
        struct gate_input input;
        while ((input = next(&fixture)).kind == GATE_ROWS) {
            assert_in_range(input.row_count, 1, limits[l]);
            for (uint32_t r = 0; r < input.row_count; r++) {
                struct sample sent;
                sample_fill_small(&sent, input.channel, received[input.channel]++);
                assert_true(sample_equal(input.rows[r].record, &sent));
            }
        }
        for (uint32_t i = 0; i < PRODUCERS; i++)
            assert_int_equal(received[i], 2000);
        fixture_release(&fixture);
    }
}

static void channels_take_turns_a_segment_each(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, 2);
    for (int round = 0; round < 4; round++)
        emit(&fixture, 0, 3); /* four segments */
    emit(&fixture, 1, 3);
    emit(&fixture, 2, 3);
    static const uint32_t turns[] = { 0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0 };
    for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
        assert_int_equal(next(&fixture).channel, turns[i]);
    assert_int_equal(next(&fixture).kind, GATE_EMPTY);
    fixture_release(&fixture);
}

static void events_come_where_they_were_put(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, GATE_BATCH_MAX);
    emit(&fixture, 2, 3);
    event(&fixture, 2, ELEMENT_WATERMARK, 40);
    event(&fixture, 2, ELEMENT_BARRIER, 7);
    emit(&fixture, 2, 1);
    event(&fixture, 2, ELEMENT_END, 0);
    static const struct {
        enum gate_kind kind;
        uint32_t row_count;
        enum element_kind event;
        int64_t value;
    } rows[] = {
        { GATE_ROWS, 3, 0, 0 },
        { GATE_EVENT, 0, ELEMENT_WATERMARK, 40 },
        { GATE_EVENT, 0, ELEMENT_BARRIER, 7 },
        { GATE_ROWS, 1, 0, 0 },
        { GATE_EVENT, 0, ELEMENT_END, 0 },
        { GATE_EMPTY, 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gate_input input = next(&fixture);
        assert_int_equal(input.kind, rows[i].kind);
        assert_int_equal(input.row_count, rows[i].row_count);
        assert_int_equal(input.event, rows[i].event);
        assert_int_equal(input.value, rows[i].value);
        assert_int_equal(input.channel, rows[i].kind == GATE_EMPTY ? 0 : 2);
    }
    fixture_release(&fixture);
}

/* An event in the middle of a segment: no partition makes one, but nothing forbids it. */
static void an_event_ends_a_batch(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, GATE_BATCH_MAX);
    struct sample sample = { .index = 1 };
    struct layout layout;
    layout_init(&layout, &sample_type);
    struct segment *segment = segment_take(fixture.pool, 0);
    for (int i = 0; i < 3; i++) {
        struct element *element =
            segment_add(segment, ELEMENT_RECORD, layout_size(&layout, &sample));
        layout_write(&layout, &sample, element + 1);
        segment_add(segment, ELEMENT_BARRIER, 0)->value = i;
    }
    channel_push(fixture.channels[1], segment);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next(&fixture).row_count, 1);
        struct gate_input input = next(&fixture);
        assert_int_equal(input.event, ELEMENT_BARRIER);
        assert_int_equal(input.value, i);
        gate_block(fixture.gate, 1);
        assert_false(gate_has_input(fixture.gate));
        assert_int_equal(next(&fixture).kind, GATE_EMPTY);
        gate_unblock_all(fixture.gate);
    }
    assert_int_equal(next(&fixture).kind, GATE_EMPTY);
    fixture_release(&fixture);
}

static void a_blocked_channel_is_left_alone(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, GATE_BATCH_MAX);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        emit(&fixture, i, 1);
    gate_block(fixture.gate, 0);
    gate_block(fixture.gate, 2);
    assert_int_equal(next(&fixture).channel, 1);
    assert_false(gate_has_input(fixture.gate));
    assert_int_equal(next(&fixture).kind, GATE_EMPTY);
    assert_int_equal(channel_room(fixture.channels[0]), 99);
    assert_int_equal(channel_room(fixture.channels[1]), 100);
    gate_unblock_all(fixture.gate);
    assert_true(gate_has_input(fixture.gate));
    assert_int_equal(next(&fixture).channel, 2);
    assert_int_equal(next(&fixture).channel, 0);
    assert_int_equal(next(&fixture).kind, GATE_EMPTY);
    fixture_release(&fixture);
}

static void a_segment_is_given_back_after_its_last_batch(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, 2);
    emit(&fixture, 0, 3);
    size_t used = segment_pool_used(fixture.pool);
    assert_int_equal(used, SEGMENT_SIZE);
    assert_int_equal(next(&fixture).row_count, 2);
    struct gate_input last = next(&fixture);
    assert_int_equal(last.row_count, 1);
    assert_int_equal(segment_pool_used(fixture.pool), used);
    assert_int_equal(((const struct sample *)last.rows[0].record)->index, 2); /* still readable */
    assert_int_equal(next(&fixture).kind, GATE_EMPTY);
    assert_int_equal(segment_pool_used(fixture.pool), 0);
    emit(&fixture, 0, 3);
    assert_int_equal(next(&fixture).row_count, 2); /* gate_free gives back a half-read one */
    fixture_release(&fixture);
}

/* -- ahead ----------------------------------------------------------------------------------------- */

/* What was in flight: the indexes of its records, channel by channel. */
struct seen {
    uint64_t indexes[PRODUCERS][64];
    uint32_t counts[PRODUCERS];
    struct layout layout;
};

static void see(void *arg, uint32_t channel, const struct element *first, size_t size)
{
    struct seen *seen = arg;
    for (size_t at = 0; at < size;) {
        const struct element *it = (const void *)((const char *)first + at);
        struct sample sample;
        assert_int_equal(it->kind, ELEMENT_RECORD);
        layout_read(&seen->layout, it + 1, &sample);
        seen->indexes[channel][seen->counts[channel]++] = sample.index;
        at += segment_element_size(it->size);
    }
}

static void expect_seen(const struct seen *seen, uint32_t channel, uint64_t first, uint32_t count)
{
    assert_int_equal(seen->counts[channel], count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(seen->indexes[channel][i], first + i);
}

static void a_barrier_is_seen_behind_records_and_these_are_what_it_overtakes(void **state)
{
    struct fixture fixture;
    struct seen seen = { .counts = { 0 } };
    layout_init(&seen.layout, &sample_type);
    fixture_init(&fixture, 2);
    emit(&fixture, 0, 5);
    assert_int_equal(next(&fixture).row_count, 2); /* in the middle of a segment */
    event(&fixture, 0, ELEMENT_WATERMARK, 7);
    emit(&fixture, 0, 2);
    event(&fixture, 0, ELEMENT_BARRIER, 1);
    emit(&fixture, 0, 3); /* behind it */
    emit(&fixture, 1, 1);
    assert_false(gate_sees_barrier(fixture.gate, 1));
    event(&fixture, 1, ELEMENT_BARRIER, 1);
    gate_block(fixture.gate, 2); /* it has arrived there */
    emit(&fixture, 2, 1);
    assert_true(gate_sees_barrier(fixture.gate, 1));
    gate_each_in_flight(fixture.gate, 1, see, &seen);
    expect_seen(&seen, 0, 2, 5);
    expect_seen(&seen, 1, 0, 1);
    expect_seen(&seen, 2, 0, 0);
    gate_unblock_all(fixture.gate);
    uint64_t received[PRODUCERS] = { 2 };
    uint32_t events = 0;
    for (struct gate_input input; (input = next(&fixture)).kind != GATE_EMPTY;) {
        events += input.kind == GATE_EVENT;
        for (uint32_t r = 0; r < input.row_count; r++)
            assert_int_equal(((const struct sample *)input.rows[r].record)->index,
                received[input.channel]++);
    }
    assert_int_equal(events, 3);
    assert_int_equal(received[0] * 100 + received[1] * 10 + received[2], 1011);
    fixture_release(&fixture);
}

static void a_barrier_of_another_checkpoint_is_none(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, GATE_BATCH_MAX);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        event(&fixture, i, ELEMENT_BARRIER, 2);
    assert_false(gate_sees_barrier(fixture.gate, 1));
    assert_true(gate_sees_barrier(fixture.gate, 2));
    fixture_release(&fixture); /* with what was taken ahead */
}

static void what_is_taken_ahead_keeps_its_places_and_places_are_lent_meanwhile(void **state)
{
    struct fixture fixture;
    fixture_init(&fixture, GATE_BATCH_MAX);
    channel_set_remote(fixture.channels[0]);
    channel_set_remote(fixture.channels[1]);
    for (uint32_t i = 0; i < 100; i++)
        emit(&fixture, 0, 1);
    assert_int_equal(channel_room(fixture.channels[0]), 0);
    assert_false(gate_sees_barrier(fixture.gate, 1));
    assert_int_equal(channel_room(fixture.channels[0]), 100); /* lent */
    event(&fixture, 0, ELEMENT_BARRIER, 1);
    assert_false(gate_sees_barrier(fixture.gate, 1)); /* not in the others */
    assert_int_equal(channel_room(fixture.channels[0]), 0);
    assert_int_equal(channel_room(fixture.channels[1]), 200);
    assert_int_equal(channel_room(fixture.channels[2]), 100); /* its producer is a task */
    gate_look_away(fixture.gate);
    assert_int_equal(channel_room(fixture.channels[1]), 100);
    for (uint32_t i = 0; i < 101; i++)
        assert_true(gate_has_input(fixture.gate) && next(&fixture).kind != GATE_EMPTY);
    assert_int_equal(channel_room(fixture.channels[0]), 100);
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_gate_has_no_input),
        cmocka_unit_test(batches_are_of_one_channel_and_within_the_limit),
        cmocka_unit_test(channels_take_turns_a_segment_each),
        cmocka_unit_test(events_come_where_they_were_put),
        cmocka_unit_test(an_event_ends_a_batch),
        cmocka_unit_test(a_blocked_channel_is_left_alone),
        cmocka_unit_test(a_segment_is_given_back_after_its_last_batch),
        cmocka_unit_test(a_barrier_is_seen_behind_records_and_these_are_what_it_overtakes),
        cmocka_unit_test(a_barrier_of_another_checkpoint_is_none),
        cmocka_unit_test(what_is_taken_ahead_keeps_its_places_and_places_are_lent_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

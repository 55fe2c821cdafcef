/* wire_threads_test.c -- tasks on threads of their own on both sides of two wires with their io threads, asleep
 * when they have nothing to do: a lost wake-up or a forgotten credit hangs here for ever, and the time limit of
 * the run reports it. */
#include "runtime/exchange/wire.h"

#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/exchange/gate.h"
#include "runtime/exchange/partition.h"
#include "test/support/expect.h"
#include "test/support/sample.h"

#include <pthread.h>
#include <stdatomic.h>

#define SIDES 2u

/* Producers are in worker 0, consumers in worker 1. */
struct edge {
    struct workers *workers; /* they look up where the other one is */
    struct segment_pool *pools[2];
    struct wire *wires[2];
    struct wire_address addresses[2];
    struct waker *producers[SIDES], *consumers[SIDES];
    struct channel *from[SIDES][SIDES], *to[SIDES][SIDES];
    struct partition *partitions[SIDES];
    struct gate *gates[SIDES];
    void (*fill)(struct sample *, uint64_t, uint64_t);
    uint64_t count; /* records of each producer */
    _Atomic uint64_t received;
    atomic_uint failures;
};

/* Thread: its own. */
struct side {
    struct edge *edge;
    uint32_t index;
};

static void on_failure(void *arg, weir_error *error)
{
    struct edge *edge = arg;
    weir_error_free(error);
    atomic_fetch_add(&edge->failures, 1);
}

static void edge_init(struct edge *edge, uint32_t credits)
{
    edge->workers = workers_new(1, 16);
    for (uint32_t w = 0; w < 2; w++) {
        struct wire_options options = { .host = "127.0.0.1",
            .self = { .job = "job", .attempt = 1, .worker = w, .worker_count = 2 },
            .workers = edge->workers,
            .failed = on_failure,
            .arg = edge };
        edge->pools[w] = segment_pool_new((size_t)256 << 20);
        expect_ok(wire_new(&options, &edge->wires[w]));
        edge->addresses[w] =
            (struct wire_address){ .host = "127.0.0.1", .port = wire_port(edge->wires[w]) };
    }
    for (uint32_t i = 0; i < SIDES; i++) {
        edge->producers[i] = waker_new();
        edge->consumers[i] = waker_new();
    }
    for (uint32_t p = 0; p < SIDES; p++)
        for (uint32_t c = 0; c < SIDES; c++) {
            struct channel *from = edge->from[p][c] = channel_new(credits);
            struct channel *to = edge->to[c][p] = channel_new(credits);
            channel_set_wakers(from, edge->producers[p], wire_waker(edge->wires[0]));
            channel_set_wakers(to, wire_waker(edge->wires[1]), edge->consumers[c]);
            wire_add_output(edge->wires[0], 1, p * SIDES + c, from);
            wire_add_input(edge->wires[1], 0, p * SIDES + c, to);
        }
    for (uint32_t i = 0; i < SIDES; i++) {
        struct partition_options options = { .kind = PARTITIONER_KEY_GROUP,
            .type = &sample_type,
            .key = WEIR_KEY(sample, key),
            .max_parallelism = 128,
            .subtask = i,
            .pool = edge->pools[0] };
        edge->partitions[i] = partition_new(&options, edge->from[i], SIDES);
        edge->gates[i] = gate_new(edge->to[i], SIDES, &sample_type, 64);
    }
    for (uint32_t w = 0; w < 2; w++) {
        wire_connect(edge->wires[w], edge->addresses, edge->pools[w], 60000);
        expect_ok(wire_start(edge->wires[w]));
    }
}

static void edge_release(struct edge *edge)
{
    for (uint32_t w = 0; w < 2; w++)
        wire_free(edge->wires[w]);
    workers_free(edge->workers);
    for (uint32_t i = 0; i < SIDES; i++) {
        partition_free(edge->partitions[i]);
        gate_free(edge->gates[i]);
        for (uint32_t j = 0; j < SIDES; j++) {
            channel_free(edge->from[i][j]);
            channel_free(edge->to[i][j]);
        }
        waker_free(edge->producers[i]);
        waker_free(edge->consumers[i]);
    }
    for (uint32_t w = 0; w < 2; w++)
        segment_pool_free(edge->pools[w]);
}

static void await_room(const struct side *side)
{
    while (!partition_has_room(side->edge->partitions[side->index]))
        waker_wait(side->edge->producers[side->index], -1);
}

/* A barrier after every 500 records. The seed of a record's content is its producer. */
static void *produce(void *arg)
{
    const struct side *side = arg;
    struct partition *partition = side->edge->partitions[side->index];
    for (uint64_t i = 0; i < side->edge->count; i++) {
        struct sample sample;
        side->edge->fill(&sample, side->index, i);
        struct weir_row row = { .record = &sample, .timestamp_ms = (int64_t)side->index };
        await_room(side);
        expect_ok(partition_emit(partition, &row, 1));
        if (i % 500 == 499) {
            await_room(side);
            expect_ok(partition_event(partition, ELEMENT_BARRIER, (int64_t)(i / 500 + 1)));
        }
    }
    expect_ok(partition_event(partition, ELEMENT_END, 0));
    while (!partition_flushed(partition))
        waker_wait(side->edge->producers[side->index], -1);
    return NULL;
}

/* What one consumer has seen of each producer. */
struct seen {
    uint64_t next[SIDES]; /* index above all so far */
    int64_t barrier[SIDES];
    uint32_t aligned, ended;
};

static void check_rows(const struct side *side, const struct gate_input *input, struct seen *seen)
{
    for (uint32_t i = 0; i < input->row_count; i++) {
        const struct sample *got = input->rows[i].record;
        struct sample expected;
        uint32_t producer = (uint32_t)input->rows[i].timestamp_ms;
        assert_int_equal(producer, input->channel);
        assert_true(got->index >= seen->next[producer]);
        assert_int_equal(got->index / 500, seen->barrier[producer]); /* none passes a barrier */
        seen->next[producer] = got->index + 1;
        side->edge->fill(&expected, producer, got->index);
        assert_true(sample_equal(got, &expected));
    }
    atomic_fetch_add(&side->edge->received, input->row_count);
}

static void *consume(void *arg)
{
    const struct side *side = arg;
    struct gate *gate = side->edge->gates[side->index];
    struct seen seen = { .ended = 0 };
    while (seen.ended < SIDES) {
        struct gate_input input;
        gate_next(gate, &input);
        if (input.kind == GATE_ROWS) {
            check_rows(side, &input, &seen);
        } else if (input.kind == GATE_EMPTY) {
            waker_wait(side->edge->consumers[side->index], -1);
        } else if (input.event == ELEMENT_END) {
            seen.ended++;
        } else { /* as a task aligns: the first one waits for the other */
            seen.barrier[input.channel] = input.value;
            gate_block(gate, input.channel);
            if (++seen.aligned % SIDES == 0)
                gate_unblock_all(gate);
        }
    }
    return NULL;
}

static void run(struct edge *edge, uint32_t credits)
{
    pthread_t threads[2 * SIDES];
    struct side sides[SIDES];
    edge_init(edge, credits);
    for (uint32_t i = 0; i < SIDES; i++) {
        sides[i] = (struct side){ edge, i };
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &sides[i]), 0);
        assert_int_equal(pthread_create(&threads[SIDES + i], NULL, consume, &sides[i]), 0);
    }
    for (uint32_t i = 0; i < 2 * SIDES; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&edge->received), SIDES * edge->count);
    assert_int_equal(atomic_load(&edge->failures), 0);
    edge_release(edge);
}

/* -- tests ------------------------------------------------------------------------------------ */

static void records_and_barriers_arrive_in_order_between_threads(void **state)
{
    for (uint32_t credits = 1; credits <= 6; credits += 5) {
        struct edge edge = { .fill = sample_fill_small, .count = 50000 };
        run(&edge, credits);
    }
}

static void records_of_all_sizes_arrive_between_threads(void **state)
{
    for (uint32_t credits = 1; credits <= 6; credits += 5) {
        struct edge edge = { .fill = sample_fill, .count = 3000 };
        run(&edge, credits);
    }
}

static void a_wire_that_stops_while_records_flow_fails_the_other_once(void **state)
{
    for (uint32_t w = 0; w < 2; w++) {
        struct edge edge = { .fill = sample_fill_small, .count = 1 };
        edge_init(&edge, 6);
        struct sample sample;
        sample_fill_small(&sample, 0, 0);
        while (metric_get(&wire_metrics(edge.wires[1])->segments_in) < 5) {
            struct weir_row row = { .record = &sample };
            if (partition_has_room(edge.partitions[0]))
                expect_ok(partition_emit(edge.partitions[0], &row, 1));
            else
                waker_wait(edge.producers[0], 1);
        }
        wire_stop(edge.wires[w]);
        for (uint32_t i = 0; i < 10000 && atomic_load(&edge.failures) == 0; i++)
            waker_wait(edge.producers[1], 10);
        assert_int_equal(atomic_load(&edge.failures), 1);
        edge_release(&edge);
    }
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_and_barriers_arrive_in_order_between_threads),
        cmocka_unit_test(records_of_all_sizes_arrive_between_threads),
        cmocka_unit_test(a_wire_that_stops_while_records_flow_fails_the_other_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* channel_threads_test.c -- producers and consumers on threads of their own, asleep when they have
 * nothing to do: a lost wake-up hangs here for ever, and the time limit of the run reports it. */
#include "runtime/exchange/channel.h"

#include "base/os.h"
#include "runtime/exchange/gate.h"
#include "runtime/exchange/partition.h"
#include "test/support/hop.h"
#include "types/key_group.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#define SIDES_MAX 3
#define STEP_ROWS 32

/* What the threads of one test share; each side has an index. */
struct exchange {
    uint32_t producer_count, consumer_count;
    uint64_t record_count; /* of each producer */
    uint64_t barrier_interval;
    uint32_t nap_us; /* of a consumer, after each batch of the first thousand */
    void (*fill)(struct sample *, uint64_t, uint64_t);
    struct segment_pool *pool;
    struct waker *producer_wakers[SIDES_MAX], *consumer_wakers[SIDES_MAX];
    struct channel *channels[SIDES_MAX][SIDES_MAX]; /* [producer][consumer] */
    struct partition *partitions[SIDES_MAX];
    struct gate *gates[SIDES_MAX];
    _Atomic size_t used_max;
    _Atomic uint64_t received;
    _Atomic uint64_t sleeps; /* of producers, for room */
};

static void exchange_init(struct exchange *exchange, uint32_t credits)
{
    exchange->pool = segment_pool_new(256u << 20);
    for (uint32_t p = 0; p < exchange->producer_count; p++) {
        exchange->producer_wakers[p] = waker_new();
        for (uint32_t c = 0; c < exchange->consumer_count; c++)
            exchange->channels[p][c] = channel_new(credits);
        struct partition_options options = { .kind = PARTITIONER_KEY_GROUP,
            .type = &sample_type,
            .key = WEIR_KEY(sample, key),
            .max_parallelism = 128,
            .subtask = p,
            .pool = exchange->pool };
        exchange->partitions[p] =
            partition_new(&options, exchange->channels[p], exchange->consumer_count);
    }
    for (uint32_t c = 0; c < exchange->consumer_count; c++) {
        struct channel *inputs[SIDES_MAX];
        exchange->consumer_wakers[c] = waker_new();
        for (uint32_t p = 0; p < exchange->producer_count; p++) {
            inputs[p] = exchange->channels[p][c];
            channel_set_wakers(inputs[p], exchange->producer_wakers[p],
                exchange->consumer_wakers[c]);
        }
        exchange->gates[c] = gate_new(inputs, exchange->producer_count, &sample_type, 64);
    }
}

static void exchange_release(struct exchange *exchange)
{
    for (uint32_t p = 0; p < exchange->producer_count; p++) {
        partition_free(exchange->partitions[p]);
        waker_free(exchange->producer_wakers[p]);
        for (uint32_t c = 0; c < exchange->consumer_count; c++)
            channel_free(exchange->channels[p][c]);
    }
    for (uint32_t c = 0; c < exchange->consumer_count; c++) {
        gate_free(exchange->gates[c]);
        waker_free(exchange->consumer_wakers[c]);
    }
    ASSERT(segment_pool_used(exchange->pool) == 0);
    segment_pool_free(exchange->pool);
}

/* Thread: one of its own. */
struct side {
    struct exchange *exchange;
    uint32_t index;
};

static void produce_step(struct exchange *exchange, uint32_t index, uint64_t *next)
{
    struct sample samples[STEP_ROWS];
    struct weir_row rows[STEP_ROWS];
    uint32_t count = 0;
    while (count < STEP_ROWS && *next < exchange->record_count) {
        exchange->fill(&samples[count], index, (*next)++);
        rows[count] = hop_row(&samples[count], index);
        count++;
        if (*next % exchange->barrier_interval == 0)
            break;
    }
    ASSERT(partition_emit(exchange->partitions[index], rows, count) == NULL);
    int64_t barrier = (int64_t)(*next / exchange->barrier_interval);
    if (*next % exchange->barrier_interval == 0)
        ASSERT(partition_event(exchange->partitions[index], ELEMENT_BARRIER, barrier) == NULL);
}

static void *produce(void *arg)
{
    struct side *side = arg;
    struct exchange *exchange = side->exchange;
    struct partition *partition = exchange->partitions[side->index];
    uint64_t next = 0;
    while (next < exchange->record_count) {
        if (partition_has_room(partition)) {
            produce_step(exchange, side->index, &next);
            continue;
        }
        atomic_fetch_add(&exchange->sleeps, 1);
        waker_wait(exchange->producer_wakers[side->index], -1);
    }
    ASSERT(partition_event(partition, ELEMENT_END, 0) == NULL);
    while (!partition_flushed(partition))
        waker_wait(exchange->producer_wakers[side->index], -1);
    return NULL;
}

/* What a consumer knows of its inputs. */
struct progress {
    uint64_t next[SIDES_MAX]; /* by producer: no smaller index may follow */
    uint32_t blocked, ended;
    int64_t barrier; /* the last one that all inputs have delivered */
};

static void check_rows(struct exchange *exchange, uint32_t consumer, struct progress *progress,
    const struct gate_input *input)
{
    for (uint32_t r = 0; r < input->row_count; r++) {
        const struct sample *got = input->rows[r].record;
        struct sample sent;
        exchange->fill(&sent, input->channel, got->index);
        ASSERT(sample_equal(got, &sent));
        ASSERT(input->rows[r].timestamp_ms == hop_row(&sent, input->channel).timestamp_ms);
        uint32_t group = key_group_of(input->rows[r].key_hash, 128);
        ASSERT(key_group_subtask(group, exchange->consumer_count, 128) == consumer);
        ASSERT(got->index >= progress->next[input->channel]);
        progress->next[input->channel] = got->index + 1;
        /* Between its barriers: neither before the last nor, being blocked, behind the next. */
        uint64_t epoch = got->index / exchange->barrier_interval;
        ASSERT(epoch == (uint64_t)progress->barrier);
    }
    atomic_fetch_add(&exchange->received, input->row_count);
}

static void handle_event(struct exchange *exchange, uint32_t consumer, struct progress *progress,
    const struct gate_input *input)
{
    if (input->event == ELEMENT_END) {
        progress->ended++;
        return;
    }
    ASSERT(input->event == ELEMENT_BARRIER);
    ASSERT(input->value == progress->barrier + 1);
    gate_block(exchange->gates[consumer], input->channel);
    if (++progress->blocked < exchange->producer_count)
        return;
    gate_unblock_all(exchange->gates[consumer]);
    progress->blocked = 0;
    progress->barrier++;
}

static void *consume(void *arg)
{
    struct side *side = arg;
    struct exchange *exchange = side->exchange;
    struct progress progress = { 0 };
    for (uint64_t batch = 0; progress.ended < exchange->producer_count; batch++) {
        struct gate_input input;
        gate_next(exchange->gates[side->index], &input);
        size_t used = segment_pool_used(exchange->pool);
        size_t used_max = atomic_load(&exchange->used_max);
        while (
            used > used_max && !atomic_compare_exchange_weak(&exchange->used_max, &used_max, used))
            ;
        if (input.kind == GATE_ROWS)
            check_rows(exchange, side->index, &progress, &input);
        else if (input.kind == GATE_EVENT)
            handle_event(exchange, side->index, &progress, &input);
        else
            waker_wait(exchange->consumer_wakers[side->index], -1);
        if (batch < 1000 && exchange->nap_us > 0)
            nanosleep(&(struct timespec){ .tv_nsec = exchange->nap_us * 1000L }, NULL);
    }
    return NULL;
}

static void run(struct exchange *exchange, uint32_t credits)
{
    pthread_t threads[2 * SIDES_MAX];
    struct side sides[2 * SIDES_MAX];
    uint32_t count = 0;
    exchange_init(exchange, credits);
    for (uint32_t c = 0; c < exchange->consumer_count; c++, count++) {
        sides[count] = (struct side){ exchange, c };
        assert_int_equal(pthread_create(&threads[count], NULL, consume, &sides[count]), 0);
    }
    for (uint32_t p = 0; p < exchange->producer_count; p++, count++) {
        sides[count] = (struct side){ exchange, p };
        assert_int_equal(pthread_create(&threads[count], NULL, produce, &sides[count]), 0);
    }
    for (uint32_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(exchange->received, exchange->record_count * exchange->producer_count);
    exchange_release(exchange);
}

static void records_cross_threads_in_order_between_their_barriers(void **state)
{
    static const struct {
        uint32_t producer_count, consumer_count, credits;
        uint64_t record_count, barrier_interval;
    } rows[] = {
        { 1, 1, 1, 20000, 100 },
        { 1, 1, 8, 20000, 1000 },
        { 2, 1, 2, 10000, 7 },
        { 1, 3, 1, 10000, 50 },
        { 3, 3, 1, 6000, 500 },
        { 3, 2, 8, 6000, 33 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct exchange exchange = { .producer_count = rows[i].producer_count,
            .consumer_count = rows[i].consumer_count,
            .record_count = rows[i].record_count,
            .barrier_interval = rows[i].barrier_interval,
            .fill = sample_fill_small };
        run(&exchange, rows[i].credits);
    }
}

static void long_records_cross_threads(void **state)
{
    struct exchange exchange = { .producer_count = 2,
        .consumer_count = 2,
        .record_count = 2000,
        .barrier_interval = 100,
        .fill = sample_fill };
    run(&exchange, CHANNEL_CREDITS_DEFAULT);
}

/* 20 MB go through; what is in flight stays within the credits and one step's output. */
static void a_slow_consumer_stops_its_producer(void **state)
{
    enum { CREDITS = 4 };
    struct exchange exchange = { .producer_count = 1,
        .consumer_count = 1,
        .record_count = 120000,
        .barrier_interval = 1000000,
        .nap_us = 200,
        .fill = sample_fill_small };
    run(&exchange, CREDITS);
    assert_true(exchange.sleeps > 0);
    /* credits, the open segment, the one read, one just pushed beyond the last credit */
    assert_true(exchange.used_max <= (CREDITS + 3) * SEGMENT_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_cross_threads_in_order_between_their_barriers),
        cmocka_unit_test(long_records_cross_threads),
        cmocka_unit_test(a_slow_consumer_stops_its_producer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* exchange.c -- records per second over one key_by edge, and what they cost.
 *
 * A record has three numbers and a string of 16 bytes. The producer emits batches of 256 that are
 * made beforehand, the consumer reads a column of each row: what is measured is the hop. Both sides
 * do as tasks do: they look for room or input at each step and sleep without.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short. */
#include "base/memory.h"
#include "base/os.h"
#include "runtime/exchange/gate.h"
#include "runtime/exchange/partition.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct click {
    uint64_t user_id;
    int64_t at_ms;
    double price;
    weir_str page;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, at_ms),
    WEIR_FIELD(3, click, price), WEIR_FIELD(4, click, page));

#define BATCH   256
#define BATCHES 64 /* different ones: 16,384 users */
#define RECORDS UINT64_C(20000000)
#define WARM_UP UINT64_C(1000000) /* after which nothing may be allocated */
#define ROUNDS  5
#define GOAL    10e6

static struct click clicks[BATCHES][BATCH];
static struct weir_row rows[BATCHES][BATCH];

/* Thread: its parts belong to the side they are named after. */
struct hop {
    struct segment_pool *pool;
    struct channel *channel;
    struct partition *partition;
    struct gate *gate;
    struct waker *producer_waker, *consumer_waker;
    uint64_t producer_allocations, consumer_allocations;
    uint64_t received;
    double sum;
};

static void fail(weir_error *error)
{
    fprintf(stderr, "bench_exchange: %s\n", weir_error_message(error));
    exit(1);
}

static void make_rows(void)
{
    for (uint32_t b = 0; b < BATCHES; b++)
        for (uint32_t i = 0; i < BATCH; i++) {
            clicks[b][i] = (struct click){ .user_id = b * BATCH + i,
                .at_ms = INT64_C(1700000000000) + i,
                .price = i,
                .page = WEIR_STR("/products/000042") };
            rows[b][i] =
                (struct weir_row){ .record = &clicks[b][i], .timestamp_ms = clicks[b][i].at_ms };
        }
}

/* Lets the pool allocate as much as can ever be in flight, or a late peak counts as an allocation. */
static void warm_up(struct segment_pool *pool)
{
    struct segment *segments[2 * CHANNEL_CREDITS_DEFAULT];
    const size_t count = sizeof(segments) / sizeof(segments[0]);
    for (size_t i = 0; i < count; i++)
        segments[i] = segment_take(pool, 0);
    for (size_t i = 0; i < count; i++)
        segment_give(segments[i]);
}

static void hop_init(struct hop *hop)
{
    *hop = (struct hop){ .pool = segment_pool_new(16u << 20) };
    warm_up(hop->pool);
    hop->channel = channel_new(CHANNEL_CREDITS_DEFAULT);
    hop->producer_waker = waker_new();
    hop->consumer_waker = waker_new();
    channel_set_wakers(hop->channel, hop->producer_waker, hop->consumer_waker);
    struct partition_options options = { .kind = PARTITIONER_KEY_GROUP,
        .type = &click_type,
        .key = WEIR_KEY(click, user_id),
        .max_parallelism = 128,
        .pool = hop->pool };
    hop->partition = partition_new(&options, &hop->channel, 1);
    hop->gate = gate_new(&hop->channel, 1, &click_type, GATE_BATCH_MAX);
}

static void hop_release(struct hop *hop)
{
    partition_free(hop->partition);
    gate_free(hop->gate);
    channel_free(hop->channel);
    waker_free(hop->producer_waker);
    waker_free(hop->consumer_waker);
    segment_pool_free(hop->pool);
}

static void *produce(void *arg)
{
    struct hop *hop = arg;
    uint64_t allocations = 0;
    for (uint64_t emitted = 0, batch = 0; emitted < RECORDS; batch++) {
        while (!partition_has_room(hop->partition))
            waker_wait(hop->producer_waker, -1);
        if (emitted <= WARM_UP)
            allocations = mem_count();
        weir_error *error = partition_emit(hop->partition, rows[batch % BATCHES], BATCH);
        if (error != NULL)
            fail(error);
        emitted += BATCH;
    }
    weir_error *error = partition_event(hop->partition, ELEMENT_END, 0);
    if (error != NULL)
        fail(error);
    while (!partition_flushed(hop->partition))
        waker_wait(hop->producer_waker, -1);
    hop->producer_allocations = mem_count() - allocations;
    return NULL;
}

static void consume_rows(struct hop *hop, const struct gate_input *input)
{
    double sum = 0;
    for (uint32_t i = 0; i < input->row_count; i++) {
        const struct click *click = input->rows[i].record;
        sum += click->price + (double)click->page.data[click->page.size - 1];
    }
    hop->sum += sum;
    hop->received += input->row_count;
}

static void *consume(void *arg)
{
    struct hop *hop = arg;
    uint64_t allocations = 0;
    for (;;) {
        struct gate_input input;
        gate_next(hop->gate, &input);
        if (input.kind == GATE_EVENT)
            break;
        if (input.kind == GATE_ROWS)
            consume_rows(hop, &input);
        else
            waker_wait(hop->consumer_waker, -1);
        if (hop->received <= WARM_UP)
            allocations = mem_count();
    }
    hop->consumer_allocations = mem_count() - allocations;
    return NULL;
}

/* Seconds for RECORDS records. */
static double run_two_threads(uint64_t *allocations)
{
    struct hop hop;
    hop_init(&hop);
    int64_t start_ns = os_monotonic_ns();
    pthread_t producer, consumer;
    if (pthread_create(&producer, NULL, produce, &hop) != 0 ||
        pthread_create(&consumer, NULL, consume, &hop) != 0)
        exit(1);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    double seconds = (double)(os_monotonic_ns() - start_ns) / 1e9;
    if (hop.received < RECORDS || hop.sum < 0)
        exit(1);
    *allocations += hop.producer_allocations + hop.consumer_allocations;
    hop_release(&hop);
    return seconds;
}

/* Both sides in turns on one thread, as in a pipeline that shares a slot. */
static double run_one_thread(void)
{
    struct hop hop;
    hop_init(&hop);
    int64_t start_ns = os_monotonic_ns();
    struct gate_input input;
    for (uint64_t emitted = 0, batch = 0; emitted < RECORDS; batch++) {
        weir_error *error = partition_emit(hop.partition, rows[batch % BATCHES], BATCH);
        if (error != NULL)
            fail(error);
        emitted += BATCH;
        if (partition_has_room(hop.partition))
            continue;
        for (gate_next(hop.gate, &input); input.kind == GATE_ROWS; gate_next(hop.gate, &input))
            consume_rows(&hop, &input);
    }
    double seconds = (double)(os_monotonic_ns() - start_ns) / 1e9;
    hop_release(&hop);
    return seconds;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(void)
{
    make_rows();
    uint64_t allocations = 0;
    double seconds[ROUNDS], alone[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        seconds[i] = run_two_threads(&allocations);
        alone[i] = run_one_thread();
    }
    qsort(seconds, ROUNDS, sizeof(seconds[0]), compare);
    qsort(alone, ROUNDS, sizeof(alone[0]), compare);
    double rate = (double)RECORDS / seconds[ROUNDS / 2];
    double alone_rate = (double)RECORDS / alone[ROUNDS / 2];
    printf("key_by hop between two threads\t%.0f\trecords/s\t%.0f\t%s\n", rate, GOAL,
        rate >= GOAL ? "ok" : "short");
    printf("key_by hop on one thread\t%.0f\trecords/s\t%.0f\t%s\n", alone_rate, GOAL,
        alone_rate >= GOAL ? "ok" : "short");
    printf("key_by hop, allocations\t%.9f\tper record\t0\t%s\n",
        (double)allocations / (double)(RECORDS * ROUNDS), allocations == 0 ? "ok" : "short");
    return 0;
}

/* wire.c -- records per second between two processes over the loopback, and what they cost.
 *
 * The sending process has a task thread and an io thread, the receiving one an io thread and a task thread, as
 * two workers of a job have. Small records are 100 bytes (three numbers and a string of 60), batches of 256,
 * keyed; large ones have a string of 1 MiB. The receiver reads a column of each row. The time is from the
 * first record until the sender hears that the end has arrived; CPU is that of both processes.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short. */
#include "runtime/exchange/wire.h"
#include "base/memory.h"
#include "base/os.h"
#include "runtime/exchange/gate.h"
#include "runtime/exchange/partition.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct click {
    uint64_t user_id;
    int64_t at_ms;
    double price;
    weir_str page;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, at_ms),
    WEIR_FIELD(3, click, price), WEIR_FIELD(4, click, page));

#define BATCH     256
#define SMALL     60u
#define LARGE     (1u << 20)
#define ROUNDS    5
#define GOAL      5e6
#define GOAL_SIZE 1e9 /* bytes a second */

static struct click clicks[BATCH];
static struct weir_row rows[BATCH];
static char text[LARGE];

/* One side of the edge, in its process. */
struct side {
    struct segment_pool *pool;
    struct channel *channel;
    struct waker *waker; /* of the task's thread */
    struct wire *wire;
    struct wire_address addresses[2];
};

struct result {
    double seconds, cpu_seconds;
    int64_t reads, writes, segments;
};

static atomic_bool is_over; /* all has arrived: the other process may go */

static void failed(void *arg, weir_error *error)
{
    (void)arg;
    if (atomic_load(&is_over)) {
        weir_error_free(error);
        return;
    }
    fprintf(stderr, "bench_wire: %s\n", weir_error_message(error));
    _exit(1);
}

static void check(weir_error *error)
{
    if (error != NULL)
        failed(NULL, error);
}

static void make_rows(uint32_t size)
{
    memset(text, 'x', sizeof(text));
    for (uint32_t i = 0; i < BATCH; i++) {
        clicks[i] = (struct click){ .user_id = i * UINT64_C(7919),
            .at_ms = INT64_C(1700000000000) + i,
            .price = i,
            .page = { .data = text, .size = size } };
        rows[i] = (struct weir_row){ .record = &clicks[i], .timestamp_ms = clicks[i].at_ms };
    }
}

static void side_init(struct side *side, uint32_t worker)
{
    *side = (struct side){ .pool = segment_pool_new(64u << 20),
        .channel = channel_new(CHANNEL_CREDITS_DEFAULT),
        .waker = waker_new() };
    struct wire_options options = { .host = "127.0.0.1",
        .self = { .job = "bench", .attempt = 1, .worker = worker, .worker_count = 2 },
        .failed = failed };
    check(wire_new(&options, &side->wire));
}

static void side_start(struct side *side, uint16_t port)
{
    side->addresses[1] = (struct wire_address){ .host = "127.0.0.1", .port = port };
    wire_connect(side->wire, side->addresses, side->pool, 10000);
    check(wire_start(side->wire));
}

static void side_release(struct side *side)
{
    wire_free(side->wire);
    channel_free(side->channel);
    waker_free(side->waker);
    segment_pool_free(side->pool);
}

/* -- the receiving process ---------------------------------------------------------------------- */

static double consume(struct side *side, uint64_t expected)
{
    struct gate *gate = gate_new(&side->channel, 1, &click_type, GATE_BATCH_MAX);
    struct gate_input input;
    uint64_t received = 0;
    double sum = 0;
    for (gate_next(gate, &input); input.kind != GATE_EVENT; gate_next(gate, &input)) {
        if (input.kind == GATE_EMPTY)
            waker_wait(side->waker, -1);
        for (uint32_t i = 0; input.kind == GATE_ROWS && i < input.row_count; i++) {
            const struct click *click = input.rows[i].record;
            sum += click->price + (double)click->page.data[click->page.size - 1];
        }
        received += input.kind == GATE_ROWS ? input.row_count : 0;
    }
    gate_free(gate);
    if (received != expected)
        exit(1);
    return sum;
}

static _Noreturn void receive(int to, int from, uint64_t expected)
{
    struct side side;
    struct rusage used;
    side_init(&side, 1);
    uint16_t port = wire_port(side.wire);
    channel_set_wakers(side.channel, wire_waker(side.wire), side.waker);
    wire_add_input(side.wire, 0, 1, side.channel);
    side_start(&side, port);
    if (write(to, &port, sizeof(port)) != sizeof(port))
        exit(1);
    double sum = consume(&side, expected);
    getrusage(RUSAGE_SELF, &used);
    int64_t reads = metric_get(&wire_metrics(side.wire)->reads);
    char done;
    if (write(to, &sum, sizeof(sum)) != sizeof(sum) ||
        write(to, &used, sizeof(used)) != sizeof(used) ||
        write(to, &reads, sizeof(reads)) != sizeof(reads) || read(from, &done, 1) != 0)
        exit(1); /* the sender has closed its end: it needs the connection no more */
    side_release(&side);
    exit(0);
}

/* -- the sending process ------------------------------------------------------------------------ */

static void produce(struct side *side, uint64_t count, uint32_t batch)
{
    struct partition_options options = { .kind = PARTITIONER_KEY_GROUP,
        .type = &click_type,
        .key = WEIR_KEY(click, user_id),
        .max_parallelism = 128,
        .pool = side->pool };
    struct partition *partition = partition_new(&options, &side->channel, 1);
    for (uint64_t emitted = 0; emitted < count; emitted += batch) {
        while (!partition_has_room(partition))
            waker_wait(side->waker, -1);
        check(partition_emit(partition, rows, batch));
    }
    check(partition_event(partition, ELEMENT_END, 0));
    while (!partition_flushed(partition))
        waker_wait(side->waker, -1);
    partition_free(partition);
}

static double cpu_of(const struct rusage *used)
{
    return (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) +
           (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1e6;
}

static void read_exactly(int from, void *bytes, size_t size)
{
    if (read(from, bytes, size) != (ssize_t)size)
        exit(1);
}

/* Both sides, one of them in a child that is made before there are threads. */
static struct result run(uint64_t count, uint32_t batch)
{
    int up[2], down[2];
    if (pipe(up) != 0 || pipe(down) != 0)
        exit(1);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(down[1]);
        receive(up[1], down[0], count);
    }
    struct side side;
    atomic_store(&is_over, false);
    struct rusage before, after, theirs;
    struct result result = { 0 };
    uint16_t port;
    double sum;
    side_init(&side, 0);
    channel_set_wakers(side.channel, side.waker, wire_waker(side.wire));
    wire_add_output(side.wire, 1, 1, side.channel);
    read_exactly(up[0], &port, sizeof(port));
    side_start(&side, port);
    getrusage(RUSAGE_SELF, &before);
    int64_t start_ns = os_monotonic_ns();
    produce(&side, count, batch);
    read_exactly(up[0], &sum, sizeof(sum));
    result.seconds = (double)(os_monotonic_ns() - start_ns) / 1e9;
    getrusage(RUSAGE_SELF, &after);
    read_exactly(up[0], &theirs, sizeof(theirs));
    read_exactly(up[0], &result.reads, sizeof(result.reads));
    result.cpu_seconds = cpu_of(&after) - cpu_of(&before) + cpu_of(&theirs);
    result.writes = metric_get(&wire_metrics(side.wire)->writes);
    result.segments = metric_get(&wire_metrics(side.wire)->segments_out);
    atomic_store(&is_over, true);
    close(down[1]);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0 || sum < 0)
        exit(1);
    side_release(&side);
    close(up[0]), close(up[1]), close(down[0]);
    return result;
}

static int compare(const void *a, const void *b)
{
    double left = ((const struct result *)a)->seconds, right = ((const struct result *)b)->seconds;
    return (left > right) - (left < right);
}

/* The median round. */
static struct result measure(uint64_t count, uint32_t batch)
{
    struct result results[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        results[i] = run(count, batch);
    qsort(results, ROUNDS, sizeof(results[0]), compare);
    return results[ROUNDS / 2];
}

int main(void)
{
    mem_keep_small();                                        /* as a worker does */
    const uint64_t small = UINT64_C(10000128), large = 4096; /* 39,063 batches; 4 GiB */
    make_rows(SMALL);
    struct result result = measure(small, BATCH);
    double rate = (double)small / result.seconds;
    printf("records of 100 bytes between processes\t%.0f\trecords/s\t%.0f\t%s\n", rate, GOAL,
        rate >= GOAL ? "ok" : "short");
    printf("records of 100 bytes, CPU of both processes\t%.0f\tns/record\t-\t-\n",
        result.cpu_seconds * 1e9 / (double)small);
    printf("records of 100 bytes, writes\t%.2f\tper segment\t-\t-\n",
        (double)result.writes / (double)result.segments);
    printf("records of 100 bytes, reads\t%.2f\tper segment\t-\t-\n",
        (double)result.reads / (double)result.segments);
    make_rows(LARGE);
    result = measure(large, 1);
    double size = (double)large * LARGE;
    printf("records of 1 MiB between processes\t%.0f\tB/s\t%.0f\t%s\n", size / result.seconds,
        GOAL_SIZE, size / result.seconds >= GOAL_SIZE ? "ok" : "short");
    printf("records of 1 MiB, CPU of both processes\t%.3f\ts/GB\t-\t-\n",
        result.cpu_seconds / size * 1e9);
    return 0;
}

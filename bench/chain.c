/* chain.c -- what a record costs on its way through a chain: filter -> map -> sink, one thread.
 *
 * The job is built with the public verbs and runs in the engine's own local run, parallelism 1: the
 * generator, the filter, the map and a counting sink are one chain, so one task thread does everything.
 * The generator's own cost is part of the figure. CPU seconds are the task thread's.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short. */
#include <weir/weir.h>

#include "base/memory.h"
#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"
#include "runtime/manager/local.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RECORDS UINT64_C(60000000)
#define WARM_UP UINT64_C(5000000)
#define ROUNDS  5
#define GOAL    50e6

struct click {
    uint64_t user_id;
    int64_t at_ms;
    int64_t cents;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, at_ms),
    WEIR_FIELD(3, click, cents));

/* Of one round. Thread: the task's. */
static struct {
    uint64_t count;
    int64_t sum;
    uint64_t first_allocations, last_allocations;
    double started_s, ended_s;
} seen;

static double thread_cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)ctx;
    struct click *click = record;
    click->user_id = (seed + index) * UINT64_C(0x9e3779b97f4a7c15) >> 40;
    click->at_ms = (int64_t)index;
    click->cents = (int64_t)(click->user_id & 1023);
}

static bool is_paid(weir_ctx *ctx, const void *record)
{
    (void)ctx;
    return ((const struct click *)record)->cents >= 128;
}

static weir_error *add_tax(weir_ctx *ctx, const void *in, void *out)
{
    (void)ctx;
    const struct click *click = in;
    struct click *taxed = out;
    *taxed = *click;
    taxed->cents += click->cents / 5;
    return NULL;
}

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    (void)ctx;
    (void)options;
    (void)instance;
    return NULL;
}

static weir_error *count_rows(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    (void)ctx;
    (void)instance;
    for (uint32_t i = 0; i < row_count; i++)
        seen.sum += ((const struct click *)rows[i].record)->cents;
    if (seen.count < WARM_UP) {
        seen.started_s = thread_cpu_s();
        seen.first_allocations = mem_count();
        seen.count += row_count;
        if (seen.count >= WARM_UP)
            seen.count = WARM_UP;
        return NULL;
    }
    seen.count += row_count;
    seen.ended_s = thread_cpu_s();
    seen.last_allocations = mem_count();
    return NULL;
}

static void close_sink(weir_ctx *ctx, void *instance)
{
    (void)ctx;
    (void)instance;
}

static const struct weir_sink_class counting = { .name = "counting",
    .open = open_sink,
    .write = count_rows,
    .close = close_sink };

static void must(weir_error *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "bench_chain: %s\n", weir_error_message(error));
    exit(1);
}

static void run_once(void)
{
    weir_job *job = job_new(NULL);
    weir_stream *clicks = weir_source(job, "clicks",
        weir_generator(.type = &click_type, .generate = generate, .seed = 1, .count = RECORDS));
    weir_stream *paid = weir_filter(clicks, "paid", is_paid, NULL);
    weir_stream *taxed = weir_map(paid, "taxed", add_tax, &click_type, NULL);
    weir_sink(taxed, "count", (struct weir_sink){ .sink_class = &counting, .options = "" });
    const struct plan *plan;
    must(plan_build(job, &(struct plan_options){ .job = "bench", .parallelism = 1 }, &plan));
    struct local_options options = local_defaults;
    options.plan = plan;
    options.backend = &backend_hashmap;
    struct local *local;
    must(local_open(&options, &local));
    must(local_run(local, NULL));
    local_close(local);
    job_free(job);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    double rates[ROUNDS], allocations = 0;
    for (int i = 0; i < ROUNDS; i++) {
        memset(&seen, 0, sizeof(seen));
        run_once();
        /* the records that came in while the sink counted, survivors and filtered ones */
        double share = (double)(seen.count - WARM_UP) / (double)seen.count;
        rates[i] = (double)RECORDS * share / (seen.ended_s - seen.started_s);
        allocations =
            (double)(seen.last_allocations - seen.first_allocations) / ((double)RECORDS * share);
    }
    qsort(rates, ROUNDS, sizeof(rates[0]), by_value);
    double median = rates[ROUNDS / 2];
    printf("filter -> map chain\t%.1f\tM records/s/core\t%.0f\t%s\n", median / 1e6, GOAL / 1e6,
        median >= GOAL ? "ok" : "short");
    printf("filter -> map chain allocations\t%.6f\tper record\t0\t%s\n", allocations,
        allocations < 0.00001 ? "ok" : "short");
    return 0;
}

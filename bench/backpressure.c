/* backpressure.c -- memory of a job whose sink is much slower than its source: it must stay flat.
 *
 * generator -> key_by -> keyed reduce (hashmap, 1,000 keys) -> a sink that takes its time (PAUSE_US a
 * batch). The source could make some ten million records a second; the sink lets about a hundred
 * thousand through. Resident memory is looked at after a tenth of the time and at the end.
 *
 * Runs BENCH_BACKPRESSURE_SECONDS, 300 if not set. Output: name TAB value TAB unit TAB goal TAB ok|short|-. */
#include <weir/weir.h>

#include "base/os.h"
#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"
#include "runtime/manager/local.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_US       2000
#define GROWTH_MB_GOAL 4.0
#define LOOK_MS        200

struct click {
    uint64_t user_id;
    int64_t cents;
    weir_str page;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, cents),
    WEIR_FIELD(3, click, page));

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)ctx;
    *(struct click *)record = (struct click){ .user_id = (seed + index) % 1000,
        .cents = 1,
        .page = WEIR_STR("/products/with/a/rather/long/name/0123456789") };
}

static void add(void *total, const void *value)
{
    ((struct click *)total)->cents += ((const struct click *)value)->cents;
    ((struct click *)total)->page = ((const struct click *)value)->page;
}

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    (void)ctx;
    (void)options;
    (void)instance;
    return NULL;
}

static weir_error *take_time(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    (void)ctx;
    (void)instance;
    (void)rows;
    (void)row_count;
    nanosleep(&(struct timespec){ .tv_nsec = PAUSE_US * 1000 }, NULL);
    return NULL;
}

static void close_sink(weir_ctx *ctx, void *instance)
{
    (void)ctx;
    (void)instance;
}

static const struct weir_sink_class slow = { .name = "slow",
    .open = open_sink,
    .write = take_time,
    .close = close_sink };

/* Thread: control. */
struct look {
    struct local *local;
    int64_t started_ms, length_ms;
    double early_mb, last_mb;
    bool is_stopping;
};

static double resident_mb(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2)
        exit(1);
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576.0;
}

static int64_t look_at(void *arg, int64_t now_ms)
{
    struct look *look = arg;
    if (look->started_ms == 0)
        look->started_ms = now_ms;
    int64_t elapsed_ms = now_ms - look->started_ms;
    look->last_mb = resident_mb();
    if (elapsed_ms < look->length_ms / 10)
        look->early_mb = look->last_mb;
    if (elapsed_ms >= look->length_ms && !look->is_stopping) {
        look->is_stopping = true;
        local_stop(look->local);
    }
    return now_ms + LOOK_MS;
}

static void must(weir_error *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "bench_backpressure: %s\n", weir_error_message(error));
    exit(1);
}

int main(void)
{
    const char *seconds = getenv("BENCH_BACKPRESSURE_SECONDS");
    struct look look = { .length_ms = 1000 * (seconds == NULL ? 300 : strtol(seconds, NULL, 10)) };
    weir_job *job = job_new(NULL);
    weir_stream *clicks = weir_source(job, "clicks",
        weir_generator(.type = &click_type, .generate = generate, .seed = 1));
    weir_stream *totals = weir_reduce(weir_key_by(clicks, WEIR_KEY(click, user_id)), "totals", add);
    weir_chaining(totals, WEIR_CHAIN_NEVER);
    weir_sink(totals, "slow", (struct weir_sink){ .sink_class = &slow, .options = "" });
    const struct plan *plan;
    must(plan_build(job, &(struct plan_options){ .job = "bench", .parallelism = 1 }, &plan));
    struct local_options options = local_defaults;
    options.plan = plan;
    options.backend = &backend_hashmap;
    must(local_open(&options, &look.local));
    must(local_run(look.local, &(struct local_watch){ .arg = &look, .look = look_at }));
    local_close(look.local);
    job_free(job);
    double growth = look.last_mb - look.early_mb;
    printf("back-pressured run, memory growth\t%.1f\tMB\t%.0f\t%s\n", growth, GROWTH_MB_GOAL,
        growth <= GROWTH_MB_GOAL ? "ok" : "short");
    printf("back-pressured run, memory\t%.1f\tMB\t-\t-\n", look.last_mb);
    return 0;
}

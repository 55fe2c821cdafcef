/* flink_pages.c -- a job with large state, at a fixed rate: Weir's half of two comparisons with Flink.
 *
 *      paced source -- by key --> pages --> watch
 *
 * What   Record i is of key i % keys, and of each key a page of 1,000 random bytes is kept, which each record writes
 *        anew. The first --fill records come as fast as they can be taken; from then on --rate a second, each with the
 *        time at which it was due. The last operator checks how often the key was there, and takes the time from
 *        due to there, so that a stall counts for each record that waits (no coordinated omission).
 *        Latency and stall: --count records, then a line of JSON. Recovery: for ever, in a cluster; into the file --told
 *        goes a line whenever the first record of an attempt comes out, and one for the end of the fill.
 * Twin   bench/flink/src/main/java/weir/bench/Pages.java; bench/flink/paced.py and recovery.py run both.
 *
 * Without arguments it says so and does nothing. */
#include <weir/weir.h>

#include "test/e2e/tools/histogram.h"
#include "test/support/nexmark.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PAGE_SIZE 1000
#define WORDS     (PAGE_SIZE / 8)
#define TICK_NS   1000000
#define LINE_MAX  128
#define NS_A_S    INT64_C(1000000000)

/* Thread: immutable after init, that is, once the graph is built. */
static struct {
    int64_t keys, fill, rate, count, from;
    const char *told;
} asked;

/* Thread: task, of which there is one (parallelism 1); main reads it when the job is over. */
static struct {
    uint64_t digest;
    int64_t rows, wrong;
    int64_t from_cpu_ns, last_ns, gap_ns;
    struct histogram latencies;
} seen;

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_A_S + now.tv_nsec;
}

/* due_ns: 0 while it fills. */
struct visit {
    int64_t index, key, visits, due_ns;
};
WEIR_TYPE(visit, WEIR_FIELD(1, visit, index), WEIR_FIELD(2, visit, key),
    WEIR_FIELD(3, visit, visits), WEIR_FIELD(4, visit, due_ns));

/* -- the source: what is due, woken each millisecond -------------------------------------------- */

/* Thread: task, but for the ticker, which has the descriptor and the flag. */
struct paced {
    int64_t next;
    int64_t base, base_ns; /* the record that was due when the pace began; base_ns 0: it has not */
    uint32_t split;
    pthread_t ticker;
    int wake_fd;
    _Atomic bool is_over;
};

static void *tick(void *arg)
{
    struct paced *paced = arg;
    const uint64_t one = 1;
    while (!atomic_load(&paced->is_over)) {
        nanosleep(&(struct timespec){ .tv_nsec = TICK_NS }, NULL);
        if (write(paced->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
            continue; /* its counter is full: it wakes anyhow */
    }
    return NULL;
}

static weir_error *open_paced(weir_ctx *ctx, const void *options, void *instance)
{
    struct paced *paced = instance;
    (void)options;
    for (uint32_t i = 0; i < weir_item_count(ctx); i++)
        memcpy(&paced->next, weir_item_at(ctx, i).value.data, sizeof(paced->next));
    paced->split = weir_split_add(ctx);
    paced->wake_fd = weir_wake_fd(ctx);
    if (pthread_create(&paced->ticker, NULL, tick, paced) != 0)
        return weir_errorf(WEIR_E_IO, "the paced source cannot start its thread");
    return NULL;
}

/* When the next record is due; 0: at once. The pace begins with the first record that has one. */
static int64_t due_ns(struct paced *paced, int64_t at_ns)
{
    if (paced->next < asked.fill)
        return 0;
    if (paced->base_ns == 0) {
        paced->base = paced->next;
        paced->base_ns = at_ns;
    }
    return paced->base_ns + (paced->next - paced->base) * NS_A_S / asked.rate;
}

static bool is_finished(const struct paced *paced)
{
    return asked.count > 0 && paced->next >= asked.count;
}

static weir_error *poll_paced(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    struct paced *paced = instance;
    int64_t at_ns = now_ns(CLOCK_MONOTONIC);
    *status = WEIR_SOURCE_MORE;
    for (uint32_t room = weir_source_room(ctx); room > 0 && !is_finished(paced); room--) {
        int64_t due = due_ns(paced, at_ns);
        if (due > at_ns) {
            *status = WEIR_SOURCE_IDLE;
            break;
        }
        struct visit *visit = weir_scratch(ctx, sizeof(*visit));
        *visit = (struct visit){ .index = paced->next,
            .key = (int64_t)nexmark_mix((uint64_t)(paced->next % asked.keys) + 1),
            .due_ns = due };
        weir_source_emit_record(ctx, paced->split, visit);
        paced->next++;
    }
    if (is_finished(paced)) {
        weir_split_finish(ctx, paced->split);
        *status = WEIR_SOURCE_FINISHED;
    }
    return NULL;
}

static weir_error *snapshot_paced(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct paced *paced = instance;
    (void)checkpoint;
    weir_str next = { .data = (const char *)&paced->next, .size = sizeof(paced->next) };
    weir_item_add(ctx, WEIR_STR("next"), next);
    return NULL;
}

static void close_paced(weir_ctx *ctx, void *instance)
{
    struct paced *paced = instance;
    (void)ctx;
    atomic_store(&paced->is_over, true);
    if (paced->ticker != 0)
        pthread_join(paced->ticker, NULL);
}

static const struct weir_type *visits_of_all(const void *options)
{
    (void)options;
    return &visit_type;
}

static const struct weir_source_class paced_class = { .name = "paced",
    .options_size = 1,
    .instance_size = sizeof(struct paced),
    .out_type = visits_of_all,
    .open = open_paced,
    .poll = poll_paced,
    .snapshot = snapshot_paced,
    .close = close_paced };

/* -- the pages ---------------------------------------------------------------------------------- */

struct page {
    int64_t visits;
    weir_str text;
};
WEIR_TYPE(page, WEIR_FIELD(1, page, visits), WEIR_FIELD(2, page, text));

/* The page as visit `visits` of the key leaves it. */
static uint64_t word_of(int64_t key, int64_t visits, uint64_t index)
{
    return nexmark_mix((uint64_t)key + (uint64_t)visits * NEXMARK_GOLDEN + index);
}

/* By its first and last word. */
static bool is_page_of(const struct page *page, int64_t key)
{
    uint64_t first, last;
    if (page->text.size != PAGE_SIZE)
        return false;
    memcpy(&first, page->text.data, sizeof(first));
    memcpy(&last, page->text.data + PAGE_SIZE - sizeof(last), sizeof(last));
    return first == word_of(key, page->visits, 0) && last == word_of(key, page->visits, WORDS - 1);
}

static weir_error *write_page(weir_ctx *ctx, const void *record)
{
    struct visit visit = *(const struct visit *)record;
    struct page *page = weir_state_edit(ctx, 0, page);
    if (page->visits > 0 && !is_page_of(page, visit.key))
        return weir_errorf(WEIR_E_STATE, "the page of key %" PRId64 " is not what was written",
            visit.key);
    page->visits++;
    uint64_t *words = weir_scratch(ctx, PAGE_SIZE);
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = word_of(visit.key, page->visits, i);
    page->text = (weir_str){ .data = (const char *)words, .size = PAGE_SIZE };
    visit.visits = page->visits;
    weir_emit(ctx, visit, &visit);
    return NULL;
}

static const struct weir_state page_states[] = {
    { .name = "pages", .kind = WEIR_VALUE, .type = &page_type }
};
static const struct weir_operator pages = { .uid = "pages",
    .in = &visit_type,
    .out = &visit_type,
    .states = page_states,
    .state_count = 1,
    .on_record = write_page };

/* -- the sink ----------------------------------------------------------------------------------- */

/* Thread: task. */
struct watch {
    bool has_first;
};

/* WORD, process, nanoseconds, index, `right` or `wrong`; appended, since each attempt has a process of its own. */
static void tell(const char *word, int64_t at_ns, int64_t index, bool is_right)
{
    char line[LINE_MAX];
    if (asked.told == NULL)
        return;
    int size = snprintf(line, sizeof(line), "%s %d %" PRId64 " %" PRId64 " %s\n", word,
        (int)getpid(), at_ns, index, is_right ? "right" : "wrong");
    int fd = open(asked.told, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)size) != size)
        fprintf(stderr, "flink_pages: cannot write to %s\n", asked.told);
    if (fd >= 0)
        close(fd);
}

static void look_at(struct watch *watch, const struct visit *visit, int64_t at_ns)
{
    bool is_right = visit->visits == visit->index / asked.keys + 1;
    seen.rows++;
    seen.wrong += !is_right;
    seen.digest += digest_number(digest_number(0, visit->index), visit->visits);
    if (!watch->has_first)
        tell("first", at_ns, visit->index, is_right);
    watch->has_first = true;
    if (visit->index == asked.fill)
        tell("filled", at_ns, visit->index, is_right);
    if (visit->index < asked.from)
        return;
    if (seen.last_ns == 0)
        seen.from_cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    else if (at_ns - seen.last_ns > seen.gap_ns)
        seen.gap_ns = at_ns - seen.last_ns;
    seen.last_ns = at_ns;
    histogram_add(&seen.latencies, at_ns - visit->due_ns);
}

static weir_error *open_watch(weir_ctx *ctx, const void *options, void *instance)
{
    (void)ctx;
    (void)options;
    (void)instance;
    return NULL;
}

static weir_error *write_watch(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    int64_t at_ns = now_ns(CLOCK_MONOTONIC);
    (void)ctx;
    for (uint32_t i = 0; i < row_count; i++)
        look_at(instance, rows[i].record, at_ns);
    return NULL;
}

static void close_watch(weir_ctx *ctx, void *instance)
{
    (void)ctx;
    (void)instance;
}

static const struct weir_sink_class watching = { .name = "watching",
    .options_size = 1,
    .instance_size = sizeof(struct watch),
    .open = open_watch,
    .write = write_watch,
    .close = close_watch };

/* -- the program -------------------------------------------------------------------------------- */

static void build(weir_job *job)
{
    asked.keys = weir_job_number(job, "keys");
    asked.fill = weir_job_number(job, "fill");
    asked.rate = weir_job_number(job, "rate");
    asked.count = weir_job_number(job, "count");
    asked.from = weir_job_number(job, "from");
    asked.told = weir_job_text(job, "told");
    weir_stream *visits = weir_source(job, "visits", weir_source_of(&paced_class, ""));
    weir_stream *written = weir_process(weir_key_by(visits, WEIR_KEY(visit, key)), &pages, NULL);
    weir_sink(written, "watch", weir_sink_of(&watching, ""));
}

static double us(uint64_t per_million)
{
    return (double)histogram_quantile(&seen.latencies, per_million) / 1e3;
}

static void report(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_s = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - seen.from_cpu_ns) / 1e9;
    printf("{\"events\":%" PRId64 ",\"rows\":%" PRId64 ",\"wrong\":%" PRId64
           ",\"digest\":\"%016" PRIx64 "\",\"records\":%" PRIu64
           ",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,"
           "\"gap_ms\":%.3f,\"cpu_s\":%.3f,\"rss_mb\":%.1f}\n",
        asked.count, seen.rows, seen.wrong, seen.digest, seen.latencies.total, us(500000) / 1e3,
        us(990000) / 1e3, us(999000) / 1e3, (double)seen.latencies.max / 1e6,
        (double)seen.gap_ns / 1e6, cpu_s, (double)usage.ru_maxrss / 1024);
}

static int run_program(int argc, char **argv)
{
    static const struct weir_option options[] = {
        { "keys", WEIR_OPTION_NUMBER, "N", "1000000", "Of each a page of 1,000 bytes is kept.", 1,
            INT64_C(1) << 30 },
        { "fill", WEIR_OPTION_NUMBER, "N", "1000000", "Records as fast as they can be taken.", 0,
            INT64_C(1) << 40 },
        { "rate", WEIR_OPTION_NUMBER, "N", "20000", "Records a second behind them.", 1,
            INT64_C(1) << 30 },
        { "count", WEIR_OPTION_NUMBER, "N", "0", "Records in all; 0: for ever.", 0,
            INT64_C(1) << 40 },
        { "from", WEIR_OPTION_NUMBER, "N", "0", "The first record whose latency counts.", 0,
            INT64_C(1) << 40 },
        { "told", WEIR_OPTION_TEXT, "FILE", NULL, "Where the first record of an attempt is told.",
            0, 0 },
    };
    int status = weir_main_program(argc, argv,
        &(struct weir_program){ "bench-flink-pages",
            "A page of each key, at a fixed rate: latency, stalls and recovery.", options,
            sizeof(options) / sizeof(options[0]), build });
    if (status == 0 && seen.rows > 0 && asked.count > 0)
        report();
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 1) /* as `make bench` does: figures of one side alone say nothing here */
        return puts("bench_flink_pages is run by `make bench-flink`") < 0;
    return run_program(argc, argv);
}

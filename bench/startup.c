/* startup.c -- from exec to the first record at the sink, and from exec to the end of `explain`.
 *
 * The program runs itself: as a parent it starts a child and looks at the clock, as a child it is an
 * ordinary job (generator, keyed reduce with RocksDB, sink) under weir_main. The child's sink writes
 * the monotonic clock of its first record into a pipe; the parent's clock is the same one.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short. Median of ROUNDS. */
#include <weir/weir.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS          21
#define RECORDS         1000
#define GOAL_FIRST_MS   50.0
#define GOAL_EXPLAIN_MS 10.0
#define PIPE_VARIABLE   "WEIR_BENCH_PIPE"

struct click {
    uint64_t user_id;
    int64_t cents;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, cents));

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* -- the job ------------------------------------------------------------------------------------ */

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)ctx;
    *(struct click *)record = (struct click){ .user_id = (seed + index) % 100, .cents = 1 };
}

static void add(void *total, const void *value)
{
    ((struct click *)total)->cents += ((const struct click *)value)->cents;
}

/* Thread: task. */
struct first_sink {
    bool has_seen;
};

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    (void)ctx;
    (void)options;
    (void)instance;
    return NULL;
}

static weir_error *tell_first(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    struct first_sink *sink = instance;
    const char *pipe_text = getenv(PIPE_VARIABLE);
    (void)ctx;
    (void)rows;
    (void)row_count;
    if (sink->has_seen || pipe_text == NULL)
        return NULL;
    sink->has_seen = true;
    double at = now_ms();
    if (write((int)strtol(pipe_text, NULL, 10), &at, sizeof(at)) != (ssize_t)sizeof(at))
        return weir_errorf(WEIR_E_IO, "cannot tell the parent");
    return NULL;
}

static void close_sink(weir_ctx *ctx, void *instance)
{
    (void)ctx;
    (void)instance;
}

static const struct weir_sink_class first_class = { .name = "first",
    .instance_size = sizeof(struct first_sink),
    .open = open_sink,
    .write = tell_first,
    .close = close_sink };

static void build(weir_job *job)
{
    weir_stream *clicks = weir_source(job, "clicks",
        weir_generator(.type = &click_type, .generate = generate, .seed = 1, .count = RECORDS));
    weir_stream *totals = weir_reduce(weir_key_by(clicks, WEIR_KEY(click, user_id)), "totals", add);
    weir_sink(totals, "first", (struct weir_sink){ .sink_class = &first_class, .options = "" });
}

/* -- the parent --------------------------------------------------------------------------------- */

static void silence(void)
{
    int null = open("/dev/null", O_WRONLY);
    if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
        _exit(127);
}

/* Milliseconds until the first record (`run`) or until the end (`explain`). */
static double once(const char *program, const char *verb)
{
    int ends[2];
    char text[16];
    if (pipe(ends) != 0)
        exit(1);
    snprintf(text, sizeof(text), "%d", ends[1]);
    double started = now_ms(), at = 0;
    pid_t child = fork();
    if (child == 0) {
        setenv(PIPE_VARIABLE, text, 1);
        silence();
        execl(program, program, verb, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    bool is_told = read(ends[0], &at, sizeof(at)) == (ssize_t)sizeof(at);
    int status;
    waitpid(child, &status, 0);
    close(ends[0]);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "bench_startup: the child failed\n");
        exit(1);
    }
    return (is_told ? at : now_ms()) - started;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *program, const char *verb, const char *name, double goal)
{
    double times[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        times[i] = once(program, verb);
    qsort(times, ROUNDS, sizeof(times[0]), by_value);
    double median = times[ROUNDS / 2];
    printf("%s\t%.1f\tms\t%.0f\t%s\n", name, median, goal, median <= goal ? "ok" : "short");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return weir_main(argc, argv, build);
    measure("/proc/self/exe", "run", "start to first record", GOAL_FIRST_MS);
    measure("/proc/self/exe", "explain", "explain", GOAL_EXPLAIN_MS);
    return 0;
}

/* progress.c -- see progress.h. */
#include "runtime/program/progress.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"

#include <inttypes.h>
#include <stdio.h>

#define TERMINAL_MS   1000
#define LOG_MS        10000
#define LINE_SIZE_MAX 1024
#define SETTLE_MS     100
#define SHOWN_PERCENT 5 /* less back-pressure than this is not worth a word */

struct progress {
    const struct local *local;
    int64_t period_ms, next_ms;
    int64_t running_since_ms; /* of the attempt that the numbers below are of */
    int64_t last_ms;          /* when they were taken; 0: not yet */
    int64_t records_in, records_out;
    int64_t *backpressured_ns; /* of each task */
};

struct progress *progress_new(const struct local *local)
{
    struct progress *progress = mem_alloc(sizeof(*progress));
    progress->local = local;
    progress->period_ms = log_is_terminal() ? TERMINAL_MS : LOG_MS;
    progress->next_ms = os_monotonic_ms() + progress->period_ms;
    progress->backpressured_ns = mem_alloc_array(local_plan(local)->subtask_count, sizeof(int64_t));
    return progress;
}

void progress_free(struct progress *progress)
{
    if (progress == NULL)
        return;
    mem_free(progress->backpressured_ns);
    mem_free(progress);
}

/* 1234567 -> 1,234,567 */
static void put_number(weir_buffer *out, int64_t number)
{
    char digits[32];
    int size = snprintf(digits, sizeof(digits), "%" PRId64, number < 0 ? 0 : number);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            weir_buffer_add_byte(out, ',');
        weir_buffer_add_byte(out, digits[i]);
    }
}

/* What all tasks say now. Thread: its stack's owner. */
struct sum {
    int64_t records_in, records_out, lag;
    bool has_lag;
    uint32_t worst; /* the task that waited longest for room since the last look */
    int64_t worst_ns;
};

static void add_task(struct sum *sum, const struct task *task, uint32_t number, int64_t *last_ns)
{
    const struct task_metrics *metrics = task_metrics(task);
    const struct plan_vertex *vertex = task_vertex(task);
    if (vertex->operators[0].kind == PLAN_SOURCE) {
        int64_t lag = metric_get(&metrics->lag);
        sum->records_in += metric_get(&metrics->records_in);
        sum->has_lag = sum->has_lag || lag >= 0;
        sum->lag += lag > 0 ? lag : 0;
    }
    if (report_has_sink(vertex))
        sum->records_out += metric_get(&metrics->records_out);
    int64_t now_ns = metric_get(&metrics->backpressured_ns);
    if (now_ns - *last_ns > sum->worst_ns) {
        sum->worst_ns = now_ns - *last_ns;
        sum->worst = number;
    }
    *last_ns = now_ns;
}

static struct sum sum_tasks(struct progress *progress)
{
    struct sum sum = { 0 };
    for (uint32_t i = 0; i < local_plan(progress->local)->subtask_count; i++) {
        const struct task *task = taskmanager_task(local_tasks(progress->local), i);
        if (task != NULL)
            add_task(&sum, task, i, &progress->backpressured_ns[i]);
    }
    return sum;
}

static void put_rates(const struct progress *progress, const struct sum *sum, int64_t elapsed_ms,
    weir_buffer *out)
{
    buffer_printf(out, "  in ");
    put_number(out, (sum->records_in - progress->records_in) * 1000 / elapsed_ms);
    buffer_printf(out, "/s  out ");
    put_number(out, (sum->records_out - progress->records_out) * 1000 / elapsed_ms);
    buffer_printf(out, "/s");
    if (!sum->has_lag)
        return;
    buffer_printf(out, "  lag ");
    put_number(out, sum->lag);
}

static void put_worst(const struct progress *progress, const struct sum *sum, int64_t elapsed_ms,
    weir_buffer *out)
{
    int64_t percent = sum->worst_ns / 10000 / elapsed_ms;
    const struct task *task = taskmanager_task(local_tasks(progress->local), sum->worst);
    if (percent < SHOWN_PERCENT || task == NULL)
        return;
    const struct plan_vertex *vertex = task_vertex(task);
    buffer_printf(out, "  back-pressure %" PRId64 " %% at '%s' (%u/%u)",
        percent > 100 ? 100 : percent, vertex->name, sum->worst - vertex->first_subtask + 1,
        vertex->parallelism);
}

static void take(struct progress *progress, const struct sum *sum, int64_t now_ms)
{
    progress->records_in = sum->records_in;
    progress->records_out = sum->records_out;
    progress->last_ms = now_ms;
}

void progress_print(struct progress *progress, int64_t now_ms, weir_buffer *out)
{
    const struct jobmanager_stats *stats = local_stats(progress->local);
    int64_t elapsed_ms = now_ms - progress->last_ms;
    bool has_rates = progress->last_ms > 0 && stats->running_since_ms > 0 && elapsed_ms > 0;
    struct sum sum = sum_tasks(progress);
    buffer_printf(out, "%s", execution_state_name(stats->state));
    if (has_rates)
        put_rates(progress, &sum, elapsed_ms, out);
    if (stats->completed > 0)
        buffer_printf(out, "  checkpoint %" PRIu64 " in %" PRId64 " ms", stats->last_checkpoint,
            stats->last_duration_ms);
    if (has_rates)
        put_worst(progress, &sum, elapsed_ms, out);
    take(progress, &sum, now_ms);
}

/* The first numbers of an attempt are only remembered: counters go on from those of the checkpoint. A
 * little later than its start, so that every task has said its own. */
static void look_at_start(struct progress *progress, int64_t now_ms)
{
    int64_t since_ms = local_stats(progress->local)->running_since_ms;
    if (since_ms == progress->running_since_ms) {
        if (progress->last_ms > 0 || since_ms == 0 || now_ms < since_ms + SETTLE_MS)
            return;
        struct sum sum = sum_tasks(progress);
        take(progress, &sum, now_ms);
        return;
    }
    progress->running_since_ms = since_ms;
    progress->last_ms = 0;
    memset(progress->backpressured_ns, 0,
        local_plan(progress->local)->subtask_count * sizeof(int64_t));
}

int64_t progress_look(struct progress *progress, int64_t now_ms)
{
    look_at_start(progress, now_ms);
    if (now_ms < progress->next_ms) {
        bool is_settling = progress->last_ms == 0 && progress->running_since_ms > 0;
        int64_t settled_ms = progress->running_since_ms + SETTLE_MS;
        return is_settling && settled_ms < progress->next_ms ? settled_ms : progress->next_ms;
    }
    weir_buffer *line = weir_buffer_new(LINE_SIZE_MAX);
    progress_print(progress, now_ms, line);
    if (log_is_terminal())
        log_progress(buffer_text(line));
    else
        log_info("progress", "%s", buffer_text(line));
    weir_buffer_free(line);
    progress->next_ms = now_ms + progress->period_ms;
    return progress->next_ms;
}

void progress_end(void)
{
    log_progress("");
}

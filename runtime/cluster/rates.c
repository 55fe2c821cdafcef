/* rates.c -- see rates.h. */
#include "runtime/cluster/rates.h"

#include "base/assert.h"

/* The first record rate is shown after that long. */
#define LEAST_MS 1000

/* Thread: control. */
struct sample {
    struct worker_task_metrics metrics;
    int64_t at_ms;
};

/* Of a task. Thread: control. */
struct window {
    int64_t begun_ms;
    bool is_told, is_first; /* first: nothing is older than `older`, the begin stands for it */
    struct sample older, newer, now;
};

struct rates {
    uint32_t subtask_count;
    struct window windows[];
};

struct rates *rates_new(uint32_t subtask_count)
{
    struct rates *rates = mem_alloc(sizeof(*rates) + subtask_count * sizeof(rates->windows[0]));
    rates->subtask_count = subtask_count;
    return rates;
}

void rates_free(struct rates *rates)
{
    mem_free(rates);
}

void rates_begin(struct rates *rates, uint32_t subtask, int64_t now_ms)
{
    ASSERT(subtask < rates->subtask_count);
    rates->windows[subtask] = (struct window){ .begun_ms = now_ms };
}

void rates_told(struct rates *rates, const struct worker_task_metrics *metrics, int64_t now_ms)
{
    ASSERT(metrics->subtask < rates->subtask_count);
    struct window *it = &rates->windows[metrics->subtask];
    it->now = (struct sample){ .metrics = *metrics, .at_ms = now_ms };
    if (!it->is_told) {
        it->is_told = it->is_first = true;
        it->older = it->newer = it->now;
    } else if (now_ms - it->newer.at_ms >= RATES_WINDOW_MS) {
        it->is_first = false;
        it->older = it->newer;
        it->newer = it->now;
    }
}

/* Zero where a counter fell: a task began anew. */
static double per_second(int64_t now, int64_t before, int64_t elapsed_ms)
{
    return now <= before || elapsed_ms <= 0 ? 0
                                            : (double)(now - before) * 1000 / (double)elapsed_ms;
}

static double share(int64_t now, int64_t before, int64_t elapsed_ms)
{
    double ms = per_second(now, before, elapsed_ms);
    return ms > 1000 ? 1000 : ms;
}

struct rate rates_of(const struct rates *rates, uint32_t subtask)
{
    static const struct worker_task_metrics none;
    ASSERT(subtask < rates->subtask_count);
    const struct window *it = &rates->windows[subtask];
    const struct worker_task_metrics *now = &it->now.metrics, *before = &it->older.metrics;
    int64_t elapsed_ms = it->now.at_ms - it->older.at_ms;
    struct rate rate = { 0 };
    if (!it->is_told)
        return rate;
    if (elapsed_ms >= LEAST_MS) {
        rate.records_in = per_second(now->records_in, before->records_in, elapsed_ms);
        rate.records_out = per_second(now->records_out, before->records_out, elapsed_ms);
        rate.bytes_in = per_second(now->bytes_in, before->bytes_in, elapsed_ms);
        rate.bytes_out = per_second(now->bytes_out, before->bytes_out, elapsed_ms);
    }
    if (it->is_first) {
        before = &none;
        elapsed_ms = it->now.at_ms - it->begun_ms;
    }
    rate.busy_ms = share(now->busy_ms, before->busy_ms, elapsed_ms);
    rate.idle_ms = share(now->idle_ms, before->idle_ms, elapsed_ms);
    rate.backpressured_ms = share(now->backpressured_ms, before->backpressured_ms, elapsed_ms);
    return rate;
}

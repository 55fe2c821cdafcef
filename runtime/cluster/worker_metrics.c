/* worker_metrics.c -- see worker_metrics.h. */
#include "runtime/cluster/worker_metrics.h"

#include "base/buffer.h"

void worker_metrics_read(const struct task *task, uint32_t subtask, struct worker_task_metrics *to)
{
    const struct task_metrics *from = task_metrics(task);
    *to = (struct worker_task_metrics){ .subtask = subtask,
        .records_in = metric_get(&from->records_in),
        .records_out = metric_get(&from->records_out),
        .busy_ms = metric_get(&from->busy_ns) / 1000000,
        .idle_ms = metric_get(&from->idle_ns) / 1000000,
        .backpressured_ms = metric_get(&from->backpressured_ns) / 1000000,
        .watermark_ms = metric_get(&from->watermark_ms),
        .lag = metric_get(&from->lag),
        .unpublished = metric_get(&from->unpublished),
        .state_size = metric_get(&from->state_size),
        .expired_met = metric_get(&from->expired_met),
        .expired_dropped = metric_get(&from->expired_dropped),
        .bytes_in = metric_get(&from->bytes_in),
        .bytes_out = metric_get(&from->bytes_out) };
}

/* The numbers in the order in which they travel: new ones go behind, and an older side skips them. */
#define NUMBERS(X) \
    X(records_in) \
    X(records_out) \
    X(busy_ms) \
    X(idle_ms) \
    X(backpressured_ms) \
    X(watermark_ms) \
    X(lag) \
    X(unpublished) \
    X(state_size) \
    X(expired_met) \
    X(expired_dropped) \
    X(bytes_in) \
    X(bytes_out)

#define ONE(name_) +1
static const uint32_t number_count = 0 NUMBERS(ONE);
#undef ONE

void worker_metrics_put(const struct worker_task_metrics *list, uint32_t count, weir_buffer *out)
{
    buffer_put_u32(out, count);
    buffer_put_u32(out, number_count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_u32(out, list[i].subtask);
#define PUT(name_) buffer_put_u64(out, (uint64_t)list[i].name_);
        NUMBERS(PUT)
#undef PUT
    }
}

bool worker_metrics_get(weir_str bytes, struct worker_task_metrics *table, uint32_t subtask_count)
{
    struct reader reader = reader_of(bytes);
    uint32_t count = reader_u32(&reader), numbers = reader_u32(&reader);
    if (reader_failed(&reader) || numbers < number_count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct worker_task_metrics it = { .subtask = reader_u32(&reader) };
#define GET(name_) it.name_ = (int64_t)reader_u64(&reader);
        NUMBERS(GET)
#undef GET
        for (uint32_t more = number_count; more < numbers && !reader_failed(&reader); more++)
            (void)reader_u64(&reader);
        if (reader_failed(&reader) || it.subtask >= subtask_count)
            return false;
        table[it.subtask] = it;
    }
    return reader_at_end(&reader);
}

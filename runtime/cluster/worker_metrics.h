/* worker_metrics.h -- what a worker tells about its tasks once a second, as bytes.
 *
 * Thread: its holder. */
#ifndef WEIR_CLUSTER_WORKER_METRICS_H
#define WEIR_CLUSTER_WORKER_METRICS_H

#include "base/memory.h"
#include "runtime/task/task.h"

/* Of one task; numbers as in struct task_metrics. Thread: its holder. */
struct worker_task_metrics {
    uint32_t subtask; /* over the whole job */
    int64_t records_in, records_out;
    int64_t busy_ms, idle_ms, backpressured_ms;
    int64_t watermark_ms, lag, unpublished, state_size;
    int64_t expired_met, expired_dropped;
    int64_t bytes_in, bytes_out;
};

void worker_metrics_read(const struct task *task, uint32_t subtask, struct worker_task_metrics *to);
void worker_metrics_put(const struct worker_task_metrics *list, uint32_t count, weir_buffer *out);
/* Fills `table`, by subtask, for those that are in the bytes. False: they are damaged. */
bool worker_metrics_get(weir_str bytes, struct worker_task_metrics *table, uint32_t subtask_count);

#endif

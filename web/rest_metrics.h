/* rest_metrics.h -- what is measured, by Flink's names: one table for each scope, for REST and for Prometheus.
 *
 * A value is computed when it is asked for, out of what the dispatcher shows; NaN: there is none, and the metric is
 * left out there. Names are those of REST ("Status.JVM.Memory.Heap.Used"), in Prometheus a dot is an underscore.
 * What is of a JVM tells of the process: heap is its resident memory.
 *
 * Thread: control. */
#ifndef WEIR_WEB_REST_METRICS_H
#define WEIR_WEB_REST_METRICS_H

#include "web/rest_private.h"

/* Thread: immutable after init. */
struct metric_row {
    const char *name;
    double (*value)(const void *it);
};
struct metric_table {
    const struct metric_row *rows;
    uint32_t count;
};

/* What a value is of. */
struct metric_job {
    const struct job *job;
    int64_t now_ms, monotonic_ms;
};
struct metric_operator {
    struct subtask subtask;
    uint32_t index; /* in the chain */
};

extern const struct metric_table rest_metrics_of_cluster;     /* of const struct dispatcher */
extern const struct metric_table rest_metrics_of_taskmanager; /* of const struct task_manager */
extern const struct metric_table rest_metrics_of_job;         /* of struct metric_job */
extern const struct metric_table rest_metrics_of_task;        /* of struct subtask */
extern const struct metric_table rest_metrics_of_operator;    /* of struct metric_operator */

struct metric_job rest_metrics_job_of(const struct call *call, const struct job *job);

#endif

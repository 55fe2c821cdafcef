/* host.h -- what a task needs from whoever runs it: the job manager, the test harness, the simulator.
 *
 * A table of calls into the owner, all of them Thread: any and never blocking: they post to the
 * owner's inbox. Immutable after init; outlives the task. */
#ifndef WEIR_TASK_HOST_H
#define WEIR_TASK_HOST_H

#include "base/metrics.h"
#include "base/worker.h"
#include "checkpoint/format.h"

/* Thread: immutable after init. */
struct task_host {
    void *arg;
    /* Opened, restored, about to work. */
    void (*running)(void *arg, uint32_t subtask);
    /* Gives the snapshot away. */
    void (*acked)(void *arg, struct subtask_snapshot *snapshot);
    /* This checkpoint cannot be taken here, the task goes on; takes the error. */
    void (*declined)(void *arg, uint64_t checkpoint, uint32_t subtask, weir_error *error);
    /* No more records will come or go; the task still takes part in checkpoints. */
    void (*ended)(void *arg, uint32_t subtask);
    /* Takes the error. */
    void (*failed)(void *arg, uint32_t subtask, weir_error *error);
    /* NULL: still the newest attempt; may block (worker threads, open). */
    weir_error *(*check_attempt)(void *arg);

    struct workers *workers;
    const char *job;
    uint64_t instance, attempt;
    const char *checkpoint_dir; /* <root>/<job> */
    const char *staging_dir;
    const char *work_dir;
    bool has_checkpoints; /* the directory outlives the process */
    const struct backend_class *backend;
    uint64_t backend_memory;           /* bytes for each keyed operator of each subtask */
    struct backend_pool *backend_pool; /* of which these are shares; NULL: none */
    int64_t checkpoint_interval_ms;    /* 0: only on request */
    int64_t watermark_interval_ms;
    int64_t buffer_timeout_ms;
    uint32_t batch_max; /* rows a batch, 1..256 */
};

#endif

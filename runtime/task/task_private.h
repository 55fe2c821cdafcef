/* task_private.h -- the inside of a task, shared by task.c (steps) and snapshot.c (checkpoints).
 *
 * Thread: task. Private to runtime/task: everything else goes through task.h. */
#ifndef WEIR_TASK_TASK_PRIVATE_H
#define WEIR_TASK_TASK_PRIVATE_H

#include "runtime/task/task.h"

#include <stdatomic.h>

/* Thread: task, but mailbox and metrics. */
struct task {
    const struct plan_vertex *vertex;
    const struct task_host *host;
    uint32_t subtask, number;
    enum task_state state;
    bool is_source;
    const struct checkpoint_metadata *restore; /* until opened */
    struct chain chain;
    struct weir_ctx *head;
    struct gate *gate; /* NULL: a source */
    struct watermarks inputs;
    struct barrier barrier;
    _Atomic uint64_t dead_checkpoint; /* it and all below: worker threads need not write them */
    uint32_t ended_count;             /* channels */
    struct mailbox *mailbox;
    struct waker *waker;
    struct task_metrics metrics;
    int64_t now_ms;
    int64_t sent_watermark_ms;
    int64_t due_watermark_ms; /* reached, its timers not all fired; WATERMARK_NONE: none */
    bool is_idle_due, is_sent_idle;
    int64_t next_watermark_ms, next_poll_ms, next_flush_ms, next_metrics_ms;
    int64_t last_step_ns;
    enum task_result last_result;
};

void task_fail(struct task *task, weir_error *error); /* takes the error */
/* A barrier arrived on a channel of the gate. */
weir_error *task_barrier(struct task *task, uint32_t channel, uint64_t checkpoint) WEIR_MUST_USE;

#endif

/* task_private.h -- the inside of a task, shared by task.c (steps) and snapshot.c (checkpoints).
 *
 * Thread: task. Private to runtime/task: everything else goes through task.h. */
#ifndef WEIR_TASK_TASK_PRIVATE_H
#define WEIR_TASK_TASK_PRIVATE_H

#include "runtime/task/task.h"

#include "runtime/task/in_flight.h"

#include <stdatomic.h>

/* What a restore has found in flight to the operators of a chain, file by file. Thread: task. */
struct replay {
    uint32_t context, file; /* the next one */
    struct in_flight_reader reader;
    char *path;
    bool is_over;
};

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
    bool *
        keyed_channels; /* of the gate: from an edge with a key; NULL: its barriers overtake nothing */
    uint64_t overtaking; /* checkpoint whose barriers may; 0: none */
    struct replay
        replay; /* of records that were in flight; nothing else is read before it is over */
    uint64_t late_trigger; /* a source's, until the replay is over; 0: none */
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

/* Takes the snapshot if the barriers that may overtake are all in sight. */
weir_error *task_try_overtake(struct task *task) WEIR_MUST_USE;
/* A trigger that has waited. */
weir_error *task_late_trigger(struct task *task) WEIR_MUST_USE;

#endif

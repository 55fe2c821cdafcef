/* task.h -- one subtask: a step function over its mailbox, its input and its chain.
 *
 *      task_step:  mailbox -> due timers -> room downstream? -> one batch (gate or source) -> flush
 *
 * A step never sleeps, waits or blocks; it says what it did, and the executor decides when to call it
 * again. Everything from outside comes as a letter (mailbox.h), everything to the outside goes
 * through the host (host.h).
 *
 *      CREATED --open--> RUNNING --input over--> ENDING (timers fire) --> ENDED (barriers still pass)
 *          \                |  \--stop letter--> STOPPED (source: polls no more, input not ended)
 *           \---error---> FAILED <---error-----/
 *
 * Checkpoint: a source task snapshots on the trigger letter; another one when the barriers of its
 * inputs are aligned (checkpoint/barrier.h), or, told to let them overtake, as soon as all are in sight.
 * What they have overtaken becomes a part of the snapshot; a restore begins with it. Edges that deal records
 * out (key groups, rebalance) allow that, forward and broadcast do not: with another parallelism nobody
 * could say whose they are. The barrier goes on before the snapshot is taken, because snapshots emit
 * nothing; writing files happens on a worker, then the host gets the ack.
 *
 * Time: each step's time is busy; the time until the next step counts as what the step ended with:
 * idle (nothing to read) or back-pressured (no room); else busy (it waited for its thread).
 *
 * Thread: task (its executor's), but task_post and the metrics. */
#ifndef WEIR_TASK_TASK_H
#define WEIR_TASK_TASK_H

#include "checkpoint/barrier.h"
#include "runtime/exchange/gate.h"
#include "runtime/task/chain.h"
#include "runtime/task/mailbox.h"

#define TASK_ASYNC_MAX   64   /* asynchronous calls under way, per operator */
#define TASK_LETTERS_MAX 8192 /* 64 operators' calls, a few letters per checkpoint */

enum task_state { TASK_CREATED, TASK_RUNNING, TASK_STOPPED, TASK_ENDING, TASK_ENDED, TASK_FAILED };
enum task_result {
    TASK_WORKED, /* step again */
    TASK_IDLE,   /* until woken, or task_deadline_ms */
    TASK_NO_ROOM /* until a consumer takes something */
};

/* Thread: task writes, any reads. */
struct task_metrics {
    metric records_in, records_out; /* of a source or sink exact, over all attempts */
    metric bytes_in, bytes_out;     /* of edges, in this attempt: as segments carry them */
    metric busy_ns, idle_ns, backpressured_ns;
    metric watermark_ms;
    metric lag;                          /* of a source: records behind, -1: unknown */
    metric unpublished;                  /* checkpoints that its sinks have not published */
    metric notified;                     /* newest checkpoint it was told complete */
    metric state_size;                   /* bytes, about */
    metric expired_met, expired_dropped; /* entries of keyed state: keyed_expired */
};

struct task; /* Thread: as above */
struct task_options {
    const struct plan *plan;
    uint32_t vertex, subtask;
    const struct task_host *host;
    struct channel *const *inputs; /* of all in_edges, in their order; outlive the task */
    uint32_t input_count;
    struct partition **partitions;             /* one per out_edge; taken */
    const struct checkpoint_metadata *restore; /* NULL: fresh; outlives TASK_CREATED */
    uint64_t last_checkpoint;                  /* barriers up to it are old */
};
struct task *task_new(const struct task_options *options);
/* Closes the chain, whatever the state; waits for its asynchronous calls. Thread: task, or after its
 * executor has stopped. */
void task_free(struct task *task);
void task_set_waker(struct task *task, struct waker *waker); /* before the first step */

enum task_result task_step(struct task *task);
/* When to step again although nothing wakes it; INT64_MAX: never. After a step. */
int64_t task_deadline_ms(const struct task *task);

/* Thread: any */
void task_post(struct task *task, struct letter letter);
void task_trigger(struct task *task, uint64_t checkpoint);  /* sources */
void task_complete(struct task *task, uint64_t checkpoint); /* notify */
/* Its barriers go in front of the records that they wait behind, where edges allow it: barrier.h, in_flight.h. */
void task_overtake(struct task *task, uint64_t checkpoint);
void task_abort(struct task *task, uint64_t checkpoint);
void task_stop(struct task *task); /* sources poll no more */
void task_drain(
    struct task *task); /* to sources it is as if their input were over: all timers fire */
const struct task_metrics *task_metrics(const struct task *task);
const struct plan_vertex *task_vertex(const struct task *task);
uint32_t task_number(const struct task *task); /* in the plan */
int task_wake_fd(const struct task *task);
/* Exact counters of its operators: calls each(arg, uid, name, value). */
void task_counters(const struct task *task,
    void (*each)(void *arg, const char *uid, const char *name, int64_t value), void *arg);

#endif

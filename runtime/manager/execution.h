/* execution.h -- the life of one run of a job: a pure state machine.
 *
 * Events go in, actions come out; no I/O, no threads, no clock, no randomness: the job manager feeds it
 * and carries out what it says, the tests do the same with tables. State names are Flink's, STOPPING
 * and FINISHING apart:
 *
 *   CREATED --restored--> RUNNING --all tasks ended--> FINISHING --published--> FINISHED
 *      |                    |  \--stop requested-----> STOPPING ---published------^
 *      |                 failure                          | failure, time-out
 *      |                    v                             v
 *      |                 FAILING --torn down, may restart--> RESTARTING --delay, restored--> RUNNING
 *      |                    \------torn down, may not-----> FAILED
 *      '--failure--> FAILED (unless has_run)   cancel from anywhere: CANCELLING --torn down--> CANCELED
 *
 * The last checkpoint. STOPPING and FINISHING ask for one more checkpoint; if it fails they ask again
 * after a second, STOPPING until its time-out. When that or a later one is complete, and every task
 * has published up to it, the job is over. So the end of a job is not special: output leaves by the
 * same protocol as always.
 *
 * Which failures restart. A retriable error restarts under the strategy (restart.h). Of the others
 * some would only happen again, or must not be papered over: usage, plan, bad records, corrupt
 * files, state that does not fit, limits, refusals of outside systems, fencing. The rest (user code,
 * I/O) restarts too, but not when a task fails to open at the first start: a typo in a path should
 * end the program, not put it into a loop. For the same reason a first start without a checkpoint has
 * only EXECUTION_PATIENCE_MS until a retriable error ends it, too: a broker that has never answered is a
 * wrong address more often than not. What is resumed has worked before and is patient, and of what has run
 * under another leader not even the first restore is final (has_run): its disk may be full just now. A job
 * that is being stopped never restarts: the previous checkpoint holds.
 *
 * Thread: its owner (job manager). */
#ifndef WEIR_MANAGER_EXECUTION_H
#define WEIR_MANAGER_EXECUTION_H

#include "runtime/manager/restart.h"
#include <weir/error.h>

/* A new broker needs some seconds before it can do transactions; a call to one that is not there takes
 * ten to fail (connectors/kafka_client.h). */
#define EXECUTION_PATIENCE_MS 10000

enum execution_state {
    EXECUTION_CREATED,
    EXECUTION_RUNNING,
    EXECUTION_STOPPING,
    EXECUTION_FINISHING,
    EXECUTION_FAILING,
    EXECUTION_RESTARTING,
    EXECUTION_CANCELLING,
    EXECUTION_FINISHED,
    EXECUTION_FAILED,
    EXECUTION_CANCELED
};

/* In the order in which they are given out. */
enum execution_action {
    EXECUTION_NONE,
    EXECUTION_TEAR_DOWN,       /* free all tasks, then execution_torn_down */
    EXECUTION_RESTORE,         /* claim the attempt, read the newest checkpoint, then _restored */
    EXECUTION_DEPLOY,          /* make and start all tasks */
    EXECUTION_CHECKPOINTS,     /* all tasks run: checkpoints may start */
    EXECUTION_STOP_SOURCES,    /* they poll no more */
    EXECUTION_LAST_CHECKPOINT, /* request one, tell its number by execution_triggered */
    EXECUTION_END              /* nothing will ever happen again */
};

/* Thread: immutable after init. */
struct execution_options {
    uint32_t subtask_count;
    struct restart_options restart;
    int64_t stop_timeout_ms; /* from the request to stop until everything is published */
    int64_t retry_ms;        /* after a last checkpoint that failed */
    bool has_run;            /* under another leader: what fails now is no fault of its start */
};

/* Thread: its owner. */
struct execution {
    struct execution_options options;
    struct restart restart;
    enum execution_state state;
    uint32_t todo; /* bits of actions not given out yet */
    bool *running, *ended;
    uint32_t running_count, ended_count;
    bool has_run;      /* some attempt had all its tasks running */
    bool is_resumed;   /* from a checkpoint of an earlier process */
    bool is_opening;   /* the failure at hand comes from before the first record */
    bool is_fatal;     /* FAILING: no restart */
    bool is_restoring; /* RESTORE given out */
    bool is_stop_requested, has_timed_out;
    uint64_t last_checkpoint; /* asked for and started; 0: not yet */
    uint64_t completed;       /* newest complete one, from last_checkpoint on; 0: none */
    int64_t started_ms;
    int64_t restart_delay_ms;     /* FAILING: decided at the failure */
    int64_t restart_ms;           /* RESTARTING; INT64_MAX: restoring */
    int64_t stop_by_ms, retry_ms; /* INT64_MAX: not set */
    uint32_t restart_count;
};

void execution_init(struct execution *execution, const struct execution_options *options);
void execution_release(struct execution *execution);

/* The next thing to do, until NONE: after every event and tick. */
enum execution_action execution_take(struct execution *execution);

/* Events. What no longer fits the state (a task's message of an attempt that is over) is ignored. */
void execution_start(struct execution *execution, int64_t now_ms);
void execution_restored(struct execution *execution, bool has_checkpoint);
void execution_task_running(struct execution *execution, uint32_t subtask);
void execution_task_ended(struct execution *execution, uint32_t subtask);
/* A task failed, or (not a task's) a deployment, a restore, an attempt. True: it counted. */
bool execution_task_failed(struct execution *execution, uint32_t subtask, enum weir_code code,
    bool is_retriable, int64_t now_ms, uint64_t random);
bool execution_failed(struct execution *execution, enum weir_code code, bool is_retriable,
    int64_t now_ms, uint64_t random);
void execution_torn_down(struct execution *execution, int64_t now_ms);
void execution_stop(struct execution *execution, int64_t now_ms);
void execution_cancel(struct execution *execution);
void execution_triggered(struct execution *execution, uint64_t checkpoint);
void execution_completed(struct execution *execution, uint64_t checkpoint);
void execution_aborted(struct execution *execution, uint64_t checkpoint, int64_t now_ms);
/* Every task has published everything up to `checkpoint`. */
void execution_published(struct execution *execution, uint64_t checkpoint);
void execution_tick(struct execution *execution, int64_t now_ms);

/* When to call tick at the latest; INT64_MAX: only after another event. */
int64_t execution_deadline_ms(const struct execution *execution);
/* The last checkpoint that everything must be published up to; 0: not that far. */
uint64_t execution_to_publish(const struct execution *execution);
bool execution_wants_last_checkpoint(const struct execution *execution);
bool execution_is_over(const struct execution *execution); /* END was given out or is due */
bool execution_has_tasks(const struct execution *execution);
const char *execution_state_name(enum execution_state state); /* "RUNNING" */

#endif

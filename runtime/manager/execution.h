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
 * Regions. A failure of one task brings down its region only: the subtasks that channels connect with it
 * (plan_regions.c), and with them those of regions that are not all running yet. The others go on, moving
 * records, while the region is torn down, waits, is restored from the newest complete checkpoint and runs
 * again: FAILING and RESTARTING are the region's then, and has_tasks is true in them. No checkpoint is taken
 * meanwhile, so there is one restore point for all that has failed, and it is the one that the others have
 * published up to. Why that is exactly once:
 *   - no record goes from one region to another, so nobody misses what the region takes back;
 *   - a source's splits and a sink's slots follow from the number of the subtask and the parallelism, so the
 *     restarted one finds its own, and only those, in the checkpoint;
 *   - the attempt stays. Attempts fence what may still run elsewhere, and nothing of the region does: the job
 *     manager restarts a part only when it knows that the old tasks have ended (jobmanager.h).
 * Another failure, in another region, adds that region and begins the wait anew. A failure that is no task's
 * (a restore, a deployment, FENCED), and any that ends the job, is of all of it. A job of one region always
 * restarts as a whole, under a new attempt.
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
 * that is being stopped never restarts: the previous checkpoint holds. But who has asked for a stop may rather have
 * the job go on (may_go_on): then a failure withdraws the stop, and all tasks restart, for some sources have stopped.
 *
 * A stop while a region restarts waits for it, until its time-out: only when all tasks run can there be a last
 * checkpoint. Where all of them are down, there is nothing to stop: the previous checkpoint holds.
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
    EXECUTION_TEAR_DOWN, /* free the tasks of `restarting`, then execution_torn_down */
    EXECUTION_RESTORE, /* claim an attempt if all restart, read the newest checkpoint, _restored */
    EXECUTION_DEPLOY,  /* make and start the tasks of `restarting` */
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
    uint32_t *regions; /* of each subtask, by the first of the region; one region until it is set */
    bool *restarting;  /* of each subtask: from its failure to DEPLOY; at the start all */
    uint32_t restarting_count;
    bool has_run;      /* some attempt had all its tasks running */
    bool is_resumed;   /* from a checkpoint of an earlier process */
    bool is_opening;   /* the failure at hand comes from before the first record */
    bool is_fatal;     /* FAILING: no restart */
    bool is_restoring; /* RESTORE given out, and waited for */
    bool is_stop_requested, has_timed_out;
    bool may_go_on;           /* a failure withdraws the stop */
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

/* Subtasks that restart together; how that is known at a failure counts (jobmanager.c). */
void execution_set_regions(struct execution *execution, const uint32_t *regions);

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
void execution_stop(struct execution *execution, bool may_go_on, int64_t now_ms);
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
bool execution_is_over(const struct execution *execution);   /* END was given out or is due */
bool execution_has_tasks(const struct execution *execution); /* some; FAILING: that will go on */
/* Deployed, and not about to be torn down. */
bool execution_has_task(const struct execution *execution, uint32_t subtask);
bool execution_is_partial(const struct execution *execution); /* `restarting` is not everything */
const char *execution_state_name(enum execution_state state); /* "RUNNING" */

#endif

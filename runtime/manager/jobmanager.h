/* jobmanager.h -- supervises one job: checkpoints, failures, its end.
 *
 *      task hosts --events--> [ inbox ] --> jobmanager_step --> execution   (what the job shall do)
 *      workers    --events-->                        |     \--> coordinator (when checkpoints are)
 *                                                    v
 *                                  task gateway (deploy, trigger, notify, tear down)
 *                                  workers     (restore, publish, clean: one lane, in order)
 *
 * The two state machines decide, this carries out and reports. It does no blocking I/O itself: what
 * touches the checkpoint directory runs as a job of one lane of the workers and comes back as an
 * event. Because the lane keeps its order, a restore sees every checkpoint that was being published
 * when the job failed.
 *
 * A checkpoint, as a story:
 *      1. the coordinator says TRIGGER: every source task gets the number;
 *      2. each task acks with its snapshot, copied into the metadata of the checkpoint at once;
 *      3. the last ack: STORE: a worker publishes the metadata; that is the moment of completion;
 *      4. NOTIFY: every task hears of it, sinks publish, old checkpoints are cleaned up behind it.
 * A decline, a time-out or a failed write end the story with a warning, and the next one begins at the
 * next interval: never a reason to fail the job. But FENCED is: another attempt is in charge.
 *
 * A restart of a region (execution.h), as a story; where all tasks restart, it is the same without the
 * others, and with a new attempt:
 *      1. a task fails: what restarts with it are the subtasks of its region, and of what the gateway cannot
 *         tear down apart from it (task_gateway.regions);
 *      2. the checkpoint that is pending is aborted, everywhere: a part of it is lost. One that has all its
 *         acks may still complete, and the others hear of it; none is triggered until all tasks run again;
 *      3. the region is torn down; what its old tasks have posted before is dropped: it is read before the
 *         region is deployed again, because the inbox keeps its order, too;
 *      4. the newest complete checkpoint is read: the lane keeps its order, so that is the last one that
 *         anybody could have published. Not an older one (storage_restore_again);
 *      5. the region is deployed, under the same attempt; its sinks first finish what the checkpoint holds;
 *      6. all tasks run: checkpoints go on.
 * Nothing fences the old tasks, so a part restarts only if they are known to be gone: threads that were
 * joined, or a worker whose task manager has told its end. If that is not known, the gateway makes one region
 * of all, and the new attempt fences.
 *
 * Thread: control (one thread calls step), but the calls of the task host, which only post events. */
#ifndef WEIR_MANAGER_JOBMANAGER_H
#define WEIR_MANAGER_JOBMANAGER_H

#include "base/metrics.h"
#include "checkpoint/coordinator.h"
#include "checkpoint/storage.h"
#include "runtime/graph/plan.h"
#include "runtime/manager/execution.h"
#include "runtime/manager/history.h"
#include "runtime/task/host.h"

/* Where the subtasks of an attempt run when there are several workers, and how they reach each other.
 * Thread: immutable while the tasks live. */
struct placement {
    const uint32_t
        *workers; /* of each subtask of the job, by number; those that share a slot are together */
    struct wire
        *wire; /* new, of this attempt; knows which worker this is. Freed after the tear-down */
    const struct wire_address *addresses; /* of each worker */
    int64_t connect_timeout_ms;           /* until all workers must be there */
};

/* What tasks are made for: all of an attempt, or a part of them that starts again. Thread: immutable while the tasks live. */
struct deployment {
    const struct checkpoint_metadata *restore; /* NULL: fresh; until all tasks run, or torn down */
    uint64_t attempt, instance;
    uint64_t last_checkpoint;          /* barriers up to it are old */
    const struct placement *placement; /* NULL: all tasks are here */
    const bool *subtasks; /* those to make, the others are there; NULL: all. For the call only */
};

/* What the job manager asks of whoever runs the tasks: taskmanager.c, a cluster's gateway, a test. No call
 * waits for a task, tear_down apart: when it returns, none of these tasks is heard of any more. Thread: control. */
struct task_gateway {
    void *arg;
    weir_error *(*deploy)(void *arg, const struct deployment *deployment);
    /* Also after a deploy that failed; harmless if there is nothing. `subtasks`: those; NULL: all. */
    void (*tear_down)(void *arg, const bool *subtasks);
    /* Joins regions (plan.h) that cannot be torn down apart; NULL: each can. */
    void (*regions)(void *arg, uint32_t *regions);
    void (*trigger)(void *arg, uint64_t checkpoint); /* sources */
    void (*complete)(void *arg, uint64_t checkpoint);
    void (*overtake)(void *arg, uint64_t checkpoint);
    void (*abort)(void *arg, uint64_t checkpoint);
    void (*stop)(void *arg);  /* sources */
    void (*drain)(void *arg); /* sources: as if all input had ended */
    /* Where a subtask runs, for people; NULL: in this process. May be NULL itself. */
    const char *(*place)(void *arg, uint32_t subtask);
    /* Every task knows that `checkpoint` is complete and has nothing left to publish. */
    bool (*has_published)(void *arg, uint64_t checkpoint);
};

/* Thread: immutable after init. */
struct jobmanager_options {
    const struct plan *plan;
    const char *id;          /* of the job, for the log; copied. NULL: its name says enough */
    const char *backend;     /* name, of keyed state */
    struct storage *storage; /* outlives it */
    struct workers *workers; /* outlives it */
    void (*wake)(
        void *arg); /* Thread: any. There is something to step for; NULL: whoever steps, looks */
    void *wake_arg;
    struct task_gateway tasks;
    int64_t interval_ms, min_pause_ms, timeout_ms; /* of checkpoints */
    int64_t aligned_timeout_ms;                    /* coordinator.h */
    struct restart_options restart;
    int64_t stop_timeout_ms;
    bool is_fresh;
    const char *from_savepoint; /* a directory to start from; NULL: none */
    bool allow_non_restored;    /* what the job no longer has is dropped then */
    bool
        has_begun; /* that start, or the fresh one, under another leader: goes on from its checkpoints if it has any */
    const char *savepoints; /* where savepoints are written; NULL: nowhere */
    bool stop_with_savepoint;
    struct history *history; /* what happens is written into; NULL: nowhere. Outlives it */
};

/* Somebody asks for a checkpoint now, or for a savepoint made out of it. */
struct jobmanager_request {
    const char *directory; /* of savepoints; copied. NULL: a checkpoint is all that is wanted */
    /* What came of it: the checkpoint's number, where the savepoint is (NULL: none was wanted); or an
     * error, which is borrowed. Called once, unless the job manager is freed before. */
    void (*done)(void *arg, uint64_t checkpoint, const char *path, const weir_error *error);
    void *arg;
};

/* For people and --metrics-json. Thread: control. */
struct jobmanager_stats {
    enum execution_state state;
    uint64_t attempt;
    uint32_t restarts;
    int64_t running_since_ms;   /* monotonic, all tasks; 0: not now */
    uint64_t completed, failed; /* checkpoints */
    uint64_t unaligned;         /* of the completed ones: with records in flight */
    uint64_t last_checkpoint;   /* newest complete, this run or restored; 0: none */
    int64_t last_duration_ms;
    uint64_t last_size;        /* bytes that it refers to */
    uint64_t last_in_flight;   /* of these, of records in flight */
    int64_t last_completed_ms; /* monotonic */
    struct histogram durations;
};

struct jobmanager;
struct jobmanager *jobmanager_new(const struct jobmanager_options *options);
/* Waits for its lane, whose name is its address: whoever must not wait for a disk submits something to it when the job
 * is over, and frees it behind that. Tears nothing down: that was done, or is the owner's. */
void jobmanager_free(struct jobmanager *jobmanager);
/* Fills in the calls of a host, and what is known of the attempt; the rest is the owner's. */
void jobmanager_host(struct jobmanager *jobmanager, struct task_host *host);

void jobmanager_start(struct jobmanager *jobmanager, int64_t now_ms);
/* Handles all events and what is due. False: the job is over. */
bool jobmanager_step(struct jobmanager *jobmanager, int64_t now_ms);
/* As a host's `failed`, but nobody knows which task of the process it was that this one runs in. Takes the error.
 * Thread: any. */
void jobmanager_worker_failed(struct jobmanager *jobmanager, uint32_t subtask, weir_error *error);
/* The tasks have moved on in a way that no call of a host tells. Thread: any. */
void jobmanager_wake(struct jobmanager *jobmanager);
/* When to step at the latest, although nothing wakes the control thread. `now_ms`: monotonic. */
int64_t jobmanager_deadline_ms(const struct jobmanager *jobmanager);
void jobmanager_stop(struct jobmanager *jobmanager, int64_t now_ms); /* in good order */
void jobmanager_cancel(struct jobmanager *jobmanager);               /* at once */
/* Somebody asks for a savepoint in options.savepoints (jobmanager_request.c); what comes of it is logged. */
void jobmanager_savepoint(struct jobmanager *jobmanager, int64_t now_ms);
/* WEIR_E_STATE: not now, and why. One at a time. */
weir_error *jobmanager_ask(struct jobmanager *jobmanager, const struct jobmanager_request *request,
    int64_t now_ms) WEIR_MUST_USE;
/* Stops, or drains, and a savepoint is made out of the last checkpoint. A failure in between withdraws the stop: the
 * job restarts and goes on, and who has asked is told. A drain goes on. */
weir_error *jobmanager_stop_with(struct jobmanager *jobmanager,
    const struct jobmanager_request *request, bool drain, int64_t now_ms) WEIR_MUST_USE;
bool jobmanager_is_stopping(const struct jobmanager *jobmanager); /* or drains */
/* Something asked for is on its way: keep stepping, even if the job is over. */
bool jobmanager_is_asked(const struct jobmanager *jobmanager);
/* After the last step: waits for a savepoint that is being written. An error: the job was to stop with
 * one, and has none. */
weir_error *jobmanager_settle(struct jobmanager *jobmanager) WEIR_MUST_USE;

const struct jobmanager_stats *jobmanager_stats(const struct jobmanager *jobmanager);
/* Why the job failed, once it is over; NULL: it did not. The caller's from here on. */
weir_error *jobmanager_take_error(struct jobmanager *jobmanager) WEIR_MUST_USE;

#endif

/* dispatcher.h -- all jobs of a job manager: takes them in, runs them on task managers, lets people ask.
 *
 *   submit --> INITIALIZING --plan made by a task manager--> CREATED --slots--> RUNNING ... --> FINISHED
 *                   |  no plan                                                              FAILED, CANCELED
 *                   '------> FAILED; SUSPENDED if it has run before
 *
 * Each job has a job manager of its own (runtime/manager/jobmanager.h), a gateway to its workers (gateway.h),
 * and its checkpoint directory. This is what is left: ids, the list, connections of task managers and workers,
 * operations that take a while (a savepoint, a stop), and the job store, from which a new leader starts
 * every job that was not over.
 *
 * States are Flink's job states: what people and Flink's tools know. SUSPENDED is a job that this leader cannot run, for
 * its executable makes no plan for this cluster any more: it is kept, with its checkpoints, until it is cancelled or
 * another leader (of the version before, say) can.
 *
 * Operations that take a while have an id, as Flink's trigger ids; asking for the same one twice gives the
 * same operation. What became of them is kept OPERATION_KEEP_MS, also when the job is gone.
 *
 * Prefixes: dispatcher_, job_state_
 * Thread: control; calls of a job's blocking work come back through net_waker. Limits: DISPATCHER_JOBS_MAX
 * jobs that are not over, `retained_jobs` that are, OPERATIONS_MAX operations. */
#ifndef WEIR_CLUSTER_DISPATCHER_H
#define WEIR_CLUSTER_DISPATCHER_H

#include "net/net.h"
#include "runtime/cluster/blob_store.h"
#include "runtime/cluster/gateway.h"
#include "runtime/cluster/job_spec.h"
#include "runtime/cluster/log_dir.h"
#include "runtime/cluster/resources.h"
#include "runtime/manager/history.h"

#define DISPATCHER_JOBS_MAX 4096u
#define DISPATCHER_ID_SIZE  33 /* 32 hexadecimal digits and a NUL: of jobs, vertices, operations */
#define OPERATIONS_MAX      1024u
#define OPERATION_KEEP_MS   300000

enum job_state {
    JOB_INITIALIZING,
    JOB_CREATED,
    JOB_RUNNING,
    JOB_FAILING,
    JOB_FAILED,
    JOB_CANCELLING,
    JOB_CANCELED,
    JOB_FINISHED,
    JOB_RESTARTING,
    JOB_SUSPENDED,
    JOB_RECONCILING,
    JOB_STATE_COUNT
};
const char *job_state_name(enum job_state state); /* "RUNNING" */
bool job_state_is_terminal(enum job_state state);

/* Thread: control. A job as others may look at it. */
struct job {
    char id[DISPATCHER_ID_SIZE];
    char *name;
    enum job_state state;
    int64_t entered_ms[JOB_STATE_COUNT]; /* wall clock: when it was last in that state; 0: never */
    int64_t start_ms, end_ms;            /* wall clock; end 0: not over */
    char *digest;                        /* of the executable */
    const char *const *arguments;        /* without argv[0] */
    uint32_t argument_count;
    const struct job_spec *spec;          /* NULL: not planned yet, or it could not be */
    const struct plan *plan;              /* of the spec */
    const struct jobmanager *jobmanager;  /* NULL: not planned yet, or over */
    const struct jobmanager_stats *stats; /* NULL with it */
    const struct gateway *gateway;        /* NULL with it */
    /* Of each subtask, when the job was over; NULL: it is not, or did not run under this job manager. */
    struct worker_task_metrics *last_metrics;
    struct history history;
    weir_error *error; /* why it failed, or is suspended; NULL: it did not, and is not */
};

enum operation_kind {
    OPERATION_SAVEPOINT,
    OPERATION_STOP,
    OPERATION_CHECKPOINT,
    OPERATION_DISPOSE,
    OPERATION_RESCALE
};
/* Thread: control. */
struct operation {
    char id[DISPATCHER_ID_SIZE];
    char job[DISPATCHER_ID_SIZE];
    enum operation_kind kind;
    struct dispatcher *dispatcher; /* it is one of its */
    bool is_done;
    weir_error *error;         /* done: why not; NULL: well */
    char *location;            /* done: of the savepoint */
    uint64_t checkpoint;       /* done: its number */
    int64_t begun_ms, done_ms; /* monotonic */
    int64_t downtime_ms;       /* of a rescale: from the last record out to the first one */
    bool is_unchanged;         /* of a rescale: the job has that parallelism already */
};

/* Thread: immutable after init; what it points to outlives the dispatcher. */
struct dispatcher_options {
    struct net *net;
    struct workers *workers; /* for blocking work */
    struct job_store *store; /* NULL: jobs live as long as this process */
    uint64_t epoch;
    const char *token;          /* of task managers; NULL: none is asked for */
    bool asks_user;             /* they must be of this process's user, or root's: base/os_peer.h */
    const char *blobs_url;      /* told to task managers */
    struct blob_store *blobs;   /* executables */
    const char *checkpoints;    /* default root; NULL: none */
    const char *savepoints;     /* default directory; NULL: none */
    const struct log_dir *logs; /* of this process; NULL: none are kept */
    int64_t heartbeat_ms, heartbeat_timeout_ms, slot_timeout_ms, start_timeout_ms;
    uint32_t retained_jobs;
};

struct dispatcher;
struct dispatcher *dispatcher_new(const struct dispatcher_options *options);
/* Takes over every job of the store: those that are not over start again, from their newest checkpoint. Once,
 * before the first step. */
weir_error *dispatcher_recover(struct dispatcher *dispatcher) WEIR_MUST_USE;
/* Jobs that run are let go: their workers go on, a new leader takes over. */
void dispatcher_free(struct dispatcher *dispatcher);
/* For net_listen: connections of task managers and workers. */
bool dispatcher_accepted(void *dispatcher, struct connection *connection);
void dispatcher_step(struct dispatcher *dispatcher, int64_t now_ms);
int64_t dispatcher_deadline_ms(const struct dispatcher *dispatcher);

/* -- looking */
uint32_t dispatcher_job_count(const struct dispatcher *dispatcher); /* oldest first */
const struct job *dispatcher_job(const struct dispatcher *dispatcher, uint32_t index);
const struct job *dispatcher_find(const struct dispatcher *dispatcher, const char *id);
const struct resources *dispatcher_resources(const struct dispatcher *dispatcher);
const struct operation *dispatcher_operation(const struct dispatcher *dispatcher, const char *id);
/* 32 hexadecimal digits for a vertex of a plan: the same for the same uids, whatever the attempt. */
void dispatcher_vertex_id(const struct plan *plan, uint32_t vertex, char id[DISPATCHER_ID_SIZE]);

/* -- asking. Errors: WEIR_E_USAGE (what was asked is wrong), WEIR_E_STATE (not in this state),
 * WEIR_E_LIMIT, WEIR_E_CONNECTOR (no such job: see dispatcher_find first). */
/* Thread: immutable after init. */
struct submission {
    const char *program; /* what it is called: argv[0], and the job's name if it has no other */
    const char *digest;  /* of an executable in the blob store */
    const char *const *arguments; /* its own and the engine's, e.g. "--parallelism" "4" */
    uint32_t argument_count;
};
weir_error *dispatcher_submit(struct dispatcher *dispatcher, const struct submission *submission,
    char id[DISPATCHER_ID_SIZE]) WEIR_MUST_USE;
weir_error *dispatcher_cancel(struct dispatcher *dispatcher, const char *job) WEIR_MUST_USE;
/* Where a savepoint of it would go, borrowed until the job changes; and whether one can be written there, which a disk
 * has to say: before tasks are asked for anything, for one that cannot be written would end a stop without its
 * savepoint. dispatcher_probe: Thread: any. */
weir_error *dispatcher_savepoint_directory(const struct dispatcher *dispatcher, const char *job,
    const char *given, const char **directory) WEIR_MUST_USE;
weir_error *dispatcher_probe(const char *directory) WEIR_MUST_USE;
/* `operation`: in: the caller's id, or empty; out: its id. */
weir_error *dispatcher_savepoint(struct dispatcher *dispatcher, const char *job,
    const char *directory, bool then_cancel, char operation[DISPATCHER_ID_SIZE]) WEIR_MUST_USE;
weir_error *dispatcher_stop(struct dispatcher *dispatcher, const char *job, const char *directory,
    bool drain, char operation[DISPATCHER_ID_SIZE]) WEIR_MUST_USE;
weir_error *dispatcher_checkpoint(struct dispatcher *dispatcher, const char *job,
    char operation[DISPATCHER_ID_SIZE]) WEIR_MUST_USE;
weir_error *dispatcher_dispose(struct dispatcher *dispatcher, const char *path,
    char operation[DISPATCHER_ID_SIZE]) WEIR_MUST_USE;
/* Also of a job whose tasks do not run: from its newest checkpoint, then. One under way that waits is given up. */
weir_error *dispatcher_rescale(struct dispatcher *dispatcher, const char *job, uint32_t parallelism,
    char operation[DISPATCHER_ID_SIZE]) WEIR_MUST_USE;

/* Blocking work of somebody who serves the dispatcher: base/errands.h, where it may be refused. */
bool dispatcher_errand(struct dispatcher *dispatcher, void (*run)(void *arg),
    void (*done)(void *arg, bool is_over), void *arg);

/* -- logs. What is asked of a task manager, or of this process (NULL), is answered later, once, from the dispatcher's
 * step or a frame: bytes as log_dir_answer makes them, or why there are none. Both are borrowed for the call. */
typedef void log_done_fn(void *arg, weir_str bytes, const weir_error *error);
weir_error *dispatcher_log(struct dispatcher *dispatcher, const char *task_manager,
    const struct log_question *question, log_done_fn *done, void *arg) WEIR_MUST_USE;

#endif

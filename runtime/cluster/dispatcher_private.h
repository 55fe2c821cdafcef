/* dispatcher_private.h -- the inside of the dispatcher, shared by dispatcher.c (the list of jobs, the step),
 * dispatcher_job.c (the life of one), dispatcher_plan.c (its plan), dispatcher_rescale.c (another parallelism),
 * dispatcher_move.c (away from a task manager that leaves), dispatcher_peers.c (connections), dispatcher_operation.c
 * (what takes a while), dispatcher_log.c (logs).
 *
 * Thread: control, where nothing else is said. */
#ifndef WEIR_CLUSTER_DISPATCHER_PRIVATE_H
#define WEIR_CLUSTER_DISPATCHER_PRIVATE_H

#include "base/errands.h"
#include "runtime/cluster/dispatcher.h"
#include "runtime/cluster/job_store.h"
#include "runtime/cluster/messages.h"

#include <stdatomic.h>

/* What is being done about a job that has no job manager. */
enum entry_phase {
    ENTRY_TO_PLAN,   /* nobody was asked yet */
    ENTRY_PLANNING,  /* a task manager makes its plan */
    ENTRY_SUSPENDED, /* it has run, and has no plan now: the next leader asks again */
    ENTRY_TO_OPEN,
    ENTRY_OPENING,  /* a worker opens its checkpoint directory */
    ENTRY_RUNNING,  /* it has a job manager */
    ENTRY_TO_CLOSE, /* that is over, or none comes any more */
    ENTRY_CLOSING,  /* a worker ends what was begun, and closes the directory */
    ENTRY_OVER
};

/* A job goes away from a task manager that leaves (dispatcher_move.c). */
enum entry_move {
    MOVE_NONE,
    MOVE_TO_ASK, /* its checkpoint could not be asked for yet */
    MOVE_ASKED,
    MOVE_DUE, /* that is complete, or has failed */
    MOVE_LEFT /* its tasks were told to end */
};

/* One version of what a job is; a rescale makes the next one. */
struct version {
    struct arena arena;
    struct job_spec spec;
    weir_str bytes; /* of the spec */
};

/* How far a rescale is: dispatcher_rescale.c. */
enum rescale_step {
    RESCALE_NONE,
    RESCALE_PLANNING,      /* a task manager makes the new plan */
    RESCALE_READY,         /* it is there; its checkpoint cannot be asked for yet */
    RESCALE_CHECKPOINTING, /* it was asked for */
    RESCALE_LEAVING,       /* the old tasks are torn down */
    RESCALE_ARRIVING       /* the job has the new plan; its tasks do not all run yet */
};

/* Thread: control. Of NONE all of it is empty. */
struct rescale {
    enum rescale_step step;
    struct operation *operation;
    uint32_t parallelism;
    const char **arguments; /* the new ones */
    uint32_t argument_count;
    struct version *version; /* from READY to LEAVING */
    bool has_checkpoint;     /* CHECKPOINTING: it is complete */
    weir_error *why;         /* CHECKPOINTING: it never will be */
    int64_t left_ms;
};

/* Thread: control; a worker while OPENING or CLOSING, which nobody else touches. */
struct entry {
    struct job job;         /* what others see; first */
    int64_t due_ms;         /* to be stepped then, although nothing has happened to it */
    atomic_bool is_touched; /* something has: it is in the dispatcher's list. Thread: any sets */
    struct entry *next_touched; /* in that list */
    struct dispatcher *dispatcher;
    enum entry_phase phase;
    struct arena arena;
    const char *program;
    const char **arguments;
    struct version *version;
    struct restart planning; /* of one that has run: when it is planned again, how often */
    char plan_request[DISPATCHER_ID_SIZE];
    struct task_manager *planner;
    int64_t deadline_ms; /* of the plan request */
    int64_t again_ms;    /* TO_PLAN, TO_OPEN, what could not be stored: not before */
    bool is_end_unstored, is_version_unstored; /* the store could not take it */
    enum job_state end_state;                  /* OVER: told when it is stored */
    struct storage *storage; /* RUNNING; OPENING again: that of the version before */
    struct storage *closing; /* CLOSING: NULL, it stays open */
    bool is_overtaken;       /* closed: somebody else had claimed an attempt in it by then */
    weir_error *open_error;
    struct jobmanager *jobmanager;
    struct gateway *gateway;
    bool is_cancel_wanted;
    bool
        has_started; /* the store knows: from its own checkpoints, if it has any, not from its savepoint */
    bool has_claimed_back;  /* from an attempt that came late */
    struct operation *stop; /* under way; NULL: none */
    struct rescale rescale;
    enum entry_move move;
};

/* A connection that has come in: a task manager's, or not known yet. */
struct peer {
    struct peer *next;
    struct dispatcher *dispatcher;
    struct connection *connection;
    struct task_manager *task_manager; /* NULL: it has not registered */
};

struct dispatcher {
    struct dispatcher_options options;
    struct entry **entries; /* oldest first */
    uint32_t entry_count, entry_capacity, over_count;
    int64_t due_ms;                  /* no entry is due before */
    uint64_t changes_seen;           /* of the resources */
    _Atomic(struct entry *) touched; /* a list, newest first. Thread: any adds, control takes all */
    struct operation **operations;
    uint32_t operation_count;
    struct resources *resources;
    struct peer *peers;
    struct errands *errands;
    struct log_waiter *log_waiters;
    uint32_t log_waiter_count;
    uint64_t log_request; /* the newest */
    int64_t now_ms, next_collect_ms;
};

/* -- dispatcher.c */
#define DISPATCHER_STORED_SIZE_MAX ((size_t)16 << 20)
/* A submission as the store keeps it: the program's name, then its arguments. */
weir_str dispatcher_stored_spec(const struct entry *entry, struct arena *arena);
struct entry *dispatcher_entry(const struct dispatcher *dispatcher,
    const char *id); /* NULL: none */

/* Something has happened to it: it is stepped soon. Of a struct entry. Thread: any */
void entry_touch(void *entry);

/* -- dispatcher_job.c */
/* `id` NULL: a new one. */
struct entry *entry_new(struct dispatcher *dispatcher, const struct submission *submission,
    const char *id);
/* As a record of the store tells that it ended. */
void entry_set_over(struct entry *entry, const struct job_record *record);
void entry_free(struct entry *entry); /* its job manager is let go */
/* What is due. */
void entry_step(struct entry *entry, int64_t now_ms);
int64_t entry_deadline_ms(const struct entry *entry);
void entry_set_state(struct entry *entry, enum job_state state);
/* No job manager has it any more, and none will. Takes the error. */
void entry_finish(struct entry *entry, enum job_state state, weir_error *error);
void entry_cancel(struct entry *entry);

/* -- dispatcher_plan.c */
/* Of a job_spec as bytes. */
weir_error *version_new(weir_str bytes, struct version **version) WEIR_MUST_USE;
void version_free(struct version *version); /* NULL is fine */
void entry_set_version(struct entry *entry, struct version *version);
void entry_init_planning(struct entry *entry);
void entry_ask_for_plan(struct entry *entry, int64_t now_ms);
/* Of a job that is new, or of its rescale: is the plan late, the task manager lost? */
void entry_look_at_planner(struct entry *entry, int64_t now_ms);
/* A plan was made, or not. Takes the error. */
void entry_planned(struct entry *entry, weir_str spec, weir_error *error);

/* -- dispatcher_rescale.c */
void rescale_planned(struct entry *entry, struct version *version); /* takes it */
void rescale_step(struct entry *entry, int64_t now_ms);             /* of a job that is RUNNING */
void rescale_change(struct entry *entry); /* the old tasks are gone: the job is the new version */
void rescale_failed(struct entry *entry, weir_error *error); /* takes the error */

/* -- dispatcher_peers.c */
void peers_step(struct dispatcher *dispatcher, int64_t now_ms);
int64_t peers_deadline_ms(const struct dispatcher *dispatcher);
void peers_free(struct dispatcher *dispatcher);

/* -- dispatcher_move.c */
/* Of a job that runs: does it have slots of somebody who leaves? Then it goes, behind a checkpoint. */
void entry_step_move(struct entry *entry);

/* -- dispatcher_operation.c */
/* The job is over, or running anew: what its operations waited for has come, or never will. */
void operations_job_over(struct entry *entry);
/* Was its stop withdrawn? The job goes on, then. */
void operations_look_at_stop(struct entry *entry);
/* Asked for already, by this id? Looked at before the job, which a stop that was asked for twice may have ended. */
bool operations_know(const struct dispatcher *dispatcher, const char *id);
/* `id`: in: the caller's, or empty; out: its own. */
weir_error *operations_begin(struct dispatcher *dispatcher, const char *job,
    enum operation_kind kind, char id[DISPATCHER_ID_SIZE], struct operation **operation)
    WEIR_MUST_USE;
void operation_done(struct operation *operation, weir_error *error); /* takes the error */
/* The job, if it has a job manager. */
weir_error *operations_entry(const struct dispatcher *dispatcher, const char *job,
    struct entry **entry) WEIR_MUST_USE;
void operations_step(struct dispatcher *dispatcher, int64_t now_ms);
void operations_free(struct dispatcher *dispatcher);

/* -- dispatcher_log.c */
void logs_answered(struct dispatcher *dispatcher, const struct task_manager *from,
    const struct message_logged *message);
void logs_lost(struct dispatcher *dispatcher, const struct task_manager *from);
void logs_step(struct dispatcher *dispatcher, int64_t now_ms);
int64_t logs_deadline_ms(const struct dispatcher *dispatcher);
void logs_free(struct dispatcher *dispatcher);

#endif

/* dispatcher_private.h -- the inside of the dispatcher, shared by dispatcher.c (the list of jobs, the step),
 * dispatcher_job.c (the life of one), dispatcher_peers.c (connections), dispatcher_operation.c (what takes a while),
 * dispatcher_log.c (logs), dispatcher_move.c (away from a task manager that leaves).
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
    ENTRY_TO_PLAN,  /* nobody was asked yet */
    ENTRY_PLANNING, /* a task manager makes its plan */
    ENTRY_TO_OPEN,
    ENTRY_OPENING, /* a worker opens its checkpoint directory */
    ENTRY_RUNNING, /* it has a job manager */
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

/* Thread: control; a worker while OPENING, which nobody else touches. */
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
    struct version *version, *next_version; /* next: of a rescale under way */
    const char **next_arguments;
    uint32_t next_argument_count;
    char plan_request[DISPATCHER_ID_SIZE];
    struct task_manager *planner;
    int64_t deadline_ms; /* of the plan request */
    int64_t again_ms;    /* TO_PLAN, TO_OPEN, what could not be stored: not before */
    bool is_end_unstored, is_version_unstored; /* the store could not take it */
    enum job_state end_state;                  /* OVER: told when it is stored */
    struct storage *storage;
    weir_error *open_error;
    struct jobmanager *jobmanager;
    struct gateway *gateway;
    bool is_cancel_wanted;
    bool
        has_started; /* the store knows: from its own checkpoints, if it has any, not from its savepoint */
    bool has_claimed_back;            /* from an attempt that came late */
    struct operation *stop, *rescale; /* under way; NULL: none */
    bool is_asking; /* rescale: for its checkpoint, which could not be taken yet */
    bool has_left;  /* rescale, move: the tasks were torn down */
    enum entry_move move;
    int64_t left_ms;
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
/* A plan was made, or not. Takes the error. */
void entry_planned(struct entry *entry, weir_str spec, weir_error *error);
void entry_cancel(struct entry *entry);
/* The arguments with another parallelism; in the arena. */
const char **entry_arguments_with(const struct entry *entry, uint32_t parallelism,
    struct arena *arena, uint32_t *count);
void entry_ask_for_plan(struct entry *entry, int64_t now_ms);
/* Its checkpoint is complete: the old version goes, the next one comes. */
void entry_change(struct entry *entry);

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
/* The new plan of a rescale is there: asks for the checkpoint to change at. */
void operations_rescale(struct entry *entry);
void operation_done(struct operation *operation, weir_error *error); /* takes the error */
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

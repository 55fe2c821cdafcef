/* jobmanager_private.h -- the inside of the job manager, shared by jobmanager.c (events, the run),
 * jobmanager_checkpoint.c (the story of a checkpoint) and jobmanager_restore.c (what comes before) and
 * jobmanager_request.c (what somebody has asked for).
 *
 * Thread: control, where nothing else is said. */
#ifndef WEIR_MANAGER_JOBMANAGER_PRIVATE_H
#define WEIR_MANAGER_JOBMANAGER_PRIVATE_H

#include "base/queue.h"
#include "checkpoint/restore.h"
#include "checkpoint/savepoint.h"
#include "runtime/manager/expectation.h"
#include "runtime/manager/jobmanager.h"

enum event_kind {
    EVENT_RUNNING,
    EVENT_ENDED,
    EVENT_FAILED,
    EVENT_ACKED,
    EVENT_DECLINED,
    EVENT_STORED,   /* of the lane: a checkpoint was published, or not */
    EVENT_RESTORED, /* of the lane */
    EVENT_CHECKED,  /* of the lane: is this attempt still in charge? */
    EVENT_SAVED     /* of the savepoints' lane: one was written, or not */
};

/* What a worker found at a start or restart. Thread: worker, then control. */
struct restored {
    struct checkpoint_metadata metadata; /* if found */
    bool found;
    bool is_imported; /* out of a savepoint, just now */
};

/* Thread: its holder. */
struct event {
    enum event_kind kind;
    uint32_t subtask;
    bool is_of_worker;   /* FAILED: of it, or of another one of its worker */
    uint64_t generation; /* of the deployment it comes from: that of an older one is dropped */
    uint64_t checkpoint;
    uint64_t restore; /* RESTORED: which one: only what is waited for counts */
    int64_t at_ms;    /* monotonic */
    struct subtask_snapshot *snapshot;
    struct restored *restored;
    char *path;                        /* of a savepoint */
    struct jobmanager_request request; /* that it answers */
    weir_error *error;
};

/* What somebody has asked for. Checkpoints are named by number. */
struct asked {
    struct jobmanager_request request; /* done NULL: nothing is asked for */
    char *directory;                   /* its own copy; NULL: of options.savepoints */
    bool is_wanted;       /* its checkpoint was not triggered yet, or is not complete */
    bool is_of_stop;      /* is_wanted: of the last checkpoint of a stop */
    bool is_at_end;       /* not wanted yet: it is made out of the last one of a stop */
    uint64_t behind;      /* is_wanted: it is the first one behind this */
    uint32_t writing;     /* savepoints that a worker writes: one, and that of a stop */
    uint64_t written;     /* the newest that a savepoint was made out of; 0: none */
    uint64_t last_behind; /* the job was stopped, and its savepoint is one behind this */
};

/* The checkpoint that waits for acks. */
struct pending {
    struct checkpoint_metadata metadata;
    bool is_active;
    int64_t started_ms; /* monotonic */
    /* The last ack is the slowest. */
    uint32_t slowest;
    int64_t slowest_ms, sync_us, async_us, alignment_us;
};

struct jobmanager {
    struct jobmanager_options options;
    char *label; /* each line of the log has it: which job of the process it is */
    struct execution execution;
    struct coordinator coordinator;
    bool has_coordinator;
    struct inbox *inbox; /* Thread: any pushes */
    _Atomic uint64_t
        generation;       /* of all tasks, so far; workers stamp events with it at any time */
    uint32_t *regions;    /* of each subtask, as of the newest failure */
    uint64_t restores;    /* asked for so far */
    uint64_t instance;    /* 0: not known yet */
    uint64_t last_number; /* highest checkpoint number in use */
    struct pending pending;
    struct restored *restored; /* until all tasks run */
    struct expectations expected;
    struct jobmanager_stats stats;
    weir_error *error; /* the failure that counts */
    struct asked asked;
    bool is_first_restore;
    bool is_draining;
};

/* -- jobmanager.c */
void jobmanager_post(struct jobmanager *jobmanager, const struct event *event); /* Thread: any */
/* Something failed: the execution decides what that means. Takes the error. */
void jobmanager_failed(struct jobmanager *jobmanager, weir_error *error, int64_t now_ms);
const struct plan_vertex *jobmanager_vertex(const struct jobmanager *jobmanager, uint32_t subtask);

void jobmanager_release_event(struct event *event);

/* -- jobmanager_checkpoint.c */
void jobmanager_carry_out(struct jobmanager *jobmanager, struct coordinator_action action,
    int64_t now_ms);
void jobmanager_acked(struct jobmanager *jobmanager, const struct event *event, int64_t now_ms);
void jobmanager_declined(struct jobmanager *jobmanager, struct event *event, int64_t now_ms);
void jobmanager_stored(struct jobmanager *jobmanager, struct event *event, int64_t now_ms);
void jobmanager_checked(struct jobmanager *jobmanager, struct event *event, int64_t now_ms);
void jobmanager_forget_pending(struct jobmanager *jobmanager);

/* -- jobmanager_restore.c */
void jobmanager_restore(struct jobmanager *jobmanager, int64_t now_ms);
void jobmanager_restored(struct jobmanager *jobmanager, struct event *event, int64_t now_ms);
void jobmanager_forget_restored(struct jobmanager *jobmanager);
void restored_free(struct restored *restored);

/* -- jobmanager_request.c */
/* This checkpoint is stored now: is it what a savepoint waits for? If so, an EVENT_SAVED will come. */
bool jobmanager_is_saved(struct jobmanager *jobmanager, uint64_t checkpoint);
/* Thread: worker. It is complete, or not: its savepoint can be made, or not. */
void jobmanager_save(struct jobmanager *jobmanager, const struct checkpoint_metadata *metadata,
    bool is_complete);
void jobmanager_last_savepoint(struct jobmanager *jobmanager, int64_t now_ms);
/* This checkpoint is complete: is it all that is wanted? */
void jobmanager_answer(struct jobmanager *jobmanager, uint64_t checkpoint);
/* The checkpoint that it waits for will not be; 0: none will. */
void jobmanager_request_lost(struct jobmanager *jobmanager, uint64_t checkpoint, const char *why);
void jobmanager_saved(struct jobmanager *jobmanager, struct event *event);

#endif

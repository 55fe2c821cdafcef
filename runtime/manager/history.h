/* history.h -- what has happened to a job, kept for people: its states, its failures, its checkpoints.
 *
 * The job manager writes it, whoever shows a job (REST, the command line) reads it. Newest first out of two
 * rings: what no longer fits is forgotten, counts and sums stay exact.
 *
 * Prefixes: history_
 * Thread: control. Limits: HISTORY_FAILURES and HISTORY_CHECKPOINTS of them; a text is cut at 8 KiB. */
#ifndef WEIR_MANAGER_HISTORY_H
#define WEIR_MANAGER_HISTORY_H

#include "base/metrics.h"
#include <weir/error.h>

#include <stddef.h>

#define HISTORY_FAILURES    16u
#define HISTORY_CHECKPOINTS 32u

/* Why an attempt ended, or a part of its tasks. Thread: control. */
struct history_failure {
    char *text; /* of the error */
    char *
        vertex; /* the plan's name of the task; NULL: no task's, or nobody knows which of those at `place` */
    char *place;         /* the task manager it ran on; NULL: this process, or no task's */
    uint32_t subtask;    /* of the vertex */
    uint32_t task_count; /* that went down with it: of its region, or of the job */
    uint64_t attempt;
    int64_t at_ms; /* wall clock */
    enum weir_code code;
    bool has_restarted;
};

/* Another job manager leads since then, and has taken the job over: no failure, and no restart that counts. Thread:
 * control. */
struct history_takeover {
    uint64_t epoch;
    int64_t at_ms;     /* wall clock; 0: it was not taken over */
    uint64_t restored; /* the first checkpoint that it has come from since; 0: none */
};

enum history_status { HISTORY_IN_PROGRESS, HISTORY_COMPLETED, HISTORY_FAILED };

/* One subtask's part of a checkpoint. Thread: control. */
struct history_ack {
    int64_t at_ms; /* wall clock; 0: none */
    int64_t sync_us, async_us, alignment_us;
    uint64_t size;      /* bytes of the files that it refers to */
    uint64_t in_flight; /* of these, of records that barriers have overtaken */
};

/* Thread: control. */
struct history_checkpoint {
    uint64_t number;
    enum history_status status;
    bool is_savepoint;
    int64_t triggered_ms, ended_ms; /* wall clock; 0: not yet */
    uint64_t size;                  /* bytes that it refers to */
    uint32_t acked_count;
    struct history_ack *acks; /* of each subtask of the job */
    char *path;               /* where its metadata is; NULL: nowhere */
    char *why;                /* it failed; NULL: it did not */
};

/* Thread: control. */
struct history {
    uint32_t subtask_count;
    struct history_failure failures[HISTORY_FAILURES];
    uint64_t failure_count; /* ever; the newest is at (count - 1) % HISTORY_FAILURES */
    struct history_checkpoint checkpoints[HISTORY_CHECKPOINTS];
    uint64_t checkpoint_count; /* ever triggered */
    uint64_t completed_count, failed_count, restored_count;
    struct histogram durations; /* of completed ones */
    uint64_t restored;          /* the checkpoint it last came from; 0: none */
    int64_t restored_ms;
    bool was_savepoint; /* it was one */
    struct history_takeover takeover;
};

void history_init(struct history *history, uint32_t subtask_count);
void history_release(struct history *history);
/* The job has another plan: its failures and its takeover stay, its checkpoints, which are of the old one's tasks, are
 * forgotten. */
void history_begin(struct history *history, uint32_t subtask_count);

void history_taken_over(struct history *history, uint64_t epoch, int64_t now_ms);
void history_failed(struct history *history, const struct history_failure *failure); /* copied */
void history_triggered(struct history *history, uint64_t number, bool is_savepoint, int64_t now_ms);
void history_acked(struct history *history, uint64_t number, uint32_t subtask,
    const struct history_ack *ack);
void history_completed(struct history *history, uint64_t number, uint64_t size, const char *path,
    int64_t now_ms);
/* A savepoint was made out of it, which is what its path tells: before or after it is completed. */
void history_saved(struct history *history, uint64_t number, const char *path);
void history_aborted(struct history *history, uint64_t number, const char *why, int64_t now_ms);
void history_restored(struct history *history, uint64_t number, bool was_savepoint, int64_t now_ms);

/* The i-th newest; NULL: not kept, or there are not so many. */
const struct history_failure *history_failure(const struct history *history, uint32_t i);
const struct history_checkpoint *history_checkpoint(const struct history *history, uint32_t i);
const struct history_checkpoint *history_find(const struct history *history, uint64_t number);
/* The newest with this status (and kind, for completed ones); NULL: none is kept. */
const struct history_checkpoint *history_newest(const struct history *history,
    enum history_status status, bool is_savepoint);

#endif

/* coordinator.h -- decides when a checkpoint starts, completes, fails: a pure state machine.
 *
 * (event, now) -> actions: no I/O, no threads, no clock. The job manager feeds it and carries out
 * what it says; the simulator and the tests do the same.
 *
 *            trigger            all acks            published
 *      idle ---------> pending ----------> storing ----------> idle     (complete: notify)
 *                         |                   |
 *              decline, time-out, task    write failed
 *              gone: ABORT                   FAILED                     (reported, retried at the next
 *                         '---> idle <-------'                           interval; never fails the job)
 *
 * A checkpoint whose acks are not all there after `aligned_timeout_ms` goes on unaligned (OVERTAKE, once), but for a
 * requested one: a savepoint has no records in flight, nor has what a stopped job leaves.
 *
 * One checkpoint at a time; the next starts `interval_ms` after the start of the last one, at least
 * `min_pause_ms` after its end. A request (savepoint, last one before a stop) starts as soon as the
 * current one is over; if it fails it is gone, and whoever asked asks again. Acks of other checkpoints
 * and second acks are ignored: the action is NONE then, and its `why` says so. (Acks of other attempts
 * never get here: every message carries its attempt.) After coordinator_stopped a checkpoint that is
 * being stored may still complete: its NOTIFY comes before coordinator_running of the next attempt,
 * because restoring waits for the storing. Thread: its owner (job manager). */
#ifndef WEIR_CHECKPOINT_COORDINATOR_H
#define WEIR_CHECKPOINT_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>

/* Thread: immutable after init. */
struct coordinator_options {
    int64_t interval_ms; /* 0: only on request */
    int64_t min_pause_ms;
    int64_t timeout_ms;
    int64_t aligned_timeout_ms; /* how long barriers wait behind records; not those of a request */
    uint32_t subtask_count;     /* that must ack, numbered 0.. over the whole job */
};

enum coordinator_action_kind {
    COORDINATOR_NONE,
    COORDINATOR_TRIGGER,  /* send trigger `checkpoint` to all sources */
    COORDINATOR_OVERTAKE, /* tell every subtask that barriers overtake records */
    COORDINATOR_STORE,    /* all acks are there: write and publish the metadata */
    COORDINATOR_NOTIFY,   /* complete: tell every subtask, drop what retention no longer keeps */
    COORDINATOR_ABORT     /* tell every subtask that it is dead; delete its files; `why` */
};
/* Thread: its holder. */
struct coordinator_action {
    enum coordinator_action_kind kind;
    uint64_t checkpoint;
    const char *why; /* static text, or NULL: of ABORT, and of NONE when an event was ignored */
};

enum coordinator_phase { COORDINATOR_IDLE, COORDINATOR_PENDING, COORDINATOR_STORING };

/* Thread: job manager. */
struct coordinator {
    struct coordinator_options options;
    enum coordinator_phase phase;
    uint64_t checkpoint;                   /* of the current phase; idle: of the last one */
    uint64_t last_started, last_completed; /* last_completed 0: none since init */
    uint32_t ack_count;
    bool *acked;
    bool is_running;   /* tasks run: checkpoints may start */
    bool is_requested; /* start one as soon as possible */
    bool may_overtake; /* the current one, and it does not yet */
    int64_t started_ms, next_ms;
    uint32_t consecutive_failures;
};

/* The first checkpoint will be `last` + 1. */
void coordinator_init(struct coordinator *coordinator, const struct coordinator_options *options,
    uint64_t last);
void coordinator_release(struct coordinator *coordinator);

/* Every event returns at most one action; call coordinator_tick until it gives NONE afterwards. */
struct coordinator_action coordinator_running(struct coordinator *coordinator, int64_t now_ms);
struct coordinator_action coordinator_stopped(struct coordinator *coordinator, int64_t now_ms);
struct coordinator_action coordinator_request(struct coordinator *coordinator, int64_t now_ms);
struct coordinator_action coordinator_acked(struct coordinator *coordinator, uint64_t checkpoint,
    uint32_t subtask, int64_t now_ms);
struct coordinator_action coordinator_declined(struct coordinator *coordinator, uint64_t checkpoint,
    uint32_t subtask, int64_t now_ms);
struct coordinator_action coordinator_stored(struct coordinator *coordinator, uint64_t checkpoint,
    bool is_ok, int64_t now_ms);
struct coordinator_action coordinator_tick(struct coordinator *coordinator, int64_t now_ms);
/* When to call tick at the latest; INT64_MAX: only after another event. */
int64_t coordinator_deadline_ms(const struct coordinator *coordinator);

#endif

/* local.h -- runs a plan in this process: storage, workers, job manager and task manager, wired.
 *
 *      local_run              threads: one per slot, the workers, and the caller's as control
 *      or, stepped by whoever holds it (tests, the simulator), in any order, one thread, any clock:
 *          local_step         the job manager handles its events and what is due
 *          local_slot_round   one round of one slot: a step of each of its tasks
 *          local_worker_step  one job of blocking work
 *
 * Both are the same code: threads only call these in a loop.
 *
 * local_close frees everything at any moment. In the simulator a crash is local_close after its disk
 * has been told to refuse: connectors are closed, and can do no harm any more.
 *
 * Thread: control. */
#ifndef WEIR_MANAGER_LOCAL_H
#define WEIR_MANAGER_LOCAL_H

#include "runtime/manager/jobmanager.h"
#include "runtime/manager/taskmanager.h"

/* Thread: immutable after init. */
struct local_options {
    const struct plan *plan;    /* outlives it */
    const char *checkpoints;    /* root directory; NULL: temporary */
    uint32_t retained;          /* complete checkpoints to keep */
    bool is_fresh;              /* refuse to resume */
    const char *from_savepoint; /* start from it; NULL: none */
    bool allow_non_restored;    /* drop what is in it and not in the job */
    const char *savepoints;     /* where they are written; NULL: nowhere */
    bool stop_with_savepoint;
    const struct backend_class *backend;
    uint64_t memory_size;
    uint32_t worker_count; /* threads for blocking work; 0: stepped */
    uint32_t batch_max;    /* rows, 1..256 */
    int64_t buffer_timeout_ms;
    int64_t watermark_interval_ms;
    int64_t interval_ms, min_pause_ms, timeout_ms; /* of checkpoints */
    int64_t aligned_timeout_ms;                    /* coordinator.h */
    int64_t stop_timeout_ms;
    struct restart_options restart;
};
/* What `run` uses when nothing is said; without a plan. */
extern const struct local_options local_defaults;

/* Somebody to look at a running job now and then. Thread: control. */
struct local_watch {
    void *arg;
    /* Returns when to call it again at the latest, monotonic ms; it may call local_stop, local_cancel. */
    int64_t (*look)(void *arg, int64_t now_ms);
};

struct local;
weir_error *local_open(const struct local_options *options, struct local **local) WEIR_MUST_USE;
void local_close(struct local *local);

/* Runs the job to its end; NULL: it finished, or was stopped in good order, or cancelled. */
weir_error *local_run(struct local *local, const struct local_watch *watch) WEIR_MUST_USE;
void local_stop(struct local *local);
void local_cancel(struct local *local);
void local_savepoint(struct local *local);      /* asks for one; what comes of it is logged */
struct waker *local_waker(struct local *local); /* of the control thread */

/* False: the job is over; local_error says how. The first call starts the job. */
bool local_step(struct local *local);
weir_error *local_error(struct local *local) WEIR_MUST_USE; /* the caller's; NULL: none. Once */
int64_t local_deadline_ms(const struct local *local);       /* monotonic, of local_step */
uint32_t local_slot_count(const struct local *local);       /* changes at each restart */
bool local_slot_round(struct local *local, uint32_t slot);  /* true: a task worked */
int64_t local_slot_deadline_ms(const struct local *local, uint32_t slot); /* wall clock */
bool local_worker_step(struct local *local); /* true: there was a job */

const struct jobmanager_stats *local_stats(const struct local *local);
const struct taskmanager *local_tasks(const struct local *local);
const struct plan *local_plan(const struct local *local);

#endif

/* worker.h -- a worker: the tasks of one attempt of a job that one task manager has slots for.
 *
 *   start (descriptor 3) -> HELLO -> DEPLOY -> tasks run, events go out, commands come in -> CANCEL: end
 *                                                   \--a task fails: told, and ended with the attempt
 *                                                    \--no job manager: goes on, at most orphan_ms
 *
 * The same task manager as in a local run (runtime/manager/taskmanager.h), with the network in the place of the
 * job manager: what its tasks tell their host becomes messages, what messages ask becomes letters.
 *
 * What user code does wrong costs this process and no more: a crash says on standard error, which its task
 * manager reads, in which operator and about which record; a step that does not come back is noticed by the
 * control thread, told, and the process ends (watchdog_ms).
 *
 * Without a job manager no checkpoint is made, so what sinks have staged grows on disk: hence orphan_ms.
 *
 *      worker_run      all of it, on threads
 *      worker_open, worker_step ... worker_close
 *                      the same in pieces, for one who owns the clock: with worker_count 0 no thread is started, and
 *                      slots, blocking work and the wire have a step each (test/sim)
 *
 * Thread: control. One a process. */
#ifndef WEIR_CLUSTER_WORKER_H
#define WEIR_CLUSTER_WORKER_H

#include "runtime/exchange/wire.h"
#include "runtime/manager/local.h"
#include "runtime/manager/taskmanager.h"

/* Runs to the end; the process has nothing else to do. `options`: what is the worker's own of it (backend,
 * batches, threads). An error: it could not do what it was started for. */
weir_error *worker_run(const struct plan *plan, const struct local_options *options) WEIR_MUST_USE;

/* -- in pieces. Thread: control, for all of them. */
/* The exit status of one that could not do it now, but another one may: what is retriable has no code of its own. */
#define WORKER_EXIT_RETRIABLE 75

struct worker;
/* `start`: what its task manager gives it (struct worker_start, encoded); copied. Plan and options outlive it. It
 * is over at once if it cannot do what it was started for: worker_close tells. */
struct worker *worker_open(const struct plan *plan, const struct local_options *options,
    weir_str start);
/* What is due, and what has come in; waits until something comes, but not beyond `limit_ms` (negative: no limit of the
 * caller's). False: it is over. */
bool worker_step(struct worker *worker, int64_t limit_ms);
int64_t worker_deadline_ms(const struct worker *worker); /* monotonic: to be stepped then */
/* NULL: nothing is deployed, or it could not be. */
struct taskmanager *worker_tasks(struct worker *worker);
struct workers *worker_workers(struct worker *worker);
struct wire *worker_wire(struct worker *worker); /* NULL: it is alone, or as above */
/* Frees it; returns why it is over: what worker_run returns. */
weir_error *worker_close(struct worker *worker) WEIR_MUST_USE;

#endif

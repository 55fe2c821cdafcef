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
 * Thread: control. One a process. */
#ifndef WEIR_CLUSTER_WORKER_H
#define WEIR_CLUSTER_WORKER_H

#include "runtime/manager/local.h"

/* Runs to the end; the process has nothing else to do. `options`: what is the worker's own of it (backend,
 * batches, threads). An error: it could not do what it was started for. */
weir_error *worker_run(const struct plan *plan, const struct local_options *options) WEIR_MUST_USE;

#endif

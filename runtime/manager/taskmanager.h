/* taskmanager.h -- runs the tasks of one attempt of a job that are in this process: all, or those of a worker.
 *
 *      deploy:    channels for every pair of subtasks of every edge, partitions, tasks, slots
 *      slot       one executor: subtask i of every vertex of a slot-sharing group is in its slot i
 *      tear down: threads stop, what the tasks have done is kept as a report, everything is freed
 *
 * A part of the tasks (a region: plan.h) may be torn down and deployed again while the others go on. The threads of the
 * slots that it has tasks in stop, the tasks and the channels between them go or come, the threads start again: a
 * slot's tasks are only ever touched by one thread, and the others of a slot miss a few steps.
 *
 * With a placement only the subtasks of this worker are made, and only channels that have an end here; the other
 * end of those that lead elsewhere is the wire's (runtime/exchange/wire.h). The number of a channel on the wire
 * follows from the plan alone: channels of earlier edges, and then producer * consumers + consumer.
 *
 * Memory. --memory is split once, for the process:
 *      1/2   state: cached rows and memtables, as the backend likes. Each keyed operator of each subtask
 *            has an equal share for sure, and what others leave of theirs
 *      1/8   RocksDB's block cache, shared
 *      1/8   records between subtasks (segments); what the channels may hold together is half of
 *            that, so credits shrink when there are many channels; the rest is for wide records. A
 *            channel that leads to another worker counts twice: for what waits in the connection
 *      1/4   everything else: operators, connectors, libraries; and the heap backend, if used. Not
 *            enforced.
 *
 * Thread: control; the tasks' own threads are inside. */
#ifndef WEIR_MANAGER_TASKMANAGER_H
#define WEIR_MANAGER_TASKMANAGER_H

#include "runtime/graph/plan.h"
#include "runtime/manager/jobmanager.h"
#include "runtime/manager/report.h"
#include "runtime/task/executor.h"

/* Thread: immutable after init. */
struct taskmanager_options {
    const struct plan *plan;
    uint64_t memory_size;
    bool is_threaded; /* false: whoever owns it steps the slots */
};

struct taskmanager;
struct taskmanager *taskmanager_new(const struct taskmanager_options *options);
void taskmanager_free(struct taskmanager *taskmanager); /* torn down */
/* Bytes of RocksDB's block cache, and of each backend. */
uint64_t taskmanager_cache_size(const struct taskmanager *taskmanager);
uint64_t taskmanager_backend_size(const struct taskmanager *taskmanager,
    const struct placement *placement);
struct backend_pool *taskmanager_backend_pool(struct taskmanager *taskmanager);

/* The host and what the deployment points to outlive the tasks. Of a part: the host is the one of the others. */
weir_error *taskmanager_deploy(struct taskmanager *taskmanager, const struct task_host *host,
    const struct deployment *deployment) WEIR_MUST_USE;
/* Harmless if there is nothing. `subtasks`: those, which no channel connects with others; NULL: all. */
void taskmanager_tear_down(struct taskmanager *taskmanager, const bool *subtasks);
void taskmanager_trigger(struct taskmanager *taskmanager, uint64_t checkpoint);
void taskmanager_complete(struct taskmanager *taskmanager, uint64_t checkpoint);
void taskmanager_overtake(struct taskmanager *taskmanager, uint64_t checkpoint);
void taskmanager_abort(struct taskmanager *taskmanager, uint64_t checkpoint);
void taskmanager_stop(struct taskmanager *taskmanager);
void taskmanager_drain(struct taskmanager *taskmanager); /* as at the end of all input */
bool taskmanager_has_published(const struct taskmanager *taskmanager, uint64_t checkpoint);

/* Slots that are here; 0: nothing deployed. */
uint32_t taskmanager_slot_count(const struct taskmanager *taskmanager);
struct executor *taskmanager_slot(struct taskmanager *taskmanager, uint32_t slot);
/* By number over the whole job; NULL: not here, or nothing deployed. */
const struct task *taskmanager_task(const struct taskmanager *taskmanager, uint32_t subtask);
/* Of the newest attempt that was torn down. */
const struct report *taskmanager_report(const struct taskmanager *taskmanager);

#endif

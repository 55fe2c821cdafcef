/* snapshot.c -- a task's part of a checkpoint: barrier on, freeze, write aside, ack. Prefixes: task_
 *
 *   task thread                                 worker thread (lane: the task)
 *   barrier to all edges, flushed
 *   snapshot callbacks, backends frozen  ----->  staged files and state files stored, synced
 *   goes on with records                         host->acked(snapshot)
 *
 * Barriers that overtake (task_try_overtake) do the same before the records in front of them are read; those are copied
 * at the barrier, and stored by the worker.
 *
 * A failure declines the checkpoint and nothing else: the task goes on, the coordinator tries again.
 * One that is aborted while it waits for a worker is not written: there is nothing to be said of it.
 * Two failures are worse, and fail the task, so that it starts again from the last checkpoint:
 *
 *   a sink's file cannot be synced (weir_file_add, weir_sync_add): nobody knows what it holds, and the
 *   next sync would say that all is well;
 *   a store says that its error is retriable (state/backend.h): it will take no writes until it is
 *   opened anew, RocksDB after a full disk, say, and every later checkpoint would fail, too. */
#include "runtime/task/task_private.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include <inttypes.h>

/* Thread: task, then worker. */
struct snapshot_job {
    const struct task *task; /* waits for it before it is freed */
    const struct task_host *host;
    struct subtask_snapshot *snapshot;
    struct backend_snapshot **parts; /* one per operator, NULL: none */
    weir_buffer *in_flight;          /* to the head; NULL: nothing */
    uint32_t number;
    int64_t frozen_ns;
};

static void job_free(struct snapshot_job *job)
{
    for (uint32_t i = 0; i < job->snapshot->operator_count; i++) {
        if (job->parts[i] != NULL)
            job->host->backend->snapshot_free(job->parts[i]);
    }
    mem_free(job->parts);
    weir_buffer_free(job->in_flight);
    mem_free(job);
}

/* What a failed sync has lost is lost, and the next one would say that all is well: the writer must begin anew. */
static weir_error *sync_file(const char *path)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(path, &stat));
    if (!stat.exists) /* opening it would make it */
        return weir_errorf(WEIR_E_IO, "cannot sync '%s': somebody has removed it", path);
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_APPEND, &file));
    weir_error *error = os_sync(file);
    os_close(file);
    return error == NULL ? NULL : weir_error_retriable(error);
}

static weir_error *write_operator(const struct snapshot_job *job, uint32_t index)
{
    struct operator_snapshot *op = &job->snapshot->operators[index];
    struct arena *arena = &job->snapshot->arena;
    for (uint32_t i = 0; i < op->staged_count; i++) {
        const char *path = op->staged[i].name;
        const char *slash = strrchr(path, '/');
        /* storing it syncs, too, but would believe it when it is offered again after a failure */
        WEIR_TRY(sync_file(path));
        WEIR_TRY(state_file_store(path, job->host->checkpoint_dir, job->host->attempt,
            slash == NULL ? path : slash + 1, arena, &op->staged[i]));
    }
    if (job->parts[index] == NULL)
        return NULL;
    return job->host->backend->snapshot_write(job->parts[index], arena, &op->files,
        &op->file_count);
}

static weir_error *sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return os_sync_dir(".");
    char *directory = mem_printf("%.*s", slash == path ? 1 : (int)(slash - path), path);
    weir_error *error = os_sync_dir(directory);
    mem_free(directory);
    return error;
}

static weir_error *write_operators(const struct snapshot_job *job)
{
    for (uint32_t i = 0; i < job->snapshot->operator_count; i++)
        WEIR_TRY(write_operator(job, i));
    if (job->in_flight == NULL)
        return NULL;
    return in_flight_store(job->in_flight, job->task->vertex->operators[0].in,
        job->host->checkpoint_dir, job->host->attempt, &job->snapshot->arena,
        &job->snapshot->operators[0]);
}

static weir_error *sync_outside(const struct snapshot_job *job)
{
    for (uint32_t i = 0; i < job->snapshot->operator_count; i++) {
        const struct operator_snapshot *op = &job->snapshot->operators[i];
        for (uint32_t f = 0; f < op->sync_count; f++) {
            WEIR_TRY(sync_file(op->syncs[f]));
            WEIR_TRY(sync_directory_of(op->syncs[f]));
        }
    }
    return NULL;
}

/* It has timed out, say, while it waited here. Writing it all the same would let the next one wait. */
static bool is_dead(const struct snapshot_job *job)
{
    return atomic_load(&job->task->dead_checkpoint) >= job->snapshot->checkpoint;
}

static void write_all(void *arg)
{
    struct snapshot_job *job = arg;
    if (is_dead(job)) {
        struct subtask_snapshot *dead = job->snapshot;
        job_free(job);
        subtask_snapshot_free(dead);
        return;
    }
    weir_error *lost = FAULT_STEP(SINK_SYNC, sync_outside(job));
    weir_error *error = lost == NULL ? FAULT_STEP(SNAPSHOT_WRITE, write_operators(job)) : NULL;
    const struct task_host *host = job->host;
    struct subtask_snapshot *snapshot = job->snapshot;
    uint32_t number = job->number;
    snapshot->async_us = (os_monotonic_ns() - job->frozen_ns) / 1000;
    job_free(job);
    if (lost != NULL) {
        /* A newer attempt deletes the files of older ones: then that is what happened. */
        weir_error *fenced = host->check_attempt(host->arg);
        if (fenced != NULL)
            weir_error_free(lost);
        host->failed(host->arg, number, fenced != NULL ? fenced : weir_error_retriable(lost));
        subtask_snapshot_free(snapshot);
        return;
    }
    if (error == NULL) {
        FAULT_STEP_VOID(ACK_SEND, host->acked(host->arg, snapshot));
        return;
    }
    if (weir_error_is_retriable(error)) {
        host->failed(host->arg, number, error);
        subtask_snapshot_free(snapshot);
        return;
    }
    host->declined(host->arg, snapshot->checkpoint, number, error);
    subtask_snapshot_free(snapshot);
}

/* Takes `in_flight` (NULL: none). */
static struct snapshot_job *job_new(const struct task *task, uint64_t checkpoint,
    weir_buffer *in_flight)
{
    struct snapshot_job *job = mem_alloc(sizeof(*job));
    *job = (struct snapshot_job){ .task = task,
        .host = task->host,
        .snapshot = subtask_snapshot_new(checkpoint, task->number),
        .parts = mem_alloc_array(task->chain.count, sizeof(*job->parts)),
        .in_flight = in_flight,
        .number = task->number };
    return job;
}

/* Before anybody has its snapshot. */
static void job_drop(struct snapshot_job *job)
{
    struct subtask_snapshot *snapshot = job->snapshot;
    job_free(job);
    subtask_snapshot_free(snapshot);
}

static void decline(struct snapshot_job *job, weir_error *error)
{
    job->host->declined(job->host->arg, job->snapshot->checkpoint, job->number, error);
    job_drop(job);
}

static weir_error *freeze(struct task *task, struct snapshot_job *job)
{
    int64_t started_ns = os_monotonic_ns();
    weir_error *error;
    FAULT_STEP_VOID(SNAPSHOT_FREEZE,
        error = chain_snapshot(&task->chain, job->snapshot->checkpoint, job->snapshot, job->parts));
    job->frozen_ns = os_monotonic_ns();
    job->snapshot->sync_us = (job->frozen_ns - started_ns) / 1000;
    job->snapshot->alignment_us = task->barrier.alignment_ns / 1000;
    return error;
}

/* Takes `in_flight` (NULL: none). */
static weir_error *take_snapshot(struct task *task, uint64_t checkpoint, weir_buffer *in_flight)
{
    struct snapshot_job *job = job_new(task, checkpoint, in_flight);
    atomic_store(&task->dead_checkpoint, checkpoint - 1); /* one at a time is alive */
    weir_error *error =
        FAULT_STEP(BARRIER_SEND, chain_event(&task->chain, ELEMENT_BARRIER, (int64_t)checkpoint));
    if (error != NULL) {
        job_drop(job);
        return error;
    }
    error = freeze(task, job);
    if (error != NULL && weir_error_is_retriable(error)) {
        job_drop(job);
        return error;
    }
    if (error == NULL && !workers_submit(task->host->workers, task, write_all, job))
        error = weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting");
    if (error != NULL)
        decline(job, error);
    return NULL;
}

weir_error *task_barrier(struct task *task, uint32_t channel, uint64_t checkpoint)
{
    switch (barrier_arrived(&task->barrier, channel, checkpoint, os_monotonic_ns())) {
    case BARRIER_NONE:
        return NULL;
    case BARRIER_RESTART_BLOCK:
        gate_unblock_all(task->gate);
        gate_block(task->gate, channel);
        return NULL;
    case BARRIER_BLOCK:
        FAULT_STEP_VOID(BARRIER_BLOCK, gate_block(task->gate, channel));
        return NULL;
    case BARRIER_SNAPSHOT:
        break;
    }
    if (task->gate != NULL)
        gate_unblock_all(task->gate);
    return FAULT_STEP(BARRIER_ALIGN, take_snapshot(task, checkpoint, NULL));
}

/* Thread: task. */
struct overtaken {
    const struct task *task;
    weir_buffer *in_flight; /* NULL: nothing was overtaken */
};

static void add_in_flight(void *arg, uint32_t channel, const struct element *first, size_t size)
{
    struct overtaken *it = arg;
    if (it->in_flight == NULL)
        it->in_flight = in_flight_new();
    in_flight_add(it->in_flight, it->task->keyed_channels[channel], first, size);
}

static weir_error *overtake(struct task *task, uint64_t checkpoint)
{
    struct overtaken it = { .task = task };
    gate_each_in_flight(task->gate, checkpoint, add_in_flight, &it);
    gate_unblock_all(task->gate);
    return take_snapshot(task, checkpoint, it.in_flight);
}

weir_error *task_try_overtake(struct task *task)
{
    uint64_t checkpoint = task->overtaking;
    if (checkpoint == 0)
        return NULL;
    bool is_needed = checkpoint > task->barrier.last;
    if (is_needed && (!task->replay.is_over || !gate_sees_barrier(task->gate, checkpoint)))
        return NULL;
    task->overtaking = 0;
    gate_look_away(task->gate);
    if (!is_needed || !barrier_overtake(&task->barrier, checkpoint, os_monotonic_ns()))
        return NULL;
    return FAULT_STEP(BARRIER_OVERTAKE, overtake(task, checkpoint));
}

weir_error *task_late_trigger(struct task *task)
{
    uint64_t checkpoint = task->late_trigger;
    task->late_trigger = 0;
    return checkpoint == 0 ? NULL : task_barrier(task, 0, checkpoint);
}

/* -- letters ---------------------------------------------------------------------------------------- */

static void *number_arg(uint64_t checkpoint)
{
    uint64_t *arg = mem_alloc(sizeof(*arg));
    *arg = checkpoint;
    return arg;
}

static uint64_t take_number(void *arg)
{
    uint64_t checkpoint = *(uint64_t *)arg;
    mem_free(arg);
    return checkpoint;
}

static void on_trigger(struct task *task, void *arg)
{
    uint64_t checkpoint = take_number(arg);
    ASSERT(task->is_source);
    if (!task->replay.is_over) { /* what is in flight still would be in neither */
        task->late_trigger = checkpoint;
        return;
    }
    weir_error *error = FAULT_STEP(TRIGGER_RECEIVE, task_barrier(task, 0, checkpoint));
    if (error != NULL)
        task_fail(task, error);
}

static void on_complete(struct task *task, void *arg)
{
    uint64_t checkpoint = take_number(arg);
    weir_error *error =
        FAULT_STEP(NOTIFY_RECEIVE, chain_checkpoint_complete(&task->chain, checkpoint));
    metric_set(&task->metrics.unpublished, chain_unpublished(&task->chain));
    /* Who reads that the task knows of n must not read what was unpublished before. */
    atomic_thread_fence(memory_order_release);
    metric_set(&task->metrics.notified, (int64_t)checkpoint);
    if (error != NULL)
        task_fail(task, error);
}

/* Who aligns for an older checkpoint does that in vain. */
static void let_overtake(struct task *task, uint64_t checkpoint)
{
    if (task->keyed_channels == NULL || checkpoint <= task->barrier.last)
        return;
    if (barrier_abort(&task->barrier, checkpoint - 1))
        gate_unblock_all(task->gate);
    task->overtaking = checkpoint;
}

static void on_overtake(struct task *task, void *arg)
{
    FAULT_STEP_VOID(OVERTAKE_RECEIVE, let_overtake(task, take_number(arg)));
}

static void forget_checkpoint(struct task *task, uint64_t checkpoint)
{
    if (checkpoint > atomic_load(&task->dead_checkpoint))
        atomic_store(&task->dead_checkpoint, checkpoint);
    if (barrier_abort(&task->barrier, checkpoint) && task->gate != NULL)
        gate_unblock_all(task->gate);
}

static void on_abort(struct task *task, void *arg)
{
    FAULT_STEP_VOID(ABORT_RECEIVE, forget_checkpoint(task, take_number(arg)));
}

static void post(struct task *task, const char *what, void (*run)(struct task *task, void *arg),
    uint64_t checkpoint)
{
    task_post(task, (struct letter){ .what = what,
                        .run = run,
                        .drop = mem_free,
                        .arg = number_arg(checkpoint) });
}

void task_trigger(struct task *task, uint64_t checkpoint)
{
    post(task, "trigger", on_trigger, checkpoint);
}

void task_complete(struct task *task, uint64_t checkpoint)
{
    post(task, "checkpoint complete", on_complete, checkpoint);
}

void task_overtake(struct task *task, uint64_t checkpoint)
{
    post(task, "barriers overtake", on_overtake, checkpoint);
}

void task_abort(struct task *task, uint64_t checkpoint)
{
    post(task, "checkpoint aborted", on_abort, checkpoint);
}

/* jobmanager_checkpoint.c -- the story of a checkpoint: trigger, acks, publish, notify. Prefixes: jobmanager_
 *
 * The metadata grows with each ack, so a snapshot's memory is freed at once, and the store has nothing
 * left to do but write. */
#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/manager/jobmanager_private.h"

#include <inttypes.h>
#include <stdio.h>

/* -- the lane: publish, clean --------------------------------------------------------------------- */

/* Thread: worker. */
struct store_job {
    struct jobmanager *jobmanager;
    struct checkpoint_metadata metadata;
    bool is_saved; /* a savepoint is made out of it */
};

static weir_error *publish(struct store_job *job)
{
    return FAULT_STEP(CHECKPOINT_PUBLISH,
        storage_publish(job->jobmanager->options.storage, &job->metadata));
}

/* Cleans before anybody hears of the completion: no checkpoint is pending then, whose files would look
 * superfluous (checkpoint/retention.h). */
static void run_store(void *arg)
{
    struct store_job *job = arg;
    job->metadata.completed_ms = os_wall_ms();
    struct event event = { .kind = EVENT_STORED,
        .checkpoint = job->metadata.checkpoint,
        .error = publish(job) };
    if (job->is_saved)
        jobmanager_save(job->jobmanager, &job->metadata, event.error == NULL);
    if (event.error == NULL)
        FAULT_STEP_VOID(CLEAN, storage_clean(job->jobmanager->options.storage));
    jobmanager_post(job->jobmanager, &event);
    checkpoint_metadata_release(&job->metadata);
    mem_free(job);
}

static void run_check(void *arg)
{
    struct jobmanager *jobmanager = arg;
    struct event event = { .kind = EVENT_CHECKED,
        .error = storage_check_attempt(jobmanager->options.storage) };
    jobmanager_post(jobmanager, &event);
}

/* A checkpoint failed: perhaps because a newer attempt has removed what this one stands on. Nothing
 * would ever publish again, and only a publish finds that out. */
static void check_attempt(struct jobmanager *jobmanager)
{
    if (!workers_submit(jobmanager->options.workers, jobmanager, run_check, jobmanager))
        log_debug("checkpoint", "%s: too much blocking work is waiting to check the attempt",
            jobmanager->label);
}

static uint64_t size_of(const struct operator_snapshot *operators, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct operator_snapshot *it = &operators[i];
        for (uint32_t f = 0; f < it->file_count; f++)
            size += it->files[f].length;
        for (uint32_t f = 0; f < it->staged_count; f++)
            size += it->staged[f].length;
        for (uint32_t f = 0; f < it->item_count; f++)
            size += it->items[f].value.size;
    }
    return size;
}

/* Of it the records that barriers have overtaken. */
static uint64_t in_flight_of(const struct operator_snapshot *operators, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += checkpoint_in_flight_size(&operators[i]);
    return size;
}

static void store(struct jobmanager *jobmanager, int64_t now_ms)
{
    struct pending *pending = &jobmanager->pending;
    ASSERT(pending->is_active);
    uint64_t checkpoint = pending->metadata.checkpoint;
    struct store_job *job = mem_alloc(sizeof(*job));
    job->jobmanager = jobmanager;
    job->metadata = pending->metadata;
    job->is_saved = jobmanager_is_saved(jobmanager, checkpoint);
    pending->is_active = false;
    jobmanager->stats.last_size = size_of(job->metadata.operators, job->metadata.operator_count);
    jobmanager->stats.last_in_flight =
        in_flight_of(job->metadata.operators, job->metadata.operator_count);
    if (workers_submit(jobmanager->options.workers, jobmanager, run_store, job))
        return;
    if (job->is_saved)
        jobmanager_save(jobmanager, &job->metadata, false);
    checkpoint_metadata_release(&job->metadata);
    mem_free(job);
    log_warn("checkpoint", "%s: %" PRIu64 " cannot be stored: too much blocking work is waiting",
        jobmanager->label, checkpoint);
    jobmanager_carry_out(jobmanager,
        coordinator_stored(&jobmanager->coordinator, checkpoint, false, now_ms), now_ms);
}

/* -- the actions ---------------------------------------------------------------------------------- */

void jobmanager_forget_pending(struct jobmanager *jobmanager)
{
    if (jobmanager->pending.is_active)
        checkpoint_metadata_release(&jobmanager->pending.metadata);
    jobmanager->pending.is_active = false;
}

static void trigger(struct jobmanager *jobmanager, uint64_t checkpoint, int64_t now_ms)
{
    const struct task_gateway *tasks = &jobmanager->options.tasks;
    const struct plan *plan = jobmanager->options.plan;
    struct pending *pending = &jobmanager->pending;
    ASSERT(!pending->is_active && checkpoint > jobmanager->last_number);
    jobmanager->last_number = checkpoint;
    *pending = (struct pending){ .is_active = true, .started_ms = now_ms };
    checkpoint_metadata_init(&pending->metadata);
    pending->metadata.job = weir_str_of(plan->job);
    pending->metadata.checkpoint = checkpoint;
    pending->metadata.attempt = storage_attempt(jobmanager->options.storage);
    pending->metadata.instance = jobmanager->instance;
    pending->metadata.fingerprint = plan->fingerprint;
    pending->metadata.max_parallelism = plan->max_parallelism;
    pending->metadata.started_ms = os_wall_ms();
    if (jobmanager->options.history != NULL)
        history_triggered(jobmanager->options.history, checkpoint,
            jobmanager->asked.is_wanted && jobmanager->asked.directory != NULL, os_wall_ms());
    FAULT_STEP_VOID(TRIGGER_SEND, tasks->trigger(tasks->arg, checkpoint));
    execution_triggered(&jobmanager->execution, checkpoint);
}

static void report_completed(const struct jobmanager *jobmanager, uint64_t checkpoint)
{
    const struct pending *pending = &jobmanager->pending;
    const struct plan_vertex *vertex = jobmanager_vertex(jobmanager, pending->slowest);
    char in_flight[48] = "";
    if (jobmanager->stats.last_in_flight > 0)
        snprintf(in_flight, sizeof(in_flight), " (%.1f of them in flight)",
            (double)jobmanager->stats.last_in_flight / (1 << 20));
    log_info("checkpoint",
        "%s: %" PRIu64 " completed in %" PRId64
        " ms, %.1f MB%s; slowest was '%s' (%u/%u) with %" PRId64
        " ms: aligned in %.1f, frozen in %.1f, written in %.1f",
        jobmanager->label, checkpoint, jobmanager->stats.last_duration_ms,
        (double)jobmanager->stats.last_size / (1 << 20), in_flight, vertex->name,
        pending->slowest - vertex->first_subtask + 1, vertex->parallelism, pending->slowest_ms,
        (double)pending->alignment_us / 1000, (double)pending->sync_us / 1000,
        (double)pending->async_us / 1000);
}

static void remember_completed(struct jobmanager *jobmanager, uint64_t checkpoint)
{
    const struct jobmanager_options *options = &jobmanager->options;
    if (options->history == NULL)
        return;
    char *path = storage_is_temporary(options->storage)
                     ? NULL
                     : mem_printf("%s/chk-%" PRIu64, storage_dir(options->storage), checkpoint);
    history_completed(options->history, checkpoint, jobmanager->stats.last_size, path,
        os_wall_ms());
    mem_free(path);
}

static void notify(struct jobmanager *jobmanager, uint64_t checkpoint, int64_t now_ms)
{
    const struct task_gateway *tasks = &jobmanager->options.tasks;
    struct jobmanager_stats *stats = &jobmanager->stats;
    int64_t duration_ms = now_ms - jobmanager->pending.started_ms;
    stats->completed++;
    stats->unaligned += stats->last_in_flight > 0;
    stats->last_checkpoint = checkpoint;
    stats->last_duration_ms = duration_ms;
    stats->last_completed_ms = now_ms;
    histogram_add(&stats->durations, duration_ms * 1000);
    report_completed(jobmanager, checkpoint);
    remember_completed(jobmanager, checkpoint);
    if (execution_has_tasks(&jobmanager->execution))
        FAULT_STEP_VOID(NOTIFY_SEND, tasks->complete(tasks->arg, checkpoint));
    execution_completed(&jobmanager->execution, checkpoint);
    jobmanager_answer(jobmanager, checkpoint);
    /* Behind the last one no other may start: each leaves something to publish, and the end waits until
     * nothing is left. */
    if (execution_to_publish(&jobmanager->execution) > 0)
        jobmanager_carry_out(jobmanager, coordinator_stopped(&jobmanager->coordinator, now_ms),
            now_ms);
}

static void abort_checkpoint(struct jobmanager *jobmanager, uint64_t checkpoint, const char *why,
    int64_t now_ms)
{
    const struct task_gateway *tasks = &jobmanager->options.tasks;
    jobmanager->stats.failed++;
    if (jobmanager->options.history != NULL)
        history_aborted(jobmanager->options.history, checkpoint, why, os_wall_ms());
    jobmanager_forget_pending(jobmanager);
    jobmanager_request_lost(jobmanager, checkpoint, why);
    if (!execution_has_tasks(&jobmanager->execution)) {
        log_info("checkpoint", "%s: %" PRIu64 " was given up: %s", jobmanager->label, checkpoint,
            why);
        return;
    }
    log_warn("checkpoint", "%s: %" PRIu64 " failed: %s; the job goes on, a new one will be taken",
        jobmanager->label, checkpoint, why);
    FAULT_STEP_VOID(ABORT_SEND, tasks->abort(tasks->arg, checkpoint));
    execution_aborted(&jobmanager->execution, checkpoint, now_ms);
    check_attempt(jobmanager);
}

/* Records are in the way: they become a part of the checkpoint. */
static void overtake(struct jobmanager *jobmanager, uint64_t checkpoint)
{
    const struct task_gateway *tasks = &jobmanager->options.tasks;
    log_info("checkpoint",
        "%s: %" PRIu64 " goes on unaligned: after %.1f s barriers wait behind records",
        jobmanager->label, checkpoint, (double)jobmanager->options.aligned_timeout_ms / 1000);
    FAULT_STEP_VOID(OVERTAKE_SEND, tasks->overtake(tasks->arg, checkpoint));
}

void jobmanager_carry_out(struct jobmanager *jobmanager, struct coordinator_action action,
    int64_t now_ms)
{
    switch (action.kind) {
    case COORDINATOR_NONE:
        return;
    case COORDINATOR_TRIGGER:
        trigger(jobmanager, action.checkpoint, now_ms);
        return;
    case COORDINATOR_OVERTAKE:
        overtake(jobmanager, action.checkpoint);
        return;
    case COORDINATOR_STORE:
        store(jobmanager, now_ms);
        return;
    case COORDINATOR_NOTIFY:
        notify(jobmanager, action.checkpoint, now_ms);
        return;
    case COORDINATOR_ABORT:
        abort_checkpoint(jobmanager, action.checkpoint, action.why, now_ms);
        return;
    }
}

/* -- the events ----------------------------------------------------------------------------------- */

static void remember_ack(struct jobmanager *jobmanager, const struct subtask_snapshot *snapshot,
    uint32_t subtask)
{
    if (jobmanager->options.history == NULL)
        return;
    struct history_ack ack = { .at_ms = os_wall_ms(),
        .sync_us = snapshot->sync_us,
        .async_us = snapshot->async_us,
        .alignment_us = snapshot->alignment_us,
        .size = size_of(snapshot->operators, snapshot->operator_count),
        .in_flight = in_flight_of(snapshot->operators, snapshot->operator_count) };
    history_acked(jobmanager->options.history, snapshot->checkpoint, subtask, &ack);
}

void jobmanager_acked(struct jobmanager *jobmanager, const struct event *event, int64_t now_ms)
{
    struct pending *pending = &jobmanager->pending;
    struct coordinator_action action =
        coordinator_acked(&jobmanager->coordinator, event->checkpoint, event->subtask, now_ms);
    if (action.kind == COORDINATOR_NONE && action.why != NULL) {
        log_debug("checkpoint", "%s: an ack of %" PRIu64 " by subtask %u is ignored: it is %s",
            jobmanager->label, event->checkpoint, event->subtask, action.why);
        return;
    }
    ASSERT(pending->is_active && pending->metadata.checkpoint == event->checkpoint);
    checkpoint_metadata_add(&pending->metadata, event->snapshot);
    remember_ack(jobmanager, event->snapshot, event->subtask);
    pending->slowest = event->subtask;
    pending->slowest_ms = event->at_ms - pending->started_ms;
    pending->sync_us = event->snapshot->sync_us;
    pending->async_us = event->snapshot->async_us;
    pending->alignment_us = event->snapshot->alignment_us;
    jobmanager_carry_out(jobmanager, action, now_ms);
}

static bool is_fenced(const weir_error *error)
{
    return error != NULL && weir_error_code(error) == WEIR_E_FENCED;
}

/* Another attempt is in charge: nothing that this one does can count any more. */
static void fail_fenced(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    weir_error *error = event->error;
    event->error = NULL; /* taken */
    jobmanager_failed(jobmanager, error, now_ms);
}

void jobmanager_declined(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    const struct plan_vertex *vertex = jobmanager_vertex(jobmanager, event->subtask);
    if (is_fenced(event->error)) {
        fail_fenced(jobmanager, event, now_ms);
        return;
    }
    log_warn("checkpoint", "%s: %" PRIu64 " is not possible for task '%s' (%u/%u): %s",
        jobmanager->label, event->checkpoint, vertex->name,
        event->subtask - vertex->first_subtask + 1, vertex->parallelism,
        weir_error_message(event->error));
    jobmanager_carry_out(jobmanager,
        coordinator_declined(&jobmanager->coordinator, event->checkpoint, event->subtask, now_ms),
        now_ms);
}

void jobmanager_stored(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    if (event->error != NULL)
        log_warn("checkpoint", "%s: %" PRIu64 " could not be published: %s", jobmanager->label,
            event->checkpoint, weir_error_message(event->error));
    jobmanager_carry_out(jobmanager,
        coordinator_stored(&jobmanager->coordinator, event->checkpoint, event->error == NULL,
            now_ms),
        now_ms);
    if (is_fenced(event->error))
        fail_fenced(jobmanager, event, now_ms);
}

void jobmanager_checked(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    if (is_fenced(event->error))
        fail_fenced(jobmanager, event, now_ms);
}

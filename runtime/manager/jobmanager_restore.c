/* jobmanager_restore.c -- what comes before tasks: an attempt of one's own, and what to restore.
 * Prefixes: jobmanager_, restored_
 *
 *      first start     the storage has claimed an attempt when it was opened
 *      restart         still in charge? claim the next one, so that a task of the old attempt that
 *                      hangs somewhere can publish nothing
 *      both            read the newest complete checkpoint and verify it; does it fit the plan?
 *      of a part       still in charge? read the newest one, under the same attempt */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "checkpoint/savepoint_import.h"
#include "runtime/manager/jobmanager_private.h"

#include <inttypes.h>

/* -- the worker's part ---------------------------------------------------------------------------- */

void restored_free(struct restored *restored)
{
    if (restored == NULL)
        return;
    if (restored->found)
        checkpoint_metadata_release(&restored->metadata);
    mem_free(restored);
}

void jobmanager_forget_restored(struct jobmanager *jobmanager)
{
    restored_free(jobmanager->restored);
    jobmanager->restored = NULL;
}

static weir_error *claim(struct jobmanager *jobmanager)
{
    if (jobmanager->is_first_restore)
        return NULL;
    WEIR_TRY(storage_check_attempt(jobmanager->options.storage));
    return storage_next_attempt(jobmanager->options.storage);
}

/* How far the checkpoints of a start from a savepoint are numbered from those of any other one, and of the job that
 * it was taken from: each would otherwise take the other's output, by its number, for its own. */
static uint64_t leap(void)
{
    return 1 + (os_random() >> 36);
}

static weir_error *import(struct jobmanager *jobmanager, struct checkpoint_metadata *metadata)
{
    const struct jobmanager_options *options = &jobmanager->options;
    struct import_target target = { .checkpoint_dir = storage_dir(options->storage),
        .work_dir = storage_work_dir(options->storage),
        .attempt = storage_attempt(options->storage),
        .backend = weir_str_of(options->backend),
        .max_parallelism = options->plan->max_parallelism,
        .expectations = jobmanager->expected.list,
        .expectation_count = jobmanager->expected.count,
        .may_drop = options->allow_non_restored };
    WEIR_TRY(savepoint_import(options->from_savepoint, &target, metadata));
    metadata->job = weir_str_of(options->plan->job);
    uint64_t used = storage_last_number(options->storage);
    metadata->checkpoint = (metadata->checkpoint > used ? metadata->checkpoint : used) + leap();
    metadata->attempt = storage_attempt(options->storage);
    return NULL;
}

/* The attempts of a job rise, also from one directory to the next: its sinks are known by them outside. Of several
 * starts from one savepoint the last one has the highest, and fences the others, so they go by the clock. */
static weir_error *rise_above(struct storage *storage, const char *path)
{
    struct snapshot_dir from;
    WEIR_TRY(snapshot_dir_open(path, &from));
    uint64_t attempt = from.metadata.attempt, now_ms = (uint64_t)os_wall_ms();
    snapshot_dir_close(&from);
    return storage_next_attempt_above(storage, attempt > now_ms ? attempt : now_ms);
}

/* A start from a savepoint is a fresh start whose first checkpoint is there before the first task. */
static weir_error *read_savepoint(struct jobmanager *jobmanager, struct restored *restored)
{
    const struct jobmanager_options *options = &jobmanager->options;
    WEIR_TRY(rise_above(options->storage, options->from_savepoint));
    weir_error *hidden = storage_fresh(options->storage);
    if (hidden != NULL)
        return weir_error_wrap(hidden, "cannot start from '%s'", options->from_savepoint);
    restored->found = restored->is_imported = true; /* the metadata is released with it */
    WEIR_TRY(FAULT_STEP(IMPORT_CONVERT, import(jobmanager, &restored->metadata)));
    WEIR_TRY(restore_check(&restored->metadata, jobmanager->expected.list,
        jobmanager->expected.count, options->plan->max_parallelism));
    return FAULT_STEP(IMPORT_PUBLISH, storage_publish(options->storage, &restored->metadata));
}

/* A start that a leader before this one has begun, from a savepoint or afresh, may have checkpoints of its own by now;
 * if it has none, it begins again. */
static bool begins(const struct jobmanager *jobmanager, const struct restored *restored)
{
    const struct jobmanager_options *options = &jobmanager->options;
    return jobmanager->is_first_restore && !restored->found &&
           (options->from_savepoint != NULL || options->is_fresh);
}

static weir_error *read_newest(struct jobmanager *jobmanager, struct restored *restored)
{
    const struct jobmanager_options *options = &jobmanager->options;
    WEIR_TRY(FAULT_STEP(ATTEMPT_CLAIM, claim(jobmanager)));
    if (jobmanager->is_first_restore && options->savepoints != NULL)
        savepoint_sweep(options->savepoints, weir_str_of(options->plan->job));
    if (options->has_begun || !begins(jobmanager, restored))
        WEIR_TRY(FAULT_STEP(RESTORE_READ, storage_restore(options->storage, options->workers,
                                              &restored->metadata, &restored->found)));
    if (begins(jobmanager, restored))
        return options->from_savepoint != NULL ? read_savepoint(jobmanager, restored)
                                               : storage_fresh(options->storage);
    if (!restored->found)
        return NULL;
    return restore_check(&restored->metadata, jobmanager->expected.list, jobmanager->expected.count,
        jobmanager->options.plan->max_parallelism);
}

/* Whatever is wrong may be mended by a restart of all, which can fall back to an older checkpoint. */
static weir_error *read_for_part(const struct jobmanager *jobmanager, struct restored *restored)
{
    weir_error *error = FAULT_STEP(RESTORE_READ,
        storage_restore_again(jobmanager->options.storage, jobmanager->options.workers,
            &restored->metadata, &restored->found));
    if (error == NULL)
        return NULL;
    return weir_error_retriable(
        weir_error_wrap(error, "cannot restore a part of the job, so all of it restarts"));
}

/* Thread: worker. */
struct restore_job {
    struct jobmanager *jobmanager;
    uint64_t number;
    bool is_partial;
};

static void run_restore(void *arg)
{
    struct restore_job *job = arg;
    struct restored *restored = mem_alloc(sizeof(*restored));
    struct event event = { .kind = EVENT_RESTORED, .restore = job->number };
    event.error = job->is_partial ? read_for_part(job->jobmanager, restored)
                                  : read_newest(job->jobmanager, restored);
    event.restored = restored;
    jobmanager_post(job->jobmanager, &event);
    mem_free(job);
}

void jobmanager_restore(struct jobmanager *jobmanager, int64_t now_ms)
{
    struct restore_job *job = mem_alloc(sizeof(*job));
    *job = (struct restore_job){ .jobmanager = jobmanager,
        .number = ++jobmanager->restores,
        .is_partial = execution_is_partial(&jobmanager->execution) };
    if (workers_submit(jobmanager->options.workers, jobmanager, run_restore, job))
        return;
    mem_free(job);
    jobmanager_failed(jobmanager,
        weir_errorf(WEIR_E_LIMIT, "cannot restore: too much blocking work is waiting"), now_ms);
}

/* -- control's part ------------------------------------------------------------------------------- */

/* Nothing runs yet: its tasks are deployed next, when there are slots for them. */
static void report(const struct jobmanager *jobmanager, const struct restored *restored)
{
    const char *what = execution_is_partial(&jobmanager->execution) ? "a part starts again"
                       : jobmanager->is_first_restore               ? "starts"
                                                                    : "starts again";
    if (!restored->found) {
        if (!jobmanager->is_first_restore)
            log_info("job", "%s: %s from the beginning: no checkpoint was complete",
                jobmanager->label, what);
        else if (!storage_is_temporary(jobmanager->options.storage))
            log_info("job", "%s: %s from the beginning: no checkpoint is in '%s' yet",
                jobmanager->label, what, storage_dir(jobmanager->options.storage));
        return;
    }
    const struct checkpoint_metadata *metadata = &restored->metadata;
    if (restored->is_imported)
        log_info("job", "%s: %s from '%s', as checkpoint %" PRIu64, jobmanager->label, what,
            jobmanager->options.from_savepoint, metadata->checkpoint);
    else
        log_info("job",
            "%s: %s from checkpoint %" PRIu64 " of attempt %" PRIu64 " (taken %.0f s ago)",
            jobmanager->label, what, metadata->checkpoint, metadata->attempt,
            (double)(os_wall_ms() - metadata->started_ms) / 1000);
}

void jobmanager_restored(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    struct restored *restored = event->restored;
    const struct execution *execution = &jobmanager->execution;
    if (event->restore != jobmanager->restores || !execution->is_restoring)
        return; /* another region has failed since, or the job was cancelled */
    uint64_t number = storage_last_number(jobmanager->options.storage);
    ASSERT(jobmanager->restored == NULL);
    if (event->error != NULL) {
        weir_error *error = event->error;
        event->error = NULL; /* taken */
        jobmanager_failed(jobmanager, error, now_ms);
        return;
    }
    event->restored = NULL; /* taken */
    report(jobmanager, restored);
    if (restored->found)
        jobmanager->instance = restored->metadata.instance;
    else
        jobmanager->instance = storage_instance(jobmanager->options.storage);
    if (restored->found && jobmanager->options.history != NULL)
        history_restored(jobmanager->options.history, restored->metadata.checkpoint,
            restored->is_imported, os_wall_ms());
    jobmanager->restored = restored;
    jobmanager->is_first_restore = false;
    jobmanager->stats.attempt = storage_attempt(jobmanager->options.storage);
    jobmanager->stats.last_checkpoint = restored->found ? restored->metadata.checkpoint : 0;
    if (number > jobmanager->last_number)
        jobmanager->last_number = number;
    execution_restored(&jobmanager->execution, restored->found);
}

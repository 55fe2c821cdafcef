/* jobmanager_savepoint.c -- a savepoint is asked for: a checkpoint is taken for it, and written as one.
 * Prefixes: jobmanager_
 *
 *      asked ------> wanted: a checkpoint is requested; the first that is triggered from now on is it
 *      published --> a worker of the checkpoints' lane links its files, before old ones are deleted
 *                    writing: a worker of a lane of its own makes the savepoint; checkpoints go on
 *      written ----> somebody is told
 *
 * People get one at a time. If its checkpoint fails, or the tasks go, there is no savepoint, and that is said: whoever
 * wants one asks again. With `stop_with_savepoint` it is asked for with the last checkpoint of a stop, and
 * the job has not ended well without it. */
#include "base/assert.h"
#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/manager/jobmanager_private.h"

#include <inttypes.h>

/* Thread: worker. */
struct savepoint_job {
    struct jobmanager *jobmanager;
    uint64_t checkpoint;
    char *pin_dir;
    weir_buffer *bytes; /* of the metadata, whose owner publishes and frees it */
};

/* -- the workers' part ---------------------------------------------------------------------------- */

static void tell(struct savepoint_job *job, char *path, weir_error *error)
{
    jobmanager_post(job->jobmanager, &(struct event){ .kind = EVENT_SAVED,
                                         .checkpoint = job->checkpoint,
                                         .path = path,
                                         .error = error });
    weir_error *left = os_remove_tree(job->pin_dir);
    if (left != NULL)
        log_warn("savepoint", "cannot tidy up: %s", weir_error_message(left));
    weir_error_free(left);
    mem_free(job->pin_dir);
    weir_buffer_free(job->bytes);
    mem_free(job);
}

static weir_error *write_pinned(const struct savepoint_job *job, char **path)
{
    struct checkpoint_metadata metadata;
    struct scan_place place = { .dir = job->pin_dir, .work_dir = job->pin_dir };
    WEIR_TRY(checkpoint_decode(weir_buffer_view(job->bytes), "the checkpoint of the savepoint",
        &metadata));
    weir_error *error =
        savepoint_write(&place, &metadata, job->jobmanager->options.savepoints, path);
    checkpoint_metadata_release(&metadata);
    return error;
}

static void run_write(void *arg)
{
    struct savepoint_job *job = arg;
    char *path = NULL;
    weir_error *error = write_pinned(job, &path);
    tell(job, path, error);
}

void jobmanager_save(struct jobmanager *jobmanager, const struct checkpoint_metadata *metadata,
    bool is_complete)
{
    struct storage *storage = jobmanager->options.storage;
    struct savepoint_job *job = mem_alloc(sizeof(*job));
    job->jobmanager = jobmanager;
    job->checkpoint = metadata->checkpoint;
    job->pin_dir =
        mem_printf("%s/savepoint-%" PRIu64, storage_work_dir(storage), metadata->checkpoint);
    job->bytes = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    checkpoint_encode(metadata, job->bytes);
    weir_error *error = is_complete ? savepoint_pin(storage_dir(storage), metadata, job->pin_dir)
                                    : weir_errorf(WEIR_E_STATE, "its checkpoint failed");
    if (error == NULL &&
        !workers_submit(jobmanager->options.workers, &jobmanager->savepoint, run_write, job))
        error = weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting");
    if (error != NULL)
        tell(job, NULL, error);
}

/* -- control's part ------------------------------------------------------------------------------- */

static void ask(struct jobmanager *jobmanager, int64_t now_ms)
{
    jobmanager->savepoint.is_wanted = true;
    jobmanager->savepoint.behind = jobmanager->last_number;
    jobmanager_carry_out(jobmanager, coordinator_request(&jobmanager->coordinator, now_ms), now_ms);
}

void jobmanager_savepoint(struct jobmanager *jobmanager, int64_t now_ms)
{
    const struct savepoint *savepoint = &jobmanager->savepoint;
    if (jobmanager->options.savepoints == NULL)
        log_warn("savepoint", "a savepoint was asked for, but nobody has said where to: start the "
                              "job with --savepoints DIR");
    else if (jobmanager->execution.state != EXECUTION_RUNNING)
        log_warn("savepoint", "a savepoint was asked for, but the job is not running: ask again");
    else if (savepoint->is_wanted || savepoint->writing > 0)
        log_warn("savepoint", "a savepoint was asked for, but one is being taken: ask again");
    else
        ask(jobmanager, now_ms);
}

void jobmanager_last_savepoint(struct jobmanager *jobmanager, int64_t now_ms)
{
    if (!jobmanager->options.stop_with_savepoint || !jobmanager->execution.is_stop_requested)
        return;
    jobmanager->savepoint.last_behind = jobmanager->last_number;
    ask(jobmanager, now_ms);
}

static bool is_it(const struct jobmanager *jobmanager, uint64_t checkpoint)
{
    return jobmanager->savepoint.is_wanted && checkpoint > jobmanager->savepoint.behind;
}

bool jobmanager_is_saved(struct jobmanager *jobmanager, uint64_t checkpoint)
{
    if (!is_it(jobmanager, checkpoint))
        return false;
    jobmanager->savepoint.is_wanted = false;
    jobmanager->savepoint.writing++;
    return true;
}

void jobmanager_savepoint_lost(struct jobmanager *jobmanager, uint64_t checkpoint, const char *why)
{
    if (!jobmanager->savepoint.is_wanted || (checkpoint > 0 && !is_it(jobmanager, checkpoint)))
        return;
    jobmanager->savepoint.is_wanted = false;
    log_warn("savepoint", "no savepoint was taken: %s; ask again", why);
}

void jobmanager_saved(struct jobmanager *jobmanager, struct event *event)
{
    struct savepoint *savepoint = &jobmanager->savepoint;
    ASSERT(savepoint->writing > 0);
    savepoint->writing--;
    if (event->error == NULL) {
        savepoint->written = event->checkpoint;
        log_info("savepoint", "savepoint written to %s", event->path);
        return;
    }
    log_error("savepoint", "no savepoint was taken: %s", weir_error_message(event->error));
}

weir_error *jobmanager_settle(struct jobmanager *jobmanager)
{
    const struct execution *execution = &jobmanager->execution;
    struct event event;
    workers_drain(jobmanager->options.workers, &jobmanager->savepoint);
    while (inbox_take(jobmanager->inbox, &event)) {
        if (event.kind == EVENT_SAVED)
            jobmanager_saved(jobmanager, &event);
        jobmanager_release_event(&event);
    }
    jobmanager_savepoint_lost(jobmanager, 0, "the job is over");
    if (!jobmanager->options.stop_with_savepoint || !execution->is_stop_requested ||
        execution->state != EXECUTION_FINISHED ||
        jobmanager->savepoint.written > jobmanager->savepoint.last_behind)
        return NULL;
    return weir_errorf(WEIR_E_STATE,
        "the job has stopped, but without its savepoint (--stop-with-savepoint); checkpoint "
        "%" PRIu64 " holds: `weir savepoint` makes one out of it",
        jobmanager->stats.last_checkpoint);
}

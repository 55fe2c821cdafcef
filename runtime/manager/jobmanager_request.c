/* jobmanager_request.c -- somebody asks: for a checkpoint, or for a savepoint made out of one. Prefixes: jobmanager_
 *
 *      asked ------> wanted: a checkpoint is requested; the first that is triggered from now on is it
 *      published --> a worker of the checkpoints' lane links its files, before old ones are deleted
 *                    writing: a worker of a lane of its own makes the savepoint; checkpoints go on
 *      written ----> who asked is told
 *
 * People get one at a time. If its checkpoint fails, or the tasks go, there is none, and that is said: whoever
 * wants one asks again. That of a stop waits for the last checkpoint, and the job has not ended well without
 * it. */
#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/manager/jobmanager_private.h"

#include <inttypes.h>

/* Thread: worker. */
struct savepoint_job {
    struct jobmanager *jobmanager;
    uint64_t checkpoint;
    char *pin_dir, *directory;
    struct jobmanager_request request;
    weir_buffer *bytes; /* of the metadata, whose owner publishes and frees it */
};

/* -- the workers' part ---------------------------------------------------------------------------- */

/* The last thing: the job manager may go when it has heard of it, and does not wait for a disk. */
static void tell(struct savepoint_job *job, char *path, weir_error *error)
{
    weir_error *left = os_remove_tree(job->pin_dir);
    if (left != NULL)
        log_warn("savepoint", "%s: cannot tidy up: %s", job->jobmanager->label,
            weir_error_message(left));
    weir_error_free(left);
    jobmanager_post(job->jobmanager, &(struct event){ .kind = EVENT_SAVED,
                                         .checkpoint = job->checkpoint,
                                         .path = path,
                                         .request = job->request,
                                         .error = error });
    mem_free(job->pin_dir);
    mem_free(job->directory);
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
        FAULT_STEP(SAVEPOINT_WRITE, savepoint_write(&place, &metadata, job->directory, path));
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
    job->request = jobmanager->asked.request;
    job->directory = mem_strdup(jobmanager->asked.directory);
    job->checkpoint = metadata->checkpoint;
    job->pin_dir =
        mem_printf("%s/savepoint-%" PRIu64, storage_work_dir(storage), metadata->checkpoint);
    job->bytes = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    checkpoint_encode(metadata, job->bytes);
    weir_error *error =
        is_complete
            ? FAULT_STEP(SAVEPOINT_PIN, savepoint_pin(storage_dir(storage), metadata, job->pin_dir))
            : weir_errorf(WEIR_E_STATE, "its checkpoint failed");
    if (error == NULL &&
        !workers_submit(jobmanager->options.workers, &jobmanager->asked, run_write, job))
        error = weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting");
    if (error != NULL)
        tell(job, NULL, error);
}

/* -- control's part ------------------------------------------------------------------------------- */

static void want(struct jobmanager *jobmanager, int64_t now_ms)
{
    jobmanager->asked.is_wanted = true;
    jobmanager->asked.behind = jobmanager->last_number;
    jobmanager_carry_out(jobmanager, coordinator_request(&jobmanager->coordinator, now_ms), now_ms);
}

static void set_request(struct jobmanager *jobmanager, const struct jobmanager_request *request)
{
    struct asked *asked = &jobmanager->asked;
    mem_free(asked->directory);
    asked->request = *request;
    asked->directory = mem_strdup(request->directory);
}

bool jobmanager_is_asked(const struct jobmanager *jobmanager)
{
    const struct asked *asked = &jobmanager->asked;
    bool is_over = execution_is_over(&jobmanager->execution); /* no checkpoint comes any more */
    return asked->writing > 0 || (!is_over && (asked->is_wanted || asked->is_at_end));
}

static weir_error *check_asking(const struct jobmanager *jobmanager)
{
    enum execution_state state = jobmanager->execution.state;
    if (state == EXECUTION_STOPPING || state == EXECUTION_FINISHING)
        return weir_errorf(WEIR_E_STATE, "the job is about to end: its last checkpoint is taken");
    if (state != EXECUTION_RUNNING || !jobmanager->coordinator.is_running)
        return weir_errorf(WEIR_E_STATE, "not all tasks of the job are running now: ask again");
    if (jobmanager_is_asked(jobmanager))
        return weir_errorf(WEIR_E_STATE,
            "another checkpoint or savepoint is being taken: ask again");
    return NULL;
}

weir_error *jobmanager_ask(struct jobmanager *jobmanager, const struct jobmanager_request *request,
    int64_t now_ms)
{
    WEIR_TRY(check_asking(jobmanager));
    set_request(jobmanager, request);
    jobmanager->asked.is_of_stop = false;
    want(jobmanager, now_ms);
    return NULL;
}

weir_error *jobmanager_stop_with(struct jobmanager *jobmanager,
    const struct jobmanager_request *request, bool drain, int64_t now_ms)
{
    const struct task_gateway *tasks = &jobmanager->options.tasks;
    WEIR_TRY(check_asking(jobmanager));
    set_request(jobmanager, request);
    jobmanager->asked.is_at_end = true;
    jobmanager->options.stop_with_savepoint = true;
    jobmanager->is_draining = drain;
    if (drain)
        tasks->drain(tasks->arg);
    else
        execution_stop(&jobmanager->execution, true, now_ms);
    return NULL;
}

bool jobmanager_is_stopping(const struct jobmanager *jobmanager)
{
    return jobmanager->execution.is_stop_requested || jobmanager->is_draining;
}

/* Nobody in particular asks: the log hears of it. */
static void log_answer(void *arg, uint64_t checkpoint, const char *path, const weir_error *error)
{
    const struct jobmanager *jobmanager = arg;
    (void)checkpoint;
    if (error == NULL)
        log_info("savepoint", "%s: savepoint written to %s", jobmanager->label, path);
    else
        log_error("savepoint", "%s: no savepoint was taken: %s", jobmanager->label,
            weir_error_message(error));
}

void jobmanager_savepoint(struct jobmanager *jobmanager, int64_t now_ms)
{
    struct jobmanager_request request = { .directory = jobmanager->options.savepoints,
        .done = log_answer,
        .arg = jobmanager };
    if (request.directory == NULL) {
        log_warn("savepoint",
            "%s: a savepoint was asked for, but nobody has said where to: start the "
            "job with --savepoints DIR",
            jobmanager->label);
        return;
    }
    weir_error *error = jobmanager_ask(jobmanager, &request, now_ms);
    if (error != NULL)
        log_warn("savepoint", "%s: a savepoint was asked for, but %s", jobmanager->label,
            weir_error_message(error));
    weir_error_free(error);
}

void jobmanager_last_savepoint(struct jobmanager *jobmanager, int64_t now_ms)
{
    struct asked *asked = &jobmanager->asked;
    if (!jobmanager->options.stop_with_savepoint || !jobmanager_is_stopping(jobmanager))
        return;
    if (!asked->is_at_end)
        set_request(jobmanager,
            &(struct jobmanager_request){ .directory = jobmanager->options.savepoints,
                .done = log_answer,
                .arg = jobmanager });
    asked->is_at_end = false;
    asked->is_of_stop = true;
    asked->last_behind = jobmanager->last_number;
    want(jobmanager, now_ms);
}

static bool is_it(const struct jobmanager *jobmanager, uint64_t checkpoint)
{
    return jobmanager->asked.is_wanted && checkpoint > jobmanager->asked.behind;
}

bool jobmanager_is_saved(struct jobmanager *jobmanager, uint64_t checkpoint)
{
    if (!is_it(jobmanager, checkpoint) || jobmanager->asked.directory == NULL)
        return false;
    jobmanager->asked.is_wanted = false;
    jobmanager->asked.writing++;
    return true;
}

void jobmanager_answer(struct jobmanager *jobmanager, uint64_t checkpoint)
{
    struct asked *asked = &jobmanager->asked;
    if (!is_it(jobmanager, checkpoint))
        return;
    asked->is_wanted = false;
    asked->request.done(asked->request.arg, checkpoint, NULL, NULL);
}

/* A drain goes on behind a restart. */
static bool drains_again(const struct jobmanager *jobmanager)
{
    const struct execution *execution = &jobmanager->execution;
    return jobmanager->is_draining && execution->state == EXECUTION_FAILING && !execution->is_fatal;
}

/* The next last checkpoint of a stop is another try at its savepoint. */
void jobmanager_request_lost(struct jobmanager *jobmanager, uint64_t checkpoint, const char *why)
{
    struct asked *asked = &jobmanager->asked;
    bool is_all = checkpoint == 0, is_of_stop = asked->is_at_end || asked->is_of_stop;
    if (!is_all && !is_it(jobmanager, checkpoint))
        return;
    if (!asked->is_wanted && !asked->is_at_end)
        return;
    asked->is_wanted = false;
    asked->is_at_end = is_of_stop && (!is_all || drains_again(jobmanager));
    if (asked->is_at_end)
        return;
    weir_error *error = weir_errorf(WEIR_E_STATE, "%s; ask again", why);
    asked->request.done(asked->request.arg, checkpoint, NULL, error);
    weir_error_free(error);
}

void jobmanager_saved(struct jobmanager *jobmanager, struct event *event)
{
    struct asked *asked = &jobmanager->asked;
    ASSERT(asked->writing > 0);
    asked->writing--;
    if (event->error == NULL)
        asked->written = event->checkpoint;
    if (event->error == NULL && jobmanager->options.history != NULL)
        history_saved(jobmanager->options.history, event->checkpoint, event->path);
    event->request.done(event->request.arg, event->checkpoint, event->path, event->error);
}

/* Why the job has not ended as it was asked to; NULL: it has. */
static weir_error *unsaved(const struct jobmanager *jobmanager)
{
    if (!jobmanager->options.stop_with_savepoint || !jobmanager_is_stopping(jobmanager) ||
        jobmanager->execution.state != EXECUTION_FINISHED ||
        jobmanager->asked.written > jobmanager->asked.last_behind)
        return NULL;
    return weir_errorf(WEIR_E_STATE,
        "the job has stopped, but without its savepoint (--stop-with-savepoint); checkpoint "
        "%" PRIu64 " holds: `weir savepoint` makes one out of it",
        jobmanager->stats.last_checkpoint);
}

weir_error *jobmanager_settle(struct jobmanager *jobmanager)
{
    struct event event;
    workers_drain(jobmanager->options.workers, &jobmanager->asked);
    while (inbox_take(jobmanager->inbox, &event)) {
        if (event.kind == EVENT_SAVED)
            jobmanager_saved(jobmanager, &event);
        jobmanager_release_event(&event);
    }
    jobmanager_request_lost(jobmanager, 0, "the job is over");
    return unsaved(jobmanager);
}

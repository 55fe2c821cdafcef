/* jobmanager.c -- see jobmanager.h: events in, actions of the execution out. */
#include "runtime/manager/jobmanager.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/manager/jobmanager_private.h"

#include <inttypes.h>
#include <stdio.h>

/* A task posts a handful of events in its life and one for each checkpoint, and checkpoints do not
 * start before the last one's events have been read. What time-outs leave behind waits for a worker,
 * and each such job posts one event: all of them at once when the tasks are torn down, and nobody reads
 * meanwhile. */
#define EVENTS_PER_SUBTASK 16
#define RETRY_MS           1000
#define PUBLISHED_POLL_MS  5 /* only while a job ends: metrics have no events */

/* -- making --------------------------------------------------------------------------------------- */

struct jobmanager *jobmanager_new(const struct jobmanager_options *options)
{
    ASSERT(options->plan->subtask_count > 0);
    struct jobmanager *jobmanager = mem_alloc(sizeof(*jobmanager));
    jobmanager->options = *options;
    jobmanager->label = options->id == NULL
                            ? mem_printf("'%s'", options->plan->job)
                            : mem_printf("'%s' (%s)", options->plan->job, options->id);
    struct execution_options execution = { .subtask_count = options->plan->subtask_count,
        .restart = options->restart,
        .stop_timeout_ms = options->stop_timeout_ms,
        .retry_ms = RETRY_MS,
        .has_run = options->has_begun };
    execution_init(&jobmanager->execution, &execution);
    uint32_t events_max =
        options->plan->subtask_count * EVENTS_PER_SUBTASK + 64 + workers_jobs_max(options->workers);
    jobmanager->inbox = inbox_new(events_max, sizeof(struct event));
    jobmanager->regions =
        mem_alloc_array(options->plan->subtask_count, sizeof(*jobmanager->regions));
    jobmanager->is_first_restore = true;
    expectations_init(&jobmanager->expected, options->plan, options->backend);
    return jobmanager;
}

void jobmanager_release_event(struct event *event)
{
    mem_free(event->path);
    subtask_snapshot_free(event->snapshot);
    restored_free(event->restored);
    weir_error_free(event->error);
}

void jobmanager_free(struct jobmanager *jobmanager)
{
    if (jobmanager == NULL)
        return;
    workers_drain(jobmanager->options.workers, jobmanager);
    workers_drain(jobmanager->options.workers, &jobmanager->asked);
    inbox_close(jobmanager->inbox);
    struct event event;
    while (inbox_take(jobmanager->inbox, &event))
        jobmanager_release_event(&event);
    inbox_free(jobmanager->inbox);
    jobmanager_forget_pending(jobmanager);
    jobmanager_forget_restored(jobmanager);
    if (jobmanager->has_coordinator)
        coordinator_release(&jobmanager->coordinator);
    execution_release(&jobmanager->execution);
    weir_error_free(jobmanager->error);
    expectations_release(&jobmanager->expected);
    mem_free(jobmanager->asked.directory);
    mem_free(jobmanager->regions);
    mem_free(jobmanager->label);
    mem_free(jobmanager);
}

const struct jobmanager_stats *jobmanager_stats(const struct jobmanager *jobmanager)
{
    return &jobmanager->stats;
}

weir_error *jobmanager_take_error(struct jobmanager *jobmanager)
{
    weir_error *error = jobmanager->execution.state == EXECUTION_FAILED ? jobmanager->error : NULL;
    if (error != NULL)
        jobmanager->error = NULL;
    return error;
}

const struct plan_vertex *jobmanager_vertex(const struct jobmanager *jobmanager, uint32_t subtask)
{
    const struct plan *plan = jobmanager->options.plan;
    ASSERT(subtask < plan->subtask_count);
    uint32_t v = 0;
    while (v + 1 < plan->vertex_count && plan->vertices[v + 1].first_subtask <= subtask)
        v++;
    return &plan->vertices[v];
}

/* -- the task host: Thread: any ------------------------------------------------------------------- */

void jobmanager_wake(struct jobmanager *jobmanager)
{
    if (jobmanager->options.wake != NULL)
        jobmanager->options.wake(jobmanager->options.wake_arg);
}

void jobmanager_post(struct jobmanager *jobmanager, const struct event *event)
{
    struct event stamped = *event;
    stamped.at_ms = os_monotonic_ms();
    stamped.generation = jobmanager->generation;
    ASSERT(inbox_push(jobmanager->inbox, &stamped)); /* senders are bounded */
    jobmanager_wake(jobmanager);
}

static void host_running(void *arg, uint32_t subtask)
{
    jobmanager_post(arg, &(struct event){ .kind = EVENT_RUNNING, .subtask = subtask });
}

static void host_ended(void *arg, uint32_t subtask)
{
    jobmanager_post(arg, &(struct event){ .kind = EVENT_ENDED, .subtask = subtask });
}

static void host_failed(void *arg, uint32_t subtask, weir_error *error)
{
    jobmanager_post(arg,
        &(struct event){ .kind = EVENT_FAILED, .subtask = subtask, .error = error });
}

void jobmanager_worker_failed(struct jobmanager *jobmanager, uint32_t subtask, weir_error *error)
{
    jobmanager_post(jobmanager, &(struct event){ .kind = EVENT_FAILED,
                                    .subtask = subtask,
                                    .is_of_worker = true,
                                    .error = error });
}

static void host_acked(void *arg, struct subtask_snapshot *snapshot)
{
    jobmanager_post(arg, &(struct event){ .kind = EVENT_ACKED,
                             .subtask = snapshot->subtask,
                             .checkpoint = snapshot->checkpoint,
                             .snapshot = snapshot });
}

static void host_declined(void *arg, uint64_t checkpoint, uint32_t subtask, weir_error *error)
{
    jobmanager_post(arg, &(struct event){ .kind = EVENT_DECLINED,
                             .subtask = subtask,
                             .checkpoint = checkpoint,
                             .error = error });
}

static weir_error *host_check_attempt(void *arg)
{
    const struct jobmanager *jobmanager = arg;
    return storage_check_attempt(jobmanager->options.storage);
}

void jobmanager_host(struct jobmanager *jobmanager, struct task_host *host)
{
    struct storage *storage = jobmanager->options.storage;
    host->arg = jobmanager;
    host->running = host_running;
    host->acked = host_acked;
    host->declined = host_declined;
    host->ended = host_ended;
    host->failed = host_failed;
    host->check_attempt = host_check_attempt;
    host->workers = jobmanager->options.workers;
    host->job = jobmanager->options.plan->job;
    host->instance = jobmanager->instance;
    host->attempt = storage_attempt(storage);
    host->checkpoint_dir = storage_dir(storage);
    host->staging_dir = storage_staging_dir(storage);
    host->work_dir = storage_work_dir(storage);
    host->has_checkpoints = !storage_is_temporary(storage);
}

/* -- failure -------------------------------------------------------------------------------------- */

static void report_restart(const struct jobmanager *jobmanager)
{
    const struct execution *execution = &jobmanager->execution;
    char part[64] = "";
    if (execution_is_partial(execution))
        snprintf(part, sizeof(part), " %u of %u tasks", execution->restarting_count,
            execution->options.subtask_count);
    log_warn("job", "%s: %s; restarting%s in %.1f s (restart %u)", jobmanager->label,
        weir_error_message(jobmanager->error), part, (double)execution->restart_delay_ms / 1000,
        execution->restart_count);
}

/* `event` NULL: no task's. */
static void remember(struct jobmanager *jobmanager, const weir_error *error,
    const struct event *event)
{
    const struct jobmanager_options *options = &jobmanager->options;
    if (options->history == NULL)
        return;
    struct history_failure failure = { .attempt = jobmanager->stats.attempt,
        .at_ms = os_wall_ms(),
        .code = weir_error_code(error),
        .task_count = jobmanager->execution.restarting_count,
        .has_restarted = !jobmanager->execution.is_fatal };
    char *text = mem_strdup(weir_error_message(error)), *place = NULL;
    if (event != NULL && options->tasks.place != NULL)
        place = mem_strdup(options->tasks.place(options->tasks.arg, event->subtask));
    if (event != NULL && !event->is_of_worker) {
        const struct plan_vertex *vertex = jobmanager_vertex(jobmanager, event->subtask);
        failure.vertex = mem_strdup(vertex->name);
        failure.subtask = event->subtask - vertex->first_subtask;
    }
    failure.text = text;
    failure.place = place;
    history_failed(options->history, &failure);
    mem_free(text);
    mem_free(failure.vertex);
    mem_free(place);
}

static void keep_failure(struct jobmanager *jobmanager, weir_error *error,
    const struct event *event, bool counts)
{
    if (!counts) {
        log_debug("job", "%s: failed too, in the wake of the first failure: %s", jobmanager->label,
            weir_error_message(error));
        weir_error_free(error);
        return;
    }
    remember(jobmanager, error, event);
    weir_error_free(jobmanager->error);
    jobmanager->error = error;
    if (jobmanager->execution.state == EXECUTION_RESTARTING)
        report_restart(jobmanager); /* a restore: there are no tasks to tear down first */
}

void jobmanager_failed(struct jobmanager *jobmanager, weir_error *error, int64_t now_ms)
{
    ASSERT(error != NULL);
    keep_failure(jobmanager, error, NULL,
        execution_failed(&jobmanager->execution, weir_error_code(error),
            weir_error_is_retriable(error), now_ms, os_random()));
}

/* What can be torn down apart changes with where the tasks run. */
static void set_regions(struct jobmanager *jobmanager)
{
    const struct task_gateway *tasks = &jobmanager->options.tasks;
    plan_regions(jobmanager->options.plan, jobmanager->regions);
    if (tasks->regions != NULL)
        tasks->regions(tasks->arg, jobmanager->regions);
    execution_set_regions(&jobmanager->execution, jobmanager->regions);
}

static void task_failed(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    weir_error *error = event->error;
    set_regions(jobmanager);
    event->error = NULL; /* taken */
    ASSERT(error != NULL);
    keep_failure(jobmanager, error, event,
        execution_task_failed(&jobmanager->execution, event->subtask, weir_error_code(error),
            weir_error_is_retriable(error), now_ms, os_random()));
}

/* What the person who asked for a stop has to know: what they have instead. */
static void explain_failed_stop(struct jobmanager *jobmanager)
{
    const struct execution *execution = &jobmanager->execution;
    char holds[160];
    if (storage_is_temporary(jobmanager->options.storage))
        snprintf(holds, sizeof(holds),
            "what was not published yet is lost, there is no "
            "--checkpoints directory");
    else if (jobmanager->stats.last_checkpoint == 0)
        snprintf(holds, sizeof(holds), "no checkpoint is complete: a new start begins anew");
    else
        snprintf(holds, sizeof(holds), "checkpoint %" PRIu64 " holds, a new start goes on from it",
            jobmanager->stats.last_checkpoint);
    if (execution->has_timed_out) {
        weir_error_free(jobmanager->error); /* of a failure that the job has survived */
        jobmanager->error = weir_errorf(WEIR_E_TIMEOUT,
            "the job did not stop in good order within %g s (--stop-timeout); %s",
            (double)execution->options.stop_timeout_ms / 1000, holds);
    } else if (jobmanager->error != NULL) {
        jobmanager->error =
            weir_error_wrap(jobmanager->error, "the job failed while it was stopped; %s", holds);
    }
}

/* -- actions of the execution --------------------------------------------------------------------- */

/* NULL: all of them. */
static const bool *part_of(const struct jobmanager *jobmanager)
{
    const struct execution *execution = &jobmanager->execution;
    return execution_is_partial(execution) ? execution->restarting : NULL;
}

static void tear_down(struct jobmanager *jobmanager, int64_t now_ms)
{
    struct execution *execution = &jobmanager->execution;
    const bool *part = part_of(jobmanager);
    if (jobmanager->has_coordinator)
        jobmanager_carry_out(jobmanager, coordinator_stopped(&jobmanager->coordinator, now_ms),
            now_ms);
    jobmanager->options.tasks.tear_down(jobmanager->options.tasks.arg, part);
    jobmanager->generation += part == NULL;
    jobmanager_forget_restored(jobmanager);
    if (part == NULL) /* else a checkpoint that was asked for is taken when all run again */
        jobmanager_request_lost(jobmanager, 0, "the job was restarted or has ended");
    execution_torn_down(execution, now_ms);
    if (execution->state == EXECUTION_RESTARTING)
        report_restart(jobmanager);
}

static void deploy(struct jobmanager *jobmanager, int64_t now_ms)
{
    const struct jobmanager_options *options = &jobmanager->options;
    struct coordinator_options coordinator = { .interval_ms = options->interval_ms,
        .min_pause_ms = options->min_pause_ms,
        .timeout_ms = options->timeout_ms,
        .aligned_timeout_ms = options->aligned_timeout_ms,
        .subtask_count = options->plan->subtask_count };
    const bool *part = part_of(jobmanager);
    if (jobmanager->has_coordinator && part == NULL)
        coordinator_release(&jobmanager->coordinator);
    if (part == NULL)
        coordinator_init(&jobmanager->coordinator, &coordinator, jobmanager->last_number);
    jobmanager->has_coordinator = true;
    const struct restored *restored = jobmanager->restored;
    struct deployment deployment = {
        .restore = restored != NULL && restored->found ? &restored->metadata : NULL,
        .attempt = storage_attempt(options->storage),
        .instance = jobmanager->instance,
        .last_checkpoint = jobmanager->last_number,
        .subtasks = part,
    };
    weir_error *error = options->tasks.deploy(options->tasks.arg, &deployment);
    if (error != NULL)
        jobmanager_failed(jobmanager, error, now_ms);
}

static void request_last(struct jobmanager *jobmanager, int64_t now_ms)
{
    jobmanager_last_savepoint(jobmanager, now_ms);
    jobmanager_carry_out(jobmanager, coordinator_request(&jobmanager->coordinator, now_ms), now_ms);
}

static void act(struct jobmanager *jobmanager, enum execution_action action, int64_t now_ms)
{
    const struct task_gateway *tasks = &jobmanager->options.tasks;
    switch (action) {
    case EXECUTION_NONE:
        return;
    case EXECUTION_TEAR_DOWN:
        if (jobmanager->execution.state == EXECUTION_FINISHED)
            FAULT_STEP_VOID(FINISH, tear_down(jobmanager, now_ms));
        else
            tear_down(jobmanager, now_ms);
        return;
    case EXECUTION_RESTORE:
        jobmanager_restore(jobmanager, now_ms);
        return;
    case EXECUTION_DEPLOY:
        deploy(jobmanager, now_ms);
        return;
    case EXECUTION_CHECKPOINTS:
        jobmanager->stats.running_since_ms = now_ms;
        jobmanager_forget_restored(jobmanager);
        jobmanager_carry_out(jobmanager, coordinator_running(&jobmanager->coordinator, now_ms),
            now_ms);
        if (jobmanager->is_draining) /* a restart came between */
            tasks->drain(tasks->arg);
        return;
    case EXECUTION_STOP_SOURCES:
        FAULT_STEP_VOID(STOP_SOURCES, tasks->stop(tasks->arg));
        return;
    case EXECUTION_LAST_CHECKPOINT:
        FAULT_STEP_VOID(LAST_CHECKPOINT, request_last(jobmanager, now_ms));
        return;
    case EXECUTION_END:
        if (jobmanager->execution.state == EXECUTION_FINISHED)
            FAULT_RECOVERED();
        if (jobmanager->execution.is_stop_requested &&
            jobmanager->execution.state == EXECUTION_FAILED)
            explain_failed_stop(jobmanager);
        return;
    }
}

static void act_all(struct jobmanager *jobmanager, int64_t now_ms)
{
    enum execution_action action;
    while ((action = execution_take(&jobmanager->execution)) != EXECUTION_NONE)
        act(jobmanager, action, now_ms);
}

/* -- events --------------------------------------------------------------------------------------- */

/* From a task, so only of the tasks that there are now. */
static void on_task_event(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    struct execution *execution = &jobmanager->execution;
    switch (event->kind) {
    case EVENT_RUNNING:
        execution_task_running(execution, event->subtask);
        return;
    case EVENT_ENDED:
        execution_task_ended(execution, event->subtask);
        return;
    case EVENT_ACKED:
        FAULT_STEP_VOID(ACK_RECEIVE, jobmanager_acked(jobmanager, event, now_ms));
        return;
    case EVENT_DECLINED:
        jobmanager_declined(jobmanager, event, now_ms);
        return;
    case EVENT_FAILED:
    case EVENT_STORED:
    case EVENT_RESTORED:
    case EVENT_CHECKED:
    case EVENT_SAVED:
        break;
    }
    ASSERT(false && "an event of a task");
}

/* Of a part that was torn down all is read before it is deployed again: it was posted before, and the inbox keeps its
 * order. So that the tasks are not there now is enough to know. */
static bool is_current(const struct jobmanager *jobmanager, const struct event *event)
{
    return event->generation == jobmanager->generation &&
           execution_has_task(&jobmanager->execution, event->subtask);
}

static void on_event(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    switch (event->kind) {
    case EVENT_STORED:
        jobmanager_stored(jobmanager, event, now_ms);
        break;
    case EVENT_RESTORED:
        jobmanager_restored(jobmanager, event, now_ms);
        break;
    case EVENT_CHECKED:
        jobmanager_checked(jobmanager, event, now_ms);
        break;
    case EVENT_SAVED:
        jobmanager_saved(jobmanager, event);
        break;
    case EVENT_FAILED:
        if (is_current(jobmanager, event))
            task_failed(jobmanager, event, now_ms);
        break;
    case EVENT_RUNNING:
    case EVENT_ENDED:
    case EVENT_ACKED:
    case EVENT_DECLINED:
        if (is_current(jobmanager, event))
            on_task_event(jobmanager, event, now_ms);
        break;
    }
    jobmanager_release_event(event);
}

static void tick_coordinator(struct jobmanager *jobmanager, int64_t now_ms)
{
    struct coordinator_action action;
    while (jobmanager->has_coordinator) {
        action = coordinator_tick(&jobmanager->coordinator, now_ms);
        if (action.kind == COORDINATOR_NONE)
            return;
        jobmanager_carry_out(jobmanager, action, now_ms);
    }
}

static void look_at_publishing(struct jobmanager *jobmanager)
{
    const struct task_gateway *tasks = &jobmanager->options.tasks;
    uint64_t wanted = execution_to_publish(&jobmanager->execution);
    if (wanted > 0 && tasks->has_published(tasks->arg, wanted))
        execution_published(&jobmanager->execution, wanted);
}

void jobmanager_start(struct jobmanager *jobmanager, int64_t now_ms)
{
    execution_start(&jobmanager->execution, now_ms);
}

bool jobmanager_step(struct jobmanager *jobmanager, int64_t now_ms)
{
    struct execution *execution = &jobmanager->execution;
    struct event event;
    act_all(jobmanager, now_ms);
    while (inbox_take(jobmanager->inbox, &event)) {
        on_event(jobmanager, &event, now_ms);
        act_all(jobmanager, now_ms);
    }
    execution_tick(execution, now_ms);
    look_at_publishing(jobmanager);
    act_all(jobmanager, now_ms);
    tick_coordinator(jobmanager, now_ms);
    act_all(jobmanager, now_ms);
    jobmanager->stats.state = execution->state;
    if (!jobmanager->coordinator.is_running)
        jobmanager->stats.running_since_ms = 0;
    jobmanager->stats.restarts = execution->restart_count;
    ASSERT(execution->todo == 0);
    return !execution_is_over(execution);
}

int64_t jobmanager_deadline_ms(const struct jobmanager *jobmanager)
{
    int64_t deadline = execution_deadline_ms(&jobmanager->execution);
    if (jobmanager->has_coordinator) {
        int64_t at_ms = coordinator_deadline_ms(&jobmanager->coordinator);
        deadline = os_earlier(at_ms, deadline);
    }
    if (execution_to_publish(&jobmanager->execution) > 0) {
        int64_t at_ms = os_monotonic_ms() + PUBLISHED_POLL_MS;
        deadline = os_earlier(at_ms, deadline);
    }
    return deadline;
}

void jobmanager_stop(struct jobmanager *jobmanager, int64_t now_ms)
{
    execution_stop(&jobmanager->execution, false, now_ms);
}

void jobmanager_cancel(struct jobmanager *jobmanager)
{
    execution_cancel(&jobmanager->execution);
}

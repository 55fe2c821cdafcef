/* rest_job.c -- jobs: the list, one, its failures. To a dashboard of 2.3 each is an application, too, with its id.
 *
 * A job that is not planned yet has no vertices; its documents have all their fields nevertheless.
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <stdio.h>

static int64_t last_change_ms(const struct job *job)
{
    int64_t newest_ms = job->start_ms;
    for (uint32_t i = 0; i < JOB_STATE_COUNT; i++)
        if (job->entered_ms[i] > newest_ms)
            newest_ms = job->entered_ms[i];
    return newest_ms;
}

/* start-time, end-time, duration of a job: from when it was taken in. */
static void put_job_times(struct call *call, const struct job *job)
{
    json_put_int(&call->json, "start-time", job->start_ms);
    json_put_int(&call->json, "end-time", rest_end_ms(job));
    json_put_int(&call->json, "duration", rest_duration_ms(call, job->start_ms, rest_end_ms(job)));
}

void rest_jobs(struct call *call)
{
    json_put_object(&call->json, NULL);
    json_put_array(&call->json, "jobs");
    for (uint32_t i = 0; i < dispatcher_job_count(call->dispatcher); i++) {
        const struct job *job = dispatcher_job(call->dispatcher, i);
        json_put_object(&call->json, NULL);
        json_put_text(&call->json, "id", job->id);
        json_put_text(&call->json, "status", job_state_name(job->state));
        json_put_end(&call->json);
    }
    json_put_end(&call->json);
    json_put_end(&call->json);
}

static void put_details(struct call *call, const struct job *job)
{
    struct json *json = &call->json;
    json_put_object(json, NULL);
    json_put_text(json, "jid", job->id);
    json_put_text(json, "name", rest_job_name(job));
    put_job_times(call, job);
    json_put_text(json, "state", job_state_name(job->state));
    json_put_int(json, "last-modification", last_change_ms(job));
    struct states states = rest_job_states(job);
    rest_put_states(call, "tasks", &states, true);
    json_put_text(json, "jobType", "STREAMING");
    json_put_text(json, "schedulerType", "Default");
    json_put_int(json, "pending-operators", 0);
    json_put_uint(json, "slots-required", job->plan == NULL ? 0 : plan_slot_count(job->plan));
    json_put_end(json);
}

void rest_jobs_overview(struct call *call)
{
    json_put_object(&call->json, NULL);
    json_put_array(&call->json, "jobs");
    for (uint32_t i = 0; i < dispatcher_job_count(call->dispatcher); i++)
        put_details(call, dispatcher_job(call->dispatcher, i));
    json_put_end(&call->json);
    json_put_end(&call->json);
}

/* Of an application Flink knows fewer states: it runs as long as it can be cancelled. */
static const char *application_state(enum job_state state)
{
    bool is_new = state == JOB_INITIALIZING;
    bool is_lasting = state == JOB_RESTARTING || state == JOB_SUSPENDED || state == JOB_RECONCILING;
    return job_state_name(is_new ? JOB_CREATED : is_lasting ? JOB_RUNNING : state);
}

static void put_application(struct call *call, const struct job *job)
{
    json_put_text(&call->json, "id", job->id);
    json_put_text(&call->json, "name", rest_job_name(job));
    put_job_times(call, job);
    json_put_text(&call->json, "status", application_state(job->state));
}

void rest_applications(struct call *call)
{
    struct json *json = &call->json;
    json_put_object(json, NULL);
    json_put_array(json, "applications");
    for (uint32_t i = 0; i < dispatcher_job_count(call->dispatcher); i++) {
        const struct job *job = dispatcher_job(call->dispatcher, i);
        json_put_object(json, NULL);
        put_application(call, job);
        json_put_object(json, "jobs");
        for (uint32_t state = 0; state < JOB_STATE_COUNT; state++)
            json_put_int(json, job_state_name(state), state == job->state);
        json_put_end(json);
        json_put_end(json);
    }
    json_put_end(json);
    json_put_end(json);
}

static void put_timestamps(struct json *json, const struct job *job)
{
    json_put_object(json, "timestamps");
    for (uint32_t state = 0; state < JOB_STATE_COUNT; state++)
        json_put_int(json, job_state_name(state), job->entered_ms[state]);
    json_put_end(json);
}

void rest_application(struct call *call)
{
    struct json *json = &call->json;
    json_put_object(json, NULL);
    put_application(call, call->job);
    put_timestamps(json, call->job);
    json_put_array(json, "jobs");
    put_details(call, call->job);
    json_put_end(json);
    json_put_end(json);
}

/* -- one job -------------------------------------------------------------------------------- */

static void put_vertex(struct call *call, uint32_t index)
{
    const struct job *job = call->job;
    const struct plan_vertex *vertex = &job->plan->vertices[index];
    struct json *json = &call->json;
    char id[DISPATCHER_ID_SIZE];
    struct subtask *list = rest_subtasks(call, index);
    struct states states = rest_vertex_states(job, index);
    dispatcher_vertex_id(job->plan, index, id);
    json_put_object(json, NULL);
    json_put_text(json, "id", id);
    json_put_printf(json, "slotSharingGroupId", "%032x", vertex->slot_group);
    json_put_text(json, "name", vertex->name);
    json_put_uint(json, "maxParallelism", job->plan->max_parallelism);
    json_put_uint(json, "parallelism", vertex->parallelism);
    json_put_text(json, "status", vertex_state_name(rest_state_of(&states)));
    rest_put_times(call, job);
    rest_put_states(call, "tasks", &states, false);
    rest_put_io(call, list, vertex->parallelism);
    json_put_end(json);
    mem_free(list);
}

void rest_job(struct call *call)
{
    const struct job *job = call->job;
    struct json *json = &call->json;
    json_put_object(json, NULL);
    json_put_text(json, "jid", job->id);
    json_put_text(json, "application-id", job->id);
    json_put_text(json, "name", rest_job_name(job));
    json_put_bool(json, "isStoppable", false);
    json_put_text(json, "state", job_state_name(job->state));
    json_put_text(json, "job-type", "STREAMING");
    put_job_times(call, job);
    json_put_int(json, "maxParallelism",
        job->plan == NULL ? -1 : (int64_t)job->plan->max_parallelism);
    json_put_int(json, "now", call->now_ms);
    put_timestamps(json, job);
    json_put_array(json, "vertices");
    for (uint32_t i = 0; job->plan != NULL && i < job->plan->vertex_count; i++)
        put_vertex(call, i);
    json_put_end(json);
    struct states states = rest_job_states(job);
    rest_put_states(call, "status-counts", &states, false);
    rest_put_plan(call, "plan", job);
    json_put_text(json, "schedulerType", "Default");
    json_put_int(json, "pending-operators", 0);
    json_put_end(json);
}

void rest_job_status(struct call *call)
{
    json_put_object(&call->json, NULL);
    json_put_text(&call->json, "status", job_state_name(call->job->state));
    json_put_end(&call->json);
}

void rest_job_plan(struct call *call)
{
    json_put_object(&call->json, NULL);
    rest_put_plan(call, "plan", call->job);
    json_put_end(&call->json);
}

void rest_job_explain(struct call *call)
{
    if (call->job->plan == NULL) {
        rest_error(call, 404, "Job %s has no plan", call->job->id);
        return;
    }
    call->reply->type = REST_TYPE_TEXT;
    explain_text(call->job->plan, call->reply->body);
}

/* -- configuration -------------------------------------------------------------------------- */

static void put_strategy(struct json *json, const struct restart_options *restart)
{
    if (restart->kind == RESTART_NONE)
        json_put_text(json, "restart-strategy", "Cluster level default restart strategy: none");
    else if (restart->kind == RESTART_FIXED)
        json_put_printf(json, "restart-strategy",
            "Restart with fixed delay (%lld ms). #%u restart attempts.",
            (long long)restart->delay_ms, restart->attempts_max);
    else
        json_put_printf(json, "restart-strategy",
            "Restart with exponential delay (from %lld ms, x %.2f, up to %lld ms).",
            (long long)restart->delay_ms, restart->multiplier_percent / 100.0,
            (long long)restart->delay_max_ms);
}

void rest_job_config(struct call *call)
{
    static const struct restart_options fallback = RESTART_DEFAULT;
    const struct job *job = call->job;
    struct json *json = &call->json;
    uint32_t parallelism = 0;
    for (uint32_t i = 0; job->plan != NULL && i < job->plan->vertex_count; i++)
        if (job->plan->vertices[i].parallelism > parallelism)
            parallelism = job->plan->vertices[i].parallelism;
    json_put_object(json, NULL);
    json_put_text(json, "jid", job->id);
    json_put_text(json, "name", rest_job_name(job));
    json_put_object(json, "execution-config");
    json_put_text(json, "execution-mode", "PIPELINED");
    put_strategy(json, job->spec == NULL ? &fallback : &job->spec->restart);
    json_put_int(json, "job-parallelism", parallelism == 0 ? -1 : (int64_t)parallelism);
    json_put_bool(json, "object-reuse-mode", true);
    json_put_object(json, "user-config");
    json_put_text(json, "executable", job->digest == NULL ? "" : job->digest);
    for (uint32_t i = 0; i < job->argument_count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "argument %u", i + 1);
        json_put_text(json, name, job->arguments[i]);
    }
    json_put_end(json);
    json_put_end(json);
    json_put_end(json);
}

/* -- failures ------------------------------------------------------------------------------- */

/* Flink's map of what is known of a failure: ours says when it was not the whole job's. */
static void put_labels(struct json *json, const struct history_failure *it, const struct plan *plan)
{
    json_put_object(json, "failureLabels");
    if (plan != NULL && it->task_count > 0 && it->task_count < plan->subtask_count)
        json_put_printf(json, "restarted-tasks", "%u of %u", it->task_count, plan->subtask_count);
    json_put_end(json);
}

static void put_failure(struct json *json, const struct history_failure *it, const struct job *job)
{
    json_put_object(json, NULL);
    json_put_text(json, "jobId", job->id);
    json_put_text(json, "exceptionName", weir_code_name(it->code));
    json_put_text(json, "stacktrace", it->text);
    json_put_int(json, "timestamp", it->at_ms);
    put_labels(json, it, job->plan);
    if (it->vertex != NULL)
        json_put_printf(json, "taskName", "%s - subtask %u (attempt %llu)", it->vertex,
            it->subtask + 1, (unsigned long long)it->attempt);
    else if (it->place != NULL)
        json_put_printf(json, "taskName", "one of the tasks on %s (attempt %llu)", it->place,
            (unsigned long long)it->attempt);
    if (it->place != NULL) {
        json_put_text(json, "endpoint", it->place);
        json_put_text(json, "location", it->place);
        json_put_text(json, "taskManagerId", it->place);
    }
    json_put_array(json, "concurrentExceptions");
    json_put_end(json);
    json_put_end(json);
}

/* No failure: nothing of the job has restarted because of it, and it is not among those that count. But whoever looks why
 * records were done twice, or not for a while, looks here. */
static void put_takeover(struct json *json, const struct history_takeover *it)
{
    json_put_object(json, NULL);
    json_put_text(json, "exceptionName", "JobManagerChanged");
    if (it->restored == 0)
        json_put_printf(json, "stacktrace",
            "The job manager has changed: the leader of epoch %llu has taken the job over.",
            (unsigned long long)it->epoch);
    else
        json_put_printf(json, "stacktrace",
            "The job manager has changed: the leader of epoch %llu has taken the job over, from "
            "checkpoint %llu.",
            (unsigned long long)it->epoch, (unsigned long long)it->restored);
    json_put_int(json, "timestamp", it->at_ms);
    json_put_object(json, "failureLabels");
    json_put_end(json);
    json_put_array(json, "concurrentExceptions");
    json_put_end(json);
    json_put_end(json);
}

/* Of a job or its application: as many as are kept, those that ended attempts first; a job that never ran has only its
 * error. Behind them, for it came before them, how the job has come to this job manager. */
void rest_job_exceptions(struct call *call)
{
    const struct job *job = call->job;
    struct json *json = &call->json;
    struct history_failure only = { .text = NULL };
    if (job->error != NULL)
        only = (struct history_failure){ .text = (char *)(uintptr_t)weir_error_message(job->error),
            .code = weir_error_code(job->error),
            .at_ms = job->state == JOB_SUSPENDED ? job->entered_ms[JOB_SUSPENDED] : job->end_ms };
    const struct history_failure *newest = history_failure(&job->history, 0);
    if (newest == NULL && only.text != NULL)
        newest = &only;
    const char *asked = rest_query(call, "maxExceptions");
    uint64_t count = asked == NULL ? UINT64_MAX : rest_number(asked, HISTORY_FAILURES);
    bool is_truncated =
        job->history.failure_count > (count < HISTORY_FAILURES ? count : HISTORY_FAILURES);
    json_put_object(json, NULL);
    json_put_text(json, "root-exception", newest == NULL ? NULL : newest->text);
    if (newest == NULL)
        json_put_null(json, "timestamp");
    else
        json_put_int(json, "timestamp", newest->at_ms);
    json_put_array(json, "all-exceptions");
    json_put_end(json);
    json_put_bool(json, "truncated", is_truncated);
    json_put_object(json, "exceptionHistory");
    json_put_array(json, "entries");
    const struct history_failure *it = newest;
    uint32_t i = 0;
    for (; it != NULL && i < count; it = history_failure(&job->history, ++i))
        put_failure(json, it, job);
    if (job->history.takeover.at_ms > 0 && i < count)
        put_takeover(json, &job->history.takeover);
    json_put_end(json);
    json_put_bool(json, "truncated", is_truncated);
    json_put_end(json);
    json_put_end(json);
}

void rest_job_accumulators(struct call *call)
{
    json_put_object(&call->json, NULL);
    json_put_array(&call->json, "job-accumulators");
    json_put_end(&call->json);
    json_put_array(&call->json, "user-task-accumulators");
    json_put_end(&call->json);
    json_put_object(&call->json, "serialized-user-task-accumulators");
    json_put_end(&call->json);
    json_put_end(&call->json);
}

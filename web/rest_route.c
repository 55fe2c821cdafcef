/* rest_route.c -- see rest_route.h. */
#include "web/rest_route.h"

#include <string.h>

#define JOB         "/jobs/:job"
#define VERTEX      JOB "/vertices/:vertex"
#define APPLICATION "/applications/:job"

const struct route rest_routes[] = {
    { "GET", "/config", rest_config, 'A', false },
    { "GET", "/overview", rest_overview, 'B', false },
    { "GET", "/jobs", rest_jobs, 'B', false },
    { "POST", "/jobs", rest_submit, 'W', true },
    { "GET", "/jobs/overview", rest_jobs_overview, 'A', false },
    { "GET", "/applications/overview", rest_applications, 'B', false },
    { "GET", APPLICATION, rest_application, 'B', false },
    { "GET", APPLICATION "/exceptions", rest_job_exceptions, 'B', false },
    { "POST", APPLICATION "/cancel", rest_cancel, 'B', true },
    { "GET", JOB, rest_job, 'A', false },
    { "PATCH", JOB, rest_cancel, 'L', true },
    { "GET", JOB "/yarn-cancel", rest_cancel, 'B', true },
    { "GET", JOB "/status", rest_job_status, 'L', false },
    { "GET", JOB "/config", rest_job_config, 'B', false },
    { "GET", JOB "/exceptions", rest_job_exceptions, 'A', false },
    { "GET", JOB "/plan", rest_job_plan, 'B', false },
    { "GET", JOB "/explain", rest_job_explain, 'W', false },
    { "GET", JOB "/accumulators", rest_job_accumulators, 'C', false },
    { "GET", JOB "/metrics", rest_metrics_job, 'B', false },
    { "GET", JOB "/checkpoints", rest_checkpoints, 'B', false },
    { "POST", JOB "/checkpoints", rest_checkpoint_trigger, 'L', true },
    { "GET", JOB "/checkpoints/config", rest_checkpoint_config, 'B', false },
    { "GET", JOB "/checkpoints/details/:number", rest_checkpoint, 'B', false },
    { "GET", JOB "/checkpoints/details/:number/subtasks/:vertex", rest_checkpoint_vertex, 'B',
        false },
    { "GET", JOB "/checkpoints/:trigger", rest_operation_checkpoint, 'L', false },
    { "POST", JOB "/savepoints", rest_savepoint, 'L', true },
    { "GET", JOB "/savepoints/:trigger", rest_operation_savepoint, 'L', false },
    { "POST", JOB "/stop", rest_stop, 'L', true },
    { "PATCH", JOB "/rescaling", rest_rescale, 'W', true },
    { "GET", JOB "/rescaling/:trigger", rest_operation_rescale, 'W', false },
    { "POST", "/savepoint-disposal", rest_dispose, 'L', true },
    { "GET", "/savepoint-disposal/:trigger", rest_operation_dispose, 'L', false },
    { "GET", VERTEX, rest_vertex, 'B', false },
    { "GET", VERTEX "/subtasktimes", rest_vertex_times, 'B', false },
    { "GET", VERTEX "/taskmanagers", rest_vertex_taskmanagers, 'B', false },
    { "GET", VERTEX "/backpressure", rest_vertex_backpressure, 'B', false },
    { "GET", VERTEX "/watermarks", rest_vertex_watermarks, 'B', false },
    { "GET", VERTEX "/metrics", rest_metrics_vertex, 'B', false },
    { "GET", VERTEX "/accumulators", rest_vertex_accumulators, 'C', false },
    { "GET", VERTEX "/flamegraph", rest_vertex_flamegraph, 'D', false },
    { "GET", VERTEX "/subtasks/accumulators", rest_vertex_subtask_accumulators, 'C', false },
    { "GET", VERTEX "/subtasks/metrics", rest_metrics_subtasks, 'B', false },
    { "GET", VERTEX "/subtasks/:subtask", rest_subtask_of, 'C', false },
    { "GET", VERTEX "/subtasks/:subtask/metrics", rest_metrics_subtask, 'C', false },
    { "GET", "/taskmanagers", rest_taskmanagers, 'B', false },
    { "GET", "/taskmanagers/:text", rest_taskmanager, 'B', false },
    { "GET", "/taskmanagers/:text/metrics", rest_metrics_taskmanager, 'B', false },
    { "GET", "/taskmanagers/:text/logs", rest_taskmanager_logs, 'C', false },
    { "GET", "/taskmanagers/:text/logs/:name", rest_taskmanager_log_named, 'C', false },
    { "GET", "/taskmanagers/:text/log", rest_taskmanager_log, 'C', false },
    { "GET", "/taskmanagers/:text/stdout", rest_taskmanager_stdout, 'C', false },
    { "GET", "/taskmanagers/:text/thread-dump", rest_taskmanager_threads, 'C', false },
    { "GET", "/jobmanager/logs", rest_jobmanager_logs, 'C', false },
    { "GET", "/jobmanager/logs/:text", rest_jobmanager_log_named, 'C', false },
    { "GET", "/jobmanager/log", rest_jobmanager_log, 'C', false },
    { "GET", "/jobmanager/stdout", rest_jobmanager_stdout, 'C', false },
    { "GET", "/jobmanager/thread-dump", rest_jobmanager_threads, 'C', false },
    { "GET", "/jobmanager/config", rest_jobmanager_config, 'C', false },
    { "GET", "/jobmanager/environment", rest_jobmanager_environment, 'C', false },
    { "GET", "/jobmanager/metrics", rest_metrics_cluster, 'C', false },
    { "GET", "/metrics", rest_metrics_prometheus, 'B', false },
    { "PUT", "/blobs/:digest", rest_blob_put, 'W', true },
    { "GET", "/blobs/:digest", rest_blob_get, 'W', true },
};
const uint32_t rest_route_count = sizeof(rest_routes) / sizeof(rest_routes[0]);

bool rest_route_cut(char *path, struct segments *segments)
{
    segments->count = 0;
    for (char *at = path; at != NULL && *at != '\0';) {
        if (*at == '/')
            *at++ = '\0';
        if (*at == '\0')
            break;
        if (segments->count == ROUTE_SEGMENTS_MAX)
            return false;
        segments->list[segments->count++] = at;
        at = strchr(at, '/');
    }
    return true;
}

/* Does the front of the pattern, "/word" or "/:parameter", fit the segment? Moves behind it. */
static bool piece_fits(const char **pattern, const char *segment)
{
    const char *begin = *pattern + 1;
    size_t size = strcspn(begin, "/");
    *pattern = begin + size;
    return *begin == ':' || (strlen(segment) == size && memcmp(segment, begin, size) == 0);
}

static bool route_fits(const char *pattern, const struct segments *segments)
{
    for (uint32_t i = 0; i < segments->count; i++)
        if (*pattern == '\0' || !piece_fits(&pattern, segments->list[i]))
            return false;
    return *pattern == '\0';
}

const struct route *rest_route_find(const char *method, const struct segments *segments)
{
    for (uint32_t i = 0; i < rest_route_count; i++) {
        const struct route *it = &rest_routes[i];
        if (strcmp(it->method, method) == 0 && route_fits(it->pattern, segments))
            return it;
    }
    return NULL;
}

/* -- parameters ----------------------------------------------------------------------------- */

static bool resolve_job(struct call *call, const char *id, bool may_be_gone)
{
    if (!rest_is_hex(id, DISPATCHER_ID_SIZE - 1)) {
        rest_error(call, 400, "A job id has 32 hexadecimal digits.");
        return false;
    }
    call->job_id = id;
    call->job = dispatcher_find(call->dispatcher, id);
    if (call->job == NULL && !may_be_gone)
        rest_error(call, 404, "Job %s not found", id);
    return call->job != NULL || may_be_gone;
}

static bool resolve_vertex(struct call *call, const char *id)
{
    char candidate[DISPATCHER_ID_SIZE];
    const struct plan *plan = call->job->plan;
    for (uint32_t i = 0; plan != NULL && i < plan->vertex_count; i++) {
        dispatcher_vertex_id(plan, i, candidate);
        if (strcmp(id, candidate) == 0) {
            call->vertex = i;
            return true;
        }
    }
    rest_error(call, 404, "Job %s has no such vertex", call->job->id);
    return false;
}

static bool resolve_subtask(struct call *call, const char *text)
{
    uint64_t index = rest_number(text, call->job->plan->vertices[call->vertex].parallelism - 1);
    if (index == UINT64_MAX)
        rest_error(call, 404, "The vertex has no such subtask");
    call->subtask = (uint32_t)index;
    return index != UINT64_MAX;
}

static bool resolve_hex(struct call *call, const char *text, size_t size, const char **to)
{
    if (!rest_is_hex(text, size))
        rest_error(call, 400, "An id has %zu hexadecimal digits.", size);
    *to = text;
    return rest_is_hex(text, size);
}

static bool resolve_number(struct call *call, const char *text)
{
    call->number = rest_number(text, INT64_MAX);
    if (call->number == UINT64_MAX)
        rest_error(call, 400, "The path needs a number.");
    return call->number != UINT64_MAX;
}

static bool resolve(struct call *call, const struct route *route, const char *name,
    const char *segment)
{
    /* By the first letters, which tell them apart. */
    if (strncmp(name, ":job", 4) == 0)
        return resolve_job(call, segment, strstr(route->pattern, ":trigger") != NULL);
    if (strncmp(name, ":vertex", 7) == 0)
        return resolve_vertex(call, segment);
    if (strncmp(name, ":subtask", 8) == 0)
        return resolve_subtask(call, segment);
    if (strncmp(name, ":trigger", 8) == 0)
        return resolve_hex(call, segment, DISPATCHER_ID_SIZE - 1, &call->trigger);
    if (strncmp(name, ":digest", 7) == 0)
        return resolve_hex(call, segment, 64, &call->digest);
    if (strncmp(name, ":number", 7) == 0)
        return resolve_number(call, segment);
    if (strncmp(name, ":name", 5) == 0)
        call->name = segment;
    else
        call->text = segment;
    return true;
}

bool rest_route_resolve(const struct route *route, const struct segments *segments,
    struct call *call)
{
    const char *pattern = route->pattern;
    for (uint32_t i = 0; i < segments->count; i++) {
        const char *name = pattern + 1;
        if (*name == ':' && !resolve(call, route, name, segments->list[i]))
            return false;
        (void)piece_fits(&pattern, segments->list[i]);
    }
    return true;
}

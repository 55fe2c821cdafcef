/* rest_vertex.c -- one vertex of a job: its subtasks, where they are, how busy they are.
 *
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/memory.h"

#include <string.h>

static uint32_t parallelism(const struct call *call)
{
    return call->job->plan->vertices[call->vertex].parallelism;
}

/* {"id", "name", "now": what begins the documents of a vertex. */
static void begin(struct call *call)
{
    char id[DISPATCHER_ID_SIZE];
    dispatcher_vertex_id(call->job->plan, call->vertex, id);
    json_put_object(&call->json, NULL);
    json_put_text(&call->json, "id", id);
    json_put_text(&call->json, "name", call->job->plan->vertices[call->vertex].name);
    json_put_int(&call->json, "now", call->now_ms);
}

/* Flink's word for nowhere: not yet, or no more. */
static const char *or_unassigned(const char *text)
{
    return *text == '\0' ? "(unassigned)" : text;
}

static void put_place(struct call *call, const struct subtask *it)
{
    json_put_text(&call->json, "host", or_unassigned(it->host));
    if (*it->host == '\0')
        json_put_text(&call->json, "endpoint", or_unassigned(it->host));
    else
        json_put_printf(&call->json, "endpoint", "%s:%u", it->host, it->port);
}

static void put_members(struct call *call, const struct subtask *it)
{
    struct json *json = &call->json;
    json_put_uint(json, "subtask", it->index);
    json_put_text(json, "status", vertex_state_name(it->state));
    json_put_uint(json, "attempt", it->attempt);
    put_place(call, it);
    rest_put_times(call, call->job);
    json_put_int(json, "start_time", rest_start_ms(call->job));
    rest_put_io(call, it, 1);
    json_put_text(json, "taskmanager-id", or_unassigned(it->task_manager));
    rest_put_durations(call);
}

void rest_vertex(struct call *call)
{
    uint32_t count = parallelism(call);
    struct subtask *list = rest_subtasks(call, call->vertex);
    begin(call);
    json_put_uint(&call->json, "parallelism", count);
    json_put_uint(&call->json, "maxParallelism", call->job->plan->max_parallelism);
    json_put_array(&call->json, "subtasks");
    for (uint32_t i = 0; i < count; i++) {
        json_put_object(&call->json, NULL);
        put_members(call, &list[i]);
        json_put_end(&call->json);
    }
    json_put_end(&call->json);
    rest_put_aggregated(call, list, count);
    json_put_end(&call->json);
    mem_free(list);
}

void rest_subtask_of(struct call *call)
{
    struct subtask it = rest_subtask(call->job, call->vertex, call->subtask);
    json_put_object(&call->json, NULL);
    put_members(call, &it);
    json_put_end(&call->json);
}

void rest_vertex_times(struct call *call)
{
    int64_t start_ms = rest_start_ms(call->job);
    begin(call);
    json_put_array(&call->json, "subtasks");
    for (uint32_t i = 0; i < parallelism(call); i++) {
        struct subtask it = rest_subtask(call->job, call->vertex, i);
        json_put_object(&call->json, NULL);
        json_put_uint(&call->json, "subtask", i);
        put_place(call, &it);
        json_put_int(&call->json, "duration",
            rest_duration_ms(call, start_ms, rest_end_ms(call->job)));
        json_put_object(&call->json, "timestamps");
        for (uint32_t state = 0; state < VERTEX_COUNT; state++) {
            int64_t at_ms = state == VERTEX_CREATED   ? call->job->entered_ms[JOB_CREATED]
                            : state == VERTEX_RUNNING ? call->job->entered_ms[JOB_RUNNING]
                            : state == it.state       ? call->job->entered_ms[call->job->state]
                                                      : 0;
            json_put_int(&call->json, vertex_state_name(state), at_ms);
        }
        json_put_end(&call->json);
        json_put_end(&call->json);
    }
    json_put_end(&call->json);
    json_put_end(&call->json);
}

static void put_taskmanager(struct call *call, const struct subtask *list, uint32_t count)
{
    struct states states = rest_states(call->job, list->vertex->first_subtask + list->index, count);
    json_put_object(&call->json, NULL);
    put_place(call, list);
    json_put_text(&call->json, "status", vertex_state_name(rest_state_of(&states)));
    rest_put_times(call, call->job);
    rest_put_io(call, list, count);
    rest_put_states(call, "status-counts", &states, false);
    json_put_text(&call->json, "taskmanager-id", or_unassigned(list->task_manager));
    rest_put_aggregated(call, list, count);
    json_put_end(&call->json);
}

/* Subtasks of one task manager stand together, as slots are given: a run of them is one entry. */
void rest_vertex_taskmanagers(struct call *call)
{
    uint32_t count = parallelism(call), end;
    struct subtask *list = rest_subtasks(call, call->vertex);
    begin(call);
    json_put_array(&call->json, "taskmanagers");
    for (uint32_t i = 0; i < count; i = end) {
        for (end = i + 1; end < count; end++)
            if (strcmp(list[end].task_manager, list[i].task_manager) != 0)
                break;
        put_taskmanager(call, &list[i], end - i);
    }
    json_put_end(&call->json);
    json_put_end(&call->json);
    mem_free(list);
}

/* -- how busy ------------------------------------------------------------------------------- */

static void put_level(struct json *json, double ratio)
{
    const char *level = ratio <= 0.10 ? "ok" : ratio <= 0.50 ? "low" : "high";
    json_put_text(json, "backpressureLevel", level);
    json_put_text(json, "backpressure-level", level);
}

void rest_vertex_backpressure(struct call *call)
{
    uint32_t count = parallelism(call);
    struct subtask *list = rest_subtasks(call, call->vertex);
    double worst = 0;
    for (uint32_t i = 0; i < count; i++)
        if (list[i].rate.backpressured_ms / 1000 > worst)
            worst = list[i].rate.backpressured_ms / 1000;
    json_put_object(&call->json, NULL);
    json_put_text(&call->json, "status", call->job->gateway == NULL ? "deprecated" : "ok");
    put_level(&call->json, worst);
    json_put_int(&call->json, "end-timestamp", call->now_ms);
    json_put_array(&call->json, "subtasks");
    for (uint32_t i = 0; i < count; i++) {
        const struct rate *rate = &list[i].rate;
        json_put_object(&call->json, NULL);
        json_put_uint(&call->json, "subtask", i);
        json_put_uint(&call->json, "attempt-number", list[i].attempt);
        put_level(&call->json, rate->backpressured_ms / 1000);
        json_put_real(&call->json, "ratio", rate->backpressured_ms / 1000);
        json_put_real(&call->json, "idleRatio", rate->idle_ms / 1000);
        json_put_real(&call->json, "busyRatio", rate->busy_ms / 1000);
        json_put_end(&call->json);
    }
    json_put_end(&call->json);
    json_put_end(&call->json);
    mem_free(list);
}

void rest_vertex_watermarks(struct call *call)
{
    json_put_array(&call->json, NULL);
    for (uint32_t i = 0; call->job->gateway != NULL && i < parallelism(call); i++) {
        struct subtask it = rest_subtask(call->job, call->vertex, i);
        json_put_object(&call->json, NULL);
        json_put_printf(&call->json, "id", "%u.currentInputWatermark", i);
        json_put_printf(&call->json, "value", "%lld", (long long)it.metrics.watermark_ms);
        json_put_end(&call->json);
    }
    json_put_end(&call->json);
}

/* -- what Weir has not, as Flink says that there is nothing --------------------------------- */

void rest_vertex_accumulators(struct call *call)
{
    char id[DISPATCHER_ID_SIZE];
    dispatcher_vertex_id(call->job->plan, call->vertex, id);
    json_put_object(&call->json, NULL);
    json_put_text(&call->json, "id", id);
    json_put_array(&call->json, "user-accumulators");
    json_put_end(&call->json);
    json_put_end(&call->json);
}

void rest_vertex_subtask_accumulators(struct call *call)
{
    char id[DISPATCHER_ID_SIZE];
    dispatcher_vertex_id(call->job->plan, call->vertex, id);
    json_put_object(&call->json, NULL);
    json_put_text(&call->json, "id", id);
    json_put_uint(&call->json, "parallelism", parallelism(call));
    json_put_array(&call->json, "subtasks");
    json_put_end(&call->json);
    json_put_end(&call->json);
}

void rest_vertex_flamegraph(struct call *call)
{
    json_put_object(&call->json, NULL);
    json_put_int(&call->json, "endTimestamp", -2);
    json_put_null(&call->json, "data");
    json_put_end(&call->json);
}

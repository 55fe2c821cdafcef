/* rest_subtask.c -- subtasks as Flink shows them: one by one, and what is said of several.
 *
 * Flink counts what came over an edge, so a source has read nothing, whatever came from outside.
 * Prefixes: rest_, vertex_state_ */
#include "web/rest_private.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = { "CREATED", "SCHEDULED", "DEPLOYING", "RUNNING",
    "FINISHED", "CANCELING", "CANCELED", "FAILED", "RECONCILING", "INITIALIZING" };
static const char *const lower_names[] = { "created", "scheduled", "deploying", "running",
    "finished", "canceling", "canceled", "failed", "reconciling", "initializing" };

const char *vertex_state_name(enum vertex_state state)
{
    return state_names[state];
}

/* Its worker has been given it: when only some have, a region restarts. */
static bool is_there(const struct job *job, uint32_t subtask)
{
    uint32_t worker = gateway_worker_of(job->gateway, subtask);
    return worker != UINT32_MAX && gateway_worker(job->gateway, worker)->is_deployed;
}

static enum vertex_state state_of_task(const struct job *job, uint32_t subtask)
{
    if (job->gateway == NULL)
        return VERTEX_CREATED;
    switch (gateway_state(job->gateway)) {
    case GATEWAY_IDLE:
        return VERTEX_CREATED;
    case GATEWAY_WAITING:
        return VERTEX_SCHEDULED;
    case GATEWAY_STARTING:
        if (!is_there(job, subtask))
            return VERTEX_DEPLOYING;
        break;
    case GATEWAY_DEPLOYED:
        if (!is_there(job, subtask))
            return VERTEX_SCHEDULED;
        break;
    }
    enum task_state state = gateway_task_state(job->gateway, subtask);
    return state == TASK_CREATED  ? VERTEX_INITIALIZING
           : state == TASK_FAILED ? VERTEX_FAILED
           : state == TASK_ENDED  ? VERTEX_FINISHED
                                  : VERTEX_RUNNING;
}

/* The one that has failed, as far as the failure names one; the others went with it. */
static enum vertex_state state_of_failed(const struct job *job, uint32_t subtask)
{
    const struct history_failure *failure = history_failure(&job->history, 0);
    for (uint32_t i = 0; failure != NULL && failure->vertex != NULL && i < job->plan->vertex_count;
         i++) {
        const struct plan_vertex *vertex = &job->plan->vertices[i];
        if (strcmp(vertex->name, failure->vertex) == 0)
            return subtask == vertex->first_subtask + failure->subtask ? VERTEX_FAILED
                                                                       : VERTEX_CANCELED;
    }
    return VERTEX_FAILED;
}

static enum vertex_state state_of_ending(const struct job *job, uint32_t subtask)
{
    enum vertex_state state = state_of_task(job, subtask);
    return state == VERTEX_FAILED || state == VERTEX_FINISHED ? state : VERTEX_CANCELING;
}

static enum vertex_state state_of(const struct job *job, uint32_t subtask)
{
    switch (job->state) {
    case JOB_FAILED:
        return state_of_failed(job, subtask);
    case JOB_CANCELED:
        return VERTEX_CANCELED;
    case JOB_FINISHED:
        return VERTEX_FINISHED;
    case JOB_FAILING:
    case JOB_CANCELLING:
        return state_of_ending(job, subtask);
    case JOB_SUSPENDED:
    case JOB_RECONCILING:
        return VERTEX_RECONCILING;
    case JOB_INITIALIZING:
    case JOB_CREATED:
    case JOB_RUNNING:
    case JOB_RESTARTING:
    case JOB_STATE_COUNT:
        break;
    }
    return state_of_task(job, subtask);
}

struct states rest_states(const struct job *job, uint32_t first, uint32_t count)
{
    struct states states = { { 0 } };
    for (uint32_t i = 0; i < count; i++)
        states.of[state_of(job, first + i)]++;
    return states;
}

struct states rest_vertex_states(const struct job *job, uint32_t vertex)
{
    const struct plan_vertex *it = &job->plan->vertices[vertex];
    return rest_states(job, it->first_subtask, it->parallelism);
}

struct states rest_job_states(const struct job *job)
{
    return rest_states(job, 0, job->plan == NULL ? 0 : job->plan->subtask_count);
}

/* In Flink's order; of a vertex that has ended in part the rest still runs. */
enum vertex_state rest_state_of(const struct states *states)
{
    static const enum vertex_state order[] = { VERTEX_FAILED, VERTEX_CANCELING, VERTEX_CANCELED,
        VERTEX_RECONCILING, VERTEX_SCHEDULED, VERTEX_DEPLOYING, VERTEX_INITIALIZING, VERTEX_RUNNING,
        VERTEX_FINISHED };
    for (uint32_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (states->of[order[i]] > 0)
            return order[i];
    return VERTEX_CREATED;
}

void rest_put_states(struct call *call, const char *name, const struct states *states,
    bool is_lower_case)
{
    uint32_t total = 0;
    json_put_object(&call->json, name);
    for (uint32_t i = 0; i < VERTEX_COUNT; i++)
        total += states->of[i];
    if (is_lower_case)
        json_put_uint(&call->json, "total", total);
    for (uint32_t i = 0; i < VERTEX_COUNT; i++)
        json_put_uint(&call->json, is_lower_case ? lower_names[i] : state_names[i], states->of[i]);
    json_put_end(&call->json);
}

static void place(struct subtask *it, const struct job *job, uint32_t number)
{
    it->task_manager = it->host = "";
    uint32_t index = gateway_worker_of(job->gateway, number);
    if (index == UINT32_MAX)
        return;
    const struct gateway_worker *worker = gateway_worker(job->gateway, index);
    it->task_manager = worker->task_manager;
    it->host = worker->host;
    it->port = worker->data_port;
}

struct subtask rest_subtask(const struct job *job, uint32_t vertex, uint32_t index)
{
    const struct plan_vertex *of = &job->plan->vertices[vertex];
    struct subtask it = { .index = index, .vertex = of, .task_manager = "", .host = "" };
    uint32_t number = of->first_subtask + index;
    it.state = state_of(job, number);
    it.attempt = job->stats == NULL ? 0 : job->stats->restarts;
    if (job->gateway == NULL) {
        if (job->last_metrics != NULL)
            it.metrics = job->last_metrics[number];
        return it;
    }
    it.metrics = *gateway_metrics(job->gateway, number);
    it.rate = gateway_rate(job->gateway, number);
    place(&it, job, number);
    return it;
}

struct subtask *rest_subtasks(const struct call *call, uint32_t vertex)
{
    uint32_t count = call->job->plan->vertices[vertex].parallelism;
    struct subtask *list = mem_alloc_array(count, sizeof(*list));
    for (uint32_t i = 0; i < count; i++)
        list[i] = rest_subtask(call->job, vertex, i);
    return list;
}

const char *rest_job_name(const struct job *job)
{
    return job->name != NULL ? job->name : "a job that is being planned";
}

/* -- times ---------------------------------------------------------------------------------- */

int64_t rest_start_ms(const struct job *job)
{
    return job->entered_ms[JOB_RUNNING] == 0 ? -1 : job->entered_ms[JOB_RUNNING];
}

int64_t rest_end_ms(const struct job *job)
{
    return job->end_ms == 0 ? -1 : job->end_ms;
}

int64_t rest_duration_ms(const struct call *call, int64_t start_ms, int64_t end_ms)
{
    if (start_ms < 0)
        return -1;
    int64_t duration_ms = (end_ms < 0 ? call->now_ms : end_ms) - start_ms;
    return duration_ms < 0 ? 0 : duration_ms;
}

void rest_put_times(struct call *call, const struct job *job)
{
    int64_t start_ms = rest_start_ms(job), end_ms = rest_end_ms(job);
    json_put_int(&call->json, "start-time", start_ms);
    json_put_int(&call->json, "end-time", end_ms);
    json_put_int(&call->json, "duration", rest_duration_ms(call, start_ms, end_ms));
}

/* Only of the last of them it is known how long it is. */
static const char *const duration_names[] = { "CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING",
    "RUNNING" };

static int64_t duration_ms(const struct call *call, uint32_t state)
{
    bool is_known = state == sizeof(duration_names) / sizeof(duration_names[0]) - 1;
    return is_known ? rest_duration_ms(call, rest_start_ms(call->job), rest_end_ms(call->job)) : -1;
}

void rest_put_durations(struct call *call)
{
    json_put_object(&call->json, "status-duration");
    for (uint32_t i = 0; i < sizeof(duration_names) / sizeof(duration_names[0]); i++)
        json_put_int(&call->json, duration_names[i], duration_ms(call, i));
    json_put_end(&call->json);
}

/* -- input and output ----------------------------------------------------------------------- */

enum io_value {
    IO_READ_BYTES,
    IO_WRITE_BYTES,
    IO_READ_RECORDS,
    IO_WRITE_RECORDS,
    IO_BACKPRESSURED,
    IO_IDLE,
    IO_BUSY,
    IO_COUNT
};
static const char *const io_names[] = { "read-bytes", "write-bytes", "read-records",
    "write-records", "accumulated-backpressured-time", "accumulated-idle-time",
    "accumulated-busy-time" };
static const char *const complete_names[] = { "read-bytes-complete", "write-bytes-complete",
    "read-records-complete", "write-records-complete" };

static int64_t io_value(const struct subtask *it, enum io_value value)
{
    switch (value) {
    case IO_READ_BYTES:
        return it->metrics.bytes_in;
    case IO_WRITE_BYTES:
        return it->metrics.bytes_out;
    case IO_READ_RECORDS:
        return it->vertex->in_edge_count == 0 ? 0 : it->metrics.records_in;
    case IO_WRITE_RECORDS:
        return it->vertex->out_edge_count == 0 ? 0 : it->metrics.records_out;
    case IO_BACKPRESSURED:
        return it->metrics.backpressured_ms;
    case IO_IDLE:
        return it->metrics.idle_ms;
    case IO_BUSY:
        return it->metrics.busy_ms;
    case IO_COUNT:
        break;
    }
    return 0;
}

void rest_put_io(struct call *call, const struct subtask *list, uint32_t count)
{
    json_put_object(&call->json, "metrics");
    for (uint32_t value = 0; value < IO_COUNT; value++) {
        int64_t sum = 0;
        for (uint32_t i = 0; i < count; i++)
            sum += io_value(&list[i], value);
        json_put_int(&call->json, io_names[value], sum);
        if (value <= IO_WRITE_RECORDS)
            json_put_bool(&call->json, complete_names[value], true);
    }
    json_put_end(&call->json);
}

/* -- several -------------------------------------------------------------------------------- */

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static int64_t nearest(const int64_t *sorted, uint32_t count, double quantile)
{
    uint32_t rank = (uint32_t)ceil(quantile * count);
    return count == 0 ? 0 : sorted[rank == 0 ? 0 : rank - 1];
}

void rest_put_summary(struct json *json, const char *name, int64_t *values, uint32_t count)
{
    static const struct {
        const char *name;
        double quantile;
    } rows[] = { { "median", 0.5 }, { "p25", 0.25 }, { "p50", 0.5 }, { "p75", 0.75 },
        { "p90", 0.9 }, { "p95", 0.95 }, { "p99", 0.99 }, { "p999", 0.999 } };
    int64_t sum = 0;
    if (count > 0)
        qsort(values, count, sizeof(*values), by_value);
    for (uint32_t i = 0; i < count; i++)
        sum += values[i];
    json_put_object(json, name);
    json_put_int(json, "min", nearest(values, count, 0));
    json_put_int(json, "max", nearest(values, count, 1));
    json_put_int(json, "avg", count == 0 ? 0 : sum / count);
    json_put_int(json, "sum", sum);
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        json_put_int(json, rows[i].name, nearest(values, count, rows[i].quantile));
    json_put_end(json);
}

void rest_put_aggregated(struct call *call, const struct subtask *list, uint32_t count)
{
    int64_t *values = mem_alloc_array(count, sizeof(*values));
    json_put_object(&call->json, "aggregated");
    json_put_object(&call->json, "metrics");
    for (uint32_t value = 0; value < IO_COUNT; value++) {
        for (uint32_t i = 0; i < count; i++)
            values[i] = io_value(&list[i], value);
        rest_put_summary(&call->json, io_names[value], values, count);
    }
    json_put_end(&call->json);
    json_put_object(&call->json, "status-duration");
    for (uint32_t state = 0; state < sizeof(duration_names) / sizeof(duration_names[0]); state++) {
        for (uint32_t i = 0; i < count; i++)
            values[i] = duration_ms(call, state);
        rest_put_summary(&call->json, duration_names[state], values, count);
    }
    json_put_end(&call->json);
    json_put_end(&call->json);
    mem_free(values);
}

/* -- the plan ------------------------------------------------------------------------------- */

/* The dashboard puts it into a page as it is, and in another place as text: a name must not be more than a name there,
 * and the arrows of a chain stay arrows. */
static void put_description(struct json *json, const char *name)
{
    weir_buffer *html = weir_buffer_new((size_t)1 << 20);
    for (; *name != '\0'; name++) {
        if (*name == '&')
            buffer_printf(html, "&amp;");
        else if (*name == '<')
            buffer_printf(html, "&lt;");
        else if (*name == '"')
            buffer_printf(html, "&quot;");
        else
            weir_buffer_add_byte(html, *name);
    }
    buffer_printf(html, "<br/>");
    json_put_str(json, "description", weir_buffer_view(html));
    weir_buffer_free(html);
}

static void put_inputs(struct json *json, const struct plan *plan, const struct plan_vertex *vertex)
{
    char id[DISPATCHER_ID_SIZE];
    json_put_array(json, "inputs");
    for (uint32_t i = 0; i < vertex->in_edge_count; i++) {
        const struct plan_edge *edge = &plan->edges[vertex->in_edges[i]];
        dispatcher_vertex_id(plan, edge->from_vertex, id);
        json_put_object(json, NULL);
        json_put_uint(json, "num", i);
        json_put_text(json, "id", id);
        json_put_text(json, "ship_strategy", partitioner_name(edge->partitioner));
        json_put_text(json, "exchange", "pipelined_bounded");
        json_put_end(json);
    }
    json_put_end(json);
}

static void put_node(struct json *json, const struct plan *plan, uint32_t index)
{
    const struct plan_vertex *vertex = &plan->vertices[index];
    char id[DISPATCHER_ID_SIZE];
    dispatcher_vertex_id(plan, index, id);
    json_put_object(json, NULL);
    json_put_text(json, "id", id);
    json_put_uint(json, "parallelism", vertex->parallelism);
    json_put_text(json, "operator", "");
    json_put_text(json, "operator_strategy", "");
    put_description(json, vertex->name);
    json_put_object(json, "optimizer_properties");
    json_put_end(json);
    if (vertex->in_edge_count > 0)
        put_inputs(json, plan, vertex);
    json_put_end(json);
}

void rest_put_plan(struct call *call, const char *name, const struct job *job)
{
    struct json *json = &call->json;
    json_put_object(json, name);
    json_put_text(json, "jid", job->id);
    json_put_text(json, "name", rest_job_name(job));
    json_put_text(json, "type", "STREAMING");
    json_put_array(json, "nodes");
    for (uint32_t i = 0; job->plan != NULL && i < job->plan->vertex_count; i++)
        put_node(json, job->plan, i);
    json_put_end(json);
    json_put_end(json);
}

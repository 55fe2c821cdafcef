/* rest_subtask.c -- subtasks as Flink shows them: one by one, and what is said of several.
 *
 * A worker counts records, and time that it was busy; bytes it does not count, so they are 0. Flink counts
 * what came over an edge, so a source has read nothing.
 * Prefixes: rest_, vertex_state_ */
#include "web/rest_private.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"

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

static enum vertex_state state_of_attempt(const struct job *job)
{
    if (job->gateway == NULL)
        return VERTEX_CREATED;
    switch (gateway_state(job->gateway)) {
    case GATEWAY_IDLE:
        return VERTEX_CREATED;
    case GATEWAY_WAITING:
        return VERTEX_SCHEDULED;
    case GATEWAY_STARTING:
        return VERTEX_DEPLOYING;
    case GATEWAY_DEPLOYED:
        break;
    }
    bool is_running = job->stats != NULL && job->stats->running_since_ms != 0;
    return is_running ? VERTEX_RUNNING : VERTEX_INITIALIZING;
}

enum vertex_state rest_vertex_state(const struct job *job)
{
    switch (job->state) {
    case JOB_FAILED:
        return VERTEX_FAILED;
    case JOB_CANCELED:
        return VERTEX_CANCELED;
    case JOB_FINISHED:
        return VERTEX_FINISHED;
    case JOB_FAILING:
    case JOB_CANCELLING:
        return VERTEX_CANCELING;
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
    return state_of_attempt(job);
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

struct subtask rest_subtask(const struct call *call, const struct job *job, uint32_t vertex,
    uint32_t index)
{
    const struct plan_vertex *of = &job->plan->vertices[vertex];
    struct subtask it = { .index = index, .vertex = of, .task_manager = "", .host = "" };
    uint32_t number = of->first_subtask + index;
    if (job->gateway == NULL)
        return it;
    it.metrics = *gateway_metrics(job->gateway, number);
    it.rate = rates_look(call->rest->rates, job, number, os_monotonic_ms());
    place(&it, job, number);
    return it;
}

struct subtask *rest_subtasks(const struct call *call, uint32_t vertex)
{
    uint32_t count = call->job->plan->vertices[vertex].parallelism;
    struct subtask *list = mem_alloc_array(count, sizeof(*list));
    for (uint32_t i = 0; i < count; i++)
        list[i] = rest_subtask(call, call->job, vertex, i);
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

void rest_put_task_counts(struct call *call, const char *name, const struct job *job,
    uint32_t count, bool is_lower_case)
{
    enum vertex_state state = rest_vertex_state(job);
    json_put_object(&call->json, name);
    if (is_lower_case)
        json_put_uint(&call->json, "total", count);
    for (uint32_t i = 0; i < VERTEX_COUNT; i++)
        json_put_uint(&call->json, is_lower_case ? lower_names[i] : state_names[i],
            i == state ? count : 0);
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
    case IO_READ_BYTES:
    case IO_WRITE_BYTES:
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
    int64_t start_ms = rest_start_ms(call->job), end_ms = rest_end_ms(call->job);
    for (uint32_t i = 0; i < count; i++)
        values[i] = rest_duration_ms(call, start_ms, end_ms);
    rest_put_summary(&call->json, "RUNNING", values, count);
    json_put_end(&call->json);
    json_put_end(&call->json);
    mem_free(values);
}

/* -- the plan ------------------------------------------------------------------------------- */

/* The dashboard puts it into a page as it is: a name must not be more than a name there. */
static void put_description(struct json *json, const char *name)
{
    weir_buffer *html = weir_buffer_new((size_t)1 << 20);
    for (; *name != '\0'; name++) {
        if (*name == '&')
            buffer_printf(html, "&amp;");
        else if (*name == '<')
            buffer_printf(html, "&lt;");
        else if (*name == '>')
            buffer_printf(html, "&gt;");
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

/* rest_prometheus.c -- /metrics: everything that is measured, as Prometheus reads it, by Flink's names.
 *
 *      # HELP flink_taskmanager_job_task_numRecordsIn numRecordsIn (scope: taskmanager_job_task)
 *      # TYPE flink_taskmanager_job_task_numRecordsIn gauge
 *      flink_taskmanager_job_task_numRecordsIn{host="h",tm_id="t",job_id="...",...} 17
 *
 * All samples of a name stand together, so the names are the outer loop and the labels are made first, once.
 * Flink calls everything a gauge, and so its boards expect no "_total".
 * Prefixes: rest_ */
#include "web/rest_metrics.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "web/rest_route.h"

#include <math.h>

#define LABELS_MAX ((size_t)1 << 30)

/* Thread: control. What a scope has samples of: labels, and what values are taken from. */
struct scope {
    const char *name;
    const struct metric_table *table;
    size_t item_size;
    char *items;          /* item_size each */
    weir_buffer **labels; /* of each */
    uint32_t count, capacity;
};

static void label(weir_buffer *out, const char *name, const char *value)
{
    buffer_printf(out, "%s%s=\"", buffer_size(out) == 0 ? "" : ",", name);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            weir_buffer_add_byte(out, '\\');
        if (*value == '\n')
            buffer_printf(out, "\\n");
        else
            weir_buffer_add_byte(out, *value);
    }
    weir_buffer_add_byte(out, '"');
}

static void label_number(weir_buffer *out, const char *name, uint64_t value)
{
    buffer_printf(out, ",%s=\"%llu\"", name, (unsigned long long)value);
}

/* Copies the item; gives its labels, to be filled in. */
static weir_buffer *add(struct scope *scope, const void *item)
{
    if (scope->count == scope->capacity) {
        scope->capacity = scope->capacity == 0 ? 16 : 2 * scope->capacity;
        scope->items = mem_realloc(scope->items, scope->capacity * scope->item_size);
        scope->labels = mem_realloc(scope->labels, scope->capacity * sizeof(*scope->labels));
    }
    memcpy(scope->items + scope->count * scope->item_size, item, scope->item_size);
    return scope->labels[scope->count++] = weir_buffer_new(LABELS_MAX);
}

static void print_name(weir_buffer *out, const struct scope *scope, const char *name)
{
    buffer_printf(out, "flink_%s_", scope->name);
    for (; *name != '\0'; name++)
        weir_buffer_add_byte(out, *name == '.' ? '_' : *name);
}

static void print_value(weir_buffer *out, double value)
{
    if (value == floor(value))
        buffer_printf(out, " %.0f\n", value);
    else
        buffer_printf(out, " %.17g\n", value);
}

static void print_row(weir_buffer *out, const struct scope *scope, const struct metric_row *row)
{
    bool is_first = true;
    for (uint32_t i = 0; i < scope->count; i++) {
        double value = row->value(scope->items + i * scope->item_size);
        if (isnan(value))
            continue;
        if (is_first) {
            buffer_printf(out, "# HELP ");
            print_name(out, scope, row->name);
            buffer_printf(out, " %s (scope: %s)\n# TYPE ", row->name, scope->name);
            print_name(out, scope, row->name);
            buffer_printf(out, " gauge\n");
        }
        is_first = false;
        print_name(out, scope, row->name);
        buffer_printf(out, "{%s}", buffer_text(scope->labels[i]));
        print_value(out, value);
    }
}

/* Prints and releases it. */
static void print_scope(weir_buffer *out, struct scope *scope)
{
    for (uint32_t row = 0; row < scope->table->count; row++)
        print_row(out, scope, &scope->table->rows[row]);
    for (uint32_t i = 0; i < scope->count; i++)
        weir_buffer_free(scope->labels[i]);
    mem_free(scope->items);
    mem_free(scope->labels);
}

/* -- what there is -------------------------------------------------------------------------- */

static void put_job_labels(weir_buffer *out, const char *host, const struct job *job)
{
    label(out, "host", host);
    label(out, "job_id", job->id);
    label(out, "job_name", rest_job_name(job));
}

static void put_task_labels(weir_buffer *out, const struct job *job, uint32_t vertex,
    const struct subtask *it)
{
    char id[DISPATCHER_ID_SIZE];
    uint64_t attempt = job->stats == NULL ? 0 : job->stats->attempt;
    dispatcher_vertex_id(job->plan, vertex, id);
    put_job_labels(out, it->host, job);
    label(out, "tm_id", it->task_manager);
    label(out, "task_id", id);
    label(out, "task_name", it->vertex->name);
    buffer_printf(out, ",task_attempt_id=\"%s_%u_%llu\"", id, it->index,
        (unsigned long long)attempt);
    label_number(out, "task_attempt_num", it->attempt);
    label_number(out, "subtask_index", it->index);
}

static void gather_tasks(const struct job *job, struct scope *tasks, struct scope *operators)
{
    for (uint32_t vertex = 0; vertex < job->plan->vertex_count; vertex++) {
        for (uint32_t i = 0; i < job->plan->vertices[vertex].parallelism; i++) {
            struct subtask it = rest_subtask(job, vertex, i);
            put_task_labels(add(tasks, &it), job, vertex, &it);
            for (uint32_t op = 0; op < it.vertex->operator_count; op++) {
                struct metric_operator of = { .subtask = it, .index = op };
                weir_buffer *labels = add(operators, &of);
                put_task_labels(labels, job, vertex, &it);
                label(labels, "operator_id", it.vertex->operators[op].uid);
                label(labels, "operator_name", it.vertex->operators[op].name);
            }
        }
    }
}

static void gather_task_managers(const struct call *call, struct scope *scope)
{
    const struct resources *resources = dispatcher_resources(call->dispatcher);
    for (uint32_t i = 0; i < resources_count(resources); i++) {
        const struct task_manager *it = resources_at(resources, i);
        weir_buffer *labels = add(scope, it);
        label(labels, "host", it->host);
        label(labels, "tm_id", it->id);
    }
}

/* Not a copy of the dispatcher, but it itself: its only item is where it is. */
static void print_cluster(struct call *call)
{
    weir_buffer *out = call->reply->body;
    struct scope scope = { .name = "jobmanager", .table = &rest_metrics_of_cluster };
    weir_buffer *labels = weir_buffer_new(LABELS_MAX);
    label(labels, "host", "jobmanager");
    scope.items = (char *)call->dispatcher;
    scope.labels = &labels;
    scope.count = 1;
    for (uint32_t row = 0; row < scope.table->count; row++)
        print_row(out, &scope, &scope.table->rows[row]);
    weir_buffer_free(labels);
}

void rest_metrics_prometheus(struct call *call)
{
    struct scope jobs = { .name = "jobmanager_job",
        .table = &rest_metrics_of_job,
        .item_size = sizeof(struct metric_job) };
    struct scope task_managers = { .name = "taskmanager",
        .table = &rest_metrics_of_taskmanager,
        .item_size = sizeof(struct task_manager) };
    struct scope tasks = { .name = "taskmanager_job_task",
        .table = &rest_metrics_of_task,
        .item_size = sizeof(struct subtask) };
    struct scope operators = { .name = "taskmanager_job_task_operator",
        .table = &rest_metrics_of_operator,
        .item_size = sizeof(struct metric_operator) };
    gather_task_managers(call, &task_managers);
    for (uint32_t i = 0; i < dispatcher_job_count(call->dispatcher); i++) {
        const struct job *job = dispatcher_job(call->dispatcher, i);
        if (job_state_is_terminal(job->state))
            continue;
        struct metric_job it = rest_metrics_job_of(call, job);
        put_job_labels(add(&jobs, &it), "jobmanager", job);
        if (job->gateway != NULL && job->plan != NULL)
            gather_tasks(job, &tasks, &operators);
    }
    call->reply->type = "text/plain; version=0.0.4; charset=utf-8";
    print_cluster(call);
    print_scope(call->reply->body, &jobs);
    print_scope(call->reply->body, &task_managers);
    print_scope(call->reply->body, &tasks);
    print_scope(call->reply->body, &operators);
}

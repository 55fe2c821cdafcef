/* rest_metrics.c -- metrics by REST: which there are, and the values of those asked for.
 *
 * The tables are lists of (name, expression); each row becomes a function and an entry.
 * Prefixes: rest_ */
#include "web/rest_metrics.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"
#include "web/rest_route.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 256

/* -- the tables ----------------------------------------------------------------------------- */

#define VALUE(type_, id_, name_, expression_) \
    static double value_##id_(const void *of) \
    { \
        const type_ *it = of; \
        return (double)(expression_); \
    }
#define ROW(type_, id_, name_, expression_) { name_, value_##id_ },
#define TABLE(table_, list_) \
    list_(VALUE) static const struct metric_row table_##_rows[] = { list_(ROW) }; \
    const struct metric_table table_ = { .rows = table_##_rows, \
        .count = sizeof(table_##_rows) / sizeof(table_##_rows[0]) };

static uint32_t running_jobs(const struct dispatcher *dispatcher)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < dispatcher_job_count(dispatcher); i++)
        count += !job_state_is_terminal(dispatcher_job(dispatcher, i)->state);
    return count;
}

static struct os_usage usage(void)
{
    struct os_usage now;
    os_usage(&now);
    return now;
}

#define DISPATCHER struct dispatcher
#define OF_CLUSTER(X) \
    X(DISPATCHER, task_managers, "numRegisteredTaskManagers", \
        resources_count(dispatcher_resources(it))) \
    X(DISPATCHER, jobs, "numRunningJobs", running_jobs(it)) \
    X(DISPATCHER, slots, "taskSlotsTotal", resources_slots_total(dispatcher_resources(it))) \
    X(DISPATCHER, free_slots, "taskSlotsAvailable", \
        resources_slots_free(dispatcher_resources(it))) \
    X(DISPATCHER, jm_cpu, "Status.JVM.CPU.Time", ((void)it, usage().cpu_seconds * 1e9)) \
    X(DISPATCHER, jm_used, "Status.JVM.Memory.Heap.Used", ((void)it, usage().peak_rss_size)) \
    X(DISPATCHER, jm_had, "Status.JVM.Memory.Heap.Committed", ((void)it, usage().peak_rss_size)) \
    X(DISPATCHER, jm_max, "Status.JVM.Memory.Heap.Max", ((void)it, usage().peak_rss_size))
TABLE(rest_metrics_of_cluster, OF_CLUSTER)

#define TASK_MANAGER struct task_manager
#define OF_TASK_MANAGER(X) \
    X(TASK_MANAGER, tm_used, "Status.JVM.Memory.Heap.Used", it->rss_size) \
    X(TASK_MANAGER, tm_had, "Status.JVM.Memory.Heap.Committed", it->rss_size) \
    X(TASK_MANAGER, tm_max, "Status.JVM.Memory.Heap.Max", it->memory_size) \
    X(TASK_MANAGER, tm_managed, "Status.Flink.Memory.Managed.Used", \
        it->slot_count == 0 \
            ? 0 \
            : (double)it->memory_size * (it->slot_count - it->free_count) / it->slot_count) \
    X(TASK_MANAGER, tm_total, "Status.Flink.Memory.Managed.Total", it->memory_size)
TABLE(rest_metrics_of_taskmanager, OF_TASK_MANAGER)

static const struct history_checkpoint *last(const struct metric_job *it)
{
    return history_newest(&it->job->history, HISTORY_COMPLETED, false);
}

static uint32_t pending(const struct metric_job *of)
{
    uint32_t count = 0;
    const struct history_checkpoint *it;
    for (uint32_t i = 0; (it = history_checkpoint(&of->job->history, i)) != NULL; i++)
        count += it->status == HISTORY_IN_PROGRESS;
    return count;
}

static double in_state_ms(const struct metric_job *it, enum job_state state)
{
    if (it->job->state != state)
        return 0;
    return (double)(it->now_ms - it->job->entered_ms[state]);
}

static double uptime_ms(const struct metric_job *it)
{
    const struct jobmanager_stats *stats = it->job->stats;
    return stats == NULL || stats->running_since_ms == 0
               ? 0
               : (double)(it->monotonic_ms - stats->running_since_ms);
}

static double downtime_ms(const struct metric_job *it)
{
    return in_state_ms(it, JOB_RESTARTING) + in_state_ms(it, JOB_FAILING);
}

#define JOB struct metric_job
#define RESTARTS \
    (it->job->stats == NULL ? it->job->history.failure_count : it->job->stats->restarts)
#define STATE(X, id_, name_, state_) \
    X(JOB, id_##_state, name_ "State", it->job->state == (state_)) \
    X(JOB, id_##_time, name_ "Time", in_state_ms(it, (state_)))
#define OF_JOB(X) \
    X(JOB, uptime, "uptime", uptime_ms(it)) \
    X(JOB, downtime, "downtime", downtime_ms(it)) \
    X(JOB, full_restarts, "fullRestarts", RESTARTS) \
    X(JOB, restarts, "numRestarts", RESTARTS) \
    X(JOB, last_duration, "lastCheckpointDuration", \
        last(it) == NULL ? -1 : last(it)->ended_ms - last(it)->triggered_ms) \
    X(JOB, last_size, "lastCheckpointSize", last(it) == NULL ? -1 : (double)last(it)->size) \
    X(JOB, last_full, "lastCheckpointFullSize", last(it) == NULL ? -1 : (double)last(it)->size) \
    X(JOB, last_id, "lastCompletedCheckpointId", last(it) == NULL ? -1 : (double)last(it)->number) \
    X(JOB, last_path, "lastCheckpointExternalPath", ((void)it, 0)) \
    X(JOB, restored, "lastCheckpointRestoreTimestamp", \
        it->job->history.restored_count == 0 ? -1 : it->job->history.restored_ms) \
    X(JOB, completed, "numberOfCompletedCheckpoints", it->job->history.completed_count) \
    X(JOB, failed, "numberOfFailedCheckpoints", it->job->history.failed_count) \
    X(JOB, in_progress, "numberOfInProgressCheckpoints", pending(it)) \
    X(JOB, total, "totalNumberOfCheckpoints", it->job->history.checkpoint_count) \
    STATE(X, initializing, "initializing", JOB_INITIALIZING) \
    STATE(X, created, "created", JOB_CREATED) \
    STATE(X, running, "running", JOB_RUNNING) \
    STATE(X, restarting, "restarting", JOB_RESTARTING) \
    STATE(X, failing, "failing", JOB_FAILING) \
    STATE(X, cancelling, "cancelling", JOB_CANCELLING) \
    STATE(X, suspended, "suspended", JOB_SUSPENDED)
TABLE(rest_metrics_of_job, OF_JOB)

#define TASK struct subtask
#define OF_TASK(X) \
    X(TASK, records_in, "numRecordsIn", it->metrics.records_in) \
    X(TASK, records_out, "numRecordsOut", it->metrics.records_out) \
    X(TASK, in_rate, "numRecordsInPerSecond", it->rate.records_in) \
    X(TASK, out_rate, "numRecordsOutPerSecond", it->rate.records_out) \
    X(TASK, busy_rate, "busyTimeMsPerSecond", it->rate.busy_ms) \
    X(TASK, idle_rate, "idleTimeMsPerSecond", it->rate.idle_ms) \
    X(TASK, full_rate, "backPressuredTimeMsPerSecond", it->rate.backpressured_ms) \
    X(TASK, soft_rate, "softBackPressuredTimeMsPerSecond", it->rate.backpressured_ms) \
    X(TASK, is_full, "isBackPressured", it->rate.backpressured_ms > 500) \
    X(TASK, busy, "accumulateBusyTimeMs", it->metrics.busy_ms) \
    X(TASK, idle, "accumulateIdleTimeMs", it->metrics.idle_ms) \
    X(TASK, full, "accumulateBackPressuredTimeMs", it->metrics.backpressured_ms) \
    X(TASK, watermark, "currentInputWatermark", it->metrics.watermark_ms) \
    X(TASK, state_size, "stateSize", it->metrics.state_size) \
    X(TASK, expired_met, "stateEntriesExpiredRead", it->metrics.expired_met) \
    X(TASK, expired_dropped, "stateEntriesExpiredDropped", it->metrics.expired_dropped) \
    X(TASK, unpublished, "unpublishedCheckpoints", it->metrics.unpublished)
TABLE(rest_metrics_of_task, OF_TASK)

#define OPERATOR struct metric_operator
#define METRICS  it->subtask.metrics
/* A chain counts what comes into its head; and what leaves it, which is its operator's if it has only one. */
#define HEAD(value_) (it->index == 0 ? (double)(value_) : NAN)
#define ONLY(value_) (it->subtask.vertex->operator_count == 1 ? (double)(value_) : NAN)
#define LAG          (METRICS.lag >= 0 && it->subtask.vertex->in_edge_count == 0 ? HEAD(METRICS.lag) : NAN)
#define OF_OPERATOR(X) \
    X(OPERATOR, op_in, "numRecordsIn", HEAD(METRICS.records_in)) \
    X(OPERATOR, op_in_rate, "numRecordsInPerSecond", HEAD(it->subtask.rate.records_in)) \
    X(OPERATOR, op_out, "numRecordsOut", ONLY(METRICS.records_out)) \
    X(OPERATOR, op_out_rate, "numRecordsOutPerSecond", ONLY(it->subtask.rate.records_out)) \
    X(OPERATOR, op_watermark, "currentInputWatermark", METRICS.watermark_ms) \
    X(OPERATOR, op_watermark_out, "currentOutputWatermark", METRICS.watermark_ms) \
    X(OPERATOR, op_pending, "pendingRecords", LAG) \
    X(OPERATOR, op_lag, "KafkaSourceReader.KafkaConsumer.records_lag_max", LAG)
TABLE(rest_metrics_of_operator, OF_OPERATOR)

struct metric_job rest_metrics_job_of(const struct call *call, const struct job *job)
{
    return (
        struct metric_job){ .job = job, .now_ms = call->now_ms, .monotonic_ms = os_monotonic_ms() };
}

/* -- ids and values ------------------------------------------------------------------------- */

/* Is `id` in the list "a,b,c"? */
static bool is_asked(const char *list, const char *id)
{
    size_t size = strlen(id);
    for (const char *at = list; at != NULL;
         at = strchr(at, ',') == NULL ? NULL : strchr(at, ',') + 1)
        if (strncmp(at, id, size) == 0 && (at[size] == ',' || at[size] == '\0'))
            return true;
    return false;
}

/* Names in an id have no separators of Flink's. */
static void put_plain(char *id, size_t size, const char *prefix, const char *operator_,
    const char *name)
{
    int used = snprintf(id, size, "%s%s", prefix, operator_);
    for (char *at = id + strlen(prefix); *at != '\0'; at++)
        if (strchr(" .:,", *at) != NULL)
            *at = '_';
    if (used >= 0 && (size_t)used < size)
        snprintf(id + used, size - (size_t)used, "%s%s", *operator_ == '\0' ? "" : ".", name);
}

/* {"id"}, or {"id", "value"} if `list` asks for it. */
static void put_metric(struct call *call, const char *list, const char *id, double value)
{
    if (isnan(value) || (list != NULL && !is_asked(list, id)))
        return;
    json_put_object(&call->json, NULL);
    json_put_text(&call->json, "id", id);
    if (list != NULL && value == floor(value))
        json_put_printf(&call->json, "value", "%.0f", value);
    else if (list != NULL)
        json_put_printf(&call->json, "value", "%.17g", value);
    json_put_end(&call->json);
}

static void put_table(struct call *call, const struct metric_table *table, const void *of)
{
    const char *list = rest_query(call, "get");
    json_put_array(&call->json, NULL);
    for (uint32_t i = 0; i < table->count; i++)
        put_metric(call, list, table->rows[i].name, table->rows[i].value(of));
    json_put_end(&call->json);
}

void rest_metrics_cluster(struct call *call)
{
    put_table(call, &rest_metrics_of_cluster, call->dispatcher);
}

void rest_metrics_taskmanager(struct call *call)
{
    const struct task_manager *it = rest_find_taskmanager(call);
    if (it != NULL)
        put_table(call, &rest_metrics_of_taskmanager, it);
}

void rest_metrics_job(struct call *call)
{
    struct metric_job it = rest_metrics_job_of(call, call->job);
    put_table(call, &rest_metrics_of_job, &it);
}

/* Those of a subtask and of its operators, each with the prefix. */
static void put_subtask(struct call *call, const struct subtask *it, const char *prefix)
{
    const char *list = rest_query(call, "get");
    char id[ID_MAX];
    for (uint32_t i = 0; i < rest_metrics_of_task.count; i++) {
        const struct metric_row *row = &rest_metrics_of_task.rows[i];
        put_plain(id, sizeof(id), prefix, "", row->name);
        put_metric(call, list, id, row->value(it));
    }
    for (uint32_t op = 0; op < it->vertex->operator_count; op++) {
        struct metric_operator of = { .subtask = *it, .index = op };
        for (uint32_t i = 0; i < rest_metrics_of_operator.count; i++) {
            const struct metric_row *row = &rest_metrics_of_operator.rows[i];
            put_plain(id, sizeof(id), prefix, it->vertex->operators[op].name, row->name);
            put_metric(call, list, id, row->value(&of));
        }
    }
}

void rest_metrics_vertex(struct call *call)
{
    uint32_t count = call->job->plan->vertices[call->vertex].parallelism;
    char prefix[16];
    json_put_array(&call->json, NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct subtask it = rest_subtask(call->job, call->vertex, i);
        snprintf(prefix, sizeof(prefix), "%u.", i);
        put_subtask(call, &it, prefix);
    }
    json_put_end(&call->json);
}

void rest_metrics_subtask(struct call *call)
{
    struct subtask it = rest_subtask(call->job, call->vertex, call->subtask);
    json_put_array(&call->json, NULL);
    put_subtask(call, &it, "");
    json_put_end(&call->json);
}

/* -- over subtasks -------------------------------------------------------------------------- */

/* Is `index` in "0,2-4"? NULL: all are. */
static bool is_chosen(const char *list, uint32_t index)
{
    if (list == NULL)
        return true;
    for (const char *at = list; *at != '\0';) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;
        if (end == at)
            return false;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (index >= first && index <= last)
            return true;
        at = *end == ',' ? end + 1 : "";
    }
    return false;
}

/* How far from each other they are: 0 all equal, 100 as far as can be. */
static double skew(const double *values, uint32_t count, double average)
{
    double deviation = 0;
    for (uint32_t i = 0; i < count; i++)
        deviation += fabs(values[i] - average);
    return average == 0 ? 0 : fmin(100, deviation / count / average * 100);
}

static void put_over(struct call *call, const char *name, const double *values, uint32_t count)
{
    static const char *const names[] = { "min", "max", "avg", "sum", "skew" };
    const char *asked = rest_query(call, "agg");
    double results[] = { count == 0 ? 0 : values[0], count == 0 ? 0 : values[0], 0, 0, 0 };
    for (uint32_t i = 0; i < count; i++) {
        results[0] = fmin(results[0], values[i]);
        results[1] = fmax(results[1], values[i]);
        results[3] += values[i];
    }
    results[2] = count == 0 ? 0 : results[3] / count;
    results[4] = count == 0 ? 0 : skew(values, count, results[2]);
    json_put_object(&call->json, NULL);
    json_put_text(&call->json, "id", name);
    for (uint32_t i = 0; i < 5; i++)
        if (asked == NULL || is_asked(asked, names[i]))
            json_put_real(&call->json, names[i], results[i]);
    json_put_end(&call->json);
}

static void put_aggregates(struct call *call, const char *list)
{
    const char *chosen = rest_query(call, "subtasks");
    uint32_t count = call->job->plan->vertices[call->vertex].parallelism;
    struct subtask *subtasks = rest_subtasks(call, call->vertex);
    double *values = mem_alloc_array(count, sizeof(*values));
    for (uint32_t row = 0; row < rest_metrics_of_task.count; row++) {
        uint32_t used = 0;
        if (!is_asked(list, rest_metrics_of_task.rows[row].name))
            continue;
        for (uint32_t i = 0; i < count; i++)
            if (is_chosen(chosen, i))
                values[used++] = rest_metrics_of_task.rows[row].value(&subtasks[i]);
        put_over(call, rest_metrics_of_task.rows[row].name, values, used);
    }
    mem_free(values);
    mem_free(subtasks);
}

/* With no "get": which there are. */
void rest_metrics_subtasks(struct call *call)
{
    const char *list = rest_query(call, "get");
    json_put_array(&call->json, NULL);
    if (list != NULL)
        put_aggregates(call, list);
    for (uint32_t i = 0; list == NULL && i < rest_metrics_of_task.count; i++)
        put_metric(call, NULL, rest_metrics_of_task.rows[i].name, 0);
    json_put_end(&call->json);
}

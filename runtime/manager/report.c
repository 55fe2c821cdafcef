/* report.c -- see report.h. */
#include "runtime/manager/report.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"

void report_init(struct report *report)
{
    *report = (struct report){ .index = map_new(REPORT_COUNTERS_MAX) };
}

void report_release(struct report *report)
{
    report_reset(report);
    map_free(report->index);
    *report = (struct report){ .index = NULL };
}

void report_reset(struct report *report)
{
    for (uint32_t i = 0; i < report->counter_count; i++)
        mem_free(report->counters[i].name);
    mem_free(report->counters);
    mem_free(report->tasks);
    map_free(report->index);
    report_init(report);
}

static void add_counter(void *arg, const char *uid, const char *name, int64_t value)
{
    struct report *report = arg;
    char *key = mem_printf("%s%c%s", uid, 0, name);
    weir_str bytes = { .data = key, .size = strlen(uid) + 1 + strlen(name) };
    uintptr_t number = (uintptr_t)map_get(report->index, bytes);
    if (number == 0 && report->counter_count == REPORT_COUNTERS_MAX) {
        log_warn("metrics", "more than %u counters: '%s' of '%s' is left out", REPORT_COUNTERS_MAX,
            name, uid);
        mem_free(key);
        return;
    }
    if (number == 0) {
        number = ++report->counter_count;
        report->counters =
            mem_realloc(report->counters, report->counter_count * sizeof(*report->counters));
        report->counters[number - 1] =
            (struct report_counter){ .uid = uid, .name = mem_strdup(name) };
        map_put(report->index, bytes, (void *)number);
    }
    report->counters[number - 1].value += value;
    mem_free(key);
}

void report_add(struct report *report, const struct task *task, uint32_t subtask)
{
    const struct task_metrics *metrics = task_metrics(task);
    report->tasks = mem_realloc(report->tasks, (report->task_count + 1) * sizeof(*report->tasks));
    report->tasks[report->task_count++] = (struct report_task){
        .vertex = task_vertex(task),
        .subtask = subtask,
        .records_in = metric_get(&metrics->records_in),
        .records_out = metric_get(&metrics->records_out),
        .busy_ms = metric_get(&metrics->busy_ns) / 1000000,
        .idle_ms = metric_get(&metrics->idle_ns) / 1000000,
        .backpressured_ms = metric_get(&metrics->backpressured_ns) / 1000000,
        .state_size = metric_get(&metrics->state_size),
        .expired_met = metric_get(&metrics->expired_met),
        .expired_dropped = metric_get(&metrics->expired_dropped),
    };
    task_counters(task, add_counter, report);
}

int64_t report_events_in(const struct report *report)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < report->task_count; i++) {
        if (report->tasks[i].vertex->operators[0].kind == PLAN_SOURCE)
            sum += report->tasks[i].records_in;
    }
    return sum;
}

bool report_has_sink(const struct plan_vertex *vertex)
{
    for (uint32_t i = 0; i < vertex->operator_count; i++) {
        if (vertex->operators[i].kind == PLAN_SINK)
            return true;
    }
    return false;
}

int64_t report_records_out(const struct report *report)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < report->task_count; i++) {
        if (report_has_sink(report->tasks[i].vertex))
            sum += report->tasks[i].records_out;
    }
    return sum;
}

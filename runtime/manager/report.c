/* report.c -- see report.h. */
#include "runtime/manager/report.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"

#include <stdlib.h>

void report_init(struct report *report)
{
    *report = (struct report){ .index = map_new(2 * REPORT_COUNTERS_MAX) };
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

/* mem_free it. */
static char *key_of(const char *uid, const char *name, size_t *size)
{
    *size = strlen(uid) + 1 + strlen(name);
    return mem_printf("%s%c%s", uid, 0, name);
}

/* One more than what was stored; 0: nothing. */
static uint32_t find(const struct report *report, const char *key, size_t size)
{
    return (uint32_t)(uintptr_t)map_get(report->index, (weir_str){ .data = key, .size = size });
}

static void store(struct report *report, const char *key, size_t size, uint32_t number)
{
    map_put(report->index, (weir_str){ .data = key, .size = size }, (void *)(uintptr_t)number);
}

static uint32_t add_counter(struct report *report, const char *uid, const char *key, size_t size)
{
    const char *name = key + strlen(uid) + 1;
    uint32_t place = find(report, key, strlen(uid) + 1);
    if (place == 0) {
        place = ++report->uid_count;
        store(report, key, strlen(uid) + 1, place);
    }
    if (report->counter_count == report->counter_capacity) {
        report->counter_capacity =
            report->counter_capacity == 0 ? 16 : 2 * report->counter_capacity;
        report->counters =
            mem_realloc(report->counters, report->counter_capacity * sizeof(*report->counters));
    }
    report->counters[report->counter_count++] =
        (struct report_counter){ .uid = uid, .place = place - 1, .name = mem_strdup(name) };
    store(report, key, size, report->counter_count);
    return report->counter_count;
}

void report_count(struct report *report, const char *uid, const char *name, int64_t value)
{
    size_t size;
    char *key = key_of(uid, name, &size);
    uint32_t number = find(report, key, size);
    if (number == 0 && report->counter_count < REPORT_COUNTERS_MAX)
        number = add_counter(report, uid, key, size);
    if (number != 0)
        report->counters[number - 1].value += value;
    else
        log_warn("metrics", "more than %u counters: '%s' of '%s' is left out", REPORT_COUNTERS_MAX,
            name, uid);
    mem_free(key);
}

static void count(void *arg, const char *uid, const char *name, int64_t value)
{
    report_count(arg, uid, name, value);
}

static int compare_counters(const void *a, const void *b)
{
    const struct report_counter *left = a, *right = b;
    return left->place != right->place ? (left->place < right->place ? -1 : 1)
                                       : strcmp(left->name, right->name);
}

void report_sort(struct report *report)
{
    if (report->counter_count > 0)
        qsort(report->counters, report->counter_count, sizeof(*report->counters), compare_counters);
    for (uint32_t i = 0; i < report->counter_count; i++) {
        const struct report_counter *it = &report->counters[i];
        size_t size;
        char *key = key_of(it->uid, it->name, &size);
        store(report, key, size, i + 1);
        mem_free(key);
    }
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
    task_counters(task, count, report);
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

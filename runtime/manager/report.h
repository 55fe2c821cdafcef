/* report.h -- what tasks have done, kept when they are gone: counters by uid, times by task.
 *
 * Counters are exact: they are part of each checkpoint, and read when no task runs any more. An
 * operator's counters are summed over its subtasks; "dead_letters.<reason>" is one of them. Times and
 * record numbers of tasks are those of one attempt.
 *
 * Thread: its owner. Limit: REPORT_COUNTERS_MAX counters; more are left out and said so in the log. */
#ifndef WEIR_MANAGER_REPORT_H
#define WEIR_MANAGER_REPORT_H

#include "runtime/task/task.h"

#define REPORT_COUNTERS_MAX 65536u

/* Thread: its owner. */
struct report_counter {
    const char *uid; /* the plan's */
    uint32_t place;  /* of the uid, among those that have counters */
    char *name;
    int64_t value;
};

/* Thread: its owner. */
struct report_task {
    const struct plan_vertex *vertex;
    uint32_t subtask; /* of the vertex */
    int64_t records_in, records_out;
    int64_t busy_ms, idle_ms, backpressured_ms;
    int64_t state_size;
    int64_t expired_met, expired_dropped;
};

/* Thread: its owner. */
struct report {
    struct report_task *tasks;
    uint32_t task_count;
    struct report_counter *counters; /* after report_sort: those of a uid together, by name */
    uint32_t counter_count, counter_capacity, uid_count;
    struct map *index; /* uid NUL name -> counter number + 1; uid NUL -> its place + 1 */
};
void report_init(struct report *report);
void report_release(struct report *report);
void report_reset(struct report *report);
/* The task does not run. */
void report_add(struct report *report, const struct task *task, uint32_t subtask);
void report_count(struct report *report, const char *uid, const char *name, int64_t value);
/* When all is added. A subtask may have counters, reasons of dead letters, that those before it lack. */
void report_sort(struct report *report);
int64_t report_events_in(const struct report *report);   /* that sources have read, ever */
int64_t report_records_out(const struct report *report); /* that sinks have got, ever */
bool report_has_sink(const struct plan_vertex *vertex);

#endif

/* metrics_json.c -- see metrics_json.h. */
#include "runtime/program/metrics_json.h"

#include "base/json.h"
#include "base/os.h"
#include "base/os_process.h"

#include <math.h>

#define SIZE_MAX_BYTES ((size_t)64 << 20)

/* Counters of one uid stand together: report_sort. */
static void put_counters(struct json *json, const struct report *report)
{
    json_put_object(json, "counters");
    for (uint32_t i = 0; i < report->counter_count; i++) {
        const struct report_counter *it = &report->counters[i];
        if (i == 0 || strcmp(it->uid, report->counters[i - 1].uid) != 0) {
            if (i > 0)
                json_put_end(json);
            json_put_object(json, it->uid);
        }
        json_put_int(json, it->name, it->value);
    }
    if (report->counter_count > 0)
        json_put_end(json);
    json_put_end(json);
}

static void put_tasks(struct json *json, const struct report *report)
{
    json_put_array(json, "tasks");
    for (uint32_t i = 0; i < report->task_count; i++) {
        const struct report_task *it = &report->tasks[i];
        json_put_object(json, NULL);
        json_put_text(json, "task", it->vertex->name);
        json_put_uint(json, "subtask", it->subtask);
        json_put_uint(json, "parallelism", it->vertex->parallelism);
        json_put_int(json, "records_in", it->records_in);
        json_put_int(json, "records_out", it->records_out);
        json_put_int(json, "busy_ms", it->busy_ms);
        json_put_int(json, "idle_ms", it->idle_ms);
        json_put_int(json, "backpressured_ms", it->backpressured_ms);
        json_put_int(json, "state_bytes", it->state_size);
        json_put_object(json, "state_expired");
        json_put_int(json, "read", it->expired_met);
        json_put_int(json, "compaction", it->expired_dropped);
        json_put_end(json);
        json_put_end(json);
    }
    json_put_end(json);
}

static void put_checkpoints(struct json *json, const struct jobmanager_stats *stats)
{
    const struct histogram *durations = &stats->durations;
    json_put_object(json, "checkpoints");
    json_put_uint(json, "completed", stats->completed);
    json_put_uint(json, "failed", stats->failed);
    json_put_uint(json, "last", stats->last_checkpoint);
    json_put_object(json, "duration_ms");
    json_put_int(json, "p50", histogram_quantile_us(durations, 0.5) / 1000);
    json_put_int(json, "p99", histogram_quantile_us(durations, 0.99) / 1000);
    json_put_int(json, "max", durations->max_us / 1000);
    json_put_end(json);
    json_put_uint(json, "last_bytes", stats->last_size);
    json_put_end(json);
}

void metrics_json_print(const struct local *local, const char *error, int64_t elapsed_ms,
    weir_buffer *out)
{
    const struct jobmanager_stats *stats = local_stats(local);
    const struct report *report = taskmanager_report(local_tasks(local));
    struct os_usage usage;
    os_usage(&usage);
    struct json json = json_to(out);
    json_put_object(&json, NULL);
    json_put_text(&json, "job", local_plan(local)->job);
    json_put_text(&json, "state", execution_state_name(stats->state));
    json_put_uint(&json, "attempt", stats->attempt);
    json_put_uint(&json, "attempts", stats->restarts + 1);
    if (error != NULL)
        json_put_text(&json, "error", error);
    json_put_int(&json, "events_in", report_events_in(report));
    json_put_int(&json, "records_out", report_records_out(report));
    put_counters(&json, report);
    put_tasks(&json, report);
    put_checkpoints(&json, stats);
    json_put_int(&json, "elapsed_ms", elapsed_ms);
    json_put_uint(&json, "peak_rss_bytes", usage.peak_rss_size);
    json_put_real(&json, "cpu_seconds", round(usage.cpu_seconds * 1000) / 1000);
    json_put_end(&json);
    weir_buffer_add_byte(out, '\n');
}

weir_error *metrics_json_write(const struct local *local, const char *error, int64_t elapsed_ms,
    const char *path)
{
    weir_buffer *out = weir_buffer_new(SIZE_MAX_BYTES);
    metrics_json_print(local, error, elapsed_ms, out);
    weir_str text = weir_buffer_view(out);
    weir_error *failed = os_write_file(path, text.data, text.size);
    weir_buffer_free(out);
    return failed == NULL ? NULL : weir_error_wrap(failed, "cannot write --metrics-json");
}

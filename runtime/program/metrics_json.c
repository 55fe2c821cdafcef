/* metrics_json.c -- see metrics_json.h. By hand, as explain_json.c: a member a line. */
#include "runtime/program/metrics_json.h"

#include "base/buffer.h"
#include "base/os.h"
#include "base/os_process.h"

#include <inttypes.h>

#define SIZE_MAX_BYTES ((size_t)64 << 20)

static void put_text(weir_buffer *out, const char *text)
{
    weir_buffer_add_byte(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            buffer_printf(out, "\\%c", byte);
        else if (byte < 0x20)
            buffer_printf(out, "\\u%04x", byte);
        else
            weir_buffer_add_byte(out, *text);
    }
    weir_buffer_add_byte(out, '"');
}

static void put_member(weir_buffer *out, const char *name, int64_t value)
{
    buffer_printf(out, ",\"%s\":%" PRId64, name, value);
}

/* Counters of one uid stand together: tasks are reported in the order of the plan. */
static void put_counters(weir_buffer *out, const struct report *report)
{
    buffer_printf(out, ",\"counters\":{");
    for (uint32_t i = 0; i < report->counter_count; i++) {
        const struct report_counter *it = &report->counters[i];
        bool is_first = i == 0 || strcmp(it->uid, report->counters[i - 1].uid) != 0;
        if (is_first) {
            buffer_printf(out, "%s\n  ", i == 0 ? "" : "},");
            put_text(out, it->uid);
            buffer_printf(out, ":{");
        } else {
            weir_buffer_add_byte(out, ',');
        }
        put_text(out, it->name);
        buffer_printf(out, ":%" PRId64, it->value);
    }
    buffer_printf(out, report->counter_count > 0 ? "}}" : "}");
}

static void put_tasks(weir_buffer *out, const struct report *report)
{
    buffer_printf(out, ",\"tasks\":[");
    for (uint32_t i = 0; i < report->task_count; i++) {
        const struct report_task *it = &report->tasks[i];
        buffer_printf(out, "%s\n  {\"task\":", i == 0 ? "" : ",");
        put_text(out, it->vertex->name);
        put_member(out, "subtask", it->subtask);
        put_member(out, "parallelism", it->vertex->parallelism);
        put_member(out, "records_in", it->records_in);
        put_member(out, "records_out", it->records_out);
        put_member(out, "busy_ms", it->busy_ms);
        put_member(out, "idle_ms", it->idle_ms);
        put_member(out, "backpressured_ms", it->backpressured_ms);
        put_member(out, "state_bytes", it->state_size);
        buffer_printf(out, ",\"state_expired\":{\"read\":%" PRId64, it->expired_met);
        put_member(out, "compaction", it->expired_dropped);
        weir_buffer_add_byte(out, '}');
        weir_buffer_add_byte(out, '}');
    }
    buffer_printf(out, "]");
}

static void put_checkpoints(weir_buffer *out, const struct jobmanager_stats *stats)
{
    const struct histogram *durations = &stats->durations;
    buffer_printf(out, ",\n\"checkpoints\":{\"completed\":%" PRIu64, stats->completed);
    put_member(out, "failed", (int64_t)stats->failed);
    put_member(out, "last", (int64_t)stats->last_checkpoint);
    buffer_printf(out, ",\"duration_ms\":{\"p50\":%" PRId64,
        histogram_quantile_us(durations, 0.5) / 1000);
    put_member(out, "p99", histogram_quantile_us(durations, 0.99) / 1000);
    put_member(out, "max", durations->max_us / 1000);
    weir_buffer_add_byte(out, '}');
    put_member(out, "last_bytes", (int64_t)stats->last_size);
    weir_buffer_add_byte(out, '}');
}

void metrics_json_print(const struct local *local, const char *error, int64_t elapsed_ms,
    weir_buffer *out)
{
    const struct jobmanager_stats *stats = local_stats(local);
    const struct report *report = taskmanager_report(local_tasks(local));
    struct os_usage usage;
    os_usage(&usage);
    buffer_printf(out, "{\"job\":");
    put_text(out, local_plan(local)->job);
    buffer_printf(out, ",\"state\":\"%s\"", execution_state_name(stats->state));
    put_member(out, "attempt", (int64_t)stats->attempt);
    put_member(out, "attempts", (int64_t)stats->restarts + 1);
    if (error != NULL) {
        buffer_printf(out, ",\"error\":");
        put_text(out, error);
    }
    buffer_printf(out, ",\n\"events_in\":%" PRId64, report_events_in(report));
    put_member(out, "records_out", report_records_out(report));
    put_counters(out, report);
    put_tasks(out, report);
    put_checkpoints(out, stats);
    buffer_printf(out, ",\n\"elapsed_ms\":%" PRId64, elapsed_ms);
    put_member(out, "peak_rss_bytes", (int64_t)usage.peak_rss_size);
    buffer_printf(out, ",\"cpu_seconds\":%.3f}\n", usage.cpu_seconds);
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

/* metrics_json.h -- what a run has done, as one JSON object: --metrics-json FILE.
 *
 * {"job", "state", "attempt": its number, over all starts, "attempts": in this process, "error"?,
 *  "events_in": records that sources have read, "records_out": that sinks have got, both exact and
 *      since the job first started,
 *  "counters": {uid: {name: value}}: as exact; "records_in" of sources and sinks, an operator's own,
 *      "dead_letters.<reason>" of who refuses records
 *  "tasks": [{"task", "subtask", "parallelism", "records_in", "records_out", "busy_ms", "idle_ms",
 *             "backpressured_ms", "state_bytes"}]  of the last attempt
 *  "checkpoints": {"completed", "failed", "last", "duration_ms": {"p50", "p99", "max"}, "last_bytes"},
 *  "elapsed_ms", "peak_rss_bytes", "cpu_seconds"}
 *
 * Thread: control, when no task runs. */
#ifndef WEIR_PROGRAM_METRICS_JSON_H
#define WEIR_PROGRAM_METRICS_JSON_H

#include "runtime/manager/local.h"

/* `error`: the message; NULL: none. */
void metrics_json_print(const struct local *local, const char *error, int64_t elapsed_ms,
    weir_buffer *out);
/* Writes it whole or not at all. */
weir_error *metrics_json_write(const struct local *local, const char *error, int64_t elapsed_ms,
    const char *path) WEIR_MUST_USE;

#endif

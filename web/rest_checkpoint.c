/* rest_checkpoint.c -- checkpoints: counts, the newest, one of them, by vertex and by subtask.
 *
 * What Weir does not measure is 0: it keeps no data in flight, and does not tell what a checkpoint wrote
 * from what it refers to.
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/memory.h"

#define HISTORY_SHOWN 10u

/* A checkpoint, or the part of it that some subtasks have. */
struct part {
    enum history_status status;
    uint32_t count, acked_count;
    int64_t latest_ms, duration_ms; /* -1: none */
    uint64_t size, in_flight;
};

/* A job that was made larger has subtasks that an older checkpoint knows nothing of. */
static const struct history_ack *ack_of(const struct job *job, const struct history_checkpoint *it,
    uint32_t number)
{
    static const struct history_ack none;
    return number < job->history.subtask_count ? &it->acks[number] : &none;
}

static struct part part_of(const struct job *job, const struct history_checkpoint *it,
    uint32_t first, uint32_t count)
{
    struct part part = { .status = it->status, .count = count, .latest_ms = -1, .duration_ms = -1 };
    for (uint32_t i = first; i < first + count; i++) {
        const struct history_ack *ack = ack_of(job, it, i);
        part.acked_count += ack->at_ms != 0;
        part.size += ack->size;
        part.in_flight += ack->in_flight;
        if (ack->at_ms > part.latest_ms && ack->at_ms != 0)
            part.latest_ms = ack->at_ms;
    }
    if (part.acked_count == count && part.latest_ms >= 0) {
        part.status = HISTORY_COMPLETED;
        part.duration_ms = part.latest_ms - it->triggered_ms;
    }
    return part;
}

/* The whole of it: complete when its metadata is stored, not with its last ack. */
static struct part whole(const struct job *job, const struct history_checkpoint *it)
{
    struct part part = part_of(job, it, 0, job->history.subtask_count);
    part.status = it->status;
    part.duration_ms = it->ended_ms == 0 ? -1 : it->ended_ms - it->triggered_ms;
    if (it->status == HISTORY_COMPLETED)
        part.size = it->size;
    return part;
}

static const char *status_name(enum history_status status)
{
    static const char *const names[] = { "IN_PROGRESS", "COMPLETED", "FAILED" };
    return names[status];
}

static void put_part(struct json *json, const struct part *part)
{
    json_put_text(json, "status", status_name(part->status));
    json_put_int(json, "latest_ack_timestamp", part->latest_ms);
    json_put_uint(json, "checkpointed_size", part->size);
    json_put_uint(json, "state_size", part->size);
    json_put_int(json, "end_to_end_duration", part->duration_ms);
    json_put_int(json, "alignment_buffered", 0);
    json_put_int(json, "processed_data", 0);
    json_put_uint(json, "persisted_data", part->in_flight);
    json_put_uint(json, "num_subtasks", part->count);
    json_put_uint(json, "num_acknowledged_subtasks", part->acked_count);
}

/* Newer complete ones than are retained have taken its place. */
static bool is_discarded(const struct job *job, const struct history_checkpoint *it)
{
    uint32_t newer = 0;
    const struct history_checkpoint *other;
    for (uint32_t i = 0; (other = history_checkpoint(&job->history, i)) != NULL; i++)
        newer += other->number > it->number && other->status == HISTORY_COMPLETED &&
                 !other->is_savepoint;
    return !it->is_savepoint && job->spec != NULL && newer >= job->spec->retained;
}

static void put_tasks(struct json *json, const struct job *job, const struct history_checkpoint *it)
{
    char id[DISPATCHER_ID_SIZE];
    for (uint32_t i = 0; job->plan != NULL && i < job->plan->vertex_count; i++) {
        const struct plan_vertex *vertex = &job->plan->vertices[i];
        struct part part = part_of(job, it, vertex->first_subtask, vertex->parallelism);
        dispatcher_vertex_id(job->plan, i, id);
        json_put_object(json, id);
        json_put_uint(json, "id", it->number);
        put_part(json, &part);
        json_put_end(json);
    }
}

static void put_checkpoint(struct json *json, const char *name, const struct job *job,
    const struct history_checkpoint *it, bool has_tasks)
{
    static const char *const classes[] = { "in_progress", "completed", "failed" };
    if (it == NULL) {
        json_put_null(json, name);
        return;
    }
    struct part part = whole(job, it);
    json_put_object(json, name);
    json_put_text(json, "className", classes[it->status]);
    json_put_uint(json, "id", it->number);
    json_put_bool(json, "is_savepoint", it->is_savepoint);
    json_put_text(json, "savepointFormat", it->is_savepoint ? "CANONICAL" : NULL);
    json_put_int(json, "trigger_timestamp", it->triggered_ms);
    put_part(json, &part);
    json_put_text(json, "checkpoint_type", it->is_savepoint ? "SAVEPOINT" : "CHECKPOINT");
    json_put_object(json, "tasks");
    if (has_tasks)
        put_tasks(json, job, it);
    json_put_end(json);
    if (it->status == HISTORY_COMPLETED) {
        json_put_text(json, "external_path",
            it->path == NULL ? "<checkpoint-not-externally-addressable>" : it->path);
        json_put_bool(json, "discarded", is_discarded(job, it));
    } else if (it->status == HISTORY_FAILED) {
        json_put_int(json, "failure_timestamp", it->ended_ms);
        json_put_text(json, "failure_message", it->why);
    }
    json_put_end(json);
}

/* -- all of them ---------------------------------------------------------------------------- */

static void put_counts(struct json *json, const struct history *history)
{
    uint32_t pending = 0;
    const struct history_checkpoint *it;
    for (uint32_t i = 0; (it = history_checkpoint(history, i)) != NULL; i++)
        pending += it->status == HISTORY_IN_PROGRESS;
    json_put_object(json, "counts");
    json_put_uint(json, "restored", history->restored_count);
    json_put_uint(json, "total", history->checkpoint_count);
    json_put_uint(json, "in_progress", pending);
    json_put_uint(json, "completed", history->completed_count);
    json_put_uint(json, "failed", history->failed_count);
    json_put_end(json);
}

static void put_summaries(struct json *json, const struct history *history)
{
    static const char *const sizes[] = { "checkpointed_size", "state_size" };
    static const char *const zeros[] = { "alignment_buffered", "processed_data" };
    int64_t values[HISTORY_CHECKPOINTS], durations[HISTORY_CHECKPOINTS];
    int64_t in_flight[HISTORY_CHECKPOINTS];
    uint32_t count = 0;
    const struct history_checkpoint *it;
    for (uint32_t i = 0; (it = history_checkpoint(history, i)) != NULL; i++) {
        if (it->status != HISTORY_COMPLETED)
            continue;
        values[count] = (int64_t)it->size;
        in_flight[count] = 0;
        for (uint32_t a = 0; a < history->subtask_count; a++)
            in_flight[count] += (int64_t)it->acks[a].in_flight;
        durations[count++] = it->ended_ms - it->triggered_ms;
    }
    json_put_object(json, "summary");
    for (uint32_t i = 0; i < 2; i++)
        rest_put_summary(json, sizes[i], values, count);
    rest_put_summary(json, "end_to_end_duration", durations, count);
    for (uint32_t i = 0; i < 2; i++)
        rest_put_summary(json, zeros[i], NULL, 0);
    rest_put_summary(json, "persisted_data", in_flight, count);
    json_put_end(json);
}

static void put_latest(struct json *json, const struct job *job)
{
    const struct history *history = &job->history;
    json_put_object(json, "latest");
    put_checkpoint(json, "completed", job, history_newest(history, HISTORY_COMPLETED, false),
        false);
    put_checkpoint(json, "savepoint", job, history_newest(history, HISTORY_COMPLETED, true), false);
    put_checkpoint(json, "failed", job, history_newest(history, HISTORY_FAILED, false), false);
    if (history->restored_count == 0) {
        json_put_null(json, "restored");
    } else {
        const struct history_checkpoint *from = history_find(history, history->restored);
        json_put_object(json, "restored");
        json_put_uint(json, "id", history->restored);
        json_put_int(json, "restore_timestamp", history->restored_ms);
        json_put_bool(json, "is_savepoint", history->was_savepoint);
        json_put_text(json, "external_path", from == NULL ? NULL : from->path);
        json_put_end(json);
    }
    json_put_end(json);
}

void rest_checkpoints(struct call *call)
{
    struct json *json = &call->json;
    const struct history *history = &call->job->history;
    const struct history_checkpoint *it;
    json_put_object(json, NULL);
    put_counts(json, history);
    put_summaries(json, history);
    put_latest(json, call->job);
    json_put_array(json, "history");
    for (uint32_t i = 0; i < HISTORY_SHOWN && (it = history_checkpoint(history, i)) != NULL; i++)
        put_checkpoint(json, NULL, call->job, it, false);
    json_put_end(json);
    json_put_end(json);
}

void rest_checkpoint_config(struct call *call)
{
    struct json *json = &call->json;
    const struct job_spec *spec = call->job->spec;
    if (spec == NULL) {
        rest_error(call, 404, "Job %s is not planned yet", call->job->id);
        return;
    }
    json_put_object(json, NULL);
    json_put_text(json, "mode", "exactly_once");
    json_put_int(json, "interval", spec->interval_ms > 0 ? spec->interval_ms : INT64_MAX);
    json_put_int(json, "timeout", spec->timeout_ms);
    json_put_int(json, "min_pause", spec->min_pause_ms);
    json_put_int(json, "max_concurrent", 1);
    json_put_object(json, "externalization");
    json_put_bool(json, "enabled", true);
    json_put_bool(json, "delete_on_cancellation", false);
    json_put_end(json);
    json_put_text(json, "state_backend", spec->backend == NULL ? "none" : spec->backend);
    json_put_text(json, "checkpoint_storage",
        spec->checkpoints == NULL ? "of the job manager" : spec->checkpoints);
    json_put_bool(json, "unaligned_checkpoints", true);
    json_put_int(json, "tolerable_failed_checkpoints", INT32_MAX);
    json_put_int(json, "aligned_checkpoint_timeout", spec->aligned_timeout_ms);
    json_put_bool(json, "checkpoints_after_tasks_finish", true);
    json_put_bool(json, "state_changelog_enabled", false);
    json_put_int(json, "changelog_periodic_materialization_interval", 0);
    json_put_text(json, "changelog_storage", "none");
    json_put_end(json);
}

/* -- one ------------------------------------------------------------------------------------ */

static const struct history_checkpoint *find(struct call *call)
{
    const struct history_checkpoint *it = history_find(&call->job->history, call->number);
    if (it == NULL)
        rest_error(call, 404, "Could not find checkpointing statistics for checkpoint %llu.",
            (unsigned long long)call->number);
    return it;
}

void rest_checkpoint(struct call *call)
{
    const struct history_checkpoint *it = find(call);
    if (it != NULL)
        put_checkpoint(&call->json, NULL, call->job, it, true);
}

enum ack_value {
    ACK_SIZE,
    ACK_DURATION,
    ACK_SYNC,
    ACK_ASYNC,
    ACK_ALIGNMENT,
    ACK_IN_FLIGHT,
    ACK_DELAY
};

static int64_t ack_value(const struct history_checkpoint *it, const struct history_ack *ack,
    enum ack_value value)
{
    int64_t duration_ms = ack->at_ms - it->triggered_ms;
    int64_t known_ms = (ack->sync_us + ack->async_us + ack->alignment_us) / 1000;
    switch (value) {
    case ACK_SIZE:
        return (int64_t)ack->size;
    case ACK_DURATION:
        return duration_ms;
    case ACK_SYNC:
        return ack->sync_us / 1000;
    case ACK_ASYNC:
        return ack->async_us / 1000;
    case ACK_ALIGNMENT:
        return ack->alignment_us / 1000;
    case ACK_IN_FLIGHT:
        return (int64_t)ack->in_flight;
    case ACK_DELAY:
        return duration_ms > known_ms ? duration_ms - known_ms : 0;
    }
    return 0;
}

/* The subtasks of a vertex: where they begin, and how many there are. */
struct range {
    const struct job *job;
    uint32_t first, count;
};

static void put_ack_summary(struct json *json, const char *name,
    const struct history_checkpoint *it, struct range range, enum ack_value value)
{
    int64_t *values = mem_alloc_array(range.count, sizeof(*values));
    uint32_t count = 0;
    for (uint32_t i = 0; i < range.count; i++) {
        const struct history_ack *ack = ack_of(range.job, it, range.first + i);
        if (ack->at_ms != 0)
            values[count++] = ack_value(it, ack, value);
    }
    rest_put_summary(json, name, values, count);
    mem_free(values);
}

static void put_ack_summaries(struct json *json, const struct history_checkpoint *it,
    struct range range)
{
    json_put_object(json, "summary");
    put_ack_summary(json, "checkpointed_size", it, range, ACK_SIZE);
    put_ack_summary(json, "state_size", it, range, ACK_SIZE);
    put_ack_summary(json, "end_to_end_duration", it, range, ACK_DURATION);
    json_put_object(json, "checkpoint_duration");
    put_ack_summary(json, "sync", it, range, ACK_SYNC);
    put_ack_summary(json, "async", it, range, ACK_ASYNC);
    json_put_end(json);
    json_put_object(json, "alignment");
    rest_put_summary(json, "buffered", NULL, 0);
    rest_put_summary(json, "processed", NULL, 0);
    put_ack_summary(json, "persisted", it, range, ACK_IN_FLIGHT);
    put_ack_summary(json, "duration", it, range, ACK_ALIGNMENT);
    json_put_end(json);
    put_ack_summary(json, "start_delay", it, range, ACK_DELAY);
    json_put_end(json);
}

static void put_ack(struct json *json, const struct history_checkpoint *it, uint32_t index,
    const struct history_ack *ack)
{
    json_put_object(json, NULL);
    json_put_text(json, "className", ack->at_ms == 0 ? "pending" : "completed");
    json_put_uint(json, "index", index);
    json_put_text(json, "status", ack->at_ms == 0 ? "pending_or_failed" : "completed");
    if (ack->at_ms != 0) {
        json_put_int(json, "ack_timestamp", ack->at_ms);
        json_put_int(json, "end_to_end_duration", ack_value(it, ack, ACK_DURATION));
        json_put_uint(json, "checkpointed_size", ack->size);
        json_put_uint(json, "state_size", ack->size);
        json_put_object(json, "checkpoint");
        json_put_int(json, "sync", ack_value(it, ack, ACK_SYNC));
        json_put_int(json, "async", ack_value(it, ack, ACK_ASYNC));
        json_put_end(json);
        json_put_object(json, "alignment");
        json_put_int(json, "buffered", 0);
        json_put_int(json, "processed", 0);
        json_put_uint(json, "persisted", ack->in_flight);
        json_put_int(json, "duration", ack_value(it, ack, ACK_ALIGNMENT));
        json_put_end(json);
        json_put_int(json, "start_delay", ack_value(it, ack, ACK_DELAY));
        json_put_bool(json, "unaligned_checkpoint", ack->in_flight > 0);
        json_put_bool(json, "aborted", false);
    }
    json_put_end(json);
}

void rest_checkpoint_vertex(struct call *call)
{
    const struct history_checkpoint *it = find(call);
    if (it == NULL)
        return;
    const struct plan_vertex *vertex = &call->job->plan->vertices[call->vertex];
    struct range range = { call->job, vertex->first_subtask, vertex->parallelism };
    struct part part = part_of(call->job, it, range.first, range.count);
    json_put_object(&call->json, NULL);
    json_put_uint(&call->json, "id", it->number);
    put_part(&call->json, &part);
    put_ack_summaries(&call->json, it, range);
    json_put_array(&call->json, "subtasks");
    for (uint32_t i = 0; i < range.count; i++)
        put_ack(&call->json, it, i, ack_of(call->job, it, range.first + i));
    json_put_end(&call->json);
    json_put_end(&call->json);
}

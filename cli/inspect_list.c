/* inspect_list.c -- the contents: operators, their states, what of them is in which subtask; as text, and as one
 * object of JSON, which has all that the text has. Prefixes: inspect_ */
#include "cli/inspect.h"

#include "base/buffer.h"
#include "base/plural.h"
#include "cli/json_text.h"
#include "cli/verb.h"
#include "types/schema.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static uint64_t size_of(const struct state_file *files, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += files[i].length;
    return size;
}

static void put_time(int64_t ms, weir_buffer *out)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];
    if (gmtime_r(&seconds, &tm) == NULL || strftime(text, sizeof(text), "%FT%TZ", &tm) == 0)
        buffer_printf(out, "%" PRId64 " ms", ms);
    else
        buffer_printf(out, "%s", text);
}

static uint64_t size_of_all(const struct checkpoint_metadata *metadata)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        size += size_of(metadata->operators[i].files, metadata->operators[i].file_count) +
                size_of(metadata->operators[i].staged, metadata->operators[i].staged_count);
    return size;
}

static uint64_t size_of_items(const struct operator_snapshot *op)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < op->item_count; i++)
        size += op->items[i].value.size;
    return size;
}

static bool is_first(const struct checkpoint_metadata *metadata, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (weir_str_equal(metadata->operators[i].uid, metadata->operators[index].uid))
            return false;
    return true;
}

/* -- as text -------------------------------------------------------------------------------- */

static void put_head(const struct inspection *it, weir_buffer *out)
{
    const struct checkpoint_metadata *metadata = &it->snapshot.metadata;
    if (it->snapshot.is_savepoint)
        buffer_printf(out, "savepoint of job '%.*s', made from checkpoint %" PRIu64,
            (int)metadata->job.size, metadata->job.data, metadata->checkpoint);
    else
        buffer_printf(out, "checkpoint %" PRIu64 " of job '%.*s'", metadata->checkpoint,
            (int)metadata->job.size, metadata->job.data);
    buffer_printf(out, " of attempt %" PRIu64 "\ntaken ", metadata->attempt);
    put_time(metadata->started_ms, out);
    buffer_printf(out, ", maximum parallelism %u, %" PRIu64 " bytes in files\n",
        metadata->max_parallelism, size_of_all(metadata));
}

static void put_state(const struct weir_state *state, weir_buffer *out)
{
    buffer_printf(out, "  state '%s': %s of ", state->name, state_kind_name(state->kind));
    schema_print(state->type, out);
    if (state->ttl_ms != 0)
        buffer_printf(out, ", time to live %" PRId64 " ms in %s time", state->ttl_ms,
            state->ttl_time == WEIR_EVENT_TIME ? "event" : "processing");
    buffer_printf(out, "\n");
}

static weir_error *put_states(const struct operator_snapshot *op, weir_buffer *out)
{
    struct arena arena;
    struct state_schema schema;
    if (op->states.size == 0) {
        buffer_printf(out, ", in '%.*s'\n  states are not described: an older version of Weir\n",
            (int)op->backend.size, op->backend.data);
        return NULL;
    }
    arena_init(&arena, (size_t)16 << 10, (size_t)64 << 20);
    weir_error *error = scan_schema(op, &arena, &schema);
    for (uint32_t i = 0; error == NULL && i < schema.key_count; i++)
        buffer_printf(out, "%s%s %s", i == 0 ? ", keyed by " : ", ", schema.keys[i].name,
            schema_kind_name(schema.keys[i].kind));
    buffer_printf(out, ", in '%.*s'\n", (int)op->backend.size, op->backend.data);
    for (uint32_t i = 0; error == NULL && i < schema.state_count; i++)
        put_state(&schema.states[i], out);
    arena_release(&arena);
    return error;
}

/* Staged files, but for records in flight. */
struct connector_files {
    uint32_t count;
    uint64_t size;
};

static struct connector_files connector_files_of(const struct operator_snapshot *op)
{
    struct connector_files files = { .size = size_of(op->staged, op->staged_count) -
                                             checkpoint_in_flight_size(op) };
    for (uint32_t i = 0; i < op->staged_count; i++)
        files.count += strcmp(op->staged[i].name, IN_FLIGHT_NAME) != 0;
    return files;
}

static void put_subtask(const struct operator_snapshot *op, weir_buffer *out)
{
    buffer_printf(out, "  subtask %u:", op->subtask);
    if (op->backend.size > 0)
        buffer_printf(out, " key groups %u to %u, %" PRIu64 " bytes in %u file%s", op->groups.first,
            op->groups.last, size_of(op->files, op->file_count), op->file_count,
            plural(op->file_count));
    struct connector_files files = connector_files_of(op);
    if (files.count > 0)
        buffer_printf(out, " %u file%s of its connector, %" PRIu64 " bytes", files.count,
            plural(files.count), files.size);
    if (files.count < op->staged_count)
        buffer_printf(out, " %" PRIu64 " bytes of records in flight",
            checkpoint_in_flight_size(op));
    if (op->item_count > 0)
        buffer_printf(out, " %u item%s of its connector, %" PRIu64 " bytes", op->item_count,
            plural(op->item_count), size_of_items(op));
    for (uint32_t i = 0; i < op->counter_count; i++)
        buffer_printf(out, " %.*s=%" PRId64, (int)op->counter_names[i].size,
            op->counter_names[i].data, op->counters[i]);
    buffer_printf(out, "\n");
}

static weir_error *put_operator(const struct checkpoint_metadata *metadata, uint32_t index,
    weir_buffer *out)
{
    const struct operator_snapshot *op = &metadata->operators[index];
    buffer_printf(out, "operator '%.*s', %u subtask%s", (int)op->uid.size, op->uid.data,
        op->parallelism, plural(op->parallelism));
    if (op->backend.size > 0)
        WEIR_TRY(put_states(op, out));
    else
        buffer_printf(out, "\n");
    for (uint32_t i = index; i < metadata->operator_count; i++)
        if (weir_str_equal(metadata->operators[i].uid, op->uid))
            put_subtask(&metadata->operators[i], out);
    return NULL;
}

static weir_error *put_all(const struct inspection *it, weir_buffer *out)
{
    const struct checkpoint_metadata *metadata = &it->snapshot.metadata;
    put_head(it, out);
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        if (is_first(metadata, i))
            WEIR_TRY(put_operator(metadata, i, out));
    return NULL;
}

/* -- as JSON -------------------------------------------------------------------------------- */

static void text(weir_buffer *out, const char *name, weir_str value)
{
    buffer_printf(out, "%s:", name);
    json_quoted(value, out);
}

static void json_state(const struct weir_state *state, weir_buffer *out)
{
    weir_buffer *type = weir_buffer_new(CLI_OUTPUT_MAX);
    schema_print(state->type, type);
    text(out, "{\"state\"", weir_str_of(state->name));
    text(out, ",\"kind\"", weir_str_of(state_kind_name(state->kind)));
    text(out, ",\"type\"", weir_buffer_view(type));
    if (state->ttl_ms != 0)
        buffer_printf(out, ",\"ttl_ms\":%" PRId64 ",\"ttl_time\":\"%s\"", state->ttl_ms,
            state->ttl_time == WEIR_EVENT_TIME ? "event" : "processing");
    buffer_printf(out, "}");
    weir_buffer_free(type);
}

/* Of an older version of Weir they are null. */
static weir_error *json_states(const struct operator_snapshot *op, weir_buffer *out)
{
    struct arena arena;
    struct state_schema schema;
    text(out, ",\"backend\"", op->backend);
    if (op->states.size == 0) {
        buffer_printf(out, ",\"key\":null,\"states\":null");
        return NULL;
    }
    arena_init(&arena, (size_t)16 << 10, (size_t)64 << 20);
    weir_error *error = scan_schema(op, &arena, &schema);
    buffer_printf(out, ",\"key\":[");
    for (uint32_t i = 0; error == NULL && i < schema.key_count; i++) {
        text(out, i == 0 ? "{\"field\"" : ",{\"field\"", weir_str_of(schema.keys[i].name));
        buffer_printf(out, ",\"kind\":\"%s\"}", schema_kind_name(schema.keys[i].kind));
    }
    buffer_printf(out, "],\"states\":[");
    for (uint32_t i = 0; error == NULL && i < schema.state_count; i++) {
        buffer_printf(out, i == 0 ? "" : ",");
        json_state(&schema.states[i], out);
    }
    buffer_printf(out, "]");
    arena_release(&arena);
    return error;
}

static void json_subtask(const struct operator_snapshot *op, weir_buffer *out)
{
    buffer_printf(out, "{\"subtask\":%u", op->subtask);
    if (op->backend.size > 0)
        buffer_printf(out, ",\"key_groups\":[%u,%u],\"files\":%u,\"bytes\":%" PRIu64,
            op->groups.first, op->groups.last, op->file_count, size_of(op->files, op->file_count));
    struct connector_files files = connector_files_of(op);
    buffer_printf(out,
        ",\"connector\":{\"files\":%u,\"bytes\":%" PRIu64 ",\"items\":%u"
        ",\"item_bytes\":%" PRIu64 "},\"in_flight\":%" PRIu64 ",\"counters\":{",
        files.count, files.size, op->item_count, size_of_items(op), checkpoint_in_flight_size(op));
    for (uint32_t i = 0; i < op->counter_count; i++) {
        buffer_printf(out, i == 0 ? "" : ",");
        json_quoted(op->counter_names[i], out);
        buffer_printf(out, ":%" PRId64, op->counters[i]);
    }
    buffer_printf(out, "}}");
}

static weir_error *json_operator(const struct checkpoint_metadata *metadata, uint32_t index,
    weir_buffer *out)
{
    const struct operator_snapshot *op = &metadata->operators[index];
    text(out, "{\"operator\"", op->uid);
    buffer_printf(out, ",\"parallelism\":%u", op->parallelism);
    if (op->backend.size > 0)
        WEIR_TRY(json_states(op, out));
    buffer_printf(out, ",\"subtasks\":[");
    for (uint32_t i = index; i < metadata->operator_count; i++) {
        if (!weir_str_equal(metadata->operators[i].uid, op->uid))
            continue;
        buffer_printf(out, i == index ? "" : ",");
        json_subtask(&metadata->operators[i], out);
    }
    buffer_printf(out, "]}");
    return NULL;
}

static weir_error *json_all(const struct inspection *it, weir_buffer *out)
{
    const struct checkpoint_metadata *metadata = &it->snapshot.metadata;
    text(out, "{\"job\"", metadata->job);
    buffer_printf(out,
        ",\"savepoint\":%s,\"checkpoint\":%" PRIu64 ",\"attempt\":%" PRIu64 ",\"taken_ms\":%" PRId64
        ",\"max_parallelism\":%u,\"bytes\":%" PRIu64 ",\"operators\":[",
        it->snapshot.is_savepoint ? "true" : "false", metadata->checkpoint, metadata->attempt,
        metadata->started_ms, metadata->max_parallelism, size_of_all(metadata));
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        if (!is_first(metadata, i))
            continue;
        buffer_printf(out, i == 0 ? "" : ",");
        WEIR_TRY(json_operator(metadata, i, out));
    }
    buffer_printf(out, "]}\n");
    return NULL;
}

weir_error *inspect_list(const struct inspection *it)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    weir_error *error = it->is_json ? json_all(it, out) : put_all(it, out);
    if (error == NULL || !it->is_json)
        return weir_error_join(error, buffer_to_stdout(out));
    weir_buffer_free(out);
    return error;
}

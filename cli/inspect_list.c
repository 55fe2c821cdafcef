/* inspect_list.c -- the contents: operators, their states, what of them is in which subtask. Prefixes: inspect_ */
#include "cli/inspect.h"

#include "base/buffer.h"
#include "cli/verb.h"
#include "types/schema.h"

#include <inttypes.h>
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

static void put_head(const struct inspection *it, weir_buffer *out)
{
    const struct checkpoint_metadata *metadata = &it->snapshot.metadata;
    uint64_t size = 0;
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        size += size_of(metadata->operators[i].files, metadata->operators[i].file_count) +
                size_of(metadata->operators[i].staged, metadata->operators[i].staged_count);
    if (it->snapshot.is_savepoint)
        buffer_printf(out, "savepoint of job '%.*s', made from checkpoint %" PRIu64,
            (int)metadata->job.size, metadata->job.data, metadata->checkpoint);
    else
        buffer_printf(out, "checkpoint %" PRIu64 " of job '%.*s'", metadata->checkpoint,
            (int)metadata->job.size, metadata->job.data);
    buffer_printf(out, " of attempt %" PRIu64 "\ntaken ", metadata->attempt);
    put_time(metadata->started_ms, out);
    buffer_printf(out, ", maximum parallelism %u, %" PRIu64 " bytes in files\n",
        metadata->max_parallelism, size);
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

static void put_subtask(const struct operator_snapshot *op, weir_buffer *out)
{
    buffer_printf(out, "  subtask %u:", op->subtask);
    if (op->backend.size > 0)
        buffer_printf(out, " key groups %u to %u, %" PRIu64 " bytes in %u files", op->groups.first,
            op->groups.last, size_of(op->files, op->file_count), op->file_count);
    if (op->staged_count > 0)
        buffer_printf(out, " %u files of its connector, %" PRIu64 " bytes", op->staged_count,
            size_of(op->staged, op->staged_count));
    uint64_t items_size = 0;
    for (uint32_t i = 0; i < op->item_count; i++)
        items_size += op->items[i].value.size;
    if (op->item_count > 0)
        buffer_printf(out, " %u items of its connector, %" PRIu64 " bytes", op->item_count,
            items_size);
    for (uint32_t i = 0; i < op->counter_count; i++)
        buffer_printf(out, " %.*s=%" PRId64, (int)op->counter_names[i].size,
            op->counter_names[i].data, op->counters[i]);
    buffer_printf(out, "\n");
}

static bool is_first(const struct checkpoint_metadata *metadata, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (weir_str_equal(metadata->operators[i].uid, metadata->operators[index].uid))
            return false;
    return true;
}

static weir_error *put_operator(const struct checkpoint_metadata *metadata, uint32_t index,
    weir_buffer *out)
{
    const struct operator_snapshot *op = &metadata->operators[index];
    buffer_printf(out, "operator '%.*s', %u subtask%s", (int)op->uid.size, op->uid.data,
        op->parallelism, op->parallelism == 1 ? "" : "s");
    if (op->backend.size > 0)
        WEIR_TRY(put_states(op, out));
    else
        buffer_printf(out, "\n");
    for (uint32_t i = index; i < metadata->operator_count; i++)
        if (weir_str_equal(metadata->operators[i].uid, op->uid))
            put_subtask(&metadata->operators[i], out);
    return NULL;
}

weir_error *inspect_list(const struct inspection *it)
{
    const struct checkpoint_metadata *metadata = &it->snapshot.metadata;
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    weir_error *error = NULL;
    put_head(it, out);
    for (uint32_t i = 0; i < metadata->operator_count && error == NULL; i++)
        if (is_first(metadata, i))
            error = put_operator(metadata, i, out);
    return weir_error_join(error, buffer_to_stdout(out));
}

/* inspect_verify.c -- is everything there and whole? Every subtask with its share of the key groups, files by length
 * and checksum, then every entry: does it
 * belong to a state that is listed, is its record one of its type, is its key in the right group. So what
 * passes here is what a restore can read. Prefixes: inspect_ */
#include "cli/inspect.h"

#include "base/buffer.h"
#include "checkpoint/published.h"
#include "checkpoint/restore.h"
#include "cli/json_text.h"
#include "cli/verb.h"
#include "types/key.h"

#include <inttypes.h>

/* Thread: one. */
struct counting {
    const struct checkpoint_metadata *metadata;
    const struct operator_snapshot *op;
    struct state_schema schema;
    uint64_t counts[WEIR_STATES_MAX];
    uint64_t timers;
};

static weir_error *count(void *arg, const struct scan_entry *entry)
{
    struct counting *it = arg;
    uint32_t group = key_group_of(key_hash(entry->head.key), it->metadata->max_parallelism);
    if (!group_range_has(it->op->groups, group))
        return weir_errorf(WEIR_E_CORRUPT,
            "operator '%.*s', subtask %u: a key of group %u is among those of groups %u to %u",
            (int)it->op->uid.size, it->op->uid.data, it->op->subtask, group, it->op->groups.first,
            it->op->groups.last);
    if (entry->state == NULL)
        it->timers++;
    else if (!entry->is_list_end)
        it->counts[entry->head.state]++;
    return NULL;
}

static void put_counts(const struct counting *it, weir_buffer *out)
{
    buffer_printf(out, "operator '%.*s', subtask %u:", (int)it->op->uid.size, it->op->uid.data,
        it->op->subtask);
    for (uint32_t i = 0; i < it->schema.state_count; i++)
        buffer_printf(out, " %" PRIu64 " in '%s',", it->counts[i], it->schema.states[i].name);
    buffer_printf(out, " %" PRIu64 " timers\n", it->timers);
}

static void put_json(const struct counting *it, weir_buffer *out)
{
    buffer_printf(out, "{\"operator\":");
    json_quoted(it->op->uid, out);
    buffer_printf(out, ",\"subtask\":%u,\"states\":{", it->op->subtask);
    for (uint32_t i = 0; i < it->schema.state_count; i++) {
        buffer_printf(out, i == 0 ? "" : ",");
        json_quoted(weir_str_of(it->schema.states[i].name), out);
        buffer_printf(out, ":%" PRIu64, it->counts[i]);
    }
    buffer_printf(out, "},\"timers\":%" PRIu64 "}\n", it->timers);
}

static weir_error *verify_operator(const struct inspection *it, const struct operator_snapshot *op,
    weir_buffer *out)
{
    struct counting counting = { .metadata = &it->snapshot.metadata, .op = op };
    struct scan_place place = { .dir = it->snapshot.dir, .work_dir = it->work_dir };
    struct arena arena;
    arena_init(&arena, (size_t)16 << 10, (size_t)64 << 20);
    weir_error *error = scan_schema(op, &arena, &counting.schema);
    if (error == NULL)
        error = state_scan(&place, op, count, &counting);
    if (error == NULL && it->is_json)
        put_json(&counting, out);
    else if (error == NULL)
        put_counts(&counting, out);
    arena_release(&arena);
    return error;
}

weir_error *inspect_verify(const struct inspection *it)
{
    const struct checkpoint_metadata *metadata = &it->snapshot.metadata;
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    uint64_t files = 0;
    weir_error *error = restore_check_whole(metadata);
    if (error == NULL)
        error = published_verify(it->snapshot.dir, NULL, metadata);
    for (uint32_t i = 0; i < metadata->operator_count && error == NULL; i++) {
        const struct operator_snapshot *op = &metadata->operators[i];
        files += op->file_count + op->staged_count;
        if (op->backend.size > 0)
            error = verify_operator(it, op, out);
    }
    if (error == NULL)
        buffer_printf(out,
            it->is_json ? "{\"whole\":true,\"files\":%" PRIu64 "}\n"
                        : "whole: %" PRIu64 " files, all checksums right\n",
            files);
    error = weir_error_join(error, buffer_to_stdout(out));
    return error == NULL ? NULL : weir_error_wrap(error, "%s is not whole", it->path);
}

/* restore.c -- old subtasks to new ones, and whether the job still fits its checkpoint. */
#include "checkpoint/restore.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/buffer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MISTAKES_SIZE_MAX ((size_t)64 << 10)

/* -- one new subtask ------------------------------------------------------------------------ */

static bool has_keyed_state(const struct operator_snapshot *operator)
{
    return operator->backend.size> 0;
}

/* How many elements the arrays of `restore` need at most. */
static void count_up(const struct checkpoint_metadata *metadata, weir_str uid,
    struct operator_restore *restore)
{
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *old = &metadata->operators[i];
        if (!weir_str_equal(old->uid, uid))
            continue;
        restore->source_count++;
        restore->item_count += old->item_count;
        restore->staged_count += old->staged_count;
    }
}

static void take(const struct operator_snapshot *old, struct group_range groups,
    struct operator_restore *restore)
{
    restore->old_parallelism = old->parallelism;
    if (has_keyed_state(old) && group_range_overlaps(old->groups, groups))
        restore->sources[restore->source_count++] = (struct backend_source){ .groups = old->groups,
            .files = old->files,
            .file_count = old->file_count };
    for (uint32_t i = 0; i < old->item_count; i++)
        restore->items[restore->item_count++] = old->items[i];
    for (uint32_t i = 0; i < old->staged_count; i++) {
        restore->staged[restore->staged_count] = old->staged[i];
        restore->staged_subtasks[restore->staged_count++] = old->subtask;
    }
}

void restore_operator(const struct checkpoint_metadata *metadata, weir_str uid,
    struct group_range groups, struct arena *arena, struct operator_restore *restore)
{
    struct operator_restore room = { .source_count = 0 };
    count_up(metadata, uid, &room);
    *restore = (struct operator_restore){
        .sources = arena_alloc(arena, room.source_count * sizeof(*room.sources)),
        .items = arena_alloc(arena, room.item_count * sizeof(*room.items)),
        .staged = arena_alloc(arena, room.staged_count * sizeof(*room.staged)),
        .staged_subtasks = arena_alloc(arena, room.staged_count * sizeof(*room.staged_subtasks)),
    };
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        if (weir_str_equal(metadata->operators[i].uid, uid))
            take(&metadata->operators[i], groups, restore);
    ASSERT(restore->source_count <= room.source_count);
    ASSERT(restore->item_count == room.item_count);
    ASSERT(restore->staged_count == room.staged_count);
}

int64_t restore_counter(const struct checkpoint_metadata *metadata, weir_str uid, weir_str counter)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *old = &metadata->operators[i];
        if (!weir_str_equal(old->uid, uid))
            continue;
        for (uint32_t j = 0; j < old->counter_count; j++)
            if (weir_str_equal(old->counter_names[j], counter))
                sum += old->counters[j];
    }
    return sum;
}

/* -- the whole job -------------------------------------------------------------------------- */

static void mistake(weir_buffer *mistakes, weir_str uid, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void mistake(weir_buffer *mistakes, weir_str uid, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (uid.size > 0)
        buffer_printf(mistakes, "\n  operator '%.*s' %s", (int)uid.size, uid.data, text);
    else
        buffer_printf(mistakes, "\n  %s", text);
}

static void schema_lines(weir_buffer *mistakes, const char *title, weir_str text)
{
    buffer_printf(mistakes, "\n    %s:", title);
    if (text.size == 0)
        weir_buffer_add_str(mistakes, WEIR_STR(" nothing"));
    for (size_t at = 0; at < text.size;) {
        const char *line = text.data + at;
        const char *feed = memchr(line, '\n', text.size - at);
        size_t size = feed == NULL ? text.size - at : (size_t)(feed - line);
        weir_buffer_add_str(mistakes, WEIR_STR("\n      "));
        weir_buffer_add(mistakes, line, size);
        at += size + 1;
    }
}

/* The first snapshot of each operator speaks for all its subtasks. */
static bool is_first(const struct checkpoint_metadata *metadata, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (weir_str_equal(metadata->operators[i].uid, metadata->operators[index].uid))
            return false;
    return true;
}

/* What is wrong with one subtask's snapshot beside the first one's; NULL: nothing. */
static const char *subtask_mistake(const struct checkpoint_metadata *metadata,
    const struct operator_snapshot *first, const struct operator_snapshot *old)
{
    if (old->parallelism != first->parallelism || !weir_str_equal(old->backend, first->backend) ||
        old->schema != first->schema)
        return "has subtasks that do not fit together";
    if (!has_keyed_state(old))
        return NULL;
    struct group_range groups =
        key_group_range(old->subtask, old->parallelism, metadata->max_parallelism);
    return old->groups.first == groups.first && old->groups.last == groups.last
               ? NULL
               : "has a subtask with key groups of another one";
}

/* A checkpoint that was written right has every subtask once, each with its share of the groups. */
static void check_complete(const struct checkpoint_metadata *metadata,
    const struct operator_snapshot *first, weir_buffer *mistakes)
{
    const char *what = NULL;
    if (first->parallelism > MAX_PARALLELISM_LIMIT || metadata->max_parallelism == 0 ||
        metadata->max_parallelism > MAX_PARALLELISM_LIMIT ||
        (has_keyed_state(first) && first->parallelism > metadata->max_parallelism))
        what = "has a parallelism that cannot be";
    uint32_t found = 0;
    bool *seen = mem_alloc_array(what == NULL ? first->parallelism : 0, sizeof(*seen));
    for (uint32_t i = 0; i < metadata->operator_count && what == NULL; i++) {
        const struct operator_snapshot *old = &metadata->operators[i];
        if (!weir_str_equal(old->uid, first->uid))
            continue;
        what = subtask_mistake(metadata, first, old);
        if (what == NULL && seen[old->subtask])
            what = "has one subtask twice";
        else if (what == NULL)
            seen[old->subtask] = true;
        found++;
    }
    mem_free(seen);
    if (what == NULL && found != first->parallelism)
        what = "lacks a subtask";
    if (what != NULL)
        mistake(mistakes, first->uid,
            "%s in the checkpoint, which was not written by Weir or is"
            " damaged",
            what);
}

static bool has_state(const struct checkpoint_metadata *metadata, weir_str uid)
{
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *old = &metadata->operators[i];
        if (weir_str_equal(old->uid, uid) &&
            (has_keyed_state(old) || old->item_count > 0 || old->staged_count > 0))
            return true;
    }
    return false;
}

static void compare(const struct operator_snapshot *old, const struct restore_expectation *expected,
    weir_buffer *mistakes)
{
    if (!has_keyed_state(old))
        return; /* state that is new in this operator starts empty */
    if (expected->backend.size > 0 && !weir_str_equal(old->backend, expected->backend))
        mistake(mistakes, old->uid,
            "kept its state in '%.*s', and is to keep it in '%.*s' now:"
            " choose the old one, or start from the checkpoint with --from-savepoint in a new "
            "directory",
            (int)old->backend.size, old->backend.data, (int)expected->backend.size,
            expected->backend.data);
    if (expected->backend.size > 0 && old->schema == expected->schema)
        return;
    mistake(mistakes, old->uid,
        expected->backend.size > 0 ? "has other states than it had (--from-savepoint, in a new "
                                     "directory, keeps what can be kept)"
                                   : "keeps no keyed state any more");
    schema_lines(mistakes, "in the checkpoint", old->schema_text);
    schema_lines(mistakes, "in the job", expected->schema_text);
}

static const struct restore_expectation *find(const struct restore_expectation *expectations,
    uint32_t count, weir_str uid)
{
    for (uint32_t i = 0; i < count; i++)
        if (weir_str_equal(expectations[i].uid, uid))
            return &expectations[i];
    return NULL;
}

static void check_all(const struct checkpoint_metadata *metadata,
    const struct restore_expectation *expectations, uint32_t count, uint32_t max_parallelism,
    weir_buffer *mistakes)
{
    if (metadata->max_parallelism != max_parallelism)
        mistake(mistakes, (weir_str){ .data = NULL },
            "the checkpoint was made with a maximum"
            " parallelism of %" PRIu32 ", the job has %" PRIu32 " now: it is fixed at the first"
            " start, set it back",
            metadata->max_parallelism, max_parallelism);
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *old = &metadata->operators[i];
        if (!is_first(metadata, i))
            continue;
        check_complete(metadata, old, mistakes);
        const struct restore_expectation *expected = find(expectations, count, old->uid);
        if (expected != NULL)
            compare(old, expected, mistakes);
        else if (has_state(metadata, old->uid))
            mistake(mistakes, old->uid,
                "has state in the checkpoint, but is not in the job any"
                " more: put it back, or keep its uid if it was only renamed");
    }
}

weir_error *restore_check(const struct checkpoint_metadata *metadata,
    const struct restore_expectation *expectations, uint32_t count, uint32_t max_parallelism)
{
    weir_buffer *mistakes = weir_buffer_new(MISTAKES_SIZE_MAX);
    check_all(metadata, expectations, count, max_parallelism, mistakes);
    weir_error *error = NULL;
    if (buffer_size(mistakes) > 0)
        error = weir_errorf(WEIR_E_STATE, "job '%.*s' does not fit its checkpoint %" PRIu64 ":%s",
            (int)metadata->job.size, metadata->job.data, metadata->checkpoint,
            buffer_text(mistakes));
    weir_buffer_free(mistakes);
    return error;
}

weir_error *restore_check_whole(const struct checkpoint_metadata *metadata)
{
    weir_buffer *mistakes = weir_buffer_new(MISTAKES_SIZE_MAX);
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        if (is_first(metadata, i))
            check_complete(metadata, &metadata->operators[i], mistakes);
    weir_error *error = NULL;
    if (buffer_size(mistakes) > 0)
        error = weir_errorf(WEIR_E_CORRUPT, "checkpoint %" PRIu64 " of job '%.*s':%s",
            metadata->checkpoint, (int)metadata->job.size, metadata->job.data,
            buffer_text(mistakes));
    weir_buffer_free(mistakes);
    return error;
}

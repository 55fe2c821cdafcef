/* savepoint_import.c -- see savepoint_import.h. */
#include "checkpoint/savepoint_import.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/os.h"
#include "checkpoint/savepoint.h"
#include "state/placement.h"
#include "state/stored.h"
#include "state/timer_entry.h"
#include "types/key.h"

#include <endian.h>
#include <inttypes.h>

#define REPORT_SIZE_MAX ((size_t)4 << 20)
#define ARENA_SIZE_MAX  ((size_t)16 << 30)

/* Thread: its stack's owner. */
struct import {
    const struct import_target *target;
    const struct snapshot_dir *from;
    const struct backend_class *verbs;
    struct migration_step *steps;
    uint32_t index; /* of the operator that is converted */
    /* Of that operator: */
    struct backend *backend;
    struct group_range groups;
    struct stored_form forms[WEIR_STATES_MAX]; /* by number in the job */
    struct placement placements[WEIR_STATES_MAX];
    char *record, *bytes, *name; /* room */
    size_t record_size, bytes_size, name_size;
    int64_t now_ms;
    uint64_t timers_dropped;
};

/* -- one entry ------------------------------------------------------------------------------ */

static char *room(char **bytes, size_t *size, size_t wanted)
{
    if (wanted > *size) {
        *size = wanted * 2;
        *bytes = mem_realloc(*bytes, *size);
    }
    return *bytes;
}

/* False: it belongs to another subtask, because the maximum parallelism is another one. */
static weir_error *row_of(const struct import *it, const struct scan_entry *entry, uint32_t state,
    struct row_key *row, bool *is_mine)
{
    uint64_t hash = key_hash(entry->head.key);
    uint32_t max = it->target->max_parallelism;
    *row = (struct row_key){ .key = entry->head.key,
        .hash = hash,
        .group = key_group_of(hash, max),
        .state = state };
    *is_mine = group_range_has(it->groups, row->group);
    if (entry->head.key.size > KEY_SIZE_MAX)
        return weir_errorf(WEIR_E_CORRUPT, "a key has %zu bytes, more than any can have",
            (size_t)entry->head.key.size);
    if (*is_mine || it->from->metadata.max_parallelism != max)
        return NULL;
    return weir_errorf(WEIR_E_CORRUPT, "a key of group %u is in the file of groups %u to %u",
        row->group, it->groups.first, it->groups.last);
}

static weir_error *import_timer(struct import *it, const struct scan_entry *entry)
{
    const struct timer_value *value = entry->record;
    struct row_key row;
    bool is_mine;
    WEIR_TRY(row_of(it, entry, STATE_NUMBER_TIMERS, &row, &is_mine));
    if (!is_mine)
        return NULL;
    if (!it->steps[it->index].expected->has_timers) {
        it->timers_dropped++;
        return NULL;
    }
    char name[TIMER_ENTRY_SIZE];
    timer_entry_put(name, value->is_event_time ? WEIR_EVENT_TIME : WEIR_PROCESSING_TIME,
        value->at_ms);
    return it->verbs->put(it->backend, &row, (weir_str){ .data = name, .size = sizeof(name) },
        WEIR_STR(""));
}

/* Entries that had no time to live begin it now. */
static int64_t expiry_of(const struct import *it, const struct scan_entry *entry,
    const struct stored_form *form)
{
    const struct stored_time now = { .now_ms = it->now_ms };
    return entry->state->ttl_ms != 0 ? entry->head.expires_ms : stored_expiry(form, &now);
}

/* The record as the job stores it, in it->bytes. */
static weir_error *encode(struct import *it, const struct scan_entry *entry,
    const struct stored_form *form, weir_str *value)
{
    if (entry->is_list_end) {
        uint64_t next = htole64(((const struct list_end *)entry->record)->next);
        value->size = form->header_size + sizeof(next);
        room(&it->bytes, &it->bytes_size, value->size);
        memcpy(it->bytes + form->header_size, &next, sizeof(next));
    } else {
        const struct weir_type *type = form->layout.type;
        void *record = room(&it->record, &it->record_size, type->size);
        migration_record(entry->type, entry->record, type, record);
        size_t size = layout_size(&form->layout, record);
        if (size > WEIR_RECORD_SIZE_MAX)
            return weir_errorf(WEIR_E_LIMIT, "a record of type '%s' is larger than %u bytes",
                type->name, WEIR_RECORD_SIZE_MAX);
        value->size = form->header_size + size;
        room(&it->bytes, &it->bytes_size, value->size);
        layout_write(&form->layout, record, it->bytes + form->header_size);
    }
    if (form->header_size > 0)
        stored_put_expiry(it->bytes, expiry_of(it, entry, form));
    value->data = it->bytes;
    return NULL;
}

static weir_error *import_entry(void *arg, const struct scan_entry *entry)
{
    struct import *it = arg;
    if (entry->state == NULL)
        return import_timer(it, entry);
    int to = it->steps[it->index].to[entry->head.state];
    if (to < 0)
        return NULL;
    struct row_key row;
    bool is_mine;
    const struct placement *placement = &it->placements[to];
    WEIR_TRY(row_of(it, entry, placement->row, &row, &is_mine));
    if (!is_mine)
        return NULL;
    weir_str value;
    WEIR_TRY(encode(it, entry, &it->forms[to], &value));
    weir_str name = entry->head.entry.data == NULL ? WEIR_STR("") : entry->head.entry;
    name = placement_name(placement, name, room(&it->name, &it->name_size, name.size + 1));
    return it->verbs->put(it->backend, &row, name, value);
}

/* -- one operator of one subtask ------------------------------------------------------------ */

/* Its own entries, or, when groups are computed anew, those of all subtasks that are of these groups. */
static weir_error *import_entries(struct import *it, const struct operator_snapshot *op)
{
    const struct checkpoint_metadata *stored = &it->from->metadata;
    struct scan_place place = { .dir = it->from->dir, .work_dir = it->target->work_dir };
    if (stored->max_parallelism == it->target->max_parallelism)
        return state_scan(&place, op, import_entry, it);
    for (uint32_t i = 0; i < stored->operator_count; i++)
        if (weir_str_equal(stored->operators[i].uid, op->uid))
            WEIR_TRY(state_scan(&place, &stored->operators[i], import_entry, it));
    return NULL;
}

static weir_error *take_snapshot(struct import *it, struct arena *arena,
    struct operator_snapshot *out)
{
    struct backend_snapshot *snapshot;
    WEIR_TRY(it->verbs->snapshot(it->backend, 1, &snapshot));
    weir_error *error = it->verbs->snapshot_write(snapshot, arena, &out->files, &out->file_count);
    it->verbs->snapshot_free(snapshot);
    return error;
}

static weir_error *convert_in(struct import *it, const struct operator_snapshot *op,
    const char *directory, struct arena *arena, struct operator_snapshot *out)
{
    struct backend_options options = { .directory = directory,
        .checkpoint_dir = it->target->checkpoint_dir,
        .attempt = it->target->attempt,
        .groups = it->groups,
        .memory_size = SCAN_MEMORY_SIZE };
    WEIR_TRY(it->verbs->open(&options, NULL, 0, &it->backend));
    weir_error *error = import_entries(it, op);
    if (error == NULL)
        error = take_snapshot(it, arena, out);
    it->verbs->close(it->backend);
    return error;
}

static weir_error *convert_keyed(struct import *it, const struct operator_snapshot *op,
    struct arena *arena, struct operator_snapshot *out)
{
    const struct restore_expectation *expected = it->steps[it->index].expected;
    for (uint32_t i = 0; i < expected->state_count; i++)
        stored_form_init(&it->forms[i], &expected->states[i]);
    placement_init(it->placements, expected->states, expected->state_count);
    it->groups = key_group_range(out->subtask, out->parallelism, it->target->max_parallelism);
    out->groups = it->groups;
    out->backend = it->target->backend;
    out->schema = expected->schema;
    out->schema_text = expected->schema_text;
    struct state_schema schema;
    state_schema_of(&schema, &expected->key, expected->states, expected->state_count);
    weir_buffer *states = weir_buffer_new(REPORT_SIZE_MAX);
    state_schema_put(&schema, states);
    weir_str view = weir_buffer_view(states);
    out->states = (weir_str){ .data = arena_dup(arena, view.data, view.size), .size = view.size };
    weir_buffer_free(states);
    char *directory = mem_printf("%s/import-%u", it->target->work_dir, it->index);
    weir_error *error = convert_in(it, op, directory, arena, out);
    mem_free(directory);
    return error;
}

static weir_error *store_staged(const struct import *it, const struct operator_snapshot *op,
    struct arena *arena, struct operator_snapshot *out)
{
    out->staged = arena_alloc(arena, op->staged_count * sizeof(*out->staged));
    for (uint32_t i = 0; i < op->staged_count; i++) {
        const struct state_file *file = &op->staged[i];
        WEIR_TRY(state_file_verify(it->from->dir, file));
        char *path = mem_printf("%s/%s", it->from->dir, file->path);
        weir_error *error = state_file_store(path, it->target->checkpoint_dir, it->target->attempt,
            file->name, arena, &out->staged[i]);
        mem_free(path);
        WEIR_TRY(error);
    }
    return NULL;
}

/* Subtasks that are no more, because the maximum parallelism is lower: what they have counted goes on in the
 * first one, as all counters do at a restore. */
static void inherit_counters(const struct import *it, struct arena *arena,
    struct operator_snapshot *out)
{
    const struct checkpoint_metadata *stored = &it->from->metadata;
    for (uint32_t i = 0; i < stored->operator_count && out->subtask == 0; i++) {
        const struct operator_snapshot *gone = &stored->operators[i];
        if (!weir_str_equal(gone->uid, out->uid) || gone->subtask < out->parallelism)
            continue;
        uint32_t count = out->counter_count + gone->counter_count;
        int64_t *counters = arena_alloc(arena, count * sizeof(*counters));
        weir_str *names = arena_alloc(arena, count * sizeof(*names));
        for (uint32_t c = 0; c < count; c++) {
            bool is_own = c < out->counter_count;
            uint32_t at = is_own ? c : c - out->counter_count;
            counters[c] = is_own ? out->counters[at] : gone->counters[at];
            names[c] = is_own ? out->counter_names[at] : gone->counter_names[at];
        }
        out->counters = counters;
        out->counter_names = names;
        out->counter_count = count;
    }
}

static weir_error *import_operator(struct import *it, struct subtask_snapshot *snapshot)
{
    const struct operator_snapshot *op = &it->from->metadata.operators[it->index];
    struct operator_snapshot *out = snapshot->operators;
    *out = *op;
    bool is_keyed = op->backend.size > 0;
    if (is_keyed && out->parallelism > it->target->max_parallelism)
        out->parallelism = it->target->max_parallelism;
    snapshot->operator_count = out->subtask < out->parallelism ? 1 : 0;
    if (snapshot->operator_count == 0)
        return NULL; /* its groups have gone to others */
    if (is_keyed) {
        inherit_counters(it, &snapshot->arena, out);
        WEIR_TRY(convert_keyed(it, op, &snapshot->arena, out));
    }
    return store_staged(it, op, &snapshot->arena, out);
}

/* -- all of them ---------------------------------------------------------------------------- */

/* Early, and cheap: a directory of which half is gone. */
static weir_error *check_there(const struct snapshot_dir *from, const struct state_file *files,
    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool exists;
        WEIR_TRY(state_file_look(from->dir, &files[i], &exists));
        if (!exists)
            return weir_errorf(WEIR_E_CORRUPT,
                "its file '%s' (%" PRIu64 " bytes) is missing or has another length: get it back, "
                "or use another savepoint",
                files[i].path, files[i].length);
    }
    return NULL;
}

static weir_error *check_files(const struct snapshot_dir *from)
{
    for (uint32_t i = 0; i < from->metadata.operator_count; i++) {
        const struct operator_snapshot *op = &from->metadata.operators[i];
        WEIR_TRY(check_there(from, op->files, op->file_count));
        WEIR_TRY(check_there(from, op->staged, op->staged_count));
    }
    return NULL;
}

static weir_error *import_all(struct import *it, struct checkpoint_metadata *metadata)
{
    const struct checkpoint_metadata *stored = &it->from->metadata;
    weir_error *error = NULL;
    for (it->index = 0; it->index < stored->operator_count && error == NULL; it->index++) {
        if (it->steps[it->index].expected == NULL)
            continue;
        struct subtask_snapshot *snapshot = subtask_snapshot_new(0, 0);
        snapshot->operators = arena_alloc(&snapshot->arena, sizeof(*snapshot->operators));
        error = import_operator(it, snapshot);
        if (error == NULL)
            checkpoint_metadata_add(metadata, snapshot);
        else
            error = weir_error_wrap(error, "operator '%.*s'",
                (int)stored->operators[it->index].uid.size, stored->operators[it->index].uid.data);
        subtask_snapshot_free(snapshot);
    }
    if (it->timers_dropped > 0 && error == NULL)
        log_warn("savepoint",
            "timers that are dropped, because their operators have none any more: %" PRIu64,
            it->timers_dropped);
    mem_free(it->record);
    mem_free(it->bytes);
    mem_free(it->name);
    return error;
}

static void log_report(weir_buffer *report)
{
    char *text = mem_strdup(buffer_text(report)), *next;
    for (char *line = text; line[0] != '\0'; line = next) {
        next = line + strcspn(line, "\n");
        if (*next == '\n')
            *next++ = '\0';
        if (strstr(line, "DROPPED") != NULL)
            log_warn("savepoint", "%s", line);
        else
            log_info("savepoint", "%s", line);
    }
    mem_free(text);
}

static void fill_head(const struct checkpoint_metadata *stored, uint32_t max_parallelism,
    struct checkpoint_metadata *metadata)
{
    checkpoint_metadata_init(metadata);
    metadata->checkpoint = stored->checkpoint;
    metadata->instance = stored->instance;
    metadata->fingerprint = stored->fingerprint;
    metadata->max_parallelism = max_parallelism;
    metadata->started_ms = stored->started_ms;
    metadata->completed_ms = os_wall_ms();
}

static weir_error *import_from(struct import *it, struct arena *arena,
    struct checkpoint_metadata *metadata)
{
    const struct import_target *target = it->target;
    WEIR_TRY(check_files(it->from));
    weir_buffer *report = weir_buffer_new(REPORT_SIZE_MAX);
    weir_error *error = migration_plan(&it->from->metadata, target->expectations,
        target->expectation_count, target->may_drop, arena, &it->steps, report);
    if (error == NULL)
        log_report(report);
    weir_buffer_free(report);
    WEIR_TRY(error);
    fill_head(&it->from->metadata, target->max_parallelism, metadata);
    error = import_all(it, metadata);
    if (error != NULL)
        checkpoint_metadata_release(metadata);
    return error;
}

weir_error *savepoint_import(const char *path, const struct import_target *target,
    struct checkpoint_metadata *metadata)
{
    struct snapshot_dir from;
    struct arena arena;
    WEIR_TRY(snapshot_dir_open(path, &from));
    struct import *it = mem_alloc(sizeof(*it));
    it->target = target;
    it->from = &from;
    it->verbs = backend_of_format(target->backend);
    it->now_ms = os_wall_ms();
    ASSERT(it->verbs != NULL);
    arena_init(&arena, (size_t)16 << 10, ARENA_SIZE_MAX);
    weir_error *error = import_from(it, &arena, metadata);
    arena_release(&arena);
    snapshot_dir_close(&from);
    mem_free(it);
    return error == NULL ? NULL : weir_error_wrap(error, "cannot restore '%s'", path);
}

weir_error *savepoint_check(const char *path, const struct restore_expectation *expectations,
    uint32_t count, bool may_drop, weir_buffer *report)
{
    struct snapshot_dir from;
    struct arena arena;
    struct migration_step *steps;
    WEIR_TRY(snapshot_dir_open(path, &from));
    arena_init(&arena, (size_t)16 << 10, ARENA_SIZE_MAX);
    weir_error *error = check_files(&from);
    if (error == NULL)
        error =
            migration_plan(&from.metadata, expectations, count, may_drop, &arena, &steps, report);
    arena_release(&arena);
    snapshot_dir_close(&from);
    return error == NULL ? NULL : weir_error_wrap(error, "cannot restore '%s'", path);
}

/* state_scan.c -- see state_scan.h. Prefixes: scan_, state_scan */
#include "checkpoint/state_scan.h"

#include "base/assert.h"
#include "base/os.h"
#include "checkpoint/savepoint_format.h"
#include "state/placement.h"
#include "state/stored.h"
#include "state/timer_entry.h"
#include "types/msgpack.h"

#include <endian.h>
#include <inttypes.h>

#define LIST_NAME_SIZE   8u
#define RECORD_ARENA_MAX ((size_t)64 << 20)

/* Thread: its stack's owner. */
struct scan {
    struct arena arena, record_arena; /* of the schema, of one entry */
    struct state_schema schema;
    struct stored_form *forms; /* by state number */
    struct placement placements[WEIR_STATES_MAX];
    scan_fn *each;
    void *arg;
    uint32_t state; /* whose rows are scanned */
    weir_error *error;
};

weir_error *scan_schema(const struct operator_snapshot *op, struct arena *arena,
    struct state_schema *schema)
{
    ASSERT(op->backend.size > 0);
    if (op->states.size == 0)
        return weir_errorf(WEIR_E_STATE,
            "operator '%.*s': its checkpoint does not say what its state is, because an older "
            "version of Weir wrote it: resume the job from it, and take one of its next "
            "checkpoints",
            (int)op->uid.size, op->uid.data);
    weir_error *error = state_schema_get(op->states, arena, schema);
    return error == NULL
               ? NULL
               : weir_error_wrap(error, "operator '%.*s'", (int)op->uid.size, op->uid.data);
}

/* -- from a backend ------------------------------------------------------------------------- */

static weir_error *bad_entry(const char *what, size_t size)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "a stored %s of %zu bytes is none: restore another checkpoint", what, size);
}

static weir_error *give(struct scan *scan, const struct weir_state *state,
    const struct savepoint_entry *head, const struct weir_type *type, const void *record)
{
    struct scan_entry entry = { .state = state,
        .is_list_end = state != NULL && state->kind == WEIR_LIST && head->entry.size == 0,
        .head = *head,
        .type = type,
        .record = record };
    return scan->each(scan->arg, &entry);
}

static weir_error *give_timer(struct scan *scan, struct savepoint_entry *head, weir_str name)
{
    enum weir_time time;
    struct timer_value value;
    if (!timer_entry_get(name, &time, &value.at_ms))
        return bad_entry("timer", name.size);
    value.is_event_time = time == WEIR_EVENT_TIME;
    return give(scan, NULL, head, &timer_value_type, &value);
}

static weir_error *give_list_end(struct scan *scan, const struct weir_state *state,
    struct savepoint_entry *head, weir_str bytes)
{
    uint64_t next;
    if (bytes.size != sizeof(next))
        return bad_entry("end of a list", bytes.size);
    memcpy(&next, bytes.data, sizeof(next));
    struct list_end end = { .next = le64toh(next) };
    return give(scan, state, head, &list_end_type, &end);
}

static weir_error *give_record(struct scan *scan, const struct weir_state *state,
    struct savepoint_entry *head, weir_str bytes)
{
    const struct layout *layout = &scan->forms[head->state].layout;
    if (layout->string_count == 0 && bytes.size != layout->size)
        return bad_entry("record", bytes.size);
    WEIR_TRY(layout_check(layout, bytes.data, bytes.size));
    arena_reset(&scan->record_arena);
    void *record = arena_dup(&scan->record_arena, bytes.data, bytes.size);
    layout_resolve(layout, record, record);
    return give(scan, state, head, state->type, record);
}

static weir_error *give_stored(struct scan *scan, const struct row_key *row, weir_str name,
    weir_str value)
{
    struct savepoint_entry head = { .state = scan->state, .key = row->key };
    if (scan->state == STATE_NUMBER_TIMERS)
        return give_timer(scan, &head, name);
    weir_str entry;
    if (!placement_find(scan->placements, scan->schema.state_count, scan->state, name, &head.state,
            &entry))
        return bad_entry("name", name.size);
    const struct weir_state *state = &scan->schema.states[head.state];
    const struct stored_form *form = &scan->forms[head.state];
    if (value.size < form->header_size)
        return bad_entry("entry", value.size);
    if (form->header_size > 0)
        head.expires_ms = stored_get_expiry(value.data);
    weir_str bytes = { .data = value.data + form->header_size,
        .size = value.size - form->header_size };
    if (state->kind == WEIR_MAP || state->kind == WEIR_LIST)
        head.entry = entry.data == NULL ? WEIR_STR("") : entry;
    if (state->kind == WEIR_LIST && entry.size == 0)
        return give_list_end(scan, state, &head, bytes);
    return give_record(scan, state, &head, bytes);
}

static bool on_row(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    struct scan *scan = arg;
    scan->error = give_stored(scan, row, entry, value);
    return scan->error == NULL;
}

static weir_error *scan_number(struct scan *scan, struct backend *backend, uint32_t state)
{
    scan->state = state;
    weir_error *error = backend->backend_class->scan(backend, state, on_row, scan);
    return weir_error_join(error, scan->error);
}

static weir_error *scan_all(struct scan *scan, struct backend *backend)
{
    scan->forms = arena_alloc(&scan->arena, scan->schema.state_count * sizeof(*scan->forms));
    for (uint32_t i = 0; i < scan->schema.state_count; i++)
        stored_form_init(&scan->forms[i], &scan->schema.states[i]);
    placement_init(scan->placements, scan->schema.states, scan->schema.state_count);
    for (uint32_t i = 0; i < scan->schema.state_count; i++)
        if (scan->placements[i].row == i)
            WEIR_TRY(scan_number(scan, backend, i));
    return scan_number(scan, backend, STATE_NUMBER_TIMERS);
}

static weir_error *scan_backend(struct scan *scan, const struct scan_place *place,
    const struct operator_snapshot *op)
{
    const struct backend_class *verbs = backend_of_format(op->backend);
    if (verbs == NULL)
        return weir_errorf(WEIR_E_STATE,
            "operator '%.*s' keeps its state in '%.*s', which this version of Weir does not know",
            (int)op->uid.size, op->uid.data, (int)op->backend.size, op->backend.data);
    struct backend_source source = { .groups = op->groups,
        .files = op->files,
        .file_count = op->file_count };
    char *directory = mem_printf("%s/scan-%016" PRIx64, place->work_dir, os_random());
    struct backend_options options = { .directory = directory,
        .checkpoint_dir = place->dir,
        .groups = op->groups,
        .memory_size = SCAN_MEMORY_SIZE };
    struct backend *backend = NULL;
    weir_error *error = verbs->open(&options, &source, 1, &backend);
    if (error == NULL) {
        error = scan_all(scan, backend);
        verbs->close(backend);
    }
    mem_free(directory);
    return error;
}

/* -- from a savepoint ----------------------------------------------------------------------- */

static weir_error *give_portable(struct scan *scan, const struct savepoint_entry *head,
    weir_str value)
{
    const struct weir_state *state = NULL;
    const struct weir_type *type = &timer_value_type;
    if (head->state != STATE_NUMBER_TIMERS) {
        if (head->state >= scan->schema.state_count)
            return bad_entry("entry of a state that is not listed", value.size);
        state = &scan->schema.states[head->state];
        bool is_end = state->kind == WEIR_LIST && head->entry.size == 0;
        bool is_named = state->kind == WEIR_MAP || state->kind == WEIR_LIST;
        if ((head->entry.data != NULL) != is_named ||
            (state->kind == WEIR_LIST && !is_end && head->entry.size != LIST_NAME_SIZE))
            return bad_entry("entry's name", head->entry.size);
        type = is_end ? &list_end_type : state->type;
    }
    arena_reset(&scan->record_arena);
    void *record = arena_alloc(&scan->record_arena, type->size);
    weir_error *error = msgpack_decode(type, value, NULL, record);
    if (error == NULL)
        return give(scan, state, head, type, record);
    weir_error *corrupt = weir_errorf(WEIR_E_CORRUPT, "%s", weir_error_message(error));
    weir_error_free(error);
    return corrupt;
}

static weir_error *scan_file(struct scan *scan, const struct scan_place *place,
    const struct state_file *file)
{
    WEIR_TRY(state_file_verify(place->dir, file));
    char *path = mem_printf("%s/%s", place->dir, file->path);
    struct entry_reader *reader = NULL;
    weir_error *error = entry_reader_open(path, &reader);
    bool found = true;
    while (error == NULL && found) {
        struct savepoint_entry head;
        weir_str value;
        error = entry_reader_next(reader, &head, &value, &found);
        if (error == NULL && found)
            error = give_portable(scan, &head, value);
    }
    entry_reader_free(reader);
    mem_free(path);
    return error;
}

static weir_error *scan_savepoint(struct scan *scan, const struct scan_place *place,
    const struct operator_snapshot *op)
{
    for (uint32_t i = 0; i < op->file_count; i++)
        WEIR_TRY(scan_file(scan, place, &op->files[i]));
    return NULL;
}

weir_error *state_scan(const struct scan_place *place, const struct operator_snapshot *op,
    scan_fn *each, void *arg)
{
    if (op->backend.size == 0)
        return NULL;
    struct scan scan = { .each = each, .arg = arg };
    arena_init(&scan.arena, (size_t)16 << 10, RECORD_ARENA_MAX);
    arena_init(&scan.record_arena, (size_t)64 << 10, RECORD_ARENA_MAX);
    bool is_portable = weir_str_equal(op->backend, WEIR_STR(SAVEPOINT_BACKEND));
    weir_error *error = scan_schema(op, &scan.arena, &scan.schema);
    if (error == NULL && is_portable)
        error = scan_savepoint(&scan, place, op);
    else if (error == NULL)
        error = scan_backend(&scan, place, op);
    arena_release(&scan.record_arena);
    arena_release(&scan.arena);
    return error;
}

/* migration.c -- see migration.h. */
#include "checkpoint/migration.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/plural.h"
#include "checkpoint/state_scan.h"
#include "types/schema.h"

#include <endian.h>
#include <inttypes.h>

#define TEXT_SIZE_MAX ((size_t)1 << 20)

/* Thread: its stack's owner. */
struct planning {
    const struct checkpoint_metadata *stored;
    const struct restore_expectation *expectations;
    uint32_t expectation_count;
    bool may_drop;
    struct arena *arena;
    weir_buffer *report, *mistakes;
};

/* -- records -------------------------------------------------------------------------------- */

static uint64_t integer_get(const struct weir_field *field, const char *at)
{
    int32_t narrow;
    uint64_t bits = 0;
    if (field->kind == WEIR_I32) {
        memcpy(&narrow, at, sizeof(narrow));
        return (uint64_t)(int64_t)narrow;
    }
    memcpy(&bits, at, schema_kind_size(field->kind));
    return bits;
}
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "integers are widened by their low bytes");

void migration_record(const struct weir_type *from_type, const void *from,
    const struct weir_type *to_type, void *to)
{
    memset(to, 0, to_type->size);
    for (uint32_t i = 0; i < to_type->field_count; i++) {
        const struct weir_field *field = &to_type->fields[i];
        const struct weir_field *stored = schema_field(from_type, field->id, i);
        if (stored == NULL)
            continue;
        const char *source = (const char *)from + stored->offset;
        char *target = (char *)to + field->offset;
        if (stored->kind == field->kind) {
            memcpy(target, source, schema_kind_size(field->kind));
        } else {
            uint64_t bits = integer_get(stored, source);
            memcpy(target, &bits, schema_kind_size(field->kind));
        }
    }
}

/* -- states --------------------------------------------------------------------------------- */

static void refuse(struct planning *it, weir_str uid, const char *state, const char *why)
{
    buffer_printf(it->mistakes, "\n  operator '%.*s', state '%s': %s", (int)uid.size, uid.data,
        state, why);
    buffer_printf(it->report, "REFUSED: %s", why);
}

static const char *ttl_mistake(const struct weir_state *stored, const struct weir_state *now)
{
    if (now->ttl_ms == 0)
        return NULL;
    if (stored->ttl_ms == 0)
        return now->ttl_time == WEIR_PROCESSING_TIME
                   ? NULL
                   : "it had no time to live and has one in event time now; nobody knows when its "
                     "entries began: give it one in processing time, or none";
    return stored->ttl_time == now->ttl_time
               ? NULL
               : "its time to live counts with another clock (event time, processing time): set it "
                 "back";
}

/* What the fields that changed become: "converted: 3 'spent' i32 -> i64; dropped: 'page'; new: 'city'". */
static void report_fields(struct planning *it, const struct weir_type *stored,
    const struct weir_type *now, const char *dropped)
{
    const char *start = "; converted: ";
    for (uint32_t i = 0; i < now->field_count; i++) {
        const struct weir_field *field = &now->fields[i];
        const struct weir_field *before = schema_field(stored, field->id, i);
        if (before == NULL || before->kind == field->kind)
            continue;
        buffer_printf(it->report, "%s%u '%s' %s -> %s", start, field->id, field->name,
            schema_kind_name(before->kind), schema_kind_name(field->kind));
        start = ", ";
    }
    if (dropped[0] != '\0')
        buffer_printf(it->report, "; DROPPED: %s", dropped);
    start = "; new: ";
    for (uint32_t i = 0; i < now->field_count; i++) {
        if (schema_field(stored, now->fields[i].id, i) != NULL)
            continue;
        buffer_printf(it->report, "%s'%s'", start, now->fields[i].name);
        start = ", ";
    }
}

static void report_ttl(struct planning *it, const struct weir_state *stored,
    const struct weir_state *now)
{
    if (stored->ttl_ms == now->ttl_ms)
        return;
    if (now->ttl_ms == 0)
        buffer_printf(it->report, "; its entries live for ever now");
    else if (stored->ttl_ms == 0)
        buffer_printf(it->report, "; its entries live for %" PRId64 " ms from the restore on",
            now->ttl_ms);
}

static void compare_state(struct planning *it, weir_str uid, const struct weir_state *stored,
    const struct weir_state *now)
{
    weir_buffer *dropped = weir_buffer_new(TEXT_SIZE_MAX);
    weir_error *error = schema_can_restore(stored->type, now->type, dropped);
    const char *ttl = ttl_mistake(stored, now);
    if (stored->kind != now->kind) {
        char *why = mem_printf("it was a %s and is a %s now: give the new one a new name",
            state_kind_name(stored->kind), state_kind_name(now->kind));
        refuse(it, uid, stored->name, why);
        mem_free(why);
    } else if (error != NULL) {
        refuse(it, uid, stored->name, weir_error_message(error));
    } else if (ttl != NULL) {
        refuse(it, uid, stored->name, ttl);
    } else {
        buffer_printf(it->report, "kept");
        report_fields(it, stored->type, now->type, buffer_text(dropped));
        report_ttl(it, stored, now);
    }
    weir_error_free(error);
    weir_buffer_free(dropped);
}

static void drop(struct planning *it, weir_str uid, const char *state, const char *what)
{
    if (it->may_drop) {
        buffer_printf(it->report, "DROPPED: %s", what);
        return;
    }
    char *why = mem_printf("%s; put it back, or drop it with --allow-non-restored-state", what);
    if (state != NULL) {
        refuse(it, uid, state, why);
    } else {
        buffer_printf(it->mistakes, "\n  operator '%.*s': %s", (int)uid.size, uid.data, why);
        buffer_printf(it->report, "REFUSED: %s", why);
    }
    mem_free(why);
}

static void report_new(struct planning *it, const struct state_schema *stored,
    const struct restore_expectation *expected)
{
    for (uint32_t i = 0; i < expected->state_count; i++)
        if (state_schema_find(stored, expected->states[i].name) < 0)
            buffer_printf(it->report, "  state '%s': new, starts empty\n",
                expected->states[i].name);
}

/* Keys are bytes; what they are bytes of may be renamed. */
static bool has_same_key(const struct state_schema *stored, const struct state_schema *now)
{
    if (stored->key_count != now->key_count)
        return false;
    for (uint32_t i = 0; i < stored->key_count; i++)
        if (stored->keys[i].kind != now->keys[i].kind)
            return false;
    return true;
}

static void put_key(weir_buffer *out, const struct state_schema *schema)
{
    for (uint32_t i = 0; i < schema->key_count; i++)
        buffer_printf(out, "%s%s %s", i == 0 ? "(" : ", ", schema->keys[i].name,
            schema_kind_name(schema->keys[i].kind));
    buffer_printf(out, ")");
}

static void compare_keys(struct planning *it, weir_str uid, const struct state_schema *stored,
    const struct restore_expectation *expected)
{
    struct state_schema now;
    state_schema_of(&now, &expected->key, expected->states, expected->state_count);
    if (has_same_key(stored, &now))
        return;
    buffer_printf(it->mistakes, "\n  operator '%.*s' was keyed by ", (int)uid.size, uid.data);
    put_key(it->mistakes, stored);
    buffer_printf(it->mistakes, " and is keyed by ");
    put_key(it->mistakes, &now);
    buffer_printf(it->mistakes, " now: its state would never be found again; set the key back");
    buffer_printf(it->report, "  REFUSED: it is keyed by other fields\n");
}

static weir_error *compare_states(struct planning *it, const struct operator_snapshot *op,
    struct migration_step *step)
{
    struct state_schema stored;
    WEIR_TRY(scan_schema(op, it->arena, &stored));
    const struct restore_expectation *expected = step->expected;
    compare_keys(it, op->uid, &stored, expected);
    for (uint32_t i = 0; i < stored.state_count; i++) {
        const struct weir_state *state = &stored.states[i];
        step->to[i] = -1;
        buffer_printf(it->report, "  state '%s': ", state->name);
        for (uint32_t n = 0; n < expected->state_count; n++)
            if (strcmp(expected->states[n].name, state->name) == 0)
                step->to[i] = (int)n;
        if (step->to[i] >= 0)
            compare_state(it, op->uid, state, &expected->states[step->to[i]]);
        else
            drop(it, op->uid, state->name, "the job does not have it any more");
        buffer_printf(it->report, "\n");
    }
    report_new(it, &stored, expected);
    return NULL;
}

/* -- operators ------------------------------------------------------------------------------ */

static const struct restore_expectation *find(const struct planning *it, weir_str uid)
{
    for (uint32_t i = 0; i < it->expectation_count; i++)
        if (weir_str_equal(it->expectations[i].uid, uid))
            return &it->expectations[i];
    return NULL;
}

static bool has_state(const struct operator_snapshot *op)
{
    return op->backend.size > 0 || op->item_count > 0 || op->staged_count > 0;
}

/* The first snapshot of an operator speaks for all its subtasks (restore_check sees to that). */
static uint32_t first_of(const struct planning *it, uint32_t index)
{
    uint32_t first = 0;
    while (!weir_str_equal(it->stored->operators[first].uid, it->stored->operators[index].uid))
        first++;
    return first;
}

static bool any_has_state(const struct planning *it, weir_str uid)
{
    for (uint32_t i = 0; i < it->stored->operator_count; i++)
        if (weir_str_equal(it->stored->operators[i].uid, uid) &&
            has_state(&it->stored->operators[i]))
            return true;
    return false;
}

static weir_error *plan_operator(struct planning *it, const struct operator_snapshot *op,
    struct migration_step *step)
{
    step->expected = find(it, op->uid);
    if (!any_has_state(it, op->uid))
        return NULL; /* nothing but counters */
    buffer_printf(it->report, "operator '%.*s': ", (int)op->uid.size, op->uid.data);
    if (step->expected == NULL) {
        drop(it, op->uid, NULL, "it has state, but is not in the job any more");
        buffer_printf(it->report, "\n");
        return NULL;
    }
    if (op->backend.size > 0 && step->expected->backend.size == 0) {
        step->expected = NULL;
        drop(it, op->uid, NULL, "it keeps no keyed state any more");
        buffer_printf(it->report, "\n");
        return NULL;
    }
    buffer_printf(it->report, "restored, from %u subtask%s\n", op->parallelism,
        plural(op->parallelism));
    return op->backend.size == 0 ? NULL : compare_states(it, op, step);
}

static void report_new_operators(struct planning *it)
{
    for (uint32_t i = 0; i < it->expectation_count; i++)
        if (it->expectations[i].backend.size > 0 && !any_has_state(it, it->expectations[i].uid))
            buffer_printf(it->report, "operator '%.*s': new, starts empty\n",
                (int)it->expectations[i].uid.size, it->expectations[i].uid.data);
}

static weir_error *plan_all(struct planning *it, struct migration_step *steps)
{
    for (uint32_t i = 0; i < it->stored->operator_count; i++) {
        uint32_t first = first_of(it, i);
        if (first < i)
            steps[i] = steps[first];
        else
            WEIR_TRY(plan_operator(it, &it->stored->operators[i], &steps[i]));
    }
    report_new_operators(it);
    if (buffer_size(it->mistakes) == 0)
        return NULL;
    return weir_errorf(WEIR_E_STATE,
        "the state of job '%.*s', checkpoint %" PRIu64 ", does not fit this job:%s",
        (int)it->stored->job.size, it->stored->job.data, it->stored->checkpoint,
        buffer_text(it->mistakes));
}

weir_error *migration_plan(const struct checkpoint_metadata *stored,
    const struct restore_expectation *expectations, uint32_t count, bool may_drop,
    struct arena *arena, struct migration_step **steps, weir_buffer *report)
{
    struct planning it = { .stored = stored,
        .expectations = expectations,
        .expectation_count = count,
        .may_drop = may_drop,
        .arena = arena,
        .report = report,
        .mistakes = weir_buffer_new(TEXT_SIZE_MAX) };
    *steps = arena_alloc(arena, stored->operator_count * sizeof(**steps));
    weir_error *error = plan_all(&it, *steps);
    weir_buffer_free(it.mistakes);
    return error;
}

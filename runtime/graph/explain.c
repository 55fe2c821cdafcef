/* explain.c -- the plan for a terminal, and the words that all three ways to print share.
 *
 *     job profiles: 3 vertices, 5 subtasks, max parallelism 128
 *     plan 91c2f0d7e5a6b384, slots: default 2
 *
 *     0  clicks -> clean  x2
 *          source clicks: kafka, gives click, uid clicks
 *            event time at_ms, out of order by up to 5s
 *          operator clean: click -> click, uid clean
 *          => 1 by HASH of user_id
 *     ...
 *     types
 *       click: user_id u64, at_ms i64, price f64, page string
 *
 * One fact a line, so that two plans can be compared by diff; only lists of fields wrap. */
#include "runtime/graph/explain_private.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/map.h"
#include "base/plural.h"
#include "types/schema.h"
#include "types/state_schema.h"

#include <inttypes.h>
#include <stdio.h>

#define LINE_WIDTH 96u
/* 1,000 operators, each with an input, an output, 64 states and 16 side outputs. */
#define TYPES_MAX 100000u

/* -- words ------------------------------------------------------------------------------------ */

const char *explain_kind(enum plan_operator_kind kind)
{
    static const char *const
        names[] = { [PLAN_SOURCE] = "source", [PLAN_OPERATOR] = "operator", [PLAN_SINK] = "sink" };
    return names[kind];
}

const char *explain_output(enum plan_output_kind output)
{
    static const char *const names[] = { [PLAN_OUTPUT_MAIN] = "main",
        [PLAN_OUTPUT_SIDE] = "side",
        [PLAN_OUTPUT_DEAD_LETTERS] = "dead-letters" };
    return names[output];
}

const char *explain_time(enum weir_time time)
{
    return time == WEIR_EVENT_TIME ? "event time" : "processing time";
}

const char *explain_type(const struct weir_type *type)
{
    return type == NULL ? "nothing" : type->name;
}

const char *explain_connector(const struct plan_operator *operator_)
{
    switch (operator_->kind) {
    case PLAN_SOURCE:
        return operator_->source.source_class->name;
    case PLAN_OPERATOR:
        return NULL;
    case PLAN_SINK:
        return operator_->sink.sink_class->name;
    }
    ASSERT(false);
    return NULL;
}

static const char *field_name(const struct weir_type *type, uint32_t offset)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (type->fields[i].offset == offset)
            return type->fields[i].name;
    }
    ASSERT(false); /* plan_validate has looked */
    return NULL;
}

const char *explain_key_field(const struct weir_key *key, uint32_t index)
{
    ASSERT(index < key->offset_count);
    return field_name(key->type, key->offsets[index]);
}

const char *explain_event_time_field(const struct plan_operator *operator_)
{
    ASSERT(operator_->has_event_time);
    return field_name(operator_->out, operator_->event_time_offset);
}

const char *explain_target_side(const struct plan_operator *operator_,
    const struct plan_target *target)
{
    return target->output == PLAN_OUTPUT_SIDE ? operator_->op->sides[target->side].name : NULL;
}

const char *explain_edge_side(const struct plan *plan, uint32_t edge)
{
    const struct plan_edge *of = &plan->edges[edge];
    const struct plan_operator *from =
        &plan->vertices[of->from_vertex].operators[of->from_operator];
    for (uint32_t i = 0; i < from->target_count; i++) {
        if (!from->targets[i].is_chained && from->targets[i].edge == edge)
            return explain_target_side(from, &from->targets[i]);
    }
    ASSERT(false); /* every edge is a target of where it begins */
    return NULL;
}

/* -- the types in use ------------------------------------------------------------------------- */

/* Thread: its owner. */
struct types {
    struct map *seen; /* by fingerprint: a type has many copies, and may have namesakes */
    explain_type_fn *each;
    void *arg;
};

static void types_add(struct types *types, const struct weir_type *type)
{
    if (type == NULL)
        return;
    uint64_t fingerprint = weir_type_fingerprint(type);
    weir_str key = { .data = (const char *)&fingerprint, .size = sizeof(fingerprint) };
    if (map_get(types->seen, key) != NULL)
        return;
    map_put(types->seen, key, types);
    types->each(type, types->arg);
}

static void types_add_operator(struct types *types, const struct plan_operator *operator_)
{
    types_add(types, operator_->in);
    types_add(types, operator_->out);
    if (operator_->op == NULL)
        return;
    for (uint32_t i = 0; i < operator_->op->state_count; i++)
        types_add(types, operator_->op->states[i].type);
    for (uint32_t i = 0; i < operator_->op->side_count; i++)
        types_add(types, operator_->op->sides[i].type);
}

void explain_each_type(const struct plan *plan, explain_type_fn *each, void *arg)
{
    struct types types = { .seen = map_new(TYPES_MAX), .each = each, .arg = arg };
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        for (uint32_t j = 0; j < plan->vertices[i].operator_count; j++)
            types_add_operator(&types, &plan->vertices[i].operators[j]);
    }
    map_free(types.seen);
}

/* -- for a terminal --------------------------------------------------------------------------- */

/* "24h", "5s", "1500ms": the largest unit that fits whole. */
static void put_duration(weir_buffer *out, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (ms != 0 && ms % units[i].ms == 0) {
            buffer_printf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
            return;
        }
    }
    buffer_printf(out, "%" PRId64 "ms", ms);
}

static void put_key(weir_buffer *out, const struct weir_key *key)
{
    for (uint32_t i = 0; i < key->offset_count; i++)
        buffer_printf(out, "%s%s", i == 0 ? "" : ", ", explain_key_field(key, i));
}

static void put_header(weir_buffer *out, const struct plan *plan)
{
    buffer_printf(out, "job %s: %u %s, %u subtask%s, max parallelism %u\n", plan->job,
        plan->vertex_count, plan->vertex_count == 1 ? "vertex" : "vertices", plan->subtask_count,
        plural(plan->subtask_count), plan->max_parallelism);
    buffer_printf(out, "plan %016" PRIx64 ", slots:", plan->fingerprint);
    for (uint32_t i = 0; i < plan->slot_group_count; i++)
        buffer_printf(out, "%s %s %u", i == 0 ? "" : ",", plan->slot_groups[i],
            plan->slot_group_sizes[i]);
    buffer_printf(out, "\n");
    uint32_t regions = plan_region_count(plan);
    if (regions > 1)
        buffer_printf(out, "%u regions, each restarts alone\n", regions);
}

static void put_states(weir_buffer *out, const struct weir_operator *op)
{
    for (uint32_t i = 0; i < op->state_count; i++) {
        const struct weir_state *state = &op->states[i];
        buffer_printf(out, "       state %s: %s of %s", state->name, state_kind_name(state->kind),
            explain_type(state->type));
        if (state->ttl_ms > 0) {
            buffer_printf(out, ", expires after ");
            put_duration(out, state->ttl_ms);
            buffer_printf(out, " of %s", explain_time(state->ttl_time));
        }
        buffer_printf(out, "\n");
    }
    if (op->has_timers)
        buffer_printf(out, "       timers\n");
    for (uint32_t i = 0; i < op->side_count; i++)
        buffer_printf(out, "       side output %s: %s\n", op->sides[i].name,
            explain_type(op->sides[i].type));
    for (uint32_t i = 0; i < op->counter_count; i++)
        buffer_printf(out, "       counter %s\n", op->counters[i]);
}

static void put_operator_line(weir_buffer *out, const struct plan_operator *operator_)
{
    buffer_printf(out, "     %s %s: ", explain_kind(operator_->kind), operator_->name);
    switch (operator_->kind) {
    case PLAN_SOURCE:
        buffer_printf(out, "%s, gives %s", explain_connector(operator_),
            explain_type(operator_->out));
        break;
    case PLAN_OPERATOR:
        buffer_printf(out, "%s -> %s", explain_type(operator_->in), explain_type(operator_->out));
        break;
    case PLAN_SINK:
        buffer_printf(out, "%s, takes %s", explain_connector(operator_),
            explain_type(operator_->in));
        break;
    }
    buffer_printf(out, ", uid %s\n", operator_->uid);
}

static void put_operator(weir_buffer *out, const struct plan_operator *operator_)
{
    put_operator_line(out, operator_);
    if (operator_->is_keyed) {
        buffer_printf(out, "       keyed by ");
        put_key(out, &operator_->key);
        buffer_printf(out, "\n");
    }
    if (operator_->has_event_time) {
        buffer_printf(out, "       event time %s, out of order by up to ",
            explain_event_time_field(operator_));
        put_duration(out, operator_->out_of_orderness_ms);
        buffer_printf(out, "\n");
    }
    if (operator_->op != NULL)
        put_states(out, operator_->op);
    if (operator_->has_dead_letters && operator_->dead_letters_per_second_max > 0)
        buffer_printf(out, "       dead letters: at most %u a second\n",
            operator_->dead_letters_per_second_max);
    else if (operator_->has_dead_letters)
        buffer_printf(out, "       dead letters: any number\n");
}

static void put_edge(weir_buffer *out, const struct plan *plan, uint32_t index)
{
    const struct plan_edge *edge = &plan->edges[index];
    const struct plan_vertex *from = &plan->vertices[edge->from_vertex];
    buffer_printf(out, "     => %u by %s", edge->to_vertex, partitioner_name(edge->partitioner));
    if (edge->partitioner == PARTITIONER_KEY_GROUP) {
        buffer_printf(out, " of ");
        put_key(out, &edge->key);
    }
    const char *operator_ = from->operators[edge->from_operator].name;
    if (edge->output == PLAN_OUTPUT_SIDE)
        buffer_printf(out, ": side output %s of %s", explain_edge_side(plan, index), operator_);
    else if (edge->output == PLAN_OUTPUT_DEAD_LETTERS)
        buffer_printf(out, ": dead letters of %s", operator_);
    else if (from->operator_count > 1)
        buffer_printf(out, ": %s", operator_);
    buffer_printf(out, "\n");
}

/* Wraps between fields. */
static void put_type(const struct weir_type *type, void *arg)
{
    weir_buffer *out = arg;
    buffer_printf(out, "  %s:", type->name);
    size_t column = strlen(type->name) + 3;
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct weir_field *field = &type->fields[i];
        const char *kind = schema_kind_name(field->kind);
        size_t width = strlen(field->name) + strlen(kind) + 3; /* two spaces and a comma */
        if (i > 0 && column + width > LINE_WIDTH) {
            buffer_printf(out, "\n   ");
            column = 3;
        }
        buffer_printf(out, " %s %s%s", field->name, kind, i + 1 < type->field_count ? "," : "");
        column += width;
    }
    buffer_printf(out, "\n");
}

void explain_text(const struct plan *plan, weir_buffer *out)
{
    put_header(out, plan);
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        const struct plan_vertex *vertex = &plan->vertices[i];
        buffer_printf(out, "\n%-3u  %s  x%u", i, vertex->name, vertex->parallelism);
        if (plan->slot_group_count > 1)
            buffer_printf(out, "  slots %s", plan->slot_groups[vertex->slot_group]);
        buffer_printf(out, "\n");
        for (uint32_t j = 0; j < vertex->operator_count; j++)
            put_operator(out, &vertex->operators[j]);
        for (uint32_t j = 0; j < vertex->out_edge_count; j++)
            put_edge(out, plan, vertex->out_edges[j]);
    }
    buffer_printf(out, "\ntypes\n");
    explain_each_type(plan, put_type, out);
}

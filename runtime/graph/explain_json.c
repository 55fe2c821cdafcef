/* explain_json.c -- the plan as one JSON object and a line feed; the schema is in plan.h.
 *
 * Written by hand, a member a line of code: the plan is a tree of a dozen structs, and `formats` is
 * not for the runtime to use. */
#include "runtime/graph/explain_private.h"

#include "base/buffer.h"
#include "types/schema.h"
#include "types/state_schema.h"

#include <inttypes.h>

static void put_text(weir_buffer *out, const char *text)
{
    if (text == NULL) {
        buffer_printf(out, "null");
        return;
    }
    weir_buffer_add_byte(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            buffer_printf(out, "\\%c", byte);
        else if (byte < 0x20)
            buffer_printf(out, "\\u%04x", byte);
        else
            weir_buffer_add_byte(out, *text);
    }
    weir_buffer_add_byte(out, '"');
}

/* ,"name": */
static void put_name(weir_buffer *out, const char *name)
{
    buffer_printf(out, ",\"%s\":", name);
}

static void put_member(weir_buffer *out, const char *name, const char *text)
{
    put_name(out, name);
    put_text(out, text);
}

static void put_number(weir_buffer *out, const char *name, int64_t value)
{
    buffer_printf(out, ",\"%s\":%" PRId64, name, value);
}

static void put_comma(weir_buffer *out, uint32_t index)
{
    if (index > 0)
        weir_buffer_add_byte(out, ',');
}

static void put_key(weir_buffer *out, bool is_keyed, const struct weir_key *key)
{
    put_name(out, "key");
    if (!is_keyed) {
        buffer_printf(out, "null");
        return;
    }
    weir_buffer_add_byte(out, '[');
    for (uint32_t i = 0; i < key->offset_count; i++) {
        put_comma(out, i);
        put_text(out, explain_key_field(key, i));
    }
    weir_buffer_add_byte(out, ']');
}

static const char *type_name(const struct weir_type *type)
{
    return type == NULL ? NULL : type->name;
}

static void put_op(weir_buffer *out, const struct weir_operator *op)
{
    static const struct weir_operator none;
    op = op == NULL ? &none : op;
    put_name(out, "states");
    weir_buffer_add_byte(out, '[');
    for (uint32_t i = 0; i < op->state_count; i++) {
        const struct weir_state *state = &op->states[i];
        put_comma(out, i);
        buffer_printf(out, "{\"name\":");
        put_text(out, state->name);
        put_member(out, "kind", state_kind_name(state->kind));
        put_member(out, "type", type_name(state->type));
        put_number(out, "ttl_ms", state->ttl_ms);
        put_member(out, "ttl_time", state->ttl_ms == 0 ? NULL : explain_time(state->ttl_time));
        weir_buffer_add_byte(out, '}');
    }
    buffer_printf(out, "],\"timers\":%s,\"sides\":[", op->has_timers ? "true" : "false");
    for (uint32_t i = 0; i < op->side_count; i++) {
        put_comma(out, i);
        buffer_printf(out, "{\"name\":");
        put_text(out, op->sides[i].name);
        put_member(out, "type", type_name(op->sides[i].type));
        weir_buffer_add_byte(out, '}');
    }
    buffer_printf(out, "],\"counters\":[");
    for (uint32_t i = 0; i < op->counter_count; i++) {
        put_comma(out, i);
        put_text(out, op->counters[i]);
    }
    weir_buffer_add_byte(out, ']');
}

static void put_times(weir_buffer *out, const struct plan_operator *operator_)
{
    put_name(out, "event_time");
    if (operator_->has_event_time) {
        buffer_printf(out, "{\"field\":");
        put_text(out, explain_event_time_field(operator_));
        put_number(out, "out_of_orderness_ms", operator_->out_of_orderness_ms);
        weir_buffer_add_byte(out, '}');
    } else {
        buffer_printf(out, "null");
    }
    put_name(out, "dead_letters");
    if (operator_->has_dead_letters)
        buffer_printf(out, "{\"per_second_max\":%u}", operator_->dead_letters_per_second_max);
    else
        buffer_printf(out, "null");
}

static void put_chained(weir_buffer *out, const struct plan_operator *operator_)
{
    uint32_t count = 0;
    buffer_printf(out, ",\"chained\":[");
    for (uint32_t i = 0; i < operator_->target_count; i++) {
        const struct plan_target *target = &operator_->targets[i];
        if (!target->is_chained)
            continue;
        put_comma(out, count++);
        buffer_printf(out, "{\"output\":");
        put_text(out, explain_output(target->output));
        put_member(out, "side", explain_target_side(operator_, target));
        put_number(out, "operator", target->operator_);
        weir_buffer_add_byte(out, '}');
    }
    weir_buffer_add_byte(out, ']');
}

static void put_operator(weir_buffer *out, const struct plan_operator *operator_)
{
    buffer_printf(out, "{\"kind\":");
    put_text(out, explain_kind(operator_->kind));
    put_member(out, "name", operator_->name);
    put_member(out, "uid", operator_->uid);
    put_member(out, "connector", explain_connector(operator_));
    put_member(out, "in", type_name(operator_->in));
    put_member(out, "out", type_name(operator_->out));
    put_key(out, operator_->is_keyed, &operator_->key);
    put_op(out, operator_->op);
    put_times(out, operator_);
    put_chained(out, operator_);
    weir_buffer_add_byte(out, '}');
}

static void put_vertices(weir_buffer *out, const struct plan *plan)
{
    buffer_printf(out, ",\"vertices\":[");
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        const struct plan_vertex *vertex = &plan->vertices[i];
        put_comma(out, i);
        buffer_printf(out, "{\"id\":%u", i);
        put_member(out, "name", vertex->name);
        put_number(out, "parallelism", vertex->parallelism);
        put_member(out, "slot_group", plan->slot_groups[vertex->slot_group]);
        put_number(out, "first_subtask", vertex->first_subtask);
        buffer_printf(out, ",\"operators\":[");
        for (uint32_t j = 0; j < vertex->operator_count; j++) {
            put_comma(out, j);
            put_operator(out, &vertex->operators[j]);
        }
        buffer_printf(out, "]}");
    }
    weir_buffer_add_byte(out, ']');
}

static void put_edges(weir_buffer *out, const struct plan *plan)
{
    buffer_printf(out, ",\"edges\":[");
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        const struct plan_edge *edge = &plan->edges[i];
        put_comma(out, i);
        buffer_printf(out, "{\"id\":%u,\"from\":{\"vertex\":%u,\"operator\":%u", i,
            edge->from_vertex, edge->from_operator);
        put_member(out, "output", explain_output(edge->output));
        put_member(out, "side", explain_edge_side(plan, i));
        weir_buffer_add_byte(out, '}');
        put_number(out, "to", edge->to_vertex);
        put_member(out, "partitioner", partitioner_name(edge->partitioner));
        put_key(out, edge->partitioner == PARTITIONER_KEY_GROUP, &edge->key);
        put_member(out, "type", type_name(edge->type));
        weir_buffer_add_byte(out, '}');
    }
    weir_buffer_add_byte(out, ']');
}

/* Thread: its owner. */
struct list {
    weir_buffer *out;
    uint32_t count;
};

static void put_type(const struct weir_type *type, void *arg)
{
    struct list *list = arg;
    put_comma(list->out, list->count++);
    buffer_printf(list->out, "{\"name\":");
    put_text(list->out, type->name);
    buffer_printf(list->out, ",\"fields\":[");
    for (uint32_t i = 0; i < type->field_count; i++) {
        put_comma(list->out, i);
        buffer_printf(list->out, "{\"id\":%u", type->fields[i].id);
        put_member(list->out, "name", type->fields[i].name);
        put_member(list->out, "kind", schema_kind_name(type->fields[i].kind));
        weir_buffer_add_byte(list->out, '}');
    }
    buffer_printf(list->out, "]}");
}

void explain_json(const struct plan *plan, weir_buffer *out)
{
    buffer_printf(out, "{\"job\":");
    put_text(out, plan->job);
    buffer_printf(out, ",\"fingerprint\":\"%016" PRIx64 "\"", plan->fingerprint);
    put_number(out, "max_parallelism", plan->max_parallelism);
    put_number(out, "subtasks", plan->subtask_count);
    buffer_printf(out, ",\"slot_groups\":[");
    for (uint32_t i = 0; i < plan->slot_group_count; i++) {
        put_comma(out, i);
        buffer_printf(out, "{\"name\":");
        put_text(out, plan->slot_groups[i]);
        put_number(out, "slots", plan->slot_group_sizes[i]);
        weir_buffer_add_byte(out, '}');
    }
    weir_buffer_add_byte(out, ']');
    put_vertices(out, plan);
    put_edges(out, plan);
    struct list list = { .out = out };
    buffer_printf(out, ",\"types\":[");
    explain_each_type(plan, put_type, &list);
    buffer_printf(out, "]}\n");
}

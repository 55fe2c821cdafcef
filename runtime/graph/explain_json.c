/* explain_json.c -- the plan as one JSON object and a line feed; the schema is in plan.h. */
#include "runtime/graph/explain_private.h"

#include "base/json.h"
#include "types/schema.h"
#include "types/state_schema.h"

#include <inttypes.h>

static void put_key(struct json *json, bool is_keyed, const struct weir_key *key)
{
    if (!is_keyed) {
        json_put_null(json, "key");
        return;
    }
    json_put_array(json, "key");
    for (uint32_t i = 0; i < key->offset_count; i++)
        json_put_text(json, NULL, explain_key_field(key, i));
    json_put_end(json);
}

static const char *type_name(const struct weir_type *type)
{
    return type == NULL ? NULL : type->name;
}

static void put_states(struct json *json, const struct weir_operator *op)
{
    json_put_array(json, "states");
    for (uint32_t i = 0; i < op->state_count; i++) {
        const struct weir_state *state = &op->states[i];
        json_put_object(json, NULL);
        json_put_text(json, "name", state->name);
        json_put_text(json, "kind", state_kind_name(state->kind));
        json_put_text(json, "type", type_name(state->type));
        json_put_int(json, "ttl_ms", state->ttl_ms);
        json_put_text(json, "ttl_time", state->ttl_ms == 0 ? NULL : explain_time(state->ttl_time));
        json_put_end(json);
    }
    json_put_end(json);
}

static void put_op(struct json *json, const struct weir_operator *op)
{
    static const struct weir_operator none;
    op = op == NULL ? &none : op;
    put_states(json, op);
    json_put_bool(json, "timers", op->has_timers);
    json_put_array(json, "sides");
    for (uint32_t i = 0; i < op->side_count; i++) {
        json_put_object(json, NULL);
        json_put_text(json, "name", op->sides[i].name);
        json_put_text(json, "type", type_name(op->sides[i].type));
        json_put_end(json);
    }
    json_put_end(json);
    json_put_array(json, "counters");
    for (uint32_t i = 0; i < op->counter_count; i++)
        json_put_text(json, NULL, op->counters[i]);
    json_put_end(json);
}

static void put_times(struct json *json, const struct plan_operator *operator_)
{
    if (operator_->has_event_time) {
        json_put_object(json, "event_time");
        json_put_text(json, "field", explain_event_time_field(operator_));
        json_put_int(json, "out_of_orderness_ms", operator_->out_of_orderness_ms);
        json_put_end(json);
    } else {
        json_put_null(json, "event_time");
    }
    if (operator_->has_dead_letters) {
        json_put_object(json, "dead_letters");
        json_put_uint(json, "per_second_max", operator_->dead_letters_per_second_max);
        json_put_end(json);
    } else {
        json_put_null(json, "dead_letters");
    }
}

static void put_chained(struct json *json, const struct plan_operator *operator_)
{
    json_put_array(json, "chained");
    for (uint32_t i = 0; i < operator_->target_count; i++) {
        const struct plan_target *target = &operator_->targets[i];
        if (!target->is_chained)
            continue;
        json_put_object(json, NULL);
        json_put_text(json, "output", explain_output(target->output));
        json_put_text(json, "side", explain_target_side(operator_, target));
        json_put_uint(json, "operator", target->operator_);
        json_put_end(json);
    }
    json_put_end(json);
}

static void put_operator(struct json *json, const struct plan_operator *operator_)
{
    json_put_object(json, NULL);
    json_put_text(json, "kind", explain_kind(operator_->kind));
    json_put_text(json, "name", operator_->name);
    json_put_text(json, "uid", operator_->uid);
    json_put_text(json, "connector", explain_connector(operator_));
    json_put_text(json, "in", type_name(operator_->in));
    json_put_text(json, "out", type_name(operator_->out));
    put_key(json, operator_->is_keyed, &operator_->key);
    put_op(json, operator_->op);
    put_times(json, operator_);
    put_chained(json, operator_);
    json_put_end(json);
}

static void put_vertices(struct json *json, const struct plan *plan)
{
    json_put_array(json, "vertices");
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        const struct plan_vertex *vertex = &plan->vertices[i];
        json_put_object(json, NULL);
        json_put_uint(json, "id", i);
        json_put_text(json, "name", vertex->name);
        json_put_uint(json, "parallelism", vertex->parallelism);
        json_put_text(json, "slot_group", plan->slot_groups[vertex->slot_group]);
        json_put_uint(json, "first_subtask", vertex->first_subtask);
        json_put_array(json, "operators");
        for (uint32_t j = 0; j < vertex->operator_count; j++)
            put_operator(json, &vertex->operators[j]);
        json_put_end(json);
        json_put_end(json);
    }
    json_put_end(json);
}

static void put_edges(struct json *json, const struct plan *plan)
{
    json_put_array(json, "edges");
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        const struct plan_edge *edge = &plan->edges[i];
        json_put_object(json, NULL);
        json_put_uint(json, "id", i);
        json_put_object(json, "from");
        json_put_uint(json, "vertex", edge->from_vertex);
        json_put_uint(json, "operator", edge->from_operator);
        json_put_text(json, "output", explain_output(edge->output));
        json_put_text(json, "side", explain_edge_side(plan, i));
        json_put_end(json);
        json_put_uint(json, "to", edge->to_vertex);
        json_put_text(json, "partitioner", partitioner_name(edge->partitioner));
        put_key(json, edge->partitioner == PARTITIONER_KEY_GROUP, &edge->key);
        json_put_text(json, "type", type_name(edge->type));
        json_put_end(json);
    }
    json_put_end(json);
}

static void put_type(const struct weir_type *type, void *arg)
{
    struct json *json = arg;
    json_put_object(json, NULL);
    json_put_text(json, "name", type->name);
    json_put_array(json, "fields");
    for (uint32_t i = 0; i < type->field_count; i++) {
        json_put_object(json, NULL);
        json_put_uint(json, "id", type->fields[i].id);
        json_put_text(json, "name", type->fields[i].name);
        json_put_text(json, "kind", schema_kind_name(type->fields[i].kind));
        json_put_end(json);
    }
    json_put_end(json);
    json_put_end(json);
}

void explain_json(const struct plan *plan, weir_buffer *out)
{
    struct json json = json_to(out);
    json_put_object(&json, NULL);
    json_put_text(&json, "job", plan->job);
    json_put_printf(&json, "fingerprint", "%016" PRIx64, plan->fingerprint);
    json_put_uint(&json, "max_parallelism", plan->max_parallelism);
    json_put_uint(&json, "subtasks", plan->subtask_count);
    json_put_uint(&json, "regions", plan_region_count(plan));
    json_put_array(&json, "slot_groups");
    for (uint32_t i = 0; i < plan->slot_group_count; i++) {
        json_put_object(&json, NULL);
        json_put_text(&json, "name", plan->slot_groups[i]);
        json_put_uint(&json, "slots", plan->slot_group_sizes[i]);
        json_put_end(&json);
    }
    json_put_end(&json);
    put_vertices(&json, plan);
    put_edges(&json, plan);
    json_put_array(&json, "types");
    explain_each_type(plan, put_type, &json);
    json_put_end(&json);
    json_put_end(&json);
    weir_buffer_add_byte(out, '\n');
}

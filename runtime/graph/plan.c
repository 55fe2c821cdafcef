/* plan.c -- from the graph to the plan: validate, decide what was left open, chain, fingerprint.
 *
 *      graph --plan_validate--> decide: names, uids, parallelism, slot groups
 *            --plan_chain-----> vertices, edges, targets  --> number subtasks --> fingerprint
 *
 * Everything is decided in the order of the nodes, which is the order in which the job wrote them:
 * the same build gives the same plan, byte for byte, in every process. */
#include "runtime/graph/plan.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/map.h"
#include "runtime/graph/graph_private.h"
#include "types/key_group.h"

#define FINGERPRINT_SIZE_MAX ((size_t)64 << 20)
/* Of names taken: what the job wrote, and what was made of it. */
#define TAKEN_MAX (2 * GRAPH_NODES_MAX)

/* -- names ------------------------------------------------------------------------------------ */

/* `name`, or the first of name#2, name#3, ... that is not taken; takes it. */
static const char *name_take(weir_job *job, struct map *taken, const char *name)
{
    const char *candidate = name;
    for (uint32_t i = 2; map_get(taken, weir_str_of(candidate)) != NULL; i++)
        candidate = arena_printf(&job->arena, "%s#%u", name, i);
    map_put(taken, weir_str_of(candidate), job);
    return candidate;
}

static void decide_names(weir_job *job, struct plan_node *nodes)
{
    struct map *taken = map_new(TAKEN_MAX);
    for (uint32_t i = 0; i < job->node_count; i++)
        nodes[i].name = name_take(job, taken, job->nodes[i]->name);
    map_free(taken);
}

/* Uids that were written come first, so that adding a stateless operator never renames one. */
static void decide_uids(weir_job *job, struct plan_node *nodes)
{
    struct map *taken = map_new(TAKEN_MAX);
    for (uint32_t i = 0; i < job->node_count; i++) {
        if (job->nodes[i]->uid != NULL)
            nodes[i].uid = name_take(job, taken, job->nodes[i]->uid);
    }
    for (uint32_t i = 0; i < job->node_count; i++) {
        if (job->nodes[i]->uid == NULL)
            nodes[i].uid = name_take(job, taken, nodes[i].name);
    }
    map_free(taken);
}

/* -- parallelism and slot groups -------------------------------------------------------------- */

/* No hint can be given to a sink, so it does as its inputs do, if they agree: that is how a job
 * gets one writer, or a sink in a slot of its own. */
static void follow_inputs(const struct plan_node *nodes, struct plan_node *sink)
{
    const struct graph_node *node = sink->node;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct plan_node *from = &nodes[node->inputs[i].from->index];
        const struct plan_node *first = &nodes[node->inputs[0].from->index];
        if (from->parallelism != first->parallelism)
            sink->parallelism = 0;
        else if (i == 0)
            sink->parallelism = from->parallelism;
        if (strcmp(from->slot_group, first->slot_group) != 0)
            sink->slot_group = NULL;
        else if (i == 0)
            sink->slot_group = from->slot_group;
    }
}

static void decide_resources(weir_job *job, struct plan_node *nodes,
    const struct plan_options *options)
{
    for (uint32_t i = 0; i < job->node_count; i++) {
        struct plan_node *node = &nodes[i];
        node->parallelism = node->node->parallelism;
        node->slot_group = node->node->slot_group;
        if (node->node->kind == PLAN_SINK)
            follow_inputs(nodes, node);
        if (node->parallelism == 0)
            node->parallelism = options->parallelism;
        if (node->slot_group == NULL)
            node->slot_group = GRAPH_SLOT_GROUP_DEFAULT;
    }
}

static struct plan_node *decide(weir_job *job, const struct plan_options *options)
{
    struct plan_node *nodes = arena_alloc(&job->arena, job->node_count * sizeof(*nodes));
    for (uint32_t i = 0; i < job->node_count; i++)
        nodes[i].node = job->nodes[i];
    decide_names(job, nodes);
    decide_uids(job, nodes);
    decide_resources(job, nodes, options);
    return nodes;
}

/* -- fingerprint ------------------------------------------------------------------------------ */

static void put_text(weir_buffer *buffer, const char *text)
{
    buffer_put_str(buffer, weir_str_of(text));
}

static void put_type(weir_buffer *buffer, const struct weir_type *type)
{
    buffer_put_u64(buffer, type == NULL ? 0 : weir_type_fingerprint(type));
}

/* By field names: offsets differ between machines. */
static void put_key(weir_buffer *buffer, const struct weir_key *key)
{
    buffer_put_u32(buffer, key->offset_count);
    for (uint32_t i = 0; i < key->offset_count; i++)
        put_text(buffer, graph_field_at(key->type, key->offsets[i])->name);
}

static void put_op(weir_buffer *buffer, const struct weir_operator *op)
{
    buffer_put_u32(buffer, op->state_count);
    for (uint32_t i = 0; i < op->state_count; i++) {
        put_text(buffer, op->states[i].name);
        buffer_put_u8(buffer, (uint8_t)op->states[i].kind);
        put_type(buffer, op->states[i].type);
        buffer_put_u64(buffer, (uint64_t)op->states[i].ttl_ms);
        buffer_put_u8(buffer, (uint8_t)op->states[i].ttl_time);
    }
    buffer_put_u32(buffer, op->side_count);
    for (uint32_t i = 0; i < op->side_count; i++) {
        put_text(buffer, op->sides[i].name);
        put_type(buffer, op->sides[i].type);
    }
    buffer_put_u32(buffer, op->counter_count);
    for (uint32_t i = 0; i < op->counter_count; i++)
        put_text(buffer, op->counters[i]);
    buffer_put_u8(buffer, op->has_timers);
}

static void put_operator(weir_buffer *buffer, const struct plan_operator *operator_)
{
    buffer_put_u8(buffer, (uint8_t)operator_->kind);
    put_text(buffer, operator_->uid);
    put_text(buffer, operator_->name);
    put_type(buffer, operator_->in);
    put_type(buffer, operator_->out);
    put_key(buffer, &operator_->key);
    buffer_put_u8(buffer, operator_->has_event_time);
    buffer_put_u32(buffer, operator_->event_time_offset);
    buffer_put_u64(buffer, (uint64_t)operator_->out_of_orderness_ms);
    buffer_put_u8(buffer, operator_->has_dead_letters);
    buffer_put_u32(buffer, operator_->dead_letters_per_second_max);
    if (operator_->kind == PLAN_SOURCE)
        put_text(buffer, operator_->source.source_class->name);
    if (operator_->kind == PLAN_SINK)
        put_text(buffer, operator_->sink.sink_class->name);
    if (operator_->kind == PLAN_OPERATOR)
        put_op(buffer, operator_->op);
    buffer_put_u32(buffer, operator_->target_count);
    for (uint32_t i = 0; i < operator_->target_count; i++) {
        const struct plan_target *target = &operator_->targets[i];
        buffer_put_u8(buffer, (uint8_t)target->output);
        buffer_put_u32(buffer, target->side);
        buffer_put_u8(buffer, target->is_chained);
        buffer_put_u32(buffer, target->is_chained ? target->operator_ : target->edge);
    }
}

static void put_edge(weir_buffer *buffer, const struct plan_edge *edge)
{
    buffer_put_u32(buffer, edge->from_vertex);
    buffer_put_u32(buffer, edge->from_operator);
    buffer_put_u8(buffer, (uint8_t)edge->output);
    buffer_put_u32(buffer, edge->to_vertex);
    buffer_put_u8(buffer, (uint8_t)edge->partitioner);
    put_key(buffer, &edge->key);
    put_type(buffer, edge->type);
}

static uint64_t fingerprint(const struct plan *plan)
{
    weir_buffer *buffer = weir_buffer_new(FINGERPRINT_SIZE_MAX);
    put_text(buffer, plan->job);
    buffer_put_u32(buffer, plan->max_parallelism);
    buffer_put_u32(buffer, plan->vertex_count);
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        const struct plan_vertex *vertex = &plan->vertices[i];
        buffer_put_u32(buffer, vertex->parallelism);
        put_text(buffer, plan->slot_groups[vertex->slot_group]);
        buffer_put_u32(buffer, vertex->operator_count);
        for (uint32_t j = 0; j < vertex->operator_count; j++)
            put_operator(buffer, &vertex->operators[j]);
    }
    buffer_put_u32(buffer, plan->edge_count);
    for (uint32_t i = 0; i < plan->edge_count; i++)
        put_edge(buffer, &plan->edges[i]);
    ASSERT(!weir_buffer_overflowed(buffer));
    weir_str bytes = weir_buffer_view(buffer);
    uint64_t hash = hash_bytes(bytes.data, bytes.size);
    weir_buffer_free(buffer);
    return hash;
}

/* --------------------------------------------------------------------------------------------- */

weir_error *plan_build(weir_job *job, const struct plan_options *options, const struct plan **plan)
{
    ASSERT(job != NULL && options != NULL && plan != NULL);
    *plan = NULL;
    struct plan_options decided = *options;
    if (decided.max_parallelism == 0)
        decided.max_parallelism = MAX_PARALLELISM_DEFAULT;
    plan_validate(job, &decided);
    WEIR_TRY(job_mistakes(job));

    struct plan *made = arena_alloc(&job->arena, sizeof(*made));
    made->job = arena_strdup(&job->arena, decided.job);
    made->max_parallelism = decided.max_parallelism;
    struct plan_node *nodes = decide(job, &decided);
    plan_chain(job, nodes, made, decided.is_chaining_disabled);
    made->fingerprint = fingerprint(made);
    *plan = made;
    return NULL;
}

uint32_t plan_slot_count(const struct plan *plan)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->slot_group_count; i++)
        count += plan->slot_group_sizes[i];
    return count;
}

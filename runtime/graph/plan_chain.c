/* plan_chain.c -- which operators share a vertex, and what lies between the vertices.
 *
 * Flink's rule (StreamingJobGraphGenerator.isChainable): the edge is the only input of what reads
 * it, both have the same parallelism and slot-sharing group, the partitioner is FORWARD, the
 * upstream operator does not refuse chaining (NEVER), the downstream one allows it (ALWAYS; HEAD
 * begins a vertex). A vertex is then a tree: every operator but the head has exactly one input,
 * inside.
 *
 * Vertices are numbered by their heads. That is a topological order: an edge between vertices leads
 * to a head, and every operator has a larger index than what it reads and than its own head. */
#include "runtime/graph/graph_private.h"

#include "base/assert.h"
#include "base/buffer.h"

#define VERTEX_NAME_SIZE_MAX ((size_t)1 << 20)

/* -- the rule --------------------------------------------------------------------------------- */

static enum partitioner_kind partitioner_of(const struct graph_branch *branch,
    uint32_t from_parallelism, uint32_t to_parallelism)
{
    switch (branch->routing) {
    case ROUTING_DEFAULT:
        return from_parallelism == to_parallelism ? PARTITIONER_FORWARD : PARTITIONER_REBALANCE;
    case ROUTING_REBALANCE:
        return PARTITIONER_REBALANCE;
    case ROUTING_BROADCAST:
        return PARTITIONER_BROADCAST;
    case ROUTING_KEY:
        return PARTITIONER_KEY_GROUP;
    }
    ASSERT(false);
    return PARTITIONER_REBALANCE;
}

static bool is_chainable(const struct plan_node *nodes, const struct plan_node *to)
{
    if (to->node->input_count != 1)
        return false;
    const struct graph_branch *branch = &to->node->inputs[0];
    const struct plan_node *from = &nodes[branch->from->index];
    return from->parallelism == to->parallelism && strcmp(from->slot_group, to->slot_group) == 0 &&
           partitioner_of(branch, from->parallelism, to->parallelism) == PARTITIONER_FORWARD &&
           from->node->chaining != WEIR_CHAIN_NEVER && to->node->chaining == WEIR_CHAIN_ALWAYS;
}

/* -- vertices --------------------------------------------------------------------------------- */

/* Thread: the builder's. The plan while it is made: the same arrays, writable. */
struct making {
    weir_job *job;
    struct plan_node *nodes;
    struct plan *plan;
    struct plan_vertex *vertices;
    struct plan_edge *edges;
};

static void *making_alloc(struct making *making, size_t count, size_t size)
{
    return arena_alloc(&making->job->arena, count * size);
}

static void assign_vertices(struct making *making, bool is_disabled)
{
    struct plan *plan = making->plan;
    making->vertices = making_alloc(making, making->job->node_count, sizeof(*making->vertices));
    for (uint32_t i = 0; i < making->job->node_count; i++) {
        struct plan_node *node = &making->nodes[i];
        node->is_chained = !is_disabled && is_chainable(making->nodes, node);
        node->vertex = node->is_chained ? making->nodes[node->node->inputs[0].from->index].vertex
                                        : plan->vertex_count++;
        node->operator_ = making->vertices[node->vertex].operator_count++;
    }
    plan->vertices = making->vertices;
}

static uint32_t slot_group_index(struct plan *plan, const char **groups, const char *group)
{
    for (uint32_t i = 0; i < plan->slot_group_count; i++) {
        if (strcmp(groups[i], group) == 0)
            return i;
    }
    groups[plan->slot_group_count] = group;
    return plan->slot_group_count++;
}

static void assign_slots(struct making *making)
{
    struct plan *plan = making->plan;
    const char **groups = making_alloc(making, plan->vertex_count, sizeof(*groups));
    for (uint32_t i = 0; i < making->job->node_count; i++) {
        const struct plan_node *node = &making->nodes[i];
        if (node->is_chained)
            continue;
        struct plan_vertex *vertex = &making->vertices[node->vertex];
        vertex->parallelism = node->parallelism;
        vertex->slot_group = slot_group_index(plan, groups, node->slot_group);
    }
    plan->slot_groups = groups;
}

/* -- edges and targets ------------------------------------------------------------------------ */

static void make_edge(struct making *making, const struct graph_branch *branch,
    const struct plan_node *to)
{
    const struct plan_node *from = &making->nodes[branch->from->index];
    ASSERT(from->vertex < to->vertex && to->operator_ == 0);
    making->edges[making->plan->edge_count++] = (struct plan_edge){
        .from_vertex = from->vertex,
        .from_operator = from->operator_,
        .output = branch->output,
        .to_vertex = to->vertex,
        .partitioner = partitioner_of(branch, from->parallelism, to->parallelism),
        .key = branch->key,
        .type = graph_branch_type(branch),
    };
}

/* Edges in the order of what reads them, then of its inputs; each also a target of where it begins.
 * `counts` are the targets of each node so far; the second pass, with room for them, fills. */
static void connect(struct making *making, struct plan_target **targets, uint32_t *counts)
{
    uint32_t edge = 0;
    for (uint32_t i = 0; i < making->job->node_count; i++) {
        const struct plan_node *to = &making->nodes[i];
        for (uint32_t j = 0; j < to->node->input_count; j++) {
            const struct graph_branch *branch = &to->node->inputs[j];
            uint32_t from = branch->from->index;
            struct plan_target target = { .output = branch->output,
                .side = branch->side,
                .is_chained = to->is_chained };
            if (to->is_chained) {
                target.operator_ = to->operator_;
                ASSERT(to->operator_ > making->nodes[from].operator_);
            } else {
                target.edge = edge++;
            }
            if (targets != NULL)
                targets[from][counts[from]] = target;
            if (targets != NULL && !to->is_chained)
                make_edge(making, branch, to);
            counts[from]++;
        }
    }
}

static void fill_operator(const struct plan_node *from, struct plan_operator *operator_)
{
    const struct graph_node *node = from->node;
    *operator_ = (struct plan_operator){
        .kind = node->kind,
        .uid = from->uid,
        .name = from->name,
        .op = node->op,
        .source = node->source,
        .sink = node->sink,
        .config = node->config,
        .in = graph_input_type(node),
        .out = graph_output_type(node),
        .is_keyed = node->is_keyed,
        .key = node->key,
        .has_keyed_state = node->op != NULL && (node->op->state_count > 0 || node->op->has_timers),
        .has_event_time = node->has_event_time,
        .event_time_offset = node->event_time_offset,
        .out_of_orderness_ms = node->out_of_orderness_ms,
        .has_dead_letters = node->has_dead_letters,
        .dead_letters_per_second_max = node->dead_letters_per_second_max,
    };
    if (node->kind == PLAN_SINK && operator_->in == NULL)
        operator_->in = graph_branch_type(&node->inputs[0]);
}

static void fill_operators(struct making *making)
{
    uint32_t node_count = making->job->node_count;
    struct plan_operator *all = making_alloc(making, node_count, sizeof(*all));
    uint32_t *counts = making_alloc(making, node_count, sizeof(*counts));
    struct plan_target **targets = making_alloc(making, node_count, sizeof(struct plan_target *));
    making->edges = making_alloc(making, making->job->edge_count, sizeof(*making->edges));
    making->plan->edges = making->edges;

    connect(making, NULL, counts);
    for (uint32_t i = 0; i < node_count; i++) {
        targets[i] = making_alloc(making, counts[i], sizeof(struct plan_target));
        counts[i] = 0;
    }
    connect(making, targets, counts);

    for (uint32_t i = 0, used = 0; i < making->plan->vertex_count; i++) {
        making->vertices[i].operators = &all[used];
        used += making->vertices[i].operator_count;
    }
    for (uint32_t i = 0; i < node_count; i++) {
        const struct plan_node *node = &making->nodes[i];
        size_t first = (size_t)(making->vertices[node->vertex].operators - all);
        struct plan_operator *operator_ = &all[first + node->operator_];
        fill_operator(node, operator_);
        operator_->targets = targets[i];
        operator_->target_count = counts[i];
    }
}

/* -- what follows from all that: the rest of the plan ------------------------------------------- */

static void number_subtasks(struct arena *arena, struct plan *plan, struct plan_vertex *vertices)
{
    uint32_t *sizes = arena_alloc(arena, plan->slot_group_count * sizeof(*sizes));
    plan->subtask_count = 0;
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        struct plan_vertex *vertex = &vertices[i];
        vertex->first_subtask = plan->subtask_count;
        plan->subtask_count += vertex->parallelism;
        if (sizes[vertex->slot_group] < vertex->parallelism)
            sizes[vertex->slot_group] = vertex->parallelism;
    }
    plan->slot_group_sizes = sizes;
}

static void list_edges(struct arena *arena, const struct plan *plan, struct plan_vertex *vertex,
    uint32_t index)
{
    uint32_t in_count = 0, out_count = 0;
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        in_count += plan->edges[i].to_vertex == index;
        out_count += plan->edges[i].from_vertex == index;
    }
    uint32_t *in = arena_alloc(arena, in_count * sizeof(*in));
    uint32_t *out = arena_alloc(arena, out_count * sizeof(*out));
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        if (plan->edges[i].to_vertex == index)
            in[vertex->in_edge_count++] = i;
        if (plan->edges[i].from_vertex == index)
            out[vertex->out_edge_count++] = i;
    }
    vertex->in_edges = in;
    vertex->out_edges = out;
}

static uint32_t chained_count(const struct plan_operator *operator_)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < operator_->target_count; i++)
        count += operator_->targets[i].is_chained;
    return count;
}

/* "a -> b -> c", and "a -> (b -> c, d)" where the chain forks. Depth: at most the operators. */
static void write_name(const struct plan_vertex *vertex, uint32_t index, weir_buffer *name)
{
    const struct plan_operator *operator_ = &vertex->operators[index];
    uint32_t fork = chained_count(operator_), done = 0;
    buffer_printf(name, "%s%s", operator_->name, fork == 0 ? "" : fork == 1 ? " -> " : " -> (");
    for (uint32_t i = 0; i < operator_->target_count; i++) {
        if (!operator_->targets[i].is_chained)
            continue;
        if (done++ > 0)
            buffer_printf(name, ", ");
        write_name(vertex, operator_->targets[i].operator_, name);
    }
    if (fork > 1)
        buffer_printf(name, ")");
}

static void name_vertices(struct arena *arena, const struct plan *plan,
    struct plan_vertex *vertices)
{
    weir_buffer *name = weir_buffer_new(VERTEX_NAME_SIZE_MAX);
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        weir_buffer_reset(name);
        write_name(&vertices[i], 0, name);
        vertices[i].name = arena_strdup(arena, buffer_text(name));
    }
    weir_buffer_free(name);
}

void plan_chain_complete(struct arena *arena, struct plan *plan, struct plan_vertex *vertices)
{
    ASSERT(plan->vertices == vertices);
    number_subtasks(arena, plan, vertices);
    for (uint32_t i = 0; i < plan->vertex_count; i++)
        list_edges(arena, plan, &vertices[i], i);
    name_vertices(arena, plan, vertices);
}

void plan_chain(weir_job *job, struct plan_node *nodes, struct plan *plan, bool is_disabled)
{
    ASSERT(job->node_count > 0);
    struct making making = { .job = job, .nodes = nodes, .plan = plan };
    assign_vertices(&making, is_disabled);
    assign_slots(&making);
    fill_operators(&making);
    plan_chain_complete(&job->arena, plan, making.vertices);
}

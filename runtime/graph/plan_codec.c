/* plan_codec.c -- the bytes of a plan.
 *
 * Behind a header (base/sealed.h, "WEIRPLN1"), integers little-endian, `str` and `list` with a u32 length or
 * count in front, a bool one byte:
 *
 *      list of types · str job · u64 fingerprint · u32 max_parallelism · list of slot groups, each a str ·
 *      list of edges · list of vertices
 *      type      placed (types/schema.h); those of states apart, each once; a use of one is its u32 index here, or
 *                0xffffffff for none
 *      key       type · list of u32 offsets
 *      edge      u32 vertex that it leads to · u8 partitioner · key, if that is by key group
 *      vertex    u32 parallelism · u32 slot group · list of operators
 *      operator  u8 kind · str uid · str name · type in · type out · bool is_keyed, then key ·
 *                bool has_dead_letters · u32 dead letters a second · what is special of its kind · list of targets
 *      source    str connector · bool has_event_time, then u32 offset, u64 out_of_orderness_ms
 *      operator  str states (types/state_schema.h, without key) · bool has_timers ·
 *                list of sides, each str name, type · list of counters, each a str
 *      sink      str connector
 *      target    u8 output · u32 side, if it is one · bool is_chained · u32 operator, or else edge
 *
 * Where an edge comes from and what travels on it is said by the target that it is. */
#include "runtime/graph/plan_codec.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/map.h"
#include "base/sealed.h"
#include "runtime/graph/graph_private.h"
#include "types/key.h"
#include "types/key_group.h"
#include "types/schema.h"
#include "types/state_schema.h"

#define NO_TYPE UINT32_C(0xffffffff)
/* In, out, of the key, of each side output; of the key of each edge. */
#define TYPES_MAX     (GRAPH_NODES_MAX * (3 + WEIR_SIDES_MAX) + GRAPH_EDGES_MAX)
#define TEXT_SIZE_MAX ((size_t)1 << 20)
/* A name is as the job wrote it, or with "#1000" behind it. */
#define NAME_SIZE_MAX ((size_t)GRAPH_NAME_SIZE_MAX + 8)

_Static_assert(PLAN_SOURCE == 0 && PLAN_OPERATOR == 1 && PLAN_SINK == 2, "encoded");
_Static_assert(PLAN_OUTPUT_MAIN == 0 && PLAN_OUTPUT_SIDE == 1 && PLAN_OUTPUT_DEAD_LETTERS == 2,
    "encoded");
_Static_assert(PARTITIONER_FORWARD == 0 && PARTITIONER_REBALANCE == 1, "encoded");
_Static_assert(PARTITIONER_BROADCAST == 2 && PARTITIONER_KEY_GROUP == 3, "encoded");

static const struct sealed_form form = { .magic = "WEIRPLN1", .noun = "a plan", .version = 1 };

/* -- encoding --------------------------------------------------------------------------------- */

/* Thread: its owner. */
struct encoding {
    weir_buffer *out;
    const struct weir_type **types; /* those met so far */
    uint32_t type_count;
};

static void put_text(struct encoding *it, const char *text)
{
    buffer_put_str(it->out, weir_str_of(text));
}

static void put_type(struct encoding *it, const struct weir_type *type)
{
    uint32_t index = 0;
    if (type == NULL) {
        buffer_put_u32(it->out, NO_TYPE);
        return;
    }
    while (index < it->type_count && !schema_equal(it->types[index], type))
        index++;
    if (index == it->type_count) {
        ASSERT(index < TYPES_MAX);
        it->types[it->type_count++] = type;
    }
    buffer_put_u32(it->out, index);
}

static void put_key(struct encoding *it, const struct weir_key *key)
{
    put_type(it, key->type);
    buffer_put_u32(it->out, key->offset_count);
    for (uint32_t i = 0; i < key->offset_count; i++)
        buffer_put_u32(it->out, key->offsets[i]);
}

static void put_source(struct encoding *it, const struct plan_operator *operator_)
{
    put_text(it, operator_->source.source_class->name);
    buffer_put_u8(it->out, operator_->has_event_time);
    if (!operator_->has_event_time)
        return;
    buffer_put_u32(it->out, operator_->event_time_offset);
    buffer_put_u64(it->out, (uint64_t)operator_->out_of_orderness_ms);
}

static void put_op(struct encoding *it, const struct weir_operator *op)
{
    struct state_schema schema;
    weir_buffer *states = weir_buffer_new(PLAN_SIZE_MAX);
    state_schema_of(&schema, &(struct weir_key){ .type = NULL }, op->states, op->state_count);
    state_schema_put(&schema, states);
    if (weir_buffer_overflowed(states)) /* pass it on */
        buffer_put_str(it->out, (weir_str){ .data = "", .size = UINT32_MAX });
    buffer_put_str(it->out, weir_buffer_view(states));
    weir_buffer_free(states);
    buffer_put_u8(it->out, op->has_timers);
    buffer_put_u32(it->out, op->side_count);
    for (uint32_t i = 0; i < op->side_count; i++) {
        put_text(it, op->sides[i].name);
        put_type(it, op->sides[i].type);
    }
    buffer_put_u32(it->out, op->counter_count);
    for (uint32_t i = 0; i < op->counter_count; i++)
        put_text(it, op->counters[i]);
}

static void put_target(struct encoding *it, const struct plan_target *target)
{
    buffer_put_u8(it->out, (uint8_t)target->output);
    if (target->output == PLAN_OUTPUT_SIDE)
        buffer_put_u32(it->out, target->side);
    buffer_put_u8(it->out, target->is_chained);
    buffer_put_u32(it->out, target->is_chained ? target->operator_ : target->edge);
}

static void put_operator(struct encoding *it, const struct plan_operator *operator_)
{
    buffer_put_u8(it->out, (uint8_t)operator_->kind);
    put_text(it, operator_->uid);
    put_text(it, operator_->name);
    put_type(it, operator_->in);
    put_type(it, operator_->out);
    buffer_put_u8(it->out, operator_->is_keyed);
    if (operator_->is_keyed)
        put_key(it, &operator_->key);
    buffer_put_u8(it->out, operator_->has_dead_letters);
    buffer_put_u32(it->out, operator_->dead_letters_per_second_max);
    switch (operator_->kind) {
    case PLAN_SOURCE:
        put_source(it, operator_);
        break;
    case PLAN_OPERATOR:
        put_op(it, operator_->op);
        break;
    case PLAN_SINK:
        put_text(it, operator_->sink.sink_class->name);
        break;
    }
    buffer_put_u32(it->out, operator_->target_count);
    for (uint32_t i = 0; i < operator_->target_count; i++)
        put_target(it, &operator_->targets[i]);
}

static void put_edge(struct encoding *it, const struct plan_edge *edge)
{
    buffer_put_u32(it->out, edge->to_vertex);
    buffer_put_u8(it->out, (uint8_t)edge->partitioner);
    if (edge->partitioner == PARTITIONER_KEY_GROUP)
        put_key(it, &edge->key);
}

static void put_plan(struct encoding *it, const struct plan *plan)
{
    put_text(it, plan->job);
    buffer_put_u64(it->out, plan->fingerprint);
    buffer_put_u32(it->out, plan->max_parallelism);
    buffer_put_u32(it->out, plan->slot_group_count);
    for (uint32_t i = 0; i < plan->slot_group_count; i++)
        put_text(it, plan->slot_groups[i]);
    buffer_put_u32(it->out, plan->edge_count);
    for (uint32_t i = 0; i < plan->edge_count; i++)
        put_edge(it, &plan->edges[i]);
    buffer_put_u32(it->out, plan->vertex_count);
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        const struct plan_vertex *vertex = &plan->vertices[i];
        buffer_put_u32(it->out, vertex->parallelism);
        buffer_put_u32(it->out, vertex->slot_group);
        buffer_put_u32(it->out, vertex->operator_count);
        for (uint32_t j = 0; j < vertex->operator_count; j++)
            put_operator(it, &vertex->operators[j]);
    }
}

void plan_encode(const struct plan *plan, weir_buffer *out)
{
    struct encoding it = { .out = weir_buffer_new(PLAN_SIZE_MAX),
        .types = mem_alloc_array(TYPES_MAX, sizeof(struct weir_type *)) };
    put_plan(&it, plan);
    weir_buffer *body = weir_buffer_new(PLAN_SIZE_MAX - SEALED_HEADER_SIZE);
    buffer_put_u32(body, it.type_count);
    for (uint32_t i = 0; i < it.type_count; i++)
        schema_put_placed(it.types[i], body);
    if (weir_buffer_overflowed(it.out)) /* pass it on */
        buffer_put_str(body, (weir_str){ .data = "", .size = UINT32_MAX });
    weir_buffer_add_str(body, weir_buffer_view(it.out));
    sealed_put(&form, body, out);
    weir_buffer_free(body);
    weir_buffer_free(it.out);
    mem_free(it.types);
}

/* -- decoding: pieces ------------------------------------------------------------------------- */

/* A piece that is none fails the reader, and is read as something harmless: is_bad is asked before it is believed.
 * Thread: its owner. */
struct decoding {
    struct reader reader;
    struct arena *arena;
    struct plan *plan;
    const struct weir_type **types;
    uint32_t type_count;
    struct plan_edge *edges; /* of the plan; without a type: no target has been this one */
    uint32_t operator_count, target_count; /* over all vertices */
    struct map *names, *uids;
};

static bool is_bad(const struct decoding *it)
{
    return reader_failed(&it->reader);
}

static weir_error *damaged(const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT, "the plan is damaged: %s", what);
}

static bool get_bool(struct decoding *it)
{
    return reader_u8_max(&it->reader, 1) == 1;
}

static const char *get_text(struct decoding *it, size_t size_max)
{
    const char *text = reader_text(&it->reader, it->arena, size_max);
    if (text != NULL && text[0] != '\0')
        return text;
    reader_fail(&it->reader);
    return "";
}

static const char *get_name(struct decoding *it)
{
    const char *name = get_text(it, NAME_SIZE_MAX);
    if (!graph_is_plain(name))
        reader_fail(&it->reader);
    return name;
}

/* Of an operator: nobody else in the plan has it. */
static const char *get_own_name(struct decoding *it, struct map *taken)
{
    const char *name = get_name(it);
    if (is_bad(it) || map_get(taken, weir_str_of(name)) != NULL)
        reader_fail(&it->reader);
    else
        map_put(taken, weir_str_of(name), it);
    return name;
}

static const struct weir_type *get_type(struct decoding *it)
{
    uint32_t index = reader_u32(&it->reader);
    if (index < it->type_count)
        return it->types[index];
    if (index != NO_TYPE)
        reader_fail(&it->reader);
    return NULL;
}

static weir_error *get_key(struct decoding *it, struct weir_key *key)
{
    key->type = get_type(it);
    key->offset_count = reader_u32_max(&it->reader, WEIR_KEY_FIELDS_MAX);
    for (uint32_t i = 0; i < key->offset_count; i++)
        key->offsets[i] = reader_u32(&it->reader);
    weir_error *error = is_bad(it) ? NULL : key_validate(key);
    bool is_sound = error == NULL && !is_bad(it);
    weir_error_free(error);
    return is_sound ? NULL : damaged("a key is none");
}

/* -- decoding: operators ---------------------------------------------------------------------- */

static weir_error *get_source(struct decoding *it, struct plan_operator *operator_)
{
    struct weir_source_class *source_class = arena_alloc(it->arena, sizeof(*source_class));
    source_class->name = get_text(it, TEXT_SIZE_MAX);
    operator_->source.source_class = source_class;
    operator_->has_event_time = get_bool(it);
    if (operator_->has_event_time) {
        operator_->event_time_offset = reader_u32(&it->reader);
        operator_->out_of_orderness_ms = (int64_t)reader_u64(&it->reader);
    }
    if (is_bad(it) || operator_->in != NULL || operator_->out == NULL || operator_->is_keyed)
        return damaged("a source is none");
    if (!operator_->has_event_time)
        return NULL;
    const struct weir_field *field = graph_field_at(operator_->out, operator_->event_time_offset);
    if (field == NULL || field->kind != WEIR_I64 || operator_->out_of_orderness_ms < 0)
        return damaged("the event time of a source is none");
    return NULL;
}

static weir_error *get_states(struct decoding *it, struct weir_operator *op)
{
    struct state_schema schema;
    weir_str bytes = reader_str(&it->reader);
    if (is_bad(it) || bytes.data == NULL)
        return damaged("an operator has no list of states");
    WEIR_TRY(state_schema_get(bytes, it->arena, &schema));
    if (schema.key_count > 0)
        return damaged("states have a key of their own");
    op->states = schema.states;
    op->state_count = schema.state_count;
    return NULL;
}

static weir_error *get_sides(struct decoding *it, struct weir_operator *op)
{
    op->side_count = reader_u32_max(&it->reader, WEIR_SIDES_MAX);
    struct weir_side_output *sides = arena_alloc(it->arena, op->side_count * sizeof(*sides));
    op->sides = sides;
    for (uint32_t i = 0; i < op->side_count; i++) {
        sides[i].name = get_text(it, TEXT_SIZE_MAX);
        sides[i].type = get_type(it);
        if (is_bad(it) || sides[i].type == NULL)
            return damaged("a side output is none");
    }
    return NULL;
}

static weir_error *get_counters(struct decoding *it, struct weir_operator *op)
{
    op->counter_count = reader_u32_max(&it->reader, WEIR_COUNTERS_MAX);
    const char **counters = arena_alloc(it->arena, op->counter_count * sizeof(*counters));
    op->counters = counters;
    for (uint32_t i = 0; i < op->counter_count; i++)
        counters[i] = get_text(it, TEXT_SIZE_MAX);
    return is_bad(it) ? damaged("a counter is none") : NULL;
}

static weir_error *get_op(struct decoding *it, struct plan_operator *operator_)
{
    struct weir_operator *op = arena_alloc(it->arena, sizeof(*op));
    *op = (struct weir_operator){ .uid = operator_->uid,
        .name = operator_->name,
        .in = operator_->in,
        .out = operator_->out };
    operator_->op = op;
    WEIR_TRY(get_states(it, op));
    op->has_timers = get_bool(it);
    WEIR_TRY(get_sides(it, op));
    WEIR_TRY(get_counters(it, op));
    operator_->has_keyed_state = op->state_count > 0 || op->has_timers;
    if (operator_->in == NULL || (operator_->has_keyed_state && !operator_->is_keyed))
        return damaged("an operator has no input, or state without a key");
    return NULL;
}

static weir_error *get_sink(struct decoding *it, struct plan_operator *operator_)
{
    struct weir_sink_class *sink_class = arena_alloc(it->arena, sizeof(*sink_class));
    sink_class->name = get_text(it, TEXT_SIZE_MAX);
    operator_->sink.sink_class = sink_class;
    return is_bad(it) || operator_->in == NULL || operator_->out != NULL ? damaged("a sink is none")
                                                                         : NULL;
}

static weir_error *get_kind(struct decoding *it, struct plan_operator *operator_)
{
    switch (operator_->kind) {
    case PLAN_SOURCE:
        return get_source(it, operator_);
    case PLAN_OPERATOR:
        return get_op(it, operator_);
    case PLAN_SINK:
        return get_sink(it, operator_);
    }
    return damaged("an operator is of no kind");
}

/* Outside, a checkpoint's files and items are named after it, if it keeps any. */
static bool is_uid(const struct plan_operator *operator_)
{
    const struct weir_operator *op = operator_->op;
    bool keeps = op == NULL || operator_->has_keyed_state || op->counter_count > 0;
    return !keeps || (strchr(operator_->uid, '/') == NULL && operator_->uid[0] != '.');
}

static weir_error *get_operator(struct decoding *it, struct plan_operator *operator_)
{
    operator_->kind = (enum plan_operator_kind)reader_u8_max(&it->reader, PLAN_SINK);
    operator_->uid = get_own_name(it, it->uids);
    operator_->name = get_own_name(it, it->names);
    operator_->in = get_type(it);
    operator_->out = get_type(it);
    operator_->is_keyed = get_bool(it);
    if (is_bad(it))
        return damaged("an operator is none, or has the name or uid of another");
    if (operator_->is_keyed)
        WEIR_TRY(get_key(it, &operator_->key));
    operator_->has_dead_letters = get_bool(it);
    operator_->dead_letters_per_second_max = reader_u32(&it->reader);
    WEIR_TRY(get_kind(it, operator_));
    return is_uid(operator_) ? NULL : damaged("a uid cannot name a file");
}

/* -- decoding: targets ------------------------------------------------------------------------ */

/* What an operator emits there; NULL: nothing. */
static const struct weir_type *output_type(const struct plan_operator *operator_,
    const struct plan_target *target)
{
    switch (target->output) {
    case PLAN_OUTPUT_MAIN:
        return operator_->out;
    case PLAN_OUTPUT_SIDE:
        return operator_->op != NULL && target->side < operator_->op->side_count
                   ? operator_->op->sides[target->side].type
                   : NULL;
    case PLAN_OUTPUT_DEAD_LETTERS:
        return operator_->has_dead_letters ? &weir_dead_letter_type : NULL;
    }
    return NULL;
}

/* The target is an edge: where the edge comes from is known now. */
static weir_error *leave(struct decoding *it, uint32_t vertex, uint32_t index,
    const struct plan_target *target, const struct weir_type *type)
{
    if (target->edge >= it->plan->edge_count || it->edges[target->edge].type != NULL)
        return damaged("an edge begins nowhere, or twice");
    struct plan_edge *edge = &it->edges[target->edge];
    edge->from_vertex = vertex;
    edge->from_operator = index;
    edge->output = target->output;
    edge->type = type;
    return NULL;
}

/* Of operator `index` of the vertex; `is_reached`: the operators that an earlier target leads to. */
static weir_error *get_targets(struct decoding *it, uint32_t vertex, uint32_t index,
    uint32_t operator_count, struct plan_operator *operator_, bool *is_reached)
{
    operator_->target_count = reader_u32_max(&it->reader, GRAPH_EDGES_MAX - it->target_count);
    struct plan_target *targets =
        arena_alloc(it->arena, operator_->target_count * sizeof(*targets));
    it->target_count += operator_->target_count;
    operator_->targets = targets;
    for (uint32_t i = 0; i < operator_->target_count; i++) {
        struct plan_target *target = &targets[i];
        target->output =
            (enum plan_output_kind)reader_u8_max(&it->reader, PLAN_OUTPUT_DEAD_LETTERS);
        if (target->output == PLAN_OUTPUT_SIDE)
            target->side = reader_u32(&it->reader);
        target->is_chained = get_bool(it);
        uint32_t to = reader_u32(&it->reader);
        const struct weir_type *type = output_type(operator_, target);
        if (is_bad(it) || type == NULL)
            return damaged("an operator emits where it has no output");
        if (!target->is_chained) {
            target->edge = to;
            WEIR_TRY(leave(it, vertex, index, target, type));
            continue;
        }
        target->operator_ = to;
        if (to <= index || to >= operator_count || is_reached[to])
            return damaged("a chain is no tree");
        is_reached[to] = true;
    }
    return is_bad(it) ? damaged("an operator has too many targets") : NULL;
}

/* -- decoding: vertices, edges, the whole ------------------------------------------------------ */

static weir_error *get_vertex(struct decoding *it, uint32_t index, struct plan_vertex *vertex)
{
    bool is_reached[GRAPH_NODES_MAX] = { true }; /* the head, by edges */
    vertex->parallelism = reader_u32_max(&it->reader, it->plan->max_parallelism);
    vertex->slot_group = reader_u32(&it->reader);
    vertex->operator_count = reader_u32_max(&it->reader, GRAPH_NODES_MAX - it->operator_count);
    it->operator_count += vertex->operator_count;
    if (is_bad(it) || vertex->parallelism == 0 || vertex->operator_count == 0 ||
        vertex->slot_group >= it->plan->slot_group_count)
        return damaged("a vertex is none");
    struct plan_operator *operators =
        arena_alloc(it->arena, vertex->operator_count * sizeof(*operators));
    vertex->operators = operators;
    for (uint32_t i = 0; i < vertex->operator_count; i++) {
        WEIR_TRY(get_operator(it, &operators[i]));
        if (!is_reached[i] ||
            (i > 0 && (operators[i].kind == PLAN_SOURCE || operators[i].is_keyed)))
            return damaged("an operator is where it cannot be in a chain");
        WEIR_TRY(get_targets(it, index, i, vertex->operator_count, &operators[i], is_reached));
    }
    return NULL;
}

static weir_error *get_vertices(struct decoding *it)
{
    struct plan *plan = it->plan;
    plan->vertex_count = reader_u32_max(&it->reader, GRAPH_NODES_MAX);
    if (is_bad(it) || plan->vertex_count == 0)
        return damaged("it has no vertices, or too many");
    struct plan_vertex *vertices = arena_alloc(it->arena, plan->vertex_count * sizeof(*vertices));
    plan->vertices = vertices;
    for (uint32_t i = 0; i < plan->vertex_count; i++)
        WEIR_TRY(get_vertex(it, i, &vertices[i]));
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        const struct plan_edge *edge = &it->edges[i];
        if (edge->type == NULL || edge->to_vertex >= plan->vertex_count ||
            edge->to_vertex <= edge->from_vertex)
            return damaged("an edge does not lead from a vertex to a later one");
        if (edge->partitioner == PARTITIONER_FORWARD &&
            vertices[edge->from_vertex].parallelism != vertices[edge->to_vertex].parallelism)
            return damaged("a forward edge is between vertices of another parallelism");
    }
    plan_chain_complete(it->arena, plan, vertices);
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        bool is_source = vertices[i].operators[0].kind == PLAN_SOURCE;
        if (is_source != (vertices[i].in_edge_count == 0))
            return damaged("a source has an input, or another vertex has none");
    }
    return NULL;
}

static weir_error *get_edges(struct decoding *it)
{
    struct plan *plan = it->plan;
    plan->edge_count = reader_u32_max(&it->reader, GRAPH_EDGES_MAX);
    it->edges = arena_alloc(it->arena, plan->edge_count * sizeof(*it->edges));
    plan->edges = it->edges;
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        it->edges[i].to_vertex = reader_u32(&it->reader);
        it->edges[i].partitioner =
            (enum partitioner_kind)reader_u8_max(&it->reader, PARTITIONER_KEY_GROUP);
        if (is_bad(it))
            break;
        if (it->edges[i].partitioner == PARTITIONER_KEY_GROUP)
            WEIR_TRY(get_key(it, &it->edges[i].key));
    }
    return is_bad(it) ? damaged("an edge is none") : NULL;
}

static weir_error *get_types(struct decoding *it)
{
    uint32_t count = reader_u32_max(&it->reader, TYPES_MAX);
    it->types = arena_alloc(it->arena, count * sizeof(struct weir_type *));
    for (; it->type_count < count; it->type_count++) {
        const struct weir_type **type = &it->types[it->type_count];
        WEIR_TRY(schema_get_placed(&it->reader, it->arena, type));
        weir_error *error = schema_validate(*type);
        if (error != NULL) {
            weir_error_free(error);
            return damaged("a type is not sound");
        }
    }
    return is_bad(it) ? damaged("it has too many types") : NULL;
}

static weir_error *get_plan(struct decoding *it)
{
    struct plan *plan = it->plan;
    WEIR_TRY(get_types(it));
    plan->job = get_name(it);
    plan->fingerprint = reader_u64(&it->reader);
    plan->max_parallelism = reader_u32_max(&it->reader, MAX_PARALLELISM_LIMIT);
    plan->slot_group_count = reader_u32_max(&it->reader, GRAPH_NODES_MAX);
    const char **groups = arena_alloc(it->arena, plan->slot_group_count * sizeof(*groups));
    plan->slot_groups = groups;
    for (uint32_t i = 0; i < plan->slot_group_count; i++)
        groups[i] = get_name(it);
    if (is_bad(it) || plan->max_parallelism == 0)
        return damaged("it has no name, no maximum parallelism or no slot groups");
    WEIR_TRY(get_edges(it));
    WEIR_TRY(get_vertices(it));
    for (uint32_t i = 0; i < plan->slot_group_count; i++) {
        if (plan->slot_group_sizes[i] == 0)
            return damaged("nobody is in a slot group");
    }
    return reader_at_end(&it->reader) ? NULL : damaged("its length is wrong");
}

weir_error *plan_decode(weir_str bytes, struct arena *arena, const struct plan **plan)
{
    uint32_t version;
    weir_str body;
    *plan = NULL;
    if (bytes.size > PLAN_SIZE_MAX)
        return damaged("no plan has so many bytes");
    WEIR_TRY(sealed_open(&form, bytes, "the plan", &version, &body));
    struct decoding it = { .reader = reader_of(body),
        .arena = arena,
        .plan = arena_alloc(arena, sizeof(struct plan)),
        .names = map_new(GRAPH_NODES_MAX),
        .uids = map_new(GRAPH_NODES_MAX) };
    weir_error *error = get_plan(&it);
    map_free(it.names);
    map_free(it.uids);
    if (error == NULL)
        *plan = it.plan;
    return error;
}

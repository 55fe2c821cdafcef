/* stream.c -- the verbs that make another view of a stream, and the hints about what is behind it.
 *
 * A stream is a value: a verb copies the branches and changes the copy, so one stream can be read
 * with different keys. Only hints reach through to the node. The node of a union is not one node:
 * hints, side outputs and dead letters of a union are mistakes. */
#include "runtime/graph/graph_private.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "types/key.h"

weir_stream *stream_new(weir_job *job, uint32_t branch_count)
{
    weir_stream *stream = arena_alloc(&job->arena, sizeof(*stream));
    stream->job = job;
    stream->branches = arena_alloc(&job->arena, branch_count * sizeof(*stream->branches));
    stream->branch_count = branch_count;
    return stream;
}

weir_stream *stream_broken(weir_job *job)
{
    weir_stream *stream = stream_new(job, 0);
    stream->is_broken = true;
    return stream;
}

static weir_stream *stream_copy(const weir_stream *in)
{
    weir_stream *stream = stream_new(in->job, in->branch_count);
    struct graph_branch *branches = stream->branches;
    *stream = *in;
    stream->branches = branches;
    for (uint32_t i = 0; i < in->branch_count; i++)
        branches[i] = in->branches[i];
    return stream;
}

/* How a mistake names a stream. */
static const char *stream_label(const weir_stream *stream)
{
    return stream->branch_count == 1 ? graph_branch_label(stream->job, &stream->branches[0])
                                     : "a union";
}

const struct weir_type *weir_stream_type(const weir_stream *stream)
{
    return stream == NULL ? NULL : stream->type;
}

weir_job *weir_stream_job(const weir_stream *stream)
{
    return stream == NULL ? NULL : stream->job;
}

/* -- routing ---------------------------------------------------------------------------------- */

static weir_stream *stream_route(weir_stream *in, enum graph_routing routing,
    const struct weir_key *key)
{
    weir_stream *stream = stream_copy(in);
    stream->is_keyed = routing == ROUTING_KEY;
    stream->key = stream->is_keyed ? *key : (struct weir_key){ .type = NULL };
    for (uint32_t i = 0; i < stream->branch_count; i++) {
        stream->branches[i].routing = routing;
        stream->branches[i].key = stream->key;
    }
    return stream;
}

weir_stream *weir_rebalance(weir_stream *in)
{
    return in == NULL ? NULL : stream_route(in, ROUTING_REBALANCE, NULL);
}

weir_stream *weir_broadcast(weir_stream *in)
{
    return in == NULL ? NULL : stream_route(in, ROUTING_BROADCAST, NULL);
}

static bool check_key(weir_stream *in, const struct weir_key *key)
{
    weir_error *error = key_validate(key);
    if (error != NULL) {
        weir_job_fail(in->job, weir_error_wrap(error, "%s", stream_label(in)));
        return false;
    }
    if (graph_types_equal(in->type, key->type))
        return true;
    job_mistake(in->job, "the key is of type '%s', but %s gives '%s'", key->type->name,
        stream_label(in), in->type->name);
    return false;
}

weir_stream *weir_key_by(weir_stream *in, struct weir_key key)
{
    if (in == NULL)
        return NULL;
    if (in->is_broken)
        return in;
    if (in->type == NULL) {
        job_mistake(in->job, "%s emits nothing on its main output, so it cannot have a key",
            stream_label(in));
        return stream_broken(in->job);
    }
    if (!check_key(in, &key)) {
        weir_stream *broken = stream_route(in, ROUTING_DEFAULT, NULL);
        broken->is_broken = true;
        return broken;
    }
    return stream_route(in, ROUTING_KEY, &key);
}

/* -- union ------------------------------------------------------------------------------------ */

static bool check_union(weir_stream *a, weir_stream *b)
{
    if (a->job != b->job) {
        job_mistake(a->job, "a union of streams of two jobs");
        return false;
    }
    if (a->is_broken || b->is_broken)
        return true;
    if (a->type == NULL || b->type == NULL) {
        job_mistake(a->job, "a union with %s, which emits nothing on its main output",
            stream_label(a->type == NULL ? a : b));
        return false;
    }
    if (graph_types_equal(a->type, b->type))
        return true;
    job_mistake(a->job, "a union of '%s' (%s) and '%s' (%s): both must be of one type",
        a->type->name, stream_label(a), b->type->name, stream_label(b));
    return false;
}

weir_stream *weir_union(weir_stream *a, weir_stream *b)
{
    if (a == NULL || b == NULL) {
        weir_stream *other = a == NULL ? b : a;
        return other == NULL ? NULL : stream_broken(other->job);
    }
    if (!check_union(a, b))
        return stream_broken(a->job);
    uint64_t branch_count = (uint64_t)a->branch_count + b->branch_count;
    if (branch_count > GRAPH_EDGES_MAX) {
        job_mistake(a->job, "a union of more than %u streams", GRAPH_EDGES_MAX);
        return stream_broken(a->job);
    }
    weir_stream *stream = stream_new(a->job, (uint32_t)branch_count);
    for (uint32_t i = 0; i < a->branch_count; i++)
        stream->branches[i] = a->branches[i];
    for (uint32_t i = 0; i < b->branch_count; i++)
        stream->branches[a->branch_count + i] = b->branches[i];
    stream->is_broken = a->is_broken || b->is_broken;
    stream->type = a->type != NULL ? a->type : b->type;
    stream->is_keyed = a->is_keyed && b->is_keyed && graph_keys_equal(&a->key, &b->key);
    if (stream->is_keyed)
        stream->key = a->key;
    return stream;
}

/* -- what else is behind a stream ------------------------------------------------------------- */

/* The one node behind a stream; NULL, after telling, when there is none. */
static struct graph_node *node_behind(weir_stream *of, const char *verb)
{
    if (of->is_broken)
        return NULL;
    if (of->branch_count == 1)
        return of->branches[0].from;
    job_mistake(of->job, "%s of a union: call it on the streams that were united", verb);
    return NULL;
}

static void mistake_no_side(weir_stream *of, const struct graph_node *node, const char *name)
{
    weir_buffer *text = weir_buffer_new(4096);
    uint32_t side_count = node->op == NULL || node->op->sides == NULL ? 0 : node->op->side_count;
    for (uint32_t i = 0; i < side_count; i++)
        buffer_printf(text, "%s'%s'", i == 0 ? "; it has " : ", ", node->op->sides[i].name);
    job_mistake(of->job, "%s has no side output '%s'%s", graph_label(of->job, node), name,
        buffer_text(text));
    weir_buffer_free(text);
}

weir_stream *weir_side_output(weir_stream *of, const char *name)
{
    if (of == NULL)
        return NULL;
    struct graph_node *node = node_behind(of, "weir_side_output");
    if (node == NULL)
        return stream_broken(of->job);
    name = name == NULL ? "" : name;
    uint32_t side_count = node->op == NULL || node->op->sides == NULL ? 0 : node->op->side_count;
    for (uint32_t i = 0; i < side_count; i++) {
        if (node->op->sides[i].name == NULL || strcmp(node->op->sides[i].name, name) != 0)
            continue;
        weir_stream *stream = stream_new(of->job, 1);
        stream->branches[0] =
            (struct graph_branch){ .from = node, .output = PLAN_OUTPUT_SIDE, .side = i };
        stream->type = node->op->sides[i].type;
        return stream;
    }
    mistake_no_side(of, node, name);
    return stream_broken(of->job);
}

weir_stream *weir_dead_letters(weir_stream *of, uint32_t per_second_max)
{
    if (of == NULL)
        return NULL;
    struct graph_node *node = node_behind(of, "weir_dead_letters");
    if (node == NULL)
        return stream_broken(of->job);
    if (node->has_dead_letters && node->dead_letters_per_second_max != per_second_max)
        job_mistake(of->job, "the dead letters of %s are limited twice, to %u and %u per second",
            graph_label(of->job, node), node->dead_letters_per_second_max, per_second_max);
    node->has_dead_letters = true;
    node->dead_letters_per_second_max = per_second_max;
    weir_stream *stream = stream_new(of->job, 1);
    stream->branches[0] = (struct graph_branch){ .from = node, .output = PLAN_OUTPUT_DEAD_LETTERS };
    stream->type = &weir_dead_letter_type;
    return stream;
}

/* -- event time ------------------------------------------------------------------------------- */

static bool check_event_time(weir_stream *source, const struct graph_node *node,
    const struct weir_type *type, size_t member_offset)
{
    const char *label = graph_label(source->job, node);
    if (node->kind != PLAN_SOURCE) {
        job_mistake(source->job, "%s: only a source can be given an event time", label);
        return false;
    }
    if (node->has_event_time) {
        job_mistake(source->job, "%s is given an event time twice", label);
        return false;
    }
    if (type == NULL || (source->type != NULL && !graph_types_equal(source->type, type))) {
        job_mistake(source->job, "%s gives '%s', but its event time is a member of '%s'", label,
            source->type == NULL ? "nothing" : source->type->name, type == NULL ? "" : type->name);
        return false;
    }
    const struct weir_field *field = graph_field_at(type, member_offset);
    if (field == NULL || field->kind != WEIR_I64) {
        job_mistake(source->job, "%s: the event time must be an i64 field of '%s'", label,
            type->name);
        return false;
    }
    return true;
}

weir_stream *weir_event_time_at(weir_stream *source, const struct weir_type *type,
    size_t member_offset, int64_t out_of_orderness_ms)
{
    if (source == NULL)
        return NULL;
    struct graph_node *node = node_behind(source, "weir_event_time");
    if (node == NULL || !check_event_time(source, node, type, member_offset))
        return source;
    if (out_of_orderness_ms < 0) {
        job_mistake(source->job, "%s: records cannot be out of order by a negative time",
            graph_label(source->job, node));
        return source;
    }
    node->has_event_time = true;
    node->event_time_offset = (uint32_t)member_offset;
    node->out_of_orderness_ms = out_of_orderness_ms;
    return source;
}

/* -- hints ------------------------------------------------------------------------------------ */

weir_stream *weir_uid(weir_stream *of, const char *uid)
{
    struct graph_node *node = of == NULL ? NULL : node_behind(of, "weir_uid");
    if (node == NULL)
        return of;
    node->uid = arena_strdup(&of->job->arena, uid == NULL ? "" : uid);
    if (node->name[0] == '\0')
        node->name = node->uid;
    return of;
}

weir_stream *weir_parallelism(weir_stream *of, uint32_t parallelism)
{
    struct graph_node *node = of == NULL ? NULL : node_behind(of, "weir_parallelism");
    if (node == NULL)
        return of;
    if (parallelism == 0)
        job_mistake(of->job, "%s: the parallelism must be at least 1", graph_label(of->job, node));
    node->parallelism = parallelism;
    return of;
}

weir_stream *weir_chaining(weir_stream *of, enum weir_chaining chaining)
{
    struct graph_node *node = of == NULL ? NULL : node_behind(of, "weir_chaining");
    if (node != NULL)
        node->chaining = chaining;
    return of;
}

weir_stream *weir_slot_group(weir_stream *of, const char *group)
{
    struct graph_node *node = of == NULL ? NULL : node_behind(of, "weir_slot_group");
    if (node != NULL)
        node->slot_group = arena_strdup(&of->job->arena, group == NULL ? "" : group);
    return of;
}

/* builder.c -- the job, its nodes, and what was wrong with them.
 *
 * A verb that makes a node checks only what it needs to go on (a stream, a name, room); every other
 * rule is checked by plan_validate.c, when the whole graph is known. So one run of `explain` tells
 * all mistakes, and a verb on a broken stream says nothing new.
 *
 * Names, uids and options are copied into the arena although job.h asks the caller to keep them:
 * connectors build them from options on the stack, and a dangling name in a plan is a bad surprise
 * for the price of a few bytes.
 *
 * Prefixes: job_ */
#include "runtime/graph/builder.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "runtime/graph/graph_private.h"

#include <stdarg.h>
#include <stdio.h>

#define ARENA_BLOCK_SIZE ((size_t)16 << 10)
#define ARENA_SIZE_MAX   ((size_t)256 << 20)
#define MESSAGE_SIZE_MAX ((size_t)256 << 10)

/* -- the job ---------------------------------------------------------------------------------- */

weir_job *job_new(const struct config *config)
{
    weir_job *job = mem_alloc(sizeof(*job));
    job->config = config;
    arena_init(&job->arena, ARENA_BLOCK_SIZE, ARENA_SIZE_MAX);
    return job;
}

static uint32_t mistakes_kept(const weir_job *job)
{
    return job->mistake_count < GRAPH_MISTAKES_MAX ? job->mistake_count : GRAPH_MISTAKES_MAX;
}

void job_free(weir_job *job)
{
    if (job == NULL)
        return;
    for (uint32_t i = 0; i < mistakes_kept(job); i++)
        weir_error_free(job->mistakes[i]);
    arena_release(&job->arena);
    mem_free(job);
}

void *weir_job_alloc(weir_job *job, size_t size)
{
    return arena_alloc(&job->arena, size);
}

/* -- mistakes --------------------------------------------------------------------------------- */

void weir_job_fail(weir_job *job, weir_error *error)
{
    ASSERT(job != NULL && error != NULL);
    if (job->mistake_count < GRAPH_MISTAKES_MAX)
        job->mistakes[job->mistake_count] = error;
    else
        weir_error_free(error);
    job->mistake_count++;
}

void job_mistake(weir_job *job, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    weir_job_fail(job, weir_errorf(WEIR_E_PLAN, "%s", text));
}

/* One mistake is its own message; more are a list, a line each, under the code of the first. */
static weir_error *mistakes_join(const weir_job *job, uint32_t kept)
{
    weir_buffer *text = weir_buffer_new(MESSAGE_SIZE_MAX);
    for (uint32_t i = 0; i < kept; i++)
        buffer_printf(text, "\n  %s", weir_error_message(job->mistakes[i]));
    if (job->mistake_count > kept)
        buffer_printf(text, "\n  and %u more", job->mistake_count - kept);
    weir_error *error = weir_errorf(weir_error_code(job->mistakes[0]), "the job has %u mistakes:%s",
        job->mistake_count, buffer_text(text));
    weir_buffer_free(text);
    return error;
}

weir_error *job_mistakes(weir_job *job)
{
    uint32_t kept = mistakes_kept(job);
    if (kept == 0)
        return NULL;
    weir_error *error = job->mistakes[0];
    if (kept > 1) {
        error = mistakes_join(job, kept);
        for (uint32_t i = 0; i < kept; i++)
            weir_error_free(job->mistakes[i]);
    }
    job->mistake_count = 0;
    return error;
}

/* -- nodes ------------------------------------------------------------------------------------ */

static bool has_room(weir_job *job, uint32_t edge_count)
{
    bool is_over =
        job->node_count == GRAPH_NODES_MAX || edge_count > GRAPH_EDGES_MAX - job->edge_count;
    if (!is_over)
        return true;
    job_mistake(job, "the job has more than %u sources, operators and sinks, or %u edges",
        GRAPH_NODES_MAX, GRAPH_EDGES_MAX);
    return false;
}

static struct graph_node *node_new(weir_job *job, enum plan_operator_kind kind, const char *name,
    const weir_stream *in)
{
    uint32_t edge_count = in == NULL ? 0 : in->branch_count;
    if (!has_room(job, edge_count))
        return NULL;
    struct graph_node *node = arena_alloc(&job->arena, sizeof(*node));
    node->index = job->node_count;
    node->kind = kind;
    node->name = arena_strdup(&job->arena, name == NULL ? "" : name);
    node->chaining = WEIR_CHAIN_ALWAYS;
    if (in != NULL) {
        node->inputs = arena_dup(&job->arena, in->branches, edge_count * sizeof(*node->inputs));
        node->input_count = edge_count;
        node->has_broken_input = in->is_broken;
        node->is_keyed = in->is_keyed;
        node->key = in->key;
    }
    for (uint32_t i = 0; i < edge_count; i++)
        ASSERT(node->inputs[i].from->index < node->index);
    job->nodes[job->node_count++] = node;
    job->edge_count += edge_count;
    return node;
}

static weir_stream *node_stream(weir_job *job, struct graph_node *node)
{
    if (node == NULL)
        return stream_broken(job);
    weir_stream *stream = stream_new(job, 1);
    stream->branches[0] = (struct graph_branch){ .from = node, .output = PLAN_OUTPUT_MAIN };
    stream->type = graph_output_type(node);
    return stream;
}

/* NULL: there are none although the class has some (graph_has_options). */
static const void *copy_options(weir_job *job, const void *options, const char *stored,
    size_t stored_size, size_t size)
{
    if (options == NULL && stored_size > 0)
        options = stored;
    return options == NULL || size == 0 ? options : arena_dup(&job->arena, options, size);
}

weir_stream *weir_source(weir_job *job, const char *name, struct weir_source source)
{
    ASSERT(job != NULL);
    struct graph_node *node = node_new(job, PLAN_SOURCE, name, NULL);
    if (node == NULL)
        return stream_broken(job);
    node->uid = node->name;
    node->source = source;
    if (source.source_class != NULL)
        node->source.options = copy_options(job, source.options, source.stored, source.stored_size,
            source.source_class->options_size);
    weir_stream *stream = node_stream(job, node);
    stream->is_broken = stream->type == NULL; /* plan_validate says why */
    return stream;
}

weir_stream *weir_process(weir_stream *in, const struct weir_operator *op, const void *config)
{
    if (in == NULL)
        return NULL;
    if (op == NULL) {
        job_mistake(in->job, "weir_process was given no operator");
        return stream_broken(in->job);
    }
    const char *name = op->name != NULL ? op->name : op->uid;
    struct graph_node *node = node_new(in->job, PLAN_OPERATOR, name, in);
    if (node == NULL)
        return stream_broken(in->job);
    node->uid = op->uid == NULL ? NULL : arena_strdup(&in->job->arena, op->uid);
    node->op = op;
    node->config = config;
    weir_stream *stream = node_stream(in->job, node);
    stream->is_broken = in->is_broken && stream->type == NULL; /* a filter of a broken stream */
    return stream;
}

void weir_sink(weir_stream *in, const char *name, struct weir_sink sink)
{
    if (in == NULL)
        return;
    struct graph_node *node = node_new(in->job, PLAN_SINK, name, in);
    if (node == NULL)
        return;
    node->uid = node->name;
    node->sink = sink;
    if (sink.sink_class != NULL)
        node->sink.options = copy_options(in->job, sink.options, sink.stored, sink.stored_size,
            sink.sink_class->options_size);
}

/* -- options ---------------------------------------------------------------------------------- */

static bool has_option(weir_job *job, const char *name)
{
    ASSERT(job != NULL && name != NULL);
    if (job->config == NULL)
        return false;
    if (config_has(job->config, name))
        return true;
    job_mistake(job, "the job reads option '%s', which is in no option table", name);
    return false;
}

const char *weir_job_text(weir_job *job, const char *name)
{
    return has_option(job, name) ? config_text(job->config, name) : NULL;
}

int64_t weir_job_number(weir_job *job, const char *name)
{
    return has_option(job, name) ? config_number(job->config, name) : 0;
}

bool weir_job_flag(weir_job *job, const char *name)
{
    return has_option(job, name) && config_flag(job->config, name);
}

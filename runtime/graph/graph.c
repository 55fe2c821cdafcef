/* graph.c -- small questions about nodes, branches and types that every part of the builder
 * asks. */
#include "runtime/graph/graph_private.h"

#include "base/assert.h"
#include "types/schema.h"

const char *graph_label(weir_job *job, const struct graph_node *node)
{
    static const char *const
        kinds[] = { [PLAN_SOURCE] = "source", [PLAN_OPERATOR] = "operator", [PLAN_SINK] = "sink" };
    return arena_printf(&job->arena, "%s '%s'", kinds[node->kind], node->name);
}

const char *graph_branch_label(weir_job *job, const struct graph_branch *branch)
{
    const char *label = graph_label(job, branch->from);
    switch (branch->output) {
    case PLAN_OUTPUT_MAIN:
        return label;
    case PLAN_OUTPUT_SIDE:
        return arena_printf(&job->arena, "side output '%s' of %s",
            branch->from->op->sides[branch->side].name, label);
    case PLAN_OUTPUT_DEAD_LETTERS:
        return arena_printf(&job->arena, "the dead letters of %s", label);
    }
    ASSERT(false);
    return NULL;
}

bool graph_has_options(const struct graph_node *node)
{
    switch (node->kind) {
    case PLAN_SOURCE:
        return node->source.source_class != NULL &&
               (node->source.options != NULL || node->source.source_class->options_size == 0);
    case PLAN_OPERATOR:
        return true;
    case PLAN_SINK:
        return node->sink.sink_class != NULL &&
               (node->sink.options != NULL || node->sink.sink_class->options_size == 0);
    }
    ASSERT(false);
    return false;
}

const struct weir_type *graph_output_type(const struct graph_node *node)
{
    switch (node->kind) {
    case PLAN_SOURCE:
        if (!graph_has_options(node) || node->source.source_class->out_type == NULL)
            return NULL;
        return node->source.source_class->out_type(node->source.options);
    case PLAN_OPERATOR:
        return node->op == NULL ? NULL : node->op->out;
    case PLAN_SINK:
        return NULL;
    }
    ASSERT(false);
    return NULL;
}

const struct weir_type *graph_input_type(const struct graph_node *node)
{
    if (node->kind == PLAN_OPERATOR)
        return node->op == NULL ? NULL : node->op->in;
    if (node->kind != PLAN_SINK || !graph_has_options(node) ||
        node->sink.sink_class->in_type == NULL)
        return NULL;
    return node->sink.sink_class->in_type(node->sink.options);
}

const struct weir_type *graph_branch_type(const struct graph_branch *branch)
{
    switch (branch->output) {
    case PLAN_OUTPUT_MAIN:
        return graph_output_type(branch->from);
    case PLAN_OUTPUT_SIDE:
        return branch->from->op->sides[branch->side].type;
    case PLAN_OUTPUT_DEAD_LETTERS:
        return &weir_dead_letter_type;
    }
    ASSERT(false);
    return NULL;
}

/* Has it a mistake of its own? plan_validate tells it once; here it must only do no harm. */
static bool is_sound(const struct weir_type *type)
{
    weir_error *error = schema_validate(type);
    weir_error_free(error);
    return error == NULL;
}

/* Every file that includes a WEIR_TYPE has its own copy, so pointers say nothing. */
bool graph_types_equal(const struct weir_type *a, const struct weir_type *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL)
        return false;
    return !is_sound(a) || !is_sound(b) || schema_equal(a, b);
}

bool graph_keys_equal(const struct weir_key *a, const struct weir_key *b)
{
    if (a->offset_count != b->offset_count || !graph_types_equal(a->type, b->type))
        return false;
    return memcmp(a->offsets, b->offsets, a->offset_count * sizeof(a->offsets[0])) == 0;
}

bool graph_is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

const struct weir_field *graph_field_at(const struct weir_type *type, size_t offset)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (type->fields[i].offset == offset)
            return &type->fields[i];
    }
    return NULL;
}

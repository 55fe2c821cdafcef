/* plan_validate.c -- what can be wrong with a graph: one small function a rule.
 *
 * A rule adds a mistake and goes on, so that all of them are told at once. Rules about the edges
 * of a node are skipped when an input is broken: the mistake that broke it has been told. */
#include "runtime/graph/graph_private.h"

#include "base/assert.h"
#include "base/map.h"
#include "types/key_group.h"
#include "types/schema.h"

/* Thread: the builder's. */
struct check {
    weir_job *job;
    const struct plan_options *options;
    const struct graph_node *node;
    const char *label; /* of the node */
};

/* -- names and types -------------------------------------------------------------------------- */

static void check_text(struct check *check, const char *what, const char *text)
{
    size_t size = strlen(text);
    if (size == 0) {
        job_mistake(check->job, "%s has an empty %s", check->label, what);
        return;
    }
    if (size > GRAPH_NAME_SIZE_MAX)
        job_mistake(check->job, "%s: the %s is longer than %u bytes", check->label, what,
            GRAPH_NAME_SIZE_MAX);
    if (!graph_is_plain(text))
        job_mistake(check->job, "%s: the %s has a control character", check->label, what);
}

static void check_type(struct check *check, const char *what, const struct weir_type *type)
{
    if (type == NULL) {
        job_mistake(check->job, "%s has no %s", check->label, what);
        return;
    }
    weir_error *error = schema_validate(type);
    if (error != NULL)
        weir_job_fail(check->job, weir_error_wrap(error, "%s", check->label));
}

/* A uid also names directories and items of checkpoints. */
static void check_uid(struct check *check)
{
    const char *uid = check->node->uid;
    if (uid == NULL)
        return;
    if (strcmp(uid, check->node->name) != 0)
        check_text(check, "uid", uid);
    if (strchr(uid, '/') != NULL || uid[0] == '.')
        job_mistake(check->job, "%s: the uid '%s' must not have a '/' or begin with a '.'",
            check->label, uid);
}

/* -- operators -------------------------------------------------------------------------------- */

static void check_state(struct check *check, const struct weir_state *state)
{
    const char *name = state->name == NULL ? "" : state->name;
    if (name[0] == '\0')
        job_mistake(check->job, "%s has a state without a name", check->label);
    if (state->type != NULL || !check->node->has_broken_input)
        check_type(check, "type for a state: set .type", state->type);
    if (state->kind > WEIR_REDUCING)
        job_mistake(check->job, "%s: state '%s' is of no known kind", check->label, name);
    if (state->kind == WEIR_REDUCING && state->reduce == NULL)
        job_mistake(check->job, "%s: reducing state '%s' needs a reduce function", check->label,
            name);
    if (state->kind != WEIR_REDUCING && state->reduce != NULL)
        job_mistake(check->job, "%s: state '%s' has a reduce function but is not WEIR_REDUCING",
            check->label, name);
    if (state->shares_row && (state->kind != WEIR_MAP || state->ttl_ms > 0))
        job_mistake(check->job,
            "%s: state '%s' cannot share a row: only maps without a time to live can", check->label,
            name);
    if (state->ttl_ms < 0)
        job_mistake(check->job, "%s: the ttl_ms of state '%s' is negative", check->label, name);
}

static void check_states(struct check *check, const struct weir_operator *op)
{
    if (op->state_count > WEIR_STATES_MAX || (op->state_count > 0 && op->states == NULL)) {
        job_mistake(check->job, "%s must have at most %d states, in an array", check->label,
            WEIR_STATES_MAX);
        return;
    }
    for (uint32_t i = 0; i < op->state_count; i++) {
        check_state(check, &op->states[i]);
        for (uint32_t j = 0; j < i && op->states[i].name != NULL; j++) {
            if (op->states[j].name != NULL && strcmp(op->states[i].name, op->states[j].name) == 0)
                job_mistake(check->job, "%s has two states '%s'", check->label, op->states[i].name);
        }
    }
}

static void check_sides(struct check *check, const struct weir_operator *op)
{
    if (op->side_count > WEIR_SIDES_MAX || (op->side_count > 0 && op->sides == NULL)) {
        job_mistake(check->job, "%s must have at most %d side outputs, in an array", check->label,
            WEIR_SIDES_MAX);
        return;
    }
    for (uint32_t i = 0; i < op->side_count; i++) {
        const char *name = op->sides[i].name;
        if (name == NULL || name[0] == '\0') {
            job_mistake(check->job, "%s has a side output without a name", check->label);
            continue;
        }
        check_type(check, "type for a side output: set .type", op->sides[i].type);
        for (uint32_t j = 0; j < i; j++) {
            if (op->sides[j].name != NULL && strcmp(name, op->sides[j].name) == 0)
                job_mistake(check->job, "%s has two side outputs '%s'", check->label, name);
        }
    }
}

static void check_counters(struct check *check, const struct weir_operator *op)
{
    if (op->counter_count > WEIR_COUNTERS_MAX || (op->counter_count > 0 && op->counters == NULL)) {
        job_mistake(check->job, "%s must have at most %d counters, in an array", check->label,
            WEIR_COUNTERS_MAX);
        return;
    }
    for (uint32_t i = 0; i < op->counter_count; i++) {
        const char *name = op->counters[i];
        if (name == NULL || name[0] == '\0') {
            job_mistake(check->job, "%s has a counter without a name", check->label);
            continue;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (op->counters[j] != NULL && strcmp(name, op->counters[j]) == 0)
                job_mistake(check->job, "%s has two counters '%s'", check->label, name);
        }
    }
}

static void check_callbacks(struct check *check, const struct weir_operator *op)
{
    if (op->on_record == NULL && op->on_batch == NULL)
        job_mistake(check->job, "%s has no callback: set .on_record or .on_batch", check->label);
    if (op->on_record != NULL && op->on_batch != NULL)
        job_mistake(check->job, "%s has .on_record and .on_batch: keep one", check->label);
    if (op->has_timers && op->on_timer == NULL)
        job_mistake(check->job, "%s has timers but no .on_timer", check->label);
    if (!op->has_timers && op->on_timer != NULL)
        job_mistake(check->job, "%s has .on_timer but not .has_timers", check->label);
}

/* What a checkpoint keeps under the uid: state, timers, counters. */
static void check_stateful(struct check *check, const struct weir_operator *op)
{
    const char *what = op->state_count > 0 ? "state" : op->has_timers ? "timers" : NULL;
    if (what != NULL && !check->node->is_keyed && !check->node->has_broken_input)
        job_mistake(check->job, "%s has %s, so its input must be keyed: call weir_key_by before it",
            check->label, what);
    if (what == NULL && op->counter_count > 0)
        what = "counters";
    if (what != NULL && check->node->uid == NULL)
        job_mistake(check->job, "%s has %s, so it needs a uid that never changes: set .uid",
            check->label, what);
}

static void check_operator(struct check *check)
{
    const struct weir_operator *op = check->node->op;
    ASSERT(op != NULL);
    if (!check->node->has_broken_input || op->in != NULL)
        check_type(check, "input type: set .in", op->in);
    if (op->out != NULL)
        check_type(check, "output type: set .out", op->out);
    check_states(check, op);
    check_sides(check, op);
    check_counters(check, op);
    check_callbacks(check, op);
    check_stateful(check, op);
}

/* -- sources and sinks ------------------------------------------------------------------------ */

/* The options' own mistakes, with the node's name in front. */
static void check_options(struct check *check, weir_error *(*validate)(const void *options),
    const void *options)
{
    weir_error *error = validate == NULL ? NULL : validate(options);
    if (error != NULL)
        weir_job_fail(check->job, weir_error_wrap(error, "%s", check->label));
}

static void check_source(struct check *check)
{
    const struct weir_source *source = &check->node->source;
    if (source->source_class == NULL) {
        job_mistake(check->job, "%s has no connector", check->label);
    } else if (!graph_has_options(check->node)) {
        job_mistake(check->job, "%s has no options", check->label);
    } else {
        ASSERT(source->source_class->name != NULL && source->source_class->poll != NULL);
        check_options(check, source->source_class->validate, source->options);
        check_type(check, "output type: give it a format", graph_output_type(check->node));
    }
}

static void check_sink(struct check *check)
{
    const struct weir_sink *sink = &check->node->sink;
    if (sink->sink_class == NULL) {
        job_mistake(check->job, "%s has no connector", check->label);
    } else if (!graph_has_options(check->node)) {
        job_mistake(check->job, "%s has no options", check->label);
    } else {
        ASSERT(sink->sink_class->name != NULL && sink->sink_class->write != NULL);
        check_options(check, sink->sink_class->validate, sink->options);
    }
}

/* -- edges ------------------------------------------------------------------------------------ */

static void check_input(struct check *check, const struct graph_branch *branch)
{
    const struct weir_type *want = graph_input_type(check->node);
    const struct weir_type *have = graph_branch_type(branch);
    if (have == NULL && branch->output != PLAN_OUTPUT_MAIN)
        return; /* a side output without a type: check_sides has told it */
    const char *from = graph_branch_label(check->job, branch);
    if (have == NULL) {
        job_mistake(check->job, "%s reads %s, which emits nothing on its main output", check->label,
            from);
    } else if (want != NULL && !graph_types_equal(want, have)) {
        bool is_namesake = strcmp(want->name, have->name) == 0;
        job_mistake(check->job, "%s takes '%s', but %s gives %s'%s'", check->label, want->name,
            from, is_namesake ? "another type of the same name, " : "", have->name);
    }
}

static void check_inputs(struct check *check)
{
    if (check->node->kind == PLAN_SOURCE || check->node->has_broken_input)
        return;
    ASSERT(check->node->input_count > 0);
    for (uint32_t i = 0; i < check->node->input_count; i++)
        check_input(check, &check->node->inputs[i]);
}

static bool reads_dead_letters(const struct graph_node *node, const struct graph_node *of)
{
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i].from == of && node->inputs[i].output == PLAN_OUTPUT_DEAD_LETTERS)
            return true;
    }
    return false;
}

/* Asked for and read by nobody, they would be lost in silence. */
static void check_dead_letters(struct check *check)
{
    if (!check->node->has_dead_letters)
        return;
    for (uint32_t i = check->node->index + 1; i < check->job->node_count; i++) {
        if (reads_dead_letters(check->job->nodes[i], check->node))
            return;
    }
    job_mistake(check->job,
        "the dead letters of %s lead nowhere: give them a sink "
        "(weir_blackhole drops them)",
        check->label);
}

/* -- the whole graph -------------------------------------------------------------------------- */

static void check_parallelism(struct check *check)
{
    uint32_t max = check->options->max_parallelism;
    if (check->node->parallelism > max)
        job_mistake(check->job, "%s: the parallelism %u is over the maximum of this job, %u",
            check->label, check->node->parallelism, max);
}

static void check_node(weir_job *job, const struct plan_options *options,
    const struct graph_node *node)
{
    struct check check = { .job = job,
        .options = options,
        .node = node,
        .label = graph_label(job, node) };
    check_text(&check, "name", node->name);
    check_uid(&check);
    if (node->slot_group != NULL)
        check_text(&check, "slot group", node->slot_group);
    switch (node->kind) {
    case PLAN_SOURCE:
        check_source(&check);
        break;
    case PLAN_OPERATOR:
        check_operator(&check);
        break;
    case PLAN_SINK:
        check_sink(&check);
        break;
    }
    check_inputs(&check);
    check_dead_letters(&check);
    check_parallelism(&check);
}

static void check_uids(weir_job *job)
{
    struct map *seen = map_new(GRAPH_NODES_MAX);
    for (uint32_t i = 0; i < job->node_count; i++) {
        struct graph_node *node = job->nodes[i];
        if (node->uid == NULL)
            continue;
        const struct graph_node *other = map_get(seen, weir_str_of(node->uid));
        if (other != NULL)
            job_mistake(job, "%s and %s have the same uid '%s': give one another by weir_uid",
                graph_label(job, other), graph_label(job, node), node->uid);
        else
            map_put(seen, weir_str_of(node->uid), node);
    }
    map_free(seen);
}

static bool has_kind(const weir_job *job, enum plan_operator_kind kind)
{
    for (uint32_t i = 0; i < job->node_count; i++) {
        if (job->nodes[i]->kind == kind)
            return true;
    }
    return false;
}

void plan_validate(weir_job *job, const struct plan_options *options)
{
    if (options->job == NULL || options->job[0] == '\0')
        job_mistake(job, "the job has no name");
    if (options->max_parallelism > MAX_PARALLELISM_LIMIT)
        job_mistake(job, "the maximum parallelism %u is over the limit, %u",
            options->max_parallelism, MAX_PARALLELISM_LIMIT);
    if (options->parallelism == 0 || options->parallelism > options->max_parallelism)
        job_mistake(job, "the parallelism of the job is %u, but must be 1 to %u",
            options->parallelism, options->max_parallelism);
    if (!has_kind(job, PLAN_SOURCE))
        job_mistake(job, "the job has no source");
    if (!has_kind(job, PLAN_SINK))
        job_mistake(job, "the job has no sink");
    for (uint32_t i = 0; i < job->node_count; i++)
        check_node(job, options, job->nodes[i]);
    check_uids(job);
}

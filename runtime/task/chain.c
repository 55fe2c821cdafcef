/* chain.c -- see chain.h. */
#include "runtime/task/chain.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "runtime/task/in_flight.h"
#include "types/state_schema.h"

#define SCRATCH_MAX     ((size_t)1 << 30)
#define ENCODE_MAX      (16u << 20)
#define DESCRIPTION_MAX (1u << 20)

/* -- wiring --------------------------------------------------------------------------------------- */

static struct output *output_of(struct weir_ctx *ctx, const struct plan_target *target)
{
    switch (target->output) {
    case PLAN_OUTPUT_MAIN:
        return &ctx->main;
    case PLAN_OUTPUT_DEAD_LETTERS:
        return &ctx->dead;
    case PLAN_OUTPUT_SIDE:
        return &ctx->sides[target->side];
    }
    ASSERT(false && "an output of another kind");
    return NULL;
}

static struct partition *partition_of(struct chain *chain, const struct plan_vertex *vertex,
    uint32_t edge)
{
    for (uint32_t i = 0; i < vertex->out_edge_count; i++) {
        if (vertex->out_edges[i] == edge)
            return chain->partitions[i];
    }
    ASSERT(false && "an edge that does not leave this vertex");
    return NULL;
}

static void wire(struct chain *chain, struct weir_ctx *ctx)
{
    uint32_t side_count = ctx->op->kind == PLAN_OPERATOR ? ctx->op->op->side_count : 0;
    ctx->sides = arena_alloc(&chain->memory, (side_count + 1) * sizeof(struct output));
    for (uint32_t i = 0; i < ctx->op->target_count; i++) {
        const struct plan_target *target = &ctx->op->targets[i];
        struct output *output = output_of(ctx, target);
        if (output->targets == NULL)
            output->targets =
                arena_alloc(&chain->memory, ctx->op->target_count * sizeof(struct target));
        struct target *it = &output->targets[output->target_count++];
        if (target->is_chained)
            it->next = chain->contexts[target->operator_];
        else
            it->partition = partition_of(chain, ctx->vertex, target->edge);
    }
}

static size_t instance_size(const struct plan_operator *op)
{
    switch (op->kind) {
    case PLAN_SOURCE:
        return op->source.source_class->instance_size;
    case PLAN_SINK:
        return op->sink.sink_class->instance_size;
    case PLAN_OPERATOR:
        return op->op->instance_size;
    }
    return 0;
}

/* A source counts what it has read, a sink what it has got, both in counters[0]: exactly, like an
 * operator's own counters. */
static void name_counters(struct weir_ctx *ctx)
{
    if (ctx->op->kind != PLAN_OPERATOR) {
        context_counter(ctx, "records_in");
        return;
    }
    ASSERT(ctx->op->op->counter_count <= WEIR_COUNTERS_MAX);
    for (uint32_t i = 0; i < ctx->op->op->counter_count; i++)
        context_counter(ctx, ctx->op->op->counters[i]);
}

static struct weir_ctx *context_new(struct chain *chain, const struct chain_options *options,
    const struct plan_operator *op)
{
    struct weir_ctx *ctx = arena_alloc(&chain->memory, sizeof(*ctx));
    ctx->plan = options->plan;
    ctx->vertex = &options->plan->vertices[options->vertex];
    ctx->op = op;
    ctx->task = options->task;
    ctx->host = options->host;
    ctx->subtask = options->subtask;
    ctx->instance = arena_alloc(&chain->memory, instance_size(op) + 1);
    ctx->scratch = &chain->scratch;
    ctx->restore_arena = &chain->memory;
    ctx->timestamp_ms = ctx->emit_timestamp_ms = WEIR_NO_TIMESTAMP;
    ctx->watermark_ms = WATERMARK_NONE;
    watermarks_init(&ctx->splits, SPLITS_MAX);
    if (op->kind == PLAN_SINK) {
        ctx->encode_key = weir_buffer_new(ENCODE_MAX);
        ctx->encode_value = weir_buffer_new(ENCODE_MAX);
    }
    name_counters(ctx);
    return ctx;
}

void chain_init(struct chain *chain, const struct chain_options *options)
{
    const struct plan_vertex *vertex = &options->plan->vertices[options->vertex];
    *chain = (struct chain){ .count = vertex->operator_count,
        .partitions = options->partitions,
        .partition_count = vertex->out_edge_count };
    arena_init(&chain->memory, 16u << 10, SCRATCH_MAX);
    arena_init(&chain->scratch, 256u << 10, SCRATCH_MAX);
    chain->contexts = arena_alloc(&chain->memory, chain->count * sizeof(struct weir_ctx *));
    for (uint32_t i = 0; i < chain->count; i++)
        chain->contexts[i] = context_new(chain, options, &vertex->operators[i]);
    for (uint32_t i = 0; i < chain->count; i++)
        wire(chain, chain->contexts[i]);
}

/* -- opening ---------------------------------------------------------------------------------------- */

static weir_error *open_backend(struct chain *chain, struct weir_ctx *ctx,
    const struct operator_restore *restore, struct group_range groups)
{
    struct backend_options options = {
        .directory = arena_printf(&chain->memory, "%s/%s-%u", ctx->host->work_dir, ctx->op->uid,
            ctx->subtask),
        .checkpoint_dir = ctx->host->checkpoint_dir,
        .attempt = ctx->host->attempt,
        .groups = groups,
        .memory_size = ctx->host->backend_memory,
        .pool = ctx->host->backend_pool,
        .checkpoint_interval_ms = ctx->host->checkpoint_interval_ms,
        .workers = ctx->host->workers,
    };
    struct backend *backend;
    ASSERT(ctx == chain->contexts[0]); /* a keyed operator has an edge in front: it is the head */
    WEIR_TRY(
        backend_verify_sources(&options, restore->sources, restore->source_count, &chain->memory));
    WEIR_TRY(ctx->host->backend->open(&options, restore->sources, restore->source_count, &backend));
    ctx->keyed = keyed_new(backend, ctx->op->op->states, ctx->op->op->state_count,
        ctx->plan->max_parallelism);
    key_plan_init(&ctx->key_plan, &ctx->op->key);
    ctx->key_scratch = arena_alloc(&chain->memory, KEY_SIZE_MAX);
    if (ctx->op->op->has_timers)
        WEIR_TRY(FAULT_STEP(TIMERS_OPEN,
            timers_open(ctx->keyed, ctx->plan->max_parallelism, &ctx->timers)));
    return NULL;
}

/* Each subtask goes on with what it has counted: when only some of them start again (plan_regions.c), the others
 * still have theirs. With another parallelism all start, and subtask 0 has the counters of the whole operator. By
 * name, because only the metadata knows the reasons of dead letters. */
static void restore_counters(struct weir_ctx *ctx, const struct checkpoint_metadata *metadata)
{
    weir_str uid = weir_str_of(ctx->op->uid);
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *old = &metadata->operators[i];
        uint32_t heir = old->parallelism == ctx->vertex->parallelism ? old->subtask : 0;
        if (!weir_str_equal(old->uid, uid) || heir != ctx->subtask)
            continue;
        for (uint32_t c = 0; c < old->counter_count; c++) {
            char *name =
                mem_printf("%.*s", (int)old->counter_names[c].size, old->counter_names[c].data);
            struct counter *counter = context_counter(ctx, name);
            mem_free(name);
            if (counter != NULL)
                metric_add(&counter->value, old->counters[c]);
        }
    }
}

static weir_error *call_open(struct weir_ctx *ctx)
{
    ctx->is_open = true;
    switch (ctx->op->kind) {
    case PLAN_SOURCE:
        return FAULT_STEP(SOURCE_OPEN,
            ctx->op->source.source_class->open(ctx, ctx->op->source.options, ctx->instance));
    case PLAN_SINK:
        return FAULT_STEP(SINK_OPEN,
            ctx->op->sink.sink_class->open(ctx, ctx->op->sink.options, ctx->instance));
    case PLAN_OPERATOR:
        return ctx->op->op->open == NULL ? NULL : ctx->op->op->open(ctx);
    }
    return NULL;
}

/* Copies: a source may open another one much later (connectors/source_chain.c). */
static void keep_items(struct chain *chain, struct weir_ctx *ctx,
    const struct operator_restore *restore)
{
    struct arena *arena = &chain->memory;
    struct weir_item *items = arena_alloc(arena, (restore->item_count + 1) * sizeof(*items));
    for (uint32_t i = 0; i < restore->item_count; i++) {
        const struct weir_item *from = &restore->items[i];
        items[i] = *from;
        items[i].name.data = arena_dup(arena, from->name.data, from->name.size);
        items[i].value.data = arena_dup(arena, from->value.data, from->value.size);
    }
    ctx->items = ctx->all_items = items;
    ctx->item_count = ctx->all_item_count = restore->item_count;
}

/* Staged files are the connector's, but for those of records in flight, which are the task's. */
static void keep_files(struct chain *chain, struct weir_ctx *ctx, struct operator_restore *restore)
{
    struct state_file *in_flight =
        arena_alloc(&chain->memory, (restore->staged_count + 1) * sizeof(*in_flight));
    uint32_t *subtasks =
        arena_alloc(&chain->memory, (restore->staged_count + 1) * sizeof(*subtasks));
    ctx->file_count = ctx->in_flight_count = 0;
    for (uint32_t i = 0; i < restore->staged_count; i++) {
        if (strcmp(restore->staged[i].name, IN_FLIGHT_NAME) != 0) {
            restore->staged[ctx->file_count++] = restore->staged[i];
            continue;
        }
        in_flight[ctx->in_flight_count].path = arena_strdup(&chain->memory,
            restore->staged[i].path); /* it is read behind the opening */
        subtasks[ctx->in_flight_count++] = restore->staged_subtasks[i];
    }
    ctx->files = restore->staged;
    ctx->in_flight = in_flight;
    ctx->in_flight_subtasks = subtasks;
}

static weir_error *open_one(struct chain *chain, struct weir_ctx *ctx,
    const struct checkpoint_metadata *metadata)
{
    struct group_range groups =
        key_group_range(ctx->subtask, ctx->vertex->parallelism, ctx->plan->max_parallelism);
    struct operator_restore restore = { 0 };
    if (metadata != NULL) {
        restore_operator(metadata, weir_str_of(ctx->op->uid), groups, &chain->memory, &restore);
        restore_counters(ctx, metadata);
    }
    keep_items(chain, ctx, &restore);
    keep_files(chain, ctx, &restore);
    if (ctx->op->has_keyed_state)
        WEIR_TRY(open_backend(chain, ctx, &restore, groups));
    context_enter(ctx, "in its opening");
    weir_error *failed = call_open(ctx);
    context_leave(ctx);
    WEIR_TRY(failed);
    if (ctx->keyed != NULL)
        WEIR_TRY(keyed_commit(ctx->keyed));
    weir_error *error = ctx->error;
    ctx->error = NULL;
    return error;
}

weir_error *chain_open(struct chain *chain, const struct checkpoint_metadata *restore)
{
    for (uint32_t i = chain->count; i-- > 0;) {
        struct weir_ctx *ctx = chain->contexts[i];
        ctx->now_ms = os_wall_ms();
        weir_error *error = open_one(chain, ctx, restore);
        if (error != NULL)
            return weir_error_wrap(error, "cannot open '%s'", ctx->op->name);
        ctx->files = NULL; /* views of the metadata end with open */
        ctx->file_count = 0;
    }
    return NULL;
}

static void call_close(struct weir_ctx *ctx)
{
    if (!ctx->is_open)
        return;
    ctx->is_open = false;
    switch (ctx->op->kind) {
    case PLAN_SOURCE:
        ctx->op->source.source_class->close(ctx, ctx->instance);
        break;
    case PLAN_SINK:
        ctx->op->sink.sink_class->close(ctx, ctx->instance);
        break;
    case PLAN_OPERATOR:
        if (ctx->op->op->close != NULL)
            ctx->op->op->close(ctx);
        break;
    }
}

static void context_free(struct weir_ctx *ctx)
{
    workers_drain(ctx->host->workers, ctx); /* no run may be under way in close */
    context_enter(ctx, "in its closing");
    call_close(ctx);
    context_leave(ctx);
    timers_free(ctx->timers);
    if (ctx->keyed != NULL)
        keyed_free(ctx->keyed);
    watermarks_release(&ctx->splits);
    weir_buffer_free(ctx->encode_key);
    weir_buffer_free(ctx->encode_value);
    weir_error_free(ctx->error);
    for (uint32_t i = 0; i < ctx->counter_count; i++)
        mem_free((char *)(uintptr_t)ctx->counters[i].name);
}

void chain_close(struct chain *chain)
{
    for (uint32_t i = 0; i < chain->count; i++)
        context_free(chain->contexts[i]);
    for (uint32_t i = 0; i < chain->partition_count; i++)
        partition_free(chain->partitions[i]);
    mem_free(chain->partitions);
    arena_release(&chain->scratch);
    arena_release(&chain->memory);
}

/* -- running ------------------------------------------------------------------------------------------ */

weir_error *chain_error(struct chain *chain)
{
    weir_error *first = NULL;
    for (uint32_t i = 0; i < chain->count; i++) {
        struct weir_ctx *ctx = chain->contexts[i];
        if (ctx->error == NULL)
            continue;
        weir_error *error = weir_error_wrap(ctx->error, "operator '%s'", ctx->op->name);
        ctx->error = NULL;
        first = weir_error_join(first, error);
    }
    return first;
}

void chain_set_watermark(struct chain *chain, int64_t watermark_ms)
{
    for (uint32_t i = 0; i < chain->count; i++)
        context_set_watermark(chain->contexts[i], watermark_ms);
}

void chain_set_clock(struct chain *chain, int64_t now_ms)
{
    for (uint32_t i = 0; i < chain->count; i++)
        context_set_clock(chain->contexts[i], now_ms);
}

void chain_finish(struct chain *chain)
{
    for (uint32_t i = 0; i < chain->count; i++)
        context_finish(chain->contexts[i]);
}

/* Asks all of them: asking moves what a channel could not take before, and that may be the barrier
 * that the consumer behind a full channel is waiting for (exchange/channel.h). */
bool chain_has_room(struct chain *chain)
{
    bool has_room = true;
    for (uint32_t i = 0; i < chain->partition_count; i++) {
        if (!partition_has_room(chain->partitions[i]))
            has_room = false;
    }
    return has_room;
}

void chain_flush(struct chain *chain)
{
    for (uint32_t i = 0; i < chain->partition_count; i++)
        partition_flush(chain->partitions[i]);
}

bool chain_has_open(const struct chain *chain)
{
    for (uint32_t i = 0; i < chain->partition_count; i++) {
        if (partition_has_open(chain->partitions[i]))
            return true;
    }
    return false;
}

uint64_t chain_sent_size(const struct chain *chain)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < chain->partition_count; i++)
        size += partition_sent_size(chain->partitions[i]);
    return size;
}

weir_error *chain_event(struct chain *chain, enum element_kind kind, int64_t value)
{
    for (uint32_t i = 0; i < chain->partition_count; i++)
        WEIR_TRY(partition_event(chain->partitions[i], kind, value));
    return NULL;
}

uint32_t chain_unpublished(struct chain *chain)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < chain->count; i++) {
        struct weir_ctx *ctx = chain->contexts[i];
        if (ctx->op->kind != PLAN_SINK || ctx->op->sink.sink_class->unpublished == NULL)
            continue;
        uint32_t count = ctx->op->sink.sink_class->unpublished(ctx, ctx->instance);
        most = count > most ? count : most;
    }
    return most;
}

/* -- checkpoints ---------------------------------------------------------------------------------------- */

static weir_error *call_snapshot(struct weir_ctx *ctx, uint64_t checkpoint)
{
    weir_error *error = NULL;
    if (ctx->op->kind == PLAN_SOURCE)
        error = FAULT_STEP(SOURCE_SNAPSHOT,
            ctx->op->source.source_class->snapshot(ctx, ctx->instance, checkpoint));
    else if (ctx->op->kind == PLAN_SINK && ctx->op->sink.sink_class->snapshot != NULL)
        error = FAULT_STEP(SINK_SNAPSHOT,
            ctx->op->sink.sink_class->snapshot(ctx, ctx->instance, checkpoint));
    if (error == NULL) {
        error = ctx->error; /* of a verb */
        ctx->error = NULL;
    }
    return error;
}

static void snapshot_counters(struct weir_ctx *ctx, struct operator_snapshot *out,
    struct arena *arena)
{
    out->counter_count = ctx->counter_count;
    out->counters = arena_alloc(arena, (ctx->counter_count + 1) * sizeof(int64_t));
    out->counter_names = arena_alloc(arena, (ctx->counter_count + 1) * sizeof(weir_str));
    for (uint32_t i = 0; i < ctx->counter_count; i++) {
        out->counters[i] = metric_get(&ctx->counters[i].value);
        out->counter_names[i] = weir_str_of(arena_strdup(arena, ctx->counters[i].name));
    }
}

static weir_str taken(weir_buffer *text, struct arena *arena)
{
    weir_str view = weir_buffer_view(text);
    view.data = arena_dup(arena, view.data, view.size);
    weir_buffer_free(text);
    return view;
}

/* What the state is, for people, for a restore, and for whoever reads it without this program. */
static void describe_keyed(const struct weir_ctx *ctx, struct operator_snapshot *out,
    struct arena *arena)
{
    const struct weir_operator *op = ctx->op->op;
    weir_buffer *text = weir_buffer_new(DESCRIPTION_MAX);
    keyed_schema_text(op->states, op->state_count, text);
    out->schema_text = taken(text, arena);
    out->schema = keyed_schema(op->states, op->state_count);
    struct state_schema schema;
    state_schema_of(&schema, &ctx->op->key, op->states, op->state_count);
    weir_buffer *bytes = weir_buffer_new(DESCRIPTION_MAX);
    state_schema_put(&schema, bytes);
    out->states = taken(bytes, arena);
}

static weir_error *snapshot_keyed(struct weir_ctx *ctx, uint64_t checkpoint,
    struct operator_snapshot *out, struct arena *arena, struct backend_snapshot **part)
{
    struct backend *backend = keyed_backend(ctx->keyed);
    if (ctx->timers != NULL)
        WEIR_TRY(FAULT_STEP(TIMERS_FLUSH, timers_flush(ctx->timers)));
    out->backend = weir_str_of(backend->backend_class->format);
    describe_keyed(ctx, out, arena);
    return FAULT_STEP(STATE_FREEZE, backend->backend_class->snapshot(backend, checkpoint, part));
}

static weir_error *snapshot_one(struct weir_ctx *ctx, uint64_t checkpoint,
    struct operator_snapshot *out, struct arena *arena, struct backend_snapshot **part)
{
    out->uid = weir_str_of(arena_strdup(arena, ctx->op->uid));
    out->subtask = ctx->subtask;
    out->parallelism = ctx->vertex->parallelism;
    out->groups =
        key_group_range(ctx->subtask, ctx->vertex->parallelism, ctx->plan->max_parallelism);
    snapshot_counters(ctx, out, arena);
    ctx->snapshot = out;
    ctx->snapshot_arena = arena;
    weir_error *error = call_snapshot(ctx, checkpoint);
    if (error == NULL && ctx->keyed != NULL)
        error = snapshot_keyed(ctx, checkpoint, out, arena, part);
    ctx->snapshot = NULL;
    ctx->snapshot_arena = NULL;
    return error;
}

weir_error *chain_snapshot(struct chain *chain, uint64_t checkpoint,
    struct subtask_snapshot *snapshot, struct backend_snapshot **parts)
{
    snapshot->operator_count = chain->count;
    snapshot->operators =
        arena_alloc(&snapshot->arena, chain->count * sizeof(struct operator_snapshot));
    for (uint32_t i = 0; i < chain->count; i++) {
        struct weir_ctx *ctx = chain->contexts[i];
        context_enter(ctx, "in a snapshot");
        weir_error *error =
            snapshot_one(ctx, checkpoint, &snapshot->operators[i], &snapshot->arena, &parts[i]);
        context_leave(ctx);
        if (error == NULL)
            continue;
        const struct backend_class *class = ctx->host->backend;
        for (uint32_t p = 0; p <= i; p++) {
            if (parts[p] != NULL)
                class->snapshot_free(parts[p]);
            parts[p] = NULL;
        }
        return weir_error_wrap(error, "cannot snapshot '%s'", ctx->op->name);
    }
    return NULL;
}

static weir_error *complete_one(struct weir_ctx *ctx, uint64_t checkpoint)
{
    if (ctx->keyed != NULL) {
        struct backend *backend = keyed_backend(ctx->keyed);
        backend->backend_class->confirm(backend, checkpoint);
    }
    if (ctx->op->kind == PLAN_SOURCE && ctx->op->source.source_class->checkpoint_complete != NULL)
        return FAULT_STEP(SOURCE_COMMIT,
            ctx->op->source.source_class->checkpoint_complete(ctx, ctx->instance, checkpoint));
    if (ctx->op->kind == PLAN_SINK && ctx->op->sink.sink_class->checkpoint_complete != NULL)
        return ctx->op->sink.sink_class->checkpoint_complete(ctx, ctx->instance, checkpoint);
    return NULL;
}

weir_error *chain_checkpoint_complete(struct chain *chain, uint64_t checkpoint)
{
    for (uint32_t i = 0; i < chain->count; i++) {
        context_enter(chain->contexts[i], "in the end of a checkpoint");
        weir_error *error = complete_one(chain->contexts[i], checkpoint);
        context_leave(chain->contexts[i]);
        if (error != NULL)
            return weir_error_wrap(error, "operator '%s' cannot finish checkpoint %llu",
                chain->contexts[i]->op->name, (unsigned long long)checkpoint);
    }
    return NULL;
}

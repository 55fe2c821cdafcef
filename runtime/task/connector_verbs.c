/* connector_verbs.c -- the verbs of weir/connector.h: what sources, sinks and formats may call.
 *
 * Sources emit into the context's pending rows, which the task hands to the chain after poll; sinks
 * encode into two buffers of the context. Asynchronous calls run in the context's own lane of the
 * worker pool and come back through the mailbox. */
#include "runtime/task/task.h"

#include "base/assert.h"
#include "base/map.h"
#include "runtime/task/context.h"
#include "runtime/task/current.h"

#define CARRIED "~" /* in front of the names of items that were carried */

/* -- splits and watermarks ---------------------------------------------------------------------- */

uint32_t weir_split_add(weir_ctx *ctx)
{
    ASSERT(ctx->op->kind == PLAN_SOURCE);
    return watermarks_add(&ctx->splits);
}

void weir_split_idle(weir_ctx *ctx, uint32_t split, bool is_idle)
{
    watermarks_idle(&ctx->splits, split, is_idle);
}

void weir_split_finish(weir_ctx *ctx, uint32_t split)
{
    watermarks_finish(&ctx->splits, split);
}

/* -- emitting ------------------------------------------------------------------------------------- */

uint32_t weir_source_room(const weir_ctx *ctx)
{
    return ctx->host->batch_max - ctx->pending_count;
}

/* The split's watermark follows its largest timestamp; the task decides when to send it on. */
static __attribute__((noinline)) int64_t event_time(weir_ctx *ctx, uint32_t split,
    const void *record)
{
    int64_t at_ms;
    memcpy(&at_ms, (const char *)record + ctx->op->event_time_offset, sizeof(at_ms));
    ASSERT(split < ctx->splits.count);
    struct watermark_input *input = &ctx->splits.inputs[split];
    int64_t watermark = at_ms < INT64_MIN + ctx->op->out_of_orderness_ms
                            ? INT64_MIN
                            : at_ms - ctx->op->out_of_orderness_ms;
    if (input->is_idle)
        watermarks_idle(&ctx->splits, split, false);
    if (watermark > input->watermark)
        input->watermark = watermark; /* recomputed once per poll: source_watermark */
    return at_ms;
}

void weir_source_emit_record(weir_ctx *ctx, uint32_t split, const void *record)
{
    DEBUG_ASSERT(ctx->pending_count < SOURCE_BATCH_MAX);
    struct weir_row *row = &ctx->pending[ctx->pending_count++];
    *row = (struct weir_row){ .record = record, .timestamp_ms = WEIR_NO_TIMESTAMP };
    if (ctx->op->has_event_time)
        row->timestamp_ms = event_time(ctx, split, record);
}

void weir_source_emit(weir_ctx *ctx, uint32_t split, const struct weir_format *format,
    const struct weir_message *message)
{
    ASSERT(ctx->pending_count < SOURCE_BATCH_MAX);
    const struct weir_type *type = format->type;
    void *record = arena_take(ctx->scratch, type->size);
    memset(record, 0, type->size);
    weir_error *error = format->format_class->decode(format, ctx, message, record);
    if (__builtin_expect(error == NULL, 1)) {
        weir_source_emit_record(ctx, split, record);
        return;
    }
    if (weir_error_code(error) == WEIR_E_DATA)
        weir_source_reject(ctx, message, message->value.size, error);
    else
        context_fail(ctx, error);
}

void weir_source_reject(weir_ctx *ctx, const struct weir_message *message, uint64_t size,
    weir_error *error)
{
    ASSERT(ctx->op->kind == PLAN_SOURCE && message != NULL);
    metric_add(&ctx->counters[0].value, 1);
    context_reject(ctx, NULL, message, size, error);
}

/* -- items and files -------------------------------------------------------------------------------- */

uint32_t weir_item_count(const weir_ctx *ctx)
{
    return ctx->item_count;
}

struct weir_item weir_item_at(const weir_ctx *ctx, uint32_t index)
{
    ASSERT(index < ctx->item_count);
    return ctx->items[index];
}

/* The items under one prefix, as the restored checkpoint has them. Memory: the restore arena. */
struct item_scope {
    struct item_scope *next;
    const char *prefix;
    struct weir_item *items;
    uint32_t count;
};

static bool has_prefix(weir_str name, const char *prefix)
{
    size_t size = strlen(prefix);
    return name.size >= size && memcmp(name.data, prefix, size) == 0;
}

/* Adds the items whose name has the prefix, but none whose rest of a name is there already. */
static void gather(const struct weir_ctx *ctx, const char *prefix, struct map *names,
    struct item_scope *scope)
{
    size_t size = strlen(prefix);
    uint32_t before = scope->count;
    for (uint32_t i = 0; i < ctx->all_item_count; i++) {
        struct weir_item item = ctx->all_items[i];
        if (!has_prefix(item.name, prefix))
            continue;
        item.name.data += size;
        item.name.size -= size;
        if (map_get(names, item.name) == NULL)
            scope->items[scope->count++] = item;
    }
    for (uint32_t i = before; i < scope->count; i++)
        map_put(names, scope->items[i].name, scope);
}

static struct item_scope *scope_new(struct weir_ctx *ctx, const char *prefix)
{
    struct item_scope *scope = arena_alloc(ctx->restore_arena, sizeof(*scope));
    scope->prefix = prefix;
    scope->items =
        arena_alloc(ctx->restore_arena, (ctx->all_item_count + 1) * sizeof(*scope->items));
    struct map *names = map_new(ctx->all_item_count + 1);
    gather(ctx, prefix, names, scope);
    if (prefix[0] != '\0')
        gather(ctx, arena_printf(ctx->restore_arena, CARRIED "%s", prefix), names, scope);
    map_free(names);
    scope->next = ctx->item_scopes;
    ctx->item_scopes = scope;
    return scope;
}

void weir_item_scope(weir_ctx *ctx, const char *prefix)
{
    struct item_scope *scope = ctx->item_scopes;
    if (ctx->item_scope != NULL && strcmp(ctx->item_scope, prefix) == 0)
        return;
    while (scope != NULL && strcmp(scope->prefix, prefix) != 0)
        scope = scope->next;
    if (scope == NULL)
        scope = scope_new(ctx, prefix);
    ctx->item_scope = prefix;
    ctx->items = scope->items;
    ctx->item_count = scope->count;
}

static weir_str keep(struct arena *arena, weir_str text)
{
    return (weir_str){ .data = arena_dup(arena, text.data, text.size), .size = text.size };
}

static weir_str scoped_name(weir_ctx *ctx, const char *mark, weir_str name)
{
    const char *scope = ctx->item_scope == NULL ? "" : ctx->item_scope;
    size_t mark_size = strlen(mark), scope_size = strlen(scope);
    char *bytes = arena_take(ctx->snapshot_arena, mark_size + scope_size + name.size + 1);
    memcpy(bytes, mark, mark_size);
    memcpy(bytes + mark_size, scope, scope_size);
    if (name.size > 0)
        memcpy(bytes + mark_size + scope_size, name.data, name.size);
    return (weir_str){ .data = bytes, .size = mark_size + scope_size + name.size };
}

static void add_item(weir_ctx *ctx, const char *mark, weir_str name, weir_str value)
{
    struct operator_snapshot *snapshot = ctx->snapshot;
    ASSERT(snapshot != NULL); /* only in snapshot */
    if (value.size > WEIR_ITEM_SIZE_MAX || name.size > WEIR_ITEM_SIZE_MAX) {
        context_fail(ctx, weir_errorf(WEIR_E_LIMIT,
                              "an item of a checkpoint has %zu bytes, %u are "
                              "allowed: put it into a file",
                              (size_t)value.size, WEIR_ITEM_SIZE_MAX));
        return;
    }
    if ((snapshot->item_count & (snapshot->item_count - 1)) == 0) {
        uint32_t room = snapshot->item_count == 0 ? 1 : snapshot->item_count * 2;
        struct weir_item *grown = arena_alloc(ctx->snapshot_arena, room * sizeof(struct weir_item));
        if (snapshot->item_count > 0)
            memcpy(grown, snapshot->items, snapshot->item_count * sizeof(*grown));
        snapshot->items = grown;
    }
    snapshot->items[snapshot->item_count++] =
        (struct weir_item){ .name = scoped_name(ctx, mark, name),
            .value = keep(ctx->snapshot_arena, value),
            .subtask = ctx->subtask };
}

void weir_item_add(weir_ctx *ctx, weir_str name, weir_str value)
{
    add_item(ctx, "", name, value);
}

void weir_item_carry(weir_ctx *ctx)
{
    ASSERT(ctx->item_scope != NULL && ctx->item_scope[0] != '\0');
    for (uint32_t i = 0; i < ctx->item_count; i++)
        if (i % weir_parallelism_of(ctx) == weir_subtask_index(ctx))
            add_item(ctx, CARRIED, ctx->items[i].name, ctx->items[i].value);
}

void weir_file_add(weir_ctx *ctx, const char *path)
{
    struct operator_snapshot *snapshot = ctx->snapshot;
    ASSERT(snapshot != NULL && path != NULL);
    /* length, checksum and stored path are filled in by the worker that stores it */
    checkpoint_add_staged(snapshot, ctx->snapshot_arena)->name =
        arena_strdup(ctx->snapshot_arena, path);
}

void weir_sync_add(weir_ctx *ctx, const char *path)
{
    struct operator_snapshot *snapshot = ctx->snapshot;
    ASSERT(snapshot != NULL && path != NULL);
    const char **grown =
        arena_alloc(ctx->snapshot_arena, (snapshot->sync_count + 1) * sizeof(*grown));
    if (snapshot->sync_count > 0)
        memcpy(grown, snapshot->syncs, snapshot->sync_count * sizeof(*grown));
    grown[snapshot->sync_count++] = arena_strdup(ctx->snapshot_arena, path);
    snapshot->syncs = grown;
}

const char *weir_file_find(const weir_ctx *ctx, weir_str file_name)
{
    for (uint32_t i = 0; i < ctx->file_count; i++) {
        const char *slash = strrchr(ctx->files[i].name, '/');
        const char *name = slash == NULL ? ctx->files[i].name : slash + 1;
        if (weir_str_equal(weir_str_of(name), file_name))
            return arena_printf(ctx->restore_arena, "%s/%s", ctx->host->checkpoint_dir,
                ctx->files[i].path);
    }
    return NULL;
}

/* -- the job ---------------------------------------------------------------------------------------- */

const char *weir_job_name_of(const weir_ctx *ctx)
{
    return ctx->host->job;
}

uint64_t weir_instance_id(const weir_ctx *ctx)
{
    return ctx->host->instance;
}

uint64_t weir_attempt(const weir_ctx *ctx)
{
    return ctx->host->attempt;
}

weir_error *weir_check_attempt(const weir_ctx *ctx)
{
    return ctx->host->check_attempt(ctx->host->arg);
}

const char *weir_staging_dir(const weir_ctx *ctx)
{
    return ctx->host->staging_dir;
}

bool weir_has_checkpoints(const weir_ctx *ctx)
{
    return ctx->host->has_checkpoints;
}

int weir_wake_fd(const weir_ctx *ctx)
{
    return task_wake_fd(ctx->task);
}

/* -- asynchronous calls ------------------------------------------------------------------------------ */

/* Thread: worker until it is in the mailbox, then task. */
struct async_call {
    struct weir_ctx *ctx;
    weir_error *(*run)(void *arg);
    weir_error *(*done)(weir_ctx *ctx, void *arg);
    void *arg;
    weir_error *error;
};

static void async_done(struct task *task, void *arg)
{
    struct async_call *call = arg;
    struct weir_ctx *ctx = call->ctx;
    (void)task;
    ctx->async_count--;
    weir_error *error = call->error;
    if (error == NULL) {
        context_enter(ctx, "behind an asynchronous call");
        error = call->done(ctx, call->arg);
        context_leave(ctx);
    }
    if (error != NULL)
        context_fail(ctx, error);
    mem_free(call);
}

static void async_drop(void *arg)
{
    struct async_call *call = arg;
    weir_error_free(call->error);
    mem_free(call);
}

static void async_run(void *arg)
{
    struct async_call *call = arg;
    current_context = call->ctx;
    current_is_async = true;
    call->error = call->run(call->arg);
    current_is_async = false;
    current_context = NULL;
    task_post(call->ctx->task, (struct letter){ .what = "asynchronous call done",
                                   .run = async_done,
                                   .drop = async_drop,
                                   .arg = call });
}

void weir_async(weir_ctx *ctx, weir_error *(*run)(void *arg),
    weir_error *(*done)(weir_ctx *ctx, void *arg), void *arg)
{
    ASSERT(ctx->async_count < TASK_ASYNC_MAX);
    struct async_call *call = mem_alloc(sizeof(*call));
    *call = (struct async_call){ .ctx = ctx, .run = run, .done = done, .arg = arg };
    ctx->async_count++;
    if (!workers_submit(ctx->host->workers, ctx, async_run, call)) {
        ctx->async_count--;
        mem_free(call);
        context_fail(ctx, weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting"));
    }
}

/* -- sinks ---------------------------------------------------------------------------------------------- */

const struct weir_type *weir_in_type(const weir_ctx *ctx)
{
    return ctx->op->in;
}

weir_error *weir_sink_encode(weir_ctx *ctx, const struct weir_format *format, const void *record,
    size_t size_max, struct weir_message *message)
{
    bool key_is_null = true, value_is_null = false;
    weir_buffer_reset(ctx->encode_key);
    weir_buffer_reset(ctx->encode_value);
    WEIR_TRY(format->format_class->encode(format, record, ctx->encode_key, ctx->encode_value,
        &key_is_null, &value_is_null));
    *message = (struct weir_message){ .partition = -1, .timestamp_ms = WEIR_NO_TIMESTAMP };
    message->key = weir_buffer_view(ctx->encode_key);
    message->value = weir_buffer_view(ctx->encode_value);
    size_t size = message->key.size + message->value.size;
    if (size > size_max || weir_buffer_overflowed(ctx->encode_key) ||
        weir_buffer_overflowed(ctx->encode_value))
        return weir_error_data("too-large", "an output record has %zu bytes, %zu are allowed", size,
            size_max);
    if (key_is_null)
        message->key.data = NULL;
    if (value_is_null)
        message->value.data = NULL;
    return NULL;
}

/* stub_ctx.c -- a weir_ctx without an engine. */
/* tidy: allow include-cycle, because it defines the verbs of the engine: it may be in no library */
#include "test/support/stub_ctx.h"

#include "base/assert.h"
#include "base/os.h"

#include <stdio.h>

#define MEMORY_MAX ((size_t)256 << 20)

weir_ctx *stub_ctx_new(uint32_t subtask, uint32_t parallelism)
{
    weir_ctx *ctx = mem_alloc(sizeof(*ctx));
    ctx->subtask = subtask;
    ctx->parallelism = parallelism;
    ctx->batch_max = 256;
    ctx->job = "job";
    ctx->uid = "stub";
    ctx->attempt = 1;
    arena_init(&ctx->scratch, 4096, MEMORY_MAX);
    arena_init(&ctx->memory, 4096, MEMORY_MAX);
    ctx->key = weir_buffer_new(1u << 20);
    ctx->value = weir_buffer_new(8u << 20);
    return ctx;
}

void stub_ctx_free(weir_ctx *ctx)
{
    if (ctx == NULL)
        return;
    arena_release(&ctx->scratch);
    arena_release(&ctx->memory);
    weir_buffer_free(ctx->key);
    weir_buffer_free(ctx->value);
    mem_free(ctx->rejected_why);
    mem_free(ctx);
}

void stub_ctx_next_batch(weir_ctx *ctx)
{
    ctx->row_count = 0;
    arena_reset(&ctx->scratch);
}

static weir_str keep(weir_ctx *ctx, weir_str text)
{
    return (weir_str){ .data = arena_dup(&ctx->memory, text.data, text.size), .size = text.size };
}

void stub_ctx_restore(weir_ctx *ctx, const weir_ctx *from)
{
    for (uint32_t i = 0; i < from->added_count; i++) {
        ASSERT(ctx->item_count < STUB_ITEMS_MAX);
        ctx->items[ctx->item_count++] = (struct weir_item){ .name = keep(ctx, from->added[i].name),
            .value = keep(ctx, from->added[i].value),
            .subtask = from->subtask };
    }
}

weir_error *stub_ctx_run(weir_ctx *ctx)
{
    for (uint32_t i = 0; i < ctx->call_count; i++) {
        struct stub_call call = ctx->calls[i];
        WEIR_TRY(call.run(call.arg));
        WEIR_TRY(call.done(ctx, call.arg));
    }
    ctx->call_count = 0;
    return NULL;
}

/* -- the verbs ------------------------------------------------------------------------------ */

void *weir_scratch(weir_ctx *ctx, size_t size)
{
    return arena_take(&ctx->scratch, size);
}

int64_t weir_now_ms(const weir_ctx *ctx)
{
    return ctx->now_ms;
}

uint32_t weir_subtask_index(const weir_ctx *ctx)
{
    return ctx->subtask;
}

uint32_t weir_parallelism_of(const weir_ctx *ctx)
{
    return ctx->parallelism;
}

const struct weir_type *weir_in_type(const weir_ctx *ctx)
{
    return ctx->in_type;
}

uint32_t weir_item_count(const weir_ctx *ctx)
{
    return ctx->item_count;
}

struct weir_item weir_item_at(const weir_ctx *ctx, uint32_t index)
{
    ASSERT(index < ctx->item_count);
    return ctx->items[index];
}

void weir_item_add(weir_ctx *ctx, weir_str name, weir_str value)
{
    ASSERT(ctx->added_count < STUB_ITEMS_MAX);
    ctx->added[ctx->added_count++] = (struct weir_item){ .name = keep(ctx, name),
        .value = keep(ctx, value),
        .subtask = ctx->subtask };
}

uint32_t weir_split_add(weir_ctx *ctx)
{
    return ctx->split_count++;
}

void weir_split_finish(weir_ctx *ctx, uint32_t split)
{
    ASSERT(split < ctx->split_count);
    ctx->splits_finished++;
}

uint32_t weir_source_room(const weir_ctx *ctx)
{
    return ctx->batch_max - ctx->row_count;
}

void weir_source_emit_record(weir_ctx *ctx, uint32_t split, const void *record)
{
    ASSERT(ctx->row_count < ctx->batch_max && ctx->row_count < STUB_ROWS_MAX);
    ASSERT(split < ctx->split_count);
    ctx->row_splits[ctx->row_count] = split;
    ctx->rows[ctx->row_count++] = record;
}

void weir_source_emit(weir_ctx *ctx, uint32_t split, const struct weir_format *format,
    const struct weir_message *message)
{
    void *record = memset(weir_scratch(ctx, format->type->size), 0, format->type->size);
    weir_error *error = format->format_class->decode(format, ctx, message, record);
    if (error == NULL)
        weir_source_emit_record(ctx, split, record);
    else
        weir_source_reject(ctx, message, message->value.size, error);
}

void weir_source_reject(weir_ctx *ctx, const struct weir_message *message, uint64_t size,
    weir_error *error)
{
    ASSERT(weir_error_code(error) == WEIR_E_DATA);
    ctx->rejected_count++;
    ctx->rejected = *message;
    ctx->rejected.topic = keep(ctx, message->topic);
    ctx->rejected.value = keep(ctx, message->value);
    ctx->rejected_size = size;
    mem_free(ctx->rejected_why);
    ctx->rejected_why = mem_printf("%s: %s", weir_error_reason(error), weir_error_message(error));
    weir_error_free(error);
}

void *weir_instance(weir_ctx *ctx)
{
    return ctx->own;
}

const char *weir_job_name_of(const weir_ctx *ctx)
{
    return ctx->job;
}

void weir_file_add(weir_ctx *ctx, const char *path)
{
    ASSERT(ctx->file_count < STUB_FILES_MAX);
    ctx->files[ctx->file_count++] = arena_strdup(&ctx->memory, path);
}

const char *weir_file_find(const weir_ctx *ctx, weir_str file_name)
{
    static char path[OS_PATH_MAX];
    struct os_stat stat;
    snprintf(path, sizeof(path), "%s/%.*s", ctx->files_dir, (int)file_name.size, file_name.data);
    weir_error *error = os_stat(path, &stat);
    ASSERT(error == NULL);
    return stat.exists ? path : NULL;
}

const char *weir_uid_of(const weir_ctx *ctx)
{
    return ctx->uid;
}

const char *weir_staging_dir(const weir_ctx *ctx)
{
    ASSERT(ctx->staging_dir != NULL); /* the test sets it */
    return ctx->staging_dir;
}

uint64_t weir_instance_id(const weir_ctx *ctx)
{
    return ctx->instance;
}

uint64_t weir_attempt(const weir_ctx *ctx)
{
    return ctx->attempt;
}

weir_error *weir_check_attempt(const weir_ctx *ctx)
{
    return ctx->is_fenced ? weir_errorf(WEIR_E_FENCED, "a test has taken over") : NULL;
}

void weir_async(weir_ctx *ctx, weir_error *(*run)(void *arg),
    weir_error *(*done)(weir_ctx *ctx, void *arg), void *arg)
{
    ASSERT(ctx->call_count < STUB_CALLS_MAX);
    ctx->calls[ctx->call_count++] = (struct stub_call){ .run = run, .done = done, .arg = arg };
}

void weir_sync_add(weir_ctx *ctx, const char *path)
{
    ASSERT(ctx->sync_count < STUB_SYNCS_MAX);
    ctx->syncs[ctx->sync_count++] = arena_strdup(&ctx->memory, path);
}

void weir_batch_reject(weir_ctx *ctx, const struct weir_row *row, weir_error *error)
{
    (void)row;
    ASSERT(weir_error_code(error) == WEIR_E_DATA);
    weir_error_free(error);
    ctx->rejected_count++;
}

weir_error *weir_sink_encode(weir_ctx *ctx, const struct weir_format *format, const void *record,
    size_t size_max, struct weir_message *message)
{
    bool key_is_null = true, value_is_null = false;
    weir_buffer_reset(ctx->key);
    weir_buffer_reset(ctx->value);
    WEIR_TRY(format->format_class->encode(format, record, ctx->key, ctx->value, &key_is_null,
        &value_is_null));
    *message = (struct weir_message){ .key = weir_buffer_view(ctx->key),
        .value = weir_buffer_view(ctx->value) };
    if (message->key.size + message->value.size > size_max)
        return weir_error_data("too-large", "%zu bytes are allowed", size_max);
    if (key_is_null)
        message->key.data = NULL;
    if (value_is_null)
        message->value.data = NULL;
    return NULL;
}

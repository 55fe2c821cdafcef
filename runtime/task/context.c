/* context.c -- see context.h: rows in, rows out, timers, bad records. The verbs of the public
 * headers that work on a context are in operator_verbs.c and connector_verbs.c. */
#include "runtime/task/context.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "runtime/task/current.h"
#include "types/key.h"
#include "types/msgpack.h"

#include <inttypes.h>

#define LETTER_WINDOW_S 10

void context_fail(struct weir_ctx *ctx, weir_error *error)
{
    ASSERT(error != NULL);
    ctx->error = weir_error_join(ctx->error, error);
}

/* -- rows out ------------------------------------------------------------------------------------- */

void context_emit(struct weir_ctx *ctx, const struct output *output, const struct weir_row *rows,
    uint32_t row_count)
{
    for (uint32_t i = 0; i < output->target_count; i++) {
        const struct target *target = &output->targets[i];
        if (target->next != NULL) {
            context_rows(target->next, rows, row_count);
            continue;
        }
        weir_error *error = partition_emit(target->partition, rows, row_count);
        if (__builtin_expect(error != NULL, 0))
            context_fail(ctx, error);
    }
}

/* -- bad records ------------------------------------------------------------------------------------ */

struct counter *context_counter(struct weir_ctx *ctx, const char *name)
{
    for (uint32_t i = 0; i < ctx->counter_count; i++) {
        if (strcmp(ctx->counters[i].name, name) == 0)
            return &ctx->counters[i];
    }
    if (ctx->counter_count == COUNTERS_MAX)
        return NULL;
    struct counter *counter = &ctx->counters[ctx->counter_count++];
    counter->name = mem_strdup(name);
    return counter;
}

static void count_reason(struct weir_ctx *ctx, const char *reason)
{
    char *name = mem_printf("dead_letters.%s", reason);
    struct counter *counter = context_counter(ctx, name);
    mem_free(name);
    if (counter == NULL)
        counter = context_counter(ctx, "dead_letters.other");
    if (counter != NULL)
        metric_add(&counter->value, 1);
}

/* False: more than the limit allows, averaged over the window. */
static bool rate_allows(struct weir_ctx *ctx)
{
    int64_t limit = ctx->op->dead_letters_per_second_max;
    if (limit == 0)
        return true;
    int64_t full = limit * LETTER_WINDOW_S * 1000;
    int64_t elapsed_ms = ctx->now_ms - ctx->rate.filled_ms;
    if (ctx->rate.filled_ms == 0 || elapsed_ms > LETTER_WINDOW_S * 1000)
        ctx->rate.tokens_milli = full;
    else if (elapsed_ms > 0)
        ctx->rate.tokens_milli += elapsed_ms * limit;
    if (ctx->rate.tokens_milli > full)
        ctx->rate.tokens_milli = full;
    ctx->rate.filled_ms = ctx->now_ms == 0 ? 1 : ctx->now_ms;
    ctx->rate.tokens_milli -= 1000;
    return ctx->rate.tokens_milli >= 0;
}

static void letter_raw(struct weir_dead_letter *letter, weir_str raw, uint64_t size)
{
    letter->size = size;
    letter->raw = raw;
    if (raw.size > WEIR_DEAD_LETTER_RAW_MAX)
        letter->raw.size = WEIR_DEAD_LETTER_RAW_MAX;
}

static void letter_message(struct weir_dead_letter *letter, const struct weir_message *message,
    uint64_t size)
{
    letter->topic = message->topic;
    letter->partition = message->partition;
    letter->offset = message->offset;
    letter_raw(letter, message->value, size);
}

static void emit_letter(struct weir_ctx *ctx, const void *record,
    const struct weir_message *message, uint64_t size, const weir_error *error)
{
    struct weir_dead_letter letter = { .offset = -1,
        .partition = -1,
        .operator_ = weir_str_of(ctx->op->name),
        .reason = weir_str_of(weir_error_reason(error)),
        .detail = weir_str_of(weir_error_message(error)) };
    weir_buffer *raw = NULL;
    if (message == NULL && strcmp(ctx->op->in->name, weir_message_type.name) == 0) {
        message = record;
        size = message->value.size;
    }
    if (message != NULL) {
        letter_message(&letter, message, size);
    } else {
        raw = weir_buffer_new(2 * WEIR_RECORD_SIZE_MAX);
        msgpack_encode(ctx->op->in, record, raw);
        letter_raw(&letter, weir_buffer_view(raw), weir_buffer_view(raw).size);
    }
    struct weir_row row = { .record = &letter, .timestamp_ms = ctx->timestamp_ms };
    context_emit(ctx, &ctx->dead, &row, 1);
    weir_buffer_free(raw);
}

/* Puts in front where the record came from, as far as that is known. */
static weir_error *with_position(weir_error *error, const struct weir_message *message)
{
    if (message == NULL || message->topic.size == 0)
        return error;
    int size = (int)(message->topic.size > 200 ? 200 : message->topic.size);
    if (message->partition < 0)
        return weir_error_wrap(error, "file '%.*s', byte %" PRId64, size, message->topic.data,
            message->offset);
    return weir_error_wrap(error, "topic '%.*s', partition %" PRId32 ", offset %" PRId64, size,
        message->topic.data, message->partition, message->offset);
}

void context_reject(struct weir_ctx *ctx, const void *record, const struct weir_message *message,
    uint64_t size, weir_error *error)
{
    ASSERT(weir_error_code(error) == WEIR_E_DATA);
    if (ctx->error != NULL) { /* the first one of the batch that was too much has said it */
        weir_error_free(error);
        return;
    }
    if (!ctx->op->has_dead_letters) {
        context_fail(ctx,
            weir_error_wrap(with_position(error, message),
                "a record is bad and the dead letters of this operator go nowhere; connect "
                "weir_dead_letters()"));
        return;
    }
    count_reason(ctx, weir_error_reason(error));
    if (!rate_allows(ctx)) {
        error = with_position(error, message);
        context_fail(ctx, weir_errorf(WEIR_E_LIMIT,
                              "more than %u dead letters a second, the last one: %s; repair the "
                              "input or raise the "
                              "limit given to weir_dead_letters()",
                              ctx->op->dead_letters_per_second_max, weir_error_message(error)));
        weir_error_free(error);
        return;
    }
    emit_letter(ctx, record, message, size, error);
    weir_error_free(error);
}

/* -- rows in ---------------------------------------------------------------------------------------- */

/* What a callback returned, and what its state verbs met. */
static void after_callback(struct weir_ctx *ctx, const void *record, weir_error *error)
{
    if (ctx->keyed != NULL) {
        weir_error *failed = keyed_commit(ctx->keyed);
        if (__builtin_expect(failed != NULL, 0))
            context_fail(ctx, failed);
    }
    if (__builtin_expect(error == NULL, 1))
        return;
    if (weir_error_code(error) == WEIR_E_DATA && record != NULL)
        context_reject(ctx, record, NULL, 0, error);
    else
        context_fail(ctx, error);
}

void context_select_key(struct weir_ctx *ctx, const struct weir_row *row)
{
    weir_str key = key_plan_encode(&ctx->key_plan, row->record, ctx->key_scratch, KEY_SIZE_MAX);
    if (__builtin_expect(key.data == NULL || key.size > KEY_SIZE_MAX, 0)) {
        context_fail(ctx, weir_errorf(WEIR_E_LIMIT, "a key is longer than %u bytes", KEY_SIZE_MAX));
        key = WEIR_STR("");
    }
    keyed_select(ctx->keyed, key, row->key_hash);
    keyed_set_timestamp(ctx->keyed, row->timestamp_ms);
}

/* Keys of several fields lie one behind the other in the scratch; one that finds no room there is NULL. */
static void prefetch_rows(struct weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    struct keyed_next next[KEYED_PREFETCH_MAX];
    uint32_t count = row_count < KEYED_PREFETCH_MAX ? row_count : KEYED_PREFETCH_MAX;
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        next[i].hash = rows[i].key_hash;
        next[i].key = key_plan_encode(&ctx->key_plan, rows[i].record, ctx->key_scratch + used,
            KEY_SIZE_MAX - used);
        used += ctx->key_plan.part_count == 1 ? 0 : next[i].key.size;
    }
    keyed_prefetch(ctx->keyed, next, count);
}

static void operator_rows(struct weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    const struct weir_operator *op = ctx->op->op;
    if (op->on_batch != NULL) {
        ctx->timestamp_ms = ctx->emit_timestamp_ms = rows[0].timestamp_ms;
        after_callback(ctx, NULL, op->on_batch(ctx, rows, row_count));
        return;
    }
    for (uint32_t i = 0; i < row_count && ctx->error == NULL; i++) {
        if (ctx->keyed != NULL && i % KEYED_PREFETCH_MAX == 0)
            prefetch_rows(ctx, rows + i, row_count - i);
        context_select(ctx, &rows[i]);
        if (__builtin_expect(ctx->error == NULL, 1))
            after_callback(ctx, rows[i].record, op->on_record(ctx, rows[i].record));
    }
}

static void sink_rows(struct weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    DEBUG_ASSERT(ctx->op->kind == PLAN_SINK);
    metric_add(&ctx->counters[0].value, row_count);
    ctx->timestamp_ms = rows[0].timestamp_ms;
    weir_error *error = ctx->op->sink.sink_class->write(ctx, ctx->instance, rows, row_count);
    if (__builtin_expect(error != NULL, 0))
        context_fail(ctx, error);
}

void context_rows(struct weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    if (__builtin_expect(ctx->error != NULL, 0) || row_count == 0)
        return;
    metric_add(&ctx->records_in, row_count);
    const struct weir_ctx *outer = current_context;
    current_context = ctx;
    if (ctx->op->kind == PLAN_OPERATOR)
        operator_rows(ctx, rows, row_count);
    else
        sink_rows(ctx, rows, row_count);
    current_context = outer;
}

/* Called by the task, never from inside of another one's. */
void context_enter(struct weir_ctx *ctx, const char *call)
{
    ctx->call = call;
    current_context = ctx;
}

void context_leave(struct weir_ctx *ctx)
{
    current_context = NULL;
    ctx->call = NULL;
}

/* -- time --------------------------------------------------------------------------------------------- */

static void fire_one(struct weir_ctx *ctx, enum weir_time time, int64_t at_ms, weir_str key,
    uint64_t key_hash)
{
    ctx->timestamp_ms = ctx->emit_timestamp_ms =
        time == WEIR_EVENT_TIME ? at_ms : WEIR_NO_TIMESTAMP;
    keyed_select(ctx->keyed, key, key_hash);
    keyed_set_timestamp(ctx->keyed, ctx->timestamp_ms);
    after_callback(ctx, NULL, ctx->op->op->on_timer(ctx, time, at_ms));
}

uint32_t context_fire(struct weir_ctx *ctx, enum weir_time time, int64_t until_ms,
    uint32_t count_max)
{
    int64_t at_ms;
    weir_str key;
    uint64_t key_hash;
    uint32_t count = 0, ahead = 0;
    context_enter(ctx, "in a timer");
    while (count < count_max && ctx->error == NULL) {
        ahead = ahead > 0 ? ahead - 1 : timers_prefetch(ctx->timers, time, until_ms);
        if (!timers_pop(ctx->timers, time, until_ms, &at_ms, &key, &key_hash))
            break;
        fire_one(ctx, time, at_ms, key, key_hash);
        count++;
    }
    context_leave(ctx);
    return count;
}

void context_set_watermark(struct weir_ctx *ctx, int64_t watermark_ms)
{
    ASSERT(watermark_ms >= ctx->watermark_ms);
    ctx->watermark_ms = watermark_ms;
    if (ctx->keyed != NULL)
        keyed_set_time(ctx->keyed, ctx->now_ms, watermark_ms);
}

void context_set_clock(struct weir_ctx *ctx, int64_t now_ms)
{
    ctx->now_ms = now_ms;
    if (ctx->keyed != NULL)
        keyed_set_time(ctx->keyed, now_ms, ctx->watermark_ms);
}

void context_finish(struct weir_ctx *ctx)
{
    if (ctx->error != NULL || ctx->op->kind != PLAN_OPERATOR || ctx->op->op->on_finish == NULL)
        return;
    if (ctx->keyed != NULL)
        keyed_unselect(ctx->keyed);
    context_enter(ctx, "at the end of its input");
    after_callback(ctx, NULL, ctx->op->op->on_finish(ctx));
    context_leave(ctx);
}

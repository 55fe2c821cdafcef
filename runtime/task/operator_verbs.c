/* operator_verbs.c -- the verbs of weir/operator.h: what a callback of an operator may call.
 *
 * They translate between the public types and the context (context.h) or the keyed state (state/keyed.h)
 * and hold nothing themselves. Misuse (a state number out of range, state without a key) is a defect
 * of the job and asserts: the job restarts from its last checkpoint and the message names the verb. */
#include "runtime/task/context.h"

#include "base/assert.h"

/* -- output ----------------------------------------------------------------------------------- */

void weir_emit_as(weir_ctx *ctx, const struct weir_type *type, const void *record)
{
    DEBUG_ASSERT(ctx->op->out != NULL && strcmp(ctx->op->out->name, type->name) == 0);
    (void)type;
    struct weir_row row = { .record = record, .timestamp_ms = ctx->emit_timestamp_ms };
    metric_add(&ctx->records_out, 1);
    context_emit(ctx, &ctx->main, &row, 1);
}

void weir_emit_rows(weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    if (row_count == 0)
        return;
    metric_add(&ctx->records_out, row_count);
    context_emit(ctx, &ctx->main, rows, row_count);
}

void weir_emit_side_as(weir_ctx *ctx, uint32_t side, const struct weir_type *type,
    const void *record)
{
    ASSERT(ctx->op->kind == PLAN_OPERATOR && side < ctx->op->op->side_count);
    (void)type;
    struct weir_row row = { .record = record, .timestamp_ms = ctx->emit_timestamp_ms };
    metric_add(&ctx->records_out, 1);
    context_emit(ctx, &ctx->sides[side], &row, 1);
}

void weir_set_timestamp(weir_ctx *ctx, int64_t timestamp_ms)
{
    ctx->emit_timestamp_ms = timestamp_ms;
}

/* -- the record being handled ------------------------------------------------------------------- */

int64_t weir_timestamp(const weir_ctx *ctx)
{
    return ctx->timestamp_ms;
}

int64_t weir_watermark(const weir_ctx *ctx)
{
    return ctx->watermark_ms;
}

int64_t weir_now_ms(const weir_ctx *ctx)
{
    return ctx->now_ms;
}

weir_str weir_key_bytes(const weir_ctx *ctx)
{
    ASSERT(ctx->keyed != NULL);
    return keyed_key(ctx->keyed);
}

void *weir_instance(weir_ctx *ctx)
{
    return ctx->instance;
}

const void *weir_config(const weir_ctx *ctx)
{
    return ctx->op->config;
}

const struct weir_operator *weir_operator_of(const weir_ctx *ctx)
{
    return ctx->op->op;
}

const char *weir_uid_of(const weir_ctx *ctx)
{
    return ctx->op->uid;
}

uint32_t weir_subtask_index(const weir_ctx *ctx)
{
    return ctx->subtask;
}

uint32_t weir_parallelism_of(const weir_ctx *ctx)
{
    return ctx->vertex->parallelism;
}

void *weir_scratch(weir_ctx *ctx, size_t size)
{
    return arena_take(ctx->scratch, size);
}

/* What the row before has edited is committed by the selection; an error of it is told behind the batch. */
void weir_batch_select(weir_ctx *ctx, const struct weir_row *row)
{
    context_select(ctx, row);
}

void weir_batch_reject(weir_ctx *ctx, const struct weir_row *row, weir_error *error)
{
    if (weir_error_code(error) == WEIR_E_DATA)
        context_reject(ctx, row->record, NULL, 0, error);
    else
        context_fail(ctx, error);
}

/* -- state of the current key --------------------------------------------------------------------- */

static inline const struct weir_state *state_at(const weir_ctx *ctx, uint32_t state,
    enum weir_state_kind kind)
{
    ASSERT(ctx->keyed != NULL && ctx->op->kind == PLAN_OPERATOR);
    ASSERT(state < ctx->op->op->state_count);
    const struct weir_state *it = &ctx->op->op->states[state];
    ASSERT(it->kind == kind || (kind == WEIR_VALUE && it->kind == WEIR_REDUCING));
    return it;
}

const void *weir_state_read_as(weir_ctx *ctx, uint32_t state, const struct weir_type *type)
{
    DEBUG_ASSERT(state_at(ctx, state, WEIR_VALUE)->type->size == type->size);
    (void)type;
    return keyed_read(ctx->keyed, state, WEIR_STR(""));
}

void *weir_state_edit_as(weir_ctx *ctx, uint32_t state, const struct weir_type *type)
{
    ASSERT(state_at(ctx, state, WEIR_VALUE)->type->size == type->size);
    return keyed_edit(ctx->keyed, state, WEIR_STR(""));
}

void weir_state_clear(weir_ctx *ctx, uint32_t state)
{
    ASSERT(ctx->keyed != NULL && state < ctx->op->op->state_count);
    keyed_clear(ctx->keyed, state);
}

const void *weir_map_read_as(weir_ctx *ctx, uint32_t state, weir_str key,
    const struct weir_type *type)
{
    DEBUG_ASSERT(state_at(ctx, state, WEIR_MAP)->type->size == type->size);
    (void)type;
    return keyed_read(ctx->keyed, state, key);
}

void *weir_map_edit_as(weir_ctx *ctx, uint32_t state, weir_str key, const struct weir_type *type)
{
    ASSERT(state_at(ctx, state, WEIR_MAP)->type->size == type->size);
    return keyed_edit(ctx->keyed, state, key);
}

void weir_map_remove(weir_ctx *ctx, uint32_t state, weir_str key)
{
    state_at(ctx, state, WEIR_MAP);
    keyed_remove(ctx->keyed, state, key);
}

/* A callback of the public kind behind one of keyed's. Thread: task. */
struct each_call {
    weir_ctx *ctx;
    weir_map_fn *map;
    weir_list_fn *list;
    void *arg;
};

static bool each_map(void *arg, weir_str entry, const void *value)
{
    const struct each_call *call = arg;
    return call->map(call->ctx, entry, value, call->arg);
}

static bool each_list(void *arg, weir_str entry, const void *value)
{
    const struct each_call *call = arg;
    (void)entry;
    return call->list(call->ctx, value, call->arg);
}

void weir_map_each(weir_ctx *ctx, uint32_t state, weir_str prefix, weir_map_fn *each, void *arg)
{
    state_at(ctx, state, WEIR_MAP);
    struct each_call call = { .ctx = ctx, .map = each, .arg = arg };
    keyed_each(ctx->keyed, state, prefix, each_map, &call);
}

void weir_list_add_as(weir_ctx *ctx, uint32_t state, const struct weir_type *type,
    const void *record)
{
    ASSERT(state_at(ctx, state, WEIR_LIST)->type->size == type->size);
    keyed_list_add(ctx->keyed, state, record);
}

void weir_list_each(weir_ctx *ctx, uint32_t state, weir_list_fn *each, void *arg)
{
    state_at(ctx, state, WEIR_LIST);
    struct each_call call = { .ctx = ctx, .list = each, .arg = arg };
    keyed_list_each(ctx->keyed, state, each_list, &call);
}

void weir_reducing_add_as(weir_ctx *ctx, uint32_t state, const struct weir_type *type,
    const void *record)
{
    ASSERT(state_at(ctx, state, WEIR_REDUCING)->type->size == type->size);
    keyed_reducing_add(ctx->keyed, state, record);
}

/* -- timers and counters ---------------------------------------------------------------------------- */

void weir_timer_set(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    ASSERT(ctx->timers != NULL); /* the operator's has_timers */
    timers_set(ctx->timers, time, at_ms, keyed_key(ctx->keyed), keyed_hash(ctx->keyed));
}

void weir_timer_cancel(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    ASSERT(ctx->timers != NULL);
    timers_cancel(ctx->timers, time, at_ms, keyed_key(ctx->keyed), keyed_hash(ctx->keyed));
}

void weir_count(weir_ctx *ctx, uint32_t counter, int64_t amount)
{
    DEBUG_ASSERT(ctx->op->kind == PLAN_OPERATOR && counter < ctx->op->op->counter_count);
    metric_add(&ctx->counters[counter].value, amount);
}

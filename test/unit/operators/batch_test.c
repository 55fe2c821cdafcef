/* batch_test.c -- map and filter given whole batches, by a context that is only this file's.
 *
 * The verbs that they call are defined here, so the engine's are not linked: what is seen is
 * exactly what an operator asks of it. */
#include "operator_fixture.h"

#define ROWS        256u
#define SCRATCH_MAX 65536u

struct weir_ctx {
    const struct weir_operator *op;
    const struct weir_row *current;
    struct weir_row emitted[ROWS];
    uint32_t emitted_count, emit_calls, rejected_count;
    uint32_t scratch_calls;
    size_t scratch_size;
    _Alignas(16) char scratch[SCRATCH_MAX];
};

const struct weir_operator *weir_operator_of(const weir_ctx *ctx)
{
    return ctx->op;
}

void *weir_scratch(weir_ctx *ctx, size_t size)
{
    char *piece = ctx->scratch + ctx->scratch_size;
    ctx->scratch_size += (size + 15) & ~(size_t)15;
    ctx->scratch_calls++;
    assert_true(ctx->scratch_size <= SCRATCH_MAX);
    return memset(piece, 0xee, size); /* not zeroed */
}

void weir_batch_select(weir_ctx *ctx, const struct weir_row *row)
{
    ctx->current = row;
}

void weir_batch_reject(weir_ctx *ctx, const struct weir_row *row, weir_error *error)
{
    assert_ptr_equal(row, ctx->current);
    weir_error_free(error);
    ctx->rejected_count++;
}

void weir_emit_rows(weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    memcpy(ctx->emitted + ctx->emitted_count, rows, row_count * sizeof(*rows));
    ctx->emitted_count += row_count;
    ctx->emit_calls++;
}

/* -- user functions --------------------------------------------------------------------------- */

static weir_error *refuse_odd(weir_ctx *ctx, const void *in, void *out)
{
    static const struct spent zero;
    const struct click *click = in;
    struct spent *spent = out;
    assert_ptr_equal(ctx->current->record, in);
    assert_memory_equal(spent, &zero, sizeof(zero));
    spent->user_id = click->user_id;
    spent->total = 1;
    return click->user_id % 2 == 1 ? weir_error_data("odd", "an odd user") : NULL;
}

static bool is_even(weir_ctx *ctx, const void *record)
{
    assert_ptr_equal(ctx->current->record, record);
    return ((const struct click *)record)->user_id % 2 == 0;
}

static weir_error *fail_at_three(weir_ctx *ctx, const void *in, void *out)
{
    return ((const struct click *)in)->user_id == 3 ? weir_errorf(WEIR_E_IO, "three") : NULL;
}

static struct click records[ROWS];
static struct weir_row rows[ROWS];

static void make_rows(void)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        records[i] = (struct click){ .user_id = i };
        rows[i] =
            (struct weir_row){ .record = &records[i], .timestamp_ms = 1000 + i, .key_hash = 7 };
    }
}

/* -- tests ------------------------------------------------------------------------------------ */

static void a_map_leaves_no_hole_where_a_record_was_refused(void **state)
{
    weir_job *job = job_new(NULL);
    static struct weir_ctx ctx;
    ctx.op = operator_made(weir_map(clicks(job), "map", refuse_odd, &spent_type, NULL))->op;
    make_rows();
    assert_null(ctx.op->on_batch(&ctx, rows, ROWS));
    assert_int_equal(ctx.emitted_count, ROWS / 2);
    assert_int_equal(ctx.rejected_count, ROWS / 2);
    assert_int_equal(ctx.emit_calls, 1);
    assert_int_equal(ctx.scratch_calls, 2);
    for (uint32_t i = 0; i < ROWS / 2; i++) {
        const struct spent *spent = ctx.emitted[i].record;
        assert_int_equal(spent->user_id, 2 * i);
        assert_int_equal(ctx.emitted[i].timestamp_ms, 1000 + 2 * i);
        assert_int_equal(ctx.emitted[i].key_hash, 0); /* what is made has no key yet */
    }
    job_free(job);
}

static void a_map_that_fails_returns_the_error(void **state)
{
    weir_job *job = job_new(NULL);
    static struct weir_ctx ctx;
    ctx.op = operator_made(weir_map(clicks(job), "map", fail_at_three, &spent_type, NULL))->op;
    make_rows();
    weir_error *error = ctx.op->on_batch(&ctx, rows, ROWS);
    assert_int_equal(weir_error_code(error), WEIR_E_IO);
    assert_int_equal(ctx.current - rows, 3);
    weir_error_free(error);
    job_free(job);
}

static void a_filter_emits_the_rows_it_was_given(void **state)
{
    weir_job *job = job_new(NULL);
    static struct weir_ctx ctx;
    ctx.op = operator_made(weir_filter(clicks(job), "even", is_even, NULL))->op;
    make_rows();
    assert_null(ctx.op->on_batch(&ctx, rows, ROWS));
    assert_int_equal(ctx.emitted_count, ROWS / 2);
    assert_int_equal(ctx.emit_calls, 1);
    assert_int_equal(ctx.scratch_calls, 1);
    for (uint32_t i = 0; i < ROWS / 2; i++) {
        assert_ptr_equal(ctx.emitted[i].record, &records[2 * i]);
        assert_memory_equal(&ctx.emitted[i], &rows[2 * i], sizeof(rows[0]));
    }
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_leaves_no_hole_where_a_record_was_refused),
        cmocka_unit_test(a_map_that_fails_returns_the_error),
        cmocka_unit_test(a_filter_emits_the_rows_it_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* filter.c -- keeps the records for which a function is true.
 *
 * The rows that are kept are emitted as they came, by one call a batch: no record is copied. */
#include <weir/job.h>

struct filter {
    struct weir_operator op; /* first: weir_operator_of gives it back */
    weir_filter_fn *keep;
};

static weir_error *on_batch(weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    const struct filter *filter = (const struct filter *)weir_operator_of(ctx);
    struct weir_row *kept = weir_scratch(ctx, row_count * sizeof(*kept));
    uint32_t kept_count = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        weir_batch_select(ctx, &rows[i]);
        /* without a branch, which would be guessed wrong where it matters */
        kept[kept_count] = rows[i];
        kept_count += filter->keep(ctx, rows[i].record);
    }
    weir_emit_rows(ctx, kept, kept_count);
    return NULL;
}

weir_stream *weir_filter(weir_stream *in, const char *name, weir_filter_fn *keep,
    const void *config)
{
    weir_job *job = weir_stream_job(in);
    if (job == NULL)
        return NULL;
    if (keep == NULL)
        weir_job_fail(job,
            weir_errorf(WEIR_E_PLAN, "filter '%s' needs a function", name == NULL ? "" : name));
    struct filter *filter = weir_job_alloc(job, sizeof(*filter));
    const struct weir_type *type = weir_stream_type(in);
    filter->op =
        (struct weir_operator){ .name = name, .in = type, .out = type, .on_batch = on_batch };
    filter->keep = keep;
    return weir_process(in, &filter->op, config);
}

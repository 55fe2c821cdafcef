/* map.c -- one record in, one out.
 *
 * A batch is mapped into one piece of scratch memory and emitted by one call, so a record costs the
 * user's function and little else. A record that the function refuses leaves no hole: the next one
 * takes its place. The output has the event time of its input; to change it, use a flat_map. */
#include <weir/job.h>

struct map {
    struct weir_operator op; /* first: weir_operator_of gives it back */
    weir_map_record_fn *map;
};

static weir_error *on_batch(weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    const struct map *map = (const struct map *)weir_operator_of(ctx);
    size_t size = map->op.out->size;
    char *record = memset(weir_scratch(ctx, row_count * size), 0, row_count * size);
    struct weir_row *out = weir_scratch(ctx, row_count * sizeof(*out));
    uint32_t out_count = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        weir_batch_select(ctx, &rows[i]);
        weir_error *error = map->map(ctx, rows[i].record, record);
        if (error != NULL && weir_error_code(error) != WEIR_E_DATA)
            return error;
        if (error != NULL) {
            weir_batch_reject(ctx, &rows[i], error);
            memset(record, 0, size); /* for the next one: this one may have been written in part */
            continue;
        }
        out[out_count++] =
            (struct weir_row){ .record = record, .timestamp_ms = rows[i].timestamp_ms };
        record += size;
    }
    weir_emit_rows(ctx, out, out_count);
    return NULL;
}

weir_stream *weir_map(weir_stream *in, const char *name, weir_map_record_fn *map,
    const struct weir_type *out, const void *config)
{
    weir_job *job = weir_stream_job(in);
    if (job == NULL)
        return NULL;
    if (map == NULL || out == NULL)
        weir_job_fail(job, weir_errorf(WEIR_E_PLAN, "map '%s' needs a function and an output type",
                               name == NULL ? "" : name));
    struct map *made = weir_job_alloc(job, sizeof(*made));
    made->op = (struct weir_operator){ .name = name,
        .in = weir_stream_type(in),
        .out = out,
        .on_batch = on_batch };
    made->map = map;
    return weir_process(in, &made->op, config);
}

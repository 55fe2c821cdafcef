/* flat_map.c -- one record in, any number out, by weir_emit.
 *
 * Record by record: what the function emits goes straight to the next operator, so there is no
 * batch to collect, and weir_set_timestamp works as in any operator. */
#include <weir/job.h>

struct flat_map {
    struct weir_operator op; /* first: weir_operator_of gives it back */
    weir_flat_map_fn *fn;
};

static weir_error *on_record(weir_ctx *ctx, const void *record)
{
    const struct flat_map *flat_map = (const struct flat_map *)weir_operator_of(ctx);
    return flat_map->fn(ctx, record);
}

weir_stream *weir_flat_map(weir_stream *in, const char *name, weir_flat_map_fn *fn,
    const struct weir_type *out, const void *config)
{
    weir_job *job = weir_stream_job(in);
    if (job == NULL)
        return NULL;
    if (fn == NULL || out == NULL)
        weir_job_fail(job,
            weir_errorf(WEIR_E_PLAN, "flat_map '%s' needs a function and an output type",
                name == NULL ? "" : name));
    struct flat_map *flat_map = weir_job_alloc(job, sizeof(*flat_map));
    flat_map->op = (struct weir_operator){ .name = name,
        .in = weir_stream_type(in),
        .out = out,
        .on_record = on_record };
    flat_map->fn = fn;
    return weir_process(in, &flat_map->op, config);
}

/* reduce.c -- merges the records of a key into one, and emits the running result for each record.
 *
 * One reducing state per key does it all: the first record is the first result. */
#include <weir/job.h>

enum { TOTAL, STATE_COUNT };

struct reduce {
    struct weir_operator op; /* first: weir_operator_of gives it back */
    struct weir_state states[STATE_COUNT];
};

static weir_error *on_record(weir_ctx *ctx, const void *record)
{
    const struct weir_type *type = weir_operator_of(ctx)->in;
    weir_reducing_add_as(ctx, TOTAL, type, record);
    /* NULL when the store failed: the ctx remembers why and fails the task. */
    const void *total = weir_state_read_as(ctx, TOTAL, type);
    if (total != NULL)
        weir_emit_as(ctx, type, total);
    return NULL;
}

weir_stream *weir_reduce(weir_stream *keyed, const char *uid, weir_reduce_fn *reduce)
{
    weir_job *job = weir_stream_job(keyed);
    if (job == NULL)
        return NULL;
    const struct weir_type *type = weir_stream_type(keyed);
    struct reduce *made = weir_job_alloc(job, sizeof(*made));
    made->states[TOTAL] = (struct weir_state){ .name = "total",
        .kind = WEIR_REDUCING,
        .type = type,
        .reduce = reduce };
    made->op = (struct weir_operator){ .uid = uid,
        .in = type,
        .out = type,
        .states = made->states,
        .state_count = STATE_COUNT,
        .on_record = on_record };
    return weir_process(keyed, &made->op, NULL);
}

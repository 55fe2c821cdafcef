/* operator_fixture.h -- a job with one source, for the verb under test, and the operator it
 * made. */
#ifndef WEIR_TEST_OPERATOR_FIXTURE_H
#define WEIR_TEST_OPERATOR_FIXTURE_H

#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct click {
    uint64_t user_id;
    double price;
    weir_str page;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, price),
    WEIR_FIELD(3, click, page));

struct spent {
    uint64_t user_id;
    int64_t at_ms;
    double total;
    weir_str page;
};
WEIR_TYPE(spent, WEIR_FIELD(1, spent, user_id), WEIR_FIELD(2, spent, at_ms),
    WEIR_FIELD(3, spent, total), WEIR_FIELD(4, spent, page));

static inline const struct weir_type *no_options_type(const void *options)
{
    return &click_type;
}

static inline weir_error *no_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    return NULL;
}

static inline weir_error *no_write(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    return NULL;
}

static const struct weir_source_class no_source = { .name = "none",
    .out_type = no_options_type,
    .poll = no_poll };
static const struct weir_sink_class no_sink = { .name = "none", .write = no_write };

static inline weir_stream *clicks(weir_job *job)
{
    return weir_source(job, "clicks", (struct weir_source){ .source_class = &no_source });
}

/* Ends the job with a sink and gives the plan's only operator; the job must stay. */
static inline const struct plan_operator *operator_made(weir_stream *stream)
{
    const struct plan *plan = NULL;
    const struct plan_options options = { .job = "test", .parallelism = 1 };
    weir_sink(stream, "out", (struct weir_sink){ .sink_class = &no_sink });
    weir_error *error = plan_build(weir_stream_job(stream), &options, &plan);
    if (error != NULL)
        print_error("%s\n", weir_error_message(error));
    assert_null(error);
    for (uint32_t i = 0; i < plan->vertex_count; i++) {
        for (uint32_t j = 0; j < plan->vertices[i].operator_count; j++) {
            if (plan->vertices[i].operators[j].kind == PLAN_OPERATOR)
                return &plan->vertices[i].operators[j];
        }
    }
    fail_msg("the plan has no operator");
    return NULL;
}

/* The mistakes of the job as one text must be `message`. */
static inline void assert_mistakes(weir_job *job, const char *message)
{
    weir_error *error = job_mistakes(job);
    assert_non_null(error);
    assert_string_equal(weir_error_message(error), message);
    weir_error_free(error);
}

#endif

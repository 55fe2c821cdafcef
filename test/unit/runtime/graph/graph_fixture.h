/* graph_fixture.h -- types, connectors and operators that the tests of the graph build jobs
 * from. */
#ifndef WEIR_TEST_GRAPH_FIXTURE_H
#define WEIR_TEST_GRAPH_FIXTURE_H

#include "base/buffer.h"
#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct click {
    uint64_t user_id;
    int64_t at_ms;
    double price;
    weir_str page;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, at_ms),
    WEIR_FIELD(3, click, price), WEIR_FIELD(4, click, page));

struct profile {
    uint64_t user_id;
    int64_t visits;
};
WEIR_TYPE(profile, WEIR_FIELD(1, profile, user_id), WEIR_FIELD(2, profile, visits));

/* -- connectors: the options say the type, and what validate finds wrong ---------------------- */

struct fake_options {
    const struct weir_type *type;
    const char *mistake;
};

static inline const struct weir_type *fake_type(const void *options)
{
    return ((const struct fake_options *)options)->type;
}

static inline weir_error *fake_validate(const void *options)
{
    const char *mistake = ((const struct fake_options *)options)->mistake;
    return mistake == NULL ? NULL : weir_errorf(WEIR_E_USAGE, "%s", mistake);
}

static inline weir_error *fake_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    return NULL;
}

static inline weir_error *fake_write(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    return NULL;
}

static const struct weir_source_class fake_source_class __attribute__((unused)) = {
    .name = "fake-source",
    .options_size = sizeof(struct fake_options),
    .out_type = fake_type,
    .validate = fake_validate,
    .poll = fake_poll,
};
static const struct weir_sink_class fake_sink_class __attribute__((unused)) = {
    .name = "fake-sink",
    .options_size = sizeof(struct fake_options),
    .in_type = fake_type,
    .validate = fake_validate,
    .write = fake_write,
};
#define FAKE_SOURCE(...) \
    ((struct weir_source){ .source_class = &fake_source_class, \
        .options = &(struct fake_options){ __VA_ARGS__ } })
#define FAKE_SINK(...) \
    ((struct weir_sink){ .sink_class = &fake_sink_class, \
        .options = &(struct fake_options){ __VA_ARGS__ } })

/* -- operators -------------------------------------------------------------------------------- */

static inline weir_error *ignore_record(weir_ctx *ctx, const void *record)
{
    return NULL;
}

static inline weir_error *ignore_timer(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    return NULL;
}

static const struct weir_side_output clean_sides[] = {
    { .name = "late", .type = &profile_type },
    { .name = "odd", .type = &click_type },
};
static const char *const clean_counters[] = { "seen" };
/* Stateless but for a counter; click to click. */
static const struct weir_operator clean __attribute__((unused)) = {
    .uid = "clean",
    .in = &click_type,
    .out = &click_type,
    .sides = clean_sides,
    .side_count = 2,
    .counters = clean_counters,
    .counter_count = 1,
    .on_record = ignore_record,
};

static const struct weir_state build_states[] = {
    { .name = "profile",
        .kind = WEIR_VALUE,
        .type = &profile_type,
        .ttl_ms = 86400000,
        .ttl_time = WEIR_EVENT_TIME },
    { .name = "pages", .kind = WEIR_MAP, .type = &click_type },
};
/* Stateful, with timers; clicks by user to profiles. */
static const struct weir_operator build_profile __attribute__((unused)) = {
    .uid = "build-profile",
    .name = "build profile",
    .in = &click_type,
    .out = &profile_type,
    .states = build_states,
    .state_count = 2,
    .has_timers = true,
    .on_record = ignore_record,
    .on_timer = ignore_timer,
};

/* A stateless operator from and to clicks. */
static inline const struct weir_operator *pass(weir_job *job, const char *name)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = (struct weir_operator){ .name = name,
        .in = &click_type,
        .out = &click_type,
        .on_record = ignore_record };
    return op;
}

static inline weir_stream *clicks(weir_job *job)
{
    return weir_source(job, "clicks", FAKE_SOURCE(.type = &click_type));
}

/* -- plans ------------------------------------------------------------------------------------ */

static const struct plan_options two_wide
    __attribute__((unused)) = { .job = "test", .parallelism = 2 };

static inline const struct plan *plan_of(weir_job *job, const struct plan_options *options)
{
    const struct plan *plan = NULL;
    weir_error *error = plan_build(job, options, &plan);
    if (error != NULL)
        print_error("%s\n", weir_error_message(error));
    assert_null(error);
    assert_non_null(plan);
    return plan;
}

/* One of everything: two slot groups, side outputs, dead letters, a name to be escaped. */
static inline const struct plan *example(weir_job *job)
{
    weir_stream *source = weir_event_time(clicks(job), click, at_ms, 5000);
    weir_stream *cleaned = weir_process(source, &clean, NULL);
    weir_sink(weir_dead_letters(source, 100), "dead-letters", FAKE_SINK(.type = NULL));
    weir_stream *keyed = weir_key_by(cleaned, WEIR_KEY2(click, user_id, page));
    weir_stream *built = weir_parallelism(weir_process(keyed, &build_profile, NULL), 4);
    weir_sink(built, "profiles", FAKE_SINK(.type = &profile_type));
    weir_stream *late = weir_rebalance(weir_side_output(cleaned, "late"));
    weir_sink(late, "late \"ones\"", FAKE_SINK(.type = &profile_type));
    weir_stream *odd = weir_process(weir_side_output(cleaned, "odd"), pass(job, "odd"), NULL);
    weir_sink(weir_slot_group(odd, "io"), "odd-out", FAKE_SINK(.type = NULL));
    weir_sink(weir_dead_letters(built, 0), "refused", FAKE_SINK(.type = NULL));
    return plan_of(job, &two_wide);
}

#endif

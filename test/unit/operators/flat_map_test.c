/* flat_map_test.c -- one in, any number out. */
#include "operator_fixture.h"

#include <weir/testing.h>

/* A click of price n gives n records, then refuses prices over 5. */
static weir_error *repeat(weir_ctx *ctx, const void *record)
{
    const struct click *click = record;
    for (int i = 0; i < (int)click->price; i++) {
        struct spent spent = { .user_id = click->user_id,
            .at_ms = weir_timestamp(ctx),
            .total = i };
        weir_emit(ctx, spent, &spent);
    }
    return click->price > 5 ? weir_error_data("dear", "too dear") : NULL;
}

static void each_record_gives_as_many_as_it_emits(void **state)
{
    weir_job *job = job_new(NULL);
    const struct plan_operator *made =
        operator_made(weir_flat_map(clicks(job), "repeat", repeat, &spent_type, NULL));
    weir_harness *harness = weir_harness_new(made->op, made->config, WEIR_NO_KEY);
    for (int i = 0; i < 4; i++)
        weir_harness_send(harness, i, click, (&(struct click){ .user_id = 9, .price = i }));
    static const int64_t times[] = { 1, 2, 2, 3, 3, 3 };
    for (int i = 0; i < 6; i++)
        assert_int_equal(weir_harness_take(harness, spent)->at_ms, times[i]);
    assert_null(weir_harness_take(harness, spent));
    weir_harness_free(harness);
    job_free(job);
}

static void what_a_bad_record_emitted_before_stays(void **state)
{
    weir_job *job = job_new(NULL);
    const struct plan_operator *made =
        operator_made(weir_flat_map(clicks(job), "repeat", repeat, &spent_type, NULL));
    weir_harness *harness = weir_harness_new(made->op, made->config, WEIR_NO_KEY);
    weir_harness_send(harness, 0, click, (&(struct click){ .price = 6 }));
    assert_int_equal(weir_harness_emitted(harness), 6);
    assert_true(weir_str_equal(weir_harness_take_dead(harness)->reason, WEIR_STR("dear")));
    weir_harness_free(harness);
    job_free(job);
}

static void mistakes_of_the_verb_are_told(void **state)
{
    weir_job *job = job_new(NULL);
    assert_null(weir_flat_map(NULL, "flat", repeat, &spent_type, NULL));
    weir_flat_map(clicks(job), "none", NULL, &spent_type, NULL);
    assert_mistakes(job, "flat_map 'none' needs a function and an output type");
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_record_gives_as_many_as_it_emits),
        cmocka_unit_test(what_a_bad_record_emitted_before_stays),
        cmocka_unit_test(mistakes_of_the_verb_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

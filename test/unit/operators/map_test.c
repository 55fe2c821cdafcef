/* map_test.c -- one in, one out, in the engine's own chain. */
#include "operator_fixture.h"

#include <weir/testing.h>

static const double factor = 2;

static weir_error *double_price(weir_ctx *ctx, const void *in, void *out)
{
    const struct click *click = in;
    struct spent *spent = out;
    assert_int_equal(spent->user_id, 0); /* zeroed */
    if (click->price < 0)
        return weir_error_data("negative", "a negative price");
    if (click->price > 1000)
        return weir_errorf(WEIR_E_INTERNAL, "the price is a defect");
    spent->user_id = click->user_id;
    spent->at_ms = weir_timestamp(ctx);
    spent->total = click->price * *(const double *)weir_config(ctx);
    spent->page = click->page;
    return NULL;
}

static weir_job *job;

static weir_harness *harness_new(void)
{
    job = job_new(NULL);
    const struct plan_operator *made =
        operator_made(weir_map(clicks(job), "double", double_price, &spent_type, &factor));
    assert_string_equal(made->name, "double");
    assert_string_equal(made->out->name, "spent");
    return weir_harness_new(made->op, made->config, WEIR_NO_KEY);
}

static void a_record_is_mapped(void **state)
{
    weir_harness *harness = harness_new();
    struct click click = { .user_id = 7, .price = 1.5, .page = WEIR_STR("/a") };
    weir_harness_send(harness, 1000, click, &click);
    const struct spent *spent = weir_harness_take(harness, spent);
    assert_int_equal(spent->user_id, 7);
    assert_int_equal(spent->at_ms, 1000);
    assert_true(spent->total == 3);
    assert_true(weir_str_equal(spent->page, WEIR_STR("/a")));
    assert_null(weir_harness_take(harness, spent));
    weir_harness_free(harness);
    job_free(job);
}

static void a_bad_record_is_a_dead_letter_and_the_next_goes_on(void **state)
{
    weir_harness *harness = harness_new();
    for (int i = 0; i < 4; i++)
        weir_harness_send(harness, 0, click,
            (&(struct click){ .user_id = (uint64_t)i, .price = i % 2 == 0 ? 1 : -1 }));
    assert_int_equal(weir_harness_take(harness, spent)->user_id, 0);
    assert_int_equal(weir_harness_take(harness, spent)->user_id, 2);
    assert_int_equal(weir_harness_emitted(harness), 0);
    for (int i = 0; i < 2; i++) {
        const struct weir_dead_letter *dead = weir_harness_take_dead(harness);
        assert_non_null(dead);
        assert_true(weir_str_equal(dead->reason, WEIR_STR("negative")));
    }
    assert_null(weir_harness_take_dead(harness));
    weir_harness_free(harness);
    job_free(job);
}

static void another_error_fails_the_task(void **state)
{
    weir_harness *harness = harness_new();
    weir_error *error = weir_harness_try(harness, 0, &(struct click){ .price = 2000 });
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_INTERNAL);
    weir_error_free(error);
    weir_harness_free(harness);
    job_free(job);
}

static void mistakes_of_the_verb_are_told(void **state)
{
    job = job_new(NULL);
    assert_null(weir_map(NULL, "map", double_price, &spent_type, NULL));
    weir_map(clicks(job), "no function", NULL, &spent_type, NULL);
    assert_mistakes(job, "map 'no function' needs a function and an output type");
    weir_map(clicks(job), "no type", double_price, NULL, NULL);
    assert_mistakes(job, "map 'no type' needs a function and an output type");
    weir_stream *broken = weir_side_output(clicks(job), "none");
    weir_sink(weir_map(broken, "map", double_price, &spent_type, NULL), "out",
        (struct weir_sink){ .sink_class = &no_sink });
    assert_mistakes(job, "source 'clicks' has no side output 'none'");
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_mapped),
        cmocka_unit_test(a_bad_record_is_a_dead_letter_and_the_next_goes_on),
        cmocka_unit_test(another_error_fails_the_task),
        cmocka_unit_test(mistakes_of_the_verb_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

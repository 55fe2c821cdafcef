/* filter_test.c -- keeps what it should, as it came. */
#include "operator_fixture.h"

#include <weir/testing.h>

static const double least = 10;

static bool is_dear(weir_ctx *ctx, const void *record)
{
    const struct click *click = record;
    return click->price >= *(const double *)weir_config(ctx) || weir_timestamp(ctx) == 77;
}

static void records_are_kept_or_dropped(void **state)
{
    weir_job *job = job_new(NULL);
    const struct plan_operator *made =
        operator_made(weir_filter(clicks(job), "dear", is_dear, &least));
    weir_harness *harness = weir_harness_new(made->op, made->config, WEIR_NO_KEY);
    static const double prices[] = { 9, 10, 11, 1 };
    for (int i = 0; i < 4; i++)
        weir_harness_send(harness, i, click,
            (&(struct click){ .price = prices[i], .page = WEIR_STR("/page") }));
    weir_harness_send(harness, 77, click, (&(struct click){ .price = 2 }));
    assert_int_equal(weir_harness_emitted(harness), 3);
    const struct click *click = weir_harness_take(harness, click);
    assert_true(click->price == 10);
    assert_true(weir_str_equal(click->page, WEIR_STR("/page")));
    assert_true(weir_harness_take(harness, click)->price == 11);
    assert_true(weir_harness_take(harness, click)->price == 2);
    weir_harness_free(harness);
    job_free(job);
}

static void mistakes_of_the_verb_are_told(void **state)
{
    weir_job *job = job_new(NULL);
    assert_null(weir_filter(NULL, "filter", is_dear, NULL));
    weir_filter(clicks(job), "none", NULL, NULL);
    assert_mistakes(job, "filter 'none' needs a function");
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_kept_or_dropped),
        cmocka_unit_test(mistakes_of_the_verb_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

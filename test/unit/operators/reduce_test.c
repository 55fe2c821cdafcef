/* reduce_test.c -- a running result per key, also behind a restore. */
#include "operator_fixture.h"

#include <weir/testing.h>

static void add(void *total, const void *value)
{
    struct click *sum = total;
    const struct click *click = value;
    sum->price += click->price;
    if (click->page.data != NULL)
        sum->page = click->page;
}

static weir_harness *harness_new(weir_job *job)
{
    weir_stream *keyed = weir_key_by(clicks(job), WEIR_KEY(click, user_id));
    const struct plan_operator *made = operator_made(weir_reduce(keyed, "spent", add));
    assert_string_equal(made->uid, "spent");
    assert_true(made->has_keyed_state);
    return weir_harness_new(made->op, made->config, WEIR_KEY(click, user_id));
}

static void send(weir_harness *harness, uint64_t user_id, double price, weir_str page)
{
    struct click click = { .user_id = user_id, .price = price, .page = page };
    weir_harness_send(harness, 0, click, &click);
}

static void assert_next(weir_harness *harness, uint64_t user_id, double price, weir_str page)
{
    const struct click *total = weir_harness_take(harness, click);
    assert_non_null(total);
    assert_int_equal(total->user_id, user_id);
    assert_true(total->price == price);
    assert_true(weir_str_equal(total->page, page));
}

static void each_record_gives_the_running_result_of_its_key(void **state)
{
    weir_job *job = job_new(NULL);
    weir_harness *harness = harness_new(job);
    send(harness, 1, 1, WEIR_STR("/a"));
    send(harness, 2, 10, WEIR_STR("/b"));
    send(harness, 1, 2, WEIR_STR("/c"));
    send(harness, 2, 20, (weir_str){ NULL, 0 });
    assert_next(harness, 1, 1, WEIR_STR("/a"));
    assert_next(harness, 2, 10, WEIR_STR("/b"));
    assert_next(harness, 1, 3, WEIR_STR("/c"));
    assert_next(harness, 2, 30, WEIR_STR("/b"));
    assert_null(weir_harness_take(harness, click));
    weir_harness_free(harness);
    job_free(job);
}

static void the_result_survives_a_restore(void **state)
{
    weir_job *job = job_new(NULL);
    weir_harness *harness = harness_new(job);
    send(harness, 1, 1, WEIR_STR("/a"));
    send(harness, 2, 5, WEIR_STR("/b"));
    harness = weir_harness_restored(harness);
    send(harness, 1, 2, (weir_str){ NULL, 0 });
    assert_next(harness, 1, 1, WEIR_STR("/a"));
    assert_next(harness, 2, 5, WEIR_STR("/b"));
    assert_next(harness, 1, 3, WEIR_STR("/a"));
    weir_harness_free(harness);
    job_free(job);
}

static void mistakes_of_the_verb_are_told(void **state)
{
    const struct plan_options options = { .job = "test", .parallelism = 1 };
    const struct plan *plan;
    weir_job *job = job_new(NULL);
    assert_null(weir_reduce(NULL, "reduce", add));
    weir_sink(weir_reduce(clicks(job), "no key", NULL), "out",
        (struct weir_sink){ .sink_class = &no_sink });
    weir_error *error = plan_build(job, &options, &plan);
    assert_string_equal(weir_error_message(error),
        "the job has 2 mistakes:\n"
        "  operator 'no key': reducing state 'total' needs a reduce function\n"
        "  operator 'no key' has state, so its input must be keyed: call weir_key_by before it");
    weir_error_free(error);
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_record_gives_the_running_result_of_its_key),
        cmocka_unit_test(the_result_survives_a_restore),
        cmocka_unit_test(mistakes_of_the_verb_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* rates_test.c -- rates out of counters: the window, the first look, a new attempt, a job that is gone. */
#include "web/rates.h"

#include "test/support/expect.h"
#include "test/unit/web/dispatcher_double.h"

static struct dispatcher *dispatcher;
static struct rates *rates;

static struct worker_task_metrics *task(void)
{
    return &dispatcher->gateways[0].metrics[0];
}

static struct rate look(int64_t now_ms)
{
    return rates_look(rates, &dispatcher->jobs[0], 0, now_ms);
}

static int begin(void **state)
{
    dispatcher = dispatcher_double();
    dispatcher->stats.running_since_ms = 1000;
    *task() = (struct worker_task_metrics){ .records_in = 1000000, .busy_ms = 500 };
    rates = rates_new(dispatcher);
    return 0;
}

static int end(void **state)
{
    rates_free(rates);
    dispatcher_double_free(dispatcher);
    return 0;
}

static void the_first_look_shows_time_since_the_attempt_began_and_no_records(void **state)
{
    struct rate rate = look(2000);
    assert_true(rate.busy_ms == 500);
    assert_true(rate.records_in == 0);
}

static void a_later_look_shows_the_change_over_the_window(void **state)
{
    (void)look(2000);
    task()->records_in += 400;
    assert_true(look(2000 + 4000).records_in == 100);
    task()->records_in += 1600; /* 2000 in 10 s since the first look, which is the older one now */
    (void)look(12000);
    task()->records_in += 900;
    task()->busy_ms += 3000;
    struct rate rate = look(15000);
    assert_true(rate.records_in == (2000 + 900) * 1000.0 / 13000);
    task()->records_in += 100;
    rate = look(22000); /* since 12000 */
    assert_true(rate.records_in == 100);
    assert_true(rate.busy_ms == 300);
}

static void a_share_of_time_is_at_most_all_of_it(void **state)
{
    task()->busy_ms = 5000;
    assert_true(look(2000).busy_ms == 1000);
}

static void a_new_attempt_begins_anew(void **state)
{
    (void)look(2000);
    (void)look(9000);
    dispatcher->stats.attempt++;
    dispatcher->stats.running_since_ms = 9000;
    *task() = (struct worker_task_metrics){ .records_in = 2000000, .busy_ms = 100 };
    struct rate rate = look(10000);
    assert_true(rate.records_in == 0);
    assert_true(rate.busy_ms == 100);
}

static void a_counter_that_falls_is_no_rate(void **state)
{
    (void)look(2000);
    task()->records_in = 5;
    assert_true(look(6000).records_in == 0);
}

static void a_job_that_is_gone_is_forgotten(void **state)
{
    (void)look(2000);
    const struct gateway *gateway = dispatcher->jobs[0].gateway;
    dispatcher->jobs[0].gateway = NULL;
    (void)rates_look(rates, &dispatcher->jobs[4], 0, 3000); /* another one is begun */
    dispatcher->jobs[0].gateway = gateway;
    task()->records_in += 4000;
    assert_true(look(6000).records_in == 0); /* a first look again */
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_first_look_shows_time_since_the_attempt_began_and_no_records),
        TEST(a_later_look_shows_the_change_over_the_window),
        TEST(a_share_of_time_is_at_most_all_of_it),
        TEST(a_new_attempt_begins_anew),
        TEST(a_counter_that_falls_is_no_rate),
        TEST(a_job_that_is_gone_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

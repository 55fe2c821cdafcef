/* rates_test.c -- rates out of counters: the window, what is told first, a task that begins anew. */
#include "runtime/cluster/rates.h"

#include "test/support/expect.h"

static struct rates *rates;
static struct worker_task_metrics task;

static int begin(void **state)
{
    rates = rates_new(2);
    task = (struct worker_task_metrics){ .subtask = 1, .records_in = 1000000, .busy_ms = 500 };
    rates_begin(rates, 1, 1000);
    return 0;
}

static int end(void **state)
{
    rates_free(rates);
    return 0;
}

static struct rate tell(int64_t now_ms)
{
    rates_told(rates, &task, now_ms);
    return rates_of(rates, 1);
}

static void of_what_nothing_was_told_there_is_no_rate(void **state)
{
    assert_true(rates_of(rates, 1).busy_ms == 0);
    (void)tell(2000);
    assert_true(rates_of(rates, 0).busy_ms == 0);
}

static void what_is_told_first_shows_time_since_the_attempt_began_and_no_records(void **state)
{
    struct rate rate = tell(2000);
    assert_true(rate.busy_ms == 500);
    assert_true(rate.records_in == 0);
    task.records_in += 10;
    assert_true(tell(2000 + 500).records_in == 0); /* too short a time to say */
}

static void what_is_told_later_shows_the_change_over_the_window(void **state)
{
    (void)tell(2000);
    task.records_in += 400;
    task.bytes_out += 4000;
    struct rate rate = tell(2000 + 4000);
    assert_true(rate.records_in == 100 && rate.bytes_out == 1000);
    task.records_in += 1600; /* 2000 in 10 s since the first, which is the older one now */
    (void)tell(12000);
    task.records_in += 900;
    task.busy_ms += 3000;
    assert_true(tell(15000).records_in == (2000 + 900) * 1000.0 / 13000);
    task.records_in += 100;
    rate = tell(22000); /* since 12000 */
    assert_true(rate.records_in == 100);
    assert_true(rate.busy_ms == 300);
}

static void looking_twice_changes_nothing(void **state)
{
    (void)tell(2000);
    task.records_in += 400;
    (void)tell(6000);
    for (int i = 0; i < 10; i++)
        assert_true(rates_of(rates, 1).records_in == 100);
}

static void a_share_of_time_is_at_most_all_of_it(void **state)
{
    task.busy_ms = 100000;
    assert_true(tell(2000).busy_ms == 1000);
}

static void a_counter_that_fell_is_no_rate(void **state)
{
    (void)tell(2000);
    task.records_in = 5;
    assert_true(tell(4000).records_in == 0);
}

static void a_task_that_begins_anew_is_not_compared_with_the_one_before(void **state)
{
    (void)tell(2000);
    rates_begin(rates, 1, 10000);
    assert_true(rates_of(rates, 1).busy_ms == 0);
    task = (struct worker_task_metrics){ .subtask = 1, .records_in = 2000000, .busy_ms = 100 };
    struct rate rate = tell(11000);
    assert_true(rate.busy_ms == 100 && rate.records_in == 0);
}

int main(void)
{
#define RATED(test_) cmocka_unit_test_setup_teardown(test_, begin, end)
    const struct CMUnitTest tests[] = {
        RATED(of_what_nothing_was_told_there_is_no_rate),
        RATED(what_is_told_first_shows_time_since_the_attempt_began_and_no_records),
        RATED(what_is_told_later_shows_the_change_over_the_window),
        RATED(looking_twice_changes_nothing),
        RATED(a_share_of_time_is_at_most_all_of_it),
        RATED(a_counter_that_fell_is_no_rate),
        RATED(a_task_that_begins_anew_is_not_compared_with_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

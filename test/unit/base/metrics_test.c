/* metrics_test.c -- counters count, and the histogram's quantiles are right within a bucket. */
#include "base/metrics.h"

#include "test/support/expect.h"

static void a_metric_counts(void **state)
{
    metric counter = 0;
    metric_add(&counter, 5);
    metric_add(&counter, -2);
    assert_int_equal(metric_get(&counter), 3);
    metric_set(&counter, 10);
    assert_int_equal(metric_get(&counter), 10);
}

static void a_quantile_is_at_most_a_bucket_too_large(void **state)
{
    static const int64_t durations_us[] = { 1, 2, 3, 4, 5, 7, 8, 9, 10, 100, 999, 1000, 1024, 65535,
        65536, 1000000, 59999999, 3600000000 };
    for (size_t i = 0; i < COUNT_OF(durations_us); i++) {
        struct histogram histogram = { .count = 0 };
        histogram_add(&histogram, durations_us[i]);
        histogram_add(&histogram, INT64_C(1) << 50); /* so that max_us does not cut the answer */
        int64_t got_us = histogram_quantile_us(&histogram, 0.5);
        assert_true(got_us >= durations_us[i]);
        assert_true((double)got_us <= (double)durations_us[i] * 1.19 + 1);
        assert_true(histogram_quantile_us(&histogram, 1) == INT64_C(1) << 50);
    }
}

static void quantiles_split_what_was_added(void **state)
{
    struct histogram histogram = { .count = 0 };
    assert_int_equal(histogram_quantile_us(&histogram, 0.99), 0);
    for (int i = 0; i < 99; i++)
        histogram_add(&histogram, 100);
    histogram_add(&histogram, 50000);
    assert_in_range(histogram_quantile_us(&histogram, 0), 100, 119);
    assert_in_range(histogram_quantile_us(&histogram, 0.5), 100, 119);
    assert_in_range(histogram_quantile_us(&histogram, 0.99), 100, 119);
    assert_int_equal(histogram_quantile_us(&histogram, 0.999), 50000); /* never over the maximum */
    assert_int_equal(histogram.max_us, 50000);
}

static void durations_out_of_range_count_at_the_ends(void **state)
{
    struct histogram histogram = { .count = 0 };
    histogram_add(&histogram, 0);
    histogram_add(&histogram, -5);
    histogram_add(&histogram, INT64_MAX);
    assert_int_equal(histogram.counts[0], 2);
    assert_int_equal(histogram.counts[HISTOGRAM_BUCKETS - 1], 1);
    assert_true(histogram_quantile_us(&histogram, 1) == INT64_MAX);
}

static void buckets_never_go_down(void **state)
{
    int64_t before_us = 0;
    for (int64_t us = 1; us < 5000000; us += 1 + us / 50) {
        struct histogram histogram = { .count = 0 };
        histogram_add(&histogram, us);
        histogram_add(&histogram, INT64_MAX);
        int64_t got_us = histogram_quantile_us(&histogram, 0.5);
        assert_true(got_us >= before_us);
        before_us = got_us;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_metric_counts),
        cmocka_unit_test(a_quantile_is_at_most_a_bucket_too_large),
        cmocka_unit_test(quantiles_split_what_was_added),
        cmocka_unit_test(durations_out_of_range_count_at_the_ends),
        cmocka_unit_test(buckets_never_go_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

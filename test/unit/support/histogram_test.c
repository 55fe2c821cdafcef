/* The quantiles below are those of the twin, too: test/flink/test_twin.py reads them here. */
#include "test/e2e/tools/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SQUARES 100000
#define MEDIAN  INT64_C(2516582399)
#define MOST    INT64_C(9932111871)

static void each_value_has_a_place_that_is_at_most_a_64th_too_large(void **state)
{
    for (int64_t value = 0; value < INT64_MAX / 128; value += value / 100 + 1) {
        uint32_t place = histogram_place(value);
        assert_true(place < HISTOGRAM_PLACES);
        assert_true(histogram_value(place) >= value);
        assert_true(histogram_value(place) <= value + value / HISTOGRAM_STEPS);
        assert_true(place == 0 || histogram_value(place - 1) < value);
    }
    assert_int_equal(histogram_place(INT64_MAX), HISTOGRAM_PLACES - 1);
    assert_int_equal(histogram_value(HISTOGRAM_PLACES - 1), INT64_MAX);
}

static void a_quantile_is_the_value_that_so_many_do_not_exceed(void **state)
{
    static struct histogram histogram;
    assert_int_equal(histogram_quantile(&histogram, 500000), 0);
    for (int64_t value = 1; value <= 100; value++)
        histogram_add(&histogram, value);
    assert_int_equal(histogram_quantile(&histogram, 500000), 50);
    assert_int_equal(histogram_quantile(&histogram, 990000), 99);
    assert_int_equal(histogram_quantile(&histogram, 990001), 100);
    histogram_add(&histogram, 1000003);
    histogram_add(&histogram, -5);
    assert_int_equal(histogram.total, 102);
    assert_int_equal(histogram.counts[0], 1);
    assert_int_equal(histogram_quantile(&histogram, 1000000), 1000003);
}

static void the_quantiles_of_the_first_squares_are_those_of_the_twin(void **state)
{
    static struct histogram histogram;
    for (int64_t root = 1; root <= SQUARES; root++)
        histogram_add(&histogram, root * root);
    assert_int_equal(histogram_quantile(&histogram, 500000), MEDIAN);
    assert_int_equal(histogram_quantile(&histogram, 990000), MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_has_a_place_that_is_at_most_a_64th_too_large),
        cmocka_unit_test(a_quantile_is_the_value_that_so_many_do_not_exceed),
        cmocka_unit_test(the_quantiles_of_the_first_squares_are_those_of_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

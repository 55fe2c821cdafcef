/* report_test.c -- what a job says that it has counted. */
#include "runtime/manager/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void is(const struct report *report, uint32_t index, const char *uid, const char *name,
    int64_t value)
{
    const struct report_counter *it = &report->counters[index];
    assert_true(index < report->counter_count);
    assert_string_equal(it->uid, uid);
    assert_string_equal(it->name, name);
    assert_int_equal(it->value, value);
}

/* As when the first subtask of a source has met no bad record: it was over before it read a line. */
static void a_counter_that_only_a_later_subtask_has_stands_with_those_of_its_uid(void **state)
{
    (void)state;
    struct report report;
    report_init(&report);
    report_count(&report, "source", "records_in", 0);
    report_count(&report, "filter", "dropped", 0);
    report_count(&report, "source", "records_in", 7);
    report_count(&report, "source", "dead_letters.bad-json", 2);
    report_count(&report, "filter", "dropped", 1);
    report_sort(&report);
    assert_int_equal(report.counter_count, 3);
    is(&report, 0, "source", "dead_letters.bad-json", 2);
    is(&report, 1, "source", "records_in", 7);
    is(&report, 2, "filter", "dropped", 1);
    report_count(&report, "filter", "dropped", 1);
    is(&report, 2, "filter", "dropped", 2);
    report_release(&report);
}

static void what_is_too_much_is_left_out(void **state)
{
    (void)state;
    struct report report;
    char name[16];
    report_init(&report);
    for (uint32_t i = 0; i <= REPORT_COUNTERS_MAX; i++) {
        snprintf(name, sizeof(name), "%u", i);
        report_count(&report, "source", name, 1);
    }
    assert_int_equal(report.counter_count, REPORT_COUNTERS_MAX);
    report_count(&report, "source", "0", 1);
    is(&report, 0, "source", "0", 2);
    report_release(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_that_only_a_later_subtask_has_stands_with_those_of_its_uid),
        cmocka_unit_test(what_is_too_much_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

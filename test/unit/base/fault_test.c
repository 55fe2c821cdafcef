/* fault_test.c -- rules for fault points: what is accepted, what is said, when a point fires. */
#include "base/fault.h"

#include "base/log.h"
#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static weir_error *init(const char *rules)
{
    setenv("WEIR_FAULT", rules, 1);
    weir_error *error = fault_init();
    unsetenv("WEIR_FAULT");
    return error;
}

static weir_error *pass_before_publish(void)
{
    FAULT_TRY(STORE_BEFORE_PUBLISH);
    return NULL;
}

static void a_point_without_a_rule_does_nothing(void **state)
{
    assert_null(init(""));
    for (int i = 0; i < 10; i++)
        assert_null(pass_before_publish());
}

static void an_error_comes_at_the_nth_time_only(void **state)
{
    assert_null(init("store-before-publish:3:error"));
    for (int i = 1; i <= 10; i++) {
        weir_error *error = pass_before_publish();
        assert_int_equal(error != NULL, i == 3);
        if (error != NULL) {
            assert_true(weir_error_is_retriable(error));
            assert_non_null(strstr(weir_error_message(error), "store-before-publish"));
        }
        weir_error_free(error);
    }
    assert_null(init(""));
}

static void several_rules_are_several_points(void **state)
{
    assert_null(init("store-before-publish:1:error,ack-received:1:stall-30"));
    int64_t started_ns = os_monotonic_ns();
    FAULT_POINT(ACK_RECEIVED);
    assert_true(os_monotonic_ns() - started_ns >= 29 * 1000000);
    weir_error *error = pass_before_publish();
    assert_non_null(error);
    weir_error_free(error);
    assert_null(init(""));
}

static void kill_ends_the_process_as_from_outside(void **state)
{
    pid_t child = fork();
    if (child == 0) {
        weir_error_free(init("ack-received:2:kill"));
        FAULT_POINT(ACK_RECEIVED);
        FAULT_POINT(ACK_RECEIVED);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), 9);
}

static void mistakes_are_explained(void **state)
{
    static const struct {
        const char *rules, *said;
    } rows[] = {
        { "nowhere:1:kill", "nowhere" },
        { "nowhere:1:kill", "store-before-publish" }, /* what is known */
        { "ack-received", "point:nth:action" },
        { "ack-received:1", "point:nth:action" },
        { "ack-received:0:kill", "point:nth:action" },
        { "ack-received:x:kill", "point:nth:action" },
        { "ack-received:-1:kill", "point:nth:action" },
        { "ack-received:1:explode", "point:nth:action" },
        { "ack-received:1:stall-", "point:nth:action" },
        { "ack-received:1:stall-99999999", "point:nth:action" },
        { "ack-received:1:error", "cannot return an error" },
        { "ack-received:1:kill,,", "point:nth:action" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weir_error *error = init(rows[i].rules);
        if (error == NULL)
            fail_msg("'%s' is accepted", rows[i].rules);
        assert_int_equal(weir_error_code(error), WEIR_E_USAGE);
        if (strstr(weir_error_message(error), rows[i].said) == NULL)
            fail_msg("'%s' gives: %s", rows[i].rules, weir_error_message(error));
        weir_error_free(error);
    }
    assert_null(init(""));
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_point_without_a_rule_does_nothing),
        cmocka_unit_test(an_error_comes_at_the_nth_time_only),
        cmocka_unit_test(several_rules_are_several_points),
        cmocka_unit_test(kill_ends_the_process_as_from_outside),
        cmocka_unit_test(mistakes_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

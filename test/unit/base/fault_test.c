/* fault_test.c -- rules for fault points: what is accepted, what is said, when a point fires. */
#include "base/fault.h"

#include "base/log.h"
#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static int done; /* how often the step itself was done */

static weir_error *publish(weir_error *error)
{
    done++;
    return error;
}

static weir_error *pass_publish(void)
{
    return FAULT_STEP(CHECKPOINT_PUBLISH, publish(NULL));
}

static void a_point_without_a_rule_does_nothing(void **state)
{
    assert_null(init(""));
    for (int i = 0; i < 10; i++)
        assert_null(pass_publish());
}

static void an_error_comes_at_the_nth_time_only(void **state)
{
    assert_null(init("checkpoint-publish-before:3:error"));
    for (int i = 1; i <= 10; i++) {
        weir_error *error = pass_publish();
        assert_int_equal(error != NULL, i == 3);
        if (error != NULL) {
            assert_true(weir_error_is_retriable(error));
            assert_non_null(strstr(weir_error_message(error), "checkpoint-publish-before"));
        }
        weir_error_free(error);
    }
    assert_null(init(""));
}

static void an_error_before_a_step_leaves_it_out_and_one_after_it_does_not(void **state)
{
    done = 0;
    assert_null(init("checkpoint-publish-before:1:error,checkpoint-publish-after:1:error"));
    weir_error *before = pass_publish();
    assert_int_equal(done, 0);
    assert_non_null(strstr(weir_error_message(before), "checkpoint-publish-before"));
    weir_error *after = pass_publish();
    assert_int_equal(done, 1);
    assert_non_null(strstr(weir_error_message(after), "checkpoint-publish-after"));
    weir_error_free(before);
    weir_error_free(after);
    assert_null(init("checkpoint-publish-after:1:error"));
    weir_error *own = FAULT_STEP(CHECKPOINT_PUBLISH, publish(weir_errorf(WEIR_E_IO, "its own")));
    assert_string_equal(weir_error_message(own), "its own"); /* a step that has failed has no end */
    weir_error_free(own);
    assert_null(init(""));
}

static const char *log_text(const char *path)
{
    static char text[1024];
    FILE *file = fopen(path, "r");
    size_t size = file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file);
    if (file != NULL)
        fclose(file);
    text[size] = '\0';
    return text;
}

static void the_log_counts_what_fires_and_a_rule_in_it_is_not_heard_again(void **state)
{
    char path[] = "/tmp/weir-fault-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    setenv("WEIR_FAULT_LOG", path, 1);
    assert_null(init("checkpoint-publish-before:1:error,ack-receive-after:1:stall-1"));
    fault_recovered(); /* nothing has fired */
    assert_string_equal(log_text(path), "");
    weir_error_free(pass_publish());
    assert_string_equal(log_text(path), "fired checkpoint-publish-before error\n");
    assert_null(init("checkpoint-publish-before:1:error,ack-receive-after:1:stall-1"));
    assert_null(pass_publish());
    fault_recovered();
    fault_recovered(); /* once is enough */
    FAULT_STEP_VOID(ACK_RECEIVE, done++);
    assert_string_equal(log_text(path), "fired checkpoint-publish-before error\nrecovered\n"
                                        "fired ack-receive-after stall\n");
    fault_recovered();
    assert_non_null(strstr(log_text(path), "stall\nrecovered\n"));
    unsetenv("WEIR_FAULT_LOG");
    assert_null(init(""));
    assert_int_equal(remove(path), 0);
}

static void a_log_that_cannot_be_written_is_told_at_the_start(void **state)
{
    setenv("WEIR_FAULT_LOG", "/nowhere/fired", 1);
    weir_error *error = init("checkpoint-publish-before:1:error");
    unsetenv("WEIR_FAULT_LOG");
    assert_non_null(error);
    assert_non_null(strstr(weir_error_message(error), "/nowhere/fired"));
    weir_error_free(error);
    assert_null(init(""));
}

static void several_rules_are_several_points(void **state)
{
    assert_null(init("checkpoint-publish-before:1:error,ack-receive-before:1:stall-30"));
    int64_t started_ns = os_monotonic_ns();
    FAULT_STEP_VOID(ACK_RECEIVE, done++);
    assert_true(os_monotonic_ns() - started_ns >= 29 * 1000000);
    weir_error *error = pass_publish();
    assert_non_null(error);
    weir_error_free(error);
    assert_null(init(""));
}

static void kill_ends_the_process_as_from_outside(void **state)
{
    pid_t child = fork();
    if (child == 0) {
        weir_error_free(init("ack-receive-before:2:kill"));
        FAULT_STEP_VOID(ACK_RECEIVE, done++);
        FAULT_STEP_VOID(ACK_RECEIVE, done++);
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
        { "nowhere:1:kill", "checkpoint-publish" }, /* what is known */
        { "ack-receive:1:kill", "<step>-before" },
        { "-before:1:kill", "does not exist" },
        { ":1:kill", "does not exist" },
        { "ack-receive-before", "point:nth:action" },
        { "ack-receive-before:1", "point:nth:action" },
        { "ack-receive-before:0:kill", "point:nth:action" },
        { "ack-receive-before:x:kill", "point:nth:action" },
        { "ack-receive-before:-1:kill", "point:nth:action" },
        { "ack-receive-before:99999999999999999999:kill", "point:nth:action" },
        { "ack-receive-before:1:explode", "point:nth:action" },
        { "ack-receive-before:1:stall-", "point:nth:action" },
        { "ack-receive-before:1:stall-99999999", "point:nth:action" },
        { "ack-receive-before:1:error", "cannot return an error" },
        { "ack-receive-before:1:kill,,", "point:nth:action" },
        { "ack-receive-before:1:kill,ack-receive-before:2:kill", "two rules" },
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
        cmocka_unit_test(an_error_before_a_step_leaves_it_out_and_one_after_it_does_not),
        cmocka_unit_test(the_log_counts_what_fires_and_a_rule_in_it_is_not_heard_again),
        cmocka_unit_test(a_log_that_cannot_be_written_is_told_at_the_start),
        cmocka_unit_test(several_rules_are_several_points),
        cmocka_unit_test(kill_ends_the_process_as_from_outside),
        cmocka_unit_test(mistakes_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

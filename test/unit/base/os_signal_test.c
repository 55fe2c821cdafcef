/* os_signal_test.c -- one signal is looked at, two in a row are one, patience ends after the second. */
#include "base/os_signal.h"

#include "base/os.h"
#include "base/os_process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void a_signal_wakes_and_is_counted(void **state)
{
    struct waker *waker = waker_new();
    os_signals_watch(waker);
    assert_int_equal(os_signals_seen(), 0);
    raise(SIGTERM);
    int64_t started_ns = os_monotonic_ns();
    waker_wait(waker, 10000);
    assert_true(os_monotonic_ns() - started_ns < INT64_C(5000000000));
    assert_int_equal(os_signals_seen(), 1);
    assert_string_equal(os_signals_name(), "SIGTERM");
    assert_int_equal(os_signals_exit(), 143);
    os_signals_unwatch();
    waker_free(waker);
    os_signals_restore();
}

static void a_request_wakes_and_ends_nothing(void **state)
{
    struct waker *waker = waker_new();
    os_signals_watch(waker);
    raise(SIGUSR1);
    raise(SIGUSR1);
    int64_t started_ns = os_monotonic_ns();
    waker_wait(waker, 10000);
    assert_true(os_monotonic_ns() - started_ns < INT64_C(5000000000));
    assert_int_equal(os_signals_user(), 2);
    assert_int_equal(os_signals_seen(), 0);
    os_signals_unwatch();
    waker_free(waker);
    os_signals_restore();
}

static void two_in_a_row_are_one(void **state)
{
    struct waker *waker = waker_new();
    os_signals_watch(waker);
    raise(SIGTERM);
    raise(SIGTERM);
    assert_int_equal(os_signals_seen(), 1);
    os_sleep_ms(60);
    raise(SIGINT);
    assert_int_equal(os_signals_seen(), 2);
    assert_int_equal(os_signals_exit(), 130);
    os_signals_unwatch();
    waker_free(waker);
    os_signals_restore(); /* the alarm is off, too */
}

/* What becomes of a process that does not react. */
static int status_after(int signals)
{
    pid_t child = fork();
    if (child == 0) {
        struct waker *waker = waker_new();
        os_signals_watch(waker);
        for (int i = 0; i < signals; i++) {
            raise(SIGINT);
            os_sleep_ms(60);
        }
        for (int i = 0; i < 100; i++)
            os_sleep_ms(50);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_stuck_process_ends_a_second_after_the_second_signal(void **state)
{
    int64_t started_ns = os_monotonic_ns();
    assert_int_equal(status_after(2), 130);
    assert_true(os_monotonic_ns() - started_ns < INT64_C(4000000000));
}

static void a_third_signal_ends_it_at_once(void **state)
{
    int64_t started_ns = os_monotonic_ns();
    assert_int_equal(status_after(3), 130);
    assert_true(os_monotonic_ns() - started_ns < INT64_C(900000000));
}

static void usage_and_processors_are_plausible(void **state)
{
    struct os_usage usage;
    os_usage(&usage);
    assert_true(usage.peak_rss_size > 100000 && usage.peak_rss_size < (uint64_t)1 << 50);
    assert_true(usage.cpu_seconds >= 0 && usage.cpu_seconds < 3600);
    assert_true(os_cpu_count() >= 1 && os_cpu_count() < 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_wakes_and_is_counted),
        cmocka_unit_test(a_request_wakes_and_ends_nothing),
        cmocka_unit_test(two_in_a_row_are_one),
        cmocka_unit_test(a_stuck_process_ends_a_second_after_the_second_signal),
        cmocka_unit_test(a_third_signal_ends_it_at_once),
        cmocka_unit_test(usage_and_processors_are_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* os_crash_test.c -- in a child of this test: what it says when it crashes, and that it still ends by the signal. */
#include "base/os_crash.h"

#include "test/support/expect.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *words;

static void describe(char *to, size_t size)
{
    snprintf(to, size, "%s", words);
}

/* The child's standard error, and how it ended. `number` 0: it exits with status 3. */
static int crash(int number, char *said, size_t size)
{
    int ends[2], status;
    size_t got = 0;
    ssize_t part;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        dup2(ends[1], STDERR_FILENO);
        os_crash_watch(describe);
        if (number == 0)
            exit(3);
        raise(number);
        _exit(0);
    }
    close(ends[1]);
    while (got < size - 1 && (part = read(ends[0], said + got, size - 1 - got)) > 0)
        got += (size_t)part;
    said[got] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void a_crash_says_what_it_was_in_the_middle_of_and_ends_by_its_signal(void **state)
{
    static const struct {
        int number;
        const char *line;
    } rows[] = { { SIGSEGV, "SIGSEGV in operator 'count'\n" },
        { SIGBUS, "SIGBUS in operator 'count'\n" }, { SIGFPE, "SIGFPE in operator 'count'\n" },
        { SIGILL, "SIGILL in operator 'count'\n" }, { SIGABRT, "SIGABRT in operator 'count'\n" } };
    char said[4096];
    words = "operator 'count'";
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int status = crash(rows[i].number, said, sizeof(said));
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), rows[i].number);
        assert_string_equal(said, rows[i].line);
    }
}

static void an_exit_in_the_middle_of_something_is_told_and_any_other_is_not(void **state)
{
    char said[4096];
    words = "operator 'count'";
    int status = crash(0, said, sizeof(said));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), weir_code_exit(WEIR_E_INTERNAL));
    assert_string_equal(said, "exit(3) in operator 'count'\n");
    words = "";
    assert_int_equal(WEXITSTATUS(crash(0, said, sizeof(said))), 3);
    assert_string_equal(said, "");
}

static void with_nothing_to_say_the_signal_alone_is_named(void **state)
{
    char said[4096];
    words = "";
    assert_true(WIFSIGNALED(crash(SIGSEGV, said, sizeof(said))));
    assert_string_equal(said, "SIGSEGV\n");
}

static void a_description_that_is_too_long_is_cut(void **state)
{
    char said[4096], much[2000];
    memset(much, 'x', sizeof(much) - 1);
    much[sizeof(much) - 1] = '\0';
    words = much;
    assert_true(WIFSIGNALED(crash(SIGABRT, said, sizeof(said))));
    assert_memory_equal(said, "SIGABRT in xxx", 14);
    assert_true(strlen(said) < OS_CRASH_TEXT_MAX + 32);
    assert_int_equal(said[strlen(said) - 1], '\n');
}

/* -- asking --------------------------------------------------------------------------------------- */

static _Thread_local const char *own_words = "";
static atomic_bool is_there, may_go;

static void describe_own(char *to, size_t size)
{
    snprintf(to, size, "%s", own_words);
}

static void *be_busy(void *deaf)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    if (deaf != NULL)
        pthread_sigmask(SIG_BLOCK, &set, NULL);
    own_words = "operator 'count', and never comes back";
    is_there = true;
    while (!may_go)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return (void *)1;
}

static pthread_t start_busy(bool is_deaf)
{
    pthread_t thread;
    is_there = may_go = false;
    assert_int_equal(pthread_create(&thread, NULL, be_busy, is_deaf ? &thread : NULL), 0);
    while (!is_there)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return thread;
}

static void end_busy(pthread_t thread)
{
    void *result = NULL;
    may_go = true;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, (void *)1);
}

static void a_thread_is_not_asked_when_nobody_watches(void **state)
{
    char said[OS_CRASH_TEXT_MAX] = "old";
    assert_false(os_crash_ask(pthread_self(), said));
    assert_string_equal(said, "");
}

static void a_thread_that_is_asked_says_what_it_is_in_the_middle_of_and_goes_on(void **state)
{
    char said[OS_CRASH_TEXT_MAX];
    os_crash_watch(describe_own);
    pthread_t thread = start_busy(false);
    for (int i = 0; i < 3; i++) {
        assert_true(os_crash_ask(thread, said));
        assert_string_equal(said, "operator 'count', and never comes back");
    }
    end_busy(thread);
}

static void a_thread_that_does_not_answer_is_not_waited_for_without_end(void **state)
{
    char said[OS_CRASH_TEXT_MAX];
    os_crash_watch(describe_own);
    pthread_t thread = start_busy(true);
    assert_false(os_crash_ask(thread, said));
    assert_string_equal(said, "");
    end_busy(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_is_not_asked_when_nobody_watches), /* first: then somebody does */
        cmocka_unit_test(a_crash_says_what_it_was_in_the_middle_of_and_ends_by_its_signal),
        cmocka_unit_test(an_exit_in_the_middle_of_something_is_told_and_any_other_is_not),
        cmocka_unit_test(with_nothing_to_say_the_signal_alone_is_named),
        cmocka_unit_test(a_description_that_is_too_long_is_cut),
        cmocka_unit_test(a_thread_that_is_asked_says_what_it_is_in_the_middle_of_and_goes_on),
        cmocka_unit_test(a_thread_that_does_not_answer_is_not_waited_for_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

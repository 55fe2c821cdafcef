/* os_daemon_test.c -- processes that are started, found again, mistaken for nobody else, and ended. */
#include "base/os_daemon.h"

#include "base/memory.h"
#include "base/os.h"
#include "test/support/temp_dir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test/support/expect.h"

static char *dir;

static struct os_daemon start(const char *script)
{
    struct os_daemon daemon;
    char *argv[] = { mem_strdup("/bin/sh"), mem_strdup("-c"), mem_strdup(script), NULL };
    expect_ok(os_daemon_start(argv, temp_dir_path(dir, "log"), &daemon));
    for (int i = 0; i < 3; i++)
        mem_free(argv[i]);
    return daemon;
}

static void a_daemon_has_a_session_and_its_output_is_in_the_log(void **state)
{
    struct os_daemon daemon = start("echo out; echo error >&2; cat; cut -d' ' -f6 /proc/$$/stat");
    int status;
    assert_int_equal(waitpid(daemon.pid, &status, 0), daemon.pid);
    char *text;
    size_t size;
    expect_ok(os_read_file(temp_dir_path(dir, "log"), 4096, &text, &size));
    assert_memory_equal(text, "out\nerror\n", 10);             /* cat has read nothing, and ended */
    assert_int_equal(strtol(text + 10, NULL, 10), daemon.pid); /* its session */
    mem_free(text);
    assert_false(os_daemon_is_alive(&daemon));
}

static void a_daemon_is_ended_and_it_only(void **state)
{
    bool was_killed;
    struct os_daemon daemon = start("exec sleep 1000"), other = daemon;
    assert_true(os_daemon_is_alive(&daemon));
    other.birth[0] ^= 1; /* the same number, another process */
    assert_false(os_daemon_is_alive(&other));
    expect_ok(os_daemon_stop(&other, SIGTERM, 10000, &was_killed));
    assert_true(os_daemon_is_alive(&daemon));
    expect_ok(os_daemon_stop(&daemon, SIGTERM, 60000, &was_killed));
    assert_false(was_killed);
    assert_false(os_daemon_is_alive(&daemon));
    expect_ok(os_daemon_stop(&daemon, SIGTERM, 10000, &was_killed)); /* again: nobody is there */
    assert_false(was_killed);
    expect_ok(os_daemon_stop(&(struct os_daemon){ .pid = 0 }, SIGTERM, 10000, &was_killed));
}

static void one_that_does_not_listen_is_killed(void **state)
{
    bool was_killed;
    char byte;
    char *fifo = mem_printf("%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    char *script = mem_printf("trap '' TERM; echo > %s; while :; do sleep 0.1; done", fifo);
    struct os_daemon daemon = start(script);
    FILE *file = fopen(fifo, "r"); /* it has set its trap */
    assert_int_equal(fread(&byte, 1, 1, file), 1);
    fclose(file);
    expect_ok(os_daemon_stop(&daemon, SIGTERM, 50, &was_killed));
    assert_true(was_killed);
    assert_false(os_daemon_is_alive(&daemon));
    mem_free(script);
    mem_free(fifo);
}

static void one_that_nobody_waits_for_is_not_alive(void **state)
{
    struct os_daemon daemon = start("exit 3");
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)daemon.pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(os_daemon_is_alive(&daemon));
    assert_int_equal(waitpid(daemon.pid, NULL, 0), daemon.pid);
}

static void what_is_no_program_is_not_started(void **state)
{
    struct os_daemon daemon;
    char *argv[] = { mem_strdup("/nowhere/program"), NULL };
    expect_error(os_daemon_start(argv, temp_dir_path(dir, "log"), &daemon), WEIR_E_USAGE,
        "cannot start '/nowhere/program'");
    mem_free(argv[0]);
    char *path;
    expect_ok(os_program_path(&path));
    assert_non_null(strstr(path, "os_daemon_test"));
    mem_free(path);
}

static int make_dir(void **state)
{
    dir = temp_dir_new();
    return 0;
}

static int remove_dir(void **state)
{
    temp_dir_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_daemon_has_a_session_and_its_output_is_in_the_log,
            make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_daemon_is_ended_and_it_only, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(one_that_does_not_listen_is_killed, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(one_that_nobody_waits_for_is_not_alive, make_dir,
            remove_dir),
        cmocka_unit_test_setup_teardown(what_is_no_program_is_not_started, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

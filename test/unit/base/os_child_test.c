/* os_child_test.c -- children that are shells, or this program itself: what they get, say, cost, and how they end. */
#include "base/os_child.h"

#include "base/memory.h"
#include "base/os.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir;

static int open_dir(void **state)
{
    dir = temp_dir_new();
    return 0;
}

static int close_dir(void **state)
{
    temp_dir_free(dir);
    return 0;
}

/* `script` for the shell. */
static struct os_child *start(const char *script, weir_str input)
{
    struct os_child *child;
    char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, mem_strdup(script), NULL };
    char *log = mem_printf("%s/log", dir);
    struct os_child_options options = { .path = "/bin/sh",
        .argv = argv,
        .directory = dir,
        .log_path = log,
        .input = input };
    expect_ok(os_child_start(&options, &child));
    mem_free(argv[2]);
    mem_free(log);
    return child;
}

/* The waker tells: no waiting by the clock. */
static struct os_child_end wait_end(struct os_child *child)
{
    struct os_child_end end;
    struct waker *waker = waker_new();
    os_children_watch(waker);
    while (!os_child_has_ended(child, &end))
        waker_wait(waker, -1);
    os_children_watch(NULL);
    waker_free(waker);
    return end;
}

static char *log_text(void)
{
    char *bytes, *path = mem_printf("%s/log", dir);
    size_t size;
    expect_ok(os_read_file(path, 1 << 20, &bytes, &size));
    mem_free(path);
    char *text = mem_printf("%.*s", (int)size, bytes);
    mem_free(bytes);
    return text;
}

static void expect_log(const char *words)
{
    char *text = log_text();
    if (strcmp(text, words) != 0)
        fail_msg("'%s', wanted '%s'", text, words);
    mem_free(text);
}

static void its_status_comes_back_and_what_it_says_is_in_the_log(void **state)
{
    struct os_child *child = start("echo out; echo err >&2; pwd; exit 7", WEIR_STR(""));
    struct os_child_end end = wait_end(child);
    assert_int_equal(end.status, 7);
    assert_int_equal(end.signal, 0);
    char *wanted = mem_printf("out\nerr\n%s\n", dir);
    expect_log(wanted);
    mem_free(wanted);
    assert_true(os_child_has_ended(child, &end)); /* as often as it is asked */
    assert_int_equal(end.status, 7);
    os_child_kill(child, SIGKILL);
    os_child_free(child);
    child = start("echo again", WEIR_STR(""));
    wait_end(child);
    os_child_free(child);
    char *text = log_text();
    assert_non_null(strstr(text, "\nagain\n")); /* appended */
    mem_free(text);
}

static void descriptor_three_goes_both_ways(void **state)
{
    char *bytes;
    size_t size;
    struct os_child *child =
        start("cat <&3; printf answer > /proc/self/fd/3", WEIR_STR("question"));
    assert_int_equal(wait_end(child).status, 0);
    expect_log("question");
    expect_ok(os_child_output(child, 100, &bytes, &size));
    assert_int_equal(size, 6);
    assert_memory_equal(bytes, "answer", 6);
    mem_free(bytes);
    expect_error(os_child_output(child, 5, &bytes, &size), WEIR_E_LIMIT, "");
    os_child_free(child);
}

static void nothing_else_of_ours_is_open_in_it_and_its_input_is_empty(void **state)
{
    int open_here = open("/dev/null", O_RDONLY);
    struct os_child *child = start("cat; cd /proc/self/fd && echo *", WEIR_STR(""));
    assert_int_equal(wait_end(child).status, 0);
    char *text = log_text();
    assert_memory_equal(text, "0 1 2 3", 7); /* and the one that the shell lists with */
    assert_true(strlen(text) < 12);
    mem_free(text);
    close(open_here);
    os_child_free(child);
}

static void it_is_killed_with_all_that_it_has_started(void **state)
{
    struct os_child *child = start("sleep 1000 & echo $!; exec sleep 1000", WEIR_STR(""));
    char *text = log_text();
    while (strchr(text, '\n') == NULL) {
        mem_free(text);
        text = log_text();
    }
    int grandchild = (int)strtol(text, NULL, 10);
    mem_free(text);
    assert_true(os_child_pid(child) > 0);
    os_child_kill(child, SIGKILL);
    struct os_child_end end = wait_end(child);
    assert_int_equal(end.signal, SIGKILL);
    assert_int_equal(end.status, -1);
    assert_string_equal(os_signal_name(end.signal), "SIGKILL");
    char *path = mem_printf("/proc/%d/cmdline", grandchild); /* gone, or a zombie without words */
    size_t got = 1;
    while (got > 0) {
        FILE *file = fopen(path, "r");
        char byte;
        got = file == NULL ? 0 : fread(&byte, 1, 1, file);
        if (file != NULL)
            fclose(file);
    }
    mem_free(path);
    os_child_free(child);
}

static void who_is_freed_while_it_runs_is_killed(void **state)
{
    struct os_child *child = start("exec sleep 1000", WEIR_STR(""));
    int pid = os_child_pid(child);
    os_child_free(child);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void what_is_no_program_is_said(void **state)
{
    struct os_child *child = NULL;
    char *path = mem_printf("%s/text", dir), *log = mem_printf("%s/log", dir);
    char *argv[] = { path, NULL };
    FILE *file = fopen(path, "w");
    fputs("no program", file);
    fclose(file);
    assert_int_equal(chmod(path, 0700), 0);
    struct os_child_options options = { .path = path,
        .argv = argv,
        .directory = dir,
        .log_path = log };
    weir_error *error = os_child_start(&options, &child);
    expect_error(error, WEIR_E_USAGE, path);
    assert_int_equal(chmod(path, 0600), 0);
    expect_error(os_child_start(&options, &child), WEIR_E_IO, "is not mounted noexec");
    options.path = "/none/at/all";
    error = os_child_start(&options, &child);
    assert_non_null(error);
    assert_non_null(strstr(weir_error_message(error), "/none/at/all"));
    weir_error_free(error);
    mem_free(path);
    mem_free(log);
}

static void a_log_that_is_too_long_keeps_its_end(void **state)
{
    char *path = mem_printf("%s/long", dir), *bytes;
    size_t size;
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 10000; i++)
        fprintf(file, "line %d\n", i);
    fclose(file);
    os_child_trim_log(path, 1 << 20);
    expect_ok(os_read_file(path, 1 << 20, &bytes, &size));
    assert_true(size > 80000); /* not too long: as it was */
    mem_free(bytes);
    os_child_trim_log(path, 40000);
    expect_ok(os_read_file(path, 1 << 20, &bytes, &size));
    assert_true(size > 1000 && size <= 40000);
    assert_memory_equal(bytes + size - 10, "line 9999\n", 10);
    mem_free(bytes);
    os_child_trim_log("/none/at/all", 1); /* nobody minds */
    mem_free(path);
}

/* -- what it leaves ------------------------------------------------------------------------------- */

/* This program, as a child; what it does is its first argument. */
static int be_child(const char *what)
{
    char *bytes;
    size_t size;
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    weir_error *error = os_child_input(100, &bytes, &size);
    if (error != NULL || size != 8 || memcmp(bytes, "question", 8) != 0)
        return 1;
    mem_free(bytes);
    close(3); /* which is another one's by now */
    os_child_tell(5);
    if (strcmp(what, "tell") == 0)
        os_child_tell(7);
    if (strcmp(what, "crash") == 0)
        abort();
    return 0;
}

static struct os_child *start_self(const char *what)
{
    struct os_child *child;
    char *argv[] = { (char[]){ "self" }, mem_strdup(what), NULL };
    char *log = mem_printf("%s/log", dir);
    struct os_child_options options = { .path = "/proc/self/exe",
        .argv = argv,
        .directory = dir,
        .log_path = log,
        .input = WEIR_STR("question") };
    expect_ok(os_child_start(&options, &child));
    mem_free(argv[1]);
    mem_free(log);
    return child;
}

static void what_it_has_told_last_is_known_however_it_ends(void **state)
{
    static const struct {
        const char *what;
        int status, signal;
        uint32_t number;
    } rows[] = { { "tell", 0, 0, 7 }, { "crash", -1, SIGABRT, 5 } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t number = 0;
        struct os_child *child = start_self(rows[i].what);
        struct os_child_end end = wait_end(child);
        assert_int_equal(end.status, rows[i].status);
        assert_int_equal(end.signal, rows[i].signal);
        assert_true(os_child_told(child, &number));
        assert_int_equal(number, rows[i].number);
        os_child_free(child);
    }
    os_child_tell(1); /* nobody has started us: nothing happens */
}

static void one_that_has_said_nothing_has_told_nothing(void **state)
{
    static const char *const scripts[] = { "exit 0", "printf answer > /proc/self/fd/3",
        "head -c 4096 /dev/zero > /proc/self/fd/3" };
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        uint32_t number = 42;
        struct os_child *child = start(scripts[i], WEIR_STR("question"));
        assert_int_equal(wait_end(child).status, 0);
        assert_false(os_child_told(child, &number));
        assert_int_equal(number, 42);
        os_child_free(child);
    }
}

static void signals_that_leave_a_core_are_known(void **state)
{
    assert_true(os_signal_dumps_core(SIGSEGV) && os_signal_dumps_core(SIGABRT));
    assert_false(os_signal_dumps_core(SIGKILL) || os_signal_dumps_core(SIGTERM));
    assert_false(os_signal_dumps_core(0) || os_signal_dumps_core(SIGRTMIN));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return be_child(argv[1]);
#define WITH_DIR(test_) cmocka_unit_test_setup_teardown(test_, open_dir, close_dir)
    const struct CMUnitTest tests[] = {
        WITH_DIR(its_status_comes_back_and_what_it_says_is_in_the_log),
        WITH_DIR(descriptor_three_goes_both_ways),
        WITH_DIR(nothing_else_of_ours_is_open_in_it_and_its_input_is_empty),
        WITH_DIR(it_is_killed_with_all_that_it_has_started),
        WITH_DIR(who_is_freed_while_it_runs_is_killed),
        WITH_DIR(what_is_no_program_is_said),
        WITH_DIR(a_log_that_is_too_long_keeps_its_end),
        WITH_DIR(what_it_has_told_last_is_known_however_it_ends),
        WITH_DIR(one_that_has_said_nothing_has_told_nothing),
        cmocka_unit_test(signals_that_leave_a_core_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

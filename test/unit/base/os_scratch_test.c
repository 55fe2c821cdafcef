/* os_scratch_test.c -- directories for what need not survive: of a process of their own, and of one that was killed. */
#include "base/os_scratch.h"

#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *root;

static bool is_there(const char *path)
{
    struct os_stat stat;
    expect_ok(os_stat(path, &stat));
    return stat.exists;
}

static uint32_t sweep(uint32_t count_max)
{
    uint32_t removed;
    expect_ok(os_scratch_sweep(root, count_max, &removed));
    return removed;
}

/* What a process leaves that makes one, puts something into it, and is killed. mem_free it. */
static char *leave_behind(const char *name, uint32_t sweeps_max)
{
    char path[OS_PATH_MAX] = "";
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct os_scratch scratch;
        weir_error *error = os_scratch_open(root, name, &scratch);
        if (error != NULL || mkdir(temp_dir_path(scratch.path, "deep"), 0700) != 0 ||
            symlink("/", temp_dir_path(scratch.path, "deep/link")) != 0 ||
            write(ends[1], scratch.path, strlen(scratch.path)) < 0)
            _exit(1);
        pause();
    }
    assert_true(read(ends[0], path, sizeof(path) - 1) > 0);
    sweep(sweeps_max);
    assert_true(is_there(path)); /* it lives */
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ends[0]);
    close(ends[1]);
    return mem_strdup(path);
}

static void it_is_there_until_it_is_closed_and_no_sweep_takes_it(void **state)
{
    struct os_scratch scratch, other, none = { .path = NULL };
    expect_ok(os_scratch_open(root, "name", &scratch));
    expect_ok(os_scratch_open(root, "name", &other));
    assert_string_not_equal(scratch.path, other.path);
    assert_true(os_dir_is_own(scratch.path));
    assert_int_equal(sweep(10), 0);
    char *path = mem_strdup(scratch.path);
    expect_ok(os_scratch_close(&scratch));
    assert_false(is_there(path));
    assert_true(is_there(other.path));
    mem_free(path);
    path = mem_strdup(other.path);
    os_scratch_leave(&other);
    assert_true(is_there(path));
    assert_int_equal(sweep(10), 1);
    assert_false(is_there(path));
    mem_free(path);
    expect_ok(os_scratch_close(&none));
}

static void what_killed_processes_have_left_goes_so_many_at_a_time_and_links_are_not_followed(
    void **state)
{
    char *paths[3];
    for (size_t i = 0; i < 3; i++)
        paths[i] = leave_behind("jobmanager", i == 0 ? 10 : 0);
    assert_int_equal(sweep(2), 2);
    assert_int_equal(sweep(2), 1);
    for (size_t i = 0; i < 3; i++) {
        assert_false(is_there(paths[i]));
        mem_free(paths[i]);
    }
    assert_true(is_there("/tmp"));
}

static void what_is_not_ours_or_no_such_directory_stays(void **state)
{
    static const char *const names[] = { "weir-taskmanager-0123456789abcdef", "weir.jobmanager",
        "weir.jobmanager.0123456789abcde", "weir.jobmanager.0123456789abcdef.new",
        "weir.open.0123456789abcdef" };
    const char *link = temp_dir_path(root, "weir.link.0123456789abcdef");
    for (size_t i = 0; i < COUNT_OF(names); i++)
        expect_ok(os_make_dirs(temp_dir_path(root, "%s", names[i])));
    assert_int_equal(chmod(temp_dir_path(root, "weir.open.0123456789abcdef"), 0777), 0);
    expect_ok(os_make_dirs(temp_dir_path(root, "elsewhere")));
    assert_int_equal(symlink(temp_dir_path(root, "elsewhere"), link), 0);
    assert_int_equal(sweep(10), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_true(is_there(temp_dir_path(root, "%s", names[i])));
    assert_true(is_there(link));
}

static void without_a_parent_it_lies_in_tmpdir_or_tmp(void **state)
{
    const char *before = getenv("TMPDIR");
    char *kept = before == NULL ? NULL : mem_strdup(before);
    struct os_scratch scratch;
    assert_int_equal(setenv("TMPDIR", root, 1), 0);
    expect_ok(os_scratch_open(NULL, "name", &scratch));
    const char *front = temp_dir_path(root, "weir.name.");
    assert_memory_equal(scratch.path, front, strlen(front));
    expect_ok(os_scratch_close(&scratch));
    assert_int_equal(setenv("TMPDIR", "", 1), 0);
    assert_string_equal(os_scratch_parent(), "/tmp");
    assert_int_equal(kept == NULL ? unsetenv("TMPDIR") : setenv("TMPDIR", kept, 1), 0);
    mem_free(kept);
    expect_error(os_scratch_open("/proc/nowhere", "name", &scratch), WEIR_E_IO, "/proc/nowhere");
}

static int open_root(void **state)
{
    root = temp_dir_new();
    return 0;
}

static int close_root(void **state)
{
    temp_dir_free(root);
    return 0;
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, open_root, close_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_there_until_it_is_closed_and_no_sweep_takes_it),
        TEST(what_killed_processes_have_left_goes_so_many_at_a_time_and_links_are_not_followed),
        TEST(what_is_not_ours_or_no_such_directory_stays),
        TEST(without_a_parent_it_lies_in_tmpdir_or_tmp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

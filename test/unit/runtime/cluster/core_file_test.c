/* core_file_test.c -- where the core of a worker is, for every kind of core_pattern. The cores are made by hand: what makes
 * one is the first bytes. */
#include "runtime/cluster/core_file.h"

#include "base/os.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#include <elf.h>
#include <errno.h>

static char *root;
static struct log_dir *logs;
static struct core_place place;

static int begin(void **state)
{
    root = temp_dir_new();
    expect_ok(log_dir_open(temp_dir_path(root, "logs"), "taskmanager", 1 << 20, &logs));
    place = (struct core_place){ .dir = mem_printf("%s/worker", root),
        .name = "job-1-0",
        .logs = logs,
        .spare = mem_printf("%s/core", root) };
    expect_ok(os_make_dirs(place.dir));
    return 0;
}

static int end(void **state)
{
    os_current = &os_linux;
    mem_free((char *)(uintptr_t)place.dir);
    mem_free((char *)(uintptr_t)place.spare);
    log_dir_close(logs);
    temp_dir_free(root);
    return 0;
}

/* In the worker's directory. */
static void put(const char *name, Elf64_Half type)
{
    Elf64_Ehdr header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3 }, .e_type = type };
    temp_dir_write(temp_dir_path(root, "worker/%s", name), (const char *)&header, sizeof(header));
}

static bool is_there(const char *path)
{
    struct os_stat stat;
    expect_ok(os_stat(path, &stat));
    return stat.exists;
}

static void expect_text(const char *pattern, const char *wanted)
{
    char *text = core_file_keep(pattern, &place);
    assert_string_equal(text, wanted);
    mem_free(text);
}

static void a_pattern_that_leads_elsewhere_is_told_and_nothing_is_moved(void **state)
{
    put("core", ET_CORE);
    expect_text("|/usr/share/apport/apport -p%p -s%s",
        " (core dumped by core_pattern '|/usr/share/apport/apport -p%p -s%s')");
    expect_text("/var/cores/%e.%p", " (core dumped by core_pattern '/var/cores/%e.%p')");
    assert_true(is_there(temp_dir_path(root, "worker/core")));
}

static void a_pattern_that_cannot_be_read_is_told(void **state)
{
    put("core", ET_CORE);
    char *text = core_file_keep(NULL, &place);
    assert_non_null(strstr(text, "/proc/sys/kernel/core_pattern"));
    assert_true(is_there(temp_dir_path(root, "worker/core")));
    mem_free(text);
}

static void a_core_in_the_directory_of_the_worker_is_moved_to_the_logs_whatever_its_name(
    void **state)
{
    static const char *const rows[][2] = { { "core", "core" }, { "core", "core.4711" },
        { "%e-%p.dump", "slot-1-12.dump" }, { "a%%b", "a%b" } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        put("0-job", ET_EXEC);
        put("1-library", ET_DYN);
        temp_dir_write(temp_dir_path(root, "worker/2-text"), "core", 4);
        temp_dir_write(temp_dir_path(root, "worker/3-empty"), "", 0);
        expect_ok(os_make_dirs(temp_dir_path(root, "worker/4-directory")));
        put(rows[i][1], ET_CORE);
        char *to = log_dir_file(logs, "cores/job-1-0"),
             *wanted = mem_printf(" (core dumped: '%s')", to);
        expect_text(rows[i][0], wanted);
        assert_true(is_there(to));
        assert_false(is_there(temp_dir_path(root, "worker/%s", rows[i][1])));
        assert_true(is_there(temp_dir_path(root, "worker/0-job")));
        mem_free(to);
        mem_free(wanted);
    }
}

static void a_core_that_is_not_found_is_not_promised(void **state)
{
    put("job", ET_EXEC);
    expect_text("core", " (core dumped by core_pattern 'core', but not into the directory that the "
                        "process was started in)");
    struct core_place gone = place;
    gone.dir = temp_dir_path(root, "none");
    char *text = core_file_keep("core", &gone);
    assert_non_null(strstr(text, "but not into the directory"));
    mem_free(text);
}

static void without_a_directory_of_logs_it_takes_the_place_of_the_one_before(void **state)
{
    char *wanted = mem_printf(" (core dumped: '%s')", place.spare);
    place.logs = NULL;
    for (uint32_t i = 0; i < 2; i++) {
        put("core", ET_CORE);
        expect_text("core", wanted);
        assert_true(is_there(place.spare));
    }
    mem_free(wanted);
}

static const char *denied; /* part of a path that nothing is renamed to */

static int rename_or_not(const char *from, const char *to)
{
    return strstr(to, denied) != NULL ? EXDEV : os_linux.rename(from, to);
}

static void over_the_border_of_a_file_system_nothing_is_copied(void **state)
{
    struct os own = os_linux;
    own.rename = rename_or_not;
    os_current = &own;
    char *wanted = mem_printf(" (core dumped: '%s')", place.spare);
    put("core", ET_CORE);
    denied = "/cores/";
    expect_text("core", wanted);
    put("core", ET_CORE);
    denied = "";
    expect_text("core", " (core dumped, and lost: it could not be moved)");
    mem_free(wanted);
}

static void the_pattern_is_what_the_kernel_says(void **state)
{
    char *pattern = core_file_pattern(), *text;
    size_t size;
    expect_ok(os_read_file("/proc/sys/kernel/core_pattern", 4096, &text, &size));
    assert_non_null(pattern);
    assert_memory_equal(pattern, text, strlen(pattern));
    assert_null(strchr(pattern, '\n'));
    mem_free(pattern);
    mem_free(text);
}

int main(void)
{
#define WITH_LOGS(test_) cmocka_unit_test_setup_teardown(test_, begin, end)
    const struct CMUnitTest tests[] = {
        WITH_LOGS(a_pattern_that_leads_elsewhere_is_told_and_nothing_is_moved),
        WITH_LOGS(a_pattern_that_cannot_be_read_is_told),
        WITH_LOGS(a_core_in_the_directory_of_the_worker_is_moved_to_the_logs_whatever_its_name),
        WITH_LOGS(a_core_that_is_not_found_is_not_promised),
        WITH_LOGS(without_a_directory_of_logs_it_takes_the_place_of_the_one_before),
        WITH_LOGS(over_the_border_of_a_file_system_nothing_is_copied),
        cmocka_unit_test(the_pattern_is_what_the_kernel_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

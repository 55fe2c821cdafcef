/* log_dir_test.c -- a directory of logs: who has it, what is in it, how much, and that nobody gets anything else. */
#include "runtime/cluster/log_dir.h"

#include "base/os.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define SIZE_MAX_OF_ALL 16000u

static char *root;
static struct log_dir *dir;

static int begin(void **state)
{
    root = temp_dir_new();
    expect_ok(log_dir_open(root, "taskmanager", SIZE_MAX_OF_ALL, &dir));
    return 0;
}

static int end(void **state)
{
    log_dir_close(dir);
    temp_dir_free(root);
    return 0;
}

/* `age_s`: how long ago it was written last. */
static void make(const char *name, size_t size, int age_s)
{
    char *path = log_dir_file(dir, name), *text = mem_alloc(size + 1);
    struct timespec times[2] = { { .tv_sec = 1000000 - age_s }, { .tv_sec = 1000000 - age_s } };
    memset(text, 'x', size);
    if (size > 4)
        memcpy(text + size - 4, "end\n", 4);
    temp_dir_write(path, text, size);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    mem_free(text);
    mem_free(path);
}

static bool is_there(const char *name)
{
    struct os_stat stat;
    char *path = log_dir_file(dir, name);
    expect_ok(os_stat(path, &stat));
    mem_free(path);
    return stat.exists;
}

static weir_error *ask(enum log_kind kind, const char *name, uint64_t offset, weir_buffer **out)
{
    struct log_question question = { .kind = kind, .name = weir_str_of(name), .offset = offset };
    *out = weir_buffer_new(4 << 20);
    return log_dir_answer(dir, &question, *out);
}

static void expect_text(enum log_kind kind, const char *name, uint64_t offset, const char *text)
{
    weir_buffer *out;
    expect_ok(ask(kind, name, offset, &out));
    assert_string_equal(buffer_text(out), text);
    weir_buffer_free(out);
}

static void each_living_process_has_its_own_and_the_next_one_takes_over_what_a_dead_one_has_left(
    void **state)
{
    struct log_dir *second, *third;
    make("job-1-0.log", 10, 0);
    expect_ok(log_dir_open(root, "taskmanager", SIZE_MAX_OF_ALL, &second));
    char *path = log_dir_own_file(second);
    assert_string_equal(path, temp_dir_path(root, "taskmanager-2/taskmanager.log"));
    mem_free(path);
    log_dir_close(dir);
    expect_ok(log_dir_open(root, "taskmanager", SIZE_MAX_OF_ALL, &dir));
    assert_true(is_there("job-1-0.log"));
    expect_ok(log_dir_open(root, "jobmanager", SIZE_MAX_OF_ALL, &third));
    path = log_dir_own_file(third);
    assert_string_equal(path, temp_dir_path(root, "jobmanager-1/jobmanager.log"));
    mem_free(path);
    log_dir_close(second);
    log_dir_close(third);
}

static void a_root_that_cannot_be_had_is_named(void **state)
{
    struct log_dir *none;
    temp_dir_write(temp_dir_path(root, "file"), "x", 1);
    expect_error(log_dir_open(temp_dir_path(root, "file"), "jobmanager", 1, &none), WEIR_E_IO,
        "/file");
}

static void the_list_has_names_sizes_and_times(void **state)
{
    struct arena arena;
    struct log_file *list;
    uint32_t count;
    weir_buffer *out;
    make("b.log", 7, 10);
    make("a.log", 0, 20);
    arena_init(&arena, 1024, 1 << 20);
    expect_ok(ask(LOG_LIST, NULL, LOG_END, &out));
    weir_str bytes = weir_buffer_view(out);
    assert_true(log_files_take(bytes, &arena, &list, &count));
    assert_int_equal(count, 2);
    assert_true(weir_str_equal(list[0].name, WEIR_STR("a.log")));
    assert_int_equal(list[1].size, 7);
    assert_int_equal(list[1].modified_ms, (1000000 - 10) * 1000);
    for (size_t size = 0; size < bytes.size; size++)
        assert_false(
            log_files_take((weir_str){ .data = bytes.data, .size = size }, &arena, &list, &count));
    weir_buffer_free(out);
    arena_release(&arena);
}

static void a_text_is_read_from_anywhere_and_in_pieces(void **state)
{
    weir_buffer *out;
    make("a.log", LOG_TEXT_MAX + 10, 0);
    expect_ok(ask(LOG_NAMED, "a.log", 0, &out));
    assert_int_equal(buffer_size(out), LOG_TEXT_MAX);
    weir_buffer_free(out);
    expect_ok(ask(LOG_NAMED, "a.log", LOG_END, &out));
    assert_int_equal(buffer_size(out), LOG_TEXT_MAX);
    weir_str text = weir_buffer_view(out);
    assert_memory_equal(text.data + text.size - 4, "end\n", 4);
    weir_buffer_free(out);
    expect_text(LOG_NAMED, "a.log", LOG_TEXT_MAX, "xxxxxxend\n");
    expect_text(LOG_NAMED, "a.log", LOG_TEXT_MAX + 10, "");
    expect_text(LOG_NAMED, "a.log", (uint64_t)INT64_MAX - (1 << 20), "");
}

static void its_own_log_and_what_was_printed_last_are_asked_for_without_a_name(void **state)
{
    weir_buffer *out;
    expect_text(LOG_OUTPUT, NULL, LOG_END, "");
    expect_error(ask(LOG_OWN, NULL, LOG_END, &out), WEIR_E_CONNECTOR, "there is no log");
    weir_buffer_free(out);
    make("taskmanager.log", 5, 0);
    make("taskmanager.log.1", 6, 0);
    make("old.log", 7, 100);
    make("new.log", 8, 50);
    expect_text(LOG_OWN, NULL, LOG_END, "xend\n");
    expect_text(LOG_OUTPUT, NULL, LOG_END, "xxxxend\n");
}

static void a_name_that_is_in_no_list_is_refused(void **state)
{
    static const char *const names[] = { "", ".", "..", "../taskmanager-1/a.log", "./a.log",
        "/etc/passwd", "a.log/", "sub", "sub/b.log", "../../../../../../etc/passwd", "a.log.1" };
    char *sub = log_dir_file(dir, "sub"), *file = log_dir_file(dir, "sub/b.log");
    make("a.log", 5, 0);
    expect_ok(os_make_dirs(sub));
    temp_dir_write(file, "secret", 6);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        weir_buffer *out;
        expect_error(ask(LOG_NAMED, names[i], LOG_END, &out), WEIR_E_CONNECTOR, "there is no log");
        assert_int_equal(buffer_size(out), 0);
        weir_buffer_free(out);
    }
    expect_text(LOG_NAMED, "a.log", LOG_END, "xend\n");
    mem_free(sub);
    mem_free(file);
}

static bool is_written(void *arg, const char *name)
{
    return strcmp(name, arg) == 0;
}

static void the_oldest_that_nobody_writes_go_when_there_is_too_much(void **state)
{
    char written[] = "oldest.log";
    make("taskmanager.log", 4000, 1000);
    make("oldest.log", 4000, 900);
    make("old.log", 4000, 800);
    make("middle.log", 4000, 700);
    expect_ok(log_dir_trim(dir, is_written, written));
    assert_true(is_there("old.log")); /* all of them are just what is allowed */
    make("new.log", 4001, 600);
    expect_ok(log_dir_trim(dir, is_written, written));
    assert_true(is_there("taskmanager.log") && is_there("oldest.log") && is_there("new.log"));
    assert_false(is_there("old.log") || is_there("middle.log"));
}

static void there_are_at_most_so_many_files(void **state)
{
    char name[32], none[] = "";
    for (uint32_t i = 0; i < LOG_FILES_MAX + 3; i++) {
        snprintf(name, sizeof(name), "%u.log", i);
        make(name, 0, (int)(LOG_FILES_MAX + 3 - i));
    }
    expect_ok(log_dir_trim(dir, is_written, none));
    assert_false(is_there("0.log") || is_there("2.log"));
    assert_true(is_there("3.log"));
}

static void files_that_are_written_share_half_of_what_is_allowed(void **state)
{
    assert_int_equal(log_dir_file_max(dir, 1), SIZE_MAX_OF_ALL / 16);
    assert_int_equal(log_dir_file_max(dir, 8), SIZE_MAX_OF_ALL / 16);
    assert_int_equal(log_dir_file_max(dir, 100), SIZE_MAX_OF_ALL / 200);
}

/* Its path; mem_free it. */
static char *keep_core(uint32_t number, size_t size)
{
    char name[32], *path, *wanted, *from = log_dir_file(dir, "dumped");
    snprintf(name, sizeof(name), "job-%u-0", number);
    make("dumped", size, 1000 - (int)number);
    expect_ok(log_dir_keep_core(dir, from, name, &path));
    wanted = mem_printf("%s/taskmanager-1/cores/%s", root, name);
    assert_string_equal(path, wanted);
    assert_false(is_there("dumped"));
    mem_free(wanted);
    mem_free(from);
    return path;
}

static void of_cores_the_newest_are_kept_and_nobody_can_ask_for_them(void **state)
{
    char none[] = "", names[][32] = { "cores/job-1-0", "cores/job-2-0", "cores/job-3-0",
        "cores/job-4-0", "cores/job-5-0" };
    weir_buffer *out;
    for (uint32_t i = 1; i <= 4; i++)
        mem_free(keep_core(i, 100));
    assert_false(is_there(names[0]));
    assert_true(is_there(names[1]) && is_there(names[2]) && is_there(names[3]));
    mem_free(keep_core(5, SIZE_MAX_OF_ALL + 1)); /* alone it is more than there may be of logs */
    assert_true(is_there(names[4]));
    assert_false(is_there(names[1]) || is_there(names[2]) || is_there(names[3]));
    make("job-5-0.log", 10, 0);
    expect_ok(log_dir_trim(dir, is_written, none)); /* and costs no log */
    assert_true(is_there("job-5-0.log") && is_there(names[4]));
    expect_text(LOG_OUTPUT, NULL, LOG_END, "xxxxxxend\n");
    expect_error(ask(LOG_NAMED, names[4], LOG_END, &out), WEIR_E_CONNECTOR, "there is no log");
    weir_buffer_free(out);
}

static void a_core_that_cannot_be_moved_stays(void **state)
{
    char *path, *from = log_dir_file(dir, "none");
    expect_error(log_dir_keep_core(dir, from, "job-1-0", &path), WEIR_E_IO, "cores/job-1-0");
    assert_null(path);
    mem_free(from);
}

int main(void)
{
#define IN_DIR(test_) cmocka_unit_test_setup_teardown(test_, begin, end)
    const struct CMUnitTest tests[] = {
        IN_DIR(
            each_living_process_has_its_own_and_the_next_one_takes_over_what_a_dead_one_has_left),
        IN_DIR(a_root_that_cannot_be_had_is_named),
        IN_DIR(the_list_has_names_sizes_and_times),
        IN_DIR(a_text_is_read_from_anywhere_and_in_pieces),
        IN_DIR(its_own_log_and_what_was_printed_last_are_asked_for_without_a_name),
        IN_DIR(a_name_that_is_in_no_list_is_refused),
        IN_DIR(the_oldest_that_nobody_writes_go_when_there_is_too_much),
        IN_DIR(there_are_at_most_so_many_files),
        IN_DIR(files_that_are_written_share_half_of_what_is_allowed),
        IN_DIR(of_cores_the_newest_are_kept_and_nobody_can_ask_for_them),
        IN_DIR(a_core_that_cannot_be_moved_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

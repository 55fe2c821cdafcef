/* sim_os_test.c -- the simulated operating system: a contract that the real one keeps, too, and what a
 * crash, a power failure and a fault do to what was not synced.
 *
 * Every test of the contract runs twice, on the real table in a temporary directory and on the
 * simulated one. */
#include "test/sim/sim_os.h"

#include "base/memory.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static char *root;

static const char *at(const char *name)
{
    return temp_dir_path(root, "%s", name);
}

static int start_linux(void **state)
{
    root = temp_dir_new();
    return 0;
}

static int stop_linux(void **state)
{
    temp_dir_free(root);
    return 0;
}

static int start_sim(void **state)
{
    sim_os_start(7);
    root = mem_strdup("/disk");
    expect_ok(os_make_dirs(root));
    expect_ok(os_sync_dir("/"));
    return 0;
}

static int stop_sim(void **state)
{
    mem_free(root);
    sim_os_stop();
    return 0;
}

/* -- helpers -------------------------------------------------------------------------------------- */

static void put(const char *name, enum os_open_mode mode, const char *text, bool is_synced)
{
    struct os_file *file;
    expect_ok(os_open(at(name), mode, &file));
    expect_ok(os_write(file, text, strlen(text)));
    if (is_synced)
        expect_ok(os_sync(file));
    os_close(file);
}

/* The text of a file, "-" if there is none; in a buffer that the next call overwrites. */
static const char *get(const char *name)
{
    static char text[65536];
    struct os_stat stat;
    expect_ok(os_stat(at(name), &stat));
    if (!stat.exists)
        return "-";
    char *bytes;
    size_t size;
    expect_ok(os_read_file(at(name), sizeof(text) - 1, &bytes, &size));
    memcpy(text, bytes, size + 1);
    mem_free(bytes);
    return text;
}

static void expect_names(const char *dir, const char *expected)
{
    char **names, text[1024] = "";
    uint32_t count;
    size_t size = 0;
    expect_ok(os_list(at(dir), &names, &count));
    for (uint32_t i = 0; i < count; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s ", names[i]);
    }
    os_names_free(names, count);
    assert_string_equal(text, expected);
}

static int raw_open(const char *name, enum os_open_mode mode)
{
    void *handle;
    int error = os_current->open(at(name), mode, &handle);
    if (error == 0)
        os_current->close(handle);
    return error;
}

static int raw_rename(const char *from, const char *to)
{
    return os_current->rename(at(from), at(to));
}

/* -- the contract --------------------------------------------------------------------------------- */

static void opening_obeys_its_mode(void **state)
{
    assert_int_equal(raw_open("a", OS_READ), ENOENT);
    put("a", OS_CREATE, "one", false);
    assert_int_equal(raw_open("a", OS_CREATE), EEXIST);
    put("a", OS_APPEND, "two", false);
    assert_string_equal(get("a"), "onetwo");
    put("a", OS_TRUNCATE, "3", false);
    assert_string_equal(get("a"), "3");
    put("b", OS_APPEND, "new", false);
    put("c", OS_TRUNCATE, "", false);
    expect_names("", "a b c ");
}

static void opening_what_cannot_be_opened_says_why(void **state)
{
    expect_ok(os_make_dirs(at("d")));
    put("f", OS_CREATE, "text", false);
    assert_int_equal(raw_open("d", OS_TRUNCATE), EISDIR);
    assert_int_equal(raw_open("d", OS_APPEND), EISDIR);
    assert_int_equal(raw_open("d", OS_CREATE), EEXIST);
    assert_int_equal(raw_open("d", OS_READ), 0);
    assert_int_equal(raw_open("f/x", OS_READ), ENOTDIR);
    assert_int_equal(raw_open("f/x", OS_CREATE), ENOTDIR);
    assert_int_equal(raw_open("f/", OS_READ), ENOTDIR);
    assert_int_equal(raw_open("new/", OS_CREATE), EISDIR);
    assert_int_equal(raw_open("no/x", OS_CREATE), ENOENT);
    assert_int_equal(raw_open("d/", OS_CREATE), EISDIR);
    assert_int_equal(raw_open("f/", OS_APPEND), EISDIR);
    char name[300];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(raw_open(name, OS_CREATE), ENAMETOOLONG);
    name[255] = '\0';
    assert_int_equal(raw_open(name, OS_CREATE), 0);
}

static void reading_ends_at_the_end(void **state)
{
    char bytes[8] = "";
    size_t got;
    struct os_file *file;
    put("r", OS_CREATE, "0123456789", false);
    expect_ok(os_open(at("r"), OS_READ, &file));
    expect_ok(os_read_at(file, 8, bytes, 8, &got));
    assert_int_equal(got, 2);
    expect_ok(os_read_at(file, 10, bytes, 8, &got));
    assert_int_equal(got, 0);
    expect_ok(os_read_at(file, 1000, bytes, 8, &got));
    assert_int_equal(got, 0);
    put("r", OS_APPEND, "ab", false); /* an open file sees what others write */
    expect_ok(os_read_at(file, 8, bytes, 8, &got));
    assert_memory_equal(bytes, "89ab", 4);
    os_close(file);
    expect_ok(os_open(at(""), OS_READ, &file));
    expect_error(os_read(file, bytes, 8, &got), WEIR_E_IO, "Is a directory");
    os_close(file);
}

static void an_open_file_outlives_its_name(void **state)
{
    char bytes[8] = "";
    size_t got;
    struct os_file *reader, *writer;
    put("x", OS_CREATE, "old", false);
    expect_ok(os_open(at("x"), OS_READ, &reader));
    expect_ok(os_open(at("x"), OS_APPEND, &writer));
    expect_ok(os_remove(at("x")));
    put("x", OS_CREATE, "new", false);
    expect_ok(os_write(writer, "er", 2));
    expect_ok(os_read(reader, bytes, 8, &got));
    assert_memory_equal(bytes, "older", 5);
    assert_string_equal(get("x"), "new");
    os_close(reader);
    os_close(writer);
}

static void stat_tells_what_is_there(void **state)
{
    struct os_stat stat;
    put("s", OS_CREATE, "12345", false);
    expect_ok(os_stat(at("s"), &stat));
    assert_true(stat.exists && stat.is_regular && !stat.is_directory);
    assert_int_equal(stat.size, 5);
    assert_in_range(os_wall_ms() - stat.modified_ms + 1000, 0, 60000);
    expect_ok(os_stat(at("s/"), &stat));
    assert_false(stat.exists);
    expect_ok(os_stat(at("s/x"), &stat));
    assert_false(stat.exists);
    expect_ok(os_stat(at("."), &stat));
    assert_true(stat.is_directory && !stat.is_regular);
    expect_ok(os_make_dirs(at("d")));
    expect_ok(os_stat(at("d/../s"), &stat));
    assert_true(stat.is_regular);
    expect_ok(os_stat(at("no/../s"), &stat));
    assert_false(stat.exists);
}

static void directories_are_made_one_by_one(void **state)
{
    put("f", OS_CREATE, "", false);
    assert_int_equal(os_current->make_dir(at("d")), 0);
    assert_int_equal(os_current->make_dir(at("d/")), EEXIST);
    assert_int_equal(os_current->make_dir(at("d//e/")), 0);
    assert_int_equal(os_current->make_dir(at("f")), EEXIST);
    assert_int_equal(os_current->make_dir(at("f/")), EEXIST);
    assert_int_equal(os_current->make_dir(at("f/x")), ENOTDIR);
    assert_int_equal(os_current->make_dir(at("no/x")), ENOENT);
    assert_int_equal(os_current->make_dir(at("d/.")), EEXIST);
    expect_ok(os_make_dirs(at("d/e//g/")));
    expect_error(os_make_dirs(at("f/g")), WEIR_E_IO, "Not a directory");
    expect_names("", "d f ");
    expect_names("d/e", "g ");
    assert_int_equal(os_current->sync_dir(at("d")), 0);
    assert_int_equal(os_current->sync_dir(at("f")), ENOTDIR);
    assert_int_equal(os_current->sync_dir(at("no")), ENOENT);
    char **names;
    uint32_t count;
    assert_int_equal(os_current->list(at("f"), &names, &count), ENOTDIR);
    assert_int_equal(os_current->list(at("no"), &names, &count), ENOENT);
    assert_null(names);
}

static void renaming_replaces_only_its_like(void **state)
{
    expect_ok(os_make_dirs(at("d/full")));
    expect_ok(os_make_dirs(at("empty")));
    put("f", OS_CREATE, "f", false);
    put("g", OS_CREATE, "g", false);
    assert_int_equal(raw_rename("no", "x"), ENOENT);
    assert_int_equal(raw_rename("f", "no/x"), ENOENT);
    assert_int_equal(raw_rename("f", "g/x"), ENOTDIR);
    assert_int_equal(raw_rename("f", "d"), EISDIR);
    assert_int_equal(raw_rename("d", "f"), ENOTDIR);
    assert_int_equal(raw_rename("empty", "d"), ENOTEMPTY);
    assert_int_equal(raw_rename("d", "d/full/x"), EINVAL);
    assert_int_equal(raw_rename("f", "new/"), ENOTDIR);
    assert_int_equal(raw_rename("f/", "h"), ENOTDIR);
    assert_int_equal(raw_rename("f", "f"), 0);
    assert_int_equal(raw_rename("f", "g"), 0);
    assert_string_equal(get("g"), "f");
    assert_int_equal(raw_rename("d", "empty/"), 0);
    expect_names("", "empty g ");
    expect_names("empty", "full ");
    assert_int_equal(raw_rename("empty/full", "e"), 0);
    assert_int_equal(os_current->make_dir(at("e/../up")), 0);
    expect_names("", "e empty g up ");
}

static void a_link_is_a_second_name(void **state)
{
    expect_ok(os_make_dirs(at("d")));
    put("a", OS_CREATE, "one", false);
    assert_int_equal(os_current->link(at("a"), at("d/b")), 0);
    put("d/b", OS_APPEND, "two", false);
    assert_string_equal(get("a"), "onetwo");
    assert_int_equal(os_current->link(at("a"), at("d/b")), EEXIST);
    assert_int_equal(os_current->link(at("no"), at("c")), ENOENT);
    assert_int_equal(os_current->link(at("d"), at("c")), EPERM);
    assert_int_equal(os_current->link(at("a"), at("no/c")), ENOENT);
    assert_int_equal(raw_rename("a", "d/b"), 0); /* two names of one file: nothing happens */
    expect_names("", "a d ");
    expect_ok(os_remove(at("a")));
    assert_string_equal(get("d/b"), "onetwo");
}

static void removing_takes_files_and_empty_directories(void **state)
{
    expect_ok(os_make_dirs(at("d/e")));
    put("f", OS_CREATE, "", false);
    assert_int_equal(os_current->remove(at("no")), ENOENT);
    assert_int_equal(os_current->remove(at("f/x")), ENOTDIR);
    assert_int_equal(os_current->remove(at("f/")), ENOTDIR);
    assert_int_equal(os_current->remove(at("d")), ENOTEMPTY);
    assert_int_equal(os_current->remove(at("d/e")), 0);
    assert_int_equal(os_current->remove(at("d")), 0);
    assert_int_equal(os_current->remove(at("f")), 0);
    expect_names("", "");
    expect_ok(os_make_dirs(at("t/u/v")));
    put("t/u/f", OS_CREATE, "", false);
    expect_ok(os_remove_tree(at("t")));
    expect_names("", "");
}

static void whole_files_are_replaced(void **state)
{
    expect_ok(os_write_file(at("w"), "one", 3));
    expect_ok(os_write_file(at("w"), "two!", 4));
    assert_string_equal(get("w"), "two!");
    expect_names("", "w ");
}

/* -- what only the simulated one does ------------------------------------------------------------- */

static void fail_power(void)
{
    sim_os_kill(0);
    sim_os_reap(0);
    sim_os_power_loss();
}

/* Runs a story on a new disk for many seeds, and counts how it ended: the text of `name`. */
static uint32_t outcomes(void (*story)(void), const char *name, const char **texts,
    uint32_t *counts, uint32_t text_count)
{
    uint32_t others = 0;
    memset(counts, 0, text_count * sizeof(*counts));
    for (uint64_t seed = 1; seed <= 400; seed++) {
        sim_os_stop();
        sim_os_start(seed);
        expect_ok(os_make_dirs(root));
        expect_ok(os_sync_dir("/"));
        story();
        fail_power();
        const char *found = get(name);
        uint32_t i = 0;
        while (i < text_count && strcmp(found, texts[i]) != 0)
            i++;
        if (i < text_count)
            counts[i]++;
        else
            others++;
    }
    return others;
}

static void write_unsynced(void)
{
    put("f", OS_CREATE, "safe", true);
    expect_ok(os_sync_dir(at("")));
    put("f", OS_APPEND, " not", false);
}

static void a_power_failure_keeps_a_part_of_what_was_not_synced(void **state)
{
    const char *texts[] = { "safe", "safe not", "safe n", "safe no" };
    uint32_t counts[4];
    uint32_t others = outcomes(write_unsynced, "f", texts, counts, 4);
    for (int i = 0; i < 4; i++)
        assert_true(counts[i] > 0);
    assert_true(others > 0); /* zeros where a sector was lost */
}

static void write_synced(void)
{
    write_unsynced();
    put("f", OS_APPEND, "!", true);
}

static void what_was_synced_stays(void **state)
{
    const char *texts[] = { "safe not!" };
    uint32_t counts[1];
    assert_int_equal(outcomes(write_synced, "f", texts, counts, 1), 0);
}

static void write_without_a_name(void)
{
    put("f", OS_CREATE, "text", true);
}

static void a_synced_file_may_lose_its_name(void **state)
{
    const char *texts[] = { "-", "text" };
    uint32_t counts[2];
    assert_int_equal(outcomes(write_without_a_name, "f", texts, counts, 2), 0);
    assert_true(counts[0] > 50 && counts[1] > 50);
}

static void replace_by_rename(void)
{
    put("f", OS_CREATE, "old", true);
    expect_ok(os_sync_dir(at("")));
    put("t", OS_CREATE, "new", true);
    expect_ok(os_rename(at("t"), at("f")));
}

static void a_rename_happens_or_not_and_loses_nothing(void **state)
{
    const char *texts[] = { "old", "new" };
    uint32_t counts[2];
    assert_int_equal(outcomes(replace_by_rename, "f", texts, counts, 2), 0);
    assert_true(counts[0] > 50 && counts[1] > 50);
}

static void rename_without_sync(void)
{
    put("f", OS_CREATE, "old", true);
    expect_ok(os_sync_dir(at("")));
    put("t", OS_CREATE, "new", false);
    expect_ok(os_rename(at("t"), at("f")));
    expect_ok(os_sync_dir(at("")));
}

static void a_rename_of_what_was_not_synced_loses_both(void **state)
{
    const char *texts[] = { "", "new" };
    uint32_t counts[2];
    uint32_t others = outcomes(rename_without_sync, "f", texts, counts, 2);
    assert_true(counts[0] > 50 && counts[1] > 50 && others > 0);
}

static void remove_without_sync(void)
{
    put("f", OS_CREATE, "text", true);
    expect_ok(os_sync_dir(at("")));
    expect_ok(os_remove(at("f")));
}

static void what_was_removed_may_come_back(void **state)
{
    const char *texts[] = { "-", "text" };
    uint32_t counts[2];
    assert_int_equal(outcomes(remove_without_sync, "f", texts, counts, 2), 0);
    assert_true(counts[0] > 50 && counts[1] > 50);
}

static void make_dirs_without_their_parents(void)
{
    expect_ok(os_make_dirs(at("d")));
    put("d/f", OS_CREATE, "text", true);
    expect_ok(os_sync_dir(at("d")));
}

static void a_directory_that_was_not_synced_takes_its_files_along(void **state)
{
    const char *texts[] = { "-", "text" };
    uint32_t counts[2];
    assert_int_equal(outcomes(make_dirs_without_their_parents, "d/f", texts, counts, 2), 0);
    assert_true(counts[0] > 50 && counts[1] > 50);
}

static void fail_a_sync(void)
{
    put("f", OS_CREATE, "", true);
    expect_ok(os_sync_dir(at("")));
    struct os_file *file;
    expect_ok(os_open(at("f"), OS_APPEND, &file));
    expect_ok(os_write(file, "lost", 4));
    sim_os_fail_at(1, EIO);
    expect_error(os_sync(file), WEIR_E_IO, "cannot sync");
    expect_ok(os_sync(file)); /* says that all is well */
    os_close(file);
    assert_string_equal(get("f"), "lost");
}

static void a_second_sync_does_not_mend_a_failed_one(void **state)
{
    const char *texts[] = { "" };
    uint32_t counts[1];
    assert_int_equal(outcomes(fail_a_sync, "f", texts, counts, 1), 0);
}

static void a_crash_of_the_process_loses_nothing(void **state)
{
    struct os_file *file;
    put("f", OS_CREATE, "text", false);
    expect_ok(os_open(at("f"), OS_READ, &file));
    sim_os_kill(0);
    expect_error(os_remove(at("f")), WEIR_E_IO, "cannot remove");
    assert_int_equal(sim_os_open_files(0), 1);
    os_close(file);
    sim_os_reap(0);
    assert_string_equal(get("f"), "text");
}

static void another_process_goes_on(void **state)
{
    sim_os_kill(0);
    sim_os_run_as(1);
    put("f", OS_CREATE, "text", false);
    sim_os_run_as(0);
    assert_int_equal(raw_open("f", OS_READ), EIO);
    sim_os_reap(0);
    assert_string_equal(get("f"), "text");
}

static void the_nth_call_kills_or_fails(void **state)
{
    sim_os_fail_at(2, ENOSPC);
    put("a", OS_CREATE, "", false);
    assert_int_equal(raw_open("b", OS_CREATE), ENOSPC);
    assert_int_equal(raw_open("b", OS_CREATE), 0);
    sim_os_kill_at(1);
    assert_int_equal(os_current->remove(at("a")), EIO);
    assert_true(sim_os_is_dead(0));
    sim_os_reap(0);
    assert_string_equal(get("a"), "");
}

static void a_short_write_is_completed_by_whoever_asks(void **state)
{
    sim_os_short_write_at(1);
    put("a", OS_CREATE, "some text", true);
    assert_string_equal(get("a"), "some text");
    assert_int_equal(sim_os_stats().faults, 1);
}

static void a_lying_disk_loses_what_was_synced(void **state)
{
    uint32_t lost = 0;
    sim_os_lie_about_sync(true);
    for (int i = 0; i < 20; i++) {
        put("g", OS_TRUNCATE, i % 2 == 0 ? "even" : "odd", true);
        expect_ok(os_sync_dir(at("")));
        fail_power();
        lost += strcmp(get("g"), i % 2 == 0 ? "even" : "odd") != 0;
    }
    assert_in_range(lost, 3, 17);
}

static uint64_t some_story(uint64_t seed)
{
    sim_os_stop();
    sim_os_start(seed);
    expect_ok(os_make_dirs(root));
    sim_os_fail_one_in(5, EIO);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%02" PRIx64, os_random() % 16);
        weir_error_free(os_write_file(at(name), name, 2));
        if (i % 10 == 0)
            fail_power();
    }
    sim_os_fail_one_in(0, 0);
    return sim_os_trace();
}

static void the_same_seed_gives_the_same_trace(void **state)
{
    uint64_t first = some_story(3);
    assert_int_equal(some_story(3), first);
    assert_int_not_equal(some_story(4), first);
}

static void the_clock_moves_only_when_told(void **state)
{
    int64_t before_ns = os_monotonic_ns(), wall_ms = os_wall_ms();
    assert_int_equal(os_monotonic_ns(), before_ns);
    sim_os_advance_ns(5000000);
    assert_int_equal(os_monotonic_ns(), before_ns + 5000000);
    assert_int_equal(os_wall_ms(), wall_ms + 5);
    sim_os_jump_wall_ms(-3600000);
    assert_int_equal(os_wall_ms(), wall_ms + 5 - 3600000);
    assert_int_equal(os_monotonic_ns(), before_ns + 5000000);
}

static void a_pause_takes_its_time(void **state)
{
    int64_t before_ns = os_monotonic_ns();
    os_pause_ms(2);
    assert_true(os_monotonic_ns() >= before_ns + 2000000);
}

static void what_a_dead_process_waits_for_takes_nobody_elses_time(void **state)
{
    int64_t before_ns = os_monotonic_ns();
    sim_os_run_as(1);
    sim_os_kill(1);
    os_pause_ms(5);
    assert_true(os_monotonic_ns() >= before_ns + 5000000);
    sim_os_run_as(0);
    assert_int_equal(os_monotonic_ns(), before_ns);
    sim_os_reap(1);
    sim_os_run_as(1);
    assert_int_equal(os_monotonic_ns(), before_ns);
    sim_os_run_as(0);
}

static void a_call_of_something_else_can_be_the_last_one(void **state)
{
    assert_int_equal(sim_os_call('x', "that"), 0);
    sim_os_fail_at(1, EMFILE);
    assert_int_equal(sim_os_call('x', NULL), EMFILE);
    sim_os_kill_at(2);
    assert_int_equal(sim_os_call('x', NULL), 0);
    assert_int_not_equal(sim_os_call('x', NULL), 0);
    assert_true(sim_os_is_dead(sim_os_process()));
    sim_os_reap(sim_os_process());
}

static void kill_at_name(void *arg, const char *path)
{
    (void)arg;
    if (path != NULL && strstr(path, "fatal") != NULL)
        sim_os_kill(sim_os_process());
}

static void a_process_may_be_killed_right_before_a_call(void **state)
{
    struct os_stat stat;
    sim_os_on_disk_call(kill_at_name, NULL);
    expect_ok(os_make_dirs(at("fine")));
    expect_error(os_make_dirs(at("fatal")), WEIR_E_IO, "fatal");
    assert_true(sim_os_is_dead(sim_os_process()));
    sim_os_reap(sim_os_process());
    sim_os_run_as(SIM_OBSERVER); /* for whom nothing happens */
    expect_ok(os_stat(at("fatal"), &stat));
    assert_false(stat.exists);
    expect_ok(os_stat(at("fine"), &stat));
    assert_true(stat.exists);
}

#define BOTH(test_) \
    { #test_ " (linux)", test_, start_linux, stop_linux, NULL }, \
    { \
#test_ " (sim)", test_, start_sim, stop_sim, NULL \
    }
#define SIM(test_) cmocka_unit_test_setup_teardown(test_, start_sim, stop_sim)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(opening_obeys_its_mode),
        BOTH(opening_what_cannot_be_opened_says_why),
        BOTH(reading_ends_at_the_end),
        BOTH(an_open_file_outlives_its_name),
        BOTH(stat_tells_what_is_there),
        BOTH(directories_are_made_one_by_one),
        BOTH(renaming_replaces_only_its_like),
        BOTH(a_link_is_a_second_name),
        BOTH(removing_takes_files_and_empty_directories),
        BOTH(whole_files_are_replaced),
        SIM(a_power_failure_keeps_a_part_of_what_was_not_synced),
        SIM(what_was_synced_stays),
        SIM(a_synced_file_may_lose_its_name),
        SIM(a_rename_happens_or_not_and_loses_nothing),
        SIM(a_rename_of_what_was_not_synced_loses_both),
        SIM(what_was_removed_may_come_back),
        SIM(a_directory_that_was_not_synced_takes_its_files_along),
        SIM(a_second_sync_does_not_mend_a_failed_one),
        SIM(a_crash_of_the_process_loses_nothing),
        SIM(another_process_goes_on),
        SIM(the_nth_call_kills_or_fails),
        SIM(a_short_write_is_completed_by_whoever_asks),
        SIM(a_lying_disk_loses_what_was_synced),
        SIM(the_same_seed_gives_the_same_trace),
        SIM(the_clock_moves_only_when_told),
        BOTH(a_pause_takes_its_time),
        SIM(what_a_dead_process_waits_for_takes_nobody_elses_time),
        SIM(a_call_of_something_else_can_be_the_last_one),
        SIM(a_process_may_be_killed_right_before_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Files get into a checkpoint directory whole, once, and under a name that says what is in them. */
#include "base/os.h"
#include "base/worker.h"
#include "test/sim/sim_os.h"
#include "test/support/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct fixture {
    struct shelf shelf;
    struct arena arena;
    char from[128];
};

static void begin(struct fixture *it, const char *content)
{
    shelf_init(&it->shelf);
    arena_init(&it->arena, 4096, 1 << 20);
    snprintf(it->from, sizeof(it->from), "%s/finished", it->shelf.root);
    shelf_ok(os_write_file(it->from, content, strlen(content)));
}

static void end(struct fixture *it)
{
    arena_release(&it->arena);
    shelf_release(&it->shelf);
}

static void expect_content(struct fixture *it, const struct state_file *file, const char *content)
{
    char *path = shelf_path(&it->shelf, file);
    char *bytes;
    size_t size;
    shelf_ok(os_read_file(path, 1 << 20, &bytes, &size));
    assert_int_equal(size, strlen(content));
    assert_memory_equal(bytes, content, size);
    mem_free(bytes);
    mem_free(path);
}

static void the_name_says_checksum_length_and_attempt(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    char expected[128];
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 7, "000012.sst", &it.arena, &file));
    snprintf(expected, sizeof(expected), "shared/%016llx-5-7",
        (unsigned long long)hash_bytes("hello", 5));
    assert_string_equal(file.path, expected);
    assert_string_equal(file.name, "000012.sst");
    assert_int_equal(file.length, 5);
    assert_int_equal(file.checksum, hash_bytes("hello", 5));
    expect_content(&it, &file, "hello");
    shelf_ok(state_file_verify(it.shelf.root, &file));
    assert_true(state_file_exists(it.shelf.root, &file));
    end(&it);
}

static void storing_twice_keeps_one_file(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file first, second, other;
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &first));
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "b", &it.arena, &second));
    assert_string_equal(first.path, second.path);
    assert_int_equal(shelf_stored_count(&it.shelf), 1);
    shelf_ok(state_file_store(it.from, it.shelf.root, 2, "a", &it.arena, &other));
    assert_string_not_equal(first.path, other.path);
    assert_int_equal(shelf_stored_count(&it.shelf), 2);
    end(&it);
}

static int cannot_look(const char *path, struct os_stat *stat)
{
    (void)path;
    (void)stat;
    return EIO;
}

/* Who asks because the file must be there is told why nobody knows; who would store it again stores it. */
static void a_file_that_nobody_can_look_at_is_not_said_to_be_missing(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    bool exists;
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    const struct os *before = os_current;
    struct os broken = *before;
    broken.stat = cannot_look;
    os_current = &broken;
    shelf_fails(state_file_look(it.shelf.root, &file, &exists), WEIR_E_IO, strerror(EIO));
    assert_false(state_file_exists(it.shelf.root, &file));
    os_current = before;
    shelf_ok(state_file_look(it.shelf.root, &file, &exists));
    assert_true(exists);
    end(&it);
}

static void a_torn_file_of_that_name_is_replaced(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    char *path = shelf_path(&it.shelf, &file);
    shelf_ok(os_write_file(path, "hel", 3));
    assert_false(state_file_exists(it.shelf.root, &file));
    shelf_fails(state_file_verify(it.shelf.root, &file), WEIR_E_CORRUPT, "3 bytes instead of 5");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    expect_content(&it, &file, "hello");
    mem_free(path);
    end(&it);
}

static void a_changed_byte_of_a_stored_file_is_noticed(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    char *path = shelf_path(&it.shelf, &file);
    shelf_ok(os_write_file(path, "hallo", 5));
    shelf_fails(state_file_verify(it.shelf.root, &file), WEIR_E_CORRUPT, "its bytes have changed");
    mem_free(path);
    end(&it);
}

static void what_is_stored_survives_its_origin(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    shelf_ok(os_remove(it.from));
    expect_content(&it, &file, "hello");
    end(&it);
}

/* -- a power failure ------------------------------------------------------------------------ */

#define LONG_SIZE ((size_t)20000) /* some pages of the simulated disk */

static int no_link(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return EXDEV;
}

/* Stores a file that nobody has synced, on a disk that forgets what was not synced. */
static void lose_power_after_storing(uint64_t seed, bool has_links)
{
    static char bytes[LONG_SIZE];
    static struct os linkless;
    struct arena arena;
    struct os_file *origin;
    struct state_file file;
    memset(bytes, 'x', sizeof(bytes));
    arena_init(&arena, 4096, 1 << 20);
    sim_os_start(seed);
    const struct os *machine = os_current;
    linkless = *machine;
    linkless.link = no_link;
    os_current = has_links ? machine : &linkless;
    shelf_ok(os_make_dirs_durable("/shelf"));
    shelf_ok(os_open("/finished", OS_CREATE, &origin));
    shelf_ok(os_write(origin, bytes, sizeof(bytes)));
    os_close(origin);
    shelf_ok(state_file_store("/finished", "/shelf", 1, "a", &arena, &file));
    os_current = machine;
    sim_os_kill(0);
    sim_os_reap(0);
    sim_os_power_loss();
    shelf_ok(state_file_verify("/shelf", &file));
    sim_os_stop();
    arena_release(&arena);
}

static int stop_machine(void **state)
{
    (void)state;
    if (os_current != &os_linux) /* the test has failed */
        sim_os_stop();
    return 0;
}

static void what_was_copied_survives_a_power_failure(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 16; seed++)
        lose_power_after_storing(seed, false);
}

static void what_was_linked_survives_a_power_failure(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 16; seed++)
        lose_power_after_storing(seed, true);
}

static void an_empty_file_is_a_file(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    begin(&it, "");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    assert_int_equal(file.length, 0);
    shelf_ok(state_file_verify(it.shelf.root, &file));
    end(&it);
}

static void a_missing_origin_leaves_nothing_behind(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    begin(&it, "hello");
    shelf_ok(os_remove(it.from));
    shelf_fails(state_file_store(it.from, it.shelf.root, 1, "000012.sst", &it.arena, &file),
        WEIR_E_IO, "cannot store the state file '000012.sst'");
    assert_int_equal(shelf_stored_count(&it.shelf), 0);
    end(&it);
}

static void large_files_are_read_to_their_end(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    begin(&it, "");
    const size_t sizes[] = { (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 700 << 10 };
    char *bytes = mem_alloc(700 << 10);
    for (size_t i = 0; i < 700 << 10; i++)
        bytes[i] = (char)(i * 131 >> 5);
    for (size_t i = 0; i < 4; i++) {
        shelf_ok(os_write_file(it.from, bytes, sizes[i]));
        shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
        assert_int_equal(file.length, sizes[i]);
        assert_int_equal(file.checksum, hash_bytes(bytes, sizes[i]));
        shelf_ok(state_file_verify(it.shelf.root, &file));
    }
    mem_free(bytes);
    end(&it);
}

/* -- many files ------------------------------------------------------------------------------- */

#define MANY 20u

static void store_many(struct fixture *it, struct state_file files[MANY],
    struct state_file *list[MANY])
{
    for (uint32_t i = 0; i < MANY; i++) {
        char content[32], name[16];
        snprintf(content, sizeof(content), "content %u", i);
        snprintf(name, sizeof(name), "%u", i);
        shelf_ok(os_write_file(it->from, content, strlen(content)));
        shelf_ok(state_file_store(it->from, it->shelf.root, 1, name, &it->arena, &files[i]));
        files[i].identity = 0; /* as in another process */
        list[i] = &files[i];
    }
}

/* Other bytes, as many, in place; the time of the change is not told if `is_silent`. */
static void damage(struct fixture *it, const struct state_file *file, bool is_silent)
{
    char *path = shelf_path(&it->shelf, file);
    struct stat stat_before;
    assert_int_equal(stat(path, &stat_before), 0);
    const struct timespec changed = { .tv_sec = stat_before.st_mtim.tv_sec + 60 };
    const struct timespec times[] = { stat_before.st_atim,
        is_silent ? stat_before.st_mtim : changed };
    FILE *stream = fopen(path, "r+");
    assert_non_null(stream);
    assert_int_equal(fputc('X', stream), 'X');
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    mem_free(path);
}

static void of_many_files_the_first_that_is_broken_is_named_and_none_is_believed_that_was_not_read(
    void **state)
{
    struct workers *workers[] = { NULL, workers_new(0, 8), workers_new(3, 8) };
    (void)state;
    for (size_t w = 0; w < sizeof(workers) / sizeof(workers[0]); w++) {
        struct fixture it;
        struct state_file files[MANY], *list[MANY];
        begin(&it, "");
        store_many(&it, files, list);
        shelf_ok(state_files_verify(it.shelf.root, workers[w], list, MANY));
        for (uint32_t i = 0; i < MANY; i++) {
            assert_true(files[i].is_verified && files[i].identity != 0);
            files[i].is_verified = false;
        }
        damage(&it, &files[7], false);
        shelf_fails(state_files_verify(it.shelf.root, workers[w], list, MANY), WEIR_E_CORRUPT,
            files[7].path);
        assert_false(files[7].is_verified);
        assert_int_equal(files[7].identity, 0);
        shelf_ok(state_files_verify(it.shelf.root, workers[w], list, 7));
        for (uint32_t i = 0; i < 7; i++)
            assert_true(files[i].is_verified);
        end(&it);
        workers_free(workers[w]);
    }
    shelf_ok(state_files_verify("/nowhere", NULL, NULL, 0));
}

static void whoever_stores_a_file_has_read_it_unless_he_is_told_what_is_in_it(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file;
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    assert_true(file.identity != 0);
    assert_true(file.identity == state_file_identity(it.shelf.root, &file));
    assert_false(file.is_verified);
    const struct state_content known = { .length = 5, .checksum = hash_bytes("hello", 5) };
    shelf_ok(state_file_add(it.from, &known, it.shelf.root, 2, "a", &it.arena, &file));
    assert_int_equal(file.identity, 0);
    end(&it);
}

/* As in another process that was told: it has the list and the identities, and has read nothing. */
static void what_another_process_has_read_is_not_read_again_while_it_is_the_same_file(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file, *list = &file;
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    shelf_ok(state_files_verify(it.shelf.root, NULL, &list, 1));
    const uint64_t told = file.identity;
    assert_true(told == state_file_identity(it.shelf.root, &file));

    damage(&it, &file, true); /* nobody could know: so whoever does not notice has not read */
    file.is_verified = false;
    shelf_ok(state_files_verify(it.shelf.root, NULL, &list, 1));
    assert_true(file.is_verified);
    const uint64_t others[] = { 0, told + 1 };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        file.is_verified = false;
        file.identity = others[i];
        shelf_fails(state_files_verify(it.shelf.root, NULL, &list, 1), WEIR_E_CORRUPT,
            "its bytes have changed");
    }
    file.identity = told;
    damage(&it, &file, false); /* in its own time */
    shelf_fails(state_files_verify(it.shelf.root, NULL, &list, 1), WEIR_E_CORRUPT, file.path);
    end(&it);
}

static void another_file_of_the_same_name_and_time_is_another_file(void **state)
{
    (void)state;
    struct fixture it;
    struct state_file file, *list = &file;
    struct stat before;
    begin(&it, "hello");
    shelf_ok(state_file_store(it.from, it.shelf.root, 1, "a", &it.arena, &file));
    shelf_ok(state_files_verify(it.shelf.root, NULL, &list, 1));
    char *path = shelf_path(&it.shelf, &file), *aside = mem_printf("%s-aside", path);
    assert_int_equal(stat(path, &before), 0);
    shelf_ok(os_write_file(aside, "hallo", 5));
    assert_int_equal(utimensat(AT_FDCWD, aside,
                         (struct timespec[]){ before.st_atim, before.st_mtim }, 0),
        0);
    shelf_ok(os_rename(aside, path));
    file.is_verified = false;
    shelf_fails(state_files_verify(it.shelf.root, NULL, &list, 1), WEIR_E_CORRUPT, path);
    mem_free(aside);
    mem_free(path);
    end(&it);
}

static void what_is_not_there_or_leads_elsewhere_has_no_identity(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it, "hello");
    const char *paths[] = { "shared/none", "../finished", "/etc/passwd", "" };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct state_file file = { .name = "a", .path = paths[i], .length = 5 }, *list = &file;
        assert_int_equal(state_file_identity(it.shelf.root, &file), 0);
        shelf_fails(state_files_verify(it.shelf.root, NULL, &list, 1), WEIR_E_CORRUPT, paths[i]);
        assert_false(file.is_verified);
    }
    end(&it);
}

static void names_tell_their_attempt(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_ours;
        uint64_t attempt;
    } cases[] = {
        { "00000000deadbeef-1048576-7", true, 7 },
        { "tmp-12-00000000deadbeef", true, 12 },
        { "tmp-12-", false, 0 },
        { "tmp--00000000deadbeef", false, 0 },
        { "00000000deadbeef-1048576", false, 0 },
        { "00000000deadbeef-1048576-7x", false, 0 },
        { "00000000DEADBEEF-1048576-7", false, 0 },
        { "_metadata", false, 0 },
        { "", false, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t attempt = 0;
        assert_int_equal(state_file_attempt(cases[i].name, &attempt), cases[i].is_ours);
        if (cases[i].is_ours)
            assert_int_equal(attempt, cases[i].attempt);
    }
    struct fixture it;
    begin(&it, "x");
    uint64_t attempt;
    const char *temporary = state_file_temporary(it.shelf.root, 9, &it.arena);
    assert_true(state_file_attempt(strrchr(temporary, '/') + 1, &attempt));
    assert_int_equal(attempt, 9);
    end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_says_checksum_length_and_attempt),
        cmocka_unit_test(storing_twice_keeps_one_file),
        cmocka_unit_test(a_file_that_nobody_can_look_at_is_not_said_to_be_missing),
        cmocka_unit_test(a_torn_file_of_that_name_is_replaced),
        cmocka_unit_test(a_changed_byte_of_a_stored_file_is_noticed),
        cmocka_unit_test(what_is_stored_survives_its_origin),
        cmocka_unit_test_teardown(what_was_copied_survives_a_power_failure, stop_machine),
        cmocka_unit_test_teardown(what_was_linked_survives_a_power_failure, stop_machine),
        cmocka_unit_test(an_empty_file_is_a_file),
        cmocka_unit_test(a_missing_origin_leaves_nothing_behind),
        cmocka_unit_test(large_files_are_read_to_their_end),
        cmocka_unit_test(
            of_many_files_the_first_that_is_broken_is_named_and_none_is_believed_that_was_not_read),
        cmocka_unit_test(what_another_process_has_read_is_not_read_again_while_it_is_the_same_file),
        cmocka_unit_test(another_file_of_the_same_name_and_time_is_another_file),
        cmocka_unit_test(whoever_stores_a_file_has_read_it_unless_he_is_told_what_is_in_it),
        cmocka_unit_test(what_is_not_there_or_leads_elsewhere_has_no_identity),
        cmocka_unit_test(names_tell_their_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

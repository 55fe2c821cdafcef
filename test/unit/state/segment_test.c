/* What is appended to a log comes back from its segments, in order, and a damaged one is refused. */
#include "state/segment.h"

#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_os.h"
#include "test/support/shelf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct shelf shelf;
    struct segment_log log;
    char text[256]; /* what was replayed: "key=value " for each row */
};

static void begin(struct fixture *it)
{
    *it = (struct fixture){ 0 };
    shelf_init(&it->shelf);
    struct backend_options options = shelf_options(&it->shelf, shelf_all_groups());
    shelf_ok(os_make_dirs(options.directory));
    segment_log_init(&it->log, &options);
}

static void end(struct fixture *it)
{
    segment_log_release(&it->log);
    shelf_release(&it->shelf);
}

static void fill(struct changes *changes, const char *key, uint32_t group, const char *value)
{
    struct row_key row = shelf_row(1, key);
    row.group = group;
    changes_begin(changes, &row, false);
    changes_add(changes, WEIR_STR(""), weir_str_of(value));
    assert_true(changes_end(changes));
}

static struct segment_place append(struct fixture *it, uint64_t number, const char *key,
    uint32_t group, const char *value)
{
    struct changes changes = { 0 };
    struct segment_place place;
    fill(&changes, key, group, value);
    shelf_ok(segment_log_append(&it->log, number, &changes, &place));
    changes_release(&changes);
    return place;
}

static weir_error *note(void *arg, const struct changes *changes)
{
    struct fixture *it = arg;
    const struct change_row *row = NULL;
    while ((row = changes_next(changes, row)) != NULL) {
        weir_str name, value, key = change_row_key(row).key;
        struct change_cells cells = change_cells(row);
        assert_true(change_cells_next(&cells, &name, &value));
        size_t size = strlen(it->text);
        snprintf(it->text + size, sizeof(it->text) - size, "%.*s=%.*s ", (int)key.size, key.data,
            (int)value.size, value.data);
    }
    return NULL;
}

/* Replays all segments that a snapshot up to `number` lists. */
static uint32_t replay(struct fixture *it, uint64_t number, struct group_range groups)
{
    struct arena arena;
    struct state_file files[8];
    uint32_t count = 0;
    arena_init(&arena, 4096, 1 << 20);
    it->text[0] = '\0';
    shelf_ok(segment_log_store(&it->log, number, &arena, files, &count));
    for (uint32_t i = 0; i < count; i++) {
        assert_true(segment_is_name(files[i].name));
        char *path = shelf_path(&it->shelf, &files[i]);
        shelf_ok(segment_replay(path, groups, note, it));
        mem_free(path);
    }
    arena_release(&arena);
    return count;
}

static void lists_come_back_in_order(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    append(&it, 1, "a", 1, "1");
    append(&it, 2, "b", 2, "2");
    segment_log_seal(&it.log);
    append(&it, 3, "a", 1, "3");
    segment_log_seal(&it.log);
    append(&it, 4, "later", 1, "4");
    assert_int_equal(replay(&it, 3, shelf_all_groups()), 2);
    assert_string_equal(it.text, "a=1 b=2 a=3 ");
    end(&it);
}

static void other_groups_are_left_out(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    append(&it, 1, "a", 1, "1");
    append(&it, 2, "b", 2, "2");
    segment_log_seal(&it.log);
    replay(&it, 2, (struct group_range){ 2, 3 });
    assert_string_equal(it.text, "b=2 ");
    end(&it);
}

static void what_the_base_has_is_dropped(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    append(&it, 1, "a", 1, "1");
    segment_log_seal(&it.log);
    append(&it, 2, "b", 2, "2");
    append(&it, 3, "c", 2, "3");
    segment_log_seal(&it.log);
    segment_log_drop(&it.log, 2); /* the second segment has a later list, too */
    assert_int_equal(replay(&it, 3, shelf_all_groups()), 1);
    assert_string_equal(it.text, "b=2 c=3 ");
    segment_log_drop(&it.log, 3);
    assert_int_equal(replay(&it, 3, shelf_all_groups()), 0);
    assert_int_equal(it.log.size, 0);
    end(&it);
}

static void a_segment_is_stored_once(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    append(&it, 1, "a", 1, "1");
    segment_log_seal(&it.log);
    replay(&it, 1, shelf_all_groups());
    assert_int_equal(shelf_stored_count(&it.shelf), 1);
    append(&it, 2, "b", 1, "2");
    segment_log_seal(&it.log);
    replay(&it, 2, shelf_all_groups());
    assert_int_equal(shelf_stored_count(&it.shelf), 2);
    end(&it);
}

static void a_list_can_be_read_back(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    append(&it, 1, "a", 1, "1");
    struct segment_place place = append(&it, 2, "b", 1, "2");
    struct changes changes = { 0 };
    fill(&changes, "b", 1, "?");
    changes_unload(&changes);
    shelf_ok(segment_log_read(&it.log, place, &changes));
    shelf_ok(note(&it, &changes));
    assert_string_equal(it.text, "b=2 ");
    changes_release(&changes);
    end(&it);
}

/* Else half a list would pass for one that is in memory. */
static void a_list_that_cannot_be_read_whole_is_not_there_in_part(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    struct segment_place place = append(&it, 1, "a", 1, "1");
    struct changes changes = { 0 };
    fill(&changes, "a", 1, "?");
    changes_unload(&changes);
    shelf_ok(os_write_file(it.log.segments[0].path, "short", 5));
    shelf_fails(segment_log_read(&it.log, place, &changes), WEIR_E_CORRUPT, "too short");
    assert_null(changes.bytes);
    assert_int_equal(changes.capacity, 0);
    changes_release(&changes);
    end(&it);
}

/* Every byte of the file in turn. Some damage only changes a value: the checksum of the file tells that. */
static void a_damaged_segment_is_refused_or_harmless(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    append(&it, 1, "key", 1, "value");
    segment_log_seal(&it.log);
    char *bytes;
    size_t size;
    uint32_t refused = 0;
    shelf_ok(os_read_file(it.log.segments[0].path, 1 << 20, &bytes, &size));
    char *path = mem_printf("%s/damaged", it.shelf.root);
    for (size_t at = 0; at < size; at++) {
        bytes[at] ^= 0x41;
        shelf_ok(os_write_file(path, bytes, size));
        weir_error *error = segment_replay(path, shelf_all_groups(), note, &it);
        it.text[0] = '\0';
        if (error != NULL) {
            assert_int_equal(weir_error_code(error), WEIR_E_CORRUPT);
            refused++;
        }
        weir_error_free(error);
        bytes[at] ^= 0x41;
        shelf_ok(os_write_file(path, bytes, at));
        error = segment_replay(path, shelf_all_groups(), note, &it);
        assert_true((error == NULL) == (at == 0));
        weir_error_free(error);
    }
    assert_true(refused > 40);
    mem_free(path);
    mem_free(bytes);
    end(&it);
}

/* -- a disk that fails, and then the power ------------------------------------------------------ */

static int stop_machine(void **state)
{
    (void)state;
    if (os_current != &os_linux) /* the test has failed */
        sim_os_stop();
    return 0;
}

static void lose_power_after(struct fixture *it, const struct state_file *file)
{
    char *path = mem_printf("/shelf/%s", file->path);
    segment_log_release(&it->log);
    sim_os_kill(0);
    sim_os_reap(0);
    sim_os_power_loss();
    it->text[0] = '\0';
    shelf_ok(segment_replay(path, shelf_all_groups(), note, it));
    assert_string_equal(it->text, "a=1 ");
    mem_free(path);
}

/* The nth call of the disk fails while a segment is synced ahead, or not, and stored, and both are tried again. False:
 * there are not so many. */
static bool a_call_fails(uint64_t nth, uint64_t seed, bool is_synced_ahead)
{
    struct fixture it = { .text = "" };
    const struct backend_options options = { .directory = "/work", .checkpoint_dir = "/shelf" };
    struct arena arena;
    struct state_file file;
    uint32_t count = 0;
    sim_os_start(seed);
    arena_init(&arena, 4096, 1 << 20);
    shelf_ok(os_make_dirs_durable("/work"));
    shelf_ok(os_make_dirs_durable("/shelf"));
    segment_log_init(&it.log, &options);
    append(&it, 1, "a", 1, "1");
    sim_os_fail_at(nth, EIO);
    weir_error *error = is_synced_ahead ? segment_log_sync(&it.log) : NULL;
    segment_log_seal(&it.log);
    if (!it.log.is_broken)
        error = weir_error_join(error, segment_log_store(&it.log, 1, &arena, &file, &count));
    bool has_failed = sim_os_stats().faults > 0;
    weir_error_free(error);
    sim_os_fail_at(0, 0);
    count = 0;
    if (!it.log.is_broken) {
        shelf_ok(segment_log_store(&it.log, 1, &arena, &file, &count));
        assert_int_equal(count, 1);
        shelf_ok(os_sync_dir("/shelf")); /* as whoever completes the checkpoint does */
        lose_power_after(&it, &file);
    }
    segment_log_release(&it.log);
    sim_os_stop();
    arena_release(&arena);
    return has_failed;
}

/* A sync that is called again after a failure says that all is well, and it is not. */
static void a_segment_that_could_not_be_synced_is_never_taken_for_safe(void **state)
{
    (void)state;
    for (uint32_t ahead = 0; ahead < 2; ahead++) {
        uint64_t nth = 1;
        for (; a_call_fails(nth, 1, ahead > 0); nth++)
            for (uint64_t seed = 2; seed <= 16; seed++)
                assert_true(a_call_fails(nth, seed, ahead > 0));
        assert_true(nth > 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_come_back_in_order),
        cmocka_unit_test(other_groups_are_left_out),
        cmocka_unit_test(what_the_base_has_is_dropped),
        cmocka_unit_test(a_segment_is_stored_once),
        cmocka_unit_test(a_list_can_be_read_back),
        cmocka_unit_test(a_list_that_cannot_be_read_whole_is_not_there_in_part),
        cmocka_unit_test(a_damaged_segment_is_refused_or_harmless),
        cmocka_unit_test_teardown(a_segment_that_could_not_be_synced_is_never_taken_for_safe,
            stop_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

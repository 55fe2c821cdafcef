/* savepoint_test.c -- there and back: what was in the checkpoint is in the job, whatever the backend, the
 * parallelism, the maximum parallelism; and what is damaged on the way never gets in. */
#include "checkpoint/savepoint.h"

#include "base/fault.h"
#include "base/os_process.h"
#include "base/sealed.h"
#include "checkpoint/savepoint_format.h"
#include "test/support/fault_os.h"
#include "test/unit/checkpoint/savepoint_kit.h"

#include <errno.h>
#include <sys/wait.h>

static const struct backend_class *const classes[] = { &backend_hashmap, &backend_rocksdb,
    &backend_cache };

/* What is compared: every state, and the timers. Parallelisms and backends do not show in it. */
static void expect_same(const struct kit *kit, const struct checkpoint_metadata *restored,
    const struct backend_class *from, const struct backend_class *to)
{
    char *target = mem_printf("%s/job", kit->dir);
    for (uint32_t i = 0; i <= STATE_COUNT; i++) {
        uint32_t state = i == STATE_COUNT ? STATE_NUMBER_TIMERS : i;
        struct kit_digest before = kit_digest(kit->shelf.root, &kit->metadata, from, state);
        struct kit_digest after = kit_digest(target, restored, to, state);
        assert_true(before.count >= KIT_KEYS);
        assert_int_equal(before.count, after.count);
        assert_int_equal(before.sum, after.sum);
    }
    mem_free(target);
}

static void round_trip(const struct backend_class *from, const struct backend_class *to,
    uint32_t parallelism)
{
    struct kit kit;
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    kit_init(&kit, from, parallelism);
    kit_save(&kit);
    expect_ok(kit_import(&kit, &expected, to->format, SHELF_MAX_PARALLELISM, false, &restored));
    expect_same(&kit, &restored, from, to);
    assert_int_equal(restored.instance, 99);
    assert_int_equal(restored.checkpoint, 7);
    checkpoint_metadata_release(&restored);
    kit_release(&kit);
}

static void state_of_every_kind_goes_from_any_backend_to_any_other(void **state)
{
    for (size_t from = 0; from < COUNT_OF(classes); from++)
        for (size_t to = 0; to < 2; to++)
            round_trip(classes[from], classes[to], 1 + (uint32_t)(from + to) % 3);
}

static void another_maximum_parallelism_deals_the_keys_anew(void **state)
{
    static const uint32_t maxima[] = { 1, 5, 128 };
    for (size_t i = 0; i < COUNT_OF(maxima); i++) {
        struct kit kit;
        struct checkpoint_metadata restored;
        struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
        kit_init(&kit, &backend_hashmap, 3);
        kit_save(&kit);
        expect_ok(kit_import(&kit, &expected, "hashmap", maxima[i], false, &restored));
        expect_same(&kit, &restored, &backend_hashmap, &backend_hashmap);
        assert_int_equal(restore_counter(&restored, WEIR_STR("op"), WEIR_STR("late")), 18);
        checkpoint_metadata_release(&restored);
        kit_release(&kit);
    }
}

static void items_counters_and_staged_files_are_as_they_were(void **state)
{
    struct kit kit;
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    kit_init(&kit, &backend_hashmap, 2);
    kit_save(&kit);
    expect_ok(kit_import(&kit, &expected, "hashmap", SHELF_MAX_PARALLELISM, false, &restored));
    assert_int_equal(restored.operator_count, 4);
    const struct operator_snapshot *source = &restored.operators[3];
    assert_true(weir_str_equal(source->uid, WEIR_STR("source")));
    assert_int_equal(source->subtask, 1);
    assert_true(weir_str_equal(source->items[0].value, WEIR_STR("1\0002")));
    assert_int_equal(source->staged_count, 1);
    assert_int_equal(source->staged[0].checksum, kit.metadata.operators[3].staged[0].checksum);
    assert_int_equal(restore_counter(&restored, WEIR_STR("op"), WEIR_STR("late")), 11);
    checkpoint_metadata_release(&restored);
    kit_release(&kit);
}

static void a_savepoint_can_be_moved_and_its_checkpoint_deleted(void **state)
{
    struct kit kit;
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    kit_init(&kit, &backend_rocksdb, 1);
    kit_save(&kit);
    char *moved = mem_printf("%s/moved", kit.dir);
    expect_ok(os_rename(kit.savepoint, moved));
    mem_free(kit.savepoint);
    kit.savepoint = moved;
    expect_ok(os_remove_tree(kit.shelf.root));
    expect_ok(kit_import(&kit, &expected, "hashmap", SHELF_MAX_PARALLELISM, false, &restored));
    checkpoint_metadata_release(&restored);
    kit_release(&kit);
}

static char *make_dir(const struct kit *kit, const char *name)
{
    char *path = mem_printf("%s/savepoints/%s", kit->dir, name),
         *inner = mem_printf("%s/inner", path);
    expect_ok(os_make_dirs(inner));
    mem_free(inner);
    return path;
}

static bool is_there(const char *path)
{
    struct os_stat stat;
    expect_ok(os_stat(path, &stat));
    return stat.exists;
}

static void sweep(const struct kit *kit)
{
    char *root = mem_printf("%s/savepoints", kit->dir);
    savepoint_sweep(root, kit->metadata.job);
    mem_free(root);
}

static void the_next_savepoint_removes_what_a_dead_writer_left_and_nothing_else(void **state)
{
    static const char *const others[] = { ".savepoint-shop-2-7-0123abcd",
        ".savepoint-shops-7-0123abcd", ".savepoint-shop-7-0123abcd0", ".savepoint-shop-7-0123abcg",
        ".savepoint-shop--0123abcd", "savepoint-shop-7-0123abcd", ".savepoint-sho-7-0123abcd" };
    struct kit kit;
    kit_init(&kit, &backend_hashmap, 1);
    assert_true(weir_str_equal(kit.metadata.job, WEIR_STR("shop")));
    char *dead = make_dir(&kit, ".savepoint-shop-7-0123abcd"), *paths[COUNT_OF(others)];
    char *living = make_dir(&kit, ".savepoint-shop-7-4567abcd");
    for (size_t i = 0; i < COUNT_OF(others); i++)
        paths[i] = make_dir(&kit, others[i]);
    int claim = os_dir_claim(living);
    assert_true(claim >= 0);
    kit_save(&kit);
    assert_false(is_there(dead));
    assert_true(is_there(living));
    os_dir_unclaim(claim);
    sweep(&kit);
    assert_false(is_there(living));
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_true(is_there(paths[i]));
        mem_free(paths[i]);
    }
    mem_free(dead);
    mem_free(living);
    kit_release(&kit);
}

static void a_pinned_checkpoint_may_be_deleted_before_its_savepoint_is_written(void **state)
{
    struct kit kit;
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    kit_init(&kit, &backend_cache, 2);
    char *pin = mem_printf("%s/pin", kit.dir);
    expect_ok(savepoint_pin(kit.shelf.root, &kit.metadata, pin));
    expect_ok(os_remove_tree(kit.shelf.root));
    struct scan_place place = { .dir = pin, .work_dir = pin };
    expect_ok(savepoint_write(&place, &kit.metadata, kit.dir, &kit.savepoint));
    expect_ok(kit_import(&kit, &expected, "rocksdb", SHELF_MAX_PARALLELISM, false, &restored));
    checkpoint_metadata_release(&restored);
    mem_free(pin);
    kit_release(&kit);
}

/* -- changed states ------------------------------------------------------------------------------- */

/* `profile` and `note`, years later: a field is gone, one is new, one has another place and name. */
struct visitor {
    weir_str city;
    int64_t calls;
    uint64_t user_id;
};
WEIR_TYPE(visitor, WEIR_FIELD(9, visitor, city), WEIR_FIELD(2, visitor, calls),
    WEIR_FIELD(1, visitor, user_id));

static void fields_are_found_by_id_and_states_by_name(void **state)
{
    static const struct weir_state now[] = {
        { .name = "new", .kind = WEIR_VALUE, .type = &visitor_type },
        { .name = "list", .kind = WEIR_LIST, .type = &visitor_type },
        { .name = "fixed", .kind = WEIR_VALUE, .type = &visitor_type, .ttl_ms = 60000 },
    };
    struct kit kit;
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(now, COUNT_OF(now));
    kit_init(&kit, &backend_rocksdb, 2);
    kit_save(&kit);
    expect_error(kit_import(&kit, &expected, "hashmap", SHELF_MAX_PARALLELISM, false, &restored),
        WEIR_E_STATE, "state 'longest': the job does not have it any more");
    expect_ok(kit_import(&kit, &expected, "hashmap", SHELF_MAX_PARALLELISM, true, &restored));
    struct backend_source sources[2] = { { .groups = restored.operators[0].groups,
                                             .files = restored.operators[0].files,
                                             .file_count = restored.operators[0].file_count },
        { .groups = restored.operators[2].groups,
            .files = restored.operators[2].files,
            .file_count = restored.operators[2].file_count } };
    struct backend_options options = { .checkpoint_dir = temp_dir_path(kit.dir, "job"),
        .groups = shelf_all_groups(),
        .memory_size = 8u << 20 };
    struct backend *backend;
    expect_ok(backend_hashmap.open(&options, sources, 2, &backend));
    struct keyed *keyed = keyed_new(backend, now, COUNT_OF(now), SHELF_MAX_PARALLELISM);
    keyed_set_time(keyed, os_wall_ms(), 0);
    weir_str key = WEIR_STR("key-17");
    keyed_select(keyed, key, key_hash(key));
    const struct visitor *visitor = keyed_read(keyed, 2, WEIR_STR(""));
    assert_non_null(visitor);
    assert_int_equal(visitor->user_id, 17);
    assert_int_equal(visitor->calls, -17);
    assert_null(visitor->city.data);
    assert_null(keyed_read(keyed, 0, WEIR_STR("")));
    keyed_list_add(keyed, 1, &(struct visitor){ .user_id = 3 }); /* the place is known */
    expect_ok(keyed_commit(keyed));
    keyed_select(keyed, key, key_hash(key));
    keyed_set_time(keyed, os_wall_ms() + 120000, 0); /* it began to live at the restore */
    assert_null(keyed_read(keyed, 2, WEIR_STR("")));
    keyed_free(keyed);
    checkpoint_metadata_release(&restored);
    kit_release(&kit);
}

/* -- damage --------------------------------------------------------------------------------------- */

static weir_error *import_again(struct kit *kit)
{
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    weir_error *error =
        kit_import(kit, &expected, "hashmap", SHELF_MAX_PARALLELISM, false, &restored);
    if (error == NULL)
        checkpoint_metadata_release(&restored);
    return error;
}

static void damage(const char *path, size_t offset, char *before, bool is_undone)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    if (!is_undone) {
        assert_int_equal(fread(before, 1, 1, file), 1);
        fseek(file, (long)offset, SEEK_SET);
    }
    fputc(is_undone ? *before : *before ^ 0x10, file);
    assert_int_equal(fclose(file), 0);
}

static void a_flipped_bit_anywhere_is_corruption(void **state)
{
    struct kit kit;
    kit_init(&kit, &backend_hashmap, 1);
    kit_save(&kit);
    char **names;
    uint32_t count;
    expect_ok(os_list(kit.savepoint, &names, &count));
    assert_int_equal(count, 3); /* metadata, entries, staged */
    for (uint32_t i = 0; i < count; i++) {
        const char *path = temp_dir_path(kit.savepoint, "%s", names[i]);
        struct os_stat stat;
        expect_ok(os_stat(path, &stat));
        size_t step = stat.size / 60 + 1;
        for (size_t at = 0; at < stat.size; at += step) {
            char before;
            damage(path, at, &before, false);
            expect_error(import_again(&kit), WEIR_E_CORRUPT, names[i]);
            damage(path, at, &before, true);
        }
    }
    expect_ok(import_again(&kit));
    os_names_free(names, count);
    kit_release(&kit);
}

static void a_file_that_is_cut_or_gone_is_named(void **state)
{
    struct kit kit;
    kit_init(&kit, &backend_hashmap, 1);
    kit_save(&kit);
    assert_int_equal(truncate(temp_dir_path(kit.savepoint, "entries-0"), 100), 0);
    expect_error(import_again(&kit), WEIR_E_CORRUPT, "its file 'entries-0'");
    expect_ok(os_remove(temp_dir_path(kit.savepoint, "entries-0")));
    expect_error(import_again(&kit), WEIR_E_CORRUPT, "missing or has another length");
    assert_int_equal(truncate(temp_dir_path(kit.savepoint, "_metadata"), 100), 0);
    expect_error(import_again(&kit), WEIR_E_CORRUPT, "bytes follow its header");
    expect_ok(os_remove(temp_dir_path(kit.savepoint, "_metadata")));
    expect_error(import_again(&kit), WEIR_E_USAGE, "not a whole one: it has no _metadata");
    expect_ok(os_remove_tree(kit.savepoint));
    expect_error(import_again(&kit), WEIR_E_USAGE, "there is no '");
    kit_release(&kit);
}

static void a_savepoint_of_another_job_is_refused_by_its_operators(void **state)
{
    struct kit kit;
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    expected.uid = WEIR_STR("other");
    kit_init(&kit, &backend_hashmap, 1);
    kit_save(&kit);
    expect_error(kit_import(&kit, &expected, "hashmap", SHELF_MAX_PARALLELISM, false, &restored),
        WEIR_E_STATE,
        "the state of job 'shop', checkpoint 7, does not fit this job:\n  operator 'op'");
    kit_release(&kit);
}

static void one_of_a_newer_version_is_refused_by_name(void **state)
{
    static const struct sealed_form newer = { .magic = SAVEPOINT_MAGIC, .version = 2 };
    struct kit kit;
    kit_init(&kit, &backend_hashmap, 1);
    kit_save(&kit);
    weir_buffer *body = weir_buffer_new(1000), *bytes = weir_buffer_new(1000);
    weir_buffer_add_str(body, WEIR_STR("what nobody knows yet"));
    sealed_put(&newer, body, bytes);
    weir_str view = weir_buffer_view(bytes);
    expect_ok(os_write_file(temp_dir_path(kit.savepoint, "_metadata"), view.data, view.size));
    expect_error(import_again(&kit), WEIR_E_STATE,
        "_metadata has format version 2, this program reads up to 1");
    weir_buffer_free(body);
    weir_buffer_free(bytes);
    kit_release(&kit);
}

/* Each system call in turn fails: there is a whole savepoint, or an error and nothing. */
static void whatever_fails_while_writing_leaves_nothing_behind(void **state)
{
    struct kit kit;
    kit_init(&kit, &backend_hashmap, 1);
    for (uint64_t n = 1;; n++) {
        fault_os_start(n, n % 2 == 0 ? FAULT_ONCE : FAULT_LIE, ENOSPC);
        weir_error *error = kit_try_save(&kit);
        bool was_hit = fault_os_stop();
        char **names = NULL;
        uint32_t count = 0;
        const char *root = temp_dir_path(kit.dir, "savepoints");
        struct os_stat stat;
        expect_ok(os_stat(root, &stat));
        if (stat.exists)
            expect_ok(os_list(root, &names, &count));
        if (error != NULL)
            assert_int_equal(count, 0);
        else
            expect_ok(import_again(&kit));
        weir_error_free(error);
        os_names_free(names, count);
        expect_ok(os_remove_tree(root));
        if (!was_hit)
            break;
    }
    kit_release(&kit);
}

static void arm(const char *rule)
{
    setenv("WEIR_FAULT", rule, 1);
    expect_ok(fault_init());
    unsetenv("WEIR_FAULT");
}

/* What is in the directory of savepoints is one thing, and hidden or not. */
static void expect_one(const struct kit *kit, bool is_hidden)
{
    char **names;
    uint32_t count;
    expect_ok(os_list(temp_dir_path(kit->dir, "savepoints"), &names, &count));
    assert_int_equal(count, 1);
    assert_int_equal(names[0][0] == '.', is_hidden);
    os_names_free(names, count);
}

/* Killed before the rename there is no savepoint, only a hidden name, which the next writer removes. */
static void a_crash_while_writing_leaves_no_savepoint(void **state)
{
    static const char *const rules[] = { "savepoint-metadata-before:1:kill",
        "savepoint-rename-before:1:kill" };
    struct kit kit;
    kit_init(&kit, &backend_hashmap, 1);
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        pid_t child = fork();
        if (child == 0) {
            arm(rules[i]);
            weir_error_free(kit_try_save(&kit));
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        expect_one(&kit, true);
    }
    kit_save(&kit);
    expect_one(&kit, false);
    expect_ok(import_again(&kit));
    kit_release(&kit);
}

static void what_is_not_there_cannot_be_deleted_and_the_advice_fits(void **state)
{
    expect_error(savepoint_dispose("/nowhere/savepoint-1"), WEIR_E_USAGE,
        "there is no savepoint '/nowhere/savepoint-1': give the path (savepoint-…) that was told");
    expect_error(savepoint_dispose("/proc"), WEIR_E_USAGE,
        "so nothing is deleted; give the directory savepoint-…");
}

/* The metadata of the kit's checkpoint in a directory of its own, as a job has it. */
static char *make_checkpoint(const struct kit *kit)
{
    char *chk = mem_printf("%s/chk-7", kit->shelf.root);
    weir_buffer *bytes = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    checkpoint_encode(&kit->metadata, bytes);
    weir_str view = weir_buffer_view(bytes);
    expect_ok(os_make_dirs(chk));
    expect_ok(os_write_file(temp_dir_path(chk, "_metadata"), view.data, view.size));
    weir_buffer_free(bytes);
    return chk;
}

static void a_savepoint_is_deleted_and_what_is_none_stays(void **state)
{
    struct kit kit;
    char before;
    kit_init(&kit, &backend_hashmap, 1);
    char *chk = make_checkpoint(&kit);
    expect_error(savepoint_dispose(chk), WEIR_E_USAGE,
        "is no savepoint but a checkpoint of a job, which deletes its own: it stays");
    assert_true(is_there(temp_dir_path(chk, "_metadata")));
    kit_save(&kit);
    const char *metadata = temp_dir_path(kit.savepoint, "_metadata");
    damage(metadata, 0, &before, false); /* nobody can tell what it is */
    expect_error(savepoint_dispose(kit.savepoint), WEIR_E_CORRUPT, "_metadata");
    assert_true(is_there(temp_dir_path(kit.savepoint, "entries-0")));
    damage(metadata, 0, &before, true);
    expect_ok(savepoint_dispose(kit.savepoint));
    assert_false(is_there(kit.savepoint));
    assert_true(is_there(kit.shelf.root));
    mem_free(chk);
    kit_release(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_of_every_kind_goes_from_any_backend_to_any_other),
        cmocka_unit_test(another_maximum_parallelism_deals_the_keys_anew),
        cmocka_unit_test(items_counters_and_staged_files_are_as_they_were),
        cmocka_unit_test(a_savepoint_can_be_moved_and_its_checkpoint_deleted),
        cmocka_unit_test(the_next_savepoint_removes_what_a_dead_writer_left_and_nothing_else),
        cmocka_unit_test(a_pinned_checkpoint_may_be_deleted_before_its_savepoint_is_written),
        cmocka_unit_test(fields_are_found_by_id_and_states_by_name),
        cmocka_unit_test(a_flipped_bit_anywhere_is_corruption),
        cmocka_unit_test(a_file_that_is_cut_or_gone_is_named),
        cmocka_unit_test(a_savepoint_of_another_job_is_refused_by_its_operators),
        cmocka_unit_test(one_of_a_newer_version_is_refused_by_name),
        cmocka_unit_test(a_crash_while_writing_leaves_no_savepoint),
        cmocka_unit_test(whatever_fails_while_writing_leaves_nothing_behind),
        cmocka_unit_test(what_is_not_there_cannot_be_deleted_and_the_advice_fits),
        cmocka_unit_test(a_savepoint_is_deleted_and_what_is_none_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

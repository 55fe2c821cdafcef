/* savepoint_golden_test.c -- a savepoint that was written once and lies in the tree is restored for ever.
 *
 * golden/savepoint-1 is what the kit made when format version 1 was new: state of every kind in two
 * subtasks. What a restore makes of it is compared with what the kit makes today. To add one for a later
 * version, run this test with WEIR_GOLDEN naming a directory: the savepoint is written there. */
#include "test/unit/checkpoint/savepoint_kit.h"

#define GOLDEN_SUBTASKS 2u

static const char *golden(const char *name)
{
    const char *root = getenv("WEIR_ROOT");
    return temp_dir_path(root == NULL ? "." : root, "test/unit/checkpoint/golden/%s", name);
}

static void expect_golden(const struct kit *kit, const struct checkpoint_metadata *restored,
    const struct backend_class *verbs)
{
    for (uint32_t i = 0; i <= STATE_COUNT; i++) {
        uint32_t state = i == STATE_COUNT ? STATE_NUMBER_TIMERS : i;
        struct kit_digest now =
            kit_digest(kit->shelf.root, &kit->metadata, &backend_hashmap, state);
        struct kit_digest then = kit_digest(temp_dir_path(kit->dir, "job"), restored, verbs, state);
        assert_true(now.count >= KIT_KEYS);
        assert_int_equal(now.count, then.count);
        assert_int_equal(now.sum, then.sum);
    }
}

static void restore_golden(const struct backend_class *verbs)
{
    struct kit kit;
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    kit_init(&kit, &backend_hashmap, GOLDEN_SUBTASKS);
    kit.savepoint = mem_strdup(golden("savepoint-1"));
    expect_ok(kit_import(&kit, &expected, verbs->format, SHELF_MAX_PARALLELISM, false, &restored));
    expect_golden(&kit, &restored, verbs);
    assert_int_equal(restore_counter(&restored, WEIR_STR("op"), WEIR_STR("late")), 11);
    checkpoint_metadata_release(&restored);
    kit_release(&kit);
}

static void a_savepoint_of_the_first_version_is_restored_into_any_backend(void **state)
{
    restore_golden(&backend_hashmap);
    restore_golden(&backend_rocksdb);
}

static void the_format_has_not_changed_without_a_new_golden_one(void **state)
{
    struct kit kit;
    char *today, *then;
    size_t today_size, then_size;
    kit_init(&kit, &backend_hashmap, GOLDEN_SUBTASKS);
    kit_save(&kit);
    const char *copy = getenv("WEIR_GOLDEN");
    if (copy != NULL)
        expect_ok(os_rename(kit.savepoint, copy));
    const char *path = temp_dir_path(copy == NULL ? kit.savepoint : copy, "entries-0");
    expect_ok(os_read_file(path, 1u << 20, &today, &today_size));
    path = temp_dir_path(golden("savepoint-1"), "entries-0");
    expect_ok(os_read_file(path, 1u << 20, &then, &then_size));
    assert_int_equal(today_size, then_size); /* the order of entries is nobody's business */
    mem_free(today);
    mem_free(then);
    kit_release(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_savepoint_of_the_first_version_is_restored_into_any_backend),
        cmocka_unit_test(the_format_has_not_changed_without_a_new_golden_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

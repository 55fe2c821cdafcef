/* savepoint_import_test.c -- the way back when something is wrong: calls fail, the job has changed, people only
 * want to know. What is right goes there and back in savepoint_test.c. */
#include "checkpoint/savepoint_import.h"

#include "test/support/fault_os.h"
#include "test/unit/checkpoint/savepoint_kit.h"

#include <errno.h>

static weir_error *import(const struct kit *kit, const struct restore_expectation *expected,
    struct checkpoint_metadata *restored)
{
    return kit_import(kit, expected, "hashmap", SHELF_MAX_PARALLELISM, false, restored);
}

static struct kit_digest digest_of(const struct kit *kit,
    const struct checkpoint_metadata *restored, uint32_t state)
{
    char *target = mem_printf("%s/job", kit->dir);
    struct kit_digest digest = kit_digest(target, restored, &backend_hashmap, state);
    mem_free(target);
    return digest;
}

static void expect_state(const struct kit *kit, const struct checkpoint_metadata *restored,
    uint32_t state)
{
    struct kit_digest before = kit_digest(kit->shelf.root, &kit->metadata, &backend_hashmap, state);
    struct kit_digest after = digest_of(kit, restored, state);
    assert_true(before.count >= KIT_KEYS);
    assert_int_equal(before.count, after.count);
    assert_int_equal(before.sum, after.sum);
}

/* Each call fails in turn, in a directory that has what the failures before it have left: the job gets an error, or
 * all that was saved. Another maximum parallelism lets every subtask read what all of them have stored. */
static void whatever_fails_while_restoring_nothing_is_restored_in_part(void **state)
{
    static const uint32_t maxima[] = { SHELF_MAX_PARALLELISM, SHELF_MAX_PARALLELISM / 2 };
    struct kit kit;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    kit_init(&kit, &backend_hashmap, 2);
    kit_save(&kit);
    for (uint64_t n = 1, m = 0; m < COUNT_OF(maxima); n++) {
        struct checkpoint_metadata restored;
        enum fault fault = n % 2 == m ? FAULT_ONCE : FAULT_LIE;
        fault_os_start(n, fault, EIO);
        weir_error *error = kit_import(&kit, &expected, "hashmap", maxima[m], false, &restored);
        bool was_hit = fault_os_stop();
        if (error == NULL) {
            expect_state(&kit, &restored, NOTE);
            expect_state(&kit, &restored, STATE_NUMBER_TIMERS);
            checkpoint_metadata_release(&restored);
        } else {
            /* what was done although it said that it was not may be in the way of what makes up for it */
            const char *reason = strstr(weir_error_message(error), strerror(EIO));
            if (weir_error_code(error) != WEIR_E_IO || (reason == NULL && fault == FAULT_ONCE))
                fail_msg("call %u: %s", (unsigned)n, weir_error_message(error));
            weir_error_free(error);
        }
        if (!was_hit) {
            assert_true(n > 30); /* there are as many calls to fail */
            n = 0;
            m++;
        }
    }
    kit_release(&kit);
}

static void expect_pinned(const struct kit *kit, const char *pin)
{
    for (uint32_t i = 0; i < kit->metadata.operator_count; i++) {
        const struct operator_snapshot *op = &kit->metadata.operators[i];
        for (uint32_t f = 0; f < op->file_count; f++)
            expect_ok(state_file_verify(pin, &op->files[f]));
        for (uint32_t f = 0; f < op->staged_count; f++)
            expect_ok(state_file_verify(pin, &op->staged[f]));
    }
}

static void of_what_is_pinned_every_file_is_there_or_somebody_is_told(void **state)
{
    struct kit kit;
    uint32_t failed_count = 0;
    bool was_hit = true;
    kit_init(&kit, &backend_hashmap, 2);
    for (uint64_t n = 1; was_hit; n++) {
        char *pin = mem_printf("%s/pin", kit.dir);
        fault_os_start(n, FAULT_ONCE, EIO);
        weir_error *error = savepoint_pin(kit.shelf.root, &kit.metadata, pin);
        was_hit = fault_os_stop();
        if (error == NULL)
            expect_pinned(&kit, pin); /* a link that fails is made up for by a copy */
        failed_count += error != NULL;
        weir_error_free(error);
        expect_ok(os_remove_tree(pin));
        mem_free(pin);
    }
    assert_true(failed_count > 4);
    kit_release(&kit);
}

static void an_operator_without_timers_any_more_keeps_its_state(void **state)
{
    struct kit kit;
    struct checkpoint_metadata restored;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    expected.has_timers = false;
    kit_init(&kit, &backend_hashmap, 2);
    kit_save(&kit);
    expect_ok(import(&kit, &expected, &restored));
    assert_int_equal(digest_of(&kit, &restored, STATE_NUMBER_TIMERS).count, 0);
    for (uint32_t i = 0; i < STATE_COUNT; i++)
        expect_state(&kit, &restored, i);
    checkpoint_metadata_release(&restored);
    kit_release(&kit);
}

/* -- asking only ---------------------------------------------------------------------------------- */

static weir_error *check(const struct kit *kit, const struct restore_expectation *expected,
    bool may_drop, weir_buffer *report)
{
    const struct restore_expectation both[2] = { *expected, { .uid = WEIR_STR("source") } };
    return savepoint_check(kit->savepoint, both, COUNT_OF(both), may_drop, report);
}

static uint32_t names_in(const char *dir)
{
    char **names;
    uint32_t count;
    expect_ok(os_list(dir, &names, &count));
    os_names_free(names, count);
    return count;
}

static void who_asks_what_would_become_of_it_is_told_and_nothing_is_written(void **state)
{
    struct kit kit;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    struct restore_expectation fewer = kit_expects(keyed_fixture_states, STATE_COUNT - 1);
    weir_buffer *report = weir_buffer_new(1u << 20);
    kit_init(&kit, &backend_hashmap, 1);
    kit_save(&kit);
    const uint32_t before = names_in(kit.dir), inside = names_in(kit.savepoint);
    expect_ok(check(&kit, &expected, false, report));
    assert_null(strstr(buffer_text(report), "DROPPED"));
    expect_error(check(&kit, &fewer, false, report), WEIR_E_STATE, "cannot restore '");
    expect_ok(check(&kit, &fewer, true, report));
    assert_non_null(strstr(buffer_text(report), "DROPPED"));
    assert_int_equal(names_in(kit.dir), before);
    assert_int_equal(names_in(kit.savepoint), inside);
    weir_buffer_free(report);
    kit_release(&kit);
}

static void who_asks_of_a_savepoint_that_is_not_whole_is_told_so(void **state)
{
    struct kit kit;
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    weir_buffer *report = weir_buffer_new(1u << 20);
    kit_init(&kit, &backend_hashmap, 1);
    kit_save(&kit);
    expect_ok(os_remove(temp_dir_path(kit.savepoint, "staged-1-0")));
    expect_error(check(&kit, &expected, false, report), WEIR_E_CORRUPT, "its file 'staged-1-0'");
    expect_ok(os_remove_tree(kit.savepoint));
    expect_error(check(&kit, &expected, false, report), WEIR_E_USAGE, "there is no '");
    weir_buffer_free(report);
    kit_release(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_fails_while_restoring_nothing_is_restored_in_part),
        cmocka_unit_test(of_what_is_pinned_every_file_is_there_or_somebody_is_told),
        cmocka_unit_test(an_operator_without_timers_any_more_keeps_its_state),
        cmocka_unit_test(who_asks_what_would_become_of_it_is_told_and_nothing_is_written),
        cmocka_unit_test(who_asks_of_a_savepoint_that_is_not_whole_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

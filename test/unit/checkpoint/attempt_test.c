/* attempt_test.c -- claims, the file, and the line of succession. */
#include "checkpoint/attempt.h"

#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_os.h"
#include "test/support/fault_os.h"
#include "test/support/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

static void assert_code(weir_error *error, enum weir_code code, const char *part)
{
    assert_non_null(error);
    if (weir_error_code(error) != code || strstr(weir_error_message(error), part) == NULL)
        fail_msg("%s: %s", weir_code_name(weir_error_code(error)), weir_error_message(error));
    weir_error_free(error);
}

static uint64_t claim(const char *dir)
{
    uint64_t number;
    assert_null(attempt_claim(dir, &number));
    return number;
}

static void numbers_rise_and_the_highest_is_in_charge(void **state)
{
    char *dir = temp_dir_new();
    assert_int_equal(claim(dir), 1);
    assert_null(attempt_check(dir, 1));
    assert_int_equal(claim(dir), 2);
    assert_code(attempt_check(dir, 1), WEIR_E_FENCED, "attempt 2 of the job");
    assert_null(attempt_check(dir, 2));
    temp_dir_write(temp_dir_path(dir, "attempt-99"), "", 0);
    assert_int_equal(claim(dir), 100);
    temp_dir_free(dir);
}

static void an_attempt_whose_file_is_gone_is_fenced(void **state)
{
    char *dir = temp_dir_new();
    claim(dir);
    assert_null(os_remove(temp_dir_path(dir, "attempt-1")));
    assert_code(attempt_check(dir, 1), WEIR_E_FENCED, "removed or replaced");
    temp_dir_free(dir);
}

static void other_claims(void *dir)
{
    claim(dir);
}

static void two_claims_at_once_get_two_numbers(void **state)
{
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        char *dir = temp_dir_new();
        fault_os_hook(n, other_claims, dir);
        uint64_t mine = claim(dir);
        was_hit = fault_os_stop();
        uint64_t next = claim(dir);
        assert_int_equal(next, was_hit ? 3 : 2);
        assert_true(mine < next);
        temp_dir_free(dir);
    }
}

/* On a disk that forgets what was not synced; only some of the seeds forget a name. */
static void a_claim_survives_a_power_failure(void **state)
{
    for (uint64_t seed = 1; seed <= 16; seed++) {
        sim_os_start(seed);
        assert_null(os_make_dirs_durable("/checkpoints"));
        for (uint64_t number = 1; number <= 3; number++) {
            assert_int_equal(claim("/checkpoints"), number);
            sim_os_kill(0);
            sim_os_reap(0);
            sim_os_power_loss();
        }
        sim_os_stop();
    }
}

static int stop_machine(void **state)
{
    if (os_current != &os_linux) /* the test has failed */
        sim_os_stop();
    return 0;
}

static void the_file_says_what_was_written(void **state)
{
    char *dir = temp_dir_new();
    struct attempt written = { .number = 5,
        .has_chosen = true,
        .restored = 10,
        .restored_attempt = 3,
        .numbers_to = 163,
        .instance = UINT64_C(0x8899aabbccddeeff) };
    assert_null(attempt_write(dir, "wordcount", &written));
    struct attempt found;
    assert_null(attempt_read(dir, "wordcount", 5, &found));
    assert_memory_equal(&found, &written, sizeof(found));
    assert_code(attempt_read(dir, "other", 5, &found), WEIR_E_STATE,
        "are of job 'wordcount', not of job 'other'");
    temp_dir_write(temp_dir_path(dir, "attempt-6"), "", 0);
    assert_null(attempt_read(dir, "wordcount", 6, &found));
    assert_false(found.has_chosen || found.is_unreadable);
    temp_dir_free(dir);
}

static void a_damaged_file_is_seen_as_damaged(void **state)
{
    char *dir = temp_dir_new();
    struct attempt attempt = { .number = 5,
        .has_chosen = true,
        .restored = 10,
        .restored_attempt = 3,
        .numbers_to = 163,
        .instance = UINT64_C(0x8899aabbccddeeff) };
    assert_null(attempt_write(dir, "wordcount", &attempt));
    char *bytes;
    size_t size;
    assert_null(os_read_file(temp_dir_path(dir, "attempt-5"), 4096, &bytes, &size));
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 1;
        temp_dir_write(temp_dir_path(dir, "attempt-5"), bytes, size);
        assert_null(attempt_read(dir, "wordcount", 5, &attempt));
        assert_true(attempt.is_unreadable && !attempt.has_chosen);
        bytes[i] ^= 1;
        temp_dir_write(temp_dir_path(dir, "attempt-5"), bytes, i);
        assert_null(attempt_read(dir, "wordcount", 5, &attempt));
        assert_true(i == 0 || attempt.is_unreadable);
    }
    mem_free(bytes);
    temp_dir_free(dir);
}

/* -- the line of succession ----------------------------------------------------------------- */

/* number, restored checkpoint, of attempt */
#define CHOSE(number_, restored_, of_) \
    { \
        .number = (number_), .has_chosen = true, .restored = (restored_), \
        .restored_attempt = (of_) \
    }
#define CLAIMED(number_) \
    { \
        .number = (number_) \
    }
#define DAMAGED(number_) \
    { \
        .number = (number_), .is_unreadable = true \
    }

static void only_checkpoints_on_the_line_count(void **state)
{
    static const struct {
        const char *what;
        struct attempt attempts[6];
        uint64_t checkpoint, by;
        bool counts;
    } rows[] = {
        { "no attempt has chosen", { CLAIMED(1) }, 5, 1, true },
        { "own ones count", { CHOSE(1, 0, 0), CHOSE(2, 10, 1) }, 11, 2, true },
        { "what was restored counts", { CHOSE(1, 0, 0), CHOSE(2, 10, 1) }, 10, 1, true },
        { "and what is older", { CHOSE(1, 0, 0), CHOSE(2, 10, 1) }, 9, 1, true },
        { "a zombie's late one is void", { CHOSE(1, 0, 0), CHOSE(2, 10, 1) }, 11, 1, false },
        { "behind a fresh start, too", { CHOSE(1, 0, 0), CHOSE(2, 0, 0) }, 1, 1, false },
        { "behind a claim it still counts", { CHOSE(1, 0, 0), CLAIMED(2) }, 11, 1, true },
        { "a late choice is beside the line", { CHOSE(3, 0, 0), CHOSE(4, 10, 3), CHOSE(5, 11, 3) },
            11, 3, true },
        { "and so is what such an attempt made",
            { CHOSE(3, 0, 0), CHOSE(4, 10, 3), CHOSE(5, 11, 3) }, 12, 4, false },
        { "two steps down", { CHOSE(1, 0, 0), CHOSE(2, 10, 1), CHOSE(3, 20, 2) }, 10, 1, true },
        { "two steps down, void", { CHOSE(1, 0, 0), CHOSE(2, 10, 1), CHOSE(3, 20, 2) }, 11, 1,
            false },
        { "a fall-back cuts the middle off", { CHOSE(1, 0, 0), CHOSE(2, 10, 1), CHOSE(3, 9, 1) },
            20, 2, false },
        { "a fall-back cuts the end off", { CHOSE(1, 0, 0), CHOSE(2, 10, 1), CHOSE(3, 9, 1) }, 10,
            1, false },
        { "below damage nobody can tell: it counts",
            { CHOSE(1, 0, 0), DAMAGED(2), CHOSE(3, 20, 2) }, 11, 1, true },
        { "but not beyond the limit", { CHOSE(1, 0, 0), DAMAGED(2), CHOSE(3, 20, 2) }, 21, 1,
            false },
        { "the damaged one's own count", { CHOSE(1, 0, 0), DAMAGED(2), CHOSE(3, 20, 2) }, 20, 2,
            true },
        { "newer than all that chose: counts", { CHOSE(1, 0, 0), DAMAGED(2) }, 20, 2, true },
        { "a line that goes up ends", { CHOSE(1, 0, 0), CHOSE(2, 10, 7) }, 10, 1, true },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct attempt copy[6];
        memcpy(copy, rows[i].attempts, sizeof(copy));
        struct attempts attempts = { .attempts = copy };
        while (attempts.count < 6 && copy[attempts.count].number > 0)
            attempts.count++;
        if (attempts_accept(&attempts, rows[i].checkpoint, rows[i].by) != rows[i].counts)
            fail_msg("%s", rows[i].what);
    }
}

static void files_that_judge_nothing_any_more_are_pruned(void **state)
{
    static const struct attempt chosen[] = { CHOSE(1, 0, 0), CHOSE(2, 10, 1), CLAIMED(3),
        CHOSE(4, 20, 2), CHOSE(5, 20, 2), CHOSE(6, 30, 5), CLAIMED(7) };
    char *dir = temp_dir_new();
    for (size_t i = 0; i < COUNT(chosen); i++) {
        struct attempt attempt = chosen[i];
        attempt.numbers_to = 100;
        assert_null(attempt_write(dir, "j", &attempt));
    }
    struct attempts attempts = { .attempts = (struct attempt *)(uintptr_t)chosen,
        .count = COUNT(chosen) };
    attempts_prune(dir, &attempts, 7, 25); /* 6 is needed, and 5 for what 6 restored */
    static const bool is_left[] = { false, false, false, false, true, true, true };
    for (size_t i = 0; i < COUNT(chosen); i++) {
        struct os_stat stat;
        assert_null(os_stat(temp_dir_path(dir, "attempt-%zu", i + 1), &stat));
        assert_int_equal(stat.exists, is_left[i]);
    }
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_rise_and_the_highest_is_in_charge),
        cmocka_unit_test(an_attempt_whose_file_is_gone_is_fenced),
        cmocka_unit_test(two_claims_at_once_get_two_numbers),
        cmocka_unit_test_teardown(a_claim_survives_a_power_failure, stop_machine),
        cmocka_unit_test(the_file_says_what_was_written),
        cmocka_unit_test(a_damaged_file_is_seen_as_damaged),
        cmocka_unit_test(only_checkpoints_on_the_line_count),
        cmocka_unit_test(files_that_judge_nothing_any_more_are_pruned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

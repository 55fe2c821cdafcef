/* key_group_test.c -- every group has one owner, and ranges agree with single groups. */
#include "types/key_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint32_t maxima[] = { 1, 2, 7, 128, 1000, MAX_PARALLELISM_LIMIT };
static const uint32_t parallelisms[] = { 1, 2, 3, 7, 16, 100, 128, 999, MAX_PARALLELISM_LIMIT };

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

static void check_ranges(uint32_t parallelism, uint32_t max_parallelism)
{
    uint32_t next = 0;
    for (uint32_t subtask = 0; subtask < parallelism; subtask++) {
        struct group_range range = key_group_range(subtask, parallelism, max_parallelism);
        assert_int_equal(range.first, next);
        for (uint32_t group = range.first; group <= range.last; group++)
            assert_int_equal(key_group_subtask(group, parallelism, max_parallelism), subtask);
        next = range.last + 1;
    }
    assert_int_equal(next, max_parallelism);
}

static void ranges_cover_every_group_once(void **state)
{
    for (size_t m = 0; m < COUNT(maxima); m++)
        for (size_t p = 0; p < COUNT(parallelisms) && parallelisms[p] <= maxima[m]; p++)
            check_ranges(parallelisms[p], maxima[m]);
}

static void a_group_of_a_hash_never_changes(void **state)
{
    static const struct {
        uint64_t hash;
        uint32_t max_parallelism, group;
    } rows[] = {
        /* fmix64 worked out with arbitrary-precision integers */
        { 0, 128, 0 },
        { 1, 128, 44 },
        { 1, 1000, 604 },
        { UINT64_MAX, 32768, 24353 },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(key_group_of(rows[i].hash, rows[i].max_parallelism), rows[i].group);
}

static void ranges_overlap_when_they_share_a_group(void **state)
{
    struct group_range low = { 0, 3 }, middle = { 3, 5 }, high = { 6, 6 };
    assert_true(group_range_overlaps(low, middle));
    assert_true(group_range_overlaps(middle, low));
    assert_false(group_range_overlaps(low, high));
    assert_false(group_range_overlaps(high, middle));
    assert_true(group_range_has(middle, 3) && group_range_has(middle, 5));
    assert_false(group_range_has(middle, 2) || group_range_has(middle, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_cover_every_group_once),
        cmocka_unit_test(a_group_of_a_hash_never_changes),
        cmocka_unit_test(ranges_overlap_when_they_share_a_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

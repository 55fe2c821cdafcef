/* merge_test.c -- many members into one list, its limits, and the exact limit of a printed record.
 * */
#include "jobs/userprofile/merge.h"

#include "jobs/userprofile/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct latest latest_of(int64_t ts, const char *event_id, weir_str value)
{
    return (struct latest){ .ts = ts, .event_id = weir_str_of(event_id), .value = value };
}

/* 3,000 members with the same ten names, and one name each of their own. */
static void duplicates_are_merged_and_everything_is_sorted(void **state)
{
    enum { MEMBERS = 3000 };
    struct merge merge = { .entries = NULL };
    merge_reset(&merge);
    char name[32];
    for (int member = 0; member < MEMBERS; member++) {
        for (int i = 0; i < 10; i++) {
            snprintf(name, sizeof(name), "same%d", i);
            assert_true(merge_count(&merge, weir_str_of(name), i));
            struct latest tag = latest_of(member * 7919 % MEMBERS, name, weir_str_of(name));
            assert_true(merge_tag(&merge, weir_str_of(name), &tag));
        }
        snprintf(name, sizeof(name), "own%d", member);
        assert_true(merge_count(&merge, weir_str_of(name), 1));
    }
    assert_true(merge.entry_capacity < 16384); /* and not 63,000 */
    merge_finish(&merge);
    assert_false(merge.is_over);
    assert_int_equal(merge.entry_count, MEMBERS + 20);
    for (uint32_t i = 0; i < merge.entry_count; i++) {
        const struct merged *entry = &merge.entries[i];
        if (i > 0 && entry[-1].is_tag == entry->is_tag)
            assert_true(weir_str_compare(entry[-1].name, entry->name) < 0);
        if (i > 0)
            assert_true(entry->is_tag || !entry[-1].is_tag);
        if (!entry->is_tag && entry->name.data[0] == 's')
            assert_int_equal(entry->count, (entry->name.data[4] - '0') * MEMBERS);
        if (entry->is_tag) {
            assert_int_equal(entry->newest.ts, MEMBERS - 1);
            assert_true(weir_str_equal(entry->newest.value, entry->name));
        }
    }
    merge_release(&merge);
}

/* -3, -5 and -4, in any order, the last without an amount; and a member without events. Zero, which new
 * totals are, is greater than all. */
static void each_of_the_totals_is_merged_its_own_way(void **state)
{
    static const int orders[][3] = { { 0, 1, 2 }, { 1, 2, 0 }, { 2, 0, 1 } };
    static const int64_t values[] = { -3, -5, -4 };
    for (size_t order = 0; order < 3; order++) {
        struct merge merge = { .entries = NULL };
        merge_reset(&merge);
        merge_totals(&merge, &(struct totals){ .flags = FRAGMENT_SHARED });
        for (size_t i = 0; i < 3; i++) {
            int64_t value = values[orders[order][i]];
            merge_totals(&merge, &(struct totals){ .count = 2,
                                     .first_seen = value,
                                     .last_seen = value,
                                     .amount_sum = value,
                                     .amount_max = value,
                                     .has_amount = value != -4 });
        }
        merge_finish(&merge);
        assert_int_equal(merge.totals.flags, FRAGMENT_SHARED);
        assert_int_equal(merge.totals.count, 6);
        assert_int_equal(merge.totals.first_seen, -5);
        assert_int_equal(merge.totals.last_seen, -3);
        assert_true(merge.totals.has_amount);
        assert_int_equal(merge.totals.amount_max, -3);
        assert_int_equal(merge.totals.amount_sum, -8);
        merge_release(&merge);
    }
}

static void names_that_cannot_fit_end_it_early(void **state)
{
    struct merge merge = { .entries = NULL };
    merge_reset(&merge);
    char name[32];
    int count = 0;
    do
        snprintf(name, sizeof(name), "%020d", count++);
    while (merge_count(&merge, weir_str_of(name), 1));
    assert_true(merge.is_over);
    assert_true(count < 100000);
    merge_reset(&merge);
    assert_false(merge.is_over);
    assert_int_equal(merge.entry_count, 0);
    count = 0;
    do
        snprintf(name, sizeof(name), "device:%020d", count++);
    while (merge_member(&merge, weir_str_of(name)));
    assert_true(count < 50000);
    struct text text;
    text_init(&text, MERGE_SIZE_MAX);
    merge_finish(&merge);
    print_profile(&text, WEIR_STR("user:u"), &merge);
    assert_true(
        weir_str_equal(text_view(&text), WEIR_STR("{\"yid\":\"user:u\",\"oversize\":true}")));
    text_release(&text);
    merge_release(&merge);
}

/* A long value of one member may lose against a short one of another: only what is left counts. */
static void values_that_lost_do_not_count(void **state)
{
    enum { NAMES = 2000 };
    struct merge merge = { .entries = NULL };
    merge_reset(&merge);
    static char value[TAG_VALUE_SIZE_MAX];
    memset(value, '"', sizeof(value));
    char name[16];
    for (int i = 0; i < 2 * NAMES; i++) {
        weir_str text = { .data = value, .size = i < NAMES ? sizeof(value) : 1 };
        struct latest tag = latest_of(i, "e", text);
        snprintf(name, sizeof(name), "%d", i % NAMES);
        assert_true(merge_tag(&merge, weir_str_of(name), &tag));
    }
    merge_finish(&merge);
    assert_false(merge.is_over);
    merge_release(&merge);
}

static size_t printed_size(struct text *text, size_t value_size)
{
    struct merge merge = { .entries = NULL };
    merge_reset(&merge);
    char *value = malloc(value_size);
    memset(value, '1', value_size);
    struct latest tag = latest_of(1, "e", (weir_str){ .data = value, .size = value_size });
    merge_tag(&merge, WEIR_STR("n"), &tag);
    merge_finish(&merge);
    print_profile(text, WEIR_STR("user:u"), &merge);
    merge_release(&merge);
    free(value);
    return text->size;
}

static void the_limit_of_a_record_is_exact(void **state)
{
    struct text text;
    text_init(&text, MERGE_SIZE_MAX);
    size_t around = printed_size(&text, 1) - 1;
    assert_int_equal(printed_size(&text, MERGE_SIZE_MAX - around), MERGE_SIZE_MAX);
    assert_true(printed_size(&text, MERGE_SIZE_MAX - around + 1) < 100);
    assert_int_equal(printed_size(&text, MERGE_SIZE_MAX - around), MERGE_SIZE_MAX);
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicates_are_merged_and_everything_is_sorted),
        cmocka_unit_test(each_of_the_totals_is_merged_its_own_way),
        cmocka_unit_test(names_that_cannot_fit_end_it_early),
        cmocka_unit_test(values_that_lost_do_not_count),
        cmocka_unit_test(the_limit_of_a_record_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

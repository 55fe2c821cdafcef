/* A row that was added is never denied; one that was not, rarely affirmed. */
#include "state/row_filter.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static uint64_t hash_of(uint64_t number)
{
    return hash_bytes((const char *)&number, sizeof(number));
}

static void what_was_added_may_be_there(void **state)
{
    (void)state;
    struct row_filter *filter = row_filter_new(10000, NULL);
    for (uint64_t i = 0; i < 10000; i++)
        row_filter_add(filter, hash_of(i));
    for (uint64_t i = 0; i < 10000; i++)
        assert_true(row_filter_may_have(filter, hash_of(i)));
    row_filter_free(filter);
}

static void few_others_seem_to_be_there(void **state)
{
    (void)state;
    uint32_t wrong = 0;
    struct row_filter *filter = row_filter_new(1, NULL);
    for (uint64_t i = 0; !row_filter_is_full(filter); i++)
        row_filter_add(filter, hash_of(i));
    for (uint64_t i = 1u << 20; i < (1u << 20) + 100000; i++)
        wrong += row_filter_may_have(filter, hash_of(i));
    assert_in_range(wrong, 1, 3000);
    row_filter_free(filter);
}

static void a_newer_filter_knows_what_the_older_ones_know(void **state)
{
    (void)state;
    struct row_filter *filter = row_filter_new(100, NULL);
    uint32_t filters = 1;
    for (uint64_t i = 0; i < 50000; i++) {
        row_filter_add(filter, hash_of(i));
        if (row_filter_is_full(filter)) {
            filter = row_filter_new(2 * row_filter_capacity(filter), filter);
            assert_false(row_filter_is_empty(filter));
            filters++;
        }
    }
    assert_in_range(filters, 5, 9);
    for (uint64_t i = 0; i < 50000; i++)
        assert_true(row_filter_may_have(filter, hash_of(i)));
    assert_true(row_filter_size(filter) * 8 < 50000 * ROW_FILTER_BITS * 4);
    row_filter_free(filter);
}

static void a_row_is_counted_once(void **state)
{
    (void)state;
    struct row_filter *filter = row_filter_new(100, NULL);
    assert_true(row_filter_is_empty(filter));
    assert_true(row_filter_add(filter, hash_of(1)));
    assert_false(row_filter_is_empty(filter));
    assert_false(row_filter_add(filter, hash_of(1)));
    for (uint64_t i = 0; i < 100000; i++)
        row_filter_add(filter, hash_of(i % 10));
    assert_false(row_filter_is_full(filter));
    row_filter_free(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_may_be_there),
        cmocka_unit_test(few_others_seem_to_be_there),
        cmocka_unit_test(a_newer_filter_knows_what_the_older_ones_know),
        cmocka_unit_test(a_row_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

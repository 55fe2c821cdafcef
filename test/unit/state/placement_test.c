/* Where entries lie: maps that share in one row behind their marks, everything else alone. */
#include "state/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct weir_state states[] = {
    { .name = "value", .kind = WEIR_VALUE },
    { .name = "first", .kind = WEIR_MAP, .shares_row = true },
    { .name = "list", .kind = WEIR_LIST },
    { .name = "mortal", .kind = WEIR_MAP, .ttl_ms = 1 },
    { .name = "second", .kind = WEIR_MAP, .shares_row = true },
    { .name = "sum", .kind = WEIR_REDUCING },
    { .name = "third", .kind = WEIR_MAP, .shares_row = true },
};
#define COUNT ((uint32_t)(sizeof(states) / sizeof(states[0])))

static void expect_row_and_mark(const struct placement *placement, uint32_t row, char mark)
{
    assert_int_equal(placement->row, row);
    assert_int_equal(placement->mark, mark);
}

static void maps_that_say_so_share(void **state)
{
    static const char marks[COUNT] = { [1] = 2, [4] = 5, [6] = 7 };
    struct placement placements[COUNT];
    (void)state;
    placement_init(placements, states, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        expect_row_and_mark(&placements[i], marks[i] == 0 ? i : 1, marks[i]);
    placement_init(placements, states, 4); /* with one map that would */
    for (uint32_t i = 0; i < 4; i++)
        expect_row_and_mark(&placements[i], i, 0);
}

static void a_name_tells_state_and_entry(void **state)
{
    static const char *const entries[] = { "", "x", "\x05", "\x07z" };
    struct placement placements[COUNT];
    (void)state;
    placement_init(placements, states, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < sizeof(entries) / sizeof(entries[0]); j++) {
            char room[8];
            weir_str entry = weir_str_of(entries[j]), found;
            uint32_t found_state = COUNT;
            weir_str name = placement_name(&placements[i], entry, room);
            assert_int_equal(placement_has_name(&placements[i], entry), name.size == entry.size);
            assert_true(
                placement_find(placements, COUNT, placements[i].row, name, &found_state, &found));
            assert_int_equal(found_state, i);
            assert_true(weir_str_equal(found, entry));
        }
    }
    assert_int_equal(placement_name(&placements[1], WEIR_STR(""), NULL).size, 0);
}

static void names_that_no_state_has_are_none(void **state)
{
    static const char *const names[] = { "x", "\x01x", "\x04x", "\x08x", "\xff" };
    struct placement placements[COUNT];
    uint32_t found_state;
    weir_str found;
    (void)state;
    placement_init(placements, states, COUNT);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(
            placement_find(placements, COUNT, 1, weir_str_of(names[i]), &found_state, &found));
    assert_false(placement_find(placements, COUNT, 1, (weir_str){ .data = "", .size = 1 },
        &found_state, &found));
    assert_false(placement_find(placements, COUNT, 4, WEIR_STR(""), &found_state, &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_that_say_so_share),
        cmocka_unit_test(a_name_tells_state_and_entry),
        cmocka_unit_test(names_that_no_state_has_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

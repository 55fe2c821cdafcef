/* resources_test.c -- who gives slots: all or nothing, from as few as possible, and back. */
#include "runtime/cluster/resources.h"

#include "test/support/expect.h"

#include <stdio.h>

static void slots_are_given_all_or_nothing(void **state)
{
    struct resources *resources = resources_new();
    struct grant given[RESOURCES_MAX];
    uint32_t count;
    assert_false(resources_take(resources, 1, given, &count));
    resources_add(resources, "a", "host-a", 2, 2000);
    resources_add(resources, "b", "host-b", 3, 3000);
    assert_int_equal(resources_slots_total(resources), 5);
    assert_false(resources_take(resources, 6, given, &count));
    assert_int_equal(resources_slots_free(resources), 5); /* nothing was taken */
    assert_true(resources_take(resources, 5, given, &count));
    assert_int_equal(count, 2);
    assert_int_equal(resources_slots_free(resources), 0);
    assert_false(resources_take(resources, 1, given, &count));
    for (uint32_t i = 0; i < 2; i++)
        resources_give_back(resources, &given[i]);
    assert_int_equal(resources_slots_free(resources), 5);
    resources_free(resources);
}

static void as_few_task_managers_as_possible_give_them(void **state)
{
    struct resources *resources = resources_new();
    struct grant given[RESOURCES_MAX];
    uint32_t count;
    const uint32_t slots[] = { 1, 4, 2, 3 };
    for (uint32_t i = 0; i < 4; i++) {
        char id[8];
        snprintf(id, sizeof(id), "tm-%u", i);
        resources_add(resources, id, "host", slots[i], 1);
    }
    assert_true(resources_take(resources, 4, given, &count));
    assert_int_equal(count, 1);
    assert_string_equal(given[0].from->id, "tm-1");
    assert_true(resources_take(resources, 5, given, &count));
    assert_int_equal(count, 2);
    assert_true(given[0].slot_count >= given[1].slot_count); /* most first */
    assert_int_equal(given[0].slot_count + given[1].slot_count, 5);
    assert_int_equal(resources_slots_free(resources), 1);
    resources_free(resources);
}

static void one_that_is_lost_takes_its_slots_along(void **state)
{
    struct resources *resources = resources_new();
    struct grant given[RESOURCES_MAX];
    uint32_t count;
    resources_add(resources, "a", "host", 2, 1);
    struct task_manager *lost = resources_add(resources, "b", "host", 3, 1);
    assert_true(resources_take(resources, 3, given, &count));
    resources_lost(resources, lost);
    assert_null(resources_find(resources, "b"));
    assert_int_equal(resources_count(resources), 1);
    assert_int_equal(resources_slots_total(resources), 2);
    assert_string_equal(resources_at(resources, 0)->id, "a");
    struct task_manager *back = resources_add(resources, "b", "host", 3, 1);
    assert_int_equal(back->free_count, 3);
    resources_free(resources);
}

static void one_that_leaves_offers_nothing_and_what_it_gave_comes_back(void **state)
{
    struct resources *resources = resources_new();
    struct grant given[RESOURCES_MAX], more[RESOURCES_MAX];
    uint32_t count;
    struct task_manager *leaving = resources_add(resources, "a", "host", 3, 1);
    resources_add(resources, "b", "host", 2, 1);
    assert_true(resources_take(resources, 3, given, &count));
    assert_ptr_equal(given[0].from, leaving);
    resources_leave(resources, leaving);
    assert_int_equal(resources_slots_total(resources), 2);
    assert_int_equal(resources_slots_free(resources), 2);
    resources_give_back(resources, &given[0]);
    assert_int_equal(resources_slots_free(resources), 2);
    assert_int_equal(resources_slots_free_of(leaving), 0);
    assert_false(resources_take(resources, 3, more, &count));
    assert_true(resources_take(resources, 2, more, &count));
    assert_string_equal(more[0].from->id, "b");
    resources_lost(resources, leaving);
    resources_free(resources);
}

static void there_is_a_limit(void **state)
{
    struct resources *resources = resources_new();
    char id[16];
    for (uint32_t i = 0; i < RESOURCES_MAX; i++) {
        snprintf(id, sizeof(id), "%u", i);
        assert_non_null(resources_add(resources, id, "host", 1, 1));
    }
    assert_null(resources_add(resources, "more", "host", 1, 1));
    assert_int_equal(resources_count(resources), RESOURCES_MAX);
    resources_free(resources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_given_all_or_nothing),
        cmocka_unit_test(as_few_task_managers_as_possible_give_them),
        cmocka_unit_test(one_that_is_lost_takes_its_slots_along),
        cmocka_unit_test(one_that_leaves_offers_nothing_and_what_it_gave_comes_back),
        cmocka_unit_test(there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

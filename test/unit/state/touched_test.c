/* The list of touched entries finds each again, whether it is short or long. */
#include "state/touched.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void finds_what_was_added_at_every_length(void **state)
{
    (void)state;
    struct touched_list list = { 0 };
    static char names[300][8];
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 300; i++) {
            snprintf(names[i], sizeof(names[i]), "%u", i / 2);
            weir_str name = weir_str_of(names[i]);
            assert_null(touched_find(&list, i % 2, name));
            touched_add(&list, i % 2, name)->record = names[i];
            for (uint32_t j = 0; j <= i; j++) {
                const struct touched *found = touched_find(&list, j % 2, weir_str_of(names[j]));
                assert_ptr_equal(found->record, names[j]);
                assert_int_equal(found->status, TOUCHED_ABSENT);
            }
            assert_null(touched_find(&list, 2, name));
        }
        touched_reset(&list);
        assert_null(touched_find(&list, 0, weir_str_of("0")));
    }
    touched_release(&list);
}

static void an_unusually_long_list_gives_its_memory_back(void **state)
{
    (void)state;
    struct touched_list list = { 0 };
    char *names = mem_alloc(20000 * 8);
    for (uint32_t i = 0; i < 20000; i++) {
        snprintf(names + i * 8, 8, "%u", i);
        touched_add(&list, 0, weir_str_of(names + i * 8));
    }
    touched_reset(&list);
    assert_int_equal(list.capacity, 0);
    touched_add(&list, 0, WEIR_STR("again"));
    assert_non_null(touched_find(&list, 0, WEIR_STR("again")));
    assert_null(touched_find(&list, 0, WEIR_STR("7")));
    touched_release(&list);
    mem_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added_at_every_length),
        cmocka_unit_test(an_unusually_long_list_gives_its_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

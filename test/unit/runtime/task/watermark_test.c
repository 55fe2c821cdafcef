/* watermark_test.c -- the smallest watermark over inputs: rows, and a property against the definition. */
#include "runtime/task/watermark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void no_input_has_spoken(void **state)
{
    struct watermarks marks;
    watermarks_init(&marks, 4);
    watermarks_add(&marks);
    watermarks_add(&marks);
    assert_int_equal(marks.current, WATERMARK_NONE);
    assert_false(watermarks_advance(&marks, 0, 5)); /* the other may still have the oldest record */
    assert_int_equal(marks.current, WATERMARK_NONE);
    assert_true(watermarks_advance(&marks, 1, 9));
    assert_int_equal(marks.current, 5);
    watermarks_release(&marks);
}

static void an_idle_input_does_not_count_and_wakes_up_behind(void **state)
{
    struct watermarks marks;
    watermarks_init(&marks, 4);
    watermarks_add(&marks);
    watermarks_add(&marks);
    watermarks_advance(&marks, 0, 5);
    assert_true(watermarks_advance(&marks, 1, 9));
    assert_true(watermarks_idle(&marks, 0, true));
    assert_int_equal(marks.current, 9);
    assert_false(watermarks_idle(&marks, 0, true));
    watermarks_idle(&marks, 0, false);
    assert_int_equal(marks.current, 9); /* never back */
    assert_false(watermarks_advance(&marks, 1, 20));
    assert_true(watermarks_advance(&marks, 0, 12));
    assert_int_equal(marks.current, 12);
    watermarks_release(&marks);
}

static void all_idle_is_idle(void **state)
{
    struct watermarks marks;
    watermarks_init(&marks, 4);
    watermarks_add(&marks);
    watermarks_add(&marks);
    watermarks_idle(&marks, 0, true);
    assert_false(marks.is_idle);
    assert_true(watermarks_finish(&marks, 1));
    assert_true(marks.is_idle);
    assert_true(watermarks_advance(&marks, 0, 3)); /* an element wakes it up */
    assert_false(marks.is_idle);
    assert_int_equal(marks.current, 3);
    watermarks_release(&marks);
}

static void a_finished_input_lets_go(void **state)
{
    struct watermarks marks;
    watermarks_init(&marks, 4);
    for (int i = 0; i < 3; i++)
        watermarks_add(&marks);
    watermarks_advance(&marks, 0, 5);
    watermarks_advance(&marks, 1, 7);
    watermarks_advance(&marks, 2, 9);
    watermarks_idle(&marks, 1, true);
    assert_true(watermarks_finish(&marks, 0));
    assert_int_equal(marks.current, 9);
    assert_false(watermarks_finish(&marks, 0));
    watermarks_release(&marks);
}

/* Whatever happens: the result never goes back, and is never above an active input that has spoken
 * since it was active. */
static void the_result_is_the_running_minimum(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        enum { INPUTS = 5 };
        struct watermarks marks;
        uint64_t random = seed;
        int64_t before = WATERMARK_NONE;
        watermarks_init(&marks, INPUTS);
        for (int i = 0; i < INPUTS; i++)
            watermarks_add(&marks);
        for (int step = 0; step < 100; step++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            uint32_t input = (uint32_t)(random >> 33) % INPUTS;
            uint32_t what = (uint32_t)(random >> 40) % 10;
            if (what < 7)
                watermarks_advance(&marks, input, step * 3 + (int64_t)((random >> 50) % 20));
            else if (what < 9)
                watermarks_idle(&marks, input, what == 7);
            else if (step > 60)
                watermarks_finish(&marks, input);
            int64_t least = INT64_MAX;
            bool is_any = false;
            for (int i = 0; i < INPUTS; i++) {
                if (marks.inputs[i].is_idle || marks.inputs[i].is_finished)
                    continue;
                is_any = true;
                least = marks.inputs[i].watermark < least ? marks.inputs[i].watermark : least;
            }
            assert_int_equal(marks.is_idle, !is_any);
            assert_true(marks.current >= before);
            assert_int_equal(marks.current, is_any && least > before ? least : before);
            before = marks.current;
        }
        watermarks_release(&marks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_input_has_spoken),
        cmocka_unit_test(an_idle_input_does_not_count_and_wakes_up_behind),
        cmocka_unit_test(all_idle_is_idle),
        cmocka_unit_test(a_finished_input_lets_go),
        cmocka_unit_test(the_result_is_the_running_minimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

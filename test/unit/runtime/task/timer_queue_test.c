/* timer_queue_test.c -- instants in order, items in order of coming, holes passed over. */
#include "runtime/task/timer_queue.h"

#include "test/support/random.h"

#include <stdlib.h>

#include "test/support/expect.h"

static struct timer_queue queue;
static int items[64]; /* their addresses are items */

static int begin(void **state)
{
    (void)state;
    queue = (struct timer_queue){ 0 };
    return 0;
}

static int end(void **state)
{
    (void)state;
    timer_queue_release(&queue);
    return 0;
}

static void expect_front(int64_t at_ms, const int *const *expected, uint32_t count)
{
    void *found[64];
    assert_int_equal(timer_queue_next_ms(&queue), at_ms);
    assert_int_equal(timer_queue_peek(&queue, found, 64), count);
    for (uint32_t i = 0; i < count; i++)
        assert_ptr_equal(found[i], expected[i]);
}

static void an_empty_queue_has_no_next(void **state)
{
    (void)state;
    expect_front(INT64_MAX, NULL, 0);
}

static void the_earliest_instant_is_in_front_and_its_items_in_order_of_coming(void **state)
{
    (void)state;
    timer_queue_add(&queue, 20, &items[0]);
    struct timer_place second = timer_queue_add(&queue, 10, &items[1]);
    timer_queue_add(&queue, -5, &items[2]);
    struct timer_place fourth = timer_queue_add(&queue, 10, &items[3]);
    expect_front(-5, (const int *[]){ &items[2] }, 1);
    void *first;
    assert_int_equal(timer_queue_peek(&queue, &first, 1), 1);
    timer_queue_remove(&queue, second);
    expect_front(-5, (const int *[]){ &items[2] }, 1);
    timer_queue_remove(&queue, fourth); /* the instant goes, from the middle */
    expect_front(-5, (const int *[]){ &items[2] }, 1);
}

static void holes_in_every_block_are_passed_over(void **state)
{
    (void)state;
    struct timer_place places[30];
    for (int i = 0; i < 30; i++)
        places[i] = timer_queue_add(&queue, 1, &items[i]);
    for (int i = 0; i < 30; i++)
        if (i != 3 && i != 29)
            timer_queue_remove(&queue, places[i]);
    expect_front(1, (const int *[]){ &items[3], &items[29] }, 2);
    timer_queue_remove(&queue, places[3]);
    expect_front(1, (const int *[]){ &items[29] }, 1);
    timer_queue_remove(&queue, places[29]);
    assert_int_equal(timer_queue_next_ms(&queue), INT64_MAX);
}

/* -- against a list ------------------------------------------------------------------------------- */

struct waiting {
    int64_t at_ms;
    uint32_t sequence;
    struct timer_place place;
};

static int by_order(const void *left, const void *right)
{
    const struct waiting *a = *(struct waiting *const *)left, *b = *(struct waiting *const *)right;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return a->sequence < b->sequence ? -1 : 1;
}

static void a_queue_behaves_like_a_sorted_list(void **state)
{
    (void)state;
    enum { STEPS = 20000, MANY = 600 };
    struct random random = { .state = 11 };
    struct waiting *list[MANY];
    uint32_t count = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        bool is_full =
            count == MANY || (step / 3000 % 2 == 1 && count > 0 && random_below(&random, 3) > 0);
        if (!is_full) {
            struct waiting *item = malloc(sizeof(*item));
            *item =
                (struct waiting){ .at_ms = (int64_t)random_below(&random, 40), .sequence = step };
            item->place = timer_queue_add(&queue, item->at_ms, item);
            list[count++] = item;
        } else {
            uint32_t index = (uint32_t)random_below(&random, count);
            timer_queue_remove(&queue, list[index]->place);
            free(list[index]);
            list[index] = list[--count];
        }
        if (count == 0)
            continue;
        qsort(list, count, sizeof(list[0]), by_order);
        void *front[3];
        uint32_t found = timer_queue_peek(&queue, front, 3);
        assert_int_equal(timer_queue_next_ms(&queue), list[0]->at_ms);
        for (uint32_t i = 0; i < found; i++)
            assert_ptr_equal(front[i], list[i]);
        assert_true(found == 3 || found == count || list[found]->at_ms != list[0]->at_ms);
    }
    while (count > 0)
        free(list[--count]);
}

static void ten_million_of_one_instant_are_one_entry_of_the_heap(void **state)
{
    (void)state;
    const uint32_t many = 10000000;
    for (uint32_t i = 0; i < many; i++)
        timer_queue_add(&queue, 7, &items[i % 64]);
    assert_int_equal(queue.instant_count, 1);
    void *front[5];
    assert_int_equal(timer_queue_peek(&queue, front, 5), 5);
    for (int i = 0; i < 5; i++)
        assert_ptr_equal(front[i], &items[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_queue_has_no_next, begin, end),
        cmocka_unit_test_setup_teardown(
            the_earliest_instant_is_in_front_and_its_items_in_order_of_coming, begin, end),
        cmocka_unit_test_setup_teardown(holes_in_every_block_are_passed_over, begin, end),
        cmocka_unit_test_setup_teardown(a_queue_behaves_like_a_sorted_list, begin, end),
        cmocka_unit_test_setup_teardown(ten_million_of_one_instant_are_one_entry_of_the_heap, begin,
            end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

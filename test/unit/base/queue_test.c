/* queue_test.c -- ring and inbox on one thread: order, limits, wrap-around. */
#include "base/queue.h"

#include <stdio.h>
#include <unistd.h>

#include "test/support/expect.h"

static int items[1000];

static void a_ring_gives_what_it_got_in_order(void **state)
{
    static const uint32_t maxima[] = { 1, 2, 3, 7, 8, 100 };
    for (size_t m = 0; m < COUNT_OF(maxima); m++) {
        struct ring *ring = ring_new(maxima[m]);
        uint32_t pushed = 0, popped = 0;
        /* Steps of changing size walk over the end of the slots at every offset. */
        for (uint32_t step = 0; step < 200; step++) {
            while (pushed - popped < 1 + step % maxima[m])
                assert_true(ring_push(ring, &items[pushed++ % 1000]));
            assert_int_equal(ring_count(ring), pushed - popped);
            assert_ptr_equal(ring_peek(ring), &items[popped % 1000]);
            assert_ptr_equal(ring_pop(ring), &items[popped++ % 1000]);
        }
        while (popped < pushed)
            assert_ptr_equal(ring_pop(ring), &items[popped++ % 1000]);
        assert_null(ring_pop(ring));
        assert_null(ring_peek(ring));
        ring_free(ring);
    }
}

static void a_full_ring_refuses(void **state)
{
    static const uint32_t maxima[] = { 1, 3, 4, 5 };
    for (size_t m = 0; m < COUNT_OF(maxima); m++) {
        struct ring *ring = ring_new(maxima[m]);
        for (uint32_t i = 0; i < maxima[m]; i++)
            assert_true(ring_push(ring, &items[i]));
        assert_false(ring_push(ring, &items[0]));
        assert_int_equal(ring_count(ring), maxima[m]);
        assert_ptr_equal(ring_pop(ring), &items[0]);
        assert_true(ring_push(ring, &items[0]));
        assert_false(ring_push(ring, &items[0]));
        while (ring_pop(ring) != NULL)
            ;
        ring_free(ring);
    }
    ring_free(NULL);
}

static void an_inbox_gives_what_it_got_in_order(void **state)
{
    struct inbox *inbox = inbox_new(3, sizeof(uint64_t));
    uint64_t pushed = 0, taken = 0, item;
    assert_false(inbox_take(inbox, &item));
    for (int round = 0; round < 20; round++) {
        while (inbox_push(inbox, &pushed))
            pushed++;
        assert_int_equal(pushed - taken, 3);
        for (int i = 0; i < 1 + round % 3; i++) {
            assert_true(inbox_take(inbox, &item));
            assert_int_equal(item, taken++);
        }
    }
    inbox_free(inbox);
    inbox_free(NULL);
}

static long resident_pages(void)
{
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
    fclose(file);
    return resident;
}

/* Each job has one with room for the worst; in time all of these would be megabytes that nobody needs. */
static void an_inbox_takes_memory_for_what_has_waited_at_once(void **state)
{
    enum { ITEMS = 1 << 19, ITEM_SIZE = 64 };
    char item[ITEM_SIZE] = "";
    struct inbox *inbox = inbox_new(ITEMS, ITEM_SIZE);
    assert_true(inbox_push(inbox, item) && inbox_take(inbox, item));
    long before = resident_pages();
    for (uint32_t i = 0; i < ITEMS; i++)
        assert_true(inbox_push(inbox, item) && inbox_take(inbox, item));
    assert_in_range((resident_pages() - before) * sysconf(_SC_PAGESIZE) + (1 << 20), 0,
        (ITEMS * ITEM_SIZE) / 4);
    inbox_free(inbox);
}

static void a_closed_inbox_keeps_what_is_in_it(void **state)
{
    struct inbox *inbox = inbox_new(3, 1);
    char item = 'x';
    assert_true(inbox_push(inbox, &item));
    inbox_close(inbox);
    assert_false(inbox_push(inbox, &item));
    item = 0;
    assert_true(inbox_take(inbox, &item));
    assert_int_equal(item, 'x');
    assert_false(inbox_take(inbox, &item));
    inbox_free(inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_gives_what_it_got_in_order),
        cmocka_unit_test(a_full_ring_refuses),
        cmocka_unit_test(an_inbox_gives_what_it_got_in_order),
        cmocka_unit_test(an_inbox_takes_memory_for_what_has_waited_at_once),
        cmocka_unit_test(a_closed_inbox_keeps_what_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

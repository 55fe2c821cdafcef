/* channel_test.c -- order, credits and overflow, on one thread. */
#include "runtime/exchange/channel.h"

#include "base/os.h"
#include "test/support/sample.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct segment_pool *pool;

static int make_pool(void **state)
{
    pool = segment_pool_new(64u << 20);
    return 0;
}

static int free_pool(void **state)
{
    assert_int_equal(segment_pool_used(pool), 0);
    segment_pool_free(pool);
    return 0;
}

static void push(struct channel *channel, int64_t value, size_t payload)
{
    struct segment *segment = segment_take(pool, payload);
    assert_non_null(segment);
    segment_add(segment, ELEMENT_RECORD, payload)->value = value;
    channel_push(channel, segment);
}

static int64_t pop(struct channel *channel)
{
    struct segment *segment = channel_pop(channel);
    if (segment == NULL)
        return -1;
    int64_t value = segment_next(segment)->value;
    segment_give(segment);
    return value;
}

static void room_is_the_credits_that_are_free(void **state)
{
    struct channel *channel = channel_new(3);
    assert_true(channel_is_empty(channel));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(channel_room(channel), 3 - i);
        push(channel, i, 1);
    }
    assert_int_equal(channel_room(channel), 0);
    assert_false(channel_is_empty(channel));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pop(channel), i);
        assert_int_equal(channel_room(channel), i + 1);
    }
    assert_int_equal(pop(channel), -1);
    assert_true(channel_is_empty(channel));
    channel_free(channel);
}

static void a_long_segment_takes_the_places_of_its_bytes(void **state)
{
    static const struct {
        size_t payload;
        uint32_t places;
    } rows[] = {
        { 0, 1 }, { SEGMENT_SIZE - 64, 1 }, { SEGMENT_SIZE, 2 }, { 3 * SEGMENT_SIZE, 4 },
        { 100 * SEGMENT_SIZE, 8 }, /* more than there are: all */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct channel *channel = channel_new(8);
        push(channel, 1, rows[i].payload);
        assert_int_equal(channel_room(channel), 8 - rows[i].places);
        assert_int_equal(pop(channel), 1);
        assert_int_equal(channel_room(channel), 8);
        channel_free(channel);
    }
}

static void a_push_beyond_the_ring_waits_in_the_overflow(void **state)
{
    struct channel *channel = channel_new(2);
    const int in_ring = 2 + CHANNEL_RESERVE;
    for (int i = 0; i < in_ring; i++)
        push(channel, i, 1);
    assert_true(channel_flushed(channel));
    for (int i = 0; i < 10; i++)
        push(channel, in_ring + i, 1);
    assert_false(channel_flushed(channel));
    assert_int_equal(channel_room(channel), 0);
    for (int i = 0; i < in_ring + 10; i++) {
        assert_int_equal(pop(channel), i);
        channel_room(channel); /* moves the next one out of the overflow */
    }
    assert_true(channel_flushed(channel));
    assert_int_equal(channel_room(channel), 2);
    channel_free(channel);
}

static void segments_leave_in_the_order_they_entered(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct channel *channel = channel_new(1 + (uint32_t)seed % 5);
        int64_t pushed = 0, popped = 0;
        for (uint64_t step = 0; step < 500; step++) {
            uint64_t random = sample_random(seed, step);
            if (random % 2 == 0) {
                push(channel, pushed++, random >> 32 & 127);
            } else if (random % 16 == 1) {
                channel_room(channel);
            } else {
                int64_t value = pop(channel);
                assert_true(value == popped || value == -1);
                popped += value >= 0;
            }
        }
        while (popped < pushed) {
            channel_flushed(channel);
            assert_int_equal(pop(channel), popped);
            popped++;
        }
        channel_free(channel);
    }
}

/* Else a barrier in the overflow would not come in sight before a consumer that is slow has read what is in the ring. */
static void a_producer_whose_overflow_may_move_is_woken_by_what_is_taken_ahead(void **state)
{
    struct channel *channel = channel_new(2);
    struct waker *producer = waker_new();
    struct pollfd woken = { .fd = waker_fd(producer), .events = POLLIN };
    struct segment *ahead[2 + CHANNEL_RESERVE];
    channel_set_wakers(channel, producer, NULL);
    for (int i = 0; i < 3 + CHANNEL_RESERVE; i++)
        push(channel, i, 1);
    assert_false(channel_flushed(channel)); /* it waits for that */
    assert_true(waker_sleep(producer));
    for (int i = 0; i < 2 + CHANNEL_RESERVE; i++)
        ahead[i] = channel_pop_ahead(channel);
    assert_null(channel_pop_ahead(channel));
    assert_int_equal(poll(&woken, 1, 0), 1);
    waker_awake(producer, true);
    assert_true(channel_flushed(channel));
    assert_int_equal(channel_room(channel), 0); /* all that was taken ahead has its place still */
    for (int i = 0; i < 2 + CHANNEL_RESERVE; i++) {
        channel_free_places(channel, ahead[i]);
        segment_give(ahead[i]);
    }
    assert_int_equal(pop(channel), 2 + CHANNEL_RESERVE);
    assert_int_equal(channel_room(channel), 2);
    channel_free(channel);
    waker_free(producer);
}

static void freeing_gives_back_what_is_inside(void **state)
{
    struct channel *channel = channel_new(1);
    for (int i = 0; i < 20; i++)
        push(channel, i, i % 3 == 0 ? 50000 : 5);
    assert_true(segment_pool_used(pool) > 0);
    channel_free(channel);
    assert_int_equal(segment_pool_used(pool), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_the_credits_that_are_free),
        cmocka_unit_test(a_long_segment_takes_the_places_of_its_bytes),
        cmocka_unit_test(a_push_beyond_the_ring_waits_in_the_overflow),
        cmocka_unit_test(segments_leave_in_the_order_they_entered),
        cmocka_unit_test(a_producer_whose_overflow_may_move_is_woken_by_what_is_taken_ahead),
        cmocka_unit_test(freeing_gives_back_what_is_inside),
    };
    return cmocka_run_group_tests(tests, make_pool, free_pool);
}

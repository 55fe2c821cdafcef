/* queue_threads_test.c -- ring, inbox and waker between threads: nothing lost, nothing reordered,
 * nobody asleep for ever. A lost wake-up shows as a hang, which the test's time-out ends. */
#include "base/os.h"
#include "base/queue.h"
#include "test/support/expect.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { ITEMS = 100000, PRODUCERS = 4, LETTERS = 20000 };

/* Thread: see each member. */
struct channel {
    struct ring *ring;
    struct waker *consumer; /* woken after each push */
    struct waker *producer; /* woken after each pop */
};

static void *produce(void *arg)
{
    struct channel *channel = arg;
    for (uintptr_t i = 1; i <= ITEMS; i++) {
        while (!ring_push(channel->ring, (void *)i))
            waker_wait(channel->producer, -1);
        waker_wake(channel->consumer);
    }
    return NULL;
}

static void a_ring_between_sleeping_threads_loses_nothing(void **state)
{
    static const uint32_t maxima[] = { 1, 3, 64 };
    for (size_t m = 0; m < COUNT_OF(maxima); m++) {
        struct channel channel = { .ring = ring_new(maxima[m]),
            .consumer = waker_new(),
            .producer = waker_new() };
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, produce, &channel), 0);
        for (uintptr_t i = 1; i <= ITEMS; i++) {
            void *item;
            while ((item = ring_pop(channel.ring)) == NULL)
                waker_wait(channel.consumer, -1);
            assert_int_equal((uintptr_t)item, i);
            waker_wake(channel.producer);
        }
        pthread_join(thread, NULL);
        assert_int_equal(ring_count(channel.ring), 0);
        ring_free(channel.ring);
        waker_free(channel.consumer);
        waker_free(channel.producer);
    }
}

struct letter {
    uint32_t sender, number;
};

/* Thread: one a sender; what it points to: any. */
struct sender {
    struct inbox *inbox;
    struct waker *owner;
    uint32_t index;
};

static void *send_letters(void *arg)
{
    struct sender *sender = arg;
    for (uint32_t i = 0; i < LETTERS; i++) {
        struct letter letter = { .sender = sender->index, .number = i };
        while (!inbox_push(sender->inbox, &letter))
            sched_yield();
        waker_wake(sender->owner);
    }
    return NULL;
}

static void an_inbox_of_many_senders_keeps_the_order_of_each(void **state)
{
    struct inbox *inbox = inbox_new(16, sizeof(struct letter));
    struct waker *owner = waker_new();
    struct sender senders[PRODUCERS];
    pthread_t threads[PRODUCERS];
    uint32_t next[PRODUCERS] = { 0 };
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        senders[i] = (struct sender){ .inbox = inbox, .owner = owner, .index = i };
        assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &senders[i]), 0);
    }
    for (int taken = 0; taken < PRODUCERS * LETTERS; taken++) {
        struct letter letter;
        while (!inbox_take(inbox, &letter))
            waker_wait(owner, -1);
        assert_int_equal(letter.number, next[letter.sender]++);
    }
    for (uint32_t i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    inbox_free(inbox);
    waker_free(owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_between_sleeping_threads_loses_nothing),
        cmocka_unit_test(an_inbox_of_many_senders_keeps_the_order_of_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* mailbox_test.c -- letters: their order, and what becomes of those that nobody reads. */
#include "runtime/task/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>

#include "test/support/expect.h"

static int64_t ran, dropped;

static void run(struct task *task, void *arg)
{
    ran = ran * 10 + *(const int *)arg;
}

static void drop(void *arg)
{
    dropped = dropped * 10 + *(const int *)arg;
}

static void push(struct mailbox *box, const int *number)
{
    mailbox_push(box, (struct letter){ .what = "test",
                          .run = run,
                          .drop = drop,
                          .arg = (void *)(uintptr_t)number });
}

static const int one = 1, two = 2, three = 3;

static int start(void **state)
{
    ran = dropped = 0;
    return 0;
}

static void letters_are_read_in_the_order_they_came(void **state)
{
    struct mailbox *box = mailbox_new(4);
    struct letter letter;
    assert_false(mailbox_take(box, &letter));
    push(box, &one);
    push(box, &two);
    push(box, &three);
    while (mailbox_take(box, &letter))
        letter.run(NULL, letter.arg);
    assert_int_equal(ran, 123);
    mailbox_free(box);
    assert_int_equal(dropped, 0);
}

static void letters_that_nobody_reads_are_dropped_with_the_box(void **state)
{
    struct mailbox *box = mailbox_new(4);
    push(box, &one);
    push(box, &two);
    mailbox_free(box);
    assert_int_equal(dropped, 12);
    assert_int_equal(ran, 0);
    mailbox_free(NULL);
}

static void a_letter_to_a_closed_box_is_dropped_at_once(void **state)
{
    struct mailbox *box = mailbox_new(4);
    struct letter letter;
    push(box, &one);
    mailbox_close(box);
    push(box, &two);
    assert_int_equal(dropped, 2);
    assert_true(mailbox_take(box, &letter)); /* what was inside can still be read */
    mailbox_free(box);
    assert_int_equal(dropped, 2);
}

static void a_letter_without_drop_is_just_forgotten(void **state)
{
    struct mailbox *box = mailbox_new(1);
    mailbox_push(box, (struct letter){ .what = "test", .run = run });
    mailbox_free(box);
}

static void a_push_wakes_the_owner(void **state)
{
    struct waker *waker = waker_new();
    struct mailbox *box = mailbox_new(4);
    mailbox_set_waker(box, waker);
    push(box, &one);
    waker_wait(waker, -1); /* for ever, if it did not */
    mailbox_close(box);
    push(box, &two);
    int64_t before_ns = os_monotonic_ns();
    waker_wait(waker, 20); /* a dropped letter wakes nobody */
    assert_true(os_monotonic_ns() - before_ns > 10 * 1000000);
    mailbox_free(box);
    waker_free(waker);
}

static void overfill(void *arg)
{
    struct mailbox *box = mailbox_new(2);
    for (int i = 0; i < 3; i++)
        push(box, &one);
}

static void a_full_box_is_a_defect(void **state)
{
    expect_abort(overfill, NULL);
}

/* -- many senders --------------------------------------------------------------------------------- */

#define SENDERS 4
#define LETTERS 2000

static atomic_uint received;

static void count(struct task *task, void *arg)
{
    atomic_fetch_add(&received, 1);
}

static void *send_many(void *arg)
{
    for (int i = 0; i < LETTERS; i++)
        mailbox_push(arg, (struct letter){ .what = "test", .run = count });
    return NULL;
}

static void letters_of_many_senders_all_arrive(void **state)
{
    struct waker *waker = waker_new();
    struct mailbox *box = mailbox_new(SENDERS * LETTERS);
    pthread_t threads[SENDERS];
    struct letter letter;
    mailbox_set_waker(box, waker);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, box), 0);
    while (atomic_load(&received) < SENDERS * LETTERS) {
        if (mailbox_take(box, &letter))
            letter.run(NULL, letter.arg);
        else
            waker_wait(waker, -1);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(mailbox_take(box, &letter));
    mailbox_free(box);
    waker_free(waker);
}

#define TEST(test_) cmocka_unit_test_setup(test_, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(letters_are_read_in_the_order_they_came),
        TEST(letters_that_nobody_reads_are_dropped_with_the_box),
        TEST(a_letter_to_a_closed_box_is_dropped_at_once),
        TEST(a_letter_without_drop_is_just_forgotten),
        TEST(a_push_wakes_the_owner),
        TEST(a_full_box_is_a_defect),
        TEST(letters_of_many_senders_all_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

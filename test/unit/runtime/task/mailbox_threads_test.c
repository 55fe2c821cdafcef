/* mailbox_threads_test.c -- letters from many threads arrive once, in each sender's order, and wake. */
#include "runtime/task/mailbox.h"

#include "base/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SENDERS 4
#define LETTERS 2000

static _Atomic int dropped;
static uint64_t next_of[SENDERS];
static int received;

static void take_it(struct task *task, void *arg)
{
    uint64_t number = *(uint64_t *)arg;
    uint64_t sender = number / LETTERS;
    assert_true(sender < SENDERS);
    assert_int_equal(number % LETTERS, next_of[sender]);
    next_of[sender]++;
    received++;
    mem_free(arg);
}

static void drop_it(void *arg)
{
    dropped++;
    mem_free(arg);
}

static struct letter letter_of(uint64_t number)
{
    uint64_t *arg = mem_alloc(sizeof(*arg));
    *arg = number;
    return (struct letter){ .what = "a number", .run = take_it, .drop = drop_it, .arg = arg };
}

/* Thread: the senders. */
struct sender {
    struct mailbox *box;
    uint64_t number;
};

static void *send_all(void *arg)
{
    const struct sender *sender = arg;
    for (uint64_t i = 0; i < LETTERS; i++)
        mailbox_push(sender->box, letter_of(sender->number * LETTERS + i));
    return NULL;
}

static void every_letter_arrives_once_in_its_senders_order(void **state)
{
    struct mailbox *box = mailbox_new(SENDERS * LETTERS);
    struct waker *waker = waker_new();
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    received = 0;
    mailbox_set_waker(box, waker);
    for (uint64_t i = 0; i < SENDERS; i++) {
        next_of[i] = 0;
        senders[i] = (struct sender){ .box = box, .number = i };
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    while (received < SENDERS * LETTERS) {
        struct letter letter;
        while (mailbox_take(box, &letter))
            letter.run(NULL, letter.arg);
        if (received < SENDERS * LETTERS)
            waker_wait(waker, 10000); /* a lost wake-up would cost the test its time limit */
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    struct letter letter;
    assert_false(mailbox_take(box, &letter));
    mailbox_free(box);
    waker_free(waker);
}

static void what_is_not_read_is_dropped(void **state)
{
    struct mailbox *box = mailbox_new(8);
    dropped = 0;
    mailbox_push(box, letter_of(1));
    mailbox_push(box, letter_of(2));
    mailbox_close(box);
    assert_int_equal(dropped, 0);
    mailbox_push(box, letter_of(3)); /* too late: at once */
    assert_int_equal(dropped, 1);
    mailbox_free(box);
    assert_int_equal(dropped, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_letter_arrives_once_in_its_senders_order),
        cmocka_unit_test(what_is_not_read_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* errands_test.c -- blocking work and the thread that hears of its end. */
#include "base/errands.h"

#include "test/support/expect.h"

/* Thread: the test's; run: its worker's. */
struct task {
    int runs, ends, puts_away;
};

static void run(void *arg)
{
    ((struct task *)arg)->runs++;
}

static void done(void *arg, bool is_over)
{
    struct task *task = arg;
    assert_int_equal(task->runs, 1);
    task->ends += !is_over;
    task->puts_away += is_over;
}

static void done_is_called_by_a_step_and_once(void **state)
{
    struct workers *workers = workers_new(0, 8);
    struct waker *waker = waker_new();
    struct errands *errands = errands_new(workers, waker, 2);
    struct task task = { .runs = 0 };
    assert_true(errands_submit(errands, NULL, run, done, &task));
    errands_step(errands);
    assert_int_equal(task.ends, 0);
    assert_true(workers_step(workers));
    assert_int_equal(task.ends, 0);
    errands_step(errands);
    errands_step(errands);
    assert_int_equal(task.ends, 1);
    errands_free(errands);
    assert_int_equal(task.puts_away, 0);
    waker_free(waker);
    workers_free(workers);
}

static void more_than_there_is_room_for_are_refused(void **state)
{
    struct workers *workers = workers_new(0, 3);
    struct waker *waker = waker_new();
    struct errands *errands = errands_new(workers, waker, 2), *others;
    struct task tasks[4] = { { .runs = 0 } };
    assert_true(errands_submit(errands, NULL, run, done, &tasks[0]));
    assert_true(errands_submit(errands, errands, run, done, &tasks[1]));
    assert_false(errands_submit(errands, NULL, run, done, &tasks[2]));
    others = errands_new(workers, waker, 2);
    assert_true(errands_submit(others, NULL, run, done, &tasks[2]));
    assert_false(errands_submit(others, NULL, run, done, &tasks[3])); /* the workers have no room */
    assert_true(workers_step(workers));
    errands_step(errands);
    assert_true(errands_submit(errands, NULL, run, done, &tasks[3]));
    errands_free(errands);
    errands_free(others);
    assert_int_equal(tasks[0].ends, 1);
    for (int i = 1; i < 4; i++)
        assert_int_equal(tasks[i].puts_away, 1);
    waker_free(waker);
    workers_free(workers);
}

static void what_is_under_way_at_the_end_is_waited_for_and_put_away(void **state)
{
    struct workers *workers = workers_new(2, 64);
    struct waker *waker = waker_new();
    struct errands *errands = errands_new(workers, waker, 64);
    struct task tasks[64] = { { .runs = 0 } };
    for (int i = 0; i < 64; i++)
        assert_true(errands_submit(errands, i % 2 == 0 ? errands : NULL, run, done, &tasks[i]));
    errands_step(errands);
    errands_free(errands);
    for (int i = 0; i < 64; i++)
        assert_int_equal(tasks[i].ends + tasks[i].puts_away, 1);
    waker_free(waker);
    workers_free(workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(done_is_called_by_a_step_and_once),
        cmocka_unit_test(more_than_there_is_room_for_are_refused),
        cmocka_unit_test(what_is_under_way_at_the_end_is_waited_for_and_put_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

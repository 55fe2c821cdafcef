/* worker_threads_test.c -- workers with threads: lanes keep their order, draining waits. */
#include "base/worker.h"

#include "test/support/expect.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { LANES = 5, JOBS = 2000 };

/* Thread: its lane's jobs, one at a time; `is_busy`: any. */
struct lane {
    atomic_bool is_busy;
    int last;
};

/* Thread: its job. */
struct step {
    struct lane *lane;
    int number;
};

static void take_a_step(void *arg)
{
    struct step *step = arg;
    assert_false(atomic_exchange(&step->lane->is_busy, true)); /* never two of a lane at a time */
    assert_int_equal(step->number, step->lane->last + 1);
    step->lane->last = step->number;
    if (step->number % 64 == 0)
        sched_yield();
    atomic_store(&step->lane->is_busy, false);
}

static void lanes_keep_their_order_over_many_threads(void **state)
{
    static struct lane lanes[LANES];
    static struct step steps[LANES][JOBS];
    struct workers *workers = workers_new(4, 64);
    for (int j = 0; j < JOBS; j++)
        for (int l = 0; l < LANES; l++) {
            steps[l][j] = (struct step){ .lane = &lanes[l], .number = j + 1 };
            while (!workers_submit(workers, &lanes[l], take_a_step, &steps[l][j]))
                sched_yield();
        }
    for (int l = 0; l < LANES; l++) {
        workers_drain(workers, &lanes[l]);
        assert_int_equal(lanes[l].last, JOBS);
    }
    workers_free(workers);
}

static void count(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void freeing_runs_what_is_waiting(void **state)
{
    atomic_int done = 0;
    struct workers *workers = workers_new(3, 1000);
    for (int i = 0; i < 1000; i++)
        assert_true(workers_submit(workers, NULL, count, &done));
    workers_free(workers);
    assert_int_equal(atomic_load(&done), 1000);
}

static atomic_bool is_open;

static void wait_for_opening(void *arg)
{
    while (!atomic_load(&is_open))
        sched_yield();
}

static void open_the_gate(void *arg)
{
    atomic_store(&is_open, true);
}

static void one_lane_does_not_hold_up_another(void **state)
{
    int a, b;
    atomic_store(&is_open, false);
    struct workers *workers = workers_new(2, 8);
    assert_true(workers_submit(workers, &a, wait_for_opening, NULL));
    assert_true(workers_submit(workers, &a, wait_for_opening, NULL));
    assert_true(workers_submit(workers, &b, open_the_gate, NULL)); /* behind both, runs before */
    workers_drain(workers, &a);
    workers_free(workers);
}

static void a_withdrawal_waits_for_its_own_job_alone(void **state)
{
    int lane;
    atomic_int done = 0;
    atomic_store(&is_open, false);
    struct workers *workers = workers_new(2, 8);
    assert_true(workers_submit(workers, &lane, wait_for_opening, NULL));
    assert_true(workers_submit(workers, &lane, count, &done)); /* behind it, never to run */
    workers_withdraw(workers, count, &done);
    assert_true(workers_submit(workers, NULL, open_the_gate, NULL));
    workers_withdraw(workers, wait_for_opening, NULL);
    assert_true(workers_wait(workers, 60000));
    assert_int_equal(atomic_load(&done), 0);
    workers_free(workers);
}

static void a_wait_ends_when_all_have_ended_or_in_time(void **state)
{
    int lane;
    atomic_store(&is_open, false);
    struct workers *workers = workers_new(2, 8);
    assert_true(workers_wait(workers, 0));
    assert_true(workers_submit(workers, &lane, wait_for_opening, NULL));
    assert_true(workers_submit(workers, &lane, wait_for_opening, NULL)); /* for its turn */
    assert_false(workers_wait(workers, 10));
    open_the_gate(NULL);
    assert_true(workers_wait(workers, 60000));
    workers_free(workers);
}

static atomic_int shares[JOBS];

static void take_a_share(void *arg, uint64_t index)
{
    (void)arg;
    atomic_fetch_add(&shares[index], 1);
    if (index % 64 == 0)
        sched_yield();
}

static void share_it_all(void *arg)
{
    workers_share(arg, JOBS, take_a_share, NULL);
}

/* Two workers share work with the caller and each other, and the third one never helps. */
static void shared_work_is_done_once_by_whoever_is_there(void **state)
{
    atomic_store(&is_open, false);
    struct workers *workers = workers_new(3, 8);
    assert_true(workers_submit(workers, NULL, wait_for_opening, NULL));
    assert_true(workers_submit(workers, NULL, share_it_all, workers));
    assert_true(workers_submit(workers, NULL, share_it_all, workers));
    workers_share(workers, JOBS, take_a_share, NULL);
    atomic_store(&is_open, true);
    workers_free(workers);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&shares[i]), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_keep_their_order_over_many_threads),
        cmocka_unit_test(freeing_runs_what_is_waiting),
        cmocka_unit_test(one_lane_does_not_hold_up_another),
        cmocka_unit_test(a_withdrawal_waits_for_its_own_job_alone),
        cmocka_unit_test(a_wait_ends_when_all_have_ended_or_in_time),
        cmocka_unit_test(shared_work_is_done_once_by_whoever_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

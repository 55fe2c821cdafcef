/* worker_test.c -- workers without threads: the simulator's way. */
#include "base/worker.h"

#include "test/support/expect.h"

static char trace[64];

static void note(void *arg)
{
    trace[strlen(trace)] = *(char *)arg;
}

static bool was_running;

static void look(void *arg)
{
    was_running = workers_is_running(arg);
}

static char letters[128]; /* the letter c is at letters[c] */
#define LETTER(letter_) (&letters[(letter_)])

static struct workers *workers_of(uint32_t jobs_max)
{
    memset(trace, 0, sizeof(trace));
    for (char letter = 'a'; letter <= 'z'; letter++)
        letters[(int)letter] = letter;
    return workers_new(0, jobs_max);
}

static void steps_run_jobs_in_order_of_submission(void **state)
{
    int lane;
    struct workers *workers = workers_of(8);
    assert_false(workers_step(workers));
    assert_true(workers_submit(workers, &lane, note, LETTER('a')));
    assert_true(workers_submit(workers, NULL, note, LETTER('b')));
    assert_true(workers_submit(workers, &lane, note, LETTER('c')));
    assert_string_equal(trace, "");
    while (workers_step(workers))
        ;
    assert_string_equal(trace, "abc");
    workers_free(workers);
}

static void a_full_queue_refuses_jobs(void **state)
{
    struct workers *workers = workers_of(2);
    assert_true(workers_submit(workers, NULL, note, LETTER('a')));
    assert_true(workers_submit(workers, NULL, note, LETTER('b')));
    assert_false(workers_submit(workers, NULL, note, LETTER('c')));
    assert_true(workers_step(workers));
    assert_true(workers_submit(workers, NULL, note, LETTER('d')));
    workers_free(workers);
    assert_string_equal(trace, "abd"); /* freeing ran what was waiting */
}

static void draining_runs_only_its_lane(void **state)
{
    int a, b;
    struct workers *workers = workers_of(8);
    workers_submit(workers, &a, note, LETTER('a'));
    workers_submit(workers, &b, note, LETTER('b'));
    workers_submit(workers, &a, note, LETTER('c'));
    workers_drain(workers, &a);
    assert_string_equal(trace, "ac");
    workers_drain(workers, &a);
    workers_drain(workers, NULL);
    assert_string_equal(trace, "ac");
    workers_free(workers);
    assert_string_equal(trace, "acb");
    workers_free(NULL);
}

static void what_is_withdrawn_never_runs(void **state)
{
    int lane;
    struct workers *workers = workers_of(8);
    workers_submit(workers, &lane, note, LETTER('a'));
    workers_submit(workers, &lane, note, LETTER('b'));
    workers_submit(workers, NULL, note, LETTER('a'));
    workers_submit(workers, &lane, look, LETTER('a'));
    workers_withdraw(workers, note, LETTER('a'));
    workers_withdraw(workers, note, LETTER('z'));
    workers_withdraw(workers, look, LETTER('a'));
    while (workers_step(workers))
        ;
    assert_string_equal(trace, "b");
    workers_free(workers);
}

static void submit_again(void *arg)
{
    note(LETTER('x'));
    workers_submit(arg, arg, note, LETTER('y'));
}

static void a_job_may_submit_another_one(void **state)
{
    struct workers *workers = workers_of(8);
    workers_submit(workers, workers, submit_again, workers);
    workers_drain(workers, workers);
    assert_string_equal(trace, "xy");
    workers_free(workers);
}

static void a_job_that_runs_is_told_of(void **state)
{
    struct workers *workers = workers_of(8);
    workers_submit(workers, NULL, look, workers);
    assert_true(!workers_is_running(workers) && workers_is_waiting(workers));
    workers_step(workers);
    assert_true(was_running);
    assert_true(!workers_is_running(workers) && !workers_is_waiting(workers));
    workers_free(workers);
}

static void note_index(void *arg, uint64_t index)
{
    note(&((char *)arg)[index]);
}

static void without_threads_the_caller_does_shared_work_in_order(void **state)
{
    struct workers *workers = workers_of(8);
    workers_share(workers, 3, note_index, LETTER('a'));
    workers_share(NULL, 2, note_index, LETTER('d'));
    workers_share(workers, 0, note_index, LETTER('x'));
    assert_string_equal(trace, "abcde");
    assert_false(workers_step(workers));
    workers_free(workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_run_jobs_in_order_of_submission),
        cmocka_unit_test(a_full_queue_refuses_jobs),
        cmocka_unit_test(draining_runs_only_its_lane),
        cmocka_unit_test(what_is_withdrawn_never_runs),
        cmocka_unit_test(a_job_may_submit_another_one),
        cmocka_unit_test(a_job_that_runs_is_told_of),
        cmocka_unit_test(without_threads_the_caller_does_shared_work_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

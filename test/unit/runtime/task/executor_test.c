/* executor_test.c -- a slot: its rounds, and its thread that sleeps until somebody wakes it. */
#include "runtime/task/executor.h"

#include "base/os_process.h"
#include "runtime/task/current.h"
#include "runtime/task/task_private.h"
#include "test/support/task_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/support/expect.h"

static _Atomic uint32_t polls, emitted;
static _Atomic bool has_more, is_stuck;

static const struct weir_type *slow_type(const void *options)
{
    return &item_type;
}

static weir_error *slow_open(weir_ctx *ctx, const void *options, void *instance)
{
    weir_split_add(ctx);
    return NULL;
}

static weir_error *slow_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    static const struct item item = { .key = 1, .value = 2 };
    polls++;
    while (is_stuck)
        os_sleep_ms(1);
    *status = WEIR_SOURCE_IDLE;
    if (!has_more)
        return NULL;
    weir_source_emit_record(ctx, 0, &item);
    emitted++;
    *status = WEIR_SOURCE_MORE;
    return NULL;
}

static weir_error *slow_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    return NULL;
}

static void slow_close(weir_ctx *ctx, void *instance)
{
}

static const struct weir_source_class slow_class = { .name = "slow",
    .out_type = slow_type,
    .open = slow_open,
    .poll = slow_poll,
    .snapshot = slow_snapshot,
    .close = slow_close };

static void build(weir_job *job)
{
    weir_stream *items =
        weir_source(job, "slow", (struct weir_source){ .source_class = &slow_class });
    weir_sink(items, "out", weir_blackhole());
}

/* -- the task's surroundings, without the rig: its machine is for one thread ---------------------- */

static struct task_host host;
static weir_job *job;
static const struct plan *plan;
static _Atomic uint32_t running_count, acked_count;

static void on_running(void *arg, uint32_t subtask)
{
    running_count++;
}

static void on_acked(void *arg, struct subtask_snapshot *snapshot)
{
    acked_count++;
    subtask_snapshot_free(snapshot);
}

static void on_failed(void *arg, uint32_t subtask, weir_error *error)
{
    fprintf(stderr, "%s\n", weir_error_message(error));
    abort();
}

static int begin(void **state)
{
    polls = emitted = running_count = acked_count = 0;
    has_more = is_stuck = false;
    job = job_new(NULL);
    build(job);
    expect_ok(plan_build(job, &(struct plan_options){ .job = "slot", .parallelism = 2 }, &plan));
    host = (struct task_host){ .running = on_running,
        .acked = on_acked,
        .failed = on_failed,
        .workers = workers_new(2, 64),
        .job = "slot",
        .checkpoint_dir = "/nowhere",
        .batch_max = 256 };
    return 0;
}

static int end(void **state)
{
    workers_free(host.workers);
    job_free(job);
    return 0;
}

static struct task *new_task(uint32_t subtask)
{
    struct task_options options = { .plan = plan,
        .subtask = subtask,
        .host = &host,
        .partitions = mem_alloc_array(1, sizeof(struct partition *)) };
    return task_new(&options);
}

static void wait_until(_Atomic uint32_t *number, uint32_t least)
{
    for (int i = 0; i < 5000 && atomic_load(number) < least; i++)
        os_sleep_ms(1);
    assert_true(atomic_load(number) >= least);
}

/* -- rounds --------------------------------------------------------------------------------------- */

static void a_round_steps_every_task_once(void **state)
{
    struct executor *executor = executor_new("slot");
    struct task *tasks[] = { new_task(0), new_task(1) };
    executor_add(executor, tasks[0]);
    executor_add(executor, tasks[1]);
    assert_true(executor_round(executor)); /* both open */
    assert_int_equal(running_count, 2);
    assert_false(executor_round(executor));
    assert_int_equal(polls, 2);
    has_more = true;
    assert_true(executor_round(executor));
    assert_int_equal(emitted, 2);
    executor_free(executor);
    task_free(tasks[0]);
    task_free(tasks[1]);
}

static void the_deadline_is_the_earliest_of_its_tasks(void **state)
{
    struct executor *executor = executor_new("slot");
    assert_int_equal(executor_deadline_ms(executor), INT64_MAX);
    struct task *task = new_task(0);
    executor_add(executor, task);
    executor_round(executor);
    int64_t before_ms = os_wall_ms();
    executor_round(executor);
    assert_in_range(executor_deadline_ms(executor), before_ms + 100, os_wall_ms() + 100);
    executor_free(executor);
    task_free(task);
}

static void an_empty_slot_does_nothing(void **state)
{
    struct executor *executor = executor_new("slot");
    assert_false(executor_round(executor));
    expect_ok(executor_start(executor));
    executor_stop(executor);
    executor_stop(executor); /* harmless */
    executor_free(executor);
    executor_free(NULL);
}

/* -- its thread ----------------------------------------------------------------------------------- */

static void the_thread_steps_and_sleeps_when_there_is_nothing(void **state)
{
    struct executor *executor = executor_new("a-name-that-is-too-long");
    struct task *task = new_task(0);
    executor_add(executor, task);
    expect_ok(executor_start(executor));
    wait_until(&running_count, 1);
    wait_until(&polls, 1);
    int64_t asked_ns = os_monotonic_ns();
    wait_until(&polls, polls + 2); /* every 100 ms, not all the time */
    assert_true(os_monotonic_ns() - asked_ns > INT64_C(90000000));
    has_more = true;
    wait_until(&emitted, 1000);
    executor_stop(executor);
    uint32_t before = polls;
    os_sleep_ms(10);
    assert_int_equal(polls, before);
    executor_free(executor);
    task_free(task);
}

static void a_letter_wakes_the_thread(void **state)
{
    struct executor *executor = executor_new("slot");
    struct task *task = new_task(0);
    executor_add(executor, task);
    expect_ok(executor_start(executor));
    wait_until(&polls, 1);
    for (uint64_t n = 1; n <= 50; n++) {
        task_trigger(task, n); /* answered at once, not when the next poll is due */
        int64_t asked_ns = os_monotonic_ns();
        wait_until(&acked_count, (uint32_t)n);
        assert_true(os_monotonic_ns() - asked_ns < INT64_C(5000000000));
    }
    executor_stop(executor);
    executor_free(executor);
    task_free(task);
}

static void a_thread_that_does_not_come_back_says_where_it_is(void **state)
{
    char said[OS_CRASH_TEXT_MAX];
    const struct task *current;
    struct executor *executor = executor_new("slot");
    struct task *task = new_task(1);
    executor_add(executor, task);
    assert_false(executor_ask(executor, said)); /* it has no thread */
    os_crash_watch(current_describe);
    is_stuck = true;
    expect_ok(executor_start(executor));
    wait_until(&polls, 1);
    assert_true(executor_ask(executor, said));
    assert_string_equal(said, "source 'slow' (2/2)");
    executor_steps(executor, &current);
    assert_int_equal(task_number(current), 1);
    is_stuck = false;
    executor_stop(executor);
    executor_free(executor);
    task_free(task);
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_round_steps_every_task_once),
        TEST(the_deadline_is_the_earliest_of_its_tasks),
        TEST(an_empty_slot_does_nothing),
        TEST(the_thread_steps_and_sleeps_when_there_is_nothing),
        TEST(a_letter_wakes_the_thread),
        TEST(a_thread_that_does_not_come_back_says_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

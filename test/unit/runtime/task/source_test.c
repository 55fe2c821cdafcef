/* source_test.c -- a task whose head is a source: polling, watermarks, triggers, stops, and the
 * asynchronous calls that sources and sinks make. */
#include "runtime/task/task.h"

#include "runtime/task/task_private.h"
#include "test/sim/sim_os.h"
#include "test/support/task_rig.h"

#include <inttypes.h>
#include <stdio.h>

#include "test/support/expect.h"

static struct rig rig;

/* -- a source that does what the test says -------------------------------------------------------- */

static struct script {
    struct item items[64];
    uint32_t splits[64]; /* of each item */
    uint32_t item_count, next, split_count, emit_max;
    uint32_t handles[4];
    bool is_bounded, is_idle, fails;
    uint32_t polls, room;
    uint64_t completed;
    bool completion_fails;
} script;

static const struct weir_type *script_type(const void *options)
{
    return &item_type;
}

static weir_error *script_open(weir_ctx *ctx, const void *options, void *instance)
{
    for (uint32_t s = 0; s < script.split_count; s++)
        script.handles[s] = weir_split_add(ctx);
    if (weir_item_count(ctx) > 0)
        script.next = (uint32_t)weir_item_at(ctx, 0).value.data[0];
    return NULL;
}

static weir_error *script_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    script.polls++;
    script.room = weir_source_room(ctx);
    if (script.fails)
        return weir_errorf(WEIR_E_IO, "the source is gone");
    for (uint32_t i = 0; i < script.emit_max && script.next < script.item_count; i++) {
        weir_source_emit_record(ctx, script.handles[script.splits[script.next]],
            &script.items[script.next]);
        script.next++;
    }
    bool is_over = script.next == script.item_count;
    *status = is_over && script.is_bounded ? WEIR_SOURCE_FINISHED
              : is_over                    ? WEIR_SOURCE_IDLE
                                           : WEIR_SOURCE_MORE;
    for (uint32_t s = 0; s < script.split_count && script.is_idle; s++)
        weir_split_idle(ctx, script.handles[s], is_over);
    return NULL;
}

static weir_error *script_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    char position = (char)script.next;
    weir_item_add(ctx, WEIR_STR("position"), (weir_str){ .data = &position, .size = 1 });
    return NULL;
}

static weir_error *script_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    script.completed = checkpoint;
    return NULL;
}

static void script_close(weir_ctx *ctx, void *instance)
{
}

static int64_t script_lag(weir_ctx *ctx, void *instance)
{
    return script.item_count - script.next;
}

static const struct weir_source_class script_class = { .name = "script",
    .out_type = script_type,
    .open = script_open,
    .poll = script_poll,
    .snapshot = script_snapshot,
    .checkpoint_complete = script_complete,
    .close = script_close,
    .lag = script_lag };

static void add(uint32_t split, int64_t value, int64_t at_ms)
{
    script.items[script.item_count] = (struct item){ .key = split, .value = value, .at_ms = at_ms };
    script.splits[script.item_count++] = split;
}

/* -- a sink that makes asynchronous calls --------------------------------------------------------- */

static struct calls {
    bool run_fails, done_fails;
    uint32_t run, done;
    uint32_t per_completion;
    weir_ctx *ctx;
    uint32_t written; /* rows */
} calls;

static weir_error *call_run(void *arg)
{
    calls.run++;
    return calls.run_fails ? weir_errorf(WEIR_E_IO, "the call has failed") : NULL;
}

static weir_error *call_done(weir_ctx *ctx, void *arg)
{
    calls.done++;
    return calls.done_fails ? weir_errorf(WEIR_E_IO, "the end of the call has failed") : NULL;
}

static weir_error *sink_open(weir_ctx *ctx, const void *options, void *instance)
{
    calls.ctx = ctx;
    return NULL;
}

static weir_error *sink_write(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    calls.written += row_count;
    return NULL;
}

static weir_error *sink_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    for (uint32_t i = 0; i < calls.per_completion; i++)
        weir_async(ctx, call_run, call_done, NULL);
    return NULL;
}

static void sink_close(weir_ctx *ctx, void *instance)
{
}

static const struct weir_sink_class calls_class = { .name = "calls",
    .open = sink_open,
    .write = sink_write,
    .checkpoint_complete = sink_complete,
    .close = sink_close };

static void build(weir_job *job)
{
    weir_stream *items =
        weir_source(job, "script", (struct weir_source){ .source_class = &script_class });
    weir_event_time(items, item, at_ms, 10);
    weir_sink(items, "calls", (struct weir_sink){ .sink_class = &calls_class });
    weir_sink(weir_rebalance(items), "other", weir_blackhole());
}

static int begin(void **state)
{
    script = (struct script){ .split_count = 1, .emit_max = 2 };
    calls = (struct calls){ .per_completion = 1 };
    return 0;
}

static int end(void **state)
{
    rig_release(&rig);
    return 0;
}

static void start(void)
{
    rig_init(&rig,
        &(struct rig_options){ .build = build, .vertex = "script", .watermark_interval_ms = 100 });
    assert_int_equal(rig.input_count, 0);
    assert_int_equal(rig_step(&rig), TASK_WORKED);
}

static void expect_out(const char *expected)
{
    assert_string_equal(rig_out(&rig, 0), expected);
}

/* -- polling -------------------------------------------------------------------------------------- */

static void a_source_is_polled_while_it_has_more(void **state)
{
    for (int i = 0; i < 5; i++)
        add(0, i, 100 + i);
    start();
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_int_equal(script.polls, 3);
    assert_int_equal(script.room, 256);
    expect_out("0=0 0=1 W91 0=2 0=3 0=4");
    assert_int_equal(metric_get(&task_metrics(rig.task)->records_in), 5);
}

static void an_idle_source_is_asked_again_in_a_while(void **state)
{
    start();
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    int64_t now_ms = os_wall_ms();
    assert_int_equal(task_deadline_ms(rig.task), now_ms + 100);
    add(0, 1, 100);
    sim_os_advance_ns(INT64_C(100000000));
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    expect_out("0=1 W90");
}

static void a_bounded_source_ends(void **state)
{
    add(0, 1, 100);
    script.is_bounded = true;
    start();
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    expect_out("0=1 W90 E");
    assert_int_equal(rig.ended_count, 1);
    uint32_t polls = script.polls;
    rig_run(&rig);
    assert_int_equal(script.polls, polls);
}

static void a_poll_that_fails_fails_the_task(void **state)
{
    script.fails = true;
    start();
    rig_run(&rig);
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_IO, "the source is gone");
}

static void the_lag_is_told_now_and_then(void **state)
{
    for (int i = 0; i < 6; i++)
        add(0, i, 0);
    start();
    rig_step(&rig);
    assert_int_equal(metric_get(&task_metrics(rig.task)->lag), 4);
    rig_step(&rig);
    assert_int_equal(metric_get(&task_metrics(rig.task)->lag), 4);
    sim_os_advance_ns(INT64_C(200000000));
    rig_step(&rig);
    assert_int_equal(metric_get(&task_metrics(rig.task)->lag), 0);
}

/* -- watermarks ----------------------------------------------------------------------------------- */

static void the_watermark_is_the_smallest_of_the_splits(void **state)
{
    script.split_count = 2;
    add(0, 1, 500);
    add(0, 2, 700);
    start();
    rig_run(&rig);
    expect_out("0=1 0=2"); /* the second split has not spoken */
    add(1, 3, 600);
    sim_os_advance_ns(INT64_C(100000000));
    rig_run(&rig);
    expect_out("1=3 W590");
}

static void the_watermark_goes_out_once_an_interval(void **state)
{
    script.emit_max = 1;
    for (int i = 0; i < 3; i++)
        add(0, i, 100 * i);
    start();
    rig_run(&rig);
    expect_out("0=0 W-10 0=1 0=2");
    sim_os_advance_ns(INT64_C(100000000));
    rig_run(&rig);
    expect_out("W190");
}

static void a_record_from_the_future_does_not_age_the_state(void **state)
{
    int64_t now_ms = SIM_START_WALL_MS + 1000;
    add(0, 1, now_ms + 86400000);
    start();
    rig_run(&rig);
    char expected[64];
    snprintf(expected, sizeof(expected), "0=1 W%" PRId64, os_wall_ms());
    expect_out(expected);
    add(0, 2, INT64_MIN); /* and one from before time does no harm */
    sim_os_jump_wall_ms(-5000);
    sim_os_advance_ns(INT64_C(10000000000));
    rig_run(&rig);
    assert_int_equal(rig.failed_count, 0);
}

static void a_source_that_knows_it_has_nothing_is_idle(void **state)
{
    script.is_idle = true;
    add(0, 1, 500);
    start();
    rig_run(&rig);
    expect_out("0=1 I"); /* nobody has to wait for it */
    add(0, 2, 700);
    sim_os_advance_ns(INT64_C(100000000));
    rig_run(&rig);
    expect_out(
        "0=2 W490"); /* what the first one said; the second one is held back by the idleness */
}

/* -- checkpoints and stops ------------------------------------------------------------------------ */

static void a_trigger_puts_the_barrier_where_the_position_is(void **state)
{
    for (int i = 0; i < 4; i++)
        add(0, i, 0);
    start();
    rig_step(&rig);
    task_trigger(rig.task, 7);
    rig_run(&rig);
    expect_out("0=0 0=1 W-10 B7 0=2 0=3");
    rig_work(&rig);
    assert_int_equal(rig.acked_count, 1);
    struct subtask_snapshot *snapshot = rig.acked[0];
    rig.acked_count = 0;
    rig_restart(&rig, snapshot);
    subtask_snapshot_free(snapshot);
    rig_run(&rig);
    expect_out("0=2 0=3 W-10");
    task_trigger(rig.task, 8);
    rig_run(&rig);
    rig_work(&rig);
    assert_int_equal(rig.acked[0]->operators[0].counters[0], 4); /* exact, over both */
}

static void a_stopped_source_polls_no_more_but_takes_checkpoints(void **state)
{
    for (int i = 0; i < 4; i++)
        add(0, i, 0);
    start();
    rig_step(&rig);
    task_stop(rig.task);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_int_equal(script.polls, 1);
    assert_int_equal(task_deadline_ms(rig.task), INT64_MAX);
    task_trigger(rig.task, 1);
    rig_run(&rig);
    rig_work(&rig);
    expect_out("0=0 0=1 W-10 B1");
    assert_int_equal(rig.acked_count, 1);
    assert_int_equal(rig.ended_count, 0); /* its input is not over */
    task_complete(rig.task, 1);
    rig_run(&rig);
    assert_int_equal(script.completed, 1);
}

static void a_trigger_after_the_end_is_answered(void **state)
{
    script.is_bounded = true;
    start();
    rig_run(&rig);
    task_trigger(rig.task, 3);
    rig_run(&rig);
    rig_work(&rig);
    expect_out("E B3");
    assert_int_equal(rig.acked_count, 1);
    task_stop(rig.task);
    rig_run(&rig);
    assert_int_equal(rig.ended_count, 1);
}

static void an_old_trigger_is_ignored(void **state)
{
    start();
    task_trigger(rig.task, 5);
    task_trigger(rig.task, 4);
    rig_run(&rig);
    rig_work(&rig);
    expect_out("B5");
    assert_int_equal(rig.acked_count, 1);
}

/* -- asynchronous calls --------------------------------------------------------------------------- */

static void a_call_runs_on_a_worker_and_ends_on_the_task(void **state)
{
    start();
    task_complete(rig.task, 1);
    rig_run(&rig);
    assert_int_equal(calls.run, 0);
    rig_work(&rig);
    assert_int_equal(calls.run, 1);
    assert_int_equal(calls.done, 0);
    rig_run(&rig);
    assert_int_equal(calls.done, 1);
    assert_int_equal(calls.ctx->async_count, 0);
}

static void a_call_that_fails_fails_the_task(void **state)
{
    for (int part = 0; part < 2; part++) {
        calls.run_fails = part == 0;
        calls.done_fails = part == 1;
        start();
        task_complete(rig.task, 1);
        rig_run(&rig);
        rig_work(&rig);
        rig_run(&rig);
        assert_int_equal(calls.done, (uint32_t)part); /* not after a run that failed */
        weir_error *error = rig.failure;
        rig.failure = NULL;
        expect_error(error, WEIR_E_IO,
            part == 0 ? "operator 'calls': the call has failed"
                      : "operator 'calls': the end of the call has failed");
        if (part == 0)
            rig_release(&rig);
    }
}

static void a_call_that_ends_after_a_failure_is_forgotten(void **state)
{
    calls.per_completion = 3;
    calls.run_fails = true;
    start();
    task_complete(rig.task, 1);
    rig_run(&rig);
    rig_work(&rig);
    rig_run(&rig);
    assert_int_equal(rig.failed_count, 1);
    assert_int_equal(calls.done, 0);
}

static void a_call_that_is_under_way_is_waited_for(void **state)
{
    start();
    task_complete(rig.task, 1);
    rig_run(&rig);
    rig_restart(&rig, NULL);
    assert_int_equal(calls.run, 1); /* its memory was in use */
    assert_int_equal(calls.done, 0);
}

/* Both letters are read in one step: the failure must not be taken for one of the snapshot, which would
 * only decline the checkpoint, and be forgotten. */
static void a_failure_is_not_swallowed_by_a_snapshot_behind_it(void **state)
{
    calls.run_fails = true;
    start();
    task_complete(rig.task, 1);
    rig_run(&rig);
    rig_work(&rig);
    task_trigger(rig.task, 2);
    rig_run(&rig);
    rig_work(&rig);
    assert_int_equal(rig.failed_count, 1);
    assert_int_equal(rig.declined_count, 0);
    assert_int_equal(rig.acked_count, 0); /* nor is anything said by a task that has failed */
}

static void a_completion_that_fails_is_the_last_letter(void **state)
{
    calls.per_completion = 0;
    start();
    calls.run_fails = true;
    weir_async(calls.ctx, call_run, call_done, NULL);
    rig_work(&rig);
    task_complete(rig.task, 1);
    task_complete(rig.task, 2);
    rig_run(&rig);
    assert_int_equal(script.completed, 0); /* they came behind the failure */
    assert_int_equal(metric_get(&task_metrics(rig.task)->notified), 0);
}

/* -- what was in flight --------------------------------------------------------------------------- */

/* Three records on their way to the sink, which with another parallelism had an edge in front of it. */
static struct subtask_snapshot *in_flight_to_the_sink(void)
{
    struct subtask_snapshot *snapshot = subtask_snapshot_new(1, 0);
    struct layout layout;
    struct item item = { .value = 7 };
    alignas(16) char bytes[256] = { 0 };
    struct element *element = (struct element *)(void *)bytes;
    layout_init(&layout, &item_type);
    element->size = (uint32_t)layout_size(&layout, &item);
    layout_write(&layout, &item, element + 1);
    weir_buffer *in_flight = in_flight_new();
    for (uint32_t i = 0; i < 3; i++)
        in_flight_add(in_flight, false, element, segment_element_size(element->size));
    snapshot->operators = arena_alloc(&snapshot->arena, sizeof(*snapshot->operators));
    snapshot->operator_count = 1;
    snapshot->operators[0] =
        (struct operator_snapshot){ .uid = WEIR_STR("calls"), .parallelism = 1 };
    expect_ok(in_flight_store(in_flight, &item_type, rig.host.checkpoint_dir, 1, &snapshot->arena,
        &snapshot->operators[0]));
    weir_buffer_free(in_flight);
    return snapshot;
}

static void a_trigger_waits_until_what_was_in_flight_is_through(void **state)
{
    rig_init(&rig, &(struct rig_options){ .build = build, .vertex = "script", .batch_max = 1 });
    rig_step(&rig);
    struct subtask_snapshot *snapshot = in_flight_to_the_sink();
    rig_restart(&rig, snapshot);
    subtask_snapshot_free(snapshot);
    add(0, 1, 100);
    task_trigger(rig.task, 2);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(calls.written, i);
        expect_out("");
        assert_int_equal(rig_step(&rig), TASK_WORKED);
    }
    assert_int_equal(script.polls, 0); /* nothing is read before that is over */
    rig_run(&rig);
    expect_out("B2 0=1 W90");
    assert_int_equal(calls.written, 4);
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_source_is_polled_while_it_has_more),
        TEST(an_idle_source_is_asked_again_in_a_while),
        TEST(a_bounded_source_ends),
        TEST(a_poll_that_fails_fails_the_task),
        TEST(the_lag_is_told_now_and_then),
        TEST(the_watermark_is_the_smallest_of_the_splits),
        TEST(the_watermark_goes_out_once_an_interval),
        TEST(a_record_from_the_future_does_not_age_the_state),
        TEST(a_source_that_knows_it_has_nothing_is_idle),
        TEST(a_trigger_puts_the_barrier_where_the_position_is),
        TEST(a_stopped_source_polls_no_more_but_takes_checkpoints),
        TEST(a_trigger_after_the_end_is_answered),
        TEST(an_old_trigger_is_ignored),
        TEST(a_call_runs_on_a_worker_and_ends_on_the_task),
        TEST(a_call_that_fails_fails_the_task),
        TEST(a_call_that_ends_after_a_failure_is_forgotten),
        TEST(a_call_that_is_under_way_is_waited_for),
        TEST(a_failure_is_not_swallowed_by_a_snapshot_behind_it),
        TEST(a_completion_that_fails_is_the_last_letter),
        TEST(a_trigger_waits_until_what_was_in_flight_is_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* snapshot_test.c -- a task's part in checkpoints: alignment, freezing, acks, declines, restores. */
#include "runtime/task/task.h"

#include "runtime/task/task_private.h"
#include "test/sim/sim_os.h"
#include "test/support/task_rig.h"

#include <errno.h>
#include <stdio.h>

#include "test/support/expect.h"

static struct rig rig;

/* -- the job: two sources, a tally per key, a sink that can be told to fail ----------------------- */

static bool sink_refuses, sink_fails_to_publish, sink_cannot_sync, sink_holds;
static char sink_log[256];
static uint32_t sink_unpublished_count;

static void note(const char *what, uint64_t checkpoint)
{
    size_t used = strlen(sink_log);
    snprintf(sink_log + used, sizeof(sink_log) - used, "%s%llu ", what,
        (unsigned long long)checkpoint);
}

static weir_error *sink_open(weir_ctx *ctx, const void *options, void *instance)
{
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        snprintf(sink_log, sizeof(sink_log), "found %.*s %s", (int)item.value.size, item.value.data,
            weir_file_find(ctx, WEIR_STR("staged")) == NULL ? "" : "and its file ");
    }
    return NULL;
}

static weir_error *sink_write(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    note("write", row_count);
    return NULL;
}

/* Puts the same file into each checkpoint. */
static weir_error *hold(weir_ctx *ctx)
{
    struct os_file *file;
    struct os_stat stat;
    char *path = mem_printf("%s/held", weir_staging_dir(ctx));
    weir_error *error = os_stat(path, &stat);
    if (error == NULL && !stat.exists)
        error = os_open(path, OS_CREATE, &file);
    if (error == NULL && !stat.exists) {
        error = os_write(file, "held", 4);
        os_close(file); /* and nobody has synced it */
    }
    if (error == NULL)
        weir_file_add(ctx, path);
    mem_free(path);
    return error;
}

static weir_error *sink_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    if (sink_refuses)
        return weir_errorf(WEIR_E_IO, "the sink cannot now");
    if (sink_holds)
        return hold(ctx);
    char *path = mem_printf("%s/staged", weir_staging_dir(ctx));
    weir_error *error = os_write_file(path, "staged", 6);
    weir_item_add(ctx, WEIR_STR("item"), WEIR_STR("value"));
    weir_file_add(ctx, path);
    if (sink_cannot_sync)
        weir_sync_add(ctx, "/checkpoints/rig/not-there");
    mem_free(path);
    note("snapshot", checkpoint);
    return error;
}

static weir_error *sink_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    note("complete", checkpoint);
    return sink_fails_to_publish ? weir_errorf(WEIR_E_IO, "the sink cannot publish") : NULL;
}

static uint32_t sink_unpublished(weir_ctx *ctx, void *instance)
{
    return sink_unpublished_count;
}

static void sink_close(weir_ctx *ctx, void *instance)
{
}

static const struct weir_sink_class sink_class = { .name = "test",
    .open = sink_open,
    .write = sink_write,
    .snapshot = sink_snapshot,
    .checkpoint_complete = sink_complete,
    .unpublished = sink_unpublished,
    .close = sink_close };

struct total {
    int64_t count;
};
WEIR_TYPE(total, WEIR_FIELD(1, total, count));
static const struct weir_state states[] = {
    { .name = "total", .kind = WEIR_VALUE, .type = &total_type }
};
static const char *const counters[] = { "tallied" };

static weir_error *tally(weir_ctx *ctx, const void *record)
{
    struct item out = *(const struct item *)record;
    struct total *total = weir_state_edit(ctx, 0, total);
    out.value = out.value * 100 + ++total->count;
    weir_timer_set(ctx, WEIR_EVENT_TIME, 1000 + total->count);
    weir_count(ctx, 0, 1);
    weir_emit(ctx, item, &out);
    return NULL;
}

static weir_error *on_timer(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    struct item out = { .key = 0, .value = -at_ms };
    weir_emit(ctx, item, &out);
    return NULL;
}

static const struct weir_operator tally_operator = { .uid = "tally",
    .in = &item_type,
    .out = &item_type,
    .states = states,
    .state_count = 1,
    .counters = counters,
    .counter_count = 1,
    .has_timers = true,
    .on_record = tally,
    .on_timer = on_timer };

static void generate_nothing(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
}

static weir_stream *source(weir_job *job, const char *name)
{
    return weir_source(job, name,
        weir_generator(.type = &item_type, .generate = generate_nothing, .count = 1));
}

/* The tally has a sink in its chain, and an edge to another one. */
static void build(weir_job *job)
{
    weir_stream *both = weir_union(source(job, "one"), source(job, "two"));
    weir_stream *tallied =
        weir_process(weir_key_by(both, WEIR_KEY(item, key)), &tally_operator, NULL);
    weir_sink(tallied, "chained", (struct weir_sink){ .sink_class = &sink_class });
    weir_sink(weir_rebalance(tallied), "other", weir_blackhole());
}

static int begin(void **state)
{
    sink_refuses = sink_fails_to_publish = sink_cannot_sync = sink_holds = false;
    sink_unpublished_count = 0;
    sink_log[0] = '\0';
    rig_init(&rig, &(struct rig_options){ .build = build, .vertex = "tally" });
    assert_int_equal(rig.input_count, 2);
    assert_int_equal(rig_step(&rig), TASK_WORKED);
    return 0;
}

static int end(void **state)
{
    rig_release(&rig);
    return 0;
}

static void barrier(uint32_t input, int64_t checkpoint)
{
    rig_event(&rig, input, ELEMENT_BARRIER, checkpoint);
}

static void expect_out(const char *expected)
{
    assert_string_equal(rig_out(&rig, 0), expected);
}

static const struct operator_snapshot *operator_of(uint32_t ack, const char *uid)
{
    const struct subtask_snapshot *snapshot = rig.acked[ack];
    for (uint32_t i = 0; i < snapshot->operator_count; i++)
        if (weir_str_equal(snapshot->operators[i].uid, weir_str_of(uid)))
            return &snapshot->operators[i];
    fail_msg("no operator '%s'", uid);
    return NULL;
}

/* -- alignment ------------------------------------------------------------------------------------ */

static void an_input_whose_barrier_has_come_waits_for_the_other(void **state)
{
    rig_send(&rig, 0, 1, 5, 0);
    barrier(0, 1);
    rig_send(&rig, 0, 1, 6, 0); /* behind the barrier */
    rig_send(&rig, 1, 1, 7, 0); /* before it */
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    expect_out("1=501 1=702");
    barrier(1, 1);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    expect_out("B1 1=603");
    assert_int_equal(rig.acked_count, 0); /* nothing is written yet */
    rig_work(&rig);
    assert_int_equal(rig.acked_count, 1);
    assert_int_equal(rig.acked[0]->checkpoint, 1);
    assert_int_equal(operator_of(0, "tally")->counters[0], 2); /* without the record behind it */
}

static void what_is_in_the_snapshot_is_what_came_before_the_barrier(void **state)
{
    rig_send(&rig, 0, 1, 5, 0);
    barrier(0, 1);
    rig_send(&rig, 0, 1, 6, 0);
    barrier(1, 1);
    rig_run(&rig);
    rig_work(&rig);
    expect_out("1=501 B1 1=602");
    struct subtask_snapshot *snapshot = rig.acked[0];
    rig.acked[0] = rig.acked[--rig.acked_count];
    rig_restart(&rig, snapshot);
    subtask_snapshot_free(snapshot);
    assert_string_equal(sink_log, "found value and its file ");
    rig_send(&rig, 0, 1, 6, 0);
    rig_event(&rig, 0, ELEMENT_WATERMARK, 1001);
    rig_event(&rig, 1, ELEMENT_WATERMARK, 1001);
    rig_run(&rig);
    expect_out("1=602 0=-1001 W1001"); /* the tally goes on, and so does its timer */
    barrier(0, 2);
    barrier(1, 2);
    rig_run(&rig);
    rig_work(&rig);
    assert_int_equal(operator_of(0, "tally")->counters[0], 2);
}

static void a_newer_barrier_ends_the_alignment_of_an_older_one(void **state)
{
    barrier(0, 1);
    rig_send(&rig, 0, 1, 5, 0);
    barrier(1, 2);
    rig_run(&rig); /* 1 is dead: input 0 goes on, input 1 waits for it */
    expect_out("1=501");
    rig_send(&rig, 1, 1, 7, 0);
    barrier(0, 2);
    rig_run(&rig);
    expect_out("B2 1=702");
    rig_work(&rig);
    assert_int_equal(rig.acked_count, 1);
    assert_int_equal(rig.acked[0]->checkpoint, 2);
}

static void a_late_barrier_is_ignored(void **state)
{
    barrier(0, 2);
    barrier(1, 2);
    barrier(0, 1);
    rig_send(&rig, 0, 1, 5, 0);
    rig_run(&rig);
    expect_out("B2 1=501");
}

static void an_abort_lets_the_inputs_go_on(void **state)
{
    barrier(0, 1);
    rig_send(&rig, 0, 1, 5, 0);
    rig_run(&rig);
    expect_out("");
    task_abort(rig.task, 1);
    rig_run(&rig);
    expect_out("1=501");
    barrier(1, 1);
    rig_send(&rig, 1, 1, 7, 0);
    rig_run(&rig);
    expect_out("1=702"); /* the other barrier comes too late to mean anything */
    barrier(0, 2);
    barrier(1, 2);
    rig_run(&rig);
    rig_work(&rig);
    expect_out("B2");
    assert_int_equal(rig.acked_count, 1);
}

static void barriers_pass_when_everything_has_ended(void **state)
{
    rig_event(&rig, 0, ELEMENT_END, 0);
    rig_event(&rig, 1, ELEMENT_END, 0);
    rig_run(&rig);
    rig_out(&rig, 0);
    assert_int_equal(rig.ended_count, 1);
    barrier(0, 3);
    barrier(1, 3);
    rig_run(&rig);
    rig_work(&rig);
    expect_out("B3");
    assert_int_equal(rig.acked_count, 1);
}

static void take(int64_t checkpoint)
{
    barrier(0, checkpoint);
    barrier(1, checkpoint);
    rig_run(&rig);
    rig_work(&rig);
}

/* -- overtaking ------------------------------------------------------------------------------------ */

/* Two inputs with records, and barriers behind them, which the task has not read. */
static void fill_inputs(void)
{
    rig_send(&rig, 0, 1, 5, 0);
    rig_event(&rig, 0, ELEMENT_WATERMARK, 10);
    rig_send(&rig, 0, 2, 6, 0);
    barrier(0, 1);
    rig_send(&rig, 0, 1, 8, 0); /* behind it */
    rig_send(&rig, 1, 1, 7, 0);
    barrier(1, 1);
}

static struct subtask_snapshot *take_ack(void)
{
    assert_int_equal(rig.acked_count, 1);
    return rig.acked[--rig.acked_count];
}

static void barriers_that_may_overtake_do_and_a_restore_begins_with_what_was_in_flight(void **state)
{
    fill_inputs();
    task_overtake(rig.task, 1);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    expect_out("B1 1=501 1=702 2=601 1=803");
    rig_work(&rig);
    struct subtask_snapshot *snapshot = take_ack();
    assert_int_equal(snapshot->operators[0].counters[0], 0); /* of nothing that was in flight */
    assert_int_equal(snapshot->operators[0].staged_count, 1);
    assert_string_equal(snapshot->operators[0].staged[0].name, IN_FLIGHT_NAME);
    rig_restart(&rig, snapshot);
    barrier(0, 2); /* behind all of it */
    barrier(1, 2);
    rig_send(&rig, 0, 1, 8, 0);
    rig_run(&rig);
    expect_out("1=501 2=601 1=702 B2 1=803");
    rig_work(&rig);
    subtask_snapshot_free(snapshot);
    snapshot = take_ack();
    assert_int_equal(snapshot->operators[0].counters[0], 3);
    assert_int_equal(snapshot->operators[0].staged_count, 0);
    subtask_snapshot_free(snapshot);
}

static void barriers_overtake_when_all_are_in_sight_and_not_before(void **state)
{
    rig_send(&rig, 0, 1, 5, 0);
    barrier(0, 1);
    rig_run(&rig); /* it has arrived */
    expect_out("1=501");
    rig_send(&rig, 0, 1, 6, 0);
    rig_send(&rig, 1, 1, 7, 0);
    task_overtake(rig.task, 1);
    rig_run(&rig);
    expect_out("1=702"); /* the other one is not in sight, so it goes on as before */
    rig_send(&rig, 1, 2, 9, 0);
    barrier(1, 1);
    rig_run(&rig);
    expect_out("B1 1=603 2=901");
    rig_work(&rig);
    struct subtask_snapshot *snapshot = take_ack();
    rig_restart(&rig, snapshot);
    rig_run(&rig);
    expect_out(
        "2=901"); /* what stood behind the barrier that had arrived comes from its source again */
    subtask_snapshot_free(snapshot);
}

static void without_room_downstream_barriers_overtake_all_the_same(void **state)
{
    sink_unpublished_count = 3; /* no room: nothing is read */
    fill_inputs();
    rig_run(&rig);
    expect_out("");
    task_overtake(rig.task, 1);
    rig_run(&rig);
    expect_out("B1");
    rig_work(&rig);
    assert_int_equal(rig.acked_count, 1);
    sink_unpublished_count = 0;
    rig_run(&rig);
    expect_out("1=501 1=702 2=601 1=803");
}

static void a_checkpoint_that_is_given_up_overtakes_nothing(void **state)
{
    rig_send(&rig, 0, 1, 5, 0);
    barrier(0, 1);
    task_overtake(rig.task, 1);
    rig_run(&rig);
    task_abort(rig.task, 1);
    barrier(1, 1);
    rig_run(&rig);
    expect_out("1=501");
    task_overtake(rig.task, 1); /* late */
    take(2);
    expect_out("B2");
    assert_int_equal(rig.acked_count, 1);
}

static void who_waits_for_an_older_barrier_waits_in_vain(void **state)
{
    barrier(0, 1);
    rig_send(&rig, 0, 1, 5, 0);
    rig_run(&rig);
    task_overtake(rig.task, 2);
    rig_run(&rig);
    expect_out("1=501");
    rig_send(&rig, 0, 1, 6, 0);
    barrier(0, 2);
    barrier(1, 2);
    rig_run(&rig);
    expect_out("B2 1=602");
}

/* It may be that the replay has not come far: what is left is in the next snapshot's way, not in it. */
static void what_was_in_flight_is_over_before_a_barrier_may_overtake_again(void **state)
{
    fill_inputs();
    task_overtake(rig.task, 1);
    rig_run(&rig);
    rig_work(&rig);
    rig_out(&rig, 0);
    struct subtask_snapshot *snapshot = take_ack();
    rig_restart(&rig, snapshot);
    rig_send(&rig, 0, 3, 4, 0);
    barrier(0, 2);
    barrier(1, 2);
    task_overtake(rig.task, 2);
    rig_run(&rig);
    expect_out("1=501 2=601 1=702 B2 3=401");
    subtask_snapshot_free(snapshot);
    rig_work(&rig);
    snapshot = take_ack();
    rig_restart(&rig, snapshot);
    rig_run(&rig);
    expect_out("3=401"); /* once */
    subtask_snapshot_free(snapshot);
}

/* -- what a snapshot is made of ------------------------------------------------------------------- */

static void an_ack_lists_files_items_and_counters(void **state)
{
    rig_send(&rig, 0, 1, 5, 0);
    take(1);
    assert_int_equal(rig.acked_count, 1);
    const struct operator_snapshot *keyed = operator_of(0, "tally");
    const struct operator_snapshot *sink = operator_of(0, "chained");
    assert_int_equal(keyed->file_count, 1);
    assert_true(weir_str_equal(keyed->backend, WEIR_STR("hashmap")));
    assert_int_equal(keyed->counters[0], 1);
    assert_int_equal(sink->item_count, 1);
    assert_int_equal(sink->staged_count, 1);
    assert_int_equal(sink->staged[0].length, 6);
    assert_true(state_file_exists(rig.host.checkpoint_dir, &sink->staged[0]));
    assert_true(state_file_exists(rig.host.checkpoint_dir, &keyed->files[0]));
}

static void the_ack_comes_when_all_is_written_not_before(void **state)
{
    barrier(0, 1);
    barrier(1, 1);
    rig_run(&rig);
    rig_send(&rig, 0, 1, 5, 0);
    rig_run(&rig); /* records go on meanwhile */
    expect_out("B1 1=501");
    assert_int_equal(rig.acked_count, 0);
    sim_os_advance_ns(7000000);
    rig_work(&rig);
    assert_int_equal(rig.acked_count, 1);
    assert_int_equal(rig.acked[0]->async_us, 7000);
    assert_int_equal(operator_of(0, "tally")->counters[0], 0);
}

static void a_task_that_is_freed_first_still_acks_what_it_had_frozen(void **state)
{
    barrier(0, 1);
    barrier(1, 1);
    rig_run(&rig);
    rig_out(&rig, 0);
    rig_restart(&rig, NULL);
    assert_int_equal(rig.acked_count, 0); /* forgotten with the old task; nothing leaks */
}

static void a_snapshot_that_nobody_waits_for_is_not_written(void **state)
{
    rig_send(&rig, 0, 1, 5, 0);
    barrier(0, 1);
    barrier(1, 1);
    rig_run(&rig);
    task_abort(rig.task, 1);
    rig_run(&rig);
    uint64_t calls = sim_os_stats().calls;
    rig_work(&rig);
    assert_int_equal(sim_os_stats().calls, calls);
    assert_int_equal(rig.acked_count + rig.declined_count, 0);
    barrier(0, 2);
    barrier(1, 2);
    barrier(0, 3);
    barrier(1, 3);
    rig_run(&rig); /* 2 must be dead, else there were no 3 */
    rig_work(&rig);
    assert_int_equal(rig.acked_count, 1);
    assert_int_equal(rig.acked[0]->checkpoint, 3);
}

/* -- declines ------------------------------------------------------------------------------------- */

static void a_snapshot_that_fails_is_declined_and_the_task_goes_on(void **state)
{
    sink_refuses = true;
    rig_send(&rig, 0, 1, 5, 0);
    barrier(0, 1);
    rig_send(&rig, 0, 1, 6, 0);
    barrier(1, 1);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    rig_work(&rig);
    expect_out("1=501 B1 1=602");
    assert_int_equal(rig.declined_count, 1);
    assert_int_equal(rig.declined, 1);
    assert_non_null(strstr(weir_error_message(rig.decline_error),
        "cannot snapshot 'chained': the sink cannot now"));
    assert_int_equal(rig.failed_count, 0);
    sink_refuses = false;
    take(2);
    assert_int_equal(rig.acked_count, 1);
    assert_int_equal(operator_of(0, "tally")->counters[0], 2);
}

static void files_that_cannot_be_written_are_declined(void **state)
{
    rig_send(&rig, 0, 1, 5, 0);
    barrier(0, 1);
    barrier(1, 1);
    rig_run(&rig);
    sim_os_fail_at(1, ENOSPC);
    rig_work(&rig);
    assert_int_equal(rig.acked_count, 0);
    assert_int_equal(rig.declined_count, 1);
    assert_int_equal(weir_error_code(rig.decline_error), WEIR_E_DISK_FULL);
    take(2);
    assert_int_equal(rig.acked_count, 1);
    assert_int_equal(rig.failed_count, 0);
}

static void whatever_call_fails_it_is_an_ack_a_decline_or_a_lost_file(void **state)
{
    uint32_t lost = 0;
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        uint64_t faults = sim_os_stats().faults;
        rig_send(&rig, 0, 1, 5, 0);
        barrier(0, (int64_t)n);
        barrier(1, (int64_t)n);
        sim_os_fail_at(n, EIO);
        rig_run(&rig);
        rig_work(&rig);
        was_hit = sim_os_stats().faults > faults;
        sim_os_fail_at(0, 0);
        lost += rig.failed_count;
        assert_int_equal(rig.acked_count + rig.declined_count + lost, n);
        rig.failed_count = 0; /* as its host would: from the start */
        weir_error_free(rig.failure);
        rig.failure = NULL;
        rig_out(&rig, 0);
    }
    assert_true(rig.declined_count > 5 && rig.acked_count >= 1 && lost == 1);
}

static void a_file_outside_that_cannot_be_synced_fails_the_task(void **state)
{
    sink_cannot_sync = true;
    take(1);
    assert_int_equal(rig.acked_count + rig.declined_count, 0);
    assert_int_equal(rig.failed_count, 1);
    assert_true(weir_error_is_retriable(rig.failure));
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_IO, "somebody has removed it");
}

/* What a failed sync has lost is lost: the sync of the next checkpoint says that all is well. */
static void a_staged_file_is_safe_in_an_acked_checkpoint_whatever_call_has_failed_before(
    void **state)
{
    uint32_t failures = 0;
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        rig_release(&rig);
        begin(state);
        sink_holds = true;
        barrier(0, 1);
        barrier(1, 1);
        sim_os_fail_at(n, EIO);
        rig_run(&rig);
        rig_work(&rig);
        was_hit = sim_os_stats().faults > 0;
        sim_os_fail_at(0, 0);
        failures += rig.failed_count;
        if (rig.failed_count > 0)
            continue; /* the task starts again, and the sink with it */
        take(2);
        assert_true(rig.acked_count > 0);
        expect_ok(os_sync_dir("/")); /* as publishing the checkpoint does */
        expect_ok(os_sync_dir("/checkpoints"));
        expect_ok(os_sync_dir("/checkpoints/rig"));
        sim_os_power_loss();
        expect_ok(state_file_verify("/checkpoints/rig",
            &operator_of(rig.acked_count - 1, "chained")->staged[0]));
    }
    assert_true(failures > 0);
}

/* -- completion ----------------------------------------------------------------------------------- */

static void operators_hear_of_the_completion(void **state)
{
    take(1);
    task_complete(rig.task, 1);
    rig_run(&rig);
    assert_string_equal(sink_log, "snapshot1 complete1 ");
    assert_int_equal(metric_get(&task_metrics(rig.task)->notified), 1);
}

static void a_publish_that_fails_fails_the_task(void **state)
{
    take(1);
    sink_fails_to_publish = true;
    task_complete(rig.task, 1);
    rig_run(&rig);
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_IO, "operator 'chained' cannot finish checkpoint 1");
}

static void a_sink_with_too_much_unpublished_is_not_fed(void **state)
{
    sink_unpublished_count = 3;
    rig_send(&rig, 0, 1, 5, 0);
    assert_int_equal(rig_run(&rig), TASK_NO_ROOM);
    expect_out("");
    assert_int_equal(metric_get(&task_metrics(rig.task)->unpublished), 3);
    sink_unpublished_count = 2;
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    expect_out("1=501");
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_input_whose_barrier_has_come_waits_for_the_other),
        TEST(what_is_in_the_snapshot_is_what_came_before_the_barrier),
        TEST(a_newer_barrier_ends_the_alignment_of_an_older_one),
        TEST(a_late_barrier_is_ignored),
        TEST(an_abort_lets_the_inputs_go_on),
        TEST(barriers_pass_when_everything_has_ended),
        TEST(barriers_that_may_overtake_do_and_a_restore_begins_with_what_was_in_flight),
        TEST(barriers_overtake_when_all_are_in_sight_and_not_before),
        TEST(without_room_downstream_barriers_overtake_all_the_same),
        TEST(a_checkpoint_that_is_given_up_overtakes_nothing),
        TEST(who_waits_for_an_older_barrier_waits_in_vain),
        TEST(what_was_in_flight_is_over_before_a_barrier_may_overtake_again),
        TEST(an_ack_lists_files_items_and_counters),
        TEST(the_ack_comes_when_all_is_written_not_before),
        TEST(a_task_that_is_freed_first_still_acks_what_it_had_frozen),
        TEST(a_snapshot_that_nobody_waits_for_is_not_written),
        TEST(a_snapshot_that_fails_is_declined_and_the_task_goes_on),
        TEST(files_that_cannot_be_written_are_declined),
        TEST(whatever_call_fails_it_is_an_ack_a_decline_or_a_lost_file),
        TEST(a_file_outside_that_cannot_be_synced_fails_the_task),
        TEST(a_staged_file_is_safe_in_an_acked_checkpoint_whatever_call_has_failed_before),
        TEST(operators_hear_of_the_completion),
        TEST(a_publish_that_fails_fails_the_task),
        TEST(a_sink_with_too_much_unpublished_is_not_fed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* task_test.c -- one task, stepped by hand: what it does with barriers, ends, watermarks, letters.
 *
 *      two sources (not run; the test plays them) --key--> probe -> note
 *
 * The probe counts its records; the counter in each snapshot tells what was before the barrier. */
#include "runtime/task/task.h"

#include "base/log.h"
#include "checkpoint/storage.h"
#include "runtime/exchange/partition.h"
#include "runtime/graph/builder.h"
#include <weir/weir.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define INPUTS 2

struct item {
    uint64_t key;
    int64_t at;
};
WEIR_TYPE(item, WEIR_FIELD(1, item, key), WEIR_FIELD(2, item, at));

#define BAD_KEY 666

/* What the operators and the host have seen. */
static struct {
    int64_t watermark_ms, timer_ms;
    uint32_t timers, noted, published;
    uint32_t running, ended, failed, declined;
    uint32_t polls;
    struct subtask_snapshot *ack; /* the newest */
    uint32_t acks;
    char message[512];
} seen;

/* -- the job -------------------------------------------------------------------------------------- */

static const struct weir_type *item_of(const void *options)
{
    return &item_type;
}

static weir_error *source_open(weir_ctx *ctx, const void *options, void *instance)
{
    return NULL;
}

static weir_error *source_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    seen.polls++;
    *status = seen.polls > 1000 ? WEIR_SOURCE_FINISHED : WEIR_SOURCE_MORE;
    return NULL;
}

static weir_error *source_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    weir_item_add(ctx, WEIR_STR("polls"),
        (weir_str){ .data = (const char *)&seen.polls, .size = sizeof(seen.polls) });
    return NULL;
}

static void nothing_to_close(weir_ctx *ctx, void *instance)
{
}

static const struct weir_source_class source_class = { .name = "played",
    .instance_size = 8,
    .out_type = item_of,
    .open = source_open,
    .poll = source_poll,
    .snapshot = source_snapshot,
    .close = nothing_to_close };

static weir_error *probe_record(weir_ctx *ctx, const void *record)
{
    const struct item *item = record;
    if (item->key == BAD_KEY)
        return weir_errorf(WEIR_E_INTERNAL, "a record that nobody wants");
    weir_count(ctx, 0, 1);
    weir_timer_set(ctx, WEIR_EVENT_TIME, item->at);
    seen.watermark_ms = weir_watermark(ctx);
    weir_emit(ctx, item, item);
    return NULL;
}

static weir_error *probe_timer(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    seen.timers++;
    seen.timer_ms = at_ms;
    return NULL;
}

static const char *const probe_counters[] = { "records" };
static const struct weir_operator probe = { .uid = "probe",
    .in = &item_type,
    .out = &item_type,
    .counters = probe_counters,
    .counter_count = 1,
    .has_timers = true,
    .on_record = probe_record,
    .on_timer = probe_timer };

static weir_error *note_open(weir_ctx *ctx, const void *options, void *instance)
{
    return NULL;
}

static weir_error *note_write(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    seen.noted += row_count;
    return NULL;
}

static weir_error *note_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    seen.published++;
    return NULL;
}

static const struct weir_sink_class note_class = { .name = "note",
    .instance_size = 8,
    .open = note_open,
    .write = note_write,
    .checkpoint_complete = note_complete,
    .close = nothing_to_close };

/* -- the stage ------------------------------------------------------------------------------------ */

/* Thread: the test's. */
struct stage {
    weir_job *job;
    const struct plan *plan;
    struct storage *storage;
    struct task_host host;
    struct segment_pool *pool;
    struct channel *channels[INPUTS];
    struct partition *inputs[INPUTS];
    struct task *task;
};

static void succeed(weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
}

static void host_running(void *arg, uint32_t subtask)
{
    seen.running++;
}

static void host_ended(void *arg, uint32_t subtask)
{
    seen.ended++;
}

static void host_failed(void *arg, uint32_t subtask, weir_error *error)
{
    seen.failed++;
    snprintf(seen.message, sizeof(seen.message), "%s", weir_error_message(error));
    weir_error_free(error);
}

static void host_acked(void *arg, struct subtask_snapshot *snapshot)
{
    subtask_snapshot_free(seen.ack);
    seen.ack = snapshot;
    seen.acks++;
}

static void host_declined(void *arg, uint64_t checkpoint, uint32_t subtask, weir_error *error)
{
    seen.declined++;
    weir_error_free(error);
}

static void make_plan(struct stage *stage)
{
    stage->job = job_new(NULL);
    weir_stream *items =
        weir_parallelism(weir_source(stage->job, "items",
                             (struct weir_source){ .source_class = &source_class }),
            INPUTS);
    weir_stream *probed = weir_process(weir_key_by(items, WEIR_KEY(item, key)), &probe, NULL);
    weir_sink(probed, "note", (struct weir_sink){ .sink_class = &note_class });
    struct plan_options options = { .job = "task", .parallelism = 1 };
    succeed(plan_build(stage->job, &options, &stage->plan));
    assert_int_equal(stage->plan->vertex_count, 2);
    assert_int_equal(stage->plan->edge_count, 1);
}

static void make_host(struct stage *stage)
{
    succeed(storage_open(NULL, "task", 2, &stage->storage));
    succeed(storage_fresh(stage->storage));
    stage->host = (struct task_host){ .arg = stage,
        .running = host_running,
        .acked = host_acked,
        .declined = host_declined,
        .ended = host_ended,
        .failed = host_failed,
        .workers = workers_new(0, 64),
        .job = "task",
        .instance = 1,
        .attempt = 1,
        .checkpoint_dir = storage_dir(stage->storage),
        .staging_dir = storage_staging_dir(stage->storage),
        .work_dir = storage_work_dir(stage->storage),
        .backend = &backend_hashmap,
        .backend_memory = 1u << 20,
        .watermark_interval_ms = 50,
        .buffer_timeout_ms = 0,
        .batch_max = 16 };
}

static void stage_open(struct stage *stage)
{
    memset(&seen, 0, sizeof(seen));
    make_plan(stage);
    make_host(stage);
    stage->pool = segment_pool_new(16u << 20);
    for (uint32_t i = 0; i < INPUTS; i++) {
        stage->channels[i] = channel_new(4);
        struct partition_options options = { .kind = PARTITIONER_KEY_GROUP,
            .type = &item_type,
            .key = stage->plan->edges[0].key,
            .max_parallelism = 128,
            .subtask = i,
            .pool = stage->pool };
        stage->inputs[i] = partition_new(&options, &stage->channels[i], 1);
    }
    struct task_options options = { .plan = stage->plan,
        .vertex = 1,
        .host = &stage->host,
        .inputs = stage->channels,
        .input_count = INPUTS,
        .partitions = mem_alloc_array(1, sizeof(struct partition *)) };
    stage->task = task_new(&options);
}

static void stage_close(struct stage *stage)
{
    task_free(stage->task);
    for (uint32_t i = 0; i < INPUTS; i++) {
        partition_free(stage->inputs[i]);
        channel_free(stage->channels[i]);
    }
    segment_pool_free(stage->pool);
    workers_free(stage->host.workers);
    storage_close(stage->storage);
    job_free(stage->job);
    subtask_snapshot_free(seen.ack);
}

static void records(struct stage *stage, uint32_t input, uint32_t count, int64_t at)
{
    for (uint32_t i = 0; i < count; i++) {
        struct item item = { .key = i, .at = at };
        struct weir_row row = { .record = &item, .timestamp_ms = at };
        succeed(partition_emit(stage->inputs[input], &row, 1));
    }
    partition_flush(stage->inputs[input]);
}

static void event(struct stage *stage, uint32_t input, enum element_kind kind, int64_t value)
{
    succeed(partition_event(stage->inputs[input], kind, value));
}

/* Until it has nothing to do; workers too. */
static void settle(struct stage *stage)
{
    for (int i = 0; i < 1000; i++) {
        bool has_worked = task_step(stage->task) == TASK_WORKED;
        if (!workers_step(stage->host.workers) && !has_worked)
            return;
    }
    fail_msg("it does not come to rest");
}

/* Of the newest ack: how many records were before its barrier. */
static int64_t records_in_ack(void)
{
    assert_non_null(seen.ack);
    const struct operator_snapshot *op = &seen.ack->operators[0];
    assert_int_equal(op->counter_count, 1);
    return op->counters[0];
}

/* -- barriers ------------------------------------------------------------------------------------- */

static void a_snapshot_has_what_was_before_all_barriers(void **state)
{
    struct stage stage;
    stage_open(&stage);
    records(&stage, 0, 3, 0);
    event(&stage, 0, ELEMENT_BARRIER, 1);
    records(&stage, 0, 100, 0); /* behind the barrier: must wait */
    records(&stage, 1, 2, 0);
    settle(&stage);
    assert_int_equal(seen.running, 1);
    assert_int_equal(seen.acks, 0);
    assert_int_equal(seen.noted, 5);
    records(&stage, 1, 7, 0);
    event(&stage, 1, ELEMENT_BARRIER, 1);
    records(&stage, 1, 50, 0);
    settle(&stage);
    assert_int_equal(seen.acks, 1);
    assert_int_equal(seen.ack->checkpoint, 1);
    assert_int_equal(records_in_ack(), 12);
    assert_int_equal(seen.noted, 162);
    stage_close(&stage);
}

static void a_newer_barrier_ends_an_older_alignment(void **state)
{
    struct stage stage;
    stage_open(&stage);
    event(&stage, 0, ELEMENT_BARRIER, 1);
    records(&stage, 0, 5, 0);
    settle(&stage);
    assert_int_equal(seen.noted, 0);
    event(&stage, 1, ELEMENT_BARRIER, 2); /* 1 was given up before it came here */
    records(&stage, 1, 3, 0);
    settle(&stage);
    assert_int_equal(seen.noted, 5); /* input 0 is free, input 1 waits */
    event(&stage, 0, ELEMENT_BARRIER, 2);
    settle(&stage);
    assert_int_equal(seen.acks, 1);
    assert_int_equal(seen.ack->checkpoint, 2);
    assert_int_equal(records_in_ack(), 5);
    assert_int_equal(seen.noted, 8);
    stage_close(&stage);
}

static void an_abort_frees_the_waiting_inputs(void **state)
{
    struct stage stage;
    stage_open(&stage);
    event(&stage, 0, ELEMENT_BARRIER, 1);
    records(&stage, 0, 5, 0);
    settle(&stage);
    assert_int_equal(seen.noted, 0);
    task_abort(stage.task, 1);
    settle(&stage);
    assert_int_equal(seen.noted, 5);
    event(&stage, 1, ELEMENT_BARRIER, 1); /* late: nobody waits for it */
    records(&stage, 1, 4, 0);
    settle(&stage);
    assert_int_equal(seen.noted, 9);
    assert_int_equal(seen.acks, 0);
    stage_close(&stage);
}

static void barriers_pass_after_the_end_too(void **state)
{
    struct stage stage;
    stage_open(&stage);
    records(&stage, 0, 2, 10);
    event(&stage, 0, ELEMENT_END, 0);
    settle(&stage);
    assert_int_equal(seen.ended, 0);
    records(&stage, 1, 3, 20);
    event(&stage, 1, ELEMENT_END, 0);
    settle(&stage);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.timers,
        5); /* every timer that was left, at the end; key and time differ */
    event(&stage, 0, ELEMENT_BARRIER, 9);
    event(&stage, 1, ELEMENT_BARRIER, 9);
    settle(&stage);
    assert_int_equal(seen.acks, 1);
    assert_int_equal(records_in_ack(), 5);
    task_complete(stage.task, 9);
    settle(&stage);
    assert_int_equal(seen.published, 1);
    assert_int_equal(metric_get(&task_metrics(stage.task)->notified), 9);
    stage_close(&stage);
}

/* -- time ----------------------------------------------------------------------------------------- */

static void timers_fire_at_the_smallest_watermark(void **state)
{
    struct stage stage;
    stage_open(&stage);
    records(&stage, 0, 1, 100);
    event(&stage, 0, ELEMENT_WATERMARK, 150);
    settle(&stage);
    assert_int_equal(seen.timers, 0); /* the other input may be behind */
    event(&stage, 1, ELEMENT_WATERMARK, 99);
    settle(&stage);
    assert_int_equal(seen.timers, 0);
    event(&stage, 1, ELEMENT_IDLE, 0);
    settle(&stage);
    assert_int_equal(seen.timers, 1);
    assert_int_equal(seen.timer_ms, 100);
    records(&stage, 1, 1, 120); /* awake again, and late: its timer is due at once */
    settle(&stage);
    assert_int_equal(seen.watermark_ms, 150);
    event(&stage, 1, ELEMENT_WATERMARK, 151);
    event(&stage, 0, ELEMENT_WATERMARK, 152);
    settle(&stage);
    assert_int_equal(seen.timers, 2);
    stage_close(&stage);
}

/* -- failure, letters ----------------------------------------------------------------------------- */

static void a_failure_is_told_once_and_ends_all_work(void **state)
{
    struct stage stage;
    struct item bad = { .key = BAD_KEY };
    struct weir_row row = { .record = &bad, .timestamp_ms = 0 };
    stage_open(&stage);
    succeed(partition_emit(stage.inputs[0], &row, 1));
    partition_flush(stage.inputs[0]);
    records(&stage, 1, 5, 0);
    settle(&stage);
    assert_int_equal(seen.failed, 1);
    assert_non_null(strstr(seen.message, "task 'probe -> note' (1/1)"));
    assert_non_null(strstr(seen.message, "a record that nobody wants"));
    uint32_t noted = seen.noted;
    records(&stage, 1, 5, 0);
    event(&stage, 0, ELEMENT_BARRIER, 1);
    event(&stage, 1, ELEMENT_BARRIER, 1);
    settle(&stage);
    assert_int_equal(seen.failed, 1);
    assert_int_equal(seen.noted, noted);
    assert_int_equal(seen.acks, 0);
    assert_int_equal(task_deadline_ms(stage.task), INT64_MAX);
    stage_close(&stage);
}

static uint32_t letters_run, letters_dropped;

static void run_letter(struct task *task, void *arg)
{
    letters_run++;
}

static void drop_letter(void *arg)
{
    letters_dropped++;
}

static void letters_run_on_a_step_or_are_dropped(void **state)
{
    struct stage stage;
    struct letter letter = { .what = "test", .run = run_letter, .drop = drop_letter };
    stage_open(&stage);
    letters_run = letters_dropped = 0;
    settle(&stage);
    task_post(stage.task, letter);
    task_post(stage.task, letter);
    assert_int_equal(letters_run, 0);
    task_step(stage.task);
    assert_int_equal(letters_run, 2);
    task_post(stage.task, letter);
    stage_close(&stage);
    assert_int_equal(letters_run, 2);
    assert_int_equal(letters_dropped, 1);
}

/* -- sources -------------------------------------------------------------------------------------- */

/* Exchanges the stage's task for subtask 0 of the sources, with the channel to the probe. */
static void play_source(struct stage *stage)
{
    task_free(stage->task);
    struct partition **partitions = mem_alloc_array(1, sizeof(*partitions));
    struct partition_options output = { .kind = PARTITIONER_KEY_GROUP,
        .type = &item_type,
        .key = stage->plan->edges[0].key,
        .max_parallelism = 128,
        .pool = stage->pool };
    partitions[0] = partition_new(&output, &stage->channels[0], 1);
    struct task_options options = { .plan = stage->plan,
        .vertex = 0,
        .host = &stage->host,
        .partitions = partitions };
    stage->task = task_new(&options);
}

static void a_source_snapshots_when_it_is_told(void **state)
{
    struct stage stage;
    stage_open(&stage);
    play_source(&stage);
    for (int i = 0; i < 10; i++)
        task_step(stage.task);
    uint32_t polls = seen.polls;
    assert_true(polls > 0);
    task_trigger(stage.task, 1);
    task_trigger(stage.task, 1); /* once is enough */
    task_step(stage.task);
    while (workers_step(stage.host.workers))
        ;
    assert_int_equal(seen.acks, 1);
    uint32_t position;
    memcpy(&position, seen.ack->operators[0].items[0].value.data, sizeof(position));
    assert_int_equal(position, polls);
    struct segment *segment = channel_pop(stage.channels[0]);
    assert_non_null(segment); /* the barrier is on its way */
    struct element *element = segment_next(segment);
    assert_int_equal(element->kind, ELEMENT_BARRIER);
    assert_int_equal(element->value, 1);
    segment_give(segment);
    stage_close(&stage);
}

static void a_stopped_source_polls_no_more_but_snapshots(void **state)
{
    struct stage stage;
    stage_open(&stage);
    play_source(&stage);
    for (int i = 0; i < 5; i++)
        task_step(stage.task);
    task_stop(stage.task);
    task_step(stage.task);
    uint32_t polls = seen.polls;
    for (int i = 0; i < 5; i++)
        assert_int_equal(task_step(stage.task), TASK_IDLE);
    assert_int_equal(seen.polls, polls);
    task_trigger(stage.task, 3);
    settle(&stage);
    assert_int_equal(seen.acks, 1);
    assert_int_equal(seen.ended, 0);
    assert_int_equal(seen.polls, polls);
    stage_close(&stage);
}

static void a_finished_source_ends_and_still_snapshots(void **state)
{
    struct stage stage;
    stage_open(&stage);
    play_source(&stage);
    for (int i = 0; i < 1100; i++)
        task_step(stage.task);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.polls, 1001);
    task_trigger(stage.task, 3);
    settle(&stage);
    assert_int_equal(seen.acks, 1);
    stage_close(&stage);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_has_what_was_before_all_barriers),
        cmocka_unit_test(a_newer_barrier_ends_an_older_alignment),
        cmocka_unit_test(an_abort_frees_the_waiting_inputs),
        cmocka_unit_test(barriers_pass_after_the_end_too),
        cmocka_unit_test(timers_fire_at_the_smallest_watermark),
        cmocka_unit_test(a_failure_is_told_once_and_ends_all_work),
        cmocka_unit_test(letters_run_on_a_step_or_are_dropped),
        cmocka_unit_test(a_source_snapshots_when_it_is_told),
        cmocka_unit_test(a_stopped_source_polls_no_more_but_snapshots),
        cmocka_unit_test(a_finished_source_ends_and_still_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

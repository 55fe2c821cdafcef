/* task_test.c -- the step of one task: records, events, timers, room, ends, failures. Its part in
 * checkpoints is in snapshot_test.c, sources are in source_test.c. */
#include "runtime/task/task.h"

#include "runtime/task/task_private.h"
#include "test/sim/sim_os.h"
#include "test/support/task_rig.h"

#include <inttypes.h>
#include <stdio.h>

#include "test/support/expect.h"

static struct rig rig;

static int release(void **state)
{
    if (rig.job != NULL)
        rig_release(&rig);
    rig = (struct rig){ .job = NULL };
    return 0;
}

/* -- operators of the tests ----------------------------------------------------------------------- */

static void generate_nothing(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
}

static weir_stream *source(weir_job *job, const char *name)
{
    return weir_source(job, name,
        weir_generator(.type = &item_type, .generate = generate_nothing, .count = 1));
}

struct total {
    int64_t sum;
};
WEIR_TYPE(total, WEIR_FIELD(1, total, sum));
static const struct weir_state states[] = {
    { .name = "total", .kind = WEIR_VALUE, .type = &total_type }
};

/* What the operator `keeper` does with a record, by its value. */
#define BAD       (-1)  /* refuse it */
#define FAIL      (-2)  /* fail */
#define TIMER     1000  /* and more: set an event-time timer at value - 1000 */
#define CLOCK     10000 /* and more: a processing-time timer, in value - 10000 ms */
#define EVERY_TEN 777   /* a timer at 10 that sets itself again, ten later, and one at 1000 */
#define WIDE      888   /* emit a record of 40 KB */

static char wide[40000];

static weir_error *keep(weir_ctx *ctx, const void *record)
{
    const struct item *item = record;
    struct total *total = weir_state_edit(ctx, 0, total);
    struct item out = { .key = item->key };
    if (item->value == BAD)
        return weir_error_data("bad", "the value is bad");
    if (item->value == FAIL)
        return weir_errorf(WEIR_E_INTERNAL, "told to fail");
    if (item->value >= CLOCK)
        weir_timer_set(ctx, WEIR_PROCESSING_TIME, weir_now_ms(ctx) + item->value - CLOCK);
    else if (item->value >= TIMER)
        weir_timer_set(ctx, WEIR_EVENT_TIME, item->value - TIMER);
    if (item->value == EVERY_TEN) {
        weir_timer_set(ctx, WEIR_EVENT_TIME, 10);
        weir_timer_set(ctx, WEIR_EVENT_TIME, 1000);
    }
    if (item->value == WIDE)
        out.text = (weir_str){ .data = wide, .size = sizeof(wide) };
    total->sum += item->value;
    out.value = total->sum;
    weir_emit(ctx, item, &out);
    return NULL;
}

static int64_t timer_count;
static bool repeats;

static weir_error *on_timer(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    struct item out = { .key = weir_key_bytes(ctx).size, .value = -at_ms };
    timer_count++;
    if (repeats && at_ms < 1000)
        weir_timer_set(ctx, WEIR_EVENT_TIME, at_ms + 10);
    weir_emit(ctx, item, &out);
    return NULL;
}

static weir_error *finish(weir_ctx *ctx)
{
    struct item out = { .key = 99, .value = 99 };
    weir_emit(ctx, item, &out);
    return NULL;
}

static const struct weir_operator keeper = { .uid = "keeper",
    .in = &item_type,
    .out = &item_type,
    .states = states,
    .state_count = 1,
    .has_timers = true,
    .on_record = keep,
    .on_timer = on_timer,
    .on_finish = finish };

/* Two sources, one keeper, a sink: the keeper has two inputs. */
static void build_keeper(weir_job *job)
{
    weir_stream *both = weir_union(source(job, "one"), source(job, "two"));
    weir_stream *kept = weir_process(weir_key_by(both, WEIR_KEY(item, key)), &keeper, NULL);
    weir_chaining(kept, WEIR_CHAIN_NEVER);
    weir_sink(kept, "out", weir_blackhole());
}

/* The same with somewhere for bad records to go; three a second. */
static void build_careful(weir_job *job)
{
    weir_stream *kept =
        weir_process(weir_key_by(source(job, "one"), WEIR_KEY(item, key)), &keeper, NULL);
    weir_chaining(kept, WEIR_CHAIN_NEVER);
    weir_sink(kept, "out", weir_blackhole());
    weir_sink(weir_dead_letters(kept, 3), "dead", weir_blackhole());
}

static void start(void (*build)(weir_job *job), uint32_t batch_max, uint32_t credits)
{
    timer_count = 0;
    repeats = false;
    rig_init(&rig, &(struct rig_options){ .build = build,
                       .vertex = "keeper",
                       .batch_max = batch_max,
                       .credits = credits });
    assert_int_equal(rig_step(&rig), TASK_WORKED); /* opens */
}

/* -- life ----------------------------------------------------------------------------------------- */

static void the_first_step_opens_and_says_so(void **state)
{
    rig_init(&rig, &(struct rig_options){ .build = build_keeper, .vertex = "keeper" });
    rig_send(&rig, 0, 1, 5, 0);
    assert_int_equal(rig.running_count, 0);
    assert_int_equal(rig_step(&rig), TASK_WORKED);
    assert_int_equal(rig.running_count, 1);
    assert_string_equal(rig_out(&rig, 0), "");
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_int_equal(rig.running_count, 1);
    assert_string_equal(rig_out(&rig, 0), "1=5");
}

static void records_of_all_inputs_meet_their_key(void **state)
{
    start(build_keeper, 0, 0);
    rig_send(&rig, 0, 1, 5, 0);
    rig_send(&rig, 1, 2, 7, 0);
    rig_run(&rig);
    rig_send(&rig, 1, 1, 2, 0);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_string_equal(rig_out(&rig, 0), "1=5 2=7 1=7");
    assert_int_equal(metric_get(&task_metrics(rig.task)->records_in), 3);
    assert_int_equal(metric_get(&task_metrics(rig.task)->records_out), 3);
}

static void a_task_that_is_freed_unopened_leaves_nothing(void **state)
{
    rig_init(&rig, &(struct rig_options){ .build = build_keeper, .vertex = "keeper" });
    rig_send(&rig, 0, 1, 5, 0);
    task_trigger(rig.task, 1);
}

static uint32_t letters_run, letters_dropped;

static void run_letter(struct task *task, void *arg)
{
    assert_ptr_equal(task, rig.task);
    letters_run++;
}

static void drop_letter(void *arg)
{
    letters_dropped++;
}

static void letters_run_on_a_step_or_are_dropped(void **state)
{
    struct letter letter = { .what = "test", .run = run_letter, .drop = drop_letter };
    letters_run = letters_dropped = 0;
    start(build_keeper, 0, 0);
    task_post(rig.task, letter);
    task_post(rig.task, letter);
    assert_int_equal(letters_run, 0);
    rig_step(&rig);
    assert_int_equal(letters_run, 2);
    task_post(rig.task, letter);
    rig_restart(&rig, NULL);
    assert_int_equal(letters_run, 2);
    assert_int_equal(letters_dropped, 1);
}

/* -- watermarks ----------------------------------------------------------------------------------- */

static void the_smallest_watermark_goes_on(void **state)
{
    start(build_keeper, 0, 0);
    rig_event(&rig, 0, ELEMENT_WATERMARK, 100);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "");
    rig_event(&rig, 1, ELEMENT_WATERMARK, 50);
    rig_event(&rig, 1, ELEMENT_WATERMARK, 150);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "W50 W100");
    assert_int_equal(metric_get(&task_metrics(rig.task)->watermark_ms), 100);
}

static void an_idle_input_lets_the_other_lead_and_two_are_idle_together(void **state)
{
    start(build_keeper, 0, 0);
    rig_event(&rig, 0, ELEMENT_IDLE, 0);
    rig_event(&rig, 1, ELEMENT_WATERMARK, 50);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "W50");
    rig_event(&rig, 1, ELEMENT_IDLE, 0);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "I");
    rig_event(&rig, 1, ELEMENT_IDLE, 0);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "");
    rig_send(&rig, 0, 1, 1, 0); /* a record wakes its input, which holds the watermark back again */
    rig_event(&rig, 1, ELEMENT_WATERMARK, 80);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "1=1");
    rig_event(&rig, 0, ELEMENT_WATERMARK, 90);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "W80");
}

static void an_ended_input_holds_nothing_back(void **state)
{
    start(build_keeper, 0, 0);
    rig_event(&rig, 1, ELEMENT_WATERMARK, 50);
    rig_event(&rig, 0, ELEMENT_END, 0);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "W50");
    assert_int_equal(rig.ended_count, 0);
}

/* -- timers --------------------------------------------------------------------------------------- */

static void a_watermark_goes_on_behind_the_timers_that_it_made_due(void **state)
{
    start(build_keeper, 0, 0);
    rig_send(&rig, 0, 1, TIMER + 30, 0);
    rig_send(&rig, 0, 1, TIMER + 10, 0);
    rig_send(&rig, 0, 1, TIMER + 60, 0);
    rig_event(&rig, 0, ELEMENT_WATERMARK, 50);
    rig_event(&rig, 1, ELEMENT_WATERMARK, 50);
    rig_run(&rig);
    const char *text = rig_out(&rig, 0);
    assert_non_null(strstr(text, "8=-10 8=-30 W50"));
    assert_int_equal(timer_count, 2);
}

static void processing_time_timers_fire_when_the_clock_says_so(void **state)
{
    start(build_keeper, 0, 0);
    int64_t now_ms = os_wall_ms();
    rig_send(&rig, 0, 1, CLOCK + 50, 0);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_int_equal(task_deadline_ms(rig.task), now_ms + 50);
    sim_os_advance_ns(49 * 1000000);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_int_equal(timer_count, 0);
    sim_os_advance_ns(1000000);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_int_equal(timer_count, 1);
    assert_int_equal(task_deadline_ms(rig.task), INT64_MAX);
}

#define MANY 100000

/* As if that many keys had set one for the same instant. */
static void set_many(struct timers *timers, int64_t at_ms)
{
    for (uint64_t i = 0; i < MANY; i++)
        timers_set(timers, WEIR_EVENT_TIME, at_ms,
            (weir_str){ .data = (const char *)&i, .size = sizeof(i) }, i);
}

static void many_timers_of_one_instant_fire_in_bounded_batches(void **state)
{
    start(build_keeper, 64, 4096);
    set_many(rig.task->head->timers, 7);
    rig_event(&rig, 0, ELEMENT_WATERMARK, 7);
    rig_event(&rig, 1, ELEMENT_WATERMARK, 7);
    rig_send(&rig, 0, 1, 5, 0);
    uint32_t steps = 0;
    while (timer_count < MANY) {
        int64_t before = timer_count;
        assert_int_equal(rig_step(&rig), TASK_WORKED);
        assert_in_range(timer_count - before, 0, 64);
        assert_int_equal(metric_get(&rig.task->head->records_in), 0); /* the record has to wait */
        steps++;
    }
    assert_in_range(steps, MANY / 64, MANY / 64 + 10);
    rig_run(&rig);
    assert_int_equal(metric_get(&rig.task->head->records_in), 1);
    while (rig_take_batch(&rig, 0))
        ;
}

/* -- room ----------------------------------------------------------------------------------------- */

static void without_room_downstream_nothing_is_read(void **state)
{
    start(build_keeper, 0, 1);
    for (int i = 0; i < 8; i++)
        rig_send(&rig, 0, 1, WIDE, 0);
    assert_int_equal(rig_run(&rig), TASK_NO_ROOM);
    int64_t read = metric_get(&rig.task->head->records_in);
    assert_in_range(read, 1, 4);
    assert_int_equal(rig_run(&rig), TASK_NO_ROOM);
    assert_int_equal(metric_get(&rig.task->head->records_in), read);
    assert_int_equal(task_deadline_ms(rig.task), INT64_MAX); /* the consumer wakes it */
    while (metric_get(&rig.task->head->records_in) < 8) {
        rig_take_batch(&rig, 0);
        rig_run(&rig);
    }
}

static void letters_are_read_without_room(void **state)
{
    start(build_keeper, 0, 1);
    for (int i = 0; i < 4; i++)
        rig_send(&rig, 0, 1, WIDE, 0);
    assert_int_equal(rig_run(&rig), TASK_NO_ROOM);
    task_complete(rig.task, 3);
    rig_step(&rig);
    assert_int_equal(metric_get(&task_metrics(rig.task)->notified), 3);
}

static void time_is_accounted_by_what_a_step_ended_with(void **state)
{
    start(build_keeper, 0, 1);
    const struct task_metrics *metrics = task_metrics(rig.task);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    int64_t idle_ns = metric_get(&metrics->idle_ns);
    sim_os_advance_ns(3000);
    for (int i = 0; i < 4; i++)
        rig_send(&rig, 0, 1, WIDE, 0);
    assert_int_equal(rig_run(&rig), TASK_NO_ROOM);
    assert_int_equal(metric_get(&metrics->idle_ns) - idle_ns, 3000);
    sim_os_advance_ns(5000);
    rig_step(&rig);
    assert_int_equal(metric_get(&metrics->backpressured_ns), 5000);
}

static void what_is_open_is_flushed_when_there_is_nothing_more_to_do(void **state)
{
    rig_init(&rig, &(struct rig_options){ .build = build_keeper,
                       .vertex = "keeper",
                       .batch_max = 1,
                       .buffer_timeout_ms = 50 });
    rig_step(&rig);
    for (int i = 0; i < 5; i++)
        rig_send(&rig, 0, 1, 1, 0);
    sim_os_advance_ns(1000000);
    rig_step(&rig); /* the first one goes at once: nothing went for longer than the time-out */
    assert_string_equal(rig_out(&rig, 0), "1=1");
    rig_step(&rig);
    rig_step(&rig);
    assert_string_equal(rig_out(&rig, 0), "");
    sim_os_advance_ns(50 * 1000000);
    rig_step(&rig);
    assert_string_equal(rig_out(&rig, 0), "1=2 1=3 1=4");
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "1=5");
}

/* -- the end -------------------------------------------------------------------------------------- */

static void end_all(void)
{
    rig_event(&rig, 0, ELEMENT_END, 0);
    rig_event(&rig, 1, ELEMENT_END, 0);
}

static void at_the_end_timers_fire_then_it_finishes_then_the_end_goes_on(void **state)
{
    start(build_keeper, 0, 0);
    rig_send(&rig, 0, 1, CLOCK + 5000, 0);
    rig_send(&rig, 0, 1, TIMER + 500, 0);
    rig_send(&rig, 0, 1, TIMER + 10, 0);
    end_all();
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    char expected[128];
    snprintf(expected, sizeof(expected), " 8=-10 8=-500 8=%" PRId64 " 99=99 E",
        -(os_wall_ms() + 5000));
    assert_non_null(strstr(rig_out(&rig, 0), expected));
    assert_int_equal(rig.ended_count, 1);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_int_equal(rig.ended_count, 1);
    assert_int_equal(task_deadline_ms(rig.task), INT64_MAX);
}

static void at_the_end_all_that_wait_fire_although_one_sets_itself_again(void **state)
{
    start(build_keeper, 0, 0);
    repeats = true;
    rig_send(&rig, 0, 1, EVERY_TEN, 0);
    end_all();
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_non_null(strstr(rig_out(&rig, 0), " 8=-10 8=-1000 99=99 E"));
}

static void at_the_end_timers_fire_in_bounded_batches_too(void **state)
{
    start(build_keeper, 64, 4096);
    set_many(rig.task->head->timers, 7);
    end_all();
    while (rig.ended_count == 0) {
        int64_t before = timer_count;
        rig_step(&rig);
        assert_in_range(timer_count - before, 0, 64);
    }
    assert_int_equal(timer_count, MANY);
    while (rig_take_batch(&rig, 0))
        ;
}

/* -- bad records ---------------------------------------------------------------------------------- */

static void a_bad_record_goes_to_the_dead_letters(void **state)
{
    start(build_careful, 0, 0);
    rig_send(&rig, 0, 1, 5, 0);
    rig_send(&rig, 0, 1, BAD, 0);
    rig_send(&rig, 0, 1, 6, 0);
    assert_int_equal(rig_run(&rig), TASK_IDLE);
    assert_string_equal(rig_out(&rig, 0), "1=5 1=11");
    assert_string_equal(rig_out(&rig, 1), "weir_dead_letter");
    assert_int_equal(rig.failed_count, 0);
}

static void a_bad_record_without_dead_letters_fails_the_task(void **state)
{
    start(build_keeper, 0, 0);
    rig_send(&rig, 0, 1, BAD, 0);
    rig_send(&rig, 0, 1, 5, 0);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "");
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_DATA, "weir_dead_letters()");
    assert_int_equal(rig.failed_count, 1);
}

/* Three a second are allowed, averaged over ten. */
static void a_flood_of_dead_letters_fails_the_task(void **state)
{
    start(build_careful, 1, 4096);
    for (int second = 0; second < 30; second++) {
        for (int i = 0; i < 3; i++)
            rig_send(&rig, 0, 1, BAD, 0);
        rig_run(&rig);
        sim_os_advance_ns(1000000000);
    }
    assert_int_equal(rig.failed_count, 0);
    for (int i = 0; i < 30; i++)
        rig_send(&rig, 0, 1, BAD, 0);
    rig_run(&rig);
    assert_int_equal(rig.failed_count, 0); /* a burst of ten seconds' worth */
    rig_send(&rig, 0, 1, BAD, 0);
    rig_run(&rig);
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_LIMIT, "more than 3 dead letters a second");
}

static void a_clock_that_goes_back_allows_no_more_dead_letters(void **state)
{
    start(build_careful, 1, 4096);
    for (int i = 0; i < 20; i++)
        rig_send(&rig, 0, 1, BAD, 0);
    rig_run(&rig);
    sim_os_jump_wall_ms(-3600000);
    for (int i = 0; i < 10; i++)
        rig_send(&rig, 0, 1, BAD, 0);
    rig_run(&rig);
    assert_int_equal(rig.failed_count, 0);
    rig_send(&rig, 0, 1, BAD, 0);
    rig_run(&rig);
    assert_int_equal(rig.failed_count, 1);
}

/* -- failure -------------------------------------------------------------------------------------- */

static void a_failure_is_told_once_with_names_and_then_nothing_happens(void **state)
{
    start(build_keeper, 0, 0);
    rig_send(&rig, 0, 1, 5, 0);
    rig_send(&rig, 0, 1, FAIL, 0);
    rig_send(&rig, 1, 1, FAIL, 0);
    rig_run(&rig);
    for (int i = 0; i < 10; i++)
        assert_int_equal(rig_step(&rig), TASK_IDLE);
    assert_int_equal(rig.failed_count, 1);
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_INTERNAL, "task 'keeper' (1/1): operator 'keeper': told to fail");
    task_complete(rig.task, 1);
    task_abort(rig.task, 2);
    assert_int_equal(rig_step(&rig), TASK_IDLE);
    assert_int_equal(metric_get(&task_metrics(rig.task)->notified), 0);
    assert_int_equal(task_deadline_ms(rig.task), INT64_MAX);
}

#define TEST(test_) cmocka_unit_test_teardown(test_, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_step_opens_and_says_so),
        TEST(records_of_all_inputs_meet_their_key),
        TEST(a_task_that_is_freed_unopened_leaves_nothing),
        TEST(letters_run_on_a_step_or_are_dropped),
        TEST(the_smallest_watermark_goes_on),
        TEST(an_idle_input_lets_the_other_lead_and_two_are_idle_together),
        TEST(an_ended_input_holds_nothing_back),
        TEST(a_watermark_goes_on_behind_the_timers_that_it_made_due),
        TEST(processing_time_timers_fire_when_the_clock_says_so),
        TEST(many_timers_of_one_instant_fire_in_bounded_batches),
        TEST(without_room_downstream_nothing_is_read),
        TEST(letters_are_read_without_room),
        TEST(time_is_accounted_by_what_a_step_ended_with),
        TEST(what_is_open_is_flushed_when_there_is_nothing_more_to_do),
        TEST(at_the_end_timers_fire_then_it_finishes_then_the_end_goes_on),
        TEST(at_the_end_all_that_wait_fire_although_one_sets_itself_again),
        TEST(at_the_end_timers_fire_in_bounded_batches_too),
        TEST(a_bad_record_goes_to_the_dead_letters),
        TEST(a_bad_record_without_dead_letters_fails_the_task),
        TEST(a_flood_of_dead_letters_fails_the_task),
        TEST(a_clock_that_goes_back_allows_no_more_dead_letters),
        TEST(a_failure_is_told_once_with_names_and_then_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

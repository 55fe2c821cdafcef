/* source_chain_test.c -- two sources in a row: the second opens when the first is over, and both keep
 * their place across a restart.
 *
 * The sources inside count: the first one makes 1=0 1=1 1=2, the second one 2=0 2=1 ... as far as the
 * test lets them. What they are asked is written down as a story. */
#include <weir/job.h>

#include "runtime/task/task_private.h"
#include "test/sim/sim_os.h"
#include "test/support/task_rig.h"

#include <inttypes.h>
#include <stdio.h>

#include "test/support/expect.h"

static struct rig rig;
static bool is_up;
static char story[512];

/* -- a source that counts ------------------------------------------------------------------------- */

/* Of each source, by its number. */
static struct {
    int64_t count; /* what it makes in all; then it is over */
    int64_t limit; /* what it makes for now; then it has nothing to do */
    bool fails;    /* its open */
} scripts[3];

struct counting_options {
    uint32_t number;
};

struct counting {
    uint32_t number, split;
    int64_t next;
    struct item item; /* what is emitted is read behind the poll */
};

static void tell(const char *what, uint32_t number)
{
    size_t size = strlen(story);
    snprintf(story + size, sizeof(story) - size, "%s%s %" PRIu32, size > 0 ? ", " : "", what,
        number);
}

static const struct weir_type *counting_type(const void *options)
{
    return &item_type;
}

/* The number that an item of the snapshot says. */
static int64_t number_of(weir_str value)
{
    int64_t number;
    assert_int_equal(value.size, sizeof(number));
    memcpy(&number, value.data, sizeof(number));
    return number;
}

static weir_error *counting_open(weir_ctx *ctx, const void *arg, void *instance)
{
    const struct counting_options *options = arg;
    struct counting *it = instance;
    *it = (struct counting){ .number = options->number, .split = weir_split_add(ctx) };
    tell("open", it->number);
    if (scripts[it->number].fails)
        return weir_errorf(WEIR_E_IO, "source %" PRIu32 " is not there", it->number);
    assert_true(weir_item_count(ctx) <= 1); /* its own only */
    if (weir_item_count(ctx) == 1)
        it->next = number_of(weir_item_at(ctx, 0).value);
    return NULL;
}

static weir_error *counting_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    struct counting *it = instance;
    if (it->next == scripts[it->number].count) {
        tell("end", it->number);
        weir_split_finish(ctx, it->split);
        *status = WEIR_SOURCE_FINISHED;
        return NULL;
    }
    *status = WEIR_SOURCE_IDLE;
    if (it->next == scripts[it->number].limit)
        return NULL;
    it->item = (struct item){ .key = it->number, .value = it->next++ };
    weir_source_emit_record(ctx, it->split, &it->item);
    *status = WEIR_SOURCE_MORE;
    return NULL;
}

static weir_error *counting_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct counting *it = instance;
    weir_item_add(ctx, WEIR_STR("at"),
        (weir_str){ .data = (const char *)&it->next, .size = sizeof(it->next) });
    return NULL;
}

static weir_error *counting_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    tell("complete", ((struct counting *)instance)->number);
    return NULL;
}

static void counting_close(weir_ctx *ctx, void *instance)
{
    tell("close", ((struct counting *)instance)->number);
}

static uint32_t counting_positions(const void *instance, struct weir_position *list, uint32_t max)
{
    const struct counting *it = instance;
    if (it->next > 0 && max > 0)
        list[0] = (struct weir_position){ .partition = (int32_t)it->number,
            .first = it->next - 1,
            .last = it->next - 1 };
    return it->next > 0;
}

static const struct weir_source_class counting_class = { .name = "counting",
    .options_size = sizeof(struct counting_options),
    .instance_size = sizeof(struct counting),
    .out_type = counting_type,
    .open = counting_open,
    .poll = counting_poll,
    .snapshot = counting_snapshot,
    .checkpoint_complete = counting_complete,
    .close = counting_close,
    .positions = counting_positions };

static struct weir_source counting(const struct counting_options *options)
{
    return (struct weir_source){ .source_class = &counting_class, .options = options };
}

/* -- the job -------------------------------------------------------------------------------------- */

/* The options of the sources do not outlive this: the chain keeps copies. */
static void build(weir_job *job)
{
    struct counting_options options[2] = { { 1 }, { 2 } };
    struct weir_source chain = weir_source_chain(job, counting(&options[0]), counting(&options[1]));
    memset(options, 0xff, sizeof(options));
    weir_sink(weir_rebalance(weir_source(job, "both", chain)), "out", weir_blackhole());
}

static void start(uint32_t parallelism, uint32_t subtask)
{
    rig_init(&rig, &(struct rig_options){ .build = build,
                       .vertex = "both",
                       .parallelism = parallelism,
                       .subtask = subtask,
                       .credits = 64 });
    is_up = true;
    story[0] = '\0';
}

static int begin(void **state)
{
    memset(scripts, 0, sizeof(scripts));
    scripts[1].count = scripts[1].limit = 3;
    scripts[2].count = scripts[2].limit = 4;
    return 0;
}

static int end(void **state)
{
    if (is_up)
        rig_release(&rig);
    is_up = false;
    return 0;
}

static void expect_story(const char *expected)
{
    assert_string_equal(story, expected);
    story[0] = '\0';
}

static void expect_out(const char *expected)
{
    assert_string_equal(rig_out(&rig, 0), expected);
}

static struct subtask_snapshot *trigger(uint64_t checkpoint)
{
    task_trigger(rig.task, checkpoint);
    rig_run(&rig);
    rig_work(&rig);
    assert_true(rig.acked_count > 0);
    return rig.acked[--rig.acked_count];
}

/* The items of a snapshot as "name=number name=number". */
static void expect_items(const struct subtask_snapshot *snapshot, const char *expected)
{
    char said[256] = "";
    assert_int_equal(snapshot->operator_count, 1);
    for (uint32_t i = 0; i < snapshot->operators[0].item_count; i++) {
        struct weir_item item = snapshot->operators[0].items[i];
        size_t size = strlen(said);
        snprintf(said + size, sizeof(said) - size, "%s%.*s=%" PRId64, size > 0 ? " " : "",
            (int)item.name.size, item.name.data, number_of(item.value));
    }
    assert_string_equal(said, expected);
}

static void restart(struct subtask_snapshot *snapshot)
{
    story[0] = '\0';
    rig_restart(&rig, snapshot);
    subtask_snapshot_free(snapshot);
}

/* -- one after the other -------------------------------------------------------------------------- */

static void the_second_opens_when_the_first_has_ended(void **state)
{
    scripts[1].limit = 2;
    start(1, 0);
    rig_run(&rig);
    expect_story("open 1"); /* idle is not ended */
    expect_out("1=0 1=1");
    scripts[1].limit = 3;
    sim_os_advance_ns(INT64_C(1000000000));
    rig_run(&rig);
    expect_story("end 1, open 2, end 2");
    expect_out("1=2 2=0 2=1 2=2 2=3 E");
    rig_release(&rig);
    is_up = false;
    expect_story("close 1, close 2");
}

static void a_first_source_without_records_is_passed_at_once(void **state)
{
    scripts[1].count = 0;
    start(1, 0);
    rig_run(&rig);
    expect_story("open 1, end 1, open 2, end 2");
    expect_out("2=0 2=1 2=2 2=3 E");
}

static void a_second_source_that_does_not_open_fails_the_task(void **state)
{
    scripts[2].fails = true;
    start(1, 0);
    rig_run(&rig);
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_IO, "source 2 is not there");
    rig_release(&rig);
    is_up = false;
    expect_story("open 1, end 1, open 2, close 1, close 2");
}

static void both_hear_of_a_complete_checkpoint_once_they_are_open(void **state)
{
    scripts[1].limit = 2;
    scripts[2].limit = 1;
    start(1, 0);
    rig_run(&rig);
    subtask_snapshot_free(trigger(1));
    task_complete(rig.task, 1);
    rig_run(&rig);
    expect_story("open 1, complete 1");
    scripts[1].limit = 3;
    sim_os_advance_ns(INT64_C(1000000000));
    rig_run(&rig);
    subtask_snapshot_free(trigger(2));
    task_complete(rig.task, 2);
    rig_run(&rig);
    expect_story("end 1, open 2, complete 1, complete 2");
}

static void the_positions_are_those_of_the_source_that_was_polled(void **state)
{
    struct weir_position at;
    start(1, 0);
    rig_step(&rig);
    const struct weir_ctx *head = rig.task->head;
    const struct weir_source_class *class = head->op->source.source_class;
    assert_int_equal(class->positions(head->instance, &at, 1), 0);
    static const int64_t rows[][2] = { { 1, 0 }, { 1, 1 }, { 1, 2 },
        { 1, 2 }, /* it has ended, and the second is open */
        { 2, 0 }, { 2, 1 } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        rig_step(&rig);
        assert_int_equal(class->positions(head->instance, &at, 1), 1);
        assert_int_equal(at.partition, rows[i][0]);
        assert_int_equal(at.first, rows[i][1]);
    }
}

/* -- across a restart ----------------------------------------------------------------------------- */

static void a_restart_in_the_first_goes_on_in_the_first(void **state)
{
    scripts[1].limit = 2;
    start(1, 0);
    rig_run(&rig);
    struct subtask_snapshot *snapshot = trigger(1);
    expect_items(snapshot, "1/at=2");
    scripts[1].limit = 3;
    restart(snapshot);
    rig_run(&rig);
    expect_story("close 1, open 1, end 1, open 2, end 2");
    expect_out("1=2 2=0 2=1 2=2 2=3 E");
}

static void a_restart_in_the_second_goes_on_in_the_second(void **state)
{
    scripts[2].limit = 2;
    start(1, 0);
    rig_run(&rig);
    struct subtask_snapshot *snapshot = trigger(1);
    expect_items(snapshot, "1/at=3 2/at=2");
    scripts[2].limit = 4;
    restart(snapshot);
    rig_run(&rig);
    /* the first one is asked, and has nothing left */
    expect_story("close 1, close 2, open 1, end 1, open 2, end 2");
    expect_out("2=2 2=3 E");
}

/* The first has grown meanwhile, so the second is not open at the next checkpoint: its position must be
 * in that one all the same. */
static void what_is_known_of_the_second_survives_checkpoints_before_it_opens(void **state)
{
    scripts[2].limit = 2;
    start(1, 0);
    rig_run(&rig);
    struct subtask_snapshot *snapshot = trigger(1);
    scripts[1].count = 5;
    scripts[1].limit = 4;
    for (uint64_t checkpoint = 2; checkpoint < 4; checkpoint++) {
        restart(snapshot);
        rig_run(&rig);
        snapshot = trigger(checkpoint);
    }
    scripts[1].limit = 5;
    scripts[2].limit = 4;
    restart(snapshot);
    rig_run(&rig);
    expect_out("1=4 2=2 2=3 E");
}

/* -- the plan ------------------------------------------------------------------------------------- */

struct other {
    int64_t number;
};
WEIR_TYPE(other, WEIR_FIELD(1, other, number));

static const struct weir_type *type_of_other(const void *options)
{
    return &other_type;
}

static void sources_of_two_types_are_refused(void **state)
{
    struct weir_source_class strange = counting_class;
    strange.out_type = type_of_other;
    struct counting_options options = { 1 };
    weir_job *job = job_new(NULL);
    struct weir_source chain = weir_source_chain(job, counting(&options),
        (struct weir_source){ .source_class = &strange, .options = &options });
    expect_error(chain.source_class->validate(chain.options), WEIR_E_PLAN,
        "records of one type, not 'item' and 'other'");
    job_free(job);
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_second_opens_when_the_first_has_ended),
        TEST(a_first_source_without_records_is_passed_at_once),
        TEST(a_second_source_that_does_not_open_fails_the_task),
        TEST(the_positions_are_those_of_the_source_that_was_polled),
        TEST(both_hear_of_a_complete_checkpoint_once_they_are_open),
        TEST(a_restart_in_the_first_goes_on_in_the_first),
        TEST(a_restart_in_the_second_goes_on_in_the_second),
        TEST(what_is_known_of_the_second_survives_checkpoints_before_it_opens),
        TEST(sources_of_two_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* chain_test.c -- the operators of one subtask: opened last to first, closed whatever happens, calling
 * each other, with side outputs, counters and items that survive. */
#include "runtime/task/chain.h"

#include "runtime/task/task_private.h"
#include "test/sim/sim_os.h"
#include "test/support/task_rig.h"

#include <stdio.h>

#include "test/support/expect.h"

static struct rig rig;
static bool is_up;
static char story[512];
static const char *failing; /* the operator whose open, record or finish fails */
static const char *failing_part;

static void tell(const char *what, weir_ctx *ctx)
{
    size_t used = strlen(story);
    snprintf(story + used, sizeof(story) - used, "%s %s, ", what, weir_uid_of(ctx));
}

static weir_error *maybe_fail(const char *part, weir_ctx *ctx)
{
    if (failing == NULL || strcmp(failing, weir_uid_of(ctx)) != 0 ||
        strcmp(failing_part, part) != 0)
        return NULL;
    return weir_errorf(WEIR_E_INTERNAL, "%s has failed", part);
}

/* -- three operators in a row --------------------------------------------------------------------- */

static weir_error *open_it(weir_ctx *ctx)
{
    tell("open", ctx);
    return maybe_fail("open", ctx);
}

static void close_it(weir_ctx *ctx)
{
    tell("close", ctx);
}

/* Passes the record on, one larger; multiples of ten also to the side. */
static weir_error *add_one(weir_ctx *ctx, const void *record)
{
    struct item item = *(const struct item *)record;
    weir_count(ctx, 0, 1);
    item.value++;
    weir_emit(ctx, item, &item);
    if (item.value % 10 == 0)
        weir_emit_side(ctx, 0, item, &item);
    return maybe_fail("record", ctx);
}

static weir_error *finish_it(weir_ctx *ctx)
{
    struct item item = { .key = 7, .value = 7 };
    tell("finish", ctx);
    weir_emit(ctx, item, &item);
    return maybe_fail("finish", ctx);
}

static const struct weir_side_output sides[] = { { .name = "tens", .type = &item_type } };
static const char *const counters[] = { "seen" };
#define OPERATOR(uid_) \
    { \
        .uid = (uid_), .in = &item_type, .out = &item_type, .sides = sides, .side_count = 1, \
        .counters = counters, .counter_count = 1, .open = open_it, .close = close_it, \
        .on_record = add_one, .on_finish = finish_it \
    }
static const struct weir_operator first = OPERATOR("first");
static const struct weir_operator second = OPERATOR("second");
static const struct weir_operator third = OPERATOR("third");

static void generate_nothing(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
}

/* first -> second -> third -> edge 0, and the tens of `second` -> edge 1. */
static void build_row(weir_job *job)
{
    weir_stream *items = weir_source(job, "items",
        weir_generator(.type = &item_type, .generate = generate_nothing, .count = 1));
    weir_stream *one = weir_chaining(weir_process(items, &first, NULL), WEIR_CHAIN_HEAD);
    weir_stream *two = weir_process(one, &second, NULL);
    weir_stream *three = weir_process(two, &third, NULL);
    weir_sink(weir_rebalance(three), "out", weir_blackhole());
    weir_sink(weir_rebalance(weir_side_output(two, "tens")), "side", weir_blackhole());
}

static void start(void (*build)(weir_job *job), const char *vertex)
{
    rig_init(&rig, &(struct rig_options){ .build = build, .vertex = vertex });
    is_up = true;
}

static int begin(void **state)
{
    story[0] = '\0';
    failing = failing_part = NULL;
    return 0;
}

static int end(void **state)
{
    if (is_up)
        rig_release(&rig);
    is_up = false;
    return 0;
}

static void stop(void)
{
    rig_release(&rig);
    is_up = false;
}

static void a_chain_opens_from_the_last_to_the_first_and_closes_the_other_way(void **state)
{
    start(build_row, "first");
    rig_step(&rig);
    assert_string_equal(story, "open third, open second, open first, ");
    stop();
    assert_string_equal(story,
        "open third, open second, open first, close first, close second, close third, ");
}

static void what_was_opened_is_closed_when_an_open_fails(void **state)
{
    failing = "second";
    failing_part = "open";
    start(build_row, "first");
    rig_step(&rig);
    assert_int_equal(rig.running_count, 0);
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_INTERNAL, "cannot open 'second': open has failed");
    stop();
    assert_string_equal(story, "open third, open second, close second, close third, ");
}

static void a_chain_that_was_never_opened_closes_nothing(void **state)
{
    start(build_row, "first");
    stop();
    assert_string_equal(story, "");
}

static void a_record_goes_through_all_and_to_the_side(void **state)
{
    start(build_row, "first");
    rig_send(&rig, 0, 1, 1, 0);
    rig_send(&rig, 0, 1, 8, 0);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "1=4 1=11");
    assert_string_equal(rig_out(&rig, 1), "1=10"); /* only the side of `second` is connected */
}

static void events_go_to_every_edge(void **state)
{
    start(build_row, "first");
    rig_event(&rig, 0, ELEMENT_WATERMARK, 5);
    rig_event(&rig, 0, ELEMENT_BARRIER, 1);
    rig_run(&rig);
    assert_string_equal(rig_out(&rig, 0), "W5 B1");
    assert_string_equal(rig_out(&rig, 1), "W5 B1");
}

static void they_finish_in_order_and_what_they_emit_goes_on(void **state)
{
    start(build_row, "first");
    rig_step(&rig);
    story[0] = '\0';
    rig_event(&rig, 0, ELEMENT_END, 0);
    rig_run(&rig);
    assert_string_equal(story, "finish first, finish second, finish third, ");
    const char *out = rig_out(&rig, 0);
    assert_string_equal(out, "I 7=9 7=8 7=7 E");
}

static void a_failure_names_its_operator(void **state)
{
    failing = "third";
    failing_part = "record";
    start(build_row, "first");
    rig_send(&rig, 0, 1, 1, 0);
    rig_run(&rig);
    weir_error *error = rig.failure;
    rig.failure = NULL;
    expect_error(error, WEIR_E_INTERNAL, "operator 'third': record has failed");
}

static void a_finish_that_fails_ends_nothing(void **state)
{
    failing = "second";
    failing_part = "finish";
    start(build_row, "first");
    rig_event(&rig, 0, ELEMENT_END, 0);
    rig_run(&rig);
    assert_int_equal(rig.ended_count, 0);
    assert_int_equal(rig.failed_count, 1);
    assert_null(strstr(rig_out(&rig, 0), "E"));
}

/* -- counters ------------------------------------------------------------------------------------- */

static int64_t counter_of(const char *uid)
{
    const struct chain *chain = &rig.task->chain;
    for (uint32_t i = 0; i < chain->count; i++)
        if (strcmp(chain->contexts[i]->op->uid, uid) == 0)
            return metric_get(&chain->contexts[i]->counters[0].value);
    fail_msg("no operator '%s'", uid);
    return -1;
}

static struct subtask_snapshot *take(int64_t checkpoint)
{
    rig_event(&rig, 0, ELEMENT_BARRIER, checkpoint);
    rig_run(&rig);
    rig_work(&rig);
    assert_true(rig.acked_count > 0);
    return rig.acked[--rig.acked_count];
}

static void counters_go_on_where_the_checkpoint_was(void **state)
{
    start(build_row, "first");
    rig_send(&rig, 0, 1, 1, 0);
    rig_send(&rig, 0, 1, 1, 0);
    struct subtask_snapshot *snapshot = take(1);
    rig_send(&rig, 0, 1, 1, 0);
    rig_run(&rig);
    assert_int_equal(counter_of("third"), 3);
    rig_restart(&rig, snapshot);
    subtask_snapshot_free(snapshot);
    assert_int_equal(counter_of("third"), 2);
    assert_int_equal(counter_of("first"), 2);
}

/* The others of its operator may run on (plan_regions.c), with what they have counted. */
static void a_subtask_that_restarts_has_its_own_counters_back_and_nobody_elses(void **state)
{
    rig_init(&rig, &(struct rig_options){ .build = build_row,
                       .vertex = "first",
                       .parallelism = 2,
                       .subtask = 1 });
    is_up = true;
    rig_send(&rig, 0, 1, 1, 0);
    rig_send(&rig, 0, 1, 1, 0);
    struct subtask_snapshot *snapshot = take(1);
    rig_restart(&rig, snapshot);
    assert_int_equal(counter_of("third"), 2);
    snapshot->operators[0].subtask = 0; /* of another one */
    rig_restart(&rig, snapshot);
    assert_int_equal(counter_of("first"), 0);
    assert_int_equal(counter_of("third"), 2);
    snapshot->operators[2].parallelism = 3; /* then the first has what all had */
    rig_restart(&rig, snapshot);
    assert_int_equal(counter_of("third"), 0);
    subtask_snapshot_free(snapshot);
}

/* -- items in scopes ------------------------------------------------------------------------------ */

static char found[256];

static void look(weir_ctx *ctx, const char *scope)
{
    weir_item_scope(ctx, scope);
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        size_t used = strlen(found);
        snprintf(found + used, sizeof(found) - used, "%s%.*s=%.*s ", scope, (int)item.name.size,
            item.name.data, (int)item.value.size, item.value.data);
    }
}

static const char *to_add[4]; /* "scope", name, value, NULL */
static bool carries;

static const struct weir_type *any_type(const void *options)
{
    return &item_type;
}

static weir_error *scoped_open(weir_ctx *ctx, const void *options, void *instance)
{
    found[0] = '\0';
    look(ctx, "a/");
    look(ctx, "b/");
    look(ctx, "a/"); /* again: the same */
    return NULL;
}

static weir_error *scoped_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    *status = WEIR_SOURCE_IDLE;
    return NULL;
}

static weir_error *scoped_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    if (to_add[0] != NULL) {
        weir_item_scope(ctx, to_add[0]);
        weir_item_add(ctx, weir_str_of(to_add[1]), weir_str_of(to_add[2]));
    }
    weir_item_scope(ctx, "b/");
    if (carries)
        weir_item_carry(ctx);
    return NULL;
}

static void scoped_close(weir_ctx *ctx, void *instance)
{
}

static const struct weir_source_class scoped_class = { .name = "scoped",
    .out_type = any_type,
    .open = scoped_open,
    .poll = scoped_poll,
    .snapshot = scoped_snapshot,
    .close = scoped_close };

static void build_scoped(weir_job *job)
{
    weir_stream *items =
        weir_source(job, "scoped", (struct weir_source){ .source_class = &scoped_class });
    weir_sink(weir_rebalance(items), "out", weir_blackhole());
}

static struct subtask_snapshot *trigger(uint64_t checkpoint)
{
    task_trigger(rig.task, checkpoint);
    rig_run(&rig);
    rig_work(&rig);
    assert_true(rig.acked_count > 0);
    return rig.acked[--rig.acked_count];
}

static void restart_from(struct subtask_snapshot *snapshot)
{
    rig_restart(&rig, snapshot);
    subtask_snapshot_free(snapshot);
}

static void items_are_seen_in_their_scope_only(void **state)
{
    carries = false;
    to_add[0] = "a/", to_add[1] = "x", to_add[2] = "1";
    start(build_scoped, "scoped");
    rig_step(&rig);
    restart_from(trigger(1));
    assert_string_equal(found, "a/x=1 a/x=1 ");
    to_add[0] = "b/";
    restart_from(trigger(2));
    assert_string_equal(found, "b/x=1 ");
}

static void items_are_carried_until_somebody_writes_them_again(void **state)
{
    carries = true;
    to_add[0] = "b/", to_add[1] = "x", to_add[2] = "1";
    start(build_scoped, "scoped");
    rig_step(&rig);
    restart_from(trigger(1));
    to_add[0] = NULL;
    restart_from(trigger(2));
    assert_string_equal(found, "b/x=1 ");
    restart_from(trigger(3));
    assert_string_equal(found, "b/x=1 "); /* carried twice, and still one */
    to_add[0] = "b/", to_add[2] = "2";
    restart_from(trigger(4));
    assert_string_equal(found, "b/x=2 "); /* the fresh one counts */
    to_add[0] = NULL;
    restart_from(trigger(5));
    assert_string_equal(found, "b/x=2 ");
}

static void scopes_cost_nothing_at_each_checkpoint(void **state)
{
    carries = true;
    to_add[0] = "a/", to_add[1] = "x", to_add[2] = "1";
    start(build_scoped, "scoped");
    rig_step(&rig);
    restart_from(trigger(1));
    subtask_snapshot_free(trigger(2));
    size_t size = rig.task->chain.memory.size;
    for (uint64_t n = 3; n < 500; n++) {
        subtask_snapshot_free(trigger(n));
        rig_out(&rig, 0);
    }
    assert_int_equal(rig.task->chain.memory.size, size);
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chain_opens_from_the_last_to_the_first_and_closes_the_other_way),
        TEST(what_was_opened_is_closed_when_an_open_fails),
        TEST(a_chain_that_was_never_opened_closes_nothing),
        TEST(a_record_goes_through_all_and_to_the_side),
        TEST(events_go_to_every_edge),
        TEST(they_finish_in_order_and_what_they_emit_goes_on),
        TEST(a_failure_names_its_operator),
        TEST(a_finish_that_fails_ends_nothing),
        TEST(counters_go_on_where_the_checkpoint_was),
        TEST(a_subtask_that_restarts_has_its_own_counters_back_and_nobody_elses),
        TEST(items_are_seen_in_their_scope_only),
        TEST(items_are_carried_until_somebody_writes_them_again),
        TEST(scopes_cost_nothing_at_each_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

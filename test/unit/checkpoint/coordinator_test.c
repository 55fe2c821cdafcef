/* coordinator_test.c -- the picture of coordinator.h edge by edge, then random events and a clock. */
#include "checkpoint/coordinator.h"

#include "test/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct coordinator_options usual = { .interval_ms = 1000,
    .min_pause_ms = 100,
    .timeout_ms = 5000,
    .aligned_timeout_ms = 5000,
    .subtask_count = 3 };

#define EXPECT(action_, kind_, checkpoint_) \
    do { \
        struct coordinator_action got_ = (action_); \
        assert_int_equal(got_.kind, (kind_)); \
        assert_int_equal(got_.checkpoint, (checkpoint_)); \
    } while (0)
/* Nothing to do; whether the event was ignored (and said why) or was part of the way. */
#define EXPECT_NONE(action_) assert_int_equal((action_).kind, COORDINATOR_NONE)
#define EXPECT_IGNORED(action_) \
    do { \
        struct coordinator_action got_ = (action_); \
        assert_int_equal(got_.kind, COORDINATOR_NONE); \
        assert_non_null(got_.why); \
    } while (0)

static struct coordinator *running(const struct coordinator_options *options, uint64_t last)
{
    static struct coordinator coordinator;
    coordinator_init(&coordinator, options, last);
    EXPECT_NONE(coordinator_running(&coordinator, 0));
    return &coordinator;
}

static void ack_all(struct coordinator *c, uint64_t checkpoint, int64_t now_ms)
{
    for (uint32_t i = 0; i + 1 < c->options.subtask_count; i++)
        EXPECT_NONE(coordinator_acked(c, checkpoint, i, now_ms));
    EXPECT(coordinator_acked(c, checkpoint, c->options.subtask_count - 1, now_ms),
        COORDINATOR_STORE, checkpoint);
}

static void a_checkpoint_goes_from_trigger_over_store_to_notify(void **state)
{
    struct coordinator *c = running(&usual, 41);
    assert_int_equal(coordinator_deadline_ms(c), 1000);
    EXPECT_NONE(coordinator_tick(c, 999));
    EXPECT(coordinator_tick(c, 1000), COORDINATOR_TRIGGER, 42);
    EXPECT_NONE(coordinator_tick(c, 1000));
    ack_all(c, 42, 1200);
    assert_int_equal(coordinator_deadline_ms(c), INT64_MAX);
    EXPECT(coordinator_stored(c, 42, true, 1300), COORDINATOR_NOTIFY, 42);
    assert_int_equal(c->last_completed, 42);
    EXPECT_NONE(coordinator_tick(c, 1999));
    EXPECT(coordinator_tick(c, 2000), COORDINATOR_TRIGGER, 43);
    coordinator_release(c);
}

static void nothing_starts_before_the_tasks_run(void **state)
{
    struct coordinator c;
    coordinator_init(&c, &usual, 0);
    EXPECT_NONE(coordinator_request(&c, 0));
    assert_int_equal(coordinator_deadline_ms(&c), INT64_MAX);
    EXPECT_NONE(coordinator_tick(&c, 100000));
    EXPECT_NONE(coordinator_running(&c, 100000));
    EXPECT(coordinator_tick(&c, 100000), COORDINATOR_TRIGGER, 1); /* the request was kept */
    coordinator_release(&c);
}

static void the_pause_counts_from_the_end(void **state)
{
    struct coordinator *c = running(&usual, 0);
    EXPECT(coordinator_tick(c, 1000), COORDINATOR_TRIGGER, 1);
    ack_all(c, 1, 1950);
    EXPECT(coordinator_stored(c, 1, true, 1990), COORDINATOR_NOTIFY, 1);
    EXPECT_NONE(coordinator_tick(c, 2089));
    EXPECT(coordinator_tick(c, 2090), COORDINATOR_TRIGGER, 2);
    coordinator_release(c);
}

static void missed_intervals_are_not_made_up_for(void **state)
{
    struct coordinator *c = running(&usual, 0);
    EXPECT(coordinator_tick(c, 10000), COORDINATOR_TRIGGER, 1);
    ack_all(c, 1, 10010);
    EXPECT(coordinator_stored(c, 1, true, 10020), COORDINATOR_NOTIFY, 1);
    EXPECT_NONE(coordinator_tick(c, 10999));
    EXPECT(coordinator_tick(c, 11000), COORDINATOR_TRIGGER, 2);
    coordinator_release(c);
}

static void barriers_overtake_when_the_acks_take_too_long(void **state)
{
    struct coordinator_options options = usual;
    options.aligned_timeout_ms = 300;
    struct coordinator *c = running(&options, 0);
    EXPECT(coordinator_tick(c, 1000), COORDINATOR_TRIGGER, 1);
    EXPECT_NONE(coordinator_acked(c, 1, 0, 1001));
    assert_int_equal(coordinator_deadline_ms(c), 1300);
    EXPECT_NONE(coordinator_tick(c, 1299));
    EXPECT(coordinator_tick(c, 1300), COORDINATOR_OVERTAKE, 1);
    EXPECT_NONE(coordinator_tick(c, 1301)); /* once */
    assert_int_equal(coordinator_deadline_ms(c), 6000);
    EXPECT_NONE(coordinator_acked(c, 1, 1, 1400));
    EXPECT(coordinator_acked(c, 1, 2, 1401), COORDINATOR_STORE, 1);
    EXPECT(coordinator_stored(c, 1, true, 1402), COORDINATOR_NOTIFY, 1);
    EXPECT(coordinator_tick(c, 2000), COORDINATOR_TRIGGER, 2); /* and again the next time */
    EXPECT(coordinator_tick(c, 7000), COORDINATOR_ABORT, 2);   /* too late for that */
    coordinator_release(c);
}

static void a_requested_checkpoint_stays_aligned(void **state)
{
    struct coordinator_options options = usual;
    options.aligned_timeout_ms = 0;
    struct coordinator *c = running(&options, 0);
    EXPECT_NONE(coordinator_request(c, 1));
    EXPECT(coordinator_tick(c, 1), COORDINATOR_TRIGGER, 1);
    EXPECT_NONE(coordinator_tick(c, 5000));
    EXPECT(coordinator_tick(c, 5001), COORDINATOR_ABORT, 1);
    EXPECT(coordinator_tick(c, 5101), COORDINATOR_TRIGGER, 2);
    EXPECT(coordinator_tick(c, 5101), COORDINATOR_OVERTAKE, 2);
    coordinator_release(c);
}

static void without_an_interval_only_requests_start_one(void **state)
{
    struct coordinator_options options = usual;
    options.interval_ms = 0;
    struct coordinator *c = running(&options, 0);
    EXPECT_NONE(coordinator_tick(c, 1000000));
    EXPECT_NONE(coordinator_request(c, 1000000));
    EXPECT(coordinator_tick(c, 1000000), COORDINATOR_TRIGGER, 1);
    ack_all(c, 1, 1000001);
    EXPECT(coordinator_stored(c, 1, true, 1000002), COORDINATOR_NOTIFY, 1);
    assert_int_equal(coordinator_deadline_ms(c), INT64_MAX);
    coordinator_release(c);
}

static void a_request_waits_for_the_current_one_and_then_for_nothing(void **state)
{
    struct coordinator *c = running(&usual, 0);
    EXPECT(coordinator_tick(c, 1000), COORDINATOR_TRIGGER, 1);
    EXPECT_NONE(coordinator_request(c, 1001));
    EXPECT_NONE(coordinator_tick(c, 1001));
    ack_all(c, 1, 1002);
    EXPECT_NONE(coordinator_tick(c, 1002));
    EXPECT(coordinator_stored(c, 1, true, 1003), COORDINATOR_NOTIFY, 1);
    EXPECT(coordinator_tick(c, 1003), COORDINATOR_TRIGGER, 2);
    coordinator_release(c);
}

static void acks_of_others_and_second_acks_are_ignored(void **state)
{
    struct coordinator *c = running(&usual, 4);
    EXPECT_IGNORED(coordinator_acked(c, 4, 0, 1)); /* nothing is pending */
    EXPECT(coordinator_tick(c, 1000), COORDINATOR_TRIGGER, 5);
    EXPECT_IGNORED(coordinator_acked(c, 4, 0, 1001));
    EXPECT_IGNORED(coordinator_acked(c, 6, 0, 1001));
    EXPECT_IGNORED(coordinator_acked(c, 5, 3, 1001)); /* no such subtask */
    EXPECT_NONE(coordinator_acked(c, 5, 0, 1001));
    EXPECT_IGNORED(coordinator_acked(c, 5, 0, 1001));
    EXPECT_NONE(coordinator_acked(c, 5, 1, 1001));
    EXPECT(coordinator_acked(c, 5, 2, 1001), COORDINATOR_STORE, 5);
    EXPECT_IGNORED(coordinator_acked(c, 5, 2, 1001));
    EXPECT_IGNORED(coordinator_declined(c, 5, 1, 1001));
    EXPECT(coordinator_stored(c, 5, true, 1002), COORDINATOR_NOTIFY, 5);
    EXPECT_IGNORED(coordinator_acked(c, 5, 0, 1003));
    coordinator_release(c);
}

static void every_failure_aborts_and_the_next_number_is_new(void **state)
{
    struct coordinator *c = running(&usual, 0);
    EXPECT(coordinator_tick(c, 1000), COORDINATOR_TRIGGER, 1);
    EXPECT(coordinator_declined(c, 1, 2, 1010), COORDINATOR_ABORT, 1);
    EXPECT_IGNORED(coordinator_acked(c, 1, 0, 1011));
    EXPECT(coordinator_tick(c, 2000), COORDINATOR_TRIGGER, 2);
    assert_int_equal(coordinator_deadline_ms(c), 7000);
    EXPECT(coordinator_tick(c, 7000), COORDINATOR_ABORT, 2); /* time-out */
    EXPECT_NONE(coordinator_tick(c, 7099));
    EXPECT(coordinator_tick(c, 7100), COORDINATOR_TRIGGER, 3);
    ack_all(c, 3, 7101);
    EXPECT(coordinator_stored(c, 3, false, 7102), COORDINATOR_ABORT, 3);
    assert_int_equal(c->consecutive_failures, 3);
    EXPECT(coordinator_tick(c, 8100), COORDINATOR_TRIGGER, 4);
    EXPECT(coordinator_stopped(c, 8101), COORDINATOR_ABORT, 4);
    EXPECT_NONE(coordinator_tick(c, 100000));
    EXPECT_NONE(coordinator_running(c, 100000));
    EXPECT(coordinator_tick(c, 101000), COORDINATOR_TRIGGER, 5);
    ack_all(c, 5, 101001);
    EXPECT(coordinator_stored(c, 5, true, 101002), COORDINATOR_NOTIFY, 5);
    assert_int_equal(c->consecutive_failures, 0);
    coordinator_release(c);
}

static void what_is_being_stored_outlives_the_tasks(void **state)
{
    struct coordinator *c = running(&usual, 0);
    EXPECT(coordinator_tick(c, 1000), COORDINATOR_TRIGGER, 1);
    ack_all(c, 1, 1001);
    EXPECT_NONE(coordinator_stopped(c, 1002));
    EXPECT_NONE(coordinator_tick(c, 1000000));
    EXPECT(coordinator_stored(c, 1, true, 1000001), COORDINATOR_NOTIFY, 1);
    EXPECT_NONE(coordinator_tick(c, 2000000));
    coordinator_release(c);
}

static void a_clock_at_its_end_does_not_overflow(void **state)
{
    struct coordinator_options options = { .interval_ms = INT64_MAX,
        .min_pause_ms = INT64_MAX,
        .timeout_ms = INT64_MAX,
        .aligned_timeout_ms = INT64_MAX,
        .subtask_count = 1 };
    struct coordinator *c = running(&options, 0);
    EXPECT_NONE(coordinator_request(c, INT64_MAX - 1));
    EXPECT(coordinator_tick(c, INT64_MAX - 1), COORDINATOR_TRIGGER, 1);
    assert_int_equal(coordinator_deadline_ms(c), INT64_MAX);
    EXPECT(coordinator_acked(c, 1, 0, INT64_MAX - 1), COORDINATOR_STORE, 1);
    EXPECT(coordinator_stored(c, 1, true, INT64_MAX - 1), COORDINATOR_NOTIFY, 1);
    coordinator_release(c);
}

/* -- random --------------------------------------------------------------------------------- */

#define SUBTASKS 4u

/* What an observer of the actions knows. */
struct observer {
    struct coordinator *c;
    struct random random;
    int64_t now_ms;
    uint64_t last; /* triggered */
    bool is_pending, is_storing, is_requested, is_running;
    bool may_overtake; /* the current one was not asked for, and does not yet */
    bool acked[SUBTASKS];
    int64_t started_ms, ended_ms;
    uint32_t triggered, completed, aborted, overtaken;
};

static void observe(struct observer *o, struct coordinator_action action, bool is_tick)
{
    switch (action.kind) {
    case COORDINATOR_NONE:
        return;
    case COORDINATOR_TRIGGER:
        assert_true(is_tick && o->is_running);
        assert_false(o->is_pending || o->is_storing); /* one at a time */
        assert_int_equal(action.checkpoint, o->last + 1);
        if (!o->is_requested && o->triggered > 0)
            assert_true(o->now_ms >= o->started_ms + o->c->options.interval_ms &&
                        o->now_ms >= o->ended_ms + o->c->options.min_pause_ms);
        if (!o->is_requested)
            assert_true(o->c->options.interval_ms > 0);
        o->last = action.checkpoint;
        o->is_pending = true;
        o->may_overtake = !o->is_requested;
        o->is_requested = false;
        o->started_ms = o->now_ms;
        o->triggered++;
        memset(o->acked, 0, sizeof(o->acked));
        return;
    case COORDINATOR_OVERTAKE:
        assert_true(is_tick && o->is_pending && o->may_overtake);
        assert_int_equal(action.checkpoint, o->last);
        assert_true(o->now_ms >= o->started_ms + o->c->options.aligned_timeout_ms);
        o->may_overtake = false;
        o->overtaken++;
        return;
    case COORDINATOR_STORE:
        assert_true(o->is_pending);
        assert_int_equal(action.checkpoint, o->last);
        for (uint32_t i = 0; i < SUBTASKS; i++)
            assert_true(o->acked[i]); /* complete only with every ack */
        o->is_pending = false;
        o->is_storing = true;
        return;
    case COORDINATOR_NOTIFY:
        assert_true(o->is_storing);
        assert_int_equal(action.checkpoint, o->last);
        o->is_storing = false;
        o->completed++;
        o->ended_ms = o->now_ms;
        return;
    case COORDINATOR_ABORT:
        assert_true(o->is_pending || o->is_storing);
        assert_int_equal(action.checkpoint, o->last);
        assert_non_null(action.why);
        o->is_pending = o->is_storing = false;
        o->aborted++;
        o->ended_ms = o->now_ms;
        return;
    }
}

static void tick_until_none(struct observer *o)
{
    int64_t deadline_ms = coordinator_deadline_ms(o->c);
    for (int i = 0;; i++) {
        struct coordinator_action action = coordinator_tick(o->c, o->now_ms);
        if (action.kind == COORDINATOR_NONE)
            return;
        assert_true(i > 0 || o->now_ms >= deadline_ms);
        assert_true(i < 3);
        observe(o, action, true);
    }
}

static void random_event(struct observer *o)
{
    /* mostly of the current checkpoint, now and then of others */
    uint64_t checkpoint =
        random_one_in(&o->random, 8) ? o->last + random_below(&o->random, 3) - 1 : o->last;
    uint32_t subtask = random_below(&o->random, SUBTASKS + random_one_in(&o->random, 16));
    switch (random_below(&o->random, 16)) {
    case 0:
        o->is_requested = true;
        observe(o, coordinator_request(o->c, o->now_ms), false);
        break;
    case 1:
        if (random_one_in(&o->random, 8))
            observe(o, coordinator_declined(o->c, checkpoint, subtask, o->now_ms), false);
        break;
    case 2:
        if (random_one_in(&o->random, 4) && o->is_running) {
            o->is_running = false;
            observe(o, coordinator_stopped(o->c, o->now_ms), false);
        } else if (!o->is_running && !o->is_storing) {
            o->is_running = true;
            observe(o, coordinator_running(o->c, o->now_ms), false);
        }
        break;
    case 3:
    case 4:
        if (o->is_storing)
            observe(o, coordinator_stored(o->c, o->last, !random_one_in(&o->random, 4), o->now_ms),
                false);
        break;
    case 5:
    case 6:
        o->now_ms += random_below(&o->random, 700);
        break;
    default:
        if (o->is_pending && checkpoint == o->last && subtask < SUBTASKS)
            o->acked[subtask] = true;
        observe(o, coordinator_acked(o->c, checkpoint, subtask, o->now_ms), false);
        break;
    }
    tick_until_none(o);
    if (o->is_pending)
        assert_true(o->now_ms < o->started_ms + o->c->options.timeout_ms);
    if (o->is_pending && o->may_overtake)
        assert_true(o->now_ms < o->started_ms + o->c->options.aligned_timeout_ms);
    assert_int_equal(o->triggered, o->completed + o->aborted + (o->is_pending || o->is_storing));
}

static void random_events_keep_every_promise(void **state)
{
    uint32_t completed = 0, aborted = 0, overtaken = 0;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        struct random random = { seed };
        struct coordinator_options options = { .interval_ms = random_one_in(&random, 3)
                                                                  ? 0
                                                                  : random_below(&random, 2000),
            .min_pause_ms = random_below(&random, 500),
            .timeout_ms = 1 + random_below(&random, 5000),
            .aligned_timeout_ms = random_below(&random, 100),
            .subtask_count = SUBTASKS };
        struct coordinator coordinator;
        coordinator_init(&coordinator, &options, seed);
        struct observer observer = { .c = &coordinator, .last = seed, .random = random };
        for (int i = 0; i < 500; i++)
            random_event(&observer);
        coordinator_release(&coordinator);
        completed += observer.completed;
        aborted += observer.aborted;
        overtaken += observer.overtaken;
    }
    /* the driver drives */
    assert_true(completed > 5000 && aborted > 5000 && overtaken > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_goes_from_trigger_over_store_to_notify),
        cmocka_unit_test(nothing_starts_before_the_tasks_run),
        cmocka_unit_test(the_pause_counts_from_the_end),
        cmocka_unit_test(barriers_overtake_when_the_acks_take_too_long),
        cmocka_unit_test(a_requested_checkpoint_stays_aligned),
        cmocka_unit_test(missed_intervals_are_not_made_up_for),
        cmocka_unit_test(without_an_interval_only_requests_start_one),
        cmocka_unit_test(a_request_waits_for_the_current_one_and_then_for_nothing),
        cmocka_unit_test(acks_of_others_and_second_acks_are_ignored),
        cmocka_unit_test(every_failure_aborts_and_the_next_number_is_new),
        cmocka_unit_test(what_is_being_stored_outlives_the_tasks),
        cmocka_unit_test(a_clock_at_its_end_does_not_overflow),
        cmocka_unit_test(random_events_keep_every_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* execution_test.c -- the life of a job, told as rows: event, what it leads to, the state after it. */
#include "runtime/manager/execution.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct restart_options restart_default = RESTART_DEFAULT;
/* Of the stories below: numbers that are easy to add. */
static const struct restart_options restart_seconds = { .kind = RESTART_EXPONENTIAL,
    .delay_ms = 1000,
    .delay_max_ms = 60000,
    .reset_ms = 600000,
    .multiplier_percent = 200,
    .jitter_percent = 10 };

enum event {
    END_OF_STORY,
    START,
    RESTORED,     /* value: 1 from a checkpoint */
    TASK_RUNNING, /* value: subtask */
    TASK_ENDED,   /* value: subtask */
    FAILED_USER,  /* INTERNAL, not retriable, of subtask 0 */
    OTHER_FAILED, /* the same of subtask 1 */
    TASK_FAILED,  /* the same of subtask `value`, retriable */
    FAILED_RETRY, /* CONNECTOR, retriable */
    FAILED_FENCED,
    FAILED_STATE,
    FAILED_LIMIT,
    FAILED_FULL,
    TORN_DOWN,
    STOP,
    STOP_SOFTLY, /* a failure withdraws it */
    CANCEL,
    TRIGGERED, /* value: checkpoint */
    COMPLETED,
    ABORTED,
    PUBLISHED,
    TIME /* value: the clock from now on */
};

struct row {
    enum event event;
    int64_t value;
    const char *actions; /* initials, in order */
    enum execution_state state;
};

/* tidy: allow function-length, because it is a flat switch */
static void feed(struct execution *e, enum event event, int64_t value, int64_t *now)
{
    switch (event) {
    case START:
        execution_start(e, *now);
        break;
    case RESTORED:
        execution_restored(e, value == 1);
        break;
    case TASK_RUNNING:
        execution_task_running(e, (uint32_t)value);
        break;
    case TASK_ENDED:
        execution_task_ended(e, (uint32_t)value);
        break;
    case FAILED_USER:
        if (e->state == EXECUTION_RESTARTING)
            execution_failed(e, WEIR_E_INTERNAL, false, *now, 1000);
        else
            execution_task_failed(e, 0, WEIR_E_INTERNAL, false, *now, 1000);
        break;
    case OTHER_FAILED:
        execution_task_failed(e, 1, WEIR_E_INTERNAL, false, *now, 1000);
        break;
    case TASK_FAILED:
        execution_task_failed(e, (uint32_t)value, WEIR_E_INTERNAL, true, *now, 1000);
        break;
    case FAILED_RETRY:
        execution_failed(e, WEIR_E_CONNECTOR, true, *now, 1000);
        break;
    case FAILED_FENCED:
        execution_failed(e, WEIR_E_FENCED, true, *now, 1000);
        break;
    case FAILED_STATE:
        execution_failed(e, WEIR_E_STATE, false, *now, 1000);
        break;
    case FAILED_LIMIT:
        execution_failed(e, WEIR_E_LIMIT, false, *now, 1000);
        break;
    case FAILED_FULL:
        execution_failed(e, WEIR_E_DISK_FULL, false, *now, 1000);
        break;
    case TORN_DOWN:
        execution_torn_down(e, *now);
        break;
    case STOP:
        execution_stop(e, false, *now);
        break;
    case STOP_SOFTLY:
        execution_stop(e, true, *now);
        break;
    case CANCEL:
        execution_cancel(e);
        break;
    case TRIGGERED:
        execution_triggered(e, (uint64_t)value);
        break;
    case COMPLETED:
        execution_completed(e, (uint64_t)value);
        break;
    case ABORTED:
        execution_aborted(e, (uint64_t)value, *now);
        break;
    case PUBLISHED:
        execution_published(e, (uint64_t)value);
        break;
    case TIME:
        assert_true(value >= *now);
        *now = value;
        break;
    case END_OF_STORY:
        fail();
    }
    execution_tick(e, *now);
}

/* T tear down, R restore, D deploy, C checkpoints may start, S stop sources, L last checkpoint, E end. */
static const char initials[] = "?TRDCSLE";

/* Behind T and D: which subtasks, unless it is all of them. */
static size_t name_part(const struct execution *e, enum execution_action action, char *to)
{
    size_t count = 0;
    if (!execution_is_partial(e) || (action != EXECUTION_TEAR_DOWN && action != EXECUTION_DEPLOY))
        return 0;
    for (uint32_t i = 0; i < e->options.subtask_count; i++)
        if (e->restarting[i])
            to[count++] = (char)('0' + i);
    return count;
}

/* NULL regions: one. */
static void tell_of(const struct execution_options *options, const uint32_t *regions,
    const struct row *rows)
{
    struct execution e;
    int64_t now = 0;
    execution_init(&e, options);
    if (regions != NULL)
        execution_set_regions(&e, regions);
    for (int i = 0; rows[i].event != END_OF_STORY; i++) {
        char actions[32] = "";
        size_t count = 0;
        feed(&e, rows[i].event, rows[i].value, &now);
        for (enum execution_action a; (a = execution_take(&e)) != EXECUTION_NONE;) {
            actions[count++] = initials[a];
            count += name_part(&e, a, actions + count);
        }
        if (strcmp(actions, rows[i].actions) != 0 || e.state != rows[i].state)
            fail_msg("row %d: actions '%s' state %s, expected '%s' %s", i, actions,
                execution_state_name(e.state), rows[i].actions,
                execution_state_name(rows[i].state));
        assert_false(execution_is_over(&e) && e.is_restoring); /* nobody waits for it any more */
    }
    execution_release(&e);
}

static void tell(const struct row *rows, const struct restart_options *restart)
{
    struct execution_options options = { .subtask_count = 2,
        .restart = restart == NULL ? restart_seconds : *restart,
        .stop_timeout_ms = 60000,
        .retry_ms = 1000 };
    tell_of(&options, NULL, rows);
}

/* Subtasks 0 and 2 are a region, 1 is one, 3 is one. */
static void tell_regions(const struct row *rows)
{
    static const uint32_t regions[] = { 0, 1, 0, 3 };
    struct execution_options options = { .subtask_count = 4,
        .restart = restart_seconds,
        .stop_timeout_ms = 60000,
        .retry_ms = 1000 };
    tell_of(&options, regions, rows);
}

/* clang-format off */
#define STARTED \
    { START, 0, "R", EXECUTION_CREATED }, \
    { RESTORED, 0, "D", EXECUTION_RUNNING }, \
    { TASK_RUNNING, 1, "", EXECUTION_RUNNING }, \
    { TASK_RUNNING, 0, "C", EXECUTION_RUNNING }
#define THE_END { END_OF_STORY, 0, "", EXECUTION_CREATED }

static void a_bounded_job_ends_when_its_last_checkpoint_is_published(void **state)
{
    const struct row rows[] = { STARTED,
        { TRIGGERED, 1, "", EXECUTION_RUNNING },
        { TASK_ENDED, 0, "", EXECUTION_RUNNING },
        { TASK_ENDED, 0, "", EXECUTION_RUNNING },
        { TASK_ENDED, 1, "L", EXECUTION_FINISHING },
        { COMPLETED, 1, "", EXECUTION_FINISHING }, /* from before the end */
        { PUBLISHED, 1, "", EXECUTION_FINISHING },
        { TRIGGERED, 2, "", EXECUTION_FINISHING },
        { PUBLISHED, 1, "", EXECUTION_FINISHING },
        { COMPLETED, 2, "", EXECUTION_FINISHING },
        { PUBLISHED, 1, "", EXECUTION_FINISHING },
        { PUBLISHED, 2, "T", EXECUTION_FINISHED },
        { TORN_DOWN, 0, "E", EXECUTION_FINISHED },
        { CANCEL, 0, "", EXECUTION_FINISHED }, THE_END };
    tell(rows, NULL);
}

static void a_last_checkpoint_that_fails_is_asked_for_again(void **state)
{
    const struct row rows[] = { STARTED,
        { TASK_ENDED, 0, "", EXECUTION_RUNNING },
        { TASK_ENDED, 1, "L", EXECUTION_FINISHING },
        { TRIGGERED, 5, "", EXECUTION_FINISHING },
        { ABORTED, 5, "", EXECUTION_FINISHING },
        { TIME, 999, "", EXECUTION_FINISHING },
        { TIME, 1000, "L", EXECUTION_FINISHING },
        { TRIGGERED, 6, "", EXECUTION_FINISHING },
        { COMPLETED, 6, "", EXECUTION_FINISHING },
        { PUBLISHED, 6, "T", EXECUTION_FINISHED }, THE_END };
    tell(rows, NULL);
}

static void a_regular_checkpoint_after_a_failed_last_one_serves_as_well(void **state)
{
    const struct row rows[] = { STARTED,
        { TASK_ENDED, 0, "", EXECUTION_RUNNING },
        { TASK_ENDED, 1, "L", EXECUTION_FINISHING },
        { TRIGGERED, 5, "", EXECUTION_FINISHING },
        { ABORTED, 5, "", EXECUTION_FINISHING },
        { TRIGGERED, 6, "", EXECUTION_FINISHING },
        { TIME, 2000, "", EXECUTION_FINISHING },
        { COMPLETED, 6, "", EXECUTION_FINISHING },
        { PUBLISHED, 6, "T", EXECUTION_FINISHED }, THE_END };
    tell(rows, NULL);
}

static void a_stop_takes_a_last_checkpoint_and_ends(void **state)
{
    const struct row rows[] = { STARTED,
        { STOP, 0, "SL", EXECUTION_STOPPING },
        { STOP, 0, "", EXECUTION_STOPPING },
        { TRIGGERED, 1, "", EXECUTION_STOPPING },
        { TASK_ENDED, 0, "", EXECUTION_STOPPING },
        { TASK_ENDED, 1, "", EXECUTION_STOPPING },
        { COMPLETED, 1, "", EXECUTION_STOPPING },
        { PUBLISHED, 1, "T", EXECUTION_FINISHED },
        { TORN_DOWN, 0, "E", EXECUTION_FINISHED }, THE_END };
    tell(rows, NULL);
}

static void a_stop_before_all_tasks_run_waits_for_them(void **state)
{
    const struct row rows[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "", EXECUTION_RUNNING },
        { STOP, 0, "S", EXECUTION_STOPPING },
        { TASK_RUNNING, 0, "CL", EXECUTION_STOPPING }, THE_END };
    tell(rows, NULL);
}

static void a_stop_that_takes_too_long_fails(void **state)
{
    const struct row rows[] = { STARTED,
        { TIME, 5000, "", EXECUTION_RUNNING },
        { STOP, 0, "SL", EXECUTION_STOPPING },
        { TRIGGERED, 1, "", EXECUTION_STOPPING },
        { TIME, 64999, "", EXECUTION_STOPPING },
        { TIME, 65000, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    tell(rows, NULL);
}

static void a_failure_while_stopping_does_not_restart(void **state)
{
    const struct row rows[] = { STARTED,
        { STOP, 0, "SL", EXECUTION_STOPPING },
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    tell(rows, NULL);
}

static void a_stop_between_failure_and_restart_ends_as_failed(void **state)
{
    const struct row failing[] = { STARTED,
        { FAILED_USER, 0, "T", EXECUTION_FAILING },
        { STOP, 0, "", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    const struct row restarting[] = { STARTED,
        { FAILED_USER, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { STOP, 0, "E", EXECUTION_FAILED }, THE_END };
    tell(failing, NULL);
    tell(restarting, NULL);
}

static void a_failure_restarts_after_its_delay(void **state)
{
    const struct row rows[] = { STARTED,
        { FAILED_USER, 0, "T", EXECUTION_FAILING },
        { FAILED_RETRY, 0, "", EXECUTION_FAILING }, /* in the wake of the first */
        { TASK_ENDED, 0, "", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 999, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { TIME, 90000, "", EXECUTION_RESTARTING },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { TASK_RUNNING, 0, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "C", EXECUTION_RUNNING },
        { FAILED_USER, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 91999, "", EXECUTION_RESTARTING },
        { TIME, 92000, "R", EXECUTION_RESTARTING }, THE_END };
    tell(rows, NULL);
}

static void a_failed_restore_waits_and_tries_again(void **state)
{
    const struct row rows[] = { STARTED,
        { FAILED_USER, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { FAILED_USER, 0, "", EXECUTION_RESTARTING },
        { TIME, 2999, "", EXECUTION_RESTARTING },
        { TIME, 3000, "R", EXECUTION_RESTARTING },
        { FAILED_FENCED, 0, "E", EXECUTION_FAILED }, THE_END };
    tell(rows, NULL);
}

static void a_finishing_job_restarts_and_finishes_again(void **state)
{
    const struct row rows[] = { STARTED,
        { TASK_ENDED, 0, "", EXECUTION_RUNNING },
        { TASK_ENDED, 1, "L", EXECUTION_FINISHING },
        { TRIGGERED, 5, "", EXECUTION_FINISHING },
        { COMPLETED, 5, "", EXECUTION_FINISHING },
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { TASK_RUNNING, 0, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "C", EXECUTION_RUNNING },
        { TASK_ENDED, 0, "", EXECUTION_RUNNING },
        { PUBLISHED, 5, "", EXECUTION_RUNNING },
        { TASK_ENDED, 1, "L", EXECUTION_FINISHING }, THE_END };
    tell(rows, NULL);
}

static void errors_that_would_only_happen_again_are_final(void **state)
{
    static const enum event finals[] = { FAILED_FENCED, FAILED_STATE, FAILED_LIMIT };
    for (size_t i = 0; i < sizeof(finals) / sizeof(finals[0]); i++) {
        const struct row rows[] = { STARTED,
            { finals[i], 0, "T", EXECUTION_FAILING },
            { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
        tell(rows, NULL);
    }
}

static void a_task_that_cannot_open_at_the_first_start_ends_the_job(void **state)
{
    const struct row opening[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "", EXECUTION_RUNNING },
        { FAILED_USER, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    const struct row running[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "", EXECUTION_RUNNING },
        { OTHER_FAILED, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING }, THE_END };
    const struct row retriable[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING }, THE_END };
    const struct row later[] = { STARTED,
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { FAILED_USER, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING }, THE_END };
    tell(opening, NULL);
    tell(running, NULL);
    tell(retriable, NULL);
    tell(later, NULL);
}

static void a_first_start_that_finds_nobody_ends_the_job_after_a_while(void **state)
{
    const struct row first[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { TIME, EXECUTION_PATIENCE_MS - 1, "", EXECUTION_RUNNING },
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, EXECUTION_PATIENCE_MS + 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 0, "D", EXECUTION_RUNNING },
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    const struct row resumed[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { RESTORED, 1, "D", EXECUTION_RUNNING },
        { TIME, EXECUTION_PATIENCE_MS, "", EXECUTION_RUNNING },
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING }, THE_END };
    const struct row has_run[] = { STARTED,
        { TIME, EXECUTION_PATIENCE_MS, "", EXECUTION_RUNNING },
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING }, THE_END };
    tell(first, NULL);
    tell(resumed, NULL);
    tell(has_run, NULL);
}

static void a_first_restore_that_fails_ends_the_job(void **state)
{
    const struct row rows[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { FAILED_RETRY, 0, "E", EXECUTION_FAILED },
        { RESTORED, 0, "", EXECUTION_FAILED }, THE_END };
    tell(rows, NULL);
}

static void of_a_job_that_has_run_under_another_leader_it_does_not(void **state)
{
    const struct execution_options options = { .subtask_count = 2,
        .restart = restart_seconds,
        .stop_timeout_ms = 60000,
        .retry_ms = 1000,
        .has_run = true };
    const struct row full[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { FAILED_FULL, 0, "", EXECUTION_RESTARTING },
        { TIME, 1100, "R", EXECUTION_RESTARTING },
        { FAILED_FULL, 0, "", EXECUTION_RESTARTING },
        { TIME, EXECUTION_PATIENCE_MS, "R", EXECUTION_RESTARTING },
        { FAILED_FULL, 0, "", EXECUTION_RESTARTING },
        { TIME, 2 * EXECUTION_PATIENCE_MS, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D", EXECUTION_RUNNING }, THE_END };
    const struct row wrong[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { FAILED_STATE, 0, "E", EXECUTION_FAILED }, THE_END };
    tell_of(&options, NULL, full);
    tell_of(&options, NULL, wrong);
}

static void without_a_strategy_every_failure_is_final(void **state)
{
    const struct restart_options none = { .kind = RESTART_NONE };
    const struct row rows[] = { STARTED,
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    tell(rows, &none);
}

static void a_cancel_tears_down_from_anywhere(void **state)
{
    const struct row running[] = { STARTED,
        { STOP, 0, "SL", EXECUTION_STOPPING },
        { CANCEL, 0, "T", EXECUTION_CANCELLING },
        { FAILED_USER, 0, "", EXECUTION_CANCELLING },
        { TORN_DOWN, 0, "E", EXECUTION_CANCELED }, THE_END };
    const struct row created[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { CANCEL, 0, "E", EXECUTION_CANCELED },
        { RESTORED, 0, "", EXECUTION_CANCELED }, THE_END };
    tell(running, NULL);
    tell(created, NULL);
}

#define ALL_RUN \
    { START, 0, "R", EXECUTION_CREATED }, \
    { RESTORED, 0, "D", EXECUTION_RUNNING }, \
    { TASK_RUNNING, 0, "", EXECUTION_RUNNING }, \
    { TASK_RUNNING, 1, "", EXECUTION_RUNNING }, \
    { TASK_RUNNING, 2, "", EXECUTION_RUNNING }, \
    { TASK_RUNNING, 3, "C", EXECUTION_RUNNING }

static void a_failure_restarts_its_region_only(void **state)
{
    const struct row rows[] = { ALL_RUN,
        { TASK_FAILED, 2, "T02", EXECUTION_FAILING },
        { TASK_FAILED, 0, "", EXECUTION_FAILING }, /* in the wake of the first */
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TASK_FAILED, 0, "", EXECUTION_RESTARTING },
        { TASK_RUNNING, 0, "", EXECUTION_RESTARTING }, /* of one that is gone */
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D02", EXECUTION_RUNNING },
        { TASK_RUNNING, 0, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 2, "C", EXECUTION_RUNNING },
        { TASK_FAILED, 1, "T1", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING }, THE_END };
    tell_regions(rows);
}

static void what_ends_while_a_region_restarts_has_ended(void **state)
{
    const struct row rows[] = { ALL_RUN,
        { TASK_ENDED, 1, "", EXECUTION_RUNNING },
        { TASK_ENDED, 0, "", EXECUTION_RUNNING },
        { TASK_FAILED, 2, "T02", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TASK_ENDED, 0, "", EXECUTION_RESTARTING }, /* of one that is gone */
        { TASK_ENDED, 3, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D02", EXECUTION_RUNNING },
        { TASK_RUNNING, 2, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 0, "C", EXECUTION_RUNNING },
        { TASK_ENDED, 2, "", EXECUTION_RUNNING },
        { TASK_ENDED, 0, "L", EXECUTION_FINISHING }, THE_END };
    tell_regions(rows);
}

static void a_finishing_job_takes_a_new_last_checkpoint_when_a_region_fails(void **state)
{
    const struct row rows[] = { ALL_RUN,
        { TASK_ENDED, 0, "", EXECUTION_RUNNING },
        { TASK_ENDED, 1, "", EXECUTION_RUNNING },
        { TASK_ENDED, 2, "", EXECUTION_RUNNING },
        { TASK_ENDED, 3, "L", EXECUTION_FINISHING },
        { TRIGGERED, 5, "", EXECUTION_FINISHING },
        { COMPLETED, 5, "", EXECUTION_FINISHING },
        { TASK_FAILED, 1, "T1", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { PUBLISHED, 5, "", EXECUTION_RESTARTING }, /* not all there is */
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D1", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "C", EXECUTION_RUNNING },
        { TASK_ENDED, 1, "L", EXECUTION_FINISHING },
        { TRIGGERED, 6, "", EXECUTION_FINISHING },
        { COMPLETED, 6, "", EXECUTION_FINISHING },
        { PUBLISHED, 6, "T", EXECUTION_FINISHED },
        { TORN_DOWN, 0, "E", EXECUTION_FINISHED }, THE_END };
    tell_regions(rows);
}

/* What is read for the first one is no longer waited for: it is read again for both. */
static void another_region_that_fails_meanwhile_joins_and_the_wait_begins_anew(void **state)
{
    const struct row waiting[] = { ALL_RUN,
        { TASK_FAILED, 2, "T02", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 500, "", EXECUTION_RESTARTING },
        { TASK_FAILED, 3, "T023", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 2499, "", EXECUTION_RESTARTING },
        { TIME, 2500, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D023", EXECUTION_RUNNING }, THE_END };
    const struct row restoring[] = { ALL_RUN,
        { TASK_FAILED, 2, "T02", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { TASK_FAILED, 1, "T012", EXECUTION_FAILING },
        { RESTORED, 1, "", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { RESTORED, 1, "", EXECUTION_RESTARTING },
        { TIME, 3000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D012", EXECUTION_RUNNING },
        { TASK_RUNNING, 0, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 2, "C", EXECUTION_RUNNING }, THE_END };
    tell_regions(waiting);
    tell_regions(restoring);
}

/* What they are restored from is at hand only until all tasks run. */
static void regions_that_are_still_opening_restart_with_the_one_that_fails(void **state)
{
    const struct row rows[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { RESTORED, 1, "D", EXECUTION_RUNNING },
        { TASK_RUNNING, 0, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 3, "", EXECUTION_RUNNING },
        { TASK_FAILED, 1, "T012", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D012", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "", EXECUTION_RUNNING },
        { TASK_FAILED, 3, "T023", EXECUTION_FAILING }, THE_END };
    tell_regions(rows);
}

static void a_failure_that_is_no_tasks_or_final_is_of_the_whole_job(void **state)
{
    const struct row nobodys[] = { ALL_RUN,
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING }, THE_END };
    const struct row final[] = { ALL_RUN,
        { FAILED_STATE, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    const struct row restore[] = { ALL_RUN,
        { TASK_FAILED, 2, "T02", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { FAILED_RETRY, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 3000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D", EXECUTION_RUNNING }, THE_END };
    const struct row fenced[] = { ALL_RUN,
        { TASK_FAILED, 2, "T02", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { FAILED_FENCED, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    tell_regions(nobodys);
    tell_regions(final);
    tell_regions(restore);
    tell_regions(fenced);
}

static void a_stop_while_a_region_restarts_waits_for_it_and_not_for_ever(void **state)
{
    const struct row waiting[] = { ALL_RUN,
        { TASK_FAILED, 1, "T1", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { STOP, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D1", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "CSL", EXECUTION_STOPPING },
        { TRIGGERED, 7, "", EXECUTION_STOPPING },
        { COMPLETED, 7, "", EXECUTION_STOPPING },
        { PUBLISHED, 7, "T", EXECUTION_FINISHED }, THE_END };
    const struct row failing[] = { ALL_RUN, /* it is not torn down yet */
        { TASK_FAILED, 1, "T1", EXECUTION_FAILING },
        { STOP, 0, "", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D1", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "CSL", EXECUTION_STOPPING }, THE_END };
    const struct row late[] = { ALL_RUN,
        { TASK_FAILED, 1, "T1", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { STOP, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { TIME, 59999, "", EXECUTION_RESTARTING },
        { TIME, 60000, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    const struct row again[] = { ALL_RUN, /* what is being stopped does not restart twice */
        { TASK_FAILED, 1, "T1", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { STOP, 0, "", EXECUTION_RESTARTING },
        { TASK_FAILED, 3, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    tell_regions(waiting);
    tell_regions(failing);
    tell_regions(late);
    tell_regions(again);
}

static void a_failure_withdraws_a_stop_of_a_job_that_shall_rather_go_on(void **state)
{
    const struct row failed[] = { ALL_RUN,
        { STOP_SOFTLY, 0, "SL", EXECUTION_STOPPING },
        { TASK_FAILED, 1, "T", EXECUTION_FAILING }, /* all of it: the sources of the others have stopped */
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D", EXECUTION_RUNNING },
        { TASK_RUNNING, 0, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 2, "", EXECUTION_RUNNING },
        { TASK_RUNNING, 3, "C", EXECUTION_RUNNING },
        { TIME, 90000, "", EXECUTION_RUNNING }, /* no time-out is left of it */
        { STOP_SOFTLY, 0, "SL", EXECUTION_STOPPING },
        { TRIGGERED, 7, "", EXECUTION_STOPPING },
        { COMPLETED, 7, "", EXECUTION_STOPPING },
        { PUBLISHED, 7, "T", EXECUTION_FINISHED }, THE_END };
    const struct row late[] = { ALL_RUN,
        { STOP_SOFTLY, 0, "SL", EXECUTION_STOPPING },
        { TIME, 60000, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    const struct row fenced[] = { ALL_RUN,
        { STOP_SOFTLY, 0, "SL", EXECUTION_STOPPING },
        { FAILED_FENCED, 0, "T", EXECUTION_FAILING },
        { TORN_DOWN, 0, "E", EXECUTION_FAILED }, THE_END };
    tell_regions(failed);
    tell_regions(late);
    tell_regions(fenced);
}

static void a_cancel_while_a_region_restarts_tears_down_the_others(void **state)
{
    const struct row cancel[] = { ALL_RUN,
        { TASK_FAILED, 1, "T1", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { CANCEL, 0, "T", EXECUTION_CANCELLING },
        { RESTORED, 1, "", EXECUTION_CANCELLING },
        { TORN_DOWN, 0, "E", EXECUTION_CANCELED }, THE_END };
    const struct row last[] = { ALL_RUN, /* stopped, after a region had restarted */
        { TASK_FAILED, 1, "T1", EXECUTION_FAILING },
        { TORN_DOWN, 0, "", EXECUTION_RESTARTING },
        { TIME, 1000, "R", EXECUTION_RESTARTING },
        { RESTORED, 1, "D1", EXECUTION_RUNNING },
        { TASK_RUNNING, 1, "C", EXECUTION_RUNNING },
        { STOP, 0, "SL", EXECUTION_STOPPING },
        { TRIGGERED, 7, "", EXECUTION_STOPPING },
        { COMPLETED, 7, "", EXECUTION_STOPPING },
        { PUBLISHED, 7, "T", EXECUTION_FINISHED }, THE_END };
    tell_regions(cancel);
    tell_regions(last);
}

static void a_stop_before_anything_ran_just_ends(void **state)
{
    const struct row rows[] = {
        { START, 0, "R", EXECUTION_CREATED },
        { STOP, 0, "E", EXECUTION_FINISHED },
        { RESTORED, 0, "", EXECUTION_FINISHED }, THE_END };
    tell(rows, NULL);
}
/* clang-format on */

/* -- restart strategies --------------------------------------------------------------------------- */

static void fixed_delays_run_out(void **state)
{
    struct restart_options options = { .kind = RESTART_FIXED, .delay_ms = 500, .attempts_max = 2 };
    struct restart restart;
    int64_t delay;
    restart_init(&restart, &options);
    assert_true(restart_next(&restart, 0, 0, &delay));
    assert_int_equal(delay, 500);
    assert_true(restart_next(&restart, 10000000, 0, &delay));
    assert_int_equal(delay, 500);
    assert_false(restart_next(&restart, 20000000, 0, &delay));
}

static void exponential_delays_grow_to_their_maximum(void **state)
{
    static const int64_t delays[] = { 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480,
        40960, 60000, 60000 };
    struct restart restart;
    int64_t delay, now = 0;
    restart_init(&restart, &restart_default);
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        assert_true(restart_next(&restart, now, 1000, &delay));
        assert_int_equal(delay, delays[i]);
        now += delay + 10;
    }
}

static void a_job_that_ran_long_starts_again_from_the_first_delay(void **state)
{
    struct restart restart;
    int64_t delay;
    restart_init(&restart, &restart_default);
    assert_true(restart_next(&restart, 0, 1000, &delay));
    assert_true(restart_next(&restart, 5000, 1000, &delay));
    assert_int_equal(delay, 20);
    assert_true(restart_next(&restart, 5020 + 599999, 1000, &delay));
    assert_int_equal(delay, 40);
    int64_t restarted = 5020 + 599999 + 40;
    assert_true(restart_next(&restart, restarted + 600000, 1000, &delay));
    assert_int_equal(delay, 10);
}

static void jitter_stays_within_its_share(void **state)
{
    static const struct {
        const struct restart_options *options;
        int64_t lowest, highest;
    } rows[] = { { &restart_default, 9, 11 }, { &restart_seconds, 900, 1100 } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool has_lowest = false, has_highest = false;
        for (uint64_t random = 0; random < 5000; random++) {
            struct restart restart;
            int64_t delay;
            restart_init(&restart, rows[i].options);
            assert_true(restart_next(&restart, 0, random, &delay));
            assert_in_range(delay, rows[i].lowest, rows[i].highest);
            has_lowest = has_lowest || delay == rows[i].lowest;
            has_highest = has_highest || delay == rows[i].highest;
        }
        assert_true(has_lowest && has_highest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bounded_job_ends_when_its_last_checkpoint_is_published),
        cmocka_unit_test(a_last_checkpoint_that_fails_is_asked_for_again),
        cmocka_unit_test(a_regular_checkpoint_after_a_failed_last_one_serves_as_well),
        cmocka_unit_test(a_stop_takes_a_last_checkpoint_and_ends),
        cmocka_unit_test(a_stop_before_all_tasks_run_waits_for_them),
        cmocka_unit_test(a_stop_that_takes_too_long_fails),
        cmocka_unit_test(a_failure_while_stopping_does_not_restart),
        cmocka_unit_test(a_stop_between_failure_and_restart_ends_as_failed),
        cmocka_unit_test(a_failure_restarts_after_its_delay),
        cmocka_unit_test(a_failed_restore_waits_and_tries_again),
        cmocka_unit_test(a_finishing_job_restarts_and_finishes_again),
        cmocka_unit_test(errors_that_would_only_happen_again_are_final),
        cmocka_unit_test(a_task_that_cannot_open_at_the_first_start_ends_the_job),
        cmocka_unit_test(a_first_start_that_finds_nobody_ends_the_job_after_a_while),
        cmocka_unit_test(a_first_restore_that_fails_ends_the_job),
        cmocka_unit_test(of_a_job_that_has_run_under_another_leader_it_does_not),
        cmocka_unit_test(without_a_strategy_every_failure_is_final),
        cmocka_unit_test(a_cancel_tears_down_from_anywhere),
        cmocka_unit_test(a_failure_restarts_its_region_only),
        cmocka_unit_test(what_ends_while_a_region_restarts_has_ended),
        cmocka_unit_test(a_finishing_job_takes_a_new_last_checkpoint_when_a_region_fails),
        cmocka_unit_test(another_region_that_fails_meanwhile_joins_and_the_wait_begins_anew),
        cmocka_unit_test(regions_that_are_still_opening_restart_with_the_one_that_fails),
        cmocka_unit_test(a_failure_that_is_no_tasks_or_final_is_of_the_whole_job),
        cmocka_unit_test(a_stop_while_a_region_restarts_waits_for_it_and_not_for_ever),
        cmocka_unit_test(a_failure_withdraws_a_stop_of_a_job_that_shall_rather_go_on),
        cmocka_unit_test(a_cancel_while_a_region_restarts_tears_down_the_others),
        cmocka_unit_test(a_stop_before_anything_ran_just_ends),
        cmocka_unit_test(fixed_delays_run_out),
        cmocka_unit_test(exponential_delays_grow_to_their_maximum),
        cmocka_unit_test(a_job_that_ran_long_starts_again_from_the_first_delay),
        cmocka_unit_test(jitter_stays_within_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

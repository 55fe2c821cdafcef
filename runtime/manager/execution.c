/* execution.c -- the picture in execution.h, as code.
 *
 * Each event looks at the state, changes it, and leaves bits in `todo`; execution_take hands them out
 * in a fixed order. A failure or a cancel throws away what was still to be done. */
#include "runtime/manager/execution.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

#define NEVER      INT64_MAX
#define NO_SUBTASK UINT32_MAX /* the failure is no task's */

static const char *const state_names[] = {
    [EXECUTION_CREATED] = "CREATED",
    [EXECUTION_RUNNING] = "RUNNING",
    [EXECUTION_STOPPING] = "STOPPING",
    [EXECUTION_FINISHING] = "FINISHING",
    [EXECUTION_FAILING] = "FAILING",
    [EXECUTION_RESTARTING] = "RESTARTING",
    [EXECUTION_CANCELLING] = "CANCELLING",
    [EXECUTION_FINISHED] = "FINISHED",
    [EXECUTION_FAILED] = "FAILED",
    [EXECUTION_CANCELED] = "CANCELED",
};

const char *execution_state_name(enum execution_state state)
{
    return state_names[state];
}

/* -- which subtasks start again -------------------------------------------------------------------- */

static void mark(struct execution *execution, uint32_t subtask)
{
    execution->restarting_count += !execution->restarting[subtask];
    execution->running_count -= execution->running[subtask];
    execution->ended_count -= execution->ended[subtask];
    execution->restarting[subtask] = true;
    execution->running[subtask] = execution->ended[subtask] = false;
}

static void mark_all(struct execution *execution)
{
    for (uint32_t i = 0; i < execution->options.subtask_count; i++)
        mark(execution, i);
}

/* The region of `subtask`; and those that have not all begun, because what they are restored from is at hand only
 * until all tasks run. A region is named by its first subtask, so marking that does not disturb the walk. */
static void mark_regions(struct execution *execution, uint32_t subtask)
{
    uint32_t count = execution->options.subtask_count;
    memset(execution->restarting, 0, count * sizeof(bool));
    execution->restarting_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (i == subtask || !execution->running[i])
            mark(execution, execution->regions[i]);
    for (uint32_t i = 0; i < count; i++)
        if (execution->restarting[execution->regions[i]])
            mark(execution, i);
}

bool execution_is_partial(const struct execution *execution)
{
    return execution->restarting_count < execution->options.subtask_count;
}

void execution_set_regions(struct execution *execution, const uint32_t *regions)
{
    for (uint32_t i = 0; i < execution->options.subtask_count; i++) {
        ASSERT(regions[i] <= i && regions[regions[i]] == regions[i]);
        execution->regions[i] = regions[i];
    }
}

/* -- making --------------------------------------------------------------------------------------- */

void execution_init(struct execution *execution, const struct execution_options *options)
{
    ASSERT(options->subtask_count > 0);
    ASSERT(options->stop_timeout_ms > 0 && options->retry_ms >= 0);
    *execution = (struct execution){ .options = *options,
        .has_run = options->has_run,
        .restart_ms = NEVER,
        .stop_by_ms = NEVER,
        .retry_ms = NEVER };
    restart_init(&execution->restart, &options->restart);
    execution->running = mem_alloc_array(options->subtask_count, sizeof(bool));
    execution->ended = mem_alloc_array(options->subtask_count, sizeof(bool));
    execution->regions = mem_alloc_array(options->subtask_count, sizeof(uint32_t));
    execution->restarting = mem_alloc_array(options->subtask_count, sizeof(bool));
    mark_all(execution);
}

void execution_release(struct execution *execution)
{
    mem_free(execution->running);
    mem_free(execution->ended);
    mem_free(execution->regions);
    mem_free(execution->restarting);
    *execution = (struct execution){ .state = EXECUTION_CREATED };
}

/* -- what to do ----------------------------------------------------------------------------------- */

static void todo(struct execution *execution, enum execution_action action)
{
    execution->todo |= 1u << action;
}

enum execution_action execution_take(struct execution *execution)
{
    if (execution->todo == 0)
        return EXECUTION_NONE;
    uint32_t action = (uint32_t)__builtin_ctz(execution->todo);
    execution->todo &= execution->todo - 1;
    return (enum execution_action)action;
}

bool execution_has_tasks(const struct execution *execution)
{
    switch (execution->state) {
    case EXECUTION_RUNNING:
    case EXECUTION_STOPPING:
    case EXECUTION_FINISHING:
        return true;
    case EXECUTION_FAILING:
    case EXECUTION_RESTARTING:
        return execution_is_partial(execution);
    case EXECUTION_CREATED:
    case EXECUTION_CANCELLING:
    case EXECUTION_FINISHED:
    case EXECUTION_FAILED:
    case EXECUTION_CANCELED:
        return false;
    }
    return false;
}

bool execution_has_task(const struct execution *execution, uint32_t subtask)
{
    bool is_torn =
        execution->state == EXECUTION_FAILING || execution->state == EXECUTION_RESTARTING;
    return execution_has_tasks(execution) && !(is_torn && execution->restarting[subtask]);
}

bool execution_is_over(const struct execution *execution)
{
    return execution->state >= EXECUTION_FINISHED;
}

/* FINISHED still has tasks to be torn down; END comes behind that. */
static void end(struct execution *execution, enum execution_state state)
{
    ASSERT(!execution_is_over(execution));
    execution->state = state;
    execution->is_restoring = false;
    execution->restart_ms = execution->stop_by_ms = execution->retry_ms = NEVER;
    execution->todo = 0;
    todo(execution, EXECUTION_END);
}

/* -- start, restart ------------------------------------------------------------------------------- */

static void restore(struct execution *execution)
{
    ASSERT(!execution->is_restoring);
    execution->is_restoring = true;
    execution->restart_ms = NEVER;
    todo(execution, EXECUTION_RESTORE);
}

void execution_start(struct execution *execution, int64_t now_ms)
{
    execution->started_ms = now_ms;
    if (execution_is_over(execution)) /* stopped before it began */
        return;
    ASSERT(execution->state == EXECUTION_CREATED);
    restore(execution);
}

void execution_restored(struct execution *execution, bool has_checkpoint)
{
    if (execution_is_over(execution) || !execution->is_restoring)
        return;
    ASSERT(execution->state == EXECUTION_CREATED || execution->state == EXECUTION_RESTARTING);
    execution->is_restoring = false;
    execution->is_resumed = execution->is_resumed || has_checkpoint;
    execution->state = EXECUTION_RUNNING;
    execution->last_checkpoint = execution->completed = 0;
    todo(execution, EXECUTION_DEPLOY);
}

/* -- failure -------------------------------------------------------------------------------------- */

/* Would only happen again, or must be looked at by a person. */
static bool is_final(enum weir_code code)
{
    switch (code) {
    case WEIR_E_DATA:
    case WEIR_E_USAGE:
    case WEIR_E_PLAN:
    case WEIR_E_CORRUPT:
    case WEIR_E_STATE:
    case WEIR_E_CONNECTOR:
    case WEIR_E_CANCELLED:
    case WEIR_E_LIMIT:
    case WEIR_E_FENCED:
        return true;
    case WEIR_E_IO:
    case WEIR_E_DISK_FULL:
    case WEIR_E_TIMEOUT:
    case WEIR_E_MEMORY:
    case WEIR_E_INTERNAL:
        return false;
    case WEIR_CODE_COUNT:
        break;
    }
    ASSERT(false && "a known code");
    return true;
}

static bool is_out_of_patience(const struct execution *execution, int64_t now_ms)
{
    return !execution->has_run && !execution->is_resumed &&
           now_ms - execution->started_ms >= EXECUTION_PATIENCE_MS;
}

static bool is_fatal(const struct execution *execution, enum weir_code code, bool is_retriable,
    int64_t now_ms)
{
    if (execution->is_stop_requested || code == WEIR_E_FENCED)
        return true;
    if (is_retriable)
        return is_out_of_patience(execution, now_ms);
    return is_final(code) || execution->is_opening;
}

static void plan_restart(struct execution *execution, int64_t now_ms, uint64_t random)
{
    if (execution->is_fatal)
        return;
    execution->is_fatal =
        !restart_next(&execution->restart, now_ms, random, &execution->restart_delay_ms);
}

static void wait_to_restart(struct execution *execution, int64_t now_ms)
{
    execution->state = EXECUTION_RESTARTING;
    execution->restart_ms = now_ms + execution->restart_delay_ms;
    execution->restart_count++;
}

static void tear_down(struct execution *execution, enum execution_state state)
{
    execution->state = state;
    execution->is_restoring = false; /* what comes of it is not waited for */
    execution->restart_ms = execution->retry_ms = execution->stop_by_ms = NEVER;
    execution->todo = 0;
    todo(execution, EXECUTION_TEAR_DOWN);
}

/* Or it happened in the wake of the failure that is being dealt with. */
static bool is_news(const struct execution *execution, uint32_t subtask)
{
    switch (execution->state) {
    case EXECUTION_CREATED: /* the first restore */
        return !execution->has_run || execution->is_restoring;
    case EXECUTION_RUNNING:
    case EXECUTION_STOPPING:
    case EXECUTION_FINISHING:
        return true;
    case EXECUTION_RESTARTING:
        if (subtask != NO_SUBTASK)
            return !execution->restarting[subtask];
        return execution->is_restoring || execution_has_tasks(execution);
    case EXECUTION_FAILING:
    case EXECUTION_CANCELLING:
    case EXECUTION_FINISHED:
    case EXECUTION_FAILED:
    case EXECUTION_CANCELED:
        break;
    }
    return false;
}

/* Sources of other regions have stopped, too: all begin anew. */
static bool withdraws_stop(const struct execution *execution, enum weir_code code)
{
    return execution->is_stop_requested && execution->may_go_on && !execution->has_timed_out &&
           code != WEIR_E_FENCED;
}

static bool fail(struct execution *execution, uint32_t subtask, enum weir_code code,
    bool is_retriable, int64_t now_ms, uint64_t random)
{
    if (!is_news(execution, subtask))
        return false;
    if (execution->state == EXECUTION_CREATED && !execution->has_run) {
        end(execution, EXECUTION_FAILED);
        return true;
    }
    bool has_tasks = execution_has_tasks(execution);
    if (withdraws_stop(execution, code)) {
        execution->is_stop_requested = false;
        subtask = NO_SUBTASK;
    }
    execution->is_fatal = is_fatal(execution, code, is_retriable, now_ms);
    plan_restart(execution, now_ms, random);
    if (execution->is_fatal || subtask == NO_SUBTASK)
        mark_all(execution);
    else
        mark_regions(execution, subtask);
    execution->is_restoring = false;
    if (has_tasks)
        tear_down(execution, EXECUTION_FAILING);
    else if (execution->is_fatal)
        end(execution, EXECUTION_FAILED);
    else
        wait_to_restart(execution, now_ms);
    return true;
}

bool execution_failed(struct execution *execution, enum weir_code code, bool is_retriable,
    int64_t now_ms, uint64_t random)
{
    execution->is_opening = !execution->has_run;
    return fail(execution, NO_SUBTASK, code, is_retriable, now_ms, random);
}

bool execution_task_failed(struct execution *execution, uint32_t subtask, enum weir_code code,
    bool is_retriable, int64_t now_ms, uint64_t random)
{
    ASSERT(subtask < execution->options.subtask_count);
    execution->is_opening = !execution->has_run && !execution->running[subtask];
    return fail(execution, subtask, code, is_retriable, now_ms, random);
}

void execution_torn_down(struct execution *execution, int64_t now_ms)
{
    if (execution->state == EXECUTION_FINISHED)
        todo(execution, EXECUTION_END);
    else if (execution->state == EXECUTION_CANCELLING)
        end(execution, EXECUTION_CANCELED);
    else if (execution->is_fatal)
        end(execution, EXECUTION_FAILED);
    else
        wait_to_restart(execution, now_ms);
}

/* -- tasks ---------------------------------------------------------------------------------------- */

static void ask_for_last_checkpoint(struct execution *execution)
{
    execution->retry_ms = NEVER;
    execution->last_checkpoint = 0;
    todo(execution, EXECUTION_LAST_CHECKPOINT);
}

void execution_task_running(struct execution *execution, uint32_t subtask)
{
    ASSERT(subtask < execution->options.subtask_count);
    if (!execution_has_task(execution, subtask) || execution->running[subtask])
        return;
    execution->running[subtask] = true;
    if (++execution->running_count < execution->options.subtask_count)
        return;
    execution->has_run = true;
    todo(execution, EXECUTION_CHECKPOINTS);
    if (execution->is_stop_requested && execution->state == EXECUTION_RUNNING) {
        execution->state = EXECUTION_STOPPING; /* asked for while a region restarted */
        todo(execution, EXECUTION_STOP_SOURCES);
    }
    if (execution->state == EXECUTION_STOPPING)
        ask_for_last_checkpoint(execution);
}

void execution_task_ended(struct execution *execution, uint32_t subtask)
{
    ASSERT(subtask < execution->options.subtask_count);
    if (!execution_has_task(execution, subtask) || execution->ended[subtask])
        return;
    execution->ended[subtask] = true;
    if (++execution->ended_count < execution->options.subtask_count)
        return;
    if (execution->state != EXECUTION_RUNNING)
        return; /* being stopped: its last checkpoint is under way */
    execution->state = EXECUTION_FINISHING;
    ask_for_last_checkpoint(execution);
}

/* -- stop, cancel --------------------------------------------------------------------------------- */

void execution_stop(struct execution *execution, bool may_go_on, int64_t now_ms)
{
    if (execution->is_stop_requested || execution_is_over(execution))
        return;
    execution->is_stop_requested = true;
    execution->may_go_on = may_go_on;
    switch (execution->state) {
    case EXECUTION_CREATED: /* nothing has run */
        end(execution, EXECUTION_FINISHED);
        return;
    case EXECUTION_RESTARTING:
        if (execution_has_tasks(execution))
            execution->stop_by_ms = now_ms + execution->options.stop_timeout_ms;
        else
            end(execution, EXECUTION_FAILED);
        return;
    case EXECUTION_FAILING:
        if (execution_has_tasks(execution))
            execution->stop_by_ms = now_ms + execution->options.stop_timeout_ms;
        else
            execution->is_fatal = true;
        return;
    case EXECUTION_RUNNING:
        execution->state = EXECUTION_STOPPING;
        execution->stop_by_ms = now_ms + execution->options.stop_timeout_ms;
        todo(execution, EXECUTION_STOP_SOURCES);
        if (execution->running_count == execution->options.subtask_count)
            ask_for_last_checkpoint(execution);
        return;
    case EXECUTION_FINISHING:
        execution->stop_by_ms = now_ms + execution->options.stop_timeout_ms;
        return;
    case EXECUTION_STOPPING:
    case EXECUTION_CANCELLING:
    case EXECUTION_FINISHED:
    case EXECUTION_FAILED:
    case EXECUTION_CANCELED:
        return;
    }
}

void execution_cancel(struct execution *execution)
{
    if (execution_is_over(execution) || execution->state == EXECUTION_CANCELLING)
        return;
    if (!execution_has_tasks(execution) && execution->state != EXECUTION_FAILING) {
        end(execution, EXECUTION_CANCELED);
        return;
    }
    mark_all(execution);
    tear_down(execution, EXECUTION_CANCELLING);
}

/* -- the last checkpoint -------------------------------------------------------------------------- */

static bool is_ending(const struct execution *execution)
{
    return execution->state == EXECUTION_STOPPING || execution->state == EXECUTION_FINISHING;
}

bool execution_wants_last_checkpoint(const struct execution *execution)
{
    return is_ending(execution) && execution->last_checkpoint == 0;
}

uint64_t execution_to_publish(const struct execution *execution)
{
    return is_ending(execution) ? execution->completed : 0;
}

void execution_triggered(struct execution *execution, uint64_t checkpoint)
{
    ASSERT(checkpoint > 0);
    /* One that started before STOP_SOURCES went out does not count. */
    uint32_t waiting = 1u << EXECUTION_STOP_SOURCES | 1u << EXECUTION_LAST_CHECKPOINT;
    if (!execution_wants_last_checkpoint(execution) || (execution->todo & waiting) != 0)
        return;
    execution->last_checkpoint = checkpoint;
    execution->retry_ms = NEVER;
}

void execution_completed(struct execution *execution, uint64_t checkpoint)
{
    if (!is_ending(execution) || execution->last_checkpoint == 0)
        return;
    if (checkpoint >= execution->last_checkpoint && checkpoint > execution->completed)
        execution->completed = checkpoint;
}

void execution_aborted(struct execution *execution, uint64_t checkpoint, int64_t now_ms)
{
    if (!is_ending(execution) || checkpoint != execution->last_checkpoint ||
        execution->completed != 0)
        return;
    execution->last_checkpoint = 0;
    execution->retry_ms = now_ms + execution->options.retry_ms;
}

void execution_published(struct execution *execution, uint64_t checkpoint)
{
    uint64_t wanted = execution_to_publish(execution);
    if (wanted == 0 || checkpoint < wanted)
        return;
    end(execution, EXECUTION_FINISHED);
    mark_all(execution);
    tear_down(execution, EXECUTION_FINISHED); /* END comes when the tasks are gone */
}

/* -- time ----------------------------------------------------------------------------------------- */

void execution_tick(struct execution *execution, int64_t now_ms)
{
    if (now_ms >= execution->stop_by_ms) {
        execution->has_timed_out = true;
        execution_failed(execution, WEIR_E_TIMEOUT, false, now_ms, 0);
        ASSERT(execution->is_fatal);
    }
    if (now_ms >= execution->retry_ms)
        ask_for_last_checkpoint(execution);
    if (now_ms >= execution->restart_ms)
        restore(execution);
}

int64_t execution_deadline_ms(const struct execution *execution)
{
    int64_t deadline = execution->stop_by_ms;
    if (execution->retry_ms < deadline)
        deadline = execution->retry_ms;
    if (execution->restart_ms < deadline)
        deadline = execution->restart_ms;
    return deadline;
}

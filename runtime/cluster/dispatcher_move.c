/* dispatcher_move.c -- a job goes away from a task manager that leaves. Prefixes: entry_
 *
 *   a task manager says that it leaves (HEARTBEAT): its slots are offered no more (resources.h)
 *      TO_ASK   a job that has some of them is to take a checkpoint; again soon, while it cannot (tasks start, another
 *               one is being taken)
 *      ASKED    it is taken where the job runs, so what is done twice is next to nothing
 *      DUE      it is complete; or it has failed, and then the one before holds
 *      LEFT     the tasks go, and come back as those of a rescale do, on the slots that there are, or when there are
 *
 * It is no failure: no restart is counted, and a job that may not restart moves, too. What does not come this far before
 * the task manager ends is lost with it, and restarts as after any other loss. */
#include "base/log.h"
#include "runtime/cluster/dispatcher_private.h"

/* NULL: all of its workers may stay where they are. */
static const struct task_manager *leaving_one(const struct entry *entry)
{
    for (uint32_t i = 0; i < gateway_worker_count(entry->gateway); i++) {
        const struct task_manager *from = gateway_worker(entry->gateway, i)->grant.from;
        if (from != NULL && from->is_leaving)
            return from;
    }
    return NULL;
}

/* In a step of the job manager, which is to go itself: so that only sets a sign. */
static void on_checkpoint(void *arg, uint64_t checkpoint, const char *path, const weir_error *error)
{
    struct entry *entry = arg;
    (void)path;
    if (error == NULL)
        log_info("dispatcher", "job %s (%s) has checkpoint %llu to move with", entry->job.id,
            entry->job.name, (unsigned long long)checkpoint);
    else
        log_warn("dispatcher", "job %s (%s) moves without a new checkpoint: %s", entry->job.id,
            entry->job.name, weir_error_message(error));
    entry->move = MOVE_DUE;
    entry_touch(entry);
}

static void ask(struct entry *entry)
{
    struct jobmanager_request request = { .done = on_checkpoint, .arg = entry };
    entry->move = MOVE_ASKED;
    weir_error *error = jobmanager_ask(entry->jobmanager, &request, entry->dispatcher->now_ms);
    if (error != NULL)
        entry->move = MOVE_TO_ASK;
    weir_error_free(error);
}

static void leave(struct entry *entry, const struct task_manager *from)
{
    log_info("dispatcher", "job %s (%s) leaves task manager '%s'", entry->job.id, entry->job.name,
        from->id);
    entry->move = MOVE_LEFT;
    entry_set_state(entry, JOB_RESTARTING);
    jobmanager_cancel(entry->jobmanager);
    entry_touch(entry);
}

void entry_step_move(struct entry *entry)
{
    bool has_other_plans =
        entry->stop != NULL || entry->rescale.step != RESCALE_NONE || entry->is_cancel_wanted;
    const struct task_manager *from = leaving_one(entry);
    if (entry->move == MOVE_ASKED || entry->move == MOVE_LEFT)
        return;
    if (from == NULL || has_other_plans)
        entry->move = MOVE_NONE;
    else if (entry->move == MOVE_DUE)
        leave(entry, from);
    else
        ask(entry);
}

/* dispatcher_rescale.c -- a job goes on with another parallelism. Prefixes: dispatcher_, rescale_
 *
 *   PLANNING --plan--> READY --asked--> CHECKPOINTING --complete--> LEAVING --torn down--> ARRIVING --all run--> done
 *                        '------- the job is down -----------------^
 *
 * A plan with the other parallelism is made; at a checkpoint the job manager of the old plan goes, and that of the
 * new one comes, in the same checkpoint directory, as after a failure.
 *
 * A job is down when not all of its tasks run: it waits for slots since a task manager was lost, it starts, or
 * restarts. No checkpoint can be taken then, and none is needed: the newest complete one has all that was published.
 * So it changes at once. This is how a job goes on with the slots that are left, and why nobody has to know whether
 * it runs at the moment.
 *
 * Whoever asks for the parallelism that it is being given already gets the id of that operation.
 *
 * What waits can be given up: the job can be cancelled at any step, and another rescale takes the place of one that
 * is not between its checkpoint and its new plan, which takes no longer than a checkpoint. */
#include "base/assert.h"
#include "base/fault.h"
#include "runtime/cluster/dispatcher_private.h"

/* -- asking ---------------------------------------------------------------------------------------------- */

/* The arguments with another parallelism; in the arena. */
static const char **arguments_with(const struct entry *entry, uint32_t parallelism,
    struct arena *arena, uint32_t *count)
{
    static const char name[] = "--parallelism";
    const char **list = arena_alloc(arena, (entry->job.argument_count + 3) * sizeof(*list));
    *count = 0;
    for (uint32_t i = 0; i < entry->job.argument_count; i++) {
        const char *it = entry->arguments[i];
        if (strcmp(it, name) == 0)
            i++; /* and its value */
        else if (strncmp(it, name, sizeof(name) - 1) != 0 || it[sizeof(name) - 1] != '=')
            list[(*count)++] = it;
    }
    list[(*count)++] = name;
    list[(*count)++] = arena_printf(arena, "%u", parallelism);
    return list;
}

static weir_error *check_slots(const struct entry *entry, uint32_t wanted)
{
    const struct dispatcher *dispatcher = entry->dispatcher;
    uint32_t has = gateway_slots_held(entry->gateway);
    uint32_t free = resources_slots_free(dispatcher->resources);
    if (wanted <= has + free)
        return NULL;
    return weir_errorf(WEIR_E_LIMIT,
        "this needs more slots (%u) than the %u that are free and the %u that the job has; start "
        "another task manager, or ask for fewer",
        wanted, free, has);
}

static weir_error *check(const struct entry *entry, uint32_t parallelism)
{
    uint32_t max = entry->job.plan->max_parallelism;
    enum rescale_step step = entry->rescale.step;
    if (parallelism < 1 || parallelism > max)
        return weir_errorf(WEIR_E_USAGE,
            "parallelism %u is not possible: this job was started with a maximum of %u, which its "
            "first start fixes (--max-parallelism); ask for that or less",
            parallelism, max);
    if (entry->stop != NULL)
        return weir_errorf(WEIR_E_STATE, "job %s is being stopped", entry->job.id);
    if (step == RESCALE_CHECKPOINTING || step == RESCALE_LEAVING)
        return weir_errorf(WEIR_E_STATE, "job %s is being rescaled: ask again", entry->job.id);
    if (entry->move != MOVE_NONE && entry->move != MOVE_TO_ASK)
        return weir_errorf(WEIR_E_STATE,
            "job %s is being moved away from a task manager that leaves: ask again", entry->job.id);
    if (resources_count(entry->dispatcher->resources) == 0)
        return weir_errorf(WEIR_E_STATE,
            "no task manager is there to make the new plan; start one, and ask again");
    return check_slots(entry, parallelism); /* as many at least */
}

weir_error *dispatcher_rescale(struct dispatcher *dispatcher, const char *job, uint32_t parallelism,
    char operation[DISPATCHER_ID_SIZE])
{
    struct entry *entry;
    struct operation *it;
    if (operations_know(dispatcher, operation))
        return NULL;
    entry = dispatcher_entry(dispatcher, job);
    if (entry != NULL && entry->rescale.step != RESCALE_NONE &&
        entry->rescale.parallelism == parallelism) {
        memcpy(operation, entry->rescale.operation->id, DISPATCHER_ID_SIZE);
        return NULL; /* who asks again and again for the same must not begin it anew each time */
    }
    WEIR_TRY(operations_entry(dispatcher, job, &entry));
    WEIR_TRY(check(entry, parallelism));
    WEIR_TRY(operations_begin(dispatcher, job, OPERATION_RESCALE, operation, &it));
    if (entry->rescale.step != RESCALE_NONE)
        rescale_failed(entry,
            weir_errorf(WEIR_E_STATE, "another rescale, to %u, has taken its place", parallelism));
    struct rescale *rescale = &entry->rescale;
    *rescale =
        (struct rescale){ .step = RESCALE_PLANNING, .operation = it, .parallelism = parallelism };
    rescale->arguments =
        arguments_with(entry, parallelism, &entry->arena, &rescale->argument_count);
    FAULT_STEP_VOID(RESCALE_REQUEST, entry_ask_for_plan(entry, dispatcher->now_ms));
    entry_touch(entry); /* it is due when the plan is late */
    return NULL;
}

/* -- its end --------------------------------------------------------------------------------------------- */

static void end(struct entry *entry, weir_error *error)
{
    struct rescale *rescale = &entry->rescale;
    operation_done(rescale->operation, error);
    version_free(rescale->version);
    weir_error_free(rescale->why);
    if (rescale->step == RESCALE_PLANNING)
        entry->plan_request[0] = '\0'; /* what comes of it is nobody's */
    *rescale = (struct rescale){ .step = RESCALE_NONE };
}

void rescale_failed(struct entry *entry, weir_error *error)
{
    ASSERT(error != NULL && entry->rescale.step != RESCALE_NONE);
    end(entry, error);
}

/* -- its steps ------------------------------------------------------------------------------------------- */

void rescale_planned(struct entry *entry, struct version *version)
{
    struct rescale *rescale = &entry->rescale;
    ASSERT(rescale->step == RESCALE_PLANNING);
    rescale->version = version;
    rescale->step = RESCALE_READY;
    if (version->spec.plan->fingerprint == entry->job.plan->fingerprint) {
        rescale->operation->is_unchanged = true;
        end(entry, NULL);
        return;
    }
    weir_error *error = check_slots(entry, plan_slot_count(version->spec.plan));
    if (error != NULL)
        rescale_failed(entry, error);
}

static bool is_down(const struct jobmanager_stats *stats)
{
    switch (stats->state) {
    case EXECUTION_CREATED:
    case EXECUTION_RUNNING:
    case EXECUTION_FAILING:
    case EXECUTION_RESTARTING:
        return stats->running_since_ms == 0;
    case EXECUTION_STOPPING:
    case EXECUTION_FINISHING:
    case EXECUTION_CANCELLING:
    case EXECUTION_FINISHED:
    case EXECUTION_FAILED:
    case EXECUTION_CANCELED:
        break;
    }
    return false;
}

static void leave(struct entry *entry, int64_t now_ms)
{
    entry->rescale.step = RESCALE_LEAVING;
    entry->rescale.left_ms = now_ms;
    weir_error_free(entry->rescale.why); /* why there is no checkpoint: it leaves without */
    entry->rescale.why = NULL;
    FAULT_STEP_VOID(RESCALE_CHANGE, jobmanager_cancel(entry->jobmanager));
    entry_touch(entry);
}

/* What it means is decided when the job manager's step is over: the job may be down now. */
static void on_checkpoint(void *arg, uint64_t checkpoint, const char *path, const weir_error *error)
{
    struct rescale *rescale = &((struct entry *)arg)->rescale;
    (void)path;
    if (rescale->step != RESCALE_CHECKPOINTING)
        return; /* it has left without */
    rescale->operation->checkpoint = checkpoint;
    rescale->has_checkpoint = error == NULL;
    if (error != NULL)
        rescale->why = weir_errorf(weir_error_code(error), "%s", weir_error_message(error));
}

static void ask_for_checkpoint(struct entry *entry, int64_t now_ms)
{
    struct jobmanager_request request = { .done = on_checkpoint, .arg = entry };
    weir_error *error;
    entry->rescale.step = RESCALE_CHECKPOINTING;
    FAULT_STEP_VOID(RESCALE_CHECKPOINT,
        error = jobmanager_ask(entry->jobmanager, &request, now_ms));
    if (error == NULL)
        return;
    if (weir_error_code(error) != WEIR_E_STATE) {
        rescale_failed(entry, error);
        return;
    }
    weir_error_free(error);
    entry->rescale.step = RESCALE_READY; /* another one is being taken: again a little later */
}

static void look_at_checkpoint(struct entry *entry, int64_t now_ms)
{
    weir_error *why = entry->rescale.why;
    entry->rescale.why = NULL;
    if (entry->rescale.has_checkpoint)
        leave(entry, now_ms);
    else if (why != NULL)
        rescale_failed(entry, why);
}

void rescale_step(struct entry *entry, int64_t now_ms)
{
    struct rescale *rescale = &entry->rescale;
    switch (rescale->step) {
    case RESCALE_READY:
        if (is_down(entry->job.stats))
            leave(entry, now_ms);
        else
            ask_for_checkpoint(entry, now_ms);
        return;
    case RESCALE_CHECKPOINTING:
        if (is_down(entry->job.stats))
            leave(entry, now_ms);
        else
            look_at_checkpoint(entry, now_ms);
        return;
    case RESCALE_ARRIVING:
        if (entry->job.stats->running_since_ms == 0 || entry->job.state != JOB_RUNNING ||
            entry->is_version_unstored) /* the next leader would go on with the old one */
            return;
        rescale->operation->downtime_ms = now_ms - rescale->left_ms;
        end(entry, NULL);
        return;
    case RESCALE_NONE:
    case RESCALE_PLANNING:
    case RESCALE_LEAVING:
        return;
    }
}

void rescale_change(struct entry *entry)
{
    struct rescale *rescale = &entry->rescale;
    ASSERT(rescale->step == RESCALE_LEAVING && rescale->version != NULL);
    entry_set_version(entry, rescale->version);
    rescale->version = NULL;
    rescale->step = RESCALE_ARRIVING;
    entry->job.arguments = entry->arguments = rescale->arguments;
    entry->job.argument_count = rescale->argument_count;
}

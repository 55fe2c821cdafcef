/* dispatcher_plan.c -- the plan of a job: a task manager is asked for it, and it is taken, or why there is none.
 * Prefixes: entry_, version_
 *
 * The job's executable makes it (runtime/cluster/job_spec.h), so a task manager has to run that. One that is lost is
 * replaced by another one; one that says nothing for PLAN_TIMEOUT_MS has failed.
 *
 * A job that is new fails without a plan. One that has run, under another leader, had one: that there is none now is the
 * fault of a machine, or of the moment, and it is planned again, later and later, for about an hour. Then it is
 * SUSPENDED; and at once, if what was made is no plan for this cluster: its executable is of another version. It has not
 * failed, its checkpoints are kept, and the next leader tries anew: a cluster that is set back to the version before can
 * go on with it. */
#include "base/assert.h"
#include "base/log.h"
#include "base/os.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/dispatcher_private.h"

#define PLAN_TIMEOUT_MS 60000
#define PLAN_AGAIN_MAX  64u
#define ARENA_SIZE_MAX  ((size_t)64 << 20)

/* -- versions ------------------------------------------------------------------------------------- */

void version_free(struct version *version)
{
    if (version == NULL)
        return;
    arena_release(&version->arena);
    mem_free(version);
}

weir_error *version_new(weir_str bytes, struct version **version)
{
    struct version *it = mem_alloc(sizeof(*it));
    arena_init(&it->arena, (size_t)4 << 10, JOB_SPEC_DECODED_SIZE_MAX + JOB_SPEC_SIZE_MAX);
    weir_error *error = job_spec_decode(bytes, &it->arena, &it->spec);
    if (error != NULL) {
        version_free(it);
        return error;
    }
    it->bytes =
        (weir_str){ .data = arena_dup(&it->arena, bytes.data, bytes.size), .size = bytes.size };
    *version = it;
    return NULL;
}

static bool is_relative(const char *path)
{
    return path != NULL && path[0] != '/';
}

static weir_error *check_spec(const struct job_spec *spec)
{
    if (is_relative(spec->checkpoints) || is_relative(spec->savepoints) ||
        is_relative(spec->from_savepoint))
        return weir_errorf(WEIR_E_USAGE,
            "a directory of the job is relative, but its processes have no common working "
            "directory; "
            "give --checkpoints, --savepoints and --from-savepoint from the root ('/...') on, "
            "where all machines see them");
    return NULL;
}

/* -- planning --------------------------------------------------------------------------------------- */

/* The one with most to spare. */
static struct task_manager *choose_planner(const struct resources *resources)
{
    struct task_manager *best = NULL;
    for (uint32_t i = 0; i < resources_count(resources); i++) {
        struct task_manager *it = resources_at(resources, i);
        if (!it->is_leaving && (best == NULL || it->free_count > best->free_count))
            best = it;
    }
    return best;
}

void entry_ask_for_plan(struct entry *entry, int64_t now_ms)
{
    struct arena arena;
    struct task_manager *planner = choose_planner(entry->dispatcher->resources);
    if (planner == NULL)
        return;
    arena_init(&arena, 4096, ARENA_SIZE_MAX);
    address_new_id(entry->plan_request);
    struct message_plan message = { .epoch = entry->dispatcher->options.epoch,
        .request = weir_str_of(entry->plan_request),
        .digest = weir_str_of(entry->job.digest),
        .program = weir_str_of(entry->program),
        .arguments =
            entry->rescale.step == RESCALE_PLANNING
                ? message_put_strings(entry->rescale.arguments, entry->rescale.argument_count,
                      &arena)
                : message_put_strings(entry->arguments, entry->job.argument_count, &arena) };
    entry->planner = planner;
    entry->deadline_ms = now_ms + PLAN_TIMEOUT_MS;
    entry->phase = entry->phase == ENTRY_TO_PLAN ? ENTRY_PLANNING : entry->phase;
    message_send(planner->connection, MESSAGE_PLAN, &message);
    arena_release(&arena);
}

void entry_set_version(struct entry *entry, struct version *version)
{
    struct job *job = &entry->job;
    version_free(entry->version);
    entry->version = version;
    job->spec = &version->spec;
    job->plan = version->spec.plan;
    history_begin(&job->history, job->plan->subtask_count);
}

/* Its own name, or --job-name, is known now. */
static void name_job(struct entry *entry)
{
    mem_free(entry->job.name);
    entry->job.name = mem_strdup(entry->job.plan->job);
}

static weir_error *take_plan(struct entry *entry, weir_str bytes)
{
    struct version *version;
    WEIR_TRY(version_new(bytes, &version));
    weir_error *error = check_spec(&version->spec);
    if (error != NULL) {
        version_free(version);
        return error;
    }
    if (entry->phase == ENTRY_PLANNING) {
        entry_set_version(entry, version);
        name_job(entry);
        entry->phase = ENTRY_TO_OPEN;
        return NULL;
    }
    if (entry->rescale.step == RESCALE_PLANNING && entry->phase == ENTRY_RUNNING)
        rescale_planned(entry, version);
    else
        version_free(version);
    return NULL;
}

/* -- a job that has run ------------------------------------------------------------------------------- */

void entry_init_planning(struct entry *entry)
{
    static const struct restart_options options = { .kind = RESTART_EXPONENTIAL,
        .delay_ms = 1000,
        .delay_max_ms = 60000,
        .reset_ms = INT64_MAX,
        .attempts_max = PLAN_AGAIN_MAX,
        .multiplier_percent = 200,
        .jitter_percent = 10 };
    restart_init(&entry->planning, &options);
}

/* What its arguments say: there is no plan that would. NULL: nothing. */
static const char *given_checkpoints(const struct entry *entry)
{
    static const char name[] = "--checkpoints";
    const char *given = NULL;
    for (uint32_t i = 0; i < entry->job.argument_count; i++) {
        const char *it = entry->arguments[i];
        if (strcmp(it, name) == 0 && i + 1 < entry->job.argument_count)
            given = entry->arguments[++i];
        else if (strncmp(it, name, sizeof(name) - 1) == 0 && it[sizeof(name) - 1] == '=')
            given = it + sizeof(name);
    }
    return given;
}

/* How people go on with it; mem_free it. */
static char *way_on(const struct entry *entry)
{
    const char *given = given_checkpoints(entry), *id = entry->job.id,
               *root = entry->dispatcher->options.checkpoints;
    if (given != NULL)
        return mem_printf("its checkpoints in '%s' are kept: 'weir cancel %s' ends it, 'weir run' "
                          "with the same --checkpoints goes on from the newest of them",
            given, id);
    if (root != NULL)
        return mem_printf(
            "its checkpoints in '%s/%s' are kept: 'weir cancel %s' ends it, 'weir run "
            "-s %s/%s/<job>/chk-<n> EXECUTABLE' goes on from the newest of them",
            root, id, id, root, id);
    return mem_printf("it has no directory of checkpoints to go on from: 'weir cancel %s' ends it, "
                      "'weir run' begins it anew",
        id);
}

/* Takes the error. */
static void suspend(struct entry *entry, weir_error *error)
{
    char *way = way_on(entry);
    entry->job.error = weir_errorf(weir_error_code(error), "%s. The job is suspended, %s",
        weir_error_message(error), way);
    mem_free(way);
    weir_error_free(error);
    entry->phase = ENTRY_SUSPENDED;
    entry_set_state(entry, JOB_SUSPENDED);
}

/* Takes the error. */
static void plan_again(struct entry *entry, weir_error *error)
{
    int64_t now_ms = entry->dispatcher->now_ms, delay_ms;
    if (!restart_next(&entry->planning, now_ms, os_random(), &delay_ms)) {
        suspend(entry, error);
        return;
    }
    log_warn("dispatcher", "job %s, which has run, cannot be planned now; again in %.1f s: %s",
        entry->job.id, (double)delay_ms / 1000, weir_error_message(error));
    weir_error_free(error);
    entry->phase = ENTRY_TO_PLAN;
    entry->again_ms = now_ms + delay_ms;
}

void entry_planned(struct entry *entry, weir_str spec, weir_error *error)
{
    bool is_made = error == NULL;
    entry->plan_request[0] = '\0';
    entry->planner = NULL;
    entry_touch(entry);
    if (entry->phase == ENTRY_OVER) { /* it was cancelled meanwhile */
        weir_error_free(error);
        return;
    }
    if (error == NULL)
        error = take_plan(entry, spec);
    if (error == NULL)
        return;
    if (entry->phase == ENTRY_PLANNING && entry->has_started) {
        (is_made ? suspend : plan_again)(entry, error);
    } else if (entry->phase == ENTRY_PLANNING) {
        entry_finish(entry, JOB_FAILED, error);
    } else if (entry->rescale.step == RESCALE_PLANNING) {
        rescale_failed(entry, error);
    } else {
        weir_error_free(error);
    }
}

/* Of a job that is new, or of its rescale. */
void entry_look_at_planner(struct entry *entry, int64_t now_ms)
{
    if (entry->plan_request[0] == '\0')
        return;
    if (entry->planner == NULL) /* it was lost: another one */
        entry_ask_for_plan(entry, now_ms);
    if (entry->planner == NULL && entry->rescale.step == RESCALE_PLANNING) {
        entry_planned(entry, (weir_str){ 0 },
            weir_errorf(WEIR_E_STATE, "no task manager is left to make the new plan"));
        return;
    }
    if (entry->planner == NULL || now_ms <= entry->deadline_ms)
        return;
    weir_error *error =
        weir_errorf(WEIR_E_TIMEOUT, "task manager '%s' has not made the job's plan within %d s",
            entry->planner->id, PLAN_TIMEOUT_MS / 1000);
    entry_planned(entry, (weir_str){ 0 }, error);
}

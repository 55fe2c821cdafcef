/* dispatcher_operation.c -- what takes a while: checkpoints, savepoints, stops, disposals, rescales.
 * Prefixes: dispatcher_, operation_, operations_ */
#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "checkpoint/savepoint.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/dispatcher_private.h"

#include <inttypes.h>

/* -- the list ------------------------------------------------------------------------------------- */

static struct operation *find(const struct dispatcher *dispatcher, const char *id)
{
    for (uint32_t i = 0; i < dispatcher->operation_count; i++) {
        if (strcmp(dispatcher->operations[i]->id, id) == 0)
            return dispatcher->operations[i];
    }
    return NULL;
}

const struct operation *dispatcher_operation(const struct dispatcher *dispatcher, const char *id)
{
    return find(dispatcher, id);
}

static void free_operation(struct operation *operation)
{
    weir_error_free(operation->error);
    mem_free(operation->location);
    mem_free(operation);
}

/* Looked at before the job, which a stop that was asked for twice may have ended meanwhile. */
static bool is_asked_again(const struct dispatcher *dispatcher, const char *id)
{
    return id[0] != '\0' && find(dispatcher, id) != NULL;
}

static weir_error *begin(struct dispatcher *dispatcher, const char *job, enum operation_kind kind,
    char id[DISPATCHER_ID_SIZE], struct operation **operation)
{
    *operation = NULL;
    if (id[0] != '\0' && !address_is_id(weir_str_of(id)))
        return weir_errorf(WEIR_E_USAGE, "'%.64s' is no trigger id: 32 hexadecimal digits", id);
    if (dispatcher->operation_count == OPERATIONS_MAX)
        return weir_errorf(WEIR_E_LIMIT,
            "%u operations are remembered: wait until some are forgotten", OPERATIONS_MAX);
    if (id[0] == '\0')
        address_new_id(id);
    struct operation *it = mem_alloc(sizeof(*it));
    memcpy(it->id, id, DISPATCHER_ID_SIZE);
    if (job != NULL)
        memcpy(it->job, job, DISPATCHER_ID_SIZE);
    it->kind = kind;
    it->begun_ms = os_monotonic_ms();
    dispatcher->operations = mem_realloc(dispatcher->operations,
        (dispatcher->operation_count + 1) * sizeof(*dispatcher->operations));
    dispatcher->operations[dispatcher->operation_count++] = it;
    *operation = it;
    return NULL;
}

/* It could not even begin: nobody will ask for it. */
static weir_error *withdraw(struct dispatcher *dispatcher, struct operation *operation,
    weir_error *error)
{
    ASSERT(dispatcher->operations[dispatcher->operation_count - 1] == operation);
    dispatcher->operation_count--;
    free_operation(operation);
    return error;
}

void operation_done(struct operation *operation, weir_error *error)
{
    ASSERT(!operation->is_done);
    operation->is_done = true;
    operation->error = error;
    operation->done_ms = os_monotonic_ms();
}

void operations_step(struct dispatcher *dispatcher, int64_t now_ms)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < dispatcher->operation_count; i++) {
        struct operation *it = dispatcher->operations[i];
        if (it->is_done && now_ms - it->done_ms > OPERATION_KEEP_MS)
            free_operation(it);
        else
            dispatcher->operations[kept++] = it;
    }
    dispatcher->operation_count = kept;
}

void operations_free(struct dispatcher *dispatcher)
{
    for (uint32_t i = 0; i < dispatcher->operation_count; i++)
        free_operation(dispatcher->operations[i]);
    mem_free(dispatcher->operations);
}

/* -- finding the job ---------------------------------------------------------------------------------- */

static weir_error *running_entry(const struct dispatcher *dispatcher, const char *job,
    struct entry **entry)
{
    *entry = dispatcher_entry(dispatcher, job);
    if (*entry == NULL)
        return weir_errorf(WEIR_E_CONNECTOR, "there is no job %s", job);
    if ((*entry)->phase != ENTRY_RUNNING)
        return weir_errorf(WEIR_E_STATE, "job %s does not run: it is %s", job,
            job_state_name((*entry)->job.state));
    return NULL;
}

weir_error *dispatcher_probe(const char *directory)
{
    char *probe = mem_printf("%s/.probe-%016" PRIx64, directory, os_random());
    weir_error *error = os_make_dirs(probe);
    if (error == NULL)
        error = os_remove_tree(probe);
    mem_free(probe);
    return error == NULL ? NULL
                         : weir_error_wrap(error, "no savepoint can be written to '%s'", directory);
}

static weir_error *directory_of(const struct entry *entry, const char *given,
    const char **directory)
{
    *directory = given != NULL                             ? given
                 : entry->version->spec.savepoints != NULL ? entry->version->spec.savepoints
                                                           : entry->dispatcher->options.savepoints;
    if (*directory == NULL)
        return weir_errorf(WEIR_E_USAGE,
            "Config key [execution.checkpointing.savepoint-dir] is not set. Property "
            "[target-directory] must be provided.");
    if ((*directory)[0] != '/')
        return weir_errorf(WEIR_E_USAGE,
            "the savepoint directory '%s' is relative; give it from the root on", *directory);
    return NULL;
}

weir_error *dispatcher_savepoint_directory(const struct dispatcher *dispatcher, const char *job,
    const char *given, const char **directory)
{
    struct entry *entry;
    WEIR_TRY(running_entry(dispatcher, job, &entry));
    return directory_of(entry, given, directory);
}

/* NULL of NULL. */
static weir_error *copy_of(const weir_error *error)
{
    return error == NULL ? NULL
                         : weir_errorf(weir_error_code(error), "%s", weir_error_message(error));
}

static void done_with(struct operation *operation, uint64_t checkpoint, const char *path,
    const weir_error *error)
{
    operation->checkpoint = checkpoint;
    operation->location = mem_strdup(path);
    operation_done(operation, copy_of(error));
}

/* -- checkpoints, savepoints ---------------------------------------------------------------------------- */

static void on_answer(void *arg, uint64_t checkpoint, const char *path, const weir_error *error)
{
    done_with(arg, checkpoint, path, error);
}

/* A savepoint, and then the job is cancelled. Thread: control. */
struct last_words {
    struct dispatcher *dispatcher;
    struct operation *operation;
};

static void on_answer_cancel(void *arg, uint64_t checkpoint, const char *path,
    const weir_error *error)
{
    struct last_words *it = arg;
    struct entry *entry = dispatcher_entry(it->dispatcher, it->operation->job);
    done_with(it->operation, checkpoint, path, error);
    if (error == NULL && entry != NULL)
        entry_cancel(entry);
    mem_free(it);
}

static weir_error *ask(const struct dispatcher *dispatcher, struct entry *entry,
    const struct jobmanager_request *request)
{
    entry_touch(entry);
    return jobmanager_ask(entry->jobmanager, request, dispatcher->now_ms);
}

weir_error *dispatcher_savepoint(struct dispatcher *dispatcher, const char *job,
    const char *directory, bool then_cancel, char operation[DISPATCHER_ID_SIZE])
{
    struct entry *entry;
    struct operation *it;
    struct jobmanager_request request = { .done = on_answer };
    if (is_asked_again(dispatcher, operation))
        return NULL;
    WEIR_TRY(running_entry(dispatcher, job, &entry));
    WEIR_TRY(directory_of(entry, directory, &request.directory));
    WEIR_TRY(begin(dispatcher, job, OPERATION_SAVEPOINT, operation, &it));
    request.arg = it;
    if (then_cancel) {
        struct last_words *words = mem_alloc(sizeof(*words));
        *words = (struct last_words){ .dispatcher = dispatcher, .operation = it };
        request.arg = words;
        request.done = on_answer_cancel;
    }
    weir_error *error;
    FAULT_STEP_VOID(SAVEPOINT_REQUEST, error = ask(dispatcher, entry, &request));
    if (error == NULL)
        return NULL;
    if (then_cancel)
        mem_free(request.arg);
    return withdraw(dispatcher, it, error);
}

weir_error *dispatcher_checkpoint(struct dispatcher *dispatcher, const char *job,
    char operation[DISPATCHER_ID_SIZE])
{
    struct entry *entry;
    struct operation *it;
    if (is_asked_again(dispatcher, operation))
        return NULL;
    WEIR_TRY(running_entry(dispatcher, job, &entry));
    WEIR_TRY(begin(dispatcher, job, OPERATION_CHECKPOINT, operation, &it));
    struct jobmanager_request request = { .done = on_answer, .arg = it };
    weir_error *error = ask(dispatcher, entry, &request);
    return error == NULL ? NULL : withdraw(dispatcher, it, error);
}

/* -- stop ----------------------------------------------------------------------------------------------- */

/* The savepoint is there, or not; the operation is done when the job is over. */
static void on_stop_answer(void *arg, uint64_t checkpoint, const char *path,
    const weir_error *error)
{
    struct operation *operation = arg;
    operation->checkpoint = checkpoint;
    operation->location = mem_strdup(path);
    if (error != NULL && operation->error == NULL)
        operation->error = copy_of(error);
}

weir_error *dispatcher_stop(struct dispatcher *dispatcher, const char *job, const char *directory,
    bool drain, char operation[DISPATCHER_ID_SIZE])
{
    struct entry *entry;
    struct operation *it;
    struct jobmanager_request request = { .done = on_stop_answer };
    if (is_asked_again(dispatcher, operation))
        return NULL;
    WEIR_TRY(running_entry(dispatcher, job, &entry));
    WEIR_TRY(directory_of(entry, directory, &request.directory));
    WEIR_TRY(begin(dispatcher, job, OPERATION_STOP, operation, &it));
    request.arg = it;
    weir_error *error;
    FAULT_STEP_VOID(STOP_REQUEST,
        error = jobmanager_stop_with(entry->jobmanager, &request, drain, dispatcher->now_ms));
    if (error != NULL)
        return withdraw(dispatcher, it, error);
    entry->stop = it;
    entry_touch(entry);
    return NULL;
}

void operations_job_over(struct entry *entry)
{
    const struct job *job = &entry->job;
    struct operation *stop = entry->stop;
    if (stop != NULL) {
        weir_error *error = stop->error;
        stop->error = NULL;
        if (error == NULL && (job->state != JOB_FINISHED || stop->location == NULL))
            error = weir_errorf(WEIR_E_STATE, "the job has not stopped in good order, it is %s%s%s",
                job_state_name(job->state), job->error == NULL ? "" : ": ",
                job->error == NULL ? "" : weir_error_message(job->error));
        operation_done(stop, error);
        entry->stop = NULL;
    }
    if (entry->rescale != NULL) {
        operation_done(entry->rescale,
            weir_errorf(WEIR_E_STATE, "the job is over: it is %s", job_state_name(job->state)));
        entry->rescale = NULL;
    }
}

/* -- dispose -------------------------------------------------------------------------------------------- */

/* Thread: worker while it runs, else control. */
struct disposal {
    struct operation *operation;
    char *path;
    weir_error *error;
};

static void run_dispose(void *arg)
{
    struct disposal *it = arg;
    it->error = savepoint_dispose(it->path);
}

static void on_disposed(void *arg, bool is_over)
{
    struct disposal *it = arg;
    if (is_over)
        weir_error_free(it->error); /* nobody will ask for it */
    else
        operation_done(it->operation, it->error);
    mem_free(it->path);
    mem_free(it);
}

weir_error *dispatcher_dispose(struct dispatcher *dispatcher, const char *path,
    char operation[DISPATCHER_ID_SIZE])
{
    struct operation *it;
    if (is_asked_again(dispatcher, operation))
        return NULL;
    WEIR_TRY(begin(dispatcher, NULL, OPERATION_DISPOSE, operation, &it));
    struct disposal *disposal = mem_alloc(sizeof(*disposal));
    *disposal = (struct disposal){ .operation = it, .path = mem_strdup(path) };
    if (errands_submit(dispatcher->errands, NULL, run_dispose, on_disposed, disposal))
        return NULL;
    mem_free(disposal->path);
    mem_free(disposal);
    return withdraw(dispatcher, it,
        weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting: ask again"));
}

/* -- rescale -------------------------------------------------------------------------------------------- */

static void on_rescale_checkpoint(void *arg, uint64_t checkpoint, const char *path,
    const weir_error *error)
{
    struct entry *entry = arg;
    (void)path;
    if (entry->rescale == NULL)
        return;
    entry->rescale->checkpoint = checkpoint;
    if (error == NULL) {
        entry_change(entry);
        return;
    }
    operation_done(entry->rescale, copy_of(error));
    entry->rescale = NULL;
}

static weir_error *check_rescale(const struct dispatcher *dispatcher, const struct entry *entry,
    uint32_t parallelism)
{
    uint32_t max = entry->job.plan->max_parallelism;
    if (parallelism < 1 || parallelism > max)
        return weir_errorf(WEIR_E_USAGE,
            "parallelism %u is not possible: this job was started with a maximum of %u",
            parallelism, max);
    if (entry->rescale != NULL || entry->stop != NULL)
        return weir_errorf(WEIR_E_STATE, "job %s is being rescaled or stopped already",
            entry->job.id);
    if (entry->move != MOVE_NONE)
        return weir_errorf(WEIR_E_STATE,
            "job %s is being moved away from a task manager that leaves: ask again", entry->job.id);
    if (resources_count(dispatcher->resources) == 0)
        return weir_errorf(WEIR_E_STATE, "no task manager is there to make the new plan");
    uint32_t has = gateway_slots_wanted(entry->gateway);
    uint32_t free = resources_slots_free(dispatcher->resources);
    if (parallelism > has + free)
        return weir_errorf(WEIR_E_LIMIT,
            "parallelism %u needs more slots than the %u that are free and the %u that the job has",
            parallelism, free, has);
    return NULL;
}

weir_error *dispatcher_rescale(struct dispatcher *dispatcher, const char *job, uint32_t parallelism,
    char operation[DISPATCHER_ID_SIZE])
{
    struct entry *entry;
    struct operation *it;
    if (is_asked_again(dispatcher, operation))
        return NULL;
    WEIR_TRY(running_entry(dispatcher, job, &entry));
    WEIR_TRY(check_rescale(dispatcher, entry, parallelism));
    WEIR_TRY(begin(dispatcher, job, OPERATION_RESCALE, operation, &it));
    entry->next_arguments =
        entry_arguments_with(entry, parallelism, &entry->arena, &entry->next_argument_count);
    entry->rescale = it;
    entry->has_left = false;
    FAULT_STEP_VOID(RESCALE_REQUEST, entry_ask_for_plan(entry, dispatcher->now_ms));
    entry_touch(entry); /* it is due when the plan is late */
    return NULL;
}

/* The new plan is there: a checkpoint to change at. */
void operations_rescale(struct entry *entry)
{
    struct jobmanager_request request = { .done = on_rescale_checkpoint, .arg = entry };
    weir_error *error;
    FAULT_STEP_VOID(RESCALE_CHECKPOINT,
        error = jobmanager_ask(entry->jobmanager, &request, entry->dispatcher->now_ms));
    if (error != NULL && weir_error_code(error) != WEIR_E_STATE) {
        operation_done(entry->rescale, error);
        entry->rescale = NULL;
        return;
    }
    entry->is_asking = error != NULL; /* not now: again a little later */
    weir_error_free(error);
}

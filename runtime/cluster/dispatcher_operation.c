/* dispatcher_operation.c -- what takes a while: checkpoints, savepoints, stops, disposals.
 * Prefixes: dispatcher_, operation_, operations_ */
#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/plural.h"
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

bool operations_know(const struct dispatcher *dispatcher, const char *id)
{
    return id[0] != '\0' && find(dispatcher, id) != NULL;
}

weir_error *operations_begin(struct dispatcher *dispatcher, const char *job,
    enum operation_kind kind, char id[DISPATCHER_ID_SIZE], struct operation **operation)
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
    it->dispatcher = dispatcher;
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

weir_error *operations_entry(const struct dispatcher *dispatcher, const char *job,
    struct entry **entry)
{
    *entry = dispatcher_entry(dispatcher, job);
    if (*entry == NULL)
        return weir_errorf(WEIR_E_CONNECTOR, "there is no job %s", job);
    const struct job *it = &(*entry)->job;
    if ((*entry)->phase == ENTRY_RUNNING)
        return NULL;
    bool has_reason = it->state == JOB_SUSPENDED && it->error != NULL;
    return weir_errorf(WEIR_E_STATE, "job %s does not run: it is %s%s%s", job,
        job_state_name(it->state), has_reason ? ": " : "",
        has_reason ? weir_error_message(it->error) : "");
}

/* What a checkpoint is taken of are all of its tasks: whoever asks while they do not all run is told at once. */
static weir_error *running_entry(const struct dispatcher *dispatcher, const char *job,
    struct entry **entry)
{
    WEIR_TRY(operations_entry(dispatcher, job, entry));
    const struct job *it = &(*entry)->job;
    bool is_waiting = gateway_state(it->gateway) == GATEWAY_WAITING;
    if (it->stats->running_since_ms > 0)
        return NULL;
    if (!is_waiting)
        return weir_errorf(WEIR_E_STATE,
            "job %s is %s, and not all of its tasks run; ask again when it is RUNNING", job,
            job_state_name(it->state));
    uint32_t wanted = plan_slot_count(it->plan),
             count = resources_slots_free(dispatcher->resources);
    return weir_errorf(WEIR_E_STATE,
        "job %s is %s: it waits for %u slot%s, of which %u %s free; start another task manager, or "
        "let it go on with fewer ('weir rescale %s N'), and ask again when it is RUNNING",
        job, job_state_name(it->state), wanted, plural(wanted), count, count == 1 ? "is" : "are",
        job);
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

/* A savepoint, and then the job is cancelled. A leader that goes takes the question with it: nobody calls this then. */
static void on_answer_cancel(void *arg, uint64_t checkpoint, const char *path,
    const weir_error *error)
{
    struct operation *it = arg;
    struct entry *entry = dispatcher_entry(it->dispatcher, it->job);
    done_with(it, checkpoint, path, error);
    if (error == NULL && entry != NULL)
        entry_cancel(entry);
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
    struct jobmanager_request request = { .done = then_cancel ? on_answer_cancel : on_answer };
    if (operations_know(dispatcher, operation))
        return NULL;
    WEIR_TRY(running_entry(dispatcher, job, &entry));
    WEIR_TRY(directory_of(entry, directory, &request.directory));
    WEIR_TRY(operations_begin(dispatcher, job, OPERATION_SAVEPOINT, operation, &it));
    request.arg = it;
    weir_error *error;
    FAULT_STEP_VOID(SAVEPOINT_REQUEST, error = ask(dispatcher, entry, &request));
    return error == NULL ? NULL : withdraw(dispatcher, it, error);
}

weir_error *dispatcher_checkpoint(struct dispatcher *dispatcher, const char *job,
    char operation[DISPATCHER_ID_SIZE])
{
    struct entry *entry;
    struct operation *it;
    if (operations_know(dispatcher, operation))
        return NULL;
    WEIR_TRY(running_entry(dispatcher, job, &entry));
    WEIR_TRY(operations_begin(dispatcher, job, OPERATION_CHECKPOINT, operation, &it));
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
    if (operations_know(dispatcher, operation))
        return NULL;
    WEIR_TRY(running_entry(dispatcher, job, &entry));
    WEIR_TRY(directory_of(entry, directory, &request.directory));
    WEIR_TRY(operations_begin(dispatcher, job, OPERATION_STOP, operation, &it));
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

void operations_look_at_stop(struct entry *entry)
{
    struct operation *stop = entry->stop;
    if (stop == NULL || jobmanager_is_stopping(entry->jobmanager) ||
        jobmanager_is_asked(entry->jobmanager)) /* its savepoint may be being written */
        return;
    const struct history_failure *failure = history_failure(&entry->job.history, 0);
    weir_error_free(stop->error);
    stop->error = NULL;
    entry->stop = NULL;
    operation_done(stop,
        weir_errorf(WEIR_E_STATE,
            "a task failed while the job was being stopped, so it goes on; stop it again when it "
            "is RUNNING: %s",
            failure == NULL ? "" : failure->text));
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
    if (entry->rescale.step != RESCALE_NONE)
        rescale_failed(entry,
            weir_errorf(WEIR_E_STATE, "the job is over: it is %s", job_state_name(job->state)));
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
    if (operations_know(dispatcher, operation))
        return NULL;
    WEIR_TRY(operations_begin(dispatcher, NULL, OPERATION_DISPOSE, operation, &it));
    struct disposal *disposal = mem_alloc(sizeof(*disposal));
    *disposal = (struct disposal){ .operation = it, .path = mem_strdup(path) };
    if (errands_submit(dispatcher->errands, NULL, run_dispose, on_disposed, disposal))
        return NULL;
    mem_free(disposal->path);
    mem_free(disposal);
    return withdraw(dispatcher, it,
        weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting: ask again"));
}

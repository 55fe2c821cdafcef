/* dispatcher.c -- see dispatcher.h: the list of jobs, and the step. Prefixes: job_state_, entry_ */
#include "runtime/cluster/dispatcher.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/os.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/dispatcher_private.h"

#include <inttypes.h>
#include <stdio.h>

#define ARGUMENTS_MAX 4096u
#define NAME_SIZE_MAX 1024u
#define COLLECT_MS    60000
#define ERRANDS_MAX   (OPERATIONS_MAX + 256) /* besides directories of jobs: operations, logs */

static const char *const state_names[JOB_STATE_COUNT] = {
    [JOB_INITIALIZING] = "INITIALIZING",
    [JOB_CREATED] = "CREATED",
    [JOB_RUNNING] = "RUNNING",
    [JOB_FAILING] = "FAILING",
    [JOB_FAILED] = "FAILED",
    [JOB_CANCELLING] = "CANCELLING",
    [JOB_CANCELED] = "CANCELED",
    [JOB_FINISHED] = "FINISHED",
    [JOB_RESTARTING] = "RESTARTING",
    [JOB_SUSPENDED] = "SUSPENDED",
    [JOB_RECONCILING] = "RECONCILING",
};

const char *job_state_name(enum job_state state)
{
    ASSERT(state < JOB_STATE_COUNT);
    return state_names[state];
}

bool job_state_is_terminal(enum job_state state)
{
    return state == JOB_FAILED || state == JOB_CANCELED || state == JOB_FINISHED;
}

/* -- looking -------------------------------------------------------------------------------------- */

struct entry *dispatcher_entry(const struct dispatcher *dispatcher, const char *id)
{
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        if (strcmp(dispatcher->entries[i]->job.id, id) == 0)
            return dispatcher->entries[i];
    }
    return NULL;
}

uint32_t dispatcher_job_count(const struct dispatcher *dispatcher)
{
    return dispatcher->entry_count;
}

const struct job *dispatcher_job(const struct dispatcher *dispatcher, uint32_t index)
{
    ASSERT(index < dispatcher->entry_count);
    return &dispatcher->entries[index]->job;
}

const struct job *dispatcher_find(const struct dispatcher *dispatcher, const char *id)
{
    const struct entry *entry = dispatcher_entry(dispatcher, id);
    return entry == NULL ? NULL : &entry->job;
}

const struct resources *dispatcher_resources(const struct dispatcher *dispatcher)
{
    return dispatcher->resources;
}

/* Of the uids of its operators, as Flink's are: a new attempt, or another parallelism, changes nothing. */
void dispatcher_vertex_id(const struct plan *plan, uint32_t vertex, char id[DISPATCHER_ID_SIZE])
{
    const struct plan_vertex *it = &plan->vertices[vertex];
    uint64_t high = 1, low = 2;
    for (uint32_t i = 0; i < it->operator_count; i++) {
        uint64_t hash = hash_bytes(it->operators[i].uid, strlen(it->operators[i].uid));
        high = hash_mix(high ^ hash);
        low = hash_mix(low + hash);
    }
    snprintf(id, DISPATCHER_ID_SIZE, "%016" PRIx64 "%016" PRIx64, high, low);
}

/* -- asking --------------------------------------------------------------------------------------- */

static weir_error *check_submission(const struct dispatcher *dispatcher,
    const struct submission *submission)
{
    if (!address_is_digest(weir_str_of(submission->digest)))
        return weir_errorf(WEIR_E_USAGE,
            "'%.80s' is no digest of an executable: 64 hexadecimal digits of its SHA-256",
            submission->digest);
    if (submission->argument_count > ARGUMENTS_MAX || strlen(submission->program) > NAME_SIZE_MAX)
        return weir_errorf(WEIR_E_LIMIT, "a job has at most %u arguments, and a name of %u bytes",
            ARGUMENTS_MAX, NAME_SIZE_MAX);
    if (dispatcher->entry_count - dispatcher->over_count >= DISPATCHER_JOBS_MAX)
        return weir_errorf(WEIR_E_LIMIT, "%u jobs are not over: more are not taken",
            DISPATCHER_JOBS_MAX);
    if (!blob_store_has(dispatcher->options.blobs, submission->digest))
        return weir_errorf(WEIR_E_USAGE, "no executable with digest %s is here: upload it first",
            submission->digest);
    return NULL;
}

static void add_entry(struct dispatcher *dispatcher, struct entry *entry)
{
    if (dispatcher->entry_count == dispatcher->entry_capacity) {
        dispatcher->entry_capacity =
            dispatcher->entry_capacity == 0 ? 64 : dispatcher->entry_capacity * 2;
        dispatcher->entries = mem_realloc(dispatcher->entries,
            dispatcher->entry_capacity * sizeof(*dispatcher->entries));
    }
    dispatcher->entries[dispatcher->entry_count++] = entry;
}

weir_str dispatcher_stored_spec(const struct entry *entry, struct arena *arena)
{
    const char **list = arena_alloc(arena, (entry->job.argument_count + 1) * sizeof(*list));
    list[0] = entry->program;
    for (uint32_t i = 0; i < entry->job.argument_count; i++)
        list[i + 1] = entry->arguments[i];
    return message_put_strings(list, entry->job.argument_count + 1, arena);
}

static weir_error *store_new(struct dispatcher *dispatcher, const struct entry *entry)
{
    struct arena arena;
    if (dispatcher->options.store == NULL)
        return NULL;
    arena_init(&arena, 4096, DISPATCHER_STORED_SIZE_MAX);
    struct job_record record = { .name = entry->job.name,
        .spec = dispatcher_stored_spec(entry, &arena),
        .blob_count = 1,
        .status = RECORD_ACCEPTED,
        .message = "",
        .submitted_ms = entry->job.start_ms };
    memcpy(record.id, entry->job.id, sizeof(record.id));
    memcpy(record.blobs[0], entry->job.digest, sizeof(record.blobs[0]));
    weir_error *error = job_store_add(dispatcher->options.store, &record);
    arena_release(&arena);
    return error;
}

weir_error *dispatcher_submit(struct dispatcher *dispatcher, const struct submission *submission,
    char id[DISPATCHER_ID_SIZE])
{
    WEIR_TRY(check_submission(dispatcher, submission));
    struct entry *entry = entry_new(dispatcher, submission, NULL);
    weir_error *error = FAULT_STEP(SUBMIT_STORE, store_new(dispatcher, entry));
    if (error != NULL) {
        entry_free(entry);
        return error;
    }
    add_entry(dispatcher, entry);
    memcpy(id, entry->job.id, DISPATCHER_ID_SIZE);
    entry_touch(entry);
    return NULL;
}

static weir_error *recover(struct dispatcher *dispatcher, const struct job_record *record)
{
    struct arena arena;
    const char **list;
    uint32_t count;
    arena_init(&arena, 4096, DISPATCHER_STORED_SIZE_MAX);
    if (record->blob_count != 1 ||
        !message_take_strings(record->spec, ARGUMENTS_MAX + 1, &arena, &list, &count) ||
        count < 1) {
        arena_release(&arena);
        return weir_errorf(WEIR_E_CORRUPT, "the stored job %s is none of this version", record->id);
    }
    struct submission submission = { .program = list[0],
        .digest = record->blobs[0],
        .arguments = list + 1,
        .argument_count = count - 1 };
    struct entry *entry = entry_new(dispatcher, &submission, record->id);
    entry->job.start_ms = record->submitted_ms;
    entry->has_started = record->status != RECORD_ACCEPTED;
    if (job_is_over(record->status))
        entry_set_over(entry, record);
    else
        history_taken_over(&entry->job.history, dispatcher->options.epoch, os_wall_ms());
    add_entry(dispatcher, entry);
    entry_touch(entry);
    arena_release(&arena);
    return NULL;
}

weir_error *dispatcher_recover(struct dispatcher *dispatcher)
{
    struct job_store *store = dispatcher->options.store;
    if (store == NULL)
        return NULL;
    for (uint32_t i = 0; i < job_store_count(store); i++)
        WEIR_TRY(recover(dispatcher, job_store_at(store, i)));
    job_store_forget_archives(store);
    return NULL;
}

weir_error *dispatcher_cancel(struct dispatcher *dispatcher, const char *job)
{
    struct entry *entry = dispatcher_entry(dispatcher, job);
    if (entry == NULL)
        return weir_errorf(WEIR_E_CONNECTOR, "there is no job %s", job);
    if (job_state_is_terminal(entry->job.state))
        return weir_errorf(WEIR_E_STATE, "job %s is over: it is %s", job,
            job_state_name(entry->job.state));
    entry_cancel(entry);
    return NULL;
}

/* -- the step ------------------------------------------------------------------------------------- */

/* A thousand workers that send their metrics are a thousand wake-ups a second, and a step that went through a
 * thousand jobs each time took 15 % of a core. So only those are stepped that something has happened to, whose
 * time has come, or who may have waited for what changed among the task managers. */

void entry_touch(void *arg)
{
    struct entry *entry = arg;
    struct dispatcher *dispatcher = entry->dispatcher;
    if (atomic_exchange(&entry->is_touched, true))
        return;
    entry->next_touched = atomic_load(&dispatcher->touched);
    while (!atomic_compare_exchange_weak(&dispatcher->touched, &entry->next_touched, entry))
        ;
    waker_wake(net_waker(dispatcher->options.net));
}

/* All of them, and the oldest first: who has come first gets the first slots. */
static struct entry *take_touched(struct dispatcher *dispatcher)
{
    struct entry *newest = atomic_exchange(&dispatcher->touched, NULL), *oldest = NULL;
    while (newest != NULL) {
        struct entry *next = newest->next_touched;
        newest->next_touched = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void step(struct dispatcher *dispatcher, struct entry *entry)
{
    entry_step(entry, dispatcher->now_ms);
    entry->due_ms = entry_deadline_ms(entry);
    if (entry->due_ms < dispatcher->due_ms)
        dispatcher->due_ms = entry->due_ms;
}

/* One that touches itself is not stepped twice in a row: the next step takes it. */
static void step_touched(struct dispatcher *dispatcher)
{
    struct entry *next;
    for (struct entry *entry = take_touched(dispatcher); entry != NULL; entry = next) {
        next = entry->next_touched;
        atomic_store(&entry->is_touched, false); /* first: what happens from here on counts anew */
        step(dispatcher, entry);
    }
}

/* Those whose time has come; all of them if somebody may have waited for what there is now. */
static void step_due(struct dispatcher *dispatcher)
{
    uint64_t changes = resources_changes(dispatcher->resources);
    bool is_all = changes != dispatcher->changes_seen;
    if (!is_all && dispatcher->now_ms < dispatcher->due_ms)
        return;
    dispatcher->changes_seen = changes;
    dispatcher->due_ms = INT64_MAX;
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        struct entry *entry = dispatcher->entries[i];
        if (is_all || entry->due_ms <= dispatcher->now_ms)
            step(dispatcher, entry);
        else if (entry->due_ms < dispatcher->due_ms)
            dispatcher->due_ms = entry->due_ms;
    }
}

/* The oldest ones that are over go, when there are too many. */
static void forget_old(struct dispatcher *dispatcher)
{
    uint32_t kept = 0;
    if (dispatcher->over_count <= dispatcher->options.retained_jobs)
        return;
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        struct entry *entry = dispatcher->entries[i];
        if (entry->phase == ENTRY_OVER && !entry->is_end_unstored &&
            !atomic_load(&entry->is_touched) &&
            dispatcher->over_count > dispatcher->options.retained_jobs) {
            entry_free(entry);
            dispatcher->over_count--;
            continue;
        }
        dispatcher->entries[kept++] = entry;
    }
    dispatcher->entry_count = kept;
}

static bool is_used(void *arg, const char *digest)
{
    const struct dispatcher *dispatcher = arg;
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        const struct entry *entry = dispatcher->entries[i];
        bool is_over = entry->phase == ENTRY_OVER && !entry->is_end_unstored;
        if (!is_over && strcmp(entry->job.digest, digest) == 0)
            return true;
    }
    return false;
}

/* Executables that no job needs any more. */
static void collect_blobs(struct dispatcher *dispatcher, int64_t now_ms)
{
    if (now_ms < dispatcher->next_collect_ms)
        return;
    dispatcher->next_collect_ms = now_ms + COLLECT_MS;
    weir_error *error = blob_store_collect(dispatcher->options.blobs, is_used, dispatcher, now_ms);
    if (error != NULL)
        log_warn("dispatcher", "cannot delete executables: %s", weir_error_message(error));
    weir_error_free(error);
}

void dispatcher_step(struct dispatcher *dispatcher, int64_t now_ms)
{
    dispatcher->now_ms = now_ms;
    errands_step(dispatcher->errands);
    peers_step(dispatcher, now_ms);
    step_touched(dispatcher);
    step_due(dispatcher);
    operations_step(dispatcher, now_ms);
    logs_step(dispatcher, now_ms);
    collect_blobs(dispatcher, now_ms);
    forget_old(dispatcher);
}

int64_t dispatcher_deadline_ms(const struct dispatcher *dispatcher)
{
    int64_t deadline = peers_deadline_ms(dispatcher), logs = logs_deadline_ms(dispatcher);
    if (resources_changes(dispatcher->resources) != dispatcher->changes_seen)
        return dispatcher->now_ms;
    return os_earlier(dispatcher->due_ms, os_earlier(logs, deadline));
}

bool dispatcher_errand(struct dispatcher *dispatcher, void (*run)(void *arg),
    void (*done)(void *arg, bool is_over), void *arg)
{
    return errands_submit(dispatcher->errands, NULL, run, done, arg);
}

struct dispatcher *dispatcher_new(const struct dispatcher_options *options)
{
    struct dispatcher *dispatcher = mem_alloc(sizeof(*dispatcher));
    dispatcher->options = *options;
    dispatcher->resources = resources_new();
    dispatcher->due_ms = INT64_MAX;
    dispatcher->errands =
        errands_new(options->workers, net_waker(options->net), DISPATCHER_JOBS_MAX + ERRANDS_MAX);
    return dispatcher;
}

void dispatcher_free(struct dispatcher *dispatcher)
{
    if (dispatcher == NULL)
        return;
    errands_free(dispatcher->errands);
    logs_free(dispatcher);
    for (uint32_t i = 0; i < dispatcher->entry_count; i++)
        entry_free(dispatcher->entries[i]);
    mem_free(dispatcher->entries);
    operations_free(dispatcher);
    peers_free(dispatcher);
    resources_free(dispatcher->resources);
    mem_free(dispatcher);
}

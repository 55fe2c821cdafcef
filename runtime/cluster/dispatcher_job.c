/* dispatcher_job.c -- the life of one job: planned (dispatcher_plan.c), opened, run by its job manager, over.
 * Prefixes: entry_
 *
 *   TO_PLAN -> PLANNING -> TO_OPEN -> OPENING -> RUNNING -> TO_CLOSE -> CLOSING -> OVER
 *                             ^                                            |
 *                             '--------------------------------------------'
 *                              rescaled (dispatcher_rescale.c), moved (dispatcher_move.c): the job manager goes, and
 *                              another one comes, with the same checkpoints, as after a failure
 *
 * What blocks is an errand: a directory is opened and closed by a worker, and what a job manager has begun (a checkpoint
 * is read, or published) ends before it goes, however long its disk takes. The job is CANCELLING, or FAILING, till then. */
#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "checkpoint/storage.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/dispatcher_private.h"
#include "runtime/cluster/job_archive.h"

#include <stdio.h>

#define ASK_AGAIN_MS   50 /* for the checkpoint of a rescale, when one is under way; for a worker */
#define STORE_PAUSE_MS 1000 /* until the job store, or a directory of checkpoints, is asked again */
#define ARENA_SIZE_MAX ((size_t)64 << 20)

/* -- states --------------------------------------------------------------------------------------- */

/* What a new leader must know. It is tried again till the store takes it: a disk may be full, and be emptied. */
static bool is_stored(struct entry *entry, const char *what, weir_error *error)
{
    if (error == NULL)
        return true;
    log_error("dispatcher", "cannot store that job %s %s; again in %d s: %s", entry->job.id, what,
        STORE_PAUSE_MS / 1000, weir_error_message(error));
    weir_error_free(error);
    entry->again_ms = os_monotonic_ms() + STORE_PAUSE_MS;
    return false;
}

/* Before its first task: a new leader must not take the job's own checkpoints for those of another one. */
static bool store_start(struct entry *entry)
{
    struct job_store *store = entry->dispatcher->options.store;
    if (!entry->has_started)
        entry->has_started = store == NULL || is_stored(entry, "starts",
                                                  job_store_update(store, entry->job.id,
                                                      RECORD_RUNNING, "", os_wall_ms()));
    return entry->has_started;
}

static bool store_end(struct entry *entry)
{
    const struct job *job = &entry->job;
    struct job_store *store = entry->dispatcher->options.store;
    enum job_status status = entry->end_state == JOB_FINISHED   ? RECORD_FINISHED
                             : entry->end_state == JOB_CANCELED ? RECORD_CANCELLED
                                                                : RECORD_FAILED;
    if (store == NULL)
        return true;
    weir_buffer *archive = weir_buffer_new(JOB_ARCHIVE_MAX);
    job_archive_encode(job, entry->version == NULL ? (weir_str){ 0 } : entry->version->bytes,
        archive);
    bool is_known = is_stored(entry, "is over",
        job_store_end(store, job->id, status,
            job->error == NULL ? "" : weir_error_message(job->error), weir_buffer_view(archive),
            job->end_ms));
    weir_buffer_free(archive);
    return is_known;
}

void entry_set_state(struct entry *entry, enum job_state state)
{
    struct job *job = &entry->job;
    bool is_bad = state == JOB_FAILED || state == JOB_SUSPENDED;
    const char *why = is_bad && job->error != NULL ? weir_error_message(job->error) : NULL;
    if (job->state == state && job->entered_ms[state] > 0)
        return;
    log_line(is_bad ? LOG_ERROR : LOG_INFO, "dispatcher", "job %s (%s) is %s%s%s", job->id,
        job->name, job_state_name(state), why == NULL ? "" : ": ", why == NULL ? "" : why);
    job->state = state;
    job->entered_ms[state] = os_wall_ms();
}

/* Once the next leader would know it, too: it would start the job again beside the one that somebody has started from
 * the savepoint of a stop, say. */
static void tell_end(struct entry *entry)
{
    bool is_known;
    FAULT_STEP_VOID(JOB_OVER_STORE, is_known = store_end(entry));
    entry->is_end_unstored = !is_known;
    if (!is_known)
        return;
    entry->is_version_unstored = false; /* nobody goes on with it */
    entry_set_state(entry, entry->end_state);
    operations_job_over(entry);
}

static void be_over(struct entry *entry)
{
    ASSERT(entry->storage == NULL);
    entry->phase = ENTRY_OVER;
    entry->dispatcher->over_count++;
    tell_end(entry);
}

/* No job manager has it any more, and none will. Takes the error. */
void entry_finish(struct entry *entry, enum job_state state, weir_error *error)
{
    ASSERT(entry->jobmanager == NULL);
    weir_error_free(entry->job.error);
    entry->job.error = error;
    entry->job.end_ms = os_wall_ms();
    entry->end_state = state;
    if (entry->storage != NULL) /* between two versions */
        entry->phase = ENTRY_TO_CLOSE;
    else
        be_over(entry);
}

/* -- opening ---------------------------------------------------------------------------------------- */

/* A start that is refused leaves alone whoever uses the directory. */
static weir_error *check_fresh(const struct job_spec *spec, const char *root)
{
    struct checkpoint_metadata metadata;
    bool found;
    if (root == NULL || (!spec->is_fresh && spec->from_savepoint == NULL))
        return NULL;
    weir_error *error = storage_preview(root, spec->plan->job, true, &metadata, &found);
    ASSERT(error != NULL || !found);
    return error == NULL || spec->from_savepoint == NULL
               ? error
               : weir_error_wrap(error, "cannot start from '%s'", spec->from_savepoint);
}

/* Thread: worker. */
static void run_open(void *arg)
{
    struct entry *entry = arg;
    const struct job_spec *spec = &entry->version->spec;
    const struct dispatcher_options *options = &entry->dispatcher->options;
    if (entry->storage !=
        NULL) { /* of the version before: what is temporary would be lost with it */
        entry->open_error = storage_next_attempt(entry->storage);
        return;
    }
    char *root = spec->checkpoints != NULL ? mem_strdup(spec->checkpoints)
                 : options->checkpoints != NULL
                     ? mem_printf("%s/%s", options->checkpoints, entry->job.id)
                     : NULL;
    entry->open_error = entry->has_started ? NULL : check_fresh(spec, root);
    if (entry->open_error == NULL)
        entry->open_error = storage_open(root, spec->plan->job, spec->retained, &entry->storage);
    mem_free(root);
}

static void make_gateway(struct entry *entry)
{
    const struct dispatcher *dispatcher = entry->dispatcher;
    const struct job_spec *spec = &entry->version->spec;
    struct gateway_options options = { .job = entry->job.id,
        .plan = spec->plan,
        .digest = entry->job.digest,
        .program = entry->program,
        .arguments =
            message_put_strings(spec->arguments, spec->argument_count, &entry->version->arena),
        .resources = dispatcher->resources,
        .epoch = dispatcher->options.epoch,
        .slot_timeout_ms = dispatcher->options.slot_timeout_ms,
        .start_timeout_ms = dispatcher->options.start_timeout_ms,
        .heartbeat_timeout_ms = dispatcher->options.heartbeat_timeout_ms };
    entry->gateway = gateway_new(&options);
}

static void make_jobmanager(struct entry *entry, bool has_begun)
{
    const struct dispatcher_options *dispatcher = &entry->dispatcher->options;
    const struct job_spec *spec = &entry->version->spec;
    struct jobmanager_options options = { .plan = spec->plan,
        .id = entry->job.id,
        .backend = spec->backend,
        .storage = entry->storage,
        .workers = dispatcher->workers,
        .wake = entry_touch,
        .wake_arg = entry,
        .tasks = gateway_tasks(entry->gateway),
        .interval_ms = spec->interval_ms,
        .min_pause_ms = spec->min_pause_ms,
        .timeout_ms = spec->timeout_ms,
        .aligned_timeout_ms = spec->aligned_timeout_ms,
        .restart = spec->restart,
        .stop_timeout_ms = spec->stop_timeout_ms,
        .is_fresh = spec->is_fresh,
        .from_savepoint = spec->from_savepoint,
        .has_begun = has_begun,
        .allow_non_restored = spec->allow_non_restored,
        .savepoints = spec->savepoints,
        .history = &entry->job.history };
    entry->jobmanager = jobmanager_new(&options);
    gateway_set_jobmanager(entry->gateway, entry->jobmanager);
}

/* A directory that was there before will be there again: a disk is full, or a machine away. Takes the error. */
static void open_again(struct entry *entry, weir_error *error)
{
    enum weir_code code = weir_error_code(error);
    if (entry->is_cancel_wanted) {
        weir_error_free(error);
        entry_finish(entry, JOB_CANCELED, NULL);
        return;
    }
    if (!entry->has_started || (code != WEIR_E_IO && code != WEIR_E_DISK_FULL)) {
        entry_finish(entry, JOB_FAILED, error);
        return;
    }
    log_error("dispatcher", "job %s, which has run, cannot open its checkpoints; again in %d s: %s",
        entry->job.id, STORE_PAUSE_MS / 1000, weir_error_message(error));
    weir_error_free(error);
    entry->phase = ENTRY_TO_OPEN;
    entry->again_ms = entry->dispatcher->now_ms + STORE_PAUSE_MS;
}

static void on_opened(void *arg, bool is_over)
{
    struct entry *entry = arg;
    if (is_over)
        return;
    weir_error *error = entry->open_error;
    entry->open_error = NULL;
    ASSERT(entry->phase == ENTRY_OPENING);
    entry_touch(entry);
    if (error != NULL) {
        open_again(entry, error);
        return;
    }
    bool has_begun = entry->has_started;
    bool is_stored_now;
    FAULT_STEP_VOID(JOB_START_STORE, is_stored_now = store_start(entry));
    if (!is_stored_now) {
        entry->phase = ENTRY_TO_OPEN; /* its directory stays open */
        return;
    }
    make_gateway(entry);
    make_jobmanager(entry, has_begun);
    entry->job.jobmanager = entry->jobmanager;
    entry->job.stats = jobmanager_stats(entry->jobmanager);
    entry->job.gateway = entry->gateway;
    entry->phase = ENTRY_RUNNING;
    entry_set_state(entry, JOB_CREATED);
    jobmanager_start(entry->jobmanager, entry->dispatcher->now_ms);
    if (entry->is_cancel_wanted)
        jobmanager_cancel(entry->jobmanager);
}

static bool is_same_dir(const char *a, const char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b);
    while (a_size > 1 && a[a_size - 1] == '/')
        a_size--;
    while (b_size > 1 && b[b_size - 1] == '/')
        b_size--;
    return a_size == b_size && memcmp(a, b, a_size) == 0;
}

/* Another job that is not over keeps its checkpoints where this one would; NULL: none. */
static const struct entry *find_rival(const struct entry *entry)
{
    const struct dispatcher *dispatcher = entry->dispatcher;
    const struct job_spec *spec = &entry->version->spec;
    for (uint32_t i = 0; i < dispatcher->entry_count && spec->checkpoints != NULL; i++) {
        const struct entry *it = dispatcher->entries[i];
        bool is_open = (it->phase >= ENTRY_OPENING && it->phase < ENTRY_OVER) ||
                       (it->phase == ENTRY_TO_OPEN && it->has_started);
        if (it != entry && is_open && it->version->spec.checkpoints != NULL &&
            is_same_dir(it->version->spec.checkpoints, spec->checkpoints) &&
            strcmp(it->job.plan->job, spec->plan->job) == 0)
            return it;
    }
    return NULL;
}

/* Its first attempt would fence that of the other job, which has done nothing wrong. */
static void refuse_open(struct entry *entry, const struct entry *rival)
{
    entry_finish(entry, JOB_FAILED,
        weir_errorf(WEIR_E_STATE,
            "job %s, which is not over, has the same name '%s' and the same checkpoint directory "
            "'%s', and goes on; give this one another --job-name or --checkpoints, or stop the "
            "other one first ('weir stop %s')",
            rival->job.id, rival->job.plan->job, rival->version->spec.checkpoints, rival->job.id));
}

static void open_entry(struct entry *entry)
{
    struct dispatcher *dispatcher = entry->dispatcher;
    const struct entry *rival = entry->has_started ? NULL : find_rival(entry);
    if (rival != NULL) {
        refuse_open(entry, rival);
        return;
    }
    entry->phase = ENTRY_OPENING;
    if (errands_submit(dispatcher->errands, NULL, run_open, on_opened, entry))
        return;
    entry->phase = ENTRY_TO_OPEN; /* too much is waiting */
    entry->again_ms = dispatcher->now_ms + ASK_AGAIN_MS;
}

/* -- running ---------------------------------------------------------------------------------------- */

/* Its tasks go to come back: of another version, or elsewhere. */
static bool comes_again(const struct entry *entry)
{
    bool is_to = entry->rescale.step == RESCALE_LEAVING || entry->move == MOVE_LEFT;
    return is_to && !entry->is_cancel_wanted;
}

/* The same when its job manager is over: the directory stays open. */
static bool is_kept(const struct entry *entry)
{
    return entry->job.stats != NULL && entry->job.stats->state == EXECUTION_CANCELED &&
           comes_again(entry);
}

static enum job_state state_of(const struct entry *entry)
{
    switch (entry->job.stats->state) {
    case EXECUTION_CREATED:
        return JOB_CREATED;
    case EXECUTION_RUNNING:
    case EXECUTION_STOPPING:
    case EXECUTION_FINISHING:
        /* Who sees RUNNING may ask for a savepoint: before all tasks are there it would be refused. */
        return entry->job.stats->running_since_ms > 0 ? JOB_RUNNING : entry->job.state;
    case EXECUTION_FAILING:
        return JOB_FAILING;
    case EXECUTION_RESTARTING:
        return JOB_RESTARTING;
    case EXECUTION_CANCELLING:
        return comes_again(entry) ? JOB_RESTARTING : JOB_CANCELLING;
    case EXECUTION_FINISHED:
    case EXECUTION_FAILED:
    case EXECUTION_CANCELED:
        break;
    }
    return entry->job.state; /* told when everything is put away */
}

static void let_go(struct entry *entry)
{
    entry->job.jobmanager = NULL;
    entry->job.stats = NULL;
    entry->job.gateway = NULL;
    jobmanager_free(entry->jobmanager);
    gateway_free(entry->gateway);
    entry->jobmanager = NULL;
    entry->gateway = NULL;
    entry->move = MOVE_NONE;
}

/* What a new leader starts; until the store has taken it, that is the old version. */
static void store_version(struct entry *entry)
{
    struct job_store *store = entry->dispatcher->options.store;
    struct arena arena;
    if (store == NULL)
        return;
    arena_init(&arena, 4096, DISPATCHER_STORED_SIZE_MAX);
    entry->is_version_unstored = !is_stored(entry, "was rescaled",
        FAULT_STEP(RESCALE_STORE,
            job_store_change(store, entry->job.id, dispatcher_stored_spec(entry, &arena))));
    arena_release(&arena);
}

/* The old tasks are gone, because they were to; the new ones come as after a failure. False: they were not to go. */
static bool comes_back(struct entry *entry)
{
    if (!is_kept(entry))
        return false;
    let_go(entry);
    if (entry->rescale.step == RESCALE_LEAVING) {
        rescale_change(entry);
        store_version(entry);
    }
    entry->phase = ENTRY_TO_OPEN;
    return true;
}

/* A leader that was frozen while it claimed an attempt may finish that behind its successor, and then learn that it
 * leads no more: nobody would run the job. Who leads claims it back, once: somebody else who really uses the
 * directory stays in charge. */
static bool claims_back(struct entry *entry, enum execution_state state, weir_error *error)
{
    if (state != EXECUTION_FAILED || error == NULL ||
        (weir_error_code(error) != WEIR_E_FENCED && !entry->is_overtaken) ||
        entry->has_claimed_back || entry->stop != NULL || entry->rescale.step != RESCALE_NONE ||
        entry->is_cancel_wanted)
        return false;
    log_error("dispatcher",
        "job %s, whose checkpoints another attempt has claimed: %s; this job manager leads, so it "
        "claims the job back, once",
        entry->job.id, weir_error_message(error));
    weir_error_free(error);
    let_go(entry);
    entry->has_claimed_back = true;
    entry->phase = ENTRY_TO_OPEN;
    entry_set_state(entry, JOB_RESTARTING);
    return true;
}

static void keep_metrics(struct entry *entry)
{
    entry->job.last_metrics = mem_dup(gateway_metrics(entry->gateway, 0),
        entry->job.plan->subtask_count * sizeof(*entry->job.last_metrics));
}

static void on_over(struct entry *entry)
{
    enum execution_state state = entry->job.stats->state;
    weir_error *error = jobmanager_take_error(entry->jobmanager);
    if (claims_back(entry, state, error) || comes_back(entry))
        return;
    error = weir_error_join(error, jobmanager_settle(entry->jobmanager));
    keep_metrics(entry);
    let_go(entry);
    entry_finish(entry,
        state == EXECUTION_FINISHED   ? JOB_FINISHED
        : state == EXECUTION_CANCELED ? JOB_CANCELED
                                      : JOB_FAILED,
        error);
}

/* -- closing ---------------------------------------------------------------------------------------- */

/* Whoever claims an attempt deletes what older ones were writing, so their tasks may see no fence, but files that are
 * gone. */
static bool is_overtaken(const struct storage *storage)
{
    weir_error *error = storage == NULL ? NULL : storage_check_attempt(storage);
    bool is_it = error != NULL && weir_error_code(error) == WEIR_E_FENCED;
    weir_error_free(error);
    return is_it;
}

/* Thread: worker. */
static void run_close(void *arg)
{
    struct entry *entry = arg;
    entry->is_overtaken = is_overtaken(entry->closing);
    storage_close(entry->closing);
    entry->closing = NULL;
}

static void on_closed(void *arg, bool is_over)
{
    struct entry *entry = arg;
    if (is_over)
        return;
    ASSERT(entry->phase == ENTRY_CLOSING);
    entry_touch(entry);
    if (entry->storage != NULL && !is_kept(entry))
        entry->phase = ENTRY_TO_CLOSE; /* it was to come back, but was cancelled meanwhile */
    else if (entry->jobmanager != NULL)
        on_over(entry);
    else
        be_over(entry);
}

/* In the lane of the job manager, if there is one: behind all that it has begun. */
static void close_entry(struct entry *entry)
{
    struct dispatcher *dispatcher = entry->dispatcher;
    bool keeps = is_kept(entry);
    entry->closing = keeps ? NULL : entry->storage;
    if (!errands_submit(dispatcher->errands, entry->jobmanager, run_close, on_closed, entry)) {
        entry->closing = NULL;
        entry->again_ms = dispatcher->now_ms + ASK_AGAIN_MS; /* too much is waiting */
        return;
    }
    entry->phase = ENTRY_CLOSING;
    if (!keeps)
        entry->storage = NULL;
}

/* Its job manager is over: the slots are free, and what is left may wait for a disk. A savepoint that is being written
 * is heard of before. */
static void begin_close(struct entry *entry)
{
    enum execution_state state = entry->job.stats->state;
    if (state == EXECUTION_FAILED)
        entry_set_state(entry, JOB_FAILING);
    else if (state == EXECUTION_CANCELED && !is_kept(entry))
        entry_set_state(entry, JOB_CANCELLING);
    if (jobmanager_is_asked(entry->jobmanager))
        return;
    entry->phase = ENTRY_TO_CLOSE;
    close_entry(entry);
}

static void step_running(struct entry *entry, int64_t now_ms)
{
    entry_look_at_planner(entry, now_ms);
    gateway_step(entry->gateway, now_ms);
    bool goes_on = jobmanager_step(entry->jobmanager, now_ms);
    gateway_step(entry->gateway, now_ms); /* what the job manager has just asked for */
    if (!goes_on) {
        begin_close(entry);
        return;
    }
    entry_set_state(entry, state_of(entry));
    operations_look_at_stop(entry);
    rescale_step(entry, now_ms);
    entry_step_move(entry);
}

void entry_cancel(struct entry *entry)
{
    entry->is_cancel_wanted = true;
    entry_touch(entry);
    if (entry->phase == ENTRY_RUNNING)
        FAULT_STEP_VOID(CANCEL_TASKS, jobmanager_cancel(entry->jobmanager));
    else if (entry->phase <= ENTRY_TO_OPEN) /* no worker has it in hand */
        entry_finish(entry, JOB_CANCELED, NULL);
}

static void store_again(struct entry *entry)
{
    if (entry->is_version_unstored)
        store_version(entry);
    if (entry->is_end_unstored)
        tell_end(entry);
}

void entry_step(struct entry *entry, int64_t now_ms)
{
    bool is_time = now_ms >= entry->again_ms;
    if (is_time)
        store_again(entry);
    switch (entry->phase) {
    case ENTRY_TO_PLAN:
        if (is_time)
            entry_ask_for_plan(entry, now_ms);
        return;
    case ENTRY_PLANNING:
        entry_look_at_planner(entry, now_ms);
        return;
    case ENTRY_TO_OPEN:
        if (entry->is_cancel_wanted) /* while a worker had it */
            entry_finish(entry, JOB_CANCELED, NULL);
        else if (is_time)
            open_entry(entry);
        return;
    case ENTRY_RUNNING:
        step_running(entry, now_ms);
        return;
    case ENTRY_TO_CLOSE:
        if (is_time)
            close_entry(entry);
        return;
    case ENTRY_SUSPENDED:
    case ENTRY_OPENING:
    case ENTRY_CLOSING:
    case ENTRY_OVER:
        return;
    }
}

static int64_t running_deadline_ms(const struct entry *entry)
{
    int64_t plan = entry->plan_request[0] == '\0' ? INT64_MAX : entry->deadline_ms + 1;
    bool is_asking = entry->rescale.step == RESCALE_READY || entry->move == MOVE_TO_ASK;
    int64_t again = is_asking ? entry->dispatcher->now_ms + ASK_AGAIN_MS : INT64_MAX;
    return os_earlier(os_earlier(plan, again),
        os_earlier(gateway_deadline_ms(entry->gateway), jobmanager_deadline_ms(entry->jobmanager)));
}

int64_t entry_deadline_ms(const struct entry *entry)
{
    int64_t now_ms = entry->dispatcher->now_ms;
    bool is_again = entry->again_ms > now_ms;
    int64_t store =
        entry->is_end_unstored || entry->is_version_unstored ? entry->again_ms : INT64_MAX;
    switch (entry->phase) {
    case ENTRY_TO_PLAN: /* in time, or when a task manager comes */
        return is_again ? entry->again_ms : INT64_MAX;
    case ENTRY_PLANNING:
        return entry->deadline_ms + 1;
    case ENTRY_TO_OPEN:
    case ENTRY_TO_CLOSE:
        return is_again ? entry->again_ms : now_ms;
    case ENTRY_RUNNING:
        return os_earlier(store, running_deadline_ms(entry));
    case ENTRY_SUSPENDED:
    case ENTRY_OPENING:
    case ENTRY_CLOSING:
    case ENTRY_OVER:
        break;
    }
    return store;
}

/* -- life -------------------------------------------------------------------------------------------- */

static weir_error *unpack(struct entry *entry, weir_str archive, enum weir_code *code)
{
    struct version *version;
    weir_str spec;
    WEIR_TRY(job_archive_decode(archive, &entry->job, code, &spec));
    if (spec.size == 0)
        return NULL;
    WEIR_TRY(version_new(spec, &version));
    entry_set_version(entry, version);
    return NULL;
}

void entry_set_over(struct entry *entry, const struct job_record *record)
{
    struct job *job = &entry->job;
    enum weir_code code = WEIR_CODE_COUNT;
    entry->phase = ENTRY_OVER;
    entry->dispatcher->over_count++;
    job->state = record->status == RECORD_FINISHED    ? JOB_FINISHED
                 : record->status == RECORD_CANCELLED ? JOB_CANCELED
                                                      : JOB_FAILED;
    weir_error *error = record->archive.size == 0 ? NULL : unpack(entry, record->archive, &code);
    if (error != NULL)
        log_warn("dispatcher", "of job %s, which is over, not everything can be shown: %s", job->id,
            weir_error_message(error));
    weir_error_free(error);
    job->end_ms = job->entered_ms[job->state] = record->ended_ms;
    if (job->state == JOB_FAILED)
        job->error =
            weir_errorf(code < WEIR_CODE_COUNT ? code : WEIR_E_STATE, "%s", record->message);
}

struct entry *entry_new(struct dispatcher *dispatcher, const struct submission *submission,
    const char *id)
{
    struct entry *entry = mem_alloc(sizeof(*entry));
    struct job *job = &entry->job;
    entry->dispatcher = dispatcher;
    arena_init(&entry->arena, 1024, ARENA_SIZE_MAX);
    if (id == NULL)
        address_new_id(job->id);
    else
        snprintf(job->id, sizeof(job->id), "%s", id);
    entry->program = arena_strdup(&entry->arena, submission->program);
    job->name = mem_strdup(submission->program);
    job->digest = mem_strdup(submission->digest);
    entry->arguments =
        arena_alloc(&entry->arena, (submission->argument_count + 1) * sizeof(char *));
    for (uint32_t i = 0; i < submission->argument_count; i++)
        entry->arguments[i] = arena_strdup(&entry->arena, submission->arguments[i]);
    job->arguments = entry->arguments;
    job->argument_count = submission->argument_count;
    job->start_ms = os_wall_ms();
    history_init(&job->history, 0);
    entry_init_planning(entry);
    entry_set_state(entry, JOB_INITIALIZING);
    return entry;
}

void entry_free(struct entry *entry)
{
    struct job *job = &entry->job;
    if (entry->jobmanager != NULL) {
        gateway_abandon(entry->gateway);
        let_go(entry);
        storage_leave(entry->storage); /* what its workers write goes on lying there */
    } else {
        storage_close(entry->storage); /* opened, and nobody has heard of it */
    }
    version_free(entry->version);
    version_free(entry->rescale.version);
    weir_error_free(entry->rescale.why);
    weir_error_free(entry->open_error);
    weir_error_free(job->error);
    history_release(&job->history);
    mem_free(job->last_metrics);
    mem_free(job->name);
    mem_free(job->digest);
    arena_release(&entry->arena);
    mem_free(entry);
}

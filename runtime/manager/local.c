/* local.c -- see local.h. */
#include "runtime/manager/local.h"

#include "base/assert.h"
#include "base/os.h"
#include "checkpoint/listing.h"
#include "runtime/manager/expectation.h"
#include "state/rocksdb.h"

#define JOBS_MAX 4096 /* blocking work that waits */

const struct local_options local_defaults = {
    .retained = 2,
    .backend = &backend_cache,
    .memory_size = UINT64_C(1) << 30,
    .worker_count = 4,
    .batch_max = GATE_BATCH_MAX,
    .buffer_timeout_ms = 50,
    .watermark_interval_ms = 50,
    .interval_ms = 10000,
    .min_pause_ms = 100,
    .timeout_ms = 600000,
    .aligned_timeout_ms = 10000,
    .stop_timeout_ms = 60000,
    .restart = RESTART_DEFAULT,
};

struct local {
    struct local_options options;
    struct waker *waker;
    struct workers *workers;
    struct storage *storage;
    struct taskmanager *taskmanager;
    struct jobmanager *jobmanager;
    struct task_host host; /* of the tasks of the newest attempt */
    bool is_started;
};

/* -- the task gateway ----------------------------------------------------------------------------- */

static weir_error *gateway_deploy(void *arg, const struct deployment *deployment)
{
    struct local *local = arg;
    const struct local_options *options = &local->options;
    if (deployment->subtasks != NULL) /* the others read it, and it would be the same */
        return taskmanager_deploy(local->taskmanager, &local->host, deployment);
    local->host = (struct task_host){ .backend = options->backend,
        .backend_memory = taskmanager_backend_size(local->taskmanager, NULL),
        .backend_pool = taskmanager_backend_pool(local->taskmanager),
        .checkpoint_interval_ms = options->interval_ms,
        .watermark_interval_ms = options->watermark_interval_ms,
        .buffer_timeout_ms = options->buffer_timeout_ms,
        .batch_max = options->batch_max };
    jobmanager_host(local->jobmanager, &local->host);
    return taskmanager_deploy(local->taskmanager, &local->host, deployment);
}

static void gateway_tear_down(void *arg, const bool *subtasks)
{
    struct local *local = arg;
    taskmanager_tear_down(local->taskmanager, subtasks);
}

static void gateway_trigger(void *arg, uint64_t checkpoint)
{
    const struct local *local = arg;
    taskmanager_trigger(local->taskmanager, checkpoint);
}

static void gateway_complete(void *arg, uint64_t checkpoint)
{
    const struct local *local = arg;
    taskmanager_complete(local->taskmanager, checkpoint);
}

static void gateway_overtake(void *arg, uint64_t checkpoint)
{
    const struct local *local = arg;
    taskmanager_overtake(local->taskmanager, checkpoint);
}

static void gateway_abort(void *arg, uint64_t checkpoint)
{
    const struct local *local = arg;
    taskmanager_abort(local->taskmanager, checkpoint);
}

static void gateway_stop(void *arg)
{
    const struct local *local = arg;
    taskmanager_stop(local->taskmanager);
}

static void gateway_drain(void *arg)
{
    const struct local *local = arg;
    taskmanager_drain(local->taskmanager);
}

static bool gateway_has_published(void *arg, uint64_t checkpoint)
{
    const struct local *local = arg;
    return taskmanager_has_published(local->taskmanager, checkpoint);
}

/* -- open, close ---------------------------------------------------------------------------------- */

/* A likely slip: DIR/job given where DIR is meant; it would begin anew, inside the old one. */
static weir_error *check_root(const char *root, const char *job)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(root, &stat));
    if (!stat.exists)
        return NULL;
    if (!stat.is_directory)
        return weir_errorf(WEIR_E_USAGE,
            "--checkpoints '%s' is not a directory; name one, or a new one to be made", root);
    char **names;
    uint32_t count;
    WEIR_TRY(os_list(root, &names, &count));
    bool is_inside = false;
    for (uint32_t i = 0; i < count && !is_inside; i++) {
        uint64_t number;
        is_inside = listing_number(names[i], "attempt-", &number);
    }
    os_names_free(names, count);
    if (!is_inside)
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "--checkpoints '%s' is the checkpoint directory of one job itself; give the directory "
        "above "
        "it, where '%s' has its own",
        root, job);
}

static void wake(void *arg)
{
    waker_wake(arg);
}

static struct jobmanager *make_jobmanager(struct local *local)
{
    const struct local_options *options = &local->options;
    struct jobmanager_options jobmanager = { .plan = options->plan,
        .backend = options->backend->format,
        .storage = local->storage,
        .workers = local->workers,
        .wake = wake,
        .wake_arg = local->waker,
        .tasks = { .arg = local,
            .deploy = gateway_deploy,
            .tear_down = gateway_tear_down,
            .trigger = gateway_trigger,
            .complete = gateway_complete,
            .overtake = gateway_overtake,
            .abort = gateway_abort,
            .stop = gateway_stop,
            .drain = gateway_drain,
            .has_published = gateway_has_published },
        .interval_ms = options->interval_ms,
        .min_pause_ms = options->min_pause_ms,
        .timeout_ms = options->timeout_ms,
        .aligned_timeout_ms = options->aligned_timeout_ms,
        .restart = options->restart,
        .stop_timeout_ms = options->stop_timeout_ms,
        .is_fresh = options->is_fresh,
        .from_savepoint = options->from_savepoint,
        .allow_non_restored = options->allow_non_restored,
        .savepoints = options->savepoints,
        .stop_with_savepoint = options->stop_with_savepoint };
    return jobmanager_new(&jobmanager);
}

static weir_error *check_newest(const struct local_options *options,
    const struct checkpoint_metadata *metadata)
{
    struct expectations expected;
    expectations_init(&expected, options->plan, options->backend->format);
    weir_error *error =
        restore_check(metadata, expected.list, expected.count, options->plan->max_parallelism);
    expectations_release(&expected);
    return error;
}

/* Whatever would refuse to restore does so before an attempt is claimed: that would end a job that runs on
 * the same directory. */
static weir_error *check_start(const struct local_options *options)
{
    struct checkpoint_metadata metadata;
    bool found;
    if (options->checkpoints == NULL)
        return NULL;
    WEIR_TRY(check_root(options->checkpoints, options->plan->job));
    bool is_new = options->is_fresh || options->from_savepoint != NULL;
    weir_error *error =
        storage_preview(options->checkpoints, options->plan->job, is_new, &metadata, &found);
    if (error != NULL && options->from_savepoint != NULL)
        return weir_error_wrap(error, "cannot start from '%s'", options->from_savepoint);
    if (error != NULL || !found)
        return error;
    error = check_newest(options, &metadata);
    checkpoint_metadata_release(&metadata);
    return error;
}

weir_error *local_open(const struct local_options *options, struct local **local)
{
    struct storage *storage;
    WEIR_TRY(check_start(options));
    WEIR_TRY(storage_open(options->checkpoints, options->plan->job, options->retained, &storage));
    struct local *it = *local = mem_alloc(sizeof(*it));
    it->options = *options;
    it->storage = storage;
    it->waker = waker_new();
    it->workers = workers_new(options->worker_count, JOBS_MAX);
    struct taskmanager_options taskmanager = { .plan = options->plan,
        .memory_size = options->memory_size,
        .is_threaded = options->worker_count > 0 };
    it->taskmanager = taskmanager_new(&taskmanager);
    if (strcmp(options->backend->format, backend_rocksdb.format) == 0)
        rocksdb_set_cache_size(taskmanager_cache_size(it->taskmanager));
    it->jobmanager = make_jobmanager(it);
    return NULL;
}

void local_close(struct local *local)
{
    if (local == NULL)
        return;
    taskmanager_tear_down(local->taskmanager, NULL);
    jobmanager_free(local->jobmanager);
    taskmanager_free(local->taskmanager);
    workers_free(local->workers);
    storage_close(local->storage);
    waker_free(local->waker);
    mem_free(local);
}

/* -- stepping ------------------------------------------------------------------------------------- */

bool local_step(struct local *local)
{
    if (!local->is_started)
        jobmanager_start(local->jobmanager, os_monotonic_ms());
    local->is_started = true;
    return jobmanager_step(local->jobmanager, os_monotonic_ms());
}

weir_error *local_error(struct local *local)
{
    weir_error *unsaved = jobmanager_settle(local->jobmanager);
    return weir_error_join(jobmanager_take_error(local->jobmanager), unsaved);
}

int64_t local_deadline_ms(const struct local *local)
{
    return jobmanager_deadline_ms(local->jobmanager);
}

uint32_t local_slot_count(const struct local *local)
{
    return taskmanager_slot_count(local->taskmanager);
}

bool local_slot_round(struct local *local, uint32_t slot)
{
    ASSERT(local->options.worker_count == 0);
    return executor_round(taskmanager_slot(local->taskmanager, slot));
}

int64_t local_slot_deadline_ms(const struct local *local, uint32_t slot)
{
    return executor_deadline_ms(taskmanager_slot(local->taskmanager, slot));
}

bool local_worker_step(struct local *local)
{
    return workers_step(local->workers);
}

void local_stop(struct local *local)
{
    jobmanager_stop(local->jobmanager, os_monotonic_ms());
}

void local_savepoint(struct local *local)
{
    jobmanager_savepoint(local->jobmanager, os_monotonic_ms());
}

void local_cancel(struct local *local)
{
    jobmanager_cancel(local->jobmanager);
}

/* -- running -------------------------------------------------------------------------------------- */

static int64_t sleep_ms(const struct local *local, int64_t watch_ms)
{
    int64_t deadline = os_earlier(local_deadline_ms(local), watch_ms);
    return deadline == INT64_MAX ? -1 : os_left_ms(deadline, os_monotonic_ms());
}

weir_error *local_run(struct local *local, const struct local_watch *watch)
{
    ASSERT(local->options.worker_count > 0);
    int64_t watch_ms = INT64_MAX;
    while (local_step(local)) {
        if (watch != NULL)
            watch_ms = watch->look(watch->arg, os_monotonic_ms());
        waker_wait(local->waker, sleep_ms(local, watch_ms));
    }
    return local_error(local);
}

struct waker *local_waker(struct local *local)
{
    return local->waker;
}

const struct jobmanager_stats *local_stats(const struct local *local)
{
    return jobmanager_stats(local->jobmanager);
}

const struct taskmanager *local_tasks(const struct local *local)
{
    return local->taskmanager;
}

const struct plan *local_plan(const struct local *local)
{
    return local->options.plan;
}

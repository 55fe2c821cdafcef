/* options.c -- see options.h. An option with a closed set of values lists them in its value name:
 * "text|json" is what the usage shows and what is checked. */
#include "runtime/program/options.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "runtime/cluster/job_spec.h"
#include "types/key_group.h"

#include <string.h>

#define MS_MAX         JOB_SPEC_MS_MAX
#define FIXED_ATTEMPTS 3 /* of --restart fixed, if not said */
#define FIXED_DELAY_MS 1000

/* clang-format off */
static const struct weir_option rows[] = {
    { "job-name", WEIR_OPTION_TEXT, "NAME", NULL,
        "What the job is called: in checkpoints, consumer groups, transactional ids. Two of one program "
        "that share a directory, or an output topic, need a name each.", 0, 0 },
    { "parallelism", WEIR_OPTION_NUMBER, "N", "1",
        "Subtasks of each operator that does not say its own.", 1, MAX_PARALLELISM_LIMIT },
    { "max-parallelism", WEIR_OPTION_NUMBER, "N", "128",
        "Key groups: the parallelism that the state can ever be spread over. Fixed by the first "
        "checkpoint.", 1, MAX_PARALLELISM_LIMIT },
    { "checkpoints", WEIR_OPTION_TEXT, "DIR", NULL,
        "Where checkpoints are kept, in a directory per job. The job resumes from the newest complete "
        "one. Without it they are temporary: exactly once, but only while the process lives.", 0, 0 },
    { "checkpoint-interval", WEIR_OPTION_DURATION, "TIME", "10s",
        "From the start of a checkpoint to that of the next. Output becomes visible with each one. 0: "
        "only the last one, when the job ends.", 0, MS_MAX },
    { "checkpoint-timeout", WEIR_OPTION_DURATION, "TIME", "10m",
        "A checkpoint that takes longer is given up; the job goes on.", 1, MS_MAX },
    { "aligned-checkpoint-timeout", WEIR_OPTION_DURATION, "TIME", "10s",
        "A checkpoint that takes longer goes on unaligned: its barriers overtake the records they wait "
        "behind, and these become a part of it. 0: at once. Savepoints are always aligned.", 0, MS_MAX },
    { "min-pause", WEIR_OPTION_DURATION, "TIME", "100ms",
        "From the end of a checkpoint to the start of the next, at least.", 0, MS_MAX },
    { "retained", WEIR_OPTION_NUMBER, "N", "2",
        "Complete checkpoints to keep.", 1, JOB_SPEC_RETAINED_MAX },
    { "fresh", WEIR_OPTION_FLAG, NULL, NULL,
        "Start from the beginning; refuses if there is a complete checkpoint.", 0, 0 },
    { "from-savepoint", WEIR_OPTION_TEXT, "PATH", NULL,
        "-s for short. Start from this savepoint, or from a checkpoint (chk-<n>) of another directory or "
        "backend; refuses if there is a complete checkpoint in --checkpoints.", 0, 0 },
    { "allow-non-restored-state", WEIR_OPTION_FLAG, NULL, NULL,
        "Drop state of the savepoint that the job no longer has, instead of refusing it.", 0, 0 },
    { "savepoints", WEIR_OPTION_TEXT, "DIR", NULL,
        "Where savepoints are written. SIGUSR1 asks for one; the job goes on meanwhile.", 0, 0 },
    { "stop-with-savepoint", WEIR_OPTION_FLAG, NULL, NULL,
        "SIGTERM and SIGINT end with a savepoint, too.", 0, 0 },
    { "state-backend", WEIR_OPTION_TEXT, "rocksdb|rocksdb-uncached|hashmap", "rocksdb",
        "Where keyed state lives: on disk with a cache, or on the heap, for small state.", 0, 0 },
    { "memory", WEIR_OPTION_SIZE, "SIZE", "1GB",
        "For the process: half of it for state, an eighth each for the block cache and for records on "
        "their way between subtasks, the rest for everything else.", JOB_SPEC_MEMORY_MIN,
        INT64_MAX },
    { "restart", WEIR_OPTION_TEXT, "none|fixed|exponential", "exponential",
        "What a failure that may pass leads to. Others end the job.", 0, 0 },
    { "restart-delay", WEIR_OPTION_DURATION, "TIME", "10ms",
        "Before a restart; exponential: before the first, then twice that, and so on. Fixed: 1s if not "
        "said.", 0, MS_MAX },
    { "restart-delay-max", WEIR_OPTION_DURATION, "TIME", "1m",
        "Exponential: no delay is longer.", 0, MS_MAX },
    { "restart-attempts", WEIR_OPTION_NUMBER, "N", NULL,
        "Restarts until the job fails for good; 0: no limit. Fixed: 3 in all if not said; exponential: "
        "no limit, else counted anew after ten good minutes.", 0, JOB_SPEC_RESTARTS_MAX },
    { "stop-timeout", WEIR_OPTION_DURATION, "TIME", "60s",
        "At SIGTERM or SIGINT: how long the last checkpoint and publishing may take.", 1, MS_MAX },
    { "batch-size", WEIR_OPTION_NUMBER, "N", "256",
        "Records that an operator gets at once, at most.", 1, GATE_BATCH_MAX },
    { "no-chaining", WEIR_OPTION_FLAG, NULL, NULL,
        "Run each operator in a subtask of its own.", 0, 0 },
    { "buffer-timeout", WEIR_OPTION_DURATION, "TIME", "50ms",
        "Records leave a busy subtask after this time even if their buffer is not full.", 0, MS_MAX },
    { "worker-threads", WEIR_OPTION_NUMBER, "N", "4",
        "Threads for blocking work: storing checkpoints, publishing.", 1, 256 },
    { "cluster", WEIR_OPTION_TEXT, "HOST:PORT", NULL,
        "Submit the job to the cluster with this REST address instead of running it here, as `weir run` does.", 0, 0 },
    { "metrics-json", WEIR_OPTION_TEXT, "FILE", NULL,
        "Where counters and times are written when the job ends.", 0, 0 },
    { "log-format", WEIR_OPTION_TEXT, "text|json", "text", "Of log lines on standard error.", 0, 0 },
    { "log-level", WEIR_OPTION_TEXT, "debug|info|warn|error", "info", "The least that is shown.", 0, 0 },
    { "as", WEIR_OPTION_TEXT, "text|json|dot", "text", "What explain prints.", 0, 0 },
    { "help", WEIR_OPTION_FLAG, NULL, NULL, "Show this.", 0, 0 },
    { "version", WEIR_OPTION_FLAG, NULL, NULL, "Show the version of Weir.", 0, 0 },
};
/* clang-format on */

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

void options_add(struct config *config)
{
    config_add(config, rows, ROW_COUNT);
}

static weir_error *read_log(const struct config *config, struct options *options)
{
    uint32_t format, level;
    WEIR_TRY(config_choice(config, "log-format", &format));
    WEIR_TRY(config_choice(config, "log-level", &level));
    options->is_log_json = format == 1;
    log_set_json(options->is_log_json);
    log_set_level((enum log_level)level);
    return NULL;
}

static weir_error *read_restart(const struct config *config, struct restart_options *restart)
{
    uint32_t kind;
    WEIR_TRY(config_choice(config, "restart", &kind));
    *restart = (struct restart_options)RESTART_DEFAULT;
    restart->kind = (enum restart_kind)kind;
    restart->delay_ms = config_number(config, "restart-delay");
    restart->delay_max_ms = config_number(config, "restart-delay-max");
    restart->attempts_max = (uint32_t)config_number(config, "restart-attempts");
    if (restart->kind == RESTART_FIXED && !config_given(config, "restart-attempts"))
        restart->attempts_max = FIXED_ATTEMPTS;
    if (restart->kind == RESTART_FIXED && !config_given(config, "restart-delay"))
        restart->delay_ms = FIXED_DELAY_MS;
    if (restart->kind == RESTART_FIXED)
        restart->jitter_percent = 0;
    if (restart->kind == RESTART_EXPONENTIAL && restart->delay_max_ms < restart->delay_ms)
        return weir_errorf(WEIR_E_USAGE,
            "option '--restart-delay' is longer than '--restart-delay-max'; make it at most %s",
            config_text(config, "restart-delay-max"));
    return NULL;
}

static weir_error *read_savepoints(const struct config *config, struct local_options *local)
{
    local->from_savepoint = config_text(config, "from-savepoint");
    local->allow_non_restored = config_flag(config, "allow-non-restored-state");
    local->savepoints = config_text(config, "savepoints");
    local->stop_with_savepoint = config_flag(config, "stop-with-savepoint");
    if (local->savepoints != NULL && local->savepoints[0] == '\0')
        return weir_errorf(WEIR_E_USAGE, "option '--savepoints' is empty; name a directory");
    if (local->from_savepoint != NULL && local->from_savepoint[0] == '\0')
        return weir_errorf(WEIR_E_USAGE,
            "option '--from-savepoint' is empty; name a savepoint, or leave it out");
    if (local->stop_with_savepoint && local->savepoints == NULL)
        return weir_errorf(WEIR_E_USAGE,
            "option '--stop-with-savepoint' needs '--savepoints'; name a directory");
    if (local->allow_non_restored && local->from_savepoint == NULL)
        return weir_errorf(WEIR_E_USAGE,
            "option '--allow-non-restored-state' is for a start with '--from-savepoint'");
    if (local->is_fresh && local->from_savepoint != NULL)
        return weir_errorf(WEIR_E_USAGE,
            "options '--fresh' and '--from-savepoint' exclude each other; leave one out");
    return NULL;
}

static weir_error *read_local(const struct config *config, struct local_options *local)
{
    uint32_t backend;
    *local = local_defaults;
    WEIR_TRY(config_choice(config, "state-backend", &backend));
    local->backend = backend_find(config_text(config, "state-backend"));
    ASSERT(local->backend != NULL); /* one of the choices */
    local->checkpoints = config_text(config, "checkpoints");
    local->is_fresh = config_flag(config, "fresh");
    local->retained = (uint32_t)config_number(config, "retained");
    local->interval_ms = config_number(config, "checkpoint-interval");
    local->timeout_ms = config_number(config, "checkpoint-timeout");
    local->aligned_timeout_ms = config_number(config, "aligned-checkpoint-timeout");
    local->min_pause_ms = config_number(config, "min-pause");
    local->stop_timeout_ms = config_number(config, "stop-timeout");
    local->memory_size = (uint64_t)config_number(config, "memory");
    local->batch_max = (uint32_t)config_number(config, "batch-size");
    local->buffer_timeout_ms = config_number(config, "buffer-timeout");
    local->worker_count = (uint32_t)config_number(config, "worker-threads");
    WEIR_TRY(read_savepoints(config, local));
    if (local->checkpoints != NULL && local->checkpoints[0] == '\0')
        return weir_errorf(WEIR_E_USAGE, "option '--checkpoints' is empty; name a directory");
    return read_restart(config, &local->restart);
}

/* Before a run of a week, not behind it. What is there is replaced by a rename, which for root and
 * /dev/null would be the end of /dev/null. */
static weir_error *check_metrics_json(const char *path)
{
    if (path == NULL)
        return NULL;
    const char *slash = strrchr(path, '/');
    if (path[0] == '\0' || (slash != NULL && slash[1] == '\0'))
        return weir_errorf(WEIR_E_USAGE, "option '--metrics-json' is '%s'; name a file", path);
    char *dir = slash == NULL ? mem_strdup(".") : mem_printf("%.*s/", (int)(slash - path), path);
    struct os_stat stat;
    weir_error *error = os_stat(dir, &stat);
    if (error == NULL && !stat.is_directory)
        error = weir_errorf(WEIR_E_USAGE,
            "option '--metrics-json' is '%s', but there is no directory '%s'; make it", path, dir);
    if (error == NULL)
        error = os_stat(path, &stat);
    if (error == NULL && stat.exists && !stat.is_regular)
        error = weir_errorf(WEIR_E_USAGE,
            "option '--metrics-json' is '%s', which is there and no file; name another", path);
    mem_free(dir);
    return error;
}

weir_error *options_read(const struct config *config, struct options *options)
{
    uint32_t as;
    *options = (struct options){ .metrics_json = config_text(config, "metrics-json") };
    WEIR_TRY(read_log(config, options));
    WEIR_TRY(config_choice(config, "as", &as));
    options->as = (enum options_as)as;
    options->plan.parallelism = (uint32_t)config_number(config, "parallelism");
    options->plan.max_parallelism = (uint32_t)config_number(config, "max-parallelism");
    options->plan.is_chaining_disabled = config_flag(config, "no-chaining");
    if (options->plan.parallelism > options->plan.max_parallelism)
        return weir_errorf(WEIR_E_USAGE,
            "option '--parallelism' is %u, but '--max-parallelism' is %u; raise that too",
            options->plan.parallelism, options->plan.max_parallelism);
    WEIR_TRY(check_metrics_json(options->metrics_json));
    return read_local(config, &options->local);
}

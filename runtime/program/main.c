/* main.c -- weir_main: what a job's program does with its arguments. Prefixes: weir_
 *
 *      arguments -> config -> build(job) -> plan -> explain: printed
 *                                                |-> plan: its bytes, to descriptor 3
 *                                                \-> run: local_run, watched by the progress line and
 *                                                    the signals
 *
 * Nothing heavy happens before the plan is known to be right. Every mistake ends here as one sentence
 * on standard error and the exit status of its code. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/os_process.h"
#include "base/os_signal.h"
#include "base/plural.h"
#include "checkpoint/savepoint_import.h"
#include "runtime/cluster/worker.h"
#include "runtime/graph/builder.h"
#include "runtime/manager/expectation.h"
#include "runtime/program/metrics_json.h"
#include "runtime/program/options.h"
#include "runtime/program/plan_output.h"
#include "runtime/program/progress.h"
#include "runtime/program/submit.h"
#include <weir/weir.h>

#include <stdio.h>

#define OUTPUT_SIZE_MAX ((size_t)64 << 20)
#define JOB_NAME_MAX    64

enum verb { VERB_RUN, VERB_EXPLAIN, VERB_PLAN, VERB_WORKER, VERB_HELP, VERB_VERSION };

/* One call of weir_main. Thread: control. */
struct program {
    const struct weir_program *program;
    char name[JOB_NAME_MAX + 1]; /* of the job */
    enum verb verb;
    const char *const *arguments; /* behind the verb */
    uint32_t argument_count;
    struct config *config;
    struct options options;
    weir_job *job;
    const struct plan *plan;
    bool has_watched; /* signals are not yet what they were before */
};

/* -- arguments ------------------------------------------------------------------------------------ */

/* A name that a directory and a consumer group can have. */
static void name_job(struct program *program, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = program->program->name;
    if (name == NULL)
        name = slash == NULL ? path : slash + 1;
    size_t size = strlen(name);
    if (size > JOB_NAME_MAX)
        size = JOB_NAME_MAX;
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '_' || c == '-' || (c == '.' && i > 0);
        program->name[i] = is_plain ? c : '-';
    }
    if (size == 0)
        memcpy(program->name, "job", sizeof("job"));
}

/* The verb, and how many arguments it takes: 0 or 1. `plan` and `worker` are for programs, and no person is told of
 * them. */
static weir_error *read_verb(struct program *program, int argc, char **argv, int *taken)
{
    static const struct {
        const char *name;
        enum verb verb;
    } verbs[] = { { "run", VERB_RUN }, { "explain", VERB_EXPLAIN }, { "plan", VERB_PLAN },
        { "worker", VERB_WORKER }, { "help", VERB_HELP }, { "version", VERB_VERSION } };
    *taken = 0;
    if (argc < 2 || argv[1][0] == '-')
        return NULL;
    *taken = 1;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            program->verb = verbs[i].verb;
            return NULL;
        }
    }
    return weir_errorf(WEIR_E_USAGE,
        "there is no verb '%.200s'; it is 'run', 'explain', 'help' or 'version'", argv[1]);
}

/* For those who only want to read: help works whatever else is wrong. */
static bool asks_for(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], flag) == 0)
            return true;
    }
    return false;
}

/* "-s PATH" is "--from-savepoint PATH", as people know it from Flink. */
static weir_error *parse(struct config *config, int argc, char **argv)
{
    static char long_name[] = "--from-savepoint";
    char **spelled = mem_alloc_array((size_t)argc + 1, sizeof(*spelled));
    for (int i = 0; i < argc; i++)
        spelled[i] = i > 0 && strcmp(argv[i], "-s") == 0 ? long_name : argv[i];
    weir_error *error = config_parse(config, argc, spelled);
    mem_free(spelled);
    return error;
}

static weir_error *read_arguments(struct program *program, int argc, char **argv)
{
    int taken;
    const struct weir_program *it = program->program;
    if (asks_for(argc, argv, "--help") || asks_for(argc, argv, "-h"))
        program->verb = VERB_HELP;
    else if (asks_for(argc, argv, "--version"))
        program->verb = VERB_VERSION;
    else
        WEIR_TRY(read_verb(program, argc, argv, &taken));
    if (program->verb == VERB_HELP || program->verb == VERB_VERSION)
        return NULL;
    if (it->option_count > 0)
        config_add(program->config, it->options, it->option_count);
    options_add(program->config);
    program->arguments = (const char *const *)argv + taken + 1;
    program->argument_count = (uint32_t)(argc - taken - 1);
    WEIR_TRY(parse(program->config, argc - taken, argv + taken));
    WEIR_TRY(options_read(program->config, &program->options));
    if (program->verb != VERB_EXPLAIN && config_given(program->config, "as"))
        return weir_errorf(WEIR_E_USAGE, "option '--as' is for explain: %s explain --as %s",
            program->name, config_text(program->config, "as"));
    return NULL;
}

/* -- help, version, explain ----------------------------------------------------------------------- */

static void put_usage(weir_buffer *out, const struct weir_option *rows, uint32_t count)
{
    struct config *config = config_new();
    config_add(config, rows, count);
    config_usage(config, out);
    config_free(config);
}

static weir_error *help(const struct program *program)
{
    const struct weir_program *it = program->program;
    weir_buffer *out = weir_buffer_new(OUTPUT_SIZE_MAX);
    if (it->help != NULL)
        buffer_printf(out, "%s\n\n", it->help);
    buffer_printf(out,
        "usage: %s [run] [OPTIONS]            run the job in this process\n"
        "       %s explain [OPTIONS]          print its plan, and start nothing; with\n"
        "               --from-savepoint PATH      what it would restore\n"
        "       %s help | version\n",
        program->name, program->name, program->name);
    if (it->option_count > 0) {
        buffer_printf(out, "\noptions of %s:\n", program->name);
        put_usage(out, it->options, it->option_count);
    }
    struct config *engine = config_new();
    options_add(engine);
    buffer_printf(out, "\noptions of every job:\n");
    config_usage(engine, out);
    config_free(engine);
    buffer_printf(out,
        "\nSIGTERM and SIGINT stop the job in good order, with a last checkpoint; a "
        "second one ends it at once.\nSIGUSR1 takes a savepoint, and the job goes on.\n"
        "Exit status 0: finished or stopped; 2: wrong "
        "options; 3: the job's graph is wrong; others:\nsee weir/error.h.\n");
    return buffer_to_stdout(out);
}

static weir_error *version(void)
{
    weir_buffer *out = weir_buffer_new(OUTPUT_SIZE_MAX);
    buffer_printf(out, "weir %s\n", WEIR_VERSION);
    return buffer_to_stdout(out);
}

/* Would this program restore that savepoint, and what becomes of each thing in it? */
static weir_error *explain_restore(const struct program *program)
{
    const struct local_options *local = &program->options.local;
    struct expectations expected;
    expectations_init(&expected, program->plan, local->backend->format);
    weir_buffer *out = weir_buffer_new(OUTPUT_SIZE_MAX);
    weir_error *error = savepoint_check(local->from_savepoint, expected.list, expected.count,
        local->allow_non_restored, out);
    expectations_release(&expected);
    return weir_error_join(error, buffer_to_stdout(out));
}

static weir_error *explain(const struct program *program)
{
    if (program->options.local.from_savepoint != NULL)
        return explain_restore(program);
    weir_buffer *out = weir_buffer_new(OUTPUT_SIZE_MAX);
    switch (program->options.as) {
    case OPTIONS_AS_TEXT:
        explain_text(program->plan, out);
        break;
    case OPTIONS_AS_JSON:
        explain_json(program->plan, out);
        break;
    case OPTIONS_AS_DOT:
        explain_dot(program->plan, out);
        break;
    }
    return buffer_to_stdout(out);
}

/* -- run ------------------------------------------------------------------------------------------ */

/* Thread: control. */
struct watch {
    struct local *local;
    struct progress *progress;
    uint32_t signals_seen, requests_seen;
};

/* A person has lost patience: the process ends, but leaves no temporary directory behind. */
_Noreturn static void quit(struct watch *watch)
{
    progress_end();
    log_warn("job", "%s again: quit at once, without a last checkpoint", os_signals_name());
    local_cancel(watch->local);
    local_step(watch->local);
    local_close(watch->local);
    os_exit(os_signals_exit());
}

static int64_t look(void *arg, int64_t now_ms)
{
    struct watch *watch = arg;
    uint32_t requests = os_signals_user();
    if (requests != watch->requests_seen) {
        watch->requests_seen = requests;
        local_savepoint(watch->local);
        return now_ms; /* step again at once */
    }
    uint32_t seen = os_signals_seen();
    if (seen > 1)
        quit(watch);
    if (seen == 1 && watch->signals_seen == 0) {
        watch->signals_seen = 1;
        log_info("job", "%s: stopping with a last checkpoint; a second one quits at once",
            os_signals_name());
        local_stop(watch->local);
        return now_ms; /* step again at once */
    }
    return progress_look(watch->progress, now_ms);
}

/* Counts are those of the last checkpoint and of what came after it: known when the tasks have restored it,
 * which a job that has failed may not have done. */
static void report_end(const struct local *local, int64_t elapsed_ms)
{
    const struct jobmanager_stats *stats = local_stats(local);
    const struct report *report = taskmanager_report(local_tasks(local));
    char counts[96] = "";
    if (report->task_count == 0)
        return; /* it never got that far */
    if (stats->state == EXECUTION_FINISHED)
        snprintf(counts, sizeof(counts), " since its first start %lld records in, %lld out;",
            (long long)report_events_in(report), (long long)report_records_out(report));
    log_info("job", "%s after %.1f s;%s in this run %llu checkpoint%s, %u restart%s",
        execution_state_name(stats->state), (double)elapsed_ms / 1000, counts,
        (unsigned long long)stats->completed, plural((int64_t)stats->completed), stats->restarts,
        plural(stats->restarts));
}

static weir_error *run_watched(struct program *program, struct local *local)
{
    struct watch watch = { .local = local, .progress = progress_new(local) };
    int64_t started_ms = os_monotonic_ms();
    os_signals_watch(local_waker(local));
    weir_error *error = local_run(local, &(struct local_watch){ .arg = &watch, .look = look });
    int64_t elapsed_ms = os_monotonic_ms() - started_ms;
    progress_end();
    report_end(local, elapsed_ms);
    if (program->options.metrics_json != NULL)
        error = weir_error_join(error,
            metrics_json_write(local, error == NULL ? NULL : weir_error_message(error), elapsed_ms,
                program->options.metrics_json));
    progress_free(watch.progress);
    return error;
}

static weir_error *run(struct program *program)
{
    const char *cluster = config_text(program->config, "cluster");
    if (cluster != NULL)
        return submit_run(cluster, program->arguments, program->argument_count);
    struct local *local;
    struct local_options options = program->options.local;
    options.plan = program->plan;
    WEIR_TRY(local_open(&options, &local));
    weir_error *error = run_watched(program, local);
    os_signals_unwatch();
    local_close(local);
    program->has_watched = true;
    return error;
}

/* -- weir_main ------------------------------------------------------------------------------------ */

static weir_error *make_plan(struct program *program)
{
    const char *name = config_text(program->config, "job-name");
    program->options.plan.job = name != NULL ? name : program->name;
    program->job = job_new(program->config);
    program->program->build(program->job);
    return plan_build(program->job, &program->options.plan, &program->plan);
}

static weir_error *do_all(struct program *program, int argc, char **argv)
{
    WEIR_TRY(fault_init());
    WEIR_TRY(read_arguments(program, argc, argv));
    if (program->verb == VERB_HELP)
        return help(program);
    if (program->verb == VERB_VERSION)
        return version();
    if (program->verb == VERB_PLAN)
        WEIR_TRY(plan_output_check(program->name));
    WEIR_TRY(make_plan(program));
    switch (program->verb) {
    case VERB_EXPLAIN:
        return explain(program);
    case VERB_PLAN:
        return plan_output_write(program->plan, &program->options.local, program->arguments,
            program->argument_count);
    case VERB_WORKER:
        return worker_run(program->plan, &program->options.local);
    case VERB_RUN:
    case VERB_HELP:
    case VERB_VERSION:
        break;
    }
    return run(program);
}

static int say(const struct program *program, weir_error *error)
{
    if (error == NULL)
        return 0;
    int status = program->verb == VERB_WORKER && weir_error_is_retriable(error)
                     ? WORKER_EXIT_RETRIABLE
                     : weir_code_exit(weir_error_code(error));
    if (program->options.is_log_json) {
        log_error(program->name, "%s", weir_error_message(error));
        weir_error_free(error);
        return status;
    }
    char *text = mem_printf("%s: %s\n", program->name, weir_error_message(error));
    os_stderr_write(text, strlen(text));
    mem_free(text);
    weir_error_free(error);
    return status;
}

int weir_main_program(int argc, char **argv, const struct weir_program *it)
{
    ASSERT(it != NULL && it->build != NULL);
    mem_keep_small();
    struct program program = { .program = it, .config = config_new() };
    name_job(&program, argc > 0 ? argv[0] : "job");
    int status = say(&program, do_all(&program, argc, argv));
    if (program.has_watched) /* not before: nobody may read what is said, and SIGPIPE would kill */
        os_signals_restore();
    job_free(program.job);
    config_free(program.config);
    return status;
}

int weir_main(int argc, char **argv, void (*build)(weir_job *job))
{
    struct weir_program program = { .build = build };
    return weir_main_program(argc, argv, &program);
}

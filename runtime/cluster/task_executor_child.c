/* task_executor_child.c -- workers and planners: their executable is fetched, they begin, cost, end.
 * Prefixes: child_, children_ */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/os_process.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/core_file.h"
#include "runtime/cluster/task_executor_private.h"
#include "runtime/cluster/worker.h"
#include "types/msgpack.h"
#include <weir/weir.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define LOOK_MS         250   /* at memory and logs, while there are children */
#define TRIM_MS         10000 /* of old logs */
#define PLAN_MS         30000
#define FETCH_TRIES_MAX 5u
#define FETCH_PAUSE_MS  250
#define LOG_SIZE_MAX    (UINT64_C(16) << 20) /* without a directory of logs */
#define LOG_TAIL_SIZE   4096
#define DATA_SLACK_SIZE (UINT64_C(512) << 20) /* of address space over the limit of memory */
#define SPEC_SIZE_MAX   ((size_t)64 << 20)

/* -- telling ---------------------------------------------------------------------------------------- */

static void tell_planned(struct task_executor *executor, const struct child *child, weir_str spec,
    int32_t code, const char *text)
{
    struct message_planned message = { .epoch = executor->epoch,
        .request = weir_str_of(child->job),
        .spec = spec,
        .code = code,
        .text = weir_str_of(text) };
    if (executor->is_registered)
        message_send(executor->connection, MESSAGE_PLANNED, &message);
}

/* A number of a task is what the program says: it is believed no further than the job's plan goes (gateway.c). */
static uint32_t told_task(const struct child *child)
{
    uint32_t number;
    bool has_told = child->process != NULL && os_child_told(child->process, &number);
    return has_told && number < UINT32_MAX ? number + 1 : 0;
}

static void tell_ended(struct task_executor *executor, const struct child *child, int32_t code,
    bool is_retriable, const char *text)
{
    struct message_worker_ended message = { .epoch = executor->epoch,
        .job = weir_str_of(child->job),
        .attempt = child->attempt,
        .worker = child->worker,
        .was_killed = child->was_killed,
        .code = code,
        .text = weir_str_of(text),
        .is_retriable = is_retriable,
        .task = told_task(child) };
    if (executor->is_registered)
        message_send(executor->connection, MESSAGE_WORKER_ENDED, &message);
}

/* It did not even begin. Takes the error. */
static void tell_failed(struct task_executor *executor, const struct child *child,
    weir_error *error)
{
    if (child->is_planner)
        tell_planned(executor, child, (weir_str){ 0 }, (int32_t)weir_error_code(error),
            weir_error_message(error));
    else
        tell_ended(executor, child, (int32_t)weir_error_code(error), weir_error_is_retriable(error),
            weir_error_message(error));
    weir_error_free(error);
}

/* -- children: made and forgotten -------------------------------------------------------------------- */

static void run_remove(void *arg)
{
    char *dir = arg;
    weir_error *error = os_remove_tree(dir);
    if (error != NULL)
        log_warn("taskmanager", "cannot tidy up: %s", weir_error_message(error));
    weir_error_free(error);
    mem_free(dir);
}

static void forget_dir(struct task_executor *executor, struct child *child)
{
    if (child->dir == NULL)
        return;
    if (!workers_submit(executor->options.workers, NULL, run_remove, child->dir))
        run_remove(child->dir);
}

static void free_child(struct task_executor *executor, struct child *child)
{
    os_child_free(child->process);
    forget_dir(executor, child);
    mem_free(child->job);
    mem_free(child->digest);
    mem_free(child->secret);
    mem_free(child->log_name);
    mem_free(child->log_path);
    mem_free(child->why);
    arena_release(&child->arena);
    mem_free(child);
    executor->child_count--;
}

static void forget_ended(struct task_executor *executor)
{
    struct child **link = &executor->children;
    while (*link != NULL) {
        struct child *child = *link;
        if (child->state != CHILD_ENDED) {
            link = &child->next;
            continue;
        }
        *link = child->next;
        free_child(executor, child);
    }
}

struct child *child_add(struct task_executor *executor, const char *verb, weir_str job,
    weir_str digest, weir_str program, weir_str arguments)
{
    const char **list;
    uint32_t count;
    if (executor->child_count == TASK_EXECUTOR_CHILDREN_MAX || !address_is_digest(digest) ||
        !address_is_id(job)) /* names of files are made of both */
        return NULL;
    struct child *child = mem_alloc(sizeof(*child));
    arena_init(&child->arena, 1024, (size_t)16 << 20);
    if (!message_take_strings(arguments, TASK_EXECUTOR_WORDS_MAX, &child->arena, &list, &count)) {
        arena_release(&child->arena);
        mem_free(child);
        return NULL;
    }
    child->job = message_text(job);
    child->digest = message_text(digest);
    child->arguments = arena_alloc(&child->arena, (count + 3) * sizeof(char *));
    child->path = arena_printf(&child->arena, "%s/%s", executor->blob_dir, child->digest);
    child->arguments[0] = arena_printf(&child->arena, "%.*s", (int)program.size,
        program.data == NULL ? "" : program.data);
    child->arguments[1] = arena_strdup(&child->arena, verb);
    for (uint32_t i = 0; i < count; i++)
        child->arguments[i + 2] = arena_strdup(&child->arena, list[i]);
    child->next = executor->children;
    executor->children = child;
    executor->child_count++;
    return child;
}

/* -- children: begin ---------------------------------------------------------------------------------- */

static void put_start(struct task_executor *executor, const struct child *child, weir_buffer *out)
{
    const struct task_executor_options *options = &executor->options;
    struct worker_start start = { .job = weir_str_of(child->job),
        .attempt = child->attempt,
        .epoch = executor->epoch,
        .worker = child->worker,
        .worker_count = child->worker_count,
        .secret = weir_str_of(child->secret),
        .jobmanager = weir_str_of(executor->address),
        .host = weir_str_of(options->bind_host),
        .data_port = options->data_port,
        .memory_size = child->memory_size,
        .work_dir = weir_str_of(child->dir),
        .heartbeat_ms = executor->heartbeat_ms,
        .timeout_ms = executor->timeout_ms,
        .watchdog_ms = options->watchdog_ms,
        .orphan_ms = options->orphan_ms,
        .ca_file = weir_str_of(options->ca_file),
        .cert_file = weir_str_of(options->cert_file),
        .key_file = weir_str_of(options->key_file) };
    msgpack_encode(&worker_start_type, &start, out);
}

static uint64_t memory_max(const struct task_executor *executor, const struct child *child)
{
    return child->memory_size / 100 * executor->options.memory_factor_percent;
}

static weir_error *launch(struct task_executor *executor, struct child *child)
{
    char name[128];
    snprintf(name, sizeof(name), "%s-%" PRIu64 "-%u", child->job, child->attempt, child->worker);
    child->log_name = mem_printf("%s.log", name);
    child->log_path = executor->options.logs == NULL
                          ? mem_printf("%s/%s", executor->options.work_dir, child->log_name)
                          : log_dir_file(executor->options.logs, child->log_name);
    /* The one before it of this name may still be being removed. */
    child->dir =
        mem_printf("%s/%s.%" PRIu64, executor->options.work_dir, name, ++executor->launches);
    WEIR_TRY(os_make_dirs(child->dir));
    weir_buffer *input = weir_buffer_new(1 << 20);
    if (!child->is_planner)
        put_start(executor, child, input);
    uint64_t max = memory_max(executor, child);
    struct os_child_options options = { .path = child->path,
        .argv = child->arguments,
        .directory = child->dir,
        .log_path = child->log_path,
        .input = weir_buffer_view(input),
        .data_size_max = max == 0 ? 0 : max + DATA_SLACK_SIZE };
    weir_error *error = FAULT_STEP(WORKER_START, os_child_start(&options, &child->process));
    weir_buffer_free(input);
    if (error != NULL) /* the path is that of a copy: people know the program by its name */
        return weir_error_wrap(error, "'%s' has not been started", child->arguments[0]);
    child->state = CHILD_RUNNING;
    if (child->is_planner)
        child->kill_by_ms = os_monotonic_ms() + PLAN_MS;
    log_info("taskmanager", "%s %s started as process %d", child->is_planner ? "planner" : "worker",
        name, os_child_pid(child->process));
    return NULL;
}

static void begin(struct task_executor *executor, struct child *child)
{
    weir_error *error = launch(executor, child);
    if (error == NULL)
        return;
    tell_failed(executor, child, error);
    child->state = CHILD_ENDED;
}

/* Thread: worker while it runs, else control. */
struct fetch_job {
    struct task_executor *executor;
    char *url, *digest, *path;
    weir_error *error;
};

/* A connection that breaks, or is refused once, ends no job. */
static weir_error *fetch(const struct fetch_job *job)
{
    const struct task_executor_options *options = &job->executor->options;
    for (uint32_t tries = 1;; tries++) {
        weir_error *error = options->fetch(options->fetch_arg, job->url, job->digest, job->path);
        if (error == NULL || !weir_error_is_retriable(error) || tries == FETCH_TRIES_MAX)
            return error;
        log_warn("taskmanager", "an executable is fetched again: %s", weir_error_message(error));
        weir_error_free(error);
        os_pause_ms(FETCH_PAUSE_MS);
    }
}

static void run_fetch(void *arg)
{
    struct fetch_job *job = arg;
    struct os_stat stat;
    job->error = os_stat(job->path, &stat);
    if (job->error == NULL && !stat.exists) /* another job of this lane may have brought it */
        job->error = fetch(job);
}

/* Takes the error. */
static void not_begun(struct task_executor *executor, struct child *child, weir_error *error)
{
    tell_failed(executor, child, error);
    child->state = CHILD_ENDED;
}

static weir_error *not_fetched(const weir_error *why)
{
    weir_error *error = weir_errorf(weir_error_code(why), "cannot fetch the job's executable: %s",
        weir_error_message(why));
    return weir_error_is_retriable(why) ? weir_error_retriable(error) : error;
}

static void free_fetch(struct fetch_job *job)
{
    weir_error_free(job->error);
    mem_free(job->url);
    mem_free(job->digest);
    mem_free(job->path);
    mem_free(job);
}

static void on_fetched(void *arg, bool is_over)
{
    struct fetch_job *job = arg;
    struct task_executor *executor = job->executor;
    for (struct child *child = executor->children; child != NULL && !is_over; child = child->next) {
        if (child->state != CHILD_FETCHING || strcmp(child->digest, job->digest) != 0)
            continue;
        if (job->error == NULL)
            begin(executor, child);
        else
            not_begun(executor, child, not_fetched(job->error));
    }
    free_fetch(job);
}

void child_begin(struct task_executor *executor, struct child *child)
{
    struct os_stat stat;
    weir_error *error = os_stat(child->path, &stat);
    if (error == NULL && stat.exists) {
        begin(executor, child);
        return;
    }
    weir_error_free(error);
    struct fetch_job *job = mem_alloc(sizeof(*job));
    *job = (struct fetch_job){ .executor = executor,
        .url = mem_strdup(executor->blobs_url),
        .digest = mem_strdup(child->digest),
        .path = mem_strdup(child->path) };
    if (errands_submit(executor->errands, executor, run_fetch, on_fetched, job))
        return;
    free_fetch(job);
    not_begun(executor, child,
        weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting on the task manager"));
}

/* -- children: end ------------------------------------------------------------------------------------ */

/* The last lines that it has printed, for people. */
static char *tail_of(const char *path)
{
    struct os_file *file;
    struct os_stat stat;
    size_t got = 0;
    char *text = mem_alloc(LOG_TAIL_SIZE + 1);
    weir_error *error = os_stat(path, &stat);
    if (error == NULL && stat.exists)
        error = os_open(path, OS_READ, &file);
    if (error == NULL && stat.exists) {
        uint64_t from = stat.size > LOG_TAIL_SIZE ? stat.size - LOG_TAIL_SIZE : 0;
        error = os_read_at(file, from, text, LOG_TAIL_SIZE, &got);
        os_close(file);
    }
    weir_error_free(error);
    while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == ' '))
        got--;
    text[got] = '\0';
    return text;
}

/* Of a program that says why it ends, that is in its last line. mem_free it. */
static char *last_line(const char *text)
{
    const char *line = strrchr(text, '\n');
    return log_message_of(line == NULL ? text : line + 1);
}

static int32_t code_of(const struct os_child_end *end)
{
    if (end->signal != 0)
        return 0;
    for (int32_t code = 1; code < WEIR_CODE_COUNT; code++) {
        if (weir_code_exit((enum weir_code)code) == end->status)
            return code;
    }
    return end->status == WORKER_EXIT_RETRIABLE ? WEIR_E_IO : WEIR_E_INTERNAL;
}

/* Somebody, or the kernel for want of memory, has killed it; it has not crashed, and we have not. */
static bool is_from_outside(const struct child *child, const struct os_child_end *end)
{
    return child->why == NULL && (end->signal == SIGKILL || end->signal == SIGTERM ||
                                     end->signal == SIGINT || end->signal == SIGHUP);
}

static char *describe_no_plan(int status)
{
    return mem_printf(
        "the executable has ended with status %d without a plan; is it a program with weir_main?",
        status);
}

/* Of a core, if its signal leaves one; mem_free it. */
static char *describe_core(const struct task_executor *executor, const struct child *child,
    const struct os_child_end *end)
{
    if (!end->has_core)
        return mem_strdup(!os_signal_dumps_core(end->signal) ? ""
                          : os_core_size_max() == 0          ? " (no core: RLIMIT_CORE is 0)"
                                                             : " (no core)");
    char *name = mem_printf("%s-%" PRIu64 "-%u", child->job, child->attempt, child->worker),
         *spare = mem_printf("%s/core", executor->options.work_dir), *pattern = core_file_pattern();
    struct core_place place = { .dir = child->dir,
        .name = name,
        .logs = executor->options.logs,
        .spare = spare };
    char *text = core_file_keep(pattern, &place);
    mem_free(pattern);
    mem_free(spare);
    mem_free(name);
    return text;
}

static char *describe_signal(const struct task_executor *executor, const struct child *child,
    const struct os_child_end *end, const char *line)
{
    char *core = describe_core(executor, child, end);
    char *text = mem_printf("it was killed by %s%s%s%s", os_signal_name(end->signal), core,
        line[0] == '\0' ? "" : "; its last words: ", line);
    mem_free(core);
    return text;
}

static char *describe_end(const struct task_executor *executor, const struct child *child,
    const struct os_child_end *end, const char *line)
{
    bool is_late = !child->is_planner && end->status == weir_code_exit(WEIR_E_TIMEOUT);
    if (end->signal != 0)
        return describe_signal(executor, child, end, line);
    if (child->is_planner && end->status != 0 && line[0] == '\0')
        return describe_no_plan(end->status);
    /* A planner, and a worker whose watchdog has ended it, say why in a sentence. */
    if ((child->is_planner && end->status != 0) || (is_late && line[0] != '\0'))
        return mem_strdup(line);
    return mem_printf("it ended with status %d%s%s", end->status,
        line[0] == '\0' ? "" : "; its last words: ", line);
}

/* What people read of its end; mem_free it. */
static char *describe(const struct task_executor *executor, const struct child *child,
    const struct os_child_end *end, const char *tail)
{
    if (child->why != NULL)
        return mem_strdup(child->why);
    char *line = last_line(tail), *text = describe_end(executor, child, end, line);
    mem_free(line);
    return text;
}

static void planner_ended(struct task_executor *executor, struct child *child,
    const struct os_child_end *end, const char *text)
{
    char *spec;
    size_t size;
    if (end->signal != 0 || end->status != 0) {
        int32_t code = code_of(end);
        tell_planned(executor, child, (weir_str){ 0 }, code == 0 ? (int32_t)WEIR_E_PLAN : code,
            text);
        return;
    }
    weir_error *error = os_child_output(child->process, SPEC_SIZE_MAX, &spec, &size);
    if (error != NULL) {
        tell_failed(executor, child, error);
        return;
    }
    char *no_plan = size == 0 ? describe_no_plan(0) : NULL;
    tell_planned(executor, child, (weir_str){ .data = spec, .size = size },
        size == 0 ? (int32_t)WEIR_E_PLAN : 0, size == 0 ? no_plan : "");
    mem_free(no_plan);
    mem_free(spec);
}

static void on_ended(struct task_executor *executor, struct child *child,
    const struct os_child_end *end)
{
    char *tail = tail_of(child->log_path), *text = describe(executor, child, end, tail);
    log_line(child->was_killed || (end->signal == 0 && end->status == 0) ? LOG_INFO : LOG_WARN,
        "taskmanager", "%s %s-%" PRIu64 "-%u (process %d): %s",
        child->is_planner ? "planner" : "worker", child->job, child->attempt, child->worker,
        os_child_pid(child->process), text);
    if (child->is_planner)
        planner_ended(executor, child, end, text);
    else
        tell_ended(executor, child, code_of(end),
            is_from_outside(child, end) || end->status == WORKER_EXIT_RETRIABLE, text);
    mem_free(text);
    mem_free(tail);
    child->state = CHILD_ENDED;
}

static void kill_child(struct child *child, char *why)
{
    if (child->why == NULL)
        child->why = why;
    else
        mem_free(why);
    os_child_kill(child->process, SIGKILL);
}

static void look_at_ends(struct task_executor *executor, int64_t now_ms)
{
    struct os_child_end end;
    for (struct child *child = executor->children; child != NULL; child = child->next) {
        if (child->state != CHILD_RUNNING)
            continue;
        if (os_child_has_ended(child->process, &end)) {
            on_ended(executor, child, &end);
            continue;
        }
        if (child->kill_by_ms == 0 || now_ms < child->kill_by_ms)
            continue;
        if (child->is_planner)
            kill_child(child, mem_printf("making its plan took more than %d s", PLAN_MS / 1000));
        os_child_kill(child->process, SIGKILL);
    }
    forget_ended(executor);
}

static void look_at_cost(const struct task_executor *executor, struct child *child)
{
    uint64_t rss = os_child_rss(child->process), max = memory_max(executor, child);
    if (max > 0 && rss > max)
        kill_child(child,
            mem_printf("it used %llu MB of memory; its slots have %llu MB, and %u %% of that are "
                       "allowed: give the task manager more, or use less in the job's own code",
                (unsigned long long)(rss >> 20), (unsigned long long)(child->memory_size >> 20),
                executor->options.memory_factor_percent));
    os_child_trim_log(child->log_path,
        executor->options.logs == NULL
            ? LOG_SIZE_MAX
            : log_dir_file_max(executor->options.logs, executor->child_count + 1));
}

static bool is_written(void *arg, const char *name)
{
    const struct task_executor *executor = arg;
    const struct child *child = executor->children;
    while (child != NULL && (child->log_name == NULL || strcmp(child->log_name, name) != 0))
        child = child->next;
    return child != NULL;
}

static void look_at_costs(struct task_executor *executor, int64_t now_ms)
{
    if (now_ms < executor->next_look_ms)
        return;
    executor->next_look_ms = now_ms + LOOK_MS;
    for (struct child *child = executor->children; child != NULL; child = child->next)
        if (child->state == CHILD_RUNNING)
            look_at_cost(executor, child);
    if (executor->children == NULL || executor->options.logs == NULL ||
        now_ms < executor->next_trim_ms)
        return;
    executor->next_trim_ms = now_ms + TRIM_MS;
    weir_error *error = log_dir_trim(executor->options.logs, is_written, executor);
    if (error != NULL)
        log_warn("taskmanager", "cannot delete old logs: %s", weir_error_message(error));
    weir_error_free(error);
}

void children_step(struct task_executor *executor, int64_t now_ms)
{
    look_at_ends(executor, now_ms);
    look_at_costs(executor, now_ms);
}

int64_t children_deadline_ms(const struct task_executor *executor)
{
    int64_t deadline = INT64_MAX;
    for (const struct child *child = executor->children; child != NULL; child = child->next) {
        deadline = os_earlier(deadline, executor->next_look_ms);
        if (child->kill_by_ms > 0)
            deadline = os_earlier(deadline, child->kill_by_ms);
    }
    return deadline;
}

void child_end(struct child *child, int64_t kill_by_ms)
{
    child->was_killed = true;
    child->kill_by_ms =
        child->kill_by_ms == 0 ? kill_by_ms : os_earlier(child->kill_by_ms, kill_by_ms);
    if (child->state == CHILD_FETCHING)
        child->state = CHILD_ENDED;
}

void children_free(struct task_executor *executor)
{
    for (struct child *child = executor->children; child != NULL; child = child->next)
        child->state = CHILD_ENDED;
    forget_ended(executor);
}

/* task_executor.c -- see task_executor.h. */
#include "runtime/cluster/task_executor.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/os_child.h"
#include "base/os_process.h"
#include "base/queue.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/messages.h"
#include "types/msgpack.h"
#include <weir/weir.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define RETRY_MS        250  /* until the next address is tried */
#define RETRY_MAX_MS    2000 /* when none has answered for a while */
#define FETCH_TRIES_MAX 5u
#define LOOK_MS         250 /* at memory and logs, while there are children */
#define PLAN_MS         30000
#define LOG_SIZE_MAX    (UINT64_C(16) << 20)
#define LOG_TAIL_SIZE   4096
#define DATA_SLACK_SIZE (UINT64_C(512) << 20) /* of address space over the limit of memory */
#define ARGUMENTS_MAX   4096u
#define SPEC_SIZE_MAX   ((size_t)64 << 20)
#define TEXT_SIZE_MAX   8192

enum child_state { CHILD_FETCHING, CHILD_RUNNING, CHILD_ENDED };

/* A worker or a planner. Thread: control. */
struct child {
    struct child *next;
    enum child_state state;
    char *job; /* of a planner: the request */
    bool is_planner;
    uint64_t attempt;
    uint32_t worker, worker_count;
    uint64_t memory_size;
    char *digest, *secret, *dir, *log_path;
    const char *path; /* of its executable */
    char **arguments; /* NULL-terminated */
    struct arena arena;
    struct os_child *process;
    int64_t kill_by_ms; /* 0: not told to end */
    bool was_killed;
    char *why; /* it is killed; NULL: it is not, or was told to end */
};

/* A blob that somebody has fetched, or not. Thread: its holder. */
struct fetched {
    char *digest;
    weir_error *error;
};

struct task_executor {
    struct task_executor_options options;
    struct connection *connection; /* NULL: none now */
    char *address;                 /* of the job manager; NULL: not known yet */
    bool is_registered;
    char *told; /* why there was no connection, when it was said last; NULL: not yet */
    int64_t retry_ms, next_try_ms, next_look_ms, next_beat_ms;
    int64_t heartbeat_ms, timeout_ms;
    uint64_t epoch;
    char *blobs_url, *blob_dir, *log_dir;
    struct child *children;
    uint32_t child_count;
    struct inbox *inbox; /* Thread: workers push */
};

static char *text_of(weir_str text)
{
    return mem_printf("%.*s", (int)text.size, text.data == NULL ? "" : text.data);
}

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
        .is_retriable = is_retriable };
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

/* NULL: too many, or the arguments are damaged. */
static struct child *add_child(struct task_executor *executor, const char *verb, weir_str job,
    weir_str digest, weir_str program, weir_str arguments)
{
    const char **list;
    uint32_t count;
    if (executor->child_count == TASK_EXECUTOR_CHILDREN_MAX || !address_is_digest(digest) ||
        !address_is_id(job)) /* names of files are made of both */
        return NULL;
    struct child *child = mem_alloc(sizeof(*child));
    arena_init(&child->arena, 1024, (size_t)16 << 20);
    if (!message_take_strings(arguments, ARGUMENTS_MAX, &child->arena, &list, &count)) {
        arena_release(&child->arena);
        mem_free(child);
        return NULL;
    }
    child->job = text_of(job);
    child->digest = text_of(digest);
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
    child->log_path = mem_printf("%s/%s.log", executor->log_dir, name);
    child->dir = mem_printf("%s/%s", executor->options.work_dir, name);
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
    if (error != NULL)
        return error;
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

/* Thread: worker. */
struct fetch_job {
    struct task_executor *executor;
    char *url, *digest, *path;
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
        os_pause_ms(RETRY_MS);
    }
}

static void run_fetch(void *arg)
{
    struct fetch_job *job = arg;
    struct os_stat stat;
    weir_error *error = os_stat(job->path, &stat);
    if (error == NULL && !stat.exists) /* another job of this lane may have brought it */
        error = fetch(job);
    struct fetched fetched = { .digest = job->digest, .error = error };
    ASSERT(inbox_push(job->executor->inbox, &fetched)); /* as many as there are children */
    waker_wake(net_waker(job->executor->options.net));
    mem_free(job->url);
    mem_free(job->path);
    mem_free(job);
}

static void begin_or_fetch(struct task_executor *executor, struct child *child)
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
    if (workers_submit(executor->options.workers, executor, run_fetch, job))
        return;
    mem_free(job->url);
    mem_free(job->digest);
    mem_free(job->path);
    mem_free(job);
    tell_failed(executor, child,
        weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting on the task manager"));
    child->state = CHILD_ENDED;
}

static void on_fetched(struct task_executor *executor, struct fetched *fetched)
{
    for (struct child *child = executor->children; child != NULL; child = child->next) {
        if (child->state != CHILD_FETCHING || strcmp(child->digest, fetched->digest) != 0)
            continue;
        if (fetched->error == NULL) {
            begin(executor, child);
            continue;
        }
        weir_error *error = weir_errorf(weir_error_code(fetched->error),
            "cannot fetch the job's executable: %s", weir_error_message(fetched->error));
        if (weir_error_is_retriable(fetched->error))
            error = weir_error_retriable(error);
        tell_failed(executor, child, error);
        child->state = CHILD_ENDED;
    }
    weir_error_free(fetched->error);
    mem_free(fetched->digest);
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

/* Of a program that says why it ends, that is in its last line. */
static const char *last_line(const char *text)
{
    const char *line = strrchr(text, '\n');
    return line == NULL ? text : line + 1;
}

static int32_t code_of(const struct os_child_end *end)
{
    if (end->signal != 0)
        return 0;
    for (int32_t code = 1; code < WEIR_CODE_COUNT; code++) {
        if (weir_code_exit((enum weir_code)code) == end->status)
            return code;
    }
    return WEIR_E_INTERNAL;
}

/* Somebody, or the kernel for want of memory, has killed it; it has not crashed, and we have not. */
static bool is_from_outside(const struct child *child, const struct os_child_end *end)
{
    return child->why == NULL && (end->signal == SIGKILL || end->signal == SIGTERM ||
                                     end->signal == SIGINT || end->signal == SIGHUP);
}

/* What people read of its end; mem_free it. */
static char *describe(const struct child *child, const struct os_child_end *end, const char *tail)
{
    if (child->why != NULL)
        return mem_strdup(child->why);
    if (end->signal != 0)
        return mem_printf("it was killed by %s%s%s%s", os_signal_name(end->signal),
            end->has_core ? " (core dumped)" : "",
            tail[0] == '\0' ? "" : "; its last words: ", last_line(tail));
    if (child->is_planner && end->status != 0)
        return mem_strdup(tail[0] == '\0' ? "it ended without a word" : last_line(tail));
    return mem_printf("it ended with status %d%s%s", end->status,
        tail[0] == '\0' ? "" : "; its last words: ", last_line(tail));
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
    tell_planned(executor, child, (weir_str){ .data = spec, .size = size }, 0, "");
    mem_free(spec);
}

static void on_ended(struct task_executor *executor, struct child *child,
    const struct os_child_end *end)
{
    char *tail = tail_of(child->log_path), *text = describe(child, end, tail);
    log_line(child->was_killed || (end->signal == 0 && end->status == 0) ? LOG_INFO : LOG_WARN,
        "taskmanager", "%s %s-%" PRIu64 "-%u (process %d): %s",
        child->is_planner ? "planner" : "worker", child->job, child->attempt, child->worker,
        os_child_pid(child->process), text);
    if (child->is_planner)
        planner_ended(executor, child, end, text);
    else
        tell_ended(executor, child, code_of(end), is_from_outside(child, end), text);
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

static void look_at_children(struct task_executor *executor, int64_t now_ms)
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

static void look_at_costs(struct task_executor *executor, int64_t now_ms)
{
    if (now_ms < executor->next_look_ms)
        return;
    executor->next_look_ms = now_ms + LOOK_MS;
    for (struct child *child = executor->children; child != NULL; child = child->next) {
        if (child->state != CHILD_RUNNING)
            continue;
        uint64_t rss = os_child_rss(child->process), max = memory_max(executor, child);
        if (max > 0 && rss > max)
            kill_child(child,
                mem_printf(
                    "it used %llu MB of memory; its slots have %llu MB, and %u %% of that are "
                    "allowed: give the task manager more, or use less in the job's own code",
                    (unsigned long long)(rss >> 20), (unsigned long long)(child->memory_size >> 20),
                    executor->options.memory_factor_percent));
        os_child_trim_log(child->log_path, LOG_SIZE_MAX);
    }
}

/* -- messages ----------------------------------------------------------------------------------------- */

static void end_child(struct child *child, int64_t kill_by_ms)
{
    child->was_killed = true;
    if (child->kill_by_ms == 0 || kill_by_ms < child->kill_by_ms)
        child->kill_by_ms = kill_by_ms;
    if (child->state == CHILD_FETCHING)
        child->state = CHILD_ENDED;
}

static void end_attempts(struct task_executor *executor, const char *job, uint64_t attempt_max,
    int64_t kill_by_ms)
{
    for (struct child *child = executor->children; child != NULL; child = child->next) {
        if (!child->is_planner && child->attempt <= attempt_max && strcmp(child->job, job) == 0)
            end_child(child, kill_by_ms);
    }
}

static weir_error *on_start(struct task_executor *executor, const struct message_start *message)
{
    struct child *child = add_child(executor, "worker", message->job, message->digest,
        message->program, message->arguments);
    if (child == NULL)
        return weir_errorf(WEIR_E_CORRUPT,
            "a START message is damaged, or there are too many workers");
    child->attempt = message->attempt;
    child->worker = message->worker;
    child->worker_count = message->worker_count;
    child->memory_size = message->memory_size;
    child->secret = text_of(message->secret);
    begin_or_fetch(executor, child);
    return NULL;
}

static weir_error *on_plan(struct task_executor *executor, const struct message_plan *message)
{
    struct child *child = add_child(executor, "plan", message->request, message->digest,
        message->program, message->arguments);
    if (child == NULL)
        return weir_errorf(WEIR_E_CORRUPT,
            "a PLAN message is damaged, or there are too many workers");
    child->is_planner = true;
    child->memory_size = executor->options.memory_size / executor->options.slot_count;
    begin_or_fetch(executor, child);
    return NULL;
}

static void on_kill(struct task_executor *executor, const struct message_kill *message)
{
    char *job = text_of(message->job);
    end_attempts(executor, job, message->attempt, os_monotonic_ms() + message->grace_ms);
    mem_free(job);
}

/* Workers of jobs that are over, or that a new leader has never heard of. */
static weir_error *end_unknown(struct task_executor *executor, weir_str jobs)
{
    struct arena arena;
    const char **list;
    uint32_t count;
    arena_init(&arena, 4096, (size_t)16 << 20);
    bool is_sound = message_take_strings(jobs, 1u << 20, &arena, &list, &count);
    for (struct child *child = executor->children; is_sound && child != NULL; child = child->next) {
        uint32_t i = 0;
        while (i < count && strcmp(list[i], child->job) != 0)
            i++;
        if (i == count)
            end_child(child, os_monotonic_ms());
    }
    arena_release(&arena);
    return is_sound ? NULL : weir_errorf(WEIR_E_CORRUPT, "a REGISTERED message is damaged");
}

static weir_error *on_registered(struct task_executor *executor,
    const struct message_registered *message)
{
    const struct task_executor_options *options = &executor->options;
    executor->epoch = message->epoch;
    executor->is_registered = true;
    executor->retry_ms = RETRY_MS;
    executor->heartbeat_ms = message->heartbeat_ms;
    executor->timeout_ms = message->timeout_ms;
    mem_free(executor->told);
    executor->told = NULL;
    mem_free(executor->blobs_url);
    executor->blobs_url = text_of(message->blobs);
    connection_keep(executor->connection);
    log_info("taskmanager", "'%s' is registered at job manager %s, epoch %" PRIu64, options->id,
        executor->address, message->epoch);
    return end_unknown(executor, message->jobs);
}

static weir_error *take(struct task_executor *executor, uint32_t kind, const void *message)
{
    switch (kind) {
    case MESSAGE_REGISTERED:
        return on_registered(executor, message);
    case MESSAGE_HEARTBEAT:
        return NULL;
    case MESSAGE_PLAN:
        return on_plan(executor, message);
    case MESSAGE_START:
        return on_start(executor, message);
    case MESSAGE_KILL:
        on_kill(executor, message);
        return NULL;
    case MESSAGE_REFUSED: {
        const struct message_refused *refused = message;
        return weir_error_wrap(message_error(refused->code, false, refused->text),
            "it refuses this task manager");
    }
    default:
        return weir_errorf(WEIR_E_CORRUPT, "a message of kind %u is not for a task manager", kind);
    }
}

union any_message {
    uint64_t epoch; /* first member of all but REFUSED */
    struct message_refused refused;
    struct message_registered registered;
    struct message_heartbeat heartbeat;
    struct message_plan plan;
    struct message_start start;
    struct message_kill kill;
};

static weir_error *read_frame(struct task_executor *executor, uint32_t kind, weir_str payload)
{
    union any_message message;
    const struct weir_type *type = message_type(kind);
    if (type == NULL || type->size > sizeof(message))
        return weir_errorf(WEIR_E_CORRUPT, "a message of kind %u is not for a task manager", kind);
    WEIR_TRY(message_read((enum message_kind)kind, payload, &message));
    if (kind != MESSAGE_REFUSED && message.epoch < executor->epoch)
        return weir_errorf(WEIR_E_FENCED,
            "it speaks for epoch %" PRIu64 ", but %" PRIu64 " has begun: it is no leader any more",
            message.epoch, executor->epoch);
    if (kind != MESSAGE_REFUSED && kind != MESSAGE_REGISTERED && !executor->is_registered)
        return weir_errorf(WEIR_E_CORRUPT, "%s came before REGISTERED", message_kind_name(kind));
    return take(executor, kind, &message);
}

/* -- the connection ------------------------------------------------------------------------------------ */

/* Why there is no connection is said once, not at every try. */
static void disconnect(struct task_executor *executor, const char *why)
{
    bool is_news =
        executor->is_registered || executor->told == NULL || strcmp(executor->told, why) != 0;
    log_line(is_news ? LOG_WARN : LOG_DEBUG, "taskmanager", "no connection to job manager %s: %s",
        executor->address, why);
    if (is_news) {
        mem_free(executor->told);
        executor->told = mem_strdup(why);
    }
    executor->connection = NULL;
    executor->is_registered = false;
    executor->next_try_ms = os_monotonic_ms() + executor->retry_ms;
    executor->retry_ms =
        executor->retry_ms * 2 < RETRY_MAX_MS ? executor->retry_ms * 2 : RETRY_MAX_MS;
}

static void on_frame(void *arg, struct connection *connection, uint32_t kind, weir_str payload)
{
    struct task_executor *executor = arg;
    weir_error *error = read_frame(executor, kind, payload);
    if (error == NULL)
        return;
    connection_close(connection);
    disconnect(executor, weir_error_message(error));
    weir_error_free(error);
}

static void on_closed(void *arg, struct connection *connection, weir_error *why)
{
    (void)connection;
    disconnect(arg, weir_error_message(why));
    weir_error_free(why);
}

static void on_opened(void *arg, struct connection *connection)
{
    struct task_executor *executor = arg;
    const struct task_executor_options *options = &executor->options;
    struct message_register message = { .protocol = MESSAGE_PROTOCOL,
        .version = WEIR_STR(WEIR_VERSION),
        .token = weir_str_of(options->token),
        .id = weir_str_of(options->id),
        .host = weir_str_of(options->host),
        .slot_count = options->slot_count,
        .memory_size = options->memory_size,
        .epoch = executor->epoch,
        .machine = weir_str_of(os_machine()) };
    connection_set_frame_max(connection, NET_FRAME_MAX);
    message_send(connection, MESSAGE_REGISTER, &message);
}

static const struct connection_handler handler = { .opened = on_opened,
    .frame = on_frame,
    .closed = on_closed };

/* Another job manager leads now; the same one again changes nothing. What is no address is ignored. */
static void follow(struct task_executor *executor, const char *address)
{
    char host[ADDRESS_HOST_SIZE];
    uint16_t port;
    if ((executor->address != NULL && strcmp(executor->address, address) == 0) ||
        !address_split(address, host, &port))
        return;
    if (executor->connection != NULL) {
        connection_close(executor->connection);
        disconnect(executor, "another job manager leads now");
    }
    mem_free(executor->address);
    executor->address = mem_strdup(address);
    executor->next_try_ms = os_monotonic_ms();
}

static void look_at_election(struct task_executor *executor, int64_t now_ms)
{
    struct election *election = executor->options.election;
    if (election == NULL)
        return;
    election_step(election, now_ms);
    const struct election_leader *leader = &election_view(election)->leader;
    if (leader->epoch > 0)
        follow(executor, leader->rpc);
}

static void look_at_connection(struct task_executor *executor, int64_t now_ms)
{
    const struct task_executor_options *options = &executor->options;
    if (executor->connection == NULL) {
        if (now_ms < executor->next_try_ms || executor->address == NULL)
            return;
        char host[ADDRESS_HOST_SIZE];
        uint16_t port;
        ASSERT(address_split(executor->address, host, &port)); /* checked at new */
        executor->connection =
            net_connect(options->net, host, port, options->tls, &handler, executor);
        return;
    }
    if (!executor->is_registered)
        return;
    if (now_ms - connection_heard_ms(executor->connection) > executor->timeout_ms) {
        connection_close(executor->connection);
        disconnect(executor, "it has said nothing for too long");
        return;
    }
    if (now_ms < executor->next_beat_ms)
        return;
    executor->next_beat_ms = now_ms + executor->heartbeat_ms;
    struct message_heartbeat beat = { .epoch = executor->epoch };
    for (struct child *child = executor->children; child != NULL; child = child->next)
        beat.rss_size += child->state == CHILD_RUNNING ? os_child_rss(child->process) : 0;
    message_send(executor->connection, MESSAGE_HEARTBEAT, &beat);
}

/* -- life ---------------------------------------------------------------------------------------------- */

weir_error *task_executor_new(const struct task_executor_options *options,
    struct task_executor **executor)
{
    char host[ADDRESS_HOST_SIZE];
    uint16_t port;
    ASSERT(options->slot_count > 0);
    if (options->address != NULL && !address_split(options->address, host, &port))
        return weir_errorf(WEIR_E_USAGE, "'%s' is no address of a job manager; give host:port",
            options->address);
    struct task_executor *it = mem_alloc(sizeof(*it));
    it->options = *options;
    it->retry_ms = RETRY_MS;
    it->address = mem_strdup(options->address);
    it->blob_dir = mem_printf("%s/blobs", options->work_dir);
    it->log_dir = mem_printf("%s/logs", options->work_dir);
    it->inbox = inbox_new(TASK_EXECUTOR_CHILDREN_MAX, sizeof(struct fetched));
    *executor = it;
    weir_error *error = os_make_dirs(it->blob_dir);
    if (error == NULL)
        error = os_make_dirs(it->log_dir);
    if (error != NULL) {
        task_executor_free(it);
        *executor = NULL;
    }
    return error;
}

void task_executor_free(struct task_executor *executor)
{
    struct fetched fetched;
    if (executor == NULL)
        return;
    workers_drain(executor->options.workers, executor);
    if (executor->connection != NULL)
        connection_close_flushed(executor->connection);
    while (inbox_take(executor->inbox, &fetched)) {
        weir_error_free(fetched.error);
        mem_free(fetched.digest);
    }
    for (struct child *child = executor->children; child != NULL; child = child->next)
        child->state = CHILD_ENDED;
    forget_ended(executor);
    inbox_free(executor->inbox);
    mem_free(executor->address);
    mem_free(executor->told);
    mem_free(executor->blobs_url);
    mem_free(executor->blob_dir);
    mem_free(executor->log_dir);
    mem_free(executor);
}

void task_executor_step(struct task_executor *executor, int64_t now_ms)
{
    struct fetched fetched;
    while (inbox_take(executor->inbox, &fetched))
        on_fetched(executor, &fetched);
    look_at_election(executor, now_ms);
    look_at_children(executor, now_ms);
    look_at_costs(executor, now_ms);
    look_at_connection(executor, now_ms);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t task_executor_deadline_ms(const struct task_executor *executor)
{
    const struct election *election = executor->options.election;
    int64_t deadline = election == NULL ? INT64_MAX : election_deadline_ms(election);
    if (executor->connection == NULL && executor->address != NULL)
        deadline = earlier(deadline, executor->next_try_ms);
    else if (executor->is_registered)
        deadline = earlier(deadline,
            earlier(executor->next_beat_ms,
                connection_heard_ms(executor->connection) + executor->timeout_ms + 1));
    for (const struct child *child = executor->children; child != NULL; child = child->next) {
        deadline = earlier(deadline, executor->next_look_ms);
        if (child->kill_by_ms > 0)
            deadline = earlier(deadline, child->kill_by_ms);
    }
    return deadline;
}

uint32_t task_executor_child_count(const struct task_executor *executor)
{
    return executor->child_count;
}

bool task_executor_is_registered(const struct task_executor *executor)
{
    return executor->is_registered;
}

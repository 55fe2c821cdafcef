/* logs.c -- weir logs: which logs there are, the text of one, or of all workers of a job. Prefixes: verb_
 *
 * All of them are found in the lists of logs that processes have: a list says how long a file is, so one that was
 * cut, or begun anew, is seen, and read from its begin. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/os_process.h"
#include "cli/client.h"
#include "cli/operation.h"

#include <stdio.h>
#include <stdlib.h>

#define JOB_MANAGER "jobmanager"
#define SHOWN_MAX   16384u /* logs at a time */

/* A log that is shown. Thread: one. */
struct shown {
    char *process, *name;
    char *path;                /* of its text */
    uint64_t at;               /* how far it was printed */
    int64_t size, modified_ms; /* when last listed */
    bool is_there;             /* in the last list */
};

/* What is asked for. Thread: one. */
struct looking {
    struct client *client;
    const char *process;   /* this one alone; NULL: all task managers */
    const char *name;      /* this log alone; NULL: those of the job */
    char job[JOB_ID_SIZE]; /* "": none */
    int64_t worker;        /* of the job; -1: all */
    struct shown *list;
    uint32_t count;
    const struct shown *last; /* printed */
    weir_buffer *text;        /* of one log, for JSON; NULL: it is printed as it comes */
};

/* -- which there are ------------------------------------------------------------------------------------ */

static char *base_of(const char *process)
{
    if (strcmp(process, JOB_MANAGER) == 0)
        return mem_strdup("/v1/" JOB_MANAGER);
    char *escaped = client_escape(process);
    char *base = mem_printf("/v1/taskmanagers/%s", escaped);
    mem_free(escaped);
    return base;
}

/* document_free the answer. */
static weir_error *list_logs(struct client *client, const char *process, struct document **answer)
{
    char *base = base_of(process), *path = mem_printf("%s/logs", base);
    weir_error *error = client_call(client, HTTP_GET, path, NULL, answer);
    mem_free(path);
    mem_free(base);
    return error;
}

typedef weir_error *with_process(void *arg, const char *process);

static weir_error *for_task_managers(struct client *client, with_process *call, void *arg)
{
    struct document *answer;
    weir_error *error = NULL;
    WEIR_TRY(client_call(client, HTTP_GET, "/v1/taskmanagers", NULL, &answer));
    const struct document *all = document_get(answer, "taskmanagers");
    for (uint32_t i = 0; i < document_count(all) && error == NULL; i++) {
        const char *id = document_text(document_at(all, i), "id");
        if (id != NULL)
            error = call(arg, id);
    }
    document_free(answer);
    return error;
}

/* A line of the list. Thread: one. */
struct listed {
    char *process, *name;
    int64_t size;
};

/* Thread: one. */
struct printing {
    struct client *client;
    weir_buffer *out; /* JSON; for people what is said behind the list */
    struct listed *list;
    uint32_t count;
};

/* An object that is begun. */
static struct json json_of(weir_buffer *out, const char *process, const char *name)
{
    struct json json = json_to(out);
    json_put_object(&json, NULL);
    json_put_text(&json, "process", process);
    if (name != NULL)
        json_put_text(&json, "name", name);
    return json;
}

static void end_line(struct json *json)
{
    json_put_end(json);
    weir_buffer_add_byte(json->out, '\n');
}

static void print_refusal(const struct printing *it, const char *process, const weir_error *error)
{
    if (!it->client->is_json) {
        buffer_printf(it->out, "%s: %s\n", process, weir_error_message(error));
        return;
    }
    struct json json = json_of(it->out, process, NULL);
    json_put_text(&json, "error", weir_error_message(error));
    end_line(&json);
}

static void take_entry(struct printing *it, const char *process, const struct document *log)
{
    const char *name = document_text(log, "name");
    int64_t size = document_int(log, "size", 0);
    if (name == NULL)
        name = "?";
    if (!it->client->is_json) {
        it->list = mem_realloc(it->list, (it->count + (size_t)1) * sizeof(*it->list));
        it->list[it->count++] = (struct listed){ .process = mem_strdup(process),
            .name = mem_strdup(name),
            .size = size };
        return;
    }
    struct json json = json_of(it->out, process, name);
    json_put_int(&json, "size", size);
    json_put_int(&json, "mtime", document_int(log, "mtime", 0));
    end_line(&json);
}

/* One that cannot say it now is no reason to hide the others. */
static weir_error *take_list(void *arg, const char *process)
{
    struct printing *it = arg;
    struct document *answer = NULL;
    weir_error *error = list_logs(it->client, process, &answer);
    if (error != NULL && it->client->status >= 400) {
        print_refusal(it, process, error);
        weir_error_free(error);
        return NULL;
    }
    WEIR_TRY(error);
    const struct document *logs = document_get(answer, "logs");
    for (uint32_t i = 0; i < document_count(logs); i++)
        take_entry(it, process, document_at(logs, i));
    document_free(answer);
    return NULL;
}

static int width_of(int width, const char *text)
{
    return (int)strlen(text) > width ? (int)strlen(text) : width;
}

/* JOB-ATTEMPT-WORKER.log; a job has no attempt 0, but the process that makes its plan is told to. */
static bool read_worker_log(const char *name, char job[JOB_ID_SIZE], unsigned long long *attempt,
    long long *worker)
{
    int end = 0;
    return sscanf(name, "%32[0-9a-f]-%llu-%lld.log%n", job, attempt, worker, &end) == 3 &&
           end > 0 && name[end] == '\0' && job_is_id(job);
}

static void print_entry(const struct listed *it, int process_width, int name_width,
    weir_buffer *out)
{
    char job[JOB_ID_SIZE];
    unsigned long long attempt;
    long long worker;
    buffer_printf(out, "%-*s  %-*s  %10lld", process_width, it->process, name_width, it->name,
        (long long)it->size);
    if (!read_worker_log(it->name, job, &attempt, &worker))
        buffer_printf(out, "  the process itself\n");
    else if (attempt == 0)
        buffer_printf(out, "  a plan\n");
    else
        buffer_printf(out, "  worker %lld of attempt %llu\n", worker, attempt);
}

static void print_list(const struct printing *it, weir_buffer *out)
{
    static const char process[] = "PROCESS", name[] = "LOG";
    int process_width = (int)strlen(process), name_width = (int)strlen(name);
    for (uint32_t i = 0; i < it->count; i++) {
        process_width = width_of(process_width, it->list[i].process);
        name_width = width_of(name_width, it->list[i].name);
    }
    buffer_printf(out, "%-*s  %-*s  %10s  OF\n", process_width, process, name_width, name, "BYTES");
    for (uint32_t i = 0; i < it->count; i++)
        print_entry(&it->list[i], process_width, name_width, out);
    weir_buffer_add_str(out, weir_buffer_view(it->out));
}

static void free_printing(struct printing *it)
{
    for (uint32_t i = 0; i < it->count; i++) {
        mem_free(it->list[i].process);
        mem_free(it->list[i].name);
    }
    mem_free(it->list);
    weir_buffer_free(it->out);
}

static weir_error *print_lists(struct client *client)
{
    struct printing it = { .client = client, .out = weir_buffer_new(CLI_OUTPUT_MAX) };
    weir_error *error = take_list(&it, JOB_MANAGER);
    if (error == NULL)
        error = for_task_managers(client, take_list, &it);
    if (error == NULL) {
        weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
        if (client->is_json)
            weir_buffer_add_str(out, weir_buffer_view(it.out));
        else
            print_list(&it, out);
        error = buffer_to_stdout(out);
    }
    free_printing(&it);
    return error;
}

/* -- which are meant ------------------------------------------------------------------------------------- */

static bool is_of_job(const struct looking *looking, const char *name)
{
    char job[JOB_ID_SIZE];
    unsigned long long attempt;
    long long worker;
    return read_worker_log(name, job, &attempt, &worker) && strcmp(job, looking->job) == 0 &&
           (looking->worker < 0 || looking->worker == worker);
}

static struct shown *shown_of(struct looking *looking, const char *process, const char *name)
{
    for (uint32_t i = 0; i < looking->count; i++) {
        struct shown *it = &looking->list[i];
        if (strcmp(it->process, process) == 0 && strcmp(it->name, name) == 0)
            return it;
    }
    if (looking->count == SHOWN_MAX)
        return NULL;
    char *base = base_of(process), *escaped = client_escape(name);
    struct shown *it = &looking->list[looking->count++];
    *it = (struct shown){ .process = mem_strdup(process),
        .name = mem_strdup(name),
        .path = mem_printf("%s/logs/%s", base, escaped) };
    mem_free(base);
    mem_free(escaped);
    return it;
}

static weir_error *look_at(void *arg, const char *process)
{
    struct looking *looking = arg;
    struct document *answer;
    weir_error *error = list_logs(looking->client, process, &answer);
    if (error != NULL && looking->process == NULL && looking->client->status >= 400) {
        weir_error_free(error); /* it has gone, or is slow: the others have logs, too */
        return NULL;
    }
    WEIR_TRY(error);
    const struct document *logs = document_get(answer, "logs");
    for (uint32_t i = 0; i < document_count(logs); i++) {
        const struct document *log = document_at(logs, i);
        const char *name = document_text(log, "name");
        bool is_meant = name != NULL && (looking->name != NULL ? strcmp(name, looking->name) == 0
                                                               : is_of_job(looking, name));
        struct shown *it = is_meant ? shown_of(looking, process, name) : NULL;
        if (it == NULL)
            continue;
        it->is_there = true;
        it->size = document_int(log, "size", 0);
        it->modified_ms = document_int(log, "mtime", 0);
    }
    document_free(answer);
    return NULL;
}

static weir_error *look(struct looking *looking)
{
    for (uint32_t i = 0; i < looking->count; i++)
        looking->list[i].is_there = false;
    return looking->process != NULL ? look_at(looking, looking->process)
                                    : for_task_managers(looking->client, look_at, looking);
}

/* -- their text ------------------------------------------------------------------------------------------ */

static weir_error *print_title(struct looking *looking, const struct shown *it)
{
    if (looking->name != NULL || looking->last == it)
        return NULL;
    WEIR_TRY(
        cli_printf("%s==> %s %s <==\n", looking->last == NULL ? "" : "\n", it->process, it->name));
    looking->last = it;
    return NULL;
}

static weir_error *print_bytes(struct looking *looking, const struct shown *it, const char *text,
    size_t size)
{
    if (looking->text != NULL) {
        weir_buffer_add(looking->text, text, size);
        return NULL;
    }
    WEIR_TRY(print_title(looking, it));
    return os_stdout_write(text, size);
}

/* What is new in it. */
static weir_error *print_text(struct looking *looking, struct shown *it)
{
    if ((uint64_t)it->size < it->at)
        it->at = 0; /* it was cut, or is another one */
    for (size_t size = 1; it->is_there && it->at < (uint64_t)it->size && size > 0;) {
        char *text, *path = mem_printf("%s?offset=%llu", it->path, (unsigned long long)it->at);
        weir_error *error = client_text(looking->client, path, &text, &size);
        mem_free(path);
        WEIR_TRY(error);
        error = size == 0 ? NULL : print_bytes(looking, it, text, size);
        it->at += size;
        mem_free(text);
        WEIR_TRY(error);
    }
    return NULL;
}

/* The log, with its text. */
static weir_error *print_json(struct looking *looking, struct shown *it)
{
    weir_buffer_reset(looking->text);
    WEIR_TRY(print_text(looking, it));
    if (weir_buffer_overflowed(looking->text))
        return weir_errorf(WEIR_E_LIMIT, "the log '%s' is larger than %zu MB; leave out --json",
            it->name, CLI_OUTPUT_MAX >> 20);
    weir_str text = { .data = buffer_text(looking->text), .size = buffer_size(looking->text) };
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    struct json json = json_of(out, it->process, it->name);
    json_put_int(&json, "size", it->size);
    json_put_int(&json, "mtime", it->modified_ms);
    json_put_str(&json, "text", text);
    end_line(&json);
    return buffer_to_stdout(out);
}

static int by_age(const void *left, const void *right)
{
    const struct shown *a = *(struct shown *const *)left, *b = *(struct shown *const *)right;
    return (a->modified_ms > b->modified_ms) - (a->modified_ms < b->modified_ms);
}

/* Who has written last is printed last. */
static weir_error *print_all(struct looking *looking)
{
    struct shown **sorted = mem_alloc_array((size_t)looking->count + 1, sizeof(*sorted));
    for (uint32_t i = 0; i < looking->count; i++)
        sorted[i] = &looking->list[i];
    qsort(sorted, looking->count, sizeof(*sorted), by_age);
    weir_error *error = NULL;
    for (uint32_t i = 0; i < looking->count && error == NULL; i++)
        error =
            looking->text != NULL ? print_json(looking, sorted[i]) : print_text(looking, sorted[i]);
    mem_free(sorted);
    return error;
}

static weir_error *has_ended(const struct looking *looking, bool *is_over)
{
    struct document *answer;
    *is_over = false;
    if (looking->job[0] == '\0')
        return NULL;
    char *path = mem_printf("/v1/jobs/%s/status", looking->job);
    weir_error *error = client_call(looking->client, HTTP_GET, path, NULL, &answer);
    mem_free(path);
    if (error != NULL && looking->client->status == 404) {
        weir_error_free(error);
        *is_over = true;
        return NULL;
    }
    WEIR_TRY(error);
    const char *state = document_text(answer, "status");
    *is_over = state != NULL && job_state_has_ended(state);
    document_free(answer);
    return NULL;
}

/* What is printed behind the end of the job is its last words. A job manager that is gone is asked again until the
 * time-out, which begins anew with each answer. */
static weir_error *follow(struct looking *looking)
{
    bool is_over = false;
    while (!is_over) {
        weir_error *error = has_ended(looking, &is_over);
        if (error == NULL)
            error = look(looking);
        if (error == NULL)
            error = print_all(looking);
        if (error == NULL) {
            client_renew(looking->client);
            client_start_wait(looking->client);
        } else if (!weir_error_is_retriable(error) || client_is_late(looking->client)) {
            return error;
        }
        weir_error_free(error);
        if (!is_over)
            client_pause(looking->client);
    }
    return NULL;
}

/* -- the verb ---------------------------------------------------------------------------------------------- */

static weir_error *nothing_found(const struct looking *looking)
{
    if (looking->name != NULL)
        return weir_errorf(WEIR_E_CONNECTOR, "%s has no log '%s'", looking->process, looking->name);
    return weir_errorf(WEIR_E_CONNECTOR,
        "no task manager that is registered has a log of job %s%s: there is no such job ('weir "
        "list -a'), none of its workers has begun, it was deleted (env.log.size-max), or lies on a "
        "machine that is gone",
        looking->job, looking->worker < 0 ? "" : ", of that worker");
}

static weir_error *show(struct looking *looking, bool is_followed)
{
    WEIR_TRY(is_followed ? follow(looking) : look(looking));
    if (looking->count == 0)
        return nothing_found(looking);
    return is_followed ? NULL : print_all(looking);
}

static weir_error *is_it(void *arg, const char *process)
{
    const char **wanted = arg;
    if (*wanted != NULL && strcmp(*wanted, process) == 0)
        *wanted = NULL;
    return NULL;
}

/* The job manager, a task manager by its id, else a job. */
static weir_error *read_target(const struct verb_call *call, struct looking *looking)
{
    const char *word = call->arguments[0], *left = word;
    if (strcmp(word, JOB_MANAGER) != 0 && !job_is_id(word))
        WEIR_TRY(for_task_managers(looking->client, is_it, &left));
    if (left != NULL && strcmp(word, JOB_MANAGER) != 0 && call->argument_count == 1)
        return job_find(looking->client, word, looking->job);
    if (looking->worker >= 0)
        return weir_errorf(WEIR_E_USAGE,
            "--worker is of a job, and '%.200s' is a process; leave it out", word);
    looking->process = word;
    looking->name = call->argument_count > 1         ? call->arguments[1]
                    : strcmp(word, JOB_MANAGER) == 0 ? JOB_MANAGER ".log"
                                                     : "taskmanager.log";
    return NULL;
}

static weir_error *run(const struct verb_call *call, struct client *client)
{
    struct looking looking = { .client = client,
        .worker =
            config_given(call->config, "worker") ? config_number(call->config, "worker") : -1 };
    bool is_followed = config_flag(call->config, "follow");
    if (call->argument_count == 0 && (is_followed || looking.worker >= 0))
        return weir_errorf(WEIR_E_USAGE, "--%s needs to know of what: weir logs JOB",
            is_followed ? "follow" : "worker");
    if (is_followed && client->is_json)
        return weir_errorf(WEIR_E_USAGE, "what is followed is text; leave out --json or --follow");
    if (call->argument_count == 0)
        return print_lists(client);
    WEIR_TRY(read_target(call, &looking));
    looking.list = mem_alloc_array(SHOWN_MAX, sizeof(*looking.list));
    looking.text = client->is_json ? weir_buffer_new(CLI_OUTPUT_MAX) : NULL;
    weir_error *error = show(&looking, is_followed);
    for (uint32_t i = 0; i < looking.count; i++) {
        mem_free(looking.list[i].process);
        mem_free(looking.list[i].name);
        mem_free(looking.list[i].path);
    }
    mem_free(looking.list);
    weir_buffer_free(looking.text);
    return error;
}

static weir_error *run_logs(const struct verb_call *call)
{
    struct client client;
    WEIR_TRY(client_open(call, &client));
    weir_error *error = run(call, &client);
    client_close(&client);
    return error;
}

/* clang-format off */
static const struct verb_option options[] = {
    { { "worker", WEIR_OPTION_NUMBER, "N", NULL, "Of a job: this worker of each attempt alone, counted from 0.", 0,
        1 << 20 }, NULL, VERB_ONCE },
    { { "follow", WEIR_OPTION_FLAG, NULL, NULL, "Go on with what is printed from now on, until the job is over.", 0,
        0 }, "f", VERB_ONCE },
};
/* clang-format on */

const struct verb verb_logs = { .name = "logs",
    .usage = "[JOB [--worker N] | jobmanager | TASKMANAGER [NAME]] [-f]",
    .brief = "shows what workers of a job, or processes of a cluster, have printed",
    .help =
        "Shows what the workers of a job have printed, also when it is over: of every attempt "
        "whose "
        "logs are\n"
        "still there. Or the log of the job manager or of a task manager, or the file NAME among "
        "its logs.\n"
        "Without an argument: which processes there are, what logs they have, of how many bytes, "
        "and of\n"
        "what: the process itself, a worker (its job is the front of the name), or a plan. With\n"
        "--json an object a line for each log.",
    .takes = "a job, or a process and the name of a log, or nothing",
    .argument_max = 2,
    VERB_OPTIONS(options),
    .run = run_logs };

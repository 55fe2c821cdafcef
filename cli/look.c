/* look.c -- weir explain and weir logs: what a job manager knows and prints as it is. Prefixes: verb_ */
#include "base/buffer.h"
#include "base/memory.h"
#include "base/os_process.h"
#include "cli/client.h"
#include "cli/operation.h"

static weir_error *print_text(struct client *client, const char *path)
{
    char *text;
    WEIR_TRY(client_text(client, path, &text));
    weir_error *error = os_stdout_write(text, strlen(text));
    mem_free(text);
    return error;
}

/* -- explain ---------------------------------------------------------------------------------------- */

static weir_error *explain(struct client *client, const char *word)
{
    char id[JOB_ID_SIZE];
    WEIR_TRY(job_find(client, word, id));
    char *path = mem_printf("/v1/jobs/%s/%s", id, client->is_json ? "plan" : "explain");
    weir_error *error = print_text(client, path);
    mem_free(path);
    return error;
}

static weir_error *run_explain(const struct verb_call *call)
{
    struct client client;
    WEIR_TRY(client_open(call, &client));
    weir_error *error = explain(&client, call->arguments[0]);
    client_close(&client);
    return error;
}

const struct verb verb_explain = { .name = "explain",
    .usage = "JOB",
    .brief = "shows the plan of a job",
    .help = "Shows the plan of a job: its vertices, what is chained, how they are connected.",
    .takes = "1 job, and options",
    .argument_min = 1,
    .argument_max = 1,
    .run = run_explain };

/* -- logs --------------------------------------------------------------------------------------------- */

#define JOB_MANAGER "jobmanager"

/* What a process has; a job manager that serves no logs is no reason to hide the names of its task managers. */
static weir_error *list_of(struct client *client, const char *id, const char *base,
    weir_buffer *out)
{
    char *path = mem_printf("%s/logs", base);
    struct document *answer = NULL;
    weir_error *error = client_call(client, HTTP_GET, path, NULL, &answer);
    mem_free(path);
    if (error != NULL && client->status == 404) {
        weir_error_free(error);
        buffer_printf(out, "%s: its logs are not served; look on its machine\n", id);
        return NULL;
    }
    WEIR_TRY(error);
    const struct document *logs = document_get(answer, "logs");
    for (uint32_t i = 0; i < document_count(logs); i++) {
        const char *name = document_text(document_at(logs, i), "name");
        buffer_printf(out, "%s %s %lld\n", id, name == NULL ? "?" : name,
            (long long)document_int(document_at(logs, i), "size", 0));
    }
    document_free(answer);
    return NULL;
}

static weir_error *list_all(struct client *client, weir_buffer *out)
{
    struct document *answer;
    WEIR_TRY(list_of(client, JOB_MANAGER, "/v1/" JOB_MANAGER, out));
    WEIR_TRY(client_call(client, HTTP_GET, "/v1/taskmanagers", NULL, &answer));
    const struct document *all = document_get(answer, "taskmanagers");
    weir_error *error = NULL;
    for (uint32_t i = 0; i < document_count(all) && error == NULL; i++) {
        const char *id = document_text(document_at(all, i), "id");
        if (id == NULL)
            continue;
        char *escaped = client_escape(id), *base = mem_printf("/v1/taskmanagers/%s", escaped);
        error = list_of(client, id, base, out);
        mem_free(base);
        mem_free(escaped);
    }
    document_free(answer);
    return error;
}

static weir_error *list_logs(struct client *client)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    weir_error *error = list_all(client, out);
    if (error == NULL)
        return buffer_to_stdout(out);
    weir_buffer_free(out);
    return error;
}

static weir_error *print_log(struct client *client, const char *id, const char *name)
{
    char *escaped_id = client_escape(id), *escaped_name = name == NULL ? NULL : client_escape(name);
    char *path = mem_printf("/v1/%s%s/log%s%s", strcmp(id, JOB_MANAGER) == 0 ? "" : "taskmanagers/",
        escaped_id, name == NULL ? "" : "s/", name == NULL ? "" : escaped_name);
    weir_error *error = print_text(client, path);
    if (error != NULL && client->status == 404)
        error = weir_error_wrap(error, "%s has no such log, or the job manager serves none", id);
    mem_free(path);
    mem_free(escaped_name);
    mem_free(escaped_id);
    return error;
}

static weir_error *logs(const struct verb_call *call, struct client *client)
{
    if (call->argument_count > 0)
        return print_log(client, call->arguments[0], call->arguments[1]);
    return client->is_json ? print_text(client, "/v1/taskmanagers") : list_logs(client);
}

static weir_error *run_logs(const struct verb_call *call)
{
    struct client client;
    WEIR_TRY(client_open(call, &client));
    weir_error *error = logs(call, &client);
    client_close(&client);
    return error;
}

const struct verb verb_logs = { .name = "logs",
    .usage = "[jobmanager|TASKMANAGER [NAME]]",
    .brief = "shows the logs of the processes of a cluster",
    .help =
        "Shows the log of the job manager or of a task manager, or the file NAME among its logs.\n"
        "Without an argument: which processes there are, and what logs they have, with their "
        "sizes; with\n"
        "--json the task managers.",
    .takes = "a process and the name of a log, or nothing",
    .argument_max = 2,
    .run = run_logs };

/* explain.c -- weir explain: the plan of a job, as the job manager prints it. Prefixes: verb_ */
#include "base/memory.h"
#include "base/os_process.h"
#include "cli/client.h"
#include "cli/operation.h"

static weir_error *print_text(struct client *client, const char *path)
{
    char *text;
    size_t size;
    WEIR_TRY(client_text(client, path, &text, &size));
    weir_error *error = os_stdout_write(text, size);
    mem_free(text);
    return error;
}

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

/* operate.c -- weir checkpoint and weir rescale: what a job is asked to do while it runs. Prefixes: verb_ */
#include "base/memory.h"
#include "cli/client.h"
#include "cli/operation.h"
#include "types/key_group.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef weir_error *ask_fn(const struct verb_call *call, struct client *client, const char *id);

static weir_error *with_job(const struct verb_call *call, ask_fn *ask)
{
    struct client client;
    char id[JOB_ID_SIZE];
    WEIR_TRY(client_open(call, &client));
    weir_error *error = job_find(&client, call->arguments[0], id);
    if (error == NULL)
        error = ask(call, &client, id);
    client_close(&client);
    return error;
}

/* -- checkpoint ------------------------------------------------------------------------------------- */

/* What the history of the job says of one that has no place to be found at. */
#define NO_PLACE "<checkpoint-not-externally-addressable>"

static weir_error *say_checkpoint(const struct client *client, const char *id, int64_t number,
    const char *location)
{
    bool is_temporary = strcmp(location, NO_PLACE) == 0;
    WEIR_TRY(client_say(client, "Checkpoint %" PRId64 " for job %s completed.\n", number, id));
    if (is_temporary)
        WEIR_TRY(client_say(client,
            "It is temporary, and goes with the job: what is to be resumed from is a savepoint "
            "('weir savepoint %s DIR'), or a checkpoint of a job with --checkpoints DIR.\n",
            id));
    else
        WEIR_TRY(client_say(client,
            "Path: %s\n"
            "You can resume your program from this checkpoint with the run command.\n",
            location));
    struct document *answer = document_new();
    document_put_text(answer, "jobid", id);
    document_put_int(answer, "checkpointId", number);
    document_put_text(answer, "location", is_temporary ? NULL : location);
    return client_answer(client, answer);
}

/* The answer of the operation is as Flink's, the number alone: the history of the job has the path. */
static weir_error *find_checkpoint(struct client *client, const char *id, int64_t number)
{
    struct document *answer;
    if (number < 0)
        return weir_errorf(WEIR_E_CORRUPT,
            "the checkpoint is complete, but nobody says its number");
    char *path = mem_printf("/v1/jobs/%s/checkpoints/details/%" PRId64, id, number);
    weir_error *error = client_call(client, HTTP_GET, path, NULL, &answer);
    mem_free(path);
    if (error != NULL)
        return weir_error_wrap(error, "checkpoint %" PRId64 " is complete, but nobody says where",
            number);
    const char *location = document_text(answer, "external_path");
    if (location != NULL)
        error = say_checkpoint(client, id, number, location);
    else
        error = weir_errorf(WEIR_E_CORRUPT,
            "checkpoint %" PRId64 " is complete, but nobody says where", number);
    document_free(answer);
    return error;
}

static weir_error *checkpoint(const struct verb_call *call, struct client *client, const char *id)
{
    WEIR_TRY(
        client_say(client, "Triggering checkpoint for job %s.\nWaiting for response...\n", id));
    struct operation operation = { .method = HTTP_POST,
        .path = mem_printf("/v1/jobs/%s/checkpoints", id),
        .polled = mem_printf("/v1/jobs/%s/checkpoints", id),
        .body = document_new() };
    document_put_text(operation.body, "checkpointType",
        config_flag(call->config, "full") ? "FULL" : "CONFIGURED");
    document_put_text(operation.body, "triggerId", NULL);
    weir_error *error = operation_run(client, &operation, "the checkpoint");
    if (error == NULL)
        error = find_checkpoint(client, id,
            document_int(operation_result(&operation), "checkpointId", -1));
    operation_release(&operation);
    return error;
}

static weir_error *run_checkpoint(const struct verb_call *call)
{
    return with_job(call, checkpoint);
}

/* clang-format off */
static const struct verb_option checkpoint_options[] = {
    { { "full", WEIR_OPTION_FLAG, NULL, NULL, "One that needs no older one.", 0, 0 }, NULL, VERB_ONCE },
};
/* clang-format on */

const struct verb verb_checkpoint = { .name = "checkpoint",
    .usage = "JOB",
    .brief = "takes a checkpoint now",
    .help = "Takes a checkpoint of a job now, waits until it is complete, and says its path.",
    .takes = "1 job, and options",
    .argument_min = 1,
    .argument_max = 1,
    VERB_OPTIONS(checkpoint_options),
    .run = run_checkpoint };

/* -- rescale ---------------------------------------------------------------------------------------- */

static weir_error *say_rescaled(const struct client *client, const char *id, int64_t parallelism,
    const struct document *result)
{
    int64_t downtime_ms = document_int(result, "downtime-ms", -1);
    int64_t duration_ms = document_int(result, "duration-ms", -1);
    bool is_unchanged = document_bool(result, "unchanged");
    if (is_unchanged)
        WEIR_TRY(client_say(client,
            "Job %s has parallelism %" PRId64 " already: nothing was changed.\n", id, parallelism));
    else
        WEIR_TRY(
            client_say(client, "Rescaled job %s to parallelism %" PRId64 ".\n", id, parallelism));
    if (downtime_ms >= 0 && !is_unchanged)
        WEIR_TRY(client_say(client, "Without output for %" PRId64 " ms", downtime_ms));
    if (downtime_ms >= 0 && duration_ms >= 0 && !is_unchanged)
        WEIR_TRY(client_say(client, ", %" PRId64 " ms in all", duration_ms));
    if (downtime_ms >= 0 && !is_unchanged)
        WEIR_TRY(client_say(client, ".\n"));
    struct document *answer = document_new();
    document_put_text(answer, "jobid", id);
    document_put_int(answer, "parallelism", parallelism);
    document_put_bool(answer, "unchanged", is_unchanged);
    document_put_int(answer, "downtime-ms", downtime_ms);
    document_put_int(answer, "duration-ms", duration_ms);
    return client_answer(client, answer);
}

static weir_error *rescale(const struct verb_call *call, struct client *client, const char *id)
{
    int64_t parallelism = strtoll(call->arguments[1], NULL, 10);
    WEIR_TRY(client_say(client,
        "Rescaling job %s to parallelism %" PRId64 ".\nWaiting for response...\n", id,
        parallelism));
    struct operation operation = { .method = HTTP_PATCH,
        .path = mem_printf("/v1/jobs/%s/rescaling?parallelism=%" PRId64, id, parallelism),
        .polled = mem_printf("/v1/jobs/%s/rescaling", id) };
    weir_error *error = operation_run(client, &operation, "the rescaling");
    if (error == NULL)
        error = say_rescaled(client, id, parallelism, operation_result(&operation));
    operation_release(&operation);
    return error;
}

static weir_error *run_rescale(const struct verb_call *call)
{
    char *end;
    const char *text = call->arguments[1];
    long long parallelism = strtoll(text, &end, 10);
    if (text[0] == '\0' || *end != '\0' || parallelism < 1 || parallelism > MAX_PARALLELISM_LIMIT)
        return weir_errorf(WEIR_E_USAGE, "the parallelism is '%.200s'; it must be from 1 to %u",
            text, MAX_PARALLELISM_LIMIT);
    return with_job(call, rescale);
}

const struct verb verb_rescale = { .name = "rescale",
    .usage = "JOB N",
    .brief = "changes the parallelism of a job",
    .help =
        "Changes the parallelism of a job, and says how long it had no output. It changes at a\n"
        "checkpoint that is taken for it; a job whose tasks do not all run, because a task "
        "manager\n"
        "was lost for instance, changes at once and goes on from its newest one.",
    .takes = "1 job and its parallelism, and options",
    .argument_min = 2,
    .argument_max = 2,
    .run = run_rescale };

/* savepoint.c -- weir savepoint: of a job that runs, by its job manager; or out of a complete checkpoint on disk, with
 * no job near. A job that has stopped, or crashed, or was deleted has left its checkpoints; whoever wants to move one,
 * keep it, or change what no checkpoint survives (backend, structs) makes a savepoint of it. */
#include "cli/savepoint.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_scratch.h"
#include "checkpoint/savepoint.h"
#include "cli/operation.h"

/* -- of a job ---------------------------------------------------------------------------------------- */

weir_error *savepoint_choose(const struct verb_call *call, struct savepoint_order *order)
{
    uint32_t type;
    WEIR_TRY(config_choice(call->config, "type", &type));
    order->format = type == 0 ? "CANONICAL" : "NATIVE";
    return NULL;
}

/* The names differ from request to request, and the order is Flink's, too. */
static struct operation operation_of(const struct savepoint_order *order, const char *dir)
{
    bool is_stop = order->kind == SAVEPOINT_THEN_STOP;
    struct operation operation = { .method = HTTP_POST,
        .path = mem_printf("/v1/jobs/%s/%s", order->job, is_stop ? "stop" : "savepoints"),
        .polled = mem_printf("/v1/jobs/%s/savepoints", order->job),
        .body = document_new() };
    document_put_text(operation.body, is_stop ? "targetDirectory" : "target-directory", dir);
    document_put_bool(operation.body, is_stop ? "drain" : "cancel-job",
        is_stop ? order->is_drain : order->kind == SAVEPOINT_THEN_CANCEL);
    document_put_text(operation.body, "formatType", order->format);
    document_put_text(operation.body, "triggerId", NULL);
    return operation;
}

static weir_error *trigger(struct client *client, const char *job, struct operation *operation)
{
    WEIR_TRY(operation_begin(client, operation));
    WEIR_TRY(client_say(client, "Successfully trigger manual savepoint, triggerId: %s\n",
        operation->id));
    struct document *answer = document_new();
    document_put_text(answer, "jobid", job);
    document_put_text(answer, "request-id", operation->id);
    return client_answer(client, answer);
}

static weir_error *complete(struct client *client, const char *job, struct operation *operation)
{
    WEIR_TRY(operation_run(client, operation, "the savepoint"));
    const char *location = document_text(operation_result(operation), "location");
    if (location == NULL)
        return weir_errorf(WEIR_E_CORRUPT, "the savepoint is complete, but nobody says where");
    WEIR_TRY(client_say(client,
        "Savepoint completed. Path: %s\n"
        "You can resume your program from this savepoint with the run command.\n",
        location));
    struct document *answer = document_new();
    document_put_text(answer, "jobid", job);
    document_put_text(answer, "location", location);
    return client_answer(client, answer);
}

weir_error *savepoint_order(struct client *client, const struct savepoint_order *order)
{
    char *dir;
    WEIR_TRY(job_path(order->dir, &dir));
    struct operation operation = operation_of(order, dir);
    weir_error *error = order->is_detached ? trigger(client, order->job, &operation)
                                           : complete(client, order->job, &operation);
    operation_release(&operation);
    mem_free(dir);
    return error;
}

static weir_error *of_job(const struct verb_call *call, struct client *client)
{
    char id[JOB_ID_SIZE];
    struct savepoint_order order = { .job = id,
        .dir = call->arguments[1],
        .is_detached = config_flag(call->config, "detached") };
    WEIR_TRY(job_find(client, call->arguments[0], id));
    WEIR_TRY(savepoint_choose(call, &order));
    WEIR_TRY(client_say(client, "Triggering savepoint for job %s.\n", id));
    if (!order.is_detached)
        WEIR_TRY(client_say(client, "Waiting for response...\n"));
    return savepoint_order(client, &order);
}

/* -- its end ----------------------------------------------------------------------------------------- */

static weir_error *dispose(const struct verb_call *call, struct client *client)
{
    const char *given = config_text(call->config, "dispose");
    char *path;
    WEIR_TRY(client_say(client, "Disposing savepoint '%s'.\nWaiting for response...\n", given));
    WEIR_TRY(job_path(given, &path));
    struct operation operation = { .method = HTTP_POST,
        .path = mem_strdup("/v1/savepoint-disposal"),
        .polled = mem_strdup("/v1/savepoint-disposal"),
        .body = document_new() };
    document_put_text(operation.body, "savepoint-path", path);
    weir_error *error = operation_run(client, &operation, "the disposal");
    operation_release(&operation);
    mem_free(path);
    WEIR_TRY(error);
    WEIR_TRY(client_say(client, "Savepoint '%s' disposed.\n", given));
    struct document *answer = document_new();
    document_put_text(answer, "disposed", given);
    return client_answer(client, answer);
}

/* -- of a checkpoint on disk --------------------------------------------------------------------------- */

static weir_error *write_from(const struct snapshot_dir *from, const char *root, char **path)
{
    struct os_scratch work;
    WEIR_TRY(os_scratch_open(NULL, "savepoint", &work));
    struct scan_place place = { .dir = from->dir, .work_dir = work.path };
    weir_error *error = savepoint_write(&place, &from->metadata, root, path);
    return weir_error_join(error, os_scratch_close(&work));
}

static weir_error *of_checkpoint(const struct verb_call *call)
{
    struct snapshot_dir from;
    char *path = NULL;
    call->outcome->says_code = true;
    if (call->argument_count != 2)
        return weir_errorf(WEIR_E_USAGE,
            "'%s' is a checkpoint on disk: where does the savepoint go? weir savepoint "
            "CHECKPOINT DIR",
            call->arguments[0]);
    WEIR_TRY(snapshot_dir_open(call->arguments[0], &from));
    weir_error *error = write_from(&from, call->arguments[1], &path);
    snapshot_dir_close(&from);
    if (error == NULL && !config_flag(call->config, "json")) {
        error = cli_printf("%s\n", path);
    } else if (error == NULL) {
        struct document *answer = document_new();
        document_put_text(answer, "location", path);
        error = client_answer(&(struct client){ .is_json = true }, answer);
    }
    mem_free(path);
    return error;
}

/* -- which of them ------------------------------------------------------------------------------------- */

/* An id is always a job's. Else it is on disk if it can be no name of a job, or is there. */
static weir_error *is_on_disk(const char *word, bool *is_it)
{
    struct os_stat stat = { .exists = false };
    *is_it = strchr(word, '/') != NULL;
    if (job_is_id(word) || *is_it)
        return NULL;
    WEIR_TRY(os_stat(word, &stat));
    *is_it = stat.is_directory;
    return NULL;
}

static weir_error *ask(const struct verb_call *call)
{
    struct client client;
    WEIR_TRY(client_open(call, &client));
    weir_error *error =
        config_given(call->config, "dispose") ? dispose(call, &client) : of_job(call, &client);
    client_close(&client);
    return error;
}

static weir_error *run(const struct verb_call *call)
{
    bool is_disposal = config_given(call->config, "dispose"), is_file = false;
    if (is_disposal != (call->argument_count == 0))
        return weir_errorf(WEIR_E_USAGE, "'weir savepoint' takes a job, or a checkpoint and a "
                                         "directory, or --dispose PATH alone");
    if (!is_disposal)
        WEIR_TRY(is_on_disk(call->arguments[0], &is_file));
    return is_file ? of_checkpoint(call) : ask(call);
}

/* clang-format off */
static const struct verb_option options[] = {
    { { "dispose", WEIR_OPTION_TEXT, "PATH", NULL, "Delete that savepoint.", 0, 0 }, "d", VERB_ONCE },
    SAVEPOINT_OPTION_DETACHED,
    SAVEPOINT_OPTION_TYPE,
};
/* clang-format on */

const struct verb verb_savepoint = { .name = "savepoint",
    .usage = "JOB [DIR] | CHECKPOINT DIR | -d PATH",
    .brief = "takes a savepoint of a job, makes one of a checkpoint, deletes one",
    .help = "Takes a savepoint of a job that runs on a cluster, into DIR or the configured "
            "directory; the\n"
            "job goes on. Or makes one out of a complete checkpoint on disk "
            "(<checkpoints>/<job>/chk-<n>)\n"
            "with no job near, and prints its path; the checkpoint stays as it is. Do not do that "
            "to the\n"
            "checkpoints of a job that runs: it deletes old ones. What has a '/' in it, or is a "
            "directory\n"
            "here, is a checkpoint; 32 hexadecimal digits are always a job.",
    .takes = "a job and perhaps a directory, or a checkpoint and a directory",
    .argument_max = 2,
    VERB_OPTIONS(options),
    .run = run };

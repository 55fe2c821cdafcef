/* stop.c -- weir cancel and weir stop: the end of a job, without and with a savepoint. Prefixes: verb_ */
#include "base/memory.h"
#include "cli/client.h"
#include "cli/operation.h"
#include "cli/savepoint.h"

/* -- cancel ------------------------------------------------------------------------------------------ */

static weir_error *cancel_plainly(struct client *client, const char *id)
{
    WEIR_TRY(client_say(client, "Cancelling job %s.\n", id));
    char *path = mem_printf("/v1/jobs/%s?mode=cancel", id);
    weir_error *error = client_call(client, HTTP_PATCH, path, NULL, NULL);
    mem_free(path);
    if (error != NULL && weir_error_code(error) == WEIR_E_TIMEOUT)
        return weir_error_wrap(error,
            "job %s may be cancelled yet, or not: 'weir list -a' shows it, and it can be asked "
            "again",
            id);
    if (error != NULL)
        return weir_error_wrap(error, "job %s is not cancelled", id);
    WEIR_TRY(client_say(client, "Cancelled job %s.\n", id));
    struct document *answer = document_new();
    document_put_text(answer, "jobid", id);
    return client_answer(client, answer);
}

static weir_error *cancel(const struct verb_call *call, struct client *client)
{
    char id[JOB_ID_SIZE];
    WEIR_TRY(job_find(client, call->arguments[0], id));
    if (!config_given(call->config, "with-savepoint"))
        return cancel_plainly(client, id);
    WEIR_TRY(client_say(client, "Cancelling job %s with a savepoint.\n", id));
    struct savepoint_order order = { .kind = SAVEPOINT_THEN_CANCEL,
        .job = id,
        .dir = config_text(call->config, "with-savepoint") };
    WEIR_TRY(savepoint_choose(call, &order));
    return savepoint_order(client, &order);
}

static weir_error *run_cancel(const struct verb_call *call)
{
    struct client client;
    WEIR_TRY(client_open(call, &client));
    weir_error *error = cancel(call, &client);
    client_close(&client);
    return error;
}

/* clang-format off */
static const struct verb_option cancel_options[] = {
    { { "with-savepoint", WEIR_OPTION_TEXT, "[DIR]", NULL,
        "Take a savepoint first, into DIR or the configured directory. 'weir stop' does it better: nothing "
        "comes between the savepoint and the end.", 0, 0 }, "s withSavepoint", VERB_MAYBE },
    SAVEPOINT_OPTION_TYPE,
};
/* clang-format on */

const struct verb verb_cancel = { .name = "cancel",
    .usage = "JOB",
    .brief = "ends a job at once",
    .help = "Ends a job at once: what came after its last checkpoint is undone, and done again if "
            "it is\n"
            "started from there. Returns when the job manager has accepted it, before the job has "
            "ended.",
    .takes = "1 job, and options",
    .argument_min = 1,
    .argument_max = 1,
    VERB_OPTIONS(cancel_options),
    .run = run_cancel };

/* -- stop -------------------------------------------------------------------------------------------- */

static weir_error *stop(const struct verb_call *call, struct client *client)
{
    char id[JOB_ID_SIZE];
    struct savepoint_order order = { .kind = SAVEPOINT_THEN_STOP,
        .job = id,
        .dir = config_text(call->config, "savepoint-path"),
        .is_drain = config_flag(call->config, "drain"),
        .is_detached = config_flag(call->config, "detached") };
    WEIR_TRY(job_find(client, call->arguments[0], id));
    WEIR_TRY(savepoint_choose(call, &order));
    WEIR_TRY(client_say(client, "%s job \"%s\" with a %s savepoint.\n",
        order.is_drain ? "Draining" : "Suspending", id, order.format));
    return savepoint_order(client, &order);
}

static weir_error *run_stop(const struct verb_call *call)
{
    struct client client;
    WEIR_TRY(client_open(call, &client));
    weir_error *error = stop(call, &client);
    client_close(&client);
    return error;
}

/* clang-format off */
static const struct verb_option stop_options[] = {
    { { "savepoint-path", WEIR_OPTION_TEXT, "[DIR]", NULL,
        "Where the savepoint goes; else the configured directory.", 0, 0 }, "p savepointPath", VERB_MAYBE },
    { { "drain", WEIR_OPTION_FLAG, NULL, NULL,
        "Let every timer fire first, as at the end of all input. For a job that is not to be resumed.", 0, 0 },
        "d", VERB_ONCE },
    SAVEPOINT_OPTION_DETACHED,
    SAVEPOINT_OPTION_TYPE,
};
/* clang-format on */

const struct verb verb_stop = { .name = "stop",
    .usage = "[-p [DIR]] [--drain] JOB",
    .brief = "ends a job with a savepoint",
    .help = "Ends a job with a savepoint, to be resumed from it, and waits until it has ended.",
    .takes = "1 job, and options",
    .argument_min = 1,
    .argument_max = 1,
    VERB_OPTIONS(stop_options),
    .run = run_stop };

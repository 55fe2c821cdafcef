/* run.c -- weir run: an executable goes to the job manager, which starts a job of it; then its states, until it ends.
 *
 * The executable is a blob named by its SHA-256: one that is there already is not sent again. What is said of the job
 * here goes in front of its own arguments as the engine's options, so it is as if it had been started by hand.
 *
 * An interrupt detaches: the job goes on, as it does with Flink. */
#include "base/memory.h"
#include "base/os.h"
#include "base/os_signal.h"
#include "base/plural.h"
#include "cli/client.h"
#include "cli/operation.h"
#include "net/sha256.h"
#include "types/key_group.h"

#include <inttypes.h>
#include <stdio.h>

#define OWN_ARGUMENTS 7     /* of the engine, at most */
#define START_WAIT_MS 10000 /* detached: for a job to run, at most */

/* -- what is sent ------------------------------------------------------------------------------------- */

static weir_error *check_executable(const char *path)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(path, &stat));
    if (!stat.exists)
        return weir_errorf(WEIR_E_USAGE, "there is no file '%s'; JOB is the path of an executable",
            path);
    if (!stat.is_regular || stat.size == 0)
        return weir_errorf(WEIR_E_USAGE, "'%s' is no executable", path);
    return NULL;
}

static weir_error *send_executable(struct client *client, const char *file, const char *digest)
{
    bool has;
    char *path = mem_printf("/v1/blobs/%s", digest);
    weir_error *error = client_has(client, path, &has);
    if (error == NULL && !has)
        error = client_upload(client, path, file);
    mem_free(path);
    client_renew(client);
    return error;
}

/* Thread: one. */
struct arguments {
    char **list;
    uint32_t count;
};

static void add(struct arguments *arguments, const char *text)
{
    arguments->list[arguments->count++] = mem_strdup(text);
}

static weir_error *add_options(const struct config *config, struct arguments *arguments)
{
    char *savepoint;
    if (config_given(config, "job-name")) {
        add(arguments, "--job-name");
        add(arguments, config_text(config, "job-name"));
    }
    if (config_given(config, "parallelism")) {
        add(arguments, "--parallelism");
        add(arguments, config_text(config, "parallelism"));
    }
    const char *from = config_text(config, "from-savepoint");
    /* As a script has it whose savepoint has failed: a start without state would lose it in silence. */
    if (from != NULL && from[0] == '\0')
        return weir_errorf(WEIR_E_USAGE,
            "option '--from-savepoint' is empty; name a savepoint, or leave it out");
    WEIR_TRY(job_path(from, &savepoint));
    if (savepoint != NULL) {
        add(arguments, "--from-savepoint");
        add(arguments, savepoint);
    }
    mem_free(savepoint);
    if (config_flag(config, "allow-non-restored-state"))
        add(arguments, "--allow-non-restored-state");
    return NULL;
}

static weir_error *gather(const struct verb_call *call, struct arguments *arguments)
{
    uint32_t count = 0;
    while (call->rest[count] != NULL)
        count++;
    arguments->list = mem_alloc_array((size_t)count + OWN_ARGUMENTS, sizeof(char *));
    WEIR_TRY(add_options(call->config, arguments));
    for (uint32_t i = 0; i < count; i++)
        add(arguments, call->rest[i]);
    return NULL;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static weir_error *submit(struct client *client, const char *program, const char *digest,
    const struct arguments *arguments, char id[JOB_ID_SIZE])
{
    struct document *answer, *body = document_new();
    document_put_text(body, "digest", digest);
    document_put_text(body, "program", program);
    document_put_list(body, "arguments", arguments->list, arguments->count);
    weir_error *error = client_call(client, HTTP_POST, "/v1/jobs", body, &answer);
    document_free(body);
    WEIR_TRY(error);
    const char *given = document_text(answer, "jobid");
    if (given != NULL && job_is_id(given))
        memcpy(id, given, JOB_ID_SIZE);
    else
        error = weir_errorf(WEIR_E_CORRUPT,
            "the job may run, but the answer has no 'jobid'; 'weir list' shows it");
    document_free(answer);
    return error;
}

static weir_error *start(const struct verb_call *call, struct client *client, char id[JOB_ID_SIZE])
{
    char digest[SHA256_HEX_SIZE + 1];
    struct arguments arguments = { .count = 0 };
    const char *path = call->arguments[0];
    WEIR_TRY(check_executable(path));
    WEIR_TRY(sha256_file(path, digest));
    weir_error *error = gather(call, &arguments);
    if (error == NULL)
        error = send_executable(client, path, digest);
    if (error == NULL)
        error = submit(client, base_name(path), digest, &arguments, id);
    for (uint32_t i = 0; i < arguments.count; i++)
        mem_free(arguments.list[i]);
    mem_free(arguments.list);
    return error;
}

/* -- until it ends, or runs ------------------------------------------------------------------------------ */

/* What is known of it. Thread: one. */
struct watched {
    const char *id;
    char state[32];
    int64_t duration_ms;
    int64_t start_deadline_ns; /* detached: until then its start is waited for; 0: its end is */
    bool is_interrupted;
};

static weir_error *take_state(struct client *client, const struct document *answer,
    struct watched *job)
{
    const char *state = document_text(answer, "state");
    if (state == NULL)
        return weir_errorf(WEIR_E_CORRUPT, "the answer about job %s has no state", job->id);
    if (strlen(state) >= sizeof(job->state))
        return weir_errorf(WEIR_E_CORRUPT,
            "the answer about job %s has a state that is none: %.60s", job->id, state);
    job->duration_ms = document_int(answer, "duration", -1);
    if (strcmp(state, job->state) == 0)
        return NULL;
    snprintf(job->state, sizeof(job->state), "%s", state);
    client_start_wait(client);
    if (job->start_deadline_ns != 0) /* detached: the id stays what is said last */
        return NULL;
    return client_say(client, "Job %s switched to %s.\n", job->id, state);
}

static weir_error *look(struct client *client, struct watched *job)
{
    struct document *answer;
    char *path = mem_printf("/v1/jobs/%s", job->id);
    weir_error *error = client_call(client, HTTP_GET, path, NULL, &answer);
    mem_free(path);
    WEIR_TRY(error);
    client_renew(client);
    error = take_state(client, answer, job);
    document_free(answer);
    return error;
}

/* Most of what is wrong with a job is found before it runs, so whoever detaches waits for that. */
static bool is_awaited(const struct watched *job)
{
    if (job_state_has_ended(job->state))
        return false;
    return job->start_deadline_ns == 0 ||
           (strcmp(job->state, "RUNNING") != 0 && os_monotonic_ns() < job->start_deadline_ns);
}

/* Job managers may change meanwhile: only one that is silent for the whole time-out ends the wait. */
static weir_error *watch(struct client *client, struct watched *job)
{
    while (!job->is_interrupted) {
        weir_error *error = look(client, job);
        if (error == NULL && !is_awaited(job))
            return NULL;
        if (error != NULL && (!weir_error_is_retriable(error) || client_is_late(client)))
            return weir_error_wrap(error, "job %s is no longer watched, and may go on", job->id);
        weir_error_free(error);
        client_pause(client);
        job->is_interrupted = os_signals_seen() > 0;
    }
    return NULL;
}

static weir_error *why_failed(struct client *client, const struct watched *job)
{
    struct document *answer;
    char *path = mem_printf("/v1/jobs/%s/exceptions?maxExceptions=1", job->id);
    weir_error *error = client_call(client, HTTP_GET, path, NULL, &answer);
    mem_free(path);
    if (error != NULL)
        return weir_error_wrap(error, "job %s has failed; why is not known", job->id);
    const char *root = document_text(answer, "root-exception");
    if (root == NULL)
        root = document_text(document_at(document_get(document_get(answer, "exceptionHistory"),
                                             "entries"),
                                 0),
            "stacktrace");
    error = weir_errorf(WEIR_E_CONNECTOR, "job %s has failed: %s", job->id,
        root == NULL ? "nobody says why" : root);
    document_free(answer);
    return error;
}

static struct document *document_of(const struct watched *job)
{
    struct document *answer = document_new();
    document_put_text(answer, "jobid", job->id);
    document_put_text(answer, "state", job->state);
    document_put_int(answer, "duration", job->duration_ms);
    return answer;
}

static weir_error *tell_end(struct client *client, const struct watched *job)
{
    WEIR_TRY(client_answer(client, document_of(job)));
    if (strcmp(job->state, "FAILED") == 0)
        return why_failed(client, job);
    if (strcmp(job->state, "FINISHED") != 0)
        return weir_errorf(WEIR_E_CANCELLED, "job %s was cancelled", job->id);
    return client_say(client,
        "Program execution finished\nJob with JobID %s has finished.\nJob Runtime: %" PRId64
        " ms\n",
        job->id, job->duration_ms);
}

/* Of a job that waits for slots: of how many, and how many are free. False: it does not, or nobody says so. */
static bool ask_slots(struct client *client, const char *id, int64_t *wanted, int64_t *available)
{
    struct document *overview = NULL, *answer = NULL;
    bool is_waiting = false;
    client_renew(client);
    weir_error *error = client_call(client, HTTP_GET, "/v1/jobs/overview", NULL, &answer);
    if (error == NULL)
        error = client_call(client, HTTP_GET, "/v1/overview", NULL, &overview);
    const struct document *jobs = error == NULL ? document_get(answer, "jobs") : NULL;
    for (uint32_t i = 0; i < document_count(jobs) && !is_waiting; i++) {
        const struct document *job = document_at(jobs, i);
        const char *jid = document_text(job, "jid");
        is_waiting = jid != NULL && strcmp(jid, id) == 0 && job_waits_for_slots(job);
        *wanted = document_int(job, "slots-required", 0);
    }
    *available = document_int(overview, "slots-available", 0);
    document_free(overview);
    document_free(answer);
    weir_error_free(error);
    return is_waiting;
}

/* Detached, and it does not run yet. That is no failure: the job manager has it, and a script that starts it once more
 * would have two. */
static weir_error *tell_not_yet(struct client *client, const struct watched *job)
{
    int64_t wanted, available;
    if (client->is_json || !ask_slots(client, job->id, &wanted, &available))
        return client_say(client,
            "Job %s is still %s, and goes on; 'weir list -a' shows what becomes of it, 'weir logs "
            "jobmanager' what it does.\n",
            job->id, job->state);
    return client_say(client,
        "Job %s is still %s: it waits for %" PRId64 " slot%s, of which %" PRId64
        " %s free, and runs once they are; start another task manager, cancel another job, or let "
        "it run with fewer: 'weir rescale %s N'.\n",
        job->id, job->state, wanted, plural(wanted), available, available == 1 ? "is" : "are",
        job->id);
}

static weir_error *tell_left(struct client *client, const struct watched *job)
{
    if (job->is_interrupted)
        WEIR_TRY(client_say(client, "Detached. Job %s goes on; 'weir cancel %s' ends it.\n",
            job->id, job->id));
    else if (strcmp(job->state, "RUNNING") != 0)
        WEIR_TRY(tell_not_yet(client, job));
    return client_answer(client, document_of(job));
}

static weir_error *attend(struct client *client, const char *id, bool is_detached,
    struct verb_outcome *outcome)
{
    struct watched job = { .id = id };
    int64_t wait_ms = client->timeout_ms < START_WAIT_MS ? client->timeout_ms : START_WAIT_MS;
    if (is_detached)
        job.start_deadline_ns = os_monotonic_ns() + wait_ms * 1000000;
    os_signals_watch(client->waker);
    weir_error *error = watch(client, &job);
    os_signals_unwatch();
    os_signals_restore();
    WEIR_TRY(error);
    if (job_state_has_ended(job.state))
        return tell_end(client, &job);
    if (job.is_interrupted)
        outcome->status = os_signals_exit();
    return tell_left(client, &job);
}

static weir_error *run_client(const struct verb_call *call, struct client *client)
{
    char id[JOB_ID_SIZE];
    WEIR_TRY(start(call, client, id));
    WEIR_TRY(client_say(client, "Job has been submitted with JobID %s\n", id));
    return attend(client, id, config_flag(call->config, "detached"), call->outcome);
}

static weir_error *run(const struct verb_call *call)
{
    struct client client;
    WEIR_TRY(client_open(call, &client));
    weir_error *error = run_client(call, &client);
    client_close(&client);
    return error;
}

/* clang-format off */
static const struct verb_option options[] = {
    { { "detached", WEIR_OPTION_FLAG, NULL, NULL, "Wait until the job runs, not for its end.", 0, 0 }, "d", VERB_ONCE },
    { { "parallelism", WEIR_OPTION_NUMBER, "N", NULL,
        "Subtasks of each operator that does not say its own.", 1, MAX_PARALLELISM_LIMIT }, "p", VERB_ONCE },
    { { "from-savepoint", WEIR_OPTION_TEXT, "PATH", NULL,
        "Start from this savepoint, or from a checkpoint.", 0, 0 }, "s fromSavepoint", VERB_ONCE },
    { { "allow-non-restored-state", WEIR_OPTION_FLAG, NULL, NULL,
        "Drop state of the savepoint that the job no longer has.", 0, 0 }, "n allowNonRestoredState", VERB_ONCE },
    { { "job-name", WEIR_OPTION_TEXT, "NAME", NULL, "What the job is called.", 0, 0 }, "c", VERB_ONCE },
};
/* clang-format on */

const struct verb verb_run_job = { .name = "run",
    .usage = "[OPTIONS] JOB [ARGUMENTS OF THE JOB]",
    .brief = "runs a job on the cluster",
    .help =
        "Runs a job on the cluster. JOB is the path of its executable, which is uploaded if "
        "the job\n"
        "manager does not have it; what stands behind it are its own arguments and options. "
        "Waits for\n"
        "the end of the job and shows its states, unless detached; exit status 0 if it has "
        "finished.\n"
        "Detached, it waits until the job runs or has failed, up to 10 s or --timeout; if it does "
        "neither,\n"
        "as when slots are missing, it says what the job waits for, and the exit status is 0: the "
        "job is\n"
        "accepted, and not to be run again. Ctrl-C does not end the job: the command detaches, and "
        "says how to end "
        "it.",
    .takes = "options, the executable of a job, and its arguments",
    .argument_min = 1,
    .argument_max = 1,
    .ends_at_argument = true,
    VERB_OPTIONS(options),
    .run = run };

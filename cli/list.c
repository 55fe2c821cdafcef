/* list.c -- weir list: the jobs of a cluster, in the lines that scripts look for in Flink's. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/client.h"
#include "cli/operation.h"

#include <stdlib.h>
#include <time.h>

enum { SCHEDULED = 1, RUNNING = 2, ENDED = 4, SUSPENDED = 8, ALL = 15 };

static unsigned kind_of(const struct document *job)
{
    const char *state = document_text(job, "state");
    if (state == NULL || strcmp(state, "CREATED") == 0 || strcmp(state, "INITIALIZING") == 0)
        return SCHEDULED;
    if (strcmp(state, "SUSPENDED") == 0)
        return SUSPENDED;
    return job_state_has_ended(state) ? ENDED : RUNNING;
}

static int by_start(const void *a, const void *b)
{
    int64_t first = document_int(*(const struct document *const *)a, "start-time", 0);
    int64_t second = document_int(*(const struct document *const *)b, "start-time", 0);
    return (first > second) - (first < second);
}

static void print_job(const struct document *job, weir_buffer *out)
{
    char date[32] = "";
    struct tm local;
    time_t seconds = (time_t)(document_int(job, "start-time", 0) / 1000);
    if (localtime_r(&seconds, &local) != NULL)
        strftime(date, sizeof(date), "%d.%m.%Y %H:%M:%S", &local);
    const char *id = document_text(job, "jid"), *name = document_text(job, "name"),
               *state = document_text(job, "state");
    buffer_printf(out, "%s : %s : %s (%s)\n", date, id == NULL ? "?" : id,
        name == NULL ? "?" : name, state == NULL ? "?" : state);
    if (kind_of(job) == SUSPENDED)
        buffer_printf(out, "    this job manager cannot run it: 'weir logs jobmanager' says why, "
                           "and what to do\n");
}

static void print_kind(const struct document *jobs, unsigned kind, const char *title,
    const char *none, weir_buffer *out)
{
    uint32_t count = 0, total = document_count(jobs);
    const struct document **chosen = mem_alloc_array((size_t)total + 1, sizeof(*chosen));
    for (uint32_t i = 0; i < total; i++)
        if (kind_of(document_at(jobs, i)) == kind)
            chosen[count++] = document_at(jobs, i);
    qsort(chosen, count, sizeof(*chosen), by_start);
    if (count > 0)
        buffer_printf(out, "%s\n", title);
    for (uint32_t i = 0; i < count; i++)
        print_job(chosen[i], out);
    buffer_printf(out, "%s",
        count > 0 ? "--------------------------------------------------------------\n" : none);
    mem_free(chosen);
}

static weir_error *print_jobs(const struct document *jobs, unsigned kinds)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    if ((kinds & RUNNING) != 0)
        print_kind(jobs, RUNNING, "------------------ Running/Restarting Jobs -------------------",
            "No running jobs.\n", out);
    if ((kinds & SUSPENDED) != 0)
        print_kind(jobs, SUSPENDED,
            "----------------------- Suspended Jobs -----------------------", "", out);
    if ((kinds & SCHEDULED) != 0)
        print_kind(jobs, SCHEDULED,
            "----------------------- Scheduled Jobs -----------------------",
            "No scheduled jobs.\n", out);
    if ((kinds & ENDED) != 0)
        print_kind(jobs, ENDED, "---------------------- Terminated Jobs -----------------------",
            "", out);
    return buffer_to_stdout(out);
}

/* As the job manager says them. */
static weir_error *print_json(const struct document *jobs, unsigned kinds)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    struct json json = json_to(out);
    json_put_object(&json, NULL);
    json_put_array(&json, "jobs");
    for (uint32_t i = 0; i < document_count(jobs); i++) {
        const struct document *job = document_at(jobs, i);
        if ((kind_of(job) & kinds) == 0)
            continue;
        char *text = document_print(job);
        json_put_name(&json, NULL);
        weir_buffer_add_str(out, weir_str_of(text));
        mem_free(text);
    }
    json_put_end(&json);
    json_put_end(&json);
    weir_buffer_add_byte(out, '\n');
    return buffer_to_stdout(out);
}

static unsigned kinds_of(const struct config *config)
{
    unsigned kinds = (config_flag(config, "running") ? RUNNING | SUSPENDED : 0u) |
                     (config_flag(config, "scheduled") ? SCHEDULED : 0u);
    if (config_flag(config, "all"))
        return ALL;
    if (kinds != 0)
        return kinds;
    return config_flag(config, "json") ? ALL : RUNNING | SUSPENDED | SCHEDULED;
}

static weir_error *list(struct client *client, unsigned kinds)
{
    struct document *answer;
    WEIR_TRY(client_say(client, "Waiting for response...\n"));
    WEIR_TRY(client_call(client, HTTP_GET, "/v1/jobs/overview", NULL, &answer));
    const struct document *jobs = document_get(answer, "jobs");
    weir_error *error;
    if (jobs == NULL)
        error = weir_errorf(WEIR_E_CORRUPT, "%s: the answer has no jobs; check what listens there",
            client->url);
    else
        error = client->is_json ? print_json(jobs, kinds) : print_jobs(jobs, kinds);
    document_free(answer);
    return error;
}

static weir_error *run(const struct verb_call *call)
{
    struct client client;
    WEIR_TRY(client_open(call, &client));
    weir_error *error = list(&client, kinds_of(call->config));
    client_close(&client);
    return error;
}

/* clang-format off */
static const struct verb_option options[] = {
    { { "running", WEIR_OPTION_FLAG, NULL, NULL, "Those that run, restart or are suspended.", 0, 0 }, "r", VERB_ONCE },
    { { "scheduled", WEIR_OPTION_FLAG, NULL, NULL, "Those that have not begun.", 0, 0 }, "s", VERB_ONCE },
    { { "all", WEIR_OPTION_FLAG, NULL, NULL, "Those that have ended, too.", 0, 0 }, "a", VERB_ONCE },
};
/* clang-format on */

const struct verb verb_list = { .name = "list",
    .usage = "[-r] [-s] [-a]",
    .brief = "lists jobs",
    .help = "Lists the jobs of the cluster: those that run and those that are scheduled, if "
            "nothing is\n"
            "said; with --json all of them then, as the job manager says it.",
    .takes = "options only",
    VERB_OPTIONS(options),
    .run = run };

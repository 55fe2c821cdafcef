/* operation.c -- see operation.h. Prefixes: operation_, job_ */
#include "cli/operation.h"

#include "base/json.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define ID_FRONT_MIN 4u /* digits: fewer name a job by accident */

/* -- polling ----------------------------------------------------------------------------------------- */

void operation_release(struct operation *operation)
{
    mem_free(operation->path);
    mem_free(operation->polled);
    document_free(operation->body);
    document_free(operation->answer);
}

weir_error *operation_begin(struct client *client, struct operation *operation)
{
    struct document *answer;
    WEIR_TRY(client_call(client, operation->method, operation->path, operation->body, &answer));
    const char *id = document_text(answer, "request-id");
    weir_error *error = NULL;
    if (id == NULL || !job_is_id(id))
        error = weir_errorf(WEIR_E_CORRUPT,
            "%s: the answer has no 'request-id', so what was asked for cannot be followed",
            operation->path);
    else
        memcpy(operation->id, id, JOB_ID_SIZE);
    document_free(answer);
    return error;
}

const struct document *operation_result(const struct operation *operation)
{
    return document_get(operation->answer, "operation");
}

/* Flink's name for it differs from one operation to the other. */
static weir_error *failure_of(const struct operation *operation)
{
    const struct document *result = operation_result(operation);
    if (result == NULL)
        return weir_errorf(WEIR_E_CORRUPT, "%s: it is over, but the answer has no 'operation'",
            operation->polled);
    const struct document *cause = document_get(result, "failure-cause");
    if (cause == NULL)
        cause = document_get(result, "failureCause");
    if (cause == NULL)
        return NULL;
    const char *text = document_text(cause, "stack-trace");
    if (text == NULL)
        text = document_text(cause, "class");
    return weir_errorf(WEIR_E_CONNECTOR, "%s", text == NULL ? "it failed, without a reason" : text);
}

static weir_error *poll_once(struct client *client, struct operation *operation, bool *is_done)
{
    char *path = mem_printf("%s/%s", operation->polled, operation->id);
    struct document *answer = NULL;
    weir_error *error = client_call(client, HTTP_GET, path, NULL, &answer);
    mem_free(path);
    *is_done = false;
    if (error != NULL)
        return error;
    const char *status = document_text(document_get(answer, "status"), "id");
    if (status != NULL && strcmp(status, "COMPLETED") == 0) {
        *is_done = true;
        operation->answer = answer;
        return NULL;
    }
    if (status == NULL)
        error = weir_errorf(WEIR_E_CORRUPT, "%s: the answer has no status", operation->polled);
    document_free(answer);
    return error;
}

static weir_error *too_late(const struct client *client, const struct operation *operation,
    const char *what, weir_error *error)
{
    char *text = mem_printf(
        "%s is not done after %lld s; it goes on (request %s). A longer --timeout waits longer",
        what, (long long)(client->timeout_ms / 1000), operation->id);
    error = error == NULL ? weir_errorf(WEIR_E_TIMEOUT, "%s", text)
                          : weir_error_wrap(error, "%s", text);
    mem_free(text);
    return error;
}

weir_error *operation_run(struct client *client, struct operation *operation, const char *what)
{
    bool is_done = false;
    WEIR_TRY(operation_begin(client, operation));
    client_start_wait(client);
    for (;;) {
        weir_error *error = poll_once(client, operation, &is_done);
        if (is_done)
            return failure_of(operation);
        if (error != NULL && !weir_error_is_retriable(error))
            return error;
        if (client_is_late(client))
            return too_late(client, operation, what, error);
        weir_error_free(error);
        client_pause(client);
    }
}

/* -- jobs --------------------------------------------------------------------------------------------- */

static bool is_hex(const char *word)
{
    return word[0] != '\0' && word[strspn(word, "0123456789abcdef")] == '\0';
}

bool job_is_id(const char *word)
{
    return is_hex(word) && strlen(word) == JOB_ID_SIZE - 1;
}

bool job_state_has_ended(const char *state)
{
    return strcmp(state, "FINISHED") == 0 || strcmp(state, "FAILED") == 0 ||
           strcmp(state, "CANCELED") == 0;
}

bool job_waits_for_slots(const struct document *job)
{
    const struct document *tasks = document_get(job, "tasks");
    int64_t total = document_int(tasks, "total", 0);
    return total > 0 && document_int(tasks, "scheduled", 0) == total;
}

static bool fits(const struct document *job, const char *word, bool by_name)
{
    const char *text = document_text(job, by_name ? "name" : "jid");
    if (text == NULL)
        return false;
    return by_name ? strcmp(text, word) == 0
                   : is_hex(word) && strlen(word) >= ID_FRONT_MIN &&
                         strncmp(text, word, strlen(word)) == 0;
}

/* How many fit; the id of the last one. */
static uint32_t count_fits(const struct document *jobs, const char *word, bool by_name,
    bool with_ended, char id[JOB_ID_SIZE])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < document_count(jobs); i++) {
        const struct document *job = document_at(jobs, i);
        const char *jid = document_text(job, "jid"), *state = document_text(job, "state");
        bool is_it = jid != NULL && job_is_id(jid) && state != NULL && fits(job, word, by_name) &&
                     (with_ended || !job_state_has_ended(state));
        if (is_it)
            memcpy(id, jid, JOB_ID_SIZE);
        count += is_it;
    }
    return count;
}

static weir_error *choose(const struct document *jobs, const char *word, char id[JOB_ID_SIZE])
{
    for (int round = 0; round < 4; round++) {
        bool by_name = round < 2, with_ended = round % 2 == 1;
        uint32_t count = count_fits(jobs, word, by_name, with_ended, id);
        if (count == 1)
            return NULL;
        if (count > 1)
            return weir_errorf(WEIR_E_CONNECTOR, "%u jobs are '%s'; 'weir list -a' shows their ids",
                count, word);
    }
    return weir_errorf(WEIR_E_CONNECTOR,
        "there is no job '%s', neither by its name nor by its id (%u digits of it, or more); 'weir "
        "list -a' shows all",
        word, ID_FRONT_MIN);
}

weir_error *job_find(struct client *client, const char *word, char id[JOB_ID_SIZE])
{
    struct document *answer;
    if (job_is_id(word)) {
        memcpy(id, word, JOB_ID_SIZE);
        return NULL;
    }
    WEIR_TRY(client_call(client, HTTP_GET, "/v1/jobs/overview", NULL, &answer));
    weir_error *error = choose(document_get(answer, "jobs"), word, id);
    document_free(answer);
    return error;
}

weir_error *job_path(const char *path, char **absolute)
{
    char here[4096];
    *absolute = NULL;
    if (path == NULL || path[0] == '\0')
        return NULL;
    if (strncmp(path, "file:", 5) == 0) {
        path += 5;
        if (strncmp(path, "//", 2) == 0)
            path += 2;
    }
    if (path[0] == '/') {
        *absolute = mem_strdup(path);
        return NULL;
    }
    if (getcwd(here, sizeof(here)) == NULL || !json_is_text(weir_str_of(here)))
        return weir_errorf(WEIR_E_IO, "cannot tell where '%s' is; give an absolute path", path);
    *absolute = mem_printf("%s/%s", here, path);
    return NULL;
}

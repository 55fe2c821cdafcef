/* cli_fuzz.c -- whatever answers a verb of the command: a job manager of another version, a proxy, something else that
 * listens there. It is shown, or refused in words; nothing that it says makes the command abort.
 *
 * The first byte says which command line; behind it are the answers, each behind a byte 0x1e: a digit for the status (0:
 * nobody is there) and the body, of a redirect its URL. When there are no more, nobody is there for good. */
#include "base/assert.h"
#include "base/memory.h"
#include "cli/verb.h"
#include "net/http_client.h"
#include "test/fuzz/quiet_net.h"
#include "test/support/temp_dir.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX   16
#define ANSWERS_MAX 64u
#define SEPARATOR   0x1e

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* With a time-out of a millisecond every pause is short; the clock stands still. */
static const char *const lines[] = { "list -a", "list --json", "cancel ledger", "stop -d ledger",
    "stop ledger -p /s", "savepoint ledger", "savepoint --json 0123", "savepoint -d /s",
    "checkpoint ledger", "checkpoint --json 0123", "rescale ledger 3", "rescale --json 0123 4",
    "explain ledger", "logs", "logs --json", "logs ledger", "logs --json 0123 --worker 1",
    "logs -f ledger", "logs tm-1 taskmanager.log", "logs jobmanager", "run @", "run -d @",
    "run -d --json @", "cluster status -m h:1", "cluster status -m h:1 --json" };

static char *dir;
static weir_str left; /* of the answers */
static uint32_t asked;

/* The next answer, its first byte apart; false: there is none. */
static bool next_answer(char *first, weir_str *body)
{
    if (left.size == 0 || asked++ == ANSWERS_MAX)
        return false;
    *first = left.data[0];
    left = (weir_str){ .data = left.data + 1, .size = left.size - 1 };
    const char *end = left.size == 0 ? NULL : memchr(left.data, SEPARATOR, left.size);
    *body = (weir_str){ .data = left.data,
        .size = end == NULL ? left.size : (uint64_t)(end - left.data) };
    uint64_t used = body->size + (end != NULL);
    left = (weir_str){ .data = left.data + used, .size = left.size - used };
    return true;
}

static int status_of(char first)
{
    static const int statuses[] = { 0, 202, 200, 307, 404, 503, 500, 200, 200, 200 };
    return first >= '0' && first <= '9' ? statuses[first - '0'] : 200;
}

weir_error *http_client_call(const struct http_call *call, struct http_answer *answer)
{
    char first;
    weir_str body;
    (void)call;
    *answer = (struct http_answer){ .is_unreachable = true };
    if (!next_answer(&first, &body))
        return weir_errorf(WEIR_E_CONNECTOR, "nobody is there");
    if (status_of(first) == 0)
        return weir_error_retriable(weir_errorf(WEIR_E_CONNECTOR, "nobody is there now"));
    *answer = (struct http_answer){ .status = status_of(first), .size = body.size };
    answer->bytes = mem_alloc(body.size + 1);
    memcpy(answer->bytes, body.data, body.size);
    if (answer->status == 307)
        answer->redirect = mem_strdup(answer->bytes);
    for (char *at = answer->redirect; at != NULL && *at != '\0'; at++)
        if (*at < 0) /* libcurl writes %XX there */
            *at = '%';
    return NULL;
}

void http_client_release(struct http_answer *answer)
{
    mem_free(answer->bytes);
    mem_free(answer->redirect);
}

/* -- a command ------------------------------------------------------------------------------------------ */

static void remove_dir(void)
{
    temp_dir_free(dir);
}

static void begin(void)
{
    dir = temp_dir_new();
    ASSERT(atexit(remove_dir) == 0);
    temp_dir_write(temp_dir_path(dir, "job"), "#!/bin/true\n", 12);
    temp_dir_write(temp_dir_path(dir, "weir.yaml"), "", 0);
    ASSERT(setenv("WEIR_CONF", temp_dir_path(dir, "weir.yaml"), 1) == 0);
    ASSERT(setenv("WEIR_HOME", dir, 1) == 0);
}

/* The words of a line, "@" as the path of an executable, and the options of all. */
static int split(char *line, char *words[WORDS_MAX])
{
    static char timeout[] = "--timeout=1ms";
    int count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        bool is_job = strcmp(word, "@") == 0;
        if (is_job)
            words[count++] = timeout; /* behind the job all is its own */
        words[count++] = mem_strdup(is_job ? temp_dir_path(dir, "job") : word);
        if (is_job)
            return count;
    }
    words[count++] = timeout;
    return count;
}

static void check(weir_error *error)
{
    if (error == NULL)
        return;
    ASSERT(strlen(weir_error_message(error)) > 0);
    ASSERT(weir_error_code(error) != WEIR_E_INTERNAL);
    weir_error_free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAX] = { NULL };
    int taken;
    if (size == 0)
        return 0;
    quiet_begin();
    if (dir == NULL)
        begin();
    char *line = mem_strdup(lines[data[0] % (sizeof(lines) / sizeof(lines[0]))]);
    int count = split(line, words);
    asked = 0;
    left = (weir_str){ .data = (const char *)data + 1, .size = size - 1 };
    const struct verb *verb = verb_find(count, words, &taken);
    ASSERT(verb != NULL);
    struct verb_outcome outcome = { .status = 0 };
    check(verb_run(verb, count - taken, words + taken, &outcome));
    for (int i = 0; i < count; i++)
        if (strncmp(words[i], "--timeout", 9) != 0)
            mem_free(words[i]);
    mem_free(line);
    return 0;
}

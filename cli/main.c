/* main.c -- the command `weir`: looks at what jobs leave on disk, without them. The verbs are in files of
 * their own; here is the list of them, and what becomes of an error. */
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "cli/verb.h"
#include <weir/weir.h>

static const struct verb *const verbs[] = { &verb_inspect, &verb_savepoint };
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static weir_error *help(void)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    buffer_printf(out,
        "weir looks at what jobs leave on disk. Jobs are programs of their own: run them.\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        buffer_printf(out, "  weir %s %s\n", verbs[i]->name, verbs[i]->usage);
    buffer_printf(out, "  weir help [VERB] | version\n");
    return buffer_to_stdout(out);
}

static weir_error *version(void)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    buffer_printf(out, "weir %s\n", WEIR_VERSION);
    return buffer_to_stdout(out);
}

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static weir_error *run(int argc, char **argv, int *status)
{
    const char *word = argc > 1 ? argv[1] : "help";
    if (strcmp(word, "version") == 0 || strcmp(word, "--version") == 0)
        return version();
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        const struct verb *verb = argc > 2 ? find(argv[2]) : NULL;
        char flag[] = "--help", *arguments[] = { flag };
        return verb == NULL ? help() : verb_run(verb, 1, arguments, status);
    }
    const struct verb *verb = find(word);
    if (verb == NULL)
        return weir_errorf(WEIR_E_USAGE, "there is no verb '%.200s'; see weir help", word);
    return verb_run(verb, argc - 2, argv + 2, status);
}

int main(int argc, char **argv)
{
    int status = 0;
    log_set_level(LOG_WARN);
    weir_error *error = run(argc, argv, &status);
    if (error == NULL)
        return status;
    status = weir_code_exit(weir_error_code(error));
    char *text = mem_printf("weir: %s\n", weir_error_message(error));
    os_stderr_write(text, strlen(text));
    mem_free(text);
    weir_error_free(error);
    return status;
}

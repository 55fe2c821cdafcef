/* verb_table.c -- all verbs, and the command that finds one and says what became of it. Prefixes: verb_, cli_ */
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "cli/manual.h"
#include <weir/weir.h>

const struct verb *const verb_table[] = { &verb_run_job, &verb_list, &verb_cancel, &verb_stop,
    &verb_savepoint, &verb_checkpoint, &verb_rescale, &verb_explain, &verb_logs,
    &verb_cluster_start, &verb_cluster_stop, &verb_cluster_status, &verb_inspect };
const uint32_t verb_count = sizeof(verb_table) / sizeof(verb_table[0]);

/* clang-format off */
const struct verb_option verb_common[] = {
    { { "jobmanager", WEIR_OPTION_TEXT, "HOST:PORT[,...]", NULL,
        "The job manager to ask; also as a URL, and several, of which one that is there says who leads. "
        "Else rest.address and rest.port, if the configuration has one of them; else the "
        "cluster that was started here; else localhost:8081.", 0, 0 }, "m",
        VERB_ONCE },
    { { "conf", WEIR_OPTION_TEXT, "FILE", NULL,
        "The configuration of the cluster: its address, the token, TLS. Else the file that WEIR_CONF names, else "
        "conf/weir.yaml if there is one here.", 0, 0 }, NULL, VERB_ONCE },
    { { "define", WEIR_OPTION_TEXT, "KEY=VALUE", NULL,
        "Counts more than the configuration file. As often as needed.", 0, 0 }, "D", VERB_MANY },
    { { "timeout", WEIR_OPTION_DURATION, "TIME", "60s",
        "How long to wait for what was asked for.", 1, INT64_C(365) * 24 * 3600 * 1000 }, NULL, VERB_ONCE },
    { { "json", WEIR_OPTION_FLAG, NULL, NULL, "Print the answer as JSON, and nothing else.", 0, 0 }, NULL, VERB_ONCE },
};
/* clang-format on */
const uint32_t verb_common_count = sizeof(verb_common) / sizeof(verb_common[0]);

const struct verb *verb_find(int argc, char **argv, int *words)
{
    for (uint32_t i = 0; i < verb_count && argc > 0; i++) {
        const char *name = verb_table[i]->name;
        size_t first = strcspn(name, " ");
        if (strlen(argv[0]) != first || memcmp(argv[0], name, first) != 0)
            continue;
        *words = name[first] == ' ' ? 2 : 1;
        if (*words == 1 || (argc > 1 && strcmp(argv[1], name + first + 1) == 0))
            return verb_table[i];
    }
    return NULL;
}

static weir_error *print(void (*text)(weir_buffer *out))
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    text(out);
    return buffer_to_stdout(out);
}

static void help(weir_buffer *out)
{
    verb_help(NULL, out);
}

static void version(weir_buffer *out)
{
    buffer_printf(out, "weir %s\n", WEIR_VERSION);
}

/* Of a first word alone that others follow: `cluster`. */
static const char *first_of(const char *word)
{
    size_t size = strlen(word);
    for (uint32_t i = 0; i < verb_count; i++)
        if (strncmp(verb_table[i]->name, word, size) == 0 && verb_table[i]->name[size] == ' ')
            return verb_table[i]->name;
    return NULL;
}

static weir_error *unknown(int argc, char **argv)
{
    if (argv[0][0] == '-')
        return weir_errorf(WEIR_E_USAGE,
            "'%.200s' is no verb; options stand behind one: weir VERB %.200s; see weir help",
            argv[0], argv[0]);
    struct config *names = config_new_bare();
    struct weir_option rows[sizeof(verb_table) / sizeof(verb_table[0])];
    char *two = mem_printf("%s%s%s", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    for (uint32_t i = 0; i < verb_count; i++) {
        rows[i] = (struct weir_option){ .name = verb_table[i]->name, .kind = WEIR_OPTION_FLAG };
        config_add(names, &rows[i], 1);
    }
    const char *known = config_nearest(names, argv[0]);
    if (known == NULL && argc > 1)
        known = config_nearest(names, two);
    if (known == NULL)
        known = first_of(argv[0]);
    weir_error *error =
        known == NULL
            ? weir_errorf(WEIR_E_USAGE, "there is no verb '%.200s'; see weir help", argv[0])
            : weir_errorf(WEIR_E_USAGE, "there is no verb '%.200s'; did you mean 'weir %s'?",
                  strncmp(argv[0], known, strcspn(known, " ")) == 0 ? two : argv[0], known);
    config_free(names);
    mem_free(two);
    return error;
}

static weir_error *manual(int argc, char **argv)
{
    const char *page = argc > 1 ? argv[1] : "weir";
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    if (argc <= 2 && manual_print(page, out))
        return buffer_to_stdout(out);
    weir_buffer_reset(out);
    manual_pages(out);
    weir_error *error = weir_errorf(WEIR_E_USAGE, "there is no page '%.200s'; the manual has: %s",
        argv[argc - 1], buffer_text(out));
    weir_buffer_free(out);
    return error;
}

static weir_error *completion(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "bash") != 0)
        return weir_errorf(WEIR_E_USAGE, "completion is for bash: source <(weir completion bash)");
    return print(verb_completion);
}

/* What is no verb, but answers to a word. False: it is none of them. */
static bool is_about(int argc, char **argv, weir_error **error)
{
    const char *word = argv[0];
    if (strcmp(word, "version") == 0 || strcmp(word, "--version") == 0)
        *error = print(version);
    else if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        *error = print(help);
    else if (strcmp(word, "man") == 0)
        *error = manual(argc, argv);
    else if (strcmp(word, "completion") == 0)
        *error = completion(argc, argv);
    else
        return false;
    return true;
}

static weir_error *run(int argc, char **argv, struct verb_outcome *outcome)
{
    char flag[] = "--help", *help_only[] = { flag };
    bool wants_help = argc > 1 && strcmp(argv[0], "help") == 0;
    weir_error *error;
    int words = 0;
    const struct verb *verb = verb_find(argc - wants_help, argv + wants_help, &words);
    if (verb != NULL)
        return wants_help ? verb_run(verb, 1, help_only, outcome)
                          : verb_run(verb, argc - words, argv + words, outcome);
    if (wants_help && argv[1][0] != '-')
        return unknown(argc - 1, argv + 1);
    if (is_about(argc, argv, &error))
        return error;
    return unknown(argc, argv);
}

int cli_main(int argc, char **argv)
{
    struct verb_outcome outcome = { .status = 0 };
    char word[] = "help", *nothing[] = { word };
    log_set_level(LOG_WARN);
    weir_error *error = fault_init();
    if (error == NULL)
        error = argc > 1 ? run(argc - 1, argv + 1, &outcome) : run(1, nothing, &outcome);
    if (error == NULL)
        return outcome.status;
    int status = weir_code_exit(weir_error_code(error));
    if (!outcome.says_code && weir_error_code(error) != WEIR_E_USAGE)
        status = 1;
    char *text = mem_printf("weir: %s\n", weir_error_message(error));
    os_stderr_write(text, strlen(text));
    mem_free(text);
    weir_error_free(error);
    return status;
}

/* verb.c -- see verb.h. */
#include "cli/verb.h"

#include "base/buffer.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/os_process.h"

#include <stdarg.h>
#include <stdio.h>

weir_error *cli_vprintf(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = mem_alloc((size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    weir_error *error = os_stdout_write(text, (size_t)size);
    mem_free(text);
    return error;
}

weir_error *cli_printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    weir_error *error = cli_vprintf(format, arguments);
    va_end(arguments);
    return error;
}

/* -- options ---------------------------------------------------------------------------------------- */

/* What is being read. Thread: one. */
struct reading {
    const struct verb *verb;
    struct config *config;
    struct verb_call *call;
    int argc, at;
    char **argv;
    const struct verb_option *lent; /* that took an argument which it may do without, */
    char *lent_text;                /* and that one */
};

static bool is_among(const char *names, const char *name, size_t size)
{
    for (const char *at = names; at != NULL && *at != '\0'; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (length == size && memcmp(at, name, size) == 0)
            return true;
        at += length;
    }
    return false;
}

static const struct verb_option *find_in(const struct verb_option *options, uint32_t count,
    const char *name, size_t size)
{
    for (uint32_t i = 0; i < count; i++)
        if (is_among(options[i].row.name, name, size) || is_among(options[i].also, name, size))
            return &options[i];
    return NULL;
}

/* The verb's own first: its -s may be a common one's name elsewhere. */
static const struct verb_option *find_option(const struct verb *verb, const char *name, size_t size)
{
    const struct verb_option *own = find_in(verb->options, verb->option_count, name, size);
    return own != NULL || verb->is_local ? own
                                         : find_in(verb_common, verb_common_count, name, size);
}

static weir_error *unknown(const struct reading *reading, const char *word, const char *name)
{
    char *cut = mem_dup(name, strlen(name) + 1);
    cut[strcspn(cut, "=")] = '\0';
    const char *known = config_nearest(reading->config, cut);
    weir_error *error =
        known == NULL
            ? weir_errorf(WEIR_E_USAGE, "there is no option '%.200s'; 'weir %s -h' lists all", word,
                  reading->verb->name)
            : weir_errorf(WEIR_E_USAGE, "there is no option '%.200s'; did you mean '--%s'?", word,
                  known);
    mem_free(cut);
    return error;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* The next word as the value; NULL: there is none. */
static char *take_value(struct reading *reading)
{
    if (reading->at + 1 >= reading->argc || is_option(reading->argv[reading->at + 1]))
        return NULL;
    return reading->argv[++reading->at];
}

static weir_error *set_option(struct reading *reading, const struct verb_option *option, char *text)
{
    const struct weir_option *row = &option->row;
    if (row->kind == WEIR_OPTION_FLAG) {
        if (text != NULL)
            return weir_errorf(WEIR_E_USAGE, "option '--%s' takes no value, but got '%.200s'",
                row->name, text);
        return config_set(reading->config, row->name, "true");
    }
    bool is_own_word = text == NULL;
    if (is_own_word)
        text = take_value(reading);
    if (text == NULL && option->value != VERB_MAYBE)
        return weir_errorf(WEIR_E_USAGE, "option '--%s' needs a value: --%s=%s", row->name,
            row->name, row->value_name);
    if (option->value == VERB_MANY) {
        reading->call->defines[reading->call->define_count++] = text;
        return NULL;
    }
    if (option->value == VERB_MAYBE && is_own_word && text != NULL) {
        reading->lent = option;
        reading->lent_text = text;
    }
    return config_set(reading->config, row->name, text == NULL ? "" : text);
}

static weir_error *read_option(struct reading *reading, char *word)
{
    char *name = word + (word[1] == '-' ? 2 : 1);
    size_t size = strcspn(name, "=");
    char *text = name[size] == '=' ? name + size + 1 : NULL;
    const struct verb_option *option = find_option(reading->verb, name, size);
    if (option == NULL && word[1] == 'D' && !reading->verb->is_local) {
        option = find_option(reading->verb, "D", 1); /* -Dkey=value */
        text = word + 2;
    }
    if (option == NULL)
        return unknown(reading, word, name);
    if (option->value != VERB_MANY && config_given(reading->config, option->row.name))
        return weir_errorf(WEIR_E_USAGE, "option '--%s' is given twice", option->row.name);
    return set_option(reading, option, text);
}

/* -- a call ----------------------------------------------------------------------------------------- */

static weir_error *read_words(struct reading *reading)
{
    struct verb_call *call = reading->call;
    for (; reading->at < reading->argc; reading->at++) {
        char *word = reading->argv[reading->at];
        bool is_end = strcmp(word, "--") == 0;
        if (is_end && reading->verb->has_rest) {
            call->rest = reading->argv + reading->at + 1;
            return NULL;
        }
        if (is_end)
            continue;
        if (is_option(word)) {
            WEIR_TRY(read_option(reading, word));
            continue;
        }
        call->arguments[call->argument_count++] = word;
        if (reading->verb->ends_at_argument) {
            call->rest = reading->argv + reading->at + 1;
            return NULL;
        }
    }
    return NULL;
}

/* `stop -p JOB`: what an option might have had is the argument that is missing. */
static weir_error *give_back(struct reading *reading)
{
    struct verb_call *call = reading->call;
    if (reading->lent == NULL || call->argument_count >= reading->verb->argument_min)
        return NULL;
    call->arguments[call->argument_count++] = reading->lent_text;
    return config_set(reading->config, reading->lent->row.name, "");
}

static weir_error *check_arguments(const struct reading *reading)
{
    const struct verb *verb = reading->verb;
    int count = reading->call->argument_count;
    if (count < verb->argument_min || count > verb->argument_max)
        return weir_errorf(WEIR_E_USAGE, "'weir %s' takes %s: weir %s %s", verb->name, verb->takes,
            verb->name, verb->usage);
    for (int i = 0; i < reading->argc && !verb->is_local; i++)
        if (!json_is_text(weir_str_of(reading->argv[i])))
            return weir_errorf(WEIR_E_USAGE,
                "argument %d is not UTF-8, so it cannot be sent to a job manager", i + 1);
    return NULL;
}

static bool asks_for_help(const struct verb *verb, int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
        if (verb->ends_at_argument && !is_option(argv[i]))
            return false; /* or it is the value of an option: then read it, and say what is missing */
    }
    return false;
}

static weir_error *print_help(const struct verb *verb)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    verb_help(verb, out);
    return buffer_to_stdout(out);
}

static void add_options(struct config *config, const struct verb_option *options, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        config_add(config, &options[i].row, 1);
}

static weir_error *read_and_run(struct reading *reading)
{
    WEIR_TRY(read_words(reading));
    WEIR_TRY(give_back(reading));
    WEIR_TRY(check_arguments(reading));
    return reading->verb->run(reading->call);
}

weir_error *verb_run(const struct verb *verb, int argc, char **argv, struct verb_outcome *outcome)
{
    outcome->says_code = verb->is_local;
    if (asks_for_help(verb, argc, argv))
        return print_help(verb);
    struct config *config = config_new();
    add_options(config, verb->options, verb->option_count);
    if (!verb->is_local)
        add_options(config, verb_common, verb_common_count);
    struct verb_call call = { .config = config,
        .arguments = mem_alloc_array((size_t)argc + 1, sizeof(char *)),
        .defines = mem_alloc_array((size_t)argc + 1, sizeof(char *)),
        .outcome = outcome };
    struct reading reading = { .verb = verb,
        .config = config,
        .call = &call,
        .argc = argc,
        .argv = argv };
    weir_error *error = read_and_run(&reading);
    mem_free(call.arguments);
    mem_free(call.defines);
    config_free(config);
    return error;
}

/* verb.c -- see verb.h. */
#include "cli/verb.h"

#include "base/buffer.h"
#include "base/os_process.h"

void verb_help(const struct verb *verb, weir_buffer *out)
{
    buffer_printf(out, "usage: weir %s %s\n\n%s\n", verb->name, verb->usage, verb->help);
    if (verb->option_count == 0)
        return;
    struct config *config = config_new();
    config_add(config, verb->options, verb->option_count);
    buffer_printf(out, "\noptions:\n");
    config_usage(config, out);
    config_free(config);
}

static weir_error *help(const struct verb *verb)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    verb_help(verb, out);
    return buffer_to_stdout(out);
}

/* Cuts the arguments at "--". */
static char **take_rest(int *argc, char **argv)
{
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            *argc = i;
            return argv + i + 1;
        }
    }
    return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

weir_error *verb_run(const struct verb *verb, int argc, char **argv, int *status)
{
    char **rest = take_rest(&argc, argv);
    if (asks_for_help(argc, argv))
        return help(verb);
    int paths = 0;
    while (paths < argc && strncmp(argv[paths], "--", 2) != 0)
        paths++;
    if (paths != verb->path_count)
        return weir_errorf(WEIR_E_USAGE, "'weir %s' takes %d path%s, then options: weir %s %s",
            verb->name, verb->path_count, verb->path_count == 1 ? "" : "s", verb->name,
            verb->usage);
    struct config *config = config_new();
    if (verb->option_count > 0)
        config_add(config, verb->options, verb->option_count);
    /* The parser skips argv[0]: what stands in front of the options. */
    weir_error *error = config_parse(config, argc - paths + 1, argv + paths - 1);
    if (error == NULL)
        error = verb->run(
            &(struct verb_call){ .config = config, .paths = argv, .rest = rest, .status = status });
    config_free(config);
    return error;
}

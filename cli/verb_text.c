/* verb_text.c -- what the table of verbs says of itself: help, completion. Prefixes: verb_ */
#include "base/buffer.h"
#include "base/memory.h"
#include "cli/manual.h"
#include <weir/weir.h>

const char verb_about[] =
    "Runs jobs on a cluster, operates them, and looks at what they leave on disk.";
const char verb_statuses[] =
    "Exit status: 0 it is done, 1 it is not, 2 it was asked wrongly; 130 and 143: run was "
    "interrupted, and\n"
    "left the job running. A job that run --detached has left waiting is accepted: 0. What looks "
    "at files\n"
    "(inspect, savepoint of a checkpoint) says more: the codes of weir/error.h; of inspect 1 is a "
    "difference.\n";

char *verb_option_help(const struct verb_option *option)
{
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    for (const char *at = option->also; at != NULL && *at != '\0'; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        buffer_printf(out, "%s-%.*s", at == option->also ? "Also " : ", ", (int)size, at);
        at += size;
    }
    buffer_printf(out, "%s%s", buffer_size(out) > 0 ? ". " : "", option->row.help);
    char *text = mem_strdup(buffer_text(out));
    weir_buffer_free(out);
    return text;
}

static void options_help(const struct verb_option *options, uint32_t count, weir_buffer *out)
{
    for (uint32_t i = 0; i < count; i++) {
        struct weir_option row = options[i].row;
        char *text = verb_option_help(&options[i]);
        row.help = text;
        struct config *config = config_new();
        config_add(config, &row, 1);
        config_usage(config, out);
        config_free(config);
        mem_free(text);
    }
}

static void help_all(weir_buffer *out)
{
    buffer_printf(out, "%s\n\n", verb_about);
    for (uint32_t i = 0; i < verb_count; i++)
        buffer_printf(out, "  weir %-16s%s\n", verb_table[i]->name, verb_table[i]->brief);
    buffer_printf(out,
        "  weir help [VERB] | version | man [PAGE] | completion bash\n\n"
        "A JOB is named by its id, by its first 4 digits or more, or by its name.\n%s",
        verb_statuses);
}

void verb_help(const struct verb *verb, weir_buffer *out)
{
    if (verb == NULL) {
        help_all(out);
        return;
    }
    buffer_printf(out, "usage: weir %s %s\n\n%s\n", verb->name, verb->usage, verb->help);
    if (verb->option_count > 0)
        buffer_printf(out, "\noptions:\n");
    options_help(verb->options, verb->option_count, out);
    if (verb->is_local)
        return;
    buffer_printf(out, "\noptions of all verbs that talk to a cluster:\n");
    options_help(verb_common, verb_common_count, out);
}

/* -- completion ----------------------------------------------------------------------------------- */

static void complete_options(const struct verb_option *options, uint32_t count, weir_buffer *out)
{
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(out, " --%s", options[i].row.name);
        for (const char *at = options[i].also; at != NULL && *at != '\0'; at += strspn(at, " ")) {
            size_t size = strcspn(at, " ");
            if (size == 1) /* longer ones are Flink's, for those who know them */
                buffer_printf(out, " -%c", *at);
            at += size;
        }
    }
}

/* The first words of all names, each once. */
static void complete_verbs(weir_buffer *out)
{
    for (uint32_t i = 0; i < verb_count; i++) {
        const char *name = verb_table[i]->name;
        size_t size = strcspn(name, " ") + 1;
        if (i == 0 || strncmp(verb_table[i - 1]->name, name, size) != 0)
            buffer_printf(out, "%.*s ", (int)size - 1, name);
    }
    buffer_printf(out, "help version man completion");
}

static void complete_seconds(weir_buffer *out)
{
    for (uint32_t i = 0; i < verb_count; i++) {
        const char *second = strchr(verb_table[i]->name, ' ');
        if (second != NULL)
            buffer_printf(out, "%s", second);
    }
}

void verb_completion(weir_buffer *out)
{
    buffer_printf(out, "# Completion of the command weir: source <(weir completion bash)\n"
                       "_weir() {\n"
                       "    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} options\n"
                       "    COMPREPLY=()\n"
                       "    if ((COMP_CWORD == 1)); then\n"
                       "        COMPREPLY=($(compgen -W '");
    complete_verbs(out);
    buffer_printf(out, "' -- \"$word\"))\n        return\n    fi\n"
                       "    if [[ $verb == cluster ]] && ((COMP_CWORD == 2)); then\n"
                       "        COMPREPLY=($(compgen -W '");
    complete_seconds(out);
    buffer_printf(out, "' -- \"$word\"))\n        return\n    fi\n"
                       "    [[ $verb == cluster ]] && verb=\"cluster ${COMP_WORDS[2]}\"\n"
                       "    case $verb in\n");
    for (uint32_t i = 0; i < verb_count; i++) {
        buffer_printf(out, "    '%s') options='--help", verb_table[i]->name);
        complete_options(verb_table[i]->options, verb_table[i]->option_count, out);
        if (!verb_table[i]->is_local)
            complete_options(verb_common, verb_common_count, out);
        buffer_printf(out, "' ;;\n");
    }
    buffer_printf(out, "    help) COMPREPLY=($(compgen -W '");
    complete_verbs(out);
    buffer_printf(out, "' -- \"$word\")); return ;;\n"
                       "    man) COMPREPLY=($(compgen -W '");
    manual_pages(out);
    buffer_printf(out,
        "' -- \"$word\")); return ;;\n"
        "    completion) COMPREPLY=(bash); return ;;\n"
        "    *) return ;;\n    esac\n"
        "    [[ $word == -* ]] && COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
        "}\n"
        "complete -o default -F _weir weir\n");
}

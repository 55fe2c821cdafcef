/* verb_text.c -- what the table of verbs says of itself: help, the page of the manual, completion. Prefixes: verb_ */
#include "base/buffer.h"
#include "base/memory.h"
#include "cli/verb.h"
#include <weir/weir.h>

static const char about[] =
    "Runs jobs on a cluster, operates them, and looks at what they leave on disk.";
static const char statuses[] =
    "Exit status: 0 it is done, 1 it is not, 2 it was asked wrongly; 130 and 143: run was "
    "interrupted, and\n"
    "left the job running. What looks at files (inspect, savepoint of a checkpoint) says more: the "
    "codes of\n"
    "weir/error.h; of inspect 1 is a difference.\n";

/* "-m for short. " in front of what an option does. mem_free it. */
static char *help_of(const struct verb_option *option)
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
        char *text = help_of(&options[i]);
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
    buffer_printf(out, "%s\n\n", about);
    for (uint32_t i = 0; i < verb_count; i++)
        buffer_printf(out, "  weir %-16s%s\n", verb_table[i]->name, verb_table[i]->brief);
    buffer_printf(out,
        "  weir help [VERB] | version | man | completion bash\n\n"
        "A JOB is named by its id, by its first 4 digits or more, or by its name.\n%s",
        statuses);
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

/* -- the manual ---------------------------------------------------------------------------------- */

/* Text for roff: no dash is a hyphen, no line begins with a request. */
static void roff(weir_buffer *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        bool is_first = at == text || at[-1] == '\n';
        if (is_first && (*at == '.' || *at == '\''))
            buffer_printf(out, "\\&");
        if (*at == '-')
            buffer_printf(out, "\\-");
        else if (*at == '\\')
            buffer_printf(out, "\\e");
        else
            weir_buffer_add_byte(out, *at);
    }
}

static void roff_options(const struct verb_option *options, uint32_t count, weir_buffer *out)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_option *row = &options[i].row;
        char *text = help_of(&options[i]);
        buffer_printf(out, ".TP\n\\fB\\-\\-");
        roff(out, row->name);
        buffer_printf(out, "\\fR");
        if (row->kind != WEIR_OPTION_FLAG) {
            buffer_printf(out, " ");
            roff(out, row->value_name);
        }
        buffer_printf(out, "\n");
        roff(out, text);
        if (row->fallback != NULL)
            buffer_printf(out, " Default: %s.", row->fallback);
        buffer_printf(out, "\n");
        mem_free(text);
    }
}

static void roff_verb(const struct verb *verb, weir_buffer *out)
{
    buffer_printf(out, ".SS \"weir %s\"\n.B weir %s\n", verb->name, verb->name);
    roff(out, verb->usage);
    buffer_printf(out, "\n.PP\n");
    roff(out, verb->help);
    buffer_printf(out, "\n");
    roff_options(verb->options, verb->option_count, out);
}

void verb_manual(weir_buffer *out)
{
    buffer_printf(out,
        ".\\\" Made from the table of verbs by: make man\n"
        ".TH WEIR 1 \"\" \"weir %s\" \"User Commands\"\n.SH NAME\nweir \\- operate stream "
        "processing jobs\n"
        ".SH SYNOPSIS\n.B weir\nVERB [ARGUMENTS] [OPTIONS]\n.SH DESCRIPTION\n",
        WEIR_VERSION);
    roff(out, about);
    buffer_printf(out,
        "\nThe grammar of verbs and options is that of the command of Apache Flink where it has "
        "them.\n"
        "Options may stand anywhere behind the verb (of run: in front of the job), their names "
        "take one dash or "
        "two.\n"
        "A JOB is named by its id, by its first 4 digits or more, or by its name.\n.SH VERBS\n");
    for (uint32_t i = 0; i < verb_count; i++)
        roff_verb(verb_table[i], out);
    buffer_printf(out, ".SH OPTIONS\nOf all verbs that talk to a cluster:\n");
    roff_options(verb_common, verb_common_count, out);
    buffer_printf(out, ".SH EXIT STATUS\n");
    roff(out, statuses);
    buffer_printf(out, ".SH ENVIRONMENT\n.TP\n.B WEIR_CONF\nThe configuration file, if \\-\\-conf "
                       "does not say it.\n"
                       ".TP\n.B WEIR_HOME\nThe directory of the local cluster, if \\-\\-dir does "
                       "not say it; else ~/.weir.\n");
}

/* -- completion ----------------------------------------------------------------------------------- */

static void complete_options(const struct verb_option *options, uint32_t count, weir_buffer *out)
{
    for (uint32_t i = 0; i < count; i++)
        buffer_printf(out, " --%s", options[i].row.name);
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
    buffer_printf(out,
        "    *) return ;;\n    esac\n"
        "    [[ $word == -* ]] && COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
        "}\n"
        "complete -o default -F _weir weir\n");
}

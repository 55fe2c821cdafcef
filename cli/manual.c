/* manual.c -- see manual.h. */
#include "cli/manual.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "runtime/cluster/conf.h"
#include <weir/weir.h>

#include <string.h>

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
        char *text = verb_option_help(&options[i]);
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

/* -- weir(1) ------------------------------------------------------------------------------------- */

static void command(weir_buffer *out)
{
    buffer_printf(out,
        ".\\\" Made from the table of verbs by: make man\n"
        ".TH WEIR 1 \"\" \"weir %s\" \"User Commands\"\n.SH NAME\nweir \\- operate stream "
        "processing jobs\n"
        ".SH SYNOPSIS\n.B weir\nVERB [ARGUMENTS] [OPTIONS]\n.SH DESCRIPTION\n",
        WEIR_VERSION);
    roff(out, verb_about);
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
    roff(out, verb_statuses);
    buffer_printf(out, ".SH ENVIRONMENT\n.TP\n.B WEIR_CONF\nThe configuration file, if \\-\\-conf "
                       "does not say it.\n"
                       ".TP\n.B WEIR_HOME\nThe directory of the local cluster, if \\-\\-dir does "
                       "not say it; else ~/.weir.\n"
                       ".SH SEE ALSO\nweir\\-jobmanager(8), weir\\-taskmanager(8), weir.yaml(5)\n");
}

/* -- the daemons: section 8 ------------------------------------------------------------------------ */

static const char daemon_options[] =
    ".SH OPTIONS\n"
    ".TP\n\\fB\\-\\-conf\\fR FILE\nThe configuration. Default: the file that WEIR_CONF names, else "
    "conf/weir.yaml, if that is there.\n"
    ".TP\n\\fB\\-D\\fR KEY=VALUE\nCounts instead of what the file says. As often as needed.\n"
    ".TP\n\\fB\\-\\-version\\fR, \\fB\\-\\-help\\fR\nShow that, and end.\n";

static void daemon_page(const char *name, const char *title, const char *brief, const char *about,
    const char *sigterm, const char *sigint, weir_buffer *out)
{
    buffer_printf(out,
        ".\\\" Made by: make man\n.TH %s 8 \"\" \"weir %s\" \"System Administration\"\n.SH NAME\n",
        title, WEIR_VERSION);
    roff(out, name);
    buffer_printf(out, " \\- %s\n.SH SYNOPSIS\n.B ", brief);
    roff(out, name);
    buffer_printf(out, "\n[\\-\\-conf FILE] [\\-D KEY=VALUE]...\n.SH DESCRIPTION\n");
    roff(out, about);
    roff(out, "\nIt stays in the foreground, logs to standard error and into a directory of logs "
              "(env.log.dir), and "
              "tells systemd when it is ready.\n");
    buffer_printf(out, "%s.SH SIGNALS\n.TP\n.B SIGTERM\n", daemon_options);
    roff(out, sigterm);
    buffer_printf(out, "\n.TP\n.B SIGINT\n");
    roff(out, sigint);
    buffer_printf(out, "\n.PP\nA second signal ends it at once.\n.SH EXIT STATUS\n");
    roff(out, "0 after a signal; else the code of weir/error.h, 2 if it was asked or configured "
              "wrongly.\n");
    buffer_printf(out,
        ".SH ENVIRONMENT\n.TP\n.B LOGS_DIRECTORY\nWhere logs go, if env.log.dir does not say it; "
        "systemd sets it.\n"
        ".SH SEE ALSO\nweir(1), %s(8), weir.yaml(5)\n",
        strcmp(name, "weir-jobmanager") == 0 ? "weir\\-taskmanager" : "weir\\-jobmanager");
}

static void jobmanager(weir_buffer *out)
{
    daemon_page("weir-jobmanager", "WEIR\\-JOBMANAGER",
        "takes stream processing jobs in, and supervises them",
        "The job manager of a cluster: it takes jobs in by REST, plans them on task managers, "
        "places their tasks into "
        "slots, takes their checkpoints, and restarts what fails. With high availability several "
        "run, of which one "
        "leads and the others stand by.",
        "Ends. Workers of jobs go on. With high availability another job manager takes "
        "over and goes on "
        "from the newest checkpoints; without it the jobs are forgotten, and their workers end "
        "when the next job "
        "manager has come, or after ten minutes.",
        "The same.", out);
}

static void taskmanager(weir_buffer *out)
{
    daemon_page("weir-taskmanager", "WEIR\\-TASKMANAGER",
        "runs the tasks of stream processing jobs on this machine",
        "A task manager of a cluster: it offers slots to the job manager, and runs the workers of "
        "jobs in them, each a "
        "process of its own, within the memory of its slots.",
        "Leaves in good order: it gets no more work, the job manager takes a checkpoint of each "
        "job that runs here and "
        "moves it to other slots, or lets it wait for some. It ends when its workers have, or "
        "after "
        "taskmanager.shutdown-timeout; what is left of them then ends with it.",
        "Ends, and all workers with it.", out);
}

/* -- weir.yaml(5) ---------------------------------------------------------------------------------- */

static void configuration(weir_buffer *out)
{
    uint32_t count;
    const struct weir_option *rows = conf_rows(&count);
    buffer_printf(out,
        ".\\\" Made from the table of options by: make man\n"
        ".TH WEIR.YAML 5 \"\" \"weir %s\" \"File Formats\"\n.SH NAME\nweir.yaml \\- the "
        "configuration of a "
        "Weir cluster\n.SH DESCRIPTION\n",
        WEIR_VERSION);
    roff(out,
        "Every process of a cluster reads the same file, and takes from it what it needs. It is "
        "YAML: a line "
        "\"key: value\" for each option, or keys nested. Times are numbers with ms, s, m, h or d "
        "behind them, sizes "
        "with B, KB, MB, GB or TB. What is given by -D KEY=VALUE on a command line counts more.\n");
    buffer_printf(out, ".SH OPTIONS\n");
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_option *row = &rows[i];
        buffer_printf(out, ".TP\n\\fB");
        roff(out, row->name);
        buffer_printf(out, "\\fR: ");
        roff(out, row->value_name);
        weir_buffer_add_byte(out, '\n');
        roff(out, row->help);
        if (row->fallback != NULL) {
            buffer_printf(out, " Default: ");
            roff(out, row->fallback);
            weir_buffer_add_byte(out, '.');
        }
        weir_buffer_add_byte(out, '\n');
    }
    buffer_printf(out, ".SH SEE ALSO\nweir(1), weir\\-jobmanager(8), weir\\-taskmanager(8)\n");
}

/* -- the pages ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*print)(weir_buffer *out);
} pages[] = { { "weir", command }, { "weir-jobmanager", jobmanager },
    { "weir-taskmanager", taskmanager }, { "weir.yaml", configuration } };

bool manual_print(const char *page, weir_buffer *out)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(pages[i].name, page) != 0)
            continue;
        pages[i].print(out);
        return true;
    }
    return false;
}

void manual_pages(weir_buffer *out)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        buffer_printf(out, "%s%s", i == 0 ? "" : " ", pages[i].name);
}

/* verb.h -- what `weir` can be asked to do: one row a verb; help, the page of the manual and completion come from it.
 *
 *      weir VERB ARGUMENTS AND OPTIONS          cli_main finds the row (verb_table.c), verb_run reads what follows
 *
 * The grammar is that of Flink's command: options may stand anywhere, their names take one dash or two, a value
 * follows or is joined by "=". A verb prints its answer on standard output and returns an error, or nothing.
 *
 * Exit status: 0 it is done; 1 it is not, whatever the reason; 2 it was asked wrongly. Verbs that look at files
 * (is_local) say more, by the codes of weir/error.h; 1 is an answer there (two savepoints differ).
 *
 * Prefixes: verb_, cli_
 * Thread: one. */
#ifndef WEIR_CLI_VERB_H
#define WEIR_CLI_VERB_H

#include "base/config.h"

#include <stdarg.h>

/* What stands behind an option. */
enum verb_value {
    VERB_ONCE,
    VERB_MAYBE, /* or nothing: its text is "" then */
    VERB_MANY   /* as often as one likes: verb_call.defines, the only one */
};

/* Thread: immutable after init. */
struct verb_option {
    struct weir_option row;
    const char *also; /* its other names, separated by spaces; NULL: none */
    enum verb_value value;
};

/* What the process ends with. Thread: one. */
struct verb_outcome {
    int status;     /* when there is no error */
    bool says_code; /* of an error by its code; else 1 */
};

/* Thread: immutable after init. */
struct verb_call {
    const struct config *config;
    char **arguments; /* what is no option */
    int argument_count;
    /* What is somebody else's: behind "--", or behind the argument that ends the options. Ends with NULL. */
    char **rest;
    const char **defines; /* of -D */
    uint32_t define_count;
    struct verb_outcome *outcome;
};

/* Thread: immutable after init. */
struct verb {
    const char *name;  /* one word, or two */
    const char *usage; /* what stands behind the name */
    const char *brief; /* a line */
    const char *help;  /* a sentence or more */
    const char *takes; /* "1 path, then options" */
    int argument_min, argument_max;
    bool is_local;         /* of files; the others have the options of verb_common, too */
    bool ends_at_argument; /* options behind the first argument are not ours */
    bool has_rest;         /* what stands behind "--" is not ours */
    const struct verb_option *options;
    uint32_t option_count;
    weir_error *(*run)(const struct verb_call *call);
};

#define VERB_OPTIONS(table_) \
    .options = (table_), .option_count = sizeof(table_) / sizeof((table_)[0])

extern const struct verb verb_run_job, verb_list, verb_cancel, verb_stop, verb_savepoint,
    verb_checkpoint, verb_rescale, verb_explain, verb_logs, verb_cluster_start, verb_cluster_stop,
    verb_cluster_status, verb_inspect;
extern const struct verb *const verb_table[];
extern const uint32_t verb_count;

/* Of all that talk to a cluster. */
extern const struct verb_option verb_common[];
extern const uint32_t verb_common_count;

/* The verb that argv begins with; *words: how many of argv its name takes. NULL: none. */
const struct verb *verb_find(int argc, char **argv, int *words);
/* Runs a verb with the arguments behind its name. */
weir_error *verb_run(const struct verb *verb, int argc, char **argv, struct verb_outcome *outcome)
    WEIR_MUST_USE;

/* The texts made of the table (verb_text.c); NULL: all verbs. The manual has some of it, too (manual.h). */
extern const char verb_about[], verb_statuses[];
/* "Also -m. " in front of what an option does. mem_free it. */
char *verb_option_help(const struct verb_option *option);
void verb_help(const struct verb *verb, weir_buffer *out);
void verb_completion(weir_buffer *out); /* for bash */

/* The command; returns its exit status. */
int cli_main(int argc, char **argv);

/* What a verb prints at most. */
#define CLI_OUTPUT_MAX ((size_t)256 << 20)
/* On standard output, at once. */
weir_error *cli_printf(const char *format, ...) __attribute__((format(printf, 1, 2))) WEIR_MUST_USE;
weir_error *cli_vprintf(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)))
WEIR_MUST_USE;

#endif

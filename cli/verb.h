/* verb.h -- what `weir` can be asked to do: one file and one row a verb.
 *
 *      weir VERB ARGUMENTS          main.c finds the row, verb_run does the rest
 *
 * A verb takes paths first, then options (base/config.h); a path never starts with "--". It prints its
 * answer on standard output and returns an error, or nothing; its exit status is that of the error's code,
 * or `verb_status`: 1 is an answer, not a failure (two savepoints differ).
 *
 * Prefixes: verb_
 * Thread: one. */
#ifndef WEIR_CLI_VERB_H
#define WEIR_CLI_VERB_H

#include "base/config.h"

/* Thread: immutable after init. */
struct verb_call {
    const struct config *config;
    char **paths; /* as many as the verb takes */
    char **rest;  /* what stands behind "--", NULL at its end; NULL: there is no "--" */
    int *status;  /* exit status when there is no error */
};

/* Thread: immutable after init. */
struct verb {
    const char *name;
    const char *usage; /* what stands behind the name */
    const char *help;  /* a sentence or more */
    int path_count;
    const struct weir_option *options;
    uint32_t option_count;
    weir_error *(*run)(const struct verb_call *call);
};

extern const struct verb verb_inspect;
extern const struct verb verb_savepoint;

/* Runs a verb with the arguments behind its name. */
weir_error *verb_run(const struct verb *verb, int argc, char **argv, int *status) WEIR_MUST_USE;
void verb_help(const struct verb *verb, weir_buffer *out);

/* What a verb prints at most. */
#define CLI_OUTPUT_MAX ((size_t)256 << 20)

#endif

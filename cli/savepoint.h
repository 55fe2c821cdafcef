/* savepoint.h -- savepoints of a running job: asked for by `weir savepoint`, `stop` and `cancel -s`.
 *
 *      savepoint_order     POST what the kind says, wait, print where it is
 *
 * Savepoints that are made of a checkpoint on disk are in the same file, and need none of this.
 * Prefixes: savepoint_. Thread: one. */
#ifndef WEIR_CLI_SAVEPOINT_H
#define WEIR_CLI_SAVEPOINT_H

#include "cli/client.h"

enum savepoint_kind { SAVEPOINT_ONLY, SAVEPOINT_THEN_CANCEL, SAVEPOINT_THEN_STOP };

/* Thread: one. Borrowed for the call. */
struct savepoint_order {
    enum savepoint_kind kind;
    const char *job;
    const char *dir; /* NULL or "": the configured one */
    const char *format;
    bool is_drain, is_detached;
};

/* The format, by --type. */
weir_error *savepoint_choose(const struct verb_call *call, struct savepoint_order *order)
    WEIR_MUST_USE;
weir_error *savepoint_order(struct client *client, const struct savepoint_order *order)
    WEIR_MUST_USE;

#define SAVEPOINT_OPTION_TYPE \
    { \
        { "type", WEIR_OPTION_TEXT, "canonical|native", "canonical", \
            "The format. Weir's are canonical: any backend reads them.", 0, 0 }, \
            NULL, VERB_ONCE \
    }
#define SAVEPOINT_OPTION_DETACHED \
    { \
        { "detached", WEIR_OPTION_FLAG, NULL, NULL, \
            "Only ask for it, and print the id of the request.", 0, 0 }, \
            NULL, VERB_ONCE \
    }

#endif

/* options.h -- the options that every Weir program has, as one table, and what they mean.
 *
 * A row in options.c is all that a new option needs, and a line here where it is read. The program's
 * own options are a second table of the same config (base/config.h).
 *
 * Thread: immutable after options_read. */
#ifndef WEIR_PROGRAM_OPTIONS_H
#define WEIR_PROGRAM_OPTIONS_H

#include "base/config.h"
#include "runtime/graph/plan.h"
#include "runtime/manager/local.h"

enum options_as { OPTIONS_AS_TEXT, OPTIONS_AS_JSON, OPTIONS_AS_DOT };

/* Thread: immutable after options_read. */
struct options {
    struct plan_options plan;   /* without the job's name */
    struct local_options local; /* without the plan */
    const char *metrics_json;   /* file; NULL: none */
    bool is_log_json;
    enum options_as as; /* explain */
};

void options_add(struct config *config); /* the table */
/* Log settings take effect at once. */
weir_error *options_read(const struct config *config, struct options *options) WEIR_MUST_USE;

#endif

/* config.h -- options: one table row each; parsing, defaults, limits and usage text come from it.
 *
 * Rows are struct weir_option (job.h); several tables (the engine's own, the program's) form a set.
 * `--name value`, `--name=value`; a flag stands alone. Unknown option, missing or malformed value,
 * value out of range: one WEIR_E_USAGE error that names the option, what was given, what is
 * allowed, and the nearest known name. An option given twice is an error. Rows with min and max
 * both 0 allow 0 .. INT64_MAX for numbers and durations, 1 .. INT64_MAX for sizes. A mistake in a
 * table (a name used twice, a fallback that does not parse) is reported by config_parse, as
 * WEIR_E_PLAN.
 *
 * Units: durations "250ms" "10s" "5m" "24h" "7d" (ms); sizes "512B" "64KB" "1GB" (powers of 1024).
 * Thread: immutable after config_parse, or the last config_set. */
#ifndef WEIR_BASE_CONFIG_H
#define WEIR_BASE_CONFIG_H

#include <weir/job.h>

struct config; /* Thread: immutable after config_parse */
struct config *config_new(void);
/* For tables whose names stand in a file: messages say 'rest.port', not '--rest.port'. */
struct config *config_new_bare(void);
void config_free(struct config *config);
void config_add(struct config *config, const struct weir_option *options, uint32_t count);
/* As main gets them: argv[0] is not an option. */
weir_error *config_parse(struct config *config, int argc, char **argv) WEIR_MUST_USE;
/* One value by name, in place of what it was before. */
weir_error *config_set(struct config *config, const char *name, const char *text) WEIR_MUST_USE;

bool config_has(const struct config *config, const char *name); /* is it in a table? */
/* The name must be in a table, and of the kind asked for (config_text: any kind, as written). */
bool config_given(const struct config *config, const char *name);
const char *config_text(const struct config *config, const char *name); /* NULL: none */
int64_t config_number(const struct config *config, const char *name);
bool config_flag(const struct config *config, const char *name);
/* Of a text whose value name lists what it may be, "a|b|c", and that has a fallback: which one it is, from 0. */
weir_error *config_choice(const struct config *config, const char *name, uint32_t *choice)
    WEIR_MUST_USE;

/* The name in the tables that is nearest; NULL: none is near. */
const char *config_nearest(const struct config *config, const char *name);

/* Usage text for all rows, wrapped at 80 columns, appended. */
void config_usage(const struct config *config, weir_buffer *out);

#endif

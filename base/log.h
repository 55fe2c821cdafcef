/* log.h -- one line per event on standard error, for people and for machines.
 *
 *     2026-11-21T02:45:10.123Z INFO  checkpoint: completed checkpoint=7 duration_ms=81
 *
 * Or, with log_set_json, one JSON object a line. A line is written with one write call, is at most
 * 4 KiB (cut, with an ellipsis) and never contains a raw control character. A terminal's progress
 * line (log_progress) is erased before a log line and drawn again after it.
 * Thread: any. */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <weir/error.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
void log_set_level(enum log_level level);
void log_set_json(bool is_json);
/* From now on lines go to this file, too (NULL: no longer). One that would be larger than size_max becomes
 * "<path>.1", in the place of the one before; and standard error, if it is a regular file as large as that, is
 * emptied then: nobody else bounds it. What cannot be written there is on standard error. */
weir_error *log_set_file(const char *path, uint64_t size_max) WEIR_MUST_USE;
void log_line(enum log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The message of a line that log_line wrote; another line is its own. mem_free it. */
char *log_message_of(const char *line);
#define log_debug(component_, ...) log_line(LOG_DEBUG, component_, __VA_ARGS__)
#define log_info(component_, ...)  log_line(LOG_INFO, component_, __VA_ARGS__)
#define log_warn(component_, ...)  log_line(LOG_WARN, component_, __VA_ARGS__)
#define log_error(component_, ...) log_line(LOG_ERROR, component_, __VA_ARGS__)

/* Replaces the progress line on a terminal; elsewhere does nothing. Empty text removes it. */
void log_progress(const char *text);
bool log_is_terminal(void);

#endif

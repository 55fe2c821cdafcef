/* log.c -- puts a line together in one buffer, progress line included, and writes it at once.
 *
 * What is logged may quote input, so nothing reaches the terminal raw: control characters are shown
 * as escapes, and bytes that are not UTF-8 as U+FFFD. */
#include "base/log.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/utf8.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_SIZE_MAX     ((size_t)4096) /* with its line feed */
#define PROGRESS_SIZE_MAX ((size_t)1024) /* more does not fit a terminal's line anyway */
#define ELLIPSIS          "\xe2\x80\xa6"
#define ERASE             "\r\033[K"

static _Atomic int log_level = LOG_INFO;
static _Atomic bool log_is_json;

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
/* Thread: log_lock. What is now on the terminal below the last line. */
static char progress[PROGRESS_SIZE_MAX];
static size_t progress_size;

/* Thread: log_lock. */
static struct {
    char *path; /* NULL: none */
    struct os_file *opened;
    uint64_t size, size_max;
} kept;

static const struct {
    const char *padded, *json;
} level_names[] = {
    [LOG_DEBUG] = { "DEBUG", "debug" },
    [LOG_INFO] = { "INFO ", "info" },
    [LOG_WARN] = { "WARN ", "warn" },
    [LOG_ERROR] = { "ERROR", "error" },
};

void log_set_level(enum log_level level)
{
    ASSERT(level >= LOG_DEBUG && level <= LOG_ERROR);
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

void log_set_json(bool is_json)
{
    atomic_store_explicit(&log_is_json, is_json, memory_order_relaxed);
}

bool log_is_terminal(void)
{
    return os_stderr_is_terminal();
}

/* -- text into a bounded line --------------------------------------------------------------- */

/* Thread: its stack's owner. */
struct line {
    char *bytes;
    size_t size, size_max;
    bool is_cut;
};

/* Adds all of it or nothing: no half escapes. */
static void line_add(struct line *line, const char *bytes, size_t size)
{
    if (line->is_cut || size > line->size_max - line->size) {
        line->is_cut = true;
        return;
    }
    memcpy(line->bytes + line->size, bytes, size);
    line->size += size;
}

static void line_add_text(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

/* Length of the UTF-8 character at `text`; 0 if it is none, or a C1 control. */
static size_t utf8_size(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    bool is_c1 = at[0] == 0xc2 && at[1] < 0xa0;
    return at[0] < 0x80 ? 1 : is_c1 ? 0 : utf8_sequence(text, text + strnlen(text, 4));
}

/* One character, escaped as JSON wants it, or for people; returns how many bytes it took. */
static size_t line_add_escaped(struct line *line, const char *text, bool is_json)
{
    unsigned char byte = (unsigned char)*text;
    size_t size = utf8_size(text);
    char escape[8];
    if (size == 0) {
        line_add(line, "\xef\xbf\xbd", 3);
        return 1;
    }
    if (byte == '\n' || byte == '\t') {
        line_add(line, byte == '\n' ? "\\n" : "\\t", 2);
    } else if (byte < 0x20 || byte == 0x7f) {
        snprintf(escape, sizeof(escape), is_json ? "\\u%04x" : "\\x%02x", byte);
        line_add_text(line, escape);
    } else if (is_json && (byte == '"' || byte == '\\')) {
        escape[0] = '\\';
        escape[1] = (char)byte;
        line_add(line, escape, 2);
    } else {
        line_add(line, text, size);
    }
    return size;
}

static void line_add_all_escaped(struct line *line, const char *text, bool is_json)
{
    for (const char *at = text; *at != '\0' && !line->is_cut;)
        at += line_add_escaped(line, at, is_json);
}

/* 2026-11-21T02:45:10.123Z */
static void line_add_time(struct line *line, int64_t now_ms)
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    if (now_ms < 0 || gmtime_r(&seconds, &parts) == NULL)
        memset(&parts, 0, sizeof(parts));
    char text[64];
    size_t size = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + size, sizeof(text) - size, ".%03dZ", (int)(now_ms < 0 ? 0 : now_ms % 1000));
    line_add_text(line, text);
}

/* The whole line but for its end. */
static void line_compose(struct line *line, enum log_level level, const char *component,
    const char *message, bool is_json)
{
    if (is_json)
        line_add_text(line, "{\"time\":\"");
    line_add_time(line, os_wall_ms());
    line_add_text(line, is_json ? "\",\"level\":\"" : " ");
    line_add_text(line, is_json ? level_names[level].json : level_names[level].padded);
    line_add_text(line, is_json ? "\",\"component\":\"" : " ");
    line_add_all_escaped(line, component, is_json);
    line_add_text(line, is_json ? "\",\"message\":\"" : ": ");
    line_add_all_escaped(line, message, is_json);
}

char *log_message_of(const char *line)
{
    static const char json[] = "\"message\":\"";
    bool is_json = strncmp(line, "{\"time\":\"", 9) == 0;
    const char *at = is_json ? strstr(line, json) : NULL;
    if (at != NULL) {
        at += sizeof(json) - 1;
        size_t size = strlen(at);
        return mem_printf("%.*s", (int)(size < 2 ? 0 : size - 2), at); /* without "} */
    }
    bool is_ours = strlen(line) > 24 && line[10] == 'T' && line[23] == 'Z' && line[24] == ' ';
    at = is_ours ? strstr(line, ": ") : NULL;
    return mem_strdup(at == NULL ? line : at + 2);
}

/* -- the file ------------------------------------------------------------------------------- */

static weir_error *open_kept(void)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(kept.path, &stat));
    kept.size = stat.size;
    return os_open(kept.path, OS_APPEND, &kept.opened);
}

static weir_error *rotate(void)
{
    char *older = mem_printf("%s.1", kept.path);
    os_close(kept.opened);
    kept.opened = NULL;
    weir_error *error = os_rename(kept.path, older);
    mem_free(older);
    os_stderr_cut(kept.size_max);
    return error == NULL ? open_kept() : error;
}

/* A disk that is full is no reason to be silent: standard error has the line. */
static void keep_line(const char *bytes, size_t size)
{
    weir_error *error = NULL;
    if (kept.path == NULL)
        return;
    if (kept.opened == NULL)
        error = open_kept();
    else if (kept.size + size > kept.size_max && kept.size > 0)
        error = rotate();
    if (error == NULL)
        error = os_write(kept.opened, bytes, size);
    if (error == NULL)
        kept.size += size;
    weir_error_free(error);
}

weir_error *log_set_file(const char *path, uint64_t size_max)
{
    ASSERT(pthread_mutex_lock(&log_lock) == 0);
    os_close(kept.opened);
    mem_free(kept.path);
    kept.opened = NULL;
    kept.path = mem_strdup(path);
    kept.size_max = size_max;
    weir_error *error = path == NULL ? NULL : open_kept();
    ASSERT(pthread_mutex_unlock(&log_lock) == 0);
    return error;
}

/* -- writing -------------------------------------------------------------------------------- */

static void write_line(const char *bytes, size_t size)
{
    char out[LINE_SIZE_MAX + PROGRESS_SIZE_MAX + sizeof(ERASE)];
    struct line line = { .bytes = out, .size_max = sizeof(out) };
    ASSERT(pthread_mutex_lock(&log_lock) == 0);
    if (progress_size > 0)
        line_add_text(&line, ERASE);
    line_add(&line, bytes, size);
    line_add(&line, progress, progress_size);
    ASSERT(!line.is_cut);
    os_stderr_write(line.bytes, line.size);
    keep_line(bytes, size);
    ASSERT(pthread_mutex_unlock(&log_lock) == 0);
}

void log_line(enum log_level level, const char *component, const char *format, ...)
{
    ASSERT(level >= LOG_DEBUG && level <= LOG_ERROR);
    if ((int)level < atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    bool is_json = atomic_load_explicit(&log_is_json, memory_order_relaxed);
    char message[LINE_SIZE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    ASSERT(size >= 0);

    const char *end = is_json ? "\"}\n" : "\n";
    char bytes[LINE_SIZE_MAX];
    struct line line = { .bytes = bytes,
        .size_max = sizeof(bytes) - strlen(ELLIPSIS) - strlen(end) };
    line_compose(&line, level, component, message, is_json);
    bool is_cut = line.is_cut || (size_t)size >= sizeof(message);
    line = (struct line){ .bytes = bytes, .size = line.size, .size_max = sizeof(bytes) };
    if (is_cut)
        line_add_text(&line, ELLIPSIS);
    line_add_text(&line, end);
    ASSERT(!line.is_cut);
    write_line(line.bytes, line.size);
}

void log_progress(const char *text)
{
    if (!log_is_terminal())
        return;
    char out[PROGRESS_SIZE_MAX + sizeof(ERASE)];
    struct line line = { .bytes = out, .size_max = sizeof(out) };
    ASSERT(pthread_mutex_lock(&log_lock) == 0);
    struct line shown = { .bytes = progress, .size_max = sizeof(progress) };
    line_add_all_escaped(&shown, text, false);
    progress_size = shown.size;
    line_add_text(&line, ERASE);
    line_add(&line, progress, progress_size);
    os_stderr_write(line.bytes, line.size);
    ASSERT(pthread_mutex_unlock(&log_lock) == 0);
}

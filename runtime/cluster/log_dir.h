/* log_dir.h -- the logs of a process and of those that it starts: a directory with a bounded number of bytes.
 *
 *      ROOT/taskmanager-1/taskmanager.log, .log.1      its own (base/log.h), and the one before
 *                         JOB-ATTEMPT-WORKER.log       what a worker has printed; of a planner REQUEST-0-0.log
 *      ROOT/taskmanager-2/ ...                         of another one on this machine
 *
 * A process takes the first directory that no living one has, with what lies in it: so whoever starts again after a
 * crash shows the last words of the one before, and there are never more directories than processes at a time.
 *
 * Half of size_max is for files that are being written, each has an equal share of it; the rest is for those that
 * nobody writes any more, and the oldest of them go.
 *
 * Cores of workers lie in a directory of their own in it, `cores`, and nobody can ask for them: the newest, whatever its
 * size, which who wants cores has to limit, and of those before it LOG_CORES_MAX - 1 at most, as long as all of them
 * together have no more than size_max bytes.
 *
 * Others ask for a file by its name only, and get one that is in the list: no path is made of what they say.
 *
 * Prefixes: log_dir_, log_files_
 * Thread: open, close: control; others: any. Limits: LOG_FILES_MAX files, LOG_TEXT_MAX bytes an answer. */
#ifndef WEIR_CLUSTER_LOG_DIR_H
#define WEIR_CLUSTER_LOG_DIR_H

#include "base/buffer.h"
#include "base/memory.h"

#define LOG_FILES_MAX 1000u
#define LOG_TEXT_MAX  (1u << 20)
#define LOG_CORES_MAX 3u
#define LOG_END       UINT64_MAX /* an offset: the last LOG_TEXT_MAX bytes */

struct log_dir;
/* `kind`: "taskmanager". `root` is made. */
weir_error *log_dir_open(const char *root, const char *kind, uint64_t size_max,
    struct log_dir **dir) WEIR_MUST_USE;
void log_dir_close(struct log_dir *dir);                         /* the files stay */
char *log_dir_file(const struct log_dir *dir, const char *name); /* its path; mem_free it */
char *log_dir_own_file(const struct log_dir *dir);               /* of its own log */
uint64_t log_dir_file_max(const struct log_dir *dir,
    uint32_t count); /* of each, if so many are written */
/* Deletes what is too much, oldest first, but nothing that is_used. */
weir_error *log_dir_trim(const struct log_dir *dir, bool (*is_used)(void *arg, const char *name),
    void *arg) WEIR_MUST_USE;

/* Moves a core in; `path`: where it is now; mem_free it. A rename, which fails across file systems: then nothing was
 * moved, and `path` is NULL. */
weir_error *log_dir_keep_core(const struct log_dir *dir, const char *from, const char *name,
    char **path) WEIR_MUST_USE;

/* What somebody asks. Thread: its holder. */
enum log_kind {
    LOG_LIST,   /* which files there are: log_files_take */
    LOG_OWN,    /* text of its own log */
    LOG_OUTPUT, /* of the newest that is not its own */
    LOG_NAMED,  /* of the one of this name */
    LOG_KIND_COUNT
};
struct log_question {
    enum log_kind kind;
    weir_str name;
    uint64_t offset; /* from there on, at most LOG_TEXT_MAX bytes */
};
/* WEIR_E_CONNECTOR: there is no such file. */
weir_error *log_dir_answer(const struct log_dir *dir, const struct log_question *question,
    weir_buffer *out) WEIR_MUST_USE;

/* Thread: its holder. */
struct log_file {
    weir_str name;
    uint64_t size;
    int64_t modified_ms; /* wall clock */
};
/* What LOG_LIST answers; the list is in the arena, names point into the bytes. False: they are damaged. */
bool log_files_take(weir_str bytes, struct arena *arena, struct log_file **list, uint32_t *count);
void log_files_put(const struct log_file *list, uint32_t count, weir_buffer *out);

#endif

/* task_executor_private.h -- the inside of the task executor, shared by task_executor.c (the connection, messages)
 * and task_executor_child.c (workers and planners: begun, watched, ended).
 *
 * Prefixes: child_, children_. Thread: control, where nothing else is said. */
#ifndef WEIR_CLUSTER_TASK_EXECUTOR_PRIVATE_H
#define WEIR_CLUSTER_TASK_EXECUTOR_PRIVATE_H

#include "base/errands.h"
#include "base/os_child.h"
#include "runtime/cluster/messages.h"
#include "runtime/cluster/task_executor.h"

enum child_state { CHILD_FETCHING, CHILD_RUNNING, CHILD_ENDED };

/* A worker or a planner. Thread: control. */
struct child {
    struct child *next;
    enum child_state state;
    char *job; /* of a planner: the request */
    bool is_planner;
    uint64_t attempt;
    uint32_t worker, worker_count;
    uint64_t memory_size;
    char *digest, *secret, *dir, *log_name, *log_path;
    const char *path; /* of its executable */
    char **arguments; /* NULL-terminated */
    struct arena arena;
    struct os_child *process;
    int64_t kill_by_ms; /* 0: not told to end */
    bool was_killed;
    char *why; /* it is killed; NULL: it is not, or was told to end */
};

/* Thread: control. */
struct task_executor {
    struct task_executor_options options;
    struct connection *connection; /* NULL: none now */
    char *address;                 /* of the job manager; NULL: not known yet */
    bool is_registered;
    char *told; /* why there was no connection, when it was said last; NULL: not yet */
    int64_t retry_ms, next_try_ms, next_look_ms, next_trim_ms, next_beat_ms;
    int64_t heartbeat_ms, timeout_ms;
    uint64_t epoch;
    bool is_leaving,
        is_leave_known; /* known: to this job manager, so nothing that it sends comes behind it */
    char *blobs_url, *blob_dir;
    struct child *children;
    uint32_t child_count;
    uint64_t launches;
    struct errands *errands;
};

#define TASK_EXECUTOR_WORDS_MAX 4096u /* arguments of a job */

/* A child that is to begin: what remains to be filled in, then child_begin. NULL: there are too many, or the arguments
 * are damaged. */
struct child *child_add(struct task_executor *executor, const char *verb, weir_str job,
    weir_str digest, weir_str program, weir_str arguments);
/* When its executable is here; one that cannot begin is told as ended. */
void child_begin(struct task_executor *executor, struct child *child);
/* Told to end: it has until then. */
void child_end(struct child *child, int64_t kill_by_ms);
/* Those that have ended are told, those that cost too much are killed. */
void children_step(struct task_executor *executor, int64_t now_ms);
int64_t children_deadline_ms(const struct task_executor *executor);
void children_free(struct task_executor *executor); /* kills them */

#endif

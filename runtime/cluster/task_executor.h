/* task_executor.h -- the task manager: has slots, starts workers for job managers, watches them.
 *
 *   connect --REGISTER--> REGISTERED   PLAN, START, KILL come in; PLANNED, WORKER_ENDED go out
 *      ^        |  refused, closed, silent: again, a little later; another leader: there
 *      '--------'
 *
 * A worker, or a planner, is the job's own executable as a child process (base/os_child.h):
 *
 *      START -> blob here? else fetched, by its digest -> `JOB worker ARGS...` -> ends, or is killed -> told
 *
 * Workers go on while there is no job manager: data flows, and who becomes the leader finds us by our
 * REGISTER, deploys the job with the next attempt, and that ends the workers of the attempts before it.
 * Whoever says an epoch below the highest one heard is no leader any more, and is not obeyed. Who leads, and where, the
 * election tells; without one it is the address that was given.
 *
 * Who wants it to end in good order says task_executor_leave: it tells the job manager, which offers its slots no more,
 * and takes its jobs away, each behind a checkpoint; task_executor_has_left says when nothing is left to wait for.
 *
 * What a job may cost its host: memory (its share, in percent; more and the worker is killed, with a
 * sentence that says so), descriptors and processes by the host's own limits, its log its share of the directory of
 * logs (log_dir.h): a longer one is cut to its last quarter.
 *
 * Prefixes: task_executor_
 * Thread: control; blobs are fetched, logs read and directories removed by workers. */
#ifndef WEIR_CLUSTER_TASK_EXECUTOR_H
#define WEIR_CLUSTER_TASK_EXECUTOR_H

#include "base/worker.h"
#include "net/net.h"
#include "runtime/cluster/election.h"
#include "runtime/cluster/log_dir.h"

#define TASK_EXECUTOR_CHILDREN_MAX 8192u

/* Thread: immutable after init; what it points to outlives it. */
struct task_executor_options {
    struct net *net;
    struct workers *workers;
    const char *id, *host; /* where workers are reached */
    const char *bind_host; /* where they listen */
    uint32_t data_port;    /* 0: any */
    uint32_t slot_count;
    uint64_t memory_size; /* of all slots */
    uint32_t memory_factor_percent;
    const char *token; /* NULL: none */
    bool asks_user; /* the job manager must be of this process's user, or root's: base/os_peer.h */
    const char
        *address; /* of the job manager, "host:port"; NULL: that of who leads by the election */
    struct election *election; /* observed, stepped here; NULL: there is one job manager */
    const struct tls *tls;     /* of control connections; NULL: plain */
    const char *ca_file, *cert_file, *key_file; /* for workers; NULL: no TLS */
    const char *work_dir;                       /* of its own: workers' directories, blobs */
    const struct log_dir
        *logs; /* what its workers print; NULL: in work_dir, and nobody can ask for it */
    int64_t watchdog_ms, orphan_ms;
    /* Brings the blob of this digest, verified, to `path`. `url`: where blobs are. Thread: worker. */
    weir_error *(*fetch)(void *arg, const char *url, const char *digest, const char *path);
    void *fetch_arg;
};

struct task_executor;
weir_error *task_executor_new(const struct task_executor_options *options,
    struct task_executor **executor) WEIR_MUST_USE;
/* Kills its children. */
void task_executor_free(struct task_executor *executor);
void task_executor_step(struct task_executor *executor, int64_t now_ms);
int64_t task_executor_deadline_ms(const struct task_executor *executor);
void task_executor_leave(struct task_executor *executor);
/* The job manager knows, and no worker is left. Or there is nobody who would take them away: no job manager, and no
 * election that the next one could come out of. */
bool task_executor_has_left(const struct task_executor *executor);
uint32_t task_executor_child_count(const struct task_executor *executor);
bool task_executor_is_registered(const struct task_executor *executor);

#endif

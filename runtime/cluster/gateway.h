/* gateway.h -- the tasks of one job, which run in workers of task managers: a task_gateway (jobmanager.h)
 * whose calls are messages.
 *
 *   IDLE --deploy--> WAITING --slots granted, START sent--> STARTING --all HELLO, DEPLOY sent--> DEPLOYED
 *     ^                 |  no slots in time                     |  worker ended, time-out           |
 *     '---tear_down-----+---------------------------------------+-----------------------------------'
 *
 * An attempt has one worker for each task manager that gives it slots; worker w gets the slots that follow
 * those of worker w-1, and a subtask runs where its slot is. A worker that ends, falls silent or loses its
 * task manager fails the attempt through the job manager's host, as a task that fails does, and the
 * strategy decides. A worker's own socket closes first, its task manager tells how it ended a little later:
 * so that people read "killed by SIGSEGV in ..." and not "connection closed", the failure waits for that
 * a moment (REASON_MS).
 *
 * A part of the tasks (a region: runtime/graph/plan.h) restarts with the workers that it is on, whole: what restarts
 * together is what channels connect or a worker process shares, over any number of steps. Those workers are told to
 * end, if they still run; when its task manager has told a worker's end, and not before, a new process takes its
 * place: same attempt, index, slots and task manager. When all are here, they get their subtasks and the gateway is
 * DEPLOYED again; the others notice nothing, as they share no channel with them. If the end of a worker is not told
 * (a machine is lost, or hangs), nobody knows what it still does: all restart then, under a new attempt, which fences.
 *
 * tear_down waits for nobody: workers are told to end, are killed by their task managers if they do not, and
 * what they still do is fenced by the attempt. What they still say is not heard: their connections are closed.
 *
 * Thread: control. */
#ifndef WEIR_CLUSTER_GATEWAY_H
#define WEIR_CLUSTER_GATEWAY_H

#include "runtime/cluster/messages.h"
#include "runtime/cluster/rates.h"
#include "runtime/cluster/resources.h"
#include "runtime/cluster/worker_metrics.h"
#include "runtime/manager/jobmanager.h"

enum gateway_state { GATEWAY_IDLE, GATEWAY_WAITING, GATEWAY_STARTING, GATEWAY_DEPLOYED };

/* Thread: immutable after init; what it points to outlives the gateway. */
struct gateway_options {
    const char *job; /* its id */
    const struct plan *plan;
    const char *digest, *program; /* of the executable, and what it is called */
    weir_str arguments;           /* message_put_strings */
    struct resources *resources;
    uint64_t epoch;
    int64_t slot_timeout_ms;  /* until there are slots */
    int64_t start_timeout_ms; /* until all workers have said HELLO */
    int64_t heartbeat_timeout_ms;
};

/* What there is to know of a worker. Thread: control. */
struct gateway_worker {
    struct grant grant;
    char *task_manager, *host; /* ids, kept when it is gone */
    struct connection *connection;
    bool is_here;     /* has said HELLO */
    bool is_deployed; /* has its subtasks */
    bool is_leaving;  /* was told to end; another process will take its place */
    bool is_lost;     /* it is not known whether it has ended */
    bool has_failed;  /* told; the rest is the job manager's */
    uint16_t data_port;
    uint32_t task_count;
    uint32_t told;      /* events of its tasks since the last gateway_step */
    uint64_t published; /* checkpoints that its sinks have published */
    int64_t lost_ms;    /* its connection closed then; 0: it did not */
    bool has_ended;     /* its task manager says so */
};

struct gateway;
struct gateway *gateway_new(const struct gateway_options *options);
void gateway_free(struct gateway *gateway);
/* Its workers are left to whoever becomes the leader: they are told nothing, and not killed. */
void gateway_abandon(struct gateway *gateway);
struct task_gateway gateway_tasks(struct gateway *gateway);
/* Before the first deploy: where events go. */
void gateway_set_jobmanager(struct gateway *gateway, struct jobmanager *jobmanager);

/* Asks for slots, looks at time-outs. */
void gateway_step(struct gateway *gateway, int64_t now_ms);
int64_t gateway_deadline_ms(const struct gateway *gateway);

/* A worker has come; its connection is the gateway's from here on. An error: it is none of this attempt's,
 * and the caller refuses it. */
weir_error *gateway_hello(struct gateway *gateway, struct connection *connection,
    const struct message_hello *hello) WEIR_MUST_USE;
void gateway_worker_ended(struct gateway *gateway, const struct message_worker_ended *message);
/* One that has registered: workers of older attempts that it has end. */
void gateway_end_older(const struct gateway *gateway, const struct task_manager *it);
void gateway_task_manager_lost(struct gateway *gateway, const struct task_manager *it);

enum gateway_state gateway_state(const struct gateway *gateway);
uint32_t gateway_worker_count(const struct gateway *gateway);
const struct gateway_worker *gateway_worker(const struct gateway *gateway, uint32_t index);
uint32_t gateway_worker_of(const struct gateway *gateway, uint32_t subtask); /* UINT32_MAX: none */
uint32_t gateway_slots_held(const struct gateway *gateway); /* of task managers that are there */
/* As last heard; of tasks that are not there zeros. */
const struct worker_task_metrics *gateway_metrics(const struct gateway *gateway, uint32_t subtask);
struct rate gateway_rate(const struct gateway *gateway, uint32_t subtask);
/* CREATED, RUNNING, ENDED or FAILED: as last heard. */
enum task_state gateway_task_state(const struct gateway *gateway, uint32_t subtask);

#endif

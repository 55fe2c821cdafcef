/* sim_process.h -- the processes of a simulated cluster: job managers, task managers, and the workers that these start.
 *
 *      machine "jm0": job manager        leader.h and its election, as in daemon/jobmanager.c
 *      machine "tm0": task manager       task_executor.h, as in daemon/taskmanager.c
 *                       '-> worker       worker.h; planners are done at once
 *
 * A process is a set of objects that are stepped, and a number of sim_os.h under which all its calls are made. It ends
 * by itself, or it is killed: then sim_os.h and sim_net.h refuse whatever it still tries, its sockets are closed by the
 * system, and its memory is freed by the engine's own functions, which cannot do any harm any more. One that is killed
 * while it is in the middle of a call is freed when that has returned (sim_process_reap).
 *
 * Children are behind the table of base/os_child.h. They die with their task manager.
 *
 * Prefixes: sim_process_, sim_processes_. Thread: one. */
#ifndef WEIR_TEST_SIM_PROCESS_H
#define WEIR_TEST_SIM_PROCESS_H

#include "runtime/cluster/leader.h"
#include "runtime/cluster/task_executor.h"
#include "runtime/cluster/worker.h"
#include "test/sim/sim_program.h"
#include "test/support/random.h"

#define SIM_SHARED_DIR      "/shared"
#define SIM_CHECKPOINTS_DIR SIM_SHARED_DIR "/checkpoints"
#define SIM_SAVEPOINTS_DIR  SIM_SHARED_DIR "/savepoints"

enum sim_process_kind { SIM_JOB_MANAGER, SIM_TASK_MANAGER, SIM_WORKER, SIM_PROCESS_KINDS };

/* What all processes have in common. Thread: one. */
struct sim_processes_options {
    const struct sim_shape *shape;
    struct sim_setup setup;
    uint32_t slot_count;    /* of each task manager */
    uint32_t worker_one_in; /* how rarely blocking work gets a turn: a slow disk; at least 1 */
    int64_t heartbeat_ms, timeout_ms, lease_ms, slot_timeout_ms, start_timeout_ms, orphan_ms;
};

/* Thread: one. Owner: this module. */
struct sim_process {
    enum sim_process_kind kind;
    uint32_t number, machine, index; /* index: of its kind; of a worker its task manager's */
    bool is_killed, is_running;      /* running: in the middle of a step */
    int64_t paused_until_ns;         /* 0: it runs */
    uint32_t unit; /* that is being stepped; those of other threads may be, meanwhile */
    struct net *net;
    struct workers *workers;
    struct election *election;
    struct leader *leader;
    struct task_executor *executor;
    char *id, *dir;
    struct sim_process *parent;
    struct os_child *child; /* as its parent sees it; NULL: the parent has let go */
    struct sim_program *program;
    struct worker *worker;
};

/* The tables of net/net.h and base/os_child.h are the simulator's until the stop; sim_os and sim_net run. */
void sim_processes_start(const struct sim_processes_options *options);
void sim_processes_stop(void);                             /* kills and frees what is left */
struct sim_processes_options *sim_processes_options(void); /* may change between steps */

/* A job manager or task manager begins; NULL: it could not, and has ended again. */
struct sim_process *sim_process_start(enum sim_process_kind kind, uint32_t index, uint32_t machine);
struct sim_process *sim_process_at(uint32_t number);                              /* NULL: none */
struct sim_process *sim_process_find(enum sim_process_kind kind, uint32_t index); /* the same */
bool sim_process_runs(
    const struct sim_process *process); /* not killed, not paused, not in a step */

/* One step of one thing that it does, chosen by chance. True: it did something. */
bool sim_process_step(struct sim_process *process, struct random *random);
bool sim_process_step_all(struct sim_process *process, struct random *random); /* everything once */
/* In the middle of a call of the process: one of its other threads gets a turn, as far as that may be. */
void sim_process_step_beside(struct sim_process *process, struct random *random);
uint32_t sim_process_unit_count(const struct sim_process *process);
int64_t sim_process_deadline_ms(const struct sim_process *process); /* monotonic */

/* Uploads the executable, and submits it to a job manager that leads. Call it as that process. */
weir_error *sim_process_submit(struct sim_process *process, const char *const *arguments,
    uint32_t count, char id[DISPATCHER_ID_SIZE]) WEIR_MUST_USE;

void sim_process_kill(struct sim_process *process);
void sim_processes_reap(void);      /* frees those that are killed and in no call */
uint32_t sim_processes_end(void);   /* no number is at or behind it */
uint64_t sim_processes_ended(void); /* workers that have ended by themselves */
const char *sim_process_name(
    const struct sim_process *process); /* "worker 7 on tm1"; until the next call */

#endif

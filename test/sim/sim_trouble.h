/* sim_trouble.h -- what a seed means for a cluster: its machines, its job, and the list of what will happen to it.
 *
 * Everything is drawn before it happens, each event with a time of its own, so that one can be left out and the others
 * stay where they are: that is how a list that fails is made short (SIM_FAULTS, SIM_MINIMISE).
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_TROUBLE_H
#define WEIR_TEST_SIM_TROUBLE_H

#include "test/sim/sim_net.h"
#include "test/sim/sim_process.h"

#define SIM_EVENTS_MAX 48u

enum sim_event_kind {
    SIM_KILL_JOB_MANAGER,  /* kill -9; it begins again a while later */
    SIM_KILL_TASK_MANAGER, /* its workers die with it */
    SIM_KILL_WORKER,
    SIM_KILL_AT_CALL, /* whoever makes the n-th call of the disk from now on, in the middle of it */
    /* Whoever makes it, or the next job manager, or worker, that makes one, is stopped there, and all others go on. Half
     * of the job managers' successors do not reach one of the task managers meanwhile: its workers are not ended. */
    SIM_FREEZE_AT_CALL,
    SIM_PAUSE,        /* a process of any kind is stopped, and goes on later */
    SIM_CUT,          /* nothing goes from a machine to another one, or neither way */
    SIM_RESET,        /* a connection breaks */
    SIM_MACHINE_DOWN, /* and nobody hears of it; up a while later */
    SIM_POWER_LOSS,   /* everywhere */
    SIM_DISK_SICK,    /* calls fail, one in n */
    SIM_DISK_FULL,    /* most of them do */
    SIM_SHORT_WRITE,
    SIM_CLOCK_JUMP,   /* of the wall clock */
    SIM_TASK_FAILURE, /* the next worker's n-th record fails */
    /* what people do */
    SIM_CHECKPOINT,
    SIM_SAVEPOINT,
    SIM_STOP, /* with a savepoint; then it is submitted again */
    SIM_CANCEL,
    SIM_RESCALE,
    SIM_EVENT_KINDS
};
const char *sim_event_kind_name(enum sim_event_kind kind);

/* Thread: one. */
struct sim_trouble_event {
    enum sim_event_kind kind;
    int64_t at_ms, lasts_ms; /* virtual, from the start of the run */
    uint32_t a, b, n;
    bool is_one_way;
};

/* Thread: one. */
struct sim_trouble {
    struct sim_shape shape;
    struct sim_processes_options processes;
    struct sim_net_options net;
    uint32_t job_manager_count, task_manager_count;
    uint32_t parallelism;
    bool is_chaining_disabled;
    int64_t tick_ns, interval_ms, min_pause_ms, buffer_timeout_ms;
    uint32_t batch_size;
    struct sim_trouble_event events[SIM_EVENTS_MAX]; /* by time */
    uint32_t event_count;
    int64_t heal_ms; /* behind the last of them */
};
void sim_trouble_draw(struct sim_trouble *trouble, uint64_t seed);
void sim_trouble_print(const struct sim_trouble *trouble, uint64_t mask);

#endif

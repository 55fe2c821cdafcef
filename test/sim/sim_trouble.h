/* sim_trouble.h -- what a seed means for a cluster: its machines, its job, and the list of what will happen to it.
 *
 * Everything is drawn before it happens, each event with a time of its own, so that one can be left out and the others
 * stay where they are: that is how a list that fails is made short (SIM_FAULTS, SIM_MINIMISE).
 *
 * Trouble that comes at any time mostly comes when nothing is at stake. So an event may wait, from its time on, for its
 * moment: the n-th message of a kind, or call of the disk under a path, by a job manager, a task manager, a worker. And
 * most seeds have an aim, which draws the cluster and the list so that one kind of trouble is likely to matter:
 *
 *      any        everything, at any time
 *      takeover   the leader stands still, until its successor has started the job; some workers are out of its reach
 *      zombie     the leader stands still with a checkpoint to publish, until its successor has chosen what it restores,
 *                 and cannot start it: the old attempt's workers are out of its reach, and have the slots that it needs
 *      recovery   while one attempt takes over from another one, the next process dies, three deep and more
 *      people     in the middle of a savepoint, stop, cancel, rescale, and of the submission behind it
 *      phases     in a phase of a checkpoint: a link is cut one way, a connection breaks, somebody dies or stands still
 *      data       connections between workers break with records on them; workers that everybody has given up go on
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
    SIM_KILL_AT_CALL, /* whoever is at its moment, in the middle of the call */
    /* Whoever is at its moment is stopped there, and all others go on. Half of the job managers' successors do not reach
     * one of the task managers meanwhile: its workers are not ended. What has been sent to it comes late, when it goes on. */
    SIM_FREEZE_AT_CALL,
    SIM_PAUSE, /* a process of any kind is stopped, and goes on later */
    SIM_CUT,   /* nothing goes from a machine to another one, or neither way */
    SIM_RESET, /* a connection breaks; mostly one between workers, as soon as records are on it */
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

/* What an event waits for. */
enum sim_moment_kind { SIM_AT_ITS_TIME, SIM_AT_DISK_CALL, SIM_AT_MESSAGE };

/* Thread: one. */
struct sim_moment {
    enum sim_moment_kind kind;
    enum sim_process_kind by; /* whose call, or message; SIM_PROCESS_KINDS: anybody's */
    bool is_leaders;          /* of job managers only the one that leads */
    bool is_late;             /* only when blocking work of that process waits for its turn */
    const char *path;         /* a part of it; NULL: any */
    uint32_t message;         /* enum message_kind */
    uint32_t nth;             /* from 1 on */
};

/* Thread: one. */
struct sim_trouble_event {
    enum sim_event_kind kind;
    int64_t at_ms, lasts_ms; /* virtual, from the start of the run */
    uint32_t a, b, n;
    bool is_one_way;
    struct sim_moment moment;
    /* freeze: until this moment of somebody else's, and for so long behind it; at most lasts_ms */
    struct sim_moment until;
    int64_t behind_ms;
};

enum sim_aim {
    SIM_AIM_ANY,
    SIM_AIM_TAKEOVER,
    SIM_AIM_ZOMBIE,
    SIM_AIM_RECOVERY,
    SIM_AIM_PEOPLE,
    SIM_AIM_PHASES,
    SIM_AIM_DATA,
    SIM_AIMS
};

/* Thread: one. */
struct sim_trouble {
    enum sim_aim aim;
    bool starts_from_savepoints; /* behind a stop that has one */
    uint32_t
        beside_one_in; /* calls of the disk in which other threads of the process get a turn; 0: never */
    struct sim_shape shape;
    struct sim_processes_options processes;
    struct sim_net_options net;
    uint32_t job_manager_count, task_manager_count;
    uint32_t parallelism;
    bool is_chaining_disabled;
    int64_t tick_ns, interval_ms, min_pause_ms, buffer_timeout_ms, aligned_timeout_ms;
    uint32_t batch_size;
    struct sim_trouble_event events[SIM_EVENTS_MAX]; /* by time */
    uint32_t event_count;
    int64_t heal_ms; /* behind the last of them */
};
void sim_trouble_draw(struct sim_trouble *trouble, uint64_t seed);
void sim_trouble_print(const struct sim_trouble *trouble, uint64_t mask);

#endif

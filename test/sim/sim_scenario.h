/* sim_scenario.h -- what a seed means: the shape of a job, and the lives that its process lives.
 *
 * Everything is drawn here, before it happens, so that a run reads as a list: life after life, each with
 * its own parallelism, batches, intervals and faults, and an end. Drawing is biased towards trouble:
 * small batches, short intervals, deaths in the middle of a recovery.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_SCENARIO_H
#define WEIR_TEST_SIM_SCENARIO_H

#include "runtime/manager/local.h"
#include "test/sim/sim_job.h"
#include "test/support/random.h"

#define SIM_LIVES_MAX 12u

/* How a life ends, if the job does not end before. */
enum sim_end {
    SIM_END_KILL,   /* kill -9: the disk has all that was written */
    SIM_END_POWER,  /* the power fails: the disk has what was synced */
    SIM_END_STOP,   /* in good order; killed if it takes too long */
    SIM_END_ZOMBIE, /* nobody notices: it goes on while its successor starts */
    SIM_END_FREEZE, /* stopped in the middle of a call; its successor lives; then it goes on from there */
    SIM_END_HEAL, /* nothing fails any more: this process must come to the end, then the power fails */
    SIM_ENDS
};

struct sim_life {
    struct sim_setup setup;
    struct local_options options; /* without the plan */
    uint64_t step_max;
    enum sim_end end;
    uint32_t control_weight, worker_weight, slot_weight; /* how often each is chosen */
    int64_t tick_ns;                                     /* a step takes up to that */
    uint32_t jump_one_in;                                /* steps, of the wall clock; 0: never */
    uint64_t kill_call;                                  /* dies at this call of the disk; 0: no */
    uint64_t freeze_call;                                /* SIM_END_FREEZE */
    uint64_t fail_call, short_call;
    int fail_error, fail_random_error;
    uint32_t fail_one_in;
    char fault[64];   /* WEIR_FAULT, empty: none */
    int64_t down_ms;  /* nobody runs for that long before */
    uint64_t outside; /* faults of what is outside (sim_outside.h), 0: none */
};

struct sim_scenario {
    struct sim_shape shape;
    struct sim_life lives[SIM_LIVES_MAX]; /* the last one heals */
    uint32_t life_count;
};
/* Up to `count_max` records. */
void sim_scenario_draw_shape(struct sim_shape *shape, struct random *random, uint64_t seed,
    uint64_t count_max);
void sim_scenario_draw_setup(struct sim_setup *setup, const struct sim_shape *shape,
    struct random *random);
/* low .. high, small numbers as likely as large ones. */
uint64_t sim_scenario_spread(struct random *random, uint64_t low, uint64_t high);
void sim_scenario_draw(struct sim_scenario *scenario, uint64_t seed);
/* Whether this life may end with an error of the job. */
bool sim_life_is_faulty(const struct sim_life *life);
/* One line about the shape, one for each life. */
void sim_scenario_print(const struct sim_scenario *scenario);

#endif

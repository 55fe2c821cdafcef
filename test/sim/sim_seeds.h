/* sim_seeds.h -- the main functions of the simulator's programs: many seeds, or one, or the mutants.
 *
 *      SIM_SEEDS=n      that many seeds, from SIM_FIRST (1) on
 *      SIM_SEED=n       this one, in this process, and tells its story
 *      SIM_LOG=debug    with the engine's log lines (debug, info, warn; with SIM_SEED)
 *      SIM_MUTANT=name  with a planted defect that the program knows (sim_mutant.h): red is what is wanted then
 *      SIM_FAULTS=3,7   only these of a seed's events happen; none: no one does (a suite that has events)
 *      SIM_MINIMISE=1   with SIM_SEED: leaves out what the failure does not need, and prints the rest;
 *                       the word --minimise says the same, and there are no other words
 *
 * Sanitizers make a seed cost ten times as much, and what it looks for is what comes out: programs with sanitizers run
 * a tenth of the seeds of those without.
 *
 * Every tenth seed runs twice and must take the same way both times. At the end the faults are
 * counted: a run in which one kind of trouble never came up proves nothing about it, and fails.
 * What is no such value ends with a sentence and status 2.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_SEEDS_H
#define WEIR_TEST_SIM_SEEDS_H

#include "test/sim/sim_child.h"

#include <stddef.h>

/* Thread: immutable after init. */
struct sim_coverage {
    const char *name;
    size_t offset; /* in struct sim_counts */
};
#define SIM_COVERAGE(count_, name_) \
    { \
        (name_), offsetof(struct sim_counts, count_) \
    }

/* Thread: immutable after init. */
struct sim_suite {
    sim_runner run;
    bool has_events;                     /* SIM_FAULTS means something */
    uint32_t mutants;                    /* SIM_KNOWN_...: what SIM_MUTANT may be */
    uint32_t seeds;                      /* seven times as many in the long version */
    const struct sim_coverage *coverage; /* what must have come up in `seeds` seeds */
    uint32_t coverage_count;
};
/* The result is the program's. */
int sim_seeds_main(const struct sim_suite *suite, int argc, char **argv);
/* The same for seeds of sim_run. */
int sim_seeds_of_process(uint32_t seeds, int argc, char **argv);
/* Each mutant of the set must be found within `seeds_max` seeds, which are tried in order until one is red: a
 * mutant costs as many as it needs; how many that were is printed, and a number that grows says that the
 * scenarios have become blunt. Returns how many were missed. */
uint32_t sim_seeds_find(sim_runner run, uint32_t mutants, uint32_t seeds_max);

#endif

/* sim_seeds.h -- the main functions of the simulator's programs: many seeds, or one, or the mutants.
 *
 *      SIM_SEEDS=n      that many seeds (ten times the usual count in the long version), from SIM_FIRST (1) on
 *      SIM_SEED=n       this one, in this process, and tells its story
 *      SIM_LOG=debug    with the engine's log lines (debug, info, warn; with SIM_SEED)
 *      SIM_MUTANT=name  with a planted defect (sim_mutant.h): red is what is wanted then
 *
 * Every tenth seed runs twice and must take the same way both times. At the end the faults are
 * counted: a run in which one kind of trouble never came up proves nothing about it, and fails.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_SEEDS_H
#define WEIR_TEST_SIM_SEEDS_H

#include "test/sim/sim_mutant.h"

#include <stdint.h>

/* The result is the program's. */
int sim_seeds_main(uint64_t usual_count);
/* Each of these mutants must be found within `seeds_max` seeds, which are tried in order until one is red: a
 * mutant costs as many as it needs; how many that were is printed, and a number that grows says that the
 * scenarios have become blunt. Returns how many were missed. */
uint32_t sim_seeds_find(const enum sim_mutant *mutants, uint32_t count, uint32_t seeds_max);

#endif

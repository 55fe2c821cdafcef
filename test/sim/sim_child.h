/* sim_child.h -- runs a seed in a process of its own, so that an assertion, a leak, a crash or a loop
 * in one seed is a red line of that seed, and the others go on.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_CHILD_H
#define WEIR_TEST_SIM_CHILD_H

#include "test/sim/sim_mutant.h"
#include "test/sim/sim_run.h"

enum sim_verdict { SIM_GREEN, SIM_RED };
/* Runs it once, or twice to compare the traces. What went wrong is printed unless `is_quiet`, and in
 * result->wrong in any case. */
enum sim_verdict sim_child_run(uint64_t seed, enum sim_mutant mutant, bool is_twice, bool is_quiet,
    struct sim_result *result);

#endif

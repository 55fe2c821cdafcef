/* sim_child.h -- runs a seed in a process of its own, so that an assertion, a leak, a crash or a loop
 * in one seed is a red line of that seed, and the others go on.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_CHILD_H
#define WEIR_TEST_SIM_CHILD_H

#include "test/sim/sim_mutant.h"
#include "test/sim/sim_run.h"

enum sim_verdict { SIM_GREEN, SIM_RED };
/* Thread: one. */
struct sim_trial {
    sim_runner run;
    uint64_t seed;
    enum sim_mutant mutant;
    bool is_twice; /* to compare the traces */
    bool is_quiet; /* what went wrong is only in result->wrong */
};
enum sim_verdict sim_child_run(const struct sim_trial *trial, struct sim_result *result);

#endif

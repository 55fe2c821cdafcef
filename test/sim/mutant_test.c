/* mutant_test.c -- the simulator must go red when something is broken: each mutant of sim_mutant.h is
 * planted, and must be found within the seeds that everybody runs.
 *
 * Seeds are tried in order until one is red, so a mutant costs as many as it needs; how many that were is
 * printed, and a number that grows says that the scenarios have become blunt. */
#include "test/sim/sim_child.h"

#include <inttypes.h>
#include <stdio.h>

#define SEEDS_MAX 100u

static bool is_found(enum sim_mutant mutant)
{
    struct sim_result result;
    for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
        if (sim_child_run(seed, mutant, false, true, &result) == SIM_GREEN)
            continue;
        printf("ok mutant %s: red at seed %" PRIu64 ": %s\n", sim_mutant_name(mutant), seed,
            result.wrong);
        return true;
    }
    printf("not ok mutant %s: green for %u seeds\n", sim_mutant_name(mutant), SEEDS_MAX);
    return false;
}

int main(void)
{
    uint32_t missed = 0;
    for (int mutant = SIM_SOUND + 1; mutant < SIM_MUTANTS; mutant++)
        missed += !is_found((enum sim_mutant)mutant);
    return missed > 0;
}

/* mutant_test.c -- the simulator must go red when something is broken: each mutant of sim_mutant.h that has
 * to do with files is planted, and must be found within the seeds that everybody runs. */
#include "test/sim/sim_seeds.h"

int main(void)
{
    return sim_seeds_find(sim_run, SIM_KNOWN_WITH_FILES, 100) > 0;
}

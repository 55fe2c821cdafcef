/* mutant_test.c -- the simulator must go red when something is broken: each mutant of sim_mutant.h that has
 * to do with files is planted, and must be found within the seeds that everybody runs. */
#include "test/sim/sim_seeds.h"

int main(void)
{
    enum sim_mutant mutants[SIM_FILE_MUTANTS];
    uint32_t count = 0;
    for (int mutant = SIM_SOUND + 1; mutant < SIM_FILE_MUTANTS; mutant++)
        mutants[count++] = (enum sim_mutant)mutant;
    return sim_seeds_find(sim_run, mutants, count, 100) > 0;
}

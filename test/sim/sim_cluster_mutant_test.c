/* sim_cluster_mutant_test.c -- what a cluster relies on is broken: each mutant must be found within the seeds that
 * everybody runs. */
#include "test/sim/sim_cluster.h"
#include "test/sim/sim_seeds.h"

int main(void)
{
    static const enum sim_mutant mutants[] = { SIM_LOST_SYNC, SIM_FORGET_POSITION,
        SIM_PUBLISH_BEFORE_COMPLETE, SIM_FORGET_PENDING, SIM_NEVER_ENDS, SIM_OTHER_WAY };
    return sim_seeds_find(sim_cluster_run, mutants, sizeof(mutants) / sizeof(mutants[0]), 100) > 0;
}

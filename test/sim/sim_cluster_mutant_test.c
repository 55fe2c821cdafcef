/* sim_cluster_mutant_test.c -- what a cluster relies on is broken: each mutant must be found within the seeds that
 * everybody runs. */
#include "test/sim/sim_cluster.h"
#include "test/sim/sim_seeds.h"

int main(void)
{
    return sim_seeds_find(sim_cluster_run, SIM_KNOWN_IN_A_CLUSTER, 100) > 0;
}

/* sim_kafka_mutant_test.c -- what the Kafka sink relies on is broken, and so is what the check of its topics
 * looks for: each mutant must be found within the seeds that everybody runs. */
#include "test/sim/sim_kafka.h"
#include "test/sim/sim_seeds.h"

int main(void)
{
    enum sim_mutant mutants[SIM_MUTANTS] = { SIM_PUBLISH_BEFORE_COMPLETE, SIM_FORGET_PENDING };
    uint32_t count = 2;
    for (int mutant = SIM_FILE_MUTANTS; mutant < SIM_MUTANTS; mutant++)
        mutants[count++] = (enum sim_mutant)mutant;
    sim_outside = &sim_kafka;
    return sim_seeds_find(sim_run, mutants, count, 100) > 0;
}

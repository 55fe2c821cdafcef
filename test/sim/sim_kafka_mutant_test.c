/* sim_kafka_mutant_test.c -- what the Kafka sink relies on is broken, and so is what the check of its topics
 * looks for: each mutant must be found within the seeds that everybody runs. */
#include "test/sim/sim_kafka.h"
#include "test/sim/sim_seeds.h"

int main(void)
{
    sim_outside = &sim_kafka;
    return sim_seeds_find(sim_run, SIM_KNOWN_WITH_KAFKA, 100) > 0;
}

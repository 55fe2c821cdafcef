/* sim_kafka_test.c -- whole jobs from Kafka to Kafka, simulated from seeds, against the truth: see sim_seeds.h
 * and sim_kafka.h. */
#include "test/sim/sim_kafka.h"
#include "test/sim/sim_seeds.h"

int main(int argc, char **argv)
{
    sim_outside = &sim_kafka;
    return sim_seeds_of_process(300, argc, argv);
}

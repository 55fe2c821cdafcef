/* sim_test.c -- whole jobs, simulated from seeds, against the truth: see sim_seeds.h. */
#include "test/sim/sim_seeds.h"

int main(int argc, char **argv)
{
    return sim_seeds_of_process(500, argc, argv);
}

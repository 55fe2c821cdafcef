/* sim_cluster_test.c -- whole clusters, simulated from seeds, against the truth (sim_seeds.h: how to ask for one). */
#include "test/sim/sim_cluster.h"
#include "test/sim/sim_seeds.h"

int main(int argc, char **argv)
{
    static const struct sim_coverage coverage[] = {
        SIM_COVERAGE(submissions, "submissions"),
        SIM_COVERAGE(leaders, "leaders"),
        SIM_COVERAGE(workers, "workers that ended by themselves"),
        SIM_COVERAGE(kills, "kills"),
        SIM_COVERAGE(kills_in_a_call, "kills in the middle of a call"),
        SIM_COVERAGE(freezes, "processes that were frozen in a call"),
        SIM_COVERAGE(pauses, "processes that were stopped for a while"),
        SIM_COVERAGE(cuts, "links that were cut"),
        SIM_COVERAGE(resets, "connections that were reset"),
        SIM_COVERAGE(machines_down, "machines that went down"),
        SIM_COVERAGE(power_losses, "power failures"),
        SIM_COVERAGE(faults, "failing calls of the disk"),
        SIM_COVERAGE(clock_jumps, "jumps of the wall clock"),
        SIM_COVERAGE(task_failures, "tasks that failed on purpose"),
        SIM_COVERAGE(savepoints, "savepoints asked for"),
        SIM_COVERAGE(stops, "stops asked for"),
        SIM_COVERAGE(rescales, "rescales asked for"),
        SIM_COVERAGE(moments, "events at their moment"),
        SIM_COVERAGE(overtaken, "leaders that were replaced while they stood still"),
        SIM_COVERAGE(answers, "answers to what was asked for"),
        SIM_COVERAGE(retries, "questions that were asked again of another leader"),
        SIM_COVERAGE(savepoint_starts, "starts from a savepoint"),
        SIM_COVERAGE(checkpoints, "checkpoints"),
        SIM_COVERAGE(failures, "jobs that failed"),
        SIM_COVERAGE(finished, "jobs that came to the end"),
    };
    static const struct sim_suite suite = { .run = sim_cluster_run,
        .has_events = true,
        .mutants = SIM_KNOWN_IN_A_CLUSTER,
        .seeds = 800,
        .coverage = coverage,
        .coverage_count = sizeof(coverage) / sizeof(coverage[0]) };
    return sim_seeds_main(&suite, argc, argv);
}

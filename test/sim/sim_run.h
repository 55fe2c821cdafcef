/* sim_run.h -- one seed, from an empty disk to the end of the job: lives, steps, deaths, checks.
 *
 * The whole of the engine runs in the calling thread: the job manager, every slot and the workers are
 * stepped in an order that the seed decides, under a clock that moves with the steps. After each life
 * the published files are compared with the truth; the last life is left in peace and must come to the
 * end of the input within a number of steps.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_RUN_H
#define WEIR_TEST_SIM_RUN_H

#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_OUTSIDE_COUNTS 16

/* What has happened, to show that the faults have been there at all. */
struct sim_counts {
    uint64_t steps, calls, syncs, faults;
    uint64_t lives, kills, kills_in_a_call, kills_in_recovery, power_losses, stops, zombies,
        freezes, fenced;
    uint64_t restarts, region_restarts, refused_starts, failures, rescales, resumes;
    uint64_t checkpoints, failed_checkpoints, unaligned;
    uint64_t rows, finished, interleaved;
    uint64_t cached, caches, segments, stored_rows, returned_rows, bases,
        failed_stores;                    /* sim_cache.h */
    uint64_t outside[SIM_OUTSIDE_COUNTS]; /* sim_outside.h */
    /* of a cluster */
    uint64_t leaders, workers, machines_down, pauses, cuts, resets, clock_jumps, task_failures,
        savepoints, submissions;
    uint64_t moments, overtaken, answers, retries, savepoint_starts;
};
void sim_counts_add(struct sim_counts *total, const struct sim_counts *counts);

struct sim_result {
    char wrong[768]; /* empty: all is well */
    uint64_t trace;
    struct sim_counts counts;
    bool is_verbose;
    int64_t start_ns; /* of its story */
};
bool sim_is_wrong(const struct sim_result *result);
/* The first thing counts: what follows may come of it. */
void sim_wrong(struct sim_result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line of the story, if it is verbose. */
void sim_say(const struct sim_result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

typedef void (*sim_runner)(uint64_t seed, bool is_verbose, struct sim_result *result);
void sim_run(uint64_t seed, bool is_verbose, struct sim_result *result);
/* Lives that somebody has written; the seed decides only about the order of steps. */
struct sim_scenario;
void sim_run_scenario(const struct sim_scenario *scenario, uint64_t seed, bool is_verbose,
    struct sim_result *result);

/* What is asked for besides the seed: which of its events happen, by number (all; sim_run has none), and what the
 * engine logs (errors). */
extern uint64_t sim_events;
extern enum log_level sim_log_level;

#endif

/* sim_test.c -- whole jobs, simulated from seeds, against the truth.
 *
 *      SIM_SEEDS=n      that many seeds (100; 1,000 in the long version), from SIM_FIRST (1) on
 *      SIM_SEED=n       this one, in this process, and tells its story
 *      SIM_LOG=debug    with the engine's log lines (debug, info, warn; with SIM_SEED)
 *      SIM_MUTANT=name  with a planted defect (sim_mutant.h): red is what is wanted then
 *
 * Every tenth seed runs twice and must take the same way both times. At the end the faults are
 * counted: a run in which one kind of trouble never came up proves nothing about it, and fails. */
#include "test/sim/sim_child.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS       100u
#define SEEDS_LONG  1000u
#define TWICE_EVERY 10u

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void set_log_level(void)
{
    const char *level = getenv("SIM_LOG");
    log_set_level(LOG_ERROR);
    if (level != NULL)
        log_set_level(strcmp(level, "debug") == 0  ? LOG_DEBUG
                      : strcmp(level, "info") == 0 ? LOG_INFO
                                                   : LOG_WARN);
}

static void print_ok(uint64_t seed, const struct sim_counts *counts)
{
    printf("ok seed %" PRIu64 ": %" PRIu64 " lives, %" PRIu64 " kills, %" PRIu64
           " power failures, %" PRIu64 " checkpoints, %" PRIu64 " steps, %" PRIu64
           " calls, %" PRIu64 " rows\n",
        seed, counts->lives, counts->kills, counts->power_losses, counts->checkpoints,
        counts->steps, counts->calls, counts->rows);
}

static void print_red(uint64_t seed, const char *wrong)
{
    printf("not ok seed %" PRIu64 ": %s\n", seed, wrong);
    printf("    replay: SIM_SEED=%" PRIu64 "%s%s build/asan/sim/sim_test\n", seed,
        sim_mutant == SIM_SOUND ? "" : " SIM_MUTANT=",
        sim_mutant == SIM_SOUND ? "" : sim_mutant_name(sim_mutant));
    fflush(stdout);
}

static int replay(uint64_t seed)
{
    struct sim_result result;
    set_log_level();
    sim_run(seed, true, &result);
    if (result.wrong[0] == '\0') {
        print_ok(seed, &result.counts);
        printf("    trace %016" PRIx64 "\n", result.trace);
        return 0;
    }
    print_red(seed, result.wrong);
    return 1;
}

/* What must have come up at least once. */
static uint32_t check_counts(const struct sim_counts *counts)
{
    const struct {
        const char *name;
        uint64_t count;
    } kinds[] = {
        { "lives", counts->lives },
        { "lives that resumed from a checkpoint", counts->resumes },
        { "changes of parallelism", counts->rescales },
        { "kills", counts->kills },
        { "kills in the middle of a call", counts->kills_in_a_call },
        { "kills in a recovery", counts->kills_in_recovery },
        { "power failures", counts->power_losses },
        { "stops in good order", counts->stops },
        { "zombies", counts->zombies },
        { "processes that were frozen in a call", counts->freezes },
        { "zombies that were fenced", counts->fenced },
        { "failing calls of the disk", counts->faults },
        { "restarts within a life", counts->restarts },
        { "starts that were refused", counts->refused_starts },
        { "jobs that failed", counts->failures },
        { "checkpoints", counts->checkpoints },
        { "checkpoints that failed", counts->failed_checkpoints },
        { "jobs that came to the end", counts->finished },
    };
    uint32_t missing = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        missing += kinds[i].count == 0;
        printf("%s coverage: %" PRIu64 " %s\n", kinds[i].count == 0 ? "not ok" : "ok",
            kinds[i].count, kinds[i].name);
    }
    return missing;
}

int main(void)
{
    sim_mutant = sim_mutant_find(getenv("SIM_MUTANT"));
    if (sim_mutant == SIM_MUTANTS) {
        fprintf(stderr, "there is no mutant '%s'; see test/sim/sim_mutant.h\n",
            getenv("SIM_MUTANT"));
        return 2;
    }
    if (getenv("SIM_SEED") != NULL)
        return replay(number_of("SIM_SEED", 1));
    uint64_t seeds = number_of("SIM_SEEDS", getenv("WEIR_TEST_LONG") != NULL ? SEEDS_LONG : SEEDS);
    uint64_t first = number_of("SIM_FIRST", 1);
    uint32_t red = 0;
    struct sim_counts total = { 0 };
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct sim_result result;
        bool is_twice = seed % TWICE_EVERY == 0;
        if (sim_child_run(seed, sim_mutant, is_twice, false, &result) == SIM_GREEN) {
            print_ok(seed, &result.counts);
        } else {
            print_red(seed, result.wrong);
            red++;
        }
        sim_counts_add(&total, &result.counts);
    }
    if (seeds >= SEEDS && red == 0)
        red += check_counts(&total);
    return red > 0;
}

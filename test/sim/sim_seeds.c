/* sim_seeds.c -- see sim_seeds.h. */
#include "test/sim/sim_seeds.h"

#include "base/log.h"
#include "test/sim/sim_child.h"
#include "test/sim/sim_outside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TWICE_EVERY 10u
#define LONG_FACTOR 10u

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
    printf("    replay: SIM_SEED=%" PRIu64 "%s%s build/asan/sim/%s\n", seed,
        sim_mutant == SIM_SOUND ? "" : " SIM_MUTANT=",
        sim_mutant == SIM_SOUND ? "" : sim_mutant_name(sim_mutant),
        sim_outside == NULL ? "sim_test" : sim_outside->program);
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

static uint32_t check_outside(const struct sim_counts *counts)
{
    uint32_t missing = sim_outside != NULL && counts->interleaved == 0;
    if (sim_outside != NULL)
        printf("%s coverage: %" PRIu64 " turns of another process in the middle of a call\n",
            missing > 0 ? "not ok" : "ok", counts->interleaved);
    for (uint32_t i = 0; sim_outside != NULL && sim_outside->count_names[i] != NULL; i++) {
        missing += counts->outside[i] == 0;
        printf("%s coverage: %" PRIu64 " %s\n", counts->outside[i] == 0 ? "not ok" : "ok",
            counts->outside[i], sim_outside->count_names[i]);
    }
    return missing;
}

int sim_seeds_main(uint64_t usual_count)
{
    sim_mutant = sim_mutant_find(getenv("SIM_MUTANT"));
    if (sim_mutant == SIM_MUTANTS) {
        fprintf(stderr, "there is no mutant '%s'; see test/sim/sim_mutant.h\n",
            getenv("SIM_MUTANT"));
        return 2;
    }
    if (getenv("SIM_SEED") != NULL)
        return replay(number_of("SIM_SEED", 1));
    bool is_long = getenv("WEIR_TEST_LONG") != NULL;
    uint64_t seeds = number_of("SIM_SEEDS", is_long ? usual_count * LONG_FACTOR : usual_count);
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
    if (seeds >= usual_count && red == 0)
        red += check_counts(&total) + check_outside(&total);
    return red > 0;
}

/* -- mutants -------------------------------------------------------------------------------------- */

static bool is_found(enum sim_mutant mutant, uint32_t seeds_max)
{
    struct sim_result result;
    for (uint64_t seed = 1; seed <= seeds_max; seed++) {
        if (sim_child_run(seed, mutant, false, true, &result) == SIM_GREEN)
            continue;
        printf("ok mutant %s: red at seed %" PRIu64 ": %s\n", sim_mutant_name(mutant), seed,
            result.wrong);
        return true;
    }
    printf("not ok mutant %s: green for %u seeds\n", sim_mutant_name(mutant), seeds_max);
    return false;
}

uint32_t sim_seeds_find(const enum sim_mutant *mutants, uint32_t count, uint32_t seeds_max)
{
    uint32_t missed = 0;
    for (uint32_t i = 0; i < count; i++)
        missed += !is_found(mutants[i], seeds_max);
    return missed;
}

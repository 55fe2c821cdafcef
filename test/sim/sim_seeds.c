/* sim_seeds.c -- see sim_seeds.h. */
#include "test/sim/sim_seeds.h"

#include "base/log.h"
#include "test/sim/sim_outside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TWICE_EVERY 10u
#define LONG_FACTOR 7u
#define SEED_MAX    UINT64_C(1000000000000)
#define MAX_EVENTS  64u

/* Sanitizers, or counters of branches: one seed in so many. */
#define SANITIZED_ONE_IN 10u
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define IS_SLOW true
#else
#define IS_SLOW false
#endif

/* -- the environment ------------------------------------------------------------------------------ */

/* Thread: one. What was asked for. */
struct wish {
    uint64_t seed, seeds, first; /* seed 0: not this one alone */
    bool is_to_minimise;
};

static bool read_number(const char *name, uint64_t low, uint64_t *number)
{
    const char *text = getenv(name);
    char *stop;
    if (text == NULL)
        return true;
    errno = 0;
    uint64_t value = strtoull(text, &stop, 10);
    if (text[0] >= '0' && text[0] <= '9' && *stop == '\0' && errno == 0 && value >= low &&
        value <= SEED_MAX) {
        *number = value;
        return true;
    }
    fprintf(stderr, "%s is '%s'; give a number from %" PRIu64 " to %" PRIu64 "\n", name, text, low,
        SEED_MAX);
    return false;
}

static bool read_faults(const struct sim_suite *suite)
{
    const char *text = getenv("SIM_FAULTS");
    if (text == NULL)
        return true;
    sim_events = 0;
    for (const char *at = text; suite->has_events && strcmp(text, "none") != 0;) {
        char *stop;
        uint64_t event = strtoull(at, &stop, 10);
        if (*at < '0' || *at > '9' || event >= MAX_EVENTS || (*stop != ',' && *stop != '\0'))
            break;
        sim_events |= UINT64_C(1) << event;
        if (*stop == '\0')
            return true;
        at = stop + 1;
    }
    if (suite->has_events && strcmp(text, "none") == 0)
        return true;
    fprintf(stderr,
        suite->has_events ? "SIM_FAULTS is '%s'; give numbers of events below %u, as in 3,7,12, or "
                            "none\n"
                          : "SIM_FAULTS is '%s', but the seeds of this program have no events "
                            "(below %u)\n",
        text, MAX_EVENTS);
    return false;
}

static bool read_log(void)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    const char *text = getenv("SIM_LOG");
    sim_log_level = LOG_ERROR;
    for (int level = 0; text != NULL && level < 4; level++) {
        if (strcmp(text, names[level]) == 0) {
            sim_log_level = (enum log_level)level;
            return true;
        }
    }
    if (text != NULL)
        fprintf(stderr, "SIM_LOG is '%s'; it is debug, info, warn or error\n", text);
    return text == NULL;
}

static uint32_t share(uint32_t seeds)
{
    return IS_SLOW ? seeds / SANITIZED_ONE_IN : seeds;
}

static bool read_mutant(uint32_t known)
{
    const char *text = getenv("SIM_MUTANT");
    sim_mutant = sim_mutant_find(known, text);
    if (sim_mutant != SIM_MUTANTS)
        return true;
    fprintf(stderr, "SIM_MUTANT is '%s'; this program knows", text);
    for (int mutant = 0; mutant < SIM_MUTANTS; mutant++) {
        if ((known >> mutant & 1) != 0)
            fprintf(stderr, " %s", sim_mutant_name((enum sim_mutant)mutant));
    }
    fprintf(stderr, " (test/sim/sim_mutant.h)\n");
    return false;
}

/* Whoever asks for one seed by a word must not get all of them. */
static bool read_words(int argc, char **argv, uint64_t *minimise)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--minimise") != 0) {
            fprintf(stderr,
                "there is no option '%s'; give --minimise, and all else in the environment: "
                "SIM_SEED=17 %s (test/sim/README.md)\n",
                argv[i], argv[0]);
            return false;
        }
        *minimise = 1;
    }
    return true;
}

static bool read_wish(const struct sim_suite *suite, int argc, char **argv, struct wish *wish)
{
    bool is_long = getenv("WEIR_TEST_LONG") != NULL;
    *wish = (struct wish){ .seeds = share(is_long ? LONG_FACTOR * suite->seeds : suite->seeds),
        .first = 1 };
    uint64_t minimise = 0;
    if (!read_mutant(suite->mutants) || !read_number("SIM_SEED", 1, &wish->seed) ||
        !read_number("SIM_SEEDS", 1, &wish->seeds) || !read_number("SIM_FIRST", 1, &wish->first) ||
        !read_number("SIM_MINIMISE", 0, &minimise) || !read_words(argc, argv, &minimise) ||
        !read_faults(suite) || !read_log())
        return false;
    wish->is_to_minimise = minimise != 0;
    if (wish->is_to_minimise && (wish->seed == 0 || !suite->has_events)) {
        fprintf(stderr, "SIM_MINIMISE needs SIM_SEED, and a program whose seeds have events\n");
        return false;
    }
    return true;
}

/* -- telling -------------------------------------------------------------------------------------- */

static void print_ok(uint64_t seed, const struct sim_counts *counts)
{
    printf("ok seed %" PRIu64 ": %" PRIu64 " lives, %" PRIu64 " kills, %" PRIu64
           " power failures, %" PRIu64 " checkpoints, %" PRIu64 " steps, %" PRIu64
           " calls, %" PRIu64 " rows\n",
        seed, counts->lives, counts->kills, counts->power_losses, counts->checkpoints,
        counts->steps, counts->calls, counts->rows);
}

static void print_replay(uint64_t seed)
{
    printf("    replay: SIM_SEED=%" PRIu64, seed);
    if (sim_mutant != SIM_SOUND)
        printf(" SIM_MUTANT=%s", sim_mutant_name(sim_mutant));
    if (sim_events != UINT64_MAX)
        printf(" SIM_FAULTS=%s", sim_events == 0 ? "none" : "");
    const char *comma = "";
    for (uint32_t i = 0; i < MAX_EVENTS && sim_events != UINT64_MAX; i++) {
        if ((sim_events >> i & 1) == 0)
            continue;
        printf("%s%u", comma, i);
        comma = ",";
    }
    printf(" %s\n", program_invocation_name);
    fflush(stdout);
}

static void print_red(uint64_t seed, const char *wrong)
{
    printf("not ok seed %" PRIu64 ": %s\n", seed, wrong);
    print_replay(seed);
}

static int replay(const struct sim_suite *suite, uint64_t seed)
{
    struct sim_result result;
    log_set_level(sim_log_level);
    suite->run(seed, true, &result);
    if (result.wrong[0] == '\0') {
        print_ok(seed, &result.counts);
        printf("    trace %016" PRIx64 "\n", result.trace);
        return 0;
    }
    print_red(seed, result.wrong);
    return 1;
}

/* -- minimising ----------------------------------------------------------------------------------- */

static bool is_red(const struct sim_suite *suite, uint64_t seed, uint64_t events)
{
    struct sim_result result;
    struct sim_trial trial = { .run = suite->run,
        .seed = seed,
        .mutant = sim_mutant,
        .is_quiet = true };
    uint64_t before = sim_events;
    sim_events = events;
    bool is_it = sim_child_run(&trial, &result) == SIM_RED;
    sim_events = is_it ? events : before;
    if (is_it)
        printf("    %u events: %s\n", __builtin_popcountll(events), result.wrong);
    fflush(stdout);
    return is_it;
}

/* `count` bits of the set, from the nth on. */
static uint64_t part_of(uint64_t set, uint32_t first, uint32_t count)
{
    uint64_t part = 0;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < MAX_EVENTS; i++) {
        if ((set >> i & 1) == 0)
            continue;
        if (seen >= first && seen < first + count)
            part |= UINT64_C(1) << i;
        seen++;
    }
    return part;
}

/* Delta debugging: parts are left out, large ones first, as long as it stays red. */
static int minimise(const struct sim_suite *suite, uint64_t seed)
{
    if (!is_red(suite, seed, sim_events)) {
        printf("seed %" PRIu64 " is green\n", seed);
        return 0;
    }
    uint32_t size = MAX_EVENTS / 2;
    while (size > 0) {
        uint32_t total = (uint32_t)__builtin_popcountll(sim_events);
        bool is_smaller = false;
        for (uint32_t first = 0; first < total && !is_smaller; first += size)
            is_smaller = is_red(suite, seed, sim_events & ~part_of(sim_events, first, size));
        if (!is_smaller)
            size /= 2;
    }
    printf("the shortest list that is still red:\n");
    return replay(suite, seed);
}

/* -- all of them ---------------------------------------------------------------------------------- */

static uint32_t check_coverage(const struct sim_suite *suite, const struct sim_counts *counts)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < suite->coverage_count; i++) {
        const struct sim_coverage *it = &suite->coverage[i];
        uint64_t count;
        memcpy(&count, (const char *)counts + it->offset, sizeof(count));
        missing += count == 0;
        printf("%s coverage: %" PRIu64 " %s\n", count == 0 ? "not ok" : "ok", count, it->name);
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

static int run_all(const struct sim_suite *suite, const struct wish *wish)
{
    uint32_t red = 0;
    struct sim_counts total = { 0 };
    for (uint64_t seed = wish->first; seed < wish->first + wish->seeds; seed++) {
        struct sim_result result;
        struct sim_trial trial = { .run = suite->run,
            .seed = seed,
            .mutant = sim_mutant,
            .is_twice = seed % TWICE_EVERY == 0 };
        if (sim_child_run(&trial, &result) == SIM_GREEN) {
            print_ok(seed, &result.counts);
        } else {
            print_red(seed, result.wrong);
            red++;
        }
        sim_counts_add(&total, &result.counts);
    }
    if (wish->seeds >= suite->seeds && red == 0)
        red += check_coverage(suite, &total) + check_outside(&total);
    return red > 0;
}

int sim_seeds_main(const struct sim_suite *suite, int argc, char **argv)
{
    struct wish wish;
    if (!read_wish(suite, argc, argv, &wish))
        return 2;
    if (wish.is_to_minimise)
        return minimise(suite, wish.seed);
    return wish.seed != 0 ? replay(suite, wish.seed) : run_all(suite, &wish);
}

int sim_seeds_of_process(uint32_t seeds, int argc, char **argv)
{
    static const struct sim_coverage coverage[] = {
        SIM_COVERAGE(lives, "lives"), SIM_COVERAGE(resumes, "lives that resumed from a checkpoint"),
        SIM_COVERAGE(rescales, "changes of parallelism"), SIM_COVERAGE(kills, "kills"),
        SIM_COVERAGE(kills_in_a_call, "kills in the middle of a call"),
        SIM_COVERAGE(kills_in_recovery, "kills in a recovery"),
        SIM_COVERAGE(power_losses, "power failures"), SIM_COVERAGE(stops, "stops in good order"),
        SIM_COVERAGE(zombies, "zombies"),
        SIM_COVERAGE(freezes, "processes that were frozen in a call"),
        SIM_COVERAGE(fenced, "zombies that were fenced"),
        SIM_COVERAGE(faults, "failing calls of the disk"),
        SIM_COVERAGE(restarts, "restarts within a life"),
        SIM_COVERAGE(refused_starts, "starts that were refused"),
        SIM_COVERAGE(failures, "jobs that failed"), SIM_COVERAGE(checkpoints, "checkpoints"),
        SIM_COVERAGE(failed_checkpoints, "checkpoints that failed"),
        SIM_COVERAGE(unaligned, "checkpoints with records in flight"),
        SIM_COVERAGE(finished, "jobs that came to the end"),
        SIM_COVERAGE(cached, "seeds with the cache"), SIM_COVERAGE(caches, "caches"),
        SIM_COVERAGE(stored_rows, "rows that caches wrote to their stores"),
        SIM_COVERAGE(returned_rows, "evicted rows that were read again"),
        SIM_COVERAGE(bases, "snapshots of stores"),
        SIM_COVERAGE(segments, "segments that were replayed"),
        SIM_COVERAGE(failed_stores, "writes to stores that failed"),
        SIM_COVERAGE(region_restarts, "restarts of one region"), /* not with something outside */
    };
    struct sim_suite suite = { .run = sim_run,
        .mutants = sim_outside == NULL ? SIM_KNOWN_WITH_FILES : SIM_KNOWN_WITH_KAFKA,
        .seeds = seeds,
        .coverage = coverage,
        .coverage_count = sizeof(coverage) / sizeof(coverage[0]) - (sim_outside != NULL) };
    return sim_seeds_main(&suite, argc, argv);
}

/* -- mutants -------------------------------------------------------------------------------------- */

static bool is_found(sim_runner run, enum sim_mutant mutant, uint32_t seeds_max)
{
    struct sim_result result;
    for (uint64_t seed = 1; seed <= seeds_max; seed++) {
        struct sim_trial trial = { .run = run,
            .seed = seed,
            .mutant = mutant,
            .is_twice = seed % TWICE_EVERY == 0,
            .is_quiet = true };
        if (sim_child_run(&trial, &result) == SIM_GREEN)
            continue;
        printf("ok mutant %s: red at seed %" PRIu64 ": %s\n", sim_mutant_name(mutant), seed,
            result.wrong);
        return true;
    }
    printf("not ok mutant %s: green for %u seeds\n", sim_mutant_name(mutant), seeds_max);
    return false;
}

uint32_t sim_seeds_find(sim_runner run, uint32_t mutants, uint32_t seeds_max)
{
    uint32_t missed = 0;
    for (int mutant = 0; mutant < SIM_MUTANTS; mutant++)
        missed +=
            (mutants >> mutant & 1) != 0 && !is_found(run, (enum sim_mutant)mutant, seeds_max);
    return missed;
}

/* exhaustive_test.c -- a small job whose n-th call of the disk fails, for every n until there is none.
 *
 *      fails      the n-th call does nothing, or half of a write, and fails: EIO, or a full disk
 *      is short   the n-th call is a write of less than was asked for
 *      kills      the process dies in the n-th call; the disk has all that was written
 *      power      the same, and the disk has what was synced and some of the rest
 *      errors     the n-th passing of each end of each step of base/fault.h is an error
 *
 * After each the job has gone on, or failed with an error; the process is started again with nothing in its way, and
 * what is published must be the truth, row by row, as in sim_test. Where that draws, this leaves nothing out: open,
 * read, write, sync, rename, link, list, remove, stat and make a directory, wherever a start, a restore, a checkpoint,
 * a publication and an end of the job make one.
 *
 *      EXHAUSTIVE=0-fails:17    only this one, and it tells its story: of job 0 the 17th call (fails, full, short, kills,
 *                               power), or 0-sink-open-after:1:error
 *      WEIR_TEST_LONG=1         other sources and sinks, several subtasks, a full disk, and more of each point */
#include "test/sim/sim_cache.h"
#include "test/sim/sim_run.h"
#include "test/sim/sim_scenario.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/os_crash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 100000u /* no job here makes as many */
#define POINT_MAX 3u      /* how often an end of a step fails, each in a run of its own */
#define RED_MAX   5u      /* enough to see what is wrong */
#define STEPS     1000000u

static const struct kind {
    const char *name;
    int error; /* 0: none, the call is never made */
    bool is_short, kills, is_only_long;
    enum sim_end end;
} kinds[] = {
    { "fails", EIO, .end = SIM_END_KILL },
    { "full", ENOSPC, .is_only_long = true, .end = SIM_END_KILL },
    { "short", .is_short = true, .end = SIM_END_KILL },
    { "kills", .kills = true, .end = SIM_END_KILL },
    { "power", .kills = true, .end = SIM_END_POWER },
};
static const struct shape {
    uint64_t count;
    uint32_t parallelism;
    enum sim_source source;
    bool is_text, has_cache, is_only_long;
} shapes[] = {
    { 60, 1, SIM_FILES, .is_text = true },
    { 60, 1, SIM_FILES, .is_text = true, .has_cache = true },
    { 60, 1, SIM_CHAIN, .is_only_long = true },
    { 120, 2, SIM_UNION, .is_text = true, .has_cache = true, .is_only_long = true },
    { 120, 2, SIM_UNION, .is_text = true, .is_only_long = true },
};
static const char *const ends[] = { "before", "after" };

static char now[128]; /* what is being run, for whoever reads of a crash */
static uint32_t red;
static bool was_met; /* at least once there was what was to fail */

static void describe(char *to, size_t size)
{
    snprintf(to, size, "%s", now);
}

static void make_life(struct sim_life *life, const struct shape *shape)
{
    *life = (struct sim_life){ .setup = { .parallelism = shape->parallelism },
        .step_max = STEPS,
        .end = SIM_END_KILL,
        .control_weight = 20,
        .worker_weight = 20,
        .slot_weight = 10,
        .tick_ns = 500000 };
    life->options = local_defaults;
    life->options.checkpoints = "/checkpoints";
    life->options.retained = 1;
    life->options.backend = shape->has_cache ? &sim_cache : &backend_hashmap;
    life->options.memory_size = (uint64_t)96 << 20;
    life->options.worker_count = 0;
    life->options.batch_max = 8;
    life->options.buffer_timeout_ms = 1;
    life->options.watermark_interval_ms = 1;
    life->options.interval_ms = 5;
    life->options.min_pause_ms = 0;
    life->options.timeout_ms = 60000;
    life->options.stop_timeout_ms = 60000;
    life->options.restart =
        (struct restart_options){ .kind = RESTART_FIXED, .delay_ms = 1, .attempts_max = 3 };
}

/* A life with something in its way, and one in peace. */
static void make(struct sim_scenario *scenario, const struct shape *shape)
{
    *scenario = (struct sim_scenario){ .life_count = 2 };
    scenario->shape = (struct sim_shape){ .seed = 1,
        .count = shape->count,
        .source = shape->source,
        .file_count = 2,
        .generated_count = shape->source == SIM_FILES ? 0 : shape->count / 2,
        .key_count = 5,
        .drop_one_in = 5,
        .bad_one_in = 20,
        .text_max = 20,
        .window_ms = 20,
        .disorder_ms = 5,
        .flush_ms = 5,
        .max_parallelism = 4,
        .has_reduce = true,
        .reads_text = shape->is_text,
        .writes_text = shape->is_text };
    make_life(&scenario->lives[0], shape);
    make_life(&scenario->lives[1], shape);
    scenario->lives[1].step_max = 0;
    scenario->lives[1].end = SIM_END_HEAL;
}

static bool is_wanted(void)
{
    const char *only = getenv("EXHAUSTIVE");
    return only == NULL || strcmp(only, now) == 0;
}

/* False: it did not come to what was to fail. */
static bool run(const struct sim_scenario *scenario)
{
    struct sim_result result;
    if (!is_wanted())
        return true;
    sim_run_scenario(scenario, 1, getenv("EXHAUSTIVE") != NULL, &result);
    if (result.wrong[0] != '\0') {
        red++;
        printf("not ok %s: %s\n    replay: %sEXHAUSTIVE=%s build/asan/sim/exhaustive_test\n", now,
            result.wrong, getenv("WEIR_TEST_LONG") == NULL ? "" : "WEIR_TEST_LONG=1 ", now);
    }
    bool is_met = result.counts.faults + result.counts.kills_in_a_call > 0;
    was_met = was_met || is_met;
    return is_met;
}

/* Returns how many calls there were to fail. */
static uint64_t each_call(const struct kind *kind, const struct shape *shape)
{
    struct sim_scenario scenario;
    uint64_t n = 1;
    for (; n < CALLS_MAX && red < RED_MAX; n++) {
        make(&scenario, shape);
        struct sim_life *life = &scenario.lives[0];
        life->end = kind->end;
        life->fail_call = kind->error != 0 ? n : 0;
        life->fail_error = kind->error;
        life->short_call = kind->is_short ? n : 0;
        life->kill_call = kind->kills ? n : 0;
        snprintf(now, sizeof(now), "%td-%s:%" PRIu64, shape - shapes, kind->name, n);
        if (!run(&scenario))
            break;
    }
    return n - 1;
}

static const char *const points[] = {
#define POINT_ROW(id_, name_, can_fail_, what_) [FAULT_##id_] = (can_fail_) ? (name_) : NULL,
    FAULT_STEPS(POINT_ROW)
#undef POINT_ROW
};

/* Returns how many errors there were. */
static uint64_t each_point(const struct shape *shape, uint32_t nth_max)
{
    struct sim_scenario scenario;
    uint64_t before = fault_count();
    for (uint32_t i = 0; i < 2 * FAULT_STEP_COUNT && red < RED_MAX; i++) {
        for (uint32_t nth = 1; points[i / 2] != NULL && nth <= nth_max; nth++) {
            uint64_t met = fault_count();
            make(&scenario, shape);
            snprintf(scenario.lives[0].fault, sizeof(scenario.lives[0].fault), "%s-%s:%u:error",
                points[i / 2], ends[i % 2], nth);
            snprintf(now, sizeof(now), "%td-%s", shape - shapes, scenario.lives[0].fault);
            run(&scenario);
            was_met = was_met || fault_count() > met;
            if (fault_count() == met)
                break;
        }
    }
    return fault_count() - before;
}

static void report(const struct shape *shape, const char *what, uint64_t count, uint64_t least)
{
    if (getenv("EXHAUSTIVE") != NULL)
        return;
    red += count < least;
    printf("%s job %td, %s: %" PRIu64 ", each in a run of its own\n",
        red > 0 || count < least ? "not ok" : "ok", shape - shapes, what, count);
    fflush(stdout);
}

/* A wish for what is not there would be green. */
static int end(void)
{
    now[0] = '\0'; /* it does not end in the middle of a run */
    if (was_met)
        return red > 0;
    const char *only = getenv("EXHAUSTIVE");
    fprintf(stderr,
        "EXHAUSTIVE is '%s', but there is no such call or point here; give one as in 0-fails:17 or "
        "0-sink-open-after:1:error (the first word is the job)\n",
        only == NULL ? "" : only);
    return 2;
}

int main(void)
{
    bool is_long = getenv("WEIR_TEST_LONG") != NULL;
    log_set_level(LOG_ERROR);
    os_crash_watch(describe);
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        if (shapes[s].is_only_long && !is_long)
            continue;
        for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && red < RED_MAX; k++)
            if (is_long || !kinds[k].is_only_long)
                report(&shapes[s], kinds[k].name, each_call(&kinds[k], &shapes[s]), 50);
        report(&shapes[s], "errors", each_point(&shapes[s], is_long ? 10 * POINT_MAX : POINT_MAX),
            50);
    }
    return end();
}

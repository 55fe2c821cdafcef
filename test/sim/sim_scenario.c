/* sim_scenario.c -- see sim_scenario.h. */
#include "test/sim/sim_scenario.h"

#include "base/fault.h"
#include "base/hash.h"
#include "test/sim/sim_cache.h"
#include "test/sim/sim_outside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT_MAX     20000 /* input records */
#define CACHE_PERCENT 60
#define BACKEND_SALT  UINT64_C(0xcac4e)

const struct sim_outside *sim_outside;

uint64_t sim_scenario_spread(struct random *random, uint64_t low, uint64_t high)
{
    uint64_t top = high;
    while (top / 2 > low && random_one_in(random, 2))
        top /= 2;
    return low + random_next(random) % (top - low + 1);
}

static bool maybe(struct random *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

/* -- the shape ------------------------------------------------------------------------------------ */

static void draw_input(struct sim_shape *shape, struct random *random, uint64_t count_max)
{
    shape->count = sim_scenario_spread(random, 1, count_max);
    shape->source = (enum sim_source)random_below(random, SIM_SOURCES);
    shape->file_count = 1 + random_below(random, 6);
    shape->generated_count = shape->source == SIM_GENERATOR ? shape->count
                             : shape->source == SIM_FILES   ? 0
                                                          : 1 + random_next(random) % shape->count;
    shape->key_count = (uint32_t)sim_scenario_spread(random, 1, 200);
    shape->hot_percent = maybe(random, 30) ? 95 : 0;
    shape->drop_one_in = maybe(random, 70) ? 2 + random_below(random, 5) : 0;
    shape->bad_one_in = maybe(random, 50) ? 5 + random_below(random, 100) : 0;
    shape->text_max = (uint32_t)sim_scenario_spread(random, 0, 300);
    shape->wide_one_in = maybe(random, 20) ? 50 : 0;
}

void sim_scenario_draw_shape(struct sim_shape *shape, struct random *random, uint64_t seed,
    uint64_t count_max)
{
    static const uint32_t max_parallelisms[] = { 4, 7, 16, 128 };
    *shape = (struct sim_shape){ .seed = seed };
    draw_input(shape, random, count_max);
    shape->window_ms = (int64_t)sim_scenario_spread(random, 5, 3000);
    shape->disorder_ms = (int64_t)sim_scenario_spread(random, 0, 200);
    shape->flush_ms = (int64_t)sim_scenario_spread(random, 1, 500);
    shape->max_parallelism = max_parallelisms[random_below(random, 4)];
    shape->has_reduce = maybe(random, 40);
    shape->has_rebalance = maybe(random, 50);
    shape->has_broadcast = maybe(random, 30);
    shape->has_one_sink = maybe(random, 50);
    shape->reads_text = maybe(random, 50);
    shape->writes_text = maybe(random, 50);
}

/* -- a life --------------------------------------------------------------------------------------- */

void sim_scenario_draw_setup(struct sim_setup *setup, const struct sim_shape *shape,
    struct random *random)
{
    *setup = (struct sim_setup){ .parallelism = 1 + random_below(random, 4),
        .is_chaining_disabled = maybe(random, 30),
        .has_second_group = maybe(random, 30) };
    for (uint32_t s = 0; s < SIM_STAGES; s++)
        setup->stages[s] = maybe(random, 25) ? 1 + random_below(random, 4) : 0;
    setup->per_second = maybe(random, 20) ? sim_scenario_spread(random, 100, 100000) : 0;
    setup->fail_at = maybe(random, 25) ? (uint32_t)sim_scenario_spread(random, 1, shape->count) : 0;
}

static struct restart_options draw_restart(struct random *random)
{
    struct restart_options fixed = { .kind = RESTART_FIXED,
        .delay_ms = random_below(random, 50),
        .attempts_max = random_below(random, 4) };
    struct restart_options growing = RESTART_DEFAULT;
    if (maybe(random, 15))
        return (struct restart_options){ .kind = RESTART_NONE };
    return maybe(random, 70) ? fixed : growing;
}

static void draw_options(struct local_options *options, struct random *random)
{
    *options = local_defaults;
    options->checkpoints = "/checkpoints";
    options->retained = 1 + random_below(random, 3);
    options->memory_size = (uint64_t)(128 << random_below(random, 3))
                           << 20; /* a channel takes one */
    options->worker_count = 0;
    options->batch_max =
        (uint32_t)sim_scenario_spread(random, maybe(random, 15) ? 1 : 8, GATE_BATCH_MAX);
    options->buffer_timeout_ms = (int64_t)sim_scenario_spread(random, 0, 50);
    options->watermark_interval_ms = (int64_t)sim_scenario_spread(random, 0, 100);
    options->interval_ms = (int64_t)sim_scenario_spread(random, 1, 300);
    options->min_pause_ms = maybe(random, 50) ? 0 : (int64_t)sim_scenario_spread(random, 0, 50);
    options->timeout_ms =
        maybe(random, 10) ? (int64_t)sim_scenario_spread(random, 10, 1000) : 60000;
    options->stop_timeout_ms = 60000;
    options->restart = draw_restart(random);
    if (maybe(random, 50)) /* unaligned when they take longer, or at once */
        options->aligned_timeout_ms = (int64_t)sim_scenario_spread(random, 0, 50);
}

static void draw_steps(struct sim_life *life, struct random *random)
{
    life->step_max = sim_scenario_spread(random, 1, 2000);
    life->control_weight = (uint32_t)sim_scenario_spread(random, 1, 20);
    life->worker_weight = (uint32_t)sim_scenario_spread(random, 1, 20);
    life->slot_weight = (uint32_t)sim_scenario_spread(random, 1, 20);
    life->tick_ns = (int64_t)sim_scenario_spread(random, 1000, 4000000);
    life->jump_one_in = maybe(random, 15) ? 200 : 0;
}

static void draw_point(struct sim_life *life, struct random *random)
{
    static const struct {
        const char *name;
        bool can_fail;
    } points[] = {
#define POINT_ROW(id_, name_, can_fail_, what_) { name_, can_fail_ },
        FAULT_STEPS(POINT_ROW)
#undef POINT_ROW
    };
    uint32_t i = random_below(random, sizeof(points) / sizeof(points[0]));
    if (points[i].can_fail && strncmp(points[i].name, "kafka", 5) != 0)
        snprintf(life->fault, sizeof(life->fault), "%s-%s:%u:error", points[i].name,
            maybe(random, 50) ? "before" : "after", (uint32_t)sim_scenario_spread(random, 1, 20));
}

static void draw_faults(struct sim_life *life, struct random *random)
{
    static const int errors[] = { EIO, ENOSPC, EIO, EMFILE };
    life->fail_error = errors[random_below(random, 4)];
    life->fail_random_error = errors[random_below(random, 4)];
    if (maybe(random, 40))
        life->kill_call = sim_scenario_spread(random, 1, 1500);
    if (maybe(random, 20))
        life->fail_call = sim_scenario_spread(random, 1, 1000);
    if (maybe(random, 20))
        life->short_call = sim_scenario_spread(random, 1, 500);
    if (maybe(random, 15))
        life->fail_one_in = (uint32_t)sim_scenario_spread(random, 20, 1000);
    if (maybe(random, 20))
        draw_point(life, random);
}

/* Somebody who gets no turn for long can time out for ever. */
static void be_fair(struct sim_life *life)
{
    life->options.timeout_ms = 60000;
    life->control_weight = life->worker_weight = 20;
}

static void draw_life(struct sim_life *life, const struct sim_shape *shape, struct random *random)
{
    static const enum sim_end ends[] = { SIM_END_KILL, SIM_END_KILL, SIM_END_POWER, SIM_END_POWER,
        SIM_END_POWER, SIM_END_STOP, SIM_END_ZOMBIE, SIM_END_FREEZE, SIM_END_FREEZE, SIM_END_HEAL };
    *life = (struct sim_life){ .end = ends[random_below(random, sizeof(ends) / sizeof(ends[0]))] };
    sim_scenario_draw_setup(&life->setup, shape, random);
    draw_options(&life->options, random);
    draw_steps(life, random);
    draw_faults(life, random);
    if (life->end == SIM_END_FREEZE)
        life->freeze_call = sim_scenario_spread(random, 1, 1500);
    if (life->end == SIM_END_HEAL)
        be_fair(life);
}

/* Nothing happens to it: it must come to the end. */
static void heal(struct sim_life *life)
{
    life->setup.fail_at = 0;
    life->setup.per_second = 0;
    life->step_max = 0;
    life->kill_call = life->fail_call = life->short_call = life->freeze_call = 0;
    life->fail_one_in = life->jump_one_in = 0;
    life->outside = 0;
    life->fault[0] = '\0';
    life->end = SIM_END_HEAL;
    be_fair(life);
}

/* What is outside knows one graph only. */
static void draw_regions(struct sim_scenario *scenario, struct random *random)
{
    scenario->shape.has_two_regions = sim_outside == NULL && maybe(random, 25);
    for (uint32_t i = 0; i < scenario->life_count && scenario->shape.has_two_regions; i++)
        scenario->lives[i].options.memory_size *= 2; /* for twice the channels */
}

/* Of all lives, because a checkpoint is of one format; and apart from everything else, so that a seed means the same
 * job and the same trouble with either. */
static void draw_backend(struct sim_scenario *scenario, uint64_t seed)
{
    struct random random = { .state = hash_mix(seed ^ BACKEND_SALT) };
    bool has_cache = maybe(&random, CACHE_PERCENT);
    for (uint32_t i = 0; i < scenario->life_count; i++)
        scenario->lives[i].options.backend = has_cache ? &sim_cache : &backend_hashmap;
}

void sim_scenario_draw(struct sim_scenario *scenario, uint64_t seed)
{
    struct random random = { .state = hash_mix(seed) };
    sim_scenario_draw_shape(&scenario->shape, &random, seed, COUNT_MAX);
    scenario->life_count = 2 + random_below(&random, SIM_LIVES_MAX - 2);
    for (uint32_t i = 0; i < scenario->life_count; i++)
        draw_life(&scenario->lives[i], &scenario->shape, &random);
    if (sim_outside != NULL)
        sim_outside->draw(scenario, &random);
    heal(&scenario->lives[scenario->life_count - 1]);
    draw_regions(scenario, &random);
    draw_backend(scenario, seed);
}

bool sim_life_is_faulty(const struct sim_life *life)
{
    return life->kill_call > 0 || life->fail_call > 0 || life->fail_one_in > 0 ||
           life->setup.fail_at > 0 || life->fault[0] != '\0' || life->outside != 0;
}

/* -- for people ----------------------------------------------------------------------------------- */

static void print_life(const struct sim_life *life, uint32_t number)
{
    static const char *const ends[SIM_ENDS] = { "kill", "power", "stop", "zombie", "freeze",
        "heal" };
    const struct local_options *options = &life->options;
    printf("  life %u: parallelism %u (%u %u %u %u %u %u), %s, batch %u, checkpoint every %" PRId64
           " ms, memory %" PRIu64 " MB, restart %d, %" PRIu64 " steps of %" PRId64
           " us, weights %u %u %u, then %s\n",
        number, life->setup.parallelism, life->setup.stages[0], life->setup.stages[1],
        life->setup.stages[2], life->setup.stages[3], life->setup.stages[4], life->setup.stages[5],
        life->setup.is_chaining_disabled ? "unchained" : "chained", options->batch_max,
        options->interval_ms, options->memory_size >> 20, (int)options->restart.kind,
        life->step_max, life->tick_ns / 1000, life->control_weight, life->worker_weight,
        life->slot_weight, ends[life->end]);
    printf("          faults: dies at call %" PRIu64 ", freezes at call %" PRIu64 ", call %" PRIu64
           " fails (%s), short write %" PRIu64
           ", 1 in %u fails (%s), record %u fails, point '%s', clock jumps 1 in %u\n",
        life->kill_call, life->freeze_call, life->fail_call, strerror(life->fail_error),
        life->short_call, life->fail_one_in, strerror(life->fail_random_error), life->setup.fail_at,
        life->fault, life->jump_one_in);
}

void sim_scenario_print(const struct sim_scenario *scenario)
{
    static const char *const sources[SIM_SOURCES] = { "generator", "files", "union", "chain" };
    const struct sim_shape *shape = &scenario->shape;
    printf("seed %" PRIu64 ": %s, %" PRIu64 " records (%" PRIu64 " generated), %u files, %u keys "
           "(hot %u %%), drop 1 in %u, bad 1 in %u, window %" PRId64 " ms, disorder %" PRId64
           " ms, flush %" PRId64 " ms, max parallelism %u, %s%s%s%s%s%s%s%s\n",
        shape->seed, sources[shape->source], shape->count, shape->generated_count,
        shape->file_count, shape->key_count, shape->hot_percent, shape->drop_one_in,
        shape->bad_one_in, shape->window_ms, shape->disorder_ms, shape->flush_ms,
        shape->max_parallelism, scenario->lives[0].options.backend->name,
        shape->has_reduce ? ", reduce" : "", shape->has_rebalance ? ", rebalance" : "",
        shape->has_broadcast ? ", broadcast" : "", shape->has_one_sink ? ", one sink" : "",
        shape->reads_text ? ", reads text" : "", shape->writes_text ? ", writes text" : "",
        shape->has_two_regions ? ", two regions" : "");
    for (uint32_t i = 0; i < scenario->life_count; i++)
        print_life(&scenario->lives[i], i);
    if (sim_outside != NULL)
        sim_outside->print(scenario);
}

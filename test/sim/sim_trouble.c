/* sim_trouble.c -- see sim_trouble.h. */
#include "test/sim/sim_trouble.h"

#include "base/hash.h"
#include "test/sim/sim_scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_MAX 4000

const char *sim_event_kind_name(enum sim_event_kind kind)
{
    static const char *const names[SIM_EVENT_KINDS] = { "kill job manager", "kill task manager",
        "kill worker", "kill at call", "freeze at call", "pause", "cut", "reset", "machine down",
        "power loss", "disk sick", "disk full", "short write", "clock jump", "task failure",
        "checkpoint", "savepoint", "stop", "cancel", "rescale" };
    return names[kind];
}

static uint64_t spread(struct random *random, uint64_t low, uint64_t high)
{
    return sim_scenario_spread(random, low, high);
}

static bool maybe(struct random *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

/* -- the cluster ---------------------------------------------------------------------------------- */

/* Slots for the widest stage of each slot group. */
static uint32_t slots_needed(const struct sim_setup *setup)
{
    uint32_t widest = 4;
    for (uint32_t i = 0; i < SIM_STAGES; i++)
        widest = setup->stages[i] > widest ? setup->stages[i] : widest;
    return setup->has_second_group ? 2 * widest : widest;
}

static void draw_cluster(struct sim_trouble *trouble, struct random *random)
{
    struct sim_processes_options *it = &trouble->processes;
    trouble->job_manager_count = maybe(random, 80) ? 2 : 1;
    trouble->task_manager_count = 1 + random_below(random, 3);
    uint32_t needed = slots_needed(&it->setup), count = trouble->task_manager_count;
    if (count > 1 && maybe(random, 50))
        count--; /* one can be missed: what runs there goes on beside its successor */
    it->slot_count = (needed + count - 1) / count + random_below(random, 3);
    it->heartbeat_ms = (int64_t)spread(random, 50, 500);
    it->timeout_ms = it->heartbeat_ms * (3 + random_below(random, 8));
    it->lease_ms = (int64_t)spread(random, 400, 4000);
    it->slot_timeout_ms = (int64_t)spread(random, 2000, 60000);
    it->start_timeout_ms = (int64_t)spread(random, 5000, 60000);
    it->orphan_ms = (int64_t)spread(random, 2000, 60000);
    trouble->net.delay_ns = (int64_t)spread(random, 20000, 5000000);
    trouble->net.jitter_ns = (int64_t)spread(random, 1000, 20000000);
    trouble->net.window = (size_t)spread(random, 500, 300000);
    trouble->tick_ns = (int64_t)spread(random, 2000, 200000);
}

static void draw_job(struct sim_trouble *trouble, struct random *random)
{
    struct sim_setup *setup = &trouble->processes.setup;
    sim_scenario_draw_setup(setup, &trouble->shape, random);
    setup->fail_at = 0;
    trouble->parallelism = setup->parallelism;
    trouble->is_chaining_disabled = setup->is_chaining_disabled;
    trouble->interval_ms = (int64_t)spread(random, 5, 1000);
    trouble->min_pause_ms = maybe(random, 50) ? 0 : (int64_t)spread(random, 1, 100);
    trouble->buffer_timeout_ms = (int64_t)spread(random, 0, 50);
    trouble->batch_size = (uint32_t)spread(random, 1, 256);
}

/* -- events --------------------------------------------------------------------------------------- */

static enum sim_event_kind draw_kind(struct random *random)
{
    static const uint8_t weights[SIM_EVENT_KINDS] = { [SIM_KILL_JOB_MANAGER] = 8,
        [SIM_KILL_TASK_MANAGER] = 8,
        [SIM_KILL_WORKER] = 10,
        [SIM_KILL_AT_CALL] = 10,
        [SIM_FREEZE_AT_CALL] = 12,
        [SIM_PAUSE] = 12,
        [SIM_CUT] = 12,
        [SIM_RESET] = 10,
        [SIM_MACHINE_DOWN] = 5,
        [SIM_POWER_LOSS] = 3,
        [SIM_DISK_SICK] = 4,
        [SIM_DISK_FULL] = 3,
        [SIM_SHORT_WRITE] = 3,
        [SIM_CLOCK_JUMP] = 3,
        [SIM_TASK_FAILURE] = 4,
        [SIM_CHECKPOINT] = 4,
        [SIM_SAVEPOINT] = 5,
        [SIM_STOP] = 4,
        [SIM_CANCEL] = 2,
        [SIM_RESCALE] = 8 };
    uint32_t total = 0, kind = 0;
    for (uint32_t i = 0; i < SIM_EVENT_KINDS; i++)
        total += weights[i];
    for (uint32_t left = random_below(random, total); left >= weights[kind]; kind++)
        left -= weights[kind];
    return (enum sim_event_kind)kind;
}

static int compare(const void *a, const void *b)
{
    const struct sim_trouble_event *left = a, *right = b;
    return (left->at_ms > right->at_ms) - (left->at_ms < right->at_ms);
}

static void draw_events(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    trouble->event_count = maybe(random, 5) ? 0 : (uint32_t)spread(random, 2, 40);
    for (uint32_t i = 0; i < trouble->event_count; i++) {
        struct sim_trouble_event *it = &trouble->events[i];
        it->kind = draw_kind(random);
        it->at_ms = (int64_t)(random_next(random) % (uint64_t)span_ms);
        it->lasts_ms = (int64_t)spread(random, 1, (uint64_t)span_ms);
        it->a = (uint32_t)random_next(random) & 0xffff;
        it->b = (uint32_t)random_next(random) & 0xffff;
        it->n = (uint32_t)spread(random, 1, 400);
        it->is_one_way = maybe(random, 50);
    }
    qsort(trouble->events, trouble->event_count, sizeof(trouble->events[0]), compare);
    trouble->heal_ms = span_ms;
}

void sim_trouble_draw(struct sim_trouble *trouble, uint64_t seed)
{
    struct random random = { .state = hash_mix(seed ^ UINT64_C(0xc1057e7)) };
    *trouble = (struct sim_trouble){ .net = { .seed = seed } };
    sim_scenario_draw_shape(&trouble->shape, &random, seed, COUNT_MAX);
    draw_job(trouble, &random);
    draw_cluster(trouble, &random);
    /* Trouble has to come while there is still input: what is not slowed down is over soon. */
    bool is_slow = trouble->shape.source != SIM_FILES && maybe(&random, 90);
    int64_t span_ms =
        (int64_t)(is_slow ? 500 + random_below(&random, 6000) : 50 + random_below(&random, 500));
    if (is_slow)
        trouble->processes.setup.per_second =
            trouble->shape.generated_count * 1000 / (uint64_t)span_ms + 1;
    draw_events(trouble, &random, span_ms);
}

/* -- for people ----------------------------------------------------------------------------------- */

static void print_event(const struct sim_trouble_event *it, uint32_t index)
{
    printf("  event %2u at %6" PRId64 " ms: %s", index, it->at_ms, sim_event_kind_name(it->kind));
    printf(" (%u, %u, n %u, for %" PRId64 " ms%s)\n", it->a, it->b, it->n, it->lasts_ms,
        it->is_one_way ? ", one way" : "");
}

void sim_trouble_print(const struct sim_trouble *trouble, uint64_t mask)
{
    const struct sim_processes_options *it = &trouble->processes;
    printf("%u job managers, %u task managers of %u slots, parallelism %u, %" PRIu64
           " records, heartbeat %" PRId64 " of %" PRId64 " ms, lease %" PRId64
           " ms, checkpoint every %" PRId64 " ms, network %" PRId64 " + %" PRId64
           " us, window %zu, healed at %" PRId64 " ms\n",
        trouble->job_manager_count, trouble->task_manager_count, it->slot_count,
        trouble->parallelism, trouble->shape.count, it->heartbeat_ms, it->timeout_ms, it->lease_ms,
        trouble->interval_ms, trouble->net.delay_ns / 1000, trouble->net.jitter_ns / 1000,
        trouble->net.window, trouble->heal_ms);
    for (uint32_t i = 0; i < trouble->event_count; i++) {
        if ((mask >> i & 1) != 0)
            print_event(&trouble->events[i], i);
    }
}

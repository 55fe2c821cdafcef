/* sim_kafka_scenario_test.c -- what a seed means is a job that can start in each of its lives, and comes to an end, of
 * the input that the oracle knows; with files, and with Kafka, which draws some of it anew. */
#include "test/sim/sim_kafka.h"

#include "runtime/graph/builder.h"

#include <setjmp.h>
#include <stdarg.h>
/* after what it needs */
#include <cmocka.h>

#define SEEDS        3000u
#define CHANNEL_SIZE (UINT64_C(1) << 20) /* what a task manager wants of --memory for each */

static void expect_input(const struct sim_shape *shape)
{
    assert_true(shape->count > 0);
    assert_true(shape->source < SIM_SOURCES);
    switch (shape->source) {
    case SIM_GENERATOR:
        assert_int_equal(shape->generated_count, shape->count);
        return;
    case SIM_FILES:
        assert_int_equal(shape->generated_count, 0);
        return;
    case SIM_UNION:
    case SIM_CHAIN:
    case SIM_SOURCES:
        break;
    }
    assert_in_range(shape->generated_count, 1, shape->count); /* 0: a generator without end */
}

static uint64_t channels_of(const struct plan *plan)
{
    uint64_t count = 0;
    for (uint32_t e = 0; e < plan->edge_count; e++) {
        const struct plan_edge *edge = &plan->edges[e];
        uint32_t producers = plan->vertices[edge->from_vertex].parallelism;
        uint32_t consumers = plan->vertices[edge->to_vertex].parallelism;
        count += edge->partitioner == PARTITIONER_FORWARD ? producers : producers * consumers;
    }
    return count;
}

static void expect_room(const struct sim_shape *shape, const struct sim_life *life)
{
    weir_job *job;
    const struct plan *plan = sim_job_plan(shape, &life->setup, &job);
    assert_in_range(channels_of(plan) * CHANNEL_SIZE, 1, life->options.memory_size);
    job_free(job);
}

static void each_seed_ends(const struct sim_outside *outside)
{
    sim_outside = outside;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_scenario scenario;
        sim_scenario_draw(&scenario, seed);
        expect_input(&scenario.shape);
        assert_in_range(scenario.life_count, 2, SIM_LIVES_MAX);
        for (uint32_t i = 0; i < scenario.life_count; i++)
            expect_room(&scenario.shape, &scenario.lives[i]);
        const struct sim_life *last = &scenario.lives[scenario.life_count - 1];
        assert_int_equal(last->end, SIM_END_HEAL);
        assert_false(sim_life_is_faulty(last));
        assert_int_equal(last->setup.is_bounded, outside != NULL);
    }
}

static void a_seed_with_files_is_a_job_that_starts_and_ends(void **state)
{
    each_seed_ends(NULL);
}

static void a_seed_with_kafka_is_a_job_that_starts_and_ends(void **state)
{
    each_seed_ends(&sim_kafka);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_with_files_is_a_job_that_starts_and_ends),
        cmocka_unit_test(a_seed_with_kafka_is_a_job_that_starts_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

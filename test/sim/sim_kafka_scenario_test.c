/* sim_kafka_scenario_test.c -- what a seed means is a job that comes to an end, of the input that the oracle knows;
 * with files, and with Kafka, which draws some of it anew. */
#include "test/sim/sim_kafka.h"

#include <setjmp.h>
#include <stdarg.h>
/* after what it needs */
#include <cmocka.h>

#define SEEDS 20000u

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

static void each_seed_ends(const struct sim_outside *outside)
{
    sim_outside = outside;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_scenario scenario;
        sim_scenario_draw(&scenario, seed);
        expect_input(&scenario.shape);
        assert_in_range(scenario.life_count, 2, SIM_LIVES_MAX);
        const struct sim_life *last = &scenario.lives[scenario.life_count - 1];
        assert_int_equal(last->end, SIM_END_HEAL);
        assert_false(sim_life_is_faulty(last));
        assert_int_equal(last->setup.is_bounded, outside != NULL);
    }
}

static void a_seed_with_files_is_a_job_that_ends(void **state)
{
    each_seed_ends(NULL);
}

static void a_seed_with_kafka_is_a_job_that_ends(void **state)
{
    each_seed_ends(&sim_kafka);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_with_files_is_a_job_that_ends),
        cmocka_unit_test(a_seed_with_kafka_is_a_job_that_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

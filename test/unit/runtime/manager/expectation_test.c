/* expectation_test.c -- what a plan expects of stored state does not depend on whether it has code. */
#include "runtime/manager/expectation.h"

#include "base/buffer.h"
#include "runtime/graph/plan_codec.h"
#include "test/support/expect.h"
#include "test/support/trial.h"
#include "test/unit/runtime/graph/graph_fixture.h"
#include "types/schema.h"

static const struct plan *of_a_trial(weir_job *job)
{
    trial_reset(&(struct trial){ .count = 1 });
    trial_build(job);
    return plan_of(job, &two_wide);
}

static void assert_states_equal(const struct restore_expectation *a,
    const struct restore_expectation *b)
{
    assert_int_equal(a->state_count, b->state_count);
    for (uint32_t i = 0; i < a->state_count; i++) {
        assert_string_equal(a->states[i].name, b->states[i].name);
        assert_int_equal(a->states[i].kind, b->states[i].kind);
        assert_int_equal(a->states[i].ttl_ms, b->states[i].ttl_ms);
        assert_int_equal(a->states[i].ttl_time, b->states[i].ttl_time);
        assert_true(schema_equal(a->states[i].type, b->states[i].type));
    }
}

static void assert_equal(const struct restore_expectation *a, const struct restore_expectation *b)
{
    assert_true(weir_str_equal(a->uid, b->uid));
    assert_true(weir_str_equal(a->backend, b->backend));
    assert_true(a->schema == b->schema);
    assert_true(weir_str_equal(a->schema_text, b->schema_text));
    assert_int_equal(a->has_timers, b->has_timers);
    assert_int_equal(a->key.offset_count, b->key.offset_count);
    for (uint32_t i = 0; i < a->key.offset_count; i++)
        assert_int_equal(a->key.offsets[i], b->key.offsets[i]);
    assert_true((a->key.type == NULL) == (b->key.type == NULL));
    if (a->key.type != NULL)
        assert_true(schema_equal(a->key.type, b->key.type));
    assert_states_equal(a, b);
}

static void a_decoded_plan_expects_the_same_state_by_the_same_numbers(void **state)
{
    static const struct plan *(*const graphs[])(weir_job * job) = { example, of_a_trial };
    for (size_t g = 0; g < COUNT_OF(graphs); g++) {
        struct arena arena;
        const struct plan *decoded;
        uint32_t keyed = 0;
        struct expectations a, b;
        weir_job *job = job_new(NULL);
        const struct plan *plan = graphs[g](job);
        weir_buffer *bytes = weir_buffer_new(PLAN_SIZE_MAX);
        plan_encode(plan, bytes);
        arena_init(&arena, 4096, PLAN_DECODED_SIZE_MAX);
        expect_ok(plan_decode(weir_buffer_view(bytes), &arena, &decoded));
        expectations_init(&a, plan, "rocksdb");
        expectations_init(&b, decoded, "rocksdb");
        assert_int_equal(a.count, b.count);
        for (uint32_t i = 0; i < a.count; i++) {
            assert_equal(&a.list[i], &b.list[i]);
            keyed += a.list[i].state_count > 0;
        }
        assert_true(keyed > 0); /* something was compared */
        expectations_release(&a);
        expectations_release(&b);
        weir_buffer_free(bytes);
        arena_release(&arena);
        job_free(job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decoded_plan_expects_the_same_state_by_the_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* worker_metrics_test.c -- numbers of tasks there and back, of a newer side too, and damaged. */
#include "runtime/cluster/worker_metrics.h"

#include "base/buffer.h"
#include "test/support/expect.h"

#define TASKS 3u

static weir_buffer *encode(void)
{
    struct worker_task_metrics list[2] = { { .subtask = 2,
                                               .records_in = 1,
                                               .records_out = 2,
                                               .busy_ms = 3,
                                               .idle_ms = 4,
                                               .backpressured_ms = 5,
                                               .watermark_ms = INT64_MIN,
                                               .lag = -1,
                                               .unpublished = 6,
                                               .state_size = INT64_MAX,
                                               .expired_met = 7,
                                               .expired_dropped = 8 },
        { .subtask = 0, .records_in = 9 } };
    weir_buffer *bytes = weir_buffer_new(1 << 16);
    worker_metrics_put(list, 2, bytes);
    return bytes;
}

static void numbers_come_back_and_others_stay_as_they_are(void **state)
{
    struct worker_task_metrics table[TASKS] = { [1] = { .subtask = 1, .records_in = 77 } };
    weir_buffer *bytes = encode();
    assert_true(worker_metrics_get(weir_buffer_view(bytes), table, TASKS));
    assert_int_equal(table[1].records_in, 77);
    assert_int_equal(table[0].records_in, 9);
    assert_int_equal(table[2].records_in, 1);
    assert_int_equal(table[2].records_out, 2);
    assert_int_equal(table[2].busy_ms, 3);
    assert_int_equal(table[2].idle_ms, 4);
    assert_int_equal(table[2].backpressured_ms, 5);
    assert_true(table[2].watermark_ms == INT64_MIN && table[2].state_size == INT64_MAX);
    assert_int_equal(table[2].lag, -1);
    assert_int_equal(table[2].unpublished, 6);
    assert_int_equal(table[2].expired_met, 7);
    assert_int_equal(table[2].expired_dropped, 8);
    weir_buffer_free(bytes);
}

static void numbers_that_a_newer_side_adds_are_skipped(void **state)
{
    struct worker_task_metrics table[TASKS] = { { .subtask = 0 } };
    weir_buffer *bytes = weir_buffer_new(1 << 16);
    buffer_put_u32(bytes, 1);
    buffer_put_u32(bytes, 14);
    buffer_put_u32(bytes, 1);
    for (uint64_t i = 0; i < 14; i++)
        buffer_put_u64(bytes, 100 + i);
    assert_true(worker_metrics_get(weir_buffer_view(bytes), table, TASKS));
    assert_int_equal(table[1].records_in, 100);
    assert_int_equal(table[1].expired_dropped, 110);
    weir_buffer_free(bytes);
}

static void what_is_damaged_is_refused(void **state)
{
    struct worker_task_metrics table[TASKS] = { { .subtask = 0 } };
    weir_buffer *bytes = encode();
    weir_str view = weir_buffer_view(bytes);
    for (uint64_t size = 0; size < view.size; size++)
        assert_false(
            worker_metrics_get((weir_str){ .data = view.data, .size = size }, table, TASKS));
    assert_false(worker_metrics_get(view, table, 2)); /* subtask 2 is none of these */
    weir_buffer_add_byte(bytes, 'x');
    assert_false(worker_metrics_get(weir_buffer_view(bytes), table, TASKS));
    weir_buffer_free(bytes);
    weir_buffer *claims = weir_buffer_new(64); /* what it claims to have costs no time */
    buffer_put_u32(claims, UINT32_MAX);
    buffer_put_u32(claims, UINT32_MAX);
    assert_false(worker_metrics_get(weir_buffer_view(claims), table, TASKS));
    weir_buffer_free(claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back_and_others_stay_as_they_are),
        cmocka_unit_test(numbers_that_a_newer_side_adds_are_skipped),
        cmocka_unit_test(what_is_damaged_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

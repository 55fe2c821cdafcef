/* Flights from inside: when rows are frozen ahead of a barrier. */
#include "state/cache.h"

#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A barrier, and what the backend sees of the clock behind it. */
static void barrier(struct shelf *shelf, struct backend *backend, int64_t now_ms)
{
    struct backend_expiry now = { .now_ms = now_ms };
    struct shelf_part part;
    shelf_snapshot(shelf, backend, shelf_all_groups(), &part);
    shelf_part_release(&part);
    backend->backend_class->expire(backend, &now);
}

/* Changes so many rows; how many of them a batch at this time leaves for the barrier. */
static uint32_t left_by_a_batch(struct backend *backend, uint32_t count, int64_t now_ms)
{
    const struct cache *cache = (struct cache *)(void *)backend;
    struct backend_expiry now = { .now_ms = now_ms };
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        struct row_key row = shelf_row(0, key);
        shelf_put(backend, &row, WEIR_STR(""), WEIR_STR("value"));
    }
    backend->backend_class->expire(backend, &now);
    return cache->dirty[0].count + cache->dirty[1].count;
}

static void nothing_is_frozen_in_the_first_half_of_the_time_to_a_barrier(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    assert_true(left_by_a_batch(backend, 10, 1000) < 10); /* when the next one comes is not known */
    barrier(&shelf, backend, 1000);
    assert_true(left_by_a_batch(backend, 10, 2000) < 10);
    barrier(&shelf, backend, 11000);
    assert_int_equal(left_by_a_batch(backend, 10, 15999), 10);
    assert_true(left_by_a_batch(backend, 10, 16000) < 10);
    barrier(&shelf, backend, 17000); /* out of turn: the next one may come as soon */
    assert_int_equal(left_by_a_batch(backend, 10, 19999), 10);
    assert_true(left_by_a_batch(backend, 10, 20000) < 10);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* Ten rows are changed; true: the batches that follow freeze them. */
static bool is_frozen_from(struct backend *backend, int64_t now_ms)
{
    uint32_t before = left_by_a_batch(backend, 10, now_ms), left;
    while ((left = left_by_a_batch(backend, 0, now_ms)) < before)
        before = left;
    return left == 0;
}

/* What is changed all the time is frozen with each turn, and each but the last is in vain. */
static void turns_rest_for_half_of_the_time_to_the_barrier_or_a_second(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    barrier(&shelf, backend, 1000);
    barrier(&shelf, backend, 11000);
    assert_true(is_frozen_from(backend, 18000));
    assert_false(is_frozen_from(backend, 18999));
    assert_true(is_frozen_from(backend, 19500));
    assert_false(is_frozen_from(backend, 19999));
    assert_true(is_frozen_from(backend, 20000)); /* 500 after 19500, 1000 before 21000 */
    shelf_close(backend);
    shelf_release(&shelf);
}

/* A barrier that comes out of turn would have to freeze all of it. */
static void so_many_dirty_rows_are_frozen_at_any_time(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    barrier(&shelf, backend, 1000);
    barrier(&shelf, backend, 11000);
    assert_int_equal(left_by_a_batch(backend, 63, 11001), 63);
    assert_true(left_by_a_batch(backend, 64, 11002) < 64);
    shelf_close(backend);
    shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_frozen_in_the_first_half_of_the_time_to_a_barrier),
        cmocka_unit_test(turns_rest_for_half_of_the_time_to_the_barrier_or_a_second),
        cmocka_unit_test(so_many_dirty_rows_are_frozen_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

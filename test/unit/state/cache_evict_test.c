/* Eviction from inside: what the table looks like behind the hand, and that the budget holds. */
#include "state/cache.h"

#include "base/worker.h"

#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BATCH 100u

/* The end of a batch, 100 ms behind the one before; nothing expires. */
static void end_batch(struct backend *backend)
{
    static int64_t now_ms;
    struct backend_expiry now = { .now_ms = now_ms += 100 };
    backend->backend_class->expire(backend, &now);
}

/* Puts a value of this size into each of these rows, in batches. */
static void put_rows(struct backend *backend, uint32_t first, uint32_t count, size_t size)
{
    static const char bytes[4096];
    for (uint32_t i = first; i < first + count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        struct row_key row = shelf_row(0, key);
        shelf_put(backend, &row, WEIR_STR(""), (weir_str){ .data = bytes, .size = size });
        if (i % BATCH == 0)
            end_batch(backend);
    }
}

static uint64_t longest_run(const struct rows *rows)
{
    uint64_t longest = 0, run = 0;
    for (uint64_t i = 0; i < rows->slot_count; i++) {
        run = rows->slots[i].row == NULL ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* A table as full as it gets while every row is new, so nothing is warm: a hand that goes from left to
 * right has runs of several thousand slots in front of it. */
static void rows_leave_evenly_all_over_the_table(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    shelf.memory_size = 1840 << 10; /* about 10,800 rows of 72 bytes in 16,384 slots */
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    const struct cache *cache = (struct cache *)(void *)backend;
    uint64_t longest = 0, most = 0;
    for (uint32_t i = 0; i < 60; i++) {
        put_rows(backend, i * 1000, 1000, 32);
        uint64_t run = longest_run(&cache->rows);
        longest = run > longest ? run : longest;
        most = cache->rows.row_count > most ? cache->rows.row_count : most;
    }
    assert_int_equal(cache->rows.slot_count, 16384);
    assert_true(most > 10500); /* else this test says nothing */
    assert_true(longest < 1000);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* Values of one size all over the slab, then of another. */
static void memory_stays_within_the_budget_although_sizes_change(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    shelf.memory_size = 8 << 20;
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    const struct cache *cache = (struct cache *)(void *)backend;
    const size_t sizes[] = { 24, 200, 80, 500, 40, 3000, 130, 1000, 24 };
    uint32_t first = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t most = 0;
        for (uint32_t j = 0; j < 40; j++) {
            uint32_t count = (uint32_t)((512 << 10) / (sizes[i] + 48)) / 2;
            put_rows(backend, first, count, sizes[i]);
            first += count;
            assert_true(rows_size(&cache->rows) <= cache->budget + cache->budget / 8);
            most = cache_size(cache) > most ? cache_size(cache) : most;
        }
        assert_true(most > cache->budget * 3 / 4); /* most of it is of use */
    }
    shelf_close(backend);
    shelf_release(&shelf);
}

static void edit_row(struct backend *backend, uint32_t number)
{
    bool is_new;
    void *value;
    char key[16];
    snprintf(key, sizeof(key), "%u", number);
    struct row_key row = shelf_row(0, key);
    assert_null(backend->backend_class->edit(backend, &row, WEIR_STR(""), 32, &value, &is_new));
}

static bool is_in_memory(const struct backend *backend, uint32_t number)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", number);
    struct row_key row = shelf_row(0, key);
    return rows_find(&((const struct cache *)(const void *)backend)->rows, &row) != NULL;
}

/* Rounds over 6,000 rows that are in use, in a cache of 11,000, and beside each of their records one of a scan:
 * between two uses of a row go 12,000 others, so a cache that lets go what was used longest ago has hardly one of
 * them. 79 of 100 are hits; bench/state_eviction.c has the rates of other traces. */
static void a_scan_leaves_what_is_in_use(void **state)
{
    (void)state;
    enum { IN_USE = 6000, ROUNDS = 5 };
    struct shelf shelf;
    shelf_init(&shelf);
    shelf.memory_size = 1840 << 10;
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    uint32_t hits = 0, scanned = IN_USE;
    for (uint32_t i = 0; i < 4 * IN_USE + ROUNDS * IN_USE; i++) {
        bool is_scanning = i >= 4 * IN_USE;
        hits += is_scanning && is_in_memory(backend, i % IN_USE);
        edit_row(backend, i % IN_USE);
        if (is_scanning)
            edit_row(backend, scanned++);
        if (i % BATCH == 0)
            end_batch(backend);
    }
    assert_true(hits > ROUNDS * IN_USE * 7 / 10);
    shelf_close(backend);
    shelf_release(&shelf);
}

static uint64_t write_count, written_rows;

static weir_error *counting_write(struct backend *store, const struct changes *const *lists,
    uint32_t list_count)
{
    write_count++;
    for (uint32_t i = 0; i < list_count; i++)
        written_rows += lists[i]->row_count;
    return backend_rocksdb.write_changes(store, lists, list_count);
}

/* Every row is new and dirty, and a twentieth of them leave at a time. */
static void what_is_cold_is_written_in_large_pieces(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    shelf.memory_size = 4 << 20;
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    struct cache *cache = (struct cache *)(void *)backend;
    struct backend_class verbs = backend_rocksdb;
    verbs.write_changes = counting_write;
    cache->verbs = &verbs;
    put_rows(backend, 0, 200000, 32);
    uint64_t rows = cache->rows.row_count;
    assert_in_range(rows, 8000, 40000);
    assert_true(written_rows > 100000);
    assert_true(
        written_rows / write_count > rows / 8); /* about a sixth; a twentieth at a time without */
    for (uint32_t i = 0; i < 200000; i += 7) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        struct row_key row = shelf_row(0, key);
        assert_int_equal(shelf_get(backend, &row, WEIR_STR("")).size, 32);
    }
    shelf_close(backend);
    shelf_release(&shelf);
}

/* Rows that fit, and copies of what is dirty that do not fit beside them: those leave when a worker, of which there is none
 * here, has logged them. */
static void copies_that_wait_for_a_worker_make_no_row_leave(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part part;
    struct backend_snapshot *snapshot;
    uint32_t count = 0;
    shelf_init(&shelf);
    shelf.memory_size = 8 << 20;
    shelf.workers = workers_new(0, 64);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    const struct cache *cache = (struct cache *)(void *)backend;
    for (; cache_size(cache) < cache->budget / 4; count += BATCH)
        put_rows(backend, count, BATCH, 32);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    end_batch(backend);
    put_rows(backend, count, BATCH, 32);
    count += BATCH;
    while (workers_step(shelf.workers)) /* settles: these could leave */
        continue;
    assert_false(cache_has_flights(cache));
    for (; cache_size(cache) < cache->budget * 3 / 4; count += BATCH)
        put_rows(backend, count, BATCH, 32);
    shelf_ok(backend_cache.snapshot(backend, 1, &snapshot));
    assert_true(cache_size(cache) > cache->budget);
    end_batch(backend);
    assert_int_equal(cache->rows.row_count, count);
    backend_cache.snapshot_free(snapshot);
    put_rows(backend, count, count, 32);
    assert_true(cache->rows.row_count < 2 * count);
    shelf_close(backend);
    shelf_part_release(&part);
    workers_free(shelf.workers);
    shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_leave_evenly_all_over_the_table),
        cmocka_unit_test(what_is_cold_is_written_in_large_pieces),
        cmocka_unit_test(memory_stays_within_the_budget_although_sizes_change),
        cmocka_unit_test(a_scan_leaves_what_is_in_use),
        cmocka_unit_test(copies_that_wait_for_a_worker_make_no_row_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

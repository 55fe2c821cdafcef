/* Reading ahead after a restore: what is in memory then, and that what is newer stays. */
#include "state/cache.h"

#include "base/memory.h"
#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROWS        6000u /* more than the smallest filter has room for */
#define LONG        40u   /* entries: more than a row that is loaded whole has */
#define BATCHES_MAX 100000u

enum { VALUES, MAPS };

static uint32_t read_count; /* by the cache, from its store, for one row */

static weir_error *counting_get(struct backend *store, const struct row_key *row, weir_str entry,
    weir_str *value)
{
    read_count++;
    return backend_rocksdb.get(store, row, entry, value);
}

static weir_error *counting_each(struct backend *store, const struct row_key *row, weir_str prefix,
    backend_entry_fn *each, void *arg)
{
    read_count++;
    return backend_rocksdb.each(store, row, prefix, each, arg);
}

static uint32_t
    maps_left; /* until the first of a map's two entries is the last one that can be read */

struct failing {
    backend_row_fn *each;
    void *arg;
};

static bool give_until(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    const struct failing *failing = arg;
    if (maps_left == 0 || !failing->each(failing->arg, row, entry, value))
        return false;
    maps_left -= row->state == MAPS && weir_str_equal(entry, WEIR_STR("a"));
    return true;
}

static weir_error *failing_give(struct backend_iterator *iterator, backend_row_fn *each, void *arg,
    bool *is_over)
{
    struct failing failing = { .each = each, .arg = arg };
    shelf_ok(backend_rocksdb.iterator_give(iterator, give_until, &failing, is_over));
    return maps_left > 0 ? NULL : weir_errorf(WEIR_E_IO, "the disk is on fire");
}

struct fixture {
    struct shelf shelf;
    struct shelf_part part;
    struct backend *backend;
    struct cache *cache;
    struct backend_class verbs;
};

static struct row_key row_of(uint32_t state, uint32_t number, char text[16])
{
    snprintf(text, 16, "%u", number);
    return shelf_row(state, text);
}

static void fill(struct backend *backend)
{
    char text[16], name[16];
    for (uint32_t i = 0; i < ROWS; i++) {
        struct row_key value = row_of(VALUES, i, text), map = row_of(MAPS, i, text);
        shelf_put(backend, &value, WEIR_STR(""), weir_str_of(text));
        shelf_put(backend, &map, WEIR_STR("a"), weir_str_of(text));
        shelf_put(backend, &map, WEIR_STR("b"), weir_str_of("old"));
    }
    struct row_key row = shelf_row(MAPS, "long");
    for (uint32_t i = 0; i < LONG; i++) {
        snprintf(name, sizeof(name), "%02u", i);
        shelf_put(backend, &row, weir_str_of(name), weir_str_of(name));
    }
}

/* A cache over a store that has everything, with nothing in memory. */
static void begin(struct fixture *it, uint64_t memory_size)
{
    *it = (struct fixture){ .backend = NULL };
    shelf_init(&it->shelf);
    struct backend *backend = shelf_open(&it->shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend);
    shelf_snapshot(&it->shelf, backend, shelf_all_groups(), &it->part);
    shelf_close(backend);
    it->shelf.memory_size = memory_size;
    it->backend = shelf_open(&it->shelf, &backend_cache, shelf_all_groups(), &it->part, 1);
    it->cache = (struct cache *)(void *)it->backend;
    it->verbs = backend_rocksdb;
    it->verbs.get = counting_get;
    it->verbs.each = counting_each;
    it->cache->verbs = &it->verbs;
    read_count = 0;
}

static void end(struct fixture *it)
{
    shelf_close(it->backend);
    shelf_part_release(&it->part);
    shelf_release(&it->shelf);
}

static void batch(struct fixture *it)
{
    it->backend->backend_class->expire(it->backend, &(struct backend_expiry){ 0 });
}

static bool is_over(const struct fixture *it)
{
    return atomic_load(&it->cache->warming.stage) == WARMING_OVER;
}

/* For how many batches it went on. */
static uint32_t warm(struct fixture *it)
{
    uint32_t count = 0;
    for (; !is_over(it); count++) {
        assert_true(count < BATCHES_MAX);
        batch(it);
    }
    return count;
}

static void expect_stored(struct fixture *it, uint32_t number)
{
    char text[16];
    struct row_key value = row_of(VALUES, number, text), map = row_of(MAPS, number, text);
    shelf_expect(it->backend, &value, "", text);
    shelf_expect(it->backend, &map, "a", text);
    shelf_expect(it->backend, &map, "b", "old");
    shelf_expect_none(it->backend, &map, "c");
}

static void what_the_store_has_is_in_memory_before_anybody_asks(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it, 64u << 20);
    assert_int_equal(it.cache->rows.row_count, 0);
    assert_true(warm(&it) > 10); /* a part with each batch */
    assert_int_equal(it.cache->rows.row_count, 2 * ROWS);
    for (uint32_t i = 0; i < ROWS; i++)
        expect_stored(&it, i);
    assert_int_equal(read_count, 0);
    end(&it);
}

static void what_is_read_ahead_is_clean(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it, 64u << 20);
    warm(&it);
    assert_int_equal(it.cache->dirty[0].count + it.cache->dirty[1].count, 0);
    assert_false(it.cache->has_dropped);
    end(&it);
}

static void what_was_changed_meanwhile_stays(void **state)
{
    (void)state;
    struct fixture it;
    char text[16], second[16], third[16];
    begin(&it, 64u << 20);
    for (uint32_t i = 0; i < ROWS;
         i += 5) { /* before, between and behind the pieces that are read */
        struct row_key value = row_of(VALUES, i, text), map = row_of(MAPS, i, text);
        struct row_key cleared = row_of(MAPS, i + 1, second);
        struct row_key removed = row_of(VALUES, i + 2, third);
        shelf_put(it.backend, &value, WEIR_STR(""), weir_str_of("new"));
        shelf_put(it.backend, &map, WEIR_STR("b"), weir_str_of("new"));
        shelf_clear(it.backend, &cleared);
        shelf_remove(it.backend, &removed, WEIR_STR(""));
        if (i % 100 == 0 && !is_over(&it))
            batch(&it);
    }
    warm(&it);
    for (uint32_t i = 0; i < ROWS; i += 5) {
        struct row_key value = row_of(VALUES, i, text), map = row_of(MAPS, i, text);
        shelf_expect(it.backend, &value, "", "new");
        shelf_expect(it.backend, &map, "a", text);
        shelf_expect(it.backend, &map, "b", "new");
        struct row_key cleared = row_of(MAPS, i + 1, second);
        struct row_key removed = row_of(VALUES, i + 2, third);
        shelf_expect_none(it.backend, &cleared, "a");
        shelf_expect_none(it.backend, &cleared, "b");
        shelf_expect_none(it.backend, &removed, "");
        expect_stored(&it, i + 3);
    }
    end(&it);
}

static void a_long_row_stays_where_it_is(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it, 64u << 20);
    warm(&it);
    struct row_key row = shelf_row(MAPS, "long");
    assert_null(rows_find(&it.cache->rows, &row));
    shelf_expect(it.backend, &row, "00", "00");
    shelf_expect(it.backend, &row, "39", "39");
    assert_true(read_count > 0);
    end(&it);
}

static void a_state_that_is_larger_than_the_memory_is_not_read(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it, 512u << 10);
    assert_true(is_over(&it));
    batch(&it);
    assert_int_equal(it.cache->rows.row_count, 0);
    expect_stored(&it, 17);
    end(&it);
}

static void it_ends_when_a_row_has_left_the_memory(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it, 64u << 20);
    for (uint32_t i = 0; i < BATCHES_MAX && it.cache->rows.row_count == 0; i++)
        batch(&it);
    uint64_t count = it.cache->rows.row_count;
    it.cache->has_dropped = true;
    batch(&it);
    assert_true(is_over(&it));
    assert_true(count > 0 && count < ROWS);
    assert_int_equal(it.cache->rows.row_count, count);
    for (uint32_t i = 0; i < ROWS; i += 100)
        expect_stored(&it, i);
    end(&it);
}

static void a_row_that_is_not_read_to_its_end_is_not_taken(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it, 64u << 20);
    it.verbs.iterator_give = failing_give;
    maps_left = 3;
    warm(&it);
    assert_int_equal(maps_left, 0);
    assert_true(it.cache->rows.row_count < ROWS);
    for (uint32_t i = 0; i < ROWS; i++)
        expect_stored(&it, i);
    end(&it);
}

/* The database's own estimate of its keys is 0 behind a restore: the filter was too small, and given up. */
static void what_is_new_behind_a_restore_is_known_to_be_new(void **state)
{
    (void)state;
    struct fixture it;
    uint32_t asked = 1000;
    begin(&it, 64u << 20);
    assert_true(it.verbs.row_count(it.cache->store) >= 3 * ROWS);
    assert_true(atomic_load(&it.cache->is_filter_sure));
    for (uint32_t i = 0; i < asked; i++) {
        char text[16];
        struct row_key row = row_of(VALUES, ROWS + i, text);
        shelf_expect_none(it.backend, &row, "");
    }
    assert_true(read_count < asked / 10);
    end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_store_has_is_in_memory_before_anybody_asks),
        cmocka_unit_test(what_is_read_ahead_is_clean),
        cmocka_unit_test(what_was_changed_meanwhile_stays),
        cmocka_unit_test(a_long_row_stays_where_it_is),
        cmocka_unit_test(a_state_that_is_larger_than_the_memory_is_not_read),
        cmocka_unit_test(it_ends_when_a_row_has_left_the_memory),
        cmocka_unit_test(a_row_that_is_not_read_to_its_end_is_not_taken),
        cmocka_unit_test(what_is_new_behind_a_restore_is_known_to_be_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

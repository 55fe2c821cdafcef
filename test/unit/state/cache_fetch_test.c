/* Fetching ahead from inside: what the store is asked for, and how often. */
#include "state/cache.h"

#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 20000u

static uint32_t get_count, fetch_count, fetched_count; /* gets; calls for many; rows in them */
static bool is_failing;

static weir_error *counting_get(struct backend *store, const struct row_key *row, weir_str entry,
    weir_str *value)
{
    get_count++;
    return backend_rocksdb.get(store, row, entry, value);
}

static weir_error *counting_get_values(struct backend *store, const struct row_key *rows,
    uint32_t row_count, backend_value_fn *each, void *arg)
{
    fetch_count++;
    fetched_count += row_count;
    if (is_failing)
        return weir_errorf(WEIR_E_IO, "the disk is on fire");
    return backend_rocksdb.get_values(store, rows, row_count, each, arg);
}

struct fixture {
    struct shelf shelf;
    struct backend *backend;
    struct backend_class verbs;
    char keys[BACKEND_PREFETCH_MAX][16];
    struct row_key rows[BACKEND_PREFETCH_MAX];
};

/* Each key a batch of its own: the first ones have left the memory long ago. */
static void begin_with(struct fixture *it, uint32_t row_count)
{
    shelf_init(&it->shelf);
    it->shelf.memory_size = 512 << 10;
    it->backend = shelf_open(&it->shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    for (uint32_t i = 0; i < row_count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        struct row_key row = shelf_row(0, key);
        shelf_put(it->backend, &row, WEIR_STR(""), weir_str_of(key));
        if (i % 100 == 0)
            it->backend->backend_class->expire(it->backend, &(struct backend_expiry){ 0 });
    }
    struct cache *cache = (struct cache *)(void *)it->backend;
    it->verbs = backend_rocksdb;
    it->verbs.get = counting_get;
    it->verbs.get_values = counting_get_values;
    cache->verbs = &it->verbs;
    get_count = fetch_count = fetched_count = 0;
    is_failing = false;
}

static void begin(struct fixture *it)
{
    begin_with(it, ROWS);
}

static void end(struct fixture *it)
{
    shelf_close(it->backend);
    shelf_release(&it->shelf);
}

/* The rows from `first` on: a batch. */
static void prefetch(struct fixture *it, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        snprintf(it->keys[i], sizeof(it->keys[i]), "%u", first + i);
        it->rows[i] = shelf_row(0, it->keys[i]);
    }
    backend_cache.prefetch(it->backend, it->rows, count);
}

static void the_values_of_a_batch_come_with_one_call(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    prefetch(&it, 100, 200);
    assert_int_equal(fetch_count, 1);
    assert_true(fetched_count > 150); /* some are still in memory */
    for (uint32_t i = 0; i < 200; i++)
        shelf_expect(it.backend, &it.rows[i], "", it.keys[i]);
    assert_int_equal(get_count, 0);
    prefetch(&it, 100, 200); /* all are in memory */
    assert_int_equal(fetch_count, 1);
    end(&it);
}

/* A removal that has left the memory: the row's filter says that there may be something. */
static void what_is_absent_is_asked_for_once(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    struct row_key row = shelf_row(0, "500"), other = shelf_row(0, "501");
    shelf_put(it.backend, &row, WEIR_STR("name"), WEIR_STR("value"));
    shelf_remove(it.backend, &row, WEIR_STR(""));
    for (uint32_t i = 0; i < ROWS / 2; i++) { /* others push it out */
        char key[16];
        snprintf(key, sizeof(key), "more %u", i);
        struct row_key more = shelf_row(0, key);
        shelf_put(it.backend, &more, WEIR_STR(""), WEIR_STR("x"));
        if (i % 100 == 0)
            backend_cache.expire(it.backend, &(struct backend_expiry){ 0 });
    }
    prefetch(&it, 500, 2);
    assert_int_equal(fetched_count, 2);
    shelf_expect_none(it.backend, &row, "");
    shelf_expect(it.backend, &other, "", "501");
    assert_int_equal(get_count, 0);
    end(&it);
}

static void rows_that_are_new_are_not_asked_for(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    prefetch(&it, 2 * ROWS, 200);
    assert_true(fetched_count < 20); /* of a hundred new ones the filter knows all but one or two */
    end(&it);
}

/* The filter may take a quarter of the memory, which has room for a few thousand of these rows. */
static void new_rows_are_known_beside_many_times_what_memory_holds(void **state)
{
    (void)state;
    struct fixture it;
    begin_with(&it, 2 * ROWS);
    prefetch(&it, 4 * ROWS, 200);
    assert_true(fetched_count < 20);
    end(&it);
}

static void a_large_filter_that_is_hardly_of_use_makes_room_for_rows(void **state)
{
    (void)state;
    struct fixture it;
    begin_with(&it, 2 * ROWS);
    const struct cache *cache = (struct cache *)(void *)it.backend;
    for (uint32_t i = 0; i < 5 * ROWS && cache->filter != NULL; i++) { /* none is new */
        char key[16];
        snprintf(key, sizeof(key), "%u", i % (2 * ROWS));
        struct row_key row = shelf_row(0, key);
        shelf_expect(it.backend, &row, "", key);
        if (i % 100 == 0)
            backend_cache.expire(it.backend, &(struct backend_expiry){ 0 });
    }
    assert_null(cache->filter);
    prefetch(&it, 4 * ROWS, 200);
    assert_int_equal(fetched_count, 200);
    end(&it);
}

/* Else whoever writes it next finds it without room for its value, and it is made twice. */
static void a_row_that_is_new_is_not_made_by_looking_for_it(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    const struct cache *cache = (struct cache *)(void *)backend;
    struct row_key row = shelf_row(0, "new");
    shelf_expect_none(backend, &row, "");
    shelf_expect_none(backend, &row, "name");
    shelf_remove(backend, &row, WEIR_STR(""));
    shelf_remove(backend, &row, WEIR_STR("name"));
    shelf_clear(backend, &row);
    char *text = shelf_row_text(backend, &row, "");
    assert_string_equal(text, "");
    mem_free(text);
    assert_int_equal(cache->rows.row_count, 0);
    assert_int_equal(slab_used(&cache->rows.slab), 0);
    shelf_put(backend, &row, WEIR_STR(""), WEIR_STR("twenty-four bytes of it!"));
    assert_int_equal(slab_used(&cache->rows.slab), sizeof(struct row) + 8 + 24);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* The credit of a state. */
static void a_state_that_nobody_reads_is_soon_left_alone(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    for (uint32_t i = 0; i < 50; i++)
        prefetch(&it, i * 200, 200);
    assert_in_range(fetched_count, 800, 1024);
    uint32_t before = fetched_count;
    for (uint32_t i = 0; i < 100; i++) { /* it is read, but only here and there */
        prefetch(&it, 10000 + i * 50, 50);
        shelf_expect(it.backend, &it.rows[0], "", it.keys[0]);
    }
    assert_true(get_count > 0);
    assert_true(fetched_count - before <= 2 * 100);
    end(&it);
}

static void a_state_that_is_read_goes_on_being_fetched(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    for (uint32_t i = 0; i < 50; i++) {
        prefetch(&it, i * 200, 200);
        for (uint32_t j = 0; j < 200; j++)
            shelf_expect(it.backend, &it.rows[j], "", it.keys[j]);
    }
    assert_int_equal(get_count, 0);
    assert_int_equal(fetch_count, 50);
    end(&it);
}

static void an_error_is_met_by_whoever_asks(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    is_failing = true;
    prefetch(&it, 100, 200);
    assert_int_equal(fetch_count, 1);
    for (uint32_t i = 0; i < 200; i++)
        shelf_expect(it.backend, &it.rows[i], "", it.keys[i]);
    assert_int_equal(get_count, fetched_count);
    end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_values_of_a_batch_come_with_one_call),
        cmocka_unit_test(what_is_absent_is_asked_for_once),
        cmocka_unit_test(rows_that_are_new_are_not_asked_for),
        cmocka_unit_test(new_rows_are_known_beside_many_times_what_memory_holds),
        cmocka_unit_test(a_large_filter_that_is_hardly_of_use_makes_room_for_rows),
        cmocka_unit_test(a_row_that_is_new_is_not_made_by_looking_for_it),
        cmocka_unit_test(a_state_that_nobody_reads_is_soon_left_alone),
        cmocka_unit_test(a_state_that_is_read_goes_on_being_fetched),
        cmocka_unit_test(an_error_is_met_by_whoever_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Many values at once. */
#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 200u

struct seen {
    uint32_t times[ROWS + 1]; /* the last one for keys that are no number below it */
    uint32_t count, count_max;
};

/* Even numbers have a value, which is the key; multiples of ten an empty one. */
static bool see(void *arg, const struct row_key *row, weir_str value)
{
    struct seen *seen = arg;
    uint32_t number = 0;
    for (uint64_t i = 0; i < row->key.size; i++)
        number = 10 * number + (uint32_t)(row->key.data[i] - '0');
    seen->times[number < ROWS ? number : ROWS]++;
    assert_int_equal(value.data != NULL, number % 2 == 0);
    if (number % 10 == 0)
        assert_int_equal(value.size, 0);
    else if (number % 2 == 0)
        assert_true(weir_str_equal(value, row->key));
    return ++seen->count < seen->count_max;
}

static void fill(struct backend *backend, struct row_key *rows, char (*keys)[16])
{
    for (uint32_t i = 0; i < ROWS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%u", i);
        rows[i] = shelf_row(3, keys[i]);
        if (i % 2 == 0)
            shelf_put(backend, &rows[i], WEIR_STR(""),
                i % 10 == 0 ? WEIR_STR("") : weir_str_of(keys[i]));
        shelf_put(backend, &rows[i], WEIR_STR("other"), WEIR_STR("entry"));
    }
}

static void each_row_gets_its_value_once(void **state)
{
    (void)state;
    struct shelf shelf;
    struct row_key rows[ROWS];
    char keys[ROWS][16];
    struct seen seen = { .count_max = UINT32_MAX };
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend, rows, keys);
    rows[7] = rows[8]; /* of equal ones one answer */
    rows[90] = rows[8];
    shelf_ok(backend_rocksdb.get_values(backend, rows, ROWS, see, &seen));
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(seen.times[i], i != 7 && i != 90);
    assert_int_equal(seen.count, ROWS - 2);
    shelf_ok(backend_rocksdb.get_values(backend, rows, 0, see, &seen));
    assert_int_equal(seen.count, ROWS - 2);
    shelf_close(backend);
    shelf_release(&shelf);
}

static void whoever_has_enough_gets_no_more(void **state)
{
    (void)state;
    struct shelf shelf;
    struct row_key rows[ROWS];
    char keys[ROWS][16];
    struct seen seen = { .count_max = 40 };
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend, rows, keys);
    shelf_ok(backend_rocksdb.get_values(backend, rows, ROWS, see, &seen));
    assert_int_equal(seen.count, 40);
    shelf_close(backend);
    shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_gets_its_value_once),
        cmocka_unit_test(whoever_has_enough_gets_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

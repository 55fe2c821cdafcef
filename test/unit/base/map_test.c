/* map_test.c -- a map against a plain list, with many keys and replacements. */
#include "base/map.h"

#include "test/support/expect.h"

#include <stdio.h>

static void what_was_put_is_found(void **state)
{
    struct map *map = map_new(10);
    int a, b;
    assert_null(map_get(map, WEIR_STR("a")));
    map_put(map, WEIR_STR("a"), &a);
    map_put(map, WEIR_STR(""), &b);
    assert_ptr_equal(map_get(map, WEIR_STR("a")), &a);
    assert_ptr_equal(map_get(map, WEIR_STR("")), &b);
    map_put(map, WEIR_STR("a"), &b);
    assert_ptr_equal(map_get(map, WEIR_STR("a")), &b);
    assert_int_equal(map_count(map), 2);
    assert_null(map_get(map, WEIR_STR("c")));
    map_free(map);
    map_free(NULL);
}

static void keys_are_copied(void **state)
{
    struct map *map = map_new(1);
    char key[] = "key";
    map_put(map, weir_str_of(key), key);
    key[0] = 'K';
    assert_ptr_equal(map_get(map, WEIR_STR("key")), key);
    map_free(map);
}

static void many_keys_are_found_with_their_newest_value(void **state)
{
    enum { KEYS = 3000 };
    static int values[KEYS], newer[KEYS];
    struct map *map = map_new(KEYS);
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        map_put(map, weir_str_of(key), &values[i]);
    }
    for (int i = 0; i < KEYS; i += 3) {
        snprintf(key, sizeof(key), "k%d", i);
        map_put(map, weir_str_of(key), &newer[i]);
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_ptr_equal(map_get(map, weir_str_of(key)), i % 3 == 0 ? &newer[i] : &values[i]);
        snprintf(key, sizeof(key), "no%d", i);
        assert_null(map_get(map, weir_str_of(key)));
    }
    assert_int_equal(map_count(map), KEYS);
    map_free(map);
}

static void put_two(void *arg)
{
    map_put(arg, WEIR_STR("a"), arg);
    map_put(arg, WEIR_STR("b"), arg);
}

static void one_key_too_many_aborts(void **state)
{
    struct map *map = map_new(1);
    expect_abort(put_two, map);
    map_put(map, WEIR_STR("a"), map);
    map_put(map, WEIR_STR("a"), map); /* not one more */
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(keys_are_copied),
        cmocka_unit_test(many_keys_are_found_with_their_newest_value),
        cmocka_unit_test(one_key_too_many_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

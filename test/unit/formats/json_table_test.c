/* json_table_test.c -- names to fields: every name is found, no other is, types are told apart. */
#include "formats/json_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* Types made at run time, as a binding makes them. */
struct made {
    char names[WEIR_FIELDS_MAX][300];
    struct weir_field fields[WEIR_FIELDS_MAX];
    struct weir_type type;
};

static void make(struct made *made, uint32_t count, const char *format)
{
    for (uint32_t i = 0; i < count; i++) {
        snprintf(made->names[i], sizeof(made->names[i]), format, i);
        made->fields[i] = (struct weir_field){ .id = i + 1,
            .kind = WEIR_I64,
            .offset = 8 * i,
            .name = made->names[i] };
    }
    made->type = (struct weir_type){ .name = "made",
        .size = 8 * count,
        .field_count = count,
        .fields = made->fields };
}

static void every_name_is_found_and_no_other(void **state)
{
    static const char *const formats[] = { "f%u", "%u", "a_very_long_name_of_a_field_%u_indeed",
        "x%04u_same_ends", "n\xc3\xa9%u", "quote\"%u" };
    struct made *made = calloc(1, sizeof(*made));
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
        for (uint32_t count = 1; count <= WEIR_FIELDS_MAX; count += 21) {
            make(made, count, formats[f]);
            const struct json_table *table = json_table_of(&made->type);
            assert_non_null(table);
            for (uint32_t i = 0; i < count; i++)
                assert_int_equal(json_table_find(table, weir_str_of(made->names[i])), i);
            assert_int_equal(json_table_find(table, WEIR_STR("")), count);
            assert_int_equal(json_table_find(table, WEIR_STR("other")), count);
            weir_str shorter = { made->names[0], strlen(made->names[0]) - 1 };
            assert_int_equal(json_table_find(table, shorter), count);
        }
    }
    free(made);
}

static void names_that_all_collide_are_found(void **state)
{
    struct made *made = calloc(1, sizeof(*made));
    make(made, WEIR_FIELDS_MAX, "a%03umiddle_and_more_end"); /* what the hash takes is equal */
    const struct json_table *table = json_table_of(&made->type);
    for (uint32_t i = 0; i < WEIR_FIELDS_MAX; i++)
        assert_int_equal(json_table_find(table, weir_str_of(made->names[i])), i);
    free(made);
}

static void a_type_has_one_table_and_another_in_its_place_another(void **state)
{
    struct made *made = calloc(1, sizeof(*made));
    make(made, 3, "first%u");
    const struct json_table *table = json_table_of(&made->type);
    assert_ptr_equal(json_table_of(&made->type), table);
    make(made, 3, "second%u");
    const struct json_table *other = json_table_of(&made->type);
    assert_ptr_not_equal(other, table);
    assert_int_equal(json_table_find(other, WEIR_STR("second1")), 1);
    assert_int_equal(json_table_find(other, WEIR_STR("first1")), 3);
    free(made);
}

static void an_unsound_type_has_none(void **state)
{
    assert_null(json_table_of(NULL));
    struct made *made = calloc(1, sizeof(*made));
    make(made, 2, "same");
    assert_null(json_table_of(&made->type));
    free(made);
}

static void patterns_hold_short_names_as_they_are_written(void **state)
{
    struct made *made = calloc(1, sizeof(*made));
    make(made, 1, "name");
    const struct json_field *field = &json_table_of(&made->type)->fields[0];
    assert_memory_equal(field->pattern, "\"name\":", 7);
    assert_int_equal(field->mask, 0x7f);
    assert_true(weir_str_equal(field->written, WEIR_STR(",\"name\":")));
    make(made, 1, "thirteen_long");
    assert_int_equal(json_table_of(&made->type)->fields[0].mask, 0xffff);
    make(made, 1, "fourteen_longs");
    assert_int_equal(json_table_of(&made->type)->fields[0].mask, 0);
    free(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_found_and_no_other),
        cmocka_unit_test(names_that_all_collide_are_found),
        cmocka_unit_test(a_type_has_one_table_and_another_in_its_place_another),
        cmocka_unit_test(an_unsound_type_has_none),
        cmocka_unit_test(patterns_hold_short_names_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* key_test.c -- equal keys have equal bytes, different keys different ones. */
#include "types/key.h"

#include "test/support/expect.h"

struct row {
    weir_str name;
    weir_str city;
    uint64_t number;
    double real;
    int32_t small;
    bool flag;
    int32_t unlisted;
};
WEIR_TYPE(row, WEIR_FIELD(1, row, name), WEIR_FIELD(2, row, city), WEIR_FIELD(3, row, number),
    WEIR_FIELD(4, row, real), WEIR_FIELD(5, row, small), WEIR_FIELD(6, row, flag));

static char scratch[64];

static weir_str encode(struct weir_key key, const struct row *row)
{
    return key_encode(&key, row, scratch, sizeof(scratch));
}

static void a_string_key_is_its_bytes_borrowed(void **state)
{
    struct row row = { .name = WEIR_STR("ann") };
    weir_str key = encode(WEIR_KEY(row, name), &row);
    assert_ptr_equal(key.data, row.name.data);
    assert_int_equal(key.size, 3);
    static char long_name[100000]; /* larger than any scratch: nothing is copied */
    row.name = (weir_str){ long_name, sizeof(long_name) };
    assert_ptr_equal(encode(WEIR_KEY(row, name), &row).data, long_name);
}

static void a_null_string_is_the_empty_key(void **state)
{
    struct row with_null = { .name = { NULL, 0 } }, with_empty = { .name = WEIR_STR("") };
    assert_non_null(encode(WEIR_KEY(row, name), &with_null).data);
    assert_int_equal(encode(WEIR_KEY(row, name), &with_null).size, 0);
    assert_true(key_hash(encode(WEIR_KEY(row, name), &with_null)) ==
                key_hash(encode(WEIR_KEY(row, name), &with_empty)));
    char other[64];
    struct weir_key two = WEIR_KEY2(row, name, number);
    weir_str a = key_encode(&two, &with_null, other, sizeof(other));
    assert_true(weir_str_equal(a, encode(two, &with_empty)));
}

static void a_number_key_is_its_bytes_borrowed(void **state)
{
    struct row row = { .number = 0x0102030405060708, .small = -2, .flag = true };
    weir_str key = encode(WEIR_KEY(row, number), &row);
    assert_ptr_equal(key.data, &row.number);
    assert_int_equal(key.size, 8);
    assert_memory_equal(key.data, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_int_equal(encode(WEIR_KEY(row, small), &row).size, 4);
    assert_int_equal(encode(WEIR_KEY(row, flag), &row).size, 1);
}

static void zeros_of_both_signs_are_two_keys(void **state)
{
    struct row plus = { .real = 0.0 }, minus = { .real = -0.0 };
    assert_false(
        weir_str_equal(encode(WEIR_KEY(row, real), &plus), encode(WEIR_KEY(row, real), &minus)));
}

static void several_fields_follow_one_another(void **state)
{
    struct row row = { .name = WEIR_STR("ab"), .number = 5, .flag = true };
    struct weir_key key = { .type = &row_type,
        .offset_count = 3,
        .offsets = { offsetof(struct row, number), offsetof(struct row, name),
            offsetof(struct row, flag) } };
    weir_str bytes = encode(key, &row);
    assert_int_equal(bytes.size, 15);
    assert_memory_equal(bytes.data,
        "\x05\0\0\0\0\0\0\0"
        "\x02\0\0\0"
        "ab"
        "\x01",
        15);
}

static void strings_do_not_run_into_each_other(void **state)
{
    struct row one = { .name = WEIR_STR("ab"), .city = WEIR_STR("c") };
    struct row other = { .name = WEIR_STR("a"), .city = WEIR_STR("bc") };
    char first[64];
    struct weir_key key = WEIR_KEY2(row, name, city);
    weir_str a = key_encode(&key, &one, first, sizeof(first));
    assert_false(weir_str_equal(a, encode(key, &other)));
}

static void a_key_larger_than_the_scratch_is_refused(void **state)
{
    struct row row = { .name = WEIR_STR("0123456789"), .number = 1 };
    struct weir_key key = WEIR_KEY2(row, name, number);
    for (size_t size = 0; size < 22; size++)
        assert_null(key_encode(&key, &row, scratch, size).data);
    assert_int_equal(key_encode(&key, &row, scratch, 22).size, 22);
    row.name.size = UINT64_MAX;
    assert_null(key_encode(&key, &row, scratch, 22).data);
}

static void unsound_keys_are_told(void **state)
{
    static const uint32_t name = offsetof(struct row, name);
    const struct {
        struct weir_key key;
        const char *said;
    } mistakes[] = {
        { { NULL, 1, { 0 } }, "a key has no type" },
        { { &row_type, 0, { 0 } }, "has 0 fields; allowed are 1 to 4" },
        { { &row_type, 5, { 0 } }, "has 5 fields; allowed are 1 to 4" },
        { { &row_type, 1, { offsetof(struct row, unlisted) } }, "that is no field" },
        { { &row_type, 2, { name, name } }, "uses the field 'name' twice" },
    };
    for (size_t i = 0; i < COUNT_OF(mistakes); i++)
        expect_error(key_validate(&mistakes[i].key), WEIR_E_PLAN, mistakes[i].said);
    struct weir_key key = WEIR_KEY2(row, name, flag);
    expect_ok(key_validate(&key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_key_is_its_bytes_borrowed),
        cmocka_unit_test(a_null_string_is_the_empty_key),
        cmocka_unit_test(a_number_key_is_its_bytes_borrowed),
        cmocka_unit_test(zeros_of_both_signs_are_two_keys),
        cmocka_unit_test(several_fields_follow_one_another),
        cmocka_unit_test(strings_do_not_run_into_each_other),
        cmocka_unit_test(a_key_larger_than_the_scratch_is_refused),
        cmocka_unit_test(unsound_keys_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

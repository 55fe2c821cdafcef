/* raw_test.c -- a message goes through the raw format as it is, null and empty told apart. */
#include <weir/connector.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const weir_str null = { NULL, 0 };

static const struct {
    weir_str key, value;
} rows[] = {
    { { "k", 1 }, { "value", 5 } },
    { { NULL, 0 }, { "v", 1 } },
    { { "k", 1 }, { NULL, 0 } },
    { { "", 0 }, { "", 0 } },
    { { NULL, 0 }, { NULL, 0 } },
    { { "a\0b", 3 }, { "\xff\xfe\n", 3 } },
};

static void decoding_borrows_the_message(void **state)
{
    struct weir_format format = weir_raw();
    assert_ptr_equal(format.type->fields, weir_raw().type->fields);
    assert_string_equal(format.type->name, "weir_message");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct weir_message message = { .topic = WEIR_STR("t"),
            .offset = 12,
            .timestamp_ms = 34,
            .key = rows[i].key,
            .value = rows[i].value,
            .partition = 5 };
        struct weir_message record = { 0 };
        assert_null(format.format_class->decode(&format, NULL, &message, &record));
        assert_memory_equal(&record, &message, sizeof(record));
    }
}

static bool same(weir_str expected, const weir_buffer *bytes, bool is_null)
{
    return is_null == (expected.data == NULL) &&
           weir_str_equal(is_null ? null : weir_buffer_view(bytes), expected);
}

static void encoding_passes_key_and_value_on(void **state)
{
    struct weir_format format = weir_raw();
    weir_buffer *key = weir_buffer_new(100), *value = weir_buffer_new(100);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct weir_message record = { .key = rows[i].key, .value = rows[i].value };
        bool key_is_null = true, value_is_null = false;
        weir_buffer_reset(key);
        weir_buffer_reset(value);
        assert_null(format.format_class->encode(&format, &record, key, value, &key_is_null,
            &value_is_null));
        assert_true(same(rows[i].key, key, key_is_null));
        assert_true(same(rows[i].value, value, value_is_null));
    }
    weir_buffer_free(key);
    weir_buffer_free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_borrows_the_message),
        cmocka_unit_test(encoding_passes_key_and_value_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* msgpack_test.c -- records of all kinds through the msgpack format; bad bytes are dead letters. */
#include "test/support/sample.h"

#include <weir/connector.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_record_comes_back_as_it_was_written(void **state)
{
    struct weir_format format = weir_msgpack(&sample_type);
    weir_buffer *key = weir_buffer_new(0), *value = weir_buffer_new(2u << 20);
    for (uint64_t i = 0; i < 3000; i++) {
        struct sample sent, got = { 0 };
        bool key_is_null = true, value_is_null = false;
        sample_fill(&sent, 5, i);
        weir_buffer_reset(value);
        assert_null(
            format.format_class->encode(&format, &sent, key, value, &key_is_null, &value_is_null));
        assert_true(key_is_null && !value_is_null && !weir_buffer_overflowed(key));
        struct weir_message message = { .value = weir_buffer_view(value) };
        assert_null(format.format_class->decode(&format, NULL, &message, &got));
        assert_true(sample_equal(&sent, &got));
    }
    weir_buffer_free(key);
    weir_buffer_free(value);
}

static void what_is_no_record_is_a_dead_letter(void **state)
{
    static const weir_str values[] = { { NULL, 0 }, { "", 0 }, { "\x81\x01", 2 },
        { "{\"index\":1}", 11 } };
    struct weir_format format = weir_msgpack(&sample_type);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct weir_message message = { .value = values[i] };
        struct sample got = { 0 };
        weir_error *error = format.format_class->decode(&format, NULL, &message, &got);
        assert_non_null(error);
        assert_int_equal(weir_error_code(error), WEIR_E_DATA);
        assert_string_equal(weir_error_reason(error), "bad-msgpack");
        weir_error_free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was_written),
        cmocka_unit_test(what_is_no_record_is_a_dead_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

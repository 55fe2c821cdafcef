/* json_write_test.c -- strings to JSON: what is escaped, what is repaired, and nothing else. */
#include "base/buffer.h"

#include <weir/json.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define T(literal_) \
    { \
        (literal_), sizeof(literal_) - 1 \
    }
#define REPLACED "\xef\xbf\xbd"

static const struct {
    weir_str text;
    const char *json;
} strings[] = {
    { T(""), "\"\"" },
    { T("plain"), "\"plain\"" },
    { T("a text of more than sixteen bytes"), "\"a text of more than sixteen bytes\"" },
    { T("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\"" },
    { T("\0\x01\x0b\x1f\x7f/"), "\"\\u0000\\u0001\\u000b\\u001f\x7f/\"" },
    { T("a line that is long\nand another one\n"), "\"a line that is long\\nand another one\\n\"" },
    { T("\xe5\x8c\x97\xe4\xba\xac \xf0\x9f\x98\x80"),
        "\"\xe5\x8c\x97\xe4\xba\xac \xf0\x9f\x98\x80\"" },
    { T("\xff"), "\"" REPLACED "\"" },
    { T("a\xc3(b\n"), "\"a" REPLACED "(b\\n\"" },
    { T("\xe5\x8c"), "\"" REPLACED REPLACED "\"" },
    { T("\xc3\xa9\xed\xa0\x80"), "\"\xc3\xa9" REPLACED REPLACED REPLACED "\"" },
    { { NULL, 0 }, "null" },
};

static void strings_are_escaped_minimally(void **state)
{
    weir_buffer *buffer = weir_buffer_new(1000);
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        weir_buffer_reset(buffer);
        weir_json_put_string(buffer, strings[i].text);
        assert_string_equal(buffer_text(buffer), strings[i].json);
    }
    weir_buffer_free(buffer);
}

static void every_two_bytes_make_good_json_and_read_back(void **state)
{
    weir_buffer *buffer = weir_buffer_new(1000);
    for (uint32_t i = 0; i < 65536; i++) {
        char bytes[20] = "0123456789abcdef", meaning[64];
        bytes[i % 15] = (char)(i >> 8);
        bytes[i % 15 + 1] = (char)i;
        weir_str text = { bytes, 16 };
        weir_buffer_reset(buffer);
        weir_json_put_string(buffer, text);
        struct weir_json_reader json;
        weir_json_open(&json, weir_buffer_view(buffer));
        assert_int_equal(weir_json_value(&json), WEIR_JSON_STRING);
        assert_true(weir_json_end(&json));
        if (!weir_utf8_valid(text))
            continue;
        assert_int_equal(weir_json_unescape(&json, meaning), 16);
        assert_memory_equal(meaning, bytes, 16);
    }
    weir_buffer_free(buffer);
}

static void what_does_not_fit_is_remembered(void **state)
{
    weir_buffer *buffer = weir_buffer_new(8);
    weir_json_put_string(buffer, WEIR_STR("123456"));
    assert_false(weir_buffer_overflowed(buffer));
    weir_buffer_reset(buffer);
    weir_json_put_string(buffer, WEIR_STR("1234567"));
    assert_true(weir_buffer_overflowed(buffer));
    weir_buffer_reset(buffer);
    weir_json_put_string(buffer, WEIR_STR("1234\n\n"));
    assert_true(weir_buffer_overflowed(buffer));
    weir_buffer_free(buffer);
}

static void truth_is_written(void **state)
{
    weir_buffer *buffer = weir_buffer_new(100);
    weir_json_put_bool(buffer, true);
    weir_json_put_bool(buffer, false);
    assert_string_equal(buffer_text(buffer), "truefalse");
    weir_buffer_free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_minimally),
        cmocka_unit_test(every_two_bytes_make_good_json_and_read_back),
        cmocka_unit_test(what_does_not_fit_is_remembered),
        cmocka_unit_test(truth_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

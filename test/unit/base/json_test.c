/* json_test.c -- the writer of JSON: commas, nesting, strings of any bytes, numbers at their limits. */
#include "base/json.h"

#include "base/buffer.h"
#include "test/support/expect.h"

#include <math.h>

static void expect_text(weir_buffer *out, const char *expected)
{
    assert_string_equal(buffer_text(out), expected);
    weir_buffer_free(out);
}

static void members_and_items_are_separated_by_commas_that_nobody_writes(void **state)
{
    weir_buffer *out = weir_buffer_new(1000);
    struct json json = json_to(out);
    json_put_object(&json, NULL);
    json_put_object(&json, "empty");
    json_put_end(&json);
    json_put_array(&json, "list");
    json_put_int(&json, NULL, -1);
    json_put_array(&json, NULL);
    json_put_end(&json);
    json_put_null(&json, NULL);
    json_put_end(&json);
    json_put_bool(&json, "yes", true);
    json_put_printf(&json, "id", "%02u.%s", 7u, "x");
    json_put_end(&json);
    expect_text(out, "{\"empty\":{},\"list\":[-1,[],null],\"yes\":true,\"id\":\"07.x\"}");
}

static void strings_of_any_bytes_are_json(void **state)
{
    weir_buffer *out = weir_buffer_new(1000);
    struct json json = json_to(out);
    json_put_array(&json, NULL);
    json_put_text(&json, NULL, "a\"b\\\n\x01\xc3\xa9");
    json_put_text(&json, NULL, "\xff\xc0\x80|\xe2\x82");
    json_put_text(&json, NULL, NULL);
    json_put_str(&json, NULL, (weir_str){ .data = "a\0b", .size = 3 });
    json_put_end(&json);
    expect_text(out, "[\"a\\\"b\\\\\\u000a\\u0001\xc3\xa9\","
                     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\",null,"
                     "\"a\\u0000b\"]");
}

static void numbers_keep_their_value(void **state)
{
    weir_buffer *out = weir_buffer_new(1000);
    struct json json = json_to(out);
    json_put_array(&json, NULL);
    json_put_int(&json, NULL, INT64_MIN);
    json_put_uint(&json, NULL, UINT64_MAX);
    json_put_real(&json, NULL, 0.1);
    json_put_real(&json, NULL, NAN);
    json_put_real(&json, NULL, INFINITY);
    json_put_real(&json, NULL, -INFINITY);
    json_put_end(&json);
    expect_text(out, "[-9223372036854775808,18446744073709551615,0.10000000000000001,\"NaN\","
                     "\"Infinity\",\"-Infinity\"]");
}

static void what_is_text_is_utf8(void **state)
{
    assert_true(json_is_text(weir_str_of("")));
    assert_true(json_is_text(weir_str_of("\xf0\x9f\x98\x80")));
    assert_false(json_is_text(weir_str_of("\xf4\x90\x80\x80")));
    assert_false(json_is_text(weir_str_of("a\xe2\x82")));
}

static void name_an_item(void *arg)
{
    struct json json = json_to(arg);
    json_put_array(&json, NULL);
    json_put_int(&json, "name", 1);
}

static void forget_a_name(void *arg)
{
    struct json json = json_to(arg);
    json_put_object(&json, NULL);
    json_put_int(&json, NULL, 1);
}

static void a_name_in_an_array_and_none_in_an_object_abort(void **state)
{
    weir_buffer *out = weir_buffer_new(1000);
    expect_abort(name_an_item, out);
    expect_abort(forget_a_name, out);
    weir_buffer_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_items_are_separated_by_commas_that_nobody_writes),
        cmocka_unit_test(strings_of_any_bytes_are_json),
        cmocka_unit_test(numbers_keep_their_value),
        cmocka_unit_test(what_is_text_is_utf8),
        cmocka_unit_test(a_name_in_an_array_and_none_in_an_object_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* json_text_test.c -- stored entries as JSON: numbers at their limits, bytes that are no text, keys of any shape. */
#include "cli/json_text.h"

#include "base/buffer.h"
#include "test/support/expect.h"
#include "types/key.h"

#include <math.h>

struct all {
    bool truth;
    int32_t small;
    uint32_t positive;
    int64_t big;
    uint64_t huge;
    double real;
    weir_str text;
};
WEIR_TYPE(all, WEIR_FIELD(1, all, truth), WEIR_FIELD(2, all, small), WEIR_FIELD(3, all, positive),
    WEIR_FIELD(4, all, big), WEIR_FIELD(5, all, huge), WEIR_FIELD(6, all, real),
    WEIR_FIELD(7, all, text));

#define BYTES(literal_) \
    { \
        .data = (literal_), .size = sizeof(literal_) - 1 \
    }

static void expect_text(weir_buffer *out, const char *expected)
{
    assert_string_equal(buffer_text(out), expected);
    weir_buffer_free(out);
}

static void records_are_objects_with_exact_numbers(void **state)
{
    const struct all record = { true, INT32_MIN, UINT32_MAX, INT64_MIN, UINT64_MAX, 0.1,
        WEIR_STR("a\"b\\\n\xc3\xa9") };
    weir_buffer *out = weir_buffer_new(1000);
    json_record(&all_type, &record, out);
    expect_text(out, "{\"truth\":true,\"small\":-2147483648,\"positive\":4294967295,"
                     "\"big\":-9223372036854775808,\"huge\":18446744073709551615,"
                     "\"real\":0.10000000000000001,\"text\":\"a\\\"b\\\\\\u000a\xc3\xa9\"}");
}

static void what_json_has_not_is_said_otherwise(void **state)
{
    static const struct {
        double real;
        weir_str text;
        const char *expected;
    } rows[] = {
        { NAN, { .data = NULL }, "\"real\":\"NaN\",\"text\":null}" },
        { INFINITY, BYTES(""), "\"real\":\"Infinity\",\"text\":\"\"}" },
        { -INFINITY, BYTES("\xff"), "\"real\":\"-Infinity\",\"text\":{\"hex\":\"ff\"}}" },
        { 0, BYTES("\xc0\x80"), "\"text\":{\"hex\":\"c080\"}}" },
        { 0, BYTES("\xed\xa0\x80"), "\"text\":{\"hex\":\"eda080\"}}" },
        { 0, BYTES("\xf4\x90\x80\x80"), "\"text\":{\"hex\":\"f4908080\"}}" },
        { 0, BYTES("\xf0\x9f\x98\x80"), "\"text\":\"\xf0\x9f\x98\x80\"}" },
        { 0, BYTES("\xe2\x82"), "\"text\":{\"hex\":\"e282\"}}" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct all record = { .real = rows[i].real, .text = rows[i].text };
        weir_buffer *out = weir_buffer_new(1000);
        json_record(&all_type, &record, out);
        assert_non_null(strstr(buffer_text(out), rows[i].expected));
        weir_buffer_free(out);
    }
}

static void keys_are_taken_apart_as_they_were_put_together(void **state)
{
    const struct all record = { .small = -7, .huge = 9, .text = WEIR_STR("ann") };
    const struct {
        struct weir_key key;
        const char *expected;
    } rows[] = {
        { WEIR_KEY(all, text), "{\"text\":\"ann\"}" },
        { WEIR_KEY(all, small), "{\"small\":-7}" },
        { WEIR_KEY2(all, text, huge), "{\"text\":\"ann\",\"huge\":9}" },
        { WEIR_KEY2(all, truth, text), "{\"truth\":false,\"text\":\"ann\"}" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char scratch[64];
        struct state_schema schema;
        state_schema_of(&schema, &rows[i].key, NULL, 0);
        weir_str key = key_encode(&rows[i].key, &record, scratch, sizeof(scratch));
        weir_buffer *out = weir_buffer_new(1000);
        json_key(&schema, key, out);
        expect_text(out, rows[i].expected);
    }
}

static void a_key_that_is_none_is_bytes(void **state)
{
    struct weir_key key = WEIR_KEY2(all, text, huge);
    struct state_schema schema;
    static const weir_str rows[] = { BYTES("\xff\xff\xff\xff"), BYTES("\x01\x02"),
        BYTES("\x01\x00\x00\x00z12345678more") };
    state_schema_of(&schema, &key, NULL, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        weir_buffer *out = weir_buffer_new(1000);
        json_key(&schema, rows[i], out);
        assert_int_equal(strncmp(buffer_text(out), "{\"hex\":\"", 8), 0);
        weir_buffer_free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_objects_with_exact_numbers),
        cmocka_unit_test(what_json_has_not_is_said_otherwise),
        cmocka_unit_test(keys_are_taken_apart_as_they_were_put_together),
        cmocka_unit_test(a_key_that_is_none_is_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

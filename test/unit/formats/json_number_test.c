/* json_number_test.c -- numbers in and out: borders, rounding, shortest decimals, another
 * locale. */
#include "base/buffer.h"

#include <weir/json.h>

#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *text;
    bool is_i64, is_u64;
    int64_t i64;
    uint64_t u64;
} integers[] = {
    { "0", true, true, 0, 0 },
    { "-0", true, true, 0, 0 },
    { "7", true, true, 7, 7 },
    { "-7", true, false, -7, 0 },
    { "1716200000123", true, true, INT64_C(1716200000123), UINT64_C(1716200000123) },
    { "9223372036854775807", true, true, INT64_MAX, INT64_MAX },
    { "9223372036854775808", false, true, 0, UINT64_C(9223372036854775808) },
    { "-9223372036854775808", true, false, INT64_MIN, 0 },
    { "-9223372036854775809", false, false, 0, 0 },
    { "9999999999999999999", false, true, 0, UINT64_C(9999999999999999999) },
    { "18446744073709551615", false, true, 0, UINT64_MAX },
    { "18446744073709551616", false, false, 0, 0 },
    { "99999999999999999999", false, false, 0, 0 },
    { "100000000000000000000", false, false, 0, 0 },
    { "1.0", false, false, 0, 0 },
    { "1e3", false, false, 0, 0 },
};

static void integers_are_read_in_range(void **state)
{
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
        weir_str text = weir_str_of(integers[i].text);
        int64_t i64 = 0;
        uint64_t u64 = 0;
        assert_true(weir_json_to_i64(text, &i64) == integers[i].is_i64);
        assert_true(!integers[i].is_i64 || i64 == integers[i].i64);
        assert_true(weir_json_to_u64(text, &u64) == integers[i].is_u64);
        assert_true(!integers[i].is_u64 || u64 == integers[i].u64);
    }
}

static const struct {
    const char *text;
    double value;
} doubles[] = {
    { "0", 0.0 },
    { "0.0e99999999999", 0.0 },
    { "129.5", 129.5 },
    { "0.1", 0.1 },
    { "1e22", 1e22 },
    { "1e23", 1e23 },
    { "9007199254740993", 9007199254740992.0 },
    { "9007199254740993.00000000000000000000001", 9007199254740994.0 },
    { "123456789012345678901234567890", 123456789012345678901234567890.0 },
    { "0.000001e6", 1.0 },
    { "4.9406564584124654e-324", 4.9406564584124654e-324 },
    { "2.4703282292062327e-324", 0.0 },
    { "2.4703282292062328e-324", 4.9406564584124654e-324 },
    { "2.2250738585072011e-308", 2.2250738585072011e-308 },
    { "1.7976931348623157e308", DBL_MAX },
    { "1e-99999999999999999999", 0.0 },
    { "1.00000000000000011102230246251565404236316680908203125", 1.0 },
    { "1.00000000000000011102230246251565404236316680908203124", 1.0 },
    { "1.00000000000000011102230246251565404236316680908203126", 1.0000000000000002 },
};

static void doubles_are_rounded_right(void **state)
{
    for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++) {
        double value = -1;
        assert_true(weir_json_to_f64(weir_str_of(doubles[i].text), &value));
        if (value != doubles[i].value)
            fail_msg("%s is %.17g", doubles[i].text, value);
        char text[100];
        snprintf(text, sizeof(text), "-%s", doubles[i].text);
        assert_true(weir_json_to_f64(weir_str_of(text), &value));
        assert_true(value == -doubles[i].value && signbit(value));
    }
}

static void what_is_too_large_for_a_double_is_refused(void **state)
{
    double value;
    assert_false(weir_json_to_f64(WEIR_STR("1.8e308"), &value));
    assert_false(weir_json_to_f64(WEIR_STR("-1e309"), &value));
    assert_false(weir_json_to_f64(WEIR_STR("1e99999999999999999999"), &value));
}

/* 1 + 2^-53 exactly is a tie that goes to 1; a digit a thousand places later decides otherwise. */
static void a_digit_far_behind_still_decides(void **state)
{
    char text[2000] = "1.00000000000000011102230246251565404236316680908203125";
    size_t size = strlen(text);
    memset(text + size, '0', 1000);
    double value;
    assert_true(weir_json_to_f64((weir_str){ text, size + 1000 }, &value));
    assert_true(value == 1.0);
    text[size + 999] = '1';
    assert_true(weir_json_to_f64((weir_str){ text, size + 1000 }, &value));
    assert_true(value == 1.0000000000000002);
    memset(text, '9', 1500);
    assert_false(weir_json_to_f64((weir_str){ text, 1500 }, &value));
    memcpy(text + 1490, "e-1490", 6);
    assert_true(weir_json_to_f64((weir_str){ text, 1496 }, &value));
    assert_true(value == 1.0);
}

/* -- writing ---------------------------------------------------------------------------------- */

static const char *f64_text(weir_buffer *buffer, double value)
{
    weir_buffer_reset(buffer);
    weir_json_put_f64(buffer, value);
    return buffer_text(buffer);
}

static const struct {
    double value;
    const char *text;
} written[] = {
    { 0.0, "0" },
    { -0.0, "-0" },
    { 1.0, "1" },
    { -129.5, "-129.5" },
    { 0.1, "0.1" },
    { 0.3, "0.3" },
    { 0.1 + 0.2, "0.30000000000000004" },
    { 1.0 / 3, "0.3333333333333333" },
    { 123456.789, "123456.789" },
    { 0.000123, "0.000123" },
    { 0.00000123, "0.00000123" },
    { 0.000000123, "1.23e-7" },
    { 999999999999999.0, "999999999999999" },
    { 9007199254740993.0, "9007199254740992" },
    { 123456789012345680000.0, "123456789012345680000" },
    { 1e21, "1e21" },
    { 1.5e300, "1.5e300" },
    { DBL_MAX, "1.7976931348623157e308" },
    { DBL_MIN, "2.2250738585072014e-308" },
    { 5e-324, "5e-324" },
    { 1e23, "1e23" },
    { 100, "100" },
    { 1e15, "1000000000000000" },
    { NAN, "null" },
    { INFINITY, "null" },
    { -INFINITY, "null" },
};

static void doubles_are_written_shortly(void **state)
{
    weir_buffer *buffer = weir_buffer_new(1000);
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++)
        assert_string_equal(f64_text(buffer, written[i].value), written[i].text);
    weir_buffer_free(buffer);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed ^ *seed >> 29;
}

static void every_double_reads_back_as_itself(void **state)
{
    weir_buffer *buffer = weir_buffer_new(1000);
    uint64_t seed = 1;
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t bits = next_random(&seed);
        double value, back;
        memcpy(&value, &bits, sizeof(value));
        if (i % 2 == 0)
            value = (double)(int64_t)(bits >> 30) / 10000;
        if (!isfinite(value))
            continue;
        const char *text = f64_text(buffer, value);
        assert_true(weir_json_to_f64(weir_str_of(text), &back));
        if (memcmp(&value, &back, sizeof(value)) != 0 || back != strtod(text, NULL))
            fail_msg("%.17g was written as %s", value, text);
        struct weir_json_reader json;
        weir_json_open(&json, weir_str_of(text));
        assert_int_equal(weir_json_value(&json), WEIR_JSON_NUMBER);
        assert_true(weir_json_end(&json));
    }
    weir_buffer_free(buffer);
}

static void integers_are_written_to_the_last_one(void **state)
{
    static const int64_t values[] = { 0, 9, 10, 99, 100, 12345, -1, -10, INT64_MAX, INT64_MIN };
    weir_buffer *buffer = weir_buffer_new(1000);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "%lld", (long long)values[i]);
        weir_buffer_reset(buffer);
        weir_json_put_i64(buffer, values[i]);
        assert_string_equal(buffer_text(buffer), expected);
        snprintf(expected, sizeof(expected), "%llu", (unsigned long long)values[i]);
        weir_buffer_reset(buffer);
        weir_json_put_u64(buffer, (uint64_t)values[i]);
        assert_string_equal(buffer_text(buffer), expected);
    }
    weir_buffer_free(buffer);
}

static void the_locale_changes_nothing(void **state)
{
    static const char *const locales[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8",
        "ru_RU.UTF-8" };
    weir_buffer *buffer = weir_buffer_new(1000);
    bool is_found = false;
    for (size_t i = 0; i < 4; i++)
        is_found = is_found || setlocale(LC_ALL, locales[i]) != NULL;
    if (!is_found)
        print_message("no locale with a decimal comma is installed\n");
    double value;
    assert_true(weir_json_to_f64(WEIR_STR("0.30000000000000004"), &value));
    assert_true(value == 0.1 + 0.2);
    assert_string_equal(f64_text(buffer, value), "0.30000000000000004");
    setlocale(LC_ALL, "C");
    weir_buffer_free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_in_range),
        cmocka_unit_test(doubles_are_rounded_right),
        cmocka_unit_test(what_is_too_large_for_a_double_is_refused),
        cmocka_unit_test(a_digit_far_behind_still_decides),
        cmocka_unit_test(doubles_are_written_shortly),
        cmocka_unit_test(every_double_reads_back_as_itself),
        cmocka_unit_test(integers_are_written_to_the_last_one),
        cmocka_unit_test(the_locale_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* number_test.c -- what is a number and what is not, to the last bit and in any locale. */
#include "formats/number.h"

#include "test/support/sample.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

static void integers_are_strict_and_of_their_range(void **state)
{
    static const struct {
        const char *text;
        int64_t min, max;
        bool is_valid;
        int64_t value;
    } rows[] = {
        { "0", -5, 5, true, 0 }, { "-0", -5, 5, true, 0 }, { "007", -10, 10, true, 7 },
        { "5", -5, 5, true, 5 }, { "6", -5, 5, false, 0 }, { "-5", -5, 5, true, -5 },
        { "-6", -5, 5, false, 0 }, { "55", -5, 5, false, 0 },
        { "2147483647", INT32_MIN, INT32_MAX, true, INT32_MAX },
        { "2147483648", INT32_MIN, INT32_MAX, false, 0 },
        { "-2147483648", INT32_MIN, INT32_MAX, true, INT32_MIN },
        { "-2147483649", INT32_MIN, INT32_MAX, false, 0 },
        { "9223372036854775807", INT64_MIN, INT64_MAX, true, INT64_MAX },
        { "9223372036854775808", INT64_MIN, INT64_MAX, false, 0 },
        { "-9223372036854775808", INT64_MIN, INT64_MAX, true, INT64_MIN },
        { "-9223372036854775809", INT64_MIN, INT64_MAX, false, 0 },
        { "99999999999999999999999", INT64_MIN, INT64_MAX, false, 0 },
        { "", INT64_MIN, INT64_MAX, false, 0 }, { "-", INT64_MIN, INT64_MAX, false, 0 },
        { "+1", INT64_MIN, INT64_MAX, false, 0 }, { "--1", INT64_MIN, INT64_MAX, false, 0 },
        { " 1", INT64_MIN, INT64_MAX, false, 0 }, { "1 ", INT64_MIN, INT64_MAX, false, 0 },
        { "1.0", INT64_MIN, INT64_MAX, false, 0 }, { "1e2", INT64_MIN, INT64_MAX, false, 0 },
        { "0x1", INT64_MIN, INT64_MAX, false, 0 },
        { "\xd9\xa1", INT64_MIN, INT64_MAX, false, 0 }, /* an Arabic one */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = 77;
        bool is_valid =
            number_parse_i64(weir_str_of(rows[i].text), rows[i].min, rows[i].max, &value);
        assert_int_equal(is_valid, rows[i].is_valid);
        assert_int_equal(value, is_valid ? rows[i].value : 77);
    }
}

static void naturals_are_strict_and_of_their_range(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool is_valid;
        uint64_t value;
    } rows[] = {
        { "0", 0, true, 0 },
        { "1", 0, false, 0 },
        { "4294967295", UINT32_MAX, true, UINT32_MAX },
        { "4294967296", UINT32_MAX, false, 0 },
        { "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
        { "18446744073709551616", UINT64_MAX, false, 0 },
        { "28446744073709551615", UINT64_MAX, false, 0 },
        { "-1", UINT64_MAX, false, 0 },
        { "-0", UINT64_MAX, false, 0 },
        { "", UINT64_MAX, false, 0 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t value = 77;
        bool is_valid = number_parse_u64(weir_str_of(rows[i].text), rows[i].max, &value);
        assert_int_equal(is_valid, rows[i].is_valid);
        assert_int_equal(value, is_valid ? rows[i].value : 77);
    }
}

static void doubles_follow_the_grammar(void **state)
{
    static const struct {
        const char *text;
        bool is_valid;
        double value;
    } rows[] = {
        { "0", true, 0 },
        { "-0", true, -0.0 },
        { "1.5", true, 1.5 },
        { "-1.5e3", true, -1500 },
        { "1E+2", true, 100 },
        { "1e-2", true, 0.01 },
        { "00.10", true, 0.1 },
        { "123456789012345678", true, 123456789012345678.0 },
        { "0.1234567890123456789012345678901234567890", true, 0.12345678901234568 },
        { "9007199254740993", true, 9007199254740992.0 },
        { "1e22", true, 1e22 },
        { "1e23", true, 1e23 },
        { "1e308", true, 1e308 },
        { "2.2250738585072011e-308", true, 2.2250738585072011e-308 },
        { "4.9e-324", true, 4.9e-324 },
        { "1e-400", true, 0 },
        { "0e999999999999", true, 0 },
        { "NaN", true, (double)NAN },
        { "Infinity", true, (double)INFINITY },
        { "-Infinity", true, (double)-INFINITY },
        { "1e309", false, 0 },
        { "1e999999999999999999999", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "+1", false, 0 },
        { ".5", false, 0 },
        { "1.", false, 0 },
        { "1e", false, 0 },
        { "1e+", false, 0 },
        { "1e1.5", false, 0 },
        { "1,5", false, 0 },
        { "0x10", false, 0 },
        { "inf", false, 0 },
        { "nan", false, 0 },
        { "-NaN", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        double value = 77;
        bool is_valid = number_parse_f64(weir_str_of(rows[i].text), &value);
        assert_int_equal(is_valid, rows[i].is_valid);
        double expected = is_valid ? rows[i].value : 77;
        if (isnan(expected))
            assert_true(isnan(value));
        else
            assert_memory_equal(&value, &expected, sizeof(value));
    }
}

static void a_long_double_is_read_and_a_longer_one_refused(void **state)
{
    char text[NUMBER_TEXT_MAX + 1];
    memset(text, '1', sizeof(text));
    text[1] = '.';
    double value = 0;
    assert_true(number_parse_f64((weir_str){ text, NUMBER_TEXT_MAX }, &value));
    assert_true(value > 1.11 && value < 1.12);
    assert_false(number_parse_f64((weir_str){ text, NUMBER_TEXT_MAX + 1 }, &value));
}

/* Any bits, and decimals as people write them. */
static double some_double(uint64_t index)
{
    uint64_t random = sample_random(11, index);
    double value;
    memcpy(&value, &random, sizeof(value));
    if (index % 2 == 0)
        return value;
    return (double)(int64_t)(random >> 40) / (double)(1 << random % 20) / 100;
}

static void a_printed_double_reads_back_to_its_bits(void **state)
{
    weir_buffer *out = weir_buffer_new(100);
    for (uint64_t i = 0; i < 200000; i++) {
        double value = some_double(i), back;
        weir_buffer_reset(out);
        number_print_f64(out, value);
        assert_true(number_parse_f64(weir_buffer_view(out), &back));
        if (isnan(value))
            assert_true(isnan(back));
        else
            assert_memory_equal(&back, &value, sizeof(back));
    }
    weir_buffer_free(out);
}

/* The fast path against libc, on decimals of up to 19 digits and exponents around its limits. */
static void reading_agrees_with_libc(void **state)
{
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t random = sample_random(12, i);
        char text[64];
        snprintf(text, sizeof(text), "%s%llu.%llue%d", random & 1 ? "-" : "",
            (unsigned long long)(random >> (8 + random % 50)), (unsigned long long)(random % 1000),
            (int)(random >> 3 & 63) - 32);
        double value, expected = strtod(text, NULL);
        assert_true(number_parse_f64(weir_str_of(text), &value));
        assert_memory_equal(&value, &expected, sizeof(value));
    }
}

static void doubles_are_printed_short_and_without_a_locale(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = { { 0.1, "0.1" }, { 1500, "1500" }, { -2.5, "-2.5" }, { 1e300, "1e+300" },
        { 0.30000000000000004, "0.30000000000000004" }, { -0.0, "-0" } };
    weir_buffer *out = weir_buffer_new(100);
    /* Only where the machine has one of them; the others test nothing but do no harm. */
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL)
        setlocale(LC_NUMERIC, "fr_FR.UTF-8");
    for (size_t i = 0; i < COUNT(rows); i++) {
        weir_buffer_reset(out);
        number_print_f64(out, rows[i].value);
        assert_true(weir_str_equal(weir_buffer_view(out), weir_str_of(rows[i].text)));
    }
    double value;
    assert_true(number_parse_f64(WEIR_STR("0.123456789012345678901234"), &value));
    assert_true(value > 0.12);
    setlocale(LC_NUMERIC, "C");
    weir_buffer_free(out);
}

static void integers_are_printed_to_their_limits(void **state)
{
    static const int64_t values[] = { 0, 1, -1, 42, INT64_MAX, INT64_MIN };
    static const char *const texts[] = { "0", "1", "-1", "42", "9223372036854775807",
        "-9223372036854775808" };
    weir_buffer *out = weir_buffer_new(100);
    for (size_t i = 0; i < COUNT(values); i++) {
        weir_buffer_reset(out);
        number_print_i64(out, values[i]);
        assert_true(weir_str_equal(weir_buffer_view(out), weir_str_of(texts[i])));
    }
    weir_buffer_reset(out);
    number_print_u64(out, UINT64_MAX);
    assert_true(weir_str_equal(weir_buffer_view(out), WEIR_STR("18446744073709551615")));
    weir_buffer_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_strict_and_of_their_range),
        cmocka_unit_test(naturals_are_strict_and_of_their_range),
        cmocka_unit_test(doubles_follow_the_grammar),
        cmocka_unit_test(a_long_double_is_read_and_a_longer_one_refused),
        cmocka_unit_test(a_printed_double_reads_back_to_its_bits),
        cmocka_unit_test(reading_agrees_with_libc),
        cmocka_unit_test(doubles_are_printed_short_and_without_a_locale),
        cmocka_unit_test(integers_are_printed_to_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* number.c -- decimal numbers in text.
 *
 * libc's strtod and printf do the hard cases of doubles right, but ask the process for its locale:
 * a program that sets a German one would read "1.5" as 1. Hence the _l form for reading, and for
 * printing a thread's own locale around the call. */
#include "formats/number.h"

#include "base/assert.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* -- integers ------------------------------------------------------------------------------- */

static bool parse_digits(const char *at, const char *end, uint64_t max, uint64_t *value)
{
    if (at == end)
        return false;
    uint64_t sum = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned char)*at - (unsigned)'0';
        if (digit > 9)
            return false;
        if (sum > (max - digit) / 10 || digit > max)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

bool number_parse_u64(weir_str text, uint64_t max, uint64_t *value)
{
    return text.size > 0 && parse_digits(text.data, text.data + text.size, max, value);
}

bool number_parse_i64(weir_str text, int64_t min, int64_t max, int64_t *value)
{
    ASSERT(min <= 0 && max >= 0);
    if (text.size == 0)
        return false;
    uint64_t magnitude;
    const char *end = text.data + text.size;
    if (text.data[0] != '-') {
        if (!parse_digits(text.data, end, (uint64_t)max, &magnitude))
            return false;
        *value = (int64_t)magnitude;
        return true;
    }
    if (!parse_digits(text.data + 1, end, 0 - (uint64_t)min, &magnitude))
        return false;
    *value = (int64_t)(0 - magnitude);
    return true;
}

/* The digits are written backwards, from the end of the array. */
static char *print_digits(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

void number_print_u64(weir_buffer *out, uint64_t value)
{
    char digits[24], *end = digits + sizeof(digits);
    char *start = print_digits(end, value);
    weir_buffer_add(out, start, (size_t)(end - start));
}

void number_print_i64(weir_buffer *out, int64_t value)
{
    char digits[24], *end = digits + sizeof(digits);
    char *start = print_digits(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    if (value < 0)
        *--start = '-';
    weir_buffer_add(out, start, (size_t)(end - start));
}

/* -- doubles -------------------------------------------------------------------------------- */

/* A number by the grammar: digits without point, up to 19 of them, and the power of ten. */
struct decimal {
    uint64_t digits;
    int64_t exponent;
    bool is_negative;
    bool is_cut; /* more than 19 digits: the value is not exact */
};

static const char *scan_digits(const char *at, const char *end, bool is_fraction,
    struct decimal *decimal)
{
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (decimal->digits >= UINT64_C(1000000000000000000)) {
            decimal->is_cut = true;
            continue;
        }
        decimal->digits = decimal->digits * 10 + (uint64_t)(*at - '0');
        decimal->exponent -= is_fraction;
    }
    return at;
}

static bool scan_exponent(const char *at, const char *end, struct decimal *decimal)
{
    bool is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    int64_t exponent = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        if (exponent < 1000000) /* far outside of any double */
            exponent = exponent * 10 + (*at - '0');
    }
    decimal->exponent += is_negative ? -exponent : exponent;
    return true;
}

/* True: the text is a number by the grammar. */
static bool scan_decimal(weir_str text, struct decimal *decimal)
{
    const char *at = text.data, *end = text.data + text.size;
    *decimal = (struct decimal){ .is_negative = at < end && *at == '-' };
    at += decimal->is_negative;
    const char *whole = at;
    at = scan_digits(at, end, false, decimal);
    if (at == whole)
        return false;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        at = scan_digits(at, end, true, decimal);
        if (at == fraction)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E'))
        return scan_exponent(at + 1, end, decimal);
    return at == end;
}

/* Exact when digits and power are doubles without rounding: then one operation rounds once. */
static bool fast_path(const struct decimal *decimal, double *value)
{
    static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (decimal->is_cut || decimal->digits > UINT64_C(1) << 53)
        return false;
    if (decimal->exponent < -22 || decimal->exponent > 22)
        return false;
    double digits = (double)decimal->digits;
    double result = decimal->exponent < 0 ? digits / powers[-decimal->exponent]
                                          : digits * powers[decimal->exponent];
    *value = decimal->is_negative ? -result : result;
    return true;
}

static pthread_once_t locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    ASSERT(c_locale != (locale_t)0);
}

static bool slow_path(weir_str text, double *value)
{
    char terminated[NUMBER_TEXT_MAX + 1];
    char *end;
    memcpy(terminated, text.data, text.size);
    terminated[text.size] = '\0';
    pthread_once(&locale_once, make_locale);
    double result = strtod_l(terminated, &end, c_locale);
    ASSERT(end == terminated + text.size); /* the grammar is a part of strtod's */
    if (isinf(result))
        return false;
    *value = result;
    return true;
}

static bool parse_special(weir_str text, double *value)
{
    static const struct {
        weir_str text;
        double value;
    } rows[] = {
        { { "NaN", 3 }, (double)NAN },
        { { "Infinity", 8 }, (double)INFINITY },
        { { "-Infinity", 9 }, (double)-INFINITY },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (weir_str_equal(text, rows[i].text)) {
            *value = rows[i].value;
            return true;
        }
    return false;
}

bool number_parse_f64(weir_str text, double *value)
{
    struct decimal decimal;
    if (text.size == 0 || text.size > NUMBER_TEXT_MAX)
        return false;
    if (!scan_decimal(text, &decimal))
        return parse_special(text, value);
    return fast_path(&decimal, value) || slow_path(text, value);
}

/* 15 digits are exact in every double, 17 tell any two apart: the first that reads back wins. */
static int print_finite(char *text, size_t size, double value)
{
    int length = 0;
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, size, "%.*g", digits, value);
        ASSERT(length > 0 && (size_t)length < size);
        double back;
        if (number_parse_f64((weir_str){ .data = text, .size = (size_t)length }, &back) &&
            back == value)
            break;
    }
    return length;
}

void number_print_f64(weir_buffer *out, double value)
{
    if (isnan(value)) {
        weir_buffer_add_str(out, WEIR_STR("NaN"));
        return;
    }
    if (isinf(value)) {
        weir_buffer_add_str(out, value < 0 ? WEIR_STR("-Infinity") : WEIR_STR("Infinity"));
        return;
    }
    char text[40];
    pthread_once(&locale_once, make_locale);
    locale_t before = uselocale(c_locale);
    int length = print_finite(text, sizeof(text), value);
    uselocale(before);
    weir_buffer_add(out, text, (size_t)length);
}

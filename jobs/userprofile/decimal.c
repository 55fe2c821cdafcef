/* decimal.c -- see decimal.h. */
#include "jobs/userprofile/decimal.h"

#define UNITS_DIGITS_MAX 17                   /* of DECIMAL_UNITS_MAX */
#define EXPONENT_MAX     INT64_C(10000000000) /* larger than any text has digits: cut there */

/* The parts of a JSON number. */
struct number {
    weir_str whole, fraction;
    int64_t exponent;
    bool is_negative;
};

static weir_str take_digits(const char **at, const char *end)
{
    const char *start = *at;
    while (*at < end && **at >= '0' && **at <= '9')
        (*at)++;
    return (weir_str){ .data = start, .size = (uint64_t)(*at - start) };
}

static int64_t take_exponent(const char **at, const char *end)
{
    bool is_negative = **at == '-';
    if (**at == '-' || **at == '+')
        (*at)++;
    int64_t exponent = 0;
    for (; *at < end; (*at)++)
        if (exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (**at - '0');
    if (exponent > EXPONENT_MAX)
        exponent = EXPONENT_MAX;
    return is_negative ? -exponent : exponent;
}

static struct number split(weir_str text)
{
    const char *at = text.data, *end = text.data + text.size;
    struct number number = { .is_negative = *at == '-' };
    if (number.is_negative)
        at++;
    number.whole = take_digits(&at, end);
    number.fraction = (weir_str){ .data = at, .size = 0 };
    if (at < end && *at == '.') {
        at++;
        number.fraction = take_digits(&at, end);
    }
    if (at < end) { /* e or E */
        at++;
        number.exponent = take_exponent(&at, end);
    }
    return number;
}

/* Digit `index` of whole and fraction together; a zero behind the last one. */
static unsigned digit_at(const struct number *number, uint64_t index)
{
    if (index < number->whole.size)
        return (unsigned)(number->whole.data[index] - '0');
    index -= number->whole.size;
    return index < number->fraction.size ? (unsigned)(number->fraction.data[index] - '0') : 0;
}

bool decimal_parse(weir_str text, int64_t *units)
{
    struct number number = split(text);
    uint64_t digit_count = number.whole.size + number.fraction.size, first = 0;
    while (first < digit_count && digit_at(&number, first) == 0)
        first++;
    *units = 0;
    if (first == digit_count)
        return true;
    int64_t point = (int64_t)number.whole.size - (int64_t)first + number.exponent;
    int64_t size = point + DECIMAL_DIGITS;
    if (size < 0)
        return true;
    if (size > UNITS_DIGITS_MAX)
        return false;
    int64_t sum = 0;
    for (uint64_t i = 0; i < (uint64_t)size; i++)
        sum = sum * 10 + digit_at(&number, first + i);
    sum += digit_at(&number, first + (uint64_t)size) >= 5;
    *units = number.is_negative ? -sum : sum;
    return sum <= DECIMAL_UNITS_MAX;
}

/* Two digits each: half the divisions, which are most of it. */
static char *put_pair(char *end, uint64_t pair)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    return memcpy(end - 2, pairs + 2 * pair, 2);
}

char *decimal_digits(uint64_t number, char *end)
{
    for (; number >= 100; number /= 100)
        end = put_pair(end, number % 100);
    if (number >= 10)
        return put_pair(end, number);
    *--end = (char)('0' + number);
    return end;
}

size_t decimal_print(int64_t units, char *to)
{
    char digits[DECIMAL_TEXT_MAX], *end = digits + sizeof(digits);
    uint64_t magnitude = units < 0 ? 0 - (uint64_t)units : (uint64_t)units;
    char *start = put_pair(put_pair(end, magnitude % 100), magnitude / 100 % 100);
    *--start = '.';
    start = decimal_digits(magnitude / 10000, start);
    if (units < 0)
        *--start = '-';
    size_t size = (size_t)(end - start);
    memcpy(to, start, size);
    return size;
}

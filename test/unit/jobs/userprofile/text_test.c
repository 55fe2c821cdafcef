/* text_test.c -- the job's JSON text: escapes, numbers and the limit, against the slow way. */
#include "jobs/userprofile/text.h"

#include "jobs/userprofile/decimal.h"
#include "test/support/expect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PIECE_MAX  20u
#define ESCAPE_MAX 6u

/* One byte as JSON has it; returns the size. */
static size_t escape_slowly(unsigned char byte, char *to)
{
    static const char bytes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = byte == 0 ? NULL : strchr(bytes, byte);
    if (found != NULL)
        return (size_t)snprintf(to, ESCAPE_MAX + 1, "\\%c", letters[found - bytes]);
    if (byte < 0x20)
        return (size_t)snprintf(to, ESCAPE_MAX + 1, "\\u%04x", byte);
    *to = (char)byte;
    return 1;
}

static void expect_escaped(struct text *text, const unsigned char *bytes, size_t size)
{
    char wanted[PIECE_MAX * ESCAPE_MAX + 1];
    size_t wanted_size = 0;
    char *piece = malloc(size == 0 ? 1 : size); /* so that the sanitizer sees a look behind it */
    assert_non_null(piece);
    if (size > 0)
        memcpy(piece, bytes, size);
    for (size_t i = 0; i < size; i++)
        wanted_size += escape_slowly(bytes[i], wanted + wanted_size);
    text_reset(text);
    text_escape(text, (weir_str){ .data = piece, .size = size });
    assert_int_equal(text->size, wanted_size);
    if (size > 0)
        assert_memory_equal(text->bytes, wanted, wanted_size);
    free(piece);
}

static void every_byte_is_escaped_as_json_asks_wherever_it_stands(void **state)
{
    unsigned char bytes[PIECE_MAX];
    struct text text;
    text_init(&text, 1000);
    for (size_t size = 0; size <= PIECE_MAX; size++)
        for (size_t at = 0; at < size; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                memset(bytes, at % 2 == 0 ? 0xff : '!', size);
                bytes[at] = (unsigned char)byte;
                expect_escaped(&text, bytes, size);
            }
    expect_escaped(&text, bytes, 0);
    text_release(&text);
}

static void a_text_takes_as_much_as_its_limit_and_no_byte_more(void **state)
{
    enum { LIMIT = 5000 };
    char bytes[LIMIT];
    struct text text;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t first = LIMIT - 17; first <= LIMIT; first++) {
        text_init(&text, LIMIT);
        text_escape(&text, (weir_str){ .data = bytes, .size = first });
        text_escape(&text, (weir_str){ .data = bytes, .size = LIMIT - first });
        assert_false(text.is_over);
        assert_int_equal(text.size, LIMIT);
        assert_memory_equal(text.bytes, bytes, LIMIT);
        text_escape(&text, WEIR_STR("x"));
        assert_true(text.is_over);
        assert_int_equal(text.size, LIMIT);
        text_release(&text);
    }
}

static void expect_number(struct text *text, int64_t number)
{
    char wanted[32], amount[DECIMAL_TEXT_MAX + 1];
    snprintf(wanted, sizeof(wanted), "%" PRId64, number);
    text_reset(text);
    text_number(text, number);
    assert_int_equal(text->size, strlen(wanted));
    assert_memory_equal(text->bytes, wanted, text->size);

    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    snprintf(wanted, sizeof(wanted), "%s%" PRIu64 ".%04" PRIu64, number < 0 ? "-" : "",
        magnitude / 10000, magnitude % 10000);
    amount[decimal_print(number, amount)] = '\0';
    assert_string_equal(amount, wanted);
}

static void numbers_and_amounts_have_their_digits(void **state)
{
    struct text text;
    text_init(&text, 100);
    for (int64_t number = -11000; number <= 11000; number++)
        expect_number(&text, number);
    for (int64_t power = 1; power <= INT64_MAX / 10; power *= 10) {
        expect_number(&text, power - 1);
        expect_number(&text, power);
        expect_number(&text, -power);
        expect_number(&text, power + 7);
    }
    expect_number(&text, INT64_MAX);
    expect_number(&text, INT64_MIN);
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_escaped_as_json_asks_wherever_it_stands),
        cmocka_unit_test(a_text_takes_as_much_as_its_limit_and_no_byte_more),
        cmocka_unit_test(numbers_and_amounts_have_their_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

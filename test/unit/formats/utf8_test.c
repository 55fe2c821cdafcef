/* utf8_test.c -- UTF-8 by RFC 3629, at every place of a block. */
#include "base/utf8.h"

#include <weir/json.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *name, *text;
    bool is_valid;
} cases[] = {
    { "ASCII", "hello", true },
    { "delete", "\x7f", true },
    { "the first of two bytes", "\xc2\x80", true },
    { "the last of two bytes", "\xdf\xbf", true },
    { "the first of three bytes", "\xe0\xa0\x80", true },
    { "the last before the surrogates", "\xed\x9f\xbf", true },
    { "the first behind the surrogates", "\xee\x80\x80", true },
    { "a byte order mark", "\xef\xbb\xbf", true },
    { "U+FFFF", "\xef\xbf\xbf", true },
    { "the first of four bytes", "\xf0\x90\x80\x80", true },
    { "U+10FFFF", "\xf4\x8f\xbf\xbf", true },
    { "a city", "\xe5\x8c\x97\xe4\xba\xac", true },
    { "a continuation alone", "\x80", false },
    { "another continuation alone", "\xbf", false },
    { "overlong U+0000", "\xc0\x80", false },
    { "overlong U+007F", "\xc1\xbf", false },
    { "two bytes without the second", "\xc2", false },
    { "two bytes with ASCII second", "\xc2\x41", false },
    { "two bytes with lead second", "\xc2\xc2", false },
    { "overlong U+07FF", "\xe0\x9f\xbf", false },
    { "three bytes without the third", "\xe2\x82", false },
    { "three bytes with ASCII third", "\xe2\x82\x28", false },
    { "three bytes with lead second", "\xe2\xc2\x80", false },
    { "the first surrogate", "\xed\xa0\x80", false },
    { "the last surrogate", "\xed\xbf\xbf", false },
    { "a surrogate pair (CESU-8)", "\xed\xa1\x8c\xed\xbe\xb4", false },
    { "overlong U+FFFF", "\xf0\x8f\xbf\xbf", false },
    { "above U+10FFFF", "\xf4\x90\x80\x80", false },
    { "four bytes without the fourth", "\xf0\x9f\x98", false },
    { "four bytes with ASCII fourth", "\xf0\x9f\x98\x28", false },
    { "a lead of five bytes", "\xf8\x88\x80\x80\x80", false },
    { "0xfe", "\xfe", false },
    { "0xff", "\xff", false },
};

/* A copy of exact size, so that the sanitizer sees a byte too far. */
static bool is_valid_at(const char *text, size_t before, size_t after)
{
    size_t size = strlen(text);
    char *bytes = malloc(before + size + after + 1);
    char *exact = memset(bytes, 'a', before + size + after + 1);
    exact++; /* no alignment */
    memcpy(exact + before, text, size);
    bool is_valid = weir_utf8_valid((weir_str){ exact, before + size + after });
    free(bytes);
    return is_valid;
}

static void each_sequence_is_judged_wherever_it_is(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t before = 0; before < 70; before++) {
            for (size_t after = 0; after < 70; after += 23) {
                if (is_valid_at(cases[i].text, before, after) != cases[i].is_valid)
                    fail_msg("%s, behind %zu and before %zu bytes", cases[i].name, before, after);
            }
        }
    }
}

static void nothing_is_valid(void **state)
{
    assert_true(weir_utf8_valid((weir_str){ NULL, 0 }));
    assert_true(weir_utf8_valid(WEIR_STR("")));
}

static void every_code_point_is_written_and_judged_valid(void **state)
{
    for (uint32_t point = 0x80; point <= 0x10ffff; point++) {
        if (point >= 0xd800 && point <= 0xdfff)
            continue;
        char bytes[4];
        uint32_t size = utf8_put(bytes, point);
        assert_int_equal(utf8_sequence(bytes, bytes + size), size);
        assert_int_equal(utf8_sequence(bytes, bytes + size - 1), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sequence_is_judged_wherever_it_is),
        cmocka_unit_test(nothing_is_valid),
        cmocka_unit_test(every_code_point_is_written_and_judged_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* java_throwable_test.c -- the template, byte for byte, and texts that Java could not read.
 *
 * The golden bytes have been read by Java's ObjectInputStream, into a class with Flink's fields. */
#include "web/java_throwable.h"

#include "base/buffer.h"
#include "test/support/expect.h"

#include <stdio.h>
#include <stdlib.h>

static const char *of(const char *name, const char *message)
{
    static char text[100000];
    weir_buffer *out = weir_buffer_new(sizeof(text));
    java_throwable(name, message, out);
    snprintf(text, sizeof(text), "%s", buffer_text(out));
    weir_buffer_free(out);
    return text;
}

static void the_bytes_are_those_that_java_has_read(void **state)
{
    static const char golden[] =
        "rO0ABXNyAClvcmcuYXBhY2hlLmZsaW5rLnV0aWwuU2VyaWFsaXplZFRocm93YWJsZWUWnfUfpxPzAgAD"
        "TAAZZnVsbFN0cmluZ2lmaWVkU3RhY2tUcmFjZXQAEkxqYXZhL2xhbmcvU3RyaW5nO0wAFm9yaWdpbmFs"
        "RXJyb3JDbGFzc05hbWVxAH4AAVsAE3NlcmlhbGl6ZWRFeGNlcHRpb250AAJbQnhyABNqYXZhLmxhbmcu"
        "RXhjZXB0aW9u0P0fPho7HMQCAAB4cgATamF2YS5sYW5nLlRocm93YWJsZdXGNSc5d7jLAwAETAAFY2F1"
        "c2V0ABVMamF2YS9sYW5nL1Rocm93YWJsZTtMAA1kZXRhaWxNZXNzYWdlcQB+AAFbAApzdGFja1RyYWNl"
        "dAAeW0xqYXZhL2xhbmcvU3RhY2tUcmFjZUVsZW1lbnQ7TAAUc3VwcHJlc3NlZEV4Y2VwdGlvbnN0ABBM"
        "amF2YS91dGlsL0xpc3Q7eHBwdAAJZGlzayBmdWxscHB4dAAWd2Vpci5GYWlsZWQ6IGRpc2sgZnVsbHQA"
        "C3dlaXIuRmFpbGVkcA==";
    assert_string_equal(of("weir.Failed", "disk full"), golden);
}

static void what_java_does_not_read_is_a_question_mark(void **state)
{
    char expected[100000];
    snprintf(expected, sizeof(expected), "%s", of("n", "a?\xc3\xa9?b"));
    assert_string_equal(of("n", "a\xff\xc3\xa9\xf0\x9f\x98\x80"
                                "b"),
        expected);
}

static void a_text_is_cut_at_a_character(void **state)
{
    char *text = calloc(1, 30001);
    for (size_t i = 0; i < 30000; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    size_t size = strlen(of("n", text));
    assert_true(size > 4 * (2 * 8000) / 3 && size < 4 * (2 * 8192 + 700) / 3);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_those_that_java_has_read),
        cmocka_unit_test(what_java_does_not_read_is_a_question_mark),
        cmocka_unit_test(a_text_is_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

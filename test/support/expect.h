/* expect.h -- what many unit tests ask: is this the error, does that abort? Include it last. */
#ifndef WEIR_TEST_SUPPORT_EXPECT_H
#define WEIR_TEST_SUPPORT_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weir/error.h>
#include <cmocka.h>

#define COUNT_OF(array_) (sizeof(array_) / sizeof((array_)[0]))

/* Fails the test unless `error` is of the code and its message has the text; frees it. */
#define expect_error(error_, code_, text_) \
    expect_error_at((error_), (code_), (text_), __FILE__, __LINE__)
static inline void expect_error_at(weir_error *error, enum weir_code code, const char *text,
    const char *file, int line)
{
    if (error == NULL)
        print_error("%s:%d: no error, expected \"%s\"\n", file, line, text);
    assert_non_null(error);
    if (weir_error_code(error) != code || strstr(weir_error_message(error), text) == NULL)
        print_error("%s:%d: %s: %s\n  expected \"%s\"\n", file, line,
            weir_code_name(weir_error_code(error)), weir_error_message(error), text);
    assert_int_equal(weir_error_code(error), code);
    assert_non_null(strstr(weir_error_message(error), text));
    weir_error_free(error);
}

/* Fails the test, with the message, if there is an error. */
#define expect_ok(error_) expect_ok_at((error_), __FILE__, __LINE__)
static inline void expect_ok_at(weir_error *error, const char *file, int line)
{
    if (error != NULL)
        print_error("%s:%d: %s\n", file, line, weir_error_message(error));
    assert_null(error);
}

/* Runs `run(arg)` in a child process and fails unless it aborts. */
void expect_abort(void (*run)(void *arg), void *arg);

#endif

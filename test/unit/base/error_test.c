/* error_test.c -- messages, wrapping, joining, limits, and what happens without memory. */
#include "base/memory.h"
#include "test/support/expect.h"

#include <stdio.h>

static void an_error_has_a_code_and_a_message(void **state)
{
    weir_error *error = weir_errorf(WEIR_E_IO, "cannot open '%s'", "x");
    assert_int_equal(weir_error_code(error), WEIR_E_IO);
    assert_string_equal(weir_error_message(error), "cannot open 'x'");
    assert_null(weir_error_reason(error));
    assert_false(weir_error_is_retriable(error));
    weir_error_free(error);
}

static void a_bad_record_always_has_a_reason(void **state)
{
    weir_error *error = weir_error_data("bad-json", "no brace");
    assert_int_equal(weir_error_code(error), WEIR_E_DATA);
    assert_string_equal(weir_error_reason(error), "bad-json");
    weir_error_free(error);
    error = weir_errorf(WEIR_E_DATA, "no price");
    assert_string_equal(weir_error_reason(error), "bad-record");
    weir_error_free(error);
}

static void wrapping_keeps_code_reason_and_retriability(void **state)
{
    weir_error *error = weir_error_retriable(weir_error_data("late", "too old"));
    error = weir_error_wrap(error, "operator %d", 3);
    error = weir_error_wrap(error, "job");
    assert_string_equal(weir_error_message(error), "job: operator 3: too old");
    assert_string_equal(weir_error_reason(error), "late");
    assert_int_equal(weir_error_code(error), WEIR_E_DATA);
    assert_true(weir_error_is_retriable(error));
    weir_error_free(error);
}

static void joining_takes_either_or_both(void **state)
{
    assert_null(weir_error_join(NULL, NULL));
    weir_error *only = weir_errorf(WEIR_E_IO, "a");
    assert_ptr_equal(weir_error_join(only, NULL), only);
    assert_ptr_equal(weir_error_join(NULL, only), only);
    weir_error *both = weir_error_join(only, weir_errorf(WEIR_E_STATE, "b"));
    expect_error(both, WEIR_E_IO, "a; and then: b");
}

static void a_long_message_is_cut_at_a_character(void **state)
{
    /* Two-byte characters at an odd offset: a cut at any even size would split one. */
    static char text[20000];
    text[0] = 'x';
    for (size_t i = 1; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    for (size_t lead = 0; lead < 3; lead++) {
        weir_error *error = weir_errorf(WEIR_E_IO, "%s%s", &"ab"[lead], text);
        error = weir_error_wrap(error, "outer");
        const char *message = weir_error_message(error);
        size_t size = strlen(message);
        assert_true(size < 8192 && size > 8180);
        assert_string_equal(message + size - 3, "\xe2\x80\xa6");
        assert_true(message[size - 4] != '\xc3');
        weir_error_free(error);
    }
}

static void every_code_has_a_name_and_an_exit_status(void **state)
{
    for (int code = 0; code < WEIR_CODE_COUNT; code++) {
        assert_int_equal(strncmp(weir_code_name((enum weir_code)code), "WEIR_E_", 7), 0);
        assert_in_range(weir_code_exit((enum weir_code)code), 2, 63);
        for (int other = 0; other < code; other++)
            assert_int_not_equal(weir_code_exit((enum weir_code)code),
                weir_code_exit((enum weir_code)other));
    }
    assert_string_equal(weir_code_name(WEIR_E_DISK_FULL), "WEIR_E_DISK_FULL");
}

#ifdef WEIR_FAULT_POINTS
static void without_memory_there_is_still_an_error(void **state)
{
    mem_fail_next(1);
    weir_error *error = weir_errorf(WEIR_E_IO, "x");
    assert_int_equal(weir_error_code(error), WEIR_E_MEMORY);
    assert_ptr_equal(weir_error_retriable(error), error);
    assert_false(weir_error_is_retriable(error));
    weir_error_free(error);
    weir_error_free(error); /* the static error: nothing happens */
}

static void without_memory_wrapping_and_joining_keep_the_cause(void **state)
{
    weir_error *cause = weir_errorf(WEIR_E_IO, "cause");
    mem_fail_next(1);
    assert_ptr_equal(weir_error_wrap(cause, "outer"), cause);
    weir_error *second = weir_errorf(WEIR_E_STATE, "second");
    mem_fail_next(1);
    assert_ptr_equal(weir_error_join(cause, second), cause);
    expect_error(cause, WEIR_E_IO, "cause");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_a_code_and_a_message),
        cmocka_unit_test(a_bad_record_always_has_a_reason),
        cmocka_unit_test(wrapping_keeps_code_reason_and_retriability),
        cmocka_unit_test(joining_takes_either_or_both),
        cmocka_unit_test(a_long_message_is_cut_at_a_character),
        cmocka_unit_test(every_code_has_a_name_and_an_exit_status),
#ifdef WEIR_FAULT_POINTS
        cmocka_unit_test(without_memory_there_is_still_an_error),
        cmocka_unit_test(without_memory_wrapping_and_joining_keep_the_cause),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

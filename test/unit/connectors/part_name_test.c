/* part_name_test.c -- names are read back, and nothing else is taken for one. */
#include "connectors/part_name.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

static const struct part_name name = { .prefix = "part-a", .suffix = "ndjson", .owner = 0x1122 };

static void names_have_their_numbers(void **state)
{
    char *text = part_name_published(&name, 12, 3);
    assert_string_equal(text, "part-a-0000000012-003.ndjson");
    uint64_t checkpoint, attempt;
    uint32_t subtask;
    assert_true(part_name_is_published(&name, text, &checkpoint));
    assert_int_equal(checkpoint, 12);
    assert_false(part_name_is_hidden(&name, text, &attempt, &subtask));
    mem_free(text);

    text = part_name_published(&name, UINT64_C(12345678901), 12345);
    assert_string_equal(text, "part-a-12345678901-12345.ndjson");
    assert_true(part_name_is_published(&name, text, &checkpoint));
    mem_free(text);

    text = part_name_hidden(&name, 5, 3, 8);
    assert_string_equal(text, ".part-a-0000000000001122-5-3-8.ndjson");
    assert_true(part_name_is_hidden(&name, text, &attempt, &subtask));
    assert_int_equal(attempt, 5);
    assert_int_equal(subtask, 3);
    assert_false(part_name_is_published(&name, text, &checkpoint));
    mem_free(text);
}

static void other_names_are_none(void **state)
{
    static const char *const others[] = { "", "part-a", "part-a-", "part-a-12-003.ndjson",
        "part-a-0000000012-3.ndjson", "part-a-0000000012-003.ndjson.gz", "part-a-0000000012-003",
        "part-0000000012-003.ndjson", "part-a-b-0000000012-003.ndjson",
        "part-a-0000000012-99999999999.ndjson", "part-a-99999999999999999999-003.ndjson",
        ".part-a-0000000000001123-5-3-8.ndjson", ".part-a-0000000000001122-05-3-8.ndjson",
        ".part-a-0000000000001122-5-3.ndjson", ".part-a-0000000000001122-5-3-8.json",
        ".part-b-0000000000001122-5-3-8.ndjson", ".part-a-0000000000001122-5-4294967296-8.ndjson" };
    for (size_t i = 0; i < COUNT(others); i++) {
        uint64_t number;
        uint32_t subtask;
        if (part_name_is_published(&name, others[i], &number) ||
            part_name_is_hidden(&name, others[i], &number, &subtask))
            fail_msg("%s", others[i]);
    }
}

static void an_affix_must_not_leave_the_directory_or_hide_the_file(void **state)
{
    char longest[PART_AFFIX_SIZE_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[PART_AFFIX_SIZE_MAX + 1] = '\0';
    assert_false(part_name_is_affix(longest));
    longest[PART_AFFIX_SIZE_MAX] = '\0';
    assert_true(part_name_is_affix(longest));
    assert_true(part_name_is_affix("dead-letters.v2"));
    assert_false(part_name_is_affix(""));
    assert_false(part_name_is_affix(".part"));
    assert_false(part_name_is_affix("a/b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_their_numbers),
        cmocka_unit_test(other_names_are_none),
        cmocka_unit_test(an_affix_must_not_leave_the_directory_or_hide_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

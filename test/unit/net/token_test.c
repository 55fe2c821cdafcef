/* token_test.c -- secrets differ from each other, and are compared to their end. */
#include "net/token.h"

#include "test/support/expect.h"

static void tokens_are_hex_and_never_the_same(void **state)
{
    char a[TOKEN_SIZE + 1], b[TOKEN_SIZE + 1];
    token_new(a);
    token_new(b);
    assert_int_equal(strlen(a), TOKEN_SIZE);
    assert_int_equal(strspn(a, "0123456789abcdef"), TOKEN_SIZE);
    assert_string_not_equal(a, b);
}

static void tokens_are_equal_when_every_byte_is(void **state)
{
    assert_true(token_equal(WEIR_STR("secret"), WEIR_STR("secret")));
    assert_false(token_equal(WEIR_STR("secret"), WEIR_STR("secreT")));
    assert_false(token_equal(WEIR_STR("secret"), WEIR_STR("Secret")));
    assert_false(token_equal(WEIR_STR("secret"), WEIR_STR("secrets")));
    assert_false(token_equal(WEIR_STR("secret"), WEIR_STR("")));
    assert_true(token_equal(WEIR_STR(""), WEIR_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_hex_and_never_the_same),
        cmocka_unit_test(tokens_are_equal_when_every_byte_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

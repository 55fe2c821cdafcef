/* json_read_test.c -- bodies of requests: members by name and kind, and what is no body. */
#include "web/json_read.h"

#include "test/support/expect.h"

static struct json_body *body_of(const char *text)
{
    struct json_body *body = NULL;
    expect_ok(json_read(weir_str_of(text), 1000, &body));
    return body;
}

static void members_are_got_by_name(void **state)
{
    struct json_body *body = body_of("{\"t\":\"x\",\"b\":true,\"l\":[\"a\",\"b\"],\"n\":null}");
    const char *text, *const *list;
    uint32_t count;
    bool flag;
    expect_ok(json_get_text(body, "t", &text));
    assert_string_equal(text, "x");
    expect_ok(json_get_bool(body, "b", &flag));
    assert_true(flag);
    expect_ok(json_get_list(body, "l", &list, &count));
    assert_int_equal(count, 2);
    assert_string_equal(list[1], "b");
    json_free(body);
}

static void what_is_missing_is_like_null(void **state)
{
    struct json_body *bodies[] = { body_of(""), body_of("{}"), body_of("{\"x\":null}") };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        const char *text = "", *const * list;
        uint32_t count = 7;
        bool flag = true;
        expect_ok(json_get_text(bodies[i], "x", &text));
        expect_ok(json_get_bool(bodies[i], "x", &flag));
        expect_ok(json_get_list(bodies[i], "x", &list, &count));
        assert_null(text);
        assert_false(flag);
        assert_int_equal(count, 0);
        json_free(bodies[i]);
    }
}

static void a_member_of_another_kind_is_refused_by_name(void **state)
{
    struct json_body *body = body_of("{\"x\":1}");
    const char *text, *const *list;
    uint32_t count;
    bool flag;
    expect_error(json_get_text(body, "x", &text), WEIR_E_USAGE, "'x'");
    expect_error(json_get_bool(body, "x", &flag), WEIR_E_USAGE, "'x'");
    expect_error(json_get_list(body, "x", &list, &count), WEIR_E_USAGE, "'x'");
    json_free(body);
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const rows[][2] = { { "[1]", "no JSON object" }, { "{", "line 1" },
        { "{\"a\":1,\"a\":2}", "duplicate" }, { "{\"a\":\"\xff\"}", "no JSON" } };
    struct json_body *body;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_error(json_read(weir_str_of(rows[i][0]), 1000, &body), WEIR_E_USAGE, rows[i][1]);
    expect_error(json_read(weir_str_of("{}  "), 3, &body), WEIR_E_USAGE, "4 bytes, at most 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_got_by_name),
        cmocka_unit_test(what_is_missing_is_like_null),
        cmocka_unit_test(a_member_of_another_kind_is_refused_by_name),
        cmocka_unit_test(what_is_no_object_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

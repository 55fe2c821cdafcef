/* json_scan_test.c -- exactly RFC 8259, exactly UTF-8, and how the reader is used. */
#include "base/buffer.h"

#include <weir/json.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* -- what is JSON ----------------------------------------------------------------------------- */

#define GOOD NULL
#define BAD  "bad-json"
#define UTF8 "bad-utf8"
#define T(literal_) \
    { \
        (literal_), sizeof(literal_) - 1 \
    }

static const struct {
    weir_str text;
    const char *reason;
} texts[] = {
    /* values */
    { T("{}"), GOOD },
    { T("[]"), GOOD },
    { T("\"\""), GOOD },
    { T("0"), GOOD },
    { T("true"), GOOD },
    { T("false"), GOOD },
    { T("null"), GOOD },
    { T(" \t\r\n{ \t\r\n} \t\r\n"), GOOD },
    { T("[1,\"a\",true,false,null,{},[]]"), GOOD },
    { T("{\"a\":1,\"b\":{\"c\":[{}]}}"), GOOD },
    { T(" { \"a\" : [ 1 , 2 ] , \"b\" : null } "), GOOD },
    { T("{\"\":1}"), GOOD },
    { T("{\"a\":1,\"a\":2}"), GOOD },
    { T(""), BAD },
    { T(" "), BAD },
    { T("\0"), BAD },
    { T("{}\0"), BAD },
    { T("{}{}"), BAD },
    { T("{} x"), BAD },
    { T("{},"), BAD },
    { T("\xef\xbb\xbf{}"), BAD },
    { T("{}\v"), BAD },
    { T("\f{}"), BAD },
    { T("{}\xc2\xa0"), BAD },
    { T("// a\n{}"), BAD },
    { T("{"), BAD },
    { T("["), BAD },
    { T("}"), BAD },
    { T("]"), BAD },
    { T("[1}"), BAD },
    { T("{\"a\":1]"), BAD },
    { T("[,]"), BAD },
    { T("[1,]"), BAD },
    { T("[,1]"), BAD },
    { T("[1,,2]"), BAD },
    { T("[1 2]"), BAD },
    { T("{,}"), BAD },
    { T("{\"a\":1,}"), BAD },
    { T("{\"a\" 1}"), BAD },
    { T("{\"a\":}"), BAD },
    { T("{\"a\"}"), BAD },
    { T("{\"a\"::1}"), BAD },
    { T("{\"a\":1 \"b\":2}"), BAD },
    { T("{a:1}"), BAD },
    { T("{'a':1}"), BAD },
    { T("{1:1}"), BAD },
    { T("{\"a\":1"), BAD },
    { T("{\"a\":"), BAD },
    { T("{\"a\""), BAD },
    { T("{\"a"), BAD },
    /* words */
    { T("True"), BAD },
    { T("tru"), BAD },
    { T("truee"), BAD },
    { T("nul"), BAD },
    { T("nan"), BAD },
    { T("NaN"), BAD },
    { T("Infinity"), BAD },
    { T("-Infinity"), BAD },
    { T("undefined"), BAD },
    /* numbers */
    { T("-0"), GOOD },
    { T("-1"), GOOD },
    { T("1234567890123456789012345678901234567890"), GOOD },
    { T("0.0"), GOOD },
    { T("1.5e300"), GOOD },
    { T("1E+2"), GOOD },
    { T("1e-2"), GOOD },
    { T("0e0"), GOOD },
    { T("1e00099"), GOOD },
    { T("1E400"), GOOD },
    { T("01"), BAD },
    { T("-01"), BAD },
    { T("00"), BAD },
    { T("+1"), BAD },
    { T("-"), BAD },
    { T("--1"), BAD },
    { T("- 1"), BAD },
    { T("1."), BAD },
    { T(".5"), BAD },
    { T("1.e1"), BAD },
    { T("1e"), BAD },
    { T("1e+"), BAD },
    { T("1e1.5"), BAD },
    { T("1.2.3"), BAD },
    { T("0x1"), BAD },
    { T("1f"), BAD },
    { T("1_000"), BAD },
    { T("1,2"), BAD },
    { T("\xef\xbc\x91"), BAD },
    /* strings */
    { T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), GOOD },
    { T("\"\\u0000\\u001F\\u007f\\uabCD\""), GOOD },
    { T("\"\\ud83d\\ude00\""), GOOD },
    { T("\"\\uD800\\uDC00\\uDBFF\\uDFFF\""), GOOD },
    { T("\"\xe5\x8c\x97\xf0\x9f\x98\x80\x7f\""), GOOD },
    { T("\"a"), BAD },
    { T("\""), BAD },
    { T("\"\\\""), BAD },
    { T("\"\\"), BAD },
    { T("\"\\a\""), BAD },
    { T("\"\\'\""), BAD },
    { T("\"\\x41\""), BAD },
    { T("\"\\U0041\""), BAD },
    { T("\"\\u\""), BAD },
    { T("\"\\u00\""), BAD },
    { T("\"\\u004\""), BAD },
    { T("\"\\u004g\""), BAD },
    { T("\"\\u+041\""), BAD },
    { T("\"\\u004"), BAD },
    { T("\"\\ud83d\""), BAD },
    { T("\"\\ude00\""), BAD },
    { T("\"\\ud83dx\""), BAD },
    { T("\"\\ud83d\\n\""), BAD },
    { T("\"\\ud83d\\u0041\""), BAD },
    { T("\"\\ud83d\\ud83d\""), BAD },
    { T("\"\\ude00\\ud83d\""), BAD },
    { T("\"\\ud83d\\u\""), BAD },
    { T("\"\\ud83d\\ude0"), BAD },
    { T("\"a\nb\""), BAD },
    { T("\"a\tb\""), BAD },
    { T("\"a\0b\""), BAD },
    { T("\"\x1f\""), BAD },
    { T("'a'"), BAD },
    /* UTF-8 is judged first, wherever it is */
    { T("\"\xff\""), UTF8 },
    { T("\"\xc0\xaf\""), UTF8 },
    { T("\"\xed\xa0\x80\""), UTF8 },
    { T("{]\xff"), UTF8 },
    { T("nothing of JSON \x80"), UTF8 },
    { T("\xff\xfe{\0}\0"), UTF8 },
};

/* Reads all, deeply, by the reader's own loops. */
static void walk(struct weir_json_reader *json, enum weir_json_kind kind)
{
    if (kind == WEIR_JSON_OBJECT) {
        while (weir_json_member(json))
            walk(json, weir_json_value(json));
    } else if (kind == WEIR_JSON_ARRAY) {
        while (weir_json_element(json))
            walk(json, weir_json_value(json));
    }
}

static const char *reason_of(weir_str text, bool is_skipped, size_t *offset)
{
    char *exact = malloc(text.size + 1); /* the sanitizer sees a byte too far on either side */
    memcpy(exact + 1, text.data, text.size);
    struct weir_json_reader json;
    weir_json_open(&json, (weir_str){ exact + 1, text.size });
    enum weir_json_kind kind = weir_json_value(&json);
    if (is_skipped)
        weir_json_skip(&json, kind);
    else
        walk(&json, kind);
    assert_true(weir_json_end(&json) == (weir_json_reason(&json) == NULL));
    assert_true(weir_json_end(&json) == (json.error == NULL));
    *offset = weir_json_offset(&json);
    assert_true(*offset <= text.size);
    free(exact);
    return weir_json_reason(&json);
}

static void assert_reason(weir_str text, const char *expected)
{
    size_t walked, skipped;
    const char *reason = reason_of(text, false, &walked);
    if (reason != expected && (reason == NULL || expected == NULL || strcmp(reason, expected) != 0))
        fail_msg("<%.*s> is %s, not %s", (int)text.size, text.data, reason, expected);
    assert_ptr_equal(reason, reason_of(text, true, &skipped));
    assert_int_equal(walked, skipped);
}

static void exactly_rfc_8259_is_accepted(void **state)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_reason(texts[i].text, texts[i].reason);
}

/* Good JSON, cut anywhere, is bad. Also reads every block at its border. */
static void no_beginning_of_json_is_json(void **state)
{
    static const char text[] =
        "{\"event_id\":\"e-000017\",\"ts\":1716200000123,\"ids\":{\"user\":"
        "\"u\\u0034\\n2\"},\"list\":[true,false,null,-1.5e-3,\"\xe5\x8c\x97\"]}";
    size_t size = sizeof(text) - 1, offset;
    assert_reason((weir_str){ text, size }, GOOD);
    for (size_t cut = 0; cut < size; cut++)
        assert_non_null(reason_of((weir_str){ text, cut }, cut % 2 == 0, &offset));
}

static void strings_of_every_length_end_where_they_end(void **state)
{
    char text[200];
    for (size_t size = 0; size < 100; size++) {
        for (size_t escape = 0; escape <= size; escape += 7) {
            memset(text, 'a', sizeof(text));
            text[0] = text[size + 1] = '"';
            if (escape > 0 && escape < size)
                memcpy(text + escape, "\\n", 2);
            struct weir_json_reader json;
            weir_json_open(&json, (weir_str){ text, size + 2 });
            assert_int_equal(weir_json_value(&json), WEIR_JSON_STRING);
            assert_int_equal(json.text.size, size);
            assert_ptr_equal(json.text.data, text + 1);
            assert_true(json.has_escapes == (escape > 0 && escape < size));
            assert_true(weir_json_end(&json));
        }
    }
}

static void nest(char *text, size_t depth, const char *open, const char *inner, const char *close)
{
    text[0] = '\0';
    for (size_t i = 0; i < depth; i++)
        text = stpcpy(text, open);
    text = stpcpy(text, inner);
    for (size_t i = 0; i < depth; i++)
        text = stpcpy(text, close);
}

static void sixty_four_levels_are_the_limit(void **state)
{
    char text[1000];
    nest(text, 64, "[", "", "]");
    assert_reason(weir_str_of(text), GOOD);
    nest(text, 65, "[", "", "]");
    assert_reason(weir_str_of(text), BAD);
    nest(text, 64, "{\"a\":", "1", "}");
    assert_reason(weir_str_of(text), GOOD);
    nest(text, 64, "{\"a\":", "[]", "}");
    assert_reason(weir_str_of(text), BAD);
    nest(text, 32, "[{\"a\":", "1", "}]");
    assert_reason(weir_str_of(text), GOOD);
    nest(text, 32, "[[],{\"b\":", "1", "}]");
    assert_reason(weir_str_of(text), GOOD);
}

/* -- how it is used --------------------------------------------------------------------------- */

static struct weir_json_reader opened(const char *text)
{
    struct weir_json_reader json;
    weir_json_open(&json, weir_str_of(text));
    return json;
}

static void members_and_values_are_given_in_order(void **state)
{
    struct weir_json_reader json = opened("{\"a\" : 12, \"b\":[\"x\", -1.5], \"c\":{}}");
    assert_int_equal(weir_json_value(&json), WEIR_JSON_OBJECT);
    assert_true(weir_json_member(&json));
    assert_true(weir_json_is(&json, WEIR_STR("a")));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_NUMBER);
    assert_true(json.is_integer);
    assert_true(weir_str_equal(json.text, WEIR_STR("12")));
    assert_true(weir_json_member(&json));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_ARRAY);
    assert_true(weir_json_element(&json));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_STRING);
    assert_true(weir_json_element(&json));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_NUMBER);
    assert_false(json.is_integer);
    assert_false(weir_json_element(&json));
    assert_true(weir_json_member(&json));
    assert_true(weir_json_is(&json, WEIR_STR("c")));
    weir_json_skip(&json, weir_json_value(&json));
    assert_false(weir_json_member(&json));
    assert_true(weir_json_end(&json));
}

static void a_container_can_be_left_in_the_middle(void **state)
{
    struct weir_json_reader json = opened("{\"a\":[1,{\"x\":[2]},3],\"b\":4}");
    weir_json_value(&json);
    assert_true(weir_json_member(&json));
    enum weir_json_kind kind = weir_json_value(&json);
    assert_true(weir_json_element(&json));
    weir_json_value(&json);
    weir_json_skip(&json, kind);
    assert_true(weir_json_member(&json));
    assert_true(weir_json_is(&json, WEIR_STR("b")));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_NUMBER);
    assert_false(weir_json_member(&json));
    assert_true(weir_json_end(&json));
}

static void an_error_sticks_and_says_where(void **state)
{
    struct weir_json_reader json = opened("{\"a\":tru,\"b\":1}");
    weir_json_value(&json);
    assert_true(weir_json_member(&json));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_ERROR);
    assert_int_equal(weir_json_value(&json), WEIR_JSON_ERROR);
    assert_false(weir_json_member(&json));
    assert_false(weir_json_member_if(&json, WEIR_STR("b")));
    assert_false(weir_json_element(&json));
    assert_false(weir_json_end(&json));
    assert_string_equal(weir_json_reason(&json), "bad-json");
    assert_string_equal(json.error, "a word that is not true, false or null");
    assert_int_equal(weir_json_offset(&json), 5);
}

static void a_guess_is_taken_or_changes_nothing(void **state)
{
    struct weir_json_reader json = opened("{\"a\":1,\"bc\":2, \"d\":3,\"\\u0065\":4}");
    weir_json_value(&json);
    assert_false(weir_json_member_if(&json, WEIR_STR("b")));
    assert_true(weir_json_member_if(&json, WEIR_STR("a")));
    assert_true(weir_json_is(&json, WEIR_STR("a")));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_NUMBER);
    assert_false(weir_json_member_if(&json, WEIR_STR("b")));
    assert_false(weir_json_member_if(&json, WEIR_STR("bcd")));
    assert_true(weir_json_member_if(&json, WEIR_STR("bc")));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_NUMBER);
    assert_false(weir_json_member_if(&json, WEIR_STR("d"))); /* a space: not the usual spelling */
    assert_true(weir_json_member(&json));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_NUMBER);
    assert_false(weir_json_member_if(&json, WEIR_STR("e")));
    assert_true(weir_json_member(&json));
    assert_true(weir_json_is(&json, WEIR_STR("e")));
    assert_int_equal(weir_json_value(&json), WEIR_JSON_NUMBER);
    assert_false(weir_json_member_if(&json, WEIR_STR("a")));
    assert_false(weir_json_member(&json));
    assert_true(weir_json_end(&json));
}

static const struct {
    const char *text;
    weir_str meaning;
} escapes[] = {
    { "\"plain\"", T("plain") },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", T("\"\\/\b\f\n\r\t") },
    { "\"\\u0074s\"", T("ts") },
    { "\"t\\u0073\"", T("ts") },
    { "\"\\u0000\"", T("\0") },
    { "\"\\u00e9\\u07ff\\u0800\\uFFFF\"", T("\xc3\xa9\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf") },
    { "\"a\\ud83d\\ude00b\"", T("a\xf0\x9f\x98\x80"
                                "b") },
    { "\"\\ud800\\udc00\\udbff\\udfff\"", T("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") },
    { "\"\xe5\x8c\x97\\n\"", T("\xe5\x8c\x97\n") },
};

static void escapes_mean_what_they_stand_for(void **state)
{
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        struct weir_json_reader json = opened(escapes[i].text);
        assert_int_equal(weir_json_value(&json), WEIR_JSON_STRING);
        char *out = malloc(json.text.size + 1);
        weir_str meaning = { out, weir_json_unescape(&json, out) };
        assert_true(weir_str_equal(meaning, escapes[i].meaning));
        assert_true(weir_json_is(&json, escapes[i].meaning));
        weir_str less = { escapes[i].meaning.data, escapes[i].meaning.size - 1 };
        assert_false(weir_json_is(&json, less));
        memcpy(out, meaning.data, meaning.size);
        out[meaning.size] = 'x';
        assert_false(weir_json_is(&json, (weir_str){ out, meaning.size + 1 }));
        out[meaning.size - 1] ^= 1;
        assert_false(weir_json_is(&json, (weir_str){ out, meaning.size }));
        free(out);
    }
}

static void an_empty_string_is_not_null(void **state)
{
    struct weir_json_reader json = opened("\"\"");
    assert_int_equal(weir_json_value(&json), WEIR_JSON_STRING);
    assert_non_null(json.text.data);
    assert_int_equal(json.text.size, 0);
    assert_true(weir_json_is(&json, WEIR_STR("")));
}

static void no_bytes_at_all_are_bad_json(void **state)
{
    struct weir_json_reader json;
    weir_json_open(&json, (weir_str){ NULL, 0 });
    assert_int_equal(weir_json_value(&json), WEIR_JSON_ERROR);
    assert_string_equal(weir_json_reason(&json), "bad-json");
    assert_string_equal(json.error, "the text ends too early");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_rfc_8259_is_accepted),
        cmocka_unit_test(no_beginning_of_json_is_json),
        cmocka_unit_test(strings_of_every_length_end_where_they_end),
        cmocka_unit_test(sixty_four_levels_are_the_limit),
        cmocka_unit_test(members_and_values_are_given_in_order),
        cmocka_unit_test(a_container_can_be_left_in_the_middle),
        cmocka_unit_test(an_error_sticks_and_says_where),
        cmocka_unit_test(a_guess_is_taken_or_changes_nothing),
        cmocka_unit_test(escapes_mean_what_they_stand_for),
        cmocka_unit_test(an_empty_string_is_not_null),
        cmocka_unit_test(no_bytes_at_all_are_bad_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

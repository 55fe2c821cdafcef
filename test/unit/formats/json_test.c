/* json_test.c -- weir_json: objects to structs and back, and which reason a bad one gets. */
#include "base/buffer.h"
#include "test/support/stub_ctx.h"

#include <weir/json.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct all {
    bool flag;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    double f64;
    weir_str text;
    weir_str a_name_longer_than_a_pattern;
};
WEIR_TYPE(all, WEIR_FIELD(1, all, flag), WEIR_FIELD(2, all, i32), WEIR_FIELD(3, all, u32),
    WEIR_FIELD(4, all, i64), WEIR_FIELD(5, all, u64), WEIR_FIELD(6, all, f64),
    WEIR_FIELD(7, all, text), WEIR_FIELD(8, all, a_name_longer_than_a_pattern));

static weir_ctx *ctx;
static struct weir_format format;

static int set_up(void **state)
{
    ctx = stub_ctx_new(0, 1);
    format = weir_json(&all_type);
    return 0;
}

static int tear_down(void **state)
{
    stub_ctx_free(ctx);
    return 0;
}

static weir_error *decode(weir_str value, struct all *record)
{
    struct weir_message message = { .value = value };
    *record = (struct all){ .flag = false };
    return format.format_class->decode(&format, ctx, &message, record);
}

/* -- decoding --------------------------------------------------------------------------------- */

static const char *const same_record[] = {
    "{\"flag\":true,\"i32\":-5,\"u32\":6,\"i64\":-7,\"u64\":8,\"f64\":0.5,\"text\":\"nine\","
    "\"a_name_longer_than_a_pattern\":\"ten\"}",
    "{\"a_name_longer_than_a_pattern\":\"ten\",\"text\":\"nine\",\"f64\":0.5,\"u64\":8,"
    "\"i64\":-7,\"u32\":6,\"i32\":-5,\"flag\":true}",
    " { \"flag\" : true , \"i32\" : -5 , \"u32\" : 6 , \"i64\" : -7 , \"u64\" : 8 , \"f64\" : 5e-1 "
    ","
    " \"text\" : \"nine\" , \"a_name_longer_than_a_pattern\" : \"ten\" } ",
    "{\"unknown\":{\"a\":[1,{\"i32\":9}]},\"flag\":true,\"i32\":-5,\"Flag\":false,\"u32\":6,"
    "\"i64\":-7,\"u6\":1,\"u64\":8,\"f64\":0.5,\"text\":\"nine\",\"\":[],"
    "\"a_name_longer_than_a_pattern\":\"ten\",\"a_name_longer_than_a_pattern_\":1}",
    "{\"\\u0066lag\":true,\"i\\u00332\":-5,\"u32\":6,\"i64\":-7,\"u64\":8,\"f64\":0.5,"
    "\"text\":\"n\\u0069ne\",\"a_name_longer_than_a_\\u0070attern\":\"t\\u0065n\"}",
    "{\"flag\":false,\"flag\":true,\"i32\":1,\"i32\":-5,\"u32\":6,\"i64\":-7,\"u64\":8,"
    "\"f64\":0.5,\"text\":\"x\",\"text\":\"nine\",\"a_name_longer_than_a_pattern\":\"ten\"}",
};

static void every_spelling_of_a_record_is_decoded(void **state)
{
    for (size_t i = 0; i < sizeof(same_record) / sizeof(same_record[0]); i++) {
        struct all all;
        assert_null(decode(weir_str_of(same_record[i]), &all));
        assert_true(all.flag);
        assert_int_equal(all.i32, -5);
        assert_int_equal(all.u32, 6);
        assert_int_equal(all.i64, -7);
        assert_int_equal(all.u64, 8);
        assert_true(all.f64 == 0.5);
        assert_true(weir_str_equal(all.text, WEIR_STR("nine")));
        assert_true(weir_str_equal(all.a_name_longer_than_a_pattern, WEIR_STR("ten")));
    }
}

static void absent_and_null_members_are_zero(void **state)
{
    static const char *const texts[] = { "{}",
        "{\"flag\":null,\"i32\":null,\"u32\":null,\"i64\":null,\"u64\":null,\"f64\":null,"
        "\"text\":null}",
        "{\"i32\":5,\"i32\":null,\"text\":\"a\",\"text\":null}" };
    for (size_t i = 0; i < 3; i++) {
        struct all all;
        static const struct all zero;
        assert_null(decode(weir_str_of(texts[i]), &all));
        assert_memory_equal(&all, &zero, sizeof(all));
    }
    struct all all;
    assert_null(decode(WEIR_STR("{\"text\":\"\"}"), &all));
    assert_non_null(all.text.data);
    assert_int_equal(all.text.size, 0);
}

static void strings_borrow_from_the_message_unless_escaped(void **state)
{
    weir_str value = WEIR_STR("{\"text\":\"plain\",\"a_name_longer_than_a_pattern\":\"a\\nb\"}");
    struct all all;
    uint64_t count = mem_count();
    assert_null(decode(value, &all));
    assert_ptr_equal(all.text.data, value.data + 9);
    assert_true(weir_str_equal(all.a_name_longer_than_a_pattern, WEIR_STR("a\nb")));
    assert_true(mem_count() - count <= 1); /* at most the arena's first block */
    count = mem_count();
    for (int i = 0; i < 100; i++) {
        stub_ctx_next_batch(ctx);
        assert_null(decode(value, &all));
    }
    assert_true(mem_count() == count);
}

static const struct {
    const char *value, *reason, *message;
} bad[] = {
    { "", "bad-json", "the text ends too early, at byte 0" },
    { "[]", "bad-json", "the value is not an object" },
    { "1", "bad-json", "the value is not an object" },
    { "[{]", "bad-json", "a member without a name, at byte 2" },
    { "{\"i32\":1}x", "bad-json", "more behind the value, at byte 9" },
    { "\xef\xbb\xbf{}", "bad-json", "no value begins like this, at byte 0" },
    { "{\"x\":\"\xff\"", "bad-utf8", "not UTF-8, at byte 0" },
    { "{\"i32\":\"a\",\"x\":tru}", "bad-json",
        "a word that is not true, false or null, at byte 15" },
    { "{\"flag\":1}", "bad-member", "member 'flag' does not fit a field of kind bool" },
    { "{\"flag\":\"true\"}", "bad-member", "member 'flag' does not fit a field of kind bool" },
    { "{\"i32\":2147483648}", "bad-member", "member 'i32' does not fit a field of kind i32" },
    { "{\"i32\":-2147483649}", "bad-member", "member 'i32' does not fit a field of kind i32" },
    { "{\"i32\":1.0}", "bad-member", "member 'i32' does not fit a field of kind i32" },
    { "{\"i32\":\"1\"}", "bad-member", "member 'i32' does not fit a field of kind i32" },
    { "{\"u32\":4294967296}", "bad-member", "member 'u32' does not fit a field of kind u32" },
    { "{\"u32\":-1}", "bad-member", "member 'u32' does not fit a field of kind u32" },
    { "{\"i64\":9223372036854775808}", "bad-member",
        "member 'i64' does not fit a field of kind i64" },
    { "{\"i64\":true}", "bad-member", "member 'i64' does not fit a field of kind i64" },
    { "{\"u64\":-1}", "bad-member", "member 'u64' does not fit a field of kind u64" },
    { "{\"u64\":[1]}", "bad-member", "member 'u64' does not fit a field of kind u64" },
    { "{\"f64\":1e309}", "bad-member", "member 'f64' does not fit a field of kind f64" },
    { "{\"f64\":{}}", "bad-member", "member 'f64' does not fit a field of kind f64" },
    { "{\"text\":1}", "bad-member", "member 'text' does not fit a field of kind string" },
    { "{\"text\":false}", "bad-member", "member 'text' does not fit a field of kind string" },
    { "{\"text\":1,\"i32\":\"a\"}", "bad-member",
        "member 'text' does not fit a field of kind string" },
    { "{\"text\":1,\"text\":\"a\"}", "bad-member",
        "member 'text' does not fit a field of kind string" },
};

static void each_bad_value_has_its_reason(void **state)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct all all;
        weir_error *error = decode(weir_str_of(bad[i].value), &all);
        assert_non_null(error);
        assert_int_equal(weir_error_code(error), WEIR_E_DATA);
        assert_string_equal(weir_error_reason(error), bad[i].reason);
        assert_string_equal(weir_error_message(error), bad[i].message);
        weir_error_free(error);
    }
}

static void a_tombstone_is_bad_json(void **state)
{
    struct all all;
    weir_error *error = decode((weir_str){ NULL, 0 }, &all);
    assert_string_equal(weir_error_reason(error), "bad-json");
    weir_error_free(error);
}

/* -- encoding --------------------------------------------------------------------------------- */

static const char *encode(const struct weir_format *with, const void *record, weir_buffer *value)
{
    bool key_is_null = true, value_is_null = false;
    weir_buffer *key = weir_buffer_new(100);
    weir_buffer_reset(value);
    assert_null(with->format_class->encode(with, record, key, value, &key_is_null, &value_is_null));
    assert_true(key_is_null && !value_is_null);
    assert_int_equal(weir_buffer_view(key).size, 0);
    weir_buffer_free(key);
    return buffer_text(value);
}

static void fields_are_encoded_in_their_order(void **state)
{
    weir_buffer *value = weir_buffer_new(1000);
    struct all all;
    assert_null(decode(weir_str_of(same_record[0]), &all));
    assert_string_equal(encode(&format, &all, value), same_record[0]);
    all = (struct all){ .f64 = NAN, .text = WEIR_STR("\n") };
    assert_string_equal(encode(&format, &all, value),
        "{\"flag\":false,\"i32\":0,\"u32\":0,\"i64\":0,\"u64\":0,\"f64\":null,\"text\":\"\\n\","
        "\"a_name_longer_than_a_pattern\":null}");
    weir_buffer_free(value);
}

static void a_dead_letter_is_json_whatever_it_holds(void **state)
{
    struct weir_format dead = weir_json(&weir_dead_letter_type);
    struct weir_dead_letter letter = { .reason = WEIR_STR("bad-utf8"),
        .raw = WEIR_STR("\xff\xfe") };
    weir_buffer *value = weir_buffer_new(1000);
    encode(&dead, &letter, value);
    struct weir_json_reader json;
    weir_json_open(&json, weir_buffer_view(value));
    weir_json_skip(&json, weir_json_value(&json));
    assert_true(weir_json_end(&json));
    weir_buffer_free(value);
}

static void odd_names_are_escaped_and_found(void **state)
{
    static const struct weir_field fields[] = {
        { .id = 1, .kind = WEIR_I64, .offset = 0, .name = "a\"b\\c" },
        { .id = 2, .kind = WEIR_I64, .offset = 8, .name = "n\xc3\xa9" },
    };
    static const struct weir_type odd = { .name = "odd",
        .size = 16,
        .field_count = 2,
        .fields = fields };
    struct weir_format with = weir_json(&odd);
    int64_t record[2] = { 1, 2 }, back[2] = { 0, 0 };
    weir_buffer *value = weir_buffer_new(1000);
    assert_string_equal(encode(&with, record, value), "{\"a\\\"b\\\\c\":1,\"n\xc3\xa9\":2}");
    struct weir_message message = { .value = weir_buffer_view(value) };
    assert_null(with.format_class->decode(&with, ctx, &message, back));
    assert_memory_equal(back, record, sizeof(record));
    weir_buffer_free(value);
}

/* -- the format ------------------------------------------------------------------------------- */

static void a_format_without_a_sound_type_does_not_validate(void **state)
{
    struct weir_format none = weir_json(NULL);
    weir_error *error = none.format_class->validate(&none);
    assert_string_equal(weir_error_message(error),
        "weir_json needs a type: weir_json(&click_type)");
    weir_error_free(error);
    static const struct weir_type empty = { .name = NULL };
    struct weir_format broken = weir_json(&empty);
    error = broken.format_class->validate(&broken);
    assert_int_equal(weir_error_code(error), WEIR_E_PLAN);
    weir_error_free(error);
    assert_null(format.format_class->validate(&format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_of_a_record_is_decoded),
        cmocka_unit_test(absent_and_null_members_are_zero),
        cmocka_unit_test(strings_borrow_from_the_message_unless_escaped),
        cmocka_unit_test(each_bad_value_has_its_reason),
        cmocka_unit_test(a_tombstone_is_bad_json),
        cmocka_unit_test(fields_are_encoded_in_their_order),
        cmocka_unit_test(a_dead_letter_is_json_whatever_it_holds),
        cmocka_unit_test(odd_names_are_escaped_and_found),
        cmocka_unit_test(a_format_without_a_sound_type_does_not_validate),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* csv_test.c -- lines to records and back; every way to be wrong has its words. */
#include "test/support/sample.h"
#include "test/support/stub_ctx.h"

#include <weir/connector.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct click {
    int32_t id;
    weir_str page;
    double price;
    bool is_new;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, id), WEIR_FIELD(2, click, page), WEIR_FIELD(3, click, price),
    WEIR_FIELD(4, click, is_new));

struct word {
    weir_str text;
};
WEIR_TYPE(word, WEIR_FIELD(1, word, text));

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

static weir_error *decode(weir_ctx *ctx, const struct weir_type *type, weir_str line, void *record)
{
    struct weir_format format = weir_csv(type);
    struct weir_message message = { .value = line };
    memset(record, 0, type->size);
    return format.format_class->decode(&format, ctx, &message, record);
}

static void good_lines_become_records(void **state)
{
    static const struct {
        const char *line, *page;
        int32_t id;
        double price;
        bool is_new;
    } rows[] = {
        { "1,home,2.5,true", "home", 1, 2.5, true },
        { "1,home,2.5,true\r\n", "home", 1, 2.5, true },
        { "1,home,2.5,true\n", "home", 1, 2.5, true },
        { "1,home,2.5,true\r", "home", 1, 2.5, true },
        { "-2147483648,,0,false", NULL, INT32_MIN, 0, false },
        { "7,\"\",1e3,false", "", 7, 1000, false },
        { "7,\"a,b\",1,false", "a,b", 7, 1, false },
        { "7,\"a\"\"b\",1,false", "a\"b", 7, 1, false },
        { "7,\"\"\"\",1,false", "\"", 7, 1, false },
        { "7,\"\"\"\"\"\",1,false", "\"\"", 7, 1, false },
        { "7,\"a\r\nb\",1,false", "a\r\nb", 7, 1, false },
        { "\"7\",a,\"1\",\"false\"", "a", 7, 1, false },
        { "7, a ,1,false", " a ", 7, 1, false },
        { "-007,a,-00.50E+1,false", "a", -7, -5, false },
        { "2147483647,a,4.9e-324,false", "a", INT32_MAX, 4.9e-324, false },
        { "0,a,-Infinity,false", "a", 0, (double)-INFINITY, false },
        { "7,\xc3\xa9\xff,1,false", "\xc3\xa9\xff", 7, 1, false },
    };
    weir_ctx *ctx = stub_ctx_new(0, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct click click;
        assert_null(decode(ctx, &click_type, weir_str_of(rows[i].line), &click));
        assert_int_equal(click.id, rows[i].id);
        assert_true(click.price == rows[i].price);
        assert_int_equal(click.is_new, rows[i].is_new);
        assert_int_equal(click.page.data == NULL, rows[i].page == NULL);
        assert_true(weir_str_equal(click.page, weir_str_of(rows[i].page)));
    }
    stub_ctx_free(ctx);
}

static void bad_lines_are_dead_letters_that_name_the_field(void **state)
{
    static const struct {
        const char *line, *words;
    } rows[] = {
        { NULL, "null" },
        { "", "field 1, 'id': it is empty, no i32" },
        { "1", "fewer than the 4 fields of type 'click'" },
        { "1,home,2.5", "fewer" },
        { "1,home,2.5,true,", "more than the 4 fields" },
        { "1,home,2.5,true,x", "more" },
        { "1.0,home,2.5,true", "field 1, 'id': it is no i32" },
        { " 1,home,2.5,true", "field 1" },
        { "2147483648,home,2.5,true", "field 1" },
        { "-2147483649,home,2.5,true", "field 1" },
        { "+1,home,2.5,true", "field 1" },
        { "0x1,home,2.5,true", "field 1" },
        { "1,home,.5,true", "field 3, 'price': it is no f64" },
        { "1,home,5.,true", "field 3" },
        { "1,home,-,true", "field 3" },
        { "1,home,+1,true", "field 3" },
        { "1,home,1e,true", "field 3" },
        { "1,home,1e-,true", "field 3" },
        { "1,home,1 ,true", "field 3" },
        { "1,home,inf,true", "field 3" },
        { "1,home,--Infinity,true", "field 3" },
        { "1,home,-NaN,true", "field 3" },
        { "1,home,0x1p3,true", "field 3" },
        { "1,home,,true", "field 3, 'price': it is empty, no f64" },
        { "1,home,1e999,true", "field 3" },
        { "1,home,2.5,TRUE", "field 4, 'is_new': it is no bool" },
        { "1,home,2.5,1", "field 4" },
        { "1,\"home,2.5,true", "field 2, 'page': its quotes are not closed" },
        { "1,\"", "not closed" },
        { "1,\"\"\"", "not closed" },
        { "1,\"home\"x,2.5,true", "behind its closing quote" },
        { "1,\"home\" ,2.5,true", "behind its closing quote" },
        { "1,ho\"me,2.5,true", "a quote in it" },
        { "1,ho\nme,2.5,true", "a line end in it" },
        { "1,home,2.5,true\n\n", "a line end in it" },
    };
    weir_ctx *ctx = stub_ctx_new(0, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct click click;
        weir_error *error = decode(ctx, &click_type, weir_str_of(rows[i].line), &click);
        assert_non_null(error);
        assert_int_equal(weir_error_code(error), WEIR_E_DATA);
        assert_string_equal(weir_error_reason(error), "bad-csv");
        if (strstr(weir_error_message(error), rows[i].words) == NULL)
            fail_msg("'%s': %s", rows[i].line, weir_error_message(error));
        weir_error_free(error);
    }
    stub_ctx_free(ctx);
}

static void a_record_is_written_with_as_few_quotes_as_possible(void **state)
{
    static const struct {
        struct click click;
        const char *line;
    } rows[] = {
        { { 1, { "home", 4 }, 2.5, true }, "1,home,2.5,true" },
        { { INT32_MIN, { NULL, 0 }, 0.1, false }, "-2147483648,,0.1,false" },
        { { 0, { "", 0 }, 1e100, false }, "0,\"\",1e100,false" },
        { { 0, { "a,b", 3 }, 0, false }, "0,\"a,b\",0,false" },
        { { 0, { "say \"x\"", 7 }, 0, false }, "0,\"say \"\"x\"\"\",0,false" },
        { { 0, { "a\nb", 3 }, 0, false }, "0,\"a\nb\",0,false" },
    };
    struct weir_format format = weir_csv(&click_type);
    weir_buffer *key = weir_buffer_new(0), *value = weir_buffer_new(1000);
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool key_is_null = true, value_is_null = false;
        weir_buffer_reset(value);
        assert_null(format.format_class->encode(&format, &rows[i].click, key, value, &key_is_null,
            &value_is_null));
        assert_true(key_is_null && !value_is_null);
        assert_true(weir_str_equal(weir_buffer_view(value), weir_str_of(rows[i].line)));
    }
    weir_buffer_free(key);
    weir_buffer_free(value);
}

static void any_record_comes_back_as_it_was_written(void **state)
{
    struct weir_format format = weir_csv(&sample_type);
    weir_ctx *ctx = stub_ctx_new(0, 1);
    weir_buffer *key = weir_buffer_new(0), *value = weir_buffer_new(4u << 20);
    for (uint64_t i = 0; i < 3000; i++) {
        struct sample sent, got;
        bool key_is_null = true, value_is_null = false;
        sample_fill(&sent, 8, i);
        weir_buffer_reset(value);
        assert_null(
            format.format_class->encode(&format, &sent, key, value, &key_is_null, &value_is_null));
        assert_null(decode(ctx, &sample_type, weir_buffer_view(value), &got));
        assert_true(sample_equal(&sent, &got));
        stub_ctx_next_batch(ctx);
    }
    weir_buffer_free(key);
    weir_buffer_free(value);
    stub_ctx_free(ctx);
}

static void a_type_of_one_field_may_be_an_empty_line(void **state)
{
    weir_ctx *ctx = stub_ctx_new(0, 1);
    struct word word;
    assert_null(decode(ctx, &word_type, WEIR_STR(""), &word));
    assert_null(word.text.data);
    assert_null(decode(ctx, &word_type, WEIR_STR("\"\"\r\n"), &word));
    assert_non_null(word.text.data);
    assert_int_equal(word.text.size, 0);
    stub_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines_become_records),
        cmocka_unit_test(bad_lines_are_dead_letters_that_name_the_field),
        cmocka_unit_test(a_record_is_written_with_as_few_quotes_as_possible),
        cmocka_unit_test(any_record_comes_back_as_it_was_written),
        cmocka_unit_test(a_type_of_one_field_may_be_an_empty_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

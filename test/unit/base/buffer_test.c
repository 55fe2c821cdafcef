/* buffer_test.c -- growing, overflowing, and reading back what was put, whatever was put. */
#include "base/buffer.h"

#include "base/memory.h"

#include "test/support/expect.h"

static void bytes_come_back_as_they_were_added(void **state)
{
    weir_buffer *buffer = weir_buffer_new(1 << 20);
    for (int i = 0; i < 10000; i++)
        weir_buffer_add_byte(buffer, (char)i);
    weir_buffer_add(buffer, "xyz", 3);
    weir_buffer_add_str(buffer, WEIR_STR("!"));
    weir_buffer_add_str(buffer, (weir_str){ .data = NULL });
    weir_str view = weir_buffer_view(buffer);
    assert_int_equal(view.size, 10004);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(view.data[i], (char)i);
    assert_memory_equal(view.data + 10000, "xyz!", 4);
    weir_buffer_reset(buffer);
    assert_int_equal(buffer_size(buffer), 0);
    assert_string_equal(buffer_text(buffer), "");
    weir_buffer_free(buffer);
    weir_buffer_free(NULL);
}

static void a_buffer_takes_exactly_its_maximum(void **state)
{
    static const size_t maxima[] = { 0, 1, 255, 256, 257, 1000 };
    static char bytes[1001];
    for (size_t i = 0; i < COUNT_OF(maxima); i++) {
        weir_buffer *buffer = weir_buffer_new(maxima[i]);
        weir_buffer_add(buffer, bytes, maxima[i]);
        assert_false(weir_buffer_overflowed(buffer));
        assert_int_equal(strlen(buffer_text(buffer)), 0); /* the terminator has room as well */
        weir_buffer_add_byte(buffer, 'x');
        assert_true(weir_buffer_overflowed(buffer));
        assert_int_equal(buffer_size(buffer), maxima[i]);
        weir_buffer_reset(buffer);
        assert_false(weir_buffer_overflowed(buffer));
        weir_buffer_free(buffer);
    }
}

static void after_an_overflow_nothing_more_is_written(void **state)
{
    weir_buffer *buffer = weir_buffer_new(10);
    weir_buffer_add(buffer, "12345678", 8);
    weir_buffer_add(buffer, "123", 3);
    weir_buffer_add(buffer, "1", 1);
    buffer_printf(buffer, "%d", 1);
    char *spill = weir_buffer_reserve(buffer, 100000);
    memset(spill, 'x', 100000); /* room all the same */
    weir_buffer_added(buffer, 100000);
    memset(weir_buffer_reserve(buffer, 1), 'x', 1);
    weir_buffer_added(buffer, 1);
    assert_int_equal(buffer_size(buffer), 8);
    assert_true(weir_buffer_overflowed(buffer));
    weir_buffer_reset(buffer);
    memset(weir_buffer_reserve(buffer, 10), 'y', 10);
    weir_buffer_added(buffer, 4);
    assert_string_equal(buffer_text(buffer), "yyyy");
    weir_buffer_free(buffer);
}

static void printing_appends_to_what_is_there(void **state)
{
    weir_buffer *buffer = weir_buffer_new(5000);
    for (int i = 0; i < 1000; i++)
        buffer_printf(buffer, "%03d,", i);
    assert_int_equal(buffer_size(buffer), 4000);
    assert_memory_equal(buffer_text(buffer) + 3996, "999,", 5);
    weir_buffer_free(buffer);
}

static void what_is_put_can_be_read(void **state)
{
    weir_buffer *buffer = weir_buffer_new(1000);
    buffer_put_u8(buffer, 0xfe);
    buffer_put_u32(buffer, 0x01020304);
    buffer_put_u64(buffer, UINT64_MAX - 1);
    buffer_put_str(buffer, WEIR_STR("text"));
    buffer_put_str(buffer, WEIR_STR(""));
    buffer_put_str(buffer, (weir_str){ .data = NULL });
    assert_memory_equal(buffer_text(buffer), "\xfe\x04\x03\x02\x01", 5); /* little-endian */

    struct reader reader = reader_of(weir_buffer_view(buffer));
    assert_int_equal(reader_u8(&reader), 0xfe);
    assert_int_equal(reader_u32(&reader), 0x01020304);
    assert_true(reader_u64(&reader) == UINT64_MAX - 1);
    assert_true(weir_str_equal(reader_str(&reader), WEIR_STR("text")));
    weir_str empty = reader_str(&reader);
    assert_true(empty.data != NULL && empty.size == 0);
    assert_null(reader_str(&reader).data);
    assert_true(reader_at_end(&reader) && !reader_failed(&reader));
    weir_buffer_free(buffer);
}

static void reading_past_the_end_fails_and_gives_zeros(void **state)
{
    struct reader reader = reader_of((weir_str){ .data = "\x01\x02\x03", .size = 3 });
    assert_int_equal(reader_u32(&reader), 0);
    assert_true(reader_failed(&reader));
    assert_int_equal(reader_u8(&reader), 0); /* although there are bytes: one failure spoils all */
    assert_null(reader_str(&reader).data);

    reader = reader_of((weir_str){ .data = "\x05\0\0\0abcd", .size = 8 }); /* one byte short */
    assert_null(reader_str(&reader).data);
    assert_true(reader_failed(&reader));

    reader = reader_of((weir_str){ .data = NULL });
    assert_true(reader_at_end(&reader));
    assert_int_equal(reader_u64(&reader), 0);
    assert_true(reader_failed(&reader));
}

static void what_is_over_its_limit_fails_like_what_is_not_there(void **state)
{
    weir_str bytes = { .data = "\x07\x07\0\0\0\x07\0\0\0\0\0\0\0", .size = 13 };
    struct reader reader = reader_of(bytes);
    assert_int_equal(reader_u8_max(&reader, 7), 7);
    assert_int_equal(reader_u32_max(&reader, 7), 7);
    assert_int_equal(reader_u64_max(&reader, 7), 7);
    assert_true(reader_at_end(&reader) && !reader_failed(&reader));
    for (int i = 0; i < 3; i++) {
        reader = reader_of(bytes);
        assert_int_equal(reader_u8_max(&reader, i == 0 ? 6 : 7), i == 0 ? 0 : 7);
        assert_int_equal(reader_u32_max(&reader, i == 1 ? 6 : 7), i <= 1 ? 0 : 7);
        assert_int_equal(reader_u64_max(&reader, 6), 0);
        assert_true(reader_failed(&reader));
    }
}

static void a_text_is_a_string_of_c_or_none(void **state)
{
    const struct {
        weir_str str;
        const char *text;
    } rows[] = { { WEIR_STR("abc"), "abc" }, { WEIR_STR(""), "" }, { WEIR_STR("abcd"), NULL },
        { WEIR_STR("a\0c"), NULL }, { { .data = NULL }, NULL } };
    struct arena arena;
    arena_init(&arena, 1024, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weir_buffer *buffer = weir_buffer_new(100);
        buffer_put_str(buffer, rows[i].str);
        struct reader reader = reader_of(weir_buffer_view(buffer));
        const char *text = reader_text(&reader, &arena, 3);
        assert_true(reader_at_end(&reader));
        weir_buffer_free(buffer);
        assert_true((text == NULL) == (rows[i].text == NULL));
        if (text != NULL)
            assert_string_equal(text, rows[i].text);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_as_they_were_added),
        cmocka_unit_test(a_buffer_takes_exactly_its_maximum),
        cmocka_unit_test(after_an_overflow_nothing_more_is_written),
        cmocka_unit_test(printing_appends_to_what_is_there),
        cmocka_unit_test(what_is_put_can_be_read),
        cmocka_unit_test(reading_past_the_end_fails_and_gives_zeros),
        cmocka_unit_test(what_is_over_its_limit_fails_like_what_is_not_there),
        cmocka_unit_test(a_text_is_a_string_of_c_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* msgpack_test.c -- records survive, other writers' forms are read, damage is an error. */
#include "types/msgpack.h"

#include "base/buffer.h"
#include "test/support/expect.h"

#include <math.h>
#include <stdlib.h>

struct all {
    bool truth;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    double f64;
    weir_str text;
};
WEIR_TYPE(all, WEIR_FIELD(1, all, truth), WEIR_FIELD(2, all, i32), WEIR_FIELD(3, all, u32),
    WEIR_FIELD(4, all, i64), WEIR_FIELD(5, all, u64), WEIR_FIELD(6, all, f64),
    WEIR_FIELD(7, all, text));

/* An initialiser, so that tables can be static. */
#define BYTES(literal_) \
    { \
        .data = (literal_), .size = sizeof(literal_) - 1 \
    }

static weir_error *decode(weir_str bytes, struct all *record)
{
    /* A copy of exactly that size, so that ASan sees a byte too many. */
    static char *copy;
    free(copy);
    copy = malloc(bytes.size == 0 ? 1 : bytes.size);
    memcpy(copy, bytes.data, bytes.size);
    return msgpack_decode(&all_type, (weir_str){ copy, bytes.size }, NULL, record);
}

static void records_survive_being_written_and_read(void **state)
{
    static char text[70000];
    memset(text, 'x', sizeof(text));
    const struct all records[] = {
        { .truth = false },
        { true, INT32_MIN, UINT32_MAX, INT64_MIN, UINT64_MAX, -INFINITY, WEIR_STR("text") },
        { true, INT32_MAX, 0, INT64_MAX, 1, 0.1, WEIR_STR("") },
        { false, -1, 127, -32, 128, -0.0, { text, 31 } },
        { false, -33, 255, -128, 256, 1e308, { text, 32 } },
        { false, -129, 65535, -32768, 65536, 5e-324, { text, 255 } },
        { false, 128, 65536, -32769, UINT64_C(1) << 32, 1, { text, 256 } },
        { true, -32769, 1, INT64_C(-2147483649), INT64_MAX, 2, { text, 70000 } },
    };
    weir_buffer *bytes = weir_buffer_new(1 << 20);
    for (size_t i = 0; i < COUNT_OF(records); i++) {
        struct all got;
        weir_buffer_reset(bytes);
        msgpack_encode(&all_type, &records[i], bytes);
        expect_ok(decode(weir_buffer_view(bytes), &got));
        assert_int_equal(got.truth, records[i].truth);
        assert_int_equal(got.i32, records[i].i32);
        assert_int_equal(got.u32, records[i].u32);
        assert_true(got.i64 == records[i].i64);
        assert_true(got.u64 == records[i].u64);
        assert_memory_equal(&got.f64, &records[i].f64, sizeof(double));
        assert_true(weir_str_equal(got.text, records[i].text));
        assert_int_equal(got.text.data == NULL, records[i].text.data == NULL);
    }
    weir_buffer_free(bytes);
}

static void the_bytes_never_change(void **state)
{
    struct all record = { true, -1, 200, 70000, 1, 1.5, WEIR_STR("ab") };
    static const char expected[] = "\x87\x01\xc3\x02\xff\x03\xcc\xc8\x04\xce\x00\x01\x11\x70"
                                   "\x05\x01\x06\xcb\x3f\xf8\0\0\0\0\0\0\x07\xa2"
                                   "ab";
    weir_buffer *bytes = weir_buffer_new(100);
    msgpack_encode(&all_type, &record, bytes);
    assert_int_equal(buffer_size(bytes), sizeof(expected) - 1);
    assert_memory_equal(weir_buffer_view(bytes).data, expected, sizeof(expected) - 1);
    weir_buffer_free(bytes);
}

static void strings_are_copied_into_the_arena(void **state)
{
    struct arena arena;
    arena_init(&arena, 64, 4096);
    char bytes[] = "\x81\x07\xa2"
                   "ab";
    struct all got;
    expect_ok(msgpack_decode(&all_type, (weir_str){ bytes, 5 }, &arena, &got));
    bytes[3] = 'X';
    assert_true(weir_str_equal(got.text, WEIR_STR("ab")));
    expect_ok(msgpack_decode(&all_type, (weir_str){ bytes, 5 }, NULL, &got));
    assert_ptr_equal(got.text.data, bytes + 3);
    arena_release(&arena);
}

static void other_forms_of_the_same_are_read(void **state)
{
    static const struct {
        weir_str bytes;
        int64_t i64;
        double f64;
        const char *text;
    } rows[] = {
        { BYTES("\x80"), 0, 0, NULL },                           /* all missing */
        { BYTES("\xde\0\x01\x04\x07"), 7, 0, NULL },             /* map16 */
        { BYTES("\xdf\0\0\0\x01\x04\x07"), 7, 0, NULL },         /* map32 */
        { BYTES("\x81\xcd\0\x04\x07"), 7, 0, NULL },             /* the id as u16 */
        { BYTES("\x81\xd3\0\0\0\0\0\0\0\x04\x07"), 7, 0, NULL }, /* the id as i64 */
        { BYTES("\x81\x04\xd0\xf6"), -10, 0, NULL },             /* i8 */
        { BYTES("\x81\x04\xd1\xff\xf6"), -10, 0, NULL },         /* i16 */
        { BYTES("\x81\x04\xd2\xff\xff\xff\xf6"), -10, 0, NULL },
        { BYTES("\x81\x04\xd3\xff\xff\xff\xff\xff\xff\xff\xf6"), -10, 0, NULL },
        { BYTES("\x81\x04\xcf\0\0\0\0\0\0\0\x0a"), 10, 0, NULL }, /* u64 into i64 */
        { BYTES("\x81\x04\xc0"), 0, 0, NULL },                    /* nil */
        { BYTES("\x81\x06\xca\x3f\xc0\0\0"), 0, 1.5, NULL },      /* f32 */
        { BYTES("\x81\x07\xc4\x02hi"), 0, 0, "hi" },              /* bin8 */
        { BYTES("\x81\x07\xc5\0\x02hi"), 0, 0, "hi" },            /* bin16 */
        { BYTES("\x81\x07\xc6\0\0\0\x02hi"), 0, 0, "hi" },        /* bin32 */
        { BYTES("\x81\x07\xdb\0\0\0\x02hi"), 0, 0, "hi" },        /* str32 */
        { BYTES("\x82\x07\xa2hi\x04\x05"), 5, 0, "hi" },          /* another order */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct all got;
        expect_ok(decode(rows[i].bytes, &got));
        assert_true(got.i64 == rows[i].i64);
        assert_true(got.f64 == rows[i].f64);
        assert_true(weir_str_equal(got.text, weir_str_of(rows[i].text)));
    }
}

static void unknown_fields_are_skipped_whatever_they_hold(void **state)
{
    static const weir_str values[] = {
        BYTES("\x05"), BYTES("\xc0"), BYTES("\xc3"),
        BYTES("\xa3"
              "abc"),
        BYTES("\xcb"
              "12345678"),
        BYTES("\x93\x01\x02\xa1x"), BYTES("\x82\x01\x02\x03\x81\x04\x90"), BYTES("\x90"),
        BYTES("\xdc\0\x02\x01\x02"), BYTES("\xdd\0\0\0\x01\x80"), BYTES("\xd4\x01x"),
        BYTES("\xd5\x01xx"), BYTES("\xd6\x01xxxx"), BYTES("\xd7\x01xxxxxxxx"),
        BYTES("\xd8\x01xxxxxxxxxxxxxxxx"), BYTES("\xc7\x02\x01xx"), BYTES("\xc8\0\x01\x01x"),
        BYTES("\xc9\0\0\0\x01\x01x"), BYTES("\xc7\0\x01"),
        BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01"), /* 16 deep */
    };
    static const weir_str keys[] = { BYTES("\x63"), BYTES("\xa4name"), BYTES("\xff"),
        BYTES("\x92\x01\x02"), BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff") };
    weir_buffer *bytes = weir_buffer_new(1000);
    for (size_t i = 0; i < COUNT_OF(values); i++)
        for (size_t j = 0; j < COUNT_OF(keys); j++) {
            struct all got;
            weir_buffer_reset(bytes);
            weir_buffer_add_str(bytes, WEIR_STR("\x83\x01\xc3"));
            weir_buffer_add_str(bytes, keys[j]);
            weir_buffer_add_str(bytes, values[i]);
            weir_buffer_add_str(bytes, WEIR_STR("\x07\xa1z"));
            expect_ok(decode(weir_buffer_view(bytes), &got));
            assert_true(got.truth && weir_str_equal(got.text, WEIR_STR("z")));
        }
    weir_buffer_free(bytes);
}

static void wrong_kinds_and_numbers_out_of_range_are_refused(void **state)
{
    static const struct {
        weir_str bytes;
        const char *said;
    } rows[] = {
        { BYTES("\x81\x01\x01"), "field 1 'truth' holds no bool" },
        { BYTES("\x81\x02\xca\0\0\0\0"), "field 2 'i32' holds no i32" },
        { BYTES("\x81\x02\xce\x80\0\0\0"), "field 2 'i32' holds no i32" },
        { BYTES("\x81\x02\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"), "field 2 'i32' holds no i32" },
        { BYTES("\x81\x03\xff"), "field 3 'u32' holds no u32" },
        { BYTES("\x81\x03\xcf\0\0\0\x01\0\0\0\0"), "field 3 'u32' holds no u32" },
        { BYTES("\x81\x04\xcf\x80\0\0\0\0\0\0\0"), "field 4 'i64' holds no i64" },
        { BYTES("\x81\x05\xd0\xff"), "field 5 'u64' holds no u64" },
        { BYTES("\x81\x06\x01"), "field 6 'f64' holds no f64" },
        { BYTES("\x81\x07\x01"), "field 7 'text' holds no string" },
        { BYTES("\x81\x07\x90"), "field 7 'text' holds no string" },
        { BYTES("\x81\x07\xd4\x01x"), "field 7 'text' holds no string" },
        { BYTES("\x82\x01\xc3\x01\xc3"), "field 1 'truth' is there twice" },
        { BYTES("\x81\x01\xc3\xc3"), "there is more behind the map at byte 3 of 4" },
        { BYTES(""), "there is no map at byte 0 of 0" }, { BYTES("\x91\x01"), "there is no map" },
        { BYTES("\xc1"), "there is no map" },
        { BYTES("\x81\x01\xc1"), "cut, damaged or nested too deep" },
        { BYTES("\x81\x63\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01"),
            "nested too deep" }, /* 17 */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct all got;
        weir_error *error = decode(rows[i].bytes, &got);
        assert_non_null(error);
        assert_string_equal(weir_error_reason(error), "bad-msgpack");
        expect_error(error, WEIR_E_DATA, rows[i].said);
    }
    struct all got;
    expect_error(msgpack_decode(&all_type, (weir_str){ NULL, 0 }, NULL, &got), WEIR_E_DATA,
        "no map");
}

static void headers_that_claim_more_than_there_is_are_refused(void **state)
{
    static const weir_str rows[] = { BYTES("\xdf\xff\xff\xff\xff"),
        BYTES("\xdf\xff\xff\xff\xff\x01"), BYTES("\x81\x63\xdd\xff\xff\xff\xff"),
        BYTES("\x81\x63\xdf\xff\xff\xff\xff\x01\x02"), BYTES("\x81\x63\xc9\xff\xff\xff\xff"),
        BYTES("\x81\x63\xc9\xff\xff\xff\xff\x01"), BYTES("\x81\x07\xdb\xff\xff\xff\xffx"),
        BYTES("\x81\x07\xc6\xff\xff\xff\xff") };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct all got;
        expect_error(decode(rows[i], &got), WEIR_E_DATA, "cut");
    }
}

static void a_record_cut_anywhere_is_refused(void **state)
{
    struct all record = { true, -70000, 200, INT64_MIN, UINT64_MAX, 1.5, WEIR_STR("some text") };
    weir_buffer *bytes = weir_buffer_new(1000);
    msgpack_encode(&all_type, &record, bytes);
    weir_str cut = weir_buffer_view(bytes);
    while (cut.size-- > 0) {
        struct all got;
        expect_error(decode(cut, &got), WEIR_E_DATA, "cannot read a record of type 'all'");
    }
    weir_buffer_free(bytes);
}

static void a_buffer_too_small_is_remembered(void **state)
{
    struct all record = { .truth = true };
    weir_buffer *bytes = weir_buffer_new(5);
    msgpack_encode(&all_type, &record, bytes);
    assert_true(weir_buffer_overflowed(bytes));
    weir_buffer_free(bytes);
}

static void a_stream_is_taken_apart_value_by_value(void **state)
{
    weir_str stream = BYTES("\x07\x92\x01\x81\x02\xa1z\xc0"), value;
    static const weir_str values[] = { BYTES("\x07"), BYTES("\x92\x01\x81\x02\xa1z"),
        BYTES("\xc0") };
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        assert_true(msgpack_take(&stream, &value));
        assert_true(weir_str_equal(value, values[i]));
    }
    assert_int_equal(stream.size, 0);
    assert_false(msgpack_take(&stream, &value));
    weir_str cut = BYTES("\x92\x01\x81\x02\xa1");
    assert_false(msgpack_take(&cut, &value));
    assert_int_equal(cut.size, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_survive_being_written_and_read),
        cmocka_unit_test(the_bytes_never_change),
        cmocka_unit_test(strings_are_copied_into_the_arena),
        cmocka_unit_test(other_forms_of_the_same_are_read),
        cmocka_unit_test(unknown_fields_are_skipped_whatever_they_hold),
        cmocka_unit_test(wrong_kinds_and_numbers_out_of_range_are_refused),
        cmocka_unit_test(headers_that_claim_more_than_there_is_are_refused),
        cmocka_unit_test(a_record_cut_anywhere_is_refused),
        cmocka_unit_test(a_buffer_too_small_is_remembered),
        cmocka_unit_test(a_stream_is_taken_apart_value_by_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

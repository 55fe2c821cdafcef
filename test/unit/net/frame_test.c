/* frame_test.c -- frames in every cut, and what is no frame. */
#include "net/frame.h"

#include "base/memory.h"
#include "test/support/expect.h"

#include <stdio.h>

/* Writes a frame at `at`; its size. */
static size_t put(char *at, uint32_t kind, weir_str payload)
{
    frame_head_write(at, kind, payload);
    memcpy(at + FRAME_HEAD_SIZE, payload.data, payload.size);
    return FRAME_HEAD_SIZE + payload.size;
}

static void a_frame_has_the_bytes_that_the_table_says(void **state)
{
    char head[FRAME_HEAD_SIZE];
    frame_head_write(head, 0x01020304, WEIR_STR("abc"));
    assert_memory_equal(head, "WRF\1\4\3\2\1\3\0\0\0", 12);
    /* XXH3-64 of 04 03 02 01 03 00 00 00 61 62 63, low half: other releases must agree. */
    assert_memory_equal(head + 12, "\x41\xec\x8e\x94", 4);
}

static void frames_come_out_however_the_bytes_are_cut(void **state)
{
    char wire[400];
    size_t size = put(wire, 1, WEIR_STR("hello"));
    size += put(wire + size, 2, WEIR_STR(""));
    size += put(wire + size, 3,
        WEIR_STR("a payload that is a little longer than the head in front of it, and ends"));
    size += put(wire + size, 4, WEIR_STR("!"));
    static const uint64_t sizes[] = { 5, 0, 72, 1 };
    for (size_t cut = 1; cut <= size; cut++) {
        struct frame_reader reader;
        frame_reader_init(&reader, 100);
        uint32_t count = 0;
        for (size_t at = 0; at < size; at += cut) {
            weir_str bytes = { .data = wire + at, .size = cut < size - at ? cut : size - at };
            while (bytes.size > 0) {
                struct frame frame;
                bool is_whole;
                expect_ok(frame_read(&reader, &bytes, &frame, &is_whole));
                assert_true(is_whole || bytes.size == 0);
                if (!is_whole)
                    continue;
                assert_int_equal(frame.payload.size, sizes[count]);
                assert_int_equal(frame.kind, ++count);
                assert_non_null(frame.payload.data);
                if (count == 3)
                    assert_memory_equal(frame.payload.data, "a payload", 9);
            }
        }
        assert_int_equal(count, 4);
        assert_false(frame_reader_is_inside(&reader));
        frame_reader_release(&reader);
    }
}

static void a_reader_knows_that_it_is_inside_of_a_frame(void **state)
{
    char wire[64];
    size_t size = put(wire, 1, WEIR_STR("hello"));
    struct frame_reader reader;
    struct frame frame;
    bool is_whole;
    frame_reader_init(&reader, 100);
    assert_false(frame_reader_is_inside(&reader));
    for (size_t i = 0; i + 1 < size; i++) {
        weir_str byte = { .data = wire + i, .size = 1 };
        expect_ok(frame_read(&reader, &byte, &frame, &is_whole));
        assert_true(frame_reader_is_inside(&reader));
    }
    frame_reader_release(&reader);
}

static weir_error *read_once(const char *wire, size_t size, uint32_t size_max)
{
    struct frame_reader reader;
    struct frame frame;
    bool is_whole;
    frame_reader_init(&reader, size_max);
    weir_str bytes = { .data = wire, .size = size };
    weir_error *error = frame_read(&reader, &bytes, &frame, &is_whole);
    frame_reader_release(&reader);
    return error;
}

static void every_flipped_bit_of_a_frame_is_noticed(void **state)
{
    char wire[64];
    size_t size = put(wire, 7, WEIR_STR("hello"));
    for (size_t bit = 0; bit < size * 8; bit++) {
        wire[bit / 8] = (char)(wire[bit / 8] ^ 1 << bit % 8);
        struct frame_reader reader;
        struct frame frame;
        bool is_whole = false;
        frame_reader_init(&reader, UINT32_MAX);
        weir_str bytes = { .data = wire, .size = size };
        weir_error *error = frame_read(&reader, &bytes, &frame, &is_whole);
        assert_false(error == NULL && is_whole); /* a longer size: it waits for more */
        weir_error_free(error);
        frame_reader_release(&reader);
        wire[bit / 8] = (char)(wire[bit / 8] ^ 1 << bit % 8);
    }
}

static void what_is_no_frame_is_refused_in_plain_words(void **state)
{
    char wire[64];
    size_t size = put(wire, 7, WEIR_STR("hello"));
    expect_error(read_once("GET / HTTP/1.1\r\n", 16, 100), WEIR_E_CORRUPT,
        "no frame of this version");
    expect_error(read_once("WRF\2\0\0\0\0\0\0\0\0\0\0\0\0", 16, 100), WEIR_E_CORRUPT,
        "57 52 46 02");
    expect_error(read_once(wire, size, 4), WEIR_E_LIMIT,
        "a frame of kind 7 has 5 bytes, at most 4 are taken here");
    expect_ok(read_once(wire, size, 5));
    wire[size - 1] ^= 1;
    expect_error(read_once(wire, size, 100), WEIR_E_CORRUPT, "wrong checksum");
}

static void a_head_that_promises_much_costs_little(void **state)
{
    char wire[FRAME_HEAD_SIZE + 1] = { 0 };
    frame_head_write(wire, 1, (weir_str){ .data = "", .size = 0 });
    memcpy(wire + 8, "\0\0\0\x10", 4); /* 256 MiB */
    struct frame_reader reader;
    struct frame frame;
    bool is_whole;
    frame_reader_init(&reader, 256u << 20);
    weir_str bytes = { .data = wire, .size = sizeof(wire) };
    expect_ok(frame_read(&reader, &bytes, &frame, &is_whole));
    assert_false(is_whole);
    assert_in_range(reader.capacity, 1, 64 << 10);
    frame_reader_release(&reader);
}

static void a_large_payload_is_given_back_after_its_frame(void **state)
{
    size_t size = 3 << 20;
    char *payload = mem_alloc(size), *wire = mem_alloc(FRAME_HEAD_SIZE + size);
    memset(payload, 'x', size);
    put(wire, 9, (weir_str){ .data = payload, .size = size });
    struct frame_reader reader;
    struct frame frame = { .kind = 0 };
    bool is_whole = false;
    frame_reader_init(&reader, 256u << 20);
    for (size_t at = 0; at < FRAME_HEAD_SIZE + size; at += 4096) {
        size_t left = FRAME_HEAD_SIZE + size - at;
        weir_str bytes = { .data = wire + at, .size = left < 4096 ? left : 4096 };
        expect_ok(frame_read(&reader, &bytes, &frame, &is_whole));
    }
    assert_true(is_whole);
    assert_true(weir_str_equal(frame.payload, (weir_str){ .data = payload, .size = size }));
    weir_str more = WEIR_STR("W");
    expect_ok(frame_read(&reader, &more, &frame, &is_whole));
    assert_int_equal(reader.capacity, 0);
    frame_reader_release(&reader);
    mem_free(wire);
    mem_free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_has_the_bytes_that_the_table_says),
        cmocka_unit_test(frames_come_out_however_the_bytes_are_cut),
        cmocka_unit_test(a_reader_knows_that_it_is_inside_of_a_frame),
        cmocka_unit_test(every_flipped_bit_of_a_frame_is_noticed),
        cmocka_unit_test(what_is_no_frame_is_refused_in_plain_words),
        cmocka_unit_test(a_head_that_promises_much_costs_little),
        cmocka_unit_test(a_large_payload_is_given_back_after_its_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

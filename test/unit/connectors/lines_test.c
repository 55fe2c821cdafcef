/* lines_test.c -- lines come out the same however the stream is cut into blocks. */
#include "connectors/lines.h"

#include "test/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))
#define STREAM_SIZE   4096u
#define HEAD_SIZE_MAX ((size_t)WEIR_DEAD_LETTER_RAW_MAX)

/* Where the next line ends, and where the one behind it starts; false: there is none. */
static bool model_next(weir_str stream, size_t at, size_t *end, size_t *next)
{
    if (at >= stream.size)
        return false;
    const char *feed = memchr(stream.data + at, '\n', stream.size - at);
    *end = feed == NULL ? stream.size : (size_t)(feed - stream.data);
    *next = feed == NULL ? stream.size : *end + 1;
    return true;
}

/* Feeds the stream in random pieces and compares every line with the model. */
static void check(weir_str stream, size_t block_size, size_t size_max, struct random *random)
{
    struct lines lines;
    lines_init(&lines, block_size, size_max);
    lines_start(&lines, 1000);
    size_t fed = 0, at = 0, end = 0, next = 0;
    for (;;) {
        struct line line;
        while (lines_take(&lines, &line)) {
            assert_true(model_next(stream, at, &end, &next));
            assert_int_equal(line.offset, 1000 + at);
            assert_int_equal(line.size, end - at);
            assert_int_equal(line.is_long, end - at > size_max);
            size_t shown = line.is_long && line.size > HEAD_SIZE_MAX ? HEAD_SIZE_MAX : end - at;
            assert_int_equal(line.bytes.size, shown);
            assert_non_null(line.bytes.data); /* empty is not NULL */
            assert_memory_equal(line.bytes.data, stream.data + at, shown);
            at = next;
            assert_int_equal(lines.offset, 1000 + at);
        }
        if (lines.is_at_end)
            break;
        size_t room;
        char *into = lines_room(&lines, &room);
        assert_true(room >= block_size);
        size_t size = random_below(random, (uint32_t)(room < 64 ? room : 64)) + 1;
        if (random_one_in(random, 4))
            size = room;
        if (size > stream.size - fed)
            size = stream.size - fed;
        memcpy(into, stream.data + fed, size);
        lines_filled(&lines, size);
        fed += size;
    }
    assert_false(model_next(stream, at, &end, &next)); /* nothing is left out */
    assert_int_equal(at, stream.size);
    lines_release(&lines);
}

static void lines_end_at_line_feeds_and_at_the_end(void **state)
{
    static const char *const streams[] = { "", "\n", "\n\n", "a", "a\n", "a\nb", "a\nb\n", "\na",
        "a\n\nb", "ab\r\ncd\r\n", "\n\n\n\nx" };
    struct random random = { 1 };
    for (size_t i = 0; i < COUNT(streams); i++)
        for (size_t block_size = 1; block_size < 8; block_size++)
            for (size_t size_max = 1; size_max < 4; size_max++)
                check(weir_str_of(streams[i]), block_size, size_max, &random);
}

static void any_cut_of_any_stream_gives_the_same_lines(void **state)
{
    char *bytes = malloc(STREAM_SIZE);
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct random random = { seed };
        uint32_t feeds = 1 + random_below(&random, 40);
        size_t size = random_below(&random, STREAM_SIZE);
        for (size_t i = 0; i < size; i++)
            bytes[i] = random_one_in(&random, feeds) ? '\n' : (char)random_next(&random);
        check((weir_str){ .data = bytes, .size = size }, 1 + random_below(&random, 300),
            1 + random_below(&random, 60), &random);
    }
    free(bytes);
}

static void a_line_of_the_maximum_is_whole_and_a_longer_one_is_cut(void **state)
{
    size_t size = 3 * HEAD_SIZE_MAX;
    char *bytes = malloc(size);
    memset(bytes, 'x', size);
    struct random random = { 7 };
    for (size_t i = 0; i < 4; i++) {
        size_t length = HEAD_SIZE_MAX - 2 + i;
        bytes[length] = '\n';
        check((weir_str){ .data = bytes, .size = size }, 4096, HEAD_SIZE_MAX, &random);
        check((weir_str){ .data = bytes, .size = size }, 100, HEAD_SIZE_MAX / 2, &random);
        check((weir_str){ .data = bytes, .size = size }, 4096, 2 * HEAD_SIZE_MAX, &random);
        bytes[length] = 'x';
    }
    free(bytes);
}

static void one_splitter_serves_stream_after_stream(void **state)
{
    struct lines lines;
    lines_init(&lines, 16, 4);
    for (int i = 0; i < 3; i++) {
        struct line line;
        size_t room;
        lines_start(&lines, 5);
        memcpy(lines_room(&lines, &room), "long line", 9);
        lines_filled(&lines, 9);
        assert_false(lines_take(&lines, &line));
        lines_room(&lines, &room); /* given up in the middle of a long line */
    }
    lines_release(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_at_line_feeds_and_at_the_end),
        cmocka_unit_test(any_cut_of_any_stream_gives_the_same_lines),
        cmocka_unit_test(a_line_of_the_maximum_is_whole_and_a_longer_one_is_cut),
        cmocka_unit_test(one_splitter_serves_stream_after_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* savepoint_entry_test.c -- a stream of entries comes back as it went in, whatever its size; what was damaged is
 * refused with the byte it is at, and a disk that fails is an error, never an end. */
#include "checkpoint/savepoint_entry.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/support/fault_os.h"
#include "test/support/temp_dir.h"
#include "types/msgpack.h"

#include <errno.h>

#include "test/support/expect.h"

struct page {
    uint64_t number;
    weir_str text;
};
WEIR_TYPE(page, WEIR_FIELD(1, page, number), WEIR_FIELD(2, page, text));

/* Larger than a block (256 KiB), so that the reader's room grows twice and more. */
static const size_t sizes[] = { 0, 1, 100, 20000, 262144, 300000, 20000, 6u << 20, 3, 1u << 20 };

static char *filler(size_t size)
{
    char *bytes = mem_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)hash_mix(i);
    return bytes;
}

static weir_error *write_pages(const char *path, struct state_file *file)
{
    struct entry_writer *writer = NULL;
    char *bytes = filler(6u << 20);
    weir_error *error = entry_writer_open(path, &writer);
    for (uint32_t i = 0; i < COUNT_OF(sizes) && error == NULL; i++) {
        struct savepoint_entry entry = { .state = i, .key = WEIR_STR("key"), .expires_ms = -5 };
        struct page page = { .number = i, .text = { .data = bytes, .size = sizes[i] } };
        error = entry_writer_add(writer, &entry, &page_type, &page);
    }
    if (error == NULL)
        error = entry_writer_finish(writer, file);
    entry_writer_free(writer);
    mem_free(bytes);
    return error;
}

static weir_error *read_pages(const char *path, uint32_t *count)
{
    struct entry_reader *reader = NULL;
    struct savepoint_entry entry;
    weir_str value;
    bool found = true;
    *count = 0;
    weir_error *error = entry_reader_open(path, &reader);
    while (error == NULL && found) {
        error = entry_reader_next(reader, &entry, &value, &found);
        if (error != NULL || !found)
            break;
        struct page page;
        expect_ok(msgpack_decode(&page_type, value, NULL, &page));
        char *bytes = filler(sizes[*count]);
        assert_int_equal(entry.state, *count);
        assert_int_equal(page.number, *count);
        assert_int_equal(page.text.size, sizes[*count]);
        assert_memory_equal(page.text.data, bytes, page.text.size);
        assert_int_equal(entry.expires_ms, -5);
        assert_true(weir_str_equal(entry.key, WEIR_STR("key")));
        assert_null(entry.entry.data);
        mem_free(bytes);
        ++*count;
    }
    entry_reader_free(reader);
    return error;
}

static void entries_of_any_size_come_back_as_they_were(void **state)
{
    char *dir = temp_dir_new();
    const char *path = temp_dir_path(dir, "entries");
    struct state_file file = { .name = "entries" };
    struct os_stat stat;
    uint32_t count;
    expect_ok(write_pages(path, &file));
    expect_ok(os_stat(path, &stat));
    assert_int_equal(file.length, stat.size);
    expect_ok(read_pages(path, &count));
    assert_int_equal(count, COUNT_OF(sizes));
    temp_dir_free(dir);
}

static void an_entry_that_no_reader_would_take_is_not_written(void **state)
{
    static const size_t too_large[] = { SAVEPOINT_PAIR_MAX, SAVEPOINT_PAIR_MAX + (1u << 20) };
    char *dir = temp_dir_new(), *bytes = filler(too_large[1]);
    for (size_t i = 0; i < COUNT_OF(too_large); i++) {
        struct entry_writer *writer;
        struct savepoint_entry entry = { .key = WEIR_STR("key") };
        struct page page = { .text = { .data = bytes, .size = too_large[i] } };
        expect_ok(entry_writer_open(temp_dir_path(dir, "entries-%zu", i), &writer));
        expect_error(entry_writer_add(writer, &entry, &page_type, &page), WEIR_E_LIMIT,
            "an entry of type 'page' is larger than 16777216 bytes");
        entry_writer_free(writer);
    }
    mem_free(bytes);
    temp_dir_free(dir);
}

#define GOOD "\x92\x82\x01\x07\x02\xa3key\x80" /* state 7, key "key", an empty record: 10 bytes */

static void what_is_no_entry_is_refused_at_its_byte(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } rows[] = {
#define ROW(bytes_, message_) { bytes_, sizeof(bytes_) - 1, message_ }
        ROW(GOOD "\x05", "is corrupt: what is no entry is at byte 10"),
        ROW(GOOD GOOD "\x93\x80\x80\x80", "is corrupt: what is no entry is at byte 20"),
        ROW("\x91\x80", "is corrupt: what is no entry is at byte 0"),
        ROW(GOOD "\x92\x80", "is corrupt: no whole entry is at byte 10"),
        ROW("\xc1", "is corrupt: no whole entry is at byte 0"),
        ROW(GOOD "\x92\x05\x80", "is corrupt: an entry without a sound head is at byte 10"),
        ROW("\x92\x81\x01\x07\x80", "is corrupt: an entry without a sound head is at byte 0"),
        ROW("\x92\x82\x01\xff\x02\xa3key\x80", "an entry without a sound head is at byte 0"),
    };
    char *dir = temp_dir_new();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *path = temp_dir_path(dir, "entries");
        struct entry_reader *reader;
        struct savepoint_entry entry;
        weir_str value;
        bool found = true;
        weir_error *error = NULL;
        temp_dir_write(path, rows[i].bytes, rows[i].size);
        expect_ok(entry_reader_open(path, &reader));
        while (error == NULL && found)
            error = entry_reader_next(reader, &entry, &value, &found);
        expect_error(error, WEIR_E_CORRUPT, rows[i].message);
        entry_reader_free(reader);
    }
    temp_dir_free(dir);
}

/* A length that is a lie: not more than the largest entry is ever held in memory. */
static void an_entry_without_an_end_is_given_up_at_the_largest_size(void **state)
{
    char *dir = temp_dir_new();
    const char *path = temp_dir_path(dir, "entries");
    size_t size = SAVEPOINT_PAIR_MAX * 2;
    char *bytes = mem_alloc(size);
    memcpy(bytes, "\x92\xdb\xff\xff\xff\xff", 6); /* a string of 4 GB */
    temp_dir_write(path, bytes, size);
    struct entry_reader *reader;
    struct savepoint_entry entry;
    weir_str value;
    bool found;
    expect_ok(entry_reader_open(path, &reader));
    expect_error(entry_reader_next(reader, &entry, &value, &found), WEIR_E_CORRUPT,
        "no whole entry is at byte 0");
    entry_reader_free(reader);
    mem_free(bytes);
    temp_dir_free(dir);
}

static void every_call_of_the_disk_that_fails_is_an_error(void **state)
{
    char *dir = temp_dir_new();
    for (uint64_t n = 1;; n++) {
        const char *path = temp_dir_path(dir, "entries-%u", (unsigned)n);
        struct state_file file = { .name = "entries" };
        fault_os_start(n, FAULT_ONCE, EIO);
        weir_error *error = write_pages(path, &file);
        if (!fault_os_stop()) {
            expect_ok(error);
            assert_true(n > 5); /* open, some blocks, sync */
            break;
        }
        expect_error(error, WEIR_E_IO, "entries-");
    }
    const char *path = temp_dir_path(dir, "entries");
    struct state_file file = { .name = "entries" };
    expect_ok(write_pages(path, &file));
    for (uint64_t n = 1;; n++) {
        uint32_t count;
        fault_os_start(n, FAULT_ONCE, EIO);
        weir_error *error = read_pages(path, &count);
        if (!fault_os_stop()) {
            expect_ok(error);
            assert_true(n > 5);
            break;
        }
        expect_error(error, WEIR_E_IO, "entries");
        assert_true(count < COUNT_OF(sizes));
    }
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_of_any_size_come_back_as_they_were),
        cmocka_unit_test(an_entry_that_no_reader_would_take_is_not_written),
        cmocka_unit_test(what_is_no_entry_is_refused_at_its_byte),
        cmocka_unit_test(an_entry_without_an_end_is_given_up_at_the_largest_size),
        cmocka_unit_test(every_call_of_the_disk_that_fails_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

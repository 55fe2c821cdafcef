/* The hashmap backend's file, byte by byte, and files that were never right. */
#include "base/buffer.h"
#include "base/os.h"
#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static weir_str str(const char *text)
{
    return weir_str_of(text);
}

/* Lists `bytes` as a stored file with a right checksum, and tries to restore it. */
static weir_error *restore_bytes(struct shelf *shelf, const void *bytes, size_t size)
{
    char from[128];
    struct shelf_part part = { .groups = shelf_all_groups(), .file_count = 1 };
    struct state_file file;
    arena_init(&part.arena, 4096, 1 << 20);
    snprintf(from, sizeof(from), "%s/from", shelf->root);
    shelf_ok(os_write_file(from, bytes, size));
    shelf_ok(state_file_store(from, shelf->root, 1, "state.hashmap", &part.arena, &file));
    part.files = &file;
    weir_error *error = shelf_try_open(shelf, &backend_hashmap, shelf_all_groups(), &part, 1);
    char *path = shelf_path(shelf, &file);
    shelf_ok(os_remove(path)); /* thousands of them would be slow to list */
    mem_free(path);
    shelf_part_release(&part);
    return error;
}

/* The file of a backend with one row of three entries; mem_free it. */
static char *one_row_file(struct shelf *shelf, size_t *size)
{
    struct shelf_part part;
    char *bytes;
    struct backend *backend = shelf_open(shelf, &backend_hashmap, shelf_all_groups(), NULL, 0);
    struct row_key row = shelf_row(2, "key");
    shelf_put(backend, &row, str("b"), str("second"));
    shelf_put(backend, &row, str(""), str("value"));
    shelf_put(backend, &row, str("a"), str(""));
    shelf_snapshot(shelf, backend, shelf_all_groups(), &part);
    shelf_close(backend);
    assert_int_equal(part.file_count, 1);
    assert_string_equal(part.files[0].name, "state.hashmap");
    char *path = shelf_path(shelf, &part.files[0]);
    shelf_ok(os_read_file(path, 1 << 20, &bytes, size));
    mem_free(path);
    shelf_part_release(&part);
    return bytes;
}

static void the_file_is_as_documented(void **state)
{
    (void)state;
    struct shelf shelf;
    size_t size;
    shelf_init(&shelf);
    char *bytes = one_row_file(&shelf, &size);
    char expected[] = "WEIRHASH\x01\0\0\0\0\0\0\0"
                      "\x01\x02GG\x03\0\0\0key"
                      "\x02\0\0\0\0\x05\0\0\0value"
                      "\x02\x01\0\0\0\0\0\0\0a"
                      "\x02\x01\0\0\0\x06\0\0\0bsecond"
                      "\x03\x03\0\0\0\0\0\0";
    expected[18] = (char)shelf_row(2, "key").group;
    expected[19] = 0;
    assert_int_equal(size, sizeof(expected)); /* the literal's own zero is the last byte */
    assert_memory_equal(bytes, expected, size);
    assert_null(restore_bytes(&shelf, bytes, size));
    mem_free(bytes);
    shelf_release(&shelf);
}

static void a_file_that_ends_anywhere_else_is_refused(void **state)
{
    (void)state;
    struct shelf shelf;
    size_t size;
    shelf_init(&shelf);
    char *bytes = one_row_file(&shelf, &size);
    for (size_t cut = 0; cut < size; cut++)
        shelf_fails(restore_bytes(&shelf, bytes, cut), WEIR_E_CORRUPT, "it ends too early");
    bytes = mem_realloc(bytes, size + 1);
    bytes[size] = 0;
    shelf_fails(restore_bytes(&shelf, bytes, size + 1), WEIR_E_CORRUPT, "something follows");
    mem_free(bytes);
    shelf_release(&shelf);
}

/* Every bit of it turned over in turn: an error or a restore, never a crash. */
static void a_file_that_was_never_right_does_no_harm(void **state)
{
    (void)state;
    struct shelf shelf;
    size_t size;
    uint32_t refused = 0;
    shelf_init(&shelf);
    char *bytes = one_row_file(&shelf, &size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        weir_error *error = restore_bytes(&shelf, bytes, size);
        refused += error != NULL;
        weir_error_free(error);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    assert_true(refused > 8 * size / 2);
    mem_free(bytes);
    shelf_release(&shelf);
}

static void says_what_is_wrong_with_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        enum weir_code code;
        const char *message;
    } cases[] = {
#define HEAD                          "WEIRHASH\x01\0\0\0\0\0\0\0"
#define CASE(bytes_, code_, message_) { bytes_, sizeof(bytes_) - 1, code_, message_ }
        CASE("WEIRHASX\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0", WEIR_E_CORRUPT, "other bytes"),
        CASE("WEIRHASH\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0", WEIR_E_STATE,
            "has format version 2, this program reads 1"),
        CASE(HEAD "\x07", WEIR_E_CORRUPT, "an unknown tag"),
        CASE(HEAD "\x02\0\0\0\0\0\0\0\0\x03\x01\0\0\0\0\0\0\0", WEIR_E_CORRUPT,
            "before the first row"),
        CASE(HEAD "\x03\x01\0\0\0\0\0\0\0", WEIR_E_CORRUPT, "entries are missing"),
        CASE(HEAD "\x01\0\0\0\xff\xff\xff\xff", WEIR_E_CORRUPT, "a key is too long"),
        CASE(HEAD "\x01\0\0\0\0\0\0\0\x02\0\0\0\0\xff\xff\xff\xff", WEIR_E_CORRUPT,
            "an entry is too long"),
    };
    struct shelf shelf;
    shelf_init(&shelf);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        shelf_fails(restore_bytes(&shelf, cases[i].bytes, cases[i].size), cases[i].code,
            cases[i].message);
    shelf_release(&shelf);
}

static void memory_is_accounted_and_given_back(void **state)
{
    (void)state;
    struct shelf shelf;
    char key[32];
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_hashmap, shelf_all_groups(), NULL, 0);
    uint64_t empty = backend_hashmap.size(backend);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20000; i++) {
            snprintf(key, sizeof(key), "%d", i);
            struct row_key row = shelf_row(0, key);
            shelf_put(backend, &row, str(i % 3 == 0 ? "" : key), str("0123456789"));
        }
        uint64_t full = backend_hashmap.size(backend);
        assert_true(full > 20000 * 60 && full < 20000 * 400);
        for (int i = 0; i < 20000; i++) {
            snprintf(key, sizeof(key), "%d", i);
            struct row_key row = shelf_row(0, key);
            if (i % 2 == 0)
                shelf_clear(backend, &row);
            else
                shelf_remove(backend, &row, str(i % 3 == 0 ? "" : key));
        }
        /* the slab may keep a chunk with four pages */
        assert_true(backend_hashmap.size(backend) <= empty + (64 << 10));
    }
    shelf_close(backend);
    shelf_release(&shelf);
}

static void too_large_a_value_is_refused(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_hashmap, shelf_all_groups(), NULL, 0);
    struct row_key row = shelf_row(0, "k");
    weir_str huge = { .data = "never read", .size = (64u << 20) + 1 };
    shelf_fails(backend_hashmap.put(backend, &row, str(""), huge), WEIR_E_LIMIT,
        "at most 67108864");
    shelf_fails(backend_hashmap.put(backend, &row, huge, str("")), WEIR_E_LIMIT,
        "at most 67108864");
    shelf_expect_none(backend, &row, "");
    shelf_close(backend);
    shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_is_as_documented),
        cmocka_unit_test(a_file_that_ends_anywhere_else_is_refused),
        cmocka_unit_test(a_file_that_was_never_right_does_no_harm),
        cmocka_unit_test(says_what_is_wrong_with_a_file),
        cmocka_unit_test(memory_is_accounted_and_given_back),
        cmocka_unit_test(too_large_a_value_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* unpack_test.c -- plain and packed files give the same bytes; damage never passes for an end. */
#include "connectors/unpack.h"

#include "test/support/gzip.h"
#include "test/support/random.h"
#include "test/support/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CONTENT_SIZE ((size_t)300000)

static char *dir, *content;

static int set_up(void **state)
{
    dir = temp_dir_new();
    content = malloc(CONTENT_SIZE);
    struct random random = { 5 };
    for (size_t i = 0; i < CONTENT_SIZE; i++) /* packs about two to one */
        content[i] = (char)('a' + random_below(&random, 16));
    return 0;
}

static int tear_down(void **state)
{
    free(content);
    temp_dir_free(dir);
    return 0;
}

/* Reads from `offset` to the end in pieces of `step` and compares with the content. */
static weir_error *read_all(const char *path, bool is_packed, uint64_t offset, size_t step,
    size_t expected_size)
{
    struct unpack *unpack;
    WEIR_TRY(unpack_open(path, is_packed, offset, &unpack));
    char *bytes = malloc(step);
    bool is_there = false;
    weir_error *error = NULL;
    while (error == NULL && !is_there)
        error = unpack_skip(unpack, bytes, step, &is_there);
    uint64_t at = offset;
    for (size_t got = 1; error == NULL && got > 0; at += got) {
        error = unpack_read(unpack, bytes, step, &got);
        assert_true(error != NULL || at + got <= expected_size);
        if (error == NULL)
            assert_memory_equal(bytes, content + at, got);
        else
            got = 0;
    }
    assert_true(error != NULL || at == expected_size);
    free(bytes);
    unpack_close(unpack);
    return error;
}

static void assert_code(weir_error *error, enum weir_code code, const char *part)
{
    assert_non_null(error);
    if (weir_error_code(error) != code || strstr(weir_error_message(error), part) == NULL)
        fail_msg("%s: %s", weir_code_name(weir_error_code(error)), weir_error_message(error));
    weir_error_free(error);
}

static const char *write_packed(size_t first_size, size_t second_size)
{
    size_t size = 0;
    char *packed = gzip_add(NULL, &size, content, first_size);
    if (second_size > 0)
        packed = gzip_add(packed, &size, content + first_size, second_size);
    const char *path = temp_dir_path(dir, "packed.gz");
    temp_dir_write(path, packed, size);
    free(packed);
    return path;
}

static void plain_and_packed_give_the_same_bytes_from_any_offset(void **state)
{
    static const size_t steps[] = { 1000, 65536, 1000000 };
    static const uint64_t offsets[] = { 0, 1, 65536, 100000, 299999, 300000 };
    const char *plain = temp_dir_path(dir, "plain");
    temp_dir_write(plain, content, CONTENT_SIZE);
    const char *packed = write_packed(CONTENT_SIZE, 0);
    for (size_t s = 0; s < 3; s++)
        for (size_t o = 0; o < 6; o++) {
            assert_null(read_all(plain, false, offsets[o], steps[s], CONTENT_SIZE));
            assert_null(read_all(packed, true, offsets[o], steps[s], CONTENT_SIZE));
        }
}

static void members_follow_each_other(void **state)
{
    assert_null(read_all(write_packed(100000, 200000), true, 0, 7000, CONTENT_SIZE));
    assert_null(read_all(write_packed(100000, 200000), true, 150000, 7000, CONTENT_SIZE));
    /* an empty member first, and one alone */
    size_t size = 0;
    char *packed = gzip_add(NULL, &size, "", 0);
    temp_dir_write(temp_dir_path(dir, "empty.gz"), packed, size);
    assert_null(read_all(temp_dir_path(dir, "empty.gz"), true, 0, 100, 0));
    packed = gzip_add(packed, &size, content, 1000);
    temp_dir_write(temp_dir_path(dir, "empty.gz"), packed, size);
    assert_null(read_all(temp_dir_path(dir, "empty.gz"), true, 0, 100, 1000));
    free(packed);
}

static void an_empty_plain_file_is_empty_and_an_empty_packed_one_is_cut_off(void **state)
{
    temp_dir_write(temp_dir_path(dir, "nothing"), "", 0);
    assert_null(read_all(temp_dir_path(dir, "nothing"), false, 0, 100, 0));
    assert_code(read_all(temp_dir_path(dir, "nothing"), true, 0, 100, 0), WEIR_E_CORRUPT,
        "it ends in the middle at byte 0 of the packed file");
}

static void every_cut_of_a_packed_file_is_an_error(void **state)
{
    size_t size = 0, whole;
    char *packed = gzip_add(NULL, &size, content, 500);
    whole = size;
    packed = gzip_add(packed, &size, content + 500, 500);
    const char *path = temp_dir_path(dir, "cut.gz");
    for (size_t cut = 0; cut < size; cut++) {
        temp_dir_write(path, packed, cut);
        if (cut == whole) /* two members, or one: nobody can tell */
            assert_null(read_all(path, true, 0, 100, 500));
        else
            assert_code(read_all(path, true, 0, 100, 1000), WEIR_E_CORRUPT, "cut.gz");
    }
    free(packed);
}

static void every_flipped_bit_is_an_error_or_changes_nothing(void **state)
{
    size_t size = 0;
    char *packed = gzip_add(NULL, &size, content, 400);
    const char *path = temp_dir_path(dir, "flipped.gz");
    uint32_t error_count = 0;
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            packed[i] = (char)(packed[i] ^ (1 << bit));
            temp_dir_write(path, packed, size);
            struct unpack *unpack;
            char bytes[1024];
            size_t got = 1, sum = 0;
            assert_null(unpack_open(path, true, 0, &unpack));
            weir_error *error = NULL;
            for (; error == NULL && got > 0; sum += got)
                error = unpack_read(unpack, bytes + sum, sizeof(bytes) - sum, &got);
            if (error == NULL) {
                assert_int_equal(sum, 400);
                assert_memory_equal(bytes, content, 400);
            } else {
                assert_code(error, WEIR_E_CORRUPT, "flipped.gz");
                error_count++;
            }
            unpack_close(unpack);
            packed[i] = (char)(packed[i] ^ (1 << bit));
        }
    assert_true(error_count > (size - 10) * 8); /* all but the header's idle fields */
    free(packed);
}

static void rubbish_behind_a_member_is_an_error(void **state)
{
    size_t size = 0;
    char *packed = gzip_add(NULL, &size, content, 500);
    packed = realloc(packed, size + 4);
    memcpy(packed + size, "more", 4);
    temp_dir_write(temp_dir_path(dir, "more.gz"), packed, size + 4);
    assert_code(read_all(temp_dir_path(dir, "more.gz"), true, 0, 100, 500), WEIR_E_CORRUPT,
        "behind 500 unpacked bytes");
    free(packed);
}

static void a_file_that_became_shorter_is_an_error(void **state)
{
    const char *plain = temp_dir_path(dir, "shorter");
    temp_dir_write(plain, content, 1000);
    assert_code(read_all(plain, false, 1001, 100, 1000), WEIR_E_CONNECTOR, "has 1000 bytes");
    assert_code(read_all(write_packed(1000, 0), true, 1001, 100, 1000), WEIR_E_CONNECTOR,
        "has 1000 unpacked bytes, 1 less");
    assert_code(read_all(temp_dir_path(dir, "missing"), false, 0, 100, 0), WEIR_E_IO, "missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_packed_give_the_same_bytes_from_any_offset),
        cmocka_unit_test(members_follow_each_other),
        cmocka_unit_test(an_empty_plain_file_is_empty_and_an_empty_packed_one_is_cut_off),
        cmocka_unit_test(every_cut_of_a_packed_file_is_an_error),
        cmocka_unit_test(every_flipped_bit_is_an_error_or_changes_nothing),
        cmocka_unit_test(rubbish_behind_a_member_is_an_error),
        cmocka_unit_test(a_file_that_became_shorter_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

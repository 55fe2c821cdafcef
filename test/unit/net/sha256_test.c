/* sha256_test.c -- known digests, of bytes and of files of every size around a read. */
#include "net/sha256.h"

#include "base/memory.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

static void known_bytes_have_their_known_digest(void **state)
{
    char hex[SHA256_HEX_SIZE + 1];
    sha256_bytes(WEIR_STR(""), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_bytes(WEIR_STR("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void a_file_has_the_digest_of_its_bytes(void **state)
{
    static const size_t sizes[] = { 0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 600000 };
    char *dir = temp_dir_new(), *bytes = mem_alloc(600000);
    char of_file[SHA256_HEX_SIZE + 1], of_bytes[SHA256_HEX_SIZE + 1];
    for (size_t i = 0; i < 600000; i++)
        bytes[i] = (char)(i * 7);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        temp_dir_write(temp_dir_path(dir, "blob"), bytes, sizes[i]);
        expect_ok(sha256_file(temp_dir_path(dir, "blob"), of_file));
        sha256_bytes((weir_str){ .data = bytes, .size = sizes[i] }, of_bytes);
        assert_string_equal(of_file, of_bytes);
    }
    expect_error(sha256_file(temp_dir_path(dir, "none"), of_file), WEIR_E_IO, "none");
    mem_free(bytes);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes_have_their_known_digest),
        cmocka_unit_test(a_file_has_the_digest_of_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* hash_test.c -- the hashes are part of stored state: they are what they were, for ever. */
#include "base/hash.h"

#include "test/support/expect.h"

static void hashes_never_change(void **state)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        { "", UINT64_C(0x2d06800538d394c2) }, /* XXH3_64bits of nothing, xxhash's own vector */
        { "a", UINT64_C(0xe6c632b61e964e1f) },
        { "abc", UINT64_C(0x78af5f94892f3950) },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_true(hash_bytes(rows[i].text, strlen(rows[i].text)) == rows[i].hash);
}

static void mixing_never_changes(void **state)
{
    assert_true(hash_mix(0) == 0);
    assert_true(hash_mix(1) == UINT64_C(0xb456bcfc34c2cb2c)); /* MurmurHash3's fmix64 of 1 */
}

static void a_checksum_does_not_depend_on_the_pieces(void **state)
{
    static unsigned char bytes[5000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 31 + i / 256);
    uint64_t whole = hash_bytes(bytes, sizeof(bytes));
    static const size_t pieces[] = { 1, 7, 64, 255, 1024, 5000 };
    for (size_t p = 0; p < COUNT_OF(pieces); p++) {
        struct checksum *checksum = checksum_new();
        for (size_t at = 0; at < sizeof(bytes); at += pieces[p])
            checksum_add(checksum, bytes + at,
                at + pieces[p] > sizeof(bytes) ? sizeof(bytes) - at : pieces[p]);
        checksum_add(checksum, NULL, 0);
        assert_true(checksum_value(checksum) == whole);
        checksum_free(checksum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_never_change),
        cmocka_unit_test(mixing_never_changes),
        cmocka_unit_test(a_checksum_does_not_depend_on_the_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

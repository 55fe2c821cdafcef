/* address_test.c -- what is an address, a digest, an id, and what is not. */
#include "runtime/cluster/address.h"

#include "test/support/expect.h"

#include <stdlib.h>
#include <string.h>

static void addresses_are_split_at_their_last_colon(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } rows[] = { { "localhost:6123", "localhost", 6123 }, { "10.0.0.1:1", "10.0.0.1", 1 },
        { "[::1]:65535", "::1", 65535 }, { "::1:80", "::1", 80 } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char host[ADDRESS_HOST_SIZE];
        uint16_t port = 0;
        assert_true(address_split(rows[i].text, host, &port));
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const rows[] = { "", ":", "host", "host:", ":80", "host:0", "host:65536",
        "host:-1", "host: 80", "host:+80", "host:80x", "host:99999999999999999999", "[::1:80",
        "[]:80" };
    char host[ADDRESS_HOST_SIZE], text[ADDRESS_HOST_SIZE + 8];
    uint16_t port;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_false(address_split(rows[i], host, &port));
    for (size_t size = ADDRESS_HOST_SIZE - 2; size < ADDRESS_HOST_SIZE + 2; size++) {
        memset(text, 'a', size);
        memcpy(text + size, ":1", 3);
        assert_int_equal(address_split(text, host, &port), size < ADDRESS_HOST_SIZE);
    }
}

static void digests_and_ids_are_lower_case_hexadecimal_of_their_length(void **state)
{
    char text[80];
    memset(text, 'a', sizeof(text));
    for (uint64_t size = 0; size < sizeof(text); size++) {
        weir_str it = { .data = text, .size = size };
        assert_int_equal(address_is_digest(it), size == 64);
        assert_int_equal(address_is_id(it), size == 32);
    }
    for (int c = 0; c < 256; c++) {
        text[17] = (char)c;
        weir_str it = { .data = text, .size = 32 };
        assert_int_equal(address_is_id(it), (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    }
}

static void a_new_id_is_one_and_no_other(void **state)
{
    char one[33], other[33];
    address_new_id(one);
    address_new_id(other);
    assert_true(address_is_id(weir_str_of(one)));
    assert_string_not_equal(one, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_split_at_their_last_colon),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(digests_and_ids_are_lower_case_hexadecimal_of_their_length),
        cmocka_unit_test(a_new_id_is_one_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

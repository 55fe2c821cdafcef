/* os_peer_test.c -- whose the other end of a connection is: both ends of real ones, of this user and of another. */
#include "base/os_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "test/support/stranger.h"

/* A listener, and both ends of a connection to it; -1: not there. */
struct pair {
    int listener, client, server;
};

static int family_of(const char *address, struct sockaddr_storage *name, socklen_t *size)
{
    struct sockaddr_in *four = (struct sockaddr_in *)name;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)name;
    memset(name, 0, sizeof(*name));
    if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        *size = sizeof(*four);
    } else {
        assert_int_equal(inet_pton(AF_INET6, address, &six->sin6_addr), 1);
        six->sin6_family = AF_INET6;
        *size = sizeof(*six);
    }
    return name->ss_family;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 name;
    socklen_t size = sizeof(name);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    return name.sin6_port; /* where that of IPv4 is, too */
}

/* Accepted by nobody yet. */
static void dial(struct pair *pair, const char *listen_to, const char *connect_to, bool is_stranger)
{
    struct sockaddr_storage name;
    socklen_t size;
    *pair = (struct pair){ -1, -1, -1 };
    pair->listener = socket(family_of(listen_to, &name, &size), SOCK_STREAM, 0);
    if (bind(pair->listener, (struct sockaddr *)&name, size) != 0) {
        print_message("SKIPPED: this machine has no %s\n", listen_to);
        close(pair->listener);
        skip();
    }
    assert_int_equal(listen(pair->listener, 1), 0);
    int family = family_of(connect_to, &name, &size);
    ((struct sockaddr_in *)&name)->sin_port = port_of(pair->listener);
    if (is_stranger)
        stranger_begin();
    pair->client = socket(family, SOCK_STREAM, 0);
    if (is_stranger)
        stranger_end();
    assert_int_equal(connect(pair->client, (struct sockaddr *)&name, size), 0);
}

static void take(struct pair *pair)
{
    pair->server = accept(pair->listener, NULL, NULL);
    assert_true(pair->server >= 0);
}

static void hang_up(struct pair *pair)
{
    close(pair->listener);
    close(pair->client);
    close(pair->server);
}

static void both_ends_of_this_user_know_each_other(void **state)
{
    struct pair pair;
    dial(&pair, "127.0.0.1", "127.0.0.1", false);
    take(&pair);
    expect_ok(os_peer_check(pair.server));
    expect_ok(os_peer_check(pair.client));
    assert_int_equal(shutdown(pair.client, SHUT_WR),
        0); /* it has only said all that it has to say */
    expect_ok(os_peer_check(pair.server));
    hang_up(&pair);
}

static void the_same_is_known_of_ipv6(void **state)
{
    struct pair pair;
    dial(&pair, "::1", "::1", false);
    take(&pair);
    expect_ok(os_peer_check(pair.server));
    expect_ok(os_peer_check(pair.client));
    hang_up(&pair);
}

static void a_client_that_says_ipv4_by_ipv6_is_known(void **state)
{
    struct pair pair;
    dial(&pair, "127.0.0.1", "::ffff:127.0.0.1", false);
    take(&pair);
    expect_ok(os_peer_check(pair.server));
    expect_ok(os_peer_check(pair.client));
    hang_up(&pair);
}

static void a_client_of_another_user_is_refused_by_its_number(void **state)
{
    static const char *const addresses[][2] = { { "127.0.0.1", "127.0.0.1" },
        { "127.0.0.1", "::ffff:127.0.0.1" } };
    stranger_or_skip();
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct pair pair;
        dial(&pair, addresses[i][0], addresses[i][1], true);
        take(&pair);
        expect_error(os_peer_check(pair.server), WEIR_E_USAGE,
            "one end of the connection belongs to user 65534, the other one to user 0");
        expect_ok(os_peer_check(pair.client));
        hang_up(&pair);
    }
}

static void a_server_of_another_user_is_refused(void **state)
{
    struct pair pair;
    stranger_or_skip();
    dial(&pair, "127.0.0.1", "127.0.0.1", false);
    stranger_begin();
    take(&pair);
    stranger_end();
    expect_error(os_peer_check(pair.client), WEIR_E_USAGE, "belongs to user 65534");
    hang_up(&pair);
}

/* The kernel would say of both that root has them. */
static void an_end_that_nobody_has_is_nobodys(void **state)
{
    struct pair pair;
    dial(&pair, "127.0.0.1", "127.0.0.1", false);
    expect_error(os_peer_check(pair.client), WEIR_E_USAGE, "not accepted yet");
    take(&pair);
    assert_int_equal(send(pair.client, "x", 1, 0), 1);
    close(pair.client);
    expect_error(os_peer_check(pair.server), WEIR_E_USAGE, "nobody has the other end");
    close(pair.server); /* now the client is one of those that wait for late packets */
    close(pair.listener);
}

static void what_is_no_connection_is_refused(void **state)
{
    int pair[2], alone = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    expect_error(os_peer_check(alone), WEIR_E_USAGE, "it cannot be told whose");
    expect_error(os_peer_check(pair[0]), WEIR_E_USAGE, "it cannot be told whose");
    close(alone);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_this_user_know_each_other),
        cmocka_unit_test(the_same_is_known_of_ipv6),
        cmocka_unit_test(a_client_that_says_ipv4_by_ipv6_is_known),
        cmocka_unit_test(a_client_of_another_user_is_refused_by_its_number),
        cmocka_unit_test(a_server_of_another_user_is_refused),
        cmocka_unit_test(an_end_that_nobody_has_is_nobodys),
        cmocka_unit_test(what_is_no_connection_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

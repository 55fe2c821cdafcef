/* os_socket_test.c -- connections over the loopback that never block, what their errors say, the poller. */
#include "base/os_socket.h"

#include "test/support/expect.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static char letters[] = "abcde";
static const struct iovec one = { letters, 1 };

/* A listener and both ends of a connection to it. */
struct pair {
    struct os_socket *listener, *client, *server;
};

static void await(struct os_poller *poller, const void *tag, bool is_writable)
{
    struct os_poll_event events[OS_POLL_EVENTS_MAX];
    for (;;) {
        uint32_t count = os_poller_wait(poller, events, 10000);
        assert_true(count > 0);
        for (uint32_t i = 0; i < count; i++)
            if (events[i].tag == tag &&
                (is_writable ? events[i].is_writable : events[i].is_readable))
                return;
    }
}

static void await_socket(struct os_socket *socket, bool is_writable)
{
    struct os_poller *poller = os_poller_new();
    os_poller_add(poller, os_socket_fd(socket), is_writable, socket);
    await(poller, socket, is_writable);
    os_poller_remove(poller, os_socket_fd(socket));
    os_poller_free(poller);
}

static void pair_init(struct pair *pair)
{
    expect_ok(os_socket_listen("127.0.0.1", 0, &pair->listener));
    expect_ok(os_socket_connect("localhost", os_socket_port(pair->listener), &pair->client));
    await_socket(pair->client, true);
    expect_ok(os_socket_check(pair->client));
    await_socket(pair->listener, false);
    expect_ok(os_socket_accept(pair->listener, &pair->server));
    assert_non_null(pair->server);
}

static void pair_release(struct pair *pair)
{
    os_socket_close(pair->client);
    os_socket_close(pair->server);
    os_socket_close(pair->listener);
}

static int option_of(const struct os_socket *socket, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof(value);
    assert_int_equal(getsockopt(os_socket_fd(socket), level, name, &value, &size), 0);
    return value;
}

static void silence_is_limited_whether_bytes_are_on_their_way_or_not(void **state)
{
    struct pair pair;
    (void)state;
    pair_init(&pair);
    os_socket_limit_silence(pair.client, 9000);
    os_socket_limit_silence(pair.server, 1);
    assert_int_equal(option_of(pair.client, IPPROTO_TCP, TCP_USER_TIMEOUT), 9000);
    assert_int_equal(option_of(pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 3);
    assert_int_equal(option_of(pair.client, IPPROTO_TCP, TCP_KEEPINTVL), 3);
    assert_int_equal(option_of(pair.server, IPPROTO_TCP, TCP_KEEPIDLE), 1);
    assert_int_equal(option_of(pair.server, SOL_SOCKET, SO_KEEPALIVE), 1);
    pair_release(&pair);
}

static size_t read_once(struct os_socket *socket, char *bytes, size_t size)
{
    size_t done;
    expect_ok(os_socket_readv(socket, &(struct iovec){ bytes, size }, 1, &done));
    return done;
}

/* -- tests ------------------------------------------------------------------------------------ */

static void bytes_go_both_ways_in_pieces(void **state)
{
    struct pair pair;
    char ab[2], cde[3];
    size_t done;
    pair_init(&pair);
    struct iovec out[3] = { { letters, 1 }, { letters, 0 }, { letters + 1, 4 } };
    struct iovec in[2] = { { ab, 2 }, { cde, 3 } };
    expect_ok(os_socket_writev(pair.client, out, 3, &done));
    assert_int_equal(done, 5);
    await_socket(pair.server, false);
    expect_ok(os_socket_readv(pair.server, in, 2, &done));
    assert_int_equal(done, 5);
    assert_memory_equal(ab, "ab", 2);
    assert_memory_equal(cde, "cde", 3);
    expect_ok(os_socket_writev(pair.server, &one, 1, &done));
    await_socket(pair.client, false);
    assert_int_equal(read_once(pair.client, ab, 2), 1);
    pair_release(&pair);
}

static void no_call_ever_blocks(void **state)
{
    static char bytes[1 << 20];
    struct pair pair;
    struct os_socket *none;
    size_t done = 1, sent = 0;
    pair_init(&pair);
    assert_int_equal(read_once(pair.server, bytes, 10), 0);
    expect_ok(os_socket_accept(pair.listener, &none));
    assert_null(none);
    for (; done > 0; sent += done)
        expect_ok(os_socket_writev(pair.client, &(struct iovec){ bytes, sizeof(bytes) }, 1, &done));
    for (size_t got = 0; got < sent;) {
        await_socket(pair.server, false);
        got += read_once(pair.server, bytes, sizeof(bytes));
    }
    await_socket(pair.client, true);
    pair_release(&pair);
}

static void sockets_have_no_delay_and_do_not_outlive_exec(void **state)
{
    struct pair pair;
    pair_init(&pair);
    struct os_socket *both[2] = { pair.client, pair.server };
    for (int i = 0; i < 2; i++) {
        int value = 0;
        socklen_t size = sizeof(value);
        assert_int_equal(getsockopt(os_socket_fd(both[i]), IPPROTO_TCP, TCP_NODELAY, &value, &size),
            0);
        assert_true(value != 0);
        assert_true(fcntl(os_socket_fd(both[i]), F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(os_socket_fd(both[i]), F_GETFL) & O_NONBLOCK);
    }
    pair_release(&pair);
}

static void a_connection_that_is_closed_is_an_error_that_names_it(void **state)
{
    struct pair pair;
    char byte;
    size_t done;
    pair_init(&pair);
    os_socket_close(pair.server);
    pair.server = NULL;
    await_socket(pair.client, false);
    weir_error *error = os_socket_readv(pair.client, &(struct iovec){ &byte, 1 }, 1, &done);
    assert_true(error != NULL && weir_error_is_retriable(error));
    assert_non_null(strstr(weir_error_message(error), os_socket_address(pair.client)));
    expect_error(error, WEIR_E_IO, "it was closed there");
    do /* the first ones may still be taken */
        error = os_socket_writev(pair.client, &one, 1, &done);
    while (error == NULL);
    expect_error(error, WEIR_E_IO, "broke"); /* and no SIGPIPE */
    pair_release(&pair);
}

static void a_port_where_nobody_listens_refuses(void **state)
{
    struct os_socket *listener, *socket;
    expect_ok(os_socket_listen("127.0.0.1", 0, &listener));
    uint16_t port = os_socket_port(listener);
    os_socket_close(listener);
    weir_error *error = os_socket_connect("127.0.0.1", port, &socket);
    if (error == NULL) {
        await_socket(socket, true);
        error = os_socket_check(socket);
        os_socket_close(socket);
    }
    assert_true(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_IO, "cannot connect to 127.0.0.1:");
}

static void what_a_configuration_gets_wrong_is_named(void **state)
{
    struct os_socket *first, *second;
    expect_error(os_socket_listen("..", 0, &second), WEIR_E_CONNECTOR,
        "cannot find the address of host '..'");
    assert_null(second);
    expect_ok(os_socket_listen("127.0.0.1", 0, &first));
    expect_error(os_socket_listen("127.0.0.1", os_socket_port(first), &second), WEIR_E_LIMIT,
        "a free port");
    assert_null(second);
    expect_error(os_socket_listen("192.0.2.1", 0, &second), WEIR_E_USAGE,
        "cannot listen on 192.0.2.1:0");
    os_socket_close(first);
}

static void the_poller_tells_of_writing_only_who_asks(void **state)
{
    struct pair pair;
    struct os_poll_event events[OS_POLL_EVENTS_MAX];
    size_t done;
    pair_init(&pair);
    struct os_poller *poller = os_poller_new();
    os_poller_add(poller, os_socket_fd(pair.client), false, &pair.client);
    assert_int_equal(os_poller_wait(poller, events, 0), 0);
    os_poller_change(poller, os_socket_fd(pair.client), true, &pair.client);
    assert_int_equal(os_poller_wait(poller, events, -1), 1);
    assert_true(events[0].is_writable && !events[0].is_readable);
    os_poller_change(poller, os_socket_fd(pair.client), false, &pair.client);
    expect_ok(os_socket_writev(pair.server, &one, 1, &done));
    await(poller, &pair.client, false);
    os_poller_remove(poller, os_socket_fd(pair.client));
    assert_int_equal(os_poller_wait(poller, events, 0), 0);
    os_poller_free(poller);
    pair_release(&pair);
}

static void a_name_is_looked_up_as_numeric_addresses(void **state)
{
    struct os_addresses addresses;
    expect_ok(os_socket_look_up("127.0.0.1", &addresses));
    assert_int_equal(addresses.count, 1);
    assert_string_equal(addresses.list[0], "127.0.0.1");
    expect_ok(os_socket_look_up("::1", &addresses));
    assert_string_equal(addresses.list[0], "::1");
    expect_ok(os_socket_look_up("localhost", &addresses));
    for (uint32_t i = 0; i < addresses.count; i++)
        assert_true(
            strcmp(addresses.list[i], "127.0.0.1") == 0 || strcmp(addresses.list[i], "::1") == 0);
    expect_error(os_socket_look_up("no such host", &addresses), WEIR_E_CONNECTOR,
        "address of host 'no such host'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_is_limited_whether_bytes_are_on_their_way_or_not),
        cmocka_unit_test(bytes_go_both_ways_in_pieces),
        cmocka_unit_test(no_call_ever_blocks),
        cmocka_unit_test(sockets_have_no_delay_and_do_not_outlive_exec),
        cmocka_unit_test(a_connection_that_is_closed_is_an_error_that_names_it),
        cmocka_unit_test(a_port_where_nobody_listens_refuses),
        cmocka_unit_test(what_a_configuration_gets_wrong_is_named),
        cmocka_unit_test(the_poller_tells_of_writing_only_who_asks),
        cmocka_unit_test(a_name_is_looked_up_as_numeric_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* net_event_test.c -- connections over the loopback: echoes, limits, ends, and peers that break the rules. */
#include "net/net.h"

#include "net/frame.h"
#include "test/support/stranger.h"
#include "test/unit/net/net_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void a_frame_sent_before_the_connection_is_open_comes_back(void **state)
{
    struct net *net = net_new();
    struct end client = { 0 }, server = { .echoes = true };
    struct acceptor acceptor = { .ends = &server, .count_max = 1 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    dial(net, &client, listener, "127.0.0.1", NULL);
    connection_send(client.it, 41, WEIR_STR("hello"));
    assert_int_equal(client.opened_count, 0); /* nothing happens but in net_wait */
    wait_until(net, client.frame_count == 1);
    assert_int_equal(client.opened_count, 1);
    assert_int_equal(client.kind, 42);
    assert_string_equal(client.text, "hello");
    assert_non_null(strstr(connection_peer(server.it), "127.0.0.1:"));
    assert_int_equal(server.opened_count, 0);
    assert_in_range(connection_heard_ms(client.it), 1, os_monotonic_ns() / 1000000);
    connection_close(client.it);
    wait_until(net, server.closed_count == 1);
    expect_error(server.why, WEIR_E_IO, "closed the connection");
    listener_free(listener);
    net_free(net);
}

static void each_end_knows_whose_the_other_one_is(void **state)
{
    stranger_or_skip();
    for (int is_stranger = 0; is_stranger < 2; is_stranger++) {
        struct net *net = net_new();
        struct end client = { 0 }, server = { .echoes = true };
        struct acceptor acceptor = { .ends = &server, .count_max = 1 };
        struct listener *listener = listen_here(net, &acceptor, NULL, 0);
        if (is_stranger)
            stranger_begin();
        dial(net, &client, listener, "127.0.0.1", NULL);
        stranger_end();
        connection_send(client.it, 41, WEIR_STR("hello"));
        wait_until(net, client.frame_count == 1);
        expect_ok(connection_check_user(client.it));
        if (is_stranger)
            expect_error(connection_check_user(server.it), WEIR_E_USAGE, "to user 65534");
        else
            expect_ok(connection_check_user(server.it));
        listener_free(listener);
        net_free(net);
    }
}

static void a_name_is_looked_up(void **state)
{
    struct net *net = net_new();
    struct end client = { 0 }, server = { .echoes = true };
    struct acceptor acceptor = { .ends = &server, .count_max = 1 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    dial(net, &client, listener, "localhost", NULL);
    connection_send(client.it, 1, WEIR_STR("hello"));
    wait_until(net, client.frame_count == 1);
    net_free(net); /* with everything that is left, without calls */
    assert_int_equal(client.closed_count + server.closed_count, 0);
}

static void a_look_up_may_be_given_up(void **state)
{
    struct net *net = net_new();
    struct end ends[3] = { { 0 } };
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        ends[i].it = net_connect(net, "nobody.invalid", 1, NULL, &end_handler, &ends[i]);
        connection_send(ends[i].it, 1, WEIR_STR("hello"));
    }
    connection_close(ends[0].it);
    connection_close_flushed(ends[1].it);
    net_wait(net, 0);
    net_free(net); /* that nothing leaks or calls is what is tested */
    assert_int_equal(ends[0].closed_count + ends[1].closed_count, 0);
    weir_error_free(ends[2].why); /* by a machine without a resolver */
}

static void large_frames_and_small_ones_keep_their_order(void **state)
{
    struct net *net = net_new();
    struct end client = { 0 }, server = { 0 };
    struct acceptor acceptor = { .ends = &server, .count_max = 1, .keeps = true };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    dial(net, &client, listener, "127.0.0.1", NULL);
    wait_until(net, server.it != NULL);
    connection_set_frame_max(server.it, NET_FRAME_MAX);
    char *payload = mem_alloc(5 << 20);
    uint64_t sent = 0;
    for (uint32_t i = 0; i < 40; i++) {
        uint64_t size = i % 4 == 0 ? 5u << 20 : i * 1000;
        connection_send(client.it, i, (weir_str){ .data = payload, .size = size });
        sent += size;
    }
    wait_until(net, server.frame_count == 40);
    assert_int_equal(server.kind, 39);
    assert_int_equal(server.bytes, sent);
    mem_free(payload);
    net_free(net);
}

static void a_connection_may_be_closed_inside_of_its_own_call(void **state)
{
    struct net *net = net_new();
    struct end client = { 0 }, server = { .closes_inside = true };
    struct acceptor acceptor = { .ends = &server, .count_max = 1 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    dial(net, &client, listener, "127.0.0.1", NULL);
    connection_send(client.it, 1, WEIR_STR("first"));
    connection_send(client.it, 2, WEIR_STR("second"));
    wait_until(net, client.closed_count == 1);
    assert_int_equal(server.frame_count, 1);
    assert_int_equal(server.closed_count, 0);
    assert_string_equal(server.text, "first"); /* copied after the close: good inside */
    weir_error_free(client.why);
    net_free(net);
}

static void what_was_sent_arrives_before_a_flushed_close(void **state)
{
    struct net *net = net_new();
    struct end client = { 0 }, server = { 0 };
    struct acceptor acceptor = { .ends = &server, .count_max = 1 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    /* Not yet connected, and with unread bytes of the other side on the way: both cost no byte. */
    dial(net, &client, listener, "127.0.0.1", NULL);
    char *payload = mem_alloc(60000);
    for (int i = 0; i < 100; i++)
        connection_send(client.it, 7, (weir_str){ .data = payload, .size = 60000 });
    connection_close_flushed(client.it);
    wait_until(net, server.it != NULL);
    connection_send(server.it, 8, WEIR_STR("nobody reads this"));
    wait_until(net, server.closed_count == 1);
    assert_int_equal(server.frame_count, 100);
    expect_error(server.why, WEIR_E_IO, "closed the connection");
    assert_int_equal(client.frame_count + client.closed_count, 0);
    mem_free(payload);
    net_free(net);
}

static void a_peer_that_does_not_read_is_closed(void **state)
{
    struct net *net = net_new();
    struct end client = { 0 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    client.it = net_connect(net, "127.0.0.1", ntohs(address.sin_port), NULL, &end_handler, &client);
    connection_set_queued_max(client.it, 1 << 20);
    wait_until(net, client.opened_count == 1);
    char *payload = mem_alloc(60000);
    while (client.it != NULL) {
        connection_send(client.it, 7, (weir_str){ .data = payload, .size = 60000 });
        net_wait(net, 0);
    }
    expect_error(client.why, WEIR_E_LIMIT, "does not read what it is sent");
    mem_free(payload);
    close(fd);
    net_free(net);
}

static void a_refused_connection_says_so(void **state)
{
    struct net *net = net_new();
    struct end server = { 0 }, client = { 0 };
    struct acceptor acceptor = { .ends = &server, .count_max = 1 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    uint16_t port = listener_port(listener);
    listener_free(listener);
    client.it = net_connect(net, "127.0.0.1", port, NULL, &end_handler, &client);
    wait_until(net, client.closed_count == 1);
    assert_true(weir_error_is_retriable(client.why));
    expect_error(client.why, WEIR_E_IO, "onnection refused");
    char host[400] = "";
    memset(host, 'h', sizeof(host) - 1); /* no name is as long */
    client.it = net_connect(net, host, port, NULL, &end_handler, &client);
    client.why = NULL;
    assert_int_equal(client.closed_count, 1); /* not from inside of net_connect */
    wait_until(net, client.closed_count == 2);
    expect_error(client.why, WEIR_E_IO, "check the name and the resolver");
    net_free(net);
}

static void a_port_in_use_and_an_unknown_name_are_errors_that_say_so(void **state)
{
    struct net *net = net_new();
    struct acceptor acceptor = { .count_max = 0 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0), *second;
    struct listen_options options = { .host = "127.0.0.1",
        .port = listener_port(listener),
        .accepted = accept_end,
        .arg = &acceptor };
    expect_error(net_listen(net, &options, &second), WEIR_E_IO, "stop who has the port");
    assert_null(second);
    options.host = "300.300.300.300";
    expect_error(net_listen(net, &options, &second), WEIR_E_USAGE, "300.300.300.300");
    net_free(net);
}

/* Connects a plain socket to the listener. */
static int raw_connect(const struct listener *listener)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
        .sin_port = htons(listener_port(listener)),
        .sin_addr = { htonl(INADDR_LOOPBACK) } };
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void a_peer_that_breaks_the_rules_is_closed_with_the_reason(void **state)
{
    static const char good[] = "WRF\1\1\0\0\0\5\0\0\0";
    static const struct {
        const char *bytes;
        size_t size;
        enum weir_code code;
        const char *text;
        bool is_retriable;
    } rows[] = {
        { "GET /overview HTTP/1.1\r\n\r\n", 26, WEIR_E_CORRUPT, "no frame", false },
        { "WRF\1\1\0\0\0\0\0\2\0####", 16, WEIR_E_LIMIT, "131072 bytes, at most 65536", false },
        { "WRF\1\1\0\0\0\5\0\0\0####hello", 21, WEIR_E_CORRUPT, "wrong checksum", false },
        { good, 12, WEIR_E_IO, "in the middle of a frame", true },
        { "WRF\1\1\0\0\0\5\0\0\0####he", 18, WEIR_E_IO, "in the middle of a frame", true },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct net *net = net_new();
        struct end server = { 0 };
        struct acceptor acceptor = { .ends = &server, .count_max = 1 };
        struct listener *listener = listen_here(net, &acceptor, NULL, 0);
        int fd = raw_connect(listener);
        assert_int_equal(send(fd, rows[i].bytes, rows[i].size, 0), rows[i].size);
        shutdown(fd, SHUT_WR);
        wait_until(net, server.closed_count == 1);
        assert_int_equal(server.frame_count, 0);
        assert_int_equal(weir_error_is_retriable(server.why), rows[i].is_retriable);
        expect_error(server.why, rows[i].code, rows[i].text);
        close(fd);
        net_free(net);
    }
}

static void who_does_not_say_who_it_is_is_closed_in_time(void **state)
{
    struct net *net = net_new();
    struct end ends[2] = { { 0 }, { 0 } }, client = { 0 };
    struct acceptor acceptor = { .ends = ends, .count_max = 2 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    int fd = raw_connect(listener);
    wait_until(net, acceptor.count == 1);
    dial(net, &client, listener, "127.0.0.1", NULL);
    connection_keep(client.it);
    connection_send(client.it, 1, WEIR_STR("I am"));
    wait_until(net, acceptor.count == 2 && ends[1].frame_count == 1);
    connection_keep(ends[1].it);
    clock_push(NET_HANDSHAKE_MS - 5000);
    assert_int_equal(send(fd, "WRF\1", 4, 0), 4); /* dribbling does not help */
    net_wait(net, 0);
    assert_int_equal(ends[0].closed_count, 0);
    clock_push(5001);
    wait_until(net, ends[0].closed_count == 1);
    expect_error(ends[0].why, WEIR_E_TIMEOUT, "has not said who it is");
    net_wait(net, 0);
    assert_int_equal(ends[1].closed_count + client.closed_count, 0);
    close(fd);
    net_free(net);
}

static void a_connect_that_nobody_answers_times_out(void **state)
{
    struct net *net = net_new();
    int fd = socket(AF_INET, SOCK_STREAM, 0), fillers[3];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    for (size_t i = 0; i < COUNT_OF(fillers); i++) { /* the queue of the listener is full then */
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
    }
    struct end client = { 0 };
    client.it = net_connect(net, "127.0.0.1", ntohs(address.sin_port), NULL, &end_handler, &client);
    connection_keep(client.it); /* of a peer that is not there yet: the time-out stays */
    net_wait(net, 0);
    assert_int_equal(client.closed_count, 0);
    clock_push(NET_HANDSHAKE_MS + 1);
    wait_until(net, client.closed_count == 1);
    expect_error(client.why, WEIR_E_TIMEOUT, "no connection with 127.0.0.1");
    for (size_t i = 0; i < COUNT_OF(fillers); i++)
        close(fillers[i]);
    close(fd);
    net_free(net);
}

static void a_thousand_connections_are_served_and_more_than_allowed_are_closed(void **state)
{
    enum { COUNT = 1000 };
    struct net *net = net_new();
    struct end *clients = mem_alloc_array(COUNT + 1, sizeof(*clients));
    struct end *servers = mem_alloc_array(COUNT, sizeof(*servers));
    struct acceptor acceptor = { .ends = servers, .count_max = COUNT, .keeps = true };
    struct listener *listener = listen_here(net, &acceptor, NULL, COUNT);
    for (int i = 0; i < COUNT; i++) {
        servers[i].echoes = true;
        dial(net, &clients[i], listener, "127.0.0.1", NULL);
        connection_keep(clients[i].it);
        connection_send(clients[i].it, 1, WEIR_STR("hello"));
    }
    for (int i = 0; i < COUNT; i++)
        wait_until(net, clients[i].frame_count == 1);
    dial(net, &clients[COUNT], listener, "127.0.0.1", NULL);
    wait_until(net, clients[COUNT].closed_count == 1);
    weir_error_free(clients[COUNT].why);
    /* One goes, one may come. */
    connection_close(servers[0].it);
    servers[0].it = NULL;
    wait_until(net, clients[0].closed_count == 1);
    weir_error_free(clients[0].why);
    acceptor.count = 0;
    dial(net, &clients[0], listener, "127.0.0.1", NULL);
    connection_send(clients[0].it, 1, WEIR_STR("again"));
    wait_until(net, clients[0].frame_count == 2);
    net_free(net);
    mem_free(clients);
    mem_free(servers);
}

static void strangers_in_numbers_keep_nobody_out(void **state)
{
    enum { COUNT = NET_STRANGERS_MAX + 1 };
    struct net *net = net_new();
    struct end *ends = mem_alloc_array(COUNT + 2, sizeof(*ends)), client = { 0 };
    int fds[COUNT];
    struct acceptor acceptor = { .ends = ends, .count_max = COUNT + 2 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    fds[0] = raw_connect(listener);
    wait_until(net, acceptor.count == 1);
    connection_keep(ends[0].it); /* who is known stays, however old */
    for (uint32_t i = 1; i < COUNT; i++) {
        fds[i] = raw_connect(listener);
        wait_until(net, acceptor.count == i + 1);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(ends[i].closed_count, 0);
    ends[COUNT].echoes = true;
    dial(net, &client, listener, "127.0.0.1", NULL);
    connection_send(client.it, 1, WEIR_STR("I am"));
    wait_until(net, client.frame_count == 1);
    assert_int_equal(ends[0].closed_count, 0);
    expect_error(ends[1].why, WEIR_E_LIMIT, "has not said who it is");
    for (uint32_t i = 2; i < COUNT; i++)
        assert_int_equal(ends[i].closed_count, 0);
    for (uint32_t i = 0; i < COUNT; i++)
        close(fds[i]);
    net_free(net);
    mem_free(ends);
}

static void a_turn_takes_no_more_than_its_share_of_a_crowd(void **state)
{
    enum { COUNT = 3 * NET_ACCEPTED_MAX };
    struct net *net = net_new();
    struct end *ends = mem_alloc_array(COUNT, sizeof(*ends));
    int fds[COUNT];
    struct acceptor acceptor = { .ends = ends, .count_max = COUNT };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    for (uint32_t i = 0; i < COUNT; i++)
        fds[i] = raw_connect(listener);
    while (acceptor.count < COUNT) {
        uint32_t before = acceptor.count;
        net_wait(net, -1);
        assert_in_range(acceptor.count - before, 0, NET_ACCEPTED_MAX);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        close(fds[i]);
    net_free(net);
    mem_free(ends);
}

static void a_refused_one_is_closed_and_a_freed_listener_leaves_its_connections(void **state)
{
    struct net *net = net_new();
    struct end clients[3] = { { 0 }, { 0 }, { 0 } }, server = { .echoes = true };
    struct acceptor acceptor = { .ends = &server, .count_max = 1 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    dial(net, &clients[0], listener, "127.0.0.1", NULL);
    wait_until(net, acceptor.count == 1);
    dial(net, &clients[1], listener, "127.0.0.1", NULL);
    wait_until(net, clients[1].closed_count == 1);
    weir_error_free(clients[1].why);
    listener_free(listener);
    connection_send(clients[0].it, 1, WEIR_STR("still there"));
    wait_until(net, clients[0].frame_count == 1);
    net_free(net);
}

static void a_wait_ends_at_its_time_or_when_it_is_woken(void **state)
{
    struct net *net = net_new();
    net_wait(net, 0);
    net_wait(net, 1);
    waker_wake(net_waker(net));
    net_wait(net, -1); /* for ever, if it did not */
    net_free(net);
    net_free(NULL);
}

/* As signal handlers do, which may not call waker_wake. */
static void a_wake_by_descriptor_ends_a_wait_that_may_not_sleep(void **state)
{
    uint64_t one = 1;
    struct net *net = net_new();
    assert_int_equal(write(waker_fd(net_waker(net)), &one, sizeof(one)), sizeof(one));
    net_wait(net, 0); /* it once never came back */
    assert_int_equal(write(waker_fd(net_waker(net)), &one, sizeof(one)), sizeof(one));
    net_wait(net, -1);
    net_free(net);
}

/* A child that ends while its parent does: the parent once never ended. */
static void a_wake_by_descriptor_does_not_keep_the_end_from_coming(void **state)
{
    uint64_t one = 1;
    struct end client = { .it = NULL };
    struct net *net = net_new();
    client.it = net_connect(net, "localhost", 1, NULL, &end_handler, &client); /* looks a name up */
    assert_int_equal(write(waker_fd(net_waker(net)), &one, sizeof(one)), sizeof(one));
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_sent_before_the_connection_is_open_comes_back),
        cmocka_unit_test(each_end_knows_whose_the_other_one_is),
        cmocka_unit_test(a_name_is_looked_up),
        cmocka_unit_test(a_look_up_may_be_given_up),
        cmocka_unit_test(a_wake_by_descriptor_ends_a_wait_that_may_not_sleep),
        cmocka_unit_test(a_wake_by_descriptor_does_not_keep_the_end_from_coming),
        cmocka_unit_test(large_frames_and_small_ones_keep_their_order),
        cmocka_unit_test(a_connection_may_be_closed_inside_of_its_own_call),
        cmocka_unit_test(what_was_sent_arrives_before_a_flushed_close),
        cmocka_unit_test(a_peer_that_does_not_read_is_closed),
        cmocka_unit_test(a_refused_connection_says_so),
        cmocka_unit_test(a_port_in_use_and_an_unknown_name_are_errors_that_say_so),
        cmocka_unit_test(a_peer_that_breaks_the_rules_is_closed_with_the_reason),
        cmocka_unit_test_teardown(who_does_not_say_who_it_is_is_closed_in_time, clock_restore),
        cmocka_unit_test_teardown(a_connect_that_nobody_answers_times_out, clock_restore),
        cmocka_unit_test(a_thousand_connections_are_served_and_more_than_allowed_are_closed),
        cmocka_unit_test(strangers_in_numbers_keep_nobody_out),
        cmocka_unit_test(a_turn_takes_no_more_than_its_share_of_a_crowd),
        cmocka_unit_test(a_refused_one_is_closed_and_a_freed_listener_leaves_its_connections),
        cmocka_unit_test(a_wait_ends_at_its_time_or_when_it_is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

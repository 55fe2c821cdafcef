/* net_test.c -- the functions of net.h go to the table that is set, all of them. */
#include "net/net.h"

#include "test/unit/net/net_kit.h"

static const char *asked;
static char thing[1]; /* stands for every net, listener and connection */

/* A function of the table that remembers its name and gives `result_`. */
#define FAKE(name_, type_, result_, ...) \
    static type_ fake_##name_(__VA_ARGS__) \
    { \
        asked = #name_; \
        return result_; \
    }
#define FAKE_VOID(name_, ...) \
    static void fake_##name_(__VA_ARGS__) \
    { \
        asked = #name_; \
    }
FAKE(new, struct net *, (struct net *)thing, void)
FAKE_VOID(free, struct net *net)
FAKE_VOID(wait, struct net *net, int64_t timeout_ms)
FAKE(waker, struct waker *, (struct waker *)thing, struct net *net)
FAKE(listen, weir_error *, NULL, struct net *net, const struct listen_options *options,
    struct listener **listener)
FAKE(listener_port, uint16_t, 4711, const struct listener *listener)
FAKE_VOID(listener_free, struct listener *listener)
FAKE(connect, struct connection *, (struct connection *)thing, struct net *net, const char *host,
    uint16_t port, const struct tls *tls, const struct connection_handler *handler, void *arg)
FAKE_VOID(set_handler, struct connection *it, const struct connection_handler *handler, void *arg)
FAKE_VOID(set_frame_max, struct connection *it, uint32_t frame_max)
FAKE_VOID(set_queued_max, struct connection *it, uint64_t queued_max)
FAKE_VOID(keep, struct connection *it)
FAKE_VOID(send, struct connection *it, uint32_t kind, weir_str payload)
FAKE_VOID(close, struct connection *it)
FAKE_VOID(close_flushed, struct connection *it)
FAKE(heard_ms, int64_t, 42, const struct connection *it)
FAKE(peer, const char *, "somebody", const struct connection *it)
FAKE(check_user, weir_error *, NULL, const struct connection *it)

static const struct net_class fake_class = {
    .new = fake_new,
    .free = fake_free,
    .wait = fake_wait,
    .waker = fake_waker,
    .listen = fake_listen,
    .listener_port = fake_listener_port,
    .listener_free = fake_listener_free,
    .connect = fake_connect,
    .set_handler = fake_set_handler,
    .set_frame_max = fake_set_frame_max,
    .set_queued_max = fake_set_queued_max,
    .keep = fake_keep,
    .send = fake_send,
    .close = fake_close,
    .close_flushed = fake_close_flushed,
    .heard_ms = fake_heard_ms,
    .peer = fake_peer,
    .check_user = fake_check_user,
};

#define expect_asked(name_, call_) \
    do { \
        asked = "nobody"; \
        call_; \
        assert_string_equal(asked, name_); \
    } while (0)

static void every_function_asks_the_table(void **state)
{
    struct net *net = NULL;
    struct listener *listener = (struct listener *)thing;
    struct connection *it = NULL;
    net_current = &fake_class;
    expect_asked("new", net = net_new());
    assert_ptr_equal(net, thing);
    expect_asked("wait", net_wait(net, 1));
    expect_asked("waker", assert_ptr_equal(net_waker(net), thing));
    expect_asked("listen", expect_ok(net_listen(net, NULL, &listener)));
    expect_asked("listener_port", assert_int_equal(listener_port(listener), 4711));
    expect_asked("listener_free", listener_free(listener));
    expect_asked("connect", it = net_connect(net, "host", 1, NULL, &end_handler, NULL));
    expect_asked("set_handler", connection_set_handler(it, &end_handler, NULL));
    expect_asked("set_frame_max", connection_set_frame_max(it, 1));
    expect_asked("set_queued_max", connection_set_queued_max(it, 1));
    expect_asked("keep", connection_keep(it));
    expect_asked("send", connection_send(it, 1, WEIR_STR("")));
    expect_asked("close", connection_close(it));
    expect_asked("close_flushed", connection_close_flushed(it));
    expect_asked("heard_ms", assert_int_equal(connection_heard_ms(it), 42));
    expect_asked("peer", assert_string_equal(connection_peer(it), "somebody"));
    expect_asked("check_user", expect_ok(connection_check_user(it)));
    expect_asked("free", net_free(net));
    expect_asked("nobody", net_free(NULL));
    expect_asked("nobody", listener_free(NULL));
}

static int restore_table(void **state)
{
    net_current = &net_libevent;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_function_asks_the_table, restore_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

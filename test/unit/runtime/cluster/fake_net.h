/* fake_net.h -- a network that is a table of the test: connections remember what was sent to them and play the other
 * side; time is the test's. */
#ifndef WEIR_TEST_FAKE_NET_H
#define WEIR_TEST_FAKE_NET_H

#include "base/log.h"
#include "base/os.h"
#include "runtime/cluster/messages.h"
#include "test/support/expect.h"
#include "types/msgpack.h"

#define KINDS (MESSAGE_LOGGED + 1)

struct connection {
    const struct connection_handler *handler;
    void *arg;
    uint32_t sent[KINDS];
    weir_buffer *last[KINDS]; /* of each kind */
    bool is_kept, is_closed;
    int64_t heard_ms;
    bool is_foreign; /* of another user */
};

static struct os own_os;
static int64_t clock_ms;

static int64_t own_monotonic_ns(void)
{
    return clock_ms * 1000000;
}

static void own_set_handler(struct connection *it, const struct connection_handler *handler,
    void *arg)
{
    it->handler = handler;
    it->arg = arg;
}

static void own_set_frame_max(struct connection *it, uint32_t frame_max)
{
    assert_false(it->is_closed);
}

static void own_keep(struct connection *it)
{
    it->is_kept = true;
}

static void own_send(struct connection *it, uint32_t kind, weir_str payload)
{
    assert_true(kind < KINDS && !it->is_closed);
    it->sent[kind]++;
    weir_buffer_free(it->last[kind]);
    it->last[kind] = weir_buffer_new(NET_FRAME_MAX);
    weir_buffer_add_str(it->last[kind], payload);
}

static void own_close(struct connection *it)
{
    assert_false(it->is_closed);
    it->is_closed = true;
}

static int64_t own_heard_ms(const struct connection *it)
{
    return it->heard_ms;
}

static weir_error *own_check_user(const struct connection *it)
{
    return it->is_foreign ? weir_errorf(WEIR_E_USAGE, "the other end is a stranger's") : NULL;
}

static const struct net_class own_net = { .set_handler = own_set_handler,
    .set_frame_max = own_set_frame_max,
    .keep = own_keep,
    .send = own_send,
    .close = own_close,
    .close_flushed = own_close,
    .heard_ms = own_heard_ms,
    .check_user = own_check_user };

/* Of what was sent last; strings point into it. */
static void read_last(const struct connection *it, enum message_kind kind, void *message)
{
    assert_non_null(it->last[kind]);
    expect_ok(message_read(kind, weir_buffer_view(it->last[kind]), message));
}

static void release(struct connection *it)
{
    for (uint32_t i = 0; i < KINDS; i++)
        weir_buffer_free(it->last[i]);
    *it = (struct connection){ .handler = NULL };
}

static struct waker *own_waker;

static struct waker *own_net_waker(struct net *net)
{
    return own_waker;
}

static const char *own_peer(const struct connection *it)
{
    return "127.0.0.1:1";
}

static inline int fake_net_put(void **state)
{
    static struct net_class class;
    log_set_level(LOG_ERROR);
    own_os = os_linux;
    own_os.monotonic_ns = own_monotonic_ns;
    clock_ms = 1000000;
    os_current = &own_os;
    class = own_net;
    class.waker = own_net_waker;
    class.peer = own_peer;
    net_current = &class;
    own_waker = waker_new();
    return 0;
}

static inline int fake_net_restore(void **state)
{
    waker_free(own_waker);
    os_current = &os_linux;
    net_current = &net_libevent;
    return 0;
}

/* It says something. */
static inline void speak(struct connection *it, uint32_t kind, const void *record)
{
    weir_buffer *bytes = weir_buffer_new(1 << 20);
    msgpack_encode(message_type(kind), record, bytes);
    it->handler->frame(it->arg, it, kind, weir_buffer_view(bytes));
    weir_buffer_free(bytes);
}

#endif

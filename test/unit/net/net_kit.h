/* net_kit.h -- two ends of connections in one loop, and a clock that a test can push. */
#ifndef WEIR_TEST_NET_KIT_H
#define WEIR_TEST_NET_KIT_H

#include "net/net.h"

#include "base/memory.h"
#include "test/support/expect.h"

#include <stdio.h>

/* One end, and what it has heard. */
struct end {
    struct connection *it; /* NULL: closed */
    uint32_t opened_count, frame_count, closed_count;
    uint64_t bytes;
    uint32_t kind;
    char text[32]; /* of the last frame, cut */
    weir_error *why;
    bool echoes, closes_inside;
};

static void end_opened(void *arg, struct connection *it)
{
    struct end *end = arg;
    assert_ptr_equal(end->it, it);
    end->opened_count++;
}

static void end_frame(void *arg, struct connection *it, uint32_t kind, weir_str payload)
{
    struct end *end = arg;
    assert_ptr_equal(end->it, it);
    end->frame_count++;
    end->kind = kind;
    end->bytes += payload.size;
    if (end->closes_inside) {
        end->it = NULL;
        connection_close(it);
    }
    snprintf(end->text, sizeof(end->text), "%.*s", (int)payload.size, payload.data);
    if (end->echoes)
        connection_send(it, kind + 1, payload);
}

static void end_closed(void *arg, struct connection *it, weir_error *why)
{
    struct end *end = arg;
    assert_ptr_equal(end->it, it);
    assert_non_null(why);
    end->it = NULL;
    end->closed_count++;
    weir_error_free(end->why);
    end->why = why;
}

static const struct connection_handler end_handler
    __attribute__((unused)) = { .opened = end_opened, .frame = end_frame, .closed = end_closed };

/* The accepted ends in their order; all others are refused. */
struct acceptor {
    struct end *ends;
    uint32_t count, count_max;
    bool keeps;
};

static inline bool accept_end(void *arg, struct connection *it)
{
    struct acceptor *acceptor = arg;
    if (acceptor->count == acceptor->count_max)
        return false;
    struct end *end = &acceptor->ends[acceptor->count++];
    end->it = it;
    connection_set_handler(it, &end_handler, end);
    if (acceptor->keeps)
        connection_keep(it);
    return true;
}

static inline struct listener *listen_here(struct net *net, struct acceptor *acceptor,
    const struct tls *tls, uint32_t connections_max)
{
    struct listen_options options = { .host = "127.0.0.1",
        .tls = tls,
        .connections_max = connections_max,
        .accepted = accept_end,
        .arg = acceptor };
    struct listener *listener;
    expect_ok(net_listen(net, &options, &listener));
    assert_int_not_equal(listener_port(listener), 0);
    return listener;
}

static inline void dial(struct net *net, struct end *end, const struct listener *listener,
    const char *host, const struct tls *tls)
{
    end->it = net_connect(net, host, listener_port(listener), tls, &end_handler, end);
}

/* Waits until it is true; the time limit of the whole test is its only one. */
#define wait_until(net_, condition_) \
    do { \
        while (!(condition_)) \
            net_wait((net_), -1); \
    } while (0)

static struct os pushed_os;
static int64_t pushed_ms;
static int64_t pushed_monotonic_ns(void)
{
    return os_linux.monotonic_ns() + pushed_ms * 1000000;
}

static inline void clock_push(int64_t ms)
{
    pushed_os = os_linux;
    pushed_os.monotonic_ns = pushed_monotonic_ns;
    pushed_ms += ms;
    os_current = &pushed_os;
}

static inline int clock_restore(void **state)
{
    (void)state;
    os_current = &os_linux;
    pushed_ms = 0;
    return 0;
}

#endif

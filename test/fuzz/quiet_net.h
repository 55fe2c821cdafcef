/* quiet_net.h -- a network that takes everything and says nothing, and an os whose clock stands still: a fuzzer plays the
 * other side by calling the handler of a connection, and moves the time itself, so that an input always does the same.
 * Nothing is synced: what a fuzzer has on a disk is gone with it. */
#ifndef WEIR_TEST_QUIET_NET_H
#define WEIR_TEST_QUIET_NET_H

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "net/net.h"

struct connection {
    const struct connection_handler *handler;
    void *arg;
    bool is_closed;
    uint32_t kept_kind; /* of what is sent of this kind the last is kept */
    char *kept;
    size_t kept_size;
};

static int64_t quiet_ms;
static struct waker *quiet_waker;
static struct connection *quiet_next; /* what net_connect gives */

static int64_t quiet_monotonic_ns(void)
{
    return quiet_ms * 1000000;
}

static int quiet_sync(void *handle)
{
    (void)handle;
    return 0;
}

static int quiet_sync_dir(const char *path)
{
    (void)path;
    return 0;
}

static struct waker *quiet_own_waker(struct net *net)
{
    (void)net;
    return quiet_waker;
}

static void quiet_set_handler(struct connection *it, const struct connection_handler *handler,
    void *arg)
{
    it->handler = handler;
    it->arg = arg;
}

static struct connection *quiet_connect(struct net *net, const char *host, uint16_t port,
    const struct tls *tls, const struct connection_handler *handler, void *arg)
{
    (void)net, (void)host, (void)port, (void)tls;
    ASSERT(quiet_next != NULL);
    quiet_next->is_closed = false;
    quiet_set_handler(quiet_next, handler, arg);
    return quiet_next;
}

static void quiet_set_frame_max(struct connection *it, uint32_t frame_max)
{
    (void)frame_max;
    ASSERT(!it->is_closed);
}

static void quiet_keep(struct connection *it)
{
    ASSERT(!it->is_closed);
}

static void quiet_send(struct connection *it, uint32_t kind, weir_str payload)
{
    ASSERT(!it->is_closed);
    if (kind != it->kept_kind)
        return;
    mem_free(it->kept);
    it->kept = mem_dup(payload.data, payload.size);
    it->kept_size = payload.size;
}

static void quiet_close(struct connection *it)
{
    ASSERT(!it->is_closed);
    it->is_closed = true;
}

static int64_t quiet_heard_ms(const struct connection *it)
{
    (void)it;
    return quiet_ms;
}

static const char *quiet_peer(const struct connection *it)
{
    (void)it;
    return "somebody";
}

static weir_error *quiet_check_user(const struct connection *it)
{
    (void)it;
    return NULL;
}

static inline void quiet_begin(void)
{
    static const struct net_class quiet = { .waker = quiet_own_waker,
        .connect = quiet_connect,
        .set_handler = quiet_set_handler,
        .set_frame_max = quiet_set_frame_max,
        .keep = quiet_keep,
        .send = quiet_send,
        .close = quiet_close,
        .close_flushed = quiet_close,
        .heard_ms = quiet_heard_ms,
        .peer = quiet_peer,
        .check_user = quiet_check_user };
    static struct os os;
    if (quiet_waker == NULL) {
        log_set_level(LOG_ERROR);
        os = os_linux;
        os.monotonic_ns = quiet_monotonic_ns;
        os.sync = quiet_sync;
        os.sync_dir = quiet_sync_dir;
        os_current = &os;
        quiet_waker = waker_new();
        net_current = &quiet;
    }
    quiet_ms = 1000000;
}

/* A frame has come. The reader gets a copy of exactly its size: the sanitizer sees a step behind its end. */
static inline void quiet_hear(struct connection *it, uint32_t kind, weir_str payload)
{
    char *copy = mem_dup(payload.data, payload.size);
    it->handler->frame(it->arg, it, kind, (weir_str){ .data = copy, .size = payload.size });
    mem_free(copy);
}

static inline void quiet_release(struct connection *it)
{
    mem_free(it->kept);
    *it = (struct connection){ .handler = NULL };
}

#endif

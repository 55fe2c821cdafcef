/* connection_event.c -- see connection_event.h. Prefixes: connection_ */
#include "net/connection_event.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os_peer.h"
#include "net/frame.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <errno.h>
#include <stdio.h>

#define HOST_SIZE_MAX 253 /* of a name in DNS */

enum state { CONNECTING, OPEN, FAILED, GONE };

/* Thread: the net's. */
struct connection {
    LIST_ENTRY(connection) link;
    struct net *net;
    const struct tls *tls;
    char *host; /* that was dialled; NULL: accepted */
    char *peer;
    const struct connection_handler *handler;
    void *arg;
    uint32_t *count; /* the listener's; NULL: of none, any more */
    enum state state;
    bool is_kept, is_leaving;
    struct bufferevent *stream;           /* NULL: no address is known yet */
    struct evbuffer *waiting;             /* sent before it was open */
    struct evutil_addrinfo *found, *next; /* addresses to try */
    struct evdns_getaddrinfo_request *look_up;
    struct frame_reader reader;
    struct deadline deadline; /* of the handshake, of leaving, or to say that it has failed */
    weir_error *why;
    uint64_t queued_max;
    int64_t heard_ms;
};

/* -- the end of one ----------------------------------------------------------------------------- */

static void release(void *arg)
{
    struct connection *it = arg;
    frame_reader_release(&it->reader);
    evbuffer_free(it->waiting);
    if (it->found != NULL)
        evutil_freeaddrinfo(it->found);
    weir_error_free(it->why);
    mem_free(it->host);
    mem_free(it->peer);
    mem_free(it);
}

/* What is on the stack may still look at it, and at the frame that it holds: memory goes at the end of the wait. */
static void leave(struct connection *it)
{
    ASSERT(it->state != GONE);
    it->state = GONE;
    deadline_clear(it->net, &it->deadline);
    LIST_REMOVE(it, link);
    if (it->count != NULL)
        *it->count -= 1;
    if (it->look_up != NULL)
        evdns_getaddrinfo_cancel(it->look_up);
    if (it->stream != NULL)
        net_stream_free(it->net, it->stream);
    /* A look-up that was cancelled calls once more, and frees it then. */
    if (it->look_up == NULL)
        net_free_later(it->net, release, it);
}

static void tell_closed(void *arg)
{
    struct connection *it = arg;
    const struct connection_handler *handler = it->handler;
    void *owner = it->arg;
    weir_error *why = it->why;
    it->why = NULL;
    bool is_leaving = it->is_leaving;
    leave(it);
    if (is_leaving)
        weir_error_free(why);
    else
        handler->closed(owner, it, why);
}

/* Not at once: who is called from here may be on the stack already. */
static void fail(struct connection *it, weir_error *why)
{
    if (it->state == FAILED || it->state == GONE) {
        weir_error_free(why);
        return;
    }
    it->state = FAILED;
    it->why = why;
    if (it->stream != NULL)
        bufferevent_disable(it->stream, EV_READ | EV_WRITE);
    deadline_set(it->net, &it->deadline, 0, tell_closed, it);
}

static void handshake_over(void *arg)
{
    struct connection *it = arg;
    it->why = weir_error_retriable(weir_errorf(WEIR_E_TIMEOUT,
        it->state == CONNECTING
            ? "no connection with %s after %d ms: check its address, and that it is reachable"
            : "%s has not said who it is within %d ms",
        it->peer, NET_HANDSHAKE_MS));
    tell_closed(it);
}

static void forget_deadline(struct connection *it)
{
    if (it->state == OPEN && it->is_kept)
        deadline_clear(it->net, &it->deadline);
}

/* -- events of the stream ------------------------------------------------------------------------- */

static void hear(struct bufferevent *stream, void *arg)
{
    struct connection *it = arg;
    struct evbuffer *input = bufferevent_get_input(stream);
    it->heard_ms = net_now_ms();
    weir_error *error = NULL;
    size_t size;
    while (
        error == NULL && it->state == OPEN && (size = evbuffer_get_contiguous_space(input)) > 0) {
        weir_str bytes = { .data = (char *)evbuffer_pullup(input, (ssize_t)size), .size = size };
        while (error == NULL && it->state == OPEN && bytes.size > 0) {
            struct frame frame;
            bool is_whole;
            error = frame_read(&it->reader, &bytes, &frame, &is_whole);
            if (error == NULL && is_whole)
                it->handler->frame(it->arg, it, frame.kind, frame.payload);
        }
        evbuffer_drain(input, size);
    }
    if (error != NULL)
        fail(it, weir_error_wrap(error, "%s", it->peer));
}

static void go_flushed(struct connection *it)
{
    struct net *net = it->net;
    struct bufferevent *stream = it->stream;
    it->stream = NULL;
    leave(it);
    net_linger(net, stream);
}

static void try_next(struct connection *it);

static void become_open(struct connection *it)
{
    it->state = OPEN;
    it->heard_ms = net_now_ms();
    net_no_delay(bufferevent_getfd(it->stream));
    bufferevent_write_buffer(it->stream, it->waiting);
    forget_deadline(it);
    if (it->is_leaving)
        go_flushed(it);
    else if (it->host != NULL)
        it->handler->opened(it->arg, it);
}

static void notice(struct bufferevent *stream, short event, void *arg)
{
    struct connection *it = arg;
    if ((event & BEV_EVENT_CONNECTED) != 0) {
        if (it->state == CONNECTING)
            become_open(it);
        return;
    }
    if (it->state != CONNECTING && it->state != OPEN)
        return;
    weir_error *error = net_stream_error(stream, event, it->peer);
    if (it->state == CONNECTING && it->next != NULL && weir_error_is_retriable(error)) {
        weir_error_free(error);
        try_next(it);
        return;
    }
    if (it->state == CONNECTING && it->host != NULL)
        error = weir_error_wrap(error, "cannot connect");
    else if (frame_reader_is_inside(&it->reader))
        error = weir_error_wrap(error, "in the middle of a frame");
    fail(it, error);
}

static void listen_to(struct connection *it)
{
    bufferevent_setcb(it->stream, hear, NULL, notice, it);
    bufferevent_enable(it->stream, EV_READ | EV_WRITE);
}

/* -- making one --------------------------------------------------------------------------------- */

static struct connection *make(struct net *net, const struct tls *tls, char *peer)
{
    struct connection *it = mem_alloc(sizeof(*it));
    it->net = net;
    it->tls = tls;
    it->peer = peer;
    it->waiting = evbuffer_new();
    ASSERT(it->waiting != NULL);
    it->queued_max = NET_QUEUED_MAX_DEFAULT;
    it->heard_ms = net_now_ms();
    frame_reader_init(&it->reader, NET_FRAME_MAX_DEFAULT);
    LIST_INSERT_HEAD(net_connections(net), it, link);
    deadline_set(net, &it->deadline, NET_HANDSHAKE_MS, handshake_over, it);
    return it;
}

struct connection *connection_accept(struct net *net, int fd, const struct tls *tls, char *peer,
    uint32_t *count)
{
    struct connection *it = make(net, tls, peer);
    it->count = count;
    *count += 1;
    it->state = tls == NULL ? OPEN : CONNECTING;
    it->stream = net_stream_new(net, fd, tls, NULL);
    return it;
}

/* The list is as long as a listener has connections at most, and a flood is what makes it long. */
void connection_make_room(struct connection_list *list, const uint32_t *count)
{
    uint32_t strangers = 0;
    struct connection *it, *oldest = NULL;
    LIST_FOREACH(it, list, link)
    {
        if (it->count != count || it->state == FAILED || (it->state == OPEN && it->is_kept))
            continue;
        strangers++;
        oldest = it; /* new ones come in front */
    }
    if (strangers >= NET_STRANGERS_MAX)
        fail(oldest, weir_error_retriable(weir_errorf(WEIR_E_LIMIT,
                         "%s has not said who it is, and others want to", oldest->peer)));
}

void connection_offer(struct connection *it, bool (*accepted)(void *arg, struct connection *it),
    void *arg)
{
    bool is_taken = accepted(arg, it);
    if (it->state == GONE)
        return;
    if (!is_taken) {
        leave(it);
        return;
    }
    ASSERT(it->is_leaving || it->handler != NULL);
    if (it->state == OPEN || it->state == CONNECTING)
        listen_to(it);
}

static void try_next(struct connection *it)
{
    int failed = -1;
    while (failed != 0 && it->next != NULL) {
        const struct evutil_addrinfo *address = it->next;
        it->next = address->ai_next;
        if (it->stream != NULL)
            net_stream_free(it->net, it->stream);
        it->stream = net_stream_new(it->net, -1, it->tls, it->host);
        listen_to(it);
        failed = bufferevent_socket_connect(it->stream, address->ai_addr, (int)address->ai_addrlen);
    }
    if (failed != 0)
        fail(it, weir_error_retriable(weir_errorf(WEIR_E_IO, "cannot connect to %s: %s", it->peer,
                     strerror(errno))));
}

static void looked_up(int result, struct evutil_addrinfo *found, void *arg)
{
    struct connection *it = arg;
    it->look_up = NULL;
    it->found = it->next = found;
    if (it->state == GONE) {
        net_free_later(it->net, release, it);
    } else if (result != 0 || found == NULL) {
        fail(it, weir_error_retriable(weir_errorf(WEIR_E_IO,
                     "cannot connect to %s: %s; check the name and the resolver", it->peer,
                     evutil_gai_strerror(result))));
    } else if (it->state == CONNECTING) {
        try_next(it);
    }
}

static void look_up(struct connection *it, uint16_t port)
{
    struct evutil_addrinfo hints = { .ai_socktype = SOCK_STREAM,
        .ai_protocol = IPPROTO_TCP,
        .ai_flags = EVUTIL_AI_NUMERICHOST };
    struct evutil_addrinfo *found = NULL;
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    if (strlen(it->host) > HOST_SIZE_MAX) {
        looked_up(EVUTIL_EAI_NONAME, NULL, it);
    } else if (evutil_getaddrinfo(it->host, service, &hints, &found) == 0) {
        looked_up(0, found, it);
    } else if (net_dns(it->net) == NULL) {
        looked_up(EVUTIL_EAI_FAIL, NULL, it);
    } else {
        hints.ai_flags = EVUTIL_AI_ADDRCONFIG;
        struct evdns_getaddrinfo_request *request =
            evdns_getaddrinfo(net_dns(it->net), it->host, service, &hints, looked_up, it);
        if (request != NULL) /* NULL: it has called already */
            it->look_up = request;
    }
}

struct connection *connection_event_connect(struct net *net, const char *host, uint16_t port,
    const struct tls *tls, const struct connection_handler *handler, void *arg)
{
    ASSERT(handler != NULL);
    bool is_v6 = strchr(host, ':') != NULL;
    struct connection *it = make(net, tls, mem_printf(is_v6 ? "[%s]:%u" : "%s:%u", host, port));
    it->host = mem_strdup(host);
    it->handler = handler;
    it->arg = arg;
    look_up(it, port);
    return it;
}

/* -- what the owner asks -------------------------------------------------------------------------- */

void connection_event_set_handler(struct connection *it, const struct connection_handler *handler,
    void *arg)
{
    ASSERT(handler != NULL && it->state != GONE);
    it->handler = handler;
    it->arg = arg;
}

void connection_event_set_frame_max(struct connection *it, uint32_t frame_max)
{
    ASSERT(frame_max <= NET_FRAME_MAX);
    it->reader.size_max = frame_max;
}

void connection_event_set_queued_max(struct connection *it, uint64_t queued_max)
{
    it->queued_max = queued_max;
}

void connection_event_keep(struct connection *it)
{
    it->is_kept = true;
    forget_deadline(it);
}

void connection_event_send(struct connection *it, uint32_t kind, weir_str payload)
{
    ASSERT(payload.size <= NET_FRAME_MAX && it->state != GONE && !it->is_leaving);
    if (it->state == FAILED)
        return;
    struct evbuffer *queue = it->state == OPEN ? bufferevent_get_output(it->stream) : it->waiting;
    uint64_t queued = evbuffer_get_length(queue);
    if (queued + FRAME_HEAD_SIZE + payload.size > it->queued_max) {
        fail(it, weir_error_retriable(weir_errorf(WEIR_E_LIMIT,
                     "%s does not read what it is sent: %llu bytes wait, at most %llu may",
                     it->peer, (unsigned long long)queued, (unsigned long long)it->queued_max)));
        return;
    }
    char head[FRAME_HEAD_SIZE];
    frame_head_write(head, kind, payload);
    ASSERT(evbuffer_add(queue, head, sizeof(head)) == 0);
    ASSERT(payload.size == 0 || evbuffer_add(queue, payload.data, payload.size) == 0);
}

void connection_event_close(struct connection *it)
{
    leave(it);
}

void connection_event_close_flushed(struct connection *it)
{
    ASSERT(it->state != GONE && !it->is_leaving);
    it->is_leaving = true;
    if (it->state == FAILED)
        leave(it);
    else if (it->state == OPEN)
        go_flushed(it);
    else
        deadline_set(it->net, &it->deadline, NET_LINGER_MS, tell_closed, it);
}

int64_t connection_event_heard_ms(const struct connection *it)
{
    return it->heard_ms;
}

const char *connection_event_peer(const struct connection *it)
{
    return it->peer;
}

weir_error *connection_event_check_user(const struct connection *it)
{
    ASSERT(it->state == OPEN);
    return os_peer_check(bufferevent_getfd(it->stream));
}

/* -- all of them ---------------------------------------------------------------------------------- */

void connection_forget(struct connection_list *list, const uint32_t *count)
{
    struct connection *it;
    LIST_FOREACH(it, list, link)
    if (it->count == count)
        it->count = NULL;
}

void connection_free_all(struct connection_list *list)
{
    while (!LIST_EMPTY(list))
        leave(LIST_FIRST(list));
}

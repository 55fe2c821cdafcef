/* net_event.c -- the real network: one libevent loop, its clock, its listeners. Connections: connection_event.c.
 * Prefixes: net_, listener_ */
#include "net/net_event.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "net/connection_event.h"
#include "net/tls.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define BACKLOG   1024
#define PAUSE_MS  100
#define READ_SIZE ((size_t)64 << 10) /* of one stream in a turn of the loop */

/* Freed at the end of a wait. Thread: the net's. */
struct later {
    SLIST_ENTRY(later) link;
    void (*release)(void *it);
    void *it;
};

/* Thread: its owner; the waker's wake: any. */
struct net {
    struct event_base *base;
    struct evdns_base *dns;
    struct waker *waker;
    struct event *woken, *timer;
    bool is_waiting, is_woken;
    TAILQ_HEAD(deadline_list, deadline) deadlines; /* by time */
    SLIST_HEAD(, later) later;
    LIST_HEAD(, leaver) lingering;
    LIST_HEAD(, listener) listeners;
    struct connection_list connections;
};

/* Thread: the net's. */
struct leaver {
    LIST_ENTRY(leaver) link;
    struct net *net;
    struct bufferevent *stream;
    struct deadline deadline;
};

/* -- once a process --------------------------------------------------------------------------- */

static void take_log(int severity, const char *message)
{
    log_line(severity >= EVENT_LOG_ERR    ? LOG_ERROR
             : severity == EVENT_LOG_WARN ? LOG_WARN
                                          : LOG_DEBUG,
        "net", "%s", message);
}

static void prepare(void)
{
    event_set_log_callback(take_log);
    /* libevent and OpenSSL write to sockets with calls that would kill the process when the peer has gone. */
    struct sigaction old;
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

/* -- time --------------------------------------------------------------------------------------- */

int64_t net_now_ms(void)
{
    return os_monotonic_ms();
}

void deadline_clear(struct net *net, struct deadline *deadline)
{
    if (deadline->due == NULL)
        return;
    TAILQ_REMOVE(&net->deadlines, deadline, link);
    deadline->due = NULL;
}

void deadline_set(struct net *net, struct deadline *deadline, int64_t after_ms,
    void (*due)(void *arg), void *arg)
{
    deadline_clear(net, deadline);
    deadline->at_ms = net_now_ms() + after_ms;
    deadline->due = due;
    deadline->arg = arg;
    struct deadline *before = TAILQ_LAST(&net->deadlines, deadline_list);
    while (before != NULL && before->at_ms > deadline->at_ms)
        before = TAILQ_PREV(before, deadline_list, link);
    if (before == NULL)
        TAILQ_INSERT_HEAD(&net->deadlines, deadline, link);
    else
        TAILQ_INSERT_AFTER(&net->deadlines, before, deadline, link);
}

static void run_deadlines(struct net *net)
{
    int64_t now_ms = net_now_ms();
    struct deadline *first;
    while ((first = TAILQ_FIRST(&net->deadlines)) != NULL && first->at_ms <= now_ms) {
        void (*due)(void *arg) = first->due;
        deadline_clear(net, first);
        due(first->arg);
    }
}

/* -- the loop ----------------------------------------------------------------------------------- */

static void hear_waker(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct net *net = arg;
    net->is_woken = true;
}

static void hear_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static struct event *watch(struct net *net, int fd, event_callback_fn call)
{
    struct event *event = event_new(net->base, fd, EV_READ | EV_PERSIST, call, net);
    ASSERT(event != NULL);
    return event;
}

static struct net *open_net(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ASSERT(pthread_once(&once, prepare) == 0);
    struct net *net = mem_alloc(sizeof(*net));
    net->base = event_base_new();
    ASSERT(net->base != NULL); /* no memory or no descriptor, at the start of a process */
    net->waker = waker_new();
    TAILQ_INIT(&net->deadlines);
    net->woken = watch(net, waker_fd(net->waker), hear_waker);
    net->timer = watch(net, -1, hear_timer);
    ASSERT(event_add(net->woken, NULL) == 0);
    return net;
}

void net_free_later(struct net *net, void (*release)(void *it), void *it)
{
    if (!net->is_waiting) {
        release(it);
        return;
    }
    struct later *later = mem_alloc(sizeof(*later));
    *later = (struct later){ .release = release, .it = it };
    SLIST_INSERT_HEAD(&net->later, later, link);
}

static void free_later(struct net *net)
{
    struct later *later;
    while ((later = SLIST_FIRST(&net->later)) != NULL) {
        SLIST_REMOVE_HEAD(&net->later, link);
        later->release(later->it);
        mem_free(later);
    }
}

/* How long may the loop sleep? Negative: for ever. */
static int64_t sleep_ms(const struct net *net, int64_t timeout_ms)
{
    const struct deadline *first = TAILQ_FIRST(&net->deadlines);
    if (first == NULL)
        return timeout_ms;
    int64_t left_ms = os_left_ms(first->at_ms, net_now_ms());
    return timeout_ms < 0 || left_ms < timeout_ms ? left_ms : timeout_ms;
}

static void wait_net(struct net *net, int64_t timeout_ms)
{
    ASSERT(!net->is_waiting); /* not from inside of a call */
    int64_t limit_ms = waker_sleep(net->waker) ? sleep_ms(net, timeout_ms) : 0;
    struct timeval limit = { .tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000 };
    if (limit_ms > 0)
        ASSERT(event_add(net->timer, &limit) == 0);
    net->is_waiting = true;
    net->is_woken = false;
    /* ONCE also when it may not sleep: without it the loop goes on while something is ready, and the waker is
     * until it is drained below. */
    ASSERT(event_base_loop(net->base,
               limit_ms == 0 ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE) >= 0);
    waker_awake(net->waker, net->is_woken);
    event_del(net->timer);
    run_deadlines(net);
    net->is_waiting = false;
    free_later(net);
}

static struct waker *waker_of(struct net *net)
{
    return net->waker;
}

struct event_base *net_base(struct net *net)
{
    return net->base;
}

struct connection_list *net_connections(struct net *net)
{
    return &net->connections;
}

struct evdns_base *net_dns(struct net *net)
{
    if (net->dns == NULL)
        net->dns = evdns_base_new(net->base, EVDNS_BASE_INITIALIZE_NAMESERVERS);
    return net->dns;
}

/* -- ports ---------------------------------------------------------------------------------------- */

char *net_address_text(const struct sockaddr *address, int size)
{
    char host[INET6_ADDRSTRLEN + 1] = "?", port[8] = "?";
    getnameinfo(address, (socklen_t)size, host, sizeof(host), port, sizeof(port),
        NI_NUMERICHOST | NI_NUMERICSERV);
    return mem_printf(address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static void resume(void *arg)
{
    struct port *port = arg;
    evconnlistener_enable(port->listener);
}

static void pause_accepting(struct port *port, int64_t for_ms)
{
    evconnlistener_disable(port->listener);
    deadline_set(port->net, &port->pause, for_ms, resume, port);
}

static void accept_one(struct evconnlistener *it, evutil_socket_t fd, struct sockaddr *address,
    int size, void *arg)
{
    (void)it;
    struct port *port = arg;
    net_no_delay(fd);
    /* libevent accepts for as long as others come, and what makes room for them is freed at the end of the turn only. */
    if (++port->accepted_count % NET_ACCEPTED_MAX == 0)
        pause_accepting(port, 0);
    port->accepted(port->arg, fd, address, size);
}

/* Out of descriptors: what waits to be accepted stays there and would keep the loop spinning. */
static void accept_failed(struct evconnlistener *it, void *arg)
{
    (void)it;
    struct port *port = arg;
    log_warn("net", "cannot accept a connection on port %u: %s; raise the limit of open files",
        port->number, strerror(errno));
    pause_accepting(port, PAUSE_MS);
}

static uint16_t bound_port(struct evconnlistener *listener)
{
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    socklen_t size = sizeof(address);
    ASSERT(getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &size) == 0);
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

weir_error *net_port_open(struct net *net, const char *host, uint16_t number, net_accepted accepted,
    void *arg, struct port *port)
{
    *port = (struct port){ .net = net, .accepted = accepted, .arg = arg };
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
    char service[8];
    snprintf(service, sizeof(service), "%u", number);
    int unknown = getaddrinfo(host, service, &hints, &found);
    if (unknown != 0)
        return weir_errorf(WEIR_E_USAGE,
            "cannot listen on '%s': %s; name an address of this machine", host,
            gai_strerror(unknown));
    port->listener = evconnlistener_new_bind(net->base, accept_one, port,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG, found->ai_addr,
        (int)found->ai_addrlen);
    int number_of_error = errno;
    freeaddrinfo(found);
    if (port->listener == NULL)
        return weir_errorf(WEIR_E_IO, "cannot listen on %s:%u: %s; %s", host, number,
            strerror(number_of_error),
            number_of_error == EADDRINUSE
                ? "stop who has the port, or choose another one"
                : "choose an address of this machine and a port that you may use");
    evconnlistener_set_error_cb(port->listener, accept_failed);
    port->number = bound_port(port->listener);
    return NULL;
}

void net_port_close(struct port *port)
{
    deadline_clear(port->net, &port->pause);
    evconnlistener_free(port->listener);
}

/* -- streams -------------------------------------------------------------------------------------- */

void net_no_delay(int fd)
{
    int yes = 1; /* or small answers over TLS wait 40 ms for the peer's delayed ACK */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

struct bufferevent *net_stream_new(struct net *net, int fd, const struct tls *tls, const char *host)
{
    int options = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
    struct bufferevent *stream =
        tls == NULL ? bufferevent_socket_new(net->base, fd, options)
                    : bufferevent_openssl_socket_new(net->base, fd, tls_session_new(tls, host),
                          fd < 0 ? BUFFEREVENT_SSL_CONNECTING : BUFFEREVENT_SSL_ACCEPTING, options);
    ASSERT(stream != NULL); /* no memory */
    bufferevent_set_max_single_read(stream, READ_SIZE);
    return stream;
}

weir_error *net_stream_error(struct bufferevent *stream, short event, const char *peer)
{
    int number = EVUTIL_SOCKET_ERROR();
    SSL *session = bufferevent_openssl_get_ssl(stream);
    unsigned long refused = session == NULL ? 0 : bufferevent_get_openssl_error(stream);
    bool is_tls =
        ERR_GET_LIB(refused) == ERR_LIB_SSL; /* libevent queues bare SSL_ERROR_ numbers, too */
    bool is_cut = is_tls && ERR_GET_REASON(refused) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (is_tls && !is_cut)
        return weir_errorf(WEIR_E_CONNECTOR,
            "TLS with %s failed: %s; check the certificates of both sides, and that both use TLS",
            peer, tls_reason(refused, session));
    if ((event & BEV_EVENT_EOF) != 0 || is_cut || number == 0 ||
        (session != NULL && number == EAGAIN))
        return weir_error_retriable(weir_errorf(WEIR_E_IO, "%s closed the connection", peer));
    return weir_error_retriable(
        weir_errorf(WEIR_E_IO, "the connection with %s broke: %s", peer, strerror(number)));
}

static void release_stream(void *it)
{
    bufferevent_free(it);
}

void net_stream_free(struct net *net, struct bufferevent *stream)
{
    bufferevent_setcb(stream, NULL, NULL, NULL, NULL);
    bufferevent_disable(stream, EV_READ | EV_WRITE);
    net_free_later(net, release_stream, stream);
}

static void stop_lingering(void *arg)
{
    struct leaver *leaver = arg;
    LIST_REMOVE(leaver, link);
    deadline_clear(leaver->net, &leaver->deadline);
    net_stream_free(leaver->net, leaver->stream);
    mem_free(leaver);
}

static void end_own_side(struct bufferevent *stream, void *arg)
{
    (void)arg;
    if (evbuffer_get_length(bufferevent_get_output(stream)) > 0)
        return; /* called for something that was written before */
    SSL *session = bufferevent_openssl_get_ssl(stream);
    if (session != NULL)
        SSL_shutdown(session);
    ERR_clear_error();
    shutdown(bufferevent_getfd(stream), SHUT_WR);
}

static void drop_input(struct bufferevent *stream, void *arg)
{
    (void)arg;
    struct evbuffer *input = bufferevent_get_input(stream);
    evbuffer_drain(input, evbuffer_get_length(input));
}

static void linger_over(struct bufferevent *stream, short event, void *arg)
{
    (void)stream, (void)event;
    stop_lingering(arg);
}

void net_linger(struct net *net, struct bufferevent *stream)
{
    struct leaver *leaver = mem_alloc(sizeof(*leaver));
    *leaver = (struct leaver){ .net = net, .stream = stream };
    LIST_INSERT_HEAD(&net->lingering, leaver, link);
    deadline_set(net, &leaver->deadline, NET_LINGER_MS, stop_lingering, leaver);
    bufferevent_setcb(stream, drop_input, end_own_side, linger_over, leaver);
    bufferevent_setwatermark(stream, EV_READ, 0, 0);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
    end_own_side(stream, NULL);
}

/* -- listeners -------------------------------------------------------------------------------------- */

/* Thread: the net's. */
struct listener {
    LIST_ENTRY(listener) link;
    struct port port;
    struct listen_options options;
    uint32_t connection_count;
};

static void accept_connection(void *arg, int fd, const struct sockaddr *address, int size)
{
    struct listener *listener = arg;
    if (listener->connection_count >= listener->options.connections_max) {
        evutil_closesocket(fd);
        return;
    }
    connection_make_room(net_connections(listener->port.net), &listener->connection_count);
    char *peer = net_address_text(address, size);
    struct connection *it = connection_accept(listener->port.net, fd, listener->options.tls, peer,
        &listener->connection_count);
    connection_offer(it, listener->options.accepted, listener->options.arg);
}

static weir_error *listen_net(struct net *net, const struct listen_options *options,
    struct listener **listener)
{
    ASSERT(options->accepted != NULL);
    struct listener *made = mem_alloc(sizeof(*made));
    made->options = *options;
    if (made->options.connections_max == 0)
        made->options.connections_max = NET_CONNECTIONS_MAX;
    *listener = NULL;
    weir_error *error =
        net_port_open(net, options->host, options->port, accept_connection, made, &made->port);
    if (error != NULL) {
        mem_free(made);
        return error;
    }
    LIST_INSERT_HEAD(&net->listeners, made, link);
    *listener = made;
    return NULL;
}

static uint16_t port_of(const struct listener *listener)
{
    return listener->port.number;
}

static void free_listener(struct listener *listener)
{
    connection_forget(net_connections(listener->port.net), &listener->connection_count);
    LIST_REMOVE(listener, link);
    net_port_close(&listener->port);
    net_free_later(listener->port.net, mem_free, listener);
}

/* -- the end ------------------------------------------------------------------------------------------ */

static void free_net(struct net *net)
{
    ASSERT(!net->is_waiting);
    while (!LIST_EMPTY(&net->listeners))
        free_listener(LIST_FIRST(&net->listeners));
    connection_free_all(&net->connections);
    while (!LIST_EMPTY(&net->lingering))
        stop_lingering(LIST_FIRST(&net->lingering));
    free_later(net);
    event_free(
        net->woken); /* nobody takes a wake away any more: the loop below would never be idle */
    if (net->dns != NULL) {
        evdns_base_free(net->dns, 1); /* look-ups that were cancelled call once more */
        ASSERT(event_base_loop(net->base, EVLOOP_NONBLOCK) >= 0);
    }
    ASSERT(TAILQ_EMPTY(&net->deadlines)); /* an HTTP server is freed before its net */
    event_free(net->timer);
    event_base_free(net->base);
    waker_free(net->waker);
    mem_free(net);
}

const struct net_class net_libevent = {
    .new = open_net,
    .free = free_net,
    .wait = wait_net,
    .waker = waker_of,
    .listen = listen_net,
    .listener_port = port_of,
    .listener_free = free_listener,
    .connect = connection_event_connect,
    .set_handler = connection_event_set_handler,
    .set_frame_max = connection_event_set_frame_max,
    .set_queued_max = connection_event_set_queued_max,
    .keep = connection_event_keep,
    .send = connection_event_send,
    .close = connection_event_close,
    .close_flushed = connection_event_close_flushed,
    .heard_ms = connection_event_heard_ms,
    .peer = connection_event_peer,
    .check_user = connection_event_check_user,
};

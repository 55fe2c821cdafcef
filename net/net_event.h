/* net_event.h -- what the parts of the real network share: the loop, points in time, listening, leaving politely.
 *
 * Time is os_monotonic_ns, not libevent's: a test with a clock of its own sees the time-outs happen. A deadline is
 * a field of whoever has it, in one list of the net by time; nearly all are set in the order in which they fall
 * due, so setting one looks at a few neighbours only.
 *
 * Prefixes: net_, deadline_
 * Thread: the net's. Only for files of net/ that are made of libevent. */
#ifndef WEIR_NET_NET_EVENT_H
#define WEIR_NET_NET_EVENT_H

#include "net/net.h"

#include <sys/queue.h>

struct event_base;
struct bufferevent;
struct evconnlistener;
struct sockaddr;
struct evdns_base;

struct deadline {
    TAILQ_ENTRY(deadline) link;
    int64_t at_ms;
    void (*due)(void *arg); /* NULL: not set */
    void *arg;
};
/* Calls due(arg) once, from the end of a net_wait, when that time is over; 0: of the next one. Moves one that is
 * set already. */
void deadline_set(struct net *net, struct deadline *deadline, int64_t after_ms,
    void (*due)(void *arg), void *arg);
void deadline_clear(struct net *net, struct deadline *deadline);

struct event_base *net_base(struct net *net);
struct evdns_base *net_dns(struct net *net); /* made when first asked for; NULL: no resolver */
int64_t net_now_ms(void);

/* Frees memory now, or at the end of net_wait from inside of it: those who are on the stack still look at it. */
void net_free_later(struct net *net, void (*release)(void *it), void *it);

/* Every accepted socket: non-blocking, closed on exec, without Nagle's delay. The caller owns it. */
typedef void (*net_accepted)(void *arg, int fd, const struct sockaddr *address, int size);
/* Thread: the net's. */
struct port {
    struct net *net;
    struct evconnlistener *listener;
    struct deadline pause;   /* no descriptor was left, or enough have come */
    uint32_t accepted_count; /* ever, modulo 2^32 */
    net_accepted accepted;
    void *arg;
    uint16_t number;
};
weir_error *net_port_open(struct net *net, const char *host, uint16_t number, net_accepted accepted,
    void *arg, struct port *port) WEIR_MUST_USE;
void net_port_close(struct port *port);

/* Plain or TLS. fd -1: to be connected to `host`. Callbacks come from the loop, never from
 * inside of a call. */
struct bufferevent *net_stream_new(struct net *net, int fd, const struct tls *tls,
    const char *host);
void net_stream_free(struct net *net,
    struct bufferevent *stream); /* from inside of its calls, too */
void net_no_delay(int fd);
/* Takes a stream that has nothing more to say: sends what is queued, ends its own direction, reads what the peer
 * still says until it ends, too, and closes; at most NET_LINGER_MS. Closing with unread bytes would be a reset, which
 * takes what was sent last away from the peer. */
#define NET_LINGER_MS 5000
void net_linger(struct net *net, struct bufferevent *stream);
/* "the peer closed", "connection refused", what TLS has against it: for the event of a stream that is over. */
weir_error *net_stream_error(struct bufferevent *stream, short event, const char *peer);

/* "127.0.0.1:6123" or "[::1]:6123" */
char *net_address_text(const struct sockaddr *address, int size);

#endif

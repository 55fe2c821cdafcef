/* net.h -- messages between processes: connections that carry frames, and one thread that hears of them.
 *
 *      net_connect --opened--> connection --frame, frame, ...--> closed
 *      net_listen  --accepted--^      ^---- connection_send
 *
 * A net is an event loop with everything that is attached to it: listeners, connections, HTTP servers
 * (http_server.h). Its owner calls net_wait in a loop and is called back from inside; nothing here blocks
 * but net_wait. The real one (net_event.c) is libevent, with TLS by OpenSSL; the simulator puts its own
 * network in the place of `struct net_class`.
 *
 * A frame on the wire, little-endian:
 *
 *      OFFSET SIZE  MEANING
 *           0    4  magic and version of the framing: "WRF\1"
 *           4    4  kind: the owner's
 *           8    4  payload size in bytes, at most frame_max
 *          12    4  low half of XXH3-64 of bytes 4..12 and the payload
 *          16    n  payload
 *
 * What does not fit (another magic or version, a longer frame, a wrong checksum) closes the connection
 * with an error that says so: nothing after it can be trusted.
 *
 * Limits: `frame_max` of a connection (small until the peer is known, connection_set_frame_max); what waits
 * to be sent, `queued_max`: a peer that does not read is closed, never waited for; connections of a
 * listener, `connections_max`: more are closed at once; a connection that is not opened, or whose owner has
 * not called connection_keep, is a stranger. It is closed NET_HANDSHAKE_MS after its begin, whatever it says
 * meanwhile: this is also the time-out of connecting and of the TLS handshake. And of the strangers of a listener
 * there are NET_STRANGERS_MAX: for one more the oldest goes, so that many who say nothing keep nobody out. A turn
 * of the loop takes NET_ACCEPTED_MAX from a port: who has come is heard, and who had to go has left, before more come.
 *
 * Prefixes: net_, listener_, connection_
 * Thread: one owns a net and everything attached; net_waker's waker_wake: any. */
#ifndef WEIR_NET_NET_H
#define WEIR_NET_NET_H

#include "base/os.h"
#include <weir/type.h>

#define NET_FRAME_MAX_DEFAULT  (64u << 10)  /* until the peer is known */
#define NET_FRAME_MAX          (256u << 20) /* nothing may be longer */
#define NET_QUEUED_MAX_DEFAULT (512u << 20)
#define NET_CONNECTIONS_MAX    4096u
#define NET_STRANGERS_MAX      1024u
#define NET_ACCEPTED_MAX       64u
#define NET_HANDSHAKE_MS       10000

struct tls; /* tls.h; NULL: plain */
struct net;
struct listener;
struct connection;

/* Calls into the owner of a connection. Inside any of them the connection may be closed, and others made. */
struct connection_handler {
    void (
        *opened)(void *arg, struct connection *it); /* connected, TLS is up; not of accepted ones */
    void (*frame)(void *arg, struct connection *it, uint32_t kind,
        weir_str payload); /* good inside */
    /* The last call: the peer closed, broke, was refused, broke the rules. Takes the error, never NULL:
     * retriable, unless the peer has broken a rule. Not after connection_close. */
    void (*closed)(void *arg, struct connection *it, weir_error *why);
};

/* Thread: immutable after init. */
struct listen_options {
    const char *host; /* a name or address; where to listen */
    uint16_t port;    /* 0: any that is free, see listener_port */
    const struct tls *tls;
    uint32_t connections_max; /* 0: NET_CONNECTIONS_MAX */
    /* Gives the handler of a new connection; false: close it. */
    bool (*accepted)(void *arg, struct connection *it);
    void *arg;
};

struct net *net_new(void);
void net_free(struct net *net); /* closes what is left, without calls */
/* Handles what is ready, waiting for it at most so long (negative: until something happens); returns when
 * there was something, or the waker was woken. */
void net_wait(struct net *net, int64_t timeout_ms);
struct waker *net_waker(struct net *net);

/* An address in use, a name that is not known: the error names it. */
weir_error *net_listen(struct net *net, const struct listen_options *options,
    struct listener **listener) WEIR_MUST_USE;
uint16_t listener_port(const struct listener *listener);
void listener_free(struct listener *listener); /* its connections stay */

/* Never fails here: `closed` tells, from inside net_wait. Frames sent before `opened` wait. */
struct connection *net_connect(struct net *net, const char *host, uint16_t port,
    const struct tls *tls, const struct connection_handler *handler, void *arg);
/* For an accepted one, inside `accepted`, or later to hand it on. */
void connection_set_handler(struct connection *it, const struct connection_handler *handler,
    void *arg);
void connection_set_frame_max(struct connection *it, uint32_t frame_max);
void connection_set_queued_max(struct connection *it, uint64_t queued_max); /* bytes */
void connection_keep(struct connection *it); /* the peer is known: no handshake time-out any more */
/* Copies the payload. What cannot be sent closes the connection, and `closed` tells. */
void connection_send(struct connection *it, uint32_t kind, weir_str payload);
void connection_close(struct connection *it); /* at once, without a call; not what was sent */
void connection_close_flushed(
    struct connection *it); /* when everything is sent, or 5 s later; no calls */
int64_t connection_heard_ms(
    const struct connection *it); /* monotonic: when something last came in */
const char *connection_peer(const struct connection *it); /* "127.0.0.1:40123", for people */
/* Of an open one: base/os_peer.h. */
weir_error *connection_check_user(const struct connection *it) WEIR_MUST_USE;

/* -- the table -------------------------------------------------------------------------------- */
/* Thread: immutable after init: set net_current before the first net is made. What the simulator replaces: each
 * function is the one above of the same name. A net, its listeners and connections are the implementation's own. */
struct net_class {
    struct net *(*new)(void);
    void (*free)(struct net *net);
    void (*wait)(struct net *net, int64_t timeout_ms);
    struct waker *(*waker)(struct net *net);
    weir_error *(
        *listen)(struct net *net, const struct listen_options *options, struct listener **listener);
    uint16_t (*listener_port)(const struct listener *listener);
    void (*listener_free)(struct listener *listener);
    struct connection *(*connect)(struct net *net, const char *host, uint16_t port,
        const struct tls *tls, const struct connection_handler *handler, void *arg);
    void (*set_handler)(struct connection *it, const struct connection_handler *handler, void *arg);
    void (*set_frame_max)(struct connection *it, uint32_t frame_max);
    void (*set_queued_max)(struct connection *it, uint64_t queued_max);
    void (*keep)(struct connection *it);
    void (*send)(struct connection *it, uint32_t kind, weir_str payload);
    void (*close)(struct connection *it);
    void (*close_flushed)(struct connection *it);
    int64_t (*heard_ms)(const struct connection *it);
    const char *(*peer)(const struct connection *it);
    weir_error *(*check_user)(const struct connection *it);
};
extern const struct net_class net_libevent; /* net_event.c */
extern const struct net_class *net_current; /* &net_libevent at start */

#endif

/* http_server.h -- HTTP/1.1 on the loop of a net: requests in, each answered now or later.
 *
 *      handler(arg, request) ---------- http_reply(request, ...)      at once, or from a later call of the net's
 *                          \----------- http_reply_file(request, ...) thread: exactly one, which ends the request
 *
 * A request is judged by its head before any byte of its body is taken: the token (`Authorization: Bearer TOKEN`,
 * 401), whose a large body is (403: asks_user), the size (413), what is no HTTP (400, 405, 431, 501, 505). Such answers
 * are {"errors":["..."]}, and the handler never hears of them. One connection has one request at a time; it is kept for
 * the next one unless either side says no. A client that goes away takes its connection along, not its request: the
 * reply goes nowhere then.
 *
 * Bodies up to HTTP_BODY_MEMORY bytes are in memory, larger ones in a file of their own in body_dir (none: in memory,
 * too), which is removed with the request; a handler that wants to keep it renames it. Writing it blocks the net for
 * as long as the disk takes a few KiB.
 *
 * Limits: connections_max, body_max, HTTP_HEAD_MAX. For one connection more the one goes that has been without a
 * request for longest, so that many who say nothing keep nobody out; if all have one, the new one is closed.
 * Deadlines: the head within timeout_ms from the first moment of its turn, which is also how long an idle connection
 * is kept; then every MiB of the body, and of an answer, within timeout_ms: whoever is slower is cut off.
 *
 * Prefixes: http_
 * Thread: the net's. */
#ifndef WEIR_NET_HTTP_SERVER_H
#define WEIR_NET_HTTP_SERVER_H

#include "net/http_reader.h"
#include "net/net.h"

#define HTTP_BODY_MAX        (UINT64_C(1) << 30)
#define HTTP_BODY_MEMORY     ((size_t)1 << 20)
#define HTTP_CONNECTIONS_MAX 256u
#define HTTP_TIMEOUT_MS      30000

struct http_server;
struct http_request;

/* Strings are copied, tls is borrowed. Thread: immutable after init. */
struct http_server_options {
    const char *host;
    uint16_t port; /* 0: any that is free */
    const struct tls *tls;
    const char *token;    /* NULL: anybody may ask */
    bool asks_user;       /* large bodies are taken from this process's user and root only */
    const char *body_dir; /* exists; NULL: bodies stay in memory */
    uint64_t body_max;    /* 0: HTTP_BODY_MAX */
    const char *
        body_max_fix; /* how to have larger ones, for who is refused; NULL: nothing is said. Borrowed */
    uint32_t connections_max; /* 0: HTTP_CONNECTIONS_MAX */
    int64_t timeout_ms;       /* 0: HTTP_TIMEOUT_MS */
    void (*handler)(void *arg, struct http_request *request);
    void *arg;
};

weir_error *http_server_new(struct net *net, const struct http_server_options *options,
    struct http_server **server) WEIR_MUST_USE;
uint16_t http_server_port(const struct http_server *server);
/* Before its net. Connections are cut; requests that are still open are replied to as usual, into the void. */
void http_server_free(struct http_server *server);

/* Of a request, as long as it is not replied to. A HEAD is a GET whose reply loses its body. */
enum http_method http_method(const struct http_request *request);
const char *http_path(const struct http_request *request); /* decoded, begins with / */
const char *http_query(const struct http_request *request, const char *name); /* NULL: none */
const char *http_header(const struct http_request *request, const char *name);
weir_str http_body(const struct http_request *request);         /* empty when in a file */
const char *http_body_file(const struct http_request *request); /* NULL: in memory */
void http_target(const struct http_request *request,
    weir_buffer *out);                                       /* path and query, escaped */
const char *http_client(const struct http_request *request); /* "127.0.0.1:40123" */
/* Has this process's user sent it, or root (base/os_peer.h)? Else why it is refused, with the fix. */
weir_error *http_check_user(const struct http_request *request) WEIR_MUST_USE;

/* A header of the reply to come; a value with control characters is left out. */
void http_add_header(struct http_request *request, const char *name, const char *value);
/* Ends the request. Bytes are copied. */
void http_reply(struct http_request *request, int status, const char *content_type, weir_str bytes);
/* The same with a file, read while it is sent; 404 if it is not there. */
void http_reply_file(struct http_request *request, const char *content_type, const char *path);
/* {"errors":["<text>"]} */
void http_reply_error(struct http_request *request, int status, const char *text);

#endif

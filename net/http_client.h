/* http_client.h -- one HTTP request that blocks: for the command line and for worker threads, never for a net's.
 *
 * Whatever status comes is no error: the caller knows what it means. Errors are that nothing came, in plain words
 * (refused, no time left, name unknown, certificate), with the URL; those of the network are retriable.
 * Nothing is followed (a redirect is an answer), no proxy is asked, only http and https are spoken.
 *
 * Limits: answer_max bytes in memory (more is WEIR_E_LIMIT); timeout_ms in all, or none: then 30 s without a byte
 * are too long.
 * Prefixes: http_client_
 * Thread: any, each its own request and answer. */
#ifndef WEIR_NET_HTTP_CLIENT_H
#define WEIR_NET_HTTP_CLIENT_H

#include "net/http_reader.h"
#include "net/tls.h"

#define HTTP_CLIENT_CONNECT_MS 10000
#define HTTP_CLIENT_STALL_S    30
#define HTTP_CLIENT_ANSWER_MAX ((size_t)64 << 20)

/* What is borrowed for the call; NULL and 0: not wanted. */
struct http_call {
    enum http_method method;
    bool wants_head; /* HEAD, in place of a GET: the status alone */
    const char *url;
    const char *token;
    struct tls_files tls; /* https: ca_file as in tls.h */
    const char *content_type;
    weir_str body;         /* of memory, */
    const char *body_file; /* or of a file */
    /* Where the body of an answer 200 to 299 goes, replacing what is there; all other bodies, and without it
     * every body, are in `bytes`. After an error there is no such file. */
    const char *answer_file;
    size_t answer_max; /* 0: HTTP_CLIENT_ANSWER_MAX */
    int64_t timeout_ms;
};

struct http_answer {
    int status;
    char *bytes; /* terminated, never NULL */
    size_t size;
    char *redirect; /* URL that it leads to; NULL: it is no redirect */
    bool
        is_unreachable; /* after an error: there was no connection, what was asked has not arrived */
};

/* After an error there is nothing to release. */
weir_error *http_client_call(const struct http_call *call, struct http_answer *answer)
    WEIR_MUST_USE;
void http_client_release(struct http_answer *answer);

#endif

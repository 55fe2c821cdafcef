/* http_reader.h -- HTTP/1.1 requests as a stream of events, with no socket near: bytes in, head, body, end out.
 *
 *      head --> HTTP_HEAD --> HTTP_BODY, HTTP_BODY, ... --> HTTP_END --> the next request
 *         \________________________\______________________> HTTP_BAD: status and problem; nothing after it
 *
 * Why not evhttp: it has a whole body in memory before anyone can look at the head, so a stranger without a token
 * could fill it, and its time-out starts anew with every byte. Here the head is judged first, and a body can go
 * anywhere piece by piece.
 *
 * Read strictly, because a request that two readers understand in two ways is how one is smuggled through a proxy:
 * lines end with CR LF, a length is said once, never together with chunks, names of headers are tokens, no header
 * goes over two lines. Taken: HTTP/1.0 and 1.1; GET HEAD PUT POST PATCH DELETE, each with a body or without; a length
 * or chunks; a target as a path or a whole URL.
 * Limits: HTTP_HEAD_MAX bytes of a head, HTTP_PAIRS_MAX headers and query parameters, body_max.
 * Thread: its owner. */
#ifndef WEIR_NET_HTTP_READER_H
#define WEIR_NET_HTTP_READER_H

#include "base/buffer.h"
#include <weir/type.h>

#define HTTP_HEAD_MAX  ((size_t)16 << 10)
#define HTTP_PAIRS_MAX 64u

enum http_method { HTTP_GET, HTTP_PUT, HTTP_POST, HTTP_PATCH, HTTP_DELETE };
enum http_event { HTTP_MORE, HTTP_HEAD, HTTP_BODY, HTTP_END, HTTP_BAD };

struct http_pair {
    const char *name, *value;
};

/* What HTTP_HEAD has read. Strings are the reader's; a path and parameters are decoded, UTF-8 or not. */
struct http_head {
    enum http_method method;
    bool is_head; /* a HEAD: GET, but only the head of the answer is wanted */
    const char *path;
    uint32_t query_count, header_count;
    struct http_pair query[HTTP_PAIRS_MAX], headers[HTTP_PAIRS_MAX];
    bool is_keep_alive, expects_continue, is_chunked;
    uint64_t content_length; /* 0 when chunked */
};

struct http_reader {
    uint64_t body_max;
    struct http_head head;
    int stage;
    uint64_t left;      /* of the body or the chunk */
    uint64_t body_size; /* so far */
    int status;         /* of HTTP_BAD: what to answer */
    const char *problem;
    char told[128]; /* a problem with numbers in it */
    size_t size;    /* of text */
    char text[HTTP_HEAD_MAX + 1];
};

void http_reader_init(struct http_reader *reader, uint64_t body_max);
/* Takes from the front of `*bytes`, never past the end of a request. HTTP_MORE: all are taken. */
enum http_event http_reader_read(struct http_reader *reader, weir_str *bytes, weir_str *piece);
/* Of a name in any case; NULL: none. Of several the first. */
const char *http_reader_header(const struct http_head *head, const char *name);
const char *http_reader_query(const struct http_head *head, const char *name);
/* Path and query again, escaped, as they stand in a URL. */
void http_reader_target(const struct http_head *head, weir_buffer *out);

#endif

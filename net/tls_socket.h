/* tls_socket.h -- TLS over a socket of base/os_socket.h, for those who poll it themselves: the data plane.
 *
 * Connections of net.h have TLS of their own, inside libevent. Here nothing is buffered but what OpenSSL holds of
 * a record, and nothing waits: a call that would block has a *done of 0 and no error, and says what to wait for.
 * The handshake happens inside the first calls.
 *
 * Errors: a peer that has closed or broke off is retriable; one that TLS refuses, or that refuses us, is not,
 * and the message has the reason.
 * Prefixes: tls_socket_
 * Thread: one at a time, the socket's. SIGPIPE must be ignored, as every net does (net_new). */
#ifndef WEIR_NET_TLS_SOCKET_H
#define WEIR_NET_TLS_SOCKET_H

#include "base/os_socket.h"
#include "net/tls.h"

#include <stdbool.h>

struct tls_socket; /* Thread: its owner */
/* The socket stays the caller's and outlives it, as `tls` does. `host`: what was dialled, with a client's
 * context; NULL with a server's. */
struct tls_socket *tls_socket_new(const struct tls *tls, struct os_socket *socket,
    const char *host);
void tls_socket_free(struct tls_socket *it); /* NULL is fine; says nothing to the peer */

/* *done 0: would block, until the socket is readable; or writable, if *wants_write. A write that would block is
 * repeated with the same bytes at the same place. `size` is not 0. */
weir_error *tls_socket_read(struct tls_socket *it, void *bytes, size_t size, size_t *done,
    bool *wants_write) WEIR_MUST_USE;
weir_error *tls_socket_write(struct tls_socket *it, const void *bytes, size_t size, size_t *done,
    bool *wants_write) WEIR_MUST_USE;

#endif

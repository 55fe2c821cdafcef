/* tls_socket.c -- see tls_socket.h. */
#include "net/tls_socket.h"

#include "base/assert.h"
#include "base/memory.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <errno.h>
#include <string.h>

struct tls_socket {
    SSL *session;
    struct os_socket *socket;
};

struct tls_socket *tls_socket_new(const struct tls *tls, struct os_socket *socket, const char *host)
{
    struct tls_socket *it = mem_alloc(sizeof(*it));
    it->session = tls_session_new(tls, host);
    it->socket = socket;
    ASSERT(SSL_set_fd(it->session, os_socket_fd(socket)) == 1);
    if (host != NULL)
        SSL_set_connect_state(it->session);
    else
        SSL_set_accept_state(it->session);
    return it;
}

void tls_socket_free(struct tls_socket *it)
{
    if (it == NULL)
        return;
    SSL_free(it->session);
    mem_free(it);
}

static weir_error *closed(const struct tls_socket *it)
{
    return weir_error_retriable(
        weir_errorf(WEIR_E_IO, "%s closed the connection", os_socket_address(it->socket)));
}

/* What a call that did not succeed means; NULL: it would block. */
static weir_error *judge(const struct tls_socket *it, bool *wants_write)
{
    int number = errno;
    unsigned long reason;
    switch (SSL_get_error(it->session, 0)) {
    case SSL_ERROR_WANT_READ:
        *wants_write = false;
        return NULL;
    case SSL_ERROR_WANT_WRITE:
        *wants_write = true;
        return NULL;
    case SSL_ERROR_ZERO_RETURN:
        return closed(it);
    case SSL_ERROR_SYSCALL:
        return weir_error_retriable(weir_errorf(WEIR_E_IO, "the connection with %s broke: %s",
            os_socket_address(it->socket), strerrordesc_np(number)));
    default:
        reason = ERR_peek_error();
        if (ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            return closed(it);
        return weir_errorf(WEIR_E_CONNECTOR,
            "TLS with %s failed: %s; check the certificates of both sides, and that both use TLS",
            os_socket_address(it->socket), tls_reason(reason, it->session));
    }
}

weir_error *tls_socket_read(struct tls_socket *it, void *bytes, size_t size, size_t *done,
    bool *wants_write)
{
    *done = 0;
    ERR_clear_error(); /* SSL_get_error looks at the thread's queue */
    if (SSL_read_ex(it->session, bytes, size, done) == 1)
        return NULL;
    return judge(it, wants_write);
}

weir_error *tls_socket_write(struct tls_socket *it, const void *bytes, size_t size, size_t *done,
    bool *wants_write)
{
    *done = 0;
    ERR_clear_error();
    if (SSL_write_ex(it->session, bytes, size, done) == 1)
        return NULL;
    return judge(it, wants_write);
}

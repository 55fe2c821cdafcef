/* wire_tls.c -- see wire_tls.h. */
#include "runtime/cluster/wire_tls.h"

#include "base/assert.h"
#include "net/tls_socket.h"

static weir_error *wrap(void *arg, struct os_socket *socket, const char *host, void **session)
{
    const struct wire_tls *it = arg;
    *session = tls_socket_new(host == NULL ? it->server : it->client, socket, host);
    return NULL;
}

static weir_error *read_from(void *session, void *bytes, size_t size, size_t *done,
    bool *wants_write)
{
    return tls_socket_read(session, bytes, size, done, wants_write);
}

static weir_error *write_to(void *session, const void *bytes, size_t size, size_t *done,
    bool *wants_write)
{
    return tls_socket_write(session, bytes, size, done, wants_write);
}

static void free_session(void *session)
{
    tls_socket_free(session);
}

weir_error *wire_tls_init(const struct tls_files *files, struct wire_tls *it)
{
    ASSERT(files->ca_file != NULL); /* a server without one would ask nobody who it is */
    *it = (struct wire_tls){ .server = NULL };
    weir_error *error = tls_server_new(files, &it->server);
    if (error == NULL)
        error = tls_client_new(files, &it->client);
    if (error != NULL) {
        wire_tls_release(it);
        return error;
    }
    it->crypto = (struct wire_crypto){ .arg = it,
        .wrap = wrap,
        .read = read_from,
        .write = write_to,
        .free = free_session };
    return NULL;
}

void wire_tls_release(struct wire_tls *it)
{
    tls_free(it->server);
    tls_free(it->client);
    *it = (struct wire_tls){ .server = NULL };
}

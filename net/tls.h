/* tls.h -- who may talk to whom: a TLS context from PEM files, one for all connections of a kind.
 *
 *      server   proves itself by cert_file and key_file; with a ca_file it asks every client for a certificate
 *               that this CA has signed (mutual TLS)
 *      client   takes a server whose certificate is signed by ca_file (none: one that the system trusts) and
 *               is made out for the host name or address that was dialled; shows cert_file if there is one
 *
 * TLS 1.2 and 1.3. Errors name the file and what to do about it (WEIR_E_USAGE). Files are read once: a new
 * certificate takes a new context, that is, a restart.
 * Thread: immutable after init; the connections that use it must end before tls_free. */
#ifndef WEIR_NET_TLS_H
#define WEIR_NET_TLS_H

#include <weir/error.h>

/* Paths of PEM files; NULL: none. cert_file may hold the chain, leaf first. A key has no pass phrase. */
struct tls_files {
    const char *cert_file, *key_file, *ca_file;
};

struct tls;
struct ssl_st; /* OpenSSL's SSL */

weir_error *tls_server_new(const struct tls_files *files, struct tls **tls) WEIR_MUST_USE;
weir_error *tls_client_new(const struct tls_files *files, struct tls **tls) WEIR_MUST_USE;
void tls_free(struct tls *tls); /* NULL is fine */
/* For one connection; whoever takes it frees it. `host`: of a client, what was dialled. */
struct ssl_st *tls_session_new(const struct tls *tls, const char *host);
/* What OpenSSL says of its error number, or of a certificate that `session` refused. */
const char *tls_reason(unsigned long error, const struct ssl_st *session);

#endif

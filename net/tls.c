/* tls.c -- see tls.h. */
#include "net/tls.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>

struct tls {
    SSL_CTX *context;
    bool is_server;
};

const char *tls_reason(unsigned long error, const struct ssl_st *session)
{
    long verdict = session == NULL ? X509_V_OK : SSL_get_verify_result(session);
    if (verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    const char *reason = ERR_reason_error_string(error);
    return reason == NULL ? "no reason is known" : reason;
}

/* An error about a file: the system's words if it cannot be read, OpenSSL's if it is not what it should be. */
static weir_error *file_error(const char *path, const char *what, const char *fix)
{
    unsigned long number = ERR_peek_error();
    const char *reason = tls_reason(number, NULL);
    struct os_stat stat;
    WEIR_TRY(os_stat(path, &stat));
    if (!stat.exists)
        reason = "there is no such file";
    weir_error *error =
        weir_errorf(WEIR_E_USAGE, "cannot use '%s' as %s: %s; %s", path, what, reason, fix);
    ERR_clear_error();
    return error;
}

static weir_error *load_identity(SSL_CTX *context, const struct tls_files *files)
{
    if (files->key_file == NULL)
        return weir_errorf(WEIR_E_USAGE,
            "the certificate '%s' has no private key with it: name its key file, too",
            files->cert_file);
    if (SSL_CTX_use_certificate_chain_file(context, files->cert_file) != 1)
        return file_error(files->cert_file, "a certificate",
            "it must be PEM, the own certificate first, then those that signed it");
    if (SSL_CTX_use_PrivateKey_file(context, files->key_file, SSL_FILETYPE_PEM) != 1)
        return file_error(files->key_file, "the private key",
            "it must be PEM, without a pass phrase, and belong to the certificate");
    if (SSL_CTX_check_private_key(context) != 1)
        return file_error(files->key_file, "the private key", "it belongs to another certificate");
    return os_check_private(files->key_file); /* OpenSSL takes one that all may read */
}

static weir_error *load_authority(SSL_CTX *context, const char *ca_file)
{
    if (ca_file == NULL) {
        ASSERT(SSL_CTX_set_default_verify_paths(context) == 1);
        return NULL;
    }
    if (SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1)
        return file_error(ca_file, "a certificate authority", "it must hold certificates as PEM");
    return NULL;
}

/* A pass phrase would be asked for on the terminal, for ever: none is given. */
static int no_pass_phrase(char *text, int size, int is_writing, void *arg)
{
    (void)text, (void)size, (void)is_writing, (void)arg;
    return 0;
}

static struct tls *make(bool is_server)
{
    SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    ASSERT(context != NULL && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    struct tls *tls = mem_alloc(sizeof(*tls));
    *tls = (struct tls){ .context = context, .is_server = is_server };
    return tls;
}

static weir_error *give(struct tls *made, weir_error *error, struct tls **tls)
{
    *tls = error == NULL ? made : NULL;
    if (error != NULL)
        tls_free(made);
    return error;
}

weir_error *tls_server_new(const struct tls_files *files, struct tls **tls)
{
    *tls = NULL;
    if (files->cert_file == NULL)
        return weir_errorf(WEIR_E_USAGE,
            "a TLS server needs a certificate: name its file and that of its key");
    struct tls *made = make(true);
    weir_error *error = load_identity(made->context, files);
    if (error == NULL && files->ca_file != NULL) {
        SSL_CTX_set_verify(made->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        error = load_authority(made->context, files->ca_file);
        STACK_OF(X509_NAME) *names = error == NULL ? SSL_load_client_CA_file(files->ca_file) : NULL;
        SSL_CTX_set_client_CA_list(made->context, names);
        /* Resumed sessions would need a context id; without them every connection is verified anew. */
        SSL_CTX_set_session_cache_mode(made->context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(made->context, SSL_OP_NO_TICKET);
    }
    return give(made, error, tls);
}

weir_error *tls_client_new(const struct tls_files *files, struct tls **tls)
{
    struct tls *made = make(false);
    SSL_CTX_set_verify(made->context, SSL_VERIFY_PEER, NULL);
    weir_error *error = load_authority(made->context, files->ca_file);
    if (error == NULL && files->cert_file != NULL)
        error = load_identity(made->context, files);
    return give(made, error, tls);
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    mem_free(tls);
}

static bool is_address(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

struct ssl_st *tls_session_new(const struct tls *tls, const char *host)
{
    SSL *session = SSL_new(tls->context);
    ASSERT(session != NULL);
    if (tls->is_server)
        return session;
    ASSERT(host != NULL);
    X509_VERIFY_PARAM *parameters = SSL_get0_param(session);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address(host)) {
        ASSERT(X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1);
    } else {
        ASSERT(X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1);
        char *name = mem_strdup(host); /* the macro takes constness away */
        ASSERT(SSL_set_tlsext_host_name(session, name) == 1);
        mem_free(name);
    }
    return session;
}

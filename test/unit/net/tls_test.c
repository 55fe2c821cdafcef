/* tls_test.c -- who is let in over TLS and who is not, with certificates made for the test. */
#include "net/tls.h"

#include "test/support/certificates.h"
#include "test/support/temp_dir.h"
#include "test/unit/net/net_kit.h"

#include <sys/stat.h>

static char *dir;

static int make_certificates(void **state)
{
    dir = temp_dir_new();
    certificates_make(dir);
    return 0;
}

static int remove_certificates(void **state)
{
    temp_dir_free(dir);
    return 0;
}

static const char *file(const char *name)
{
    return name == NULL ? NULL : temp_dir_path(dir, "%s", name);
}

static struct tls_files files_of(const char *cert, const char *key, const char *ca)
{
    return (
        struct tls_files){ .cert_file = file(cert), .key_file = file(key), .ca_file = file(ca) };
}

/* One server and one client; NULL certificate: none. What each of them hears at the end. */
struct trial {
    const char *cert, *key, *server_ca;        /* of the server; NULL cert: plain */
    const char *client_cert, *client_key, *ca; /* of the client; NULL ca: plain */
    const char *host;
    const char *client_error, *server_error; /* NULL: an echo comes back */
};

static struct tls *make(bool is_server, const char *cert, const char *key, const char *ca)
{
    struct tls *tls;
    struct tls_files files = files_of(cert, key, ca);
    expect_ok(is_server ? tls_server_new(&files, &tls) : tls_client_new(&files, &tls));
    return tls;
}

static void run(const struct trial *trial)
{
    struct net *net = net_new();
    struct tls *server_tls =
        trial->cert == NULL ? NULL : make(true, trial->cert, trial->key, trial->server_ca);
    struct tls *client_tls =
        trial->ca == NULL ? NULL : make(false, trial->client_cert, trial->client_key, trial->ca);
    struct end client = { 0 }, server = { .echoes = true };
    struct acceptor acceptor = { .ends = &server, .count_max = 1 };
    struct listener *listener = listen_here(net, &acceptor, server_tls, 0);
    dial(net, &client, listener, trial->host, client_tls);
    char *payload = mem_alloc(50000);
    connection_send(client.it, 1, (weir_str){ .data = payload, .size = 50000 });
    if (trial->client_error == NULL) {
        wait_until(net, client.frame_count == 1);
        assert_int_equal(client.bytes, 50000);
        assert_int_equal(client.opened_count, 1);
        connection_close_flushed(client.it);
        wait_until(net, server.closed_count == 1);
        expect_error(server.why, WEIR_E_IO, "closed the connection");
    } else {
        wait_until(net, client.closed_count == 1 && server.closed_count == 1);
        expect_error(client.why, weir_error_code(client.why), trial->client_error);
        expect_error(server.why, weir_error_code(server.why), trial->server_error);
        assert_int_equal(server.frame_count, 0);
    }
    mem_free(payload);
    net_free(net);
    tls_free(server_tls);
    tls_free(client_tls);
}

static void those_who_can_prove_who_they_are_talk(void **state)
{
    static const struct trial trials[] = {
        { "server.pem", "server.key", NULL, NULL, NULL, "ca.pem", "127.0.0.1", NULL, NULL },
        { "server.pem", "server.key", NULL, NULL, NULL, "ca.pem", "localhost", NULL, NULL },
        { "server.pem", "server.key", "ca.pem", "client.pem", "client.key", "ca.pem", "localhost",
            NULL, NULL },
    };
    for (size_t i = 0; i < COUNT_OF(trials); i++)
        run(&trials[i]);
}

static void those_who_cannot_are_refused_with_the_reason(void **state)
{
    static const struct trial trials[] = {
        { "server.pem", "server.key", NULL, NULL, NULL, "other-ca.pem", "localhost",
            "unable to get local issuer certificate", "unknown ca" },
        { "elsewhere.pem", "elsewhere.key", NULL, NULL, NULL, "ca.pem", "localhost",
            "ostname mismatch", "TLS with" },
        { "elsewhere.pem", "elsewhere.key", NULL, NULL, NULL, "ca.pem", "127.0.0.1",
            "IP address mismatch", "TLS with" },
        { "server.pem", "server.key", "ca.pem", NULL, NULL, "ca.pem", "localhost",
            "certificate required", "peer did not return a certificate" },
        { "server.pem", "server.key", "other-ca.pem", "client.pem", "client.key", "ca.pem",
            "localhost", "unknown ca", "self-signed certificate in certificate chain" },
    };
    for (size_t i = 0; i < COUNT_OF(trials); i++)
        run(&trials[i]);
}

static void plain_and_tls_do_not_mix(void **state)
{
    static const struct trial trials[] = {
        { "server.pem", "server.key", NULL, NULL, NULL, NULL, "localhost", "",
            "wrong version number" },
        { NULL, NULL, NULL, NULL, NULL, "ca.pem", "localhost", "closed the connection",
            "both sides use TLS or neither" },
    };
    for (size_t i = 0; i < COUNT_OF(trials); i++)
        run(&trials[i]);
}

static void a_refused_connection_is_no_matter_of_certificates(void **state)
{
    struct net *net = net_new();
    struct tls *tls = make(false, NULL, NULL, "ca.pem");
    struct end client = { 0 };
    struct acceptor acceptor = { .count_max = 0 };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    uint16_t port = listener_port(listener);
    listener_free(listener);
    client.it = net_connect(net, "127.0.0.1", port, tls, &end_handler, &client);
    wait_until(net, client.closed_count == 1);
    assert_true(weir_error_is_retriable(client.why));
    expect_error(client.why, WEIR_E_IO, "refused");
    net_free(net);
    tls_free(tls);
}

static void files_that_do_not_fit_are_named(void **state)
{
    static const struct {
        bool is_server;
        const char *cert, *key, *ca, *text;
    } rows[] = {
        { true, NULL, NULL, NULL, "a TLS server needs a certificate" },
        { true, "server.pem", NULL, NULL, "server.pem' has no private key" },
        { true, "none.pem", "server.key", NULL,
            "none.pem' as a certificate: there is no such file" },
        { true, "server.key", "server.key", NULL, "server.key' as a certificate: no start line" },
        { true, "server.pem", "server.pem", NULL, "server.pem' as the private key" },
        { true, "server.pem", "client.key", NULL, "client.key' as the private key" },
        { true, "server.pem", "server.key", "server.key",
            "server.key' as a certificate authority" },
        { false, NULL, NULL, "none.pem", "none.pem' as a certificate authority" },
        { false, "client.pem", "server.key", "ca.pem", "server.key' as the private key" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls *tls;
        struct tls_files files = files_of(rows[i].cert, rows[i].key, rows[i].ca);
        expect_error(rows[i].is_server ? tls_server_new(&files, &tls)
                                       : tls_client_new(&files, &tls),
            WEIR_E_USAGE, rows[i].text);
        assert_null(tls);
    }
}

static void a_key_that_others_may_read_is_no_secret(void **state)
{
    struct tls *tls;
    struct tls_files files = files_of("server.pem", "server.key", "ca.pem");
    assert_int_equal(chmod(files.key_file, 0604), 0);
    expect_error(tls_server_new(&files, &tls), WEIR_E_USAGE,
        "server.key' is secret, but not its owner's alone (mode 0604): chmod 600");
    assert_null(tls);
    expect_error(tls_client_new(&files, &tls), WEIR_E_USAGE, "(mode 0604): chmod 600");
    assert_int_equal(chmod(files.key_file, 0600), 0);
    expect_ok(tls_server_new(&files, &tls));
    tls_free(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_can_prove_who_they_are_talk),
        cmocka_unit_test(those_who_cannot_are_refused_with_the_reason),
        cmocka_unit_test(plain_and_tls_do_not_mix),
        cmocka_unit_test(a_refused_connection_is_no_matter_of_certificates),
        cmocka_unit_test(files_that_do_not_fit_are_named),
        cmocka_unit_test(a_key_that_others_may_read_is_no_secret),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}

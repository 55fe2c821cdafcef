/* tls_socket_test.c -- two ends over the loopback, turned by the test: handshake, records, and who is refused. */
#include "net/tls_socket.h"

#include "base/memory.h"
#include "net/net.h"
#include "test/support/certificates.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#define TURNS_MAX 1000000u

static char *dir;

static int make_certificates(void **state)
{
    dir = temp_dir_new();
    certificates_make(dir);
    net_free(net_new()); /* ignores SIGPIPE, as in every process that has a network */
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

/* Two sockets of one connection. */
struct pair {
    struct os_socket *listener, *sockets[2]; /* of the client, of the server */
    struct tls *tls[2];
    struct tls_socket *ends[2];
};

static void pair_init(struct pair *pair, const char *cert, const char *key, const char *host)
{
    *pair = (struct pair){ .listener = NULL };
    struct tls_files client = { .cert_file = file(cert),
        .key_file = file(key),
        .ca_file = file("ca.pem") },
                     server = { .cert_file = file("server.pem"),
                         .key_file = file("server.key"),
                         .ca_file = file("ca.pem") };
    expect_ok(tls_client_new(&client, &pair->tls[0]));
    expect_ok(tls_server_new(&server, &pair->tls[1]));
    expect_ok(os_socket_listen("127.0.0.1", 0, &pair->listener));
    expect_ok(os_socket_connect("127.0.0.1", os_socket_port(pair->listener), &pair->sockets[0]));
    for (uint32_t i = 0; i < TURNS_MAX && pair->sockets[1] == NULL; i++)
        expect_ok(os_socket_accept(pair->listener, &pair->sockets[1]));
    assert_non_null(pair->sockets[1]);
    pair->ends[0] = tls_socket_new(pair->tls[0], pair->sockets[0], host);
    pair->ends[1] = tls_socket_new(pair->tls[1], pair->sockets[1], NULL);
}

static void pair_release(struct pair *pair)
{
    for (uint32_t i = 0; i < 2; i++) {
        tls_socket_free(pair->ends[i]);
        os_socket_close(pair->sockets[i]);
        tls_free(pair->tls[i]);
    }
    os_socket_close(pair->listener);
}

/* The other side reads all that one side writes. At an error of either side *who says whose it is. */
static weir_error *carry(struct pair *pair, uint32_t from, const char *bytes, size_t size,
    uint32_t *who)
{
    char *got = mem_alloc(size);
    size_t sent = 0, came = 0, done;
    bool wants_write;
    weir_error *error = NULL;
    for (uint32_t i = 0; i < TURNS_MAX && came < size && error == NULL; i++) {
        *who = from;
        if (sent < size)
            error =
                tls_socket_write(pair->ends[from], bytes + sent, size - sent, &done, &wants_write);
        sent += error == NULL && sent < size ? done : 0;
        if (error != NULL)
            break;
        *who = 1 - from;
        error = tls_socket_read(pair->ends[1 - from], got + came, size - came, &done, &wants_write);
        came += error == NULL ? done : 0;
    }
    if (error == NULL) {
        assert_int_equal(came, size);
        assert_memory_equal(got, bytes, size);
    }
    mem_free(got);
    return error;
}

static void bytes_go_both_ways_whole_however_little_fits(void **state)
{
    struct pair pair;
    uint32_t who;
    size_t size = (size_t)8 << 20; /* more than the system's buffers hold */
    char *bytes = mem_alloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    pair_init(&pair, "server.pem", "server.key", "127.0.0.1");
    expect_ok(carry(&pair, 0, bytes, size, &who));
    expect_ok(carry(&pair, 1, bytes, size, &who));
    expect_ok(carry(&pair, 0, bytes, 1, &who));
    mem_free(bytes);
    pair_release(&pair);
}

static void nothing_to_read_is_no_error(void **state)
{
    struct pair pair;
    uint32_t who;
    char byte = 'x';
    size_t done = 7;
    bool wants_write = true;
    pair_init(&pair, "server.pem", "server.key", "localhost");
    expect_ok(carry(&pair, 0, &byte, 1, &who));
    expect_ok(tls_socket_read(pair.ends[1], &byte, 1, &done, &wants_write));
    assert_int_equal(done, 0);
    assert_false(wants_write);
    pair_release(&pair);
}

static void a_client_without_a_certificate_is_refused_by_the_server(void **state)
{
    struct pair pair;
    uint32_t who;
    pair_init(&pair, NULL, NULL, "localhost");
    weir_error *error = carry(&pair, 0, "x", 1, &who);
    assert_false(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_CONNECTOR, "peer did not return a certificate");
    assert_int_equal(who, 1);
    pair_release(&pair);
}

static void a_server_of_another_name_is_refused_by_the_client(void **state)
{
    struct pair pair;
    uint32_t who;
    pair_init(&pair, "server.pem", "server.key", "elsewhere.example");
    expect_error(carry(&pair, 0, "x", 1, &who), WEIR_E_CONNECTOR, "ostname mismatch");
    assert_int_equal(who, 0);
    pair_release(&pair);
}

static void a_peer_that_is_gone_is_told_and_may_come_back(void **state)
{
    struct pair pair;
    uint32_t who;
    char byte = 'x';
    size_t done;
    bool wants_write;
    weir_error *error = NULL;
    pair_init(&pair, "server.pem", "server.key", "localhost");
    expect_ok(carry(&pair, 0, &byte, 1, &who));
    tls_socket_free(pair.ends[1]);
    os_socket_close(pair.sockets[1]);
    pair.ends[1] = NULL;
    pair.sockets[1] = NULL;
    for (uint32_t i = 0; i < TURNS_MAX && error == NULL; i++) /* writing first: no SIGPIPE either */
        error = tls_socket_write(pair.ends[0], &byte, 1, &done, &wants_write);
    assert_true(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_IO, "127.0.0.1");
    pair_release(&pair);
}

static void who_does_not_speak_tls_is_told_so(void **state)
{
    struct pair pair;
    char bytes[64] = "GET / HTTP/1.1\r\n\r\n";
    size_t done = 0;
    bool wants_write;
    weir_error *error = NULL;
    pair_init(&pair, "server.pem", "server.key", "localhost");
    for (uint32_t i = 0; i < TURNS_MAX && done == 0; i++)
        expect_ok(os_socket_writev(pair.sockets[0],
            &(struct iovec){ .iov_base = bytes, .iov_len = strlen(bytes) }, 1, &done));
    for (uint32_t i = 0; i < TURNS_MAX && error == NULL; i++)
        error = tls_socket_read(pair.ends[1], bytes, sizeof(bytes), &done, &wants_write);
    expect_error(error, WEIR_E_CONNECTOR, "both use TLS");
    pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_whole_however_little_fits),
        cmocka_unit_test(nothing_to_read_is_no_error),
        cmocka_unit_test(a_client_without_a_certificate_is_refused_by_the_server),
        cmocka_unit_test(a_server_of_another_name_is_refused_by_the_client),
        cmocka_unit_test(a_peer_that_is_gone_is_told_and_may_come_back),
        cmocka_unit_test(who_does_not_speak_tls_is_told_so),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}

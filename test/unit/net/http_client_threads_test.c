/* http_client_threads_test.c -- the client against the server of this folder, each on its own thread, plain and over
 * TLS; and against those who do not answer. */
#include "net/http_client.h"

#include "net/http_server.h"
#include "test/support/certificates.h"
#include "test/support/temp_dir.h"
#include "test/unit/net/net_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOB_SIZE 5000000

static char *dir;

/* A server on a thread of its own. */
struct site {
    pthread_t thread;
    struct net *net;
    struct http_server *server;
    _Atomic bool is_over;
};

static void handle(void *arg, struct http_request *request)
{
    const char *path = http_path(request), *type = http_header(request, "Content-Type");
    if (strcmp(path, "/blob") == 0) {
        http_reply_file(request, "application/octet-stream", temp_dir_path(dir, "blob"));
    } else if (strcmp(path, "/moved") == 0) {
        http_add_header(request, "Location", "/blob");
        http_reply_error(request, 307, "over \"there\"");
    } else if (http_body_file(request) != NULL) {
        expect_ok(os_rename(http_body_file(request), temp_dir_path(dir, "uploaded")));
        http_reply(request, 201, NULL, WEIR_STR("stored"));
    } else {
        char *text = mem_printf("%d %s %s %.*s", http_method(request), path,
            type == NULL ? "-" : type, (int)http_body(request).size, http_body(request).data);
        http_reply(request, 200, "text/plain", weir_str_of(text));
        mem_free(text);
    }
}

static void *serve(void *arg)
{
    struct site *site = arg;
    while (!atomic_load(&site->is_over))
        net_wait(site->net, -1);
    return NULL;
}

static void open_site(struct site *site, const struct tls *tls, const char *token)
{
    *site = (struct site){ .net = net_new() };
    struct http_server_options options = { .host = "127.0.0.1",
        .tls = tls,
        .token = token,
        .body_dir = dir,
        .handler = handle };
    expect_ok(http_server_new(site->net, &options, &site->server));
    assert_int_equal(pthread_create(&site->thread, NULL, serve, site), 0);
}

static void close_site(struct site *site)
{
    atomic_store(&site->is_over, true);
    waker_wake(net_waker(site->net));
    assert_int_equal(pthread_join(site->thread, NULL), 0);
    http_server_free(site->server);
    net_free(site->net);
}

static const char *url_of(const struct site *site, const char *scheme, const char *path)
{
    return temp_dir_path(scheme, "/localhost:%u%s", http_server_port(site->server), path);
}

static void expect_answer(const struct http_call *call, int status, const char *text)
{
    struct http_answer answer;
    expect_ok(http_client_call(call, &answer));
    assert_int_equal(answer.status, status);
    assert_string_equal(answer.bytes, text);
    assert_int_equal(answer.size, strlen(text));
    http_client_release(&answer);
}

static void every_method_is_asked_with_and_without_a_body(void **state)
{
    static const struct {
        enum http_method method;
        const char *body, *answer;
    } rows[] = { { HTTP_GET, "", "0 /a - " }, { HTTP_GET, "{}", "0 /a text/json {}" },
        { HTTP_PUT, "b", "1 /a text/json b" }, { HTTP_POST, "", "2 /a - " },
        { HTTP_POST, "c", "2 /a text/json c" }, { HTTP_PATCH, "{}", "3 /a text/json {}" },
        { HTTP_DELETE, "", "4 /a - " } };
    struct site site;
    open_site(&site, NULL, NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_call call = { .method = rows[i].method,
            .url = url_of(&site, "http:/", "/a?b=c"),
            .content_type = rows[i].body[0] == '\0' ? NULL : "text/json",
            .body = weir_str_of(rows[i].body) };
        expect_answer(&call, 200, rows[i].answer);
    }
    struct http_call call = { .url = url_of(&site, "http:/", "/moved") };
    expect_answer(&call, 307, "{\"errors\":[\"over \\\"there\\\"\"]}"); /* not followed */
    call = (struct http_call){ .wants_head = true, .url = url_of(&site, "http:/", "/a") };
    expect_answer(&call, 200, "");
    close_site(&site);
}

static void files_go_up_and_come_down(void **state)
{
    struct site site;
    open_site(&site, NULL, NULL);
    char *blob = mem_alloc(BLOB_SIZE), *got;
    size_t size;
    for (size_t i = 0; i < BLOB_SIZE; i++)
        blob[i] = (char)(i * 31 >> 3);
    temp_dir_write(temp_dir_path(dir, "blob"), blob, BLOB_SIZE);
    struct http_call call = { .method = HTTP_PUT,
        .url = url_of(&site, "http:/", "/upload"),
        .body_file = temp_dir_path(dir, "blob") };
    expect_answer(&call, 201, "stored");
    call = (struct http_call){ .url = url_of(&site, "http:/", "/blob"),
        .answer_file = temp_dir_path(dir, "downloaded") };
    expect_answer(&call, 200, "");
    static const char *const names[] = { "uploaded", "downloaded" };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        expect_ok(os_read_file(temp_dir_path(dir, "%s", names[i]), BLOB_SIZE, &got, &size));
        assert_int_equal(size, BLOB_SIZE);
        assert_memory_equal(got, blob, BLOB_SIZE);
        mem_free(got);
    }
    /* What is no success is not the file that was asked for, and too much is too much. */
    struct http_answer answer;
    struct os_stat stat;
    call.url = url_of(&site, "http:/", "/moved");
    call.answer_file = temp_dir_path(dir, "moved");
    expect_answer(&call, 307, "{\"errors\":[\"over \\\"there\\\"\"]}");
    expect_ok(os_stat(call.answer_file, &stat));
    assert_false(stat.exists);
    call = (struct http_call){ .url = url_of(&site, "http:/", "/blob"), .answer_max = 1000 };
    expect_error(http_client_call(&call, &answer), WEIR_E_LIMIT,
        "/blob is longer than is taken here");
    call = (struct http_call){ .method = HTTP_PUT,
        .url = url_of(&site, "http:/", "/a"),
        .body_file = temp_dir_path(dir, "none") };
    expect_error(http_client_call(&call, &answer), WEIR_E_IO, "none");
    mem_free(blob);
    close_site(&site);
}

static void a_token_opens_the_door(void **state)
{
    struct site site;
    open_site(&site, NULL, "secret");
    struct http_call call = { .url = url_of(&site, "http:/", "/a"), .token = "secret" };
    expect_answer(&call, 200, "0 /a - ");
    struct http_answer answer;
    call.token = NULL;
    expect_ok(http_client_call(&call, &answer));
    assert_int_equal(answer.status, 401);
    http_client_release(&answer);
    /* Refused before it was sent: the answer is there all the same. */
    call = (struct http_call){ .method = HTTP_PUT,
        .url = url_of(&site, "http:/", "/upload"),
        .body_file = temp_dir_path(dir, "blob") };
    expect_ok(http_client_call(&call, &answer));
    assert_int_equal(answer.status, 401);
    http_client_release(&answer);
    close_site(&site);
}

static void over_tls_both_sides_prove_who_they_are(void **state)
{
    certificates_make(dir);
    struct tls *tls;
    struct tls_files files = { .cert_file = temp_dir_path(dir, "server.pem"),
        .key_file = temp_dir_path(dir, "server.key"),
        .ca_file = temp_dir_path(dir, "ca.pem") };
    expect_ok(tls_server_new(&files, &tls));
    struct site site;
    open_site(&site, tls, NULL);
    struct http_answer answer;
    struct http_call call = { .url = url_of(&site, "https:/", "/a"),
        .tls = { .cert_file = temp_dir_path(dir, "client.pem"),
            .key_file = temp_dir_path(dir, "client.key"),
            .ca_file = temp_dir_path(dir, "ca.pem") } };
    expect_answer(&call, 200, "0 /a - ");
    call.url = url_of(&site, "https:/", "/blob");
    call.answer_file = temp_dir_path(dir, "downloaded-too");
    expect_answer(&call, 200, "");
    call.answer_file = NULL;
    call.tls.ca_file = temp_dir_path(dir, "other-ca.pem");
    expect_error(http_client_call(&call, &answer), WEIR_E_CONNECTOR,
        "its certificate is not trusted");
    call.tls.ca_file = temp_dir_path(dir, "none.pem");
    expect_error(http_client_call(&call, &answer), WEIR_E_USAGE, "the CA file cannot be used");
    call.tls = (struct tls_files){ .ca_file = temp_dir_path(dir, "ca.pem") };
    weir_error *error = http_client_call(&call, &answer);
    assert_non_null(error); /* in TLS 1.3 the server's refusal comes after the client's handshake */
    weir_error_free(error);
    call.url = url_of(&site, "http:/", "/a");
    error = http_client_call(&call, &answer);
    assert_non_null(error);
    weir_error_free(error);
    close_site(&site);
    tls_free(tls);
}

static void who_does_not_answer_is_an_error_in_plain_words(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    struct http_answer answer;
    struct http_call call = { .url = temp_dir_path("http:/", "/127.0.0.1:%u/a",
                                  ntohs(address.sin_port)) };
    weir_error *error = http_client_call(&call, &answer); /* bound, nobody listens */
    assert_true(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_CONNECTOR, "/a: refused or unreachable");
    assert_int_equal(listen(fd, 1), 0); /* and now nobody answers */
    call.timeout_ms = 50;
    error = http_client_call(&call, &answer);
    assert_true(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_TIMEOUT, "/a: no answer in time (Operation timed out after");
    close(fd);
    call.url = "ftp://127.0.0.1/a";
    expect_error(http_client_call(&call, &answer), WEIR_E_USAGE, "only http and https");
    call.url = "http://";
    expect_error(http_client_call(&call, &answer), WEIR_E_USAGE, "that is no URL");
}

static int make_dir(void **state)
{
    dir = temp_dir_new();
    return 0;
}

static int remove_dir(void **state)
{
    temp_dir_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_asked_with_and_without_a_body),
        cmocka_unit_test(files_go_up_and_come_down),
        cmocka_unit_test(a_token_opens_the_door),
        cmocka_unit_test(over_tls_both_sides_prove_who_they_are),
        cmocka_unit_test(who_does_not_answer_is_an_error_in_plain_words),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

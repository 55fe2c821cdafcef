/* rest_http_test.c -- the interface behind a real server: what Flink's command line sends, an executable, the page. */
#include "web/rest_http.h"

#include "net/http_server.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"
#include "test/unit/web/blob_double.h"
#define DOUBLE_WITH_NET
#include "test/unit/web/dispatcher_double.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE_SIZE ((size_t)2 << 20)

struct rig {
    struct net *net;
    struct http_server *server;
    struct client client;
    struct blob_store *blobs;
    char *dir;
};

static int begin(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig->dir = temp_dir_new();
    rig->net = net_new();
    rig->blobs = double_blobs(temp_dir_path(rig->dir, "blobs"));
    rig->client = client_new(&(struct rest_options){ .blobs = rig->blobs });
    struct http_server_options options = { .host = "127.0.0.1",
        .handler = rest_http_handle,
        .arg = rig->client.rest,
        .body_dir = rig->dir };
    expect_ok(http_server_new(rig->net, &options, &rig->server));
    *state = rig;
    return 0;
}

static int end(void **state)
{
    struct rig *rig = *state;
    http_server_free(rig->server);
    net_free(rig->net);
    client_free(&rig->client);
    blob_store_close(rig->blobs);
    temp_dir_free(rig->dir);
    free(rig);
    return 0;
}

static int dial(const struct rig *rig)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
        .sin_port = htons(http_server_port(rig->server)),
        .sin_addr = { htonl(INADDR_LOOPBACK) } };
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* The whole answer of a server that closes after it; free it. */
static char *ask(struct rig *rig, const char *head, weir_str body)
{
    size_t size = 0, sent = 0, capacity = LARGE_SIZE + 4096;
    char *answer = calloc(1, capacity), *request = mem_alloc(strlen(head) + body.size + 1);
    size_t request_size = strlen(head) + body.size;
    memcpy(request, head, strlen(head));
    memcpy(request + strlen(head), body.data, body.size);
    int fd = dial(rig);
    for (ssize_t got = 1; got != 0;) {
        if (sent < request_size) {
            ssize_t put =
                send(fd, request + sent, request_size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += put > 0 ? (size_t)put : 0;
        }
        net_wait(rig->net, 10);
        got = recv(fd, answer + size, capacity - 1 - size, MSG_DONTWAIT);
        assert_true(got >= 0 || errno == EAGAIN);
        size += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    mem_free(request);
    return answer;
}

static void expect(struct rig *rig, const char *head, weir_str body, const char *line,
    const char *text)
{
    char *answer = ask(rig, head, body);
    if (strncmp(answer, line, strlen(line)) != 0 || strstr(answer, text) == NULL)
        print_error("%s\n", answer);
    assert_memory_equal(answer, line, strlen(line));
    assert_non_null(strstr(answer, text));
    free(answer);
}

#define HEAD(line_, size_) \
    line_ " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " size_ \
          "\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"

static void the_command_line_is_answered(void **state)
{
    struct rig *rig = *state;
    expect(rig, HEAD("GET /v1/jobs/overview", "2"), WEIR_STR("{}"), "HTTP/1.1 200",
        "{\"jobs\":[{\"jid\":\"" RUNNING_JOB "\"");
    expect(rig, HEAD("PATCH /v1/jobs/" RUNNING_JOB "?mode=cancel", "2"), WEIR_STR("{}"),
        "HTTP/1.1 202", "\r\n\r\n{}");
    assert_string_equal(rig->client.dispatcher->asked, "cancel " RUNNING_JOB);
    expect(rig, HEAD("GET /v1/jobs/" RUNNING_JOB "/metrics?get=numRestarts%2Cx", "2"),
        WEIR_STR("{}"), "HTTP/1.1 200", "[{\"id\":\"numRestarts\",\"value\":\"1\"}]");
    expect(rig, HEAD("GET /v1/nowhere", "0"), WEIR_STR(""), "HTTP/1.1 404",
        "{\"errors\":[\"Not found: /v1/nowhere\"]}");
    expect(rig, HEAD("GET /jobs/%00", "0"), WEIR_STR(""), "HTTP/1.1 400", "errors");
}

static void the_page_is_sent(void **state)
{
    expect(*state, HEAD("GET /", "0"), WEIR_STR(""), "HTTP/1.1 200", "<title>Weir</title>");
}

static void a_browsers_foreign_page_is_refused(void **state)
{
    struct rig *rig = *state;
    expect(rig,
        "POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nSec-Fetch-Site: "
        "cross-site\r\n"
        "Content-Length: 2\r\n\r\n",
        WEIR_STR("{}"), "HTTP/1.1 403", "origin");
    assert_string_equal(rig->client.dispatcher->asked, "");
}

static void a_large_executable_goes_in_and_comes_out(void **state)
{
    struct rig *rig = *state;
    char *bytes = malloc(LARGE_SIZE);
    memset(bytes, 'x', LARGE_SIZE);
    char put[512], get[512];
    const char *digest = double_digest_of(bytes, LARGE_SIZE);
    snprintf(put, sizeof(put), HEAD("PUT /v1/blobs/%s", "2097152"), digest);
    snprintf(get, sizeof(get), HEAD("GET /v1/blobs/%s", "0"), digest);
    expect(rig, put, (weir_str){ .data = bytes, .size = LARGE_SIZE }, "HTTP/1.1 201", "{}");
    char *answer = ask(rig, get, WEIR_STR(""));
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(strlen(body + 4), LARGE_SIZE);
    assert_memory_equal(body + 4, bytes, LARGE_SIZE);
    free(answer);
    free(bytes);
}

static void redirect(void *arg, struct http_request *request)
{
    rest_http_redirect(request, arg);
}

static void a_standby_says_who_leads_and_where_the_same_thing_is(void **state)
{
    static const struct {
        const char *target, *location;
    } rows[] = { { "/", "http://leader:8081/\r\n" },
        { "/v1/jobs/abc/savepoints/1", "http://leader:8081/v1/jobs/abc/savepoints/1\r\n" },
        { "/a%0d%0aX:%20b/%25?c=d%26e&f=%C3%BC",
            "http://leader:8081/a%0D%0AX%3A%20b/%25?c=d%26e&f=%C3%BC\r\n" } };
    struct rig *rig = *state;
    static char leader[] = "http://leader:8081";
    struct http_server_options options = { .host = "127.0.0.1",
        .handler = redirect,
        .arg = leader };
    http_server_free(rig->server);
    expect_ok(http_server_new(rig->net, &options, &rig->server));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *head = mem_printf(
            "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
            rows[i].target);
        char *answer = ask(rig, head, WEIR_STR("{}"));
        assert_non_null(strstr(answer, "HTTP/1.1 307 "));
        assert_non_null(strstr(answer, rows[i].location));
        assert_non_null(strstr(answer,
            "{\"errors\":[\"This job manager is a standby: http://leader:8081 leads"));
        free(answer);
        mem_free(head);
    }
    options.arg = NULL;
    http_server_free(rig->server);
    expect_ok(http_server_new(rig->net, &options, &rig->server));
    char *answer = ask(rig, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", WEIR_STR(""));
    assert_non_null(strstr(answer, "HTTP/1.1 503 "));
    free(answer);
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_command_line_is_answered),
        TEST(the_page_is_sent),
        TEST(a_browsers_foreign_page_is_refused),
        TEST(a_large_executable_goes_in_and_comes_out),
        TEST(a_standby_says_who_leads_and_where_the_same_thing_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

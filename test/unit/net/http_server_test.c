/* http_server_test.c -- what goes over the wire: answers now and later, who is refused, who is too slow. */
#include "net/http_server.h"

#include "test/support/stranger.h"
#include "test/support/temp_dir.h"
#include "test/unit/net/net_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server whose handler answers by the path. */
struct rig {
    struct net *net;
    struct http_server *server;
    struct http_request *kept; /* /later */
    uint32_t handled_count;
    char *dir;
    char body_path[200]; /* of the last large body */
};

static void handle(void *arg, struct http_request *request)
{
    struct rig *rig = arg;
    const char *path = http_path(request);
    rig->handled_count++;
    if (strcmp(path, "/later") == 0) {
        rig->kept = request;
    } else if (strcmp(path, "/file") == 0) {
        http_reply_file(request, "application/octet-stream", temp_dir_path(rig->dir, "blob"));
    } else if (strcmp(path, "/none") == 0) {
        http_reply_file(request, "text/plain", temp_dir_path(rig->dir, "none"));
    } else if (strcmp(path, "/size") == 0) {
        struct os_stat stat = { .size = http_body(request).size };
        const char *file = http_body_file(request);
        snprintf(rig->body_path, sizeof(rig->body_path), "%s", file == NULL ? "" : file);
        if (file != NULL)
            expect_ok(os_stat(file, &stat));
        char *text =
            mem_printf("%s %llu", file == NULL ? "memory" : "file", (unsigned long long)stat.size);
        http_reply(request, 200, "text/plain", weir_str_of(text));
        mem_free(text);
    } else {
        http_add_header(request, "X-Method", (char[]){ (char)('0' + http_method(request)), 0 });
        http_add_header(request, "X-Bad", "a\r\nX-Injected: b");
        http_reply(request, 202, "text/plain", http_body(request));
    }
}

static void open_rig(struct rig *rig, struct http_server_options options)
{
    *rig = (struct rig){ .net = net_new(), .dir = temp_dir_new() };
    options.host = "127.0.0.1";
    options.handler = handle;
    options.arg = rig;
    options.body_dir = rig->dir;
    expect_ok(http_server_new(rig->net, &options, &rig->server));
}

static void close_rig(struct rig *rig)
{
    http_server_free(rig->server);
    net_free(rig->net);
    temp_dir_free(rig->dir);
}

static int dial_raw(const struct rig *rig)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
        .sin_port = htons(http_server_port(rig->server)),
        .sin_addr = { htonl(INADDR_LOOPBACK) } };
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Sends everything, letting the server read meanwhile; what was not taken is dropped when it has closed. */
/* Until the server has taken all of it, or has closed: one turn takes what is ready, not more. */
static void say(struct rig *rig, int fd, weir_str bytes)
{
    while (bytes.size > 0) {
        ssize_t count = send(fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN)
            return;
        if (count > 0) {
            bytes.data += count;
            bytes.size -= (uint64_t)count;
        }
        net_wait(rig->net, 0);
    }
    for (int i = 0, waiting = 1; i < 1000; i++) {
        assert_int_equal(ioctl(fd, SIOCOUTQ, &waiting), 0);
        net_wait(rig->net, waiting > 0 ? 1 : 0);
    }
}

/* What comes until `end` has come or the server closes. */
static const char *hear(struct rig *rig, int fd, const char *end)
{
    static char text[64 << 10];
    size_t size = 0;
    text[0] = '\0';
    while (end == NULL || strstr(text, end) == NULL) {
        ssize_t count = recv(fd, text + size, sizeof(text) - 1 - size, MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EAGAIN))
            break;
        size += count > 0 ? (size_t)count : 0;
        text[size] = '\0';
        net_wait(rig->net, 1);
    }
    return text;
}

static void expect_reply(struct rig *rig, int fd, const char *request, const char *begin,
    const char *end)
{
    say(rig, fd, weir_str_of(request));
    const char *reply = hear(rig, fd, end);
    if (strncmp(reply, begin, strlen(begin)) != 0 || strstr(reply, end) == NULL)
        print_error("%s\n-> %s\n", request, reply);
    assert_memory_equal(reply, begin, strlen(begin));
    assert_non_null(strstr(reply, end));
}

static void one_connection_serves_request_after_request(void **state)
{
    struct rig rig;
    open_rig(&rig, (struct http_server_options){ .port = 0 });
    int fd = dial_raw(&rig);
    expect_reply(&rig, fd, "GET /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nX-Method: 0\r\n"
        "Connection: keep-alive\r\n\r\n",
        "{}");
    expect_reply(&rig, fd,
        "PATCH /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 202", "X-Method: 3\r\nConnection: keep-alive\r\n\r\nabc");
    expect_reply(&rig, fd, "HEAD /b HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 202",
        "Content-Length: 2\r\nX-Method: 0\r\nConnection: keep-alive\r\n\r\n");
    expect_reply(&rig, fd, "GET /none HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n",
        "{\"errors\":[\"there is no such file\"]}");
    /* Two at once: one answer after the other. */
    expect_reply(&rig, fd,
        "GET /a HTTP/1.1\r\n\r\nDELETE /b HTTP/1.1\r\nContent-Length: 4\r\nConnection: "
        "close\r\n\r\nlast",
        "HTTP/1.1 202", "X-Method: 4\r\nConnection: close\r\n\r\nlast");
    assert_string_equal(hear(&rig, fd, NULL), "");
    assert_int_equal(rig.handled_count, 6);
    close(fd);
    close_rig(&rig);
}

static void an_answer_may_come_later_or_too_late(void **state)
{
    struct rig rig;
    open_rig(&rig, (struct http_server_options){ .port = 0 });
    int fd = dial_raw(&rig);
    say(&rig, fd, WEIR_STR("GET /later HTTP/1.1\r\nConnection: close\r\n\r\n"));
    wait_until(rig.net, rig.kept != NULL);
    http_reply(rig.kept, 200, "text/plain", WEIR_STR("at last"));
    assert_non_null(strstr(hear(&rig, fd, NULL), "\r\n\r\nat last"));
    close(fd);
    /* One that has nothing more to say still listens. */
    for (int i = 0; i < 2; i++) {
        rig.kept = NULL;
        fd = dial_raw(&rig);
        say(&rig, fd,
            i == 0 ? WEIR_STR("GET /a HTTP/1.1\r\n\r\n") : WEIR_STR("GET /later HTTP/1.1\r\n\r\n"));
        shutdown(fd, SHUT_WR);
        if (i == 1) {
            wait_until(rig.net, rig.kept != NULL);
            net_wait(rig.net, 10);
            http_reply(rig.kept, 202, "text/plain", WEIR_STR("later"));
        }
        assert_memory_equal(hear(&rig, fd, NULL), "HTTP/1.1 202", 12);
        close(fd);
    }
    /* The client has gone; and then the server. */
    struct http_request *kept[2];
    for (int i = 0; i < 2; i++) {
        rig.kept = NULL;
        fd = dial_raw(&rig);
        say(&rig, fd, WEIR_STR("POST /later HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"));
        wait_until(rig.net, rig.kept != NULL);
        kept[i] = rig.kept;
        close(fd);
        net_wait(rig.net, 10);
    }
    http_reply(kept[0], 200, "text/plain", WEIR_STR("to nobody"));
    http_server_free(rig.server);
    rig.server = NULL;
    assert_string_equal(http_path(kept[1]), "/later");
    assert_int_equal(http_body(kept[1]).size, 3);
    http_reply_file(kept[1], "text/plain", rig.dir);
    close_rig(&rig);
}

static void nobody_is_let_in_without_the_token(void **state)
{
    static const char *const refused[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: Bearer secreT\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: Bearer secret2\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: Bearer \r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: Basic secret\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: secret\r\n\r\n",
        /* before its body has come */
        "PUT /size HTTP/1.1\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
    };
    struct rig rig;
    open_rig(&rig, (struct http_server_options){ .token = "secret" });
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        int fd = dial_raw(&rig);
        expect_reply(&rig, fd, refused[i], "HTTP/1.1 401 Unauthorized\r\n",
            "{\"errors\":[\"the token");
        close(fd);
    }
    assert_int_equal(rig.handled_count, 0);
    int fd = dial_raw(&rig);
    expect_reply(&rig, fd, "GET / HTTP/1.1\r\nauthorization: bearer secret\r\n\r\n", "HTTP/1.1 202",
        "\r\n\r\n");
    close(fd);
    close_rig(&rig);
}

static void a_large_body_of_another_user_is_refused_before_it_comes(void **state)
{
    static const char *const large[] = {
        "PUT /size HTTP/1.1\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n",
        "PUT /size HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    struct rig rig;
    stranger_or_skip();
    open_rig(&rig, (struct http_server_options){ .asks_user = true });
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        stranger_begin();
        int fd = dial_raw(&rig);
        stranger_end();
        expect_reply(&rig, fd, large[i], "HTTP/1.1 403 Forbidden\r\n",
            "one end of the connection belongs to user 65534, the other one to user 0: "
            "do it as the user of the cluster, or give it a 'security.token-file'\"]}");
        close(fd);
    }
    assert_int_equal(rig.handled_count, 0);
    stranger_begin();
    int fd = dial_raw(&rig);
    stranger_end();
    expect_reply(&rig, fd, "PUT /size HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 200",
        "memory 2"); /* a handler's to judge */
    close(fd);
    fd = dial_raw(&rig);
    expect_reply(&rig, fd, large[0], "HTTP/1.1 100 Continue\r\n", "\r\n\r\n");
    close(fd);
    close_rig(&rig);
}

static void what_is_no_request_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *request, *begin, *end;
    } refused[] = {
        { "WRF\1\2\3\4\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "METHOD TARGET HTTP/1.1\"]}" },
        { "BREW / HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "PATCH, DELETE\"]}" },
        { "PUT / HTTP/1.1\r\nContent-Length: 2000001\r\n\r\n", "HTTP/1.1 413 Content Too Large\r\n",
            "the body has 2000001 bytes, but this server takes 2000000 at most: ask the "
            "owner\"]}" },
        { "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1e8481\r\n",
            "HTTP/1.1 413 Content Too Large\r\n",
            "more than the 2000000 bytes that this server takes: ask the owner\"]}" },
    };
    struct rig rig;
    open_rig(&rig,
        (struct http_server_options){ .body_max = 2000000, .body_max_fix = "ask the owner" });
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        int fd = dial_raw(&rig);
        expect_reply(&rig, fd, refused[i].request, refused[i].begin, refused[i].end);
        assert_string_equal(hear(&rig, fd, NULL), ""); /* and closed */
        close(fd);
    }
    /* The answer reaches one who goes on sending. */
    int fd = dial_raw(&rig);
    char *body = mem_alloc(3000000);
    say(&rig, fd, WEIR_STR("PUT / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n"));
    say(&rig, fd, (weir_str){ .data = body, .size = 3000000 });
    assert_memory_equal(hear(&rig, fd, "]}"), "HTTP/1.1 413", 12);
    mem_free(body);
    close(fd);
    assert_int_equal(rig.handled_count, 0);
    close_rig(&rig);
}

static void a_large_body_goes_to_a_file_that_goes_with_the_request(void **state)
{
    static const struct {
        size_t size;
        const char *answer;
    } bodies[] = { { 1000, "\r\n\r\nmemory 1000" }, { 1 << 20, "\r\n\r\nmemory 1048576" },
        { (1 << 20) + 1, "\r\n\r\nfile 1048577" }, { 30000000, "\r\n\r\nfile 30000000" } };
    struct rig rig;
    struct os_stat stat;
    open_rig(&rig, (struct http_server_options){ .port = 0 });
    int fd = dial_raw(&rig);
    char *body = mem_alloc(30000000);
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        char *head =
            mem_printf("PUT /size HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", bodies[i].size);
        say(&rig, fd, weir_str_of(head));
        say(&rig, fd, (weir_str){ .data = body, .size = bodies[i].size });
        hear(&rig, fd, bodies[i].answer);
        mem_free(head);
        if (rig.body_path[0] != '\0') {
            expect_ok(os_stat(rig.body_path, &stat));
            assert_false(stat.exists);
        }
    }
    /* A client that goes away in the middle of a body leaves no file. */
    say(&rig, fd, WEIR_STR("PUT /size HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n"));
    say(&rig, fd, (weir_str){ .data = body, .size = 3000000 });
    close(fd);
    char **names;
    uint32_t count = 1;
    while (count > 0) {
        net_wait(rig.net, -1);
        expect_ok(os_list(rig.dir, &names, &count));
        os_names_free(names, count);
    }
    mem_free(body);
    close_rig(&rig);
}

static void a_file_is_sent_whole(void **state)
{
    enum { SIZE = 3000000 };
    struct rig rig;
    open_rig(&rig, (struct http_server_options){ .port = 0 });
    char *blob = mem_alloc(SIZE), *got = mem_alloc(SIZE + 1000);
    for (size_t i = 0; i < SIZE; i++)
        blob[i] = (char)(i * 31 >> 3);
    temp_dir_write(temp_dir_path(rig.dir, "blob"), blob, SIZE);
    int fd = dial_raw(&rig);
    say(&rig, fd, WEIR_STR("GET /file HTTP/1.1\r\nConnection: close\r\n\r\n"));
    size_t size = 0;
    for (ssize_t count = -1; count != 0; net_wait(rig.net, 1)) {
        count = recv(fd, got + size, SIZE + 1000 - size, MSG_DONTWAIT);
        size += count > 0 ? (size_t)count : 0;
    }
    char *body = strstr(got, "\r\n\r\n") + 4;
    assert_non_null(strstr(got, "Content-Length: 3000000\r\n"));
    assert_int_equal(size - (size_t)(body - got), SIZE);
    assert_memory_equal(body, blob, SIZE);
    mem_free(blob);
    mem_free(got);
    close(fd);
    close_rig(&rig);
}

static void one_connection_too_many_takes_the_place_of_the_one_without_a_request(void **state)
{
    struct rig rig;
    open_rig(&rig, (struct http_server_options){ .connections_max = 3 });
    int idle = dial_raw(&rig), half = dial_raw(&rig), body = dial_raw(&rig);
    say(&rig, body, WEIR_STR("PUT /size HTTP/1.1\r\nContent-Length: 2\r\n\r\nx"));
    say(&rig, half, WEIR_STR("GET / HTT"));
    int first = dial_raw(&rig), second = dial_raw(&rig);
    assert_string_equal(hear(&rig, idle, NULL), ""); /* the oldest two that have not asked */
    assert_string_equal(hear(&rig, half, NULL), "");
    expect_reply(&rig, body, "x", "HTTP/1.1 2", "\r\n\r\n");
    expect_reply(&rig, first, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 202", "\r\n\r\n");
    expect_reply(&rig, second, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 202", "\r\n\r\n");
    int fds[] = { idle, half, body, first, second };
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        close(fds[i]);
    close_rig(&rig);
}

static void one_connection_too_many_is_closed_when_all_have_requests(void **state)
{
    struct rig rig;
    open_rig(&rig, (struct http_server_options){ .connections_max = 2 });
    int fds[3];
    for (int i = 0; i < 2; i++) {
        fds[i] = dial_raw(&rig);
        say(&rig, fds[i], WEIR_STR("PUT /size HTTP/1.1\r\nContent-Length: 2\r\n\r\nx"));
    }
    fds[2] = dial_raw(&rig);
    assert_string_equal(hear(&rig, fds[2], NULL), "");
    for (int i = 0; i < 2; i++)
        expect_reply(&rig, fds[i], "x", "HTTP/1.1 2", "\r\n\r\n");
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close_rig(&rig);
}

static void who_is_too_slow_is_cut_off(void **state)
{
    struct rig rig;
    open_rig(&rig, (struct http_server_options){ .timeout_ms = 200000 });
    char *body = mem_alloc(1 << 20);
    int head = dial_raw(&rig), slow = dial_raw(&rig), steady = dial_raw(&rig),
        waiting = dial_raw(&rig);
    say(&rig, head, WEIR_STR("GET / HTT"));
    say(&rig, slow, WEIR_STR("PUT /size HTTP/1.1\r\nContent-Length: 2097153\r\n\r\n"));
    say(&rig, steady, WEIR_STR("PUT /size HTTP/1.1\r\nContent-Length: 2097153\r\n\r\n"));
    say(&rig, waiting, WEIR_STR("GET /later HTTP/1.1\r\n\r\n"));
    wait_until(rig.net, rig.kept != NULL);
    net_wait(rig.net, 0);
    for (int i = 0; i < 2; i++) {
        clock_push(150000);
        say(&rig, head, WEIR_STR("P"));
        say(&rig, slow, WEIR_STR("x"));
        say(&rig, steady, (weir_str){ .data = body, .size = 1 << 20 });
    }
    assert_string_equal(hear(&rig, head, NULL), "");
    assert_string_equal(hear(&rig, slow, NULL), "");
    expect_reply(&rig, steady, "x", "HTTP/1.1 200", "file 2097153");
    http_reply(rig.kept, 200, "text/plain", WEIR_STR("a server may take its time"));
    assert_non_null(strstr(hear(&rig, waiting, "its time"), "its time"));
    assert_int_equal(rig.handled_count, 2);
    close(head), close(slow), close(steady), close(waiting);
    mem_free(body);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_serves_request_after_request),
        cmocka_unit_test(an_answer_may_come_later_or_too_late),
        cmocka_unit_test(nobody_is_let_in_without_the_token),
        cmocka_unit_test(a_large_body_of_another_user_is_refused_before_it_comes),
        cmocka_unit_test(what_is_no_request_is_refused_with_the_reason),
        cmocka_unit_test(a_large_body_goes_to_a_file_that_goes_with_the_request),
        cmocka_unit_test(a_file_is_sent_whole),
        cmocka_unit_test(one_connection_too_many_takes_the_place_of_the_one_without_a_request),
        cmocka_unit_test(one_connection_too_many_is_closed_when_all_have_requests),
        cmocka_unit_test_teardown(who_is_too_slow_is_cut_off, clock_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

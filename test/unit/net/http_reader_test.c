/* http_reader_test.c -- requests in every cut, and what is refused, with which status. */
#include "net/http_reader.h"

#include "test/support/expect.h"

#include <stdio.h>

/* All events of some bytes as text: "GET /path +5 . " for a head, pieces and an end, "!400" for a bad one. */
static const char *read_all(weir_str wire, size_t cut, uint64_t body_max)
{
    static const char *const names[] = { "GET", "PUT", "POST", "PATCH", "DELETE" };
    static char text[4096];
    static struct http_reader reader;
    size_t at = 0, body = 0;
    text[0] = '\0';
    http_reader_init(&reader, body_max);
    for (uint64_t from = 0; from < wire.size; from += cut) {
        weir_str bytes = { .data = wire.data + from,
            .size = cut < wire.size - from ? cut : wire.size - from };
        enum http_event event;
        weir_str piece;
        while ((event = http_reader_read(&reader, &bytes, &piece)) != HTTP_MORE) {
            if (event == HTTP_BAD) {
                snprintf(text + at, sizeof(text) - at, "!%d", reader.status);
                assert_non_null(reader.problem);
                return text;
            }
            if (event == HTTP_HEAD)
                at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %s ",
                    reader.head.is_head ? "HEAD=" : "", names[reader.head.method],
                    reader.head.path);
            else if (event == HTTP_BODY)
                body += piece.size;
            else
                at += (size_t)snprintf(text + at, sizeof(text) - at, "+%zu%s. ", body,
                    reader.head.is_keep_alive ? "" : " close");
            body = event == HTTP_END ? 0 : body;
        }
        assert_int_equal(bytes.size, 0);
    }
    return text;
}

static const struct {
    const char *wire, *events;
} rows[] = {
    { "GET / HTTP/1.1\r\n\r\n", "GET / +0. " },
    { "\r\nGET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n",
        "GET /a +0. HEAD=GET /b +0. " },
    { "PATCH /jobs/1?mode=cancel HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "PATCH /jobs/1 +2. " },
    { "GET /jobs HTTP/1.1\r\ncontent-length:2 \r\n\r\n{}GET /x HTTP/1.0\r\n\r\n",
        "GET /jobs +2. GET /x +0 close. " },
    { "PUT /a%20b%2fc HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "PUT /a b/c +0. " },
    { "DELETE http://host:80/x HTTP/1.1\r\nConnection: close\r\n\r\n", "DELETE /x +0 close. " },
    { "POST /c HTTP/1.1\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n"
      "Trailer: t\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
        "POST /c +13. GET /d +0. " },
    { "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST /c +0. " },
    /* refused */
    { "GET /\r\n\r\n", "!400" },
    { "GET / HTTP/2.0\r\n\r\n", "!505" },
    { "BREW / HTTP/1.1\r\n\r\n", "!405" },
    { "get / HTTP/1.1\r\n\r\n", "!405" },
    { "GET relative HTTP/1.1\r\n\r\n", "!400" },
    { "GET http://host HTTP/1.1\r\n\r\n", "!400" },
    { "GET /%0 HTTP/1.1\r\n\r\n", "!400" },
    { "GET /%00 HTTP/1.1\r\n\r\n", "!400" },
    { "GET /?a=%zz HTTP/1.1\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nno colon\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nContent-Length : 2\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "!501" },
    { "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n", "!400" },
    { "GET / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", "!413" },
    { "GET /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", "GET /c !413" },
    { "GET /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", "GET /c !413" },
    { "GET /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "GET /c !400" },
    { "GET /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "GET /c !400" },
    { "GET /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "GET /c !400" },
    { "GET /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\n", "GET /c !400" },
    { "GET /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "GET /c !400" },
};

static void requests_are_read_however_they_are_cut(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        weir_str wire = weir_str_of(rows[i].wire);
        for (size_t cut = 1; cut <= wire.size; cut++) {
            const char *events = read_all(wire, cut, 100);
            if (strcmp(events, rows[i].events) != 0)
                print_error("row %zu, cut %zu: %s\n", i, cut, rows[i].wire);
            assert_string_equal(events, rows[i].events);
        }
    }
}

static void parameters_and_headers_are_found(void **state)
{
    static struct http_reader reader;
    weir_str bytes = WEIR_STR("GET /x?a=1&b=c%26d+e&flag&=&a=2 HTTP/1.1\r\nHost:  weir \r\n"
                              "X-Empty:\r\n\r\n"),
             piece;
    http_reader_init(&reader, 0);
    assert_int_equal(http_reader_read(&reader, &bytes, &piece), HTTP_HEAD);
    assert_string_equal(http_reader_query(&reader.head, "a"), "1");
    assert_string_equal(http_reader_query(&reader.head, "b"), "c&d e");
    assert_string_equal(http_reader_query(&reader.head, "flag"), "");
    assert_null(http_reader_query(&reader.head, "none"));
    assert_string_equal(http_reader_header(&reader.head, "host"), "weir");
    assert_string_equal(http_reader_header(&reader.head, "x-empty"), "");
    assert_null(http_reader_header(&reader.head, "none"));
    assert_int_equal(http_reader_read(&reader, &bytes, &piece), HTTP_END);
}

static void a_head_without_an_end_is_refused(void **state)
{
    static char wire[HTTP_HEAD_MAX + 100];
    memset(wire, 'a', sizeof(wire));
    memcpy(wire, "GET / HTTP/1.1\r\n", 16);
    assert_string_equal(read_all((weir_str){ .data = wire, .size = sizeof(wire) }, 1000, 0),
        "!431");
    size_t at = 16;
    for (int i = 0; i < 65; i++)
        at += (size_t)snprintf(wire + at, sizeof(wire) - at, "A: b\r\n");
    memcpy(wire + at, "\r\n", 2);
    assert_string_equal(read_all((weir_str){ .data = wire, .size = at + 2 }, 1000, 0), "!431");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read_however_they_are_cut),
        cmocka_unit_test(parameters_and_headers_are_found),
        cmocka_unit_test(a_head_without_an_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

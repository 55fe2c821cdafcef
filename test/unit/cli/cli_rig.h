/* cli_rig.h -- a REST server of rows on a thread of its own, and a call of the command against it.
 *
 *      expect "METHOD path?query body" in this order, answer with a status and a text
 *
 * A row that is asked for out of order, or one more, is answered 599, and its request is what `rig_requests` shows: the
 * test compares the whole conversation. */
#ifndef WEIR_TEST_CLI_RIG_H
#define WEIR_TEST_CLI_RIG_H

#include "cli/verb.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "net/http_server.h"
#include "test/support/temp_dir.h"
#include "web/rest_http.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test/support/expect.h"

#define JOB   "0123456789abcdef0123456789abcdef"
#define OTHER "0123ffffffffffffffffffffffffffff"
#define ASKED "11112222333344445555666677778888"

struct reply {
    const char *request; /* what must be asked */
    int status;          /* 0: never answered */
    const char *text;
};

struct rig {
    pthread_t thread;
    struct net *net;
    struct http_server *server;
    _Atomic bool is_over;
    const struct reply *replies; /* the last one has no request */
    uint32_t at, repeated; /* that row is answered until the next one is asked for; 0: none is */
    weir_buffer *requests; /* "\n" behind each; of the thread until rig_requests */
    struct http_request *kept;
    const char *leader; /* it is a standby, and that one leads; NULL: it is not */
    char *dir;
    char out[1 << 16], error[1 << 14]; /* of the last call */
};

static void rig_handle(void *arg, struct http_request *request)
{
    static const char *const methods[] = { "GET", "PUT", "POST", "PATCH", "DELETE" };
    static const char *const queries[] = { "mode", "parallelism", "maxExceptions", "offset" };
    struct rig *rig = arg;
    char line[8192];
    if (rig->leader != NULL) {
        rest_http_redirect(request, rig->leader);
        return;
    }
    int size =
        snprintf(line, sizeof(line), "%s %s", methods[http_method(request)], http_path(request));
    for (size_t i = 0; i < COUNT_OF(queries); i++)
        if (http_query(request, queries[i]) != NULL)
            size += snprintf(line + size, sizeof(line) - (size_t)size, "?%s=%s", queries[i],
                http_query(request, queries[i]));
    weir_str body = http_body(request);
    snprintf(line + size, sizeof(line) - (size_t)size, "%s%.*s", body.size > 0 ? " " : "",
        (int)body.size, body.data);
    buffer_printf(rig->requests, "%s\n", line);
    const struct reply *reply = &rig->replies[rig->at];
    bool repeats = rig->repeated != 0 && rig->at == rig->repeated;
    if (repeats && strcmp(reply->request, line) != 0) {
        reply = &rig->replies[++rig->at];
        repeats = false;
    }
    if (reply->request == NULL || strcmp(reply->request, line) != 0) {
        http_reply(request, 599, "text/plain", WEIR_STR("not in the rows"));
        return;
    }
    rig->at += !repeats;
    if (reply->status == 0)
        rig->kept = request;
    else
        http_reply(request, reply->status, "application/json; charset=UTF-8",
            weir_str_of(reply->text));
}

static void *rig_serve(void *arg)
{
    struct rig *rig = arg;
    while (!atomic_load(&rig->is_over))
        net_wait(rig->net, -1);
    return NULL;
}

/* What a rig's thread does; a test may put another one there. */
static void *(*rig_thread)(void *arg) = rig_serve;

/* Of a rig's server; NULL: plain. */
static const struct tls *rig_tls;

static inline struct rig *rig_open(const struct reply *replies, const char *token)
{
    struct rig *rig = mem_alloc(sizeof(*rig));
    rig->net = net_new();
    rig->replies = replies;
    rig->requests = weir_buffer_new(1 << 20);
    rig->dir = temp_dir_new();
    struct http_server_options options = { .host = "127.0.0.1",
        .token = token,
        .tls = rig_tls,
        .body_dir = rig->dir,
        .handler = rig_handle,
        .arg = rig };
    expect_ok(http_server_new(rig->net, &options, &rig->server));
    assert_int_equal(pthread_create(&rig->thread, NULL, rig_thread, rig), 0);
    return rig;
}

/* Ends the server: from here on nobody listens, and its memory is the caller's. */
static inline void rig_end_server(struct rig *rig)
{
    if (rig->server == NULL)
        return;
    atomic_store(&rig->is_over, true);
    waker_wake(net_waker(rig->net));
    assert_int_equal(pthread_join(rig->thread, NULL), 0);
    if (rig->kept != NULL)
        http_reply(rig->kept, 200, NULL, WEIR_STR("{}"));
    http_server_free(rig->server);
    net_free(rig->net);
    rig->server = NULL;
}

static inline void rig_close(struct rig *rig)
{
    rig_end_server(rig);
    weir_buffer_free(rig->requests);
    temp_dir_free(rig->dir);
    mem_free(rig);
}

/* Every row was asked for, and nothing else. */
static inline void rig_close_complete(struct rig *rig)
{
    rig_end_server(rig);
    uint32_t count = 0;
    while (rig->replies[count].request != NULL)
        count++;
    uint32_t asked = 0;
    for (const char *at = buffer_text(rig->requests); *at != '\0'; at++)
        asked += *at == '\n';
    if (rig->at != count || asked != count)
        print_error("asked:\n%s%s\n", buffer_text(rig->requests), rig->error);
    assert_int_equal(rig->at, count);
    assert_int_equal(asked, count);
    rig_close(rig);
}

static inline int rig_divert(int descriptor, const char *path)
{
    int kept = dup(descriptor), file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(kept >= 0 && file >= 0);
    assert_int_equal(dup2(file, descriptor), descriptor);
    close(file);
    return kept;
}

static inline void rig_undivert(int descriptor, int kept, const char *path, char *text, size_t size)
{
    assert_int_equal(dup2(kept, descriptor), descriptor);
    close(kept);
    char *bytes;
    size_t got;
    expect_ok(os_read_file(path, size - 1, &bytes, &got));
    memcpy(text, bytes, got + 1);
    mem_free(bytes);
}

/* The command as a shell would call it; words are separated by one space. Returns its exit status. */
static inline int rig_call(struct rig *rig, const char *line)
{
    char *words = mem_printf("weir %s", line), *argv[64];
    int argc = 0;
    for (char *at = words; at != NULL && argc < 63;) {
        argv[argc++] = at;
        at = strchr(at, ' ');
        if (at != NULL)
            *at++ = '\0';
    }
    argv[argc] = NULL;
    char *out = mem_printf("%s/out", rig->dir), *error = mem_printf("%s/error", rig->dir);
    int kept_out = rig_divert(STDOUT_FILENO, out), kept_error = rig_divert(STDERR_FILENO, error);
    int status = cli_main(argc, argv);
    rig_undivert(STDERR_FILENO, kept_error, error, rig->error, sizeof(rig->error));
    rig_undivert(STDOUT_FILENO, kept_out, out, rig->out, sizeof(rig->out));
    mem_free(error);
    mem_free(out);
    mem_free(words);
    return status;
}

/* The same against the rig's server: -m goes behind the verb. */
static inline int rig_ask(struct rig *rig, const char *verb, const char *rest)
{
    char *line = mem_printf("%s -m 127.0.0.1:%u%s%s", verb, http_server_port(rig->server),
        rest[0] == '\0' ? "" : " ", rest);
    int status = rig_call(rig, line);
    mem_free(line);
    return status;
}

/* A whole conversation: what is typed, what is asked, what is printed. */
static inline void expect_talk(const char *verb, const char *rest, const struct reply *replies,
    int status, const char *out, const char *error)
{
    struct rig *rig = rig_open(replies, NULL);
    int got = rig_ask(rig, verb, rest);
    if (got != status || strcmp(rig->out, out) != 0 || strstr(rig->error, error) == NULL)
        print_error("weir %s %s: %d\n%s%s", verb, rest, got, rig->out, rig->error);
    assert_int_equal(got, status);
    assert_string_equal(rig->out, out);
    assert_non_null(strstr(rig->error, error));
    if (error[0] == '\0')
        assert_string_equal(rig->error, "");
    rig_close_complete(rig);
}

#endif

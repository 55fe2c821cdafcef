/* http_server.c -- see http_server.h. Prefixes: http_
 *
 *      READING --whole--> HANDLING --reply--> WRITING --sent--> READING
 *         \__refused___________________________/   \--last one--> lingers (net_linger), closed
 *
 * A connection and its request point at each other until one of them ends. The request takes the reader along,
 * which holds its strings: the connection gets a new one for the next request only when this one is replied to. */
#include "net/http_server.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os_peer.h"
#include "net/net_event.h"
#include "net/token.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <strings.h>

#define PROGRESS_SIZE  ((uint64_t)1 << 20) /* within each time-out */
#define SEND_SIZE      ((size_t)256 << 10) /* of a file at a time */
#define PIPELINE_MAX   ((size_t)64 << 10)  /* read ahead while a request is handled */
#define ADDED_SIZE_MAX ((size_t)8 << 10)   /* of headers that a handler adds */

enum stage { READING, HANDLING, WRITING, LEAVING };

/* Thread: the net's. */
struct http_server {
    struct net *net;
    struct port port;
    struct http_server_options options;
    char *token, *body_dir;
    uint32_t count;
    LIST_HEAD(, client) clients;
};

/* A connection. Thread: the net's. */
struct client {
    LIST_ENTRY(client) link;
    struct http_server *server;
    struct bufferevent *stream;
    char *name;
    enum stage stage;
    struct deadline deadline;
    uint64_t progress;            /* bytes since the deadline was set */
    size_t queued;                /* then */
    struct http_request *request; /* that is read or handled */
    bool is_keep_alive, is_pumping;
    bool has_head;        /* of the request that is read */
    struct os_file *file; /* being sent */
    uint64_t file_at, file_size;
};

/* Thread: the net's. */
struct http_request {
    struct client *client; /* NULL: it has gone */
    char *name;
    weir_buffer *body;    /* NULL: none has come yet */
    struct os_file *file; /* where a large body goes */
    char *file_path;
    weir_buffer *added; /* headers of the reply */
    struct http_reader reader;
};

/* -- requests -------------------------------------------------------------------------------------- */

static struct http_request *new_request(struct client *client)
{
    struct http_request *request = mem_alloc(sizeof(*request));
    request->client = client;
    request->name = mem_strdup(client->name);
    http_reader_init(&request->reader, client->server->options.body_max);
    return request;
}

static void close_body_file(struct http_request *request)
{
    os_close(request->file);
    request->file = NULL;
}

static void free_request(struct http_request *request)
{
    close_body_file(request);
    if (request->file_path != NULL)
        weir_error_free(os_remove(request->file_path)); /* a handler may have taken it */
    weir_buffer_free(request->body);
    weir_buffer_free(request->added);
    mem_free(request->file_path);
    mem_free(request->name);
    mem_free(request);
}

enum http_method http_method(const struct http_request *request)
{
    return request->reader.head.method;
}

const char *http_path(const struct http_request *request)
{
    return request->reader.head.path;
}

const char *http_query(const struct http_request *request, const char *name)
{
    return http_reader_query(&request->reader.head, name);
}

const char *http_header(const struct http_request *request, const char *name)
{
    return http_reader_header(&request->reader.head, name);
}

void http_target(const struct http_request *request, weir_buffer *out)
{
    http_reader_target(&request->reader.head, out);
}

weir_str http_body(const struct http_request *request)
{
    if (request->body == NULL || request->file_path != NULL)
        return WEIR_STR("");
    return weir_buffer_view(request->body);
}

const char *http_body_file(const struct http_request *request)
{
    return request->file_path;
}

const char *http_client(const struct http_request *request)
{
    return request->name;
}

weir_error *http_check_user(const struct http_request *request)
{
    weir_error *error = request->client == NULL
                            ? weir_errorf(WEIR_E_USAGE, "the other end is gone")
                            : os_peer_check(bufferevent_getfd(request->client->stream));
    if (error == NULL)
        return NULL;
    weir_error *refusal = weir_errorf(WEIR_E_USAGE,
        "without a token only the user of the cluster and root may do that, and %s: "
        "do it as the user of the cluster, or give it a 'security.token-file'",
        weir_error_message(error));
    weir_error_free(error);
    return refusal;
}

/* -- the end of a connection ------------------------------------------------------------------------ */

/* Gives its stream away; the caller closes it, or lets it linger. */
static struct bufferevent *forget(struct client *client)
{
    struct http_server *server = client->server;
    struct bufferevent *stream = client->stream;
    deadline_clear(server->net, &client->deadline);
    LIST_REMOVE(client, link);
    server->count--;
    os_close(client->file);
    if (client->request != NULL && client->stage == HANDLING)
        client->request->client = NULL;
    else if (client->request != NULL)
        free_request(client->request);
    client->request = NULL;
    client->stage = LEAVING;
    mem_free(client->name);
    net_free_later(server->net, mem_free, client);
    return stream;
}

static void cut_off(void *arg)
{
    struct client *client = arg;
    struct net *net = client->server->net;
    net_stream_free(net, forget(client));
}

static void leave(struct client *client)
{
    struct net *net = client->server->net;
    net_linger(net, forget(client));
}

static size_t queued(const struct client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->stream));
}

static void set_deadline(struct client *client);

static void judge_slow(void *arg)
{
    struct client *client = arg;
    if (client->stage == WRITING && client->queued >= queued(client) + PROGRESS_SIZE)
        set_deadline(client);
    else
        cut_off(client);
}

static void set_deadline(struct client *client)
{
    client->progress = 0;
    client->queued = queued(client);
    deadline_set(client->server->net, &client->deadline, client->server->options.timeout_ms,
        judge_slow, client);
}

static void count_progress(struct client *client, uint64_t size)
{
    client->progress += size;
    if (client->progress >= PROGRESS_SIZE)
        set_deadline(client);
}

/* -- answers ------------------------------------------------------------------------------------------ */

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = { { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
        { 307, "Temporary Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
        { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
        { 409, "Conflict" }, { 413, "Content Too Large" },
        { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 503, "Service Unavailable" },
        { 505, "HTTP Version Not Supported" }, { 507, "Insufficient Storage" } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].status == status)
            return rows[i].reason;
    return "Status";
}

static void next_request(struct client *client);
static void pump(struct client *client);

/* Everything of the answer is queued; may it be sent, and may another request follow? */
static void send_more(struct client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->stream);
    if (client->stage != WRITING || evbuffer_get_length(output) > 0)
        return;
    if (client->file_at < client->file_size) {
        char *bytes = mem_alloc(SEND_SIZE);
        size_t got = 0;
        weir_error *error = os_read_at(client->file, client->file_at, bytes, SEND_SIZE, &got);
        if (error == NULL && got == 0)
            error = weir_errorf(WEIR_E_IO, "a file became shorter while it was sent");
        got = got > client->file_size - client->file_at ? client->file_size - client->file_at : got;
        if (error == NULL && evbuffer_add(output, bytes, got) != 0)
            error = weir_errorf(WEIR_E_MEMORY, "no memory to send a file");
        mem_free(bytes);
        client->file_at += got;
        count_progress(client, got);
        if (error == NULL)
            return;
        log_warn("net", "answer to %s cut off: %s", client->name, weir_error_message(error));
        weir_error_free(error);
        cut_off(client); /* the client sees fewer bytes than were promised */
    } else if (client->is_keep_alive) {
        next_request(client);
    } else {
        leave(client);
    }
}

static void add_head(struct client *client, const struct http_request *request, int status,
    const char *content_type, uint64_t size)
{
    struct evbuffer *output = bufferevent_get_output(client->stream);
    evbuffer_add_printf(output, "HTTP/1.1 %d %s\r\n", status, reason_of(status));
    if (content_type != NULL)
        evbuffer_add_printf(output, "Content-Type: %s\r\n", content_type);
    if (status != 204)
        evbuffer_add_printf(output, "Content-Length: %llu\r\n", (unsigned long long)size);
    if (status == 401)
        evbuffer_add_printf(output, "WWW-Authenticate: Bearer\r\n");
    if (request->added != NULL && !weir_buffer_overflowed(request->added)) {
        weir_str added = weir_buffer_view(request->added);
        evbuffer_add(output, added.data, added.size);
    }
    evbuffer_add_printf(output, "Connection: %s\r\n\r\n",
        client->is_keep_alive ? "keep-alive" : "close");
}

/* Begins the answer; the request is over, but its client is not. */
static void answer(struct client *client, int status, const char *content_type, weir_str bytes,
    uint64_t file_size)
{
    struct http_request *request = client->request;
    bool wants_body = !request->reader.head.is_head && status != 204;
    add_head(client, request, status, content_type, bytes.size + file_size);
    client->request = NULL;
    client->stage = WRITING;
    client->file_at = 0;
    client->file_size = wants_body ? file_size : 0;
    if (wants_body && bytes.size > 0)
        ASSERT(evbuffer_add(bufferevent_get_output(client->stream), bytes.data, bytes.size) == 0);
    set_deadline(client);
    bufferevent_setwatermark(client->stream, EV_READ, 0, PIPELINE_MAX);
}

static weir_str errors_text(weir_buffer *buffer, const char *text)
{
    weir_buffer_add_str(buffer, WEIR_STR("{\"errors\":[\""));
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ')
            buffer_printf(buffer, "\\u%04x", (unsigned char)*text);
        else if (*text == '"' || *text == '\\')
            buffer_printf(buffer, "\\%c", *text);
        else
            weir_buffer_add_byte(buffer, *text);
    }
    weir_buffer_add_str(buffer, WEIR_STR("\"]}"));
    return weir_buffer_view(buffer);
}

/* Of a request that the handler never sees; what is left of it is read and thrown away while lingering. */
static void refuse(struct client *client, int status, const char *text)
{
    weir_buffer *buffer = weir_buffer_new(64 << 10);
    struct http_request *request = client->request;
    client->is_keep_alive = false;
    answer(client, status, "application/json", errors_text(buffer, text), 0);
    weir_buffer_free(buffer);
    free_request(request);
    leave(client);
}

void http_add_header(struct http_request *request, const char *name, const char *value)
{
    for (const char *at = value; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return;
    if (request->added == NULL)
        request->added = weir_buffer_new(ADDED_SIZE_MAX);
    buffer_printf(request->added, "%s: %s\r\n", name, value);
}

static void reply(struct http_request *request, int status, const char *content_type,
    weir_str bytes, struct os_file *file, uint64_t file_size)
{
    struct client *client = request->client;
    if (client == NULL) {
        os_close(file);
        free_request(request);
        return;
    }
    ASSERT(client->stage == HANDLING && client->request == request);
    client->file = file;
    answer(client, status, content_type, bytes, file_size);
    free_request(request);
}

void http_reply(struct http_request *request, int status, const char *content_type, weir_str bytes)
{
    reply(request, status, content_type, bytes, NULL, 0);
}

void http_reply_error(struct http_request *request, int status, const char *text)
{
    weir_buffer *buffer = weir_buffer_new(64 << 10);
    http_reply(request, status, "application/json", errors_text(buffer, text));
    weir_buffer_free(buffer);
}

void http_reply_file(struct http_request *request, const char *content_type, const char *path)
{
    struct os_stat stat = { .exists = false };
    struct os_file *file = NULL;
    weir_error *error = os_stat(path, &stat);
    if (error == NULL && stat.is_regular)
        error = os_open(path, OS_READ, &file);
    if (error != NULL)
        log_warn("net", "cannot send a file: %s", weir_error_message(error));
    weir_error_free(error);
    if (file == NULL)
        http_reply_error(request, 404, "there is no such file");
    else
        reply(request, 200, content_type, (weir_str){ .data = "", .size = 0 }, file, stat.size);
}

/* -- reading -------------------------------------------------------------------------------------------- */

static bool is_allowed(const struct http_server *server, const struct http_head *head)
{
    static const char scheme[] = "Bearer ";
    const char *given = http_reader_header(head, "Authorization");
    if (server->token == NULL)
        return true;
    return given != NULL && strncasecmp(given, scheme, sizeof(scheme) - 1) == 0 &&
           token_equal(weir_str_of(given + sizeof(scheme) - 1), weir_str_of(server->token));
}

/* A body that does not fit into memory fills a disk before a handler sees it. */
static weir_error *check_large(const struct client *client)
{
    const struct http_head *head = &client->request->reader.head;
    bool is_large = head->is_chunked || head->content_length > HTTP_BODY_MEMORY;
    return client->server->options.asks_user && is_large ? http_check_user(client->request) : NULL;
}

static void take_head(struct client *client)
{
    struct http_request *request = client->request;
    const struct http_head *head = &request->reader.head;
    client->has_head = true;
    client->is_keep_alive = head->is_keep_alive;
    if (!is_allowed(client->server, head)) {
        refuse(client, 401,
            "the token is missing or not the right one: send that of the cluster as "
            "'Authorization: Bearer TOKEN'");
        return;
    }
    weir_error *stranger = check_large(client);
    if (stranger != NULL) {
        refuse(client, 403, weir_error_message(stranger));
        weir_error_free(stranger);
        return;
    }
    if (head->expects_continue)
        evbuffer_add_printf(bufferevent_get_output(client->stream),
            "HTTP/1.1 100 Continue\r\n\r\n");
    set_deadline(client);
}

/* The body outgrows memory: what has come goes to a file, and what comes follows it. */
static weir_error *open_body_file(struct http_request *request, const char *dir)
{
    request->file_path = mem_printf("%s/body-%016llx.tmp", dir, (unsigned long long)os_random());
    WEIR_TRY(os_open(request->file_path, OS_CREATE, &request->file));
    weir_str begin = weir_buffer_view(request->body);
    weir_error *error = os_write(request->file, begin.data, begin.size);
    weir_buffer_free(request->body);
    request->body = NULL;
    return error;
}

static weir_error *keep_piece(struct client *client, weir_str piece)
{
    struct http_request *request = client->request;
    const struct http_server *server = client->server;
    if (request->body == NULL && request->file == NULL)
        request->body =
            weir_buffer_new(server->body_dir == NULL ? server->options.body_max : HTTP_BODY_MEMORY);
    if (request->file == NULL && server->body_dir != NULL &&
        buffer_size(request->body) + piece.size > HTTP_BODY_MEMORY)
        WEIR_TRY(open_body_file(request, server->body_dir));
    if (request->file != NULL)
        return os_write(request->file, piece.data, piece.size);
    weir_buffer_add(request->body, piece.data, piece.size);
    ASSERT(!weir_buffer_overflowed(request->body));
    return NULL;
}

static void take_piece(struct client *client, weir_str piece)
{
    count_progress(client, piece.size);
    weir_error *error = keep_piece(client, piece);
    if (error == NULL)
        return;
    log_warn("net", "body of a request of %s: %s", client->name, weir_error_message(error));
    refuse(client, 507, "the body could not be stored; see the log of the server");
    weir_error_free(error);
}

static void take_end(struct client *client)
{
    deadline_clear(client->server->net, &client->deadline);
    close_body_file(client->request);
    client->stage = HANDLING;
    bufferevent_setwatermark(client->stream, EV_READ, 0, PIPELINE_MAX);
    client->server->options.handler(client->server->options.arg, client->request);
}

static void refuse_bad(struct client *client, int status, const char *problem)
{
    const char *fix = status == 413 ? client->server->options.body_max_fix : NULL;
    char *text = mem_printf("%s%s%s", problem, fix == NULL ? "" : ": ", fix == NULL ? "" : fix);
    refuse(client, status, text);
    mem_free(text);
}

static void take_event(struct client *client, enum http_event event, weir_str piece)
{
    struct http_reader *reader = &client->request->reader;
    switch (event) {
    case HTTP_HEAD:
        take_head(client);
        break;
    case HTTP_BODY:
        take_piece(client, piece);
        break;
    case HTTP_END:
        take_end(client);
        break;
    case HTTP_BAD:
        refuse_bad(client, reader->status, reader->problem);
        break;
    case HTTP_MORE:
        break;
    }
}

/* Reads on as long as there is something to read and a request to read. Replies come back to here instead of
 * calling deeper for each pipelined request. */
static void pump(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->stream);
    if (client->is_pumping)
        return;
    client->is_pumping = true;
    while (client->stage == READING) {
        size_t size = evbuffer_get_contiguous_space(input);
        weir_str bytes = { .data = size == 0 ? "" : (char *)evbuffer_pullup(input, (ssize_t)size),
            .size = size };
        weir_str piece = { .data = NULL };
        enum http_event event = http_reader_read(&client->request->reader, &bytes, &piece);
        take_event(client, event, piece);
        evbuffer_drain(input, size - bytes.size);
        if (event == HTTP_MORE && evbuffer_get_length(input) == 0)
            break;
    }
    client->is_pumping = false;
}

static void next_request(struct client *client)
{
    os_close(client->file);
    client->file = NULL;
    client->request = new_request(client);
    client->has_head = false;
    client->stage = READING;
    bufferevent_setwatermark(client->stream, EV_READ, 0, 0);
    set_deadline(client);
    pump(client);
}

/* -- connections -------------------------------------------------------------------------------------- */

static void hear(struct bufferevent *stream, void *arg)
{
    (void)stream;
    pump(arg);
}

static void sent(struct bufferevent *stream, void *arg)
{
    (void)stream;
    send_more(arg);
}

/* A plain client that has only ended its own direction still waits for its answer; whether it has really gone is
 * seen when the answer is sent. With TLS libevent has stopped both directions. */
static void notice(struct bufferevent *stream, short event, void *arg)
{
    struct client *client = arg;
    bool may_wait = (event & BEV_EVENT_EOF) != 0 && client->server->options.tls == NULL &&
                    client->stage != READING;
    (void)stream;
    if (may_wait)
        client->is_keep_alive = false;
    else if ((event & BEV_EVENT_CONNECTED) == 0)
        cut_off(client);
}

static bool make_room(struct http_server *server)
{
    struct client *it, *idle = NULL;
    if (server->count < server->options.connections_max)
        return true;
    LIST_FOREACH(it, &server->clients, link)
    {
        if (it->stage == READING && !it->has_head &&
            (idle == NULL || it->deadline.at_ms <= idle->deadline.at_ms))
            idle = it;
    }
    if (idle == NULL)
        return false;
    cut_off(idle);
    return true;
}

static void accept_client(void *arg, int fd, const struct sockaddr *address, int size)
{
    struct http_server *server = arg;
    if (!make_room(server)) {
        evutil_closesocket(fd);
        return;
    }
    struct client *client = mem_alloc(sizeof(*client));
    client->server = server;
    client->name = net_address_text(address, size);
    client->stream = net_stream_new(server->net, fd, server->options.tls, NULL);
    LIST_INSERT_HEAD(&server->clients, client, link);
    server->count++;
    bufferevent_setcb(client->stream, hear, sent, notice, client);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
    next_request(client);
}

/* -- the server ------------------------------------------------------------------------------------------ */

static void release(void *arg)
{
    struct http_server *server = arg;
    mem_free(server->token);
    mem_free(server->body_dir);
    mem_free(server);
}

weir_error *http_server_new(struct net *net, const struct http_server_options *options,
    struct http_server **server)
{
    ASSERT(options->handler != NULL);
    struct http_server *made = mem_alloc(sizeof(*made));
    *made = (struct http_server){ .net = net,
        .options = *options,
        .token = mem_strdup(options->token),
        .body_dir = mem_strdup(options->body_dir) };
    if (made->options.body_max == 0)
        made->options.body_max = HTTP_BODY_MAX;
    if (made->options.connections_max == 0)
        made->options.connections_max = HTTP_CONNECTIONS_MAX;
    if (made->options.timeout_ms == 0)
        made->options.timeout_ms = HTTP_TIMEOUT_MS;
    weir_error *error =
        net_port_open(net, options->host, options->port, accept_client, made, &made->port);
    *server = error == NULL ? made : NULL;
    if (error != NULL)
        release(made);
    return error;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port.number;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    while (!LIST_EMPTY(&server->clients))
        cut_off(LIST_FIRST(&server->clients));
    net_port_close(&server->port);
    net_free_later(server->net, release, server);
}

/* sim_connection.c -- see sim_connection.h. */
#include "test/sim/sim_connection.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "base/os_socket.h"
#include "net/frame.h"
#include "test/sim/sim_net.h"
#include "test/sim/sim_os.h"

#include <string.h>
#include <sys/queue.h>

#define LINGER_MS 5000
#define READ_SIZE ((size_t)4096)
#define READS_MAX 16u /* in a turn */

enum state { CONNECTING, OPEN, FAILED, GONE };

struct connection {
    LIST_ENTRY(connection) link;
    struct net *net;
    enum state state;
    bool is_dialled, is_kept, is_leaving;
    struct os_socket *socket; /* NULL: there is no such host */
    char *peer;
    const struct connection_handler *handler;
    void *arg;
    struct frame_reader reader;
    char *out; /* [sent, size) waits */
    size_t sent, size, capacity;
    uint64_t queued_max, turn;
    int64_t heard_ms, deadline_ms;
    weir_error *why;
};

struct listener {
    LIST_ENTRY(listener) link;
    struct net *net;
    struct listen_options options;
    struct os_socket *socket;
};

struct net {
    LIST_HEAD(, connection) connections, gone;
    LIST_HEAD(, listener) listeners;
    struct waker *waker;
    uint64_t turn;
    bool is_waiting;
};

static void (*send_hook)(void *arg, uint32_t kind);
static void *send_arg;

void sim_connection_on_send(void (*hook)(void *arg, uint32_t kind), void *arg)
{
    send_hook = hook;
    send_arg = arg;
}

static int64_t now_ms(void)
{
    return os_monotonic_ms();
}

/* -- the end of one ------------------------------------------------------------------------------- */

static void release(struct connection *it)
{
    frame_reader_release(&it->reader);
    weir_error_free(it->why);
    mem_free(it->out);
    mem_free(it->peer);
    mem_free(it);
}

static void leave(struct connection *it)
{
    ASSERT(it->state != GONE);
    it->state = GONE;
    os_socket_close(it->socket);
    it->socket = NULL;
    LIST_REMOVE(it, link);
    if (it->net->is_waiting) /* the stack may still look at it */
        LIST_INSERT_HEAD(&it->net->gone, it, link);
    else
        release(it);
}

static void fail(struct connection *it, weir_error *why)
{
    if (it->state == FAILED || it->state == GONE) {
        weir_error_free(why);
        return;
    }
    it->state = FAILED;
    it->why = why;
}

static void tell_closed(struct connection *it)
{
    const struct connection_handler *handler = it->handler;
    void *owner = it->arg;
    weir_error *why = it->why;
    bool is_leaving = it->is_leaving;
    it->why = NULL;
    leave(it);
    if (is_leaving)
        weir_error_free(why);
    else
        handler->closed(owner, it, why);
}

/* -- one turn of one ------------------------------------------------------------------------------ */

static void read_frames(struct connection *it, weir_str bytes)
{
    weir_error *error = NULL;
    while (error == NULL && it->state == OPEN && bytes.size > 0) {
        struct frame frame;
        bool is_whole;
        error = frame_read(&it->reader, &bytes, &frame, &is_whole);
        if (error == NULL && is_whole && !it->is_leaving)
            it->handler->frame(it->arg, it, frame.kind, frame.payload);
    }
    if (error != NULL)
        fail(it, weir_error_wrap(error, "%s", it->peer));
}

static void receive(struct connection *it)
{
    for (uint32_t i = 0; i < READS_MAX && it->state == OPEN; i++) {
        char bytes[READ_SIZE];
        size_t done;
        struct iovec piece = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        weir_error *error = os_socket_readv(it->socket, &piece, 1, &done);
        if (error != NULL)
            fail(it, error);
        if (error != NULL || done == 0)
            return;
        it->heard_ms = now_ms();
        read_frames(it, (weir_str){ .data = bytes, .size = done });
    }
}

static void flush(struct connection *it)
{
    while (it->state == OPEN && it->sent < it->size) {
        size_t done;
        struct iovec piece = { .iov_base = it->out + it->sent, .iov_len = it->size - it->sent };
        weir_error *error = os_socket_writev(it->socket, &piece, 1, &done);
        if (error != NULL)
            fail(it, error);
        if (error != NULL || done == 0)
            return;
        it->sent += done;
    }
    if (it->sent == it->size)
        it->sent = it->size = 0;
}

static void become_open(struct connection *it)
{
    weir_error *error = os_socket_check(it->socket);
    if (error != NULL) {
        fail(it, weir_error_wrap(error, "cannot connect"));
        return;
    }
    it->state = OPEN;
    it->heard_ms = now_ms();
    if (!it->is_leaving)
        it->handler->opened(it->arg, it);
}

static bool has_deadline(const struct connection *it)
{
    return it->is_leaving || it->state == CONNECTING || (it->state == OPEN && !it->is_kept);
}

static void step(struct connection *it)
{
    if (it->state == CONNECTING && it->socket != NULL && !sim_net_is_connecting(it->socket))
        become_open(it);
    if (it->state == OPEN)
        receive(it);
    if (it->state == OPEN)
        flush(it);
    if (it->state != GONE && it->state != FAILED && has_deadline(it) && now_ms() >= it->deadline_ms)
        fail(it, weir_error_retriable(weir_errorf(WEIR_E_TIMEOUT,
                     it->state == CONNECTING ? "no connection with %s in time"
                                             : "%s has not said who it is in time",
                     it->peer)));
    if (it->state == FAILED)
        tell_closed(it);
    else if (it->state == OPEN && it->is_leaving && it->size == 0)
        leave(it);
}

/* -- the table: connections ----------------------------------------------------------------------- */

static struct connection *make(struct net *net, struct os_socket *socket, char *peer)
{
    struct connection *it = mem_alloc(sizeof(*it));
    it->net = net;
    it->socket = socket;
    it->peer = peer;
    it->queued_max = NET_QUEUED_MAX_DEFAULT;
    it->heard_ms = now_ms();
    it->deadline_ms = now_ms() + NET_HANDSHAKE_MS;
    frame_reader_init(&it->reader, NET_FRAME_MAX_DEFAULT);
    LIST_INSERT_HEAD(&net->connections, it, link);
    return it;
}

static struct connection *connect_to(struct net *net, const char *host, uint16_t port,
    const struct tls *tls, const struct connection_handler *handler, void *arg)
{
    struct os_socket *socket;
    ASSERT(tls == NULL);
    weir_error *error = os_socket_connect(host, port, &socket);
    struct connection *it = make(net, socket, mem_printf("%s:%u", host, port));
    it->is_dialled = true;
    it->handler = handler;
    it->arg = arg;
    if (error != NULL)
        fail(it, error);
    return it;
}

static void set_handler(struct connection *it, const struct connection_handler *handler, void *arg)
{
    ASSERT(handler != NULL && it->state != GONE);
    it->handler = handler;
    it->arg = arg;
}

static void set_frame_max(struct connection *it, uint32_t frame_max)
{
    it->reader.size_max = frame_max;
}

static void set_queued_max(struct connection *it, uint64_t queued_max)
{
    it->queued_max = queued_max;
}

static void keep(struct connection *it)
{
    it->is_kept = true;
}

static void add(struct connection *it, const char *bytes, size_t size)
{
    if (it->size + size > it->capacity) {
        it->capacity = (it->size + size) * 2;
        it->out = mem_realloc(it->out, it->capacity);
    }
    memcpy(it->out + it->size, bytes, size);
    it->size += size;
}

static void send_frame(struct connection *it, uint32_t kind, weir_str payload)
{
    char head[FRAME_HEAD_SIZE];
    ASSERT(payload.size <= NET_FRAME_MAX && it->state != GONE && !it->is_leaving);
    if (it->state == FAILED)
        return;
    uint32_t process = sim_os_process();
    if (send_hook != NULL)
        send_hook(send_arg, kind);
    sim_os_run_as(process);
    if (it->size - it->sent + FRAME_HEAD_SIZE + payload.size > it->queued_max) {
        fail(it, weir_error_retriable(
                     weir_errorf(WEIR_E_LIMIT, "%s does not read what it is sent", it->peer)));
        return;
    }
    frame_head_write(head, kind, payload);
    add(it, head, sizeof(head));
    if (payload.size > 0)
        add(it, payload.data, payload.size);
}

static void close_flushed(struct connection *it)
{
    ASSERT(it->state != GONE && !it->is_leaving);
    it->is_leaving = true;
    it->deadline_ms = now_ms() + LINGER_MS;
    if (it->state == FAILED)
        leave(it);
}

static int64_t heard_ms(const struct connection *it)
{
    return it->heard_ms;
}

static const char *peer_of(const struct connection *it)
{
    return it->peer;
}

/* -- the table: listeners ------------------------------------------------------------------------- */

static weir_error *listen_on(struct net *net, const struct listen_options *options,
    struct listener **listener)
{
    struct os_socket *socket;
    *listener = NULL;
    WEIR_TRY(os_socket_listen(options->host, options->port, &socket));
    struct listener *it = *listener = mem_alloc(sizeof(*it));
    it->net = net;
    it->options = *options;
    it->socket = socket;
    LIST_INSERT_HEAD(&net->listeners, it, link);
    return NULL;
}

static uint16_t port_of(const struct listener *listener)
{
    return os_socket_port(listener->socket);
}

static void free_listener(struct listener *listener)
{
    LIST_REMOVE(listener, link);
    os_socket_close(listener->socket);
    mem_free(listener);
}

static void accept_all(struct listener *listener)
{
    struct os_socket *socket;
    weir_error *error = NULL;
    while ((error = os_socket_accept(listener->socket, &socket)) == NULL && socket != NULL) {
        struct connection *it = make(listener->net, socket, mem_strdup(os_socket_address(socket)));
        it->state = OPEN;
        if (!listener->options.accepted(listener->options.arg, it) && it->state != GONE)
            leave(it);
    }
    weir_error_free(error);
}

/* -- the table: the loop -------------------------------------------------------------------------- */

static struct net *open_net(void)
{
    struct net *net = mem_alloc(sizeof(*net));
    LIST_INIT(&net->connections);
    LIST_INIT(&net->gone);
    LIST_INIT(&net->listeners);
    net->waker = waker_new();
    return net;
}

static void free_net(struct net *net)
{
    while (!LIST_EMPTY(&net->listeners))
        free_listener(LIST_FIRST(&net->listeners));
    while (!LIST_EMPTY(&net->connections))
        leave(LIST_FIRST(&net->connections));
    waker_free(net->waker);
    mem_free(net);
}

/* One that has not had this turn, by chance: nothing is in order between two connections. A call may close any, and
 * make new ones. */
static struct connection *next_of(struct net *net)
{
    struct connection *it, *chosen = NULL;
    uint32_t count = 0;
    LIST_FOREACH(it, &net->connections, link)
    if (it->turn != net->turn && sim_net_below(++count) == 0)
        chosen = it;
    return chosen;
}

static void step_all(struct net *net)
{
    struct connection *it;
    net->turn++;
    while ((it = next_of(net)) != NULL) {
        it->turn = net->turn;
        step(it);
    }
}

static void wait_net(struct net *net, int64_t timeout_ms)
{
    struct listener *listener;
    struct connection *it;
    (void)timeout_ms;
    ASSERT(!net->is_waiting);
    net->is_waiting = true;
    if (!waker_sleep(net->waker))
        sim_net_stir(); /* somebody has something for the owner */
    waker_awake(net->waker, false);
    LIST_FOREACH(listener, &net->listeners, link)
    accept_all(listener);
    step_all(net);
    net->is_waiting = false;
    while ((it = LIST_FIRST(&net->gone)) != NULL) {
        LIST_REMOVE(it, link);
        release(it);
    }
}

static struct waker *waker_of(struct net *net)
{
    return net->waker;
}

int64_t sim_connection_deadline_ms(const struct net *net)
{
    const struct connection *it;
    int64_t deadline_ms = INT64_MAX;
    LIST_FOREACH(it, &net->connections, link)
    if (has_deadline(it) && it->deadline_ms < deadline_ms)
        deadline_ms = it->deadline_ms;
    return deadline_ms;
}

/* All are of one user. */
static weir_error *check_user(const struct connection *it)
{
    (void)it;
    return NULL;
}

const struct net_class sim_connection_class = {
    .new = open_net,
    .free = free_net,
    .wait = wait_net,
    .waker = waker_of,
    .listen = listen_on,
    .listener_port = port_of,
    .listener_free = free_listener,
    .connect = connect_to,
    .set_handler = set_handler,
    .set_frame_max = set_frame_max,
    .set_queued_max = set_queued_max,
    .keep = keep,
    .send = send_frame,
    .close = leave,
    .close_flushed = close_flushed,
    .heard_ms = heard_ms,
    .peer = peer_of,
    .check_user = check_user,
};

/* wire.c -- see wire.h.
 *
 * A connection is a stranger until its hello is there, then a peer's: those that we made have a peer before,
 * but count as connected only with the hello too. What the poller tells is kept in flags of the link, and
 * everything is done in the turn, so nothing is freed while a list of events still names it. */
#include "runtime/exchange/wire.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "runtime/exchange/wire_host.h"
#include "runtime/exchange/wire_peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define HELLO_TIMEOUT_MS 10000
#define RETRY_FIRST_MS   10
#define RETRY_MAX_MS     500

/* One connection. Thread: io. */
struct connection {
    struct wire *wire;
    struct wire_link *link; /* NULL: none, or still connecting */
    struct os_socket *connecting;
    struct peer *peer; /* NULL: has not said who it is */
    bool is_greeted;
    bool is_polled_for_write;
    int64_t deadline_ms; /* of its address, then of its hello */
};

/* Another worker that we share a channel with. Thread: io. */
struct peer {
    struct wire_peer *channels;
    struct wire_host host;
    struct connection *connection; /* NULL: none */
    int64_t retry_at_ms, retry_ms;
    weir_error *last; /* why the last try failed */
};

struct wire {
    struct wire_options options;
    struct wire_frame_hello self;
    char *job;
    char *hello; /* the payload of our own */
    uint32_t hello_size;
    struct os_socket *listener;
    struct os_poller *poller;
    struct waker *waker;
    struct peer *peers; /* by worker; our own stays empty */
    struct connection *strangers[WIRE_STRANGERS_MAX];
    uint32_t stranger_count;
    const struct wire_address *addresses;
    struct segment_pool *pool;
    int64_t connect_deadline_ms; /* INT64_MAX: all are connected */
    int64_t timeout_ms;          /* until then */
    bool is_open, is_started, has_failed;
    bool is_listener_ready;
    atomic_bool is_stopping, is_connected;
    pthread_t thread;
    struct wire_metrics metrics;
};

/* -- making ---------------------------------------------------------------------------------- */

weir_error *wire_new(const struct wire_options *options, struct wire **wire)
{
    struct os_socket *listener;
    ASSERT(options->self.worker < options->self.worker_count);
    ASSERT(options->self.worker_count <= WIRE_WORKERS_MAX);
    *wire = NULL;
    WEIR_TRY(os_socket_listen(options->host, options->port, &listener));
    struct wire *it = *wire = mem_alloc(sizeof(*it));
    it->options = *options;
    it->self = options->self;
    it->self.job = it->job = mem_strdup(options->self.job);
    it->hello = mem_alloc(WIRE_FRAME_HELLO_SIZE + strlen(it->job));
    it->hello_size = wire_frame_write_hello(&it->self, it->hello);
    it->listener = listener;
    it->poller = os_poller_new();
    it->waker = waker_new();
    it->peers = mem_alloc_array(it->self.worker_count, sizeof(struct peer));
    for (uint32_t i = 0; i < it->self.worker_count; i++)
        it->peers[i].channels = wire_peer_new(i);
    os_poller_add(it->poller, waker_fd(it->waker), false, it->waker);
    os_poller_add(it->poller, os_socket_fd(listener), false, listener);
    return NULL;
}

void wire_free(struct wire *wire)
{
    if (wire == NULL)
        return;
    wire_stop(wire);
    for (uint32_t i = 0; i < wire->self.worker_count; i++)
        wire_peer_free(wire->peers[i].channels);
    os_poller_free(wire->poller);
    os_socket_close(wire->listener);
    waker_free(wire->waker);
    mem_free(wire->peers);
    mem_free(wire->hello);
    mem_free(wire->job);
    mem_free(wire);
}

uint16_t wire_port(const struct wire *wire)
{
    return os_socket_port(wire->listener);
}

uint32_t wire_worker(const struct wire *wire)
{
    return wire->self.worker;
}

uint32_t wire_worker_count(const struct wire *wire)
{
    return wire->self.worker_count;
}

struct waker *wire_waker(struct wire *wire)
{
    return wire->waker;
}

static struct wire_peer *peer_of(struct wire *wire, uint32_t worker)
{
    ASSERT(!wire->is_open && worker < wire->self.worker_count && worker != wire->self.worker);
    return wire->peers[worker].channels;
}

void wire_add_output(struct wire *wire, uint32_t peer, uint32_t number, struct channel *channel)
{
    wire_peer_add_output(peer_of(wire, peer), number, channel);
}

void wire_add_input(struct wire *wire, uint32_t peer, uint32_t number, struct channel *channel)
{
    wire_peer_add_input(peer_of(wire, peer), number, channel);
}

const struct wire_metrics *wire_metrics(const struct wire *wire)
{
    return &wire->metrics;
}

bool wire_is_connected(const struct wire *wire)
{
    return atomic_load_explicit(&((struct wire *)(uintptr_t)wire)->is_connected,
        memory_order_acquire);
}

/* -- connections ----------------------------------------------------------------------------- */

static void close_connection(struct connection *connection)
{
    struct wire *wire = connection->wire;
    struct os_socket *socket = connection->connecting;
    if (connection->link != NULL)
        socket = wire_link_socket(connection->link);
    os_poller_remove(wire->poller, os_socket_fd(socket));
    os_socket_close(connection->connecting);
    wire_link_free(connection->link);
    if (connection->peer != NULL)
        connection->peer->connection = NULL;
    mem_free(connection);
}

/* Once: the attempt is over. */
static void fail(struct wire *wire, weir_error *error)
{
    if (wire->has_failed) {
        weir_error_free(error);
        return;
    }
    wire->has_failed = true;
    wire->options.failed(wire->options.arg, error);
}

static const char *address_of(const struct connection *connection)
{
    return os_socket_address(wire_link_socket(connection->link));
}

static uint32_t worker_of(const struct wire *wire, const struct peer *peer)
{
    return (uint32_t)(peer - wire->peers);
}

/* -- what a link reads ------------------------------------------------------------------------ */

static weir_error *on_hello(void *arg, const char *payload, uint32_t size)
{
    struct connection *connection = arg;
    struct wire *wire = connection->wire;
    uint32_t worker;
    WEIR_TRY(wire_frame_check_hello(&wire->self, payload, size, &worker));
    struct peer *peer = &wire->peers[worker];
    if (connection->peer == NULL) { /* it connected to us */
        if (worker > wire->self.worker || peer->connection != NULL ||
            !wire_peer_has_channels(peer->channels))
            return weir_errorf(WEIR_E_INTERNAL, "worker %u has no reason to connect", worker);
        connection->peer = peer;
        peer->connection = connection;
        wire_link_add_hello(connection->link, wire->hello, wire->hello_size);
    } else if (connection->peer != peer) {
        return weir_errorf(WEIR_E_INTERNAL, "worker %u is there instead of worker %u", worker,
            worker_of(wire, connection->peer));
    }
    connection->is_greeted = true;
    return NULL;
}

static weir_error *on_begin(void *arg, uint32_t channel, uint32_t size, struct segment **segment)
{
    const struct connection *connection = arg;
    return wire_peer_begin(connection->peer->channels, connection->wire->pool, channel, size,
        segment);
}

static weir_error *on_segment(void *arg, uint32_t channel, struct segment *segment)
{
    const struct connection *connection = arg;
    metric_add(&connection->wire->metrics.segments_in, 1);
    return wire_peer_push(connection->peer->channels, channel, segment);
}

static weir_error *on_credit(void *arg, uint32_t channel, uint32_t granted)
{
    const struct connection *connection = arg;
    return wire_peer_credit(connection->peer->channels, channel, granted);
}

/* Takes the socket. */
static weir_error *make_link(struct connection *connection, struct os_socket *socket)
{
    struct wire *wire = connection->wire;
    struct wire_link_options options = { .socket = socket,
        .crypto = wire->options.crypto,
        .host = connection->peer == NULL ? NULL
                                         : wire->addresses[worker_of(wire, connection->peer)].host,
        .calls = { .arg = connection,
            .hello = on_hello,
            .begin = on_begin,
            .segment = on_segment,
            .credit = on_credit },
        .metrics = &wire->metrics };
    connection->deadline_ms = os_monotonic_ms() + HELLO_TIMEOUT_MS;
    if (wire->options.silence_ms > 0)
        os_socket_limit_silence(socket, wire->options.silence_ms);
    return wire_link_new(&options, &connection->link);
}

/* -- connecting ------------------------------------------------------------------------------ */

/* At once if it has another address. */
static void retry_later(struct peer *peer, weir_error *error)
{
    weir_error_free(peer->last);
    peer->last = error;
    peer->retry_at_ms = os_monotonic_ms();
    if (wire_host_has_more(&peer->host))
        return;
    peer->retry_at_ms += peer->retry_ms;
    peer->retry_ms = peer->retry_ms * 2 < RETRY_MAX_MS ? peer->retry_ms * 2 : RETRY_MAX_MS;
}

/* An address that nobody answers at must leave time for the others. */
static int64_t try_ms(const struct wire *wire, const struct peer *peer)
{
    return wire->timeout_ms / (2 * (int64_t)peer->host.addresses.count) + 1;
}

static void begin_connect(struct wire *wire, struct peer *peer)
{
    const struct wire_address *address = &wire->addresses[worker_of(wire, peer)];
    struct os_socket *socket;
    weir_error *error;
    const char *host = wire_host_next(&peer->host, &error);
    if (host == NULL && error == NULL) {
        peer->retry_at_ms = INT64_MAX; /* when it has answered */
        return;
    }
    if (error == NULL)
        error = os_socket_connect(host, address->port, &socket);
    if (error != NULL) {
        retry_later(peer, error);
        return;
    }
    struct connection *connection = mem_alloc(sizeof(*connection));
    *connection = (struct connection){ .wire = wire,
        .peer = peer,
        .connecting = socket,
        .is_polled_for_write = true,
        .deadline_ms = os_monotonic_ms() + try_ms(wire, peer) };
    peer->connection = connection;
    os_poller_add(wire->poller, os_socket_fd(socket), true, connection);
}

/* The socket of a connection that we began has something to say. */
static void finish_connect(struct connection *connection)
{
    struct wire *wire = connection->wire;
    struct peer *peer = connection->peer;
    struct os_socket *socket = connection->connecting;
    weir_error *error = os_socket_check(socket);
    if (error == NULL) {
        connection->connecting = NULL;
        os_poller_remove(wire->poller, os_socket_fd(socket));
        error = make_link(connection, socket);
        if (error == NULL) {
            os_poller_add(wire->poller, os_socket_fd(socket), false, connection);
            connection->is_polled_for_write = false;
            wire_link_add_hello(connection->link, wire->hello, wire->hello_size);
            return;
        }
        mem_free(connection);
        peer->connection = NULL;
    } else {
        close_connection(connection);
    }
    retry_later(peer, error);
}

static void accept_one(struct wire *wire, struct os_socket *socket)
{
    if (wire->stranger_count == WIRE_STRANGERS_MAX) {
        os_socket_close(socket); /* a worker tries again */
        return;
    }
    struct connection *connection = mem_alloc(sizeof(*connection));
    *connection = (struct connection){ .wire = wire };
    weir_error *error = make_link(connection, socket);
    if (error != NULL) {
        log_warn("wire", "a connection is refused: %s", weir_error_message(error));
        weir_error_free(error);
        mem_free(connection);
        return;
    }
    os_poller_add(wire->poller, os_socket_fd(socket), false, connection);
    wire->strangers[wire->stranger_count++] = connection;
}

static void accept_all(struct wire *wire)
{
    while (wire->is_listener_ready) {
        struct os_socket *socket;
        weir_error *error = os_socket_accept(wire->listener, &socket);
        if (error != NULL) {
            fail(wire, error);
            return;
        }
        if (socket == NULL)
            wire->is_listener_ready = false;
        else
            accept_one(wire, socket);
    }
}

/* -- a turn ---------------------------------------------------------------------------------- */

static void poll_for_write(struct connection *connection)
{
    bool wants = wire_link_wants_write(connection->link);
    if (wants == connection->is_polled_for_write)
        return;
    os_poller_change(connection->wire->poller, os_socket_fd(wire_link_socket(connection->link)),
        wants, connection);
    connection->is_polled_for_write = wants;
}

static weir_error *move(struct connection *connection, bool *has_worked)
{
    struct wire_link *link = connection->link;
    if (wire_link_can_read(link))
        WEIR_TRY(wire_link_receive(link, has_worked));
    if (connection->is_greeted)
        wire_peer_fill(connection->peer->channels, link);
    if (wire_link_can_write(link))
        WEIR_TRY(wire_link_send(link, has_worked));
    poll_for_write(connection);
    return NULL;
}

/* Whoever has not said who it is in time, or says something else, is closed; the attempt goes on. */
static void move_strangers(struct wire *wire, bool *has_worked)
{
    for (uint32_t i = 0; i < wire->stranger_count;) {
        struct connection *it = wire->strangers[i];
        weir_error *error = move(it, has_worked);
        if (error == NULL && !it->is_greeted && os_monotonic_ms() < it->deadline_ms) {
            i++;
            continue;
        }
        wire->strangers[i] = wire->strangers[--wire->stranger_count];
        if (it->is_greeted && error == NULL)
            continue; /* its peer has it now */
        log_warn("wire", "the connection from %s is closed: %s", address_of(it),
            error != NULL ? weir_error_message(error) : "it does not say who it is");
        if (it->is_greeted && !wire->has_failed) {
            fail(wire, error);
            error = NULL;
        }
        weir_error_free(error);
        close_connection(it);
    }
}

/* The connection broke: before the hello it is tried again, then it is the end. */
static void lose(struct peer *peer, weir_error *error)
{
    struct connection *connection = peer->connection;
    struct wire *wire = connection->wire;
    bool is_greeted = connection->is_greeted;
    if (is_greeted)
        error = weir_error_wrap(error, "lost worker %u at %s", worker_of(wire, peer),
            address_of(connection));
    close_connection(connection);
    if (is_greeted)
        fail(wire, error);
    else
        retry_later(peer, error);
}

static weir_error *not_there(const struct connection *connection)
{
    return weir_error_retriable(weir_errorf(WEIR_E_TIMEOUT, "%s does not answer",
        os_socket_address(connection->connecting)));
}

static void move_peer(struct wire *wire, struct peer *peer, bool *has_worked)
{
    struct connection *connection = peer->connection;
    if (connection == NULL) {
        if (worker_of(wire, peer) > wire->self.worker &&
            (os_monotonic_ms() >= peer->retry_at_ms || wire_host_has_answered(&peer->host)))
            begin_connect(wire, peer);
        return;
    }
    if (connection->link == NULL) { /* the poller has not said anything yet */
        if (os_monotonic_ms() >= connection->deadline_ms)
            lose(peer, not_there(connection));
        return;
    }
    weir_error *error = move(connection, has_worked);
    if (error == NULL && !connection->is_greeted && os_monotonic_ms() >= connection->deadline_ms)
        error = weir_errorf(WEIR_E_TIMEOUT, "%s does not say who it is", address_of(connection));
    if (error != NULL)
        lose(peer, error);
}

static void give_up(struct wire *wire, struct peer *peer)
{
    uint32_t worker = worker_of(wire, peer);
    const struct wire_address *address = &wire->addresses[worker];
    fail(wire, weir_error_retriable(weir_errorf(WEIR_E_TIMEOUT,
                   "there is no connection with worker %u (%s:%u) in time: %s", worker,
                   address->host, address->port,
                   peer->last != NULL ? weir_error_message(peer->last) : "it has not connected")));
}

/* Are all there? */
static void watch_connecting(struct wire *wire)
{
    if (wire->connect_deadline_ms == INT64_MAX)
        return;
    struct peer *missing = NULL;
    for (uint32_t i = 0; i < wire->self.worker_count && missing == NULL; i++) {
        struct peer *peer = &wire->peers[i];
        if (wire_peer_has_channels(peer->channels) &&
            (peer->connection == NULL || !peer->connection->is_greeted))
            missing = peer;
    }
    if (missing == NULL) {
        wire->connect_deadline_ms = INT64_MAX;
        atomic_store_explicit(&wire->is_connected, true, memory_order_release);
    } else if (os_monotonic_ms() >= wire->connect_deadline_ms) {
        give_up(wire, missing);
    }
}

/* How long it may sleep, at most `limit_ms` (negative: no limit). */
static int64_t sleep_ms(const struct wire *wire, int64_t limit_ms)
{
    int64_t at = wire->connect_deadline_ms;
    for (uint32_t i = 0; i < wire->stranger_count; i++)
        at = os_earlier(at, wire->strangers[i]->deadline_ms);
    for (uint32_t i = 0; at != INT64_MAX && i < wire->self.worker_count; i++) {
        const struct peer *peer = &wire->peers[i];
        if (i > wire->self.worker && wire_peer_has_channels(peer->channels))
            at = os_earlier(at, peer->connection == NULL       ? peer->retry_at_ms
                                : peer->connection->is_greeted ? INT64_MAX
                                                               : peer->connection->deadline_ms);
    }
    if (at == INT64_MAX)
        return limit_ms;
    int64_t left = os_left_ms(at, os_monotonic_ms());
    return limit_ms < 0 ? left : os_earlier(left, limit_ms);
}

/* Sleeps, and keeps what the poller tells. */
static void watch(struct wire *wire, int64_t timeout_ms)
{
    struct os_poll_event events[OS_POLL_EVENTS_MAX];
    bool is_idle = timeout_ms != 0, is_woken = false;
    bool is_asleep = is_idle && waker_sleep(wire->waker);
    uint32_t count = os_poller_wait(wire->poller, events, is_asleep ? timeout_ms : 0);
    for (uint32_t i = 0; i < count; i++) {
        if (events[i].tag == wire->waker)
            is_woken = true;
        else if (events[i].tag == wire->listener)
            wire->is_listener_ready = true;
        else if (((struct connection *)events[i].tag)->link != NULL)
            wire_link_awake(((struct connection *)events[i].tag)->link);
        else
            finish_connect(events[i].tag);
    }
    if (is_idle)
        waker_awake(wire->waker, is_woken);
}

bool wire_step(struct wire *wire, int64_t timeout_ms)
{
    bool has_worked = false;
    ASSERT(wire->is_open);
    if (wire->has_failed) { /* quiet until it is stopped: the others may still want to know */
        waker_wait(wire->waker, timeout_ms);
        return false;
    }
    accept_all(wire);
    move_strangers(wire, &has_worked);
    for (uint32_t i = 0; i < wire->self.worker_count && !wire->has_failed; i++) {
        if (wire_peer_has_channels(wire->peers[i].channels))
            move_peer(wire, &wire->peers[i], &has_worked);
    }
    if (!wire->has_failed)
        watch_connecting(wire);
    if (!wire->has_failed)
        watch(wire, has_worked ? 0 : sleep_ms(wire, timeout_ms));
    return has_worked;
}

/* -- start, stop ----------------------------------------------------------------------------- */

void wire_connect(struct wire *wire, const struct wire_address *addresses,
    struct segment_pool *pool, int64_t timeout_ms)
{
    ASSERT(!wire->is_open);
    wire->is_open = true;
    wire->addresses = addresses;
    wire->pool = pool;
    wire->connect_deadline_ms = os_monotonic_ms() + timeout_ms;
    wire->timeout_ms = timeout_ms;
    for (uint32_t i = 0; i < wire->self.worker_count; i++) {
        wire_peer_start(wire->peers[i].channels);
        wire->peers[i].retry_ms = RETRY_FIRST_MS;
        wire_host_init(&wire->peers[i].host, addresses[i].host, wire->options.workers, wire->waker);
    }
}

static void *run(void *arg)
{
    struct wire *wire = arg;
    while (!atomic_load_explicit(&wire->is_stopping, memory_order_acquire))
        wire_step(wire, -1);
    return NULL;
}

weir_error *wire_start(struct wire *wire)
{
    ASSERT(wire->is_open && !wire->is_started);
    /* tidy: allow banned-call, because it sleeps on all connections at once, as a slot does on its tasks */
    int code = pthread_create(&wire->thread, NULL, run, wire);
    if (code != 0)
        return weir_errorf(WEIR_E_LIMIT,
            "cannot start the thread of the data connections: %s; raise the limit of threads "
            "(ulimit -u)",
            strerrordesc_np(code));
    wire->is_started = true;
    pthread_setname_np(wire->thread, "wire");
    return NULL;
}

void wire_stop(struct wire *wire)
{
    if (wire->is_started) {
        atomic_store_explicit(&wire->is_stopping, true, memory_order_release);
        waker_wake(wire->waker);
        pthread_join(wire->thread, NULL);
        wire->is_started = false;
    }
    wire->is_open = false;
    while (wire->stranger_count > 0)
        close_connection(wire->strangers[--wire->stranger_count]);
    for (uint32_t i = 0; i < wire->self.worker_count; i++) {
        if (wire->peers[i].connection != NULL)
            close_connection(wire->peers[i].connection);
        weir_error_free(wire->peers[i].last);
        wire->peers[i].last = NULL;
        wire_host_release(&wire->peers[i].host);
    }
}

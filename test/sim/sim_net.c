/* sim_net.c -- see sim_net.h. */
#include "test/sim/sim_net.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_os.h"
#include "test/support/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#define FD_BASE        1000000 /* no real descriptor is that high */
#define SOCKETS_MAX    1024u
#define PORT_FIRST     30000u
#define BACKLOG        128u
#define HELD           INT64_MAX /* until the link is healed */
#define LOOPBACK_NS    20000
#define POLL_ITEMS_MAX 256u

enum chunk_kind { DATA, OPENED, FIN, RST };

struct chunk {
    TAILQ_ENTRY(chunk) link;
    enum chunk_kind kind;
    int64_t at_ns;
    size_t size, taken;
    char bytes[];
};

enum state { LISTENING, CONNECTING, OPEN, CLOSED_THERE, BROKEN };

struct os_socket {
    int fd;
    uint32_t process, machine;
    uint16_t port;
    char *address; /* of the other side; a listener's: its own */
    enum state state;
    int error;              /* BROKEN: an errno value */
    struct os_socket *peer; /* the other end; NULL: none, or it has gone */
    uint32_t peer_machine;
    TAILQ_HEAD(chunk_list, chunk) chunks; /* to be read here, the oldest first */
    size_t size;                          /* of their data */
    bool is_reset_coming;
    int64_t silence_ns, lost_ns; /* 0: no limit; when the other end vanished: 0: it did not */
    /* connecting */
    uint16_t to_port;
    int64_t arrives_ns; /* of the first word at the other side; 0: it has */
    /* listening: those that nobody has accepted yet */
    STAILQ_HEAD(, os_socket) waiting;
    STAILQ_ENTRY(os_socket) waiting_link;
    uint32_t waiting_count;
};

static struct network {
    struct sim_net_options options;
    struct random random;
    const char *names[SIM_MACHINES_MAX];
    uint32_t machine_count;
    bool is_down[SIM_MACHINES_MAX];
    int64_t cut_ns[SIM_MACHINES_MAX][SIM_MACHINES_MAX]; /* since when; 0: it is not */
    int64_t down_ns[SIM_MACHINES_MAX];
    uint32_t machines[SIM_PROCESSES_MAX];
    struct os_socket *sockets[SOCKETS_MAX];
    uint32_t socket_end; /* none is at or behind it */
    uint16_t next_port;
    uint64_t activity;
} network;

/* -- links ---------------------------------------------------------------------------------------- */

static bool is_cut(uint32_t from, uint32_t to)
{
    return from != to &&
           (network.cut_ns[from][to] != 0 || network.is_down[from] || network.is_down[to]);
}

static int64_t delay_ns(uint32_t from, uint32_t to)
{
    uint64_t chance = random_next(&network.random);
    if (from == to)
        return LOOPBACK_NS + (int64_t)(chance % LOOPBACK_NS);
    return network.options.delay_ns + (int64_t)(chance % (uint64_t)(network.options.jitter_ns + 1));
}

/* When something that leaves now arrives. */
static int64_t arrival_ns(uint32_t from, uint32_t to)
{
    return is_cut(from, to) ? HELD : os_monotonic_ns() + delay_ns(from, to);
}

static void add_chunk(struct os_socket *to, enum chunk_kind kind, int64_t at_ns, const char *bytes,
    size_t size)
{
    const struct chunk *last = TAILQ_LAST(&to->chunks, chunk_list);
    struct chunk *chunk = mem_alloc(sizeof(*chunk) + size);
    chunk->kind = kind;
    chunk->at_ns = last != NULL && last->at_ns > at_ns ? last->at_ns : at_ns;
    chunk->size = size;
    if (size > 0)
        memcpy(chunk->bytes, bytes, size);
    TAILQ_INSERT_TAIL(&to->chunks, chunk, link);
    to->size += size;
}

static void drop_chunk(struct os_socket *socket)
{
    struct chunk *chunk = TAILQ_FIRST(&socket->chunks);
    TAILQ_REMOVE(&socket->chunks, chunk, link);
    socket->size -= chunk->size - chunk->taken;
    mem_free(chunk);
}

/* -- sockets -------------------------------------------------------------------------------------- */

static bool is_dead(void)
{
    return sim_os_is_dead(sim_os_process());
}

static struct os_socket *make(uint32_t process, enum state state, char *address)
{
    struct os_socket *socket = mem_alloc(sizeof(*socket));
    uint32_t i = 0;
    while (i < SOCKETS_MAX && network.sockets[i] != NULL)
        i++;
    ASSERT(i < SOCKETS_MAX);
    socket->fd = FD_BASE + (int)i;
    socket->process = process;
    socket->machine = network.machines[process];
    socket->state = state;
    socket->address = address;
    TAILQ_INIT(&socket->chunks);
    STAILQ_INIT(&socket->waiting);
    network.sockets[i] = socket;
    network.socket_end = i + 1 > network.socket_end ? i + 1 : network.socket_end;
    return socket;
}

static void release(struct os_socket *socket)
{
    while (!TAILQ_EMPTY(&socket->chunks))
        drop_chunk(socket);
    network.sockets[socket->fd - FD_BASE] = NULL;
    mem_free(socket->address);
    mem_free(socket);
}

static bool has_unread(const struct os_socket *socket)
{
    const struct chunk *first = TAILQ_FIRST(&socket->chunks);
    return first != NULL && first->kind == DATA && first->at_ns <= os_monotonic_ns();
}

/* The other end is told, unless the whole machine is gone. */
static void leave_peer(struct os_socket *socket)
{
    struct os_socket *peer = socket->peer;
    if (peer == NULL)
        return;
    peer->peer = NULL;
    if (network.is_down[socket->machine])
        peer->lost_ns = os_monotonic_ns();
    else
        add_chunk(peer, has_unread(socket) ? RST : FIN, arrival_ns(socket->machine, peer->machine),
            NULL, 0);
    socket->peer = NULL;
}

/* What the system does with a socket when its owner closes it, or has died. */
static void disconnect(struct os_socket *socket)
{
    struct os_socket *waiting;
    leave_peer(socket);
    while ((waiting = STAILQ_FIRST(&socket->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&socket->waiting, waiting_link);
        leave_peer(waiting);
        release(waiting);
    }
    socket->waiting_count = 0;
    socket->state = BROKEN;
    socket->error = EBADF;
}

static void sim_close(struct os_socket *socket)
{
    disconnect(socket);
    release(socket);
}

static struct os_socket *find_listener(uint32_t machine, uint16_t port)
{
    for (uint32_t i = 0; i < network.socket_end; i++) {
        struct os_socket *it = network.sockets[i];
        if (it != NULL && it->state == LISTENING && it->machine == machine && it->port == port)
            return it;
    }
    return NULL;
}

static uint32_t find_machine(const char *host)
{
    uint32_t i = 0;
    while (i < network.machine_count && strcmp(network.names[i], host) != 0)
        i++;
    return i;
}

static weir_error *sim_listen(const char *host, uint16_t port, struct os_socket **socket)
{
    uint32_t process = sim_os_process();
    *socket = NULL;
    if (is_dead())
        return weir_errorf(WEIR_E_IO, "cannot listen on %s:%u: nobody is there", host, port);
    ASSERT(find_machine(host) == network.machines[process]);
    if (port != 0 && find_listener(network.machines[process], port) != NULL)
        return weir_errorf(WEIR_E_LIMIT, "cannot listen on %s:%u: the port is taken", host, port);
    *socket = make(process, LISTENING, mem_printf("%s:%u", host, port));
    (*socket)->port = port != 0 ? port : network.next_port++;
    return NULL;
}

static weir_error *sim_accept(struct os_socket *listener, struct os_socket **socket)
{
    *socket = STAILQ_FIRST(&listener->waiting);
    if (*socket == NULL)
        return NULL;
    STAILQ_REMOVE_HEAD(&listener->waiting, waiting_link);
    listener->waiting_count--;
    network.activity++;
    return NULL;
}

static weir_error *refused(const struct os_socket *socket)
{
    return weir_error_retriable(weir_errorf(WEIR_E_IO, "cannot connect to %s: %s", socket->address,
        strerrordesc_np(socket->error)));
}

static weir_error *sim_connect(const char *host, uint16_t port, struct os_socket **socket)
{
    uint32_t machine = find_machine(host);
    *socket = NULL;
    if (machine == network.machine_count || is_dead())
        return weir_errorf(WEIR_E_CONNECTOR, "cannot find the address of host '%s'", host);
    struct os_socket *it = make(sim_os_process(), CONNECTING, mem_printf("%s:%u", host, port));
    it->peer_machine = machine;
    it->to_port = port;
    it->arrives_ns = arrival_ns(it->machine, machine);
    *socket = it;
    network.activity++;
    return NULL;
}

/* The address of a machine is its name: connect knows whether there is one. */
static weir_error *sim_look_up(const char *host, struct os_addresses *addresses)
{
    addresses->count = 1;
    snprintf(addresses->list[0], OS_ADDRESS_SIZE, "%s", host);
    return NULL;
}

static weir_error *sim_check(struct os_socket *socket)
{
    return socket->state == BROKEN ? refused(socket) : NULL;
}

static void sim_limit_silence(struct os_socket *socket, int64_t timeout_ms)
{
    socket->silence_ns = timeout_ms * 1000000;
}

static uint16_t sim_port(const struct os_socket *socket)
{
    return socket->port;
}

static const char *sim_address(const struct os_socket *socket)
{
    return socket->address;
}

static int sim_fd(const struct os_socket *socket)
{
    return socket->fd;
}

bool sim_net_is_connecting(const struct os_socket *socket)
{
    return socket->state == CONNECTING;
}

/* -- moving bytes --------------------------------------------------------------------------------- */

static weir_error *broken(const struct os_socket *socket, const char *what)
{
    return weir_error_retriable(
        weir_errorf(WEIR_E_IO, "the connection to %s broke: %s", socket->address, what));
}

static size_t read_piece(struct os_socket *socket, char *bytes, size_t size)
{
    size_t done = 0;
    while (done < size && has_unread(socket)) {
        struct chunk *chunk = TAILQ_FIRST(&socket->chunks);
        size_t left = chunk->size - chunk->taken, part = left < size - done ? left : size - done;
        memcpy(bytes + done, chunk->bytes + chunk->taken, part);
        done += part;
        chunk->taken += part;
        socket->size -= part;
        if (chunk->taken == chunk->size)
            drop_chunk(socket);
    }
    return done;
}

static weir_error *sim_readv(struct os_socket *socket, const struct iovec *pieces, uint32_t count,
    size_t *done)
{
    *done = 0;
    if (is_dead())
        return broken(socket, "nobody is here");
    for (uint32_t i = 0; i < count; i++)
        *done += read_piece(socket, pieces[i].iov_base, pieces[i].iov_len);
    network.activity += *done > 0;
    sim_os_mix(*done);
    if (*done > 0)
        return NULL;
    if (socket->state == CLOSED_THERE)
        return broken(socket, "it was closed there");
    return socket->state == BROKEN ? broken(socket, strerrordesc_np(socket->error)) : NULL;
}

static size_t space_of(const struct os_socket *socket)
{
    const struct os_socket *peer = socket->peer;
    if (peer == NULL || peer->size >= network.options.window)
        return peer == NULL ? network.options.window : 0;
    return network.options.window - peer->size;
}

/* The other end is gone: the system there says so, if it can. */
static void hear_reset(struct os_socket *socket)
{
    if (socket->is_reset_coming || socket->state != OPEN)
        return;
    socket->is_reset_coming = true;
    int64_t there = arrival_ns(socket->machine, socket->peer_machine);
    int64_t back = arrival_ns(socket->peer_machine, socket->machine);
    add_chunk(socket, RST, there == HELD || back == HELD ? HELD : there + back - os_monotonic_ns(),
        NULL, 0);
}

static weir_error *sim_writev(struct os_socket *socket, const struct iovec *pieces, uint32_t count,
    size_t *done)
{
    *done = 0;
    if (is_dead() || socket->state == BROKEN)
        return broken(socket, is_dead() ? "nobody is here" : strerrordesc_np(socket->error));
    size_t space = space_of(socket);
    for (uint32_t i = 0; i < count && *done < space; i++) {
        size_t left = space - *done, part = pieces[i].iov_len < left ? pieces[i].iov_len : left;
        if (part > 0 && socket->peer != NULL)
            add_chunk(socket->peer, DATA, arrival_ns(socket->machine, socket->peer_machine),
                pieces[i].iov_base, part);
        *done += part;
    }
    sim_os_mix(*done); /* not the bytes: between the fields of a record lies what was there */
    network.activity += *done > 0;
    if (*done > 0 && socket->peer == NULL)
        hear_reset(socket);
    return NULL;
}

/* -- the poller ----------------------------------------------------------------------------------- */

struct os_poller {
    struct {
        int fd;
        bool wants_write;
        void *tag;
    } items[POLL_ITEMS_MAX];
    uint32_t count;
};

static struct os_poller *poller_new(void)
{
    return mem_alloc(sizeof(struct os_poller));
}

static void poller_free(struct os_poller *poller)
{
    mem_free(poller);
}

static uint32_t find_item(const struct os_poller *poller, int fd)
{
    uint32_t i = 0;
    while (i < poller->count && poller->items[i].fd != fd)
        i++;
    return i;
}

static void poller_add(struct os_poller *poller, int fd, bool wants_write, void *tag)
{
    ASSERT(poller->count < POLL_ITEMS_MAX && find_item(poller, fd) == poller->count);
    uint32_t i = poller->count++;
    poller->items[i].fd = fd;
    poller->items[i].wants_write = wants_write;
    poller->items[i].tag = tag;
}

static void poller_change(struct os_poller *poller, int fd, bool wants_write, void *tag)
{
    uint32_t i = find_item(poller, fd);
    ASSERT(i < poller->count);
    poller->items[i].wants_write = wants_write;
    poller->items[i].tag = tag;
}

static void poller_remove(struct os_poller *poller, int fd)
{
    uint32_t i = find_item(poller, fd);
    ASSERT(i < poller->count);
    poller->items[i] = poller->items[--poller->count];
}

static bool is_readable(const struct os_socket *socket)
{
    if (socket->state == LISTENING)
        return !STAILQ_EMPTY(&socket->waiting);
    return socket->state == BROKEN || socket->state == CLOSED_THERE || has_unread(socket);
}

static bool is_writable(const struct os_socket *socket)
{
    return socket->state == BROKEN ||
           ((socket->state == OPEN || socket->state == CLOSED_THERE) && space_of(socket) > 0);
}

static uint32_t poller_wait(struct os_poller *poller, struct os_poll_event *events,
    int64_t timeout_ms)
{
    uint32_t count = 0;
    (void)timeout_ms;
    for (uint32_t i = 0; i < poller->count && count < OS_POLL_EVENTS_MAX; i++) {
        if (poller->items[i].fd < FD_BASE)
            continue; /* a waker's: nobody sleeps on it */
        const struct os_socket *socket = network.sockets[poller->items[i].fd - FD_BASE];
        struct os_poll_event event = { .tag = poller->items[i].tag,
            .is_readable = is_readable(socket),
            .is_writable = poller->items[i].wants_write && is_writable(socket) };
        if (event.is_readable || event.is_writable)
            events[count++] = event;
    }
    return count;
}

static const struct os_socket_class sim_table = {
    .look_up = sim_look_up,
    .listen = sim_listen,
    .accept = sim_accept,
    .connect = sim_connect,
    .check = sim_check,
    .limit_silence = sim_limit_silence,
    .close = sim_close,
    .port = sim_port,
    .address = sim_address,
    .fd = sim_fd,
    .readv = sim_readv,
    .writev = sim_writev,
    .poller_new = poller_new,
    .poller_free = poller_free,
    .poller_add = poller_add,
    .poller_change = poller_change,
    .poller_remove = poller_remove,
    .poller_wait = poller_wait,
};

/* -- what arrives --------------------------------------------------------------------------------- */

static void break_it(struct os_socket *socket, int error)
{
    socket->state = BROKEN;
    socket->error = error;
    network.activity++;
}

/* The first word of a connection is at the other side. */
static void arrive(struct os_socket *client)
{
    struct os_socket *listener = find_listener(client->peer_machine, client->to_port);
    int64_t back_ns = arrival_ns(client->peer_machine, client->machine);
    client->arrives_ns = 0;
    network.activity++;
    if (listener == NULL || listener->waiting_count == BACKLOG) {
        add_chunk(client, RST, back_ns, NULL, 0);
        return;
    }
    struct os_socket *it = make(listener->process, OPEN,
        mem_printf("%s:%u", network.names[client->machine], 1024 + client->fd - FD_BASE));
    it->peer = client;
    it->peer_machine = client->machine;
    client->peer = it;
    add_chunk(client, OPENED, back_ns, NULL, 0);
    STAILQ_INSERT_TAIL(&listener->waiting, it, waiting_link);
    listener->waiting_count++;
}

static void take_signs(struct os_socket *socket)
{
    struct chunk *first;
    while ((first = TAILQ_FIRST(&socket->chunks)) != NULL && first->kind != DATA &&
           first->at_ns <= os_monotonic_ns() && socket->state != BROKEN) {
        enum chunk_kind kind = first->kind;
        drop_chunk(socket);
        network.activity++;
        if (kind == OPENED)
            socket->state = OPEN;
        else if (kind == FIN)
            socket->state = CLOSED_THERE;
        else
            break_it(socket, socket->state == CONNECTING ? ECONNREFUSED : ECONNRESET);
    }
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Since when nothing can go both ways; 0: it can. */
static int64_t blocked_since_ns(const struct os_socket *socket)
{
    uint32_t here = socket->machine, there = socket->peer_machine;
    if (here == there)
        return 0;
    return later(socket->lost_ns, later(network.down_ns[there], later(network.cut_ns[here][there],
                                                                    network.cut_ns[there][here])));
}

static int64_t breaks_at_ns(const struct os_socket *socket)
{
    if (socket->silence_ns == 0 || socket->state != OPEN || blocked_since_ns(socket) == 0)
        return INT64_MAX;
    return blocked_since_ns(socket) + socket->silence_ns;
}

void sim_net_deliver(void)
{
    int64_t now_ns = os_monotonic_ns();
    for (uint32_t i = 0; i < network.socket_end; i++) {
        struct os_socket *it = network.sockets[i];
        if (it == NULL)
            continue;
        if (it->state == CONNECTING && it->arrives_ns != 0 && it->arrives_ns <= now_ns)
            arrive(it);
        take_signs(it);
        if (breaks_at_ns(it) <= now_ns) {
            leave_peer(it);
            break_it(it, ETIMEDOUT);
        }
    }
}

int64_t sim_net_deadline_ns(void)
{
    int64_t now_ns = os_monotonic_ns(), deadline = INT64_MAX;
    for (uint32_t i = 0; i < network.socket_end; i++) {
        const struct os_socket *it = network.sockets[i];
        if (it == NULL || it->state == BROKEN)
            continue;
        const struct chunk *first = TAILQ_FIRST(&it->chunks);
        int64_t at_ns = breaks_at_ns(it);
        if (first != NULL && first->at_ns > now_ns && first->at_ns < at_ns)
            at_ns = first->at_ns;
        if (it->state == CONNECTING && it->arrives_ns != 0 && it->arrives_ns < at_ns)
            at_ns = it->arrives_ns;
        deadline = at_ns < deadline ? at_ns : deadline;
    }
    return deadline;
}

uint64_t sim_net_activity(void)
{
    return network.activity;
}

void sim_net_stir(void)
{
    network.activity++;
}

/* -- trouble -------------------------------------------------------------------------------------- */

void sim_net_kill(uint32_t process)
{
    for (uint32_t i = 0; i < network.socket_end; i++) {
        if (network.sockets[i] != NULL && network.sockets[i]->process == process)
            disconnect(network.sockets[i]);
    }
}

/* What has waited for a link goes on its way. */
static void release_held(struct os_socket *socket)
{
    uint32_t from = socket->peer_machine, to = socket->machine;
    struct chunk *chunk;
    int64_t last_ns = 0;
    if (!is_cut(from, to)) {
        TAILQ_FOREACH(chunk, &socket->chunks, link)
        {
            if (chunk->at_ns == HELD)
                chunk->at_ns = later(last_ns, os_monotonic_ns() + delay_ns(from, to));
            last_ns = chunk->at_ns;
        }
    }
    if (socket->state == CONNECTING && socket->arrives_ns == HELD)
        socket->arrives_ns = arrival_ns(to, from);
}

static void release_all(void)
{
    for (uint32_t i = 0; i < network.socket_end; i++) {
        if (network.sockets[i] != NULL && network.sockets[i]->state != LISTENING)
            release_held(network.sockets[i]);
    }
}

void sim_net_cut(uint32_t from, uint32_t to)
{
    if (network.cut_ns[from][to] == 0)
        network.cut_ns[from][to] = os_monotonic_ns();
}

void sim_net_heal(uint32_t from, uint32_t to)
{
    network.cut_ns[from][to] = 0;
    release_all();
}

void sim_net_set_down(uint32_t machine, bool is_down)
{
    network.is_down[machine] = is_down;
    network.down_ns[machine] = is_down ? os_monotonic_ns() : 0;
    if (!is_down)
        release_all();
}

static bool is_to_reset(const struct os_socket *socket, bool (*is_wanted)(uint32_t a, uint32_t b))
{
    if (socket == NULL || socket->state != OPEN || socket->peer == NULL)
        return false;
    return is_wanted == NULL ||
           (socket->size > 0 && is_wanted(socket->process, socket->peer->process));
}

static void lose_chunks(struct os_socket *socket)
{
    while (!TAILQ_EMPTY(&socket->chunks))
        drop_chunk(socket);
    break_it(socket, ECONNRESET);
}

bool sim_net_reset(uint64_t number, bool (*is_wanted)(uint32_t a, uint32_t b))
{
    uint32_t count = 0;
    struct os_socket *open[SOCKETS_MAX];
    for (uint32_t i = 0; i < network.socket_end; i++) {
        if (is_to_reset(network.sockets[i], is_wanted))
            open[count++] = network.sockets[i];
    }
    if (count == 0)
        return false;
    struct os_socket *it = open[number % count], *peer = it->peer;
    it->peer = peer->peer = NULL;
    lose_chunks(it);
    lose_chunks(peer);
    return true;
}

void sim_net_hold_back(uint32_t process, int64_t max_ns)
{
    struct chunk *chunk;
    for (uint32_t i = 0; i < network.socket_end; i++) {
        struct os_socket *it = network.sockets[i];
        if (it == NULL || it->process != process || max_ns <= 0)
            continue;
        int64_t from_ns =
            os_monotonic_ns() + (int64_t)(random_next(&network.random) % (uint64_t)max_ns);
        TAILQ_FOREACH(chunk, &it->chunks, link)
        chunk->at_ns = later(chunk->at_ns, from_ns);
    }
}

uint32_t sim_net_below(uint32_t count)
{
    return random_below(&network.random, count);
}

/* -- the network ---------------------------------------------------------------------------------- */

void sim_net_start(const struct sim_net_options *options)
{
    ASSERT(os_socket_current == &os_socket_linux);
    network = (struct network){ .options = *options,
        .random = { .state = hash_mix(options->seed + 7) },
        .next_port = PORT_FIRST };
    os_socket_current = &sim_table;
}

void sim_net_stop(void)
{
    ASSERT(os_socket_current == &sim_table);
    for (uint32_t i = 0; i < network.socket_end; i++)
        ASSERT(network.sockets[i] == NULL);
    os_socket_current = &os_socket_linux;
}

uint32_t sim_net_add_machine(const char *name)
{
    ASSERT(network.machine_count < SIM_MACHINES_MAX);
    network.names[network.machine_count] = name;
    return network.machine_count++;
}

void sim_net_place(uint32_t process, uint32_t machine)
{
    network.machines[process] = machine;
}

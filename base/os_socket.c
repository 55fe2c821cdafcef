/* os_socket.c -- see os_socket.h: the real sockets, and below them the functions that go through the table.
 * Prefixes: os_ */
#include "base/os_socket.h"

#include "base/assert.h"
#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

/* Thread: its owner. */
struct os_socket {
    int fd;
    char *address; /* of the other side; a listener's: its own */
};

/* -- making ----------------------------------------------------------------------------------- */

static struct os_socket *wrap(int fd, char *address)
{
    struct os_socket *it = mem_alloc(sizeof(*it));
    it->fd = fd;
    it->address = address;
    return it;
}

static void linux_close(struct os_socket *socket)
{
    close(socket->fd);
    mem_free(socket->address);
    mem_free(socket);
}

static weir_error *resolve(const char *host, uint16_t port, struct addrinfo **found)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    int code = getaddrinfo(host, service, &hints, found);
    if (code == 0)
        return NULL;
    weir_error *error = weir_errorf(WEIR_E_CONNECTOR,
        "cannot find the address of host '%s': %s; give a numeric address, or a name that this "
        "machine can look up",
        host, code == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(code));
    return code == EAI_AGAIN ? weir_error_retriable(error) : error;
}

static weir_error *linux_look_up(const char *host, struct os_addresses *addresses)
{
    struct addrinfo *found;
    addresses->count = 0;
    WEIR_TRY(resolve(host, 0, &found));
    for (const struct addrinfo *at = found; at != NULL && addresses->count < OS_ADDRESSES_MAX;
         at = at->ai_next) {
        char *address = addresses->list[addresses->count];
        addresses->count += getnameinfo(at->ai_addr, at->ai_addrlen, address, OS_ADDRESS_SIZE, NULL,
                                0, NI_NUMERICHOST) == 0;
    }
    freeaddrinfo(found);
    return addresses->count > 0 ? NULL
                                : weir_errorf(WEIR_E_CONNECTOR, "host '%s' has no address", host);
}

static weir_error *make(const struct addrinfo *at, int *fd)
{
    int one = 1;
    *fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return weir_errorf(WEIR_E_LIMIT,
            "cannot make a socket: %s; raise the limit of open files (ulimit -n)",
            strerrordesc_np(errno));
    ASSERT(setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
    return NULL;
}

/* SO_REUSEADDR: or a port that is given would be refused for a minute after its last user has died. */
static int bind_and_listen(int fd, const struct addrinfo *at)
{
    int one = 1;
    ASSERT(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return errno;
    return 0;
}

static weir_error *linux_listen(const char *host, uint16_t port, struct os_socket **socket)
{
    struct addrinfo *found;
    int fd;
    *socket = NULL;
    WEIR_TRY(resolve(host, port, &found));
    weir_error *error = make(found, &fd);
    int code = error == NULL ? bind_and_listen(fd, found) : 0;
    freeaddrinfo(found);
    if (error != NULL)
        return error;
    if (code == 0) {
        *socket = wrap(fd, mem_printf("%s:%u", host, port));
        return NULL;
    }
    close(fd);
    return weir_errorf(code == EADDRINUSE ? WEIR_E_LIMIT : WEIR_E_USAGE,
        "cannot listen on %s:%u: %s; give an address of this machine and a free port (0: any)",
        host, port, strerrordesc_np(code));
}

static char *describe(const struct sockaddr_storage *name, socklen_t size)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo((const struct sockaddr *)name, size, host, sizeof(host), port, sizeof(port),
            NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return mem_strdup("an unknown address");
    return mem_printf("%s:%s", host, port);
}

static weir_error *linux_accept(struct os_socket *listener, struct os_socket **socket)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    int one = 1;
    *socket = NULL;
    int fd = accept4(listener->fd, (struct sockaddr *)&name, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* it may be reset */
        *socket = wrap(fd, describe(&name, size));
        return NULL;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        return weir_error_retriable(weir_errorf(WEIR_E_LIMIT,
            "cannot accept a connection on %s: %s; raise the limit of open files (ulimit -n)",
            listener->address, strerrordesc_np(errno)));
    return NULL; /* nobody, or somebody who has gone again */
}

static weir_error *refused(const struct os_socket *socket, int code)
{
    return weir_error_retriable(weir_errorf(WEIR_E_IO,
        "cannot connect to %s: %s; is the process there running, and may this machine reach it?",
        socket->address, strerrordesc_np(code)));
}

static weir_error *linux_connect(const char *host, uint16_t port, struct os_socket **socket)
{
    struct addrinfo *found;
    int fd, code = 0;
    *socket = NULL;
    WEIR_TRY(resolve(host, port, &found));
    weir_error *error = make(found, &fd);
    if (error == NULL && connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        code = errno;
    freeaddrinfo(found);
    if (error != NULL)
        return error;
    struct os_socket *it = wrap(fd, mem_printf("%s:%u", host, port));
    if (code == 0 || code == EINPROGRESS) {
        *socket = it;
        return NULL;
    }
    error = refused(it, code);
    linux_close(it);
    return error;
}

static weir_error *linux_check(struct os_socket *socket)
{
    int code = 0;
    socklen_t size = sizeof(code);
    ASSERT(getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0);
    return code == 0 ? NULL : refused(socket, code);
}

/* With a timeout for what was sent, probes of an idle connection end it at the same time; their count is ignored. */
static void linux_limit_silence(struct os_socket *socket, int64_t timeout_ms)
{
    int one = 1, timeout = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    int pause_s = timeout / 3000 > 0 ? timeout / 3000 : 1;
    (void)setsockopt(socket->fd, SOL_SOCKET, SO_KEEPALIVE, &one,
        sizeof(one)); /* all: it may be reset */
    (void)setsockopt(socket->fd, IPPROTO_TCP, TCP_KEEPIDLE, &pause_s, sizeof(pause_s));
    (void)setsockopt(socket->fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause_s, sizeof(pause_s));
    (void)setsockopt(socket->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

static uint16_t linux_port(const struct os_socket *socket)
{
    struct sockaddr_storage name = { .ss_family = AF_UNSPEC };
    socklen_t size = sizeof(name);
    ASSERT(getsockname(socket->fd, (struct sockaddr *)&name, &size) == 0);
    if (name.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&name)->sin6_port);
    return ntohs(((struct sockaddr_in *)&name)->sin_port);
}

static const char *linux_address(const struct os_socket *socket)
{
    return socket->address;
}

static int linux_fd(const struct os_socket *socket)
{
    return socket->fd;
}

/* -- moving bytes ----------------------------------------------------------------------------- */

static weir_error *broken(const struct os_socket *socket, const char *what)
{
    return weir_error_retriable(weir_errorf(WEIR_E_IO,
        "the connection to %s broke: %s; the process there has ended, or the network between has",
        socket->address, what));
}

/* Both calls end in the same four ways. */
static weir_error *outcome(const struct os_socket *socket, ssize_t moved, int code, size_t *done)
{
    *done = moved > 0 ? (size_t)moved : 0;
    if (moved >= 0 || code == EAGAIN || code == EINTR)
        return NULL;
    return broken(socket, strerrordesc_np(code));
}

static weir_error *linux_readv(struct os_socket *socket, const struct iovec *pieces, uint32_t count,
    size_t *done)
{
    ssize_t moved = readv(socket->fd, pieces, (int)count);
    *done = 0;
    if (moved == 0)
        return broken(socket, "it was closed there");
    return outcome(socket, moved, errno, done);
}

static weir_error *linux_writev(struct os_socket *socket, const struct iovec *pieces,
    uint32_t count, size_t *done)
{
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = count };
    ssize_t moved = sendmsg(socket->fd, &message, MSG_NOSIGNAL);
    return outcome(socket, moved, errno, done);
}

/* -- the poller ------------------------------------------------------------------------------- */

/* Thread: its owner. */
struct os_poller {
    int fd;
};

static struct os_poller *linux_poller_new(void)
{
    struct os_poller *poller = mem_alloc(sizeof(*poller));
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0) {
        fprintf(stderr, "weir: cannot make a poller: %s; raise the limit of open files\n",
            strerrordesc_np(errno));
        ASSERT(poller->fd >= 0);
    }
    return poller;
}

static void linux_poller_free(struct os_poller *poller)
{
    close(poller->fd);
    mem_free(poller);
}

static void control(struct os_poller *poller, int operation, int fd, bool wants_write, void *tag)
{
    struct epoll_event event = { .events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0),
        .data.ptr = tag };
    ASSERT(epoll_ctl(poller->fd, operation, fd, &event) == 0);
}

static void linux_poller_add(struct os_poller *poller, int fd, bool wants_write, void *tag)
{
    control(poller, EPOLL_CTL_ADD, fd, wants_write, tag);
}

static void linux_poller_change(struct os_poller *poller, int fd, bool wants_write, void *tag)
{
    control(poller, EPOLL_CTL_MOD, fd, wants_write, tag);
}

static void linux_poller_remove(struct os_poller *poller, int fd)
{
    ASSERT(epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, NULL) == 0);
}

static uint32_t linux_poller_wait(struct os_poller *poller, struct os_poll_event *events,
    int64_t timeout_ms)
{
    struct epoll_event found[OS_POLL_EVENTS_MAX];
    int limit_ms = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    int count = epoll_wait(poller->fd, found, (int)OS_POLL_EVENTS_MAX, limit_ms);
    ASSERT(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
        bool is_broken = (found[i].events & (EPOLLERR | EPOLLHUP)) != 0;
        events[i] = (struct os_poll_event){ .tag = found[i].data.ptr,
            .is_readable = is_broken || (found[i].events & EPOLLIN) != 0,
            .is_writable = is_broken || (found[i].events & EPOLLOUT) != 0 };
    }
    return count < 0 ? 0 : (uint32_t)count;
}

/* -- the table -------------------------------------------------------------------------------- */

const struct os_socket_class os_socket_linux = {
    .look_up = linux_look_up,
    .listen = linux_listen,
    .accept = linux_accept,
    .connect = linux_connect,
    .check = linux_check,
    .limit_silence = linux_limit_silence,
    .close = linux_close,
    .port = linux_port,
    .address = linux_address,
    .fd = linux_fd,
    .readv = linux_readv,
    .writev = linux_writev,
    .poller_new = linux_poller_new,
    .poller_free = linux_poller_free,
    .poller_add = linux_poller_add,
    .poller_change = linux_poller_change,
    .poller_remove = linux_poller_remove,
    .poller_wait = linux_poller_wait,
};
const struct os_socket_class *os_socket_current = &os_socket_linux;

weir_error *os_socket_look_up(const char *host, struct os_addresses *addresses)
{
    WEIR_TRY(os_socket_current->look_up(host, addresses));
    ASSERT(addresses->count >= 1 && addresses->count <= OS_ADDRESSES_MAX);
    return NULL;
}

weir_error *os_socket_listen(const char *host, uint16_t port, struct os_socket **socket)
{
    return os_socket_current->listen(host, port, socket);
}

weir_error *os_socket_accept(struct os_socket *listener, struct os_socket **socket)
{
    return os_socket_current->accept(listener, socket);
}

weir_error *os_socket_connect(const char *host, uint16_t port, struct os_socket **socket)
{
    return os_socket_current->connect(host, port, socket);
}

weir_error *os_socket_check(struct os_socket *socket)
{
    return os_socket_current->check(socket);
}

void os_socket_limit_silence(struct os_socket *socket, int64_t timeout_ms)
{
    os_socket_current->limit_silence(socket, timeout_ms);
}

void os_socket_close(struct os_socket *socket)
{
    if (socket != NULL)
        os_socket_current->close(socket);
}

uint16_t os_socket_port(const struct os_socket *socket)
{
    return os_socket_current->port(socket);
}

const char *os_socket_address(const struct os_socket *socket)
{
    return os_socket_current->address(socket);
}

int os_socket_fd(const struct os_socket *socket)
{
    return os_socket_current->fd(socket);
}

weir_error *os_socket_readv(struct os_socket *socket, const struct iovec *pieces, uint32_t count,
    size_t *done)
{
    ASSERT(count >= 1 && count <= OS_SOCKET_IOVS_MAX);
    return os_socket_current->readv(socket, pieces, count, done);
}

weir_error *os_socket_writev(struct os_socket *socket, const struct iovec *pieces, uint32_t count,
    size_t *done)
{
    ASSERT(count >= 1 && count <= OS_SOCKET_IOVS_MAX);
    return os_socket_current->writev(socket, pieces, count, done);
}

struct os_poller *os_poller_new(void)
{
    return os_socket_current->poller_new();
}

void os_poller_free(struct os_poller *poller)
{
    if (poller != NULL)
        os_socket_current->poller_free(poller);
}

void os_poller_add(struct os_poller *poller, int fd, bool wants_write, void *tag)
{
    os_socket_current->poller_add(poller, fd, wants_write, tag);
}

void os_poller_change(struct os_poller *poller, int fd, bool wants_write, void *tag)
{
    os_socket_current->poller_change(poller, fd, wants_write, tag);
}

void os_poller_remove(struct os_poller *poller, int fd)
{
    os_socket_current->poller_remove(poller, fd);
}

uint32_t os_poller_wait(struct os_poller *poller, struct os_poll_event *events, int64_t timeout_ms)
{
    return os_socket_current->poller_wait(poller, events, timeout_ms);
}

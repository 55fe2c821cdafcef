/* os_socket.h -- TCP connections that never block, and a poller to sleep on many of them.
 *
 *      os_socket_listen -> os_socket_accept ->  os_socket_readv, os_socket_writev  -> os_socket_close
 *      os_socket_connect -> (writable) -> os_socket_check ->       "
 *
 * Every socket is non-blocking, closed on exec, and has TCP_NODELAY: whoever writes puts together what
 * belongs together. A call that would block says so with a count of 0 and no error; the poller tells when to
 * try again. Errors name the other side's address, the cause and the fix, and are retriable but for what a
 * configuration causes (a port that is taken, a host without an address).
 *
 * They have a table of their own, as os.h has: the simulator puts its network in its place. A call is for a batch of
 * records, so the pointer in its way costs nothing that could be measured.
 * Prefixes: os_
 * Thread: a socket and a poller belong to one thread at a time. */
#ifndef WEIR_BASE_OS_SOCKET_H
#define WEIR_BASE_OS_SOCKET_H

#include <weir/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define OS_SOCKET_IOVS_MAX 128u /* pieces of one call */

#define OS_ADDRESSES_MAX 16u
#define OS_ADDRESS_SIZE  96u /* with its zone, and a NUL */

/* What a name means, as numeric addresses, in the order in which they are best tried; at least one. */
struct os_addresses {
    uint32_t count;
    char list[OS_ADDRESSES_MAX][OS_ADDRESS_SIZE];
};
/* May take as long as the resolver does, which is seconds when it is away. */
weir_error *os_socket_look_up(const char *host, struct os_addresses *addresses) WEIR_MUST_USE;

struct os_socket; /* Thread: its owner */
/* Port 0: any free one; one that is taken is WEIR_E_LIMIT. The host is a numeric address or a name; a name may take
 * as long as its look-up. */
weir_error *os_socket_listen(const char *host, uint16_t port, struct os_socket **socket)
    WEIR_MUST_USE;
/* *socket NULL: nobody waits. */
weir_error *os_socket_accept(struct os_socket *listener, struct os_socket **socket) WEIR_MUST_USE;
/* Begins to connect: once it is writable, os_socket_check says what came of it. To the first address of a name, which is
 * looked up before. */
weir_error *os_socket_connect(const char *host, uint16_t port, struct os_socket **socket)
    WEIR_MUST_USE;
weir_error *os_socket_check(struct os_socket *socket) WEIR_MUST_USE;
/* Once connected: it breaks when the other side's machine, or the network, has not answered for this long, also when
 * nothing is sent. Without it that takes a quarter of an hour, or for ever. */
void os_socket_limit_silence(struct os_socket *socket, int64_t timeout_ms);
void os_socket_close(struct os_socket *socket); /* NULL is fine */

uint16_t os_socket_port(const struct os_socket *socket);       /* its own */
const char *os_socket_address(const struct os_socket *socket); /* of the other side; host:port */
int os_socket_fd(const struct os_socket *socket);

/* *count 0: would block. The other side having closed is an error. */
weir_error *os_socket_readv(struct os_socket *socket, const struct iovec *pieces, uint32_t count,
    size_t *done) WEIR_MUST_USE;
weir_error *os_socket_writev(struct os_socket *socket, const struct iovec *pieces, uint32_t count,
    size_t *done) WEIR_MUST_USE;

/* -- the poller: epoll, level-triggered ------------------------------------------------------- */
#define OS_POLL_EVENTS_MAX 64u /* of one wait; what is left comes with the next */

/* Thread: its owner. */
struct os_poll_event {
    void *tag;
    bool is_readable, is_writable; /* broken: both, and the next call tells how */
};
struct os_poller; /* Thread: its owner */
struct os_poller *os_poller_new(void);
void os_poller_free(struct os_poller *poller);
void os_poller_add(struct os_poller *poller, int fd, bool wants_write, void *tag);
void os_poller_change(struct os_poller *poller, int fd, bool wants_write, void *tag);
void os_poller_remove(struct os_poller *poller, int fd); /* before it is closed */
/* Returns how many of `events` (OS_POLL_EVENTS_MAX) are filled; negative time-out: for ever. */
uint32_t os_poller_wait(struct os_poller *poller, struct os_poll_event *events, int64_t timeout_ms);

/* -- the table -------------------------------------------------------------------------------- */
/* Thread: immutable after init: set os_socket_current before the first socket is made. What the simulator replaces: each
 * function is the one above of the same name. Sockets and pollers are the implementation's own. */
struct os_socket_class {
    weir_error *(*look_up)(const char *host, struct os_addresses *addresses);
    weir_error *(*listen)(const char *host, uint16_t port, struct os_socket **socket);
    weir_error *(*accept)(struct os_socket *listener, struct os_socket **socket);
    weir_error *(*connect)(const char *host, uint16_t port, struct os_socket **socket);
    weir_error *(*check)(struct os_socket *socket);
    void (*limit_silence)(struct os_socket *socket, int64_t timeout_ms);
    void (*close)(struct os_socket *socket);
    uint16_t (*port)(const struct os_socket *socket);
    const char *(*address)(const struct os_socket *socket);
    int (*fd)(const struct os_socket *socket);
    weir_error *(
        *readv)(struct os_socket *socket, const struct iovec *pieces, uint32_t count, size_t *done);
    weir_error *(*writev)(struct os_socket *socket, const struct iovec *pieces, uint32_t count,
        size_t *done);
    struct os_poller *(*poller_new)(void);
    void (*poller_free)(struct os_poller *poller);
    void (*poller_add)(struct os_poller *poller, int fd, bool wants_write, void *tag);
    void (*poller_change)(struct os_poller *poller, int fd, bool wants_write, void *tag);
    void (*poller_remove)(struct os_poller *poller, int fd);
    uint32_t (
        *poller_wait)(struct os_poller *poller, struct os_poll_event *events, int64_t timeout_ms);
};
extern const struct os_socket_class os_socket_linux;
extern const struct os_socket_class *os_socket_current; /* &os_socket_linux at start */

#endif

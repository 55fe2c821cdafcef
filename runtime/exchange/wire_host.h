/* wire_host.h -- where another worker is: a name, looked up aside, and the addresses that it has, one after the other.
 *
 *      next --> NULL: it is being looked up, and the waker tells when that is over
 *           --> "10.0.0.7", the next time "fd00::7"; behind the last one the name is looked up anew: it may have moved
 *
 * A resolver may take seconds, which the thread that moves the records of all other workers does not have.
 *
 * Thread: io; the look-up itself is a worker's. */
#ifndef WEIR_EXCHANGE_WIRE_HOST_H
#define WEIR_EXCHANGE_WIRE_HOST_H

#include "base/os_socket.h"

#include <stdatomic.h>

struct waker;
struct workers;

/* Thread: io; a worker has `addresses` and `error` between is_asked and is_answered. */
struct wire_host {
    const char *name;
    struct workers *workers;
    struct waker *waker;
    struct os_addresses addresses;
    uint32_t next; /* of the addresses */
    weir_error *error;
    bool is_asked;
    atomic_bool is_answered;
};

/* The name, workers and waker outlive it. `workers` NULL: looked up by next itself. */
void wire_host_init(struct wire_host *host, const char *name, struct workers *workers,
    struct waker *waker);
void wire_host_release(struct wire_host *host); /* waits for a look-up; a zeroed one is fine */
/* A numeric address, valid until the next call. NULL: *error says why not; it is NULL while it is being looked up. */
const char *wire_host_next(struct wire_host *host, weir_error **error);
bool wire_host_has_more(const struct wire_host *host);     /* addresses that were not tried yet */
bool wire_host_has_answered(const struct wire_host *host); /* what next has waited for is there */

#endif

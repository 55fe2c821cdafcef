/* wire_link.h -- one connection between two workers: frames out, frames in, over TCP or TLS.
 *
 *      add --> [ queue of frames ] --writev--> socket --readv--> reader --> calls
 *
 * Out: up to WIRE_LINK_FRAMES frames wait; a write hands the system all of them, header and segment by segment,
 * from where they lie. What the system does not take stays. In: straight into segments (wire_frame.h), a
 * bounded number of reads a turn. Neither waits: can_read and can_write say whether a call may have anything
 * to do; whoever polls sets them.
 *
 * With crypto (TLS) what is written is put together in a buffer of 16 KiB first, the size of a TLS record; a
 * write that would block is repeated with the same bytes at the same place, as OpenSSL wants it.
 *
 * Thread: io. */
#ifndef WEIR_EXCHANGE_WIRE_LINK_H
#define WEIR_EXCHANGE_WIRE_LINK_H

#include "base/metrics.h"
#include "base/os_socket.h"
#include "runtime/exchange/wire_frame.h"

#define WIRE_LINK_FRAMES 16u

/* What the owner of a wire gives for encryption; the session is over a socket that stays the link's.
 * Thread: io, for all calls. */
struct wire_crypto {
    void *arg;
    /* `host`: what this side dialled; NULL: it was called. The handshake happens inside the first reads and
     * writes. */
    weir_error *(*wrap)(void *arg, struct os_socket *socket, const char *host, void **session);
    /* *done 0: would block, until the socket is readable; or writable, if *wants_write. Both come in with 0
     * and false. The other side having closed is an error. */
    weir_error *(*read)(void *session, void *bytes, size_t size, size_t *done, bool *wants_write);
    weir_error *(
        *write)(void *session, const void *bytes, size_t size, size_t *done, bool *wants_write);
    void (*free)(void *session);
};

/* Thread: io writes, any reads. */
struct wire_metrics {
    metric bytes_in, bytes_out;
    metric segments_in, segments_out;
    metric reads, writes; /* system calls, or those of the crypto */
};

struct wire_link; /* Thread: io */
struct wire_link_options {
    struct os_socket *socket;         /* taken */
    const struct wire_crypto *crypto; /* NULL: plain; outlives it */
    const char *host;                 /* that was dialled; NULL: accepted */
    struct wire_frame_calls calls;
    struct wire_metrics *metrics; /* outlive it */
};
/* An error: the socket is closed. */
weir_error *wire_link_new(const struct wire_link_options *options, struct wire_link **link)
    WEIR_MUST_USE;
void wire_link_free(struct wire_link *link); /* what is under way is given back */
struct os_socket *wire_link_socket(const struct wire_link *link);

/* Frames that may be added now. */
uint32_t wire_link_space(const struct wire_link *link);
void wire_link_add_segment(struct wire_link *link, uint32_t channel,
    struct segment *segment); /* takes */
void wire_link_add_credit(struct wire_link *link, uint32_t channel, uint32_t granted);
/* The payload outlives the link. */
void wire_link_add_hello(struct wire_link *link, const char *payload, uint32_t size);

/* Something happened to its descriptor. */
void wire_link_awake(struct wire_link *link);
bool wire_link_can_read(const struct wire_link *link);
bool wire_link_can_write(const struct wire_link *link);
/* Wants to hear when the descriptor is writable; that it is readable always. */
bool wire_link_wants_write(const struct wire_link *link);

/* One turn each. *has_worked is set if bytes moved. After an error only free may follow. */
weir_error *wire_link_send(struct wire_link *link, bool *has_worked) WEIR_MUST_USE;
weir_error *wire_link_receive(struct wire_link *link, bool *has_worked) WEIR_MUST_USE;

#endif

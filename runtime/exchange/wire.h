/* wire.h -- the data plane between worker processes: channels whose ends are in two of them.
 *
 *      worker 0                                          worker 1
 *      partition -> channel -> [wire] ===== TCP ===== [wire] -> channel -> gate
 *                               io thread             io thread
 *
 * To the tasks nothing is different: the io thread takes the consumer's part of the channel on one side, the
 * producer's on the other, with credits of its own between them (wire_peer.h). There is one connection for
 * each pair of workers that share a channel, for both directions; the lower worker connects to the higher.
 * Peers start at different times, so that is tried again until a deadline; once it stands, a connection that
 * breaks ends the attempt: `failed` is called, once, with a retriable error for whatever a restart may mend,
 * and the wire moves nothing any more. A wire belongs to one attempt.
 *
 *      wire_new: listens                 wire_port goes to the others
 *      wire_add_output, wire_add_input   all channels with an end elsewhere
 *      wire_connect                      addresses are known; from here on it works:
 *      wire_start ... wire_stop          a thread of its own; or wire_step, by whoever owns it
 *      wire_free                         stopped
 *
 * Security: who does not say the job, the attempt and the secret of 32 bytes is closed, before anything else
 * is read; WIRE_STRANGERS_MAX at once, each for a few seconds. Without crypto the secret and the records are
 * readable on the network.
 * Memory: of each connection 16 segments that wait to be written, beyond what channels hold.
 *
 * TCP within a machine, too. A Unix socket in its place was measured, in pairs of a billion bytes each, on two busy cores:
 * the CPU of both processes is 1.00 of TCP's with records of 100 bytes (median; it was lower in 15 pairs of 30), 1.08
 * with 1 KiB (11 of 24), 1.09 with 8 KiB (12 of 30), and 0.66 with 1 MiB (27 of 30). Sending and receiving is 17 to 26 %
 * of it here, 15 to 18 % over a Unix socket; the rest are records, checksums and wake-ups. A bare copy of 32 KiB pieces
 * takes 0.1 s a GB instead of 0.5, because what waits in a TCP connection grows to megabytes: it takes 0.27 with buffers
 * of 128 KiB. Credits keep as little under way, but for records that are longer than they are. These alone would gain,
 * which is not worth a second transport and its rules of who may connect. Buffers of 128 KiB for TCP gain as much with
 * 1 MiB (0.67, 12 pairs), but nothing with 100 bytes (1.02, 42 pairs, 19 of them lower; the mean is 1.08): left out, too.
 *
 * Thread: control for all but metrics (any) and wire_step (io); `failed` and the crypto are called by io. */
#ifndef WEIR_EXCHANGE_WIRE_H
#define WEIR_EXCHANGE_WIRE_H

#include "runtime/exchange/channel.h"
#include "runtime/exchange/wire_link.h"

#define WIRE_STRANGERS_MAX 64u   /* connections that have not said who they are */
#define WIRE_WORKERS_MAX   4096u /* of a job */

/* Thread: immutable after init. */
struct wire_options {
    const char *host; /* to listen on */
    uint16_t port;    /* 0: any; taken: WEIR_E_LIMIT */
    struct wire_frame_hello self;
    const struct wire_crypto *crypto; /* NULL: plain; outlives the wire */
    struct workers
        *workers; /* look names up; outlive the wire. NULL: io does it, and everything waits */
    int64_t silence_ms; /* of another worker's machine, until it is lost; 0: no limit */
    /* Takes the error. Posts it to somebody: wire_stop waits for its return. */
    void (*failed)(void *arg, weir_error *error);
    void *arg;
};

struct wire_address {
    const char *host; /* all addresses that it has are tried */
    uint16_t port;
};

struct wire;
weir_error *wire_new(const struct wire_options *options, struct wire **wire) WEIR_MUST_USE;
void wire_free(struct wire *wire); /* NULL is fine */
uint16_t wire_port(const struct wire *wire);
uint32_t wire_worker(const struct wire *wire); /* who this is */
uint32_t wire_worker_count(const struct wire *wire);
struct waker *wire_waker(struct wire *wire); /* for its end of a channel */

/* Before wire_connect; the channels outlive wire_stop. `number`: of the channel, unique in the job. */
void wire_add_output(struct wire *wire, uint32_t peer, uint32_t number, struct channel *channel);
void wire_add_input(struct wire *wire, uint32_t peer, uint32_t number, struct channel *channel);
/* An address for each worker of the job (its own is ignored), borrowed until wire_stop, as the pool is, which
 * incoming segments come from. What comes of it is told by `failed`, or by silence. */
void wire_connect(struct wire *wire, const struct wire_address *addresses,
    struct segment_pool *pool, int64_t timeout_ms);
bool wire_is_connected(
    const struct wire *wire); /* to all that it shares a channel with; Thread: any */

weir_error *wire_start(struct wire *wire) WEIR_MUST_USE;
/* Closes all connections; what was under way is lost. Harmless if it does not run. */
void wire_stop(struct wire *wire);
/* One turn of what the thread does: sleeps up to `timeout_ms` (negative: no limit) if there is nothing to do.
 * True: bytes or segments moved. */
bool wire_step(struct wire *wire, int64_t timeout_ms);

const struct wire_metrics *wire_metrics(const struct wire *wire);

#endif

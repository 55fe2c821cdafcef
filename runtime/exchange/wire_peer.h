/* wire_peer.h -- the channels that this worker shares with another one, and their credits.
 *
 *      output: the producer is here, we pop    -->  segment frames  -->  input: the consumer is here, we push
 *                                              <--  credit frames   <--
 *
 * The side of the consumer grants places: as many as its channel has room for, counted from the start, so that
 * a grant needs no answer. The side of the producer pops a segment only while it has sent fewer places than
 * it was granted; the last one may go over, if its record is long, exactly as a producer task does
 * (channel.h). Both sides count the places of a segment alike. So a push always finds room, a connection is
 * read at all times, and a channel whose consumer is blocked holds up nobody but its producer.
 *
 * Granted again is when half of the credits are free, or the other side has none left: a grant for each
 * segment would be a frame for each. Either the other side has some left, and what it sends makes us look;
 * or channel_room has told the consumer to wake us. So no grant is forgotten.
 *
 * Numbers of channels are those of the job (taskmanager.c), the same on both sides.
 * Thread: io; adding: before it starts. */
#ifndef WEIR_EXCHANGE_WIRE_PEER_H
#define WEIR_EXCHANGE_WIRE_PEER_H

#include "runtime/exchange/channel.h"
#include "runtime/exchange/wire_link.h"

struct wire_peer;
struct wire_peer *wire_peer_new(uint32_t worker);
void wire_peer_free(struct wire_peer *peer); /* the channels stay the caller's */
void wire_peer_add_output(struct wire_peer *peer, uint32_t number, struct channel *channel);
void wire_peer_add_input(struct wire_peer *peer, uint32_t number, struct channel *channel);
bool wire_peer_has_channels(const struct wire_peer *peer);
void wire_peer_start(struct wire_peer *peer); /* nothing is added any more */

/* Puts segments and grants into the link, as many as have space there and may go. */
void wire_peer_fill(struct wire_peer *peer, struct wire_link *link);

/* What the reader of the link found (wire_frame_calls). */
weir_error *wire_peer_begin(struct wire_peer *peer, struct segment_pool *pool, uint32_t number,
    uint32_t size, struct segment **segment) WEIR_MUST_USE;
weir_error *wire_peer_push(struct wire_peer *peer, uint32_t number, struct segment *segment)
    WEIR_MUST_USE; /* takes it */
weir_error *wire_peer_credit(struct wire_peer *peer, uint32_t number, uint32_t granted)
    WEIR_MUST_USE;

#endif

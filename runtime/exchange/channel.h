/* channel.h -- the bounded way from one producing subtask to one consuming subtask.
 *
 *      partition --push--> [ ring of segments ] --pop--> gate
 *
 * The credits of a channel are its free places, of 32 KiB each: a producer without one reports
 * *no room*, its task stops reading its own inputs, and so on up to the source, which stops
 * polling. A segment takes a place, that of a longer record as many as its bytes need: so a
 * channel holds credits x 32 KiB and what one step produced beyond the last credit, whatever the
 * size of records. Barriers, ends and that overhang always find a place: the ring is larger than
 * the credits by CHANNEL_RESERVE, and behind it the producer keeps an overflow list (bounded by
 * one step's output) that goes first.
 *
 * Waking: pushing wakes the consumer's executor if it sleeps; popping wakes the producer's if it
 * had found no room or an overflow, once half of the credits are free: a wake for each segment
 * would be a switch between threads for each. Its overflow moves only when the producer asks for
 * room (or flushed), so a producer asks *all* its channels, even if the first has none: what
 * waits behind a second one may be the barrier that the consumer of the first is waiting for.
 *
 * A consumer that looks for a barrier may take segments ahead of their turn: their places stay taken until it reads
 * them. What still waits on the other side of a connection is not in sight; to see it the consumer lends the producer as
 * many places again, for as long as it looks.
 *
 * In one process a push hands a pointer over. Between processes there is a channel on both sides, and
 * the io thread of each takes the other end of it (wire.h).
 *
 * Thread: push, room and flushed: producer; pop to is_empty: consumer; the rest: neither runs. */
#ifndef WEIR_EXCHANGE_CHANNEL_H
#define WEIR_EXCHANGE_CHANNEL_H

#include "runtime/exchange/segment.h"
#include <stdbool.h>

#define CHANNEL_CREDITS_DEFAULT 6 /* segments: 192 KiB in flight a channel */
#define CHANNEL_RESERVE         4

struct waker;
struct channel; /* Thread: producer and consumer, one each */
struct channel *channel_new(uint32_t credits);
void channel_free(struct channel *channel); /* gives back what is in it */
uint32_t channel_credits(const struct channel *channel);
/* Before the first push; may be NULL (tests, simulator). */
void channel_set_wakers(struct channel *channel, struct waker *producer, struct waker *consumer);

/* Its producer is a connection: places may be lent. Before the first push. */
void channel_set_remote(struct channel *channel);

/* What a segment takes of a channel's credits. */
static inline uint32_t channel_places(const struct segment *segment)
{
    return segment->capacity <= SEGMENT_CAPACITY ? 1 : segment->capacity / SEGMENT_SIZE + 1;
}

void channel_push(struct channel *channel, struct segment *segment);
uint32_t channel_room(
    struct channel *channel); /* credits left; tries to drain the overflow first */
/* True when nothing is in the overflow list: everything pushed is on its way. Drains it too. */
bool channel_flushed(struct channel *channel);

struct segment *channel_pop(struct channel *channel); /* NULL: empty */
/* The same ahead of its turn; channel_free_places() when it is its turn. */
struct segment *channel_pop_ahead(struct channel *channel);
void channel_free_places(struct channel *channel, const struct segment *segment);
void channel_lend(struct channel *channel, bool is_lent); /* nothing unless it is remote */
bool channel_is_empty(const struct channel *channel);     /* consumer's view */

#endif

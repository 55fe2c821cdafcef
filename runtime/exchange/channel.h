/* channel.h -- the bounded way from one producing subtask to one consuming subtask.
 *
 *      partition --push--> [ ring of segments ] --pop--> gate
 *
 * The credits of a channel are its free places: a producer without one reports *no room*, its task
 * stops reading its own inputs, and so on up to the source, which stops polling. Barriers, ends and
 * what one step produced beyond the last credit always find a place: the ring is larger than the
 * credits by CHANNEL_RESERVE, and behind it the producer keeps an overflow list (bounded by one
 * step's output) that goes first.
 *
 * Waking: pushing wakes the consumer's executor if it sleeps, popping the producer's if it had found
 * no room. In one process a push hands a pointer over. (Between processes an io thread takes the
 * consumer's part on one side and the producer's on the other.)
 *
 * Thread: push and room: producer; pop: consumer. */
#ifndef WEIR_EXCHANGE_CHANNEL_H
#define WEIR_EXCHANGE_CHANNEL_H

#include "runtime/exchange/segment.h"
#include <stdbool.h>

#define CHANNEL_CREDITS_DEFAULT 8 /* segments: 256 KiB in flight a channel */
#define CHANNEL_RESERVE 4

struct waker;
struct channel;
struct channel *channel_new(uint32_t credits);
void channel_free(struct channel *channel); /* gives back what is in it */
/* Before the first push; may be NULL (tests, simulator). */
void channel_set_wakers(struct channel *channel, struct waker *producer, struct waker *consumer);

void channel_push(struct channel *channel, struct segment *segment);
uint32_t channel_room(struct channel *channel); /* credits left; tries to drain the overflow first */
/* True when nothing is in the overflow list: everything pushed is on its way. */
bool channel_flushed(struct channel *channel);

struct segment *channel_pop(struct channel *channel); /* NULL: empty */
bool channel_is_empty(const struct channel *channel);  /* consumer's view */

#endif

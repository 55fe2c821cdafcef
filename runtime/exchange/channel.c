/* channel.c -- a ring of segments, a list for what the ring cannot take, and one flag.
 *
 * The flag `is_waiting` says that the producer found no room (or left something in the overflow)
 * and may sleep. The two sides meet like this, and a wake-up cannot be lost:
 *
 *      producer                                consumer
 *      1 sees no room                          a pops, counts its places as free
 *      2 sets is_waiting                       b reads is_waiting: clears it and wakes
 *      3 looks at the room once more
 *
 * Both 2 and b are read-modify-writes of the flag, so one comes after the other: b after 2 wakes,
 * and 2 after b sees what came before b, the pop, in 3. (A plain load in b could pass the pop.
 * Fences would do as well, but TSan does not know them.) With the half rule b may leave the flag
 * alone while the ring has more segments than half the credits; the pop that crosses the half
 * takes care of it, and the consumer gets there unless it is blocked for a barrier, when the
 * producer has nothing to gain from being awake.
 *
 * Places are two counters that only grow, one of each side, so neither side ever writes what the
 * other writes. `pushed` counts the overflow too: while there is one, the room is none anyway. */
#include "runtime/exchange/channel.h"

#include "base/memory.h"
#include "base/os.h"
#include "base/queue.h"

#include <stdatomic.h>

/* Thread: see its parts. */
struct channel {
    /* immutable after the first push */
    struct ring *ring;
    uint32_t credits;
    bool is_remote;
    struct waker *producer, *consumer;
    /* both: set by the producer, cleared by the consumer */
    alignas(MEM_LINE_SIZE) _Atomic uint32_t is_waiting;
    /* written by the consumer */
    alignas(MEM_LINE_SIZE) _Atomic uint32_t popped; /* places, ever */
    _Atomic uint32_t lent;                          /* places, beyond the credits */
    /* producer */
    alignas(MEM_LINE_SIZE) uint32_t pushed; /* places, ever */
    struct segment *overflow_first;         /* pushed when the ring was full, oldest first */
    struct segment *overflow_last;
};

struct channel *channel_new(uint32_t credits)
{
    ASSERT(credits >= 1 && credits <= 1u << 20);
    struct channel *channel = mem_alloc_aligned(MEM_LINE_SIZE, sizeof(*channel));
    channel->ring = ring_new(credits + CHANNEL_RESERVE);
    channel->credits = credits;
    return channel;
}

void channel_free(struct channel *channel)
{
    if (channel == NULL)
        return;
    struct segment *segment;
    while ((segment = ring_pop(channel->ring)) != NULL)
        segment_give(segment);
    while ((segment = channel->overflow_first) != NULL) {
        channel->overflow_first = segment->next;
        segment_give(segment);
    }
    ring_free(channel->ring);
    mem_free(channel);
}

uint32_t channel_credits(const struct channel *channel)
{
    return channel->credits;
}

void channel_set_wakers(struct channel *channel, struct waker *producer, struct waker *consumer)
{
    ASSERT(ring_count(channel->ring) == 0);
    channel->producer = producer;
    channel->consumer = consumer;
}

void channel_set_remote(struct channel *channel)
{
    channel->is_remote = true;
}

/* -- producer ------------------------------------------------------------------------------- */

static void announce(struct channel *channel)
{
    if (channel->consumer != NULL)
        waker_wake(channel->consumer);
}

/* Moves what it can from the overflow to the ring; true: the overflow is empty. */
static bool drain(struct channel *channel)
{
    if (channel->overflow_first == NULL)
        return true;
    bool has_moved = false;
    while (channel->overflow_first != NULL) {
        struct segment *next = channel->overflow_first->next;
        if (!ring_push(channel->ring, channel->overflow_first))
            break;
        channel->overflow_first = next;
        has_moved = true;
    }
    if (has_moved)
        announce(channel);
    return channel->overflow_first == NULL;
}

static void await_room(struct channel *channel)
{
    atomic_fetch_or_explicit(&channel->is_waiting, 1, memory_order_acq_rel);
}

/* Drains; true when it is empty. If not, the consumer knows that we wait. */
static bool drain_or_await(struct channel *channel)
{
    if (drain(channel))
        return true;
    await_room(channel);
    return drain(channel);
}

void channel_push(struct channel *channel, struct segment *segment)
{
    DEBUG_ASSERT(segment->used > 0 && segment->read == 0);
    segment->next = NULL;
    channel->pushed += channel_places(segment);
    if (drain(channel) && ring_push(channel->ring, segment)) {
        announce(channel);
        return;
    }
    if (channel->overflow_first == NULL)
        channel->overflow_first = segment;
    else
        channel->overflow_last->next = segment;
    channel->overflow_last = segment;
    (void)drain_or_await(channel);
}

static uint32_t free_credits(const struct channel *channel)
{
    uint32_t taken = channel->pushed - atomic_load_explicit(&channel->popped, memory_order_acquire);
    uint32_t places = channel->credits + atomic_load_explicit(&channel->lent, memory_order_acquire);
    return taken < places ? places - taken : 0;
}

uint32_t channel_room(struct channel *channel)
{
    if (!drain_or_await(channel))
        return 0;
    uint32_t room = free_credits(channel);
    if (room > 0)
        return room;
    await_room(channel);
    return free_credits(channel);
}

bool channel_flushed(struct channel *channel)
{
    return drain_or_await(channel);
}

/* -- consumer ------------------------------------------------------------------------------- */

static void wake_producer(struct channel *channel)
{
    if (atomic_fetch_or_explicit(&channel->is_waiting, 0, memory_order_acq_rel) == 0)
        return;
    if (ring_count(channel->ring) > channel->credits / 2)
        return;
    atomic_store_explicit(&channel->is_waiting, 0, memory_order_relaxed);
    if (channel->producer != NULL)
        waker_wake(channel->producer);
}

/* The ring has a place more, so what waits in the overflow can move. */
struct segment *channel_pop_ahead(struct channel *channel)
{
    struct segment *segment = ring_pop(channel->ring);
    if (segment != NULL)
        wake_producer(channel);
    return segment;
}

void channel_free_places(struct channel *channel, const struct segment *segment)
{
    uint32_t popped = atomic_load_explicit(&channel->popped, memory_order_relaxed);
    atomic_store_explicit(&channel->popped, popped + channel_places(segment), memory_order_release);
    wake_producer(channel);
}

struct segment *channel_pop(struct channel *channel)
{
    struct segment *segment = ring_pop(channel->ring);
    if (segment != NULL)
        channel_free_places(channel, segment);
    return segment;
}

void channel_lend(struct channel *channel, bool is_lent)
{
    uint32_t places = is_lent && channel->is_remote ? channel->credits : 0;
    if (atomic_load_explicit(&channel->lent, memory_order_relaxed) == places)
        return;
    atomic_store_explicit(&channel->lent, places, memory_order_release);
    if (places > 0)
        wake_producer(channel);
}

bool channel_is_empty(const struct channel *channel)
{
    return ring_count(channel->ring) == 0;
}

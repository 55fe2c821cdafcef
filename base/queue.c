/* queue.c -- ring: a single-producer single-consumer ring; inbox: a locked one for many producers.
 *
 * ring. `tail` counts what was ever pushed, `head` what was ever popped; both run over 2^32 and are
 * masked to slots, whose number is a power of two, while count_max is any number. Each side keeps
 * its own copy of the other's counter and looks at the real one only when the copy says "full" or
 * "empty": in a busy channel the cache line of the other side is fetched once per lap, not per
 * item. The two sides live in different cache lines for the same reason.
 *
 * inbox. `count` changes only under the lock, but may be read without it. A consumer that reads 0
 * may miss an item pushed this instant; its producer wakes it afterwards (waker_wake), and that
 * orders the push before the next look. */
#include "base/queue.h"

#include "base/assert.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

/* Thread: see its parts. */
struct ring {
    /* immutable after init */
    void **slots;
    uint32_t mask;
    uint32_t count_max;
    /* written by the producer */
    alignas(MEM_LINE_SIZE) _Atomic uint32_t tail;
    uint32_t head_seen;
    /* written by the consumer */
    alignas(MEM_LINE_SIZE) _Atomic uint32_t head;
    uint32_t tail_seen;
};
_Static_assert(sizeof(struct ring) == 3 * MEM_LINE_SIZE, "the two sides share no line");

struct ring *ring_new(uint32_t count_max)
{
    ASSERT(count_max >= 1 && count_max <= UINT32_C(1) << 30);
    uint32_t slot_count = 1;
    while (slot_count < count_max)
        slot_count *= 2;
    struct ring *ring = mem_alloc_aligned(MEM_LINE_SIZE, sizeof(*ring));
    ring->slots = mem_alloc_array(slot_count, sizeof(void *));
    ring->mask = slot_count - 1;
    ring->count_max = count_max;
    return ring;
}

void ring_free(struct ring *ring)
{
    if (ring == NULL)
        return;
    mem_free(ring->slots);
    mem_free(ring);
}

bool ring_push(struct ring *ring, void *item)
{
    DEBUG_ASSERT(item != NULL);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen >= ring->count_max) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen >= ring->count_max)
            return false;
    }
    ring->slots[tail & ring->mask] = item;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

void *ring_peek(struct ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen)
            return NULL;
    }
    return ring->slots[head & ring->mask];
}

void *ring_pop(struct ring *ring)
{
    void *item = ring_peek(ring);
    if (item == NULL)
        return NULL;
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return item;
}

/* The head is read first: the tail read after it is never behind it. A third thread may see both
 * move in between, hence the maximum. */
uint32_t ring_count(const struct ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return tail - head > ring->count_max ? ring->count_max : tail - head;
}

/* -- inbox ---------------------------------------------------------------------------------- */

/* Thread: any; `lock` guards all but `count` when read. */
struct inbox {
    pthread_mutex_t lock;
    _Atomic uint32_t count;
    uint32_t count_max;
    uint32_t head; /* index of the oldest item */
    bool is_closed;
    size_t item_size;
    char *items;
};

struct inbox *inbox_new(uint32_t count_max, size_t item_size)
{
    ASSERT(count_max >= 1 && count_max <= UINT32_C(1) << 30);
    ASSERT(item_size >= 1);
    struct inbox *inbox = mem_alloc(sizeof(*inbox));
    ASSERT(pthread_mutex_init(&inbox->lock, NULL) == 0);
    inbox->count_max = count_max;
    inbox->item_size = item_size;
    inbox->items = mem_alloc_array(count_max, item_size);
    return inbox;
}

void inbox_free(struct inbox *inbox)
{
    if (inbox == NULL)
        return;
    ASSERT(pthread_mutex_destroy(&inbox->lock) == 0);
    mem_free(inbox->items);
    mem_free(inbox);
}

bool inbox_push(struct inbox *inbox, const void *item)
{
    ASSERT(pthread_mutex_lock(&inbox->lock) == 0);
    uint32_t count = atomic_load_explicit(&inbox->count, memory_order_relaxed);
    bool has_room = !inbox->is_closed && count < inbox->count_max;
    if (has_room) {
        size_t index = ((size_t)inbox->head + count) % inbox->count_max;
        memcpy(inbox->items + index * inbox->item_size, item, inbox->item_size);
        atomic_store_explicit(&inbox->count, count + 1, memory_order_relaxed);
    }
    ASSERT(pthread_mutex_unlock(&inbox->lock) == 0);
    return has_room;
}

bool inbox_take(struct inbox *inbox, void *item)
{
    if (atomic_load_explicit(&inbox->count, memory_order_relaxed) == 0)
        return false;
    ASSERT(pthread_mutex_lock(&inbox->lock) == 0);
    uint32_t count = atomic_load_explicit(&inbox->count, memory_order_relaxed);
    ASSERT(count > 0); /* only the owner takes */
    memcpy(item, inbox->items + inbox->head * inbox->item_size, inbox->item_size);
    /* Emptied, it begins anew at its front: else in time it would have touched all of its memory. */
    inbox->head = count == 1 || inbox->head + 1 == inbox->count_max ? 0 : inbox->head + 1;
    atomic_store_explicit(&inbox->count, count - 1, memory_order_relaxed);
    ASSERT(pthread_mutex_unlock(&inbox->lock) == 0);
    return true;
}

void inbox_close(struct inbox *inbox)
{
    ASSERT(pthread_mutex_lock(&inbox->lock) == 0);
    inbox->is_closed = true;
    ASSERT(pthread_mutex_unlock(&inbox->lock) == 0);
}

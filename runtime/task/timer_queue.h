/* timer_queue.h -- what waits for a time: the earliest instant first, within it in the order of coming.
 *
 *      heap      [ at_ms | instant ] [ at_ms | instant ] ...   the earliest in front
 *                             |
 *      instant   at_ms, how many wait        found by its time, too, in a hash table
 *                   first ---> block -> block -> block         7 items each, in order
 *
 * An item costs a place in a block and not one in the heap: ten million timers of one instant are one
 * entry there, and timers on a grid of milliseconds are as many as the grid has points. Taking out leaves
 * a hole in its block, which the front passes over later; so each verb is constant, but for the heap when
 * an instant comes or goes.
 *
 * Cells are recycled and never given back before the end. An item that waits alone for its instant costs
 * two cells, 128 bytes.
 *
 * Prefixes: timer_queue_
 * Private to runtime/task. Thread: its owner. Limit: 4 G items an instant, 4 G instants. */
#ifndef WEIR_TASK_TIMER_QUEUE_H
#define WEIR_TASK_TIMER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

/* Where an item is: to take it out. Its owner keeps it with the item. */
struct timer_place {
    struct timer_instant *instant; /* NULL: in no queue */
    void **slot;
};

/* Thread: its owner. Zeroed is empty. */
struct timer_queue {
    struct timer_instant_ref {
        int64_t at_ms;
        struct timer_instant *instant;
    } * heap;
    uint32_t instant_count, heap_capacity;
    struct timer_instant **table; /* by at_ms: open addressing, linear probing */
    uint32_t table_size;          /* a power of two; 0: none yet */
    union timer_cell *free_cells;
    struct timer_chunk *chunks;
};

void timer_queue_release(struct timer_queue *queue);

/* Items are the caller's, not NULL. */
struct timer_place timer_queue_add(struct timer_queue *queue, int64_t at_ms, void *item);
void timer_queue_remove(struct timer_queue *queue, struct timer_place place);
/* INT64_MAX: it is empty. */
int64_t timer_queue_next_ms(const struct timer_queue *queue);
/* The first ones of the earliest instant, up to `count_max`; they stay. */
uint32_t timer_queue_peek(const struct timer_queue *queue, void **items, uint32_t count_max);

#endif

/* queue.h -- the two bounded queues between threads.
 *
 * ring:  one producer, one consumer, pointers, no lock: what channels are made of.
 * inbox: many producers, one consumer, small fixed-size items, one short lock: what mailboxes are
 *        made of. An empty inbox costs its consumer one relaxed load.
 *
 * Prefixes: ring_, inbox_
 *
 * Both have a maximum at init and refuse when full: the sender keeps the item and decides. */
#ifndef WEIR_BASE_QUEUE_H
#define WEIR_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Thread: producer for push, consumer for pop and peek; count: both. */
struct ring;
struct ring *ring_new(uint32_t count_max); /* any number >= 1 */
void ring_free(struct ring *ring);         /* empty, or its pointers leak: the owner drains first */
bool ring_push(struct ring *ring, void *item); /* false: full */
void *ring_pop(struct ring *ring);             /* NULL: empty */
void *ring_peek(struct ring *ring);            /* NULL: empty; stays */
uint32_t ring_count(const struct ring *ring);

/* Thread: any for push, the owner for take and close. */
struct inbox;
struct inbox *inbox_new(uint32_t count_max, size_t item_size);
void inbox_free(struct inbox *inbox);
bool inbox_push(struct inbox *inbox, const void *item); /* copied; false: full or closed */
bool inbox_take(struct inbox *inbox, void *item);       /* false: empty */
void inbox_close(struct inbox *inbox);                  /* later pushes fail; what is in stays */

#endif

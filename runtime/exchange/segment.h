/* segment.h -- pooled 32 KiB pieces of memory in which records travel between subtasks.
 *
 * A segment is written by one producer, handed over whole, read by one consumer and given back to
 * its pool. It holds elements, each a header and a payload, both aligned to 16 bytes:
 *
 *      OFFSET SIZE  MEANING
 *           0    4  payload size in bytes, before alignment
 *           4    4  kind: record, watermark, barrier, idle, end
 *           8    8  record: event time in ms; watermark: the watermark; barrier: checkpoint number
 *          16    8  record: key hash
 *          24    8  zero
 *          32    n  record: its layout bytes (types/layout.h)
 *
 * There are three sizes of them. The usual one, with its own header, is 32 KiB. A record that
 * does not fit an empty one gets a segment of its own, as large as needed. Some of those are kept, too,
 * for records of about that size: fresh pages from the system for each record took half of the CPU
 * time of records of 1 MiB. An event that finds no open segment gets a small one: a barrier to each of 128 x 128
 * channels must not cost half a gigabyte.
 *
 * Limit: a pool has size_max bytes, over all segments that are out or kept for reuse. Taking
 * never fails below it: what is kept is freed first. A producer looks at partition_has_room
 * before it works, and one step's output is bounded, so the pool is given that much slack. Going
 * over is an error of the task (WEIR_E_LIMIT), never silent growth.
 * Thread: pool any (a lock per segment, not per record); segment its holder. */
#ifndef WEIR_EXCHANGE_SEGMENT_H
#define WEIR_EXCHANGE_SEGMENT_H

#include "base/assert.h"
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_SIZE (32u << 10)

enum element_kind {
    ELEMENT_RECORD,
    ELEMENT_WATERMARK, /* no record older than it follows on this channel (as far as known) */
    ELEMENT_IDLE,      /* the channel does not count for the watermark until its next element */
    ELEMENT_BARRIER,   /* belongs to checkpoint `value`: all before it, nothing after it */
    ELEMENT_END        /* no more records; barriers may still come */
};

/* Thread: the segment's holder. */
struct element {
    uint32_t size;
    uint32_t kind;
    int64_t value;
    uint64_t key_hash;
    uint64_t reserved;
};
_Static_assert(sizeof(struct element) == 32, "the element header is 32 bytes");

struct segment_pool; /* Thread: any */
/* Thread: its holder. */
struct segment {
    struct segment_pool *pool;
    struct segment *next; /* the pool's free list, or the holder's own list */
    uint32_t size;        /* bytes allocated, with this header */
    uint32_t
        capacity; /* bytes that may be used; what it takes of credits, so never what is left over */
    uint32_t used; /* bytes written */
    uint32_t read; /* bytes consumed */
    uint32_t record_count;
    alignas(16) char bytes[];
};
_Static_assert(offsetof(struct segment, bytes) % 16 == 0, "elements are aligned to 16 bytes");

#define SEGMENT_CAPACITY (SEGMENT_SIZE - (uint32_t)offsetof(struct segment, bytes))

struct segment_pool *segment_pool_new(size_t size_max);
void segment_pool_free(struct segment_pool *pool); /* all segments are back */
/* At least `payload` bytes of one element fit. NULL: over size_max. */
struct segment *segment_take(struct segment_pool *pool, size_t payload);
struct segment *segment_take_event(
    struct segment_pool *pool); /* one element without payload fits */
/* For `size` bytes of elements from another process: of the size class that they were in there. */
struct segment *segment_take_copy(struct segment_pool *pool, size_t size);
/* Its first `size` bytes came from outside. False: they are not whole elements, and it is as it was. */
bool segment_adopt(struct segment *segment, uint32_t size);
void segment_give(struct segment *segment);
size_t segment_pool_used(const struct segment_pool *pool); /* bytes out */
size_t segment_pool_size_max(const struct segment_pool *pool);

static inline size_t segment_element_size(size_t payload)
{
    return sizeof(struct element) + ((payload + 15) & ~(size_t)15);
}

static inline bool segment_fits(const struct segment *segment, size_t payload)
{
    return segment_element_size(payload) <= segment->capacity - segment->used;
}
/* Space for an element at the end, header filled; NULL: does not fit. Per record: inline. */
static inline struct element *segment_add(struct segment *segment, enum element_kind kind,
    size_t payload)
{
    if (!segment_fits(segment, payload))
        return NULL;
    struct element *element = (struct element *)(void *)(segment->bytes + segment->used);
    *element = (struct element){ .size = (uint32_t)payload, .kind = kind };
    segment->used += (uint32_t)segment_element_size(payload);
    segment->record_count += kind == ELEMENT_RECORD;
    return element;
}

/* The next unread element, which stays unread; NULL at the end. */
static inline struct element *segment_peek(struct segment *segment)
{
    if (segment->read == segment->used)
        return NULL;
    return (struct element *)(void *)(segment->bytes + segment->read);
}

/* The next unread element, NULL at the end. */
static inline struct element *segment_next(struct segment *segment)
{
    struct element *element = segment_peek(segment);
    if (element == NULL)
        return NULL;
    segment->read += (uint32_t)segment_element_size(element->size);
    DEBUG_ASSERT(segment->read <= segment->used);
    return element;
}

#endif

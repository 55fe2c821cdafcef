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
 * A record that does not fit an empty segment gets a segment of its own, exactly as large as needed;
 * those count against the pool's bytes too.
 *
 * Limit: a pool has size_max bytes. Taking never fails below it; a producer looks at
 * partition_has_room before it works, and one step's output is bounded, so the pool is given that
 * much slack. Going over is an error of the task (WEIR_E_LIMIT), never silent growth.
 * Thread: pool any (a lock per segment, not per record); segment its holder. */
#ifndef WEIR_EXCHANGE_SEGMENT_H
#define WEIR_EXCHANGE_SEGMENT_H

#include <stdalign.h>
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
    uint32_t capacity;    /* bytes */
    uint32_t used;        /* bytes written */
    uint32_t read;        /* bytes consumed */
    uint32_t record_count;
    alignas(16) char bytes[];
};

struct segment_pool *segment_pool_new(size_t size_max);
void segment_pool_free(struct segment_pool *pool); /* all segments are back */
/* At least `payload` bytes of one element fit. NULL: over size_max. */
struct segment *segment_take(struct segment_pool *pool, size_t payload);
void segment_give(struct segment *segment);
size_t segment_pool_used(const struct segment_pool *pool); /* bytes out */

static inline size_t segment_element_size(size_t payload)
{
    return sizeof(struct element) + ((payload + 15) & ~(size_t)15);
}
/* Space for an element at the end, header filled; NULL: does not fit. */
struct element *segment_add(struct segment *segment, enum element_kind kind, size_t payload);
/* The next unread element, NULL at the end. */
struct element *segment_next(struct segment *segment);

#endif

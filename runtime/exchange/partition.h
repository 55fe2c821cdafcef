/* partition.h -- the producing side of one edge: routes records into one channel per consumer.
 *
 * Each channel has an open segment that records are appended to; it is pushed when it is full, when
 * an event (watermark, barrier, end) must follow, and by partition_flush (end of a step that has
 * nothing more to do, or the buffer time-out). The route is made by a partitioner:
 *
 *      forward     subtask i -> i          rebalance  round robin, a segment's worth at a time
 *      broadcast   every channel           key group  key_group_subtask(key_group_of(hash))
 *
 * On a key-group edge this is where the key is hashed, once: the hash travels with the record.
 *
 * Cost: one copy of the record (layout.h); no lock, no allocation per record.
 * Thread: the producing task's. */
#ifndef WEIR_EXCHANGE_PARTITION_H
#define WEIR_EXCHANGE_PARTITION_H

#include "runtime/exchange/channel.h"
#include "types/key_group.h"
#include "types/layout.h"
#include "types/partitioner.h"
#include <weir/operator.h>

/* Thread: immutable after init. */
struct partition_options {
    enum partitioner_kind kind;
    const struct weir_type *type;
    struct weir_key key;      /* KEY_GROUP only */
    uint32_t max_parallelism; /* KEY_GROUP only */
    uint32_t subtask;         /* of the producer: FORWARD uses channel 0 only (its own) */
    struct segment_pool *pool;
};

struct partition;
/* The channels stay the caller's and outlive it; channel i leads to consumer i (FORWARD: the one). */
struct partition *partition_new(const struct partition_options *options,
    struct channel *const *channels, uint32_t channel_count);
void partition_free(struct partition *partition);

weir_error *partition_emit(struct partition *partition, const struct weir_row *rows,
    uint32_t row_count) WEIR_MUST_USE;
/* To every channel, after all records so far; pushed at once. */
weir_error *partition_event(struct partition *partition, enum element_kind kind, int64_t value)
    WEIR_MUST_USE;
void partition_flush(struct partition *partition);   /* pushes what is open */
bool partition_has_room(struct partition *partition); /* every channel has a credit */
bool partition_has_open(const struct partition *partition); /* records wait for a flush */
/* Records and bytes emitted so far. */
uint64_t partition_record_count(const struct partition *partition);
uint64_t partition_byte_count(const struct partition *partition);

#endif

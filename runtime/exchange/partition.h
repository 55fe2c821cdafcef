/* partition.h -- the producing side of one edge: routes records into one channel per consumer.
 *
 * Each channel has an open segment that records are appended to; it is pushed when it is full,
 * when an event (watermark, barrier, end) must follow, and by partition_flush (end of a step that
 * has nothing more to do, or the buffer time-out). The route is made by the partitioner
 * (partitioner.h).
 *
 * On a key-group edge this is where the key is hashed, once: the hash travels with the record. On
 * the others the hash that a row came with travels on.
 *
 * Errors, all of them WEIR_E_LIMIT and the end of the task: the pool has nothing left, a record
 * is over WEIR_RECORD_SIZE_MAX, a key over KEY_SIZE_MAX. They name the type; the
 * caller, who knows the operator, puts its name in front. A NULL string in a key is no error: it
 * is the same key as an empty one (types/key.h).
 *
 * Cost: one copy of the record (layout.h); no lock, no allocation per record.
 * Thread: the producing task's. */
#ifndef WEIR_EXCHANGE_PARTITION_H
#define WEIR_EXCHANGE_PARTITION_H

#include "runtime/exchange/channel.h"
#include "runtime/exchange/partitioner.h"
#include "types/layout.h"
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
/* The channels stay the caller's and outlive it; channel i leads to consumer i (FORWARD: the
 * one). */
struct partition *partition_new(const struct partition_options *options,
    struct channel *const *channels, uint32_t channel_count);
void partition_free(struct partition *partition);

weir_error *partition_emit(struct partition *partition, const struct weir_row *rows,
    uint32_t row_count) WEIR_MUST_USE;
/* To every channel, after all records so far; pushed at once. */
weir_error *partition_event(struct partition *partition, enum element_kind kind, int64_t value)
    WEIR_MUST_USE;
void partition_flush(struct partition *partition);    /* pushes what is open */
bool partition_has_room(struct partition *partition); /* every channel has a credit */
bool partition_flushed(struct partition *partition);  /* channel_flushed, for every channel */
uint64_t partition_sent_size(const struct partition *partition); /* bytes of segments so far */
bool partition_has_open(const struct partition *partition);      /* records wait for a flush */

#endif

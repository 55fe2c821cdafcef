/* kafka_partitioner.h -- the records of a chunk, partition by partition.
 *
 * A client that gets them as they come has something for every partition all the time: each record is cold
 * when it is sent, and no batch is full before the chunk ends. Partition by partition one batch is sent while
 * the next is made. Of one key the order stays. In front stands the first record of each partition, so that
 * the client adds all of them to its transaction at once.
 *
 * A key goes where Java's clients put it (murmur2), and waits for a leader there. Records without a key may be anywhere:
 * equal shares of them, in one run for each partition that has a leader.
 *
 * Thread: its holder's; pure. Prefixes: kafka_partitioner_ */
#ifndef WEIR_CONNECTORS_KAFKA_PARTITIONER_H
#define WEIR_CONNECTORS_KAFKA_PARTITIONER_H

#include "connectors/kafka_topic.h"

#include <weir/connector.h>

#define KAFKA_PARTITION_ANY (-1) /* the client decides: RD_KAFKA_PARTITION_UA */

/* A record on its way. Views of the chunk's buffer. Thread: its holder's. */
struct kafka_outgoing {
    weir_str key, value; /* NULL data: null */
    int32_t partition;
};

/* Zeroed: empty; kept from chunk to chunk for its memory, 44 bytes a record. Thread: its holder's. */
struct kafka_partitioner {
    struct kafka_outgoing *records;
    uint32_t *order; /* places in `records`; as much room */
    uint32_t count, room, keyless;
    uint32_t *next; /* of each partition: the place of its next record in `order` */
    uint32_t partition_count, partition_room, first;
    const struct kafka_led *led; /* until it is sorted */
};

/* Begins a chunk. `partition_count` 0: the client decides, and the order stays. `led`: where records without a key
 * go; if there is none, to all. `first`: the one of these that gets the first; another one each time, lest small chunks
 * all go to one. */
void kafka_partitioner_start(struct kafka_partitioner *it, uint32_t partition_count,
    const struct kafka_led *led, uint32_t first);
void kafka_partitioner_add(struct kafka_partitioner *it, weir_str key, weir_str value);
/* Once, behind the last record. */
void kafka_partitioner_sort(struct kafka_partitioner *it);
/* The i-th of `count`, sorted. Those behind it are prefetched, as if they were asked for in order. */
const struct kafka_outgoing *kafka_partitioner_at(const struct kafka_partitioner *it, uint32_t i);
void kafka_partitioner_release(struct kafka_partitioner *it);

#endif

/* kafka_topic.h -- what connectors ask about topics, and the one kind of topic that they make.
 *
 * Nothing here creates a topic by asking for it (allow.auto.create.topics is off in kafka_client.c): a
 * misspelled name is an error, not a new topic with one partition.
 *
 * Thread: any that may block; the calls are bounded by some seconds. Prefixes: kafka_ */
#ifndef WEIR_CONNECTORS_KAFKA_TOPIC_H
#define WEIR_CONNECTORS_KAFKA_TOPIC_H

#include "connectors/kafka_client.h"

/* Partitions that have a leader, so that a record gets into them now. Zeroed: none; ends with
 * kafka_led_release(). Thread: its holder. */
struct kafka_led {
    uint32_t *partitions;
    uint32_t count;
};
void kafka_led_release(struct kafka_led *led);

/* Number of partitions; `led`, unless NULL: which of them are led. A topic that is missing for some seconds
 * (a broker that has just started, or a new topic, needs some 100 ms) is an error that names it and how to
 * make it. Also makes the topic known to the handle, so that a first produce or fetch does not wait for
 * metadata. */
weir_error *kafka_partitions(rd_kafka_t *handle, const char *brokers, const char *topic,
    uint32_t *count, struct kafka_led *led) WEIR_MUST_USE;

/* Where the records of a partition begin, and where the committed ones end. Thread: its holder. */
struct kafka_ends {
    int64_t low, high;
};
/* Of `count` partitions, in two requests a broker. The handle must read read_committed. */
weir_error *kafka_ends(rd_kafka_t *handle, const char *brokers, const char *topic,
    const uint32_t *partitions, uint32_t count, struct kafka_ends *ends) WEIR_MUST_USE;

/* Thread: its holder. */
struct kafka_topic_settings {
    size_t message_max; /* max.message.bytes: of a batch, so also of a record */
    bool compacts;      /* cleanup.policy has compact: a record without key is refused */
    bool expires;       /* cleanup.policy has delete */
};
/* As the broker tells them; what it does not tell, for want of a right perhaps, as its defaults. */
weir_error *kafka_topic_settings(rd_kafka_t *handle, const char *brokers, const char *topic,
    struct kafka_topic_settings *settings) WEIR_MUST_USE;

/* Makes a compacted topic with at least `partitions`, on three brokers if there are as many, or adds
 * partitions; waits until they are known. */
weir_error *kafka_ensure_compacted(rd_kafka_t *handle, const char *brokers, const char *topic,
    uint32_t partitions) WEIR_MUST_USE;

#endif

/* kafka_publish.h -- puts staged segments into a topic, exactly once, in short transactions.
 *
 * One call does a whole recovery and a whole publish, because they are the same thing (docs/KAFKA.md):
 *
 *      init_transactions      fences whoever had this transactional id, ends what they left open
 *      read the token         end offset h, newest token (kafka_token.h)
 *      judge                  where to go on, or why not to
 *      claim                  a token of an older attempt is rewritten under mine
 *      chunk by chunk         one transaction each, on a fresh handle: records, then the token
 *
 * Two proofs guard it. The token record must land exactly at offset h: then nobody else wrote and the
 * read was not stale. Each chunk has a producer handle (an epoch) of its own: a commit request that a
 * network delays until the next transaction is open finds another epoch and does nothing. A handle costs
 * about 10 ms, 4 of them CPU, so a chunk is large: about 16 MB.
 *
 * After any trouble the handle is thrown away, the job asked "still the newest attempt?", and all of it
 * starts again, until for PUBLISH_TIMEOUT_MS nothing could be published: then the error goes up,
 * retriable, and nothing is lost. What the topic refuses is never tried again.
 *
 * Thread: one worker at a time. */
#ifndef WEIR_CONNECTORS_KAFKA_PUBLISH_H
#define WEIR_CONNECTORS_KAFKA_PUBLISH_H

#include "connectors/kafka_segment.h"
#include "connectors/kafka_token.h"

#define PUBLISH_TIMEOUT_MS 120000

/* A finished segment. Thread: immutable while a publish runs. */
struct kafka_staged {
    uint64_t number, previous; /* numbers are those of checkpoints; previous 0: the first */
    const char *path;
    const struct kafka_chunk *chunks;
    uint32_t chunk_count;
    bool is_published; /* see token_segment */
};

/* Who publishes, where to. Thread: immutable while a publish runs. */
struct kafka_publisher {
    weir_ctx *ctx; /* for weir_check_attempt only */
    const char *brokers, *topic, *token_topic;
    const char *const *client;
    const char *job, *uid; /* with the slot they make the transactional id */
    uint32_t slot;         /* partition of the token topic */
    size_t batch_max;      /* what the topic takes in one piece, bytes */
    uint64_t instance, attempt;
    /* Go on whatever the token says: it is set to what the segments say is published, first. */
    bool republish;
};

/* Publishes what is not yet published of the segments, oldest first; then all of them are. `last`: see
 * token_judge. *records: how many were published by this call. */
weir_error *kafka_publish(const struct kafka_publisher *publisher,
    const struct kafka_staged *segments, uint32_t count, uint64_t last, uint64_t *records)
    WEIR_MUST_USE;

#endif

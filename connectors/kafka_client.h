/* kafka_client.h -- what the Kafka source and sink share: client settings, errors, topics.
 *
 * The only files that include librdkafka are connectors/kafka_*: its errors become weir_errors here,
 * with the brokers and the topic in the sentence and the fix behind it.
 *
 * Every call has a bound (KAFKA_TIMEOUT_MS unless said). Thread: any, one thread per handle. */
#ifndef WEIR_CONNECTORS_KAFKA_CLIENT_H
#define WEIR_CONNECTORS_KAFKA_CLIENT_H

#include <weir/connector.h>
#include <librdkafka/rdkafka.h>

#define KAFKA_TIMEOUT_MS 10000

/* One setting; an error names it. Thread: its holder. */
struct kafka_setting {
    const char *name, *value;
};

/* A handle of `type` with the brokers, the house's settings, `settings` (ended by a NULL name), and
 * the user's `client` ("name=value", NULL-terminated, may be NULL), later ones winning. `dr_cb` and
 * `opaque` only for producers. Logs go to base/log.h. */
weir_error *kafka_open(rd_kafka_type_t type, const char *brokers,
    const struct kafka_setting *settings, const char *const *client,
    void (*dr_cb)(rd_kafka_t *, const rd_kafka_message_t *, void *), void *opaque,
    rd_kafka_t **handle) WEIR_MUST_USE;
/* Destroys without waiting for anything that is under way. NULL is fine. */
void kafka_close(rd_kafka_t *handle);

/* "cannot <doing> on brokers '<brokers>': <librdkafka's words>": retriable unless the code is known to
 * be a refusal. */
weir_error *kafka_error(const char *brokers, const char *doing, rd_kafka_resp_err_t code)
    WEIR_MUST_USE;

/* Number of partitions; a missing topic is an error that names it and how to make it. Also makes the
 * topic known to the handle, so that a first produce or fetch does not wait for metadata. */
weir_error *kafka_partitions(rd_kafka_t *handle, const char *brokers, const char *topic,
    uint32_t *count) WEIR_MUST_USE;
/* Makes a compacted topic with at least `partitions`, or adds some; waits until they are known. */
weir_error *kafka_ensure_compacted(rd_kafka_t *handle, const char *brokers, const char *topic,
    uint32_t partitions) WEIR_MUST_USE;
/* max.message.bytes of a topic. */
weir_error *kafka_message_max(rd_kafka_t *handle, const char *brokers, const char *topic,
    size_t *size) WEIR_MUST_USE;

#endif

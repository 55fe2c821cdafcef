/* kafka_client.h -- what the Kafka source and sink share: client settings and errors.
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

/* Plan time: are these settings the client's, and not the connector's own? */
weir_error *kafka_check_client(const char *const *client) WEIR_MUST_USE;

/* A handle of `type` with the brokers, the house's settings, `settings` (ended by a NULL name), and
 * the user's `client` ("name=value", NULL-terminated, may be NULL), later ones winning. `dr_cb` and
 * `opaque` only for producers. Logs go to base/log.h. */
weir_error *kafka_open(rd_kafka_type_t type, const char *brokers,
    const struct kafka_setting *settings, const char *const *client,
    void (*dr_cb)(rd_kafka_t *, const rd_kafka_message_t *, void *), void *opaque,
    rd_kafka_t **handle) WEIR_MUST_USE;
/* Destroys without waiting for anything that is under way, in bounded time. NULL is fine. */
void kafka_close(rd_kafka_t *handle);

/* The largest message that this client sends. */
size_t kafka_message_max(rd_kafka_t *handle);

/* "cannot <doing> on brokers '<brokers>': <librdkafka's words>": retriable unless the code is known to
 * be a refusal. */
weir_error *kafka_error(const char *brokers, const char *doing, rd_kafka_resp_err_t code)
    WEIR_MUST_USE;

#endif

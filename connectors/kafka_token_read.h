/* kafka_token_read.h -- reads the newest progress token of a publisher's partition, and where it ends.
 *
 * Call it after init_transactions has returned: then every transaction of the publisher's predecessors
 * has its marker, and the end of the partition is stable.
 * Thread: worker. Bound: 60 s. Prefixes: kafka_token_ */
#ifndef WEIR_CONNECTORS_KAFKA_TOKEN_READ_H
#define WEIR_CONNECTORS_KAFKA_TOKEN_READ_H

#include "connectors/kafka_publish.h"

/* token->exists false: none under `key`. *end_offset: where the next record will land. */
weir_error *kafka_token_read(const struct kafka_publisher *publisher, const char *key,
    struct token *token, int64_t *end_offset) WEIR_MUST_USE;

#endif

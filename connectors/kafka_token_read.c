/* kafka_token_read.c -- see kafka_token_read.h. Prefixes: kafka_token_ */
#include "connectors/kafka_token_read.h"

#include "base/os.h"
#include "connectors/kafka_client.h"

#include <inttypes.h>

#define READ_DEADLINE_MS 60000
#define TAIL_FIRST       16 /* records read from the end; markers and aborted records count too */
#define TAIL_FACTOR      64

static weir_error *find_end(rd_kafka_t *handle, const struct kafka_publisher *publisher,
    int64_t *low, int64_t *high)
{
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(handle, publisher->token_topic,
        (int32_t)publisher->slot, low, high, KAFKA_TIMEOUT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    return weir_error_wrap(kafka_error(publisher->brokers, "find the end of a topic", code),
        "token topic '%s', partition %u", publisher->token_topic, publisher->slot);
}

static weir_error *assign(rd_kafka_t *handle, const struct kafka_publisher *publisher,
    int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, publisher->token_topic, (int32_t)publisher->slot)
        ->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_assign(handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? NULL
               : kafka_error(publisher->brokers, "read the token topic", code);
}

/* One message; *is_end: the committed end at or behind `high` has been reached. */
static weir_error *take_message(const struct kafka_publisher *publisher, const char *key,
    const rd_kafka_message_t *message, int64_t high, struct token *token, bool *is_end)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        *is_end = message->offset >= high;
        return NULL;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error(publisher->brokers, "read the token topic", message->err);
    weir_str found = { .data = message->key, .size = message->key_len };
    if (message->key == NULL || !weir_str_equal(found, weir_str_of(key)))
        return NULL;
    return token_parse((weir_str){ .data = message->payload, .size = message->len }, token);
}

static weir_error *read_from(rd_kafka_t *handle, const struct kafka_publisher *publisher,
    const char *key, int64_t start, int64_t high, int64_t deadline_ns, struct token *token)
{
    bool is_end = false;
    *token = (struct token){ .exists = false };
    WEIR_TRY(assign(handle, publisher, start));
    while (!is_end) {
        if (os_monotonic_ns() > deadline_ns)
            return weir_error_retriable(weir_errorf(WEIR_E_TIMEOUT,
                "token topic '%s', partition %u, could not be read to offset %" PRId64 " in %d s",
                publisher->token_topic, publisher->slot, high, READ_DEADLINE_MS / 1000));
        rd_kafka_message_t *message = rd_kafka_consumer_poll(handle, 500);
        if (message == NULL)
            continue;
        weir_error *error = take_message(publisher, key, message, high, token, &is_end);
        rd_kafka_message_destroy(message);
        WEIR_TRY(error);
    }
    return NULL;
}

static weir_error *read_tail(rd_kafka_t *handle, const struct kafka_publisher *publisher,
    const char *key, struct token *token, int64_t *end_offset)
{
    int64_t low = 0, high = 0;
    int64_t deadline_ns = os_monotonic_ns() + (int64_t)READ_DEADLINE_MS * 1000000;
    WEIR_TRY(find_end(handle, publisher, &low, &high));
    *end_offset = high;
    *token = (struct token){ .exists = false };
    if (low == high)
        return NULL;
    for (int64_t tail = TAIL_FIRST;; tail *= TAIL_FACTOR) {
        int64_t start = high - tail > low ? high - tail : low;
        WEIR_TRY(read_from(handle, publisher, key, start, high, deadline_ns, token));
        if (token->exists || start == low)
            return NULL;
    }
}

weir_error *kafka_token_read(const struct kafka_publisher *publisher, const char *key,
    struct token *token, int64_t *end_offset)
{
    static const struct kafka_setting settings[] = {
        { "group.id", "weir-tokens" }, /* never joined: the partition is assigned */
        { "enable.auto.commit", "false" },
        { "enable.partition.eof", "true" },
        { "isolation.level", "read_committed" },
        { "auto.offset.reset", "error" },
        { "fetch.wait.max.ms", "10" },
        { NULL, NULL },
    };
    rd_kafka_t *handle = NULL;
    WEIR_TRY(kafka_open(RD_KAFKA_CONSUMER, publisher->brokers, settings, publisher->client, NULL,
        NULL, &handle));
    rd_kafka_poll_set_consumer(handle);
    weir_error *error = read_tail(handle, publisher, key, token, end_offset);
    kafka_close(handle);
    return error;
}

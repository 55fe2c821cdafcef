/* kafka_client.c -- see kafka_client.h. Prefixes: kafka_ */
#include "connectors/kafka_client.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"

#include <stdlib.h>

static const struct kafka_setting house_settings[] = {
    /* a broker that comes back is found at once, not after the default of up to 10 s */
    { "reconnect.backoff.ms", "50" },
    { "reconnect.backoff.max.ms", "500" },
    { "socket.nagle.disable", "true" },
    { "log.connection.close", "false" },
    { "client.id", "weir" },
    { "message.max.bytes", "8388608" },
    { NULL, NULL },
};

/* -- handles ------------------------------------------------------------------------------------- */

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle;
    log_line(level <= 3 ? LOG_WARN : LOG_DEBUG, "kafka", "%s: %s", facility, text);
}

static weir_error *set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char reason[256];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
        return NULL;
    return weir_errorf(WEIR_E_USAGE, "the Kafka client refuses the setting %s=%s: %s", name, value,
        reason);
}

static weir_error *set_client(rd_kafka_conf_t *conf, const char *const *client)
{
    for (; client != NULL && *client != NULL; client++) {
        const char *equals = strchr(*client, '=');
        if (equals == NULL)
            return weir_errorf(WEIR_E_USAGE, "the Kafka client setting '%s' is not name=value",
                *client);
        char *name = mem_printf("%.*s", (int)(equals - *client), *client);
        weir_error *error = set(conf, name, equals + 1);
        mem_free(name);
        WEIR_TRY(error);
    }
    return NULL;
}

static weir_error *set_all(rd_kafka_conf_t *conf, const char *brokers,
    const struct kafka_setting *settings, const char *const *client)
{
    for (const struct kafka_setting *it = house_settings; it->name != NULL; it++)
        WEIR_TRY(set(conf, it->name, it->value));
    WEIR_TRY(set(conf, "bootstrap.servers", brokers));
    for (; settings->name != NULL; settings++)
        WEIR_TRY(set(conf, settings->name, settings->value));
    return set_client(conf, client);
}

weir_error *kafka_open(rd_kafka_type_t type, const char *brokers,
    const struct kafka_setting *settings, const char *const *client,
    void (*dr_cb)(rd_kafka_t *, const rd_kafka_message_t *, void *), void *opaque,
    rd_kafka_t **handle)
{
    ASSERT(brokers != NULL && settings != NULL);
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    weir_error *error = set_all(conf, brokers, settings, client);
    if (error != NULL) {
        rd_kafka_conf_destroy(conf);
        return error;
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, opaque);
    if (dr_cb != NULL)
        rd_kafka_conf_set_dr_msg_cb(conf, dr_cb);
    *handle = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (*handle != NULL)
        return NULL;
    rd_kafka_conf_destroy(conf);
    return weir_errorf(WEIR_E_CONNECTOR, "cannot make a Kafka client for brokers '%s': %s", brokers,
        reason);
}

void kafka_close(rd_kafka_t *handle)
{
    if (handle == NULL)
        return;
    if (rd_kafka_type(handle) == RD_KAFKA_PRODUCER)
        rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

/* -- errors -------------------------------------------------------------------------------------- */

/* Refusals: trying again without a change elsewhere gives the same answer. */
static bool is_refusal(rd_kafka_resp_err_t code)
{
    static const rd_kafka_resp_err_t refusals[] = {
        RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        RD_KAFKA_RESP_ERR__AUTHENTICATION,
        RD_KAFKA_RESP_ERR__INVALID_ARG,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
        RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
        RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
        RD_KAFKA_RESP_ERR_INVALID_CONFIG,
        RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i] == code)
            return true;
    }
    return false;
}

static const char *fix_of(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return "; is the address right, is a broker running there?";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return "; ask for the right in the broker's ACLs";
    default:
        return "";
    }
}

weir_error *kafka_error(const char *brokers, const char *doing, rd_kafka_resp_err_t code)
{
    weir_error *error = weir_errorf(WEIR_E_CONNECTOR, "cannot %s on brokers '%s': %s (%s)%s", doing,
        brokers, rd_kafka_err2str(code), rd_kafka_err2name(code), fix_of(code));
    return is_refusal(code) ? error : weir_error_retriable(error);
}

/* -- topics --------------------------------------------------------------------------------------- */

static weir_error *topic_missing(const char *brokers, const char *topic)
{
    return weir_errorf(WEIR_E_CONNECTOR,
        "topic '%s' does not exist on brokers '%s'; make it with kafka-topics.sh "
        "--bootstrap-server %s --create --topic %s",
        topic, brokers, brokers, topic);
}

/* One look; *count 0: not there (yet). */
static weir_error *look(rd_kafka_t *handle, const char *brokers, const char *topic, int timeout_ms,
    uint32_t *count)
{
    rd_kafka_topic_t *it = rd_kafka_topic_new(handle, topic, NULL);
    if (it == NULL)
        return kafka_error(brokers, "look for a topic", rd_kafka_last_error());
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 0, it, &metadata, timeout_ms);
    *count = 0;
    rd_kafka_resp_err_t topic_code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
        topic_code = metadata->topics[0].err;
        *count = (uint32_t)metadata->topics[0].partition_cnt;
    }
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(it);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return weir_error_wrap(kafka_error(brokers, "read metadata", code), "topic '%s'", topic);
    if (topic_code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        topic_code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
        *count = 0;
    else if (topic_code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return weir_error_wrap(kafka_error(brokers, "read metadata", topic_code), "topic '%s'",
            topic);
    return NULL;
}

weir_error *kafka_partitions(rd_kafka_t *handle, const char *brokers, const char *topic,
    uint32_t *count)
{
    WEIR_TRY(look(handle, brokers, topic, KAFKA_TIMEOUT_MS, count));
    return *count == 0 ? topic_missing(brokers, topic) : NULL;
}

/* The one result of an admin call, or the error of the wait. Destroys the event. */
static rd_kafka_resp_err_t admin_result(rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_TIMEOUT_MS);
    if (event == NULL)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    size_t count = 0;
    const rd_kafka_topic_result_t **results = NULL;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && rd_kafka_event_CreateTopics_result(event) != NULL)
        results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    else if (code == RD_KAFKA_RESP_ERR_NO_ERROR &&
             rd_kafka_event_CreatePartitions_result(event) != NULL)
        results =
            rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event),
                &count);
    if (count > 0)
        code = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(event);
    return code;
}

static rd_kafka_resp_err_t create(rd_kafka_t *handle, const char *topic, uint32_t partitions)
{
    char reason[256];
    rd_kafka_NewTopic_t *it =
        rd_kafka_NewTopic_new(topic, (int)partitions, -1, reason, sizeof(reason));
    if (it == NULL)
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    rd_kafka_NewTopic_set_config(it, "cleanup.policy", "compact");
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_CreateTopics(handle, &it, 1, NULL, queue);
    rd_kafka_resp_err_t code = admin_result(queue);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(it);
    return code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
}

static rd_kafka_resp_err_t grow(rd_kafka_t *handle, const char *topic, uint32_t partitions)
{
    char reason[256];
    rd_kafka_NewPartitions_t *it =
        rd_kafka_NewPartitions_new(topic, partitions, reason, sizeof(reason));
    if (it == NULL)
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_CreatePartitions(handle, &it, 1, NULL, queue);
    rd_kafka_resp_err_t code = admin_result(queue);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewPartitions_destroy(it);
    /* another subtask was faster: there are enough now, which the caller looks for */
    return code == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
}

weir_error *kafka_ensure_compacted(rd_kafka_t *handle, const char *brokers, const char *topic,
    uint32_t partitions)
{
    int64_t deadline_ns = os_monotonic_ns() + (int64_t)KAFKA_TIMEOUT_MS * 2 * 1000000;
    uint32_t count;
    WEIR_TRY(look(handle, brokers, topic, KAFKA_TIMEOUT_MS, &count));
    if (count >= partitions)
        return NULL;
    rd_kafka_resp_err_t code =
        count == 0 ? create(handle, topic, partitions) : grow(handle, topic, partitions);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return weir_error_wrap(kafka_error(brokers, "make a topic", code), "topic '%s'", topic);
    while (count < partitions) {
        if (os_monotonic_ns() > deadline_ns)
            return weir_error_retriable(weir_errorf(WEIR_E_TIMEOUT,
                "topic '%s' does not show %u partitions on brokers '%s' after %d s", topic,
                partitions, brokers, KAFKA_TIMEOUT_MS * 2 / 1000));
        if (count > 0 && grow(handle, topic, partitions) != RD_KAFKA_RESP_ERR_NO_ERROR)
            return topic_missing(brokers, topic);
        rd_kafka_poll(handle, 20);
        WEIR_TRY(look(handle, brokers, topic, KAFKA_TIMEOUT_MS, &count));
    }
    return NULL;
}

static weir_error *read_message_max(rd_kafka_event_t *event, size_t *size)
{
    size_t count = 0, entry_count = 0;
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(result, &count);
    if (count != 1)
        return NULL;
    const rd_kafka_ConfigEntry_t **entries =
        rd_kafka_ConfigResource_configs(resources[0], &entry_count);
    for (size_t i = 0; i < entry_count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "max.message.bytes") == 0 &&
            value != NULL)
            *size = strtoull(value, NULL, 10);
    }
    return NULL;
}

weir_error *kafka_message_max(rd_kafka_t *handle, const char *brokers, const char *topic,
    size_t *size)
{
    *size = 1048588; /* the broker's default, if it does not tell */
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_DescribeConfigs(handle, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_TIMEOUT_MS);
    rd_kafka_resp_err_t code =
        event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
    weir_error *error =
        code != RD_KAFKA_RESP_ERR_NO_ERROR
            ? weir_error_wrap(kafka_error(brokers, "read the settings", code), "topic '%s'", topic)
            : read_message_max(event, size);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return error;
}

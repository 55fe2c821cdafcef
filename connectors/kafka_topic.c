/* kafka_topic.c -- see kafka_topic.h. Prefixes: kafka_ */
#include "connectors/kafka_topic.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/plural.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS   3000 /* with a topic that is not there */
#define ENSURE_MS     20000
#define POLL_MIN_MS   10
#define POLL_MAX_MS   200
#define MESSAGE_MAX   1048588 /* Kafka's default */
#define REPLICAS_GOOD 3

/* What one look at a topic shows. Thread: its holder. */
struct sight {
    uint32_t partitions; /* 0: it is not there, or not yet */
    uint32_t brokers;
};

static int64_t deadline_ns(int64_t timeout_ms)
{
    return os_monotonic_ns() + timeout_ms * 1000000;
}

/* Before the next look. Short at first: a topic that has just been made is known in some ms. */
static void pause_longer(uint32_t *pause_ms)
{
    os_pause_ms(*pause_ms);
    *pause_ms = *pause_ms < POLL_MAX_MS / 2 ? 2 * *pause_ms : POLL_MAX_MS;
}

void kafka_led_release(struct kafka_led *led)
{
    mem_free(led->partitions);
    *led = (struct kafka_led){ 0 };
}

static void take_leaders(const rd_kafka_metadata_topic_t *topic, struct kafka_led *led)
{
    kafka_led_release(led);
    led->partitions = mem_alloc_array((size_t)topic->partition_cnt, sizeof(*led->partitions));
    for (int i = 0; i < topic->partition_cnt; i++)
        if (topic->partitions[i].leader >= 0)
            led->partitions[led->count++] = (uint32_t)topic->partitions[i].id;
}

/* `led`: may be NULL. */
static weir_error *look(rd_kafka_t *handle, const char *brokers, const char *topic,
    struct sight *sight, struct kafka_led *led)
{
    *sight = (struct sight){ 0 };
    rd_kafka_topic_t *it = rd_kafka_topic_new(handle, topic, NULL);
    if (it == NULL)
        return weir_error_wrap(kafka_error(brokers, "use a topic", rd_kafka_last_error()),
            "topic '%s'", topic);
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 0, it, &metadata, KAFKA_TIMEOUT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
        sight->brokers = (uint32_t)metadata->broker_cnt;
        code = metadata->topics[0].err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            sight->partitions = (uint32_t)metadata->topics[0].partition_cnt;
        if (sight->partitions > 0 && led != NULL)
            take_leaders(&metadata->topics[0], led);
    }
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(it);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
        return NULL;
    return weir_error_wrap(kafka_error(brokers, "read metadata", code), "topic '%s'", topic);
}

weir_error *kafka_partitions(rd_kafka_t *handle, const char *brokers, const char *topic,
    uint32_t *count, struct kafka_led *led)
{
    int64_t until_ns = deadline_ns(PATIENCE_MS);
    uint32_t pause_ms = POLL_MIN_MS;
    struct sight sight;
    for (;;) {
        WEIR_TRY(look(handle, brokers, topic, &sight, led));
        *count = sight.partitions;
        if (*count > 0)
            return NULL;
        if (os_monotonic_ns() > until_ns)
            return weir_errorf(WEIR_E_CONNECTOR,
                "topic '%s' does not exist on brokers '%s'; make it with kafka-topics.sh "
                "--bootstrap-server %s --create --topic %s",
                topic, brokers, brokers, topic);
        pause_longer(&pause_ms);
    }
}

/* -- ends ----------------------------------------------------------------------------------------- */

/* `at`: RD_KAFKA_OFFSET_BEGINNING or _END, which ListOffsets takes for times. One list for one call: the
 * client remembers in its elements what it has found. */
static weir_error *offsets_at(rd_kafka_t *handle, const char *brokers,
    rd_kafka_topic_partition_list_t *list, int64_t at)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = at;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(handle, list, KAFKA_TIMEOUT_MS);
    int partition = -1;
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
        partition = list->elems[i].partition;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    weir_error *error = kafka_error(brokers, "find the ends of partitions", code);
    if (partition < 0)
        return weir_error_wrap(error, "topic '%s'", list->elems[0].topic);
    return weir_error_wrap(error, "topic '%s', partition %d", list->elems[0].topic, partition);
}

static weir_error *take_offsets(rd_kafka_t *handle, const char *brokers, const char *topic,
    const uint32_t *partitions, uint32_t count, int64_t at, struct kafka_ends *ends)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (uint32_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)partitions[i]);
    weir_error *error = offsets_at(handle, brokers, list, at);
    for (uint32_t i = 0; i < count && error == NULL; i++) {
        ASSERT(list->elems[i].partition == (int32_t)partitions[i]);
        if (at == RD_KAFKA_OFFSET_END)
            ends[i].high = list->elems[i].offset;
        else
            ends[i].low = list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return error;
}

weir_error *kafka_ends(rd_kafka_t *handle, const char *brokers, const char *topic,
    const uint32_t *partitions, uint32_t count, struct kafka_ends *ends)
{
    if (count == 0)
        return NULL;
    WEIR_TRY(
        take_offsets(handle, brokers, topic, partitions, count, RD_KAFKA_OFFSET_BEGINNING, ends));
    return take_offsets(handle, brokers, topic, partitions, count, RD_KAFKA_OFFSET_END, ends);
}

/* -- settings ------------------------------------------------------------------------------------- */

static void take_setting(struct kafka_topic_settings *settings, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (strcmp(name, "max.message.bytes") == 0) {
        settings->message_max = strtoull(value, NULL, 10);
    } else if (strcmp(name, "cleanup.policy") == 0) {
        settings->compacts = strstr(value, "compact") != NULL;
        settings->expires = strstr(value, "delete") != NULL;
    }
}

static void take_settings(rd_kafka_event_t *event, struct kafka_topic_settings *settings)
{
    size_t count = 0, entry_count = 0;
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(result, &count);
    if (count != 1)
        return;
    const rd_kafka_ConfigEntry_t **entries =
        rd_kafka_ConfigResource_configs(resources[0], &entry_count);
    for (size_t i = 0; i < entry_count; i++)
        take_setting(settings, rd_kafka_ConfigEntry_name(entries[i]),
            rd_kafka_ConfigEntry_value(entries[i]));
}

weir_error *kafka_topic_settings(rd_kafka_t *handle, const char *brokers, const char *topic,
    struct kafka_topic_settings *settings)
{
    *settings = (struct kafka_topic_settings){ .message_max = MESSAGE_MAX };
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_DescribeConfigs(handle, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_TIMEOUT_MS);
    rd_kafka_resp_err_t code =
        event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        take_settings(event, settings);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    return weir_error_wrap(kafka_error(brokers, "read the settings", code), "topic '%s'", topic);
}

/* -- making and growing ---------------------------------------------------------------------------- */

/* The one result of an admin call, or the error of the wait. */
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

/* Three replicas where there are three brokers, two of which must have a token before it counts. */
static rd_kafka_NewTopic_t *new_topic(const char *topic, uint32_t partitions, uint32_t brokers)
{
    char reason[256];
    int replicas = brokers < REPLICAS_GOOD ? -1 : REPLICAS_GOOD; /* -1: what the broker is set to */
    rd_kafka_NewTopic_t *it =
        rd_kafka_NewTopic_new(topic, (int)partitions, replicas, reason, sizeof(reason));
    if (it == NULL)
        return NULL;
    rd_kafka_NewTopic_set_config(it, "cleanup.policy", "compact");
    if (replicas == REPLICAS_GOOD)
        rd_kafka_NewTopic_set_config(it, "min.insync.replicas", "2");
    return it;
}

static rd_kafka_resp_err_t create(rd_kafka_t *handle, const char *topic, uint32_t partitions,
    uint32_t brokers)
{
    rd_kafka_NewTopic_t *it = new_topic(topic, partitions, brokers);
    if (it == NULL)
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
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
    ASSERT(partitions > 0);
    int64_t until_ns = deadline_ns(ENSURE_MS);
    uint32_t pause_ms = POLL_MIN_MS;
    weir_error *last = NULL; /* of the newest try */
    for (;;) {
        struct sight sight;
        weir_error_free(last);
        last = NULL;
        WEIR_TRY(look(handle, brokers, topic, &sight, NULL));
        if (sight.partitions >= partitions)
            return NULL;
        rd_kafka_resp_err_t code = sight.partitions == 0
                                       ? create(handle, topic, partitions, sight.brokers)
                                       : grow(handle, topic, partitions);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            last = weir_error_wrap(kafka_error(brokers, "make a topic", code),
                "topic '%s' with %u partition%s", topic, partitions, plural(partitions));
        if (last != NULL && !weir_error_is_retriable(last))
            return last;
        if (os_monotonic_ns() > until_ns)
            break;
        pause_longer(&pause_ms);
    }
    if (last != NULL)
        return last;
    return weir_error_retriable(weir_errorf(WEIR_E_TIMEOUT,
        "topic '%s' does not show %u partition%s on brokers '%s' after %d s", topic, partitions,
        plural(partitions), brokers, ENSURE_MS / 1000));
}

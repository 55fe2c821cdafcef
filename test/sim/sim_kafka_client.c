/* sim_kafka_client.c -- handles, errors, metadata and administration: see sim_kafka_client.h. */
#include "test/sim/sim_kafka_client.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS    100
#define BROKERS     3
#define MESSAGE_MAX "1048588"

static rd_kafka_resp_err_t last_error;

enum sim_client_defect sim_client_defect;

void sim_client_fail(rd_kafka_resp_err_t code)
{
    last_error = code;
}

rd_kafka_resp_err_t rd_kafka_last_error(void)
{
    return last_error;
}

/* -- errors --------------------------------------------------------------------------------------- */

rd_kafka_resp_err_t rd_kafka_error_code(const rd_kafka_error_t *error)
{
    return error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : error->code;
}

const char *rd_kafka_error_string(const rd_kafka_error_t *error)
{
    return rd_kafka_err2str(error->code);
}

int rd_kafka_error_is_retriable(const rd_kafka_error_t *error)
{
    return error->is_retriable;
}

void rd_kafka_error_destroy(rd_kafka_error_t *error)
{
    mem_free(error);
}

/* -- handles -------------------------------------------------------------------------------------- */

static const char *setting(const rd_kafka_conf_t *conf, const char *name, char *text, size_t size)
{
    rd_kafka_conf_res_t result = rd_kafka_conf_get(conf, name, text, &size);
    return result == RD_KAFKA_CONF_OK ? text : "";
}

rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *reason, size_t size)
{
    char text[256];
    rd_kafka_t *it = mem_alloc(sizeof(*it));
    *it = (struct rd_kafka_s){ .type = type, .conf = conf, .queue = { .handle = it } };
    /* librdkafka tells pointers only as text */
    it->delivery = (sim_client_delivery_fn *)(uintptr_t)strtoull(setting(conf, "dr_msg_cb", text,
                                                                     sizeof(text)),
        NULL, 16);
    it->opaque = (void *)(uintptr_t)strtoull(setting(conf, "opaque", text, sizeof(text)), NULL, 16);
    it->producer.timeout_ms =
        strtoll(setting(conf, "transaction.timeout.ms", text, sizeof(text)), NULL, 10);
    it->producer.id = mem_strdup(setting(conf, "transactional.id", text, sizeof(text)));
    it->consumer.is_committed =
        strcmp(setting(conf, "isolation.level", text, sizeof(text)), "read_committed") == 0;
    return it;
}

/* Thread: any: consumers are destroyed by a worker. */
static void destroy(rd_kafka_t *handle)
{
    sim_producer_release(&handle->producer);
    sim_consumer_release(&handle->consumer);
    rd_kafka_conf_destroy(handle->conf);
    mem_free(handle);
}

void rd_kafka_destroy(rd_kafka_t *handle)
{
    destroy(handle);
}

void rd_kafka_destroy_flags(rd_kafka_t *handle, int flags)
{
    destroy(handle);
}

rd_kafka_type_t rd_kafka_type(const rd_kafka_t *handle)
{
    return handle->type;
}

const rd_kafka_conf_t *rd_kafka_conf(rd_kafka_t *handle)
{
    return handle->conf;
}

rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *handle, const char *topic,
    rd_kafka_topic_conf_t *conf)
{
    rd_kafka_topic_t *it = mem_alloc(sizeof(*it));
    it->handle = handle;
    snprintf(it->name, sizeof(it->name), "%s", topic);
    return it;
}

void rd_kafka_topic_destroy(rd_kafka_topic_t *topic)
{
    mem_free(topic);
}

/* -- metadata ------------------------------------------------------------------------------------- */

/* Asks again what was refused for a while, until the time is up. */
static rd_kafka_resp_err_t read_until(const char *topic, int timeout_ms)
{
    int64_t deadline_ns = os_monotonic_ns() + (int64_t)timeout_ms * 1000000;
    struct sim_reply reply;
    for (;;) {
        rd_kafka_resp_err_t code =
            sim_broker_call(&(struct sim_request){ .kind = SIM_READ, .topic = topic }, &reply);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__DESTROY)
            return code;
        if (os_monotonic_ns() > deadline_ns)
            return RD_KAFKA_RESP_ERR__TIMED_OUT;
        os_pause_ms(RETRY_MS);
    }
}

rd_kafka_resp_err_t rd_kafka_metadata(rd_kafka_t *handle, int all, rd_kafka_topic_t *only,
    const struct rd_kafka_metadata **found, int timeout_ms)
{
    rd_kafka_resp_err_t code = read_until(only->name, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    const struct sim_topic *topic = sim_broker_topic(only->name);
    rd_kafka_metadata_t *it = mem_alloc(sizeof(*it));
    rd_kafka_metadata_topic_t *row = mem_alloc(sizeof(*row));
    uint32_t count = topic == NULL ? 0 : topic->partition_count;
    rd_kafka_metadata_partition_t *partitions = mem_alloc_array(count + 1, sizeof(*partitions));
    for (uint32_t i = 0; i < count; i++)
        partitions[i] = (rd_kafka_metadata_partition_t){ .id = (int32_t)i,
            .leader = topic->partitions[i].is_leaderless ? -1 : 0 };
    *row =
        (rd_kafka_metadata_topic_t){ .err = topic == NULL ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                                                          : RD_KAFKA_RESP_ERR_NO_ERROR,
            .partition_cnt = (int)count,
            .partitions = partitions };
    *it = (rd_kafka_metadata_t){ .broker_cnt = BROKERS, .topic_cnt = 1, .topics = row };
    *found = it;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void rd_kafka_metadata_destroy(const struct rd_kafka_metadata *metadata)
{
    mem_free(metadata->topics->partitions);
    mem_free(metadata->topics);
    mem_free((void *)(uintptr_t)metadata);
}

/* -- administration ------------------------------------------------------------------------------- */

struct rd_kafka_ConfigEntry_s {
    const char *name, *value;
};
struct rd_kafka_ConfigResource_s {
    char name[SIM_TOPIC_NAME_MAX];
    struct rd_kafka_ConfigEntry_s rows[2];
    const rd_kafka_ConfigEntry_t *entries[2];
};
struct rd_kafka_topic_result_s {
    rd_kafka_resp_err_t code;
};
struct rd_kafka_NewTopic_s {
    char name[SIM_TOPIC_NAME_MAX];
    int partitions;
};
struct rd_kafka_NewPartitions_s {
    struct rd_kafka_NewTopic_s topic;
};
enum event_kind { EVENT_CREATED, EVENT_GROWN, EVENT_DESCRIBED };
struct rd_kafka_op_s {
    enum event_kind kind;
    rd_kafka_resp_err_t code;
    struct rd_kafka_topic_result_s result;
    const rd_kafka_topic_result_t *results[1];
    rd_kafka_ConfigResource_t resource;
    const rd_kafka_ConfigResource_t *resources[1];
};

rd_kafka_NewTopic_t *rd_kafka_NewTopic_new(const char *topic, int partitions, int replicas,
    char *reason, size_t size)
{
    rd_kafka_NewTopic_t *it = mem_alloc(sizeof(*it));
    snprintf(it->name, sizeof(it->name), "%s", topic);
    it->partitions = partitions;
    return it;
}

rd_kafka_resp_err_t rd_kafka_NewTopic_set_config(rd_kafka_NewTopic_t *topic, const char *name,
    const char *value)
{
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void rd_kafka_NewTopic_destroy(rd_kafka_NewTopic_t *topic)
{
    mem_free(topic);
}

rd_kafka_NewPartitions_t *rd_kafka_NewPartitions_new(const char *topic, size_t count, char *reason,
    size_t size)
{
    rd_kafka_NewPartitions_t *it = mem_alloc(sizeof(*it));
    snprintf(it->topic.name, sizeof(it->topic.name), "%s", topic);
    it->topic.partitions = (int)count;
    return it;
}

void rd_kafka_NewPartitions_destroy(rd_kafka_NewPartitions_t *partitions)
{
    mem_free(partitions);
}

/* The result waits in the queue; without an answer there is none. */
static void make(rd_kafka_queue_t *queue, const struct rd_kafka_NewTopic_s *topic,
    enum event_kind kind)
{
    struct sim_reply reply;
    rd_kafka_event_t *event = queue->event = mem_alloc(sizeof(*event));
    bool exists = sim_broker_topic(topic->name) != NULL;
    *event = (struct rd_kafka_op_s){ .kind = kind };
    event->results[0] = &event->result;
    event->code = sim_broker_call(&(struct sim_request){ .kind = SIM_CREATE_TOPIC,
                                      .topic = topic->name,
                                      .partition = topic->partitions },
        &reply);
    if (event->code == RD_KAFKA_RESP_ERR_NO_ERROR && kind == EVENT_CREATED && exists)
        event->result.code = RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
}

void rd_kafka_CreateTopics(rd_kafka_t *handle, rd_kafka_NewTopic_t **topics, size_t count,
    const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    ASSERT(count == 1);
    make(queue, topics[0], EVENT_CREATED);
}

void rd_kafka_CreatePartitions(rd_kafka_t *handle, rd_kafka_NewPartitions_t **partitions,
    size_t count, const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    ASSERT(count == 1);
    make(queue, &partitions[0]->topic, EVENT_GROWN);
}

const rd_kafka_CreateTopics_result_t *rd_kafka_event_CreateTopics_result(rd_kafka_event_t *event)
{
    return event->kind == EVENT_CREATED ? event : NULL;
}

const rd_kafka_CreatePartitions_result_t *rd_kafka_event_CreatePartitions_result(
    rd_kafka_event_t *event)
{
    return event->kind == EVENT_GROWN ? event : NULL;
}

const rd_kafka_topic_result_t **
rd_kafka_CreateTopics_result_topics(const rd_kafka_CreateTopics_result_t *result, size_t *count)
{
    *count = 1;
    return (const rd_kafka_topic_result_t **)(uintptr_t)result->results;
}

const rd_kafka_topic_result_t **
rd_kafka_CreatePartitions_result_topics(const rd_kafka_CreatePartitions_result_t *result,
    size_t *count)
{
    *count = 1;
    return (const rd_kafka_topic_result_t **)(uintptr_t)result->results;
}

rd_kafka_resp_err_t rd_kafka_topic_result_error(const rd_kafka_topic_result_t *result)
{
    return result->code;
}

rd_kafka_ConfigResource_t *rd_kafka_ConfigResource_new(rd_kafka_ResourceType_t type,
    const char *name)
{
    rd_kafka_ConfigResource_t *it = mem_alloc(sizeof(*it));
    snprintf(it->name, sizeof(it->name), "%s", name);
    return it;
}

void rd_kafka_ConfigResource_destroy(rd_kafka_ConfigResource_t *resource)
{
    mem_free(resource);
}

void rd_kafka_DescribeConfigs(rd_kafka_t *handle, rd_kafka_ConfigResource_t **resources,
    size_t count, const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = queue->event = mem_alloc(sizeof(*event));
    *event = (struct rd_kafka_op_s){ .kind = EVENT_DESCRIBED };
    event->code = read_until(resources[0]->name, 1000);
    const struct sim_topic *topic = sim_broker_topic(resources[0]->name);
    if (event->code == RD_KAFKA_RESP_ERR_NO_ERROR && topic == NULL)
        event->code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    struct rd_kafka_ConfigResource_s *it = &event->resource;
    it->rows[0] = (struct rd_kafka_ConfigEntry_s){ "max.message.bytes", MESSAGE_MAX };
    it->rows[1] = (struct rd_kafka_ConfigEntry_s){ "cleanup.policy",
        topic != NULL && topic->compacts ? "compact" : "delete" };
    for (int i = 0; i < 2; i++)
        it->entries[i] = &it->rows[i];
    event->resources[0] = it;
}

const rd_kafka_DescribeConfigs_result_t *rd_kafka_event_DescribeConfigs_result(
    rd_kafka_event_t *event)
{
    return event;
}

const rd_kafka_ConfigResource_t **
rd_kafka_DescribeConfigs_result_resources(const rd_kafka_DescribeConfigs_result_t *result,
    size_t *count)
{
    *count = 1;
    return (const rd_kafka_ConfigResource_t **)(uintptr_t)result->resources;
}

const rd_kafka_ConfigEntry_t **
rd_kafka_ConfigResource_configs(const rd_kafka_ConfigResource_t *resource, size_t *count)
{
    *count = 2;
    return (const rd_kafka_ConfigEntry_t **)(uintptr_t)resource->entries;
}

const char *rd_kafka_ConfigEntry_name(const rd_kafka_ConfigEntry_t *entry)
{
    return entry->name;
}

const char *rd_kafka_ConfigEntry_value(const rd_kafka_ConfigEntry_t *entry)
{
    return entry->value;
}

/* -- queues --------------------------------------------------------------------------------------- */

rd_kafka_queue_t *rd_kafka_queue_new(rd_kafka_t *handle)
{
    rd_kafka_queue_t *it = mem_alloc(sizeof(*it));
    it->handle = handle;
    return it;
}

void rd_kafka_queue_destroy(rd_kafka_queue_t *queue)
{
    mem_free(queue->event);
    queue->event = NULL;
    if (queue != &queue->handle->queue)
        mem_free(queue);
}

/* An answer that did not come: the time is over. */
rd_kafka_event_t *rd_kafka_queue_poll(rd_kafka_queue_t *queue, int timeout_ms)
{
    rd_kafka_event_t *event = queue->event;
    queue->event = NULL;
    if (event == NULL || event->code != RD_KAFKA_RESP_ERR__TRANSPORT)
        return event;
    mem_free(event);
    os_pause_ms(timeout_ms);
    return NULL;
}

rd_kafka_resp_err_t rd_kafka_event_error(rd_kafka_event_t *event)
{
    return event->code;
}

void rd_kafka_event_destroy(rd_kafka_event_t *event)
{
    mem_free(event);
}

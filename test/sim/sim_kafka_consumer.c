/* sim_kafka_consumer.c -- reading assigned partitions, offsets, positions of groups: see sim_kafka_client.h. */
#include "test/sim/sim_kafka_client.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#include <stdio.h>
#include <string.h>

#define MS           INT64_C(1000000)
#define RETRY_MS     100
#define POLL_MS      10
#define STALE_MAX_MS 4000u
#define BEHIND_MS    8000u
#define FETCH_ONE_IN 8u

/* What a program gets to see, and its bytes. */
struct message {
    rd_kafka_message_t shown;
    int64_t timestamp_ms;
};

void sim_consumer_release(struct sim_consumer *consumer)
{
    mem_free(consumer->assigned);
}

/* -- what its brokers know ------------------------------------------------------------------------- */

static rd_kafka_resp_err_t look(rd_kafka_t *handle, const char *topic)
{
    struct sim_reply reply;
    struct sim_consumer *consumer = &handle->consumer;
    rd_kafka_resp_err_t code =
        sim_broker_call(&(struct sim_request){ .kind = SIM_READ, .topic = topic }, &reply);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && sim_broker_goes_stale()) {
        consumer->stale_at_ns = os_monotonic_ns() - sim_broker_below(BEHIND_MS) * MS;
        consumer->stale_until_ns = os_monotonic_ns() + sim_broker_below(STALE_MAX_MS) * MS;
    }
    return code;
}

/* The same, and what passes is asked for again. */
static rd_kafka_resp_err_t look_until(rd_kafka_t *handle, const char *topic, int64_t deadline_ns)
{
    for (;;) {
        rd_kafka_resp_err_t code = look(handle, topic);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__DESTROY)
            return code;
        if (os_monotonic_ns() > deadline_ns)
            return RD_KAFKA_RESP_ERR__TIMED_OUT;
        os_pause_ms(RETRY_MS);
    }
}

static const struct sim_log *log_of(const char *topic, int32_t partition)
{
    const struct sim_topic *it = sim_broker_topic(topic);
    return it == NULL || partition < 0 || (uint32_t)partition >= it->partition_count
               ? NULL
               : &it->partitions[partition];
}

/* Where the log ends, as far as its leader knows. */
static int64_t end_of(const struct sim_consumer *consumer, const struct sim_log *log)
{
    return os_monotonic_ns() < consumer->stale_until_ns ? sim_log_end_at(log, consumer->stale_at_ns)
                                                        : log->count;
}

/* ... and for this reader. */
static int64_t readable_end_of(const struct sim_consumer *consumer, const struct sim_log *log)
{
    int64_t end = end_of(consumer, log);
    return consumer->is_committed ? sim_log_stable(log, end) : end;
}

rd_kafka_resp_err_t rd_kafka_query_watermark_offsets(rd_kafka_t *handle, const char *topic,
    int32_t partition, int64_t *low, int64_t *high, int timeout_ms)
{
    rd_kafka_resp_err_t code = look_until(handle, topic, os_monotonic_ns() + timeout_ms * MS);
    const struct sim_log *log = log_of(topic, partition);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    if (log == NULL)
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    *low = 0;
    *high = readable_end_of(&handle->consumer, log);
    return code;
}

rd_kafka_resp_err_t rd_kafka_get_watermark_offsets(rd_kafka_t *handle, const char *topic,
    int32_t partition, int64_t *low, int64_t *high)
{
    const struct sim_log *log = log_of(topic, partition);
    if (log == NULL)
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    *low = 0;
    *high = end_of(&handle->consumer, log);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_offsets_for_times(rd_kafka_t *handle,
    rd_kafka_topic_partition_list_t *list, int timeout_ms)
{
    rd_kafka_resp_err_t code =
        look_until(handle, list->elems[0].topic, os_monotonic_ns() + timeout_ms * MS);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        rd_kafka_topic_partition_t *it = &list->elems[i];
        const struct sim_log *log = log_of(it->topic, it->partition);
        it->err =
            log == NULL ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART : RD_KAFKA_RESP_ERR_NO_ERROR;
        ASSERT(it->offset == RD_KAFKA_OFFSET_BEGINNING || it->offset == RD_KAFKA_OFFSET_END);
        if (log != NULL)
            it->offset = it->offset == RD_KAFKA_OFFSET_BEGINNING
                             ? 0
                             : readable_end_of(&handle->consumer, log);
    }
    return code;
}

/* -- assignment ----------------------------------------------------------------------------------- */

static struct sim_assigned *assigned_of(struct sim_consumer *consumer,
    const rd_kafka_topic_partition_t *wanted)
{
    for (uint32_t i = 0; i < consumer->count; i++)
        if (consumer->assigned[i].partition == wanted->partition &&
            strcmp(consumer->assigned[i].topic, wanted->topic) == 0)
            return &consumer->assigned[i];
    return NULL;
}

static void assign_one(struct sim_consumer *consumer, const rd_kafka_topic_partition_t *wanted)
{
    consumer->assigned =
        mem_realloc(consumer->assigned, (consumer->count + 1) * sizeof(*consumer->assigned));
    struct sim_assigned *it = &consumer->assigned[consumer->count++];
    *it = (struct sim_assigned){ .partition = wanted->partition, .next = wanted->offset };
    snprintf(it->topic, sizeof(it->topic), "%s", wanted->topic);
}

rd_kafka_resp_err_t rd_kafka_assign(rd_kafka_t *handle, const rd_kafka_topic_partition_list_t *list)
{
    handle->consumer.count = 0;
    for (int i = 0; i < list->cnt; i++)
        assign_one(&handle->consumer, &list->elems[i]);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_error_t *rd_kafka_incremental_assign(rd_kafka_t *handle,
    const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        ASSERT(assigned_of(&handle->consumer, &list->elems[i]) == NULL);
        assign_one(&handle->consumer, &list->elems[i]);
    }
    return NULL;
}

rd_kafka_error_t *rd_kafka_incremental_unassign(rd_kafka_t *handle,
    const rd_kafka_topic_partition_list_t *list)
{
    struct sim_consumer *consumer = &handle->consumer;
    for (int i = 0; i < list->cnt; i++) {
        struct sim_assigned *it = assigned_of(consumer, &list->elems[i]);
        ASSERT(it != NULL);
        *it = consumer->assigned[--consumer->count];
    }
    return NULL;
}

rd_kafka_resp_err_t rd_kafka_poll_set_consumer(rd_kafka_t *handle)
{
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_queue_t *rd_kafka_queue_get_consumer(rd_kafka_t *handle)
{
    return &handle->queue;
}

/* Whoever sleeps is stepped all the same. */
void rd_kafka_queue_io_event_enable(rd_kafka_queue_t *queue, int fd, const void *payload,
    size_t size)
{
}

/* -- messages ------------------------------------------------------------------------------------- */

static rd_kafka_message_t *message_new(const struct sim_assigned *from, rd_kafka_resp_err_t code,
    int64_t offset)
{
    struct message *it = mem_alloc(sizeof(*it));
    it->shown = (rd_kafka_message_t){ .err = code,
        .partition = from == NULL ? RD_KAFKA_PARTITION_UA : from->partition,
        .offset = offset };
    return &it->shown;
}

void rd_kafka_message_destroy(rd_kafka_message_t *message)
{
    mem_free(message->key);
    mem_free(message->payload);
    mem_free(message);
}

int64_t rd_kafka_message_timestamp(const rd_kafka_message_t *message,
    rd_kafka_timestamp_type_t *type)
{
    return ((const struct message *)message)->timestamp_ms;
}

static rd_kafka_message_t *data_message(const struct sim_assigned *from,
    const struct sim_log_record *record)
{
    rd_kafka_message_t *it = message_new(from, RD_KAFKA_RESP_ERR_NO_ERROR, from->next);
    const struct sim_message *message = &record->message;
    it->key = message->key == NULL ? NULL : mem_dup(message->key, message->key_size);
    it->payload = message->value == NULL ? NULL : mem_dup(message->value, message->value_size);
    it->key_len = message->key_size;
    it->len = message->value_size;
    ((struct message *)it)->timestamp_ms = record->at_ns / MS;
    return it;
}

/* The next of a partition: a record, its end, that its offset is not there; NULL: nothing. */
static rd_kafka_message_t *next_of(struct sim_consumer *consumer, struct sim_assigned *it)
{
    const struct sim_log *log = log_of(it->topic, it->partition);
    if (log == NULL || it->is_lost)
        return NULL;
    int64_t end = end_of(consumer, log), readable = readable_end_of(consumer, log);
    if (it->next > end) {
        it->is_lost = true;
        return message_new(it, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, it->next);
    }
    for (; it->next < readable; it->next++) {
        if (!sim_log_is_visible(log, it->next, consumer->is_committed ? end : INT64_MAX))
            continue;
        rd_kafka_message_t *message = data_message(it, &log->records[it->next]);
        it->next++;
        it->is_end_told = false;
        return message;
    }
    if (it->is_end_told || it->next != end) /* an open transaction hides what is behind it */
        return NULL;
    it->is_end_told = true;
    return message_new(it, RD_KAFKA_RESP_ERR__PARTITION_EOF, it->next);
}

static rd_kafka_message_t *next(struct sim_consumer *consumer)
{
    for (uint32_t i = 0; i < consumer->count; i++) {
        rd_kafka_message_t *message =
            next_of(consumer, &consumer->assigned[(consumer->turn + i) % consumer->count]);
        if (message == NULL)
            continue;
        consumer->turn += i + (message->err != RD_KAFKA_RESP_ERR_NO_ERROR || sim_broker_one_in(4));
        return message;
    }
    return NULL;
}

rd_kafka_message_t *rd_kafka_consumer_poll(rd_kafka_t *handle, int timeout_ms)
{
    struct sim_consumer *consumer = &handle->consumer;
    int64_t deadline_ns = os_monotonic_ns() + timeout_ms * MS;
    while (consumer->count > 0) {
        rd_kafka_resp_err_t code = look(handle, consumer->assigned[0].topic);
        if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__DESTROY)
            return message_new(NULL, code, RD_KAFKA_OFFSET_INVALID);
        rd_kafka_message_t *message = code == RD_KAFKA_RESP_ERR_NO_ERROR ? next(consumer) : NULL;
        if (message != NULL || os_monotonic_ns() >= deadline_ns)
            return message;
        os_pause_ms(POLL_MS);
    }
    os_pause_ms(timeout_ms);
    return NULL;
}

ssize_t rd_kafka_consume_batch_queue(rd_kafka_queue_t *queue, int timeout_ms,
    rd_kafka_message_t **messages, size_t size)
{
    struct sim_consumer *consumer = &queue->handle->consumer;
    size_t count = 0;
    if (consumer->count == 0 || size == 0)
        return 0;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (sim_broker_one_in(FETCH_ONE_IN)) /* the client has fetched ahead, mostly */
        code = look(queue->handle, consumer->assigned[0].topic);
    if (code == RD_KAFKA_RESP_ERR__TRANSPORT) {
        messages[0] = message_new(NULL, code, RD_KAFKA_OFFSET_INVALID);
        return 1;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    size_t most = 1 + sim_broker_below((uint32_t)size);
    while (count < most && (messages[count] = next(consumer)) != NULL)
        count++;
    return (ssize_t)count;
}

/* -- positions of a group --------------------------------------------------------------------------- */

rd_kafka_resp_err_t rd_kafka_commit_queue(rd_kafka_t *handle,
    const rd_kafka_topic_partition_list_t *offsets, rd_kafka_queue_t *queue,
    void (*cb)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *),
    void *opaque)
{
    queue->commits++;
    queue->commit_cb = cb;
    queue->commit_opaque = opaque;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int rd_kafka_queue_poll_callback(rd_kafka_queue_t *queue, int timeout_ms)
{
    int count = 0;
    for (; queue->commits > 0 && !sim_broker_one_in(4); queue->commits--, count++)
        queue->commit_cb(queue->handle,
            sim_broker_one_in(8) ? RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID : RD_KAFKA_RESP_ERR_NO_ERROR,
            NULL, queue->commit_opaque);
    return count;
}

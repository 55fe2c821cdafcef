/* sim_kafka_producer.c -- transactions, as librdkafka makes them: see sim_kafka_client.h. */
#include "test/sim/sim_kafka_client.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_os.h"

#include <stdio.h>
#include <string.h>

#define MS                 INT64_C(1000000)
#define RETRY_MS           100
#define CONCURRENT_MS      500 /* librdkafka's, before it asks again whether the last one has ended */
#define BATCH_MAX          200u
#define BACKGROUND_ONE_IN  100u /* records: some are sent before anybody waits for them */
#define BACKGROUND_WAIT_MS 5

static struct sim_intent *intents;
static uint64_t intent_count;

const struct sim_intent *sim_client_intents(uint64_t *count)
{
    *count = intent_count;
    return intents;
}

void sim_client_forget_intents(void)
{
    mem_free(intents);
    intents = NULL;
    intent_count = 0;
}

/* Intent 0 is nobody's. */
static uint64_t new_intent(void)
{
    uint64_t id = intent_count == 0 ? 1 : intent_count;
    intents = mem_realloc(intents, (id + 1) * sizeof(*intents));
    intents[0] = intents[id] = (struct sim_intent){ .produced = 0 };
    intent_count = id + 1;
    return id;
}

/* -- errors --------------------------------------------------------------------------------------- */

static rd_kafka_error_t *error_of(rd_kafka_resp_err_t code, bool is_retriable)
{
    rd_kafka_error_t *error = mem_alloc(sizeof(*error));
    *error = (struct rd_kafka_error_s){ .code = code, .is_retriable = is_retriable };
    return error;
}

static bool is_fenced(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

static bool is_passing(rd_kafka_resp_err_t code)
{
    static const rd_kafka_resp_err_t passing[] = { RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS };
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        if (passing[i] == code)
            return true;
    return false;
}

static void finish(struct sim_produced *it, rd_kafka_resp_err_t code, int64_t offset)
{
    it->is_done = true;
    it->code = code;
    it->offset = offset;
}

static void purge(struct sim_producer *producer)
{
    for (uint32_t i = 0; i < producer->count; i++)
        if (!producer->records[i].is_done)
            finish(&producer->records[i], RD_KAFKA_RESP_ERR__PURGE_QUEUE, -1);
}

/* Fenced is for ever; anything else that does not pass ends the transaction. */
static void fail(struct sim_producer *producer, rd_kafka_resp_err_t code)
{
    producer->state = is_fenced(code) ? SIM_FATAL : SIM_FAILED;
    producer->failure = is_fenced(code) ? RD_KAFKA_RESP_ERR__FENCED : code;
}

static rd_kafka_error_t *failure_of(const struct sim_producer *producer)
{
    return error_of(producer->failure, false);
}

static bool is_failed(const struct sim_producer *producer)
{
    return producer->state == SIM_FAILED || producer->state == SIM_FATAL;
}

void sim_producer_release(struct sim_producer *producer)
{
    for (uint32_t i = 0; i < producer->count; i++) {
        mem_free(producer->records[i].message.key);
        if (!producer->records[i].is_lent)
            mem_free(producer->records[i].message.value);
    }
    mem_free(producer->records);
    mem_free(producer->lanes);
    mem_free(producer->id);
}

/* -- requests ------------------------------------------------------------------------------------- */

static struct sim_request request_of(const struct sim_producer *producer,
    enum sim_request_kind kind)
{
    return (struct sim_request){ .kind = kind,
        .id = producer->id,
        .producer = producer->producer,
        .epoch = producer->epoch,
        .timeout_ms = producer->timeout_ms };
}

/* Asks until there is an answer that does not pass, or the time is up: __TIMED_OUT. */
static rd_kafka_resp_err_t ask(const struct sim_request *request, int64_t deadline_ns,
    struct sim_reply *reply)
{
    for (;;) {
        rd_kafka_resp_err_t code = sim_broker_call(request, reply);
        if (!is_passing(code))
            return code;
        if (os_monotonic_ns() >= deadline_ns)
            return RD_KAFKA_RESP_ERR__TIMED_OUT;
        os_pause_ms(
            code == RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS && request->kind == SIM_INIT_PRODUCER
                ? CONCURRENT_MS
                : RETRY_MS);
    }
}

rd_kafka_error_t *rd_kafka_init_transactions(rd_kafka_t *handle, int timeout_ms)
{
    struct sim_producer *producer = &handle->producer;
    struct sim_reply reply;
    struct sim_request request = request_of(producer, SIM_INIT_PRODUCER);
    rd_kafka_resp_err_t code = ask(&request, os_monotonic_ns() + timeout_ms * MS, &reply);
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        return error_of(code, true);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fail(producer, code);
        return failure_of(producer);
    }
    producer->producer = reply.producer;
    producer->epoch = reply.epoch;
    producer->state = SIM_READY;
    return NULL;
}

rd_kafka_error_t *rd_kafka_begin_transaction(rd_kafka_t *handle)
{
    struct sim_producer *producer = &handle->producer;
    if (is_failed(producer))
        return failure_of(producer);
    if (producer->state != SIM_READY)
        return error_of(RD_KAFKA_RESP_ERR__STATE, false);
    producer->state = SIM_OPEN;
    producer->intent = new_intent();
    for (uint32_t i = 0; i < producer->lane_count; i++)
        producer->lanes[i].is_added = false;
    return NULL;
}

/* -- records -------------------------------------------------------------------------------------- */

static struct sim_lane *lane_of(struct sim_producer *producer, const char *topic, int32_t partition)
{
    for (uint32_t i = 0; i < producer->lane_count; i++)
        if (producer->lanes[i].partition == partition &&
            strcmp(producer->lanes[i].topic, topic) == 0)
            return &producer->lanes[i];
    producer->lanes =
        mem_realloc(producer->lanes, (producer->lane_count + 1) * sizeof(*producer->lanes));
    struct sim_lane *lane = &producer->lanes[producer->lane_count++];
    *lane = (struct sim_lane){ .partition = partition };
    snprintf(lane->topic, sizeof(lane->topic), "%s", topic);
    return lane;
}

/* The coordinator must know of a partition before a record goes there. */
static rd_kafka_resp_err_t add_partition(struct sim_producer *producer, struct sim_lane *lane,
    int64_t deadline_ns)
{
    struct sim_reply reply;
    if (lane->is_added)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    struct sim_request request = request_of(producer, SIM_ADD_PARTITION);
    request.topic = lane->topic;
    request.partition = lane->partition;
    rd_kafka_resp_err_t code = ask(&request, deadline_ns, &reply);
    lane->is_added = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    return code;
}

static void plant(struct sim_producer *producer, struct sim_request *request)
{
    const struct sim_produced *first = NULL;
    for (uint32_t i = 0; i < producer->count && first == NULL; i++)
        if (!producer->records[i].is_done)
            first = &producer->records[i];
    if (sim_client_defect == SIM_CLIENT_TOKEN_OUTSIDE && first != NULL && first->opaque != NULL)
        request->producer = -1;
}

/* A batch: the first record that waits and those of the same partition behind it, as far as they were not
 * sent before in another batch. Returns how many. */
static uint32_t gather(struct sim_producer *producer, uint32_t first, struct sim_lane *lane,
    uint32_t indexes[BATCH_MAX])
{
    uint32_t count = 0;
    const struct sim_produced *head = &producer->records[first];
    bool was_sent = head->sequence >= 0;
    for (uint32_t i = first; i < producer->count && count < BATCH_MAX; i++) {
        struct sim_produced *it = &producer->records[i];
        if (it->is_done || it->partition != head->partition || strcmp(it->topic, head->topic) != 0)
            continue;
        if (was_sent ? it->sequence != head->sequence : it->sequence >= 0)
            break;
        indexes[count++] = i;
    }
    if (!was_sent) { /* a batch keeps its first number, by which a broker knows it again */
        for (uint32_t i = 0; i < count; i++)
            producer->records[indexes[i]].sequence = lane->next_sequence;
        lane->next_sequence += (int32_t)count;
    }
    return count;
}

static rd_kafka_resp_err_t send_batch(struct sim_producer *producer, uint32_t first,
    int64_t deadline_ns)
{
    uint32_t indexes[BATCH_MAX];
    struct sim_message messages[BATCH_MAX];
    struct sim_reply reply;
    struct sim_lane *lane =
        lane_of(producer, producer->records[first].topic, producer->records[first].partition);
    rd_kafka_resp_err_t code = add_partition(producer, lane, deadline_ns);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    uint32_t count = gather(producer, first, lane, indexes);
    for (uint32_t i = 0; i < count; i++)
        messages[i] = producer->records[indexes[i]].message;
    struct sim_request request = request_of(producer, SIM_PRODUCE);
    request.topic = lane->topic;
    request.partition = lane->partition;
    request.sequence = producer->records[first].sequence;
    request.messages = messages;
    request.count = count;
    plant(producer, &request);
    code = ask(&request, deadline_ns, &reply);
    for (uint32_t i = 0; i < count && code != RD_KAFKA_RESP_ERR__TIMED_OUT; i++)
        finish(&producer->records[indexes[i]], is_fenced(code) ? RD_KAFKA_RESP_ERR__FENCED : code,
            code == RD_KAFKA_RESP_ERR_NO_ERROR ? reply.offset + i : -1);
    return code;
}

/* Sends what waits until nothing does, or it fails, or the time is up. */
static rd_kafka_resp_err_t send_all(struct sim_producer *producer, int64_t deadline_ns)
{
    for (uint32_t i = 0; i < producer->count; i++) {
        if (producer->records[i].is_done)
            continue;
        if (is_failed(producer)) {
            purge(producer);
            break;
        }
        rd_kafka_resp_err_t code = send_batch(producer, i, deadline_ns);
        if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
            return code;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fail(producer, code);
            if (!producer->records[i].is_done)
                finish(&producer->records[i], producer->failure, -1);
        }
        i--; /* of a batch that was too large for one request, the rest */
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* As murmur2_random: equal keys go together, records without a key anywhere. */
static int32_t partition_of(const char *topic, const void *key, size_t size)
{
    const struct sim_topic *it = sim_broker_topic(topic);
    uint32_t count = it == NULL || it->partition_count == 0 ? 1 : it->partition_count;
    return (
        int32_t)(key == NULL ? sim_broker_below(count) : (uint32_t)(hash_bytes(key, size) % count));
}

/* Without RD_KAFKA_MSG_F_COPY the value stays where it is, and is read when it is sent. */
static rd_kafka_resp_err_t add_record(rd_kafka_topic_t *topic, int32_t partition, int flags,
    const rd_kafka_message_t *message)
{
    struct sim_producer *producer = &topic->handle->producer;
    if (producer->state != SIM_OPEN)
        return is_failed(producer) ? producer->failure : RD_KAFKA_RESP_ERR__STATE;
    if ((producer->count & (producer->count + 1)) == 0)
        producer->records =
            mem_realloc(producer->records, (producer->count * 2 + 2) * sizeof(*producer->records));
    struct sim_produced *it = &producer->records[producer->count++];
    bool is_lent = (flags & RD_KAFKA_MSG_F_COPY) == 0;
    *it = (struct sim_produced){ .partition = partition >= 0 ? partition
                                                             : partition_of(topic->name,
                                                                   message->key, message->key_len),
        .sequence = -1,
        .opaque = message->_private,
        .offset = -1,
        .is_lent = is_lent,
        .message = { .key = message->key == NULL ? NULL : mem_dup(message->key, message->key_len),
            .value = message->payload == NULL || is_lent ? message->payload
                                                         : mem_dup(message->payload, message->len),
            .key_size = message->key_len,
            .value_size = message->len,
            .intent = producer->intent } };
    snprintf(it->topic, sizeof(it->topic), "%s", topic->name);
    intents[producer->intent].produced++;
    if (sim_broker_one_in(BACKGROUND_ONE_IN))
        send_all(producer, os_monotonic_ns() + BACKGROUND_WAIT_MS * MS);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int rd_kafka_produce(rd_kafka_topic_t *topic, int32_t partition, int flags, void *payload,
    size_t size, const void *key, size_t key_size, void *opaque)
{
    rd_kafka_resp_err_t code = add_record(topic, partition, flags,
        &(rd_kafka_message_t){ .payload = payload,
            .len = size,
            .key = (void *)(uintptr_t)key,
            .key_len = key_size,
            ._private = opaque });
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    sim_client_fail(code);
    return -1;
}

int rd_kafka_produce_batch(rd_kafka_topic_t *topic, int32_t partition, int flags,
    rd_kafka_message_t *messages, int count)
{
    int taken = 0;
    for (int i = 0; i < count; i++) {
        messages[i].err = add_record(topic,
            (flags & RD_KAFKA_MSG_F_PARTITION) != 0 ? messages[i].partition : partition, flags,
            &messages[i]);
        taken += messages[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return taken;
}

static void report(rd_kafka_t *handle)
{
    struct sim_producer *producer = &handle->producer;
    for (; producer->reported < producer->count; producer->reported++) {
        const struct sim_produced *it = &producer->records[producer->reported];
        if (!it->is_done)
            return;
        rd_kafka_message_t message = { .err = it->code,
            .partition = it->partition,
            .key = it->message.key,
            .key_len = it->message.key_size,
            .payload = it->message.value,
            .len = it->message.value_size,
            .offset = it->offset,
            ._private = it->opaque };
        handle->delivery(handle, &message, handle->opaque);
    }
}

int rd_kafka_poll(rd_kafka_t *handle, int timeout_ms)
{
    uint32_t before = handle->producer.reported;
    if (timeout_ms > 0) /* full batches go out meanwhile */
        send_all(&handle->producer, os_monotonic_ns() + timeout_ms * MS);
    report(handle);
    return (int)(handle->producer.reported - before);
}

static size_t unsent_size(const struct sim_producer *producer)
{
    size_t size = 0;
    for (uint32_t i = 0; i < producer->count; i++)
        if (!producer->records[i].is_done)
            size += producer->records[i].message.key_size + producer->records[i].message.value_size;
    return size;
}

rd_kafka_resp_err_t rd_kafka_flush(rd_kafka_t *handle, int timeout_ms)
{
    struct sim_intent *intent = &intents[handle->producer.intent];
    size_t unsent = unsent_size(&handle->producer);
    intent->flushed = unsent > intent->flushed ? unsent : intent->flushed;
    rd_kafka_resp_err_t code = send_all(&handle->producer, os_monotonic_ns() + timeout_ms * MS);
    report(handle);
    return code;
}

rd_kafka_resp_err_t rd_kafka_purge(rd_kafka_t *handle, int flags)
{
    purge(&handle->producer);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* -- the end -------------------------------------------------------------------------------------- */

static bool has_partitions(const struct sim_producer *producer)
{
    for (uint32_t i = 0; i < producer->lane_count; i++)
        if (producer->lanes[i].is_added)
            return true;
    return false;
}

static rd_kafka_error_t *end(struct sim_producer *producer, bool is_commit, int64_t deadline_ns)
{
    struct sim_reply reply;
    struct sim_request request = request_of(producer, SIM_END_TRANSACTION);
    request.is_commit = is_commit;
    bool believes = sim_client_defect == SIM_CLIENT_BELIEVES && is_commit;
    rd_kafka_resp_err_t code =
        believes ? sim_broker_call(&request, &reply) : ask(&request, deadline_ns, &reply);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || believes) {
        producer->state = SIM_READY;
        return NULL;
    }
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        return error_of(code, true);
    fail(producer, code);
    return failure_of(producer);
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *handle, int timeout_ms)
{
    struct sim_producer *producer = &handle->producer;
    int64_t deadline_ns = os_monotonic_ns() + timeout_ms * MS;
    if (is_failed(producer))
        return failure_of(producer);
    if (producer->state != SIM_OPEN && producer->state != SIM_COMMITTING)
        return error_of(RD_KAFKA_RESP_ERR__STATE, false);
    rd_kafka_resp_err_t code = send_all(producer, deadline_ns);
    report(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_of(code, true);
    if (is_failed(producer))
        return failure_of(producer);
    producer->state = SIM_COMMITTING;
    intents[producer->intent].is_asked = true;
    if (has_partitions(producer))
        return end(producer, true, deadline_ns);
    producer->state = SIM_READY;
    return NULL;
}

rd_kafka_error_t *rd_kafka_abort_transaction(rd_kafka_t *handle, int timeout_ms)
{
    struct sim_producer *producer = &handle->producer;
    if (producer->state == SIM_FATAL)
        return failure_of(producer);
    purge(producer);
    report(handle);
    if (has_partitions(producer))
        return end(producer, false, os_monotonic_ns() + timeout_ms * MS);
    producer->state = SIM_READY;
    return NULL;
}

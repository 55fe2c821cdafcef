/* kafka_publish.c -- see kafka_publish.h. Prefixes: kafka_publish */
#include "connectors/kafka_publish.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/plural.h"
#include "connectors/kafka_partitioner.h"
#include "connectors/kafka_token_read.h"
#include "connectors/kafka_topic.h"

#include <inttypes.h>
#include <stdio.h>

#define INIT_TIMEOUT_MS   20000
#define FLUSH_TIMEOUT_MS  30000
#define FLUSH_SLICE_MS    100
#define COMMIT_TIMEOUT_MS 10000
#define STEP_DEADLINE_MS  60000
#define BACKOFF_MS        200
#define BATCH_SIZE        1000000 /* the client's default */
/* While a request of a partition is on its way, the client's thread spins as long as a record of that
 * partition has lingered. Here none does: batches are sent when they are full, the rest by flush(). */
#define LINGER_MS   "1000"
#define QUEUED_MAX  256              /* records handed to the client in one call */
#define PARTITIONER "murmur2_random" /* as the Java clients do: kafka_partitioner.h */

static const char token_key[] = "weir";
static const char probe_key[] = "weir-probe";

/* The chunk that is sent: outlives its transaction. Thread: worker. */
struct sending {
    struct kafka_chunk_buffer buffer;
    struct kafka_partitioner partitioner;
};

/* One handle, one transaction. Thread: worker (delivery reports come from its flush). */
struct transaction {
    const struct kafka_publisher *publisher;
    rd_kafka_t *handle;
    rd_kafka_topic_t *topic, *token_topic;
    rd_kafka_message_t
        queued[QUEUED_MAX]; /* to be handed over; they point into the chunk's buffer */
    int queued_count;
    bool has_begun;
    uint64_t produced, delivered;
    size_t batch_size, unanswered; /* bytes; unanswered: produced, without a report yet */
    uint32_t partitions;
    struct kafka_led led;
    int64_t token_offset;        /* -1: not delivered */
    rd_kafka_resp_err_t failure; /* the first, and the largest record that it hit: */
    size_t failed_size;
    char failed_key[64];
};

/* -- handles --------------------------------------------------------------------------------------- */

/* Records of a transaction that has failed already are purged: that says nothing. */
static bool is_purge(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

/* A batch is refused as a whole: its largest record is the one to tell. */
static void note_failure(struct transaction *it, const rd_kafka_message_t *message)
{
    size_t size = message->key_len + message->len;
    if (it->failure == RD_KAFKA_RESP_ERR_NO_ERROR || is_purge(it->failure)) {
        it->failure = message->err;
        it->failed_size = 0;
    }
    if (message->err != it->failure || size < it->failed_size)
        return;
    it->failed_size = size;
    int key_size = message->key_len < sizeof(it->failed_key) ? (int)message->key_len
                                                             : (int)sizeof(it->failed_key) - 1;
    snprintf(it->failed_key, sizeof(it->failed_key), "%.*s", key_size,
        message->key == NULL ? "" : (const char *)message->key);
}

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    (void)handle;
    struct transaction *it = opaque;
    it->unanswered -= message->key_len + message->len;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        note_failure(it, message);
        return;
    }
    it->delivered++;
    if (message->_private != NULL)
        it->token_offset = message->offset;
}

static void transaction_close(struct transaction *it)
{
    if (it->topic != NULL)
        rd_kafka_topic_destroy(it->topic);
    if (it->token_topic != NULL)
        rd_kafka_topic_destroy(it->token_topic);
    kafka_close(it->handle);
    kafka_led_release(&it->led);
    *it = (struct transaction){ .token_offset = -1 };
}

/* An error of the transactional calls: retriable unless it is a refusal. Takes it. */
static weir_error *take(const struct kafka_publisher *publisher, const char *doing,
    rd_kafka_error_t *error)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    weir_error *result = weir_error_wrap(kafka_error(publisher->brokers, doing, code), "%s",
        rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return result;
}

static weir_error *init(struct transaction *it)
{
    int64_t deadline_ns = os_monotonic_ns() + (int64_t)STEP_DEADLINE_MS * 1000000;
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(it->handle, INIT_TIMEOUT_MS);
        if (error == NULL)
            return NULL;
        if (!rd_kafka_error_is_retriable(error) || os_monotonic_ns() > deadline_ns)
            return take(it->publisher, "start transactions", error);
        rd_kafka_error_destroy(error);
    }
}

static weir_error *know_topics(struct transaction *it)
{
    const struct kafka_publisher *publisher = it->publisher;
    uint32_t count;
    WEIR_TRY(kafka_partitions(it->handle, publisher->brokers, publisher->topic, &it->partitions,
        &it->led));
    WEIR_TRY(
        kafka_partitions(it->handle, publisher->brokers, publisher->token_topic, &count, NULL));
    if (publisher->slot >= count)
        return weir_error_retriable(weir_errorf(WEIR_E_CONNECTOR,
            "token topic '%s' has %u partition%s, subtask %u needs one of its own; add some",
            publisher->token_topic, count, plural(count), publisher->slot));
    return NULL;
}

static weir_error *open_handle(struct transaction *it)
{
    const struct kafka_publisher *publisher = it->publisher;
    char *id = mem_printf("weir-%s-%s-%s-%u", publisher->job, publisher->uid, publisher->topic,
        publisher->slot);
    /* a batch must not be larger than what the topic takes, though each record alone is not */
    it->batch_size = publisher->batch_max < BATCH_SIZE ? publisher->batch_max : BATCH_SIZE;
    char *batch = mem_printf("%zu", it->batch_size);
    const struct kafka_setting settings[] = {
        { "transactional.id", id },
        { "transaction.timeout.ms", "60000" },
        { "linger.ms", LINGER_MS },
        { "queue.buffering.max.messages", "200000" },
        { "batch.num.messages", "100000" }, /* a batch is full by its size alone */
        { "batch.size", batch },
        { "partitioner", PARTITIONER },
        { NULL, NULL },
    };
    weir_error *error = kafka_open(RD_KAFKA_PRODUCER, publisher->brokers, settings,
        publisher->client, on_delivery, it, &it->handle);
    mem_free(id);
    mem_free(batch);
    return error;
}

static weir_error *transaction_open(struct transaction *it, const struct kafka_publisher *publisher)
{
    *it = (struct transaction){ .publisher = publisher, .token_offset = -1 };
    WEIR_TRY(open_handle(it));
    WEIR_TRY(init(it));
    WEIR_TRY(know_topics(it));
    it->topic = rd_kafka_topic_new(it->handle, publisher->topic, NULL);
    it->token_topic = rd_kafka_topic_new(it->handle, publisher->token_topic, NULL);
    if (it->topic == NULL || it->token_topic == NULL)
        return kafka_error(publisher->brokers, "use the topics", rd_kafka_last_error());
    return NULL;
}

/* -- one transaction -------------------------------------------------------------------------------- */

/* In one call, since each has its price in locks and clocks. The client sends from where the values lie, and
 * serves reports meanwhile, so that few records are in memory at a time. */
static weir_error *hand_over(struct transaction *it)
{
    const rd_kafka_message_t *failed = it->queued;
    int taken = rd_kafka_produce_batch(it->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_PARTITION,
        it->queued, it->queued_count);
    int count = it->queued_count;
    it->queued_count = 0;
    it->produced += (uint64_t)taken;
    rd_kafka_poll(it->handle, 0);
    if (taken == count)
        return NULL;
    while (failed->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        failed++;
    ASSERT(failed < it->queued + count);
    return weir_error_wrap(kafka_error(it->publisher->brokers, "queue a record", failed->err),
        "topic '%s', a record of %zu bytes", it->publisher->topic, failed->key_len + failed->len);
}

static weir_error *produce(struct transaction *it, const struct kafka_outgoing *record)
{
    it->unanswered += record->key.size + record->value.size;
    it->queued[it->queued_count++] =
        (rd_kafka_message_t){ .payload = (void *)(uintptr_t)record->value.data,
            .len = record->value.size,
            .key = (void *)(uintptr_t)record->key.data,
            .key_len = record->key.size,
            .partition = record->partition };
    return it->queued_count == QUEUED_MAX ? hand_over(it) : NULL;
}

static weir_error *partition(void *arg, weir_str key, weir_str value)
{
    kafka_partitioner_add(arg, key, value);
    return NULL;
}

/* The partitions of the topic; 0: the user has set another partitioner than Java's. */
static uint32_t known_partitions(const struct transaction *it)
{
    char name[64] = "";
    size_t size = sizeof(name);
    rd_kafka_conf_get(rd_kafka_conf(it->handle), "partitioner", name, &size);
    return strcmp(name, PARTITIONER) == 0 ? it->partitions : 0;
}

static weir_error *produce_chunk(struct transaction *it, const struct kafka_staged *segment,
    uint32_t number, struct sending *sending)
{
    struct kafka_partitioner *records = &sending->partitioner;
    kafka_partitioner_start(records, known_partitions(it), &it->led,
        (uint32_t)segment->number + number);
    WEIR_TRY(kafka_chunk_read(segment->path, &segment->chunks[number], &sending->buffer, partition,
        records));
    kafka_partitioner_sort(records);
    for (uint32_t i = 0; i < records->count; i++)
        WEIR_TRY(produce(it, kafka_partitioner_at(records, i)));
    return hand_over(it);
}

static weir_error *produce_token(struct transaction *it, const struct token *token, const char *key)
{
    char text[TOKEN_TEXT_MAX];
    size_t size = token_write(token, text);
    int failed = rd_kafka_produce(it->token_topic, (int32_t)it->publisher->slot,
        RD_KAFKA_MSG_F_COPY, text, size, key, strlen(key), it);
    if (failed != 0)
        return kafka_error(it->publisher->brokers, "queue the token", rd_kafka_last_error());
    it->produced++;
    it->unanswered += size + strlen(key);
    return NULL;
}

static weir_error *begin(struct transaction *it)
{
    ASSERT(!it->has_begun); /* one handle, one transaction */
    it->has_begun = true;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(it->handle);
    return error == NULL ? NULL : take(it->publisher, "begin a transaction", error);
}

static weir_error *not_delivered(const struct transaction *it, rd_kafka_resp_err_t code)
{
    const struct kafka_publisher *publisher = it->publisher;
    weir_error *error = kafka_error(publisher->brokers, "deliver records", code);
    if (it->failure == RD_KAFKA_RESP_ERR_NO_ERROR)
        return weir_error_wrap(error, "topic '%s'", publisher->topic);
    return weir_error_wrap(error, "topic '%s', a record of %zu bytes with the key '%s'",
        publisher->topic, it->failed_size, it->failed_key);
}

/* Until everything is delivered, or something cannot be. While it is flushed the client spins, as for
 * what lingers, so full batches go first. */
static weir_error *flush(struct transaction *it)
{
    int64_t deadline_ns = os_monotonic_ns() + (int64_t)FLUSH_TIMEOUT_MS * 1000000;
    rd_kafka_resp_err_t code;
    while (it->unanswered > it->partitions * it->batch_size &&
           it->failure == RD_KAFKA_RESP_ERR_NO_ERROR && os_monotonic_ns() < deadline_ns)
        rd_kafka_poll(it->handle, FLUSH_SLICE_MS);
    do
        code = rd_kafka_flush(it->handle, FLUSH_SLICE_MS);
    while (code == RD_KAFKA_RESP_ERR__TIMED_OUT && it->failure == RD_KAFKA_RESP_ERR_NO_ERROR &&
           os_monotonic_ns() < deadline_ns);
    if (it->failure != RD_KAFKA_RESP_ERR_NO_ERROR)
        return not_delivered(it, it->failure);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : not_delivered(it, code);
}

/* Everything delivered, and the token exactly where the reading ended. */
static weir_error *check_delivery(struct transaction *it, int64_t expected_offset)
{
    WEIR_TRY(flush(it));
    if (it->delivered != it->produced)
        return weir_error_retriable(weir_errorf(WEIR_E_CONNECTOR,
            "%" PRIu64 " of %" PRIu64 " records were acknowledged", it->delivered, it->produced));
    if (it->token_offset != expected_offset)
        return weir_error_retriable(weir_errorf(WEIR_E_CONNECTOR,
            "the token landed at offset %" PRId64 " instead of %" PRId64
            ": it was read from a broker that was behind, or another instance writes",
            it->token_offset, expected_offset));
    return NULL;
}

static weir_error *commit(struct transaction *it)
{
    rd_kafka_error_t *error = rd_kafka_commit_transaction(it->handle, COMMIT_TIMEOUT_MS);
    return error == NULL ? NULL : take(it->publisher, "commit a transaction", error);
}

static weir_error *publish_token(struct transaction *it, const struct token *token,
    int64_t *end_offset)
{
    WEIR_TRY(produce_token(it, token, token_key));
    WEIR_TRY(FAULT_STEP(KAFKA_FLUSH, check_delivery(it, *end_offset)));
    WEIR_TRY(FAULT_STEP(KAFKA_COMMIT, commit(it)));
    *end_offset += 2; /* the token and its commit marker */
    return NULL;
}

/* -- recovery ---------------------------------------------------------------------------------------- */

/* Thread: worker. */
struct work {
    const struct kafka_publisher *publisher;
    const struct kafka_staged *segments;
    uint32_t count;
    uint64_t last;
    struct token_place place;
    int64_t end_offset;
    uint64_t records;
    struct sending sending;
};

static struct token_segment view_of(const struct kafka_staged *segment)
{
    return (struct token_segment){ .number = segment->number,
        .previous = segment->previous,
        .chunk_count = segment->chunk_count,
        .is_published = segment->is_published };
}

static uint64_t expected_of(const struct work *work)
{
    struct token_segment first = { .number = 0 };
    if (work->count > 0)
        first = view_of(&work->segments[0]);
    return token_expected(&first, work->count, work->last);
}

static weir_error *claim(struct work *work, struct transaction *it, struct token token)
{
    token.attempt = work->publisher->attempt;
    WEIR_TRY(begin(it));
    return publish_token(it, &token, &work->end_offset);
}

static weir_error *fenced(const struct work *work, const struct token *token)
{
    const struct kafka_publisher *publisher = work->publisher;
    return weir_errorf(WEIR_E_FENCED,
        "attempt %" PRIu64 " of this job publishes into topic '%s', this is attempt %" PRIu64
        ": a later start, or another start from the same savepoint. If no other one runs, the "
        "checkpoint directory is an old copy: set the sink's republish option",
        token->attempt, publisher->topic, publisher->attempt);
}

static weir_error *ahead(const struct work *work, const struct token *token)
{
    const struct kafka_publisher *publisher = work->publisher;
    uint64_t newest = work->count == 0 ? work->last : work->segments[work->count - 1].number;
    return weir_errorf(WEIR_E_STATE,
        "topic '%s' already has output of checkpoint %" PRIu64 " (%" PRIu32 " of %" PRIu32
        " transactions), but the restored checkpoint's output ends at %" PRIu64
        ": going on would publish it again. Restore a newer checkpoint, or set the sink's "
        "republish option (--republish, if the job has it) to accept duplicates",
        publisher->topic, token->segment, token->done, token->total, newest);
}

/* Either the read was stale or the token is gone. A record under another key tells: it lands at the true
 * end of the partition. It is never committed. */
static weir_error *lost(const struct work *work, struct transaction *it, const struct token *token)
{
    const struct kafka_publisher *publisher = work->publisher;
    struct token probe = { .instance = publisher->instance };
    WEIR_TRY(begin(it));
    WEIR_TRY(produce_token(it, &probe, probe_key));
    weir_error *error = check_delivery(it, work->end_offset);
    rd_kafka_error_t *aborted = rd_kafka_abort_transaction(it->handle, COMMIT_TIMEOUT_MS);
    if (aborted != NULL)
        rd_kafka_error_destroy(aborted); /* the next init_transactions aborts it */
    if (error != NULL)
        return error;
    return weir_errorf(WEIR_E_STATE,
        "the progress token in topic '%s', partition %u, is %s; the restored checkpoint needs that "
        "of checkpoint %" PRIu64
        ": it cannot be known what topic '%s' already has. Was the token topic deleted or its data "
        "lost, or does another job of this name write to this topic? Give each a --job-name, or "
        "set "
        "the sink's republish option (--republish, if the job has it) to accept duplicates",
        publisher->token_topic, publisher->slot,
        !token->exists                           ? "missing"
        : token->instance != publisher->instance ? "of another job"
                                                 : "of an older checkpoint",
        expected_of(work), publisher->topic);
}

/* The operator accepts duplicates: from here on the token says what the checkpoint says. */
static weir_error *rewind_token(struct work *work, struct transaction *it)
{
    struct token token = { .exists = true,
        .instance = work->publisher->instance,
        .segment = expected_of(work) };
    bool is_first_out = work->count > 0 && work->segments[0].is_published;
    token.done = token.total = is_first_out ? work->segments[0].chunk_count : 0;
    log_warn("kafka", "publishing again into topic '%s' as asked: it may get duplicates",
        work->publisher->topic);
    work->place = (struct token_place){ .index = is_first_out ? 1 : 0 };
    return claim(work, it, token);
}

static enum token_verdict verdict_of(struct work *work, const struct token *token)
{
    const struct kafka_publisher *publisher = work->publisher;
    struct token_segment *views = mem_alloc_array(work->count + 1, sizeof(*views));
    for (uint32_t i = 0; i < work->count; i++)
        views[i] = view_of(&work->segments[i]);
    enum token_verdict verdict = token_judge(token, publisher->instance,
        publisher->republish ? UINT64_MAX : publisher->attempt, views, work->count, work->last,
        &work->place);
    mem_free(views);
    return verdict;
}

static weir_error *judge(struct work *work, struct transaction *it)
{
    const struct kafka_publisher *publisher = work->publisher;
    struct token token;
    WEIR_TRY(kafka_token_read(publisher, token_key, &token, &work->end_offset));
    enum token_verdict verdict = verdict_of(work, &token);
    if (publisher->republish && (verdict == TOKEN_LOST || verdict == TOKEN_AHEAD))
        return rewind_token(work, it);
    switch (verdict) {
    case TOKEN_FENCED:
        return fenced(work, &token);
    case TOKEN_LOST:
        return lost(work, it, &token);
    case TOKEN_AHEAD:
        return ahead(work, &token);
    case TOKEN_GO_ON:
        break;
    }
    if (token.exists && token.instance != publisher->instance)
        log_warn("kafka",
            "topic '%s' has output of an earlier life of this job, which this one does not go on "
            "from: it is written again. If that is not wanted, start with the --checkpoints of "
            "then",
            publisher->topic);
    if (!token.exists || token.instance != publisher->instance ||
        token.attempt == publisher->attempt)
        return NULL;
    return claim(work, it, token);
}

/* -- publishing -------------------------------------------------------------------------------------- */

static weir_error *publish_chunk(struct work *work, struct transaction *it)
{
    const struct kafka_staged *segment = &work->segments[work->place.index];
    const struct kafka_chunk *chunk = &segment->chunks[work->place.chunk];
    struct token token = { .exists = true,
        .instance = work->publisher->instance,
        .attempt = work->publisher->attempt,
        .segment = segment->number,
        .done = work->place.chunk + 1,
        .total = segment->chunk_count };
    WEIR_TRY(FAULT_STEP(KAFKA_BEGIN, begin(it)));
    WEIR_TRY(
        FAULT_STEP(KAFKA_PRODUCE, produce_chunk(it, segment, work->place.chunk, &work->sending)));
    WEIR_TRY(publish_token(it, &token, &work->end_offset));
    work->records += chunk->records;
    work->place.chunk++;
    return NULL;
}

static void skip_finished(struct work *work)
{
    while (work->place.index < work->count &&
           work->place.chunk == work->segments[work->place.index].chunk_count)
        work->place = (struct token_place){ .index = work->place.index + 1 };
}

/* Recovery, then every chunk on a handle of its own: the first on that which has read the token, unless a claim
 * went out by it. */
static weir_error *publish_once(struct work *work, struct transaction *it)
{
    WEIR_TRY(FAULT_STEP(KAFKA_INIT, transaction_open(it, work->publisher)));
    WEIR_TRY(FAULT_STEP(KAFKA_JUDGE, judge(work, it)));
    for (skip_finished(work); work->place.index < work->count; skip_finished(work)) {
        if (it->has_begun) {
            transaction_close(it);
            WEIR_TRY(transaction_open(it, work->publisher));
        }
        WEIR_TRY(publish_chunk(work, it));
    }
    return NULL;
}

/* A newer attempt explains any error: it fences producers and clears the staging directory. */
static weir_error *explain(const struct kafka_publisher *publisher, weir_error *error)
{
    weir_error *fence = weir_check_attempt(publisher->ctx);
    if (fence == NULL || weir_error_code(fence) != WEIR_E_FENCED) {
        weir_error_free(fence);
        return error;
    }
    weir_error_free(error);
    return fence;
}

static weir_error *try_once(struct work *work)
{
    struct transaction it = { .token_offset = -1 };
    WEIR_TRY(weir_check_attempt(work->publisher->ctx));
    weir_error *error = FAULT_STEP(KAFKA_PUBLISH, publish_once(work, &it));
    transaction_close(&it);
    return error == NULL ? NULL : explain(work->publisher, error);
}

static weir_error *publish_all(struct work *work)
{
    const struct kafka_publisher *publisher = work->publisher;
    int64_t deadline_ns = os_monotonic_ns() + (int64_t)PUBLISH_TIMEOUT_MS * 1000000;
    for (;;) {
        uint64_t before = work->records;
        weir_error *error = try_once(work);
        if (error == NULL)
            return NULL;
        if (work->records > before) /* it goes on: only standing still is bounded */
            deadline_ns = os_monotonic_ns() + (int64_t)PUBLISH_TIMEOUT_MS * 1000000;
        if (!weir_error_is_retriable(error) || os_monotonic_ns() > deadline_ns)
            return weir_error_wrap(error, "cannot publish into topic '%s'", publisher->topic);
        log_warn("kafka", "publishing into topic '%s' starts again: %s", publisher->topic,
            weir_error_message(error));
        weir_error_free(error);
        os_pause_ms(BACKOFF_MS);
    }
}

weir_error *kafka_publish(const struct kafka_publisher *publisher,
    const struct kafka_staged *segments, uint32_t count, uint64_t last, uint64_t *records)
{
    struct work work = { .publisher = publisher,
        .segments = segments,
        .count = count,
        .last = last };
    weir_error *error = publish_all(&work);
    *records = work.records;
    kafka_chunk_buffer_release(&work.sending.buffer);
    kafka_partitioner_release(&work.sending.partitioner);
    return error;
}

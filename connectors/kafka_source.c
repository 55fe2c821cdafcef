/* kafka_source.c -- a Kafka topic as a source: positions in the checkpoint, nothing skipped silently.
 *
 * Partition p is a split; subtask p % parallelism reads it, by assignment, without joining a group. One
 * consumer a subtask; its messages are taken in batches without waiting, and its queue wakes the task
 * through the task's descriptor. A task without room does not poll: the client's prefetch fills to its
 * bound and stops, which is how back pressure reaches the broker.
 *
 * Positions are part of the checkpoint (item "p-<partition>" = next offset) and the truth; when the
 * checkpoint completes they are committed to the group, for people's monitoring. A position that the
 * broker no longer has stops the job. Partitions that appear later are read from their first record.
 *
 * Idle: the client says that a partition is at its end (committed end, under read_committed); then it
 * does not hold the watermark back until its next record.
 *
 * Thread: task; discovery runs in weir_async. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "connectors/kafka_topic.h"

#include <inttypes.h>
#include <stdio.h>

#define BATCH_MAX             256
#define PARTITIONS_MAX        32768
#define DISCOVERY_INTERVAL_MS 10000
#define COMMITS_MAX           8 /* snapshots whose checkpoint may still complete */

/* Thread: task. */
struct partition_state {
    uint32_t number;
    uint32_t split;
    int64_t next; /* offset of the next record */
    int64_t end;  /* bounded: stop here; -1: not bounded */
    bool is_done;
};

/* Positions of one snapshot. Thread: task. */
struct commit_point {
    uint64_t checkpoint;
    int64_t *next; /* by index of partition_state */
    uint32_t count;
};

/* Thread: worker while it runs. */
struct discovery {
    struct kafka_source *source;
    rd_kafka_t *handle;
    const char *brokers, *topic;
    uint32_t partition_count;
};

/* Thread: task. */
struct kafka_source {
    const struct weir_kafka_source_options *options;
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    struct partition_state *partitions;
    uint32_t count, done_count;
    uint32_t *index_of;                      /* partition number -> index + 1, 0: not mine */
    uint32_t known_count;                    /* partitions of the topic seen so far */
    rd_kafka_message_t *messages[BATCH_MAX]; /* of the last poll */
    uint32_t message_count;
    struct commit_point commits[COMMITS_MAX];
    struct discovery discovery;
    bool is_discovering;
    int64_t next_discovery_ms;
};

/* -- plan time ------------------------------------------------------------------------------------ */

static const struct weir_type *out_type(const void *options)
{
    return ((const struct weir_kafka_source_options *)options)->format.type;
}

static weir_error *validate(const void *arg)
{
    const struct weir_kafka_source_options *options = arg;
    if (options->brokers == NULL || options->brokers[0] == '\0')
        return weir_errorf(WEIR_E_PLAN, "a Kafka source needs .brokers (HOST:PORT[,...])");
    if (options->topic == NULL || options->topic[0] == '\0')
        return weir_errorf(WEIR_E_PLAN, "a Kafka source needs a .topic");
    const struct weir_format_class *format = options->format.format_class;
    if (format == NULL || format->decode == NULL)
        return weir_errorf(WEIR_E_PLAN, "a Kafka source needs a .format that can decode");
    return format->validate == NULL ? NULL : format->validate(&options->format);
}

/* -- partitions ----------------------------------------------------------------------------------- */

static weir_error *query(struct kafka_source *source, uint32_t number, int64_t *low, int64_t *high)
{
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(source->handle,
        source->options->topic, (int32_t)number, low, high, KAFKA_TIMEOUT_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    return weir_error_wrap(kafka_error(source->options->brokers, "find the ends of a partition",
                               code),
        "topic '%s', partition %u", source->options->topic, number);
}

static weir_error *out_of_range(const struct kafka_source *source, uint32_t number, int64_t next,
    int64_t low, int64_t high)
{
    return weir_errorf(WEIR_E_CONNECTOR,
        "topic '%s', partition %u: the checkpoint goes on at offset %" PRId64
        ", but the broker has %" PRId64 " to %" PRId64
        ". Records were deleted, or the topic was made anew: restore them, or "
        "start with --fresh on another checkpoint directory",
        source->options->topic, number, next, low, high);
}

/* Restored position, or where a partition without one starts. */
static bool restored_position(const weir_ctx *ctx, uint32_t number, int64_t *next)
{
    char name[32];
    snprintf(name, sizeof(name), "p-%u", number);
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        if (!weir_str_equal(item.name, weir_str_of(name)))
            continue;
        struct reader reader = reader_of(item.value);
        *next = (int64_t)reader_u64(&reader);
        return !reader_failed(&reader);
    }
    return false;
}

static weir_error *add_partition(weir_ctx *ctx, struct kafka_source *source, uint32_t number,
    bool is_new)
{
    int64_t low, high, next;
    WEIR_TRY(query(source, number, &low, &high));
    if (restored_position(ctx, number, &next)) {
        if (next < low || next > high)
            return out_of_range(source, number, next, low, high);
    } else {
        next = source->options->from_latest && !is_new ? high : low;
    }
    source->partitions =
        mem_realloc(source->partitions, (source->count + 1) * sizeof(*source->partitions));
    struct partition_state *it = &source->partitions[source->count++];
    *it = (struct partition_state){ .number = number,
        .split = weir_split_add(ctx),
        .next = next,
        .end = -1 };
    source->index_of[number] = source->count;
    if (source->options->bounded)
        it->end = high;
    if (next == high)
        weir_split_idle(ctx, it->split, true);
    if (it->end >= 0 && next >= it->end) {
        it->is_done = true;
        source->done_count++;
        weir_split_finish(ctx, it->split);
    }
    return NULL;
}

/* Hands the partitions from `from` on to the client. */
static weir_error *assign(struct kafka_source *source, uint32_t from)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)(source->count - from + 1));
    for (uint32_t i = from; i < source->count; i++) {
        if (!source->partitions[i].is_done)
            rd_kafka_topic_partition_list_add(list, source->options->topic,
                (int32_t)source->partitions[i].number)
                ->offset = source->partitions[i].next;
    }
    rd_kafka_error_t *error =
        list->cnt == 0 ? NULL : rd_kafka_incremental_assign(source->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error == NULL)
        return NULL;
    weir_error *result =
        kafka_error(source->options->brokers, "assign partitions", rd_kafka_error_code(error));
    rd_kafka_error_destroy(error);
    return result;
}

static weir_error *take_partitions(weir_ctx *ctx, struct kafka_source *source,
    uint32_t partition_count, bool is_new)
{
    uint32_t first = source->count;
    if (partition_count > PARTITIONS_MAX)
        return weir_errorf(WEIR_E_LIMIT, "topic '%s' has %u partitions, %u are allowed",
            source->options->topic, partition_count, PARTITIONS_MAX);
    for (uint32_t i = source->known_count; i < partition_count; i++) {
        if (i % weir_parallelism_of(ctx) == weir_subtask_index(ctx))
            WEIR_TRY(add_partition(ctx, source, i, is_new));
    }
    if (partition_count > source->known_count)
        source->known_count = partition_count;
    return assign(source, first);
}

/* -- discovery ------------------------------------------------------------------------------------ */

static weir_error *discovery_run(void *arg)
{
    struct discovery *it = arg;
    weir_error *error = kafka_partitions(it->handle, it->brokers, it->topic, &it->partition_count);
    if (error == NULL || !weir_error_is_retriable(error))
        return error;
    log_warn("kafka", "looking for new partitions: %s", weir_error_message(error));
    weir_error_free(error);
    it->partition_count = 0;
    return NULL;
}

static weir_error *discovery_done(weir_ctx *ctx, void *arg)
{
    struct kafka_source *source = ((struct discovery *)arg)->source;
    source->is_discovering = false;
    if (source->discovery.partition_count <= source->known_count)
        return NULL;
    log_info("kafka", "topic '%s' has grown to %u partitions", source->options->topic,
        source->discovery.partition_count);
    return take_partitions(ctx, source, source->discovery.partition_count, true);
}

static void discover(weir_ctx *ctx, struct kafka_source *source)
{
    int64_t interval_ms = source->options->discovery_interval_ms;
    if (source->options->bounded || source->is_discovering ||
        weir_now_ms(ctx) < source->next_discovery_ms)
        return;
    source->next_discovery_ms =
        weir_now_ms(ctx) + (interval_ms == 0 ? DISCOVERY_INTERVAL_MS : interval_ms);
    source->is_discovering = true;
    source->discovery = (struct discovery){ .source = source,
        .handle = source->handle,
        .brokers = source->options->brokers,
        .topic = source->options->topic };
    weir_async(ctx, discovery_run, discovery_done, &source->discovery);
}

/* -- the source ----------------------------------------------------------------------------------- */

static weir_error *open_handle(weir_ctx *ctx, struct kafka_source *source)
{
    const char *group =
        source->options->group != NULL ? source->options->group : weir_job_name_of(ctx);
    const struct kafka_setting settings[] = {
        { "group.id", group }, /* for committing; never joined */
        { "enable.auto.commit", "false" },
        { "enable.auto.offset.store", "false" },
        { "enable.partition.eof", "true" },
        { "isolation.level", "read_committed" },
        { "auto.offset.reset", "error" },
        { "fetch.wait.max.ms", "100" },
        { "fetch.message.max.bytes", "4194304" },
        /* a prefetch that hits the count sleeps up to a second: the bytes are the bound */
        { "queued.min.messages", "1000000" },
        { "queued.max.messages.kbytes", "65536" },
        { NULL, NULL },
    };
    WEIR_TRY(kafka_open(RD_KAFKA_CONSUMER, source->options->brokers, settings,
        source->options->client, NULL, NULL, &source->handle));
    rd_kafka_poll_set_consumer(source->handle);
    source->queue = rd_kafka_queue_get_consumer(source->handle);
    static const uint64_t one = 1;
    if (weir_wake_fd(ctx) >= 0)
        rd_kafka_queue_io_event_enable(source->queue, weir_wake_fd(ctx), &one, sizeof(one));
    return NULL;
}

static weir_error *open_source(weir_ctx *ctx, const void *options, void *instance)
{
    struct kafka_source *source = instance;
    uint32_t partition_count;
    source->options = options;
    source->index_of = mem_alloc_array(PARTITIONS_MAX, sizeof(uint32_t));
    WEIR_TRY(open_handle(ctx, source));
    WEIR_TRY(kafka_partitions(source->handle, source->options->brokers, source->options->topic,
        &partition_count));
    source->next_discovery_ms = weir_now_ms(ctx) + DISCOVERY_INTERVAL_MS;
    return take_partitions(ctx, source, partition_count, false);
}

static weir_error *finish_partition(weir_ctx *ctx, struct kafka_source *source,
    struct partition_state *it)
{
    it->is_done = true;
    source->done_count++;
    weir_split_finish(ctx, it->split);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->options->topic, (int32_t)it->number);
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(source->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error == NULL)
        return NULL;
    weir_error *result =
        kafka_error(source->options->brokers, "release a partition", rd_kafka_error_code(error));
    rd_kafka_error_destroy(error);
    return result;
}

static struct partition_state *state_of(struct kafka_source *source,
    const rd_kafka_message_t *message)
{
    if (message->partition < 0 || message->partition >= PARTITIONS_MAX)
        return NULL;
    uint32_t index = source->index_of[message->partition];
    return index == 0 ? NULL : &source->partitions[index - 1];
}

static weir_error *take_error(weir_ctx *ctx, struct kafka_source *source,
    const rd_kafka_message_t *message)
{
    struct partition_state *it = state_of(source, message);
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (it == NULL || it->is_done)
            return NULL;
        weir_split_idle(ctx, it->split, true);
        if (message->offset > it->next)
            it->next = message->offset; /* behind transaction markers */
        return it->end >= 0 && it->next >= it->end ? finish_partition(ctx, source, it) : NULL;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        int64_t low = -1, high = -1;
        uint32_t number = it == NULL ? 0 : it->number;
        weir_error_free(query(source, number, &low, &high));
        return out_of_range(source, number, it == NULL ? -1 : it->next, low, high);
    }
    weir_error *error = kafka_error(source->options->brokers, "read records", message->err);
    if (!weir_error_is_retriable(error))
        return weir_error_wrap(error, "topic '%s'", source->options->topic);
    log_warn("kafka", "topic '%s': %s; the client goes on trying", source->options->topic,
        weir_error_message(error));
    weir_error_free(error);
    return NULL;
}

static weir_error *take_message(weir_ctx *ctx, struct kafka_source *source,
    const rd_kafka_message_t *message)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return take_error(ctx, source, message);
    struct partition_state *it = state_of(source, message);
    if (it == NULL || it->is_done)
        return NULL;
    ASSERT(message->offset >= it->next); /* in order, from where we asked */
    if (it->end < 0 || message->offset < it->end) {
        struct weir_message record = { .topic = weir_str_of(source->options->topic),
            .partition = message->partition,
            .offset = message->offset,
            .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
            .key = { .data = message->key, .size = message->key_len },
            .value = { .data = message->payload, .size = message->len } };
        weir_source_emit(ctx, it->split, &source->options->format, &record);
    }
    it->next = message->offset + 1;
    return it->end >= 0 && it->next >= it->end ? finish_partition(ctx, source, it) : NULL;
}

static void drop_messages(struct kafka_source *source)
{
    for (uint32_t i = 0; i < source->message_count; i++)
        rd_kafka_message_destroy(source->messages[i]);
    source->message_count = 0;
}

static weir_error *poll_source(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    struct kafka_source *source = instance;
    uint32_t room = weir_source_room(ctx);
    drop_messages(source);
    discover(ctx, source);
    ssize_t count = rd_kafka_consume_batch_queue(source->queue, 0, source->messages,
        room < BATCH_MAX ? room : BATCH_MAX);
    if (count < 0)
        return kafka_error(source->options->brokers, "read records", rd_kafka_last_error());
    source->message_count = (uint32_t)count;
    for (uint32_t i = 0; i < source->message_count; i++)
        WEIR_TRY(take_message(ctx, source, source->messages[i]));
    if (source->options->bounded && source->done_count == source->count)
        *status = WEIR_SOURCE_FINISHED;
    else
        *status = count > 0 ? WEIR_SOURCE_MORE : WEIR_SOURCE_IDLE;
    return NULL;
}

/* -- checkpoints ---------------------------------------------------------------------------------- */

static weir_error *snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct kafka_source *source = instance;
    struct commit_point *point = &source->commits[checkpoint % COMMITS_MAX];
    mem_free(point->next);
    *point = (struct commit_point){ .checkpoint = checkpoint,
        .next = mem_alloc_array(source->count + 1, sizeof(int64_t)),
        .count = source->count };
    weir_buffer *value = weir_buffer_new(64);
    for (uint32_t i = 0; i < source->count; i++) {
        char name[32];
        int size = snprintf(name, sizeof(name), "p-%u", source->partitions[i].number);
        point->next[i] = source->partitions[i].next;
        weir_buffer_reset(value);
        buffer_put_u64(value, (uint64_t)source->partitions[i].next);
        weir_item_add(ctx, (weir_str){ .data = name, .size = (size_t)size },
            weir_buffer_view(value));
    }
    weir_buffer_free(value);
    return NULL;
}

/* For monitoring only: sent off without waiting, a failure is the next commit's to repair. */
static weir_error *checkpoint_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct kafka_source *source = instance;
    const struct commit_point *point = &source->commits[checkpoint % COMMITS_MAX];
    (void)ctx;
    if (point->checkpoint != checkpoint || point->count == 0)
        return NULL;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)point->count);
    for (uint32_t i = 0; i < point->count; i++)
        rd_kafka_topic_partition_list_add(list, source->options->topic,
            (int32_t)source->partitions[i].number)
            ->offset = point->next[i];
    rd_kafka_resp_err_t code = rd_kafka_commit(source->handle, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_warn("kafka",
            "topic '%s': offsets of checkpoint %" PRIu64 " are not committed to the "
            "group (%s); the checkpoint itself is fine",
            source->options->topic, checkpoint, rd_kafka_err2str(code));
    return NULL;
}

static int64_t lag(weir_ctx *ctx, void *instance)
{
    struct kafka_source *source = instance;
    int64_t sum = 0;
    (void)ctx;
    for (uint32_t i = 0; i < source->count; i++) {
        const struct partition_state *it = &source->partitions[i];
        int64_t low, high = it->end;
        if (high < 0 && rd_kafka_get_watermark_offsets(source->handle, source->options->topic,
                            (int32_t)it->number, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        sum += high > it->next ? high - it->next : 0;
    }
    return sum;
}

static void close_source(weir_ctx *ctx, void *instance)
{
    struct kafka_source *source = instance;
    (void)ctx;
    drop_messages(source);
    if (source->queue != NULL)
        rd_kafka_queue_destroy(source->queue);
    kafka_close(source->handle);
    for (uint32_t i = 0; i < COMMITS_MAX; i++)
        mem_free(source->commits[i].next);
    mem_free(source->partitions);
    mem_free(source->index_of);
}

static const struct weir_source_class kafka_source_class = { .name = "kafka",
    .options_size = sizeof(struct weir_kafka_source_options),
    .instance_size = sizeof(struct kafka_source),
    .out_type = out_type,
    .validate = validate,
    .open = open_source,
    .poll = poll_source,
    .snapshot = snapshot,
    .checkpoint_complete = checkpoint_complete,
    .close = close_source,
    .lag = lag };

struct weir_source weir_kafka_source_with(const struct weir_kafka_source_options *options)
{
    return weir_source_of(&kafka_source_class, options);
}

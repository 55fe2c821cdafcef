/* kafka_source.c -- a Kafka topic as a source: positions in the checkpoint, nothing skipped silently.
 *
 * Partition p is a split; subtask p % parallelism reads it, by assignment, without joining a group. One
 * consumer a subtask; its messages are taken in batches without waiting, and its queue wakes the task
 * through the task's descriptor. A task without room does not poll: the client's prefetch fills to its
 * bound and stops, which is how back pressure reaches the broker.
 *
 * Positions are part of the checkpoint and the truth: item "p-<partition>" is the next offset,
 * "known-<subtask>" the number of partitions that the subtask knew. When the checkpoint completes they
 * are committed to the group, for people's monitoring. A position that the broker no longer has stops
 * the job. Partitions that appear later, while the job runs or is down, are read from their first
 * record, also with from_latest.
 *
 * Idle: the client says that a partition is at its end (committed end, under read_committed); then it
 * does not hold the watermark back until its next record.
 *
 * Thread: task; discovery runs in weir_async: what it asks the broker may take seconds. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/plural.h"
#include "connectors/kafka_topic.h"

#include <inttypes.h>
#include <stdio.h>

#define BATCH_MAX             256
#define PARTITIONS_MAX        32768
#define DISCOVERY_INTERVAL_MS 10000
#define COMMITS_MAX           8    /* snapshots whose checkpoint may still complete */
#define COMMITS_SENT_MAX      4    /* commits that nobody has answered yet */
#define CLOSE_COMMIT_MS       1000 /* to wait for the last of them */
#define BEHIND_ROUNDS         10
#define BEHIND_PAUSE_MS       500
#define DENIED_MAX            20 /* times in a row that a broker may deny an offset that exists */

/* Thread: task. */
struct partition_state {
    uint32_t number;
    uint32_t split;
    int64_t next;          /* offset of the next record */
    int64_t end;           /* bounded: stop here; -1: not bounded */
    uint32_t denied_count; /* since the last record */
    bool is_done;
};

/* Positions of one snapshot. Thread: task. */
struct commit_point {
    uint64_t checkpoint;
    int64_t *next; /* by index of partition_state */
    uint32_t count;
};

/* Looks for partitions that are new. Thread: worker while it runs. */
struct discovery {
    struct kafka_source *source; /* for done */
    rd_kafka_t *handle;
    const char *brokers, *topic;
    uint32_t subtask, parallelism, known_count; /* what it goes by */
    bool only_looks;                            /* is the topic still there? */
    uint32_t partition_count;                   /* what it found; 0: nothing, for now */
    uint32_t *numbers;                          /* new ones of this subtask */
    struct kafka_ends *ends;
    uint32_t count;
};

/* Thread: task. */
struct kafka_source {
    const struct weir_kafka_source_options *options;
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue, *commit_queue;
    struct partition_state *partitions;
    uint32_t count, done_count;
    uint32_t *index_of;                      /* partition number -> index + 1, 0: not mine */
    uint32_t known_count;                    /* partitions of the topic seen so far */
    rd_kafka_message_t *messages[BATCH_MAX]; /* of the last poll */
    uint32_t message_count;
    struct commit_point commits[COMMITS_MAX];
    uint32_t commits_sent; /* whose result has not come */
    rd_kafka_resp_err_t commit_failure;
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
    WEIR_TRY(kafka_check_client(options->client));
    const struct weir_format_class *format = options->format.format_class;
    if (format == NULL || format->decode == NULL)
        return weir_errorf(WEIR_E_PLAN, "a Kafka source needs a .format that can decode");
    return format->validate == NULL ? NULL : format->validate(&options->format);
}

/* -- the restored positions ------------------------------------------------------------------------- */

/* What the checkpoint knows. Thread: its holder, in open. */
struct positions {
    int64_t *next;        /* by partition; -1: none */
    uint32_t count;       /* one more than the largest partition that has one */
    uint32_t known_count; /* partitions from here on were not there when it was taken */
};

/* "p-17", "known-3": the number behind the prefix. */
static bool number_of(weir_str name, const char *prefix, uint32_t *number)
{
    size_t size = strlen(prefix);
    if (name.size <= size || name.size > size + 5 || memcmp(name.data, prefix, size) != 0)
        return false;
    *number = 0;
    for (size_t i = size; i < name.size; i++) {
        if (name.data[i] < '0' || name.data[i] > '9')
            return false;
        *number = *number * 10 + (uint32_t)(name.data[i] - '0');
    }
    return *number < PARTITIONS_MAX;
}

static weir_error *take_item(struct positions *positions, struct weir_item item)
{
    uint32_t number;
    struct reader reader = reader_of(item.value);
    int64_t value = (int64_t)reader_u64(&reader);
    bool is_good = !reader_failed(&reader) && reader_at_end(&reader) && value >= 0;
    if (is_good && number_of(item.name, "p-", &number)) {
        positions->next[number] = value;
        if (number >= positions->count)
            positions->count = number + 1;
    } else if (is_good && number_of(item.name, "known-", &number)) {
        if (value < positions->known_count)
            positions->known_count = (uint32_t)value;
    } else {
        return weir_errorf(WEIR_E_CORRUPT,
            "item '%.*s' of a Kafka source in the checkpoint is not readable", (int)item.name.size,
            item.name.data);
    }
    return NULL;
}

static weir_error *read_positions(const weir_ctx *ctx, struct positions *positions)
{
    *positions = (struct positions){ .known_count = PARTITIONS_MAX };
    positions->next = mem_alloc_array(PARTITIONS_MAX, sizeof(int64_t));
    for (uint32_t i = 0; i < PARTITIONS_MAX; i++)
        positions->next[i] = -1;
    for (uint32_t i = 0; i < weir_item_count(ctx); i++)
        WEIR_TRY(take_item(positions, weir_item_at(ctx, i)));
    return NULL;
}

/* -- partitions ----------------------------------------------------------------------------------- */

static weir_error *out_of_range(const struct kafka_source *source, uint32_t number, int64_t next,
    struct kafka_ends ends)
{
    return weir_errorf(WEIR_E_CONNECTOR,
        "topic '%s', partition %u: the checkpoint goes on at offset %" PRId64
        ", but the broker has %" PRId64 " to %" PRId64
        ". Records were deleted, or the topic was made anew: restore them, or "
        "start with --fresh on another checkpoint directory",
        source->options->topic, number, next, ends.low, ends.high);
}

/* A partition of this subtask, to be read from `next`. */
static void add_partition(weir_ctx *ctx, struct kafka_source *source, uint32_t number, int64_t next,
    struct kafka_ends ends)
{
    source->partitions =
        mem_realloc(source->partitions, (source->count + 1) * sizeof(*source->partitions));
    struct partition_state *it = &source->partitions[source->count++];
    *it = (struct partition_state){ .number = number,
        .split = weir_split_add(ctx),
        .next = next,
        .end = source->options->bounded ? ends.high : -1 };
    source->index_of[number] = source->count;
    if (next == ends.high)
        weir_split_idle(ctx, it->split, true);
    if (it->end >= 0 && next >= it->end) {
        it->is_done = true;
        source->done_count++;
        weir_split_finish(ctx, it->split);
    }
}

/* The numbers from `first` on that belong to this subtask; mem_free them. */
static uint32_t *numbers_of(uint32_t first, uint32_t partition_count, uint32_t subtask,
    uint32_t parallelism, uint32_t *count)
{
    uint32_t *numbers = mem_alloc_array(partition_count + 1, sizeof(*numbers));
    *count = 0;
    for (uint32_t i = first; i < partition_count; i++) {
        if (i % parallelism == subtask)
            numbers[(*count)++] = i;
    }
    return numbers;
}

/* Hands the partitions from `first` up to `end` on to the client. */
static weir_error *assign(struct kafka_source *source, uint32_t first, uint32_t end)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)(end - first + 1));
    for (uint32_t i = first; i < end; i++) {
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

/* Where partition `number` starts; it is as the checkpoint says, or the checkpoint cannot be continued. */
static weir_error *start_of(const struct kafka_source *source, const struct positions *positions,
    uint32_t number, struct kafka_ends ends, int64_t *next)
{
    *next = positions->next[number];
    if (*next >= 0 && (*next < ends.low || *next > ends.high))
        return out_of_range(source, number, *next, ends);
    if (*next < 0) /* what came into being later is read from its first record */
        *next =
            source->options->from_latest && number < positions->known_count ? ends.high : ends.low;
    return NULL;
}

/* A position (-1: none) behind the end may also be the answer of a broker that is behind itself: asked again. */
static weir_error *ends_of(const struct kafka_source *source, const int64_t *next,
    const uint32_t *numbers, uint32_t count, struct kafka_ends *ends)
{
    for (uint32_t round = 0;; round++) {
        bool is_behind = false;
        WEIR_TRY(kafka_ends(source->handle, source->options->brokers, source->options->topic,
            numbers, count, ends));
        for (uint32_t i = 0; i < count; i++)
            is_behind = is_behind || next[i] > ends[i].high;
        if (!is_behind || round == BEHIND_ROUNDS)
            return NULL;
        os_pause_ms(BEHIND_PAUSE_MS);
    }
}

static weir_error *open_partitions(weir_ctx *ctx, struct kafka_source *source,
    const struct positions *positions, const uint32_t *numbers, uint32_t count)
{
    struct kafka_ends *ends = mem_alloc_array(count + 1, sizeof(*ends));
    int64_t *next = mem_alloc_array(count + 1, sizeof(*next));
    for (uint32_t i = 0; i < count; i++)
        next[i] = positions->next[numbers[i]];
    weir_error *error = ends_of(source, next, numbers, count, ends);
    for (uint32_t i = 0; i < count && error == NULL; i++) {
        error = start_of(source, positions, numbers[i], ends[i], &next[i]);
        if (error == NULL)
            add_partition(ctx, source, numbers[i], next[i], ends[i]);
    }
    mem_free(next);
    mem_free(ends);
    return error == NULL ? assign(source, 0, source->count) : error;
}

static weir_error *too_many(const struct kafka_source *source, uint32_t count)
{
    return weir_errorf(WEIR_E_LIMIT, "topic '%s' has %u partitions, %u are allowed",
        source->options->topic, count, PARTITIONS_MAX);
}

static weir_error *open_topic(weir_ctx *ctx, struct kafka_source *source,
    const struct positions *positions)
{
    uint32_t partition_count, count;
    WEIR_TRY(kafka_partitions(source->handle, source->options->brokers, source->options->topic,
        &partition_count, NULL));
    if (partition_count > PARTITIONS_MAX)
        return too_many(source, partition_count);
    if (partition_count < positions->count)
        return weir_errorf(WEIR_E_CONNECTOR,
            "topic '%s' has %u partition%s, but the checkpoint has a position in partition %u: the "
            "topic was made anew; start with --fresh on another checkpoint directory",
            source->options->topic, partition_count, plural(partition_count), positions->count - 1);
    source->known_count = partition_count;
    uint32_t *numbers =
        numbers_of(0, partition_count, weir_subtask_index(ctx), weir_parallelism_of(ctx), &count);
    weir_error *error = open_partitions(ctx, source, positions, numbers, count);
    mem_free(numbers);
    return error;
}

/* -- discovery ------------------------------------------------------------------------------------ */

static weir_error *find_new(struct discovery *it)
{
    uint32_t partition_count;
    WEIR_TRY(kafka_partitions(it->handle, it->brokers, it->topic, &partition_count, NULL));
    if (it->only_looks || partition_count <= it->known_count)
        return NULL;
    it->numbers =
        numbers_of(it->known_count, partition_count, it->subtask, it->parallelism, &it->count);
    it->ends = mem_alloc_array(it->count + 1, sizeof(*it->ends));
    WEIR_TRY(kafka_ends(it->handle, it->brokers, it->topic, it->numbers, it->count, it->ends));
    it->partition_count = partition_count;
    return NULL;
}

/* What may pass is left to the next look. */
static weir_error *discovery_run(void *arg)
{
    struct discovery *it = arg;
    weir_error *error = find_new(it);
    if (error == NULL || !weir_error_is_retriable(error))
        return error;
    log_warn("kafka", "looking for new partitions: %s", weir_error_message(error));
    weir_error_free(error);
    return NULL;
}

static void discovery_release(struct discovery *it)
{
    mem_free(it->numbers);
    mem_free(it->ends);
    *it = (struct discovery){ 0 };
}

static weir_error *discovery_done(weir_ctx *ctx, void *arg)
{
    struct discovery *it = arg;
    struct kafka_source *source = it->source;
    uint32_t first = source->count;
    source->is_discovering = false;
    if (it->partition_count > PARTITIONS_MAX)
        return too_many(source, it->partition_count);
    if (it->partition_count > source->known_count) {
        log_info("kafka", "topic '%s' has grown to %u partitions", source->options->topic,
            it->partition_count);
        source->known_count = it->partition_count;
        for (uint32_t i = 0; i < it->count; i++)
            add_partition(ctx, source, it->numbers[i], it->ends[i].low, it->ends[i]);
    }
    discovery_release(it);
    return assign(source, first, source->count);
}

static int64_t discovery_interval_ms(const struct kafka_source *source)
{
    int64_t interval_ms = source->options->discovery_interval_ms;
    return interval_ms == 0 ? DISCOVERY_INTERVAL_MS : interval_ms;
}

static void discover(weir_ctx *ctx, struct kafka_source *source)
{
    if (source->is_discovering || weir_now_ms(ctx) < source->next_discovery_ms)
        return;
    source->next_discovery_ms = weir_now_ms(ctx) + discovery_interval_ms(source);
    source->is_discovering = true;
    source->discovery = (struct discovery){ .source = source,
        .handle = source->handle,
        .brokers = source->options->brokers,
        .topic = source->options->topic,
        .subtask = weir_subtask_index(ctx),
        .parallelism = weir_parallelism_of(ctx),
        .known_count = source->known_count,
        .only_looks = source->options->bounded };
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
    source->commit_queue = rd_kafka_queue_new(source->handle);
    static const uint64_t one = 1;
    if (weir_wake_fd(ctx) >= 0)
        rd_kafka_queue_io_event_enable(source->queue, weir_wake_fd(ctx), &one, sizeof(one));
    return NULL;
}

static weir_error *open_source(weir_ctx *ctx, const void *options, void *instance)
{
    struct kafka_source *source = instance;
    struct positions positions;
    source->options = options;
    source->index_of = mem_alloc_array(PARTITIONS_MAX, sizeof(uint32_t));
    weir_error *error = read_positions(ctx, &positions);
    if (error == NULL)
        error = open_handle(ctx, source);
    if (error == NULL)
        error = open_topic(ctx, source, &positions);
    mem_free(positions.next);
    source->next_discovery_ms = weir_now_ms(ctx) + discovery_interval_ms(source);
    return error;
}

static weir_error *unassign(const struct kafka_source *source, const struct partition_state *it)
{
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

static weir_error *finish_partition(weir_ctx *ctx, struct kafka_source *source,
    struct partition_state *it)
{
    it->is_done = true;
    source->done_count++;
    weir_split_finish(ctx, it->split);
    return unassign(source, it);
}

/* Records were deleted, or the broker was frozen, is not the leader any more and does not know it yet: it
 * denies what came after it. The client has given the partition up in either case. */
static weir_error *on_denied(struct kafka_source *source, struct partition_state *it)
{
    struct kafka_ends ends;
    WEIR_TRY(ends_of(source, &it->next, &it->number, 1, &ends));
    if (it->next < ends.low || it->next > ends.high || ++it->denied_count > DENIED_MAX)
        return out_of_range(source, it->number, it->next, ends);
    log_warn("kafka",
        "topic '%s', partition %u: a broker denies offset %" PRId64
        ", which exists: it is asked again",
        source->options->topic, it->number, it->next);
    WEIR_TRY(unassign(source, it));
    uint32_t index = (uint32_t)(it - source->partitions);
    return assign(source, index, index + 1);
}

static struct partition_state *state_of(const struct kafka_source *source,
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
        message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return it == NULL || it->is_done ? NULL : on_denied(source, it);
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
    it->denied_count = 0;
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
    uint32_t count = source->message_count;
    source->message_count = 0; /* first: positions reads them whenever it crashes */
    for (uint32_t i = 0; i < count; i++)
        rd_kafka_message_destroy(source->messages[i]);
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

static void add_number(weir_ctx *ctx, const char *prefix, uint32_t number, uint64_t value)
{
    char name[32];
    int size = snprintf(name, sizeof(name), "%s%u", prefix, number);
    weir_buffer *bytes = weir_buffer_new(8);
    buffer_put_u64(bytes, value);
    weir_item_add(ctx, (weir_str){ .data = name, .size = (size_t)size }, weir_buffer_view(bytes));
    weir_buffer_free(bytes);
}

static weir_error *snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct kafka_source *source = instance;
    struct commit_point *point = &source->commits[checkpoint % COMMITS_MAX];
    mem_free(point->next);
    *point = (struct commit_point){ .checkpoint = checkpoint,
        .next = mem_alloc_array(source->count + 1, sizeof(int64_t)),
        .count = source->count };
    for (uint32_t i = 0; i < source->count; i++) {
        point->next[i] = source->partitions[i].next;
        add_number(ctx, "p-", source->partitions[i].number, (uint64_t)point->next[i]);
    }
    add_number(ctx, "known-", weir_subtask_index(ctx), source->known_count);
    return NULL;
}

/* The result of a commit. Told when it turns bad, not each time. */
static void on_commit(rd_kafka_t *handle, rd_kafka_resp_err_t code,
    rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
    struct kafka_source *source = opaque;
    (void)handle;
    (void)offsets;
    source->commits_sent--;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != source->commit_failure)
        log_warn("kafka",
            "topic '%s': positions are not committed to the group (%s; does somebody else use the "
            "group?); the checkpoints are fine",
            source->options->topic, rd_kafka_err2str(code));
    source->commit_failure = code;
}

/* For monitoring only: sent off without waiting, a failure is the next commit's to repair. */
static weir_error *checkpoint_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct kafka_source *source = instance;
    const struct commit_point *point = &source->commits[checkpoint % COMMITS_MAX];
    (void)ctx;
    rd_kafka_queue_poll_callback(source->commit_queue, 0);
    if (point->checkpoint != checkpoint || point->count == 0 ||
        source->commits_sent == COMMITS_SENT_MAX)
        return NULL;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)point->count);
    for (uint32_t i = 0; i < point->count; i++)
        rd_kafka_topic_partition_list_add(list, source->options->topic,
            (int32_t)source->partitions[i].number)
            ->offset = point->next[i];
    source->commits_sent++;
    rd_kafka_resp_err_t code =
        rd_kafka_commit_queue(source->handle, list, source->commit_queue, on_commit, source);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        on_commit(source->handle, code, NULL, source);
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

/* It goes on with the last position, which is of the same partition, or begins another one. */
static uint32_t add_position(struct weir_position *list, uint32_t count, uint32_t max,
    struct weir_position next)
{
    for (uint32_t i = 0; i < count && i < max; i++) {
        if (list[i].partition != next.partition)
            continue;
        list[i].last = next.last;
        return count;
    }
    if (count < max)
        list[count] = next;
    return count < max ? count + 1 : max + 1; /* of the others it is enough that there are some */
}

/* The position of a partition moves behind a record when that has been decoded: so what is not behind it is the one. */
static uint32_t positions(const void *instance, struct weir_position *list, uint32_t max)
{
    const struct kafka_source *source = instance;
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->message_count; i++) {
        const rd_kafka_message_t *message = source->messages[i];
        const struct partition_state *it = state_of(source, message);
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR || it == NULL ||
            (it->end >= 0 && message->offset >= it->end))
            continue;
        struct weir_position next = { .topic = weir_str_of(source->options->topic),
            .partition = message->partition,
            .first = message->offset,
            .last = message->offset };
        if (message->offset >= it->next)
            return add_position(list, 0, max, next);
        count = add_position(list, count, max, next);
    }
    return count;
}

static void close_source(weir_ctx *ctx, void *instance)
{
    struct kafka_source *source = instance;
    (void)ctx;
    drop_messages(source);
    if (source->commits_sent > 0) /* the last one of a job that ends */
        rd_kafka_queue_poll_callback(source->commit_queue, CLOSE_COMMIT_MS);
    if (source->queue != NULL)
        rd_kafka_queue_destroy(source->queue);
    if (source->commit_queue != NULL)
        rd_kafka_queue_destroy(source->commit_queue);
    kafka_close(source->handle);
    discovery_release(&source->discovery);
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
    .lag = lag,
    .positions = positions };

struct weir_source weir_kafka_source_with(const struct weir_kafka_source_options *options)
{
    return weir_source_of(&kafka_source_class, options);
}

/* kafka_sink.c -- a Kafka topic as a sink, exactly once however long the downtime.
 *
 *      write                 records are encoded and appended to a staged segment (kafka_segment.h)
 *      snapshot(n)           the segment becomes part of checkpoint n
 *      checkpoint_complete   a worker publishes it (kafka_publish.h); no transaction is ever open across
 *                            a checkpoint, so no time-out can lose output and no reader is held up
 *      open after a failure  what the restored checkpoint holds is published to the end, first
 *
 * Slots. A slot is a transactional id, a partition of the token topic and a sequence of segments; it
 * has the number of the subtask that fills it. With another parallelism the segments of a checkpoint
 * belong to the old slots: subtask slot % parallelism finishes them under the slot's own id, and keeps
 * the numbers of slots that nobody fills any more, so that a later, larger parallelism finds them.
 *
 * A segment is kept until its token has been read back: that is, until the next publish of the slot.
 * It is then dropped from the checkpoint, and with the last checkpoint that has it, deleted.
 *
 * Thread: task; the publisher runs in weir_async and sees only what does not change meanwhile. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "connectors/kafka_client.h"
#include "connectors/kafka_publish.h"

#include <inttypes.h>

#define CHUNK_SIZE_DEFAULT (4u << 20)
#define CHUNK_SIZE_MAX     (8u << 20)
#define SEGMENTS_MAX       64 /* held by a slot: unpublished ones, and one to be read back */
#define SLOTS_MAX          32768
#define ITEM_VERSION       1
#define RECORD_OVERHEAD    512 /* of a batch and a record, as brokers count; generous */

/* A finished segment. Thread: task; immutable while a publish runs. */
struct held {
    uint64_t number, previous;
    char *path;
    struct kafka_chunk *chunks;
    uint32_t chunk_count;
    bool is_published;
};

/* Thread: task. */
struct slot {
    uint32_t number;
    uint64_t last; /* newest segment ever, 0: none */
    char *transactional_id;
    struct held held[SEGMENTS_MAX];
    uint32_t held_count;
    bool is_restored; /* to be recovered, whatever it holds */
};

/* What a publish works on. Thread: worker while it runs. */
struct publish_job {
    struct kafka_publisher publisher;
    struct kafka_staged staged[SEGMENTS_MAX];
    uint32_t count;
    uint64_t last;
    uint64_t records;
    uint32_t slot_index;
};

/* Thread: task. */
struct kafka_sink {
    const struct weir_kafka_sink_options *options;
    char *token_topic;
    uint32_t chunk_size;
    size_t record_max;
    struct slot *slots; /* 0: the own one */
    uint32_t slot_count;
    struct kafka_segment *segment; /* being filled */
    char *segment_path;
    uint64_t sequence; /* of segment files of this attempt */
    uint64_t complete; /* newest complete checkpoint */
    bool is_publishing;
    struct publish_job job;
};

/* -- plan time ------------------------------------------------------------------------------------ */

static const struct weir_type *in_type(const void *options)
{
    return ((const struct weir_kafka_sink_options *)options)->format.type;
}

static weir_error *validate(const void *arg)
{
    const struct weir_kafka_sink_options *options = arg;
    if (options->brokers == NULL || options->brokers[0] == '\0')
        return weir_errorf(WEIR_E_PLAN, "a Kafka sink needs .brokers (HOST:PORT[,...])");
    if (options->topic == NULL || options->topic[0] == '\0')
        return weir_errorf(WEIR_E_PLAN, "a Kafka sink needs a .topic");
    if (options->chunk_size > CHUNK_SIZE_MAX)
        return weir_errorf(WEIR_E_PLAN,
            "the .chunk_size of a Kafka sink is at most %u bytes, not %u", CHUNK_SIZE_MAX,
            options->chunk_size);
    const struct weir_format_class *format = options->format.format_class;
    if (format == NULL || format->encode == NULL)
        return weir_errorf(WEIR_E_PLAN, "a Kafka sink needs a .format that can encode");
    return format->validate == NULL ? NULL : format->validate(&options->format);
}

/* -- slots ---------------------------------------------------------------------------------------- */

static void held_release(struct held *held)
{
    mem_free(held->path);
    mem_free(held->chunks);
    *held = (struct held){ 0 };
}

static struct slot *slot_add(weir_ctx *ctx, struct kafka_sink *sink, uint32_t number)
{
    ASSERT(sink->slot_count < SLOTS_MAX);
    sink->slots = mem_realloc(sink->slots, (sink->slot_count + 1) * sizeof(struct slot));
    struct slot *slot = &sink->slots[sink->slot_count++];
    memset(slot, 0, sizeof(*slot));
    slot->number = number;
    slot->transactional_id =
        mem_printf("weir-%s-%s-%u", weir_job_name_of(ctx), weir_uid_of(ctx), number);
    return slot;
}

static struct held *hold(struct slot *slot, uint64_t number, uint64_t previous, char *path,
    const struct kafka_chunk *chunks, uint32_t chunk_count)
{
    ASSERT(slot->held_count < SEGMENTS_MAX && chunk_count > 0);
    struct held *held = &slot->held[slot->held_count++];
    *held = (struct held){ .number = number,
        .previous = previous,
        .path = path,
        .chunks = mem_dup(chunks, chunk_count * sizeof(*chunks)),
        .chunk_count = chunk_count };
    return held;
}

/* Drops the segments in front of the newest published one: its token was read back. */
static void drop_read_back(struct slot *slot)
{
    uint32_t keep = 0;
    for (uint32_t i = 0; i < slot->held_count; i++) {
        if (slot->held[i].is_published)
            keep = i;
    }
    for (uint32_t i = 0; i < keep; i++) {
        weir_error_free(os_remove(slot->held[i].path)); /* of no use any more; cleaned up at exit */
        held_release(&slot->held[i]);
    }
    memmove(slot->held, slot->held + keep, (slot->held_count - keep) * sizeof(struct held));
    slot->held_count -= keep;
}

/* -- items ---------------------------------------------------------------------------------------- */

static void put_held(weir_buffer *out, const struct held *held)
{
    buffer_put_u64(out, held->number);
    buffer_put_u64(out, held->previous);
    const char *slash = strrchr(held->path, '/');
    buffer_put_str(out, weir_str_of(slash == NULL ? held->path : slash + 1));
    buffer_put_u32(out, held->chunk_count);
    for (uint32_t i = 0; i < held->chunk_count; i++) {
        buffer_put_u64(out, held->chunks[i].offset);
        buffer_put_u32(out, held->chunks[i].records);
        buffer_put_u32(out, held->chunks[i].size);
    }
}

static void add_item(weir_ctx *ctx, const struct slot *slot)
{
    weir_buffer *out = weir_buffer_new(WEIR_ITEM_SIZE_MAX);
    buffer_put_u32(out, ITEM_VERSION);
    buffer_put_u32(out, slot->number);
    buffer_put_u64(out, slot->last);
    buffer_put_u32(out, slot->held_count);
    for (uint32_t i = 0; i < slot->held_count; i++) {
        put_held(out, &slot->held[i]);
        weir_file_add(ctx, slot->held[i].path);
    }
    char *name = mem_printf("slot-%u", slot->number);
    weir_item_add(ctx, weir_str_of(name), weir_buffer_view(out));
    mem_free(name);
    weir_buffer_free(out);
}

static weir_error *bad_item(struct weir_item item)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "item '%.*s' of a Kafka sink in the checkpoint is not readable", (int)item.name.size,
        item.name.data);
}

/* The checkpoint's file gets a link in the staging directory: it must outlive that checkpoint. */
static weir_error *adopt_file(weir_ctx *ctx, weir_str name, char **path)
{
    const char *found = weir_file_find(ctx, name);
    if (found == NULL)
        return weir_errorf(WEIR_E_CORRUPT,
            "the checkpoint lists staged output '%.*s' but does not have "
            "it; restore an older checkpoint",
            (int)name.size, name.data);
    *path = mem_printf("%s/%.*s", weir_staging_dir(ctx), (int)name.size, name.data);
    struct os_stat stat;
    WEIR_TRY(os_stat(*path, &stat));
    return stat.exists ? NULL : os_link(found, *path);
}

static weir_error *restore_held(weir_ctx *ctx, struct slot *slot, struct reader *reader,
    struct weir_item item)
{
    uint64_t number = reader_u64(reader), previous = reader_u64(reader);
    weir_str name = reader_str(reader);
    uint32_t chunk_count = reader_u32(reader);
    if (reader_failed(reader) || chunk_count == 0 || slot->held_count == SEGMENTS_MAX ||
        chunk_count > (uint64_t)(reader->end - reader->at) / 16)
        return bad_item(item);
    struct kafka_chunk *chunks = mem_alloc_array(chunk_count, sizeof(*chunks));
    for (uint32_t i = 0; i < chunk_count; i++) {
        chunks[i].offset = reader_u64(reader);
        chunks[i].records = reader_u32(reader);
        chunks[i].size = reader_u32(reader);
    }
    char *path = NULL;
    weir_error *error = adopt_file(ctx, name, &path);
    if (error == NULL)
        hold(slot, number, previous, path, chunks, chunk_count);
    else
        mem_free(path);
    mem_free(chunks);
    return error;
}

static weir_error *restore_slot(weir_ctx *ctx, struct kafka_sink *sink, struct weir_item item)
{
    struct reader reader = reader_of(item.value);
    uint32_t version = reader_u32(&reader), number = reader_u32(&reader);
    uint64_t last = reader_u64(&reader);
    uint32_t count = reader_u32(&reader);
    if (reader_failed(&reader) || version != ITEM_VERSION || number >= SLOTS_MAX)
        return bad_item(item);
    if (number % weir_parallelism_of(ctx) != weir_subtask_index(ctx))
        return NULL;
    struct slot *slot =
        number == sink->slots[0].number ? &sink->slots[0] : slot_add(ctx, sink, number);
    slot->last = last;
    slot->is_restored = true;
    for (uint32_t i = 0; i < count; i++)
        WEIR_TRY(restore_held(ctx, slot, &reader, item));
    return reader_at_end(&reader) ? NULL : bad_item(item);
}

/* -- publishing ----------------------------------------------------------------------------------- */

static void publish_next(weir_ctx *ctx, struct kafka_sink *sink);

static weir_error *publish_run(void *arg)
{
    struct publish_job *job = arg;
    return kafka_publish(&job->publisher, job->staged, job->count, job->last, &job->records);
}

static weir_error *publish_done(weir_ctx *ctx, void *arg)
{
    struct publish_job *job = arg;
    struct kafka_sink *sink = weir_instance(ctx);
    struct slot *slot = &sink->slots[job->slot_index];
    ASSERT(sink->is_publishing && job == &sink->job);
    for (uint32_t i = 0; i < job->count; i++)
        slot->held[i].is_published = true;
    slot->is_restored = false;
    drop_read_back(slot);
    if (job->records > 0)
        log_debug("kafka",
            "published %" PRIu64 " records into topic '%s' (slot %u, checkpoint %" PRIu64 ")",
            job->records, sink->options->topic, slot->number, job->last);
    sink->is_publishing = false;
    publish_next(ctx, sink);
    return NULL;
}

/* Segments of complete checkpoints, from the oldest held: what is published serves to be read back. */
static bool prepare(weir_ctx *ctx, struct kafka_sink *sink, uint32_t slot_index)
{
    struct slot *slot = &sink->slots[slot_index];
    struct publish_job *job = &sink->job;
    bool has_new = slot->is_restored;
    job->count = 0;
    job->last = slot->held_count > 0 ? slot->held[0].previous : slot->last;
    for (uint32_t i = 0; i < slot->held_count && slot->held[i].number <= sink->complete; i++) {
        const struct held *held = &slot->held[i];
        job->staged[job->count++] = (struct kafka_staged){ .number = held->number,
            .previous = held->previous,
            .path = held->path,
            .chunks = held->chunks,
            .chunk_count = held->chunk_count };
        job->last = held->number;
        has_new = has_new || !held->is_published;
    }
    if (!has_new)
        return false;
    job->slot_index = slot_index;
    job->records = 0;
    job->publisher = (struct kafka_publisher){ .ctx = ctx,
        .brokers = sink->options->brokers,
        .topic = sink->options->topic,
        .token_topic = sink->token_topic,
        .client = sink->options->client,
        .transactional_id = slot->transactional_id,
        .slot = slot->number,
        .instance = weir_instance_id(ctx),
        .attempt = weir_attempt(ctx),
        .republish = sink->options->republish && slot->is_restored };
    return true;
}

static void publish_next(weir_ctx *ctx, struct kafka_sink *sink)
{
    for (uint32_t i = 0; i < sink->slot_count && !sink->is_publishing; i++) {
        if (!prepare(ctx, sink, i))
            continue;
        sink->is_publishing = true;
        weir_async(ctx, publish_run, publish_done, &sink->job);
    }
}

/* -- the sink ------------------------------------------------------------------------------------- */

static weir_error *check_topics(weir_ctx *ctx, struct kafka_sink *sink)
{
    static const struct kafka_setting settings[] = { { NULL, NULL } };
    const struct weir_kafka_sink_options *options = sink->options;
    uint32_t slots_needed = weir_parallelism_of(ctx), partitions;
    for (uint32_t i = 0; i < sink->slot_count; i++) {
        if (sink->slots[i].number >= slots_needed)
            slots_needed = sink->slots[i].number + 1;
    }
    rd_kafka_t *handle = NULL;
    WEIR_TRY(kafka_open(RD_KAFKA_PRODUCER, options->brokers, settings, options->client, NULL, NULL,
        &handle));
    weir_error *error = kafka_partitions(handle, options->brokers, options->topic, &partitions);
    if (error == NULL)
        error = kafka_message_max(handle, options->brokers, options->topic, &sink->record_max);
    if (error == NULL)
        error = kafka_ensure_compacted(handle, options->brokers, sink->token_topic, slots_needed);
    kafka_close(handle);
    return error;
}

static void new_segment(weir_ctx *ctx, struct kafka_sink *sink)
{
    mem_free(sink->segment_path);
    uint64_t sink_hash = hash_bytes(weir_uid_of(ctx), strlen(weir_uid_of(ctx)));
    sink->segment_path = mem_printf("%s/kafka-%016" PRIx64 "-%u-%" PRIu64 "-%" PRIu64 ".segment",
        weir_staging_dir(ctx), sink_hash, sink->slots[0].number, weir_attempt(ctx),
        sink->sequence++);
    sink->segment = kafka_segment_new(sink->segment_path, sink->chunk_size);
}

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    struct kafka_sink *sink = instance;
    sink->options = options;
    sink->chunk_size =
        sink->options->chunk_size == 0 ? CHUNK_SIZE_DEFAULT : sink->options->chunk_size;
    sink->token_topic =
        sink->options->token_topic != NULL
            ? mem_strdup(sink->options->token_topic)
            : mem_printf("weir-tokens-%s-%s", weir_job_name_of(ctx), weir_uid_of(ctx));
    slot_add(ctx, sink, weir_subtask_index(ctx));
    for (uint32_t i = 0; i < weir_item_count(ctx); i++)
        WEIR_TRY(restore_slot(ctx, sink, weir_item_at(ctx, i)));
    WEIR_TRY(check_topics(ctx, sink));
    if (sink->record_max > RECORD_OVERHEAD)
        sink->record_max -= RECORD_OVERHEAD;
    new_segment(ctx, sink);
    sink->complete = UINT64_MAX; /* all that was restored is of a complete checkpoint */
    publish_next(ctx, sink);
    sink->complete = 0;
    for (uint32_t i = 0; i < sink->slot_count; i++) {
        if (sink->slots[i].last > sink->complete)
            sink->complete = sink->slots[i].last;
    }
    return NULL;
}

static weir_error *write_rows(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    struct kafka_sink *sink = instance;
    for (uint32_t i = 0; i < row_count; i++) {
        struct weir_message message;
        weir_error *error = weir_sink_encode(ctx, &sink->options->format, rows[i].record,
            sink->record_max, &message);
        if (error == NULL)
            error = kafka_segment_add(sink->segment, message.key, message.value);
        if (error == NULL)
            continue;
        if (weir_error_code(error) != WEIR_E_DATA)
            return weir_error_wrap(error, "cannot stage output for topic '%s'",
                sink->options->topic);
        weir_batch_reject(ctx, &rows[i], error);
    }
    return NULL;
}

static weir_error *snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct kafka_sink *sink = instance;
    struct slot *own = &sink->slots[0];
    WEIR_TRY(kafka_segment_finish(sink->segment));
    if (kafka_segment_record_count(sink->segment) > 0) {
        if (own->held_count == SEGMENTS_MAX)
            return weir_errorf(WEIR_E_LIMIT,
                "output of %u checkpoints for topic '%s' waits to be "
                "published",
                SEGMENTS_MAX, sink->options->topic);
        uint32_t chunk_count;
        const struct kafka_chunk *chunks = kafka_segment_chunks(sink->segment, &chunk_count);
        hold(own, checkpoint, own->last, mem_strdup(sink->segment_path), chunks, chunk_count);
        own->last = checkpoint;
        kafka_segment_free(sink->segment);
        new_segment(ctx, sink);
    }
    for (uint32_t i = 0; i < sink->slot_count; i++)
        add_item(ctx, &sink->slots[i]);
    return NULL;
}

static weir_error *checkpoint_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct kafka_sink *sink = instance;
    if (checkpoint > sink->complete)
        sink->complete = checkpoint;
    publish_next(ctx, sink);
    return NULL;
}

static uint32_t unpublished(weir_ctx *ctx, void *instance)
{
    struct kafka_sink *sink = instance;
    (void)ctx;
    uint32_t count = 0;
    for (uint32_t s = 0; s < sink->slot_count; s++) {
        count += sink->slots[s].is_restored;
        for (uint32_t i = 0; i < sink->slots[s].held_count; i++)
            count += !sink->slots[s].held[i].is_published;
    }
    return count;
}

static void close_sink(weir_ctx *ctx, void *instance)
{
    struct kafka_sink *sink = instance;
    (void)ctx;
    for (uint32_t s = 0; s < sink->slot_count; s++) {
        for (uint32_t i = 0; i < sink->slots[s].held_count; i++)
            held_release(&sink->slots[s].held[i]);
        mem_free(sink->slots[s].transactional_id);
    }
    mem_free(sink->slots);
    kafka_segment_free(sink->segment);
    mem_free(sink->segment_path);
    mem_free(sink->token_topic);
}

static const struct weir_sink_class kafka_sink_class = { .name = "kafka",
    .options_size = sizeof(struct weir_kafka_sink_options),
    .instance_size = sizeof(struct kafka_sink),
    .in_type = in_type,
    .validate = validate,
    .open = open_sink,
    .write = write_rows,
    .snapshot = snapshot,
    .checkpoint_complete = checkpoint_complete,
    .unpublished = unpublished,
    .close = close_sink };

struct weir_sink weir_kafka_sink_with(const struct weir_kafka_sink_options *options)
{
    return weir_sink_of(&kafka_sink_class, options);
}

/* kafka_sink.c -- a Kafka topic as a sink, exactly once however long the downtime.
 *
 *      open                  what the restored checkpoint holds is published to its end
 *      write                 records are encoded and appended to a staged segment (kafka_segment.h)
 *      snapshot(n)           the segment becomes part of checkpoint n (kafka_slot.h)
 *      checkpoint_complete   a worker publishes it (kafka_publish.h); no transaction is ever open across
 *                            a checkpoint, so no time-out can lose output and no reader is held up
 *
 * Slots. With another parallelism the segments of a checkpoint belong to the old slots: subtask slot %
 * parallelism finishes them under the slot's own id, and keeps the numbers of slots that nobody fills
 * any more, so that a later, larger parallelism finds them. A key may move to another slot, so all old
 * output must be out before any new output. That is why open publishes and does not leave it to a
 * worker: no checkpoint is taken, so nothing new is published, before every subtask has been opened.
 *
 * What can be refused is refused when it is staged (size, key): a segment of a complete checkpoint must
 * be publishable, for there is no way back.
 *
 * Files of dropped segments are removed when a later checkpoint completes: a snapshot that lists them may
 * still be on its way to the store.
 *
 * Thread: task; the publisher runs in weir_async and sees only what does not change meanwhile. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/plural.h"
#include "connectors/kafka_publish.h"
#include "connectors/kafka_slot.h"
#include "connectors/kafka_topic.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHUNK_SIZE_DEFAULT (16u << 20)
#define CHUNK_SIZE_MAX     (64u << 20)
#define RECORD_OVERHEAD    512 /* of a batch and a record, as brokers count; generous */
#define TOPIC_NAME_MAX     249

/* What a publish works on. Thread: worker while it runs. */
struct publish_job {
    struct kafka_publisher publisher;
    struct kafka_staged staged[SLOT_SEGMENTS_MAX];
    uint32_t count;
    uint64_t last;
    uint64_t records;
    uint32_t slot_index;
};

/* Files to remove once a checkpoint from `after` on is complete. Thread: task. */
struct dropped {
    char *path;
    uint64_t after;
};

/* Thread: task. */
struct kafka_sink {
    const struct weir_kafka_sink_options *options;
    char *token_topic;
    uint32_t chunk_size;
    size_t record_max, batch_max;
    bool needs_key;
    struct slot *slots; /* 0: the own one */
    uint32_t slot_count;
    struct kafka_segment *segment; /* being filled */
    char *segment_path;
    uint64_t sequence;    /* of segment files of this attempt */
    uint64_t snapshotted; /* newest checkpoint that a snapshot was taken for */
    uint64_t complete;    /* newest complete one */
    struct dropped *dropped;
    uint32_t dropped_count;
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
    WEIR_TRY(kafka_check_client(options->client));
    const struct weir_format_class *format = options->format.format_class;
    if (format == NULL || format->encode == NULL)
        return weir_errorf(WEIR_E_PLAN, "a Kafka sink needs a .format that can encode");
    return format->validate == NULL ? NULL : format->validate(&options->format);
}

/* -- slots ---------------------------------------------------------------------------------------- */

static struct slot *slot_add(struct kafka_sink *sink, uint32_t number)
{
    ASSERT(sink->slot_count < SLOTS_MAX);
    sink->slots = mem_realloc(sink->slots, (sink->slot_count + 1) * sizeof(struct slot));
    struct slot *slot = &sink->slots[sink->slot_count++];
    slot_init(slot, number);
    return slot;
}

/* The checkpoint's file gets a link in the staging directory: it must outlive that checkpoint. */
static weir_error *adopt_file(void *arg, weir_str name, char **path)
{
    weir_ctx *ctx = arg;
    const char *found = weir_file_find(ctx, name);
    if (found == NULL)
        return weir_errorf(WEIR_E_CORRUPT,
            "the checkpoint lists staged output '%.*s' but does not have it; restore an older "
            "checkpoint",
            (int)name.size, name.data);
    *path = mem_printf("%s/%.*s", weir_staging_dir(ctx), (int)name.size, name.data);
    weir_error *error = os_remove(*path); /* of an earlier start in this attempt */
    if (error == NULL)
        error = os_link(found, *path);
    if (error == NULL)
        return NULL;
    mem_free(*path);
    return error;
}

static weir_error *restore_slots(weir_ctx *ctx, struct kafka_sink *sink)
{
    slot_add(sink, weir_subtask_index(ctx));
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        uint32_t number;
        WEIR_TRY(slot_number_of(item, &number));
        if (number % weir_parallelism_of(ctx) != weir_subtask_index(ctx))
            continue;
        bool is_own = number == sink->slots[0].number;
        struct slot *slot = is_own ? &sink->slots[0] : slot_add(sink, number);
        WEIR_TRY(slot_read(slot, item, adopt_file, ctx));
        if (slot->last > sink->complete)
            sink->complete = slot->last; /* all that was restored is of a complete checkpoint */
    }
    return NULL;
}

/* -- files of dropped segments -------------------------------------------------------------------- */

static void drop_file(void *arg, char *path)
{
    struct kafka_sink *sink = arg;
    sink->dropped = mem_realloc(sink->dropped, (sink->dropped_count + 1) * sizeof(*sink->dropped));
    sink->dropped[sink->dropped_count++] =
        (struct dropped){ .path = path, .after = sink->snapshotted };
}

static void remove_dropped(struct kafka_sink *sink)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < sink->dropped_count; i++) {
        if (sink->dropped[i].after > sink->complete) {
            sink->dropped[kept++] = sink->dropped[i];
            continue;
        }
        weir_error_free(os_remove(sink->dropped[i].path)); /* the engine cleans up at the end */
        mem_free(sink->dropped[i].path);
    }
    sink->dropped_count = kept;
}

/* -- publishing ----------------------------------------------------------------------------------- */

/* Segments of complete checkpoints, from the oldest held: what is published serves to be read back. */
static void prepare(weir_ctx *ctx, struct kafka_sink *sink, uint32_t slot_index)
{
    const struct slot *slot = &sink->slots[slot_index];
    struct publish_job *job = &sink->job;
    job->slot_index = slot_index;
    job->records = 0;
    job->count = slot_complete_count(slot, sink->complete);
    job->last = slot->count > 0 ? slot->segments[0].previous : slot->last;
    for (uint32_t i = 0; i < job->count; i++) {
        const struct slot_segment *segment = &slot->segments[i];
        job->staged[i] = (struct kafka_staged){ .number = segment->number,
            .previous = segment->previous,
            .path = segment->path,
            .chunks = segment->chunks,
            .chunk_count = segment->chunk_count,
            .is_published = segment->is_published };
        job->last = segment->number;
    }
    job->publisher = (struct kafka_publisher){ .ctx = ctx,
        .brokers = sink->options->brokers,
        .topic = sink->options->topic,
        .token_topic = sink->token_topic,
        .client = sink->options->client,
        .job = weir_job_name_of(ctx),
        .uid = weir_uid_of(ctx),
        .slot = slot->number,
        .batch_max = sink->batch_max,
        .instance = weir_instance_id(ctx),
        .attempt = weir_attempt(ctx) };
}

static weir_error *publish_run(void *arg)
{
    struct publish_job *job = arg;
    return kafka_publish(&job->publisher, job->staged, job->count, job->last, &job->records);
}

static void published(struct kafka_sink *sink)
{
    const struct publish_job *job = &sink->job;
    struct slot *slot = &sink->slots[job->slot_index];
    slot_published(slot, job->count, drop_file, sink);
    if (job->records > 0)
        log_debug("kafka",
            "published %" PRIu64 " record%s into topic '%s' (slot %u, checkpoint %" PRIu64 ")",
            job->records, plural((int64_t)job->records), sink->options->topic, slot->number,
            job->last);
}

static weir_error *publish_done(weir_ctx *ctx, void *arg);

static void publish_next(weir_ctx *ctx, struct kafka_sink *sink)
{
    /* only the own slot gets new segments */
    if (sink->is_publishing || slot_unpublished_count(&sink->slots[0], sink->complete) == 0)
        return;
    prepare(ctx, sink, 0);
    sink->is_publishing = true;
    weir_async(ctx, publish_run, publish_done, &sink->job);
}

static weir_error *publish_done(weir_ctx *ctx, void *arg)
{
    struct kafka_sink *sink = weir_instance(ctx);
    ASSERT(sink->is_publishing && arg == &sink->job);
    published(sink);
    sink->is_publishing = false;
    publish_next(ctx, sink);
    return NULL;
}

/* Fences who had the slots before, and finishes what the checkpoint holds, oldest slot first. */
static weir_error *recover(weir_ctx *ctx, struct kafka_sink *sink)
{
    uint64_t records = 0;
    for (uint32_t i = 0; i < sink->slot_count; i++) {
        prepare(ctx, sink, i);
        sink->job.publisher.republish = sink->options->republish;
        WEIR_TRY(publish_run(&sink->job));
        published(sink);
        records += sink->job.records;
    }
    if (records > 0)
        log_info("kafka",
            "published %" PRIu64 " record%s of the restored checkpoint into topic '%s'", records,
            plural((int64_t)records), sink->options->topic);
    return NULL;
}

/* -- open ----------------------------------------------------------------------------------------- */

/* The default name, in the characters that a topic may have. */
static char *token_topic_of(weir_ctx *ctx)
{
    char *name = mem_printf("weir-tokens-%s-%s-%s", weir_job_name_of(ctx), weir_uid_of(ctx),
        ((const struct kafka_sink *)weir_instance(ctx))->options->topic);
    uint64_t hash = hash_bytes(name, strlen(name));
    bool is_fine = strlen(name) <= TOPIC_NAME_MAX;
    for (char *at = name; *at != '\0'; at++) {
        bool is_letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z');
        if (is_letter || (*at >= '0' && *at <= '9') || strchr("._-", *at) != NULL)
            continue;
        *at = '_';
        is_fine = false;
    }
    if (is_fine)
        return name;
    char *unique = mem_printf("%.200s-%016" PRIx64, name, hash);
    mem_free(name);
    return unique;
}

static weir_error *check_output(struct kafka_sink *sink, rd_kafka_t *handle)
{
    const struct weir_kafka_sink_options *options = sink->options;
    struct kafka_topic_settings settings;
    uint32_t partitions;
    WEIR_TRY(kafka_partitions(handle, options->brokers, options->topic, &partitions, NULL));
    WEIR_TRY(kafka_topic_settings(handle, options->brokers, options->topic, &settings));
    sink->batch_max = settings.message_max;
    sink->needs_key = settings.compacts;
    size_t max = settings.message_max;
    if (max > kafka_message_max(handle))
        max = kafka_message_max(handle);
    sink->record_max = max > RECORD_OVERHEAD ? max - RECORD_OVERHEAD : 0;
    if (sink->record_max > KAFKA_RECORD_MAX)
        sink->record_max = KAFKA_RECORD_MAX;
    return NULL;
}

static weir_error *check_tokens(weir_ctx *ctx, const struct kafka_sink *sink, rd_kafka_t *handle)
{
    const char *brokers = sink->options->brokers;
    struct kafka_topic_settings settings;
    uint32_t slots_needed = weir_parallelism_of(ctx);
    for (uint32_t i = 0; i < sink->slot_count; i++) {
        if (sink->slots[i].number >= slots_needed)
            slots_needed = sink->slots[i].number + 1;
    }
    WEIR_TRY(kafka_ensure_compacted(handle, brokers, sink->token_topic, slots_needed));
    WEIR_TRY(kafka_topic_settings(handle, brokers, sink->token_topic, &settings));
    if (!settings.expires)
        return NULL;
    return weir_errorf(WEIR_E_CONNECTOR,
        "token topic '%s' on brokers '%s' deletes old records, and with them the progress of this "
        "sink; set its cleanup.policy to compact",
        sink->token_topic, brokers);
}

static weir_error *check_topics(weir_ctx *ctx, struct kafka_sink *sink)
{
    static const struct kafka_setting settings[] = { { NULL, NULL } };
    rd_kafka_t *handle = NULL;
    WEIR_TRY(kafka_open(RD_KAFKA_PRODUCER, sink->options->brokers, settings, sink->options->client,
        NULL, NULL, &handle));
    weir_error *error = check_output(sink, handle);
    if (error == NULL)
        error = check_tokens(ctx, sink, handle);
    kafka_close(handle);
    return error;
}

/* What names of staged segments begin with; the caller frees it. */
static char *segment_prefix(weir_ctx *ctx, const struct kafka_sink *sink)
{
    uint64_t sink_hash = hash_bytes(weir_uid_of(ctx), strlen(weir_uid_of(ctx)));
    return mem_printf("kafka-%016" PRIx64 "-%u-%" PRIu64 "-", sink_hash, sink->slots[0].number,
        weir_attempt(ctx));
}

static void new_segment(weir_ctx *ctx, struct kafka_sink *sink)
{
    kafka_segment_free(sink->segment);
    mem_free(sink->segment_path);
    char *prefix = segment_prefix(ctx, sink);
    sink->segment_path =
        mem_printf("%s/%s%" PRIu64 ".segment", weir_staging_dir(ctx), prefix, sink->sequence++);
    mem_free(prefix);
    sink->segment = kafka_segment_new(sink->segment_path, sink->chunk_size);
}

static bool is_restored(const struct kafka_sink *sink, const char *path)
{
    const struct slot *slot = &sink->slots[0];
    for (uint32_t i = 0; i < slot->count; i++)
        if (strcmp(slot->segments[i].path, path) == 0)
            return true;
    return false;
}

/* An earlier start of this subtask in the same attempt has left segments: those of the restored checkpoint have been
 * linked anew, the others are of no use. New ones are numbered behind all of them, so no name is used twice. */
static weir_error *look_around(weir_ctx *ctx, struct kafka_sink *sink)
{
    char **names;
    uint32_t count;
    WEIR_TRY(os_list(weir_staging_dir(ctx), &names, &count));
    char *prefix = segment_prefix(ctx, sink);
    weir_error *error = NULL;
    for (uint32_t i = 0; i < count && error == NULL; i++) {
        if (strncmp(names[i], prefix, strlen(prefix)) != 0)
            continue;
        uint64_t sequence = strtoull(names[i] + strlen(prefix), NULL, 10);
        if (sequence >= sink->sequence)
            sink->sequence = sequence + 1;
        char *path = mem_printf("%s/%s", weir_staging_dir(ctx), names[i]);
        if (!is_restored(sink, path))
            error = os_remove(path);
        mem_free(path);
    }
    mem_free(prefix);
    os_names_free(names, count);
    return error;
}

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    struct kafka_sink *sink = instance;
    sink->options = options;
    sink->chunk_size =
        sink->options->chunk_size == 0 ? CHUNK_SIZE_DEFAULT : sink->options->chunk_size;
    sink->token_topic = sink->options->token_topic != NULL ? mem_strdup(sink->options->token_topic)
                                                           : token_topic_of(ctx);
    WEIR_TRY(restore_slots(ctx, sink));
    WEIR_TRY(look_around(ctx, sink));
    WEIR_TRY(check_topics(ctx, sink));
    WEIR_TRY(recover(ctx, sink));
    new_segment(ctx, sink);
    return NULL;
}

/* -- records -------------------------------------------------------------------------------------- */

static weir_error *stage(weir_ctx *ctx, struct kafka_sink *sink, const void *record)
{
    struct weir_message message;
    WEIR_TRY(weir_sink_encode(ctx, &sink->options->format, record, sink->record_max, &message));
    if (sink->needs_key && message.key.data == NULL)
        return weir_error_data("no-key",
            "topic '%s' is compacted and takes no record without a key", sink->options->topic);
    return kafka_segment_add(sink->segment, message.key, message.value);
}

static weir_error *write_rows(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    struct kafka_sink *sink = instance;
    if (slot_is_full(&sink->slots[0])) /* the next snapshot would have no place for this */
        return weir_error_retriable(weir_errorf(WEIR_E_LIMIT,
            "output for topic '%s' of %u checkpoints in a row waits: none of them completed",
            sink->options->topic, SLOT_SEGMENTS_MAX));
    for (uint32_t i = 0; i < row_count; i++) {
        weir_error *error = stage(ctx, sink, rows[i].record);
        if (error == NULL)
            continue;
        if (weir_error_code(error) != WEIR_E_DATA)
            return weir_error_wrap(error, "cannot stage output for topic '%s'",
                sink->options->topic);
        weir_batch_reject(ctx, &rows[i], error);
    }
    return NULL;
}

/* -- checkpoints ---------------------------------------------------------------------------------- */

static weir_error *broken_run(void *arg)
{
    const struct kafka_sink *sink = arg;
    return weir_errorf(WEIR_E_IO, "output for topic '%s' could not be staged",
        sink->options->topic);
}

static weir_error *broken_done(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return NULL;
}

/* A segment that could not be written stays broken, so giving up this checkpoint, which is what an error
 * of snapshot does, is not enough: the task has to start again from the last one. */
static weir_error *finish_segment(weir_ctx *ctx, struct kafka_sink *sink)
{
    weir_error *error = kafka_segment_finish(sink->segment);
    if (error != NULL)
        weir_async(ctx, broken_run, broken_done, sink);
    return error;
}

static weir_error *add_item(weir_ctx *ctx, const struct slot *slot)
{
    weir_buffer *out = weir_buffer_new(WEIR_ITEM_SIZE_MAX);
    weir_error *error = slot_write(slot, out);
    char *name = mem_printf("slot-%u", slot->number);
    if (error == NULL)
        weir_item_add(ctx, weir_str_of(name), weir_buffer_view(out));
    mem_free(name);
    weir_buffer_free(out);
    for (uint32_t i = 0; i < slot->count && error == NULL; i++)
        weir_file_add(ctx, slot->segments[i].path);
    return error;
}

static weir_error *snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct kafka_sink *sink = instance;
    WEIR_TRY(finish_segment(ctx, sink));
    if (kafka_segment_record_count(sink->segment) > 0) {
        uint32_t chunk_count;
        const struct kafka_chunk *chunks = kafka_segment_chunks(sink->segment, &chunk_count);
        slot_hold(&sink->slots[0], checkpoint, sink->segment_path, chunks, chunk_count);
        sink->segment_path = NULL; /* the slot's now */
        new_segment(ctx, sink);
    }
    sink->snapshotted = checkpoint;
    for (uint32_t i = 0; i < sink->slot_count; i++)
        WEIR_TRY(add_item(ctx, &sink->slots[i]));
    return NULL;
}

static weir_error *checkpoint_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct kafka_sink *sink = instance;
    if (checkpoint > sink->complete)
        sink->complete = checkpoint;
    remove_dropped(sink);
    publish_next(ctx, sink);
    return NULL;
}

/* What belongs to checkpoints that were given up does not count: it goes out with the next one, which
 * could never be taken if it held the task up. */
static uint32_t unpublished(weir_ctx *ctx, void *instance)
{
    const struct kafka_sink *sink = instance;
    (void)ctx;
    return slot_unpublished_count(&sink->slots[0], sink->complete);
}

static void close_sink(weir_ctx *ctx, void *instance)
{
    struct kafka_sink *sink = instance;
    (void)ctx;
    for (uint32_t i = 0; i < sink->slot_count; i++)
        slot_release(&sink->slots[i]);
    mem_free(sink->slots);
    for (uint32_t i = 0; i < sink->dropped_count; i++)
        mem_free(sink->dropped[i].path);
    mem_free(sink->dropped);
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

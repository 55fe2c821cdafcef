/* file_sink.c -- weir_file_sink: part files in a directory, exactly once.
 *
 *      write                 lines go into a hidden file; its name carries the attempt (part_name.h)
 *      snapshot(n)           the file is closed and becomes segment n; a worker syncs it before the ack
 *      checkpoint_complete   a worker asks "still in charge?", then renames: now everybody sees it
 *      open after a failure  segments of the restored checkpoint are renamed, first; hidden files that
 *                            are in no checkpoint are deleted: those of older attempts, and of an
 *                            earlier start of this subtask in the same attempt (weir_attempt)
 *
 *      item "segments" -> u8 version 1 · u64 checkpoint · u32 count ·
 *                         count * (u64 checkpoint · u64 size · str hidden name)
 *
 * A segment bears the number of the checkpoint that closed it, also when that one never completed and
 * a later one did. Numbers are never used twice, so names are not either. No lines, no file.
 *
 * Hidden is unpublished, renamed is published; that is the whole state, and it is in the directory. So
 * a hidden file of a complete checkpoint that is not there was renamed before the crash; whoever reads
 * the output may have taken it away since.
 *
 * A zombie. Its segment n is renamed only if checkpoint n is complete and it was in charge after that;
 * so whoever takes over has restored n or a later one, and renames the same file to the same name: one
 * of the two finds it done. Hidden files that only the zombie knows are deleted under it.
 *
 * Published files beyond the restored checkpoint (it was damaged, and an older one restored; or the
 * directory is of another run) stop the job: their lines would be written again. Nothing is ever
 * replaced or deleted that was published.
 *
 * A line is the record's value, or key TAB value. What would break that, a line feed, a tab in a key, a
 * null value without keys, is a bad record: "unframeable". A null key, and a null value beside a key,
 * are written as nothing.
 *
 * Thread: task; a publish runs in weir_async and sees only what does not change meanwhile. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "connectors/part_name.h"

#include <weir/connector.h>

#include <inttypes.h>

#define BLOCK_SIZE      ((size_t)256 << 10)
#define RECORD_SIZE_MAX ((size_t)16 << 20)
#define SEGMENTS_MAX    10000u
#define ITEM_VERSION    1
#define SEQUENCE_BITS \
    20u /* segments between two checkpoints; with a checkpoint's number 18 digits */

/* A finished file. Thread: task. */
struct segment {
    uint64_t checkpoint, size;
    char *hidden; /* name in the directory */
    bool is_publishing;
};

/* A rename that is to be done. Thread: immutable after init. */
struct renaming {
    char *from, *to; /* paths */
    uint64_t size;
};

/* Thread: worker while it runs, else task. */
struct publish {
    struct publish *next;   /* later ones */
    struct file_sink *sink; /* for the task thread only */
    const weir_ctx *ctx;
    const char *directory;
    struct renaming *renamings;
    uint32_t count;
};

/* Thread: task. */
struct file_sink {
    const struct weir_file_sink_options *options;
    struct part_name name;
    uint64_t attempt;
    uint32_t subtask;
    struct os_file *file;     /* NULL: nothing was written since the last snapshot */
    char *hidden;             /* name of `file` */
    uint64_t size;            /* bytes in `file` */
    uint64_t sequence;        /* of the next hidden file */
    weir_buffer *buffer;      /* lines that are not in `file` yet */
    struct segment *segments; /* SEGMENTS_MAX; oldest first */
    uint32_t segment_count;
    struct publish *publishes; /* oldest first */
    bool has_failed;
    weir_error *failure; /* handed to run_failure, which is a worker's */
};

static const struct weir_type *in_type(const void *options)
{
    return ((const struct weir_file_sink_options *)options)->format.type;
}

static const char *prefix_of(const struct weir_file_sink_options *options)
{
    return options->prefix == NULL ? "part" : options->prefix;
}

static const char *suffix_of(const struct weir_file_sink_options *options)
{
    return options->suffix == NULL ? "ndjson" : options->suffix;
}

static weir_error *validate(const void *arg)
{
    const struct weir_file_sink_options *options = arg;
    if (options->path == NULL || options->path[0] == '\0')
        return weir_errorf(WEIR_E_PLAN, "a file sink has no path; set .path to a directory");
    if (options->format.format_class == NULL || options->format.format_class->encode == NULL)
        return weir_errorf(WEIR_E_PLAN,
            "the file sink of '%s' has no format that can encode; set"
            " .format",
            options->path);
    if (!part_name_is_affix(prefix_of(options)) || !part_name_is_affix(suffix_of(options)))
        return weir_errorf(WEIR_E_PLAN,
            "the file sink of '%s' has the prefix '%s' and the suffix"
            " '%s': they must have 1 to %d bytes, no slash, and no dot in front",
            options->path, prefix_of(options), suffix_of(options), PART_AFFIX_SIZE_MAX);
    return NULL;
}

static char *path_of(const struct file_sink *sink, const char *name)
{
    return mem_printf("%s/%s", sink->options->path, name);
}

/* -- publishing ----------------------------------------------------------------------------- */

static weir_error *rename_one(const struct renaming *renaming)
{
    struct os_stat from, to;
    WEIR_TRY(os_stat(renaming->from, &from));
    WEIR_TRY(os_stat(renaming->to, &to));
    if (!from.exists) {
        if (!to.exists)
            log_warn("file-sink", "was published before, and is gone now: file=%s", renaming->to);
        return NULL;
    }
    if (from.size != renaming->size)
        return weir_errorf(WEIR_E_CORRUPT,
            "'%s' has %" PRIu64 " bytes instead of %" PRIu64 ": it was"
            " changed after the checkpoint that it belongs to",
            renaming->from, from.size, renaming->size);
    if (to.exists)
        return weir_errorf(WEIR_E_CONNECTOR,
            "'%s' exists already and is not replaced: give each sink"
            " its own directory or prefix",
            renaming->to);
    return os_rename(renaming->from, renaming->to);
}

static weir_error *rename_all(const struct publish *publish)
{
    for (uint32_t i = 0; i < publish->count; i++)
        WEIR_TRY(rename_one(&publish->renamings[i]));
    return NULL;
}

/* Thread: worker. */
static weir_error *run_publish(void *arg)
{
    const struct publish *publish = arg;
    WEIR_TRY(weir_check_attempt(publish->ctx));
    WEIR_TRY(FAULT_STEP(PART_RENAME, rename_all(publish)));
    return FAULT_STEP(PART_DIRECTORY_SYNC, os_sync_dir(publish->directory));
}

static struct publish *publish_new(const weir_ctx *ctx, struct file_sink *sink, uint32_t count_max)
{
    struct publish *publish = mem_alloc(sizeof(*publish));
    publish->sink = sink;
    publish->ctx = ctx;
    publish->directory = sink->options->path;
    publish->renamings = mem_alloc_array(count_max, sizeof(*publish->renamings));
    return publish;
}

static void publish_free(struct publish *publish)
{
    for (uint32_t i = 0; i < publish->count; i++) {
        mem_free(publish->renamings[i].from);
        mem_free(publish->renamings[i].to);
    }
    mem_free(publish->renamings);
    mem_free(publish);
}

static void publish_add(struct publish *publish, const struct file_sink *sink, weir_str hidden,
    uint64_t checkpoint, uint32_t subtask, uint64_t size)
{
    char *published = part_name_published(&sink->name, checkpoint, subtask);
    publish->renamings[publish->count++] =
        (struct renaming){ .from = mem_printf("%s/%.*s", sink->options->path, (int)hidden.size,
                               hidden.data),
            .to = path_of(sink, published),
            .size = size };
    mem_free(published);
}

/* The oldest publish is done, and with it the oldest segments. */
static weir_error *publish_done(weir_ctx *ctx, void *arg)
{
    struct publish *publish = arg;
    struct file_sink *sink = publish->sink;
    (void)ctx;
    ASSERT(sink->publishes == publish && sink->segment_count >= publish->count);
    for (uint32_t i = 0; i < publish->count; i++) {
        ASSERT(sink->segments[i].is_publishing);
        mem_free(sink->segments[i].hidden);
    }
    sink->segment_count -= publish->count;
    memmove(sink->segments, sink->segments + publish->count,
        sink->segment_count * sizeof(*sink->segments));
    sink->publishes = publish->next;
    publish_free(publish);
    return NULL;
}

static weir_error *checkpoint_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct file_sink *sink = instance;
    struct publish *publish = publish_new(ctx, sink, sink->segment_count);
    for (uint32_t i = 0; i < sink->segment_count; i++) {
        struct segment *segment = &sink->segments[i];
        if (segment->is_publishing || segment->checkpoint > checkpoint)
            continue;
        segment->is_publishing = true;
        publish_add(publish, sink, weir_str_of(segment->hidden), segment->checkpoint, sink->subtask,
            segment->size);
    }
    if (publish->count == 0) {
        publish_free(publish);
        return NULL;
    }
    struct publish **end = &sink->publishes;
    while (*end != NULL)
        end = &(*end)->next;
    *end = publish;
    weir_async(ctx, run_publish, publish_done, publish);
    return NULL;
}

/* Only what waits for its rename: what waits for its checkpoint must not stop the input, or the
 * barrier of the next checkpoint, which stands in it, would never come. */
static uint32_t unpublished(weir_ctx *ctx, void *instance)
{
    const struct file_sink *sink = instance;
    (void)ctx;
    uint32_t count = 0;
    for (uint32_t i = 0; i < sink->segment_count; i++)
        count += sink->segments[i].is_publishing;
    return count;
}

/* -- opening -------------------------------------------------------------------------------- */

/* Reads one old subtask's item; its segments are added to `publish`. */
static weir_error *restore_item(const struct file_sink *sink, struct weir_item item,
    struct publish *publish, uint64_t *checkpoint)
{
    struct reader reader = reader_of(item.value);
    uint8_t version = reader_u8(&reader);
    *checkpoint = reader_u64(&reader);
    uint32_t count = reader_u32(&reader);
    for (uint32_t i = 0; i < count && i < SEGMENTS_MAX && publish != NULL; i++) {
        uint64_t number = reader_u64(&reader);
        uint64_t size = reader_u64(&reader);
        weir_str hidden = reader_str(&reader);
        if (!reader_failed(&reader) && hidden.data != NULL)
            publish_add(publish, sink, hidden, number, item.subtask, size);
    }
    bool is_read = publish == NULL || reader_at_end(&reader);
    if (version != ITEM_VERSION || reader_failed(&reader) || !is_read || count > SEGMENTS_MAX ||
        !weir_str_equal(item.name, WEIR_STR("segments")))
        return weir_errorf(WEIR_E_STATE,
            "a checkpoint's item '%.*s' is not of a file sink; was the"
            " sink another one?",
            (int)(item.name.size > 80 ? 80 : item.name.size), item.name.data);
    return NULL;
}

/* Publishes what the checkpoint has of the old subtasks that are this one's. */
static weir_error *restore_segments(weir_ctx *ctx, struct file_sink *sink, uint64_t *restored)
{
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        bool is_own = item.subtask % weir_parallelism_of(ctx) == sink->subtask;
        struct publish *publish = is_own ? publish_new(ctx, sink, SEGMENTS_MAX) : NULL;
        weir_error *error = restore_item(sink, item, publish, restored);
        if (error == NULL && is_own && publish->count > 0)
            error = run_publish(publish);
        if (publish != NULL)
            publish_free(publish);
        if (error != NULL)
            return error;
    }
    return NULL;
}

/* Not when a newer attempt has published it since this one was checked: then that is the news. */
static weir_error *beyond(const struct file_sink *sink, const weir_ctx *ctx, const char *name,
    uint64_t restored)
{
    WEIR_TRY(weir_check_attempt(ctx));
    if (restored == 0)
        return weir_errorf(WEIR_E_CONNECTOR,
            "'%s/%s' is output of another run, this one starts from"
            " the beginning: move it away, or give another directory or prefix",
            sink->options->path, name);
    return weir_errorf(WEIR_E_CONNECTOR,
        "'%s/%s' is output from behind checkpoint %" PRIu64 ", which"
        " was restored: its lines would be written again; move it away to go on",
        sink->options->path, name, restored);
}

/* Hidden files that no checkpoint has: what the checkpoint had of this subtask has been renamed. Nobody else writes
 * those of this subtask: where it ran before, it has ended. */
static weir_error *look_at_name(const struct file_sink *sink, const weir_ctx *ctx, const char *name,
    uint64_t restored)
{
    uint64_t number;
    uint32_t subtask;
    if (part_name_is_published(&sink->name, name, &number))
        return number > restored ? beyond(sink, ctx, name, restored) : NULL;
    if (!part_name_is_hidden(&sink->name, name, &number, &subtask) || number > sink->attempt ||
        subtask % weir_parallelism_of(ctx) != sink->subtask)
        return NULL;
    char *path = path_of(sink, name);
    weir_error *error = os_remove(path);
    mem_free(path);
    return error;
}

static weir_error *look_around(const struct file_sink *sink, const weir_ctx *ctx, uint64_t restored)
{
    char **names;
    uint32_t count;
    WEIR_TRY(os_list(sink->options->path, &names, &count));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < count && error == NULL; i++)
        error = look_at_name(sink, ctx, names[i], restored);
    os_names_free(names, count);
    return error;
}

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    struct file_sink *sink = instance;
    const char *uid = weir_uid_of(ctx);
    sink->options = options;
    sink->name = (struct part_name){ .prefix = prefix_of(options),
        .suffix = suffix_of(options),
        .owner = hash_mix(weir_instance_id(ctx)) ^ hash_bytes(uid, strlen(uid)) };
    sink->attempt = weir_attempt(ctx);
    sink->subtask = weir_subtask_index(ctx);
    sink->buffer = weir_buffer_new(BLOCK_SIZE + RECORD_SIZE_MAX + 2);
    sink->segments = mem_alloc_array(SEGMENTS_MAX, sizeof(*sink->segments));
    WEIR_TRY(os_make_dirs_durable(sink->options->path));
    uint64_t restored = 0;
    WEIR_TRY(weir_check_attempt(ctx)); /* before the first deletion, too */
    WEIR_TRY(restore_segments(ctx, sink, &restored));
    /* A region that starts again does so in the same attempt: a name that the checkpoint has must not come again. */
    sink->sequence = restored << SEQUENCE_BITS;
    return look_around(sink, ctx, restored);
}

/* -- writing -------------------------------------------------------------------------------- */

static weir_error *flush_buffer(struct file_sink *sink)
{
    weir_str lines = weir_buffer_view(sink->buffer);
    ASSERT(!weir_buffer_overflowed(sink->buffer));
    if (lines.size == 0)
        return NULL;
    if (sink->file == NULL) {
        sink->hidden =
            part_name_hidden(&sink->name, sink->attempt, sink->subtask, sink->sequence++);
        sink->size = 0;
        char *path = path_of(sink, sink->hidden);
        weir_error *error = os_open(path, OS_CREATE, &sink->file);
        mem_free(path);
        WEIR_TRY(error);
    }
    WEIR_TRY(os_write(sink->file, lines.data, lines.size));
    sink->size += lines.size;
    weir_buffer_reset(sink->buffer);
    return NULL;
}

static bool has_byte(weir_str text, char byte)
{
    return text.size > 0 && memchr(text.data, byte, text.size) != NULL;
}

/* Whether it can be a line of its own. */
static weir_error *check_frame(const struct file_sink *sink, const struct weir_message *message)
{
    if (has_byte(message->value, '\n'))
        return weir_error_data("unframeable", "the value has a line feed, which ends a record in a"
                                              " file of lines");
    if (!sink->options->with_key)
        return message->value.data != NULL ? NULL
                                           : weir_error_data("unframeable",
                                                 "the value is"
                                                 " null, and a line without a key cannot say so");
    if (has_byte(message->key, '\n') || has_byte(message->key, '\t'))
        return weir_error_data("unframeable", "the key has a line feed or tab, which end a key in a"
                                              " file of lines");
    return NULL;
}

static weir_error *add_line(weir_ctx *ctx, struct file_sink *sink, const void *record)
{
    struct weir_message message;
    WEIR_TRY(weir_sink_encode(ctx, &sink->options->format, record, RECORD_SIZE_MAX, &message));
    WEIR_TRY(check_frame(sink, &message));
    if (sink->options->with_key) {
        weir_buffer_add(sink->buffer, message.key.data, message.key.size);
        weir_buffer_add_byte(sink->buffer, '\t');
    }
    weir_buffer_add(sink->buffer, message.value.data, message.value.size);
    weir_buffer_add_byte(sink->buffer, '\n');
    return buffer_size(sink->buffer) < BLOCK_SIZE ? NULL : flush_buffer(sink);
}

static weir_error *write_rows(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    struct file_sink *sink = instance;
    for (uint32_t i = 0; i < row_count; i++) {
        weir_error *error = add_line(ctx, sink, rows[i].record);
        if (error == NULL)
            continue;
        if (weir_error_code(error) != WEIR_E_DATA)
            return error;
        weir_batch_reject(ctx, &rows[i], error);
    }
    return NULL;
}

/* -- snapshot ------------------------------------------------------------------------------- */

static weir_error *end_segment(struct file_sink *sink, uint64_t checkpoint)
{
    if (sink->segment_count == SEGMENTS_MAX)
        return weir_errorf(WEIR_E_LIMIT, "%u files wait for a checkpoint to complete, no more can",
            SEGMENTS_MAX);
    WEIR_TRY(flush_buffer(sink));
    if (sink->file == NULL)
        return NULL;
    os_close(sink->file);
    sink->file = NULL;
    sink->segments[sink->segment_count++] =
        (struct segment){ .checkpoint = checkpoint, .size = sink->size, .hidden = sink->hidden };
    sink->hidden = NULL;
    return NULL;
}

static void add_item(weir_ctx *ctx, const struct file_sink *sink, uint64_t checkpoint)
{
    weir_buffer *value = weir_buffer_new(WEIR_ITEM_SIZE_MAX);
    buffer_put_u8(value, ITEM_VERSION);
    buffer_put_u64(value, checkpoint);
    buffer_put_u32(value, sink->segment_count);
    for (uint32_t i = 0; i < sink->segment_count; i++) {
        buffer_put_u64(value, sink->segments[i].checkpoint);
        buffer_put_u64(value, sink->segments[i].size);
        buffer_put_str(value, weir_str_of(sink->segments[i].hidden));
    }
    ASSERT(!weir_buffer_overflowed(value));
    weir_item_add(ctx, WEIR_STR("segments"), weir_buffer_view(value));
    weir_buffer_free(value);
}

static weir_error *run_failure(void *arg)
{
    struct file_sink *sink = arg;
    weir_error *failure = sink->failure;
    sink->failure = NULL;
    return failure;
}

static weir_error *failure_done(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return NULL;
}

/* What a failed write left in the file is unknown. Declining this checkpoint is not enough: the task
 * has to fail, or the next one would take the file as it is. */
static weir_error *fail_task(weir_ctx *ctx, struct file_sink *sink, weir_error *error)
{
    sink->has_failed = true;
    sink->failure = error;
    weir_async(ctx, run_failure, failure_done, sink);
    return weir_errorf(WEIR_E_IO, "the output file could not be written");
}

static weir_error *snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct file_sink *sink = instance;
    if (sink->has_failed)
        return weir_errorf(WEIR_E_IO, "the output file could not be written before");
    weir_error *error = end_segment(sink, checkpoint);
    if (error != NULL)
        return fail_task(ctx, sink, error);
    add_item(ctx, sink, checkpoint);
    for (uint32_t i = 0; i < sink->segment_count; i++) {
        if (sink->segments[i].is_publishing)
            continue; /* is synced, and may have another name by now */
        char *path = path_of(sink, sink->segments[i].hidden);
        weir_sync_add(ctx, path);
        mem_free(path);
    }
    return NULL;
}

/* -- the end -------------------------------------------------------------------------------- */

/* The file that is in no checkpoint is of no use to anybody. */
static void drop_file(struct file_sink *sink)
{
    os_close(sink->file);
    if (sink->hidden == NULL)
        return;
    char *path = path_of(sink, sink->hidden);
    weir_error_free(os_remove(path)); /* the next attempt deletes what stays */
    mem_free(path);
    mem_free(sink->hidden);
}

static void close_sink(weir_ctx *ctx, void *instance)
{
    struct file_sink *sink = instance;
    (void)ctx;
    drop_file(sink);
    for (uint32_t i = 0; i < sink->segment_count; i++)
        mem_free(sink->segments[i].hidden);
    while (sink->publishes != NULL) {
        struct publish *next = sink->publishes->next;
        publish_free(sink->publishes);
        sink->publishes = next;
    }
    weir_error_free(sink->failure);
    mem_free(sink->segments);
    weir_buffer_free(sink->buffer);
}

static const struct weir_sink_class file_sink_class = {
    .name = "file",
    .options_size = sizeof(struct weir_file_sink_options),
    .instance_size = sizeof(struct file_sink),
    .in_type = in_type,
    .validate = validate,
    .open = open_sink,
    .write = write_rows,
    .snapshot = snapshot,
    .checkpoint_complete = checkpoint_complete,
    .unpublished = unpublished,
    .close = close_sink,
};

struct weir_sink weir_file_sink_with(const struct weir_file_sink_options *options)
{
    return weir_sink_of(&file_sink_class, options);
}

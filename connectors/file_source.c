/* file_source.c -- weir_file_source: the lines of a file, or of the files in a directory.
 *
 * Splits. Each file is a split with a number: its place in the list (file_list.h) at the first start,
 * sorted by name. Split k belongs to subtask k % parallelism. Numbers are kept in the checkpoint under
 * the file's name, so they stay when files are added: new ones get the next numbers, in their order.
 *
 *      item = file name -> u8 version 1 · u64 number · u64 offset · u8 finished
 *
 * The offset is that of the next line, in unpacked bytes. A file that the checkpoint has not finished
 * and that is gone now stops the job; finished ones may be taken away, and are not read again should
 * they come back.
 *
 * Order. A subtask reads its files one after the other, by number. To the engine all of them are splits
 * from the start: one that was not begun holds the watermark back, so nothing in a later file is ever
 * too late, whatever the files have in common with time. The price: event time stands still until the
 * last file of each subtask has been begun.
 *
 * Records are views into the read buffer: one memchr per line, no copy. A poll reads at most one block,
 * and only when it has emitted nothing, because reading moves what was emitted before. Local reads are
 * not handed to a worker: a block from the page cache takes about as long as the hand-over.
 *
 * Thread: task. Memory: 256 KiB and the longest line, twice 64 KiB; one open file. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "connectors/file_list.h"
#include "connectors/lines.h"
#include "connectors/unpack.h"

#include <weir/connector.h>

#include <inttypes.h>
#include <stdlib.h>

#define BLOCK_SIZE            ((size_t)256 << 10)
#define LINE_SIZE_MAX_DEFAULT (1u << 20)
#define LINE_SIZE_MAX_LIMIT   (64u << 20)
#define ITEM_VERSION          1
#define ITEM_SIZE             18

/* Thread: task. */
struct split {
    char *name;
    uint64_t number;
    uint64_t offset; /* of the next line */
    uint64_t size;   /* of the file at open, as it lies there */
    uint32_t handle; /* the engine's */
    bool is_finished;
};

/* Thread: task. */
struct file_source {
    const struct weir_file_source_options *options;
    char *directory;
    struct split *splits; /* this subtask's, by number */
    uint32_t split_count;
    uint32_t current;      /* index of the split that is read, or read next */
    struct unpack *unpack; /* of the current split; NULL: not open */
    bool is_there;         /* the current split has come to its offset */
    uint32_t header_left;  /* lines to pass over */
    struct lines lines;
    const struct split *polled; /* the last poll has taken lines of it; NULL: of none */
    uint64_t polled_offset;     /* of the first of them */
    weir_buffer *value;         /* of an item */
    uint64_t emitted, consumed; /* lines, and bytes of files, since the start: for the lag */
};

static const struct weir_type *out_type(const void *options)
{
    return ((const struct weir_file_source_options *)options)->format.type;
}

static weir_error *validate(const void *arg)
{
    const struct weir_file_source_options *options = arg;
    if (options->path == NULL || options->path[0] == '\0')
        return weir_errorf(WEIR_E_PLAN, "a file source has no path; set .path");
    if (options->format.format_class == NULL || options->format.format_class->decode == NULL)
        return weir_errorf(WEIR_E_PLAN,
            "the file source of '%s' has no format that can decode; set"
            " .format",
            options->path);
    if (options->line_size_max > LINE_SIZE_MAX_LIMIT)
        return weir_errorf(WEIR_E_PLAN,
            "the file source of '%s' allows lines of %u bytes, %u are the"
            " most",
            options->path, options->line_size_max, LINE_SIZE_MAX_LIMIT);
    return NULL;
}

/* -- splits --------------------------------------------------------------------------------- */

static bool is_packed(const char *name)
{
    size_t size = strlen(name);
    return size > 3 && strcmp(name + size - 3, ".gz") == 0;
}

static char *path_of(const struct file_source *source, const struct split *split)
{
    return mem_printf("%s/%s", source->directory, split->name);
}

static weir_error *parse_item(struct weir_item item, struct split *split)
{
    struct reader reader = reader_of(item.value);
    uint8_t version = reader_u8(&reader);
    *split = (struct split){ .number = reader_u64(&reader) };
    split->offset = reader_u64(&reader);
    split->is_finished = reader_u8(&reader) != 0;
    if (version != ITEM_VERSION || reader_failed(&reader) || !reader_at_end(&reader))
        return weir_errorf(WEIR_E_STATE,
            "a checkpoint's item '%.*s' is no position of a file source;"
            " was the source another one?",
            (int)(item.name.size > 80 ? 80 : item.name.size), item.name.data);
    return NULL;
}

static void add_split(struct file_source *source, weir_ctx *ctx, weir_str name,
    const struct split *split)
{
    if (split->number % weir_parallelism_of(ctx) != weir_subtask_index(ctx))
        return;
    struct split *added = &source->splits[source->split_count++];
    *added = *split;
    added->name = mem_alloc(name.size + 1);
    memcpy(added->name, name.data, name.size);
}

static weir_error *gone(const struct file_source *source, weir_str name, uint64_t offset)
{
    return weir_errorf(WEIR_E_CONNECTOR,
        "the file '%.*s' was read up to byte %" PRIu64 " when the"
        " checkpoint was made, and is not in '%s' any more: put it back",
        (int)name.size, name.data, offset, source->directory);
}

/* The splits of the checkpoint; *next: the first number that none of them has. */
static weir_error *restore_splits(struct file_source *source, weir_ctx *ctx,
    const struct file_list *list, uint64_t *next)
{
    *next = 0;
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        struct split split;
        WEIR_TRY(parse_item(item, &split));
        if (!split.is_finished && !file_list_has(list, item.name))
            return gone(source, item.name, split.offset);
        if (split.number >= *next)
            *next = split.number + 1;
        add_split(source, ctx, item.name, &split);
    }
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    return weir_str_compare(*(const weir_str *)a, *(const weir_str *)b);
}

/* Files that the checkpoint does not know: both lists are sorted, so one walk finds them. */
static void add_new_splits(struct file_source *source, weir_ctx *ctx, const struct file_list *list,
    uint64_t next)
{
    uint32_t known_count = weir_item_count(ctx), k = 0;
    weir_str *known = mem_alloc_array(known_count, sizeof(*known));
    for (uint32_t i = 0; i < known_count; i++)
        known[i] = weir_item_at(ctx, i).name;
    qsort(known, known_count, sizeof(*known), compare_names);
    for (uint32_t i = 0; i < list->count; i++) {
        weir_str name = weir_str_of(list->names[i]);
        while (k < known_count && weir_str_compare(known[k], name) < 0)
            k++;
        if (k == known_count || !weir_str_equal(known[k], name))
            add_split(source, ctx, name, &(struct split){ .number = next++ });
    }
    mem_free(known);
}

static int compare_splits(const void *a, const void *b)
{
    const struct split *left = a, *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

/* Better to fail now than in an hour: every file of this subtask must open. */
static weir_error *declare(struct file_source *source, weir_ctx *ctx, struct split *split)
{
    char *path = path_of(source, split);
    struct os_stat stat = { .size = 0 };
    weir_error *error = os_stat(path, &stat);
    struct os_file *file = NULL;
    if (error == NULL)
        error = os_open(path, OS_READ, &file);
    os_close(file);
    mem_free(path);
    split->size = stat.size;
    split->handle = weir_split_add(ctx);
    return error;
}

static weir_error *find_splits(struct file_source *source, weir_ctx *ctx,
    const struct file_list *list)
{
    uint64_t next;
    source->splits =
        mem_alloc_array((size_t)list->count + weir_item_count(ctx), sizeof(*source->splits));
    WEIR_TRY(restore_splits(source, ctx, list, &next));
    add_new_splits(source, ctx, list, next);
    if (source->split_count > 0)
        qsort(source->splits, source->split_count, sizeof(*source->splits), compare_splits);
    for (uint32_t i = 0; i < source->split_count; i++)
        if (!source->splits[i].is_finished)
            WEIR_TRY(declare(source, ctx, &source->splits[i]));
    return NULL;
}

static weir_error *open_source(weir_ctx *ctx, const void *options, void *instance)
{
    struct file_source *source = instance;
    source->options = options;
    source->value = weir_buffer_new(ITEM_SIZE);
    uint32_t size_max = source->options->line_size_max;
    lines_init(&source->lines, BLOCK_SIZE, size_max == 0 ? LINE_SIZE_MAX_DEFAULT : size_max);
    const char *path = source->options->path;
    uint64_t common = hash_mix(hash_bytes(path, strlen(path))) ^
                      hash_bytes(weir_uid_of(ctx), strlen(weir_uid_of(ctx)));
    struct file_list list;
    WEIR_TRY(file_list_read(path, weir_staging_dir(ctx), common, &list));
    source->directory = list.directory;
    list.directory = NULL;
    if (list.count == 0 && weir_subtask_index(ctx) == 0)
        log_warn("file-source", "there is no file to read: directory=%s", path);
    weir_error *error = find_splits(source, ctx, &list);
    file_list_release(&list);
    return error;
}

static weir_error *snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct file_source *source = instance;
    (void)checkpoint;
    for (uint32_t i = 0; i < source->split_count; i++) {
        const struct split *split = &source->splits[i];
        weir_buffer_reset(source->value);
        buffer_put_u8(source->value, ITEM_VERSION);
        buffer_put_u64(source->value, split->number);
        buffer_put_u64(source->value, split->offset);
        buffer_put_u8(source->value, split->is_finished ? 1 : 0);
        ASSERT(!weir_buffer_overflowed(source->value));
        weir_item_add(ctx, weir_str_of(split->name), weir_buffer_view(source->value));
    }
    return NULL;
}

/* -- reading -------------------------------------------------------------------------------- */

static weir_error *begin(struct file_source *source, struct split *split)
{
    char *path = path_of(source, split);
    weir_error *error = unpack_open(path, is_packed(split->name), split->offset, &source->unpack);
    mem_free(path);
    source->is_there = false;
    source->header_left = split->offset == 0 ? source->options->header_lines : 0;
    lines_start(&source->lines, split->offset);
    return error;
}

static void finish(struct file_source *source, weir_ctx *ctx, struct split *split)
{
    source->consumed += unpack_consumed(source->unpack);
    unpack_close(source->unpack);
    source->unpack = NULL;
    split->is_finished = true;
    weir_split_finish(ctx, split->handle);
    source->current++;
}

static void emit(struct file_source *source, weir_ctx *ctx, const struct split *split,
    const struct line *line)
{
    struct weir_message message = { .topic = weir_str_of(split->name),
        .offset = (int64_t)line->offset,
        .timestamp_ms = WEIR_NO_TIMESTAMP,
        .key = { .data = NULL },
        .value = line->bytes,
        .partition = -1 };
    source->emitted++;
    if (!line->is_long) {
        weir_source_emit(ctx, split->handle, &source->options->format, &message);
        return;
    }
    weir_source_reject(ctx, &message, line->size,
        weir_error_data("too-large",
            "the line at byte %" PRIu64 " of '%s' has %" PRIu64 " bytes, %zu are allowed",
            line->offset, split->name, line->size, source->lines.size_max));
}

/* Takes what lines are in the buffer, as many as there is room for; how many were emitted. */
static uint32_t emit_lines(struct file_source *source, weir_ctx *ctx, struct split *split)
{
    uint32_t count = 0, room = weir_source_room(ctx);
    struct line line;
    source->polled = split;
    source->polled_offset = source->lines.offset;
    while (count < room && lines_take(&source->lines, &line)) {
        if (source->header_left > 0) {
            source->header_left--;
            continue;
        }
        emit(source, ctx, split, &line);
        count++;
    }
    if (source->header_left == 0) /* else: the header begins again after a restore */
        split->offset = source->lines.offset;
    return count;
}

static weir_error *fill(struct file_source *source)
{
    size_t room, got;
    char *into = lines_room(&source->lines, &room);
    if (!source->is_there)
        return unpack_skip(source->unpack, into, room, &source->is_there);
    WEIR_TRY(unpack_read(source->unpack, into, BLOCK_SIZE, &got));
    lines_filled(&source->lines, got);
    return NULL;
}

static weir_error *read_split(struct file_source *source, weir_ctx *ctx, struct split *split)
{
    if (source->unpack == NULL)
        WEIR_TRY(begin(source, split));
    if (source->is_there && emit_lines(source, ctx, split) > 0)
        return NULL;
    if (source->lines.is_at_end) {
        finish(source, ctx, split);
        return NULL;
    }
    WEIR_TRY(fill(source));
    if (source->is_there)
        emit_lines(source, ctx, split);
    return NULL;
}

static weir_error *poll_source(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    struct file_source *source = instance;
    source->polled = NULL;
    while (source->current < source->split_count && source->splits[source->current].is_finished)
        source->current++;
    if (source->current == source->split_count) {
        *status = WEIR_SOURCE_FINISHED;
        return NULL;
    }
    *status = WEIR_SOURCE_MORE;
    ASSERT(weir_source_room(ctx) > 0); /* no line without room is not the same as no line */
    return read_split(source, ctx, &source->splits[source->current]);
}

static void close_source(weir_ctx *ctx, void *instance)
{
    struct file_source *source = instance;
    (void)ctx;
    unpack_close(source->unpack);
    lines_release(&source->lines);
    weir_buffer_free(source->value);
    for (uint32_t i = 0; i < source->split_count; i++)
        mem_free(source->splits[i].name);
    mem_free(source->splits);
    mem_free(source->directory);
}

/* An estimate: the bytes that are left, in lines of the size so far. */
static int64_t lag(weir_ctx *ctx, void *instance)
{
    const struct file_source *source = instance;
    (void)ctx;
    uint64_t consumed = source->consumed, left = 0;
    if (source->unpack != NULL)
        consumed += unpack_consumed(source->unpack);
    for (uint32_t i = source->current; i < source->split_count; i++)
        left += source->splits[i].is_finished ? 0 : source->splits[i].size;
    if (source->unpack != NULL) {
        uint64_t read = unpack_consumed(source->unpack);
        left -= read < left ? read : left;
    }
    if (left == 0)
        return 0;
    if (source->emitted == 0 || consumed == 0)
        return -1;
    double lines = (double)left * (double)source->emitted / (double)consumed;
    return lines < 9e18 ? (int64_t)lines : INT64_MAX;
}

static uint32_t positions(const void *instance, struct weir_position *list, uint32_t max)
{
    const struct file_source *source = instance;
    if (source->polled == NULL || source->lines.offset == source->polled_offset)
        return 0;
    if (max > 0)
        list[0] = (struct weir_position){ .topic = weir_str_of(source->polled->name),
            .partition = -1,
            .first = (int64_t)source->polled_offset,
            .last = (int64_t)source->lines.offset - 1 };
    return 1;
}

static const struct weir_source_class file_source_class = {
    .name = "file",
    .options_size = sizeof(struct weir_file_source_options),
    .instance_size = sizeof(struct file_source),
    .out_type = out_type,
    .validate = validate,
    .open = open_source,
    .poll = poll_source,
    .snapshot = snapshot,
    .close = close_source,
    .lag = lag,
    .positions = positions,
};

struct weir_source weir_file_source_with(const struct weir_file_source_options *options)
{
    return weir_source_of(&file_source_class, options);
}

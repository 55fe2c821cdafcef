/* sim_files.c -- the source half of sim_files.h. */
#include "test/sim/sim_files.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_mutant.h"

#include <inttypes.h>
#include <stdio.h>

#define FILES_MAX     16u
#define FILE_SIZE_MAX ((size_t)1 << 20)

struct frame {
    uint64_t index, hash;
};

/* -- the input ------------------------------------------------------------------------------------ */

static void add_frame(weir_buffer *file, uint64_t index)
{
    struct frame frame = { .index = index, .hash = hash_mix(index) };
    weir_buffer_add(file, &frame, sizeof(frame));
}

static void add_line(weir_buffer *file, uint64_t index)
{
    char line[32];
    int size = snprintf(line, sizeof(line), "%" PRIu64 "\n", index);
    weir_buffer_add(file, line, (size_t)size);
}

/* File f has the records whose number modulo the count of files is f: files of one length, nearly. */
static void make_file(const struct sim_shape *shape, const char *directory, uint32_t f)
{
    char *path = mem_printf("%s/%u", directory, f);
    weir_buffer *file = weir_buffer_new(FILE_SIZE_MAX);
    for (uint64_t i = shape->generated_count + f; i < shape->count; i += shape->file_count) {
        if (shape->reads_text)
            add_line(file, i);
        else
            add_frame(file, i);
    }
    weir_str bytes = weir_buffer_view(file);
    ASSERT(!weir_buffer_overflowed(file));
    weir_error *error = os_write_file(path, bytes.data, bytes.size);
    ASSERT(error == NULL);
    weir_buffer_free(file);
    mem_free(path);
}

void sim_files_make_input(const struct sim_shape *shape, const char *directory)
{
    ASSERT(shape->file_count <= FILES_MAX);
    weir_error *error = os_make_dirs(directory);
    ASSERT(error == NULL);
    for (uint32_t f = 0; f < shape->file_count; f++)
        make_file(shape, directory, f);
    error = os_sync_dir("/");
    ASSERT(error == NULL);
}

/* -- the source ----------------------------------------------------------------------------------- */

struct files {
    struct sim_files_options options;
    struct os_file *files[FILES_MAX]; /* of the splits that are mine */
    uint64_t positions[FILES_MAX];
    uint64_t sizes[FILES_MAX];
    uint32_t splits[FILES_MAX];
    bool is_finished[FILES_MAX];
    uint32_t turn;
};

static const struct weir_type *files_type(const void *options)
{
    (void)options;
    return &sim_event_type;
}

static weir_error *open_split(weir_ctx *ctx, struct files *it, uint32_t f)
{
    struct os_stat stat;
    char *path = mem_printf("%s/%u", it->options.directory, f);
    it->splits[f] = weir_split_add(ctx);
    weir_error *error = os_stat(path, &stat);
    if (error == NULL)
        error = os_open(path, OS_READ, &it->files[f]);
    it->sizes[f] = stat.size;
    mem_free(path);
    return error;
}

static weir_error *files_open(weir_ctx *ctx, const void *options, void *instance)
{
    struct files *it = instance;
    it->options = *(const struct sim_files_options *)options;
    for (uint32_t f = 0; f < it->options.shape->file_count; f++)
        if (f % weir_parallelism_of(ctx) == weir_subtask_index(ctx))
            WEIR_TRY(open_split(ctx, it, f));
    if (sim_mutant == SIM_FORGET_POSITION)
        return NULL;
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        uint32_t f;
        ASSERT(item.name.size == sizeof(f) && item.value.size == sizeof(it->positions[0]));
        memcpy(&f, item.name.data, sizeof(f));
        ASSERT(f < FILES_MAX);
        memcpy(&it->positions[f], item.value.data, sizeof(it->positions[0]));
    }
    return NULL;
}

static void emit(weir_ctx *ctx, const struct files *it, uint32_t f, const struct frame *frame)
{
    ASSERT(frame->hash == hash_mix(frame->index)); /* a position within a frame */
    struct sim_event *event = weir_scratch(ctx, sizeof(*event));
    sim_event_fill(it->options.shape, frame->index, event);
    weir_source_emit_record(ctx, it->splits[f], event);
}

static weir_error *read_some(weir_ctx *ctx, struct files *it, uint32_t f, uint32_t frame_max)
{
    struct frame frames[32];
    size_t got, size = (frame_max < 32 ? frame_max : 32) * sizeof(struct frame);
    WEIR_TRY(os_read_at(it->files[f], it->positions[f], frames, size, &got));
    for (size_t i = 0; i < got / sizeof(struct frame); i++)
        emit(ctx, it, f, &frames[i]);
    it->positions[f] += got;
    return NULL;
}

static weir_error *files_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    struct files *it = instance;
    uint32_t count = it->options.shape->file_count;
    *status = WEIR_SOURCE_FINISHED;
    for (uint32_t tried = 0; tried < count; tried++) {
        uint32_t f = it->turn++ % count;
        if (it->files[f] == NULL || it->is_finished[f])
            continue;
        *status = WEIR_SOURCE_MORE;
        if (it->positions[f] < it->sizes[f])
            return read_some(ctx, it, f, weir_source_room(ctx));
        if (sim_mutant == SIM_NEVER_ENDS)
            continue;
        it->is_finished[f] = true;
        weir_split_finish(ctx, it->splits[f]);
    }
    return NULL;
}

static weir_error *files_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    const struct files *it = instance;
    (void)checkpoint;
    for (uint32_t f = 0; f < it->options.shape->file_count; f++) {
        if (it->files[f] == NULL)
            continue;
        uint64_t position = it->positions[f];
        if (sim_mutant == SIM_EARLY_POSITION && position < it->sizes[f])
            position += sizeof(struct frame);
        weir_item_add(ctx, (weir_str){ .data = (const char *)&f, .size = sizeof(f) },
            (weir_str){ .data = (const char *)&position, .size = sizeof(position) });
    }
    return NULL;
}

static void files_close(weir_ctx *ctx, void *instance)
{
    struct files *it = instance;
    (void)ctx;
    for (uint32_t f = 0; f < FILES_MAX; f++)
        os_close(it->files[f]);
}

static const struct weir_source_class files_class = { .name = "sim-files",
    .options_size = sizeof(struct sim_files_options),
    .instance_size = sizeof(struct files),
    .out_type = files_type,
    .open = files_open,
    .poll = files_poll,
    .snapshot = files_snapshot,
    .close = files_close };

struct weir_source sim_files_source(const struct sim_files_options *options)
{
    return weir_source_of(&files_class, options);
}

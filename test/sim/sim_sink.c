/* sim_sink.c -- the sink half of sim_files.h. */
#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_files.h"
#include "test/sim/sim_mutant.h"

#include <inttypes.h>
#include <stdio.h>

#define EPOCHS_MAX 32u

/* The rows between two barriers, once there is a file of them. Thread: task, worker while it is_publishing. */
struct epoch {
    struct sink *sink;
    uint64_t checkpoint;
    uint64_t added_by;    /* the last checkpoint that it is a part of, or was to be */
    char *staged, *final; /* paths */
    bool is_publishing, is_published;
};

/* Thread: task. */
struct sink {
    struct sim_sink_options options;
    weir_ctx *ctx;
    struct sim_row *rows;
    size_t row_count, row_capacity;
    struct epoch *epochs[EPOCHS_MAX]; /* oldest first */
    uint32_t epoch_count;
    uint64_t completed;
};

/* -- publishing ----------------------------------------------------------------------------------- */

static weir_error *publish(weir_ctx *ctx, const char *directory, const char *from, const char *to)
{
    struct os_stat stat;
    WEIR_TRY(weir_check_attempt(ctx));
    WEIR_TRY(os_stat(to, &stat));
    if (!stat.exists)
        WEIR_TRY(os_link(from, to));
    return os_sync_dir(directory);
}

/* Thread: worker. */
static weir_error *run_publish(void *arg)
{
    const struct epoch *epoch = arg;
    return publish(epoch->sink->ctx, epoch->sink->options.directory, epoch->staged, epoch->final);
}

static void epoch_free(struct epoch *epoch)
{
    mem_free(epoch->staged);
    mem_free(epoch->final);
    mem_free(epoch);
}

/* Drops what is published, unless a checkpoint that is being written still needs the staged file. */
static weir_error *drop_published(struct sink *sink)
{
    weir_error *error = NULL;
    while (sink->epoch_count > 0 && sink->epochs[0]->is_published && error == NULL) {
        struct epoch *epoch = sink->epochs[0];
        if (epoch->added_by > sink->completed)
            break;
        error = os_remove(epoch->staged);
        epoch_free(epoch);
        sink->epoch_count--;
        memmove(sink->epochs, sink->epochs + 1, sink->epoch_count * sizeof(struct epoch *));
    }
    return error;
}

static weir_error *done_publish(weir_ctx *ctx, void *arg)
{
    struct epoch *epoch = arg;
    (void)ctx;
    epoch->is_published = true;
    return drop_published(epoch->sink);
}

static void publish_up_to(weir_ctx *ctx, struct sink *sink, uint64_t checkpoint)
{
    for (uint32_t i = 0; i < sink->epoch_count; i++) {
        struct epoch *epoch = sink->epochs[i];
        if (epoch->checkpoint > checkpoint || epoch->is_publishing)
            continue;
        epoch->is_publishing = true;
        weir_async(ctx, run_publish, done_publish, epoch);
    }
}

static weir_error *sink_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct sink *sink = instance;
    sink->completed = checkpoint;
    publish_up_to(ctx, sink, checkpoint);
    return drop_published(sink);
}

static uint32_t sink_unpublished(weir_ctx *ctx, void *instance)
{
    const struct sink *sink = instance;
    uint32_t count = 0;
    (void)ctx;
    for (uint32_t i = 0; i < sink->epoch_count; i++)
        count += sink->epochs[i]->is_publishing && !sink->epochs[i]->is_published;
    return count;
}

/* -- opening -------------------------------------------------------------------------------------- */

static weir_error *publish_restored(weir_ctx *ctx, const struct sink *sink, weir_str name)
{
    const char *path = weir_file_find(ctx, name);
    ASSERT(path != NULL);
    const char *number = name.data; /* "<uid>-<n>-<subtask>": from the last dash but one on */
    for (const char *at = name.data, *last = NULL; at < name.data + name.size; at++) {
        if (*at != '-')
            continue;
        number = last;
        last = at;
    }
    char *final = mem_printf("%s/%s%.*s", sink->options.directory, sink->options.prefix,
        (int)(name.data + name.size - number), number);
    weir_error *error = publish(ctx, sink->options.directory, path, final);
    mem_free(final);
    return error;
}

static weir_error *sink_open(weir_ctx *ctx, const void *options, void *instance)
{
    struct sink *sink = instance;
    sink->options = *(const struct sim_sink_options *)options;
    sink->ctx = ctx;
    for (uint32_t i = 0; i < weir_item_count(ctx) && sim_mutant != SIM_FORGET_PENDING; i++) {
        struct weir_item item = weir_item_at(ctx, i);
        if (item.subtask % weir_parallelism_of(ctx) == weir_subtask_index(ctx))
            WEIR_TRY(publish_restored(ctx, sink, item.name));
    }
    return NULL;
}

static void sink_close(weir_ctx *ctx, void *instance)
{
    struct sink *sink = instance;
    (void)ctx;
    for (uint32_t i = 0; i < sink->epoch_count; i++)
        epoch_free(sink->epochs[i]);
    mem_free(sink->rows);
}

/* -- writing -------------------------------------------------------------------------------------- */

static weir_error *sink_write(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    struct sink *sink = instance;
    (void)ctx;
    if (sink->row_count + row_count > sink->row_capacity) {
        sink->row_capacity = (sink->row_count + row_count) * 2;
        sink->rows = mem_realloc(sink->rows, sink->row_capacity * sizeof(*sink->rows));
    }
    for (uint32_t i = 0; i < row_count; i++)
        sim_row_fill(&sink->rows[sink->row_count++], rows[i].record);
    return NULL;
}

static weir_error *write_staged(const char *path, const struct sink *sink)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_CREATE, &file));
    weir_error *error = os_write(file, sink->rows, sink->row_count * sizeof(*sink->rows));
    if (error == NULL)
        error = os_sync(file);
    os_close(file);
    return error;
}

static weir_error *stage(weir_ctx *ctx, struct sink *sink, uint64_t checkpoint)
{
    uint32_t subtask = weir_subtask_index(ctx);
    char *staged = mem_printf("%s/%s-%" PRIu64 "-%u", weir_staging_dir(ctx), weir_uid_of(ctx),
        checkpoint, subtask);
    weir_error *error = write_staged(staged, sink);
    if (error != NULL) {
        mem_free(staged);
        return error;
    }
    ASSERT(sink->epoch_count < EPOCHS_MAX);
    struct epoch *epoch = sink->epochs[sink->epoch_count++] = mem_alloc(sizeof(*epoch));
    *epoch = (struct epoch){ .sink = sink,
        .checkpoint = checkpoint,
        .staged = staged,
        .final = mem_printf("%s/%s-%" PRIu64 "-%u", sink->options.directory, sink->options.prefix,
            checkpoint, subtask) };
    sink->row_count = 0;
    return NULL;
}

/* What is not published yet belongs to this checkpoint, too: the older one may be forgotten by then. */
static weir_error *sink_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct sink *sink = instance;
    if (sink->row_count > 0)
        WEIR_TRY(stage(ctx, sink, checkpoint));
    for (uint32_t i = 0; i < sink->epoch_count; i++) {
        struct epoch *epoch = sink->epochs[i];
        if (epoch->is_published)
            continue;
        epoch->added_by = checkpoint;
        weir_file_add(ctx, epoch->staged);
        weir_item_add(ctx, weir_str_of(strrchr(epoch->staged, '/') + 1), WEIR_STR(""));
    }
    if (sim_mutant == SIM_PUBLISH_BEFORE_COMPLETE)
        publish_up_to(ctx, sink, checkpoint);
    return NULL;
}

static const struct weir_sink_class sink_class = { .name = "sim-files",
    .options_size = sizeof(struct sim_sink_options),
    .instance_size = sizeof(struct sink),
    .open = sink_open,
    .write = sink_write,
    .snapshot = sink_snapshot,
    .checkpoint_complete = sink_complete,
    .unpublished = sink_unpublished,
    .close = sink_close };

struct weir_sink sim_files_sink(const struct sim_sink_options *options)
{
    return weir_sink_of(&sink_class, options);
}

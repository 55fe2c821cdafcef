/* kafka_publisher.c -- the Kafka sink without the engine: stages numbered records, takes checkpoints,
 * publishes, and can be killed anywhere.
 *
 *   kafka_publisher --brokers B --topic T --dir DIR [--epochs N | --finish] [--parallelism P]
 *       [--units U] [--records R] [--size S] [--interval-ms MS] [--give-up PERCENT] [--seed S]
 *       [--chunk-size BYTES] [--token-topic T] [--republish] [--huge-at EPOCH] [--keyless]
 *       [-X k=v]
 *
 * It is the engine as the sink sees it: one context a subtask, items and files of the restored
 * checkpoint, snapshots whose files a worker stores while the task goes on, checkpoints that
 * complete or (--give-up) do not, completions, asynchronous calls, no more records for a sink that is
 * behind. Checkpoints are real ones (checkpoint/storage.h): attempts rise, zombies are fenced.
 *
 * Unit u (of U, whatever the parallelism) belongs to subtask u % P. In each round most units stage one
 * more epoch of R records, with the key "<unit>-<epoch>-<index>" and the value
 *     {"unit":u,"epoch":e,"index":i,"total":R,"pad":"xxx"}
 * which is what test/oracle/verify.py --ledger and --units judge. The source position, the next epoch
 * of each unit, is in the checkpoint, too. It goes on until N epochs of every unit are published, or
 * with --finish until every unit has published two more than the furthest has staged, or for ever.
 *
 * Says on standard output, a line each: "attempt A restored N", "complete N" for each checkpoint,
 * "published" whenever nothing is left to publish, "dead-letter REASON" for each refused record, and at
 * the end "done E": the epochs 0 .. E - 1 of every unit are out.
 * Exit status: 0, or that of the error's code (weir/error.h), with the error on standard error; 9 is
 * SIGKILL of a fault point (WEIR_FAULT, base/fault.h).
 *
 * Not one of the tools that judge: it links the engine, so make builds it. Thread: main is the task of
 * all subtasks; workers publish and store files. */
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/worker.h"
#include "checkpoint/restore.h"
#include "checkpoint/storage.h"
#include "test/e2e/tools/publisher_options.h"
#include "test/support/random.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS_MAX       64
#define STAGED_MAX        1024
#define UNPUBLISHED_MAX   2 /* the engine's rule */
#define RETAINED          1000
#define ROUNDS_UNSAID_MAX 10
#define ZOMBIE_ROUNDS     20

static const char sink_uid[] = "out", source_uid[] = "units";

/* Thread: main, but for what a worker calls: weir_check_attempt. */
struct weir_ctx {
    struct engine *engine;
    uint32_t subtask;
    void *instance;
    const struct weir_item *items; /* of the restored checkpoint */
    uint32_t item_count;
    const struct state_file *files;
    uint32_t file_count;
    struct subtask_snapshot *snapshot; /* while snapshot runs */
    weir_buffer *key, *value;
    uint32_t async_count;
};

/* An asynchronous call that has run. Thread: worker, then main. */
struct letter {
    struct weir_ctx *ctx;
    weir_error *(*run)(void *arg);
    weir_error *(*done)(weir_ctx *ctx, void *arg);
    void *arg;
    weir_error *error;
};

/* The checkpoint that is being stored. Thread: main, worker while `is_storing`. */
struct pending {
    struct subtask_snapshot *parts[PARALLELISM_MAX + 1];
    uint32_t part_count;
    uint64_t number;
    bool is_storing, is_given_up;
};

/* Thread: main; lock guards the letters and has_stored. */
struct engine {
    const struct options *options;
    struct weir_sink sink;
    struct storage *storage;
    char *staging;
    struct workers *workers;
    struct weir_ctx ctxs[PARALLELISM_MAX];
    struct checkpoint_metadata restored;
    bool is_restored;
    uint64_t instance, number;
    uint64_t next[UNITS_MAX]; /* epoch of each unit */
    uint64_t epochs;          /* when to end */
    struct random random;
    struct pending pending;
    bool is_said; /* "published", since the last checkpoint */
    uint32_t rounds_unsaid;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct letter *letters[LETTERS_MAX];
    uint32_t letter_count;
    bool has_stored;
    weir_error *store_error;
};

/* -- the verbs that a sink calls ---------------------------------------------------------------- */

uint32_t weir_subtask_index(const weir_ctx *ctx)
{
    return ctx->subtask;
}

uint32_t weir_parallelism_of(const weir_ctx *ctx)
{
    return ctx->engine->options->parallelism;
}

void *weir_instance(weir_ctx *ctx)
{
    return ctx->instance;
}

const char *weir_job_name_of(const weir_ctx *ctx)
{
    (void)ctx;
    return "publisher";
}

const char *weir_uid_of(const weir_ctx *ctx)
{
    (void)ctx;
    return sink_uid;
}

uint64_t weir_instance_id(const weir_ctx *ctx)
{
    return ctx->engine->instance;
}

uint64_t weir_attempt(const weir_ctx *ctx)
{
    return storage_attempt(ctx->engine->storage);
}

weir_error *weir_check_attempt(const weir_ctx *ctx)
{
    return storage_check_attempt(ctx->engine->storage);
}

/* Not the storage's own, which a new attempt empties: a zombie shall find all that it needs. */
const char *weir_staging_dir(const weir_ctx *ctx)
{
    return ctx->engine->staging;
}

uint32_t weir_item_count(const weir_ctx *ctx)
{
    return ctx->item_count;
}

struct weir_item weir_item_at(const weir_ctx *ctx, uint32_t index)
{
    return ctx->items[index];
}

void weir_item_add(weir_ctx *ctx, weir_str name, weir_str value)
{
    struct operator_snapshot *op = &ctx->snapshot->operators[0];
    struct arena *arena = &ctx->snapshot->arena;
    if (op->items == NULL)
        op->items = arena_alloc(arena, STAGED_MAX * sizeof(*op->items));
    op->items[op->item_count++] =
        (struct weir_item){ .name = { .data = arena_dup(arena, name.data, name.size),
                                .size = name.size },
            .value = { .data = arena_dup(arena, value.data, value.size), .size = value.size },
            .subtask = ctx->subtask };
}

void weir_file_add(weir_ctx *ctx, const char *path)
{
    struct operator_snapshot *op = &ctx->snapshot->operators[0];
    struct arena *arena = &ctx->snapshot->arena;
    if (op->staged == NULL)
        op->staged = arena_alloc(arena, STAGED_MAX * sizeof(*op->staged));
    op->staged[op->staged_count++].name = arena_strdup(arena, path);
}

const char *weir_file_find(const weir_ctx *ctx, weir_str file_name)
{
    for (uint32_t i = 0; i < ctx->file_count; i++) {
        if (weir_str_equal(weir_str_of(ctx->files[i].name), file_name))
            return arena_printf(&ctx->engine->restored.arena, "%s/%s",
                storage_dir(ctx->engine->storage), ctx->files[i].path);
    }
    return NULL;
}

static void async_run(void *arg)
{
    struct letter *letter = arg;
    struct engine *engine = letter->ctx->engine;
    letter->error = letter->run(letter->arg);
    pthread_mutex_lock(&engine->lock);
    engine->letters[engine->letter_count++] = letter;
    pthread_cond_signal(&engine->arrived);
    pthread_mutex_unlock(&engine->lock);
}

void weir_async(weir_ctx *ctx, weir_error *(*run)(void *arg),
    weir_error *(*done)(weir_ctx *ctx, void *arg), void *arg)
{
    struct letter *letter = mem_alloc(sizeof(*letter));
    *letter = (struct letter){ .ctx = ctx, .run = run, .done = done, .arg = arg };
    ctx->async_count++;
    if (!workers_submit(ctx->engine->workers, ctx, async_run, letter))
        abort();
}

weir_error *weir_sink_encode(weir_ctx *ctx, const struct weir_format *format, const void *record,
    size_t size_max, struct weir_message *message)
{
    bool key_is_null = true, value_is_null = false;
    weir_buffer_reset(ctx->key);
    weir_buffer_reset(ctx->value);
    WEIR_TRY(format->format_class->encode(format, record, ctx->key, ctx->value, &key_is_null,
        &value_is_null));
    *message = (struct weir_message){ .key = weir_buffer_view(ctx->key),
        .value = weir_buffer_view(ctx->value) };
    if (message->key.size + message->value.size > size_max)
        return weir_error_data("too-large", "%zu bytes are allowed", size_max);
    if (key_is_null)
        message->key.data = NULL;
    if (value_is_null)
        message->value.data = NULL;
    return NULL;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void weir_batch_reject(weir_ctx *ctx, const struct weir_row *row, weir_error *error)
{
    (void)ctx;
    (void)row;
    say("dead-letter %s", weir_error_reason(error));
    weir_error_free(error);
}

/* -- letters ------------------------------------------------------------------------------------ */

static struct letter *next_letter(struct engine *engine, int64_t wait_ms)
{
    struct letter *letter = NULL;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += (time_t)(wait_ms / 1000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&engine->lock);
    if (engine->letter_count == 0 && !engine->has_stored && wait_ms > 0)
        pthread_cond_timedwait(&engine->arrived, &engine->lock, &until);
    if (engine->letter_count > 0) {
        letter = engine->letters[0];
        memmove(engine->letters, engine->letters + 1,
            --engine->letter_count * sizeof(struct letter *));
    }
    pthread_mutex_unlock(&engine->lock);
    return letter;
}

static uint32_t unpublished(struct engine *engine)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < engine->options->parallelism; i++) {
        struct weir_ctx *ctx = &engine->ctxs[i];
        uint32_t count = engine->sink.sink_class->unpublished(ctx, ctx->instance);
        most = count > most ? count : most;
    }
    return most;
}

static weir_error *on_stored(struct engine *engine);

/* Handles what has come; waits up to `wait_ms` for something. */
static weir_error *pump(struct engine *engine, int64_t wait_ms)
{
    for (;;) {
        struct letter *letter = next_letter(engine, wait_ms);
        if (letter != NULL) {
            weir_error *error = letter->error;
            letter->ctx->async_count--;
            if (error == NULL)
                error = letter->done(letter->ctx, letter->arg);
            mem_free(letter);
            WEIR_TRY(error);
        }
        WEIR_TRY(on_stored(engine));
        if (unpublished(engine) == 0 && !engine->is_said) {
            engine->is_said = true;
            engine->rounds_unsaid = 0;
            say("published");
        }
        if (letter == NULL)
            return NULL;
        wait_ms = 0;
    }
}

/* -- checkpoints -------------------------------------------------------------------------------- */

static weir_error *store_files(struct engine *engine, struct subtask_snapshot *part)
{
    for (uint32_t o = 0; o < part->operator_count; o++) {
        struct operator_snapshot *op = &part->operators[o];
        for (uint32_t i = 0; i < op->staged_count; i++) {
            const char *path = op->staged[i].name;
            WEIR_TRY(state_file_store(path, storage_dir(engine->storage),
                storage_attempt(engine->storage), strrchr(path, '/') + 1, &part->arena,
                &op->staged[i]));
        }
    }
    return NULL;
}

static weir_error *store_parts(struct engine *engine, struct pending *pending)
{
    for (uint32_t i = 0; i < pending->part_count; i++)
        WEIR_TRY(store_files(engine, pending->parts[i]));
    return NULL;
}

static weir_error *publish_checkpoint(struct engine *engine, struct pending *pending)
{
    WEIR_TRY(FAULT_STEP(SNAPSHOT_WRITE, store_parts(engine, pending)));
    if (pending->is_given_up)
        return NULL;
    struct checkpoint_metadata metadata;
    checkpoint_metadata_init(&metadata);
    metadata.job = WEIR_STR("publisher");
    metadata.checkpoint = pending->number;
    metadata.attempt = storage_attempt(engine->storage);
    metadata.instance = engine->instance;
    metadata.max_parallelism = 128;
    for (uint32_t i = 0; i < pending->part_count; i++)
        checkpoint_metadata_add(&metadata, pending->parts[i]);
    weir_error *error = FAULT_STEP(CHECKPOINT_PUBLISH, storage_publish(engine->storage, &metadata));
    checkpoint_metadata_release(&metadata);
    if (error == NULL)
        storage_clean(engine->storage);
    return error;
}

static void store_run(void *arg)
{
    struct engine *engine = arg;
    weir_error *error = publish_checkpoint(engine, &engine->pending);
    pthread_mutex_lock(&engine->lock);
    engine->store_error = error;
    engine->has_stored = true;
    pthread_cond_signal(&engine->arrived);
    pthread_mutex_unlock(&engine->lock);
}

/* The checkpoint failed. A zombie's does, since the new attempt has cleaned up behind it; but what it is
 * publishing shall come to its own end. */
static weir_error *store_failed(struct engine *engine, weir_error *error)
{
    weir_error *fence = storage_check_attempt(engine->storage);
    if (fence == NULL)
        return error;
    weir_error_free(error);
    for (uint32_t i = 0; i < ZOMBIE_ROUNDS; i++) {
        weir_error *last = pump(engine, 100);
        if (last != NULL) {
            weir_error_free(fence);
            return last;
        }
    }
    return fence;
}

static weir_error *tell_sinks(struct engine *engine, uint64_t checkpoint)
{
    for (uint32_t i = 0; i < engine->options->parallelism; i++)
        WEIR_TRY(engine->sink.sink_class->checkpoint_complete(&engine->ctxs[i],
            engine->ctxs[i].instance, checkpoint));
    return NULL;
}

/* The worker is done with the pending checkpoint: tell the sinks if it is complete. */
static weir_error *on_stored(struct engine *engine)
{
    struct pending *pending = &engine->pending;
    pthread_mutex_lock(&engine->lock);
    bool has_stored = engine->has_stored;
    engine->has_stored = false;
    pthread_mutex_unlock(&engine->lock);
    if (!has_stored)
        return NULL;
    for (uint32_t i = 0; i < pending->part_count; i++)
        subtask_snapshot_free(pending->parts[i]);
    pending->part_count = 0;
    pending->is_storing = false;
    if (engine->store_error != NULL)
        return store_failed(engine, engine->store_error);
    if (pending->is_given_up)
        return NULL;
    say("complete %" PRIu64, pending->number);
    engine->is_said = false;
    return FAULT_STEP(NOTIFY_RECEIVE, tell_sinks(engine, pending->number));
}

static struct subtask_snapshot *new_part(struct engine *engine, const char *uid, uint32_t subtask)
{
    struct subtask_snapshot *part = subtask_snapshot_new(engine->number, subtask);
    part->operator_count = 1;
    part->operators = arena_alloc(&part->arena, sizeof(struct operator_snapshot));
    part->operators[0].uid = weir_str_of(uid);
    part->operators[0].subtask = subtask;
    part->operators[0].parallelism = engine->options->parallelism;
    engine->pending.parts[engine->pending.part_count++] = part;
    return part;
}

static void snapshot_source(struct engine *engine)
{
    struct subtask_snapshot *part = new_part(engine, source_uid, 0);
    struct operator_snapshot *op = &part->operators[0];
    op->items = arena_alloc(&part->arena, sizeof(*op->items));
    op->item_count = 1;
    op->items[0] = (struct weir_item){ .name = WEIR_STR("next"),
        .value = { .data = arena_dup(&part->arena, engine->next, sizeof(engine->next)),
            .size = sizeof(engine->next) } };
}

static weir_error *checkpoint(struct engine *engine, bool may_give_up)
{
    struct pending *pending = &engine->pending;
    while (pending->is_storing)
        WEIR_TRY(pump(engine, 100));
    engine->number++;
    pending->number = engine->number;
    pending->is_given_up =
        may_give_up && random_below(&engine->random, 100) < engine->options->give_up;
    for (uint32_t i = 0; i < engine->options->parallelism; i++) {
        struct weir_ctx *ctx = &engine->ctxs[i];
        ctx->snapshot = new_part(engine, sink_uid, i);
        weir_error *error = engine->sink.sink_class->snapshot(ctx, ctx->instance, engine->number);
        ctx->snapshot = NULL;
        WEIR_TRY(error);
    }
    snapshot_source(engine);
    pending->is_storing = true;
    if (!workers_submit(engine->workers, engine, store_run, engine))
        abort();
    return NULL;
}

/* -- records ------------------------------------------------------------------------------------ */

static weir_error *stage_record(struct engine *engine, struct weir_ctx *ctx, uint32_t unit,
    uint32_t index, char *value)
{
    const struct options *options = engine->options;
    uint64_t epoch = engine->next[unit];
    bool is_huge = options->huge_at != 0 && epoch == options->huge_at && index == 0;
    uint32_t size_wanted = is_huge ? 8u << 20 : options->size;
    char key[64];
    int key_size = snprintf(key, sizeof(key), "%u-%" PRIu64 "-%u", unit, epoch, index);
    int size = snprintf(value, 200,
        "{\"unit\":%u,\"epoch\":%" PRIu64 ",\"index\":%u,\"total\":%u,\"pad\":\"", unit, epoch,
        index, options->records);
    while (size < (int)size_wanted - 2)
        value[size++] = 'x';
    memcpy(value + size, "\"}", 2);
    size += 2;
    struct weir_message message = { .key = { .data = options->is_keyless ? NULL : key,
                                        .size = (size_t)key_size },
        .value = { .data = value, .size = (size_t)size } };
    struct weir_row row = { .record = &message, .timestamp_ms = WEIR_NO_TIMESTAMP };
    return engine->sink.sink_class->write(ctx, ctx->instance, &row, 1);
}

/* One more epoch of most units. */
static weir_error *stage_round(struct engine *engine)
{
    static char value[(8u << 20) + 256];
    const struct options *options = engine->options;
    for (uint32_t unit = 0; unit < options->units; unit++) {
        struct weir_ctx *ctx = &engine->ctxs[unit % options->parallelism];
        if (engine->next[unit] >= engine->epochs || random_one_in(&engine->random, 4))
            continue;
        for (uint32_t i = 0; i < options->records; i++)
            WEIR_TRY(stage_record(engine, ctx, unit, i, value));
        engine->next[unit]++;
    }
    return NULL;
}

static bool has_staged_all(const struct engine *engine)
{
    for (uint32_t unit = 0; unit < engine->options->units; unit++) {
        if (engine->next[unit] < engine->epochs)
            return false;
    }
    return true;
}

/* A sink that is just a little behind all the time never says "published": now and then it is waited for,
 * for some seconds, since what was given up is published only with a later checkpoint. */
static weir_error *let_catch_up(struct engine *engine)
{
    while (unpublished(engine) > UNPUBLISHED_MAX)
        WEIR_TRY(pump(engine, 100));
    if (++engine->rounds_unsaid <= ROUNDS_UNSAID_MAX || engine->options->give_up > 0)
        return NULL;
    for (uint32_t i = 0; i < 50 && unpublished(engine) > 0; i++)
        WEIR_TRY(pump(engine, 100));
    return NULL;
}

static weir_error *run(struct engine *engine)
{
    while (!has_staged_all(engine)) {
        WEIR_TRY(let_catch_up(engine));
        WEIR_TRY(stage_round(engine));
        WEIR_TRY(checkpoint(engine, true));
        WEIR_TRY(pump(engine, engine->options->interval_ms));
    }
    while (unpublished(engine) > UNPUBLISHED_MAX)
        WEIR_TRY(pump(engine, 100));
    WEIR_TRY(checkpoint(engine, false));
    while (engine->pending.is_storing || unpublished(engine) > 0)
        WEIR_TRY(pump(engine, 100));
    return NULL;
}

/* -- start, end --------------------------------------------------------------------------------- */

static void restore_source(struct engine *engine, struct arena *arena)
{
    struct operator_restore restore;
    restore_operator(&engine->restored, weir_str_of(source_uid), (struct group_range){ 0, 0 },
        arena, &restore);
    if (restore.item_count != 1 || restore.items[0].value.size != sizeof(engine->next))
        abort();
    memcpy(engine->next, restore.items[0].value.data, sizeof(engine->next));
}

static weir_error *open_subtask(struct engine *engine, struct weir_ctx *ctx, struct arena *arena)
{
    ctx->instance = mem_alloc(engine->sink.sink_class->instance_size);
    ctx->key = weir_buffer_new(16u << 20);
    ctx->value = weir_buffer_new(16u << 20);
    struct operator_restore restore = { 0 };
    if (engine->is_restored)
        restore_operator(&engine->restored, weir_str_of(sink_uid), (struct group_range){ 0, 0 },
            arena, &restore);
    ctx->items = restore.items;
    ctx->item_count = restore.item_count;
    ctx->files = restore.staged;
    ctx->file_count = restore.staged_count;
    return engine->sink.sink_class->open(ctx, &engine->options->sink, ctx->instance);
}

static weir_error *start(struct engine *engine)
{
    const struct options *options = engine->options;
    WEIR_TRY(storage_open(options->dir, "publisher", RETAINED, &engine->storage));
    WEIR_TRY(storage_restore(engine->storage, NULL, &engine->restored, &engine->is_restored));
    engine->number = storage_last_number(engine->storage);
    engine->staging =
        mem_printf("%s/staging-%" PRIu64, options->dir, storage_attempt(engine->storage));
    WEIR_TRY(os_make_dirs(engine->staging));
    engine->instance = engine->is_restored ? engine->restored.instance : os_random();
    struct arena *arena = &engine->restored.arena;
    if (!engine->is_restored)
        checkpoint_metadata_init(&engine->restored);
    else
        restore_source(engine, arena);
    say("attempt %" PRIu64 " restored %" PRIu64, storage_attempt(engine->storage),
        engine->is_restored ? engine->restored.checkpoint : 0);
    engine->epochs = options->epochs;
    for (uint32_t unit = 0; unit < options->units && options->is_finishing; unit++) {
        if (engine->next[unit] + 2 > engine->epochs)
            engine->epochs = engine->next[unit] + 2;
    }
    engine->sink = weir_kafka_sink_with(&options->sink);
    WEIR_TRY(engine->sink.sink_class->validate(&options->sink));
    for (uint32_t i = 0; i < options->parallelism; i++) {
        engine->ctxs[i] = (struct weir_ctx){ .engine = engine, .subtask = i };
        WEIR_TRY(open_subtask(engine, &engine->ctxs[i], arena));
    }
    return NULL;
}

static void stop(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->options->parallelism; i++) {
        struct weir_ctx *ctx = &engine->ctxs[i];
        if (ctx->instance == NULL)
            continue;
        workers_drain(engine->workers, ctx);
        engine->sink.sink_class->close(ctx, ctx->instance);
    }
    workers_free(engine->workers);
    if (engine->storage != NULL)
        storage_close(engine->storage);
}

/* -- the program -------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static struct options options;
    static struct engine engine;
    parse_options(&options, argc, argv);
    engine.options = &options;
    engine.random.state = options.seed;
    pthread_mutex_init(&engine.lock, NULL);
    pthread_cond_init(&engine.arrived, NULL);
    weir_error *error = fault_init();
    engine.workers = workers_new(options.parallelism + 1, 1024);
    if (error == NULL)
        error = start(&engine);
    if (error == NULL)
        error = run(&engine);
    stop(&engine);
    if (error == NULL) {
        say("done %" PRIu64, engine.epochs);
        return 0;
    }
    fprintf(stderr, "kafka_publisher: %s: %s%s\n", weir_code_name(weir_error_code(error)),
        weir_error_message(error), weir_error_is_retriable(error) ? " (retriable)" : "");
    return weir_code_exit(weir_error_code(error));
}

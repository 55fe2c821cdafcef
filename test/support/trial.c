/* trial.c -- see trial.h. */
#include "test/support/trial.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SPLITS        8u
#define PIPELINES_MAX 2u
#define CHECK(condition_, ...) \
    do { \
        if (!(condition_)) { \
            fprintf(stderr, "trial: " __VA_ARGS__); \
            fputc('\n', stderr); \
            abort(); \
        } \
    } while (0)

struct number {
    uint64_t value;
    uint64_t key;
    uint64_t tally;
    weir_str text;
};
WEIR_TYPE(number, WEIR_FIELD(1, number, value), WEIR_FIELD(2, number, key),
    WEIR_FIELD(3, number, tally), WEIR_FIELD(4, number, text));

struct total {
    uint64_t count;
};
WEIR_TYPE(total, WEIR_FIELD(1, total, count));

static struct trial shape;
static _Atomic uint64_t seen[PIPELINES_MAX]; /* by `double` of each pipeline */
static _Atomic uint32_t opened[PIPELINES_MAX];
static _Atomic uint32_t failed;

/* -- what was published --------------------------------------------------------------------------- */

struct output {
    uint64_t value, key, tally;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct output *published;
static uint64_t published_count, published_room;
/* Epochs that were published: publishing one again changes nothing. */
static struct {
    uint64_t checkpoint;
    uint32_t subtask;
} * epochs;
static uint64_t epoch_count;

static void publish(uint64_t checkpoint, uint32_t subtask, const struct output *rows,
    uint64_t count)
{
    pthread_mutex_lock(&lock);
    for (uint64_t i = 0; i < epoch_count; i++) {
        if (epochs[i].checkpoint == checkpoint && epochs[i].subtask == subtask) {
            pthread_mutex_unlock(&lock);
            return;
        }
    }
    epochs = realloc(epochs, (epoch_count + 1) * sizeof(*epochs));
    epochs[epoch_count].checkpoint = checkpoint;
    epochs[epoch_count++].subtask = subtask;
    if (published_count + count > published_room) {
        published_room = (published_count + count) * 2;
        published = realloc(published, published_room * sizeof(*published));
    }
    if (count > 0)
        memcpy(published + published_count, rows, count * sizeof(*rows));
    published_count += count;
    pthread_mutex_unlock(&lock);
}

/* -- source --------------------------------------------------------------------------------------- */

struct numbers {
    uint64_t next[SPLITS];
    bool is_mine[SPLITS], is_finished[SPLITS];
    uint32_t splits[SPLITS];
    uint32_t turn;
};

/* What the connectors and `double` of a pipeline are made with. */
struct pipeline {
    uint32_t number;
};
static const struct pipeline pipelines[PIPELINES_MAX] = { { 0 }, { 1 } };

/* An odd split makes nothing that passes `even`, so splits go by pairs. */
static uint32_t pipeline_of(uint32_t split)
{
    return split / 2 % shape.pipelines;
}

static const struct weir_type *numbers_type(const void *options)
{
    return &number_type;
}

static weir_error *numbers_open(weir_ctx *ctx, const void *options, void *instance)
{
    struct numbers *it = instance;
    const struct pipeline *pipeline = options;
    opened[pipeline->number]++;
    for (uint32_t s = 0; s < SPLITS; s++) {
        it->is_mine[s] = pipeline_of(s) == pipeline->number &&
                         s % weir_parallelism_of(ctx) == weir_subtask_index(ctx);
        if (it->is_mine[s])
            it->splits[s] = weir_split_add(ctx);
    }
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        CHECK(item.name.size == 4 && item.value.size == 8, "a foreign item");
        uint32_t split;
        memcpy(&split, item.name.data, 4);
        CHECK(split < SPLITS, "split %u", split);
        memcpy(&it->next[split], item.value.data, 8);
    }
    return NULL;
}

/* Split s has the numbers s, s + SPLITS, ...: next counts them. */
static uint64_t number_of(uint32_t split, uint64_t index)
{
    return split + index * SPLITS;
}

static bool is_at_end(uint32_t split, uint64_t index)
{
    return shape.count > 0 && number_of(split, index) >= shape.count;
}

static weir_error *numbers_poll(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    struct numbers *it = instance;
    uint32_t room = weir_source_room(ctx);
    if (shape.slow_batch > 0 && room > shape.slow_batch)
        room = shape.slow_batch;
    for (uint32_t tried = 0; tried < SPLITS && room > 0; tried++) {
        uint32_t s = it->turn++ % SPLITS;
        for (uint32_t i = 0; i < 16 && it->is_mine[s] && room > 0; i++) {
            if (is_at_end(s, it->next[s]))
                break;
            struct number *record = weir_scratch(ctx, sizeof(*record));
            *record = (struct number){ .value = number_of(s, it->next[s]++) };
            weir_source_emit_record(ctx, it->splits[s], record);
            room--;
        }
    }
    *status = WEIR_SOURCE_FINISHED;
    for (uint32_t s = 0; s < SPLITS; s++) {
        if (it->is_mine[s] && !is_at_end(s, it->next[s]))
            *status = WEIR_SOURCE_MORE;
    }
    return NULL;
}

static weir_error *numbers_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    const struct numbers *it = instance;
    for (uint32_t s = 0; s < SPLITS; s++) {
        if (it->is_mine[s])
            weir_item_add(ctx, (weir_str){ .data = (const char *)&s, .size = 4 },
                (weir_str){ .data = (const char *)&it->next[s], .size = 8 });
    }
    return NULL;
}

static void nothing_to_close(weir_ctx *ctx, void *instance)
{
}

static const struct weir_source_class numbers_class = { .name = "numbers",
    .options_size = sizeof(struct pipeline),
    .instance_size = sizeof(struct numbers),
    .out_type = numbers_type,
    .open = numbers_open,
    .poll = numbers_poll,
    .snapshot = numbers_snapshot,
    .close = nothing_to_close };

/* -- operators ------------------------------------------------------------------------------------ */

static bool is_even(weir_ctx *ctx, const void *record)
{
    return ((const struct number *)record)->value % 2 == 0;
}

static weir_error *times_two(weir_ctx *ctx, const void *in, void *out)
{
    const struct number *from = in;
    struct number *to = out;
    const struct pipeline *pipeline = weir_config(ctx);
    uint64_t number = ++seen[pipeline->number];
    if (pipeline->number == 0 && shape.fail_at > 0 && number % shape.fail_at == 0 &&
        failed < shape.failures) {
        failed++;
        return weir_errorf(shape.failure_code == WEIR_E_DATA ? WEIR_E_INTERNAL : shape.failure_code,
            "the trial fails on purpose at record %" PRIu64, number);
    }
    to->value = from->value * 2;
    to->key = to->value % shape.keys;
    to->text = WEIR_STR("some text that has to travel too");
    return NULL;
}

static weir_error *tally_record(weir_ctx *ctx, const void *record)
{
    struct number out = *(const struct number *)record;
    CHECK(weir_str_equal(out.text, WEIR_STR("some text that has to travel too")), "text is gone");
    struct total *total = weir_state_edit(ctx, 0, total);
    out.tally = ++total->count;
    weir_count(ctx, 0, 1);
    weir_emit(ctx, number, &out);
    return NULL;
}

static const struct weir_state tally_states[] = {
    { .name = "total", .kind = WEIR_VALUE, .type = &total_type },
};
static const char *const tally_counters[] = { "tallied" };
static const struct weir_operator tally = { .uid = "tally",
    .in = &number_type,
    .out = &number_type,
    .states = tally_states,
    .state_count = 1,
    .counters = tally_counters,
    .counter_count = 1,
    .on_record = tally_record };

/* -- sink ----------------------------------------------------------------------------------------- */

#define EPOCHS_MAX 64 /* of checkpoints that did not complete, in a row */

struct epoch {
    uint64_t checkpoint; /* 0: being filled */
    struct output *rows;
    uint64_t count, room;
};
struct collect {
    uint32_t writer; /* a number of its own among the sinks' subtasks */
    struct epoch epochs[EPOCHS_MAX];
    uint32_t epoch_count; /* the last one is being filled */
};

static weir_error *collect_open(weir_ctx *ctx, const void *options, void *instance)
{
    struct collect *it = instance;
    uint32_t first = ((const struct pipeline *)options)->number * 1000;
    it->writer = first + weir_subtask_index(ctx);
    it->epoch_count = 1;
    for (uint32_t i = 0; i < weir_item_count(ctx); i++) {
        struct weir_item item = weir_item_at(ctx, i);
        uint64_t checkpoint;
        CHECK(item.name.size == 8, "a foreign item");
        memcpy(&checkpoint, item.name.data, 8);
        struct output *rows = malloc(item.value.size + 1);
        memcpy(rows, item.value.data, item.value.size);
        publish(checkpoint, first + item.subtask, rows, item.value.size / sizeof(struct output));
        free(rows);
    }
    return NULL;
}

static weir_error *collect_write(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    struct collect *it = instance;
    struct epoch *epoch = &it->epochs[it->epoch_count - 1];
    for (uint32_t i = 0; i < row_count; i++) {
        const struct number *record = rows[i].record;
        if (epoch->count == epoch->room) {
            epoch->room = epoch->room == 0 ? 64 : epoch->room * 2;
            epoch->rows = realloc(epoch->rows, epoch->room * sizeof(*epoch->rows));
        }
        epoch->rows[epoch->count++] =
            (struct output){ .value = record->value, .key = record->key, .tally = record->tally };
    }
    return NULL;
}

/* Earlier epochs that are not complete belong to this checkpoint too: they must survive with it. */
static weir_error *collect_snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct collect *it = instance;
    CHECK(it->epoch_count < EPOCHS_MAX, "too many checkpoints are not complete");
    it->epochs[it->epoch_count - 1].checkpoint = checkpoint;
    for (uint32_t i = 0; i < it->epoch_count; i++)
        weir_item_add(ctx, (weir_str){ .data = (const char *)&it->epochs[i].checkpoint, .size = 8 },
            (weir_str){ .data = (const char *)it->epochs[i].rows,
                .size = it->epochs[i].count * sizeof(struct output) });
    it->epochs[it->epoch_count++] = (struct epoch){ .checkpoint = 0 };
    return NULL;
}

static weir_error *collect_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct collect *it = instance;
    while (it->epoch_count > 1 && it->epochs[0].checkpoint <= checkpoint) {
        struct epoch *first = &it->epochs[0];
        publish(first->checkpoint, it->writer, first->rows, first->count);
        free(first->rows);
        memmove(it->epochs, it->epochs + 1, --it->epoch_count * sizeof(*it->epochs));
    }
    return NULL;
}

static void collect_close(weir_ctx *ctx, void *instance)
{
    struct collect *it = instance;
    for (uint32_t i = 0; i < it->epoch_count; i++)
        free(it->epochs[i].rows);
}

static const struct weir_sink_class collect_class = { .name = "collect",
    .options_size = sizeof(struct pipeline),
    .instance_size = sizeof(struct collect),
    .open = collect_open,
    .write = collect_write,
    .snapshot = collect_snapshot,
    .checkpoint_complete = collect_complete,
    .close = collect_close };

/* -- the job -------------------------------------------------------------------------------------- */

/* The first pipeline has the plain name. */
static const char *name_in(weir_job *job, const char *name, const struct pipeline *pipeline)
{
    if (pipeline->number == 0)
        return name;
    char *text = weir_job_alloc(job, 32);
    snprintf(text, 32, "%s-%u", name, pipeline->number);
    return text;
}

static void build_pipeline(weir_job *job, const struct pipeline *pipeline)
{
    weir_stream *numbers = weir_source(job, name_in(job, "numbers", pipeline),
        (struct weir_source){ .source_class = &numbers_class, .options = pipeline });
    weir_stream *even = weir_filter(numbers, name_in(job, "even", pipeline), is_even, NULL);
    weir_stream *doubled =
        weir_map(even, name_in(job, "double", pipeline), times_two, &number_type, pipeline);
    struct weir_operator *own = weir_job_alloc(job, sizeof(*own));
    *own = tally;
    own->uid = name_in(job, tally.uid, pipeline);
    weir_stream *tallied = weir_process(weir_key_by(doubled, WEIR_KEY(number, key)), own, NULL);
    weir_stream *all[] = { numbers, even, doubled, tallied };
    for (uint32_t i = 0; shape.has_groups && i < 4; i++)
        weir_slot_group(all[i], name_in(job, "pipeline", pipeline));
    weir_sink(tallied, name_in(job, "collect", pipeline),
        (struct weir_sink){ .sink_class = &collect_class, .options = pipeline });
}

void trial_build(weir_job *job)
{
    for (uint32_t i = 0; i < shape.pipelines; i++)
        build_pipeline(job, &pipelines[i]);
}

void trial_change(const struct trial *trial)
{
    shape = *trial;
    if (shape.keys == 0)
        shape.keys = 16;
    if (shape.parallelism == 0)
        shape.parallelism = 1;
    if (shape.pipelines == 0)
        shape.pipelines = 1;
    CHECK(shape.pipelines <= PIPELINES_MAX && (shape.pipelines == 1 || shape.keys == 16),
        "a shape that the answer does not know");
}

void trial_reset(const struct trial *trial)
{
    trial_change(trial);
    for (uint32_t i = 0; i < PIPELINES_MAX; i++) {
        seen[i] = 0;
        opened[i] = 0;
    }
    failed = 0;
    free(published);
    free(epochs);
    published = NULL;
    epochs = NULL;
    published_count = published_room = epoch_count = 0;
}

const struct plan *trial_plan(weir_job **job)
{
    *job = job_new(NULL);
    trial_build(*job);
    struct plan_options options = { .job = "trial",
        .parallelism = shape.parallelism,
        .max_parallelism = shape.max_parallelism,
        .is_chaining_disabled = shape.is_chaining_disabled };
    const struct plan *plan = NULL;
    weir_error *error = plan_build(*job, &options, &plan);
    CHECK(error == NULL, "%s", weir_error_message(error));
    return plan;
}

/* -- the answer ----------------------------------------------------------------------------------- */

uint64_t trial_published(void)
{
    pthread_mutex_lock(&lock);
    uint64_t count = published_count;
    pthread_mutex_unlock(&lock);
    return count;
}

uint64_t trial_seen(void)
{
    return seen[0] + seen[1];
}

uint32_t trial_opened(uint32_t pipeline)
{
    return opened[pipeline];
}

static int by_value(const void *a, const void *b)
{
    const struct output *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

static int by_tally(const void *a, const void *b)
{
    const struct output *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->tally > y->tally) - (x->tally < y->tally);
}

void trial_check(bool is_complete)
{
    uint64_t next[SPLITS] = { 0 };
    if (published_count > 0)
        qsort(published, published_count, sizeof(*published), by_value);
    for (uint64_t i = 0; i < published_count; i++) {
        uint64_t number = published[i].value / 2;
        uint32_t split = number % SPLITS;
        CHECK(number % 2 == 0 && published[i].key == published[i].value % shape.keys,
            "a wrong record: %" PRIu64, published[i].value);
        CHECK(number == number_of(split, next[split]),
            "split %u has %" PRIu64 " where %" PRIu64 " is next: %s", split, number,
            number_of(split, next[split]),
            number < number_of(split, next[split]) ? "twice" : "lost");
        next[split]++;
    }
    if (is_complete)
        CHECK(published_count == (shape.count + 1) / 2, "%" PRIu64 " of %" PRIu64 " are there",
            published_count, (shape.count + 1) / 2);
    if (published_count > 0)
        qsort(published, published_count, sizeof(*published), by_tally);
    for (uint64_t i = 0; i < published_count; i++) {
        bool is_first = i == 0 || published[i].key != published[i - 1].key;
        uint64_t expected = is_first ? 1 : published[i - 1].tally + 1;
        CHECK(published[i].tally == expected,
            "key %" PRIu64 " has the tally %" PRIu64 ", expected %" PRIu64, published[i].key,
            published[i].tally, expected);
    }
}

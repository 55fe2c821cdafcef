/* generator.c -- weir_generator: record i = f(seed, i), the same records whatever the parallelism.
 *
 * Index i belongs to virtual split i % 128, split k to subtask k % parallelism. Positions are kept
 * per virtual split, so another parallelism only deals the 128 splits out anew:
 *
 *      split 0    0 128 256 | 384 …        item "split-0" = 384, the next index to be made
 *      split 1    1 129 | 257 …            item "split-1" = 257
 *
 * A subtask goes through its indices in ascending order, row by row (index / 128) of the picture
 * turned on its side. After a restore with another parallelism its splits may stand in different
 * rows; it starts at the lowest and passes over what the splits ahead have made already. To the
 * engine the whole subtask is one split: its records come in one order and share one watermark.
 *
 * Rate: per_second is dealt out by splits. Tokens are earned by weir_now_ms, at most a second's
 * worth is saved up. Subtask 0 has those of its first record from the start: nobody waits for that one. */
#include "base/assert.h"
#include "base/buffer.h"

#include <stdio.h>

#define SPLITS         128
#define NAME_SIZE      16
#define PER_SECOND_MAX UINT64_C(1000000000000)
/* A record costs as many tokens as a split of per_second 1 earns in a thousand seconds: whole
 * numbers all the way. */
#define RECORD_TOKENS (UINT64_C(1000) * SPLITS)

/* Thread: task. */
struct generator {
    const struct weir_generator_options *options;
    uint64_t next[SPLITS]; /* by split: the next index to be made */
    uint8_t owned[SPLITS];
    uint32_t owned_count;
    /* The cursor: row and position in owned. No owned split has an index to be made before it. */
    uint64_t row;
    uint32_t at;
    uint32_t split; /* the engine's */
    bool is_finished;
    uint64_t tokens;
    int64_t filled_ms; /* when tokens were earned last; 0: never */
    weir_buffer *value;
};

static const struct weir_type *out_type(const void *options)
{
    return ((const struct weir_generator_options *)options)->type;
}

static weir_error *validate(const void *options)
{
    const struct weir_generator_options *generator = options;
    if (generator->type == NULL)
        return weir_errorf(WEIR_E_PLAN, "a generator has no type; set .type");
    if (generator->generate == NULL)
        return weir_errorf(WEIR_E_PLAN, "a generator has no function; set .generate");
    if (generator->per_second > PER_SECOND_MAX)
        return weir_errorf(WEIR_E_PLAN, "a generator's .per_second is %llu, at most %llu",
            (unsigned long long)generator->per_second, (unsigned long long)PER_SECOND_MAX);
    return NULL;
}

/* -- positions ------------------------------------------------------------------------------ */

static weir_str split_name(uint32_t split, char name[NAME_SIZE])
{
    int size = snprintf(name, NAME_SIZE, "split-%u", split);
    ASSERT(size > 0 && size < NAME_SIZE);
    return (weir_str){ .data = name, .size = (uint64_t)size };
}

/* SPLITS: no such name. */
static uint32_t split_of_name(weir_str name)
{
    const weir_str prefix = WEIR_STR("split-");
    if (name.size <= prefix.size || name.size > prefix.size + 3 ||
        memcmp(name.data, prefix.data, prefix.size) != 0)
        return SPLITS;
    uint32_t split = 0;
    for (uint64_t i = prefix.size; i < name.size; i++) {
        if (name.data[i] < '0' || name.data[i] > '9')
            return SPLITS;
        split = split * 10 + (uint32_t)(name.data[i] - '0');
    }
    return split < SPLITS ? split : SPLITS;
}

static weir_error *restore_item(struct generator *generator, struct weir_item item)
{
    uint32_t split = split_of_name(item.name);
    struct reader reader = reader_of(item.value);
    uint64_t next = reader_u64(&reader);
    if (split == SPLITS || reader_failed(&reader) || !reader_at_end(&reader) ||
        next % SPLITS != split)
        return weir_errorf(WEIR_E_STATE,
            "a checkpoint's item '%.*s' is no position of a generator; was the source another one?",
            (int)(item.name.size > NAME_SIZE ? NAME_SIZE : item.name.size), item.name.data);
    if (next > generator->next[split])
        generator->next[split] = next;
    return NULL;
}

static void place_cursor(struct generator *generator)
{
    generator->row = UINT64_MAX;
    generator->at = 0;
    for (uint32_t i = 0; i < generator->owned_count; i++) {
        uint64_t row = generator->next[generator->owned[i]] / SPLITS;
        if (row < generator->row)
            generator->row = row;
    }
}

static weir_error *open_source(weir_ctx *ctx, const void *options, void *instance)
{
    struct generator *generator = instance;
    generator->options = options;
    generator->value = weir_buffer_new(sizeof(uint64_t));
    generator->tokens = weir_subtask_index(ctx) == 0 ? RECORD_TOKENS : 0;
    for (uint32_t split = 0; split < SPLITS; split++) {
        generator->next[split] = split;
        if (split % weir_parallelism_of(ctx) == weir_subtask_index(ctx))
            generator->owned[generator->owned_count++] = (uint8_t)split;
    }
    for (uint32_t i = 0; i < weir_item_count(ctx); i++)
        WEIR_TRY(restore_item(generator, weir_item_at(ctx, i)));
    place_cursor(generator);
    if (generator->owned_count == 0)
        generator->is_finished = true; /* more subtasks than splits */
    else
        generator->split = weir_split_add(ctx);
    return NULL;
}

static weir_error *snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct generator *generator = instance;
    (void)checkpoint;
    for (uint32_t i = 0; i < generator->owned_count; i++) {
        char name[NAME_SIZE];
        uint32_t split = generator->owned[i];
        weir_buffer_reset(generator->value);
        buffer_put_u64(generator->value, generator->next[split]);
        weir_item_add(ctx, split_name(split, name), weir_buffer_view(generator->value));
    }
    return NULL;
}

/* -- records -------------------------------------------------------------------------------- */

/* How many records may be made now, at most `room`. */
static uint32_t earn(struct generator *generator, int64_t now_ms, uint32_t room)
{
    uint64_t per_second = generator->options->per_second;
    if (per_second == 0)
        return room;
    uint64_t elapsed_ms = generator->filled_ms == 0 || now_ms < generator->filled_ms
                              ? 0
                              : (uint64_t)(now_ms - generator->filled_ms);
    uint64_t earned_per_ms = per_second * generator->owned_count;
    uint64_t saved_max = 1000 * earned_per_ms + RECORD_TOKENS; /* one whole record at any rate */
    generator->tokens += (elapsed_ms > 1000 ? 1000 : elapsed_ms) * earned_per_ms;
    if (generator->tokens > saved_max)
        generator->tokens = saved_max;
    generator->filled_ms = now_ms;
    uint64_t allowed = generator->tokens / RECORD_TOKENS;
    return allowed < room ? (uint32_t)allowed : room;
}

static void advance(struct generator *generator)
{
    if (++generator->at < generator->owned_count)
        return;
    generator->at = 0;
    generator->row++;
}

static void make_record(weir_ctx *ctx, const struct generator *generator, uint64_t index,
    void *record)
{
    const struct weir_generator_options *options = generator->options;
    memset(record, 0, options->type->size);
    options->generate(options->seed, index, record, ctx);
    weir_source_emit_record(ctx, generator->split, record);
}

/* Makes up to `room` records; false: there are no more. Indices rise, so the first that reaches the
 * count ends it for all splits. */
static bool make_records(weir_ctx *ctx, struct generator *generator, uint32_t room)
{
    const struct weir_generator_options *options = generator->options;
    size_t size = options->type->size;
    char *records =
        weir_scratch(ctx, room * size); /* one behind the other, as those of a batch are read */
    for (uint32_t made = 0; made < room;) {
        uint32_t split = generator->owned[generator->at];
        uint64_t index = generator->row * SPLITS + split;
        if (options->count > 0 && index >= options->count)
            return false;
        if (generator->next[split] == index) {
            make_record(ctx, generator, index, records + made * size);
            generator->next[split] = index + SPLITS;
            made++;
            if (options->per_second > 0)
                generator->tokens -= RECORD_TOKENS;
        }
        DEBUG_ASSERT(generator->next[split] > index);
        advance(generator);
    }
    return true;
}

static weir_error *poll_source(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    struct generator *generator = instance;
    if (!generator->is_finished) {
        uint32_t room = weir_source_room(ctx);
        uint32_t allowed = earn(generator, weir_now_ms(ctx), room);
        generator->is_finished = !make_records(ctx, generator, allowed);
        if (generator->is_finished)
            weir_split_finish(ctx, generator->split);
        *status = allowed < room ? WEIR_SOURCE_IDLE : WEIR_SOURCE_MORE;
    }
    if (generator->is_finished)
        *status = WEIR_SOURCE_FINISHED;
    return NULL;
}

static void close_source(weir_ctx *ctx, void *instance)
{
    struct generator *generator = instance;
    (void)ctx;
    weir_buffer_free(generator->value);
}

static int64_t lag(weir_ctx *ctx, void *instance)
{
    const struct generator *generator = instance;
    uint64_t count = generator->options->count, left = 0;
    (void)ctx;
    if (count == 0)
        return -1;
    for (uint32_t i = 0; i < generator->owned_count; i++) {
        uint64_t next = generator->next[generator->owned[i]];
        left += next < count ? (count - next + SPLITS - 1) / SPLITS : 0;
    }
    return left > INT64_MAX ? INT64_MAX : (int64_t)left;
}

static const struct weir_source_class generator_class = {
    .name = "generator",
    .options_size = sizeof(struct weir_generator_options),
    .instance_size = sizeof(struct generator),
    .out_type = out_type,
    .validate = validate,
    .open = open_source,
    .poll = poll_source,
    .snapshot = snapshot,
    .close = close_source,
    .lag = lag,
};

struct weir_source weir_generator_with(const struct weir_generator_options *options)
{
    return weir_source_of(&generator_class, options);
}

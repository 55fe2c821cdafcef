/* sim_job.c -- see sim_job.h: operators, then the graph. */
#include "test/sim/sim_job.h"

#include "base/assert.h"
#include "test/sim/sim_files.h"
#include "test/sim/sim_mutant.h"
#include "test/sim/sim_outside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FINAL_MS INT64_C(4000000000000000) /* no watermark gets there: it fires at the end */

/* What the operators of one life, in one region, need. Owner: the job. */
struct config {
    weir_job *job;
    const struct sim_shape *shape;
    const struct sim_setup *setup;
    bool is_second;
    uint32_t priced;
};

/* Operators, and files of sinks, have names of their own in each region. */
static const char *name_in(const struct config *config, const char *name)
{
    if (!config->is_second)
        return name;
    char *text = weir_job_alloc(config->job, 64);
    snprintf(text, 64, "second_%s", name);
    return text;
}

static const struct config *config_of(weir_ctx *ctx)
{
    return weir_config(ctx);
}

/* -- drop, price ---------------------------------------------------------------------------------- */

static bool keep(weir_ctx *ctx, const void *record)
{
    const struct sim_event *event = record;
    const struct config *config = config_of(ctx);
    if (config->shape->has_two_regions && (event->key % 2 == 1) != config->is_second)
        return false;
    return !sim_event_is_dropped(config->shape, event->index);
}

static weir_error *price(weir_ctx *ctx, const void *in, void *out)
{
    const struct sim_event *from = in;
    struct sim_event *to = out;
    struct config *config = (struct config *)(uintptr_t)weir_config(ctx);
    if (++config->priced == config->setup->fail_at)
        return weir_errorf(WEIR_E_INTERNAL, "record %u fails on purpose", config->priced);
    if (sim_event_is_bad(config->shape, from->index))
        return weir_error_data("bad", "%" PRIu64, from->index);
    *to = *from;
    to->amount = from->amount * 3 + 1;
    return NULL;
}

/* -- the ledger ----------------------------------------------------------------------------------- */

struct total {
    uint64_t count;
    int64_t sum;
    uint64_t pending;
    uint64_t key;
};
WEIR_TYPE(total, WEIR_FIELD(1, total, count), WEIR_FIELD(2, total, sum),
    WEIR_FIELD(3, total, pending), WEIR_FIELD(4, total, key));
struct window {
    uint64_t count;
    int64_t sum;
};
WEIR_TYPE(window, WEIR_FIELD(1, window, count), WEIR_FIELD(2, window, sum));
struct amount {
    int64_t amount;
};
WEIR_TYPE(amount, WEIR_FIELD(1, amount, amount));

static void best_of(void *total, const void *value)
{
    struct amount *best = total;
    const struct amount *other = value;
    if (other->amount > best->amount)
        best->amount = other->amount;
}

enum { TOTAL, WINDOWS, TRAIL, BEST };
static const struct weir_state ledger_states[] = {
    [TOTAL] = { .name = "total", .kind = WEIR_VALUE, .type = &total_type },
    [WINDOWS] = { .name = "windows", .kind = WEIR_MAP, .type = &window_type },
    [TRAIL] = { .name = "trail", .kind = WEIR_LIST, .type = &amount_type },
    [BEST] = { .name = "best", .kind = WEIR_REDUCING, .type = &amount_type, .reduce = best_of },
};
static const struct weir_side_output ledger_sides[] = { { .name = "summaries",
    .type = &sim_outcome_type } };
static const char *const ledger_counters[] = { "booked" };

static weir_str bytes_of(const int64_t *number)
{
    return (weir_str){ .data = (const char *)number, .size = sizeof(*number) };
}

static void open_windows(weir_ctx *ctx, const struct sim_event *event, struct total *total)
{
    const struct sim_shape *shape = config_of(ctx)->shape;
    int64_t start_ms = sim_event_window(shape, event->at_ms);
    struct window *window = weir_map_edit(ctx, WINDOWS, bytes_of(&start_ms), window);
    window->count++;
    window->sum += event->amount;
    weir_timer_set(ctx, WEIR_EVENT_TIME, start_ms + shape->window_ms);
    if (total->count == 1)
        weir_timer_set(ctx, WEIR_EVENT_TIME, FINAL_MS);
    if (++total->pending == 1)
        weir_timer_set(ctx, WEIR_PROCESSING_TIME, weir_now_ms(ctx) + shape->flush_ms);
}

static weir_error *book(weir_ctx *ctx, const void *record)
{
    const struct sim_event *event = record;
    struct total *total = weir_state_edit(ctx, TOTAL, total);
    struct amount amount = { .amount = event->amount };
    total->count++;
    total->sum += event->amount;
    total->key = event->key;
    open_windows(ctx, event, total);
    weir_list_add(ctx, TRAIL, amount, &amount);
    weir_reducing_add(ctx, BEST, amount, &amount);
    weir_count(ctx, 0, 1);
    struct sim_outcome outcome = { .kind = SIM_RECORD,
        .key = event->key,
        .index = event->index,
        .sum = event->amount,
        .count = total->count,
        .text = event->text };
    weir_emit(ctx, sim_outcome, &outcome);
    return NULL;
}

static bool add_trail(weir_ctx *ctx, const void *value, void *arg)
{
    struct sim_outcome *outcome = arg;
    (void)ctx;
    outcome->sum += ((const struct amount *)value)->amount;
    outcome->count++;
    return true;
}

static void close_ledger(weir_ctx *ctx, struct sim_outcome *outcome)
{
    outcome->kind = SIM_FINAL;
    weir_list_each(ctx, TRAIL, add_trail, outcome);
    const struct amount *best = weir_state_read(ctx, BEST, amount);
    outcome->index = best == NULL ? 0 : (uint64_t)best->amount;
}

static void close_window(weir_ctx *ctx, int64_t start_ms, struct sim_outcome *outcome)
{
    outcome->kind = SIM_WINDOW;
    outcome->index = (uint64_t)start_ms;
    const struct window *window = weir_map_read(ctx, WINDOWS, bytes_of(&start_ms), window);
    if (window == NULL)
        return; /* an outcome that says 0: the oracle will not like it */
    outcome->count = window->count;
    outcome->sum = window->sum;
    weir_map_remove(ctx, WINDOWS, bytes_of(&start_ms));
}

static weir_error *on_timer(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    struct total *total = weir_state_edit(ctx, TOTAL, total);
    struct sim_outcome outcome = { .key = total->key };
    if (time == WEIR_PROCESSING_TIME) {
        outcome.kind = SIM_FLUSH;
        outcome.count = total->pending;
        total->pending = 0;
        weir_emit(ctx, sim_outcome, &outcome);
        return NULL;
    }
    if (at_ms == FINAL_MS)
        close_ledger(ctx, &outcome);
    else
        close_window(ctx, at_ms - config_of(ctx)->shape->window_ms, &outcome);
    weir_emit_side(ctx, 0, sim_outcome, &outcome);
    return NULL;
}

static const struct weir_operator ledger = { .uid = "ledger",
    .in = &sim_event_type,
    .out = &sim_outcome_type,
    .states = ledger_states,
    .state_count = sizeof(ledger_states) / sizeof(ledger_states[0]),
    .sides = ledger_sides,
    .side_count = 1,
    .counters = ledger_counters,
    .counter_count = 1,
    .has_timers = true,
    .on_record = book,
    .on_timer = on_timer };

/* -- behind the ledger ---------------------------------------------------------------------------- */

static weir_error *stamp(weir_ctx *ctx, const void *in, void *out)
{
    (void)ctx;
    *(struct sim_outcome *)out = *(const struct sim_outcome *)in;
    return NULL;
}

static bool is_record(weir_ctx *ctx, const void *record)
{
    (void)ctx;
    return ((const struct sim_outcome *)record)->kind == SIM_RECORD;
}

static weir_error *one_each(weir_ctx *ctx, const void *in, void *out)
{
    const struct sim_outcome *from = in;
    (void)ctx;
    *(struct sim_outcome *)out =
        (struct sim_outcome){ .kind = SIM_REDUCED, .key = from->key, .sum = from->sum, .count = 1 };
    return NULL;
}

static void add_up(void *total, const void *value)
{
    struct sim_outcome *sum = total;
    const struct sim_outcome *other = value;
    sum->count += other->count;
    sum->sum += other->sum;
}

static weir_error *bury(weir_ctx *ctx, const void *in, void *out)
{
    const struct weir_dead_letter *letter = in;
    struct sim_outcome *outcome = out;
    char digits[32] = "";
    (void)ctx;
    ASSERT(letter->detail.size < sizeof(digits));
    memcpy(digits, letter->detail.data, letter->detail.size);
    *outcome = (struct sim_outcome){ .kind = SIM_DEAD, .index = strtoull(digits, NULL, 10) };
    return NULL;
}

/* -- sources -------------------------------------------------------------------------------------- */

static const struct weir_source_class *generator_class;
static struct weir_source_class forgetful_class;

static const struct sim_shape *generated_shape;

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)ctx;
    ASSERT(seed == generated_shape->seed);
    sim_event_fill(generated_shape, index, record);
}

static weir_error *forgetful_open(weir_ctx *ctx, const void *options, void *instance)
{
    sim_mutant_forget_items(ctx);
    return generator_class->open(ctx, options, instance);
}

static struct weir_source generator(const struct sim_shape *shape, uint64_t per_second)
{
    ASSERT(shape->source == SIM_FILES || shape->generated_count > 0); /* 0: it would never end */
    generated_shape = shape;
    struct weir_source source = weir_generator(.type = &sim_event_type, .generate = generate,
        .seed = shape->seed, .count = shape->generated_count, .per_second = per_second);
    if (sim_mutant != SIM_FORGET_POSITION)
        return source;
    generator_class = source.source_class;
    forgetful_class = *generator_class;
    forgetful_class.open = forgetful_open;
    source.source_class = &forgetful_class;
    return source;
}

static weir_stream *source_of(weir_job *job, const struct config *config, const char *name,
    struct weir_source source)
{
    return weir_event_time(weir_source(job, name_in(config, name), source), sim_event, at_ms,
        config->shape->disorder_ms);
}

static weir_stream *sources(weir_job *job, const struct config *config)
{
    const struct sim_shape *shape = config->shape;
    struct sim_files_options options = { .shape = shape, .directory = SIM_INPUT_DIR };
    struct weir_source files = sim_outside != NULL
                                   ? sim_outside->source(shape, config->setup->is_bounded)
                               : shape->reads_text ? sim_text_source(&options)
                                                   : sim_files_source(&options);
    struct weir_source generated = generator(shape, config->setup->per_second);
    switch (shape->source) {
    case SIM_GENERATOR:
        return source_of(job, config, "generated", generated);
    case SIM_FILES:
        return source_of(job, config, "files", files);
    case SIM_CHAIN:
        return source_of(job, config, "chained", weir_source_chain(job, generated, files));
    case SIM_UNION:
    case SIM_SOURCES:
        break;
    }
    weir_stream *first = source_of(job, config, "generated", generated);
    weir_stream *second = source_of(job, config, "files", files);
    if (config->setup->stages[5] > 0)
        weir_parallelism(second, config->setup->stages[5]);
    return weir_union(first, second);
}

/* -- the graph ------------------------------------------------------------------------------------ */

/* Stage s may have a parallelism of its own. */
static weir_stream *staged(const struct config *config, weir_stream *stream, uint32_t s)
{
    ASSERT(s < SIM_STAGES);
    if (config->setup->stages[s] > 0)
        weir_parallelism(stream, config->setup->stages[s]);
    return stream;
}

static void sink(const struct config *config, weir_stream *stream, const char *name)
{
    struct sim_sink_options options = { .directory = SIM_OUTPUT_DIR,
        .prefix = name_in(config, name) };
    weir_sink(stream, options.prefix,
        sim_outside != NULL          ? sim_outside->sink(config->shape, name)
        : config->shape->writes_text ? sim_text_sink(&options)
                                     : sim_files_sink(&options));
}

static void add_reduce(const struct config *config, weir_stream *booked)
{
    weir_stream *records = weir_filter(booked, name_in(config, "records"), is_record, NULL);
    weir_stream *ones =
        weir_map(records, name_in(config, "one-each"), one_each, &sim_outcome_type, NULL);
    weir_stream *reduced = weir_reduce(weir_key_by(ones, WEIR_KEY(sim_outcome, key)),
        name_in(config, "recount"), add_up);
    sink(config, staged(config, reduced, 3), "reduced");
}

static void add_sinks(const struct config *config, weir_stream *booked, weir_stream *dead)
{
    const struct sim_shape *shape = config->shape;
    weir_stream *summaries = weir_side_output(booked, "summaries");
    if (shape->has_broadcast)
        summaries =
            weir_parallelism(weir_map(weir_broadcast(summaries), name_in(config, "all-to-one"),
                                 stamp, &sim_outcome_type, NULL),
                1);
    weir_stream *main = shape->has_one_sink ? weir_union(booked, summaries) : booked;
    main =
        staged(config, weir_map(main, name_in(config, "stamp"), stamp, &sim_outcome_type, NULL), 2);
    if (config->setup->has_second_group)
        weir_slot_group(main, "second");
    sink(config, main, "main");
    if (!shape->has_one_sink)
        sink(config, summaries, "side");
    if (shape->has_reduce)
        add_reduce(config, booked);
    if (shape->bad_one_in > 0)
        sink(config,
            weir_map(weir_dead_letters(dead, 0), name_in(config, "bury"), bury, &sim_outcome_type,
                NULL),
            "dead");
}

static void build_region(weir_job *job, const struct sim_shape *shape,
    const struct sim_setup *setup, bool is_second)
{
    struct config *config = weir_job_alloc(job, sizeof(*config));
    *config = (struct config){ .job = job, .shape = shape, .setup = setup, .is_second = is_second };
    struct weir_operator *own_ledger = weir_job_alloc(job, sizeof(*own_ledger));
    *own_ledger = ledger;
    own_ledger->uid = name_in(config, ledger.uid);
    weir_stream *kept = weir_filter(sources(job, config), name_in(config, "drop"), keep, config);
    if (shape->has_rebalance)
        kept = weir_rebalance(staged(config, kept, 4));
    weir_stream *priced =
        staged(config, weir_map(kept, name_in(config, "price"), price, &sim_event_type, config), 0);
    weir_stream *booked =
        weir_process(weir_key_by(priced, WEIR_KEY(sim_event, key)), own_ledger, config);
    add_sinks(config, staged(config, booked, 1), priced);
}

static void build(weir_job *job, const struct sim_shape *shape, const struct sim_setup *setup)
{
    build_region(job, shape, setup, false);
    if (shape->has_two_regions)
        build_region(job, shape, setup, true);
}

const struct plan *sim_job_plan(const struct sim_shape *shape, const struct sim_setup *setup,
    weir_job **job)
{
    *job = job_new(NULL);
    build(*job, shape, setup);
    struct plan_options options = { .job = "sim",
        .parallelism = setup->parallelism,
        .max_parallelism = shape->max_parallelism,
        .is_chaining_disabled = setup->is_chaining_disabled };
    const struct plan *plan = NULL;
    weir_error *error = plan_build(*job, &options, &plan);
    if (error != NULL)
        fprintf(stderr, "sim: %s\n", weir_error_message(error));
    ASSERT(error == NULL);
    return plan;
}

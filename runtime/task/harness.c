/* harness.c -- weir_harness (weir/testing.h): one operator in a real chain, everything else collected.
 *
 *      [ the operator ] --main--> collector      the collectors are sinks of the same chain that keep
 *                       --side i-> collector     a copy of what they get until the test takes it
 *                       --dead---> collector
 *
 * The chain, the contexts, the keyed state and the timers are the engine's own; only the plan is put
 * together here by hand, and time is the test's. A restore goes through a real snapshot in a temporary
 * directory. */
#include <weir/testing.h>

#include "base/assert.h"
#include "base/log.h"
#include "checkpoint/storage.h"
#include "runtime/task/chain.h"

#define OUTPUTS_MAX   (WEIR_SIDES_MAX + 2)
#define COLLECTED_MAX 1000000

/* What one output has emitted, oldest first. Thread: the harness's. */
struct collector {
    struct layout layout;
    void **records;
    uint32_t count, taken, room;
};

/* Thread: one. */
struct weir_harness {
    const struct weir_operator *op;
    const void *config;
    struct weir_key key;
    struct key_plan key_plan;
    char *key_scratch;
    struct plan plan;
    struct plan_vertex vertex;
    struct plan_operator operators[1 + OUTPUTS_MAX];
    struct plan_target targets[OUTPUTS_MAX];
    struct collector *collectors[OUTPUTS_MAX]; /* main, dead, sides */
    uint32_t output_count;
    struct task_host host;
    struct storage *storage; /* temporary */
    struct chain chain;
    int64_t now_ms, watermark_ms;
    uint64_t checkpoint;
};

/* -- collecting ------------------------------------------------------------------------------------- */

/* Thread: the harness's. */
struct collect_instance {
    struct collector *collector;
};

static weir_error *collect_open(weir_ctx *ctx, const void *options, void *instance)
{
    (void)ctx;
    struct collect_instance *it = instance;
    it->collector = *(struct collector *const *)options;
    return NULL;
}

static void collect(struct collector *collector, const void *record)
{
    ASSERT(collector->count < COLLECTED_MAX);
    if (collector->count == collector->room) {
        collector->room = collector->room == 0 ? 16 : collector->room * 2;
        collector->records =
            mem_realloc(collector->records, collector->room * sizeof(*collector->records));
    }
    void *copy = mem_alloc(layout_size(&collector->layout, record) + 1);
    layout_write(&collector->layout, record, copy);
    collector->records[collector->count++] = layout_open(&collector->layout, copy);
}

static weir_error *collect_write(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    (void)ctx;
    struct collect_instance *it = instance;
    for (uint32_t i = 0; i < row_count; i++)
        collect(it->collector, rows[i].record);
    return NULL;
}

static void collect_close(weir_ctx *ctx, void *instance)
{
    (void)ctx;
    (void)instance;
}

static const struct weir_sink_class collect_class = { .name = "collect",
    .options_size = sizeof(struct collector *),
    .instance_size = sizeof(struct collect_instance),
    .open = collect_open,
    .write = collect_write,
    .close = collect_close };

static struct collector *collector_new(const struct weir_type *type)
{
    struct collector *collector = mem_alloc(sizeof(*collector));
    layout_init(&collector->layout, type);
    return collector;
}

static void collector_free(struct collector *collector)
{
    if (collector == NULL)
        return;
    for (uint32_t i = 0; i < collector->count; i++)
        mem_free(collector->records[i]);
    mem_free(collector->records);
    mem_free(collector);
}

static const void *collector_take(struct collector *collector)
{
    if (collector == NULL || collector->taken == collector->count)
        return NULL;
    return collector->records[collector->taken++];
}

/* -- the host ----------------------------------------------------------------------------------------- */

_Noreturn static void give_up(weir_error *error)
{
    log_error("harness", "%s", weir_error_message(error));
    assert_failed("the operator did not fail", __FILE__, __LINE__);
}

static weir_error *still_current(void *arg)
{
    (void)arg;
    return NULL;
}

static void must(weir_error *error)
{
    if (error != NULL)
        give_up(error);
}

static void make_host(struct weir_harness *harness)
{
    harness->host = (struct task_host){ .arg = harness,
        .check_attempt = still_current,
        .workers = workers_new(0, 64),
        .job = "harness",
        .instance = 1,
        .attempt = storage_attempt(harness->storage),
        .checkpoint_dir = storage_dir(harness->storage),
        .staging_dir = storage_staging_dir(harness->storage),
        .work_dir = storage_work_dir(harness->storage),
        .backend = &backend_hashmap,
        .batch_max = 256 };
}

/* -- the plan ----------------------------------------------------------------------------------------- */

static void add_output(struct weir_harness *harness, enum plan_output_kind kind, uint32_t side,
    const struct weir_type *type)
{
    uint32_t index = harness->output_count++;
    ASSERT(index < OUTPUTS_MAX);
    if (harness->collectors[index] == NULL)
        harness->collectors[index] = collector_new(type);
    harness->targets[index] = (struct plan_target){ .output = kind,
        .side = side,
        .is_chained = true,
        .operator_ = index + 1 };
    harness->operators[index + 1] = (struct plan_operator){ .kind = PLAN_SINK,
        .uid = "collector",
        .name = "collector",
        .sink = { .sink_class = &collect_class, .options = &harness->collectors[index] },
        .in = type };
}

static void make_plan(struct weir_harness *harness)
{
    const struct weir_operator *op = harness->op;
    bool is_keyed = harness->key.type != NULL;
    harness->output_count = 0;
    add_output(harness, PLAN_OUTPUT_MAIN, 0, op->out == NULL ? &weir_message_type : op->out);
    add_output(harness, PLAN_OUTPUT_DEAD_LETTERS, 0, &weir_dead_letter_type);
    for (uint32_t i = 0; i < op->side_count; i++)
        add_output(harness, PLAN_OUTPUT_SIDE, i, op->sides[i].type);
    harness->operators[0] = (struct plan_operator){ .kind = PLAN_OPERATOR,
        .uid = op->uid == NULL ? "operator" : op->uid,
        .name = op->uid == NULL ? "operator" : op->uid,
        .op = op,
        .config = harness->config,
        .in = op->in,
        .out = op->out,
        .is_keyed = is_keyed,
        .key = harness->key,
        .has_keyed_state = is_keyed && (op->state_count > 0 || op->has_timers),
        .has_dead_letters = true,
        .targets = harness->targets,
        .target_count = harness->output_count };
    harness->vertex = (struct plan_vertex){ .name = "harness",
        .operators = harness->operators,
        .operator_count = harness->output_count + 1,
        .parallelism = 1 };
    harness->plan = (struct plan){ .job = "harness",
        .max_parallelism = MAX_PARALLELISM_DEFAULT,
        .vertices = &harness->vertex,
        .vertex_count = 1,
        .subtask_count = 1 };
}

static void make_chain(struct weir_harness *harness, const struct checkpoint_metadata *restore)
{
    struct chain_options options = { .plan = &harness->plan, .host = &harness->host };
    chain_init(&harness->chain, &options);
    must(chain_open(&harness->chain, restore));
    chain_set_clock(&harness->chain, harness->now_ms);
    if (harness->watermark_ms != WATERMARK_NONE)
        chain_set_watermark(&harness->chain, harness->watermark_ms);
}

weir_harness *weir_harness_new(const struct weir_operator *op, const void *config,
    struct weir_key key)
{
    ASSERT(op != NULL && op->in != NULL && (op->on_record != NULL || op->on_batch != NULL));
    struct weir_harness *harness = mem_alloc(sizeof(*harness));
    harness->op = op;
    harness->config = config;
    harness->key = key;
    harness->watermark_ms = WATERMARK_NONE;
    if (key.type != NULL)
        key_plan_init(&harness->key_plan, &key);
    harness->key_scratch = mem_alloc(KEY_SIZE_MAX);
    must(storage_open(NULL, "harness", 1, &harness->storage));
    make_host(harness);
    make_plan(harness);
    make_chain(harness, NULL);
    return harness;
}

void weir_harness_free(weir_harness *harness)
{
    if (harness == NULL)
        return;
    chain_close(&harness->chain);
    workers_free(harness->host.workers);
    storage_close(harness->storage);
    for (uint32_t i = 0; i < OUTPUTS_MAX; i++)
        collector_free(harness->collectors[i]);
    mem_free(harness->key_scratch);
    mem_free(harness);
}

/* -- driving it --------------------------------------------------------------------------------------- */

weir_error *weir_harness_try(weir_harness *harness, int64_t timestamp_ms, const void *record)
{
    struct weir_row row = { .record = record, .timestamp_ms = timestamp_ms };
    if (harness->key.type != NULL)
        row.key_hash = key_hash(
            key_plan_encode(&harness->key_plan, record, harness->key_scratch, KEY_SIZE_MAX));
    arena_reset(&harness->chain.scratch);
    context_rows(harness->chain.contexts[0], &row, 1);
    return chain_error(&harness->chain);
}

void weir_harness_send_as(weir_harness *harness, int64_t timestamp_ms, const void *record)
{
    must(weir_harness_try(harness, timestamp_ms, record));
}

static void fire(struct weir_harness *harness, enum weir_time time, int64_t until_ms,
    uint32_t count_max)
{
    struct weir_ctx *ctx = harness->chain.contexts[0];
    if (ctx->timers != NULL)
        context_fire(ctx, time, until_ms, count_max);
    must(chain_error(&harness->chain));
}

void weir_harness_watermark(weir_harness *harness, int64_t watermark_ms)
{
    ASSERT(watermark_ms >= harness->watermark_ms);
    harness->watermark_ms = watermark_ms;
    chain_set_watermark(&harness->chain, watermark_ms);
    fire(harness, WEIR_EVENT_TIME, watermark_ms, UINT32_MAX);
}

void weir_harness_clock(weir_harness *harness, int64_t now_ms)
{
    harness->now_ms = now_ms;
    chain_set_clock(&harness->chain, now_ms);
    fire(harness, WEIR_PROCESSING_TIME, now_ms, UINT32_MAX);
}

void weir_harness_finish(weir_harness *harness)
{
    struct weir_ctx *ctx = harness->chain.contexts[0];
    if (ctx->timers != NULL)
        timers_close(ctx->timers);
    fire(harness, WEIR_EVENT_TIME, INT64_MAX, UINT32_MAX);
    fire(harness, WEIR_PROCESSING_TIME, INT64_MAX, UINT32_MAX);
    chain_finish(&harness->chain);
    must(chain_error(&harness->chain));
}

/* -- looking at it ------------------------------------------------------------------------------------ */

const void *weir_harness_take_as(weir_harness *harness)
{
    return collector_take(harness->collectors[0]);
}

const struct weir_dead_letter *weir_harness_take_dead(weir_harness *harness)
{
    return collector_take(harness->collectors[1]);
}

const void *weir_harness_take_side(weir_harness *harness, uint32_t side)
{
    ASSERT(side < harness->op->side_count);
    return collector_take(harness->collectors[2 + side]);
}

uint32_t weir_harness_emitted(const weir_harness *harness)
{
    return harness->collectors[0]->count - harness->collectors[0]->taken;
}

int64_t weir_harness_counter(const weir_harness *harness, uint32_t counter)
{
    ASSERT(counter < harness->op->counter_count);
    return metric_get(&harness->chain.contexts[0]->counters[counter].value);
}

/* -- restoring ---------------------------------------------------------------------------------------- */

static void snapshot_into(struct weir_harness *harness, struct checkpoint_metadata *metadata)
{
    struct subtask_snapshot *snapshot = subtask_snapshot_new(++harness->checkpoint, 0);
    struct backend_snapshot *parts[1 + OUTPUTS_MAX] = { NULL };
    must(chain_snapshot(&harness->chain, harness->checkpoint, snapshot, parts));
    struct operator_snapshot *op = &snapshot->operators[0];
    if (parts[0] != NULL) {
        must(backend_hashmap.snapshot_write(parts[0], &snapshot->arena, &op->files,
            &op->file_count));
        backend_hashmap.snapshot_free(parts[0]);
    }
    checkpoint_metadata_init(metadata);
    checkpoint_metadata_add(metadata, snapshot);
    subtask_snapshot_free(snapshot);
}

weir_harness *weir_harness_restored(weir_harness *harness)
{
    struct checkpoint_metadata metadata;
    snapshot_into(harness, &metadata);
    chain_close(&harness->chain);
    must(os_remove_tree(harness->host.work_dir));
    must(os_make_dirs(harness->host.work_dir));
    make_chain(harness, &metadata);
    checkpoint_metadata_release(&metadata);
    return harness;
}

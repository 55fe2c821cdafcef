/* kafka_sink_kit.h -- the Kafka sink alone, on simulated brokers and a simulated disk (test/sim/sim_kafka_client.h), and what
 * a test of it does in the place of the engine. Each test begins with brokers that have a topic "out", and nothing else. */
#ifndef WEIR_TEST_KAFKA_SINK_KIT_H
#define WEIR_TEST_KAFKA_SINK_KIT_H

#include "test/sim/sim_kafka_client.h"
#include "test/sim/sim_os.h"
#include "test/support/stub_ctx.h"

#include "base/buffer.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/support/expect.h"

#define SHELF   "/checkpoint" /* where the engine keeps the files of checkpoints */
#define TOKENS  "weir-tokens-job-stub-out"
#define BROKERS "sim:9092"

/* -- records -------------------------------------------------------------------------------------- */

struct item {
    const char *key, *value; /* NULL: null */
    uint64_t size;           /* > 0: of the value, instead */
    bool is_odd, is_broken;  /* refused by the format: as a record, or altogether */
};
WEIR_TYPE(item, WEIR_FIELD(1, item, size));

static inline weir_error *encode(const struct weir_format *format, const void *record,
    weir_buffer *key, weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    const struct item *item = record;
    (void)format;
    *key_is_null = item->key == NULL;
    *value_is_null = item->value == NULL && item->size == 0;
    if (item->is_odd)
        return weir_error_data("odd", "the format does not know it");
    if (item->is_broken)
        return weir_errorf(WEIR_E_INTERNAL, "the format is broken");
    if (item->key != NULL)
        weir_buffer_add(key, item->key, strlen(item->key));
    for (uint64_t i = 0; i < item->size; i++)
        weir_buffer_add_byte(value, 'x');
    if (item->value != NULL)
        weir_buffer_add(value, item->value, strlen(item->value));
    return NULL;
}

static inline weir_error *validate(const struct weir_format *format)
{
    return format->options == NULL ? NULL : weir_errorf(WEIR_E_PLAN, "a format without options");
}

static const struct weir_format_class format_class = { .name = "item",
    .encode = encode,
    .validate = validate };

/* -- one subtask ----------------------------------------------------------------------------------- */

struct rig {
    struct weir_kafka_sink_options options; /* of the next start */
    struct weir_kafka_sink_options *given;  /* of this one */
    struct weir_sink sink;
    weir_ctx *ctx;
    void *instance;
    char *staging;
};

static const struct weir_kafka_sink_options plain = { .brokers = BROKERS,
    .topic = "out",
    .format = { .format_class = &format_class, .type = &item_type } };

/* Attempt `attempt` of subtask `subtask`, which restores what `from` has added, and is then open, if there is no error. */
static inline weir_error *start(struct rig *rig, uint32_t subtask, uint32_t parallelism,
    uint64_t attempt, const weir_ctx *from)
{
    rig->given = mem_dup(&rig->options, sizeof(rig->options));
    rig->sink = weir_kafka_sink_with(rig->given);
    rig->ctx = stub_ctx_new(subtask, parallelism);
    rig->instance = mem_alloc(rig->sink.sink_class->instance_size);
    rig->staging = mem_printf("/staging-%" PRIu64, attempt);
    rig->ctx->own = rig->instance;
    rig->ctx->instance = 7;
    rig->ctx->attempt = attempt;
    rig->ctx->staging_dir = rig->staging;
    rig->ctx->files_dir = SHELF;
    if (from != NULL)
        stub_ctx_restore(rig->ctx, from);
    WEIR_TRY(os_make_dirs(rig->staging));
    return rig->sink.sink_class->open(rig->ctx, rig->given, rig->instance);
}

static inline void end(struct rig *rig)
{
    rig->sink.sink_class->close(rig->ctx, rig->instance);
    mem_free(rig->instance);
    mem_free(rig->given);
    mem_free(rig->staging);
    stub_ctx_free(rig->ctx);
    rig->ctx = NULL;
}

static inline weir_error *write_item(struct rig *rig, const struct item *item)
{
    struct weir_row row = { .record = item };
    return rig->sink.sink_class->write(rig->ctx, rig->instance, &row, 1);
}

static inline weir_error *write_text(struct rig *rig, const char *text)
{
    return write_item(rig, &(struct item){ .key = "k", .value = text });
}

/* The engine's part of a checkpoint: what the sink lists goes onto the shelf. */
static inline weir_error *take_snapshot(struct rig *rig, uint64_t checkpoint)
{
    rig->ctx->added_count = rig->ctx->file_count = 0;
    WEIR_TRY(rig->sink.sink_class->snapshot(rig->ctx, rig->instance, checkpoint));
    WEIR_TRY(os_make_dirs(SHELF));
    for (uint32_t i = 0; i < rig->ctx->file_count; i++) {
        const char *path = rig->ctx->files[i];
        char *to = mem_printf(SHELF "%s", strrchr(path, '/'));
        struct os_stat stat;
        weir_error *error = os_stat(to, &stat);
        if (error == NULL && !stat.exists)
            error = os_link(path, to);
        mem_free(to);
        WEIR_TRY(error);
    }
    return NULL;
}

static inline weir_error *complete(struct rig *rig, uint64_t checkpoint)
{
    WEIR_TRY(rig->sink.sink_class->checkpoint_complete(rig->ctx, rig->instance, checkpoint));
    return stub_ctx_run(rig->ctx);
}

static inline weir_error *checkpoint(struct rig *rig, uint64_t number)
{
    WEIR_TRY(take_snapshot(rig, number));
    return complete(rig, number);
}

/* Ends, and is there again as the next attempt, with what its last snapshot has added. */
static inline weir_error *restart(struct rig *rig, uint32_t parallelism)
{
    struct rig next = { .options = rig->options };
    weir_error *error =
        start(&next, rig->ctx->subtask, parallelism, rig->ctx->attempt + 1, rig->ctx);
    end(rig);
    *rig = next;
    return error;
}

/* -- what readers see ------------------------------------------------------------------------------ */

static inline void put_records(const struct sim_log *log, weir_buffer *out)
{
    for (int64_t i = 0; i < sim_log_stable(log, log->count); i++) {
        const struct sim_message *message = &log->records[i].message;
        if (sim_log_is_visible(log, i, log->count))
            buffer_printf(out, "%.*s ", (int)message->value_size,
                message->value == NULL ? "" : message->value);
    }
}

/* The records of all partitions, one behind the other. */
static inline void expect_out(const char *topic, const char *records)
{
    weir_buffer *out = weir_buffer_new(1 << 20);
    assert_true(sim_broker_settle());
    const struct sim_topic *it = sim_broker_topic(topic);
    for (uint32_t i = 0; i < it->partition_count; i++)
        put_records(&it->partitions[i], out);
    assert_string_equal(buffer_text(out), records);
    weir_buffer_free(out);
}

static inline int begin_test(void **state)
{
    log_set_level(LOG_ERROR);
    sim_os_start(1);
    sim_broker_start(1);
    sim_broker_make_topic("out", 1, false);
    return 0;
}

static inline int end_test(void **state)
{
    unsetenv("WEIR_FAULT");
    weir_error_free(fault_init());
    sim_os_on_call(NULL, NULL);
    sim_broker_stop();
    sim_client_forget_intents();
    sim_os_stop();
    return 0;
}

#endif

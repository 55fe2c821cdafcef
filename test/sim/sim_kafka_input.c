/* sim_kafka_input.c -- see sim_kafka_input.h. */
#include "test/sim/sim_kafka_input.h"

#include "base/assert.h"
#include "base/os.h"
#include "test/sim/sim_kafka_broker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PRODUCER       1
#define LONG_AGO_NS    INT64_C(-1000000000000) /* every leader knows it */
#define RUN_MAX        20u                     /* records of one transaction, or of none */
#define TICK_ONE_IN    20u
#define GROW_ONE_IN    20u
#define PARTITIONS_MAX 10u

static struct input {
    const struct sim_shape *shape;
    uint64_t next; /* index */
    int32_t sequences[PARTITIONS_MAX];
    bool is_open[PARTITIONS_MAX]; /* has a transaction */
} input;

static int64_t now_ns(void)
{
    return input.shape->is_live ? os_monotonic_ns() : LONG_AGO_NS;
}

static struct sim_log *log_of(uint32_t partition)
{
    return &sim_broker_topic(SIM_INPUT_TOPIC)->partitions[partition];
}

static void add(uint32_t partition, const char *text, bool is_in_transaction)
{
    int64_t offset;
    struct sim_message message = { .value = (char *)(uintptr_t)text, .value_size = strlen(text) };
    rd_kafka_resp_err_t code = sim_log_append(log_of(partition), now_ns(),
        is_in_transaction ? PRODUCER : -1, 0, input.sequences[partition], &message, 1, &offset);
    ASSERT(code == RD_KAFKA_RESP_ERR_NO_ERROR);
    input.sequences[partition] += is_in_transaction;
}

static void end(uint32_t partition, bool is_commit)
{
    sim_log_mark(log_of(partition), now_ns(), PRODUCER, 0, is_commit);
    input.is_open[partition] = false;
}

static void add_aborted(uint32_t partition)
{
    for (uint32_t k = 1 + sim_broker_below(RUN_MAX); k > 0; k--)
        add(partition, "aborted", true);
    end(partition, false);
}

static void add_run(uint32_t partition)
{
    if (input.is_open[partition])
        end(partition, true);
    if (sim_broker_one_in(3))
        add_aborted(partition);
    bool is_in_transaction = sim_broker_one_in(3);
    for (uint32_t k = 1 + sim_broker_below(RUN_MAX); k > 0; k--) {
        char text[32];
        if (input.next == input.shape->count)
            break;
        snprintf(text, sizeof(text), "%" PRIu64, input.next++);
        add(partition, text, is_in_transaction);
        input.is_open[partition] = is_in_transaction;
    }
    if (input.is_open[partition] && !(input.shape->is_live && sim_broker_one_in(2)))
        end(partition, true);
}

static uint32_t partition_count(void)
{
    return sim_broker_topic(SIM_INPUT_TOPIC)->partition_count;
}

void sim_input_tick(void)
{
    if (!input.shape->is_live || input.next == input.shape->count ||
        !sim_broker_one_in(TICK_ONE_IN))
        return;
    if (partition_count() < PARTITIONS_MAX && sim_broker_one_in(GROW_ONE_IN))
        sim_broker_make_topic(SIM_INPUT_TOPIC, partition_count() + 1, false);
    add_run(sim_broker_below(partition_count()));
}

void sim_input_fill(void)
{
    while (input.next < input.shape->count)
        add_run(sim_broker_below(partition_count()));
    for (uint32_t p = 0; p < partition_count(); p++)
        if (input.is_open[p])
            end(p, true);
}

void sim_input_start(const struct sim_shape *shape)
{
    input = (struct input){ .shape = shape, .next = shape->generated_count };
    ASSERT(shape->file_count <= PARTITIONS_MAX);
    sim_broker_make_topic(SIM_INPUT_TOPIC, shape->file_count, false);
    if (!shape->is_live)
        sim_input_fill();
}

/* kafka_partitioner.c -- see kafka_partitioner.h. A counting sort. Prefixes: kafka_partitioner_ */
#include "connectors/kafka_partitioner.h"

#include "base/assert.h"
#include "base/memory.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

#define ROOM_MIN      256u
#define AHEAD         8u              /* records */
#define PREFETCH_SIZE ((uint64_t)512) /* of a record; the processor guesses the rest */

void kafka_partitioner_start(struct kafka_partitioner *it, uint32_t partition_count,
    const struct kafka_led *led, uint32_t first)
{
    if (partition_count > it->partition_room) {
        it->next = mem_realloc(it->next, partition_count * sizeof(*it->next));
        it->partition_room = partition_count;
    }
    it->partition_count = partition_count;
    it->led = led;
    it->first = first;
    it->count = it->keyless = 0;
}

static int32_t partition_of(struct kafka_partitioner *it, weir_str key)
{
    if (key.data == NULL)
        it->keyless++;
    if (it->partition_count == 0 || key.data == NULL)
        return KAFKA_PARTITION_ANY;
    return rd_kafka_msg_partitioner_murmur2(NULL, key.data, key.size, (int32_t)it->partition_count,
        NULL, NULL);
}

void kafka_partitioner_add(struct kafka_partitioner *it, weir_str key, weir_str value)
{
    if (it->count == it->room) {
        it->room = it->room == 0 ? ROOM_MIN : it->room * 2;
        it->records = mem_realloc(it->records, it->room * sizeof(*it->records));
        it->order = mem_realloc(it->order, it->room * sizeof(*it->order));
    }
    it->records[it->count++] =
        (struct kafka_outgoing){ .key = key, .value = value, .partition = partition_of(it, key) };
}

/* The k-th of n gets into share k * shares / n. */
static void spread_keyless(struct kafka_partitioner *it)
{
    uint64_t k = 0;
    uint32_t shares = it->led->count > 0 ? it->led->count : it->partition_count;
    for (uint32_t i = 0; i < it->count && k < it->keyless; i++) {
        if (it->records[i].key.data != NULL)
            continue;
        uint64_t share = (it->first + k++ * shares / it->keyless) % shares;
        it->records[i].partition =
            (int32_t)(it->led->count > 0 ? it->led->partitions[share] : share);
    }
}

/* Puts the first of each partition in front, and says how many these are; `next` counts. */
static uint32_t order_first(struct kafka_partitioner *it)
{
    uint32_t front = 0;
    memset(it->next, 0, it->partition_count * sizeof(*it->next));
    for (uint32_t i = 0; i < it->count; i++)
        if (it->next[it->records[i].partition]++ == 0)
            it->order[front++] = i;
    return front;
}

static void order_others(struct kafka_partitioner *it, uint32_t front)
{
    uint32_t at = front, seen = 0;
    for (uint32_t p = 0; p < it->partition_count; p++) {
        uint32_t others = it->next[p] == 0 ? 0 : it->next[p] - 1;
        it->next[p] = at;
        at += others;
    }
    ASSERT(at == it->count);
    for (uint32_t i = 0; i < it->count; i++) {
        if (seen < front && it->order[seen] == i)
            seen++;
        else
            it->order[it->next[it->records[i].partition]++] = i;
    }
}

void kafka_partitioner_sort(struct kafka_partitioner *it)
{
    if (it->partition_count == 0)
        return;
    spread_keyless(it);
    order_others(it, order_first(it));
}

static uint32_t place_of(const struct kafka_partitioner *it, uint32_t i)
{
    return it->partition_count == 0 ? i : it->order[i];
}

static void prefetch(const struct kafka_outgoing *record)
{
    const char *at = record->key.data == NULL ? record->value.data : record->key.data;
    uint64_t size = record->key.size + record->value.size; /* one behind the other */
    for (uint64_t k = 0; k < size && k < PREFETCH_SIZE; k += MEM_LINE_SIZE)
        __builtin_prefetch(at + k);
}

const struct kafka_outgoing *kafka_partitioner_at(const struct kafka_partitioner *it, uint32_t i)
{
    DEBUG_ASSERT(i < it->count);
    if (i + AHEAD < it->count)
        prefetch(&it->records[place_of(it, i + AHEAD)]);
    return &it->records[place_of(it, i)];
}

void kafka_partitioner_release(struct kafka_partitioner *it)
{
    mem_free(it->records);
    mem_free(it->order);
    mem_free(it->next);
    *it = (struct kafka_partitioner){ 0 };
}

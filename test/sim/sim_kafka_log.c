/* sim_kafka_log.c -- see sim_kafka_log.h. */
#include "test/sim/sim_kafka_log.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

#include <string.h>

#define RECENT           5
#define ROW_SIZE         56u /* tokens are shorter or longer, and are left alone */
#define DEFECT_ONE_IN    40u
#define DEFECT_MIN_COUNT 3u

enum sim_log_defect sim_log_defect;

void sim_log_release(struct sim_log *log)
{
    for (int64_t i = 0; i < log->count; i++) {
        mem_free(log->records[i].message.key);
        mem_free(log->records[i].message.value);
    }
    mem_free(log->records);
    mem_free(log->producers);
    *log = (struct sim_log){ 0 };
}

/* -- producers ------------------------------------------------------------------------------------ */

static struct sim_log_producer *find(const struct sim_log *log, int64_t id)
{
    for (uint32_t i = 0; i < log->producer_count; i++)
        if (log->producers[i].id == id)
            return &log->producers[i];
    return NULL;
}

static struct sim_log_producer *find_or_add(struct sim_log *log, int64_t id, int32_t epoch)
{
    struct sim_log_producer *it = find(log, id);
    if (it != NULL)
        return it;
    log->producers =
        mem_realloc(log->producers, (log->producer_count + 1) * sizeof(*log->producers));
    it = &log->producers[log->producer_count++];
    *it = (struct sim_log_producer){ .id = id,
        .epoch = epoch,
        .next_sequence = -1,
        .first_open = -1 };
    return it;
}

static void new_epoch(struct sim_log_producer *it, int32_t epoch)
{
    it->epoch = epoch;
    it->next_sequence = 0;
    memset(it->recent, 0, sizeof(it->recent));
}

/* Is this batch here already? */
static bool is_again(const struct sim_log_producer *it, int32_t sequence, uint32_t count,
    int64_t *offset)
{
    for (uint32_t i = 0; i < RECENT; i++) {
        if (it->recent[i].count != (int32_t)count || it->recent[i].sequence != sequence)
            continue;
        *offset = it->recent[i].offset;
        return true;
    }
    return false;
}

static rd_kafka_resp_err_t check(struct sim_log_producer *it, int32_t epoch, int32_t sequence)
{
    if (sim_log_defect == SIM_LOG_ANY_EPOCH) {
        it->epoch = epoch > it->epoch ? epoch : it->epoch;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (epoch < it->epoch)
        return RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    if (epoch > it->epoch) {
        if (sequence != 0)
            return RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        new_epoch(it, epoch);
    }
    if (it->next_sequence >= 0 && sequence != it->next_sequence)
        return RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* -- appending ------------------------------------------------------------------------------------ */

static struct sim_message copy_of(const struct sim_message *from)
{
    struct sim_message it = *from;
    it.key = from->key == NULL ? NULL : mem_dup(from->key, from->key_size);
    it.value = from->value == NULL ? NULL : mem_dup(from->value, from->value_size);
    return it;
}

static struct sim_log_record *add(struct sim_log *log, struct sim_log_record record)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity * 2 + 64;
        log->records = mem_realloc(log->records, (size_t)log->capacity * sizeof(*log->records));
    }
    log->records[log->count++] = record;
    return &log->records[log->count - 1];
}

/* The same for the same record, so that a run is what its seed says. */
static bool is_hit(const struct sim_message *message, enum sim_log_defect defect)
{
    return sim_log_defect == defect && message->value_size == ROW_SIZE &&
           hash_bytes(message->value, message->value_size) % DEFECT_ONE_IN == 0;
}

static void swap_last(struct sim_log *log)
{
    struct sim_message *last = &log->records[log->count - 1].message;
    for (int64_t i = log->count - 2; i >= 0; i--) {
        struct sim_message *other = &log->records[i].message;
        if (log->records[i].kind != SIM_LOG_DATA || log->records[i].decided_at >= 0)
            return;
        if (other->intent != last->intent || other->key_size != last->key_size ||
            memcmp(other->key, last->key, last->key_size) != 0)
            continue;
        struct sim_message kept = *other;
        *other = *last;
        *last = kept;
        return;
    }
}

static void append_one(struct sim_log *log, int64_t now_ns, int64_t producer,
    const struct sim_message *message)
{
    struct sim_log_record record = { .producer = producer,
        .at_ns = now_ns,
        .decided_at = -1,
        .is_committed = producer < 0 };
    if (is_hit(message, SIM_LOG_LOSES))
        return;
    for (uint32_t i = 0; i < (is_hit(message, SIM_LOG_DOUBLES) ? 2u : 1u); i++) {
        record.message = copy_of(message);
        add(log, record);
    }
    if (is_hit(message, SIM_LOG_SWAPS) && message->key != NULL)
        swap_last(log);
}

rd_kafka_resp_err_t sim_log_append(struct sim_log *log, int64_t now_ns, int64_t producer,
    int32_t epoch, int32_t sequence, const struct sim_message *messages, uint32_t count,
    int64_t *offset)
{
    ASSERT(count > 0);
    struct sim_log_producer *it = NULL;
    if (producer >= 0) {
        it = find_or_add(log, producer, epoch);
        if (sim_log_defect != SIM_LOG_ANY_SEQUENCE && epoch == it->epoch &&
            is_again(it, sequence, count, offset))
            return RD_KAFKA_RESP_ERR_NO_ERROR;
        rd_kafka_resp_err_t code = check(it, epoch, sequence);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR &&
            (code != RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER ||
                sim_log_defect != SIM_LOG_ANY_SEQUENCE))
            return code;
        if (it->first_open < 0)
            it->first_open = log->count;
    }
    *offset = log->count;
    for (uint32_t i = 0; i < count; i++)
        append_one(log, now_ns, producer, &messages[i]);
    if (it == NULL)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    memmove(it->recent + 1, it->recent, sizeof(it->recent) - sizeof(it->recent[0]));
    it->recent[0].sequence = sequence;
    it->recent[0].count = (int32_t)count;
    it->recent[0].offset = *offset;
    it->next_sequence = sequence + (int32_t)count;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool sim_log_is_open(const struct sim_log *log, int64_t producer, int32_t epoch)
{
    const struct sim_log_producer *it = find(log, producer);
    return it != NULL && it->first_open >= 0 && it->epoch == epoch;
}

void sim_log_mark(struct sim_log *log, int64_t now_ns, int64_t producer, int32_t epoch,
    bool is_commit)
{
    struct sim_log_producer *it = find_or_add(log, producer, epoch);
    if (epoch < it->epoch && sim_log_defect != SIM_LOG_ANY_EPOCH)
        return;
    if (epoch > it->epoch)
        new_epoch(it, epoch);
    uint32_t seen = 0;
    for (int64_t i = it->first_open; i >= 0 && i < log->count; i++) {
        struct sim_log_record *record = &log->records[i];
        if (record->producer != producer || record->decided_at >= 0 || record->kind != SIM_LOG_DATA)
            continue;
        record->decided_at = log->count;
        record->is_committed = is_commit;
        if (sim_log_defect == SIM_LOG_TEARS && ++seen > DEFECT_MIN_COUNT)
            record->is_committed = false;
    }
    it->first_open = -1;
    add(log, (struct sim_log_record){ .kind = is_commit ? SIM_LOG_COMMIT : SIM_LOG_ABORT,
                 .producer = producer,
                 .at_ns = now_ns,
                 .decided_at = log->count });
}

/* -- reading -------------------------------------------------------------------------------------- */

int64_t sim_log_end_at(const struct sim_log *log, int64_t at_ns)
{
    int64_t end = log->count;
    while (end > 0 && log->records[end - 1].at_ns > at_ns)
        end--;
    return end;
}

int64_t sim_log_stable(const struct sim_log *log, int64_t end)
{
    if (end == log->count) {
        for (uint32_t i = 0; i < log->producer_count; i++)
            if (log->producers[i].first_open >= 0 && log->producers[i].first_open < end)
                end = log->producers[i].first_open;
        return end;
    }
    for (int64_t i = 0; i < end; i++) {
        const struct sim_log_record *it = &log->records[i];
        if (it->kind == SIM_LOG_DATA && it->producer >= 0 &&
            (it->decided_at < 0 || it->decided_at >= end))
            return i;
    }
    return end;
}

bool sim_log_is_visible(const struct sim_log *log, int64_t offset, int64_t end)
{
    const struct sim_log_record *it = &log->records[offset];
    if (it->kind != SIM_LOG_DATA || it->is_gone)
        return false;
    if (it->producer < 0)
        return true;
    return it->decided_at >= 0 && it->decided_at < end &&
           (it->is_committed ||
               (sim_log_defect == SIM_LOG_SHOWS_ABORTED && it->message.value_size == ROW_SIZE));
}

void sim_log_compact(struct sim_log *log)
{
    for (int64_t i = 0; i + 1 < log->count; i++) {
        struct sim_log_record *old = &log->records[i];
        if (!sim_log_is_visible(log, i, log->count) || old->message.key == NULL)
            continue;
        for (int64_t j = i + 1; j < log->count && !old->is_gone; j++) {
            const struct sim_log_record *newer = &log->records[j];
            old->is_gone = sim_log_is_visible(log, j, log->count) &&
                           newer->message.key_size == old->message.key_size &&
                           memcmp(newer->message.key, old->message.key, old->message.key_size) == 0;
        }
    }
}

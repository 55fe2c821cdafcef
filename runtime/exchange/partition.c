/* partition.c -- the open segments of an edge, one per channel, and the loops that fill them.
 *
 * There is one loop per kind of edge, each over the rows of a batch, so that nothing is decided
 * per record that is known per edge. All of them end in write_record: reserve an element, copy
 * the record into it. A full segment is pushed when the next record does not fit, not when it is
 * full: one look at its room does both. */
#include "runtime/exchange/partition.h"

#include "base/memory.h"
#include "types/key.h"
#include "types/key_group.h"

/* Thread: task. */
struct output {
    struct channel *channel;
    struct segment *open; /* being filled; NULL: none */
};

/* Thread: task. */
struct partition {
    enum partitioner_kind kind;
    struct layout layout;
    struct segment_pool *pool;
    struct output *outputs;
    uint32_t output_count;
    uint32_t open_count; /* outputs with an open segment */
    uint32_t turn;       /* REBALANCE: the output being filled */
    uint64_t sent_size;  /* bytes, of segments that were pushed */
    bool has_ended;
    /* KEY_GROUP only */
    struct key_plan key;
    struct partitioner groups;
    char *key_bytes; /* a key of several fields is put together here */
};

struct partition *partition_new(const struct partition_options *options,
    struct channel *const *channels, uint32_t channel_count)
{
    ASSERT(channel_count >= 1 && channel_count <= MAX_PARALLELISM_LIMIT);
    ASSERT(options->kind != PARTITIONER_FORWARD || channel_count == 1);
    struct partition *partition = mem_alloc(sizeof(*partition));
    partition->kind = options->kind;
    layout_init(&partition->layout, options->type);
    partition->pool = options->pool;
    partition->outputs = mem_alloc_array(channel_count, sizeof(partition->outputs[0]));
    partition->output_count = channel_count;
    for (uint32_t i = 0; i < channel_count; i++)
        partition->outputs[i].channel = channels[i];
    /* Producers start at different consumers, or the first gets the start of all of them. */
    partition->turn = options->subtask % channel_count;
    if (options->kind == PARTITIONER_KEY_GROUP) {
        key_plan_init(&partition->key, &options->key);
        partition->key_bytes = mem_alloc(KEY_SIZE_MAX);
        partitioner_init(&partition->groups, channel_count, options->max_parallelism);
    }
    return partition;
}

void partition_free(struct partition *partition)
{
    if (partition == NULL)
        return;
    for (uint32_t i = 0; i < partition->output_count; i++)
        if (partition->outputs[i].open != NULL)
            segment_give(partition->outputs[i].open);
    partitioner_release(&partition->groups);
    mem_free(partition->key_bytes);
    mem_free(partition->outputs);
    mem_free(partition);
}

/* -- segments ------------------------------------------------------------------------------- */

static void push_open(struct partition *partition, struct output *output)
{
    if (output->open == NULL)
        return;
    partition->sent_size += output->open->used;
    channel_push(output->channel, output->open);
    output->open = NULL;
    partition->open_count--;
}

static weir_error *pool_is_empty(const struct partition *partition, size_t payload)
{
    return weir_errorf(WEIR_E_LIMIT,
        "no exchange memory for %zu more bytes of '%s': %zu of %zu bytes are in flight; give the "
        "job more memory",
        payload, partition->layout.type->name, segment_pool_used(partition->pool),
        segment_pool_size_max(partition->pool));
}

/* Replaces the open segment, if any, by an empty one with room for a record. Rare. */
static __attribute__((noinline)) weir_error *open_next(struct partition *partition,
    struct output *output, size_t payload)
{
    push_open(partition, output);
    output->open = segment_take(partition->pool, payload);
    if (output->open == NULL)
        return pool_is_empty(partition, payload);
    partition->open_count++;
    return NULL;
}

/* -- records -------------------------------------------------------------------------------- */

static weir_error *record_is_too_large(const struct partition *partition)
{
    return weir_errorf(WEIR_E_LIMIT, "a record of type '%s' has more than %u bytes",
        partition->layout.type->name, WEIR_RECORD_SIZE_MAX);
}

/* `size` is the record's, of layout. */
static inline weir_error *write_record(struct partition *partition, struct output *output,
    const struct weir_row *row, uint64_t key_hash, size_t size)
{
    if (size > WEIR_RECORD_SIZE_MAX)
        return record_is_too_large(partition);
    struct element *element =
        output->open == NULL ? NULL : segment_add(output->open, ELEMENT_RECORD, size);
    if (element == NULL) {
        WEIR_TRY(open_next(partition, output, size));
        element = segment_add(output->open, ELEMENT_RECORD, size);
        ASSERT(element != NULL);
    }
    element->value = row->timestamp_ms;
    element->key_hash = key_hash;
    layout_write(&partition->layout, row->record, element + 1);
    return NULL;
}

static weir_error *emit_to(struct partition *partition, struct output *output,
    const struct weir_row *rows, uint32_t row_count)
{
    for (uint32_t i = 0; i < row_count; i++)
        WEIR_TRY(write_record(partition, output, &rows[i], rows[i].key_hash,
            layout_size(&partition->layout, rows[i].record)));
    return NULL;
}

static weir_error *emit_broadcast(struct partition *partition, const struct weir_row *rows,
    uint32_t row_count)
{
    for (uint32_t i = 0; i < partition->output_count; i++)
        WEIR_TRY(emit_to(partition, &partition->outputs[i], rows, row_count));
    return NULL;
}

static void take_turn(struct partition *partition)
{
    partition->turn = partition->turn + 1 == partition->output_count ? 0 : partition->turn + 1;
}

/* The next output's turn comes when the segment of this one has been pushed. */
static weir_error *emit_rebalanced(struct partition *partition, const struct weir_row *rows,
    uint32_t row_count)
{
    for (uint32_t i = 0; i < row_count; i++) {
        struct output *output = &partition->outputs[partition->turn];
        size_t size = layout_size(&partition->layout, rows[i].record);
        if (output->open != NULL && !segment_fits(output->open, size)) {
            push_open(partition, output);
            take_turn(partition);
            output = &partition->outputs[partition->turn];
        }
        WEIR_TRY(write_record(partition, output, &rows[i], rows[i].key_hash, size));
    }
    return NULL;
}

static weir_error *key_is_too_long(const struct partition *partition)
{
    return weir_errorf(WEIR_E_LIMIT, "the key of a record of type '%s' has more than %u bytes",
        partition->layout.type->name, KEY_SIZE_MAX);
}

static weir_error *emit_keyed(struct partition *partition, const struct weir_row *rows,
    uint32_t row_count)
{
    for (uint32_t i = 0; i < row_count; i++) {
        weir_str key =
            key_plan_encode(&partition->key, rows[i].record, partition->key_bytes, KEY_SIZE_MAX);
        if (key.data == NULL || key.size > KEY_SIZE_MAX)
            return key_is_too_long(partition);
        uint64_t hash = key_hash(key);
        uint32_t channel = partitioner_channel(&partition->groups, hash);
        WEIR_TRY(write_record(partition, &partition->outputs[channel], &rows[i], hash,
            layout_size(&partition->layout, rows[i].record)));
    }
    return NULL;
}

weir_error *partition_emit(struct partition *partition, const struct weir_row *rows,
    uint32_t row_count)
{
    ASSERT(!partition->has_ended);
    switch (partition->kind) {
    case PARTITIONER_FORWARD:
        return emit_to(partition, &partition->outputs[0], rows, row_count);
    case PARTITIONER_REBALANCE:
        return emit_rebalanced(partition, rows, row_count);
    case PARTITIONER_BROADCAST:
        return emit_broadcast(partition, rows, row_count);
    case PARTITIONER_KEY_GROUP:
        return emit_keyed(partition, rows, row_count);
    }
    ASSERT(false);
    return NULL;
}

/* -- events --------------------------------------------------------------------------------- */

/* An event closes the segment behind the records that precede it; alone it takes a small one. */
static weir_error *write_event(struct partition *partition, struct output *output,
    enum element_kind kind, int64_t value)
{
    struct element *element = output->open == NULL ? NULL : segment_add(output->open, kind, 0);
    if (element == NULL) {
        push_open(partition, output);
        output->open = segment_take_event(partition->pool);
        if (output->open == NULL)
            return pool_is_empty(partition, 0);
        partition->open_count++;
        element = segment_add(output->open, kind, 0);
        ASSERT(element != NULL);
    }
    element->value = value;
    push_open(partition, output);
    return NULL;
}

weir_error *partition_event(struct partition *partition, enum element_kind kind, int64_t value)
{
    ASSERT(kind != ELEMENT_RECORD);
    ASSERT(!partition->has_ended || kind == ELEMENT_BARRIER);
    for (uint32_t i = 0; i < partition->output_count; i++)
        WEIR_TRY(write_event(partition, &partition->outputs[i], kind, value));
    ASSERT(partition->open_count == 0);
    partition->has_ended |= kind == ELEMENT_END;
    return NULL;
}

void partition_flush(struct partition *partition)
{
    if (partition->open_count == 0)
        return;
    if (partition->kind == PARTITIONER_REBALANCE) {
        push_open(partition, &partition->outputs[partition->turn]);
        take_turn(partition);
    }
    for (uint32_t i = 0; i < partition->output_count && partition->open_count > 0; i++)
        push_open(partition, &partition->outputs[i]);
    ASSERT(partition->open_count == 0);
}

/* -- questions ------------------------------------------------------------------------------ */

/* All channels are asked, also behind one without room: each moves its overflow when asked. */
bool partition_has_room(struct partition *partition)
{
    bool has_room = true;
    for (uint32_t i = 0; i < partition->output_count; i++)
        has_room &= channel_room(partition->outputs[i].channel) > 0;
    return has_room;
}

bool partition_flushed(struct partition *partition)
{
    bool is_flushed = true;
    for (uint32_t i = 0; i < partition->output_count; i++)
        is_flushed &= channel_flushed(partition->outputs[i].channel);
    return is_flushed;
}

uint64_t partition_sent_size(const struct partition *partition)
{
    return partition->sent_size;
}

bool partition_has_open(const struct partition *partition)
{
    return partition->open_count > 0;
}

/* gate.c -- takes turns over the channels and opens records where they lie.
 *
 * The turn moves on when a segment has been read to its end, so a channel's claim is one segment,
 * however many batches that is. What was read to its end stays until the next gate_next: the rows
 * of the last batch point into it. */
#include "runtime/exchange/gate.h"

#include "base/memory.h"

/* Thread: task. */
struct entrance {
    struct channel *channel;
    struct segment *segment; /* being read, never at its end; NULL: none */
    bool is_blocked;
};

/* Thread: task. */
struct gate {
    struct layout layout;
    struct entrance *entrances;
    uint32_t entrance_count;
    uint32_t turn;
    uint64_t got_size;    /* bytes, of segments that were taken */
    struct segment *done; /* read to its end; given back at the next gate_next */
    uint32_t batch_max;
    struct weir_row rows[GATE_BATCH_MAX];
};

struct gate *gate_new(struct channel *const *channels, uint32_t channel_count,
    const struct weir_type *type, uint32_t batch_max)
{
    ASSERT(channel_count >= 1);
    ASSERT(batch_max >= 1 && batch_max <= GATE_BATCH_MAX);
    struct gate *gate = mem_alloc(sizeof(*gate));
    layout_init(&gate->layout, type);
    gate->batch_max = batch_max;
    gate->entrances = mem_alloc_array(channel_count, sizeof(gate->entrances[0]));
    gate->entrance_count = channel_count;
    for (uint32_t i = 0; i < channel_count; i++)
        gate->entrances[i].channel = channels[i];
    return gate;
}

static void give_back_done(struct gate *gate)
{
    if (gate->done == NULL)
        return;
    segment_give(gate->done);
    gate->done = NULL;
}

void gate_free(struct gate *gate)
{
    if (gate == NULL)
        return;
    give_back_done(gate);
    for (uint32_t i = 0; i < gate->entrance_count; i++)
        if (gate->entrances[i].segment != NULL)
            segment_give(gate->entrances[i].segment);
    mem_free(gate->entrances);
    mem_free(gate);
}

static void take_segment(struct gate *gate, struct entrance *entrance)
{
    entrance->segment = channel_pop(entrance->channel);
    if (entrance->segment != NULL)
        gate->got_size += entrance->segment->used;
}

/* The channel whose turn it is, with a segment to read; entrance_count: none has any. */
static uint32_t find_input(struct gate *gate)
{
    uint32_t index = gate->turn;
    for (uint32_t n = 0; n < gate->entrance_count; n++) {
        struct entrance *entrance = &gate->entrances[index];
        if (!entrance->is_blocked) {
            if (entrance->segment == NULL)
                take_segment(gate, entrance);
            if (entrance->segment != NULL)
                return index;
        }
        index = index + 1 == gate->entrance_count ? 0 : index + 1;
    }
    return gate->entrance_count;
}

static uint32_t read_rows(struct gate *gate, struct segment *segment)
{
    uint32_t count = 0;
    struct element *element = segment_peek(segment);
    while (element != NULL && element->kind == ELEMENT_RECORD && count < gate->batch_max) {
        gate->rows[count++] = (struct weir_row){
            .record = layout_open(&gate->layout, element + 1),
            .timestamp_ms = element->value,
            .key_hash = element->key_hash,
        };
        (void)segment_next(segment);
        element = segment_peek(segment);
    }
    return count;
}

void gate_next(struct gate *gate, struct gate_input *input)
{
    give_back_done(gate);
    *input = (struct gate_input){ .kind = GATE_EMPTY };
    uint32_t index = find_input(gate);
    if (index == gate->entrance_count)
        return;
    struct entrance *entrance = &gate->entrances[index];
    struct element *first = segment_peek(entrance->segment);
    ASSERT(first != NULL);
    input->channel = index;
    if (first->kind == ELEMENT_RECORD) {
        input->kind = GATE_ROWS;
        input->rows = gate->rows;
        input->row_count = read_rows(gate, entrance->segment);
    } else {
        input->kind = GATE_EVENT;
        input->event = (enum element_kind)first->kind;
        input->value = first->value;
        (void)segment_next(entrance->segment);
    }
    gate->turn = index;
    if (segment_peek(entrance->segment) == NULL) {
        gate->done = entrance->segment;
        entrance->segment = NULL;
        gate->turn = index + 1 == gate->entrance_count ? 0 : index + 1;
    }
}

bool gate_has_input(const struct gate *gate)
{
    for (uint32_t i = 0; i < gate->entrance_count; i++) {
        const struct entrance *entrance = &gate->entrances[i];
        if (entrance->is_blocked)
            continue;
        if (entrance->segment != NULL || !channel_is_empty(entrance->channel))
            return true;
    }
    return false;
}

void gate_block(struct gate *gate, uint32_t channel)
{
    ASSERT(channel < gate->entrance_count);
    gate->entrances[channel].is_blocked = true;
}

void gate_unblock_all(struct gate *gate)
{
    for (uint32_t i = 0; i < gate->entrance_count; i++)
        gate->entrances[i].is_blocked = false;
}

uint64_t gate_got_size(const struct gate *gate)
{
    return gate->got_size;
}

uint32_t gate_channel_count(const struct gate *gate)
{
    return gate->entrance_count;
}

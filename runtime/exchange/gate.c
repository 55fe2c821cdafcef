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
    struct segment *ahead_first,
        *ahead_last;   /* taken ahead, oldest first; they have their places */
    uint64_t barrier;  /* the last one that was seen ahead; 0: none */
    bool is_looked_at; /* `segment`, for barriers */
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
    for (uint32_t i = 0; i < gate->entrance_count; i++) {
        struct entrance *entrance = &gate->entrances[i];
        if (entrance->segment != NULL)
            segment_give(entrance->segment);
        for (struct segment *next, *it = entrance->ahead_first; it != NULL; it = next) {
            next = it->next;
            segment_give(it);
        }
    }
    mem_free(gate->entrances);
    mem_free(gate);
}

static struct segment *take_ahead(struct entrance *entrance)
{
    struct segment *segment = entrance->ahead_first;
    entrance->ahead_first = segment->next;
    channel_free_places(entrance->channel, segment);
    return segment;
}

static void take_segment(struct gate *gate, struct entrance *entrance)
{
    entrance->is_looked_at = entrance->ahead_first != NULL;
    entrance->segment =
        entrance->is_looked_at ? take_ahead(entrance) : channel_pop(entrance->channel);
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
        if (entrance->segment != NULL || entrance->ahead_first != NULL ||
            !channel_is_empty(entrance->channel))
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

/* -- ahead ----------------------------------------------------------------------------------------- */

/* The element behind this one, NULL at the end of the segment. */
static const struct element *behind(const struct segment *segment, const struct element *element)
{
    const char *next = (const char *)element + segment_element_size(element->size);
    return next == segment->bytes + segment->used ? NULL : (const void *)next;
}

static void look_for_barriers(struct entrance *entrance, struct segment *segment)
{
    for (const struct element *it = segment_peek(segment); it != NULL; it = behind(segment, it))
        if (it->kind == ELEMENT_BARRIER)
            entrance->barrier = (uint64_t)it->value;
}

static void look_ahead(struct entrance *entrance)
{
    struct segment *segment;
    if (entrance->segment != NULL && !entrance->is_looked_at) {
        entrance->is_looked_at = true;
        look_for_barriers(entrance, entrance->segment);
    }
    while ((segment = channel_pop_ahead(entrance->channel)) != NULL) {
        segment->next = NULL;
        if (entrance->ahead_first == NULL)
            entrance->ahead_first = segment;
        else
            entrance->ahead_last->next = segment;
        entrance->ahead_last = segment;
        look_for_barriers(entrance, segment);
    }
}

bool gate_sees_barrier(struct gate *gate, uint64_t checkpoint)
{
    bool sees_all = true;
    for (uint32_t i = 0; i < gate->entrance_count; i++) {
        struct entrance *entrance = &gate->entrances[i];
        if (entrance->is_blocked)
            continue;
        look_ahead(entrance);
        bool sees = entrance->barrier == checkpoint;
        channel_lend(entrance->channel, !sees);
        sees_all = sees_all && sees;
    }
    return sees_all;
}

void gate_look_away(struct gate *gate)
{
    for (uint32_t i = 0; i < gate->entrance_count; i++)
        channel_lend(gate->entrances[i].channel, false);
}

/* The records of a segment up to the barrier, in runs. False: the barrier is in it. */
static bool show_segment(struct segment *segment, uint64_t checkpoint, uint32_t channel,
    gate_in_flight_fn *each, void *arg)
{
    const struct element *first = NULL, *it = segment_peek(segment);
    for (; it != NULL; it = behind(segment, it)) {
        if (it->kind == ELEMENT_RECORD) {
            first = first == NULL ? it : first;
            continue;
        }
        if (first != NULL)
            each(arg, channel, first, (size_t)((const char *)it - (const char *)first));
        first = NULL;
        if (it->kind == ELEMENT_BARRIER && (uint64_t)it->value == checkpoint)
            return false;
    }
    if (first != NULL)
        each(arg, channel, first, (size_t)(segment->bytes + segment->used - (const char *)first));
    return true;
}

void gate_each_in_flight(struct gate *gate, uint64_t checkpoint, gate_in_flight_fn *each, void *arg)
{
    for (uint32_t i = 0; i < gate->entrance_count; i++) {
        struct entrance *entrance = &gate->entrances[i];
        if (entrance->is_blocked)
            continue;
        ASSERT(entrance->barrier == checkpoint);
        bool goes_on =
            entrance->segment == NULL || show_segment(entrance->segment, checkpoint, i, each, arg);
        for (struct segment *it = entrance->ahead_first; it != NULL && goes_on; it = it->next)
            goes_on = show_segment(it, checkpoint, i, each, arg);
    }
}

uint64_t gate_got_size(const struct gate *gate)
{
    return gate->got_size;
}

uint32_t gate_channel_count(const struct gate *gate)
{
    return gate->entrance_count;
}

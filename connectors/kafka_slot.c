/* kafka_slot.c -- see kafka_slot.h. Prefixes: slot_ */
#include "connectors/kafka_slot.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"

#include <string.h>

#define ITEM_VERSION 2
#define CHUNK_BYTES  16 /* of a chunk in the item */

void slot_init(struct slot *slot, uint32_t number)
{
    ASSERT(number < SLOTS_MAX);
    *slot = (struct slot){ .number = number };
}

static void segment_release(struct slot_segment *segment)
{
    mem_free(segment->path);
    mem_free(segment->chunks);
    *segment = (struct slot_segment){ 0 };
}

void slot_release(struct slot *slot)
{
    for (uint32_t i = 0; i < slot->count; i++)
        segment_release(&slot->segments[i]);
    slot->count = 0;
}

bool slot_is_full(const struct slot *slot)
{
    return slot->count == SLOT_SEGMENTS_MAX;
}

void slot_hold(struct slot *slot, uint64_t number, char *path, const struct kafka_chunk *chunks,
    uint32_t chunk_count)
{
    ASSERT(!slot_is_full(slot) && chunk_count > 0 && number > slot->last);
    slot->segments[slot->count++] = (struct slot_segment){ .number = number,
        .previous = slot->last,
        .path = path,
        .chunks = mem_dup(chunks, chunk_count * sizeof(*chunks)),
        .chunk_count = chunk_count };
    slot->last = number;
}

uint32_t slot_complete_count(const struct slot *slot, uint64_t complete)
{
    uint32_t count = 0;
    while (count < slot->count && slot->segments[count].number <= complete)
        count++;
    return count;
}

uint32_t slot_unpublished_count(const struct slot *slot, uint64_t complete)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < slot_complete_count(slot, complete); i++)
        count += !slot->segments[i].is_published;
    return count;
}

void slot_published(struct slot *slot, uint32_t count, void (*drop)(void *arg, char *path),
    void *arg)
{
    ASSERT(count <= slot->count);
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count - 1; i++) {
        drop(arg, slot->segments[i].path);
        slot->segments[i].path = NULL;
        segment_release(&slot->segments[i]);
    }
    slot->count -= count - 1;
    memmove(slot->segments, slot->segments + count - 1, slot->count * sizeof(slot->segments[0]));
    slot->segments[0].is_published = true;
}

/* -- the item --------------------------------------------------------------------------------------- */

static void put_segment(weir_buffer *out, const struct slot_segment *segment)
{
    const char *slash = strrchr(segment->path, '/');
    buffer_put_u64(out, segment->number);
    buffer_put_u64(out, segment->previous);
    buffer_put_str(out, weir_str_of(slash == NULL ? segment->path : slash + 1));
    buffer_put_u32(out, segment->chunk_count);
    for (uint32_t i = 0; i < segment->chunk_count; i++) {
        buffer_put_u64(out, segment->chunks[i].offset);
        buffer_put_u32(out, segment->chunks[i].records);
        buffer_put_u32(out, segment->chunks[i].size);
    }
}

weir_error *slot_write(const struct slot *slot, weir_buffer *out)
{
    buffer_put_u32(out, ITEM_VERSION);
    buffer_put_u32(out, slot->number);
    buffer_put_u64(out, slot->last);
    buffer_put_u32(out, slot->count);
    buffer_put_u32(out, slot->count > 0 && slot->segments[0].is_published ? 1 : 0);
    for (uint32_t i = 0; i < slot->count; i++)
        put_segment(out, &slot->segments[i]);
    if (!weir_buffer_overflowed(out))
        return NULL;
    return weir_errorf(WEIR_E_LIMIT,
        "the list of transactions that wait to be published does not fit into a checkpoint: make "
        "the sink's chunk_size larger, or checkpoint more often");
}

static weir_error *bad_item(struct weir_item item)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "item '%.*s' of a Kafka sink in the checkpoint is not readable", (int)item.name.size,
        item.name.data);
}

static bool read_head(struct reader *reader, struct weir_item item, uint32_t *version,
    uint32_t *number)
{
    *reader = reader_of(item.value);
    *version = reader_u32(reader);
    *number = reader_u32(reader);
    return !reader_failed(reader) && *version >= 1 && *version <= ITEM_VERSION &&
           *number < SLOTS_MAX;
}

weir_error *slot_number_of(struct weir_item item, uint32_t *number)
{
    struct reader reader;
    uint32_t version;
    return read_head(&reader, item, &version, number) ? NULL : bad_item(item);
}

/* What is read must be what slot_hold made: numbers rise, each knows the one before. */
static bool read_segment(struct reader *reader, const struct slot *slot,
    struct slot_segment *segment, weir_str *name)
{
    segment->number = reader_u64(reader);
    segment->previous = reader_u64(reader);
    *name = reader_str(reader);
    segment->chunk_count = reader_u32(reader);
    if (reader_failed(reader) || segment->chunk_count == 0 || name->data == NULL ||
        slot_is_full(slot) || segment->previous >= segment->number)
        return false;
    if (slot->count > 0 && segment->previous != slot->segments[slot->count - 1].number)
        return false;
    return segment->chunk_count <= (size_t)(reader->end - reader->at) / CHUNK_BYTES;
}

static weir_error *take_segment(struct slot *slot, struct reader *reader, struct weir_item item,
    weir_error *(*find)(void *arg, weir_str name, char **path), void *arg)
{
    struct slot_segment segment = { 0 };
    weir_str name;
    if (!read_segment(reader, slot, &segment, &name))
        return bad_item(item);
    WEIR_TRY(find(arg, name, &segment.path));
    segment.chunks = mem_alloc_array(segment.chunk_count, sizeof(*segment.chunks));
    for (uint32_t i = 0; i < segment.chunk_count; i++) {
        segment.chunks[i].offset = reader_u64(reader);
        segment.chunks[i].records = reader_u32(reader);
        segment.chunks[i].size = reader_u32(reader);
    }
    slot->segments[slot->count++] = segment;
    return NULL;
}

weir_error *slot_read(struct slot *slot, struct weir_item item,
    weir_error *(*find)(void *arg, weir_str name, char **path), void *arg)
{
    struct reader reader;
    uint32_t version, number;
    ASSERT(slot->count == 0 && slot->last == 0);
    if (!read_head(&reader, item, &version, &number) || number != slot->number)
        return bad_item(item);
    uint64_t last = reader_u64(&reader);
    uint32_t count = reader_u32(&reader);
    uint32_t published_count = version == 1 ? 0 : reader_u32(&reader);
    for (uint32_t i = 0; i < count; i++)
        WEIR_TRY(take_segment(slot, &reader, item, find, arg));
    slot->last = last;
    slot->segments[0].is_published = published_count == 1;
    bool fits = slot->count == 0 ? last == 0 : last == slot->segments[slot->count - 1].number;
    fits = fits && published_count <= (slot->count > 0 ? 1 : 0);
    return fits && !reader_failed(&reader) && reader_at_end(&reader) ? NULL : bad_item(item);
}

/* frame.c -- see frame.h; the byte table is in net.h. */
#include "net/frame.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

#define MAGIC         UINT32_C(0x01465257) /* "WRF\1", little-endian */
#define GROW_SIZE     ((size_t)64 << 10)
#define KEEP_SIZE_MAX ((size_t)1 << 20) /* more is given back when its frame is done */

static void put_u32(char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(value >> (8 * i));
}

static uint32_t get_u32(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)(unsigned char)at[i] << (8 * i);
    return value;
}

/* Kind and size are covered too: a flipped bit there would hand a good payload to the wrong reader. */
static uint32_t check_of(const char head[FRAME_HEAD_SIZE], weir_str payload)
{
    struct checksum *checksum = checksum_new();
    checksum_add(checksum, head + 4, 8);
    checksum_add(checksum, payload.data, payload.size);
    uint32_t value = (uint32_t)checksum_value(checksum);
    checksum_free(checksum);
    return value;
}

void frame_head_write(char head[FRAME_HEAD_SIZE], uint32_t kind, weir_str payload)
{
    ASSERT(payload.size <= UINT32_MAX);
    put_u32(head, MAGIC);
    put_u32(head + 4, kind);
    put_u32(head + 8, (uint32_t)payload.size);
    put_u32(head + 12, check_of(head, payload));
}

void frame_reader_init(struct frame_reader *reader, uint32_t size_max)
{
    *reader = (struct frame_reader){ .size_max = size_max };
}

void frame_reader_release(struct frame_reader *reader)
{
    mem_free(reader->bytes);
    *reader = (struct frame_reader){ .size_max = 0 };
}

bool frame_reader_is_inside(const struct frame_reader *reader)
{
    return !reader->is_whole && reader->head_size > 0;
}

static void begin_next(struct frame_reader *reader)
{
    reader->is_whole = false;
    reader->head_size = 0;
    reader->size = 0;
    if (reader->capacity > KEEP_SIZE_MAX) {
        mem_free(reader->bytes);
        reader->bytes = NULL;
        reader->capacity = 0;
    }
}

static weir_str take(weir_str *bytes, size_t size)
{
    if (size > bytes->size)
        size = bytes->size;
    weir_str taken = { .data = bytes->data, .size = size };
    bytes->data += size;
    bytes->size -= size;
    return taken;
}

static weir_error *read_head(struct frame_reader *reader)
{
    if (get_u32(reader->head) != MAGIC)
        return weir_errorf(WEIR_E_CORRUPT,
            "what came is no frame of this version (it begins with %02x %02x %02x %02x): check "
            "that the port "
            "is the right one, that both sides use TLS or neither, and that both are of the same "
            "release",
            (unsigned char)reader->head[0], (unsigned char)reader->head[1],
            (unsigned char)reader->head[2], (unsigned char)reader->head[3]);
    reader->kind = get_u32(reader->head + 4);
    reader->payload_size = get_u32(reader->head + 8);
    reader->check = get_u32(reader->head + 12);
    if (reader->payload_size > reader->size_max)
        return weir_errorf(WEIR_E_LIMIT,
            "a frame of kind %u has %u bytes, at most %u are taken here", reader->kind,
            reader->payload_size, reader->size_max);
    return NULL;
}

static void keep(struct frame_reader *reader, weir_str piece)
{
    if (reader->size + piece.size > reader->capacity) {
        size_t capacity = reader->capacity * 2;
        if (capacity < GROW_SIZE)
            capacity = GROW_SIZE;
        if (capacity < reader->size + piece.size)
            capacity = reader->size + piece.size;
        if (capacity > reader->payload_size)
            capacity = reader->payload_size;
        reader->bytes = mem_realloc(reader->bytes, capacity);
        reader->capacity = capacity;
    }
    memcpy(reader->bytes + reader->size, piece.data, piece.size);
    reader->size += piece.size;
    ASSERT(reader->size <= reader->capacity && reader->size <= reader->payload_size);
}

weir_error *frame_read(struct frame_reader *reader, weir_str *bytes, struct frame *frame,
    bool *is_whole)
{
    *is_whole = false;
    if (reader->is_whole)
        begin_next(reader);
    if (reader->head_size < FRAME_HEAD_SIZE) {
        weir_str piece = take(bytes, FRAME_HEAD_SIZE - reader->head_size);
        if (piece.size == 0)
            return NULL;
        memcpy(reader->head + reader->head_size, piece.data, piece.size);
        reader->head_size += (uint32_t)piece.size;
        if (reader->head_size < FRAME_HEAD_SIZE)
            return NULL;
        WEIR_TRY(read_head(reader));
    }
    weir_str payload = take(bytes, reader->payload_size - reader->size);
    if (reader->size > 0 || payload.size < reader->payload_size) {
        if (payload.size > 0)
            keep(reader, payload);
        if (reader->size < reader->payload_size)
            return NULL;
        payload = (weir_str){ .data = reader->bytes, .size = reader->size };
    }
    if (payload.size == 0)
        payload = WEIR_STR("");
    if (check_of(reader->head, payload) != reader->check)
        return weir_errorf(WEIR_E_CORRUPT,
            "a frame of kind %u with %u bytes has a wrong checksum: it was changed on its way",
            reader->kind, reader->payload_size);
    reader->is_whole = *is_whole = true;
    *frame = (struct frame){ .kind = reader->kind, .payload = payload };
    return NULL;
}

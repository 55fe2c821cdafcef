/* buffer.c -- growable bytes with a maximum, and the little-endian codec on them.
 *
 * Over the maximum nothing more is written until the reset, because half a record is no record; the
 * buffer only remembers. weir_buffer_reserve must still give room, so it gives the `spill`: memory
 * that is written and thrown away. */
#include "base/buffer.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os_process.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>

#define CAPACITY_MIN ((size_t)256)
#define NULL_SIZE    UINT32_C(0xffffffff)

/* Thread: its owner. */
struct weir_buffer {
    char *bytes;
    size_t size;
    size_t capacity; /* of `bytes`, one more than may be used: room for buffer_text's terminator */
    size_t size_max;
    bool has_overflowed;
    char *spill; /* NULL until it is needed */
};

weir_buffer *weir_buffer_new(size_t size_max)
{
    ASSERT(size_max < SIZE_MAX / 2);
    weir_buffer *buffer = mem_alloc(sizeof(*buffer));
    buffer->size_max = size_max;
    buffer->capacity = CAPACITY_MIN;
    buffer->bytes = mem_alloc(buffer->capacity);
    return buffer;
}

void weir_buffer_free(weir_buffer *buffer)
{
    if (buffer == NULL)
        return;
    mem_free(buffer->spill);
    mem_free(buffer->bytes);
    mem_free(buffer);
}

void weir_buffer_reset(weir_buffer *buffer)
{
    buffer->size = 0;
    buffer->has_overflowed = false;
    mem_free(buffer->spill);
    buffer->spill = NULL;
}

/* Makes room for `size` more bytes and a terminator; false, remembered, when that is too much. */
static bool has_room(weir_buffer *buffer, size_t size)
{
    ASSERT(buffer->size < buffer->capacity);
    if (size < buffer->capacity - buffer->size && size <= buffer->size_max - buffer->size)
        return !buffer->has_overflowed;
    if (buffer->has_overflowed || size > buffer->size_max - buffer->size) {
        buffer->has_overflowed = true;
        return false;
    }
    size_t capacity = buffer->capacity * 2;
    if (capacity < buffer->size + size + 1)
        capacity = buffer->size + size + 1;
    if (capacity > buffer->size_max + 1)
        capacity = buffer->size_max + 1;
    buffer->bytes = mem_realloc(buffer->bytes, capacity);
    buffer->capacity = capacity;
    return true;
}

char *weir_buffer_reserve(weir_buffer *buffer, size_t size)
{
    if (has_room(buffer, size))
        return buffer->bytes + buffer->size;
    buffer->spill = mem_realloc(buffer->spill, size);
    return buffer->spill;
}

void weir_buffer_added(weir_buffer *buffer, size_t size)
{
    if (buffer->has_overflowed)
        return;
    ASSERT(size < buffer->capacity - buffer->size);
    buffer->size += size;
}

void weir_buffer_add(weir_buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0 || !has_room(buffer, size))
        return;
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
}

void weir_buffer_add_str(weir_buffer *buffer, weir_str text)
{
    weir_buffer_add(buffer, text.data, text.size);
}

void weir_buffer_add_byte(weir_buffer *buffer, char byte)
{
    if (has_room(buffer, 1))
        buffer->bytes[buffer->size++] = byte;
}

weir_str weir_buffer_view(const weir_buffer *buffer)
{
    return (weir_str){ .data = buffer->bytes, .size = buffer->size };
}

bool weir_buffer_overflowed(const weir_buffer *buffer)
{
    return buffer->has_overflowed;
}

size_t buffer_size(const weir_buffer *buffer)
{
    return buffer->size;
}

weir_error *buffer_to_stdout(weir_buffer *buffer)
{
    weir_str text = weir_buffer_view(buffer);
    weir_error *error =
        weir_buffer_overflowed(buffer)
            ? weir_errorf(WEIR_E_LIMIT, "the output is larger than %zu MB", buffer->size_max >> 20)
            : os_stdout_write(text.data, text.size);
    weir_buffer_free(buffer);
    return error;
}

const char *buffer_text(weir_buffer *buffer)
{
    ASSERT(buffer->size < buffer->capacity);
    buffer->bytes[buffer->size] = '\0';
    return buffer->bytes;
}

void buffer_put_u8(weir_buffer *buffer, uint8_t value)
{
    weir_buffer_add(buffer, &value, sizeof(value));
}

void buffer_put_u32(weir_buffer *buffer, uint32_t value)
{
    uint32_t little = htole32(value);
    weir_buffer_add(buffer, &little, sizeof(little));
}

void buffer_put_u64(weir_buffer *buffer, uint64_t value)
{
    uint64_t little = htole64(value);
    weir_buffer_add(buffer, &little, sizeof(little));
}

void buffer_put_str(weir_buffer *buffer, weir_str text)
{
    if (text.data != NULL && text.size >= NULL_SIZE) {
        buffer->has_overflowed = true;
        return;
    }
    buffer_put_u32(buffer, text.data == NULL ? NULL_SIZE : (uint32_t)text.size);
    if (text.data != NULL)
        weir_buffer_add_str(buffer, text);
}

void buffer_printf(weir_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    ASSERT(size >= 0);
    if (has_room(buffer, (size_t)size)) {
        vsnprintf(buffer->bytes + buffer->size, (size_t)size + 1, format, arguments);
        buffer->size += (size_t)size;
    }
    va_end(arguments);
}

/* -- reading -------------------------------------------------------------------------------- */

struct reader reader_of(weir_str bytes)
{
    ASSERT(bytes.data != NULL || bytes.size == 0);
    const char *start = bytes.data == NULL ? "" : bytes.data;
    return (struct reader){ .at = start, .end = start + bytes.size };
}

/* The next `size` bytes, or NULL, remembered. */
static const char *take(struct reader *reader, size_t size)
{
    DEBUG_ASSERT(reader->at <= reader->end);
    if (reader->has_failed || size > (size_t)(reader->end - reader->at)) {
        reader->has_failed = true;
        return NULL;
    }
    const char *bytes = reader->at;
    reader->at += size;
    return bytes;
}

uint8_t reader_u8(struct reader *reader)
{
    const char *bytes = take(reader, 1);
    return bytes == NULL ? 0 : (uint8_t)*bytes;
}

uint32_t reader_u32(struct reader *reader)
{
    uint32_t little = 0;
    const char *bytes = take(reader, sizeof(little));
    if (bytes != NULL)
        memcpy(&little, bytes, sizeof(little));
    return le32toh(little);
}

uint64_t reader_u64(struct reader *reader)
{
    uint64_t little = 0;
    const char *bytes = take(reader, sizeof(little));
    if (bytes != NULL)
        memcpy(&little, bytes, sizeof(little));
    return le64toh(little);
}

weir_str reader_str(struct reader *reader)
{
    uint32_t size = reader_u32(reader);
    if (reader->has_failed || size == NULL_SIZE)
        return (weir_str){ .data = NULL };
    const char *bytes = take(reader, size);
    return (weir_str){ .data = bytes, .size = bytes == NULL ? 0 : size };
}

const char *reader_text(struct reader *reader, struct arena *arena, size_t size_max)
{
    weir_str str = reader_str(reader);
    if (str.data == NULL || str.size > size_max || memchr(str.data, '\0', str.size) != NULL)
        return NULL;
    char *text = arena_alloc(arena, str.size + 1);
    memcpy(text, str.data, str.size);
    return text;
}

static uint64_t limited(struct reader *reader, uint64_t value, uint64_t max)
{
    if (value <= max)
        return value;
    reader_fail(reader);
    return 0;
}

void reader_fail(struct reader *reader)
{
    reader->has_failed = true;
}

uint8_t reader_u8_max(struct reader *reader, uint8_t max)
{
    return (uint8_t)limited(reader, reader_u8(reader), max);
}

uint32_t reader_u32_max(struct reader *reader, uint32_t max)
{
    return (uint32_t)limited(reader, reader_u32(reader), max);
}

uint64_t reader_u64_max(struct reader *reader, uint64_t max)
{
    return limited(reader, reader_u64(reader), max);
}

bool reader_failed(const struct reader *reader)
{
    return reader->has_failed;
}

bool reader_at_end(const struct reader *reader)
{
    return reader->at == reader->end;
}

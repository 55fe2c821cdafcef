/* kafka_segment.c -- see kafka_segment.h. Prefixes: kafka_segment_, kafka_chunk_ */
#include "connectors/kafka_segment.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"

#include <lz4.h>

#define BLOCK_SIZE  (256u << 10)
#define CHUNKS_MAX  1000000u
#define NULL_LENGTH UINT32_MAX
#define RECORD_HEAD 8 /* its two lengths, bytes */

/* Thread: its holder. */
struct block_header {
    uint32_t raw_size, stored_size;
    uint64_t checksum;
};
_Static_assert(sizeof(struct block_header) == 16, "a block header has 16 bytes");

/* Thread: its holder. */
struct kafka_segment {
    char *path;
    struct os_file *file; /* NULL: no record yet, or finished */
    uint64_t file_size;
    uint32_t chunk_size;
    char *raw; /* records of the open block */
    uint32_t raw_size, raw_room;
    char *packed;
    uint32_t packed_room;
    struct kafka_chunk *chunks;
    uint32_t chunk_count;
    uint64_t record_count;
    bool has_failed; /* a write failed: the file may hold bytes that no list speaks of */
};

struct kafka_segment *kafka_segment_new(const char *path, uint32_t chunk_size)
{
    ASSERT(chunk_size > 0);
    struct kafka_segment *segment = mem_alloc(sizeof(*segment));
    segment->path = mem_strdup(path);
    segment->chunk_size = chunk_size;
    return segment;
}

void kafka_segment_free(struct kafka_segment *segment)
{
    if (segment == NULL)
        return;
    os_close(segment->file);
    mem_free(segment->path);
    mem_free(segment->raw);
    mem_free(segment->packed);
    mem_free(segment->chunks);
    mem_free(segment);
}

static weir_error *write_block(struct kafka_segment *segment)
{
    if (segment->raw_size == 0)
        return NULL;
    uint32_t bound = (uint32_t)LZ4_compressBound((int)segment->raw_size);
    if (segment->packed_room < bound) {
        segment->packed_room = bound;
        segment->packed = mem_realloc(segment->packed, bound);
    }
    int packed = LZ4_compress_default(segment->raw, segment->packed, (int)segment->raw_size,
        (int)segment->packed_room);
    ASSERT(packed > 0);
    struct block_header header = { .raw_size = segment->raw_size,
        .stored_size = (uint32_t)packed,
        .checksum = hash_bytes(segment->packed, (size_t)packed) };
    WEIR_TRY(os_write(segment->file, &header, sizeof(header)));
    WEIR_TRY(os_write(segment->file, segment->packed, (size_t)packed));
    segment->file_size += sizeof(header) + (uint64_t)packed;
    segment->raw_size = 0;
    return NULL;
}

static weir_error *next_chunk(struct kafka_segment *segment)
{
    WEIR_TRY(write_block(segment));
    if (segment->chunk_count == CHUNKS_MAX)
        return weir_errorf(WEIR_E_LIMIT,
            "more than %u transactions of output between two "
            "checkpoints: checkpoint more often",
            CHUNKS_MAX);
    if ((segment->chunk_count & (segment->chunk_count - 1)) == 0) {
        uint32_t room = segment->chunk_count == 0 ? 1 : segment->chunk_count * 2;
        segment->chunks = mem_realloc(segment->chunks, room * sizeof(struct kafka_chunk));
    }
    segment->chunks[segment->chunk_count++] = (struct kafka_chunk){ .offset = segment->file_size };
    return NULL;
}

static char *reserve(struct kafka_segment *segment, uint32_t size)
{
    if (segment->raw_size + size > segment->raw_room) {
        uint32_t room = segment->raw_size + size;
        segment->raw_room = room < 2 * BLOCK_SIZE ? 2 * BLOCK_SIZE : room;
        segment->raw = mem_realloc(segment->raw, segment->raw_room);
    }
    return segment->raw + segment->raw_size;
}

static char *put(char *at, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

/* The open chunk, or a new one if the record does not fit. */
static weir_error *chunk_for(struct kafka_segment *segment, uint32_t size)
{
    if (segment->file == NULL) {
        ASSERT(segment->record_count == 0); /* not after finish */
        WEIR_TRY(os_open(segment->path, OS_TRUNCATE, &segment->file));
        return next_chunk(segment);
    }
    const struct kafka_chunk *chunk = &segment->chunks[segment->chunk_count - 1];
    uint64_t grown = (uint64_t)chunk->size + size;
    if (chunk->records < KAFKA_CHUNK_RECORDS_MAX && grown <= segment->chunk_size)
        return NULL;
    return next_chunk(segment);
}

static weir_error *append(struct kafka_segment *segment, weir_str key, weir_str value)
{
    uint32_t size = (uint32_t)(key.size + value.size);
    WEIR_TRY(chunk_for(segment, size));
    uint32_t lengths[2] = { key.data == NULL ? NULL_LENGTH : (uint32_t)key.size,
        value.data == NULL ? NULL_LENGTH : (uint32_t)value.size };
    char *at = put(reserve(segment, (uint32_t)sizeof(lengths) + size), lengths, sizeof(lengths));
    put(put(at, key.data, key.size), value.data, value.size);
    segment->raw_size += (uint32_t)sizeof(lengths) + size;
    struct kafka_chunk *chunk = &segment->chunks[segment->chunk_count - 1];
    chunk->records++;
    chunk->size += size;
    segment->record_count++;
    return segment->raw_size >= BLOCK_SIZE ? write_block(segment) : NULL;
}

static weir_error *failed_before(const struct kafka_segment *segment)
{
    return weir_errorf(WEIR_E_IO, "staged output '%s' is incomplete: an earlier write to it failed",
        segment->path);
}

weir_error *kafka_segment_add(struct kafka_segment *segment, weir_str key, weir_str value)
{
    ASSERT(key.size <= KAFKA_RECORD_MAX && value.size <= KAFKA_RECORD_MAX - key.size);
    if (segment->has_failed)
        return failed_before(segment);
    weir_error *error = append(segment, key, value);
    segment->has_failed = error != NULL;
    return error;
}

weir_error *kafka_segment_finish(struct kafka_segment *segment)
{
    if (segment->has_failed)
        return failed_before(segment);
    if (segment->file == NULL)
        return NULL;
    weir_error *error = write_block(segment);
    segment->has_failed = error != NULL;
    if (error != NULL)
        return error;
    os_close(segment->file);
    segment->file = NULL;
    return NULL;
}

uint64_t kafka_segment_record_count(const struct kafka_segment *segment)
{
    return segment->record_count;
}

const struct kafka_chunk *kafka_segment_chunks(const struct kafka_segment *segment, uint32_t *count)
{
    *count = segment->chunk_count;
    return segment->chunks;
}

/* -- reading ------------------------------------------------------------------------------------- */

/* Thread: its holder. */
struct block_reader {
    const char *path;
    struct os_file *file;
    uint64_t offset;
    struct kafka_chunk_buffer *buffer;
};

void kafka_chunk_buffer_release(struct kafka_chunk_buffer *buffer)
{
    mem_free(buffer->raw);
    mem_free(buffer->packed);
    *buffer = (struct kafka_chunk_buffer){ 0 };
}

static weir_error *broken(const struct block_reader *reader, const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "staged output '%s' is broken at byte %llu: %s; restore an older checkpoint", reader->path,
        (unsigned long long)reader->offset, what);
}

static weir_error *read_exactly(struct block_reader *reader, void *bytes, size_t size)
{
    size_t got;
    WEIR_TRY(os_read_at(reader->file, reader->offset, bytes, size, &got));
    if (got != size)
        return broken(reader, "it ends too early");
    reader->offset += size;
    return NULL;
}

/* What the file really has decides how much room is made, not what a list says. */
static void make_room(char **bytes, size_t *room, size_t size)
{
    if (size < *room)
        return;
    *room = size < 2 * *room ? 2 * *room : size + 1;
    *bytes = mem_realloc(*bytes, *room);
}

/* Unpacks the next block behind those that are in the buffer. */
static weir_error *read_block(struct block_reader *reader)
{
    struct kafka_chunk_buffer *buffer = reader->buffer;
    struct block_header header;
    WEIR_TRY(read_exactly(reader, &header, sizeof(header)));
    uint32_t raw_max = BLOCK_SIZE + KAFKA_RECORD_MAX + 8;
    if (header.raw_size > raw_max || header.stored_size > (uint32_t)LZ4_compressBound((int)raw_max))
        return broken(reader, "a length is impossible");
    make_room(&buffer->raw, &buffer->raw_room, buffer->raw_size + header.raw_size);
    make_room(&buffer->packed, &buffer->packed_room, header.stored_size);
    WEIR_TRY(read_exactly(reader, buffer->packed, header.stored_size));
    if (hash_bytes(buffer->packed, header.stored_size) != header.checksum)
        return broken(reader, "the checksum is wrong");
    if (LZ4_decompress_safe(buffer->packed, buffer->raw + buffer->raw_size, (int)header.stored_size,
            (int)header.raw_size) != (int)header.raw_size)
        return broken(reader, "it does not unpack");
    buffer->raw_size += header.raw_size;
    return NULL;
}

static weir_str view(const char **at, uint32_t length)
{
    if (length == NULL_LENGTH)
        return (weir_str){ .data = NULL };
    weir_str it = { .data = *at, .size = length };
    *at += length;
    return it;
}

static weir_error *read_records(const struct block_reader *reader, uint32_t *count,
    kafka_chunk_fn *each, void *arg)
{
    const char *at = reader->buffer->raw, *end = at + reader->buffer->raw_size;
    for (*count = 0; at < end; ++*count) {
        uint32_t lengths[2];
        if ((size_t)(end - at) < sizeof(lengths))
            return broken(reader, "a record is cut");
        memcpy(lengths, at, sizeof(lengths));
        at += sizeof(lengths);
        uint64_t size = (lengths[0] == NULL_LENGTH ? 0 : (uint64_t)lengths[0]) +
                        (lengths[1] == NULL_LENGTH ? 0 : (uint64_t)lengths[1]);
        if (size > (uint64_t)(end - at))
            return broken(reader, "a record is cut");
        weir_str key = view(&at, lengths[0]);
        weir_str value = view(&at, lengths[1]);
        WEIR_TRY(each(arg, key, value));
    }
    return NULL;
}

static weir_error *read_chunk(struct block_reader *reader, const struct kafka_chunk *chunk,
    kafka_chunk_fn *each, void *arg)
{
    uint64_t listed = (uint64_t)chunk->size + (uint64_t)chunk->records * RECORD_HEAD;
    uint32_t count;
    do
        WEIR_TRY(read_block(reader));
    while (reader->buffer->raw_size < listed);
    if (reader->buffer->raw_size > listed)
        return broken(reader, "it holds more records than listed");
    WEIR_TRY(read_records(reader, &count, each, arg));
    return count == chunk->records ? NULL : broken(reader, "it holds other records than listed");
}

weir_error *kafka_chunk_read(const char *path, const struct kafka_chunk *chunk,
    struct kafka_chunk_buffer *buffer, kafka_chunk_fn *each, void *arg)
{
    struct block_reader reader = { .path = path, .offset = chunk->offset, .buffer = buffer };
    buffer->raw_size = 0;
    WEIR_TRY(os_open(path, OS_READ, &reader.file));
    weir_error *error = read_chunk(&reader, chunk, each, arg);
    os_close(reader.file);
    return error;
}

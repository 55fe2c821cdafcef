/* savepoint_entry.c -- see savepoint_entry.h. */
#include "checkpoint/savepoint_entry.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "types/msgpack.h"

#include <inttypes.h>

#define PAIR       0x92 /* MessagePack: an array of two */
#define BLOCK_SIZE ((size_t)256 << 10)

/* -- writing -------------------------------------------------------------------------------- */

struct entry_writer {
    struct os_file *file;
    struct checksum *checksum;
    weir_buffer *buffer;
    uint64_t length;
};

weir_error *entry_writer_open(const char *path, struct entry_writer **writer)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_CREATE, &file));
    struct entry_writer *it = *writer = mem_alloc(sizeof(*it));
    it->file = file;
    it->checksum = checksum_new();
    it->buffer = weir_buffer_new(BLOCK_SIZE + SAVEPOINT_PAIR_MAX);
    return NULL;
}

static weir_error *write_out(struct entry_writer *writer)
{
    weir_str bytes = weir_buffer_view(writer->buffer);
    WEIR_TRY(os_write(writer->file, bytes.data, bytes.size));
    checksum_add(writer->checksum, bytes.data, bytes.size);
    writer->length += bytes.size;
    weir_buffer_reset(writer->buffer);
    return NULL;
}

weir_error *entry_writer_add(struct entry_writer *writer, const struct savepoint_entry *entry,
    const struct weir_type *type, const void *record)
{
    size_t before = buffer_size(writer->buffer);
    weir_buffer_add_byte(writer->buffer, (char)PAIR);
    msgpack_encode(&savepoint_entry_type, entry, writer->buffer);
    msgpack_encode(type, record, writer->buffer);
    if (weir_buffer_overflowed(writer->buffer) ||
        buffer_size(writer->buffer) - before > SAVEPOINT_PAIR_MAX)
        return weir_errorf(WEIR_E_LIMIT, "an entry of type '%s' is larger than %zu bytes",
            type->name, SAVEPOINT_PAIR_MAX);
    return buffer_size(writer->buffer) < BLOCK_SIZE ? NULL : write_out(writer);
}

weir_error *entry_writer_finish(struct entry_writer *writer, struct state_file *file)
{
    WEIR_TRY(write_out(writer));
    WEIR_TRY(os_sync(writer->file));
    file->length = writer->length;
    file->checksum = checksum_value(writer->checksum);
    return NULL;
}

void entry_writer_free(struct entry_writer *writer)
{
    if (writer == NULL)
        return;
    os_close(writer->file);
    checksum_free(writer->checksum);
    weir_buffer_free(writer->buffer);
    mem_free(writer);
}

/* -- reading -------------------------------------------------------------------------------- */

struct entry_reader {
    struct os_file *file;
    char *path;
    char *bytes; /* room */
    size_t capacity;
    size_t start, end; /* what has been read and not taken */
    uint64_t offset;   /* in the file, of `start` */
    bool is_at_end;    /* of the file */
};

weir_error *entry_reader_open(const char *path, struct entry_reader **reader)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_READ, &file));
    struct entry_reader *it = *reader = mem_alloc(sizeof(*it));
    it->file = file;
    it->path = mem_strdup(path);
    it->capacity = BLOCK_SIZE;
    it->bytes = mem_alloc(it->capacity);
    return NULL;
}

void entry_reader_free(struct entry_reader *reader)
{
    if (reader == NULL)
        return;
    os_close(reader->file);
    mem_free(reader->path);
    mem_free(reader->bytes);
    mem_free(reader);
}

/* More bytes behind those that are not taken; room for one pair is doubled until it is the largest. */
static weir_error *fill(struct entry_reader *reader)
{
    size_t left = reader->end - reader->start, got;
    memmove(reader->bytes, reader->bytes + reader->start, left);
    reader->start = 0;
    reader->end = left;
    if (left == reader->capacity) {
        reader->capacity *= 2;
        reader->bytes = mem_realloc(reader->bytes, reader->capacity);
    }
    size_t room = reader->capacity - left;
    WEIR_TRY(os_read(reader->file, reader->bytes + left, room, &got));
    reader->end += got;
    reader->is_at_end = got < room;
    return NULL;
}

static weir_error *damaged(const struct entry_reader *reader, const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT, "%s is corrupt: %s at byte %" PRIu64, reader->path, what,
        reader->offset);
}

/* The next whole pair; *pair NULL data: the end of the file. */
static weir_error *pair_take(struct entry_reader *reader, weir_str *pair)
{
    for (;;) {
        weir_str left = { .data = reader->bytes + reader->start,
            .size = reader->end - reader->start };
        if (msgpack_take(&left, pair)) {
            reader->start += pair->size;
            return NULL;
        }
        *pair = (weir_str){ .data = NULL };
        if (reader->is_at_end && left.size == 0)
            return NULL;
        if (reader->is_at_end || left.size >= SAVEPOINT_PAIR_MAX)
            return damaged(reader, "no whole entry is");
        WEIR_TRY(fill(reader));
    }
}

weir_error *entry_reader_next(struct entry_reader *reader, struct savepoint_entry *entry,
    weir_str *value, bool *found)
{
    weir_str pair, head;
    WEIR_TRY(pair_take(reader, &pair));
    *found = pair.data != NULL;
    if (!*found)
        return NULL;
    uint64_t size = pair.size;
    if ((unsigned char)pair.data[0] != PAIR)
        return damaged(reader, "what is no entry is");
    pair.data++;
    pair.size--;
    if (!msgpack_take(&pair, &head) || !msgpack_take(&pair, value))
        return damaged(reader, "what is no entry is");
    weir_error *error = msgpack_decode(&savepoint_entry_type, head, NULL, entry);
    if (error != NULL || entry->key.data == NULL) {
        weir_error_free(error);
        return damaged(reader, "an entry without a sound head is");
    }
    reader->offset += size;
    return NULL;
}

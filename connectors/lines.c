/* lines.c -- one memchr per line; see lines.h for the picture. */
#include "connectors/lines.h"

#include "base/assert.h"
#include "base/memory.h"

#define HEAD_SIZE_MAX ((size_t)WEIR_DEAD_LETTER_RAW_MAX)

void lines_init(struct lines *lines, size_t block_size, size_t size_max)
{
    ASSERT(block_size > 0 && size_max > 0);
    *lines = (struct lines){ .capacity = block_size + size_max, .size_max = size_max };
    lines->buffer = mem_alloc(lines->capacity);
    lines->head = mem_alloc(HEAD_SIZE_MAX);
}

void lines_release(struct lines *lines)
{
    mem_free(lines->buffer);
    mem_free(lines->head);
    *lines = (struct lines){ .capacity = 0 };
}

void lines_start(struct lines *lines, uint64_t offset)
{
    lines->at = lines->end = lines->scanned = 0;
    lines->offset = offset;
    lines->is_at_end = false;
    lines->head_size = 0;
    lines->long_size = 0;
}

/* Takes the first `size` bytes of the buffer as part of the long line. */
static void swallow(struct lines *lines, size_t size)
{
    size_t room = HEAD_SIZE_MAX - lines->head_size;
    size_t kept = size < room ? size : room;
    memcpy(lines->head + lines->head_size, lines->buffer + lines->at, kept);
    lines->head_size += kept;
    lines->long_size += size;
    lines->at += size;
    lines->scanned = lines->at;
}

char *lines_room(struct lines *lines, size_t *size)
{
    ASSERT(!lines->is_at_end);
    size_t partial = lines->end - lines->at;
    ASSERT(lines->scanned == lines->end); /* every complete line has been taken */
    if (partial > lines->size_max || lines->long_size > 0) {
        swallow(lines, partial);
        partial = 0;
    }
    if (partial > 0 && lines->at > 0)
        memmove(lines->buffer, lines->buffer + lines->at, partial);
    lines->at = 0;
    lines->end = lines->scanned = partial;
    *size = lines->capacity - partial;
    return lines->buffer + partial;
}

void lines_filled(struct lines *lines, size_t size)
{
    ASSERT(size <= lines->capacity - lines->end);
    lines->end += size;
    lines->is_at_end = size == 0;
}

static void give_long(struct lines *lines, struct line *line)
{
    *line = (struct line){ .bytes = { .data = lines->head, .size = lines->head_size },
        .size = lines->long_size,
        .offset = lines->offset,
        .is_long = true };
    lines->offset += lines->long_size;
    lines->head_size = 0;
    lines->long_size = 0;
}

static void give(struct lines *lines, size_t size, struct line *line)
{
    bool is_long = size > lines->size_max;
    *line = (struct line){ .bytes = { .data = lines->buffer + lines->at, .size = size },
        .size = size,
        .offset = lines->offset,
        .is_long = is_long };
    if (is_long && size > HEAD_SIZE_MAX)
        line->bytes.size = HEAD_SIZE_MAX;
    lines->offset += size;
    lines->at += size;
}

/* Gives the bytes up to `border`, which is a line feed or the end of the stream. */
static void take_until(struct lines *lines, size_t border, struct line *line)
{
    if (lines->long_size > 0) {
        swallow(lines, border - lines->at);
        give_long(lines, line);
    } else {
        give(lines, border - lines->at, line);
    }
    ASSERT(lines->at == border);
}

bool lines_take(struct lines *lines, struct line *line)
{
    const char *from = lines->buffer + lines->scanned;
    const char *feed = memchr(from, '\n', lines->end - lines->scanned);
    if (feed != NULL) {
        take_until(lines, (size_t)(feed - lines->buffer), line);
        lines->at++; /* the line feed itself */
        lines->offset++;
        lines->scanned = lines->at;
        return true;
    }
    lines->scanned = lines->end;
    if (!lines->is_at_end || (lines->at == lines->end && lines->long_size == 0))
        return false;
    take_until(lines, lines->end, line);
    return true;
}

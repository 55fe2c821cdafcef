/* changes.c -- records copied behind each other; rows are multiples of 4 bytes, cells are not. */
#include "state/changes.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

#define CAPACITY_MIN ((size_t)64 << 10)
#define UNIT         4u

/* In place of a size. */
#define SIZE_FOLLOWS 254u
#define SIZE_GONE    255u

static size_t padded(size_t size)
{
    return (size + UNIT - 1) & ~(size_t)(UNIT - 1);
}

void changes_release(struct changes *changes)
{
    mem_free(changes->bytes);
    *changes = (struct changes){ 0 };
}

void changes_unload(struct changes *changes)
{
    mem_free(changes->bytes);
    changes->bytes = NULL;
    changes->capacity = 0;
}

void changes_give_room(struct changes *from, struct changes *to)
{
    ASSERT(to->bytes == NULL);
    to->bytes = from->bytes;
    to->capacity = from->capacity;
    from->bytes = NULL;
    from->capacity = 0;
}

void changes_make_room(struct changes *changes)
{
    if (changes->bytes != NULL && changes->capacity >= changes->size)
        return;
    mem_free(changes->bytes);
    changes->bytes = mem_realloc(NULL, changes->size); /* zeros would be written for nothing */
    changes->capacity = changes->size;
}

/* Room for `size` more bytes, not zeroed. */
static char *take(struct changes *changes, size_t size)
{
    if (__builtin_expect(changes->size + size > changes->capacity, 0)) {
        size_t capacity = changes->capacity == 0 ? CAPACITY_MIN : changes->capacity * 2;
        while (capacity < changes->size + size)
            capacity *= 2;
        changes->bytes = mem_realloc(changes->bytes, capacity);
        changes->capacity = capacity;
    }
    char *at = changes->bytes + changes->size;
    changes->size += size;
    return at;
}

static struct change_row *row_being_made(const struct changes *changes)
{
    return (struct change_row *)(void *)(changes->bytes + changes->row_start);
}

void changes_begin(struct changes *changes, const struct row_key *key, bool is_cleared)
{
    changes->row_start = changes->size;
    char *at = take(changes, sizeof(struct change_row) + padded(key->key.size));
    struct change_row *row = (struct change_row *)(void *)at;
    *row = (struct change_row){ .key_size = (uint32_t)key->key.size,
        .group = (uint16_t)key->group,
        .state = (uint8_t)key->state,
        .is_cleared = is_cleared };
    if (key->key.size > 0)
        memcpy(at + sizeof(*row), key->key.data, key->key.size);
}

static char *put_size(char *at, size_t size)
{
    uint32_t stored = (uint32_t)size;
    if (__builtin_expect(size < SIZE_FOLLOWS, 1))
        return at;
    memcpy(at, &stored, sizeof(stored));
    return at + sizeof(stored);
}

void changes_add(struct changes *changes, weir_str name, weir_str value)
{
    bool is_gone = value.data == NULL;
    size_t value_size = is_gone ? 0 : value.size;
    size_t more = (name.size < SIZE_FOLLOWS ? 0 : sizeof(uint32_t)) +
                  (value_size < SIZE_FOLLOWS ? 0 : sizeof(uint32_t));
    char *at = take(changes, 2 + more + name.size + value_size);
    *at++ = (char)(name.size < SIZE_FOLLOWS ? name.size : SIZE_FOLLOWS);
    *at++ = (char)(is_gone ? SIZE_GONE : value_size < SIZE_FOLLOWS ? value_size : SIZE_FOLLOWS);
    at = put_size(put_size(at, name.size), value_size);
    if (name.size > 0)
        memcpy(at, name.data, name.size);
    if (value_size > 0)
        memcpy(at + name.size, value.data, value_size);
    row_being_made(changes)->cell_count++;
}

bool changes_end(struct changes *changes)
{
    struct change_row *row = row_being_made(changes);
    if (row->cell_count == 0 && !row->is_cleared) {
        changes->size = changes->row_start;
        return false;
    }
    size_t padding = padded(changes->size) - changes->size;
    memset(take(changes, padding), 0, padding);
    row = row_being_made(changes);
    uint64_t units = (changes->size - changes->row_start) / UNIT;
    ASSERT(units <= UINT32_MAX);
    row->units = (uint32_t)units;
    changes->row_count++;
    changes->cell_count += row->cell_count;
    changes->cleared_count += row->is_cleared;
    return true;
}

void changes_drop(struct changes *changes)
{
    changes->size = changes->row_start;
}

/* -- reading -------------------------------------------------------------------------------- */

static uint64_t row_size(const struct change_row *row)
{
    return (uint64_t)row->units * UNIT;
}

const struct change_row *changes_next(const struct changes *changes, const struct change_row *row)
{
    if (changes->size == 0)
        return NULL; /* there may be no bytes at all */
    const char *at = row == NULL ? changes->bytes : (const char *)row + row_size(row);
    if (at == changes->bytes + changes->size)
        return NULL;
    return (const struct change_row *)(const void *)at;
}

struct row_key change_row_key(const struct change_row *row)
{
    return (struct row_key){ .key = { .data = (const char *)(row + 1), .size = row->key_size },
        .group = row->group,
        .state = row->state };
}

struct change_cells change_cells(const struct change_row *row)
{
    return (struct change_cells){ .at = (const char *)(row + 1) + padded(row->key_size),
        .left = row->cell_count };
}

/* The size that this byte stands for, and what follows. */
static uint32_t read_size(unsigned char byte, const char **at)
{
    uint32_t size = byte;
    if (__builtin_expect(byte >= SIZE_FOLLOWS, 0)) {
        if (byte == SIZE_GONE)
            return 0;
        memcpy(&size, *at, sizeof(size));
        *at += sizeof(size);
    }
    return size;
}

bool change_cells_next(struct change_cells *cells, weir_str *name, weir_str *value)
{
    if (cells->left == 0)
        return false;
    cells->left--;
    const char *at = cells->at + 2;
    unsigned char name_byte = (unsigned char)cells->at[0], value_byte = (unsigned char)cells->at[1];
    uint32_t name_size = read_size(name_byte, &at);
    uint32_t value_size = read_size(value_byte, &at);
    *name = (weir_str){ .data = at, .size = name_size };
    at += name_size;
    *value = (weir_str){ .data = value_byte == SIZE_GONE ? NULL : at, .size = value_size };
    cells->at = at + value_size;
    return true;
}

/* -- trusting ------------------------------------------------------------------------------- */

/* `at` is a cell's offset in the row; false: it does not end within it. */
static bool skip_cell(const char *row, uint64_t size, uint64_t *at)
{
    if (size - *at < 2)
        return false;
    unsigned char bytes[2];
    memcpy(bytes, row + *at, sizeof(bytes));
    uint64_t follow = (bytes[0] >= SIZE_FOLLOWS) + (uint64_t)(bytes[1] == SIZE_FOLLOWS);
    if (bytes[0] == SIZE_GONE || size - *at < 2 + follow * sizeof(uint32_t))
        return false;
    const char *sizes = row + *at + 2;
    uint64_t needed = 2 + follow * sizeof(uint32_t);
    needed += read_size(bytes[0], &sizes);
    needed += read_size(bytes[1], &sizes);
    if (size - *at < needed)
        return false;
    *at += needed;
    return true;
}

/* Behind the last cell is padding only. */
static bool is_row_sound(const char *bytes, uint64_t size_max, struct change_row *row)
{
    if (size_max < sizeof(*row))
        return false;
    memcpy(row, bytes, sizeof(*row));
    uint64_t size = row_size(row), at = sizeof(*row) + padded(row->key_size);
    if (row->is_cleared > 1 || size > size_max || size < at)
        return false;
    for (uint32_t i = 0; i < row->cell_count; i++)
        if (!skip_cell(bytes, size, &at))
            return false;
    return size == padded(at);
}

bool changes_are_sound(const struct changes *changes)
{
    uint64_t rows = 0, cells = 0, cleared = 0;
    for (size_t at = 0; at < changes->size; rows++) {
        struct change_row row;
        if (!is_row_sound(changes->bytes + at, changes->size - at, &row))
            return false;
        cells += row.cell_count;
        cleared += row.is_cleared;
        at += row_size(&row);
    }
    return rows == changes->row_count && cells == changes->cell_count &&
           cleared == changes->cleared_count;
}

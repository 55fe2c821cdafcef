/* changes.c -- records copied behind each other; row records are multiples of 8 bytes, cells of 4. */
#include "state/changes.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

#define CAPACITY_MIN ((size_t)64 << 10)

static size_t padded(size_t size, size_t unit)
{
    return (size + unit - 1) & ~(unit - 1);
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
    char *at = take(changes, sizeof(struct change_row) + padded(key->key.size, 4));
    struct change_row *row = (struct change_row *)(void *)at;
    *row = (struct change_row){ .key_size = (uint32_t)key->key.size,
        .group = (uint16_t)key->group,
        .state = (uint8_t)key->state,
        .is_cleared = is_cleared };
    if (key->key.size > 0)
        memcpy(at + sizeof(*row), key->key.data, key->key.size);
}

void changes_add(struct changes *changes, weir_str name, weir_str value)
{
    struct change_cell cell = { .name_size = (uint32_t)name.size,
        .value_size = value.data == NULL ? CHANGE_GONE : (uint32_t)value.size };
    size_t value_size = value.data == NULL ? 0 : value.size;
    char *at = take(changes, sizeof(cell) + padded(name.size + value_size, 4));
    memcpy(at, &cell, sizeof(cell));
    if (name.size > 0)
        memcpy(at + sizeof(cell), name.data, name.size);
    if (value_size > 0)
        memcpy(at + sizeof(cell) + name.size, value.data, value_size);
    row_being_made(changes)->cell_count++;
}

bool changes_end(struct changes *changes)
{
    struct change_row *row = row_being_made(changes);
    if (row->cell_count == 0 && !row->is_cleared) {
        changes->size = changes->row_start;
        return false;
    }
    take(changes, padded(changes->size, 8) - changes->size);
    row = row_being_made(changes);
    row->size = changes->size - changes->row_start;
    changes->row_count++;
    changes->cell_count += row->cell_count;
    changes->cleared_count += row->is_cleared;
    return true;
}

/* -- reading -------------------------------------------------------------------------------- */

const struct change_row *changes_next(const struct changes *changes, const struct change_row *row)
{
    const char *at = row == NULL ? changes->bytes : (const char *)row + row->size;
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

const struct change_cell *change_cell_next(const struct change_row *row,
    const struct change_cell *cell, weir_str *name, weir_str *value)
{
    const char *at = (const char *)(row + 1) + padded(row->key_size, 4);
    if (cell != NULL) {
        size_t value_size = cell->value_size == CHANGE_GONE ? 0 : cell->value_size;
        at = (const char *)(cell + 1) + padded(cell->name_size + value_size, 4);
    }
    /* less than a cell is left: padding */
    if ((size_t)((const char *)row + row->size - at) < sizeof(*cell))
        return NULL;
    cell = (const struct change_cell *)(const void *)at;
    at += sizeof(*cell);
    *name = (weir_str){ .data = at, .size = cell->name_size };
    bool is_gone = cell->value_size == CHANGE_GONE;
    *value = (weir_str){ .data = is_gone ? NULL : at + cell->name_size,
        .size = is_gone ? 0 : cell->value_size };
    return cell;
}

/* -- trusting ------------------------------------------------------------------------------- */

/* `at` is a cell's offset in the row; false: it does not end within it. */
static bool skip_cell(const char *row, uint64_t size, uint64_t *at)
{
    struct change_cell cell;
    if (size - *at < sizeof(cell))
        return false;
    memcpy(&cell, row + *at, sizeof(cell));
    uint64_t value_size = cell.value_size == CHANGE_GONE ? 0 : cell.value_size;
    uint64_t needed = sizeof(cell) + padded(cell.name_size + value_size, 4);
    if (size - *at < needed)
        return false;
    *at += needed;
    return true;
}

/* Behind the last cell is less than a cell: change_cell_next ends there. */
static bool is_row_sound(const char *bytes, uint64_t size_max, struct change_row *row)
{
    if (size_max < sizeof(*row))
        return false;
    memcpy(row, bytes, sizeof(*row));
    uint64_t at = sizeof(*row) + padded(row->key_size, 4);
    if (row->is_cleared > 1 || row->size % 8 != 0 || row->size > size_max || row->size < at)
        return false;
    for (uint32_t i = 0; i < row->cell_count; i++)
        if (!skip_cell(bytes, row->size, &at))
            return false;
    return row->size - at < sizeof(struct change_cell);
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
        at += row.size;
    }
    return rows == changes->row_count && cells == changes->cell_count &&
           cleared == changes->cleared_count;
}

/* changes.h -- what a cache has to tell the store: a flat list of rows and their changed entries.
 *
 * It is made on the task thread at a barrier, so adding is copying bytes and nothing else; sorting and
 * writing is for whoever takes it. Records lie behind each other in one buffer:
 *
 *      row     size of the record, key size, number of cells, group, state, is_cleared, key
 *      cell    name size, value size or CHANGE_GONE, name, value           in order of their names
 *      cell    ...
 *
 * A cleared row loses what the store has of it before its cells are written. A row is at most once in a
 * list.
 *
 * Prefixes: changes_, change_
 * Thread: task while it is made, then its owner. Limit: the cache that it was copied from. */
#ifndef WEIR_STATE_CHANGES_H
#define WEIR_STATE_CHANGES_H

#include "state/backend.h"

#define CHANGE_GONE UINT32_MAX

/* Thread: its owner. */
struct change_row {
    uint64_t size; /* of the record: the next row is behind it */
    uint32_t key_size;
    uint32_t cell_count;
    uint16_t group;
    uint8_t state;
    uint8_t is_cleared; /* 0 or 1 */
    uint8_t unused[4];
};
_Static_assert(sizeof(struct change_row) == 24, "multiple of 8, no gaps");

/* Thread: its owner. */
struct change_cell {
    uint32_t name_size;
    uint32_t value_size; /* CHANGE_GONE: there is no such entry any more */
};

/* Thread: its owner. Zeroed is empty. */
struct changes {
    char *bytes;
    size_t size, capacity;
    size_t row_start; /* of the row being made */
    uint64_t row_count, cell_count, cleared_count;
};

void changes_release(struct changes *changes);
/* Frees the bytes only: sizes and counts stay. */
void changes_unload(struct changes *changes);
/* A row with its cells; it is dropped again if it ends without any and is not cleared: false. */
void changes_begin(struct changes *changes, const struct row_key *key, bool is_cleared);
void changes_add(struct changes *changes, weir_str name, weir_str value); /* NULL data: gone */
bool changes_end(struct changes *changes);

/* Whether a list that comes from disk can be read: sizes and counts add up, in one walk. */
bool changes_are_sound(const struct changes *changes);

/* The first row (NULL given) or the next one; NULL: no more. Valid until the list changes. */
const struct change_row *changes_next(const struct changes *changes, const struct change_row *row);
struct row_key change_row_key(const struct change_row *row); /* its hash is not known: 0 */
/* The same for the cells of a row, with views of name and value (NULL data: gone). */
const struct change_cell *change_cell_next(const struct change_row *row,
    const struct change_cell *cell, weir_str *name, weir_str *value);

#endif

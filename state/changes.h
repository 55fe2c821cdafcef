/* changes.h -- what a cache has to tell the store: a flat list of rows and their changed entries.
 *
 * It is made on the task thread at a barrier, so adding is copying bytes and nothing else; sorting and
 * writing is for whoever takes it. Records lie behind each other in one buffer:
 *
 *      row     struct change_row, key, zeros up to a multiple of 4
 *      cell    a byte for the size of the name, one for that of the value, name, value
 *      cell    ...                                              in order of their names
 *              zeros up to a multiple of 4
 *
 * The byte of a size is 254 when the size itself follows the two bytes, as u32 in the byte order of the
 * machine: of the name first, then of the value. 255 in place of a value's: there is no such entry any more.
 * Most names and values are short, and what a checkpoint writes are cells.
 *
 * A cleared row loses what the store has of it before its cells are written. A row is at most once in a
 * list.
 *
 * Prefixes: changes_, change_
 * Thread: task while it is made, then its owner. Limits: the cache that it was copied from; 16 GiB a row. */
#ifndef WEIR_STATE_CHANGES_H
#define WEIR_STATE_CHANGES_H

#include "state/backend.h"

/* Thread: its owner. */
struct change_row {
    uint32_t units; /* of 4 bytes, of the record: the next row is behind it */
    uint32_t key_size;
    uint32_t cell_count;
    uint16_t group;
    uint8_t state;
    uint8_t is_cleared; /* 0 or 1 */
};
_Static_assert(sizeof(struct change_row) == 16, "multiple of 4, no gaps");

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
/* A buffer for as many bytes as the list has; what is in it is not said. */
void changes_make_room(struct changes *changes);
/* Gives the buffer, not what is in it, to a list that has none. */
void changes_give_room(struct changes *from, struct changes *to);
/* A row with its cells; it is dropped again if it ends without any and is not cleared: false. */
void changes_begin(struct changes *changes, const struct row_key *key, bool is_cleared);
void changes_add(struct changes *changes, weir_str name, weir_str value); /* NULL data: gone */
bool changes_end(struct changes *changes);
void changes_drop(
    struct changes *changes); /* instead of the end: takes back the row that was begun */

/* Whether a list that comes from disk can be read: sizes and counts add up, in one walk. */
bool changes_are_sound(const struct changes *changes);

/* The first row (NULL given) or the next one; NULL: no more. Valid until the list changes. */
const struct change_row *changes_next(const struct changes *changes, const struct change_row *row);
struct row_key change_row_key(const struct change_row *row); /* its hash is not known: 0 */
/* The cells of a row, one by one. Thread: its owner. */
struct change_cells {
    const char *at;
    uint32_t left;
};
struct change_cells change_cells(const struct change_row *row);
/* Views of the next one's name and value (NULL data: gone); false: no more. */
bool change_cells_next(struct change_cells *cells, weir_str *name, weir_str *value);

#endif

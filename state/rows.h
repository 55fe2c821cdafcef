/* rows.h -- a table of rows in memory: what the hashmap and the cache are made of.
 *
 *      slots   [ hash | row ] [ hash | row ] [ - ] ...   open addressing, linear probing
 *                        |
 *      row     sizes, key, the value of the empty entry  one block
 *              entries ---> the named entries            entries.h, NULL: none
 *
 * A value or reducing state is one block with its key: a read-modify-write touches the slot and the
 * row, two cache lines. Growing the table moves slots, never rows; a row moves only when the value of
 * its empty entry outgrows its room, so pointers into values keep what backend.h promises. Its owner may
 * have rows moved (rows_move) when nobody holds such a pointer.
 *
 * Rows, entries and leaves are blocks of one slab a table: releasing the table does not look at rows.
 *
 * Removing shifts the slots behind it back, so there are no tombstones and probes stay short whatever
 * the history. The table is at most 3/4 full and halves below 1/8. Growing rehashes all slots at once:
 * about 10 ns a row, once per doubling.
 *
 * What a row's and an entry's flags mean is the owner's business; they start as zero, and a row that
 * moves keeps them.
 *
 * Prefixes: rows_, row_
 * Private to state. Thread: task. Limits: ROW_PART_MAX bytes a key, entry or value. */
#ifndef WEIR_STATE_ROWS_H
#define WEIR_STATE_ROWS_H

#include "state/entries.h"
#include "state/slab.h"

#define ROW_PART_MAX   (64u << 20)
#define ROW_VALUE_NONE UINT32_MAX

/* Thread: task. */
struct row {
    struct entries *entries;
    uint32_t key_size;
    uint32_t value_size; /* ROW_VALUE_NONE: the empty entry does not exist */
    uint32_t value_capacity;
    uint32_t dirty; /* the cache's: where it is among the dirty rows; 0: nowhere */
    uint16_t group;
    uint16_t frozen; /* the cache's: the last freeze that took something of it */
    uint8_t state;
    uint8_t flags, value_flags;
    uint8_t heat;
    char bytes[]; /* the key, zeros up to a multiple of 8, the value */
};
_Static_assert(sizeof(struct row) == 32, "header and a short key share a cache line");

/* Thread: task. */
struct slot {
    uint64_t hash;   /* of state and key */
    struct row *row; /* NULL: free */
};

/* Thread: task. */
struct rows {
    struct slot *slots;
    uint64_t slot_count; /* a power of two */
    uint64_t row_count;
    struct slab slab; /* of rows and entries */
};

void rows_init(struct rows *rows);
void rows_release(struct rows *rows);        /* frees all rows */
uint64_t rows_size(const struct rows *rows); /* bytes taken from the system, all of it */

/* Of key and state: the one in a row's slot. */
uint64_t rows_hash(const struct row_key *key);
struct slot *rows_find(const struct rows *rows, const struct row_key *key); /* NULL: missing */
/* Of a row that is there. */
struct slot *rows_slot_of(const struct rows *rows, uint64_t slot_hash, const struct row *row);
/* A row that is missing; slots move. Its value has room for value_capacity bytes. */
struct slot *rows_add(struct rows *rows, const struct row_key *key, size_t value_capacity);
/* Frees the row and closes the gap: slots behind it move. */
void rows_delete(struct rows *rows, struct slot *slot);
/* Halves a table that is nearly empty: slots move. */
void rows_shrink(struct rows *rows);
/* Hints that a row will be looked for, the second a few rows after the first: its slot; `size` bytes of the row. */
void rows_prefetch_slot(const struct rows *rows, uint64_t key_hash, uint32_t state);
void rows_prefetch_row(const struct rows *rows, uint64_t key_hash, uint32_t state, size_t size);
/* Hint: these rows will be looked for, and their entries. */
void rows_prefetch(const struct rows *rows, const struct row_key *keys, uint32_t key_count);
/* Hint: all of these rows will be read; at most BACKEND_PREFETCH_MAX. */
void rows_prefetch_found(struct row *const *found, uint32_t count);

/* Gives the row in this slot room for a value of `size` bytes; the row may move. */
struct row *rows_reserve(struct rows *rows, struct slot *slot, size_t size);
/* As entries_put, _edit, _remove, _free. */
struct entry *rows_put_entry(struct rows *rows, struct row *row, weir_str name, size_t size,
    bool *is_new);
struct entry *rows_edit_entry(struct rows *rows, struct row *row, weir_str name, size_t size,
    bool *is_new);
void rows_remove_entry(struct rows *rows, struct row *row, weir_str name);
void rows_free_entries(struct rows *rows, struct row *row);
/* Moves what slab_move moves of the row in this slot; where the row is now. */
struct row *rows_move(struct rows *rows, struct slot *slot);

/* The bytes of the slab that it uses. */
uint64_t row_size(const struct row *row);
/* NULL unless key, entry name and value fit; `who` is the backend for the message. */
weir_error *row_check_size(const struct row_key *key, weir_str entry, size_t value_size,
    const char *who) WEIR_MUST_USE;
/* What an edit says about an entry of another size. */
weir_error *row_wrong_size(const struct row_key *key, uint32_t found, size_t wanted) WEIR_MUST_USE;
/* The key of the row in this slot, borrowed. */
struct row_key row_key_of(const struct slot *slot);

static inline weir_str row_key_bytes(const struct row *row)
{
    return (weir_str){ .data = row->bytes, .size = row->key_size };
}
static inline char *row_value_bytes(struct row *row)
{
    return row->bytes + ((row->key_size + 7u) & ~7u);
}
/* Of a row that has one. */
static inline weir_str row_value(const struct row *row)
{
    return (weir_str){ .data = row->bytes + ((row->key_size + 7u) & ~7u), .size = row->value_size };
}

#endif

/* hashmap.h -- inside of the hashmap backend: the table of rows, shared by its verbs and its file.
 *
 *      slots   [ hash | row ] [ hash | row ] [ - ] ...   open addressing, linear probing
 *                        |
 *      row     sizes, key, the value of the empty entry  one block
 *              entries ---> the named entries            entries.h, NULL: none
 *
 * A value or reducing state is one block with its key: a read-modify-write touches the slot and the
 * row, two cache lines. Growing the table moves slots, never rows; a row moves only when the value of
 * its empty entry outgrows its room, so pointers into values keep what backend.h promises.
 *
 * Removing shifts the slots behind it back, so there are no tombstones and probes stay short whatever
 * the history. The table is at most 3/4 full and halves below 1/8. Growing rehashes all slots at once:
 * about 10 ns a row, once per doubling; it is a table for state that fits into memory many times.
 *
 * Private to state/hashmap*. Thread: task. Limits: HASHMAP_PART_MAX bytes a key, entry or value. */
#ifndef WEIR_STATE_HASHMAP_H
#define WEIR_STATE_HASHMAP_H

#include "base/buffer.h"
#include "state/entries.h"

#define HASHMAP_PART_MAX (64u << 20)
#define VALUE_NONE       UINT32_MAX

/* Thread: task. */
struct row {
    uint64_t hash; /* of state and key */
    struct entries *entries;
    uint32_t key_size;
    uint32_t value_size; /* VALUE_NONE: the empty entry does not exist */
    uint32_t value_capacity;
    uint16_t group;
    uint8_t state;
    uint8_t unused;
    char bytes[]; /* the key, zeros up to a multiple of 8, the value */
};
_Static_assert(sizeof(struct row) == 32, "header and a short key share a cache line");

/* Thread: task. */
struct slot {
    uint64_t hash;
    struct row *row; /* NULL: free */
};

/* Thread: task. */
struct hashmap {
    struct backend backend;
    struct slot *slots;
    uint64_t slot_count; /* a power of two */
    uint64_t row_count;
    uint64_t rows_size; /* bytes of rows and entries */
    uint64_t sweep_slot;
    uint32_t sweep_leaf;
    uint64_t attempt;
    char *directory; /* NULL: none */
    char *checkpoint_dir;
    struct group_range groups;
};

/* The row, made when it is missing and `may_add`; NULL: missing. */
struct slot *hashmap_slot(struct hashmap *map, const struct row_key *key, bool may_add);
/* Sets an entry of the row in this slot; the row may move. */
void hashmap_set(struct hashmap *map, struct slot *slot, weir_str entry, weir_str value);

static inline weir_str hashmap_row_key(const struct row *row)
{
    return (weir_str){ .data = row->bytes, .size = row->key_size };
}
static inline char *hashmap_row_value(struct row *row)
{
    return row->bytes + ((row->key_size + 7u) & ~7u);
}

/* -- its file, hashmap_file.c ------------------------------------------------------------------- */

weir_error *hashmap_freeze(struct hashmap *map, struct backend_snapshot **snapshot);
weir_error *hashmap_snapshot_write(struct backend_snapshot *snapshot, struct arena *arena,
    struct state_file **files, uint32_t *file_count);
void hashmap_snapshot_free(struct backend_snapshot *snapshot);
/* Adds the wanted groups of a source. */
weir_error *hashmap_load(struct hashmap *map, const struct backend_source *source);

#endif

/* entries.h -- the named entries of one row in memory, in byte order of their names.
 *
 * A sorted list cut into leaves: a leaf is a sorted array of up to 64 items, and a second array lists
 * the leaves in order. Finding is two binary searches, putting moves at most one leaf's items and,
 * once in 32 new entries, the list of leaves; iterating is a walk. A million entries are 16 to 32
 * thousand leaves: this needs no third level.
 *
 *      leaves   [ head | leaf ] [ head | leaf ] ...                   head: the leaf's first name
 *                    |               |
 *      leaf     [ head | entry ]...  [ head | entry ]...              sorted
 *                    |
 *      entry    sizes, value bytes, name bytes                        one block: it never moves
 *
 * The head is the first eight bytes of a name as a big-endian number, zeros behind a shorter one: most
 * comparisons end there and touch no entry. A new name behind all others opens a new leaf instead of
 * splitting the last one, so lists (whose names only grow) fill their leaves.
 *
 * Leaves can be marked, so that whoever looks for changes in a long row need not look everywhere.
 *
 * Entries are blocks of their own: a pointer to a value stays valid until this entry's value grows, the
 * entry is removed, or entries_move is called, whatever happens to others.
 *
 * Most rows have few entries: one leaf, which is not listed, so a row of three costs 32 bytes, a leaf of 72
 * and its entries. All blocks come from the slab of the row's table, which each verb that needs it is
 * given: a pointer in each row would be a tenth of such a row.
 *
 * Thread: its owner. Limits: names and values below 4 GiB, 4 G entries. */
#ifndef WEIR_STATE_ENTRIES_H
#define WEIR_STATE_ENTRIES_H

#include "state/backend.h"
#include "state/slab.h"

/* Thread: its owner. */
struct entry {
    uint32_t name_size;
    uint32_t value_size;
    uint32_t value_capacity; /* the name starts behind it */
    uint8_t flags;           /* the owner's; zero at first */
    uint8_t unused[3];
    char value[]; /* aligned to 8 */
};

struct entries; /* Thread: its owner */
struct entries *entries_new(struct slab *slab);
void entries_free(struct entries *entries, struct slab *slab); /* NULL is fine */
/* Hint: some of them will be looked for. First what leads to them; true: and then entries_prefetch_each, when
 * that has had time to arrive: the first `max` of them, and how many those are. */
bool entries_prefetch(const struct entries *entries);
uint32_t entries_prefetch_each(const struct entries *entries, uint32_t max);
uint64_t entries_count(const struct entries *entries);
uint64_t entries_size(const struct entries *entries); /* bytes of the slab, all of it */

weir_str entry_name(const struct entry *entry);
weir_str entry_value(const struct entry *entry);

struct entry *entries_find(const struct entries *entries, weir_str name); /* NULL: none */
/* The same, and its leaf is marked. */
struct entry *entries_mark(struct entries *entries, weir_str name);
void entries_mark_all(struct entries *entries);
/* One by one those whose names start with prefix, in order; NULL: no more. The one that was given last must not be
 * removed meanwhile; others may, and new ones put, of which those behind it are given. */
struct entries_cursor {
    uint32_t leaf, item;
    uint32_t version;
    const struct entry *given;
};
struct entry *entries_first(const struct entries *entries, weir_str prefix,
    struct entries_cursor *cursor);
struct entry *entries_next(const struct entries *entries, weir_str prefix,
    struct entries_cursor *cursor);
/* The entry of this name with a value of `size` bytes: of a new one they are zero, of one that was
 * there the first ones are kept. Marks its leaf. */
struct entry *entries_put(struct entries *entries, struct slab *slab, weir_str name, size_t size,
    bool *is_new);
/* The same, but one that was there keeps its size. */
struct entry *entries_edit(struct entries *entries, struct slab *slab, weir_str name, size_t size,
    bool *is_new);
bool entries_remove(struct entries *entries, struct slab *slab, weir_str name);
/* Those whose name starts with prefix, in order; false: the callback has stopped it. It may do what a cursor allows. */
bool entries_each(const struct entries *entries, weir_str prefix, backend_entry_fn *each,
    void *arg);
/* Looks at one leaf, the `*cursor`th, removes its dead entries and moves the cursor on; false: that
 * was the last one. Start with 0; changes in between may make it skip or repeat some. */
typedef bool entries_is_dead_fn(void *arg, struct entry *entry);
bool entries_sweep(struct entries *entries, struct slab *slab, uint32_t *cursor,
    entries_is_dead_fn *is_dead, void *arg);
/* The same for the next marked leaf, whose mark it takes away. */
bool entries_sweep_marked(struct entries *entries, struct slab *slab, uint32_t *cursor,
    entries_is_dead_fn *is_dead, void *arg);
/* Moves all blocks that are in the way (slab_move); where the entries are now. */
struct entries *entries_move(struct entries *entries, struct slab *slab);

#endif

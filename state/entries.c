/* entries.c -- see entries.h for the picture.
 *
 * Invariants: no leaf is empty; leaves[i].head is the head of its first item; items of a leaf, and
 * leaves, are strictly ascending by name. A row with few entries has one small leaf: leaves grow from
 * LEAF_MIN items to LEAF_MAX, because a million rows with three entries each must not pay for 64. One leaf
 * needs no list; a list that has grown is kept, however few leaves are left.
 *
 * `size` is the sum of slab_block_size over all blocks. */
#include "state/entries.h"

#include "base/assert.h"
#include "base/memory.h"

#include <endian.h>

#define LEAF_MIN 2u
#define LEAF_MAX 64u

/* Prefixes: entries_, entry_ */

/* Thread: its owner. */
struct item {
    uint64_t head;
    struct entry *entry;
};

/* Thread: its owner. */
struct leaf {
    uint32_t count;
    uint16_t capacity;
    bool is_marked;
    struct item items[];
};

/* Thread: its owner. */
struct leaf_ref {
    uint64_t head;
    struct leaf *leaf;
};

struct entries {
    union {
        struct leaf *only;       /* while leaf_capacity is 1 */
        struct leaf_ref *leaves; /* else */
    };
    uint64_t size;
    uint32_t count;
    uint32_t leaf_count, leaf_capacity;
    uint32_t version; /* another one whenever items may have moved */
};
_Static_assert(sizeof(struct entries) == 32, "a million small rows have one each");

/* Where a name is or would be. Thread: its owner. */
struct place {
    uint32_t leaf, item;
    bool is_found;
};

/* -- entries -------------------------------------------------------------------------------- */

static size_t entry_bytes(const struct entry *entry)
{
    return sizeof(*entry) + entry->value_capacity + entry->name_size;
}

weir_str entry_name(const struct entry *entry)
{
    return (weir_str){ .data = entry->value + entry->value_capacity, .size = entry->name_size };
}

weir_str entry_value(const struct entry *entry)
{
    return (weir_str){ .data = entry->value, .size = entry->value_size };
}

static struct entry *entry_new(struct entries *entries, struct slab *slab, weir_str name,
    size_t size)
{
    ASSERT(name.size <= UINT32_MAX / 2 && size <= UINT32_MAX / 2);
    struct entry *entry = slab_alloc(slab, sizeof(*entry) + size + name.size);
    entry->name_size = (uint32_t)name.size;
    entry->value_size = entry->value_capacity = (uint32_t)size;
    if (name.size > 0)
        memcpy(entry->value + size, name.data, name.size);
    entries->size += slab_block_size(entry_bytes(entry));
    return entry;
}

static void entry_free(struct entries *entries, struct slab *slab, struct entry *entry)
{
    size_t size = entry_bytes(entry);
    entries->size -= slab_block_size(size);
    slab_free(slab, entry, size);
}

/* Gives the item's entry room for `size` bytes of value, growing by half so that a value that gets
 * longer and longer is not copied each time. */
static void resize(struct entries *entries, struct slab *slab, struct item *item, size_t size)
{
    struct entry *old = item->entry;
    if (size > old->value_capacity) {
        ASSERT(size <= UINT32_MAX / 2);
        size_t capacity = old->value_capacity + old->value_capacity / 2;
        struct entry *entry =
            entry_new(entries, slab, entry_name(old), capacity > size ? capacity : size);
        memcpy(entry->value, old->value, old->value_size);
        entry->flags = old->flags;
        entry_free(entries, slab, old);
        item->entry = entry;
    }
    item->entry->value_size = (uint32_t)size;
}

/* -- the list of leaves ----------------------------------------------------------------------- */

static struct leaf *leaf_at(const struct entries *entries, uint32_t index)
{
    return entries->leaf_capacity == 1 ? entries->only : entries->leaves[index].leaf;
}

/* Its first item is another one, or the leaf has moved. */
static void set_leaf(struct entries *entries, uint32_t index, struct leaf *leaf)
{
    if (entries->leaf_capacity == 1)
        entries->only = leaf;
    else
        entries->leaves[index] = (struct leaf_ref){ .head = leaf->items[0].head, .leaf = leaf };
}

static size_t list_bytes(uint32_t capacity)
{
    return capacity == 1 ? 0 : capacity * sizeof(struct leaf_ref);
}

/* Twice as long; a list of one is no block. */
static void leaves_grow(struct entries *entries, struct slab *slab)
{
    uint32_t capacity = entries->leaf_capacity * 2;
    struct leaf_ref *leaves = slab_alloc(slab, list_bytes(capacity));
    entries->size += slab_block_size(list_bytes(capacity));
    if (entries->leaf_capacity == 1) {
        leaves[0] =
            (struct leaf_ref){ .head = entries->only->items[0].head, .leaf = entries->only };
    } else {
        size_t size = list_bytes(entries->leaf_capacity);
        memcpy(leaves, entries->leaves, size);
        entries->size -= slab_block_size(size);
        slab_free(slab, entries->leaves, size);
    }
    entries->leaves = leaves;
    entries->leaf_capacity = capacity;
}

/* -- order ---------------------------------------------------------------------------------- */

static uint64_t head_of(weir_str name)
{
    uint64_t head = 0;
    if (name.size > 0)
        memcpy(&head, name.data, name.size < sizeof(head) ? name.size : sizeof(head));
    return be64toh(head);
}

/* Order of a name (and its head) against an item's. */
static int compare(uint64_t head, weir_str name, const struct item *item)
{
    if (head != item->head)
        return head < item->head ? -1 : 1;
    return weir_str_compare(name, entry_name(item->entry));
}

/* The last leaf that starts at or before the name; 0 when all start behind it. */
static uint32_t find_leaf(const struct entries *entries, uint64_t head, weir_str name)
{
    uint32_t low = 0, high = entries->leaf_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        const struct leaf_ref *ref = &entries->leaves[middle];
        bool is_before = head < ref->head ||
                         (head == ref->head && compare(head, name, &ref->leaf->items[0]) < 0);
        if (is_before)
            high = middle;
        else
            low = middle;
    }
    return low;
}

static struct place find(const struct entries *entries, uint64_t head, weir_str name)
{
    struct place place = { 0 };
    if (entries->leaf_count == 0)
        return place;
    place.leaf = find_leaf(entries, head, name);
    const struct leaf *leaf = leaf_at(entries, place.leaf);
    uint32_t low = 0, high = leaf->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(head, name, &leaf->items[middle]);
        if (order == 0)
            return (struct place){ .leaf = place.leaf, .item = middle, .is_found = true };
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    place.item = low;
    return place;
}

/* -- leaves --------------------------------------------------------------------------------- */

static size_t leaf_bytes(uint32_t capacity)
{
    return sizeof(struct leaf) + capacity * sizeof(struct item);
}

static struct leaf *leaf_new(struct entries *entries, struct slab *slab, uint16_t capacity)
{
    struct leaf *leaf = slab_alloc(slab, leaf_bytes(capacity));
    leaf->capacity = capacity;
    entries->size += slab_block_size(leaf_bytes(capacity));
    return leaf;
}

static void leaf_free(struct entries *entries, struct slab *slab, struct leaf *leaf)
{
    size_t size = leaf_bytes(leaf->capacity);
    entries->size -= slab_block_size(size);
    slab_free(slab, leaf, size);
}

/* Lists `leaf` at `index`, moving the later ones up. */
static void leaves_insert(struct entries *entries, struct slab *slab, uint32_t index,
    struct leaf *leaf)
{
    if (entries->leaf_capacity == 0)
        entries->leaf_capacity = 1;
    else if (entries->leaf_count == entries->leaf_capacity)
        leaves_grow(entries, slab);
    if (entries->leaf_capacity > 1) {
        struct leaf_ref *at = entries->leaves + index;
        memmove(at + 1, at, (entries->leaf_count - index) * sizeof(*at));
    }
    set_leaf(entries, index, leaf);
    entries->leaf_count++;
}

static void leaves_delete(struct entries *entries, struct slab *slab, uint32_t index)
{
    leaf_free(entries, slab, leaf_at(entries, index));
    entries->leaf_count--;
    if (entries->leaf_capacity == 1)
        return;
    struct leaf_ref *at = entries->leaves + index;
    memmove(at, at + 1, (entries->leaf_count - index) * sizeof(*at));
}

static struct leaf *leaf_grow(struct entries *entries, struct slab *slab, struct leaf *old)
{
    struct leaf *leaf = leaf_new(entries, slab, (uint16_t)(old->capacity * 2));
    memcpy(leaf->items, old->items, old->count * sizeof(old->items[0]));
    leaf->count = old->count;
    leaf->is_marked = old->is_marked;
    leaf_free(entries, slab, old);
    return leaf;
}

/* Makes room in a full leaf of LEAF_MAX items and gives the place where the new name now belongs. */
static struct place split(struct entries *entries, struct slab *slab, struct place place)
{
    struct leaf *leaf = leaf_at(entries, place.leaf);
    bool is_last = place.leaf + 1 == entries->leaf_count && place.item == LEAF_MAX;
    struct leaf *right = leaf_new(entries, slab, is_last ? LEAF_MIN : LEAF_MAX);
    uint32_t kept = is_last ? LEAF_MAX : LEAF_MAX / 2;
    right->count = LEAF_MAX - kept;
    right->is_marked = leaf->is_marked;
    leaf->count = kept;
    memcpy(right->items, leaf->items + kept, right->count * sizeof(right->items[0]));
    leaves_insert(entries, slab, place.leaf + 1, right);
    if (is_last || place.item > kept)
        place = (struct place){ .leaf = place.leaf + 1, .item = place.item - kept };
    return place;
}

/* Joins the leaf with the one behind it when both fit into half a leaf, so that removals here and
 * there leave no long row of nearly empty leaves. */
static void join(struct entries *entries, struct slab *slab, uint32_t index)
{
    if (index + 1 >= entries->leaf_count)
        return;
    struct leaf *leaf = leaf_at(entries, index), *next = leaf_at(entries, index + 1);
    uint32_t count = leaf->count + next->count;
    if (count > LEAF_MAX / 2)
        return;
    ASSERT(leaf->capacity == LEAF_MAX); /* only the last leaf may be smaller: see split */
    memcpy(leaf->items + leaf->count, next->items, next->count * sizeof(leaf->items[0]));
    leaf->count = count;
    leaf->is_marked |= next->is_marked;
    leaves_delete(entries, slab, index + 1);
}

/* -- the verbs ------------------------------------------------------------------------------ */

struct entries *entries_new(struct slab *slab)
{
    struct entries *entries = slab_alloc(slab, sizeof(*entries));
    entries->size = slab_block_size(sizeof(*entries));
    return entries;
}

void entries_free(struct entries *entries, struct slab *slab)
{
    if (entries == NULL)
        return;
    for (uint32_t i = 0; i < entries->leaf_count; i++) {
        struct leaf *leaf = leaf_at(entries, i);
        for (uint32_t j = 0; j < leaf->count; j++)
            entry_free(entries, slab, leaf->items[j].entry);
        leaf_free(entries, slab, leaf);
    }
    if (entries->leaf_capacity > 1)
        slab_free(slab, entries->leaves, list_bytes(entries->leaf_capacity));
    slab_free(slab, entries, sizeof(*entries));
}

/* Of a row with one leaf: all of it. */
bool entries_prefetch(const struct entries *entries)
{
    if (entries->leaf_capacity != 1 || entries->leaf_count == 0)
        return false;
    for (size_t at = 0; at < leaf_bytes(entries->count); at += MEM_LINE_SIZE)
        __builtin_prefetch((const char *)entries->only + at);
    return true;
}

/* The name, behind the value, is often in the second line. */
uint32_t entries_prefetch_each(const struct entries *entries, uint32_t max)
{
    uint32_t count = entries->only->count < max ? entries->only->count : max;
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(entries->only->items[i].entry);
        __builtin_prefetch((const char *)entries->only->items[i].entry + MEM_LINE_SIZE);
    }
    return count;
}

uint64_t entries_count(const struct entries *entries)
{
    return entries->count;
}

uint64_t entries_size(const struct entries *entries)
{
    return entries->size;
}

struct entry *entries_find(const struct entries *entries, weir_str name)
{
    struct place place = find(entries, head_of(name), name);
    return place.is_found ? leaf_at(entries, place.leaf)->items[place.item].entry : NULL;
}

struct entry *entries_mark(struct entries *entries, weir_str name)
{
    struct place place = find(entries, head_of(name), name);
    if (!place.is_found)
        return NULL;
    struct leaf *leaf = leaf_at(entries, place.leaf);
    leaf->is_marked = true;
    return leaf->items[place.item].entry;
}

void entries_mark_all(struct entries *entries)
{
    for (uint32_t i = 0; i < entries->leaf_count; i++)
        leaf_at(entries, i)->is_marked = true;
}

static bool starts_with(weir_str name, weir_str prefix)
{
    return name.size >= prefix.size && memcmp(name.data, prefix.data, prefix.size) == 0;
}

static struct entry *entry_under(const struct entries *entries, weir_str prefix,
    struct entries_cursor *cursor)
{
    cursor->version = entries->version;
    cursor->given = NULL;
    if (cursor->leaf < entries->leaf_count &&
        cursor->item == leaf_at(entries, cursor->leaf)->count) {
        cursor->leaf++;
        cursor->item = 0;
    }
    if (cursor->leaf >= entries->leaf_count)
        return NULL;
    struct entry *entry = leaf_at(entries, cursor->leaf)->items[cursor->item].entry;
    if (prefix.size > 0 && !starts_with(entry_name(entry), prefix))
        return NULL;
    cursor->given = entry;
    return entry;
}

struct entry *entries_first(const struct entries *entries, weir_str prefix,
    struct entries_cursor *cursor)
{
    struct place place = { 0 };
    if (prefix.size > 0)
        place = find(entries, head_of(prefix), prefix);
    cursor->leaf = place.leaf;
    cursor->item = place.item;
    return entry_under(entries, prefix, cursor);
}

struct entry *entries_next(const struct entries *entries, weir_str prefix,
    struct entries_cursor *cursor)
{
    if (__builtin_expect(cursor->version != entries->version, 0)) {
        weir_str name = entry_name(cursor->given);
        struct place place = find(entries, head_of(name), name);
        ASSERT(place.is_found);
        cursor->leaf = place.leaf;
        cursor->item = place.item;
    }
    cursor->item++;
    return entry_under(entries, prefix, cursor);
}

/* A leaf with room at the place. */
static struct leaf *make_room(struct entries *entries, struct slab *slab, struct place *place)
{
    if (entries->leaf_count == 0)
        leaves_insert(entries, slab, 0, leaf_new(entries, slab, LEAF_MIN));
    struct leaf *leaf = leaf_at(entries, place->leaf);
    if (leaf->count < leaf->capacity)
        return leaf;
    if (leaf->count < LEAF_MAX)
        return leaf_grow(entries, slab, leaf);
    *place = split(entries, slab, *place);
    return leaf_at(entries, place->leaf);
}

static struct entry *insert(struct entries *entries, struct slab *slab, struct place place,
    uint64_t head, struct entry *entry)
{
    ASSERT(entries->count < UINT32_MAX);
    struct leaf *leaf = make_room(entries, slab, &place);
    struct item *at = leaf->items + place.item;
    memmove(at + 1, at, (leaf->count - place.item) * sizeof(*at));
    *at = (struct item){ .head = head, .entry = entry };
    leaf->count++;
    leaf->is_marked = true;
    set_leaf(entries, place.leaf, leaf);
    entries->count++;
    entries->version++;
    DEBUG_ASSERT(leaf->count <= leaf->capacity);
    return entry;
}

/* Marks its leaf. NULL: it was there, in `*item`. */
static struct entry *add_or_find(struct entries *entries, struct slab *slab, weir_str name,
    size_t size, struct item **item)
{
    uint64_t head = head_of(name);
    struct place place = find(entries, head, name);
    if (!place.is_found)
        return insert(entries, slab, place, head, entry_new(entries, slab, name, size));
    struct leaf *leaf = leaf_at(entries, place.leaf);
    leaf->is_marked = true;
    *item = &leaf->items[place.item];
    return NULL;
}

struct entry *entries_put(struct entries *entries, struct slab *slab, weir_str name, size_t size,
    bool *is_new)
{
    struct item *item;
    struct entry *added = add_or_find(entries, slab, name, size, &item);
    *is_new = added != NULL;
    if (added != NULL)
        return added;
    resize(entries, slab, item, size);
    return item->entry;
}

struct entry *entries_edit(struct entries *entries, struct slab *slab, weir_str name, size_t size,
    bool *is_new)
{
    struct item *item;
    struct entry *added = add_or_find(entries, slab, name, size, &item);
    *is_new = added != NULL;
    return added != NULL ? added : item->entry;
}

bool entries_remove(struct entries *entries, struct slab *slab, weir_str name)
{
    struct place place = find(entries, head_of(name), name);
    if (!place.is_found)
        return false;
    struct leaf *leaf = leaf_at(entries, place.leaf);
    struct item *at = leaf->items + place.item;
    entry_free(entries, slab, at->entry);
    leaf->count--;
    entries->count--;
    entries->version++;
    memmove(at, at + 1, (leaf->count - place.item) * sizeof(*at));
    if (leaf->count == 0) {
        leaves_delete(entries, slab, place.leaf);
        return true;
    }
    set_leaf(entries, place.leaf, leaf);
    if (leaf->count <= LEAF_MAX / 4)
        join(entries, slab, place.leaf);
    return true;
}

bool entries_each(const struct entries *entries, weir_str prefix, backend_entry_fn *each, void *arg)
{
    struct entries_cursor cursor;
    const struct entry *entry = entries_first(entries, prefix, &cursor);
    for (; entry != NULL; entry = entries_next(entries, prefix, &cursor))
        if (!each(arg, entry_name(entry), entry_value(entry)))
            return false;
    return true;
}

bool entries_sweep(struct entries *entries, struct slab *slab, uint32_t *cursor,
    entries_is_dead_fn *is_dead, void *arg)
{
    if (*cursor >= entries->leaf_count)
        return false;
    struct leaf *leaf = leaf_at(entries, *cursor);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < leaf->count; i++) {
        struct item item = leaf->items[i];
        if (is_dead(arg, item.entry)) {
            entries->count--;
            entries->version++;
            entry_free(entries, slab, item.entry);
        } else {
            leaf->items[kept++] = item;
        }
    }
    leaf->count = kept;
    if (kept == 0)
        leaves_delete(entries, slab, *cursor);
    else
        set_leaf(entries, (*cursor)++, leaf);
    return *cursor < entries->leaf_count;
}

bool entries_sweep_marked(struct entries *entries, struct slab *slab, uint32_t *cursor,
    entries_is_dead_fn *is_dead, void *arg)
{
    while (*cursor < entries->leaf_count && !leaf_at(entries, *cursor)->is_marked)
        *cursor += 1;
    if (*cursor >= entries->leaf_count)
        return false;
    leaf_at(entries, *cursor)->is_marked = false;
    return entries_sweep(entries, slab, cursor, is_dead, arg);
}

struct entries *entries_move(struct entries *old, struct slab *slab)
{
    struct entries *entries = slab_move(slab, old, sizeof(*old));
    if (entries->leaf_capacity > 1)
        entries->leaves = slab_move(slab, entries->leaves, list_bytes(entries->leaf_capacity));
    for (uint32_t i = 0; i < entries->leaf_count; i++) {
        struct leaf *leaf = leaf_at(entries, i);
        leaf = slab_move(slab, leaf, leaf_bytes(leaf->capacity));
        set_leaf(entries, i, leaf);
        for (uint32_t j = 0; j < leaf->count; j++)
            leaf->items[j].entry =
                slab_move(slab, leaf->items[j].entry, entry_bytes(leaf->items[j].entry));
    }
    return entries;
}

/* entries.c -- see entries.h for the picture.
 *
 * Invariants: no leaf is empty; leaves[i].head is the head of its first item; items of a leaf, and
 * leaves, are strictly ascending by name. A row with few entries has one small leaf: leaves grow from
 * 4 items to LEAF_MAX, because a million rows with three entries each must not pay for 64. */
#include "state/entries.h"

#include "base/assert.h"
#include "base/memory.h"

#include <endian.h>

#define LEAF_MIN 4u
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
    struct leaf_ref *leaves;
    uint32_t leaf_count, leaf_capacity;
    uint64_t count;
    uint64_t size;
};

/* Where a name is or would be. Thread: its owner. */
struct place {
    uint32_t leaf, item;
    bool is_found;
};

/* -- entries -------------------------------------------------------------------------------- */

static size_t entry_block_size(const struct entry *entry)
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

static struct entry *entry_new(weir_str name, size_t size)
{
    ASSERT(name.size <= UINT32_MAX / 2 && size <= UINT32_MAX / 2);
    struct entry *entry = mem_alloc(sizeof(*entry) + size + name.size);
    entry->name_size = (uint32_t)name.size;
    entry->value_size = entry->value_capacity = (uint32_t)size;
    if (name.size > 0)
        memcpy(entry->value + size, name.data, name.size);
    return entry;
}

/* Gives the item's entry room for `size` bytes of value, growing by half so that a value that gets
 * longer and longer is not copied each time. */
static void resize(struct entries *entries, struct item *item, size_t size)
{
    struct entry *old = item->entry;
    if (size > old->value_capacity) {
        ASSERT(size <= UINT32_MAX / 2);
        size_t capacity = old->value_capacity + old->value_capacity / 2;
        struct entry *entry = entry_new(entry_name(old), capacity > size ? capacity : size);
        memcpy(entry->value, old->value, old->value_size);
        entry->flags = old->flags;
        entries->size += entry_block_size(entry) - entry_block_size(old);
        mem_free(old);
        item->entry = entry;
    }
    item->entry->value_size = (uint32_t)size;
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
    const struct leaf *leaf = entries->leaves[place.leaf].leaf;
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

static size_t leaf_block_size(uint32_t capacity)
{
    return sizeof(struct leaf) + capacity * sizeof(struct item);
}

static struct leaf *leaf_new(struct entries *entries, uint16_t capacity)
{
    struct leaf *leaf = mem_alloc(leaf_block_size(capacity));
    leaf->capacity = capacity;
    entries->size += leaf_block_size(capacity);
    return leaf;
}

static void leaf_free(struct entries *entries, struct leaf *leaf)
{
    entries->size -= leaf_block_size(leaf->capacity);
    mem_free(leaf);
}

/* Lists `leaf` at `index`, moving the later ones up. */
static void leaves_insert(struct entries *entries, uint32_t index, struct leaf *leaf)
{
    if (entries->leaf_count == entries->leaf_capacity) {
        uint32_t capacity = entries->leaf_capacity == 0 ? 1 : entries->leaf_capacity * 2;
        entries->size += (capacity - entries->leaf_capacity) * sizeof(*entries->leaves);
        entries->leaves = mem_realloc(entries->leaves, capacity * sizeof(*entries->leaves));
        entries->leaf_capacity = capacity;
    }
    struct leaf_ref *at = entries->leaves + index;
    memmove(at + 1, at, (entries->leaf_count - index) * sizeof(*at));
    at->leaf = leaf;
    entries->leaf_count++;
}

static void leaves_delete(struct entries *entries, uint32_t index)
{
    struct leaf_ref *at = entries->leaves + index;
    leaf_free(entries, at->leaf);
    entries->leaf_count--;
    memmove(at, at + 1, (entries->leaf_count - index) * sizeof(*at));
}

static void leaf_grow(struct entries *entries, struct leaf_ref *ref)
{
    uint16_t capacity = (uint16_t)(ref->leaf->capacity * 2);
    entries->size += leaf_block_size(capacity) - leaf_block_size(ref->leaf->capacity);
    ref->leaf = mem_realloc(ref->leaf, leaf_block_size(capacity));
    ref->leaf->capacity = capacity;
}

/* Makes room in a full leaf of LEAF_MAX items and gives the place where the new name now belongs. */
static struct place split(struct entries *entries, struct place place)
{
    struct leaf *leaf = entries->leaves[place.leaf].leaf;
    bool is_last = place.leaf + 1 == entries->leaf_count && place.item == LEAF_MAX;
    struct leaf *right = leaf_new(entries, is_last ? LEAF_MIN : LEAF_MAX);
    leaves_insert(entries, place.leaf + 1, right);
    uint32_t kept = is_last ? LEAF_MAX : LEAF_MAX / 2;
    right->count = LEAF_MAX - kept;
    right->is_marked = leaf->is_marked;
    leaf->count = kept;
    memcpy(right->items, leaf->items + kept, right->count * sizeof(right->items[0]));
    if (right->count > 0)
        entries->leaves[place.leaf + 1].head = right->items[0].head;
    if (is_last || place.item > kept)
        place = (struct place){ .leaf = place.leaf + 1, .item = place.item - kept };
    return place;
}

/* Joins the leaf with the one behind it when both fit into half a leaf, so that removals here and
 * there leave no long row of nearly empty leaves. */
static void join(struct entries *entries, uint32_t index)
{
    if (index + 1 >= entries->leaf_count)
        return;
    struct leaf *leaf = entries->leaves[index].leaf, *next = entries->leaves[index + 1].leaf;
    uint32_t count = leaf->count + next->count;
    if (count > LEAF_MAX / 2)
        return;
    ASSERT(leaf->capacity == LEAF_MAX); /* only the last leaf may be smaller: see split */
    memcpy(leaf->items + leaf->count, next->items, next->count * sizeof(leaf->items[0]));
    leaf->count = count;
    leaf->is_marked |= next->is_marked;
    leaves_delete(entries, index + 1);
}

/* -- the verbs ------------------------------------------------------------------------------ */

struct entries *entries_new(void)
{
    struct entries *entries = mem_alloc(sizeof(*entries));
    entries->size = sizeof(*entries);
    return entries;
}

void entries_free(struct entries *entries)
{
    if (entries == NULL)
        return;
    for (uint32_t i = 0; i < entries->leaf_count; i++) {
        struct leaf *leaf = entries->leaves[i].leaf;
        for (uint32_t j = 0; j < leaf->count; j++)
            mem_free(leaf->items[j].entry);
        mem_free(leaf);
    }
    mem_free(entries->leaves);
    mem_free(entries);
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
    return place.is_found ? entries->leaves[place.leaf].leaf->items[place.item].entry : NULL;
}

struct entry *entries_mark(struct entries *entries, weir_str name)
{
    struct place place = find(entries, head_of(name), name);
    if (!place.is_found)
        return NULL;
    struct leaf *leaf = entries->leaves[place.leaf].leaf;
    leaf->is_marked = true;
    return leaf->items[place.item].entry;
}

void entries_mark_all(struct entries *entries)
{
    for (uint32_t i = 0; i < entries->leaf_count; i++)
        entries->leaves[i].leaf->is_marked = true;
}

struct entry *entries_next(const struct entries *entries, weir_str name, bool or_equal)
{
    struct place place = find(entries, head_of(name), name);
    if (place.is_found && !or_equal)
        place.item++;
    if (place.leaf < entries->leaf_count && place.item == entries->leaves[place.leaf].leaf->count)
        place = (struct place){ .leaf = place.leaf + 1 };
    return place.leaf < entries->leaf_count
               ? entries->leaves[place.leaf].leaf->items[place.item].entry
               : NULL;
}

static struct entry *insert(struct entries *entries, struct place place, uint64_t head,
    struct entry *entry)
{
    if (entries->leaf_count == 0)
        leaves_insert(entries, 0, leaf_new(entries, LEAF_MIN));
    struct leaf_ref *ref = &entries->leaves[place.leaf];
    if (ref->leaf->count == LEAF_MAX) {
        place = split(entries, place);
        ref = &entries->leaves[place.leaf];
    } else if (ref->leaf->count == ref->leaf->capacity) {
        leaf_grow(entries, ref);
    }
    struct item *at = ref->leaf->items + place.item;
    memmove(at + 1, at, (ref->leaf->count - place.item) * sizeof(*at));
    *at = (struct item){ .head = head, .entry = entry };
    ref->leaf->count++;
    ref->leaf->is_marked = true;
    ref->head = ref->leaf->items[0].head;
    entries->count++;
    entries->size += entry_block_size(entry);
    DEBUG_ASSERT(ref->leaf->count <= ref->leaf->capacity);
    return entry;
}

struct entry *entries_put(struct entries *entries, weir_str name, size_t size, bool *is_new)
{
    uint64_t head = head_of(name);
    struct place place = find(entries, head, name);
    *is_new = !place.is_found;
    if (!place.is_found)
        return insert(entries, place, head, entry_new(name, size));
    struct item *item = &entries->leaves[place.leaf].leaf->items[place.item];
    resize(entries, item, size);
    entries->leaves[place.leaf].leaf->is_marked = true;
    return item->entry;
}

bool entries_remove(struct entries *entries, weir_str name)
{
    struct place place = find(entries, head_of(name), name);
    if (!place.is_found)
        return false;
    struct leaf_ref *ref = &entries->leaves[place.leaf];
    struct leaf *leaf = ref->leaf;
    struct item *at = leaf->items + place.item;
    entries->size -= entry_block_size(at->entry);
    mem_free(at->entry);
    leaf->count--;
    entries->count--;
    memmove(at, at + 1, (leaf->count - place.item) * sizeof(*at));
    if (leaf->count == 0) {
        leaves_delete(entries, place.leaf);
        return true;
    }
    ref->head = leaf->items[0].head;
    if (leaf->count <= LEAF_MAX / 4)
        join(entries, place.leaf);
    return true;
}

static bool starts_with(weir_str name, weir_str prefix)
{
    return prefix.size == 0 ||
           (name.size >= prefix.size && memcmp(name.data, prefix.data, prefix.size) == 0);
}

bool entries_each(const struct entries *entries, weir_str prefix, backend_entry_fn *each, void *arg)
{
    struct place place = find(entries, head_of(prefix), prefix);
    for (uint32_t i = place.leaf; i < entries->leaf_count; i++) {
        const struct leaf *leaf = entries->leaves[i].leaf;
        for (uint32_t j = i == place.leaf ? place.item : 0; j < leaf->count; j++) {
            const struct entry *entry = leaf->items[j].entry;
            if (!starts_with(entry_name(entry), prefix))
                return true;
            if (!each(arg, entry_name(entry), entry_value(entry)))
                return false;
        }
    }
    return true;
}

bool entries_sweep(struct entries *entries, uint32_t *cursor, entries_is_dead_fn *is_dead,
    void *arg)
{
    if (*cursor >= entries->leaf_count)
        return false;
    struct leaf_ref *ref = &entries->leaves[*cursor];
    struct leaf *leaf = ref->leaf;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < leaf->count; i++) {
        struct item item = leaf->items[i];
        if (is_dead(arg, item.entry)) {
            entries->size -= entry_block_size(item.entry);
            entries->count--;
            mem_free(item.entry);
        } else {
            leaf->items[kept++] = item;
        }
    }
    leaf->count = kept;
    if (kept == 0) {
        leaves_delete(entries, *cursor);
    } else {
        ref->head = leaf->items[0].head;
        *cursor += 1;
    }
    return *cursor < entries->leaf_count;
}

bool entries_sweep_marked(struct entries *entries, uint32_t *cursor, entries_is_dead_fn *is_dead,
    void *arg)
{
    while (*cursor < entries->leaf_count && !entries->leaves[*cursor].leaf->is_marked)
        *cursor += 1;
    if (*cursor >= entries->leaf_count)
        return false;
    entries->leaves[*cursor].leaf->is_marked = false;
    return entries_sweep(entries, cursor, is_dead, arg);
}

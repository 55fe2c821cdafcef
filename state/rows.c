/* rows.c -- see rows.h for the picture. */
#include "state/rows.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

#define SLOTS_MIN     64u
#define STATE_HASH    UINT64_C(0x9e3779b97f4a7c15)
#define GUESSES_MAX   8u
#define ENTRIES_AHEAD 48u /* asked for ahead, of a row on average: of long ones few will be used */

/* -- one row -------------------------------------------------------------------------------- */

static size_t row_bytes(const struct row *row)
{
    return sizeof(*row) + ((row->key_size + 7u) & ~7u) + row->value_capacity;
}

uint64_t row_size(const struct row *row)
{
    return slab_block_size(row_bytes(row)) +
           (row->entries == NULL ? 0 : entries_size(row->entries));
}

static struct row *new_row(struct rows *rows, uint32_t key_size, size_t value_capacity)
{
    ASSERT(value_capacity <= 2 * (size_t)ROW_PART_MAX);
    struct row *row =
        slab_alloc(&rows->slab, sizeof(*row) + ((key_size + 7u) & ~7u) + value_capacity);
    row->key_size = key_size;
    row->value_size = ROW_VALUE_NONE;
    row->value_capacity = (uint32_t)value_capacity;
    return row;
}

/* A bit more room when it has grown before. */
struct row *rows_reserve(struct rows *rows, struct slot *slot, size_t size)
{
    struct row *old = slot->row;
    if (size <= old->value_capacity)
        return old;
    size_t capacity = old->value_capacity + old->value_capacity / 2;
    struct row *row = new_row(rows, old->key_size, capacity > size ? capacity : size);
    uint32_t value_capacity = row->value_capacity;
    memcpy(row, old, sizeof(*row));
    memcpy(row->bytes, old->bytes, old->key_size);
    row->value_capacity = value_capacity;
    if (old->value_size != ROW_VALUE_NONE)
        memcpy(row_value_bytes(row), row_value_bytes(old), old->value_size);
    slab_free(&rows->slab, old, row_bytes(old));
    slot->row = row;
    return row;
}

struct row *rows_move(struct rows *rows, struct slot *slot)
{
    slot->row = slab_move(&rows->slab, slot->row, row_bytes(slot->row));
    if (slot->row->entries != NULL)
        slot->row->entries = entries_move(slot->row->entries, &rows->slab);
    return slot->row;
}

static bool is_row_of(const struct row *row, const struct row_key *key)
{
    if (row->state != key->state || row->key_size != key->key.size)
        return false;
    if (row->key_size == sizeof(uint64_t)) { /* most keys: spares the call of memcmp */
        uint64_t a, b;
        memcpy(&a, row->bytes, sizeof(a));
        memcpy(&b, key->key.data, sizeof(b));
        return a == b;
    }
    return weir_str_equal(row_key_bytes(row), key->key);
}

weir_error *row_check_size(const struct row_key *key, weir_str entry, size_t value_size,
    const char *who)
{
    size_t size = key->key.size > entry.size ? key->key.size : entry.size;
    size = size > value_size ? size : value_size;
    if (__builtin_expect(size <= ROW_PART_MAX, 1))
        return NULL;
    return weir_errorf(WEIR_E_LIMIT,
        "a key or value of state %u has %zu bytes; the %s backend takes at most %u", key->state,
        size, who, ROW_PART_MAX);
}

weir_error *row_wrong_size(const struct row_key *key, uint32_t found, size_t wanted)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "an entry of state %u has %u bytes instead of %zu: restore another checkpoint", key->state,
        found, wanted);
}

/* -- the table ------------------------------------------------------------------------------ */

static uint64_t slot_hash_of(uint64_t key_hash, uint32_t state)
{
    return key_hash ^ (state * STATE_HASH);
}

uint64_t rows_hash(const struct row_key *key)
{
    return slot_hash_of(key->hash, key->state);
}

struct row_key row_key_of(const struct slot *slot)
{
    const struct row *row = slot->row;
    return (struct row_key){ .key = row_key_bytes(row),
        .hash = slot->hash ^ (row->state * STATE_HASH),
        .group = row->group,
        .state = row->state };
}

/* A large table is looked at here and there. */
static void rehash(struct rows *rows, uint64_t slot_count)
{
    ASSERT((slot_count & (slot_count - 1)) == 0 && slot_count > rows->row_count);
    struct slot *slots = mem_alloc_table(slot_count * sizeof(*slots));
    for (uint64_t i = 0; i < rows->slot_count; i++) {
        if (rows->slots[i].row == NULL)
            continue;
        uint64_t index = rows->slots[i].hash & (slot_count - 1);
        while (slots[index].row != NULL)
            index = (index + 1) & (slot_count - 1);
        slots[index] = rows->slots[i];
    }
    mem_free_table(rows->slots, rows->slot_count * sizeof(*rows->slots));
    rows->slots = slots;
    rows->slot_count = slot_count;
}

static struct slot *probe(const struct rows *rows, const struct row_key *key, uint64_t hash)
{
    uint64_t mask = rows->slot_count - 1;
    for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
        struct slot *slot = &rows->slots[i];
        if (slot->row == NULL || (slot->hash == hash && is_row_of(slot->row, key)))
            return slot;
    }
}

struct slot *rows_find(const struct rows *rows, const struct row_key *key)
{
    struct slot *slot = probe(rows, key, rows_hash(key));
    return slot->row == NULL ? NULL : slot;
}

struct slot *rows_slot_of(const struct rows *rows, uint64_t slot_hash, const struct row *row)
{
    uint64_t index = slot_hash & (rows->slot_count - 1);
    while (rows->slots[index].row != row) {
        DEBUG_ASSERT(rows->slots[index].row != NULL);
        index = (index + 1) & (rows->slot_count - 1);
    }
    return &rows->slots[index];
}

struct slot *rows_add(struct rows *rows, const struct row_key *key, size_t value_capacity)
{
    uint64_t hash = rows_hash(key);
    if ((rows->row_count + 1) * 4 > rows->slot_count * 3)
        rehash(rows, rows->slot_count * 2);
    struct slot *slot = probe(rows, key, hash);
    ASSERT(slot->row == NULL && key->state <= UINT8_MAX && key->group <= UINT16_MAX);
    DEBUG_ASSERT(key->hash == hash_bytes(key->key.data, key->key.size));
    struct row *row = new_row(rows, (uint32_t)key->key.size, value_capacity);
    row->group = (uint16_t)key->group;
    row->state = (uint8_t)key->state;
    if (key->key.size > 0)
        memcpy(row->bytes, key->key.data, key->key.size);
    rows->row_count++;
    *slot = (struct slot){ .hash = hash, .row = row };
    return slot;
}

/* A slot behind it moves into the gap unless its home lies behind the gap, up to the next free one. */
void rows_delete(struct rows *rows, struct slot *slot)
{
    entries_free(slot->row->entries, &rows->slab);
    slab_free(&rows->slab, slot->row, row_bytes(slot->row));
    rows->row_count--;
    uint64_t mask = rows->slot_count - 1;
    uint64_t gap = (uint64_t)(slot - rows->slots);
    for (uint64_t i = (gap + 1) & mask; rows->slots[i].row != NULL; i = (i + 1) & mask) {
        uint64_t distance = (i - rows->slots[i].hash) & mask; /* from home to here */
        if (distance < ((i - gap) & mask))
            continue;
        rows->slots[gap] = rows->slots[i];
        gap = i;
    }
    rows->slots[gap] = (struct slot){ 0 };
}

void rows_shrink(struct rows *rows)
{
    if (rows->slot_count > SLOTS_MIN && rows->row_count < rows->slot_count / 8)
        rehash(rows, rows->slot_count / 2);
}

/* Loaded, not prefetched: a processor may drop a prefetch when many are under way, and AMD's do. */
static void touch_value(const struct row *row)
{
    if (row->value_capacity > 0)
        (void)*(const volatile char *)row_value(row).data;
}

/* Several passes: while what the later rows need arrives, that of the first ones is there. Each follows one
 * pointer more: row, entries, leaf, entry. The end of the key, and the value behind it, are often in the second line. */
void rows_prefetch_found(struct row *const *found, uint32_t count)
{
    const struct entries *lists[BACKEND_PREFETCH_MAX];
    uint32_t list_count = 0, leaf_count = 0;
    ASSERT(count <= BACKEND_PREFETCH_MAX);
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(found[i]);
        __builtin_prefetch((const char *)found[i] + MEM_LINE_SIZE - 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        touch_value(found[i]);
        if (found[i]->entries == NULL)
            continue;
        __builtin_prefetch(found[i]->entries);
        lists[list_count++] = found[i]->entries;
    }
    for (uint32_t i = 0; i < list_count; i++)
        if (entries_prefetch(lists[i]))
            lists[leaf_count++] = lists[i];
    uint32_t left = count * ENTRIES_AHEAD;
    for (uint32_t i = 0; i < leaf_count; i++)
        left -= entries_prefetch_each(lists[i], left);
}

/* By the hash alone, in the slots that the prefetched line has, and a line more: to look at the row would be
 * to wait for it. NULL: none. */
static struct row *guess_row(const struct rows *rows, uint64_t hash)
{
    uint64_t mask = rows->slot_count - 1;
    for (uint64_t i = 0; i < GUESSES_MAX; i++) {
        const struct slot *slot = &rows->slots[(hash + i) & mask];
        if (slot->row == NULL || slot->hash == hash)
            return slot->row;
    }
    return NULL;
}

void rows_prefetch_slot(const struct rows *rows, uint64_t key_hash, uint32_t state)
{
    __builtin_prefetch(&rows->slots[slot_hash_of(key_hash, state) & (rows->slot_count - 1)]);
}

void rows_prefetch_row(const struct rows *rows, uint64_t key_hash, uint32_t state, size_t size)
{
    const struct row *row = guess_row(rows, slot_hash_of(key_hash, state));
    if (row == NULL)
        return;
    __builtin_prefetch(row);
    __builtin_prefetch((const char *)row + size - 1);
}

void rows_prefetch(const struct rows *rows, const struct row_key *keys, uint32_t key_count)
{
    struct row *found[BACKEND_PREFETCH_MAX];
    uint32_t count = 0;
    ASSERT(key_count <= BACKEND_PREFETCH_MAX);
    for (uint32_t i = 0; i < key_count; i++)
        __builtin_prefetch(&rows->slots[rows_hash(&keys[i]) & (rows->slot_count - 1)]);
    for (uint32_t i = 0; i < key_count; i++) {
        struct row *row = guess_row(rows, rows_hash(&keys[i]));
        if (row != NULL)
            found[count++] = row;
    }
    rows_prefetch_found(found, count);
}

/* -- entries -------------------------------------------------------------------------------- */

struct entry *rows_put_entry(struct rows *rows, struct row *row, weir_str name, size_t size,
    bool *is_new)
{
    if (row->entries == NULL)
        row->entries = entries_new(&rows->slab);
    return entries_put(row->entries, &rows->slab, name, size, is_new);
}

struct entry *rows_edit_entry(struct rows *rows, struct row *row, weir_str name, size_t size,
    bool *is_new)
{
    if (row->entries == NULL)
        row->entries = entries_new(&rows->slab);
    return entries_edit(row->entries, &rows->slab, name, size, is_new);
}

void rows_remove_entry(struct rows *rows, struct row *row, weir_str name)
{
    if (row->entries != NULL)
        entries_remove(row->entries, &rows->slab, name);
}

void rows_free_entries(struct rows *rows, struct row *row)
{
    entries_free(row->entries, &rows->slab);
    row->entries = NULL;
}

/* -- life ----------------------------------------------------------------------------------- */

void rows_init(struct rows *rows)
{
    *rows = (struct rows){ 0 };
    slab_init(&rows->slab);
    rehash(rows, SLOTS_MIN);
}

void rows_release(struct rows *rows)
{
    slab_release(&rows->slab);
    mem_free_table(rows->slots, rows->slot_count * sizeof(*rows->slots));
    *rows = (struct rows){ 0 };
}

uint64_t rows_size(const struct rows *rows)
{
    return rows->slot_count * sizeof(*rows->slots) + slab_size(&rows->slab);
}

/* hashmap.c -- the backend that keeps everything on the heap: the table and the verbs.
 *
 * What it is for: state that fits into memory, tests, and as the model of the write-back cache, which
 * will be this table with an epoch in each row and another backend behind it. See hashmap.h for the
 * structure and hashmap_file.c for snapshots. */
#include "state/hashmap.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"

#include <endian.h>

#define SLOTS_MIN         64u
#define SWEEP_SLOTS       16u /* looked at for expired entries, once a batch */
#define ALLOCATION_COST   16u /* what malloc adds to a block, about */
#define PREFETCH_SIZE_MIN (UINT64_C(1) << 20)
#define STATE_HASH        UINT64_C(0x9e3779b97f4a7c15)
#define EXPIRY_STATES_MAX 64u

static struct hashmap *hashmap_of(struct backend *backend)
{
    DEBUG_ASSERT(backend->backend_class == &backend_hashmap);
    return (struct hashmap *)(void *)backend;
}

/* -- rows ----------------------------------------------------------------------------------- */

static size_t row_block_size(const struct row *row)
{
    return sizeof(*row) + ((row->key_size + 7u) & ~7u) + row->value_capacity + ALLOCATION_COST;
}

static struct row *row_new(uint32_t key_size, size_t value_capacity)
{
    ASSERT(value_capacity <= 2 * (size_t)HASHMAP_PART_MAX);
    struct row *row = mem_alloc(sizeof(*row) + ((key_size + 7u) & ~7u) + value_capacity);
    row->key_size = key_size;
    row->value_size = VALUE_NONE;
    row->value_capacity = (uint32_t)value_capacity;
    return row;
}

static uint64_t entries_size_of(const struct row *row)
{
    return row->entries == NULL ? 0 : entries_size(row->entries);
}

/* Gives the row in this slot room for a value of `size` bytes; a bit more when it has grown before. */
static struct row *row_reserve(struct hashmap *map, struct slot *slot, size_t size)
{
    struct row *old = slot->row;
    if (size <= old->value_capacity)
        return old;
    size_t capacity = old->value_capacity + old->value_capacity / 2;
    struct row *row = row_new(old->key_size, capacity > size ? capacity : size);
    uint32_t value_capacity = row->value_capacity;
    memcpy(row, old, sizeof(*row));
    memcpy(row->bytes, old->bytes, old->key_size);
    row->value_capacity = value_capacity;
    if (old->value_size != VALUE_NONE)
        memcpy(hashmap_row_value(row), hashmap_row_value(old), old->value_size);
    map->rows_size += row_block_size(row) - row_block_size(old);
    mem_free(old);
    slot->row = row;
    return row;
}

static bool row_is(const struct row *row, const struct row_key *key)
{
    if (row->state != key->state || row->key_size != key->key.size)
        return false;
    if (row->key_size == sizeof(uint64_t)) { /* most keys: spares the call of memcmp */
        uint64_t a, b;
        memcpy(&a, row->bytes, sizeof(a));
        memcpy(&b, key->key.data, sizeof(b));
        return a == b;
    }
    return weir_str_equal(hashmap_row_key(row), key->key);
}

/* -- the table ------------------------------------------------------------------------------ */

static uint64_t hash_of(const struct row_key *key)
{
    return key->hash ^ (key->state * STATE_HASH);
}

static void rehash(struct hashmap *map, uint64_t slot_count)
{
    ASSERT((slot_count & (slot_count - 1)) == 0 && slot_count > map->row_count);
    struct slot *slots = mem_alloc_array(slot_count, sizeof(*slots));
    for (uint64_t i = 0; i < map->slot_count; i++) {
        if (map->slots[i].row == NULL)
            continue;
        uint64_t index = map->slots[i].hash & (slot_count - 1);
        while (slots[index].row != NULL)
            index = (index + 1) & (slot_count - 1);
        slots[index] = map->slots[i];
    }
    mem_free(map->slots);
    ASSERT(slot_count >= SLOTS_MIN);
    map->slots = slots;
    map->slot_count = slot_count;
    map->sweep_slot = 0;
    map->sweep_leaf = 0;
}

static struct slot *find(const struct hashmap *map, const struct row_key *key, uint64_t hash)
{
    uint64_t mask = map->slot_count - 1;
    for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
        struct slot *slot = &map->slots[i];
        if (slot->row == NULL || (slot->hash == hash && row_is(slot->row, key)))
            return slot;
    }
}

static struct slot *add(struct hashmap *map, const struct row_key *key, uint64_t hash,
    size_t value_capacity)
{
    if ((map->row_count + 1) * 4 > map->slot_count * 3)
        rehash(map, map->slot_count * 2);
    struct slot *slot = find(map, key, hash);
    ASSERT(slot->row == NULL);
    ASSERT(key->state <= UINT8_MAX && group_range_has(map->groups, key->group));
    DEBUG_ASSERT(key->hash == hash_bytes(key->key.data, key->key.size));
    struct row *row = row_new((uint32_t)key->key.size, value_capacity);
    row->hash = hash;
    row->group = (uint16_t)key->group;
    row->state = (uint8_t)key->state;
    if (key->key.size > 0)
        memcpy(row->bytes, key->key.data, key->key.size);
    map->rows_size += row_block_size(row);
    map->row_count++;
    *slot = (struct slot){ .hash = hash, .row = row };
    return slot;
}

struct slot *hashmap_slot(struct hashmap *map, const struct row_key *key, bool may_add)
{
    uint64_t hash = hash_of(key);
    struct slot *slot = find(map, key, hash);
    if (slot->row == NULL)
        return may_add ? add(map, key, hash, 0) : NULL;
    return slot;
}

/* Frees the row and closes the gap: a slot behind it moves into the gap unless its home lies behind
 * the gap, up to the next free slot. */
static void row_delete(struct hashmap *map, struct slot *slot)
{
    ASSERT(slot->row != NULL && map->row_count > 0);
    ASSERT(map->rows_size >= row_block_size(slot->row) + entries_size_of(slot->row));
    map->rows_size -= row_block_size(slot->row) + entries_size_of(slot->row);
    entries_free(slot->row->entries);
    mem_free(slot->row);
    map->row_count--;
    uint64_t mask = map->slot_count - 1;
    uint64_t gap = (uint64_t)(slot - map->slots);
    for (uint64_t i = (gap + 1) & mask; map->slots[i].row != NULL; i = (i + 1) & mask) {
        uint64_t distance = (i - map->slots[i].hash) & mask; /* from home to here */
        if (distance < ((i - gap) & mask))
            continue;
        map->slots[gap] = map->slots[i];
        gap = i;
    }
    map->slots[gap] = (struct slot){ 0 };
}

/* Deletes the row if nothing is left in it, and halves a table that is nearly empty. */
static void drop_if_empty(struct hashmap *map, struct slot *slot)
{
    struct row *row = slot->row;
    if (row->entries != NULL && entries_count(row->entries) == 0) {
        map->rows_size -= entries_size(row->entries);
        entries_free(row->entries);
        row->entries = NULL;
    }
    if (row->value_size != VALUE_NONE || row->entries != NULL)
        return;
    row_delete(map, slot);
    if (map->slot_count > SLOTS_MIN && map->row_count < map->slot_count / 8)
        rehash(map, map->slot_count / 2);
}

/* -- entries -------------------------------------------------------------------------------- */

static struct entry *put_entry(struct hashmap *map, struct row *row, weir_str name, size_t size,
    bool *is_new)
{
    uint64_t before = entries_size_of(row);
    if (row->entries == NULL)
        row->entries = entries_new();
    struct entry *entry = entries_put(row->entries, name, size, is_new);
    map->rows_size += entries_size(row->entries) - before;
    return entry;
}

void hashmap_set(struct hashmap *map, struct slot *slot, weir_str entry, weir_str value)
{
    char *to;
    if (entry.size == 0) {
        struct row *row = row_reserve(map, slot, value.size);
        row->value_size = (uint32_t)value.size;
        to = hashmap_row_value(row);
    } else {
        bool is_new;
        to = put_entry(map, slot->row, entry, value.size, &is_new)->value;
    }
    if (value.size > 0)
        memmove(to, value.data, value.size);
}

/* -- verbs ---------------------------------------------------------------------------------- */

static weir_error *check_size(const struct row_key *row, weir_str entry, size_t value_size)
{
    size_t size = row->key.size > entry.size ? row->key.size : entry.size;
    size = size > value_size ? size : value_size;
    if (__builtin_expect(size <= HASHMAP_PART_MAX, 1))
        return NULL;
    return weir_errorf(WEIR_E_LIMIT,
        "a key or value of state %u has %zu bytes; the hashmap backend takes at most %u",
        row->state, size, HASHMAP_PART_MAX);
}

static weir_error *get(struct backend *backend, const struct row_key *row, weir_str entry,
    weir_str *value)
{
    const struct slot *slot = hashmap_slot(hashmap_of(backend), row, false);
    *value = (weir_str){ 0 };
    if (slot == NULL)
        return NULL;
    if (entry.size == 0) {
        if (slot->row->value_size != VALUE_NONE)
            *value =
                (weir_str){ .data = hashmap_row_value(slot->row), .size = slot->row->value_size };
    } else if (slot->row->entries != NULL) {
        const struct entry *found = entries_find(slot->row->entries, entry);
        if (found != NULL)
            *value = entry_value(found);
    }
    return NULL;
}

static weir_error *put(struct backend *backend, const struct row_key *row, weir_str entry,
    weir_str value)
{
    WEIR_TRY(check_size(row, entry, value.size));
    struct hashmap *map = hashmap_of(backend);
    hashmap_set(map, hashmap_slot(map, row, true), entry, value);
    return NULL;
}

static weir_error *remove_entry(struct backend *backend, const struct row_key *row, weir_str entry)
{
    struct hashmap *map = hashmap_of(backend);
    struct slot *slot = hashmap_slot(map, row, false);
    if (slot == NULL)
        return NULL;
    if (entry.size == 0) {
        slot->row->value_size = VALUE_NONE;
    } else if (slot->row->entries != NULL) {
        uint64_t before = entries_size(slot->row->entries);
        entries_remove(slot->row->entries, entry);
        map->rows_size -= before - entries_size(slot->row->entries);
    }
    drop_if_empty(map, slot);
    return NULL;
}

static weir_error *clear(struct backend *backend, const struct row_key *row)
{
    struct hashmap *map = hashmap_of(backend);
    struct slot *slot = hashmap_slot(map, row, false);
    if (slot == NULL)
        return NULL;
    map->rows_size -= entries_size_of(slot->row);
    entries_free(slot->row->entries);
    slot->row->entries = NULL;
    slot->row->value_size = VALUE_NONE;
    drop_if_empty(map, slot);
    return NULL;
}

/* Every entry of one row; false: the callback has stopped it. */
static bool row_each(const struct row *row, weir_str prefix, backend_entry_fn *each, void *arg)
{
    if (row->value_size != VALUE_NONE && prefix.size == 0) {
        const char *value = row->bytes + ((row->key_size + 7u) & ~7u);
        if (!each(arg, WEIR_STR(""), (weir_str){ .data = value, .size = row->value_size }))
            return false;
    }
    return row->entries == NULL || entries_each(row->entries, prefix, each, arg);
}

static weir_error *each_entry(struct backend *backend, const struct row_key *row, weir_str prefix,
    backend_entry_fn *each, void *arg)
{
    const struct slot *slot = hashmap_slot(hashmap_of(backend), row, false);
    if (slot != NULL)
        row_each(slot->row, prefix, each, arg);
    return NULL;
}

static weir_error *wrong_size(const struct row_key *row, uint32_t found, size_t wanted)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "an entry of state %u has %u bytes instead of %zu: restore another checkpoint", row->state,
        found, wanted);
}

static weir_error *edit_value(struct hashmap *map, const struct row_key *key, size_t size,
    void **bytes, bool *is_new)
{
    uint64_t hash = hash_of(key);
    struct slot *slot = find(map, key, hash);
    if (slot->row == NULL) {
        WEIR_TRY(check_size(key, WEIR_STR(""), size));
        slot = add(map, key, hash, size);
    }
    struct row *row = slot->row;
    *is_new = row->value_size == VALUE_NONE;
    if (*is_new) {
        row = row_reserve(map, slot, size);
        memset(hashmap_row_value(row), 0, size);
        row->value_size = (uint32_t)size;
    } else if (__builtin_expect(row->value_size != size, 0)) {
        return wrong_size(key, row->value_size, size);
    }
    *bytes = hashmap_row_value(row);
    return NULL;
}

static weir_error *edit(struct backend *backend, const struct row_key *row, weir_str entry,
    size_t size, void **bytes, bool *is_new)
{
    struct hashmap *map = hashmap_of(backend);
    if (entry.size == 0)
        return edit_value(map, row, size, bytes, is_new);
    WEIR_TRY(check_size(row, entry, size));
    const struct slot *slot = hashmap_slot(map, row, true);
    struct entry *found =
        slot->row->entries == NULL ? NULL : entries_find(slot->row->entries, entry);
    *is_new = found == NULL;
    if (found == NULL)
        found = put_entry(map, slot->row, entry, size, is_new);
    else if (found->value_size != size)
        return wrong_size(row, found->value_size, size);
    *bytes = found->value;
    return NULL;
}

/* Thread: task. */
struct row_scan {
    struct row_key key;
    backend_row_fn *each;
    void *arg;
};

static bool scan_entry(void *arg, weir_str entry, weir_str value)
{
    struct row_scan *scan = arg;
    return scan->each(scan->arg, &scan->key, entry, value);
}

static weir_error *scan(struct backend *backend, uint32_t state, backend_row_fn *each, void *arg)
{
    const struct hashmap *map = hashmap_of(backend);
    for (uint64_t i = 0; i < map->slot_count; i++) {
        const struct row *row = map->slots[i].row;
        if (row == NULL || row->state != state)
            continue;
        struct row_scan it = { .each = each, .arg = arg };
        it.key = (struct row_key){ .key = hashmap_row_key(row),
            .hash = row->hash ^ (state * STATE_HASH),
            .group = row->group,
            .state = state };
        if (!row_each(row, WEIR_STR(""), scan_entry, &it))
            break;
    }
    return NULL;
}

/* Two passes: while the slots of the later rows arrive, those of the first ones are there. A table
 * that fits into the cache of a core is left alone: there it would only cost. */
static void prefetch(struct backend *backend, const struct row_key *rows, uint32_t row_count)
{
    const struct hashmap *map = hashmap_of(backend);
    if (map->slot_count * sizeof(*map->slots) + map->rows_size < PREFETCH_SIZE_MIN)
        return;
    uint64_t mask = map->slot_count - 1;
    for (uint32_t i = 0; i < row_count; i++)
        __builtin_prefetch(&map->slots[hash_of(&rows[i]) & mask]);
    for (uint32_t i = 0; i < row_count; i++)
        __builtin_prefetch(map->slots[hash_of(&rows[i]) & mask].row);
}

/* -- expiry --------------------------------------------------------------------------------- */

static bool is_expired(const void *arg, weir_str value)
{
    const int64_t *time_ms = arg;
    uint64_t stored;
    if (value.size < sizeof(stored))
        return false;
    memcpy(&stored, value.data, sizeof(stored));
    return (int64_t)le64toh(stored) < *time_ms;
}

/* Sweeps the value and one leaf of a row; true: look at this slot again, because the row has more
 * leaves, or is gone and another one may have moved here. */
static bool sweep_row(struct hashmap *map, struct slot *slot, int64_t time_ms)
{
    struct row *row = slot->row;
    ASSERT(row != NULL && row->state < EXPIRY_STATES_MAX);
    bool has_more = false;
    if (row->value_size != VALUE_NONE &&
        is_expired(&time_ms, (weir_str){ .data = hashmap_row_value(row), .size = row->value_size }))
        row->value_size = VALUE_NONE;
    if (row->entries != NULL) {
        uint64_t before = entries_size(row->entries);
        has_more = entries_sweep(row->entries, &map->sweep_leaf, is_expired, &time_ms);
        map->rows_size -= before - entries_size(row->entries);
    }
    uint64_t row_count = map->row_count;
    drop_if_empty(map, slot);
    if (map->row_count == row_count)
        return has_more;
    map->sweep_leaf = 0;
    return true;
}

static void expire(struct backend *backend, const struct backend_expiry *expiry)
{
    struct hashmap *map = hashmap_of(backend);
    ASSERT((expiry->processing_states & expiry->event_states) == 0);
    for (uint32_t i = 0; i < SWEEP_SLOTS; i++) {
        struct slot *slot = &map->slots[map->sweep_slot];
        uint32_t state = slot->row == NULL ? EXPIRY_STATES_MAX : slot->row->state;
        uint64_t bit = state < EXPIRY_STATES_MAX ? UINT64_C(1) << state : 0;
        bool again = false;
        if (expiry->processing_states & bit)
            again = sweep_row(map, slot, expiry->now_ms);
        else if (expiry->event_states & bit)
            again = sweep_row(map, slot, expiry->watermark_ms);
        if (again)
            continue;
        map->sweep_slot = (map->sweep_slot + 1) & (map->slot_count - 1);
        map->sweep_leaf = 0;
    }
}

/* -- life ----------------------------------------------------------------------------------- */

static void close(struct backend *backend)
{
    struct hashmap *map = hashmap_of(backend);
    for (uint64_t i = 0; i < map->slot_count; i++) {
        if (map->slots[i].row == NULL)
            continue;
        entries_free(map->slots[i].row->entries);
        mem_free(map->slots[i].row);
    }
    mem_free(map->slots);
    if (map->directory != NULL)
        weir_error_free(os_remove_tree(map->directory)); /* it was never written to */
    mem_free(map->directory);
    mem_free(map->checkpoint_dir);
    mem_free(map);
}

static weir_error *open(const struct backend_options *options, const struct backend_source *sources,
    uint32_t source_count, struct backend **backend)
{
    ASSERT(options->checkpoint_dir != NULL || source_count == 0);
    *backend = NULL;
    WEIR_TRY(backend_check_sources(options->groups, sources, source_count));
    struct hashmap *map = mem_alloc(sizeof(*map));
    map->backend.backend_class = &backend_hashmap;
    map->directory = mem_strdup(options->directory);
    map->checkpoint_dir = mem_strdup(options->checkpoint_dir);
    map->attempt = options->attempt;
    map->groups = options->groups;
    rehash(map, SLOTS_MIN);
    for (uint32_t i = 0; i < source_count; i++) {
        if (!group_range_overlaps(sources[i].groups, map->groups))
            continue;
        weir_error *error = hashmap_load(map, &sources[i]);
        if (error == NULL)
            continue;
        close(&map->backend);
        return error;
    }
    *backend = &map->backend;
    return NULL;
}

static weir_error *snapshot(struct backend *backend, uint64_t checkpoint,
    struct backend_snapshot **result)
{
    (void)checkpoint;
    return hashmap_freeze(hashmap_of(backend), result);
}

/* Nothing is shared between checkpoints. */
static void confirm(struct backend *backend, uint64_t checkpoint)
{
    (void)backend;
    (void)checkpoint;
}

static uint64_t size(struct backend *backend)
{
    const struct hashmap *map = hashmap_of(backend);
    ASSERT(map->row_count < map->slot_count);
    return map->slot_count * sizeof(*map->slots) + map->rows_size;
}

const struct backend_class backend_hashmap = { .name = "hashmap",
    .open = open,
    .close = close,
    .get = get,
    .put = put,
    .remove = remove_entry,
    .clear = clear,
    .each = each_entry,
    .edit = edit,
    .scan = scan,
    .prefetch = prefetch,
    .expire = expire,
    .snapshot = snapshot,
    .snapshot_write = hashmap_snapshot_write,
    .snapshot_free = hashmap_snapshot_free,
    .confirm = confirm,
    .size = size };

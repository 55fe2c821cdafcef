/* cache.c -- the write-back cache: the verbs.
 *
 * A RocksDB read-modify-write costs 4-12 us, a hit here 20-100 ns. Reads fill it, writes stay in it
 * until a barrier or an eviction writes them, sorted and at once, which costs the store a tenth. See
 * cache.h for what is known of rows and cells.
 *
 * Reading a cell that is not known asks the store for it alone; a row that is asked for several cells
 * is loaded whole, unless it is long. Writing never reads: a cell that is written blindly is taken to
 * be STORED.
 *
 * Rows and cells leave only in cache_evict, which runs between batches (expire), so all pointers keep
 * what backend.h promises.
 *
 * What has expired is not swept: it grows cold, is evicted, and the store's filter drops it. */
#include "state/cache.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#define LOAD_AFTER 3u /* cells of a row, and then the whole row */

/* Prefixes: cache_ */

static struct cache *cache_of(struct backend *backend)
{
    DEBUG_ASSERT(backend->backend_class == &backend_cache);
    return (struct cache *)(void *)backend;
}

/* Beside the rows. */
static uint64_t extra_size(const struct cache *cache)
{
    return (cache->dirty[0].capacity + cache->dirty[1].capacity) * sizeof(struct row *) +
           atomic_load_explicit(&cache->queued_size, memory_order_relaxed) +
           row_filter_size(cache->filter);
}

/* What is used of the slab, and an eighth of it for what is free between blocks: see cache_evict.c. */
uint64_t cache_size(const struct cache *cache)
{
    uint64_t used = slab_used(&cache->rows.slab);
    return used + used / 8 + cache->rows.slot_count * sizeof(*cache->rows.slots) +
           extra_size(cache);
}

/* An error of an eviction, which had nobody to tell. And one of a worker's write: RocksDB refuses every
 * write after one that has failed, so no later checkpoint could succeed either. The task fails, and the
 * job goes back to its last checkpoint with a store opened anew. */
static weir_error *take_failure(struct cache *cache)
{
    weir_error *error = cache->failed;
    cache->failed = NULL;
    int broken = atomic_load_explicit(&cache->broken, memory_order_relaxed);
    if (__builtin_expect(broken == 0, 1) || error != NULL)
        return error;
    return weir_errorf((enum weir_code)(broken - 1),
        "the store of keyed state refuses to write: it must be opened anew from the last "
        "checkpoint; the "
        "warnings before this tell why");
}

/* -- rows ----------------------------------------------------------------------------------- */

static void warm(const struct cache *cache, struct row *row)
{
    uint32_t count = row->heat & HEAT_MAX;
    if (row->heat >> HEAT_BITS != cache->era)
        row->heat = (uint8_t)(cache->era << HEAT_BITS | (count < HEAT_MAX ? count + 1 : count));
}

static struct slot *add_row(struct cache *cache, const struct row_key *key, size_t value_capacity)
{
    ASSERT(group_range_has(cache->groups, key->group));
    struct slot *slot = rows_add(&cache->rows, key, value_capacity);
    slot->row->heat = (uint8_t)(cache->era << HEAT_BITS);
    if (cache_filter_is_new(cache, key))
        slot->row->flags = ROW_COMPLETE;
    return slot;
}

/* For who only reads or removes. NULL: nothing is to be known of the row, because it is new; it is not added
 * for that: whoever writes it a moment later knows the size of its value, and spares it a second block. */
static struct slot *look_up(struct cache *cache, const struct row_key *key)
{
    struct slot *slot = rows_find(&cache->rows, key);
    if (__builtin_expect(slot == NULL, 0))
        return cache_filter_is_new(cache, key) ? NULL : add_row(cache, key, 0);
    warm(cache, slot->row);
    return slot;
}

/* For who writes a value of `size` bytes. */
static inline struct slot *touch(struct cache *cache, const struct row_key *key, weir_str entry,
    size_t size)
{
    struct slot *slot = rows_find(&cache->rows, key);
    if (__builtin_expect(slot == NULL, 0))
        return add_row(cache, key, entry.size == 0 ? size : 0);
    warm(cache, slot->row);
    return slot;
}

/* A row's `dirty`: the list in the lowest bit, above it 1 + its place there. */
static struct row **place_of(struct cache *cache, const struct row *row)
{
    return &cache->dirty[row->dirty & 1].rows[(row->dirty >> 1) - 1];
}

static void mark_dirty(struct cache *cache, struct row *row)
{
    if (__builtin_expect(row->dirty != 0, 1))
        return;
    struct dirty_rows *list = &cache->dirty[cache->young];
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        list->rows = mem_realloc(list->rows, list->capacity * sizeof(*list->rows));
    }
    cache->again_count += cache_is_frozen_since(cache, row, cache->turned);
    list->rows[list->count++] = row;
    row->dirty = list->count << 1 | cache->young;
}

void cache_row_moved(struct cache *cache, struct row *row)
{
    if (row->dirty != 0)
        *place_of(cache, row) = row;
}

void cache_unlist(struct cache *cache, struct row *row)
{
    struct dirty_rows *list = &cache->dirty[row->dirty & 1];
    struct row *last = list->rows[--list->count];
    *place_of(cache, row) = last;
    last->dirty = row->dirty;
    row->dirty = 0;
}

static struct row *reserve(struct cache *cache, struct slot *slot, size_t size)
{
    struct row *row = rows_reserve(&cache->rows, slot, size);
    cache_row_moved(cache, row);
    return row;
}

/* -- cells ---------------------------------------------------------------------------------- */

/* A cell in memory. Thread: task. */
struct cell {
    uint8_t *flags; /* NULL: it is not here */
    char *bytes;
    uint32_t size;
};

static bool has_value_cell(const struct row *row)
{
    return row->value_size != ROW_VALUE_NONE || row->value_flags != 0;
}

static struct cell find_cell(struct row *row, weir_str entry)
{
    if (entry.size == 0) {
        if (!has_value_cell(row))
            return (struct cell){ 0 };
        return (struct cell){ .flags = &row->value_flags,
            .bytes = row_value_bytes(row),
            .size = row->value_size };
    }
    struct entry *found = row->entries == NULL ? NULL : entries_find(row->entries, entry);
    if (found == NULL)
        return (struct cell){ 0 };
    return (
        struct cell){ .flags = &found->flags, .bytes = found->value, .size = found->value_size };
}

static bool is_there(struct cell cell)
{
    return cell.flags != NULL && (*cell.flags & CELL_GONE) == 0;
}

/* Sets flags and size; the bytes are what they were, and zero where they are new. */
static char *set_cell(struct cache *cache, struct slot *slot, weir_str entry, size_t size,
    uint32_t flags)
{
    if (entry.size == 0) {
        struct row *row = reserve(cache, slot, size);
        row->value_size = (uint32_t)size;
        row->value_flags = (uint8_t)flags;
        return row_value_bytes(row);
    }
    bool is_new;
    struct entry *found = rows_put_entry(&cache->rows, slot->row, entry, size, &is_new);
    found->flags = (uint8_t)flags;
    return found->value;
}

static void set_bytes(struct cache *cache, struct slot *slot, weir_str entry, weir_str value,
    uint32_t flags)
{
    char *to = set_cell(cache, slot, entry, value.size, flags);
    if (value.size > 0)
        memmove(to, value.data, value.size);
}

static void set_gone(struct cache *cache, struct slot *slot, weir_str entry, uint32_t flags)
{
    set_cell(cache, slot, entry, 0, flags | CELL_GONE);
    if (entry.size == 0)
        slot->row->value_size = ROW_VALUE_NONE;
    if ((flags & CELL_DIRTY) != 0)
        mark_dirty(cache, slot->row);
}

static void forget_cell(struct cache *cache, struct row *row, weir_str entry)
{
    if (entry.size > 0) {
        rows_remove_entry(&cache->rows, row, entry);
        return;
    }
    row->value_size = ROW_VALUE_NONE;
    row->value_flags = 0;
}

/* Whether the store may have an entry of this name. */
static uint32_t stored_flag(const struct row *row, struct cell cell)
{
    if (cell.flags != NULL)
        return *cell.flags & CELL_STORED;
    return (row->flags & ROW_COMPLETE) != 0 ? 0 : CELL_STORED;
}

/* -- loading -------------------------------------------------------------------------------- */

/* Thread: task. */
struct load {
    struct cache *cache;
    struct slot *slot;
    uint64_t count, size;
};

/* What is in memory is newer. */
static bool load_cell(void *arg, weir_str entry, weir_str value)
{
    struct load *load = arg;
    load->count++;
    load->size += entry.size + value.size;
    if (load->count > LOAD_CELLS_MAX || load->size > LOAD_SIZE_MAX)
        return false;
    if (find_cell(load->slot->row, entry).flags == NULL)
        set_bytes(load->cache, load->slot, entry, value, CELL_STORED);
    return true;
}

/* Makes the row complete, or finds that it is too long for that. */
static weir_error *load_row(struct cache *cache, struct slot *slot, const struct row_key *key)
{
    struct load load = { .cache = cache, .slot = slot };
    WEIR_TRY(cache->verbs->each(cache->store, key, WEIR_STR(""), load_cell, &load));
    bool is_long = load.count > LOAD_CELLS_MAX || load.size > LOAD_SIZE_MAX;
    slot->row->flags |= is_long ? ROW_LARGE : ROW_COMPLETE;
    return NULL;
}

static bool is_worth_loading(struct row *row)
{
    if ((row->flags & ROW_LARGE) != 0)
        return false;
    row->flags = (uint8_t)(row->flags + (1u << ROW_MISS_SHIFT));
    return row->flags >> ROW_MISS_SHIFT > LOAD_AFTER;
}

/* Makes it known whether there is such an entry, and what it is. */
static weir_error *load_entry(struct cache *cache, struct slot *slot, const struct row_key *key,
    weir_str entry)
{
    weir_str value;
    if (entry.size > 0 && is_worth_loading(slot->row)) {
        WEIR_TRY(load_row(cache, slot, key));
        if ((slot->row->flags & ROW_COMPLETE) != 0 || find_cell(slot->row, entry).flags != NULL)
            return NULL;
    }
    WEIR_TRY(cache->verbs->get(cache->store, key, entry, &value));
    if (entry.size == 0)
        cache_fetch_missed(cache, key->state);
    if (value.data == NULL)
        set_gone(cache, slot, entry, 0);
    else
        set_bytes(cache, slot, entry, value, CELL_STORED);
    return NULL;
}

/* The cell, asked for in the store when it must be. */
static weir_error *know_cell(struct cache *cache, struct slot *slot, const struct row_key *key,
    weir_str entry, struct cell *cell)
{
    *cell = find_cell(slot->row, entry);
    if (__builtin_expect(cell->flags != NULL, 1)) {
        if (__builtin_expect((*cell->flags & CELL_FETCHED) != 0, 0))
            cache_fetch_used(cache, key->state, cell->flags);
        return NULL;
    }
    if ((slot->row->flags & ROW_COMPLETE) != 0)
        return NULL;
    WEIR_TRY(load_entry(cache, slot, key, entry));
    *cell = find_cell(slot->row, entry);
    return NULL;
}

bool cache_lacks_value(struct cache *cache, const struct row_key *key)
{
    const struct slot *slot = rows_find(&cache->rows, key);
    if (slot == NULL)
        return !cache_filter_is_new(cache, key);
    return !has_value_cell(slot->row) && (slot->row->flags & ROW_COMPLETE) == 0;
}

void cache_learn_value(struct cache *cache, const struct row_key *key, weir_str value)
{
    struct slot *slot = rows_find(&cache->rows, key);
    if (slot == NULL)
        slot = add_row(cache, key, value.size);
    DEBUG_ASSERT(!has_value_cell(slot->row));
    if (value.data == NULL)
        set_gone(cache, slot, WEIR_STR(""), CELL_FETCHED);
    else
        set_bytes(cache, slot, WEIR_STR(""), value, CELL_STORED | CELL_FETCHED);
}

void cache_learn_row(struct cache *cache, const struct row_key *key, struct change_cells cells)
{
    weir_str name, value;
    struct slot *slot = rows_find(&cache->rows, key);
    if (slot != NULL && (slot->row->flags & ROW_COMPLETE) != 0)
        return;
    bool has_cell = change_cells_next(&cells, &name, &value);
    if (slot == NULL)
        slot = rows_add(&cache->rows, key, has_cell && name.size == 0 ? value.size : 0);
    for (; has_cell; has_cell = change_cells_next(&cells, &name, &value))
        if (find_cell(slot->row, name).flags == NULL)
            set_bytes(cache, slot, name, value, CELL_STORED);
    slot->row->flags |= ROW_COMPLETE;
}

/* -- verbs on entries ------------------------------------------------------------------------ */

static weir_error *get(struct backend *backend, const struct row_key *key, weir_str entry,
    weir_str *value)
{
    struct cache *cache = cache_of(backend);
    struct cell cell;
    *value = (weir_str){ 0 };
    struct slot *slot = look_up(cache, key);
    if (slot == NULL)
        return NULL;
    WEIR_TRY(know_cell(cache, slot, key, entry, &cell));
    if (is_there(cell))
        *value = (weir_str){ .data = cell.bytes, .size = cell.size };
    return NULL;
}

static void put_value(struct cache *cache, struct slot *slot, weir_str value)
{
    uint32_t stored = stored_flag(slot->row, find_cell(slot->row, WEIR_STR("")));
    set_bytes(cache, slot, WEIR_STR(""), value, CELL_DIRTY | stored);
}

/* Looked for once, whether it is there or not. */
static void put_entry(struct cache *cache, struct row *row, weir_str entry, weir_str value)
{
    bool is_new;
    struct entry *found = rows_put_entry(&cache->rows, row, entry, value.size, &is_new);
    struct cell before = { .flags = is_new ? NULL : &found->flags };
    found->flags = (uint8_t)(CELL_DIRTY | stored_flag(row, before));
    if (value.size > 0)
        memmove(found->value, value.data, value.size);
}

static weir_error *put(struct backend *backend, const struct row_key *key, weir_str entry,
    weir_str value)
{
    struct cache *cache = cache_of(backend);
    WEIR_TRY(row_check_size(key, entry, value.size, "rocksdb"));
    WEIR_TRY(take_failure(cache));
    struct slot *slot = touch(cache, key, entry, value.size);
    if (entry.size == 0)
        put_value(cache, slot, value);
    else
        put_entry(cache, slot->row, entry, value);
    mark_dirty(cache, slot->row);
    return NULL;
}

static weir_error *remove_entry(struct backend *backend, const struct row_key *key, weir_str entry)
{
    struct cache *cache = cache_of(backend);
    WEIR_TRY(row_check_size(key, entry, 0, "rocksdb"));
    WEIR_TRY(take_failure(cache));
    struct slot *slot = look_up(cache, key);
    if (slot == NULL)
        return NULL;
    struct cell cell = find_cell(slot->row, entry);
    bool is_complete = (slot->row->flags & ROW_COMPLETE) != 0;
    if (cell.flags == NULL ? is_complete : !is_there(cell))
        return NULL; /* known to be absent */
    if (stored_flag(slot->row, cell) != 0)
        set_gone(cache, slot, entry, CELL_DIRTY | CELL_STORED);
    else if (is_complete)
        forget_cell(cache, slot->row, entry);
    else
        set_gone(cache, slot, entry, 0);
    return NULL;
}

static bool clear_cell(void *arg, struct entry *entry)
{
    (void)arg;
    if ((entry->flags & CELL_STORED) == 0)
        return true;
    if ((entry->flags & CELL_GONE) == 0)
        entry->flags = CELL_DIRTY | CELL_STORED | CELL_GONE;
    entry->value_size = 0;
    return false;
}

/* Of a complete row every cell is known, and is removed like one; it costs the store no look. */
static void clear_complete(struct cache *cache, struct slot *slot)
{
    struct row *row = slot->row;
    if (row->value_size != ROW_VALUE_NONE && (row->value_flags & CELL_STORED) != 0)
        row->value_flags = CELL_DIRTY | CELL_STORED | CELL_GONE;
    row->value_size = ROW_VALUE_NONE;
    if ((row->value_flags & CELL_STORED) == 0)
        row->value_flags = 0;
    if (row->entries != NULL) {
        uint32_t cursor = 0;
        entries_mark_all(row->entries);
        while (entries_sweep(row->entries, &cache->rows.slab, &cursor, clear_cell, NULL))
            continue;
        if (entries_count(row->entries) == 0)
            rows_free_entries(&cache->rows, row);
    }
    mark_dirty(cache, row);
}

static weir_error *clear(struct backend *backend, const struct row_key *key)
{
    struct cache *cache = cache_of(backend);
    WEIR_TRY(take_failure(cache));
    struct slot *slot = look_up(cache, key);
    if (slot == NULL)
        return NULL;
    if ((slot->row->flags & ROW_COMPLETE) != 0) {
        clear_complete(cache, slot);
        return NULL;
    }
    rows_free_entries(&cache->rows, slot->row);
    forget_cell(cache, slot->row, WEIR_STR(""));
    slot->row->flags = ROW_COMPLETE | ROW_CLEARED;
    mark_dirty(cache, slot->row);
    return NULL;
}

/* What there was not: zeroes. */
static void *edit_new(struct cache *cache, struct slot *slot, weir_str entry, size_t size,
    uint32_t stored)
{
    return memset(set_cell(cache, slot, entry, size, CELL_DIRTY | stored), 0, size);
}

/* A named entry of a complete row: looked for once, whether it is there or not. */
static weir_error *edit_entry(struct cache *cache, struct slot *slot, const struct row_key *key,
    weir_str entry, size_t size, void **bytes, bool *is_new)
{
    struct entry *found = rows_edit_entry(&cache->rows, slot->row, entry, size, is_new);
    if (__builtin_expect((found->flags & CELL_GONE) != 0, 0)) {
        *is_new = true;
        *bytes = edit_new(cache, slot, entry, size, found->flags & CELL_STORED);
        return NULL;
    }
    if (__builtin_expect(found->value_size != size, 0))
        return row_wrong_size(key, found->value_size, size);
    found->flags |= CELL_DIRTY;
    *bytes = found->value;
    return NULL;
}

static weir_error *edit_cell(struct cache *cache, struct slot *slot, const struct row_key *key,
    weir_str entry, size_t size, void **bytes, bool *is_new)
{
    struct cell cell;
    WEIR_TRY(know_cell(cache, slot, key, entry, &cell));
    *is_new = !is_there(cell);
    if (*is_new) {
        *bytes = edit_new(cache, slot, entry, size, stored_flag(slot->row, cell));
        return NULL;
    }
    if (__builtin_expect(cell.size != size, 0))
        return row_wrong_size(key, cell.size, size);
    if (entry.size > 0 && (*cell.flags & CELL_DIRTY) == 0)
        entries_mark(slot->row->entries, entry); /* the leaf of a dirty cell is marked already */
    *cell.flags |= CELL_DIRTY;
    *bytes = cell.bytes;
    return NULL;
}

static weir_error *edit(struct backend *backend, const struct row_key *key, weir_str entry,
    size_t size, void **bytes, bool *is_new)
{
    struct cache *cache = cache_of(backend);
    WEIR_TRY(row_check_size(key, entry, size, "rocksdb"));
    WEIR_TRY(take_failure(cache));
    struct slot *slot = touch(cache, key, entry, size);
    bool is_whole = entry.size > 0 && (slot->row->flags & ROW_COMPLETE) != 0;
    WEIR_TRY(is_whole ? edit_entry(cache, slot, key, entry, size, bytes, is_new)
                      : edit_cell(cache, slot, key, entry, size, bytes, is_new));
    mark_dirty(cache, slot->row);
    return NULL;
}

/* -- iterating ------------------------------------------------------------------------------ */

/* Cells in memory over entries in the store, both in order. Rows may move while callbacks run, their
 * entries do not. Thread: task. */
struct merge {
    const struct entries *entries; /* NULL: none */
    struct entries_cursor cursor;
    struct entry *next; /* the next one in memory; NULL: none is left */
    weir_str prefix;
    bool has_value_cell, has_stopped;
    char *copy; /* of a value in the store, because those in memory are aligned */
    size_t copy_capacity;
    backend_entry_fn *each;
    void *arg;
};

static void give(struct merge *merge, weir_str entry, weir_str value)
{
    merge->has_stopped = !merge->each(merge->arg, entry, value);
}

static void give_stored(struct merge *merge, weir_str entry, weir_str value)
{
    if (value.size > merge->copy_capacity) {
        merge->copy_capacity = 2 * value.size;
        merge->copy = mem_realloc(merge->copy, merge->copy_capacity);
    }
    if (value.size > 0)
        value.data = memcpy(merge->copy, value.data, value.size);
    give(merge, entry, value);
}

/* The next cell in memory, unless it is gone. */
static void give_next(struct merge *merge)
{
    const struct entry *entry = merge->next;
    if ((entry->flags & CELL_GONE) == 0)
        give(merge, entry_name(entry), entry_value(entry));
    merge->next = entries_next(merge->entries, merge->prefix, &merge->cursor);
}

static bool merge_entry(void *arg, weir_str entry, weir_str value)
{
    struct merge *merge = arg;
    if (entry.size == 0) {
        if (!merge->has_value_cell)
            give_stored(merge, entry, value);
        return !merge->has_stopped;
    }
    while (merge->next != NULL && !merge->has_stopped) {
        int order = weir_str_compare(entry_name(merge->next), entry);
        if (order > 0)
            break;
        give_next(merge);
        if (order == 0)
            return !merge->has_stopped;
    }
    if (!merge->has_stopped)
        give_stored(merge, entry, value);
    return !merge->has_stopped;
}

/* The entries of a row in the cache. */
static weir_error *each_of_row(const struct cache *cache, const struct row *row,
    const struct row_key *key, struct merge *merge)
{
    merge->entries = row->entries;
    if (row->entries != NULL)
        merge->next = entries_first(row->entries, merge->prefix, &merge->cursor);
    merge->has_value_cell = has_value_cell(row);
    bool is_complete = (row->flags & ROW_COMPLETE) != 0;
    weir_error *error = NULL;
    if (merge->prefix.size == 0 && row->value_size != ROW_VALUE_NONE)
        give(merge, WEIR_STR(""), row_value(row));
    if (!is_complete && !merge->has_stopped)
        error = cache->verbs->each(cache->store, key, merge->prefix, merge_entry, merge);
    mem_free(merge->copy);
    while (merge->next != NULL && !merge->has_stopped && error == NULL)
        give_next(merge);
    return error;
}

static weir_error *each_entry(struct backend *backend, const struct row_key *key, weir_str prefix,
    backend_entry_fn *each, void *arg)
{
    struct cache *cache = cache_of(backend);
    struct slot *slot = look_up(cache, key);
    if (slot == NULL)
        return NULL;
    if ((slot->row->flags & (ROW_COMPLETE | ROW_LARGE)) == 0)
        WEIR_TRY(load_row(cache, slot, key));
    struct merge merge = { .prefix = prefix, .each = each, .arg = arg };
    return each_of_row(cache, slot->row, key, &merge);
}

/* Thread: task. */
struct row_scan {
    const struct cache *cache;
    struct row_key key; /* of the row in the cache */
    backend_row_fn *each;
    void *arg;
    bool has_stopped;
};

static bool scan_cell(void *arg, weir_str entry, weir_str value)
{
    struct row_scan *scan = arg;
    scan->has_stopped = !scan->each(scan->arg, &scan->key, entry, value);
    return !scan->has_stopped;
}

static bool scan_stored(void *arg, const struct row_key *key, weir_str entry, weir_str value)
{
    const struct row_scan *scan = arg;
    return rows_find(&scan->cache->rows, key) != NULL || scan->each(scan->arg, key, entry, value);
}

/* First the rows in the cache, then those that are only in the store. */
static weir_error *scan(struct backend *backend, uint32_t state, backend_row_fn *each, void *arg)
{
    struct cache *cache = cache_of(backend);
    struct row_scan it = { .cache = cache, .each = each, .arg = arg };
    for (uint64_t i = 0; i < cache->rows.slot_count && !it.has_stopped; i++) {
        const struct slot *slot = &cache->rows.slots[i];
        if (slot->row == NULL || slot->row->state != state)
            continue;
        it.key = row_key_of(slot);
        struct merge merge = { .each = scan_cell, .arg = &it };
        WEIR_TRY(each_of_row(cache, slot->row, &it.key, &merge));
    }
    if (it.has_stopped)
        return NULL;
    return cache->verbs->scan(cache->store, state, scan_stored, &it);
}

/* -- the rest ------------------------------------------------------------------------------- */

static void prefetch(struct backend *backend, const struct row_key *rows, uint32_t row_count)
{
    cache_fetch(cache_of(backend), rows, row_count);
}

static bool is_fetching(const struct backend *backend, uint32_t state)
{
    return cache_is_fetching((const struct cache *)(const void *)backend, state);
}

/* What is free in the pool is for whoever comes first; when it is used up, those who have more than their
 * share give back. */
uint64_t cache_look_at_pool(struct cache *cache)
{
    struct backend_pool *pool = cache->pool;
    uint64_t size = cache_size(cache);
    if (pool == NULL)
        return size;
    uint64_t change = size - cache->pooled;
    uint64_t used = atomic_fetch_add_explicit(&pool->used, change, memory_order_relaxed) + change;
    cache->pooled = size;
    uint64_t others = used - size;
    uint64_t left = pool->size > others ? pool->size - others : 0;
    cache->budget = left > cache->share ? left : cache->share;
    return size;
}

static void expire(struct backend *backend, const struct backend_expiry *expiry)
{
    struct cache *cache = cache_of(backend);
    if (cache->verbs->expire != NULL)
        cache->verbs->expire(cache->store, expiry);
    cache->era = (cache->era + 1) & (UINT8_MAX >> HEAT_BITS);
    cache_trickle(cache, expiry->now_ms);
    cache_warm(cache);
    if (cache_look_at_pool(cache) > cache->budget)
        cache_evict(cache);
}

static void confirm(struct backend *backend, uint64_t checkpoint)
{
    struct cache *cache = cache_of(backend);
    cache->verbs->confirm(cache->store, checkpoint);
}

/* By the store: what is in memory leaves it first. */
static uint64_t expired(struct backend *backend)
{
    const struct cache *cache = cache_of(backend);
    return cache->verbs->expired(cache->store);
}

static uint64_t size(struct backend *backend)
{
    struct cache *cache = cache_of(backend);
    return rows_size(&cache->rows) + extra_size(cache) + cache->verbs->size(cache->store);
}

static void close(struct backend *backend)
{
    struct cache *cache = cache_of(backend);
    atomic_store(&cache->is_closing, true);
    cache->verbs->stop_writing(cache->store);
    cache_warm_release(cache);
    cache_filter_release(cache);
    cache_flights_release(cache);
    if (cache->pool != NULL)
        atomic_fetch_sub(&cache->pool->used, cache->pooled + cache->store_memory);
    cache->verbs->close(cache->store);
    weir_error_free(cache->failed);
    rows_release(&cache->rows);
    waker_free(cache->waker);
    mem_free(cache->dirty[0].rows);
    mem_free(cache->dirty[1].rows);
    mem_free(cache);
}

/* Memtables only take evictions and small flushes: a quarter is enough. */
static weir_error *open(const struct backend_options *options, const struct backend_source *sources,
    uint32_t source_count, struct backend **backend)
{
    struct backend_options of_store = *options;
    struct backend *store;
    *backend = NULL;
    of_store.memory_size = options->memory_size / 4;
    WEIR_TRY(cache_open_store(&of_store, sources, source_count, &store));
    ASSERT(store->backend_class->write_changes != NULL);
    struct cache *cache = mem_alloc(sizeof(*cache));
    cache->backend = (struct backend){ .backend_class = &backend_cache, .rows = &cache->rows };
    cache->store = store;
    cache->verbs = store->backend_class;
    cache->share = cache->budget = options->memory_size - of_store.memory_size;
    cache->pool = options->pool;
    if (cache->pool != NULL)
        atomic_fetch_add(&cache->pool->used, of_store.memory_size);
    cache->store_memory = of_store.memory_size;
    cache->groups = options->groups;
    cache->waker = waker_new();
    rows_init(&cache->rows);
    cache_fetch_init(cache);
    cache_flights_init(cache, options);
    weir_error *error = cache_replay(cache, options, sources, source_count);
    if (error != NULL) {
        close(&cache->backend);
        return error;
    }
    cache_filter_init(cache, source_count > 0);
    cache_warm_init(cache, source_count > 0);
    *backend = &cache->backend;
    return NULL;
}

const struct backend_class backend_cache = { .name = "rocksdb",
    .format = "rocksdb",
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
    .is_fetching = is_fetching,
    .expire = expire,
    .snapshot = cache_snapshot,
    .snapshot_write = cache_snapshot_write,
    .snapshot_free = cache_snapshot_free,
    .confirm = confirm,
    .expired = expired,
    .size = size };

/* hashmap.c -- the backend that keeps everything on the heap: the verbs.
 *
 * What it is for: state that fits into memory, and tests. See rows.h for the table and hashmap_file.c
 * for snapshots. */
#include "state/hashmap.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#include <endian.h>

#define SWEEP_SLOTS       16u /* looked at for expired entries, once a batch */
#define EXPIRY_STATES_MAX 64u

static struct hashmap *hashmap_of(struct backend *backend)
{
    DEBUG_ASSERT(backend->backend_class == &backend_hashmap);
    return (struct hashmap *)(void *)backend;
}

/* -- rows ----------------------------------------------------------------------------------- */

struct slot *hashmap_slot(struct hashmap *map, const struct row_key *key, bool may_add)
{
    struct slot *slot = rows_find(&map->rows, key);
    if (slot != NULL || !may_add)
        return slot;
    ASSERT(group_range_has(map->groups, key->group));
    return rows_add(&map->rows, key, 0);
}

/* Deletes the row if nothing is left in it, and halves a table that is nearly empty. */
static void drop_if_empty(struct hashmap *map, struct slot *slot)
{
    struct row *row = slot->row;
    if (row->entries != NULL && entries_count(row->entries) == 0)
        rows_free_entries(&map->rows, row);
    if (row->value_size != ROW_VALUE_NONE || row->entries != NULL)
        return;
    rows_delete(&map->rows, slot);
    rows_shrink(&map->rows);
}

/* -- entries -------------------------------------------------------------------------------- */

void hashmap_set(struct hashmap *map, struct slot *slot, weir_str entry, weir_str value)
{
    char *to;
    if (entry.size == 0) {
        struct row *row = rows_reserve(&map->rows, slot, value.size);
        row->value_size = (uint32_t)value.size;
        to = row_value_bytes(row);
    } else {
        bool is_new;
        to = rows_put_entry(&map->rows, slot->row, entry, value.size, &is_new)->value;
    }
    if (value.size > 0)
        memmove(to, value.data, value.size);
}

/* -- verbs ---------------------------------------------------------------------------------- */

static weir_error *get(struct backend *backend, const struct row_key *row, weir_str entry,
    weir_str *value)
{
    const struct slot *slot = hashmap_slot(hashmap_of(backend), row, false);
    *value = (weir_str){ 0 };
    if (slot == NULL)
        return NULL;
    if (entry.size == 0) {
        if (slot->row->value_size != ROW_VALUE_NONE)
            *value = row_value(slot->row);
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
    WEIR_TRY(row_check_size(row, entry, value.size, "hashmap"));
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
        slot->row->value_size = ROW_VALUE_NONE;
    } else if (slot->row->entries != NULL) {
        rows_remove_entry(&map->rows, slot->row, entry);
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
    rows_free_entries(&map->rows, slot->row);
    slot->row->value_size = ROW_VALUE_NONE;
    drop_if_empty(map, slot);
    return NULL;
}

/* Every entry of one row; false: the callback has stopped it. */
static bool row_each(const struct row *row, weir_str prefix, backend_entry_fn *each, void *arg)
{
    if (row->value_size != ROW_VALUE_NONE && prefix.size == 0)
        if (!each(arg, WEIR_STR(""), row_value(row)))
            return false;
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

static weir_error *edit_value(struct hashmap *map, const struct row_key *key, size_t size,
    void **bytes, bool *is_new)
{
    struct slot *slot = rows_find(&map->rows, key);
    if (slot == NULL) {
        WEIR_TRY(row_check_size(key, WEIR_STR(""), size, "hashmap"));
        ASSERT(group_range_has(map->groups, key->group));
        slot = rows_add(&map->rows, key, size);
    }
    struct row *row = slot->row;
    *is_new = row->value_size == ROW_VALUE_NONE;
    if (*is_new) {
        row = rows_reserve(&map->rows, slot, size);
        memset(row_value_bytes(row), 0, size);
        row->value_size = (uint32_t)size;
    } else if (__builtin_expect(row->value_size != size, 0)) {
        return row_wrong_size(key, row->value_size, size);
    }
    *bytes = row_value_bytes(row);
    return NULL;
}

static weir_error *edit(struct backend *backend, const struct row_key *row, weir_str entry,
    size_t size, void **bytes, bool *is_new)
{
    struct hashmap *map = hashmap_of(backend);
    if (entry.size == 0)
        return edit_value(map, row, size, bytes, is_new);
    WEIR_TRY(row_check_size(row, entry, size, "hashmap"));
    const struct slot *slot = hashmap_slot(map, row, true);
    struct entry *found =
        slot->row->entries == NULL ? NULL : entries_find(slot->row->entries, entry);
    *is_new = found == NULL;
    if (found == NULL)
        found = rows_put_entry(&map->rows, slot->row, entry, size, is_new);
    else if (found->value_size != size)
        return row_wrong_size(row, found->value_size, size);
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
    for (uint64_t i = 0; i < map->rows.slot_count; i++) {
        const struct row *row = map->rows.slots[i].row;
        if (row == NULL || row->state != state)
            continue;
        struct row_scan it = { .key = row_key_of(&map->rows.slots[i]), .each = each, .arg = arg };
        if (!row_each(row, WEIR_STR(""), scan_entry, &it))
            break;
    }
    return NULL;
}

/* -- expiry --------------------------------------------------------------------------------- */

static bool is_expired(int64_t time_ms, weir_str value)
{
    uint64_t stored;
    if (value.size < sizeof(stored))
        return false;
    memcpy(&stored, value.data, sizeof(stored));
    return (int64_t)le64toh(stored) < time_ms;
}

/* Thread: task. */
struct sweep {
    struct hashmap *map;
    int64_t time_ms;
};

static bool is_expired_entry(void *arg, struct entry *entry)
{
    const struct sweep *sweep = arg;
    bool is_dead = is_expired(sweep->time_ms, entry_value(entry));
    sweep->map->expired_count += is_dead;
    return is_dead;
}

/* Sweeps the value and one leaf of a row; true: look at this slot again, because the row has more
 * leaves, or is gone and another one may have moved here. */
static bool sweep_row(struct hashmap *map, struct slot *slot, int64_t time_ms)
{
    struct row *row = slot->row;
    bool has_more = false;
    struct sweep sweep = { .map = map, .time_ms = time_ms };
    if (row->value_size != ROW_VALUE_NONE && is_expired(time_ms, row_value(row))) {
        row->value_size = ROW_VALUE_NONE;
        map->expired_count++;
    }
    if (row->entries != NULL)
        has_more = entries_sweep(row->entries, &map->rows.slab, &map->sweep_leaf, is_expired_entry,
            &sweep);
    uint64_t row_count = map->rows.row_count;
    drop_if_empty(map, slot);
    if (map->rows.row_count == row_count)
        return has_more;
    map->sweep_leaf = 0;
    return true;
}

static void expire(struct backend *backend, const struct backend_expiry *expiry)
{
    struct hashmap *map = hashmap_of(backend);
    if ((expiry->processing_states | expiry->event_states) == 0)
        return;
    for (uint32_t i = 0; i < SWEEP_SLOTS; i++) {
        map->sweep_slot &= map->rows.slot_count - 1;
        struct slot *slot = &map->rows.slots[map->sweep_slot];
        uint32_t state = slot->row == NULL ? EXPIRY_STATES_MAX : slot->row->state;
        uint64_t bit = state < EXPIRY_STATES_MAX ? UINT64_C(1) << state : 0;
        bool again = false;
        if (expiry->processing_states & bit)
            again = sweep_row(map, slot, expiry->now_ms);
        else if (expiry->event_states & bit)
            again = sweep_row(map, slot, expiry->watermark_ms);
        if (again)
            continue;
        map->sweep_slot++;
        map->sweep_leaf = 0;
    }
}

/* -- life ----------------------------------------------------------------------------------- */

static void close(struct backend *backend)
{
    struct hashmap *map = hashmap_of(backend);
    rows_release(&map->rows);
    if (map->directory != NULL)
        weir_error_free(os_remove_tree(map->directory)); /* it was never written to */
    mem_free(map->directory);
    mem_free(map->checkpoint_dir);
    mem_free(map);
}

static weir_error *open(const struct backend_options *options, const struct backend_source *sources,
    uint32_t source_count, struct backend **backend)
{
    *backend = NULL;
    WEIR_TRY(backend_check_sources(options->groups, sources, source_count));
    struct hashmap *map = mem_alloc(sizeof(*map));
    map->backend = (struct backend){ .backend_class = &backend_hashmap, .rows = &map->rows };
    map->directory = mem_strdup(options->directory);
    map->checkpoint_dir = mem_strdup(options->checkpoint_dir);
    map->attempt = options->attempt;
    map->groups = options->groups;
    rows_init(&map->rows);
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

static uint64_t expired(struct backend *backend)
{
    return hashmap_of(backend)->expired_count;
}

static uint64_t size(struct backend *backend)
{
    return rows_size(&hashmap_of(backend)->rows);
}

const struct backend_class backend_hashmap = { .name = "hashmap",
    .format = "hashmap",
    .open = open,
    .close = close,
    .get = get,
    .put = put,
    .remove = remove_entry,
    .clear = clear,
    .each = each_entry,
    .edit = edit,
    .scan = scan,
    .expire = expire,
    .snapshot = snapshot,
    .snapshot_write = hashmap_snapshot_write,
    .snapshot_free = hashmap_snapshot_free,
    .confirm = confirm,
    .expired = expired,
    .size = size };

/* rocksdb_values.c -- the empty entries of many rows at once.
 *
 * Sorted, RocksDB looks for 32 of them together: it walks filters, indexes and files once for all. More at a
 * time are sorted together, for neighbours to be in one group.
 *
 * Prefixes: rocks_ */
#include "state/rocksdb_private.h"

#include "base/assert.h"

#include <stdlib.h>

#define TOGETHER \
    32u /* as many as RocksDB takes in one go: values of more would only be pinned longer */

/* Thread: the caller's. */
struct wanted {
    weir_str key; /* in the database */
    const struct row_key *row;
};

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *left = a, *right = b;
    return weir_str_compare(left->key, right->key);
}

/* How many are different. Their keys are in the backend's room. */
static uint32_t sort_wanted(struct rocks *rocks, const struct row_key *rows, uint32_t row_count,
    struct wanted *wanted)
{
    size_t size = 0;
    for (uint32_t i = 0; i < row_count; i++)
        size += ROCKS_KEY_HEADER + rows[i].key.size;
    char *at = rocks_key_room(rocks, size);
    for (uint32_t i = 0; i < row_count; i++) {
        const struct row_key *row = &rows[i];
        DEBUG_ASSERT(group_range_has(rocks->groups, row->group));
        char *key = rocks_put_header(at, row->group, row->state, (uint32_t)row->key.size);
        if (row->key.size > 0)
            memcpy(key, row->key.data, row->key.size);
        wanted[i] =
            (struct wanted){ .key = { .data = at, .size = ROCKS_KEY_HEADER + row->key.size },
                .row = row };
        at += wanted[i].key.size;
    }
    qsort(wanted, row_count, sizeof(*wanted), compare_wanted);
    uint32_t count = 0;
    for (uint32_t i = 0; i < row_count; i++)
        if (i == 0 || !weir_str_equal(wanted[i].key, wanted[i - 1].key))
            wanted[count++] = wanted[i];
    return count;
}

/* One value on its way out; its slice and message are freed. */
static weir_error *give(const struct rocks *rocks, const struct wanted *wanted,
    rocksdb_pinnableslice_t *slice, char *message, backend_value_fn *each, void *arg, bool *goes_on)
{
    weir_str value = { 0 };
    if (message != NULL)
        return rocks_error(message, "read from", rocks->database);
    if (slice != NULL) {
        size_t size;
        const char *bytes = rocksdb_pinnableslice_value(slice, &size);
        value = (weir_str){ .data = size == 0 ? "" : bytes, .size = size };
    }
    *goes_on = *goes_on && each(arg, wanted->row, value);
    if (slice != NULL)
        rocksdb_pinnableslice_destroy(slice);
    return NULL;
}

static weir_error *get_group(const struct rocks *rocks, const struct wanted *wanted, uint32_t count,
    backend_value_fn *each, void *arg, bool *goes_on)
{
    const char *keys[TOGETHER];
    size_t sizes[TOGETHER];
    rocksdb_pinnableslice_t *slices[TOGETHER];
    char *messages[TOGETHER];
    weir_error *error = NULL;
    ASSERT(count <= TOGETHER);
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = wanted[i].key.data;
        sizes[i] = wanted[i].key.size;
    }
    rocksdb_batched_multi_get_cf(rocks->db, rocks->read, rocks->entries, count, keys, sizes, slices,
        messages, true);
    for (uint32_t i = 0; i < count; i++)
        error = weir_error_join(error,
            give(rocks, &wanted[i], slices[i], messages[i], each, arg, goes_on));
    return error;
}

weir_error *rocks_get_values(struct backend *backend, const struct row_key *rows,
    uint32_t row_count, backend_value_fn *each, void *arg)
{
    struct rocks *rocks = (struct rocks *)(void *)backend;
    struct wanted wanted[BACKEND_PREFETCH_MAX];
    bool goes_on = true;
    ASSERT(row_count <= BACKEND_PREFETCH_MAX);
    uint32_t count = sort_wanted(rocks, rows, row_count, wanted);
    for (uint32_t i = 0; i < count && goes_on; i += TOGETHER) {
        uint32_t left = count - i;
        WEIR_TRY(
            get_group(rocks, &wanted[i], left < TOGETHER ? left : TOGETHER, each, arg, &goes_on));
    }
    return NULL;
}

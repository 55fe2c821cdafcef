/* rocksdb_bulk.c -- the changes that a cache has collected, sorted and written at once.
 *
 * Sorting is what makes it cheap: neighbours in key order are neighbours in a memtable's skip list.
 * Measured (19-byte keys, 40-byte values, us of CPU an entry):
 *
 *      put one by one              2.4
 *      WriteBatch, sorted          0.4      into the memtable; a flush and compactions come later
 *      sorted file, taken in       0.15     and 4-20 ms for the file: worth it from SORTED_MIN on
 *
 * Rows are sorted, not entries: the cells of a row are in order already. Only those of a row that is in
 * several lists are sorted, too. Cleared rows come first, by
 * reading what the database has of them; both steps may be repeated after a failure in between.
 *
 * Prefixes: rocks_ */
#include "state/rocksdb_private.h"

#include "base/assert.h"
#include "base/memory.h"

#include <endian.h>
#include <stdlib.h>

#ifdef WEIR_DEBUG
#define SORTED_MIN UINT64_C(300) /* tests have less to write, and take both ways */
#else
#define SORTED_MIN UINT64_C(10000) /* entries */
#endif
#define BATCH_SIZE        ((size_t)256 << 10)
#define PREFETCH_AHEAD    8u
#define SHORT_KEY_SIZE    255u
#define KEY_SIZE_IN_PLACE 20u /* head has 4, the others 8 */
#define PLACE_BYTES       24u /* head, middle and tail */
#define FEW               16u /* places that are inserted: distributing costs more */

/* A row with the start of its key as numbers, for cheap comparisons. Thread: the caller's. */
struct place {
    uint64_t head, middle, tail;
    const struct change_row *row;
    uint32_t list; /* which of the lists: a later one is newer */
};

/* A cell of a row that is in several lists. Thread: the caller's. */
struct version {
    weir_str name, value;
    size_t place;
};

/* Thread: the caller's. */
struct bulk {
    struct rocks *rocks;
    struct rocks_sorter *sorter; /* NULL: batches */
    rocksdb_writebatch_t *batch;
    size_t batch_size;
    char *key;
    size_t key_capacity;
    struct version *versions;
    size_t version_capacity;
};

/* -- order ---------------------------------------------------------------------------------- */

/* Up to eight bytes of a key from an offset on, in an order like that of the bytes. */
static uint64_t bytes_at(weir_str key, size_t offset)
{
    uint64_t bytes = 0;
    if (key.size > offset)
        memcpy(&bytes, key.data + offset,
            key.size - offset < sizeof(bytes) ? key.size - offset : sizeof(bytes));
    return be64toh(bytes);
}

/* Group, state, key size and, of shorter keys, the first twenty bytes: the order of the database's keys
 * as far as it goes. */
static struct place place_of(const struct change_row *row, uint32_t list)
{
    uint64_t size = row->key_size < SHORT_KEY_SIZE ? row->key_size : SHORT_KEY_SIZE;
    struct place place = { .head =
                               (uint64_t)row->group << 48 | (uint64_t)row->state << 40 | size << 32,
        .row = row,
        .list = list };
    if (size < SHORT_KEY_SIZE) {
        weir_str key = change_row_key(row).key;
        place.head |= bytes_at(key, 0) >> 32;
        place.middle = bytes_at(key, 4);
        place.tail = bytes_at(key, 12);
    }
    return place;
}

/* Of the key; SHORT_KEY_SIZE or more: that. */
static uint64_t size_of(const struct place *place)
{
    return place->head >> 32 & UINT8_MAX;
}

/* Of a short key the rows themselves are not looked at: each look would be a miss of the processor's cache. */
static int compare_keys(const struct place *left, const struct place *right)
{
    if (left->head != right->head)
        return left->head < right->head ? -1 : 1;
    if (left->middle != right->middle)
        return left->middle < right->middle ? -1 : 1;
    if (left->tail != right->tail)
        return left->tail < right->tail ? -1 : 1;
    if (size_of(left) <= KEY_SIZE_IN_PLACE)
        return 0;
    if (left->row->key_size != right->row->key_size)
        return left->row->key_size < right->row->key_size ? -1 : 1;
    return weir_str_compare(change_row_key(left->row).key, change_row_key(right->row).key);
}

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    int order = compare_keys(left, right);
    return order != 0 ? order : (left->list > right->list) - (left->list < right->list);
}

static uint64_t count_rows(const struct changes *const *lists, uint32_t list_count)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < list_count; i++)
        count += lists[i]->row_count;
    return count;
}

/* The bytes of head, middle and tail, from the first on. */
static uint32_t byte_at(const struct place *place, uint32_t index)
{
    uint64_t word = index < 8 ? place->head : index < 16 ? place->middle : place->tail;
    return (uint32_t)(word >> (56 - index % 8 * 8)) & UINT8_MAX;
}

/* Bucket b is from ends[b - 1], of the lowest one from 0, up to ends[b]. Thread: the caller's. */
struct buckets {
    uint64_t ends[256];
    uint32_t lowest, highest; /* bytes */
};

/* Most keys have digits or letters in a place: only their range of bytes is gone over. */
static void count_bytes(const struct place *places, uint64_t count, uint32_t index,
    struct buckets *buckets)
{
    uint64_t counts[256] = { 0 }, sum = 0;
    buckets->lowest = UINT8_MAX;
    buckets->highest = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t byte = byte_at(&places[i], index);
        counts[byte]++;
        buckets->lowest = byte < buckets->lowest ? byte : buckets->lowest;
        buckets->highest = byte > buckets->highest ? byte : buckets->highest;
    }
    for (uint32_t byte = buckets->lowest; byte <= buckets->highest; byte++)
        buckets->ends[byte] = sum += counts[byte];
}

static uint64_t start_of(const struct buckets *buckets, uint32_t byte)
{
    return byte == buckets->lowest ? 0 : buckets->ends[byte - 1];
}

/* Puts the places with an equal byte together, in the order of the bytes. */
static void distribute(struct place *places, uint32_t index, const struct buckets *buckets)
{
    uint64_t next[256];
    for (uint32_t byte = buckets->lowest; byte <= buckets->highest; byte++)
        next[byte] = start_of(buckets, byte);
    for (uint32_t byte = buckets->lowest; byte <= buckets->highest; byte++)
        while (next[byte] < buckets->ends[byte]) {
            struct place place = places[next[byte]];
            uint32_t home;
            while ((home = byte_at(&place, index)) != byte) {
                struct place other = places[next[home]];
                places[next[home]++] = place;
                place = other;
            }
            places[next[byte]++] = place;
        }
}

/* The first byte that is not the same in all; PLACE_BYTES: there is none. Keys have much in common at their start. */
static uint32_t first_difference(const struct place *places, uint64_t count)
{
    uint64_t head = 0, middle = 0, tail = 0;
    for (uint64_t i = 1; i < count; i++) {
        head |= places[i].head ^ places[0].head;
        middle |= places[i].middle ^ places[0].middle;
        tail |= places[i].tail ^ places[0].tail;
    }
    if (head != 0)
        return (uint32_t)__builtin_clzll(head) / 8;
    if (middle != 0)
        return 8 + (uint32_t)__builtin_clzll(middle) / 8;
    return tail != 0 ? 16 + (uint32_t)__builtin_clzll(tail) / 8 : PLACE_BYTES;
}

static void insert_places(struct place *places, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++) {
        struct place place = places[i];
        uint64_t at = i;
        for (; at > 0 && compare_places(&place, &places[at - 1]) < 0; at--)
            places[at] = places[at - 1];
        places[at] = place;
    }
}

/* Byte by byte, and in place: a million places would be twice their memory otherwise, all of it new, and
 * comparing two far apart is a miss of the processor's cache. Few are inserted; many that only the rest of
 * long keys tells apart are left to qsort. */
static void sort_places(struct place *places, uint64_t count)
{
    if (count <= FEW) {
        insert_places(places, count);
        return;
    }
    struct buckets buckets;
    uint32_t index = first_difference(places, count);
    if (index == PLACE_BYTES) {
        qsort(places, count, sizeof(*places), compare_places);
        return;
    }
    count_bytes(places, count, index, &buckets);
    distribute(places, index, &buckets);
    for (uint32_t byte = buckets.lowest; byte <= buckets.highest; byte++) {
        uint64_t start = start_of(&buckets, byte);
        sort_places(places + start, buckets.ends[byte] - start);
    }
}

static struct place *sort_rows(const struct changes *const *lists, uint32_t list_count,
    uint64_t row_count)
{
    struct place *places = mem_realloc(NULL, (row_count + 1) * sizeof(*places));
    uint64_t count = 0;
    for (uint32_t i = 0; i < list_count; i++) {
        const struct change_row *row = NULL;
        while ((row = changes_next(lists[i], row)) != NULL)
            places[count++] = place_of(row, i);
    }
    ASSERT(count == row_count);
    sort_places(places, count);
    return places;
}

/* -- writing -------------------------------------------------------------------------------- */

static weir_error *write_batch(struct bulk *bulk)
{
    char *message = NULL;
    rocksdb_write(bulk->rocks->db, bulk->rocks->write, bulk->batch, &message);
    rocks_note_write(bulk->rocks);
    rocksdb_writebatch_clear(bulk->batch);
    bulk->batch_size = 0;
    return rocks_error(message, "write to", bulk->rocks->database);
}

static weir_error *write_cell(struct bulk *bulk, uint32_t group, weir_str key, weir_str value)
{
    if (bulk->sorter != NULL)
        return rocks_sorter_add(bulk->sorter, group, key, value);
    if (value.data == NULL)
        rocksdb_writebatch_delete(bulk->batch, key.data, key.size);
    else
        rocksdb_writebatch_put(bulk->batch, key.data, key.size, value.data, value.size);
    bulk->batch_size += key.size + value.size;
    return bulk->batch_size < BATCH_SIZE ? NULL : write_batch(bulk);
}

static char *key_room(struct bulk *bulk, size_t size)
{
    if (size > bulk->key_capacity) {
        bulk->key_capacity = size * 2;
        bulk->key = mem_realloc(bulk->key, bulk->key_capacity);
    }
    return bulk->key;
}

/* Puts the row's part of the key into its room; returns the part's size. */
static size_t start_key(struct bulk *bulk, const struct change_row *row)
{
    struct row_key key = change_row_key(row);
    size_t size = ROCKS_KEY_HEADER + key.key.size;
    char *at = rocks_put_header(key_room(bulk, size), key.group, key.state, row->key_size);
    if (key.key.size > 0)
        memcpy(at, key.key.data, key.key.size);
    return size;
}

static weir_error *write_named(struct bulk *bulk, uint32_t group, size_t skip, weir_str name,
    weir_str value)
{
    char *bytes = key_room(bulk, skip + name.size);
    if (name.size > 0)
        memcpy(bytes + skip, name.data, name.size);
    weir_str whole = { .data = bytes, .size = skip + name.size };
    return write_cell(bulk, group, whole, value);
}

static weir_error *write_row(struct bulk *bulk, const struct change_row *row)
{
    weir_str name, value;
    size_t skip = start_key(bulk, row);
    struct change_cells cells = change_cells(row);
    while (change_cells_next(&cells, &name, &value))
        WEIR_TRY(write_named(bulk, row->group, skip, name, value));
    return NULL;
}

/* By name, the newest first. */
static int compare_versions(const void *a, const void *b)
{
    const struct version *left = a, *right = b;
    int order = weir_str_compare(left->name, right->name);
    return order != 0 ? order : (left->place < right->place) - (left->place > right->place);
}

static void add_version(struct bulk *bulk, size_t count, struct version version)
{
    if (count == bulk->version_capacity) {
        bulk->version_capacity = bulk->version_capacity == 0 ? 64 : bulk->version_capacity * 2;
        bulk->versions =
            mem_realloc(bulk->versions, bulk->version_capacity * sizeof(*bulk->versions));
    }
    bulk->versions[count] = version;
}

/* A row of several lists: of each cell only the newest version, and nothing from before it was cleared. */
static weir_error *write_versions(struct bulk *bulk, const struct place *places, size_t place_count)
{
    size_t first = place_count - 1, count = 0;
    while (first > 0 && !places[first].row->is_cleared)
        first--;
    for (size_t i = first; i < place_count; i++) {
        struct change_cells cells = change_cells(places[i].row);
        struct version version = { .place = i };
        while (change_cells_next(&cells, &version.name, &version.value))
            add_version(bulk, count++, version);
    }
    if (count > 1)
        qsort(bulk->versions, count, sizeof(*bulk->versions), compare_versions);
    size_t skip = start_key(bulk, places[0].row);
    for (size_t i = 0; i < count; i++) {
        const struct version *version = &bulk->versions[i];
        if (i == 0 || !weir_str_equal(version->name, version[-1].name))
            WEIR_TRY(write_named(bulk, places[0].row->group, skip, version->name, version->value));
    }
    return NULL;
}

static weir_error *clear_rows(struct rocks *rocks, const struct changes *changes)
{
    const struct change_row *row = NULL;
    if (changes->cleared_count == 0)
        return NULL;
    while ((row = changes_next(changes, row)) != NULL) {
        struct row_key key = change_row_key(row);
        if (row->is_cleared)
            WEIR_TRY(rocks_clear(rocks, &key));
    }
    return NULL;
}

/* In key order the rows lie here and there: three cache lines, most of most of them. */
static void prefetch_row(const struct place *place)
{
    const char *at = (const char *)place->row;
    __builtin_prefetch(at);
    __builtin_prefetch(at + MEM_LINE_SIZE);
    __builtin_prefetch(at + 2 * MEM_LINE_SIZE);
}

static weir_error *write_places(struct bulk *bulk, const struct place *places, uint64_t count)
{
    for (uint64_t i = 0, next; i < count; i = next) {
        WEIR_TRY(rocks_check_open(bulk->rocks));
        next = i + 1;
        while (next < count && compare_keys(&places[i], &places[next]) == 0)
            next++;
        for (uint64_t ahead = i + PREFETCH_AHEAD; ahead < next + PREFETCH_AHEAD; ahead++)
            if (ahead < count)
                prefetch_row(&places[ahead]);
        WEIR_TRY(next - i == 1 ? write_row(bulk, places[i].row)
                               : write_versions(bulk, &places[i], next - i));
    }
    return NULL;
}

static weir_error *write_rows(struct bulk *bulk, const struct changes *const *lists,
    uint32_t list_count)
{
    uint64_t row_count = count_rows(lists, list_count);
    struct place *places = sort_rows(lists, list_count, row_count);
    weir_error *error = write_places(bulk, places, row_count);
    mem_free(places);
    WEIR_TRY(error);
    if (bulk->sorter == NULL)
        return bulk->batch_size == 0 ? NULL : write_batch(bulk);
    WEIR_TRY(rocks_sorter_finish(bulk->sorter));
    return rocks_sorter_ingest(bulk->sorter);
}

weir_error *rocks_write_changes(struct backend *backend, const struct changes *const *lists,
    uint32_t list_count)
{
    struct rocks *rocks = (struct rocks *)(void *)backend;
    struct rocks_sorter sorter = { .rocks = rocks };
    struct bulk bulk = { .rocks = rocks };
    uint64_t cell_count = 0;
    for (uint32_t i = 0; i < list_count; i++) {
        WEIR_TRY(clear_rows(rocks, lists[i]));
        cell_count += lists[i]->cell_count;
    }
    if (cell_count >= SORTED_MIN)
        bulk.sorter = &sorter;
    else
        bulk.batch = rocksdb_writebatch_create();
    weir_error *error = write_rows(&bulk, lists, list_count);
    if (bulk.batch != NULL)
        rocksdb_writebatch_destroy(bulk.batch);
    rocks_sorter_release(&sorter);
    mem_free(bulk.key);
    mem_free(bulk.versions);
    return error;
}

weir_error *rocks_check_open(const struct rocks *rocks)
{
    if (!atomic_load_explicit(&rocks->is_writing_stopped, memory_order_relaxed))
        return NULL;
    return weir_errorf(WEIR_E_CANCELLED, "'%s' is being closed", rocks->database);
}

void rocks_stop_writing(struct backend *backend)
{
    struct rocks *rocks = (struct rocks *)(void *)backend;
    atomic_store_explicit(&rocks->is_writing_stopped, true, memory_order_relaxed);
}

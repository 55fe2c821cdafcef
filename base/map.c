/* map.c -- entries in an array, and a table of indexes into it, found by hash.
 *
 * Nothing is ever removed, so there are no tombstones: state, which forgets, has its own tables. */
#include "base/map.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

#define SLOTS_MIN 16u
#define NOT_FOUND UINT32_MAX

/* Thread: its owner. */
struct entry {
    uint64_t hash;
    weir_str key; /* owned */
    void *value;
};

/* Thread: its owner. */
struct map {
    struct entry *entries; /* room for half of slot_count */
    uint32_t *slots;       /* 0: free, else index + 1 */
    uint32_t slot_count;   /* a power of two */
    uint32_t count;
    uint32_t count_max;
};

struct map *map_new(uint32_t count_max)
{
    ASSERT(count_max >= 1 && count_max <= UINT32_C(1) << 28);
    struct map *map = mem_alloc(sizeof(*map));
    map->count_max = count_max;
    map->slot_count = SLOTS_MIN;
    map->slots = mem_alloc_array(map->slot_count, sizeof(*map->slots));
    map->entries = mem_alloc_array(map->slot_count / 2, sizeof(*map->entries));
    return map;
}

static void key_free(weir_str key)
{
    mem_free((void *)(uintptr_t)key.data);
}

void map_free(struct map *map)
{
    if (map == NULL)
        return;
    for (uint32_t i = 0; i < map->count; i++)
        key_free(map->entries[i].key);
    mem_free(map->entries);
    mem_free(map->slots);
    mem_free(map);
}

static void slot_fill(struct map *map, uint32_t index)
{
    uint32_t slot = (uint32_t)map->entries[index].hash & (map->slot_count - 1);
    while (map->slots[slot] != 0)
        slot = (slot + 1) & (map->slot_count - 1);
    map->slots[slot] = index + 1;
}

static void slots_rebuild(struct map *map)
{
    memset(map->slots, 0, map->slot_count * sizeof(*map->slots));
    for (uint32_t i = 0; i < map->count; i++)
        slot_fill(map, i);
}

static void grow(struct map *map)
{
    map->slot_count *= 2;
    map->entries = mem_realloc(map->entries, map->slot_count / 2 * sizeof(*map->entries));
    map->slots = mem_realloc(map->slots, map->slot_count * sizeof(*map->slots));
    slots_rebuild(map);
}

static uint32_t find(const struct map *map, weir_str key, uint64_t hash)
{
    uint32_t slot = (uint32_t)hash & (map->slot_count - 1);
    for (; map->slots[slot] != 0; slot = (slot + 1) & (map->slot_count - 1)) {
        uint32_t index = map->slots[slot] - 1;
        ASSERT(index < map->count);
        if (map->entries[index].hash == hash && weir_str_equal(map->entries[index].key, key))
            return index;
    }
    return NOT_FOUND;
}

void map_put(struct map *map, weir_str key, void *value)
{
    uint64_t hash = hash_bytes(key.data, key.size);
    uint32_t index = find(map, key, hash);
    if (index != NOT_FOUND) {
        map->entries[index].value = value;
        return;
    }
    ASSERT(map->count < map->count_max);
    if (map->count == map->slot_count / 2)
        grow(map);
    map->entries[map->count] = (struct entry){ .hash = hash,
        .value = value,
        .key = { .data = mem_dup(key.data, key.size), .size = key.size } };
    slot_fill(map, map->count);
    map->count++;
}

void *map_get(const struct map *map, weir_str key)
{
    uint32_t index = find(map, key, hash_bytes(key.data, key.size));
    return index == NOT_FOUND ? NULL : map->entries[index].value;
}

uint32_t map_count(const struct map *map)
{
    return map->count;
}

/* touched.c -- a short list with a hash table for when it is long. */
#include "state/touched.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

#define KEPT_MAX  4096u /* items whose memory a reset keeps */
#define COUNT_MAX (1u << 30)

void touched_release(struct touched_list *list)
{
    mem_free(list->items);
    mem_free(list->index);
    *list = (struct touched_list){ 0 };
}

void touched_reset(struct touched_list *list)
{
    if (list->capacity > KEPT_MAX) {
        touched_release(list);
        return;
    }
    if (list->count > TOUCHED_LINEAR)
        memset(list->index, 0, list->index_size * sizeof(*list->index));
    list->count = 0;
}

static bool is_it(const struct touched *item, uint32_t state, weir_str entry)
{
    return item->state == state && weir_str_equal(item->entry, entry);
}

/* Where the entry is in the index, or the free place for it. */
static uint32_t *place_of(const struct touched_list *list, uint32_t state, weir_str entry)
{
    uint32_t mask = list->index_size - 1;
    uint32_t at = (uint32_t)hash_mix(hash_bytes(entry.data, entry.size) + state) & mask;
    while (list->index[at] != 0 && !is_it(&list->items[list->index[at] - 1], state, entry))
        at = (at + 1) & mask;
    return &list->index[at];
}

struct touched *touched_find(const struct touched_list *list, uint32_t state, weir_str entry)
{
    if (list->count <= TOUCHED_LINEAR) {
        for (uint32_t i = 0; i < list->count; i++)
            if (is_it(&list->items[i], state, entry))
                return &list->items[i];
        return NULL;
    }
    ASSERT(list->index_size > list->count);
    uint32_t found = *place_of(list, state, entry);
    return found == 0 ? NULL : &list->items[found - 1];
}

/* Makes the index at least twice as large as the list and fills it. */
static void reindex(struct touched_list *list)
{
    if (list->index_size < 2 * list->capacity) {
        mem_free(list->index);
        list->index_size = 2 * list->capacity;
        list->index = mem_alloc_array(list->index_size, sizeof(*list->index));
    }
    ASSERT((list->index_size & (list->index_size - 1)) == 0);
    for (uint32_t i = 0; i < list->count; i++)
        *place_of(list, list->items[i].state, list->items[i].entry) = i + 1;
}

struct touched *touched_add(struct touched_list *list, uint32_t state, weir_str entry)
{
    ASSERT(list->count < COUNT_MAX);
    DEBUG_ASSERT(touched_find(list, state, entry) == NULL);
    bool has_grown = list->count == list->capacity;
    if (has_grown) {
        list->capacity = list->capacity == 0 ? TOUCHED_LINEAR : list->capacity * 2;
        list->items = mem_realloc(list->items, list->capacity * sizeof(*list->items));
    }
    ASSERT(list->count < list->capacity);
    struct touched *item = &list->items[list->count++];
    *item = (struct touched){ .state = state, .entry = entry };
    if (list->count == TOUCHED_LINEAR + 1 || (has_grown && list->count > TOUCHED_LINEAR))
        reindex(list);
    else if (list->count > TOUCHED_LINEAR)
        *place_of(list, state, entry) = list->count;
    return item;
}

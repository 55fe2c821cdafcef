/* timer_queue.c -- see timer_queue.h for the picture.
 *
 * Invariants: every instant listed has an item; its first block has one at or behind `first_index`; blocks
 * behind the first may be all holes. */
#include "runtime/task/timer_queue.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

#define BLOCK_ITEMS 7u
#define CHUNK_CELLS 1023u
#define TABLE_MIN   64u

/* Thread: its owner. */
struct block {
    struct block *next;
    void *items[BLOCK_ITEMS]; /* NULL: taken out, or not yet filled */
};

/* Thread: its owner. */
struct timer_instant {
    int64_t at_ms;
    uint32_t heap_index;
    uint32_t count;
    struct block *first, *last;
    uint32_t first_index; /* in the first block */
    uint32_t last_count;  /* filled in the last block */
};

/* Thread: its owner. */
union timer_cell {
    union timer_cell *next;
    struct block block;
    struct timer_instant instant;
};
_Static_assert(sizeof(union timer_cell) == 64, "a cache line");

/* Thread: its owner. */
struct timer_chunk {
    struct timer_chunk *next;
    char unused[56];
    union timer_cell cells[CHUNK_CELLS];
};

/* -- cells ------------------------------------------------------------------------------------ */

static void add_chunk(struct timer_queue *queue)
{
    struct timer_chunk *chunk = mem_alloc_aligned(MEM_LINE_SIZE, sizeof(*chunk));
    chunk->next = queue->chunks;
    queue->chunks = chunk;
    for (uint32_t i = CHUNK_CELLS; i-- > 0;) {
        chunk->cells[i].next = queue->free_cells;
        queue->free_cells = &chunk->cells[i];
    }
}

static union timer_cell *take_cell(struct timer_queue *queue)
{
    if (queue->free_cells == NULL)
        add_chunk(queue);
    union timer_cell *cell = queue->free_cells;
    queue->free_cells = cell->next;
    *cell = (union timer_cell){ .block = { 0 } };
    return cell;
}

static void give_cell(struct timer_queue *queue, void *used)
{
    union timer_cell *cell = used;
    cell->next = queue->free_cells;
    queue->free_cells = cell;
}

/* -- the heap of instants --------------------------------------------------------------------- */

static void heap_place(struct timer_queue *queue, uint32_t index, struct timer_instant *instant)
{
    queue->heap[index] = (struct timer_instant_ref){ .at_ms = instant->at_ms, .instant = instant };
    instant->heap_index = index;
}

static void heap_up(struct timer_queue *queue, uint32_t index, struct timer_instant *instant)
{
    for (; index > 0 && instant->at_ms < queue->heap[(index - 1) / 2].at_ms;
         index = (index - 1) / 2)
        heap_place(queue, index, queue->heap[(index - 1) / 2].instant);
    heap_place(queue, index, instant);
}

static void heap_down(struct timer_queue *queue, uint32_t index, struct timer_instant *instant)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= queue->instant_count)
            break;
        if (child + 1 < queue->instant_count &&
            queue->heap[child + 1].at_ms < queue->heap[child].at_ms)
            child++;
        if (queue->heap[child].at_ms >= instant->at_ms)
            break;
        heap_place(queue, index, queue->heap[child].instant);
        index = child;
    }
    heap_place(queue, index, instant);
}

static void heap_add(struct timer_queue *queue, struct timer_instant *instant)
{
    ASSERT(queue->instant_count < UINT32_MAX / 2);
    if (queue->instant_count == queue->heap_capacity) {
        queue->heap_capacity = queue->heap_capacity == 0 ? 64 : queue->heap_capacity * 2;
        queue->heap = mem_realloc(queue->heap, queue->heap_capacity * sizeof(*queue->heap));
    }
    heap_up(queue, queue->instant_count++, instant);
}

static void heap_remove(struct timer_queue *queue, const struct timer_instant *instant)
{
    uint32_t index = instant->heap_index;
    ASSERT(index < queue->instant_count && queue->heap[index].instant == instant);
    struct timer_instant *last = queue->heap[--queue->instant_count].instant;
    if (last == instant)
        return;
    if (last->at_ms < instant->at_ms)
        heap_up(queue, index, last);
    else
        heap_down(queue, index, last);
}

/* -- instants by their time ------------------------------------------------------------------- */

static uint32_t home_of(const struct timer_queue *queue, int64_t at_ms)
{
    return (uint32_t)hash_mix((uint64_t)at_ms) & (queue->table_size - 1);
}

/* Where the instant of this time is, or would be. */
static uint32_t find(const struct timer_queue *queue, int64_t at_ms)
{
    uint32_t slot = home_of(queue, at_ms);
    while (queue->table[slot] != NULL && queue->table[slot]->at_ms != at_ms)
        slot = (slot + 1) & (queue->table_size - 1);
    return slot;
}

static void table_grow(struct timer_queue *queue)
{
    struct timer_instant **old = queue->table;
    uint32_t old_size = queue->table_size;
    queue->table_size = old_size == 0 ? TABLE_MIN : old_size * 2;
    queue->table = mem_alloc_array(queue->table_size, sizeof(*queue->table));
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i] != NULL)
            queue->table[find(queue, old[i]->at_ms)] = old[i];
    mem_free(old);
}

/* Later ones of the probe run move back: no tombstones. */
static void table_remove(struct timer_queue *queue, uint32_t slot)
{
    uint32_t mask = queue->table_size - 1;
    for (uint32_t i = (slot + 1) & mask; queue->table[i] != NULL; i = (i + 1) & mask) {
        uint32_t home = home_of(queue, queue->table[i]->at_ms);
        if (((i - home) & mask) < ((i - slot) & mask))
            continue;
        queue->table[slot] = queue->table[i];
        slot = i;
    }
    queue->table[slot] = NULL;
}

static struct timer_instant *instant_at(struct timer_queue *queue, int64_t at_ms)
{
    if (queue->instant_count >= queue->table_size / 2)
        table_grow(queue);
    uint32_t slot = find(queue, at_ms);
    if (queue->table[slot] != NULL)
        return queue->table[slot];
    struct timer_instant *instant = &take_cell(queue)->instant;
    instant->at_ms = at_ms;
    instant->first = instant->last = &take_cell(queue)->block;
    queue->table[slot] = instant;
    heap_add(queue, instant);
    return instant;
}

static void drop(struct timer_queue *queue, struct timer_instant *instant)
{
    heap_remove(queue, instant);
    table_remove(queue, find(queue, instant->at_ms));
    while (instant->first != NULL) {
        struct block *next = instant->first->next;
        give_cell(queue, instant->first);
        instant->first = next;
    }
    give_cell(queue, instant);
}

/* -- the verbs -------------------------------------------------------------------------------- */

void timer_queue_release(struct timer_queue *queue)
{
    while (queue->chunks != NULL) {
        struct timer_chunk *next = queue->chunks->next;
        mem_free(queue->chunks);
        queue->chunks = next;
    }
    mem_free(queue->heap);
    mem_free(queue->table);
    *queue = (struct timer_queue){ 0 };
}

struct timer_place timer_queue_add(struct timer_queue *queue, int64_t at_ms, void *item)
{
    struct timer_instant *instant = instant_at(queue, at_ms);
    ASSERT(item != NULL && instant->count < UINT32_MAX);
    if (instant->last_count == BLOCK_ITEMS) {
        instant->last->next = &take_cell(queue)->block;
        instant->last = instant->last->next;
        instant->last_count = 0;
    }
    void **slot = &instant->last->items[instant->last_count++];
    *slot = item;
    instant->count++;
    return (struct timer_place){ .instant = instant, .slot = slot };
}

/* The front moves on to the next item, over holes and through blocks. There is one. */
static void pass_holes(struct timer_queue *queue, struct timer_instant *instant)
{
    while (instant->first->items[instant->first_index] == NULL) {
        if (++instant->first_index < BLOCK_ITEMS)
            continue;
        struct block *passed = instant->first;
        instant->first = passed->next;
        instant->first_index = 0;
        give_cell(queue, passed);
    }
}

void timer_queue_remove(struct timer_queue *queue, struct timer_place place)
{
    struct timer_instant *instant = place.instant;
    DEBUG_ASSERT(*place.slot != NULL);
    *place.slot = NULL;
    if (--instant->count == 0)
        drop(queue, instant);
    else
        pass_holes(queue, instant);
}

int64_t timer_queue_next_ms(const struct timer_queue *queue)
{
    return queue->instant_count == 0 ? INT64_MAX : queue->heap[0].at_ms;
}

uint32_t timer_queue_peek(const struct timer_queue *queue, void **items, uint32_t count_max)
{
    if (queue->instant_count == 0)
        return 0;
    const struct timer_instant *instant = queue->heap[0].instant;
    uint32_t count = 0, index = instant->first_index;
    for (const struct block *block = instant->first; block != NULL; block = block->next, index = 0)
        for (; index < BLOCK_ITEMS; index++) {
            if (block->items[index] == NULL)
                continue;
            if (count == count_max)
                return count;
            items[count++] = block->items[index];
        }
    return count;
}

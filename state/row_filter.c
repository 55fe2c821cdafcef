/* row_filter.c -- a blocked Bloom filter: see row_filter.h. */
#include "state/row_filter.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stddef.h>

#define BLOCK_BITS  512u
#define BLOCK_WORDS (BLOCK_BITS / 64u)
#define BLOCKS_MIN  16u
#define PROBES      6u
#define MIX         UINT64_C(0x9fb21c651e98df25) /* odd, half of its bits set */

/* Thread: words and count any, the rest is immutable after init. */
struct row_filter {
    struct row_filter *older;
    uint64_t block_count; /* a power of two */
    uint64_t capacity;
    _Atomic uint64_t count;
    _Atomic uint64_t *words;
};

static uint64_t blocks_for(uint64_t capacity)
{
    uint64_t blocks = BLOCKS_MIN;
    while (blocks * BLOCK_BITS < capacity * ROW_FILTER_BITS)
        blocks *= 2;
    return blocks;
}

uint64_t row_filter_size_for(uint64_t capacity)
{
    return sizeof(struct row_filter) + blocks_for(capacity) * (BLOCK_BITS / 8);
}

/* Room that the power of two leaves is used. */
struct row_filter *row_filter_new(uint64_t capacity, struct row_filter *older)
{
    struct row_filter *filter = mem_alloc(sizeof(*filter));
    filter->older = older;
    filter->block_count = blocks_for(capacity);
    filter->capacity = filter->block_count * BLOCK_BITS / ROW_FILTER_BITS;
    filter->words = mem_alloc_table(filter->block_count * (BLOCK_BITS / 8));
    return filter;
}

void row_filter_free(struct row_filter *filter)
{
    while (filter != NULL) {
        struct row_filter *older = filter->older;
        mem_free_table(filter->words, filter->block_count * (BLOCK_BITS / 8));
        mem_free(filter);
        filter = older;
    }
}

/* The table of rows uses the low bits of the same hash. */
static _Atomic uint64_t *block_of(const struct row_filter *filter, uint64_t mixed)
{
    return filter->words + (mixed >> 32 & (filter->block_count - 1)) * BLOCK_WORDS;
}

static bool has(const struct row_filter *filter, uint64_t mixed)
{
    const _Atomic uint64_t *block = block_of(filter, mixed);
    uint64_t bits = mixed * MIX;
    for (uint32_t i = 0; i < PROBES; i++, bits >>= 9) {
        uint64_t word = atomic_load_explicit(&block[bits >> 6 & 7], memory_order_relaxed);
        if ((word >> (bits & 63) & 1) == 0)
            return false;
    }
    return true;
}

static uint64_t mix(uint64_t hash)
{
    hash *= MIX;
    return hash ^ hash >> 29;
}

bool row_filter_add(struct row_filter *filter, uint64_t hash)
{
    if (row_filter_may_have(filter, hash))
        return false;
    uint64_t mixed = mix(hash);
    _Atomic uint64_t *block = block_of(filter, mixed);
    uint64_t bits = mixed * MIX;
    for (uint32_t i = 0; i < PROBES; i++, bits >>= 9)
        atomic_fetch_or_explicit(&block[bits >> 6 & 7], UINT64_C(1) << (bits & 63),
            memory_order_relaxed);
    atomic_fetch_add_explicit(&filter->count, 1, memory_order_relaxed);
    return true;
}

bool row_filter_may_have(const struct row_filter *filter, uint64_t hash)
{
    uint64_t mixed = mix(hash);
    for (; filter != NULL; filter = filter->older)
        if (has(filter, mixed))
            return true;
    return false;
}

void row_filter_prefetch(const struct row_filter *filter, uint64_t hash)
{
    uint64_t mixed = mix(hash);
    for (; filter != NULL; filter = filter->older)
        __builtin_prefetch((const void *)(uintptr_t)block_of(filter, mixed));
}

bool row_filter_is_full(const struct row_filter *filter)
{
    return atomic_load_explicit(&filter->count, memory_order_relaxed) >= filter->capacity;
}

bool row_filter_is_empty(const struct row_filter *filter)
{
    return filter->older == NULL && atomic_load_explicit(&filter->count, memory_order_relaxed) == 0;
}

uint64_t row_filter_capacity(const struct row_filter *filter)
{
    return filter->capacity;
}

uint64_t row_filter_size(const struct row_filter *filter)
{
    uint64_t size = 0;
    for (; filter != NULL; filter = filter->older)
        size += sizeof(*filter) + filter->block_count * (BLOCK_BITS / 8);
    return size;
}

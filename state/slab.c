/* slab.c -- see slab.h for the picture.
 *
 * Invariants: a page is in the list of its class if it has blocks in use and free ones and is not being
 * drained; a page without a block in use is in one of its chunk's lists or was never used; `open` and `full`
 * list every chunk. */
#include "state/slab.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/poison.h"

#include <string.h>

#define PAGE_COUNT      (SLAB_CHUNK_SIZE / SLAB_PAGE_SIZE)
#define SPARE_PAGES_MAX 4u /* with memory, of the empty chunk that is kept */
#define KEPT_SIZE       (SPARE_PAGES_MAX * SLAB_PAGE_SIZE)
#define FREE_SHARE      8u   /* of the pages in use: free ones beyond it go back */
#define STEP_MAX        256u /* up to here classes are 8 bytes apart */

/* Thread: its owner. */
struct free_block {
    struct free_block *next;
};

/* Thread: its owner. */
struct slab_page {
    struct slab_page *next, *previous; /* of its class; or `next` of the chunk's free ones */
    struct free_block *free;
    uint16_t live;
    uint16_t fresh; /* blocks from here on were never handed out */
    uint16_t capacity;
    uint8_t size_class;
    bool is_draining;
};

/* Thread: its owner. */
struct slab_chunk {
    struct slab_chunk *next, *previous;
    struct slab_page *free_pages; /* with memory */
    struct slab_page *bare_pages; /* without: it went back */
    uint32_t used_count;
    uint32_t touched_count;  /* pages from here on were never used */
    uint32_t resident_count; /* with memory, in use or not */
    bool is_huge;            /* all had memory from the start */
    struct slab_page pages[PAGE_COUNT];
};
#define HEADER_SIZE ((sizeof(struct slab_chunk) + 63) & ~(size_t)63)
_Static_assert(HEADER_SIZE + 2 * SLAB_BLOCK_MAX <= SLAB_PAGE_SIZE, "the first page is of use");

/* Thread: its owner. */
struct slab_large {
    struct slab_large *next, *previous;
    char bytes[];
};

/* -- size classes --------------------------------------------------------------------------- */

/* Behind the steps of 8 bytes: 16 KiB divided by 56, 48, 40, 32, 28, 24, 20, 16, 14, 12, 10, 8, 7, 6, 5
 * and 4, down to a multiple of 8. */
static const uint16_t class_sizes[SLAB_CLASS_COUNT] = { 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88,
    96, 104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184, 192, 200, 208, 216, 224, 232, 240,
    248, 256, 288, 336, 408, 512, 584, 680, 816, 1024, 1168, 1360, 1632, 2048, 2336, 2728, 3272,
    SLAB_BLOCK_MAX };

static uint32_t class_of(size_t size)
{
    if (__builtin_expect(size <= STEP_MAX, 1))
        return size == 0 ? 0 : (uint32_t)(size - 1) / 8;
    uint32_t size_class = STEP_MAX / 8;
    while (class_sizes[size_class] < size)
        size_class++;
    return size_class;
}

static size_t large_size(size_t size)
{
    return sizeof(struct slab_large) + ((size + 7) & ~(size_t)7);
}

size_t slab_block_size(size_t size)
{
    return size > SLAB_BLOCK_MAX ? large_size(size) : class_sizes[class_of(size)];
}

/* -- chunks --------------------------------------------------------------------------------- */

static struct slab_chunk *chunk_of(const void *address)
{
    return (struct slab_chunk *)((uintptr_t)address & ~(uintptr_t)(SLAB_CHUNK_SIZE - 1));
}

static void link_chunk(struct slab_chunk **list, struct slab_chunk *chunk)
{
    chunk->previous = NULL;
    chunk->next = *list;
    if (*list != NULL)
        (*list)->previous = chunk;
    *list = chunk;
}

static void unlink_chunk(struct slab_chunk **list, struct slab_chunk *chunk)
{
    if (chunk->next != NULL)
        chunk->next->previous = chunk->previous;
    if (chunk->previous != NULL)
        chunk->previous->next = chunk->next;
    else
        *list = chunk->next;
}

/* As if all chunks so far had been: those that are full take no more memory for it. */
static void become_huge(struct slab *slab)
{
    slab->is_huge = true;
    for (struct slab_chunk *chunk = slab->full; chunk != NULL; chunk = chunk->next)
        mem_collapse(chunk, SLAB_CHUNK_SIZE);
}

/* Its first page is touched, because the header is there. */
static struct slab_chunk *add_chunk(struct slab *slab)
{
    struct slab_chunk *chunk = mem_map(SLAB_CHUNK_SIZE, SLAB_CHUNK_SIZE);
    bool is_huge = slab->size >= FREE_SHARE * SLAB_CHUNK_SIZE;
    if (is_huge && !slab->is_huge)
        become_huge(slab);
    if (is_huge)
        mem_make_huge(chunk, SLAB_CHUNK_SIZE);
    POISON((char *)chunk + HEADER_SIZE, SLAB_CHUNK_SIZE - HEADER_SIZE);
    chunk->free_pages = &chunk->pages[0];
    chunk->touched_count = 1;
    chunk->is_huge = is_huge;
    chunk->resident_count = is_huge ? PAGE_COUNT : 1;
    slab->size += chunk->resident_count * SLAB_PAGE_SIZE;
    link_chunk(&slab->open, chunk);
    return chunk;
}

static void unmap(struct slab_chunk *chunk)
{
    UNPOISON(chunk, SLAB_CHUNK_SIZE);
    mem_unmap(chunk, SLAB_CHUNK_SIZE);
}

static void drop_chunk(struct slab *slab, struct slab_chunk *chunk)
{
    if (slab->spare == NULL && chunk->resident_count <= SPARE_PAGES_MAX) {
        slab->spare = chunk;
        return;
    }
    unlink_chunk(&slab->open, chunk);
    slab->size -= chunk->resident_count * SLAB_PAGE_SIZE;
    unmap(chunk);
}

/* -- pages ---------------------------------------------------------------------------------- */

static char *first_block(struct slab_page *page)
{
    struct slab_chunk *chunk = chunk_of(page);
    size_t index = (size_t)(page - chunk->pages);
    return (char *)chunk + (index == 0 ? HEADER_SIZE : index * SLAB_PAGE_SIZE);
}

static struct slab_page *page_of(const void *block)
{
    struct slab_chunk *chunk = chunk_of(block);
    return &chunk->pages[(size_t)((const char *)block - (char *)chunk) / SLAB_PAGE_SIZE];
}

static void link_page(struct slab *slab, struct slab_page *page)
{
    struct slab_page **list = &slab->partial[page->size_class];
    page->previous = NULL;
    page->next = *list;
    if (*list != NULL)
        (*list)->previous = page;
    *list = page;
}

static void unlink_page(struct slab *slab, struct slab_page *page)
{
    if (page->next != NULL)
        page->next->previous = page->previous;
    if (page->previous != NULL)
        page->previous->next = page->next;
    else
        slab->partial[page->size_class] = page->next;
}

static struct slab_page *pop_page(struct slab_page **list)
{
    struct slab_page *page = *list;
    *list = page->next;
    return page;
}

static void push_page(struct slab_page **list, struct slab_page *page)
{
    page->next = *list;
    *list = page;
}

/* One that has memory, if possible. */
static struct slab_page *pick_page(struct slab *slab, struct slab_chunk *chunk)
{
    if (chunk->free_pages != NULL)
        return pop_page(&chunk->free_pages);
    if (chunk->is_huge && chunk->touched_count < PAGE_COUNT)
        return &chunk->pages[chunk->touched_count++];
    slab->size += SLAB_PAGE_SIZE;
    chunk->resident_count++;
    if (chunk->bare_pages != NULL)
        return pop_page(&chunk->bare_pages);
    return &chunk->pages[chunk->touched_count++];
}

/* An empty page for this class, in its list. */
static struct slab_page *take_page(struct slab *slab, uint32_t size_class)
{
    struct slab_chunk *chunk = slab->open != NULL ? slab->open : add_chunk(slab);
    struct slab_page *page = pick_page(slab, chunk);
    if (chunk == slab->spare)
        slab->spare = NULL;
    if (++chunk->used_count == PAGE_COUNT) {
        unlink_chunk(&slab->open, chunk);
        link_chunk(&slab->full, chunk);
    }
    slab->occupied += SLAB_PAGE_SIZE;
    size_t room = SLAB_PAGE_SIZE - (page == chunk->pages ? HEADER_SIZE : 0);
    *page = (struct slab_page){ .size_class = (uint8_t)size_class,
        .capacity = (uint16_t)(room / class_sizes[size_class]) };
    link_page(slab, page);
    return page;
}

/* The header lies in the first page. */
static bool is_to_go_back(const struct slab *slab, const struct slab_page *page)
{
    return slab->size - slab->occupied > slab->occupied / FREE_SHARE + KEPT_SIZE &&
           page != chunk_of(page)->pages;
}

/* The page is empty and in no list. */
static void give_page(struct slab *slab, struct slab_page *page)
{
    struct slab_chunk *chunk = chunk_of(page);
    if (chunk->used_count-- == PAGE_COUNT) {
        unlink_chunk(&slab->full, chunk);
        link_chunk(&slab->open, chunk);
    }
    slab->occupied -= SLAB_PAGE_SIZE;
    if (is_to_go_back(slab, page)) {
        mem_discard(first_block(page), SLAB_PAGE_SIZE);
        slab->size -= SLAB_PAGE_SIZE;
        chunk->resident_count--;
        push_page(&chunk->bare_pages, page);
    } else {
        push_page(&chunk->free_pages, page);
    }
    if (chunk->used_count == 0)
        drop_chunk(slab, chunk);
}

/* -- large blocks --------------------------------------------------------------------------- */

static void account_large(struct slab *slab, uint64_t size)
{
    slab->used += size;
    slab->occupied += size;
    slab->size += size;
}

static void *alloc_large(struct slab *slab, size_t size)
{
    struct slab_large *large = mem_alloc(large_size(size));
    large->next = slab->large;
    if (slab->large != NULL)
        slab->large->previous = large;
    slab->large = large;
    account_large(slab, large_size(size));
    return large->bytes;
}

static void free_large(struct slab *slab, void *block, size_t size)
{
    struct slab_large *large = (void *)((char *)block - offsetof(struct slab_large, bytes));
    if (large->next != NULL)
        large->next->previous = large->previous;
    if (large->previous != NULL)
        large->previous->next = large->next;
    else
        slab->large = large->next;
    account_large(slab, -(uint64_t)large_size(size));
    mem_free(large);
}

/* -- blocks --------------------------------------------------------------------------------- */

static void *pop(struct slab_page *page, size_t size)
{
    struct free_block *block = page->free;
    if (block == NULL) {
        block = (void *)(first_block(page) + (size_t)page->fresh++ * class_sizes[page->size_class]);
        UNPOISON(block, size);
        return block;
    }
    UNPOISON(block, class_sizes[page->size_class]);
    page->free = block->next;
    POISON(block, class_sizes[page->size_class]);
    UNPOISON(block, size);
    return block;
}

void *slab_alloc(struct slab *slab, size_t size)
{
    if (__builtin_expect(size > SLAB_BLOCK_MAX, 0))
        return alloc_large(slab, size);
    uint32_t size_class = class_of(size);
    struct slab_page *page = slab->partial[size_class];
    if (__builtin_expect(page == NULL, 0))
        page = take_page(slab, size_class);
    void *block = pop(page, size);
    slab->used += class_sizes[size_class];
    if (++page->live == page->capacity)
        unlink_page(slab, page);
    return memset(block, 0, size);
}

void slab_free(struct slab *slab, void *block, size_t size)
{
    if (__builtin_expect(size > SLAB_BLOCK_MAX, 0)) {
        free_large(slab, block, size);
        return;
    }
    struct slab_page *page = page_of(block);
    ASSERT(page->size_class == class_of(size) && page->live > 0);
    ASSERT(size == 0 || !IS_POISONED(block)); /* freed twice */
    struct free_block *freed = block;
    UNPOISON(block, class_sizes[page->size_class]);
    freed->next = page->free;
    page->free = freed;
    POISON(block, class_sizes[page->size_class]);
    slab->used -= class_sizes[page->size_class];
    bool is_listed = page->live < page->capacity && !page->is_draining;
    if (--page->live > 0) {
        if (!is_listed && !page->is_draining)
            link_page(slab, page);
        return;
    }
    if (is_listed)
        unlink_page(slab, page);
    slab->draining_count -= page->is_draining;
    give_page(slab, page);
}

/* -- draining ------------------------------------------------------------------------------- */

/* Thread: its owner. */
struct drain {
    struct slab *slab;
    uint64_t left;                   /* bytes still wanted */
    uint64_t room[SLAB_CLASS_COUNT]; /* free blocks in pages that are not chosen */
};

/* A page in use may be chosen if the others have room for its blocks. */
static void choose(struct drain *drain, uint32_t size_class, uint32_t eighths)
{
    struct slab *slab = drain->slab;
    struct slab_page *next;
    for (struct slab_page *page = slab->partial[size_class]; page != NULL; page = next) {
        next = page->next;
        if (drain->left == 0 || drain->room[size_class] < page->capacity)
            return;
        if (page->live * 8u > page->capacity * eighths)
            continue;
        unlink_page(slab, page);
        page->is_draining = true;
        slab->draining_count++;
        drain->room[size_class] -= page->capacity;
        drain->left -= drain->left < SLAB_PAGE_SIZE ? drain->left : SLAB_PAGE_SIZE;
    }
}

/* The emptiest ones first, roughly: they win a page for the fewest moves. */
bool slab_drain(struct slab *slab, uint64_t size)
{
    ASSERT(slab->draining_count == 0);
    struct drain drain = { .slab = slab, .left = size };
    for (uint32_t i = 0; i < SLAB_CLASS_COUNT; i++)
        for (const struct slab_page *page = slab->partial[i]; page != NULL; page = page->next)
            drain.room[i] += (uint32_t)(page->capacity - page->live);
    for (uint32_t eighths = 1; eighths <= 8; eighths++)
        for (uint32_t i = 0; i < SLAB_CLASS_COUNT; i++)
            choose(&drain, i, eighths);
    return slab->draining_count > 0;
}

void *slab_move(struct slab *slab, void *block, size_t size)
{
    if (size > SLAB_BLOCK_MAX || !page_of(block)->is_draining)
        return block;
    DEBUG_ASSERT(slab->partial[class_of(size)] != NULL);
    void *moved = memcpy(slab_alloc(slab, size), block, size);
    slab_free(slab, block, size);
    return moved;
}

void slab_drained(const struct slab *slab)
{
    ASSERT(slab->draining_count == 0);
}

/* -- life ----------------------------------------------------------------------------------- */

void slab_init(struct slab *slab)
{
    *slab = (struct slab){ 0 };
}

static void unmap_all(struct slab_chunk *chunk)
{
    while (chunk != NULL) {
        struct slab_chunk *next = chunk->next;
        unmap(chunk);
        chunk = next;
    }
}

void slab_release(struct slab *slab)
{
    unmap_all(slab->open);
    unmap_all(slab->full);
    while (slab->large != NULL) {
        struct slab_large *large = slab->large;
        slab->large = large->next;
        mem_free(large);
    }
    *slab = (struct slab){ 0 };
}

uint64_t slab_used(const struct slab *slab)
{
    return slab->used;
}

uint64_t slab_occupied(const struct slab *slab)
{
    return slab->occupied;
}

uint64_t slab_size(const struct slab *slab)
{
    return slab->size;
}

/* memory.c -- the only place that calls malloc, free and mmap.
 *
 * An arena is a list of blocks, newest first; only the newest hands out pieces. A piece that does
 * not fit opens a new block, twice as large as the last one, so a batch that needs n bytes costs
 * log n allocations once and none after the reset, which keeps the largest block. */
#include "base/memory.h"

#include "base/assert.h"
#include "base/poison.h"

#include <malloc.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENAS_MAX      2
#define LARGE_PIECE_MIN (128u << 10)
#define LARGE_PIECE_MAX (16u << 20)

#ifndef MADV_COLLAPSE /* glibc before 2.37 */
#define MADV_COLLAPSE 25
#endif

#define PIECE_ALIGNMENT ((size_t)16)
#define BLOCK_SIZE_MAX  ((size_t)1 << 20)

static _Thread_local uint64_t allocation_count;

/* -- checked allocation --------------------------------------------------------------------- */

_Noreturn static void out_of_memory(size_t size)
{
    fprintf(stderr, "weir: memory ran out: %zu bytes were asked for\n", size);
    abort();
}

#ifdef WEIR_FAULT_POINTS
static _Thread_local uint32_t fails_in;

void mem_fail_next(uint32_t nth)
{
    fails_in = nth;
}

static bool fails_now(void)
{
    return fails_in > 0 && --fails_in == 0;
}
#else
static bool fails_now(void)
{
    return false;
}
#endif

void *mem_try_alloc(size_t size)
{
    if (fails_now())
        return NULL;
    allocation_count++;
    return calloc(1, size == 0 ? 1 : size);
}

void *mem_alloc(size_t size)
{
    allocation_count++;
    void *memory = calloc(1, size == 0 ? 1 : size);
    if (memory == NULL)
        out_of_memory(size);
    return memory;
}

void *mem_alloc_aligned(size_t alignment, size_t size)
{
    ASSERT(alignment != 0 && (alignment & (alignment - 1)) == 0);
    ASSERT(size <= SIZE_MAX - alignment);
    size_t padded = (size + alignment - 1) & ~(alignment - 1);
    allocation_count++;
    void *memory = aligned_alloc(alignment, padded == 0 ? alignment : padded);
    if (memory == NULL)
        out_of_memory(size);
    return memset(memory, 0, padded);
}

/* The huge pages that lie within it whole: what is filled from one end to the other costs a fault for each of them, not
 * for each 4 KiB. */
static void make_inside_huge(void *memory, size_t size)
{
    uintptr_t start = ((uintptr_t)memory + MEM_HUGE_SIZE - 1) & ~(uintptr_t)(MEM_HUGE_SIZE - 1);
    uintptr_t end = ((uintptr_t)memory + size) & ~(uintptr_t)(MEM_HUGE_SIZE - 1);
    if (start < end)
        mem_make_huge((char *)memory + (start - (uintptr_t)memory), end - start);
}

void *mem_realloc(void *memory, size_t size)
{
    allocation_count++;
    void *moved = realloc(memory, size == 0 ? 1 : size);
    if (moved == NULL)
        out_of_memory(size);
    if (__builtin_expect(size >= 2 * MEM_HUGE_SIZE, 0))
        make_inside_huge(moved, size);
    return moved;
}

void *mem_alloc_array(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        out_of_memory(SIZE_MAX);
    return mem_alloc(total);
}

char *mem_strdup(const char *text)
{
    return text == NULL ? NULL : mem_dup(text, strlen(text) + 1);
}

void *mem_dup(const void *bytes, size_t size)
{
    void *copy = mem_alloc(size);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* Length of the formatted text without its terminator. */
static size_t __attribute__((format(printf, 1, 0)))
format_size(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    ASSERT(size >= 0);
    return (size_t)size;
}

char *mem_printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t size = format_size(format, arguments) + 1;
    char *text = mem_alloc(size);
    vsnprintf(text, size, format, arguments);
    va_end(arguments);
    return text;
}

void mem_free(void *memory)
{
    free(memory);
}

/* The system aligns to its pages only: maps more than is wanted and gives both ends back. */
void *mem_map(size_t alignment, size_t size)
{
    ASSERT((alignment & (alignment - 1)) == 0 && (size & (size - 1)) == 0);
    ASSERT(size <= SIZE_MAX - alignment);
    allocation_count++;
    char *memory =
        mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        out_of_memory(size);
    size_t before = -(uintptr_t)memory & (alignment - 1);
    if (before > 0)
        mem_unmap(memory, before);
    mem_unmap(memory + before + size, alignment - before);
    return memory + before;
}

void mem_unmap(void *memory, size_t size)
{
    ASSERT(munmap(memory, size) == 0);
}

/* With glibc's own settings (eight arenas a core; what is freed large is kept the next time) a job of 128 MB with
 * much more state took 288 MB; with these 108, at the same speed. */
void mem_keep_small(void)
{
    mallopt(M_ARENA_MAX,
        ARENAS_MAX); /* an allocator in glibc's place may refuse, and has no arenas then */
    mallopt(M_MMAP_THRESHOLD, LARGE_PIECE_MIN);
}

/* What goes back to the system is taken from there again a moment later, and touching a page for the first time costs
 * 0.3 to 2 us. librdkafka has a buffer for each answer of a broker, of megabytes. */
void mem_keep(uint64_t size)
{
    uint64_t piece = size / 512;
    piece = piece < LARGE_PIECE_MIN   ? LARGE_PIECE_MIN
            : piece > LARGE_PIECE_MAX ? LARGE_PIECE_MAX
                                      : piece;
    mallopt(M_MMAP_THRESHOLD, (int)piece);
    mallopt(M_TRIM_THRESHOLD, (int)piece * 4);
}

void mem_discard(void *memory, size_t size)
{
    ASSERT(madvise(memory, size, MADV_DONTNEED) == 0);
}

/* A system without huge pages, or with none left, goes on with small ones. */
void mem_make_huge(void *memory, size_t size)
{
    madvise(memory, size, MADV_HUGEPAGE);
}

void *mem_alloc_table(size_t size)
{
    if (size < MEM_HUGE_SIZE)
        return mem_alloc_aligned(MEM_LINE_SIZE, size);
    void *table = mem_map(MEM_HUGE_SIZE, size);
    mem_make_huge(table, size);
    return table;
}

void mem_free_table(void *table, size_t size)
{
    if (size < MEM_HUGE_SIZE)
        mem_free(table);
    else
        mem_unmap(table, size);
}

/* Linux before 6.1 cannot. */
void mem_collapse(void *memory, size_t size)
{
    madvise(memory, size, MADV_COLLAPSE);
}

uint64_t mem_count(void)
{
    return allocation_count;
}

/* -- arenas --------------------------------------------------------------------------------- */

/* Thread: its arena's owner. */
struct arena_block {
    struct arena_block *next; /* older */
    size_t size;              /* of `bytes` */
    size_t used;
    alignas(16) char bytes[];
};
_Static_assert(sizeof(struct arena_block) % 16 == 0, "pieces are aligned to 16 bytes");

void arena_init(struct arena *arena, size_t block_size, size_t size_max)
{
    ASSERT(block_size > 0);
    ASSERT(block_size <= size_max);
    *arena = (struct arena){ .block_size = block_size, .size_max = size_max };
}

static void block_free(struct arena *arena, struct arena_block *block)
{
    ASSERT(arena->size >= block->size);
    arena->size -= block->size;
    UNPOISON(block->bytes, block->size);
    mem_free(block);
}

void arena_release(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks; block != NULL;) {
        struct arena_block *next = block->next;
        block_free(arena, block);
        block = next;
    }
    ASSERT(arena->size == 0);
    arena->blocks = NULL;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *largest = arena->blocks;
    for (struct arena_block *block = arena->blocks; block != NULL; block = block->next)
        if (block->size > largest->size)
            largest = block;
    for (struct arena_block *block = arena->blocks; block != NULL;) {
        struct arena_block *next = block->next;
        if (block != largest)
            block_free(arena, block);
        block = next;
    }
    arena->blocks = largest;
    if (largest == NULL)
        return;
    largest->next = NULL;
    largest->used = 0;
    POISON(largest->bytes, largest->size);
}

/* Opens a block with room for `size` bytes: double the last one, but no more than the maxima allow,
 * unless the piece itself needs it. */
static void block_add(struct arena *arena, size_t size)
{
    size_t room = arena->size_max - arena->size;
    ASSERT(size <= room); /* the arena's size_max is reached: a defect of its owner */
    size_t wanted = arena->block_size;
    if (arena->blocks != NULL)
        wanted =
            arena->blocks->size >= BLOCK_SIZE_MAX / 2 ? BLOCK_SIZE_MAX : arena->blocks->size * 2;
    if (wanted > room)
        wanted = room;
    if (wanted < size)
        wanted = size;
    struct arena_block *block = mem_alloc(sizeof(*block) + wanted);
    block->size = wanted;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->size += wanted;
    POISON(block->bytes, block->size);
}

static size_t padded(size_t size)
{
    return (size + (size == 0) + PIECE_ALIGNMENT - 1) & ~(PIECE_ALIGNMENT - 1);
}

/* Apart, so that a piece of a block that is there saves no registers. */
static __attribute__((noinline)) void *take_from_new_block(struct arena *arena, size_t size)
{
    ASSERT(size <= SIZE_MAX - PIECE_ALIGNMENT);
    block_add(arena, padded(size));
    return arena_take(arena, size);
}

void *arena_take(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;
    size_t wanted = padded(size); /* 0: there was an overflow */
    if (__builtin_expect(block == NULL || wanted - 1 >= block->size - block->used, 0))
        return take_from_new_block(arena, size);
    char *piece = block->bytes + block->used;
    block->used += wanted;
    DEBUG_ASSERT(block->used <= block->size);
    UNPOISON(piece, size);
    return piece;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(arena_take(arena, size), 0, size);
}

void *arena_dup(struct arena *arena, const void *bytes, size_t size)
{
    void *copy = arena_take(arena, size);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text == NULL ? NULL : arena_dup(arena, text, strlen(text) + 1);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t size = format_size(format, arguments) + 1;
    char *text = arena_take(arena, size);
    vsnprintf(text, size, format, arguments);
    va_end(arguments);
    return text;
}

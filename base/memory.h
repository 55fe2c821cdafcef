/* memory.h -- where memory comes from: checked allocation and arenas.
 *
 * mem_* never return NULL, mem_try_alloc apart: the control plane is small and bounded, so running
 * out aborts with the size that was asked for. Data-plane memory comes from pools and arenas sized
 * by configuration.
 *
 * An arena hands out pieces that are freed together: mem for a plan (freed whole), or scratch for a
 * batch (reset, blocks kept). Pieces are aligned to 16 bytes. Under ASan what was reset is
 * poisoned.
 *
 * Prefixes: mem_, arena_
 *
 * mem_count tells how many allocations a thread has made through mem_* and arenas' new blocks:
 * tests and benchmarks use it to show that the hot path makes none. */
#ifndef WEIR_BASE_MEMORY_H
#define WEIR_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size);                           /* zeroed */
void *mem_alloc_aligned(size_t alignment, size_t size); /* zeroed; alignment a power of two */
void *mem_try_alloc(size_t size);                       /* zeroed; NULL when there is none */
void *mem_realloc(void *memory, size_t size);           /* new bytes are not zeroed */
void *mem_alloc_array(size_t count, size_t size);       /* zeroed, overflow-checked */
char *mem_strdup(const char *text);                     /* NULL gives NULL */
void *mem_dup(const void *bytes, size_t size);          /* 0 bytes gives a valid pointer */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *memory); /* NULL is fine */
/* Pages of the system's, zeroed; they cost nothing until they are touched, and go back whole. */
void *mem_map(size_t alignment, size_t size); /* both powers of two and at least a page */
void mem_unmap(void *memory, size_t size);
void mem_discard(void *memory, size_t size); /* part of it: zeros again, and costs nothing */
/* A line of the processor's cache. */
#define MEM_LINE_SIZE ((size_t)64)
/* Hint: all of it will be used, in no order. With pages of 2 MiB a look at random memory is a fifth cheaper, and
 * the first touch of any byte takes MEM_HUGE_SIZE. Of mem_map's, aligned to that. */
#define MEM_HUGE_SIZE ((size_t)2 << 20)
void mem_make_huge(void *memory, size_t size);
/* For what is looked up in no order: zeroed, of a power of two of bytes, aligned to a line of the processor's cache; from
 * MEM_HUGE_SIZE on in huge pages. Free it with its size. */
void *mem_alloc_table(size_t size);
void mem_free_table(void *table, size_t size);
/* Of memory that is in use, all of it: moved into such pages now. A hint, too. */
void mem_collapse(void *memory, size_t size);
/* For a process that has a limit of memory: few arenas, so that what one thread frees another one uses, and large
 * pieces from the system and back to it, always. Call it before the first thread starts. */
void mem_keep_small(void);
/* Behind it, for one whose limit is `size` bytes: a piece of up to a 512th of it, 16 MiB at most, is kept for the next
 * one when it is freed, in an arena up to a 128th. Process-wide, any thread. */
void mem_keep(uint64_t size);
uint64_t mem_count(void); /* Thread: any; of this thread */
#ifdef WEIR_FAULT_POINTS
void mem_fail_next(uint32_t nth); /* the nth mem_try_alloc of this thread gives NULL; 0: none */
#endif

/* Thread: its owner. */
struct arena {
    struct arena_block *blocks; /* newest first */
    size_t block_size;          /* of the first block; later ones double up to 1 MiB */
    size_t size_max; /* bytes over all blocks; going over aborts (a defect of the caller) */
    size_t size;
};
void arena_init(struct arena *arena, size_t block_size, size_t size_max);
void arena_release(struct arena *arena);
void arena_reset(struct arena *arena);               /* keeps the largest block */
void *arena_alloc(struct arena *arena, size_t size); /* zeroed, 16-aligned */
void *arena_take(struct arena *arena, size_t size);  /* not zeroed, 16-aligned: hot path */
void *arena_dup(struct arena *arena, const void *bytes, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

/* slab.h -- memory for the many small blocks of one table: rows, entries, leaves.
 *
 *      slab     chunk -> chunk -> ...            2 MiB from the system, aligned to its size
 *                 |
 *      chunk    [ header, rest | page | page ... ]   128 pages of 16 KiB
 *                                 |
 *      page     [ block | block | - | block ... ]    blocks of one size class, a list of the free ones
 *
 *      large    a block above SLAB_BLOCK_MAX: its own allocation, in a list
 *
 * Why not malloc: a state of gigabytes spent a quarter of its job's CPU there, 11 % only on freeing at
 * the end what the system takes back anyway; and each block paid 8 to 23 bytes for a header and
 * rounding. Here a block has no header (who frees it knows its size and masks its address for the
 * chunk), and slab_release gives chunks back without looking at blocks.
 *
 * Classes are 8 bytes apart up to 256, from there on what divides a page evenly: at most a fifth is
 * lost, above 256 bytes a tenth on average. Blocks are taken from pages that have become free in part
 * last, so from rather full ones, and pages from such chunks: the others get the chance to run empty.
 * An empty page is good for every class. Empty pages beyond an eighth of those in use give their memory
 * back, and an empty chunk goes as a whole; but a few pages are kept, because a table between no row and one row
 * must not ask the system for each.
 *
 * Three sizes, each a bound of the one before:
 *
 *      used      blocks that are handed out, rounded up to their class
 *      occupied  pages with a block in them
 *      size      what the system has given: pages in use and pages kept. Those are at most an eighth of the
 *                most that were in use, 64 KiB, and the first page of each chunk, which has its header
 *
 * The first chunks have memory only where it is touched, so a small table is small. From 16 MiB on, where one
 * chunk is an eighth, they are huge pages, and the first ones become such, too, as far as they are full.
 *
 * Blocks that are freed here and there leave pages that are nearly empty and are of use to their own
 * class only. An owner with a budget cannot free more until pages run empty: of pages with 100 blocks
 * hardly any does before all is gone. It moves blocks instead, at a moment when it may:
 *
 *   1  slab_drain chooses the emptiest pages, up to the bytes wanted, and only as long as the other pages
 *      of the class have room for their blocks. No block is taken from them any more.
 *   2  The owner hands every block it has to slab_move, and keeps the address that it gets. Moves need
 *      no new page, so nothing grows in between.
 *   3  All pages chosen are empty now: slab_drained asserts it.
 *
 * Each page chosen is won, so this ends, and what cannot be won is less than one page a class.
 *
 * Under ASan free blocks are poisoned.
 *
 * Prefixes: slab_
 * Private to state. Thread: its owner. Alignment: 8 bytes. */
#ifndef WEIR_STATE_SLAB_H
#define WEIR_STATE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_CHUNK_SIZE  ((size_t)2 << 20)
#define SLAB_PAGE_SIZE   ((size_t)16 << 10)
#define SLAB_BLOCK_MAX   4096u /* a larger one is an allocation of its own */
#define SLAB_CLASS_COUNT 48u

/* Thread: its owner. */
struct slab {
    struct slab_page *partial[SLAB_CLASS_COUNT]; /* with blocks in use and free ones */
    struct slab_chunk *open, *full;              /* chunks with a free page; those without */
    struct slab_chunk *spare;                    /* one of the open ones: empty, but kept */
    struct slab_large *large;
    uint64_t used, occupied, size;
    bool is_huge;            /* has had a chunk that is a huge page */
    uint32_t draining_count; /* pages chosen that are not empty yet */
};

void slab_init(struct slab *slab);
void slab_release(struct slab *slab); /* and all blocks */

void *slab_alloc(struct slab *slab, size_t size);            /* zeroed */
void slab_free(struct slab *slab, void *block, size_t size); /* the size that was asked for */
size_t slab_block_size(size_t size);                         /* what such a block uses */

uint64_t slab_used(const struct slab *slab);
uint64_t slab_occupied(const struct slab *slab);
uint64_t slab_size(const struct slab *slab);

/* Chooses pages of at least `size` bytes together, or as many as there are; false: none. */
bool slab_drain(struct slab *slab, uint64_t size);
/* Where the block is now: elsewhere if it was in a page chosen. */
void *slab_move(struct slab *slab, void *block, size_t size);
void slab_drained(const struct slab *slab);

#endif

/* The slab: blocks of every size, accounting, what goes back to the system, draining. */
#include "state/slab.h"

#include "base/memory.h"
#include "test/support/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define IS_POISONED(bytes_) (__asan_address_is_poisoned(bytes_) != 0)
#else
#define IS_POISONED(bytes_) ((void)(bytes_), true)
#endif

#define COUNT     20000u
#define KEPT_SIZE (4 * SLAB_PAGE_SIZE) /* at most, of the chunk that stays */

struct block {
    unsigned char *bytes;
    size_t size;
    uint64_t tag;
};

static struct block blocks[COUNT];

/* Mostly small, some of a page's share, a few large. */
static size_t some_size(uint64_t random)
{
    if (random % 50 == 0)
        return (random >> 8) % (3 * SLAB_BLOCK_MAX);
    return (random >> 8) % (random % 5 == 0 ? 1200 : 150);
}

static void expect_zeros(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            fail_msg("byte %zu of %zu is %u", i, size, bytes[i]);
}

static void take(struct slab *slab, uint32_t index, size_t size, uint64_t tag)
{
    struct block *block = &blocks[index];
    *block = (struct block){ .bytes = slab_alloc(slab, size), .size = size, .tag = tag };
    assert_int_equal((uintptr_t)block->bytes % 8, 0);
    expect_zeros(block->bytes, size);
    for (size_t i = 0; i < size; i++)
        block->bytes[i] = (unsigned char)(tag + i);
}

static void check(const struct block *block)
{
    for (size_t i = 0; i < block->size; i++)
        if (block->bytes[i] != (unsigned char)(block->tag + i))
            fail_msg("byte %zu of %zu was overwritten", i, block->size);
}

static void give(struct slab *slab, uint32_t index)
{
    check(&blocks[index]);
    slab_free(slab, blocks[index].bytes, blocks[index].size);
    blocks[index].bytes = NULL;
}

static void expect_sizes(const struct slab *slab)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        used += blocks[i].bytes == NULL ? 0 : slab_block_size(blocks[i].size);
    assert_int_equal(slab_used(slab), used);
    assert_true(slab_occupied(slab) >= used);
    assert_true(slab_size(slab) >= slab_occupied(slab));
}

static void blocks_of_every_size_are_zeroed_and_do_not_overlap(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    for (uint32_t i = 0; i < 6000; i++)
        take(&slab, i, i, i);
    for (uint32_t i = 0; i < 6000; i++) {
        check(&blocks[i]);
        assert_true(slab_block_size(i) >= i && slab_block_size(i) <= i + i / 4 + 16);
    }
    for (uint32_t i = 0; i < 6000; i += 2)
        give(&slab, i);
    for (uint32_t i = 0; i < 6000; i += 2)
        take(&slab, i, i, i + 1);
    expect_sizes(&slab);
    for (uint32_t i = 0; i < 6000; i++)
        give(&slab, i);
    assert_int_equal(slab_used(&slab), 0);
    assert_int_equal(slab_occupied(&slab), 0);
    slab_release(&slab);
}

static void random_use_keeps_bytes_and_books(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    for (uint64_t i = 0; i < 20 * COUNT; i++) {
        uint32_t index = (uint32_t)(sample_random(1, i) % COUNT);
        if (blocks[index].bytes != NULL)
            give(&slab, index);
        else
            take(&slab, index, some_size(sample_random(2, i)), i);
        if (i % (2 * COUNT) == 0)
            expect_sizes(&slab);
    }
    /* half of the blocks there: nearly full pages, for blocks freed are used again */
    assert_true(slab_size(&slab) < slab_used(&slab) + slab_used(&slab) / 2);
    for (uint32_t i = 0; i < COUNT; i++)
        if (blocks[i].bytes != NULL)
            give(&slab, i);
    assert_int_equal(slab_used(&slab), 0);
    assert_int_equal(slab_occupied(&slab), 0);
    assert_true(slab_size(&slab) <= KEPT_SIZE);
    slab_release(&slab);
}

static void releasing_frees_blocks_that_are_still_there(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    for (uint32_t i = 0; i < COUNT; i++)
        take(&slab, i, some_size(sample_random(3, i)), i);
    for (uint32_t i = 0; i < COUNT; i += 3)
        give(&slab, i);
    slab_release(&slab); /* what it forgets LeakSanitizer finds, mapped chunks apart */
    assert_int_equal(slab_size(&slab), 0);
    memset(blocks, 0, sizeof(blocks));
    take(&slab, 0, 100, 1); /* released is as initialised */
    give(&slab, 0);
    slab_release(&slab);
}

/* Memory of one size, freed, is memory of another size. */
static void an_empty_page_is_good_for_every_size(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    uint64_t size_max = 0;
    for (size_t size = 16; size <= SLAB_BLOCK_MAX; size *= 2) {
        uint32_t count = (uint32_t)((2 * SLAB_CHUNK_SIZE) / size);
        for (uint32_t i = 0; i < count && i < COUNT; i++)
            take(&slab, i, size, i);
        size_max = slab_size(&slab) > size_max ? slab_size(&slab) : size_max;
        for (uint32_t i = 0; i < count && i < COUNT; i++)
            give(&slab, i);
        assert_true(slab_size(&slab) <= KEPT_SIZE);
    }
    assert_true(size_max <= 2 * SLAB_CHUNK_SIZE + 8 * SLAB_PAGE_SIZE);
    slab_release(&slab);
}

/* Every chunk keeps a block: pages go back, and come again. */
static void empty_pages_give_their_memory_back(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < COUNT; i++)
            if (blocks[i].bytes == NULL)
                take(&slab, i, 500, i + round);
        uint64_t full = slab_size(&slab);
        assert_true(full >= COUNT * 500);
        for (uint32_t i = 0; i < COUNT; i++)
            if (i % 1000 != 0)
                give(&slab, i);
        uint64_t kept = full / 8 + KEPT_SIZE + (full / SLAB_CHUNK_SIZE + 1) * SLAB_PAGE_SIZE;
        assert_true(slab_size(&slab) <= slab_occupied(&slab) + kept);
        expect_sizes(&slab);
    }
    slab_release(&slab);
    memset(blocks, 0, sizeof(blocks));
}

static void the_last_block_going_and_coming_maps_nothing(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    take(&slab, 0, 64, 0);
    uint64_t before = mem_count();
    for (uint32_t i = 0; i < 1000; i++) {
        give(&slab, 0);
        take(&slab, 0, i % 300, i);
    }
    assert_int_equal(mem_count(), before);
    give(&slab, 0);
    slab_release(&slab);
}

static void move_all(struct slab *slab)
{
    for (uint32_t i = 0; i < COUNT; i++)
        if (blocks[i].bytes != NULL)
            blocks[i].bytes = slab_move(slab, blocks[i].bytes, blocks[i].size);
    slab_drained(slab);
}

/* Frees most of the blocks here and there. */
static void scatter(struct slab *slab, uint64_t seed, uint32_t one_in)
{
    for (uint32_t i = 0; i < COUNT; i++)
        if (blocks[i].bytes != NULL && sample_random(seed, i) % one_in != 0)
            give(slab, i);
}

static void draining_wins_the_pages_that_it_was_asked_for(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    for (uint32_t i = 0; i < COUNT; i++)
        take(&slab, i, 100, i);
    assert_false(slab_drain(&slab, SLAB_CHUNK_SIZE)); /* there are no holes */
    scatter(&slab, 4, 10);
    uint64_t occupied = slab_occupied(&slab), size = slab_size(&slab);
    assert_true(occupied > 5 * slab_used(&slab));
    assert_true(slab_drain(&slab, 10 * SLAB_PAGE_SIZE));
    move_all(&slab);
    assert_int_equal(slab_occupied(&slab), occupied - 10 * SLAB_PAGE_SIZE);
    assert_true(slab_size(&slab) <= size);
    assert_true(slab_drain(&slab, UINT64_MAX));
    move_all(&slab);
    assert_true(slab_occupied(&slab) < slab_used(&slab) + 2 * SLAB_PAGE_SIZE);
    assert_false(slab_drain(&slab, UINT64_MAX));
    expect_sizes(&slab);
    scatter(&slab, 5, UINT32_MAX);
    slab_release(&slab);
    memset(blocks, 0, sizeof(blocks));
}

/* A page a class is what may be left, whatever the sizes and however the blocks are scattered. */
static void draining_wins_all_but_a_page_a_class(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    for (uint32_t round = 0; round < 12; round++) {
        for (uint32_t i = 0; i < COUNT; i++)
            if (blocks[i].bytes == NULL)
                take(&slab, i, some_size(sample_random(round, i)), i);
        scatter(&slab, 100 + round, 2 + round);
        uint64_t size = slab_size(&slab);
        if (slab_drain(&slab, UINT64_MAX))
            move_all(&slab);
        assert_true(slab_size(&slab) <= size);
        uint64_t left = slab_occupied(&slab) - slab_used(&slab);
        /* and what is lost at a page's end */
        assert_true(left <= SLAB_CLASS_COUNT * SLAB_PAGE_SIZE + slab_occupied(&slab) / 8);
        expect_sizes(&slab);
        for (uint32_t i = 0; i < COUNT; i++)
            if (blocks[i].bytes != NULL)
                check(&blocks[i]);
    }
    slab_release(&slab);
    memset(blocks, 0, sizeof(blocks));
}

/* Sizes that change all the time, with a budget and draining: what a cache does. */
static void a_budget_holds_although_sizes_change(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    const uint64_t budget = 1 << 20;
    uint64_t size_max = 0;
    for (uint64_t i = 0; i < 40 * COUNT; i++) {
        uint32_t index = (uint32_t)(sample_random(7, i) % COUNT);
        size_t size = 24 + 8 * (i / COUNT) + sample_random(8, i) % 16;
        if (blocks[index].bytes != NULL)
            give(&slab, index);
        take(&slab, index, size, i);
        while (slab_used(&slab) > budget) {
            uint32_t victim = (uint32_t)(sample_random(9, i++) % COUNT);
            if (blocks[victim].bytes != NULL)
                give(&slab, victim);
        }
        uint64_t holes = slab_occupied(&slab) - slab_used(&slab);
        if (holes > budget / 4 && slab_drain(&slab, holes - budget / 8))
            move_all(&slab);
        size_max = slab_size(&slab) > size_max ? slab_size(&slab) : size_max;
    }
    assert_true(size_max <= budget + budget / 4 + KEPT_SIZE + 2 * SLAB_PAGE_SIZE);
    slab_release(&slab);
    memset(blocks, 0, sizeof(blocks));
}

static void what_is_free_is_poisoned(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab);
    for (size_t size = 8; size <= 2 * SLAB_BLOCK_MAX; size = size * 3 / 2 / 8 * 8 + 8) {
        char *first = slab_alloc(&slab, size), *second = slab_alloc(&slab, size);
        slab_free(&slab, first, size);
        assert_true(IS_POISONED(first));
        assert_true(IS_POISONED(first + size - 1));
        slab_free(&slab, second, size);
        assert_true(IS_POISONED(second));
    }
    slab_release(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_every_size_are_zeroed_and_do_not_overlap),
        cmocka_unit_test(random_use_keeps_bytes_and_books),
        cmocka_unit_test(releasing_frees_blocks_that_are_still_there),
        cmocka_unit_test(an_empty_page_is_good_for_every_size),
        cmocka_unit_test(empty_pages_give_their_memory_back),
        cmocka_unit_test(the_last_block_going_and_coming_maps_nothing),
        cmocka_unit_test(draining_wins_the_pages_that_it_was_asked_for),
        cmocka_unit_test(draining_wins_all_but_a_page_a_class),
        cmocka_unit_test(a_budget_holds_although_sizes_change),
        cmocka_unit_test(what_is_free_is_poisoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

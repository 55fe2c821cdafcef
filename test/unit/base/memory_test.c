/* memory_test.c -- allocation is checked and counted; arenas keep, grow, limit and align. */
#include "base/memory.h"

#include "test/support/expect.h"

#include <sys/resource.h>

static void allocated_memory_is_zeroed(void **state)
{
    for (size_t size = 0; size < 300; size += 37) {
        char *bytes = mem_alloc(size);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(bytes[i], 0);
        mem_free(bytes);
    }
    mem_free(NULL);
}

static void aligned_memory_is_aligned_and_zeroed(void **state)
{
    for (size_t alignment = 16; alignment <= 4096; alignment *= 4) {
        char *bytes = mem_alloc_aligned(alignment, 100);
        assert_int_equal((uintptr_t)bytes % alignment, 0);
        assert_int_equal(bytes[0] | bytes[99], 0);
        mem_free(bytes);
    }
}

static void a_table_is_zeroed_and_begins_with_a_line_of_the_processors_cache(void **state)
{
    for (size_t size = 64; size <= 2 * MEM_HUGE_SIZE; size *= 2) {
        char *table = mem_alloc_table(size);
        assert_int_equal((uintptr_t)table % 64, 0);
        assert_int_equal(table[0] | table[size - 1], 0);
        table[0] = table[size - 1] = 1;
        mem_free_table(table, size);
    }
}

static void mapped_memory_is_aligned_zeroed_and_goes_back(void **state)
{
    for (size_t size = 4096; size <= 1 << 22; size *= 4) {
        char *bytes = mem_map(size, size);
        assert_int_equal((uintptr_t)bytes % size, 0);
        assert_int_equal(bytes[0] | bytes[size - 1], 0);
        bytes[0] = bytes[size - 1] = 1;
        mem_discard(bytes, size);
        assert_int_equal(bytes[0] | bytes[size - 1], 0);
        mem_unmap(bytes, size);
    }
}

static void what_is_moved_into_huge_pages_is_the_same(void **state)
{
    (void)state;
    char *bytes = mem_map(MEM_HUGE_SIZE, MEM_HUGE_SIZE);
    for (size_t i = 0; i < MEM_HUGE_SIZE; i++)
        bytes[i] = (char)(i / 4096);
    mem_collapse(bytes, MEM_HUGE_SIZE);
    for (size_t i = 0; i < MEM_HUGE_SIZE; i++)
        if (bytes[i] != (char)(i / 4096))
            fail();
    mem_unmap(bytes, MEM_HUGE_SIZE);
}

static long faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_minflt;
}

static void a_large_piece_that_was_freed_is_kept_for_the_next_one(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* they have allocators of their own */
#endif
    size_t size = 4 << 20;
    mem_keep_small();
    mem_keep(UINT64_C(8) << 30);
    mem_free(memset(mem_alloc(size), 1, size));
    long before = faults();
    mem_free(memset(mem_alloc(size), 1, size));
    assert_true(faults() - before < 100); /* of 1,024 pages */
}

static void copies_are_equal(void **state)
{
    char *text = mem_strdup("abc");
    assert_string_equal(text, "abc");
    mem_free(text);
    assert_null(mem_strdup(NULL));
    void *nothing = mem_dup(NULL, 0);
    assert_non_null(nothing);
    mem_free(nothing);
    text = mem_printf("%s-%d", "x", 7);
    assert_string_equal(text, "x-7");
    mem_free(text);
}

static void every_allocation_is_counted(void **state)
{
    uint64_t before = mem_count();
    void *memory = mem_alloc(1);
    memory = mem_realloc(memory, 100);
    mem_free(memory);
    assert_int_equal(mem_count() - before, 2);
}

static void an_array_too_large_aborts_inner(void *arg)
{
    mem_alloc_array(SIZE_MAX / 2, 3);
}

static void an_array_too_large_aborts(void **state)
{
    expect_abort(an_array_too_large_aborts_inner, NULL);
}

static void pieces_of_an_arena_are_aligned_and_apart(void **state)
{
    struct arena arena;
    arena_init(&arena, 64, 1 << 20);
    unsigned char *pieces[200];
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        pieces[i] = arena_take(&arena, i);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < COUNT_OF(pieces); i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(pieces[i][j], i);
    arena_release(&arena);
    assert_int_equal(arena.size, 0);
}

static void an_arena_that_was_reset_allocates_no_more(void **state)
{
    struct arena arena;
    arena_init(&arena, 128, 1 << 20);
    for (int round = 0; round < 5; round++) {
        uint64_t before = mem_count();
        for (int i = 0; i < 100; i++) {
            unsigned char *piece = arena_alloc(&arena, 64);
            assert_int_equal(piece[0] | piece[63], 0); /* zeroed although used before */
            memset(piece, 0xff, 64);
        }
        if (round >= 2) /* the largest block may need to grow once more */
            assert_int_equal(mem_count(), before);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

static void an_arena_takes_a_piece_larger_than_its_blocks(void **state)
{
    struct arena arena;
    arena_init(&arena, 64, 4 << 20);
    memset(arena_take(&arena, 3 << 20), 1, 3 << 20);
    assert_string_equal(arena_strdup(&arena, "still works"), "still works");
    assert_string_equal(arena_printf(&arena, "%d", 42), "42");
    assert_null(arena_strdup(&arena, NULL));
    arena_reset(&arena);
    arena_reset(&arena);
    arena_release(&arena);
    arena_release(&arena); /* released is as good as new */
}

static void an_arena_may_be_filled_to_its_maximum(void **state)
{
    struct arena arena;
    arena_init(&arena, 64, 256);
    for (int i = 0; i < 16; i++)
        arena_take(&arena, 16);
    assert_int_equal(arena.size, 256);
    arena_release(&arena);
}

static void fill_over_the_maximum(void *arg)
{
    struct arena arena;
    arena_init(&arena, 64, 256);
    for (int i = 0; i < 17; i++)
        arena_take(&arena, 16);
}

static void an_arena_over_its_maximum_aborts(void **state)
{
    expect_abort(fill_over_the_maximum, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocated_memory_is_zeroed),
        cmocka_unit_test(aligned_memory_is_aligned_and_zeroed),
        cmocka_unit_test(a_table_is_zeroed_and_begins_with_a_line_of_the_processors_cache),
        cmocka_unit_test(mapped_memory_is_aligned_zeroed_and_goes_back),
        cmocka_unit_test(what_is_moved_into_huge_pages_is_the_same),
        cmocka_unit_test(a_large_piece_that_was_freed_is_kept_for_the_next_one),
        cmocka_unit_test(copies_are_equal),
        cmocka_unit_test(every_allocation_is_counted),
        cmocka_unit_test(an_array_too_large_aborts),
        cmocka_unit_test(pieces_of_an_arena_are_aligned_and_apart),
        cmocka_unit_test(an_arena_that_was_reset_allocates_no_more),
        cmocka_unit_test(an_arena_takes_a_piece_larger_than_its_blocks),
        cmocka_unit_test(an_arena_may_be_filled_to_its_maximum),
        cmocka_unit_test(an_arena_over_its_maximum_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* segment_test.c -- elements in segments, and the pool's limit. */
#include "runtime/exchange/segment.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

static void elements_come_back_in_order_and_aligned(void **state)
{
    static const size_t payloads[] = { 0, 1, 15, 16, 17, 4096, 31, 32 };
    const size_t count = sizeof(payloads) / sizeof(payloads[0]);
    struct segment_pool *pool = segment_pool_new(MIB);
    struct segment *segment = segment_take(pool, 0);
    for (size_t i = 0; i < count; i++) {
        enum element_kind kind = payloads[i] == 0 ? ELEMENT_BARRIER : ELEMENT_RECORD;
        struct element *element = segment_add(segment, kind, payloads[i]);
        assert_non_null(element);
        element->value = (int64_t)i;
        memset(element + 1, (int)i, payloads[i]);
    }
    assert_int_equal(segment->record_count, count - 1);
    for (size_t i = 0; i < count; i++) {
        struct element *element = segment_next(segment);
        assert_non_null(element);
        assert_int_equal((uintptr_t)element % 16, 0);
        assert_int_equal(element->size, payloads[i]);
        assert_int_equal(element->value, i);
        assert_int_equal(element->reserved, 0);
        for (size_t b = 0; b < payloads[i]; b++)
            assert_int_equal(((const char *)(element + 1))[b], (char)i);
    }
    assert_null(segment_next(segment));
    segment_give(segment);
    segment_pool_free(pool);
}

static void a_segment_holds_elements_up_to_its_last_byte(void **state)
{
    struct segment_pool *pool = segment_pool_new(MIB);
    struct segment *segment = segment_take(pool, 0);
    size_t largest = segment->capacity - sizeof(struct element);
    assert_true(segment_fits(segment, largest));
    assert_false(segment_fits(segment, largest + 1));
    assert_null(segment_add(segment, ELEMENT_RECORD, largest + 1));
    assert_int_equal(segment->used, 0);
    struct element *element = segment_add(segment, ELEMENT_RECORD, largest);
    assert_non_null(element);
    memset(element + 1, 0xee, largest);
    assert_null(segment_add(segment, ELEMENT_RECORD, 0));
    assert_ptr_equal(segment_next(segment), element);
    assert_null(segment_next(segment));
    segment_give(segment);
    segment_pool_free(pool);
}

static void a_long_record_gets_a_segment_of_its_own(void **state)
{
    static const size_t payloads[] = { SEGMENT_CAPACITY, 100000, 2 * MIB };
    struct segment_pool *pool = segment_pool_new(4 * MIB);
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        struct segment *segment = segment_take(pool, payloads[i]);
        assert_non_null(segment);
        assert_int_equal(segment->capacity, segment_element_size(payloads[i]));
        assert_true(segment_pool_used(pool) > payloads[i]);
        assert_non_null(segment_add(segment, ELEMENT_RECORD, payloads[i]));
        segment_give(segment);
        assert_int_equal(segment_pool_used(pool), 0);
    }
    segment_pool_free(pool);
}

static void the_segment_of_a_long_record_serves_others_of_about_its_size(void **state)
{
    const size_t size = 100000;
    struct segment_pool *pool = segment_pool_new(4 * MIB);
    struct segment *first = segment_take(pool, size);
    size_t used = segment_pool_used(pool);
    segment_give(first);
    uint64_t allocations = mem_count();
    for (size_t less = 0; less < size / 8; less += 1000) {
        struct segment *again = segment_take(pool, size - less);
        assert_ptr_equal(again, first);
        assert_int_equal(again->capacity,
            segment_element_size(size - less)); /* as if it were new */
        assert_int_equal(segment_pool_used(pool), used);
        assert_null(segment_add(again, ELEMENT_RECORD, size - less + 16));
        assert_non_null(segment_add(again, ELEMENT_RECORD, size - less));
        segment_give(again);
    }
    assert_int_equal(mem_count(), allocations);
    struct segment *larger = segment_take(pool, size + 16), *smaller = segment_take(pool, size / 2);
    assert_int_equal(mem_count(), allocations + 2);
    segment_give(larger);
    segment_give(smaller);
    segment_pool_free(pool);
}

static void kept_segments_of_long_records_are_few(void **state)
{
    enum { COUNT = 40 };
    static const size_t sizes[] = { 50000, MIB, 20 * MIB };
    static const uint64_t kept[] = { 32, 15, 0 }; /* the number, the bytes, each of them too long */
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct segment *segments[COUNT];
        struct segment_pool *pool = segment_pool_new(1024 * MIB);
        for (int i = 0; i < COUNT; i++)
            segments[i] = segment_take(pool, sizes[s]);
        for (int i = 0; i < COUNT; i++)
            segment_give(segments[i]);
        uint64_t allocations = mem_count();
        for (int i = 0; i < COUNT; i++)
            segments[i] = segment_take(pool, sizes[s]);
        assert_int_equal(mem_count() - allocations, COUNT - kept[s]);
        for (int i = 0; i < COUNT; i++)
            segment_give(segments[i]);
        segment_pool_free(pool);
    }
}

static void a_given_segment_is_taken_again_without_an_allocation(void **state)
{
    struct segment_pool *pool = segment_pool_new(MIB);
    struct segment *record = segment_take(pool, 10), *event = segment_take_event(pool);
    segment_add(record, ELEMENT_RECORD, 10);
    segment_give(record);
    segment_give(event);
    uint64_t allocations = mem_count();
    for (int i = 0; i < 100; i++) {
        assert_ptr_equal(segment_take(pool, 10), record);
        assert_int_equal(record->used + record->read + record->record_count, 0);
        assert_ptr_equal(segment_take_event(pool), event);
        segment_add(record, ELEMENT_RECORD, 10);
        segment_give(event);
        segment_give(record);
    }
    assert_int_equal(mem_count(), allocations);
    segment_pool_free(pool);
}

static void taking_fails_only_when_the_pool_is_used_up(void **state)
{
    struct segment *segments[32];
    struct segment_pool *pool = segment_pool_new(32 * SEGMENT_SIZE);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 32; i++) {
            segments[i] = segment_take(pool, 100);
            assert_non_null(segments[i]);
        }
        assert_int_equal(segment_pool_used(pool), 32 * SEGMENT_SIZE);
        assert_null(segment_take(pool, 100));
        assert_null(segment_take_event(pool));
        for (int i = 0; i < 32; i++)
            segment_give(segments[i]);
        assert_int_equal(segment_pool_used(pool), 0);
    }
    assert_null(segment_take(pool, MIB)); /* larger than all of it, with its headers */
    assert_null(segment_take(pool, SIZE_MAX - 7));
    segment_pool_free(pool);
}

static void what_is_kept_makes_way_for_another_size(void **state)
{
    struct segment_pool *pool = segment_pool_new(8 * SEGMENT_SIZE);
    struct segment *segments[8];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++)
            segments[i] = segment_take(pool, 1);
        for (int i = 0; i < 8; i++)
            segment_give(segments[i]);
        struct segment *large = segment_take(pool, 7 * SEGMENT_SIZE);
        assert_non_null(large);
        segment_give(large);
        struct segment *event = segment_take_event(pool);
        assert_non_null(event);
        segment_give(event);
    }
    segment_pool_free(pool);
}

static void an_event_alone_takes_a_small_segment(void **state)
{
    struct segment_pool *pool = segment_pool_new(MIB);
    struct segment *segment = segment_take_event(pool);
    assert_true(segment_pool_used(pool) < 128);
    assert_non_null(segment_add(segment, ELEMENT_END, 0));
    assert_null(segment_add(segment, ELEMENT_END, 0));
    segment_give(segment);
    segment_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_come_back_in_order_and_aligned),
        cmocka_unit_test(a_segment_holds_elements_up_to_its_last_byte),
        cmocka_unit_test(a_long_record_gets_a_segment_of_its_own),
        cmocka_unit_test(the_segment_of_a_long_record_serves_others_of_about_its_size),
        cmocka_unit_test(kept_segments_of_long_records_are_few),
        cmocka_unit_test(a_given_segment_is_taken_again_without_an_allocation),
        cmocka_unit_test(taking_fails_only_when_the_pool_is_used_up),
        cmocka_unit_test(what_is_kept_makes_way_for_another_size),
        cmocka_unit_test(an_event_alone_takes_a_small_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

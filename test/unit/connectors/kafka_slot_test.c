/* kafka_slot_test.c -- what a slot holds, drops and remembers; bytes that no slot wrote are refused. */
#include "connectors/kafka_slot.h"

#include "base/buffer.h"
#include "base/memory.h"

#include "test/support/expect.h"

static const struct kafka_chunk chunks[] = { { 0, 10, 100 }, { 90, 20, 200 }, { 250, 1, 7 } };

/* Holds segments of checkpoints 3, 5 and 9, with 1, 2 and 3 chunks. */
static void fill(struct slot *slot)
{
    slot_hold(slot, 3, mem_strdup("dir/three"), chunks, 1);
    slot_hold(slot, 5, mem_strdup("dir/five"), chunks, 2);
    slot_hold(slot, 9, mem_strdup("nine"), chunks, 3);
}

static void drop(void *arg, char *path)
{
    weir_buffer *dropped = arg;
    buffer_printf(dropped, "%s ", path);
    mem_free(path);
}

static weir_error *find(void *arg, weir_str name, char **path)
{
    (void)arg;
    if (weir_str_equal(name, WEIR_STR("five.missing")))
        return weir_errorf(WEIR_E_CORRUPT, "it is not there");
    *path = mem_printf("new/%.*s", (int)name.size, name.data);
    return NULL;
}

static void each_segment_knows_the_one_before(void **state)
{
    struct slot slot;
    slot_init(&slot, 7);
    fill(&slot);
    assert_int_equal(slot.count, 3);
    assert_int_equal(slot.last, 9);
    assert_int_equal(slot.segments[0].previous, 0);
    assert_int_equal(slot.segments[1].previous, 3);
    assert_int_equal(slot.segments[2].previous, 5);
    slot_release(&slot);
}

static void only_complete_checkpoints_count(void **state)
{
    static const struct {
        uint64_t complete;
        uint32_t count;
    } rows[] = { { 0, 0 }, { 2, 0 }, { 3, 1 }, { 4, 1 }, { 5, 2 }, { 8, 2 }, { 9, 3 }, { 99, 3 } };
    struct slot slot;
    slot_init(&slot, 0);
    fill(&slot);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(slot_complete_count(&slot, rows[i].complete), rows[i].count);
        assert_int_equal(slot_unpublished_count(&slot, rows[i].complete), rows[i].count);
    }
    slot_release(&slot);
}

static void the_newest_published_segment_is_kept_to_be_read_back(void **state)
{
    struct slot slot;
    weir_buffer *dropped = weir_buffer_new(1000);
    slot_init(&slot, 0);
    slot_published(&slot, 0, drop, dropped);
    fill(&slot);
    slot_published(&slot, 1, drop, dropped);
    assert_string_equal(buffer_text(dropped), "");
    assert_int_equal(slot.count, 3);
    assert_int_equal(slot_unpublished_count(&slot, 9), 2);
    slot_published(&slot, 2, drop, dropped);
    assert_string_equal(buffer_text(dropped), "dir/three ");
    assert_int_equal(slot.segments[0].number, 5);
    assert_int_equal(slot_unpublished_count(&slot, 9), 1);
    slot_hold(&slot, 12, mem_strdup("twelve"), chunks, 1);
    slot_published(&slot, 3, drop, dropped);
    assert_string_equal(buffer_text(dropped), "dir/three dir/five nine ");
    assert_int_equal(slot.count, 1);
    assert_int_equal(slot.last, 12);
    assert_int_equal(slot_unpublished_count(&slot, 12), 0);
    weir_buffer_free(dropped);
    slot_release(&slot);
}

static struct weir_item item_of(const struct slot *slot, weir_buffer *buffer)
{
    weir_buffer_reset(buffer);
    expect_ok(slot_write(slot, buffer));
    return (struct weir_item){ .name = WEIR_STR("slot-7"), .value = weir_buffer_view(buffer) };
}

static void a_slot_comes_back_from_its_item(void **state)
{
    struct slot slot, back;
    uint32_t number;
    weir_buffer *buffer = weir_buffer_new(10000);
    slot_init(&slot, 7);
    fill(&slot);
    struct weir_item item = item_of(&slot, buffer);
    expect_ok(slot_number_of(item, &number));
    assert_int_equal(number, 7);
    slot_init(&back, 7);
    expect_ok(slot_read(&back, item, find, NULL));
    assert_int_equal(back.last, 9);
    assert_int_equal(back.count, 3);
    static const char *const paths[] = { "new/three", "new/five", "new/nine" };
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(back.segments[i].number, slot.segments[i].number);
        assert_int_equal(back.segments[i].previous, slot.segments[i].previous);
        assert_string_equal(back.segments[i].path, paths[i]);
        assert_int_equal(back.segments[i].chunk_count, i + 1);
        assert_memory_equal(back.segments[i].chunks, chunks, (i + 1) * sizeof(chunks[0]));
        assert_false(back.segments[i].is_published);
    }
    slot_release(&back);
    slot.segments[0].is_published = true;
    slot_init(&back, 7);
    expect_ok(slot_read(&back, item_of(&slot, buffer), find, NULL));
    assert_true(back.segments[0].is_published);
    assert_false(back.segments[1].is_published);
    slot_release(&slot);
    slot_release(&back);
    slot_init(&slot, 8);
    slot_init(&back, 8);
    expect_ok(slot_read(&back, item_of(&slot, buffer), find, NULL));
    assert_int_equal(back.count, 0);
    weir_buffer_free(buffer);
}

/* Version 1 has no count of what is published: it is not known then. */
static void an_item_of_an_older_program_is_read(void **state)
{
    struct slot slot, back;
    weir_buffer *buffer = weir_buffer_new(10000), *old = weir_buffer_new(10000);
    slot_init(&slot, 7);
    fill(&slot);
    slot.segments[0].is_published = true;
    struct weir_item item = item_of(&slot, buffer);
    buffer_put_u32(old, 1);
    weir_buffer_add(old, item.value.data + 4, 16);
    weir_buffer_add(old, item.value.data + 24, item.value.size - 24);
    item.value = weir_buffer_view(old);
    slot_init(&back, 7);
    expect_ok(slot_read(&back, item, find, NULL));
    assert_int_equal(back.count, 3);
    assert_int_equal(back.segments[2].chunk_count, 3);
    assert_false(back.segments[0].is_published);
    slot_release(&slot);
    slot_release(&back);
    weir_buffer_free(buffer);
    weir_buffer_free(old);
}

static void a_missing_file_is_told(void **state)
{
    struct slot slot, back;
    weir_buffer *buffer = weir_buffer_new(10000);
    slot_init(&slot, 7);
    slot_hold(&slot, 3, mem_strdup("dir/three"), chunks, 1);
    slot_hold(&slot, 5, mem_strdup("dir/five.missing"), chunks, 2);
    slot_init(&back, 7);
    expect_error(slot_read(&back, item_of(&slot, buffer), find, NULL), WEIR_E_CORRUPT,
        "it is not there");
    slot_release(&slot);
    slot_release(&back);
    weir_buffer_free(buffer);
}

static void cut_or_changed_items_are_refused(void **state)
{
    struct slot slot, back;
    weir_buffer *buffer = weir_buffer_new(10000);
    slot_init(&slot, 7);
    fill(&slot);
    struct weir_item item = item_of(&slot, buffer);
    size_t size = item.value.size;
    for (item.value.size = 0; item.value.size < size; item.value.size++) {
        slot_init(&back, 7);
        expect_error(slot_read(&back, item, find, NULL), WEIR_E_CORRUPT, "item 'slot-7'");
        slot_release(&back);
    }
    char *bytes = mem_dup(weir_buffer_view(buffer).data, size);
    uint32_t refused = 0;
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x21;
        slot_init(&back, 7);
        weir_error *error = slot_read(&back,
            (struct weir_item){ item.name, { .data = bytes, .size = size }, 0 }, find, NULL);
        refused += error !=
                   NULL; /* others change a name, a chunk: the checkpoint's checksum is for them */
        weir_error_free(error);
        slot_release(&back);
        bytes[i] ^= 0x21;
    }
    assert_true(refused > 60);
    mem_free(bytes);
    slot_release(&slot);
    weir_buffer_free(buffer);
}

static void a_list_that_does_not_fit_an_item_is_an_error(void **state)
{
    struct slot slot;
    weir_buffer *buffer = weir_buffer_new(40);
    slot_init(&slot, 7);
    fill(&slot);
    expect_error(slot_write(&slot, buffer), WEIR_E_LIMIT, "chunk_size");
    weir_buffer_free(buffer);
    slot_release(&slot);
}

static void a_full_slot_says_so(void **state)
{
    struct slot slot;
    slot_init(&slot, 0);
    for (uint32_t i = 1; i <= SLOT_SEGMENTS_MAX; i++) {
        assert_false(slot_is_full(&slot));
        slot_hold(&slot, i, mem_strdup("x"), chunks, 1);
    }
    assert_true(slot_is_full(&slot));
    slot_release(&slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_segment_knows_the_one_before),
        cmocka_unit_test(only_complete_checkpoints_count),
        cmocka_unit_test(the_newest_published_segment_is_kept_to_be_read_back),
        cmocka_unit_test(a_slot_comes_back_from_its_item),
        cmocka_unit_test(an_item_of_an_older_program_is_read),
        cmocka_unit_test(a_missing_file_is_told),
        cmocka_unit_test(cut_or_changed_items_are_refused),
        cmocka_unit_test(a_list_that_does_not_fit_an_item_is_an_error),
        cmocka_unit_test(a_full_slot_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

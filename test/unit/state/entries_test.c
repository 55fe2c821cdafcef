/* The ordered entries of a row: order, splitting and joining of leaves, accounting of memory. */
#include "state/entries.h"

#include "base/assert.h"
#include "base/memory.h"
#include "test/support/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT 5000u

static struct slab slab;

static weir_str name_of(uint32_t number, char bytes[16])
{
    int size = snprintf(bytes, 16, "%06u", number);
    return (weir_str){ .data = bytes, .size = (uint64_t)size };
}

static struct entry *put(struct entries *entries, uint32_t number)
{
    char bytes[16];
    bool is_new;
    struct entry *entry =
        entries_put(entries, &slab, name_of(number, bytes), sizeof(number), &is_new);
    memcpy(entry->value, &number, sizeof(number));
    return entry;
}

struct check {
    const bool *is_there;
    uint32_t next, count;
};

static bool check_next(void *arg, weir_str name, weir_str value)
{
    struct check *check = arg;
    char bytes[16];
    while (!check->is_there[check->next])
        check->next++;
    assert_true(weir_str_equal(name, name_of(check->next, bytes)));
    assert_int_equal(value.size, sizeof(check->next));
    assert_memory_equal(value.data, &check->next, sizeof(check->next));
    check->next++;
    check->count++;
    return true;
}

static void expect(const struct entries *entries, const bool *is_there)
{
    struct check check = { .is_there = is_there };
    uint32_t count = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        char bytes[16];
        count += is_there[i];
        assert_int_equal(entries_find(entries, name_of(i, bytes)) != NULL, is_there[i]);
    }
    assert_true(entries_each(entries, WEIR_STR(""), check_next, &check));
    assert_int_equal(check.count, count);
    assert_int_equal(entries_count(entries), count);
}

/* Adds all in this order, then removes them in that one, looking at them now and then. */
static void add_and_remove(uint32_t add_step, uint32_t remove_step)
{
    struct entries *entries = entries_new(&slab);
    uint64_t empty = entries_size(entries);
    bool *is_there = mem_alloc(COUNT + 1);
    is_there[COUNT] = true;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t number = (uint32_t)((uint64_t)i * add_step % COUNT);
        put(entries, number);
        is_there[number] = true;
        if (i % 977 == 0 || i == COUNT - 1)
            expect(entries, is_there);
    }
    uint64_t full = entries_size(entries);
    assert_true(full > COUNT * (sizeof(struct entry) + 4 + 6 + 16));
    assert_true(full < COUNT * (sizeof(struct entry) + 4 + 6 + 16) * 5 / 2);
    for (uint32_t i = 0; i < COUNT; i++) {
        char bytes[16];
        uint32_t number = (uint32_t)((uint64_t)i * remove_step % COUNT);
        assert_true(entries_remove(entries, &slab, name_of(number, bytes)));
        assert_false(entries_remove(entries, &slab, name_of(number, bytes)));
        is_there[number] = false;
        if (i % 977 == 0 || i == COUNT - 1)
            expect(entries, is_there);
    }
    /* the list of leaves keeps its room, nothing else stays */
    assert_true(entries_size(entries) <= empty + 512 * 16);
    mem_free(is_there);
    entries_free(entries, &slab);
}

static void any_order_of_adding_and_removing(void **state)
{
    (void)state;
    const uint32_t steps[] = { 1, COUNT - 1, 7, 1237, 3001 }; /* no common divisor with COUNT */
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++)
            add_and_remove(steps[i], steps[j]);
}

static void entries_do_not_move(void **state)
{
    (void)state;
    struct entries *entries = entries_new(&slab);
    struct entry **seen = mem_alloc_array(COUNT, sizeof(*seen));
    char bytes[16];
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t number = (uint32_t)((uint64_t)i * 1237 % COUNT);
        seen[number] = put(entries, number);
        assert_int_equal((uintptr_t)seen[number]->value % 8, 0);
    }
    for (uint32_t i = 1; i < COUNT; i += 2)
        entries_remove(entries, &slab, name_of(i, bytes));
    for (uint32_t i = 0; i < COUNT; i += 2)
        assert_ptr_equal(entries_find(entries, name_of(i, bytes)), seen[i]);
    mem_free(seen);
    entries_free(entries, &slab);
}

/* From one entry to many leaves, in holes that others have left. */
static void moving_keeps_everything(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= COUNT; count = count * 3 + 1) {
        struct entries *holes = entries_new(&slab);
        struct entries *entries = entries_new(&slab);
        bool *is_there = mem_alloc(COUNT + 1);
        is_there[COUNT] = true;
        for (uint32_t i = 0; i < COUNT; i++)
            put(holes, i);
        for (uint32_t i = 0; i < count; i++) {
            put(entries, i * 7 % COUNT);
            is_there[i * 7 % COUNT] = true;
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            char bytes[16];
            if (i % 8 != 0)
                entries_remove(holes, &slab, name_of(i, bytes));
        }
        uint64_t size = entries_size(entries), occupied = slab_occupied(&slab);
        assert_true(slab_drain(&slab, UINT64_MAX));
        holes = entries_move(holes, &slab);
        entries = entries_move(entries, &slab);
        slab_drained(&slab);
        assert_true(slab_occupied(&slab) < occupied);
        assert_int_equal(entries_size(entries), size);
        expect(entries, is_there);
        mem_free(is_there);
        entries_free(entries, &slab);
        entries_free(holes, &slab);
    }
}

static void editing_makes_an_entry_and_leaves_one_that_is_there(void **state)
{
    (void)state;
    bool is_new;
    struct entries *entries = entries_new(&slab);
    struct entry *made = entries_edit(entries, &slab, WEIR_STR("name"), 8, &is_new);
    assert_true(is_new);
    assert_int_equal(made->value_size, 8);
    assert_memory_equal(made->value, "\0\0\0\0\0\0\0\0", 8);
    memcpy(made->value, "eight...", 8);
    made->flags = 5;
    assert_ptr_equal(entries_edit(entries, &slab, WEIR_STR("name"), 100, &is_new), made);
    assert_false(is_new);
    assert_int_equal(made->value_size, 8);
    assert_memory_equal(made->value, "eight...", 8);
    assert_int_equal(made->flags, 5);
    assert_int_equal(entries_count(entries), 1);
    entries_free(entries, &slab);
}

static void values_grow_and_shrink(void **state)
{
    (void)state;
    struct entries *entries = entries_new(&slab);
    bool is_new;
    for (size_t size = 0; size < 3000; size += 7) {
        struct entry *entry = entries_put(entries, &slab, WEIR_STR("name"), size, &is_new);
        assert_int_equal(is_new, size == 0);
        for (size_t i = 0; i + 7 < size; i++)
            assert_int_equal(entry->value[i], (char)i);
        for (size_t i = 0; i < size; i++)
            entry->value[i] = (char)i;
        assert_true(weir_str_equal(entry_name(entry), WEIR_STR("name")));
    }
    uint64_t large = entries_size(entries);
    struct entry *entry = entries_put(entries, &slab, WEIR_STR("name"), 1, &is_new);
    assert_int_equal(entry_value(entry).size, 1);
    assert_int_equal(entries_size(entries), large);
    entries_free(entries, &slab);
}

static bool is_odd(void *arg, struct entry *entry)
{
    uint32_t number;
    memcpy(&number, entry->value, sizeof(number));
    return number % 2 == 1 || (arg != NULL && number < 2000);
}

static void sweeping_removes_what_is_dead(void **state)
{
    (void)state;
    struct entries *entries = entries_new(&slab);
    bool *is_there = mem_alloc(COUNT + 1);
    is_there[COUNT] = true;
    for (uint32_t i = 0; i < COUNT; i++) {
        put(entries, (uint32_t)((uint64_t)i * 1237 % COUNT));
        is_there[i] = i % 2 == 0;
    }
    uint32_t cursor = 0;
    while (entries_sweep(entries, &slab, &cursor, is_odd, NULL))
        continue;
    expect(entries, is_there);
    for (uint32_t i = 0; i < 2000; i++)
        is_there[i] = false;
    cursor = 0;
    while (entries_sweep(entries, &slab, &cursor, is_odd, entries))
        continue;
    expect(entries, is_there);
    mem_free(is_there);
    entries_free(entries, &slab);
}

static bool count_entry(void *arg, struct entry *entry)
{
    (void)entry;
    ++*(uint32_t *)arg;
    return false;
}

static uint32_t count_marked(struct entries *entries)
{
    uint32_t cursor = 0, count = 0;
    while (entries_sweep_marked(entries, &slab, &cursor, count_entry, &count))
        continue;
    return count;
}

/* Marks are taken away by the sweep, and come with every put. */
static void changes_in_a_long_row_are_found_without_walking_it(void **state)
{
    (void)state;
    struct entries *entries = entries_new(&slab);
    for (uint32_t i = 0; i < COUNT; i++)
        put(entries, i);
    assert_int_equal(count_marked(entries), COUNT);
    assert_int_equal(count_marked(entries), 0);
    struct entries_cursor cursor;
    struct entry *first = entries_first(entries, WEIR_STR(""), &cursor);
    assert_ptr_equal(entries_mark(entries, entry_name(first)), first);
    uint32_t count = count_marked(entries);
    assert_true(count > 0 && count <= 64);
    put(entries, COUNT / 2);
    count = count_marked(entries);
    assert_true(count > 0 && count <= 64);
    assert_null(entries_mark(entries, WEIR_STR("none of them")));
    assert_int_equal(count_marked(entries), 0);
    entries_mark_all(entries);
    assert_int_equal(count_marked(entries), COUNT);
    entries_free(entries, &slab);
}

/* How many names start with it, and that they come in order. */
static uint32_t count_walked(const struct entries *entries, weir_str prefix)
{
    struct entries_cursor cursor;
    uint32_t count = 0;
    weir_str last = WEIR_STR("");
    const struct entry *entry = entries_first(entries, prefix, &cursor);
    for (; entry != NULL; entry = entries_next(entries, prefix, &cursor), count++) {
        weir_str name = entry_name(entry);
        assert_true(count == 0 || weir_str_compare(last, name) < 0);
        assert_true(name.size >= prefix.size && memcmp(name.data, prefix.data, prefix.size) == 0);
        last = name;
    }
    return count;
}

static void a_cursor_walks_in_order(void **state)
{
    (void)state;
    struct entries *entries = entries_new(&slab);
    assert_int_equal(count_walked(entries, WEIR_STR("")), 0);
    assert_int_equal(count_walked(entries, WEIR_STR("a")), 0);
    for (uint32_t i = 0; i < COUNT; i++)
        put(entries, (uint32_t)((uint64_t)i * 1237 % COUNT));
    assert_int_equal(count_walked(entries, WEIR_STR("")), COUNT);
    assert_int_equal(count_walked(entries, WEIR_STR("none of them")), 0);
    struct entries_cursor cursor;
    weir_str all = entry_name(entries_first(entries, WEIR_STR(""), &cursor));
    uint32_t count = 0;
    for (uint32_t i = 0; i < 256; i++) { /* every name has one byte behind the first one's others */
        char bytes[64];
        memcpy(bytes, all.data, all.size);
        bytes[all.size - 1] = (char)i;
        count += count_walked(entries, (weir_str){ .data = bytes, .size = all.size });
    }
    all.size--;
    assert_int_equal(count, count_walked(entries, all));
    entries_free(entries, &slab);
}

/* Those in front of it come and go, those behind it come: it gives each that is behind the one before. */
static void a_cursor_walks_on_when_others_are_put_and_removed(void **state)
{
    (void)state;
    struct entries *entries = entries_new(&slab);
    char bytes[16];
    for (uint32_t i = 1; i < COUNT; i += 10)
        put(entries, i);
    struct entries_cursor cursor;
    uint32_t next = 1, behind = COUNT - 9;
    const struct entry *entry = entries_first(entries, WEIR_STR(""), &cursor);
    for (; entry != NULL; entry = entries_next(entries, WEIR_STR(""), &cursor), next += 10) {
        assert_true(weir_str_equal(entry_name(entry), name_of(next, bytes)));
        for (uint32_t i = 0; i < next && next < 500; i++)
            if (i % 10 != 1)
                put(entries, i);
        for (uint32_t i = 0; i < next && next >= 500; i++)
            entries_remove(entries, &slab, name_of(i, bytes));
        if (behind < COUNT + 100)
            put(entries, behind += 10);
    }
    assert_true(next > COUNT + 90);
    entries_free(entries, &slab);
}

static int compare_names(const void *a, const void *b)
{
    return weir_str_compare(*(const weir_str *)a, *(const weir_str *)b);
}

static bool collect(void *arg, weir_str name, weir_str value)
{
    (void)value;
    weir_str **next = arg;
    assert_true(weir_str_equal(name, **next));
    *next += 1;
    return true;
}

/* Short names over two letters, so that heads are often equal and names are prefixes of others. */
static void order_is_that_of_bytes(void **state)
{
    (void)state;
    struct entries *entries = entries_new(&slab);
    static char bytes[2000][20];
    static weir_str names[2000];
    uint32_t count = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t random = sample_random(1, i);
        weir_str name = { .data = bytes[count], .size = random % 20 };
        for (uint64_t j = 0; j < name.size; j++)
            bytes[count][j] = (char)(sample_random(i, j) % 7 == 0 ? 0xff : 0);
        bool is_new;
        entries_put(entries, &slab, name, 0, &is_new);
        if (is_new)
            names[count++] = name;
    }
    assert_true(count > 300);
    qsort(names, count, sizeof(names[0]), compare_names);
    weir_str *next = names;
    entries_each(entries, WEIR_STR(""), collect, &next);
    assert_ptr_equal(next, names + count);
    entries_free(entries, &slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_adding_and_removing),
        cmocka_unit_test(entries_do_not_move),
        cmocka_unit_test(moving_keeps_everything),
        cmocka_unit_test(editing_makes_an_entry_and_leaves_one_that_is_there),
        cmocka_unit_test(values_grow_and_shrink),
        cmocka_unit_test(sweeping_removes_what_is_dead),
        cmocka_unit_test(changes_in_a_long_row_are_found_without_walking_it),
        cmocka_unit_test(a_cursor_walks_in_order),
        cmocka_unit_test(a_cursor_walks_on_when_others_are_put_and_removed),
        cmocka_unit_test(order_is_that_of_bytes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ASSERT(failed > 0 || slab_used(&slab) == 0); /* entries_free has given all back */
    slab_release(&slab);
    return failed;
}

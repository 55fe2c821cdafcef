/* Every backend keeps the contract of backend.h: entries, rows, order, sizes. One suite, run for each.
 * Snapshots and trouble: backend_snapshot_test.c. */
#include "base/buffer.h"
#include "base/os.h"
#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BIG_ROW 100000u

static weir_str str(const char *text)
{
    return weir_str_of(text);
}

static void expect_row(struct shelf_fixture *it, const struct row_key *row, const char *prefix,
    const char *expected)
{
    char *text = shelf_row_text(it->backend, row, prefix);
    assert_string_equal(text, expected);
    mem_free(text);
}

/* -- entries -------------------------------------------------------------------------------- */

static void is_found_by_its_name(void **state)
{
    assert_ptr_equal(backend_find(((const struct backend_class *)*state)->name), *state);
    assert_null(backend_find("forst"));
}

static void gets_what_was_put(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key a = shelf_row(0, "a"), b = shelf_row(0, "b"), other = shelf_row(1, "a");
    shelf_expect_none(it.backend, &a, "");
    shelf_put(it.backend, &a, str(""), str("one"));
    shelf_put(it.backend, &b, str(""), str("two"));
    shelf_put(it.backend, &other, str(""), str("three"));
    shelf_put(it.backend, &a, str("x"), str("four"));
    shelf_expect(it.backend, &a, "", "one");
    shelf_expect(it.backend, &b, "", "two");
    shelf_expect(it.backend, &other, "", "three");
    shelf_expect(it.backend, &a, "x", "four");
    shelf_expect_none(it.backend, &b, "x");
    shelf_put(it.backend, &a, str(""), str("a longer value than before"));
    shelf_expect(it.backend, &a, "", "a longer value than before");
    shelf_put(it.backend, &a, str("x"), str("a longer value than before"));
    shelf_expect(it.backend, &a, "x", "a longer value than before");
    shelf_put(it.backend, &a, str(""), str("s"));
    shelf_expect(it.backend, &a, "", "s");
    assert_true(it.verbs->size(it.backend) > 0);
    shelf_end(&it);
}

static void an_empty_value_is_a_value(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "a");
    shelf_put(it.backend, &row, str(""), str(""));
    shelf_put(it.backend, &row, str("x"), str(""));
    shelf_expect(it.backend, &row, "", "");
    shelf_expect(it.backend, &row, "x", "");
    shelf_restart(&it);
    shelf_expect(it.backend, &row, "", "");
    shelf_expect(it.backend, &row, "x", "");
    shelf_end(&it);
}

static void removes_entries_alone(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "a");
    shelf_put(it.backend, &row, str(""), str("v"));
    shelf_put(it.backend, &row, str("x"), str("1"));
    shelf_put(it.backend, &row, str("y"), str("2"));
    shelf_remove(it.backend, &row, str("x"));
    shelf_expect_none(it.backend, &row, "x");
    shelf_expect(it.backend, &row, "y", "2");
    shelf_expect(it.backend, &row, "", "v");
    shelf_remove(it.backend, &row, str(""));
    shelf_expect_none(it.backend, &row, "");
    shelf_expect(it.backend, &row, "y", "2");
    shelf_remove(it.backend, &row, str("y"));
    shelf_remove(it.backend, &row, str("y"));
    shelf_remove(it.backend, &row, str("never there"));
    expect_row(&it, &row, "", "");
    shelf_end(&it);
}

static void clears_one_row_only(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "a"), longer = shelf_row(0, "ab"), other = shelf_row(1, "a");
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        shelf_put(it.backend, &row, str(name), str("x"));
    }
    shelf_put(it.backend, &row, str(""), str("x"));
    shelf_put(it.backend, &longer, str("1"), str("kept"));
    shelf_put(it.backend, &other, str("1"), str("kept"));
    shelf_clear(it.backend, &row);
    expect_row(&it, &row, "", "");
    shelf_expect_none(it.backend, &row, "");
    expect_row(&it, &longer, "", "1=kept");
    expect_row(&it, &other, "", "1=kept");
    shelf_put(it.backend, &row, str("7"), str("again"));
    shelf_restart(&it);
    expect_row(&it, &row, "", "7=again");
    expect_row(&it, &longer, "", "1=kept");
    shelf_clear(it.backend, &row);
    shelf_clear(it.backend, &row);
    expect_row(&it, &row, "", "");
    shelf_end(&it);
}

static void iterates_in_byte_order(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "a"), near = shelf_row(0, "a\1");
    const char *names[] = { "b", "a", "", "aa", "ab", "\xff", "abcdefgh", "abcdefghi", "abcdefg",
        "abcdefgh2", "Z", "\xff\xff", "abcdefgi" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        shelf_put(it.backend, &row, str(names[i]), str("1"));
        shelf_put(it.backend, &near, str(names[i]), str("2"));
    }
    for (int i = 0; i < 2; i++) {
        expect_row(&it, &row, "",
            "=1 Z=1 a=1 aa=1 ab=1 abcdefg=1 abcdefgh=1 abcdefgh2=1 abcdefghi=1 abcdefgi=1 b=1 "
            "\xff=1 \xff\xff=1");
        expect_row(&it, &row, "ab", "ab=1 abcdefg=1 abcdefgh=1 abcdefgh2=1 abcdefghi=1 abcdefgi=1");
        expect_row(&it, &row, "abcdefgh", "abcdefgh=1 abcdefgh2=1 abcdefghi=1");
        expect_row(&it, &row, "\xff", "\xff=1 \xff\xff=1");
        expect_row(&it, &row, "c", "");
        expect_row(&it, &row, "b", "b=1");
        shelf_restart(&it);
    }
    shelf_end(&it);
}

static void names_may_hold_any_bytes(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row_bytes(0, (weir_str){ .data = "k\0k", .size = 3 });
    struct row_key empty = shelf_row(0, "");
    weir_str names[] = { { .data = "\0", .size = 1 }, { .data = "\0\0", .size = 2 },
        { .data = "a", .size = 1 }, { .data = "a\0", .size = 2 }, { .data = "a\0b", .size = 3 } };
    for (uint32_t i = 0; i < 5; i++) {
        char value[2] = { (char)('0' + i), '\0' };
        shelf_put(it.backend, &row, names[i], str(value));
        shelf_put(it.backend, &empty, names[i], str(value));
    }
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(shelf_get(it.backend, &row, names[i]).data[0], '0' + i);
        assert_int_equal(shelf_get(it.backend, &empty, names[i]).data[0], '0' + i);
    }
    shelf_remove(it.backend, &row, names[1]);
    assert_null(shelf_get(it.backend, &row, names[1]).data);
    assert_non_null(shelf_get(it.backend, &row, names[0]).data);
    assert_non_null(shelf_get(it.backend, &empty, names[1]).data);
    shelf_end(&it);
}

struct stop_after {
    uint32_t count;
};

static bool count_down(void *arg, weir_str entry, weir_str value)
{
    struct stop_after *left = arg;
    (void)entry;
    (void)value;
    return --left->count > 0;
}

static bool count_down_row(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    (void)row;
    return count_down(arg, entry, value);
}

static void a_callback_stops_the_iteration(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "a");
    const char *names[] = { "", "1", "2", "3", "4" };
    for (int i = 0; i < 5; i++)
        shelf_put(it.backend, &row, str(names[i]), str("x"));
    for (uint32_t i = 1; i <= 5; i++) {
        struct stop_after left = { .count = i };
        shelf_ok(it.verbs->each(it.backend, &row, str(""), count_down, &left));
        assert_int_equal(left.count, 0);
        left.count = i;
        shelf_ok(it.verbs->scan(it.backend, 0, count_down_row, &left));
        assert_int_equal(left.count, 0);
    }
    shelf_end(&it);
}

/* A row of so many that a cache does not load it whole: most entries are in the store, some anew in memory. */
#define LONG_ROW 100u

static void change_long_row(struct shelf_fixture *it, const struct row_key *row)
{
    char name[16];
    for (uint32_t i = 0; i < LONG_ROW; i++) {
        snprintf(name, sizeof(name), "%03u", i);
        shelf_put(it->backend, row, str(name), str("old"));
    }
    shelf_restart(it);
    for (uint32_t i = 0; i < LONG_ROW; i++) {
        snprintf(name, sizeof(name), i % 5 == 0 ? "%03u-new" : "%03u", i);
        if (i % 5 == 0 || i % 5 == 1)
            shelf_put(it->backend, row, str(name), str("new"));
        else if (i % 5 == 2)
            shelf_remove(it->backend, row, str(name));
    }
}

/* Notes where it has come to, and stops there in time. */
struct stop_at {
    uint32_t left;
    char name[16];
};

static bool note_place(void *arg, weir_str entry, weir_str value)
{
    struct stop_at *at = arg;
    bool is_new = entry.size > 3 || (entry.data[2] - '0') % 5 == 1;
    assert_string_equal(is_new ? "new" : "old", value.data[0] == 'n' ? "new" : "old");
    snprintf(at->name, sizeof(at->name), "%.*s", (int)entry.size, entry.data);
    return --at->left > 0;
}

static void a_callback_stops_among_what_is_stored_and_what_has_changed(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "long");
    change_long_row(&it, &row);
    uint32_t place = 0;
    for (uint32_t i = 0; i < LONG_ROW; i++) {
        char expected[2][16];
        uint32_t count = i % 5 == 2 ? 0 : i % 5 == 0 ? 2 : 1;
        snprintf(expected[0], sizeof(expected[0]), "%03u", i);
        snprintf(expected[1], sizeof(expected[1]), "%03u-new", i);
        for (uint32_t c = 0; c < count; c++) {
            struct stop_at at = { .left = ++place };
            shelf_ok(it.verbs->each(it.backend, &row, str(""), note_place, &at));
            assert_int_equal(at.left, 0);
            assert_string_equal(at.name, expected[c]);
        }
    }
    struct stop_at at = { .left = place + 1 };
    shelf_ok(it.verbs->each(it.backend, &row, str(""), note_place, &at));
    assert_int_equal(at.left, 1);
    shelf_end(&it);
}

struct nested {
    struct shelf_fixture *it;
    uint32_t count;
};

/* Reads, writes and iterates other rows while one is iterated; what it was given stays valid. */
static bool use_other_rows(void *arg, weir_str entry, weir_str value)
{
    struct nested *nested = arg;
    struct backend *backend = nested->it->backend;
    char name[32], copy[8];
    memcpy(copy, value.data, value.size);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "n%u-%d", nested->count, i);
        struct row_key other = shelf_row(1, name);
        shelf_put(backend, &other, entry, value);
        shelf_expect(backend, &other, "", "");
    }
    assert_memory_equal(copy, value.data, value.size);
    struct row_key pair = shelf_row(2, "pair");
    char *text = shelf_row_text(backend, &pair, "");
    assert_string_equal(text, "p=1 q=2");
    mem_free(text);
    assert_memory_equal(copy, value.data, value.size);
    nested->count++;
    return true;
}

static void a_callback_may_use_other_rows(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "a"), pair = shelf_row(2, "pair");
    shelf_put(it.backend, &pair, str("p"), str("1"));
    shelf_put(it.backend, &pair, str("q"), str("2"));
    char name[32];
    struct nested nested = { .it = &it };
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 50; j++) {
            snprintf(name, sizeof(name), "n%d-%d", i, j);
            struct row_key other = shelf_row(1, name);
            shelf_put(it.backend, &other, str(""), str(""));
        }
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "%d", i);
        shelf_put(it.backend, &row, str(name), str(name));
    }
    shelf_ok(it.verbs->each(it.backend, &row, str(""), use_other_rows, &nested));
    assert_int_equal(nested.count, 10);
    shelf_end(&it);
}

/* -- size ----------------------------------------------------------------------------------- */

static weir_str number_name(uint32_t number, char bytes[4])
{
    bytes[0] = (char)(number >> 24);
    bytes[1] = (char)(number >> 16);
    bytes[2] = (char)(number >> 8);
    bytes[3] = (char)number;
    return (weir_str){ .data = bytes, .size = 4 };
}

struct ascending {
    uint32_t count, next;
};

static bool expect_ascending(void *arg, weir_str entry, weir_str value)
{
    struct ascending *ascending = arg;
    char bytes[4];
    assert_true(weir_str_equal(entry, number_name(ascending->next, bytes)));
    assert_true(weir_str_equal(value, number_name(~ascending->next, bytes)));
    ascending->next++;
    ascending->count++;
    return true;
}

static void a_row_may_have_many_entries(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "big");
    char name[4], value[4];
    for (uint32_t i = 0; i < BIG_ROW; i++) {
        uint32_t number = (uint32_t)((uint64_t)i * 7919 % BIG_ROW); /* every one, in no order */
        shelf_put(it.backend, &row, number_name(number, name), number_name(~number, value));
    }
    struct ascending all = { 0 };
    shelf_ok(it.verbs->each(it.backend, &row, str(""), expect_ascending, &all));
    assert_int_equal(all.count, BIG_ROW);
    for (uint32_t i = 0; i < BIG_ROW / 2; i++) /* the front half, one by one, as a queue does */
        shelf_remove(it.backend, &row, number_name(i, name));
    shelf_restart(&it);
    struct ascending half = { .next = BIG_ROW / 2 };
    shelf_ok(it.verbs->each(it.backend, &row, str(""), expect_ascending, &half));
    assert_int_equal(half.count, BIG_ROW / 2);
    shelf_clear(it.backend, &row);
    expect_row(&it, &row, "", "");
    shelf_end(&it);
}

static void a_value_may_have_a_mebibyte(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct row_key row = shelf_row(0, "a");
    size_t size = 1 << 20;
    char *bytes = mem_alloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 >> 3);
    weir_str value = { .data = bytes, .size = size };
    shelf_put(it.backend, &row, str(""), value);
    shelf_put(it.backend, &row, str("x"), value);
    shelf_put(it.backend, &row, str("y"), str("small"));
    assert_true(weir_str_equal(shelf_get(it.backend, &row, str("")), value));
    shelf_restart(&it);
    assert_true(weir_str_equal(shelf_get(it.backend, &row, str("")), value));
    assert_true(weir_str_equal(shelf_get(it.backend, &row, str("x")), value));
    shelf_expect(it.backend, &row, "y", "small");
    mem_free(bytes);
    shelf_end(&it);
}

/* -- scan ----------------------------------------------------------------------------------- */

static void scan_gives_every_row_of_one_state(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    weir_buffer *expected = weir_buffer_new(1 << 20);
    char key[32];
    for (int i = 100; i < 400; i++) {
        snprintf(key, sizeof(key), "%d", i);
        for (uint32_t number = 0; number < 3; number++) {
            struct row_key row = shelf_row(number == 2 ? STATE_NUMBER_TIMERS : number, key);
            if (number != 1)
                shelf_put(it.backend, &row, str(""), str(key));
            if (number != 0)
                shelf_put(it.backend, &row, str("e"), str("f"));
        }
        buffer_printf(expected, "%s/=%s\n%s/e=f\n", key, key, key);
    }
    char *timers = shelf_dump(it.backend, STATE_NUMBER_TIMERS);
    assert_string_equal(timers, buffer_text(expected));
    mem_free(timers);
    char *none = shelf_dump(it.backend, 7);
    assert_string_equal(none, "");
    mem_free(none);
    weir_buffer_free(expected);
    shelf_end(&it);
}

/* -- what the hashmap promises more ---------------------------------------------------------- */

static void edits_in_place_and_pointers_stay(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    void *first, *again;
    bool is_new;
    struct row_key row = shelf_row(0, "a");
    if (it.verbs->edit == NULL) {
        shelf_end(&it);
        return;
    }
    shelf_ok(it.verbs->edit(it.backend, &row, str(""), 16, &first, &is_new));
    assert_true(is_new);
    assert_int_equal((uintptr_t)first % 8, 0);
    assert_memory_equal(first, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    memcpy(first, "0123456789abcdef", 16);
    void *entry;
    shelf_ok(it.verbs->edit(it.backend, &row, str("e"), 8, &entry, &is_new));
    assert_true(is_new);
    memcpy(entry, "ENTRYENT", 8);
    for (int i = 0; i < 5000; i++) { /* the table grows */
        char key[32];
        snprintf(key, sizeof(key), "%d", i);
        struct row_key other = shelf_row(1, key);
        shelf_put(it.backend, &other, str(""), str(key));
    }
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        shelf_put(it.backend, &row, str(name), str("y"));
    }
    shelf_ok(it.verbs->edit(it.backend, &row, str(""), 16, &again, &is_new));
    assert_false(is_new);
    assert_ptr_equal(first, again);
    shelf_ok(it.verbs->edit(it.backend, &row, str("e"), 8, &again, &is_new));
    assert_ptr_equal(entry, again);
    assert_memory_equal(first, "0123456789abcdef", 16);
    shelf_expect(it.backend, &row, "e", "ENTRYENT");
    shelf_fails(it.verbs->edit(it.backend, &row, str("e"), 9, &again, &is_new), WEIR_E_CORRUPT,
        "8 bytes");
    shelf_fails(it.verbs->edit(it.backend, &row, str(""), 8, &again, &is_new), WEIR_E_CORRUPT,
        "16 bytes");
    shelf_remove(it.backend, &row, str(""));
    shelf_ok(it.verbs->edit(it.backend, &row, str(""), 16, &again, &is_new));
    assert_true(is_new);
    assert_memory_equal(again, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    shelf_end(&it);
}

static void prefetch_changes_nothing(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    char key[32];
    for (int i = 0; i < 20000; i++) { /* more than a small table */
        snprintf(key, sizeof(key), "key-%d", i);
        struct row_key row = shelf_row(0, key);
        if (i != 11)
            shelf_put(it.backend, &row, str(""), str(key));
        if (it.verbs->prefetch != NULL)
            it.verbs->prefetch(it.backend, &row, 1);
    }
    struct row_key row = shelf_row(0, "key-10"), none = shelf_row(0, "key-11");
    shelf_expect(it.backend, &row, "", "key-10");
    shelf_expect_none(it.backend, &none, "");
    shelf_end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHELF_FOR_EACH(is_found_by_its_name),
        SHELF_FOR_EACH(gets_what_was_put),
        SHELF_FOR_EACH(an_empty_value_is_a_value),
        SHELF_FOR_EACH(removes_entries_alone),
        SHELF_FOR_EACH(clears_one_row_only),
        SHELF_FOR_EACH(iterates_in_byte_order),
        SHELF_FOR_EACH(names_may_hold_any_bytes),
        SHELF_FOR_EACH(a_callback_stops_the_iteration),
        SHELF_FOR_EACH(a_callback_stops_among_what_is_stored_and_what_has_changed),
        SHELF_FOR_EACH(a_callback_may_use_other_rows),
        SHELF_FOR_EACH(a_row_may_have_many_entries),
        SHELF_FOR_EACH(a_value_may_have_a_mebibyte),
        SHELF_FOR_EACH(scan_gives_every_row_of_one_state),
        SHELF_FOR_EACH(edits_in_place_and_pointers_stay),
        SHELF_FOR_EACH(prefetch_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every backend keeps the contract of backend.h: one suite, run for each of them. */
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

/* A fresh backend of the class under test, over all groups. */
struct fixture {
    struct shelf shelf;
    const struct backend_class *verbs;
    struct backend *backend;
};

static void begin(struct fixture *it, void **state)
{
    shelf_init(&it->shelf);
    it->verbs = *state;
    it->backend = shelf_open(&it->shelf, it->verbs, shelf_all_groups(), NULL, 0);
}

static void end(struct fixture *it)
{
    if (it->backend != NULL)
        shelf_close(it->backend);
    shelf_release(&it->shelf);
}

/* Snapshot, close, open again from it over the same groups. */
static void restart(struct fixture *it)
{
    struct shelf_part part;
    shelf_snapshot(&it->shelf, it->backend, shelf_all_groups(), &part);
    shelf_close(it->backend);
    it->shelf.attempt++;
    it->backend = shelf_open(&it->shelf, it->verbs, shelf_all_groups(), &part, 1);
    shelf_part_release(&part);
}

static void expect_row(struct fixture *it, const struct row_key *row, const char *prefix,
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
    struct fixture it;
    begin(&it, state);
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
    end(&it);
}

static void an_empty_value_is_a_value(void **state)
{
    struct fixture it;
    begin(&it, state);
    struct row_key row = shelf_row(0, "a");
    shelf_put(it.backend, &row, str(""), str(""));
    shelf_put(it.backend, &row, str("x"), str(""));
    shelf_expect(it.backend, &row, "", "");
    shelf_expect(it.backend, &row, "x", "");
    restart(&it);
    shelf_expect(it.backend, &row, "", "");
    shelf_expect(it.backend, &row, "x", "");
    end(&it);
}

static void removes_entries_alone(void **state)
{
    struct fixture it;
    begin(&it, state);
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
    end(&it);
}

static void clears_one_row_only(void **state)
{
    struct fixture it;
    begin(&it, state);
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
    restart(&it);
    expect_row(&it, &row, "", "7=again");
    expect_row(&it, &longer, "", "1=kept");
    shelf_clear(it.backend, &row);
    shelf_clear(it.backend, &row);
    expect_row(&it, &row, "", "");
    end(&it);
}

static void iterates_in_byte_order(void **state)
{
    struct fixture it;
    begin(&it, state);
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
        restart(&it);
    }
    end(&it);
}

static void names_may_hold_any_bytes(void **state)
{
    struct fixture it;
    begin(&it, state);
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
    end(&it);
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
    struct fixture it;
    begin(&it, state);
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
    end(&it);
}

struct nested {
    struct fixture *it;
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
    struct fixture it;
    begin(&it, state);
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
    end(&it);
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
    struct fixture it;
    begin(&it, state);
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
    restart(&it);
    struct ascending half = { .next = BIG_ROW / 2 };
    shelf_ok(it.verbs->each(it.backend, &row, str(""), expect_ascending, &half));
    assert_int_equal(half.count, BIG_ROW / 2);
    shelf_clear(it.backend, &row);
    expect_row(&it, &row, "", "");
    end(&it);
}

static void a_value_may_have_a_mebibyte(void **state)
{
    struct fixture it;
    begin(&it, state);
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
    restart(&it);
    assert_true(weir_str_equal(shelf_get(it.backend, &row, str("")), value));
    assert_true(weir_str_equal(shelf_get(it.backend, &row, str("x")), value));
    shelf_expect(it.backend, &row, "y", "small");
    mem_free(bytes);
    end(&it);
}

/* -- scan ----------------------------------------------------------------------------------- */

static void scan_gives_every_row_of_one_state(void **state)
{
    struct fixture it;
    begin(&it, state);
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
    end(&it);
}

/* -- snapshots ------------------------------------------------------------------------------ */

static void fill(struct backend *backend, struct group_range groups, int from, int to)
{
    char key[32], value[32];
    for (int i = from; i < to; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        snprintf(value, sizeof(value), "value-%d", i);
        struct row_key a = shelf_row(0, key), b = shelf_row(1, key);
        if (!group_range_has(groups, a.group))
            continue;
        shelf_put(backend, &a, str(""), str(value));
        shelf_put(backend, &b, str(value), str(key));
        shelf_put(backend, &b, str("other"), str("x"));
    }
}

/* What states 0 and 1 hold, as one text. */
static char *contents(struct backend *backend)
{
    char *a = shelf_dump(backend, 0), *b = shelf_dump(backend, 1);
    char *text = mem_printf("%s--\n%s", a, b);
    mem_free(a);
    mem_free(b);
    return text;
}

static void expect_contents(struct backend *backend, const char *expected)
{
    char *text = contents(backend);
    if (strcmp(text, expected) != 0)
        fail_msg("contents differ: %zu bytes instead of %zu", strlen(text), strlen(expected));
    mem_free(text);
}

static void an_empty_snapshot_restores_empty(void **state)
{
    struct fixture it;
    begin(&it, state);
    restart(&it);
    expect_contents(it.backend, "--\n");
    restart(&it);
    expect_contents(it.backend, "--\n");
    end(&it);
}

static void restores_what_was_there(void **state)
{
    struct fixture it;
    begin(&it, state);
    for (int round = 0; round < 4; round++) {
        fill(it.backend, shelf_all_groups(), round * 300, round * 300 + 500);
        char *expected = contents(it.backend);
        restart(&it);
        expect_contents(it.backend, expected);
        mem_free(expected);
    }
    end(&it);
}

static void a_snapshot_is_frozen_at_its_barrier(void **state)
{
    struct fixture it;
    begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 500);
    char *expected = contents(it.backend);
    struct backend_snapshot *snapshot;
    shelf_ok(it.verbs->snapshot(it.backend, 1, &snapshot));
    struct row_key row = shelf_row(0, "key-3"), gone = shelf_row(1, "key-4");
    shelf_put(it.backend, &row, str(""), str("later"));
    shelf_clear(it.backend, &gone);
    fill(it.backend, shelf_all_groups(), 500, 900);
    struct shelf_part part = { .groups = shelf_all_groups() };
    arena_init(&part.arena, 4096, 64 << 20);
    shelf_ok(it.verbs->snapshot_write(snapshot, &part.arena, &part.files, &part.file_count));
    it.verbs->snapshot_free(snapshot);
    shelf_expect(it.backend, &row, "", "later");
    shelf_close(it.backend);
    it.backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1);
    expect_contents(it.backend, expected);
    mem_free(expected);
    shelf_part_release(&part);
    end(&it);
}

static void a_snapshot_may_be_thrown_away(void **state)
{
    struct fixture it;
    begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 50);
    char *expected = contents(it.backend);
    struct backend_snapshot *snapshot;
    shelf_ok(it.verbs->snapshot(it.backend, 1, &snapshot));
    it.verbs->snapshot_free(snapshot);
    expect_contents(it.backend, expected);
    restart(&it);
    expect_contents(it.backend, expected);
    mem_free(expected);
    end(&it);
}

/* Older checkpoints stay good while newer ones are made. */
static void every_retained_checkpoint_can_be_restored(void **state)
{
    struct fixture it;
    begin(&it, state);
    struct shelf_part parts[4];
    char *expected[4];
    for (int i = 0; i < 4; i++) {
        fill(it.backend, shelf_all_groups(), i * 400, i * 400 + 600);
        expected[i] = contents(it.backend);
        shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &parts[i]);
    }
    shelf_close(it.backend);
    for (int i = 0; i < 4; i++) {
        it.shelf.attempt++;
        it.backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), &parts[i], 1);
        expect_contents(it.backend, expected[i]);
        fill(it.backend, shelf_all_groups(), 5000, 5100); /* must not touch stored files */
        struct shelf_part more;
        shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &more);
        shelf_part_release(&more);
        shelf_close(it.backend);
    }
    it.backend = NULL;
    for (int i = 0; i < 4; i++) {
        mem_free(expected[i]);
        shelf_part_release(&parts[i]);
    }
    end(&it);
}

/* Opens `count` backends over all groups from parts, snapshots and closes them; parts become theirs. */
static void rescale(struct fixture *it, struct shelf_part *parts, uint32_t *part_count,
    uint32_t count, const char *expected)
{
    struct shelf_part next[SHELF_MAX_PARALLELISM];
    char *whole[2] = { mem_strdup(""), mem_strdup("") };
    for (uint32_t i = 0; i < count; i++) {
        struct group_range groups = key_group_range(i, count, SHELF_MAX_PARALLELISM);
        struct backend *backend = shelf_open(&it->shelf, it->verbs, groups, parts, *part_count);
        for (uint32_t number = 0; number < 2; number++) {
            char *text = shelf_dump(backend, number);
            char *both = mem_printf("%s%s", whole[number], text);
            mem_free(text);
            mem_free(whole[number]);
            whole[number] = both;
        }
        shelf_snapshot(&it->shelf, backend, groups, &next[i]);
        shelf_close(backend);
    }
    for (uint32_t i = 0; i < *part_count; i++)
        shelf_part_release(&parts[i]);
    for (uint32_t i = 0; i < count; i++) /* in no particular order */
        parts[i] = next[count - 1 - i];
    *part_count = count;
    assert_int_equal(strlen(whole[0]) + 3 + strlen(whole[1]), strlen(expected));
    mem_free(whole[0]);
    mem_free(whole[1]);
}

static void moves_key_groups_between_subtasks(void **state)
{
    struct fixture it;
    begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 2000);
    char *expected = contents(it.backend);
    struct shelf_part parts[SHELF_MAX_PARALLELISM];
    uint32_t part_count = 1;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &parts[0]);
    shelf_close(it.backend);
    const uint32_t parallelisms[] = { 2, 3, 1, 16, 5, 1 };
    for (size_t i = 0; i < sizeof(parallelisms) / sizeof(parallelisms[0]); i++) {
        it.shelf.attempt++;
        rescale(&it, parts, &part_count, parallelisms[i], expected);
    }
    it.backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), parts, part_count);
    expect_contents(it.backend, expected);
    shelf_part_release(&parts[0]);
    mem_free(expected);
    end(&it);
}

/* -- trouble -------------------------------------------------------------------------------- */

static void refuses_sources_that_do_not_cover_its_groups(void **state)
{
    struct fixture it;
    begin(&it, state);
    struct shelf_part parts[2];
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &parts[0]);
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &parts[1]);
    shelf_fails(shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), parts, 2), WEIR_E_STATE,
        "key group 0 is in more than one");
    parts[0].groups.last = 4;
    parts[1].groups.first = 6;
    shelf_fails(shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), parts, 2), WEIR_E_STATE,
        "key group 5 is in none");
    shelf_part_release(&parts[0]);
    shelf_part_release(&parts[1]);
    end(&it);
}

static void refuses_the_files_of_another_backend(void **state)
{
    struct fixture it;
    begin(&it, state);
    const struct backend_class *other =
        it.verbs == &backend_hashmap ? &backend_rocksdb : &backend_hashmap;
    fill(it.backend, shelf_all_groups(), 0, 10);
    struct shelf_part part;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    weir_error *error = shelf_try_open(&it.shelf, other, shelf_all_groups(), &part, 1);
    assert_non_null(error);
    weir_error_free(error);
    shelf_part_release(&part);
    end(&it);
}

enum damage { FLIP_FIRST, FLIP_MIDDLE, FLIP_LAST, TRUNCATE, APPEND, REMOVE, DAMAGE_COUNT };

static void inflict(enum damage damage, const char *path)
{
    char *bytes;
    size_t size;
    if (damage == REMOVE) {
        shelf_ok(os_remove(path));
        return;
    }
    shelf_ok(os_read_file(path, 64 << 20, &bytes, &size));
    assert_true(size > 0);
    if (damage == FLIP_FIRST || damage == FLIP_MIDDLE || damage == FLIP_LAST)
        bytes[damage == FLIP_FIRST ? 0 : damage == FLIP_MIDDLE ? size / 2 : size - 1] ^= 1;
    /* a new inode: the old one may be linked to other places */
    shelf_ok(os_write_file(path, bytes,
        damage == TRUNCATE ? size - 1
        : damage == APPEND ? size + 1
                           : size));
    mem_free(bytes);
}

static void names_the_damaged_file(void **state)
{
    struct fixture it;
    begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 300);
    struct shelf_part part;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    struct group_range half = { .first = 0, .last = 7 };
    for (uint32_t i = 0; i < part.file_count; i++) {
        char *path = shelf_path(&it.shelf, &part.files[i]);
        char *bytes;
        size_t size;
        shelf_ok(os_read_file(path, 64 << 20, &bytes, &size));
        for (int damage = 0; damage < DAMAGE_COUNT && size > 0; damage++) {
            inflict((enum damage)damage, path);
            shelf_fails(shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1),
                WEIR_E_CORRUPT, part.files[i].path);
            shelf_fails(shelf_try_open(&it.shelf, it.verbs, half, &part, 1), WEIR_E_CORRUPT,
                part.files[i].path);
            shelf_ok(os_write_file(path, bytes, size));
        }
        mem_free(bytes);
        mem_free(path);
    }
    shelf_close(it.backend);
    it.backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1);
    struct row_key row = shelf_row(0, "key-299");
    shelf_expect(it.backend, &row, "", "value-299");
    shelf_part_release(&part);
    end(&it);
}

static void a_list_without_files_is_corrupt(void **state)
{
    struct fixture it;
    begin(&it, state);
    struct shelf_part part = { .groups = shelf_all_groups() };
    weir_error *error = shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1);
    assert_non_null(error);
    weir_error_free(error);
    end(&it);
}

static void a_list_must_not_lead_out_of_the_directory(void **state)
{
    struct fixture it;
    begin(&it, state);
    struct shelf_part part;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    const char *path = part.files[0].path;
    const char *bad[] = { "/etc/passwd", "../x", "shared/../../x", "..", "shared/..", "" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        part.files[0].path = bad[i];
        shelf_fails(shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1),
            WEIR_E_CORRUPT, "no path inside");
    }
    part.files[0].path = path;
    shelf_part_release(&part);
    end(&it);
}

/* -- failing disks --------------------------------------------------------------------------- */

/* The n-th call of the table from now on fails with this errno value; 0: none. */
static struct {
    uint32_t countdown;
    int error;
} fault;

static int faulty(void)
{
    return fault.countdown > 0 && --fault.countdown == 0 ? fault.error : 0;
}

static int faulty_open(const char *path, enum os_open_mode mode, void **handle)
{
    int error = faulty();
    return error != 0 ? error : os_linux.open(path, mode, handle);
}
static int faulty_read_at(void *handle, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    int error = faulty();
    return error != 0 ? error : os_linux.read_at(handle, offset, bytes, size, got);
}
static int faulty_write(void *handle, const void *bytes, size_t size, size_t *written)
{
    int error = faulty();
    return error != 0 ? error : os_linux.write(handle, bytes, size, written);
}
static int faulty_sync(void *handle)
{
    int error = faulty();
    return error != 0 ? error : os_linux.sync(handle);
}
static int faulty_sync_dir(const char *path)
{
    int error = faulty();
    return error != 0 ? error : os_linux.sync_dir(path);
}
static int faulty_rename(const char *from, const char *to)
{
    int error = faulty();
    return error != 0 ? error : os_linux.rename(from, to);
}
static int faulty_stat(const char *path, struct os_stat *stat)
{
    int error = faulty();
    return error != 0 ? error : os_linux.stat(path, stat);
}
static int faulty_list(const char *path, char ***names, uint32_t *count)
{
    int error = faulty();
    return error != 0 ? error : os_linux.list(path, names, count);
}
static int no_links(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return 18; /* EXDEV */
}

static struct os faulty_os(void)
{
    struct os os = os_linux;
    os.open = faulty_open;
    os.read_at = faulty_read_at;
    os.write = faulty_write;
    os.sync = faulty_sync;
    os.sync_dir = faulty_sync_dir;
    os.rename = faulty_rename;
    os.stat = faulty_stat;
    os.list = faulty_list;
    return os;
}

/* Whatever call fails while a snapshot is written, it is an error, and the next snapshot is good. */
static void a_failing_disk_fails_the_snapshot_only(void **state)
{
    struct fixture it;
    begin(&it, state);
    struct os os = faulty_os();
    uint32_t failures = 0;
    for (uint32_t nth = 1;; nth++) {
        fill(it.backend, shelf_all_groups(), (int)nth * 20, (int)nth * 20 + 20);
        struct shelf_part part;
        fault.countdown = nth;
        fault.error = nth % 2 == 0 ? 28 : 5; /* ENOSPC, EIO */
        os_current = &os;
        weir_error *error = shelf_try_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
        os_current = &os_linux;
        bool is_over = fault.countdown > 0;
        fault.countdown = 0;
        if (error != NULL) {
            failures++;
            enum weir_code code = weir_error_code(error);
            assert_true(code == WEIR_E_IO || code == WEIR_E_DISK_FULL);
        }
        weir_error_free(error);
        shelf_part_release(&part);
        if (is_over)
            break;
    }
    assert_true(failures >= 5);
    char *expected = contents(it.backend);
    restart(&it);
    expect_contents(it.backend, expected);
    mem_free(expected);
    end(&it);
}

static void a_failing_disk_fails_the_restore(void **state)
{
    struct fixture it;
    begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 100);
    struct shelf_part part;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    struct os os = faulty_os();
    uint32_t failures = 0;
    for (uint32_t nth = 1;; nth++) {
        fault.countdown = nth;
        fault.error = 5;
        os_current = &os;
        weir_error *error = shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1);
        os_current = &os_linux;
        bool is_over = fault.countdown > 0;
        fault.countdown = 0;
        failures += error != NULL;
        weir_error_free(error);
        if (is_over)
            break;
    }
    assert_true(failures >= 3);
    shelf_part_release(&part);
    end(&it);
}

static void copies_when_it_cannot_link(void **state)
{
    struct fixture it;
    begin(&it, state);
    struct os os = os_linux;
    os.link = no_links;
    os_current = &os;
    fill(it.backend, shelf_all_groups(), 0, 500);
    char *expected = contents(it.backend);
    restart(&it);
    expect_contents(it.backend, expected);
    os_current = &os_linux;
    mem_free(expected);
    end(&it);
}

/* -- expiry --------------------------------------------------------------------------------- */

static weir_str expiring(int64_t expires_ms, char bytes[9])
{
    memcpy(bytes, &expires_ms, 8);
    bytes[8] = 'v';
    return (weir_str){ .data = bytes, .size = 9 };
}

/* Drops nothing too early, whatever it drops. */
static void expiry_leaves_what_may_still_be_read(void **state)
{
    struct fixture it;
    begin(&it, state);
    char key[32], bytes[9];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        struct row_key a = shelf_row(0, key), b = shelf_row(1, key), c = shelf_row(2, key);
        shelf_put(it.backend, &a, str(""), expiring(i, bytes));
        shelf_put(it.backend, &b, str("x"), expiring(i, bytes));
        shelf_put(it.backend, &c, str(""), expiring(i, bytes));
    }
    struct backend_expiry expiry = { .processing_states = 1,
        .event_states = 2,
        .now_ms = 1000,
        .watermark_ms = 2000 };
    for (int i = 0; i < 3000; i++)
        it.verbs->expire(it.backend, &expiry);
    restart(&it);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        struct row_key a = shelf_row(0, key), b = shelf_row(1, key), c = shelf_row(2, key);
        if (i >= 1000)
            assert_non_null(shelf_get(it.backend, &a, str("")).data);
        if (i >= 2000)
            assert_non_null(shelf_get(it.backend, &b, str("x")).data);
        assert_non_null(shelf_get(it.backend, &c, str("")).data);
    }
    end(&it);
}

/* -- what the hashmap promises more ---------------------------------------------------------- */

static void edits_in_place_and_pointers_stay(void **state)
{
    struct fixture it;
    begin(&it, state);
    void *first, *again;
    bool is_new;
    struct row_key row = shelf_row(0, "a");
    if (it.verbs->edit == NULL) {
        end(&it);
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
    fill(it.backend, shelf_all_groups(), 0, 5000); /* the table grows */
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
    end(&it);
}

static void prefetch_changes_nothing(void **state)
{
    struct fixture it;
    begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 100);
    struct row_key rows[3] = { shelf_row(0, "key-1"), shelf_row(0, "none"), shelf_row(1, "key-2") };
    if (it.verbs->prefetch != NULL)
        it.verbs->prefetch(it.backend, rows, 3);
    shelf_expect(it.backend, &rows[0], "", "value-1");
    end(&it);
}

#define FOR_EACH_BACKEND(test_) \
    { "hashmap: " #test_, test_, NULL, NULL, (void *)(uintptr_t)&backend_hashmap }, \
    { \
        "rocksdb: " #test_, test_, NULL, NULL, (void *)(uintptr_t)&backend_rocksdb \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOR_EACH_BACKEND(is_found_by_its_name),
        FOR_EACH_BACKEND(gets_what_was_put),
        FOR_EACH_BACKEND(an_empty_value_is_a_value),
        FOR_EACH_BACKEND(removes_entries_alone),
        FOR_EACH_BACKEND(clears_one_row_only),
        FOR_EACH_BACKEND(iterates_in_byte_order),
        FOR_EACH_BACKEND(names_may_hold_any_bytes),
        FOR_EACH_BACKEND(a_callback_stops_the_iteration),
        FOR_EACH_BACKEND(a_callback_may_use_other_rows),
        FOR_EACH_BACKEND(a_row_may_have_many_entries),
        FOR_EACH_BACKEND(a_value_may_have_a_mebibyte),
        FOR_EACH_BACKEND(scan_gives_every_row_of_one_state),
        FOR_EACH_BACKEND(an_empty_snapshot_restores_empty),
        FOR_EACH_BACKEND(restores_what_was_there),
        FOR_EACH_BACKEND(a_snapshot_is_frozen_at_its_barrier),
        FOR_EACH_BACKEND(a_snapshot_may_be_thrown_away),
        FOR_EACH_BACKEND(every_retained_checkpoint_can_be_restored),
        FOR_EACH_BACKEND(moves_key_groups_between_subtasks),
        FOR_EACH_BACKEND(refuses_sources_that_do_not_cover_its_groups),
        FOR_EACH_BACKEND(refuses_the_files_of_another_backend),
        FOR_EACH_BACKEND(names_the_damaged_file),
        FOR_EACH_BACKEND(a_list_without_files_is_corrupt),
        FOR_EACH_BACKEND(a_list_must_not_lead_out_of_the_directory),
        FOR_EACH_BACKEND(a_failing_disk_fails_the_snapshot_only),
        FOR_EACH_BACKEND(a_failing_disk_fails_the_restore),
        FOR_EACH_BACKEND(copies_when_it_cannot_link),
        FOR_EACH_BACKEND(expiry_leaves_what_may_still_be_read),
        FOR_EACH_BACKEND(edits_in_place_and_pointers_stay),
        FOR_EACH_BACKEND(prefetch_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

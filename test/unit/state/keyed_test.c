/* Typed state behaves the same on every backend: values, maps, lists, reducing, errors. Time to live:
 * keyed_ttl_test.c. */
#include "base/buffer.h"
#include "test/support/keyed_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static weir_str str(const char *text)
{
    return weir_str_of(text);
}

/* -- values --------------------------------------------------------------------------------- */

static void an_edit_starts_zeroed_and_is_kept(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    struct profile *profile = keyed_edit(it.keyed, FIXED, str(""));
    struct profile zero = { 0 };
    assert_memory_equal(profile, &zero, sizeof(zero));
    profile->visits = 7;
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "b");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    keyed_fixture_commit(&it);
    keyed_fixture_restart(&it);
    keyed_fixture_key_is(&it, "a");
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, FIXED, str("")))->visits, 7);
    keyed_fixture_commit(&it);
    keyed_fixture_end(&it);
}

static void an_edit_without_a_change_still_makes_the_entry(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    keyed_fixture_key_is(&it, "a");
    keyed_edit(it.keyed, FIXED, str(""));
    keyed_edit(it.keyed, NOTE, str(""));
    keyed_fixture_commit(&it);
    keyed_fixture_restart(&it);
    keyed_fixture_key_is(&it, "a");
    assert_non_null(keyed_read(it.keyed, FIXED, str("")));
    const struct note *note = keyed_read(it.keyed, NOTE, str(""));
    assert_non_null(note);
    assert_null(note->title.data);
    keyed_fixture_end(&it);
}

static void editing_twice_gives_the_same_pointer(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    for (int round = 0; round < 3; round++) {
        keyed_fixture_key_is(&it, "a");
        struct profile *fixed = keyed_edit(it.keyed, FIXED, str(""));
        struct note *note = keyed_edit(it.keyed, NOTE, str(""));
        struct profile *entry = keyed_edit(it.keyed, MAP, str("x"));
        fixed->visits++;
        note->count++;
        entry->visits++;
        char name[32];
        for (int i = 0; i < 200; i++) { /* entries in between do not move them */
            snprintf(name, sizeof(name), "y%d", i);
            ((struct profile *)keyed_edit(it.keyed, MAP, str(name)))->visits = i;
            ((struct note *)keyed_edit(it.keyed, NOTES, str(name)))->count = i;
        }
        assert_ptr_equal(keyed_edit(it.keyed, FIXED, str("")), fixed);
        assert_ptr_equal(keyed_edit(it.keyed, NOTE, str("")), note);
        assert_ptr_equal(keyed_edit(it.keyed, MAP, str("x")), entry);
        assert_int_equal(fixed->visits, round + 1);
        assert_int_equal(note->count, round + 1);
        assert_int_equal(entry->visits, round + 1);
        for (int i = 0; i < 200; i++) {
            snprintf(name, sizeof(name), "y%d", i);
            assert_int_equal(((struct note *)keyed_edit(it.keyed, NOTES, str(name)))->count, i);
        }
        keyed_fixture_commit(&it);
    }
    keyed_fixture_end(&it);
}

static void a_read_sees_the_edit(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    for (int round = 0; round < 2; round++) {
        keyed_fixture_key_is(&it, "a");
        const struct profile *before = keyed_read(it.keyed, FIXED, str(""));
        assert_true((before == NULL) == (round == 0));
        struct profile *fixed = keyed_edit(it.keyed, FIXED, str(""));
        fixed->visits += 5;
        const struct profile *after = keyed_read(it.keyed, FIXED, str(""));
        assert_int_equal(after->visits, fixed->visits);
        if (before != NULL)
            assert_int_equal(before->visits, fixed->visits);
        struct note *note = keyed_edit(it.keyed, NOTE, str(""));
        note->title = WEIR_STR("hello");
        assert_true(
            weir_str_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->title,
                str("hello")));
        keyed_fixture_commit(&it);
    }
    keyed_fixture_end(&it);
}

static void strings_are_copied_at_the_commit(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    char text[64];
    keyed_fixture_key_is(&it, "a");
    struct note *note = keyed_edit(it.keyed, NOTE, str(""));
    snprintf(text, sizeof(text), "the first text");
    note->text = str(text);
    note->title = WEIR_STR("");
    keyed_fixture_commit(&it);
    memset(text, 'x', sizeof(text));
    keyed_fixture_key_is(&it, "b");
    ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->title = WEIR_STR("other");
    keyed_fixture_commit(&it);
    keyed_fixture_restart(&it);
    keyed_fixture_key_is(&it, "a");
    const struct note *read = keyed_read(it.keyed, NOTE, str(""));
    assert_true(weir_str_equal(read->text, str("the first text")));
    assert_non_null(read->title.data); /* empty is not NULL */
    assert_int_equal(read->title.size, 0);
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    note = keyed_edit(it.keyed, NOTE, str(""));
    note->title = note->text; /* a string of the record itself */
    note->text = (weir_str){ 0 };
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    read = keyed_read(it.keyed, NOTE, str(""));
    assert_true(weir_str_equal(read->title, str("the first text")));
    assert_null(read->text.data);
    keyed_fixture_end(&it);
}

/* A string taken from another entry stays good although that entry is removed meanwhile. */
static void strings_may_move_from_a_removed_entry(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    keyed_fixture_key_is(&it, "a");
    ((struct note *)keyed_edit(it.keyed, NOTES, str("old")))->text = WEIR_STR("carried over");
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    const struct note *old = keyed_read(it.keyed, NOTES, str("old"));
    struct note *new = keyed_edit(it.keyed, NOTES, str("new"));
    new->text = old->text;
    keyed_remove(it.keyed, NOTES, str("old"));
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, NOTES, str("old")));
    new = keyed_edit(it.keyed, NOTES, str("new"));
    assert_true(weir_str_equal(new->text, str("carried over")));
    keyed_fixture_end(&it);
}

static void removed_and_cleared_state_is_gone(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    const uint32_t numbers[] = { FIXED, NOTE, SUM };
    for (size_t i = 0; i < 3; i++) {
        keyed_fixture_key_is(&it, "a");
        keyed_edit(it.keyed, numbers[i], str(""));
        keyed_fixture_commit(&it);
        keyed_fixture_key_is(&it, "a");
        assert_non_null(keyed_read(it.keyed, numbers[i], str("")));
        keyed_clear(it.keyed, numbers[i]);
        assert_null(keyed_read(it.keyed, numbers[i], str("")));
        keyed_fixture_commit(&it);
        keyed_fixture_key_is(&it, "a");
        assert_null(keyed_read(it.keyed, numbers[i], str("")));
        keyed_edit(it.keyed, numbers[i], str("")); /* edited and cleared in one callback */
        keyed_clear(it.keyed, numbers[i]);
        keyed_fixture_commit(&it);
        keyed_fixture_key_is(&it, "a");
        assert_null(keyed_read(it.keyed, numbers[i], str("")));
        keyed_clear(it.keyed, numbers[i]); /* cleared, then edited: zeroed */
        keyed_edit(it.keyed, numbers[i], str(""));
        keyed_fixture_commit(&it);
        keyed_fixture_key_is(&it, "a");
        assert_non_null(keyed_read(it.keyed, numbers[i], str("")));
        keyed_fixture_commit(&it);
    }
    keyed_fixture_key_is(&it, "a");
    ((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits = 9;
    keyed_clear(it.keyed, FIXED);
    assert_int_equal(((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits, 0);
    ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->count = 9;
    keyed_clear(it.keyed, NOTE);
    assert_int_equal(((struct note *)keyed_edit(it.keyed, NOTE, str("")))->count, 0);
    keyed_fixture_end(&it);
}

/* -- maps ----------------------------------------------------------------------------------- */

static void each_goes_in_byte_order_and_sees_edits(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    const uint32_t maps[] = { MAP, NOTES };
    for (size_t i = 0; i < 2; i++) {
        const char *names[] = { "b", "a1", "", "a2", "c" };
        keyed_fixture_key_is(&it, "k");
        for (int n = 0; n < 5; n++) {
            if (maps[i] == MAP)
                ((struct profile *)keyed_edit(it.keyed, MAP, str(names[n])))->visits = n;
            else
                *(struct note *)keyed_edit(it.keyed, NOTES, str(names[n])) =
                    (struct note){ .count = n, .title = str(names[n]) };
        }
        for (int round = 0; round < 2; round++) {
            keyed_fixture_expect(&it, maps[i], "",
                maps[i] == MAP ? ":2 a1:1 a2:3 b:0 c:4 " : ":2/ a1:1/a1 a2:3/a2 b:0/b c:4/c ");
            keyed_fixture_expect(&it, maps[i], "a",
                maps[i] == MAP ? "a1:1 a2:3 " : "a1:1/a1 a2:3/a2 ");
            keyed_fixture_commit(&it);
            keyed_fixture_key_is(&it, "k");
        }
        keyed_remove(it.keyed, maps[i], str("a1"));
        if (maps[i] == MAP)
            ((struct profile *)keyed_edit(it.keyed, MAP, str("b")))->visits = 70;
        else
            ((struct note *)keyed_edit(it.keyed, NOTES, str("b")))->count = 70;
        keyed_fixture_expect(&it, maps[i], "",
            maps[i] == MAP ? ":2 a2:3 b:70 c:4 " : ":2/ a2:3/a2 b:70/b c:4/c ");
        if (maps[i] == NOTES) /* an edit through the old pointer, after each has seen it */
            ((struct note *)keyed_edit(it.keyed, NOTES, str("b")))->count = 71;
        keyed_fixture_commit(&it);
        keyed_fixture_key_is(&it, "k");
        keyed_fixture_expect(&it, maps[i], "b", maps[i] == MAP ? "b:70 " : "b:71/b ");
        keyed_clear(it.keyed, maps[i]);
        keyed_fixture_expect(&it, maps[i], "", "");
        assert_null(keyed_read(it.keyed, maps[i], str("c")));
        keyed_fixture_commit(&it);
        keyed_fixture_key_is(&it, "k");
        keyed_fixture_expect(&it, maps[i], "", "");
    }
    keyed_fixture_end(&it);
}

struct visit {
    struct keyed_fixture *it;
    int count;
};

static bool edit_others(void *arg, weir_str entry, const void *value)
{
    struct visit *visit = arg;
    struct keyed *keyed = visit->it->keyed;
    const struct note *note = value;
    int64_t count = note->count;
    ((struct profile *)keyed_edit(keyed, FIXED, str("")))->visits += note->count;
    struct note *longest = keyed_edit(keyed, NOTE, str(""));
    longest->count++;
    assert_null(keyed_read(keyed, MAP, str("nothing")));
    keyed_fixture_expect(visit->it, LIST, "", ""); /* an iteration inside one */
    keyed_list_add(keyed, NOTE_LIST, note);
    assert_int_equal(note->count, count);
    assert_true(weir_str_equal(note->title, entry));
    return ++visit->count < 3;
}

static void each_may_edit_other_states_and_stop(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    keyed_fixture_key_is(&it, "k");
    const char *names[] = { "p", "q", "r", "s" };
    for (int i = 0; i < 4; i++)
        *(struct note *)keyed_edit(it.keyed, NOTES, str(names[i])) =
            (struct note){ .count = i + 1, .title = str(names[i]) };
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "k");
    struct visit visit = { .it = &it };
    keyed_each(it.keyed, NOTES, str(""), edit_others, &visit);
    assert_int_equal(visit.count, 3);
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "k");
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, FIXED, str("")))->visits, 6);
    assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->count, 3);
    keyed_fixture_expect(&it, NOTE_LIST, "", ":1/p :2/q :3/r ");
    keyed_fixture_end(&it);
}

static void one_callback_may_touch_many_entries(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    const int count = 20000;
    char name[32];
    for (int round = 0; round < 2; round++) {
        keyed_fixture_key_is(&it, "k");
        for (int i = 0; i < count; i++) {
            snprintf(name, sizeof(name), "%d", i * 7919 % count);
            ((struct note *)keyed_edit(it.keyed, NOTES, str(name)))->count++;
        }
        keyed_fixture_commit(&it);
    }
    keyed_fixture_key_is(&it, "k");
    for (int i = 0; i < count; i += 37) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTES, str(name)))->count, 2);
    }
    keyed_fixture_end(&it);
}

/* -- lists ---------------------------------------------------------------------------------- */

static void lists_keep_the_order_of_adding(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    for (int64_t i = 0; i < 6; i++) {
        keyed_fixture_key_is(&it, i % 2 == 0 ? "a" : "b");
        keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = i });
        keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = i * 10 });
        char title[8] = { (char)('a' + i), '\0' };
        keyed_list_add(it.keyed, NOTE_LIST, &(struct note){ .count = i, .title = str(title) });
        title[0] = 'X'; /* copied at once */
        if (i == 5)
            keyed_fixture_expect(&it, LIST, "", ":1 :10 :3 :30 :5 :50 ");
        keyed_fixture_commit(&it);
        if (i == 3)
            keyed_fixture_restart(&it);
    }
    keyed_fixture_key_is(&it, "a");
    keyed_fixture_expect(&it, NOTE_LIST, "", ":0/a :2/c :4/e ");
    keyed_clear(it.keyed, NOTE_LIST);
    keyed_fixture_expect(&it, NOTE_LIST, "", "");
    keyed_list_add(it.keyed, NOTE_LIST, &(struct note){ .count = 77 });
    keyed_fixture_expect(&it, NOTE_LIST, "", ":77/ ");
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    keyed_list_add(it.keyed, NOTE_LIST, &(struct note){ .count = 78 });
    keyed_clear(it.keyed, NOTE_LIST);
    keyed_list_add(it.keyed, NOTE_LIST, &(struct note){ .count = 79 });
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    keyed_fixture_expect(&it, NOTE_LIST, "", ":79/ ");
    keyed_fixture_end(&it);
}

static bool count_elements(void *arg, weir_str entry, const void *value)
{
    (void)entry;
    int64_t *next = arg;
    assert_int_equal(((const struct profile *)value)->visits, *next);
    *next += 1;
    return true;
}

static void a_list_may_be_long(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    const int64_t count = 100000;
    for (int64_t i = 0; i < count;) {
        keyed_fixture_key_is(&it, "a");
        for (int j = 0; j < 1000; j++)
            keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = i++ });
        keyed_fixture_commit(&it);
    }
    keyed_fixture_key_is(&it, "a");
    int64_t next = 0;
    keyed_list_each(it.keyed, LIST, count_elements, &next);
    assert_int_equal(next, count);
    keyed_fixture_end(&it);
}

/* -- reducing ------------------------------------------------------------------------------- */

static void reducing_merges_into_the_first(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    char title[16];
    for (int i = 0; i < 10; i++) {
        keyed_fixture_key_is(&it, "a");
        keyed_reducing_add(it.keyed, SUM, &(struct profile){ .visits = i, .user_id = 3 });
        keyed_reducing_add(it.keyed, SUM, &(struct profile){ .visits = 100 });
        snprintf(title, sizeof(title), "%s", i == 4 ? "the longest" : "short");
        keyed_reducing_add(it.keyed, LONGEST, &(struct note){ .count = 1, .title = str(title) });
        memset(title, 'X', sizeof(title)); /* copied at once */
        keyed_fixture_commit(&it);
    }
    keyed_fixture_restart(&it);
    keyed_fixture_key_is(&it, "a");
    const struct profile *sum = keyed_read(it.keyed, SUM, str(""));
    assert_int_equal(sum->visits, 45 + 1000);
    assert_int_equal(sum->user_id, 3);
    const struct note *note = keyed_read(it.keyed, LONGEST, str(""));
    assert_int_equal(note->count, 10);
    assert_true(weir_str_equal(note->title, str("the longest")));
    keyed_fixture_end(&it);
}

/* -- errors --------------------------------------------------------------------------------- */

static void too_large_a_record_is_a_sticky_error(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    char *text = mem_alloc(WEIR_RECORD_SIZE_MAX);
    keyed_fixture_key_is(&it, "a");
    struct note *note = keyed_edit(it.keyed, NOTE, str(""));
    note->text = (weir_str){ .data = text, .size = WEIR_RECORD_SIZE_MAX };
    shelf_fails(keyed_commit(it.keyed), WEIR_E_LIMIT, "state 'note': a record with its strings");
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    struct profile *profile = keyed_edit(it.keyed, FIXED, str(""));
    assert_int_equal(profile->visits, 0);
    profile->visits = 3;
    assert_int_equal(((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits, 0);
    keyed_reducing_add(it.keyed, SUM, profile);
    keyed_list_add(it.keyed, LIST, profile);
    keyed_clear(it.keyed, MAP);
    keyed_remove(it.keyed, MAP, str("x"));
    keyed_fixture_expect(&it, LIST, "", "");
    shelf_fails(keyed_commit(it.keyed), WEIR_E_STATE, "failed before");
    mem_free(text);
    keyed_fixture_end(&it);
}

static void too_much_in_one_callback_is_an_error(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    weir_str name = { .data = mem_alloc(WEIR_RECORD_SIZE_MAX), .size = WEIR_RECORD_SIZE_MAX };
    keyed_fixture_key_is(&it, "a");
    keyed_edit(it.keyed, NOTES, str("fine"));
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    for (uint32_t i = 0; i < 130; i++) { /* names are copied, too */
        memcpy((char *)(uintptr_t)name.data, &i, sizeof(i));
        ((struct note *)keyed_edit(it.keyed, NOTES, name))->count = 1;
    }
    shelf_fails(keyed_commit(it.keyed), WEIR_E_LIMIT,
        "state 'notes': one callback read and edited");
    mem_free((void *)(uintptr_t)name.data);
    keyed_fixture_end(&it);
}

static void too_long_a_map_key_is_an_error(void **state)
{
    const uint32_t maps[] = { MAP, NOTES };
    for (size_t i = 0; i < 2; i++) {
        struct keyed_fixture it;
        keyed_fixture_begin(&it, state);
        weir_str name = { .data = "never read", .size = WEIR_RECORD_SIZE_MAX + 1 };
        keyed_fixture_key_is(&it, "a");
        keyed_edit(it.keyed, maps[i], name);
        shelf_fails(keyed_commit(it.keyed), WEIR_E_LIMIT, "a map key has 2097153 bytes");
        keyed_fixture_end(&it);
    }
}

static void selecting_keeps_the_error_for_the_commit(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    char *text = mem_alloc(WEIR_RECORD_SIZE_MAX);
    keyed_fixture_key_is(&it, "a");
    keyed_list_add(it.keyed, NOTE_LIST,
        &(struct note){ .text = { .data = text, .size = WEIR_RECORD_SIZE_MAX } });
    keyed_fixture_key_is(&it, "b");
    keyed_edit(it.keyed, FIXED, str(""));
    shelf_fails(keyed_commit(it.keyed), WEIR_E_LIMIT, "state 'note-list'");
    mem_free(text);
    keyed_fixture_end(&it);
}

static void selecting_another_key_commits(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    char key[4] = "a";
    keyed_select(it.keyed, str(key), hash_bytes(key, 1));
    assert_true(weir_str_equal(keyed_key(it.keyed), str("a")));
    ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->count = 1;
    keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = 1 });
    key[0] = 'b'; /* the key was copied */
    assert_true(weir_str_equal(keyed_key(it.keyed), str("a")));
    keyed_select(it.keyed, str(key), hash_bytes(key, 1));
    ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->count = 2;
    keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = 2 });
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->count, 1);
    keyed_fixture_expect(&it, LIST, "", ":1 ");
    keyed_fixture_key_is(&it, "b");
    assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->count, 2);
    keyed_fixture_expect(&it, LIST, "", ":2 ");
    keyed_fixture_end(&it);
}

static void unselecting_commits_and_leaves_no_key(void **state)
{
    struct keyed_fixture it;
    char *key = mem_alloc(5000);
    memset(key, 'k', 4999); /* a long one, too */
    keyed_fixture_begin(&it, state);
    for (int i = 0; i < 2; i++) {
        keyed_fixture_key_is(&it, i == 0 ? "short" : key);
        assert_true(weir_str_equal(keyed_key(it.keyed), str(i == 0 ? "short" : key)));
        assert_int_equal(keyed_hash(it.keyed),
            i == 0 ? hash_bytes("short", 5) : hash_bytes(key, 4999));
        ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->count = i + 1;
        keyed_unselect(it.keyed);
        assert_null(keyed_key(it.keyed).data);
        assert_int_equal(keyed_hash(it.keyed), 0);
    }
    keyed_fixture_restart(&it);
    keyed_fixture_key_is(&it, "short");
    assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->count, 1);
    keyed_fixture_key_is(&it, key);
    assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->count, 2);
    mem_free(key);
    keyed_fixture_end(&it);
}

static void state_without_a_key_is_an_error(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    assert_null(keyed_key(it.keyed).data);
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    shelf_fails(keyed_commit(it.keyed), WEIR_E_STATE, "state 'fixed': it is used while no key");
    keyed_fixture_end(&it);
}

static void a_record_of_another_size_is_corrupt(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    struct row_key row = shelf_row(FIXED, "a"), note = shelf_row(NOTE, "a");
    shelf_put(keyed_backend(it.keyed), &row, str(""), str("short"));
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    shelf_fails(keyed_commit(it.keyed), WEIR_E_CORRUPT,
        "state 'fixed': a stored entry has 5 bytes");
    keyed_free(it.keyed);
    struct backend *backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), NULL, 0);
    it.keyed = keyed_new(backend, keyed_fixture_states, STATE_COUNT, SHELF_MAX_PARALLELISM);
    uint64_t bytes[8] = { 4000, 1, 0, 0, 0 }; /* a string far outside */
    shelf_put(backend, &note, str(""), (weir_str){ .data = (char *)bytes, .size = sizeof(bytes) });
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, NOTE, str("")));
    shelf_fails(keyed_commit(it.keyed), WEIR_E_CORRUPT, "field 'title'");
    keyed_free(it.keyed);
    backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), NULL, 0);
    it.keyed = keyed_new(backend, keyed_fixture_states, STATE_COUNT, SHELF_MAX_PARALLELISM);
    struct row_key list = shelf_row(LIST, "a");
    shelf_put(backend, &list, str(""), str("7 bytes"));
    keyed_fixture_key_is(&it, "a");
    keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = 1 });
    shelf_fails(keyed_commit(it.keyed), WEIR_E_CORRUPT, "the length of a stored list has 7 bytes");
    keyed_fixture_end(&it);
}

/* -- cost ----------------------------------------------------------------------------------- */

static void prefetching_is_only_a_hint(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    struct keyed_next next[KEYED_PREFETCH_MAX];
    char bytes[KEYED_PREFETCH_MAX];
    for (uint32_t i = 0; i < KEYED_PREFETCH_MAX; i++) {
        bytes[i] = (char)i;
        next[i] = (struct keyed_next){ .key = { .data = i % 5 == 0 ? NULL : &bytes[i], .size = 1 },
            .hash = hash_bytes(&bytes[i], 1) };
    }
    keyed_prefetch(it.keyed, next, 0);
    keyed_prefetch(it.keyed, next, KEYED_PREFETCH_MAX);
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    for (uint32_t i = 0; i < 2 * KEYED_PREFETCH_MAX;
         i++) { /* all of them, twice: the second time they are there */
        uint32_t key = i % KEYED_PREFETCH_MAX;
        if (key == 0)
            keyed_prefetch(it.keyed, next, KEYED_PREFETCH_MAX);
        keyed_select(it.keyed, (weir_str){ .data = &bytes[key], .size = 1 }, next[key].hash);
        assert_int_equal(((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits++,
            i / KEYED_PREFETCH_MAX);
        keyed_fixture_commit(&it);
    }
    keyed_fixture_end(&it);
}

static void callbacks_allocate_nothing_once_warm(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    uint64_t before = 0;
    for (int round = 0; round < 200; round++) {
        if (round == 100)
            before = mem_count();
        char key[2] = { (char)('a' + round % 10), '\0' };
        keyed_fixture_key_is(&it, key);
        ((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits++;
        ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->title = WEIR_STR("a title");
        keyed_reducing_add(it.keyed, LONGEST, &(struct note){ .title = WEIR_STR("title") });
        keyed_read(it.keyed, NOTES, str("x"));
        ((struct note *)keyed_edit(it.keyed, NOTES, str("y")))->count++;
        keyed_fixture_commit(&it);
    }
    assert_int_equal(mem_count() - before, 0);
    keyed_fixture_end(&it);
}

/* -- maps in one row ------------------------------------------------------------------------ */

static void set_visits(struct keyed_fixture *it, const char *name, int64_t visits)
{
    ((struct profile *)keyed_edit(it->keyed, MAP, str(name)))->visits = visits;
}

static void set_count(struct keyed_fixture *it, const char *name, int64_t count)
{
    ((struct note *)keyed_edit(it->keyed, NOTES, str(name)))->count = count;
}

/* Names that are equal, empty, or look like a mark of the other map's. */
static const char *const alike[] = { "", "a", "\x03", "\x04", "\x04z" };

static void fill_both(struct keyed_fixture *it)
{
    for (size_t i = 0; i < sizeof(alike) / sizeof(alike[0]); i++) {
        set_visits(it, alike[i], (int64_t)i + 1);
        set_count(it, alike[i], (int64_t)i + 11);
    }
}

static void maps_of_one_key_have_names_of_their_own(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    for (int round = 0; round < 2; round++) {
        keyed_fixture_key_is(&it, "somebody");
        fill_both(&it);
        keyed_fixture_expect(&it, MAP, "", ":1 \x03:3 \x04:4 \x04z:5 a:2 ");
        keyed_fixture_expect(&it, NOTES, "", ":11/ \x03:13/ \x04:14/ \x04z:15/ a:12/ ");
        keyed_fixture_expect(&it, MAP, "\x04", "\x04:4 \x04z:5 ");
        keyed_fixture_expect(&it, NOTES, "\x04", "\x04:14/ \x04z:15/ ");
        keyed_fixture_expect(&it, MAP, "b", "");
        keyed_fixture_commit(&it);
        keyed_fixture_key_is(&it, "somebody else");
        keyed_fixture_expect(&it, MAP, "", "");
        keyed_fixture_restart(&it);
    }
    keyed_fixture_key_is(&it, "somebody");
    keyed_remove(it.keyed, NOTES, str(""));
    keyed_remove(it.keyed, MAP, str("a"));
    assert_null(keyed_read(it.keyed, NOTES, str("")));
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, MAP, str("")))->visits, 1);
    keyed_fixture_expect(&it, MAP, "", ":1 \x03:3 \x04:4 \x04z:5 ");
    keyed_fixture_commit(&it);
    keyed_fixture_restart(&it);
    keyed_fixture_key_is(&it, "somebody");
    keyed_fixture_expect(&it, MAP, "", ":1 \x03:3 \x04:4 \x04z:5 ");
    keyed_fixture_expect(&it, NOTES, "", "\x03:13/ \x04:14/ \x04z:15/ a:12/ ");
    keyed_fixture_end(&it);
}

static void clearing_a_map_leaves_the_others_of_its_row(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    char name[64];
    keyed_fixture_key_is(&it, "somebody");
    for (uint32_t i = 0; i < 5000; i++) { /* more than are removed at once */
        snprintf(name, sizeof(name), "an entry whose name is not short %u", i);
        set_visits(&it, name, i);
        if (i % 1000 == 0)
            set_count(&it, name, i);
    }
    set_visits(&it, "", 7);
    set_count(&it, "", 8);
    keyed_fixture_commit(&it);
    keyed_fixture_restart(&it);
    keyed_fixture_key_is(&it, "somebody");
    keyed_clear(it.keyed, MAP);
    keyed_fixture_expect(&it, MAP, "", "");
    assert_null(keyed_read(it.keyed, MAP, str("")));
    set_visits(&it, "new", 1);
    keyed_fixture_commit(&it);
    keyed_fixture_restart(&it);
    keyed_fixture_key_is(&it, "somebody");
    keyed_fixture_expect(&it, MAP, "", "new:1 ");
    keyed_fixture_expect(&it, NOTES, "an entry whose name is not short 2",
        "an entry whose name is not short 2000:2000/ ");
    keyed_clear(it.keyed, NOTES);
    keyed_fixture_expect(&it, NOTES, "", "");
    keyed_fixture_expect(&it, MAP, "", "new:1 ");
    keyed_fixture_end(&it);
}

struct reading {
    struct keyed_fixture *it;
    uint32_t count;
};

static bool read_other(void *arg, weir_str entry, const void *value)
{
    struct reading *reading = arg;
    const struct note *note = value;
    assert_non_null(keyed_read(reading->it->keyed, MAP, str("far away")));
    assert_non_null(keyed_read(reading->it->keyed, NOTE, str("")));
    assert_true(
        weir_str_equal(note->title, entry.size == 0 ? str("of the row") : str("of an entry")));
    reading->count++;
    return true;
}

/* Also the strings of the entry that has no mark. */
static void what_each_gives_outlasts_reads_of_other_states(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    keyed_fixture_key_is(&it, "somebody");
    ((struct note *)keyed_edit(it.keyed, NOTES, str("")))->title = str("of the row");
    ((struct note *)keyed_edit(it.keyed, NOTES, str("x")))->title = str("of an entry");
    set_visits(&it, "far away", 1);
    keyed_edit(it.keyed, NOTE, str(""));
    keyed_fixture_commit(&it);
    for (int round = 0; round < 2; round++) {
        struct reading reading = { .it = &it };
        keyed_fixture_key_is(&it, "somebody");
        keyed_each(it.keyed, NOTES, str(""), read_other, &reading);
        assert_int_equal(reading.count, 2);
        keyed_fixture_commit(&it);
        keyed_fixture_restart(&it);
    }
    keyed_fixture_end(&it);
}

struct growing {
    struct keyed_fixture *it;
    uint32_t seen;
    bool is_removing;
};

/* Puts names of the other map all around those that are walked over, so that leaves are split, or removes them. */
static bool grow_other(void *arg, weir_str entry, const void *value)
{
    struct growing *growing = arg;
    int64_t visits = ((const struct profile *)value)->visits;
    char name[32];
    assert_int_equal(visits, growing->seen);
    snprintf(name, sizeof(name), "n%04u", growing->seen);
    assert_true(weir_str_equal(entry, str(name)));
    for (uint32_t i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "o%u", growing->seen * 20 + i);
        if (growing->is_removing)
            keyed_remove(growing->it->keyed, NOTES, str(name));
        else
            set_count(growing->it, name, i);
        if (i == 0)
            keyed_fixture_expect(growing->it, NOTES, "nobody", ""); /* writes what was edited */
    }
    growing->seen++;
    return true;
}

/* The map that is walked over is MAP; its row gets 4,000 other entries, and loses them, meanwhile. */
static void each_may_change_other_maps_of_the_row(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    for (int round = 0; round < 3; round++) {
        keyed_fixture_key_is(&it, round == 2 ? "other" : "somebody");
        for (uint32_t i = 0; i < 200; i++) {
            char name[32];
            snprintf(name, sizeof(name), "n%04u", i);
            set_visits(&it, name, i);
        }
        keyed_fixture_commit(&it);
        if (round == 2)
            keyed_fixture_restart(&it);
        keyed_fixture_key_is(&it, round == 2 ? "other" : "somebody");
        struct growing growing = { .it = &it, .is_removing = round == 1 };
        keyed_each(it.keyed, MAP, str("n"), grow_other, &growing);
        assert_int_equal(growing.seen, 200);
        keyed_fixture_commit(&it);
    }
    keyed_fixture_key_is(&it, "somebody");
    keyed_fixture_expect(&it, NOTES, "", "");
    keyed_fixture_key_is(&it, "other");
    keyed_fixture_expect(&it, NOTES, "o399",
        "o399:19/ o3990:10/ o3991:11/ o3992:12/ o3993:13/ "
        "o3994:14/ o3995:15/ o3996:16/ o3997:17/ o3998:18/ "
        "o3999:19/ ");
    keyed_fixture_end(&it);
}

/* -- schema --------------------------------------------------------------------------------- */

struct other_profile {
    uint64_t user_id;
    int64_t visits;
    bool is_new;
    char padding[16];
};
static const struct weir_field other_fields[] = {
    { 1, WEIR_U64, offsetof(struct other_profile, user_id), "user_id" },
    { 2, WEIR_I64, offsetof(struct other_profile, visits), "visits" },
    { 3, WEIR_BOOL, offsetof(struct other_profile, is_new), "is_new" },
};

static void the_schema_is_what_stored_bytes_depend_on(void **state)
{
    const struct weir_type larger = { .name = "profile",
        .size = sizeof(struct other_profile),
        .field_count = 3,
        .fields = other_fields };
    const struct weir_state base = { .name = "p", .kind = WEIR_VALUE, .type = &profile_type };
    struct weir_state same = base, name = base, kind = base, type = base, size = base, ttl = base;
    name.name = "q";
    kind.kind = WEIR_MAP;
    type.type = &note_type;
    size.type = &larger;
    ttl.ttl_ms = 5;
    struct weir_state longer_ttl = ttl, event_ttl = ttl;
    longer_ttl.ttl_ms = 6;
    event_ttl.ttl_time = WEIR_EVENT_TIME;
    uint64_t schema = keyed_schema(&base, 1);
    assert_int_equal(keyed_schema(&same, 1), schema);
    assert_int_not_equal(keyed_schema(&name, 1), schema);
    assert_int_not_equal(keyed_schema(&kind, 1), schema);
    assert_int_not_equal(keyed_schema(&type, 1), schema);
    assert_int_not_equal(keyed_schema(&size, 1), schema);
    assert_int_not_equal(keyed_schema(&ttl, 1), schema);
    assert_int_equal(keyed_schema(&longer_ttl, 1), keyed_schema(&ttl, 1));
    assert_int_not_equal(keyed_schema(&event_ttl, 1), keyed_schema(&ttl, 1));
    assert_int_not_equal(keyed_schema(NULL, 0), schema);
    const struct weir_state two[] = { base, name }, swapped[] = { name, base };
    assert_int_not_equal(keyed_schema(two, 2), keyed_schema(swapped, 2));
    weir_buffer *text = weir_buffer_new(4096);
    struct weir_state list = type, reducing = base;
    list.kind = WEIR_LIST;
    reducing.kind = WEIR_REDUCING;
    const struct weir_state all[] = { base, event_ttl, kind, list, reducing };
    keyed_schema_text(all, 5, text);
    assert_string_equal(buffer_text(text),
        "value p: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, 24 bytes\n"
        "value p with an event-time TTL: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, "
        "24 bytes\n"
        "map p: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, 24 bytes\n"
        "list p: note { 1 title string, 2 count i64, 3 text string }, 40 bytes\n"
        "reducing p: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, 24 bytes\n");
    weir_buffer_free(text);
}

static void the_schema_says_which_maps_share_a_row(void **state)
{
    (void)state;
    struct weir_state map = { .name = "a", .kind = WEIR_MAP, .type = &profile_type };
    struct weir_state maps[3] = { map, map, map };
    maps[0].shares_row = maps[1].shares_row = true;
    uint64_t schema = keyed_schema(maps, 3);
    weir_buffer *text = weir_buffer_new(4096);
    keyed_schema_text(maps, 3, text);
    assert_string_equal(buffer_text(text),
        "map a: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, 24 bytes, in one row with "
        "others\n"
        "map a: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, 24 bytes, in one row with "
        "others\n"
        "map a: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, 24 bytes\n");
    maps[2].shares_row = true;
    assert_int_not_equal(keyed_schema(maps, 3), schema);
    weir_buffer_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHELF_FOR_EACH(an_edit_starts_zeroed_and_is_kept),
        SHELF_FOR_EACH(an_edit_without_a_change_still_makes_the_entry),
        SHELF_FOR_EACH(editing_twice_gives_the_same_pointer),
        SHELF_FOR_EACH(a_read_sees_the_edit),
        SHELF_FOR_EACH(strings_are_copied_at_the_commit),
        SHELF_FOR_EACH(strings_may_move_from_a_removed_entry),
        SHELF_FOR_EACH(removed_and_cleared_state_is_gone),
        SHELF_FOR_EACH(each_goes_in_byte_order_and_sees_edits),
        SHELF_FOR_EACH(each_may_edit_other_states_and_stop),
        SHELF_FOR_EACH(one_callback_may_touch_many_entries),
        SHELF_FOR_EACH(lists_keep_the_order_of_adding),
        SHELF_FOR_EACH(a_list_may_be_long),
        SHELF_FOR_EACH(reducing_merges_into_the_first),
        SHELF_FOR_EACH(too_large_a_record_is_a_sticky_error),
        SHELF_FOR_EACH(too_much_in_one_callback_is_an_error),
        SHELF_FOR_EACH(too_long_a_map_key_is_an_error),
        SHELF_FOR_EACH(selecting_keeps_the_error_for_the_commit),
        SHELF_FOR_EACH(selecting_another_key_commits),
        SHELF_FOR_EACH(unselecting_commits_and_leaves_no_key),
        SHELF_FOR_EACH(state_without_a_key_is_an_error),
        SHELF_FOR_EACH(a_record_of_another_size_is_corrupt),
        SHELF_FOR_EACH(prefetching_is_only_a_hint),
        SHELF_FOR_EACH(callbacks_allocate_nothing_once_warm),
        SHELF_FOR_EACH(maps_of_one_key_have_names_of_their_own),
        SHELF_FOR_EACH(clearing_a_map_leaves_the_others_of_its_row),
        SHELF_FOR_EACH(what_each_gives_outlasts_reads_of_other_states),
        SHELF_FOR_EACH(each_may_change_other_maps_of_the_row),
        cmocka_unit_test(the_schema_is_what_stored_bytes_depend_on),
        cmocka_unit_test(the_schema_says_which_maps_share_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

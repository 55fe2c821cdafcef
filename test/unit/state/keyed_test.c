/* Typed state behaves the same on every backend: values, maps, lists, reducing, time to live. */
#include "state/keyed.h"

#include "base/buffer.h"
#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct profile {
    uint64_t user_id;
    int64_t visits;
    bool is_new;
};
WEIR_TYPE(profile, WEIR_FIELD(1, profile, user_id), WEIR_FIELD(2, profile, visits),
    WEIR_FIELD(3, profile, is_new));

struct note {
    weir_str title;
    int64_t count;
    weir_str text;
};
WEIR_TYPE(note, WEIR_FIELD(1, note, title), WEIR_FIELD(2, note, count), WEIR_FIELD(3, note, text));

static void add_profiles(void *total, const void *value)
{
    struct profile *sum = total;
    sum->visits += ((const struct profile *)value)->visits;
}

/* Keeps the longer title: a string of either side. */
static void longest_title(void *total, const void *value)
{
    struct note *kept = total;
    const struct note *other = value;
    kept->count += other->count;
    if (other->title.size > kept->title.size)
        kept->title = other->title;
}

enum {
    FIXED,
    NOTE,
    MAP,
    NOTES,
    LIST,
    NOTE_LIST,
    SUM,
    LONGEST,
    TTL_FIXED,
    TTL_NOTE,
    TTL_MAP,
    TTL_LIST,
    TTL_SUM,
    STATE_COUNT
};

#define TTL       .ttl_ms = 100, .ttl_time = WEIR_PROCESSING_TIME
#define EVENT_TTL .ttl_ms = 100, .ttl_time = WEIR_EVENT_TIME
static const struct weir_state states[STATE_COUNT] = {
    [FIXED] = { .name = "fixed", .kind = WEIR_VALUE, .type = &profile_type },
    [NOTE] = { .name = "note", .kind = WEIR_VALUE, .type = &note_type },
    [MAP] = { .name = "map", .kind = WEIR_MAP, .type = &profile_type },
    [NOTES] = { .name = "notes", .kind = WEIR_MAP, .type = &note_type },
    [LIST] = { .name = "list", .kind = WEIR_LIST, .type = &profile_type },
    [NOTE_LIST] = { .name = "note-list", .kind = WEIR_LIST, .type = &note_type },
    [SUM] = { .name = "sum", .kind = WEIR_REDUCING, .type = &profile_type, .reduce = add_profiles },
    [LONGEST] = { .name = "longest",
        .kind = WEIR_REDUCING,
        .type = &note_type,
        .reduce = longest_title },
    [TTL_FIXED] = { .name = "ttl-fixed", .kind = WEIR_VALUE, .type = &profile_type, TTL },
    [TTL_NOTE] = { .name = "ttl-note", .kind = WEIR_VALUE, .type = &note_type, EVENT_TTL },
    [TTL_MAP] = { .name = "ttl-map", .kind = WEIR_MAP, .type = &profile_type, EVENT_TTL },
    [TTL_LIST] = { .name = "ttl-list", .kind = WEIR_LIST, .type = &note_type, TTL },
    [TTL_SUM] = { .name = "ttl-sum",
        .kind = WEIR_REDUCING,
        .type = &profile_type,
        .reduce = add_profiles,
        TTL },
};

static weir_str str(const char *text)
{
    return weir_str_of(text);
}

struct fixture {
    struct shelf shelf;
    const struct backend_class *verbs;
    struct keyed *keyed;
};

static void begin(struct fixture *it, void **state)
{
    shelf_init(&it->shelf);
    it->verbs = *state;
    struct backend *backend = shelf_open(&it->shelf, it->verbs, shelf_all_groups(), NULL, 0);
    it->keyed = keyed_new(backend, states, STATE_COUNT, SHELF_MAX_PARALLELISM);
}

static void end(struct fixture *it)
{
    keyed_free(it->keyed);
    shelf_release(&it->shelf);
}

static void restart(struct fixture *it)
{
    struct shelf_part part;
    shelf_snapshot(&it->shelf, keyed_backend(it->keyed), shelf_all_groups(), &part);
    keyed_free(it->keyed);
    it->shelf.attempt++;
    struct backend *backend = shelf_open(&it->shelf, it->verbs, shelf_all_groups(), &part, 1);
    it->keyed = keyed_new(backend, states, STATE_COUNT, SHELF_MAX_PARALLELISM);
    shelf_part_release(&part);
}

static void key_is(struct fixture *it, const char *key)
{
    keyed_select(it->keyed, str(key), hash_bytes(key, strlen(key)));
}

static void commit(struct fixture *it)
{
    shelf_ok(keyed_commit(it->keyed));
}

/* -- values --------------------------------------------------------------------------------- */

static void an_edit_starts_zeroed_and_is_kept(void **state)
{
    struct fixture it;
    begin(&it, state);
    key_is(&it, "a");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    struct profile *profile = keyed_edit(it.keyed, FIXED, str(""));
    struct profile zero = { 0 };
    assert_memory_equal(profile, &zero, sizeof(zero));
    profile->visits = 7;
    commit(&it);
    key_is(&it, "b");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    commit(&it);
    restart(&it);
    key_is(&it, "a");
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, FIXED, str("")))->visits, 7);
    commit(&it);
    end(&it);
}

static void an_edit_without_a_change_still_makes_the_entry(void **state)
{
    struct fixture it;
    begin(&it, state);
    key_is(&it, "a");
    keyed_edit(it.keyed, FIXED, str(""));
    keyed_edit(it.keyed, NOTE, str(""));
    commit(&it);
    restart(&it);
    key_is(&it, "a");
    assert_non_null(keyed_read(it.keyed, FIXED, str("")));
    const struct note *note = keyed_read(it.keyed, NOTE, str(""));
    assert_non_null(note);
    assert_null(note->title.data);
    end(&it);
}

static void editing_twice_gives_the_same_pointer(void **state)
{
    struct fixture it;
    begin(&it, state);
    for (int round = 0; round < 3; round++) {
        key_is(&it, "a");
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
        commit(&it);
    }
    end(&it);
}

static void a_read_sees_the_edit(void **state)
{
    struct fixture it;
    begin(&it, state);
    for (int round = 0; round < 2; round++) {
        key_is(&it, "a");
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
        commit(&it);
    }
    end(&it);
}

static void strings_are_copied_at_the_commit(void **state)
{
    struct fixture it;
    begin(&it, state);
    char text[64];
    key_is(&it, "a");
    struct note *note = keyed_edit(it.keyed, NOTE, str(""));
    strcpy(text, "the first text");
    note->text = str(text);
    note->title = WEIR_STR("");
    commit(&it);
    memset(text, 'x', sizeof(text));
    key_is(&it, "b");
    ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->title = WEIR_STR("other");
    commit(&it);
    restart(&it);
    key_is(&it, "a");
    const struct note *read = keyed_read(it.keyed, NOTE, str(""));
    assert_true(weir_str_equal(read->text, str("the first text")));
    assert_non_null(read->title.data); /* empty is not NULL */
    assert_int_equal(read->title.size, 0);
    commit(&it);
    key_is(&it, "a");
    note = keyed_edit(it.keyed, NOTE, str(""));
    note->title = note->text; /* a string of the record itself */
    note->text = (weir_str){ 0 };
    commit(&it);
    key_is(&it, "a");
    read = keyed_read(it.keyed, NOTE, str(""));
    assert_true(weir_str_equal(read->title, str("the first text")));
    assert_null(read->text.data);
    end(&it);
}

/* A string taken from another entry stays good although that entry is removed meanwhile. */
static void strings_may_move_from_a_removed_entry(void **state)
{
    struct fixture it;
    begin(&it, state);
    key_is(&it, "a");
    ((struct note *)keyed_edit(it.keyed, NOTES, str("old")))->text = WEIR_STR("carried over");
    commit(&it);
    key_is(&it, "a");
    const struct note *old = keyed_read(it.keyed, NOTES, str("old"));
    struct note *new = keyed_edit(it.keyed, NOTES, str("new"));
    new->text = old->text;
    keyed_remove(it.keyed, NOTES, str("old"));
    commit(&it);
    key_is(&it, "a");
    assert_null(keyed_read(it.keyed, NOTES, str("old")));
    new = keyed_edit(it.keyed, NOTES, str("new"));
    assert_true(weir_str_equal(new->text, str("carried over")));
    end(&it);
}

static void removed_and_cleared_state_is_gone(void **state)
{
    struct fixture it;
    begin(&it, state);
    const uint32_t numbers[] = { FIXED, NOTE, SUM };
    for (size_t i = 0; i < 3; i++) {
        key_is(&it, "a");
        keyed_edit(it.keyed, numbers[i], str(""));
        commit(&it);
        key_is(&it, "a");
        assert_non_null(keyed_read(it.keyed, numbers[i], str("")));
        keyed_clear(it.keyed, numbers[i]);
        assert_null(keyed_read(it.keyed, numbers[i], str("")));
        commit(&it);
        key_is(&it, "a");
        assert_null(keyed_read(it.keyed, numbers[i], str("")));
        keyed_edit(it.keyed, numbers[i], str("")); /* edited and cleared in one callback */
        keyed_clear(it.keyed, numbers[i]);
        commit(&it);
        key_is(&it, "a");
        assert_null(keyed_read(it.keyed, numbers[i], str("")));
        keyed_clear(it.keyed, numbers[i]); /* cleared, then edited: zeroed */
        keyed_edit(it.keyed, numbers[i], str(""));
        commit(&it);
        key_is(&it, "a");
        assert_non_null(keyed_read(it.keyed, numbers[i], str("")));
        commit(&it);
    }
    key_is(&it, "a");
    ((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits = 9;
    keyed_clear(it.keyed, FIXED);
    assert_int_equal(((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits, 0);
    ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->count = 9;
    keyed_clear(it.keyed, NOTE);
    assert_int_equal(((struct note *)keyed_edit(it.keyed, NOTE, str("")))->count, 0);
    end(&it);
}

/* -- maps ----------------------------------------------------------------------------------- */

static bool print_profile(void *arg, weir_str entry, const void *value)
{
    const struct profile *profile = value;
    buffer_printf(arg, "%.*s:%d ", (int)entry.size, entry.data, (int)profile->visits);
    return true;
}

static bool print_note(void *arg, weir_str entry, const void *value)
{
    const struct note *note = value;
    buffer_printf(arg, "%.*s:%d/%.*s ", (int)(entry.size == 8 ? 0 : entry.size), entry.data,
        (int)note->count, (int)note->title.size, note->title.data == NULL ? "" : note->title.data);
    return true;
}

static void expect_each(struct fixture *it, uint32_t state, const char *prefix,
    const char *expected)
{
    weir_buffer *text = weir_buffer_new(1 << 20);
    bool is_note = states[state].type == &note_type;
    if (states[state].kind == WEIR_MAP)
        keyed_each(it->keyed, state, str(prefix), is_note ? print_note : print_profile, text);
    else
        keyed_list_each(it->keyed, state, is_note ? print_note : print_profile, text);
    assert_string_equal(buffer_text(text), expected);
    weir_buffer_free(text);
}

static void each_goes_in_byte_order_and_sees_edits(void **state)
{
    struct fixture it;
    begin(&it, state);
    const uint32_t maps[] = { MAP, NOTES };
    for (size_t i = 0; i < 2; i++) {
        const char *names[] = { "b", "a1", "", "a2", "c" };
        key_is(&it, "k");
        for (int n = 0; n < 5; n++) {
            if (maps[i] == MAP)
                ((struct profile *)keyed_edit(it.keyed, MAP, str(names[n])))->visits = n;
            else
                *(struct note *)keyed_edit(it.keyed, NOTES, str(names[n])) =
                    (struct note){ .count = n, .title = str(names[n]) };
        }
        for (int round = 0; round < 2; round++) {
            expect_each(&it, maps[i], "",
                maps[i] == MAP ? ":2 a1:1 a2:3 b:0 c:4 " : ":2/ a1:1/a1 a2:3/a2 b:0/b c:4/c ");
            expect_each(&it, maps[i], "a", maps[i] == MAP ? "a1:1 a2:3 " : "a1:1/a1 a2:3/a2 ");
            commit(&it);
            key_is(&it, "k");
        }
        keyed_remove(it.keyed, maps[i], str("a1"));
        if (maps[i] == MAP)
            ((struct profile *)keyed_edit(it.keyed, MAP, str("b")))->visits = 70;
        else
            ((struct note *)keyed_edit(it.keyed, NOTES, str("b")))->count = 70;
        expect_each(&it, maps[i], "",
            maps[i] == MAP ? ":2 a2:3 b:70 c:4 " : ":2/ a2:3/a2 b:70/b c:4/c ");
        if (maps[i] == NOTES) /* an edit through the old pointer, after each has seen it */
            ((struct note *)keyed_edit(it.keyed, NOTES, str("b")))->count = 71;
        commit(&it);
        key_is(&it, "k");
        expect_each(&it, maps[i], "b", maps[i] == MAP ? "b:70 " : "b:71/b ");
        keyed_clear(it.keyed, maps[i]);
        expect_each(&it, maps[i], "", "");
        assert_null(keyed_read(it.keyed, maps[i], str("c")));
        commit(&it);
        key_is(&it, "k");
        expect_each(&it, maps[i], "", "");
    }
    end(&it);
}

struct visit {
    struct fixture *it;
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
    expect_each(visit->it, LIST, "", ""); /* an iteration inside one */
    keyed_list_add(keyed, NOTE_LIST, note);
    assert_int_equal(note->count, count);
    assert_true(weir_str_equal(note->title, entry));
    return ++visit->count < 3;
}

static void each_may_edit_other_states_and_stop(void **state)
{
    struct fixture it;
    begin(&it, state);
    key_is(&it, "k");
    const char *names[] = { "p", "q", "r", "s" };
    for (int i = 0; i < 4; i++)
        *(struct note *)keyed_edit(it.keyed, NOTES, str(names[i])) =
            (struct note){ .count = i + 1, .title = str(names[i]) };
    commit(&it);
    key_is(&it, "k");
    struct visit visit = { .it = &it };
    keyed_each(it.keyed, NOTES, str(""), edit_others, &visit);
    assert_int_equal(visit.count, 3);
    commit(&it);
    key_is(&it, "k");
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, FIXED, str("")))->visits, 6);
    assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->count, 3);
    expect_each(&it, NOTE_LIST, "", ":1/p :2/q :3/r ");
    end(&it);
}

static void one_callback_may_touch_many_entries(void **state)
{
    struct fixture it;
    begin(&it, state);
    const int count = 20000;
    char name[32];
    for (int round = 0; round < 2; round++) {
        key_is(&it, "k");
        for (int i = 0; i < count; i++) {
            snprintf(name, sizeof(name), "%d", i * 7919 % count);
            ((struct note *)keyed_edit(it.keyed, NOTES, str(name)))->count++;
        }
        commit(&it);
    }
    key_is(&it, "k");
    for (int i = 0; i < count; i += 37) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTES, str(name)))->count, 2);
    }
    end(&it);
}

/* -- lists ---------------------------------------------------------------------------------- */

static void lists_keep_the_order_of_adding(void **state)
{
    struct fixture it;
    begin(&it, state);
    for (int64_t i = 0; i < 6; i++) {
        key_is(&it, i % 2 == 0 ? "a" : "b");
        keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = i });
        keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = i * 10 });
        char title[8] = { (char)('a' + i), '\0' };
        keyed_list_add(it.keyed, NOTE_LIST, &(struct note){ .count = i, .title = str(title) });
        title[0] = 'X'; /* copied at once */
        if (i == 5)
            expect_each(&it, LIST, "", ":1 :10 :3 :30 :5 :50 ");
        commit(&it);
        if (i == 3)
            restart(&it);
    }
    key_is(&it, "a");
    expect_each(&it, NOTE_LIST, "", ":0/a :2/c :4/e ");
    keyed_clear(it.keyed, NOTE_LIST);
    expect_each(&it, NOTE_LIST, "", "");
    keyed_list_add(it.keyed, NOTE_LIST, &(struct note){ .count = 77 });
    expect_each(&it, NOTE_LIST, "", ":77/ ");
    commit(&it);
    key_is(&it, "a");
    keyed_list_add(it.keyed, NOTE_LIST, &(struct note){ .count = 78 });
    keyed_clear(it.keyed, NOTE_LIST);
    keyed_list_add(it.keyed, NOTE_LIST, &(struct note){ .count = 79 });
    commit(&it);
    key_is(&it, "a");
    expect_each(&it, NOTE_LIST, "", ":79/ ");
    end(&it);
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
    struct fixture it;
    begin(&it, state);
    const int64_t count = 100000;
    for (int64_t i = 0; i < count;) {
        key_is(&it, "a");
        for (int j = 0; j < 1000; j++)
            keyed_list_add(it.keyed, LIST, &(struct profile){ .visits = i++ });
        commit(&it);
    }
    key_is(&it, "a");
    int64_t next = 0;
    keyed_list_each(it.keyed, LIST, count_elements, &next);
    assert_int_equal(next, count);
    end(&it);
}

/* -- reducing ------------------------------------------------------------------------------- */

static void reducing_merges_into_the_first(void **state)
{
    struct fixture it;
    begin(&it, state);
    char title[16];
    for (int i = 0; i < 10; i++) {
        key_is(&it, "a");
        keyed_reducing_add(it.keyed, SUM, &(struct profile){ .visits = i, .user_id = 3 });
        keyed_reducing_add(it.keyed, SUM, &(struct profile){ .visits = 100 });
        strcpy(title, i == 4 ? "the longest" : "short");
        keyed_reducing_add(it.keyed, LONGEST, &(struct note){ .count = 1, .title = str(title) });
        memset(title, 'X', sizeof(title)); /* copied at once */
        commit(&it);
    }
    restart(&it);
    key_is(&it, "a");
    const struct profile *sum = keyed_read(it.keyed, SUM, str(""));
    assert_int_equal(sum->visits, 45 + 1000);
    assert_int_equal(sum->user_id, 3);
    const struct note *note = keyed_read(it.keyed, LONGEST, str(""));
    assert_int_equal(note->count, 10);
    assert_true(weir_str_equal(note->title, str("the longest")));
    end(&it);
}

/* -- time to live --------------------------------------------------------------------------- */

static void processing_time_to_live(void **state)
{
    struct fixture it;
    begin(&it, state);
    keyed_set_time(it.keyed, 1000, INT64_MIN);
    key_is(&it, "a");
    ((struct profile *)keyed_edit(it.keyed, TTL_FIXED, str("")))->visits = 5;
    keyed_reducing_add(it.keyed, TTL_SUM, &(struct profile){ .visits = 5 });
    commit(&it);
    keyed_set_time(it.keyed, 1100, INT64_MAX); /* not past it yet; event time does not matter */
    key_is(&it, "a");
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, TTL_FIXED, str("")))->visits, 5);
    keyed_reducing_add(it.keyed, TTL_SUM, &(struct profile){ .visits = 6 }); /* stamps again */
    commit(&it);
    keyed_set_time(it.keyed, 1101, INT64_MIN);
    restart(&it);
    keyed_set_time(it.keyed, 1101, INT64_MIN);
    key_is(&it, "a");
    assert_null(keyed_read(it.keyed, TTL_FIXED, str("")));
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, TTL_SUM, str("")))->visits, 11);
    struct profile *again = keyed_edit(it.keyed, TTL_FIXED, str(""));
    assert_int_equal(again->visits, 0);
    again->visits = 8;
    assert_ptr_equal(keyed_edit(it.keyed, TTL_FIXED, str("")), again);
    assert_int_equal(again->visits, 8);
    commit(&it);
    keyed_set_time(it.keyed, 1201, INT64_MIN);
    key_is(&it, "a");
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, TTL_FIXED, str("")))->visits, 8);
    keyed_reducing_add(it.keyed, TTL_SUM, &(struct profile){ .visits = 1, .user_id = 9 });
    const struct profile *sum = keyed_read(it.keyed, TTL_SUM, str(""));
    assert_int_equal(sum->visits, 1);
    assert_int_equal(sum->user_id, 9); /* the first one as it is, not merged into zeroes */
    commit(&it);
    end(&it);
}

/* The larger of timestamp and watermark, in one table. */
static void event_time_to_live(void **state)
{
    static const struct {
        int64_t timestamp_ms, watermark_ms, alive_ms, gone_ms;
    } cases[] = {
        { 1000, 500, 1100, 1101 },
        { 400, 500, 600, 601 },
        { WEIR_NO_TIMESTAMP, 500, 600, 601 },
        { 1000, INT64_MIN, 1100, 1101 },
        { INT64_MAX - 50, 500, INT64_MAX, 0 },
        { WEIR_NO_TIMESTAMP, INT64_MIN, INT64_MIN + 100, 0 },
    };
    struct fixture it;
    begin(&it, state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        keyed_set_time(it.keyed, 1, cases[i].watermark_ms);
        key_is(&it, "a");
        keyed_set_timestamp(it.keyed, cases[i].timestamp_ms);
        struct note *note = keyed_edit(it.keyed, TTL_NOTE, str(""));
        note->count = 0; /* of an earlier case, or new */
        note->title = WEIR_STR("alive");
        ((struct profile *)keyed_edit(it.keyed, TTL_MAP, str("x")))->visits = 1;
        commit(&it);
        keyed_set_time(it.keyed, INT64_MAX, cases[i].alive_ms);
        key_is(&it, "a");
        const struct note *read = keyed_read(it.keyed, TTL_NOTE, str(""));
        assert_true(weir_str_equal(read->title, str("alive")));
        expect_each(&it, TTL_MAP, "", "x:1 ");
        commit(&it);
        if (cases[i].gone_ms == 0)
            continue;
        keyed_set_time(it.keyed, 1, cases[i].gone_ms);
        key_is(&it, "a");
        assert_null(keyed_read(it.keyed, TTL_NOTE, str("")));
        assert_null(keyed_read(it.keyed, TTL_MAP, str("x")));
        expect_each(&it, TTL_MAP, "", "");
        commit(&it);
    }
    end(&it);
}

static void an_edit_without_a_change_still_stamps(void **state)
{
    struct fixture it;
    begin(&it, state);
    for (int64_t now = 1000; now < 1500; now += 90) {
        keyed_set_time(it.keyed, now, INT64_MIN);
        key_is(&it, "a");
        struct profile *profile = keyed_edit(it.keyed, TTL_FIXED, str(""));
        assert_int_equal(profile->visits, now == 1000 ? 0 : 4);
        if (now == 1000)
            profile->visits = 4;
        commit(&it);
    }
    end(&it);
}

static void each_list_element_expires_alone(void **state)
{
    struct fixture it;
    begin(&it, state);
    for (int64_t now = 1000; now <= 1080; now += 40) {
        keyed_set_time(it.keyed, now, INT64_MIN);
        key_is(&it, "a");
        keyed_list_add(it.keyed, TTL_LIST, &(struct note){ .count = now });
        commit(&it);
    }
    keyed_set_time(it.keyed, 1120, INT64_MIN);
    key_is(&it, "a");
    expect_each(&it, TTL_LIST, "", ":1040/ :1080/ ");
    commit(&it);
    keyed_set_time(it.keyed, 1300, INT64_MIN);
    key_is(&it, "a");
    expect_each(&it, TTL_LIST, "", "");
    keyed_list_add(it.keyed, TTL_LIST, &(struct note){ .count = 1300 });
    keyed_list_add(it.keyed, TTL_LIST, &(struct note){ .count = 1301 });
    expect_each(&it, TTL_LIST, "", ":1300/ :1301/ ");
    commit(&it);
    restart(&it);
    keyed_set_time(it.keyed, 1300, INT64_MIN);
    key_is(&it, "a");
    expect_each(&it, TTL_LIST, "", ":1300/ :1301/ ");
    end(&it);
}

/* What nobody looks at any more is dropped in the end. */
static void the_hashmap_forgets_what_has_expired(void **state)
{
    struct fixture it;
    begin(&it, state);
    if (it.verbs != &backend_hashmap) {
        end(&it);
        return;
    }
    uint64_t empty = it.verbs->size(keyed_backend(it.keyed));
    char key[32];
    for (int i = 0; i < 2000; i++) {
        keyed_set_time(it.keyed, 1000 + i / 100, INT64_MIN);
        snprintf(key, sizeof(key), "%d", i);
        key_is(&it, key);
        keyed_edit(it.keyed, TTL_FIXED, str(""));
        for (int j = 0; j < 100 && i % 100 == 0; j++)
            keyed_list_add(it.keyed, TTL_LIST, &(struct note){ .title = WEIR_STR("title") });
        commit(&it);
    }
    for (int i = 0; i < 5000; i++)
        keyed_set_time(it.keyed, 2000, INT64_MIN);
    assert_int_equal(it.verbs->size(keyed_backend(it.keyed)), empty);
    end(&it);
}

/* -- errors --------------------------------------------------------------------------------- */

static void too_large_a_record_is_a_sticky_error(void **state)
{
    struct fixture it;
    begin(&it, state);
    char *text = mem_alloc(WEIR_RECORD_SIZE_MAX);
    key_is(&it, "a");
    struct note *note = keyed_edit(it.keyed, NOTE, str(""));
    note->text = (weir_str){ .data = text, .size = WEIR_RECORD_SIZE_MAX };
    shelf_fails(keyed_commit(it.keyed), WEIR_E_LIMIT, "state 'note': a record with its strings");
    key_is(&it, "a");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    struct profile *profile = keyed_edit(it.keyed, FIXED, str(""));
    assert_int_equal(profile->visits, 0);
    profile->visits = 3;
    assert_int_equal(((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits, 0);
    keyed_reducing_add(it.keyed, SUM, profile);
    keyed_list_add(it.keyed, LIST, profile);
    keyed_clear(it.keyed, MAP);
    keyed_remove(it.keyed, MAP, str("x"));
    expect_each(&it, LIST, "", "");
    shelf_fails(keyed_commit(it.keyed), WEIR_E_STATE, "failed before");
    mem_free(text);
    end(&it);
}

static void selecting_keeps_the_error_for_the_commit(void **state)
{
    struct fixture it;
    begin(&it, state);
    char *text = mem_alloc(WEIR_RECORD_SIZE_MAX);
    key_is(&it, "a");
    keyed_list_add(it.keyed, NOTE_LIST,
        &(struct note){ .text = { .data = text, .size = WEIR_RECORD_SIZE_MAX } });
    key_is(&it, "b");
    keyed_edit(it.keyed, FIXED, str(""));
    shelf_fails(keyed_commit(it.keyed), WEIR_E_LIMIT, "state 'note-list'");
    mem_free(text);
    end(&it);
}

static void selecting_another_key_commits(void **state)
{
    struct fixture it;
    begin(&it, state);
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
    commit(&it);
    key_is(&it, "a");
    assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->count, 1);
    expect_each(&it, LIST, "", ":1 ");
    key_is(&it, "b");
    assert_int_equal(((const struct note *)keyed_read(it.keyed, NOTE, str("")))->count, 2);
    expect_each(&it, LIST, "", ":2 ");
    end(&it);
}

static void state_without_a_key_is_an_error(void **state)
{
    struct fixture it;
    begin(&it, state);
    assert_null(keyed_key(it.keyed).data);
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    shelf_fails(keyed_commit(it.keyed), WEIR_E_STATE, "state 'fixed': it is used while no key");
    end(&it);
}

static void a_record_of_another_size_is_corrupt(void **state)
{
    struct fixture it;
    begin(&it, state);
    struct row_key row = shelf_row(FIXED, "a"), note = shelf_row(NOTE, "a");
    shelf_put(keyed_backend(it.keyed), &row, str(""), str("short"));
    key_is(&it, "a");
    assert_null(keyed_read(it.keyed, FIXED, str("")));
    shelf_fails(keyed_commit(it.keyed), WEIR_E_CORRUPT,
        "state 'fixed': a stored entry has 5 bytes");
    keyed_free(it.keyed);
    struct backend *backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), NULL, 0);
    it.keyed = keyed_new(backend, states, STATE_COUNT, SHELF_MAX_PARALLELISM);
    uint64_t bytes[8] = { 4000, 1, 0, 0, 0 }; /* a string far outside */
    shelf_put(backend, &note, str(""), (weir_str){ .data = (char *)bytes, .size = sizeof(bytes) });
    key_is(&it, "a");
    assert_null(keyed_read(it.keyed, NOTE, str("")));
    shelf_fails(keyed_commit(it.keyed), WEIR_E_CORRUPT, "field 'title'");
    end(&it);
}

/* -- cost ----------------------------------------------------------------------------------- */

static void callbacks_allocate_nothing_once_warm(void **state)
{
    struct fixture it;
    begin(&it, state);
    uint64_t before = 0;
    for (int round = 0; round < 200; round++) {
        if (round == 100)
            before = mem_count();
        char key[2] = { (char)('a' + round % 10), '\0' };
        key_is(&it, key);
        ((struct profile *)keyed_edit(it.keyed, FIXED, str("")))->visits++;
        ((struct note *)keyed_edit(it.keyed, NOTE, str("")))->title = WEIR_STR("a title");
        keyed_reducing_add(it.keyed, LONGEST, &(struct note){ .title = WEIR_STR("title") });
        keyed_read(it.keyed, NOTES, str("x"));
        ((struct note *)keyed_edit(it.keyed, NOTES, str("y")))->count++;
        commit(&it);
    }
    assert_int_equal(mem_count() - before, 0);
    end(&it);
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
    const struct weir_state both[] = { base, event_ttl };
    keyed_schema_text(both, 2, text);
    assert_string_equal(buffer_text(text),
        "value p: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, 24 bytes\n"
        "value p with an event-time TTL: profile { 1 user_id u64, 2 visits i64, 3 is_new bool }, "
        "24 bytes\n");
    weir_buffer_free(text);
}

#define FOR_EACH_BACKEND(test_) \
    { "hashmap: " #test_, test_, NULL, NULL, (void *)(uintptr_t)&backend_hashmap }, \
    { \
        "rocksdb: " #test_, test_, NULL, NULL, (void *)(uintptr_t)&backend_rocksdb \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOR_EACH_BACKEND(an_edit_starts_zeroed_and_is_kept),
        FOR_EACH_BACKEND(an_edit_without_a_change_still_makes_the_entry),
        FOR_EACH_BACKEND(editing_twice_gives_the_same_pointer),
        FOR_EACH_BACKEND(a_read_sees_the_edit),
        FOR_EACH_BACKEND(strings_are_copied_at_the_commit),
        FOR_EACH_BACKEND(strings_may_move_from_a_removed_entry),
        FOR_EACH_BACKEND(removed_and_cleared_state_is_gone),
        FOR_EACH_BACKEND(each_goes_in_byte_order_and_sees_edits),
        FOR_EACH_BACKEND(each_may_edit_other_states_and_stop),
        FOR_EACH_BACKEND(one_callback_may_touch_many_entries),
        FOR_EACH_BACKEND(lists_keep_the_order_of_adding),
        FOR_EACH_BACKEND(a_list_may_be_long),
        FOR_EACH_BACKEND(reducing_merges_into_the_first),
        FOR_EACH_BACKEND(processing_time_to_live),
        FOR_EACH_BACKEND(event_time_to_live),
        FOR_EACH_BACKEND(an_edit_without_a_change_still_stamps),
        FOR_EACH_BACKEND(each_list_element_expires_alone),
        FOR_EACH_BACKEND(the_hashmap_forgets_what_has_expired),
        FOR_EACH_BACKEND(too_large_a_record_is_a_sticky_error),
        FOR_EACH_BACKEND(selecting_keeps_the_error_for_the_commit),
        FOR_EACH_BACKEND(selecting_another_key_commits),
        FOR_EACH_BACKEND(state_without_a_key_is_an_error),
        FOR_EACH_BACKEND(a_record_of_another_size_is_corrupt),
        FOR_EACH_BACKEND(callbacks_allocate_nothing_once_warm),
        cmocka_unit_test(the_schema_is_what_stored_bytes_depend_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* keyed_fixture.c -- see keyed_fixture.h. */
#include "test/support/keyed_fixture.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

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

#define TTL       .ttl_ms = 100, .ttl_time = WEIR_PROCESSING_TIME
#define EVENT_TTL .ttl_ms = 100, .ttl_time = WEIR_EVENT_TIME
const struct weir_state keyed_fixture_states[STATE_COUNT] = {
    [FIXED] = { .name = "fixed", .kind = WEIR_VALUE, .type = &profile_type },
    [NOTE] = { .name = "note", .kind = WEIR_VALUE, .type = &note_type },
    [MAP] = { .name = "map", .kind = WEIR_MAP, .type = &profile_type, .shares_row = true },
    [NOTES] = { .name = "notes", .kind = WEIR_MAP, .type = &note_type, .shares_row = true },
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

static void open_keyed(struct keyed_fixture *it, const struct shelf_part *part)
{
    struct backend *backend =
        shelf_open(&it->shelf, it->verbs, shelf_all_groups(), part, part == NULL ? 0 : 1);
    it->keyed = keyed_new(backend, keyed_fixture_states, STATE_COUNT, SHELF_MAX_PARALLELISM);
}

void keyed_fixture_begin(struct keyed_fixture *it, void **state)
{
    shelf_init(&it->shelf);
    it->verbs = *state;
    open_keyed(it, NULL);
}

void keyed_fixture_end(struct keyed_fixture *it)
{
    keyed_free(it->keyed);
    shelf_release(&it->shelf);
}

void keyed_fixture_restart(struct keyed_fixture *it)
{
    struct shelf_part part;
    shelf_snapshot(&it->shelf, keyed_backend(it->keyed), shelf_all_groups(), &part);
    keyed_free(it->keyed);
    it->shelf.attempt++;
    open_keyed(it, &part);
    shelf_part_release(&part);
}

void keyed_fixture_key_is(struct keyed_fixture *it, const char *key)
{
    keyed_select(it->keyed, weir_str_of(key), hash_bytes(key, strlen(key)));
}

void keyed_fixture_commit(struct keyed_fixture *it)
{
    shelf_ok(keyed_commit(it->keyed));
}

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

void keyed_fixture_expect(struct keyed_fixture *it, uint32_t state, const char *prefix,
    const char *expected)
{
    weir_buffer *text = weir_buffer_new(1 << 20);
    bool is_note = keyed_fixture_states[state].type == &note_type;
    if (keyed_fixture_states[state].kind == WEIR_MAP)
        keyed_each(it->keyed, state, weir_str_of(prefix), is_note ? print_note : print_profile,
            text);
    else
        keyed_list_each(it->keyed, state, is_note ? print_note : print_profile, text);
    assert_string_equal(buffer_text(text), expected);
    weir_buffer_free(text);
}

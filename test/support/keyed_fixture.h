/* keyed_fixture.h -- keyed state of every kind, over a backend on a shelf.
 *
 * Two types, one without strings and one with; a state of each kind for each of them; some with a time
 * to live of 100 ms. */
#ifndef WEIR_TEST_KEYED_FIXTURE_H
#define WEIR_TEST_KEYED_FIXTURE_H

#include "state/keyed.h"
#include "test/support/shelf.h"

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

enum {
    FIXED,
    NOTE,
    NOTES, /* in one row with MAP */
    MAP,
    LIST,
    NOTE_LIST,
    SUM,
    LONGEST,
    TTL_FIXED, /* processing time */
    TTL_NOTE,  /* event time */
    TTL_MAP,   /* event time */
    TTL_LIST,  /* processing time */
    TTL_SUM,   /* processing time */
    STATE_COUNT
};
extern const struct weir_state keyed_fixture_states[STATE_COUNT];

struct keyed_fixture {
    struct shelf shelf;
    const struct backend_class *verbs;
    struct keyed *keyed;
};
void keyed_fixture_begin(struct keyed_fixture *it, void **state); /* *state: the class */
void keyed_fixture_end(struct keyed_fixture *it);
/* Snapshot, close, open again from it. The time must be set again. */
void keyed_fixture_restart(struct keyed_fixture *it);
void keyed_fixture_key_is(struct keyed_fixture *it, const char *key);
void keyed_fixture_commit(struct keyed_fixture *it);
/* What each gives, as text: "name:visits " of profiles, "name:count/title " of notes; the name of a
 * list's element is empty. */
void keyed_fixture_expect(struct keyed_fixture *it, uint32_t state, const char *prefix,
    const char *expected);

#endif

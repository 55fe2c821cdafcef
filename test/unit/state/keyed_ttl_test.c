/* Entries with a time to live: when they are gone, for every kind of state, in both times. */
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

/* -- time to live --------------------------------------------------------------------------- */

static void processing_time_to_live(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    keyed_set_time(it.keyed, 1000, INT64_MIN);
    keyed_fixture_key_is(&it, "a");
    ((struct profile *)keyed_edit(it.keyed, TTL_FIXED, str("")))->visits = 5;
    keyed_reducing_add(it.keyed, TTL_SUM, &(struct profile){ .visits = 5 });
    keyed_fixture_commit(&it);
    keyed_set_time(it.keyed, 1100, INT64_MAX); /* not past it yet; event time does not matter */
    keyed_fixture_key_is(&it, "a");
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, TTL_FIXED, str("")))->visits, 5);
    keyed_reducing_add(it.keyed, TTL_SUM, &(struct profile){ .visits = 6 }); /* stamps again */
    keyed_fixture_commit(&it);
    keyed_set_time(it.keyed, 1101, INT64_MIN);
    keyed_fixture_restart(&it);
    keyed_set_time(it.keyed, 1101, INT64_MIN);
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, TTL_FIXED, str("")));
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, TTL_SUM, str("")))->visits, 11);
    struct profile *again = keyed_edit(it.keyed, TTL_FIXED, str(""));
    assert_int_equal(again->visits, 0);
    again->visits = 8;
    assert_ptr_equal(keyed_edit(it.keyed, TTL_FIXED, str("")), again);
    assert_int_equal(again->visits, 8);
    keyed_fixture_commit(&it);
    keyed_set_time(it.keyed, 1201, INT64_MIN);
    keyed_fixture_key_is(&it, "a");
    assert_int_equal(((const struct profile *)keyed_read(it.keyed, TTL_FIXED, str("")))->visits, 8);
    keyed_reducing_add(it.keyed, TTL_SUM, &(struct profile){ .visits = 1, .user_id = 9 });
    const struct profile *sum = keyed_read(it.keyed, TTL_SUM, str(""));
    assert_int_equal(sum->visits, 1);
    assert_int_equal(sum->user_id, 9); /* the first one as it is, not merged into zeroes */
    keyed_fixture_commit(&it);
    keyed_fixture_end(&it);
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
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        keyed_set_time(it.keyed, 1, cases[i].watermark_ms);
        keyed_fixture_key_is(&it, "a");
        keyed_set_timestamp(it.keyed, cases[i].timestamp_ms);
        struct note *note = keyed_edit(it.keyed, TTL_NOTE, str(""));
        note->count = 0; /* of an earlier case, or new */
        note->title = WEIR_STR("alive");
        ((struct profile *)keyed_edit(it.keyed, TTL_MAP, str("x")))->visits = 1;
        keyed_fixture_commit(&it);
        keyed_set_time(it.keyed, INT64_MAX, cases[i].alive_ms);
        keyed_fixture_key_is(&it, "a");
        const struct note *read = keyed_read(it.keyed, TTL_NOTE, str(""));
        assert_true(weir_str_equal(read->title, str("alive")));
        keyed_fixture_expect(&it, TTL_MAP, "", "x:1 ");
        keyed_fixture_commit(&it);
        if (cases[i].gone_ms == 0)
            continue;
        keyed_set_time(it.keyed, 1, cases[i].gone_ms);
        keyed_fixture_key_is(&it, "a");
        assert_null(keyed_read(it.keyed, TTL_NOTE, str("")));
        assert_null(keyed_read(it.keyed, TTL_MAP, str("x")));
        keyed_fixture_expect(&it, TTL_MAP, "", "");
        keyed_fixture_commit(&it);
    }
    keyed_fixture_end(&it);
}

static void an_edit_without_a_change_still_stamps(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    for (int64_t now = 1000; now < 1500; now += 90) {
        keyed_set_time(it.keyed, now, INT64_MIN);
        keyed_fixture_key_is(&it, "a");
        struct profile *profile = keyed_edit(it.keyed, TTL_FIXED, str(""));
        assert_int_equal(profile->visits, now == 1000 ? 0 : 4);
        if (now == 1000)
            profile->visits = 4;
        keyed_fixture_commit(&it);
    }
    keyed_fixture_end(&it);
}

static void each_list_element_expires_alone(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    for (int64_t now = 1000; now <= 1080; now += 40) {
        keyed_set_time(it.keyed, now, INT64_MIN);
        keyed_fixture_key_is(&it, "a");
        keyed_list_add(it.keyed, TTL_LIST, &(struct note){ .count = now });
        keyed_fixture_commit(&it);
    }
    keyed_set_time(it.keyed, 1120, INT64_MIN);
    keyed_fixture_key_is(&it, "a");
    keyed_fixture_expect(&it, TTL_LIST, "", ":1040/ :1080/ ");
    keyed_fixture_commit(&it);
    keyed_set_time(it.keyed, 1300, INT64_MIN);
    keyed_fixture_key_is(&it, "a");
    keyed_fixture_expect(&it, TTL_LIST, "", "");
    keyed_list_add(it.keyed, TTL_LIST, &(struct note){ .count = 1300 });
    keyed_list_add(it.keyed, TTL_LIST, &(struct note){ .count = 1301 });
    keyed_fixture_expect(&it, TTL_LIST, "", ":1300/ :1301/ ");
    keyed_fixture_commit(&it);
    keyed_fixture_restart(&it);
    keyed_set_time(it.keyed, 1300, INT64_MIN);
    keyed_fixture_key_is(&it, "a");
    keyed_fixture_expect(&it, TTL_LIST, "", ":1300/ :1301/ ");
    keyed_fixture_end(&it);
}

/* What nobody looks at any more is dropped in the end. */
static void the_hashmap_forgets_what_has_expired(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    if (it.verbs != &backend_hashmap) {
        keyed_fixture_end(&it);
        return;
    }
    uint64_t empty = it.verbs->size(keyed_backend(it.keyed));
    char key[32];
    for (int i = 0; i < 2000; i++) {
        keyed_set_time(it.keyed, 1000 + i / 100, INT64_MIN);
        snprintf(key, sizeof(key), "%d", i);
        keyed_fixture_key_is(&it, key);
        keyed_edit(it.keyed, TTL_FIXED, str(""));
        for (int j = 0; j < 100 && i % 100 == 0; j++)
            keyed_list_add(it.keyed, TTL_LIST, &(struct note){ .title = WEIR_STR("title") });
        keyed_fixture_commit(&it);
    }
    for (int i = 0; i < 5000; i++)
        keyed_set_time(it.keyed, 2000, INT64_MIN);
    assert_int_equal(it.verbs->size(keyed_backend(it.keyed)), empty);
    struct keyed_expired expired = keyed_expired(it.keyed);
    assert_int_equal(expired.met, 0);
    assert_int_equal(expired.dropped, 2000 + 20 * 101); /* a list's length expires, too */
    keyed_fixture_end(&it);
}

/* Reads and edits count what they meet, in both times; what has not expired or never was counts nothing. */
static void expired_entries_that_are_met_are_counted(void **state)
{
    struct keyed_fixture it;
    keyed_fixture_begin(&it, state);
    keyed_set_time(it.keyed, 1000, 1000);
    keyed_fixture_key_is(&it, "a");
    keyed_edit(it.keyed, TTL_FIXED, str(""));
    ((struct note *)keyed_edit(it.keyed, TTL_NOTE, str("")))->title = WEIR_STR("note");
    for (int i = 0; i < 3; i++)
        keyed_edit(it.keyed, TTL_MAP, (weir_str){ .data = "xyz" + i, .size = 1 });
    keyed_fixture_commit(&it);
    keyed_fixture_key_is(&it, "a");
    assert_non_null(keyed_read(it.keyed, TTL_FIXED, str("")));
    assert_null(keyed_read(it.keyed, TTL_MAP, str("absent")));
    keyed_fixture_commit(&it);
    assert_int_equal(keyed_expired(it.keyed).met, 0);
    keyed_set_time(it.keyed, 1101, 1000); /* of processing time one entry */
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, TTL_FIXED, str("")));
    assert_non_null(keyed_read(it.keyed, TTL_NOTE, str("")));
    keyed_fixture_commit(&it);
    uint64_t met = keyed_expired(it.keyed).met, dropped = keyed_expired(it.keyed).dropped;
    assert_int_equal(met + dropped, 1); /* the hashmap may have swept it before */
    keyed_fixture_key_is(&it, "b");
    keyed_edit(it.keyed, TTL_FIXED, str(""));
    keyed_fixture_commit(&it);
    keyed_set_time(it.keyed, 1101, 1101); /* and of event time all others */
    keyed_fixture_key_is(&it, "a");
    assert_null(keyed_read(it.keyed, TTL_NOTE, str("")));
    keyed_fixture_expect(&it, TTL_MAP, "", "");
    keyed_fixture_commit(&it);
    struct keyed_expired expired = keyed_expired(it.keyed);
    assert_int_equal(expired.met + expired.dropped, 1 + 1 + 3);
    keyed_fixture_end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHELF_FOR_EACH(processing_time_to_live),
        SHELF_FOR_EACH(event_time_to_live),
        SHELF_FOR_EACH(an_edit_without_a_change_still_stamps),
        SHELF_FOR_EACH(each_list_element_expires_alone),
        SHELF_FOR_EACH(the_hashmap_forgets_what_has_expired),
        SHELF_FOR_EACH(expired_entries_that_are_met_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

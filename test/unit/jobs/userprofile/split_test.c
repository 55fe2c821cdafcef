/* split_test.c -- which claims and changes an event becomes, for every set of ids that it can name.
 *
 * What comes out is written as "idcard:1>user:0" for evidence, "idcard:1" for the contribution of an
 * event without a user, and "ADD user:0" for that of one with a user. */
#include "jobs/userprofile/split.h"

#include "test/unit/jobs/userprofile/said.h"
#include <weir/testing.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* By rank, spelled out: what the job's own table says is under test, too. */
static const char *const identities[ID_KIND_COUNT] = { "user:0", "idcard:1", "phone:2", "email:3",
    "device:4", "cookie:5" };

/* An event with the ids whose bits are set, "0" for a user to "5" for a cookie. */
static struct event event_of(unsigned kinds)
{
    static const char *const values[ID_KIND_COUNT] = { "0", "1", "2", "3", "4", "5" };
    struct event event = { .body = body(7, "e", "view") };
    event.body.amount = 5;
    event.body.has_amount = true;
    for (int kind = 0; kind < ID_KIND_COUNT; kind++)
        if ((kinds >> kind & 1) != 0)
            event.ids[kind] = weir_str_of(values[kind]);
    return event;
}

static bool is_whole(const struct contribution *body)
{
    return weir_str_equal(body->type, WEIR_STR("view")) && body->has_amount && body->amount == 5;
}

static bool is_empty(const struct contribution *body)
{
    return body->type.size == 0 && !body->has_amount && body->amount == 0;
}

static void say(char said[256], const char *before, weir_str id, const char *between, weir_str user)
{
    size_t size = strlen(said);
    snprintf(said + size, 256 - size, "%s%s%.*s%s%.*s", size > 0 ? " " : "", before, (int)id.size,
        id.data, between, (int)user.size, user.data == NULL ? "" : user.data);
}

static void expect(unsigned kinds, const char *expected)
{
    char said[256] = "";
    struct event event = event_of(kinds);
    weir_harness *harness = weir_harness_new(&split_operator, NULL, WEIR_NO_KEY);
    weir_harness_send(harness, 7, event, &event);
    const struct change *change;
    while ((change = weir_harness_take_side(harness, SPLIT_OWN)) != NULL) {
        say(said, "ADD ", change->yid, "", change->member);
        assert_int_equal(change->kind, CHANGE_ADD);
        assert_false(change->is_shared);
        assert_int_equal(change->pack.size, 0);
        assert_true(is_whole(&change->body));
    }
    const struct claim *claim;
    while ((claim = weir_harness_take(harness, claim)) != NULL) {
        bool is_evidence = claim->user.data != NULL;
        say(said, "", claim->id, is_evidence ? ">" : "", claim->user);
        assert_true(is_evidence ? is_empty(&claim->body) : is_whole(&claim->body));
        assert_int_equal(claim->body.ts, 7);
        assert_true(weir_str_equal(claim->body.event_id, WEIR_STR("e")));
    }
    assert_string_equal(said, expected);
    weir_harness_free(harness);
}

static void an_event_with_a_user_is_evidence_for_each_other_id(void **state)
{
    expect(1, "ADD user:0");
    expect(63, "ADD user:0 idcard:1>user:0 phone:2>user:0 email:3>user:0 device:4>user:0 "
               "cookie:5>user:0");
    for (unsigned kinds = 1; kinds < 64; kinds += 2) {
        char expected[256] = "ADD user:0";
        for (int kind = 1; kind < ID_KIND_COUNT; kind++)
            if ((kinds >> kind & 1) != 0)
                say(expected, "", weir_str_of(identities[kind]), ">", WEIR_STR("user:0"));
        expect(kinds, expected);
    }
}

static void an_event_without_a_user_adds_to_its_highest_ranking_id_only(void **state)
{
    for (unsigned kinds = 2; kinds < 64; kinds += 2) {
        int anchor = 1;
        while ((kinds >> anchor & 1) == 0)
            anchor++;
        expect(kinds, identities[anchor]);
    }
}

static void the_longest_id_fits_its_identity(void **state)
{
    char value[TEXT_SIZE_MAX];
    memset(value, 'x', sizeof(value));
    struct event event = event_of(1);
    event.ids[ID_IDCARD] = (weir_str){ .data = value, .size = sizeof(value) };
    weir_harness *harness = weir_harness_new(&split_operator, NULL, WEIR_NO_KEY);
    weir_harness_send(harness, 7, event, &event);
    const struct claim *claim = weir_harness_take(harness, claim);
    assert_non_null(claim);
    assert_int_equal(claim->id.size, IDENTITY_SIZE_MAX);
    assert_memory_equal(claim->id.data, "idcard:xxx", 10);
    assert_memory_equal(claim->id.data + 7, value, sizeof(value));
    weir_harness_free(harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_with_a_user_is_evidence_for_each_other_id),
        cmocka_unit_test(an_event_without_a_user_adds_to_its_highest_ranking_id_only),
        cmocka_unit_test(the_longest_id_fits_its_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* identity_test.c -- the state machine of one id: what it tells whom, for every case of change.h.
 *
 * A conversation is written as a script of claims and, behind each, the changes expected: "LEAVE
 * user:u device:x" or "JOIN device:x '' shared 2" with the number of events in the fragment. */
#include "jobs/userprofile/identity.h"

#include "jobs/userprofile/fragment.h"
#include "jobs/userprofile/output.h"
#include "test/unit/jobs/userprofile/said.h"
#include <weir/testing.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct identity identity;

static weir_harness *start(int64_t fanout_limit, bool has_fragments)
{
    identity_init(&identity, fanout_limit, 1000, has_fragments);
    return weir_harness_new(&identity.operator_, &identity, WEIR_KEY(claim, id));
}

static const char *const kinds[] = { [CHANGE_ADD] = "ADD",
    [CHANGE_JOIN] = "JOIN",
    [CHANGE_PART] = "PART",
    [CHANGE_LEAVE] = "LEAVE" };

/* The count of the total, which is the first entry of a pack: behind the header of 8 bytes. */
static long long events_in(weir_str pack)
{
    int64_t count = 0;
    if (pack.size > 0)
        memcpy(&count, pack.data + 8, sizeof(count));
    return (long long)count;
}

static void expect(weir_harness *harness, const char *expected)
{
    char said[512] = "";
    const struct change *change;
    while ((change = weir_harness_take(harness, change)) != NULL) {
        size_t size = strlen(said);
        snprintf(said + size, sizeof(said) - size, "%s%s %.*s '%.*s'%s", size > 0 ? "; " : "",
            kinds[change->kind], (int)change->yid.size, change->yid.data, (int)change->member.size,
            change->member.data, change->is_shared ? " shared" : "");
        size = strlen(said);
        if (change->kind == CHANGE_JOIN)
            snprintf(said + size, sizeof(said) - size, " %lld", events_in(change->pack));
    }
    assert_string_equal(said, expected);
}

static void send(weir_harness *harness, struct claim claim)
{
    weir_harness_send(harness, claim.body.ts, claim, &claim);
}

/* Both with and without a crash behind every record. */
static weir_harness *maybe_restored(weir_harness *harness, bool is_crashing)
{
    return is_crashing ? weir_harness_restored(harness) : harness;
}

#define X "device:x"

static void an_id_without_owner_is_a_person_of_its_own(void **state)
{
    weir_harness *harness = start(64, false);
    send(harness, anchored(X, 5, "e1"));
    expect(harness, "ADD device:x ''");
    weir_harness_free(harness);
}

static void the_life_of_an_id(void **state)
{
    const struct {
        struct claim claim;
        const char *expected;
    } life[] = {
        { anchored(X, 10, "e10"), "ADD device:x ''" },
        { anchored(X, 11, "e11"), "ADD device:x ''" },
        { evidence(X, "user:u", 20, "e20"), "LEAVE device:x ''; JOIN user:u 'device:x' 2" },
        { anchored(X, 12, "e12"), "ADD user:u 'device:x'" },
        { evidence(X, "user:u", 30, "e30"), "" },
        { evidence(X, "user:v", 25, "e25"), "" }, /* older than u's newest */
        { evidence(X, "user:v", 30, "e3"), "" },  /* a tie, and "e3" < "e30" */
        { evidence(X, "user:v", 30, "e300"),      /* a tie, and "e300" > "e30" */
            "LEAVE user:u 'device:x'; JOIN user:v 'device:x' 3" },
        { anchored(X, 13, "e13"), "ADD user:v 'device:x'" },
        { evidence(X, "user:u", 31, "e31"), "LEAVE user:v 'device:x'; JOIN user:u 'device:x' 4" },
        { evidence(X, "user:w", 1, "e1"), "" }, /* the third claimant, but old */
        { evidence(X, "user:w", 32, "e32"), "LEAVE user:u 'device:x'; JOIN user:w 'device:x' 4" },
        { evidence(X, "user:z", 2, "e2"), /* the fourth is one too many */
            "LEAVE user:w 'device:x'; JOIN device:x '' shared 4" },
        { evidence(X, "user:u", 99, "e99"), "" },
        { anchored(X, 14, "e14"), "ADD device:x '' shared" },
        { evidence(X, "user:y", 100, "e100"), "" },
    };
    for (int is_crashing = 0; is_crashing < 2; is_crashing++) {
        weir_harness *harness = start(3, false);
        for (size_t i = 0; i < sizeof(life) / sizeof(life[0]); i++) {
            send(harness, life[i].claim);
            expect(harness, life[i].expected);
            harness = maybe_restored(harness, is_crashing);
        }
        assert_int_equal(weir_harness_counter(harness, IDENTITY_OWNER_CHANGES), 3);
        assert_int_equal(weir_harness_counter(harness, IDENTITY_BECAME_SHARED), 1);
        weir_harness_free(harness);
    }
}

static void an_id_without_events_moves_all_the_same(void **state)
{
    weir_harness *harness = start(2, false);
    send(harness, evidence(X, "user:u", 1, "a"));
    expect(harness, "JOIN user:u 'device:x' 0");
    send(harness, evidence(X, "user:v", 2, "b"));
    expect(harness, "LEAVE user:u 'device:x'; JOIN user:v 'device:x' 0");
    send(harness, evidence(X, "user:w", 3, "c"));
    expect(harness, "LEAVE user:v 'device:x'");
    send(harness, anchored(X, 4, "d"));
    expect(harness, "ADD device:x '' shared");
    weir_harness_free(harness);
}

static void with_a_limit_of_one_the_second_user_makes_it_shared(void **state)
{
    weir_harness *harness = start(1, false);
    send(harness, evidence(X, "user:u", 1, "a"));
    send(harness, evidence(X, "user:u", 2, "b"));
    expect(harness, "JOIN user:u 'device:x' 0");
    send(harness, evidence(X, "user:v", 1, "c"));
    expect(harness, "LEAVE user:u 'device:x'");
    weir_harness_free(harness);
}

/* 64 users are not too many, in whatever order they come, and 65 are. */
static void the_limit_counts_distinct_users(void **state)
{
    weir_harness *harness = start(64, false);
    char user[32];
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 64; i++) {
            snprintf(user, sizeof(user), "user:%d", i);
            send(harness, evidence(X, user, 1000 - i, "e"));
        }
    assert_int_equal(weir_harness_counter(harness, IDENTITY_BECAME_SHARED), 0);
    assert_int_equal(weir_harness_counter(harness, IDENTITY_OWNER_CHANGES), 0);
    send(harness, evidence(X, "user:64", 1, "e"));
    assert_int_equal(weir_harness_counter(harness, IDENTITY_BECAME_SHARED), 1);
    weir_harness_free(harness);
}

/* A fragment larger than a pack comes as a JOIN and several PARTs. */
static void a_large_fragment_moves_in_parts(void **state)
{
    enum { TAGS = 400 };
    static char value[TAG_VALUE_SIZE_MAX];
    memset(value, 'x', sizeof(value));
    weir_harness *harness = start(64, false);
    for (int i = 0; i < TAGS; i++) {
        char name[16], packed[2 * TAG_VALUE_SIZE_MAX];
        struct claim claim = anchored(X, i, "e");
        snprintf(name, sizeof(name), "t%d", i);
        size_t size = tag_put(packed, weir_str_of(name), true,
            (weir_str){ .data = value, .size = sizeof(value) });
        claim.body.tags = (weir_str){ .data = packed, .size = size };
        send(harness, claim);
        assert_int_equal(weir_harness_take(harness, change)->kind, CHANGE_ADD);
    }
    send(harness, evidence(X, "user:u", 1, "a"));
    assert_int_equal(weir_harness_take(harness, change)->kind, CHANGE_LEAVE);
    uint64_t size = 0, parts = 0;
    const struct change *change;
    while ((change = weir_harness_take(harness, change)) != NULL) {
        assert_int_equal(change->kind, parts == 0 ? CHANGE_JOIN : CHANGE_PART);
        assert_true(change->pack.size <= FRAGMENT_PACK_MAX);
        size += change->pack.size;
        parts++;
    }
    assert_true(parts > 5);
    assert_true(size > (uint64_t)TAGS * TAG_VALUE_SIZE_MAX);
    weir_harness_free(harness);
}

static void fragments_are_emitted_once_an_interval_and_whole(void **state)
{
    weir_harness *harness = start(64, true);
    for (int i = 0; i < 5; i++)
        send(harness, anchored(X, i, "e"));
    send(harness, evidence(X, "user:u", 9, "f"));
    harness = weir_harness_restored(harness);
    weir_harness_clock(harness, 1000);
    const struct output *output = weir_harness_take_side(harness, IDENTITY_FRAGMENT);
    assert_non_null(output);
    assert_true(weir_str_equal(output->yid, WEIR_STR(X)));
    assert_true(weir_str_equal(output->json,
        WEIR_STR("{\"yid\":\"device:x\",\"tags\":{\"count\":5,\"count.view\":5,\"first_seen\":0,"
                 "\"last_seen\":4}}")));
    weir_harness_clock(harness, 5000);
    assert_null(weir_harness_take_side(harness, IDENTITY_FRAGMENT));
    send(harness, evidence(X, "user:v", 10, "g")); /* moves it, but adds nothing to it */
    weir_harness_clock(harness, 9000);
    assert_null(weir_harness_take_side(harness, IDENTITY_FRAGMENT));
    weir_harness_free(harness);
}

static void another_limit_is_another_state(void **state)
{
    struct identity other;
    identity_init(&identity, 64, 1000, false);
    identity_init(&other, 65, 1000, false);
    assert_string_equal(identity.states[0].name, "link (--id-fanout-limit 64)");
    assert_string_not_equal(identity.states[0].name, other.states[0].name);
    identity_init(&other, 64, 5, true);
    assert_string_equal(identity.states[0].name, other.states[0].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_without_owner_is_a_person_of_its_own),
        cmocka_unit_test(the_life_of_an_id),
        cmocka_unit_test(an_id_without_events_moves_all_the_same),
        cmocka_unit_test(with_a_limit_of_one_the_second_user_makes_it_shared),
        cmocka_unit_test(the_limit_counts_distinct_users),
        cmocka_unit_test(a_large_fragment_moves_in_parts),
        cmocka_unit_test(fragments_are_emitted_once_an_interval_and_whole),
        cmocka_unit_test(another_limit_is_another_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

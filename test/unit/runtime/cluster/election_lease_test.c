/* election_lease_test.c -- looks in, actions out. */
#include "runtime/cluster/election_lease.h"

#include "test/support/expect.h"

#define LEASE_MS 1000

/* A script: each row is a look at a time, and what it must lead to. */
struct row {
    int64_t now_ms;
    struct election_look look;
    enum election_action action;
};

static void run(struct election_lease *lease, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum election_action action = election_lease_look(lease, &rows[i].look, rows[i].now_ms);
        if (action != rows[i].action)
            print_error("row %zu: %d\n", i, (int)action);
        assert_int_equal(action, rows[i].action);
        assert_true(lease->next_ms > rows[i].now_ms);
    }
}

#define RUN(rows_) run(&lease, rows_, COUNT_OF(rows_))

static void nobody_or_resigned_is_claimed_at_once(void **state)
{
    static const struct row nobody[] = { { 0, { .highest = 0 }, ELECTION_CLAIM } };
    static const struct row resigned[] = {
        { 0, { .highest = 3, .content = 1 }, ELECTION_WAIT },
        { 10, { .highest = 3, .content = 2, .is_resigned = true }, ELECTION_CLAIM },
    };
    struct election_lease lease;
    election_lease_init(&lease, LEASE_MS, true);
    RUN(nobody);
    election_lease_init(&lease, LEASE_MS, true);
    RUN(resigned);
}

static void what_stands_still_for_a_lease_is_claimed(void **state)
{
    static const struct row rows[] = {
        { 5000, { .highest = 3, .content = 1 }, ELECTION_WAIT },
        { 5999, { .highest = 3, .content = 1 }, ELECTION_WAIT },
        { 6000, { .highest = 3, .content = 2 }, ELECTION_WAIT }, /* it lives */
        { 6999, { .highest = 3, .content = 2 }, ELECTION_WAIT },
        { 6999, { .highest = 4, .content = 2 }, ELECTION_WAIT }, /* another */
        { 7998, { .highest = 4, .content = 2 }, ELECTION_WAIT },
        { 7999, { .highest = 4, .content = 2 }, ELECTION_CLAIM },
    };
    struct election_lease lease;
    election_lease_init(&lease, LEASE_MS, true);
    RUN(rows);
}

static void a_look_that_failed_begins_the_time_anew(void **state)
{
    static const struct row before[] = { { 0, { .highest = 3, .content = 1 }, ELECTION_WAIT } };
    static const struct row after[] = {
        { 1500, { .highest = 3, .content = 1 }, ELECTION_WAIT },
        { 2499, { .highest = 3, .content = 1 }, ELECTION_WAIT },
        { 2500, { .highest = 3, .content = 1 }, ELECTION_CLAIM },
    };
    struct election_lease lease;
    election_lease_init(&lease, LEASE_MS, true);
    RUN(before);
    election_lease_failed(&lease, 900);
    assert_true(lease.next_ms > 900);
    RUN(after);
}

static void an_observer_never_claims(void **state)
{
    static const struct row rows[] = {
        { 0, { .highest = 0 }, ELECTION_WAIT },
        { 10, { .highest = 3, .is_resigned = true }, ELECTION_WAIT },
        { 9000, { .highest = 3, .is_resigned = true }, ELECTION_WAIT },
    };
    struct election_lease lease;
    election_lease_init(&lease, LEASE_MS, false);
    RUN(rows);
}

static void who_holds_the_highest_claim_renews_until_it_is_lost(void **state)
{
    static const struct {
        struct election_look look;
        enum election_action action;
    } cases[] = {
        { { .highest = 4, .is_own_there = true }, ELECTION_RENEW },
        { { .highest = 5, .is_own_there = true }, ELECTION_LOST },
        { { .highest = 4, .is_own_there = false }, ELECTION_LOST },
        { { .highest = 0 }, ELECTION_LOST }, /* the directory was emptied */
        { { .highest = 3 }, ELECTION_LOST },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct election_lease lease;
        election_lease_init(&lease, LEASE_MS, true);
        election_lease_claimed(&lease, 4);
        assert_false(lease.is_leader || election_lease_is_sure(&lease, 0));
        election_lease_renewed(&lease, 100);
        assert_int_equal(election_lease_look(&lease, &cases[0].look, 150), ELECTION_LEAD);
        assert_int_equal(election_lease_look(&lease, &cases[i].look, 200), cases[i].action);
        assert_int_equal(lease.is_leader, cases[i].action == ELECTION_RENEW);
        assert_int_equal(election_lease_is_sure(&lease, 200), cases[i].action == ELECTION_RENEW);
        assert_true(lease.floor >= 4); /* the next claim is higher, whatever is there */
    }
}

static void who_was_replaced_before_it_wrote_never_leads(void **state)
{
    struct election_lease lease;
    struct election_look mine = { .highest = 4, .is_own_there = true };
    struct election_look others = { .highest = 5, .is_own_there = true };
    election_lease_init(&lease, LEASE_MS, true);
    election_lease_claimed(&lease, 4);
    assert_int_equal(election_lease_look(&lease, &mine, 100), ELECTION_RENEW);
    election_lease_renewed(&lease, 100);
    assert_int_equal(election_lease_look(&lease, &mine, 1100), ELECTION_RENEW); /* too slow */
    assert_false(lease.is_leader);
    election_lease_renewed(&lease, 1100);
    assert_int_equal(election_lease_look(&lease, &others, 1200), ELECTION_LOST);
    assert_false(lease.is_leader);
}

static void a_leader_is_sure_for_one_lease_from_the_begin_of_a_renewal(void **state)
{
    struct election_lease lease;
    election_lease_init(&lease, LEASE_MS, true);
    election_lease_claimed(&lease, 1);
    election_lease_renewed(&lease, 100);
    assert_false(election_lease_is_sure(&lease, 100));
    struct election_look look = { .highest = 1, .is_own_there = true };
    assert_int_equal(election_lease_look(&lease, &look, 150), ELECTION_LEAD);
    assert_true(election_lease_is_sure(&lease, 1099));
    assert_false(election_lease_is_sure(&lease, 1100));
    election_lease_failed(&lease, 1100);
    assert_true(lease.is_leader); /* it tries again */
    election_lease_renewed(&lease, 1300);
    assert_true(election_lease_is_sure(&lease, 1300));
}

static void looks_are_several_in_a_lease_and_soon_for_a_candidate(void **state)
{
    struct election_lease lease;
    struct election_look look = { .highest = 1, .is_own_there = true };
    election_lease_init(&lease, 60000, true);
    election_lease_look(&lease, &look, 0);
    assert_int_equal(lease.next_ms, 250);
    assert_false(election_lease_is_due(&lease, 249));
    assert_true(election_lease_is_due(&lease, 250));
    election_lease_init(&lease, 60000, true);
    election_lease_claimed(&lease, 1);
    election_lease_look(&lease, &look, 0);
    assert_int_equal(lease.next_ms, 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_or_resigned_is_claimed_at_once),
        cmocka_unit_test(what_stands_still_for_a_lease_is_claimed),
        cmocka_unit_test(a_look_that_failed_begins_the_time_anew),
        cmocka_unit_test(an_observer_never_claims),
        cmocka_unit_test(who_holds_the_highest_claim_renews_until_it_is_lost),
        cmocka_unit_test(who_was_replaced_before_it_wrote_never_leads),
        cmocka_unit_test(a_leader_is_sure_for_one_lease_from_the_begin_of_a_renewal),
        cmocka_unit_test(looks_are_several_in_a_lease_and_soon_for_a_candidate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* election_file_test.c -- candidates on one simulated disk: stopped, killed and cut off at every call. */
#include "runtime/cluster/election.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_os.h"
#include "test/support/random.h"
#include "test/support/temp_dir.h"

#include <errno.h>
#include <stdio.h>

#include "test/support/expect.h"

#define LEASE_MS 1000
#define DIR      "/shared/election"
#define MEMBERS  3u

/* One simulated machine with job managers 0 .. MEMBERS - 1; each is the process of its number. */
static struct election *members[MEMBERS];
static uint64_t newest_epoch; /* of any leader ever */

static int64_t now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

static void pass(int64_t ms)
{
    sim_os_advance_ns(ms * 1000000);
}

static weir_error *try_open(uint32_t i, bool is_observer)
{
    char rpc[32], rest[32];
    snprintf(rpc, sizeof(rpc), "host%u:6123", i);
    snprintf(rest, sizeof(rest), "host%u:8081", i);
    struct election_options options = { .class = &election_file,
        .rpc = rpc,
        .rest = rest,
        .is_observer = is_observer,
        .file = { .dir = DIR, .lease_ms = LEASE_MS } };
    sim_os_run_as(i);
    return election_new(&options, &members[i]);
}

static void start(uint32_t i)
{
    expect_ok(try_open(i, false));
}

static bool step(uint32_t i)
{
    sim_os_run_as(i);
    bool was_leader = members[i]->view.is_leader;
    uint64_t old_epoch = members[i]->view.leader.epoch;
    bool has_changed = election_step(members[i], now_ms());
    const struct election_view *view = election_view(members[i]);
    if (view->is_leader && (!was_leader || view->leader.epoch != old_epoch)) {
        assert_true(view->leader.epoch > newest_epoch);
        newest_epoch = view->leader.epoch;
    }
    return has_changed;
}

static bool passes(uint32_t i)
{
    sim_os_run_as(i);
    weir_error *error =
        members[i] == NULL ? weir_errorf(WEIR_E_FENCED, "away") : election_check(members[i]);
    bool is_ok = error == NULL;
    assert_true(is_ok || weir_error_code(error) == WEIR_E_FENCED);
    weir_error_free(error);
    return is_ok;
}

static void stop(uint32_t i)
{
    sim_os_run_as(i);
    election_free(members[i]);
    members[i] = NULL;
}

/* The process dies; its memory is freed without any effect on the disk. */
static void die(uint32_t i)
{
    sim_os_kill(i);
    stop(i);
    sim_os_reap(i);
}

static int setup(void **state)
{
    log_set_level(LOG_ERROR);
    memset(members, 0, sizeof(members));
    newest_epoch = 0;
    sim_os_start(1);
    expect_ok(os_make_dirs_durable("/shared"));
    return 0;
}

static int teardown(void **state)
{
    for (uint32_t i = 0; i < MEMBERS; i++)
        if (members[i] != NULL)
            stop(i);
    sim_os_run_as(0);
    sim_os_stop();
    return 0;
}

static void again(void)
{
    teardown(NULL);
    setup(NULL);
}

static void wait_for_leader(uint32_t i)
{
    for (uint32_t tries = 0; !election_view(members[i])->is_leader; tries++) {
        assert_true(tries < 100);
        pass(LEASE_MS / 10);
        step(i);
    }
}

/* -- the plain life --------------------------------------------------------------------------- */

static void the_first_leads_at_once_and_others_learn_of_it(void **state)
{
    start(0);
    assert_false(passes(0));
    assert_true(step(0));
    assert_true(passes(0));
    assert_int_equal(election_view(members[0])->leader.epoch, 1);
    assert_false(step(0));
    start(1);
    assert_true(step(1));
    assert_false(passes(1));
    assert_int_equal(election_view(members[1])->leader.epoch, 1);
    assert_string_equal(election_view(members[1])->leader.rpc, "host0:6123");
    assert_string_equal(election_view(members[1])->leader.rest, "host0:8081");
}

static void a_leader_that_lives_stays(void **state)
{
    start(0);
    start(1);
    for (int64_t i = 0; i < 100; i++) {
        step(0);
        step(1);
        assert_true(passes(0));
        assert_false(passes(1));
        pass(LEASE_MS / 4);
    }
    assert_int_equal(newest_epoch, 1);
}

static void a_resignation_hands_over_at_the_next_look(void **state)
{
    start(0);
    start(1);
    step(0);
    step(1);
    sim_os_run_as(0);
    election_resign(members[0]);
    assert_false(passes(0));
    pass(LEASE_MS / 4);
    assert_true(step(1));
    assert_true(passes(1));
    assert_int_equal(newest_epoch, 2);
    assert_true(step(0)); /* an observer now */
    assert_int_equal(election_view(members[0])->leader.epoch, 2);
    stop(1);
    pass(10 * LEASE_MS);
    step(0);
    assert_false(election_view(members[0])->is_leader);
}

static void a_dead_leader_is_replaced_after_its_lease(void **state)
{
    start(0);
    start(1);
    step(0);
    step(1);
    die(0);
    for (int64_t waited = 0; waited < LEASE_MS - 100; waited += 100) {
        pass(100);
        step(1);
        assert_false(election_view(members[1])->is_leader);
    }
    pass(400);
    step(1);
    assert_true(passes(1));
    assert_int_equal(newest_epoch, 2);
}

static void an_observer_follows_and_never_leads(void **state)
{
    expect_ok(try_open(1, true));
    step(1);
    assert_int_equal(election_view(members[1])->leader.epoch, 0);
    start(0);
    step(0);
    pass(250);
    assert_true(step(1));
    assert_string_equal(election_view(members[1])->leader.rpc, "host0:6123");
    die(0);
    pass(10 * LEASE_MS);
    step(1);
    pass(10 * LEASE_MS);
    step(1);
    assert_false(election_view(members[1])->is_leader);
    assert_int_equal(election_view(members[1])->leader.epoch, 1); /* the last heard of */
}

/* -- bad days --------------------------------------------------------------------------------- */

static void others_take_over(void *arg)
{
    (void)arg;
    sim_os_run_as(1);
    if (members[1] == NULL)
        start(1);
    step(1);
    for (int i = 0; i < 8; i++) {
        pass(LEASE_MS / 2);
        step(1);
    }
    assert_true(passes(1));
    sim_os_run_as(0);
}

/* SIGSTOP before each call of a leader's step, or of the step in which it claims. */
static void a_leader_frozen_at_any_call_finds_that_it_was_replaced(void **state)
{
    for (int is_leader = 0; is_leader < 2; is_leader++) {
        bool was_hit = true;
        for (uint64_t n = 1; was_hit; n++) {
            again();
            start(0);
            if (is_leader == 1)
                step(0);
            pass(LEASE_MS / 4);
            sim_os_run_as(0);
            sim_os_freeze_at(n, others_take_over, NULL);
            step(0);
            sim_os_freeze_at(0, NULL, NULL);
            was_hit = members[1] != NULL;
            if (!was_hit)
                break;
            assert_false(passes(0) && passes(1));
            assert_true(passes(1));
            pass(LEASE_MS / 4);
            step(0);
            step(1);
            assert_false(election_view(members[0])->is_leader);
            assert_true(passes(1));
            assert_string_equal(election_view(members[0])->leader.rpc, "host1:6123");
        }
    }
}

static void time_passes(void *arg)
{
    *(bool *)arg = true;
    pass(LEASE_MS);
}

/* Others count from when they see it, which may be early in the call. */
static void a_renewal_that_took_a_whole_lease_is_no_certainty(void **state)
{
    bool was_hit = true;
    uint32_t doubts = 0;
    for (uint64_t n = 1; was_hit; n++) {
        again();
        start(0);
        step(0);
        pass(LEASE_MS / 4);
        sim_os_run_as(0);
        was_hit = false;
        sim_os_freeze_at(n, time_passes, &was_hit);
        step(0);
        sim_os_freeze_at(0, NULL, NULL);
        doubts += !passes(0);
    }
    assert_in_range(doubts, 2, 100); /* at least while it is written, and renamed */
}

static void a_check_that_was_frozen_says_no_or_spoke_before_the_takeover(void **state)
{
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        again();
        start(0);
        step(0);
        sim_os_run_as(0);
        sim_os_freeze_at(n, others_take_over, NULL);
        bool is_ok = passes(0);
        sim_os_freeze_at(0, NULL, NULL);
        was_hit = members[1] != NULL;
        assert_int_equal(is_ok, !was_hit);
        assert_int_equal(passes(0), !was_hit);
    }
}

static void a_process_killed_at_any_call_is_replaced(void **state)
{
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        again();
        start(0);
        sim_os_run_as(0);
        sim_os_kill_at(n);
        for (int i = 0; i < 8; i++) { /* claim, renewals */
            step(0);
            pass(LEASE_MS / 4);
        }
        sim_os_run_as(0);
        passes(0);
        sim_os_kill_at(0);
        was_hit = sim_os_is_dead(0);
        stop(0);
        if (was_hit)
            sim_os_reap(0);
        start(1);
        wait_for_leader(1);
        assert_true(passes(1));
    }
}

static void a_claim_survives_a_power_failure(void **state)
{
    for (uint64_t seed = 1; seed <= 16; seed++) {
        sim_os_run_as(0);
        sim_os_stop();
        sim_os_start(seed);
        newest_epoch = 0;
        expect_ok(os_make_dirs_durable("/shared"));
        for (int i = 0; i < 4; i++) {
            start(0);
            wait_for_leader(0);
            die(0);
            sim_os_power_loss();
        }
        assert_int_equal(newest_epoch, 4);
    }
}

/* Each call fails once; whatever that leads to passes. */
static void a_call_that_fails_once_does_no_harm(void **state)
{
    static const int errors[] = { EIO, ENOSPC };
    for (uint64_t n = 1; n < 60; n++) {
        again();
        start(0);
        start(1);
        sim_os_fail_at(n, errors[n % 2]);
        for (int i = 0; i < 40; i++) {
            step(0);
            step(1);
            assert_false(passes(0) && passes(1));
            pass(LEASE_MS / 8);
        }
        assert_true(passes(0) || passes(1));
    }
}

static void on_a_full_disk_nobody_is_certain_and_the_old_one_leads_on(void **state)
{
    start(0);
    start(1);
    step(0);
    step(1);
    sim_os_fail_one_in(1, ENOSPC);
    for (int i = 0; i < 12; i++) {
        pass(LEASE_MS / 4);
        step(0);
        step(1);
        assert_false(passes(0) || passes(1));
    }
    sim_os_fail_one_in(0, 0);
    pass(LEASE_MS / 4);
    step(0);
    step(1);
    assert_true(passes(0));
    assert_int_equal(newest_epoch, 1);
}

static void a_removed_directory_ends_the_leader_and_is_not_made_anew(void **state)
{
    start(0);
    start(1);
    step(0);
    step(1);
    expect_ok(os_remove_tree(DIR));
    assert_false(passes(0));
    for (int i = 0; i < 8; i++) {
        pass(LEASE_MS / 2);
        step(0);
        step(1);
        assert_false(passes(0) || passes(1));
    }
    struct os_stat stat;
    expect_ok(os_stat(DIR, &stat));
    assert_false(stat.exists);
    /* Somebody makes it again: the epoch is higher than any before all the same. */
    expect_ok(os_make_dirs_durable(DIR));
    wait_for_leader(1);
    assert_int_equal(newest_epoch, 2);
}

static void an_emptied_directory_ends_the_epoch(void **state)
{
    start(0);
    step(0);
    expect_ok(os_remove(DIR "/leader-1"));
    assert_false(passes(0));
    assert_true(step(0));
    assert_true(passes(0)); /* it has claimed anew */
    assert_int_equal(newest_epoch, 2);
}

static void without_the_directory_above_nothing_starts(void **state)
{
    expect_ok(os_remove_tree("/shared"));
    expect_error(try_open(0, false), WEIR_E_IO, "there is no directory '/shared' for the election");
}

static void a_damaged_file_has_its_lease_and_no_address(void **state)
{
    static const char *const damaged[] = { "", "weir-leader 1\n", "rubbish",
        "weir-leader 1\nepoch 7\n"
        "sequence 1\nstate resigned\nrpc a:1\nrest b:2\nchecksum 0000000000000000\n" };
    for (size_t i = 0; i < COUNT_OF(damaged); i++) {
        again();
        expect_ok(os_make_dirs_durable(DIR));
        expect_ok(os_write_file(DIR "/leader-7", damaged[i], strlen(damaged[i])));
        start(0);
        step(0);
        assert_int_equal(election_view(members[0])->leader.epoch, 0);
        pass(LEASE_MS - 1);
        step(0);
        assert_false(election_view(members[0])->is_leader);
        pass(LEASE_MS);
        step(0);
        assert_true(passes(0));
        assert_int_equal(newest_epoch, 8);
    }
}

static void old_claims_are_deleted_and_what_is_not_ours_stays(void **state)
{
    expect_ok(os_make_dirs_durable(DIR));
    expect_ok(os_write_file(DIR "/notes", "x", 1));
    expect_ok(os_write_file(DIR "/leader-x", "x", 1));
    expect_ok(os_write_file(DIR "/leader-1.0011223344556677.tmp", "x", 1));
    for (uint32_t i = 0; i < 5; i++) {
        start(0);
        wait_for_leader(0);
        pass(LEASE_MS / 2);
        step(0);
        stop(0);
    }
    char **names;
    uint32_t count;
    expect_ok(os_list(DIR, &names, &count));
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "leader-5");
    assert_string_equal(names[1], "leader-x");
    assert_string_equal(names[2], "notes");
    os_names_free(names, count);
}

/* -- anything at all -------------------------------------------------------------------------- */

static struct random *dice;

static void some_others_step(void *arg)
{
    (void)arg;
    uint32_t frozen = sim_os_process();
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t other = (uint32_t)random_below(dice, MEMBERS);
        pass((int64_t)random_below(dice, LEASE_MS));
        if (other != frozen && members[other] != NULL && !sim_os_is_dead(other))
            step(other);
    }
    sim_os_run_as(frozen);
}

static void one_event(void)
{
    uint32_t i = (uint32_t)random_below(dice, MEMBERS);
    if (members[i] == NULL) {
        start(i);
        return;
    }
    switch (random_below(dice, 12)) {
    case 0:
        die(i);
        return;
    case 1:
        stop(i);
        return;
    case 2:
    case 3:
        sim_os_run_as(i);
        sim_os_freeze_at(1 + random_below(dice, 12), some_others_step, NULL);
        step(i);
        sim_os_freeze_at(0, NULL, NULL);
        return;
    case 4:
        sim_os_fail_one_in(3, random_below(dice, 2) == 0 ? EIO : ENOSPC);
        step(i);
        sim_os_fail_one_in(0, 0);
        return;
    default:
        step(i);
    }
}

static void whatever_happens_one_leads_and_epochs_rise(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random random;
        again();
        random.state = seed;
        dice = &random;
        for (uint32_t i = 0; i < 150; i++) {
            one_event();
            pass((int64_t)random_below(dice, LEASE_MS / 3));
            uint32_t sure = 0;
            for (uint32_t j = 0; j < MEMBERS; j++)
                sure += passes(j);
            assert_true(sure <= 1);
        }
        uint32_t leaders = 0;
        for (uint32_t i = 0; i < MEMBERS; i++)
            if (members[i] == NULL)
                start(i);
        for (uint32_t i = 0; i < 40 * MEMBERS; i++) {
            step(i % MEMBERS);
            pass(LEASE_MS / 30);
        }
        for (uint32_t i = 0; i < MEMBERS; i++)
            leaders += passes(i);
        assert_int_equal(leaders, 1);
    }
}

#define CASE(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_first_leads_at_once_and_others_learn_of_it),
        CASE(a_leader_that_lives_stays),
        CASE(a_resignation_hands_over_at_the_next_look),
        CASE(a_dead_leader_is_replaced_after_its_lease),
        CASE(an_observer_follows_and_never_leads),
        CASE(a_leader_frozen_at_any_call_finds_that_it_was_replaced),
        CASE(a_renewal_that_took_a_whole_lease_is_no_certainty),
        CASE(a_check_that_was_frozen_says_no_or_spoke_before_the_takeover),
        CASE(a_process_killed_at_any_call_is_replaced),
        CASE(a_claim_survives_a_power_failure),
        CASE(a_call_that_fails_once_does_no_harm),
        CASE(on_a_full_disk_nobody_is_certain_and_the_old_one_leads_on),
        CASE(a_removed_directory_ends_the_leader_and_is_not_made_anew),
        CASE(an_emptied_directory_ends_the_epoch),
        CASE(without_the_directory_above_nothing_starts),
        CASE(a_damaged_file_has_its_lease_and_no_address),
        CASE(old_claims_are_deleted_and_what_is_not_ours_stays),
        CASE(whatever_happens_one_leads_and_epochs_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

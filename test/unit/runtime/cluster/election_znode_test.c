/* election_znode_test.c -- calls in order, and candidates against a model of ZooKeeper that loses things. */
#include "runtime/cluster/election_znode.h"

#include "test/support/random.h"

#include <inttypes.h>
#include <stdio.h>

#include "test/support/expect.h"

#define TIMEOUT_MS 1000

static const struct election_leader me = { .epoch = 7, .rpc = "a:1", .rest = "a:2" };

static void expect_call(struct election_znode *node, enum election_znode_call call, int64_t now_ms)
{
    assert_int_equal(election_znode_next(node, now_ms), call);
}

/* As far as a session whose own node is the lowest, and has been read. */
static void lead(struct election_znode *node)
{
    static const char *const none[] = { "other" }, *const own[] = {
        "candidate-00000000000000ab-0000000005"
    };
    election_znode_init(node, 0xab, false);
    expect_call(node, ZNODE_OPEN, 0);
    expect_call(node, ZNODE_NONE, 0);
    election_znode_connected(node, TIMEOUT_MS);
    expect_call(node, ZNODE_MAKE, 0);
    expect_call(node, ZNODE_NONE, 0); /* one at a time */
    election_znode_answer(node, ZNODE_OK, 0);
    expect_call(node, ZNODE_LIST, 0);
    election_znode_children(node, none, 1);
    expect_call(node, ZNODE_CREATE, 0);
    election_znode_answer(node, ZNODE_OK, 0);
    expect_call(node, ZNODE_LIST, 0);
    election_znode_children(node, own, 1);
    expect_call(node, ZNODE_READ, 0);
    election_znode_data(node, &me);
    assert_false(election_znode_is_sure(node, 0));
    expect_call(node, ZNODE_RENEW, 100);
    election_znode_answer(node, ZNODE_OK, 150);
    assert_true(node->is_leader);
}

static void the_lowest_leads_from_its_first_renewal(void **state)
{
    struct election_znode node;
    lead(&node);
    assert_int_equal(node.leader.epoch, 7);
    assert_int_equal(election_znode_deadline_ms(&node), 400);
    expect_call(&node, ZNODE_NONE, 399);
    expect_call(&node, ZNODE_RENEW, 400);
}

static void certainty_lasts_for_the_time_out_from_the_asking(void **state)
{
    struct election_znode node;
    lead(&node);
    assert_true(election_znode_is_sure(&node, 1099)); /* asked for at 100 */
    assert_false(election_znode_is_sure(&node, 1100));
    election_znode_disconnected(&node);
    assert_false(election_znode_is_sure(&node, 151));
    assert_true(node.is_leader); /* it may come back in time */
    election_znode_connected(&node, TIMEOUT_MS);
    assert_true(election_znode_is_sure(&node, 151));
}

static void an_expired_session_ends_leadership_at_once(void **state)
{
    struct election_znode node;
    lead(&node);
    election_znode_ended(&node, 200);
    assert_false(node.is_leader || election_znode_is_sure(&node, 200));
    expect_call(&node, ZNODE_CLOSE, 200);
    election_znode_closed(&node);
    expect_call(&node, ZNODE_NONE, 1199);
    expect_call(&node, ZNODE_OPEN, 1200);
}

static void a_higher_node_waits_and_reads_who_leads(void **state)
{
    static const char *const both[] = { "candidate-00000000000000ab-0000000006",
        "candidate-00000000000000cd-0000000005" };
    static const char *const alone[] = { "candidate-00000000000000ab-0000000006" };
    struct election_znode node;
    lead(&node);
    node.own[0] = '\0'; /* anew, with one in front */
    election_znode_changed(&node);
    expect_call(&node, ZNODE_LIST, 160);
    election_znode_children(&node, both, 2);
    assert_false(node.is_leader);
    expect_call(&node, ZNODE_READ, 160);
    assert_string_equal(node.lowest, both[1]);
    election_znode_data(&node, &me);
    expect_call(&node, ZNODE_NONE, 9000);
    assert_int_equal(election_znode_deadline_ms(&node), INT64_MAX);
    election_znode_changed(&node);
    expect_call(&node, ZNODE_LIST, 9000);
    election_znode_changed(&node); /* once more, before the answer */
    election_znode_children(&node, alone, 1);
    expect_call(&node, ZNODE_LIST, 9000);
    election_znode_children(&node, alone, 1);
    expect_call(&node, ZNODE_READ, 9000);
    election_znode_data(&node, &me);
    expect_call(&node, ZNODE_RENEW, 9000);
}

static void a_creation_whose_answer_was_lost_is_found_by_its_id(void **state)
{
    static const char *const made[] = { "candidate-00000000000000ab-0000000001" };
    struct election_znode node;
    election_znode_init(&node, 0xab, false);
    expect_call(&node, ZNODE_OPEN, 0);
    election_znode_connected(&node, TIMEOUT_MS);
    expect_call(&node, ZNODE_MAKE, 0);
    election_znode_answer(&node, ZNODE_OK, 0);
    expect_call(&node, ZNODE_LIST, 0);
    election_znode_children(&node, NULL, 0);
    expect_call(&node, ZNODE_CREATE, 0);
    election_znode_disconnected(&node);
    election_znode_answer(&node, ZNODE_LOST, 0);
    expect_call(&node, ZNODE_NONE, 0);
    election_znode_connected(&node, TIMEOUT_MS);
    expect_call(&node, ZNODE_LIST, 0);
    election_znode_children(&node, made, 1);
    expect_call(&node, ZNODE_READ, 0); /* no second creation */
}

static void a_node_that_somebody_deleted_is_made_anew(void **state)
{
    struct election_znode node;
    lead(&node);
    expect_call(&node, ZNODE_RENEW, 400);
    election_znode_answer(&node, ZNODE_MISSING, 410);
    assert_false(node.is_leader);
    expect_call(&node, ZNODE_LIST, 410);
    election_znode_children(&node, NULL, 0);
    expect_call(&node, ZNODE_CREATE, 410);
}

static void a_refusal_ends_the_session(void **state)
{
    struct election_znode node;
    lead(&node);
    expect_call(&node, ZNODE_RENEW, 400);
    election_znode_answer(&node, ZNODE_REFUSED, 410);
    assert_false(node.is_leader);
    expect_call(&node, ZNODE_CLOSE, 410);
}

static void an_observer_makes_nothing_and_waits_for_the_path(void **state)
{
    static const char *const one[] = { "candidate-00000000000000cd-0000000005" };
    struct election_znode node;
    election_znode_init(&node, 1, true);
    expect_call(&node, ZNODE_OPEN, 0);
    election_znode_connected(&node, TIMEOUT_MS);
    expect_call(&node, ZNODE_LIST, 0);
    election_znode_answer(&node, ZNODE_MISSING, 10);
    expect_call(&node, ZNODE_NONE, 1009);
    assert_int_equal(election_znode_deadline_ms(&node), 1010);
    expect_call(&node, ZNODE_LIST, 1010);
    election_znode_children(&node, one, 1);
    expect_call(&node, ZNODE_READ, 1010);
    election_znode_data(&node, &me);
    expect_call(&node, ZNODE_NONE, 99999);
    assert_int_equal(node.leader.epoch, 7);
}

static void who_has_resigned_only_watches(void **state)
{
    static const char *const one[] = { "candidate-00000000000000ab-0000000005" };
    struct election_znode node;
    lead(&node);
    election_znode_resign(&node);
    assert_false(node.is_leader);
    expect_call(&node, ZNODE_CLOSE, 200);
    election_znode_closed(&node);
    expect_call(&node, ZNODE_OPEN, 200);
    election_znode_connected(&node, TIMEOUT_MS);
    expect_call(&node, ZNODE_LIST, 200);
    election_znode_children(&node, one, 1);
    assert_false(node.is_lowest);
}

/* -- a model of ZooKeeper --------------------------------------------------------------------- */

#define MEMBERS 3u

static struct member {
    struct election_znode node;
    bool has_session, is_up; /* at the server; the connection */
    int64_t heard_ms;        /* by the server */
    bool has_node;
    uint64_t czxid;
    char name[ZNODE_NAME_SIZE];
    enum election_znode_call call; /* asked for, not answered */
    bool is_done;
    enum election_znode_result result;
    bool has_watch, is_fired;
    char names[MEMBERS][ZNODE_NAME_SIZE]; /* the answer to a LIST */
    uint32_t name_count;
    struct election_leader leader; /* to a READ */
    bool was_leader;
} members[MEMBERS];
static uint64_t zxid, newest_epoch;
static uint32_t sequence;
static int64_t clock_ms;
static struct random dice;

static void fire(void)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        members[i].is_fired = members[i].is_fired || members[i].has_watch;
        members[i].has_watch = false;
    }
}

static void drop_session(struct member *it)
{
    if (it->has_node)
        fire();
    it->has_session = it->has_node = it->has_watch = it->is_fired = false;
}

static void list(struct member *it)
{
    it->name_count = 0;
    it->has_watch = true;
    for (uint32_t i = 0; i < MEMBERS; i++)
        if (members[i].has_node)
            memcpy(it->names[it->name_count++], members[i].name, ZNODE_NAME_SIZE);
}

static void read_lowest(struct member *it)
{
    it->result = ZNODE_MISSING;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (!members[i].has_node || strcmp(members[i].name, it->node.lowest) != 0)
            continue;
        it->result = ZNODE_OK;
        it->leader = (struct election_leader){ .epoch = members[i].czxid };
    }
}

/* The server does what a member has asked for. */
static void serve(struct member *it)
{
    if (it->call == ZNODE_NONE || it->is_done || !it->is_up || !it->has_session)
        return;
    it->is_done = true;
    it->result = ZNODE_OK;
    it->heard_ms = clock_ms;
    if (it->call == ZNODE_LIST)
        list(it);
    if (it->call == ZNODE_READ)
        read_lowest(it);
    if (it->call == ZNODE_RENEW && !it->has_node)
        it->result = ZNODE_MISSING;
    if (it->call != ZNODE_CREATE)
        return;
    assert_false(it->has_node); /* one each */
    it->has_node = true;
    it->czxid = ++zxid;
    snprintf(it->name, sizeof(it->name), ZNODE_PREFIX "%016" PRIx64 "-%010" PRIu32, it->node.id,
        sequence++);
    fire();
}

static void answer(struct member *it, bool is_lost)
{
    enum election_znode_call call = it->call;
    const char *names[MEMBERS];
    if (call == ZNODE_NONE || (!it->is_done && !is_lost))
        return;
    it->call = ZNODE_NONE;
    if (is_lost || it->result != ZNODE_OK || (call != ZNODE_LIST && call != ZNODE_READ)) {
        election_znode_answer(&it->node, is_lost ? ZNODE_LOST : it->result, clock_ms);
        return;
    }
    for (uint32_t i = 0; i < it->name_count; i++)
        names[i] = it->names[i];
    if (call == ZNODE_LIST)
        election_znode_children(&it->node, names, it->name_count);
    else
        election_znode_data(&it->node, &it->leader);
}

static void disconnect(struct member *it)
{
    it->is_up = false;
    election_znode_disconnected(&it->node);
    answer(it, true);
}

static void connect_again(struct member *it)
{
    if (it->node.link != ZNODE_CONNECTING || it->is_up)
        return;
    if (!it->has_session) {
        election_znode_ended(&it->node, clock_ms);
        return;
    }
    it->is_up = true;
    it->heard_ms = clock_ms;
    election_znode_connected(&it->node, TIMEOUT_MS);
}

static void step(struct member *it)
{
    if (it->is_fired && it->is_up) {
        it->is_fired = false;
        election_znode_changed(&it->node);
    }
    enum election_znode_call call = election_znode_next(&it->node, clock_ms);
    if (call == ZNODE_CLOSE) {
        drop_session(it);
        it->is_up = false;
        it->call = ZNODE_NONE;
        election_znode_closed(&it->node);
    } else if (call == ZNODE_OPEN) {
        it->has_session = true;
        it->heard_ms = clock_ms;
    } else if (call != ZNODE_NONE) {
        it->call = call;
        it->is_done = false;
    }
}

static void one_event(bool is_calm)
{
    struct member *it = &members[random_below(&dice, MEMBERS)];
    switch (random_below(&dice, 10)) {
    case 0:
    case 1:
    case 2:
        step(it);
        break;
    case 3:
    case 4:
        serve(it);
        break;
    case 5:
    case 6:
        answer(it, false);
        break;
    case 7:
        connect_again(it);
        break;
    case 8:
        if (it->is_up) /* a ping of the client's */
            it->heard_ms = clock_ms;
        break;
    default:
        if (!is_calm && random_below(&dice, 10) == 0)
            disconnect(it);
    }
}

static void look_after_event(void)
{
    uint32_t sure = 0;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct member *it = &members[i];
        if (it->has_session && clock_ms - it->heard_ms > TIMEOUT_MS) {
            drop_session(it);
            disconnect(it);
        }
        bool is_leader = election_znode_is_sure(&it->node, clock_ms);
        sure += is_leader;
        if (is_leader && !it->was_leader && it->node.leader.epoch != newest_epoch) {
            assert_true(it->node.leader.epoch > newest_epoch);
            newest_epoch = it->node.leader.epoch;
        }
        if (is_leader)
            assert_int_equal(it->node.leader.epoch, it->czxid);
        it->was_leader = is_leader;
    }
    assert_true(sure <= 1);
}

static void whatever_is_lost_one_leads_and_epochs_rise(void **state)
{
    uint64_t elections = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        dice.state = seed;
        memset(members, 0, sizeof(members));
        zxid = newest_epoch = 0;
        clock_ms = 0;
        for (uint32_t i = 0; i < MEMBERS; i++)
            election_znode_init(&members[i].node, 100 + i, false);
        for (uint32_t i = 0; i < 3000; i++) {
            one_event(false);
            clock_ms += random_below(&dice, 500) == 0 ? 900 : random_below(&dice, 20);
            look_after_event();
        }
        elections += newest_epoch > 0;
        for (uint32_t i = 0; i < 3000; i++) {
            one_event(true);
            clock_ms += random_below(&dice, 10);
            look_after_event();
        }
        uint32_t leaders = 0;
        for (uint32_t i = 0; i < MEMBERS; i++)
            leaders += members[i].node.is_leader;
        assert_int_equal(leaders, 1);
    }
    assert_true(elections > 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_leads_from_its_first_renewal),
        cmocka_unit_test(certainty_lasts_for_the_time_out_from_the_asking),
        cmocka_unit_test(an_expired_session_ends_leadership_at_once),
        cmocka_unit_test(a_higher_node_waits_and_reads_who_leads),
        cmocka_unit_test(a_creation_whose_answer_was_lost_is_found_by_its_id),
        cmocka_unit_test(a_node_that_somebody_deleted_is_made_anew),
        cmocka_unit_test(a_refusal_ends_the_session),
        cmocka_unit_test(an_observer_makes_nothing_and_waits_for_the_path),
        cmocka_unit_test(who_has_resigned_only_watches),
        cmocka_unit_test(whatever_is_lost_one_leads_and_epochs_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

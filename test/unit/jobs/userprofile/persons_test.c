/* persons_test.c -- the result depends on the set of events only: any order, any interleaving, any
 * crash.
 *
 *      events, shuffled --> [split] --own--------------------------> queue 0 --+
 *                              |                                               |  any queue next
 *                              +--claims--> [identity] --> a queue per id -----+--> [profile] -> latest
 *
 * What identity says about one id stays in order (it is one subtask and one channel). Between ids,
 * and beside the users' own contributions, chance decides whose queue is served next; now and then
 * everything is restored from a snapshot, or the clock moves and profiles are emitted too early. */
#include "jobs/userprofile/identity.h"
#include "jobs/userprofile/output.h"
#include "jobs/userprofile/profile.h"
#include "jobs/userprofile/split.h"

#include "base/hash.h"
#include "base/memory.h"
#include <weir/testing.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define IDS_MAX     32
#define CHANGES_MAX 100000
#define EVENTS_MAX  60
#define INTERVAL_MS 1000

/* -- chance ---------------------------------------------------------------------------------- */

static uint64_t chance_state;

static uint32_t chance(uint32_t below)
{
    chance_state += UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash_mix(chance_state) >> 32) % below;
}

/* -- events ---------------------------------------------------------------------------------- */

struct made {
    struct event event;
    char event_id[8], ids[ID_KIND_COUNT][8], tags[128];
};

/* Few users, few ids, few points in time: so that owners change, tie and become shared. */
static void make_event(struct made *made, int number)
{
    static const char *const types[] = { "view", "buy", "repay", "overdue" };
    static const char *const categories[] = { "a", "b", "c", "d" };
    memset(made, 0, sizeof(*made));
    struct contribution *body = &made->event.body;
    snprintf(made->event_id, sizeof(made->event_id), "e%d", number);
    body->event_id = weir_str_of(made->event_id);
    body->ts = chance(6);
    body->type = weir_str_of(types[chance(4)]);
    if (chance(2) == 0)
        body->category = weir_str_of(categories[chance(4)]);
    body->has_amount = chance(2) == 0;
    body->amount = body->has_amount ? (int64_t)chance(2000) - 1000 : 0;
    size_t size = 0;
    for (uint32_t i = chance(3); i > 0; i--)
        size += tag_put(made->tags + size, weir_str_of(categories[chance(3)]), true,
            weir_str_of(made->event_id));
    body->tags = (weir_str){ .data = made->tags, .size = size };
    bool is_any = false;
    for (int kind = 0; kind < ID_KIND_COUNT || !is_any; kind++) {
        int at = kind % ID_KIND_COUNT;
        if (chance(2) == 0)
            continue;
        snprintf(made->ids[at], sizeof(made->ids[at]), "%u", chance(at == ID_USER ? 4 : 2));
        made->event.ids[at] = weir_str_of(made->ids[at]);
        is_any = true;
    }
}

/* -- the persons ----------------------------------------------------------------------------- */

struct queue {
    weir_str id; /* whom it is about; empty: users' own contributions */
    uint32_t first, count;
    const struct change *changes[CHANGES_MAX / IDS_MAX];
};

struct latest_output {
    weir_str yid, json;
};

static struct {
    struct identity operator_;
    struct profile_options options;
    weir_harness *split, *identity, *profile;
    struct queue queues[IDS_MAX];
    uint32_t queue_count, output_count;
    struct latest_output outputs[IDS_MAX];
    int64_t now_ms;
} run;

static void run_start(int64_t fanout_limit)
{
    memset(&run, 0, sizeof(run));
    identity_init(&run.operator_, fanout_limit, INTERVAL_MS, false);
    run.options = (struct profile_options){ .emit_interval_ms = INTERVAL_MS };
    run.split = weir_harness_new(&split_operator, NULL, WEIR_NO_KEY);
    run.identity = weir_harness_new(&run.operator_.operator_, &run.operator_, WEIR_KEY(claim, id));
    run.profile = weir_harness_new(&profile_operator, &run.options, WEIR_KEY(change, yid));
}

static void run_free(void)
{
    weir_harness_free(run.split);
    weir_harness_free(run.identity);
    weir_harness_free(run.profile);
}

static void enqueue(weir_str id, const struct change *change)
{
    uint32_t i = 0;
    while (i < run.queue_count && !weir_str_equal(run.queues[i].id, id))
        i++;
    assert_true(i < IDS_MAX);
    if (i == run.queue_count)
        run.queues[run.queue_count++].id = id;
    struct queue *queue = &run.queues[i];
    assert_true(queue->count < CHANGES_MAX / IDS_MAX);
    queue->changes[queue->count++] = change;
}

/* One event through split and identity, into the queues. */
static void run_event(const struct event *event)
{
    weir_harness_send(run.split, event->body.ts, event, event);
    const struct claim *claim;
    const struct change *change;
    while ((change = weir_harness_take_side(run.split, SPLIT_OWN)) != NULL)
        enqueue(WEIR_STR(""), change);
    while ((claim = weir_harness_take(run.split, claim)) != NULL) {
        weir_harness_send(run.identity, event->body.ts, claim, claim);
        while ((change = weir_harness_take(run.identity, change)) != NULL)
            enqueue(claim->id, change);
    }
}

/* Hands over the oldest change of some queue; false: all are empty. */
static bool run_step(void)
{
    if (run.queue_count == 0)
        return false;
    uint32_t choice = chance(run.queue_count);
    for (uint32_t i = 0; i < run.queue_count; i++) {
        struct queue *queue = &run.queues[(choice + i) % run.queue_count];
        if (queue->first == queue->count)
            continue;
        weir_harness_send(run.profile, 0, change, queue->changes[queue->first++]);
        return true;
    }
    return false;
}

static void keep_outputs(void)
{
    const struct output *output;
    while ((output = weir_harness_take(run.profile, output)) != NULL) {
        uint32_t i = 0;
        while (i < run.output_count && !weir_str_equal(run.outputs[i].yid, output->yid))
            i++;
        assert_true(i < IDS_MAX);
        run.output_count += i == run.output_count;
        run.outputs[i] = (struct latest_output){ .yid = output->yid, .json = output->json };
    }
}

static void run_accidents(void)
{
    if (chance(60) == 0)
        run.identity = weir_harness_restored(run.identity);
    if (chance(60) == 0)
        run.profile = weir_harness_restored(run.profile);
    if (chance(10) == 0) {
        run.now_ms += INTERVAL_MS;
        weir_harness_clock(run.profile, run.now_ms);
    }
}

/* -- the result ------------------------------------------------------------------------------ */

static int compare_outputs(const void *a, const void *b)
{
    return weir_str_compare(((const struct latest_output *)a)->yid,
        ((const struct latest_output *)b)->yid);
}

/* The latest records that are no tombstones, by yid, a line each. */
static char *run_result(void)
{
    while (run_step())
        ;
    weir_harness_finish(run.profile);
    keep_outputs();
    qsort(run.outputs, run.output_count, sizeof(run.outputs[0]), compare_outputs);
    char *text = mem_alloc(64 << 10);
    size_t size = 0;
    for (uint32_t i = 0; i < run.output_count; i++) {
        weir_str json = run.outputs[i].json;
        if (json.data == NULL)
            continue;
        memcpy(text + size, json.data, json.size);
        size += json.size;
        text[size++] = '\n';
    }
    return text;
}

static char *result_of(const struct made *events, const uint32_t *order, uint32_t event_count,
    int64_t fanout_limit, bool is_smooth)
{
    run_start(fanout_limit);
    for (uint32_t i = 0; i < event_count; i++) {
        run_event(&events[order[i]].event);
        for (uint32_t steps = is_smooth ? CHANGES_MAX : chance(6); steps > 0 && run_step(); steps--)
            ;
        if (!is_smooth)
            run_accidents();
    }
    char *text = run_result();
    run_free();
    return text;
}

static void shuffle(uint32_t *order, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = chance(i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static void one_set_of_events(uint64_t seed)
{
    static struct made events[EVENTS_MAX];
    uint32_t order[EVENTS_MAX];
    chance_state = seed;
    uint32_t count = 1 + chance(EVENTS_MAX);
    int64_t fanout_limit = 1 + chance(4);
    for (uint32_t i = 0; i < count; i++) {
        make_event(&events[i], (int)i);
        order[i] = i;
    }
    char *expected = result_of(events, order, count, fanout_limit, true);
    assert_true(expected[0] == '{');
    for (int round = 0; round < 3; round++) {
        shuffle(order, count);
        char *text = result_of(events, order, count, fanout_limit, false);
        if (strcmp(text, expected) != 0)
            fail_msg("seed %llu, round %d: expected\n%s\ngot\n%s", (unsigned long long)seed, round,
                expected, text);
        mem_free(text);
    }
    mem_free(expected);
}

static void any_order_and_interleaving_gives_the_same_persons(void **state)
{
    uint64_t seeds = getenv("WEIR_TEST_LONG") != NULL ? 400 : 40;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        one_set_of_events(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_and_interleaving_gives_the_same_persons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

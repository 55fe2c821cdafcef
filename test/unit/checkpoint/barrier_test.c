/* barrier_test.c -- the table of barrier.h row by row, then random channels beside a slow model. */
#include "checkpoint/barrier.h"

#include "test/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))
#define ABORT         UINT32_MAX       /* instead of a channel; expected 1: unblock all */
#define OVERTAKE      (UINT32_MAX - 1) /* the same; expected 1: snapshot */

struct step {
    uint32_t channel;
    uint64_t checkpoint;
    int expected;
};

static void run(uint32_t channel_count, uint64_t last, const struct step *steps, size_t count)
{
    struct barrier barrier;
    barrier_init(&barrier, channel_count, last);
    for (size_t i = 0; i < count; i++) {
        int got = steps[i].channel == ABORT ? (int)barrier_abort(&barrier, steps[i].checkpoint)
                  : steps[i].channel == OVERTAKE
                      ? (int)barrier_overtake(&barrier, steps[i].checkpoint, 0)
                      : (int)barrier_arrived(&barrier, steps[i].channel, steps[i].checkpoint, 0);
        if (got != steps[i].expected)
            fail_msg("step %zu gives %d instead of %d", i, got, steps[i].expected);
    }
    barrier_release(&barrier);
}
#define RUN(channel_count_, last_, ...) \
    run((channel_count_), (last_), (const struct step[]){ __VA_ARGS__ }, \
        COUNT(((const struct step[]){ __VA_ARGS__ })))

static void one_input_snapshots_at_once(void **state)
{
    RUN(1, 0, { 0, 1, BARRIER_SNAPSHOT }, { 0, 2, BARRIER_SNAPSHOT }, { 0, 9, BARRIER_SNAPSHOT });
}

static void the_last_input_makes_the_snapshot(void **state)
{
    RUN(3, 0, { 2, 1, BARRIER_BLOCK }, { 0, 1, BARRIER_BLOCK }, { 1, 1, BARRIER_SNAPSHOT },
        { 1, 2, BARRIER_BLOCK }, { 2, 2, BARRIER_BLOCK }, { 0, 2, BARRIER_SNAPSHOT });
}

static void a_newer_barrier_ends_an_older_alignment(void **state)
{
    RUN(3, 0, { 0, 1, BARRIER_BLOCK }, { 1, 2, BARRIER_RESTART_BLOCK }, { 0, 2, BARRIER_BLOCK },
        { 2, 1, BARRIER_NONE }, { 2, 2, BARRIER_SNAPSHOT });
}

static void a_late_barrier_is_ignored(void **state)
{
    RUN(2, 5, { 0, 5, BARRIER_NONE }, { 1, 3, BARRIER_NONE }, { 0, 6, BARRIER_BLOCK },
        { 1, 4, BARRIER_NONE }, { 1, 6, BARRIER_SNAPSHOT }, { 0, 6, BARRIER_NONE });
}

static void an_abort_unblocks_and_later_barriers_of_it_are_ignored(void **state)
{
    RUN(3, 0, { 0, 1, BARRIER_BLOCK }, { ABORT, 1, true }, { 1, 1, BARRIER_NONE },
        { ABORT, 1, false }, { 2, 1, BARRIER_NONE }, { 0, 2, BARRIER_BLOCK });
}

static void an_abort_before_the_first_barrier_kills_the_checkpoint(void **state)
{
    RUN(2, 0, { ABORT, 1, false }, { 0, 1, BARRIER_NONE }, { 1, 1, BARRIER_NONE },
        { 0, 2, BARRIER_BLOCK }, { 1, 2, BARRIER_SNAPSHOT });
}

static void an_abort_of_a_newer_one_ends_an_older_alignment(void **state)
{
    RUN(2, 0, { 0, 1, BARRIER_BLOCK }, { ABORT, 2, true }, { 1, 1, BARRIER_NONE },
        { 1, 2, BARRIER_NONE }, { 1, 3, BARRIER_BLOCK }, { 0, 3, BARRIER_SNAPSHOT });
}

static void an_abort_of_an_older_one_leaves_the_alignment_alone(void **state)
{
    RUN(2, 0, { 0, 3, BARRIER_BLOCK }, { ABORT, 2, false }, { 1, 3, BARRIER_SNAPSHOT });
}

static void barriers_that_overtake_make_the_snapshot_and_are_late_when_they_arrive(void **state)
{
    RUN(3, 0, { OVERTAKE, 1, true }, { 0, 1, BARRIER_NONE }, { 1, 1, BARRIER_NONE },
        { 2, 1, BARRIER_NONE }, { 0, 2, BARRIER_BLOCK }, { OVERTAKE, 2, true },
        { 1, 2, BARRIER_NONE }, { 0, 3, BARRIER_BLOCK }, { 2, 3, BARRIER_BLOCK },
        { 1, 3, BARRIER_SNAPSHOT });
}

static void what_is_done_or_dead_is_not_overtaken(void **state)
{
    RUN(2, 5, { OVERTAKE, 5, false }, { ABORT, 6, false }, { OVERTAKE, 6, false },
        { 0, 7, BARRIER_BLOCK }, { 1, 7, BARRIER_SNAPSHOT }, { OVERTAKE, 7, false },
        { OVERTAKE, 8, true }, { OVERTAKE, 8, false });
}

static void the_alignment_is_timed_from_its_first_barrier(void **state)
{
    struct barrier barrier;
    barrier_init(&barrier, 2, 0);
    barrier_arrived(&barrier, 0, 1, 1000);
    barrier_arrived(&barrier, 1, 2, 5000); /* starts again */
    assert_int_equal(barrier_arrived(&barrier, 0, 2, 5700), BARRIER_SNAPSHOT);
    assert_int_equal(barrier.alignment_ns, 700);
    barrier_arrived(&barrier, 0, 3, 6000);
    assert_true(barrier_overtake(&barrier, 3, 6100));
    assert_int_equal(barrier.alignment_ns, 100);
    assert_true(barrier_overtake(&barrier, 4, 9000));
    assert_int_equal(barrier.alignment_ns, 0);
    barrier_release(&barrier);
}

/* -- random --------------------------------------------------------------------------------- */

#define CHANNELS_MAX 5u
#define CHECKPOINTS  40u

struct model {
    uint32_t channel_count;
    bool delivered[CHECKPOINTS + 1][CHANNELS_MAX];
    bool is_over[CHECKPOINTS + 1];
    bool is_blocked[CHANNELS_MAX];
    uint64_t next[CHANNELS_MAX]; /* barrier to deliver */
    struct random random;
};

static void end_up_to(struct model *model, uint64_t checkpoint)
{
    for (uint64_t n = 0; n <= checkpoint; n++)
        model->is_over[n] = true;
}

static bool is_aligning(const struct model *model, uint64_t checkpoint)
{
    for (uint32_t c = 0; c < model->channel_count; c++)
        if (model->delivered[checkpoint][c] && !model->is_over[checkpoint])
            return true;
    return false;
}

static enum barrier_action model_arrived(struct model *model, uint32_t channel, uint64_t n)
{
    if (model->is_over[n])
        return BARRIER_NONE;
    bool restarts = false;
    for (uint64_t m = 0; m < n; m++)
        restarts = restarts || is_aligning(model, m);
    end_up_to(model, n - 1);
    model->delivered[n][channel] = true;
    for (uint32_t c = 0; c < model->channel_count; c++)
        if (!model->delivered[n][c])
            return restarts ? BARRIER_RESTART_BLOCK : BARRIER_BLOCK;
    end_up_to(model, n);
    return BARRIER_SNAPSHOT;
}

static void random_step(struct barrier *barrier, struct model *model, uint64_t *last_snapshot)
{
    if (random_one_in(&model->random, 12)) {
        uint64_t n = 1 + random_below(&model->random, CHECKPOINTS);
        bool expected = false;
        for (uint64_t m = 0; m <= n; m++)
            expected = expected || is_aligning(model, m);
        assert_int_equal(barrier_abort(barrier, n), expected);
        end_up_to(model, n);
        if (expected)
            memset(model->is_blocked, 0, sizeof(model->is_blocked));
        return;
    }
    if (random_one_in(&model->random, 12)) {
        uint64_t n = 0; /* the one that aligns, or a later one */
        for (uint64_t m = 1; m <= CHECKPOINTS; m++)
            n = is_aligning(model, m) ? m : n;
        if (n == 0)
            n = 1 + random_below(&model->random, CHECKPOINTS);
        assert_int_equal(barrier_overtake(barrier, n, 0), !model->is_over[n]);
        if (!model->is_over[n])
            memset(model->is_blocked, 0, sizeof(model->is_blocked));
        end_up_to(model, n);
        *last_snapshot = *last_snapshot > n ? *last_snapshot : n;
        return;
    }
    uint32_t channel = random_below(&model->random, model->channel_count);
    if (model->is_blocked[channel] || model->next[channel] > CHECKPOINTS)
        return;
    uint64_t n = model->next[channel];
    model->next[channel] += 1 + random_one_in(&model->random, 6); /* a barrier may never come */
    enum barrier_action expected = model_arrived(model, channel, n);
    assert_int_equal(barrier_arrived(barrier, channel, n, 0), expected);
    if (expected == BARRIER_SNAPSHOT || expected == BARRIER_RESTART_BLOCK)
        memset(model->is_blocked, 0, sizeof(model->is_blocked));
    if (expected == BARRIER_BLOCK || expected == BARRIER_RESTART_BLOCK)
        model->is_blocked[channel] = true;
    if (expected == BARRIER_SNAPSHOT) {
        assert_true(n > *last_snapshot);
        for (uint32_t c = 0; c < model->channel_count; c++)
            assert_true(model->next[c] > n); /* no input is behind its barrier */
        *last_snapshot = n;
    }
}

static void random_channels_behave_like_a_slow_model(void **state)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct model model = { .random = { seed } };
        model.channel_count = 1 + random_below(&model.random, CHANNELS_MAX);
        model.is_over[0] = true;
        for (uint32_t c = 0; c < model.channel_count; c++)
            model.next[c] = 1;
        struct barrier barrier;
        barrier_init(&barrier, model.channel_count, 0);
        uint64_t last_snapshot = 0;
        for (int i = 0; i < 400; i++)
            random_step(&barrier, &model, &last_snapshot);
        barrier_release(&barrier);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_input_snapshots_at_once),
        cmocka_unit_test(the_last_input_makes_the_snapshot),
        cmocka_unit_test(a_newer_barrier_ends_an_older_alignment),
        cmocka_unit_test(a_late_barrier_is_ignored),
        cmocka_unit_test(an_abort_unblocks_and_later_barriers_of_it_are_ignored),
        cmocka_unit_test(an_abort_before_the_first_barrier_kills_the_checkpoint),
        cmocka_unit_test(an_abort_of_a_newer_one_ends_an_older_alignment),
        cmocka_unit_test(an_abort_of_an_older_one_leaves_the_alignment_alone),
        cmocka_unit_test(barriers_that_overtake_make_the_snapshot_and_are_late_when_they_arrive),
        cmocka_unit_test(what_is_done_or_dead_is_not_overtaken),
        cmocka_unit_test(the_alignment_is_timed_from_its_first_barrier),
        cmocka_unit_test(random_channels_behave_like_a_slow_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

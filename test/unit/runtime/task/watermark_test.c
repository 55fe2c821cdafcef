/* watermark_test.c -- the smallest watermark over inputs, as a table, and against its definition. */
#include "runtime/task/watermark.h"

#include "test/support/expect.h"
#include "test/support/random.h"

#define NONE WATERMARK_NONE

enum op { ADD, ADVANCE, IDLE, ACTIVE, FINISH };
struct step {
    enum op op;
    uint32_t input;
    int64_t watermark;
    /* expected */
    bool has_changed;
    int64_t current;
    bool is_idle;
};

#define STEPS_MAX 10
static const struct {
    const char *what;
    struct step steps[STEPS_MAX];
} stories[] = {
    { "one input leads",
        { { ADD, 0, 0, false, NONE, false }, { ADVANCE, 0, 5, true, 5, false },
            { ADVANCE, 0, 9, true, 9, false }, { ADVANCE, 0, 9, false, 9, false } } },
    { "an input that has not spoken holds the others back",
        { { ADD, 0, 0, false, NONE, false }, { ADD, 1, 0, false, NONE, false },
            { ADVANCE, 0, 5, false, NONE, false }, { ADVANCE, 1, 3, true, 3, false },
            { ADVANCE, 1, 8, true, 5, false } } },
    { "a watermark never goes back",
        { { ADD, 0, 0, false, NONE, false }, { ADVANCE, 0, 7, true, 7, false },
            { ADVANCE, 0, 4, false, 7, false }, { ADD, 1, 0, false, 7, false },
            { ADVANCE, 1, 2, false, 7, false }, { ADVANCE, 0, 9, false, 7, false },
            { ADVANCE, 1, 8, true, 8, false } } },
    { "an idle input does not count, and its waking does not pull back",
        { { ADD, 0, 0, false, NONE, false }, { ADD, 1, 0, false, NONE, false },
            { ADVANCE, 0, 5, false, NONE, false }, { IDLE, 1, 0, true, 5, false },
            { IDLE, 1, 0, false, 5, false }, { ADVANCE, 0, 9, true, 9, false },
            { ACTIVE, 1, 0, false, 9, false }, { ADVANCE, 0, 20, false, 9, false },
            { ADVANCE, 1, 15, true, 15, false } } },
    { "with every input idle the whole is idle, at what it had",
        { { ADD, 0, 0, false, NONE, false }, { ADVANCE, 0, 5, true, 5, false },
            { IDLE, 0, 0, true, 5, true }, { ACTIVE, 0, 0, true, 5, false },
            { IDLE, 0, 0, true, 5, true }, { ADVANCE, 0, 6, true, 6, false } } },
    { "a watermark wakes an idle input even if it says nothing new",
        { { ADD, 0, 0, false, NONE, false }, { ADVANCE, 0, 5, true, 5, false },
            { IDLE, 0, 0, true, 5, true }, { ADVANCE, 0, 5, true, 5, false } } },
    { "a finished input does not count for ever",
        { { ADD, 0, 0, false, NONE, false }, { ADD, 1, 0, false, NONE, false },
            { ADVANCE, 1, 9, false, NONE, false }, { FINISH, 0, 0, true, 9, false },
            { FINISH, 0, 0, false, 9, false }, { FINISH, 1, 0, true, 9, true },
            { ADD, 2, 0, false, 9, false }, { ADVANCE, 2, 12, true, 12, false } } },
    { "finished and idle leave the third in charge",
        { { ADD, 0, 0, false, NONE, false }, { ADD, 1, 0, false, NONE, false },
            { ADD, 2, 0, false, NONE, false }, { ADVANCE, 0, 5, false, NONE, false },
            { ADVANCE, 1, 7, false, NONE, false }, { ADVANCE, 2, 9, true, 5, false },
            { FINISH, 0, 0, true, 7, false }, { IDLE, 1, 0, true, 9, false } } },
    { "a new input holds back but does not pull back",
        { { ADD, 0, 0, false, NONE, false }, { ADVANCE, 0, 5, true, 5, false },
            { ADD, 1, 0, false, 5, false }, { ADVANCE, 0, 8, false, 5, false },
            { ADVANCE, 1, 6, true, 6, false } } },
    { "the largest number is a watermark like others",
        { { ADD, 0, 0, false, NONE, false }, { ADVANCE, 0, INT64_MAX, true, INT64_MAX, false },
            { FINISH, 0, 0, true, INT64_MAX, true } } },
};

static bool take(struct watermarks *marks, const struct step *step)
{
    switch (step->op) {
    case ADD:
        assert_int_equal(watermarks_add(marks), step->input);
        return false;
    case ADVANCE:
        return watermarks_advance(marks, step->input, step->watermark);
    case IDLE:
        return watermarks_idle(marks, step->input, true);
    case ACTIVE:
        return watermarks_idle(marks, step->input, false);
    case FINISH:
        return watermarks_finish(marks, step->input);
    }
    return false;
}

static void each_story_ends_as_told(void **state)
{
    for (size_t s = 0; s < COUNT_OF(stories); s++) {
        struct watermarks marks;
        watermarks_init(&marks, 8);
        bool has_begun = false;
        for (size_t i = 0; i < STEPS_MAX; i++) {
            const struct step *step = &stories[s].steps[i];
            if (has_begun && step->op == ADD && step->input == 0)
                break; /* zeros: the story is over */
            has_begun = true;
            bool has_changed = take(&marks, step);
            if (has_changed != step->has_changed || marks.current != step->current ||
                marks.is_idle != step->is_idle)
                fail_msg("'%s', step %zu: changed %d, watermark %lld, idle %d", stories[s].what,
                    i + 1, has_changed, (long long)marks.current, marks.is_idle);
        }
        watermarks_release(&marks);
    }
}

/* -- against the definition ----------------------------------------------------------------------- */

#define INPUTS 5

struct model {
    struct watermark_input inputs[INPUTS];
    uint32_t count;
    int64_t current;
    bool is_idle;
};

static void settle(struct model *model)
{
    int64_t smallest = INT64_MAX;
    model->is_idle = true;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct watermark_input *input = &model->inputs[i];
        if (input->is_idle || input->is_finished)
            continue;
        model->is_idle = false;
        smallest = input->watermark < smallest ? input->watermark : smallest;
    }
    if (!model->is_idle && smallest > model->current)
        model->current = smallest;
}

static void apply(struct model *model, const struct step *step)
{
    struct watermark_input *input = &model->inputs[step->input];
    if (step->op == ADD)
        model->inputs[model->count++] = (struct watermark_input){ .watermark = NONE };
    if (step->op == ADVANCE && step->watermark > input->watermark)
        input->watermark = step->watermark;
    if (step->op == ADVANCE || step->op == ACTIVE)
        input->is_idle = false;
    if (step->op == IDLE)
        input->is_idle = true;
    if (step->op == FINISH)
        input->is_finished = true;
    settle(model);
}

static void it_is_the_smallest_of_the_active_that_never_goes_back(void **state)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random random = { .state = seed };
        struct watermarks marks;
        struct model model = { .current = NONE };
        watermarks_init(&marks, INPUTS);
        for (int i = 0; i < 200; i++) {
            bool may_add = model.count < INPUTS && random_one_in(&random, 10);
            struct step step = { .op = may_add || model.count == 0
                                           ? ADD
                                           : (enum op)(1 + random_below(&random, 3)),
                .watermark = random_below(&random, 50) };
            if (model.count > 0 && !may_add && random_one_in(&random, 40))
                step.op = FINISH;
            step.input = step.op == ADD ? model.count : random_below(&random, model.count);
            int64_t before = marks.current;
            take(&marks, &step);
            apply(&model, &step);
            assert_true(marks.current >= before);
            assert_int_equal(marks.current, model.current);
            assert_int_equal(marks.is_idle, model.is_idle);
        }
        watermarks_release(&marks);
    }
}

static void overfill(void *arg)
{
    struct watermarks marks;
    watermarks_init(&marks, 1);
    watermarks_add(&marks);
    watermarks_add(&marks);
}

static void there_is_a_maximum_of_inputs(void **state)
{
    expect_abort(overfill, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_story_ends_as_told),
        cmocka_unit_test(it_is_the_smallest_of_the_active_that_never_goes_back),
        cmocka_unit_test(there_is_a_maximum_of_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

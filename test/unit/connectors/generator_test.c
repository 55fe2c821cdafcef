/* generator_test.c -- the same records whatever the parallelism, each once, across any rescaling. */
#include "test/support/sample.h"
#include "test/support/stub_ctx.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array_)   (sizeof(array_) / sizeof((array_)[0]))
#define PARALLELISM_MAX 200
#define RECORDS_MAX     20000
#define SEED            99

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    struct sample *sample = record;
    assert_null(sample->text.data); /* zeroed */
    sample_fill_small(sample, seed, index);
}

/* A generator with some parallelism, and which records it has made. */
struct fleet {
    struct weir_source source;
    uint32_t parallelism;
    weir_ctx *ctxs[PARALLELISM_MAX];
    void *instances[PARALLELISM_MAX];
    uint64_t next[PARALLELISM_MAX]; /* no smaller index may follow */
    bool is_finished[PARALLELISM_MAX];
};

static const struct weir_source_class *class_of(const struct fleet *fleet)
{
    return fleet->source.source_class;
}

/* Restored from `old`, unless that is NULL. */
static void fleet_init(struct fleet *fleet, const struct weir_generator_options *options,
    uint32_t parallelism, const struct fleet *old)
{
    *fleet = (struct fleet){ .source = weir_generator_with(options), .parallelism = parallelism };
    assert_null(class_of(fleet)->validate(options));
    assert_ptr_equal(class_of(fleet)->out_type(options), options->type);
    for (uint32_t i = 0; i < parallelism; i++) {
        fleet->ctxs[i] = stub_ctx_new(i, parallelism);
        for (uint32_t o = 0; old != NULL && o < old->parallelism; o++)
            stub_ctx_restore(fleet->ctxs[i], old->ctxs[o]);
        fleet->instances[i] = mem_alloc(class_of(fleet)->instance_size);
        assert_null(class_of(fleet)->open(fleet->ctxs[i], options, fleet->instances[i]));
    }
}

static void fleet_release(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++) {
        class_of(fleet)->close(fleet->ctxs[i], fleet->instances[i]);
        mem_free(fleet->instances[i]);
        stub_ctx_free(fleet->ctxs[i]);
    }
}

static void fleet_snapshot(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++)
        assert_null(class_of(fleet)->snapshot(fleet->ctxs[i], fleet->instances[i], 1));
}

/* Polls one subtask; marks what it made. */
static enum weir_source_status fleet_poll(struct fleet *fleet, uint32_t subtask, uint32_t batch_max,
    bool *made)
{
    weir_ctx *ctx = fleet->ctxs[subtask];
    enum weir_source_status status;
    ctx->batch_max = batch_max;
    stub_ctx_next_batch(ctx);
    assert_null(class_of(fleet)->poll(ctx, fleet->instances[subtask], &status));
    for (uint32_t r = 0; r < ctx->row_count; r++) {
        const struct sample *got = ctx->rows[r];
        struct sample expected;
        sample_fill_small(&expected, SEED, got->index);
        assert_true(sample_equal(got, &expected));
        assert_true(got->index >= fleet->next[subtask]);
        fleet->next[subtask] = got->index + 1;
        ASSERT(got->index < RECORDS_MAX);
        assert_false(made[got->index]);
        made[got->index] = true;
    }
    fleet->is_finished[subtask] = status == WEIR_SOURCE_FINISHED;
    return status;
}

static void fleet_finish(struct fleet *fleet, bool *made)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++) {
        while (fleet_poll(fleet, i, 256, made) != WEIR_SOURCE_FINISHED)
            ;
        assert_int_equal(fleet->ctxs[i]->split_count, fleet->ctxs[i]->splits_finished);
        assert_int_equal(class_of(fleet)->lag(fleet->ctxs[i], fleet->instances[i]), 0);
    }
}

static void check_all_made(const bool *made, uint64_t count)
{
    for (uint64_t i = 0; i < RECORDS_MAX; i++)
        assert_int_equal(made[i], i < count);
}

static struct weir_generator_options options_of(uint64_t count)
{
    return (struct weir_generator_options){ .type = &sample_type,
        .generate = generate,
        .seed = SEED,
        .count = count };
}

static void every_record_is_made_once_whatever_the_parallelism(void **state)
{
    static const uint32_t parallelisms[] = { 1, 2, 3, 127, 128, 200 };
    static const uint64_t counts[] = { 1, 2, 100, 128, 129, 5000, RECORDS_MAX };
    for (size_t p = 0; p < COUNT(parallelisms); p++)
        for (size_t c = 0; c < COUNT(counts); c++) {
            bool made[RECORDS_MAX] = { false };
            struct weir_generator_options options = options_of(counts[c]);
            struct fleet fleet;
            fleet_init(&fleet, &options, parallelisms[p], NULL);
            fleet_finish(&fleet, made);
            check_all_made(made, counts[c]);
            fleet_release(&fleet);
        }
}

/* Runs a random part, takes a snapshot, goes on with another parallelism; several times. */
static void rescale_often(uint64_t seed)
{
    bool made[RECORDS_MAX] = { false };
    struct weir_generator_options options = options_of(RECORDS_MAX);
    struct fleet fleets[2];
    fleet_init(&fleets[0], &options, 1 + (uint32_t)(sample_random(seed, 1000) % 9), NULL);
    for (uint32_t round = 0; round < 5; round++) {
        struct fleet *fleet = &fleets[round % 2], *next = &fleets[(round + 1) % 2];
        for (uint64_t step = 0; step < 20; step++) {
            uint64_t random = sample_random(seed, round * 100 + step);
            fleet_poll(fleet, (uint32_t)(random % fleet->parallelism),
                1 + (uint32_t)(random >> 32 & 255), made);
        }
        fleet_snapshot(fleet);
        fleet_init(next, &options, 1 + (uint32_t)(sample_random(seed, round) % 130), fleet);
        fleet_release(fleet);
    }
    fleet_finish(&fleets[1], made);
    check_all_made(made, RECORDS_MAX);
    fleet_release(&fleets[1]);
}

static void rescaling_neither_repeats_nor_forgets_a_record(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++)
        rescale_often(seed);
}

static void without_a_count_it_never_ends(void **state)
{
    bool made[RECORDS_MAX] = { false };
    struct weir_generator_options options = options_of(0);
    struct fleet fleet;
    fleet_init(&fleet, &options, 1, NULL);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(fleet_poll(&fleet, 0, 100, made), WEIR_SOURCE_MORE);
        assert_int_equal(fleet.ctxs[0]->row_count, 100);
    }
    assert_int_equal(class_of(&fleet)->lag(fleet.ctxs[0], fleet.instances[0]), -1);
    check_all_made(made, 1000);
    fleet_release(&fleet);
}

/* Polls all subtasks every 100 ms, as the engine does an idle source, until each is idle; how many
 * records they made. */
static uint64_t make_for(struct fleet *fleet, int64_t *now_ms, int64_t until_ms, bool *made)
{
    uint64_t count = 0;
    for (; *now_ms < until_ms; *now_ms += 100)
        for (uint32_t i = 0; i < fleet->parallelism; i++) {
            fleet->ctxs[i]->now_ms = *now_ms;
            enum weir_source_status status;
            do {
                status = fleet_poll(fleet, i, 256, made);
                count += fleet->ctxs[i]->row_count;
            } while (status == WEIR_SOURCE_MORE);
            assert_int_equal(status, WEIR_SOURCE_IDLE);
        }
    return count;
}

static void the_rate_is_kept_over_all_subtasks(void **state)
{
    static const struct {
        uint64_t per_second;
        uint32_t parallelism;
    } rows[] = { { 1, 1 }, { 7, 3 }, { 1000, 1 }, { 1000, 3 }, { 900, 128 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool made[RECORDS_MAX] = { false };
        struct weir_generator_options options = options_of(0);
        options.per_second = rows[i].per_second;
        struct fleet fleet;
        fleet_init(&fleet, &options, rows[i].parallelism, NULL);
        int64_t now_ms = 1700000000000;
        uint64_t count = make_for(&fleet, &now_ms, now_ms + 10100, made);
        assert_in_range(count, rows[i].per_second * 10 - rows[i].parallelism,
            rows[i].per_second * 10 + 1);
        fleet_release(&fleet);
    }
}

static void the_first_record_is_due_at_once_however_low_the_rate(void **state)
{
    bool made[RECORDS_MAX] = { false };
    struct weir_generator_options options = options_of(0);
    options.per_second = 2;
    struct fleet fleet;
    fleet_init(&fleet, &options, 3, NULL);
    int64_t now_ms = 1700000000000;
    assert_int_equal(make_for(&fleet, &now_ms, now_ms + 100, made), 1);
    assert_true(made[0]);
    assert_int_equal(make_for(&fleet, &now_ms, now_ms + 400, made), 0);
    fleet_release(&fleet);
}

static void a_pause_is_made_up_for_by_a_second_at_most(void **state)
{
    bool made[RECORDS_MAX] = { false };
    struct weir_generator_options options = options_of(0);
    options.per_second = 1000;
    struct fleet fleet;
    fleet_init(&fleet, &options, 2, NULL);
    int64_t now_ms = 1700000000000;
    make_for(&fleet, &now_ms, now_ms + 100, made);
    now_ms += 3600 * 1000;
    assert_in_range(make_for(&fleet, &now_ms, now_ms + 100, made), 998, 1002);
    now_ms -= 1800 * 1000; /* a clock that is set back costs nothing and gives nothing */
    assert_int_equal(make_for(&fleet, &now_ms, now_ms + 100, made), 0);
    assert_in_range(make_for(&fleet, &now_ms, now_ms + 1000, made), 998, 1002);
    fleet_release(&fleet);
}

static void positions_of_something_else_are_refused(void **state)
{
    static const struct {
        weir_str name, value;
    } rows[] = {
        { { "offset-0", 8 }, { "\0\0\0\0\0\0\0\0", 8 } },
        { { "split-128", 9 }, { "\0\0\0\0\0\0\0\0", 8 } },
        { { "split-", 6 }, { "\0\0\0\0\0\0\0\0", 8 } },
        { { "split-x", 7 }, { "\0\0\0\0\0\0\0\0", 8 } },
        { { "split-0", 7 }, { "\0\0\0\0\0\0\0", 7 } },
        { { "split-0", 7 }, { "\0\0\0\0\0\0\0\0\0", 9 } },
        { { "split-0", 7 }, { "\1\0\0\0\0\0\0\0", 8 } }, /* index 1 is of split 1 */
    };
    struct weir_generator_options options = options_of(10);
    struct weir_source source = weir_generator_with(&options);
    for (size_t i = 0; i < COUNT(rows); i++) {
        weir_ctx *ctx = stub_ctx_new(0, 1);
        ctx->items[0] = (struct weir_item){ .name = rows[i].name, .value = rows[i].value };
        ctx->item_count = 1;
        void *instance = mem_alloc(source.source_class->instance_size);
        weir_error *error = source.source_class->open(ctx, &options, instance);
        assert_non_null(error);
        assert_int_equal(weir_error_code(error), WEIR_E_STATE);
        weir_error_free(error);
        source.source_class->close(ctx, instance);
        mem_free(instance);
        stub_ctx_free(ctx);
    }
}

static void wrong_options_are_refused_by_name(void **state)
{
    static const struct {
        struct weir_generator_options options;
        const char *words;
    } rows[] = {
        { { .generate = generate }, ".type" },
        { { .type = &sample_type }, ".generate" },
        { { .type = &sample_type, .generate = generate, .per_second = UINT64_MAX }, ".per_second" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct weir_source source = weir_generator_with(&rows[i].options);
        weir_error *error = source.source_class->validate(&rows[i].options);
        assert_non_null(error);
        assert_int_equal(weir_error_code(error), WEIR_E_PLAN);
        assert_non_null(strstr(weir_error_message(error), rows[i].words));
        weir_error_free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_is_made_once_whatever_the_parallelism),
        cmocka_unit_test(rescaling_neither_repeats_nor_forgets_a_record),
        cmocka_unit_test(without_a_count_it_never_ends),
        cmocka_unit_test(the_rate_is_kept_over_all_subtasks),
        cmocka_unit_test(the_first_record_is_due_at_once_however_low_the_rate),
        cmocka_unit_test(a_pause_is_made_up_for_by_a_second_at_most),
        cmocka_unit_test(positions_of_something_else_are_refused),
        cmocka_unit_test(wrong_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

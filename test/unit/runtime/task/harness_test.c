/* harness_test.c -- weir/testing.h, as somebody uses it who tests an operator. */
#include <weir/testing.h>

#include "test/support/expect.h"

struct click {
    uint64_t user;
    int64_t price;
    weir_str page;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user), WEIR_FIELD(2, click, price),
    WEIR_FIELD(3, click, page));
struct visit {
    uint64_t user;
    int64_t count, sum;
    weir_str page;
};
WEIR_TYPE(visit, WEIR_FIELD(1, visit, user), WEIR_FIELD(2, visit, count), WEIR_FIELD(3, visit, sum),
    WEIR_FIELD(4, visit, page));

static const struct weir_state states[] = {
    { .name = "visit", .kind = WEIR_VALUE, .type = &visit_type },
    { .name = "recent",
        .kind = WEIR_VALUE,
        .type = &visit_type,
        .ttl_ms = 100,
        .ttl_time = WEIR_PROCESSING_TIME },
};
static const struct weir_side_output sides[] = { { .name = "large", .type = &click_type } };
static const char *const counters[] = { "clicks" };

static weir_error *on_click(weir_ctx *ctx, const void *record)
{
    const struct click *click = record;
    const int64_t *limit = weir_config(ctx);
    if (click->price < 0)
        return weir_error_data("negative", "the price is %lld", (long long)click->price);
    if (click->user == 0)
        return weir_errorf(WEIR_E_INTERNAL, "nobody");
    weir_count(ctx, 0, 1);
    struct visit *visit = weir_state_edit(ctx, 0, visit);
    visit->user = click->user;
    visit->count++;
    visit->sum += click->price;
    visit->page = click->page;
    struct visit *recent = weir_state_edit(ctx, 1, visit);
    recent->count++;
    if (limit != NULL && click->price > *limit)
        weir_emit_side(ctx, 0, click, click);
    weir_emit(ctx, visit, visit);
    weir_timer_set(ctx, WEIR_EVENT_TIME, weir_timestamp(ctx) + 1000);
    weir_timer_set(ctx, WEIR_PROCESSING_TIME, weir_now_ms(ctx) + 500);
    return NULL;
}

/* A visit whose count is the time of the timer, negative for processing time. */
static weir_error *on_timer(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    const struct visit *visit = weir_state_read(ctx, 0, visit);
    struct visit out = { .user = visit->user, .count = time == WEIR_EVENT_TIME ? at_ms : -at_ms };
    const struct visit *recent = weir_state_read(ctx, 1, visit);
    out.sum = recent == NULL ? 0 : recent->count;
    weir_emit(ctx, visit, &out);
    return NULL;
}

static weir_error *on_finish(weir_ctx *ctx)
{
    struct visit out = { .count = 12345 };
    weir_emit(ctx, visit, &out);
    return NULL;
}

static const struct weir_operator visits = { .uid = "visits",
    .in = &click_type,
    .out = &visit_type,
    .states = states,
    .state_count = 2,
    .sides = sides,
    .side_count = 1,
    .counters = counters,
    .counter_count = 1,
    .has_timers = true,
    .on_record = on_click,
    .on_timer = on_timer,
    .on_finish = on_finish };

static weir_harness *harness;
static const int64_t limit = 100;

static int begin(void **state)
{
    harness = weir_harness_new(&visits, &limit, WEIR_KEY(click, user));
    return 0;
}

static int end(void **state)
{
    weir_harness_free(harness);
    return 0;
}

static void click(int64_t at_ms, uint64_t user, int64_t price)
{
    weir_harness_send(harness, at_ms, click, (&(struct click){ .user = user, .price = price }));
}

static void expect_visit(uint64_t user, int64_t count, int64_t sum)
{
    const struct visit *visit = weir_harness_take(harness, visit);
    assert_non_null(visit);
    assert_int_equal(visit->user, user);
    assert_int_equal(visit->count, count);
    assert_int_equal(visit->sum, sum);
}

static void what_an_operator_emits_can_be_taken_in_order(void **state)
{
    click(10, 7, 5);
    click(20, 8, 1);
    click(30, 7, 5);
    assert_int_equal(weir_harness_emitted(harness), 3);
    expect_visit(7, 1, 5);
    expect_visit(8, 1, 1);
    expect_visit(7, 2, 10);
    assert_int_equal(weir_harness_emitted(harness), 0);
    assert_null(weir_harness_take(harness, visit));
    assert_int_equal(weir_harness_counter(harness, 0), 3);
}

static void strings_in_what_was_emitted_stay_valid(void **state)
{
    char page[] = "first";
    struct click click = { .user = 1, .page = { .data = page, .size = 5 } };
    weir_harness_send(harness, 0, click, &click);
    memcpy(page, "other", 5);
    for (int i = 0; i < 1000; i++)
        weir_harness_send(harness, 0, click, &click);
    const struct visit *visit = weir_harness_take(harness, visit);
    assert_true(weir_str_equal(visit->page, WEIR_STR("first")));
}

static void side_outputs_and_dead_letters_are_apart(void **state)
{
    click(10, 7, 101);
    click(20, 7, -1);
    const struct click *large = weir_harness_take_side(harness, 0);
    assert_int_equal(large->price, 101);
    assert_null(weir_harness_take_side(harness, 0));
    const struct weir_dead_letter *letter = weir_harness_take_dead(harness);
    assert_true(weir_str_equal(letter->reason, WEIR_STR("negative")));
    assert_true(weir_str_equal(letter->detail, WEIR_STR("the price is -1")));
    assert_true(weir_str_equal(letter->operator_, WEIR_STR("visits")));
    assert_true(letter->size > 0 && letter->raw.size == letter->size);
    assert_null(weir_harness_take_dead(harness));
    assert_int_equal(weir_harness_emitted(harness), 1);
}

static void an_error_can_be_asked_for(void **state)
{
    struct click nobody = { .price = 1 };
    expect_error(weir_harness_try(harness, 0, &nobody), WEIR_E_INTERNAL, "nobody");
    click(0, 7, 1); /* and it goes on */
    expect_visit(7, 1, 1);
}

static void fail_without_asking(void *arg)
{
    click(0, 0, 1);
}

static void an_error_that_was_not_asked_for_aborts(void **state)
{
    expect_abort(fail_without_asking, NULL);
}

static void timers_fire_when_time_is_moved(void **state)
{
    click(10, 7, 5);
    expect_visit(7, 1, 5);
    weir_harness_watermark(harness, 1009);
    assert_int_equal(weir_harness_emitted(harness), 0);
    weir_harness_watermark(harness, 1010);
    expect_visit(7, 1010, 1);
    weir_harness_clock(harness, 499);
    assert_int_equal(weir_harness_emitted(harness), 0);
    weir_harness_clock(harness, 600);
    expect_visit(7, -500, 0); /* and what had a hundred milliseconds to live is gone */
    weir_harness_watermark(harness, 99999);
    assert_int_equal(weir_harness_emitted(harness), 0);
}

static void the_end_fires_all_timers_then_finishes(void **state)
{
    click(20, 7, 5);
    click(10, 8, 5);
    expect_visit(7, 1, 5);
    expect_visit(8, 1, 5);
    weir_harness_finish(harness);
    expect_visit(8, 1010, 1);
    expect_visit(7, 1020, 1);
    expect_visit(7, -500, 1);
    expect_visit(8, -500, 1);
    expect_visit(0, 12345, 0);
    assert_null(weir_harness_take(harness, visit));
}

static void a_restored_operator_goes_on(void **state)
{
    click(10, 7, 5);
    click(20, 8, 5);
    weir_harness_clock(harness, 50);
    weir_harness_watermark(harness, 40);
    harness = weir_harness_restored(harness);
    expect_visit(7, 1, 5); /* what was not taken yet is still there */
    expect_visit(8, 1, 5);
    click(60, 7, 5);
    expect_visit(7, 2, 10);
    assert_int_equal(weir_harness_counter(harness, 0), 3);
    weir_harness_watermark(harness, 1020);
    expect_visit(7, 1010, 2);
    expect_visit(8, 1020, 1);
    for (int i = 0; i < 3; i++)
        harness = weir_harness_restored(harness);
    click(70, 7, 5);
    expect_visit(7, 3, 15);
}

/* -- without keys --------------------------------------------------------------------------------- */

static weir_error *both(weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    weir_emit_rows(ctx, rows, row_count);
    weir_emit_rows(ctx, rows, row_count);
    return NULL;
}

static const struct weir_operator twice = { .in = &click_type,
    .out = &click_type,
    .on_batch = both };

static void an_operator_without_key_state_or_name_works_too(void **state)
{
    weir_harness *other = weir_harness_new(&twice, NULL, WEIR_NO_KEY);
    weir_harness_send(other, 0, click, (&(struct click){ .user = 3 }));
    assert_int_equal(weir_harness_emitted(other), 2);
    assert_int_equal(weir_harness_take(other, click)->user, 3);
    weir_harness_watermark(other, 100);
    weir_harness_finish(other);
    other = weir_harness_restored(other);
    assert_int_equal(weir_harness_emitted(other), 1);
    weir_harness_free(other);
    weir_harness_free(NULL);
}

static weir_error *refuse(weir_ctx *ctx, const void *record)
{
    return weir_error_data("unwanted", "never wanted");
}

static const struct weir_operator refuses = { .in = &weir_message_type, .on_record = refuse };

static void a_dead_letter_says_where_the_message_was_read(void **state)
{
    weir_harness *other = weir_harness_new(&refuses, NULL, WEIR_NO_KEY);
    struct weir_message message = { .topic = WEIR_STR("orders"),
        .offset = 4711,
        .partition = 3,
        .value = WEIR_STR("{}") };
    weir_harness_send(other, 0, weir_message, &message);
    const struct weir_dead_letter *letter = weir_harness_take_dead(other);
    assert_true(weir_str_equal(letter->topic, WEIR_STR("orders")));
    assert_int_equal(letter->offset, 4711);
    assert_int_equal(letter->partition, 3);
    assert_true(weir_str_equal(letter->raw, WEIR_STR("{}")));
    assert_int_equal(letter->size, 2);
    weir_harness_free(other);
}

#define TEST(test_) cmocka_unit_test_setup_teardown(test_, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_an_operator_emits_can_be_taken_in_order),
        TEST(strings_in_what_was_emitted_stay_valid),
        TEST(side_outputs_and_dead_letters_are_apart),
        TEST(an_error_can_be_asked_for),
        TEST(an_error_that_was_not_asked_for_aborts),
        TEST(timers_fire_when_time_is_moved),
        TEST(the_end_fires_all_timers_then_finishes),
        TEST(a_restored_operator_goes_on),
        cmocka_unit_test(a_dead_letter_says_where_the_message_was_read),
        cmocka_unit_test(an_operator_without_key_state_or_name_works_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

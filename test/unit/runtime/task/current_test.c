/* current_test.c -- what a crash or a step that does not come back says of where it was. */
#include "runtime/task/current.h"

#include "runtime/task/context.h"
#include "runtime/task/task_private.h"
#include "test/support/expect.h"

#include <string.h>

static void expect_text(const char *wanted)
{
    char text[1024];
    current_describe(text, sizeof(text));
    assert_string_equal(text, wanted);
}

static void in_no_operator_there_is_nothing_to_say(void **state)
{
    char text[32] = "old";
    uint32_t number = 42;
    current_context = NULL;
    current_describe(text, sizeof(text));
    assert_string_equal(text, "");
    assert_false(current_task(&number));
    assert_int_equal(number, 42);
}

static void the_operator_its_subtask_and_about_the_record_are_named(void **state)
{
    struct plan_vertex vertex = { .parallelism = 4, .first_subtask = 10 };
    struct plan_operator it = { .kind = PLAN_OPERATOR, .name = "clean" };
    struct weir_ctx ctx = { .op = &it, .vertex = &vertex, .subtask = 1 };
    char small[12];
    uint32_t number;
    current_context = &ctx;
    expect_text("operator 'clean' (2/4)"); /* it had none yet */
    metric_add(&ctx.records_in, 1234);
    metric_add(&ctx.records_out, 99);
    expect_text("operator 'clean' (2/4), at or before record 1234 of this attempt");
    current_describe(small, sizeof(small)); /* cut, and terminated */
    assert_string_equal(small, "operator 'c");
    it.kind = PLAN_SOURCE; /* what it has made, not got */
    expect_text("source 'clean' (2/4), behind record 99 of this attempt");
    it.kind = PLAN_SINK;
    expect_text("sink 'clean' (2/4), at or before record 1234 of this attempt");
    assert_true(current_task(&number));
    assert_int_equal(number, 11);
    current_context = NULL;
}

static void a_call_that_is_not_one_of_records_is_named_and_is_behind_the_last_one(void **state)
{
    struct plan_vertex vertex = { .parallelism = 1 };
    struct plan_operator it = { .kind = PLAN_OPERATOR, .name = "count" };
    struct weir_ctx ctx = { .op = &it, .vertex = &vertex };
    context_enter(&ctx, "in its opening");
    expect_text("operator 'count' (1/1), in its opening");
    metric_add(&ctx.records_in, 5);
    context_enter(&ctx, "in a timer");
    expect_text("operator 'count' (1/1), in a timer, behind record 5 of this attempt");
    context_leave(&ctx);
    assert_null(current_context);
    assert_null(ctx.call);
}

static void of_an_asynchronous_call_only_whose_it_is_is_told(void **state)
{
    struct plan_vertex vertex = { .parallelism = 4, .first_subtask = 10 };
    struct plan_operator it = { .kind = PLAN_SINK, .name = "out" };
    struct weir_ctx ctx = { .op = &it, .vertex = &vertex, .subtask = 1, .call = "in a snapshot" };
    uint32_t number;
    metric_add(&ctx.records_in, 5);
    current_context = &ctx;
    current_is_async = true;
    expect_text("sink 'out' (2/4), in an asynchronous call");
    assert_true(current_task(&number));
    assert_int_equal(number, 11);
    current_is_async = false;
    current_context = NULL;
}

/* -- where records come from ---------------------------------------------------------------------- */

static struct weir_position known[16];
static uint32_t known_count;

static uint32_t positions(const void *instance, struct weir_position *list, uint32_t max)
{
    assert_ptr_equal(instance, known);
    for (uint32_t i = 0; i < known_count && i < max; i++)
        list[i] = known[i];
    return known_count;
}

/* A source, and an operator that is chained to it, which has a batch. */
struct chained {
    struct plan_vertex vertex;
    struct weir_source_class class;
    struct plan_operator ops[2];
    struct weir_ctx contexts[2];
    struct weir_ctx *list[2];
    struct task task;
};

static void chain_them(struct chained *it)
{
    *it = (struct chained){ .vertex = { .parallelism = 1 },
        .class = { .positions = positions },
        .ops = { { .kind = PLAN_SOURCE, .name = "in" },
            { .kind = PLAN_OPERATOR, .name = "clean" } },
        .task = { .is_source = true } };
    for (uint32_t i = 0; i < 2; i++) {
        it->contexts[i].op = &it->ops[i];
        it->contexts[i].vertex = &it->vertex;
        it->contexts[i].task = &it->task;
        it->list[i] = &it->contexts[i];
    }
    it->ops[0].source.source_class = &it->class;
    it->contexts[0].instance = known;
    it->task.head = it->list[0];
    it->task.chain.contexts = it->list;
    it->task.chain.count = 2;
    metric_add(&it->contexts[1].records_in, 512);
    current_context = it->list[1];
    known_count = 0;
}

#define AT "operator 'clean' (1/1), at or before record 512 of this attempt"

static void behind_a_source_it_is_said_where_the_records_come_from(void **state)
{
    struct chained it;
    chain_them(&it);
    expect_text(AT);
    known[0] = (struct weir_position){ WEIR_STR("clicks"), 3, 17, 42 };
    known[1] = (struct weir_position){ WEIR_STR("clicks"), 0, 7, 7 };
    known_count = 2;
    expect_text(
        AT ": topic 'clicks', partition 3, offsets 17 to 42, or topic 'clicks', partition 0, "
           "offset 7");
    known[0] = (struct weir_position){ WEIR_STR("a.csv"), -1, 100, 4095 };
    known_count = 1;
    expect_text(AT ": file 'a.csv', bytes 100 to 4095");
    current_context = it.list[0];
    expect_text("source 'in' (1/1): file 'a.csv', bytes 100 to 4095");
    current_context = NULL;
}

static void of_many_partitions_it_is_said_that_there_are_others(void **state)
{
    struct chained it;
    char text[1024];
    chain_them(&it);
    for (int i = 0; i < 16; i++)
        known[i] = (struct weir_position){ WEIR_STR("t"), i, 1, 2 };
    known_count = 16;
    current_describe(text, sizeof(text));
    assert_non_null(strstr(text, "partition 7, offsets 1 to 2, or others"));
    assert_null(strstr(text, "partition 8"));
    current_context = NULL;
}

static void what_is_emitted_in_no_call_of_records_comes_from_no_position(void **state)
{
    struct chained it;
    chain_them(&it);
    known[0] = (struct weir_position){ WEIR_STR("clicks"), 3, 17, 42 };
    known_count = 1;
    it.contexts[0].call = "at the end of its input"; /* it emits to the one that is current */
    expect_text(AT);
    it.contexts[0].call = NULL;
    it.task.is_source = false;
    expect_text(AT);
    it.task.is_source = true;
    it.class.positions = NULL;
    expect_text(AT);
    current_context = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_no_operator_there_is_nothing_to_say),
        cmocka_unit_test(the_operator_its_subtask_and_about_the_record_are_named),
        cmocka_unit_test(a_call_that_is_not_one_of_records_is_named_and_is_behind_the_last_one),
        cmocka_unit_test(of_an_asynchronous_call_only_whose_it_is_is_told),
        cmocka_unit_test(behind_a_source_it_is_said_where_the_records_come_from),
        cmocka_unit_test(of_many_partitions_it_is_said_that_there_are_others),
        cmocka_unit_test(what_is_emitted_in_no_call_of_records_comes_from_no_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

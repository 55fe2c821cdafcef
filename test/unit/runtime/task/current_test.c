/* current_test.c -- what a crash or a step that does not come back says of where it was. */
#include "runtime/task/current.h"

#include "runtime/task/context.h"
#include "test/support/expect.h"

#include <string.h>

static void in_no_operator_there_is_nothing_to_say(void **state)
{
    char text[32] = "old";
    current_context = NULL;
    current_describe(text, sizeof(text));
    assert_string_equal(text, "");
}

static void the_operator_its_subtask_and_about_the_record_are_named(void **state)
{
    struct plan_vertex vertex = { .parallelism = 4 };
    struct plan_operator it = { .kind = PLAN_OPERATOR, .name = "clean" };
    struct weir_ctx ctx = { .op = &it, .vertex = &vertex, .subtask = 1 };
    char text[128], small[12];
    metric_add(&ctx.records_in, 1234);
    metric_add(&ctx.records_out, 99);
    current_context = &ctx;
    current_describe(text, sizeof(text));
    assert_string_equal(text, "operator 'clean' (2/4), about record 1234");
    current_describe(small, sizeof(small)); /* cut, and terminated */
    assert_string_equal(small, "operator 'c");
    it.kind = PLAN_SOURCE; /* what it has made, not got */
    current_describe(text, sizeof(text));
    assert_string_equal(text, "source 'clean' (2/4), about record 99");
    it.kind = PLAN_SINK;
    current_describe(text, sizeof(text));
    assert_string_equal(text, "sink 'clean' (2/4), about record 1234");
    current_context = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_no_operator_there_is_nothing_to_say),
        cmocka_unit_test(the_operator_its_subtask_and_about_the_record_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

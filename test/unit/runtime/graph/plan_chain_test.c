/* plan_chain_test.c -- chaining condition by condition, and where chained outputs go. */
#include "graph_fixture.h"

/* Two operators and one edge; each row breaks one condition. */
static const struct chaining_case {
    const char *name;
    bool is_chained;
    uint32_t up_parallelism, down_parallelism; /* 0: the job's */
    const char *up_group, *down_group;
    enum weir_chaining up, down;
    weir_stream *(*route)(weir_stream *in);
    bool is_disabled, is_union;
    enum partitioner_kind partitioner; /* of the edge when not chained */
} chaining_cases[] = {
    { .name = "all conditions hold", .is_chained = true },
    { .name = "the same parallelism, said",
        .is_chained = true,
        .up_parallelism = 3,
        .down_parallelism = 3 },
    { .name = "the same slot group, said",
        .is_chained = true,
        .up_group = "io",
        .down_group = "io" },
    { .name = "default is a slot group", .is_chained = true, .up_group = "default" },
    { .name = "upstream is HEAD", .is_chained = true, .up = WEIR_CHAIN_HEAD },
    { .name = "parallelism differs", .up_parallelism = 3, .partitioner = PARTITIONER_REBALANCE },
    { .name = "slot groups differ", .up_group = "io" },
    { .name = "upstream is NEVER", .up = WEIR_CHAIN_NEVER },
    { .name = "downstream is NEVER", .down = WEIR_CHAIN_NEVER },
    { .name = "downstream is HEAD", .down = WEIR_CHAIN_HEAD },
    { .name = "rebalanced", .route = weir_rebalance, .partitioner = PARTITIONER_REBALANCE },
    { .name = "broadcast", .route = weir_broadcast, .partitioner = PARTITIONER_BROADCAST },
    { .name = "two inputs", .is_union = true },
    { .name = "disabled", .is_disabled = true },
};

static weir_stream *hinted(weir_stream *stream, uint32_t parallelism, const char *group,
    enum weir_chaining chaining)
{
    weir_chaining(stream, chaining);
    if (parallelism != 0)
        weir_parallelism(stream, parallelism);
    return group == NULL ? stream : weir_slot_group(stream, group);
}

static const struct plan *chaining_plan(weir_job *job, const struct chaining_case *row)
{
    weir_stream *up = clicks(job);
    hinted(up, row->up_parallelism, row->up_group, row->up);
    up = row->route == NULL ? up : row->route(up);
    up = row->is_union ? weir_union(up, up) : up;
    weir_stream *down = weir_process(up, pass(job, "down"), NULL);
    hinted(down, row->down_parallelism, row->down_group, row->down);
    weir_sink(weir_broadcast(down), "out", FAKE_SINK(.type = NULL));
    struct plan_options options = two_wide;
    options.is_chaining_disabled = row->is_disabled;
    return plan_of(job, &options);
}

static void chaining_follows_the_rule_of_flink(void **state)
{
    for (size_t i = 0; i < sizeof(chaining_cases) / sizeof(chaining_cases[0]); i++) {
        const struct chaining_case *row = &chaining_cases[i];
        weir_job *job = job_new(NULL);
        const struct plan *plan = chaining_plan(job, row);
        if (plan->vertex_count != (row->is_chained ? 2 : 3))
            fail_msg("%s: %u vertices", row->name, plan->vertex_count);
        if (row->is_chained) {
            assert_string_equal(plan->vertices[0].name, "clicks -> down");
        } else {
            assert_int_equal(plan->edge_count, row->is_union ? 3 : 2);
            assert_int_equal(plan->edges[0].partitioner, row->partitioner);
        }
        job_free(job);
    }
}

static void a_keyed_edge_is_never_chained(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *keyed = weir_key_by(clicks(job), WEIR_KEY2(click, user_id, page));
    weir_sink(keyed, "out", FAKE_SINK(.type = NULL));
    const struct plan *plan = plan_of(job, &(struct plan_options){ .job = "j", .parallelism = 1 });
    assert_int_equal(plan->vertex_count, 2);
    assert_int_equal(plan->edges[0].partitioner, PARTITIONER_KEY_GROUP);
    assert_int_equal(plan->edges[0].key.offset_count, 2);
    const struct plan_operator *sink = &plan->vertices[1].operators[0];
    assert_true(sink->is_keyed);
    assert_int_equal(sink->key.offsets[1], offsetof(struct click, page));
    assert_false(sink->has_keyed_state);
    assert_string_equal(sink->in->name, "click");
    assert_null(sink->out);
    job_free(job);
}

static void side_outputs_and_dead_letters_are_chained_too(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *source = weir_event_time(clicks(job), click, at_ms, 5000);
    weir_stream *cleaned = weir_process(source, &clean, "config");
    weir_sink(weir_side_output(cleaned, "odd"), "odd", FAKE_SINK(.type = &click_type));
    weir_sink(weir_dead_letters(source, 7), "dead", FAKE_SINK(.type = &weir_dead_letter_type));
    weir_sink(cleaned, "out", FAKE_SINK(.type = &click_type));
    weir_sink(weir_rebalance(weir_dead_letters(cleaned, 0)), "refused", FAKE_SINK(.type = NULL));
    const struct plan *plan = plan_of(job, &two_wide);
    assert_int_equal(plan->vertex_count, 2);
    const struct plan_vertex *vertex = &plan->vertices[0];
    assert_string_equal(vertex->name, "clicks -> (clean -> (odd, out), dead)");
    assert_int_equal(vertex->operator_count, 5);

    const struct plan_operator *head = &vertex->operators[0];
    assert_true(head->has_event_time);
    assert_int_equal(head->event_time_offset, offsetof(struct click, at_ms));
    assert_int_equal(head->out_of_orderness_ms, 5000);
    assert_true(head->has_dead_letters);
    assert_int_equal(head->dead_letters_per_second_max, 7);
    assert_int_equal(head->target_count, 2);
    assert_int_equal(head->targets[0].operator_, 1);
    assert_int_equal(head->targets[1].output, PLAN_OUTPUT_DEAD_LETTERS);
    assert_int_equal(head->targets[1].operator_, 3);

    const struct plan_operator *second = &vertex->operators[1];
    assert_string_equal(second->config, "config");
    assert_int_equal(second->target_count, 3);
    assert_int_equal(second->targets[0].output, PLAN_OUTPUT_SIDE);
    assert_int_equal(second->targets[0].side, 1);
    assert_int_equal(second->targets[0].operator_, 2);
    assert_int_equal(second->targets[1].output, PLAN_OUTPUT_MAIN);
    assert_int_equal(second->targets[1].operator_, 4);
    assert_false(second->targets[2].is_chained);
    assert_int_equal(second->targets[2].edge, 0);

    assert_int_equal(plan->edge_count, 1);
    assert_int_equal(plan->edges[0].from_operator, 1);
    assert_int_equal(plan->edges[0].output, PLAN_OUTPUT_DEAD_LETTERS);
    assert_string_equal(plan->edges[0].type->name, "weir_dead_letter");
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chaining_follows_the_rule_of_flink),
        cmocka_unit_test(a_keyed_edge_is_never_chained),
        cmocka_unit_test(side_outputs_and_dead_letters_are_chained_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* plan_test.c -- what a plan holds: order, edges, slots, names, fingerprint. */
#include "graph_fixture.h"

/* Of the job of fingerprint_of. */
#define GOLDEN_FINGERPRINT UINT64_C(0xf370914bb560bebf)

/* source -> two branches of other parallelism -> union, keyed -> stateful -> sink */
static const struct plan *diamond(weir_job *job)
{
    weir_stream *source = clicks(job);
    weir_stream *left = weir_parallelism(weir_process(source, pass(job, "map"), NULL), 3);
    weir_stream *right = weir_slot_group(weir_process(source, pass(job, "map"), NULL), "right");
    struct weir_key key = WEIR_KEY(click, user_id);
    weir_stream *both = weir_union(weir_key_by(left, key), weir_key_by(right, key));
    weir_stream *built = weir_parallelism(weir_process(both, &build_profile, NULL), 4);
    weir_sink(built, "out", FAKE_SINK(.type = &profile_type));
    return plan_of(job, &two_wide);
}

static void vertices_are_in_topological_order_and_know_their_edges(void **state)
{
    weir_job *job = job_new(NULL);
    const struct plan *plan = diamond(job);
    static const char *const names[] = { "clicks", "map", "map#2", "build profile -> out" };
    static const uint32_t first_subtasks[] = { 0, 2, 5, 7 };
    assert_string_equal(plan->job, "test");
    assert_int_equal(plan->vertex_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_string_equal(plan->vertices[i].name, names[i]);
        assert_int_equal(plan->vertices[i].first_subtask, first_subtasks[i]);
    }
    assert_int_equal(plan->subtask_count, 11);
    assert_int_equal(plan->max_parallelism, 128);
    assert_int_equal(plan->edge_count, 4);
    for (uint32_t i = 0; i < plan->edge_count; i++)
        assert_true(plan->edges[i].from_vertex < plan->edges[i].to_vertex);
    assert_int_equal(plan->edges[0].partitioner, PARTITIONER_REBALANCE);
    assert_int_equal(plan->edges[1].partitioner, PARTITIONER_FORWARD);
    assert_int_equal(plan->vertices[0].out_edge_count, 2);
    assert_int_equal(plan->vertices[0].in_edge_count, 0);
    assert_int_equal(plan->vertices[3].in_edge_count, 2);
    assert_int_equal(plan->vertices[3].in_edges[0], 2);
    assert_int_equal(plan->vertices[3].in_edges[1], 3);
    assert_int_equal(plan->vertices[1].out_edges[0], 2);
    job_free(job);
}

static void a_union_of_one_key_is_keyed(void **state)
{
    weir_job *job = job_new(NULL);
    const struct plan_operator *built = &diamond(job)->vertices[3].operators[0];
    assert_true(built->is_keyed);
    assert_true(built->has_keyed_state);
    assert_int_equal(built->key.offsets[0], offsetof(struct click, user_id));
    job_free(job);
}

static void slot_groups_are_as_large_as_their_widest_vertex(void **state)
{
    weir_job *job = job_new(NULL);
    const struct plan *plan = diamond(job);
    assert_int_equal(plan->slot_group_count, 2);
    assert_string_equal(plan->slot_groups[0], "default");
    assert_int_equal(plan->slot_group_sizes[0], 4);
    assert_string_equal(plan->slot_groups[1], "right");
    assert_int_equal(plan->slot_group_sizes[1], 2);
    assert_int_equal(plan->vertices[2].slot_group, 1);
    job_free(job);
}

static void a_sink_follows_inputs_that_agree(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *one = weir_slot_group(weir_parallelism(clicks(job), 5), "io");
    weir_stream *other = weir_uid(weir_parallelism(clicks(job), 3), "other");
    weir_sink(one, "alone", FAKE_SINK(.type = NULL));
    weir_sink(weir_union(one, other), "both", FAKE_SINK(.type = NULL));
    const struct plan *plan = plan_of(job, &two_wide);
    assert_int_equal(plan->vertex_count, 3);
    assert_string_equal(plan->vertices[0].name, "clicks -> alone");
    assert_int_equal(plan->vertices[0].parallelism, 5);
    assert_string_equal(plan->vertices[2].name, "both");
    assert_int_equal(plan->vertices[2].parallelism, 2);
    assert_string_equal(plan->slot_groups[plan->vertices[2].slot_group], "default");
    job_free(job);
}

static void names_are_unique_and_uids_are_never_missing(void **state)
{
    static const struct {
        const char *name, *uid; /* as written */
        const char *unique, *decided;
    } rows[] = {
        { "map", NULL, "map", "map#2" }, /* a later operator has the uid "map" */
        { "map", NULL, "map#2", "map#2#2" },
        { "map#2", NULL, "map#2#2", "map#2#2#2" },
        { "filter", "map", "filter", "map" },
        { "map", "own", "map#3", "own" },
    };
    weir_job *job = job_new(NULL);
    weir_stream *stream = clicks(job);
    for (size_t i = 0; i < 5; i++) {
        stream = weir_process(stream, pass(job, rows[i].name), NULL);
        if (rows[i].uid != NULL)
            weir_uid(stream, rows[i].uid);
    }
    weir_sink(stream, "out", FAKE_SINK(.type = NULL));
    const struct plan *plan = plan_of(job, &two_wide);
    assert_int_equal(plan->vertices[0].operator_count, 7);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(plan->vertices[0].operators[i + 1].name, rows[i].unique);
        assert_string_equal(plan->vertices[0].operators[i + 1].uid, rows[i].decided);
    }
    assert_string_equal(plan->vertices[0].operators[0].uid, "clicks");
    assert_string_equal(plan->vertices[0].operators[6].uid, "out");
    job_free(job);
}

static void a_long_chain_is_planned(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *stream = clicks(job);
    for (int i = 0; i < 998; i++)
        stream = weir_process(stream, pass(job, "pass"), NULL);
    weir_sink(stream, "out", FAKE_SINK(.type = NULL));
    const struct plan *plan = plan_of(job, &two_wide);
    assert_int_equal(plan->vertex_count, 1);
    assert_int_equal(plan->vertices[0].operator_count, 1000);
    assert_string_equal(plan->vertices[0].operators[998].name, "pass#998");
    job_free(job);
}

/* -- fingerprint ------------------------------------------------------------------------------ */

static uint64_t fingerprint_of(void (*change)(weir_job *job, weir_stream *stream),
    const struct plan_options *options)
{
    weir_job *job = job_new(NULL);
    weir_stream *source = clicks(job);
    weir_stream *keyed = weir_key_by(source, WEIR_KEY(click, user_id));
    weir_stream *built = weir_process(keyed, &build_profile, NULL);
    weir_sink(built, "out", FAKE_SINK(.type = NULL));
    if (change != NULL)
        change(job, built);
    uint64_t fingerprint = plan_of(job, options)->fingerprint;
    job_free(job);
    return fingerprint;
}

static void with_uid(weir_job *job, weir_stream *stream)
{
    weir_uid(stream, "build-profile-2");
}

static void with_parallelism(weir_job *job, weir_stream *stream)
{
    weir_parallelism(stream, 3);
}

static void with_slot_group(weir_job *job, weir_stream *stream)
{
    weir_slot_group(stream, "state");
}

static void with_sink(weir_job *job, weir_stream *stream)
{
    weir_sink(stream, "more", FAKE_SINK(.type = NULL));
}

static void with_chaining(weir_job *job, weir_stream *stream)
{
    weir_chaining(stream, WEIR_CHAIN_NEVER);
}

static void equal_jobs_have_equal_fingerprints_and_others_do_not(void **state)
{
    static void (*const changes[])(weir_job *, weir_stream *) = { with_uid, with_parallelism,
        with_slot_group, with_sink, with_chaining };
    uint64_t fingerprint = fingerprint_of(NULL, &two_wide);
    assert_true(fingerprint == fingerprint_of(NULL, &two_wide));
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        assert_true(fingerprint != fingerprint_of(changes[i], &two_wide));
    struct plan_options options = two_wide;
    options.max_parallelism = 256;
    assert_true(fingerprint != fingerprint_of(NULL, &options));
    options = two_wide;
    options.job = "another";
    assert_true(fingerprint != fingerprint_of(NULL, &options));
}

static void the_fingerprint_is_the_same_in_every_build(void **state)
{
    /* Processes of one job may be built by different compilers: a change here is a new format. */
    assert_int_equal(fingerprint_of(NULL, &two_wide), GOLDEN_FINGERPRINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vertices_are_in_topological_order_and_know_their_edges),
        cmocka_unit_test(a_union_of_one_key_is_keyed),
        cmocka_unit_test(slot_groups_are_as_large_as_their_widest_vertex),
        cmocka_unit_test(a_sink_follows_inputs_that_agree),
        cmocka_unit_test(names_are_unique_and_uids_are_never_missing),
        cmocka_unit_test(a_long_chain_is_planned),
        cmocka_unit_test(equal_jobs_have_equal_fingerprints_and_others_do_not),
        cmocka_unit_test(the_fingerprint_is_the_same_in_every_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* plan_regions_test.c -- which subtasks start again together, shape by shape. */
#include "graph_fixture.h"

#include <stdio.h>

static char *text(weir_job *job, const char *name, const char *what)
{
    char *to = weir_job_alloc(job, 32);
    snprintf(to, 32, "%s-%s", name, what);
    return to;
}

/* source -> pass -> sink, chained, under a name of its own. */
static void pipeline(weir_job *job, const char *name, uint32_t parallelism,
    weir_stream *(*route)(weir_stream *in))
{
    weir_stream *in = weir_source(job, text(job, name, "in"), FAKE_SOURCE(.type = &click_type));
    weir_parallelism(in, parallelism);
    if (route != NULL)
        in = route(in);
    weir_stream *mapped = weir_process(in, pass(job, text(job, name, "map")), NULL);
    weir_parallelism(mapped, parallelism);
    weir_sink(mapped, text(job, name, "out"), FAKE_SINK(.type = NULL));
}

static weir_stream *by_user(weir_stream *in)
{
    return weir_key_by(in, WEIR_KEY(click, user_id));
}

static weir_stream *unchained(weir_stream *in)
{
    return weir_chaining(in, WEIR_CHAIN_NEVER);
}

static void one_chain(weir_job *job)
{
    pipeline(job, "a", 4, NULL);
}

static void a_forward_edge(weir_job *job)
{
    pipeline(job, "a", 3, unchained);
}

static void a_keyed_edge(weir_job *job)
{
    pipeline(job, "a", 3, by_user);
}

static void a_rebalanced_edge(weir_job *job)
{
    pipeline(job, "a", 2, weir_rebalance);
}

static void a_broadcast_edge(weir_job *job)
{
    pipeline(job, "a", 2, weir_broadcast);
}

static void two_keyed_pipelines(weir_job *job)
{
    pipeline(job, "a", 2, by_user);
    pipeline(job, "b", 3, by_user);
}

static void a_chain_beside_a_keyed_pipeline(weir_job *job)
{
    pipeline(job, "a", 2, NULL);
    pipeline(job, "b", 2, by_user);
}

/* Two sources of their own parallelism into one sink: what one of them sends meets the other's. */
static void a_union(weir_job *job)
{
    weir_stream *left = weir_parallelism(clicks(job), 2);
    weir_stream *right = weir_source(job, "right", FAKE_SOURCE(.type = &click_type));
    weir_parallelism(right, 2);
    weir_stream *both = weir_process(weir_union(left, right), pass(job, "both"), NULL);
    weir_sink(weir_parallelism(both, 2), "out", FAKE_SINK(.type = NULL));
}

/* Fan out into two sinks, one of them behind an edge to fewer subtasks. */
static void fewer_subtasks_downstream(weir_job *job)
{
    weir_stream *in = weir_parallelism(clicks(job), 3);
    weir_stream *narrow = weir_process(in, pass(job, "narrow"), NULL);
    weir_sink(weir_parallelism(narrow, 1), "out", FAKE_SINK(.type = NULL));
}

/* The region of each subtask, in order, named by its first one. */
static const struct shape {
    const char *name;
    void (*build)(weir_job *job);
    uint32_t regions[16];
    uint32_t subtask_count, region_count;
} shapes[] = {
    { "one chain at parallelism 4", one_chain, { 0, 1, 2, 3 }, 4, 4 },
    { "a forward edge connects i with i", a_forward_edge, { 0, 1, 2, 0, 1, 2 }, 6, 3 },
    { "a key_by connects all", a_keyed_edge, { 0, 0, 0, 0, 0, 0 }, 6, 1 },
    { "rebalance connects all", a_rebalanced_edge, { 0, 0, 0, 0 }, 4, 1 },
    { "broadcast connects all", a_broadcast_edge, { 0, 0, 0, 0 }, 4, 1 },
    { "two keyed pipelines", two_keyed_pipelines, { 0, 0, 0, 0, 4, 4, 4, 4, 4, 4 }, 10, 2 },
    { "a chain beside a keyed pipeline", a_chain_beside_a_keyed_pipeline, { 0, 1, 2, 2, 2, 2 }, 6,
        3 },
    { "a union of forward edges", a_union, { 0, 1, 0, 1, 0, 1 }, 6, 2 },
    { "three into one", fewer_subtasks_downstream, { 0, 0, 0, 0 }, 4, 1 },
};

static void regions_are_what_channels_connect(void **state)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const struct shape *shape = &shapes[i];
        weir_job *job = job_new(NULL);
        shape->build(job);
        const struct plan *plan = plan_of(job, &two_wide);
        uint32_t regions[16] = { 0 };
        if (plan->subtask_count != shape->subtask_count)
            fail_msg("%s: %u subtasks", shape->name, plan->subtask_count);
        plan_regions(plan, regions);
        for (uint32_t s = 0; s < plan->subtask_count; s++)
            if (regions[s] != shape->regions[s])
                fail_msg("%s: subtask %u is in region %u", shape->name, s, regions[s]);
        assert_int_equal(plan_region_count(plan), shape->region_count);
        job_free(job);
    }
}

static void regions_that_share_a_worker_are_one(void **state)
{
    static const struct {
        uint32_t regions[6], groups[6], joined[6];
    } rows[] = {
        { { 0, 1, 2, 0, 1, 2 }, { 0, 1, 2, 0, 1, 2 }, { 0, 1, 2, 0, 1, 2 } },
        { { 0, 1, 2, 0, 1, 2 }, { 0, 0, 1, 0, 0, 1 }, { 0, 0, 2, 0, 0, 2 } },
        /* 0 meets 2 in worker 3, and 2 meets 1 in worker 0 */
        { { 0, 1, 2, 0, 1, 2 }, { 3, 0, 3, 5, 1, 0 }, { 0, 0, 0, 0, 0, 0 } },
        { { 0, 0, 2, 2, 4, 4 }, { 2, 1, 0, 4, 4, 3 }, { 0, 0, 2, 2, 2, 2 } },
        { { 0, 1, 2, 3, 4, 5 }, { 7, 7, 7, 7, 7, 7 }, { 0, 0, 0, 0, 0, 0 } },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t regions[6];
        memcpy(regions, rows[i].regions, sizeof(regions));
        plan_regions_join(regions, 6, rows[i].groups);
        assert_memory_equal(regions, rows[i].joined, sizeof(regions));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_are_what_channels_connect),
        cmocka_unit_test(regions_that_share_a_worker_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* explain_test.c -- the three ways to print a plan, byte for byte. */
#include "graph_fixture.h"

#include <jansson.h>

/* Little enough for a string of C. */
static const struct plan *small_example(weir_job *job)
{
    weir_stream *source = weir_event_time(clicks(job), click, at_ms, 5000);
    weir_stream *keyed = weir_key_by(source, WEIR_KEY2(click, user_id, page));
    weir_stream *built = weir_process(keyed, &build_profile, NULL);
    weir_sink(built, "profiles", FAKE_SINK(.type = &profile_type));
    weir_sink(weir_dead_letters(built, 9), "re\"fused\"", FAKE_SINK(.type = NULL));
    return plan_of(job, &two_wide);
}

typedef const struct plan *example_fn(weir_job *job);

static weir_buffer *explained(example_fn *example_,
    void (*explain)(const struct plan *plan, weir_buffer *out))
{
    weir_buffer *out = weir_buffer_new(1u << 20);
    weir_job *job = job_new(NULL);
    explain(example_(job), out);
    job_free(job);
    assert_false(weir_buffer_overflowed(out));
    return out;
}

static const char text_golden[] =
    "job test: 4 vertices, 10 subtasks, max parallelism 128\n"
    "plan e580c9b9241460f7, slots: default 4, io 2\n"
    "\n"
    "0    clicks -> (clean, dead-letters)  x2  slots default\n"
    "     source clicks: fake-source, gives click, uid clicks\n"
    "       event time at_ms, out of order by up to 5s\n"
    "       dead letters: at most 100 a second\n"
    "     operator clean: click -> click, uid clean\n"
    "       side output late: profile\n"
    "       side output odd: click\n"
    "       counter seen\n"
    "     sink dead-letters: fake-sink, takes weir_dead_letter, uid dead-letters\n"
    "     => 1 by HASH of user_id, page: clean\n"
    "     => 2 by REBALANCE: side output late of clean\n"
    "     => 3 by FORWARD: side output odd of clean\n"
    "\n"
    "1    build profile -> (profiles, refused)  x4  slots default\n"
    "     operator build profile: click -> profile, uid build-profile\n"
    "       keyed by user_id, page\n"
    "       state profile: value of profile, expires after 1d of event time\n"
    "       state pages: map of click\n"
    "       timers\n"
    "       dead letters: any number\n"
    "     sink profiles: fake-sink, takes profile, uid profiles\n"
    "     sink refused: fake-sink, takes weir_dead_letter, uid refused\n"
    "\n"
    "2    late \"ones\"  x2  slots default\n"
    "     sink late \"ones\": fake-sink, takes profile, uid late \"ones\"\n"
    "\n"
    "3    odd -> odd-out  x2  slots io\n"
    "     operator odd: click -> click, uid odd\n"
    "     sink odd-out: fake-sink, takes click, uid odd-out\n"
    "\n"
    "types\n"
    "  click: user_id u64, at_ms i64, price f64, page string\n"
    "  profile: user_id u64, visits i64\n"
    "  weir_dead_letter: topic string, offset i64, operator_ string, reason string, "
    "detail string,\n"
    "    raw string, size u64, partition i32\n";

static void text_tells_everything_a_fact_a_line(void **state)
{
    weir_buffer *out = explained(example, explain_text);
    assert_string_equal(buffer_text(out), text_golden);
    weir_buffer_free(out);
}

static void text_fits_a_terminal(void **state)
{
    weir_buffer *out = explained(example, explain_text);
    for (const char *line = buffer_text(out); *line != '\0'; line++) {
        size_t width = strcspn(line, "\n");
        assert_true(width <= 100);
        line += width;
    }
    weir_buffer_free(out);
}

static const char dot_golden[] =
    "digraph \"test\" {\n"
    "    rankdir=LR;\n"
    "    node [shape=box, style=rounded];\n"
    "    v0 [label=\"clicks (fake-source)\\nclean\\ndead-letters (fake-sink)\\nx2, slots "
    "default\"];\n"
    "    v1 [label=\"build profile\\nprofiles (fake-sink)\\nrefused (fake-sink)\\nx4, slots "
    "default\"];\n"
    "    v2 [label=\"late \\\"ones\\\" (fake-sink)\\nx2, slots default\"];\n"
    "    v3 [label=\"odd\\nodd-out (fake-sink)\\nx2, slots io\"];\n"
    "    v0 -> v1 [style=solid, label=\"HASH of user_id, page\\nclick\"];\n"
    "    v0 -> v2 [style=dashed, label=\"REBALANCE\\nprofile: late\"];\n"
    "    v0 -> v3 [style=dashed, label=\"FORWARD\\nclick: odd\"];\n"
    "}\n";

static void dot_draws_vertices_and_edges(void **state)
{
    weir_buffer *out = explained(example, explain_dot);
    assert_string_equal(buffer_text(out), dot_golden);
    weir_buffer_free(out);
}

static const char json_golden[] =
    "{\"job\":\"test\",\"fingerprint\":\"56fe5602e6f7fe78\",\"max_parallelism\":128,"
    "\"subtasks\":4,\"regions\":1,\"slot_groups\":[{\"name\":\"default\",\"slots\":2}],"
    "\"vertices\":[{"
    "\"id\":0,\"name\":\"clicks\",\"parallelism\":2,\"slot_group\":\"default\","
    "\"first_subtask\":0,\"operators\":[{\"kind\":\"source\",\"name\":\"clicks\","
    "\"uid\":\"clicks\",\"connector\":\"fake-source\",\"in\":null,\"out\":\"click\","
    "\"key\":null,\"states\":[],\"timers\":false,\"sides\":[],\"counters\":[],"
    "\"event_time\":{\"field\":\"at_ms\",\"out_of_orderness_ms\":5000},"
    "\"dead_letters\":null,\"chained\":[]}]},{\"id\":1,\"name\":\"build profile -> "
    "(profiles, re\\\"fused\\\")\",\"parallelism\":2,\"slot_group\":\"default\","
    "\"first_subtask\":2,\"operators\":[{\"kind\":\"operator\",\"name\":\"build "
    "profile\",\"uid\":\"build-profile\",\"connector\":null,\"in\":\"click\","
    "\"out\":\"profile\",\"key\":[\"user_id\",\"page\"],\"states\":[{"
    "\"name\":\"profile\",\"kind\":\"value\",\"type\":\"profile\",\"ttl_ms\":86400000,"
    "\"ttl_time\":\"event time\"},{\"name\":\"pages\",\"kind\":\"map\","
    "\"type\":\"click\",\"ttl_ms\":0,\"ttl_time\":null}],\"timers\":true,\"sides\":[],"
    "\"counters\":[],\"event_time\":null,\"dead_letters\":{\"per_second_max\":9},"
    "\"chained\":[{\"output\":\"main\",\"side\":null,\"operator\":1},{"
    "\"output\":\"dead-letters\",\"side\":null,\"operator\":2}]},{\"kind\":\"sink\","
    "\"name\":\"profiles\",\"uid\":\"profiles\",\"connector\":\"fake-sink\","
    "\"in\":\"profile\",\"out\":null,\"key\":null,\"states\":[],\"timers\":false,"
    "\"sides\":[],\"counters\":[],\"event_time\":null,\"dead_letters\":null,\"chained\":["
    "]},{\"kind\":\"sink\",\"name\":\"re\\\"fused\\\"\",\"uid\":\"re\\\"fused\\\"\","
    "\"connector\":\"fake-sink\",\"in\":\"weir_dead_letter\",\"out\":null,\"key\":null,"
    "\"states\":[],\"timers\":false,\"sides\":[],\"counters\":[],\"event_time\":null,"
    "\"dead_letters\":null,\"chained\":[]}]}],\"edges\":[{\"id\":0,\"from\":{"
    "\"vertex\":0,\"operator\":0,\"output\":\"main\",\"side\":null},\"to\":1,"
    "\"partitioner\":\"HASH\",\"key\":[\"user_id\",\"page\"],\"type\":\"click\"}],"
    "\"types\":[{\"name\":\"click\",\"fields\":[{\"id\":1,\"name\":\"user_id\","
    "\"kind\":\"u64\"},{\"id\":2,\"name\":\"at_ms\",\"kind\":\"i64\"},{\"id\":3,"
    "\"name\":\"price\",\"kind\":\"f64\"},{\"id\":4,\"name\":\"page\","
    "\"kind\":\"string\"}]},{\"name\":\"profile\",\"fields\":[{\"id\":1,"
    "\"name\":\"user_id\",\"kind\":\"u64\"},{\"id\":2,\"name\":\"visits\","
    "\"kind\":\"i64\"}]},{\"name\":\"weir_dead_letter\",\"fields\":[{\"id\":1,"
    "\"name\":\"topic\",\"kind\":\"string\"},{\"id\":2,\"name\":\"offset\","
    "\"kind\":\"i64\"},{\"id\":3,\"name\":\"operator_\",\"kind\":\"string\"},{\"id\":4,"
    "\"name\":\"reason\",\"kind\":\"string\"},{\"id\":5,\"name\":\"detail\","
    "\"kind\":\"string\"},{\"id\":6,\"name\":\"raw\",\"kind\":\"string\"},{\"id\":7,"
    "\"name\":\"size\",\"kind\":\"u64\"},{\"id\":8,\"name\":\"partition\","
    "\"kind\":\"i32\"}]}]}\n";

static void json_is_as_documented(void **state)
{
    weir_buffer *out = explained(small_example, explain_json);
    assert_string_equal(buffer_text(out), json_golden);
    weir_buffer_free(out);
}

static void json_can_be_parsed(void **state)
{
    weir_buffer *out = explained(example, explain_json);
    json_t *plan = json_loads(buffer_text(out), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(plan);
    assert_int_equal(json_array_size(json_object_get(plan, "vertices")), 4);
    json_t *late = json_array_get(json_object_get(plan, "vertices"), 2);
    assert_string_equal(json_string_value(json_object_get(late, "name")), "late \"ones\"");
    json_decref(plan);
    weir_buffer_free(out);
}

static void the_smallest_plan_is_printed(void **state)
{
    weir_job *job = job_new(NULL);
    weir_sink(clicks(job), "out", FAKE_SINK(.type = NULL));
    const struct plan *plan = plan_of(job, &(struct plan_options){ .job = "j", .parallelism = 1 });
    weir_buffer *out = weir_buffer_new(1u << 20);
    explain_text(plan, out);
    assert_non_null(strstr(buffer_text(out), "job j: 1 vertex, 1 subtask, max parallelism 128\n"));
    assert_non_null(strstr(buffer_text(out), "\n0    clicks -> out  x1\n"));
    weir_buffer_free(out);
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_tells_everything_a_fact_a_line),
        cmocka_unit_test(text_fits_a_terminal),
        cmocka_unit_test(dot_draws_vertices_and_edges),
        cmocka_unit_test(json_is_as_documented),
        cmocka_unit_test(json_can_be_parsed),
        cmocka_unit_test(the_smallest_plan_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

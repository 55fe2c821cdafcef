/* builder_test.c -- the verbs: what a stream is, what they copy, and that broken streams are
 * quiet. */
#include "graph_fixture.h"

static void a_stream_knows_its_type_and_job(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *stream = weir_process(clicks(job), &clean, NULL);
    assert_ptr_equal(weir_stream_job(stream), job);
    assert_string_equal(weir_stream_type(stream)->name, "click");
    stream = weir_side_output(stream, "late");
    assert_string_equal(weir_stream_type(stream)->name, "profile");
    stream = weir_dead_letters(stream, 0);
    assert_string_equal(weir_stream_type(stream)->name, "weir_dead_letter");
    assert_null(job_mistakes(job));
    job_free(job);
}

static void verbs_accept_null(void **state)
{
    assert_null(weir_event_time_at(NULL, &click_type, 8, 0));
    assert_null(weir_key_by(NULL, WEIR_KEY(click, user_id)));
    assert_null(weir_process(NULL, &clean, NULL));
    assert_null(weir_union(NULL, NULL));
    assert_null(weir_side_output(NULL, "late"));
    assert_null(weir_dead_letters(NULL, 0));
    assert_null(weir_rebalance(NULL));
    assert_null(weir_broadcast(NULL));
    assert_null(weir_uid(NULL, "uid"));
    assert_null(weir_parallelism(NULL, 1));
    assert_null(weir_chaining(NULL, WEIR_CHAIN_NEVER));
    assert_null(weir_slot_group(NULL, "io"));
    assert_null(weir_stream_type(NULL));
    assert_null(weir_stream_job(NULL));
    weir_sink(NULL, "out", FAKE_SINK(.type = &click_type));
    job_free(NULL);
}

static void a_mistake_is_told_once_however_long_the_way_behind_it(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *wrong = weir_side_output(clicks(job), "nothing");
    weir_stream *keyed = weir_key_by(weir_rebalance(wrong), WEIR_KEY(profile, user_id));
    weir_stream *built = weir_process(keyed, &build_profile, NULL);
    weir_stream *both = weir_union(built, weir_broadcast(wrong));
    weir_dead_letters(weir_parallelism(weir_uid(both, "both"), 3), 0);
    weir_event_time_at(wrong, &click_type, 0, 0);
    weir_side_output(wrong, "late");
    weir_sink(both, "out", FAKE_SINK(.type = &profile_type));
    weir_sink(clicks(job), "other", FAKE_SINK(.type = &click_type));
    weir_error *error = job_mistakes(job);
    assert_string_equal(weir_error_message(error), "source 'clicks' has no side output 'nothing'");
    weir_error_free(error);
    assert_null(job_mistakes(job));
    job_free(job);
}

static void the_first_mistakes_of_many_are_kept_and_the_rest_counted(void **state)
{
    weir_job *job = job_new(NULL);
    for (int i = 0; i < 1000; i++)
        weir_job_fail(job, weir_errorf(WEIR_E_USAGE, "mistake %d", i));
    weir_error *error = job_mistakes(job);
    assert_int_equal(weir_error_code(error), WEIR_E_USAGE);
    assert_non_null(strstr(weir_error_message(error), "the job has 1000 mistakes:\n  mistake 0\n"));
    assert_non_null(strstr(weir_error_message(error), "\n  mistake 39\n  and 960 more"));
    weir_error_free(error);
    weir_job_fail(job, weir_errorf(WEIR_E_USAGE, "never taken"));
    job_free(job);
}

static void options_and_names_are_copied(void **state)
{
    weir_job *job = job_new(NULL);
    struct fake_options options = { .type = &click_type };
    struct weir_source source = { .source_class = &fake_source_class, .options = &options };
    char name[] = "clicks";
    weir_stream *stream = weir_source(job, name, source);
    weir_sink(stream, "out", FAKE_SINK(.type = NULL));
    memset(name, 'x', sizeof(name) - 1);
    memset(&options, 0xff, sizeof(options));
    const struct plan *plan = plan_of(job, &two_wide);
    assert_string_equal(plan->vertices[0].name, "clicks -> out");
    const struct fake_options *copy = plan->vertices[0].operators[0].source.options;
    assert_ptr_not_equal(copy, &options);
    assert_ptr_equal(copy->type, &click_type);
    job_free(job);
}

static void job_memory_is_zeroed(void **state)
{
    weir_job *job = job_new(NULL);
    char *bytes = weir_job_alloc(job, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(bytes[i], 0);
    job_free(job);
}

static void a_view_leaves_the_stream_it_came_from_alone(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *source = clicks(job);
    weir_key_by(source, WEIR_KEY(click, user_id));
    weir_broadcast(source);
    weir_sink(source, "out", FAKE_SINK(.type = &click_type));
    const struct plan *plan = plan_of(job, &two_wide);
    assert_int_equal(plan->vertex_count, 1);
    job_free(job);
}

static void options_of_the_program_are_read_through_the_job(void **state)
{
    static const struct weir_option rows[] = {
        { .name = "topic", .kind = WEIR_OPTION_TEXT, .fallback = "clicks", .help = "Topic." },
        { .name = "ttl", .kind = WEIR_OPTION_DURATION, .fallback = "5s", .help = "Time." },
        { .name = "bounded", .kind = WEIR_OPTION_FLAG, .help = "Stops." },
    };
    struct config *config = config_new();
    config_add(config, rows, 3);
    char program[] = "job", flag[] = "--bounded";
    char *argv[] = { program, flag, NULL };
    assert_null(config_parse(config, 2, argv));
    weir_job *job = job_new(config);
    assert_string_equal(weir_job_text(job, "topic"), "clicks");
    assert_int_equal(weir_job_number(job, "ttl"), 5000);
    assert_true(weir_job_flag(job, "bounded"));
    assert_null(job_mistakes(job));
    assert_null(weir_job_text(job, "tropic"));
    weir_error *error = job_mistakes(job);
    assert_string_equal(weir_error_message(error),
        "the job reads option 'tropic', which is in no option table");
    weir_error_free(error);
    job_free(job);
    config_free(config);
}

static void without_a_config_every_option_is_unset(void **state)
{
    weir_job *job = job_new(NULL);
    assert_null(weir_job_text(job, "topic"));
    assert_int_equal(weir_job_number(job, "ttl"), 0);
    assert_false(weir_job_flag(job, "bounded"));
    assert_null(job_mistakes(job));
    job_free(job);
}

static void more_nodes_than_allowed_are_a_mistake_and_no_crash(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *stream = clicks(job);
    for (int i = 0; i < 2000; i++)
        stream = weir_process(stream, pass(job, "pass"), NULL);
    weir_sink(stream, "out", FAKE_SINK(.type = &click_type));
    weir_error *error = job_mistakes(job);
    assert_non_null(strstr(weir_error_message(error),
        "more than 1000 sources, operators and sinks, or 4000 edges"));
    weir_error_free(error);
    job_free(job);
}

static void unions_that_double_are_bounded(void **state)
{
    weir_job *job = job_new(NULL);
    weir_stream *stream = clicks(job);
    for (int i = 0; i < 40; i++)
        stream = weir_union(stream, stream);
    weir_error *error = job_mistakes(job);
    assert_string_equal(weir_error_message(error), "a union of more than 4000 streams");
    weir_error_free(error);
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_knows_its_type_and_job),
        cmocka_unit_test(verbs_accept_null),
        cmocka_unit_test(a_mistake_is_told_once_however_long_the_way_behind_it),
        cmocka_unit_test(the_first_mistakes_of_many_are_kept_and_the_rest_counted),
        cmocka_unit_test(options_and_names_are_copied),
        cmocka_unit_test(job_memory_is_zeroed),
        cmocka_unit_test(a_view_leaves_the_stream_it_came_from_alone),
        cmocka_unit_test(options_of_the_program_are_read_through_the_job),
        cmocka_unit_test(without_a_config_every_option_is_unset),
        cmocka_unit_test(more_nodes_than_allowed_are_a_mistake_and_no_crash),
        cmocka_unit_test(unions_that_double_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

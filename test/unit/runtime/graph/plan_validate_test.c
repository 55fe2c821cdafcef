/* plan_validate_test.c -- every mistake that a job can make, by its message. */
#include "graph_fixture.h"

static weir_error *mistakes_of(void (*build)(weir_job *job), const struct plan_options *options)
{
    weir_job *job = job_new(NULL);
    build(job);
    const struct plan *plan = (const struct plan *)job;
    weir_error *error = plan_build(job, options, &plan);
    assert_true((error == NULL) == (plan != NULL));
    job_free(job);
    return error;
}

/* A graph that is right, for `stream` to be wrong in. */
static void finish(weir_stream *stream)
{
    weir_sink(stream, "out", FAKE_SINK(.type = NULL));
}

static void nothing(weir_job *job)
{
    (void)job;
}

static void no_sink(weir_job *job)
{
    clicks(job);
}

static void types_differ(weir_job *job)
{
    weir_stream *source = weir_source(job, "profiles", FAKE_SOURCE(.type = &profile_type));
    finish(weir_process(source, &clean, NULL));
}

static void namesakes_differ(weir_job *job)
{
    static const struct weir_field fields[] = { WEIR_FIELD(1, profile, user_id) };
    static const struct weir_type other = { .name = "click",
        .size = sizeof(struct profile),
        .field_count = 1,
        .fields = fields };
    weir_stream *source = weir_source(job, "clicks", FAKE_SOURCE(.type = &other));
    finish(weir_process(source, &clean, NULL));
}

static void sink_type_differs(weir_job *job)
{
    weir_stream *side = weir_side_output(weir_process(clicks(job), &clean, NULL), "late");
    weir_sink(side, "out", FAKE_SINK(.type = &click_type));
}

static void dead_letters_differ(weir_job *job)
{
    weir_sink(weir_dead_letters(clicks(job), 0), "out", FAKE_SINK(.type = &click_type));
}

static void same_uid(weir_job *job)
{
    weir_stream *once = weir_process(clicks(job), &clean, NULL);
    finish(weir_process(once, &clean, NULL));
}

static void same_uid_of_source_and_sink(weir_job *job)
{
    weir_sink(clicks(job), "clicks", FAKE_SINK(.type = NULL));
}

static void state_without_uid(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = build_profile;
    op->uid = NULL;
    finish(weir_process(weir_key_by(clicks(job), WEIR_KEY(click, user_id)), op, NULL));
}

static void timers_without_uid(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = build_profile;
    op->uid = NULL;
    op->state_count = 0;
    finish(weir_process(weir_key_by(clicks(job), WEIR_KEY(click, user_id)), op, NULL));
}

static void counters_without_uid(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->uid = NULL;
    op->name = "clean";
    finish(weir_process(clicks(job), op, NULL));
}

static void state_without_key(weir_job *job)
{
    weir_stream *keyed = weir_key_by(clicks(job), WEIR_KEY(click, user_id));
    finish(weir_process(weir_rebalance(keyed), &build_profile, NULL));
}

static void timers_without_key(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = build_profile;
    op->state_count = 0;
    finish(weir_process(clicks(job), op, NULL));
}

static void union_of_two_keys(weir_job *job)
{
    weir_stream *source = clicks(job);
    weir_stream *both = weir_union(weir_key_by(source, WEIR_KEY(click, user_id)),
        weir_key_by(source, WEIR_KEY(click, page)));
    finish(weir_process(both, &build_profile, NULL));
}

static void key_of_another_type(weir_job *job)
{
    finish(weir_key_by(clicks(job), WEIR_KEY(profile, user_id)));
}

static void key_beside_a_field(weir_job *job)
{
    struct weir_key key = WEIR_KEY(click, user_id);
    key.offsets[0] = 3;
    finish(weir_key_by(clicks(job), key));
}

static void key_of_nothing(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->out = NULL;
    weir_stream *stream = weir_process(clicks(job), op, NULL);
    finish(weir_side_output(stream, "odd"));
    weir_key_by(stream, WEIR_KEY(click, user_id));
}

static void reads_nothing(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->out = NULL;
    finish(weir_process(clicks(job), op, NULL));
}

static void union_of_two_types(weir_job *job)
{
    weir_stream *cleaned = weir_process(clicks(job), &clean, NULL);
    finish(weir_union(cleaned, weir_side_output(cleaned, "late")));
}

static void hint_on_a_union(weir_job *job)
{
    weir_stream *cleaned = weir_process(clicks(job), &clean, NULL);
    finish(weir_parallelism(weir_union(cleaned, weir_side_output(cleaned, "odd")), 2));
}

static void unknown_side(weir_job *job)
{
    weir_stream *cleaned = weir_process(clicks(job), &clean, NULL);
    weir_side_output(cleaned, "lat");
    finish(cleaned);
}

static void two_limits(weir_job *job)
{
    weir_stream *source = clicks(job);
    finish(weir_dead_letters(source, 5));
    weir_dead_letters(source, 6);
}

static void dead_letters_lead_nowhere(weir_job *job)
{
    weir_stream *source = clicks(job);
    weir_dead_letters(source, 5);
    finish(source);
}

static void no_operator(weir_job *job)
{
    weir_stream *source = clicks(job);
    finish(source);
    weir_process(source, NULL, NULL);
}

static void no_callback(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->on_record = NULL;
    finish(weir_process(clicks(job), op, NULL));
}

static weir_error *ignore_batch(weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count)
{
    return NULL;
}

static void two_callbacks(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->on_batch = ignore_batch;
    finish(weir_process(clicks(job), op, NULL));
}

static void timers_without_callback(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = build_profile;
    op->on_timer = NULL;
    finish(weir_process(weir_key_by(clicks(job), WEIR_KEY(click, user_id)), op, NULL));
}

static void callback_without_timers(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->on_timer = ignore_timer;
    finish(weir_process(clicks(job), op, NULL));
}

static void no_input_type(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->in = NULL;
    finish(weir_process(clicks(job), op, NULL));
}

static void no_names(weir_job *job)
{
    weir_stream *source = weir_source(job, NULL, FAKE_SOURCE(.type = &click_type));
    weir_sink(weir_process(source, pass(job, NULL), NULL), "", FAKE_SINK(.type = NULL));
}

static void a_control_character(weir_job *job)
{
    weir_sink(weir_slot_group(clicks(job), ""), "out\n", FAKE_SINK(.type = NULL));
}

static void a_uid_that_is_a_path(weir_job *job)
{
    finish(weir_process(weir_uid(clicks(job), "../clicks"), pass(job, "a/b"), NULL));
}

static void a_long_name(weir_job *job)
{
    char name[300];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    finish(weir_uid(weir_process(clicks(job), pass(job, "pass"), NULL), name));
}

static void bad_options(weir_job *job)
{
    weir_stream *source =
        weir_source(job, "in", FAKE_SOURCE(.type = &click_type, .mistake = "topic is missing"));
    weir_sink(source, "out", FAKE_SINK(.type = NULL, .mistake = "path is missing"));
}

static void no_connectors(weir_job *job)
{
    struct weir_source no_source = { .source_class = NULL };
    struct weir_sink no_sink = { .sink_class = NULL };
    weir_sink(weir_process(weir_source(job, "in", no_source), &clean, NULL), "out", no_sink);
}

static void no_options(weir_job *job)
{
    struct weir_source no_source = { .source_class = &fake_source_class };
    struct weir_sink no_sink = { .sink_class = &fake_sink_class };
    weir_sink(weir_source(job, "in", no_source), "out", no_sink);
}

static void a_source_without_type(weir_job *job)
{
    weir_stream *source = weir_source(job, "in", FAKE_SOURCE(.type = NULL));
    finish(weir_process(weir_key_by(source, WEIR_KEY(click, user_id)), &build_profile, NULL));
}

static void no_parallelism(weir_job *job)
{
    finish(weir_parallelism(clicks(job), 0));
}

static void too_parallel(weir_job *job)
{
    finish(weir_parallelism(clicks(job), 129));
}

static void event_time_behind_a_source(weir_job *job)
{
    finish(weir_event_time(weir_process(clicks(job), &clean, NULL), click, at_ms, 0));
}

static void event_time_of_another_type(weir_job *job)
{
    finish(weir_event_time(clicks(job), profile, visits, 0));
}

static void event_time_that_is_no_time(weir_job *job)
{
    finish(weir_event_time_at(clicks(job), &click_type, offsetof(struct click, price), 0));
}

static void event_time_twice(weir_job *job)
{
    weir_stream *source = weir_event_time(clicks(job), click, at_ms, 0);
    finish(weir_event_time(source, click, at_ms, 0));
}

static void event_time_from_the_future(weir_job *job)
{
    finish(weir_event_time(clicks(job), click, at_ms, -1));
}

static void refuse_state(weir_job *job, const struct weir_state *states, uint32_t count)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = build_profile;
    op->states = states;
    op->state_count = count;
    finish(weir_process(weir_key_by(clicks(job), WEIR_KEY(click, user_id)), op, NULL));
}

static void add(void *total, const void *value)
{
    (void)total;
    (void)value;
}

static void bad_states(weir_job *job)
{
    static const struct weir_state states[] = {
        { .name = "", .type = &click_type },
        { .name = "untyped" },
        { .name = "twice", .type = &click_type },
        { .name = "twice", .type = &click_type },
        { .name = "merged", .kind = WEIR_REDUCING, .type = &click_type },
        { .name = "reduced", .kind = WEIR_VALUE, .type = &click_type, .reduce = add },
        { .name = "odd", .kind = (enum weir_state_kind)9, .type = &click_type },
        { .name = "old", .type = &click_type, .ttl_ms = -1 },
        { .name = "value", .type = &click_type, .shares_row = true },
        { .name = "mortal",
            .kind = WEIR_MAP,
            .type = &click_type,
            .ttl_ms = 1,
            .shares_row = true },
        { .name = "shared", .kind = WEIR_MAP, .type = &click_type, .shares_row = true },
    };
    refuse_state(job, states, 11);
}

static void too_many_states(weir_job *job)
{
    refuse_state(job, build_states, 65);
}

static void bad_sides_and_counters(weir_job *job)
{
    static const struct weir_side_output sides[] = {
        { .name = NULL, .type = &click_type },
        { .name = "untyped" },
        { .name = "twice", .type = &click_type },
        { .name = "twice", .type = &click_type },
    };
    static const char *const counters[] = { "a", "", "a" };
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->sides = sides;
    op->side_count = 4;
    op->counters = counters;
    op->counter_count = 3;
    finish(weir_process(clicks(job), op, NULL));
}

static void too_many_sides_and_counters(weir_job *job)
{
    struct weir_operator *op = weir_job_alloc(job, sizeof(*op));
    *op = clean;
    op->side_count = 17;
    op->counters = NULL;
    finish(weir_process(clicks(job), op, NULL));
}

static void a_packed_type(weir_job *job)
{
    static const struct weir_field fields[] = {
        { .id = 1, .kind = WEIR_I64, .offset = 4, .name = "at" }
    };
    static const struct weir_type type = { .name = "packed",
        .size = 12,
        .field_count = 1,
        .fields = fields };
    finish(weir_source(job, "in", FAKE_SOURCE(.type = &type)));
}

static void a_mistake_of_the_job(weir_job *job)
{
    weir_job_fail(job, weir_errorf(WEIR_E_USAGE, "give --brokers or --history"));
    finish(clicks(job));
}

static const struct mistake {
    const char *name;
    void (*build)(weir_job *job);
    const char *message;
} mistakes[] = {
    { "nothing", nothing,
        "the job has 2 mistakes:\n  the job has no source\n"
        "  the job has no sink" },
    { "no sink", no_sink, "the job has no sink" },
    { "types differ", types_differ,
        "operator 'clean' takes 'click', but source 'profiles' gives 'profile'" },
    { "namesakes", namesakes_differ,
        "operator 'clean' takes 'click', but source 'clicks' gives "
        "another type of the same name, 'click'" },
    { "sink", sink_type_differs,
        "sink 'out' takes 'click', but side output 'late' of operator "
        "'clean' gives 'profile'" },
    { "dead letters", dead_letters_differ,
        "sink 'out' takes 'click', but the dead letters of "
        "source 'clicks' gives 'weir_dead_letter'" },
    { "uid twice", same_uid,
        "operator 'clean' and operator 'clean' have the same uid 'clean': "
        "give one another by weir_uid" },
    { "uid of source and sink", same_uid_of_source_and_sink,
        "source 'clicks' and sink 'clicks' "
        "have the same uid 'clicks': give one another by weir_uid" },
    { "state, no uid", state_without_uid,
        "operator 'build profile' has state, so it needs a uid "
        "that never changes: set .uid" },
    { "timers, no uid", timers_without_uid,
        "operator 'build profile' has timers, so it needs a "
        "uid that never changes: set .uid" },
    { "counters, no uid", counters_without_uid,
        "operator 'clean' has counters, so it needs a uid "
        "that never changes: set .uid" },
    { "state, no key", state_without_key,
        "operator 'build profile' has state, so its input must "
        "be keyed: call weir_key_by before it" },
    { "timers, no key", timers_without_key,
        "operator 'build profile' has timers, so its input "
        "must be keyed: call weir_key_by before it" },
    { "two keys", union_of_two_keys,
        "operator 'build profile' has state, so its input must be "
        "keyed: call weir_key_by before it" },
    { "key of another type", key_of_another_type,
        "the key is of type 'profile', but source 'clicks' gives 'click'" },
    { "key beside a field", key_beside_a_field,
        "source 'clicks': the key of type 'click' uses a "
        "member at offset 3 that is no field; add it to the WEIR_TYPE" },
    { "key of nothing", key_of_nothing,
        "operator 'clean' emits nothing on its main output, so it "
        "cannot have a key" },
    { "reads nothing", reads_nothing,
        "sink 'out' reads operator 'clean', which emits nothing on its main output" },
    { "union of types", union_of_two_types,
        "a union of 'click' (operator 'clean') and 'profile' "
        "(side output 'late' of operator 'clean'): both must be of one type" },
    { "hint on a union", hint_on_a_union,
        "weir_parallelism of a union: call it on the streams that were united" },
    { "unknown side", unknown_side,
        "operator 'clean' has no side output 'lat'; it has 'late', 'odd'" },
    { "two limits", two_limits,
        "the dead letters of source 'clicks' are limited twice, to 5 and "
        "6 per second" },
    { "dead letters nowhere", dead_letters_lead_nowhere,
        "the dead letters of source 'clicks' "
        "lead nowhere: give them a sink (weir_blackhole drops them)" },
    { "no operator", no_operator, "weir_process was given no operator" },
    { "no callback", no_callback, "operator 'clean' has no callback: set .on_record or .on_batch" },
    { "two callbacks", two_callbacks, "operator 'clean' has .on_record and .on_batch: keep one" },
    { "timers, no callback", timers_without_callback,
        "operator 'build profile' has timers but no .on_timer" },
    { "callback, no timers", callback_without_timers,
        "operator 'clean' has .on_timer but not .has_timers" },
    { "no input type", no_input_type, "operator 'clean' has no input type: set .in" },
    { "no names", no_names,
        "the job has 4 mistakes:\n  source '' has an empty name\n"
        "  operator '' has an empty name\n  sink '' has an empty name\n"
        "  source '' and sink '' have the same uid '': give one another by weir_uid" },
    { "control character", a_control_character,
        "the job has 2 mistakes:\n"
        "  source 'clicks' has an empty slot group\n"
        "  sink 'out\n': the name has a control character" },
    { "path", a_uid_that_is_a_path,
        "source 'clicks': the uid '../clicks' must not have a '/' or "
        "begin with a '.'" },
    { "long name", a_long_name, "operator 'pass': the uid is longer than 255 bytes" },
    { "options", bad_options,
        "the job has 2 mistakes:\n  source 'in': topic is missing\n"
        "  sink 'out': path is missing" },
    { "no connectors", no_connectors,
        "the job has 2 mistakes:\n"
        "  source 'in' has no connector\n  sink 'out' has no connector" },
    { "no options", no_options,
        "the job has 2 mistakes:\n"
        "  source 'in' has no options\n  sink 'out' has no options" },
    { "source without type", a_source_without_type,
        "source 'in' has no output type: give it a format" },
    { "parallelism 0", no_parallelism, "source 'clicks': the parallelism must be at least 1" },
    { "parallelism 129", too_parallel,
        "source 'clicks': the parallelism 129 is over the maximum "
        "of this job, 128" },
    { "event time of an operator", event_time_behind_a_source,
        "operator 'clean': only a source can be given an event time" },
    { "event time of another type", event_time_of_another_type,
        "source 'clicks' gives 'click', "
        "but its event time is a member of 'profile'" },
    { "event time f64", event_time_that_is_no_time,
        "source 'clicks': the event time must be an i64 field of 'click'" },
    { "event time twice", event_time_twice, "source 'clicks' is given an event time twice" },
    { "event time negative", event_time_from_the_future,
        "source 'clicks': records cannot be out of order by a negative time" },
    { "states", bad_states,
        "the job has 9 mistakes:\n"
        "  operator 'build profile' has a state without a name\n"
        "  operator 'build profile' has no type for a state: set .type\n"
        "  operator 'build profile' has two states 'twice'\n"
        "  operator 'build profile': reducing state 'merged' needs a reduce function\n"
        "  operator 'build profile': state 'reduced' has a reduce function but is not "
        "WEIR_REDUCING\n"
        "  operator 'build profile': state 'odd' is of no known kind\n"
        "  operator 'build profile': the ttl_ms of state 'old' is negative\n"
        "  operator 'build profile': state 'value' cannot share a row: only maps without a time to "
        "live can\n"
        "  operator 'build profile': state 'mortal' cannot share a row: only maps without a time "
        "to "
        "live can" },
    { "many states", too_many_states,
        "operator 'build profile' must have at most 64 states, in an array" },
    { "sides and counters", bad_sides_and_counters,
        "the job has 5 mistakes:\n"
        "  operator 'clean' has a side output without a name\n"
        "  operator 'clean' has no type for a side output: set .type\n"
        "  operator 'clean' has two side outputs 'twice'\n"
        "  operator 'clean' has a counter without a name\n"
        "  operator 'clean' has two counters 'a'" },
    { "many sides", too_many_sides_and_counters,
        "the job has 2 mistakes:\n"
        "  operator 'clean' must have at most 16 side outputs, in an array\n"
        "  operator 'clean' must have at most 64 counters, in an array" },
    { "packed", a_packed_type,
        "source 'in': field 'at' of type 'packed' is not aligned (offset "
        "4); a record must not be packed" },
    { "the job's own", a_mistake_of_the_job, "give --brokers or --history" },
};

static void each_mistake_is_told_by_its_message(void **state)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        weir_error *error = mistakes_of(mistakes[i].build, &two_wide);
        if (error == NULL)
            fail_msg("%s: no mistake was told", mistakes[i].name);
        assert_string_equal(weir_error_message(error), mistakes[i].message);
        weir_error_free(error);
    }
}

static void right(weir_job *job)
{
    finish(clicks(job));
}

static void options_out_of_range_are_told(void **state)
{
    static const struct {
        struct plan_options options;
        const char *message;
    } cases[] = {
        { { .job = "", .parallelism = 1 }, "the job has no name" },
        { { .job = NULL, .parallelism = 1 }, "the job has no name" },
        { { .job = "j", .parallelism = 0 },
            "the parallelism of the job is 0, but must be 1 to 128" },
        { { .job = "j", .parallelism = 9, .max_parallelism = 8 },
            "the parallelism of the job is 9, but must be 1 to 8" },
        { { .job = "j", .parallelism = 1, .max_parallelism = 32769 },
            "the maximum parallelism 32769 is over the limit, 32768" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_error *error = mistakes_of(right, &cases[i].options);
        assert_non_null(error);
        assert_int_equal(weir_error_code(error), WEIR_E_PLAN);
        assert_string_equal(weir_error_message(error), cases[i].message);
        weir_error_free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told_by_its_message),
        cmocka_unit_test(options_out_of_range_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

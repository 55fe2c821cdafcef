/* migration_test.c -- each way in which a job can have changed, and what becomes of its state. */
#include "checkpoint/migration.h"

#include "base/buffer.h"
#include "test/support/expect.h"

struct click {
    uint64_t user;
    weir_str page;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user), WEIR_FIELD(2, click, page));

struct before {
    int32_t narrow;
    uint32_t plain;
    double real;
    weir_str text;
};
WEIR_TYPE(before, WEIR_FIELD(1, before, narrow), WEIR_FIELD(2, before, plain),
    WEIR_FIELD(3, before, real), WEIR_FIELD(4, before, text));

struct wide {
    int64_t narrow, plain;
    double real;
    weir_str words;
    bool is_new;
};
WEIR_TYPE(wide, WEIR_FIELD(1, wide, narrow), WEIR_FIELD(2, wide, plain), WEIR_FIELD(3, wide, real),
    WEIR_FIELD(4, wide, words), WEIR_FIELD(5, wide, is_new));

struct less {
    double real;
};
WEIR_TYPE(less, WEIR_FIELD(3, less, real));

struct other {
    int64_t real;
};
WEIR_TYPE(other, WEIR_FIELD(3, other, real));

static void reduce(void *total, const void *value)
{
    (void)total;
    (void)value;
}

#define EVENT      .ttl_time = WEIR_EVENT_TIME
#define PROCESSING .ttl_time = WEIR_PROCESSING_TIME

/* One state, as stored and as the job has it; what the report says, or what the refusal says. */
static const struct row {
    const char *name;
    struct weir_state stored, now;
    const char *reported, *refused;
} rows[] = {
    { "the same", { "s", WEIR_VALUE, &before_type, NULL, 0, 0, false },
        { "s", WEIR_VALUE, &before_type, NULL, 0, 0, false }, "  state 's': kept\n", NULL },
    { "wider, renamed, one more", { "s", WEIR_VALUE, &before_type, NULL, 0, 0, false },
        { "s", WEIR_VALUE, &wide_type, NULL, 0, 0, false },
        "  state 's': kept; converted: 1 'narrow' i32 -> i64, 2 'plain' u32 -> i64; new: "
        "'is_new'\n",
        NULL },
    { "fields gone", { "s", WEIR_MAP, &before_type, NULL, 0, 0, false },
        { "s", WEIR_MAP, &less_type, NULL, 0, 0, false },
        "  state 's': kept; DROPPED: 'narrow', 'plain', 'text'\n", NULL },
    { "another kind of field", { "s", WEIR_LIST, &before_type, NULL, 0, 0, false },
        { "s", WEIR_LIST, &other_type, NULL, 0, 0, false }, "REFUSED",
        "field 3 'real' of type 'other' was stored as f64 and is i64 now" },
    { "both schemas are printed", { "s", WEIR_LIST, &before_type, NULL, 0, 0, false },
        { "s", WEIR_LIST, &other_type, NULL, 0, 0, false }, "REFUSED",
        "(stored: before { 1 narrow i32, 2 plain u32, 3 real f64, 4 text string }; now: other { 3 "
        "real "
        "i64 })" },
    { "narrower", { "s", WEIR_VALUE, &wide_type, NULL, 0, 0, false },
        { "s", WEIR_VALUE, &before_type, NULL, 0, 0, false }, "REFUSED",
        "was stored as i64 and is i32" },
    { "another kind of state", { "s", WEIR_VALUE, &less_type, NULL, 0, 0, false },
        { "s", WEIR_LIST, &less_type, NULL, 0, 0, false }, "REFUSED",
        "operator 'op', state 's': it was a value and is a list now" },
    { "value and reducing", { "s", WEIR_VALUE, &less_type, NULL, 0, 0, false },
        { "s", WEIR_REDUCING, &less_type, reduce, 0, 0, false }, "REFUSED",
        "was a value and is a reducing" },
    { "a longer life", { "s", WEIR_VALUE, &less_type, NULL, 10, EVENT, false },
        { "s", WEIR_VALUE, &less_type, NULL, 20, EVENT, false }, "  state 's': kept\n", NULL },
    { "an end of dying", { "s", WEIR_VALUE, &less_type, NULL, 10, EVENT, false },
        { "s", WEIR_VALUE, &less_type, NULL, 0, 0, false }, "its entries live for ever now", NULL },
    { "a life that begins", { "s", WEIR_VALUE, &less_type, NULL, 0, 0, false },
        { "s", WEIR_VALUE, &less_type, NULL, 20, PROCESSING, false },
        "its entries live for 20 ms from the restore on", NULL },
    { "one that nobody knows the start of", { "s", WEIR_VALUE, &less_type, NULL, 0, 0, false },
        { "s", WEIR_VALUE, &less_type, NULL, 20, EVENT, false }, "REFUSED",
        "nobody knows when its" },
    { "another clock", { "s", WEIR_VALUE, &less_type, NULL, 10, PROCESSING, false },
        { "s", WEIR_VALUE, &less_type, NULL, 20, EVENT, false }, "REFUSED", "another clock" },
    { "another name", { "s", WEIR_VALUE, &less_type, NULL, 0, 0, false },
        { "t", WEIR_VALUE, &less_type, NULL, 0, 0, false }, "  state 't': new, starts empty\n",
        "state 's': the job does not have it any more; put it back, or drop it with "
        "--allow-non-restored-state" },
};

/* Metadata with one operator, as the way to and from bytes leaves it. */
static void store(struct checkpoint_metadata *metadata, const struct weir_state *state)
{
    struct state_schema schema;
    struct weir_key key = WEIR_KEY(click, user);
    weir_buffer *bytes = weir_buffer_new(1u << 20);
    state_schema_of(&schema, &key, state, 1);
    state_schema_put(&schema, bytes);
    struct subtask_snapshot *snapshot = subtask_snapshot_new(1, 0);
    struct operator_snapshot op = { .uid = WEIR_STR("op"),
        .parallelism = 1,
        .backend = WEIR_STR("hashmap"),
        .states = weir_buffer_view(bytes) };
    snapshot->operators = &op;
    snapshot->operator_count = 1;
    checkpoint_metadata_init(metadata);
    metadata->job = WEIR_STR("job");
    checkpoint_metadata_add(metadata, snapshot);
    subtask_snapshot_free(snapshot);
    weir_buffer_free(bytes);
}

/* The answer; its report in `report`. */
static weir_error *plan(const struct weir_state *stored, const struct restore_expectation *expected,
    bool may_drop, weir_buffer *report)
{
    struct checkpoint_metadata metadata;
    struct migration_step *steps;
    struct arena arena;
    arena_init(&arena, 4096, 1u << 20);
    store(&metadata, stored);
    weir_error *error = migration_plan(&metadata, expected, 1, may_drop, &arena, &steps, report);
    checkpoint_metadata_release(&metadata);
    arena_release(&arena);
    return error;
}

static struct restore_expectation expects(const struct weir_state *state)
{
    return (struct restore_expectation){ .uid = WEIR_STR("op"),
        .backend = WEIR_STR("rocksdb"),
        .states = state,
        .state_count = 1,
        .key = WEIR_KEY(click, user) };
}

static void every_change_is_kept_converted_dropped_or_refused(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct restore_expectation expected = expects(&rows[i].now);
        weir_buffer *report = weir_buffer_new(1u << 20);
        weir_error *error = plan(&rows[i].stored, &expected, false, report);
        if ((error != NULL) != (rows[i].refused != NULL) ||
            strstr(buffer_text(report), rows[i].reported) == NULL)
            fail_msg("%s: %s\n%s", rows[i].name, error == NULL ? "" : weir_error_message(error),
                buffer_text(report));
        if (error != NULL)
            expect_error(error, WEIR_E_STATE, rows[i].refused);
        weir_buffer_free(report);
    }
}

static void what_is_gone_is_dropped_only_when_allowed(void **state)
{
    const struct weir_state stored = { "old", WEIR_VALUE, &less_type, NULL, 0, 0, false };
    const struct weir_state now = { "new", WEIR_VALUE, &less_type, NULL, 0, 0, false };
    struct restore_expectation expected = expects(&now);
    weir_buffer *report = weir_buffer_new(1u << 20);
    expect_ok(plan(&stored, &expected, true, report));
    assert_non_null(strstr(buffer_text(report), "state 'old': DROPPED"));
    expected.uid = WEIR_STR("renamed");
    weir_buffer_reset(report);
    expect_error(plan(&stored, &expected, false, report), WEIR_E_STATE,
        "operator 'op': it has state, but is not in the job any more; put it back, or drop it");
    weir_buffer_reset(report);
    expect_ok(plan(&stored, &expected, true, report));
    assert_non_null(strstr(buffer_text(report), "operator 'op': DROPPED"));
    assert_non_null(strstr(buffer_text(report), "operator 'renamed': new, starts empty"));
    weir_buffer_free(report);
}

static void another_key_is_never_restored(void **state)
{
    const struct weir_state it = { "s", WEIR_VALUE, &less_type, NULL, 0, 0, false };
    struct restore_expectation expected = expects(&it);
    weir_buffer *report = weir_buffer_new(1u << 20);
    expected.key = WEIR_KEY(click, page);
    expect_error(plan(&it, &expected, true, report), WEIR_E_STATE,
        "was keyed by (user u64) and is keyed by (page string) now");
    expected.key = WEIR_KEY2(click, user, page);
    expect_error(plan(&it, &expected, true, report), WEIR_E_STATE, "(user u64, page string)");
    weir_buffer_free(report);
}

static void records_are_widened_with_their_sign(void **state)
{
    struct before from = { -5, UINT32_MAX, 2.5, WEIR_STR("words") };
    struct wide to;
    migration_record(&before_type, &from, &wide_type, &to);
    assert_int_equal(to.narrow, -5);
    assert_int_equal(to.plain, UINT32_MAX);
    assert_true(to.real == 2.5);
    assert_true(weir_str_equal(to.words, from.text));
    assert_false(to.is_new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_is_kept_converted_dropped_or_refused),
        cmocka_unit_test(what_is_gone_is_dropped_only_when_allowed),
        cmocka_unit_test(another_key_is_never_restored),
        cmocka_unit_test(records_are_widened_with_their_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* restore_test.c -- any old parallelism to any new one, and every way a job can stop to fit. */
#include "checkpoint/restore.h"

#include "types/key_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array_)   (sizeof(array_) / sizeof((array_)[0]))
#define MAX_PARALLELISM 16u

/* A keyed operator with state, an item, a staged file and two counters in each subtask. */
static void add_operator(struct checkpoint_metadata *metadata, const char *uid,
    uint32_t parallelism)
{
    for (uint32_t i = 0; i < parallelism; i++) {
        struct subtask_snapshot *snapshot = subtask_snapshot_new(7, i);
        struct arena *arena = &snapshot->arena;
        struct operator_snapshot *operator= arena_alloc(arena, sizeof(*operator));
        *operator=(struct operator_snapshot){ .uid = weir_str_of(uid),
            .subtask = i,
            .parallelism = parallelism,
            .backend = WEIR_STR("hashmap"),
            .schema = 1,
            .schema_text = WEIR_STR("value p {1 user_id u64}\nlist seen {1 at i64}"),
            .groups = key_group_range(i, parallelism, MAX_PARALLELISM),
            .file_count = 1,
            .staged_count = 1,
            .item_count = 1,
            .counter_count = 2 };
        operator->files = arena_alloc(arena, sizeof(*operator->files));
        *operator->files =(
            struct state_file){ .name = "f", .path = arena_printf(arena, "shared/state-%u", i) };
        operator->staged = arena_alloc(arena, sizeof(*operator->staged));
        *operator->staged =(
            struct state_file){ .name = "s", .path = arena_printf(arena, "shared/staged-%u", i) };
        operator->items = arena_alloc(arena, sizeof(*operator->items));
        *operator->items =(struct weir_item){ .name = weir_str_of(arena_printf(arena, "i%u", i)),
            .value = WEIR_STR("v") };
        operator->counters = arena_alloc(arena, 2 * sizeof(*operator->counters));
        operator->counters[0] = i + 1;
        operator->counters[1] = 100;
        operator->counter_names = arena_alloc(arena, 2 * sizeof(*operator->counter_names));
        operator->counter_names[0] = WEIR_STR("late");
        operator->counter_names[1] = WEIR_STR("seen");
        snapshot->operators = operator;
        snapshot->operator_count = 1;
        checkpoint_metadata_add(metadata, snapshot);
        subtask_snapshot_free(snapshot);
    }
}

static void sample(struct checkpoint_metadata *metadata, uint32_t parallelism)
{
    checkpoint_metadata_init(metadata);
    metadata->job = WEIR_STR("wordcount");
    metadata->checkpoint = 7;
    metadata->max_parallelism = MAX_PARALLELISM;
    add_operator(metadata, "other", 3);
    add_operator(metadata, "profile", parallelism);
}

static void check_rescale(uint32_t old_parallelism, uint32_t new_parallelism)
{
    struct checkpoint_metadata metadata;
    sample(&metadata, old_parallelism);
    struct arena arena;
    arena_init(&arena, 1024, 1 << 20);
    for (uint32_t i = 0; i < new_parallelism; i++) {
        struct group_range groups = key_group_range(i, new_parallelism, MAX_PARALLELISM);
        struct operator_restore restore;
        restore_operator(&metadata, WEIR_STR("profile"), groups, &arena, &restore);
        assert_int_equal(restore.old_parallelism, old_parallelism);
        assert_int_equal(restore.item_count, old_parallelism);
        assert_int_equal(restore.staged_count, old_parallelism);
        for (uint32_t j = 0; j < old_parallelism; j++) {
            assert_int_equal(restore.items[j].subtask, j);
            assert_int_equal(restore.staged_subtasks[j], j);
        }
        /* each of my groups is in exactly one source, and no source is superfluous */
        for (uint32_t group = groups.first; group <= groups.last; group++) {
            uint32_t count = 0;
            for (uint32_t j = 0; j < restore.source_count; j++)
                count += group_range_has(restore.sources[j].groups, group);
            assert_int_equal(count, 1);
        }
        for (uint32_t j = 0; j < restore.source_count; j++)
            assert_true(group_range_overlaps(restore.sources[j].groups, groups));
    }
    arena_release(&arena);
    checkpoint_metadata_release(&metadata);
}

static void every_group_comes_from_one_old_subtask(void **state)
{
    for (uint32_t old = 1; old <= MAX_PARALLELISM; old++)
        for (uint32_t new = 1; new <= MAX_PARALLELISM; new ++)
            check_rescale(old, new);
}

static void an_operator_that_is_new_gets_nothing(void **state)
{
    struct checkpoint_metadata metadata;
    sample(&metadata, 2);
    struct arena arena;
    arena_init(&arena, 1024, 1 << 20);
    struct operator_restore restore;
    restore_operator(&metadata, WEIR_STR("new"), (struct group_range){ 0, 15 }, &arena, &restore);
    assert_int_equal(restore.old_parallelism, 0);
    assert_int_equal(restore.source_count + restore.item_count + restore.staged_count, 0);
    assert_int_equal(restore_counter(&metadata, WEIR_STR("new"), WEIR_STR("late")), 0);
    arena_release(&arena);
    checkpoint_metadata_release(&metadata);
}

static void counters_are_summed_by_name(void **state)
{
    struct checkpoint_metadata metadata;
    sample(&metadata, 4);
    assert_int_equal(restore_counter(&metadata, WEIR_STR("profile"), WEIR_STR("late")), 10);
    assert_int_equal(restore_counter(&metadata, WEIR_STR("profile"), WEIR_STR("seen")), 400);
    assert_int_equal(restore_counter(&metadata, WEIR_STR("profile"), WEIR_STR("gone")), 0);
    checkpoint_metadata_release(&metadata);
}

/* -- restore_check -------------------------------------------------------------------------- */

/* WEIR_STR is no constant in front of main. */
#define STATIC_STR(literal_) \
    { \
        .data = (literal_), .size = sizeof(literal_) - 1 \
    }

static const struct restore_expectation fitting[] = {
    { .uid = STATIC_STR("other"), .backend = STATIC_STR("hashmap"), .schema = 1 },
    { .uid = STATIC_STR("profile"), .backend = STATIC_STR("hashmap"), .schema = 1 },
    { .uid = STATIC_STR("added"), .backend = STATIC_STR("hashmap"), .schema = 9 },
};

/* `part`: what an offline look at it says; NULL: it is whole. */
static void check_whole(const struct checkpoint_metadata *metadata, const char *part)
{
    weir_error *error = restore_check_whole(metadata);
    assert_int_equal(error != NULL, part != NULL);
    if (part != NULL)
        assert_non_null(strstr(weir_error_message(error), part));
    weir_error_free(error);
}

/* Every one of `parts`, up to NULL, must be in the message; none: no error. */
static void check(const struct checkpoint_metadata *metadata,
    const struct restore_expectation *expectations, uint32_t count, uint32_t max_parallelism,
    const char *const *parts)
{
    weir_error *error = restore_check(metadata, expectations, count, max_parallelism);
    if (parts[0] == NULL) {
        assert_null(error);
        return;
    }
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    for (; *parts != NULL; parts++)
        if (strstr(weir_error_message(error), *parts) == NULL)
            fail_msg("'%s' is not in: %s", *parts, weir_error_message(error));
    weir_error_free(error);
}
#define PARTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void a_job_that_fits_is_accepted_with_new_operators(void **state)
{
    struct checkpoint_metadata metadata;
    sample(&metadata, 4);
    check(&metadata, fitting, COUNT(fitting), MAX_PARALLELISM, PARTS(NULL));
    checkpoint_metadata_release(&metadata);
}

static void every_mismatch_is_in_one_error(void **state)
{
    struct checkpoint_metadata metadata;
    sample(&metadata, 4);
    add_operator(&metadata, "moved", 1);
    struct restore_expectation changed[] = {
        { .uid = WEIR_STR("profile"),
            .backend = WEIR_STR("hashmap"),
            .schema = 2,
            .schema_text = WEIR_STR("value p {1 user_id i64}") },
        { .uid = WEIR_STR("moved"), .backend = WEIR_STR("rocksdb"), .schema = 1 },
    };
    check(&metadata, changed, COUNT(changed), 32,
        PARTS("job 'wordcount' does not fit its checkpoint 7", "maximum parallelism of 16",
            "has 32 now", "operator 'other' has state in the checkpoint, but is not in the job",
            "operator 'profile' has other states than it had", "value p {1 user_id u64}",
            "list seen {1 at i64}", "value p {1 user_id i64}",
            "operator 'moved' kept its state in 'hashmap', and is to keep it in 'rocksdb'"));
    checkpoint_metadata_release(&metadata);
}

static void an_operator_that_lost_its_keyed_state_is_a_mismatch(void **state)
{
    struct checkpoint_metadata metadata;
    sample(&metadata, 4);
    struct restore_expectation changed[] = { fitting[0], { .uid = WEIR_STR("profile") } };
    check(&metadata, changed, COUNT(changed), MAX_PARALLELISM,
        PARTS("operator 'profile' keeps no keyed state any more"));
    checkpoint_metadata_release(&metadata);
}

static void counters_alone_may_be_dropped(void **state)
{
    struct checkpoint_metadata metadata;
    sample(&metadata, 4);
    for (uint32_t i = 0; i < metadata.operator_count; i++) {
        struct operator_snapshot *operator= & metadata.operators[i];
        if (weir_str_equal(operator->uid, WEIR_STR("profile"))) {
            operator->backend =(weir_str){ .data = NULL };
            operator->item_count = operator->staged_count = operator->file_count = 0;
        }
    }
    check(&metadata, fitting, 1, MAX_PARALLELISM, PARTS(NULL));
    checkpoint_metadata_release(&metadata);
}

static void an_incomplete_checkpoint_is_refused(void **state)
{
    struct checkpoint_metadata metadata;
    sample(&metadata, 4);
    struct operator_snapshot *last = &metadata.operators[metadata.operator_count - 1];
    check_whole(&metadata, NULL);
    metadata.operator_count--;
    check_whole(&metadata, "operator 'profile' lacks a subtask");
    check(&metadata, fitting, COUNT(fitting), MAX_PARALLELISM,
        PARTS("operator 'profile' lacks a subtask"));
    metadata.operator_count++;
    last->subtask = 1;
    last->groups = key_group_range(1, 4, MAX_PARALLELISM);
    check(&metadata, fitting, COUNT(fitting), MAX_PARALLELISM, PARTS("has one subtask twice"));
    last->groups.last++;
    check_whole(&metadata, "key groups of another");
    check(&metadata, fitting, COUNT(fitting), MAX_PARALLELISM, PARTS("key groups of another"));
    last->schema++;
    check(&metadata, fitting, COUNT(fitting), MAX_PARALLELISM, PARTS("do not fit together"));
    last->schema--;
    metadata.max_parallelism = 0;
    check(&metadata, fitting, COUNT(fitting), MAX_PARALLELISM, PARTS("parallelism that cannot be"));
    checkpoint_metadata_release(&metadata);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_group_comes_from_one_old_subtask),
        cmocka_unit_test(an_operator_that_is_new_gets_nothing),
        cmocka_unit_test(counters_are_summed_by_name),
        cmocka_unit_test(a_job_that_fits_is_accepted_with_new_operators),
        cmocka_unit_test(every_mismatch_is_in_one_error),
        cmocka_unit_test(an_operator_that_lost_its_keyed_state_is_a_mismatch),
        cmocka_unit_test(counters_alone_may_be_dropped),
        cmocka_unit_test(an_incomplete_checkpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

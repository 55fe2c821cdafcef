/* jobmanager_regions_test.c -- a part of the tasks restarts, and the others go on: two regions on a stage of pretended
 * tasks. */
#include "jobmanager_stage.h"

/* Subtasks 0 and 1 are a region, 2 and 3 are one; at 1000 ms all have run for a second. */
static void stage_open_regions(struct stage *stage)
{
    static const uint32_t regions[] = { 0, 0, 2, 2 };
    uint32_t found[4];
    stage_open_with(stage, NULL, NULL, 2);
    plan_regions(stage->plan, found);
    assert_memory_equal(found, regions, sizeof(regions));
}

/* What came of a checkpoint that was asked for. */
struct wish {
    uint32_t count;
    uint64_t checkpoint;
};

static void on_wish(void *arg, uint64_t checkpoint, const char *path, const weir_error *error)
{
    struct wish *wish = arg;
    assert_null(path);
    assert_null(error);
    wish->count++;
    wish->checkpoint = checkpoint;
}

static void subtask_fails(struct stage *stage, uint32_t subtask, enum weir_code code)
{
    stage->host.failed(stage->host.arg, subtask, weir_errorf(code, "on purpose"));
    settle(stage);
}

static void subtasks_run(struct stage *stage, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        stage->host.running(stage->host.arg, i);
    assert_true(settle(stage));
}

static void a_failed_task_restarts_its_region_and_the_others_stay(void **state)
{
    struct stage stage;
    stage_open_regions(&stage);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    all_ack(&stage, 1);
    assert_true(at(&stage, 2000));
    assert_int_equal(stage.triggered, 2);
    ack(&stage, 2, 0);
    ack(&stage, 2, 2);
    assert_true(settle(&stage));
    subtask_fails(&stage, 3, WEIR_E_INTERNAL);
    expect_there(&stage, "01");
    assert_int_equal(stage.aborted, 2); /* the others hear that it will not be */
    assert_int_equal(state_of(&stage), EXECUTION_RESTARTING);
    assert_true(at(&stage, 2099));
    assert_int_equal(stage.deploys, 1);
    assert_true(at(&stage, 2100));
    expect_there(&stage, "0123");
    assert_int_equal(stage.deploys, 2);
    assert_int_equal(stage.restored, 1);
    assert_int_equal(stage.attempt, 1); /* nothing is fenced */
    subtasks_run(&stage, 2, 4);
    assert_true(at(&stage, 3099));
    assert_int_equal(stage.triggered, 2);
    assert_true(at(&stage, 3100));
    assert_int_equal(stage.triggered, 3);
    all_ack(&stage, 3);
    assert_int_equal(stage.completed, 3);
    assert_int_equal(jobmanager_stats(stage.manager)->restarts, 1);
    stage_close(&stage);
}

/* Both regions post while one is torn down: what the others say counts, what the old tasks said does not. */
static void events_of_a_region_that_was_torn_down_are_dropped_and_of_the_others_kept(void **state)
{
    struct stage stage;
    stage_open_regions(&stage);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    assert_int_equal(stage.triggered, 1);
    stage.host.failed(stage.host.arg, 2, weir_errorf(WEIR_E_IO, "on purpose"));
    stage.host.ended(stage.host.arg, 0);
    stage.host.ended(stage.host.arg, 1);
    stage.host.failed(stage.host.arg, 3, weir_errorf(WEIR_E_STATE, "in the wake of it"));
    stage.host.ended(stage.host.arg, 2);
    for (uint32_t i = 0; i < 4; i++)
        ack(&stage, 1, i);
    assert_true(settle(&stage));
    assert_int_equal(stage.completed, 0);
    assert_true(at(&stage, 1100));
    expect_there(&stage, "0123");
    assert_int_equal(stage.restored, 0); /* none was complete: from the beginning */
    subtasks_run(&stage, 2, 4);
    stage.host.ended(stage.host.arg, 3);
    assert_true(settle(&stage));
    assert_int_equal(state_of(&stage), EXECUTION_RUNNING); /* 2 runs */
    stage.host.ended(stage.host.arg, 2);
    assert_true(settle(&stage));
    assert_int_equal(state_of(&stage), EXECUTION_FINISHING); /* 0 and 1 have ended before */
    stage_close(&stage);
}

/* It has all its acks: it is what the region is restored from, and the others publish it. */
static void a_checkpoint_being_stored_when_a_region_fails_counts_for_all(void **state)
{
    struct stage stage;
    stage_open_regions(&stage);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    for (uint32_t i = 0; i < 4; i++)
        ack(&stage, 1, i);
    jobmanager_step(stage.manager, stage.now_ms); /* no worker has run yet */
    stage.host.failed(stage.host.arg, 0, weir_errorf(WEIR_E_IO, "on purpose"));
    jobmanager_step(stage.manager, stage.now_ms);
    expect_there(&stage, "23");
    assert_int_equal(stage.completed, 0);
    assert_true(at(&stage, 1100));
    assert_int_equal(stage.completed, 1);
    expect_there(&stage, "0123");
    assert_int_equal(stage.restored, 1);
    stage_close(&stage);
}

static void a_region_that_fails_while_another_is_restored_is_restored_with_it(void **state)
{
    struct stage stage;
    stage_open_regions(&stage);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    all_ack(&stage, 1);
    subtask_fails(&stage, 0, WEIR_E_IO);
    stage.now_ms = 1100;
    jobmanager_step(stage.manager, stage.now_ms); /* asks the workers to restore */
    stage.host.failed(stage.host.arg, 3, weir_errorf(WEIR_E_IO, "on purpose, too"));
    jobmanager_step(stage.manager, stage.now_ms);
    expect_there(&stage, "");
    assert_true(settle(&stage)); /* what was read for the first one is not waited for */
    assert_int_equal(stage.deploys, 1);
    assert_true(at(&stage, 1200));
    expect_there(&stage, "0123");
    assert_int_equal(stage.deploys, 2);
    assert_int_equal(stage.restored, 1);
    assert_int_equal(stage.attempt, 2); /* that was everything */
    all_running(&stage);
    assert_true(at(&stage, 2200));
    all_ack(&stage, stage.triggered);
    assert_int_equal(stage.completed, stage.triggered);
    stage_close(&stage);
}

static void a_region_that_cannot_be_torn_down_apart_takes_all_with_it(void **state)
{
    struct stage stage;
    stage_open_regions(&stage);
    all_running(&stage);
    stage.is_inseparable = true;
    subtask_fails(&stage, 0, WEIR_E_IO);
    expect_there(&stage, "");
    assert_true(at(&stage, 100));
    expect_there(&stage, "0123");
    assert_int_equal(stage.attempt, 2);
    stage_close(&stage);
}

static void damage(void *arg, const char *name)
{
    const struct stage *stage = arg;
    char *path = mem_printf("%s/%s", storage_dir(stage->storage), name);
    struct os_file *file;
    succeed(os_open(path, OS_TRUNCATE, &file));
    os_close(file);
    mem_free(path);
}

/* The others stand on the newest one, so a part cannot go back further; all together can. */
static void a_broken_checkpoint_lets_the_whole_job_fall_back(void **state)
{
    struct stage stage;
    stage_open_regions(&stage);
    all_running(&stage);
    for (uint64_t checkpoint = 1; checkpoint <= 2; checkpoint++) {
        assert_true(at(&stage, (int64_t)checkpoint * 1000));
        all_ack(&stage, checkpoint);
    }
    damage(&stage, "chk-2/_metadata");
    subtask_fails(&stage, 0, WEIR_E_IO);
    expect_there(&stage, "23");
    assert_true(at(&stage, 2100)); /* cannot be read: the others go down, too */
    expect_there(&stage, "");
    assert_true(at(&stage, 2200));
    expect_there(&stage, "0123");
    assert_int_equal(stage.restored, 1);
    assert_int_equal(stage.attempt, 2);
    stage_close(&stage);
}

static void a_checkpoint_that_is_wanted_is_taken_when_the_region_runs_again(void **state)
{
    struct stage stage;
    stage_open_regions(&stage);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    assert_int_equal(stage.triggered, 1);
    struct wish wish = { .count = 0 };
    struct jobmanager_request request = { .done = on_wish, .arg = &wish };
    succeed(
        jobmanager_ask(stage.manager, &request, stage.now_ms)); /* behind the one that is pending */
    subtask_fails(&stage, 0, WEIR_E_IO);
    assert_int_equal(wish.count, 0);
    assert_true(at(&stage, 1100));
    subtasks_run(&stage, 0, 2);
    assert_int_equal(stage.triggered, 2); /* at once */
    all_ack(&stage, 2);
    assert_int_equal(wish.count, 1);
    assert_int_equal(wish.checkpoint, 2);
    stage_close(&stage);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TWICE(a_failed_task_restarts_its_region_and_the_others_stay),
        TWICE(events_of_a_region_that_was_torn_down_are_dropped_and_of_the_others_kept),
        TWICE(a_checkpoint_being_stored_when_a_region_fails_counts_for_all),
        TWICE(a_region_that_fails_while_another_is_restored_is_restored_with_it),
        TWICE(a_region_that_cannot_be_torn_down_apart_takes_all_with_it),
        TWICE(a_broken_checkpoint_lets_the_whole_job_fall_back),
        TWICE(a_checkpoint_that_is_wanted_is_taken_when_the_region_runs_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

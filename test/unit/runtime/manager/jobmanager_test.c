/* jobmanager_test.c -- the life of a job, its checkpoints, and what is asked of them, on a stage of pretended tasks. */
#include "jobmanager_stage.h"

/* -- tests ---------------------------------------------------------------------------------------- */

static void a_checkpoint_is_complete_when_its_metadata_is_stored(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    assert_true(at(&stage, 5000));
    assert_int_equal(stage.triggered, 0); /* not before all tasks run */
    all_running(&stage);
    assert_true(at(&stage, 5999));
    assert_int_equal(stage.triggered, 0);
    assert_true(at(&stage, 6000));
    assert_int_equal(stage.triggered, 1);
    for (uint32_t i = 0; i < 3; i++)
        ack(&stage, 1, i);
    ack(&stage, 1, 1); /* a second ack of the same */
    ack(&stage, 7, 3); /* of another checkpoint */
    assert_true(settle(&stage));
    assert_int_equal(stage.completed, 0);
    ack(&stage, 1, 3);
    jobmanager_step(stage.manager, stage.now_ms);
    assert_int_equal(stage.completed, 0); /* the worker has not run yet */
    assert_true(settle(&stage));
    assert_int_equal(stage.completed, 1);
    assert_int_equal(jobmanager_stats(stage.manager)->last_checkpoint, 1);
    stage_close(&stage);
}

static void a_checkpoint_that_takes_long_goes_on_unaligned(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    ack(&stage, 1, 0);
    assert_true(at(&stage, 2999));
    assert_int_equal(stage.overtaken, 0);
    assert_true(at(&stage, 3000));
    assert_int_equal(stage.overtaken, 1);
    for (uint32_t i = 1; i < 4; i++)
        ack(&stage, 1, i);
    assert_true(settle(&stage));
    assert_int_equal(stage.completed, 1);
    stage_close(&stage);
}

static void a_declined_checkpoint_is_given_up_and_tried_again(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    ack(&stage, 1, 0);
    stage.host.declined(stage.host.arg, 1, 1, weir_errorf(WEIR_E_DISK_FULL, "full"));
    ack(&stage, 1, 2);
    ack(&stage, 1, 3);
    assert_true(settle(&stage));
    assert_int_equal(stage.aborted, 1);
    assert_int_equal(stage.completed, 0);
    assert_true(at(&stage, 2000));
    assert_int_equal(stage.triggered, 2);
    all_ack(&stage, 2);
    assert_int_equal(stage.completed, 2);
    assert_int_equal(jobmanager_stats(stage.manager)->failed, 1);
    assert_int_equal(stage.deploys, 1);
    stage_close(&stage);
}

/* Of several jobs in one process. */
static void each_line_of_the_log_says_which_job_it_is_of(void **state)
{
    struct stage stage;
    char *dir = temp_dir_new(), *text;
    size_t size;
    uint32_t count = 0;
    const char *path = temp_dir_path(dir, "log");
    succeed(log_set_file(path, 1 << 20));
    log_set_level(LOG_DEBUG);
    stage_open(&stage, temp_dir_path(dir, "checkpoints"));
    all_running(&stage);
    assert_true(at(&stage, 1000));
    stage.host.declined(stage.host.arg, 1, 1, weir_errorf(WEIR_E_DISK_FULL, "full"));
    ack(&stage, 1, 0); /* too late */
    assert_true(settle(&stage));
    assert_true(at(&stage, 2000));
    all_ack(&stage, 2);
    task_fails(&stage, WEIR_E_INTERNAL);
    assert_true(at(&stage, 2100));
    assert_int_equal(stage.deploys, 2);
    stage_close(&stage);
    log_set_level(LOG_ERROR);
    succeed(log_set_file(NULL, 0));
    succeed(os_read_file(path, 1 << 20, &text, &size));
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        bool is_ours = strstr(line, " job: ") != NULL || strstr(line, " checkpoint: ") != NULL;
        if (is_ours && strstr(line, ": 'trial' (one-of-many): ") == NULL)
            fail_msg("of which job? %s", line);
        count += is_ours;
    }
    assert_true(count >= 6); /* starts, not possible, failed, completed, restarting, starts again */
    mem_free(text);
    temp_dir_free(dir);
}

static void a_checkpoint_that_takes_too_long_never_fails_the_job(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    for (int64_t now_ms = 0; now_ms <= 100000; now_ms += 500)
        assert_true(at(&stage, now_ms));
    assert_true(stage.triggered > 10);
    assert_int_equal(stage.completed, 0);
    assert_int_equal(state_of(&stage), EXECUTION_RUNNING);
    stage_close(&stage);
}

static void a_failed_task_restarts_all_from_the_newest_checkpoint(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    all_ack(&stage, 1);
    assert_true(at(&stage, 2000));
    assert_int_equal(stage.triggered, 2);
    task_fails(&stage, WEIR_E_INTERNAL);
    assert_false(stage.is_deployed);
    assert_int_equal(state_of(&stage), EXECUTION_RESTARTING);
    assert_true(at(&stage, 2099));
    assert_int_equal(stage.deploys, 1);
    assert_true(at(&stage, 2100));
    assert_int_equal(stage.deploys, 2);
    assert_int_equal(stage.restored, 1);
    assert_int_equal(stage.attempt, 2);
    all_running(&stage);
    assert_true(at(&stage, 3100));
    assert_true(stage.triggered > 2); /* numbers are never used twice */
    all_ack(&stage, stage.triggered);
    assert_int_equal(stage.completed, stage.triggered);
    stage_close(&stage);
}

/* Subtask 0 is the one that fails; the others may still be opening their files. */
static void a_task_that_ran_restarts_the_job_and_one_that_did_not_open_ends_it(void **state)
{
    for (uint32_t running = 0; running < 2; running++) {
        struct stage stage;
        stage_open(&stage, NULL);
        stage.host.running(stage.host.arg, 1 - running);
        assert_true(settle(&stage));
        task_fails(&stage, WEIR_E_INTERNAL);
        assert_int_equal(state_of(&stage), running == 1 ? EXECUTION_RESTARTING : EXECUTION_FAILED);
        stage_close(&stage);
    }
}

static void a_checkpoint_being_stored_at_the_failure_counts(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    for (uint32_t i = 0; i < 4; i++)
        ack(&stage, 1, i);
    stage.host.failed(stage.host.arg, 0, weir_errorf(WEIR_E_INTERNAL, "on purpose"));
    assert_true(jobmanager_step(stage.manager, 1000)); /* stored by a worker, later */
    assert_false(stage.is_deployed);
    assert_true(at(&stage, 1100));
    assert_int_equal(stage.deploys, 2);
    assert_int_equal(stage.restored, 1);
    assert_int_equal(stage.completed, 0); /* there was nobody to tell */
    stage_close(&stage);
}

static void events_of_the_old_attempt_are_dropped(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    for (uint32_t i = 0; i < 3; i++)
        stage.host.running(stage.host.arg, i);
    stage.host.failed(stage.host.arg, 0,
        weir_error_retriable(weir_errorf(WEIR_E_CONNECTOR, "on purpose")));
    stage.host.running(stage.host.arg, 3);
    stage.host.failed(stage.host.arg, 1, weir_errorf(WEIR_E_LIMIT, "in its wake"));
    stage.host.ended(stage.host.arg, 2);
    ack(&stage, 1, 2);
    stage.host.declined(stage.host.arg, 1, 3, weir_errorf(WEIR_E_IO, "late"));
    assert_true(settle(&stage));
    assert_int_equal(state_of(&stage), EXECUTION_RESTARTING);
    assert_true(at(&stage, 100));
    assert_int_equal(stage.deploys, 2);
    assert_true(at(&stage, 5000));
    assert_int_equal(stage.triggered, 0); /* no task of this attempt has said that it runs */
    stage_close(&stage);
}

static void restarts_run_out(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    for (int i = 0; i < 2; i++) {
        all_running(&stage);
        task_fails(&stage, WEIR_E_INTERNAL);
        assert_true(at(&stage, stage.now_ms + 100));
    }
    all_running(&stage);
    task_fails(&stage, WEIR_E_INTERNAL);
    assert_int_equal(state_of(&stage), EXECUTION_FAILED);
    assert_false(settle(&stage));
    expect_error(&stage, WEIR_E_INTERNAL, "on purpose");
    stage_close(&stage);
}

static void a_deployment_that_fails_is_taken_down_and_tried_again(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    stage.deploy_error = weir_errorf(WEIR_E_IO, "no threads");
    task_fails(&stage, WEIR_E_INTERNAL);
    assert_true(at(&stage, 100));
    assert_int_equal(stage.deploys, 2);
    assert_false(stage.is_deployed);
    assert_true(at(&stage, 200));
    assert_int_equal(stage.deploys, 3);
    assert_true(stage.is_deployed);
    stage_close(&stage);
}

static void a_newer_attempt_ends_this_one(void **state)
{
    struct stage stage;
    struct storage *other;
    char *root = temp_dir_new();
    stage_open(&stage, root);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    succeed(storage_open(root, "trial", 2, &other));
    all_ack(&stage, 1);
    assert_int_equal(stage.completed, 0);
    assert_int_equal(state_of(&stage), EXECUTION_FAILED);
    expect_error(&stage, WEIR_E_FENCED, "taken over");
    storage_close(other);
    stage_close(&stage);
    temp_dir_free(root);
}

static void a_failed_checkpoint_finds_the_newer_attempt_too(void **state)
{
    struct stage stage;
    struct storage *other;
    char *root = temp_dir_new();
    stage_open(&stage, root);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    succeed(storage_open(root, "trial", 2, &other));
    stage.host.declined(stage.host.arg, 1, 1, weir_errorf(WEIR_E_IO, "my files are gone"));
    assert_false(settle(&stage));
    expect_error(&stage, WEIR_E_FENCED, "taken over");
    storage_close(other);
    stage_close(&stage);
    temp_dir_free(root);
}

static void a_bounded_job_ends_when_all_is_published(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    all_ended(&stage);
    assert_int_equal(state_of(&stage), EXECUTION_FINISHING);
    assert_int_equal(stage.triggered, 1); /* at once, whatever the interval */
    all_ack(&stage, 1);
    assert_int_equal(stage.completed, 1);
    assert_int_equal(state_of(&stage), EXECUTION_FINISHING);
    assert_true(jobmanager_deadline_ms(stage.manager) < INT64_MAX);
    stage.published = 1;
    assert_false(settle(&stage));
    assert_int_equal(state_of(&stage), EXECUTION_FINISHED);
    assert_false(stage.is_deployed);
    assert_null(jobmanager_take_error(stage.manager));
    stage_close(&stage);
}

static void no_checkpoint_starts_while_the_last_one_is_being_published(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    all_ended(&stage);
    all_ack(&stage, 1);
    for (int64_t now_ms = 0; now_ms < 20000; now_ms += 100)
        assert_true(at(&stage, now_ms));
    assert_int_equal(stage.triggered, 1);
    stage.published = 1;
    assert_false(settle(&stage));
    assert_int_equal(state_of(&stage), EXECUTION_FINISHED);
    stage_close(&stage);
}

static void a_stop_waits_for_a_checkpoint_that_began_after_it(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    assert_int_equal(stage.triggered, 1);
    jobmanager_stop(stage.manager, stage.now_ms);
    assert_true(settle(&stage));
    assert_true(stage.is_told_to_stop);
    stage.published = 1;
    all_ack(&stage, 1);
    assert_int_equal(state_of(&stage), EXECUTION_STOPPING);
    assert_int_equal(stage.triggered, 2);
    stage.published = 2;
    all_ack(&stage, 2);
    assert_int_equal(state_of(&stage), EXECUTION_FINISHED);
    stage_close(&stage);
}

static void a_stop_that_takes_too_long_says_what_holds(void **state)
{
    struct stage stage;
    char *root = temp_dir_new();
    stage_open(&stage, root);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    all_ack(&stage, 1);
    jobmanager_stop(stage.manager, stage.now_ms);
    assert_true(at(&stage, 3999));
    assert_false(at(&stage, 4000));
    expect_error(&stage, WEIR_E_TIMEOUT, "checkpoint 1 holds");
    stage_close(&stage);
    temp_dir_free(root);
}

static void a_failure_that_was_survived_is_not_why_a_stop_takes_too_long(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    task_fails(&stage, WEIR_E_INTERNAL);
    assert_true(at(&stage, 100));
    all_running(&stage);
    jobmanager_stop(stage.manager, stage.now_ms);
    assert_false(at(&stage, stage.now_ms + 3000));
    expect_error(&stage, WEIR_E_TIMEOUT, "did not stop in good order");
    stage_close(&stage);
}

static void a_cancel_takes_everything_down(void **state)
{
    struct stage stage;
    stage_open(&stage, NULL);
    all_running(&stage);
    assert_true(at(&stage, 1000));
    jobmanager_cancel(stage.manager);
    assert_false(settle(&stage));
    assert_int_equal(state_of(&stage), EXECUTION_CANCELED);
    assert_false(stage.is_deployed);
    assert_null(jobmanager_take_error(stage.manager));
    stage_close(&stage);
}

/* Runs the trial to its end, with tasks that are real, and leaves its last checkpoint in `root`. */
static uint64_t run_for_real(const char *root)
{
    weir_job *job;
    struct local *local;
    struct local_options options = local_defaults;
    trial_reset(&(struct trial){ .count = 50, .parallelism = 2 });
    options.plan = trial_plan(&job);
    options.checkpoints = root;
    options.backend = &backend_hashmap;
    options.memory_size = (uint64_t)64 << 20;
    options.worker_count = 0;
    succeed(local_open(&options, &local));
    while (local_step(local)) {
        for (uint32_t i = 0; i < local_slot_count(local); i++)
            local_slot_round(local, i);
        local_worker_step(local);
    }
    succeed(local_error(local));
    uint64_t checkpoint = local_stats(local)->last_checkpoint;
    local_close(local);
    job_free(job);
    trial_check(true);
    return checkpoint;
}

static void state_that_real_tasks_have_stored_is_restored(void **state)
{
    struct stage stage;
    char *root = temp_dir_new();
    uint64_t checkpoint = run_for_real(root);
    assert_true(checkpoint > 0);
    stage_open(&stage, root);
    assert_int_equal(stage.restored, checkpoint);
    stage_close(&stage);
    temp_dir_free(root);
}

/* The job manager converts the state itself: by what the plan says of types, keys and states. */
static void state_that_real_tasks_have_stored_is_imported(void **state)
{
    struct stage stage;
    char *from = temp_dir_new(), *root = temp_dir_new();
    unsigned long long checkpoint = run_for_real(from);
    stage_open_from(&stage, root, temp_dir_path(from, "trial/chk-%llu", checkpoint));
    assert_true(stage.restored > checkpoint);
    stage_close(&stage);
    temp_dir_free(root);
    temp_dir_free(from);
}

/* -- somebody asks (jobmanager_request.c) ------------------------------------------------------ */

/* What came of it. */
struct answer {
    uint32_t count;
    uint64_t checkpoint;
    char *path;
    enum weir_code code; /* WEIR_CODE_COUNT: none */
};

static void on_answer(void *arg, uint64_t checkpoint, const char *path, const weir_error *error)
{
    struct answer *answer = arg;
    answer->count++;
    answer->checkpoint = checkpoint;
    answer->path = mem_strdup(path);
    answer->code = error == NULL ? WEIR_CODE_COUNT : weir_error_code(error);
}

static struct jobmanager_request request_of(struct answer *answer, const char *directory)
{
    *answer = (struct answer){ .count = 0 };
    return (struct jobmanager_request){ .directory = directory, .done = on_answer, .arg = answer };
}

static void expect_refused(weir_error *error)
{
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    weir_error_free(error);
}

static void a_checkpoint_that_is_asked_for_begins_at_once_and_is_answered_once(void **state)
{
    struct stage stage;
    struct answer answer, other;
    char *root = temp_dir_new();
    stage_open(&stage, root);
    struct jobmanager_request request = request_of(&answer, NULL),
                              second = request_of(&other, NULL);
    expect_refused(
        jobmanager_ask(stage.manager, &request, stage.now_ms)); /* tasks do not run yet */
    all_running(&stage);
    succeed(jobmanager_ask(stage.manager, &request, stage.now_ms));
    settle(&stage);
    assert_true(stage.triggered > 0);
    assert_true(jobmanager_is_asked(stage.manager));
    expect_refused(jobmanager_ask(stage.manager, &second, stage.now_ms)); /* one at a time */
    all_ack(&stage, stage.triggered);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, WEIR_CODE_COUNT);
    assert_int_equal(answer.checkpoint, stage.triggered);
    assert_null(answer.path);
    assert_false(jobmanager_is_asked(stage.manager));
    assert_int_equal(other.count, 0);
    stage_close(&stage);
    temp_dir_free(root);
}

static void a_savepoint_that_is_asked_for_is_written_where_it_was_wanted(void **state)
{
    struct stage stage;
    struct answer answer;
    struct os_stat stat;
    char *root = temp_dir_new(), *target = temp_dir_new();
    stage_open(&stage, root);
    all_running(&stage);
    struct jobmanager_request request = request_of(&answer, target);
    succeed(jobmanager_ask(stage.manager, &request, stage.now_ms));
    settle(&stage);
    all_ack(&stage, stage.triggered);
    settle(&stage);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, WEIR_CODE_COUNT);
    assert_memory_equal(answer.path, target, strlen(target));
    succeed(os_stat(answer.path, &stat));
    assert_true(stat.exists);
    mem_free(answer.path);
    stage_close(&stage);
    temp_dir_free(root);
    temp_dir_free(target);
}

static void what_was_asked_for_is_lost_with_its_checkpoint_or_its_tasks_and_that_is_said(
    void **state)
{
    for (uint32_t is_task = 0; is_task < 2; is_task++) {
        struct stage stage;
        struct answer answer;
        char *root = temp_dir_new();
        stage_open(&stage, root);
        all_running(&stage);
        struct jobmanager_request request = request_of(&answer, root);
        succeed(jobmanager_ask(stage.manager, &request, stage.now_ms));
        settle(&stage);
        if (is_task)
            task_fails(&stage, WEIR_E_IO);
        else
            stage.host.declined(stage.host.arg, stage.triggered, 0,
                weir_errorf(WEIR_E_IO, "no room"));
        settle(&stage);
        assert_int_equal(answer.count, 1);
        assert_int_equal(answer.code, WEIR_E_STATE);
        assert_null(answer.path);
        assert_false(jobmanager_is_asked(stage.manager));
        stage_close(&stage);
        temp_dir_free(root);
    }
}

static void open_and_stop(struct stage *stage, const char *root, const char *target, bool is_drain,
    struct answer *answer)
{
    stage_open(stage, root);
    all_running(stage);
    struct jobmanager_request request = request_of(answer, target);
    succeed(jobmanager_stop_with(stage->manager, &request, is_drain, stage->now_ms));
}

/* Its sources have: the last checkpoint, and what it was asked for. */
static void end_with_savepoint(struct stage *stage, struct answer *answer)
{
    all_ended(stage);
    at(stage, stage->now_ms + 1);
    assert_true(stage->triggered > 0);
    all_ack(stage, stage->triggered);
    stage->published = stage->triggered;
    for (uint32_t i = 0; i < 5; i++)
        at(stage, stage->now_ms + 100);
    succeed(jobmanager_settle(stage->manager));
    assert_int_equal(state_of(stage), EXECUTION_FINISHED);
    assert_int_equal(answer->count, 1);
    assert_int_equal(answer->code, WEIR_CODE_COUNT);
    assert_int_equal(answer->checkpoint, stage->triggered);
    assert_non_null(answer->path);
    mem_free(answer->path);
}

static void a_stop_or_a_drain_ends_with_a_savepoint_of_the_last_checkpoint(void **state)
{
    for (uint32_t is_drain = 0; is_drain < 2; is_drain++) {
        struct stage stage;
        struct answer answer;
        char *root = temp_dir_new(), *target = temp_dir_new();
        open_and_stop(&stage, root, target, is_drain, &answer);
        settle(&stage);
        assert_int_equal(stage.is_told_to_drain, is_drain);
        assert_int_equal(stage.is_told_to_stop, !is_drain);
        assert_int_equal(answer.count, 0);
        end_with_savepoint(&stage, &answer);
        stage_close(&stage);
        temp_dir_free(root);
        temp_dir_free(target);
    }
}

static void a_drain_goes_on_behind_a_restart_and_ends_with_its_savepoint(void **state)
{
    struct stage stage;
    struct answer answer;
    char *root = temp_dir_new(), *target = temp_dir_new();
    open_and_stop(&stage, root, target, true, &answer);
    settle(&stage);
    stage.is_told_to_drain = false;
    task_fails(&stage, WEIR_E_INTERNAL);
    assert_true(at(&stage, stage.now_ms + 100));
    all_running(&stage);
    assert_true(stage.is_told_to_drain);
    end_with_savepoint(&stage, &answer);
    stage_close(&stage);
    temp_dir_free(root);
    temp_dir_free(target);
}

static void a_drain_that_waits_for_a_restart_is_lost_with_a_cancel(void **state)
{
    struct stage stage;
    struct answer answer;
    char *root = temp_dir_new();
    open_and_stop(&stage, root, root, true, &answer);
    task_fails(&stage, WEIR_E_INTERNAL);
    assert_int_equal(state_of(&stage), EXECUTION_RESTARTING);
    assert_true(jobmanager_is_asked(stage.manager));
    jobmanager_cancel(stage.manager);
    assert_false(settle(&stage));
    assert_int_equal(state_of(&stage), EXECUTION_CANCELED);
    assert_false(jobmanager_is_asked(stage.manager));
    assert_int_equal(answer.count, 0);
    succeed(jobmanager_settle(stage.manager));
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, WEIR_E_STATE);
    stage_close(&stage);
    temp_dir_free(root);
}

static void a_failure_withdraws_a_stop_and_the_job_goes_on(void **state)
{
    struct stage stage;
    struct answer answer;
    char *root = temp_dir_new(), *target = temp_dir_new();
    open_and_stop(&stage, root, target, false, &answer);
    settle(&stage);
    assert_true(jobmanager_is_stopping(stage.manager));
    task_fails(&stage, WEIR_E_INTERNAL);
    assert_int_equal(state_of(&stage), EXECUTION_RESTARTING);
    assert_false(jobmanager_is_stopping(stage.manager));
    assert_false(jobmanager_is_asked(stage.manager));
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, WEIR_E_STATE);
    assert_true(at(&stage, stage.now_ms + 100));
    all_running(&stage);
    assert_int_equal(state_of(&stage), EXECUTION_RUNNING);
    stage_close(&stage);
    temp_dir_free(root);
    temp_dir_free(target);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TWICE(a_checkpoint_is_complete_when_its_metadata_is_stored),
        TWICE(a_drain_goes_on_behind_a_restart_and_ends_with_its_savepoint),
        TWICE(a_drain_that_waits_for_a_restart_is_lost_with_a_cancel),
        TWICE(a_failure_withdraws_a_stop_and_the_job_goes_on),
        TWICE(a_checkpoint_that_takes_long_goes_on_unaligned),
        TWICE(a_declined_checkpoint_is_given_up_and_tried_again),
        TWICE(each_line_of_the_log_says_which_job_it_is_of),
        TWICE(a_checkpoint_that_takes_too_long_never_fails_the_job),
        TWICE(a_failed_task_restarts_all_from_the_newest_checkpoint),
        TWICE(a_task_that_ran_restarts_the_job_and_one_that_did_not_open_ends_it),
        TWICE(a_checkpoint_being_stored_at_the_failure_counts),
        TWICE(events_of_the_old_attempt_are_dropped),
        TWICE(restarts_run_out),
        TWICE(a_deployment_that_fails_is_taken_down_and_tried_again),
        TWICE(a_newer_attempt_ends_this_one),
        TWICE(a_failed_checkpoint_finds_the_newer_attempt_too),
        TWICE(a_bounded_job_ends_when_all_is_published),
        TWICE(no_checkpoint_starts_while_the_last_one_is_being_published),
        TWICE(a_stop_waits_for_a_checkpoint_that_began_after_it),
        TWICE(a_stop_that_takes_too_long_says_what_holds),
        TWICE(a_failure_that_was_survived_is_not_why_a_stop_takes_too_long),
        TWICE(a_cancel_takes_everything_down),
        TWICE(state_that_real_tasks_have_stored_is_restored),
        TWICE(state_that_real_tasks_have_stored_is_imported),
        TWICE(a_checkpoint_that_is_asked_for_begins_at_once_and_is_answered_once),
        TWICE(a_savepoint_that_is_asked_for_is_written_where_it_was_wanted),
        TWICE(what_was_asked_for_is_lost_with_its_checkpoint_or_its_tasks_and_that_is_said),
        TWICE(a_stop_or_a_drain_ends_with_a_savepoint_of_the_last_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

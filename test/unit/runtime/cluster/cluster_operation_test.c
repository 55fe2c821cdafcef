/* cluster_operation_test.c -- what people ask of jobs: they are rescaled, stopped and cancelled, also when they do not
 * run, and every record counts once. */
#include "test/unit/runtime/cluster/cluster_rig.h"

#include <fcntl.h>

static void a_job_stops_with_a_savepoint_and_another_one_goes_on_from_it(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *first[] = { "--parallelism", "3", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(first);
    wait_checkpoints(job, 2);
    const char *path = stop(job);
    uint64_t count = check_output(out, 0);
    const char *second[] = { "--parallelism", "2", "--output", out, ENDLESS, "--from-savepoint",
        path, NULL };
    job = submit(second);
    wait_checkpoints(job, 2);
    stop(job);
    assert_true(check_output(out, 0) > count);
}

static void a_running_job_is_rescaled_up_and_down(void **state)
{
    static const uint32_t to[] = { 4, 1, 3 };
    char out[OS_PATH_MAX], job_id[DISPATCHER_ID_SIZE];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 1);
    for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
        char id[DISPATCHER_ID_SIZE] = "";
        check(dispatcher_rescale(dispatcher, job->id, to[i], id));
        wait_operation(id);
        assert_int_equal(job->plan->vertices[job->plan->vertex_count - 1].parallelism, to[i]);
    }
    memcpy(job_id, job->id, sizeof(job_id));
    uint16_t port = listener_port(listener);
    stop_leader();
    start_leader(2, port);
    job = dispatcher_find(dispatcher, job_id);
    wait_state(job, JOB_RUNNING);
    assert_int_equal(job->plan->vertices[job->plan->vertex_count - 1].parallelism, 3);
    stop(job);
    check_output(out, 0);
}

static void a_rescale_is_answered_when_the_next_leader_would_go_on_with_it(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 1);
    move("jobs", "away");
    check(dispatcher_rescale(dispatcher, job->id, 1, id));
    int64_t until = now_ms() + BOUND_MS;
    while (job->plan->vertices[job->plan->vertex_count - 1].parallelism != 1 && now_ms() < until)
        turn();
    wait_checkpoints(job, job->history.completed_count + 1); /* the new tasks run */
    assert_false(dispatcher_operation(dispatcher, id)->is_done);
    move("away", "jobs");
    wait_operation(id);
    stop(job);
    check_output(out, 0);
}

static void a_job_whose_checkpoints_are_temporary_keeps_its_state_when_it_is_rescaled_or_moves(
    void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    uint16_t port = listener_port(listener);
    stop_leader();
    has_no_checkpoints = true;
    start_leader(2, port);
    has_no_checkpoints = false;
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    check(dispatcher_rescale(dispatcher, job->id, 1, id));
    wait_operation(id);
    assert_true(job->history.restored > 0);
    uint64_t count = job->history.completed_count;
    leave(strcmp(gateway_worker(job->gateway, 0)->task_manager, "tm-0") == 0 ? 0 : 1);
    wait_checkpoints(job, count + 2);
    stop(job);
    assert_true(check_output(out, 0) > 0);
}

/* Whoever has asked asks the next one again; what the old one kept for its answer is freed with it. */
static void a_leader_goes_before_it_has_answered_a_savepoint_with_a_cancel(void **state)
{
    char out[OS_PATH_MAX], job_id[DISPATCHER_ID_SIZE], id[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 1);
    memcpy(job_id, job->id, sizeof(job_id));
    check(dispatcher_savepoint(dispatcher, job_id, NULL, true, id));
    uint16_t port = listener_port(listener);
    stop_leader();
    start_leader(2, port);
    job = dispatcher_find(dispatcher, job_id);
    wait_state(job, JOB_RUNNING);
    check(dispatcher_savepoint(dispatcher, job_id, NULL, true, id));
    wait_operation(id);
    wait_state(job, JOB_CANCELED);
    check_output(out, 0);
}

static void a_job_is_cancelled_and_its_slots_are_free_again(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "4", "--count", "100000000", "--output", out,
        NULL };
    const struct job *job = submit(arguments);
    wait_state(job, JOB_RUNNING);
    assert_int_equal(resources_slots_free(dispatcher_resources(dispatcher)), 0);
    check(dispatcher_cancel(dispatcher, job->id));
    wait_state(job, JOB_CANCELED);
    assert_int_equal(resources_slots_free(dispatcher_resources(dispatcher)), 4);
    weir_error *error = dispatcher_cancel(dispatcher, job->id);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    weir_error_free(error);
}

static void a_rescale_to_what_the_job_has_changes_nothing_and_says_so(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 1);
    uint64_t attempt = job->stats->attempt;
    check(dispatcher_rescale(dispatcher, job->id, 2, id));
    wait_operation(id);
    assert_true(dispatcher_operation(dispatcher, id)->is_unchanged);
    wait_checkpoints(job, job->history.completed_count + 2);
    assert_int_equal(job->stats->attempt, attempt);
    id[0] = '\0';
    check(dispatcher_rescale(dispatcher, job->id, 1, id));
    wait_operation(id);
    assert_false(dispatcher_operation(dispatcher, id)->is_unchanged);
    assert_true(job->stats->attempt > attempt);
    stop(job);
    check_output(out, 0);
}

static void a_rescale_that_is_not_done_gives_way_to_another_one(void **state)
{
    char out[OS_PATH_MAX], first[DISPATCHER_ID_SIZE] = "", second[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "1", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 1);
    check(dispatcher_rescale(dispatcher, job->id, 2, first));
    check(dispatcher_rescale(dispatcher, job->id, 3, second));
    const struct operation *it = dispatcher_operation(dispatcher, first);
    assert_true(it->is_done);
    assert_non_null(strstr(weir_error_message(it->error), "another rescale, to 3, has taken"));
    wait_operation(second);
    assert_int_equal(parallelism_of(job), 3);
    stop(job);
    check_output(out, 0);
}

/* Else who asks more often than a plan takes would never get it. */
static void a_rescale_that_is_asked_for_again_goes_on(void **state)
{
    char out[OS_PATH_MAX], first[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "1", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 1);
    check(dispatcher_rescale(dispatcher, job->id, 2, first));
    int64_t until = now_ms() + BOUND_MS;
    while (!dispatcher_operation(dispatcher, first)->is_done && now_ms() < until) {
        char again[DISPATCHER_ID_SIZE] = "";
        check(dispatcher_rescale(dispatcher, job->id, 2, again));
        assert_string_equal(again, first);
        turn();
    }
    wait_operation(first);
    assert_int_equal(parallelism_of(job), 2);
    stop(job);
    check_output(out, 0);
}

static void expect_refusal(weir_error *error, const char *words)
{
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    if (strstr(weir_error_message(error), words) == NULL)
        fail_msg("'%s' has no '%s'", weir_error_message(error), words);
    weir_error_free(error);
}

static void wait_for_slots(const struct job *job)
{
    int64_t until = now_ms() + BOUND_MS;
    while ((job->gateway == NULL || gateway_state(job->gateway) != GATEWAY_WAITING) &&
           now_ms() < until)
        turn();
    assert_non_null(job->gateway);
    assert_int_equal(gateway_state(job->gateway), GATEWAY_WAITING);
}

static void a_job_that_waits_for_slots_is_rescaled_to_those_that_are_left(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "4", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    task_executor_free(managers[1]);
    managers[1] = NULL;
    wait_failures(job, 1);
    wait_for_slots(job);
    assert_int_equal(job->state, JOB_RESTARTING);
    const char *words = "waits for 4 slots, of which 2 are free";
    expect_refusal(dispatcher_stop(dispatcher, job->id, NULL, false, id), words);
    expect_refusal(dispatcher_savepoint(dispatcher, job->id, NULL, false, id), words);
    expect_refusal(dispatcher_checkpoint(dispatcher, job->id, id), words);
    weir_error *error = dispatcher_rescale(dispatcher, job->id, 3, id);
    assert_int_equal(weir_error_code(error), WEIR_E_LIMIT);
    assert_non_null(
        strstr(weir_error_message(error), "; start another task manager, or ask for fewer"));
    weir_error_free(error);
    check(dispatcher_rescale(dispatcher, job->id, 2, id));
    wait_operation(id);
    assert_int_equal(parallelism_of(job), 2);
    assert_true(job->history.restored > 0);
    assert_non_null(history_failure(&job->history, 0)); /* what has happened stays to be seen */
    wait_checkpoints(job, 2);
    stop(job);
    check_output(out, 0);
}

/* It has never run. */
static void a_job_that_is_too_large_is_rescaled_or_cancelled_while_it_waits(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "5", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_for_slots(job);
    check(dispatcher_rescale(dispatcher, job->id, 4, id));
    wait_operation(id);
    wait_checkpoints(job, 2);
    const struct job *other = submit(arguments);
    wait_for_slots(other);
    check(dispatcher_cancel(dispatcher, other->id));
    wait_state(other, JOB_CANCELED);
    stop(job);
    check_output(out, 0);
}

/* A worker has its directory in hand, which is away. */
static void a_job_is_cancelled_while_its_checkpoints_cannot_be_opened(void **state)
{
    char out[OS_PATH_MAX], log[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    snprintf(out, sizeof(out), "%s", output("out"));
    snprintf(log, sizeof(log), "%s", temp_dir_path(dir, "log"));
    const char *arguments[] = { "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    memcpy(id, job->id, sizeof(id));
    wait_checkpoints(job, 1);
    uint16_t port = listener_port(listener);
    stop_leader();
    move("checkpoints", "away");
    char *file = mem_printf("%s/checkpoints", dir);
    check(os_write_file(file, "", 0));
    mem_free(file);
    check(log_set_file(log, 1 << 20));
    start_leader(2, port);
    job = dispatcher_find(dispatcher, id);
    int64_t until = now_ms() + BOUND_MS;
    while (count_in_file(log, "cannot open its checkpoints; again in 1 s") == 0 && now_ms() < until)
        turn();
    check(log_set_file(NULL, 0));
    dispatcher_step(dispatcher, now_ms() + 2000);
    check(dispatcher_cancel(dispatcher, id));
    wait_state(job, JOB_CANCELED);
}

/* A file that nobody writes into stands for a disk that does not answer: whoever reads it waits. */
static void a_job_whose_directory_does_not_answer_holds_up_no_other_job(void **state)
{
    char out[OS_PATH_MAX], silent[OS_PATH_MAX], file[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    snprintf(silent, sizeof(silent), "%s", output("silent"));
    snprintf(file, sizeof(file), "%s", output("silent/ticks/attempt-1"));
    char *parent = mem_printf("%s/ticks", silent);
    check(os_make_dirs(parent));
    mem_free(parent);
    assert_int_equal(mkfifo(file, 0600), 0);
    const char *first[] = { "--checkpoints", silent, "--output", out, ENDLESS, NULL };
    const char *second[] = { "--output", out, ENDLESS, NULL };
    const struct job *stuck = submit(first);
    int64_t until = now_ms() + BOUND_MS;
    while (stuck->plan == NULL && now_ms() < until)
        turn();
    const struct job *job = submit(second);
    wait_checkpoints(job, 1);
    assert_null(stuck->jobmanager);
    check(dispatcher_cancel(dispatcher, stuck->id));
    int answer = open(file, O_WRONLY); /* a reader is there, so it does not wait */
    assert_true(answer >= 0);
    close(answer);
    wait_state(stuck, JOB_CANCELED);
    stop(job);
    check_output(out, 0);
}

/* Nobody knows yet that the worker is gone. */
static void a_stop_during_which_a_task_fails_is_refused_and_the_job_goes_on(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "4", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 1);
    weir_error *error = NULL;
    int64_t until = now_ms() + BOUND_MS;
    while ((error = dispatcher_stop(dispatcher, job->id, NULL, false, id)) != NULL &&
           now_ms() < until) {
        weir_error_free(error); /* a checkpoint is under way */
        turn();
    }
    check(error);
    signal_a_worker(0, SIGKILL);
    const struct operation *it = dispatcher_operation(dispatcher, id);
    while (!it->is_done && now_ms() < until)
        turn();
    assert_true(it->is_done);
    assert_non_null(it->error);
    assert_non_null(strstr(weir_error_message(it->error), "so it goes on; stop it again"));
    wait_checkpoints(job, job->history.completed_count + 2);
    assert_int_equal(job->state, JOB_RUNNING);
    stop(job);
    check_output(out, 0);
}

/* WEIR_TEST_ONLY=<pattern> runs the tests whose names match. */
int main(int argc, char **argv)
{
    CLUSTER_RIG_MAIN(argc, argv);
    const struct CMUnitTest tests[] = {
        WITH_CLUSTER(a_stop_during_which_a_task_fails_is_refused_and_the_job_goes_on),
        WITH_CLUSTER(
            a_job_whose_checkpoints_are_temporary_keeps_its_state_when_it_is_rescaled_or_moves),
        WITH_CLUSTER(a_job_stops_with_a_savepoint_and_another_one_goes_on_from_it),
        WITH_CLUSTER(a_running_job_is_rescaled_up_and_down),
        WITH_CLUSTER(a_rescale_is_answered_when_the_next_leader_would_go_on_with_it),
        WITH_CLUSTER(a_leader_goes_before_it_has_answered_a_savepoint_with_a_cancel),
        WITH_CLUSTER(a_job_is_cancelled_and_its_slots_are_free_again),
        WITH_CLUSTER(a_rescale_to_what_the_job_has_changes_nothing_and_says_so),
        WITH_CLUSTER(a_rescale_that_is_not_done_gives_way_to_another_one),
        WITH_CLUSTER(a_rescale_that_is_asked_for_again_goes_on),
        WITH_CLUSTER(a_job_that_waits_for_slots_is_rescaled_to_those_that_are_left),
        WITH_CLUSTER(a_job_that_is_too_large_is_rescaled_or_cancelled_while_it_waits),
        WITH_CLUSTER(a_job_is_cancelled_while_its_checkpoints_cannot_be_opened),
        WITH_CLUSTER(a_job_whose_directory_does_not_answer_holds_up_no_other_job),
    };
    cmocka_set_test_filter(getenv("WEIR_TEST_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* cluster_test.c -- jobs are submitted, run in processes of their own, crash, lose their task managers and leaders, and
 * every record counts once. */
#include "test/unit/runtime/cluster/cluster_rig.h"

static void a_job_runs_on_two_task_managers(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "4", "--count", "20000", "--output", out,
        "--checkpoint-interval", "200ms", NULL };
    const struct job *job = submit(arguments);
    wait_state(job, JOB_FINISHED);
    check_output(out, 20000);
}

static void an_executable_that_cannot_be_fetched_at_once_is_fetched_again(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--count", "100", "--output", out, NULL };
    fetches_to_fail = 2;
    wait_state(submit(arguments), JOB_FINISHED);
    assert_int_equal(fetches_to_fail, 0);
    check_output(out, 100);
}

static void a_worker_that_is_killed_costs_no_record_and_doubles_none(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "4", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    signal_a_worker(0, SIGKILL);
    wait_failures(job, 1);
    wait_checkpoints(job, job->history.completed_count + 1);
    signal_a_worker(1, SIGKILL);
    wait_failures(job, 2);
    wait_checkpoints(job, job->history.completed_count + 1);
    stop(job);
    check_output(out, 0);
}

static void what_user_code_does_wrong_ends_that_attempt_and_is_told(void **state)
{
    static const struct {
        const char *badness, *told;
    } rows[] = { { "segfault", "SIGSEGV in operator 'count'" },
        { "loop", "has not come back from its code for more than 5 s: it loops" },
        { "eat", "MB of memory" } };
    char out[OS_PATH_MAX];
    for (size_t i = 0; i < (MEMORY_FACTOR == 0 ? 2 : 3); i++) {
        snprintf(out, sizeof(out), "%s", output(rows[i].badness));
        const char *bad[] = { "--count", "100000", "--rate", "20000", "--output", out, "--badness",
            rows[i].badness, "--bad-at", "20", "--restart", "fixed", "--restart-attempts", "1",
            "--restart-delay", "10ms", NULL };
        char good_out[OS_PATH_MAX];
        snprintf(good_out, sizeof(good_out), "%s", temp_dir_path(dir, "%s-good", rows[i].badness));
        const char *good[] = { "--count", "5000", "--rate", "5000", "--output", good_out,
            "--checkpoint-interval", "200ms", NULL };
        const struct job *bad_job = submit(bad), *good_job = submit(good);
        wait_state(bad_job, JOB_FAILED);
        wait_state(good_job, JOB_FINISHED);
        assert_int_equal(good_job->history.failure_count, 0);
        check_output(good_out, 5000);
        assert_non_null(strstr(weir_error_message(bad_job->error), rows[i].told));
        assert_null(strstr(weir_error_message(bad_job->error), "status"));
        assert_null(strstr(weir_error_message(bad_job->error), "ERROR"));
    }
}

static void a_lost_task_manager_is_replaced_by_another_one(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    uint32_t used = strcmp(gateway_worker(job->gateway, 0)->task_manager, "tm-0") == 0 ? 0 : 1;
    task_executor_free(managers[used]);
    managers[used] = NULL;
    wait_failures(job, 1);
    wait_checkpoints(job, job->history.completed_count + 1);
    stop(job);
    check_output(out, 0);
}

/* Until some have come to the last task. */
static void wait_records(const struct job *job)
{
    int64_t until = now_ms() + BOUND_MS;
    wait_state(job, JOB_RUNNING);
    while (gateway_metrics(job->gateway, job->plan->subtask_count - 1)->records_in == 0 &&
           now_ms() < until)
        turn();
    assert_true(gateway_metrics(job->gateway, job->plan->subtask_count - 1)->records_in > 0);
}

/* It may not restart, so a loss would be its end. */
static void a_job_moves_from_a_task_manager_that_leaves_to_another_one_or_waits_for_one(
    void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, "--restart", "none",
        "--count", "1000000000", "--rate", "4000", "--checkpoint-interval", "1h", NULL };
    const struct job *job = submit(arguments);
    wait_records(job);
    uint32_t used = strcmp(gateway_worker(job->gateway, 0)->task_manager, "tm-0") == 0 ? 0 : 1;
    uint64_t attempt = job->stats->attempt;
    leave(used);
    assert_int_equal(job->history.completed_count, 1);
    wait_records(job);
    assert_string_equal(gateway_worker(job->gateway, 0)->task_manager, used == 0 ? "tm-1" : "tm-0");
    assert_true(job->stats->attempt > attempt);
    assert_true(job->history.restored > 0);
    leave(1 - used);
    assert_int_equal(job->history.completed_count, 2);
    wait_state(job, JOB_CREATED);
    start_manager(used, 2);
    wait_records(job);
    assert_int_equal(job->history.failure_count, 0);
    stop(job);
    assert_true(check_output(out, 0) > 0);
}

static void a_new_leader_takes_over_what_the_old_one_has_left(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    int pids[16];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "3", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    memcpy(id, job->id, sizeof(id));
    wait_checkpoints(job, 2);
    uint16_t port = listener_port(listener);
    stop_leader();
    assert_int_equal(find_workers(pids, 16), 2); /* they go on */
    start_leader(2, port);
    job = dispatcher_find(dispatcher, id);
    assert_non_null(job);
    wait_checkpoints(job, 2);
    assert_true(job->history.restored > 0);
    assert_int_equal(job->history.takeover.epoch, 2);
    assert_int_equal(job->history.takeover.restored, job->history.restored);
    assert_int_equal(job->history.failure_count, 0);
    stop(job);
    check_output(out, 0);
    stop_leader();
    start_leader(3, port);
    assert_int_equal(dispatcher_find(dispatcher, id)->state, JOB_FINISHED);
}

static void what_is_seen_of_a_job_that_is_over_is_seen_under_the_next_leader_too(void **unused)
{
    char out[OS_PATH_MAX], bad_out[OS_PATH_MAX], ids[2][DISPATCHER_ID_SIZE];
    snprintf(out, sizeof(out), "%s", output("out"));
    snprintf(bad_out, sizeof(bad_out), "%s", output("bad"));
    const char *good[] = { "--job-name", "clicks", "--parallelism", "3", "--count", "100",
        "--output", out, NULL };
    const char *bad[] = { "--count", "100000", "--rate", "20000", "--output", bad_out, "--badness",
        "segfault", "--bad-at", "20", "--restart", "none", NULL };
    const char *const *jobs[] = { good, bad };
    int64_t entered_ms[2][JOB_STATE_COUNT], times_ms[2][2];
    char *failure = NULL, *place = NULL;
    for (uint32_t i = 0; i < 2; i++) {
        const struct job *job = submit(jobs[i]);
        wait_state(job, i == 0 ? JOB_FINISHED : JOB_FAILED);
        memcpy(ids[i], job->id, DISPATCHER_ID_SIZE);
        memcpy(entered_ms[i], job->entered_ms, sizeof(entered_ms[i]));
        times_ms[i][0] = job->start_ms;
        times_ms[i][1] = job->end_ms;
        if (i == 1) {
            failure = mem_strdup(history_failure(&job->history, 0)->text);
            place = mem_strdup(history_failure(&job->history, 0)->place);
        }
    }
    for (uint64_t epoch = 2; epoch < 4; epoch++) {
        uint16_t port = listener_port(listener);
        stop_leader();
        start_leader(epoch, port);
        for (uint32_t i = 0; i < 2; i++) {
            const struct job *job = dispatcher_find(dispatcher, ids[i]);
            assert_int_equal(job->state, i == 0 ? JOB_FINISHED : JOB_FAILED);
            assert_string_equal(job->name, i == 0 ? "clicks" : "ticks");
            assert_int_equal(parallelism_of(job), i == 0 ? 3 : 1);
            assert_string_equal(job->plan->vertices[0].operators[0].name, "ticks");
            for (uint32_t state = 0; state < JOB_STATE_COUNT; state++)
                if (state != job->state) /* which is entered when its end is stored */
                    assert_int_equal(job->entered_ms[state], entered_ms[i][state]);
            assert_true(job->entered_ms[JOB_RUNNING] > 0);
            assert_int_equal(job->start_ms, times_ms[i][0]);
            assert_int_equal(job->end_ms, times_ms[i][1]);
        }
        const struct job *failed = dispatcher_find(dispatcher, ids[1]);
        const struct history_failure *it = history_failure(&failed->history, 0);
        assert_string_equal(it->text, failure);
        assert_string_equal(it->place, place);
        assert_non_null(it->vertex);
        assert_int_equal(it->code, WEIR_E_INTERNAL);
        assert_null(history_failure(&failed->history, 1));
        assert_int_equal(weir_error_code(failed->error), WEIR_E_INTERNAL);
        assert_non_null(strstr(weir_error_message(failed->error), "SIGSEGV"));
    }
    mem_free(failure);
    mem_free(place);
}

/* As an old leader does that was frozen in the middle of its claim. */
static void an_attempt_that_is_claimed_behind_the_leaders_back_is_taken_back_once(void **state)
{
    char out[OS_PATH_MAX];
    uint64_t attempt;
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    check(attempt_claim(temp_dir_path(dir, "checkpoints/%s/ticks", job->id), &attempt));
    wait_failures(job, 1);
    wait_checkpoints(job, job->history.completed_count + 2);
    assert_true(job->stats->attempt > attempt);
    check(attempt_claim(temp_dir_path(dir, "checkpoints/%s/ticks", job->id), &attempt));
    wait_state(job, JOB_FAILED);
    assert_int_equal(weir_error_code(job->error), WEIR_E_FENCED);
    check_output(out, 0);
}

/* Its claim deletes what the other attempt's tasks are about to open, before any of them has run. */
static void an_attempt_that_comes_late_while_tasks_are_started_does_not_fail_the_job(void **state)
{
    static const char input[] = "{\"key\":1}\n{\"key\":2}\n{\"key\":1}\n";
    char in[OS_PATH_MAX], out[OS_PATH_MAX];
    uint64_t attempt;
    snprintf(in, sizeof(in), "%s", output("in"));
    snprintf(out, sizeof(out), "%s", output("out"));
    temp_dir_write(in, input, strlen(input));
    const char *arguments[] = { "--parallelism", "1", "--input", in, "--output", out, NULL };
    const struct job *job = submit(arguments);
    int64_t until = now_ms() + BOUND_MS;
    while ((job->stats == NULL || job->stats->state != EXECUTION_RUNNING) && now_ms() < until)
        turn();
    assert_non_null(job->stats);
    assert_int_equal(job->stats->state, EXECUTION_RUNNING);
    assert_int_equal(job->stats->running_since_ms, 0);
    const char *checkpoints = temp_dir_path(dir, "checkpoints/%s/ticks", job->id);
    char *staging = mem_printf("%s/staging-%" PRIu64, checkpoints, job->stats->attempt);
    check(attempt_claim(checkpoints, &attempt));
    check(os_remove_tree(staging));
    mem_free(staging);
    wait_state(job, JOB_FINISHED);
    assert_int_equal(job->history.failure_count, 1);
    assert_int_equal(history_failure(&job->history, 0)->code, WEIR_E_IO);
    check_output(out, 3);
}

static void workers_that_no_leader_comes_for_end_by_themselves(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    int pids[16];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "3", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    memcpy(id, job->id, sizeof(id));
    wait_checkpoints(job, 1);
    uint16_t port = listener_port(listener);
    stop_leader();
    int64_t until = now_ms() + BOUND_MS;
    while (find_workers(pids, 16) > 0 && now_ms() < until)
        turn();
    assert_int_equal(find_workers(pids, 16), 0);
    start_leader(2, port);
    job = dispatcher_find(dispatcher, id);
    wait_checkpoints(job, 2);
    stop(job);
    check_output(out, 0);
}

/* It has imported the savepoint, and waits for slots. */
static void a_start_from_a_savepoint_is_finished_by_the_next_leader(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *first[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(first);
    wait_checkpoints(job, 2);
    const char *path = stop(job);
    uint64_t count = check_output(out, 0);
    task_executor_free(managers[1]);
    managers[1] = NULL;
    const char *second[] = { "--parallelism", "3", "--output", out, ENDLESS, "--from-savepoint",
        path, NULL };
    job = submit(second);
    memcpy(id, job->id, sizeof(id));
    int64_t until = now_ms() + BOUND_MS;
    while (job->history.restored == 0 && now_ms() < until)
        turn();
    assert_true(job->history.restored > 0);
    uint16_t port = listener_port(listener);
    stop_leader();
    start_leader(2, port);
    start_manager(1, 2);
    job = dispatcher_find(dispatcher, id);
    wait_checkpoints(job, 2);
    stop(job);
    assert_true(check_output(out, 0) > count);
}

static void what_the_store_cannot_take_now_it_takes_later(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    int pids[16];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--count", "3000", "--rate", "3000", "--output", out, NULL };
    const struct job *job = submit(arguments);
    memcpy(id, job->id, sizeof(id));
    move("jobs", "away");
    char *opened = mem_printf("%s/checkpoints/%s/ticks", dir, id);
    struct os_stat stat = { .exists = false };
    for (int64_t until = now_ms() + BOUND_MS; !stat.exists && now_ms() < until;) {
        turn();
        check(os_stat(opened, &stat));
    }
    mem_free(opened);
    assert_true(stat.exists);
    for (uint32_t i = 0; i < 50; i++)
        turn();
    assert_int_equal(job->state, JOB_INITIALIZING);
    assert_int_equal(find_workers(pids, 16), 0); /* nothing runs of which no leader would know */
    move("away", "jobs");
    wait_state(job, JOB_RUNNING);
    move("jobs", "away");
    for (int64_t until = now_ms() + BOUND_MS; job->jobmanager != NULL && now_ms() < until;)
        turn();
    assert_null(
        job->jobmanager); /* it is over, but the next leader would start it again: nobody is told */
    assert_int_equal(job->state, JOB_RUNNING);
    assert_int_equal(job_store_find(store, id)->status, RECORD_RUNNING);
    move("away", "jobs");
    wait_state(job, JOB_FINISHED);
    assert_int_equal(job_store_find(store, id)->status, RECORD_FINISHED);
    uint16_t port = listener_port(listener);
    stop_leader();
    start_leader(2, port);
    assert_int_equal(dispatcher_find(dispatcher, id)->state, JOB_FINISHED);
    check_output(out, 3000);
}

/* Nothing happens to a job that waits: it must hear of what happens to others. */
static void jobs_that_wait_for_slots_get_those_of_others_in_the_order_they_came(void **state)
{
    const struct job *jobs[3];
    for (uint32_t i = 0; i < 3; i++) {
        char out[OS_PATH_MAX], name[8] = { 'o', 'u', 't', (char)('0' + i) };
        snprintf(out, sizeof(out), "%s", output(name));
        const char *arguments[] = { "--parallelism", "4", "--count", "100000000", "--rate", "1000",
            "--output", out, NULL };
        jobs[i] = submit(arguments);
        wait_state(jobs[i], i == 0 ? JOB_RUNNING : JOB_CREATED);
    }
    for (uint32_t i = 0; i < 3; i++) {
        wait_state(jobs[i], JOB_RUNNING);
        for (uint32_t later = i + 1; later < 3; later++)
            assert_int_equal(jobs[later]->state, JOB_CREATED);
        check(dispatcher_cancel(dispatcher, jobs[i]->id));
        wait_state(jobs[i], JOB_CANCELED);
    }
}

static void a_job_that_waits_for_slots_says_so_once(void **state)
{
    const char *path = temp_dir_path(dir, "log");
    const char *many[] = { "--parallelism", "5", "--output", output("many"), ENDLESS, NULL };
    const char *one[] = { "--count", "10", "--output", output("one"), NULL };
    check(log_set_file(path, 1 << 20));
    log_set_level(LOG_WARN);
    const struct job *job = submit(many);
    char *told = mem_printf("%s waits for slots: it needs 5, but only 4 of 4 are free", job->id);
    int64_t until = now_ms() + BOUND_MS;
    while (count_in_file(path, told) == 0 && now_ms() < until)
        turn();
    wait_state(submit(one), JOB_FINISHED); /* slots come and go: it looks again */
    assert_int_equal(count_in_file(path, told), 1);
    assert_int_equal(count_in_file(path, "waits for slots"), 1);
    mem_free(told);
    check(log_set_file(NULL, 0));
}

static void a_job_that_cannot_be_planned_fails_with_its_own_words(void **state)
{
    const char *arguments[] = { "--colour", "blue", NULL };
    const struct job *job = submit(arguments);
    wait_state(job, JOB_FAILED);
    assert_non_null(strstr(weir_error_message(job->error), "--colour"));
}

static void a_job_submitted_twice_is_refused_and_the_first_goes_on(void **state)
{
    char out[OS_PATH_MAX], own[OS_PATH_MAX], slash[OS_PATH_MAX + 1];
    snprintf(out, sizeof(out), "%s", output("out"));
    snprintf(own, sizeof(own), "%s", temp_dir_path(dir, "own"));
    snprintf(slash, sizeof(slash), "%s/", own);
    const char *first[] = { "--output", out, "--checkpoints", own, ENDLESS, NULL };
    const char *again[] = { "--output", out, "--checkpoints", slash, ENDLESS, NULL };
    const char *other[] = { "--output", output("other"), "--checkpoints", own, "--job-name",
        "other", ENDLESS, NULL };
    const struct job *job = submit(first);
    wait_checkpoints(job, 1);
    const struct job *second = submit(again);
    wait_state(second, JOB_FAILED);
    assert_int_equal(weir_error_code(second->error), WEIR_E_STATE);
    assert_non_null(strstr(weir_error_message(second->error), job->id));
    assert_non_null(strstr(weir_error_message(second->error), "another --job-name or --check"));
    wait_state(submit(other), JOB_RUNNING);
    wait_checkpoints(job, job->history.completed_count + 2);
    assert_int_equal(job->history.failure_count, 0);
    stop(job);
    wait_state(submit(again), JOB_RUNNING); /* it is over now */
    check_output(out, 0);
}

struct heard {
    bool is_there;
    char text[1 << 16];
};

static void hear(void *arg, weir_str bytes, const weir_error *error)
{
    struct heard *heard = arg;
    heard->is_there = true;
    snprintf(heard->text, sizeof(heard->text), "%.*s", (int)bytes.size,
        error == NULL ? bytes.data : "");
}

static void the_last_words_of_a_worker_can_be_read_when_it_is_gone(void **state)
{
    static struct heard heard;
    char out[OS_PATH_MAX], name[128], manager[64];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--count", "100000", "--rate", "20000", "--output", out,
        "--badness", "segfault", "--bad-at", "20", "--restart", "none", NULL };
    const struct job *job = submit(arguments);
    wait_state(job, JOB_RUNNING);
    snprintf(manager, sizeof(manager), "%s", gateway_worker(job->gateway, 0)->task_manager);
    snprintf(name, sizeof(name), "%s-%" PRIu64 "-0.log", job->id, job->stats->attempt);
    wait_state(job, JOB_FAILED);
    struct log_question question = { .kind = LOG_NAMED,
        .name = weir_str_of(name),
        .offset = LOG_END };
    heard.is_there = false;
    check(dispatcher_log(dispatcher, manager, &question, hear, &heard));
    int64_t until = now_ms() + BOUND_MS;
    while (!heard.is_there && now_ms() < until)
        turn();
    assert_non_null(strstr(heard.text, "SIGSEGV in operator 'count'"));
}

static void a_worker_that_loses_the_job_manager_before_it_has_tasks_is_replaced(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--count", "1000", "--output", out, "--restart-delay", "10ms",
        NULL };
    refusals = 2;
    const struct job *job = submit(arguments);
    wait_state(job, JOB_FINISHED);
    assert_int_equal(refusals, 0);
    assert_int_equal(job->history.failure_count, 2);
    check_output(out, 1000);
}

/* WEIR_TEST_ONLY=<pattern> runs the tests whose names match. */
int main(int argc, char **argv)
{
    CLUSTER_RIG_MAIN(argc, argv);
    const struct CMUnitTest tests[] = {
        WITH_CLUSTER(a_job_runs_on_two_task_managers),
        WITH_CLUSTER(an_executable_that_cannot_be_fetched_at_once_is_fetched_again),
        WITH_CLUSTER(a_worker_that_is_killed_costs_no_record_and_doubles_none),
        WITH_CLUSTER(what_user_code_does_wrong_ends_that_attempt_and_is_told),
        WITH_CLUSTER(a_lost_task_manager_is_replaced_by_another_one),
        WITH_CLUSTER(a_job_moves_from_a_task_manager_that_leaves_to_another_one_or_waits_for_one),
        WITH_CLUSTER(a_new_leader_takes_over_what_the_old_one_has_left),
        WITH_CLUSTER(what_is_seen_of_a_job_that_is_over_is_seen_under_the_next_leader_too),
        WITH_CLUSTER(an_attempt_that_is_claimed_behind_the_leaders_back_is_taken_back_once),
        WITH_CLUSTER(an_attempt_that_comes_late_while_tasks_are_started_does_not_fail_the_job),
        WITH_CLUSTER(workers_that_no_leader_comes_for_end_by_themselves),
        WITH_CLUSTER(a_start_from_a_savepoint_is_finished_by_the_next_leader),
        WITH_CLUSTER(what_the_store_cannot_take_now_it_takes_later),
        WITH_CLUSTER(jobs_that_wait_for_slots_get_those_of_others_in_the_order_they_came),
        WITH_CLUSTER(a_job_that_waits_for_slots_says_so_once),
        WITH_CLUSTER(a_job_that_cannot_be_planned_fails_with_its_own_words),
        WITH_CLUSTER(a_job_submitted_twice_is_refused_and_the_first_goes_on),
        WITH_CLUSTER(a_worker_that_loses_the_job_manager_before_it_has_tasks_is_replaced),
        WITH_CLUSTER(the_last_words_of_a_worker_can_be_read_when_it_is_gone),
    };
    cmocka_set_test_filter(getenv("WEIR_TEST_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* gateway_test.c -- how the workers of a job are found, started, deployed, believed, missed and replaced. */
#include "test/unit/runtime/cluster/gateway_kit.h"

/* -- slots --------------------------------------------------------------------------------------- */

static void slots_may_come_late(void **state)
{
    struct rig rig;
    rig_open(&rig);
    add_manager(&rig, 0, 1);
    later(&rig, SLOT_MS - 1);
    assert_int_equal(gateway_state(rig.gateway), GATEWAY_WAITING);
    assert_int_equal(resources_slots_free(rig.resources), 1); /* all or nothing */
    add_manager(&rig, 1, 1);
    turn(&rig);
    assert_int_equal(gateway_state(rig.gateway), GATEWAY_STARTING);
    for (uint32_t i = 0; i < MANAGERS; i++) {
        struct message_start start;
        read_last(&rig.to_managers[i], MESSAGE_START, &start);
        assert_int_equal(start.slot_count, 1);
        assert_int_equal(start.worker_count, 2);
        assert_int_equal(start.memory_size, 1000);
        assert_int_equal(start.epoch, 3);
    }
    rig_close(&rig);
}

static void without_slots_in_time_the_attempt_fails_and_says_how_many(void **state)
{
    struct rig rig;
    rig_open(&rig);
    add_manager(&rig, 0, 1);
    turn(&rig);
    assert_true(gateway_deadline_ms(rig.gateway) <= clock_ms + SLOT_MS);
    later(&rig, SLOT_MS);
    expect_failure(&rig, WEIR_E_LIMIT, "the job needs 2 slots, but only 1 of 1 are free");
    assert_int_equal(rig.to_managers[0].sent[MESSAGE_START], 0);
    rig_close(&rig);
}

/* -- starting ------------------------------------------------------------------------------------- */

static void all_workers_are_deployed_when_the_last_one_is_here(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    struct arena arena;
    arena_init(&arena, 1024, 1 << 20);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct message_deploy deploy;
        const char **addresses;
        const uint32_t *placement;
        uint32_t count;
        assert_int_equal(rig.to_workers[i].sent[MESSAGE_DEPLOY], 1);
        assert_true(rig.to_workers[i].is_kept);
        read_last(&rig.to_workers[i], MESSAGE_DEPLOY, &deploy);
        assert_true(message_take_strings(deploy.addresses, 2, &arena, &addresses, &count));
        assert_string_equal(addresses[1], "127.0.0.1:5001");
        assert_true(message_take_numbers(deploy.placement, 4, &arena, &placement, &count));
        assert_int_equal(count, rig.plan->subtask_count);
        for (uint32_t s = 0; s < count; s++)
            assert_int_equal(placement[s], gateway_worker_of(rig.gateway, s));
    }
    arena_release(&arena);
    for (uint32_t s = 0; s < rig.plan->subtask_count; s++)
        say(&rig, gateway_worker_of(rig.gateway, s), MESSAGE_RUNNING,
            (struct message_event){ .attempt = attempt_of(&rig), .subtask = s });
    assert_int_equal(jobmanager_stats(rig.jobmanager)->state, EXECUTION_RUNNING);
    rig_close(&rig);
}

static void a_worker_that_does_not_come_is_named(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_starting(&rig);
    expect_ok(hello(&rig, 0));
    later(&rig, START_MS);
    expect_failure(&rig, WEIR_E_TIMEOUT, "has not started within 2 s");
    for (uint32_t i = 0; i < MANAGERS; i++)
        assert_true(is_killed(&rig, i));
    assert_int_equal(rig.to_workers[0].sent[MESSAGE_CANCEL], 1);
    assert_true(rig.to_workers[0].is_closed);
    rig_close(&rig);
}

static void who_is_not_expected_is_refused_and_changes_nothing(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_starting(&rig);
    struct message_hello wrong[6];
    char secret[] = "0000000000000000000000000000000000000000000000000000000000000000";
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        wrong[i] = hello_of(&rig, 0);
    wrong[0].attempt++;
    wrong[1].worker = 2;
    wrong[2].secret = (weir_str){ .data = secret, .size = wrong[2].secret.size };
    wrong[3].secret.size = 0;
    wrong[4].worker = UINT32_MAX;
    wrong[5].attempt--;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        expect_error(gateway_hello(rig.gateway, &rig.to_workers[1], &wrong[i]), WEIR_E_FENCED,
            "is expected");
    expect_ok(hello(&rig, 0));
    struct message_hello again = hello_of(&rig, 0);
    expect_error(gateway_hello(rig.gateway, &rig.to_workers[1], &again), WEIR_E_FENCED,
        "is expected");
    expect_ok(hello(&rig, 1));
    again = hello_of(&rig, 1);
    expect_error(gateway_hello(rig.gateway, &rig.to_workers[1], &again), WEIR_E_FENCED,
        "is expected");
    turn(&rig);
    assert_int_equal(rig.history.failure_count, 0);
    rig_close(&rig);
}

static void a_worker_with_another_plan_ends_the_attempt(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_starting(&rig);
    struct message_hello other = hello_of(&rig, 1);
    other.fingerprint++;
    expect_error(gateway_hello(rig.gateway, &rig.to_workers[1], &other), WEIR_E_PLAN, "differs");
    expect_failure(&rig, WEIR_E_PLAN, "depends on something besides its arguments");
    rig_close(&rig);
}

static void no_port_is_announced_that_is_none(void **state)
{
    static const uint32_t ports[] = { 0, 65536, 65536 + 80, UINT32_MAX };
    for (size_t i = 0; i < COUNT_OF(ports); i++) {
        struct rig rig;
        rig_open(&rig);
        to_starting(&rig);
        struct message_hello message = hello_of(&rig, 0);
        message.data_port = ports[i];
        expect_error(gateway_hello(rig.gateway, &rig.to_workers[0], &message), WEIR_E_CORRUPT,
            "port");
        expect_ok(hello(&rig, 0));
        rig_close(&rig);
    }
}

/* -- ends ------------------------------------------------------------------------------------------ */

static void how_a_worker_has_ended_is_what_people_read(void **state)
{
    for (uint32_t order = 0; order < 2; order++) {
        struct rig rig;
        rig_open(&rig);
        to_deployed(&rig);
        if (order == 0)
            close_worker(&rig, 1);
        later(&rig, 100); /* its connection closes first: the reason may still come */
        assert_int_equal(rig.history.failure_count, 0);
        end_worker(&rig, 1, WEIR_E_LIMIT, "it was killed by SIGSEGV in operator 'count'");
        expect_failure(&rig, WEIR_E_LIMIT, "SIGSEGV in operator 'count'");
        rig_close(&rig);
    }
}

/* Worker 1 has two tasks. What it says is believed of its own, else nobody knows which it was. */
static void the_task_that_a_worker_was_in_is_named_and_no_other_one(void **state)
{
    for (uint32_t told = 0; told <= 5; told++) {
        struct rig rig;
        rig_open(&rig);
        to_deployed(&rig);
        bool is_own = told > 0 && told <= 4 && gateway_worker_of(rig.gateway, told - 1) == 1;
        end_worker_in(&rig, 1, told, 0, "it was killed by SIGSEGV");
        expect_failure(&rig, WEIR_E_INTERNAL, "SIGSEGV");
        const struct history_failure *it = history_failure(&rig.history, 0);
        assert_string_equal(it->place, "tm-1");
        if (is_own) {
            uint32_t v = 0;
            while (
                told - 1 - rig.plan->vertices[v].first_subtask >= rig.plan->vertices[v].parallelism)
                v++;
            assert_string_equal(it->vertex, rig.plan->vertices[v].name);
            assert_int_equal(it->subtask, told - 1 - rig.plan->vertices[v].first_subtask);
        } else {
            assert_null(it->vertex);
        }
        rig_close(&rig);
    }
}

/* Of a task of worker 1, which is returned. */
static uint32_t say_record_4711(struct rig *rig, uint32_t kind)
{
    struct worker_task_metrics metrics = { .subtask = subtask_of(rig, 1), .records_in = 4711 };
    weir_buffer *bytes = weir_buffer_new(1 << 16);
    worker_metrics_put(&metrics, 1, bytes);
    say(rig, 1, kind,
        (struct message_event){ .attempt = attempt_of(rig),
            .subtask = metrics.subtask,
            .bytes = weir_buffer_view(bytes) });
    weir_buffer_free(bytes);
    return metrics.subtask;
}

static void the_last_numbers_of_a_task_come_with_its_end(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    uint32_t subtask = say_record_4711(&rig, MESSAGE_ENDED);
    turn(&rig);
    assert_int_equal(gateway_metrics(rig.gateway, subtask)->records_in, 4711);
    assert_int_equal(rig.history.failure_count, 0);
    rig_close(&rig);
}

static void of_a_worker_that_could_not_say_where_it_was_the_progress_is_told(void **state)
{
    for (uint32_t has_said = 0; has_said < 2; has_said++) {
        struct rig rig;
        rig_open(&rig);
        to_deployed(&rig);
        uint32_t subtask = say_record_4711(&rig, MESSAGE_METRICS);
        end_worker_in(&rig, 1, has_said ? subtask + 1 : 0, 0, "it used too much memory");
        turn(&rig);
        const char *text = history_failure(&rig.history, 0)->text;
        assert_non_null(strstr(text, "it used too much memory"));
        if (has_said) {
            assert_null(strstr(text, "as last heard"));
        } else {
            assert_non_null(strstr(text, "memory; its tasks, as last heard: '"));
            assert_non_null(strstr(text, "/2) at record 4711"));
            assert_non_null(strstr(text, "/2) at record 0"));
        }
        rig_close(&rig);
    }
}

/* A data connection that breaks is nobody's. */
static void a_failure_of_a_worker_is_no_failure_of_its_first_task(void **state)
{
    for (uint32_t is_of_worker = 0; is_of_worker < 2; is_of_worker++) {
        struct rig rig;
        rig_open(&rig);
        to_deployed(&rig);
        say(&rig, 1, MESSAGE_FAILED,
            (struct message_event){ .attempt = attempt_of(&rig),
                .subtask = subtask_of(&rig, 1),
                .code = WEIR_E_IO,
                .is_of_worker = is_of_worker == 1,
                .text = WEIR_STR("the connection to worker 0 is lost") });
        expect_failure(&rig, WEIR_E_IO, "the connection to worker 0");
        assert_int_equal(history_failure(&rig.history, 0)->vertex == NULL, is_of_worker == 1);
        assert_string_equal(history_failure(&rig.history, 0)->place, "tm-1");
        rig_close(&rig);
    }
}

static void a_connection_that_closes_without_a_reason_fails_a_little_later(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    close_worker(&rig, 0);
    turn(&rig);
    assert_int_equal(rig.history.failure_count, 0);
    assert_true(gateway_deadline_ms(rig.gateway) < clock_ms + 1000);
    later(&rig, 1000);
    expect_failure(&rig, WEIR_E_IO, "the connection to the worker on task manager");
    rig_close(&rig);
}

static void a_worker_that_ends_before_it_says_hello_fails_the_attempt(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_starting(&rig);
    end_worker(&rig, 0, WEIR_E_USAGE, "it ended with status 2; its last words: no such option");
    end_worker(&rig, 1, 0, "in its wake");
    expect_failure(&rig, WEIR_E_USAGE, "no such option");
    rig_close(&rig);
}

static void an_end_of_another_attempt_or_worker_is_ignored(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    struct message_worker_ended message = { .attempt = attempt_of(&rig) - 1,
        .worker = 0,
        .code = 1 };
    gateway_worker_ended(rig.gateway, &message);
    message = (struct message_worker_ended){ .attempt = attempt_of(&rig), .worker = 2, .code = 1 };
    gateway_worker_ended(rig.gateway, &message);
    turn(&rig);
    assert_int_equal(rig.history.failure_count, 0);
    rig_close(&rig);
}

static void a_silent_worker_is_taken_for_dead(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    later(&rig, SILENCE_MS);
    assert_int_equal(rig.history.failure_count, 0);
    later(&rig, 1);
    expect_failure(&rig, WEIR_E_TIMEOUT, "has said nothing for 5 s");
    rig_close(&rig);
}

static void lose(struct rig *rig, uint32_t index)
{
    gateway_task_manager_lost(rig->gateway, rig->managers[index]);
    resources_lost(rig->resources, rig->managers[index]);
    rig->managers[index] = NULL;
}

static void a_lost_task_manager_fails_the_attempt_and_is_told_nothing(void **state)
{
    for (uint32_t is_deployed = 0; is_deployed < 2; is_deployed++) {
        struct rig rig;
        rig_open(&rig);
        if (is_deployed)
            to_deployed(&rig);
        else
            to_starting(&rig);
        lose(&rig, 0);
        expect_failure(&rig, WEIR_E_IO, "task manager 'tm-0' (127.0.0.1) is lost");
        assert_false(is_killed(&rig, 0));
        assert_true(is_killed(&rig, 1));
        rig_close(&rig);
    }
}

static void a_task_manager_that_is_lost_while_slots_are_awaited_costs_nothing(void **state)
{
    struct rig rig;
    rig_open(&rig);
    add_manager(&rig, 0, 1);
    turn(&rig);
    lose(&rig, 0);
    turn(&rig);
    assert_int_equal(rig.history.failure_count, 0);
    assert_int_equal(gateway_state(rig.gateway), GATEWAY_WAITING);
    rig_close(&rig);
}

/* -- regions ---------------------------------------------------------------------------------------- */

#define DELAY_MS 100

/* Subtasks 0 and 1 are a region on worker 0, subtasks 2 and 3 one on worker 1; all run. */
static void to_two_regions(struct rig *rig)
{
    rig_open_with(rig,
        &(struct trial){ .count = 1, .parallelism = 1, .pipelines = 2, .has_groups = true },
        DELAY_MS);
    to_deployed(rig);
    for (uint32_t s = 0; s < 4; s++) {
        assert_int_equal(gateway_worker_of(rig->gateway, s), s / 2);
        say(rig, s / 2, MESSAGE_RUNNING,
            (struct message_event){ .attempt = attempt_of(rig), .subtask = s });
    }
}

static uint32_t starts(const struct rig *rig, uint32_t manager)
{
    return rig->to_managers[manager].sent[MESSAGE_START];
}

/* Whatever befell worker 0: it is replaced where it was, and worker 1 has noticed nothing. */
static void expect_replaced(struct rig *rig)
{
    later(rig, DELAY_MS);
    assert_int_equal(starts(rig, 0), 2);
    assert_int_equal(starts(rig, 1), 1);
    assert_int_equal(attempt_of(rig), 1);
    assert_int_equal(gateway_state(rig->gateway), GATEWAY_STARTING);
    release(&rig->to_workers[0]);
    rig->to_workers[0] = (struct connection){ .is_closed = false };
    expect_ok(hello(rig, 0));
    assert_int_equal(gateway_state(rig->gateway), GATEWAY_DEPLOYED);
    assert_int_equal(rig->to_workers[0].sent[MESSAGE_DEPLOY], 1);
    assert_int_equal(rig->to_workers[1].sent[MESSAGE_DEPLOY], 1);
    assert_int_equal(rig->to_workers[1].sent[MESSAGE_CANCEL], 0);
    assert_false(rig->to_workers[1].is_closed);
    assert_false(is_killed(rig, 0) || is_killed(rig, 1));
    for (uint32_t s = 0; s < 2; s++)
        say(rig, 0, MESSAGE_RUNNING,
            (struct message_event){ .attempt = attempt_of(rig), .subtask = s });
    assert_int_equal(jobmanager_stats(rig->jobmanager)->state, EXECUTION_RUNNING);
    assert_int_equal(jobmanager_stats(rig->jobmanager)->restarts, 1);
    assert_int_equal(rig->history.failure_count, 1);
    assert_int_equal(history_failure(&rig->history, 0)->task_count, 2);
}

/* Everything goes, to begin anew under another attempt. */
static void expect_all_restarted(struct rig *rig, uint64_t failures)
{
    assert_int_equal(rig->history.failure_count, failures);
    assert_int_equal(history_failure(&rig->history, 0)->task_count, 4);
    assert_int_equal(rig->to_workers[1].sent[MESSAGE_CANCEL], 1);
    assert_int_equal(gateway_worker_count(rig->gateway), 0);
    later(rig, DELAY_MS);
    assert_int_equal(jobmanager_stats(rig->jobmanager)->attempt, 2);
}

static void a_worker_that_dies_is_replaced_and_those_of_other_regions_stay(void **state)
{
    for (uint32_t order = 0; order < 2; order++) {
        struct rig rig;
        to_two_regions(&rig);
        if (order == 0)
            close_worker(&rig, 0);
        later(&rig, 1000); /* more than a moment: that it has ended is worth waiting for */
        assert_int_equal(rig.history.failure_count, 0);
        end_worker(&rig, 0, 0, "it was killed by SIGKILL");
        if (order == 1)
            close_worker(&rig, 0);
        turn(&rig);
        assert_int_equal(rig.history.failure_count, 1);
        expect_replaced(&rig);
        rig_close(&rig);
    }
}

static void fail_task(struct rig *rig, uint32_t worker)
{
    say(rig, worker, MESSAGE_FAILED,
        (struct message_event){ .attempt = attempt_of(rig),
            .subtask = subtask_of(rig, worker),
            .code = WEIR_E_INTERNAL,
            .text = WEIR_STR("of its own doing") });
    turn(rig);
}

/* The old process may still do something until its end is told. */
static void a_worker_whose_task_failed_is_replaced_when_it_has_ended(void **state)
{
    struct rig rig;
    to_two_regions(&rig);
    fail_task(&rig, 0);
    assert_int_equal(rig.to_workers[0].sent[MESSAGE_CANCEL], 1);
    assert_true(rig.to_workers[0].is_closed);
    later(&rig, 2 * DELAY_MS);
    assert_int_equal(starts(&rig, 0), 1);
    struct message_hello late = hello_of(&rig, 0);
    expect_error(gateway_hello(rig.gateway, &rig.to_workers[0], &late), WEIR_E_FENCED, "expected");
    end_worker(&rig, 0, 0, "it was told to");
    expect_replaced(&rig);
    rig_close(&rig);
}

static void a_worker_whose_end_is_not_told_lets_all_restart(void **state)
{
    struct rig rig;
    to_two_regions(&rig);
    fail_task(&rig, 0); /* hangs when it is to end */
    later(&rig, DELAY_MS);
    assert_true(gateway_deadline_ms(rig.gateway) <= clock_ms + 3000);
    later(&rig, 3000);
    expect_all_restarted(&rig, 2);
    rig_close(&rig);

    to_two_regions(&rig); /* a network that is cut */
    close_worker(&rig, 0);
    turn(&rig);
    assert_true(gateway_deadline_ms(rig.gateway) <= clock_ms + 3000);
    later(&rig, 3000);
    expect_all_restarted(&rig, 1);
    rig_close(&rig);

    to_two_regions(&rig); /* a machine that is frozen */
    rig.to_workers[1].heard_ms = clock_ms + SILENCE_MS;
    later(&rig, SILENCE_MS + 1);
    expect_all_restarted(&rig, 1);
    rig_close(&rig);
}

static void a_task_manager_that_is_lost_while_a_region_restarts_lets_all_restart(void **state)
{
    for (uint32_t is_starting = 0; is_starting < 2; is_starting++) {
        struct rig rig;
        to_two_regions(&rig);
        fail_task(&rig, 0);
        if (is_starting)
            later(&rig, DELAY_MS);
        lose(&rig, 0);
        later(&rig, is_starting ? 0 : DELAY_MS);
        expect_all_restarted(&rig, 2);
        assert_int_equal(gateway_state(rig.gateway), GATEWAY_WAITING);
        rig_close(&rig);
    }
}

static void regions_that_share_a_worker_restart_with_it(void **state)
{
    struct rig rig;
    rig_open_with(&rig,
        &(struct trial){ .count = 1, .parallelism = 1, .pipelines = 2, .has_groups = true },
        DELAY_MS);
    add_manager(&rig, 0, 2);
    turn(&rig);
    assert_int_equal(gateway_worker_count(rig.gateway), 1);
    expect_ok(hello(&rig, 0));
    for (uint32_t s = 0; s < 4; s++)
        say(&rig, 0, MESSAGE_RUNNING,
            (struct message_event){ .attempt = attempt_of(&rig), .subtask = s });
    fail_task(&rig, 0);
    assert_int_equal(rig.history.failure_count, 1);
    assert_int_equal(history_failure(&rig.history, 0)->task_count, 4);
    later(&rig, DELAY_MS);
    assert_int_equal(jobmanager_stats(rig.jobmanager)->attempt, 2);
    rig_close(&rig);
}

/* The second one dies when the first one's end has just been told, and while it is being replaced. */
static void both_may_be_replaced_one_behind_the_other(void **state)
{
    for (uint32_t is_starting = 0; is_starting < 2; is_starting++) {
        struct rig rig;
        to_two_regions(&rig);
        end_worker(&rig, 0, 0, "it was killed by SIGKILL");
        close_worker(&rig, 0);
        if (is_starting)
            later(&rig, DELAY_MS);
        end_worker(&rig, 1, 0, "it was killed by SIGKILL, too");
        close_worker(&rig, 1);
        turn(&rig);
        assert_int_equal(rig.history.failure_count, 2);
        assert_int_equal(history_failure(&rig.history, 0)->task_count, 4);
        later(&rig, DELAY_MS);
        assert_int_equal(jobmanager_stats(rig.jobmanager)->attempt, 2); /* that is all of them */
        rig_close(&rig);
    }
}

static void take_number(void *arg, uint64_t checkpoint, const char *path, const weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
    *(uint64_t *)arg = checkpoint;
}

static void complete_one(struct rig *rig)
{
    uint64_t number = 0;
    struct jobmanager_request request = { .done = take_number, .arg = &number };
    weir_buffer *bytes = weir_buffer_new(1 << 20);
    struct checkpoint_metadata metadata;
    expect_ok(jobmanager_ask(rig->jobmanager, &request, clock_ms));
    turn(rig);
    checkpoint_metadata_init(&metadata);
    metadata.job = WEIR_STR("trial");
    metadata.checkpoint = metadata.attempt = 1;
    metadata.max_parallelism = rig->plan->max_parallelism;
    checkpoint_encode(&metadata, bytes);
    checkpoint_metadata_release(&metadata);
    for (uint32_t i = 0; i < 4; i++) {
        struct message_event ack = { .attempt = 1, .subtask = i, .checkpoint = 1 };
        ack.bytes = weir_buffer_view(bytes);
        say(rig, i / 2, MESSAGE_ACKED, ack);
    }
    turn(rig);
    weir_buffer_free(bytes);
    assert_int_equal(number, 1);
}

/* Nothing starts until there is something to restore it from, and it is deployed once. */
static void a_worker_that_ends_before_it_is_there_is_started_again_with_the_next_deployment(
    void **state)
{
    struct rig rig;
    to_two_regions(&rig);
    complete_one(&rig);
    end_worker(&rig, 0, 0, "it was killed by SIGKILL");
    close_worker(&rig, 0);
    turn(&rig);
    later(&rig, DELAY_MS);
    assert_int_equal(starts(&rig, 0), 2);
    end_worker(&rig, 0, 0, "it was killed by SIGKILL again");
    turn(&rig);
    assert_int_equal(starts(&rig, 0), 2);
    later(&rig, DELAY_MS);
    assert_int_equal(starts(&rig, 0), 3);
    release(&rig.to_workers[0]);
    rig.to_workers[0] = (struct connection){ .is_closed = false };
    expect_ok(hello(&rig, 0));
    assert_int_equal(gateway_state(rig.gateway), GATEWAY_DEPLOYED);
    for (uint32_t i = 0; i < 2; i++)
        say(&rig, 0, MESSAGE_RUNNING, (struct message_event){ .attempt = 1, .subtask = i });
    assert_true(jobmanager_stats(rig.jobmanager)->running_since_ms > 0);
    assert_int_equal(jobmanager_stats(rig.jobmanager)->attempt, 1);
    rig_close(&rig);
}

/* -- what workers say ------------------------------------------------------------------------------- */

static void a_worker_speaks_for_its_own_subtasks_only(void **state)
{
    static const uint32_t kinds[] = { MESSAGE_RUNNING, MESSAGE_ENDED, MESSAGE_FAILED, MESSAGE_ACKED,
        MESSAGE_DECLINED };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        for (uint32_t which = 0; which < 2; which++) {
            struct rig rig;
            rig_open(&rig);
            to_deployed(&rig);
            say(&rig, 0, kinds[i],
                (struct message_event){ .attempt = attempt_of(&rig),
                    .subtask = which == 0 ? subtask_of(&rig, 1) : rig.plan->subtask_count });
            expect_failure(&rig, WEIR_E_CORRUPT, "which is not its own");
            rig_close(&rig);
        }
    }
}

/* Or the job manager's inbox would be full, and that is an assertion. */
static void a_worker_that_tells_without_end_fails_its_attempt_alone(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    struct message_event event = { .attempt = attempt_of(&rig), .subtask = subtask_of(&rig, 0) };
    for (uint32_t i = 0; i < 1000; i++)
        speak(&rig.to_workers[0], MESSAGE_RUNNING, &event);
    expect_failure(&rig, WEIR_E_CORRUPT, "tells of them without end");
    rig_close(&rig);
}

static void what_is_not_for_a_worker_to_say_or_is_damaged_fails_the_attempt(void **state)
{
    static const struct {
        uint32_t kind;
        const char *bytes, *words;
    } rows[] = { { MESSAGE_TRIGGER, "", "none of its own" }, { 0, "", "none of its own" },
        { 4711, "", "none of its own" },
        { MESSAGE_RUNNING, "\xc1", "RUNNING message is damaged" } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig rig;
        rig_open(&rig);
        to_deployed(&rig);
        say_bytes(&rig, 0, rows[i].kind, weir_str_of(rows[i].bytes));
        expect_failure(&rig, WEIR_E_CORRUPT, rows[i].words);
        rig_close(&rig);
    }
}

static void an_event_of_another_attempt_is_ignored(void **state)
{
    struct rig rig;
    rig_open(&rig);
    static const uint32_t kinds[] = { MESSAGE_FAILED, MESSAGE_ACKED, MESSAGE_METRICS };
    to_deployed(&rig);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) /* each would be a failure */
        say(&rig, 0, kinds[i],
            (struct message_event){ .attempt = attempt_of(&rig) - 1,
                .subtask = subtask_of(&rig, 0),
                .code = WEIR_E_IO,
                .text = WEIR_STR("late"),
                .bytes = WEIR_STR("damaged") });
    assert_int_equal(rig.history.failure_count, 0);
    rig_close(&rig);
}

/* They may be on a task manager that has no share of this attempt. */
static void workers_of_older_attempts_are_ended_everywhere(void **state)
{
    struct rig rig;
    struct message_start start;
    rig_open(&rig);
    add_manager(&rig, 0, 1);
    add_manager(&rig, 1, 2);
    turn(&rig);
    assert_int_equal(gateway_worker_count(rig.gateway), 1);
    assert_int_equal(rig.to_managers[0].sent[MESSAGE_START], 0);
    read_last(&rig.to_managers[1], MESSAGE_START, &start);
    for (uint32_t i = 0; i < MANAGERS; i++) {
        struct message_kill message;
        assert_int_equal(rig.to_managers[i].sent[MESSAGE_KILL], 1);
        read_last(&rig.to_managers[i], MESSAGE_KILL, &message);
        assert_int_equal(message.attempt, start.attempt - 1);
    }
    rig_close(&rig);
}

static void a_task_that_fails_fails_the_attempt_with_its_words_once(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    struct message_event message = { .attempt = attempt_of(&rig),
        .subtask = subtask_of(&rig, 1),
        .code = WEIR_E_IO,
        .is_retriable = true,
        .text = WEIR_STR("the broker is away") };
    weir_buffer *bytes = weir_buffer_new(1 << 16);
    msgpack_encode(message_type(MESSAGE_FAILED), &message, bytes);
    struct connection *it = &rig.to_workers[1];
    it->handler->frame(it->arg, it, MESSAGE_FAILED, weir_buffer_view(bytes));
    weir_buffer_free(bytes);
    end_worker(&rig, 1, 0, "it ended with status 0");
    close_worker(&rig, 0);
    expect_failure(&rig, WEIR_E_IO, "the broker is away");
    assert_string_equal(history_failure(&rig.history, 0)->place, "tm-1");
    rig_close(&rig);
}

static void a_bad_record_is_not_tried_again(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    say(&rig, 0, MESSAGE_FAILED,
        (struct message_event){ .attempt = attempt_of(&rig),
            .subtask = subtask_of(&rig, 0),
            .code = WEIR_E_DATA,
            .text = WEIR_STR("no JSON") });
    expect_failure(&rig, WEIR_E_DATA, "no JSON");
    assert_int_equal(jobmanager_stats(rig.jobmanager)->state, EXECUTION_FAILED);
    rig_close(&rig);
}

static void a_worker_that_a_signal_has_ended_is_started_again(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    for (uint32_t s = 0; s < rig.plan->subtask_count; s++)
        say(&rig, gateway_worker_of(rig.gateway, s), MESSAGE_RUNNING,
            (struct message_event){ .attempt = attempt_of(&rig), .subtask = s });
    end_worker(&rig, 0, 0, "it was killed by SIGKILL");
    expect_failure(&rig, WEIR_E_INTERNAL, "SIGKILL");
    assert_int_equal(jobmanager_stats(rig.jobmanager)->state, EXECUTION_RESTARTING);
    rig_close(&rig);
}

static void a_worker_that_could_not_come_here_is_started_again(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_starting(&rig);
    expect_ok(hello(&rig, 0));
    end_worker(&rig, 1, WEIR_E_IO, "no job manager: cannot connect");
    expect_failure(&rig, WEIR_E_IO, "cannot connect");
    assert_int_equal(jobmanager_stats(rig.jobmanager)->state, EXECUTION_RESTARTING);
    rig_close(&rig);
}

static void a_snapshot_or_metrics_that_are_damaged_fail_the_attempt(void **state)
{
    static const uint32_t kinds[] = { MESSAGE_ACKED, MESSAGE_METRICS };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct rig rig;
        rig_open(&rig);
        to_deployed(&rig);
        say(&rig, 0, kinds[i],
            (struct message_event){ .attempt = attempt_of(&rig),
                .subtask = subtask_of(&rig, 0),
                .checkpoint = 1,
                .bytes = WEIR_STR("rubbish") });
        expect_failure(&rig, WEIR_E_CORRUPT, "");
        rig_close(&rig);
    }
}

static void metrics_are_kept_and_answered_by_a_heartbeat(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    uint32_t subtask = subtask_of(&rig, 0);
    struct worker_task_metrics metrics = { .subtask = subtask, .records_in = 17, .lag = -1 };
    weir_buffer *bytes = weir_buffer_new(1 << 16);
    worker_metrics_put(&metrics, 1, bytes);
    say(&rig, 0, MESSAGE_METRICS,
        (struct message_event){ .attempt = attempt_of(&rig), .bytes = weir_buffer_view(bytes) });
    weir_buffer_free(bytes);
    assert_int_equal(gateway_metrics(rig.gateway, subtask)->records_in, 17);
    assert_int_equal(gateway_metrics(rig.gateway, subtask)->lag, -1);
    assert_int_equal(rig.to_workers[0].sent[MESSAGE_HEARTBEAT], 1);
    rig_close(&rig);
}

/* -- tearing down ----------------------------------------------------------------------------------- */

static void tearing_down_gives_the_slots_back_in_each_state(void **state)
{
    for (uint32_t phase = 0; phase < 4; phase++) {
        struct rig rig;
        rig_open(&rig);
        if (phase == 1)
            to_starting(&rig);
        if (phase == 2) {
            to_starting(&rig);
            expect_ok(hello(&rig, 1));
        }
        if (phase == 3)
            to_deployed(&rig);
        struct task_gateway tasks = gateway_tasks(rig.gateway);
        for (uint32_t twice = 0; twice < 2; twice++) {
            tasks.tear_down(tasks.arg, NULL);
            assert_int_equal(gateway_state(rig.gateway), GATEWAY_IDLE);
            assert_int_equal(resources_slots_free(rig.resources), phase == 0 ? 0 : 2);
        }
        assert_int_equal(rig.to_workers[0].is_closed, phase == 3);
        assert_int_equal(rig.to_workers[1].is_closed, phase >= 2);
        for (uint32_t i = 0; i < MANAGERS; i++)
            assert_int_equal(is_killed(&rig, i), phase != 0);
        rig_close(&rig);
    }
}

static void workers_that_are_let_go_are_told_nothing(void **state)
{
    struct rig rig;
    rig_open(&rig);
    to_deployed(&rig);
    gateway_abandon(rig.gateway);
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_true(rig.to_workers[i].is_closed);
        assert_int_equal(rig.to_workers[i].sent[MESSAGE_CANCEL], 0);
        assert_false(is_killed(&rig, i));
    }
    assert_int_equal(resources_slots_free(rig.resources), 2);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_may_come_late),
        cmocka_unit_test(without_slots_in_time_the_attempt_fails_and_says_how_many),
        cmocka_unit_test(all_workers_are_deployed_when_the_last_one_is_here),
        cmocka_unit_test(a_worker_that_does_not_come_is_named),
        cmocka_unit_test(who_is_not_expected_is_refused_and_changes_nothing),
        cmocka_unit_test(a_worker_with_another_plan_ends_the_attempt),
        cmocka_unit_test(no_port_is_announced_that_is_none),
        cmocka_unit_test(how_a_worker_has_ended_is_what_people_read),
        cmocka_unit_test(the_task_that_a_worker_was_in_is_named_and_no_other_one),
        cmocka_unit_test(the_last_numbers_of_a_task_come_with_its_end),
        cmocka_unit_test(of_a_worker_that_could_not_say_where_it_was_the_progress_is_told),
        cmocka_unit_test(a_failure_of_a_worker_is_no_failure_of_its_first_task),
        cmocka_unit_test(a_connection_that_closes_without_a_reason_fails_a_little_later),
        cmocka_unit_test(a_worker_that_ends_before_it_says_hello_fails_the_attempt),
        cmocka_unit_test(an_end_of_another_attempt_or_worker_is_ignored),
        cmocka_unit_test(a_silent_worker_is_taken_for_dead),
        cmocka_unit_test(a_lost_task_manager_fails_the_attempt_and_is_told_nothing),
        cmocka_unit_test(a_task_manager_that_is_lost_while_slots_are_awaited_costs_nothing),
        cmocka_unit_test(a_worker_that_dies_is_replaced_and_those_of_other_regions_stay),
        cmocka_unit_test(a_worker_whose_task_failed_is_replaced_when_it_has_ended),
        cmocka_unit_test(a_worker_whose_end_is_not_told_lets_all_restart),
        cmocka_unit_test(a_task_manager_that_is_lost_while_a_region_restarts_lets_all_restart),
        cmocka_unit_test(regions_that_share_a_worker_restart_with_it),
        cmocka_unit_test(
            a_worker_that_ends_before_it_is_there_is_started_again_with_the_next_deployment),
        cmocka_unit_test(both_may_be_replaced_one_behind_the_other),
        cmocka_unit_test(a_worker_speaks_for_its_own_subtasks_only),
        cmocka_unit_test(a_worker_that_tells_without_end_fails_its_attempt_alone),
        cmocka_unit_test(what_is_not_for_a_worker_to_say_or_is_damaged_fails_the_attempt),
        cmocka_unit_test(an_event_of_another_attempt_is_ignored),
        cmocka_unit_test(workers_of_older_attempts_are_ended_everywhere),
        cmocka_unit_test(a_task_that_fails_fails_the_attempt_with_its_words_once),
        cmocka_unit_test(a_bad_record_is_not_tried_again),
        cmocka_unit_test(a_worker_that_a_signal_has_ended_is_started_again),
        cmocka_unit_test(a_worker_that_could_not_come_here_is_started_again),
        cmocka_unit_test(a_snapshot_or_metrics_that_are_damaged_fail_the_attempt),
        cmocka_unit_test(metrics_are_kept_and_answered_by_a_heartbeat),
        cmocka_unit_test(tearing_down_gives_the_slots_back_in_each_state),
        cmocka_unit_test(workers_that_are_let_go_are_told_nothing),
    };
    return cmocka_run_group_tests(tests, fake_net_put, fake_net_restore);
}

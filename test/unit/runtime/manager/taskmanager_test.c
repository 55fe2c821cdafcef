/* taskmanager_test.c -- a job whose tasks are in several task managers, with wires between them: one job
 * manager, as in a cluster, but all in this process. */
#include "runtime/manager/taskmanager.h"

#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/exchange/wire.h"
#include "state/backend.h"
#include "test/support/expect.h"
#include "test/support/trial.h"

#define WORKERS_MAX 4u

/* Several workers of a job, and its job manager. */
struct fleet {
    weir_job *job;
    const struct plan *plan;
    struct workers *workers; /* for blocking work */
    struct storage *storage;
    struct waker *waker;
    struct jobmanager *manager;
    struct task_host host;
    uint32_t count;
    struct taskmanager *managers[WORKERS_MAX];
    struct wire *wires[WORKERS_MAX];
    struct wire_address addresses[WORKERS_MAX];
    struct placement placements[WORKERS_MAX];
    uint32_t *homes;           /* of each subtask */
    bool is_dead[WORKERS_MAX]; /* its wire was stopped */
    uint64_t attempt;
    bool is_threaded;
};

static int64_t now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

static void wire_failed(void *arg, weir_error *error)
{
    const struct fleet *fleet = arg;
    fleet->host.failed(fleet->host.arg, 0, error);
}

static weir_error *make_wire(struct fleet *fleet, uint32_t worker)
{
    struct wire_options options = { .host = "127.0.0.1",
        .self = { .job = fleet->plan->job,
            .attempt = fleet->attempt,
            .worker = worker,
            .worker_count = fleet->count,
            .secret = { 42 } },
        .failed = wire_failed,
        .arg = fleet };
    WEIR_TRY(wire_new(&options, &fleet->wires[worker]));
    fleet->is_dead[worker] = false;
    fleet->addresses[worker] =
        (struct wire_address){ .host = "127.0.0.1", .port = wire_port(fleet->wires[worker]) };
    fleet->placements[worker] = (struct placement){ .workers = fleet->homes,
        .wire = fleet->wires[worker],
        .addresses = fleet->addresses,
        .connect_timeout_ms = 60000 };
    return NULL;
}

static weir_error *fleet_deploy(void *arg, const struct deployment *deployment)
{
    struct fleet *fleet = arg;
    fleet->attempt = deployment->attempt;
    jobmanager_host(fleet->manager, &fleet->host);
    for (uint32_t i = 0; i < fleet->count; i++)
        WEIR_TRY(make_wire(fleet, i));
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct deployment part = *deployment;
        part.placement = &fleet->placements[i];
        WEIR_TRY(taskmanager_deploy(fleet->managers[i], &fleet->host, &part));
    }
    return NULL;
}

static void fleet_tear_down(void *arg, const bool *subtasks)
{
    struct fleet *fleet = arg;
    assert_null(subtasks); /* the trial is one region */
    for (uint32_t i = 0; i < fleet->count; i++) {
        taskmanager_tear_down(fleet->managers[i], NULL);
        wire_free(fleet->wires[i]);
        fleet->wires[i] = NULL;
    }
}

static void fleet_trigger(void *arg, uint64_t checkpoint)
{
    struct fleet *fleet = arg;
    for (uint32_t i = 0; i < fleet->count; i++)
        taskmanager_trigger(fleet->managers[i], checkpoint);
}

static void fleet_complete(void *arg, uint64_t checkpoint)
{
    struct fleet *fleet = arg;
    for (uint32_t i = 0; i < fleet->count; i++)
        taskmanager_complete(fleet->managers[i], checkpoint);
}

static void fleet_overtake(void *arg, uint64_t checkpoint)
{
    struct fleet *fleet = arg;
    for (uint32_t i = 0; i < fleet->count; i++)
        taskmanager_overtake(fleet->managers[i], checkpoint);
}

static void fleet_abort(void *arg, uint64_t checkpoint)
{
    struct fleet *fleet = arg;
    for (uint32_t i = 0; i < fleet->count; i++)
        taskmanager_abort(fleet->managers[i], checkpoint);
}

static void fleet_stop(void *arg)
{
    struct fleet *fleet = arg;
    for (uint32_t i = 0; i < fleet->count; i++)
        taskmanager_stop(fleet->managers[i]);
}

static void fleet_wake(void *arg)
{
    waker_wake(arg);
}

static bool fleet_has_published(void *arg, uint64_t checkpoint)
{
    const struct fleet *fleet = arg;
    for (uint32_t i = 0; i < fleet->count; i++)
        if (!taskmanager_has_published(fleet->managers[i], checkpoint))
            return false;
    return true;
}

static void fleet_init(struct fleet *fleet, uint32_t count, bool is_threaded)
{
    *fleet = (struct fleet){ .count = count, .is_threaded = is_threaded };
    fleet->plan = trial_plan(&fleet->job);
    fleet->homes = mem_alloc_array(fleet->plan->subtask_count, sizeof(uint32_t));
    for (uint32_t v = 0; v < fleet->plan->vertex_count; v++)
        for (uint32_t i = 0; i < fleet->plan->vertices[v].parallelism; i++)
            fleet->homes[fleet->plan->vertices[v].first_subtask + i] = i % count;
    fleet->workers = workers_new(is_threaded ? 2 : 0, 1024);
    fleet->waker = waker_new();
    expect_ok(storage_open(NULL, fleet->plan->job, 2, &fleet->storage));
    for (uint32_t i = 0; i < count; i++)
        fleet->managers[i] = taskmanager_new(&(struct taskmanager_options){ .plan = fleet->plan,
            .memory_size = (uint64_t)64 << 20,
            .is_threaded = is_threaded });
    struct jobmanager_options options = { .plan = fleet->plan,
        .backend = backend_hashmap.format,
        .storage = fleet->storage,
        .workers = fleet->workers,
        .wake = fleet_wake,
        .wake_arg = fleet->waker,
        .tasks = { .arg = fleet,
            .deploy = fleet_deploy,
            .tear_down = fleet_tear_down,
            .trigger = fleet_trigger,
            .complete = fleet_complete,
            .overtake = fleet_overtake,
            .abort = fleet_abort,
            .stop = fleet_stop,
            .has_published = fleet_has_published },
        .interval_ms = 5,
        .timeout_ms = 600000,
        .restart = { .kind = RESTART_FIXED, .delay_ms = 1 },
        .stop_timeout_ms = 60000 };
    fleet->manager = jobmanager_new(&options);
    fleet->host = (struct task_host){ .backend = &backend_hashmap,
        .backend_memory = 1 << 20,
        .watermark_interval_ms = 50,
        .batch_max = 64 };
}

static void fleet_release(struct fleet *fleet)
{
    fleet_tear_down(fleet, NULL);
    jobmanager_free(fleet->manager);
    for (uint32_t i = 0; i < fleet->count; i++)
        taskmanager_free(fleet->managers[i]);
    workers_free(fleet->workers);
    storage_close(fleet->storage);
    waker_free(fleet->waker);
    mem_free(fleet->homes);
    job_free(fleet->job);
}

/* One turn of the job manager; false: the job is over. With threads it sleeps a little between. */
static bool step_manager(struct fleet *fleet)
{
    if (!jobmanager_step(fleet->manager, now_ms()))
        return false;
    if (fleet->is_threaded)
        waker_wait(fleet->waker, 1);
    return true;
}

/* Without threads: one turn of something, chosen by chance. */
static bool step_something(struct fleet *fleet, uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint64_t choice = *random >> 33;
    uint32_t worker = (uint32_t)(choice / 8 % fleet->count);
    uint32_t slots = taskmanager_slot_count(fleet->managers[worker]);
    if (choice % 8 == 0)
        return step_manager(fleet);
    if (choice % 8 == 1)
        workers_step(fleet->workers);
    else if (choice % 8 <= 4 && slots > 0 && !fleet->is_dead[worker])
        wire_step(fleet->wires[worker], 0);
    else if (slots > 0)
        executor_round(taskmanager_slot(fleet->managers[worker], (uint32_t)(choice / 64 % slots)));
    else
        return step_manager(fleet);
    return true;
}

static void expect_finished(struct fleet *fleet)
{
    expect_ok(jobmanager_take_error(fleet->manager));
    assert_int_equal(jobmanager_stats(fleet->manager)->state, EXECUTION_FINISHED);
    trial_check(true);
}

/* -- tests ---------------------------------------------------------------------------------------- */

static void a_job_over_several_workers_gives_the_same_result(void **state)
{
    static const struct {
        uint32_t workers, parallelism;
        bool is_unchained;
    } rows[] = { { 2, 2, false }, { 2, 3, true }, { 3, 4, false }, { 4, 4, true },
        { 3, 2, false } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fleet fleet;
        uint64_t random = i;
        trial_reset(&(struct trial){ .count = 20000,
            .parallelism = rows[i].parallelism,
            .slow_batch = 50,
            .is_chaining_disabled = rows[i].is_unchained });
        fleet_init(&fleet, rows[i].workers, false);
        jobmanager_start(fleet.manager, now_ms());
        while (step_something(&fleet, &random))
            ;
        expect_finished(&fleet);
        assert_true(jobmanager_stats(fleet.manager)->completed > 1); /* aligned over the wires */
        assert_int_equal(jobmanager_stats(fleet.manager)->restarts, 0);
        fleet_release(&fleet);
    }
}

static void each_worker_has_its_own_tasks_and_slots_only(void **state)
{
    struct fleet fleet;
    trial_reset(&(struct trial){ .count = 0, .parallelism = 3 });
    fleet_init(&fleet, 2, false);
    jobmanager_start(fleet.manager, now_ms());
    while (taskmanager_slot_count(fleet.managers[1]) == 0) {
        assert_true(step_manager(&fleet));
        workers_step(fleet.workers);
    }
    assert_int_equal(taskmanager_slot_count(fleet.managers[0]), 2);
    assert_int_equal(taskmanager_slot_count(fleet.managers[1]), 1);
    for (uint32_t w = 0; w < 2; w++)
        for (uint32_t i = 0; i < fleet.plan->subtask_count; i++)
            assert_int_equal(taskmanager_task(fleet.managers[w], i) != NULL, fleet.homes[i] == w);
    assert_int_equal(taskmanager_backend_size(fleet.managers[0], &fleet.placements[0]),
        (uint64_t)16 << 20);
    assert_int_equal(taskmanager_backend_size(fleet.managers[1], &fleet.placements[1]),
        (uint64_t)32 << 20);
    fleet_tear_down(&fleet, NULL);
    assert_int_equal(taskmanager_report(fleet.managers[1])->task_count,
        fleet.plan->subtask_count / 3);
    fleet_release(&fleet);
}

static void on_threads_it_gives_the_same_result_too(void **state)
{
    struct fleet fleet;
    trial_reset(&(struct trial){ .count = 200000, .parallelism = 4 });
    fleet_init(&fleet, 3, true);
    jobmanager_start(fleet.manager, now_ms());
    while (step_manager(&fleet))
        ;
    expect_finished(&fleet);
    fleet_release(&fleet);
}

/* As when a worker process dies: its connections break. The others fail at once, not at a time-out, the job
 * restarts, and nothing is lost or twice. */
static void a_worker_that_dies_fails_the_attempt_and_the_next_one_goes_on(void **state)
{
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct fleet fleet;
        uint64_t random = seed;
        trial_reset(&(struct trial){ .count = 40000, .parallelism = 3, .slow_batch = 50 });
        fleet_init(&fleet, 3, false);
        jobmanager_start(fleet.manager, now_ms());
        for (uint32_t deaths = 1; deaths <= 2; deaths++) {
            uint64_t published = trial_published();
            while (trial_published() < published + 1000)
                assert_true(step_something(&fleet, &random));
            wire_stop(fleet.wires[deaths]);
            fleet.is_dead[deaths] = true;
            while (jobmanager_stats(fleet.manager)->restarts < deaths)
                assert_true(step_something(&fleet, &random));
        }
        while (step_something(&fleet, &random))
            ;
        expect_finished(&fleet);
        assert_int_equal(jobmanager_stats(fleet.manager)->restarts, 2);
        fleet_release(&fleet);
    }
}

static void a_placement_that_tears_a_slot_apart_is_refused(void **state)
{
    struct fleet fleet;
    trial_reset(&(struct trial){ .count = 10, .parallelism = 2 });
    fleet_init(&fleet, 2, false);
    fleet.homes[fleet.plan->subtask_count - 1] =
        0; /* its vertex's slot 1 is worker 1's elsewhere */
    expect_ok(make_wire(&fleet, 0));
    struct deployment deployment = { .attempt = 1, .placement = &fleet.placements[0] };
    expect_error(taskmanager_deploy(fleet.managers[0], &fleet.host, &deployment), WEIR_E_INTERNAL,
        "on worker 0 of 2, which has not its slot");
    fleet_release(&fleet);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_over_several_workers_gives_the_same_result),
        cmocka_unit_test(each_worker_has_its_own_tasks_and_slots_only),
        cmocka_unit_test(on_threads_it_gives_the_same_result_too),
        cmocka_unit_test(a_worker_that_dies_fails_the_attempt_and_the_next_one_goes_on),
        cmocka_unit_test(a_placement_that_tears_a_slot_apart_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

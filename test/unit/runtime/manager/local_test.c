/* local_test.c -- whole jobs in this process, stepped by one thread in a random order, and on threads:
 * whatever the parallelism, batches, chaining, backend and failures, the output is the same. */
#include "runtime/manager/local.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "checkpoint/savepoint.h"
#include "test/support/temp_dir.h"
#include "test/support/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static char *root;

/* These tests are about what is published, not about power failures: syncing would be all they do.
 * Where one thread steps, the clock is its own: however slow the machine, a checkpoint comes every so
 * many steps. */
static struct os threads_os, stepped_os;
static int64_t stepped_ns = 1000000000;

static int sync_nothing(void *handle)
{
    return 0;
}

static int sync_no_dir(const char *path)
{
    return 0;
}

static int64_t read_stepped_ns(void)
{
    return stepped_ns;
}

static struct local_options quick(const struct plan *plan)
{
    struct local_options options = local_defaults;
    options.plan = plan;
    options.worker_count = 0;
    options.backend = &backend_hashmap;
    options.interval_ms = 5;
    options.min_pause_ms = 0;
    options.buffer_timeout_ms =
        0; /* records stand right behind a barrier, not in a later segment */
    options.restart = (struct restart_options){ .kind = RESTART_FIXED, .delay_ms = 1 };
    options.memory_size = (uint64_t)64 << 20;
    return options;
}

/* One step of something, chosen by chance. False: the job is over. */
static bool step_something(struct local *local, uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint64_t choice = *random >> 33;
    stepped_ns += 50000; /* 20 steps a millisecond */
    uint32_t slots = local_slot_count(local);
    switch (choice % 8) {
    case 0:
        return local_step(local);
    case 1:
        local_worker_step(local);
        return true;
    default:
        if (slots > 0)
            local_slot_round(local, (uint32_t)(choice / 8 % slots));
        else
            return local_step(local);
        return true;
    }
}

static weir_error *step_to_end(struct local *local, uint64_t seed)
{
    uint64_t random = seed;
    while (step_something(local, &random))
        ;
    return local_error(local);
}

static void succeed(weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
}

/* Runs the trial to its end; NULL checkpoints: temporary. */
static void run_stepped(const struct local_options *change, uint64_t seed)
{
    weir_job *job;
    struct local_options options = *change;
    options.plan = trial_plan(&job);
    struct local *local;
    succeed(local_open(&options, &local));
    succeed(step_to_end(local, seed));
    assert_int_equal(local_stats(local)->state, EXECUTION_FINISHED);
    local_close(local);
    job_free(job);
}

static void run_threads(const struct local_options *change, enum execution_state expected)
{
    weir_job *job;
    struct local_options options = *change;
    options.plan = trial_plan(&job);
    options.worker_count = 2;
    struct local *local;
    succeed(local_open(&options, &local));
    succeed(local_run(local, NULL));
    assert_int_equal(local_stats(local)->state, expected);
    local_close(local);
    job_free(job);
}

static int64_t counter(const struct local *local, const char *uid, const char *name)
{
    const struct report *report = taskmanager_report(local_tasks(local));
    for (uint32_t i = 0; i < report->counter_count; i++) {
        if (strcmp(report->counters[i].uid, uid) == 0 &&
            strcmp(report->counters[i].name, name) == 0)
            return report->counters[i].value;
    }
    fail_msg("no counter %s of %s", name, uid);
    return -1;
}

/* -- tests ---------------------------------------------------------------------------------------- */

static void a_bounded_job_ends_with_all_its_output_published(void **state)
{
    struct local_options options = quick(NULL);
    trial_reset(&(struct trial){ .count = 20000 });
    run_stepped(&options, 1);
    trial_check(true);
}

static void an_empty_input_ends_too(void **state)
{
    struct local_options options = quick(NULL);
    trial_reset(&(struct trial){ .count = 1, .parallelism = 3 });
    run_stepped(&options, 1);
    trial_check(true);
}

static void the_result_does_not_depend_on_the_shape(void **state)
{
    static const uint32_t batches[] = { 1, 7, 256 };
    const struct backend_class *backends[] = { &backend_hashmap, &backend_rocksdb, &backend_cache };
    for (uint32_t parallelism = 1; parallelism <= 4; parallelism++) {
        for (int chaining = 0; chaining < 2; chaining++) {
            for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
                struct local_options options = quick(NULL);
                options.batch_max = batches[b];
                options.backend = backends[b];
                trial_reset(&(struct trial){ .count = 3000,
                    .parallelism = parallelism,
                    .is_chaining_disabled = chaining == 0 });
                run_stepped(&options, parallelism * 100 + b);
                trial_check(true);
            }
        }
    }
}

static void a_failing_operator_restarts_the_job_and_counts_stay_exact(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        weir_job *job;
        trial_reset(&(struct trial){ .count = 20000,
            .parallelism = 1 + seed % 3,
            .slow_batch = 50,
            .fail_at = 3000,
            .failures = 3 });
        struct local_options options = quick(trial_plan(&job));
        struct local *local;
        options.interval_ms = 3;
        options.aligned_timeout_ms = seed % 2 == 0 ? 0 : 1;
        succeed(local_open(&options, &local));
        succeed(step_to_end(local, seed));
        assert_int_equal(local_stats(local)->restarts, 3);
        assert_true(trial_seen() > 10000);
        assert_int_equal(counter(local, "tally", "tallied"), 10000);
        assert_int_equal(counter(local, "numbers", "records_in"), 20000);
        local_close(local);
        job_free(job);
        trial_check(true);
    }
}

/* -- regions -------------------------------------------------------------------------------------- */

/* What the sources of the second pipeline, which does not fail, have read in this attempt. */
static int64_t read_by_the_other(const struct local *local)
{
    const struct plan *plan = local_plan(local);
    int64_t sum = 0;
    for (uint32_t v = 0; v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        if (strcmp(vertex->operators[0].name, "numbers-1") != 0)
            continue;
        for (uint32_t i = 0; i < vertex->parallelism; i++) {
            const struct task *task =
                taskmanager_task(local_tasks(local), vertex->first_subtask + i);
            assert_non_null(task);
            sum += metric_get(&task_metrics(task)->records_in);
        }
    }
    return sum;
}

/* Steps to the end; returns how many restarts there were in which the second pipeline has read on. */
static uint32_t step_through_restarts(struct local *local, uint64_t seed)
{
    uint64_t random = seed;
    uint32_t moved = 0;
    bool is_down = false;
    int64_t before = 0;
    while (step_something(local, &random)) {
        bool was_down = is_down;
        is_down = local_stats(local)->state == EXECUTION_RESTARTING;
        if (is_down && !was_down)
            before = read_by_the_other(local);
        if (!is_down && was_down && local_stats(local)->state == EXECUTION_RUNNING)
            moved += read_by_the_other(local) > before;
    }
    succeed(local_error(local));
    return moved;
}

#define REGIONS_COUNT 16000

static void check_regions(const struct local *local, uint32_t parallelism)
{
    assert_int_equal(local_stats(local)->state, EXECUTION_FINISHED);
    assert_true(trial_opened(0) <= (local_stats(local)->restarts + 1) * parallelism);
    assert_true(trial_opened(1) <= local_stats(local)->attempt * parallelism);
    static const char *const counters[][2] = { { "tally", "tallied" }, { "tally-1", "tallied" } };
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(counter(local, counters[i][0], counters[i][1]), REGIONS_COUNT / 4);
    assert_int_equal(counter(local, "numbers", "records_in"), REGIONS_COUNT / 2);
    assert_int_equal(counter(local, "numbers-1", "records_in"), REGIONS_COUNT / 2);
    trial_check(true);
}

/* Every slot has tasks of both. */
static void a_failing_region_restarts_and_the_other_goes_on(void **state)
{
    const struct backend_class *backends[] = { &backend_hashmap, &backend_rocksdb, &backend_cache };
    uint32_t moved = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        weir_job *job;
        uint32_t parallelism = 1 + seed % 2;
        trial_reset(&(struct trial){ .count = REGIONS_COUNT,
            .parallelism = parallelism,
            .pipelines = 2,
            .is_chaining_disabled = seed % 2 == 0,
            .slow_batch = 30,
            .fail_at = 1000,
            .failures = 3 });
        struct local_options options = quick(trial_plan(&job));
        struct local *local;
        options.interval_ms = 3;
        options.backend = backends[seed % 3];
        options.aligned_timeout_ms = seed % 2 == 0 ? 0 : 10000;
        options.restart.delay_ms = 2;
        succeed(local_open(&options, &local));
        moved += step_through_restarts(local, seed);
        assert_int_equal(local_stats(local)->restarts, 3);
        assert_int_equal(local_stats(local)->attempt, 1);
        assert_true(trial_opened(0) > trial_opened(1));
        check_regions(local, parallelism);
        local_close(local);
        job_free(job);
    }
    assert_true(moved > 9); /* of 18: the other one may be at its end */
}

/* How many of the failures come before all tasks run, and so take the other region with them, is up to the system. */
static void threads_of_a_slot_go_on_with_the_tasks_of_the_other_region(void **state)
{
    os_current = &threads_os;
    for (uint32_t i = 0; i < 2; i++) {
        weir_job *job;
        trial_reset(&(struct trial){ .count = REGIONS_COUNT,
            .parallelism = 2,
            .pipelines = 2,
            .slow_batch = 10,
            .fail_at = 400,
            .failures = 5 });
        struct local_options options = quick(trial_plan(&job));
        struct local *local;
        options.worker_count = 2;
        options.interval_ms = 1;
        options.aligned_timeout_ms = 0;
        options.backend = i == 0 ? &backend_cache : &backend_hashmap;
        succeed(local_open(&options, &local));
        succeed(local_run(local, NULL));
        check_regions(local, 2);
        local_close(local);
        job_free(job);
    }
}

static void a_failure_that_would_only_happen_again_ends_the_job(void **state)
{
    weir_job *job;
    trial_reset(&(struct trial){ .count = 20000,
        .fail_at = 2000,
        .failures = 1,
        .failure_code = WEIR_E_LIMIT });
    struct local_options options = quick(trial_plan(&job));
    struct local *local;
    succeed(local_open(&options, &local));
    weir_error *error = step_to_end(local, 3);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_LIMIT);
    assert_non_null(strstr(weir_error_message(error), "double"));
    weir_error_free(error);
    assert_int_equal(local_stats(local)->state, EXECUTION_FAILED);
    local_close(local);
    job_free(job);
    trial_check(false);
}

static void a_stop_publishes_what_was_read(void **state)
{
    weir_job *job;
    uint64_t random = 5;
    trial_reset(&(struct trial){ .count = 0, .parallelism = 2 });
    struct local_options options = quick(trial_plan(&job));
    struct local *local;
    options.interval_ms = 3600000;
    succeed(local_open(&options, &local));
    while (trial_seen() < 5000)
        assert_true(step_something(local, &random));
    local_stop(local);
    succeed(step_to_end(local, 7));
    assert_int_equal(local_stats(local)->state, EXECUTION_FINISHED);
    assert_int_equal(trial_published(), trial_seen());
    assert_int_equal(local_stats(local)->completed, 1);
    local_close(local);
    job_free(job);
    trial_check(false);
}

/* Steps until so many records are published, then closes it like a crash or stops it in good order. */
static void run_until(const struct local_options *change, uint64_t published, bool is_crash)
{
    weir_job *job;
    uint64_t random = published + 1;
    struct local_options options = *change;
    options.plan = trial_plan(&job);
    struct local *local;
    succeed(local_open(&options, &local));
    while (trial_published() < published)
        assert_true(step_something(local, &random));
    if (!is_crash) {
        local_stop(local);
        succeed(step_to_end(local, published));
    }
    local_close(local);
    job_free(job);
}

static void a_job_resumes_with_another_parallelism(void **state)
{
    const struct backend_class *backends[] = { &backend_hashmap, &backend_rocksdb, &backend_cache };
    for (int b = 0; b < 3; b++) {
        for (int is_crash = 0; is_crash < 2; is_crash++) {
            static const uint32_t parallelisms[] = { 1, 3, 2, 4 };
            char *dir = mem_printf("%s/resume-%d-%d", root, b, is_crash);
            struct local_options options = quick(NULL);
            options.checkpoints = dir;
            options.backend = backends[b];
            trial_reset(&(struct trial){ .count = 40000 });
            for (uint32_t i = 0; i < 4; i++) {
                trial_change(&(struct trial){ .count = 40000,
                    .parallelism = parallelisms[i],
                    .slow_batch = 32 });
                run_until(&options, (i + 1) * 3000, is_crash == 1);
                trial_check(false);
            }
            trial_change(&(struct trial){ .count = 40000, .parallelism = 2 });
            run_stepped(&options, 11);
            trial_check(true);
            mem_free(dir);
        }
    }
}

/* The newest savepoint in a directory; NULL: none. mem_free it. */
static char *find_savepoint(const char *dir)
{
    char **names, *found = NULL;
    uint32_t count;
    struct os_stat stat;
    succeed(os_stat(dir, &stat));
    if (!stat.exists)
        return NULL;
    succeed(os_list(dir, &names, &count));
    for (uint32_t i = 0; i < count; i++)
        if (names[i][0] != '.' && found == NULL)
            found = mem_printf("%s/%s", dir, names[i]);
    os_names_free(names, count);
    return found;
}

struct numbers {
    uint64_t attempt, checkpoint, instance;
};

static struct numbers numbers_of(const char *savepoint)
{
    struct snapshot_dir it;
    succeed(snapshot_dir_open(savepoint, &it));
    struct numbers numbers = { it.metadata.attempt, it.metadata.checkpoint, it.metadata.instance };
    snapshot_dir_close(&it);
    return numbers;
}

/* One life of a job: from the savepoint of the one before to a savepoint of its own. */
static char *live_once(struct local_options *options, uint32_t life)
{
    static uint32_t lives;
    char *dir = mem_printf("%s/life-%u-%u", root, life, lives++);
    char *checkpoints = mem_printf("%s/ck", dir), *savepoints = mem_printf("%s/sp", dir);
    options->checkpoints = checkpoints;
    options->savepoints = savepoints;
    options->stop_with_savepoint = true;
    run_until(options, (life + 1) * 3000, false);
    char *savepoint = find_savepoint(savepoints);
    assert_non_null(savepoint);
    if (options->from_savepoint != NULL)
        assert_true(numbers_of(options->from_savepoint).attempt < numbers_of(savepoint).attempt);
    mem_free(savepoints);
    mem_free(checkpoints);
    mem_free(dir);
    options->checkpoints = options->savepoints = NULL;
    return savepoint;
}

static void a_savepoint_goes_on_in_any_backend_and_parallelism(void **state)
{
    static const struct {
        const struct backend_class *backend;
        uint32_t parallelism, max_parallelism;
    } lives[] = { { &backend_hashmap, 1, 128 }, { &backend_cache, 3, 128 },
        { &backend_hashmap, 2, 128 }, { &backend_rocksdb, 4, 16 } };
    struct local_options options = quick(NULL);
    char *savepoint = NULL;
    trial_reset(&(struct trial){ .count = 40000 });
    for (uint32_t i = 0; i < 4; i++) {
        options.backend = lives[i].backend;
        trial_change(&(struct trial){ .count = 40000,
            .parallelism = lives[i].parallelism,
            .max_parallelism = lives[i].max_parallelism,
            .slow_batch = 32 });
        char *next = live_once(&options, i);
        trial_check(false);
        mem_free(savepoint);
        options.from_savepoint = savepoint = next;
    }
    char *dir = mem_printf("%s/life-last", root);
    options.checkpoints = dir;
    options.savepoints = NULL;
    options.stop_with_savepoint = false;
    trial_change(&(struct trial){ .count = 40000, .parallelism = 2, .max_parallelism = 64 });
    run_stepped(&options, 11);
    trial_check(true);
    mem_free(dir);
    mem_free(savepoint);
}

/* What knows a job from outside, by attempts and numbers of checkpoints, must not take one for the other. */
static void two_starts_from_one_savepoint_have_no_number_in_common(void **state)
{
    struct local_options options = quick(NULL);
    const struct trial trial = { .count = 40000, .slow_batch = 32 };
    struct numbers numbers[2];
    trial_reset(&trial);
    char *savepoint = live_once(&options, 0);
    struct numbers before = numbers_of(savepoint);
    options.from_savepoint = savepoint;
    for (uint32_t i = 0; i < 2; i++) {
        trial_reset(&trial);
        char *later = live_once(&options, 0);
        numbers[i] = numbers_of(later);
        assert_true(numbers[i].checkpoint > before.checkpoint + 1000);
        assert_true(numbers[i].instance == before.instance);
        mem_free(later);
    }
    assert_true(numbers[0].attempt < numbers[1].attempt); /* the later one fences the other */
    uint64_t distance = numbers[0].checkpoint > numbers[1].checkpoint
                            ? numbers[0].checkpoint - numbers[1].checkpoint
                            : numbers[1].checkpoint - numbers[0].checkpoint;
    assert_true(distance > 1000);
    mem_free(savepoint);
}

/* It failed behind the conversion, before anything was published: the same command does it all again. */
static void a_restore_that_failed_on_the_way_is_done_again(void **state)
{
    struct local_options options = quick(NULL);
    struct local *local;
    weir_job *job;
    trial_reset(&(struct trial){ .count = 20000, .slow_batch = 32 });
    char *savepoint = live_once(&options, 0);
    trial_check(false);
    char *dir = mem_printf("%s/again-life", root);
    options.from_savepoint = savepoint;
    options.checkpoints = dir;
    options.stop_with_savepoint = false;
    setenv("WEIR_FAULT", "import-publish-before:1:error", 1);
    succeed(fault_init());
    unsetenv("WEIR_FAULT");
    trial_change(&(struct trial){ .count = 20000, .parallelism = 2 });
    options.plan = trial_plan(&job);
    succeed(local_open(&options, &local));
    weir_error *error = step_to_end(local, 4);
    assert_non_null(error);
    assert_non_null(strstr(weir_error_message(error), "import-publish-before"));
    weir_error_free(error);
    local_close(local);
    job_free(job);
    run_stepped(&options, 5);
    trial_check(true);
    mem_free(dir);
    mem_free(savepoint);
}

static void a_savepoint_is_taken_while_the_job_goes_on(void **state)
{
    weir_job *job;
    uint64_t random = 5;
    char *dir = mem_printf("%s/asked", root), *savepoint = NULL;
    trial_reset(&(struct trial){ .count = 20000, .parallelism = 2, .slow_batch = 16 });
    struct local_options options = quick(trial_plan(&job));
    struct local *local;
    options.interval_ms = 3600000; /* it asks for its checkpoint itself */
    options.savepoints = dir;
    succeed(local_open(&options, &local));
    while (trial_seen() < 1000)
        assert_true(step_something(local, &random));
    local_savepoint(local);
    local_savepoint(local); /* one is enough */
    while (savepoint == NULL) {
        assert_true(step_something(local, &random));
        savepoint = find_savepoint(dir);
    }
    assert_true(trial_seen() < 10000);
    succeed(step_to_end(local, 7));
    local_close(local);
    job_free(job);
    trial_check(true);
    mem_free(savepoint);
    mem_free(dir);
}

/* A complete checkpoint will do as a savepoint; and the directory that has it refuses it. */
static void a_start_from_a_savepoint_never_hides_checkpoints(void **state)
{
    weir_job *job;
    char *dir = mem_printf("%s/hidden", root), **names;
    uint32_t count;
    struct local_options options = quick(NULL);
    struct local *local;
    options.checkpoints = dir;
    trial_reset(&(struct trial){ .count = 1000 });
    run_stepped(&options, 1);
    options.plan = trial_plan(&job);
    char *own = mem_printf("%s/%s", dir, options.plan->job), *checkpoint = NULL;
    succeed(os_list(own, &names, &count));
    for (uint32_t i = 0; i < count && checkpoint == NULL; i++)
        if (strncmp(names[i], "chk-", 4) == 0)
            checkpoint = mem_printf("%s/%s", own, names[i]);
    os_names_free(names, count);
    options.from_savepoint = checkpoint;
    weir_error *error = local_open(&options, &local);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    assert_non_null(strstr(weir_error_message(error), "has checkpoint"));
    weir_error_free(error);
    job_free(job);
    mem_free(checkpoint);
    mem_free(own);
    mem_free(dir);
}

static void a_finished_job_that_starts_again_adds_nothing(void **state)
{
    char *dir = mem_printf("%s/again", root);
    struct local_options options = quick(NULL);
    options.checkpoints = dir;
    trial_reset(&(struct trial){ .count = 5000 });
    run_stepped(&options, 1);
    run_stepped(&options, 2);
    trial_check(true);
    mem_free(dir);
}

static weir_error *open_error(const char *dir, bool is_fresh)
{
    weir_job *job;
    struct local_options options = quick(trial_plan(&job));
    struct local *local = NULL;
    options.checkpoints = dir;
    options.is_fresh = is_fresh;
    weir_error *error = local_open(&options, &local);
    if (error == NULL) {
        error = step_to_end(local, 1);
        local_close(local);
    }
    job_free(job);
    return error;
}

static void a_wrong_checkpoint_directory_is_explained(void **state)
{
    char *dir = mem_printf("%s/wrong", root);
    char *inside = mem_printf("%s/wrong/trial", root);
    trial_reset(&(struct trial){ .count = 100 });
    assert_null(open_error(dir, true));
    weir_error *error = open_error(inside, false);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_USAGE);
    assert_non_null(strstr(weir_error_message(error), "directory above"));
    weir_error_free(error);
    error = open_error(dir, true);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    weir_error_free(error);
    mem_free(dir);
    mem_free(inside);
}

static void expect_refused(const char *dir, bool is_fresh, const char *why)
{
    weir_error *error = open_error(dir, is_fresh);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    assert_non_null(strstr(weir_error_message(error), why));
    weir_error_free(error);
}

static void step_to_first_checkpoint(struct local *local, const char *dir)
{
    struct checkpoint_metadata metadata;
    uint64_t random = 1;
    bool found = false;
    while (!found) {
        assert_true(step_something(local, &random));
        succeed(storage_preview(dir, "trial", false, &metadata, &found));
    }
    checkpoint_metadata_release(&metadata);
}

static void a_start_that_is_refused_leaves_the_one_that_runs_alone(void **state)
{
    weir_job *job;
    char *dir = mem_printf("%s/refused", root);
    trial_reset(&(struct trial){ .count = 5000 });
    struct local_options options = quick(trial_plan(&job));
    struct local *local;
    options.checkpoints = dir;
    succeed(local_open(&options, &local));
    step_to_first_checkpoint(local, dir);
    expect_refused(dir, true, "needs a directory without checkpoints");
    const struct backend_class *backend = options.backend;
    weir_job *other;
    struct local_options changed = quick(trial_plan(&other));
    struct local *refused = NULL;
    changed.checkpoints = dir;
    changed.backend = backend == &backend_hashmap ? &backend_cache : &backend_hashmap;
    weir_error *error = local_open(&changed, &refused);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    weir_error_free(error);
    job_free(other);
    succeed(step_to_end(local, 1));
    assert_int_equal(local_stats(local)->state, EXECUTION_FINISHED);
    trial_check(true);
    local_close(local);
    job_free(job);
    mem_free(dir);
}

static void too_little_memory_is_said_at_the_start(void **state)
{
    weir_job *job;
    trial_reset(&(struct trial){ .count = 100, .parallelism = 20 });
    struct local_options options = quick(trial_plan(&job));
    struct local *local;
    options.memory_size = (uint64_t)64 << 20;
    succeed(local_open(&options, &local));
    weir_error *error = step_to_end(local, 1);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_LIMIT);
    assert_non_null(strstr(weir_error_message(error), "--memory"));
    weir_error_free(error);
    local_close(local);
    job_free(job);
}

static void threads_give_the_same_result(void **state)
{
    os_current = &threads_os;
    for (uint32_t parallelism = 1; parallelism <= 3; parallelism++) {
        struct local_options options = quick(NULL);
        options.backend = parallelism == 2 ? &backend_cache : &backend_hashmap;
        options.interval_ms = 20;
        trial_reset(&(struct trial){ .count = 100000,
            .parallelism = parallelism,
            .fail_at = 20000,
            .failures = 2 });
        run_threads(&options, EXECUTION_FINISHED);
        trial_check(true);
    }
}

/* Stops the job as soon as something is published. */
static int64_t stop_soon(void *arg, int64_t now_ms)
{
    if (trial_published() > 0)
        local_stop(arg);
    return now_ms + 1;
}

static void threads_stop_on_request(void **state)
{
    weir_job *job;
    os_current = &threads_os;
    trial_reset(&(struct trial){ .count = 0, .parallelism = 2 });
    struct local_options options = quick(trial_plan(&job));
    struct local *local;
    options.worker_count = 2;
    options.interval_ms = 20;
    succeed(local_open(&options, &local));
    succeed(local_run(local, &(struct local_watch){ .arg = local, .look = stop_soon }));
    assert_int_equal(local_stats(local)->state, EXECUTION_FINISHED);
    local_close(local);
    job_free(job);
    trial_check(false);
}

/* Thread: control. */
struct saving {
    struct local *local;
    const char *dir;
    bool is_asked;
};

static void stop_if_saved(const struct saving *saving)
{
    char *found = find_savepoint(saving->dir);
    if (found != NULL)
        local_stop(saving->local);
    mem_free(found);
}

static int64_t stop_when_saved(void *arg, int64_t now_ms)
{
    struct saving *saving = arg;
    if (trial_published() > 0 && !saving->is_asked) {
        saving->is_asked = true;
        local_savepoint(saving->local);
        return now_ms;
    }
    stop_if_saved(saving);
    return now_ms + 1;
}

/* The savepoint that `look` asks for is there before the job ends. */
static void save_while_threads_run(int64_t interval_ms, int64_t (*look)(void *arg, int64_t now_ms))
{
    weir_job *job;
    char *dir = mem_printf("%s/threads-sp-%lld", root, (long long)interval_ms);
    os_current = &threads_os;
    trial_reset(&(struct trial){ .count = 0, .parallelism = 2 });
    struct local_options options = quick(trial_plan(&job));
    struct saving saving = { .dir = dir };
    options.worker_count = 2;
    options.interval_ms = interval_ms;
    options.savepoints = dir;
    options.backend = &backend_cache;
    succeed(local_open(&options, &saving.local));
    succeed(local_run(saving.local, &(struct local_watch){ .arg = &saving, .look = look }));
    assert_int_equal(local_stats(saving.local)->state, EXECUTION_FINISHED);
    local_close(saving.local);
    job_free(job);
    trial_check(false);
    mem_free(dir);
}

static void threads_write_a_savepoint_beside_checkpoints(void **state)
{
    save_while_threads_run(5, stop_when_saved);
}

static int64_t ask_between_checkpoints(void *arg, int64_t now_ms)
{
    struct saving *saving = arg;
    if (!saving->is_asked && local_stats(saving->local)->state == EXECUTION_RUNNING &&
        local_deadline_ms(saving->local) != INT64_MAX) { /* that of the next checkpoint */
        saving->is_asked = true;
        local_savepoint(saving->local);
        assert_true(local_deadline_ms(saving->local) <= now_ms);
        return INT64_MAX;
    }
    stop_if_saved(saving);
    return now_ms + 1;
}

/* What is overdue has no time that can be taken off the clock's. */
static void threads_begin_a_savepoint_at_once_when_no_checkpoint_is_due(void **state)
{
    save_while_threads_run(3600000, ask_between_checkpoints);
}

static int make_root(void **state)
{
    log_set_level(LOG_ERROR);
    threads_os = os_linux;
    threads_os.sync = sync_nothing;
    threads_os.sync_dir = sync_no_dir;
    stepped_os = threads_os;
    stepped_os.monotonic_ns = read_stepped_ns;
    os_current = &stepped_os;
    root = temp_dir_new();
    return 0;
}

static int remove_root(void **state)
{
    temp_dir_free(root);
    trial_reset(&(struct trial){ .count = 0 });
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bounded_job_ends_with_all_its_output_published),
        cmocka_unit_test(an_empty_input_ends_too),
        cmocka_unit_test(the_result_does_not_depend_on_the_shape),
        cmocka_unit_test(a_failing_operator_restarts_the_job_and_counts_stay_exact),
        cmocka_unit_test(a_failing_region_restarts_and_the_other_goes_on),
        cmocka_unit_test(a_failure_that_would_only_happen_again_ends_the_job),
        cmocka_unit_test(a_stop_publishes_what_was_read),
        cmocka_unit_test(a_job_resumes_with_another_parallelism),
        cmocka_unit_test(a_savepoint_goes_on_in_any_backend_and_parallelism),
        cmocka_unit_test(two_starts_from_one_savepoint_have_no_number_in_common),
        cmocka_unit_test(two_starts_from_one_savepoint_have_no_number_in_common),
        cmocka_unit_test(a_restore_that_failed_on_the_way_is_done_again),
        cmocka_unit_test(a_savepoint_is_taken_while_the_job_goes_on),
        cmocka_unit_test(a_start_from_a_savepoint_never_hides_checkpoints),
        cmocka_unit_test(a_finished_job_that_starts_again_adds_nothing),
        cmocka_unit_test(a_wrong_checkpoint_directory_is_explained),
        cmocka_unit_test(a_start_that_is_refused_leaves_the_one_that_runs_alone),
        cmocka_unit_test(too_little_memory_is_said_at_the_start),
        cmocka_unit_test(threads_give_the_same_result),
        cmocka_unit_test(threads_of_a_slot_go_on_with_the_tasks_of_the_other_region),
        cmocka_unit_test(threads_stop_on_request),
        cmocka_unit_test(threads_write_a_savepoint_beside_checkpoints),
        cmocka_unit_test(threads_begin_a_savepoint_at_once_when_no_checkpoint_is_due),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}

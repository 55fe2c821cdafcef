/* jobmanager_stage.h -- a job manager with tasks that are only pretended, stepped at times that the test chooses: what
 * it asks of whom, when. Each test twice: with the plan of a job, and with one that was decoded from bytes when the
 * job was gone, as in a cluster. */
#ifndef WEIR_TEST_JOBMANAGER_STAGE_H
#define WEIR_TEST_JOBMANAGER_STAGE_H

#include "runtime/manager/jobmanager.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/graph/plan_codec.h"
#include "runtime/manager/local.h"
#include "test/support/temp_dir.h"
#include "test/support/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool has_code; /* of the job whose plan is used */

/* A manager, its storage, and tasks that do nothing but remember what they were told. */
struct stage {
    weir_job *job;      /* has_code */
    struct arena arena; /* else: of the plan */
    const struct plan *plan;
    struct workers *workers;
    struct storage *storage;
    struct jobmanager *manager;
    struct task_host host;
    uint64_t published; /* what has_published says */
    weir_error *deploy_error;
    uint32_t pipelines;
    bool there[8]; /* subtasks that were made; is_deployed: some */
    bool is_deployed, is_told_to_stop, is_told_to_drain;
    bool is_inseparable; /* the gateway cannot tear down a part */
    uint32_t deploys;
    uint64_t triggered, completed, overtaken, aborted, attempt, restored;
    int64_t now_ms;
};

static inline weir_error *stage_deploy(void *arg, const struct deployment *deployment)
{
    struct stage *stage = arg;
    assert_true(deployment->subtasks != NULL || !stage->is_deployed);
    for (uint32_t i = 0; i < stage->plan->subtask_count; i++) {
        if (deployment->subtasks != NULL && !deployment->subtasks[i])
            continue;
        assert_false(stage->there[i]);
        stage->there[i] = true;
    }
    stage->is_deployed = true;
    stage->deploys++;
    stage->attempt = deployment->attempt;
    stage->restored = deployment->restore == NULL ? 0 : deployment->restore->checkpoint;
    assert_true(deployment->last_checkpoint >= stage->restored);
    assert_true(deployment->instance != 0);
    jobmanager_host(stage->manager, &stage->host);
    assert_int_equal(stage->host.attempt, deployment->attempt);
    weir_error *error = stage->deploy_error;
    stage->deploy_error = NULL;
    return error;
}

static inline void stage_tear_down(void *arg, const bool *subtasks)
{
    struct stage *stage = arg;
    for (uint32_t i = 0; i < stage->plan->subtask_count; i++)
        if (subtasks == NULL || subtasks[i])
            stage->there[i] = false;
    stage->is_deployed = subtasks != NULL;
}

/* Which subtasks there are: "0123". */
static inline void expect_there(const struct stage *stage, const char *expected)
{
    char there[9] = "";
    for (uint32_t i = 0, count = 0; i < stage->plan->subtask_count; i++)
        if (stage->there[i])
            there[count++] = (char)('0' + i);
    assert_string_equal(there, expected);
}

static inline void stage_regions(void *arg, uint32_t *regions)
{
    const struct stage *stage = arg;
    for (uint32_t i = 0; stage->is_inseparable && i < stage->plan->subtask_count; i++)
        regions[i] = 0;
}

static inline void stage_trigger(void *arg, uint64_t checkpoint)
{
    struct stage *stage = arg;
    assert_true(stage->is_deployed && checkpoint > stage->triggered);
    stage->triggered = checkpoint;
}

static inline void stage_complete(void *arg, uint64_t checkpoint)
{
    struct stage *stage = arg;
    assert_true(stage->is_deployed);
    stage->completed = checkpoint;
}

static inline void stage_overtake(void *arg, uint64_t checkpoint)
{
    struct stage *stage = arg;
    assert_true(stage->is_deployed);
    stage->overtaken = checkpoint;
}

static inline void stage_abort(void *arg, uint64_t checkpoint)
{
    struct stage *stage = arg;
    assert_true(stage->is_deployed);
    stage->aborted = checkpoint;
}

static inline void stage_stop(void *arg)
{
    struct stage *stage = arg;
    stage->is_told_to_stop = true;
}

static inline void stage_drain(void *arg)
{
    struct stage *stage = arg;
    stage->is_told_to_drain = true;
}

static inline bool stage_has_published(void *arg, uint64_t checkpoint)
{
    const struct stage *stage = arg;
    return stage->published >= checkpoint;
}

static inline void succeed(weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
}

/* Steps and lets the workers run, until nothing happens; false: the job is over. */
static inline bool settle(struct stage *stage)
{
    bool goes_on;
    do
        goes_on = jobmanager_step(stage->manager, stage->now_ms);
    while (workers_step(stage->workers) && goes_on);
    return goes_on && jobmanager_step(stage->manager, stage->now_ms);
}

static inline bool at(struct stage *stage, int64_t now_ms)
{
    stage->now_ms = now_ms;
    return settle(stage);
}

static inline void all_running(struct stage *stage)
{
    for (uint32_t i = 0; i < stage->plan->subtask_count; i++)
        stage->host.running(stage->host.arg, i);
    assert_true(settle(stage));
}

static inline void ack(struct stage *stage, uint64_t checkpoint, uint32_t subtask)
{
    stage->host.acked(stage->host.arg, subtask_snapshot_new(checkpoint, subtask));
}

static inline void all_ack(struct stage *stage, uint64_t checkpoint)
{
    for (uint32_t i = 0; i < stage->plan->subtask_count; i++)
        ack(stage, checkpoint, i);
    settle(stage);
}

static inline void all_ended(struct stage *stage)
{
    for (uint32_t i = 0; i < stage->plan->subtask_count; i++)
        stage->host.ended(stage->host.arg, i);
    settle(stage);
}

static inline void task_fails(struct stage *stage, enum weir_code code)
{
    stage->host.failed(stage->host.arg, 0, weir_errorf(code, "on purpose"));
    settle(stage);
}

static inline void make_plan(struct stage *stage)
{
    trial_reset(&(struct trial){ .count = 1,
        .parallelism = stage->pipelines == 2 ? 1 : 2,
        .pipelines = stage->pipelines });
    stage->plan = trial_plan(&stage->job);
    if (has_code)
        return;
    weir_buffer *bytes = weir_buffer_new(PLAN_SIZE_MAX);
    plan_encode(stage->plan, bytes);
    job_free(stage->job);
    stage->job = NULL;
    arena_init(&stage->arena, 4096, PLAN_DECODED_SIZE_MAX);
    succeed(plan_decode(weir_buffer_view(bytes), &stage->arena, &stage->plan));
    weir_buffer_free(bytes);
}

/* NULL root: temporary; NULL savepoint: from none. */
static inline void stage_open_with(struct stage *stage, const char *root, const char *savepoint,
    uint32_t pipelines)
{
    *stage = (struct stage){ .pipelines = pipelines };
    make_plan(stage);
    assert_int_equal(stage->plan->subtask_count, 4);
    succeed(storage_open(root, "trial", 2, &stage->storage));
    stage->workers = workers_new(0, 64);
    struct jobmanager_options options = { .plan = stage->plan,
        .id = "one-of-many",
        .backend = "hashmap",
        .storage = stage->storage,
        .workers = stage->workers,
        .tasks = { .arg = stage,
            .deploy = stage_deploy,
            .tear_down = stage_tear_down,
            .regions = stage_regions,
            .trigger = stage_trigger,
            .complete = stage_complete,
            .overtake = stage_overtake,
            .abort = stage_abort,
            .stop = stage_stop,
            .drain = stage_drain,
            .has_published = stage_has_published },
        .interval_ms = 1000,
        .timeout_ms = 5000,
        .aligned_timeout_ms = 2000,
        .restart = { .kind = RESTART_FIXED, .delay_ms = 100, .attempts_max = 2 },
        .stop_timeout_ms = 3000,
        .from_savepoint = savepoint };
    stage->manager = jobmanager_new(&options);
    jobmanager_start(stage->manager, stage->now_ms);
    assert_true(settle(stage));
    assert_true(stage->is_deployed);
}

static inline void stage_open_from(struct stage *stage, const char *root, const char *savepoint)
{
    stage_open_with(stage, root, savepoint, 1);
}

static inline void stage_open(struct stage *stage, const char *root)
{
    stage_open_with(stage, root, NULL, 1);
}

static inline void stage_close(struct stage *stage)
{
    jobmanager_free(stage->manager);
    workers_free(stage->workers);
    storage_close(stage->storage);
    job_free(stage->job);
    if (!has_code)
        arena_release(&stage->arena);
}

static inline enum execution_state state_of(const struct stage *stage)
{
    return jobmanager_stats(stage->manager)->state;
}

static inline void expect_error(struct stage *stage, enum weir_code code, const char *part)
{
    weir_error *error = jobmanager_take_error(stage->manager);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), code);
    if (strstr(weir_error_message(error), part) == NULL)
        fail_msg("no '%s' in: %s", part, weir_error_message(error));
    weir_error_free(error);
}

static inline int with_code(void **state)
{
    has_code = true;
    return 0;
}

static inline int without_code(void **state)
{
    has_code = false;
    return 0;
}

#define TWICE(what_is_true) \
    cmocka_unit_test_setup(what_is_true, with_code), \
        cmocka_unit_test_setup(what_is_true, without_code)

#endif

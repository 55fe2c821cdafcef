/* gateway_kit.h -- a gateway between a real job manager and workers that are only pretended: the network is a table of the
 * test, which remembers what was sent and plays the other side. Time is the test's. */
#ifndef WEIR_TEST_GATEWAY_KIT_H
#define WEIR_TEST_GATEWAY_KIT_H

#include "runtime/cluster/gateway.h"

#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/manager/local.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"
#include "test/support/trial.h"
#include "test/unit/runtime/cluster/fake_net.h"
#include "types/msgpack.h"

#include <stdio.h>

#define MANAGERS   2
#define WORKERS    2
#define SLOT_MS    1000
#define START_MS   2000
#define SILENCE_MS 5000

struct rig {
    char *dir;
    weir_job *job;
    const struct plan *plan;
    struct workers *workers;
    struct storage *storage;
    struct history history;
    struct resources *resources;
    struct task_manager *managers[MANAGERS];
    struct connection to_managers[MANAGERS], to_workers[WORKERS];
    struct gateway *gateway;
    struct jobmanager *jobmanager;
};

static inline void turn(struct rig *rig)
{
    for (uint32_t i = 0; i < 20; i++) {
        gateway_step(rig->gateway, clock_ms);
        jobmanager_step(rig->jobmanager, clock_ms);
        workers_step(rig->workers);
    }
}

static inline void later(struct rig *rig, int64_t ms)
{
    clock_ms += ms;
    turn(rig);
}

static inline void add_manager(struct rig *rig, uint32_t index, uint32_t slots)
{
    char id[16];
    snprintf(id, sizeof(id), "tm-%u", index);
    rig->managers[index] = resources_add(rig->resources, id, "127.0.0.1", slots, slots * 1000);
    rig->managers[index]->connection = &rig->to_managers[index];
}

static inline void rig_open_with(struct rig *rig, const struct trial *trial, int64_t delay_ms)
{
    *rig = (struct rig){ .dir = temp_dir_new() };
    trial_reset(trial);
    rig->plan = trial_plan(&rig->job);
    rig->workers = workers_new(0, 64);
    expect_ok(storage_open(rig->dir, "trial", 2, &rig->storage));
    history_init(&rig->history, rig->plan->subtask_count);
    rig->resources = resources_new();
    struct gateway_options options = { .job = "0123456789abcdef0123456789abcdef",
        .plan = rig->plan,
        .digest = "d",
        .program = "p",
        .resources = rig->resources,
        .epoch = 3,
        .slot_timeout_ms = SLOT_MS,
        .start_timeout_ms = START_MS,
        .heartbeat_timeout_ms = SILENCE_MS };
    rig->gateway = gateway_new(&options);
    struct jobmanager_options manager = { .plan = rig->plan,
        .backend = "hashmap",
        .storage = rig->storage,
        .workers = rig->workers,
        .tasks = gateway_tasks(rig->gateway),
        .interval_ms = 1000000,
        .timeout_ms = 1000000,
        .restart = { .kind = RESTART_FIXED, .delay_ms = delay_ms, .attempts_max = 100 },
        .stop_timeout_ms = 3000,
        .history = &rig->history };
    rig->jobmanager = jobmanager_new(&manager);
    gateway_set_jobmanager(rig->gateway, rig->jobmanager);
    jobmanager_start(rig->jobmanager, clock_ms);
    turn(rig);
    assert_int_equal(gateway_state(rig->gateway), GATEWAY_WAITING);
    assert_int_equal(gateway_slots_held(rig->gateway), 0);
}

static inline void rig_open(struct rig *rig)
{
    rig_open_with(rig, &(struct trial){ .count = 1, .parallelism = 2 }, 100000000);
}

static inline void rig_close(struct rig *rig)
{
    gateway_free(rig->gateway);
    jobmanager_free(rig->jobmanager);
    workers_free(rig->workers);
    storage_close(rig->storage);
    history_release(&rig->history);
    resources_free(rig->resources);
    job_free(rig->job);
    for (uint32_t i = 0; i < MANAGERS; i++)
        release(&rig->to_managers[i]);
    for (uint32_t i = 0; i < WORKERS; i++)
        release(&rig->to_workers[i]);
    temp_dir_free(rig->dir);
}

/* One slot each: two workers. */
static inline void to_starting(struct rig *rig)
{
    add_manager(rig, 0, 1);
    add_manager(rig, 1, 1);
    turn(rig);
    assert_int_equal(gateway_state(rig->gateway), GATEWAY_STARTING);
    assert_int_equal(gateway_worker_count(rig->gateway), 2);
}

/* What worker `index` would say, by what its task manager was told. */
static inline struct message_hello hello_of(const struct rig *rig, uint32_t index)
{
    struct message_start start;
    for (uint32_t i = 0; i < MANAGERS; i++) {
        read_last(&rig->to_managers[i], MESSAGE_START, &start);
        if (start.worker == index)
            break;
    }
    assert_int_equal(start.worker, index);
    return (struct message_hello){ .protocol = MESSAGE_PROTOCOL,
        .job = start.job,
        .attempt = start.attempt,
        .worker = index,
        .secret = start.secret,
        .fingerprint = rig->plan->fingerprint,
        .data_port = 5000 + index };
}

static inline weir_error *hello(struct rig *rig, uint32_t index)
{
    struct message_hello message = hello_of(rig, index);
    rig->to_workers[index].heard_ms = clock_ms;
    return gateway_hello(rig->gateway, &rig->to_workers[index], &message);
}

static inline void to_deployed(struct rig *rig)
{
    to_starting(rig);
    expect_ok(hello(rig, 0));
    assert_int_equal(rig->to_workers[0].sent[MESSAGE_DEPLOY], 0);
    expect_ok(hello(rig, 1));
    assert_int_equal(gateway_state(rig->gateway), GATEWAY_DEPLOYED);
}

static inline uint64_t attempt_of(const struct rig *rig)
{
    return hello_of(rig, 0).attempt;
}

static inline void say_bytes(struct rig *rig, uint32_t worker, uint32_t kind, weir_str payload)
{
    struct connection *it = &rig->to_workers[worker];
    it->handler->frame(it->arg, it, kind, payload);
    turn(rig);
}

static inline void say(struct rig *rig, uint32_t worker, uint32_t kind,
    struct message_event message)
{
    weir_buffer *bytes = weir_buffer_new(1 << 16);
    msgpack_encode(message_type(kind), &message, bytes);
    say_bytes(rig, worker, kind, weir_buffer_view(bytes));
    weir_buffer_free(bytes);
}

static inline uint32_t subtask_of(const struct rig *rig, uint32_t worker)
{
    uint32_t i = 0;
    while (gateway_worker_of(rig->gateway, i) != worker)
        i++;
    return i;
}

/* Its task manager was told to end the workers of this attempt. */
static inline bool is_killed(const struct rig *rig, uint32_t manager)
{
    struct message_kill message;
    if (rig->to_managers[manager].sent[MESSAGE_KILL] == 0)
        return false;
    read_last(&rig->to_managers[manager], MESSAGE_KILL, &message);
    return message.attempt == attempt_of(rig);
}

static inline void close_worker(struct rig *rig, uint32_t worker)
{
    struct connection *it = &rig->to_workers[worker];
    it->handler->closed(it->arg, it, weir_errorf(WEIR_E_IO, "reset"));
    it->is_closed = true;
}

/* `task`: as in the message. */
static inline void end_worker_in(struct rig *rig, uint32_t worker, uint32_t task, int32_t code,
    const char *text)
{
    struct message_worker_ended message = { .attempt = attempt_of(rig),
        .worker = worker,
        .code = code,
        .text = weir_str_of(text),
        .task = task };
    gateway_worker_ended(rig->gateway, &message);
}

static inline void end_worker(struct rig *rig, uint32_t worker, int32_t code, const char *text)
{
    end_worker_in(rig, worker, 0, code, text);
}

/* One failure, with these words; the attempt is over, and whoever is still there is told so. */
static inline void expect_failure(struct rig *rig, enum weir_code code, const char *words)
{
    turn(rig);
    assert_int_equal(rig->history.failure_count, 1);
    const struct history_failure *failure = history_failure(&rig->history, 0);
    if (strstr(failure->text, words) == NULL || failure->code != code)
        fail_msg("%s: %s, wanted %s", weir_code_name(failure->code), failure->text, words);
    assert_int_equal(gateway_state(rig->gateway), GATEWAY_IDLE);
    assert_int_equal(gateway_worker_count(rig->gateway), 0);
    assert_int_equal(resources_slots_free(rig->resources), resources_slots_total(rig->resources));
}

#endif

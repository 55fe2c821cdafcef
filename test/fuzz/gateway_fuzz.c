/* gateway_fuzz.c -- what the workers of a job say to its job manager, and what task managers tell of them, in any order:
 * user code runs in a worker and may have overwritten anything there, so the job manager believes nothing.
 *
 * The input is a list of steps: what, who and how often, size (16 bits), bytes. A job of two regions runs on two workers; the
 * gateway and the job manager are the real ones, with checkpoints on a disk. No step makes them abort, and what was
 * published meanwhile can be read by the next start, or is refused by name. */
#include "base/buffer.h"
#include "base/sealed.h"
#include "base/worker.h"
#include "runtime/cluster/gateway.h"
#include "test/fuzz/quiet_net.h"
#include "test/fuzz/steps.h"
#include "test/support/temp_dir.h"
#include "test/support/trial.h"
#include "types/msgpack.h"

#include <stdio.h>
#include <stdlib.h>

#define WORKERS 2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_FRAME, /* kind, payload: as they are */
    STEP_EVENT, /* kind, subtask, code, distance to the last triggered checkpoint, bytes: of this attempt */
    STEP_ACK, /* the same; the bytes get the header of a snapshot, with a checksum that fits */
    STEP_CLOSED,
    STEP_ENDED, /* code, whether it may pass, text */
    STEP_TIME,  /* so many times 10 ms */
    STEP_HELLO, /* of a worker that knows the secret */
    STEP_LOST,  /* the task manager; it comes back */
    STEP_COUNT
};

struct rig {
    struct workers *workers;
    struct storage *storage;
    struct history history;
    struct resources *resources;
    struct task_manager *managers[WORKERS];
    struct connection to_managers[WORKERS], to_workers[WORKERS];
    struct gateway *gateway;
    struct jobmanager *jobmanager;
};

static char *dir;
static const struct plan *plan;

static void must(weir_error *error)
{
    ASSERT(error == NULL);
}

static void turn(struct rig *rig)
{
    for (uint32_t i = 0; i < 6; i++) {
        gateway_step(rig->gateway, quiet_ms);
        jobmanager_step(rig->jobmanager, quiet_ms);
        while (workers_step(rig->workers))
            continue;
    }
}

static void add_manager(struct rig *rig, uint32_t index)
{
    char id[16];
    snprintf(id, sizeof(id), "tm-%u", index);
    rig->managers[index] = resources_add(rig->resources, id, "127.0.0.1", 1, 1000);
    rig->managers[index]->connection = &rig->to_managers[index];
    rig->to_managers[index].kept_kind = MESSAGE_START;
}

static void lose_manager(struct rig *rig, uint32_t index)
{
    gateway_task_manager_lost(rig->gateway, rig->managers[index]);
    resources_lost(rig->resources, rig->managers[index]);
    add_manager(rig, index);
}

/* What some task manager was told to start as this worker. */
static bool find_start(const struct rig *rig, uint32_t worker, struct message_start *start)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        const struct connection *it = &rig->to_managers[i];
        if (it->kept == NULL)
            continue;
        must(message_read(MESSAGE_START, (weir_str){ .data = it->kept, .size = it->kept_size },
            start));
        if (start->worker == worker)
            return true;
    }
    return false;
}

static void say_hello(struct rig *rig, uint32_t worker)
{
    struct connection *it = &rig->to_workers[worker];
    struct message_start start;
    if ((it->handler != NULL && !it->is_closed) || !find_start(rig, worker, &start))
        return;
    quiet_release(it);
    it->kept_kind = MESSAGE_TRIGGER;
    struct message_hello hello = { .protocol = MESSAGE_PROTOCOL,
        .job = start.job,
        .attempt = start.attempt,
        .worker = worker,
        .secret = start.secret,
        .fingerprint = plan->fingerprint,
        .data_port = 5000 + worker };
    weir_error_free(gateway_hello(rig->gateway, it, &hello));
}

static void rig_open(struct rig *rig)
{
    *rig = (struct rig){ .workers = workers_new(0, 64) };
    must(storage_open(dir, "trial", 2, &rig->storage));
    history_init(&rig->history, plan->subtask_count);
    rig->resources = resources_new();
    struct gateway_options options = { .job = "0123456789abcdef0123456789abcdef",
        .plan = plan,
        .digest = "d",
        .program = "p",
        .resources = rig->resources,
        .epoch = 3,
        .slot_timeout_ms = 1000,
        .start_timeout_ms = 1000,
        .heartbeat_timeout_ms = 5000 };
    rig->gateway = gateway_new(&options);
    struct jobmanager_options manager = { .plan = plan,
        .backend = "hashmap",
        .storage = rig->storage,
        .workers = rig->workers,
        .tasks = gateway_tasks(rig->gateway),
        .interval_ms = 20,
        .timeout_ms = 1000,
        .restart = { .kind = RESTART_FIXED, .delay_ms = 10, .attempts_max = 100 },
        .stop_timeout_ms = 1000,
        .history = &rig->history };
    rig->jobmanager = jobmanager_new(&manager);
    gateway_set_jobmanager(rig->gateway, rig->jobmanager);
    jobmanager_start(rig->jobmanager, quiet_ms);
    for (uint32_t i = 0; i < WORKERS; i++)
        add_manager(rig, i);
    turn(rig);
    for (uint32_t i = 0; i < WORKERS; i++)
        say_hello(rig, i);
    turn(rig);
    ASSERT(gateway_state(rig->gateway) == GATEWAY_DEPLOYED);
}

static void rig_close(struct rig *rig)
{
    gateway_free(rig->gateway);
    jobmanager_free(rig->jobmanager);
    workers_free(rig->workers);
    storage_close(rig->storage);
    history_release(&rig->history);
    resources_free(rig->resources);
    for (uint32_t i = 0; i < WORKERS; i++) {
        quiet_release(&rig->to_managers[i]);
        quiet_release(&rig->to_workers[i]);
    }
}

/* -- steps --------------------------------------------------------------------------------------------- */

static uint64_t last_triggered(const struct connection *it)
{
    struct message_command command = { .checkpoint = 0 };
    if (it->kept != NULL)
        must(message_read(MESSAGE_TRIGGER, (weir_str){ .data = it->kept, .size = it->kept_size },
            &command));
    return command.checkpoint;
}

static void hear(struct rig *rig, uint32_t worker, uint32_t kind, weir_str payload)
{
    struct connection *it = &rig->to_workers[worker];
    if (it->handler != NULL && !it->is_closed)
        quiet_hear(it, kind, payload);
}

static void seal(weir_str bytes, weir_buffer *out)
{
    static const struct sealed_form form = { .magic = "WEIRCHK1", .noun = "", .version = 2 };
    weir_buffer *body = weir_buffer_new(1 << 20);
    weir_buffer_add_str(body, bytes);
    sealed_put(&form, body, out);
    weir_buffer_free(body);
}

static void tell(struct rig *rig, uint32_t worker, weir_str bytes, bool is_ack, uint32_t times)
{
    struct message_event event = { .attempt = jobmanager_stats(rig->jobmanager)->attempt };
    uint32_t kind = steps_byte(&bytes);
    event.subtask = steps_byte(&bytes);
    event.code = steps_byte(&bytes);
    event.checkpoint = last_triggered(&rig->to_workers[worker]) - steps_byte(&bytes);
    event.is_retriable = event.code >= 128;
    event.code %= 128;
    weir_buffer *sealed = weir_buffer_new(1 << 20), *payload = weir_buffer_new(1 << 20);
    if (is_ack)
        seal(bytes, sealed);
    event.text = bytes;
    event.bytes = is_ack ? weir_buffer_view(sealed) : bytes;
    msgpack_encode(message_type(MESSAGE_ACKED), &event, payload);
    for (uint32_t i = 0; i < times; i++)
        hear(rig, worker, is_ack ? MESSAGE_ACKED : kind, weir_buffer_view(payload));
    weir_buffer_free(sealed);
    weir_buffer_free(payload);
}

static void close_worker(struct rig *rig, uint32_t worker)
{
    struct connection *it = &rig->to_workers[worker];
    if (it->handler == NULL || it->is_closed)
        return;
    it->is_closed = true;
    it->handler->closed(it->arg, it, weir_errorf(WEIR_E_IO, "reset"));
}

static void end_worker(struct rig *rig, uint32_t worker, weir_str bytes)
{
    struct message_worker_ended message = { .attempt = jobmanager_stats(rig->jobmanager)->attempt,
        .worker = worker };
    message.code = steps_byte(&bytes);
    message.is_retriable = steps_byte(&bytes) % 2 == 1;
    message.task = steps_byte(&bytes) % 8; /* also of others, and of none */
    message.text = bytes;
    gateway_worker_ended(rig->gateway, &message);
}

/* `who`: the worker, and how often in a row it says it. */
static void take(struct rig *rig, enum step what, uint32_t who, weir_str bytes)
{
    uint32_t worker = who % WORKERS, times = 1 + who / WORKERS * 4;
    switch (what) {
    case STEP_FRAME: {
        uint32_t kind = steps_byte(&bytes);
        hear(rig, worker, kind, bytes);
        break;
    }
    case STEP_EVENT:
    case STEP_ACK:
        tell(rig, worker, bytes, what == STEP_ACK, times);
        break;
    case STEP_CLOSED:
        close_worker(rig, worker);
        break;
    case STEP_ENDED:
        end_worker(rig, worker, bytes);
        break;
    case STEP_TIME:
        quiet_ms += 10 * (int64_t)steps_byte(&bytes);
        break;
    case STEP_HELLO:
        say_hello(rig, worker);
        break;
    case STEP_LOST:
        lose_manager(rig, worker);
        break;
    case STEP_COUNT:
        break;
    }
    turn(rig);
}

/* The next start of the job. */
static void restore(void)
{
    struct storage *storage;
    struct checkpoint_metadata metadata;
    bool found;
    must(storage_open(dir, "trial", 2, &storage));
    weir_error *error = storage_restore(storage, NULL, &metadata, &found);
    if (error == NULL && found)
        checkpoint_metadata_release(&metadata);
    ASSERT(error == NULL || weir_error_code(error) == WEIR_E_CORRUPT);
    weir_error_free(error);
    storage_close(storage);
}

static void remove_dir(void)
{
    temp_dir_free(dir);
}

static void begin(void)
{
    static weir_job *job;
    static const struct trial trial = { .count = 1,
        .parallelism = 1,
        .pipelines = 2,
        .has_groups = true };
    dir = temp_dir_new();
    ASSERT(atexit(remove_dir) == 0);
    trial_reset(&trial);
    plan = trial_plan(&job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig rig;
    quiet_begin();
    if (dir == NULL)
        begin();
    rig_open(&rig);
    struct steps steps = { .data = data, .size = size, .has_who = true };
    while (steps_next(&steps))
        take(&rig, (enum step)(steps.what % STEP_COUNT), steps.who, steps.bytes);
    rig_close(&rig);
    restore();
    must(os_remove_tree(temp_dir_path(dir, "trial")));
    return 0;
}

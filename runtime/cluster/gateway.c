/* gateway.c -- see gateway.h. */
#include "runtime/cluster/gateway.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/plural.h"
#include "runtime/cluster/gateway_private.h"

#include <inttypes.h>
#include <stdio.h>

#define REASON_MS \
    400 /* from the end of a worker's connection until its failure is told without its reason */
#define KILL_MS \
    3000 /* for a worker to end by itself, and for its end to be told when a part could restart */

#define PROGRESS_TASKS    8u
#define PROGRESS_SIZE_MAX 4096u

struct gateway *gateway_new(const struct gateway_options *options)
{
    struct gateway *gateway = mem_alloc(sizeof(*gateway));
    gateway->options = *options;
    gateway->slot_count = plan_slot_count(options->plan);
    gateway->slot_workers = mem_alloc_array(gateway->slot_count, sizeof(uint32_t));
    gateway->placement = mem_alloc_array(options->plan->subtask_count, sizeof(uint32_t));
    gateway->metrics = mem_alloc_array(options->plan->subtask_count, sizeof(*gateway->metrics));
    gateway->states = mem_alloc_array(options->plan->subtask_count, sizeof(*gateway->states));
    gateway->rates = rates_new(options->plan->subtask_count);
    gateway->reason_ms = plan_region_count(options->plan) > 1 ? KILL_MS : REASON_MS;
    return gateway;
}

void gateway_set_jobmanager(struct gateway *gateway, struct jobmanager *jobmanager)
{
    gateway->host.arg = jobmanager;
}

/* -- failing -------------------------------------------------------------------------------------- */

static uint32_t first_subtask_of(const struct gateway *gateway, uint32_t worker)
{
    for (uint32_t i = 0; i < gateway->options.plan->subtask_count; i++) {
        if (gateway->placement[i] == worker)
            return i;
    }
    return 0;
}

/* The task that it was in, if that is known, or there is only one. */
static bool find_task(const struct gateway *gateway, uint32_t worker, uint32_t told,
    uint32_t *subtask)
{
    bool is_told = told > 0 && told <= gateway->options.plan->subtask_count &&
                   gateway->placement[told - 1] == worker;
    *subtask = is_told ? told - 1 : first_subtask_of(gateway, worker);
    return is_told || (worker < gateway->worker_count && gateway->workers[worker].task_count == 1);
}

static bool *has_failed(struct gateway *gateway, uint32_t worker)
{
    return worker < gateway->worker_count ? &gateway->workers[worker].has_failed
                                          : &gateway->has_failed;
}

void gateway_report_failure(const struct gateway *gateway, uint32_t worker, uint32_t told,
    weir_error *error)
{
    uint32_t subtask;
    if (find_task(gateway, worker, told, &subtask))
        gateway->host.failed(gateway->host.arg, subtask, error);
    else
        jobmanager_worker_failed(gateway->host.arg, subtask, error);
}

/* Once for a worker: what follows is in its wake. `told`, the error: as above. */
static void fail_in(struct gateway *gateway, uint32_t worker, uint32_t told, weir_error *error)
{
    if (*has_failed(gateway, worker) || gateway->state == GATEWAY_IDLE) {
        weir_error_free(error);
        return;
    }
    *has_failed(gateway, worker) = true;
    gateway_report_failure(gateway, worker, told, error);
}

void gateway_fail(struct gateway *gateway, uint32_t worker, weir_error *error)
{
    fail_in(gateway, worker, 0, error);
}

/* It may still be there, and only a new attempt can fence it: also if it had failed in another way before. */
static void lose(struct gateway *gateway, uint32_t worker, weir_error *error)
{
    if (!gateway->workers[worker].is_lost)
        gateway->workers[worker].has_failed = false;
    gateway->workers[worker].is_lost = true;
    gateway_fail(gateway, worker, weir_error_retriable(error));
}

/* -- workers: starting, telling --------------------------------------------------------------------- */

static void place(struct gateway *gateway)
{
    const struct plan *plan = gateway->options.plan;
    uint32_t slot = 0;
    for (uint32_t w = 0; w < gateway->worker_count; w++)
        for (uint32_t i = 0; i < gateway->workers[w].grant.slot_count; i++)
            gateway->slot_workers[slot++] = w;
    ASSERT(slot == gateway->slot_count);
    for (uint32_t v = 0; v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        uint32_t first = 0;
        for (uint32_t g = 0; g < vertex->slot_group; g++)
            first += plan->slot_group_sizes[g];
        for (uint32_t i = 0; i < vertex->parallelism; i++) {
            uint32_t worker = gateway->slot_workers[first + i];
            gateway->placement[vertex->first_subtask + i] = worker;
            gateway->workers[worker].task_count++;
        }
    }
}

static void start_worker(struct gateway *gateway, uint32_t index)
{
    struct gateway_worker *worker = &gateway->workers[index];
    worker->is_leaving = worker->has_ended = worker->has_failed = false;
    worker->lost_ms = 0;
    const struct task_manager *from = worker->grant.from;
    struct message_start message = { .epoch = gateway->options.epoch,
        .job = weir_str_of(gateway->options.job),
        .attempt = gateway->deployed.attempt,
        .worker = index,
        .worker_count = gateway->worker_count,
        .slot_count = worker->grant.slot_count,
        .memory_size = from->memory_size / from->slot_count * worker->grant.slot_count,
        .digest = weir_str_of(gateway->options.digest),
        .program = weir_str_of(gateway->options.program),
        .arguments = gateway->options.arguments,
        .secret = weir_str_of(gateway->secret) };
    message_send(from->connection, MESSAGE_START, &message);
}

/* Workers of older attempts go on without a job manager: whoever leads now ends them, wherever they are. */
void gateway_end_older(const struct gateway *gateway, const struct task_manager *it)
{
    if (gateway->worker_count == 0)
        return;
    struct message_kill message = { .epoch = gateway->options.epoch,
        .job = weir_str_of(gateway->options.job),
        .attempt = gateway->deployed.attempt - 1 };
    message_send(it->connection, MESSAGE_KILL, &message);
}

static bool take_slots(struct gateway *gateway, int64_t now_ms)
{
    struct grant grants[RESOURCES_MAX];
    uint32_t count;
    if (!resources_take(gateway->options.resources, gateway->slot_count, grants, &count))
        return false;
    gateway->workers = mem_alloc_array(count, sizeof(*gateway->workers));
    gateway->worker_count = count;
    gateway->hello_count = 0;
    for (uint32_t i = 0; i < count; i++)
        gateway->workers[i] = (struct gateway_worker){ .grant = grants[i],
            .task_manager = mem_strdup(grants[i].from->id),
            .host = mem_strdup(grants[i].from->host) };
    token_new(gateway->secret);
    place(gateway);
    gateway->state = GATEWAY_STARTING;
    gateway->since_ms = now_ms;
    for (uint32_t i = 0; i < resources_count(gateway->options.resources); i++)
        gateway_end_older(gateway, resources_at(gateway->options.resources, i));
    for (uint32_t i = 0; i < count; i++)
        start_worker(gateway, i);
    return true;
}

static void send_all(const struct gateway *gateway, enum message_kind kind, const void *message)
{
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        if (gateway->workers[i].connection != NULL)
            message_send(gateway->workers[i].connection, kind, message);
    }
}

void gateway_send_deploy(struct gateway *gateway)
{
    struct arena arena;
    arena_init(&arena, (size_t)4 << 10, (size_t)1 << 30);
    weir_buffer *restore = weir_buffer_new(CHECKPOINT_SIZE_MAX),
                *identities = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    if (gateway->deployed.restore != NULL) {
        checkpoint_encode(gateway->deployed.restore, restore);
        checkpoint_put_identities(gateway->deployed.restore, identities);
    }
    const char **addresses = mem_alloc_array(gateway->worker_count, sizeof(*addresses));
    for (uint32_t i = 0; i < gateway->worker_count; i++)
        addresses[i] =
            arena_printf(&arena, "%s:%u", gateway->workers[i].host, gateway->workers[i].data_port);
    struct message_deploy message = { .epoch = gateway->options.epoch,
        .attempt = gateway->deployed.attempt,
        .instance = gateway->deployed.instance,
        .last_checkpoint = gateway->deployed.last_checkpoint,
        .restore = weir_buffer_view(restore),
        .placement =
            message_put_numbers(gateway->placement, gateway->options.plan->subtask_count, &arena),
        .addresses = message_put_strings(addresses, gateway->worker_count, &arena),
        .checkpoint_dir = weir_str_of(gateway->host.checkpoint_dir),
        .staging_dir = weir_str_of(gateway->host.staging_dir),
        .has_checkpoints = gateway->host.has_checkpoints,
        .identities = weir_buffer_view(identities) };
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        struct gateway_worker *worker = &gateway->workers[i];
        if (!worker->is_deployed && worker->connection != NULL)
            message_send(worker->connection, MESSAGE_DEPLOY, &message);
        worker->is_deployed = true;
    }
    gateway->state = GATEWAY_DEPLOYED;
    jobmanager_wake(gateway->host.arg);
    mem_free(addresses);
    weir_buffer_free(restore);
    weir_buffer_free(identities);
    arena_release(&arena);
}

/* -- ends that are told --------------------------------------------------------------------------- */

/* Of a worker that has never come here, because it could not: that says nothing of the job. */
static bool is_of_the_way(const struct gateway_worker *worker, int32_t code)
{
    return !worker->is_here && (code == WEIR_E_IO || code == WEIR_E_TIMEOUT);
}

/* Of a worker that could not say where it was: how far its tasks were. */
static void put_progress(const struct gateway *gateway, uint32_t worker, weir_buffer *text)
{
    const struct plan *plan = gateway->options.plan;
    uint32_t count = 0;
    for (uint32_t v = 0; v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        for (uint32_t i = 0; i < vertex->parallelism; i++) {
            uint32_t subtask = vertex->first_subtask + i;
            if (gateway->placement[subtask] == worker && ++count <= PROGRESS_TASKS)
                buffer_printf(text, "%s '%.100s' (%u/%u) at record %" PRId64,
                    count == 1 ? "; its tasks, as last heard:" : ",", vertex->name, i + 1,
                    vertex->parallelism, gateway->metrics[subtask].records_in);
        }
    }
    if (count > PROGRESS_TASKS)
        buffer_printf(text, ", and %u more", count - PROGRESS_TASKS);
}

void gateway_worker_ended(struct gateway *gateway, const struct message_worker_ended *message)
{
    if (gateway->state == GATEWAY_IDLE || message->attempt != gateway->deployed.attempt ||
        message->worker >= gateway->worker_count)
        return;
    struct gateway_worker *worker = &gateway->workers[message->worker];
    worker->has_ended = true;
    jobmanager_wake(gateway->host.arg);
    if (worker->is_leaving)
        return;
    weir_buffer *text = weir_buffer_new(NET_FRAME_MAX + PROGRESS_SIZE_MAX);
    weir_buffer_add_str(text, message->text);
    if (message->task == 0 && worker->is_deployed)
        put_progress(gateway, message->worker, text);
    weir_error *error = message_error(message->code,
        message->is_retriable || is_of_the_way(worker, message->code), weir_buffer_view(text));
    weir_buffer_free(text);
    fail_in(gateway, message->worker, message->task,
        weir_error_wrap(error, "the worker on task manager '%s' has ended", worker->task_manager));
}

void gateway_task_manager_lost(struct gateway *gateway, const struct task_manager *it)
{
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        struct gateway_worker *worker = &gateway->workers[i];
        if (worker->grant.from != it)
            continue;
        worker->grant.from = NULL;
        lose(gateway, i,
            weir_errorf(WEIR_E_IO, "task manager '%s' (%s) is lost", it->id, it->host));
    }
}

/* -- the task gateway ------------------------------------------------------------------------------- */

/* What was told of the one before counts no more. */
static void forget_task(struct gateway *gateway, uint32_t subtask)
{
    gateway->metrics[subtask] = (struct worker_task_metrics){ .subtask = subtask };
    gateway->states[subtask] = TASK_CREATED;
    rates_begin(gateway->rates, subtask, os_monotonic_ms());
}

static bool is_of(const bool *subtasks, uint32_t subtask)
{
    return subtasks == NULL || subtasks[subtask];
}

static weir_error *deploy(void *arg, const struct deployment *deployment)
{
    struct gateway *gateway = arg;
    const bool *subtasks = deployment->subtasks;
    ASSERT((gateway->state == GATEWAY_IDLE) == (subtasks == NULL));
    for (uint32_t i = 0; i < gateway->worker_count; i++)
        if (gateway->workers[i].is_lost) /* since the part was torn down */
            return weir_error_retriable(weir_errorf(WEIR_E_IO, "task manager '%s' is lost",
                gateway->workers[i].task_manager));
    gateway->deployed = *deployment;
    gateway->deployed.subtasks = NULL;
    jobmanager_host(gateway->host.arg, &gateway->host);
    gateway->has_failed = false;
    gateway->state = subtasks == NULL ? GATEWAY_WAITING : GATEWAY_STARTING;
    gateway->since_ms = 0;
    for (uint32_t i = 0; i < gateway->options.plan->subtask_count; i++)
        if (is_of(subtasks, i))
            forget_task(gateway, i);
    return NULL;
}

static void release_worker(struct gateway *gateway, struct gateway_worker *worker)
{
    struct task_manager *from = worker->grant.from;
    if (worker->connection != NULL)
        connection_close_flushed(worker->connection);
    if (from != NULL) {
        struct message_kill message = { .epoch = gateway->options.epoch,
            .job = weir_str_of(gateway->options.job),
            .attempt = gateway->deployed.attempt,
            .grace_ms = KILL_MS };
        message_send(from->connection, MESSAGE_KILL, &message);
        resources_give_back(gateway->options.resources, &worker->grant);
    }
    mem_free(worker->task_manager);
    mem_free(worker->host);
}

/* What shares a worker restarts with it, and with one that is lost everything does. */
static void regions_of(void *arg, uint32_t *regions)
{
    const struct gateway *gateway = arg;
    uint32_t count = gateway->options.plan->subtask_count;
    bool is_whole = gateway->worker_count == 0;
    for (uint32_t i = 0; i < gateway->worker_count; i++)
        is_whole = is_whole || gateway->workers[i].is_lost;
    for (uint32_t i = 0; is_whole && i < count; i++)
        regions[i] = 0;
    if (!is_whole)
        plan_regions_join(regions, count, gateway->placement);
}

/* It stays in the list, for the process that will take its place. */
static void dismiss(struct gateway *gateway, struct gateway_worker *worker)
{
    struct message_command message = { .epoch = gateway->options.epoch,
        .attempt = gateway->deployed.attempt };
    if (worker->connection != NULL) {
        message_send(worker->connection, MESSAGE_CANCEL, &message);
        connection_close_flushed(worker->connection);
        worker->connection = NULL;
    }
    gateway->hello_count -= worker->is_here;
    worker->is_leaving = true;
    worker->is_here = worker->is_deployed = false;
    worker->has_failed = true; /* whatever happens to it */
    worker->published = 0;
}

static void tear_down_part(struct gateway *gateway, const bool *subtasks)
{
    for (uint32_t w = 0; w < gateway->worker_count; w++) {
        bool is_part = false;
        for (uint32_t i = 0; i < gateway->options.plan->subtask_count; i++) {
            if (gateway->placement[i] != w)
                continue;
            ASSERT(!is_part || subtasks[i]); /* all of it, or nothing */
            is_part = subtasks[i];
        }
        if (is_part)
            dismiss(gateway, &gateway->workers[w]);
    }
    gateway->state = GATEWAY_DEPLOYED; /* nothing starts until the next deployment */
    gateway->deployed.restore = NULL;
}

static void tear_down(void *arg, const bool *subtasks)
{
    struct gateway *gateway = arg;
    if (subtasks != NULL) {
        tear_down_part(gateway, subtasks);
        return;
    }
    struct message_command message = { .epoch = gateway->options.epoch,
        .attempt = gateway->deployed.attempt };
    send_all(gateway, MESSAGE_CANCEL, &message);
    for (uint32_t i = 0; i < gateway->worker_count; i++)
        release_worker(gateway, &gateway->workers[i]);
    mem_free(gateway->workers);
    gateway->workers = NULL;
    gateway->worker_count = 0;
    gateway->state = GATEWAY_IDLE;
}

static void command(const struct gateway *gateway, enum message_kind kind, uint64_t checkpoint)
{
    struct message_command message = { .epoch = gateway->options.epoch,
        .attempt = gateway->deployed.attempt,
        .checkpoint = checkpoint };
    send_all(gateway, kind, &message);
}

static void trigger(void *arg, uint64_t checkpoint)
{
    command(arg, MESSAGE_TRIGGER, checkpoint);
}

static void complete(void *arg, uint64_t checkpoint)
{
    command(arg, MESSAGE_COMPLETE, checkpoint);
}

static void overtake(void *arg, uint64_t checkpoint)
{
    command(arg, MESSAGE_OVERTAKE, checkpoint);
}

static void abort_checkpoint(void *arg, uint64_t checkpoint)
{
    command(arg, MESSAGE_ABORT, checkpoint);
}

static void stop(void *arg)
{
    command(arg, MESSAGE_STOP, 0);
}

static void drain(void *arg)
{
    command(arg, MESSAGE_DRAIN, 0);
}

static const char *place_of(void *arg, uint32_t subtask)
{
    const struct gateway *gateway = arg;
    uint32_t worker = gateway_worker_of(gateway, subtask);
    return worker == UINT32_MAX ? NULL : gateway->workers[worker].task_manager;
}

static bool has_published(void *arg, uint64_t checkpoint)
{
    const struct gateway *gateway = arg;
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        if (gateway->workers[i].published < checkpoint)
            return false;
    }
    return true;
}

struct task_gateway gateway_tasks(struct gateway *gateway)
{
    return (struct task_gateway){ .arg = gateway,
        .deploy = deploy,
        .tear_down = tear_down,
        .regions = regions_of,
        .trigger = trigger,
        .complete = complete,
        .overtake = overtake,
        .abort = abort_checkpoint,
        .stop = stop,
        .drain = drain,
        .place = place_of,
        .has_published = has_published };
}

/* -- time ------------------------------------------------------------------------------------------- */

static void report_wait(const struct gateway *gateway)
{
    log_warn("job",
        "%s waits for slots: it needs %u, but only %u of %u are free; start another task manager, "
        "stop another job, or lower the parallelism; this attempt fails after %g s "
        "(slot.request.timeout)",
        gateway->options.job, gateway->slot_count, resources_slots_free(gateway->options.resources),
        resources_slots_total(gateway->options.resources),
        (double)gateway->options.slot_timeout_ms / 1000);
}

static void look_at_slots(struct gateway *gateway, int64_t now_ms)
{
    bool is_first = gateway->since_ms == 0;
    if (is_first)
        gateway->since_ms = now_ms;
    if (take_slots(gateway, now_ms) || gateway->has_failed)
        return;
    if (is_first)
        report_wait(gateway);
    if (now_ms - gateway->since_ms < gateway->options.slot_timeout_ms)
        return;
    gateway_fail(gateway, 0,
        weir_error_retriable(weir_errorf(WEIR_E_LIMIT,
            "the job needs %u slot%s, but only %u of %u are free; start another task manager, stop "
            "another job, or lower the parallelism",
            gateway->slot_count, plural(gateway->slot_count),
            resources_slots_free(gateway->options.resources),
            resources_slots_total(gateway->options.resources))));
}

/* One whose end is told is replaced; the others are waited for. */
static void look_at_start(struct gateway *gateway, int64_t now_ms)
{
    if (gateway->since_ms == 0)
        gateway->since_ms = now_ms;
    int64_t waited_ms = now_ms - gateway->since_ms;
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        const struct gateway_worker *worker = &gateway->workers[i];
        if (worker->is_here || worker->is_lost)
            continue;
        if (worker->is_leaving && worker->has_ended)
            start_worker(gateway, i);
        else if (worker->is_leaving && waited_ms >= KILL_MS)
            lose(gateway, i,
                weir_errorf(WEIR_E_TIMEOUT,
                    "the worker on task manager '%s' has not ended within %g s",
                    worker->task_manager, (double)KILL_MS / 1000));
        else if (waited_ms >= gateway->options.start_timeout_ms)
            lose(gateway, i,
                weir_errorf(WEIR_E_TIMEOUT,
                    "the worker on task manager '%s' has not started within %g s",
                    worker->task_manager, (double)gateway->options.start_timeout_ms / 1000));
    }
}

static void look_at_worker(struct gateway *gateway, uint32_t index, int64_t now_ms)
{
    const struct gateway_worker *worker = &gateway->workers[index];
    if (worker->lost_ms > 0 && !worker->has_ended && now_ms - worker->lost_ms >= gateway->reason_ms)
        lose(gateway, index,
            weir_errorf(WEIR_E_IO, "the connection to the worker on task manager '%s' is lost",
                worker->task_manager));
    if (worker->connection != NULL &&
        now_ms - connection_heard_ms(worker->connection) > gateway->options.heartbeat_timeout_ms)
        lose(gateway, index,
            weir_errorf(WEIR_E_TIMEOUT, "the worker on task manager '%s' has said nothing for %g s",
                worker->task_manager, (double)gateway->options.heartbeat_timeout_ms / 1000));
}

void gateway_step(struct gateway *gateway, int64_t now_ms)
{
    if (gateway->state == GATEWAY_WAITING)
        look_at_slots(gateway, now_ms);
    if (gateway->state == GATEWAY_STARTING)
        look_at_start(gateway, now_ms);
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        gateway->workers[i].told = 0;
        if (!gateway->workers[i].has_failed)
            look_at_worker(gateway, i, now_ms);
    }
}

int64_t gateway_deadline_ms(const struct gateway *gateway)
{
    int64_t deadline = INT64_MAX;
    if (gateway->state == GATEWAY_IDLE || gateway->has_failed)
        return deadline;
    if (gateway->state == GATEWAY_WAITING)
        return gateway->since_ms + gateway->options.slot_timeout_ms;
    if (gateway->state == GATEWAY_STARTING)
        deadline = gateway->since_ms + gateway->options.start_timeout_ms;
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        const struct gateway_worker *worker = &gateway->workers[i];
        int64_t at_ms = INT64_MAX;
        if (worker->is_leaving && gateway->state == GATEWAY_STARTING)
            at_ms = worker->has_ended ? gateway->since_ms : gateway->since_ms + KILL_MS;
        else if (worker->has_failed)
            continue;
        else if (worker->connection != NULL)
            at_ms =
                connection_heard_ms(worker->connection) + gateway->options.heartbeat_timeout_ms + 1;
        else if (worker->lost_ms > 0)
            at_ms = worker->lost_ms + gateway->reason_ms;
        deadline = os_earlier(at_ms, deadline);
    }
    return deadline;
}

/* -- for those who look ------------------------------------------------------------------------------ */

enum gateway_state gateway_state(const struct gateway *gateway)
{
    return gateway->state;
}

uint32_t gateway_worker_count(const struct gateway *gateway)
{
    return gateway->worker_count;
}

const struct gateway_worker *gateway_worker(const struct gateway *gateway, uint32_t index)
{
    ASSERT(index < gateway->worker_count);
    return &gateway->workers[index];
}

uint32_t gateway_worker_of(const struct gateway *gateway, uint32_t subtask)
{
    ASSERT(subtask < gateway->options.plan->subtask_count);
    return gateway->worker_count == 0 ? UINT32_MAX : gateway->placement[subtask];
}

uint32_t gateway_slots_held(const struct gateway *gateway)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < gateway->worker_count; i++)
        if (gateway->workers[i].grant.from != NULL)
            count += gateway->workers[i].grant.slot_count;
    return count;
}

const struct worker_task_metrics *gateway_metrics(const struct gateway *gateway, uint32_t subtask)
{
    ASSERT(subtask < gateway->options.plan->subtask_count);
    return &gateway->metrics[subtask];
}

struct rate gateway_rate(const struct gateway *gateway, uint32_t subtask)
{
    ASSERT(subtask < gateway->options.plan->subtask_count);
    return rates_of(gateway->rates, subtask);
}

enum task_state gateway_task_state(const struct gateway *gateway, uint32_t subtask)
{
    ASSERT(subtask < gateway->options.plan->subtask_count);
    return gateway->states[subtask];
}

void gateway_abandon(struct gateway *gateway)
{
    for (uint32_t i = 0; i < gateway->worker_count; i++) {
        struct gateway_worker *worker = &gateway->workers[i];
        if (worker->connection != NULL)
            connection_close(worker->connection);
        if (worker->grant.from != NULL)
            resources_give_back(gateway->options.resources, &worker->grant);
        mem_free(worker->task_manager);
        mem_free(worker->host);
    }
    mem_free(gateway->workers);
    gateway->workers = NULL;
    gateway->worker_count = 0;
    gateway->state = GATEWAY_IDLE;
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    tear_down(gateway, NULL);
    mem_free(gateway->slot_workers);
    mem_free(gateway->placement);
    mem_free(gateway->metrics);
    mem_free(gateway->states);
    rates_free(gateway->rates);
    mem_free(gateway);
}

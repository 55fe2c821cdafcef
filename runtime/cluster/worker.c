/* worker.c -- see worker.h. */
#include "runtime/cluster/worker.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os_child.h"
#include "base/os_crash.h"
#include "base/os_process.h"
#include "base/queue.h"
#include "checkpoint/attempt.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/messages.h"
#include "runtime/cluster/wire_tls.h"
#include "runtime/cluster/worker_metrics.h"
#include "runtime/exchange/wire.h"
#include "runtime/task/current.h"
#include "state/rocksdb.h"
#include "types/msgpack.h"

#include <inttypes.h>

#define START_SIZE_MAX ((size_t)1 << 20)
#define PUBLISHED_MS   5 /* between two looks, while something is being published */
#define CONNECT_MS     10000
#define JOBS_MAX       4096
#define DATA_PORTS     1000u /* from taskmanager.data.port on */

/* Something a task, or the wire, has told. Thread: its holder. */
struct told {
    enum message_kind kind;
    uint32_t subtask;
    uint64_t checkpoint;
    struct subtask_snapshot *snapshot;
    weir_error *error;
};

struct worker {
    const struct plan *plan;
    const struct local_options *options;
    struct worker_start start;
    char *start_bytes, *text[3];
    struct net *net;
    struct wire_tls tls; /* zero: plain */
    struct connection *connection;
    struct workers *workers;
    struct taskmanager *taskmanager;
    struct wire *wire;   /* NULL: alone */
    struct inbox *inbox; /* Thread: any pushes */
    /* of the deployment */
    struct arena arena;
    struct task_host host;
    struct checkpoint_metadata restore;
    struct placement placement;
    bool has_restore, is_deployed;
    char *checkpoint_dir, *state_dir;
    uint64_t to_publish, published;
    uint32_t watched_count;
    struct watched *watched; /* of each slot */
    int64_t next_beat_ms, lost_ms;
    bool is_over;
    weir_error *error;
};

/* A slot, as the watchdog saw it last. Thread: control. */
struct watched {
    uint64_t steps;
    int64_t since_ms;
};

/* Takes the error. */
static void end(struct worker *worker, weir_error *error)
{
    worker->error = weir_error_join(worker->error, error);
    worker->is_over = true;
}

/* -- what tasks tell: Thread: any ------------------------------------------------------------------- */

static void tell(struct worker *worker, struct told told)
{
    ASSERT(inbox_push(worker->inbox, &told)); /* senders are bounded: jobmanager.c says how */
    waker_wake(net_waker(worker->net));
}

static void host_running(void *arg, uint32_t subtask)
{
    tell(arg, (struct told){ .kind = MESSAGE_RUNNING, .subtask = subtask });
}

static void host_ended(void *arg, uint32_t subtask)
{
    tell(arg, (struct told){ .kind = MESSAGE_ENDED, .subtask = subtask });
}

static void host_failed(void *arg, uint32_t subtask, weir_error *error)
{
    tell(arg, (struct told){ .kind = MESSAGE_FAILED, .subtask = subtask, .error = error });
}

static void host_acked(void *arg, struct subtask_snapshot *snapshot)
{
    tell(arg, (struct told){ .kind = MESSAGE_ACKED,
                  .subtask = snapshot->subtask,
                  .checkpoint = snapshot->checkpoint,
                  .snapshot = snapshot });
}

static void host_declined(void *arg, uint64_t checkpoint, uint32_t subtask, weir_error *error)
{
    tell(arg, (struct told){ .kind = MESSAGE_DECLINED,
                  .subtask = subtask,
                  .checkpoint = checkpoint,
                  .error = error });
}

static weir_error *host_check_attempt(void *arg)
{
    const struct worker *worker = arg;
    return attempt_check(worker->checkpoint_dir, worker->start.attempt);
}

static uint32_t own_subtask(const struct worker *worker)
{
    uint32_t i = 0;
    while (
        i + 1 < worker->plan->subtask_count && worker->placement.workers[i] != worker->start.worker)
        i++;
    return i;
}

static void wire_failed(void *arg, weir_error *error)
{
    struct worker *worker = arg;
    tell(worker, (struct told){ .kind = MESSAGE_FAILED, .subtask = UINT32_MAX, .error = error });
}

static void encode_snapshot(const struct worker *worker, const struct subtask_snapshot *snapshot,
    weir_buffer *out, weir_buffer *identities)
{
    struct checkpoint_metadata metadata;
    checkpoint_metadata_init(&metadata);
    metadata.job = weir_str_of(worker->plan->job);
    metadata.checkpoint = snapshot->checkpoint;
    metadata.attempt = worker->start.attempt;
    metadata.max_parallelism = worker->plan->max_parallelism;
    checkpoint_metadata_add(&metadata, snapshot);
    checkpoint_encode(&metadata, out);
    checkpoint_put_identities(&metadata, identities);
    checkpoint_metadata_release(&metadata);
}

static void put_metrics(const struct worker *worker, uint32_t subtask, weir_buffer *out)
{
    const struct task *task = taskmanager_task(worker->taskmanager, subtask);
    struct worker_task_metrics metrics = { 0 };
    if (task != NULL)
        worker_metrics_read(task, subtask, &metrics);
    worker_metrics_put(&metrics, task == NULL ? 0 : 1, out);
}

static void send_told(struct worker *worker, const struct told *told)
{
    weir_buffer *bytes = weir_buffer_new(CHECKPOINT_SIZE_MAX),
                *identities = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    struct message_event message = { .epoch = worker->start.epoch,
        .attempt = worker->start.attempt,
        .subtask = told->subtask == UINT32_MAX ? own_subtask(worker) : told->subtask,
        .checkpoint = told->checkpoint,
        .is_of_worker = told->subtask == UINT32_MAX };
    if (told->error != NULL) {
        message.code = (int32_t)weir_error_code(told->error);
        message.is_retriable = weir_error_is_retriable(told->error);
        message.text = weir_str_of(weir_error_message(told->error));
    }
    if (told->snapshot != NULL) {
        encode_snapshot(worker, told->snapshot, bytes, identities);
        message.bytes = weir_buffer_view(bytes);
        message.identities = weir_buffer_view(identities);
        message.sync_us = told->snapshot->sync_us;
        message.async_us = told->snapshot->async_us;
        message.alignment_us = told->snapshot->alignment_us;
    }
    if (told->kind == MESSAGE_ENDED) {
        put_metrics(worker, told->subtask, bytes); /* its last: the next heartbeat may never come */
        message.bytes = weir_buffer_view(bytes);
    }
    message_send(worker->connection, told->kind, &message);
    weir_buffer_free(identities);
    weir_buffer_free(bytes);
}

/* A failure that nobody can be told is the end: the new job manager starts the next attempt anyway. */
static void on_told(struct worker *worker, struct told *told)
{
    if (worker->connection != NULL && told->kind == MESSAGE_ACKED) {
        FAULT_STEP_VOID(ACK_FORWARD, send_told(worker, told));
    } else if (worker->connection != NULL) {
        send_told(worker, told);
    } else if (told->kind == MESSAGE_FAILED) {
        end(worker, told->error);
        told->error = NULL;
    }
    subtask_snapshot_free(told->snapshot);
    weir_error_free(told->error);
}

/* -- deploying --------------------------------------------------------------------------------------- */

static bool read_addresses(struct worker *worker, weir_str bytes)
{
    const char **list;
    uint32_t count;
    if (!message_take_strings(bytes, worker->start.worker_count, &worker->arena, &list, &count) ||
        count != worker->start.worker_count)
        return false;
    struct wire_address *addresses = arena_alloc(&worker->arena, count * sizeof(*addresses));
    for (uint32_t i = 0; i < count; i++) {
        char *host = arena_alloc(&worker->arena, ADDRESS_HOST_SIZE);
        if (count > 1 && !address_split(list[i], host, &addresses[i].port))
            return false;
        addresses[i].host = host;
    }
    worker->placement.addresses = addresses;
    return true;
}

static weir_error *read_deploy(struct worker *worker, const struct message_deploy *message)
{
    uint32_t count;
    if (!message_take_numbers(message->placement, worker->plan->subtask_count, &worker->arena,
            &worker->placement.workers, &count) ||
        count != worker->plan->subtask_count || !read_addresses(worker, message->addresses))
        return weir_errorf(WEIR_E_CORRUPT, "the DEPLOY message is damaged");
    worker->has_restore = message->restore.size > 0;
    if (!worker->has_restore)
        return NULL;
    WEIR_TRY(checkpoint_decode(message->restore, "the checkpoint to restore", &worker->restore));
    if (message->identities.size == 0 ||
        checkpoint_take_identities(&worker->restore, message->identities))
        return NULL;
    return weir_errorf(WEIR_E_CORRUPT, "the DEPLOY message is damaged");
}

static void make_host(struct worker *worker, const struct message_deploy *message)
{
    const struct local_options *options = worker->options;
    const struct placement *placement = worker->wire == NULL ? NULL : &worker->placement;
    worker->checkpoint_dir = message_text(message->checkpoint_dir);
    worker->text[0] = message_text(message->staging_dir);
    worker->text[1] = message_text(worker->start.work_dir);
    worker->host = (struct task_host){ .arg = worker,
        .running = host_running,
        .acked = host_acked,
        .declined = host_declined,
        .ended = host_ended,
        .failed = host_failed,
        .check_attempt = host_check_attempt,
        .workers = worker->workers,
        .job = worker->plan->job,
        .instance = message->instance,
        .attempt = message->attempt,
        .checkpoint_dir = worker->checkpoint_dir,
        .staging_dir = worker->text[0],
        .work_dir = worker->text[1],
        .has_checkpoints = message->has_checkpoints,
        .backend = options->backend,
        .backend_memory = taskmanager_backend_size(worker->taskmanager, placement),
        .backend_pool = taskmanager_backend_pool(worker->taskmanager),
        .checkpoint_interval_ms = options->interval_ms,
        .watermark_interval_ms = options->watermark_interval_ms,
        .buffer_timeout_ms = options->buffer_timeout_ms,
        .batch_max = options->batch_max };
}

static weir_error *deploy(struct worker *worker, const struct message_deploy *message)
{
    if (worker->is_deployed)
        return weir_errorf(WEIR_E_CORRUPT, "DEPLOY came twice");
    WEIR_TRY(read_deploy(worker, message));
    worker->placement.wire = worker->wire;
    worker->placement.connect_timeout_ms = CONNECT_MS;
    make_host(worker, message);
    struct deployment deployment = { .restore = worker->has_restore ? &worker->restore : NULL,
        .attempt = message->attempt,
        .instance = message->instance,
        .last_checkpoint = message->last_checkpoint,
        .placement = worker->wire == NULL ? NULL : &worker->placement };
    worker->is_deployed = true;
    weir_error *error = FAULT_STEP(DEPLOY_RECEIVE,
        taskmanager_deploy(worker->taskmanager, &worker->host, &deployment));
    if (error != NULL) {
        tell(worker,
            (struct told){ .kind = MESSAGE_FAILED, .subtask = UINT32_MAX, .error = error });
        return NULL;
    }
    worker->watched_count = taskmanager_slot_count(worker->taskmanager);
    worker->watched = mem_alloc_array(worker->watched_count, sizeof(*worker->watched));
    return NULL;
}

/* -- messages ---------------------------------------------------------------------------------------- */

static void obey(struct worker *worker, uint32_t kind, const struct message_command *message)
{
    struct taskmanager *tasks = worker->taskmanager;
    if (kind == MESSAGE_CANCEL) {
        worker->is_over = true;
        return;
    }
    if (!worker->is_deployed)
        return;
    if (kind == MESSAGE_TRIGGER)
        taskmanager_trigger(tasks, message->checkpoint);
    else if (kind == MESSAGE_OVERTAKE)
        taskmanager_overtake(tasks, message->checkpoint);
    else if (kind == MESSAGE_ABORT)
        taskmanager_abort(tasks, message->checkpoint);
    else if (kind == MESSAGE_STOP)
        taskmanager_stop(tasks);
    else if (kind == MESSAGE_DRAIN)
        taskmanager_drain(tasks);
    if (kind != MESSAGE_COMPLETE)
        return;
    taskmanager_complete(tasks, message->checkpoint);
    worker->to_publish = message->checkpoint;
}

static weir_error *take(struct worker *worker, uint32_t kind, weir_str payload)
{
    if (kind == MESSAGE_HEARTBEAT)
        return NULL;
    if (kind == MESSAGE_DEPLOY) {
        struct message_deploy message;
        WEIR_TRY(message_read(MESSAGE_DEPLOY, payload, &message));
        return message.attempt == worker->start.attempt
                   ? deploy(worker, &message)
                   : weir_errorf(WEIR_E_FENCED, "DEPLOY is of another attempt");
    }
    if (kind == MESSAGE_REFUSED) {
        struct message_refused message;
        WEIR_TRY(message_read(MESSAGE_REFUSED, payload, &message));
        return message_error(message.code, false, message.text);
    }
    if (!message_is_command(kind))
        return weir_errorf(WEIR_E_CORRUPT, "a message of kind %u is not for a worker", kind);
    struct message_command message;
    WEIR_TRY(message_read((enum message_kind)kind, payload, &message));
    if (message.attempt == worker->start.attempt)
        obey(worker, kind, &message);
    return NULL;
}

static void on_frame(void *arg, struct connection *connection, uint32_t kind, weir_str payload)
{
    struct worker *worker = arg;
    weir_error *error = take(worker, kind, payload);
    if (error == NULL)
        return;
    connection_close(connection);
    worker->connection = NULL;
    end(worker, error);
}

static void on_closed(void *arg, struct connection *connection, weir_error *why)
{
    struct worker *worker = arg;
    (void)connection;
    worker->connection = NULL;
    worker->lost_ms = os_monotonic_ms();
    if (!worker->is_deployed) {
        end(worker, weir_error_retriable(weir_error_wrap(why, "no job manager")));
        return;
    }
    log_warn("worker", "the job manager is gone (%s); the tasks go on, for %g s at most",
        weir_error_message(why), (double)worker->start.orphan_ms / 1000);
    weir_error_free(why);
}

static void on_opened(void *arg, struct connection *connection)
{
    const struct worker *worker = arg;
    struct message_hello message = { .protocol = MESSAGE_PROTOCOL,
        .job = worker->start.job,
        .attempt = worker->start.attempt,
        .worker = worker->start.worker,
        .secret = worker->start.secret,
        .fingerprint = worker->plan->fingerprint,
        .data_port = worker->wire == NULL ? 0 : wire_port(worker->wire) };
    connection_set_frame_max(connection, NET_FRAME_MAX);
    connection_keep(connection);
    message_send(connection, MESSAGE_HELLO, &message);
}

static const struct connection_handler handler = { .opened = on_opened,
    .frame = on_frame,
    .closed = on_closed };

/* -- time --------------------------------------------------------------------------------------------- */

static void send_metrics(struct worker *worker)
{
    weir_buffer *bytes = weir_buffer_new((size_t)64 << 20);
    uint32_t count = 0;
    struct worker_task_metrics *list = mem_alloc_array(worker->plan->subtask_count, sizeof(*list));
    for (uint32_t i = 0; worker->is_deployed && i < worker->plan->subtask_count; i++) {
        const struct task *task = taskmanager_task(worker->taskmanager, i);
        if (task != NULL)
            worker_metrics_read(task, i, &list[count++]);
    }
    worker_metrics_put(list, count, bytes);
    struct message_event message = { .epoch = worker->start.epoch,
        .attempt = worker->start.attempt,
        .bytes = weir_buffer_view(bytes) };
    message_send(worker->connection, MESSAGE_METRICS, &message);
    mem_free(list);
    weir_buffer_free(bytes);
}

static void look_at_publishing(struct worker *worker)
{
    uint64_t wanted = worker->to_publish;
    if (wanted == worker->published || !taskmanager_has_published(worker->taskmanager, wanted))
        return;
    worker->published = wanted;
    struct message_event message = { .epoch = worker->start.epoch,
        .attempt = worker->start.attempt,
        .checkpoint = wanted };
    if (worker->connection != NULL)
        message_send(worker->connection, MESSAGE_PUBLISHED, &message);
}

/* A step that has not come back: told, and then this process ends, because its thread cannot be ended. */
static void bite(struct worker *worker, const struct executor *slot, const struct task *task)
{
    const struct plan_vertex *vertex = task_vertex(task);
    uint32_t number = task_number(task);
    char what[OS_CRASH_TEXT_MAX];
    bool has_said = executor_ask(slot, what) && what[0] != '\0';
    os_child_tell(number);
    weir_error *error = weir_errorf(WEIR_E_TIMEOUT,
        "vertex '%s' (%u/%u) has not come back from its code for more than %g s: it loops, or "
        "waits for something%s%s; work that may wait belongs into an asynchronous call, and code "
        "that works that long needs a larger taskmanager.worker.watchdog",
        vertex->name, number - vertex->first_subtask + 1, vertex->parallelism,
        (double)worker->start.watchdog_ms / 1000, has_said ? ", in " : "", has_said ? what : "");
    log_error("worker", "%s", weir_error_message(error));
    os_exit(weir_code_exit(WEIR_E_TIMEOUT));
}

static void look_at_slots(struct worker *worker, int64_t now_ms)
{
    for (uint32_t i = 0; worker->start.watchdog_ms > 0 && i < worker->watched_count; i++) {
        const struct task *task;
        const struct executor *slot = taskmanager_slot(worker->taskmanager, i);
        uint64_t steps = executor_steps(slot, &task);
        struct watched *it = &worker->watched[i];
        if (task == NULL || steps != it->steps || it->since_ms == 0)
            *it = (struct watched){ .steps = steps, .since_ms = now_ms };
        else if (now_ms - it->since_ms > worker->start.watchdog_ms)
            bite(worker, slot, task);
    }
}

static void tick(struct worker *worker, int64_t now_ms)
{
    struct told told;
    while (inbox_take(worker->inbox, &told))
        on_told(worker, &told);
    if (worker->is_deployed)
        look_at_publishing(worker);
    if (worker->lost_ms > 0 && now_ms - worker->lost_ms > worker->start.orphan_ms)
        end(worker, weir_errorf(WEIR_E_TIMEOUT, "no job manager has come back within %g s",
                        (double)worker->start.orphan_ms / 1000));
    if (worker->connection != NULL &&
        now_ms - connection_heard_ms(worker->connection) > worker->start.timeout_ms) {
        connection_close(worker->connection);
        on_closed(worker, NULL, weir_errorf(WEIR_E_TIMEOUT, "it has said nothing for too long"));
    }
    if (now_ms < worker->next_beat_ms)
        return;
    worker->next_beat_ms = now_ms + worker->start.heartbeat_ms;
    look_at_slots(worker, now_ms);
    if (worker->connection != NULL && worker->is_deployed)
        send_metrics(worker);
}

int64_t worker_deadline_ms(const struct worker *worker)
{
    return worker->to_publish == worker->published
               ? worker->next_beat_ms
               : os_earlier(os_monotonic_ms() + PUBLISHED_MS, worker->next_beat_ms);
}

/* -- life ---------------------------------------------------------------------------------------------- */

/* In a signal handler. */
static void describe_crash(char *to, size_t size)
{
    uint32_t number;
    if (current_task(&number))
        os_child_tell(number);
    current_describe(to, size);
}

static weir_error *make_tls(struct worker *worker)
{
    const struct worker_start *start = &worker->start;
    if (start->ca_file.size == 0)
        return NULL;
    char *ca = message_text(start->ca_file), *cert = message_text(start->cert_file),
         *key = message_text(start->key_file);
    weir_error *error =
        wire_tls_init(&(struct tls_files){ .ca_file = ca, .cert_file = cert, .key_file = key },
            &worker->tls);
    mem_free(ca);
    mem_free(cert);
    mem_free(key);
    return error;
}

/* On its port, or the next one that is free: workers of a machine do not know of each other. */
static weir_error *listen_on(struct worker *worker, struct wire_options *options)
{
    uint32_t last = options->port == 0 ? 0 : options->port + DATA_PORTS - 1;
    for (;;) {
        weir_error *error = wire_new(options, &worker->wire);
        bool is_taken = error != NULL && weir_error_code(error) == WEIR_E_LIMIT;
        if (!is_taken || options->port >= last || options->port == UINT16_MAX)
            return error;
        weir_error_free(error);
        options->port++;
    }
}

static weir_error *make_wire(struct worker *worker)
{
    const struct worker_start *start = &worker->start;
    if (start->worker_count <= 1)
        return NULL;
    char *job = arena_printf(&worker->arena, "%.*s", (int)start->job.size, start->job.data);
    struct wire_options options = {
        .host = arena_printf(&worker->arena, "%.*s", (int)start->host.size, start->host.data),
        .port = (uint16_t)start->data_port,
        .self = { .job = job,
            .attempt = start->attempt,
            .worker = start->worker,
            .worker_count = start->worker_count },
        .crypto = worker->tls.client == NULL ? NULL : &worker->tls.crypto,
        .workers = worker->workers,
        .silence_ms = start->timeout_ms,
        .failed = wire_failed,
        .arg = worker,
    };
    /* A token is 64 hexadecimal digits of 32 random bytes: half of them are secret enough. */
    if (start->secret.size < WIRE_FRAME_SECRET)
        return weir_errorf(WEIR_E_CORRUPT, "the secret of the attempt is too short");
    memcpy(options.self.secret, start->secret.data, WIRE_FRAME_SECRET);
    return listen_on(worker, &options);
}

static struct inbox *make_inbox(const struct worker *worker)
{
    return inbox_new(worker->plan->subtask_count * 16 + 64 + JOBS_MAX, sizeof(struct told));
}

static weir_error *open_worker(struct worker *worker, weir_str bytes)
{
    char host[ADDRESS_HOST_SIZE];
    uint16_t port;
    bool is_threaded = worker->options->worker_count > 0;
    worker->start_bytes = mem_alloc(bytes.size + 1);
    memcpy(worker->start_bytes, bytes.data, bytes.size);
    bytes.data = worker->start_bytes;
    WEIR_TRY(msgpack_decode(&worker_start_type, bytes, NULL, &worker->start));
    worker->net = net_new();
    worker->workers = workers_new(worker->options->worker_count, JOBS_MAX);
    struct taskmanager_options options = { .plan = worker->plan,
        .memory_size = worker->start.memory_size,
        .is_threaded = is_threaded };
    worker->taskmanager = taskmanager_new(&options);
    if (strcmp(worker->options->backend->format, backend_rocksdb.format) == 0)
        rocksdb_set_cache_size(taskmanager_cache_size(worker->taskmanager));
    worker->inbox = make_inbox(worker);
    WEIR_TRY(make_tls(worker));
    WEIR_TRY(make_wire(worker));
    worker->text[2] = message_text(worker->start.jobmanager);
    if (!address_split(worker->text[2], host, &port))
        return weir_errorf(WEIR_E_CORRUPT, "'%s' is no address of a job manager", worker->text[2]);
    worker->connection = net_connect(worker->net, host, port, worker->tls.client, &handler, worker);
    return NULL;
}

static void free_worker(struct worker *worker)
{
    struct told told;
    if (worker->taskmanager != NULL && worker->is_deployed)
        taskmanager_tear_down(worker->taskmanager, NULL);
    wire_free(worker->wire);
    if (worker->connection != NULL)
        connection_close_flushed(worker->connection);
    taskmanager_free(worker->taskmanager);
    if (worker->workers != NULL)
        workers_free(worker->workers);
    while (worker->inbox != NULL && inbox_take(worker->inbox, &told)) {
        subtask_snapshot_free(told.snapshot);
        weir_error_free(told.error);
    }
    if (worker->inbox != NULL)
        inbox_free(worker->inbox);
    if (worker->net != NULL)
        net_free(worker->net);
    wire_tls_release(&worker->tls);
    if (worker->has_restore)
        checkpoint_metadata_release(&worker->restore);
    arena_release(&worker->arena);
    for (size_t i = 0; i < sizeof(worker->text) / sizeof(worker->text[0]); i++)
        mem_free(worker->text[i]);
    mem_free(worker->checkpoint_dir);
    mem_free(worker->watched);
    mem_free(worker->start_bytes);
    mem_free(worker);
}

struct worker *worker_open(const struct plan *plan, const struct local_options *options,
    weir_str start)
{
    struct worker *worker = mem_alloc(sizeof(*worker));
    *worker = (struct worker){ .plan = plan, .options = options };
    arena_init(&worker->arena, 4096, (size_t)256 << 20);
    weir_error *error = open_worker(worker, start);
    if (error != NULL)
        end(worker, error);
    return worker;
}

bool worker_step(struct worker *worker, int64_t limit_ms)
{
    if (!worker->is_over)
        tick(worker, os_monotonic_ms());
    if (worker->is_over)
        return false;
    int64_t left_ms = os_left_ms(worker_deadline_ms(worker), os_monotonic_ms());
    net_wait(worker->net, limit_ms >= 0 && limit_ms < left_ms ? limit_ms : left_ms);
    return !worker->is_over;
}

struct taskmanager *worker_tasks(struct worker *worker)
{
    return worker->watched != NULL ? worker->taskmanager : NULL; /* else it could not be deployed */
}

struct workers *worker_workers(struct worker *worker)
{
    return worker->workers;
}

struct wire *worker_wire(struct worker *worker)
{
    return worker->watched != NULL ? worker->wire : NULL;
}

weir_error *worker_close(struct worker *worker)
{
    weir_error *error = worker->error;
    free_worker(worker);
    return error;
}

weir_error *worker_run(const struct plan *plan, const struct local_options *options)
{
    char *bytes;
    size_t size;
    WEIR_TRY(os_child_input(START_SIZE_MAX, &bytes, &size));
    os_crash_watch(describe_crash);
    struct worker *worker = worker_open(plan, options, (weir_str){ .data = bytes, .size = size });
    mem_free(bytes);
    while (worker_step(worker, -1))
        continue;
    return worker_close(worker);
}

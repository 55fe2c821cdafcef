/* gateway_connection.c -- what the workers of a job say: HELLO, what becomes of their tasks, how much those do; and the
 * end of a connection. Prefixes: gateway_ */
#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "runtime/cluster/gateway_private.h"

#include <inttypes.h>

/* What a task can have to tell between two steps, each of which the job manager takes all of: that it runs and has ended,
 * and one ack, decline and failure. More is not heard, or a worker that has gone mad would fill the job manager's inbox,
 * which is everybody's end: it has room for 16 (jobmanager.c). */
#define EVENTS_PER_TASK 6

static void on_acked(struct gateway *gateway, const struct message_event *message, uint32_t worker)
{
    struct checkpoint_metadata metadata;
    weir_error *error = checkpoint_decode(message->bytes, "the snapshot of a worker", &metadata);
    if (error == NULL && message->identities.size > 0 &&
        !checkpoint_take_identities(&metadata, message->identities)) {
        error =
            weir_errorf(WEIR_E_CORRUPT, "the snapshot of a worker names other files than it has");
        checkpoint_metadata_release(&metadata);
    }
    if (error != NULL) {
        gateway_fail(gateway, worker, error);
        return;
    }
    struct subtask_snapshot *snapshot = subtask_snapshot_new(message->checkpoint, message->subtask);
    arena_release(&snapshot->arena);
    snapshot->arena = metadata.arena; /* with all that the operators point to */
    snapshot->operators = metadata.operators;
    snapshot->operator_count = metadata.operator_count;
    snapshot->sync_us = message->sync_us;
    snapshot->async_us = message->async_us;
    snapshot->alignment_us = message->alignment_us;
    gateway->host.acked(gateway->host.arg, snapshot);
}

/* A task that has failed has an error always: here 0 is a code as others are. */
static weir_error *error_of(const struct message_event *message)
{
    if (message->code == WEIR_E_DATA)
        return weir_errorf(WEIR_E_DATA, "%.*s", (int)message->text.size,
            message->text.data == NULL ? "" : message->text.data);
    return message_error(message->code, message->is_retriable, message->text);
}

static void take_metrics(struct gateway *gateway, uint32_t worker, weir_str bytes)
{
    if (!worker_metrics_get(bytes, gateway->metrics, gateway->options.plan->subtask_count))
        gateway_fail(gateway, worker,
            weir_errorf(WEIR_E_CORRUPT, "the metrics of a worker are damaged"));
}

static void on_metrics(struct gateway *gateway, uint32_t worker, weir_str bytes)
{
    uint32_t count = gateway->options.plan->subtask_count;
    int64_t now_ms = os_monotonic_ms();
    take_metrics(gateway, worker, bytes);
    for (uint32_t i = 0; i < count; i++)
        if (gateway->placement[i] == worker)
            rates_told(gateway->rates, &gateway->metrics[i], now_ms);
}

static void on_event(struct gateway *gateway, uint32_t worker, uint32_t kind,
    const struct message_event *message)
{
    const struct task_host *host = &gateway->host;
    switch (kind) {
    case MESSAGE_RUNNING:
        gateway->states[message->subtask] = TASK_RUNNING;
        host->running(host->arg, message->subtask);
        return;
    case MESSAGE_ENDED:
        gateway->states[message->subtask] = TASK_ENDED;
        if (message->bytes.size > 0)
            take_metrics(gateway, worker, message->bytes);
        host->ended(host->arg, message->subtask);
        return;
    case MESSAGE_ACKED:
        FAULT_STEP_VOID(ACK_ARRIVE, on_acked(gateway, message, worker));
        return;
    case MESSAGE_DECLINED:
        host->declined(host->arg, message->checkpoint, message->subtask, error_of(message));
        return;
    case MESSAGE_FAILED:
        gateway->workers[worker].has_failed = true;
        gateway->states[message->subtask] = TASK_FAILED;
        gateway_report_failure(gateway, worker, message->is_of_worker ? 0 : message->subtask + 1,
            error_of(message));
        return;
    case MESSAGE_PUBLISHED:
        gateway->workers[worker].published = message->checkpoint;
        jobmanager_wake(host->arg);
        return;
    case MESSAGE_METRICS:
        on_metrics(gateway, worker, message->bytes);
        message_send(gateway->workers[worker].connection, MESSAGE_HEARTBEAT,
            &(struct message_heartbeat){ .epoch = gateway->options.epoch });
        return;
    default:
        gateway_fail(gateway, worker,
            weir_errorf(WEIR_E_CORRUPT,
                "a worker has sent a message of kind %u, which is none of its own", kind));
    }
}

static uint32_t index_of(const struct gateway *gateway, const struct connection *connection)
{
    uint32_t i = 0;
    while (i < gateway->worker_count && gateway->workers[i].connection != connection)
        i++;
    ASSERT(i < gateway->worker_count);
    return i;
}

static bool is_of_task(uint32_t kind)
{
    return kind == MESSAGE_RUNNING || kind == MESSAGE_ENDED || kind == MESSAGE_ACKED ||
           kind == MESSAGE_DECLINED || kind == MESSAGE_FAILED;
}

static void on_frame(void *arg, struct connection *connection, uint32_t kind, weir_str payload)
{
    struct gateway *gateway = arg;
    uint32_t worker = index_of(gateway, connection);
    struct message_event message;
    if (!message_is_event(kind)) {
        on_event(gateway, worker, kind, NULL);
        return;
    }
    weir_error *error = message_read((enum message_kind)kind, payload, &message);
    if (error == NULL && is_of_task(kind) &&
        (message.subtask >= gateway->options.plan->subtask_count ||
            gateway->placement[message.subtask] != worker))
        error = weir_errorf(WEIR_E_CORRUPT, "worker %u speaks for subtask %u, which is not its own",
            worker, message.subtask);
    struct gateway_worker *it = &gateway->workers[worker];
    if (error == NULL && is_of_task(kind) && ++it->told > EVENTS_PER_TASK * (it->task_count + 1))
        error = weir_errorf(WEIR_E_CORRUPT, "worker %u of %u tasks tells of them without end",
            worker, it->task_count);
    if (error != NULL)
        gateway_fail(gateway, worker, error);
    else if (message.attempt == gateway->deployed.attempt)
        on_event(gateway, worker, kind, &message);
}

static void on_closed(void *arg, struct connection *connection, weir_error *why)
{
    struct gateway *gateway = arg;
    struct gateway_worker *worker = &gateway->workers[index_of(gateway, connection)];
    log_debug("job", "the connection to worker %u of '%s' is gone: %s",
        (unsigned)(worker - gateway->workers), gateway->options.job, weir_error_message(why));
    weir_error_free(why);
    worker->connection = NULL;
    worker->lost_ms = os_monotonic_ms();
    jobmanager_wake(gateway->host.arg);
}

static const struct connection_handler handler = { .frame = on_frame, .closed = on_closed };

weir_error *gateway_hello(struct gateway *gateway, struct connection *connection,
    const struct message_hello *hello)
{
    bool is_expected =
        gateway->state == GATEWAY_STARTING && hello->attempt == gateway->deployed.attempt &&
        hello->worker < gateway->worker_count && !gateway->workers[hello->worker].is_here &&
        !gateway->workers[hello->worker].is_leaving;
    if (!is_expected || !token_equal(hello->secret, weir_str_of(gateway->secret)))
        return weir_errorf(WEIR_E_FENCED,
            "no worker %u of attempt %" PRIu64 " is expected now: another attempt has taken over",
            hello->worker, hello->attempt);
    if (gateway->worker_count > 1 && (hello->data_port == 0 || hello->data_port > UINT16_MAX))
        return weir_errorf(WEIR_E_CORRUPT, "worker %u says that its data port is %u", hello->worker,
            hello->data_port);
    if (hello->fingerprint != gateway->options.plan->fingerprint) {
        gateway_fail(gateway, hello->worker,
            weir_errorf(WEIR_E_PLAN,
                "the job's plan differs from the one that was submitted (fingerprint %016" PRIx64
                ", not %016" PRIx64 "): its build function depends on something besides its "
                "arguments, for example the environment, a file or the time; make it an argument",
                hello->fingerprint, gateway->options.plan->fingerprint));
        return weir_errorf(WEIR_E_PLAN, "the plan differs from the one that was submitted");
    }
    struct gateway_worker *worker = &gateway->workers[hello->worker];
    worker->connection = connection;
    worker->is_here = true;
    worker->data_port = (uint16_t)hello->data_port;
    connection_set_handler(connection, &handler, gateway);
    connection_set_frame_max(connection, NET_FRAME_MAX);
    connection_keep(connection);
    if (++gateway->hello_count == gateway->worker_count)
        FAULT_STEP_VOID(DEPLOY_SEND, gateway_send_deploy(gateway));
    return NULL;
}

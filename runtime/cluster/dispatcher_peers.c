/* dispatcher_peers.c -- who has connected: task managers, and workers on their way to their job's gateway.
 * Prefixes: dispatcher_, peers_
 *
 * Nothing is believed before REGISTER or HELLO: frames are short till then, and a connection that does not
 * say who it is within NET_HANDSHAKE_MS is closed. */
#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/plural.h"
#include "net/token.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/conf.h"
#include "runtime/cluster/dispatcher_private.h"
#include <weir/weir.h>

#include <inttypes.h>

#define ID_SIZE_MAX 256u

static void forget_peer(struct peer *peer)
{
    struct peer **link = &peer->dispatcher->peers;
    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    mem_free(peer);
}

/* Its jobs hear of it first: they still name it. */
static void lose_task_manager(struct peer *peer, const char *why)
{
    struct dispatcher *dispatcher = peer->dispatcher;
    struct task_manager *it = peer->task_manager;
    if (it == NULL)
        return;
    log_warn("dispatcher", "task manager '%s' (%s) is lost: %s", it->id, it->host, why);
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        struct entry *entry = dispatcher->entries[i];
        if (entry->gateway != NULL)
            gateway_task_manager_lost(entry->gateway, it);
        if (entry->planner == it)
            entry->planner = NULL;
    }
    logs_lost(dispatcher, it);
    resources_lost(dispatcher->resources, it);
    peer->task_manager = NULL;
}

/* Takes the error, and ends the connection when that was said. */
static void refuse(struct peer *peer, weir_error *error)
{
    log_warn("dispatcher", "%s is refused: %s", connection_peer(peer->connection),
        weir_error_message(error));
    struct message_refused message = { .code = (int32_t)weir_error_code(error),
        .text = weir_str_of(weir_error_message(error)) };
    message_send(peer->connection, MESSAGE_REFUSED, &message);
    connection_close_flushed(peer->connection);
    lose_task_manager(peer, weir_error_message(error));
    weir_error_free(error);
    forget_peer(peer);
}

static weir_error *check_protocol(uint32_t protocol, const char *fix)
{
    if (protocol == MESSAGE_PROTOCOL)
        return NULL;
    return weir_errorf(WEIR_E_STATE,
        "it speaks version %u of the protocol, this job manager version %u (of weir %s): %s",
        protocol, MESSAGE_PROTOCOL, WEIR_VERSION, fix);
}

/* -- task managers -------------------------------------------------------------------------------- */

/* It gets executables and data, and what it says of jobs is believed. */
static weir_error *check_user(const struct peer *peer)
{
    if (!peer->dispatcher->options.asks_user)
        return NULL;
    weir_error *error = connection_check_user(peer->connection);
    return error == NULL
               ? NULL
               : weir_error_wrap(error, "all processes of a cluster run as one user, or use "
                                        "security.ssl.enabled and the same security.token-file");
}

static weir_error *check_register(const struct peer *peer, const struct message_register *message)
{
    const struct dispatcher *dispatcher = peer->dispatcher;
    WEIR_TRY(
        check_protocol(message->protocol, "run one version of Weir on all machines of a cluster"));
    if (dispatcher->options.token != NULL &&
        !token_equal(message->token, weir_str_of(dispatcher->options.token)))
        return weir_errorf(WEIR_E_USAGE, "its token is not that of this cluster: give all "
                                         "processes the same security.token-file");
    WEIR_TRY(check_user(peer));
    if (message->epoch > dispatcher->options.epoch)
        return weir_errorf(WEIR_E_FENCED,
            "epoch %" PRIu64 " has begun: this job manager (epoch %" PRIu64 ") leads no more",
            message->epoch, dispatcher->options.epoch);
    if (message->slot_count < 1 || message->slot_count > CONF_SLOTS_MAX || message->id.size == 0 ||
        message->id.size > ID_SIZE_MAX || message->host.size == 0 ||
        message->host.size >= ADDRESS_HOST_SIZE || message->memory_size == 0)
        return weir_errorf(WEIR_E_CORRUPT, "its REGISTER message is damaged");
    return NULL;
}

/* Has it come back before its old connection was found dead? */
static void replace_old(const struct peer *peer, const char *id)
{
    struct dispatcher *dispatcher = peer->dispatcher;
    for (struct peer *old = dispatcher->peers; old != NULL; old = old->next) {
        if (old == peer || old->task_manager == NULL || strcmp(old->task_manager->id, id) != 0)
            continue;
        connection_close(old->connection);
        lose_task_manager(old, "it has registered again");
        forget_peer(old);
        return;
    }
}

static void answer_register(struct peer *peer)
{
    struct dispatcher *dispatcher = peer->dispatcher;
    struct arena arena;
    arena_init(&arena, 4096, (size_t)16 << 20);
    const char **jobs = mem_alloc_array(dispatcher->entry_count + 1, sizeof(*jobs));
    uint32_t count = 0;
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        if (dispatcher->entries[i]->phase != ENTRY_OVER)
            jobs[count++] = dispatcher->entries[i]->job.id;
    }
    struct message_registered message = { .epoch = dispatcher->options.epoch,
        .heartbeat_ms = (uint32_t)dispatcher->options.heartbeat_ms,
        .timeout_ms = (uint32_t)dispatcher->options.heartbeat_timeout_ms,
        .blobs = weir_str_of(dispatcher->options.blobs_url),
        .jobs = message_put_strings(jobs, count, &arena) };
    message_send(peer->connection, MESSAGE_REGISTERED, &message);
    mem_free(jobs);
    arena_release(&arena);
}

static weir_error *on_register(struct peer *peer, const struct message_register *message)
{
    struct dispatcher *dispatcher = peer->dispatcher;
    WEIR_TRY(check_register(peer, message));
    char *id = mem_printf("%.*s", (int)message->id.size, message->id.data);
    char *host = mem_printf("%.*s", (int)message->host.size, message->host.data);
    replace_old(peer, id);
    struct task_manager *it =
        resources_add(dispatcher->resources, id, host, message->slot_count, message->memory_size);
    mem_free(id);
    mem_free(host);
    if (it == NULL)
        return weir_errorf(WEIR_E_LIMIT, "%u task managers are registered: more are not taken",
            RESOURCES_MAX);
    it->connection = peer->connection;
    peer->task_manager = it;
    connection_set_frame_max(peer->connection, NET_FRAME_MAX);
    connection_keep(peer->connection);
    log_info("dispatcher", "task manager '%s' (%s) has registered with %u slot%s", it->id, it->host,
        it->slot_count, plural(it->slot_count));
    answer_register(peer);
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        if (dispatcher->entries[i]->gateway != NULL)
            gateway_end_older(dispatcher->entries[i]->gateway, it);
    }
    return NULL;
}

static void on_planned(const struct dispatcher *dispatcher, const struct message_planned *message)
{
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        struct entry *entry = dispatcher->entries[i];
        if (entry->plan_request[0] == '\0' ||
            !weir_str_equal(message->request, weir_str_of(entry->plan_request)))
            continue;
        entry_planned(entry, message->spec,
            message->spec.size > 0
                ? NULL
                : weir_error_wrap(message_error(message->code, false, message->text),
                      "the job cannot be planned"));
        return;
    }
}

static void on_worker_ended(const struct dispatcher *dispatcher,
    const struct message_worker_ended *message)
{
    for (uint32_t i = 0; i < dispatcher->entry_count; i++) {
        struct entry *entry = dispatcher->entries[i];
        if (entry->gateway != NULL && weir_str_equal(message->job, weir_str_of(entry->job.id)))
            gateway_worker_ended(entry->gateway, message);
    }
}

static void on_heartbeat(const struct peer *peer, const struct message_heartbeat *message)
{
    struct dispatcher *dispatcher = peer->dispatcher;
    struct task_manager *it = peer->task_manager;
    it->rss_size = message->rss_size;
    if (message->is_leaving && !it->is_leaving) {
        log_info("dispatcher",
            "task manager '%s' (%s) leaves: jobs that it has slots of go on elsewhere", it->id,
            it->host);
        resources_leave(dispatcher->resources, it); /* all jobs look at what they have there */
    }
    message_send(peer->connection, MESSAGE_HEARTBEAT,
        &(struct message_heartbeat){ .epoch = dispatcher->options.epoch,
            .is_leaving = it->is_leaving });
}

static weir_error *on_task_manager(struct peer *peer, uint32_t kind, weir_str payload)
{
    union {
        struct message_heartbeat heartbeat;
        struct message_planned planned;
        struct message_worker_ended ended;
        struct message_logged logged;
    } message;
    if (kind != MESSAGE_HEARTBEAT && kind != MESSAGE_PLANNED && kind != MESSAGE_WORKER_ENDED &&
        kind != MESSAGE_LOGGED)
        return weir_errorf(WEIR_E_CORRUPT, "a message of kind %u is not for a job manager", kind);
    WEIR_TRY(message_read((enum message_kind)kind, payload, &message));
    if (kind == MESSAGE_HEARTBEAT) {
        on_heartbeat(peer, &message.heartbeat);
    } else if (kind == MESSAGE_PLANNED) {
        on_planned(peer->dispatcher, &message.planned);
    } else if (kind == MESSAGE_LOGGED) {
        logs_answered(peer->dispatcher, peer->task_manager, &message.logged);
    } else {
        on_worker_ended(peer->dispatcher, &message.ended);
    }
    return NULL;
}

/* -- workers ---------------------------------------------------------------------------------------- */

static weir_error *on_hello(struct peer *peer, const struct message_hello *message)
{
    char id[DISPATCHER_ID_SIZE];
    WEIR_TRY(check_protocol(message->protocol, "build the job again with this libweir"));
    if (!address_is_id(message->job))
        return weir_errorf(WEIR_E_CORRUPT, "its HELLO message is damaged");
    memcpy(id, message->job.data, message->job.size);
    id[message->job.size] = '\0';
    struct entry *entry = dispatcher_entry(peer->dispatcher, id);
    if (entry == NULL || entry->gateway == NULL)
        return weir_errorf(WEIR_E_FENCED, "job %s does not run here", id);
    weir_error *error;
    FAULT_STEP_VOID(HELLO_RECEIVE,
        error = gateway_hello(entry->gateway, peer->connection, message));
    return error;
}

/* -- frames ------------------------------------------------------------------------------------------- */

/* *is_gone: the connection is somebody else's now. */
static weir_error *on_stranger(struct peer *peer, uint32_t kind, weir_str payload, bool *is_gone)
{
    union {
        struct message_register registers;
        struct message_hello hello;
    } message;
    if (kind != MESSAGE_REGISTER && kind != MESSAGE_HELLO)
        return weir_errorf(WEIR_E_CORRUPT, "it has not said who it is");
    WEIR_TRY(message_read((enum message_kind)kind, payload, &message));
    if (kind == MESSAGE_REGISTER)
        return on_register(peer, &message.registers);
    WEIR_TRY(on_hello(peer, &message.hello));
    *is_gone = true;
    return NULL;
}

static void on_frame(void *arg, struct connection *connection, uint32_t kind, weir_str payload)
{
    struct peer *peer = arg;
    bool is_gone = false;
    (void)connection;
    weir_error *error = peer->task_manager != NULL ? on_task_manager(peer, kind, payload)
                                                   : on_stranger(peer, kind, payload, &is_gone);
    if (error != NULL)
        refuse(peer, error);
    else if (is_gone)
        forget_peer(peer);
}

static void on_closed(void *arg, struct connection *connection, weir_error *why)
{
    struct peer *peer = arg;
    (void)connection;
    lose_task_manager(peer, weir_error_message(why));
    weir_error_free(why);
    forget_peer(peer);
}

static const struct connection_handler handler = { .frame = on_frame, .closed = on_closed };

bool dispatcher_accepted(void *arg, struct connection *connection)
{
    struct dispatcher *dispatcher = arg;
    struct peer *peer = mem_alloc(sizeof(*peer));
    *peer = (struct peer){ .next = dispatcher->peers,
        .dispatcher = dispatcher,
        .connection = connection };
    dispatcher->peers = peer;
    connection_set_handler(connection, &handler, peer);
    return true;
}

/* -- time ----------------------------------------------------------------------------------------------- */

static bool is_silent(const struct peer *peer, int64_t now_ms)
{
    return peer->task_manager != NULL && now_ms - connection_heard_ms(peer->connection) >
                                             peer->dispatcher->options.heartbeat_timeout_ms;
}

void peers_step(struct dispatcher *dispatcher, int64_t now_ms)
{
    struct peer *next;
    for (struct peer *peer = dispatcher->peers; peer != NULL; peer = next) {
        next = peer->next;
        if (!is_silent(peer, now_ms))
            continue;
        connection_close(peer->connection);
        lose_task_manager(peer, "it has said nothing for too long");
        forget_peer(peer);
    }
}

int64_t peers_deadline_ms(const struct dispatcher *dispatcher)
{
    int64_t deadline = INT64_MAX;
    for (const struct peer *peer = dispatcher->peers; peer != NULL; peer = peer->next) {
        if (peer->task_manager == NULL)
            continue;
        int64_t at_ms =
            connection_heard_ms(peer->connection) + dispatcher->options.heartbeat_timeout_ms + 1;
        deadline = os_earlier(at_ms, deadline);
    }
    return deadline;
}

void peers_free(struct dispatcher *dispatcher)
{
    while (dispatcher->peers != NULL) {
        struct peer *peer = dispatcher->peers;
        dispatcher->peers = peer->next;
        connection_close_flushed(peer->connection);
        mem_free(peer);
    }
}

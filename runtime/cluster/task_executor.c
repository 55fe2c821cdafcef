/* task_executor.c -- see task_executor.h. */
#include "runtime/cluster/task_executor.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/os.h"
#include "base/os_process.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/task_executor_private.h"
#include <weir/weir.h>

#include <inttypes.h>

#define RETRY_MS     250                               /* until the next address is tried */
#define RETRY_MAX_MS 2000                              /* when none has answered for a while */
#define ERRANDS_MAX  (TASK_EXECUTOR_CHILDREN_MAX + 64) /* executables fetched, logs read */

/* -- messages ----------------------------------------------------------------------------------------- */

static weir_error *on_start(struct task_executor *executor, const struct message_start *message)
{
    struct child *child = child_add(executor, "worker", message->job, message->digest,
        message->program, message->arguments);
    if (child == NULL)
        return weir_errorf(WEIR_E_CORRUPT,
            "a START message is damaged, or there are too many workers");
    child->attempt = message->attempt;
    child->worker = message->worker;
    child->worker_count = message->worker_count;
    child->memory_size = message->memory_size;
    child->secret = message_text(message->secret);
    child_begin(executor, child);
    return NULL;
}

static weir_error *on_plan(struct task_executor *executor, const struct message_plan *message)
{
    struct child *child = child_add(executor, "plan", message->request, message->digest,
        message->program, message->arguments);
    if (child == NULL)
        return weir_errorf(WEIR_E_CORRUPT,
            "a PLAN message is damaged, or there are too many workers");
    child->is_planner = true;
    child->memory_size = executor->options.memory_size / executor->options.slot_count;
    child_begin(executor, child);
    return NULL;
}

static void on_kill(struct task_executor *executor, const struct message_kill *message)
{
    int64_t kill_by_ms = os_monotonic_ms() + message->grace_ms;
    for (struct child *child = executor->children; child != NULL; child = child->next) {
        if (!child->is_planner && child->attempt <= message->attempt &&
            weir_str_equal(message->job, weir_str_of(child->job)))
            child_end(child, kill_by_ms);
    }
}

/* Workers of jobs that are over, or that a new leader has never heard of. */
static weir_error *end_unknown(struct task_executor *executor, weir_str jobs)
{
    struct arena arena;
    const char **list;
    uint32_t count;
    arena_init(&arena, 4096, (size_t)16 << 20);
    bool is_sound = message_take_strings(jobs, 1u << 20, &arena, &list, &count);
    for (struct child *child = executor->children; is_sound && child != NULL; child = child->next) {
        uint32_t i = 0;
        while (i < count && strcmp(list[i], child->job) != 0)
            i++;
        if (i == count)
            child_end(child, os_monotonic_ms());
    }
    arena_release(&arena);
    return is_sound ? NULL : weir_errorf(WEIR_E_CORRUPT, "a REGISTERED message is damaged");
}

/* What it orders is done as this user, so whoever has found its port free must not be taken for it. */
static weir_error *check_user(const struct task_executor *executor)
{
    if (!executor->options.asks_user)
        return NULL;
    weir_error *error = connection_check_user(executor->connection);
    return error == NULL
               ? NULL
               : weir_error_wrap(error, "all processes of a cluster run as one user, or use "
                                        "security.ssl.enabled");
}

static weir_error *on_registered(struct task_executor *executor,
    const struct message_registered *message)
{
    const struct task_executor_options *options = &executor->options;
    WEIR_TRY(check_user(executor));
    executor->epoch = message->epoch;
    executor->is_registered = true;
    executor->is_leave_known = false;
    executor->next_beat_ms = executor->is_leaving ? 0 : executor->next_beat_ms;
    executor->retry_ms = RETRY_MS;
    executor->heartbeat_ms = message->heartbeat_ms;
    executor->timeout_ms = message->timeout_ms;
    mem_free(executor->told);
    executor->told = NULL;
    mem_free(executor->blobs_url);
    executor->blobs_url = message_text(message->blobs);
    connection_keep(executor->connection);
    log_info("taskmanager", "'%s' is registered at job manager %s, epoch %" PRIu64, options->id,
        executor->address, message->epoch);
    return end_unknown(executor, message->jobs);
}

/* -- logs ---------------------------------------------------------------------------------------------- */

/* Thread: worker while it runs, else control. */
struct log_job {
    struct task_executor *executor;
    uint64_t request;
    struct log_question question;
    char *name;
    weir_buffer *bytes;
    weir_error *error;
};

static void run_log(void *arg)
{
    struct log_job *job = arg;
    job->error = log_dir_answer(job->executor->options.logs, &job->question, job->bytes);
}

static void on_log_read(void *arg, bool is_over)
{
    struct log_job *job = arg;
    struct task_executor *executor = job->executor;
    struct message_logged message = { .epoch = executor->epoch,
        .request = job->request,
        .bytes = weir_buffer_view(job->bytes) };
    if (job->error != NULL) {
        message.code = (int32_t)weir_error_code(job->error);
        message.text = weir_str_of(weir_error_message(job->error));
    }
    if (!is_over && executor->is_registered)
        message_send(executor->connection, MESSAGE_LOGGED, &message);
    weir_error_free(job->error);
    weir_buffer_free(job->bytes);
    mem_free(job->name);
    mem_free(job);
}

static weir_error *on_log(struct task_executor *executor, const struct message_log *message)
{
    if (message->kind >= LOG_KIND_COUNT || executor->options.logs == NULL)
        return weir_errorf(WEIR_E_CORRUPT, "a LOG message is damaged");
    struct log_job *job = mem_alloc(sizeof(*job));
    *job = (struct log_job){ .executor = executor,
        .request = message->request,
        .name = message_text(message->name),
        .bytes = weir_buffer_new(NET_FRAME_MAX) };
    job->question = (struct log_question){ .kind = (enum log_kind)message->kind,
        .name = weir_str_of(job->name),
        .offset = message->offset };
    if (!errands_submit(executor->errands, NULL, run_log, on_log_read, job)) {
        job->error =
            weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting on the task manager");
        on_log_read(job, false);
    }
    return NULL;
}

static void on_heartbeat(struct task_executor *executor, const struct message_heartbeat *message)
{
    executor->is_leave_known = executor->is_leave_known || message->is_leaving;
}

static weir_error *take(struct task_executor *executor, uint32_t kind, const void *message)
{
    switch (kind) {
    case MESSAGE_REGISTERED:
        return on_registered(executor, message);
    case MESSAGE_HEARTBEAT:
        on_heartbeat(executor, message);
        return NULL;
    case MESSAGE_PLAN:
        return on_plan(executor, message);
    case MESSAGE_START:
        return on_start(executor, message);
    case MESSAGE_KILL:
        on_kill(executor, message);
        return NULL;
    case MESSAGE_LOG:
        return on_log(executor, message);
    case MESSAGE_REFUSED: {
        const struct message_refused *refused = message;
        return weir_error_wrap(message_error(refused->code, false, refused->text),
            "it refuses this task manager");
    }
    default:
        return weir_errorf(WEIR_E_CORRUPT, "a message of kind %u is not for a task manager", kind);
    }
}

union any_message {
    uint64_t epoch; /* first member of all but REFUSED */
    struct message_refused refused;
    struct message_registered registered;
    struct message_heartbeat heartbeat;
    struct message_plan plan;
    struct message_start start;
    struct message_kill kill;
    struct message_log log;
};

static weir_error *read_frame(struct task_executor *executor, uint32_t kind, weir_str payload)
{
    union any_message message;
    const struct weir_type *type = message_type(kind);
    if (type == NULL || type->size > sizeof(message))
        return weir_errorf(WEIR_E_CORRUPT, "a message of kind %u is not for a task manager", kind);
    WEIR_TRY(message_read((enum message_kind)kind, payload, &message));
    if (kind != MESSAGE_REFUSED && message.epoch < executor->epoch)
        return weir_errorf(WEIR_E_FENCED,
            "it speaks for epoch %" PRIu64 ", but %" PRIu64 " has begun: it is no leader any more",
            message.epoch, executor->epoch);
    if (kind != MESSAGE_REFUSED && kind != MESSAGE_REGISTERED && !executor->is_registered)
        return weir_errorf(WEIR_E_CORRUPT, "%s came before REGISTERED", message_kind_name(kind));
    return take(executor, kind, &message);
}

/* -- the connection ------------------------------------------------------------------------------------ */

/* Why there is no connection is said once, not at every try. */
static void disconnect(struct task_executor *executor, const char *why)
{
    bool is_news =
        executor->is_registered || executor->told == NULL || strcmp(executor->told, why) != 0;
    log_line(is_news ? LOG_WARN : LOG_DEBUG, "taskmanager", "no connection to job manager %s: %s",
        executor->address, why);
    if (is_news) {
        mem_free(executor->told);
        executor->told = mem_strdup(why);
    }
    executor->connection = NULL;
    executor->is_registered = false;
    executor->next_try_ms = os_monotonic_ms() + executor->retry_ms;
    executor->retry_ms =
        executor->retry_ms * 2 < RETRY_MAX_MS ? executor->retry_ms * 2 : RETRY_MAX_MS;
}

static void on_frame(void *arg, struct connection *connection, uint32_t kind, weir_str payload)
{
    struct task_executor *executor = arg;
    weir_error *error = read_frame(executor, kind, payload);
    if (error == NULL)
        return;
    connection_close(connection);
    disconnect(executor, weir_error_message(error));
    weir_error_free(error);
}

static void on_closed(void *arg, struct connection *connection, weir_error *why)
{
    (void)connection;
    disconnect(arg, weir_error_message(why));
    weir_error_free(why);
}

static void on_opened(void *arg, struct connection *connection)
{
    struct task_executor *executor = arg;
    const struct task_executor_options *options = &executor->options;
    struct message_register message = { .protocol = MESSAGE_PROTOCOL,
        .version = WEIR_STR(WEIR_VERSION),
        .token = weir_str_of(options->token),
        .id = weir_str_of(options->id),
        .host = weir_str_of(options->host),
        .slot_count = options->slot_count,
        .memory_size = options->memory_size,
        .epoch = executor->epoch,
        .machine = weir_str_of(os_machine()) };
    connection_set_frame_max(connection, NET_FRAME_MAX);
    message_send(connection, MESSAGE_REGISTER, &message);
}

static const struct connection_handler handler = { .opened = on_opened,
    .frame = on_frame,
    .closed = on_closed };

/* Another job manager leads now; the same one again changes nothing. What is no address is ignored. */
static void follow(struct task_executor *executor, const char *address)
{
    char host[ADDRESS_HOST_SIZE];
    uint16_t port;
    if ((executor->address != NULL && strcmp(executor->address, address) == 0) ||
        !address_split(address, host, &port))
        return;
    if (executor->connection != NULL) {
        connection_close(executor->connection);
        disconnect(executor, "another job manager leads now");
    }
    mem_free(executor->address);
    executor->address = mem_strdup(address);
    executor->next_try_ms = os_monotonic_ms();
}

static void look_at_election(struct task_executor *executor, int64_t now_ms)
{
    struct election *election = executor->options.election;
    if (election == NULL)
        return;
    election_step(election, now_ms);
    const struct election_leader *leader = &election_view(election)->leader;
    if (leader->epoch > 0)
        follow(executor, leader->rpc);
}

static void look_at_connection(struct task_executor *executor, int64_t now_ms)
{
    const struct task_executor_options *options = &executor->options;
    if (executor->connection == NULL) {
        if (now_ms < executor->next_try_ms || executor->address == NULL)
            return;
        char host[ADDRESS_HOST_SIZE];
        uint16_t port;
        ASSERT(address_split(executor->address, host, &port)); /* checked at new */
        executor->connection =
            net_connect(options->net, host, port, options->tls, &handler, executor);
        return;
    }
    if (!executor->is_registered)
        return;
    if (now_ms - connection_heard_ms(executor->connection) > executor->timeout_ms) {
        connection_close(executor->connection);
        disconnect(executor, "it has said nothing for too long");
        return;
    }
    if (now_ms < executor->next_beat_ms)
        return;
    executor->next_beat_ms = now_ms + executor->heartbeat_ms;
    struct message_heartbeat beat = { .epoch = executor->epoch,
        .is_leaving = executor->is_leaving };
    for (struct child *child = executor->children; child != NULL; child = child->next)
        beat.rss_size += child->state == CHILD_RUNNING ? os_child_rss(child->process) : 0;
    message_send(executor->connection, MESSAGE_HEARTBEAT, &beat);
}

/* -- life ---------------------------------------------------------------------------------------------- */

weir_error *task_executor_new(const struct task_executor_options *options,
    struct task_executor **executor)
{
    char host[ADDRESS_HOST_SIZE];
    uint16_t port;
    ASSERT(options->slot_count > 0);
    if (options->address != NULL && !address_split(options->address, host, &port))
        return weir_errorf(WEIR_E_USAGE, "'%s' is no address of a job manager; give host:port",
            options->address);
    struct task_executor *it = mem_alloc(sizeof(*it));
    it->options = *options;
    it->retry_ms = RETRY_MS;
    it->address = mem_strdup(options->address);
    it->blob_dir = mem_printf("%s/blobs", options->work_dir);
    it->errands = errands_new(options->workers, net_waker(options->net), ERRANDS_MAX);
    *executor = it;
    weir_error *error = os_make_dirs(it->blob_dir);
    if (error != NULL) {
        task_executor_free(it);
        *executor = NULL;
    }
    return error;
}

void task_executor_free(struct task_executor *executor)
{
    if (executor == NULL)
        return;
    errands_free(executor->errands);
    if (executor->connection != NULL)
        connection_close_flushed(executor->connection);
    children_free(executor);
    mem_free(executor->address);
    mem_free(executor->told);
    mem_free(executor->blobs_url);
    mem_free(executor->blob_dir);
    mem_free(executor);
}

void task_executor_step(struct task_executor *executor, int64_t now_ms)
{
    errands_step(executor->errands);
    look_at_election(executor, now_ms);
    children_step(executor, now_ms);
    look_at_connection(executor, now_ms);
}

int64_t task_executor_deadline_ms(const struct task_executor *executor)
{
    const struct election *election = executor->options.election;
    int64_t deadline = children_deadline_ms(executor);
    if (election != NULL)
        deadline = os_earlier(deadline, election_deadline_ms(election));
    if (executor->connection == NULL && executor->address != NULL)
        deadline = os_earlier(deadline, executor->next_try_ms);
    else if (executor->is_registered)
        deadline = os_earlier(deadline,
            os_earlier(executor->next_beat_ms,
                connection_heard_ms(executor->connection) + executor->timeout_ms + 1));
    return deadline;
}

void task_executor_leave(struct task_executor *executor)
{
    executor->is_leaving = true;
    executor->next_beat_ms = 0; /* told at once */
}

bool task_executor_has_left(const struct task_executor *executor)
{
    ASSERT(executor->is_leaving);
    if (!executor->is_registered)
        return executor->child_count == 0 || executor->options.election == NULL;
    return executor->is_leave_known && executor->child_count == 0;
}

uint32_t task_executor_child_count(const struct task_executor *executor)
{
    return executor->child_count;
}

bool task_executor_is_registered(const struct task_executor *executor)
{
    return executor->is_registered;
}

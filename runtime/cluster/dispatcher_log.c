/* dispatcher_log.c -- logs: of this process read by a worker, those of a task manager asked of it.
 * Prefixes: dispatcher_, logs_
 *
 * An answer comes, or LOG_TIMEOUT_MS pass, or the task manager is lost: whoever has asked is told once in any case. */
#include "base/assert.h"
#include "runtime/cluster/dispatcher_private.h"

#define LOG_TIMEOUT_MS  10000
#define LOG_WAITERS_MAX 64u

/* A question under way. Thread: control; `question`, `bytes` and `error` the worker's while it reads. */
struct log_waiter {
    struct log_waiter *next;
    struct dispatcher *dispatcher;
    const struct task_manager *from; /* NULL: of this process */
    uint64_t request;
    int64_t deadline_ms;
    struct log_question question;
    char *name;
    weir_buffer *bytes;
    weir_error *error;
    log_done_fn *done;
    void *arg;
};

static void unlink_waiter(struct log_waiter *it)
{
    struct log_waiter **link = &it->dispatcher->log_waiters;
    while (*link != it)
        link = &(*link)->next;
    *link = it->next;
    it->dispatcher->log_waiter_count--;
}

static void answer(struct log_waiter *it, weir_str bytes, const weir_error *error)
{
    unlink_waiter(it);
    it->done(it->arg, bytes, error);
    weir_error_free(it->error);
    weir_buffer_free(it->bytes);
    mem_free(it->name);
    mem_free(it);
}

/* Takes the error. */
static void answer_no(struct log_waiter *it, weir_error *error)
{
    answer(it, (weir_str){ 0 }, error);
    weir_error_free(error);
}

/* -- of this process ----------------------------------------------------------------------------------- */

/* Thread: worker. */
static void run_read(void *arg)
{
    struct log_waiter *it = arg;
    it->error = log_dir_answer(it->dispatcher->options.logs, &it->question, it->bytes);
}

static void on_read(void *arg, bool is_over)
{
    struct log_waiter *it = arg;
    (void)is_over;
    answer(it, weir_buffer_view(it->bytes), it->error);
}

/* -- of a task manager ----------------------------------------------------------------------------------- */

static void send_question(const struct log_waiter *it)
{
    struct message_log message = { .epoch = it->dispatcher->options.epoch,
        .request = it->request,
        .kind = it->question.kind,
        .name = it->question.name,
        .offset = it->question.offset };
    message_send(it->from->connection, MESSAGE_LOG, &message);
}

void logs_answered(struct dispatcher *dispatcher, const struct task_manager *from,
    const struct message_logged *message)
{
    struct log_waiter *it = dispatcher->log_waiters;
    while (it != NULL && (it->from != from || it->request != message->request))
        it = it->next;
    if (it == NULL)
        return; /* it came too late */
    if (message->code == 0)
        answer(it, message->bytes, NULL);
    else
        answer_no(it, message_error(message->code, false, message->text));
}

void logs_lost(struct dispatcher *dispatcher, const struct task_manager *from)
{
    struct log_waiter *next;
    for (struct log_waiter *it = dispatcher->log_waiters; it != NULL; it = next) {
        next = it->next;
        if (it->from == from)
            answer_no(it, weir_errorf(WEIR_E_CONNECTOR, "task manager '%s' is lost", from->id));
    }
}

void logs_step(struct dispatcher *dispatcher, int64_t now_ms)
{
    struct log_waiter *next;
    for (struct log_waiter *it = dispatcher->log_waiters; it != NULL; it = next) {
        next = it->next;
        if (it->from != NULL && now_ms >= it->deadline_ms)
            answer_no(it,
                weir_errorf(WEIR_E_TIMEOUT,
                    "task manager '%s' has not sent its log within %d s: its disk is slow, or it "
                    "hangs",
                    it->from->id, LOG_TIMEOUT_MS / 1000));
    }
}

int64_t logs_deadline_ms(const struct dispatcher *dispatcher)
{
    int64_t deadline = INT64_MAX;
    for (const struct log_waiter *it = dispatcher->log_waiters; it != NULL; it = it->next)
        if (it->from != NULL && it->deadline_ms < deadline)
            deadline = it->deadline_ms;
    return deadline;
}

void logs_free(struct dispatcher *dispatcher)
{
    while (dispatcher->log_waiters != NULL)
        answer_no(dispatcher->log_waiters,
            weir_errorf(WEIR_E_STATE, "this job manager leads no more"));
}

/* -- asking ---------------------------------------------------------------------------------------------- */

static weir_error *check_question(const struct dispatcher *dispatcher, const char *task_manager,
    const struct task_manager **from)
{
    *from = task_manager == NULL ? NULL : resources_find(dispatcher->resources, task_manager);
    if (task_manager != NULL && *from == NULL)
        return weir_errorf(WEIR_E_CONNECTOR, "there is no task manager '%.200s'", task_manager);
    if (task_manager == NULL && dispatcher->options.logs == NULL)
        return weir_errorf(WEIR_E_CONNECTOR, "this job manager keeps no logs");
    if (dispatcher->log_waiter_count == LOG_WAITERS_MAX)
        return weir_errorf(WEIR_E_LIMIT, "%u logs are being read: ask again", LOG_WAITERS_MAX);
    return NULL;
}

weir_error *dispatcher_log(struct dispatcher *dispatcher, const char *task_manager,
    const struct log_question *question, log_done_fn *done, void *arg)
{
    const struct task_manager *from;
    ASSERT(question->kind < LOG_KIND_COUNT);
    WEIR_TRY(check_question(dispatcher, task_manager, &from));
    struct log_waiter *it = mem_alloc(sizeof(*it));
    *it = (struct log_waiter){ .next = dispatcher->log_waiters,
        .dispatcher = dispatcher,
        .from = from,
        .request = ++dispatcher->log_request,
        .deadline_ms = dispatcher->now_ms + LOG_TIMEOUT_MS,
        .question = *question,
        .name = message_text(question->name),
        .done = done,
        .arg = arg };
    it->question.name = weir_str_of(it->name);
    dispatcher->log_waiters = it;
    dispatcher->log_waiter_count++;
    if (from != NULL) {
        send_question(it);
        return NULL;
    }
    it->bytes = weir_buffer_new(NET_FRAME_MAX);
    if (errands_submit(dispatcher->errands, NULL, run_read, on_read, it))
        return NULL;
    unlink_waiter(it);
    weir_buffer_free(it->bytes);
    mem_free(it->name);
    mem_free(it);
    return weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting: ask again");
}

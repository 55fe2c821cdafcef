/* dispatcher_double.h -- a dispatcher, its gateways and connections made by hand, for tests of what shows them.
 *
 * Jobs have real plans and histories. What is asked of it is written down (`asked`); `refusal` is what it says
 * next. The functions stand in for those of dispatcher.h, gateway.h and net.h, so a program can have either
 * them or the real ones: include it once. */
#ifndef WEIR_TEST_DISPATCHER_DOUBLE_H
#define WEIR_TEST_DISPATCHER_DOUBLE_H

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "runtime/cluster/dispatcher.h"
#include "test/unit/runtime/graph/graph_fixture.h"
#include "web/rest.h"

#include <stdio.h>
#include <stdlib.h>

enum { DOUBLE_JOBS = 5, DOUBLE_OPERATIONS = 8, DOUBLE_SUBTASKS = 64 };

#ifdef DOUBLE_WITH_NET /* the real one is linked: task managers have no connection then */
#define DOUBLE_HEARD NULL
#else
struct connection {
    int64_t heard_ms;
};
static struct connection double_heard;
#define DOUBLE_HEARD (&double_heard)

int64_t connection_heard_ms(const struct connection *it)
{
    return it->heard_ms;
}
#endif

struct gateway {
    enum gateway_state state;
    struct gateway_worker workers[2];
    struct worker_task_metrics metrics[DOUBLE_SUBTASKS];
    enum task_state states[DOUBLE_SUBTASKS];
    struct rate rate; /* of each */
};

struct dispatcher {
    weir_job *graph;
    struct job jobs[DOUBLE_JOBS];
    struct gateway gateways[2];
    struct jobmanager_stats stats;
    struct job_spec spec;
    struct resources *resources;
    struct operation operations[DOUBLE_OPERATIONS];
    uint32_t operation_count;
    char asked[512];
    weir_error *refusal;
};

/* -- what dispatcher.h promises ---------------------------------------------------------------- */

const char *job_state_name(enum job_state state)
{
    static const char *const names[] = { "INITIALIZING", "CREATED", "RUNNING", "FAILING", "FAILED",
        "CANCELLING", "CANCELED", "FINISHED", "RESTARTING", "SUSPENDED", "RECONCILING" };
    return names[state];
}

bool job_state_is_terminal(enum job_state state)
{
    return state == JOB_FAILED || state == JOB_CANCELED || state == JOB_FINISHED;
}

uint32_t dispatcher_job_count(const struct dispatcher *dispatcher)
{
    return DOUBLE_JOBS;
}

const struct job *dispatcher_job(const struct dispatcher *dispatcher, uint32_t index)
{
    return &dispatcher->jobs[index];
}

const struct job *dispatcher_find(const struct dispatcher *dispatcher, const char *id)
{
    for (uint32_t i = 0; i < DOUBLE_JOBS; i++)
        if (strcmp(dispatcher->jobs[i].id, id) == 0)
            return &dispatcher->jobs[i];
    return NULL;
}

const struct resources *dispatcher_resources(const struct dispatcher *dispatcher)
{
    return dispatcher->resources;
}

const struct operation *dispatcher_operation(const struct dispatcher *dispatcher, const char *id)
{
    for (uint32_t i = 0; i < dispatcher->operation_count; i++)
        if (strcmp(dispatcher->operations[i].id, id) == 0)
            return &dispatcher->operations[i];
    return NULL;
}

void dispatcher_vertex_id(const struct plan *plan, uint32_t vertex, char id[DISPATCHER_ID_SIZE])
{
    snprintf(id, DISPATCHER_ID_SIZE, "%032x", 0xbc0 + vertex);
}

static weir_error *double_begin(struct dispatcher *it, const char *job, enum operation_kind kind,
    char id[DISPATCHER_ID_SIZE])
{
    weir_error *refusal = it->refusal;
    it->refusal = NULL;
    if (refusal != NULL)
        return refusal;
    struct operation *operation = &it->operations[it->operation_count % DOUBLE_OPERATIONS];
    if (id[0] == '\0')
        snprintf(id, DISPATCHER_ID_SIZE, "%032x", 0xf00 + it->operation_count);
    if (it->operation_count < DOUBLE_OPERATIONS)
        it->operation_count++;
    weir_error_free(operation->error);
    *operation = (struct operation){ .kind = kind, .begun_ms = 100 };
    memcpy(operation->id, id, DISPATCHER_ID_SIZE);
    snprintf(operation->job, sizeof(operation->job), "%s", job);
    return NULL;
}

weir_error *dispatcher_submit(struct dispatcher *it, const struct submission *submission,
    char id[DISPATCHER_ID_SIZE])
{
    int used = snprintf(it->asked, sizeof(it->asked), "submit %.6s %s", submission->digest,
        submission->program == NULL ? "-" : submission->program);
    for (uint32_t i = 0; i < submission->argument_count; i++)
        used += snprintf(it->asked + used, sizeof(it->asked) - (size_t)used, " %.40s",
            submission->arguments[i]);
    snprintf(id, DISPATCHER_ID_SIZE, "%032x", 0xabc);
    weir_error *refusal = it->refusal;
    it->refusal = NULL;
    return refusal;
}

weir_error *dispatcher_cancel(struct dispatcher *it, const char *job)
{
    snprintf(it->asked, sizeof(it->asked), "cancel %s", job);
    weir_error *refusal = it->refusal;
    it->refusal = NULL;
    return refusal;
}

weir_error *dispatcher_savepoint_directory(const struct dispatcher *it, const char *job,
    const char *given, const char **directory)
{
    *directory = given == NULL ? "/default" : given;
    return NULL;
}

weir_error *dispatcher_probe(const char *directory)
{
    return strcmp(directory, "/full") != 0 ? NULL : weir_errorf(WEIR_E_IO, "no space in '/full'");
}

weir_error *dispatcher_savepoint(struct dispatcher *it, const char *job, const char *directory,
    bool then_cancel, char operation[DISPATCHER_ID_SIZE])
{
    snprintf(it->asked, sizeof(it->asked), "savepoint %s %d", directory == NULL ? "-" : directory,
        then_cancel);
    return double_begin(it, job, OPERATION_SAVEPOINT, operation);
}

weir_error *dispatcher_stop(struct dispatcher *it, const char *job, const char *directory,
    bool drain, char operation[DISPATCHER_ID_SIZE])
{
    snprintf(it->asked, sizeof(it->asked), "stop %s %d", directory == NULL ? "-" : directory,
        drain);
    return double_begin(it, job, OPERATION_STOP, operation);
}

weir_error *dispatcher_checkpoint(struct dispatcher *it, const char *job,
    char operation[DISPATCHER_ID_SIZE])
{
    snprintf(it->asked, sizeof(it->asked), "checkpoint");
    return double_begin(it, job, OPERATION_CHECKPOINT, operation);
}

weir_error *dispatcher_dispose(struct dispatcher *it, const char *path,
    char operation[DISPATCHER_ID_SIZE])
{
    snprintf(it->asked, sizeof(it->asked), "dispose %s", path);
    return double_begin(it, "", OPERATION_DISPOSE, operation);
}

weir_error *dispatcher_rescale(struct dispatcher *it, const char *job, uint32_t parallelism,
    char operation[DISPATCHER_ID_SIZE])
{
    snprintf(it->asked, sizeof(it->asked), "rescale %u", parallelism);
    return double_begin(it, job, OPERATION_RESCALE, operation);
}

/* At once: nothing is slow here. */
bool dispatcher_errand(struct dispatcher *it, void (*run)(void *arg),
    void (*done)(void *arg, bool is_over), void *arg)
{
    run(arg);
    done(arg, false);
    return true;
}

weir_error *dispatcher_log(struct dispatcher *it, const char *task_manager,
    const struct log_question *question, log_done_fn *done, void *arg)
{
    static const struct log_file files[] = { { { "tm.log", 6 }, 100, 5000 },
        { { "a \"\n\xff.log", 9 }, 0, 0 } };
    snprintf(it->asked, sizeof(it->asked), "log %s %d %.*s %lld",
        task_manager == NULL ? "-" : task_manager, question->kind, (int)question->name.size,
        question->name.data == NULL ? "" : question->name.data, (long long)question->offset);
    weir_error *refusal = it->refusal;
    it->refusal = NULL;
    if (refusal != NULL)
        return refusal;
    weir_buffer *bytes = weir_buffer_new(4096);
    if (question->kind == LOG_LIST)
        log_files_put(files, 2, bytes);
    else
        weir_buffer_add_str(bytes, WEIR_STR("a line\n"));
    done(arg, weir_buffer_view(bytes), NULL);
    weir_buffer_free(bytes);
    return NULL;
}

/* -- what gateway.h promises ------------------------------------------------------------ */

enum gateway_state gateway_state(const struct gateway *gateway)
{
    return gateway->state;
}

uint32_t gateway_worker_count(const struct gateway *gateway)
{
    return gateway->state == GATEWAY_DEPLOYED ? 2 : 0;
}

const struct gateway_worker *gateway_worker(const struct gateway *gateway, uint32_t index)
{
    return &gateway->workers[index];
}

uint32_t gateway_worker_of(const struct gateway *gateway, uint32_t subtask)
{
    return gateway->state == GATEWAY_DEPLOYED ? subtask % 2 : UINT32_MAX;
}

const struct worker_task_metrics *gateway_metrics(const struct gateway *gateway, uint32_t subtask)
{
    return &gateway->metrics[subtask];
}

struct rate gateway_rate(const struct gateway *gateway, uint32_t subtask)
{
    return gateway->rate;
}

enum task_state gateway_task_state(const struct gateway *gateway, uint32_t subtask)
{
    return gateway->states[subtask];
}

/* -- the world: five jobs, two task managers ---------------------------------------------------- */

/* ids of the jobs */
#define RUNNING_JOB    "00000000000000000000000000000000"
#define PLANNING_JOB   "00000000000000000000000000000001"
#define FAILED_JOB     "00000000000000000000000000000002"
#define FINISHED_JOB   "00000000000000000000000000000003"
#define RESTARTING_JOB "00000000000000000000000000000004"
#define A_VERTEX       "00000000000000000000000000000bc0"
#define NO_JOB         "ffffffffffffffffffffffffffffffff"

static const struct plan *double_plan(weir_job *job)
{
    weir_stream *source = weir_source(job, "clicks <b>&\"x\"", FAKE_SOURCE(.type = &click_type));
    weir_stream *spread = weir_rebalance(source);
    weir_sink(spread, "out", FAKE_SINK(.type = &click_type));
    const struct plan *plan;
    struct plan_options options = { .job = "test", .parallelism = 3, .is_chaining_disabled = true };
    weir_error *error = plan_build(job, &options, &plan);
    if (error != NULL) {
        fprintf(stderr, "%s\n", weir_error_message(error));
        abort();
    }
    return plan;
}

static void double_history(struct history *history, uint32_t subtasks)
{
    const struct history_ack ack = { .at_ms = 2050,
        .sync_us = 1500,
        .async_us = 2500,
        .alignment_us = 3000,
        .size = 100 };
    history_init(history, subtasks);
    history_restored(history, 1, true, 1500);
    for (uint64_t number = 2; number <= 5; number++) {
        history_triggered(history, number, number == 3, 2000);
        for (uint32_t i = 0; i < (number == 5 ? 1 : subtasks); i++)
            history_acked(history, number, i, &ack);
    }
    history_completed(history, 2, 600, "/c/chk-2", 2100);
    history_completed(history, 3, 700, "/s/savepoint-1", 2200);
    history_aborted(history, 4, "task \"x\" declined", 2300);
    static char text[] = "killed by SIGSEGV", vertex[] = "clicks", place[] = "tm-1";
    history_failed(history, &(struct history_failure){ .text = text,
                                .vertex = vertex,
                                .place = place,
                                .subtask = 1,
                                .attempt = 1,
                                .at_ms = 1400,
                                .code = WEIR_E_INTERNAL,
                                .has_restarted = true });
}

static void double_deployed(struct gateway *it, const struct plan *plan)
{
    it->state = GATEWAY_DEPLOYED;
    it->rate = (struct rate){ .busy_ms = 300, .idle_ms = 500, .backpressured_ms = 200 };
    for (uint32_t i = 0; i < plan->subtask_count; i++)
        it->states[i] = TASK_RUNNING;
    for (uint32_t i = 0; i < plan->subtask_count; i++)
        it->metrics[i] = (struct worker_task_metrics){ .subtask = i,
            .records_in = 100 + i,
            .records_out = 50,
            .bytes_in = 1000 + i,
            .bytes_out = 500,
            .busy_ms = 300,
            .idle_ms = 500,
            .backpressured_ms = 200,
            .watermark_ms = INT64_MIN,
            .lag = 7 };
}

static inline struct dispatcher *dispatcher_double(void)
{
    static char name[] = "clicks \"<b>\"\n", digest[] = "abc";
    static const char *const arguments[] = { "--parallelism", "3" };
    static const enum job_state states[] = { JOB_RUNNING, JOB_INITIALIZING, JOB_FAILED,
        JOB_FINISHED, JOB_RESTARTING };
    struct dispatcher *it = mem_alloc(sizeof(*it));
    it->graph = job_new(NULL);
    const struct plan *plan = double_plan(it->graph);
    it->resources = resources_new();
    for (uint32_t i = 0; i < 2; i++) {
        struct task_manager *manager =
            resources_add(it->resources, i == 0 ? "tm-1" : "10.0.0.2:6122-x", "host", 4, 1u << 30);
        manager->connection = i == 0 ? DOUBLE_HEARD : NULL;
        manager->rss_size = 1000;
        it->gateways[0].workers[i] = (struct gateway_worker){ .grant = { manager, 2 },
            .is_deployed = true,
            .task_manager = manager->id,
            .host = manager->host,
            .data_port = 4000 };
    }
    it->stats = (struct jobmanager_stats){ .state = EXECUTION_RUNNING,
        .attempt = 2,
        .restarts = 1,
        .running_since_ms = os_monotonic_ns() / 1000000 - 1000 };
    it->spec = (struct job_spec){ .plan = plan,
        .retained = 2,
        .interval_ms = 10000,
        .timeout_ms = 600000,
        .backend = "hashmap",
        .restart = RESTART_DEFAULT };
    double_deployed(&it->gateways[0], plan);
    for (uint32_t i = 0; i < DOUBLE_JOBS; i++) {
        struct job *job = &it->jobs[i];
        bool is_planned = states[i] != JOB_INITIALIZING && states[i] != JOB_FAILED;
        bool is_alive = is_planned && states[i] != JOB_FINISHED;
        *job = (struct job){ .name = is_planned ? name : NULL,
            .state = states[i],
            .start_ms = 1000,
            .end_ms = job_state_is_terminal(states[i]) ? 5000 : 0,
            .digest = digest,
            .arguments = arguments,
            .argument_count = 2,
            .spec = is_planned ? &it->spec : NULL,
            .plan = is_planned ? plan : NULL,
            .stats = is_alive ? &it->stats : NULL,
            .gateway = is_alive ? &it->gateways[i == 0 ? 0 : 1] : NULL };
        snprintf(job->id, sizeof(job->id), "%032x", i);
        job->entered_ms[JOB_INITIALIZING] = 1000;
        job->entered_ms[JOB_RUNNING] = is_planned ? 1200 : 0;
        job->entered_ms[states[i]] = 1200;
        if (i == 0)
            double_history(&job->history, plan->subtask_count);
        else
            history_init(&job->history, is_planned ? plan->subtask_count : 0);
    }
    it->jobs[2].error = weir_errorf(WEIR_E_PLAN, "the plan is wrong: 'x'");
    return it;
}

static inline void dispatcher_double_free(struct dispatcher *it)
{
    for (uint32_t i = 0; i < DOUBLE_JOBS; i++) {
        history_release(&it->jobs[i].history);
        weir_error_free(it->jobs[i].error);
    }
    for (uint32_t i = 0; i < it->operation_count; i++)
        weir_error_free(it->operations[i].error);
    weir_error_free(it->refusal);
    resources_free(it->resources);
    job_free(it->graph);
    mem_free(it);
}

/* -- a client ----------------------------------------------------------------------------------- */

/* "a=1&b=2": as it stands, nothing is decoded. */
static inline const char *double_query(const void *arg, const char *name)
{
    static char values[8][256];
    static uint32_t turn;
    char *value = values[turn++ % 8];
    size_t size = strlen(name);
    for (const char *at = arg; at != NULL;
         at = strchr(at, '&') == NULL ? NULL : strchr(at, '&') + 1) {
        if (strncmp(at, name, size) == 0 && at[size] == '=') {
            snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(at + size + 1, "&"),
                at + size + 1);
            return value;
        }
    }
    return NULL;
}

struct client {
    struct dispatcher *dispatcher;
    struct rest *rest;
    struct rest_reply reply;
    const char *fetch_site, *host;
    struct rest_options options;
};

static inline struct client client_new(const struct rest_options *options)
{
    struct client client = { .dispatcher = dispatcher_double() };
    if (options != NULL)
        client.options = *options;
    client.options.dispatcher = client.dispatcher;
    client.rest = rest_new(&client.options);
    return client;
}

static inline void client_free(struct client *client)
{
    rest_reply_release(&client->reply);
    rest_free(client->rest);
    dispatcher_double_free(client->dispatcher);
}

/* A reply that comes later comes at once here. `arg`: of the reply. */
static inline void client_answered(void *arg, struct rest_reply *reply)
{
    *(struct rest_reply *)arg = *reply;
    *reply = (struct rest_reply){ 0 };
}

/* Whether what is asked next comes from another user. */
static bool client_is_foreign;

static inline weir_error *client_check_user(const void *arg)
{
    (void)arg;
    return client_is_foreign ? weir_errorf(WEIR_E_USAGE, "that is user 65534's") : NULL;
}

/* False would be an answer that comes later: it came. */
static inline void client_handle(struct client *client, struct rest_request request)
{
    struct rest_reply later = { 0 };
    request.answer = client_answered;
    request.answer_arg = &later;
    request.check_user = client_check_user;
    if (!rest_handle(client->rest, &request, &client->reply))
        client->reply = later;
}

/* The body of the reply, terminated; valid until the next one. */
static inline const char *client_ask(struct client *client, const char *method, const char *target,
    weir_str body)
{
    char path[4096];
    const char *mark = strchr(target, '?');
    snprintf(path, sizeof(path), "%.*s", mark == NULL ? (int)strlen(target) : (int)(mark - target),
        target);
    rest_reply_release(&client->reply);
    client_handle(client, (struct rest_request){ .method = method,
                              .path = path,
                              .query = double_query,
                              .arg = mark == NULL ? "" : mark + 1,
                              .body = body,
                              .fetch_site = client->fetch_site,
                              .host = client->host });
    return buffer_text(client->reply.body);
}

#endif

/* cluster.c -- weir cluster start, stop, status: a cluster on this machine in one command. Prefixes: verb_ */
#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "cli/client.h"
#include "cli/local_cluster.h"
#include "cli/operation.h"
#include "net/net.h"

#include <inttypes.h>
#include <stdio.h>

#define TASK_MANAGERS_MAX (LOCAL_PROCESSES_MAX - 1)
#define COUNT_WAIT_MS     2000 /* before it is stopped */

static weir_error *directory_of(const struct config *config, char **dir)
{
    *dir = local_dir(config_text(config, "dir"));
    return *dir != NULL
               ? NULL
               : weir_errorf(WEIR_E_USAGE, "neither WEIR_HOME nor HOME is set; give --dir DIR");
}

/* -- start ------------------------------------------------------------------------------------------------ */

/* What is being started. Thread: one. */
struct starting {
    const struct verb_call *call;
    struct client *client;
    struct local_cluster *cluster;
    uint32_t taskmanager_count;
};

static bool refuse_connection(void *arg, struct connection *it)
{
    (void)arg;
    (void)it;
    return false;
}

/* Opens the port and closes it again: whoever has it now is named before anything is started. */
static weir_error *check_port(const char *key, const char *host, uint16_t port)
{
    struct listener *listener;
    struct listen_options options = { .host = host, .port = port, .accepted = refuse_connection };
    if (port == 0)
        return weir_errorf(WEIR_E_USAGE,
            "%s is 0: any port, so nobody would find it; give one by -D %s=PORT", key, key);
    struct net *net = net_new();
    weir_error *error = net_listen(net, &options, &listener);
    if (error == NULL)
        listener_free(listener);
    else
        error = weir_error_wrap(error, "port %u cannot be had; choose another one by -D %s=PORT",
            port, key);
    net_free(net);
    return error;
}

static weir_error *check_ports(const struct conf *conf)
{
    WEIR_TRY(conf_check(conf));
    WEIR_TRY(check_port("rest.port", conf->rest.bind_address, conf->rest.port));
    return check_port("jobmanager.rpc.port", conf->jobmanager.bind_host, conf->jobmanager.rpc_port);
}

/* Options of a daemon: what we were told, and up to three more. `argv` has room. */
static void add_options(const struct starting *it, char **argv, uint32_t *count)
{
    if (it->client->conf_path != NULL) {
        argv[(*count)++] = mem_strdup("--conf");
        argv[(*count)++] = mem_strdup(it->client->conf_path);
    }
    for (uint32_t i = 0; i < it->call->define_count; i++) {
        argv[(*count)++] = mem_strdup("-D");
        argv[(*count)++] = mem_strdup(it->call->defines[i]);
    }
}

static void add_define(const struct config *config, const char *option, const char *key,
    char **argv, uint32_t *count)
{
    if (!config_given(config, option))
        return;
    argv[(*count)++] = mem_strdup("-D");
    argv[(*count)++] = mem_printf("%s=%s", key, config_text(config, option));
}

static weir_error *start_one(const struct starting *it, const char *name, const char *program)
{
    uint32_t count = 0;
    char **argv = mem_alloc_array(it->call->define_count * (size_t)2 + 10, sizeof(*argv));
    argv[count++] = mem_strdup(program);
    add_options(it, argv, &count);
    if (it->client->conf.log.dir == NULL) {
        argv[count++] = mem_strdup("-D");
        argv[count++] = mem_printf("env.log.dir=%s/logs", it->cluster->dir);
    }
    if (strcmp(name, "jobmanager") != 0) {
        add_define(it->call->config, "slots", "taskmanager.numberOfTaskSlots", argv, &count);
        add_define(it->call->config, "memory", "taskmanager.memory.process.size", argv, &count);
    }
    weir_error *error = local_start(it->cluster, name, argv);
    for (uint32_t i = 0; i < count; i++)
        mem_free(argv[i]);
    mem_free(argv);
    return error;
}

static weir_error *start_all(const struct starting *it)
{
    char name[32];
    WEIR_TRY(start_one(it, "jobmanager", "weir-jobmanager"));
    for (uint32_t i = 0; i < it->taskmanager_count; i++) {
        snprintf(name, sizeof(name), "taskmanager-%u", i + 1);
        WEIR_TRY(start_one(it, name, "weir-taskmanager"));
    }
    return NULL;
}

/* Until the job manager answers and knows its task managers. The answer is document_free'd. */
static weir_error *wait_until_ready(const struct starting *it, struct document **overview)
{
    struct client *client = it->client;
    client_renew(client);
    client_start_wait(client);
    for (int64_t registered = -1;;) {
        weir_error *error = client_call(client, HTTP_GET, "/v1/overview", NULL, overview);
        if (error == NULL) {
            registered = document_int(*overview, "taskmanagers", 0);
            if (registered >= (int64_t)it->taskmanager_count)
                return NULL;
            document_free(*overview);
        } else if (!weir_error_is_retriable(error)) {
            return error;
        }
        weir_error *ended = local_check(it->cluster);
        if (ended != NULL) {
            weir_error_free(error);
            return ended;
        }
        if (client_is_late(client))
            return weir_error_join(weir_errorf(WEIR_E_TIMEOUT,
                                       "%" PRId64 " of %u task managers have registered in %" PRId64
                                       " s; the logs in %s say more",
                                       registered < 0 ? 0 : registered, it->taskmanager_count,
                                       client->timeout_ms / 1000, it->cluster->dir),
                error);
        weir_error_free(error);
        client_pause(client);
    }
}

static weir_error *tell_started(const struct starting *it, const struct document *overview)
{
    const struct client *client = it->client;
    int64_t slots = document_int(overview, "slots-total", 0);
    char *path = mem_printf("%s/address", it->cluster->dir);
    weir_error *error = os_write_file(path, client->url, strlen(client->url));
    mem_free(path);
    WEIR_TRY(error);
    WEIR_TRY(client_say(client,
        "Started a job manager and %u task manager%s with %" PRId64 " slots: %s\n"
        "Logs are in %s; 'weir cluster stop' ends it.\n",
        it->taskmanager_count, it->taskmanager_count == 1 ? "" : "s", slots, client->url,
        it->cluster->dir));
    struct document *answer = document_new();
    document_put_text(answer, "address", client->url);
    document_put_text(answer, "directory", it->cluster->dir);
    document_put_int(answer, "taskmanagers", it->taskmanager_count);
    document_put_int(answer, "slots", slots);
    return client_answer(client, answer);
}

static weir_error *bring_up(const struct starting *it)
{
    struct document *overview;
    uint32_t killed;
    weir_error *error = start_all(it);
    if (error == NULL)
        error = wait_until_ready(it, &overview);
    if (error != NULL) /* half a cluster is none */
        return weir_error_join(error, local_stop(it->cluster, it->client->timeout_ms, &killed));
    error = tell_started(it, overview);
    document_free(overview);
    return error;
}

static weir_error *start(const struct verb_call *call, struct client *client,
    struct local_cluster *cluster, const char *dir)
{
    struct starting it = { .call = call,
        .client = client,
        .cluster = cluster,
        .taskmanager_count = (uint32_t)config_number(call->config, "taskmanagers") };
    WEIR_TRY(local_read(dir, cluster));
    if (local_alive(cluster) > 0)
        return weir_errorf(WEIR_E_CONNECTOR,
            "a cluster runs in %s already; 'weir cluster stop' ends it, --dir is for a second one",
            dir);
    *cluster = (struct local_cluster){ .dir = dir }; /* files of the dead are written over */
    WEIR_TRY(check_ports(&client->conf));
    client_use_conf(client); /* not the address of one before */
    WEIR_TRY(os_make_dirs(dir));
    return bring_up(&it);
}

typedef weir_error *with_fn(const struct verb_call *call, struct client *client,
    struct local_cluster *cluster, const char *dir);

static weir_error *with_cluster(const struct verb_call *call, with_fn *ask)
{
    struct client client;
    char *dir = NULL;
    WEIR_TRY(directory_of(call->config, &dir));
    struct local_cluster *cluster = mem_alloc(sizeof(*cluster));
    weir_error *error = client_open(call, &client);
    if (error == NULL) {
        error = ask(call, &client, cluster, dir);
        client_close(&client);
    }
    mem_free(cluster);
    mem_free(dir);
    return error;
}

static weir_error *run_start(const struct verb_call *call)
{
    if (config_given(call->config, "jobmanager"))
        return weir_errorf(WEIR_E_USAGE,
            "a cluster is started on this machine; its address is -D rest.address and rest.port");
    return with_cluster(call, start);
}

/* clang-format off */
#define OPTION_DIR \
    { { "dir", WEIR_OPTION_TEXT, "DIR", NULL, \
        "Where pids and logs are; else WEIR_HOME, else ~/.weir.", 0, 0 }, NULL, VERB_ONCE }
static const struct verb_option start_options[] = {
    { { "taskmanagers", WEIR_OPTION_NUMBER, "N", "1", "How many task managers.", 1, TASK_MANAGERS_MAX }, "n",
        VERB_ONCE },
    { { "slots", WEIR_OPTION_NUMBER, "N", NULL, "Of each task manager.", 1, 4096 }, NULL, VERB_ONCE },
    { { "memory", WEIR_OPTION_SIZE, "SIZE", NULL, "Of each task manager.", 0, 0 }, NULL, VERB_ONCE },
    OPTION_DIR,
};
static const struct verb_option dir_options[] = { OPTION_DIR };
/* clang-format on */

const struct verb verb_cluster_start = { .name = "cluster start",
    .usage = "[-n TASKMANAGERS] [--slots N] [--memory SIZE] [--dir DIR] [-D KEY=VALUE]...",
    .brief = "starts a cluster on this machine",
    .help = "Starts weir-jobmanager and weir-taskmanager in the background, and waits until they "
            "know each\n"
            "other. The programs are looked for beside this one, then in PATH.",
    .takes = "options only",
    VERB_OPTIONS(start_options),
    .run = run_start };

/* -- stop --------------------------------------------------------------------------------------------------- */

/* Where `start` has put it: other options than now may have been given. */
static void take_address(struct client *client, const char *dir)
{
    char *url = local_address(dir);
    if (url != NULL)
        client_set_url(client, url);
    mem_free(url);
}

/* Of jobs that have not ended; -1: the job manager does not say so at once, and is stopped all the same. */
static int64_t count_jobs(struct client *client)
{
    struct document *answer;
    int64_t count = 0, timeout_ms = client->timeout_ms;
    client->timeout_ms = timeout_ms < COUNT_WAIT_MS ? timeout_ms : COUNT_WAIT_MS;
    client_renew(client);
    weir_error *error = client_call(client, HTTP_GET, "/v1/jobs/overview", NULL, &answer);
    client->timeout_ms = timeout_ms;
    if (error != NULL) {
        weir_error_free(error);
        return -1;
    }
    const struct document *jobs = document_get(answer, "jobs");
    for (uint32_t i = 0; i < document_count(jobs); i++) {
        const char *state = document_text(document_at(jobs, i), "state");
        count += state != NULL && !job_state_has_ended(state);
    }
    document_free(answer);
    return count;
}

static weir_error *tell_stopped(const struct client *client, const char *dir, uint32_t alive,
    uint32_t killed, int64_t jobs)
{
    if (alive == 0)
        WEIR_TRY(client_say(client, "No cluster runs in %s.\n", dir));
    else
        WEIR_TRY(client_say(client, "Stopped %u processes.\n", alive));
    if (killed > 0)
        WEIR_TRY(client_say(client, "Killed, for they did not end in time: %u.\n", killed));
    if (jobs > 0)
        WEIR_TRY(client_say(client,
            "Ended with it, for they had not ended: %" PRId64
            " job%s. Without high availability the next job manager does not know of them.\n",
            jobs, jobs == 1 ? "" : "s"));
    struct document *answer = document_new();
    document_put_int(answer, "stopped", alive);
    document_put_int(answer, "killed", killed);
    if (jobs >= 0)
        document_put_int(answer, "jobs", jobs);
    return client_answer(client, answer);
}

static weir_error *stop(const struct verb_call *call, struct client *client,
    struct local_cluster *cluster, const char *dir)
{
    (void)call;
    uint32_t killed;
    WEIR_TRY(local_read(dir, cluster));
    uint32_t alive = local_alive(cluster);
    take_address(client, dir);
    int64_t jobs = alive == 0 ? 0 : count_jobs(client);
    WEIR_TRY(local_stop(cluster, client->timeout_ms, &killed));
    return tell_stopped(client, dir, alive, killed, jobs);
}

static weir_error *run_stop(const struct verb_call *call)
{
    return with_cluster(call, stop);
}

const struct verb verb_cluster_stop = { .name = "cluster stop",
    .usage = "[--dir DIR]",
    .brief = "ends the cluster on this machine",
    .help =
        "Ends the processes that 'weir cluster start' has started. Those that have not ended "
        "after\n"
        "--timeout are killed. Jobs are not stopped first. With high availability they go on from "
        "their\n"
        "last checkpoints when the cluster is started again; without it the job manager has "
        "forgotten\n"
        "them, so end those that are to go on with 'weir stop' before, and start them from the "
        "savepoint.",
    .takes = "options only",
    VERB_OPTIONS(dir_options),
    .run = run_stop };

/* -- status ------------------------------------------------------------------------------------------------- */

static void print_processes(const struct local_cluster *cluster, weir_buffer *out)
{
    buffer_printf(out, "%-20s %10s  %s\n", "PROCESS", "PID", "STATE");
    for (uint32_t i = 0; i < cluster->count; i++) {
        const struct local_process *it = &cluster->processes[i];
        buffer_printf(out, "%-20s %10d  %s\n", it->name, it->daemon.pid,
            os_daemon_is_alive(&it->daemon) ? "runs" : "has ended");
    }
}

static weir_error *tell_status(const struct client *client, const struct local_cluster *cluster,
    const struct document *overview)
{
    if (client->is_json) {
        struct document *answer = document_new();
        document_put_text(answer, "address", client->url);
        document_put_int(answer, "processes", cluster->count);
        document_put_int(answer, "alive", local_alive(cluster));
        document_put_int(answer, "taskmanagers", document_int(overview, "taskmanagers", 0));
        document_put_int(answer, "slots", document_int(overview, "slots-total", 0));
        document_put_int(answer, "slots-available", document_int(overview, "slots-available", 0));
        document_put_int(answer, "jobs-running", document_int(overview, "jobs-running", 0));
        return client_answer(client, answer);
    }
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    print_processes(cluster, out);
    buffer_printf(out,
        "%s: %" PRId64 " task managers, %" PRId64 " of %" PRId64 " slots free, %" PRId64
        " jobs running\n",
        client->url, document_int(overview, "taskmanagers", 0),
        document_int(overview, "slots-available", 0), document_int(overview, "slots-total", 0),
        document_int(overview, "jobs-running", 0));
    return buffer_to_stdout(out);
}

static weir_error *status(const struct verb_call *call, struct client *client,
    struct local_cluster *cluster, const char *dir)
{
    struct document *overview;
    WEIR_TRY(local_read(dir, cluster));
    if (!config_given(call->config, "jobmanager"))
        take_address(client, dir);
    if (cluster->count == 0 && !config_given(call->config, "jobmanager"))
        return weir_errorf(WEIR_E_CONNECTOR,
            "no cluster runs in %s; 'weir cluster start' starts one", dir);
    weir_error *error = client_call(client, HTTP_GET, "/v1/overview", NULL, &overview);
    if (error != NULL) {
        weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
        print_processes(cluster, out);
        if (client->is_json)
            weir_buffer_reset(out);
        return weir_error_join(error, buffer_to_stdout(out));
    }
    error = tell_status(client, cluster, overview);
    document_free(overview);
    call->outcome->status = local_alive(cluster) < cluster->count;
    return error;
}

static weir_error *run_status(const struct verb_call *call)
{
    return with_cluster(call, status);
}

const struct verb verb_cluster_status = { .name = "cluster status",
    .usage = "[--dir DIR]",
    .brief = "shows the cluster on this machine",
    .help = "Shows the processes that 'weir cluster start' has started, and what their job manager "
            "says of\n"
            "task managers, slots and jobs. Exit status 1: one has ended, or the job manager is "
            "silent.",
    .takes = "options only",
    VERB_OPTIONS(dir_options),
    .run = run_status };

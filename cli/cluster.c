/* cluster.c -- weir cluster start, stop, status: a cluster on this machine in one command. Prefixes: verb_ */
#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/plural.h"
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
    const struct local_cluster *known; /* what the directory tells; nothing if all of it is dead */
    struct local_cluster *started;
    uint32_t taskmanager_count; /* that there are to be */
    bool was_killed;            /* the job manager before: nobody has stopped it */
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

/* Arguments of a daemon. Thread: one. */
struct words {
    char **list; /* the last one is NULL */
    uint32_t count;
};

static void add_word(struct words *words, char *word)
{
    words->list = mem_realloc(words->list, (words->count + (size_t)2) * sizeof(*words->list));
    words->list[words->count++] = word;
    words->list[words->count] = NULL;
}

static void add_define(struct words *words, const char *key, const char *value)
{
    add_word(words, mem_strdup("-D"));
    add_word(words, value == NULL ? mem_strdup(key) : mem_printf("%s=%s", key, value));
}

/* What it was started with before, or another one of its kind: this call says only what is to be different. False: none
 * was. */
static bool add_known(const struct starting *it, const char *name, struct words *words)
{
    size_t kind = strcspn(name, "-");
    char *text = it->known->count == 0 ? NULL : local_arguments(it->known, name);
    for (uint32_t i = 0; i < it->known->count && text == NULL; i++)
        if (strncmp(it->known->processes[i].name, name, kind) == 0)
            text = local_arguments(it->known, it->known->processes[i].name);
    for (const char *at = text; at != NULL && *at != '\0'; at += strspn(at, "\n")) {
        size_t size = strcspn(at, "\n");
        add_word(words, mem_printf("%.*s", (int)size, at));
        at += size;
    }
    bool is_known = text != NULL;
    mem_free(text);
    return is_known;
}

static bool has_word(const struct words *words, const char *word)
{
    uint32_t i = 0;
    while (i < words->count && strcmp(words->list[i], word) != 0)
        i++;
    return i < words->count;
}

static weir_error *add_options(const struct starting *it, const char *name, struct words *words)
{
    const struct config *config = it->call->config;
    char *conf;
    WEIR_TRY(job_path(it->client->conf_path, &conf)); /* it may be started again from elsewhere */
    if (conf != NULL && !has_word(words, conf)) {
        add_word(words, mem_strdup("--conf"));
        add_word(words, mem_strdup(conf));
    }
    mem_free(conf);
    for (uint32_t i = 0; i < it->call->define_count; i++)
        add_define(words, it->call->defines[i], NULL);
    if (strcmp(name, "jobmanager") == 0)
        return NULL;
    if (config_given(config, "slots"))
        add_define(words, "taskmanager.numberOfTaskSlots", config_text(config, "slots"));
    if (config_given(config, "memory"))
        add_define(words, "taskmanager.memory.process.size", config_text(config, "memory"));
    return NULL;
}

static weir_error *start_one(const struct starting *it, const char *name, const char *program)
{
    struct words words = { .count = 0 };
    char *logs = mem_printf("%s/logs", it->known->dir);
    add_word(&words, mem_strdup(program));
    if (!add_known(it, name, &words) && it->client->conf.log.dir == NULL)
        add_define(&words, "env.log.dir", logs);
    weir_error *error = add_options(it, name, &words);
    if (error == NULL)
        error = local_start(it->started, name, words.list);
    for (uint32_t i = 0; i < words.count; i++)
        mem_free(words.list[i]);
    mem_free(words.list);
    mem_free(logs);
    return error;
}

static void name_taskmanager(uint32_t number, char name[32])
{
    snprintf(name, 32, "taskmanager-%u", number);
}

/* Those that do not live. */
static weir_error *start_missing(const struct starting *it)
{
    char name[32];
    if (!local_lives(it->known, "jobmanager"))
        WEIR_TRY(start_one(it, "jobmanager", "weir-jobmanager"));
    for (uint32_t i = 1; i <= it->taskmanager_count; i++) {
        name_taskmanager(i, name);
        if (!local_lives(it->known, name))
            WEIR_TRY(start_one(it, name, "weir-taskmanager"));
    }
    return NULL;
}

static uint32_t count_taskmanagers(const struct local_cluster *cluster)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cluster->count; i++)
        count += strcmp(cluster->processes[i].name, "jobmanager") != 0 &&
                 os_daemon_is_alive(&cluster->processes[i].daemon);
    return count;
}

/* Until the job manager answers and knows its task managers. The answer is document_free'd. */
static weir_error *wait_until_ready(const struct starting *it, struct document **overview)
{
    struct client *client = it->client;
    uint32_t wanted =
        count_taskmanagers(it->known) + it->started->count - local_lives(it->started, "jobmanager");
    client_renew(client);
    client_start_wait(client);
    for (int64_t registered = -1;;) {
        weir_error *error = client_call(client, HTTP_GET, "/v1/overview", NULL, overview);
        if (error == NULL) {
            registered = document_int(*overview, "taskmanagers", 0);
            if (registered >= (int64_t)wanted)
                return NULL;
            document_free(*overview);
        } else if (!weir_error_is_retriable(error)) {
            return error;
        }
        weir_error *ended = local_check(it->started);
        if (ended != NULL) {
            weir_error_free(error);
            return ended;
        }
        if (client_is_late(client))
            return weir_error_join(weir_errorf(WEIR_E_TIMEOUT,
                                       "%" PRId64 " of %u task managers have registered in %" PRId64
                                       " s; the logs in %s say more",
                                       registered < 0 ? 0 : registered, wanted,
                                       client->timeout_ms / 1000, it->known->dir),
                error);
        weir_error_free(error);
        client_pause(client);
    }
}

/* "taskmanager-2, taskmanager-3"; mem_free it. */
static char *names_of(const struct local_cluster *cluster)
{
    char *names = mem_strdup("");
    for (uint32_t i = 0; i < cluster->count; i++) {
        char *more = mem_printf("%s%s%s", names, i == 0 ? "" : ", ", cluster->processes[i].name);
        mem_free(names);
        names = more;
    }
    return names;
}

static weir_error *say_started(const struct starting *it, int64_t taskmanagers, int64_t slots)
{
    const struct client *client = it->client;
    bool is_all = it->known->count == 0;
    char *names = is_all ? mem_strdup("a job manager") : names_of(it->started);
    weir_error *error = client_say(client,
        "Started %s%s %" PRId64 " task manager%s with %" PRId64 " slot%s: %s\n"
        "Logs are in %s; 'weir cluster stop' ends it.\n",
        names, is_all ? " and" : "; the cluster has", taskmanagers, plural(taskmanagers), slots,
        plural(slots), client->url, it->known->dir);
    mem_free(names);
    WEIR_TRY(error);
    if (!it->was_killed || client->conf.ha.type != CONF_HA_NONE)
        return NULL;
    return client_say(client,
        "The job manager before has ended without being stopped; without high availability this "
        "one "
        "does not know its jobs: start each again from its newest checkpoint, 'weir run -s "
        "CHECKPOINTS/JOB/chk-N PROGRAM'.\n");
}

static weir_error *tell_started(const struct starting *it, const struct document *overview)
{
    const struct client *client = it->client;
    const struct local_cluster *started = it->started;
    int64_t slots = document_int(overview, "slots-total", 0),
            taskmanagers = document_int(overview, "taskmanagers", 0);
    char *names[LOCAL_PROCESSES_MAX];
    WEIR_TRY(client_keep_cluster(client, it->known->dir));
    WEIR_TRY(say_started(it, taskmanagers, slots));
    struct document *answer = document_new();
    document_put_text(answer, "address", client->url);
    document_put_text(answer, "directory", it->known->dir);
    document_put_int(answer, "taskmanagers", taskmanagers);
    document_put_int(answer, "slots", slots);
    for (uint32_t i = 0; i < started->count; i++)
        names[i] = (char *)(uintptr_t)started->processes[i].name;
    document_put_list(answer, "started", names, started->count);
    return client_answer(client, answer);
}

static weir_error *bring_up(const struct starting *it)
{
    struct document *overview;
    uint32_t killed;
    weir_error *error = start_missing(it);
    if (error == NULL)
        error = wait_until_ready(it, &overview);
    if (error != NULL) /* half a cluster is none, and what lived before lives on */
        return weir_error_join(error, local_stop(it->started, it->client->timeout_ms, &killed));
    error = tell_started(it, overview);
    document_free(overview);
    return error;
}

/* As many as are asked for; of a cluster that lives, as many as it had. */
static uint32_t choose_count(const struct config *config, const struct local_cluster *known)
{
    unsigned highest = 0, number;
    for (uint32_t i = 0; i < known->count; i++)
        if (sscanf(known->processes[i].name, "taskmanager-%u", &number) == 1 && number > highest)
            highest = number;
    if (config_given(config, "taskmanagers") || highest == 0)
        highest = (unsigned)config_number(config, "taskmanagers");
    return highest < TASK_MANAGERS_MAX ? highest : TASK_MANAGERS_MAX;
}

static bool is_complete(const struct starting *it)
{
    char name[32];
    bool is_it = local_lives(it->known, "jobmanager");
    for (uint32_t i = 1; i <= it->taskmanager_count && is_it; i++) {
        name_taskmanager(i, name);
        is_it = local_lives(it->known, name);
    }
    return is_it;
}

static weir_error *start(const struct verb_call *call, struct client *client,
    struct local_cluster *cluster, const char *dir)
{
    struct starting it = { .call = call, .client = client, .known = cluster };
    WEIR_TRY(local_read(dir, cluster));
    it.was_killed = local_knows(cluster, "jobmanager") && !local_lives(cluster, "jobmanager");
    if (local_alive(cluster) == 0)
        *cluster = (struct local_cluster){ .dir = dir }; /* files of the dead are written over */
    it.taskmanager_count = choose_count(call->config, cluster);
    if (is_complete(&it))
        return weir_errorf(WEIR_E_CONNECTOR,
            "a cluster runs in %s already; 'weir cluster stop' ends it, -n with a larger number "
            "adds task managers, "
            "--dir is for a second one",
            dir);
    if (cluster->count == 0)
        WEIR_TRY(check_ports(&client->conf));
    client_use_conf(client); /* not the address of one before, */
    if (cluster->count > 0)
        WEIR_TRY(client_use_cluster(client, dir)); /* but that of this one */
    WEIR_TRY(os_make_dirs(dir));
    it.started = mem_alloc(sizeof(*it.started));
    *it.started = (struct local_cluster){ .dir = dir };
    weir_error *error = bring_up(&it);
    mem_free(it.started);
    return error;
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
    { { "slots", WEIR_OPTION_NUMBER, "N", NULL, "Of each task manager.", 1, CONF_SLOTS_MAX }, NULL, VERB_ONCE },
    { { "memory", WEIR_OPTION_SIZE, "SIZE", NULL, "Of each task manager.", 0, 0 }, NULL, VERB_ONCE },
    OPTION_DIR,
};
static const struct verb_option dir_options[] = { OPTION_DIR };
/* clang-format on */

const struct verb verb_cluster_start = { .name = "cluster start",
    .usage = "[-n TASKMANAGERS] [--slots N] [--memory SIZE] [--dir DIR] [-D KEY=VALUE]...",
    .brief = "starts a cluster on this machine",
    .help =
        "Starts weir-jobmanager and weir-taskmanager in the background, and waits until they "
        "know each\n"
        "other. Of a cluster that runs it starts what is missing: processes that have ended, as "
        "they were\n"
        "started before, and those that -n counts more. The programs are looked for beside this "
        "one, then\n"
        "in PATH.",
    .takes = "options only",
    VERB_OPTIONS(start_options),
    .run = run_start };

/* -- stop --------------------------------------------------------------------------------------------------- */

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
        WEIR_TRY(client_say(client, "Stopped %u process%s.\n", alive, alive == 1 ? "" : "es"));
    if (killed > 0)
        WEIR_TRY(client_say(client, "Killed, for they did not end in time: %u.\n", killed));
    if (jobs > 0)
        WEIR_TRY(client_say(client,
            "Ended with it, for they had not ended: %" PRId64
            " job%s. Without high availability the next job manager does not know of them.\n",
            jobs, plural(jobs)));
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
    weir_error *error = client_use_cluster(client, dir);
    int64_t jobs = alive == 0 ? 0 : error != NULL ? -1 : count_jobs(client);
    weir_error_free(error); /* it is ended by its processes, whether it can be asked or not */
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

/* What the job manager says. Thread: one. */
struct said {
    struct document *overview, *jobs, *taskmanagers;
};

/* An id of a task manager ends with its pid and six random digits. */
static bool is_of(const char *id, int pid)
{
    char mark[24];
    snprintf(mark, sizeof(mark), "-%d-", pid);
    size_t size = strlen(id), end = strlen(mark) + 6;
    return size >= end && strncmp(id + size - end, mark, strlen(mark)) == 0;
}

/* It is alive, and the job manager does not know it. */
static bool is_unregistered(const struct said *said, const struct local_process *it)
{
    const struct document *list = document_get(said->taskmanagers, "taskmanagers");
    if (strcmp(it->name, "jobmanager") == 0 || !os_daemon_is_alive(&it->daemon))
        return false;
    for (uint32_t i = 0; i < document_count(list); i++) {
        const char *id = document_text(document_at(list, i), "id");
        if (id != NULL && is_of(id, it->daemon.pid))
            return false;
    }
    return true;
}

/* *names: their names, of the cluster. Returns how many. */
static uint32_t list_unregistered(const struct said *said, const struct local_cluster *cluster,
    char **names)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < cluster->count; i++)
        if (is_unregistered(said, &cluster->processes[i]))
            names[count++] = (char *)(uintptr_t)cluster->processes[i].name;
    return count;
}

static void print_unregistered(const struct client *client, const struct said *said,
    const struct local_cluster *cluster, weir_buffer *out)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        const struct local_process *it = &cluster->processes[i];
        if (is_unregistered(said, it))
            buffer_printf(out,
                "%s is alive, but not registered at %s: it is frozen ('kill -CONT %d' lets it go "
                "on), or does not reach the job manager (%s/%s.log says why); 'kill -9 %d' and "
                "'weir cluster start' replace it\n",
                it->name, client->url, it->daemon.pid, cluster->dir, it->name, it->daemon.pid);
    }
}

static void print_processes(const struct local_cluster *cluster, weir_buffer *out)
{
    buffer_printf(out, "%-20s %10s  %s\n", "PROCESS", "PID", "STATE");
    for (uint32_t i = 0; i < cluster->count; i++) {
        const struct local_process *it = &cluster->processes[i];
        buffer_printf(out, "%-20s %10d  %s\n", it->name, it->daemon.pid,
            os_daemon_is_alive(&it->daemon) ? "runs" : "has ended");
    }
    for (uint32_t i = 0; i < cluster->count; i++)
        if (!os_daemon_is_alive(&cluster->processes[i].daemon))
            buffer_printf(out,
                "%s has ended: %s/%s.log says why, 'weir cluster start' starts it again\n",
                cluster->processes[i].name, cluster->dir, cluster->processes[i].name);
}

/* What this machine knows without its job manager. */
static struct document *document_of(const struct client *client,
    const struct local_cluster *cluster)
{
    struct document *answer = document_new();
    char *names[LOCAL_PROCESSES_MAX];
    uint32_t count = 0;
    document_put_text(answer, "address", client->url);
    document_put_int(answer, "processes", cluster->count);
    document_put_int(answer, "alive", local_alive(cluster));
    for (uint32_t i = 0; i < cluster->count; i++)
        if (!os_daemon_is_alive(&cluster->processes[i].daemon))
            names[count++] = (char *)(uintptr_t)cluster->processes[i].name;
    document_put_list(answer, "ended", names, count);
    return answer;
}

/* The job manager is silent. */
static weir_error *tell_processes(const struct client *client, const struct local_cluster *cluster)
{
    if (client->is_json)
        return client_answer(client, document_of(client, cluster));
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    print_processes(cluster, out);
    return buffer_to_stdout(out);
}

static bool is_running(const struct document *job)
{
    const char *state = document_text(job, "state");
    return state != NULL && strcmp(state, "RUNNING") == 0;
}

static int64_t count_those(const struct document *jobs, bool (*is_one)(const struct document *job))
{
    int64_t count = 0;
    for (uint32_t i = 0; i < document_count(jobs); i++)
        count += is_one(document_at(jobs, i));
    return count;
}

static void print_those_that_do_not_run(const struct document *jobs, weir_buffer *out)
{
    for (uint32_t i = 0; i < document_count(jobs); i++) {
        const struct document *job = document_at(jobs, i);
        const char *id = document_text(job, "jid"), *name = document_text(job, "name"),
                   *state = document_text(job, "state");
        if (id == NULL || name == NULL || state == NULL || is_running(job) ||
            job_state_has_ended(state))
            continue;
        buffer_printf(out, "job %s (%s) is %s", id, name, state);
        int64_t slots = document_int(job, "slots-required", 0);
        if (job_waits_for_slots(job))
            buffer_printf(out,
                ": it waits for %" PRId64
                " slot%s; start another task manager, or 'weir rescale %s N'",
                slots, plural(slots), id);
        buffer_printf(out, "\n");
    }
}

static weir_error *tell_status(const struct client *client, const struct local_cluster *cluster,
    const struct said *said)
{
    const struct document *overview = said->overview, *jobs = document_get(said->jobs, "jobs");
    int64_t running = count_those(jobs, is_running);
    if (client->is_json) {
        char *names[LOCAL_PROCESSES_MAX];
        struct document *answer = document_of(client, cluster);
        document_put_int(answer, "taskmanagers", document_int(overview, "taskmanagers", 0));
        document_put_int(answer, "slots", document_int(overview, "slots-total", 0));
        document_put_int(answer, "slots-available", document_int(overview, "slots-available", 0));
        document_put_int(answer, "jobs-running", running);
        document_put_int(answer, "jobs-waiting-for-slots", count_those(jobs, job_waits_for_slots));
        document_put_list(answer, "unregistered", names, list_unregistered(said, cluster, names));
        return client_answer(client, answer);
    }
    int64_t taskmanagers = document_int(overview, "taskmanagers", 0),
            slots = document_int(overview, "slots-total", 0);
    weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
    print_processes(cluster, out);
    print_unregistered(client, said, cluster, out);
    buffer_printf(out,
        "%s: %" PRId64 " task manager%s, %" PRId64 " of %" PRId64 " slot%s free, %" PRId64
        " job%s running\n",
        client->url, taskmanagers, plural(taskmanagers),
        document_int(overview, "slots-available", 0), slots, plural(slots), running,
        plural(running));
    print_those_that_do_not_run(jobs, out);
    return buffer_to_stdout(out);
}

/* All answers, also after an error; release_said. */
static weir_error *ask_status(struct client *client, struct said *said)
{
    *said = (struct said){ .overview = NULL };
    WEIR_TRY(client_call(client, HTTP_GET, "/v1/overview", NULL, &said->overview));
    WEIR_TRY(client_call(client, HTTP_GET, "/v1/taskmanagers", NULL, &said->taskmanagers));
    return client_call(client, HTTP_GET, "/v1/jobs/overview", NULL, &said->jobs);
}

static void release_said(struct said *said)
{
    document_free(said->overview);
    document_free(said->taskmanagers);
    document_free(said->jobs);
}

static weir_error *status(const struct verb_call *call, struct client *client,
    struct local_cluster *cluster, const char *dir)
{
    struct said said;
    char *names[LOCAL_PROCESSES_MAX];
    WEIR_TRY(local_read(dir, cluster));
    if (!config_given(call->config, "jobmanager"))
        WEIR_TRY(client_use_cluster(client, dir));
    if (cluster->count == 0 && !config_given(call->config, "jobmanager"))
        return weir_errorf(WEIR_E_CONNECTOR,
            "no cluster runs in %s; 'weir cluster start' starts one", dir);
    weir_error *error = ask_status(client, &said);
    if (error != NULL) {
        release_said(&said);
        return weir_error_join(error, tell_processes(client, cluster));
    }
    error = tell_status(client, cluster, &said);
    call->outcome->status =
        local_alive(cluster) < cluster->count || list_unregistered(&said, cluster, names) > 0;
    release_said(&said);
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
            "task managers, slots and jobs, by name those that do not run, and what they wait for. "
            "Exit\n"
            "status 1: one has ended or is not registered, or the job manager is silent.",
    .takes = "options only",
    VERB_OPTIONS(dir_options),
    .run = run_status };

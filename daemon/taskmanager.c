/* taskmanager.c -- the program weir-taskmanager: slots on this machine, offered to the job manager. */
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_child.h"
#include "base/os_notify.h"
#include "base/os_process.h"
#include "base/os_signal.h"
#include "base/plural.h"
#include "daemon/daemon.h"
#include "net/http_client.h"
#include "net/sha256.h"
#include "runtime/cluster/task_executor.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKER_THREADS 2
#define JOBS_MAX       16384
#define ORPHAN_MS      600000

/* Thread: control; fetch: worker, which reads only. */
struct taskmanager_daemon {
    struct daemon daemon;
    struct net *net;
    struct workers *workers;
    struct election *election; /* observed; NULL: there is one job manager */
    struct task_executor *executor;
    char *id, *address;
};

/* -- executables ---------------------------------------------------------------------------------- */

static weir_error *check_blob(const char *path, const char *digest)
{
    char found[SHA256_HEX_SIZE + 1];
    WEIR_TRY(sha256_file(path, found));
    if (strcmp(found, digest) == 0)
        return NULL;
    return weir_error_retriable(weir_errorf(WEIR_E_CORRUPT,
        "the executable that came is not the one that was asked for (%s, not %s)", found, digest));
}

static weir_error *download(const struct taskmanager_daemon *it, const char *url, const char *path)
{
    const struct conf *conf = &it->daemon.conf;
    struct http_answer answer;
    struct http_call call = { .method = HTTP_GET,
        .url = url,
        .token = it->daemon.token,
        .answer_file = path };
    if (conf->security.is_ssl)
        call.tls = (struct tls_files){ .ca_file = conf->security.ca,
            .cert_file = conf->security.is_mutual ? conf->security.cert : NULL,
            .key_file = conf->security.is_mutual ? conf->security.key : NULL };
    WEIR_TRY(http_client_call(&call, &answer));
    weir_error *error = NULL;
    if (answer.status != 200)
        error = weir_error_retriable(
            weir_errorf(WEIR_E_IO, "%s answers %d: %.500s", url, answer.status, answer.bytes));
    http_client_release(&answer);
    return error;
}

static weir_error *fetch(void *arg, const char *url, const char *digest, const char *path)
{
    const struct taskmanager_daemon *it = arg;
    char *from = mem_printf("%s/%s", url, digest), *aside = mem_printf("%s.new", path);
    weir_error *error = download(it, from, aside);
    if (error == NULL)
        error = check_blob(aside, digest);
    if (error == NULL && chmod(aside, 0700) != 0)
        error = weir_errorf(WEIR_E_IO, "cannot make '%s' executable", aside);
    if (error == NULL)
        error = os_rename(aside, path);
    else
        error = weir_error_join(error, os_remove(aside));
    mem_free(from);
    mem_free(aside);
    return error;
}

/* -- life ------------------------------------------------------------------------------------------ */

/* Two on one machine, and one that begins anew, are different ones. By the pid 'weir cluster status' knows which of its
 * processes has registered. */
static char *make_id(const struct conf *conf)
{
    return mem_printf("%s-%d-%06llx", conf->taskmanager.host, getpid(),
        (unsigned long long)(os_random() & 0xffffff));
}

static weir_error *open_all(struct taskmanager_daemon *it)
{
    const struct conf *conf = &it->daemon.conf;
    bool is_ssl = conf->security.is_ssl;
    it->net = net_new();
    it->workers = workers_new(WORKER_THREADS, JOBS_MAX);
    daemon_sweep(&it->daemon, it->workers);
    it->id = make_id(conf);
    it->address = mem_printf("%s:%u", conf->jobmanager.rpc_address, conf->jobmanager.rpc_port);
    WEIR_TRY(daemon_election(&it->daemon, true, net_waker(it->net), &it->election));
    struct task_executor_options options = { .net = it->net,
        .workers = it->workers,
        .id = it->id,
        .host = conf->taskmanager.host,
        .bind_host = conf->taskmanager.bind_host,
        .data_port = conf->taskmanager.data_port,
        .slot_count = conf->taskmanager.slots,
        .memory_size = conf->taskmanager.memory_size,
        .memory_factor_percent = conf->taskmanager.memory_factor_percent,
        .token = it->daemon.token,
        .asks_user = !is_ssl, /* with TLS its certificate says who it is */
        .address = it->election == NULL ? it->address : NULL,
        .election = it->election,
        .tls = it->daemon.client,
        .ca_file = is_ssl ? conf->security.ca : NULL,
        .cert_file = is_ssl ? conf->security.cert : NULL,
        .key_file = is_ssl ? conf->security.key : NULL,
        .work_dir = it->daemon.work.path,
        .logs = it->daemon.logs,
        .watchdog_ms = conf->taskmanager.watchdog_ms,
        .orphan_ms = ORPHAN_MS,
        .fetch = fetch,
        .fetch_arg = it };
    os_children_watch(net_waker(it->net));
    return task_executor_new(&options, &it->executor);
}

static void close_all(struct taskmanager_daemon *it)
{
    task_executor_free(it->executor);
    election_free(it->election);
    os_children_watch(NULL);
    if (it->workers != NULL)
        workers_free(it->workers);
    if (it->net != NULL)
        net_free(it->net);
    mem_free(it->id);
    mem_free(it->address);
}

/* `limit_ms`: when it is to be back at the latest; INT64_MAX: when something comes. */
static void turn(struct taskmanager_daemon *it, int64_t limit_ms)
{
    int64_t now = os_monotonic_ms();
    task_executor_step(it->executor, now);
    int64_t deadline = os_earlier(limit_ms, task_executor_deadline_ms(it->executor));
    net_wait(it->net, deadline == INT64_MAX ? -1 : os_left_ms(deadline, now));
}

/* SIGTERM is a machine that goes down, or an upgrade: jobs leave in good order. SIGINT is a person, or `weir cluster
 * stop`, who ends everything: nobody would take them. */
static void drain(struct taskmanager_daemon *it)
{
    int64_t timeout_ms = it->daemon.conf.taskmanager.shutdown_timeout_ms;
    int64_t end_ms = os_monotonic_ms() + timeout_ms;
    if (strcmp(os_signals_name(), "SIGTERM") != 0 || timeout_ms == 0)
        return;
    log_info("taskmanager",
        "SIGTERM: leaves when its jobs have; for %g s at most (taskmanager.shutdown-timeout), a "
        "second signal ends it at once",
        (double)timeout_ms / 1000);
    task_executor_leave(it->executor);
    while (!task_executor_has_left(it->executor) && os_signals_seen() == 1 &&
           os_monotonic_ms() < end_ms)
        turn(it, end_ms);
}

int main(int argc, char **argv)
{
    struct taskmanager_daemon it = { .id = NULL };
    int status;
    if (!daemon_open(&it.daemon, "weir-taskmanager", argc, argv, &status)) {
        daemon_close(&it.daemon);
        return status;
    }
    weir_error *error = open_all(&it);
    if (error == NULL) {
        log_info("taskmanager", "'%s' offers %u slot%s and %llu MB", it.id,
            it.daemon.conf.taskmanager.slots, plural(it.daemon.conf.taskmanager.slots),
            (unsigned long long)(it.daemon.conf.taskmanager.memory_size >> 20));
        os_signals_watch(net_waker(it.net));
        os_notify("READY=1");
        while (os_signals_seen() == 0)
            turn(&it, INT64_MAX);
        os_notify("STOPPING=1");
        drain(&it);
        uint32_t workers = task_executor_child_count(it.executor);
        log_info("taskmanager", "%s: ends, and with it %u worker%s", os_signals_name(), workers,
            plural(workers));
        os_signals_unwatch();
    }
    close_all(&it);
    status = daemon_end(&it.daemon, error);
    daemon_close(&it.daemon);
    return status;
}

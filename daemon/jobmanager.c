/* jobmanager.c -- the program weir-jobmanager: takes jobs in and runs them on task managers. What it is while it leads
 * is runtime/cluster/leader.h; here are its options, and REST. */
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_notify.h"
#include "base/os_process.h"
#include "base/os_signal.h"
#include "base/worker.h"
#include "daemon/daemon.h"
#include "runtime/cluster/leader.h"
#include "web/rest.h"
#include "web/rest_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKER_THREADS   4
#define JOBS_MAX         16384
#define START_TIMEOUT_MS 60000
#define END_MS           3000 /* for what workers do, when the process is told to end */

/* Thread: control. */
struct jobmanager_daemon {
    struct daemon daemon;
    struct net *net;
    struct workers *workers;
    struct election *election; /* NULL: nobody else may lead */
    struct leader *leader;
    struct rest *rest; /* while it leads */
    struct http_server *server;
    char *store_dir, *blobs_dir, *blobs_url, *bodies_dir;
    struct rest_setting *settings;
    uint32_t setting_count;
};

/* -- REST ------------------------------------------------------------------------------------------- */

/* Clients and task managers show a token or a certificate; else they are this machine's, and of one user. */
static bool asks_user(const struct jobmanager_daemon *it)
{
    return it->daemon.token == NULL && !it->daemon.conf.security.is_mutual;
}

/* A standby knows who leads, and says where. */
static void handle(void *arg, struct http_request *request)
{
    const struct jobmanager_daemon *it = arg;
    const struct election_view *view = it->election == NULL ? NULL : election_view(it->election);
    if (it->rest != NULL) {
        rest_http_handle(it->rest, request);
    } else if (view == NULL || view->is_leader || view->leader.epoch == 0) {
        rest_http_redirect(request, NULL);
    } else {
        char *leader = mem_printf("%s://%s", it->daemon.conf.security.is_ssl ? "https" : "http",
            view->leader.rest);
        rest_http_redirect(request, leader);
        mem_free(leader);
    }
}

static weir_error *open_server(struct jobmanager_daemon *it)
{
    const struct conf *conf = &it->daemon.conf;
    struct http_server_options options = { .host = conf->rest.bind_address,
        .port = conf->rest.port,
        .tls = it->daemon.server,
        .token = it->daemon.token,
        .asks_user = asks_user(it),
        .body_dir = it->bodies_dir,
        .body_max = conf->blob.size_max,
        .body_max_fix = "raise blob.size-max of the job manager, or send a smaller one",
        .handler = handle,
        .arg = it };
    WEIR_TRY(os_make_dirs(it->bodies_dir));
    WEIR_TRY(http_server_new(it->net, &options, &it->server));
    log_info("jobmanager", "REST on %s:%u", conf->rest.bind_address, http_server_port(it->server));
    return NULL;
}

/* -- leading --------------------------------------------------------------------------------------- */

static weir_error *open_rest(void *arg, struct dispatcher *dispatcher, struct blob_store *blobs)
{
    struct jobmanager_daemon *it = arg;
    const struct conf *conf = &it->daemon.conf;
    struct rest_options rest = { .dispatcher = dispatcher,
        .blobs = blobs,
        .ui_dir = conf->rest.ui_dir,
        .has_proof = !asks_user(it),
        .settings = it->settings,
        .setting_count = it->setting_count };
    it->rest = rest_new(&rest);
    return NULL;
}

static void close_rest(void *arg)
{
    struct jobmanager_daemon *it = arg;
    rest_free(it->rest);
    it->rest = NULL;
}

/* What outlives this process lies on the shared directory; else in its own. */
static void name_dirs(struct jobmanager_daemon *it)
{
    const struct conf *conf = &it->daemon.conf;
    char *root = conf->ha.storage_dir == NULL
                     ? mem_strdup(it->daemon.work.path)
                     : mem_printf("%s/%s", conf->ha.storage_dir, conf->ha.cluster_id);
    if (it->election != NULL)
        it->store_dir = mem_printf("%s/%s/jobs", conf->ha.storage_dir, conf->ha.cluster_id);
    it->blobs_dir = mem_printf("%s/blobs", root);
    it->bodies_dir = mem_printf("%s/uploads", root);
    it->blobs_url = mem_printf("%s://%s:%u/v1/blobs", conf->security.is_ssl ? "https" : "http",
        conf->rest.address, conf->rest.port);
    mem_free(root);
}

static struct leader *make_leader(struct jobmanager_daemon *it)
{
    const struct conf *conf = &it->daemon.conf;
    struct leader_options options = { .election = it->election,
        .store_dir = it->store_dir,
        .blobs_dir = it->blobs_dir,
        .blob_size_max = conf->blob.size_max,
        .blob_total_max = conf->blob.total_max,
        .dispatcher = { .net = it->net,
            .workers = it->workers,
            .token = it->daemon.token,
            .asks_user = asks_user(it),
            .blobs_url = it->blobs_url,
            .checkpoints = conf->checkpoints,
            .savepoints = conf->savepoints,
            .logs = it->daemon.logs,
            .heartbeat_ms = conf->heartbeat.interval_ms,
            .heartbeat_timeout_ms = conf->heartbeat.timeout_ms,
            .slot_timeout_ms = conf->slot_timeout_ms,
            .start_timeout_ms = START_TIMEOUT_MS,
            .retained_jobs = conf->jobmanager.terminal_jobs_max },
        .rpc = { .host = conf->jobmanager.bind_host,
            .port = conf->jobmanager.rpc_port,
            .tls = it->daemon.server,
            .connections_max = 16384 },
        .opened = open_rest,
        .closing = close_rest,
        .arg = it };
    return leader_new(&options);
}

static weir_error *turn(struct jobmanager_daemon *it)
{
    int64_t now = os_monotonic_ms();
    WEIR_TRY(leader_step(it->leader, now));
    int64_t deadline = leader_deadline_ms(it->leader);
    net_wait(it->net, deadline == INT64_MAX ? -1 : os_left_ms(deadline, now));
    return NULL;
}

/* -- life ------------------------------------------------------------------------------------------ */

static void list_settings(struct jobmanager_daemon *it)
{
    uint32_t count;
    const struct weir_option *rows = conf_rows(&count);
    it->settings = mem_alloc_array(count, sizeof(*it->settings));
    for (uint32_t i = 0; i < count; i++) {
        const char *value = config_text(it->daemon.conf.config, rows[i].name);
        if (value != NULL)
            it->settings[it->setting_count++] =
                (struct rest_setting){ .key = rows[i].name, .value = value };
    }
}

static weir_error *open_all(struct jobmanager_daemon *it)
{
    it->net = net_new();
    /* Checkpoints of jobs that have no place for them go with this process, and before there are threads. */
    if (setenv("TMPDIR", it->daemon.work.path, 1) != 0)
        return weir_errorf(WEIR_E_MEMORY, "cannot set TMPDIR");
    it->workers = workers_new(WORKER_THREADS, JOBS_MAX);
    daemon_sweep(&it->daemon, it->workers);
    list_settings(it);
    WEIR_TRY(daemon_election(&it->daemon, false, net_waker(it->net), &it->election));
    name_dirs(it);
    WEIR_TRY(open_server(it));
    it->leader = make_leader(it);
    /* without an election it leads before anybody is told that it is ready */
    return it->election == NULL ? leader_step(it->leader, os_monotonic_ms()) : NULL;
}

static void close_all(struct jobmanager_daemon *it)
{
    http_server_free(it->server);
    leader_free(it->leader);
    election_free(it->election);
    if (it->workers != NULL)
        workers_free(it->workers);
    if (it->net != NULL)
        net_free(it->net);
    mem_free(it->store_dir);
    mem_free(it->blobs_dir);
    mem_free(it->blobs_url);
    mem_free(it->bodies_dir);
    mem_free(it->settings);
}

/* A disk that does not answer must not keep whoever wants this process to end. What is cut off is what a kill -9 may cut
 * off at any time; the next leader goes on from what is complete. */
static _Noreturn void end_without_waiting(const struct jobmanager_daemon *it, weir_error *error)
{
    log_warn("jobmanager",
        "ends without waiting for a disk that has not answered within %d s: complete checkpoints "
        "hold, and the next leader goes on from them",
        END_MS / 1000);
    os_exit(daemon_end(&it->daemon, error));
}

int main(int argc, char **argv)
{
    struct jobmanager_daemon it = { .net = NULL };
    int status;
    mem_keep_small();
    if (!daemon_open(&it.daemon, "weir-jobmanager", argc, argv, &status)) {
        daemon_close(&it.daemon);
        return status;
    }
    weir_error *error = open_all(&it);
    if (error == NULL) {
        os_signals_watch(net_waker(it.net));
        os_notify("READY=1");
        while (os_signals_seen() == 0 && error == NULL)
            error = turn(&it);
        os_notify("STOPPING=1");
        os_signals_unwatch();
        if (!workers_wait(it.workers, END_MS))
            end_without_waiting(&it, error);
    }
    close_all(&it);
    status = daemon_end(&it.daemon, error);
    daemon_close(&it.daemon);
    return status;
}

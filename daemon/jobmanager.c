/* jobmanager.c -- the program weir-jobmanager: takes jobs in and runs them on task managers.
 *
 *      candidate --elected--> leader: dispatcher, RPC port, REST --not the leader any more--> candidate
 *
 * Without high availability it leads from the start. A candidate opens no port: who asks it is told by nobody,
 * and asks the leader, whose address the election publishes.
 *
 * A leader that ends lets its jobs go: their workers go on, and whoever leads next takes them over from the job
 * store. */
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_notify.h"
#include "base/os_process.h"
#include "base/os_signal.h"
#include "base/worker.h"
#include "daemon/daemon.h"
#include "net/sha256.h"
#include "runtime/cluster/dispatcher.h"
#include "runtime/cluster/job_store.h"
#include "web/rest.h"
#include "web/rest_http.h"

#include <stdio.h>
#include <string.h>

#define WORKER_THREADS   4
#define JOBS_MAX         16384
#define SLOT_TIMEOUT_MS  300000
#define START_TIMEOUT_MS 60000
#define CHECK_MS         500 /* between two looks whether we certainly still lead */

/* What a leader has. Thread: control. */
struct leader {
    struct job_store *store;
    struct dispatcher *dispatcher;
    struct listener *listener;
    struct rest *rest;
    struct http_server *server;
    struct blob_store *blobs;
    char *blobs_dir, *blobs_url, *bodies_dir;
    int64_t next_check_ms;
};

/* Thread: control. */
struct jobmanager_daemon {
    struct daemon daemon;
    struct net *net;
    struct workers *workers;
    struct election *election; /* NULL: nobody else may lead */
    struct leader *leader;     /* NULL: a candidate */
    int64_t next_try_ms;       /* elected, but not certainly: to lead not before */
    struct rest_setting *settings;
    uint32_t setting_count;
};

/* -- leading --------------------------------------------------------------------------------------- */

static void stop_leading(struct jobmanager_daemon *it)
{
    struct leader *leader = it->leader;
    if (leader == NULL)
        return;
    http_server_free(leader->server);
    rest_free(leader->rest);
    listener_free(leader->listener);
    dispatcher_free(leader->dispatcher);
    blob_store_close(leader->blobs);
    job_store_close(leader->store);
    mem_free(leader->blobs_dir);
    mem_free(leader->blobs_url);
    mem_free(leader->bodies_dir);
    mem_free(leader);
    it->leader = NULL;
}

/* What outlives this process lies on the shared directory; else in its own. */
static weir_error *make_dirs(struct jobmanager_daemon *it, struct leader *leader)
{
    const struct conf *conf = &it->daemon.conf;
    char *root = conf->ha.storage_dir == NULL
                     ? mem_strdup(it->daemon.work_dir)
                     : mem_printf("%s/%s", conf->ha.storage_dir, conf->ha.cluster_id);
    leader->blobs_dir = mem_printf("%s/blobs", root);
    leader->bodies_dir = mem_printf("%s/uploads", root);
    leader->blobs_url = mem_printf("%s://%s:%u/v1/blobs", conf->security.is_ssl ? "https" : "http",
        conf->rest.address, conf->rest.port);
    mem_free(root);
    return os_make_dirs(leader->bodies_dir);
}

static weir_error *open_store(struct jobmanager_daemon *it, struct leader *leader, uint64_t epoch)
{
    const struct conf *conf = &it->daemon.conf;
    if (it->election == NULL)
        return NULL;
    char *dir = mem_printf("%s/%s/jobs", conf->ha.storage_dir, conf->ha.cluster_id);
    struct job_store_options options = { .dir = dir,
        .epoch = epoch,
        .election = it->election,
        .over_max = conf->jobmanager.terminal_jobs_max };
    weir_error *error = job_store_open(&options, &leader->store);
    mem_free(dir);
    return error;
}

static weir_error *open_blobs(struct jobmanager_daemon *it, struct leader *leader, uint64_t epoch)
{
    static const struct blob_digest algorithm = { .begin = sha256_begin,
        .add = sha256_add,
        .end = sha256_end };
    const struct conf *conf = &it->daemon.conf;
    struct blob_store_options options = { .dir = leader->blobs_dir,
        .epoch = epoch,
        .election = it->election,
        .digest = &algorithm,
        .size_max = conf->blob.size_max,
        .total_max = conf->blob.total_max };
    return blob_store_open(&options, os_monotonic_ms(), &leader->blobs);
}

static void make_dispatcher(struct jobmanager_daemon *it, struct leader *leader, uint64_t epoch)
{
    const struct conf *conf = &it->daemon.conf;
    struct dispatcher_options options = { .net = it->net,
        .workers = it->workers,
        .store = leader->store,
        .epoch = epoch,
        .token = it->daemon.token,
        .blobs_url = leader->blobs_url,
        .blobs = leader->blobs,
        .checkpoints = conf->checkpoints,
        .savepoints = conf->savepoints,
        .heartbeat_ms = conf->heartbeat.interval_ms,
        .heartbeat_timeout_ms = conf->heartbeat.timeout_ms,
        .slot_timeout_ms = SLOT_TIMEOUT_MS,
        .start_timeout_ms = START_TIMEOUT_MS,
        .retained_jobs = conf->jobmanager.terminal_jobs_max };
    leader->dispatcher = dispatcher_new(&options);
}

static weir_error *open_ports(struct jobmanager_daemon *it, struct leader *leader)
{
    const struct conf *conf = &it->daemon.conf;
    struct listen_options rpc = { .host = conf->jobmanager.bind_host,
        .port = conf->jobmanager.rpc_port,
        .tls = it->daemon.server,
        .connections_max = 16384,
        .accepted = dispatcher_accepted,
        .arg = leader->dispatcher };
    WEIR_TRY(net_listen(it->net, &rpc, &leader->listener));
    struct rest_options rest = { .dispatcher = leader->dispatcher,
        .blobs = leader->blobs,
        .ui_dir = conf->rest.ui_dir,
        .has_proof = it->daemon.token != NULL || conf->security.is_mutual,
        .settings = it->settings,
        .setting_count = it->setting_count };
    leader->rest = rest_new(&rest);
    struct http_server_options http = { .host = conf->rest.bind_address,
        .port = conf->rest.port,
        .tls = it->daemon.server,
        .token = it->daemon.token,
        .body_dir = leader->bodies_dir,
        .body_max = conf->blob.size_max,
        .handler = rest_http_handle,
        .arg = leader->rest };
    return http_server_new(it->net, &http, &leader->server);
}

static weir_error *start_leading(struct jobmanager_daemon *it, uint64_t epoch)
{
    struct leader *leader = it->leader = mem_alloc(sizeof(*leader));
    WEIR_TRY(make_dirs(it, leader));
    WEIR_TRY(open_store(it, leader, epoch));
    WEIR_TRY(open_blobs(it, leader, epoch));
    make_dispatcher(it, leader, epoch);
    WEIR_TRY(dispatcher_recover(leader->dispatcher));
    WEIR_TRY(open_ports(it, leader));
    log_info("jobmanager", "leads, epoch %llu: REST on %s:%u, task managers on %s:%u",
        (unsigned long long)epoch, it->daemon.conf.rest.bind_address,
        http_server_port(leader->server), it->daemon.conf.jobmanager.bind_host,
        listener_port(leader->listener));
    return NULL;
}

/* -- the election ----------------------------------------------------------------------------------- */

static bool still_leads(struct jobmanager_daemon *it, int64_t now)
{
    if (now < it->leader->next_check_ms)
        return election_view(it->election)->is_leader;
    it->leader->next_check_ms = now + CHECK_MS;
    weir_error *error = election_check(it->election);
    if (error != NULL)
        log_warn("jobmanager", "leads no more: %s", weir_error_message(error));
    weir_error_free(error);
    return error == NULL;
}

/* One that was frozen still believes to be elected for a moment: that is no reason to end, it stays a candidate. */
static weir_error *try_to_lead(struct jobmanager_daemon *it, int64_t now)
{
    weir_error *doubt = election_check(it->election), *error = NULL;
    if (doubt == NULL)
        error = start_leading(it, election_view(it->election)->leader.epoch);
    if (error != NULL) {
        stop_leading(it);
        doubt = election_check(it->election);
    }
    it->next_try_ms = now + CHECK_MS;
    if (doubt == NULL)
        return error;
    log_warn("jobmanager", "does not lead yet: %s", weir_error_message(doubt));
    weir_error_free(error);
    weir_error_free(doubt);
    return NULL;
}

static weir_error *step_election(struct jobmanager_daemon *it, int64_t now)
{
    election_step(it->election, now);
    const struct election_view *view = election_view(it->election);
    if (it->leader != NULL && !still_leads(it, now)) {
        stop_leading(it);
        return NULL;
    }
    if (it->leader != NULL || !view->is_leader || now < it->next_try_ms)
        return NULL;
    return try_to_lead(it, now);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static weir_error *turn(struct jobmanager_daemon *it)
{
    int64_t now = os_monotonic_ms(), deadline = INT64_MAX;
    if (it->election != NULL) {
        WEIR_TRY(step_election(it, now));
        deadline = election_deadline_ms(it->election);
        if (it->leader == NULL && election_view(it->election)->is_leader)
            deadline = earlier(deadline, it->next_try_ms);
    }
    if (it->leader != NULL) {
        dispatcher_step(it->leader->dispatcher, now);
        deadline = earlier(deadline, dispatcher_deadline_ms(it->leader->dispatcher));
        if (it->election != NULL)
            deadline = earlier(deadline, it->leader->next_check_ms);
    }
    net_wait(it->net, deadline == INT64_MAX ? -1 : deadline <= now ? 0 : deadline - now);
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
    it->workers = workers_new(WORKER_THREADS, JOBS_MAX);
    list_settings(it);
    WEIR_TRY(daemon_election(&it->daemon, false, net_waker(it->net), &it->election));
    return it->election == NULL ? start_leading(it, 1) : NULL;
}

static void close_all(struct jobmanager_daemon *it)
{
    stop_leading(it);
    election_free(it->election);
    if (it->workers != NULL)
        workers_free(it->workers);
    if (it->net != NULL)
        net_free(it->net);
    mem_free(it->settings);
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
    }
    close_all(&it);
    status = daemon_end(&it.daemon, error);
    daemon_close(&it.daemon);
    return status;
}

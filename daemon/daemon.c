/* daemon.c -- see daemon.h. */
#include "daemon/daemon.h"

#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"
#include "base/worker.h"
#include <weir/weir.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OVERRIDES_MAX 256u
#define FILES_WANTED  ((uint64_t)65536) /* open ones; RocksDB of a worker alone may have thousands */
#define SWEEP_MAX     1000u             /* directories at a start */
#define FILES_MIN     ((uint64_t)4096)

/* -- arguments ------------------------------------------------------------------------------------ */

static int usage(const char *name)
{
    weir_buffer *out = weir_buffer_new((size_t)1 << 20);
    buffer_printf(out,
        "usage: %s [--conf FILE] [-D key=value]...\n"
        "\n"
        "  --conf FILE    the configuration; without it the file that WEIR_CONF names, else\n"
        "                 conf/weir.yaml if that is there, else defaults\n"
        "  -D key=value   counts instead of what the file says; may be repeated\n"
        "  --version, --help\n"
        "\n"
        "conf/weir.yaml explains every key. It logs to standard error, and ends in good order at "
        "SIGTERM.\n",
        name);
    weir_error *error = buffer_to_stdout(out);
    weir_error_free(error);
    return 0;
}

static int version(const char *name)
{
    weir_buffer *out = weir_buffer_new(1024);
    buffer_printf(out, "%s %s\n", name, WEIR_VERSION);
    weir_error_free(buffer_to_stdout(out));
    return 0;
}

/* Thread: control. */
struct arguments {
    const char *conf;
    const char *overrides[OVERRIDES_MAX];
    uint32_t override_count;
};

static weir_error *read_argument(struct arguments *arguments, int argc, char **argv, int *i)
{
    const char *it = argv[*i];
    const char *value = strncmp(it, "-D", 2) == 0 && it[2] != '\0' ? it + 2 : NULL;
    bool is_override = strncmp(it, "-D", 2) == 0, is_conf = strcmp(it, "--conf") == 0;
    if (!is_override && !is_conf)
        return weir_errorf(WEIR_E_USAGE, "there is no option '%.100s'; --help lists all", it);
    if (value == NULL && *i + 1 >= argc)
        return weir_errorf(WEIR_E_USAGE, "option '%s' needs a value", it);
    if (value == NULL)
        value = argv[++*i];
    if (is_conf)
        arguments->conf = value;
    else if (arguments->override_count == OVERRIDES_MAX)
        return weir_errorf(WEIR_E_USAGE, "more than %u times -D", OVERRIDES_MAX);
    else
        arguments->overrides[arguments->override_count++] = value;
    return NULL;
}

static weir_error *read_arguments(struct arguments *arguments, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        WEIR_TRY(read_argument(arguments, argc, argv, &i));
    return conf_find(arguments->conf, &arguments->conf);
}

/* -- what the configuration names ----------------------------------------------------------------- */

static weir_error *make_tls(struct daemon *daemon)
{
    const struct conf *conf = &daemon->conf;
    if (!conf->security.is_ssl)
        return NULL;
    struct tls_files server = { .cert_file = conf->security.cert,
        .key_file = conf->security.key,
        .ca_file = conf->security.is_mutual ? conf->security.ca : NULL };
    struct tls_files client = { .ca_file = conf->security.ca,
        .cert_file = conf->security.is_mutual ? conf->security.cert : NULL,
        .key_file = conf->security.is_mutual ? conf->security.key : NULL };
    WEIR_TRY(tls_server_new(&server, &daemon->server));
    return tls_client_new(&client, &daemon->client);
}

static char *first_tmp_dir(const struct conf *conf)
{
    return mem_printf("%.*s", (int)strcspn(conf->tmp_dirs, ",:"), conf->tmp_dirs);
}

static weir_error *make_work_dir(struct daemon *daemon)
{
    char *parent = first_tmp_dir(&daemon->conf);
    weir_error *error = os_scratch_open(parent, strchr(daemon->name, '-') + 1, &daemon->work);
    mem_free(parent);
    return error;
}

/* The last default lies where others may write, too: it must be ours, or somebody else reads what jobs print. */
static weir_error *log_root(const struct conf *conf, char **root)
{
    const char *given = conf->log.dir != NULL ? conf->log.dir : getenv("LOGS_DIRECTORY");
    *root = given != NULL ? mem_printf("%.*s", (int)strcspn(given, ":"), given)
                          : mem_printf("%.*s/weir-logs-%u", (int)strcspn(conf->tmp_dirs, ",:"),
                                conf->tmp_dirs, os_user_id());
    WEIR_TRY(os_make_dirs(*root));
    if (given != NULL || os_dir_is_own(*root))
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "'%s' is not a directory of this user alone: set env.log.dir to one", *root);
}

static weir_error *open_logs(struct daemon *daemon)
{
    const struct conf *conf = &daemon->conf;
    char *root = NULL;
    weir_error *error = log_root(conf, &root);
    if (error == NULL)
        error =
            log_dir_open(root, strchr(daemon->name, '-') + 1, conf->log.size_max, &daemon->logs);
    mem_free(root);
    WEIR_TRY(error);
    char *path = log_dir_own_file(daemon->logs);
    error = log_set_file(path, log_dir_file_max(daemon->logs, 1));
    mem_free(path);
    return error;
}

static weir_error *open_daemon(struct daemon *daemon, int argc, char **argv)
{
    struct arguments arguments = { .conf = NULL };
    WEIR_TRY(read_arguments(&arguments, argc, argv));
    WEIR_TRY(
        conf_load(arguments.conf, arguments.overrides, arguments.override_count, &daemon->conf));
    WEIR_TRY(conf_check(&daemon->conf));
    log_set_json(daemon->conf.is_log_json);
    log_set_level(daemon->conf.log_level);
    uint64_t files = os_raise_file_limit(FILES_WANTED);
    if (files < FILES_MIN)
        log_warn("daemon", "only %llu files may be open at once; raise the limit (ulimit -Hn)",
            (unsigned long long)files);
    WEIR_TRY(conf_secret(&daemon->conf, "security.token-file", &daemon->token));
    WEIR_TRY(conf_secret(&daemon->conf, "high-availability.zookeeper.client.auth-file",
        &daemon->zookeeper_auth));
    WEIR_TRY(make_tls(daemon));
    WEIR_TRY(open_logs(daemon));
    return make_work_dir(daemon);
}

static void run_sweep(void *arg)
{
    char *dir = arg;
    uint32_t removed;
    weir_error *error = os_scratch_sweep(dir, SWEEP_MAX, &removed);
    if (removed > 0)
        log_info("daemon", "removed from '%s' what killed processes have left: %u director%s", dir,
            removed, removed == 1 ? "y" : "ies");
    if (error != NULL)
        log_warn("daemon", "cannot remove what a killed process has left: %s",
            weir_error_message(error));
    weir_error_free(error);
    mem_free(dir);
}

void daemon_sweep(const struct daemon *daemon, struct workers *workers)
{
    char *own = first_tmp_dir(&daemon->conf), *jobs = mem_strdup(daemon->jobs_tmp);
    if (strcmp(own, jobs) == 0 || !workers_submit(workers, NULL, run_sweep, jobs))
        mem_free(jobs);
    if (!workers_submit(workers, NULL, run_sweep, own))
        mem_free(own);
}

bool daemon_open(struct daemon *daemon, const char *name, int argc, char **argv, int *status)
{
    *daemon = (struct daemon){ .name = name, .jobs_tmp = mem_strdup(os_scratch_parent()) };
    *status = daemon_end(daemon, fault_init());
    if (*status != 0)
        return false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *status = usage(name);
            return false;
        }
        if (strcmp(argv[i], "--version") == 0) {
            *status = version(name);
            return false;
        }
    }
    *status = daemon_end(daemon, open_daemon(daemon, argc, argv));
    return *status == 0;
}

void daemon_close(struct daemon *daemon)
{
    weir_error_free(os_scratch_close(&daemon->work));
    weir_error_free(log_set_file(NULL, 0));
    log_dir_close(daemon->logs);
    tls_free(daemon->server);
    tls_free(daemon->client);
    mem_free(daemon->token);
    mem_free(daemon->zookeeper_auth);
    mem_free(daemon->jobs_tmp);
    conf_release(&daemon->conf);
}

int daemon_end(const struct daemon *daemon, weir_error *error)
{
    if (error == NULL)
        return 0;
    int status = weir_code_exit(weir_error_code(error));
    if (daemon->conf.is_log_json || daemon->logs != NULL)
        log_error(daemon->name, "%s", weir_error_message(error));
    else
        fprintf(stderr, "%s: %s\n", daemon->name, weir_error_message(error));
    weir_error_free(error);
    return status;
}

weir_error *daemon_election(const struct daemon *daemon, bool is_observer, struct waker *waker,
    struct election **election)
{
    const struct conf *conf = &daemon->conf;
    *election = NULL;
    if (conf->ha.type == CONF_HA_NONE)
        return NULL;
    char *rpc = mem_printf("%s:%u", conf->jobmanager.rpc_address, conf->jobmanager.rpc_port);
    char *rest = mem_printf("%s:%u", conf->rest.address, conf->rest.port);
    char *dir = mem_printf("%s/%s/election",
        conf->ha.storage_dir == NULL ? "" : conf->ha.storage_dir, conf->ha.cluster_id);
    char *node = mem_printf("%s/%s", conf->ha.path_root, conf->ha.cluster_id);
    struct election_options options = { .rpc = is_observer ? NULL : rpc,
        .rest = is_observer ? NULL : rest,
        .is_observer = is_observer,
        .waker = waker };
    if (conf->ha.type == CONF_HA_FILE) {
        options.class = &election_file;
        options.file.dir = dir;
        options.file.lease_ms = conf->ha.lease_ms;
    } else {
        options.class = &election_zookeeper;
        options.zookeeper.quorum = conf->ha.quorum;
        options.zookeeper.path = node;
        options.zookeeper.auth = daemon->zookeeper_auth;
        options.zookeeper.session_timeout_ms = conf->ha.session_timeout_ms;
    }
    weir_error *error = os_make_dirs(dir);
    if (error == NULL)
        error = election_new(&options, election);
    mem_free(rpc);
    mem_free(rest);
    mem_free(dir);
    mem_free(node);
    return error;
}

/* conf.c -- see conf.h: the table, what is made of it, and what must fit together. */
#include "runtime/cluster/conf.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"
#include "runtime/cluster/conf_yaml.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS_MAX       (INT64_C(365) * 24 * 3600 * 1000)
#define FILE_COLUMNS 100u
#define SECRET_MAX   ((size_t)4096)
#define BLANKS       " \t\r\n"
#define LOOPBACK     "An address that other machines reach needs security.ssl and a token."

/* clang-format off */
static const struct weir_option rows[] = {
    { "jobmanager.rpc.address", WEIR_OPTION_TEXT, "HOST", "localhost",
        "Where task managers and workers find the job manager. With high availability the leader publishes this "
        "address, so each job manager has its own.", 0, 0 },
    { "jobmanager.rpc.port", WEIR_OPTION_NUMBER, "PORT", "6123",
        "The port of the job manager for task managers and workers.", 1, 65535 },
    { "jobmanager.bind-host", WEIR_OPTION_TEXT, "ADDRESS", "localhost",
        "The address that this port is opened on. " LOOPBACK, 0, 0 },
    { "rest.address", WEIR_OPTION_TEXT, "HOST", "localhost",
        "Where the command weir finds the job manager.", 0, 0 },
    { "rest.port", WEIR_OPTION_NUMBER, "PORT", "8081",
        "The port of the REST interface and the web page, and of executables for task managers.",
        1, 65535 },
    { "rest.bind-address", WEIR_OPTION_TEXT, "ADDRESS", "localhost",
        "The address that this port is opened on. " LOOPBACK, 0, 0 },
    { "web.ui-dir", WEIR_OPTION_TEXT, "DIR", NULL,
        "The files of another web page, such as those of Flink's dashboard. Without it, Weir's own.", 0, 0 },
    { "taskmanager.numberOfTaskSlots", WEIR_OPTION_NUMBER, "N", "1",
        "Slots of a task manager: how many parallel pipelines it runs, each on a thread. As many as it has cores "
        "is a good start.", 1, CONF_SLOTS_MAX },
    { "taskmanager.memory.process.size", WEIR_OPTION_SIZE, "SIZE", "1GB",
        "For all workers of a task manager together. A worker gets the share of its slots as its --memory.",
        16 << 20, INT64_MAX },
    { "taskmanager.host", WEIR_OPTION_TEXT, "HOST", "localhost",
        "Where other workers find those of this task manager.", 0, 0 },
    { "taskmanager.bind-host", WEIR_OPTION_TEXT, "ADDRESS", "localhost",
        "The address that workers open their data ports on. " LOOPBACK, 0, 0 },
    { "taskmanager.data.port", WEIR_OPTION_NUMBER, "PORT", "0",
        "The first port that workers exchange records on: each takes the first one that is free, of this and the 999 "
        "behind it. 0: any that is free.", 0, 65535 },
    { "taskmanager.worker.memory-factor", WEIR_OPTION_NUMBER, "PERCENT", "150",
        "A worker that takes more than this much of its share of the memory is ended. 0: no limit.", 0, 10000 },
    { "taskmanager.worker.watchdog", WEIR_OPTION_DURATION, "TIME", "60s",
        "A worker that has not answered for this long is killed, and its job restarts. 0: never.", 0, MS_MAX },
    { "taskmanager.shutdown-timeout", WEIR_OPTION_DURATION, "TIME", "20s",
        "How long a task manager that gets SIGTERM waits until its jobs have taken a checkpoint and left; then its "
        "workers end with it. Less than the TimeoutStopSec of its unit. 0: it does not wait.", 0, MS_MAX },
    { "io.tmp.dirs", WEIR_OPTION_TEXT, "DIR[,DIR]", "/tmp",
        "Directories for what need not survive: working state of RocksDB, copies of executables.", 0, 0 },
    { "heartbeat.interval", WEIR_OPTION_DURATION, "TIME", "1s",
        "How often the job manager and its task managers tell each other that they are alive.", 10, MS_MAX },
    { "heartbeat.timeout", WEIR_OPTION_DURATION, "TIME", "5s",
        "Silence after which the other is taken for dead. At least twice the interval.", 20, MS_MAX },
    { "slot.request.timeout", WEIR_OPTION_DURATION, "TIME", "300s",
        "How long a job waits for slots that are not free until its attempt fails, and its --restart decides.",
        1, MS_MAX },
    { "execution.checkpointing.dir", WEIR_OPTION_TEXT, "DIR", NULL,
        "Where checkpoints of jobs are kept that do not say it themselves. Every machine must see it. Without it, with "
        "high availability, in checkpoints below high-availability.storageDir; else in a temporary directory.", 0, 0 },
    { "execution.checkpointing.savepoint-dir", WEIR_OPTION_TEXT, "DIR", NULL,
        "Where savepoints are written when a request does not say it.", 0, 0 },
    { "high-availability.type", WEIR_OPTION_TEXT, "none|file|zookeeper", "none",
        "How several job managers agree on a leader: by files on a shared directory, or by ZooKeeper. With none "
        "there is one job manager, and jobs are forgotten when it ends.", 0, 0 },
    { "high-availability.storageDir", WEIR_OPTION_TEXT, "DIR", NULL,
        "A directory that all job managers see, where submitted jobs and their executables are kept, and "
        "checkpoints without execution.checkpointing.dir, so task managers must see it then; with type file also the "
        "election.", 0, 0 },
    { "high-availability.cluster-id", WEIR_OPTION_TEXT, "NAME", "default",
        "Which cluster this is, among those that share a directory or a ZooKeeper. Letters, digits, '.', '_' "
        "and '-'.", 0, 0 },
    { "high-availability.file.lease", WEIR_OPTION_DURATION, "TIME", "5s",
        "A leader that shows no life for this long is replaced. It shows some four times in this time.",
        100, MS_MAX },
    { "high-availability.zookeeper.quorum", WEIR_OPTION_TEXT, "HOST:PORT[,...]", NULL,
        "The servers of ZooKeeper.", 0, 0 },
    { "high-availability.zookeeper.path.root", WEIR_OPTION_TEXT, "PATH", "/weir",
        "The node of ZooKeeper below which each cluster has its own.", 0, 0 },
    { "high-availability.zookeeper.client.session-timeout", WEIR_OPTION_DURATION, "TIME", "10s",
        "A leader that ZooKeeper has not heard of for this long is replaced. The servers have limits of their own.",
        1000, 600000 },
    { "high-availability.zookeeper.client.auth-file", WEIR_OPTION_TEXT, "FILE", NULL,
        "A file with user:password for the digest scheme. Nodes are then for this user only, else for all.", 0, 0 },
    { "jobstore.max-capacity", WEIR_OPTION_NUMBER, "N", "1000",
        "Jobs that have ended and are still listed.", 0, 100000 },
    { "blob.size-max", WEIR_OPTION_SIZE, "SIZE", "256MB",
        "The largest executable that can be uploaded.", 1 << 10, INT64_MAX },
    { "blob.total-max", WEIR_OPTION_SIZE, "SIZE", "10GB",
        "All executables together. What no job needs is deleted.", 1 << 10, INT64_MAX },
    { "security.ssl.enabled", WEIR_OPTION_FLAG, "true|false", "false",
        "TLS on every port of the cluster.", 0, 0 },
    { "security.ssl.cert", WEIR_OPTION_TEXT, "FILE", NULL,
        "The certificate that this process shows, with its chain, PEM. It is made out for the host that others dial, "
        "and on task managers good for a client, too: workers look at each other's.", 0, 0 },
    { "security.ssl.key", WEIR_OPTION_TEXT, "FILE", NULL,
        "The private key that belongs to it, PEM.", 0, 0 },
    { "security.ssl.ca", WEIR_OPTION_TEXT, "FILE", NULL,
        "Certificates that others' must be signed by, PEM.", 0, 0 },
    { "security.ssl.mutual", WEIR_OPTION_FLAG, "true|false", "false",
        "Clients must show a certificate, too.", 0, 0 },
    { "security.token-file", WEIR_OPTION_TEXT, "FILE", NULL,
        "A file with the secret that every client must know, for its owner alone (chmod 600). All machines of the cluster "
        "have the same. Without one, and without certificates of clients, other users of this machine may look, and change "
        "nothing.", 0, 0 },
    { "env.log.dir", WEIR_OPTION_TEXT, "DIR", NULL,
        "Where each process of this machine keeps its log and what its workers print, in a directory of its own. "
        "Without it the directory that systemd gives a service (/var/log/weir), else weir-logs-<user id> in the first "
        "of io.tmp.dirs.", 0, 0 },
    { "env.log.size-max", WEIR_OPTION_SIZE, "SIZE", "256MB",
        "All logs of a process, its workers' and those of the ones before it: the oldest are deleted. A file has at "
        "most a sixteenth of it. Cores of workers have as much again, and the newest stays whatever its size.", 1 << 20,
        INT64_MAX },
    { "log.format", WEIR_OPTION_TEXT, "text|json", "text", "Of log lines, in the log and on standard error.", 0, 0 },
    { "log.level", WEIR_OPTION_TEXT, "debug|info|warn|error", "info", "The least that is shown.", 0, 0 },
};
/* clang-format on */

#define ROW_COUNT ((uint32_t)(sizeof(rows) / sizeof(rows[0])))

const struct weir_option *conf_rows(uint32_t *count)
{
    *count = ROW_COUNT;
    return rows;
}

/* -- the file and the overrides --------------------------------------------------------------- */

/* Thread: its owner. What conf_yaml_read hands on. */
struct loading {
    struct config *config;
    const char *path;
    uint32_t lines[ROW_COUNT]; /* where a row was given; 0: not yet */
};

static uint32_t index_of(const char *key)
{
    for (uint32_t i = 0; i < ROW_COUNT; i++)
        if (strcmp(rows[i].name, key) == 0)
            return i;
    ASSERT(false && "config_set knows it");
    return 0;
}

static weir_error *set(struct config *config, const char *key, const char *text)
{
    WEIR_TRY(config_set(config, key, text));
    const struct weir_option *row = &rows[index_of(key)];
    uint32_t choice;
    if (row->kind == WEIR_OPTION_TEXT && strchr(row->value_name, '|') != NULL)
        return config_choice(config, key, &choice);
    return NULL;
}

static weir_error *set_from_file(void *arg, const char *key, const char *text, uint32_t line)
{
    struct loading *loading = arg;
    weir_error *error = set(loading->config, key, text);
    if (error != NULL)
        return weir_error_wrap(error, "'%s', line %" PRIu32, loading->path, line);
    uint32_t *given = &loading->lines[index_of(key)];
    if (*given != 0)
        return weir_errorf(WEIR_E_USAGE,
            "'%s', line %" PRIu32 ": option '%s' is given twice, first in line %" PRIu32
            "; remove one",
            loading->path, line, key, *given);
    *given = line;
    return NULL;
}

static weir_error *read_file(struct config *config, const char *path)
{
    struct loading loading = { .config = config, .path = path };
    struct os_stat stat;
    char *bytes;
    size_t size;
    WEIR_TRY(os_stat(path, &stat));
    if (!stat.exists)
        return weir_errorf(WEIR_E_USAGE,
            "there is no configuration '%s'; check --conf, and WEIR_CONF", path);
    WEIR_TRY(os_read_file(path, CONF_FILE_SIZE_MAX, &bytes, &size));
    weir_error *error =
        conf_yaml_read(path, (weir_str){ .data = bytes, .size = size }, set_from_file, &loading);
    mem_free(bytes);
    return error;
}

static weir_error *override_with(struct config *config, const char *text)
{
    size_t size = strcspn(text, "=");
    if (text[size] == '\0' || size == 0)
        return weir_errorf(WEIR_E_USAGE, "'-D %.200s' is no option; it looks like -D key=value",
            text);
    char *key = mem_printf("%.*s", (int)size, text);
    weir_error *error = set(config, key, text + size + 1);
    mem_free(key);
    return error == NULL ? NULL : weir_error_wrap(error, "'-D %.200s'", text);
}

/* A temporary directory of one job manager is not there for the next one. */
static weir_error *choose_checkpoints(struct config *config)
{
    static const char key[] = "execution.checkpointing.dir";
    const char *storage = config_text(config, "high-availability.storageDir");
    uint32_t ha;
    WEIR_TRY(config_choice(config, "high-availability.type", &ha));
    if (ha == CONF_HA_NONE || storage == NULL || storage[0] == '\0' ||
        config_text(config, key) != NULL)
        return NULL;
    char *path = mem_printf("%s/checkpoints", storage);
    weir_error *error = config_set(config, key, path);
    mem_free(path);
    return error;
}

static weir_error *fill(struct conf *conf)
{
    const struct config *config = conf->config;
    uint32_t ha, format, level;
    WEIR_TRY(config_choice(config, "high-availability.type", &ha));
    WEIR_TRY(config_choice(config, "log.format", &format));
    WEIR_TRY(config_choice(config, "log.level", &level));
    conf->is_log_json = format == 1;
    conf->log_level = (enum log_level)level;
#define TEXT(name_)   config_text(config, name_)
#define NUMBER(name_) config_number(config, name_)
    conf->jobmanager.rpc_address = TEXT("jobmanager.rpc.address");
    conf->jobmanager.rpc_port = (uint16_t)NUMBER("jobmanager.rpc.port");
    conf->jobmanager.bind_host = TEXT("jobmanager.bind-host");
    conf->jobmanager.terminal_jobs_max = (uint32_t)NUMBER("jobstore.max-capacity");
    conf->rest.address = TEXT("rest.address");
    conf->rest.port = (uint16_t)NUMBER("rest.port");
    conf->rest.bind_address = TEXT("rest.bind-address");
    conf->rest.ui_dir = TEXT("web.ui-dir");
    conf->taskmanager.slots = (uint32_t)NUMBER("taskmanager.numberOfTaskSlots");
    conf->taskmanager.memory_size = (uint64_t)NUMBER("taskmanager.memory.process.size");
    conf->taskmanager.host = TEXT("taskmanager.host");
    conf->taskmanager.bind_host = TEXT("taskmanager.bind-host");
    conf->taskmanager.data_port = (uint16_t)NUMBER("taskmanager.data.port");
    conf->taskmanager.memory_factor_percent = (uint32_t)NUMBER("taskmanager.worker.memory-factor");
    conf->taskmanager.watchdog_ms = NUMBER("taskmanager.worker.watchdog");
    conf->taskmanager.shutdown_timeout_ms = NUMBER("taskmanager.shutdown-timeout");
    conf->tmp_dirs = TEXT("io.tmp.dirs");
    conf->heartbeat.interval_ms = NUMBER("heartbeat.interval");
    conf->heartbeat.timeout_ms = NUMBER("heartbeat.timeout");
    conf->slot_timeout_ms = NUMBER("slot.request.timeout");
    conf->checkpoints = TEXT("execution.checkpointing.dir");
    conf->savepoints = TEXT("execution.checkpointing.savepoint-dir");
    conf->ha.type = (enum conf_ha)ha;
    conf->ha.storage_dir = TEXT("high-availability.storageDir");
    conf->ha.cluster_id = TEXT("high-availability.cluster-id");
    conf->ha.lease_ms = NUMBER("high-availability.file.lease");
    conf->ha.quorum = TEXT("high-availability.zookeeper.quorum");
    conf->ha.path_root = TEXT("high-availability.zookeeper.path.root");
    conf->ha.session_timeout_ms = NUMBER("high-availability.zookeeper.client.session-timeout");
    conf->security.is_ssl = config_flag(config, "security.ssl.enabled");
    conf->security.is_mutual = config_flag(config, "security.ssl.mutual");
    conf->security.cert = TEXT("security.ssl.cert");
    conf->security.key = TEXT("security.ssl.key");
    conf->security.ca = TEXT("security.ssl.ca");
    conf->security.token_file = TEXT("security.token-file");
    conf->log.dir = TEXT("env.log.dir");
    conf->log.size_max = (uint64_t)NUMBER("env.log.size-max");
    conf->blob.size_max = (uint64_t)NUMBER("blob.size-max");
    conf->blob.total_max = (uint64_t)NUMBER("blob.total-max");
#undef TEXT
#undef NUMBER
    return NULL;
}

weir_error *conf_find(const char *given, const char **path)
{
    struct os_stat stat;
    *path = given != NULL ? given : getenv("WEIR_CONF");
    if (*path != NULL)
        return NULL;
    WEIR_TRY(os_stat("conf/weir.yaml", &stat));
    if (stat.is_regular)
        *path = "conf/weir.yaml";
    return NULL;
}

weir_error *conf_load(const char *path, const char *const *overrides, uint32_t count,
    struct conf *conf)
{
    weir_error *error = NULL;
    *conf = (struct conf){ .config = config_new_bare() };
    config_add(conf->config, rows, ROW_COUNT);
    if (path != NULL)
        error = read_file(conf->config, path);
    for (uint32_t i = 0; i < count && error == NULL; i++)
        error = override_with(conf->config, overrides[i]);
    if (error == NULL)
        error = choose_checkpoints(conf->config);
    if (error == NULL)
        error = fill(conf);
    if (error != NULL)
        conf_release(conf);
    return error;
}

weir_error *conf_complete(struct conf *conf, const char *text)
{
    char *key = mem_printf("%.*s", (int)strcspn(text, "="), text);
    bool is_given = config_has(conf->config, key) && config_given(conf->config, key);
    mem_free(key);
    if (is_given)
        return NULL;
    WEIR_TRY(override_with(conf->config, text));
    return fill(conf);
}

void conf_release(struct conf *conf)
{
    config_free(conf->config);
    *conf = (struct conf){ .config = NULL };
}

weir_error *conf_secret(const struct conf *conf, const char *option, char **secret)
{
    const char *path = config_text(conf->config, option);
    char *bytes = NULL;
    size_t size;
    *secret = NULL;
    if (path == NULL)
        return NULL;
    weir_error *error = os_check_private(path);
    if (error == NULL)
        error = os_read_file(path, SECRET_MAX, &bytes, &size);
    if (error != NULL) { /* whatever it is: the option names a file that will not do */
        weir_error *usage =
            weir_errorf(WEIR_E_USAGE, "%s cannot be used: %s", option, weir_error_message(error));
        weir_error_free(error);
        return usage;
    }
    size_t begin = strspn(bytes, BLANKS), end = strcspn(bytes + begin, BLANKS);
    if (end > 0)
        *secret = mem_printf("%.*s", (int)end, bytes + begin);
    mem_free(bytes);
    if (end > 0)
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "%s '%s' is empty; write the secret into it, in one word, for example that of `head -c 32 "
        "/dev/urandom | sha256sum`",
        option, path);
}

/* -- what belongs together -------------------------------------------------------------------- */

bool conf_is_loopback(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, address, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six);
    return strcmp(address, "localhost") == 0;
}

size_t conf_loopback_size(const char *place, size_t size)
{
    char name[256];
    bool is_six = size > 0 && place[0] == '[';
    const char *end = memchr(place, is_six ? ']' : ':', size);
    size_t host = end == NULL ? size : (size_t)(end - place), count = host - is_six;
    if (count >= sizeof(name))
        return 0;
    memcpy(name, place + is_six, count);
    name[count] = '\0';
    if (!conf_is_loopback(name))
        return 0;
    return end != NULL && is_six ? host + 1 : host;
}

static weir_error *check_texts(const struct conf *conf)
{
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        const char *text = config_text(conf->config, rows[i].name);
        if (text != NULL && text[0] == '\0')
            return weir_errorf(WEIR_E_USAGE,
                "option '%s' is empty; give it a value, or comment it out for the default",
                rows[i].name);
    }
    return NULL;
}

static weir_error *check_bind(const struct conf *conf, const char *name)
{
    const char *address = config_text(conf->config, name);
    bool is_proven = conf->security.is_mutual || conf->security.token_file != NULL;
    if (conf_is_loopback(address) || (conf->security.is_ssl && is_proven))
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "option '%s' is '%s', which other machines can reach, but %s: set 'security.ssl.enabled: "
        "true' and 'security.token-file' (or 'security.ssl.mutual: true'), or bind to localhost",
        name, address,
        conf->security.is_ssl ? "anybody may give it orders" : "the connections are not protected");
}

static weir_error *needed(const struct conf *conf, const char *name, const char *by)
{
    if (config_text(conf->config, name) != NULL)
        return NULL;
    return weir_errorf(WEIR_E_USAGE, "'%s' needs '%s'; set it", by, name);
}

static weir_error *check_security(const struct conf *conf)
{
    if (conf->security.is_mutual && !conf->security.is_ssl)
        return weir_errorf(WEIR_E_USAGE,
            "'security.ssl.mutual: true' needs 'security.ssl.enabled: true'; set it");
    if (conf->security.is_ssl) {
        WEIR_TRY(needed(conf, "security.ssl.cert", "security.ssl.enabled: true"));
        WEIR_TRY(needed(conf, "security.ssl.key", "security.ssl.enabled: true"));
        WEIR_TRY(needed(conf, "security.ssl.ca", "security.ssl.enabled: true"));
    }
    WEIR_TRY(check_bind(conf, "jobmanager.bind-host"));
    WEIR_TRY(check_bind(conf, "rest.bind-address"));
    return check_bind(conf, "taskmanager.bind-host");
}

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define NAME_MAX     ((size_t)64)

static bool is_name(const char *text, size_t size)
{
    return size > 0 && size <= NAME_MAX && text[0] != '.' && strspn(text, NAME_LETTERS) >= size;
}

static bool is_node(const char *path)
{
    while (*path == '/') {
        size_t size = strcspn(path + 1, "/");
        if (!is_name(path + 1, size))
            return false;
        path += 1 + size;
        if (*path == '\0')
            return true;
    }
    return false;
}

static weir_error *check_ha(const struct conf *conf)
{
    const char *id = conf->ha.cluster_id;
    if (!is_name(id, strlen(id)))
        return weir_errorf(WEIR_E_USAGE,
            "option 'high-availability.cluster-id' is '%s'; it must be at most %zu letters, "
            "digits, '.', '_' or '-', and not begin with '.'",
            id, NAME_MAX);
    if (conf->ha.type == CONF_HA_NONE)
        return NULL;
    const char *by = conf->ha.type == CONF_HA_FILE ? "high-availability.type: file"
                                                   : "high-availability.type: zookeeper";
    WEIR_TRY(needed(conf, "high-availability.storageDir", by));
    if (conf->ha.type == CONF_HA_FILE)
        return NULL;
    WEIR_TRY(needed(conf, "high-availability.zookeeper.quorum", by));
    if (!is_node(conf->ha.path_root))
        return weir_errorf(WEIR_E_USAGE,
            "option 'high-availability.zookeeper.path.root' is '%s'; it must be a path of names "
            "such as '/weir', with no '/' at its end",
            conf->ha.path_root);
    return NULL;
}

weir_error *conf_check(const struct conf *conf)
{
    WEIR_TRY(check_texts(conf));
    WEIR_TRY(check_security(conf));
    WEIR_TRY(check_ha(conf));
    if (conf->checkpoints != NULL && conf->checkpoints[0] != '/')
        return weir_errorf(WEIR_E_USAGE,
            "checkpoints would be in '%s', which is relative, but the processes of a cluster have "
            "no common working directory; give 'execution.checkpointing.dir', or with high "
            "availability 'high-availability.storageDir', from the root ('/...') on",
            conf->checkpoints);
    if (conf->heartbeat.timeout_ms < 2 * conf->heartbeat.interval_ms)
        return weir_errorf(WEIR_E_USAGE,
            "option 'heartbeat.timeout' is %" PRId64 " ms; it must be at least twice "
            "'heartbeat.interval', which is %" PRId64 " ms",
            conf->heartbeat.timeout_ms, conf->heartbeat.interval_ms);
    if (conf->blob.size_max > conf->blob.total_max)
        return weir_errorf(WEIR_E_USAGE,
            "option 'blob.size-max' is more than 'blob.total-max'; make it at most %s",
            config_text(conf->config, "blob.total-max"));
    return NULL;
}

/* -- conf/weir.yaml --------------------------------------------------------------------------- */

static void comment_add(weir_buffer *out, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        if (column > 0 && column + 1 + size > FILE_COLUMNS) {
            weir_buffer_add_byte(out, '\n');
            column = 0;
        }
        buffer_printf(out, "%s%.*s", column == 0 ? "# " : " ", (int)size, text);
        column += size + (column == 0 ? 2 : 1);
        text += size + strspn(text + size, " ");
    }
    weir_buffer_add_byte(out, '\n');
}

void conf_print(weir_buffer *out)
{
    comment_add(out,
        "The configuration of a Weir cluster; every process of it reads this file. Made "
        "from the table in runtime/cluster/conf.c by: make conf");
    comment_add(out, "What is commented out shows the default, or in capitals what is missing. "
                     "Times: ms s m h d. Sizes: B KB MB GB TB. Keys may be nested instead. "
                     "-D key=value on the command line counts more than this file.");
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        weir_buffer_add_byte(out, '\n');
        comment_add(out, rows[i].help);
        if (rows[i].value_name != NULL && strchr(rows[i].value_name, '|') != NULL)
            buffer_printf(out, "# One of %s.\n", rows[i].value_name);
        buffer_printf(out, "#%s: %s\n", rows[i].name,
            rows[i].fallback != NULL ? rows[i].fallback : rows[i].value_name);
    }
}

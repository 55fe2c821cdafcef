/* local_cluster.c -- see local_cluster.h. Prefixes: local_ */
#include "cli/local_cluster.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PID_FILE_MAX ((size_t)256)
#define LOG_FILE_MAX ((size_t)64 << 20)
#define LOG_END      2000
#define ADDRESS_MAX  ((size_t)64 << 10)
#define ARGS_MAX     ((size_t)1 << 20)

static char *file_of(const char *dir, const char *name, const char *ending)
{
    return mem_printf("%s/%s%s", dir, name, ending);
}

/* -- where ---------------------------------------------------------------------------------------------- */

char *local_dir(const char *given)
{
    const char *home = getenv("HOME");
    if (given == NULL)
        given = getenv("WEIR_HOME");
    if (given != NULL)
        return mem_strdup(given);
    return home == NULL ? NULL : mem_printf("%s/.weir", home);
}

char *local_address(const char *dir)
{
    char *path = file_of(dir, "address", ""), *text = NULL;
    size_t size;
    weir_error_free(os_read_file(path, ADDRESS_MAX, &text, &size));
    mem_free(path);
    return text;
}

/* -- what is there -------------------------------------------------------------------------------------- */

static weir_error *read_process(struct local_cluster *cluster, const char *file)
{
    struct local_process *it = &cluster->processes[cluster->count];
    char *path = file_of(cluster->dir, file, ""), *text;
    size_t size;
    weir_error *error = os_read_file(path, PID_FILE_MAX, &text, &size);
    mem_free(path);
    WEIR_TRY(error);
    *it = (struct local_process){ .daemon.pid = 0 };
    snprintf(it->name, sizeof(it->name), "%.*s", (int)(strlen(file) - strlen(".pid")), file);
    if (sscanf(text, "%d %79s", &it->daemon.pid, it->daemon.birth) != 2)
        it->daemon.pid = 0; /* a crash cut it short: nobody to be found by it */
    mem_free(text);
    cluster->count++;
    return NULL;
}

static bool is_pid_file(const char *name)
{
    size_t size = strlen(name);
    return size > 4 && size < 32 && strcmp(name + size - 4, ".pid") == 0;
}

weir_error *local_read(const char *dir, struct local_cluster *cluster)
{
    struct os_stat stat;
    char **names;
    uint32_t count;
    *cluster = (struct local_cluster){ .dir = dir };
    WEIR_TRY(os_stat(dir, &stat));
    if (!stat.exists)
        return NULL;
    WEIR_TRY(os_list(dir, &names, &count));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < count && error == NULL; i++)
        if (is_pid_file(names[i]) && cluster->count < LOCAL_PROCESSES_MAX)
            error = read_process(cluster, names[i]);
    os_names_free(names, count);
    return error;
}

uint32_t local_alive(const struct local_cluster *cluster)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < cluster->count; i++)
        alive += os_daemon_is_alive(&cluster->processes[i].daemon);
    return alive;
}

static const struct local_process *find(const struct local_cluster *cluster, const char *name)
{
    uint32_t i = 0;
    while (i < cluster->count && strcmp(cluster->processes[i].name, name) != 0)
        i++;
    return i < cluster->count ? &cluster->processes[i] : NULL;
}

bool local_knows(const struct local_cluster *cluster, const char *name)
{
    return find(cluster, name) != NULL;
}

bool local_lives(const struct local_cluster *cluster, const char *name)
{
    const struct local_process *it = find(cluster, name);
    return it != NULL && os_daemon_is_alive(&it->daemon);
}

char *local_arguments(const struct local_cluster *cluster, const char *name)
{
    char *path = file_of(cluster->dir, name, ".args"), *text = NULL;
    size_t size;
    weir_error_free(os_read_file(path, ARGS_MAX, &text, &size));
    mem_free(path);
    return text;
}

/* The last lines of its log in this life: why it has ended. mem_free it. */
static char *end_of_log(const struct local_cluster *cluster, const struct local_process *it)
{
    char *path = file_of(cluster->dir, it->name, ".log"), *text = NULL;
    size_t size = 0;
    weir_error_free(os_read_file(path, LOG_FILE_MAX, &text, &size));
    uint64_t start = it->log_start < size ? it->log_start : size;
    const char *from = text == NULL ? "" : text + start;
    if (size - start > LOG_END) {
        from += size - start - LOG_END;
        from += strcspn(from, "\n");
    }
    char *end = mem_printf("%s:\n%s", path, from);
    mem_free(text);
    mem_free(path);
    return end;
}

weir_error *local_check(const struct local_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        const struct local_process *it = &cluster->processes[i];
        if (os_daemon_is_alive(&it->daemon))
            continue;
        char *end = end_of_log(cluster, it);
        weir_error *error =
            weir_errorf(WEIR_E_CONNECTOR, "the %s has ended; its log, %s", it->name, end);
        mem_free(end);
        return error;
    }
    return NULL;
}

/* -- begin and end --------------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* Beside this program, else in PATH. mem_free it. */
static weir_error *find_program(const char *name, char **path)
{
    char *own;
    WEIR_TRY(os_program_path(&own));
    *strrchr(own, '/') = '\0';
    *path = file_of(own, name, "");
    const char *at = is_program(*path) ? "" : getenv("PATH");
    while (at != NULL && *at != '\0') {
        size_t size = strcspn(at, ":");
        mem_free(*path);
        *path = mem_printf("%.*s/%s", (int)size, at, name);
        if (is_program(*path))
            break;
        at += size + (at[size] == ':');
    }
    weir_error *error = NULL;
    if (!is_program(*path)) {
        error = weir_errorf(WEIR_E_USAGE, "there is no program %s in %s, nor in PATH", name, own);
        mem_free(*path);
    }
    mem_free(own);
    return error;
}

static weir_error *keep_pid(const struct local_cluster *cluster, const struct local_process *it)
{
    char *path = file_of(cluster->dir, it->name, ".pid");
    char *text = mem_printf("%d %s\n", it->daemon.pid, it->daemon.birth);
    weir_error *error = os_write_file(path, text, strlen(text));
    mem_free(text);
    mem_free(path);
    return error;
}

static weir_error *keep_arguments(const struct local_cluster *cluster, const char *name,
    char *const *argv)
{
    char *path = file_of(cluster->dir, name, ".args");
    weir_buffer *text = weir_buffer_new(ARGS_MAX);
    for (uint32_t i = 1; argv[i] != NULL; i++)
        buffer_printf(text, "%s\n", argv[i]);
    weir_error *error = os_write_file(path, buffer_text(text), buffer_size(text));
    weir_buffer_free(text);
    mem_free(path);
    return error;
}

weir_error *local_start(struct local_cluster *cluster, const char *name, char **argv)
{
    struct local_process *it = &cluster->processes[cluster->count];
    char *program, *command = argv[0];
    WEIR_TRY(find_program(command, &program));
    char *log = file_of(cluster->dir, name, ".log");
    snprintf(it->name, sizeof(it->name), "%s", name);
    argv[0] = program;
    struct os_stat stat = { .size = 0 };
    weir_error *error = os_stat(log, &stat);
    it->log_start = stat.size;
    if (error == NULL)
        error = os_daemon_start(argv, log, &it->daemon);
    argv[0] = command;
    mem_free(log);
    mem_free(program);
    WEIR_TRY(error);
    cluster->count++; /* from here on local_stop ends it, whatever happens */
    WEIR_TRY(keep_pid(cluster, it));
    return keep_arguments(cluster, name, argv);
}

static weir_error *stop_one(const struct local_cluster *cluster, const struct local_process *it,
    int64_t timeout_ms, uint32_t *killed)
{
    bool was_killed;
    static const char *const endings[] = { ".args", ".pid" };
    weir_error *error = os_daemon_stop(&it->daemon, SIGINT, timeout_ms, &was_killed);
    *killed += was_killed;
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]) && error == NULL; i++) {
        char *path = file_of(cluster->dir, it->name, endings[i]);
        error = os_remove(path);
        mem_free(path);
    }
    return error;
}

/* It is that of the job manager, and goes with it. */
static weir_error *forget_address(const struct local_cluster *cluster)
{
    struct os_stat stat;
    char *pid = file_of(cluster->dir, "jobmanager", ".pid"),
         *address = file_of(cluster->dir, "address", "");
    weir_error *error = os_stat(pid, &stat);
    if (error == NULL && !stat.exists)
        error = os_remove(address);
    mem_free(pid);
    mem_free(address);
    return error;
}

weir_error *local_stop(struct local_cluster *cluster, int64_t timeout_ms, uint32_t *killed)
{
    weir_error *error = NULL;
    *killed = 0;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < cluster->count; i++) {
            const struct local_process *it = &cluster->processes[i];
            if ((strcmp(it->name, "jobmanager") == 0) == (round == 1))
                error = weir_error_join(error, stop_one(cluster, it, timeout_ms, killed));
        }
    }
    return weir_error_join(error, forget_address(cluster));
}

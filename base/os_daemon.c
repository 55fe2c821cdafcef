/* os_daemon.c -- see os_daemon.h. Prefixes: os_daemon_, os_program_ */
#include "base/os_daemon.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_TIMEOUT_MS 10000
#define STAT_SIZE       1024

/* -- who it is ------------------------------------------------------------------------------------------ */

/* False: there is none, or it has ended and nobody has waited for it. */
static bool read_birth(int pid, char *birth, size_t size)
{
    char path[64], text[STAT_SIZE];
    const char *boot = os_boot_id();
    unsigned long long start;
    char state;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (!os_read_proc(path, text, sizeof(text)) || boot == NULL)
        return false;
    const char *end = strrchr(text, ')'); /* behind the name, which may have anything in it */
    /* The third field is the state, the 22nd the start in ticks after the boot. */
    if (end == NULL ||
        sscanf(end + 1,
            " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
            &state, &start) != 2)
        return false;
    snprintf(birth, size, "%s:%llu", boot, start);
    return state != 'Z' && state != 'X';
}

bool os_daemon_is_alive(const struct os_daemon *daemon)
{
    char birth[sizeof(daemon->birth)];
    return daemon->pid > 0 && read_birth(daemon->pid, birth, sizeof(birth)) &&
           strcmp(birth, daemon->birth) == 0;
}

/* -- its begin -------------------------------------------------------------------------------------------- */

static int spawn(char *const argv[], const char *log_path, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ASSERT(posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attributes) == 0);
    int error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&actions, 1, log_path,
            O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_setflags(&attributes,
        POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    if (error == 0)
        error = posix_spawn(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

weir_error *os_daemon_start(char *const argv[], const char *log_path, struct os_daemon *daemon)
{
    pid_t pid;
    int error = spawn(argv, log_path, &pid);
    if (error != 0)
        return weir_errorf(WEIR_E_USAGE, "cannot start '%s' with its log in '%s': %s", argv[0],
            log_path, strerrordesc_np(error));
    /* We are its parent: its number is not used again before it is waited for. */
    daemon->pid = pid;
    if (!read_birth(pid, daemon->birth, sizeof(daemon->birth)))
        snprintf(daemon->birth, sizeof(daemon->birth), "gone");
    return NULL;
}

weir_error *os_program_path(char **path)
{
    char text[OS_PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", text, sizeof(text) - 1);
    if (size < 0)
        return weir_errorf(WEIR_E_IO, "cannot tell where this program is: %s",
            strerrordesc_np(errno));
    text[size] = '\0';
    *path = mem_strdup(text);
    return NULL;
}

/* -- its end ---------------------------------------------------------------------------------------------- */

/* Whether it ended in time. */
static bool wait_for_end(int descriptor, int64_t timeout_ms)
{
    int64_t end_ns = os_monotonic_ns() + timeout_ms * 1000000;
    struct pollfd entry = { .fd = descriptor, .events = POLLIN };
    for (;;) {
        int64_t left_ms = (end_ns - os_monotonic_ns()) / 1000000;
        int count = poll(&entry, 1,
            left_ms < 0           ? 0
            : left_ms > INT32_MAX ? INT32_MAX
                                  : (int)left_ms);
        if (count > 0 || left_ms <= 0)
            return count > 0;
    }
}

weir_error *os_daemon_stop(const struct os_daemon *daemon, int signal, int64_t timeout_ms,
    bool *was_killed)
{
    weir_error *error = NULL;
    *was_killed = false;
    if (daemon->pid <= 0)
        return NULL;
    int descriptor = pidfd_open(daemon->pid, 0);
    if (descriptor == -1 && errno == ESRCH)
        return NULL;
    if (descriptor == -1)
        return weir_errorf(WEIR_E_IO, "cannot take hold of process %d: %s", daemon->pid,
            strerrordesc_np(errno));
    if (!os_daemon_is_alive(daemon))
        goto out;
    if (pidfd_send_signal(descriptor, signal, NULL, 0) != 0 && errno != ESRCH) {
        error = weir_errorf(WEIR_E_IO, "cannot end process %d: %s", daemon->pid,
            strerrordesc_np(errno));
        goto out;
    }
    if (wait_for_end(descriptor, timeout_ms))
        goto out;
    *was_killed = true;
    (void)pidfd_send_signal(descriptor, SIGKILL, NULL, 0);
    if (!wait_for_end(descriptor, KILL_TIMEOUT_MS))
        error =
            weir_errorf(WEIR_E_TIMEOUT, "process %d does not even end when killed", daemon->pid);
out:
    close(descriptor);
    (void)waitpid(daemon->pid, NULL, WNOHANG); /* if it is a child of ours */
    return error;
}

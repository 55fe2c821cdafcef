/* os_daemon.h -- processes that outlive the one that starts them, and are found again by others.
 *
 *      os_daemon_start --> {pid, birth} --> a file, say --> os_daemon_is_alive, os_daemon_stop
 *
 * A pid alone says nothing: numbers are used again. `birth` is the boot of the machine and the moment in it when the
 * process began, so the pair names one process for ever. Signals go through a descriptor of the process, which is
 * compared once it is open: what is ended is what was started, or nothing.
 *
 * A daemon has a session of its own, reads nothing, and appends to a log what it prints; it has nothing else of ours.
 * Not behind the table of os.h: the simulator has no processes.
 * Thread: any, but a process that starts daemons does not wait for children otherwise. */
#ifndef WEIR_BASE_OS_DAEMON_H
#define WEIR_BASE_OS_DAEMON_H

#include <weir/error.h>

#include <stdbool.h>
#include <stdint.h>

/* Thread: immutable after init. */
struct os_daemon {
    int pid;
    char birth[80]; /* no spaces */
};

/* argv[0] is a path. WEIR_E_USAGE: it cannot be run. That it runs says nothing about the next moment. */
weir_error *os_daemon_start(char *const argv[], const char *log_path, struct os_daemon *daemon)
    WEIR_MUST_USE;
bool os_daemon_is_alive(const struct os_daemon *daemon); /* one that nobody has waited for is not */
/* That signal, and SIGKILL if it has not ended in time. Fine if it has gone. */
weir_error *os_daemon_stop(const struct os_daemon *daemon, int signal, int64_t timeout_ms,
    bool *was_killed) WEIR_MUST_USE;
/* The path of this program. mem_free it. */
weir_error *os_program_path(char **path) WEIR_MUST_USE;

#endif

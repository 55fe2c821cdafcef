/* daemon.h -- what the two daemons have in common: arguments, configuration, secrets, the loop's ends.
 *
 *      weir-jobmanager | weir-taskmanager  [--conf FILE] [-D key=value]... [--help] [--version]
 *
 * They stay in the foreground and log to standard error, as service managers want it, and to a directory of logs
 * (env.log.dir), from which the job manager shows them. SIGTERM and SIGINT end
 * them in good order, a task manager at SIGTERM when its jobs have left it; a second one at once.
 *
 * Thread: control. */
#ifndef WEIR_DAEMON_DAEMON_H
#define WEIR_DAEMON_DAEMON_H

#include "base/os_scratch.h"
#include "net/tls.h"
#include "runtime/cluster/conf.h"
#include "runtime/cluster/election.h"
#include "runtime/cluster/log_dir.h"

struct workers;

/* Thread: control. */
struct daemon {
    const char *name; /* "weir-jobmanager" */
    struct conf conf;
    char *token;                 /* NULL: none is configured */
    char *zookeeper_auth;        /* user:password; NULL: none is configured */
    struct tls *server, *client; /* NULL: no TLS */
    struct os_scratch work;      /* a directory of this process, in the first of io.tmp.dirs */
    char *
        jobs_tmp; /* where jobs that run by themselves have such ones: TMPDIR, as it was at the start */
    struct log_dir *logs;
};

/* False: the process is to end with *status: it was asked for help, or a mistake was printed. */
bool daemon_open(struct daemon *daemon, const char *name, int argc, char **argv, int *status);
void daemon_close(struct daemon *daemon);
/* Removes, on a worker, what processes that were killed have left on this machine, and this user. */
void daemon_sweep(const struct daemon *daemon, struct workers *workers);
/* Prints the error, frees it; the exit status. NULL: 0. */
int daemon_end(const struct daemon *daemon, weir_error *error);
/* An election among job managers; *election NULL: there is none (high-availability.type: none). */
weir_error *daemon_election(const struct daemon *daemon, bool is_observer, struct waker *waker,
    struct election **election) WEIR_MUST_USE;

#endif

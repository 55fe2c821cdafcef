/* local_cluster.h -- a cluster on this machine, as files in a directory: what runs, who it is, where it answers.
 *
 *      DIR/<name>.pid     pid and birth of a process (base/os_daemon.h): "4711 <birth>"
 *      DIR/<name>.args    its arguments, one a line: it is started with them again
 *      DIR/<name>.log     what it prints; appended to
 *      DIR/address        the URL of the job manager; behind it, a line each, what it takes to be heard there:
 *                         "security.token-file=/path"
 *
 * Names are jobmanager, taskmanager-1, taskmanager-2 ...
 * Prefixes: local_. Thread: one. Limits: LOCAL_PROCESSES_MAX processes. */
#ifndef WEIR_CLI_LOCAL_CLUSTER_H
#define WEIR_CLI_LOCAL_CLUSTER_H

#include "base/os_daemon.h"

#include <stdint.h>

#define LOCAL_PROCESSES_MAX 129u

/* Thread: one. */
struct local_process {
    char name[32];
    struct os_daemon daemon;
    uint64_t log_start; /* what the log had before this life; 0 if it was not started here */
};
/* Thread: one. */
struct local_cluster {
    const char *dir;
    uint32_t count;
    struct local_process processes[LOCAL_PROCESSES_MAX];
};

/* The directory: the one given, else WEIR_HOME, else ~/.weir; NULL: neither is set. mem_free it. */
char *local_dir(const char *given);
/* The text of DIR/address; NULL: none was started there. mem_free it. */
char *local_address(const char *dir);
/* What the directory says; a directory that is not there says nothing. */
weir_error *local_read(const char *dir, struct local_cluster *cluster) WEIR_MUST_USE;
/* It was started there, and not stopped since: it lives, or somebody has killed it. */
bool local_knows(const struct local_cluster *cluster, const char *name);
bool local_lives(const struct local_cluster *cluster, const char *name);
/* What it was started with last, a line for each argument; NULL: it was not. mem_free it. */
char *local_arguments(const struct local_cluster *cluster, const char *name);
/* Starts one more. argv[0] is looked for beside this program, then in PATH. */
weir_error *local_start(struct local_cluster *cluster, const char *name, char **argv) WEIR_MUST_USE;
/* NULL: all live; else the error has the end of the log of one that does not. */
weir_error *local_check(const struct local_cluster *cluster) WEIR_MUST_USE;
/* Task managers first, so that they can say good-bye; then forgets them all. SIGINT, because their jobs can go nowhere.
 * *killed: how many had to be. */
weir_error *local_stop(struct local_cluster *cluster, int64_t timeout_ms, uint32_t *killed)
    WEIR_MUST_USE;
uint32_t local_alive(const struct local_cluster *cluster);

#endif

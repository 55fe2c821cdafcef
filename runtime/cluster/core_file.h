/* core_file.h -- the core file of a worker or planner that has crashed: where it is, for those who look for it.
 *
 * Where the kernel puts one is what /proc/sys/kernel/core_pattern says:
 *
 *      core, core.%p     a name: into the working directory of the process. A worker's goes with it, so the file is moved:
 *                        into the directory of logs (log_dir_keep_core), and if that is on another file system, which a
 *                        rename does not reach, to `spare`, in the place of the one before
 *      /var/cores/%e     anywhere else, or
 *      |/usr/lib/...     to a program: nothing is moved; the pattern is told
 *
 * A core is known by its contents: its name depends on the pattern in ways that only the kernel knows (namespaces,
 * names of threads).
 *
 * Prefixes: core_file_
 * Thread: control. Once for each process that has crashed. Errors: none; they become words. */
#ifndef WEIR_CLUSTER_CORE_FILE_H
#define WEIR_CLUSTER_CORE_FILE_H

#include "runtime/cluster/log_dir.h"

/* Thread: its holder. */
struct core_place {
    const char *dir;            /* where the process ran */
    const char *name;           /* of the core in the directory of logs */
    const struct log_dir *logs; /* NULL: there is none */
    const char *spare;          /* a path on the file system of `dir` */
};

/* What the kernel does with cores; mem_free it. NULL: it cannot be read. */
char *core_file_pattern(void);
/* There is a core: " (core dumped: '/var/log/weir/...')", " (core dumped by core_pattern '|...')"; mem_free it. */
char *core_file_keep(const char *pattern, const struct core_place *place);

#endif

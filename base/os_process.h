/* os_process.h -- the process itself: its output, its end, what it used, what ends with it. Prefixes: os_
 *
 * Not behind the table of os.h: the simulator runs no process, it is one.
 * Thread: any. */
#ifndef WEIR_BASE_OS_PROCESS_H
#define WEIR_BASE_OS_PROCESS_H

#include <weir/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of it, to standard output: what a person asked to see. Behind what the program has printed before,
 * and not mixed with what other threads print meanwhile. WEIR_E_CONNECTOR: nobody reads it any more, and
 * never will; SIGPIPE is ignored by then (os_signal.h), or it ends the process. */
weir_error *os_stdout_write(const void *bytes, size_t size) WEIR_MUST_USE;

/* A descriptor that whoever started this process has opened for it, from `JOB ... 3>file` on: is there one, and
 * may it be written? Ask before anything else is opened. */
bool os_descriptor_is_writable(int descriptor);
/* All of it; errors as above. */
weir_error *os_descriptor_write(int descriptor, const void *bytes, size_t size) WEIR_MUST_USE;

/* A directory that one living holder at most has: the kernel takes it back when the process ends, however that
 * happens. -1: somebody else has it, it is not there, or its file system cannot tell. */
int os_dir_claim(const char *path);
void os_dir_unclaim(int claim); /* -1 is fine */

/* A directory, no link, of this process's user, which nobody else may write into. */
bool os_dir_is_own(const char *path);
/* Of a file with a secret in it: an error with the fix when others than its owner may use it. What root has may be read by
 * its group: so secrets are given to a service (Debian's ssl-cert, Kubernetes, systemd).
 * One that is not there is no error. */
weir_error *os_check_private(const char *path) WEIR_MUST_USE;
uint32_t os_user_id(void);

/* Becomes another program; argv[0] is looked for as a shell does, and the last one is NULL. Returns only
 * what went wrong. */
weir_error *os_exec(char *const argv[]) WEIR_MUST_USE;
_Noreturn void os_exit(int status); /* at once: no handlers, nothing flushed */
_Noreturn void os_kill_self(void);  /* SIGKILL, as from outside */
void os_sleep_ms(int64_t ms);       /* tests and fault points only: tasks never sleep */

/* Thread: its holder. */
struct os_usage {
    uint64_t peak_rss_size; /* bytes */
    double cpu_seconds;     /* user and system, all threads */
};
void os_usage(struct os_usage *usage);
weir_error *os_self_path(char **path) WEIR_MUST_USE; /* of this program's file; mem_free it */
const char *os_machine(void);                        /* "x86_64" */
/* The front of a file of /proc, which has no size that stat would tell, terminated. False: it is not there, or empty. */
bool os_read_proc(const char *path, char *text, size_t size);
/* Another one each time that this machine's kernel starts, the same for all of its processes: text in
 * OS_BOOT_ID_SIZE bytes, filled up with zeros. NULL: it does not tell. Read once. Thread: any. */
#define OS_BOOT_ID_SIZE 40
const char *os_boot_id(void);
uint32_t os_cpu_count(void); /* that may be used now; at least 1 */
/* Of core files of this process, and of those that it starts, in bytes; 0: none is written. */
uint64_t os_core_size_max(void);
/* Raises the limit of open files of this process, and of those that it starts, to what its user may have, at most to
 * `wanted`; returns what it is now. */
uint64_t os_raise_file_limit(uint64_t wanted);

#endif

/* os_crash.h -- a crash says what it was in the middle of, and so do exit and a thread that does not come back.
 *
 * For the signals of a crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) one line is written to standard error:
 * the signal, and what `describe` says of the thread; then the signal does what it always does: the process
 * ends by it, with a core file where the system keeps them.
 *
 * The same is said when a thread calls exit in the middle of something. Then the process ends with the status of
 * WEIR_E_INTERNAL, as one that has crashed: exit(3) means nothing to whoever reads statuses as weir_code_exit.
 *
 * A thread can be asked the same: SIGURG interrupts it, `describe` runs in it, and it goes on. So nobody reads what
 * the thread is changing. SIGURG, because a program that does not want it never notices it.
 *
 * Prefixes: os_
 * Thread: os_crash_watch: once, at the start of a program. `describe` runs in a signal handler: it may write into its
 * buffer and read memory, nothing else. os_crash_ask: control. */
#ifndef WEIR_BASE_OS_CRASH_H
#define WEIR_BASE_OS_CRASH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define OS_CRASH_TEXT_MAX 1024 /* with its terminator */

/* Fills `to` with a terminated text; an empty one adds nothing. */
typedef void os_crash_fn(char *to, size_t size);
void os_crash_watch(os_crash_fn *describe);
/* What that thread of this process is in the middle of. False: it has not said so within a second, or nobody watches. */
bool os_crash_ask(pthread_t thread, char to[OS_CRASH_TEXT_MAX]);

#endif

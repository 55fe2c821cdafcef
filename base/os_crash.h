/* os_crash.h -- a crash says what it was in the middle of.
 *
 * For the signals of a crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) one line is written to standard error:
 * the signal, and what `describe` says of the thread; then the signal does what it always does: the process
 * ends by it, with a core file where the system keeps them.
 *
 * Prefixes: os_
 * Thread: once, at the start of a program. `describe` runs in a signal handler: it may write into its buffer
 * and read memory, nothing else. */
#ifndef WEIR_BASE_OS_CRASH_H
#define WEIR_BASE_OS_CRASH_H

#include <stddef.h>

/* Fills `to` with a terminated text; an empty one adds nothing. */
typedef void os_crash_fn(char *to, size_t size);
void os_crash_watch(os_crash_fn *describe);

#endif

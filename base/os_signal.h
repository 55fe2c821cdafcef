/* os_signal.h -- SIGINT and SIGTERM as something to look at, not something that happens to you.
 *
 * After os_signals_watch the first signal only counts and wakes the waker: its owner looks at
 * os_signals_seen and ends in good order. The second is a person who has lost patience: the owner is
 * woken again and should leave with status os_signals_exit; should it be stuck, the process ends
 * with that status a second later by itself. A third one ends it in the handler. Two within 50 ms are
 * one: who signals a process and its group means it once.
 *
 * SIGUSR1 asks for something while the program goes on: it is counted apart, and wakes the waker, too.
 *
 * A file over the limit of its size (ulimit -f) and a pipe that nobody reads are no signals any more either,
 * but errors of the write: a job must not die because the program that kept its log did.
 *
 * Prefixes: os_
 * Thread: control for watch; any for the rest. One watcher a process. */
#ifndef WEIR_BASE_OS_SIGNAL_H
#define WEIR_BASE_OS_SIGNAL_H

#include <stdint.h>

struct waker;
void os_signals_watch(struct waker *waker);
void os_signals_unwatch(void); /* before the waker is freed: from here on signals only count */
void os_signals_restore(void); /* everything as it was before watch */
uint32_t os_signals_seen(void);
uint32_t os_signals_user(void);    /* how many SIGUSR1 so far */
const char *os_signals_name(void); /* "SIGTERM", of the last one */
int os_signals_exit(void);         /* 130 or 143 */

#endif

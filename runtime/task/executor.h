/* executor.h -- a slot: one thread that steps all the subtasks of that slot in turn.
 *
 * A round steps every task once. When none of them worked the thread sleeps on its waker until a
 * mailbox, a channel or a client library wakes it, or the earliest deadline of a task comes. With one
 * thread per slot there is no context switch inside a pipeline.
 *
 * executor_round is the same loop body without the thread: the simulator and tests call it.
 *
 * Thread: control for new, add, start, stop, free; the rest as said. */
#ifndef WEIR_TASK_EXECUTOR_H
#define WEIR_TASK_EXECUTOR_H

#include "base/os_crash.h"
#include "runtime/task/task.h"

struct executor;
struct executor *executor_new(const char *name); /* of the thread; 15 bytes are shown */
void executor_add(struct executor *executor, struct task *task);          /* stopped; not owned */
void executor_remove(struct executor *executor, const struct task *task); /* stopped */
struct waker *executor_waker(struct executor *executor);
bool executor_is_idle(const struct executor *executor); /* stopped, and it has tasks */
weir_error *executor_start(struct executor *executor) WEIR_MUST_USE;
/* Returns when the thread is gone: at most one step of each task later. Harmless if not started. It may be started
 * again: tasks that stay have lost nothing but the time. */
void executor_stop(struct executor *executor);
void executor_free(struct executor *executor); /* stopped */

bool executor_round(struct executor *executor); /* true: a task worked */
/* For a watchdog: how many steps have begun, and of which task the last one is; NULL: none is under way.
 * Thread: any. */
uint64_t executor_steps(const struct executor *executor, const struct task **task);
/* In the words of os_crash_watch, what its thread is in the middle of. False: it has none, or does not say.
 * Thread: control. */
bool executor_ask(const struct executor *executor, char to[OS_CRASH_TEXT_MAX]);
/* The earliest deadline of its tasks, wall clock; INT64_MAX: none. */
int64_t executor_deadline_ms(const struct executor *executor);

#endif

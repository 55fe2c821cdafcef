/* current.h -- which operator a thread is in, for those who must tell why it crashed, or does not come back.
 *
 * Set around each batch, timer and other call that an operator or sink gets, and each poll of a source: a store, no
 * more. A chained operator is called from inside another one's callback, so who sets it puts back what was there.
 *
 *      operator 'clean' (2/4), at or before record 1234 of this attempt: topic 'clicks', partition 3, offsets 17 to 42
 *
 * At or before, because records are counted as they come, by the batch: those that one operator of a chain hands to the
 * next come alone, those of a source or channel are at most as many as a batch has. Where they came from only the
 * source of the chain knows (weir_source_class.positions); behind a channel nobody does.
 *
 * Thread: each has its own; all of this may be called by a signal handler. */
#ifndef WEIR_TASK_CURRENT_H
#define WEIR_TASK_CURRENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_ctx;
extern _Thread_local const struct weir_ctx *current_context; /* NULL: in no operator */
/* On a worker thread: the context belongs to another one, which goes on, so nothing of it is read but who it is. */
extern _Thread_local bool current_is_async;

/* Terminated; nothing when it is in none. Allocates nothing, calls nothing that a signal handler may not. */
void current_describe(char *to, size_t size);
/* The number of its task in the plan; false: it is in none. */
bool current_task(uint32_t *number);

#endif

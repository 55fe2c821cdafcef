/* current.h -- which operator a thread is in, for those who must tell why it does not come back.
 *
 * Set around each batch and timer that an operator or sink gets, and each poll of a source: a store, no more.
 * A chained operator is called from inside another one's callback, so who sets it puts back what was there.
 *
 * Thread: each has its own; current_describe may be called by a signal handler. */
#ifndef WEIR_TASK_CURRENT_H
#define WEIR_TASK_CURRENT_H

#include <stddef.h>

struct weir_ctx;
extern _Thread_local const struct weir_ctx *current_context; /* NULL: in no operator */

/* "operator 'clean' (2/4), about record 1234", terminated; nothing when it is in none. Allocates nothing, calls
 * nothing that a signal handler may not. */
void current_describe(char *to, size_t size);

#endif

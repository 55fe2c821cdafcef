/* timer.h -- timers of a keyed operator: in memory while they wait, in the backend at each barrier.
 *
 *      set / cancel (current key)      due timers pop in order of time, then of setting
 *              |                               ^
 *              v                               |
 *      [ set of timers ] -- [ queue: event time ] [ queue: processing time ]    timer_queue.h
 *              |
 *      timers_flush at a barrier: puts what is new and removes what is gone since the last one
 *              v
 *      backend, state STATE_NUMBER_TIMERS: row = the key, entry = time kind, at_ms
 *
 * So timers are part of the (incremental) keyed state, move with their key group when the job is
 * rescaled, and a timer that is set and fires between two barriers never touches the store.
 *
 * Cost: setting is a hash probe and a place in a queue; memory comes in slabs, none per timer in steady state.
 * Thread: task. */
#ifndef WEIR_TASK_TIMER_H
#define WEIR_TASK_TIMER_H

#include "state/keyed.h"

struct timers; /* Thread: task */
/* Reads the timers that are in the keyed's backend. */
weir_error *timers_open(struct keyed *keyed, uint32_t max_parallelism, struct timers **timers)
    WEIR_MUST_USE;
void timers_free(struct timers *timers);

void timers_set(struct timers *timers, enum weir_time time, int64_t at_ms, weir_str key,
    uint64_t key_hash);
void timers_cancel(struct timers *timers, enum weir_time time, int64_t at_ms, weir_str key,
    uint64_t key_hash);

/* The earliest timer of a kind; INT64_MAX: none. */
int64_t timers_next_ms(struct timers *timers, enum weir_time time);
/* Takes the earliest timer at or before `until_ms`. `key` is valid until the next call here. */
bool timers_pop(struct timers *timers, enum weir_time time, int64_t until_ms, int64_t *at_ms,
    weir_str *key, uint64_t *key_hash);
/* Hint: what is due will be popped. For how many of them, at most KEYED_PREFETCH_MAX, that has been seen to: for
 * more ask again. Pointers into keyed state end. */
uint32_t timers_prefetch(const struct timers *timers, enum weir_time time, int64_t until_ms);
/* The input has ended: what waits now pops, what is set from here on is only kept in the state, for a
 * later run. Otherwise a timer that sets itself again would go on for ever. */
void timers_close(struct timers *timers);
/* Writes the difference since the last flush into the backend. */
weir_error *timers_flush(struct timers *timers) WEIR_MUST_USE;
uint32_t timers_count(const struct timers *timers); /* those set after timers_close, too */

#endif

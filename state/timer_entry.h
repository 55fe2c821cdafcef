/* timer_entry.h -- how a timer is named in a backend: an entry without a value.
 *
 *      OFFSET SIZE  MEANING of the entry's name, in state STATE_NUMBER_TIMERS; the row is the key
 *           0    1  enum weir_time
 *           1    8  when it is due in ms, big-endian with the sign bit flipped: byte order is time order
 *
 * Written by the timers of a task (runtime/task/timer.h), and read by whoever makes something portable
 * of them (checkpoint/savepoint.h). Thread: any, pure. */
#ifndef WEIR_STATE_TIMER_ENTRY_H
#define WEIR_STATE_TIMER_ENTRY_H

#include <weir/operator.h>

#define TIMER_ENTRY_SIZE 9

void timer_entry_put(char bytes[TIMER_ENTRY_SIZE], enum weir_time time, int64_t at_ms);
/* False: it is the name of no timer. */
bool timer_entry_get(weir_str entry, enum weir_time *time, int64_t *at_ms);

#endif

/* rates.h -- how fast the tasks of a job are now: counters between two looks, made rates.
 *
 *      look at t0    look at t1       look at t2        a window is at least RATES_WINDOW_MS long:
 *        |-- older -----|--- newer -------|             what is shown at t2 is the change since t0 or t1
 *
 * Samples are taken when somebody looks, so nobody pays who does not. The first look at an attempt shows shares of
 * time since it began, and no records a second.
 *
 * Thread: control. Limits: as many jobs as run; those that no longer do are forgotten at the next look. */
#ifndef WEIR_WEB_RATES_H
#define WEIR_WEB_RATES_H

#include "runtime/cluster/dispatcher.h"

#define RATES_WINDOW_MS 5000

/* Thread: control. */
struct rate {
    double records_in, records_out;            /* a second */
    double busy_ms, idle_ms, backpressured_ms; /* a second: 0..1000 */
};

struct rates;
struct rates *rates_new(const struct dispatcher *dispatcher);
void rates_free(struct rates *rates);
/* Of a subtask of a job that runs. `now_ms`: monotonic. */
struct rate rates_look(struct rates *rates, const struct job *job, uint32_t subtask,
    int64_t now_ms);

#endif

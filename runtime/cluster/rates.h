/* rates.h -- how fast the tasks of a job are now: what their worker tells once a heartbeat, made rates.
 *
 *      told at t0    told at t1       told at t2        a window is at least RATES_WINDOW_MS long:
 *        |-- older -----|--- newer -------|             the rate at t2 is the change since t0 or t1
 *
 * The window is the job manager's, so everybody who looks sees the same, however often. What is first told of a task
 * shows shares of time since its attempt began, and no records a second: its counters go over all attempts.
 *
 * Thread: control. Limits: three samples a subtask. */
#ifndef WEIR_CLUSTER_RATES_H
#define WEIR_CLUSTER_RATES_H

#include "runtime/cluster/worker_metrics.h"

#define RATES_WINDOW_MS 5000

/* Thread: control. */
struct rate {
    double records_in, records_out, bytes_in, bytes_out; /* a second */
    double busy_ms, idle_ms, backpressured_ms;           /* a second: 0..1000 */
};

struct rates;
struct rates *rates_new(uint32_t subtask_count);
void rates_free(struct rates *rates);
/* A task begins, monotonic `now_ms`: what was told of the one before counts no more. */
void rates_begin(struct rates *rates, uint32_t subtask, int64_t now_ms);
void rates_told(struct rates *rates, const struct worker_task_metrics *metrics, int64_t now_ms);
struct rate rates_of(const struct rates *rates, uint32_t subtask); /* zeros: nothing was told yet */

#endif

/* worker.h -- threads for blocking work: uploads, publishing, fsync.
 *
 * Task threads never block; they submit a job here and hear of its end through their mailbox, which
 * the job's own `run` pushes to. Jobs of one `lane` run one after the other in the order submitted;
 * different lanes run in parallel.
 *
 * With zero threads nothing runs by itself: workers_step runs one job on the caller's thread. That
 * is how the simulator decides when an upload happens.
 *
 * Prefixes: workers_
 * Thread: any. Limit: jobs_max waiting; submit refuses when full. */
#ifndef WEIR_BASE_WORKER_H
#define WEIR_BASE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

struct workers;
struct workers *workers_new(uint32_t thread_count, uint32_t jobs_max);
/* Runs what is waiting to its end, then stops the threads. */
void workers_free(struct workers *workers);
uint32_t workers_jobs_max(const struct workers *workers);
/* `lane`: any pointer, NULL for none. False: full. */
bool workers_submit(struct workers *workers, const void *lane, void (*run)(void *arg), void *arg);
bool workers_step(struct workers *workers);       /* false: nothing to do; only with zero threads */
bool workers_is_running(struct workers *workers); /* a job, just now */
bool workers_is_waiting(struct workers *workers); /* a job, for its turn */
/* Waits until no job of the lane is waiting or running. With zero threads: runs them. */
void workers_drain(struct workers *workers, const void *lane);
/* Jobs of this `run` and `arg` that wait for their turn never run; waits until none is running. For who ends, and
 * shares its lane with others. */
void workers_withdraw(struct workers *workers, void (*run)(void *arg), const void *arg);
/* Waits until no job is waiting or running, at most that long. False: some are; a disk may not answer. With zero
 * threads: runs them. */
bool workers_wait(struct workers *workers, int64_t timeout_ms);
/* Calls run(arg, 0) ... run(arg, count - 1), in any order, on the caller's thread and on workers that have
 * nothing to do meanwhile, at most one thread a core, and returns when all have returned. A worker may call
 * it: nobody is waited for who has not begun. `workers` NULL, or zero threads: the caller does it alone, in
 * order. */
void workers_share(struct workers *workers, uint64_t count, void (*run)(void *arg, uint64_t index),
    void *arg);

#endif

/* sim_os.h -- the operating system of the simulator, in the place of os_linux.c's (base/os.h).
 *
 *      clock        stands still until sim_os_advance_ns; the wall clock can also jump
 *      randomness   from the seed
 *      disk         in memory; knows what was synced (sim_disk.h)
 *      processes    several may use the one disk: an engine, and the zombie it has replaced
 *
 * A crash is told as it happens: sim_os_kill makes every further call of a process fail and do nothing,
 * as if it did not exist any more; its owner then frees the memory, whatever that code tries on the
 * way has no effect; sim_os_reap checks that nothing is left open. That was a kill -9: the disk has all
 * that was written. When the power fails, all processes are killed and reaped, and sim_os_power_loss
 * lets the disk forget.
 *
 * Faults: the n-th call of the disk fails, or is a write that writes only some; or each call fails with a
 * probability. Calls are counted for all processes together.
 *
 * Process SIM_OBSERVER is no part of the story: it cannot die, nothing fails for it, nothing is counted.
 *
 * The trace is a hash over every call of the disk, its arguments and result, and over what the
 * simulator adds: two runs with one seed have the same. (Not of the clock: only logs read it more often.)
 *
 * Prefixes: sim_os_. Thread: one. There is one simulated machine at a time. */
#ifndef WEIR_TEST_SIM_OS_H
#define WEIR_TEST_SIM_OS_H

#include "base/os.h"

#define SIM_PROCESSES_MAX 64u
#define SIM_OBSERVER      (SIM_PROCESSES_MAX - 1)
#define SIM_START_WALL_MS INT64_C(1790000000000) /* September 2026 */

/* An empty disk; the table is os_current until the stop. */
void sim_os_start(uint64_t seed);
void sim_os_stop(void);

void sim_os_advance_ns(int64_t ns);
void sim_os_jump_wall_ms(int64_t ms);

/* -- processes ------------------------------------------------------------------------------------ */
void sim_os_run_as(uint32_t process); /* who makes the next calls; 0 at the start */
uint32_t sim_os_process(void);
void sim_os_kill(uint32_t process);
bool sim_os_is_dead(uint32_t process);
uint32_t sim_os_open_files(uint32_t process);
void sim_os_reap(uint32_t process); /* dead, and nothing is open: the number may be used again */
void sim_os_power_loss(void);       /* nobody runs */

/* -- faults: n counts from here on, 1 is the next call of the disk; 0 takes it back ---------------- */
void sim_os_kill_at(
    uint64_t nth); /* whoever makes it dies before it is done; a write may be half done */
void sim_os_fail_at(uint64_t nth, int error);
void sim_os_short_write_at(uint64_t nth);           /* or the first write behind it */
void sim_os_fail_one_in(uint32_t calls, int error); /* 0: never */
/* Stops whoever makes the call right before it, as SIGSTOP would, and calls `hook`, in which others may
 * run; when it returns, the call is made. NULL: not. */
void sim_os_freeze_at(uint64_t nth, void (*hook)(void *arg), void *arg);
/* Right before each call of the disk, as whoever makes it, with its path (NULL: of a file that is open): others may run
 * in it, and the process may be killed in it; then the call is not made. NULL: not. */
void sim_os_on_disk_call(void (*hook)(void *arg, const char *path), void *arg);
void sim_os_lie_about_sync(bool is_lying); /* syncs do nothing, and say that they did */

/* A call of something else than the disk, which also may be the one at which the process dies, freezes or
 * fails: 0, or an errno. `what` goes into the trace. Other processes may have run when it returns. */
int sim_os_call(char letter, const char *what);
/* The process freezes in its next call, if it is to freeze some time, else it dies in it. */
void sim_os_strike(void);
/* Right before each of these calls, whoever makes it: others may run in it. */
void sim_os_on_call(void (*hook)(void *arg), void *arg);

/* What has happened so far. */
struct sim_os_stats {
    uint64_t calls, syncs, faults, kills, power_losses;
};
struct sim_os_stats sim_os_stats(void);
uint64_t sim_os_disk_size(void);
uint64_t sim_os_trace(void);
void sim_os_mix(uint64_t number); /* a choice of the simulator goes into the trace */

#endif

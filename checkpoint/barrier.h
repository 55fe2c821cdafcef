/* barrier.h -- aligns the barriers of a task's inputs: a pure state machine.
 *
 * A task snapshots when the barrier of checkpoint n has arrived on every input; until then an input
 * that has delivered it is blocked, so no record behind a barrier enters the state of n.
 *
 *      barrier(n) on c, first of n      block c                              (alignment starts)
 *      barrier(n) on c, not the last    block c
 *      barrier(n) on c, the last        snapshot n, unblock all
 *      barrier(m > n) while aligning n  n is dead: unblock all, start m with c blocked
 *      barrier(m <= last done or dead)  ignored (late)
 *      abort(n) while aligning <= n     unblock all; later barriers of n and below are ignored
 *      overtake(n), n neither done nor dead
 *                                       snapshot n, unblock all: its barriers are in sight behind records, which become
 *                                       a part of the snapshot; they are late when they arrive
 *
 * One checkpoint at a time is alive (coordinator.h), so whatever starts or ends n has ended all < n.
 * Barriers come on a channel whose records have ended, too. One input: snapshot at once. No I/O, no
 * clock but the `now_ns` passed in. Thread: its owner (task). */
#ifndef WEIR_CHECKPOINT_BARRIER_H
#define WEIR_CHECKPOINT_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

enum barrier_action {
    BARRIER_NONE,          /* ignore */
    BARRIER_BLOCK,         /* block this channel */
    BARRIER_RESTART_BLOCK, /* unblock all, then block this channel: an older alignment died */
    BARRIER_SNAPSHOT       /* take the snapshot, send the barrier on, then unblock all */
};

/* Thread: task. */
struct barrier {
    uint32_t channel_count;
    uint32_t arrived_count;
    bool *arrived;
    uint64_t aligning; /* checkpoint, 0: none */
    uint64_t last;     /* highest checkpoint done or dead; while aligning n it is n - 1 */
    int64_t started_ns;
    int64_t alignment_ns; /* of the last completed one */
};
void barrier_init(struct barrier *barrier, uint32_t channel_count, uint64_t last);
void barrier_release(struct barrier *barrier);
enum barrier_action barrier_arrived(struct barrier *barrier, uint32_t channel, uint64_t checkpoint,
    int64_t now_ns);
/* True: take the snapshot, as BARRIER_SNAPSHOT. What is aligning is n, or nothing. */
bool barrier_overtake(struct barrier *barrier, uint64_t checkpoint, int64_t now_ns);
bool barrier_abort(struct barrier *barrier, uint64_t checkpoint); /* true: unblock all */

#endif

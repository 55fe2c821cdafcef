/* errands.h -- blocking work of a thread that must not block: a worker does it, the thread hears of its end.
 *
 *      errands_submit --> run(arg), on a worker --> waker --> errands_step: done(arg), on the owner's thread
 *
 * A control thread answers heartbeats; a disk that takes seconds to sync must not make it late. So what waits for a
 * disk is an errand.
 *
 * Errands of one lane run one after the other; one without a lane waits for no other one.
 *
 * Prefixes: errands_
 * Thread: the owner's, run apart. Limit: count_max under way, and the workers' own: submit refuses then. */
#ifndef WEIR_BASE_ERRANDS_H
#define WEIR_BASE_ERRANDS_H

#include "base/os.h"
#include "base/worker.h"

struct errands;
struct errands *errands_new(struct workers *workers, struct waker *waker, uint32_t count_max);
/* Waits for those under way; then done(arg, true) of each, which only puts away what it has. */
void errands_free(struct errands *errands);
/* `lane`: any pointer, NULL for none. False: too many are under way; neither is called then. */
bool errands_submit(struct errands *errands, const void *lane, void (*run)(void *arg),
    void (*done)(void *arg, bool is_over), void *arg);
void errands_step(struct errands *errands); /* done of all that have run */

#endif

/* fault_os.h -- the real operating system, whose n-th call fails.
 *
 *     for (uint64_t n = 1; ; n++) {
 *         fault_os_start(n, FAULT_CRASH, EIO);
 *         error = what_is_tested();
 *         bool was_hit = fault_os_stop();
 *         ... check what is left on the disk ...
 *         if (!was_hit)
 *             break;                      // it made fewer than n calls: every one of them has failed
 *     }
 *
 * Counted are the calls of the table in base/os.h that can fail. One thread only. */
#ifndef WEIR_TEST_FAULT_OS_H
#define WEIR_TEST_FAULT_OS_H

#include "base/os.h"

enum fault {
    FAULT_ONCE, /* the n-th call does nothing (a write: half of it) and fails */
    FAULT_LIE,  /* the n-th call is done, and says that it failed */
    FAULT_CRASH /* as ONCE, and so do all later ones: the process is dead */
};

void fault_os_start(uint64_t nth, enum fault fault, int error);
bool fault_os_stop(void); /* the real table again; whether the n-th call was reached */
/* Calls `hook` once, before the n-th call, which then goes on: what happens in between. */
void fault_os_hook(uint64_t nth, void (*hook)(void *arg), void *arg);

#endif

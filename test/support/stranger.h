/* stranger.h -- sockets of another user, in the same process: a socket belongs to the user whose files its thread makes
 * when it is made, or accepted (setfsuid). Only root can be somebody else: others skip the test, and say so.
 *
 *      stranger_or_skip();        first in a test: nothing is freed behind a skip
 *      stranger_begin(); socket(...); stranger_end(); */
#ifndef WEIR_TEST_STRANGER_H
#define WEIR_TEST_STRANGER_H

#include <sys/fsuid.h>
#include <unistd.h>

#include "test/support/expect.h"

#define STRANGER 65534u /* nobody */

static inline void stranger_or_skip(void)
{
    if (geteuid() == 0)
        return;
    print_message("SKIPPED: another user: only root can be somebody else\n");
    skip();
}

static inline void stranger_begin(void)
{
    setfsuid(STRANGER);
}

static inline void stranger_end(void)
{
    setfsuid(geteuid());
}

#endif

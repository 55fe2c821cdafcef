/* stranger.h -- sockets of another user, in the same process: a socket belongs to the user whose files its thread makes
 * when it is made, or accepted (setfsuid). Only root can be somebody else: others skip the test, and say so. */
#ifndef WEIR_TEST_STRANGER_H
#define WEIR_TEST_STRANGER_H

#include <sys/fsuid.h>
#include <unistd.h>

#include "test/support/expect.h"

#define STRANGER 65534u /* nobody */

static inline void stranger_begin(void)
{
    if (geteuid() != 0) {
        print_message("SKIPPED: not root, so there is no socket of another user\n");
        skip();
    }
    setfsuid(STRANGER);
}

static inline void stranger_end(void)
{
    setfsuid(geteuid());
}

#endif

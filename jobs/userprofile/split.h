/* split.h -- one event into what it says about each of its ids (claim.h, change.h).
 *
 *      main output       claims for `identity`: evidence for each id beside the user, or the
 *                        contribution of an event without a user
 *      SPLIT_OWN         the contribution of an event with a user, for the user's own profile: no
 *                        evidence can move it, so it needs no detour
 *
 * Stateless; runs on the thread of `dedupe`. Thread: any. */
#ifndef USERPROFILE_SPLIT_H
#define USERPROFILE_SPLIT_H

#include "jobs/userprofile/change.h"
#include "jobs/userprofile/event.h"

enum { SPLIT_OWN, SPLIT_SIDE_COUNT };
#define SPLIT_OWN_NAME "own"

extern const struct weir_operator split_operator;

#endif

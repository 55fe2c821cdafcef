/* profile.h -- persons: keyed by user or anonymous id, they hold the fragments of their members.
 *
 * It does what it is told (change.h) and nothing else; the state of a key is
 *
 *      totals       \
 *      counts       | a copy of the fragment of every member (fragment.h)
 *      tags         /
 *
 * A change sets a timer (delay.h). When it fires the members are merged and the profile is emitted;
 * an anonymous person without members, whose id has found an owner, ends in a tombstone. A user
 * without an event of its own yet is not emitted: the event is on its way.
 *
 * A user's own fragment is here and nowhere else, so with has_fragments it is emitted from here,
 * when it has grown since the last time. Fragments of other anchors come from `identity`.
 *
 * Owner: the job, or a test; immutable as long as it is used. Thread: any. */
#ifndef USERPROFILE_PROFILE_H
#define USERPROFILE_PROFILE_H

#include "jobs/userprofile/change.h"
#include <weir/weir.h>

enum { PROFILE_EMITTED, PROFILE_TOMBSTONES, PROFILE_FRAGMENTS, PROFILE_COUNTER_COUNT };
enum { PROFILE_FRAGMENT, PROFILE_SIDE_COUNT };
#define PROFILE_FRAGMENT_NAME "fragments"

/* The operator's config. */
struct profile_options {
    int64_t emit_interval_ms;
    bool has_fragments;
};

extern const struct weir_operator profile_operator; /* of struct change, emits struct output */

#endif

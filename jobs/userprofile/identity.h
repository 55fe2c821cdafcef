/* identity.h -- who owns an id, and the fragment of that id: keyed by every identity that is no
 * user.
 *
 * The state machine and the messages are told in change.h. State of a key:
 *
 *      link         the newest evidence: its user is the owner; how many users claim the id
 *      claimants    map: the users that claim it, while there is more than one and not too many
 *      totals       \
 *      counts       | the fragment of the events that the id is the anchor of (fragment.h)
 *      tags         /
 *
 * One evidence edits one entry, the link; a second user's adds one claimant. Moving a fragment
 * costs what the fragment is large, and happens when the owner changes. Once an id is shared its
 * claimants are forgotten and evidence for it is one look-up, however many users it has.
 *
 * The limit of claimants shapes the state (what is shared stays so, and has forgotten by whom), so
 * it is part of the name of the state `link`: a restore under another limit is refused by the
 * engine, which prints both.
 *
 * Owner: the job, or a test; immutable after init and as long-lived as what uses it. Thread: any.
 * */
#ifndef USERPROFILE_IDENTITY_H
#define USERPROFILE_IDENTITY_H

#include "jobs/userprofile/change.h"
#include <weir/weir.h>

enum { IDENTITY_OWNER_CHANGES, IDENTITY_BECAME_SHARED, IDENTITY_FRAGMENTS, IDENTITY_COUNTER_COUNT };
enum { IDENTITY_FRAGMENT, IDENTITY_SIDE_COUNT };
#define IDENTITY_FRAGMENT_NAME "fragments"
#define IDENTITY_STATE_COUNT   5

struct identity {
    struct weir_operator operator_;
    struct weir_state states[IDENTITY_STATE_COUNT];
    char link_name[64];
    int64_t fanout_limit;     /* more claimants than this: shared */
    int64_t emit_interval_ms; /* of fragments */
    bool has_fragments;       /* emit them on IDENTITY_FRAGMENT */
};

/* The operator's config is the identity itself. */
void identity_init(struct identity *identity, int64_t fanout_limit, int64_t emit_interval_ms,
    bool has_fragments);

#endif

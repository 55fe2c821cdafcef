/* claim.h -- what an event says about one id: the records between `split` and `identity`, by id.
 *
 *      evidence        `user` is not NULL: the event names `id` and `user` together, so it is
 *                      evidence that `id` belongs to `user`. Of the body only ts and event_id
 *                      are set.
 *      contribution    `user` is NULL: `id` is the anchor of an event without a user; the body is
 *                      what the event adds to its fragment.
 *
 * An event with a user makes one evidence for each other id, and its contribution goes straight to
 * the profile of the user (change.h), since a user is the owner of itself. One without a user makes
 * one contribution and nothing else. So an event touches as many keys as it has ids, at most.
 *
 * An id here is an identity, `kind:value`. It has no byte below 0x20. Thread: any. */
#ifndef USERPROFILE_CLAIM_H
#define USERPROFILE_CLAIM_H

#include "jobs/userprofile/contribution.h"

#define IDENTITY_SIZE_MAX (sizeof("idcard:") - 1 + TEXT_SIZE_MAX)

struct claim {
    weir_str id;
    weir_str user; /* an identity, too */
    struct contribution body;
};
WEIR_TYPE(claim, WEIR_FIELD(1, claim, id), WEIR_FIELD(2, claim, user),
    CONTRIBUTION_FIELDS(10, claim, body));

#endif

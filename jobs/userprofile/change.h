/* change.h -- the protocol between `identity` and `profile`: how fragments move between persons.
 *
 * `identity` runs one small state machine for each id x that is no user: it knows all evidence for
 * x, so it alone decides who owns x, and it keeps x's fragment. `profile` runs one for each person
 * y, a user or an anonymous id: it keeps a copy of the fragment of every member, and believes what
 * it is told. They talk in changes, keyed by y (`yid`), each about one member. The member "" is y
 * itself.
 *
 *      ADD     an event adds `body` to the member's fragment
 *      JOIN    the member belongs to y from now on; `pack` is its fragment, or the first part of it
 *      PART    more of the fragment
 *      LEAVE   the member belongs to y no longer: forget its fragment
 *
 * The life of x. An arrow is an evidence or an event that arrives, in whatever order; u, v are
 * users.
 *
 *      no owner    event of x             ADD "" to x: makes or changes the anonymous profile x
 *        |  evidence for u                LEAVE "" to x, if x has a fragment: its profile ends in
 *        v                                a tombstone. JOIN x to u.
 *      owned by u  event of x             ADD x to u
 *        |  evidence for v, newer         LEAVE x to u, JOIN x to v: both profiles change, also
 *        |                                when x has no fragment, because `ids` does
 *        |  evidence for v, older         nothing; v counts as a claimant
 *        |  evidence for u                nothing; perhaps a newer stamp
 *        |  evidence for the N+1st user   LEAVE x to u; JOIN "" to x with is_shared, if x has a
 *        |                                fragment: the anonymous profile comes back, after its
 *        v                                tombstone if there was one
 *      shared      event of x             ADD "" to x, with is_shared
 *           evidence                      nothing, for ever
 *
 * "Newer" is by (ts, event_id): two evidences of the same ts are ordered by the bytes of their
 * event_id, and equal ones are the same evidence. So the owner is the user of the greatest stamp
 * seen so far, whatever the order of arrival, and x is shared as soon as the set of claimants is
 * too large. Both are functions of the set of evidences. A user's own contributions are ADD ""
 * straight from `split`: no evidence can ever move them.
 *
 * Why `profile` ends up right under any interleaving:
 *
 *  1. All changes about x come from one subtask of `identity`, the one of the key x, and those to
 *     one y go through one channel to one subtask of `profile`, in order. A checkpoint and a change
 *     of parallelism keep that order. So what y holds under the member x is what x last told y.
 *  2. Changes about different members touch different entries of the state of y. They commute.
 *  3. When x moves from u to v, u and v are told in no particular order between them. For a moment
 *     both or none of them may list x, and may emit that. Each is marked as changed by what it is
 *     told last, so each emits again behind it, and that record is the latest: it is right.
 *  4. A fragment is moved whole, out of the state that every contribution to x has gone through. An
 *     ADD that comes after the move goes to the new person, behind the JOIN in the same channel. So
 *     each event is in the copy exactly once. Contributions to one fragment commute (fragment.h).
 *  5. A person may hear of a member before the first event of its own: the JOIN comes through
 *     `identity`, its ADD "" does not. `profile` emits no user without an own fragment. The ADD is
 *     sure to come: it is of the same event as the evidence.
 *  6. A fragment of more than one pack arrives in several changes; an emission in between shows a
 *     part of it, and is followed by another.
 *
 * Thread: any. */
#ifndef USERPROFILE_CHANGE_H
#define USERPROFILE_CHANGE_H

#include "jobs/userprofile/claim.h"

enum change_kind { CHANGE_ADD, CHANGE_JOIN, CHANGE_PART, CHANGE_LEAVE };

struct change {
    weir_str yid;             /* whom it is for: an identity */
    weir_str member;          /* whom it is about: an identity, or empty for yid itself */
    int32_t kind;             /* enum change_kind */
    bool is_shared;           /* ADD, JOIN of "": too many users claim yid */
    struct contribution body; /* ADD */
    weir_str pack;            /* JOIN, PART: fragment.h */
};
WEIR_TYPE(change, WEIR_FIELD(1, change, yid), WEIR_FIELD(2, change, member),
    WEIR_FIELD(3, change, kind), WEIR_FIELD(4, change, is_shared),
    CONTRIBUTION_FIELDS(10, change, body), WEIR_FIELD(20, change, pack));

#endif

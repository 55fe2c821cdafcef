/* fragment.h -- fragments in the state of an operator: one tag is one entry, and all merges
 * commute.
 *
 * A fragment is what the events of one anchor add up to. It lies in two map states, whose indices
 * the operator gives in a struct fragment_states:
 *
 *      map       entry name               value
 *      numbers   member \0 <tag>          struct number: amount.max, amount.sum, category.<c>, count,
 *                                         count.<type>, first_seen, last_seen, named as in the output
 *                member \0                struct number, flags: there is such a member
 *      tags      member \0 <name>         struct latest: the newest value, the stamp of its event
 *
 * `identity` keeps one fragment a key, of the member ""; `profile` one for each member of a person.
 * An identity has no byte below 0x20, so \0 ends it, and entries of one member lie together, in the
 * order of the output.
 *
 * Adding an event edits the entries that it changes and no others, however large the fragment: a sum is
 * edited in place, a least or greatest value only when it is another one.
 *
 * A pack is a fragment as bytes, to be sent to another person (change.h); see fragment.c.
 *
 * Thread: task. */
#ifndef USERPROFILE_FRAGMENT_H
#define USERPROFILE_FRAGMENT_H

#include "jobs/userprofile/claim.h"
#include <weir/weir.h>

#define FRAGMENT_PACK_MAX (64u << 10) /* bytes of a pack; larger fragments are several */

/* Flags of a member. */
#define FRAGMENT_SHARED 1 /* too many users claim the anchor */
#define FRAGMENT_UNSENT 2 /* changed since it was last emitted as a fragment */

struct number {
    int64_t value;
};
WEIR_TYPE(number, WEIR_FIELD(1, number, value));

#define FRAGMENT_AMOUNT   "amount."   /* these are in units of 0.0001 */
#define FRAGMENT_CATEGORY "category." /* and the category */
#define FRAGMENT_COUNT    "count"
#define FRAGMENT_TYPE     "count." /* and the type */

struct latest {
    int64_t ts;
    weir_str event_id; /* NULL: none yet */
    weir_str value;    /* as in contribution.h */
};
WEIR_TYPE(latest, WEIR_FIELD(1, latest, ts), WEIR_FIELD(2, latest, event_id),
    WEIR_FIELD(3, latest, value));

struct fragment_states {
    uint32_t numbers, tags; /* indices into the operator's states */
};

/* The name of an entry of either map, taken apart. */
struct fragment_entry {
    weir_str member;
    weir_str tag; /* empty: the member itself */
};
struct fragment_entry fragment_entry(weir_str key);

/* Merges: each is commutative and associative. */
int64_t number_merge(weir_str tag, int64_t left, int64_t right);
void latest_merge(struct latest *newest, const struct latest *other);

/* Makes it a member, if it is none yet, and sets flags of it. */
void fragment_flag(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    int64_t flags);
/* Takes flags away from a member. */
void fragment_unflag(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    int64_t flags);
void fragment_add(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    const struct contribution *body);
void fragment_remove(weir_ctx *ctx, const struct fragment_states *states, weir_str member);

/* Gives the fragment of "" to `take`, pack by pack, at least one, the first one with is_first. The
 * pack is valid for the call; `room` is FRAGMENT_PACK_MAX bytes to build it in. */
typedef void fragment_pack_fn(weir_ctx *ctx, weir_str pack, bool is_first, void *arg);
void fragment_pack(weir_ctx *ctx, const struct fragment_states *states, char *room,
    fragment_pack_fn *take, void *arg);
/* Adds a pack to the fragment of `member`. */
void fragment_unpack(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    weir_str pack);

#endif

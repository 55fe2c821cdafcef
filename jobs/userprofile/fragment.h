/* fragment.h -- fragments in the state of an operator: what every fragment has is one entry, what
 * only some have is an entry each; and all merges commute.
 *
 * A fragment is what the events of one anchor add up to. It lies in three map states, whose indices
 * the operator gives in a struct fragment_states:
 *
 *      map       entry name               value
 *      totals    member                   struct totals: amount.max, amount.sum, count, first_seen,
 *                                         last_seen, flags. The name of "" is empty: its entry lies
 *                                         in the row itself
 *      counts    member \0 c <category>   struct count: category.<c>
 *                member \0 m              struct count, 1: it is a member, with a fragment or without
 *                member \0 t <type>       struct count: count.<type>
 *      tags      member \0 <name>         struct latest: the newest value, the stamp of its event
 *
 * `identity` keeps one fragment a key, of the member ""; `profile` one for each member of a person.
 * An identity has no byte below 0x20, so \0 ends it, and entries of one member lie together, in the
 * order of the output.
 *
 * Adding an event edits the totals and the entries that it names, and no others, however large the
 * fragment. With an entry for each of the totals an event changed nine entries in place of four,
 * and each is a cache line when it is changed and a key in RocksDB later.
 *
 * A pack is a fragment as bytes, to be sent to another person (change.h); see fragment.c.
 *
 * Thread: task. */
#ifndef USERPROFILE_FRAGMENT_H
#define USERPROFILE_FRAGMENT_H

#include "jobs/userprofile/claim.h"
#include <weir/weir.h>

#define FRAGMENT_PACK_MAX (64u << 10) /* bytes of a pack; larger fragments are several */

/* Flags of the member "". */
#define FRAGMENT_SHARED 1 /* too many users claim the anchor */
#define FRAGMENT_UNSENT 2 /* changed since it was last emitted as a fragment */

struct totals {
    int64_t count; /* of events; 0: none yet, and only the flags are of use */
    int64_t first_seen, last_seen;
    int64_t amount_sum, amount_max; /* in units of 0.0001 */
    int32_t flags;
    bool has_amount; /* an event had one */
};
WEIR_TYPE(totals, WEIR_FIELD(1, totals, count), WEIR_FIELD(2, totals, first_seen),
    WEIR_FIELD(3, totals, last_seen), WEIR_FIELD(4, totals, amount_sum),
    WEIR_FIELD(5, totals, amount_max), WEIR_FIELD(6, totals, flags),
    WEIR_FIELD(7, totals, has_amount));

struct count {
    int64_t value;
};
WEIR_TYPE(count, WEIR_FIELD(1, count, value));

/* What the name of a count begins with. A letter, because such names are in memory and files a million
 * times; in the order of the output. */
#define FRAGMENT_CATEGORY 'c'
#define FRAGMENT_MEMBER   'm'
#define FRAGMENT_TYPE     't'

struct latest {
    int64_t ts;
    weir_str event_id; /* NULL: none yet */
    weir_str value;    /* as in contribution.h */
};
WEIR_TYPE(latest, WEIR_FIELD(1, latest, ts), WEIR_FIELD(2, latest, event_id),
    WEIR_FIELD(3, latest, value));

struct fragment_states {
    uint32_t totals, counts, tags; /* indices into the operator's states */
};

/* The name of an entry of counts or tags, taken apart. */
struct fragment_entry {
    weir_str member;
    weir_str tag; /* of a count with its letter in front */
};
struct fragment_entry fragment_entry(weir_str key);

/* Merges: each is commutative and associative. Flags are not merged: they are of a member. */
void totals_merge(struct totals *into, const struct totals *other);
void latest_merge(struct latest *newest, const struct latest *other);

/* Makes it a member, if it is none yet. */
void fragment_join(weir_ctx *ctx, const struct fragment_states *states, weir_str member);
/* Of the member "": sets flags, takes them away. */
void fragment_flag(weir_ctx *ctx, const struct fragment_states *states, int32_t flags);
void fragment_unflag(weir_ctx *ctx, const struct fragment_states *states, int32_t flags);
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

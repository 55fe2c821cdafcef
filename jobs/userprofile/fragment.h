/* fragment.h -- fragments in the state of an operator: one tag is one entry, and all merges
 * commute.
 *
 * A fragment is what the events of one anchor add up to. It lies in two map states, whose indices
 * the operator gives in a struct fragment_states:
 *
 *      map       entry name               value
 *      tallies   member \0                struct tally: count, first_seen, last_seen, amounts
 *                member \0 c <category>   struct tally, of which only the count is used
 *                member \0 t <type>       the same
 *      tags      member \0 <name>         struct latest: the newest value, the stamp of its event
 *
 * `identity` keeps one fragment a key, of the member ""; `profile` one for each member of a person.
 * An identity has no byte below 0x20, so \0 ends it, and entries of one member lie together, in the
 * order of the output.
 *
 * Adding an event edits the total, its type, its category and its tags: four to six entries,
 * however large the fragment. The five numbers that every event changes are one entry, because five
 * would be five look-ups for the same event; tallies have no strings, so they are changed in place.
 *
 * A pack is a fragment as bytes, to be sent to another person (change.h); see fragment.c.
 *
 * Thread: task. */
#ifndef USERPROFILE_FRAGMENT_H
#define USERPROFILE_FRAGMENT_H

#include "jobs/userprofile/claim.h"
#include <weir/weir.h>

#define FRAGMENT_PACK_MAX (64u << 10) /* bytes of a pack; larger fragments are several */

/* A fragment's own flags, in its total. */
#define FRAGMENT_SHARED 1 /* too many users claim the anchor */
#define FRAGMENT_UNSENT 2 /* changed since it was last emitted as a fragment */

struct tally {
    int64_t count; /* 0: no event, the other numbers mean nothing */
    int64_t first_seen, last_seen;
    int64_t amount_sum; /* modulo 2^64 */
    int64_t amount_max; /* FRAGMENT_NO_AMOUNT: no event had one */
    int64_t flags;
};
WEIR_TYPE(tally, WEIR_FIELD(1, tally, count), WEIR_FIELD(2, tally, first_seen),
    WEIR_FIELD(3, tally, last_seen), WEIR_FIELD(4, tally, amount_sum),
    WEIR_FIELD(5, tally, amount_max), WEIR_FIELD(6, tally, flags));
#define FRAGMENT_NO_AMOUNT INT64_MIN

struct latest {
    int64_t ts;
    weir_str event_id; /* NULL: none yet */
    weir_str value;    /* as in contribution.h */
};
WEIR_TYPE(latest, WEIR_FIELD(1, latest, ts), WEIR_FIELD(2, latest, event_id),
    WEIR_FIELD(3, latest, value));

struct fragment_states {
    uint32_t tallies, tags; /* indices into the operator's states */
};

#define FRAGMENT_CATEGORY 'c'
#define FRAGMENT_TYPE     't'

/* The name of an entry of either map, taken apart. */
struct fragment_entry {
    weir_str member;
    char part; /* of tallies: 0 for the total, FRAGMENT_CATEGORY or FRAGMENT_TYPE */
    weir_str name;
};
struct fragment_entry fragment_tally_entry(weir_str key);
struct fragment_entry fragment_tag_entry(weir_str key);

/* Merges: each is commutative and associative. */
void tally_merge(struct tally *total, const struct tally *other);
void latest_merge(struct latest *newest, const struct latest *other);

/* The total of a member, zeroed if it was none: having one is what makes it a member. */
struct tally *fragment_total(weir_ctx *ctx, const struct fragment_states *states, weir_str member);
void fragment_add(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    const struct contribution *body, int64_t flags);
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

/* placement.h -- in which row of a backend the entries of a state lie, and under which names.
 *
 * A backend keeps a row for each key and state. The maps of an operator that say so (weir_state.shares_row) share one,
 * that of the first of them, so that a key costs one look-up, one row and one leaf of entries (rows.h, entries.h),
 * however many they are. Behind a mark, the number of the state, each has its own names:
 *
 *      state 1, the first map    entry ""     name ""           the row's own value: it lies in the row itself
 *                                entry "x"    name 0x02 "x"
 *      state 2, another map      entry ""     name 0x03
 *                                entry "x"    name 0x03 "x"
 *
 * The names of one map lie together, in the order of its entries, so a prefix stays one. Everything else has a row of
 * its own and names as they are. Maps with a time to live cannot share, because the store forgets by the row's state
 * (backend_class.expire). Not all maps do, because what is known of a row is known of all of it: a short map beside one
 * of thousands of entries is never complete in memory, and a shared row cannot be cleared as a whole.
 *
 * Where an entry lies follows from the states alone, so from what a checkpoint says about them (state_schema.h).
 *
 * Prefixes: placement_
 * Private to state and checkpoint. Thread: any. */
#ifndef WEIR_STATE_PLACEMENT_H
#define WEIR_STATE_PLACEMENT_H

#include <weir/operator.h>

/* Of one state. Thread: immutable after init. */
struct placement {
    uint32_t row;  /* the state whose row it is */
    char mark;     /* in front of each name; 0: none, names are as they are */
    bool is_first; /* with a mark: the entry "" has no mark */
};

/* One for each state. */
void placement_init(struct placement *placements, const struct weir_state *states,
    uint32_t state_count);
/* The name of an entry: as it is, or put together in `room`, which has entry.size + 1 bytes. */
weir_str placement_name(const struct placement *placement, weir_str entry, char *room);
/* The other way round: the state of a name in the row of state `row`, and its entry, borrowed. False: no state has
 * such names. */
bool placement_find(const struct placement *placements, uint32_t state_count, uint32_t row,
    weir_str name, uint32_t *state, weir_str *entry);

static inline bool placement_has_name(const struct placement *placement, weir_str entry)
{
    return placement->mark == 0 || (placement->is_first && entry.size == 0);
}

#endif

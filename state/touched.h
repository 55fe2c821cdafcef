/* touched.h -- the records of the current key that a callback has read or edited, as decoded copies.
 *
 * It makes "editing the same entry twice gives the same pointer" and "a read sees the edit" true for
 * entries that are not edited in place, and spares the second get when a read is followed by an edit.
 * It is emptied at every commit.
 *
 *      ABSENT   known not to be stored
 *      CLEAN    read, as stored
 *      DIRTY    edited: commit writes it
 *
 * A callback touches a handful of entries: up to TOUCHED_LINEAR they are searched one by one; from
 * there on through a hash table, because one that walks a map of 100,000 keys must not be quadratic.
 *
 * Memory: names and records belong to the caller's arena; the list's own grows, and shrinks when it
 * was unusually large. Thread: its owner. */
#ifndef WEIR_STATE_TOUCHED_H
#define WEIR_STATE_TOUCHED_H

#include <weir/type.h>

enum touched_status { TOUCHED_ABSENT, TOUCHED_CLEAN, TOUCHED_DIRTY };

/* Thread: its owner. */
struct touched {
    uint32_t state;
    enum touched_status status;
    weir_str entry;
    void *record; /* NULL while ABSENT */
};

/* Thread: its owner. Zeroed is empty. */
struct touched_list {
    struct touched *items; /* in the order of touching */
    uint32_t count, capacity;
    uint32_t *index; /* index + 1 of an item, 0: free; used from TOUCHED_LINEAR items on */
    uint32_t index_size;
};

#define TOUCHED_LINEAR 8u

void touched_release(struct touched_list *list);
void touched_reset(struct touched_list *list);
/* NULL: not touched yet. Valid until the next touched_add. */
struct touched *touched_find(const struct touched_list *list, uint32_t state, weir_str entry);
/* A new ABSENT one; it is not there yet. The entry is borrowed until the reset. */
struct touched *touched_add(struct touched_list *list, uint32_t state, weir_str entry);

#endif

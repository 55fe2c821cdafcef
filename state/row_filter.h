/* row_filter.h -- which rows a store may have: a Bloom filter that is asked before the store is.
 *
 * Most rows that are not in memory are new: a store has to look into several files to say so, which costs
 * it 3-10 us, and this 20-50 ns, one cache line.
 *
 *      newest [ blocks of 512 bits ]  -> older [ half as many ]  -> ...      each for `capacity` rows
 *
 * A row sets PROBES bits of one block. At ROW_FILTER_BITS bits a row about one answer in a hundred is wrong,
 * always to the safe side: "may have". Rows are never taken out; who wants that builds a new filter.
 *
 * Prefixes: row_filter_
 * Thread: any may add; adding a newer filter, and freeing, is its owner's. */
#ifndef WEIR_STATE_ROW_FILTER_H
#define WEIR_STATE_ROW_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#define ROW_FILTER_BITS 10u

struct row_filter;

/* For about `capacity` rows; takes over `older`, which may be NULL. */
struct row_filter *row_filter_new(uint64_t capacity, struct row_filter *older);
void row_filter_free(struct row_filter *filter); /* with all older ones; NULL is fine */

/* `hash` names the row, with its state. False: it was there, or seemed to be. */
bool row_filter_add(struct row_filter *filter, uint64_t hash);
bool row_filter_may_have(const struct row_filter *filter, uint64_t hash);
/* What both look at will be there soon. */
void row_filter_prefetch(const struct row_filter *filter, uint64_t hash);
/* Of the newest one: another one should be added. */
bool row_filter_is_full(const struct row_filter *filter);
bool row_filter_is_empty(const struct row_filter *filter);
uint64_t row_filter_capacity(const struct row_filter *filter);
uint64_t row_filter_size(const struct row_filter *filter); /* bytes, of all */
uint64_t row_filter_size_for(uint64_t capacity);           /* bytes of one */

#endif

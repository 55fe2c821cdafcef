/* merge.h -- the fragments of a person's members, added up and in the order of the output.
 *
 * State is walked over once, entry by entry, and each goes into a merge:
 *
 *      merge_reset -> merge_totals, merge_count, merge_tag, merge_member ... -> merge_finish -> read
 *
 * The maps are in byte order (fragment.h) and so are the tags of the output, so the entries of a
 * single member are in their final places as they come: nothing is searched for or sorted. With
 * more members the list is sorted and its duplicates merged whenever it has doubled, and at the
 * end. That keeps the memory at twice the result however many members there are, and needs no hash
 * table that hostile names could spoil.
 *
 * Limit: a result that is sure to print longer than MERGE_SIZE_MAX is given up at once: `is_over`.
 * That is decided by the names alone, since a value may yet lose against a shorter one: with names
 * of few bytes and values of the largest size it can be 100 MB in memory before.
 *
 * Owner: the operator's instance; memory is kept between emissions. Thread: task. */
#ifndef USERPROFILE_MERGE_H
#define USERPROFILE_MERGE_H

#include "jobs/userprofile/fragment.h"

#define MERGE_SIZE_MAX 1000000u /* bytes of a record in the output */

/* Counts come before tags, as in the output. */
struct merged {
    weir_str name; /* of a count with its kind in front, of a tag without the `tag.` */
    bool is_tag;
    int64_t count;        /* if it is none */
    struct latest newest; /* of a tag */
};

struct merge {
    struct totals totals; /* with the flags of all members */
    struct merged *entries;
    uint32_t entry_count, entry_capacity, compact_at;
    bool is_sorted; /* entries are strictly ascending */
    weir_str *members;
    uint32_t member_count, member_capacity;
    uint64_t size, member_size; /* in the output, at least */
    bool is_over;
    struct merge_block *blocks; /* bytes of names and values, newest first */
};

void merge_reset(struct merge *merge);
void merge_release(struct merge *merge);

void merge_totals(struct merge *merge, const struct totals *totals);
/* Each copies what it gets; false: is_over, more is of no use. */
bool merge_count(struct merge *merge, weir_str name, int64_t count);
bool merge_tag(struct merge *merge, weir_str name, const struct latest *newest);
bool merge_member(struct merge *merge, weir_str member); /* in byte order */

void merge_finish(struct merge *merge);

#endif

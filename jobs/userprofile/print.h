/* print.h -- merged fragments as the JSON of the output, byte for byte as specified.
 *
 *      {"yid":"user:u42","ids":["device:a1","user:u42"],"tags":{"amount.max":129.5000,…},
 *       "interest":["loans"],"quality":52,"shared":false}            a profile, on one line
 *      {"yid":"device:a1","tags":{…}}                                a fragment
 *      {"yid":"user:u43","oversize":true}                            either, if it were too long
 *
 * Tags come sorted from a merge. What is derived (interest, quality) is derived here, from the merged
 * fragment.
 *
 * Thread: task. */
#ifndef USERPROFILE_PRINT_H
#define USERPROFILE_PRINT_H

#include "jobs/userprofile/merge.h"
#include "jobs/userprofile/text.h"

/* Each empties `text` first; its limit must be MERGE_SIZE_MAX. The merge must be finished. */
void print_profile(struct text *text, weir_str yid, const struct merge *merge);
void print_fragment(struct text *text, weir_str yid, const struct merge *merge);

/* 0 to 100, and up to three categories, the most frequent first, as long as the merge; returns how many. */
#define INTEREST_MAX 3u
int64_t print_quality(const struct merge *merge);
uint32_t print_interest(const struct merge *merge, weir_str top[INTEREST_MAX]);

#endif

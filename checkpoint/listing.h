/* listing.h -- what lies in a job's checkpoint directory, by kind.
 *
 *      attempt-<a>            an attempt's file (attempt.h)
 *      chk-<n>                a checkpoint; complete when it holds _metadata
 *      staging-<a>, work-<a>  an attempt's own directories
 *      shared                 stored files (state/state_file.h)
 *      *.<hex>.tmp            what a crash left of a whole-file write (base/os.h)
 *
 * Numbers are decimal without leading zeros. Whatever else is found is not ours: it is named in the
 * log at the start of each attempt, and left alone for ever.
 *
 * Thread: any; a listing belongs to its holder. */
#ifndef WEIR_CHECKPOINT_LISTING_H
#define WEIR_CHECKPOINT_LISTING_H

#include <weir/error.h>
#include <stdbool.h>
#include <stdint.h>

#define LISTING_METADATA "_metadata"

enum listing_kind {
    LISTING_ATTEMPT,
    LISTING_CHECKPOINT,
    LISTING_OWN_DIR, /* staging-<a>, work-<a> */
    LISTING_SHARED,
    LISTING_TEMPORARY,
    LISTING_UNKNOWN
};

/* Thread: its holder. */
struct listing_entry {
    enum listing_kind kind;
    uint64_t number;  /* of the attempt or checkpoint */
    const char *name; /* belongs to the listing */
    bool is_complete; /* LISTING_CHECKPOINT only */
};

/* Thread: its holder. */
struct listing {
    struct listing_entry *entries; /* by kind, then by number, rising */
    uint32_t count;
    char **names;
};
weir_error *listing_read(const char *dir, struct listing *listing) WEIR_MUST_USE;
void listing_release(struct listing *listing);
/* The highest number of a kind; 0: none. */
uint64_t listing_highest(const struct listing *listing, enum listing_kind kind);
/* "<prefix><number>" with nothing behind it. */
bool listing_number(const char *name, const char *prefix, uint64_t *number);

#endif

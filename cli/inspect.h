/* inspect.h -- the questions of `weir inspect`, a file each. They look at a savepoint or a checkpoint through
 * checkpoint/state_scan.h, and write nothing outside of a work directory of their own.
 *
 * What an answer takes: the list reads the metadata only; entries, verify and diff read every byte, in
 * memory that does not grow with the state; a diff also needs room for a copy of the first one's on disk.
 *
 * Prefixes: inspect_. Thread: one. */
#ifndef WEIR_CLI_INSPECT_H
#define WEIR_CLI_INSPECT_H

#include "base/os_scratch.h"
#include "checkpoint/savepoint.h"

/* Thread: one. */
struct inspection {
    struct snapshot_dir snapshot;
    const char *path;
    struct os_scratch scratch;
    const char *work_dir; /* for what entries are read with; NULL: they are not */
    bool is_json; /* answer in JSON: an object, or lines of them where the answer has lines */
};
weir_error *inspection_open(const char *path, bool is_json, bool reads_entries,
    struct inspection *it) WEIR_MUST_USE;
void inspection_close(struct inspection *it);

/* Operators, states, key groups, sizes. */
weir_error *inspect_list(const struct inspection *it) WEIR_MUST_USE;

/* Which entries: all that fit. Thread: immutable after init. */
struct inspect_filter {
    const char *operator_; /* uid; NULL: all */
    const char *state;     /* name; NULL: all, and timers */
    const char *key;       /* as text, of one field; NULL: all */
    uint64_t limit;        /* 0: none */
};
weir_error *inspect_entries(const struct inspection *it, const struct inspect_filter *filter)
    WEIR_MUST_USE;
/* Is it one that the filter names? */
bool inspect_wants(const struct inspect_filter *filter, weir_str uid);

/* Every checksum, every reference, every entry; how many there are. */
weir_error *inspect_verify(const struct inspection *it) WEIR_MUST_USE;
/* What the second has more, less, and otherwise than the first. *is_same: nothing. */
weir_error *inspect_diff(const struct inspection *a, const struct inspection *b, uint64_t limit,
    bool *is_same) WEIR_MUST_USE;

#endif

/* published.h -- one checkpoint on disk: chk-<n>/_metadata and how it is written, read and deleted.
 *
 *      chk-<n>/_metadata.<a>.tmp   while attempt a writes it
 *      chk-<n>/_metadata           complete: the rename is the moment
 *
 * Writing: mkdir, sync the job's directory, write, sync, *ask* (still in charge?), rename, sync chk-<n>.
 * A crash at any step leaves a complete checkpoint or an unfinished one, and an unfinished one counts
 * for nothing. A new attempt deletes the temporary files of older ones before it looks for what to
 * restore, so that a zombie that has asked, but not renamed yet, has nothing to rename any more.
 *
 * If the last sync fails, nobody knows whether the rename survives a power failure. The metadata is
 * deleted then; should that not survive either, the checkpoint shows up again later, which is no harm:
 * it is consistent, and no output behind it was published unless a newer one is complete.
 *
 * A restore makes durable what it found: whoever published it may have been killed between the rename
 * and the sync, and the output that is shown next must not outlive the checkpoint it belongs to.
 *
 * Thread: one at a time (the job manager's worker), published_read and published_verify any. */
#ifndef WEIR_CHECKPOINT_PUBLISHED_H
#define WEIR_CHECKPOINT_PUBLISHED_H

#include "checkpoint/format.h"

struct workers;

/* Every listed file must be in place with its length (WEIR_E_CORRUPT else). Not durable: nothing is synced. */
weir_error *published_write(const char *dir, const struct checkpoint_metadata *metadata,
    bool is_durable) WEIR_MUST_USE;
/* Reads and decodes; `metadata` is to be released on success only. WEIR_E_CORRUPT: it can never be
 * restored. WEIR_E_STATE: it is of another job, or of a newer version of Weir. */
weir_error *published_read(const char *dir, const char *job, uint64_t number,
    struct checkpoint_metadata *metadata) WEIR_MUST_USE;
/* Reads every listed file, several at once if workers (may be NULL) have nothing else to do: lengths and
 * checksums. All of them are marked as verified then. */
weir_error *published_verify(const char *dir, struct workers *workers,
    const struct checkpoint_metadata *metadata) WEIR_MUST_USE;
/* The name of a complete one survives a power failure from here on. */
weir_error *published_sync(const char *dir, uint64_t number) WEIR_MUST_USE;
/* Deletes it, complete or not, and temporary files of attempts <= `attempt`; what else is in its
 * directory stays, and the directory with it. */
weir_error *published_delete(const char *dir, uint64_t number, uint64_t attempt) WEIR_MUST_USE;

#endif

/* retention.h -- deletes what a checkpoint directory no longer needs, and nothing else.
 *
 * Kept are the newest `retained` complete checkpoints on the line of succession (attempt.h), and all
 * stored files that they list. Deleted, in this order:
 *
 *   1. checkpoints older than those, checkpoints beside the line, and unfinished ones below the newest
 *      complete one: first their metadata, so that half a deletion leaves an unfinished checkpoint;
 *   2. after a sync of the directory: files in shared/ that no kept checkpoint lists. Only those of
 *      this attempt and older ones, and of this attempt only finished ones; and none at all when the
 *      list of a kept checkpoint cannot be read;
 *   3. files of attempts that are needed to judge no checkpoint any more.
 *
 * Two dangers, and what meets them:
 *
 *   A pending checkpoint stores a file, and the cleaning, which does not know it, deletes it. Even a
 *   list made earlier does not help, because a new checkpoint may find that an old, unlisted file has
 *   the bytes it wants to store, and keep it. So clean in the worker job that has published, before
 *   the coordinator hears of it: no checkpoint is pending then. Who cleans later risks no more than a
 *   failed checkpoint: storage_publish looks at every listed file before it publishes.
 *
 *   A zombie cleans. It checks that it is in charge first; stopped right behind that, it deletes later
 *   what was superfluous then: its newest checkpoint was complete before the next attempt claimed, so
 *   that one restored it or a newer one, and files of newer attempts a zombie never touches.
 *
 * Trouble is logged: what stays is deleted next time. Unknown names are left alone.
 * Thread: one at a time (the job manager's worker). */
#ifndef WEIR_CHECKPOINT_RETENTION_H
#define WEIR_CHECKPOINT_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

/* Not durable: the directory does not outlive the process, and nothing in it is synced. */
void retention_clean(const char *dir, const char *job, uint64_t attempt, uint32_t retained,
    bool is_durable);

#endif

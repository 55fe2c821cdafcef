/* storage.h -- the checkpoint directory: the only truth about what is complete.
 *
 *      <root>/<job>/attempt-<a>         one per start: what it restored from; the highest is in charge
 *      <root>/<job>/chk-<n>/_metadata   complete checkpoint n (format.h)
 *      <root>/<job>/shared/…            immutable files, named by checksum, length and attempt
 *      <root>/<job>/staging-<a>/…       files of unfinished checkpoints of attempt a
 *      <root>/<job>/work-<a>/…          backends' own directories of attempt a
 *
 * Publish = write _metadata under a temporary name, fsync, check that this attempt is still in charge,
 * rename, fsync the directory (published.h). A crash before the rename leaves a checkpoint that never was.
 * A failed fsync fails the checkpoint; its file is deleted, never synced again.
 *
 * Attempts. Opening claims the next attempt by creating its file (exclusive: two claimants cannot get
 * the same number); then the attempt chooses, once, what it restores from, and its file says so.
 * Checkpoints of a zombie, an older attempt that goes on, are void: attempt.h tells how and why.
 * Numbers are never used twice: each attempt has set aside the numbers that it uses, and a new one
 * starts behind them, so they jump by about a hundred at each start, and by a random number at one
 * from a savepoint.
 *
 * Retention: the newest `retained` complete ones stay, and the files in shared/ that they list; what is
 * not Weir's stays for ever (retention.h).
 *
 * Restore passes over what is proven to be damaged (WEIR_E_CORRUPT), loudly. What cannot be read for
 * another reason, or is of a newer version or another job, stops it: it may be whole, and falling back
 * would undo output that is out already.
 *
 * Without a root (no --checkpoints) the directory is temporary and removed at the end; checkpoints in
 * it still give exactly-once within the life of the process. Nothing is synced there: who would read it after a power
 * failure?
 *
 * Thread: one at a time (the job manager's worker), but storage_check_attempt: any. */
#ifndef WEIR_CHECKPOINT_STORAGE_H
#define WEIR_CHECKPOINT_STORAGE_H

#include "checkpoint/format.h"

struct storage;
/* Makes the directories and claims an attempt; then call storage_restore or storage_fresh, once.
 * `root` NULL: temporary. Job: [A-Za-z0-9_.-]{1,64}. */
weir_error *storage_open(const char *root, const char *job, uint32_t retained,
    struct storage **storage) WEIR_MUST_USE;
/* What a start would find there, without a claim: a start that is refused must leave the one that runs
 * alone. Metadata of the newest complete checkpoint, whose files are not verified; *found false: none that
 * can be read. With `is_fresh` it refuses as storage_fresh does. */
weir_error *storage_preview(const char *root, const char *job, bool is_fresh,
    struct checkpoint_metadata *metadata, bool *found) WEIR_MUST_USE;
void storage_close(struct storage *storage); /* removes staging, work, and a temporary root */
/* The same, and everything stays: tasks of this attempt go on without us, until a newer one takes over. */
void storage_leave(struct storage *storage);

const char *storage_dir(const struct storage *storage);         /* <root>/<job> */
const char *storage_staging_dir(const struct storage *storage); /* exists */
const char *storage_work_dir(const struct storage *storage);    /* exists */
uint64_t storage_attempt(const struct storage *storage);
/* A random number that all attempts in this directory share: weir_instance_id of a job that restores
 * nothing. So an attempt that died before its first checkpoint is known by the next one. */
uint64_t storage_instance(const struct storage *storage);
uint64_t storage_last_number(const struct storage *storage); /* start behind it */
bool storage_is_temporary(const struct storage *storage);
/* The same process starts again after a failure, its old tasks are closed: claims the next attempt.
 * Then restore again. */
weir_error *storage_next_attempt(struct storage *storage) WEIR_MUST_USE;
/* The same, with a number higher than `above`: the job goes on that had that attempt in another directory,
 * and whatever knows it by its attempts (tokens in Kafka) must see them rise. */
weir_error *storage_next_attempt_above(struct storage *storage, uint64_t above) WEIR_MUST_USE;
weir_error *storage_check_attempt(const struct storage *storage) WEIR_MUST_USE; /* WEIR_E_FENCED */
/* In a process that only knows the directory and its attempt: attempt_check (attempt.h). */

/* Reads the newest complete checkpoint whose metadata and every file verify; a broken one is logged
 * loudly and the one before it is tried. *found false: there is none at all. All of them broken:
 * an error that names them. Of the checkpoint that this process has published last it does not read again what was read
 * when it was stored (verified.h). Records the choice in this attempt's file. `workers`, which may be NULL, help to
 * read. */
weir_error *storage_restore(struct storage *storage, struct workers *workers,
    struct checkpoint_metadata *metadata, bool *found) WEIR_MUST_USE;
/* The attempt goes on, but some of its tasks start again (runtime/manager/execution.h): reads the newest complete
 * checkpoint, and only that one. What the other tasks have published since an older one cannot be undone, so a
 * broken one is an error here: the whole job has to start again. After storage_restore or storage_fresh. */
weir_error *storage_restore_again(const struct storage *storage, struct workers *workers,
    struct checkpoint_metadata *metadata, bool *found) WEIR_MUST_USE;
/* --fresh: records that this attempt restored nothing; refuses if a complete checkpoint exists. */
weir_error *storage_fresh(struct storage *storage) WEIR_MUST_USE;

/* `metadata` is of this attempt, with a number > storage_last_number. */
weir_error *storage_publish(struct storage *storage, const struct checkpoint_metadata *metadata)
    WEIR_MUST_USE;
/* Deletes what retention no longer keeps. Trouble is logged, never an error. Call it in the worker job
 * that has published, before the coordinator hears of it: then no checkpoint is pending, whose files
 * would look superfluous. */
void storage_clean(struct storage *storage);

#endif

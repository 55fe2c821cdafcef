/* savepoint.h -- a checkpoint made portable: it belongs to a person, not to a job.
 *
 * A checkpoint is what a job needs to go on: structs as they lie in memory, in files of its backend, shared
 * with the checkpoints before and after it, deleted when newer ones are there. A savepoint is a directory of
 * its own that Weir never deletes: MessagePack by field id with the schemas beside it, good for another
 * backend, parallelism, maximum parallelism, machine and struct, and for programs that are not Weir.
 *
 *      <root>/savepoint-<job>-<checkpoint>-<8 hex digits>/
 *          _metadata           savepoint_format.h
 *          entries-<i>         savepoint_entry.h: keyed state of operator i of the metadata
 *          staged-<i>-<j>      files of its connector, as they were
 *
 * Taking one never stops the job. It is made out of a complete checkpoint, by a worker:
 *
 *      1. savepoint_pin        hard links to the checkpoint's files, so that it may be deleted meanwhile
 *      2. savepoint_write      scans them (state_scan.h) into a directory aside, syncs, renames, syncs
 *
 * The second step alone makes a savepoint out of any old checkpoint, with no job near. Before the rename
 * nothing of it is there but a name that starts with a dot; after an error not even that. A crash leaves it, and
 * the next savepoint, or start, of a job of this name removes it: the writer has a claim (os_dir_claim) on it
 * for as long as it lives, so whoever gets the claim knows that nobody writes there any more. Where the file
 * system knows no claims, everything is left alone.
 *
 * Restoring one is the way back: savepoint_import.h makes a checkpoint of it.
 *
 * What is not in a WEIR_TYPE is not in a savepoint: members of a struct outside its table.
 *
 * Thread: worker, or whoever may block. Prefixes: savepoint_, snapshot_dir_ */
#ifndef WEIR_CHECKPOINT_SAVEPOINT_H
#define WEIR_CHECKPOINT_SAVEPOINT_H

#include "checkpoint/state_scan.h"

/* Links every file that the metadata lists into `pin_dir`, under its own path: it may then stand for the
 * checkpoint directory. It is the caller's to remove. */
weir_error *savepoint_pin(const char *checkpoint_dir, const struct checkpoint_metadata *metadata,
    const char *pin_dir) WEIR_MUST_USE;
/* Makes a savepoint under `root` out of what lies at `place`; *path, to be freed, is its directory. */
weir_error *savepoint_write(const struct scan_place *place,
    const struct checkpoint_metadata *metadata, const char *root, char **path) WEIR_MUST_USE;
/* Removes what writers under `root` left that are dead. Trouble is logged. */
void savepoint_sweep(const char *root, weir_str job);

/* Deletes a savepoint. WEIR_E_USAGE: it is something else, a checkpoint of a job for example, and stays. */
weir_error *savepoint_dispose(const char *path) WEIR_MUST_USE;

/* A savepoint, or a complete checkpoint, that somebody has named by its path. Thread: its owner. */
struct snapshot_dir {
    struct checkpoint_metadata metadata;
    bool is_savepoint;
    char *dir; /* what the paths of its files are relative to */
};
/* To be closed on success only. */
weir_error *snapshot_dir_open(const char *path, struct snapshot_dir *snapshot) WEIR_MUST_USE;
void snapshot_dir_close(struct snapshot_dir *snapshot);

#endif

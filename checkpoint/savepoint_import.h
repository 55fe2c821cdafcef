/* savepoint_import.h -- the way back: a savepoint becomes a checkpoint of the job that restores it.
 *
 *      savepoint (or a checkpoint of another job directory, or backend)
 *          | snapshot_dir_open, migration_plan     what becomes of what; refuses before anything is written
 *          | for each operator of each old subtask: entries -> a fresh backend of the job's class
 *          | its snapshot, staged files, items, counters
 *          v
 *      checkpoint_metadata, to be published like any other
 *
 * The old parallelism is kept: dealing it out to another one is what every restore does (restore.h). Only
 * another maximum parallelism is dealt with here, by computing each key's group again.
 *
 * So nothing behind it knows of savepoints: the job that is killed a second later resumes from its own
 * checkpoint, and the savepoint is read once and never needed again. It costs a second copy of the state,
 * which the job's directory would have to hold anyway.
 *
 * Thread: worker. Memory: as state_scan.h, and the same again for the backend. Prefixes: savepoint_ */
#ifndef WEIR_CHECKPOINT_SAVEPOINT_IMPORT_H
#define WEIR_CHECKPOINT_SAVEPOINT_IMPORT_H

#include "checkpoint/migration.h"

/* Thread: immutable after init. */
struct import_target {
    const char *checkpoint_dir; /* files go to its shared/ */
    const char *work_dir;
    uint64_t attempt;
    weir_str backend; /* format */
    uint32_t max_parallelism;
    const struct restore_expectation *expectations;
    uint32_t expectation_count;
    bool may_drop; /* --allow-non-restored-state */
};

/* What would become of each thing in it, for people, without doing anything; its files are not read. The
 * report has its lines also when the answer is an error. */
weir_error *savepoint_check(const char *path, const struct restore_expectation *expectations,
    uint32_t count, bool may_drop, weir_buffer *report) WEIR_MUST_USE;
/* `metadata` has no job and attempt yet, and the number of the savepoint: that of the checkpoint is to be higher,
 * because sinks name things by it; it is to be released on success only. What is not kept as it
 * is goes to the log. */
weir_error *savepoint_import(const char *path, const struct import_target *target,
    struct checkpoint_metadata *metadata) WEIR_MUST_USE;

#endif

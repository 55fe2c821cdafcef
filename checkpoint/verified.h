/* verified.h -- which files of a checkpoint need not be read once more when it is restored.
 *
 * Whoever stores a state file reads it whole, and says as what (state_file_identity). While it is that file, unchanged
 * since the machine was booted, a restore that follows the death of a process has nothing to learn from its bytes: to
 * read 1 GB takes 100 ms, most of the time that the job is away. What rots on the disk meanwhile is found by whoever
 * reads it, RocksDB sums up its blocks: the job ends, and the next start, which knows nothing, reads everything and
 * falls back to a checkpoint that is whole.
 *
 * Thread: its owner. */
#ifndef WEIR_CHECKPOINT_VERIFIED_H
#define WEIR_CHECKPOINT_VERIFIED_H

#include "checkpoint/format.h"

struct verified_file;

/* Zeroed: nothing is known. Thread: its owner. */
struct verified {
    struct arena arena;
    struct verified_file *files; /* by path */
    uint64_t count;
};

/* The files of this checkpoint whose identity is known, and no others. */
void verified_set(struct verified *verified, const struct checkpoint_metadata *metadata);
void verified_forget(struct verified *verified);
/* Gives files that are known their identities. */
void verified_tell(const struct verified *verified, struct checkpoint_metadata *metadata);

#endif

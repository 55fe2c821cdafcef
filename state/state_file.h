/* state_file.h -- files of snapshots: how they get into a checkpoint directory and are trusted again.
 *
 * A stored file is immutable and lies in <checkpoint_dir>/shared under a name that says what is in
 * it and who wrote it, so two attempts never write one name and storing twice is harmless:
 *
 *      <checksum, 16 hex digits>-<length>-<attempt>          3f…c1-1048576-7
 *      tmp-<attempt>-<random, 16 hex digits>                 while it is made; rubbish after a crash
 *
 * Storing: link (same file system) or copy under a temporary name, read it once for its checksum,
 * sync, rename. A file of the final name that is already there with the right length is kept.
 *
 * Whoever cleans shared/ may delete a file only when no complete checkpoint lists it and no snapshot
 * of its attempt is being written: a snapshot refers to files that an unconfirmed one has stored.
 *
 * Thread: worker (storing), any (the rest). Everything goes through base/os.h. */
#ifndef WEIR_STATE_STATE_FILE_H
#define WEIR_STATE_STATE_FILE_H

#include <weir/error.h>
#include <stdbool.h>
#include <stdint.h>

struct arena;
struct workers;

#define STATE_FILE_DIR "shared"

/* A file of a snapshot. Thread: immutable after init; memory belongs to the snapshot's arena. */
struct state_file {
    const char *name;  /* in the backend's own directory, "000012.sst" */
    const char *path;  /* where it is stored, relative to the job's checkpoint directory */
    uint64_t length;   /* bytes */
    uint64_t checksum; /* hash.h */
    bool is_verified;  /* this process has read it whole, and its checksum was right; not stored */
    /* As what it was read whole, by this process or one that says so (state_file_identity); 0: not known. Not stored */
    uint64_t identity;
};

/* What is in a file. Thread: its owner. */
struct state_content {
    uint64_t length, checksum;
};

/* Copies (or hard-links) a finished file into <checkpoint_dir>/shared under a name made of its
 * checksum, length and attempt, synced; a file of that name that is already there is kept. */
weir_error *state_file_store(const char *from, const char *checkpoint_dir, uint64_t attempt,
    const char *name, struct arena *arena, struct state_file *file) WEIR_MUST_USE;

/* The same in two parts, for many files: the first makes the directory, the second stores without
 * syncing it. Call state_file_begin, then _add for each, then _end, which makes the names durable. A writer who
 * has summed up what he wrote gives it as `known`; NULL: the file is read. */
weir_error *state_file_begin(const char *checkpoint_dir) WEIR_MUST_USE;
weir_error *state_file_add(const char *from, const struct state_content *known,
    const char *checkpoint_dir, uint64_t attempt, const char *name, struct arena *arena,
    struct state_file *file) WEIR_MUST_USE;
weir_error *state_file_end(const char *checkpoint_dir) WEIR_MUST_USE;

/* Length and checksum of a stored file as listed, or WEIR_E_CORRUPT naming it. One that is_verified is not
 * read again: whoever chooses the checkpoint reads all of its files, and a backend relies on that. */
weir_error *state_file_verify(const char *checkpoint_dir, const struct state_file *file)
    WEIR_MUST_USE;
/* The same for many of them, several at once if workers (may be NULL) have nothing else to do, and marks them. One whose
 * identity is that of another process's reading is not read again: it is the same file in the same machine's cache.
 * Behind the first that is broken the rest need not be read; of several errors, that of the first in the list. */
weir_error *state_files_verify(const char *checkpoint_dir, struct workers *workers,
    struct state_file *const *files, uint64_t count) WEIR_MUST_USE;
/* Which file it is on this machine until it boots again, unchanged since it was written: of its device, inode, length,
 * time of change and the boot. 0: it is not there, or nobody can tell. */
uint64_t state_file_identity(const char *checkpoint_dir, const struct state_file *file);
/* Its name is one of a file in a backend's directory, and does not lead elsewhere: WEIR_E_CORRUPT else. */
weir_error *state_file_check_name(const struct state_file *file) WEIR_MUST_USE;
/* Whether it is there with its length; the content is not read. An error: nobody can tell. */
weir_error *state_file_look(const char *checkpoint_dir, const struct state_file *file, bool *exists)
    WEIR_MUST_USE;
/* The same for whoever stores it again unless he is sure: false also when nobody can tell. */
bool state_file_exists(const char *checkpoint_dir, const struct state_file *file);
/* Brings a stored file to `to`: by hard link when `may_link`, which is for files that are never
 * written again, else (and when linking fails) as a copy. Not synced. */
weir_error *state_file_fetch(const char *checkpoint_dir, const struct state_file *file,
    const char *to, bool may_link) WEIR_MUST_USE;

/* A new temporary name in <checkpoint_dir>/shared. */
char *state_file_temporary(const char *checkpoint_dir, uint64_t attempt, struct arena *arena);
/* The attempt that wrote the file of this name (a stored or a temporary one); false: not ours. */
bool state_file_attempt(const char *file_name, uint64_t *attempt);

#endif

/* segment.h -- what has changed since the store's last snapshot, as files: a log in front of the store.
 *
 * A checkpoint must not wait until the store has taken in what the cache has collected. So the changes
 * themselves go into the checkpoint, as they are, and the store takes them in later:
 *
 *      checkpoint   =   the files of the store's last snapshot   +   the segments since then, in order
 *
 * A segment is one file, appended to from checkpoint to checkpoint, and sealed by the next one. It holds
 * lists of changes (changes.h), each behind a header:
 *
 *      OFFSET SIZE  MEANING
 *           0    8  SEGMENT_MAGIC
 *           8    8  bytes of the list, s
 *          16    8  rows
 *          24    8  cells
 *          32    8  cleared rows
 *          40    s  the list
 *
 * Numbers are in the byte order of the machine, like the lists. Lists are numbered, by the cache, and lie
 * in order; to apply some of them again, up to the last one, changes nothing.
 *
 * Prefixes: segment_
 * Thread: its owner. Limits: SEGMENT_LIST_MAX bytes a list; the owner drops what the store has. */
#ifndef WEIR_STATE_SEGMENT_H
#define WEIR_STATE_SEGMENT_H

#include "state/backend.h"
#include "state/changes.h"

#define SEGMENT_MAGIC    UINT64_C(0x3267657372696577) /* "weirseg2" */
#define SEGMENT_LIST_MAX (UINT64_C(1) << 36)

struct os_file;
struct checksum;

/* Thread: its owner. */
struct segment {
    char *name, *path;
    uint64_t last;                /* number of the last list in it */
    struct state_content content; /* its checksum is known when it is sealed */
    struct state_file stored;     /* path NULL: it is not; its strings are the segment's */
};

/* Thread: its owner. */
struct segment_log {
    char *directory, *checkpoint_dir;
    uint64_t attempt;
    struct segment *segments; /* in order; the last one may be open */
    uint32_t count, capacity;
    struct os_file *open;      /* NULL: none */
    struct checksum *checksum; /* of the open one so far: nobody needs to read it for that */
    uint64_t opened;           /* how many so far: names */
    uint64_t size;             /* bytes of all segments */
    bool is_broken; /* what is in there cannot be trusted: an append or a sync has failed */
};

void segment_log_init(struct segment_log *log, const struct backend_options *options);
void segment_log_release(struct segment_log *log); /* the files are left */

/* Where a list is. Thread: its owner. */
struct segment_place {
    uint64_t segment; /* the how manieth */
    uint64_t offset;
};

/* Appends a list, not synced. After an error the log is broken: only a snapshot of the store that has
 * everything helps, and segment_log_drop(log, UINT64_MAX) then. */
weir_error *segment_log_append(struct segment_log *log, uint64_t number,
    const struct changes *changes, struct segment_place *place) WEIR_MUST_USE;
/* Reads the bytes of an appended list back, into the buffer that it has if they fit. Until it is dropped, whatever has failed
 * since. Thread: any. */
weir_error *segment_log_read(const struct segment_log *log, struct segment_place place,
    struct changes *changes) WEIR_MUST_USE;
/* Brings what has been appended to the disk, ahead of storing it. After an error, of this or of storing, the log is
 * broken as after one of appending: what a sync could not write, the next one does not try again. */
weir_error *segment_log_sync(struct segment_log *log) WEIR_MUST_USE;
/* The next list starts a new segment. */
void segment_log_seal(struct segment_log *log);
/* Stores (state_file.h) the segments up to the list of this number, behind which the log was sealed, unless
 * they are stored already, and lists them behind the `*count` files in `files`, which has room for all. */
weir_error *segment_log_store(struct segment_log *log, uint64_t number, struct arena *arena,
    struct state_file *files, uint32_t *count) WEIR_MUST_USE;
/* Forgets the segments whose lists are all up to `number`. */
void segment_log_drop(struct segment_log *log, uint64_t number);

/* -- reading -------------------------------------------------------------------------------- */

bool segment_is_name(const char *name);
/* Gives each list of a file to `apply`, without the rows of other groups. WEIR_E_CORRUPT when it is no
 * segment or a list is not sound. */
typedef weir_error *segment_apply_fn(void *arg, const struct changes *changes);
weir_error *segment_replay(const char *path, struct group_range groups, segment_apply_fn *apply,
    void *arg) WEIR_MUST_USE;

/* Where segments are restored. Thread: immutable after init. */
struct segment_home {
    const char *directory, *checkpoint_dir;
    struct group_range groups;
};
/* Replays the segments among a source's files, which are listed in the order in which they must be. */
weir_error *segment_restore(const struct segment_home *home, const struct backend_source *source,
    segment_apply_fn *apply, void *arg) WEIR_MUST_USE;

#endif

/* state_scan.h -- the keyed state of one subtask, entry by entry, as records: from a checkpoint in whatever
 * backend it was written by, or from a savepoint. The program that wrote it is not needed.
 *
 *      checkpoint   the backend is restored into a work directory and scanned; records are cut out of the
 *                   structs by the description that the metadata has (state_schema.h)
 *      savepoint    the file of entries is read (savepoint_entry.h)
 *
 * Either way memory is bounded, by SCAN_MEMORY_SIZE and the largest entry, with the hashmap's own state on
 * top, which was in memory when it was written. Files are verified before they are believed.
 *
 * Thread: worker, or whoever may block. */
#ifndef WEIR_CHECKPOINT_STATE_SCAN_H
#define WEIR_CHECKPOINT_STATE_SCAN_H

#include "checkpoint/format.h"
#include "checkpoint/savepoint_entry.h"
#include "types/state_schema.h"

#define SCAN_MEMORY_SIZE ((uint64_t)64 << 20)

/* Valid during the callback. Thread: its stack's owner. */
struct scan_entry {
    const struct weir_state *state; /* NULL: a timer */
    bool is_list_end;
    struct savepoint_entry head;
    const struct weir_type *type; /* of the record: the state's, or list_end, or timer_value */
    const void *record;
};
typedef weir_error *scan_fn(void *arg, const struct scan_entry *entry);

/* Where stored state lies. Thread: immutable after init. */
struct scan_place {
    const char *dir;      /* what the paths of files are relative to */
    const char *work_dir; /* for a database's files; made if it is missing */
};

/* What the stored state of an operator is, decoded into the arena. WEIR_E_STATE: the checkpoint is of a
 * version of Weir that did not say. */
weir_error *scan_schema(const struct operator_snapshot *op, struct arena *arena,
    struct state_schema *schema) WEIR_MUST_USE;
/* Ends with the first error, of its own or of `each`. */
weir_error *state_scan(const struct scan_place *place, const struct operator_snapshot *op,
    scan_fn *each, void *arg) WEIR_MUST_USE;

#endif

/* restore.h -- which old snapshots a new subtask of an operator restores from.
 *
 * Keyed state: the old subtasks whose key groups overlap the new one's. Items and staged files: those
 * of all old subtasks (connector.h: each connector takes what it owns). Counters: summed into subtask
 * 0, by name.
 *
 * restore_check compares the whole plan with the metadata before anything starts and reports every
 * mismatch in one error: an operator with state in the checkpoint that the job no longer has, a
 * changed state schema (both printed), another backend, another max_parallelism. restore_check_whole looks at the
 * metadata alone: every subtask once, each with its share of the key groups, so none is missing and none is there twice.
 * Thread: any; the metadata outlives the views. */
#ifndef WEIR_CHECKPOINT_RESTORE_H
#define WEIR_CHECKPOINT_RESTORE_H

#include "checkpoint/format.h"

/* Thread: its holder. Views into the metadata; the arrays are in the arena given. */
struct operator_restore {
    struct backend_source *sources; /* overlapping keyed state */
    uint32_t source_count;
    struct weir_item *items; /* of all old subtasks */
    uint32_t item_count;
    struct state_file *staged; /* of all old subtasks */
    uint32_t *staged_subtasks;
    uint32_t staged_count;
    uint32_t old_parallelism; /* 0: the operator is not in the checkpoint */
};
void restore_operator(const struct checkpoint_metadata *metadata, weir_str uid,
    struct group_range groups, struct arena *arena, struct operator_restore *restore);
/* Sum over the old subtasks; 0 when absent. */
int64_t restore_counter(const struct checkpoint_metadata *metadata, weir_str uid, weir_str counter);

/* Thread: immutable after init. What the new job expects of one operator. */
struct restore_expectation {
    weir_str uid;
    weir_str backend; /* empty: no keyed state */
    uint64_t schema;
    weir_str schema_text;
    /* What a savepoint is converted to: */
    const struct weir_state *states;
    uint32_t state_count;
    struct weir_key key;
    bool has_timers;
};
weir_error *restore_check(const struct checkpoint_metadata *metadata,
    const struct restore_expectation *expectations, uint32_t count, uint32_t max_parallelism)
    WEIR_MUST_USE;
weir_error *restore_check_whole(const struct checkpoint_metadata *metadata) WEIR_MUST_USE;

#endif

/* migration.h -- does this job restore that savepoint, and what becomes of each thing in it?
 *
 * Operators are matched by uid, states by name, fields by id.
 *
 *      field      equal, or a wider integer takes the narrower      kept, converted
 *                 not stored: reads as zero                         new
 *                 not in the job any more                           dropped, and said
 *                 another kind                                      refused, both schemas printed
 *      TTL        its length may change; one in processing time may begin, for every entry at the restore;
 *                 any may end; a change of the clock it counts with is refused
 *      state      of another kind (value, list, map, reducing)      refused
 *                 not stored                                        new, starts empty
 *      key        other kinds of fields: other bytes                refused
 *      state or operator that the job no longer has                 refused, unless `may_drop`
 *                                                                   (--allow-non-restored-state)
 *
 * The plan is made before anything starts: all that is refused is in one error, and the report has a line
 * for each operator and each state, whether it is restored or asked about (explain, weir inspect).
 *
 * Thread: any. Prefixes: migration_ */
#ifndef WEIR_CHECKPOINT_MIGRATION_H
#define WEIR_CHECKPOINT_MIGRATION_H

#include "checkpoint/restore.h"
#include "types/state_schema.h"

/* What becomes of an operator of one subtask. Thread: immutable after init. */
struct migration_step {
    const struct restore_expectation *expected; /* NULL: it is dropped */
    int to[WEIR_STATES_MAX]; /* by stored number: the state's number in the job; -1: dropped */
};

/* `steps`, in the arena, has one for each operator of the metadata. `report` gets its lines also when
 * there is an error. */
weir_error *migration_plan(const struct checkpoint_metadata *stored,
    const struct restore_expectation *expectations, uint32_t count, bool may_drop,
    struct arena *arena, struct migration_step **steps, weir_buffer *report) WEIR_MUST_USE;

/* A record as the other type has it; strings are views of those in `from`. `to_type` can restore
 * `from_type` (schema_can_restore). */
void migration_record(const struct weir_type *from_type, const void *from,
    const struct weir_type *to_type, void *to);

#endif

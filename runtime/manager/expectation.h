/* expectation.h -- what a plan expects of the state that it is restored from: operators by uid, with their
 * keys and states. It is compared with checkpoints (checkpoint/restore.h) and savepoints
 * (checkpoint/migration.h) before anything starts.
 *
 * Prefixes: expectation_. Thread: any. */
#ifndef WEIR_MANAGER_EXPECTATION_H
#define WEIR_MANAGER_EXPECTATION_H

#include "checkpoint/restore.h"
#include "runtime/graph/plan.h"

/* Of every operator, in the arena. `backend`: the format of keyed state; outlives the list, like the plan. */
struct restore_expectation *expectation_list(const struct plan *plan, const char *backend,
    struct arena *arena, uint32_t *count);

#endif

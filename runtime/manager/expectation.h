/* expectation.h -- what a plan expects of the state that it is restored from: operators by uid, with their
 * keys and states. It is compared with checkpoints (checkpoint/restore.h) and savepoints
 * (checkpoint/migration.h) before anything starts.
 *
 * Prefixes: expectations_. Thread: any. */
#ifndef WEIR_MANAGER_EXPECTATION_H
#define WEIR_MANAGER_EXPECTATION_H

#include "checkpoint/restore.h"
#include "runtime/graph/plan.h"

/* Of every operator. Thread: immutable after init. */
struct expectations {
    struct restore_expectation *list;
    uint32_t count;
    struct arena arena;
};
/* `backend`: the format of keyed state; it and the plan outlive them. */
void expectations_init(struct expectations *it, const struct plan *plan, const char *backend);
void expectations_release(struct expectations *it);

#endif

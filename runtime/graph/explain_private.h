/* explain_private.h -- what the three ways to print a plan share: words, and the types in use.
 *
 * Thread: any; the plan is immutable. */
#ifndef WEIR_GRAPH_EXPLAIN_PRIVATE_H
#define WEIR_GRAPH_EXPLAIN_PRIVATE_H

#include "runtime/graph/plan.h"

const char *explain_kind(enum plan_operator_kind kind);   /* "source" "operator" "sink" */
const char *explain_output(enum plan_output_kind output); /* "main" "side" "dead-letters" */
const char *explain_time(enum weir_time time);            /* "event time" */
const char *explain_type(const struct weir_type *type);   /* its name, or "nothing" */

/* The connector of a source or sink; NULL for an operator. */
const char *explain_connector(const struct plan_operator *operator_);
/* The name of key field `index`, the event-time field. */
const char *explain_key_field(const struct weir_key *key, uint32_t index);
const char *explain_event_time_field(const struct plan_operator *operator_);
/* The side output's name of a target or edge; NULL: not a side output. */
const char *explain_target_side(const struct plan_operator *operator_,
    const struct plan_target *target);
const char *explain_edge_side(const struct plan *plan, uint32_t edge);

/* Calls `each` once for every type of the plan, in the order of first appearance. */
typedef void explain_type_fn(const struct weir_type *type, void *arg);
void explain_each_type(const struct plan *plan, explain_type_fn *each, void *arg);

#endif

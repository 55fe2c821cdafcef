/* plan_codec.h -- a plan as bytes, for a process that has no code of the job: the job manager of a cluster.
 *
 *      the job's program:  build -> plan -> plan_encode -> bytes
 *      the job manager:    bytes -> plan_decode -> explain, expectations, checkpoints
 *
 * What is data comes back: explain prints the same bytes, and the same is expected of a restored state. What is
 * code does not: no callback of an operator, of a state, of a connector, and no options or config of one. They
 * are NULL, so a decoded plan must never be run: the job's own executable does that, from a plan of its own with
 * the same fingerprint. (The fingerprint comes with the bytes: a decoder believes it, a worker compares it.)
 *
 * The bytes come over a network from others. What is decoded keeps the rules that plan_build would have
 * enforced as far as anybody can rely on them who only has the data: indices in range, vertices in topological
 * order and chains that are trees, each edge leaving once, types and keys sound, names unique. What follows from
 * the rest (numbers of subtasks, names of vertices, types of edges) is not in the bytes, so it cannot lie.
 * The format is in plan_codec.c.
 *
 * Prefixes: plan_. Thread: any. */
#ifndef WEIR_GRAPH_PLAN_CODEC_H
#define WEIR_GRAPH_PLAN_CODEC_H

#include "base/memory.h"
#include "runtime/graph/plan.h"

#define PLAN_SIZE_MAX ((size_t)16 << 20) /* encoded, bytes */
/* An arena with room for this much never aborts on what plan_decode takes. */
#define PLAN_DECODED_SIZE_MAX (16 * PLAN_SIZE_MAX)

/* Appended; `out` overflows if it has no room or the plan is larger than PLAN_SIZE_MAX. */
void plan_encode(const struct plan *plan, weir_buffer *out);

/* The plan lives in the arena; the bytes are not needed any more. WEIR_E_CORRUPT: no plan; WEIR_E_STATE: that
 * of a newer Weir. What has been allocated by then stays in the arena. */
weir_error *plan_decode(weir_str bytes, struct arena *arena, const struct plan **plan)
    WEIR_MUST_USE;

#endif

/* plan.h -- what will run: validated, chained, parallel; immutable.
 *
 *      builder (verbs of job.h)  ->  graph: nodes and edges as written  ->  plan
 *
 * The plan groups operators into vertices: operators of one vertex are chained, one subtask runs
 * them all by calls. Between vertices go edges, with a partitioner. Chaining follows Flink's
 * isChainable: same parallelism, one input edge downstream, same slot-sharing group, FORWARD,
 * upstream strategy not NEVER, downstream ALWAYS. A side output or dead-letter stream is an edge
 * of its own and is chained by the same rule.
 *
 * Slots: subtask i of every vertex of a slot-sharing group shares slot i of that group.
 *
 * plan_build checks everything and reports all mistakes in one error, a line each, naming
 * operators as the user wrote them: types that differ along an edge (both names), duplicate uid,
 * state or timers or counters without uid, a stateful operator on an unkeyed stream, a key of
 * another type, an operator without callbacks, a job without sources or sinks, parallelism out of
 * range, a source or sink whose options do not validate, names that are missing. (A cycle cannot
 * be written.)
 *
 * A plan that was decoded from bytes (plan_codec.h) is the same but for code, options and configs, which are NULL:
 * whoever manages a job may ask it for data only, and nobody may run it.
 *
 * Thread: immutable after plan_build; it outlives every task. */
#ifndef WEIR_GRAPH_PLAN_H
#define WEIR_GRAPH_PLAN_H

#include "types/partitioning.h"
#include <weir/job.h>

enum plan_operator_kind { PLAN_SOURCE, PLAN_OPERATOR, PLAN_SINK };

enum plan_output_kind { PLAN_OUTPUT_MAIN, PLAN_OUTPUT_SIDE, PLAN_OUTPUT_DEAD_LETTERS };

/* Where what an operator emits goes. One operator may have several targets for one output. */
struct plan_target {
    enum plan_output_kind output;
    uint32_t side; /* index into the operator's sides, PLAN_OUTPUT_SIDE */
    bool is_chained;
    uint32_t operator_; /* is_chained: index into the vertex's operators, larger than this one's */
    uint32_t edge;      /* else: index into the plan's edges */
};

struct plan_operator {
    enum plan_operator_kind kind;
    const char *uid;                /* never NULL; made from the name for stateless operators */
    const char *name;               /* for people, unique in the plan */
    const struct weir_operator *op; /* PLAN_OPERATOR */
    struct weir_source source;      /* PLAN_SOURCE */
    struct weir_sink sink;          /* PLAN_SINK */
    const void *config;
    const struct weir_type *in, *out; /* NULL: none */
    bool is_keyed;
    struct weir_key key;  /* of the input, is_keyed */
    bool has_keyed_state; /* states or timers: it gets a backend */
    bool has_event_time;  /* PLAN_SOURCE */
    uint32_t event_time_offset;
    int64_t out_of_orderness_ms;
    bool has_dead_letters;                /* connected */
    uint32_t dead_letters_per_second_max; /* 0: no limit */
    const struct plan_target *targets;
    uint32_t target_count;
};

struct plan_vertex {
    const char *name;                      /* "events -> clean -> dedupe": the operators */
    const struct plan_operator *operators; /* 0 is the head */
    uint32_t operator_count;
    uint32_t parallelism;
    uint32_t slot_group;
    uint32_t first_subtask; /* number of subtask 0 over the whole job */
    const uint32_t *in_edges;
    uint32_t in_edge_count;
    const uint32_t *out_edges;
    uint32_t out_edge_count;
};

struct plan_edge {
    uint32_t from_vertex, from_operator;
    enum plan_output_kind output;
    uint32_t to_vertex;
    enum partitioner_kind partitioner;
    struct weir_key key; /* PARTITIONER_KEY_GROUP */
    const struct weir_type *type;
};

struct plan {
    const char *job;
    uint64_t fingerprint; /* of names, uids, types, edges, parallelism */
    uint32_t max_parallelism;
    const struct plan_vertex *vertices; /* in topological order: inputs first */
    uint32_t vertex_count;
    const struct plan_edge *edges;
    uint32_t edge_count;
    const char *const *slot_groups;
    const uint32_t *slot_group_sizes; /* slots of each group: its largest parallelism */
    uint32_t slot_group_count;
    uint32_t subtask_count; /* over the whole job */
};

struct plan_options {
    const char *job;
    uint32_t parallelism;     /* of operators without their own */
    uint32_t max_parallelism; /* 0: the default; at most the limit */
    bool is_chaining_disabled;
};

/* The plan lives in the job's arena. */
weir_error *plan_build(weir_job *job, const struct plan_options *options, const struct plan **plan)
    WEIR_MUST_USE;
uint32_t plan_slot_count(const struct plan *plan); /* that all its tasks need */

/* -- plan_regions.c: which subtasks start again together.
 *
 * A region is what channels connect: two subtasks are in one when records can go from one to the other, over any
 * number of channels in any direction. What fails loses records on the way to and from it, so its region goes back
 * to a checkpoint as a whole; what is in other regions has nothing to do with it. FORWARD connects subtask i with
 * subtask i; every other partitioner connects all with all, so a job with a key_by between its sources and its sinks
 * is one region. (Flink's pipelined regions; all channels are pipelined here.)
 *
 * A region is named by its first subtask: regions[s] is that of subtask s. */
void plan_regions(const struct plan *plan, uint32_t *regions);
/* Makes one region of those that share a group: subtask s is in group groups[s] (a worker, say). */
void plan_regions_join(uint32_t *regions, uint32_t subtask_count, const uint32_t *groups);
uint32_t plan_region_count(const struct plan *plan);

/* -- explain*.c: the plan as text (for a terminal), JSON, or Graphviz dot, appended to `out`. The
 * same plan gives the same bytes.
 *
 * JSON, one object and a line feed; `?` may be null:
 *   job, fingerprint (16 hexadecimal digits), max_parallelism, subtasks, regions (how many)
 *   slot_groups[]: name, slots
 *   vertices[]: id (its index), name, parallelism, slot_group, first_subtask,
 *     operators[]: kind (source operator sink), name, uid, connector?, in?, out?,
 *       key?[] (field names; of a keyed input),
 *       states[]: name, kind (value list map reducing), type, ttl_ms (0: never), ttl_time?
 *       timers, sides[]: name, type; counters[],
 *       event_time?: field, out_of_orderness_ms; dead_letters?: per_second_max (0: no limit),
 *       chained[]: output (main side dead-letters), side?, operator (index in the vertex)
 *   edges[]: id, from: vertex, operator, output, side?; to (vertex), partitioner, key?[], type
 *   types[]: name, fields[]: id, name, kind (bool i32 u32 i64 u64 f64 string) */
void explain_text(const struct plan *plan, weir_buffer *out);
void explain_json(const struct plan *plan, weir_buffer *out);
void explain_dot(const struct plan *plan, weir_buffer *out);

#endif

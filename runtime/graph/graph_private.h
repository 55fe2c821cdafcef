/* graph_private.h -- the graph as written: what builder.c and stream.c make and plan*.c read.
 *
 *      node  --output-->  branch, branch, ...  =  stream  --verb-->  node
 *
 * A node is a source, an operator or a sink. A stream is a view: one or more branches, each an
 * output of a node and the way that its records travel on. key_by, rebalance, broadcast, side
 * output and union make a new stream and no node; a verb that makes a node copies the branches of
 * its input into the node, so edges live in the node they lead to.
 *
 * A verb needs its input first, so inputs have smaller indexes than what reads them: the order of
 * the nodes is topological, and no cycle can be written.
 *
 * Thread: the one that builds; immutable when plan_build has begun.
 * Prefixes: graph_, stream_, plan_ */
#ifndef WEIR_GRAPH_PRIVATE_H
#define WEIR_GRAPH_PRIVATE_H

#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"

#define GRAPH_NODES_MAX          1000u
#define GRAPH_EDGES_MAX          4000u
#define GRAPH_MISTAKES_MAX       40u  /* later ones are only counted */
#define GRAPH_NAME_SIZE_MAX      255u /* of names, uids and slot groups, bytes */
#define GRAPH_SLOT_GROUP_DEFAULT "default"

enum graph_routing { ROUTING_DEFAULT, ROUTING_REBALANCE, ROUTING_BROADCAST, ROUTING_KEY };

/* Thread: the builder's. */
struct graph_branch {
    struct graph_node *from;
    enum plan_output_kind output;
    uint32_t side; /* PLAN_OUTPUT_SIDE */
    enum graph_routing routing;
    struct weir_key key; /* ROUTING_KEY */
};

/* Thread: the builder's. */
struct graph_node {
    uint32_t index;
    enum plan_operator_kind kind;
    const char *name; /* as written; never NULL */
    const char *uid;  /* as written; NULL: none */
    const struct weir_operator *op;
    struct weir_source source;
    struct weir_sink sink;
    const void *config;
    uint32_t parallelism; /* 0: not said */
    enum weir_chaining chaining;
    const char *slot_group; /* NULL: not said */
    bool has_event_time;
    uint32_t event_time_offset;
    int64_t out_of_orderness_ms;
    bool has_dead_letters;
    uint32_t dead_letters_per_second_max;
    struct graph_branch *inputs;
    uint32_t input_count;
    bool has_broken_input; /* an earlier mistake: say nothing about its inputs */
    bool is_keyed;
    struct weir_key key;
};

/* Thread: the builder's. A broken stream (an earlier mistake) is accepted everywhere, in
 * silence. */
struct weir_stream {
    weir_job *job;
    struct graph_branch *branches;
    uint32_t branch_count;
    const struct weir_type *type; /* NULL: broken, or an operator that emits nothing */
    bool is_broken;
    bool is_keyed; /* all branches, by one key */
    struct weir_key key;
};

/* Thread: the builder's. */
struct weir_job {
    struct arena arena;
    const struct config *config; /* NULL: every option is unset */
    struct graph_node *nodes[GRAPH_NODES_MAX];
    uint32_t node_count;
    uint32_t edge_count;
    weir_error *mistakes[GRAPH_MISTAKES_MAX];
    uint32_t mistake_count; /* also those that were not kept */
};

/* Adds a WEIR_E_PLAN mistake: names the thing and the fix, no full stop. */
void job_mistake(weir_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "source 'clicks'", "operator 'clean'", "sink 'out'": how a mistake names a node. In the arena. */
const char *graph_label(weir_job *job, const struct graph_node *node);
/* The same with the output that is meant: "side output 'late' of operator 'clean'". */
const char *graph_branch_label(weir_job *job, const struct graph_branch *branch);
/* What travels on a branch; NULL: nothing. */
const struct weir_type *graph_branch_type(const struct graph_branch *branch);
const struct weir_type *graph_output_type(const struct graph_node *node);
/* What the node reads; NULL: anything, or nothing. */
const struct weir_type *graph_input_type(const struct graph_node *node);
/* Is there a connector, with options if it wants some? */
bool graph_has_options(const struct graph_node *node);
/* Of one schema and one layout; a type that is not sound equals every other. */
bool graph_types_equal(const struct weir_type *a, const struct weir_type *b);
bool graph_keys_equal(const struct weir_key *a, const struct weir_key *b);
/* A stream of the job without branches; a broken one has type NULL. */
weir_stream *stream_new(weir_job *job, uint32_t branch_count);
weir_stream *stream_broken(weir_job *job);
/* Has it no control characters? Names go into file names, terminals and Graphviz. */
bool graph_is_plain(const char *text);
/* The field of `type` at `offset`; NULL: none starts there. */
const struct weir_field *graph_field_at(const struct weir_type *type, size_t offset);

/* -- plan_validate.c: every rule that one node or the whole graph can break -> job_mistake. */
void plan_validate(weir_job *job, const struct plan_options *options);

/* -- plan.c -> plan_chain.c: a node with everything that was left open decided. */
struct plan_node {
    const struct graph_node *node;
    const char *name, *uid;
    uint32_t parallelism;
    const char *slot_group;
    bool is_chained; /* to its only input: same vertex */
    uint32_t vertex;
    uint32_t operator_; /* index in the vertex */
};
/* Fills vertices, edges, slot groups and targets. */
void plan_chain(weir_job *job, struct plan_node *nodes, struct plan *plan, bool is_disabled);
/* What follows from vertices, their operators and the edges, whoever made them: numbers of subtasks, sizes of
 * slot groups, the edges and the name of each vertex. */
void plan_chain_complete(struct arena *arena, struct plan *plan, struct plan_vertex *vertices);

#endif

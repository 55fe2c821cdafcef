/* chain.h -- the operators of one subtask, wired: contexts in the plan's order, head first.
 *
 * Building makes the contexts and their outputs; opening restores state and calls open from the last
 * operator to the first (so that nobody emits into something that is not open yet); closing goes the
 * other way round and always frees everything.
 *
 * Thread: task. Private to runtime/task. */
#ifndef WEIR_TASK_CHAIN_H
#define WEIR_TASK_CHAIN_H

#include "runtime/task/context.h"

/* Thread: task. */
struct chain {
    struct weir_ctx **contexts; /* as the vertex's operators */
    uint32_t count;
    struct partition **partitions; /* as the vertex's out_edges */
    uint32_t partition_count;
    struct arena scratch;
    struct arena memory; /* of contexts and targets */
};

/* What a chain is made from. Thread: immutable after init. */
struct chain_options {
    const struct plan *plan;
    uint32_t vertex, subtask;
    struct task *task;
    const struct task_host *host;
    struct partition **partitions;             /* taken: freed with the chain */
    const struct checkpoint_metadata *restore; /* NULL: fresh; outlives open */
};
void chain_init(struct chain *chain, const struct chain_options *options);
weir_error *chain_open(struct chain *chain, const struct checkpoint_metadata *restore)
    WEIR_MUST_USE;
void chain_close(struct chain *chain);

/* The first sticky error of any operator, with its name in front; takes it. */
weir_error *chain_error(struct chain *chain) WEIR_MUST_USE;
/* Event time and clock for all operators. Only the head can have timers: it alone is keyed. */
void chain_set_watermark(struct chain *chain, int64_t watermark_ms);
void chain_set_clock(struct chain *chain, int64_t now_ms);
/* on_finish of every operator, head first. */
void chain_finish(struct chain *chain);

bool chain_has_room(struct chain *chain);
void chain_flush(struct chain *chain);
bool chain_has_open(const struct chain *chain);
uint64_t chain_sent_size(const struct chain *chain); /* bytes, over all its edges */
weir_error *chain_event(struct chain *chain, enum element_kind kind, int64_t value) WEIR_MUST_USE;

/* The part of a snapshot that runs at the barrier; `parts` gets, for each operator with keyed state,
 * the frozen backend (count entries, NULL: none). On an error everything made so far is freed. */
weir_error *chain_snapshot(struct chain *chain, uint64_t checkpoint,
    struct subtask_snapshot *snapshot, struct backend_snapshot **parts) WEIR_MUST_USE;
weir_error *chain_checkpoint_complete(struct chain *chain, uint64_t checkpoint) WEIR_MUST_USE;
/* Checkpoints that sinks have not published yet. */
uint32_t chain_unpublished(struct chain *chain);

#endif

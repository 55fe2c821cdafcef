/* partitioning.h -- the ways records take from one operator to the next, by name.
 *
 * The plan chooses one for each edge, the exchange carries it out: both see only this.
 *
 *      forward     subtask i -> i          rebalance  round robin, a segment's worth at a time
 *      broadcast   every channel           key group  the subtask that owns the key's group
 *
 * Thread: any, immutable. Prefixes: partitioner_ */
#ifndef WEIR_TYPES_PARTITIONING_H
#define WEIR_TYPES_PARTITIONING_H

enum partitioner_kind {
    PARTITIONER_FORWARD,
    PARTITIONER_REBALANCE,
    PARTITIONER_BROADCAST,
    PARTITIONER_KEY_GROUP
};

/* Flink's names. */
static inline const char *partitioner_name(enum partitioner_kind kind)
{
    static const char *const names[] = { "FORWARD", "REBALANCE", "BROADCAST", "HASH" };
    return names[kind];
}

#endif

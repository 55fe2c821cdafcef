/* model.h -- random operations on backends against an array of every possible entry.
 *
 * Entries are put, edited, removed, rows cleared and iterated; snapshots are written late or on another
 * thread, thrown away, or fail; now and then everything is restored, with another number of subtasks or
 * the same. WEIR_TEST_SEED repeats a run; WEIR_TEST_LONG makes it longer. */
#ifndef WEIR_TEST_MODEL_H
#define WEIR_TEST_MODEL_H

#include "test/support/shelf.h"

struct model_options {
    const struct backend_class *verbs;
    const struct backend_class *other; /* restores change between both; NULL: always the same */
    uint64_t memory_size;              /* 0: as shelf.h */
    uint64_t steps;
    bool has_threads; /* snapshots are written on another thread */
    bool has_faults;  /* the store of a cache fails to take changes now and then */
};

/* Of all runs of this process. */
struct model_totals {
    uint64_t operations, snapshots, thrown_away;
    uint64_t restores; /* each loses what came after the snapshot, as a crash does */
    uint64_t restores_by_other, rescales;
    uint64_t evictions; /* times that a clock has gone over all rows of a cache */
};
extern struct model_totals model_totals;

/* Fails the test at the first difference. */
void model_run(const struct model_options *options);
/* Of this process; printed at the first call. */
uint64_t model_seed(void);
/* The name of entry or key `number`, in an order that is that of the numbers. */
weir_str model_name(uint32_t number, char bytes[16]);

#endif

/* sim_cache.h -- the write-back cache of state/cache.h with so little memory that it is always at work.
 *
 * The cache itself is the production one, with its flights, segments and evictions; behind it is the store of
 * sim_store.c, because RocksDB does its I/O on threads of its own. What a task manager gives a backend, 2 MiB at
 * least, would hold all that a seed ever knows: so each cache opens with a few KiB, and without the pool, from which
 * it would take more. How many is another number for each attempt and subtask, because what happens is another thing
 * when a cache has room for half of its rows than when it has room for none.
 *
 * What has happened is counted, by whoever sees it, since the last sim_cache_start.
 *
 * Prefixes: sim_cache_. Thread: one. */
#ifndef WEIR_TEST_SIM_CACHE_H
#define WEIR_TEST_SIM_CACHE_H

#include "state/backend.h"

/* Thread: one. */
struct sim_cache_counts {
    uint64_t opened;   /* caches */
    uint64_t segments; /* replayed when they were */
    uint64_t written;  /* rows, to stores */
    uint64_t returned; /* rows that were read from there, because they had left the memory */
    uint64_t bases;    /* snapshots of stores */
    uint64_t failed;   /* writes to stores */
};
extern struct sim_cache_counts sim_cache_counts;

/* For options that name a backend: what is opened is a backend_cache. */
extern const struct backend_class sim_cache;

void sim_cache_start(void);

#endif

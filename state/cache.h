/* cache.h -- inside of the write-back cache: rows in memory in front of a store.
 *
 *      cells        a row's entries that are in memory, one by one: value, or known to be absent
 *      store        another backend: what the cache does not have
 *
 * What is known of a cell, in its flags (the empty entry's are the row's value_flags):
 *
 *      DIRTY     the store has not got it: written by the next flush
 *      STORED    the store may have an entry of this name, so removing it must be written, too
 *      GONE      known to be absent: a miss that need not be repeated, or with DIRTY a removal
 *
 * What is known of a row, in its flags:
 *
 *      COMPLETE  a cell that is not here does not exist: each and misses need no store
 *      CLEARED   whatever the store has of it is to be deleted before its cells are written
 *      LARGE     too long to be loaded whole
 *
 *      dirty row -- freeze --> flight (changes, copied) -- write --> store -- snapshot --> files
 *                  task                               worker
 *
 * Flights, and who may touch what when: cache_flight.c. Eviction: cache_evict.c.
 *
 * Private to state/cache*. Thread: task, unless a comment says otherwise. Prefixes: cache_ */
#ifndef WEIR_STATE_CACHE_H
#define WEIR_STATE_CACHE_H

#include "state/changes.h"
#include "state/rows.h"

#include <pthread.h>
#include <stdatomic.h>

enum cell_flags { CELL_DIRTY = 1, CELL_STORED = 2, CELL_GONE = 4 };

#define ROW_COMPLETE   1u
#define ROW_CLEARED    2u
#define ROW_LARGE      4u
#define ROW_MISS_SHIFT 4u /* above it: single cells read from the store, at most 15 */

#define HEAT_MAX    3u
#define HEAT_BITS   2u
#define FLIGHTS_MAX 64u

/* Everything that one barrier, or one eviction, has frozen. Thread: under the cache's lock, but what
 * the task makes before it is queued, and what its owner does after it has been written. */
struct flight {
    struct cache *cache;
    struct changes changes;
    uint64_t number, checkpoint;
    bool is_wanted;                 /* a snapshot of the store is to be taken when it is written */
    bool is_written;                /* its changes are in the store */
    bool is_done;                   /* it has left the queue */
    weir_error *error;              /* taking that snapshot */
    struct backend_snapshot *inner; /* of the store */
    struct flight *next;
};

#define CACHE_FAILURES_MAX 8 /* in a row, before the store counts as broken */

/* Thread: task. */
struct cache {
    struct backend backend;
    struct backend *store;
    const struct backend_class *verbs; /* the store's */
    struct rows rows;
    uint64_t budget;    /* bytes */
    struct row **dirty; /* rows with something to write, in no order */
    uint32_t dirty_count, dirty_capacity;
    uint64_t hand; /* the eviction's, a slot */
    uint32_t era;  /* counts batches: see cache_evict.c */
    struct group_range groups;
    weir_error *failed;          /* an eviction could not write: the next verb says so */
    uint32_t failure_count;      /* snapshots in a row that the store refused; under the lock */
    _Atomic int broken;          /* code of a write that the store refused on a worker; 0: none */
    uint64_t frozen;             /* number of the last flight */
    _Atomic uint64_t written;    /* of the last one that is done; any thread reads it */
    pthread_mutex_t lock;        /* of the queue and of writing to the store */
    struct flight *first, *last; /* under the lock */
    struct waker *waker;         /* woken when a flight is done */
};

/* Memory to be given back, roughly. */
uint64_t cache_size(const struct cache *cache);

/* -- flights, cache_flight.c --------------------------------------------------------------------- */

/* Copies what is dirty in the row and makes it clean; false: nothing was. The list of dirty rows is the
 * caller's business. */
bool cache_freeze_row(struct cache *cache, struct flight *flight, struct row *row,
    const struct row_key *key);
struct flight *cache_flight_new(struct cache *cache);
void cache_flight_queue(struct cache *cache, struct flight *flight);
/* Writes what is queued and, unless it `takes_over`, no worker will write. False: something is left. */
bool cache_settle(struct cache *cache, bool takes_over, weir_error **error);
bool cache_has_flights(const struct cache *cache);
bool cache_is_pinned(const struct cache *cache, const struct row *row);
void cache_flights_release(struct cache *cache);

weir_error *cache_snapshot(struct backend *backend, uint64_t checkpoint,
    struct backend_snapshot **snapshot);
weir_error *cache_snapshot_write(struct backend_snapshot *snapshot, struct arena *arena,
    struct state_file **files, uint32_t *file_count);
void cache_snapshot_free(struct backend_snapshot *snapshot);

/* -- eviction, cache_evict.c --------------------------------------------------------------------- */

/* Brings the cache back to its budget, as far as flights let it. Pointers into rows end. */
void cache_evict(struct cache *cache);

#endif

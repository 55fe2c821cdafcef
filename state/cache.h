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
 *      FETCHED   read from the store before anybody asked, and nobody has since: cache_fetch.c
 *
 * What is known of a row, in its flags:
 *
 *      COMPLETE  a cell that is not here does not exist: each and misses need no store
 *      CLEARED   whatever the store has of it is to be deleted before its cells are written
 *      LARGE     too long to be loaded whole
 *
 *      dirty row -- freeze --> flight (changes, copied) -- log --> segment   the checkpoint has it
 *                  task                             \ worker
 *                                                    settle --> store         later, in large pieces
 *
 * Flights, and who may touch what when: cache_flight.c. Eviction: cache_evict.c.
 *
 * Private to state/cache*. Thread: task, unless a comment says otherwise. Prefixes: cache_ */
#ifndef WEIR_STATE_CACHE_H
#define WEIR_STATE_CACHE_H

#include "state/changes.h"
#include "state/row_filter.h"
#include "state/rows.h"
#include "state/segment.h"

#include <pthread.h>
#include <stdatomic.h>

enum cell_flags { CELL_DIRTY = 1, CELL_STORED = 2, CELL_GONE = 4, CELL_FETCHED = 8 };

#define ROW_COMPLETE   1u
#define ROW_CLEARED    2u
#define ROW_LARGE      4u
#define ROW_MISS_SHIFT 3u /* above it: single cells read from the store, at most 31 */

#define HEAT_MAX    3u
#define HEAT_BITS   2u
#define FLIGHTS_MAX 4096u /* in the queue */

#define FETCH_STATES 64u /* the operator's own */

/* A row with more is never loaded whole. */
#ifdef WEIR_DEBUG
#define LOAD_CELLS_MAX 30u /* tests have short rows, and see long ones, too */
#else
#define LOAD_CELLS_MAX 4096u
#endif
#define LOAD_SIZE_MAX (1u << 20)

/* Everything that one barrier, or one eviction, has frozen. Thread: task while it is made, then whoever
 * holds the locks that cache_flight.c names. */
struct flight {
    struct changes changes;
    uint64_t number;
    bool is_barrier;
    bool is_logged; /* a segment has it, and has its bytes if they are not here */
    struct segment_place place;
    struct flight *next;
};

/* A snapshot that is not written yet: everything up to a flight. Thread: task makes it, then worker. */
struct frozen {
    struct cache *cache;
    uint64_t number;
    uint64_t log_max;    /* bytes: a longer log is to be settled */
    struct frozen *next; /* under the cache's lock */
};

/* After so many failures in a row to write to the store it counts as broken. */
#define CACHE_FAILURES_MAX 6u

/* Rows with something to write, in no order. Thread: task. */
struct dirty_rows {
    struct row **rows;
    uint32_t count, capacity;
};

/* What is read ahead after a restore: cache_warm.c. WAITS: for the filter, for room among the workers' jobs, or for the
 * task to take the last piece in. */
enum warming_stage { WARMING_OVER, WARMING_WAITS, WARMING_READS, WARMING_HAS_READ };

/* Thread: task; while a worker reads the iterator, `read` and `is_through` are the worker's. */
struct warming {
    _Atomic int stage; /* enum warming_stage */
    struct backend_iterator *iterator;
    struct changes read, taken;
    const struct change_row *last; /* of `taken`, that the table has; NULL: none yet */
    bool is_through;               /* nothing is left to read */
};

/* Thread: task. */
struct cache {
    struct backend backend;
    struct backend *store;
    const struct backend_class *verbs; /* the store's */
    struct rows rows;
    uint64_t share;             /* bytes that it may always have */
    uint64_t budget;            /* bytes, more when others of the pool leave some */
    struct backend_pool *pool;  /* NULL: none */
    uint64_t pooled;            /* what the pool knows of it */
    uint64_t store_memory;      /* for the store's memtables: in the pool, too */
    struct dirty_rows dirty[2]; /* young ones and old ones: see cache_trickle */
    uint32_t young;             /* which is which */
    uint32_t young_seen;        /* young ones when it last looked */
    uint32_t again_count;       /* young ones that were frozen since the last turn began */
    uint64_t turned;            /* number of the last flight before that turn */
    int64_t turned_ms;          /* when the young ones became the old ones */
    bool is_past_barrier;       /* since cache_trickle looked at the clock */
    int64_t barrier_ms;         /* when it saw the last barrier, or the start; 0: not yet */
    int64_t planned_ms;         /* between two barriers in turn; 0: not known */
    int64_t interval_ms;        /* between the last two, if that is longer */
    struct flight *trickle;     /* what is frozen ahead of the barrier; NULL: nothing */
    uint64_t hand;              /* the eviction's: counts slots */
    uint64_t clean_to;          /* up to where it has written what was cold */
    uint32_t era;               /* counts batches: see cache_evict.c */
    struct group_range groups;
    weir_error *failed;       /* an eviction could not write: the next verb says so */
    uint64_t frozen;          /* number of the last flight */
    _Atomic uint64_t written; /* of the last one that the store has; any thread reads it */
    _Atomic uint64_t queued_size, queued_count; /* bytes in memory and flights of the queue */
    pthread_mutex_t lock;                       /* of the queue's links; never held for long */
    struct flight *first, *last;                /* under the lock */
    struct frozen *snapshots;                   /* not freed yet, in order; under the lock */
    bool is_base_due;                           /* a snapshot was in its way; under the lock */
    struct changes spare;                       /* a buffer for the next flight; under the lock */
    pthread_mutex_t log_lock; /* of the log and the base, and of taking a flight out of the queue */
    struct segment_log log;
    struct backend_snapshot
        *base;              /* of the store; has every flight that no segment has; NULL: none yet */
    uint32_t base_age;      /* snapshots written with it */
    uint64_t logged_size;   /* bytes ever */
    uint64_t logged_before; /* up to the last snapshot, or by the one that was restored */
    uint64_t growth;        /* of the log by the last snapshot, bytes */
    pthread_mutex_t store_lock;          /* of writing to the store: taken before log_lock */
    uint64_t base_count;                 /* numbers the store's snapshots; under store_lock */
    uint32_t failure_count;              /* in a row, of writing to the store; under store_lock */
    _Atomic int broken;                  /* code of the last of too many; 0: none */
    struct workers *workers;             /* NULL: none */
    atomic_bool is_settling, is_logging; /* a job for it has been submitted */
    atomic_bool is_settle_due;           /* one is to be, when there are changes */
    struct row_filter *filter;   /* of rows that the store may have; NULL: it may have any */
    struct row_filter *building; /* the worker's part of it */
    atomic_bool is_filter_sure, is_filter_useless, is_closing;
    uint32_t filter_asked, filter_new; /* since it was judged: questions; rows that were new */
    struct warming warming;
    bool has_dropped;              /* a row has left the memory */
    struct waker *waker;           /* woken when a flight is done */
    uint16_t credit[FETCH_STATES]; /* a state: how many values may be fetched ahead */
};

/* What counts against the budget. */
uint64_t cache_size(const struct cache *cache);
/* The same, told to the pool; sets the budget to what the others leave. */
uint64_t cache_look_at_pool(struct cache *cache);

/* -- fetching ahead ------------------------------------------------------------------------------ */

/* Whether it pays at present to look for rows of this state. */
bool cache_is_fetching(const struct cache *cache, uint32_t state);
/* For rows that will be used next: the values of those that are only in the store are read all at once. */
void cache_fetch(struct cache *cache, const struct row_key *rows, uint32_t row_count);
void cache_fetch_init(struct cache *cache);
/* A value was asked for that had to be read from the store, alone; or one that had been fetched. */
void cache_fetch_missed(struct cache *cache, uint32_t state);
void cache_fetch_used(struct cache *cache, uint32_t state, uint8_t *cell_flags);
/* Whether the store must be asked for the row's value. */
bool cache_lacks_value(struct cache *cache, const struct row_key *key);
/* What the store has of it; data NULL: nothing. */
void cache_learn_value(struct cache *cache, const struct row_key *key, weir_str value);

/* Everything that the store has of a row: what is in memory is newer. */
void cache_learn_row(struct cache *cache, const struct row_key *key, struct change_cells cells);

/* -- reading ahead after a restore, cache_warm.c ------------------------------------------------ */

void cache_warm_init(struct cache *cache, bool is_restored);
void cache_warm_release(struct cache *cache);
/* Once a batch, with no pointer held. */
void cache_warm(struct cache *cache);

/* -- dirty rows, cache.c ------------------------------------------------------------------------- */

/* Takes the row off its list; the last one there takes its place. */
void cache_unlist(struct cache *cache, struct row *row);
/* The row has another address than before. */
void cache_row_moved(struct cache *cache, struct row *row);

/* -- flights, cache_flight.c --------------------------------------------------------------------- */

/* Copies what is dirty in the row and makes it clean; false: nothing was. The list of dirty rows is the
 * caller's business. */
bool cache_freeze_row(struct cache *cache, struct flight *flight, struct row *row,
    const struct row_key *key);
struct flight *cache_flight_new(struct cache *cache);
/* Bytes up to which a log may grow before it is settled, in a cache of this size and budget: a restore is to have room
 * for it, and rows that soon have to leave must not wait for it, nor those that are written ahead of that. */
uint64_t cache_log_max(uint64_t size, uint64_t budget);
/* Once a batch: freezes some of what has been dirty for a while, so that little is left for the barrier. */
void cache_trickle(struct cache *cache, int64_t now_ms);
/* What has trickled so far is queued: flights are queued in the order of their numbers. */
void cache_trickle_end(struct cache *cache);
void cache_flight_queue(struct cache *cache, struct flight *flight);
/* True: the store has everything that is queued. Else a worker is asked to see to it; when there is none,
 * or `takes_over`, the caller writes it himself, unless a worker is at it. */
bool cache_settle(struct cache *cache, bool takes_over, weir_error **error);
bool cache_has_flights(const struct cache *cache);
bool cache_is_pinned(const struct cache *cache, const struct row *row);
/* By one of the flights behind this number, as far as their last 16 bits tell. */
static inline bool cache_is_frozen_since(const struct cache *cache, const struct row *row,
    uint64_t number)
{
    return (uint16_t)(row->frozen - number - 1) < (uint16_t)(cache->frozen - number);
}
void cache_flights_init(struct cache *cache, const struct backend_options *options);
void cache_flights_release(struct cache *cache);

weir_error *cache_snapshot(struct backend *backend, uint64_t checkpoint,
    struct backend_snapshot **snapshot);
weir_error *cache_snapshot_write(struct backend_snapshot *snapshot, struct arena *arena,
    struct state_file **files, uint32_t *file_count);
void cache_snapshot_free(struct backend_snapshot *snapshot);

/* -- the filter, cache_filter.c ------------------------------------------------------------------ */

void cache_filter_init(struct cache *cache, bool is_restored);
void cache_filter_release(struct cache *cache);
/* The row in this slot leaves the memory, and the store may have something of it. */
void cache_filter_note(struct cache *cache, const struct slot *slot);
/* For a row that is not in memory. True: the store has nothing of it. */
bool cache_filter_is_new(struct cache *cache, const struct row_key *key);
void cache_filter_prefetch(const struct cache *cache, const struct row_key *key);

/* -- restore, cache_restore.c -------------------------------------------------------------------- */

/* Bytes of a log that a restore takes into the table, not into the store. */
#define LOG_IN_CACHE(budget) ((budget) / 2)
/* The store with what the sources have but for their segments; those are for the open cache then. */
weir_error *cache_open_store(const struct backend_options *options,
    const struct backend_source *sources, uint32_t source_count, struct backend **store);
#define CACHE_ROWS_TOGETHER 64u
/* The next rows of a list behind `*last` (NULL: from its start), which it moves on, their keys with hashes; fewer than
 * CACHE_ROWS_TOGETHER: the list is over. Many at once, for each is a miss of the processor's cache. */
uint32_t cache_next_rows(const struct cache *cache, const struct changes *changes,
    const struct change_row **last, const struct change_row **found, struct row_key *keys);
weir_error *cache_replay(struct cache *cache, const struct backend_options *options,
    const struct backend_source *sources, uint32_t source_count);

/* -- eviction, cache_evict.c --------------------------------------------------------------------- */

/* Brings the cache back to its budget, as far as flights let it. Pointers into rows end. */
void cache_evict(struct cache *cache);

#endif

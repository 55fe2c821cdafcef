/* cache_flight.c -- what is dirty, on its way to the store: frozen by the task, written by a worker.
 *
 * A flight is a copy of everything dirty at a barrier. Freezing costs the task one copy; sorting,
 * writing and the store's own snapshot happen on the worker. Flights are numbered and written in order.
 *
 *      task                                       worker
 *   1  barrier n: dirty cells are copied into
 *      flight n and clean from here on; their
 *      rows are pinned; flight n is queued
 *   2  goes on; what it dirties now is for         lock; flights before n, then n: store.write_changes
 *      flight n + 1
 *   3  evicts clean rows that are not pinned       store.snapshot(n): has all up to n and nothing later
 *   4  sees `written` = n: pins of n are over,     written := n (release); unlock
 *      dirty rows may be evicted again
 *   5                                              store.snapshot_write(n): files are uploaded
 *
 * Why it is right:
 *
 *   a  A row of a queued flight is not evicted, because a read of it from the store would find what was
 *      there before the flight.
 *   b  While a flight is queued no dirty row is evicted: its write would get into the snapshot of a
 *      barrier that came before it, or be overwritten by the flight's older value.
 *   c  So only the owner of the lock writes to the store. The task does when no flight is queued, when
 *      none is wanted any more, or when it is far over its memory and no worker has begun: then it does
 *      the worker's steps 2 and 3 itself (cache_settle).
 *   d  A flight that could not be written, or whose snapshot was thrown away before, stays in the queue:
 *      the cells in it are clean in the cache, so it is the only place that knows they must be written.
 *      Whoever writes next starts with it. Writing one twice is harmless: same entries, same values.
 *   e  Several flights may wait at once; whoever writes a later one writes the earlier ones first and
 *      takes their snapshots of the store, each before the next flight is written.
 *   f  `written` is stored with release after the last access to the store and loaded with acquire by the
 *      task before it trusts the store again.
 *
 * A flight belongs to the queue until it is done and to its snapshot until that is freed; the last of
 * both frees it.
 *
 * Prefixes: cache_ */
#include "state/cache.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

/* -- freezing ------------------------------------------------------------------------------- */

/* Thread: task. */
struct freeze {
    struct changes *changes;
    bool is_complete;
};

/* True: the cell is not needed any more, because a complete row is sure without it. */
static bool freeze_cell(void *arg, struct entry *entry)
{
    const struct freeze *freeze = arg;
    if ((entry->flags & CELL_DIRTY) == 0)
        return false;
    if ((entry->flags & CELL_GONE) != 0) {
        changes_add(freeze->changes, entry_name(entry), (weir_str){ 0 });
        entry->flags = CELL_GONE;
        return freeze->is_complete;
    }
    changes_add(freeze->changes, entry_name(entry), entry_value(entry));
    entry->flags = CELL_STORED;
    return false;
}

static void freeze_value(struct freeze *freeze, struct row *row)
{
    if ((row->value_flags & CELL_DIRTY) == 0)
        return;
    if (row->value_size != ROW_VALUE_NONE) {
        changes_add(freeze->changes, WEIR_STR(""), row_value(row));
        row->value_flags = CELL_STORED;
    } else {
        changes_add(freeze->changes, WEIR_STR(""), (weir_str){ 0 });
        row->value_flags = freeze->is_complete ? 0 : CELL_GONE;
    }
}

bool cache_freeze_row(struct cache *cache, struct flight *flight, struct row *row,
    const struct row_key *key)
{
    struct freeze freeze = { .changes = &flight->changes,
        .is_complete = (row->flags & ROW_COMPLETE) != 0 };
    changes_begin(&flight->changes, key, (row->flags & ROW_CLEARED) != 0);
    freeze_value(&freeze, row);
    if (row->entries != NULL) {
        uint32_t cursor = 0;
        uint64_t before = row_size(row);
        while (entries_sweep_marked(row->entries, &cursor, freeze_cell, &freeze))
            continue;
        cache->rows.rows_size -= before - row_size(row);
        if (entries_count(row->entries) == 0)
            rows_free_entries(&cache->rows, row);
    }
    row->flags &= (uint8_t)~ROW_CLEARED;
    if (!changes_end(&flight->changes))
        return false;
    row->frozen = (uint16_t)flight->number;
    return true;
}

struct flight *cache_flight_new(struct cache *cache)
{
    struct flight *flight = mem_alloc(sizeof(*flight));
    flight->cache = cache;
    flight->number = ++cache->frozen;
    return flight;
}

void cache_flight_queue(struct cache *cache, struct flight *flight)
{
    pthread_mutex_lock(&cache->lock);
    if (cache->last == NULL)
        cache->first = flight;
    else
        cache->last->next = flight;
    cache->last = flight;
    pthread_mutex_unlock(&cache->lock);
}

bool cache_has_flights(const struct cache *cache)
{
    return atomic_load_explicit(&cache->written, memory_order_acquire) != cache->frozen;
}

bool cache_is_pinned(const struct cache *cache, const struct row *row)
{
    /* one of the flights behind `written`, up to `frozen`, by their last 16 bits */
    uint64_t written = atomic_load_explicit(&cache->written, memory_order_acquire);
    return (uint16_t)(row->frozen - written - 1) < (uint16_t)(cache->frozen - written);
}

/* -- writing, under the lock ------------------------------------------------------------------- */

static void free_flight(struct flight *flight)
{
    changes_release(&flight->changes);
    weir_error_free(flight->error);
    mem_free(flight);
}

/* The first flight has been dealt with. */
static void leave_queue(struct cache *cache)
{
    struct flight *flight = cache->first;
    cache->first = flight->next;
    if (cache->first == NULL)
        cache->last = NULL;
    flight->is_done = true;
    atomic_store_explicit(&cache->written, flight->number, memory_order_release);
    if (!flight->is_wanted)
        free_flight(flight);
    waker_wake(cache->waker);
}

/* Writes the queue up to this number. An error leaves the rest in the queue. */
static weir_error *write_up_to(struct cache *cache, uint64_t number)
{
    while (cache->first != NULL && cache->first->number <= number) {
        struct flight *flight = cache->first;
        if (!flight->is_written && flight->changes.row_count > 0)
            WEIR_TRY(cache->verbs->write_changes(cache->store, &flight->changes));
        flight->is_written = true;
        changes_release(&flight->changes);
        if (flight->is_wanted)
            flight->error =
                cache->verbs->snapshot(cache->store, flight->checkpoint, &flight->inner);
        leave_queue(cache);
    }
    return NULL;
}

bool cache_settle(struct cache *cache, bool takes_over, weir_error **error)
{
    *error = NULL;
    if (!cache_has_flights(cache))
        return true;
    if (pthread_mutex_trylock(&cache->lock) != 0)
        return false;
    bool is_wanted = false;
    for (const struct flight *flight = cache->first; flight != NULL; flight = flight->next)
        is_wanted |= flight->is_wanted;
    if (!is_wanted || takes_over)
        *error = write_up_to(cache, cache->frozen);
    bool is_settled = cache->first == NULL;
    pthread_mutex_unlock(&cache->lock);
    return is_settled;
}

void cache_flights_release(struct cache *cache)
{
    while (cache->first != NULL) {
        struct flight *flight = cache->first;
        ASSERT(!flight->is_wanted); /* every snapshot has been freed */
        cache->first = flight->next;
        free_flight(flight);
    }
    pthread_mutex_destroy(&cache->lock);
}

/* -- snapshots ------------------------------------------------------------------------------ */

static struct flight *flight_of(struct backend_snapshot *snapshot)
{
    return (struct flight *)(void *)snapshot;
}

/* Freezes everything. A row in the list whose cells have all become clean again adds nothing. */
static void freeze_all(struct cache *cache, struct flight *flight)
{
    enum { AHEAD = 8 };
    for (uint32_t i = 0; i < cache->dirty_count; i++) {
        if (i + AHEAD < cache->dirty_count)
            __builtin_prefetch(cache->dirty[i + AHEAD]);
        struct row *row = cache->dirty[i];
        DEBUG_ASSERT(row->dirty == i + 1);
        struct row_key key = { .key = row_key_bytes(row),
            .group = row->group,
            .state = row->state };
        cache_freeze_row(cache, flight, row, &key);
        row->dirty = 0;
    }
    cache->dirty_count = 0;
}

weir_error *cache_snapshot(struct backend *backend, uint64_t checkpoint,
    struct backend_snapshot **snapshot)
{
    struct cache *cache = (struct cache *)(void *)backend;
    weir_error *failed = cache->failed;
    *snapshot = NULL;
    cache->failed = NULL;
    WEIR_TRY(failed);
    if (cache->frozen - atomic_load_explicit(&cache->written, memory_order_acquire) >= FLIGHTS_MAX)
        return weir_errorf(WEIR_E_LIMIT,
            "%u snapshots of keyed state wait for the disk; make checkpoints rarer", FLIGHTS_MAX);
    struct flight *flight = cache_flight_new(cache);
    flight->checkpoint = checkpoint;
    flight->is_wanted = true;
    freeze_all(cache, flight);
    cache_flight_queue(cache, flight);
    *snapshot = (struct backend_snapshot *)(void *)flight;
    return NULL;
}

/* One failure may pass. Many in a row are a store that refuses for good, as RocksDB does after a write that
 * found the disk full: take_failure tells the task. + 1: a code may be 0. */
static void note_outcome(struct cache *cache, const weir_error *error)
{
    cache->failure_count = error == NULL ? 0 : cache->failure_count + 1;
    if (cache->failure_count >= CACHE_FAILURES_MAX)
        atomic_store_explicit(&cache->broken, (int)weir_error_code(error) + 1,
            memory_order_relaxed);
}

weir_error *cache_snapshot_write(struct backend_snapshot *snapshot, struct arena *arena,
    struct state_file **files, uint32_t *file_count)
{
    struct flight *flight = flight_of(snapshot);
    struct cache *cache = flight->cache;
    pthread_mutex_lock(&cache->lock);
    weir_error *error = write_up_to(cache, flight->number);
    if (error == NULL) {
        error = flight->error;
        flight->error = NULL;
    }
    note_outcome(cache, error);
    pthread_mutex_unlock(&cache->lock);
    if (error != NULL)
        return weir_error_wrap(error, "cannot write a snapshot of keyed state");
    return cache->verbs->snapshot_write(flight->inner, arena, files, file_count);
}

void cache_snapshot_free(struct backend_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    struct flight *flight = flight_of(snapshot);
    struct cache *cache = flight->cache;
    pthread_mutex_lock(&cache->lock);
    cache->verbs->snapshot_free(flight->inner);
    flight->inner = NULL;
    flight->is_wanted = false;
    if (flight->is_done)
        free_flight(flight);
    pthread_mutex_unlock(&cache->lock);
}

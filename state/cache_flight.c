/* cache_flight.c -- what is dirty, on its way: frozen by the task, logged for the checkpoint, and written to
 * the store when that is worth it.
 *
 * A flight is a copy of everything dirty at a barrier, of what has been dirty for a while before it, or of
 * what an eviction takes out. They are numbered, and both logged and written in order.
 *
 *      task                                       workers
 *   1  barrier n: dirty cells are copied into
 *      flight n and clean from here on; their
 *      rows are pinned; flight n is queued
 *   2  goes on; what it dirties now is for         snapshot n: flights up to n are appended to the log; the
 *      flight n + 1                                files of the base and the segments of the log are stored
 *   3  evicts clean rows that are not pinned       settle, now and then: flights are written to the store, in
 *                                                  order, and leave the queue: `written`; pins are over
 *   4                                              a new base is stored, and then taken: segments up to
 *                                                  there are dropped
 *
 * The base is a snapshot of the store. At any time
 *
 *      base + segments of the log + flights that are not logged   =   all that was frozen
 *
 * and that is all a checkpoint needs: the store may be ahead of its base, by what it took in later, which
 * is logged, too. Replaying a flight that the base has already is harmless as long as all later ones follow.
 *
 * Why it is right:
 *
 *   a  A row of a queued flight is not evicted, because a read of it from the store would find what was
 *      there before the flight.
 *   b  While a flight is queued no dirty row is evicted, because its flight would have to overtake.
 *   c  Only the holder of store_lock writes to the store and takes flights out of the queue, with log_lock
 *      for that: so whoever holds log_lock may walk over the queue. The task waits for neither of them: it
 *      tries, and goes on without (cache_settle).
 *   d  A flight that could not be written stays in the queue: the cells in it are clean in the cache, so
 *      it is the only place that knows they must be written. Writing one twice is harmless.
 *   e  A log that could not be written is broken. The next snapshot then brings the store up to date, takes
 *      it as its base, and starts the log anew.
 *   f  `written` is stored with release after the last access to the store and loaded with acquire by the
 *      task before it trusts the store again.
 *   g  A snapshot must have nothing from behind its barrier: a segment ends behind each barrier's flight, and
 *      no base is taken that is ahead of a snapshot that is not written yet.
 *
 * Prefixes: cache_ */
#include "state/cache.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/worker.h"

#include <stdlib.h>

/* The log is settled when a restore would take longer for it than it should, but not earlier: what is changed again
 * until then is written once, and the store's files are fewer and larger. See is_settle_due. */
#ifdef WEIR_DEBUG
#define LOG_MIN (UINT64_C(16) << 10) /* tests have less */
#define LOG_MAX (UINT64_C(64) << 10)
#else
#define LOG_MIN (UINT64_C(16) << 20)
#define LOG_MAX (UINT64_C(512) << 20)
#endif
#define LOG_AGE_MAX 8u /* snapshots */
/* See cache_trickle: ms, rows, rows a batch, rows. */
#ifdef WEIR_DEBUG
#define TRICKLE_MS   0
#define TRICKLE_MIN  4u
#define TRICKLE_STEP 2u
#define TRICKLE_LATE 64u
#else
#define TRICKLE_MS   250
#define TRICKLE_MIN  4096u
#define TRICKLE_STEP 64u
#define TRICKLE_LATE (UINT32_C(512) << 10) /* a quarter of a second to freeze */
#endif
/* What trickles is queued in pieces of this size, so that a buffer can be used again: touching new memory costs
 * more than copying into it. */
#define FLIGHT_SIZE           (UINT64_C(7) << 20)
#define SPARE_SIZE_MAX(share) ((share) / 8)
/* Flights that are written to the store together: a row that is in several is written once. */
#define TOGETHER_MAX    256u
#define TOGETHER_SIZE   (UINT64_C(128) << 20)
#define TOGETHER(share) ((share) / 4 < TOGETHER_SIZE ? (share) / 4 : TOGETHER_SIZE)

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
        while (entries_sweep_marked(row->entries, &cache->rows.slab, &cursor, freeze_cell, &freeze))
            continue;
        if (entries_count(row->entries) == 0)
            rows_free_entries(&cache->rows, row);
    }
    row->flags &= (uint8_t)~ROW_CLEARED;
    if (!changes_end(&flight->changes))
        return false;
    row->frozen = (uint16_t)flight->number;
    return true;
}

static void freeze_row(struct cache *cache, struct row *row, struct flight *flight)
{
    struct row_key key = { .key = row_key_bytes(row), .group = row->group, .state = row->state };
    cache_freeze_row(cache, flight, row, &key);
    row->dirty = 0;
}

/* Freezes up to `count` of the rows on a list, the last ones first. A row whose cells have all become clean
 * again adds nothing. What was changed a while ago is in no cache of the processor any more. */
static void freeze_rows(struct cache *cache, struct dirty_rows *list, uint32_t count,
    struct flight *flight)
{
    enum { AHEAD = 64 };
    uint32_t left = count < list->count ? list->count - count : 0;
    while (list->count > left) {
        uint32_t next = list->count - left < AHEAD ? left : list->count - AHEAD;
        rows_prefetch_found(list->rows + next, list->count - next);
        while (list->count > next)
            freeze_row(cache, list->rows[--list->count], flight);
    }
}

/* -- flights -------------------------------------------------------------------------------- */

struct flight *cache_flight_new(struct cache *cache)
{
    struct flight *flight = mem_alloc(sizeof(*flight));
    flight->number = ++cache->frozen;
    pthread_mutex_lock(&cache->lock);
    changes_give_room(&cache->spare, &flight->changes);
    pthread_mutex_unlock(&cache->lock);
    return flight;
}

static void free_flight(struct flight *flight)
{
    changes_release(&flight->changes);
    mem_free(flight);
}

bool cache_has_flights(const struct cache *cache)
{
    return atomic_load_explicit(&cache->written, memory_order_acquire) != cache->frozen;
}

bool cache_is_pinned(const struct cache *cache, const struct row *row)
{
    uint64_t written = atomic_load_explicit(&cache->written, memory_order_acquire);
    return cache_is_frozen_since(cache, row, written);
}

/* Buffers of flights that the store has, for the next ones that are read back from the log. Thread: holder of store_lock. */
struct rooms {
    struct changes of[TOGETHER_MAX];
    uint32_t count;
};

static void release_rooms(struct rooms *rooms)
{
    while (rooms->count > 0)
        changes_release(&rooms->of[--rooms->count]);
}

/* -- the queue ------------------------------------------------------------------------------ */

void cache_flight_queue(struct cache *cache, struct flight *flight)
{
    atomic_fetch_add(&cache->queued_size, flight->changes.capacity);
    atomic_fetch_add(&cache->queued_count, 1);
    pthread_mutex_lock(&cache->lock);
    if (cache->last == NULL)
        cache->first = flight;
    else
        cache->last->next = flight;
    cache->last = flight;
    pthread_mutex_unlock(&cache->lock);
}

/* The first one (NULL given) or the next; NULL: no more. The caller holds log_lock or store_lock. */
static struct flight *next_flight(struct cache *cache, const struct flight *flight)
{
    pthread_mutex_lock(&cache->lock);
    struct flight *next = flight == NULL ? cache->first : flight->next;
    pthread_mutex_unlock(&cache->lock);
    return next;
}

/* The store has the first flight. The caller holds store_lock. */
static void leave_queue(struct cache *cache, struct rooms *rooms)
{
    pthread_mutex_lock(&cache->log_lock);
    pthread_mutex_lock(&cache->lock);
    struct flight *flight = cache->first;
    cache->first = flight->next;
    if (cache->first == NULL)
        cache->last = NULL;
    pthread_mutex_unlock(&cache->lock);
    pthread_mutex_unlock(&cache->log_lock);
    atomic_fetch_sub(&cache->queued_size, flight->changes.capacity);
    atomic_fetch_sub(&cache->queued_count, 1);
    atomic_store_explicit(&cache->written, flight->number, memory_order_release);
    if (rooms->count < TOGETHER_MAX) {
        rooms->of[rooms->count] = (struct changes){ 0 };
        changes_give_room(&flight->changes, &rooms->of[rooms->count++]);
    }
    free_flight(flight);
    waker_wake(cache->waker);
}

/* -- the log -------------------------------------------------------------------------------- */

static void unload(struct cache *cache, struct flight *flight)
{
    atomic_fetch_sub(&cache->queued_size, flight->changes.capacity);
    pthread_mutex_lock(&cache->lock);
    if (cache->spare.bytes == NULL && flight->changes.capacity <= 2 * FLIGHT_SIZE &&
        flight->changes.capacity <= SPARE_SIZE_MAX(cache->share))
        changes_give_room(&flight->changes, &cache->spare);
    pthread_mutex_unlock(&cache->lock);
    changes_unload(&flight->changes);
}

/* For a flight that is written to the store. `rooms` may have none. */
static weir_error *load(struct cache *cache, struct flight *flight, struct rooms *rooms)
{
    if (flight->changes.bytes != NULL || flight->changes.size == 0)
        return NULL;
    if (rooms->count > 0)
        changes_give_room(&rooms->of[--rooms->count], &flight->changes);
    weir_error *error = segment_log_read(&cache->log, flight->place, &flight->changes);
    atomic_fetch_add(&cache->queued_size, flight->changes.capacity);
    return error;
}

static weir_error *log_flight(struct cache *cache, struct flight *flight)
{
    if (flight->is_logged || cache->log.is_broken)
        return NULL;
    WEIR_TRY(segment_log_append(&cache->log, flight->number, &flight->changes, &flight->place));
    cache->logged_size += flight->changes.size;
    flight->is_logged = true;
    unload(cache, flight);
    if (flight->is_barrier)
        segment_log_seal(&cache->log);
    return NULL;
}

/* The caller holds log_lock. */
static weir_error *log_up_to(struct cache *cache, uint64_t number)
{
    struct flight *flight = next_flight(cache, NULL);
    for (; flight != NULL && flight->number <= number; flight = next_flight(cache, flight))
        WEIR_TRY(log_flight(cache, flight));
    return NULL;
}

/* What a log that is given up has of the flights in the queue comes back into memory. */
static weir_error *unlog(struct cache *cache)
{
    struct flight *flight = NULL;
    struct rooms none = { .count = 0 };
    while ((flight = next_flight(cache, flight)) != NULL) {
        WEIR_TRY(load(cache, flight, &none));
        flight->is_logged = false;
    }
    return NULL;
}

/* The base has all up to `number`. The caller holds log_lock. */
static weir_error *shorten_log(struct cache *cache, uint64_t number)
{
    segment_log_seal(&cache->log);
    if (cache->log.is_broken)
        WEIR_TRY(unlog(cache));
    segment_log_drop(&cache->log, cache->log.is_broken ? UINT64_MAX : number);
    return NULL;
}

/* -- the store, under store_lock ------------------------------------------------------------- */

/* Only a store that is opened anew is sure to take writes again. */
static weir_error *refused(weir_error *error)
{
    return error == NULL ? NULL : weir_error_retriable(error);
}

/* The files of a base into the checkpoint directory. What retention deletes of them, because no checkpoint has
 * it yet, is stored again by the checkpoint. */
static weir_error *store_base(struct cache *cache, struct backend_snapshot *base)
{
    struct arena arena;
    struct state_file *files;
    uint32_t count;
    arena_init(&arena, 4096, SIZE_MAX / 2);
    weir_error *error = cache->verbs->snapshot_write(base, &arena, &files, &count);
    arena_release(&arena);
    return error;
}

/* The store has all up to `number` in this base; takes it. */
static weir_error *replace_base(struct cache *cache, uint64_t number, struct backend_snapshot *base)
{
    struct backend_snapshot *unused = base;
    pthread_mutex_lock(&cache->log_lock);
    weir_error *error = shorten_log(cache, number);
    if (error == NULL) {
        unused = cache->base;
        cache->base = base;
        cache->base_age = 0;
    }
    pthread_mutex_unlock(&cache->log_lock);
    cache->verbs->snapshot_free(unused);
    return error;
}

/* What the store has now becomes the base, unless a snapshot waits that must not have all of it: false, and
 * whoever frees that one asks again. `is_ahead`: no checkpoint waits for it. Then its files are stored before, for
 * that may take seconds, while checkpoints go on with the old one. */
static weir_error *take_base(struct cache *cache, bool is_ahead, bool *is_taken)
{
    struct backend_snapshot *base;
    uint64_t written = atomic_load(&cache->written);
    pthread_mutex_lock(&cache->lock);
    *is_taken = cache->snapshots == NULL || written <= cache->snapshots->number;
    cache->is_base_due = !*is_taken;
    pthread_mutex_unlock(&cache->lock);
    if (!*is_taken)
        return NULL;
    WEIR_TRY(refused(cache->verbs->snapshot(cache->store, ++cache->base_count, &base)));
    weir_error *error = is_ahead ? FAULT_STEP(BASE_STORE, store_base(cache, base)) : NULL;
    if (error == NULL)
        return replace_base(cache, written, base);
    cache->verbs->snapshot_free(base);
    return error;
}

/* Before anything is written there can be no snapshot that must not have it. */
static weir_error *take_first_base(struct cache *cache)
{
    bool is_taken = true;
    WEIR_TRY(cache->base == NULL ? take_base(cache, false, &is_taken) : NULL);
    ASSERT(is_taken);
    return NULL;
}

/* The next flights that are written together, none later than `number`: logged, as far as the log can, and
 * loaded. */
static weir_error *gather(struct cache *cache, uint64_t number, const struct changes **lists,
    uint32_t *count, struct rooms *rooms)
{
    uint64_t size = 0;
    weir_error *error = NULL;
    struct flight *flight = next_flight(cache, NULL);
    *count = 0;
    pthread_mutex_lock(&cache->log_lock);
    while (flight != NULL && error == NULL && flight->number <= number && *count < TOGETHER_MAX &&
           size < TOGETHER(cache->share)) {
        weir_error_free(
            log_flight(cache, flight)); /* broken: the next snapshot mends it, or tells why not */
        error = load(cache, flight, rooms);
        lists[(*count)++] = &flight->changes;
        size += flight->changes.size;
        flight = next_flight(cache, flight);
    }
    pthread_mutex_unlock(&cache->log_lock);
    return error;
}

static weir_error *write_queue(struct cache *cache, uint64_t number, struct rooms *rooms)
{
    const struct changes *lists[TOGETHER_MAX];
    uint32_t count;
    for (;;) {
        WEIR_TRY(gather(cache, number, lists, &count, rooms));
        if (count == 0)
            return NULL;
        WEIR_TRY(refused(
            FAULT_STEP(STORE_WRITE, cache->verbs->write_changes(cache->store, lists, count))));
        for (uint32_t i = 0; i < count; i++)
            leave_queue(cache, rooms);
    }
}

/* Writes the queue up to this number. An error leaves the rest in the queue. */
static weir_error *write_up_to(struct cache *cache, uint64_t number)
{
    struct rooms rooms = { .count = 0 };
    WEIR_TRY(take_first_base(cache));
    weir_error *error = write_queue(cache, number, &rooms);
    release_rooms(&rooms);
    return error;
}

/* Of writing to the store; true: so many in a row that it must be opened anew. The caller holds store_lock. */
static bool count_failure(struct cache *cache, const weir_error *error)
{
    cache->failure_count = error == NULL ? 0 : cache->failure_count + 1;
    return cache->failure_count >= CACHE_FAILURES_MAX;
}

/* One failure may pass. Several in a row are a store that refuses for good, as RocksDB does after a write
 * that found the disk full: take_failure tells the task. + 1: a code may be 0. */
static void note_outcome(struct cache *cache, weir_error *error)
{
    bool is_refusing = count_failure(cache, error);
    if (error == NULL)
        return;
    log_warn("state", "keyed state is not written to its store, but kept in memory: %s",
        weir_error_message(error));
    if (is_refusing)
        atomic_store_explicit(&cache->broken, (int)weir_error_code(error) + 1,
            memory_order_relaxed);
    weir_error_free(error);
}

/* A new base is worth its files, for a store that is up to date. */
static bool is_base_old(struct cache *cache)
{
    pthread_mutex_lock(&cache->log_lock);
    bool is_due =
        cache->log.size >= LOG_MIN || cache->base_age >= LOG_AGE_MAX || cache->log.is_broken;
    pthread_mutex_unlock(&cache->log_lock);
    return is_due;
}

/* A log is as long as that, or as old, or has what LOG_AGE_MAX snapshots add at the present rate, as one that a restore has
 * replayed has in a job at rest. */
static bool is_settle_due(struct cache *cache, uint64_t log_max)
{
    pthread_mutex_lock(&cache->log_lock);
    uint64_t size = cache->log.size;
    bool is_long = size >= log_max || size / LOG_AGE_MAX >= cache->growth;
    bool is_due = (size >= LOG_MIN && is_long) || cache->base_age >= LOG_AGE_MAX ||
                  cache->log.is_broken || atomic_load(&cache->queued_count) >= FLIGHTS_MAX / 2;
    pthread_mutex_unlock(&cache->log_lock);
    return is_due;
}

/* The number of the last flight that is queued now. */
static uint64_t last_queued(struct cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    uint64_t number = cache->last == NULL ? 0 : cache->last->number;
    pthread_mutex_unlock(&cache->lock);
    return number;
}

/* What is queued meanwhile is left for the next time: a task that is as fast as the disk would never let this one end,
 * and the log would grow to all of the state. Thread: worker. */
static void settle(void *arg)
{
    struct cache *cache = arg;
    atomic_store(&cache->is_settling, false);
    if (atomic_load(&cache->is_closing))
        return;
    pthread_mutex_lock(&cache->store_lock);
    bool is_taken;
    weir_error *error = FAULT_STEP(STORE_SETTLE, write_up_to(cache, last_queued(cache)));
    if (error == NULL && !atomic_load(&cache->is_closing) && is_base_old(cache))
        error = take_base(cache, true, &is_taken);
    if (error != NULL && atomic_load(&cache->is_closing))
        weir_error_free(error);
    else
        note_outcome(cache, error);
    pthread_mutex_unlock(&cache->store_lock);
}

/* One cache at a time, in the whole process: checkpoints need the other workers. */
static const char settle_lane;

/* False: there is no worker for it. */
static bool ask_to_settle(struct cache *cache)
{
    if (cache->workers == NULL)
        return false;
    if (atomic_exchange(&cache->is_settling, true))
        return true;
    if (!workers_submit(cache->workers, &settle_lane, settle, cache))
        atomic_store(&cache->is_settling, false); /* too much waits: the next one asks again */
    return true;
}

bool cache_settle(struct cache *cache, bool takes_over, weir_error **error)
{
    *error = NULL;
    if (!cache_has_flights(cache))
        return true;
    if (!takes_over && ask_to_settle(cache))
        return false;
    if (pthread_mutex_trylock(&cache->store_lock) != 0)
        return false;
    bool is_free = pthread_mutex_trylock(&cache->log_lock) == 0;
    if (is_free) {
        is_free =
            !cache->log.is_broken; /* what is written unlogged a waiting snapshot would not have */
        pthread_mutex_unlock(&cache->log_lock);
    }
    if (is_free)
        *error = write_up_to(cache, cache->frozen);
    pthread_mutex_unlock(&cache->store_lock);
    return !cache_has_flights(cache);
}

/* What a snapshot has found worth settling, as soon as there are changes after it: behind a job's last checkpoint
 * there are none, and it would not be of use to anybody. */
static void settle_if_due(struct cache *cache)
{
    if (!atomic_load_explicit(&cache->is_settle_due, memory_order_relaxed) ||
        cache->dirty[0].count + cache->dirty[1].count == 0)
        return;
    atomic_store(&cache->is_settle_due, false);
    ask_to_settle(cache);
}

/* -- trickling ------------------------------------------------------------------------------ */

/* Thread: worker. */
static void log_ahead(void *arg)
{
    struct cache *cache = arg;
    atomic_store(&cache->is_logging, false);
    if (atomic_load(&cache->is_closing))
        return;
    pthread_mutex_lock(&cache->log_lock);
    weir_error *error = log_up_to(cache, UINT64_MAX);
    if (error == NULL)
        error = segment_log_sync(&cache->log);
    pthread_mutex_unlock(&cache->log_lock);
    weir_error_free(error); /* broken: the next snapshot mends it, or tells why not */
}

void cache_trickle_end(struct cache *cache)
{
    if (cache->trickle == NULL)
        return;
    cache_flight_queue(cache, cache->trickle);
    cache->trickle = NULL;
    if (cache->workers == NULL || atomic_exchange(&cache->is_logging, true))
        return;
    if (!workers_submit(cache->workers, &cache->log, log_ahead, cache))
        atomic_store(&cache->is_logging, false); /* too much waits: it is logged later */
}

/* When the last barrier was, or the start, and how far off the next one is then. */
static void look_at_barrier(struct cache *cache, int64_t now_ms)
{
    if (cache->barrier_ms > 0 && !cache->is_past_barrier)
        return;
    if (cache->barrier_ms > 0) {
        int64_t passed = now_ms > cache->barrier_ms ? now_ms - cache->barrier_ms : 0;
        cache->interval_ms = passed > cache->planned_ms ? passed : cache->planned_ms;
    }
    cache->barrier_ms = now_ms;
    cache->is_past_barrier = false;
}

/* So much is dirty that a barrier out of turn, as a savepoint is, would take too long. What was frozen a moment ago
 * and is dirty again is changed all the time: to freeze it once more would not help. */
static bool is_late(const struct cache *cache)
{
    return cache->dirty[cache->young].count >= (uint64_t)TRICKLE_LATE + cache->again_count;
}

/* For half the time to the next barrier nothing is frozen, because most of it would be changed and frozen again
 * before it comes. The other half is enough: what takes half of it to become dirty is frozen in a quarter of it, and
 * so on: rows that are changed all the time are frozen with each turn, in vain with each but the last. When the next
 * barrier comes is not known: in as long a time as the last one is past; and so it is when it does not come. */
static bool is_due(const struct cache *cache, int64_t now_ms)
{
    int64_t passed = now_ms - cache->barrier_ms, rested = now_ms - cache->turned_ms;
    int64_t half = llabs(cache->interval_ms - passed) / 2;
    if (passed < 0 || rested < 0)
        return true; /* the clock was set */
    if (is_late(cache))
        return rested >= TRICKLE_MS;
    return passed >= cache->interval_ms / 2 && rested >= (half > TRICKLE_MS ? half : TRICKLE_MS);
}

/* True: the old rows are all frozen, and the young ones are old now. */
static bool turn(struct cache *cache, int64_t now_ms)
{
    look_at_barrier(cache, now_ms);
    if (!is_due(cache, now_ms) || cache->dirty[cache->young].count < TRICKLE_MIN ||
        atomic_load_explicit(&cache->queued_size, memory_order_relaxed) > cache->budget / 8)
        return false;
    cache->young ^= 1;
    cache->young_seen = 0;
    cache->again_count = 0;
    cache->turned = cache->frozen;
    cache->turned_ms = now_ms;
    return true;
}

/* Dirty rows are young for TRICKLE_MS at least, and then old until they are frozen, some with each batch:
 * twice as many as become dirty meanwhile, so that they are through before the next turn. A row that is
 * changed all the time is frozen once a turn, not with every change. */
void cache_trickle(struct cache *cache, int64_t now_ms)
{
    settle_if_due(cache);
    struct dirty_rows *old = &cache->dirty[!cache->young];
    if (old->count == 0) {
        cache_trickle_end(cache);
        if (!turn(cache, now_ms))
            return;
        old = &cache->dirty[!cache->young];
    }
    uint32_t young = cache->dirty[cache->young].count;
    uint32_t grown = young > cache->young_seen ? young - cache->young_seen : 0;
    cache->young_seen = young;
    if (cache->trickle == NULL)
        cache->trickle = cache_flight_new(cache);
    freeze_rows(cache, old, TRICKLE_STEP + 2 * grown, cache->trickle);
    if (cache->trickle->changes.size >= FLIGHT_SIZE)
        cache_trickle_end(cache);
}

void cache_flights_init(struct cache *cache, const struct backend_options *options)
{
    cache->workers = options->workers;
    cache->planned_ms = cache->interval_ms = options->checkpoint_interval_ms;
    segment_log_init(&cache->log, options);
    ASSERT(pthread_mutex_init(&cache->lock, NULL) == 0);
    ASSERT(pthread_mutex_init(&cache->log_lock, NULL) == 0);
    ASSERT(pthread_mutex_init(&cache->store_lock, NULL) == 0);
}

void cache_flights_release(struct cache *cache)
{
    ASSERT(cache->snapshots == NULL);
    if (cache->workers != NULL) {
        workers_drain(cache->workers, &cache->log);
        workers_withdraw(cache->workers, settle, cache);
        cache->workers = NULL; /* nothing is to be submitted any more */
    }
    cache_trickle_end(cache);
    while (cache->first != NULL) {
        struct flight *flight = cache->first;
        cache->first = flight->next;
        free_flight(flight);
    }
    changes_release(&cache->spare);
    cache->verbs->snapshot_free(cache->base);
    segment_log_release(&cache->log);
    pthread_mutex_destroy(&cache->lock);
    pthread_mutex_destroy(&cache->log_lock);
    pthread_mutex_destroy(&cache->store_lock);
}

/* -- snapshots ------------------------------------------------------------------------------ */

static struct frozen *frozen_of(struct backend_snapshot *snapshot)
{
    return (struct frozen *)(void *)snapshot;
}

static void link_frozen(struct frozen *frozen)
{
    pthread_mutex_lock(&frozen->cache->lock);
    struct frozen **end = &frozen->cache->snapshots;
    while (*end != NULL)
        end = &(*end)->next;
    *end = frozen;
    pthread_mutex_unlock(&frozen->cache->lock);
}

/* True: a base waits for this. */
static bool unlink_frozen(struct frozen *frozen)
{
    pthread_mutex_lock(&frozen->cache->lock);
    struct frozen **at = &frozen->cache->snapshots;
    while (*at != frozen)
        at = &(*at)->next;
    *at = frozen->next;
    bool is_due = frozen->cache->is_base_due;
    frozen->cache->is_base_due = false;
    pthread_mutex_unlock(&frozen->cache->lock);
    return is_due;
}

uint64_t cache_log_max(uint64_t size, uint64_t budget)
{
    uint64_t replayed = LOG_IN_CACHE(budget);
    if (size > budget - budget / 4)
        return LOG_MIN;
    return LOG_MAX < replayed ? LOG_MAX : replayed;
}

weir_error *cache_snapshot(struct backend *backend, uint64_t checkpoint,
    struct backend_snapshot **snapshot)
{
    struct cache *cache = (struct cache *)(void *)backend;
    weir_error *failed = cache->failed;
    (void)checkpoint; /* flights have numbers of their own */
    *snapshot = NULL;
    cache->failed = NULL;
    WEIR_TRY(failed);
    if (atomic_load(&cache->queued_count) >= FLIGHTS_MAX)
        return weir_errorf(WEIR_E_LIMIT,
            "%u changes of keyed state wait for the disk: it is too slow", FLIGHTS_MAX);
    cache_trickle_end(cache);
    struct flight *flight = cache_flight_new(cache);
    struct frozen *frozen = mem_alloc(sizeof(*frozen));
    *frozen = (struct frozen){ .cache = cache,
        .number = flight->number,
        .log_max = cache_log_max(cache_size(cache), cache->budget) };
    flight->is_barrier = true;
    cache->is_past_barrier = true;
    freeze_rows(cache, &cache->dirty[0], UINT32_MAX, flight);
    freeze_rows(cache, &cache->dirty[1], UINT32_MAX, flight);
    cache->again_count = 0;
    link_frozen(frozen);
    cache_flight_queue(cache, flight);
    *snapshot = (struct backend_snapshot *)(void *)frozen;
    return NULL;
}

/* The store is brought up to date, and the log begins anew. The caller holds store_lock. */
static weir_error *mend_log(struct cache *cache, uint64_t number)
{
    bool is_taken;
    WEIR_TRY(write_up_to(cache, number));
    WEIR_TRY(take_base(cache, false, &is_taken));
    return is_taken
               ? NULL
               : weir_errorf(WEIR_E_IO, "the log of keyed state could not be written; the next "
                                        "checkpoint begins it anew");
}

/* Of a store that refuses to write: the checkpoint is declined, and the next one tries again; what it would
 * have taken in waits in memory. Several times in a row the store must be opened anew: the error stays
 * retriable, and fails the task. The caller holds store_lock. */
static weir_error *bear(struct cache *cache, weir_error *error)
{
    if (count_failure(cache, error) || error == NULL)
        return error;
    weir_error *borne = weir_errorf(weir_error_code(error), "%s", weir_error_message(error));
    weir_error_free(error);
    return borne;
}

/* Sees to it that there is a base, and a log that can be trusted. */
static weir_error *prepare(struct cache *cache, uint64_t number)
{
    pthread_mutex_lock(&cache->log_lock);
    bool is_broken = cache->log.is_broken;
    bool is_ready = cache->base != NULL && !is_broken;
    pthread_mutex_unlock(&cache->log_lock);
    if (is_ready)
        return NULL;
    pthread_mutex_lock(&cache->store_lock);
    weir_error *error = is_broken ? mend_log(cache, number) : take_first_base(cache);
    error = bear(cache, error);
    pthread_mutex_unlock(&cache->store_lock);
    return error;
}

/* The caller holds log_lock. */
static weir_error *store(struct cache *cache, uint64_t number, struct arena *arena,
    struct state_file **files, uint32_t *file_count)
{
    struct state_file *of_base;
    WEIR_TRY(log_up_to(cache, number));
    if (cache->log.is_broken || cache->base == NULL)
        return weir_errorf(WEIR_E_IO, "the log of keyed state could not be written a moment ago");
    WEIR_TRY(cache->verbs->snapshot_write(cache->base, arena, &of_base, file_count));
    *files = arena_alloc(arena, (*file_count + cache->log.count) * sizeof(**files));
    memcpy(*files, of_base, *file_count * sizeof(**files));
    WEIR_TRY(segment_log_store(&cache->log, number, arena, *files, file_count));
    cache->base_age++;
    cache->growth =
        cache->logged_size < cache->logged_before ? 0 : cache->logged_size - cache->logged_before;
    cache->logged_before = cache->logged_size;
    return NULL;
}

weir_error *cache_snapshot_write(struct backend_snapshot *snapshot, struct arena *arena,
    struct state_file **files, uint32_t *file_count)
{
    struct frozen *frozen = frozen_of(snapshot);
    struct cache *cache = frozen->cache;
    weir_error *error = prepare(cache, frozen->number);
    if (error == NULL) {
        pthread_mutex_lock(&cache->log_lock);
        error = store(cache, frozen->number, arena, files, file_count);
        pthread_mutex_unlock(&cache->log_lock);
    }
    if (is_settle_due(cache, frozen->log_max)) {
        if (cache->workers == NULL)
            settle(cache);
        else
            atomic_store(&cache->is_settle_due, true);
    }
    return error == NULL ? NULL : weir_error_wrap(error, "cannot write a snapshot of keyed state");
}

void cache_snapshot_free(struct backend_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    struct frozen *frozen = frozen_of(snapshot);
    if (unlink_frozen(frozen))
        ask_to_settle(frozen->cache); /* without a worker the next snapshot does */
    mem_free(frozen);
}

/* cache_evict.c -- which rows leave when the cache is over its budget, and how.
 *
 * A clock: the hand goes over the table (rows lie there in the order of their hashes, so in none) and
 * takes what is cold. A row starts at 0 and gains one, up to HEAT_MAX, in every batch that uses it again;
 * each pass of the hand takes one away. Use within the batch that brought it in does not count: a record
 * touches its row several times, and a scan would otherwise look like a working set. So what is seen once
 * leaves at the first pass, and what is used all the time stays through three.
 *
 * The hand visits small groups of slots far from each other. From left to right it would leave the table
 * empty behind it and, with 0.7 rows a slot on average, more than full in front of it: probes through
 * thousands of slots, five times the CPU when all rows are new.
 *
 * Only clean rows leave. When the hand comes to slots that it has not cleaned, the dirty rows that are cold
 * in the next half of the table (AHEAD) are collected into a flight and written sorted in one piece (see
 * rocksdb_bulk.c); not while another flight is queued (cache_flight.c). They stay, to be freed when the hand
 * comes by, or to be used again. So what is written at once is large however little is freed at a time: for
 * the store a few large sorted files, not many small ones. What has become dirty and cold in a cleaned part
 * waits for the next pass. A row that is larger than a share of the budget has no heat.
 *
 * It stops at BELOW of the budget. The first one waits while only copies in flights are over it. When flights
 * keep it from getting there the cache may be over by a quarter. From there on the task writes the
 * flights itself, or while a worker is at it waits a little for each batch: so it slows down to what the
 * disk takes, and no job in front of the worker's can make it wait for ever.
 *
 * What is evicted leaves holes all over the slab's pages. New rows of the same sizes fill them; after a
 * change of sizes they would not, and evicting more hardly helps (slab.h). So what counts against the budget
 * is what is used and an eighth of it, and an eviction that leaves holes of more than a sixth, of which a
 * fifteenth are its own, moves rows together until a sixteenth is left. That is sure to be won, but for up
 * to a page a size class: the pages in use are within the budget when an eviction is over, and all memory,
 * with the pages that the slab keeps, within an eighth more. It costs one walk over the table, which is little
 * beside an eviction.
 *
 * Prefixes: cache_ */
#include "state/cache.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#define BELOW(budget)   ((budget) - (budget) / 16)
#define CEILING(budget) ((budget) + (budget) / 4)
#define SPACE(used)     ((used) + (used) / 8) /* as cache_size counts */
#define ROW_SHARE       8u                    /* of the budget: a larger row is never hot */
#define HAND_GROUP      8u /* slots that are visited one after the other: two cache lines */
#define GOLDEN_RATIO    UINT64_C(0x9e3779b97f4a7c15) /* of 2^64: multiples of it spread evenly */
#define WAIT_MS         10
#define AHEAD_MAX       UINT64_C(131072)
#define AHEAD(count)    ((count) / 2 < AHEAD_MAX ? (count) / 2 : AHEAD_MAX) /* slots */
#define CLOCK_PASSES    (HEAT_MAX + 1u)

/* Thread: task. */
struct eviction {
    struct cache *cache;
    bool may_write;
    uint64_t wanted, freed; /* bytes; with holes: SPACE */
};

/* Larger than a share of the budget: it has no heat. */
static bool is_heavy(const struct cache *cache, const struct row *row)
{
    return row->entries != NULL && row_size(row) > cache->budget / ROW_SHARE;
}

static bool is_cold(const struct cache *cache, struct row *row)
{
    if ((row->heat & HEAT_MAX) == 0)
        return true;
    row->heat--;
    return is_heavy(cache, row);
}

/* Each slot once in slot_count steps, for the stride is odd. */
static struct slot *slot_at(const struct cache *cache, uint64_t hand)
{
    uint64_t group_count = cache->rows.slot_count / HAND_GROUP;
    uint64_t stride = (GOLDEN_RATIO >> (64 - __builtin_ctzll(group_count))) | 1;
    uint64_t group = hand / HAND_GROUP * stride & (group_count - 1);
    return &cache->rows.slots[group * HAND_GROUP + hand % HAND_GROUP];
}

/* Of a slot that will be looked at soon: the slot itself, and nearer, its row. */
static void look_ahead(const struct cache *cache, uint64_t hand)
{
    enum { FAR = 8 * HAND_GROUP, NEAR = 4 * HAND_GROUP };
    if (hand % HAND_GROUP == 0) {
        __builtin_prefetch(slot_at(cache, hand + FAR));
        __builtin_prefetch(slot_at(cache, hand + FAR) + HAND_GROUP / 2);
    }
    __builtin_prefetch(slot_at(cache, hand + NEAR)->row);
}

/* Of one that may be noted in the filter soon. */
static void look_ahead_in_filter(const struct cache *cache, uint64_t hand)
{
    enum { NEARER = 2 * HAND_GROUP };
    const struct slot *slot = slot_at(cache, hand + NEARER);
    if (slot->row != NULL && cache->filter != NULL)
        row_filter_prefetch(cache->filter, slot->hash);
}

/* Another row may be in the slot then. */
static void drop(struct cache *cache, struct slot *slot)
{
    cache->has_dropped = true;
    cache_filter_note(cache, slot);
    rows_delete(&cache->rows, slot);
}

/* Looks at the slot under the hand; true: the hand moves on. */
static bool look(struct eviction *it, struct slot *slot)
{
    struct cache *cache = it->cache;
    struct row *row = slot->row;
    if (row == NULL || !is_cold(cache, row) || row->dirty != 0 || cache_is_pinned(cache, row))
        return true;
    it->freed += SPACE(row_size(row));
    drop(cache, slot);
    return false;
}

/* Freezes what is cold in front of the hand; NULL: there is nothing to write. */
static struct flight *freeze_ahead(struct cache *cache)
{
    struct flight *flight = NULL;
    for (; cache->clean_to < cache->hand + AHEAD(cache->rows.slot_count); cache->clean_to++) {
        look_ahead(cache, cache->clean_to);
        const struct slot *slot = slot_at(cache, cache->clean_to);
        struct row *row = slot->row;
        if (row == NULL || row->dirty == 0 ||
            ((row->heat & HEAT_MAX) != 0 && !is_heavy(cache, row)))
            continue;
        struct row_key key = row_key_of(slot);
        if (flight == NULL)
            flight = cache_flight_new(cache);
        cache_unlist(cache, row);
        cache_freeze_row(cache, flight, row, &key);
    }
    return flight;
}

/* What cannot be written stays pinned by its flight, which stays in the queue. */
static bool clean_ahead(struct cache *cache)
{
    weir_error *error;
    cache->clean_to = cache->hand;
    struct flight *flight = freeze_ahead(cache);
    if (flight == NULL)
        return true;
    cache_flight_queue(cache, flight);
    bool is_written = cache_settle(cache, true, &error);
    cache->failed = weir_error_join(cache->failed, error);
    return is_written;
}

static void sweep(struct eviction *it)
{
    struct cache *cache = it->cache;
    uint64_t steps = (CLOCK_PASSES + 1) * cache->rows.slot_count;
    for (; steps > 0 && it->freed < it->wanted; steps--) {
        if (cache->hand >= cache->clean_to && it->may_write)
            it->may_write = clean_ahead(cache);
        look_ahead(cache, cache->hand);
        look_ahead_in_filter(cache, cache->hand);
        if (look(it, slot_at(cache, cache->hand)))
            cache->hand++;
    }
}

static void move_rows(struct cache *cache)
{
    enum { AHEAD = 8 };
    uint64_t mask = cache->rows.slot_count - 1;
    for (uint64_t i = 0; i <= mask; i++) {
        __builtin_prefetch(cache->rows.slots[(i + AHEAD) & mask].row);
        if (cache->rows.slots[i].row == NULL)
            continue;
        struct row *row = rows_move(&cache->rows, &cache->rows.slots[i]);
        cache_row_moved(cache, row);
    }
}

/* Flights have copies and no pointers: rows may move, pinned or not. */
static void close_holes(struct cache *cache)
{
    struct slab *slab = &cache->rows.slab;
    uint64_t used = slab_used(slab), holes = slab_occupied(slab) - used;
    if (holes <= used / 6 || !slab_drain(slab, holes - used / 16))
        return;
    move_rows(cache);
    slab_drained(slab);
}

static void evict(struct cache *cache, bool takes_over)
{
    weir_error *error;
    struct eviction it = { .cache = cache, .wanted = cache_size(cache) - BELOW(cache->budget) };
    cache_trickle_end(cache);
    it.may_write = cache_settle(cache, takes_over, &error);
    cache->failed = weir_error_join(cache->failed, error);
    sweep(&it);
    rows_shrink(&cache->rows);
    close_holes(cache);
}

/* Nothing has left so far, and the rows fit: over the budget are copies, which leave by themselves when a worker has logged
 * them. 60 MB that a job's last barrier had frozen cost 1.5 M keys three times their CPU, for rows that were written to make
 * room. */
static bool is_over_by_copies(const struct cache *cache)
{
    uint64_t size = cache_size(cache);
    uint64_t copies = atomic_load_explicit(&cache->queued_size, memory_order_relaxed);
    return cache->workers != NULL && cache->filter != NULL && row_filter_is_empty(cache->filter) &&
           size <= cache->budget + copies && size <= CEILING(cache->budget);
}

void cache_evict(struct cache *cache)
{
    if (is_over_by_copies(cache))
        return;
    evict(cache, false);
    if (cache_size(cache) <= CEILING(cache->budget) || !cache_has_flights(cache))
        return;
    evict(cache, true);
    if (cache_has_flights(cache))
        waker_wait(cache->waker, WAIT_MS);
}

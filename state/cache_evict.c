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
 * Clean rows are freed at once. Dirty ones are collected into a flight, written sorted in one piece (see
 * rocksdb_bulk.c), and freed then; not while another flight is queued (cache_flight.c). A row that is
 * larger than a share of the budget has no heat.
 *
 * It stops at BELOW of the budget, so that dirty rows are written in pieces worth sorting. When flights
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
#define CLOCK_PASSES    (HEAT_MAX + 1u)

/* A dirty row that leaves when it has been written. Thread: task. */
struct victim {
    uint64_t hash;
    struct row *row;
};

/* Thread: task. */
struct eviction {
    struct cache *cache;
    bool may_write;
    uint64_t wanted, freed; /* bytes; freed counts victims, too, and holes: SPACE */
    struct flight *flight;  /* of the victims; NULL: none yet */
    struct victim *victims;
    size_t victim_count, victim_capacity;
};

static void add_victim(struct eviction *it, struct slot *slot)
{
    if (it->victim_count == it->victim_capacity) {
        it->victim_capacity = it->victim_capacity == 0 ? 256 : it->victim_capacity * 2;
        it->victims = mem_realloc(it->victims, it->victim_capacity * sizeof(*it->victims));
    }
    it->victims[it->victim_count++] = (struct victim){ .hash = slot->hash, .row = slot->row };
}

/* True: there is nothing to write after all. Else its memory counts as freed: it is a victim. */
static bool clean(struct eviction *it, struct slot *slot)
{
    struct cache *cache = it->cache;
    struct row_key key = row_key_of(slot);
    uint64_t size = row_size(slot->row);
    if (it->flight == NULL)
        it->flight = cache_flight_new(cache);
    cache_unlist(cache, slot->row);
    if (!cache_freeze_row(cache, it->flight, slot->row, &key))
        return true;
    add_victim(it, slot);
    it->freed += SPACE(size);
    return false;
}

static bool is_cold(const struct cache *cache, struct row *row)
{
    if ((row->heat & HEAT_MAX) == 0)
        return true;
    row->heat--;
    return row->entries != NULL && row_size(row) > cache->budget / ROW_SHARE;
}

/* Another row may be in the slot then. */
static void drop(struct cache *cache, struct slot *slot)
{
    cache_filter_note(cache, slot);
    rows_delete(&cache->rows, slot);
}

/* Looks at the slot under the hand; true: the hand moves on. */
static bool look(struct eviction *it, struct slot *slot)
{
    struct cache *cache = it->cache;
    struct row *row = slot->row;
    if (row == NULL || !is_cold(cache, row) || cache_is_pinned(cache, row))
        return true;
    if (row->dirty != 0 && (!it->may_write || !clean(it, slot)))
        return true;
    it->freed += SPACE(row_size(row));
    drop(cache, slot);
    return false;
}

/* Each slot once in slot_count steps, for the stride is odd. */
static struct slot *slot_under_hand(const struct cache *cache)
{
    uint64_t group_count = cache->rows.slot_count / HAND_GROUP;
    uint64_t stride = (GOLDEN_RATIO >> (64 - __builtin_ctzll(group_count))) | 1;
    uint64_t group = cache->hand / HAND_GROUP * stride & (group_count - 1);
    return &cache->rows.slots[group * HAND_GROUP + cache->hand % HAND_GROUP];
}

static void sweep(struct eviction *it)
{
    struct cache *cache = it->cache;
    uint64_t steps = CLOCK_PASSES * cache->rows.slot_count;
    for (; steps > 0 && it->freed < it->wanted; steps--)
        if (look(it, slot_under_hand(cache)))
            cache->hand++;
}

/* A victim that cannot be written stays, pinned by its flight, which stays in the queue. */
static void write_victims(struct eviction *it)
{
    struct cache *cache = it->cache;
    weir_error *error;
    cache_flight_queue(cache, it->flight);
    bool is_written = cache_settle(cache, true, &error);
    cache->failed = weir_error_join(cache->failed, error);
    for (size_t i = 0; i < it->victim_count && is_written; i++)
        drop(cache, rows_slot_of(&cache->rows, it->victims[i].hash, it->victims[i].row));
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

/* Flights have copies and no pointers, victims are gone: rows may move, pinned or not. */
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
    if (it.flight != NULL)
        write_victims(&it);
    mem_free(it.victims);
    rows_shrink(&cache->rows);
    close_holes(cache);
}

void cache_evict(struct cache *cache)
{
    evict(cache, false);
    if (cache_size(cache) <= CEILING(cache->budget) || !cache_has_flights(cache))
        return;
    evict(cache, true);
    if (cache_has_flights(cache))
        waker_wait(cache->waker, WAIT_MS);
}

/* cache_evict.c -- which rows leave when the cache is over its budget, and how.
 *
 * A clock: the hand walks over the table (rows lie there in the order of their hashes, so in none) and
 * takes what is cold. A row starts at 0 and gains one, up to HEAT_MAX, in every batch that uses it again;
 * each pass of the hand takes one away. Use within the batch that brought it in does not count: a record
 * touches its row several times, and a scan would otherwise look like a working set. So what is seen once
 * leaves at the first pass, and what is used all the time stays through three.
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
 * Prefixes: cache_ */
#include "state/cache.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#define BELOW(budget)   ((budget) - (budget) / 16)
#define CEILING(budget) ((budget) + (budget) / 4)
#define ROW_SHARE       8u /* of the budget: a larger row is never hot */
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
    uint64_t wanted, freed; /* bytes; freed counts victims, too */
    struct flight *flight;  /* of the victims; NULL: none yet */
    struct victim *victims;
    size_t victim_count, victim_capacity;
};

/* The last dirty row takes its place in the list. */
static void unlist(struct cache *cache, struct row *row)
{
    struct row *last = cache->dirty[--cache->dirty_count];
    cache->dirty[row->dirty - 1] = last;
    last->dirty = row->dirty;
    row->dirty = 0;
}

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
    unlist(cache, slot->row);
    if (!cache_freeze_row(cache, it->flight, slot->row, &key))
        return true;
    add_victim(it, slot);
    it->freed += size;
    return false;
}

static bool is_cold(const struct cache *cache, struct row *row)
{
    if ((row->heat & HEAT_MAX) == 0)
        return true;
    row->heat--;
    return row->entries != NULL && row_size(row) > cache->budget / ROW_SHARE;
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
    it->freed += row_size(row);
    rows_delete(&cache->rows, slot); /* another row may be here now */
    return false;
}

static void sweep(struct eviction *it)
{
    struct cache *cache = it->cache;
    uint64_t steps = CLOCK_PASSES * cache->rows.slot_count;
    for (; steps > 0 && it->freed < it->wanted; steps--) {
        cache->hand &= cache->rows.slot_count - 1;
        if (look(it, &cache->rows.slots[cache->hand]))
            cache->hand++;
    }
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
        rows_delete(&cache->rows,
            rows_slot_of(&cache->rows, it->victims[i].hash, it->victims[i].row));
}

static void evict(struct cache *cache, bool takes_over)
{
    weir_error *error;
    struct eviction it = { .cache = cache, .wanted = cache_size(cache) - BELOW(cache->budget) };
    it.may_write = cache_settle(cache, takes_over, &error);
    cache->failed = weir_error_join(cache->failed, error);
    sweep(&it);
    if (it.flight != NULL)
        write_victims(&it);
    mem_free(it.victims);
    rows_shrink(&cache->rows);
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

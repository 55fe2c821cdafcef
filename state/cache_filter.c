/* cache_filter.c -- the cache's knowledge of which rows are only in its store.
 *
 * Every row that leaves the memory is noted. So a row that is not in memory and was not noted is new: it is
 * complete from the start, and nothing of it is ever read. As long as nothing has been evicted the filter is
 * empty, and is not asked; it counts as a hundred-and-twenty-eighth of the cache's memory.
 *
 * After a restore the store has rows that nobody has noted. A worker goes through its keys and notes them,
 * while the job runs; until it is through, the filter is not asked (`is_filter_sure`). The same when a filter
 * has grown to its limit: another one is built, without what has expired meanwhile. If it is full at once it
 * is given up, and from then on the store is asked. So is one that is large and hardly ever asked for a row that is
 * new: rows in its place are worth more.
 *
 * Prefixes: cache_ */
#include "state/cache.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/worker.h"

#define CAPACITY_MIN UINT64_C(4096)
#define LIMIT(share) ((share) / 4) /* bytes, of the cache's share of memory */
#define LARGE(share) ((share) / 8)
/* A large one is judged after so many questions: at least NEW_MIN of them were about rows that are new, or it goes. */
#define JUDGED  (UINT32_C(64) << 10)
#define NEW_MIN (JUDGED / 8)
/* Rows of the first filter, so that there are five at most: each is wrong about one new row of a hundred, and asking
 * the store in vain costs a hundred times what a filter does. */
#define FIRST(share) (LIMIT(share) / 32 * 8 / ROW_FILTER_BITS)

/* Thread: worker, or the task when there is none. */
struct noting {
    struct cache *cache;
    uint64_t last; /* hash */
    bool has_last;
};

static bool note_stored(void *arg, const struct row_key *key, weir_str entry, weir_str value)
{
    struct noting *noting = arg;
    uint64_t hash = rows_hash(key);
    (void)entry, (void)value;
    if (!noting->has_last || hash != noting->last)
        row_filter_add(noting->cache->building, hash);
    noting->last = hash;
    noting->has_last = true;
    return !atomic_load_explicit(&noting->cache->is_closing, memory_order_relaxed);
}

static weir_error *note_all(struct cache *cache)
{
    struct noting noting = { .cache = cache };
    struct backend_iterator *iterator = cache->verbs->iterator_new(cache->store);
    bool is_over; /* or the cache is being closed */
    weir_error *error = cache->verbs->iterator_give(iterator, note_stored, &noting, &is_over);
    cache->verbs->iterator_free(iterator);
    return error;
}

/* Thread: worker, or the task when there is none. */
static void build(void *arg)
{
    struct cache *cache = arg;
    weir_error *error = note_all(cache);
    bool is_full = row_filter_is_full(cache->building);
    atomic_store_explicit(is_full || error != NULL ? &cache->is_filter_useless
                                                   : &cache->is_filter_sure,
        true, memory_order_release);
    if (error == NULL)
        return;
    log_warn("state", "new keys are looked up in the store, which is slower: %s",
        weir_error_message(error));
    weir_error_free(error);
}

static void give_up(struct cache *cache)
{
    row_filter_free(cache->filter);
    cache->filter = NULL;
}

/* No build is running. What leaves the memory from here on is noted in the new filter; what has left it
 * before is in the store. */
static void start_build(struct cache *cache)
{
    uint64_t rows = cache->verbs->row_count(cache->store);
    uint64_t most = LIMIT(cache->share) / 2 * 8 / ROW_FILTER_BITS;
    atomic_store(&cache->is_filter_sure, false);
    give_up(cache);
    rows = rows > CAPACITY_MIN ? rows : CAPACITY_MIN;
    cache->filter = row_filter_new(rows < most ? rows : most, NULL);
    cache->building = cache->filter;
    if (cache->workers == NULL)
        build(cache);
    else if (!workers_submit(cache->workers, &cache->filter, build, cache))
        give_up(cache);
}

void cache_filter_init(struct cache *cache, bool is_restored)
{
    if (is_restored) {
        start_build(cache);
        return;
    }
    uint64_t rows = FIRST(cache->share);
    cache->filter = row_filter_new(rows > CAPACITY_MIN ? rows : CAPACITY_MIN, NULL);
    atomic_store(&cache->is_filter_sure, true);
}

void cache_filter_release(struct cache *cache)
{
    if (cache->workers != NULL)
        workers_drain(cache->workers, &cache->filter);
    give_up(cache);
}

static void grow(struct cache *cache)
{
    uint64_t capacity = 2 * row_filter_capacity(cache->filter);
    uint64_t size = row_filter_size(cache->filter) + row_filter_size_for(capacity);
    if (size <= LIMIT(cache->share))
        cache->filter = row_filter_new(capacity, cache->filter);
    else if (atomic_load_explicit(&cache->is_filter_sure, memory_order_acquire))
        start_build(cache);
}

/* Of a complete row without a cell the store has nothing. */
static bool is_nothing(const struct row *row)
{
    return (row->flags & ROW_COMPLETE) != 0 && row->entries == NULL && row->value_flags == 0 &&
           row->value_size == ROW_VALUE_NONE;
}

void cache_filter_note(struct cache *cache, const struct slot *slot)
{
    if (cache->filter == NULL || is_nothing(slot->row) ||
        !row_filter_add(cache->filter, slot->hash))
        return;
    if (atomic_load_explicit(&cache->is_filter_useless, memory_order_acquire))
        give_up(cache);
    else if (row_filter_is_full(cache->filter))
        grow(cache);
}

static void judge(struct cache *cache)
{
    if (cache->filter_new < NEW_MIN && row_filter_size(cache->filter) > LARGE(cache->share))
        give_up(cache);
    cache->filter_asked = cache->filter_new = 0;
}

bool cache_filter_is_new(struct cache *cache, const struct row_key *key)
{
    if (cache->filter == NULL ||
        !atomic_load_explicit(&cache->is_filter_sure, memory_order_acquire))
        return false;
    if (row_filter_is_empty(cache->filter))
        return true;
    bool is_new = !row_filter_may_have(cache->filter, rows_hash(key));
    cache->filter_new += is_new;
    if (++cache->filter_asked == JUDGED)
        judge(cache);
    return is_new;
}

void cache_filter_prefetch(const struct cache *cache, const struct row_key *key)
{
    if (cache->filter != NULL && !row_filter_is_empty(cache->filter))
        row_filter_prefetch(cache->filter, rows_hash(key));
}

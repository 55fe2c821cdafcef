/* cache_fetch.c -- values that will be asked for, read from the store before, many at once.
 *
 * Whoever knows the keys of a batch says so (backend_class.prefetch). The values that are missing in memory, and
 * are not known to be new by the filter, come with one call into the store, which then walks its filters and
 * indexes once for many sorted keys. Whoever asks for them later finds them like any other cell: a value, or
 * GONE. Entries with a name are not known before, so they are not fetched.
 *
 * Not every operator asks for every value of its keys, so each state has a credit. It starts full; a value
 * that is fetched costs one, and so does looking at LOOKS keys; a fetched value that is asked for
 * (FETCHED tells) gives two, and one that was read alone gives one. So if at least half of what is fetched is
 * asked for it goes on; a state that only hits, or is not read, costs nothing after a while; and what is
 * fetched in vain is never more than what was read alone, and FETCH_CREDIT_MAX.
 *
 * Rows are added and none are moved, so this keeps what backend.h promises of prefetch. It is a hint: an error is
 * forgotten here, because whoever asks for the value meets it again.
 *
 * Prefixes: cache_ */
#include "state/cache.h"

#include "base/assert.h"

#define FETCH_CREDIT_MAX 1024u
#define LOOKS            32u
#define AHEAD            8u                /* rows whose filter is brought near */
#define FETCH_SIZE_MAX   ((size_t)1 << 20) /* bytes at once; the rest is read alone */

static void earn(struct cache *cache, uint32_t state, uint32_t credit)
{
    if (state >= FETCH_STATES)
        return;
    uint32_t sum = cache->credit[state] + credit;
    cache->credit[state] = (uint16_t)(sum < FETCH_CREDIT_MAX ? sum : FETCH_CREDIT_MAX);
}

static void spend(struct cache *cache, uint32_t state, uint32_t credit)
{
    uint32_t left = cache->credit[state];
    cache->credit[state] = (uint16_t)(left > credit ? left - credit : 0);
}

void cache_fetch_init(struct cache *cache)
{
    for (uint32_t i = 0; i < FETCH_STATES; i++)
        cache->credit[i] = FETCH_CREDIT_MAX;
}

void cache_fetch_missed(struct cache *cache, uint32_t state)
{
    earn(cache, state, 1);
}

void cache_fetch_used(struct cache *cache, uint32_t state, uint8_t *cell_flags)
{
    *cell_flags &= (uint8_t)~CELL_FETCHED;
    earn(cache, state, 2);
}

/* Thread: task. */
struct fetch {
    struct cache *cache;
    size_t size;
};

static bool take_value(void *arg, const struct row_key *row, weir_str value)
{
    struct fetch *fetch = arg;
    cache_learn_value(fetch->cache, row, value);
    fetch->size += value.size;
    return fetch->size < FETCH_SIZE_MAX;
}

bool cache_is_fetching(const struct cache *cache, uint32_t state)
{
    return state < FETCH_STATES && cache->credit[state] > 0;
}

void cache_fetch(struct cache *cache, const struct row_key *rows, uint32_t row_count)
{
    struct row_key missing[BACKEND_PREFETCH_MAX];
    uint32_t count = 0, state = row_count == 0 ? FETCH_STATES : rows[0].state;
    ASSERT(row_count <= BACKEND_PREFETCH_MAX);
    if (!cache_is_fetching(cache, state))
        return;
    rows_prefetch(&cache->rows, rows, row_count);
    for (uint32_t i = 0; i < row_count && count < cache->credit[state]; i++) {
        if (i + AHEAD < row_count)
            cache_filter_prefetch(cache, &rows[i + AHEAD]);
        DEBUG_ASSERT(rows[i].state == state);
        if (rows[i].key.data != NULL && cache_lacks_value(cache, &rows[i]))
            missing[count++] = rows[i];
    }
    spend(cache, state, count + (row_count + LOOKS - 1) / LOOKS);
    if (count == 0)
        return;
    struct fetch fetch = { .cache = cache };
    weir_error_free(cache->verbs->get_values(cache->store, missing, count, take_value, &fetch));
}

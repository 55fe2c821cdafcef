/* cache_warm.c -- after a restore: what the store has is read into the table before anybody asks for it.
 *
 * A restore is over in a moment because nothing is read: each row is then a look-up in RocksDB when a record
 * needs it, 3-6 us a value and more a map, where the table costs a tenth of a microsecond. A job that comes back and
 * has to catch up did that at a quarter of its speed, for as long as it took to meet most of its keys. Read in order
 * a block of a file is unpacked once, not for each of its rows.
 *
 *      worker   iterator over the store -> 1 MiB of rows as they are      one piece at a time
 *      task     takes a part of them in with each batch of records       and asks for the next piece
 *
 * Only if all of it fits: of a state that is larger than the memory the rows that are in use come by themselves, and
 * others would only be in their way. It begins when the filter of rows is built, which is worth more, and ends when
 * something has left the memory, or little of the budget is left.
 *
 * Why it is right: what the iterator gives is as old as the iterator. As long as no row has left the memory, one that is
 * not there has not been changed since the restore, nor has a cell that an incomplete row does not have. Of all
 * others the table has what is newer (cache_learn_row).
 *
 * Prefixes: cache_ */
#include "state/cache.h"

#include "base/log.h"
#include "base/worker.h"

#ifdef WEIR_DEBUG
#define READ_SIZE ((size_t)4 << 10) /* tests have less, and read it in several pieces */
#define TAKE_ROWS 64u
#else
#define READ_SIZE ((size_t)1 << 20)
#define TAKE_ROWS 8192u /* with each batch of records */
#endif
/* Bytes of the table, about: files are compressed to a half, a row has a header and a slot. */
#define IN_MEMORY(file_size, row_count) (2 * (file_size) + 64 * (row_count))
#define MOST(budget)                    ((budget) - (budget) / 8)

/* -- reading, on a worker --------------------------------------------------------------------- */

/* Thread: worker, or the task when there is none. */
struct reading {
    struct cache *cache;
    struct changes *rows;
    bool is_open; /* a row has been begun, of which are read so far: */
    uint64_t cell_count, size;
};

static bool is_too_long(const struct reading *reading)
{
    return reading->cell_count > LOAD_CELLS_MAX || reading->size > LOAD_SIZE_MAX;
}

static void end_row(struct reading *reading, bool is_whole)
{
    if (reading->is_open && is_whole && !is_too_long(reading))
        changes_end(reading->rows);
    else if (reading->is_open)
        changes_drop(reading->rows);
    reading->is_open = false;
}

static bool is_same_row(const struct reading *reading, const struct row_key *key)
{
    const char *at = reading->rows->bytes + reading->rows->row_start;
    const struct change_row *row = (const void *)at;
    return reading->is_open && row->state == key->state && row->group == key->group &&
           weir_str_equal(change_row_key(row).key, key->key);
}

/* False: it is the next piece's. */
static bool read_entry(void *arg, const struct row_key *key, weir_str entry, weir_str value)
{
    struct reading *reading = arg;
    if (!group_range_has(reading->cache->groups, key->group))
        return true;
    if (!is_same_row(reading, key)) {
        end_row(reading, true);
        if (reading->rows->size >= READ_SIZE || atomic_load(&reading->cache->is_closing))
            return false;
        changes_begin(reading->rows, key, false);
        reading->is_open = true;
        reading->cell_count = reading->size = 0;
    }
    reading->cell_count++;
    reading->size += entry.size + value.size;
    if (!is_too_long(reading))
        changes_add(reading->rows, entry, value);
    return true;
}

static void empty(struct changes *rows)
{
    struct changes emptied = { 0 };
    if (rows->bytes != NULL)
        changes_give_room(rows, &emptied);
    *rows = emptied;
}

/* Thread: worker, or the task when there is none. */
static void read_piece(void *arg)
{
    struct cache *cache = arg;
    struct warming *warming = &cache->warming;
    struct reading reading = { .cache = cache, .rows = &warming->read };
    empty(&warming->read);
    if (warming->iterator == NULL)
        warming->iterator = cache->verbs->iterator_new(cache->store);
    weir_error *error =
        cache->verbs->iterator_give(warming->iterator, read_entry, &reading, &warming->is_through);
    end_row(&reading, error == NULL);
    if (error != NULL) {
        log_warn("state", "keyed state is read when it is asked for, which is slower: %s",
            weir_error_message(error));
        weir_error_free(error);
        warming->is_through = true;
    }
    atomic_store_explicit(&warming->stage, WARMING_HAS_READ, memory_order_release);
}

/* -- taking it in ----------------------------------------------------------------------------- */

/* False: there were no more. */
static bool take_some(struct cache *cache)
{
    struct warming *warming = &cache->warming;
    const struct change_row *found[CACHE_ROWS_TOGETHER];
    struct row_key keys[CACHE_ROWS_TOGETHER];
    uint32_t count = cache_next_rows(cache, &warming->taken, &warming->last, found, keys);
    for (uint32_t i = 0; i < count; i++)
        cache_learn_row(cache, &keys[i], change_cells(found[i]));
    return count == CACHE_ROWS_TOGETHER;
}

/* No worker reads. */
static void finish(struct cache *cache)
{
    struct warming *warming = &cache->warming;
    atomic_store(&warming->stage, WARMING_OVER);
    changes_release(&warming->read);
    changes_release(&warming->taken);
    cache->verbs->iterator_free(warming->iterator);
    warming->iterator = NULL;
}

static void ask_for_piece(struct cache *cache)
{
    struct warming *warming = &cache->warming;
    atomic_store(&warming->stage, WARMING_READS);
    if (cache->workers == NULL)
        read_piece(cache);
    else if (!workers_submit(cache->workers, warming, read_piece, cache))
        atomic_store(&warming->stage, WARMING_WAITS); /* too much waits: with the next batch */
}

/* What is taken is all in the table. */
static void turn_over(struct cache *cache)
{
    struct warming *warming = &cache->warming;
    struct changes taken = warming->taken;
    warming->taken = warming->read;
    warming->read = taken;
    warming->last = NULL;
    if (!warming->is_through)
        ask_for_piece(cache);
    else
        atomic_store(&warming->stage, WARMING_WAITS);
}

static bool is_filter_built(struct cache *cache)
{
    return cache->filter == NULL ||
           atomic_load_explicit(&cache->is_filter_sure, memory_order_acquire) ||
           atomic_load_explicit(&cache->is_filter_useless, memory_order_acquire);
}

void cache_warm(struct cache *cache)
{
    struct warming *warming = &cache->warming;
    int stage = atomic_load_explicit(&warming->stage, memory_order_acquire);
    if (__builtin_expect(stage == WARMING_OVER, 1))
        return;
    if (cache->has_dropped || cache_size(cache) > MOST(cache->budget)) {
        if (stage != WARMING_READS)
            finish(cache);
        return;
    }
    for (uint32_t rows = 0; rows < TAKE_ROWS; rows += CACHE_ROWS_TOGETHER)
        if (!take_some(cache))
            break;
    bool is_empty = changes_next(&warming->taken, warming->last) == NULL;
    if (!is_empty || stage == WARMING_READS)
        return;
    if (stage == WARMING_HAS_READ)
        turn_over(cache);
    else if (warming->is_through)
        finish(cache);
    else if (is_filter_built(cache))
        ask_for_piece(cache);
}

/* -- life ------------------------------------------------------------------------------------- */

void cache_warm_init(struct cache *cache, bool is_restored)
{
    if (!is_restored || cache->has_dropped)
        return;
    uint64_t stored = cache->verbs->size(cache->store);
    uint64_t needed = IN_MEMORY(stored, cache->verbs->row_count(cache->store));
    if (cache_look_at_pool(cache) + needed <= MOST(cache->budget))
        atomic_store(&cache->warming.stage, WARMING_WAITS);
}

void cache_warm_release(struct cache *cache)
{
    if (cache->workers != NULL)
        workers_drain(cache->workers, &cache->warming);
    finish(cache);
}

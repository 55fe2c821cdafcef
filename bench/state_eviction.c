/* state_eviction.c -- how good the cache is at keeping what will be used again: counts, no times.
 *
 * The real cache (backend_cache on RocksDB, 4 MiB, batches of 256 records that edit a value of 24 bytes) goes
 * through a trace, and so do, beside it, simulated caches of as many rows as it had on average:
 *
 *      LRU       the row that was used longest ago leaves
 *      CLOCK     one bit a row, set by each use; the hand clears it, or takes the row
 *      S3-FIFO   a small queue (a tenth) for what is new, a main queue for what was used again there, and a
 *                list of the names that have left the small one (Yang et al., SOSP 2023)
 *      fixed     the rows that the whole trace uses most, in memory from the start: no policy that does not
 *                know the future beats it while popularity does not change
 *
 * What is counted is the share of hits among the records that are marked: the scan's own are not, because no
 * cache can have what is asked for once. Everything is seeded; the same numbers come out each time.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short|-. */
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "state/cache.h"
#include "state/rocksdb.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY_SIZE UINT64_C(4194304)
#define CACHE_ROWS  21000u            /* about what that holds */
#define KEYS        (10 * CACHE_ROWS) /* shares no factor with STEP */
#define STEP        7919u
#define RECORDS     (6 * KEYS)
#define BATCH       256u
#define VALUE_SIZE  24u
#define NONE        UINT32_MAX
#define USES_MAX    3u

/* Thread: main. */
struct trace {
    uint32_t *keys;
    bool *is_counted;
    uint32_t count;
};

static char directory[64];
static uint32_t opened;

static void check(weir_error *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "bench_state_eviction: %s\n", weir_error_message(error));
    exit(1);
}

/* -- traces ----------------------------------------------------------------------------------- */

static struct trace trace_new(uint32_t capacity)
{
    return (struct trace){ .keys = mem_alloc_array(capacity, sizeof(uint32_t)),
        .is_counted = mem_alloc_array(capacity, sizeof(bool)) };
}

static void trace_free(struct trace trace)
{
    mem_free(trace.keys);
    mem_free(trace.is_counted);
}

static void add(struct trace *trace, uint32_t key, bool is_counted)
{
    trace->keys[trace->count] = key;
    trace->is_counted[trace->count++] = is_counted;
}

/* The n-th draw of Zipf 0.99 over all keys; popularity has nothing to do with the order of a scan. */
static uint32_t zipf(uint32_t n)
{
    static double sums[KEYS];
    for (uint32_t i = 0; sums[KEYS - 1] == 0 && i < KEYS; i++)
        sums[i] = (i == 0 ? 0 : sums[i - 1]) + 1 / pow(i + 1, 0.99);
    double wanted = (double)(hash_mix(n + UINT64_C(99999)) >> 11) * 0x1p-53 * sums[KEYS - 1];
    uint32_t low = 0, high = KEYS - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sums[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)((uint64_t)low * STEP % KEYS);
}

static struct trace zipf_alone(void)
{
    struct trace trace = trace_new(RECORDS);
    for (uint32_t i = 0; i < RECORDS; i++)
        add(&trace, zipf(i), i >= RECORDS / 2);
    return trace;
}

/* In the second half each other record is the scan's, until it has been through all keys; counted from there. */
static struct trace zipf_with_scan(void)
{
    struct trace trace = trace_new(RECORDS + KEYS);
    for (uint32_t i = 0, scanned = 0; i < RECORDS / 2 + KEYS; i++) {
        bool is_scanning = i >= RECORDS / 2;
        add(&trace, zipf(i), is_scanning);
        if (is_scanning)
            add(&trace, scanned++, false);
    }
    return trace;
}

/* The scan at one go; counted is what comes right after it, as many records as the cache has rows. */
static struct trace zipf_after_scan(void)
{
    struct trace trace = trace_new(RECORDS + KEYS);
    for (uint32_t i = 0; i < RECORDS / 2; i++)
        add(&trace, zipf(i), false);
    for (uint32_t i = 0; i < KEYS; i++)
        add(&trace, i, false);
    for (uint32_t i = 0; i < CACHE_ROWS; i++)
        add(&trace, zipf(RECORDS / 2 + i), true);
    return trace;
}

static struct trace loop(void)
{
    struct trace trace = trace_new(RECORDS);
    for (uint32_t i = 0; i < RECORDS; i++)
        add(&trace, i % (2 * CACHE_ROWS), i >= RECORDS / 2);
    return trace;
}

/* -- the real one ----------------------------------------------------------------------------- */

static struct row_key row_of(const uint64_t *key)
{
    uint64_t hash = hash_bytes(key, sizeof(*key));
    return (struct row_key){ .key = { .data = (const char *)key, .size = sizeof(*key) },
        .hash = hash,
        .group = (uint32_t)(hash % 128) };
}

static void end_batch(struct backend *backend)
{
    static const struct backend_expiry never;
    backend->backend_class->expire(backend, &never);
}

static void visit(struct backend *backend, const struct row_key *row)
{
    bool is_new;
    void *value;
    check(backend->backend_class->edit(backend, row, WEIR_STR(""), VALUE_SIZE, &value, &is_new));
    ++*(uint64_t *)value;
}

/* The share of hits; *rows: how many it had on average while that was counted. */
static double run_cache(const struct trace *trace, uint32_t *rows)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%u", directory, ++opened);
    struct backend_options options = { .directory = path,
        .checkpoint_dir = directory,
        .attempt = 1,
        .groups = { .last = 127 },
        .memory_size = MEMORY_SIZE };
    struct backend *backend;
    check(backend_cache.open(&options, NULL, 0, &backend));
    const struct cache *cache = (struct cache *)(void *)backend;
    uint64_t hits = 0, counted = 0, row_sum = 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        uint64_t key = trace->keys[i];
        struct row_key row = row_of(&key);
        if (trace->is_counted[i]) {
            hits += rows_find(&cache->rows, &row) != NULL;
            row_sum += cache->rows.row_count;
            counted++;
        }
        visit(backend, &row);
        if (i % BATCH == BATCH - 1)
            end_batch(backend);
    }
    backend_cache.close(backend);
    *rows = (uint32_t)(row_sum / counted);
    return 100 * (double)hits / (double)counted;
}

/* -- simulated ones --------------------------------------------------------------------------- */

/* Thread: main. A list of keys, the newest at its head. */
struct queue {
    uint32_t head, tail, count;
};

/* Thread: main. */
struct simulation {
    uint32_t capacity;
    struct queue queue, small, ghosts;
    struct queue *where[KEYS]; /* NULL: nowhere */
    uint32_t newer[KEYS], older[KEYS];
    uint8_t uses[KEYS];
};

typedef bool access_fn(struct simulation *it, uint32_t key); /* true: a hit */

static void push(struct simulation *it, struct queue *queue, uint32_t key)
{
    it->where[key] = queue;
    it->newer[key] = NONE;
    it->older[key] = queue->count == 0 ? NONE : queue->head;
    if (queue->count == 0)
        queue->tail = key;
    else
        it->newer[queue->head] = key;
    queue->head = key;
    queue->count++;
}

static void take(struct simulation *it, uint32_t key)
{
    struct queue *queue = it->where[key];
    uint32_t newer = it->newer[key], older = it->older[key];
    if (newer == NONE)
        queue->head = older;
    else
        it->older[newer] = older;
    if (older == NONE)
        queue->tail = newer;
    else
        it->newer[older] = newer;
    queue->count--;
    it->where[key] = NULL;
}

static uint32_t take_oldest(struct simulation *it, struct queue *queue)
{
    uint32_t key = queue->tail;
    take(it, key);
    return key;
}

static bool access_lru(struct simulation *it, uint32_t key)
{
    bool is_hit = it->where[key] != NULL;
    if (is_hit)
        take(it, key);
    else if (it->queue.count == it->capacity)
        take_oldest(it, &it->queue);
    push(it, &it->queue, key);
    return is_hit;
}

/* The oldest that has not been used since the hand was there. */
static void evict_main(struct simulation *it)
{
    for (;;) {
        uint32_t key = take_oldest(it, &it->queue);
        if (it->uses[key] == 0)
            return;
        it->uses[key]--;
        push(it, &it->queue, key);
    }
}

static bool access_clock(struct simulation *it, uint32_t key)
{
    if (it->where[key] != NULL) {
        it->uses[key] = 1;
        return true;
    }
    if (it->queue.count == it->capacity)
        evict_main(it);
    it->uses[key] = 0;
    push(it, &it->queue, key);
    return false;
}

static void evict_small(struct simulation *it)
{
    uint32_t key = take_oldest(it, &it->small);
    bool is_wanted = it->uses[key] > 0;
    it->uses[key] = 0;
    if (is_wanted) {
        push(it, &it->queue, key);
        return;
    }
    if (it->ghosts.count == it->capacity * 9 / 10)
        take_oldest(it, &it->ghosts);
    push(it, &it->ghosts, key);
}

static bool access_s3_fifo(struct simulation *it, uint32_t key)
{
    bool is_ghost = it->where[key] == &it->ghosts;
    if (it->where[key] != NULL && !is_ghost) {
        if (it->uses[key] < USES_MAX)
            it->uses[key]++;
        return true;
    }
    if (is_ghost)
        take(it, key);
    while (it->small.count + it->queue.count >= it->capacity)
        if (it->small.count >= it->capacity / 10)
            evict_small(it);
        else
            evict_main(it);
    it->uses[key] = 0;
    push(it, is_ghost ? &it->queue : &it->small, key);
    return false;
}

static double simulate(const struct trace *trace, uint32_t rows, access_fn *access)
{
    struct simulation *it = mem_alloc(sizeof(*it));
    uint64_t hits = 0, counted = 0;
    it->capacity = rows;
    for (uint32_t i = 0; i < trace->count; i++) {
        bool is_hit = access(it, trace->keys[i]);
        hits += is_hit && trace->is_counted[i];
        counted += trace->is_counted[i];
    }
    mem_free(it);
    return 100 * (double)hits / (double)counted;
}

/* How often a key is in the trace, and how often among the records that count. Thread: main. */
struct popularity {
    uint32_t uses, counted;
};

static int compare_popularity(const void *a, const void *b)
{
    uint32_t x = ((const struct popularity *)a)->uses, y = ((const struct popularity *)b)->uses;
    return (x < y) - (x > y);
}

static double fixed(const struct trace *trace, uint32_t rows)
{
    struct popularity *keys = mem_alloc_array(KEYS, sizeof(*keys));
    uint64_t hits = 0, counted = 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        keys[trace->keys[i]].uses++;
        keys[trace->keys[i]].counted += trace->is_counted[i];
        counted += trace->is_counted[i];
    }
    qsort(keys, KEYS, sizeof(*keys), compare_popularity);
    for (uint32_t i = 0; i < rows; i++)
        hits += keys[i].counted;
    mem_free(keys);
    return 100 * (double)hits / (double)counted;
}

/* -- all of it -------------------------------------------------------------------------------- */

static void print(const char *trace, const char *policy, double value)
{
    printf("%s, %s\t%.1f\t%% hits\t-\t-\n", trace, policy, value);
    fflush(stdout);
}

static void compare(const char *name, struct trace trace)
{
    uint32_t rows;
    double hits = run_cache(&trace, &rows);
    printf("%s: %" PRIu32 " records, %" PRIu32 " rows in the cache\n", name, trace.count, rows);
    print(name, "this cache", hits);
    print(name, "LRU", simulate(&trace, rows, access_lru));
    print(name, "CLOCK", simulate(&trace, rows, access_clock));
    print(name, "S3-FIFO", simulate(&trace, rows, access_s3_fifo));
    print(name, "fixed", fixed(&trace, rows));
    trace_free(trace);
}

int main(void)
{
    snprintf(directory, sizeof(directory), "build/bench-eviction-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        return 1;
    }
    rocksdb_set_cache_size(MEMORY_SIZE);
    compare("Zipf 0.99 over 10x", zipf_alone());
    compare("Zipf 0.99 during a full scan", zipf_with_scan());
    compare("Zipf 0.99 after a full scan", zipf_after_scan());
    compare("loop of 42,000 keys", loop());
    check(os_remove_tree(directory));
    return 0;
}

/* state_cache.c -- what the write-back cache is worth: hits, misses, evictions, barriers.
 *
 * The same visits (select, edit a value of 24 bytes, commit; 256 are a batch, whose keys are told before) run on
 * the cache and on plain RocksDB with the same memory, and are compared by the CPU time of the whole process,
 * which has the compactions, too. Plain RocksDB gets and puts one by one: it has no use for the hint.
 * Barriers are wall time: the stall is what the task waits, the flush what a worker does, upload included.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short|-. */
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "state/keyed.h"
#include "state/rocksdb.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct profile {
    uint64_t visits;
    double spent;
    int64_t last_ms;
};
WEIR_TYPE(profile, WEIR_FIELD(1, profile, visits), WEIR_FIELD(2, profile, spent),
    WEIR_FIELD(3, profile, last_ms));

#define MAX_PARALLELISM 128
#define BATCH           256u
#define MIB             (UINT64_C(1) << 20)
#define SMALL           (16 * MIB) /* memory of a backend: about 110,000 rows in the cache */
#define USERS           1100000u   /* and ten times as many in its state */
#define TINY            (4 * MIB)  /* about 25,000 rows */
#define MANY_USERS      2500000u   /* and a hundred times as many */
#define VISITS          1200000u   /* the hits have settled after a quarter of them */

static const struct weir_state states[] = {
    { .name = "profile", .kind = WEIR_VALUE, .type = &profile_type },
    { .name = "pages", .kind = WEIR_MAP, .type = &profile_type },
};

static char directory[64];
static uint32_t opened;

static void check(weir_error *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "bench_state_cache: %s\n", weir_error_message(error));
    exit(1);
}

static double now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A goal of 0: none. */
static void print(const char *name, double value, const char *unit, double goal, bool is_good)
{
    if (goal == 0)
        printf("%s\t%.2f\t%s\t-\t-\n", name, value, unit);
    else
        printf("%s\t%.2f\t%s\t%.1f\t%s\n", name, value, unit, goal, is_good ? "ok" : "short");
    fflush(stdout);
}

static void at_least(const char *name, double value, const char *unit, double goal)
{
    print(name, value, unit, goal, value >= goal);
}

static void at_most(const char *name, double value, const char *unit, double goal)
{
    print(name, value, unit, goal, value <= goal);
}

static struct keyed *open_keyed(const struct backend_class *verbs, uint64_t memory_size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/work-%u", directory, ++opened);
    struct backend_options options = { .directory = path,
        .checkpoint_dir = directory,
        .attempt = 1,
        .groups = { .first = 0, .last = MAX_PARALLELISM - 1 },
        .memory_size = memory_size };
    struct backend *backend;
    check(verbs->open(&options, NULL, 0, &backend));
    return keyed_new(backend, states, sizeof(states) / sizeof(states[0]), MAX_PARALLELISM);
}

/* As a task does it with a batch of records: it says which keys come before it comes to the first. */
static void visit_batch(struct keyed *keyed, const uint32_t *users, uint32_t count)
{
    uint64_t keys[BATCH];
    struct keyed_next next[BATCH];
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = users[i];
        next[i] =
            (struct keyed_next){ .key = { .data = (const char *)&keys[i], .size = sizeof(keys[i]) },
                .hash = hash_bytes(&keys[i], sizeof(keys[i])) };
    }
    keyed_set_time(keyed, 1000, INT64_MIN);
    keyed_prefetch(keyed, next, count);
    for (uint32_t i = 0; i < count; i++) {
        keyed_select(keyed, next[i].key, next[i].hash);
        ((struct profile *)keyed_edit(keyed, 0, WEIR_STR("")))->visits++;
        check(keyed_commit(keyed));
    }
}

static void visit(struct keyed *keyed, const uint32_t *users, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += BATCH)
        visit_batch(keyed, users + i, count - i < BATCH ? count - i : BATCH);
}

/* -- who is visited --------------------------------------------------------------------------- */

static uint32_t *uniform(uint32_t users, uint32_t count)
{
    uint32_t *list = mem_alloc_array(count, sizeof(*list));
    for (uint32_t i = 0; i < count; i++)
        list[i] = (uint32_t)(hash_mix(i + UINT64_C(77777)) % users);
    return list;
}

static uint32_t *everybody(uint32_t users)
{
    uint32_t *list = mem_alloc_array(users, sizeof(*list));
    for (uint32_t i = 0; i < users; i++)
        list[i] = (uint32_t)((uint64_t)i * 7919 % users); /* every one, users being no multiple */
    return list;
}

static uint32_t *zipf(uint32_t users, uint32_t count, double exponent)
{
    double *sums = mem_alloc_array(users, sizeof(*sums)), sum = 0;
    uint32_t *list = mem_alloc_array(count, sizeof(*list));
    for (uint32_t i = 0; i < users; i++)
        sums[i] = sum += 1 / pow(i + 1, exponent);
    for (uint32_t i = 0; i < count; i++) {
        double wanted = (double)(hash_mix(i + UINT64_C(99999)) >> 11) * 0x1p-53 * sum;
        uint32_t low = 0, high = users - 1;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (sums[middle] < wanted)
                low = middle + 1;
            else
                high = middle;
        }
        list[i] = low;
    }
    mem_free(sums);
    return list;
}

/* Each user is visited 15 times within a short while and then never again. */
static uint32_t *passing(uint32_t count)
{
    uint32_t *list = mem_alloc_array(count, sizeof(*list));
    for (uint32_t i = 0; i < count; i++)
        list[i] = i / 15 + (uint32_t)(hash_mix(i) % 500);
    return list;
}

/* -- the cache against the store ---------------------------------------------------------------- */

/* The two with the same state. */
struct pair {
    struct keyed *cached, *plain;
};

static struct pair open_pair(uint32_t users, uint64_t memory_size)
{
    rocksdb_set_cache_size(memory_size);
    struct pair pair = { .cached = open_keyed(&backend_cache, memory_size),
        .plain = open_keyed(&backend_rocksdb, memory_size) };
    uint32_t *all = everybody(users + 1);
    visit(pair.cached, all, users + 1);
    visit(pair.plain, all, users + 1);
    mem_free(all);
    return pair;
}

static void close_pair(struct pair pair)
{
    keyed_free(pair.cached);
    keyed_free(pair.plain);
}

static double visit_ns(struct keyed *keyed, const uint32_t *list, uint32_t count)
{
    visit(keyed, list, count / 4); /* warm */
    double start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    visit(keyed, list + count / 4, count - count / 4);
    return (now_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / (count - count / 4);
}

static void compare(const char *name, struct pair pair, uint32_t *list, uint32_t count, double goal)
{
    char line[96];
    double cached = visit_ns(pair.cached, list, count);
    double plain = visit_ns(pair.plain, list, count);
    snprintf(line, sizeof(line), "%s, cached", name);
    at_most(line, cached, "ns", 0);
    snprintf(line, sizeof(line), "%s, plain RocksDB", name);
    at_most(line, plain, "ns", 0);
    at_least(name, plain / cached, "times plain", goal);
    mem_free(list);
}

static void bench_against_plain(void)
{
    struct pair pair = open_pair(USERS, SMALL);
    compare("Zipf 0.99, state 10x the cache", pair, zipf(USERS, VISITS, 0.99), VISITS, 10);
    compare("uniform 10x", pair, uniform(USERS, VISITS), VISITS, 1.5);
    close_pair(pair);
    pair = open_pair(MANY_USERS, TINY);
    compare("state 100x memory", pair, uniform(MANY_USERS, VISITS / 2), VISITS / 2, 1);
    close_pair(pair);
    pair = open_pair(0, SMALL);
    compare("all keys new", pair, everybody(VISITS), VISITS, 0);
    close_pair(pair);
    pair = open_pair(0, SMALL);
    compare("15 visits and gone", pair, passing(VISITS), VISITS, 15);
    close_pair(pair);
}

static void bench_hits(void)
{
    enum { COUNT = 4000000 };
    struct keyed *keyed = open_keyed(&backend_cache, 256 * MIB);
    uint32_t *few = uniform(10000, COUNT), *many = uniform(1000000, COUNT);
    visit(keyed, few, COUNT / 4);
    double start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    visit(keyed, few, COUNT);
    double ns = (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / COUNT;
    at_least("read-modify-write, keys in cache", 1e3 / ns, "M/s", 10);
    visit(keyed, many, COUNT / 2);
    start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    visit(keyed, many, COUNT);
    ns = (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / COUNT;
    at_least("read-modify-write, 1 M keys in cache", 1e3 / ns, "M/s", 0);
    mem_free(few);
    mem_free(many);
    keyed_free(keyed);
}

/* -- barriers --------------------------------------------------------------------------------- */

static void bench_barriers(void)
{
    enum { COUNT = 1000000 };
    struct keyed *keyed = open_keyed(&backend_cache, 512 * MIB);
    struct backend *backend = keyed_backend(keyed);
    const struct backend_class *verbs = backend->backend_class;
    uint32_t *all = everybody(COUNT);
    for (uint64_t checkpoint = 1; checkpoint <= 3; checkpoint++) {
        struct backend_snapshot *snapshot;
        struct state_file *files;
        uint32_t file_count;
        struct arena arena;
        uint32_t count = checkpoint == 3 ? COUNT / 100 : COUNT;
        visit(keyed, all, count);
        arena_init(&arena, 4096, 16 << 20);
        double start = now_ns(CLOCK_MONOTONIC);
        check(verbs->snapshot(backend, checkpoint, &snapshot));
        double frozen = now_ns(CLOCK_MONOTONIC);
        check(verbs->snapshot_write(snapshot, &arena, &files, &file_count));
        double written = now_ns(CLOCK_MONOTONIC);
        verbs->snapshot_free(snapshot);
        verbs->confirm(backend, checkpoint);
        arena_release(&arena);
        if (checkpoint == 1)
            continue; /* all new; the second one is the usual case */
        const char *what = checkpoint == 2 ? "1 M" : "10 k of 1 M";
        char line[96];
        snprintf(line, sizeof(line), "barrier stall, %s dirty entries", what);
        at_most(line, (frozen - start) / 1e6, "ms", checkpoint == 2 ? 100 : 5);
        snprintf(line, sizeof(line), "flush %s dirty entries", what);
        at_most(line, (written - frozen) / 1e6, "ms", checkpoint == 2 ? 2000 : 200);
    }
    mem_free(all);
    keyed_free(keyed);
}

int main(void)
{
    snprintf(directory, sizeof(directory), "build/bench-state-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        return 1;
    }
    rocksdb_set_cache_size(SMALL);
    bench_hits();
    bench_against_plain();
    bench_barriers();
    check(os_remove_tree(directory));
    return 0;
}

/* state.c -- what keyed state costs: read-modify-write, barriers, restore.
 *
 * A read-modify-write is what an operator does for a record: select the key, edit a value of 24 bytes,
 * commit. CPU time of the task thread, median of a few rounds, keys in random order. Barriers are wall
 * time of the task thread, since waiting for a flush is what they are.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short|-. */
#include "base/memory.h"
#include "base/os.h"
#include "state/keyed.h"

#include <inttypes.h>
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

#define ROUNDS          3
#define MAX_PARALLELISM 128
#define MEMORY_SIZE     (UINT64_C(64) << 20)

static const struct weir_state states[] = {
    { .name = "profile", .kind = WEIR_VALUE, .type = &profile_type },
    { .name = "recent", .kind = WEIR_VALUE, .type = &profile_type, .ttl_ms = 1000 },
    { .name = "pages", .kind = WEIR_MAP, .type = &profile_type },
    { .name = "visits", .kind = WEIR_LIST, .type = &profile_type },
};

static char directory[64];
static uint32_t opened;

static void check(weir_error *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "bench_state: %s\n", weir_error_message(error));
    exit(1);
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A goal is a maximum; 0: none. */
static void report(const char *name, double value, const char *unit, double goal)
{
    if (goal == 0)
        printf("%s\t%.1f\t%s\t-\t-\n", name, value, unit);
    else
        printf("%s\t%.1f\t%s\t%.0f\t%s\n", name, value, unit, goal, value <= goal ? "ok" : "short");
    fflush(stdout);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof(values[0]), compare_doubles);
    return values[ROUNDS / 2];
}

static struct keyed *open_keyed(const struct backend_class *verbs,
    const struct backend_source *source)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/work-%u", directory, ++opened);
    struct backend_options options = { .directory = path,
        .checkpoint_dir = directory,
        .attempt = 1,
        .groups = { .first = 0, .last = MAX_PARALLELISM - 1 },
        .memory_size = MEMORY_SIZE };
    struct backend *backend;
    check(verbs->open(&options, source, source == NULL ? 0 : 1, &backend));
    struct keyed *keyed =
        keyed_new(backend, states, sizeof(states) / sizeof(states[0]), MAX_PARALLELISM);
    keyed_set_time(keyed, 1000, INT64_MIN);
    return keyed;
}

/* -- read-modify-write ------------------------------------------------------------------------ */

/* `count` users out of `users`, in an order that no prefetcher guesses. */
static void visit(struct keyed *keyed, uint32_t state, uint64_t users, uint64_t count,
    uint64_t from)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t user = hash_mix(from + i) % users;
        weir_str key = { .data = (const char *)&user, .size = sizeof(user) };
        keyed_select(keyed, key, hash_bytes(&user, sizeof(user)));
        struct profile *profile = keyed_edit(keyed, state, WEIR_STR(""));
        profile->visits++;
        check(keyed_commit(keyed));
    }
}

static double visit_ns(struct keyed *keyed, uint32_t state, uint64_t users, uint64_t count)
{
    double ns[ROUNDS];
    visit(keyed, state, users, count, 0);
    for (int round = 0; round < ROUNDS; round++) {
        double start = cpu_ns();
        visit(keyed, state, users, count, (uint64_t)round << 32);
        ns[round] = (cpu_ns() - start) / (double)count;
    }
    return median(ns);
}

/* The same, but a batch of rows is known before: 256 keys are prefetched, then visited. */
static double visit_prefetched_ns(struct keyed *keyed, uint64_t users, uint64_t count)
{
    double ns[ROUNDS];
    uint64_t keys[256];
    struct keyed_next next[256];
    for (int round = 0; round < ROUNDS; round++) {
        double start = cpu_ns();
        for (uint64_t i = 0; i < count; i++) {
            if (i % 256 == 0)
                for (uint64_t j = 0; j < 256; j++) {
                    keys[j] = hash_mix(((uint64_t)round << 40) + i + j) % users;
                    next[j] =
                        (struct keyed_next){ .key = { .data = (const char *)&keys[j], .size = 8 },
                            .hash = hash_bytes(&keys[j], 8) };
                }
            if (i % 256 == 0)
                keyed_prefetch(keyed, next, 256);
            keyed_select(keyed, next[i % 256].key, next[i % 256].hash);
            ((struct profile *)keyed_edit(keyed, 0, WEIR_STR("")))->visits++;
            check(keyed_commit(keyed));
        }
        ns[round] = (cpu_ns() - start) / (double)count;
    }
    return median(ns);
}

static void bench_hashmap(void)
{
    struct keyed *keyed = open_keyed(&backend_hashmap, NULL);
    visit(keyed, 0, 1000, 20000, 0);
    uint64_t before = mem_count();
    report("state-hashmap-rmw-1k-keys", visit_ns(keyed, 0, 1000, 2000000), "ns", 60);
    report("state-hashmap-rmw-1k-keys-allocations", (double)(mem_count() - before), "count", 0.5);
    report("state-hashmap-rmw-ttl-1k-keys", visit_ns(keyed, 1, 1000, 2000000), "ns", 60);
    double start = cpu_ns();
    visit(keyed, 0, UINT64_MAX, 1000000, 1);
    report("state-hashmap-insert-1m", (cpu_ns() - start) / 1e6, "ns", 500);
    keyed_free(keyed);

    keyed = open_keyed(&backend_hashmap, NULL);
    report("state-hashmap-rmw-1m-keys", visit_ns(keyed, 0, 1000000, 1000000), "ns", 300);
    report("state-hashmap-rmw-1m-keys-prefetched", visit_prefetched_ns(keyed, 1000000, 1000000),
        "ns", 150);
    struct backend *backend = keyed_backend(keyed);
    report("state-hashmap-bytes-per-key", (double)backend->backend_class->size(backend) / 1e6,
        "bytes", 160);
    keyed_free(keyed);
}

/* -- maps and lists --------------------------------------------------------------------------- */

static bool count_entry(void *arg, weir_str entry, const void *value)
{
    (void)entry;
    *(uint64_t *)arg += ((const struct profile *)value)->visits;
    return true;
}

static void bench_collections(const struct backend_class *verbs, uint64_t count, double edit_goal,
    double each_goal)
{
    char name[64];
    struct keyed *keyed = open_keyed(verbs, NULL);
    keyed_select(keyed, WEIR_STR("k"), hash_bytes("k", 1));
    double start = cpu_ns();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = hash_mix(i);
        weir_str entry = { .data = (const char *)&page, .size = 8 };
        ((struct profile *)keyed_edit(keyed, 2, entry))->visits = 1;
        if (i % 100 == 0) {
            check(keyed_commit(keyed));
            keyed_select(keyed, WEIR_STR("k"), hash_bytes("k", 1));
        }
    }
    check(keyed_commit(keyed));
    snprintf(name, sizeof(name), "state-%s-map-insert-one-row", verbs->name);
    report(name, (cpu_ns() - start) / (double)count, "ns", edit_goal);
    uint64_t sum = 0;
    keyed_select(keyed, WEIR_STR("k"), hash_bytes("k", 1));
    start = cpu_ns();
    keyed_each(keyed, 2, WEIR_STR(""), count_entry, &sum);
    snprintf(name, sizeof(name), "state-%s-map-each", verbs->name);
    report(name, (cpu_ns() - start) / (double)count, "ns", each_goal);
    check(keyed_commit(keyed));
    if (sum != count)
        check(weir_errorf(WEIR_E_INTERNAL, "each has seen %" PRIu64 " entries", sum));
    keyed_free(keyed);
}

/* -- barriers --------------------------------------------------------------------------------- */

/* Both parts of a snapshot; the pause of the task. */
static double barrier_ms(struct keyed *keyed, uint64_t checkpoint, struct arena *arena,
    struct backend_source *source, double *write_ms)
{
    struct backend *backend = keyed_backend(keyed);
    const struct backend_class *verbs = backend->backend_class;
    struct backend_snapshot *snapshot;
    struct state_file *files;
    int64_t start = os_monotonic_ns();
    check(verbs->snapshot(backend, checkpoint, &snapshot));
    int64_t frozen = os_monotonic_ns();
    check(verbs->snapshot_write(snapshot, arena, &files, &source->file_count));
    *write_ms = (double)(os_monotonic_ns() - frozen) / 1e6;
    verbs->snapshot_free(snapshot);
    verbs->confirm(backend, checkpoint);
    source->files = files;
    source->groups = (struct group_range){ .first = 0, .last = MAX_PARALLELISM - 1 };
    return (double)(frozen - start) / 1e6;
}

static void bench_barriers(const struct backend_class *verbs, uint64_t users, const double goals[3])
{
    char name[64];
    struct arena arena;
    struct backend_source source;
    double write_ms;
    struct keyed *keyed = open_keyed(verbs, NULL);
    arena_init(&arena, 4096, 16 << 20);
    visit(keyed, 0, users, users, 0);
    double first_ms = barrier_ms(keyed, 1, &arena, &source, &write_ms);
    snprintf(name, sizeof(name), "state-%s-barrier-%" PRIu64 "k-keys", verbs->name, users / 1000);
    report(name, first_ms, "ms", goals[0]);
    visit(keyed, 0, users, users / 100, 9);
    snprintf(name, sizeof(name), "state-%s-barrier-1-percent-dirty", verbs->name);
    report(name, barrier_ms(keyed, 2, &arena, &source, &write_ms), "ms", goals[1]);
    snprintf(name, sizeof(name), "state-%s-upload-1-percent-dirty", verbs->name);
    report(name, write_ms, "ms", 0);
    keyed_free(keyed);
    int64_t start = os_monotonic_ns();
    keyed = open_keyed(verbs, &source);
    snprintf(name, sizeof(name), "state-%s-restore", verbs->name);
    report(name, (double)(os_monotonic_ns() - start) / 1e6, "ms", goals[2]);
    keyed_free(keyed);
    arena_release(&arena);
}

static void bench_rocksdb(void)
{
    struct keyed *keyed = open_keyed(&backend_rocksdb, NULL);
    report("state-rocksdb-rmw-10k-keys", visit_ns(keyed, 0, 10000, 20000), "ns", 12000);
    report("state-rocksdb-rmw-ttl-10k-keys", visit_ns(keyed, 1, 10000, 20000), "ns", 12000);
    keyed_free(keyed);
    keyed = open_keyed(&backend_rocksdb, NULL);
    report("state-rocksdb-rmw-200k-keys", visit_ns(keyed, 0, 200000, 40000), "ns", 14000);
    keyed_free(keyed);
}

int main(void)
{
    snprintf(directory, sizeof(directory), "build/bench-state-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        return 1;
    }
    bench_hashmap();
    bench_collections(&backend_hashmap, 1000000, 1000, 100);
    bench_barriers(&backend_hashmap, 200000, (const double[]){ 40, 40, 400 });
    bench_rocksdb();
    bench_collections(&backend_rocksdb, 50000, 12000, 1000);
    bench_barriers(&backend_rocksdb, 200000, (const double[]){ 250, 20, 400 });
    check(os_remove_tree(directory));
    return 0;
}

/* state_restore.c -- how long a job with 1 GB of keyed state is away: from its checkpoint directory to the first read.
 *
 * Nine million keys with a value of 96 random bytes, so that compression wins nothing and 1 GB of state is 1 GB
 * of files, were written through the cache with a checkpoint for each million, the last one with changes of
 * 100,000 keys that only a segment has. One restore is what a job does between its start and its first record:
 *
 *      claim an attempt, find the newest checkpoint, verify every file       storage_restore
 *      open each subtask's backend on a thread of its own, read one key      backend_class.open, get
 *
 * Wall time, median of a few rounds; the files are in the system's cache, as they are after a crash of the
 * process. Then each key is read once, and the time that takes is told, for what a restore has put off shows
 * there.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short|-. */
#include "base/memory.h"
#include "base/os.h"
#include "base/worker.h"
#include "checkpoint/restore.h"
#include "checkpoint/storage.h"
#include "state/rocksdb.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define USERS           UINT64_C(9000000)
#define CHANGED         UINT64_C(100000) /* behind the last base */
#define PER_CHECKPOINT  UINT64_C(1000000)
#define BATCH           256u
#define MAX_PARALLELISM 128
#define SUBTASKS_MAX    2u
#define VALUE_WORDS     12u
#define MEMORY_SIZE     (UINT64_C(256) << 20) /* for all subtasks together */
#define ROUNDS          3
#define JOB             "restore"

static char root[64];
static struct workers *workers;

static void check(weir_error *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "bench_state_restore: %s\n", weir_error_message(error));
    exit(1);
}

/* A goal of 0: none. */
static void at_most(const char *name, double value, const char *unit, double goal)
{
    if (goal == 0)
        printf("%s\t%.1f\t%s\t-\t-\n", name, value, unit);
    else
        printf("%s\t%.1f\t%s\t%.0f\t%s\n", name, value, unit, goal, value <= goal ? "ok" : "short");
    fflush(stdout);
}

static double now_ms(void)
{
    return (double)os_monotonic_ns() / 1e6;
}

/* -- one subtask ------------------------------------------------------------------------------ */

/* Thread: its own while it opens, then main. */
struct subtask {
    uint32_t number, parallelism;
    struct group_range groups;
    char *directory, *checkpoint_dir;
    uint64_t attempt;
    const struct checkpoint_metadata *metadata; /* NULL: it starts empty */
    struct arena arena;
    struct backend *backend;
    pthread_t thread;
};

static struct row_key row_of(const uint64_t *user)
{
    uint64_t hash = hash_bytes(user, sizeof(*user));
    return (struct row_key){ .key = { .data = (const char *)user, .size = sizeof(*user) },
        .hash = hash,
        .group = key_group_of(hash, MAX_PARALLELISM) };
}

static void value_of(uint64_t user, uint64_t version, uint64_t value[VALUE_WORDS])
{
    for (uint64_t i = 0; i < VALUE_WORDS; i++)
        value[i] = hash_mix(user * VALUE_WORDS + i + version);
}

static uint64_t version_of(uint64_t user)
{
    return user < CHANGED ? 1 : 0;
}

static void expect(const struct subtask *subtask, uint64_t user)
{
    uint64_t wanted[VALUE_WORDS];
    struct row_key row = row_of(&user);
    weir_str value;
    check(subtask->backend->backend_class->get(subtask->backend, &row, WEIR_STR(""), &value));
    value_of(user, version_of(user), wanted);
    if (value.size != sizeof(wanted) || memcmp(value.data, wanted, sizeof(wanted)) != 0)
        check(weir_errorf(WEIR_E_CORRUPT, "user %" PRIu64 " is not as stored", user));
}

static bool owns(const struct subtask *subtask, uint64_t user)
{
    return group_range_has(subtask->groups, row_of(&user).group);
}

static void *open_subtask(void *arg)
{
    struct subtask *subtask = arg;
    struct operator_restore restore = { 0 };
    struct backend_options options = { .directory = subtask->directory,
        .checkpoint_dir = subtask->checkpoint_dir,
        .attempt = subtask->attempt,
        .groups = subtask->groups,
        .memory_size = MEMORY_SIZE / subtask->parallelism,
        .workers = workers };
    if (subtask->metadata != NULL)
        restore_operator(subtask->metadata, WEIR_STR("users"), subtask->groups, &subtask->arena,
            &restore);
    check(backend_cache.open(&options, restore.sources, restore.source_count, &subtask->backend));
    uint64_t user = 0;
    while (!owns(subtask, user))
        user++;
    if (subtask->metadata != NULL)
        expect(subtask, user);
    return NULL;
}

/* -- all subtasks ----------------------------------------------------------------------------- */

/* Thread: main. */
struct run {
    struct storage *storage;
    struct checkpoint_metadata metadata;
    struct subtask subtasks[SUBTASKS_MAX];
    uint32_t parallelism;
};

static void open_all(struct run *run, uint32_t parallelism, bool is_restored)
{
    run->parallelism = parallelism;
    for (uint32_t i = 0; i < parallelism; i++) {
        struct subtask *it = &run->subtasks[i];
        *it = (struct subtask){ .number = i,
            .parallelism = parallelism,
            .groups = key_group_range(i, parallelism, MAX_PARALLELISM),
            .directory = mem_printf("%s/%u", storage_work_dir(run->storage), i),
            .checkpoint_dir = mem_strdup(storage_dir(run->storage)),
            .attempt = storage_attempt(run->storage),
            .metadata = is_restored ? &run->metadata : NULL };
        arena_init(&it->arena, 4096, 1 << 20);
        pthread_create(&it->thread, NULL, open_subtask, it);
    }
    for (uint32_t i = 0; i < parallelism; i++)
        pthread_join(run->subtasks[i].thread, NULL);
}

static void close_all(struct run *run)
{
    for (uint32_t i = 0; i < run->parallelism; i++) {
        struct subtask *it = &run->subtasks[i];
        it->backend->backend_class->close(it->backend);
        arena_release(&it->arena);
        mem_free(it->directory);
        mem_free(it->checkpoint_dir);
    }
    storage_close(run->storage);
}

/* -- writing the state ------------------------------------------------------------------------ */

static void put_users(struct run *run, uint64_t from, uint64_t to, uint64_t version)
{
    const struct backend_expiry never = { .now_ms = 0, .watermark_ms = INT64_MIN };
    uint64_t value[VALUE_WORDS];
    for (uint64_t user = from; user < to; user++) {
        struct row_key row = row_of(&user);
        struct subtask *it =
            &run->subtasks[key_group_subtask(row.group, run->parallelism, MAX_PARALLELISM)];
        if (user % BATCH == 0)
            it->backend->backend_class->expire(it->backend, &never);
        value_of(user, version, value);
        check(it->backend->backend_class->put(it->backend, &row, WEIR_STR(""),
            (weir_str){ .data = (const char *)value, .size = sizeof(value) }));
    }
}

static void snapshot(struct subtask *it, uint64_t checkpoint, struct checkpoint_metadata *metadata)
{
    const struct backend_class *verbs = it->backend->backend_class;
    struct backend_snapshot *frozen;
    struct subtask_snapshot *part = subtask_snapshot_new(checkpoint, it->number);
    struct operator_snapshot *op = arena_alloc(&part->arena, sizeof(*op));
    *op = (struct operator_snapshot){ .uid = WEIR_STR("users"),
        .subtask = it->number,
        .parallelism = it->parallelism,
        .backend = weir_str_of(verbs->format),
        .schema_text = WEIR_STR("users"),
        .groups = it->groups };
    check(verbs->snapshot(it->backend, checkpoint, &frozen));
    check(verbs->snapshot_write(frozen, &part->arena, &op->files, &op->file_count));
    verbs->snapshot_free(frozen);
    part->operators = op;
    part->operator_count = 1;
    checkpoint_metadata_add(metadata, part);
    subtask_snapshot_free(part);
}

static uint64_t take_checkpoint(struct run *run, uint64_t checkpoint)
{
    struct checkpoint_metadata metadata;
    uint64_t size = 0;
    checkpoint_metadata_init(&metadata);
    metadata.job = WEIR_STR(JOB);
    metadata.checkpoint = checkpoint;
    metadata.attempt = storage_attempt(run->storage);
    metadata.max_parallelism = MAX_PARALLELISM;
    for (uint32_t i = 0; i < run->parallelism; i++)
        snapshot(&run->subtasks[i], checkpoint, &metadata);
    check(storage_publish(run->storage, &metadata));
    storage_clean(run->storage);
    for (uint32_t i = 0; i < run->parallelism; i++) {
        struct backend *backend = run->subtasks[i].backend;
        backend->backend_class->confirm(backend, checkpoint);
        for (uint32_t f = 0; f < metadata.operators[i].file_count; f++)
            size += metadata.operators[i].files[f].length;
    }
    checkpoint_metadata_release(&metadata);
    return size;
}

static void write_state(uint32_t parallelism)
{
    struct run run = { 0 };
    uint64_t checkpoint = 0;
    check(storage_open(root, JOB, 1, &run.storage));
    check(storage_fresh(run.storage));
    open_all(&run, parallelism, false);
    for (uint64_t user = 0; user < USERS; user += PER_CHECKPOINT) {
        put_users(&run, user, user + PER_CHECKPOINT, version_of(user + CHANGED));
        take_checkpoint(&run, ++checkpoint);
    }
    put_users(&run, 0, CHANGED, 1);
    uint64_t size = take_checkpoint(&run, ++checkpoint);
    close_all(&run);
    printf("state of parallelism %u: %.0f MB in the checkpoint\n", parallelism, (double)size / 1e6);
}

/* -- measuring -------------------------------------------------------------------------------- */

/* Thread: main. */
struct times {
    double verify, open, total;
};

static struct times restore(struct run *run, uint32_t parallelism)
{
    bool found;
    double start = now_ms();
    check(storage_open(root, JOB, 1, &run->storage));
    check(storage_restore(run->storage, workers, &run->metadata, &found));
    double verified = now_ms();
    open_all(run, parallelism, true);
    double end = now_ms();
    return (struct times){ verified - start, end - verified, end - start };
}

static int compare_totals(const void *a, const void *b)
{
    const struct times *left = a, *right = b;
    return (left->total > right->total) - (left->total < right->total);
}

/* Of all users, in an order that no cache guesses. */
static double read_all_us(struct run *run)
{
    double start = now_ms();
    for (uint64_t i = 0; i < USERS / 16; i++) {
        uint64_t user = i * 7919 % USERS;
        struct row_key row = row_of(&user);
        expect(&run->subtasks[key_group_subtask(row.group, run->parallelism, MAX_PARALLELISM)],
            user);
    }
    return (now_ms() - start) * 1e3 / (double)(USERS / 16);
}

static void bench(const char *name, uint32_t parallelism, double goal_ms)
{
    struct times times[ROUNDS];
    char line[96];
    double read_us = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct run run = { 0 };
        times[i] = restore(&run, parallelism);
        if (i == ROUNDS - 1)
            read_us = read_all_us(&run);
        close_all(&run);
        checkpoint_metadata_release(&run.metadata);
    }
    qsort(times, ROUNDS, sizeof(times[0]), compare_totals);
    at_most(name, times[ROUNDS / 2].total, "ms", goal_ms);
    snprintf(line, sizeof(line), "%s, of that verifying", name);
    at_most(line, times[ROUNDS / 2].verify, "ms", 0);
    snprintf(line, sizeof(line), "%s, a read afterwards", name);
    at_most(line, read_us, "us", 0);
}

int main(void)
{
    snprintf(root, sizeof(root), "build/bench-restore-XXXXXX");
    if (mkdtemp(root) == NULL) {
        perror(root);
        return 1;
    }
    rocksdb_set_cache_size(MEMORY_SIZE / 2);
    workers = workers_new(4, 64);
    write_state(1);
    bench("restore of 1 GB, unchanged", 1, 500);
    bench("restore of 1 GB, 1 -> 2", 2, 3000);
    check(os_remove_tree(root));
    write_state(2);
    bench("restore of 1 GB, 2 -> 1", 1, 3000);
    workers_free(workers);
    check(os_remove_tree(root));
    return 0;
}

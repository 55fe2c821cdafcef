/* state_large.c -- a checkpoint of 10 GB of state of which one key in a hundred has changed.
 *
 * 62.5 million rows of 8 + 152 random bytes, so that compression wins nothing, on the cached backend with
 * what a user's --memory 2GB gives one keyed operator. They are written in the order of the store, below the
 * cache, which spares the filling every compaction; groups follow from that order, not from hashes. The cache
 * is then opened on that checkpoint, as after a restart, and once it knows its rows a round is
 *
 *      read-modify-write of as many random keys as are one in a hundred, nearly all read from the store
 *      snapshot                    the task waits for it: the stall
 *      snapshot_write              on a worker, while the task goes on with random keys
 *
 * Wall time; median and worst of the rounds. What the disk syncs is measured before and after them, with
 * 1 GB in one file, for the goals are those of a disk that syncs 250 MB/s. It takes 12 GB on the disk and a
 * few minutes; a process of its own does the work, so that the directory is removed however it ends.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short|-. */
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/worker.h"
#include "checkpoint/storage.h"
#include "state/cache.h"
#include "state/rocksdb.h"

#include <endian.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef USERS
#define USERS UINT64_C(62500000)
#endif
#define DIRTY           (USERS / 100)
#define PIECE           UINT64_C(400000) /* rows that are written at once: 70 MB */
#define ROUNDS          5
#define BATCH           256u
#define MAX_PARALLELISM 128u
#define VALUE_WORDS     19u
#define MEMORY_SIZE \
    (UINT64_C(2) << 30) /* of the process: half of it is for state, an eighth for blocks */
#define JOB "large"

/* One checkpoint, from the barrier on. Thread: task makes it, then worker, then task when it is written. */
struct barrier {
    struct backend_snapshot *snapshot;
    struct subtask_snapshot *part;
    struct operator_snapshot *op;
    double stall_ms, cpu_ms, write_ms;
    atomic_bool is_written;
};

static char root[64];
static struct storage *storage;
static struct workers *workers;
static struct backend *backend;
static const struct backend_class *verbs;
static uint64_t checkpoint, visits;
static struct checkpoint_metadata last; /* the newest one that is complete */

static void check(weir_error *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "bench_state_large: %s\n", weir_error_message(error));
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

/* Of this thread: what a stall would be if nobody else wanted the core. */
static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void median_and_worst(const char *name, double values[ROUNDS], const char *unit, double goal)
{
    char line[96];
    qsort(values, ROUNDS, sizeof(values[0]), compare_doubles);
    at_most(name, values[ROUNDS / 2], unit, goal);
    snprintf(line, sizeof(line), "%s, worst of %d", name, ROUNDS);
    at_most(line, values[ROUNDS - 1], unit, 0);
}

/* -- records ---------------------------------------------------------------------------------- */

static struct row_key row_of(uint64_t user, uint64_t *key)
{
    *key = htobe64(user);
    return (struct row_key){ .key = { .data = (const char *)key, .size = sizeof(*key) },
        .hash = hash_bytes(key, sizeof(*key)),
        .group = (uint32_t)(user * MAX_PARALLELISM / USERS) };
}

static void end_batch(void)
{
    struct backend_expiry now = { .now_ms = os_wall_ms(), .watermark_ms = INT64_MIN };
    verbs->expire(backend, &now);
}

/* A batch of records of random users. */
static void visit_batch(void)
{
    uint64_t key;
    for (uint32_t i = 0; i < BATCH; i++) {
        bool is_new;
        void *value;
        struct row_key row = row_of(hash_mix(++visits) % USERS, &key);
        check(verbs->edit(backend, &row, WEIR_STR(""), VALUE_WORDS * 8, &value, &is_new));
        if (is_new)
            check(weir_errorf(WEIR_E_CORRUPT, "a user is not there"));
        ++*(uint64_t *)value;
    }
    end_batch();
}

/* -- checkpoints ------------------------------------------------------------------------------ */

static void freeze(struct barrier *barrier)
{
    *barrier = (struct barrier){ .part = subtask_snapshot_new(++checkpoint, 0) };
    double start = now_ms(), cpu = cpu_ms();
    check(verbs->snapshot(backend, checkpoint, &barrier->snapshot));
    barrier->stall_ms = now_ms() - start;
    barrier->cpu_ms = cpu_ms() - cpu;
}

/* Thread: worker. */
static void write_frozen(void *arg)
{
    struct barrier *barrier = arg;
    struct operator_snapshot *op = arena_alloc(&barrier->part->arena, sizeof(*op));
    *op = (struct operator_snapshot){ .uid = WEIR_STR("users"),
        .parallelism = 1,
        .backend = weir_str_of(verbs->format),
        .schema_text = WEIR_STR("users"),
        .groups = { .last = MAX_PARALLELISM - 1 } };
    double start = now_ms();
    check(verbs->snapshot_write(barrier->snapshot, &barrier->part->arena, &op->files,
        &op->file_count));
    barrier->write_ms = now_ms() - start;
    verbs->snapshot_free(barrier->snapshot);
    barrier->part->operators = op;
    barrier->part->operator_count = 1;
    atomic_store(&barrier->is_written, true);
}

static bool has_file(const struct checkpoint_metadata *metadata, const char *path)
{
    for (uint32_t i = 0; metadata->operator_count > 0 && i < metadata->operators[0].file_count; i++)
        if (strcmp(metadata->operators[0].files[i].path, path) == 0)
            return true;
    return false;
}

/* Makes it the complete one; bytes of the files that the one before has not. */
static double publish(struct barrier *barrier, double *total)
{
    struct checkpoint_metadata metadata;
    double added = 0;
    checkpoint_metadata_init(&metadata);
    metadata.job = WEIR_STR(JOB);
    metadata.checkpoint = checkpoint;
    metadata.attempt = storage_attempt(storage);
    metadata.max_parallelism = MAX_PARALLELISM;
    checkpoint_metadata_add(&metadata, barrier->part);
    subtask_snapshot_free(barrier->part);
    check(storage_publish(storage, &metadata));
    storage_clean(storage);
    verbs->confirm(backend, checkpoint);
    *total = 0;
    for (uint32_t i = 0; i < metadata.operators[0].file_count; i++) {
        const struct state_file *file = &metadata.operators[0].files[i];
        added += has_file(&last, file->path) ? 0 : (double)file->length;
        *total += (double)file->length;
    }
    checkpoint_metadata_release(&last);
    last = metadata;
    return added;
}

/* -- filling ---------------------------------------------------------------------------------- */

static void open_backend(const struct backend_class *class, const struct backend_source *source)
{
    char *directory = mem_printf("%s/users", storage_work_dir(storage));
    struct backend_options options = { .directory = directory,
        .checkpoint_dir = storage_dir(storage),
        .attempt = storage_attempt(storage),
        .groups = { .last = MAX_PARALLELISM - 1 },
        .memory_size = MEMORY_SIZE / 2,
        .workers = workers };
    verbs = class;
    check(verbs->open(&options, source, source == NULL ? 0 : 1, &backend));
    mem_free(directory);
}

static void add_user(struct changes *changes, uint64_t user)
{
    uint64_t key, value[VALUE_WORDS];
    struct row_key row = row_of(user, &key);
    for (uint64_t i = 0; i < VALUE_WORDS; i++)
        value[i] = hash_mix(user * VALUE_WORDS + i);
    changes_begin(changes, &row, false);
    changes_add(changes, WEIR_STR(""),
        (weir_str){ .data = (const char *)value, .size = sizeof(value) });
    changes_end(changes);
}

static void write_users(void)
{
    struct changes changes = { 0 };
    const struct changes *list = &changes;
    for (uint64_t user = 0; user < USERS;) {
        for (uint64_t end = user + PIECE < USERS ? user + PIECE : USERS; user < end; user++)
            add_user(&changes, user);
        check(verbs->write_changes(backend, &list, 1));
        changes_release(&changes);
    }
}

static void fill(void)
{
    double start = now_ms(), total;
    struct barrier barrier;
    open_backend(&backend_rocksdb, NULL);
    write_users();
    freeze(&barrier);
    write_frozen(&barrier);
    publish(&barrier, &total);
    verbs->close(backend);
    at_most("large state, in the checkpoint", total / 1e9, "GB", 0);
    at_most("large state, filled", (now_ms() - start) / 1e3, "s", 0);
}

/* The cache, and what it then does for a while. */
static void restore(void)
{
    const struct operator_snapshot *op = &last.operators[0];
    struct backend_source source = { .groups = op->groups,
        .files = op->files,
        .file_count = op->file_count };
    double start = now_ms();
    open_backend(&backend_cache, &source);
    workers_drain(workers, &((struct cache *)(void *)backend)->filter);
    at_most("large state, the cache knows its rows", (now_ms() - start) / 1e3, "s", 0);
}

/* -- measuring -------------------------------------------------------------------------------- */

static double sync_speed(void)
{
    enum { PIECES = 1024 };
    struct os_file *file;
    char path[128], *piece = mem_alloc(1 << 20);
    snprintf(path, sizeof(path), "%s/sync", root);
    check(os_open(path, OS_CREATE, &file));
    double start = now_ms();
    for (int i = 0; i < PIECES; i++)
        check(os_write(file, piece, 1 << 20));
    check(os_sync(file));
    double ms = now_ms() - start;
    os_close(file);
    check(os_remove(path));
    mem_free(piece);
    return PIECES * (double)(1 << 20) / 1e3 / ms;
}

/* Bytes that the process has caused to be written, compactions included. */
static double written_bytes(void)
{
    char line[128];
    double bytes = 0;
    FILE *io = fopen("/proc/self/io", "r");
    while (io != NULL && fgets(line, sizeof(line), io) != NULL)
        if (sscanf(line, "write_bytes: %lf", &bytes) == 1)
            break;
    if (io != NULL)
        fclose(io);
    return bytes;
}

/* What the rounds have measured. Thread: main. */
struct figures {
    double visit_us[ROUNDS], stall_ms[ROUNDS], cpu_ms[ROUNDS], write_ms[ROUNDS];
    double added_mb[ROUNDS], written_mb[ROUNDS];
};

static void measure_round(struct figures *it, int round)
{
    struct barrier barrier;
    double total, before = written_bytes(), start = now_ms();
    for (uint64_t i = 0; i < DIRTY; i += BATCH)
        visit_batch();
    it->visit_us[round] = (now_ms() - start) * 1e3 / (double)DIRTY;
    freeze(&barrier);
    if (!workers_submit(workers, NULL, write_frozen, &barrier))
        check(weir_errorf(WEIR_E_LIMIT, "no worker"));
    while (!atomic_load(&barrier.is_written))
        visit_batch();
    it->stall_ms[round] = barrier.stall_ms;
    it->cpu_ms[round] = barrier.cpu_ms;
    it->write_ms[round] = barrier.write_ms;
    it->added_mb[round] = publish(&barrier, &total) / 1e6;
    it->written_mb[round] = (written_bytes() - before) / 1e6;
    printf(
        "round %d: %.1f us a record, stall %.1f ms (CPU %.1f), write %.0f ms, %.0f MB new, %.0f MB "
        "written\n",
        round, it->visit_us[round], it->stall_ms[round], it->cpu_ms[round], it->write_ms[round],
        it->added_mb[round], it->written_mb[round]);
    fflush(stdout);
}

static void measure(void)
{
    struct figures it;
    double speed = sync_speed();
    for (int i = 0; i < ROUNDS; i++)
        measure_round(&it, i);
    median_and_worst("large state, 1 % dirty, stall at the barrier", it.stall_ms, "ms", 5);
    median_and_worst("large state, 1 % dirty, CPU of that stall", it.cpu_ms, "ms", 0);
    median_and_worst("large state, 1 % dirty, asynchronous part", it.write_ms, "ms", 2000);
    median_and_worst("large state, 1 % dirty, new in the checkpoint", it.added_mb, "MB", 0);
    median_and_worst("large state, 1 % dirty, written to the disk by then", it.written_mb, "MB", 0);
    median_and_worst("large state, a record of a random key", it.visit_us, "us", 0);
    at_most("large state, the disk syncs, before", speed, "MB/s", 0);
    at_most("large state, the disk syncs, after", sync_speed(), "MB/s", 0);
}

static void run(void)
{
    rocksdb_set_cache_size(MEMORY_SIZE / 8);
    workers = workers_new(4, 64);
    check(storage_open(root, JOB, 1, &storage));
    check(storage_fresh(storage));
    checkpoint_metadata_init(&last);
    fill();
    restore();
    measure();
    verbs->close(backend);
    workers_free(workers);
    checkpoint_metadata_release(&last);
    storage_close(storage);
}

/* -- cleaning up behind it -------------------------------------------------------------------- */

static volatile pid_t child;

static void pass_on(int signal_number)
{
    kill(child, signal_number);
}

int main(void)
{
    int status = 1;
    snprintf(root, sizeof(root), "build/bench-large-XXXXXX");
    if (mkdtemp(root) == NULL) {
        perror(root);
        return 1;
    }
    child = fork();
    if (child == 0) {
        run();
        exit(0);
    }
    struct sigaction action = { .sa_handler = pass_on, .sa_flags = SA_RESTART };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (child < 0 || waitpid(child, &status, 0) != child)
        perror("bench_state_large");
    check(os_remove_tree(root));
    return status == 0 ? 0 : 1;
}

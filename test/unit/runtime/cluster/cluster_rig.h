/* cluster_rig.h -- a job manager, task managers and their workers together, and a job for them.
 *
 * Dispatcher and task managers run in the test's process, on one thread and real sockets; workers are real processes:
 * the test program itself is the job's executable, so its main begins with CLUSTER_RIG_MAIN. */
#ifndef WEIR_TEST_CLUSTER_RIG_H
#define WEIR_TEST_CLUSTER_RIG_H

#include "base/log.h"
#include "base/os_child.h"
#include "checkpoint/attempt.h"
#include "net/sha256.h"
#include "runtime/cluster/dispatcher.h"
#include "runtime/cluster/job_store.h"
#include "runtime/cluster/task_executor.h"
#include "test/support/temp_dir.h"
#include <weir/weir.h>

#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Sanitizers take address space and memory as they like: no limits then, and the end-to-end tests show them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_FACTOR 0
#else
#define MEMORY_FACTOR 150
#endif
#define KEYS     97
#define MANAGERS 2
#define BOUND_MS 60000

/* -- the job ------------------------------------------------------------------------------------------ */

struct tick {
    uint64_t key, number;
};
WEIR_TYPE(tick, WEIR_FIELD(1, tick, key), WEIR_FIELD(2, tick, number));

static uint64_t bad_at; /* the count of key 7 at which user code goes wrong; 0: never */
static const char *badness;

static inline void fill(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    ((struct tick *)record)->key = index % KEYS;
    (void)seed;
    (void)ctx;
}

static inline void go_wrong(void)
{
    if (strcmp(badness, "segfault") == 0)
        raise(SIGSEGV);
    while (strcmp(badness, "loop") == 0)
        continue;
    while (strcmp(badness, "eat") == 0)
        memset(malloc(1 << 20), 1, 1 << 20);
}

static inline weir_error *count(weir_ctx *ctx, const void *record)
{
    const struct tick *in = record;
    struct tick *total = weir_state_edit(ctx, 0, tick);
    total->key = in->key;
    total->number++;
    if (bad_at > 0 && in->key == 7 && total->number == bad_at)
        go_wrong();
    weir_emit(ctx, tick, total);
    return NULL;
}

static const struct weir_state states[] = {
    { .name = "total", .kind = WEIR_VALUE, .type = &tick_type }
};
static const struct weir_operator counter = { .uid = "count",
    .in = &tick_type,
    .out = &tick_type,
    .states = states,
    .state_count = 1,
    .on_record = count };

static inline void build(weir_job *job)
{
    bad_at = (uint64_t)weir_job_number(job, "bad-at");
    badness = weir_job_text(job, "badness");
    const char *input = weir_job_text(job, "input");
    struct weir_source source =
        input[0] != '\0' ? weir_file_source(.path = input, .format = weir_json(&tick_type))
                         : weir_generator(.type = &tick_type, .generate = fill,
                               .count = (uint64_t)weir_job_number(job, "count"),
                               .per_second = (uint64_t)weir_job_number(job, "rate"));
    weir_stream *ticks = weir_source(job, "ticks", source);
    weir_stream *counts = weir_process(weir_key_by(ticks, WEIR_KEY(tick, key)), &counter, NULL);
    weir_sink(counts, "out",
        weir_file_sink(.path = weir_job_text(job, "output"), .format = weir_json(&tick_type)));
}

static const struct weir_option job_options[] = {
    { "count", WEIR_OPTION_NUMBER, "N", "1000", "How many.", 0, 0 },
    { "rate", WEIR_OPTION_NUMBER, "N", "0", "A second.", 0, 0 },
    { "input", WEIR_OPTION_TEXT, "FILE", "", "Of JSON, instead of those.", 0, 0 },
    { "output", WEIR_OPTION_TEXT, "DIR", NULL, "Where to.", 0, 0 },
    { "badness", WEIR_OPTION_TEXT, "KIND", "none", "What goes wrong.", 0, 0 },
    { "bad-at", WEIR_OPTION_NUMBER, "N", "0", "When.", 0, 0 },
};

static const struct weir_program program = { .name = "ticks",
    .options = job_options,
    .option_count = 6,
    .build = build };

/* -- the cluster -------------------------------------------------------------------------------------- */

static char *dir;
static struct net *net;
static struct workers *workers;
static struct listener *listener;
static struct blob_store *blobs;
static struct job_store *store;
static struct dispatcher *dispatcher;
static struct task_executor *managers[MANAGERS];
static struct log_dir *logs[MANAGERS + 1]; /* the last one is the job manager's */
static char digest[SHA256_HEX_SIZE + 1];

static inline int64_t now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

static inline void check(weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
}

static _Atomic uint32_t fetches_to_fail;

static inline weir_error *fetch(void *arg, const char *url, const char *which, const char *path)
{
    if (fetches_to_fail > 0) {
        fetches_to_fail--;
        return weir_error_retriable(weir_errorf(WEIR_E_CONNECTOR, "refused"));
    }
    char *from = blob_store_path(blobs, which);
    weir_error *error = os_link(from, path);
    if (error == NULL && chmod(path, 0700) != 0)
        error = weir_errorf(WEIR_E_IO, "cannot make it executable");
    mem_free(from);
    return error;
}

/* With or without a leader. */
static inline void turn(void)
{
    int64_t now = now_ms(), deadline = now + 20;
    if (dispatcher != NULL)
        dispatcher_step(dispatcher, now);
    for (uint32_t i = 0; i < MANAGERS; i++) {
        if (managers[i] != NULL)
            task_executor_step(managers[i], now);
    }
    if (dispatcher != NULL && dispatcher_deadline_ms(dispatcher) < deadline)
        deadline = dispatcher_deadline_ms(dispatcher);
    net_wait(net, os_left_ms(deadline, now));
}

static inline void start_manager(uint32_t index, uint32_t slots)
{
    char address[64];
    static char work_dirs[MANAGERS][OS_PATH_MAX];
    snprintf(address, sizeof(address), "127.0.0.1:%u", listener_port(listener));
    snprintf(work_dirs[index], sizeof(work_dirs[index]), "%s/tm-%u", dir, index);
    struct task_executor_options options = { .net = net,
        .workers = workers,
        .id = index == 0 ? "tm-0" : "tm-1",
        .host = "127.0.0.1",
        .bind_host = "127.0.0.1",
        .slot_count = slots,
        .memory_size = slots * (UINT64_C(128) << 20),
        .memory_factor_percent = MEMORY_FACTOR,
        .token = "secret",
        .asks_user = true,
        .address = address,
        .work_dir = work_dirs[index],
        .logs = logs[index],
        .watchdog_ms = 5000,
        .orphan_ms = 2000,
        .fetch = fetch };
    check(task_executor_new(&options, &managers[index]));
    int64_t until = now_ms() + BOUND_MS;
    while (!task_executor_is_registered(managers[index]) && now_ms() < until)
        turn();
    assert_true(task_executor_is_registered(managers[index]));
}

static inline void make_blob(void)
{
    static const struct blob_digest algorithm = { .begin = sha256_begin,
        .add = sha256_add,
        .end = sha256_end };
    struct blob_store_options options = { .dir = temp_dir_path(dir, "blobs"),
        .epoch = 1,
        .digest = &algorithm,
        .size_max = UINT64_C(1) << 30,
        .total_max = UINT64_C(1) << 30 };
    check(blob_store_open(&options, now_ms(), &blobs));
    char *bytes;
    size_t size;
    struct blob_put *put;
    check(sha256_file("/proc/self/exe", digest));
    check(os_read_file("/proc/self/exe", (size_t)1 << 30, &bytes, &size));
    check(blob_put_begin(blobs, digest, size, &put));
    check(blob_put_add(put, bytes, size));
    check(blob_put_finish(put, now_ms()));
    mem_free(bytes);
}

static uint32_t refusals;       /* of connections to come */
static bool has_no_checkpoints; /* the job manager says no place for them */

static inline bool accept_or_not(void *arg, struct connection *connection)
{
    if (refusals == 0)
        return dispatcher_accepted(dispatcher, connection);
    refusals--;
    return false;
}

/* A job manager that leads with this epoch, on this port (0: any). */
static inline void start_leader(uint64_t epoch, uint16_t port)
{
    static char jobs[OS_PATH_MAX], checkpoints[OS_PATH_MAX], savepoints[OS_PATH_MAX];
    snprintf(jobs, sizeof(jobs), "%s/jobs", dir);
    snprintf(checkpoints, sizeof(checkpoints), "%s/checkpoints", dir);
    snprintf(savepoints, sizeof(savepoints), "%s/savepoints", dir);
    struct job_store_options kept = { .dir = jobs, .epoch = epoch, .over_max = 100 };
    check(job_store_open(&kept, &store));
    struct dispatcher_options options = { .net = net,
        .workers = workers,
        .store = store,
        .epoch = epoch,
        .token = "secret",
        .asks_user = true,
        .blobs_url = "",
        .blobs = blobs,
        .checkpoints = has_no_checkpoints ? NULL : checkpoints,
        .savepoints = savepoints,
        .logs = logs[MANAGERS],
        .heartbeat_ms = 200,
        .heartbeat_timeout_ms = 10000,
        .slot_timeout_ms = 10000,
        .start_timeout_ms = 30000,
        .retained_jobs = 100 };
    dispatcher = dispatcher_new(&options);
    check(dispatcher_recover(dispatcher));
    struct listen_options listen = { .host = "127.0.0.1", .port = port, .accepted = accept_or_not };
    check(net_listen(net, &listen, &listener));
}

static inline void stop_leader(void)
{
    dispatcher_free(dispatcher);
    dispatcher = NULL;
    job_store_close(store);
    listener_free(listener);
}

static inline int setup(void **state)
{
    log_set_level(getenv("CLUSTER_TEST_LOG") != NULL ? LOG_DEBUG : LOG_ERROR);
    dir = temp_dir_new();
    net = net_new();
    workers = workers_new(2, 1024);
    os_children_watch(net_waker(net));
    make_blob();
    for (uint32_t i = 0; i <= MANAGERS; i++)
        check(log_dir_open(temp_dir_path(dir, "logs"), i == MANAGERS ? "jobmanager" : "taskmanager",
            64 << 20, &logs[i]));
    start_leader(1, 0);
    start_manager(0, 2);
    start_manager(1, 2);
    return 0;
}

static inline int teardown(void **state)
{
    for (uint32_t i = 0; i < MANAGERS; i++) {
        task_executor_free(managers[i]);
        managers[i] = NULL;
    }
    stop_leader();
    blob_store_close(blobs);
    for (uint32_t i = 0; i <= MANAGERS; i++)
        log_dir_close(logs[i]);
    os_children_watch(NULL);
    workers_free(workers);
    net_free(net);
    temp_dir_free(dir);
    return 0;
}

/* -- jobs --------------------------------------------------------------------------------------------- */

static inline const struct job *submit(const char *const *arguments)
{
    char id[DISPATCHER_ID_SIZE];
    struct submission submission = { .program = "ticks", .digest = digest, .arguments = arguments };
    while (arguments[submission.argument_count] != NULL)
        submission.argument_count++;
    check(dispatcher_submit(dispatcher, &submission, id));
    return dispatcher_find(dispatcher, id);
}

static inline void wait_state(const struct job *job, enum job_state state)
{
    int64_t until = now_ms() + BOUND_MS;
    while (job->state != state && !job_state_is_terminal(job->state) && now_ms() < until)
        turn();
    if (job->state != state)
        fail_msg("job is %s: %s", job_state_name(job->state),
            job->error == NULL ? "" : weir_error_message(job->error));
}

static inline void wait_checkpoints(const struct job *job, uint64_t count)
{
    int64_t until = now_ms() + BOUND_MS;
    while (job->history.completed_count < count && !job_state_is_terminal(job->state) &&
           now_ms() < until)
        turn();
    assert_true(job->history.completed_count >= count);
}

static inline void wait_failures(const struct job *job, uint64_t count)
{
    int64_t until = now_ms() + BOUND_MS;
    while (job->history.failure_count < count && now_ms() < until)
        turn();
    assert_true(job->history.failure_count >= count);
}

/* Every key counts 1, 2, 3 ... without a gap or a repeat, `count` records in all (0: any number). */
static inline uint64_t check_output(const char *path, uint64_t count_wanted)
{
    static bool seen[KEYS][100000];
    uint64_t count = 0, top[KEYS] = { 0 };
    memset(seen, 0, sizeof(seen));
    DIR *directory = opendir(path);
    assert_non_null(directory);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char file[OS_PATH_MAX];
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        FILE *lines = fopen(file, "r");
        assert_non_null(lines);
        uint64_t key, number;
        while (
            fscanf(lines, "{\"key\":%" SCNu64 ",\"number\":%" SCNu64 "}\n", &key, &number) == 2) {
            assert_true(key < KEYS && number > 0 && number < 100000);
            assert_false(seen[key][number]);
            seen[key][number] = true;
            top[key] = number > top[key] ? number : top[key];
            count++;
        }
        fclose(lines);
    }
    closedir(directory);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < KEYS; i++)
        sum += top[i];
    assert_int_equal(sum, count); /* no gap */
    if (count_wanted > 0)
        assert_int_equal(count, count_wanted);
    return count;
}

/* The pids of workers: children of ours whose verb says so. */
static inline uint32_t find_workers(int *pids, uint32_t max)
{
    uint32_t count = 0;
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(processes)) != NULL && count < max) {
        char path[300], text[512];
        int pid = (int)strtol(entry->d_name, NULL, 10), parent = 0;
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *file = pid > 0 ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fscanf(file, "%*d %*s %*c %d", &parent) != 1)
            parent = 0;
        fclose(file);
        snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
        file = parent == getpid() ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        size_t size = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        text[size] = '\0';
        if (strcmp(text, "ticks") == 0 && strcmp(text + 6, "worker") == 0)
            pids[count++] = pid;
    }
    closedir(processes);
    return count;
}

static inline void signal_a_worker(uint32_t which, int number)
{
    int pids[16];
    uint32_t count = find_workers(pids, 16);
    assert_true(count > 0);
    assert_int_equal(kill(pids[which % count], number), 0);
}

static inline const char *output(const char *name)
{
    return temp_dir_path(dir, "%s", name);
}

static inline void wait_operation(const char *id)
{
    int64_t until = now_ms() + BOUND_MS;
    while (!dispatcher_operation(dispatcher, id)->is_done && now_ms() < until)
        turn();
    const struct operation *it = dispatcher_operation(dispatcher, id);
    assert_true(it->is_done);
    if (it->error != NULL)
        fail_msg("%s", weir_error_message(it->error));
}

/* At a rate, and until it is stopped: however slow the machine is, it does not end before the test has done to it what
 * it wants to. */
#define ENDLESS \
    "--count", "1000000000", "--rate", "4000", "--checkpoint-interval", "100ms", \
        "--restart-delay", "10ms"

/* Where the savepoint is. */
static inline const char *stop(const struct job *job)
{
    static char id[DISPATCHER_ID_SIZE];
    int64_t until = now_ms() + BOUND_MS;
    id[0] = '\0';
    weir_error *error = dispatcher_stop(dispatcher, job->id, NULL, false, id);
    while (error != NULL && weir_error_code(error) == WEIR_E_STATE && now_ms() < until) {
        weir_error_free(error); /* a checkpoint is under way, or tasks are being restored */
        turn();
        error = dispatcher_stop(dispatcher, job->id, NULL, false, id);
    }
    check(error);
    wait_operation(id);
    assert_int_equal(job->state, JOB_FINISHED);
    return dispatcher_operation(dispatcher, id)->location;
}

static inline void leave(uint32_t index)
{
    int64_t until = now_ms() + BOUND_MS;
    task_executor_leave(managers[index]);
    while (!task_executor_has_left(managers[index]) && now_ms() < until)
        turn();
    assert_true(task_executor_has_left(managers[index]));
    task_executor_free(managers[index]);
    managers[index] = NULL;
}

static inline void move(const char *from, const char *to)
{
    char *paths[] = { mem_printf("%s/%s", dir, from), mem_printf("%s/%s", dir, to) };
    check(os_rename(paths[0], paths[1]));
    mem_free(paths[0]);
    mem_free(paths[1]);
}

static inline uint32_t count_in_file(const char *path, const char *words)
{
    char *text;
    size_t size;
    uint32_t count = 0;
    check(os_read_file(path, 1 << 20, &text, &size));
    for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words))
        count++;
    mem_free(text);
    return count;
}

static inline uint32_t parallelism_of(const struct job *job)
{
    return job->plan->vertices[job->plan->vertex_count - 1].parallelism;
}

#define CLUSTER_RIG_MAIN(argc, argv) \
    if ((argc) > 1 && (strcmp((argv)[1], "plan") == 0 || strcmp((argv)[1], "worker") == 0)) \
    return weir_main_program((argc), (argv), &program)
#define WITH_CLUSTER(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

#endif

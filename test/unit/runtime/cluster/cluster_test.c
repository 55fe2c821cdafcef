/* cluster_test.c -- job manager, task managers and their workers together: jobs are submitted, run in processes of
 * their own, crash, are stopped, rescaled and cancelled, and every record counts once.
 *
 * Dispatcher and task managers run in this process, on one thread and real sockets; workers are real processes:
 * this program itself is the job's executable. */
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

static void fill(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    ((struct tick *)record)->key = index % KEYS;
    (void)seed;
    (void)ctx;
}

static void go_wrong(void)
{
    if (strcmp(badness, "segfault") == 0)
        raise(SIGSEGV);
    while (strcmp(badness, "loop") == 0)
        continue;
    while (strcmp(badness, "eat") == 0)
        memset(malloc(1 << 20), 1, 1 << 20);
}

static weir_error *count(weir_ctx *ctx, const void *record)
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

static void build(weir_job *job)
{
    bad_at = (uint64_t)weir_job_number(job, "bad-at");
    badness = weir_job_text(job, "badness");
    weir_stream *ticks = weir_source(job, "ticks",
        weir_generator(.type = &tick_type, .generate = fill,
            .count = (uint64_t)weir_job_number(job, "count"),
            .per_second = (uint64_t)weir_job_number(job, "rate")));
    weir_stream *counts = weir_process(weir_key_by(ticks, WEIR_KEY(tick, key)), &counter, NULL);
    weir_sink(counts, "out",
        weir_file_sink(.path = weir_job_text(job, "output"), .format = weir_json(&tick_type)));
}

static const struct weir_option job_options[] = {
    { "count", WEIR_OPTION_NUMBER, "N", "1000", "How many.", 0, 0 },
    { "rate", WEIR_OPTION_NUMBER, "N", "0", "A second.", 0, 0 },
    { "output", WEIR_OPTION_TEXT, "DIR", NULL, "Where to.", 0, 0 },
    { "badness", WEIR_OPTION_TEXT, "KIND", "none", "What goes wrong.", 0, 0 },
    { "bad-at", WEIR_OPTION_NUMBER, "N", "0", "When.", 0, 0 },
};

static const struct weir_program program = { .name = "ticks",
    .options = job_options,
    .option_count = 5,
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

static int64_t now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

static void check(weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
}

static _Atomic uint32_t fetches_to_fail;

static weir_error *fetch(void *arg, const char *url, const char *which, const char *path)
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
static void turn(void)
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
    net_wait(net, deadline <= now ? 0 : deadline - now);
}

static void start_manager(uint32_t index, uint32_t slots)
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

static void make_blob(void)
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

static bool accept_or_not(void *arg, struct connection *connection)
{
    if (refusals == 0)
        return dispatcher_accepted(dispatcher, connection);
    refusals--;
    return false;
}

/* A job manager that leads with this epoch, on this port (0: any). */
static void start_leader(uint64_t epoch, uint16_t port)
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

static void stop_leader(void)
{
    dispatcher_free(dispatcher);
    dispatcher = NULL;
    job_store_close(store);
    listener_free(listener);
}

static int setup(void **state)
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

static int teardown(void **state)
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

static const struct job *submit(const char *const *arguments)
{
    char id[DISPATCHER_ID_SIZE];
    struct submission submission = { .program = "ticks", .digest = digest, .arguments = arguments };
    while (arguments[submission.argument_count] != NULL)
        submission.argument_count++;
    check(dispatcher_submit(dispatcher, &submission, id));
    return dispatcher_find(dispatcher, id);
}

static void wait_state(const struct job *job, enum job_state state)
{
    int64_t until = now_ms() + BOUND_MS;
    while (job->state != state && !job_state_is_terminal(job->state) && now_ms() < until)
        turn();
    if (job->state != state)
        fail_msg("job is %s: %s", job_state_name(job->state),
            job->error == NULL ? "" : weir_error_message(job->error));
}

static void wait_checkpoints(const struct job *job, uint64_t count)
{
    int64_t until = now_ms() + BOUND_MS;
    while (job->history.completed_count < count && !job_state_is_terminal(job->state) &&
           now_ms() < until)
        turn();
    assert_true(job->history.completed_count >= count);
}

static void wait_failures(const struct job *job, uint64_t count)
{
    int64_t until = now_ms() + BOUND_MS;
    while (job->history.failure_count < count && now_ms() < until)
        turn();
    assert_true(job->history.failure_count >= count);
}

/* Every key counts 1, 2, 3 ... without a gap or a repeat, `count` records in all (0: any number). */
static uint64_t check_output(const char *path, uint64_t count_wanted)
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
static uint32_t find_workers(int *pids, uint32_t max)
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

static void signal_a_worker(uint32_t which, int number)
{
    int pids[16];
    uint32_t count = find_workers(pids, 16);
    assert_true(count > 0);
    assert_int_equal(kill(pids[which % count], number), 0);
}

static const char *output(const char *name)
{
    return temp_dir_path(dir, "%s", name);
}

static void wait_operation(const char *id)
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
static const char *stop(const struct job *job)
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

static void a_job_runs_on_two_task_managers(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "4", "--count", "20000", "--output", out,
        "--checkpoint-interval", "200ms", NULL };
    const struct job *job = submit(arguments);
    wait_state(job, JOB_FINISHED);
    check_output(out, 20000);
}

static void an_executable_that_cannot_be_fetched_at_once_is_fetched_again(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--count", "100", "--output", out, NULL };
    fetches_to_fail = 2;
    wait_state(submit(arguments), JOB_FINISHED);
    assert_int_equal(fetches_to_fail, 0);
    check_output(out, 100);
}

static void a_worker_that_is_killed_costs_no_record_and_doubles_none(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "4", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    signal_a_worker(0, SIGKILL);
    wait_failures(job, 1);
    wait_checkpoints(job, job->history.completed_count + 1);
    signal_a_worker(1, SIGKILL);
    wait_failures(job, 2);
    wait_checkpoints(job, job->history.completed_count + 1);
    stop(job);
    check_output(out, 0);
}

static void what_user_code_does_wrong_ends_that_attempt_and_is_told(void **state)
{
    static const struct {
        const char *badness, *told;
    } rows[] = { { "segfault", "SIGSEGV in operator 'count'" }, { "loop", "has not come back" },
        { "eat", "MB of memory" } };
    char out[OS_PATH_MAX];
    for (size_t i = 0; i < (MEMORY_FACTOR == 0 ? 2 : 3); i++) {
        snprintf(out, sizeof(out), "%s", output(rows[i].badness));
        const char *bad[] = { "--count", "100000", "--rate", "20000", "--output", out, "--badness",
            rows[i].badness, "--bad-at", "20", "--restart", "fixed", "--restart-attempts", "1",
            "--restart-delay", "10ms", NULL };
        char good_out[OS_PATH_MAX];
        snprintf(good_out, sizeof(good_out), "%s", temp_dir_path(dir, "%s-good", rows[i].badness));
        const char *good[] = { "--count", "5000", "--rate", "5000", "--output", good_out,
            "--checkpoint-interval", "200ms", NULL };
        const struct job *bad_job = submit(bad), *good_job = submit(good);
        wait_state(bad_job, JOB_FAILED);
        wait_state(good_job, JOB_FINISHED);
        assert_int_equal(good_job->history.failure_count, 0);
        check_output(good_out, 5000);
        assert_non_null(strstr(weir_error_message(bad_job->error), rows[i].told));
    }
}

static void a_job_stops_with_a_savepoint_and_another_one_goes_on_from_it(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *first[] = { "--parallelism", "3", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(first);
    wait_checkpoints(job, 2);
    const char *path = stop(job);
    uint64_t count = check_output(out, 0);
    const char *second[] = { "--parallelism", "2", "--output", out, ENDLESS, "--from-savepoint",
        path, NULL };
    job = submit(second);
    wait_checkpoints(job, 2);
    stop(job);
    assert_true(check_output(out, 0) > count);
}

static void a_running_job_is_rescaled_up_and_down(void **state)
{
    static const uint32_t to[] = { 4, 1, 3 };
    char out[OS_PATH_MAX], job_id[DISPATCHER_ID_SIZE];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 1);
    for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
        char id[DISPATCHER_ID_SIZE] = "";
        check(dispatcher_rescale(dispatcher, job->id, to[i], id));
        wait_operation(id);
        assert_int_equal(job->plan->vertices[job->plan->vertex_count - 1].parallelism, to[i]);
    }
    memcpy(job_id, job->id, sizeof(job_id));
    uint16_t port = listener_port(listener);
    stop_leader();
    start_leader(2, port);
    job = dispatcher_find(dispatcher, job_id);
    wait_state(job, JOB_RUNNING);
    assert_int_equal(job->plan->vertices[job->plan->vertex_count - 1].parallelism, 3);
    stop(job);
    check_output(out, 0);
}

static void a_lost_task_manager_is_replaced_by_another_one(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    uint32_t used = strcmp(gateway_worker(job->gateway, 0)->task_manager, "tm-0") == 0 ? 0 : 1;
    task_executor_free(managers[used]);
    managers[used] = NULL;
    wait_failures(job, 1);
    wait_checkpoints(job, job->history.completed_count + 1);
    stop(job);
    check_output(out, 0);
}

/* Until some have come to the last task. */
static void wait_records(const struct job *job)
{
    int64_t until = now_ms() + BOUND_MS;
    wait_state(job, JOB_RUNNING);
    while (gateway_metrics(job->gateway, job->plan->subtask_count - 1)->records_in == 0 &&
           now_ms() < until)
        turn();
    assert_true(gateway_metrics(job->gateway, job->plan->subtask_count - 1)->records_in > 0);
}

static void leave(uint32_t index)
{
    int64_t until = now_ms() + BOUND_MS;
    task_executor_leave(managers[index]);
    while (!task_executor_has_left(managers[index]) && now_ms() < until)
        turn();
    assert_true(task_executor_has_left(managers[index]));
    task_executor_free(managers[index]);
    managers[index] = NULL;
}

/* It may not restart, so a loss would be its end. */
static void a_job_moves_from_a_task_manager_that_leaves_to_another_one_or_waits_for_one(
    void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, "--restart", "none",
        "--count", "1000000000", "--rate", "4000", "--checkpoint-interval", "1h", NULL };
    const struct job *job = submit(arguments);
    wait_records(job);
    uint32_t used = strcmp(gateway_worker(job->gateway, 0)->task_manager, "tm-0") == 0 ? 0 : 1;
    uint64_t attempt = job->stats->attempt;
    leave(used);
    assert_int_equal(job->history.completed_count, 1);
    wait_records(job);
    assert_string_equal(gateway_worker(job->gateway, 0)->task_manager, used == 0 ? "tm-1" : "tm-0");
    assert_true(job->stats->attempt > attempt);
    assert_true(job->history.restored > 0);
    leave(1 - used);
    assert_int_equal(job->history.completed_count, 2);
    wait_state(job, JOB_CREATED);
    start_manager(used, 2);
    wait_records(job);
    assert_int_equal(job->history.failure_count, 0);
    stop(job);
    assert_true(check_output(out, 0) > 0);
}

static void a_job_whose_checkpoints_are_temporary_keeps_its_state_when_it_is_rescaled_or_moves(
    void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE] = "";
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    uint16_t port = listener_port(listener);
    stop_leader();
    has_no_checkpoints = true;
    start_leader(2, port);
    has_no_checkpoints = false;
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    check(dispatcher_rescale(dispatcher, job->id, 1, id));
    wait_operation(id);
    assert_true(job->history.restored > 0);
    uint64_t count = job->history.completed_count;
    leave(strcmp(gateway_worker(job->gateway, 0)->task_manager, "tm-0") == 0 ? 0 : 1);
    wait_checkpoints(job, count + 2);
    stop(job);
    assert_true(check_output(out, 0) > 0);
}

static void a_new_leader_takes_over_what_the_old_one_has_left(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    int pids[16];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "3", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    memcpy(id, job->id, sizeof(id));
    wait_checkpoints(job, 2);
    uint16_t port = listener_port(listener);
    stop_leader();
    assert_int_equal(find_workers(pids, 16), 2); /* they go on */
    start_leader(2, port);
    job = dispatcher_find(dispatcher, id);
    assert_non_null(job);
    wait_checkpoints(job, 2);
    assert_true(job->history.restored > 0);
    stop(job);
    check_output(out, 0);
    stop_leader();
    start_leader(3, port);
    assert_int_equal(dispatcher_find(dispatcher, id)->state, JOB_FINISHED);
}

/* As an old leader does that was frozen in the middle of its claim. */
static void an_attempt_that_is_claimed_behind_the_leaders_back_is_taken_back_once(void **state)
{
    char out[OS_PATH_MAX];
    uint64_t attempt;
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    wait_checkpoints(job, 2);
    check(attempt_claim(temp_dir_path(dir, "checkpoints/%s/ticks", job->id), &attempt));
    wait_failures(job, 1);
    wait_checkpoints(job, job->history.completed_count + 2);
    assert_true(job->stats->attempt > attempt);
    check(attempt_claim(temp_dir_path(dir, "checkpoints/%s/ticks", job->id), &attempt));
    wait_state(job, JOB_FAILED);
    assert_int_equal(weir_error_code(job->error), WEIR_E_FENCED);
    check_output(out, 0);
}

static void workers_that_no_leader_comes_for_end_by_themselves(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    int pids[16];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "3", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(arguments);
    memcpy(id, job->id, sizeof(id));
    wait_checkpoints(job, 1);
    uint16_t port = listener_port(listener);
    stop_leader();
    int64_t until = now_ms() + BOUND_MS;
    while (find_workers(pids, 16) > 0 && now_ms() < until)
        turn();
    assert_int_equal(find_workers(pids, 16), 0);
    start_leader(2, port);
    job = dispatcher_find(dispatcher, id);
    wait_checkpoints(job, 2);
    stop(job);
    check_output(out, 0);
}

/* It has imported the savepoint, and waits for slots. */
static void a_start_from_a_savepoint_is_finished_by_the_next_leader(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *first[] = { "--parallelism", "2", "--output", out, ENDLESS, NULL };
    const struct job *job = submit(first);
    wait_checkpoints(job, 2);
    const char *path = stop(job);
    uint64_t count = check_output(out, 0);
    task_executor_free(managers[1]);
    managers[1] = NULL;
    const char *second[] = { "--parallelism", "3", "--output", out, ENDLESS, "--from-savepoint",
        path, NULL };
    job = submit(second);
    memcpy(id, job->id, sizeof(id));
    int64_t until = now_ms() + BOUND_MS;
    while (job->history.restored == 0 && now_ms() < until)
        turn();
    assert_true(job->history.restored > 0);
    uint16_t port = listener_port(listener);
    stop_leader();
    start_leader(2, port);
    start_manager(1, 2);
    job = dispatcher_find(dispatcher, id);
    wait_checkpoints(job, 2);
    stop(job);
    assert_true(check_output(out, 0) > count);
}

static void move(const char *from, const char *to)
{
    char *paths[] = { mem_printf("%s/%s", dir, from), mem_printf("%s/%s", dir, to) };
    check(os_rename(paths[0], paths[1]));
    mem_free(paths[0]);
    mem_free(paths[1]);
}

static void what_the_store_cannot_take_now_it_takes_later(void **state)
{
    char out[OS_PATH_MAX], id[DISPATCHER_ID_SIZE];
    int pids[16];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--count", "3000", "--rate", "3000", "--output", out, NULL };
    const struct job *job = submit(arguments);
    memcpy(id, job->id, sizeof(id));
    move("jobs", "away");
    char *opened = mem_printf("%s/checkpoints/%s/ticks", dir, id);
    struct os_stat stat = { .exists = false };
    for (int64_t until = now_ms() + BOUND_MS; !stat.exists && now_ms() < until;) {
        turn();
        check(os_stat(opened, &stat));
    }
    mem_free(opened);
    assert_true(stat.exists);
    for (uint32_t i = 0; i < 50; i++)
        turn();
    assert_int_equal(job->state, JOB_INITIALIZING);
    assert_int_equal(find_workers(pids, 16), 0); /* nothing runs of which no leader would know */
    move("away", "jobs");
    wait_state(job, JOB_RUNNING);
    move("jobs", "away");
    for (int64_t until = now_ms() + BOUND_MS; job->jobmanager != NULL && now_ms() < until;)
        turn();
    assert_null(
        job->jobmanager); /* it is over, but the next leader would start it again: nobody is told */
    assert_int_equal(job->state, JOB_RUNNING);
    assert_int_equal(job_store_find(store, id)->status, RECORD_RUNNING);
    move("away", "jobs");
    wait_state(job, JOB_FINISHED);
    assert_int_equal(job_store_find(store, id)->status, RECORD_FINISHED);
    uint16_t port = listener_port(listener);
    stop_leader();
    start_leader(2, port);
    assert_int_equal(dispatcher_find(dispatcher, id)->state, JOB_FINISHED);
    check_output(out, 3000);
}

static void a_job_is_cancelled_and_its_slots_are_free_again(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--parallelism", "4", "--count", "100000000", "--output", out,
        NULL };
    const struct job *job = submit(arguments);
    wait_state(job, JOB_RUNNING);
    assert_int_equal(resources_slots_free(dispatcher_resources(dispatcher)), 0);
    check(dispatcher_cancel(dispatcher, job->id));
    wait_state(job, JOB_CANCELED);
    assert_int_equal(resources_slots_free(dispatcher_resources(dispatcher)), 4);
    weir_error *error = dispatcher_cancel(dispatcher, job->id);
    assert_int_equal(weir_error_code(error), WEIR_E_STATE);
    weir_error_free(error);
}

/* Nothing happens to a job that waits: it must hear of what happens to others. */
static void jobs_that_wait_for_slots_get_those_of_others_in_the_order_they_came(void **state)
{
    const struct job *jobs[3];
    for (uint32_t i = 0; i < 3; i++) {
        char out[OS_PATH_MAX], name[8] = { 'o', 'u', 't', (char)('0' + i) };
        snprintf(out, sizeof(out), "%s", output(name));
        const char *arguments[] = { "--parallelism", "4", "--count", "100000000", "--rate", "1000",
            "--output", out, NULL };
        jobs[i] = submit(arguments);
        wait_state(jobs[i], i == 0 ? JOB_RUNNING : JOB_CREATED);
    }
    for (uint32_t i = 0; i < 3; i++) {
        wait_state(jobs[i], JOB_RUNNING);
        for (uint32_t later = i + 1; later < 3; later++)
            assert_int_equal(jobs[later]->state, JOB_CREATED);
        check(dispatcher_cancel(dispatcher, jobs[i]->id));
        wait_state(jobs[i], JOB_CANCELED);
    }
}

static uint32_t count_in_file(const char *path, const char *words)
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

static void a_job_that_waits_for_slots_says_so_once(void **state)
{
    const char *path = temp_dir_path(dir, "log");
    const char *many[] = { "--parallelism", "5", "--output", output("many"), ENDLESS, NULL };
    const char *one[] = { "--count", "10", "--output", output("one"), NULL };
    check(log_set_file(path, 1 << 20));
    log_set_level(LOG_WARN);
    const struct job *job = submit(many);
    char *told = mem_printf("%s waits for slots: it needs 5, but only 4 of 4 are free", job->id);
    int64_t until = now_ms() + BOUND_MS;
    while (count_in_file(path, told) == 0 && now_ms() < until)
        turn();
    wait_state(submit(one), JOB_FINISHED); /* slots come and go: it looks again */
    assert_int_equal(count_in_file(path, told), 1);
    assert_int_equal(count_in_file(path, "waits for slots"), 1);
    mem_free(told);
    check(log_set_file(NULL, 0));
}

static void a_job_that_cannot_be_planned_fails_with_its_own_words(void **state)
{
    const char *arguments[] = { "--colour", "blue", NULL };
    const struct job *job = submit(arguments);
    wait_state(job, JOB_FAILED);
    assert_non_null(strstr(weir_error_message(job->error), "--colour"));
}

static void a_job_submitted_twice_is_refused_and_the_first_goes_on(void **state)
{
    char out[OS_PATH_MAX], own[OS_PATH_MAX], slash[OS_PATH_MAX + 1];
    snprintf(out, sizeof(out), "%s", output("out"));
    snprintf(own, sizeof(own), "%s", temp_dir_path(dir, "own"));
    snprintf(slash, sizeof(slash), "%s/", own);
    const char *first[] = { "--output", out, "--checkpoints", own, ENDLESS, NULL };
    const char *again[] = { "--output", out, "--checkpoints", slash, ENDLESS, NULL };
    const char *other[] = { "--output", output("other"), "--checkpoints", own, "--job-name",
        "other", ENDLESS, NULL };
    const struct job *job = submit(first);
    wait_checkpoints(job, 1);
    const struct job *second = submit(again);
    wait_state(second, JOB_FAILED);
    assert_int_equal(weir_error_code(second->error), WEIR_E_STATE);
    assert_non_null(strstr(weir_error_message(second->error), job->id));
    assert_non_null(strstr(weir_error_message(second->error), "another --job-name or --check"));
    wait_state(submit(other), JOB_RUNNING);
    wait_checkpoints(job, job->history.completed_count + 2);
    assert_int_equal(job->history.failure_count, 0);
    stop(job);
    wait_state(submit(again), JOB_RUNNING); /* it is over now */
    check_output(out, 0);
}

struct heard {
    bool is_there;
    char text[1 << 16];
};

static void hear(void *arg, weir_str bytes, const weir_error *error)
{
    struct heard *heard = arg;
    heard->is_there = true;
    snprintf(heard->text, sizeof(heard->text), "%.*s", (int)bytes.size,
        error == NULL ? bytes.data : "");
}

static void the_last_words_of_a_worker_can_be_read_when_it_is_gone(void **state)
{
    static struct heard heard;
    char out[OS_PATH_MAX], name[128], manager[64];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--count", "100000", "--rate", "20000", "--output", out,
        "--badness", "segfault", "--bad-at", "20", "--restart", "none", NULL };
    const struct job *job = submit(arguments);
    wait_state(job, JOB_RUNNING);
    snprintf(manager, sizeof(manager), "%s", gateway_worker(job->gateway, 0)->task_manager);
    snprintf(name, sizeof(name), "%s-%" PRIu64 "-0.log", job->id, job->stats->attempt);
    wait_state(job, JOB_FAILED);
    struct log_question question = { .kind = LOG_NAMED,
        .name = weir_str_of(name),
        .offset = LOG_END };
    heard.is_there = false;
    check(dispatcher_log(dispatcher, manager, &question, hear, &heard));
    int64_t until = now_ms() + BOUND_MS;
    while (!heard.is_there && now_ms() < until)
        turn();
    assert_non_null(strstr(heard.text, "SIGSEGV in operator 'count'"));
}

static void a_worker_that_loses_the_job_manager_before_it_has_tasks_is_replaced(void **state)
{
    char out[OS_PATH_MAX];
    snprintf(out, sizeof(out), "%s", output("out"));
    const char *arguments[] = { "--count", "1000", "--output", out, "--restart-delay", "10ms",
        NULL };
    refusals = 2;
    const struct job *job = submit(arguments);
    wait_state(job, JOB_FINISHED);
    assert_int_equal(refusals, 0);
    assert_int_equal(job->history.failure_count, 2);
    check_output(out, 1000);
}

/* WEIR_TEST_ONLY=<pattern> runs the tests whose names match. */
int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "plan") == 0 || strcmp(argv[1], "worker") == 0))
        return weir_main_program(argc, argv, &program);
#define WITH_CLUSTER(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_CLUSTER(a_job_runs_on_two_task_managers),
        WITH_CLUSTER(an_executable_that_cannot_be_fetched_at_once_is_fetched_again),
        WITH_CLUSTER(a_worker_that_is_killed_costs_no_record_and_doubles_none),
        WITH_CLUSTER(what_user_code_does_wrong_ends_that_attempt_and_is_told),
        WITH_CLUSTER(a_job_stops_with_a_savepoint_and_another_one_goes_on_from_it),
        WITH_CLUSTER(a_running_job_is_rescaled_up_and_down),
        WITH_CLUSTER(a_lost_task_manager_is_replaced_by_another_one),
        WITH_CLUSTER(a_job_moves_from_a_task_manager_that_leaves_to_another_one_or_waits_for_one),
        WITH_CLUSTER(
            a_job_whose_checkpoints_are_temporary_keeps_its_state_when_it_is_rescaled_or_moves),
        WITH_CLUSTER(a_new_leader_takes_over_what_the_old_one_has_left),
        WITH_CLUSTER(an_attempt_that_is_claimed_behind_the_leaders_back_is_taken_back_once),
        WITH_CLUSTER(workers_that_no_leader_comes_for_end_by_themselves),
        WITH_CLUSTER(a_start_from_a_savepoint_is_finished_by_the_next_leader),
        WITH_CLUSTER(what_the_store_cannot_take_now_it_takes_later),
        WITH_CLUSTER(a_job_is_cancelled_and_its_slots_are_free_again),
        WITH_CLUSTER(jobs_that_wait_for_slots_get_those_of_others_in_the_order_they_came),
        WITH_CLUSTER(a_job_that_waits_for_slots_says_so_once),
        WITH_CLUSTER(a_job_that_cannot_be_planned_fails_with_its_own_words),
        WITH_CLUSTER(a_job_submitted_twice_is_refused_and_the_first_goes_on),
        WITH_CLUSTER(a_worker_that_loses_the_job_manager_before_it_has_tasks_is_replaced),
        WITH_CLUSTER(the_last_words_of_a_worker_can_be_read_when_it_is_gone),
    };
    cmocka_set_test_filter(getenv("WEIR_TEST_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

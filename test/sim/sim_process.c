/* sim_process.c -- see sim_process.h. */
#include "test/sim/sim_process.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_child.h"
#include "net/sha256.h"
#include "test/sim/sim_connection.h"
#include "test/sim/sim_net.h"
#include "test/sim/sim_os.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define RPC_PORT       6123
#define JOBS_MAX       1024
#define PLAN_SIZE      JOB_SPEC_SIZE_MAX
#define MEMORY_OF_SLOT (UINT64_C(512) << 20)
#define WIRE_LOOK_MS   10 /* while workers connect to each other */
#define PLAN_NS        INT64_C(2000000)
#define PROGRAM_TEXT   "the job's executable"
#define NO_UNIT        UINT32_MAX /* it begins, or ends: it has no other threads yet, or no more */

static struct processes {
    struct sim_processes_options options;
    struct sim_process *list[SIM_OBSERVER];
    uint32_t end; /* none is at or behind it */
    uint64_t ended;
} processes;

struct os_child {
    struct sim_process *process; /* NULL: it has ended, or is a planner */
    int64_t ends_ns;             /* of a planner */
    bool has_ended;
    struct os_child_end end;
    weir_buffer *output;
    int pid;
};

/* -- numbers -------------------------------------------------------------------------------------- */

static struct sim_process *add(enum sim_process_kind kind, uint32_t index, uint32_t machine)
{
    struct sim_process *it = mem_alloc(sizeof(*it));
    uint32_t i = 0;
    while (i < SIM_OBSERVER && processes.list[i] != NULL)
        i++;
    ASSERT(i < SIM_OBSERVER);
    it->kind = kind;
    it->unit = NO_UNIT;
    it->number = i;
    it->index = index;
    it->machine = machine;
    processes.list[i] = it;
    processes.end = i + 1 > processes.end ? i + 1 : processes.end;
    sim_net_place(i, machine);
    return it;
}

static void forget(struct sim_process *it)
{
    processes.list[it->number] = NULL;
    mem_free(it->id);
    mem_free(it->dir);
    mem_free(it);
}

struct sim_process *sim_process_at(uint32_t number)
{
    return number < processes.end ? processes.list[number] : NULL;
}

struct sim_process *sim_process_find(enum sim_process_kind kind, uint32_t index)
{
    for (uint32_t i = 0; i < processes.end; i++) {
        struct sim_process *it = processes.list[i];
        if (it != NULL && it->kind == kind && it->index == index && !it->is_killed)
            return it;
    }
    return NULL;
}

bool sim_process_runs(const struct sim_process *process)
{
    return !process->is_killed && !process->is_running &&
           process->paused_until_ns <= os_monotonic_ns();
}

uint32_t sim_processes_end(void)
{
    return processes.end;
}

const char *sim_process_name(const struct sim_process *process)
{
    static const char *const kinds[SIM_PROCESS_KINDS] = { "job manager", "task manager",
        "worker of task manager" };
    static char name[64];
    snprintf(name, sizeof(name), "%s %u (process %u)", kinds[process->kind], process->index,
        process->number);
    return name;
}

/* -- the end of one ------------------------------------------------------------------------------- */

/* In good order, or what is left of one that was killed. */
static weir_error *release(struct sim_process *it)
{
    weir_error *error = NULL;
    sim_os_run_as(it->number);
    it->is_running = true; /* it may be frozen on its last way, too */
    if (it->worker != NULL)
        error = worker_close(it->worker);
    sim_program_close(it->program);
    leader_free(it->leader);
    task_executor_free(it->executor);
    election_free(it->election);
    workers_free(it->workers);
    net_free(it->net);
    ASSERT(sim_os_open_files(it->number) == 0);
    return error;
}

static void set_end(struct sim_process *it, int status, int signal)
{
    struct os_child *child = it->child;
    if (child == NULL)
        return;
    child->process = NULL;
    child->has_ended = true;
    child->end = (struct os_child_end){ .status = status, .signal = signal };
    it->child = NULL;
    sim_net_stir();
}

void sim_process_kill(struct sim_process *process)
{
    if (process->is_killed)
        return;
    process->is_killed = true;
    sim_os_kill(process->number);
    sim_net_kill(process->number);
    set_end(process, -1, SIGKILL);
    for (uint32_t i = 0; i < processes.end; i++) {
        struct sim_process *it = processes.list[i];
        if (it != NULL && it->parent == process)
            sim_process_kill(it);
    }
}

void sim_processes_reap(void)
{
    for (uint32_t i = 0; i < processes.end; i++) {
        struct sim_process *it = processes.list[i];
        if (it != NULL && !it->is_killed && sim_os_is_dead(i))
            sim_process_kill(it); /* it died in a call */
        if (it == NULL || !it->is_killed || it->is_running)
            continue;
        for (uint32_t w = 0; w < processes.end; w++) {
            if (processes.list[w] != NULL && processes.list[w]->parent == it)
                processes.list[w]->parent = NULL;
        }
        weir_error_free(release(it));
        sim_os_reap(i);
        forget(it);
    }
}

static void end_worker(struct sim_process *it)
{
    weir_error *error = release(it);
    if (error != NULL && sim_os_is_dead(it->number) == false)
        log_warn("sim", "%s ends: %s", sim_process_name(it), weir_error_message(error));
    processes.ended++;
    if (sim_os_is_dead(it->number)) { /* killed on its last way */
        set_end(it, -1, SIGKILL);
        sim_net_kill(it->number);
        sim_os_reap(it->number);
    } else {
        set_end(it, error == NULL ? 0 : weir_code_exit(weir_error_code(error)), 0);
    }
    weir_error_free(error);
    forget(it);
}

/* -- children ------------------------------------------------------------------------------------- */

static void plan(struct os_child *child, const struct os_child_options *options)
{
    struct sim_program *program =
        sim_program_open(processes.options.shape, &processes.options.setup, options->argv);
    child->output = weir_buffer_new(PLAN_SIZE);
    sim_program_plan(program, child->output);
    sim_program_close(program);
    child->ends_ns = os_monotonic_ns() + PLAN_NS;
}

static void start_worker(struct os_child *child, const struct os_child_options *options)
{
    struct sim_process *parent = sim_process_at(sim_os_process());
    struct sim_process *it = add(SIM_WORKER, parent->index, parent->machine);
    it->parent = parent;
    it->child = child;
    child->process = it;
    child->pid = (int)it->number;
    it->program =
        sim_program_open(processes.options.shape, &processes.options.setup, options->argv);
    processes.options.setup.fail_at = 0; /* of this worker only */
    sim_os_run_as(it->number);
    it->is_running = true;
    it->worker = worker_open(it->program->plan, &it->program->options.local, options->input);
    it->is_running = false;
    sim_os_run_as(parent->number);
}

static weir_error *child_start(const struct os_child_options *options, struct os_child **child)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(options->path, &stat));
    if (!stat.exists)
        return weir_errorf(WEIR_E_USAGE, "'%s' is not there", options->path);
    struct os_child *it = *child = mem_alloc(sizeof(*it));
    if (strcmp(options->argv[1], "plan") == 0)
        plan(it, options);
    else
        start_worker(it, options);
    sim_net_stir();
    return NULL;
}

static bool child_has_ended(struct os_child *child, struct os_child_end *end)
{
    if (child->output != NULL && os_monotonic_ns() >= child->ends_ns)
        child->has_ended = true;
    if (child->has_ended)
        *end = child->end;
    return child->has_ended;
}

static void child_kill(const struct os_child *child, int signal)
{
    (void)signal;
    if (child->process != NULL)
        sim_process_kill(child->process);
}

static int child_pid(const struct os_child *child)
{
    return child->pid;
}

static uint64_t child_rss(const struct os_child *child)
{
    (void)child;
    return 1 << 20;
}

static weir_error *child_output(struct os_child *child, size_t size_max, char **bytes, size_t *size)
{
    weir_str text = weir_buffer_view(child->output);
    ASSERT(text.size <= size_max);
    *bytes = mem_alloc(text.size + 1);
    memcpy(*bytes, text.data, text.size);
    *size = text.size;
    return NULL;
}

static bool child_told(struct os_child *child, uint32_t *number)
{
    (void)child, (void)number;
    return false;
}

static void child_free(struct os_child *child)
{
    if (child->process != NULL) {
        child->process->child = NULL;
        sim_process_kill(child->process);
    }
    weir_buffer_free(child->output);
    mem_free(child);
}

static void child_trim_log(const char *path, uint64_t size_max)
{
    (void)path, (void)size_max;
}

static const struct os_child_class child_table = {
    .start = child_start,
    .has_ended = child_has_ended,
    .kill = child_kill,
    .pid = child_pid,
    .rss = child_rss,
    .output = child_output,
    .told = child_told,
    .free = child_free,
    .trim_log = child_trim_log,
};

/* -- job managers --------------------------------------------------------------------------------- */

static weir_error *open_election(struct sim_process *it, const char *host)
{
    char *rpc = mem_printf("%s:%u", host, RPC_PORT), *rest = mem_printf("%s:8081", host);
    bool is_observer = it->kind == SIM_TASK_MANAGER;
    struct election_options options = { .class = &election_file,
        .rpc = is_observer ? NULL : rpc,
        .rest = is_observer ? NULL : rest,
        .is_observer = is_observer,
        .waker = net_waker(it->net),
        .file = { .dir = SIM_SHARED_DIR "/election", .lease_ms = processes.options.lease_ms } };
    weir_error *error = election_new(&options, &it->election);
    mem_free(rpc);
    mem_free(rest);
    return error;
}

static weir_error *open_job_manager(struct sim_process *it, const char *host)
{
    const struct sim_processes_options *common = &processes.options;
    WEIR_TRY(open_election(it, host));
    struct leader_options options = { .election = it->election,
        .store_dir = SIM_SHARED_DIR "/jobs",
        .blobs_dir = SIM_SHARED_DIR "/blobs",
        .blob_size_max = 1 << 20,
        .blob_total_max = 1 << 24,
        .dispatcher = { .net = it->net,
            .workers = it->workers,
            .blobs_url = "sim",
            .savepoints = SIM_SAVEPOINTS_DIR,
            .heartbeat_ms = common->heartbeat_ms,
            .heartbeat_timeout_ms = common->timeout_ms,
            .slot_timeout_ms = common->slot_timeout_ms,
            .start_timeout_ms = common->start_timeout_ms,
            .retained_jobs = 100 },
        .rpc = { .host = host, .port = RPC_PORT } };
    it->leader = leader_new(&options);
    return NULL;
}

/* -- task managers -------------------------------------------------------------------------------- */

static weir_error *fetch(void *arg, const char *url, const char *digest, const char *path)
{
    (void)arg, (void)url, (void)digest;
    return os_write_file(path, PROGRAM_TEXT, strlen(PROGRAM_TEXT));
}

static weir_error *open_task_manager(struct sim_process *it, const char *host)
{
    const struct sim_processes_options *common = &processes.options;
    it->id = mem_printf("%s-%06llx", host, (unsigned long long)(os_random() & 0xffffff));
    it->dir = mem_printf("/%s", it->id);
    WEIR_TRY(open_election(it, host));
    struct task_executor_options options = { .net = it->net,
        .workers = it->workers,
        .id = it->id,
        .host = host,
        .bind_host = host,
        .slot_count = common->slot_count,
        .memory_size = common->slot_count * MEMORY_OF_SLOT,
        .election = it->election,
        .work_dir = it->dir,
        .watchdog_ms = 60000,
        .orphan_ms = common->orphan_ms,
        .fetch = fetch };
    return task_executor_new(&options, &it->executor);
}

struct sim_process *sim_process_start(enum sim_process_kind kind, uint32_t index, uint32_t machine)
{
    static const char *const hosts[] = { "jm0", "jm1", "tm0", "tm1", "tm2" };
    struct sim_process *it = add(kind, index, machine);
    uint32_t caller = sim_os_process();
    sim_os_run_as(it->number);
    it->is_running = true; /* it may be frozen in here */
    it->net = net_new();
    it->workers = workers_new(0, JOBS_MAX);
    weir_error *error = kind == SIM_JOB_MANAGER ? open_job_manager(it, hosts[index])
                                                : open_task_manager(it, hosts[2 + index]);
    it->is_running = false;
    if (error != NULL) {
        log_warn("sim", "%s cannot start: %s", sim_process_name(it), weir_error_message(error));
        weir_error_free(error);
        sim_process_kill(it);
        it = NULL;
    }
    sim_os_run_as(caller);
    return it;
}

/* -- steps ---------------------------------------------------------------------------------------- */

static uint64_t activity(void)
{
    return sim_net_activity() + sim_os_stats().calls;
}

/* One turn of the loop of a daemon. False: it gives up. */
static bool turn(struct sim_process *it)
{
    int64_t now_ms = os_monotonic_ms();
    if (it->kind == SIM_TASK_MANAGER) {
        task_executor_step(it->executor, now_ms);
    } else {
        weir_error *error = leader_step(it->leader, now_ms);
        if (error != NULL) {
            log_warn("sim", "%s gives up: %s", sim_process_name(it), weir_error_message(error));
            weir_error_free(error);
            return false;
        }
    }
    net_wait(it->net, 0);
    return true;
}

static uint32_t slot_count(const struct sim_process *it)
{
    struct taskmanager *tasks = worker_tasks(it->worker);
    return tasks == NULL ? 0 : taskmanager_slot_count(tasks);
}

uint32_t sim_process_unit_count(const struct sim_process *process)
{
    return process->kind == SIM_WORKER ? 3 + slot_count(process) : 2;
}

static bool step_worker(struct sim_process *it, uint32_t unit, bool *goes_on)
{
    uint64_t before = activity();
    if (unit == 0)
        *goes_on = worker_step(it->worker, 0);
    else if (unit == 1)
        return workers_step(worker_workers(it->worker));
    else if (unit == 2)
        return worker_wire(it->worker) != NULL && wire_step(worker_wire(it->worker), 0);
    else
        return executor_round(taskmanager_slot(worker_tasks(it->worker), unit - 3));
    return !*goes_on || activity() != before;
}

static bool step_unit(struct sim_process *it, uint32_t unit)
{
    bool goes_on = true, has_worked;
    uint64_t before = activity();
    sim_os_run_as(it->number);
    it->is_running = true;
    it->unit = unit;
    if (it->kind == SIM_WORKER) {
        has_worked = step_worker(it, unit, &goes_on);
    } else if (unit == 0) {
        goes_on = turn(it);
        has_worked = activity() != before;
    } else {
        has_worked = workers_step(it->workers);
    }
    it->is_running = false;
    it->unit = NO_UNIT;
    if (sim_os_is_dead(it->number)) {
        sim_process_kill(it);
    } else if (!goes_on && it->kind == SIM_WORKER) {
        end_worker(it);
    } else if (!goes_on) {
        sim_process_kill(it);
    }
    return has_worked;
}

bool sim_process_step(struct sim_process *process, struct random *random)
{
    uint32_t unit = random_below(random, sim_process_unit_count(process));
    if (unit == 1 && !random_one_in(random, processes.options.worker_one_in))
        unit = 0;
    sim_os_mix(process->number * 100 + unit);
    return step_unit(process, unit);
}

bool sim_process_step_all(struct sim_process *process, struct random *random)
{
    uint32_t number = process->number;
    bool has_worked = false;
    for (uint32_t i = 0; processes.list[number] == process && sim_process_runs(process) &&
                         i < sim_process_unit_count(process);
         i++) {
        bool is_late = i == 1 && !random_one_in(random, processes.options.worker_one_in);
        has_worked = (!is_late && step_unit(process, i)) || has_worked;
    }
    return has_worked;
}

/* Jobs of one lane wait for each other, and a thread that stops drains lanes: so nothing is stepped beside a job. */
void sim_process_step_beside(struct sim_process *process, struct random *random)
{
    if (process->is_killed || process->unit == NO_UNIT)
        return;
    struct workers *workers =
        process->kind == SIM_WORKER ? worker_workers(process->worker) : process->workers;
    if (workers_is_running(workers))
        return;
    uint32_t unit = random_below(random, sim_process_unit_count(process)), current = process->unit;
    sim_os_mix(process->number * 100 + unit);
    sim_os_run_as(process->number);
    process->unit = unit;
    if (unit == 1 && current != 1)
        workers_step(workers);
    else if (unit == 2 && current != 2 && worker_wire(process->worker) != NULL)
        wire_step(worker_wire(process->worker), 0);
    else if (unit > 2 && current != unit)
        executor_round(taskmanager_slot(worker_tasks(process->worker), unit - 3));
    process->unit = current;
}

static int64_t worker_deadline(const struct sim_process *it)
{
    int64_t now_ms = os_monotonic_ms(), deadline = worker_deadline_ms(it->worker);
    const struct wire *wire = worker_wire(it->worker);
    if (wire != NULL && !wire_is_connected(wire))
        deadline = os_earlier(deadline, now_ms + WIRE_LOOK_MS);
    for (uint32_t i = 0; i < slot_count(it); i++) {
        int64_t at = executor_deadline_ms(taskmanager_slot(worker_tasks(it->worker), i));
        if (at != INT64_MAX)
            deadline = os_earlier(deadline, now_ms + (at - os_wall_ms()));
    }
    return deadline;
}

int64_t sim_process_deadline_ms(const struct sim_process *process)
{
    if (process->kind == SIM_WORKER)
        return worker_deadline(process);
    int64_t own = process->kind == SIM_TASK_MANAGER ? task_executor_deadline_ms(process->executor)
                                                    : leader_deadline_ms(process->leader);
    return os_earlier(own, sim_connection_deadline_ms(process->net));
}

/* -- a client ------------------------------------------------------------------------------------- */

static weir_error *upload(struct blob_store *blobs, const char *digest)
{
    struct blob_put *put;
    if (blob_store_has(blobs, digest))
        return NULL;
    WEIR_TRY(blob_put_begin(blobs, digest, strlen(PROGRAM_TEXT), &put));
    weir_error *error = blob_put_add(put, PROGRAM_TEXT, strlen(PROGRAM_TEXT));
    if (error == NULL)
        return blob_put_finish(put, os_monotonic_ms());
    blob_put_abort(put);
    return error;
}

weir_error *sim_process_submit(struct sim_process *process, const char *const *arguments,
    uint32_t count, char id[DISPATCHER_ID_SIZE])
{
    char digest[SHA256_HEX_SIZE + 1];
    sha256_bytes(weir_str_of(PROGRAM_TEXT), digest);
    struct submission submission = { .program = "sim",
        .digest = digest,
        .arguments = arguments,
        .argument_count = count };
    WEIR_TRY(upload(leader_blobs(process->leader), digest));
    return dispatcher_submit(leader_dispatcher(process->leader), &submission, id);
}

/* -- all of them ---------------------------------------------------------------------------------- */

void sim_processes_start(const struct sim_processes_options *options)
{
    ASSERT(net_current == &net_libevent && os_child_current == &os_child_linux);
    processes = (struct processes){ .options = *options };
    net_current = &sim_connection_class;
    os_child_current = &child_table;
}

void sim_processes_stop(void)
{
    for (uint32_t i = 0; i < processes.end; i++) {
        if (processes.list[i] != NULL)
            sim_process_kill(processes.list[i]);
    }
    sim_processes_reap();
    net_current = &net_libevent;
    os_child_current = &os_child_linux;
}

struct sim_processes_options *sim_processes_options(void)
{
    return &processes.options;
}

uint64_t sim_processes_ended(void)
{
    return processes.ended;
}

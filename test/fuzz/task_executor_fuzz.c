/* task_executor_fuzz.c -- what a job manager says to a task manager, and how the processes end that it starts: refused, or
 * obeyed, in any order. Names of files are made of what it says, so nothing may be written outside of the directory of
 * work.
 *
 * The input is a list of steps: what, size (16 bits), bytes. Processes are objects, whose ends and outputs are the
 * input's; executables are found or not, as it says. */
#include "base/buffer.h"
#include "base/os_child.h"
#include "base/worker.h"
#include "runtime/cluster/address.h"
#include "runtime/cluster/messages.h"
#include "runtime/cluster/task_executor.h"
#include "test/fuzz/quiet_net.h"
#include "test/fuzz/steps.h"
#include "test/support/temp_dir.h"
#include "types/msgpack.h"

#include <stdlib.h>
#include <string.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_FRAME,      /* kind, payload: as they are */
    STEP_REGISTERED, /* epoch, heartbeat and time-out in 100 ms; the rest: jobs */
    STEP_START,      /* a sound one: job, attempt, worker; the rest: arguments */
    STEP_PLAN,       /* a sound one: request; the rest: arguments */
    STEP_END,        /* the newest process: status, signal; the rest: its output */
    STEP_TIME,       /* so many times 100 ms */
    STEP_CLOSED,
    STEP_COUNT
};

/* -- processes ------------------------------------------------------------------------------------------ */

struct os_child {
    struct os_child *next;
    bool has_ended;
    struct os_child_end end;
    char *output;
    size_t size;
};

static struct os_child *processes;
static char *dir;
static struct log_dir *logs;

static bool is_inside(const char *path)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/' && strstr(path, "/../") == NULL;
}

static weir_error *start(const struct os_child_options *options, struct os_child **child)
{
    ASSERT(
        is_inside(options->path) && is_inside(options->directory) && is_inside(options->log_path));
    *child = mem_alloc(sizeof(**child));
    (*child)->next = processes;
    processes = *child;
    return NULL;
}

static bool has_ended(struct os_child *child, struct os_child_end *end)
{
    *end = child->end;
    return child->has_ended;
}

static void kill_it(const struct os_child *child, int signal)
{
    struct os_child *it = processes;
    while (it != child)
        it = it->next;
    it->has_ended = true;
    it->end.signal = signal;
}

static int pid(const struct os_child *child)
{
    (void)child;
    return 1;
}

static uint64_t rss(const struct os_child *child)
{
    return child->size << 20;
}

static weir_error *output(struct os_child *child, size_t size_max, char **bytes, size_t *size)
{
    ASSERT(child->size <= size_max);
    *bytes = mem_dup(child->output, child->size);
    *size = child->size;
    return NULL;
}

static bool told(struct os_child *child, uint32_t *number)
{
    *number = (uint32_t)child->size;
    return child->size % 2 == 1;
}

static void free_child(struct os_child *child)
{
    if (child == NULL)
        return;
    struct os_child **link = &processes;
    while (*link != child)
        link = &(*link)->next;
    *link = child->next;
    mem_free(child->output);
    mem_free(child);
}

static void trim_log(const char *path, uint64_t size_max)
{
    (void)size_max;
    ASSERT(is_inside(path));
}

static const struct os_child_class objects = { .start = start,
    .has_ended = has_ended,
    .kill = kill_it,
    .pid = pid,
    .rss = rss,
    .output = output,
    .told = told,
    .free = free_child,
    .trim_log = trim_log };

/* -- steps ---------------------------------------------------------------------------------------------- */

struct rig {
    struct workers *workers;
    struct connection leader;
    struct task_executor *executor;
    uint8_t epoch;
};

static weir_error *fetch(void *arg, const char *url, const char *digest, const char *path)
{
    (void)arg, (void)url;
    ASSERT(address_is_digest(weir_str_of(digest)) && is_inside(path));
    return weir_errorf(WEIR_E_IO, "there is none");
}

static void turn(struct rig *rig)
{
    bool was_open = rig->leader.handler != NULL && !rig->leader.is_closed;
    for (uint32_t i = 0; i < 3; i++) {
        task_executor_step(rig->executor, quiet_ms);
        while (workers_step(rig->workers))
            continue;
    }
    bool is_open = rig->leader.handler != NULL && !rig->leader.is_closed;
    if (is_open && !was_open)
        rig->leader.handler->opened(rig->leader.arg, &rig->leader);
}

static void speak(struct rig *rig, uint32_t kind, const void *record)
{
    weir_buffer *bytes = weir_buffer_new(1 << 20);
    msgpack_encode(message_type(kind), record, bytes);
    quiet_hear(&rig->leader, kind, weir_buffer_view(bytes));
    weir_buffer_free(bytes);
}

static const char *const jobs[] = { "11111111111111111111111111111111",
    "22222222222222222222222222222222" };

static void say_registered(struct rig *rig, weir_str bytes)
{
    rig->epoch = steps_byte(&bytes);
    struct message_registered message = { .epoch = rig->epoch,
        .blobs = WEIR_STR("http://leader/v1/blobs") };
    message.heartbeat_ms = 100u * steps_byte(&bytes);
    message.timeout_ms = 100u * steps_byte(&bytes);
    message.jobs = bytes;
    speak(rig, MESSAGE_REGISTERED, &message);
}

static void say_start(struct rig *rig, weir_str bytes)
{
    struct message_start message = { .epoch = rig->epoch,
        .job = weir_str_of(jobs[steps_byte(&bytes) % 2]),
        .worker_count = 2,
        .slot_count = 1,
        .memory_size = 1 << 20,
        .digest = WEIR_STR(DIGEST),
        .program = WEIR_STR("job"),
        .secret = WEIR_STR("secret") };
    message.attempt = steps_byte(&bytes);
    message.worker = steps_byte(&bytes);
    message.arguments = bytes;
    speak(rig, MESSAGE_START, &message);
}

static void say_plan(struct rig *rig, weir_str bytes)
{
    struct message_plan message = { .epoch = rig->epoch,
        .request = weir_str_of(jobs[steps_byte(&bytes) % 2]),
        .digest = WEIR_STR(DIGEST),
        .program = WEIR_STR("job"),
        .arguments = bytes };
    speak(rig, MESSAGE_PLAN, &message);
}

static void end_process(weir_str bytes)
{
    if (processes == NULL)
        return;
    processes->end = (struct os_child_end){ .status = steps_byte(&bytes) };
    processes->end.signal = steps_byte(&bytes) % 32;
    processes->end.has_core = processes->end.signal == 11;
    mem_free(processes->output);
    processes->output = mem_dup(bytes.data, bytes.size);
    processes->size = bytes.size;
    processes->has_ended = true;
}

static void closed(struct rig *rig)
{
    rig->leader.is_closed = true;
    rig->leader.handler->closed(rig->leader.arg, &rig->leader, weir_errorf(WEIR_E_IO, "reset"));
}

static void hear(struct rig *rig, enum step what, weir_str bytes)
{
    if (what == STEP_FRAME) {
        uint32_t kind = steps_byte(&bytes);
        quiet_hear(&rig->leader, kind, bytes);
    } else if (what == STEP_REGISTERED) {
        say_registered(rig, bytes);
    } else if (what == STEP_START) {
        say_start(rig, bytes);
    } else if (what == STEP_PLAN) {
        say_plan(rig, bytes);
    } else {
        closed(rig);
    }
}

static void take(struct rig *rig, enum step what, weir_str bytes)
{
    if (what == STEP_END)
        end_process(bytes);
    else if (what == STEP_TIME)
        quiet_ms += 100 * (int64_t)steps_byte(&bytes);
    else if (!rig->leader.is_closed)
        hear(rig, what, bytes);
    turn(rig);
    ASSERT(task_executor_is_registered(rig->executor) <= !rig->leader.is_closed);
}

/* -- one input -------------------------------------------------------------------------------------------- */

static void rig_open(struct rig *rig)
{
    *rig = (struct rig){ .workers = workers_new(0, 64) };
    quiet_next = &rig->leader;
    struct task_executor_options options = { .workers = rig->workers,
        .id = "tm",
        .host = "localhost",
        .bind_host = "localhost",
        .slot_count = 4,
        .memory_size = UINT64_C(1) << 30,
        .memory_factor_percent = 150,
        .address = "leader:6123",
        .work_dir = dir,
        .logs = logs,
        .fetch = fetch };
    weir_error *error = task_executor_new(&options, &rig->executor);
    ASSERT(error == NULL);
    turn(rig);
}

static void rig_close(struct rig *rig)
{
    task_executor_free(rig->executor);
    workers_free(rig->workers);
    quiet_release(&rig->leader);
    ASSERT(processes == NULL);
}

static void remove_dir(void)
{
    log_dir_close(logs);
    temp_dir_free(dir);
}

static void begin(void)
{
    os_child_current = &objects;
    dir = temp_dir_new();
    ASSERT(atexit(remove_dir) == 0);
    weir_error *error = os_make_dirs(temp_dir_path(dir, "blobs"));
    ASSERT(error == NULL);
    temp_dir_write(temp_dir_path(dir, "blobs/" DIGEST), "", 0);
    error = log_dir_open(temp_dir_path(dir, "logs"), "taskmanager", 1 << 20, &logs);
    ASSERT(error == NULL);
    temp_dir_write(temp_dir_path(dir, "logs/taskmanager-1/taskmanager.log"), "hello\n", 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig rig;
    quiet_begin();
    if (dir == NULL)
        begin();
    rig_open(&rig);
    struct steps steps = { .data = data, .size = size };
    while (steps_next(&steps))
        take(&rig, (enum step)(steps.what % STEP_COUNT), steps.bytes);
    rig_close(&rig);
    return 0;
}

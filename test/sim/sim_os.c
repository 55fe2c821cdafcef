/* sim_os.c -- see sim_os.h: the table, and the one machine behind it. */
#include "test/sim/sim_os.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "test/sim/sim_disk.h"

#include <errno.h>
#include <string.h>

#define AFTERLIFE_FACTOR 1000

/* What a process has open. */
struct open_file {
    struct sim_inode *inode;
    uint64_t offset;
    uint32_t process;
    bool is_append, is_for_reading;
};

static struct machine {
    struct sim_disk *disk;
    struct random random; /* os_random */
    struct random luck;   /* faults and losses */
    int64_t monotonic_ns, wall_offset_ms;
    uint32_t process;
    bool is_dead[SIM_PROCESSES_MAX];
    int64_t afterlife_ns[SIM_PROCESSES_MAX]; /* what a dead process believes to have waited */
    uint32_t open_files[SIM_PROCESSES_MAX];
    uint64_t kill_call, failing_call, short_call, freeze_call; /* 0: none */
    void (*freeze_hook)(void *arg);
    void *freeze_arg;
    void (*call_hook)(void *arg);
    void *call_arg;
    void (*disk_hook)(void *arg, const char *path);
    void *disk_arg;
    int failing_error, random_error;
    uint32_t fail_one_in;
    bool is_lying;
    struct sim_os_stats stats;
    uint64_t trace;
} machine;

/* -- the trace ------------------------------------------------------------------------------------ */

void sim_os_mix(uint64_t number)
{
    machine.trace = hash_mix(machine.trace * 31 + number);
}

static void mix_bytes(const void *bytes, size_t size)
{
    if (machine.process != SIM_OBSERVER)
        sim_os_mix(hash_bytes(bytes, size));
}

static void mix_text(const char *text)
{
    mix_bytes(text, strlen(text));
}

uint64_t sim_os_trace(void)
{
    return machine.trace;
}

/* -- what becomes of a call ----------------------------------------------------------------------- */

static bool is_due(uint64_t *call)
{
    if (*call == 0 || machine.stats.calls < *call)
        return false;
    *call = 0;
    return true;
}

static void freeze(void)
{
    uint32_t process = machine.process;
    machine.freeze_hook(machine.freeze_arg);
    machine.process = process;
    sim_os_mix(UINT64_C(0xf2ee2e) + process);
}

/* False: the process has been killed meanwhile. */
static bool let_others_run(const char *path)
{
    uint32_t process = machine.process;
    if (is_due(&machine.freeze_call))
        freeze();
    if (machine.disk_hook != NULL)
        machine.disk_hook(machine.disk_arg, path);
    machine.process = process;
    return !machine.is_dead[process];
}

/* Counts a call; 0: go on, else it fails with this. */
static int begin(char letter, const char *path)
{
    if (machine.process == SIM_OBSERVER)
        return 0;
    if (machine.is_dead[machine.process])
        return EIO;
    machine.stats.calls++;
    if (!let_others_run(path))
        return EIO;
    sim_os_mix((uint64_t)letter * SIM_PROCESSES_MAX + machine.process);
    if (path != NULL)
        mix_text(path);
    if (is_due(&machine.kill_call)) {
        sim_os_kill(machine.process);
        return EIO;
    }
    bool fails = is_due(&machine.failing_call);
    int error = fails ? machine.failing_error : machine.random_error;
    if (!fails && (machine.fail_one_in == 0 || !random_one_in(&machine.luck, machine.fail_one_in)))
        return 0;
    machine.stats.faults++;
    return error;
}

int sim_os_call(char letter, const char *what)
{
    uint32_t process = machine.process;
    if (machine.call_hook != NULL)
        machine.call_hook(machine.call_arg);
    machine.process = process;
    return begin(letter, what);
}

static int end(int error)
{
    if (machine.process != SIM_OBSERVER)
        sim_os_mix((uint64_t)error);
    return error;
}

/* -- the table: time, randomness ------------------------------------------------------------------ */

static int64_t sim_monotonic_ns(void)
{
    return machine.monotonic_ns + machine.afterlife_ns[machine.process];
}

static int64_t sim_wall_ms(void)
{
    return SIM_START_WALL_MS + machine.wall_offset_ms + machine.monotonic_ns / 1000000;
}

static uint64_t sim_random(void)
{
    return random_next(&machine.random);
}

/* What a dead process still waits for takes nobody else's time, and it has not long to wait. */
static void sim_pause_ms(int64_t ms)
{
    if (machine.is_dead[machine.process])
        machine.afterlife_ns[machine.process] += ms * 1000000 * AFTERLIFE_FACTOR;
    else
        machine.monotonic_ns += ms * 1000000;
}

/* -- the table: files ----------------------------------------------------------------------------- */

static int sim_open(const char *path, enum os_open_mode mode, void **handle)
{
    int error = begin((char)('0' + mode), path);
    struct sim_inode *inode = NULL;
    if (error == 0)
        error = sim_disk_open(machine.disk, path, mode, sim_wall_ms(), &inode);
    if (error != 0)
        return end(error);
    struct open_file *file = mem_alloc(sizeof(*file));
    *file = (struct open_file){ .inode = inode,
        .process = machine.process,
        .is_append = mode == OS_APPEND,
        .is_for_reading = mode == OS_READ };
    machine.open_files[machine.process]++;
    *handle = file;
    return end(0);
}

static int sim_read_at(void *handle, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    const struct open_file *file = handle;
    int error = begin('r', NULL);
    *got = 0;
    if (error == 0 && file->inode->names != NULL)
        error = EISDIR;
    if (error == 0 && !file->is_for_reading)
        error = EBADF;
    if (error != 0)
        return end(error);
    *got = sim_file_read(&file->inode->file, offset, bytes, size);
    mix_bytes(bytes, *got);
    return end(0);
}

static void do_write(struct open_file *file, const void *bytes, size_t size)
{
    if (file->is_append)
        file->offset = file->inode->file.size;
    ASSERT(file->offset <= file->inode->file.size); /* nobody truncates what another one writes */
    sim_file_write(&file->inode->file, (size_t)file->offset, bytes, size);
    file->offset += size;
    file->inode->modified_ms = sim_wall_ms();
}

static int sim_write(void *handle, const void *bytes, size_t size, size_t *written)
{
    struct open_file *file = handle;
    bool was_dead = machine.is_dead[machine.process];
    int error = begin('w', NULL);
    *written = 0;
    if (error == 0 && file->is_for_reading)
        error = EBADF;
    if (error != 0 && !was_dead && !file->is_for_reading) /* died or failed in the middle of it */
        do_write(file, bytes, size == 0 ? 0 : random_next(&machine.luck) % size);
    if (error != 0)
        return end(error);
    *written = size;
    if (size > 1 && is_due(&machine.short_call)) {
        *written = 1 + random_next(&machine.luck) % (size - 1);
        machine.stats.faults++;
    }
    do_write(file, bytes, *written);
    mix_bytes(bytes, *written);
    return end(0);
}

static int sim_sync(void *handle)
{
    struct open_file *file = handle;
    bool was_dead = machine.is_dead[machine.process];
    int error = begin('s', NULL);
    if (error == 0 && !machine.is_lying)
        sim_file_sync(&file->inode->file);
    else if (error != 0 && !was_dead && !machine.is_dead[machine.process])
        sim_file_fail_sync(&file->inode->file);
    machine.stats.syncs++;
    return end(error);
}

static void sim_close(void *handle)
{
    struct open_file *file = handle;
    sim_disk_close(machine.disk, file->inode);
    machine.open_files[file->process]--;
    mem_free(file);
}

static int sim_stat(const char *path, struct os_stat *stat)
{
    *stat = (struct os_stat){ .exists = false };
    int error = begin('t', path);
    return end(error != 0 ? error : sim_disk_stat(machine.disk, path, stat));
}

/* -- the table: names ----------------------------------------------------------------------------- */

/* A call that fails may have done its work all the same: half of them have. */
static bool is_done(int error)
{
    return error == 0 || (!machine.is_dead[machine.process] && random_one_in(&machine.luck, 2));
}

static int sim_make_dir(const char *path)
{
    int error = begin('m', path);
    int found = is_done(error) ? sim_disk_make_dir(machine.disk, path, sim_wall_ms()) : 0;
    return end(error != 0 ? error : found);
}

static int sim_sync_dir(const char *path)
{
    int error = begin('d', path);
    machine.stats.syncs++;
    return end(error != 0 ? error : sim_disk_sync_dir(machine.disk, path, machine.is_lying));
}

static int sim_rename(const char *from, const char *to)
{
    int error = begin('n', from);
    mix_text(to);
    int found = is_done(error) ? sim_disk_rename(machine.disk, from, to) : 0;
    return end(error != 0 ? error : found);
}

static int sim_link(const char *from, const char *to)
{
    int error = begin('l', from);
    mix_text(to);
    int found = is_done(error) ? sim_disk_link(machine.disk, from, to) : 0;
    return end(error != 0 ? error : found);
}

static int sim_remove(const char *path)
{
    int error = begin('u', path);
    int found = is_done(error) ? sim_disk_remove(machine.disk, path) : 0;
    return end(error != 0 ? error : found);
}

static int sim_list(const char *path, char ***names, uint32_t *count)
{
    *names = NULL;
    *count = 0;
    int error = begin('i', path);
    return end(error != 0 ? error : sim_disk_list(machine.disk, path, names, count));
}

static const struct os sim_table = {
    .monotonic_ns = sim_monotonic_ns,
    .wall_ms = sim_wall_ms,
    .random = sim_random,
    .pause_ms = sim_pause_ms,
    .open = sim_open,
    .read_at = sim_read_at,
    .write = sim_write,
    .sync = sim_sync,
    .close = sim_close,
    .stat = sim_stat,
    .make_dir = sim_make_dir,
    .sync_dir = sim_sync_dir,
    .rename = sim_rename,
    .link = sim_link,
    .remove = sim_remove,
    .list = sim_list,
};

/* -- the machine ---------------------------------------------------------------------------------- */

void sim_os_start(uint64_t seed)
{
    ASSERT(os_current == &os_linux);
    machine = (struct machine){ .disk = sim_disk_new(),
        .random = { .state = hash_mix(seed + 1) },
        .luck = { .state = hash_mix(~seed) },
        .monotonic_ns = INT64_C(1000000000) };
    os_current = &sim_table;
}

void sim_os_stop(void)
{
    ASSERT(os_current == &sim_table);
    ASSERT(sim_disk_open_count(machine.disk) == 0);
    sim_disk_free(machine.disk);
    os_current = &os_linux;
}

void sim_os_advance_ns(int64_t ns)
{
    ASSERT(ns >= 0);
    machine.monotonic_ns += ns;
}

void sim_os_jump_wall_ms(int64_t ms)
{
    machine.wall_offset_ms += ms;
}

void sim_os_run_as(uint32_t process)
{
    ASSERT(process < SIM_PROCESSES_MAX);
    machine.process = process;
}

uint32_t sim_os_process(void)
{
    return machine.process;
}

void sim_os_kill(uint32_t process)
{
    if (!machine.is_dead[process])
        machine.stats.kills++;
    machine.is_dead[process] = true;
    sim_os_mix(UINT64_C(0xdead) + process);
}

bool sim_os_is_dead(uint32_t process)
{
    return machine.is_dead[process];
}

uint32_t sim_os_open_files(uint32_t process)
{
    return machine.open_files[process];
}

void sim_os_reap(uint32_t process)
{
    ASSERT(machine.is_dead[process]);
    ASSERT(machine.open_files[process] == 0);
    machine.is_dead[process] = false;
    machine.afterlife_ns[process] = 0;
}

void sim_os_power_loss(void)
{
    sim_disk_lose(machine.disk, &machine.luck);
    machine.stats.power_losses++;
    sim_os_mix(UINT64_C(0xdeadbeef));
}

/* -- faults --------------------------------------------------------------------------------------- */

static uint64_t call_number(uint64_t nth)
{
    return nth == 0 ? 0 : machine.stats.calls + nth;
}

void sim_os_kill_at(uint64_t nth)
{
    machine.kill_call = call_number(nth);
}

void sim_os_fail_at(uint64_t nth, int error)
{
    machine.failing_call = call_number(nth);
    machine.failing_error = error;
}

void sim_os_short_write_at(uint64_t nth)
{
    machine.short_call = call_number(nth);
}

void sim_os_fail_one_in(uint32_t calls, int error)
{
    machine.fail_one_in = calls;
    machine.random_error = error;
}

void sim_os_freeze_at(uint64_t nth, void (*hook)(void *arg), void *arg)
{
    machine.freeze_call = call_number(nth);
    machine.freeze_hook = hook;
    machine.freeze_arg = arg;
}

void sim_os_strike(void)
{
    if (machine.is_dead[machine.process])
        return;
    if (machine.freeze_call > 0)
        machine.freeze_call = call_number(1);
    else
        machine.kill_call = call_number(1);
}

void sim_os_on_call(void (*hook)(void *arg), void *arg)
{
    machine.call_hook = hook;
    machine.call_arg = arg;
}

void sim_os_on_disk_call(void (*hook)(void *arg, const char *path), void *arg)
{
    machine.disk_hook = hook;
    machine.disk_arg = arg;
}

void sim_os_lie_about_sync(bool is_lying)
{
    machine.is_lying = is_lying;
}

struct sim_os_stats sim_os_stats(void)
{
    return machine.stats;
}

uint64_t sim_os_disk_size(void)
{
    return sim_disk_size(machine.disk);
}

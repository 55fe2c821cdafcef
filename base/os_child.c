/* os_child.c -- see os_child.h: real processes, and below them the functions that go through the table.
 * Prefixes: os_signal_
 *
 * Between fork and exec only what is safe there runs: no allocation, no lock, no log. A failure in between
 * comes back as an errno through a pipe that exec closes. */
#include "base/os_child.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARED_FD 3

#define TOLD_SIZE 4096u
#define TOLD_MARK UINT64_C(0x7265656474306c64)

/* What a child leaves for its parent, in a page of its own. The mark is written last. */
struct told {
    _Atomic uint64_t mark;
    _Atomic uint32_t number;
};

struct os_child {
    pid_t pid;
    int memory_fd; /* the other end of its descriptor 3 */
    bool has_ended;
    struct os_child_end end;
};

/* -- SIGCHLD ---------------------------------------------------------------------------------------- */

static _Atomic int watch_fd = -1;

/* Writes to the waker's descriptor as an outside writer does: waker_wake is for threads (os_signal.c). */
static void on_child(int signal)
{
    (void)signal;
    int saved = errno, fd = atomic_load(&watch_fd);
    uint64_t one = 1;
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        errno = saved; /* full: it is awake already */
    errno = saved;
}

void os_children_watch(struct waker *waker)
{
    atomic_store(&watch_fd, waker == NULL ? -1 : waker_fd(waker));
    struct sigaction action = { .sa_handler = waker == NULL ? SIG_DFL : on_child,
        .sa_flags = SA_RESTART | SA_NOCLDSTOP };
    ASSERT(sigaction(SIGCHLD, &action, NULL) == 0);
}

/* Thread: immutable after init. */
struct signal_row {
    int number;
    bool dumps_core;
    const char *name;
};

static const struct signal_row *row_of(int signal)
{
    static const struct signal_row rows[] = { { SIGSEGV, true, "SIGSEGV" },
        { SIGABRT, true, "SIGABRT" }, { SIGBUS, true, "SIGBUS" }, { SIGFPE, true, "SIGFPE" },
        { SIGILL, true, "SIGILL" }, { SIGKILL, false, "SIGKILL" }, { SIGTERM, false, "SIGTERM" },
        { SIGINT, false, "SIGINT" }, { SIGXCPU, true, "SIGXCPU" }, { SIGSYS, true, "SIGSYS" },
        { SIGTRAP, true, "SIGTRAP" }, { SIGHUP, false, "SIGHUP" }, { SIGQUIT, true, "SIGQUIT" },
        { SIGPIPE, false, "SIGPIPE" }, { SIGXFSZ, true, "SIGXFSZ" } };
    static const struct signal_row other = { 0, false, "a signal" };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].number == signal)
            return &rows[i];
    }
    return &other;
}

const char *os_signal_name(int signal)
{
    return row_of(signal)->name;
}

bool os_signal_dumps_core(int signal)
{
    return row_of(signal)->dumps_core;
}

/* -- starting --------------------------------------------------------------------------------------- */

/* What is open is ours, and must not be the child's: all of it is marked to be closed by exec. */
static bool keep_descriptors_out(void)
{
    return close_range(SHARED_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

/* It may have that number already: then a copy onto itself would leave it to be closed by exec. */
static bool share(int memory_fd)
{
    if (memory_fd == SHARED_FD)
        return fcntl(SHARED_FD, F_SETFD, 0) == 0;
    return dup2(memory_fd, SHARED_FD) == SHARED_FD;
}

static bool redirect(const struct os_child_options *options)
{
    int null = open("/dev/null", O_RDONLY);
    int log = open(options->log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    return null >= 0 && log >= 0 && dup2(null, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2;
}

static void forget_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &action, NULL); /* those that cannot be changed say so; let them */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool limit(const struct os_child_options *options)
{
    struct rlimit data = { .rlim_cur = options->data_size_max, .rlim_max = options->data_size_max };
    return options->data_size_max == 0 || setrlimit(RLIMIT_DATA, &data) == 0;
}

/* In the child. Returns only to say what went wrong. */
static void become(const struct os_child_options *options, int memory_fd, pid_t parent)
{
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        return;
    forget_signals();
    if (share(memory_fd) && redirect(options) && keep_descriptors_out() &&
        chdir(options->directory) == 0 && limit(options))
        execv(options->path, options->argv);
}

static int shared_memory(weir_str input)
{
    int fd = memfd_create("weir", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t done = 0;
    while (done < input.size) {
        ssize_t count = write(fd, input.data + done, input.size - done);
        if (count <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)count;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static weir_error *not_started(const struct os_child_options *options, int code)
{
    if (code == ENOEXEC || code == ENOENT)
        return weir_errorf(WEIR_E_USAGE,
            "'%s' cannot run here: it is no program for this machine (%s); build the job for it",
            options->path, strerror(code));
    return weir_errorf(WEIR_E_IO, "cannot start '%s': %s%s", options->path, strerror(code),
        code == EACCES ? "; check its mode, and that its directory is not mounted noexec" : "");
}

/* The errno that the child has met before its exec; 0: it is running. */
static int wait_for_exec(int fd)
{
    int code = 0;
    ssize_t count;
    do
        count = read(fd, &code, sizeof(code));
    while (count < 0 && errno == EINTR);
    return count == (ssize_t)sizeof(code) ? code : 0;
}

static int spawn(const struct os_child_options *options, int memory_fd, pid_t *pid)
{
    int told[2];
    if (pipe2(told, O_CLOEXEC) != 0)
        return errno;
    pid_t parent = getpid();
    *pid = fork();
    if (*pid == 0) {
        int report = fcntl(told[1], F_DUPFD_CLOEXEC, SHARED_FD + 1); /* not in the way of dup2 */
        become(options, memory_fd, parent);
        int code = errno;
        (void)!write(report, &code, sizeof(code));
        _exit(127);
    }
    int code = *pid < 0 ? errno : 0;
    close(told[1]);
    if (*pid > 0)
        code = wait_for_exec(told[0]);
    close(told[0]);
    if (*pid > 0 && code != 0)
        waitpid(*pid, NULL, 0);
    return code;
}

static weir_error *linux_start(const struct os_child_options *options, struct os_child **child)
{
    int memory_fd = shared_memory(options->input);
    if (memory_fd < 0)
        return weir_errorf(WEIR_E_IO, "cannot start '%s': no memory to share with it: %s",
            options->path, strerror(errno));
    pid_t pid = 0;
    int code = spawn(options, memory_fd, &pid);
    if (code != 0) {
        close(memory_fd);
        return not_started(options, code);
    }
    struct os_child *it = *child = mem_alloc(sizeof(*it));
    it->pid = pid;
    it->memory_fd = memory_fd;
    return NULL;
}

/* -- afterwards --------------------------------------------------------------------------------------- */

static void keep_end(struct os_child *child, int status)
{
    child->has_ended = true;
    child->end = (struct os_child_end){ .status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .has_core = WIFSIGNALED(status) && WCOREDUMP(status) };
}

static bool linux_has_ended(struct os_child *child, struct os_child_end *end)
{
    int status;
    if (!child->has_ended && waitpid(child->pid, &status, WNOHANG) == child->pid)
        keep_end(child, status);
    if (child->has_ended && end != NULL)
        *end = child->end;
    return child->has_ended;
}

static void linux_kill(const struct os_child *child, int signal)
{
    if (!child->has_ended)
        kill(-child->pid, signal);
}

static int linux_pid(const struct os_child *child)
{
    return child->pid;
}

static uint64_t linux_rss(const struct os_child *child)
{
    char path[64], text[128];
    unsigned long size, resident;
    snprintf(path, sizeof(path), "/proc/%d/statm", child->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t count = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (count <= 0)
        return 0;
    text[count] = '\0';
    if (sscanf(text, "%lu %lu", &size, &resident) != 2)
        return 0;
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* False: it is not there, or too large. */
static bool read_whole(int fd, size_t size_max, char **bytes, size_t *size)
{
    off_t length = lseek(fd, 0, SEEK_END);
    if (length < 0 || (uint64_t)length > size_max)
        return false;
    *bytes = mem_alloc((size_t)length + 1);
    *size = 0;
    while (*size < (size_t)length) {
        ssize_t count = pread(fd, *bytes + *size, (size_t)length - *size, (off_t)*size);
        if (count <= 0)
            break;
        *size += (size_t)count;
    }
    return true;
}

static weir_error *linux_output(struct os_child *child, size_t size_max, char **bytes, size_t *size)
{
    if (read_whole(child->memory_fd, size_max, bytes, size))
        return NULL;
    return weir_errorf(WEIR_E_LIMIT, "a child process has written more than %zu bytes", size_max);
}

static bool linux_told(struct os_child *child, uint32_t *number)
{
    struct told told;
    if (lseek(child->memory_fd, 0, SEEK_END) != TOLD_SIZE ||
        pread(child->memory_fd, &told, sizeof(told), 0) != (ssize_t)sizeof(told) ||
        told.mark != TOLD_MARK)
        return false;
    *number = told.number;
    return true;
}

/* -- the child's side --------------------------------------------------------------------------------- */

static struct told *told_page; /* NULL: none; else for the life of the process */

/* In the place of what was read. Without it the child has less to say, and that is all. */
static void make_page(void)
{
    if (ftruncate(SHARED_FD, 0) != 0 || ftruncate(SHARED_FD, TOLD_SIZE) != 0)
        return;
    void *page = mmap(NULL, TOLD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
    told_page = page == MAP_FAILED ? NULL : page;
}

void os_child_tell(uint32_t number)
{
    if (told_page == NULL)
        return;
    atomic_store(&told_page->number, number);
    atomic_store(&told_page->mark, TOLD_MARK);
}

weir_error *os_child_input(size_t size_max, char **bytes, size_t *size)
{
    if (read_whole(SHARED_FD, size_max, bytes, size)) {
        make_page();
        close(SHARED_FD);
        return NULL;
    }
    return weir_errorf(WEIR_E_USAGE,
        "nothing is on file descriptor %d: this is how a task manager starts a worker, not a "
        "person",
        SHARED_FD);
}

static void linux_trim_log(const char *path, uint64_t size_max)
{
    struct stat stat;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &stat) == 0 && (uint64_t)stat.st_size > size_max) {
        size_t kept = (size_t)size_max / 4;
        char *text = mem_alloc(kept);
        ssize_t count = pread(fd, text, kept, stat.st_size - (off_t)kept);
        if (ftruncate(fd, 0) == 0 && count > 0)
            (void)!pwrite(fd, text, (size_t)count, 0);
        mem_free(text);
    }
    close(fd);
}

static void linux_free(struct os_child *child)
{
    linux_kill(child, SIGKILL);
    if (!child->has_ended) {
        int status;
        while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    close(child->memory_fd);
    mem_free(child);
}

/* -- the table ---------------------------------------------------------------------------------------- */

const struct os_child_class os_child_linux = {
    .start = linux_start,
    .has_ended = linux_has_ended,
    .kill = linux_kill,
    .pid = linux_pid,
    .rss = linux_rss,
    .output = linux_output,
    .told = linux_told,
    .free = linux_free,
    .trim_log = linux_trim_log,
};
const struct os_child_class *os_child_current = &os_child_linux;

weir_error *os_child_start(const struct os_child_options *options, struct os_child **child)
{
    return os_child_current->start(options, child);
}

bool os_child_has_ended(struct os_child *child, struct os_child_end *end)
{
    return os_child_current->has_ended(child, end);
}

void os_child_kill(const struct os_child *child, int signal)
{
    os_child_current->kill(child, signal);
}

int os_child_pid(const struct os_child *child)
{
    return os_child_current->pid(child);
}

uint64_t os_child_rss(const struct os_child *child)
{
    return os_child_current->rss(child);
}

weir_error *os_child_output(struct os_child *child, size_t size_max, char **bytes, size_t *size)
{
    return os_child_current->output(child, size_max, bytes, size);
}

bool os_child_told(struct os_child *child, uint32_t *number)
{
    return os_child_current->told(child, number);
}

void os_child_free(struct os_child *child)
{
    if (child != NULL)
        os_child_current->free(child);
}

void os_child_trim_log(const char *path, uint64_t size_max)
{
    os_child_current->trim_log(path, size_max);
}

/* fail_call.c -- preloaded into a program: its n-th call of a kind fails, in whatever library it is made; or each of its
 * calls for memory does, in a process of its own.
 *
 *      LD_PRELOAD=fail_call.so FAIL_CALL=fsync:17:/path/of/a/directory FAIL_CALL_LOG=file PROGRAM
 *
 *      malloc   memory of any kind           ENOMEM
 *      open     to write or to read          EMFILE       only files below the directory
 *      read     also at an offset            EIO             "
 *      write    also at an offset            ENOSPC, half of it is written       "
 *      fsync    also fdatasync               EIO             "
 *      rename, link                          EIO             "
 *      connect  of a socket                  ECONNREFUSED
 *      each     memory, n of EACH_LANES: every call whose number leaves n when it is divided by EACH_LANES
 *
 * Nearly all that runs out of memory dies of it, at once, and what it leaves on the disk is what was there before. So a
 * fork is enough to see how: the child has the calling thread alone, its call fails, and it may write nothing. The log
 * has a line for each: that it has `died` (of which signal or status, in which library, and its last words), or that it
 * `went-on`, to a write, or to a wait for a thread that it does not have. That has to be seen in the program itself.
 *
 * With it RocksDB meets what the simulator shows to the engine. What has failed is noted in the log, and for memory who had
 * asked for it; a process that finds a log at its start lets every call be made: of several, as in a cluster, one fails.
 * Built by test_fail_calls.py. Thread: any. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define EACH_LANES   2
#define WENT_ON      77     /* status of a child */
#define CHILD_MAX_US 300000 /* a dead one takes a few milliseconds */
#define FILES_MAX    256    /* a small job has fewer */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static char kind[16], below[PATH_MAX];
static long nth; /* 0: nothing fails */
static _Atomic long calls;
static bool is_child; /* of `each` */

__attribute__((constructor)) static void read_rule(void)
{
    const char *rule = getenv("FAIL_CALL");
    if (rule != NULL && (sscanf(rule, "%15[a-z]:%ld:%4095s", kind, &nth, below) < 2 || nth < 1)) {
        fprintf(stderr, "FAIL_CALL is '%s'; write kind:nth:directory, such as fsync:1:/tmp\n",
            rule);
        _exit(2);
    }
    const char *path = getenv("FAIL_CALL_LOG");
    if (path != NULL && access(path, F_OK) == 0)
        nth = 0;
}

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* Which library asked for the memory: "librocksdb.so.7.8". */
static const char *name_of(const void *caller)
{
    Dl_info info;
    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
        return "?";
    const char *slash = strrchr(info.dli_fname, '/');
    return slash == NULL ? info.dli_fname : slash + 1;
}

/* What failed, and who had asked for it. */
static void note(const void *caller)
{
    char line[PATH_MAX + 64];
    int size = snprintf(line, sizeof(line), "failed %s\n", name_of(caller));
    const char *path = getenv("FAIL_CALL_LOG");
    int (*open_real)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open");
    ssize_t (*write_real)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))real("write");
    int file = path == NULL ? -1 : open_real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || write_real(file, line, (size_t)size) != size)
        abort();
    close(file);
}

static bool fails_for(const char *what, const void *caller)
{
    if (nth == 0 || strcmp(kind, what) != 0 || atomic_fetch_add(&calls, 1) + 1 != nth)
        return false;
    note(caller);
    return true;
}

/* Of a function that is called from outside. */
#define fails(what_) fails_for((what_), __builtin_return_address(0))

static bool is_below(const char *path)
{
    return path != NULL && strncmp(path, below, strlen(below)) == 0;
}

static bool is_file_below(int file)
{
    char link[64], path[PATH_MAX];
    if (nth == 0 || strcmp(kind, "malloc") == 0 || (strcmp(kind, "each") == 0 && !is_child))
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof(path) - 1);
    if (size < 0)
        return false;
    path[size] = '\0';
    return is_below(path);
}

/* -- each -------------------------------------------------------------------------------------------- */

/* What fork and the log ask for does not count. Of the model that allocates nothing itself. */
static _Thread_local bool is_busy __attribute__((tls_model("initial-exec")));

/* What a child has in common with its parent it may not touch. */
static void leave_path(const char *path)
{
    if (is_child && is_below(path))
        _exit(WENT_ON);
}

static void leave_file(int file)
{
    struct stat stat;
    if (is_child && file > STDERR_FILENO &&
        (fstat(file, &stat) != 0 || !S_ISREG(stat.st_mode) || is_file_below(file)))
        _exit(WENT_ON);
}

/* Files are opened anew, as a position is shared with the parent; what is no file to be read leads nowhere. */
static void own_files(void)
{
    int (*open_real)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open");
    int nowhere = open_real("/dev/null", O_RDWR);
    for (int file = STDERR_FILENO + 1; file < FILES_MAX; file++) {
        struct stat stat;
        int flags = fcntl(file, F_GETFL);
        if (file == nowhere || flags < 0 || fstat(file, &stat) != 0)
            continue;
        char link[64];
        off_t at = lseek(file, 0, SEEK_CUR);
        bool is_read = S_ISREG(stat.st_mode) && (flags & O_ACCMODE) == O_RDONLY;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
        int own = is_read ? open_real(link, O_RDONLY) : nowhere;
        if (own < 0 || dup2(own, file) < 0)
            abort();
        if (is_read) {
            lseek(file, at, SEEK_SET);
            close(own);
        }
    }
}

static void become_child(const int words[2])
{
    struct itimerval limit = { .it_value = { .tv_usec = CHILD_MAX_US } };
    sigset_t alarm;
    is_child = true;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    setitimer(ITIMER_REAL, &limit, NULL);
    dup2(words[1], STDOUT_FILENO);
    dup2(words[1], STDERR_FILENO);
    own_files();
}

/* What it said, in one line: the end of it. */
static void take_words(int from, char *text, size_t size)
{
    char piece[512];
    ssize_t (*read_real)(int, void *, size_t) = (ssize_t(*)(int, void *, size_t))real("read");
    size_t used = 0;
    for (ssize_t got; (got = read_real(from, piece, sizeof(piece))) > 0;)
        for (ssize_t i = 0; i < got && used + 1 < size; i++)
            text[used++] = (char)(piece[i] == '\n' ? ' ' : piece[i]);
    text[used] = '\0';
}

static void log_child(long call, int status, const char *library, const char *words)
{
    char line[2048];
    bool went_on = (WIFEXITED(status) && WEXITSTATUS(status) == WENT_ON) ||
                   (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    int size = snprintf(line, sizeof(line), "%ld %s %d %s %s\n", call, went_on ? "went-on" : "died",
        WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), library, words);
    int (*open_real)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open");
    ssize_t (*write_real)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))real("write");
    int file = open_real(getenv("FAIL_CALL_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || write_real(file, line, (size_t)size) != size)
        abort();
    close(file);
}

/* True in the child, where it fails. */
static bool fork_and_fail(long call, const void *caller)
{
    int words[2], status = 0;
    char text[1024];
    if (pipe2(words, O_CLOEXEC) != 0)
        abort();
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        become_child(words);
        return true;
    }
    close(words[1]);
    take_words(words[0], text, sizeof(text));
    close(words[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    log_child(call, status, name_of(caller), text);
    return false;
}

static bool fails_to_allocate(const void *caller)
{
    if (nth == 0 || strcmp(kind, "each") != 0)
        return fails_for("malloc", caller);
    if (is_child || is_busy)
        return false;
    long call = atomic_fetch_add(&calls, 1);
    if (call % EACH_LANES != nth % EACH_LANES)
        return false;
    is_busy = true;
    int error = errno;
    bool does = fork_and_fail(call + 1, caller);
    errno = error;
    is_busy = false;
    return does;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

#define REAL(name_) ((__typeof__(&name_))real(#name_))

void *malloc(size_t size)
{
    return fails_to_allocate(__builtin_return_address(0)) ? (errno = ENOMEM, NULL)
                                                          : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails_to_allocate(__builtin_return_address(0)) ? (errno = ENOMEM, NULL)
                                                          : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails_to_allocate(__builtin_return_address(0)) ? (errno = ENOMEM, NULL)
                                                          : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails_to_allocate(__builtin_return_address(0)) ? (errno = ENOMEM, NULL)
                                                          : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (fails_to_allocate(__builtin_return_address(0)))
        return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    return *memory == NULL ? ENOMEM : 0;
}

#define OPEN(name_) \
    int name_(const char *path, int flags, ...) \
    { \
        va_list list; \
        va_start(list, flags); \
        unsigned mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, unsigned) : 0; \
        va_end(list); \
        if ((flags & O_ACCMODE) != O_RDONLY) \
            leave_path(path); \
        if (is_below(path) && fails("open")) \
            return refuse(EMFILE); \
        return REAL(name_)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

ssize_t read(int file, void *bytes, size_t size)
{
    leave_file(file);
    return is_file_below(file) && fails("read") ? refuse(EIO) : REAL(read)(file, bytes, size);
}

#define READ_AT(name_) \
    ssize_t name_(int file, void *bytes, size_t size, off_t offset) \
    { \
        return is_file_below(file) && fails("read") ? refuse(EIO) \
                                                    : REAL(name_)(file, bytes, size, offset); \
    }
READ_AT(pread)
READ_AT(pread64)

ssize_t write(int file, const void *bytes, size_t size)
{
    leave_file(file);
    if (!is_file_below(file) || !fails("write"))
        return REAL(write)(file, bytes, size);
    if (REAL(write)(file, bytes, size / 2) < 0)
        abort();
    return refuse(ENOSPC);
}

#define WRITE_AT(name_) \
    ssize_t name_(int file, const void *bytes, size_t size, off_t offset) \
    { \
        leave_file(file); \
        return is_file_below(file) && fails("write") ? refuse(ENOSPC) \
                                                     : REAL(name_)(file, bytes, size, offset); \
    }
WRITE_AT(pwrite)
WRITE_AT(pwrite64)

int fsync(int file)
{
    leave_file(file);
    return is_file_below(file) && fails("fsync") ? refuse(EIO) : REAL(fsync)(file);
}

int fdatasync(int file)
{
    leave_file(file);
    return is_file_below(file) && fails("fsync") ? refuse(EIO) : REAL(fdatasync)(file);
}

int rename(const char *from, const char *to)
{
    leave_path(to);
    return is_below(to) && fails("rename") ? refuse(EIO) : REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
    leave_path(to);
    return is_below(to) && fails("link") ? refuse(EIO) : REAL(link)(from, to);
}

int unlink(const char *path)
{
    leave_path(path);
    return REAL(unlink)(path);
}

int remove(const char *path)
{
    leave_path(path);
    return REAL(remove)(path);
}

int rmdir(const char *path)
{
    leave_path(path);
    return REAL(rmdir)(path);
}

int mkdir(const char *path, mode_t mode)
{
    leave_path(path);
    return REAL(mkdir)(path, mode);
}

int ftruncate(int file, off_t size)
{
    leave_file(file);
    return REAL(ftruncate)(file, size);
}

int connect(int socket, const struct sockaddr *address, socklen_t size)
{
    return fails("connect") ? refuse(ECONNREFUSED) : REAL(connect)(socket, address, size);
}

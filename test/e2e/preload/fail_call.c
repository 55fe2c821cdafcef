/* fail_call.c -- preloaded into a program: its n-th call of a kind fails, in whatever library it is made.
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
 *
 * With it RocksDB meets what the simulator shows to the engine. That it has failed is noted in the log, and a process
 * that finds this in the log at its start lets every call be made: of several, as in a cluster, one fails once.
 * Built by test_fail_calls.py. Thread: any. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static char kind[16], below[PATH_MAX];
static long nth; /* 0: nothing fails */
static _Atomic long calls;

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

static void note(void)
{
    const char *path = getenv("FAIL_CALL_LOG");
    int (*open_real)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open");
    ssize_t (*write_real)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))real("write");
    int file = path == NULL ? -1 : open_real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || write_real(file, "failed\n", 7) != 7)
        abort();
    close(file);
}

static bool fails(const char *what)
{
    if (nth == 0 || strcmp(kind, what) != 0 || atomic_fetch_add(&calls, 1) + 1 != nth)
        return false;
    note();
    return true;
}

static bool is_below(const char *path)
{
    return path != NULL && strncmp(path, below, strlen(below)) == 0;
}

static bool is_file_below(int file)
{
    char link[64], path[PATH_MAX];
    if (nth == 0 || strcmp(kind, "malloc") == 0)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof(path) - 1);
    if (size < 0)
        return false;
    path[size] = '\0';
    return is_below(path);
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

#define REAL(name_) ((__typeof__(&name_))real(#name_))

void *malloc(size_t size)
{
    return fails("malloc") ? (errno = ENOMEM, NULL) : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails("malloc") ? (errno = ENOMEM, NULL) : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails("malloc") ? (errno = ENOMEM, NULL) : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails("malloc") ? (errno = ENOMEM, NULL) : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (fails("malloc"))
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
        if (is_below(path) && fails("open")) \
            return refuse(EMFILE); \
        return REAL(name_)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

ssize_t read(int file, void *bytes, size_t size)
{
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
    if (!is_file_below(file) || !fails("write"))
        return REAL(write)(file, bytes, size);
    if (REAL(write)(file, bytes, size / 2) < 0)
        abort();
    return refuse(ENOSPC);
}

#define WRITE_AT(name_) \
    ssize_t name_(int file, const void *bytes, size_t size, off_t offset) \
    { \
        return is_file_below(file) && fails("write") ? refuse(ENOSPC) \
                                                     : REAL(name_)(file, bytes, size, offset); \
    }
WRITE_AT(pwrite)
WRITE_AT(pwrite64)

int fsync(int file)
{
    return is_file_below(file) && fails("fsync") ? refuse(EIO) : REAL(fsync)(file);
}

int fdatasync(int file)
{
    return is_file_below(file) && fails("fsync") ? refuse(EIO) : REAL(fdatasync)(file);
}

int rename(const char *from, const char *to)
{
    return is_below(to) && fails("rename") ? refuse(EIO) : REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
    return is_below(to) && fails("link") ? refuse(EIO) : REAL(link)(from, to);
}

int connect(int socket, const struct sockaddr *address, socklen_t size)
{
    return fails("connect") ? refuse(ECONNREFUSED) : REAL(connect)(socket, address, size);
}
